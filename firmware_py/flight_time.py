"""Flight time in a process beside the flight loop, as its messages tell it: its clock is never asked twice.

The difference to this machine's monotonic clock is that of the least delayed message. A flight program that was started
anew begins its time anew.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["FlightTime"]


class FlightTime:
    """What time it is in the flight loop.

    Args:
        monotonic_ns: clock of this machine.

    Attributes:
        start: number of the flight program's start, as last told; ``None`` if it has told none.
    """

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._offset_ns: int | None = None
        self._last_ns: int | None = None
        self.start: int | None = None

    @property
    def now_ns(self) -> int | None:
        """Flight time, as far as it is known here."""
        return None if self._offset_ns is None else self._monotonic_ns() + self._offset_ns

    def see(self, now_ns: int, start: int | None) -> bool:
        """A message says what time it is there; whether the flight program was started anew since the last one."""
        offset_ns = now_ns - self._monotonic_ns()
        last_ns = self._last_ns
        anew = last_ns is not None and (now_ns < last_ns or (self.start is not None and start != self.start))
        if anew or self._offset_ns is None or offset_ns > self._offset_ns:
            # The least delayed message is the best witness of the other clock.
            self._offset_ns = offset_ns
        self._last_ns, self.start = now_ns, start
        return anew
