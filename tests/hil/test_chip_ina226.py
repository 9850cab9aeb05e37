"""The simulated INA226 averages by configuration, multiplies by calibration and raises the alert it was told."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.chips.ina226 import Ina226
from tests.drivers.scripted import published
from tests.hil.scripted_bench import ChipBench

US = 1000
MS = 1_000_000
CONTINUOUS = 0x4127
TIMES_US = (140, 204, 332, 588, 1100, 2116, 4156, 8244)
AVERAGES = (1, 4, 16, 64, 128, 256, 512, 1024)


class Bench(ChipBench):
    def __init__(self, shunt_ohm: float = 0.002) -> None:
        super().__init__(lambda clock: Ina226(clock, shunt_ohm))


def test_identity_and_reset_values() -> None:
    bench = Bench()
    expected = {0: 0x4127, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 0xFE: 0x5449, 0xFF: 0x2260}
    assert {register: bench.word(register) for register in expected} == expected
    bench.put_word(5, 2560)
    bench.put_word(7, 1)
    bench.put_word(0, 0x8000)
    assert {register: bench.word(register) for register in expected} == expected


def test_configure_measure_calculate_example(shared_data: Path) -> None:
    rows = [row for row in published(shared_data, "INA226") if row["kind"] == "datasheet"]
    wanted = {int(row["registers"], 16): int(row["bytes"], 16) for row in rows}
    bench = Bench(shunt_ohm=0.002)
    bench.chip.bus_v = 11.98
    bench.chip.current_a = 10.0
    bench.put_word(5, wanted[5])
    bench.now = 3 * MS
    assert {register: bench.word(register) for register in wanted} == wanted
    assert (bench.word(1), bench.word(4)) == (8000, 10000)


@pytest.mark.parametrize("part", ["INA226", "INA226 2mOhm", "INA226 iio"])
def test_inputs_of_the_rows_that_the_kernel_read(part: str, shared_data: Path) -> None:
    rows = [row for row in published(shared_data, part) if row["kind"] == "kernel-run"]
    wanted = dict(zip(rows[0]["registers"].split(), (int(word, 16) for word in rows[0]["bytes"].split()), strict=True))
    shunt_counts = wanted["0x01"] - (0x10000 if wanted["0x01"] & 0x8000 else 0)
    (volts,) = [
        float(row["expected"]) * (1.25e-3 if part.endswith("iio") else 1e-3)
        for row in rows if row["unit"] in ("in1_input mV", "in_voltage1_raw raw")
    ]
    bench = Bench()
    bench.chip.bus_v = volts
    bench.chip.current_a = shunt_counts * 2.5e-6 / bench.chip.shunt_ohm
    bench.put_word(5, 2560)  # the rows' current and power registers are of the data sheet's calibration
    bench.now = 3 * MS
    assert bench.word(1) == wanted["0x01"]
    assert bench.word(2) == wanted["0x02"]
    if part == "INA226 2mOhm":
        assert (bench.word(4), bench.word(3)) == (wanted["0x04"], wanted["0x03"])


@pytest.mark.parametrize(("average", "bus", "shunt"), [(0, 0, 0), (3, 4, 4), (7, 7, 7), (2, 1, 6)])
def test_a_result_takes_all_averages_of_both_conversions(average: int, bus: int, shunt: int) -> None:
    bench = Bench()
    bench.chip.bus_v = 12.0
    bench.put_word(0, average << 9 | bus << 6 | shunt << 3 | 7)
    period = AVERAGES[average] * (TIMES_US[bus] + TIMES_US[shunt]) * US
    bench.now = period - 1
    assert (bench.word(2), bench.word(6)) == (0, 0)
    bench.now = period
    assert bench.word(6) == 0x0008
    assert bench.word(6) == 0, "reading mask/enable clears CVRF"
    assert bench.word(2) == 9600


def test_triggered_modes_convert_once_and_only_their_input() -> None:
    bench = Bench()
    bench.chip.bus_v, bench.chip.current_a = 12.0, 1.0
    bench.put_word(0, 0x4121)
    bench.now = 10 * MS
    assert (bench.word(1), bench.word(2)) == (800, 0)
    bench.chip.current_a = 2.0
    bench.now = 20 * MS
    assert bench.word(1) == 800
    bench.put_word(0, 0x4122)
    bench.now = 30 * MS
    assert (bench.word(1), bench.word(2)) == (800, 9600)


def test_powered_down_it_keeps_its_last_values_and_its_flag() -> None:
    bench = Bench()
    bench.chip.bus_v = 12.0
    bench.now = 3 * MS
    assert bench.word(2) == 9600
    bench.put_word(0, 0x4120)
    bench.chip.bus_v = 5.0
    bench.now = 30 * MS
    assert bench.word(2) == 9600
    assert bench.word(6) == 0x0008


def test_inputs_beyond_their_range_clip() -> None:
    bench = Bench()
    bench.chip.bus_v, bench.chip.current_a = 60.0, 50.0
    bench.now = 3 * MS
    assert (bench.word(1), bench.word(2)) == (0x7FFF, 0x7FFF)
    bench.chip.bus_v, bench.chip.current_a = -1.0, -50.0
    bench.now = 6 * MS
    assert (bench.word(1), bench.word(2)) == (0x8000, 0)


def test_a_product_that_does_not_fit_sets_overflow() -> None:
    bench = Bench()
    bench.chip.bus_v, bench.chip.current_a = 30.0, 30.0
    bench.put_word(5, 0x7FFF)
    bench.now = 3 * MS
    assert bench.word(6) & 0x0004
    assert bench.word(4) == 0x7FFF
    bench.put_word(5, 512)
    bench.now = 6 * MS
    assert not bench.word(6) & 0x0004


def test_without_calibration_there_is_no_current() -> None:
    bench = Bench()
    bench.chip.bus_v, bench.chip.current_a = 12.0, 5.0
    bench.now = 3 * MS
    assert (bench.word(4), bench.word(3)) == (0, 0)
    assert bench.word(1) == 4000


@pytest.mark.parametrize(
    ("function", "limit", "amperes", "volts"),
    [
        (0x8000, 4000, 5.1, 12.0), (0x4000, 4000, 4.9, 12.0), (0x2000, 9600, 1.0, 12.1), (0x1000, 9600, 1.0, 11.9),
        (0x0800, 2400, 5.1, 12.1),
    ],
)
def test_alert_functions_and_the_level_of_the_pin(function: int, limit: int, amperes: float, volts: float) -> None:
    bench = Bench()
    bench.put_word(5, 2560)
    bench.put_word(7, limit)
    bench.put_word(6, function)
    bench.chip.bus_v, bench.chip.current_a = 12.0, 5.0
    bench.now = 3 * MS
    assert bench.chip.alert
    bench.chip.bus_v, bench.chip.current_a = volts, amperes
    bench.now = 6 * MS
    assert not bench.chip.alert
    assert bench.word(6) == function | 0x0018
    bench.chip.bus_v, bench.chip.current_a = 12.0, 5.0
    bench.now = 9 * MS
    assert bench.chip.alert, "transparent: it goes when the reason goes"


def test_a_latched_alert_stays_until_mask_enable_is_read() -> None:
    bench = Bench()
    bench.put_word(7, 9600)
    bench.put_word(6, 0x2001)
    bench.chip.bus_v = 13.0
    bench.now = 3 * MS
    assert bench.word(2) == 10400
    bench.chip.bus_v = 12.0
    bench.now = 6 * MS
    assert not bench.chip.alert
    assert bench.word(6) & 0x0010
    assert bench.chip.alert
    assert not bench.word(6) & 0x0010


def test_read_only_registers_keep_their_value_and_a_shunt_must_have_resistance() -> None:
    bench = Bench()
    for register in (1, 2, 3, 4, 0xFE, 0xFF, 0x30):
        before = bench.word(register)
        bench.put_word(register, 0x1234)
        assert bench.word(register) == before
    with pytest.raises(ValueError, match="shunt_ohm"):
        Bench(shunt_ohm=0.0)
