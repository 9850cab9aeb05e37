"""The simulated MAX31865 turns platinum into the data sheet's codes, in its time, and finds the faults of its wires."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.chips.max31865 import Max31865, Wiring, platinum_ohm
from tests.drivers.scripted import published

US = 1000
MS = 1_000_000
ONE_SHOT = 0xA0
AUTO = 0xC0


class Bench:
    def __init__(self) -> None:
        self.now = 0
        self.chip = Max31865(lambda: self.now)

    def read(self, register: int, count: int = 1) -> bytes:
        return self.chip.transfer(bytes((register,)) + bytes(count))[1:]

    def write(self, register: int, *values: int) -> None:
        self.chip.transfer(bytes((register | 0x80, *values)))

    def convert(self) -> int:
        self.write(0, ONE_SHOT)
        self.now += 70 * MS
        return int.from_bytes(self.read(1, 2), "big")

    def fault_cycle(self) -> int:
        self.write(0, 0x84)
        self.now += 1 * MS
        return self.read(7)[0]


def rows(shared_data: Path, unit: str) -> list[dict[str, str]]:
    return [row for row in published(shared_data, "MAX31865") if row["unit"] == unit]


def test_reset_values() -> None:
    bench = Bench()
    assert bench.read(0, 8) == b"\x00\x00\x00\xff\xff\x00\x00\x00"
    bench.write(0, AUTO, 0, 0, 1, 2, 3, 4)
    bench.chip.reset()
    assert bench.read(0, 8) == b"\x00\x00\x00\xff\xff\x00\x00\x00"


def test_temperatures_of_the_data_sheet_s_table(shared_data: Path) -> None:
    table = rows(shared_data, "degC")
    assert len(table) > 25
    for row in table:
        bench = Bench()
        bench.chip.set_celsius(float(row["expected"]))
        # The printed resistances are rounded to 0.01 ohm, which is 0.8 codes; the printed codes are rounded anew.
        assert abs((bench.convert() >> 1) - (int(row["bytes"], 16) >> 1)) <= 1, row


def test_ratios_of_the_data_sheet_s_table(shared_data: Path) -> None:
    for row in rows(shared_data, "Rrtd/Rref"):
        bench = Bench()
        wanted = int(row["bytes"], 16)
        bench.chip.resistance_ohm = 400.0 * (wanted >> 1) / 32768.0
        assert float(row["expected"]) == pytest.approx((wanted >> 1) / 32768.0, abs=0.001)
        assert bench.convert() & 0xFFFE == wanted


def test_platinum_by_the_standard() -> None:
    assert platinum_ohm(0.0) == 100.0
    assert platinum_ohm(100.0) == pytest.approx(138.5055)
    assert platinum_ohm(-200.0) == pytest.approx(18.520, abs=0.001)
    assert platinum_ohm(850.0, 1000.0) == pytest.approx(3904.81, abs=0.01)


@pytest.mark.parametrize(("filter_bit", "time_us"), [(0, 52_000), (1, 62_500)])
def test_a_single_conversion_takes_its_time_and_clears_its_bit(filter_bit: int, time_us: int) -> None:
    bench = Bench()
    bench.write(0, ONE_SHOT | filter_bit)
    bench.now = time_us * US - 1
    assert bench.read(0)[0] == ONE_SHOT | filter_bit
    assert not bench.chip.ready
    bench.now = time_us * US
    assert bench.read(0)[0] == 0x80 | filter_bit
    assert bench.chip.ready
    assert bench.read(1, 2) == b"\x40\x00"
    assert not bench.chip.ready


def test_automatic_conversions_go_on() -> None:
    bench = Bench()
    bench.write(0, AUTO)
    bench.now = 52 * MS
    assert bench.read(1, 2) == b"\x40\x00"
    bench.chip.resistance_ohm = 200.0
    bench.now += 16 * MS
    assert bench.read(1, 2) == b"\x40\x00"
    bench.now += 1 * MS
    assert bench.read(1, 2) == b"\x80\x00"
    assert bench.read(0)[0] == AUTO
    bench.write(0, 0x00)
    bench.chip.resistance_ohm = 100.0
    bench.now += 100 * MS
    assert bench.read(1, 2) == b"\x80\x00"


@pytest.mark.parametrize(
    ("wiring", "faults"),
    [(Wiring.GOOD, 0x00), (Wiring.OPEN, 0x20), (Wiring.LEAD_TO_GROUND, 0x18), (Wiring.OVERVOLTAGE, 0x04)],
)
def test_the_fault_detection_cycle_finds_broken_wires(wiring: Wiring, faults: int) -> None:
    bench = Bench()
    bench.chip.wiring = wiring
    assert bench.fault_cycle() == faults


def test_the_cycle_tells_that_it_runs_automatic_and_by_hand() -> None:
    bench = Bench()
    bench.chip.wiring = Wiring.OPEN
    bench.write(0, 0x84)
    assert bench.read(0)[0] == 0x84
    bench.now += 1 * MS
    assert bench.read(0)[0] == 0x80
    bench.write(0, 0x82)
    bench.write(0, 0x88)
    bench.now += 100 * MS
    assert bench.read(0)[0] == 0x88, "waits for its second half"
    assert bench.read(7)[0] == 0
    bench.write(0, 0x8C)
    bench.now += 1 * MS
    assert bench.read(0)[0] == 0x80
    assert bench.read(7)[0] == 0x20


def test_an_open_element_reads_full_scale_and_a_short_reads_zero() -> None:
    bench = Bench()
    bench.chip.wiring = Wiring.OPEN
    assert bench.convert() == 0xFFFF
    assert bench.read(7)[0] == 0x80
    bench = Bench()
    bench.chip.wiring = Wiring.SHORTED
    assert bench.convert() == 0x0001
    assert bench.read(7)[0] == 0x40


def test_thresholds_set_faults_that_stay_until_cleared() -> None:
    bench = Bench()
    bench.write(3, 0x50, 0x00, 0x30, 0x00)
    assert bench.convert() == 0x4000
    bench.chip.resistance_ohm = 130.0
    assert bench.convert() & 1
    assert bench.read(7)[0] == 0x80
    bench.chip.resistance_ohm = 70.0
    bench.convert()
    assert bench.read(7)[0] == 0xC0
    bench.chip.resistance_ohm = 100.0
    assert bench.convert() == 0x4001
    bench.write(0, 0x82)
    assert bench.read(7)[0] == 0
    assert bench.read(0)[0] == 0x80, "the clear bit reads 0"
    assert bench.convert() == 0x4000


def test_overvoltage_stops_conversions_until_it_goes() -> None:
    bench = Bench()
    assert bench.convert() == 0x4000
    bench.chip.wiring = Wiring.OVERVOLTAGE
    bench.chip.resistance_ohm = 200.0
    assert bench.convert() == 0x4001
    bench.chip.wiring = Wiring.GOOD
    bench.write(0, 0x82)
    assert bench.convert() == 0x8000


def test_without_bias_there_is_no_ratio() -> None:
    bench = Bench()
    bench.write(0, 0x20)
    bench.now = 70 * MS
    assert bench.read(1, 2) == b"\x00\x01"


def test_read_only_and_missing_registers() -> None:
    bench = Bench()
    bench.write(1, 0x12, 0x34)
    bench.write(7, 0xFF)
    bench.write(8, 0x55)
    assert bench.read(1, 2) == b"\x00\x00"
    assert bench.read(7, 3) == b"\x00\xff\xff"
    assert bench.chip.transfer(b"") == b""
    assert bench.chip.spi_modes == frozenset({1, 3})
    with pytest.raises(ValueError, match="reference_ohm"):
        Max31865(lambda: 0, reference_ohm=0.0)
