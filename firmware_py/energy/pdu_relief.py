"""Over-current of the whole bus: which line is opened, and whether it was the cause.

Shedding comes first and gets its time; a line that plainly draws too much is opened without waiting for it. After that
one line at a time is opened, the likeliest first, and the bus current is compared: a line whose opening takes more off
than it may draw was the cause (it is counted, retried and finally latched); any other was only in the way and comes
back when there is room.
"""

from __future__ import annotations

from collections.abc import Iterable

from firmware_py.energy.pdu_bus import BusGuard
from firmware_py.energy.pdu_line import Line

__all__ = ["Relief"]

MS = 1_000_000
SECOND = 1_000_000_000
SHED_NS = 300 * MS
"""Time for shed loads to be off: a switch order takes up to four slots of the slow bus, the monitor 50 ms."""
TEST_NS = 300 * MS
RECENT_NS = 3 * SECOND
"""A load closed up to that long before the over-current began may be its cause."""
EXCESS_SHARE, EXCESS_A = 0.2, 0.1
"""A load draws above its nominal current from that much more on."""
FIRST, LAST = ("lidar", "nbl"), ("heater_battery", "radar", "transponder", "processor")
"""Who gives way first and last, as in shedding, which never takes the processor; other loads and other heaters, in
board order, between."""


class Relief:
    """Opens lines until the bus is within its limit.

    Args:
        lines: those of the distribution unit, in board order; base loads and lines without a switch are left alone.
        guard: the levels of the bus.

    ``unsolved``: it is still over with everything open that may be.
    """

    def __init__(self, lines: Iterable[Line], guard: BusGuard) -> None:
        order = {name: rank - len(FIRST) for rank, name in enumerate(FIRST)}
        order |= {name: rank + 1 for rank, name in enumerate(LAST)}
        able = [line for line in lines if line.switched and not line.rule.base]
        self._lines = sorted(able, key=lambda line: order.get(line.rule.name, 0))
        self._guard = guard
        self._active = False
        self._next_ns = 0
        self._tested: Line | None = None
        self._before_a = 0.0
        self.unsolved = False

    def step(self, now_ns: int, fresh: bool) -> tuple[Line | None, Line | None]:
        """Returns the line to open now, and the one that has been found to be the cause. ``fresh``: a new sample."""
        guard = self._guard
        if not guard.tripped:
            self._active = self.unsolved = False
            return None, self._conclude(now_ns) if self._tested is not None else None
        if not fresh or guard.over_since_ns is None:
            # Nothing new, or what is open is enough already and only has to last.
            return None, None
        if not self._active:
            self._active = True
            self._next_ns = now_ns + SHED_NS
        line, plain = self._suspect(now_ns)
        if now_ns < self._next_ns and not (plain and self._tested is None):
            return None, None
        cause = self._conclude(now_ns)
        if line is None:
            self.unsolved = True
            return None, cause
        self._tested = line
        self._before_a = guard.amperes or 0.0
        self._next_ns = now_ns + TEST_NS
        line.hold(now_ns)
        return line, cause

    def disturb(self) -> None:
        """Another load was switched meanwhile: what the current does now proves nothing of the line that is open."""
        self._tested = None

    def _conclude(self, now_ns: int) -> Line | None:
        line, self._tested = self._tested, None
        amperes = self._guard.amperes
        if line is None or amperes is None or self._before_a - amperes <= line.limit_a:
            return None
        line.trip(now_ns)
        return line

    def _suspect(self, now_ns: int) -> tuple[Line | None, bool]:
        """The next line to open, and whether it plainly draws too much."""
        best: Line | None = None
        best_key = (9, 0.0)
        for rank, line in enumerate(self._lines):
            if line.told is False:
                continue
            key = self._guilt(line, rank, now_ns)
            if key < best_key:
                best, best_key = line, key
        return best, best_key[0] <= 1

    def _guilt(self, line: Line, rank: int, now_ns: int) -> tuple[int, float]:
        """Least is most suspect: above nominal by its own monitor; closed just before the current rose by too much;
        not measured; healthy by its own monitor."""
        amperes = line.current(now_ns)
        if amperes is not None:
            excess = amperes - line.nominal_a
            if excess > max(EXCESS_SHARE * line.nominal_a, EXCESS_A):
                return 0, -excess
        elif line.before_a is not None and self._guard.amperes is not None:
            since = self._guard.over_since_ns
            recent = since is not None and line.changed_ns >= since - RECENT_NS
            if recent and self._guard.amperes - line.before_a > line.limit_a:
                return 1, -float(line.changed_ns)
        return (2 if amperes is None else 3), float(rank)
