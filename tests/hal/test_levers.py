"""Levers: the newest order wins, one is under way at most, failures are repeated more and more rarely."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import Cause, DeviceError
from hal.levers import Lever
from hal.manager import BusSlots, ManagedDevice

MS = 1_000_000
SLOT_MS = 5
SERVICE_MS = 50


class Chip:
    """A driver with one register of whole volts: an order takes two transactions, and fails while ``deaf``."""

    def __init__(self) -> None:
        self.held: int | None = None
        self.written: list[int] = []
        self.deaf = False
        self.lost = False

    def initialise(self) -> Generator[None, None, None]:
        self.held = None
        self.lost = False
        yield

    def acquire(self) -> Generator[None, None, int]:
        if self.lost:
            raise DeviceError("i2c_a", 0x10, Cause.RESET)
        return 0
        yield

    def step(self, value: float) -> int:
        if not 0.0 <= value <= 100.0:
            raise ValueError(value)
        return int(value)

    def set(self, value: float) -> Generator[None, None, None]:
        code = self.step(value)

        def sequence() -> Generator[None, None, None]:
            self.written.append(code)
            if not self.deaf:
                self.held = code
            yield
            if self.deaf:
                raise DeviceError("i2c_a", 0x10, Cause.PROTOCOL)

        return sequence()


class Bench:
    """One chip with its lever, a slot every 5 ms and a service every 50 ms."""

    def __init__(self, up: bool = True) -> None:
        self.chip = Chip()
        self.device: ManagedDevice[int] = ManagedDevice("chip", self.chip, 100 * MS, 1000 * MS, deque())
        self.slots = BusSlots([self.device])
        self.lever: Lever[float] = Lever(self.device, self.chip.set, self.chip.step)
        self.now_ms = 0
        if up:
            self.run(200)

    def run(self, ms: int) -> None:
        for _ in range(ms // SLOT_MS):
            self.now_ms += SLOT_MS
            self.slots.step(self.now_ms * MS)
            if self.now_ms % SERVICE_MS == 0:
                self.lever.service(self.now_ms * MS)


def test_an_order_is_carried_out_in_the_next_slots() -> None:
    bench = Bench()
    assert bench.lever.order(7.0)
    bench.run(10)
    assert bench.chip.held == 7


def test_what_the_chip_holds_is_not_ordered_again() -> None:
    bench = Bench()
    for value in (7.0, 7.0, 7.4, 7.9):
        assert bench.lever.order(value)
        bench.run(100)
    bench.run(10_000)
    assert bench.chip.written == [7]
    assert (bench.lever.counters.sent, bench.lever.counters.failed) == (1, 0)


def test_a_newer_order_takes_the_place_of_one_that_has_not_begun() -> None:
    bench = Bench()
    for value in (1.0, 2.0, 3.0, 4.0):
        bench.lever.order(value)
    bench.run(300)
    assert bench.chip.written == [4]
    assert bench.lever.counters.superseded == 3


def test_an_order_under_way_is_ended_and_the_newest_follows() -> None:
    bench = Bench()
    bench.lever.order(1.0)
    bench.run(SLOT_MS)
    bench.lever.order(2.0)
    bench.lever.order(3.0)
    bench.run(200)
    assert bench.chip.written == [1, 3]
    assert bench.chip.held == 3


def test_there_is_never_more_than_one_order_in_the_slots() -> None:
    bench = Bench()
    for value in range(40):
        bench.lever.order(float(value))
        assert len(bench.device.tasks) <= 1
        bench.run(SLOT_MS)
    bench.run(200)
    assert bench.chip.held == 39


def test_a_failed_order_is_repeated_ever_more_rarely_until_it_takes() -> None:
    bench = Bench()
    bench.chip.deaf = True
    bench.lever.order(5.0)
    times: list[int] = []
    seen = 0
    while bench.now_ms < 60_000:
        bench.run(SLOT_MS)
        if len(bench.chip.written) > seen:
            seen = len(bench.chip.written)
            times.append(bench.now_ms)
    gaps = [b - a for a, b in pairwise(times)]
    assert gaps[0] <= 250
    assert all(gap <= 5200 for gap in gaps)
    assert gaps[-1] >= 4900
    assert 12 <= len(times) <= 22
    assert bench.lever.counters.failed >= len(times) - 1
    bench.chip.deaf = False
    bench.run(5200)
    assert bench.chip.held == 5


def test_a_newer_order_does_not_wait_for_the_pause_of_one_that_failed() -> None:
    bench = Bench()
    bench.chip.deaf = True
    bench.lever.order(5.0)
    bench.run(20_000)
    bench.chip.deaf = False
    bench.lever.order(6.0)
    bench.run(100)
    assert bench.chip.held == 6


def test_after_a_restart_the_last_order_is_given_again() -> None:
    bench = Bench()
    bench.lever.order(9.0)
    bench.run(200)
    bench.chip.lost = True
    bench.run(300)
    assert bench.chip.held == 9
    assert bench.chip.written == [9, 9]


def test_nothing_is_ordered_after_a_restart_where_nothing_ever_was() -> None:
    bench = Bench()
    bench.chip.lost = True
    bench.run(500)
    assert bench.chip.written == []


def test_an_order_to_a_chip_that_is_not_ready_says_so_and_is_carried_out_once_it_is() -> None:
    bench = Bench(up=False)
    assert not bench.lever.order(3.0)
    assert not bench.lever.order(4.0)
    bench.run(300)
    assert bench.chip.written == [4]
    assert bench.lever.order(4.0)


@pytest.mark.parametrize("value", [float("nan"), -1.0, 101.0])
def test_what_cannot_be_ordered_is_refused_and_the_last_order_stays(value: float) -> None:
    bench = Bench()
    bench.lever.order(3.0)
    with pytest.raises(ValueError):  # noqa: PT011 - the chip's own
        bench.lever.order(value)
    bench.run(200)
    assert bench.chip.held == 3


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from(["order", "deaf", "hear", "lose", "wait"]), st.integers(0, 20)), max_size=40))
def test_whatever_happens_the_chip_ends_with_the_newest_order(history: list[tuple[str, int]]) -> None:
    bench = Bench()
    newest: int | None = None
    for what, number in history:
        if what == "order":
            newest = number
            bench.lever.order(float(number))
        elif what == "lose":
            bench.chip.lost = True
        elif what == "wait":
            bench.run(20 * number)
        else:
            bench.chip.deaf = what == "deaf"
    bench.chip.deaf = False
    bench.run(30_000)
    assert bench.chip.held == newest
    written = len(bench.chip.written)
    bench.run(10_000)
    assert len(bench.chip.written) == written


# -- lent to somebody else


def test_nothing_is_sent_while_the_lever_is_lent_and_the_newest_order_follows() -> None:
    bench = Bench()
    bench.lever.order(5.0)
    bench.run(200)
    bench.lever.lend()
    for value in (6.0, 7.0):
        assert bench.lever.order(value)
    bench.run(2_000)
    assert bench.chip.written == [5]
    assert bench.lever.wanted == 7.0
    bench.lever.give_back()
    bench.run(200)
    assert bench.chip.written == [5, 7]


def test_what_the_chip_held_is_ordered_again_when_the_lever_is_given_back() -> None:
    bench = Bench()
    bench.lever.order(5.0)
    bench.run(200)
    bench.lever.lend()
    bench.chip.held = 0
    bench.run(200)
    bench.lever.give_back()
    bench.run(200)
    assert bench.chip.held == 5


def test_an_order_that_waits_is_taken_back_when_the_lever_is_lent() -> None:
    bench = Bench()
    bench.lever.order(5.0)
    bench.lever.lend()
    bench.run(500)
    assert bench.chip.written == []
    assert bench.lever.counters.superseded == 1


def test_a_lever_that_was_never_pulled_wants_nothing_before_and_after_it_was_lent() -> None:
    bench = Bench()
    assert bench.lever.wanted is None
    bench.lever.lend()
    bench.lever.give_back()
    bench.run(500)
    assert bench.lever.wanted is None
    assert bench.chip.written == []
