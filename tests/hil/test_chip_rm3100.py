"""The simulated RM3100 measures on the clock with the gain of its cycle counts, and a reset stops it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.rm3100 import Rm3100
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000


class Bench(ChipBench):
    def __init__(self) -> None:
        super().__init__(Rm3100)

    def ready(self) -> bool:
        return self.read(0x34) == b"\x80"

    def counts(self) -> list[int]:
        data = self.read(0x24, 9)
        return [int.from_bytes(data[i : i + 3], "big", signed=True) for i in (0, 3, 6)]


def test_identity_and_reset_values() -> None:
    bench = Bench()

    def registers() -> bytes:
        return bench.read(0x00, 2) + bench.read(0x04, 6) + bench.read(0x0B) + bench.read(0x33, 4) + bench.read(0x24, 9)

    expected = bytes.fromhex("0000 00c800c800c8 96 00001b22") + bytes(9)
    assert registers() == expected
    bench.write(0x04, 0, 100, 0, 100, 0, 100)
    bench.write(0x0B, 0x92)
    bench.write(0x01, 0x71)
    bench.now = 1000 * MS
    assert registers() != expected
    bench.chip.reset()
    assert registers() == expected
    bench.now = 2000 * MS
    assert not bench.ready()


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.tuples(*[st.floats(-800e-6, 800e-6)] * 3), st.sampled_from([(50, 20.0), (100, 38.0), (200, 75.0)]))
def test_gain_follows_the_cycle_count(field: tuple[float, float, float], setting: tuple[int, float]) -> None:
    cycles, gain = setting
    bench = Bench()
    bench.chip.field_t = field
    bench.write(0x04, 0, cycles, 0, cycles, 0, cycles)
    bench.write(0x01, 0x71)
    bench.now = 100 * MS
    for count, value in zip(bench.counts(), field, strict=True):
        assert abs(count - value * 1e6 * gain) <= 0.5 + 1e-6


def test_result_saturates_at_24_bits() -> None:
    bench = Bench()
    bench.chip.field_t = (1.0, -1.0, 0.0)
    bench.write(0x01, 0x71)
    bench.now = 100 * MS
    assert bench.counts() == [0x7FFFFF, -0x800000, 0]


def test_continuous_mode_is_ready_at_its_rate_and_reading_clears_it() -> None:
    bench = Bench()
    bench.chip.field_t = (10e-6, 0.0, 0.0)
    bench.write(0x01, 0x71)
    assert not bench.ready()
    bench.now = 6 * MS
    assert not bench.ready(), "three axes at 200 cycles take 7 ms"
    bench.now = 8 * MS
    assert bench.ready()
    assert bench.counts() == [750, 0, 0]
    assert not bench.ready()
    bench.chip.field_t = (20e-6, 0.0, 0.0)
    bench.now = 20 * MS
    assert bench.counts() == [750, 0, 0], "held until the next measurement"
    bench.now = 36 * MS  # TMRC 96h: about 37 Hz
    assert bench.ready()
    assert bench.counts() == [1500, 0, 0]


def test_unselected_axes_are_not_measured() -> None:
    bench = Bench()
    bench.chip.field_t = (10e-6, 10e-6, 10e-6)
    bench.write(0x01, 0x21)
    bench.now = 100 * MS
    assert bench.counts() == [0, 750, 0]


def test_poll_measures_once() -> None:
    bench = Bench()
    bench.chip.field_t = (10e-6, 20e-6, 30e-6)
    bench.write(0x00, 0x70)
    assert not bench.ready()
    bench.now = 10 * MS
    assert bench.ready()
    assert bench.counts() == [750, 1500, 2250]
    bench.now = 500 * MS
    assert not bench.ready()


def test_poll_is_ignored_in_continuous_mode() -> None:
    bench = Bench()
    bench.write(0x01, 0x71)
    bench.write(0x00, 0x10)
    bench.now = 8 * MS
    bench.chip.field_t = (0.0, 10e-6, 0.0)
    assert bench.counts()[1] == 750
    assert bench.read(0x00) == b"\x00"


@pytest.mark.parametrize("end", ["read CMM", "write TMRC", "write CMM"])
def test_continuous_mode_ends(end: str) -> None:
    bench = Bench()
    bench.write(0x01, 0x71)
    if end == "read CMM":
        assert bench.read(0x01) == b"\x71"
    elif end == "write TMRC":
        bench.write(0x0B, 0x94)
    else:
        bench.write(0x01, 0x70)
    bench.now = 1000 * MS
    assert not bench.ready()
    assert bench.read(0x01) == b"\x70"


def test_self_test_reports_three_good_axes() -> None:
    bench = Bench()
    bench.write(0x33, 0x8F)
    bench.write(0x00, 0x70)
    bench.now = 10 * MS
    assert bench.ready()
    assert bench.read(0x33) == b"\xff"


def test_ready_survives_reads_and_writes_if_the_handshake_says_so() -> None:
    bench = Bench()
    bench.write(0x35, 0x00)
    bench.write(0x00, 0x70)
    bench.now = 10 * MS
    assert bench.ready()
    bench.counts()
    bench.write(0x0B, 0x95)
    assert bench.ready()
    bench.write(0x35, 0x03)
    bench.counts()
    assert not bench.ready()


def test_read_only_registers_keep_their_value() -> None:
    bench = Bench()
    bench.write(0x24, 1, 2, 3)
    bench.write(0x36, 0x55)
    assert bench.counts() == [0, 0, 0]
    assert bench.read(0x36) == b"\x22"
