"""Shrinking finds the fewest faults that still break the same, and never blames another breach."""

from __future__ import annotations

import pytest

from firmware_py.cli.campaign.cases import Case, Injection
from firmware_py.cli.campaign.entries import Invariant
from firmware_py.cli.campaign.shrink import shrink

THREE = Case((Injection("a", 1.0), Injection("b", 2.0), Injection("c", 3.0)), 5)
NOTHING: frozenset[Invariant] = frozenset()
RATE = frozenset({Invariant.RATE_LIMIT})
QUEUE = frozenset({Invariant.QUEUE})


def faults(case: Case) -> frozenset[str]:
    return frozenset(injection.fault for injection in case.injections)


@pytest.mark.parametrize("guilty", [{"b"}, {"a", "c"}, {"a", "b", "c"}, set()])
def test_only_the_guilty_faults_are_left_with_their_moments_and_seed(guilty: set[str]) -> None:
    small = shrink(THREE, lambda case: RATE if guilty <= faults(case) else NOTHING)
    assert small == Case(tuple(i for i in THREE.injections if i.fault in guilty), 5)


def test_another_breach_of_a_smaller_case_does_not_count() -> None:
    def broken(case: Case) -> frozenset[Invariant]:
        return RATE if len(case.injections) == 3 else QUEUE

    assert shrink(THREE, broken) == THREE


def test_one_of_several_breaches_is_enough() -> None:
    def broken(case: Case) -> frozenset[Invariant]:
        return (RATE | QUEUE) if len(case.injections) == 3 else (QUEUE if faults(case) == {"c"} else NOTHING)

    assert faults(shrink(THREE, broken)) == {"c"}


def test_a_case_that_breaks_nothing_when_it_is_repeated_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to shrink"):
        shrink(THREE, lambda _case: NOTHING)
