"""The simulated VL53L0X measures on the clock, says when it is ready, and answers 8190 mm where nothing comes back."""

from __future__ import annotations

import pytest

from hil.chips.vl53l0x import Vl53l0x
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000


class Bench(ChipBench):
    def __init__(self) -> None:
        super().__init__(Vl53l0x)

    def shot(self) -> bytes:
        self.write(0x00, 0x01)
        self.now += 33 * MS
        return self.read(0x14, 12)


def test_reference_registers_are_there_and_read_only() -> None:
    bench = Bench()
    assert bench.read(0xC0, 3) == b"\xee\xaa\x10"
    bench.write(0xC0, 1, 2, 3)
    assert bench.read(0xC0, 3) == b"\xee\xaa\x10"
    assert (bench.read(0x51, 2), bench.read(0x61, 2)) == (b"\x00\x99", b"\x00\x00")


def test_a_single_shot_takes_its_time_and_is_one() -> None:
    bench = Bench()
    bench.chip.range_m = 0.345
    assert bench.read(0x14, 12) == bytes(12)
    bench.write(0x00, 0x01)
    bench.now = 33 * MS - 1
    assert bench.read(0x14) == b"\x00"
    bench.now = 33 * MS
    block = bench.read(0x14, 12)
    assert (block[0], block[10:12]) == (11 << 3 | 1, (345).to_bytes(2, "big"))
    bench.chip.range_m = 0.9
    bench.now = 500 * MS
    assert bench.read(0x14, 12) == block, "held until the next start"
    bench.write(0x00, 0x01)
    assert bench.read(0x14)[0] & 1 == 0
    bench.now += 33 * MS
    assert bench.read(0x1E, 2) == (900).to_bytes(2, "big")


def test_the_result_block_holds_rates_and_spads() -> None:
    bench = Bench()
    bench.chip.range_m, bench.chip.signal_mcps, bench.chip.ambient_mcps, bench.chip.spads = 0.05, 12.5, 3.25, 17.5
    block = bench.shot()
    assert [int.from_bytes(block[i : i + 2], "big") for i in (2, 6, 8, 10)] == [4480, 1600, 416, 50]


@pytest.mark.parametrize(
    ("range_m", "millimetres"), [(0.0, 0), (0.0304, 30), (1.2, 1200), (1.2001, 8190), (None, 8190)]
)
def test_near_and_far_ends(range_m: float | None, millimetres: int) -> None:
    bench = Bench()
    bench.chip.range_m = range_m
    block = bench.shot()
    assert int.from_bytes(block[10:12], "big") == millimetres
    assert block[0] >> 3 == (4 if millimetres == 8190 else 11)
    assert (block[6:8] == b"\x00\x00") is (millimetres == 8190)


@pytest.mark.parametrize("status", [0, 1, 6, 15])
def test_a_forced_status_has_no_range(status: int) -> None:
    bench = Bench()
    bench.chip.range_m, bench.chip.status = 0.5, status
    block = bench.shot()
    assert (block[0], int.from_bytes(block[10:12], "big")) == (status << 3 | 1, 8190)


def test_new_sample_interrupt_is_raised_if_configured_and_cleared_by_writing() -> None:
    bench = Bench()
    bench.shot()
    assert bench.read(0x13) == b"\x00"
    bench.write(0x0A, 0x04)
    bench.shot()
    assert bench.read(0x13) == b"\x04"
    bench.write(0x0B, 0x01)
    assert bench.read(0x13) == b"\x00"
    bench.write(0x13, 0x07)
    bench.write(0x14, 0xFF, 0xFF)
    assert bench.read(0x13, 2) == b"\x00\x21", "results are read-only"


def test_back_to_back_goes_on_until_it_is_stopped() -> None:
    bench = Bench()
    bench.write(0x0A, 0x04)
    bench.write(0x00, 0x02)
    for expected in (100, 200, 300):
        bench.chip.range_m = expected / 1000
        bench.now += 33 * MS
        assert (bench.read(0x13), bench.read(0x1E, 2)) == (b"\x04", expected.to_bytes(2, "big"))
        bench.write(0x0B, 0x01)
    bench.write(0x00, 0x01)
    bench.chip.range_m = 0.7
    bench.now += 1000 * MS
    assert (bench.read(0x13), bench.read(0x1E, 2)) == (b"\x00", (300).to_bytes(2, "big"))


def test_timed_mode_keeps_its_period() -> None:
    bench = Bench()
    bench.chip.range_m = 0.1
    bench.write(0xF8, 0x04, 0x00)
    bench.write(0x04, *(100 * 1024).to_bytes(4, "big"))
    bench.write(0x00, 0x04)
    bench.now = 33 * MS
    assert bench.read(0x1E, 2) == b"\x00\x64"
    bench.chip.range_m = 0.2
    bench.now = 133 * MS - 1
    assert bench.read(0x1E, 2) == b"\x00\x64"
    bench.now = 133 * MS
    assert bench.read(0x1E, 2) == b"\x00\xc8"


def test_the_stop_variable_lives_on_page_one() -> None:
    bench = Bench()
    bench.write(0x91, 0x77)
    bench.write(0xFF, 0x01)
    assert bench.read(0x91) == b"\x3c"
    bench.write(0x00, 0x01)  # another register of this page, not the start
    bench.write(0xFF, 0x00)
    bench.now = 100 * MS
    assert (bench.read(0x91), bench.read(0x14)) == (b"\x77", b"\x00")
    assert bench.read(0xFE, 3) == b"\x00\x00\x00"
    bench.write(0xFF, 0x06)
    assert bench.read(0xC0, 2) == b"\x00\x00"


def test_a_stuck_part_never_becomes_ready_and_a_reset_forgets_all() -> None:
    bench = Bench()
    bench.chip.range_m = 0.5
    bench.chip.stuck = True
    bench.write(0x00, 0x01)
    bench.now = 10_000 * MS
    assert bench.read(0x14) == b"\x00"
    bench.chip.stuck = False
    assert bench.read(0x14) == b"\x59"
    bench.write(0x0A, 0x04)
    bench.chip.reset()
    assert (bench.read(0x14, 12), bench.read(0x0A), bench.read(0xC0)) == (bytes(12), b"\x00", b"\xee")
