"""Steps of the recovery ladder as they are ordered for one unit: what each means to it, and whether it can be done now.

A unit is a device of the board or a bus. One order a unit is under way at most; a step that means nothing to a unit,
or that can't be done now, is answered with False and has done nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any

from drivers.errors import DeviceError
from hal.heard import HeardDevice
from hal.imu_pair import ImuPair, InertialUnit
from hal.manager import ManagedDevice
from hal.power_cycle import PowerCycle
from hal.recovery import BusGuard, Rung
from hal.sensors import StarTrackerDevice
from hal.valve_nodes import ValveNodeWatch

__all__ = [
    "RecoveryStep", "Unit", "UnitRecovery", "guarded_bus", "heard_unit", "inertial_unit", "open_port", "polled_unit",
    "star_unit", "valve_node",
]

ORDER_LIMIT_NS = 5_000_000_000
"""An order whose end nobody has seen by then is over."""

Act = Callable[[int], bool]
"""Begins a step at a time in ns. False: not now, and nothing was done."""


@unique
class RecoveryStep(StrEnum):
    """Steps that the hal can carry out, mildest first."""

    RETRY = "retry"
    """Ask again at once, with the pauses begun anew."""
    RE_INIT = "re-init"
    """Set up anew from the identity check on, with the reset that the driver's set-up begins with."""
    RESET = "reset"
    """What a unit has for that outside its driver: the multiplexers' line, clocks on the bus, NMT."""
    POWER_CYCLE = "power-cycle"
    """Its own rail, or that of its bus, off and on again."""
    REDUNDANT = "redundant"
    """Another unit takes its place."""


@dataclass(frozen=True, slots=True, eq=False)
class Unit:
    """What can be done for one unit.

    ``attempts``: count that grows when the unit's present attempt ends, whichever way; ``None`` where an order is over
    once it was taken. ``cycle``: the rail that feeds this device only; ``powered`` is called when it is up again.
    """

    acts: Mapping[str, Act]
    attempts: Callable[[], int] | None = None
    cycle: PowerCycle | None = None
    powered: Callable[[int], object] | None = None


@dataclass(slots=True)
class _Order:
    attempts: int
    until_ns: int


@dataclass(slots=True)
class RecoveryCounters:
    """What became of orders since start, by step."""

    begun: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    rails_failed: int = 0
    """Power cycles of single devices that the distribution unit did not carry out."""


class UnitRecovery:
    """Takes the orders of the recovery ladder.

    Args:
        units: name to what can be done; buses as ``bus <name>``.
    """

    def __init__(self, units: Mapping[str, Unit]) -> None:
        self._units = units
        self._orders: dict[str, _Order] = {}
        self._cycling: list[Unit] = []
        self.counters = RecoveryCounters()

    def order(self, step: str, unit: str, now_ns: int) -> bool:
        """Begin a step for a unit. False: unknown, not for this unit, or not now."""
        begun = self._begin(step, unit, now_ns)
        table = self.counters.begun if begun else self.counters.refused
        table[step] = table.get(step, 0) + 1
        return begun

    def service(self, now_ns: int) -> None:
        """Go on with the rails that are being cycled; once a medium tick. Never raises DeviceError."""
        for unit in tuple(self._cycling):
            cycle = unit.cycle
            up = False
            if cycle is not None:
                try:
                    up = cycle.step(now_ns)
                except DeviceError:
                    self.counters.rails_failed += 1
                if cycle.under_way:
                    continue
            self._cycling.remove(unit)
            if up and unit.powered is not None:
                unit.powered(now_ns)

    def _begin(self, step: str, name: str, now_ns: int) -> bool:
        unit = self._units.get(name)
        if unit is None or unit in self._cycling or self._under_way(name, unit, now_ns):
            return False
        if step == RecoveryStep.POWER_CYCLE and unit.cycle is not None:
            begun = unit.cycle.begin(now_ns)
            if begun:
                self._cycling.append(unit)
            return begun
        act = unit.acts.get(step)
        if act is None or not act(now_ns):
            return False
        if unit.attempts is not None and step in _ATTEMPTS:
            self._orders[name] = _Order(unit.attempts(), now_ns + ORDER_LIMIT_NS)
        return True

    def _under_way(self, name: str, unit: Unit, now_ns: int) -> bool:
        order = self._orders.get(name)
        if order is None or unit.attempts is None:
            return False
        if now_ns < order.until_ns and unit.attempts() == order.attempts:
            return True
        del self._orders[name]
        return False


_ATTEMPTS = frozenset({RecoveryStep.RETRY, RecoveryStep.RE_INIT, RecoveryStep.RESET})
"""Steps after which the unit has to show something."""


# -- the kinds of units


def polled_unit(
    device: ManagedDevice[Any], guard: BusGuard, *, switched: bool, cycle: PowerCycle | None = None,
    in_slots: Callable[[], bool] = lambda: True,
) -> Unit:
    """A device that is asked in slots.

    Args:
        device: the device.
        guard: of its bus. While the bus is out of service, all that can be done is done to the bus.
        switched: whether it is a multiplexer or behind one, so that the multiplexers' reset may free it.
        cycle: of the rail that feeds it alone.
        in_slots: whether it is served in slots now: the flown inertial unit is not.
    """

    def usable() -> bool:
        return guard.in_service or not in_slots()

    def retry(now_ns: int) -> bool:
        return usable() and device.retry(now_ns)

    def re_init(now_ns: int) -> bool:
        if usable():
            device.restart(now_ns)
        return usable()

    def reset(now_ns: int) -> bool:
        return switched and usable() and guard.order(Rung.DESELECT, now_ns)

    def attempts() -> int:
        counters = device.counters
        return counters.failures + counters.samples + counters.initialisations

    return Unit(
        {
            RecoveryStep.RETRY: retry, RecoveryStep.RE_INIT: re_init, RecoveryStep.RESET: reset,
            RecoveryStep.POWER_CYCLE: lambda now_ns: usable() and guard.order(Rung.POWER, now_ns),
        },
        attempts, cycle, device.restart,
    )


def inertial_unit(unit: InertialUnit, pair: ImuPair, guard: BusGuard) -> Unit:
    """An inertial unit, which another one may replace while it is flown."""
    base = polled_unit(unit.device.managed, guard, switched=False, in_slots=lambda: pair.flown is not unit)
    return Unit(
        {**base.acts, RecoveryStep.REDUNDANT: lambda now_ns: pair.flown is unit and pair.switch(now_ns)}, base.attempts
    )


def heard_unit(device: HeardDevice[Any], cycle: PowerCycle | None = None) -> Unit:
    """A device that speaks by itself."""

    def attempts() -> int:
        return device.counters.failures + device.counters.samples

    def re_init(now_ns: int) -> bool:
        return device.reachable and device.restart(now_ns)

    return Unit({RecoveryStep.RETRY: device.retry, RecoveryStep.RE_INIT: re_init}, attempts, cycle, device.restart)


def star_unit(star: StarTrackerDevice) -> Unit:
    """The star tracker: it speaks by itself, and nothing can be asked of it."""
    return Unit({RecoveryStep.RE_INIT: lambda _now_ns: star.restart()})


def valve_node(watch: ValveNodeWatch, name: str) -> Unit:
    """A valve node: its driver asks it by itself, and every set-up begins with its reset."""
    return Unit({RecoveryStep.RESET: lambda now_ns: watch.reset(name, now_ns)}, lambda: watch.attempts(name))


def guarded_bus(guard: BusGuard) -> Unit:
    """A bus with slots. To set it up anew is to open its adapter anew; to reset it, what frees a chip that holds it."""

    def reset(now_ns: int) -> bool:
        return guard.order(Rung.DESELECT if guard.offers(Rung.DESELECT) else Rung.CLEAR, now_ns)

    return Unit({
        RecoveryStep.RETRY: guard.retry,
        RecoveryStep.RE_INIT: lambda now_ns: guard.order(Rung.REOPEN, now_ns),
        RecoveryStep.RESET: reset,
        RecoveryStep.POWER_CYCLE: lambda now_ns: guard.order(Rung.POWER, now_ns),
    })


def open_port(reopen: Callable[[], None]) -> Unit:
    """A bus without slots whose adapter can be opened anew."""

    def re_init(_now_ns: int) -> bool:
        with suppress(DeviceError):
            reopen()
            return True
        return False

    return Unit({RecoveryStep.RE_INIT: re_init})
