"""The recovery ladder of one fault: rung after rung while it lasts, rate-limited, and never round in a circle.

The first rung is taken as soon as the fault trips; the next one once its predecessor has had its time and the fault
still stands. A fault that comes back soon after a cure goes on where the cure was found too weak, so that two rungs
never take turns. A ladder that has come to its end, or that has been climbed too often, stays where it is and says so.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Protocol

__all__ = [
    "ACTIONS_AT_MOST", "ACTIONS_WITHIN_NS", "OWN_STEPS", "RELAPSE_NS", "Climb", "Ladder", "RecoveryPort", "Rung",
    "Step", "Verdict",
]

SECOND = 1_000_000_000
RELAPSE_NS = 60 * SECOND
"""A fault that trips again within this time of its clearing was not cured: the climb goes on."""
ACTIONS_AT_MOST = 6
ACTIONS_WITHIN_NS = 600 * SECOND
"""Steps that one ladder may take in that time; SAFE is never held back."""


@unique
class Step(StrEnum):
    """What a rung does, from the mildest on."""

    RETRY = "retry"
    REINIT = "re-init"
    RESET = "reset"
    POWER_CYCLE = "power-cycle"
    REDUNDANT = "redundant"
    DEGRADE = "degrade"
    """Go on without it; the ladder has nothing more to try."""
    SAFE = "safe"
    RESTART = "restart"
    """End the program, so that its supervisor starts it anew."""


OWN_STEPS = frozenset({Step.DEGRADE, Step.SAFE, Step.RESTART})
"""Steps of the core itself; all others are the hardware's."""


class RecoveryPort(Protocol):
    """Who carries out a step on a device or a bus."""

    def recover(self, step: str, unit: str, now_ns: int) -> bool:
        """Begin a step; False: it does not apply to that unit, or cannot be taken now."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One step and the time it has to show an effect."""

    step: Step
    wait_ns: int


@unique
class Verdict(StrEnum):
    """What became of a rung."""

    TAKEN = "taken"
    SKIPPED = "skipped"
    """It does not apply, or cannot be taken now."""
    HELD = "held"
    """Too many steps in too short a time."""
    EXHAUSTED = "exhausted"
    """The last rung is taken, and the fault stands."""


@dataclass(frozen=True, slots=True)
class Climb:
    """What a ladder did, for the log. ``step`` is ``None`` where no rung was left."""

    verdict: Verdict
    step: Step | None


class Ladder:
    """Rungs of one fault and how far they are climbed.

    Args:
        rungs: in the order in which they are taken; may be empty.
        unit: device or bus that the steps are for; empty for a fault of no unit.
    """

    __slots__ = ("_cleared_ns", "_due_ns", "_held", "_next", "_taken", "rungs", "safe", "unit")

    def __init__(self, rungs: tuple[Rung, ...], unit: str = "") -> None:
        self.rungs = rungs
        self.unit = unit
        self.safe = False
        """The rung SAFE was taken for the fault that stands."""
        self._next = 0
        self._due_ns: int | None = None
        self._cleared_ns: int | None = None
        self._taken: deque[int] = deque()
        self._held = False

    @property
    def last(self) -> Step | None:
        """The rung taken last."""
        return self.rungs[self._next - 1].step if self._next else None

    @property
    def climbing(self) -> bool:
        """Whether a fault stands for which there may be something left to try."""
        return self._due_ns is not None

    def start(self, now_ns: int) -> None:
        """The fault has tripped: the next call of ``step`` takes a rung."""
        relapse = self._cleared_ns is not None and now_ns - self._cleared_ns < RELAPSE_NS
        if not relapse:
            self._next = 0
        elif self._next == len(self.rungs) and self.last is Step.SAFE:
            # Nothing else is left, and somebody has led the craft out of SAFE again.
            self._next -= 1
        self._due_ns = now_ns if self.rungs else None
        self._held = False

    def clear(self, now_ns: int) -> None:
        """The fault has cleared."""
        self._due_ns = None
        self._cleared_ns = now_ns
        self.safe = False

    def rearm(self, now_ns: int) -> None:
        """SAFE was left though the fault may stand, by a person's word: it is due again as soon as that is known."""
        self.safe = False
        self._next = next(index for index, rung in enumerate(self.rungs) if rung.step is Step.SAFE)
        self._due_ns = now_ns

    def step(self, now_ns: int, bad: bool, port: RecoveryPort) -> Climb | None:
        """Take the next rung if it is due and the fault still stands (``bad``); ``None``: nothing was due."""
        if self._due_ns is None or now_ns < self._due_ns or not bad:
            return None
        if self._next >= len(self.rungs):
            self._due_ns = None
            return Climb(Verdict.EXHAUSTED, None)
        rung = self.rungs[self._next]
        if rung.step is not Step.SAFE and self._too_often(now_ns):
            ahead = tuple(rung.step for rung in self.rungs[self._next:])
            if Step.SAFE not in ahead:
                return self._hold(rung.step)
            # What was tried too often has not helped, and SAFE is never held back.
            self._next += ahead.index(Step.SAFE)
            rung = self.rungs[self._next]
        self._held = False
        self._next += 1
        if rung.step in OWN_STEPS:
            self.safe = self.safe or rung.step is Step.SAFE
        elif not port.recover(rung.step.value, self.unit, now_ns):
            return Climb(Verdict.SKIPPED, rung.step)
        if rung.step is not Step.SAFE:
            self._taken.append(now_ns)
        ended = self._next == len(self.rungs) and rung.step in OWN_STEPS
        self._due_ns = None if ended else now_ns + rung.wait_ns
        return Climb(Verdict.TAKEN, rung.step)

    def _too_often(self, now_ns: int) -> bool:
        while self._taken and now_ns - self._taken[0] >= ACTIONS_WITHIN_NS:
            self._taken.popleft()
        return len(self._taken) >= ACTIONS_AT_MOST

    def _hold(self, step: Step) -> Climb | None:
        """Said once; tried again as soon as the time allows."""
        if self._held:
            return None
        self._held = True
        return Climb(Verdict.HELD, step)
