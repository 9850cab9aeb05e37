"""The fewest faults of a failing case that still break what it broke."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

from firmware_py.cli.campaign.cases import Case
from firmware_py.cli.campaign.entries import Invariant

__all__ = ["shrink"]

Broken = Callable[[Case], frozenset[Invariant]]


def shrink(case: Case, broken: Broken) -> Case:
    """The smallest part of a case, fewest faults first, that breaks one of the invariants that the whole breaks.

    Args:
        broken: flies a case and says which invariants it broke; the same case always gives the same.

    Raises:
        ValueError: the case breaks nothing.
    """
    wanted = broken(case)
    if not wanted:
        raise ValueError(f"{case} breaks nothing: there is nothing to shrink")
    for size in range(len(case.injections)):
        for part in combinations(case.injections, size):
            smaller = Case(part, case.seed)
            if broken(smaller) & wanted:
                return smaller
    return case
