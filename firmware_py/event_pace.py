"""Keeps what happens many times a second out of the record's way: the first is told at once, then four a second.

What was left out is counted and told with the next one, so that nothing is lost but the moment of each. A computer that
is too slow tells of its lost ticks most often just when it has no time to write.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from firmware_py.scheduler import EventCode

__all__ = ["GAP_NS", "EventPace"]

GAP_NS = 250_000_000
"""Least flight time between two events of one code."""
PACED = (EventCode.CPU_OVERRUN, EventCode.CPU_OVERRUN_RESET, EventCode.CPU_OVERRUN_STOP, EventCode.TICKS_LOST)
"""Those that a slow computer repeats without end; the others latch, or are thinned out by who tells them."""

Detail = tuple[str | int, ...]


@dataclass(slots=True)
class _Held:
    """One code: when it was told, and what has come since."""

    told_ns: int
    count: int = 0
    total: int = 0
    """Of the numbers in their details; for TICKS_LOST the ticks."""
    last: str = ""


class EventPace:
    """Owner of what waits to be told.

    Args:
        tell: takes code and text. ``TICKS_LOST`` is the number of ticks, of several gaps their sum; the others are the
            last detail; all say of how many they speak if it is more than one.
    """

    def __init__(self, tell: Callable[[EventCode, str], None]) -> None:
        self._tell = tell
        self._held: dict[EventCode, _Held] = {}
        self._waiting = False

    def take(self, code: EventCode, detail: Detail, now_ns: int) -> None:
        """Tell it now, or count it."""
        text = " ".join(map(str, detail))
        if code not in PACED:
            self._tell(code, text)
            return
        held = self._held.get(code)
        if held is None:
            held = self._held[code] = _Held(now_ns - GAP_NS)
        if not held.count and now_ns - held.told_ns >= GAP_NS:
            held.told_ns = now_ns
            self._tell(code, text)
            return
        held.count += 1
        held.total += sum(part for part in detail if isinstance(part, int))
        held.last = text
        self._waiting = True

    def step(self, now_ns: int) -> None:
        """Tell what has waited long enough. Once a tick."""
        if self._waiting:
            for code, held in self._held.items():
                if held.count and now_ns - held.told_ns >= GAP_NS:
                    self._settle(code, held)
                    held.told_ns = now_ns
            self._waiting = any(held.count for held in self._held.values())

    def flush(self) -> None:
        """Tell all that waits: nothing comes after it."""
        for code, held in self._held.items():
            if held.count:
                self._settle(code, held)
        self._waiting = False

    def _settle(self, code: EventCode, held: _Held) -> None:
        text = held.last
        if held.count > 1:
            lost = code is EventCode.TICKS_LOST
            text = f"{held.total} in {held.count} gaps" if lost else f"{text}, {held.count} times".lstrip(", ")
        held.count, held.total = 0, 0
        self._tell(code, text)
