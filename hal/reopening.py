"""Opens a bus anew that is gone, for those who use it outside the slots of its guard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from drivers.bus.protocol import ReopenableBus
from drivers.errors import Cause, DeviceError
from hal.recovery import BusGuard

__all__ = ["Reopener", "absences"]

SECOND = 1_000_000_000
REOPEN_FIRST_NS = SECOND
REOPEN_LONGEST_NS = 60 * SECOND


class Reopener:
    """Opens a bus anew that is gone, for those who use it outside the slots: after a second, then ever more rarely.

    Args:
        bus: the bus.
        absences: how many transfers have failed so far because it is not there.
        well: whether the user is served.
        again: told when it is open, so that the user asks at once.
        guard: whose recovery may have the bus in hand.
    """

    __slots__ = ("_absences", "_again", "_bus", "_due_ns", "_gone", "_guard", "_pause_ns", "_seen", "_well")

    def __init__(
        self, bus: ReopenableBus, absences: Callable[[], int], well: Callable[[], bool],
        again: Callable[[int], None] | None, guard: BusGuard | None,
    ) -> None:
        self._bus = bus
        self._absences = absences
        self._well = well
        self._again = again
        self._guard = guard
        self._gone = False
        self._seen = 0
        self._due_ns = 0
        self._pause_ns = 0

    def step(self, now_ns: int) -> None:
        """Look whether it is gone, and open it if that is due. Never raises DeviceError."""
        if self._well():
            self._gone, self._pause_ns = False, 0
        count = self._absences()
        if count > self._seen:
            self._gone, self._seen = True, count
        if not self._gone or now_ns < self._due_ns or (self._guard is not None and not self._guard.in_service):
            return
        first = not self._pause_ns
        self._pause_ns = REOPEN_FIRST_NS if first else min(2 * self._pause_ns, REOPEN_LONGEST_NS)
        self._due_ns = now_ns + self._pause_ns
        if first:  # an adapter that is being set up comes back by itself
            return
        with suppress(DeviceError):  # the next transfer says why
            self._bus.reopen()
            self._gone = False
            if self._again is not None:
                self._again(now_ns)


def absences(by_cause: Mapping[Any, int]) -> int:
    """Failures because a bus is not there, of counters by cause or by its word."""
    causes = (Cause.ABSENT, Cause.PERMISSION)
    return sum(by_cause.get(cause, 0) + by_cause.get(cause.value, 0) for cause in causes)
