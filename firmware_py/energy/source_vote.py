"""Sources of one charge that contradict each other: how long they do, and whom to follow. Never an average."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, unique
from math import sqrt
from typing import NamedTuple

__all__ = ["GATE", "PERSIST_S", "Choice", "Dissent", "Vote", "decide"]

GATE = 3.0
"""Sigmas within which two sources agree."""
PERSIST_S = 30.0
"""P: a disagreement shorter than this is no verdict (what disagrees is not used meanwhile)."""


class Vote(NamedTuple):
    """What one source says the charge is, and how sure it may be of that."""

    name: str
    soc: float
    sigma: float


@unique
class Choice(Enum):
    """Whom to follow: the count, the lower of two equal groups, or the group against the count."""

    COUNT = "count"
    LOWER = "lower"
    OVERRULED = "overruled"


class Dissent:
    """How long one source has disagreed with the count: a verdict from ``persist_s`` on, withdrawn after as long again.

    ``now`` says whether it differs at this moment, ``conflict`` is the verdict.
    """

    __slots__ = ("_held_s", "_persist_s", "conflict", "now")

    def __init__(self, persist_s: float = PERSIST_S) -> None:
        self._persist_s = persist_s
        self._held_s, self.conflict, self.now = 0.0, False, False

    def see(self, differs: bool, dt_s: float, at_once: bool = False) -> None:
        """Take one comparison that stood for ``dt_s`` s; ``at_once`` where nothing is known that it could wait for."""
        self.now = differs
        if differs:
            self._held_s = self._persist_s if at_once else min(self._persist_s, self._held_s + dt_s)
        else:
            self._held_s = max(0.0, self._held_s - dt_s)
        self.conflict = self._held_s >= self._persist_s if not self.conflict else self._held_s > 0.0

    def forget(self) -> None:
        """The source is gone, or was followed."""
        self._held_s, self.conflict, self.now = 0.0, False, False


def decide(against: Sequence[Vote], voices: int) -> tuple[Choice, Vote | None]:
    """Whom to follow, with ``voices`` sources for the count (itself among them) and these against it.

    The greatest group against the count that agrees within itself speaks for all of them: by its first member, so the
    caller hands the most physical source first, where it overrules the count; by its lowest where it only draws.
    """
    if not against:
        return Choice.COUNT, None
    group = max((_agreeing(vote, against) for vote in against), key=len)
    if len(group) > voices:
        return Choice.OVERRULED, group[0]
    if len(group) == voices:
        return Choice.LOWER, min(group, key=lambda vote: vote.soc)
    return Choice.COUNT, None


def _agreeing(vote: Vote, votes: Sequence[Vote]) -> list[Vote]:
    """Those that agree with one of them, itself among them, in their order."""
    return [
        other for other in votes
        if abs(other.soc - vote.soc) <= GATE * sqrt(vote.sigma * vote.sigma + other.sigma * other.sigma)
    ]
