"""A rail off and on again: two orders with a wait after each, over ticks, and never against who switches the rail."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator

import pytest

from drivers.errors import Cause, DeviceError
from hal.levers import Lever
from hal.manager import BusSlots, ManagedDevice
from hal.power_cycle import PowerCycle

MS = 1_000_000
SECOND = 1_000_000_000


class Unit:
    """A distribution unit with one rail; refuses while ``refuses`` is set, and says so only after it has obeyed."""

    def __init__(self) -> None:
        self.on = True
        self.switched: list[tuple[float, bool]] = []
        self.refuses: Cause | None = None
        self.obeys = False
        self.now_ns = 0

    def initialise(self) -> Generator[None, None, None]:
        yield

    def acquire(self) -> Generator[None, None, int]:
        yield
        return 0

    def switch(self, rail: str, on: bool) -> Generator[None, None, None]:
        assert rail == "radar"
        yield
        if self.refuses is None or self.obeys:
            self.on = on
            self.switched.append((self.now_ns / MS, on))
        if self.refuses is not None:
            raise DeviceError("i2c_a", 0x74, self.refuses)


class Bench:
    """The unit in its slots, its lever, and a cycle, stepped every 5 ms."""

    def __init__(self, lever: bool = False) -> None:
        self.unit = Unit()
        self.device: ManagedDevice[int] = ManagedDevice("pdu", self.unit, 250 * MS, 10 * SECOND, deque())
        self.slots = BusSlots([self.device])
        self.lever: Lever[bool] | None = (
            Lever(self.device, lambda on: self.unit.switch("radar", on), bool) if lever else None
        )
        self.cycle = PowerCycle(self.device, "radar", self.lever)
        self.now_ns = 0
        self.up: list[float] = []
        self.failed: list[Cause] = []
        self.serves = True
        self.run(1.0)

    def run(self, seconds: float) -> None:
        for _ in range(round(200 * seconds)):
            self.now_ns += 5 * MS
            self.unit.now_ns = self.now_ns
            if self.serves:
                self.slots.step(self.now_ns)
            if self.lever is not None:
                self.lever.service(self.now_ns)
            try:
                if self.cycle.step(self.now_ns):
                    self.up.append(self.now_ns / MS)
            except DeviceError as error:
                self.failed.append(error.cause)

    def states(self) -> list[bool]:
        return [on for _, on in self.unit.switched]


def test_a_cycle_is_off_for_200_ms_and_up_100_ms_after_it_is_on_again() -> None:
    bench = Bench()
    assert not bench.cycle.under_way
    assert bench.cycle.begin(bench.now_ns)
    assert bench.cycle.under_way
    bench.run(2.0)
    (off, _), (on, _) = bench.unit.switched
    assert bench.states() == [False, True]
    assert 200.0 <= on - off <= 215.0
    [up] = bench.up
    assert 100.0 <= up - on <= 110.0
    assert not bench.cycle.under_way


def test_a_cycle_begins_only_where_none_is_under_way_and_none_ended_in_the_last_30_s() -> None:
    bench = Bench()
    assert bench.cycle.begin(bench.now_ns)
    assert not bench.cycle.begin(bench.now_ns)
    bench.run(2.0)
    ended_ns = round(bench.up[0] * MS)
    assert not bench.cycle.begin(ended_ns + 30 * SECOND - 1)
    assert bench.cycle.begin(ended_ns + 30 * SECOND)


def test_a_unit_that_is_not_set_up_takes_no_cycle() -> None:
    bench = Bench()
    bench.device.restart(bench.now_ns)
    assert not bench.cycle.begin(bench.now_ns)
    bench.run(0.1)
    assert bench.cycle.begin(bench.now_ns)


def test_an_order_that_nobody_takes_for_5_s_is_taken_back() -> None:
    bench = Bench()
    bench.serves = False
    assert bench.cycle.begin(bench.now_ns)
    bench.run(4.9)
    assert bench.cycle.under_way
    bench.run(0.2)
    assert not bench.cycle.under_way
    assert bench.failed == [Cause.TIMEOUT]
    bench.serves = True
    bench.run(2.0)
    assert bench.states() == []


def test_an_order_on_that_nobody_takes_for_5_s_is_given_up_and_carried_out_when_the_unit_is_back() -> None:
    bench = Bench()
    bench.cycle.begin(bench.now_ns)
    while not bench.unit.switched:
        bench.run(0.005)
    bench.serves = False
    bench.run(5.1)
    assert bench.cycle.under_way
    bench.run(0.2)
    assert not bench.cycle.under_way
    assert bench.failed == [Cause.TIMEOUT]
    assert bench.states() == [False]
    bench.serves = True
    bench.run(0.1)
    assert bench.states() == [False, True]


def test_an_order_off_that_failed_is_followed_by_one_on_before_it_is_told() -> None:
    bench = Bench()
    bench.unit.refuses, bench.unit.obeys = Cause.CHECKSUM, True
    bench.cycle.begin(bench.now_ns)
    while not bench.unit.switched:
        bench.run(0.005)
    bench.unit.refuses = None
    bench.run(1.0)
    assert bench.states() == [False, True]
    assert bench.failed == [Cause.CHECKSUM]
    assert bench.up == []


def test_a_unit_that_goes_on_refusing_is_believed_after_five_orders_on() -> None:
    bench = Bench()
    bench.unit.refuses, bench.unit.obeys = Cause.IMPLAUSIBLE, True
    bench.cycle.begin(bench.now_ns)
    bench.run(10.0)
    assert bench.states() == [False] + 5 * [True]
    assert bench.failed == [Cause.IMPLAUSIBLE]
    assert not bench.cycle.under_way


# -- with the lever of the rail


@pytest.mark.parametrize("order", [None, True])
def test_a_rail_that_is_to_be_on_or_was_never_ordered_is_cycled_and_its_order_repeated(order: bool | None) -> None:
    bench = Bench(lever=True)
    assert bench.lever is not None
    if order is not None:
        bench.lever.order(order)
        bench.run(1.0)
    bench.unit.switched.clear()
    assert bench.cycle.begin(bench.now_ns)
    bench.run(2.0)
    assert bench.states() == [False, True] + ([True] if order else [])
    assert bench.unit.on


def test_a_rail_that_is_to_be_off_is_not_cycled() -> None:
    bench = Bench(lever=True)
    assert bench.lever is not None
    bench.lever.order(False)
    assert not bench.cycle.begin(bench.now_ns)
    bench.run(2.0)
    assert bench.states() == [False]


def test_ordered_off_while_it_is_off_the_rail_stays_so_and_nothing_is_said_of_being_up() -> None:
    bench = Bench(lever=True)
    assert bench.lever is not None
    bench.cycle.begin(bench.now_ns)
    bench.run(0.1)
    assert bench.states() == [False]
    bench.lever.order(False)
    bench.run(5.0)
    assert bench.states() == [False, False], "closed at no time; the lever's own order follows"
    assert (bench.up, bench.failed) == ([], [])
    assert not bench.cycle.under_way


def test_ordered_off_while_it_is_coming_on_the_rail_is_off_afterwards() -> None:
    bench = Bench(lever=True)
    assert bench.lever is not None
    bench.cycle.begin(bench.now_ns)
    while bench.states() != [False, True]:
        bench.run(0.005)
    bench.lever.order(False)
    bench.run(1.0)
    assert bench.states() == [False, True, False]


def test_orders_on_and_off_during_a_cycle_are_kept_and_the_newest_holds() -> None:
    bench = Bench(lever=True)
    assert bench.lever is not None
    bench.cycle.begin(bench.now_ns)
    bench.run(0.1)
    for on in (False, True, False, True):
        bench.lever.order(on)
    assert bench.states() == [False], "none is sent meanwhile"
    bench.run(2.0)
    assert bench.states() == [False, True, True]
    assert bench.unit.on


def test_an_order_on_under_way_when_the_cycle_begins_ends_first_and_the_rail_is_on_afterwards() -> None:
    bench = Bench(lever=True)
    assert bench.lever is not None
    bench.lever.order(True)
    bench.run(0.005)
    assert bench.cycle.begin(bench.now_ns)
    bench.run(2.0)
    assert bench.states()[:3] == [True, False, True]
    assert bench.unit.on
