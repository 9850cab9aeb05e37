"""The simulated ADS1115 converts the pair it is told, in the time of its rate, and clips at the end of its range."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.ads1115 import Ads1115

MS = 1_000_000
FULL_SCALE = (6.144, 4.096, 2.048, 1.024, 0.512, 0.256, 0.256, 0.256)


class Bench:
    def __init__(self) -> None:
        self.now = 0
        self.chip = Ads1115(lambda: self.now)

    def read(self, register: int) -> int:
        self.chip.write(bytes((register,)))
        return int.from_bytes(self.chip.read(2), "big")

    def write(self, register: int, value: int) -> None:
        self.chip.write(bytes((register, value >> 8, value & 0xFF)))

    def convert(self, config: int) -> int:
        self.write(1, config)
        self.now += 200 * MS
        value = self.read(0)
        return value - 0x10000 if value & 0x8000 else value


def test_reset_values_and_powered_down() -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = 1.0
    bench.now = 1000 * MS
    expected = [0x0000, 0x8583, 0x8000, 0x7FFF]
    assert [bench.read(register) for register in range(4)] == expected
    bench.write(1, 0x0000)
    bench.write(2, 0x1234)
    bench.chip.reset()
    assert [bench.read(register) for register in range(4)] == expected


@pytest.mark.parametrize(("code", "rate"), list(enumerate((8, 16, 32, 64, 128, 250, 475, 860))))
def test_a_single_shot_takes_one_period_and_os_says_when(code: int, rate: int) -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = 1.0
    bench.write(1, 0xC503 | code << 5)
    period = round(1e9 / rate)
    bench.now = period - 1
    assert bench.read(1) == 0x4503 | code << 5
    assert bench.read(0) == 0
    bench.now = period
    assert bench.read(0) == 16000
    assert bench.read(1) == 0xC503 | code << 5
    bench.chip.inputs_v[0] = 0.5
    bench.now = 10 * period
    assert bench.read(0) == 16000, "one conversion only"


def test_continuous_mode_goes_on() -> None:
    bench = Bench()
    bench.write(1, 0x44E3)
    for step in range(1, 5):
        bench.chip.inputs_v[0] = 0.1 * step
        bench.now += 2 * MS
        assert bench.read(0) == round(0.1 * step / 62.5e-6)
        assert not bench.read(1) & 0x8000


def test_writing_the_configuration_without_os_starts_nothing() -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = 1.0
    assert bench.convert(0x4583) == 0


@pytest.mark.parametrize(
    ("mux", "volts"),
    [(0, -0.1), (1, -0.3), (2, -0.2), (3, -0.1), (4, 0.1), (5, 0.2), (6, 0.3), (7, 0.4)],
)
def test_every_pair_of_inputs(mux: int, volts: float) -> None:
    bench = Bench()
    bench.chip.inputs_v = [0.1, 0.2, 0.3, 0.4]
    assert bench.convert(0x8583 | mux << 12) == round(volts / 62.5e-6)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 7), st.floats(-7.0, 7.0))
def test_codes_are_rounded_and_clip_at_full_scale(pga: int, volts: float) -> None:
    bench = Bench()
    bench.chip.inputs_v[0] = volts
    code = bench.convert(0xC183 & ~0x0E00 | pga << 9)
    lsb = FULL_SCALE[pga] / 32768
    if volts > 32767 * lsb:
        assert code == 0x7FFF
    elif volts < -32768 * lsb:
        assert code == -0x8000
    else:
        assert abs(code * lsb - volts) <= 0.5001 * lsb


def test_the_conversion_register_is_read_only_and_the_pointer_stays() -> None:
    bench = Bench()
    bench.write(0, 0x1234)
    assert bench.read(0) == 0
    bench.write(3, 0x4321)
    assert bench.chip.read(2) == b"\x43\x21"
    assert bench.chip.read(2) == b"\x43\x21"


def test_words_that_the_kernel_read(shared_data: Path) -> None:
    with (shared_data / "datasheet_examples.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"].startswith("ADS1115")]
    values = {row["unit"].split()[0].rsplit("_", 1)[1]: float(row["expected"]) for row in rows}
    wanted = dict(zip(rows[0]["registers"].split(), rows[0]["bytes"].split(), strict=True))
    bench = Bench()
    # The kernel took the row's configuration for AIN0 against AIN1; the word's own MUX says AIN0 against ground.
    bench.chip.inputs_v[0] = values["raw"] * values["scale"] * 1e-3
    bench.convert(int(wanted["0x01"], 16))
    assert f"{bench.read(0):04x} {bench.read(1):04x}" == f"{wanted['0x00']} {wanted['0x01']}"
