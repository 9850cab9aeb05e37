"""The simulated DS3231 keeps time with its drift, knows its calendar, and admits a stopped oscillator."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.ds3231 import Ds3231
from tests.hil.scripted_bench import ChipBench

SECOND = 1_000_000_000
DAY = 86_400 * SECOND


class Bench(ChipBench):
    def __init__(self) -> None:
        super().__init__(Ds3231)

    def time(self) -> str:
        return self.read(0, 7).hex(" ")


def test_reset_values() -> None:
    bench = Bench()
    assert bench.time() == "00 00 00 01 01 01 00"
    assert bench.read(0x0E, 3) == b"\x1c\x88\x00"
    bench.write(0x0E, 0x04)
    bench.write(0x0F, 0x00)
    bench.now = 100 * SECOND
    bench.chip.reset()
    assert bench.read(0x0E, 3) == b"\x1c\x88\x00"
    assert bench.time() == "00 00 00 01 01 01 00"


def test_time_that_was_written_goes_on_with_the_clock() -> None:
    bench = Bench()
    bench.write(0, 0x57, 0x59, 0x23, 7, 0x28, 0x02, 0x28)
    bench.now += 2 * SECOND
    assert bench.time() == "59 59 23 07 28 02 28"
    bench.now += SECOND - 1
    assert bench.time() == "59 59 23 07 28 02 28"
    bench.now += 1
    assert bench.time() == "00 00 00 01 29 02 28", "2028 is a leap year, and day 7 is followed by day 1"
    bench.now += DAY
    assert bench.time() == "00 00 00 02 01 03 28"


def test_writing_the_seconds_starts_the_second_anew() -> None:
    bench = Bench()
    bench.now = 999_999_999
    bench.write(0, 0x30)
    bench.now += 999_999_999
    assert bench.read(0) == b"\x30"
    bench.now += 1
    assert bench.read(0) == b"\x31"
    bench.write(1, 0x10)
    bench.now += SECOND // 2
    bench.write(1, 0x20)
    bench.now += SECOND // 2
    assert bench.read(0, 2) == b"\x32\x20", "other registers leave the running second alone"


def test_the_century_bit_turns_over() -> None:
    bench = Bench()
    bench.write(0, 0x59, 0x59, 0x23, 5, 0x31, 0x12, 0x99)
    bench.now += SECOND
    assert bench.time() == "00 00 00 06 01 81 00"
    bench.write(0, 0x59, 0x59, 0x23, 5, 0x31, 0x92, 0x99)
    bench.now += SECOND
    assert bench.time() == "00 00 00 06 01 01 00"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.datetimes(datetime.datetime(2000, 1, 1), datetime.datetime(2099, 12, 31)),
    st.integers(0, 20 * 366 * 86_400),
)
def test_the_calendar_is_the_gregorian_one_in_its_first_century(start: datetime.datetime, later_s: int) -> None:
    bench = Bench()
    start = start.replace(microsecond=0)
    bench.chip.set_time(start.year, start.month, start.day, start.hour, start.minute, start.second)
    bench.now += later_s * SECOND
    end = start + datetime.timedelta(seconds=later_s)
    if (end.year, end.month) >= (2100, 3):
        return  # 2100 is no leap year, but the chip believes it is
    raw = bench.read(0, 7).hex()
    fields = [int(raw[i : i + 2]) for i in (0, 2, 4, 8)]
    assert fields == [end.second, end.minute, end.hour, end.day]
    assert (int(raw[10:12], 16) & 0x1F, raw[12:14]) == (int(f"{end.month:02d}", 16), f"{end.year % 100:02d}")
    assert int(raw[10:12], 16) >> 7 == (end.year - 2000) // 100


@pytest.mark.parametrize(
    ("written", "hour"), [(0x52, 0), (0x41, 1), (0x51, 11), (0x72, 12), (0x61, 13), (0x71, 23)]
)
def test_twelve_hour_mode(written: int, hour: int) -> None:
    bench = Bench()
    bench.write(0, 0, 0, written)
    assert bench.read(2) == bytes((written,))
    bench.now += 3600 * SECOND
    following = bench.read(2)[0]
    assert (following & 0x1F, bool(following & 0x20)) == (int(str(hour % 12 + 1), 16), (hour + 1) % 24 >= 12)


def test_drift_adds_up_over_any_steps() -> None:
    for step in (777 * SECOND + 3, DAY // 3, 30 * DAY):
        bench = Bench()
        bench.chip.drift_ppm = 2.0
        while bench.now < 30 * DAY:
            bench.now = min(30 * DAY, bench.now + step)
            bench.read(0)
        # 2 ppm of 30 days: 5.184 s fast.
        assert bench.time() == "05 00 00 03 31 01 00"


def test_a_change_of_drift_holds_from_then_on() -> None:
    bench = Bench()
    bench.now = 1_000_000 * SECOND
    bench.chip.drift_ppm = -10.0
    bench.now += 1_000_000 * SECOND
    # 2,000,000 s less 10 s: 23 days, 3 h 33 min 10 s.
    assert bench.time() == "10 33 03 03 24 01 00"


def test_a_stopped_oscillator_freezes_time_and_is_admitted_until_it_is_cleared() -> None:
    bench = Bench()
    bench.write(0x0F, 0x08)
    assert bench.read(0x0F) == b"\x08"
    bench.chip.oscillator_running = False
    bench.now += 100 * SECOND
    assert bench.time() == "00 00 00 01 01 01 00"
    bench.write(0x0F, 0x08)
    assert bench.read(0x0F) == b"\x88", "it still stands"
    bench.chip.oscillator_running = True
    bench.now += 5 * SECOND
    assert (bench.read(0x0F), bench.read(0)) == (b"\x88", b"\x05")
    bench.write(0x0F, 0x08)
    assert bench.read(0x0F) == b"\x08"
    bench.write(0x0F, 0x8B)
    assert bench.read(0x0F) == b"\x08", "flags can't be written to one"


@pytest.mark.parametrize(
    ("celsius", "code"),
    [(25.0, b"\x19\x00"), (25.25, b"\x19\x40"), (-0.25, b"\xff\xc0"), (-24.5, b"\xe7\x80"), (85.0, b"\x55\x00"),
     (-40.0, b"\xd8\x00"), (0.0, b"\x00\x00"), (500.0, b"\x7f\xc0")],
)
def test_temperature_codes(celsius: float, code: bytes) -> None:
    bench = Bench()
    bench.chip.celsius = celsius
    bench.now = 64 * SECOND
    assert bench.read(0x11, 2) == code


def test_temperature_is_converted_every_64_s_or_on_demand() -> None:
    bench = Bench()
    bench.chip.celsius = -10.0
    bench.now = 64 * SECOND - 1
    assert bench.read(0x11, 2) == b"\x19\x00"
    bench.write(0x0E, 0x3C)
    assert bench.read(0x0E, 2) == b"\x3c\x8c", "CONV stays, BSY is set"
    bench.now += SECOND // 5
    assert bench.read(0x0E, 2) == b"\x1c\x88"
    assert bench.read(0x11, 2) == b"\xf6\x00"


def test_the_pointer_goes_on_and_wraps_and_the_time_in_one_read_is_one_instant() -> None:
    bench = Bench()
    bench.write(0x07, *range(1, 8))
    assert bench.read(0x06, 9) == bytes((0, *range(1, 8), 0x1C))
    assert bench.read(0x12, 3) == b"\x00\x00\x00"
    bench.write(0x10, 0xF0)
    assert bench.read(0x10) == b"\xf0"
    bench.write(0x11, 0x55)
    assert bench.read(0x11, 2) == b"\x19\x00", "temperature is read-only"


def test_a_year_that_the_chip_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="2199"):
        Bench().chip.set_time(2200, 1, 1, 0, 0, 0)
