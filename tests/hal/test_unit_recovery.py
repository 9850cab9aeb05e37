"""Steps ordered of one unit: one at a time, refused where they mean nothing, power cycles gone on with over ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator

import pytest

from drivers.errors import Cause, DeviceError
from hal.device_health import DeviceState
from hal.heard import HeardDevice
from hal.manager import BusSlots, ManagedDevice
from hal.power_cycle import PowerCycle
from hal.recovery import BusGuard, InlineWorker, Rung
from hal.unit_recovery import (
    Unit,
    UnitRecovery,
    guarded_bus,
    heard_unit,
    open_port,
    polled_unit,
)

MS = 1_000_000
SECOND = 1_000_000_000


def always(_now_ns: int) -> bool:
    return True


def never(_now_ns: int) -> bool:
    return False


class Chip:
    """A driver that counts its set-ups and fails while ``cause`` is set."""

    def __init__(self) -> None:
        self.setups = 0
        self.cause: Cause | None = None
        self.switched: list[bool] = []

    def _ask(self) -> None:
        if self.cause is not None:
            raise DeviceError("i2c_b", 0x20, self.cause)

    def initialise(self) -> Generator[None, None, None]:
        self.setups += 1
        self._ask()
        yield

    def acquire(self) -> Generator[None, None, int]:
        self._ask()
        yield
        return 1

    def switch(self, rail: str, on: bool) -> Generator[None, None, None]:
        self._ask()
        self.switched.append(on)
        yield


class Bench:
    """One polled chip with a rail of its own behind a guard, and the unit that switches the rail, on another bus."""

    def __init__(self, rungs: tuple[Rung, ...] = (), switched: bool = False) -> None:
        self.chip, self.pdu = Chip(), Chip()
        self.climbed: list[Rung] = []
        self.device: ManagedDevice[int] = ManagedDevice("chip", self.chip, 50 * MS, 200 * MS, deque(maxlen=64))
        self.pdu_device: ManagedDevice[int] = ManagedDevice("pdu", self.pdu, 250 * MS, SECOND, deque(maxlen=64))
        actions: list[tuple[Rung, Callable[[], None]]] = [
            (rung, lambda rung=rung: self.climbed.append(rung)) for rung in rungs  # type: ignore[misc]
        ]
        self.guard = BusGuard("i2c_b", actions, self.chip._ask, InlineWorker(), deque(maxlen=64))
        self.slots = BusSlots([self.device], self.guard)
        self.pdu_slots = BusSlots([self.pdu_device])
        self.cycle = PowerCycle(self.pdu_device, "chip")  # type: ignore[arg-type]
        self.unit = polled_unit(self.device, self.guard, switched=switched, cycle=self.cycle)
        self.recovery = UnitRecovery({"chip": self.unit, "bus i2c_b": guarded_bus(self.guard)})
        self.now_ns = 0
        self.run(1.0)

    def run(self, seconds: float) -> None:
        for _ in range(round(200 * seconds)):
            self.now_ns += 5 * MS
            self.slots.step(self.now_ns)
            self.pdu_slots.step(self.now_ns)
            if self.now_ns % (50 * MS) == 0:
                self.recovery.service(self.now_ns)

    def order(self, step: str, unit: str = "chip") -> bool:
        return self.recovery.order(step, unit, self.now_ns)


# -- orders


@pytest.mark.parametrize(("step", "unit"), [
    ("retry", "nobody"), ("nothing", "chip"), ("RETRY", "chip"), ("redundant", "chip"), ("reset", "chip"),
    ("degrade", "chip"), ("power-cycle", "bus i2c_b"),
])
def test_what_is_unknown_or_means_nothing_is_answered_with_false_and_counted(step: str, unit: str) -> None:
    bench = Bench()
    assert not bench.order(step, unit)
    assert bench.recovery.counters.refused == {step: 1}
    assert bench.recovery.counters.begun == {}


def test_orders_are_counted_by_step() -> None:
    recovery = UnitRecovery({"one": Unit({"retry": always, "reset": never})})
    assert [recovery.order(step, "one", 0) for step in ("retry", "retry", "reset", "re-init")] == [
        True, True, False, False
    ]
    assert recovery.counters.begun == {"retry": 2}
    assert recovery.counters.refused == {"reset": 1, "re-init": 1}


def test_a_unit_that_has_an_order_under_way_takes_no_other_until_it_has_shown_something() -> None:
    shown = [0]
    recovery = UnitRecovery({"one": Unit({"retry": always, "re-init": always}, lambda: shown[0])})
    assert recovery.order("retry", "one", 0)
    assert not recovery.order("re-init", "one", 1)
    shown[0] += 1
    assert recovery.order("re-init", "one", 2)


def test_an_order_whose_end_nobody_has_seen_is_over_after_5_s() -> None:
    recovery = UnitRecovery({"one": Unit({"retry": always}, lambda: 0)})
    assert recovery.order("retry", "one", 0)
    assert not recovery.order("retry", "one", 5 * SECOND - 1)
    assert recovery.order("retry", "one", 5 * SECOND)


def test_a_step_that_was_refused_leaves_nothing_under_way() -> None:
    recovery = UnitRecovery({"one": Unit({"retry": never, "re-init": always}, lambda: 0)})
    assert not recovery.order("retry", "one", 0)
    assert recovery.order("re-init", "one", 0)


def test_a_redundant_unit_is_taken_at_once_so_nothing_is_under_way_after_it() -> None:
    recovery = UnitRecovery({"one": Unit({"redundant": always, "retry": always}, lambda: 0)})
    assert recovery.order("redundant", "one", 0)
    assert recovery.order("retry", "one", 0)


# -- polled devices


def test_re_init_sets_up_anew_and_retry_only_asks_again() -> None:
    bench = Bench()
    setups = bench.chip.setups
    assert bench.order("retry")
    bench.run(0.2)
    assert bench.chip.setups == setups
    assert bench.order("re-init")
    bench.run(0.2)
    assert bench.chip.setups == setups + 1
    assert bench.device.state is DeviceState.OK


def test_what_is_not_asked_anyway_has_no_retry() -> None:
    device: ManagedDevice[int] = ManagedDevice("mux", Chip(), 0, SECOND, deque())
    slots = BusSlots([device])
    for tick in range(20):
        slots.step(tick * 5 * MS)
    assert device.state is DeviceState.OK
    assert not device.retry(SECOND)


def test_a_device_on_a_bus_that_is_out_of_service_takes_no_step_but_of_a_rail_of_its_own() -> None:
    bench = Bench()
    bench.chip.cause = Cause.STUCK_BUS
    bench.run(1.0)
    assert not bench.guard.in_service
    assert [bench.order(step) for step in ("retry", "re-init", "reset")] == [False] * 3
    assert bench.order("power-cycle")


def test_behind_a_multiplexer_a_reset_is_the_buss_and_others_have_none() -> None:
    switched = Bench((Rung.DESELECT,), switched=True)
    assert switched.order("reset")
    assert switched.climbed == [Rung.DESELECT]
    plain = Bench((Rung.DESELECT,))
    assert not plain.order("reset")
    assert plain.climbed == []


# -- power


def test_a_power_cycle_is_gone_on_with_over_ticks_and_the_device_set_up_when_it_is_up() -> None:
    bench = Bench()
    setups = bench.chip.setups
    assert bench.order("power-cycle")
    assert bench.pdu.switched == []
    assert [bench.order(step) for step in ("retry", "re-init", "power-cycle")] == [False] * 3
    bench.run(0.1)
    assert bench.pdu.switched == [False]
    bench.run(1.0)
    assert bench.pdu.switched == [False, True]
    assert bench.chip.setups == setups + 1
    assert bench.order("retry"), "the cycle is over"
    assert bench.recovery.counters.rails_failed == 0


def test_a_rail_that_could_not_be_switched_is_counted_and_the_device_left_as_it_was() -> None:
    bench = Bench()
    setups = bench.chip.setups
    assert bench.order("power-cycle")
    bench.pdu.cause = Cause.IMPLAUSIBLE
    bench.run(60.0)
    assert bench.recovery.counters.rails_failed == 1
    assert bench.pdu.switched == []
    assert bench.chip.setups == setups
    assert bench.order("retry")


# -- parts that are heard, ports, buses


class Talker:
    def __init__(self) -> None:
        self.told = 0

    def initialise(self) -> Generator[None, None, None]:
        self.told += 1
        yield


def test_a_part_that_is_heard_is_told_to_speak_or_its_port_opened_anew() -> None:
    talker, opened = Talker(), [0]

    def reopen() -> None:
        opened[0] += 1

    device: HeardDevice[int] = HeardDevice("geiger", talker, SECOND, deque(), lambda now_ns: None, reopen)
    recovery = UnitRecovery({"geiger": heard_unit(device)})
    for tick in range(5):
        device.service(tick * 5 * MS)
    assert recovery.order("retry", "geiger", 30 * MS)
    assert (talker.told, opened[0]) == (1, 0)
    device.service(35 * MS)
    assert talker.told == 2
    assert not recovery.order("re-init", "geiger", 40 * MS), "it has not shown anything yet"
    device.hear(1, 45 * MS)
    assert recovery.order("re-init", "geiger", 50 * MS)
    assert opened[0] == 1
    assert not recovery.order("power-cycle", "geiger", 10 * SECOND)


def test_a_part_that_only_sends_frames_takes_no_step() -> None:
    device: HeardDevice[int] = HeardDevice("bms", object(), SECOND, deque(), None)
    recovery = UnitRecovery({"bms": heard_unit(device)})
    assert not any(recovery.order(step, "bms", 0) for step in ("retry", "re-init", "reset", "power-cycle"))
    assert device.state is DeviceState.INIT


@pytest.mark.parametrize("fails", [False, True])
def test_a_port_says_whether_it_could_be_opened_anew(fails: bool) -> None:
    def reopen() -> None:
        if fails:
            raise DeviceError("usb3", None, Cause.ABSENT)

    recovery = UnitRecovery({"bus usb3": open_port(reopen)})
    assert recovery.order("re-init", "bus usb3", 0) is not fails
    assert not recovery.order("retry", "bus usb3", 0)


@pytest.mark.parametrize(("rungs", "reset", "re_init"), [
    ((Rung.CLEAR, Rung.DESELECT, Rung.REOPEN), Rung.DESELECT, Rung.REOPEN), ((Rung.CLEAR,), Rung.CLEAR, None),
    ((), None, None),
])
def test_a_bus_is_reset_by_what_frees_its_chips_and_set_up_anew_by_its_adapter(
    rungs: tuple[Rung, ...], reset: Rung | None, re_init: Rung | None
) -> None:
    for step, rung in (("reset", reset), ("re-init", re_init)):
        bench = Bench(rungs)
        assert bench.order(step, "bus i2c_b") is (rung is not None)
        assert bench.climbed == ([] if rung is None else [rung])
        bench.run(0.1)
        assert bench.guard.in_service


def test_only_a_bus_that_is_out_of_service_is_retried() -> None:
    bench = Bench()
    assert not bench.order("retry", "bus i2c_b")
    bench.chip.cause = Cause.STUCK_BUS
    bench.run(100.0)
    assert bench.guard.state is DeviceState.LOST
    bench.chip.cause = None
    assert bench.order("retry", "bus i2c_b")
    bench.run(0.05)
    assert bench.guard.in_service
