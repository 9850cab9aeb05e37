"""The ladder of a hung bus: out of service at once, one rung after another, back as soon as a probe gets through."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator

import pytest

from drivers.errors import Cause, DeviceError
from hal.levers import Lever
from hal.manager import BusSlots, DeviceState, HealthEvent, ManagedDevice
from hal.power_cycle import PowerCycle
from hal.reading import Quality
from hal.recovery import BusGuard, InlineWorker, Rung, ThreadWorker

MS = 1_000_000
SECOND = 1_000_000_000
TICK = 5 * MS


class Bus:
    """A bus that fails with ``cause`` until something cures it."""

    def __init__(self) -> None:
        self.cause: Cause | None = None
        self.cured_by: Rung | None = None
        self.powered = True
        self.transfers = 0
        self.climbed: list[str] = []

    def transfer(self) -> None:
        self.transfers += 1
        if not self.powered:
            raise DeviceError("i2c_b", 0x20, Cause.NACK_ADDRESS)
        if self.cause is not None:
            raise DeviceError("i2c_b", 0x20, self.cause)

    def rung(self, rung: Rung) -> None:
        self.climbed.append(rung.value)
        if rung is self.cured_by:
            self.cause = None

    def hang(self, cause: Cause, cured_by: Rung | None) -> None:
        self.cause, self.cured_by = cause, cured_by


class Chip:
    """A driver of one transaction a sequence, which may fail by itself."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.cause: Cause | None = None
        self.switched: list[tuple[str, bool]] = []
        self.refuses: Cause | None = None

    def _ask(self) -> None:
        self.bus.transfer()
        if self.cause is not None:
            raise DeviceError("i2c_b", 0x20, self.cause)

    def initialise(self) -> Generator[None, None, None]:
        self._ask()
        yield from ()

    def acquire(self) -> Generator[None, None, int]:
        self._ask()
        yield from ()
        return 1

    def switch(self, rail: str, on: bool) -> Generator[None, None, None]:
        self._ask()
        if self.refuses is not None:
            raise DeviceError("i2c_a", 0x74, self.refuses)
        self.switched.append((rail, on))
        yield from ()


class Bench:
    """Two chips on one guarded bus, served once a tick."""

    def __init__(self, rungs: tuple[Rung, ...] = (Rung.CLEAR, Rung.DESELECT, Rung.REOPEN), power: bool = False) -> None:
        self.bus = Bus()
        self.events: deque[HealthEvent] = deque()
        self.chips = [Chip(self.bus), Chip(self.bus)]
        self.devices: list[ManagedDevice[int]] = [
            ManagedDevice(f"chip{i}", chip, 50 * MS, 200 * MS, self.events) for i, chip in enumerate(self.chips)
        ]
        self.unit_bus = Bus()
        self.unit = Chip(self.unit_bus)
        self.unit_device: ManagedDevice[int] = ManagedDevice("pdu", self.unit, SECOND, 5 * SECOND, self.events)
        self.unit_slots = BusSlots([self.unit_device])
        cycle = PowerCycle(self.unit_device, "sensors") if power else None  # type: ignore[arg-type]
        actions = [(rung, lambda rung=rung: self.bus.rung(rung)) for rung in rungs]
        self.guard = BusGuard(
            "i2c_b", actions, self.bus.transfer, InlineWorker(), self.events, cycle, self.devices,  # type: ignore[arg-type]
        )
        self.slots = BusSlots(self.devices, self.guard)
        self.now_ns = 0

    def fly(self, seconds: float) -> None:
        end = self.now_ns + round(seconds * SECOND)
        while self.now_ns < end:
            self.slots.step(self.now_ns)
            self.unit_slots.step(self.now_ns)
            if self.unit.switched:
                self.bus.powered = self.unit.switched[-1][1]
                if not self.bus.powered and self.bus.cured_by is Rung.POWER:
                    self.bus.cause = None
            self.now_ns += TICK


@pytest.mark.parametrize("cause", [Cause.TIMEOUT, Cause.STUCK_BUS])
@pytest.mark.parametrize("rung", [Rung.CLEAR, Rung.DESELECT, Rung.REOPEN])
def test_a_hung_bus_comes_back_by_the_first_rung_that_helps(cause: Cause, rung: Rung) -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.bus.hang(cause, rung)
    bench.fly(1.0)
    order = [Rung.CLEAR, Rung.DESELECT, Rung.REOPEN]
    assert bench.bus.climbed == [r.value for r in order[: order.index(rung) + 1]]
    assert bench.guard.in_service
    assert bench.guard.counters.cured_by == {rung.value: 1}
    assert all(device.state is DeviceState.OK for device in bench.devices)


def test_one_failed_transfer_takes_the_bus_out_and_no_slot_reaches_it_until_it_is_cured() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.bus.hang(Cause.STUCK_BUS, None)
    granted = bench.slots.granted
    bench.fly(0.2)
    assert not bench.guard.in_service
    # At most a period passes before the next slot is used; from the failure on none is granted.
    assert bench.slots.granted - granted <= 11
    failed = bench.devices[0].counters.failures + bench.devices[1].counters.failures
    assert failed == 1


def test_a_bus_that_nothing_helps_is_given_up_with_its_chips_and_tried_more_and_more_rarely() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.bus.hang(Cause.STUCK_BUS, None)
    bench.fly(2.0)
    assert bench.guard.state is DeviceState.LOST
    assert all(device.state is DeviceState.LOST for device in bench.devices)
    assert bench.devices[0].reading(bench.now_ns).quality is Quality.ABSENT
    rungs = len(bench.bus.climbed)
    bench.fly(30.0)
    early = len(bench.bus.climbed) - rungs
    bench.fly(120.0)
    late = len(bench.bus.climbed) - rungs - early
    assert 0 < late / 120.0 < early / 30.0
    bench.bus.cause = None
    bench.fly(61.0)
    assert bench.guard.in_service
    assert all(device.state is DeviceState.OK for device in bench.devices)


def test_a_bus_that_hangs_again_at_once_goes_on_at_the_next_rung() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.bus.hang(Cause.TIMEOUT, Rung.CLEAR)
    bench.fly(0.2)
    bench.bus.hang(Cause.TIMEOUT, Rung.DESELECT)
    bench.fly(0.5)
    assert bench.bus.climbed == ["clear", "deselect"]
    bench.fly(2.0)
    bench.bus.hang(Cause.TIMEOUT, Rung.CLEAR)
    bench.fly(1.0)
    assert bench.bus.climbed == ["clear", "deselect", "clear"]


def test_one_dead_chip_is_not_a_hung_bus() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.chips[0].cause = Cause.NACK_ADDRESS
    bench.fly(10.0)
    assert bench.guard.counters.hangs == 0
    assert bench.devices[0].state is DeviceState.LOST
    assert bench.devices[1].state is DeviceState.OK


def test_all_chips_failing_in_a_row_are_put_down_to_the_bus() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.bus.hang(Cause.NACK_ADDRESS, Rung.REOPEN)
    bench.fly(2.0)
    assert bench.guard.counters.cured_by == {"reopen": 1}
    assert all(device.state is DeviceState.OK for device in bench.devices)


def test_chips_that_fail_together_on_a_bus_that_works_are_left_to_their_own_ladder() -> None:
    bench = Bench()
    bench.fly(1.0)
    for chip in bench.chips:
        chip.cause = Cause.NACK_ADDRESS
    bench.fly(4.0)
    assert bench.bus.climbed == []
    assert bench.guard.in_service
    assert all(device.state is not DeviceState.OK for device in bench.devices)


def test_the_rail_is_cycled_last_and_its_chips_are_set_up_anew() -> None:
    bench = Bench(power=True)
    bench.fly(1.5)
    before = bench.devices[0].counters.initialisations
    bench.bus.hang(Cause.STUCK_BUS, Rung.POWER)
    bench.fly(2.0)
    assert bench.bus.climbed == ["clear", "deselect", "reopen"]
    assert bench.unit.switched == [("sensors", False), ("sensors", True)]
    assert bench.guard.in_service
    assert bench.guard.counters.cured_by == {"power": 1}
    assert bench.devices[0].counters.initialisations > before


def test_a_rail_is_not_cycled_twice_in_a_short_time() -> None:
    bench = Bench(power=True)
    bench.fly(1.5)
    bench.bus.hang(Cause.STUCK_BUS, None)
    bench.fly(20.0)
    assert bench.unit.switched.count(("sensors", False)) == 1


def test_a_unit_that_refuses_leaves_the_ladder_going() -> None:
    bench = Bench(power=True)
    bench.fly(1.5)
    bench.unit.refuses = Cause.IMPLAUSIBLE
    bench.bus.hang(Cause.STUCK_BUS, None)
    bench.fly(2.0)
    assert bench.guard.state is DeviceState.LOST
    bench.bus.cause = None
    bench.fly(10.0)
    assert bench.guard.in_service


def test_a_chip_that_holds_the_bus_again_and_again_is_left_alone() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.chips[0].cause = Cause.TIMEOUT
    bench.fly(60.0)
    assert bench.devices[0].state is not DeviceState.OK
    assert bench.guard.counters.hangs <= 8
    assert bench.devices[1].reading(bench.now_ns).ok


def test_events_tell_when_the_bus_goes_and_comes() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.events.clear()
    bench.bus.hang(Cause.STUCK_BUS, Rung.CLEAR)
    bench.fly(1.0)
    told = [(e.state, e.cause) for e in bench.events if e.device == "bus i2c_b"]
    assert told == [(DeviceState.DEGRADED, Cause.STUCK_BUS), (DeviceState.OK, None)]


def test_the_thread_worker_does_the_job_elsewhere_and_keeps_its_error() -> None:
    worker = ThreadWorker()
    gate = threading.Event()
    seen: list[int] = []

    def job() -> None:
        gate.wait(5.0)
        seen.append(threading.get_ident())
        raise DeviceError("i2c_b", None, Cause.STUCK_BUS)

    worker.start(job)
    assert not worker.done()
    gate.set()
    for _ in range(500):
        if worker.done():
            break
        threading.Event().wait(0.01)
    assert worker.done()
    assert seen[0] != threading.get_ident()
    assert worker.error is not None
    assert worker.error.cause is Cause.STUCK_BUS


def test_a_bus_that_was_held_for_a_moment_needs_no_rung_and_a_bus_without_rungs_is_asked_again() -> None:
    bench = Bench(rungs=())
    bench.fly(1.0)
    bench.bus.hang(Cause.TIMEOUT, None)
    bench.fly(3.0)
    assert not bench.guard.in_service
    bench.bus.cause = None
    bench.fly(8.0)
    assert bench.guard.in_service
    assert bench.guard.counters.cured_by == {"retry": 1}
    assert bench.guard.counters.attempts.keys() == {"retry"}


@pytest.mark.parametrize("cause", [Cause.ABSENT, Cause.PERMISSION])
@pytest.mark.parametrize(("selects", "address", "whole"), [
    (False, 0x20, True), (False, None, True), (True, None, True), (True, 0, False),
])
def test_only_a_select_can_be_missing_without_its_bus(
    cause: Cause, selects: bool, address: int | None, whole: bool
) -> None:
    guard = BusGuard("bus", [], lambda: None, InlineWorker(), deque(), selects=selects)
    guard.note("chip", DeviceError("bus", address, cause), 0)
    assert guard.in_service is not whole


def test_a_rail_is_ordered_on_again_when_the_unit_refuses_once() -> None:
    bench = Bench(power=True)
    bench.fly(1.5)
    bench.bus.hang(Cause.STUCK_BUS, Rung.POWER)
    while not bench.unit.switched:
        bench.fly(0.005)
    bench.unit.refuses = Cause.CHECKSUM
    bench.fly(0.25)
    assert bench.unit.switched == [("sensors", False)]
    bench.unit.refuses = None
    bench.fly(2.0)
    assert bench.unit.switched == [("sensors", False), ("sensors", True)]
    assert bench.guard.in_service


# -- rungs by order


def test_a_rung_that_a_bus_has_not_is_not_climbed() -> None:
    bench = Bench(rungs=(Rung.CLEAR,))
    bench.fly(1.0)
    assert [bench.guard.offers(rung) for rung in Rung] == [True, True, False, False, False]
    for rung in (Rung.DESELECT, Rung.REOPEN, Rung.POWER):
        assert not bench.guard.order(rung, bench.now_ns)
    assert bench.guard.in_service
    assert bench.guard.counters.ordered == 0


def test_a_bus_that_carries_nothing_after_an_ordered_rung_goes_on_from_there() -> None:
    bench = Bench()
    bench.fly(1.0)
    bench.bus.hang(Cause.STUCK_BUS, Rung.REOPEN)
    assert bench.guard.order(Rung.DESELECT, bench.now_ns)
    bench.fly(1.0)
    assert bench.bus.climbed == ["deselect", "reopen"]
    assert bench.guard.in_service
    assert bench.guard.counters.cured_by == {"reopen": 1}


def test_one_rung_is_under_way_at_most() -> None:
    bench = Bench(power=True)
    bench.fly(1.5)
    assert bench.guard.order(Rung.POWER, bench.now_ns)
    assert not bench.guard.order(Rung.CLEAR, bench.now_ns)
    assert not bench.guard.retry(bench.now_ns)
    bench.fly(1.0)
    assert bench.guard.in_service
    assert bench.guard.counters.attempts == {"power": 1}


def test_a_bus_on_which_somebody_gets_through_is_not_touched() -> None:
    through = [True]
    climbed: list[str] = []
    guard = BusGuard(
        "spi0", [(Rung.REOPEN, lambda: climbed.append("reopen"))], lambda: None, InlineWorker(), deque(),
        through=lambda: through[0],
    )
    guard.note("imu_b", DeviceError("spi0", 1, Cause.TIMEOUT), 0)
    assert guard.in_service
    assert not guard.order(Rung.REOPEN, 0)
    through[0] = False
    assert guard.order(Rung.REOPEN, 0)
    assert climbed == ["reopen"]


def test_a_rail_that_is_ordered_off_during_the_buss_own_cycle_does_not_leave_the_recovery_hanging() -> None:
    bench = Bench()
    lever: Lever[bool] = Lever(bench.unit_device, lambda on: bench.unit.switch("sensors", on), bool)
    cycle = PowerCycle(bench.unit_device, "sensors", lever)  # type: ignore[arg-type]
    bench.guard = BusGuard(
        "i2c_b", [], bench.bus.transfer, InlineWorker(), bench.events, cycle, bench.devices,  # type: ignore[arg-type]
    )
    bench.slots.guard = bench.guard
    bench.fly(1.5)
    assert bench.guard.order(Rung.POWER, bench.now_ns)
    bench.fly(0.1)
    lever.order(False)
    bench.fly(1.0)
    assert bench.unit.switched == [("sensors", False)]
    bench.unit.switched.append(("sensors", True))
    bench.fly(90.0)
    assert bench.guard.in_service
