"""What the bus current says: how near it is to its limit, and whether switching a load has made the step it should.

Both take each sample once, by its own time. While no sample comes, a level that is held stays and its clocks stand.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum, unique

__all__ = ["BusGuard", "BusLevel", "StepWatch"]

MS = 1_000_000
SECOND = 1_000_000_000

NEAR_SHARE = 0.8
HARD_SHARE = 1.2
"""CANON sections 5 and 10.2: near 4 A, overload 5 A, hard 6 A."""
PERSIST_NS = 2 * SECOND
HARD_PERSIST_NS = 20 * MS
CLEAR_NS = SECOND
RELIEVED_NS = 200 * MS
"""Time at or below the limit after which nothing more need be opened: four samples of a 20 Hz monitor."""
LOST_NS = SECOND
"""Age of the newest sample from which nothing is known of the bus."""

BEFORE_NS = 500 * MS
STEP_FROM_NS, STEP_TO_NS = 500 * MS, SECOND
"""Samples up to half a second before an order, and from half a second to a second after it, are compared."""
STEP_SAMPLES = 3
QUIET_SHARE = 0.25
"""Both sides must be steady within that share of the nominal step."""
STEP_SEEN, STEP_MISSED = 0.6, 0.2
"""Share of the nominal step from which it was made, and up to which it was not; between them nobody can say."""
LEAST_STEP_A = 0.15
"""Smallest nominal current whose step is looked for: 3 % of the limit."""


@unique
class BusLevel(IntEnum):
    """Load of the bus, each level after its persistence."""

    UNKNOWN = -1
    NOMINAL = 0
    NEAR = 1
    OVER = 2


class _Persistent:
    """True after ``set_ns`` of true, false after ``clear_ns`` of false."""

    __slots__ = ("_clear_ns", "_set_ns", "_since", "on")

    def __init__(self, set_ns: int, clear_ns: int) -> None:
        self._set_ns, self._clear_ns = set_ns, clear_ns
        self._since: int | None = None
        self.on = False

    def step(self, condition: bool, t_ns: int) -> bool:
        if condition is self.on:
            self._since = None
            return self.on
        if self._since is None:
            self._since = t_ns
        if t_ns - self._since >= (self._set_ns if condition else self._clear_ns):
            self.on, self._since = condition, None
        return self.on


class BusGuard:
    """Levels of the bus current against its limit (A)."""

    def __init__(self, limit_a: float) -> None:
        self.limit_a = limit_a
        self._near_a, self._hard_a = NEAR_SHARE * limit_a, HARD_SHARE * limit_a
        self._near = _Persistent(PERSIST_NS, CLEAR_NS)
        self._over = _Persistent(PERSIST_NS, RELIEVED_NS)
        self._hard = _Persistent(HARD_PERSIST_NS, RELIEVED_NS)
        self._sample_ns = -LOST_NS
        self.amperes: float | None = None
        """The newest sample, ``None`` when there has been none for a second."""
        self.over_since_ns: int | None = None
        """Time of the first sample of the present over-current, whether it has persisted or not."""

    def step(self, amperes: float | None, t_ns: int, now_ns: int) -> bool:
        """Take the newest usable sample with its time; returns whether it was a new one."""
        if amperes is None or t_ns <= self._sample_ns:
            if now_ns - self._sample_ns > LOST_NS:
                self.amperes = None
            return False
        self.amperes, self._sample_ns = amperes, t_ns
        over = amperes > self.limit_a
        if not over:
            self.over_since_ns = None
        elif self.over_since_ns is None:
            self.over_since_ns = t_ns
        self._near.step(amperes > self._near_a, t_ns)
        self._over.step(over, t_ns)
        # Once it has tripped it is over when the current is within the limit, not within the trip level.
        self._hard.step(over if self._hard.on else amperes > self._hard_a, t_ns)
        return True

    @property
    def tripped(self) -> bool:
        """Whether the limit was passed long enough for something to be opened."""
        return self._over.on or self._hard.on

    @property
    def level(self) -> BusLevel:
        """How loaded the bus is."""
        if self.tripped:
            return BusLevel.OVER
        if self.amperes is None:
            return BusLevel.UNKNOWN
        return BusLevel.NEAR if self._near.on else BusLevel.NOMINAL


class StepWatch:
    """Looks for the step in the bus current that switching one load should make, one load at a time."""

    def __init__(self) -> None:
        self._samples: deque[tuple[int, float]] = deque(maxlen=64)
        self._after: list[float] = []
        self._before_a = self._nominal_a = 0.0
        self._order_ns = 0
        self.name: str | None = None
        """The load that is being watched."""

    def sample(self, t_ns: int, amperes: float) -> None:
        """Take one new sample of the bus current."""
        self._samples.append((t_ns, amperes))
        if self.name is not None and STEP_FROM_NS <= t_ns - self._order_ns <= STEP_TO_NS:
            self._after.append(amperes)

    def order(self, name: str, on: bool, nominal_a: float, now_ns: int) -> None:
        """A load that nothing else shows was switched. Another one that is still watched can't be judged any more."""
        if self.name is not None or nominal_a < LEAST_STEP_A:
            self.cancel()
            return
        before = [a for t, a in self._samples if t >= now_ns - BEFORE_NS]
        self.name = name
        self._order_ns = now_ns
        self._nominal_a = nominal_a if on else -nominal_a
        self._after = []
        mean = _steady(before, nominal_a)
        if mean is None:
            self.cancel()
        else:
            self._before_a = mean

    def cancel(self) -> None:
        """Something else has changed the bus current."""
        self.name = None

    def verdict(self, now_ns: int) -> tuple[str, bool | None] | None:
        """Once the time is up: the load, and whether its step was made (``None``: can't be said)."""
        if self.name is None or now_ns - self._order_ns <= STEP_TO_NS:
            return None
        name, self.name = self.name, None
        after = _steady(self._after, abs(self._nominal_a))
        if after is None:
            return name, None
        made = (after - self._before_a) / self._nominal_a
        if made >= STEP_SEEN:
            return name, True
        return name, False if abs(made) <= STEP_MISSED else None


def _steady(samples: list[float], nominal_a: float) -> float | None:
    """Their mean, if there are enough and they differ little."""
    if len(samples) < STEP_SAMPLES or max(samples) - min(samples) > QUIET_SHARE * nominal_a:
        return None
    return sum(samples) / len(samples)
