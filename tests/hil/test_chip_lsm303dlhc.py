"""The simulated LSM303DLHC magnetometer gives X, Z, Y at its rate and gain and marks what is out of range."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hil.chips.lsm303dlhc import Lsm303dlhc
from tests.drivers.scripted import published
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000
GAUSS = 1e-4


class Bench(ChipBench):
    def __init__(self) -> None:
        super().__init__(Lsm303dlhc)

    def start(self, rate: int = 7, gain: int = 1, mode: int = 0) -> None:
        self.chip.write(bytes((0x00, 0x80 | rate << 2, gain << 5, mode)))

    def xzy(self) -> tuple[int, ...]:
        return struct.unpack(">3h", self.read(0x03, 6))


def test_reset_values_and_identity() -> None:
    bench = Bench()
    assert bench.read(0x00, 3) == b"\x10\x20\x03"
    assert bench.read(0x0A, 3) == b"H43"
    assert bench.read(0x03, 7) == bytes(6) + b"\x00", "after the sixth the address goes back to 03h"
    bench.start()
    bench.chip.reset()
    assert bench.read(0x00, 3) == b"\x10\x20\x03"


def test_asleep_it_does_not_measure() -> None:
    bench = Bench()
    bench.chip.field_t = (30e-6, 0.0, 0.0)
    bench.now = 10_000 * MS
    assert bench.xzy() == (0, 0, 0)
    assert bench.read(0x09) == b"\x00"


@pytest.mark.parametrize(("code", "hz"), list(enumerate((0.75, 1.5, 3.0, 7.5, 15.0, 30.0, 75.0, 220.0))))
def test_sets_come_at_the_rate_and_data_ready_says_so(code: int, hz: float) -> None:
    bench = Bench()
    bench.chip.field_t = (50e-6, -10e-6, 20e-6)
    bench.start(rate=code)
    period = round(1e9 / hz)
    bench.now = period - 1
    assert bench.read(0x09) == b"\x00"
    bench.now = period
    assert bench.read(0x09) == b"\x01"
    assert bench.xzy() == (550, 196, -110)
    assert bench.read(0x09) == b"\x00", "reading the whole set clears data-ready"


@pytest.mark.parametrize(
    ("gain", "xy", "z"),
    [(1, 1100, 980), (2, 855, 760), (3, 670, 600), (4, 450, 400), (5, 400, 355), (6, 330, 295), (7, 230, 205)],
)
def test_gains_and_saturation_of_each_axis(gain: int, xy: int, z: int) -> None:
    bench = Bench()
    bench.chip.field_t = (GAUSS, GAUSS, GAUSS)
    bench.start(gain=gain)
    bench.now = 5 * MS
    assert bench.xzy() == (xy, z, xy)
    bench.chip.field_t = (2048.6 / xy * GAUSS, -2047.6 / xy * GAUSS, -2048.6 / z * GAUSS)
    bench.now = 10 * MS
    assert bench.xzy() == (-4096, -4096, -2048)


def test_a_set_half_read_is_locked() -> None:
    bench = Bench()
    bench.chip.field_t = (GAUSS, GAUSS, GAUSS)
    bench.start()
    bench.now = 5 * MS
    assert bench.read(0x03, 2) == b"\x04\x4c"
    assert bench.read(0x09) == b"\x03"
    bench.chip.field_t = (0.0, 0.0, 0.0)
    bench.now = 20 * MS
    assert bench.read(0x05, 4) == b"\x03\xd4\x04\x4c", "the rest of the same set"
    bench.now = 25 * MS
    assert bench.xzy() == (0, 0, 0)


def test_a_single_conversion_goes_back_to_sleep() -> None:
    bench = Bench()
    bench.chip.field_t = (GAUSS, 0.0, 0.0)
    bench.start(mode=1)
    bench.now = 5 * MS
    assert bench.read(0x02) == b"\x03"
    assert bench.xzy() == (1100, 0, 0)
    bench.chip.field_t = (0.0, 0.0, 0.0)
    bench.now = 100 * MS
    assert bench.xzy() == (1100, 0, 0)


@pytest.mark.parametrize(("celsius", "word"), [(25.0, 0x0C80), (-10.5, 0xFAC0), (0.0, 0x0000)])
def test_temperature_is_left_aligned(celsius: float, word: int) -> None:
    bench = Bench()
    bench.chip.celsius = celsius
    bench.start()
    bench.now = 5 * MS
    assert int.from_bytes(bench.read(0x31, 2), "big") == word


def test_temperature_is_not_measured_unless_enabled() -> None:
    bench = Bench()
    bench.chip.write(b"\x00\x1c\x20\x00")
    bench.now = 5 * MS
    assert bench.read(0x31, 2) == bytes(2)


def test_read_only_and_reserved_registers_keep_their_value() -> None:
    bench = Bench()
    bench.chip.write(b"\x09\xff\x00\x00\x00")
    assert bench.read(0x09, 4) == b"\x00H43"
    assert bench.read(0x0F) == b"\x00"


def test_words_that_the_kernel_read(shared_data: Path) -> None:
    rows = published(shared_data, "LSM303DLHC mag")
    values = {row["unit"].split()[0]: float(row["expected"]) for row in rows}
    wanted = bytes.fromhex(rows[0]["bytes"])
    bench = Bench()
    bench.chip.field_t = tuple(  # type: ignore[assignment]
        values[f"in_magn_{axis}_raw"] * values[f"in_magn_{axis}_scale"] * GAUSS for axis in "xyz"
    )
    bench.chip.write(b"\x00" + wanted[:3])
    bench.now = 100 * MS
    assert bench.read(0x00, 3) == wanted[:3]
    assert bench.read(0x09) == wanted[9:10]
    assert bench.read(0x03, 6) == wanted[3:9]
