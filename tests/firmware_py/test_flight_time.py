"""Flight time in another process: the least delayed message is believed, and a new start is noticed."""

from __future__ import annotations

import pytest

from firmware_py.flight_time import FlightTime

MS = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.ns = 500 * MS

    def __call__(self) -> int:
        return self.ns


def test_nothing_is_known_before_the_first_message() -> None:
    time = FlightTime(Clock())
    assert time.now_ns is None
    assert time.start is None


def test_the_least_delayed_message_counts() -> None:
    clock = Clock()
    time = FlightTime(clock)
    # Sent at 1000 ms, and 30 ms on the way.
    clock.ns += 30 * MS
    assert not time.see(1000 * MS, 1)
    assert time.now_ns == 1000 * MS
    clock.ns += 50 * MS + 2 * MS - 30 * MS
    time.see(1050 * MS, 1)
    assert time.now_ns == 1050 * MS
    clock.ns += 50 * MS + 40 * MS
    time.see(1100 * MS, 1)
    assert time.now_ns == 1140 * MS


@pytest.mark.parametrize(("now_ms", "start", "anew"), [
    (1100, 1, False), (1000, 1, False), (999, 1, True), (1100, 2, True), (5, 2, True), (1100, None, True),
])
def test_time_that_goes_back_or_another_start_is_a_new_start(now_ms: int, start: int | None, anew: bool) -> None:
    clock = Clock()
    time = FlightTime(clock)
    time.see(1000 * MS, 1)
    clock.ns += 3 * MS
    assert time.see(now_ms * MS, start) is anew
    assert time.start == start
    if anew:
        assert time.now_ns == now_ms * MS


def test_a_start_that_becomes_known_is_no_new_start() -> None:
    time = FlightTime(Clock())
    time.see(1000 * MS, None)
    assert not time.see(1050 * MS, 4)
