"""Learning of a stack: its charge is balanced, age is told once and for good reason, cold is not age."""

from __future__ import annotations

import math

import pytest

from firmware_py.energy.stack_health import CapacitanceLearner, StackHealth, stack_cold_factor
from firmware_py.energy.trust import SourceVerdict
from hal.profile.loader import load_body

CONFIG = load_body("qiki-t").power.supercap


def test_the_balance_needs_a_swing_and_less_time_than_an_offset_would_spoil() -> None:
    learner = CapacitanceLearner(360.0, 10.0, 0.06)
    for start in (9.0, 8.0):
        learner.restart()
        learner.flow(0.1, 0.0, 0.0, start, 0.004)
        for i in range(1, 6):
            learner.flow(1.0, 18.0, 0.0, start - 0.05 * i, 0.004)
    assert learner.value == pytest.approx(360.0, rel=0.03)
    slow = CapacitanceLearner(360.0, 10.0, 0.06)
    slow.flow(0.1, 0.0, 0.0, 9.0, 0.004)
    for i in range(1, 2000):
        slow.flow(1.0, 0.03, 0.0, 9.0 - 0.0001 * i, 0.004)
    assert slow.value is None


def test_cold_adds_one_percent_a_kelvin_below_25() -> None:
    assert stack_cold_factor(25.0) == stack_cold_factor(40.0) == stack_cold_factor(None) == 1.0
    assert stack_cold_factor(math.nan) == 1.0
    assert stack_cold_factor(-40.0) == pytest.approx(1.65)


def test_the_design_serves_before_anything_is_measured_and_says_nothing_of_age() -> None:
    health = StackHealth(CONFIG, 20.0, 0.005)
    assert health.capacitance_f == pytest.approx(360.0)
    assert health.esr_ohm == pytest.approx(0.025)
    assert health.fade is None
    assert not health.faded
    assert health.verdicts == (SourceVerdict.MISSING, SourceVerdict.MISSING)


def test_a_chip_that_finds_it_worn_is_believed_while_there_is_nobody_else() -> None:
    health = StackHealth(CONFIG, 20.0, 0.005)
    health.look(360.0, 0.06, 25.0)
    assert health.faded
    health.look(270.0, 0.025, 25.0)
    assert health.faded
    assert health.fade == pytest.approx(0.75)
    health.look(None, None, 25.0)
    assert not health.faded


def test_no_step_that_a_stack_of_any_age_could_make_is_called_a_jump() -> None:
    health = StackHealth(CONFIG, 20.0, 0.005)
    assert health.explains(-1.0, 10.0)
    assert not health.explains(-1.0, 1.0)
    assert not health.explains(-1.0, 0.0)


def pulse(health: StackHealth, ohm: float, amperes: float = 10.0, open_v: float = 9.0) -> None:
    """Rest, a held current, rest: samples each 0.1 s."""
    for now in (0.0, 0.0, amperes, amperes, amperes, amperes, 0.0, 0.0):
        health.sample(open_v - ohm * now, now, 0.1, 0.0, 0.0)


def test_a_resistance_just_above_the_limit_is_not_age_before_it_is_surely_so() -> None:
    health = StackHealth(CONFIG, 20.0, 0.005)
    pulse(health, 0.0505)
    assert health.esr_ohm == pytest.approx(0.0505, rel=0.01)
    assert not health.faded
    for _ in range(5):
        pulse(health, 0.06)
    assert health.faded


def test_a_faded_stack_stays_so_until_it_is_clearly_not() -> None:
    health = StackHealth(CONFIG, 20.0, 0.005)
    for _ in range(5):
        pulse(health, 0.06)
    for _ in range(10):
        pulse(health, 0.047)
    assert health.faded
    for _ in range(10):
        pulse(health, 0.035)
    assert not health.faded
