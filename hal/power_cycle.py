"""Takes a rail's power away and gives it back: staged over ticks, rate-limited, never against who switches the rail.

A cycle is two orders to the power distribution unit, with a wait after each; nobody waits for it. The rail never stays
off for one spoilt transfer, and it never stays on when it was ordered off meanwhile.
"""

from __future__ import annotations

from drivers.errors import Cause, DeviceError
from hal.levers import Lever
from hal.manager import ManagedDevice, Task

__all__ = ["PowerCycle"]

MS = 1_000_000
SECOND = 1_000_000_000
POWER_REST_NS = 30 * SECOND
"""A rail is not cycled again before this has passed."""
POWER_OFF_NS = 200 * MS
ON_ORDERS = 5
"""How often a rail is ordered on before the unit's refusal is believed."""
POWER_UP_NS = 100 * MS
POWER_BEGIN_NS = 5 * SECOND
"""A unit that has not begun an order in this time has failed itself; the cycle is given up."""


class PowerCycle:
    """Takes a rail's power away and gives it back, through slots of the power distribution unit's own bus.

    A rail has one, whoever asks for it. Who else switches the rail sends nothing meanwhile; his newest order is
    repeated afterwards, and a rail that he wants off is not cycled at all.

    Args:
        unit: the unit as a managed device; its driver has ``switch(rail, on)``.
        rail: name of the rail there.
        lever: of the rail, if it is a load's.
    """

    __slots__ = ("_error", "_lever", "_off", "_on", "_on_orders", "_rested_ns", "_task", "_unit", "_until_ns", "rail")

    def __init__(self, unit: ManagedDevice[object], rail: str, lever: Lever[bool] | None = None) -> None:
        self.rail = rail
        self._unit = unit
        self._lever = lever
        self._task: Task | None = None
        self._off = self._on = False
        self._on_orders = 0
        self._until_ns = 0
        self._rested_ns = 0
        self._error: DeviceError | None = None

    @property
    def under_way(self) -> bool:
        """Whether the rail is being cycled."""
        return self._task is not None

    def begin(self, now_ns: int) -> bool:
        """Order the rail off. False: not now.

        The unit takes no orders, a cycle is under way or ended less than ``POWER_REST_NS`` ago, or the rail is to be
        off.
        """
        lever = self._lever
        if self._task is not None or now_ns < self._rested_ns or not self._unit.ready:
            return False
        if lever is not None:
            if lever.wanted is False:
                return False
            lever.lend()
        self._off = self._on = False
        self._on_orders, self._error = 0, None
        self._until_ns = now_ns + POWER_BEGIN_NS
        self._task = self._order(False)
        return True

    def step(self, now_ns: int) -> bool:
        """Whether the rail is up again and its chips have had time to start. Raises DeviceError of the unit, once.

        An order off that failed may have been carried out: the rail is ordered on again before that is told.
        """
        task = self._task
        if task is None:
            return False
        if not task.done:
            if now_ns >= self._until_ns and task in self._unit.tasks:
                if not self._off:
                    self._unit.tasks.remove(task)
                # An order on stays where it is: it is the first thing that the unit does when it takes orders again.
                self._end(now_ns)
                raise DeviceError(self._unit.name, None, Cause.TIMEOUT, f"rail {self.rail}: the unit takes no orders")
            return False
        if task.error is not None:
            if self._on_orders >= ON_ORDERS or self._unwanted:
                self._end(now_ns)
                raise task.error
            if not self._on_orders:
                self._error = task.error
            self._order_on(now_ns)  # the rail must not stay off for one spoilt transfer
            return False
        if not self._off:
            self._off, self._until_ns = True, now_ns + POWER_OFF_NS
        elif self._on_orders and not self._on:
            self._on, self._until_ns = True, now_ns + POWER_UP_NS
        if now_ns < self._until_ns:
            return False
        if not self._on_orders:
            if self._unwanted:
                self._end(now_ns)
                return False
            self._order_on(now_ns)
            return False
        self._end(now_ns)
        if self._error is not None:
            raise self._error
        return True

    @property
    def _unwanted(self) -> bool:
        """Whether who switches the rail has ordered it off meanwhile: it stays so."""
        return self._lever is not None and self._lever.wanted is False

    def _order_on(self, now_ns: int) -> None:
        self._off = True
        self._on_orders += 1
        self._until_ns = now_ns + POWER_BEGIN_NS
        self._task = self._order(True)

    def _order(self, on: bool) -> Task:
        return self._unit.order(self._unit.device.switch(self.rail, on))  # type: ignore[attr-defined]

    def _end(self, now_ns: int) -> None:
        self._task = None
        self._rested_ns = now_ns + POWER_REST_NS
        if self._lever is not None:
            self._lever.give_back()
