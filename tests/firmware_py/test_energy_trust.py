"""Trust: an order, what it allows, its reason codes, and what passes as a number at all."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.energy.trust import SourceVerdict, Trust, code_of, plausible, source_code, worst


def test_the_words_are_those_of_the_canon_in_its_order() -> None:
    assert [trust.value for trust in Trust] == ["trusted", "degraded", "conflicting", "blind", "stale", "missing"]


def test_only_trusted_and_degraded_data_carry_a_dangerous_command() -> None:
    assert {trust for trust in Trust if trust.usable} == {Trust.TRUSTED, Trust.DEGRADED}


def test_the_worst_of_several_decides_and_none_is_trusted() -> None:
    assert worst([Trust.TRUSTED, Trust.STALE, Trust.CONFLICTING]) is Trust.STALE
    assert worst([]) is Trust.TRUSTED


@given(st.lists(st.sampled_from(Trust), min_size=1))
def test_the_worst_does_not_depend_on_the_order(verdicts: list[Trust]) -> None:
    assert worst(verdicts) is worst(reversed(verdicts))
    assert worst(verdicts) in verdicts


def test_every_verdict_that_bars_a_command_has_a_code() -> None:
    assert code_of(Trust.CONFLICTING) is Code.POWER_TELEM_CONFLICTING
    for trust in Trust:
        assert (code_of(trust) is None) == trust.usable
    for verdict in SourceVerdict:
        assert (source_code(verdict) is None) == verdict.usable


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (None, SourceVerdict.MISSING), (math.nan, SourceVerdict.NOT_FINITE), (math.inf, SourceVerdict.NOT_FINITE),
        (-math.inf, SourceVerdict.NOT_FINITE), (-1e-9, SourceVerdict.OUT_OF_RANGE), (0.0, SourceVerdict.OK),
        (1.0, SourceVerdict.OK), (1.0 + 1e-9, SourceVerdict.OUT_OF_RANGE),
    ],
)
def test_a_number_is_ok_only_if_there_finite_and_within_both_edges(
    value: float | None, verdict: SourceVerdict
) -> None:
    assert plausible(value, 0.0, 1.0) is verdict
