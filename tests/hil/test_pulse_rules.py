"""The checker reports every broken pulse rule with what it measured, and nothing else."""

from __future__ import annotations

import dataclasses

import pytest

from hil.pulse_rules import PulseRule, PulseRuleChecker, PulseViolation

MS = 1_000_000


def checker(nozzles: int = 2) -> PulseRuleChecker:
    return PulseRuleChecker(min_on_ms=30, min_off_ms=30, max_burn_ms=3000, cooldown_ms=6000, nozzles=nozzles)


def pulse(rules: PulseRuleChecker, start_ms: float, end_ms: float, nozzle: int = 0, safety: bool = False) -> None:
    rules.feed(round(start_ms * MS), nozzle, True)
    rules.feed(round(end_ms * MS), nozzle, False, safety=safety)


def test_pulses_and_pauses_at_the_limits_are_in_order() -> None:
    rules = checker()
    pulse(rules, 0, 30)
    pulse(rules, 60, 90)
    pulse(rules, 120, 3120)
    pulse(rules, 9120, 9150)
    rules.finish(10_000 * MS)
    assert rules.violations == []
    assert rules.total == 0


def test_a_pulse_below_the_shortest_is_reported_with_its_length() -> None:
    rules = checker()
    pulse(rules, 100, 129)
    assert rules.violations == [PulseViolation(0, PulseRule.MIN_ON, 129 * MS, 29)]


def test_a_pulse_cut_for_safety_may_be_short() -> None:
    rules = checker()
    pulse(rules, 100, 105, safety=True)
    assert rules.violations == []


def test_a_short_pause_is_reported_even_after_a_safety_shut() -> None:
    rules = checker()
    pulse(rules, 100, 105, safety=True)
    rules.feed(134 * MS, 0, True)
    assert rules.violations == [PulseViolation(0, PulseRule.MIN_OFF, 134 * MS, 29)]


def test_the_pause_before_the_first_pulse_is_not_judged() -> None:
    rules = checker()
    pulse(rules, 1, 31)
    assert rules.violations == []


def test_a_burn_beyond_the_longest_is_reported_even_when_safety_ended_it() -> None:
    rules = checker()
    pulse(rules, 0, 3001, safety=True)
    assert rules.violations == [PulseViolation(0, PulseRule.MAX_BURN, 3001 * MS, 3001)]


def test_a_burn_that_never_ends_is_reported_at_the_end() -> None:
    rules = checker()
    rules.feed(0, 1, True)
    rules.finish(3001 * MS)
    assert rules.violations == [PulseViolation(1, PulseRule.MAX_BURN, 3001 * MS, 3001)]


def test_only_a_burn_that_reached_the_limit_needs_the_cooldown() -> None:
    rules = checker()
    pulse(rules, 0, 2999)
    pulse(rules, 3029, 3059)
    assert rules.violations == []
    pulse(rules, 4000, 7000)
    pulse(rules, 12_999, 13_100)
    assert rules.violations == [PulseViolation(0, PulseRule.COOLDOWN, 12_999 * MS, 5999)]
    pulse(rules, 13_130, 13_160)
    assert rules.total == 1


def test_a_pause_can_break_both_cooldown_and_shortest_pause() -> None:
    rules = checker()
    pulse(rules, 0, 3000)
    rules.feed(3010 * MS, 0, True)
    assert [v.rule for v in rules.violations] == [PulseRule.COOLDOWN, PulseRule.MIN_OFF]


@pytest.mark.parametrize(("length_ms", "broken"), [(29.6, False), (29.4, True)])
def test_durations_count_as_the_nearest_millisecond(length_ms: float, broken: bool) -> None:
    rules = checker()
    pulse(rules, 0.3, 0.3 + length_ms)
    assert bool(rules.violations) is broken


def test_nozzles_are_judged_apart() -> None:
    rules = checker()
    rules.feed(0, 0, True)
    rules.feed(10 * MS, 1, True)
    rules.feed(40 * MS, 0, False)
    rules.feed(45 * MS, 1, False)
    assert rules.violations == []


def test_a_level_that_does_not_change_is_no_edge() -> None:
    rules = checker()
    rules.feed(0, 0, True)
    rules.feed(20 * MS, 0, True)
    rules.feed(30 * MS, 0, False)
    rules.feed(31 * MS, 0, False)
    rules.feed(60 * MS, 0, True)
    assert rules.violations == []


def test_edges_out_of_order_are_refused() -> None:
    rules = checker()
    rules.feed(10 * MS, 0, True)
    with pytest.raises(ValueError, match="comes after"):
        rules.feed(9 * MS, 0, False)
    with pytest.raises(ValueError, match="cannot end"):
        rules.finish(9 * MS)


def test_what_is_kept_is_bounded_and_what_is_counted_is_not() -> None:
    rules = checker()
    for n in range(1100):
        pulse(rules, n * 100, n * 100 + 1)
    assert len(rules.violations) == 1000
    assert rules.total == 1100


def test_a_violation_cannot_be_changed() -> None:
    violation = PulseViolation(0, PulseRule.MIN_ON, 5, 4)
    with pytest.raises(dataclasses.FrozenInstanceError):
        violation.measured_ms = 30  # type: ignore[misc]
