"""Resistance from samples of pulses: what was not of one moment proves nothing, however often it comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.energy.stack_samples import CurrentSwing, EsrLearner

OPEN_V, OHM = 9.0, 0.03


def new() -> EsrLearner:
    return EsrLearner(0.025, 20.0, 0.005)


def see(learner: EsrLearner, *pairs: tuple[float, float], cold: float = 1.0) -> EsrLearner:
    """Samples of these currents in A, 0.1 s apart: the one at the voltage's moment, the one at the current's."""
    for at_voltage, at_current in pairs:
        learner.sample(OPEN_V - OHM * at_voltage, at_current, 0.1, 0.0, 0.0, cold)
    return learner


def both(*amperes: float) -> list[tuple[float, float]]:
    return [(a, a) for a in amperes]


def test_a_held_current_tells_the_resistance_at_its_beginning_and_its_end() -> None:
    learner = see(new(), *both(0.0, 0.0, 10.0, 10.0, 10.0, 10.0, 0.0, 0.0))
    assert learner.value == pytest.approx(OHM, rel=0.01)


def test_a_step_in_the_cold_is_reckoned_at_25_degrees() -> None:
    learner = see(new(), *both(0.0, 0.0, 10.0, 10.0, 10.0, 10.0, 0.0, 0.0), cold=1.5)
    assert learner.value == pytest.approx(OHM / 1.5, rel=0.01)


def test_one_long_pulse_confirms_itself() -> None:
    assert see(new(), *both(0.0, 0.0, *(10.0,) * 8)).value == pytest.approx(OHM, rel=0.01)


def test_short_pulses_of_several_currents_with_one_ratio_tell_it() -> None:
    learner = see(new(), *both(0.0, 0.0, 3.0, 0.0, 9.0, 0.0, 5.0, 0.0, 7.0, 0.0, 3.0))
    assert learner.value == pytest.approx(OHM, rel=0.02)


def test_pairs_of_two_loads_prove_nothing_however_often_they_come() -> None:
    learner = new()
    for _ in range(50):
        see(learner, *both(0.0, 0.0), (10.0, 3.5), (0.0, 0.0), (0.0, 3.5))
    assert learner.value is None


def test_true_samples_are_found_among_pairs_of_two_loads() -> None:
    learner = new()
    for amperes in (3.0, 9.0, 5.0, 7.0, 4.0, 8.0):
        see(learner, *both(0.0, 0.0), (10.0, 3.5), (0.0, 0.0), (amperes, amperes), (0.0, 0.0))
    assert learner.value == pytest.approx(OHM, rel=0.05)


def test_a_small_step_tells_nothing() -> None:
    assert see(new(), *both(0.0, 0.0, *(0.5,) * 10, 0.0, 0.0)).value is None


def test_held_currents_far_apart_in_time_are_not_compared() -> None:
    learner = see(new(), *both(0.0, 0.0))
    learner.sample(OPEN_V - 1.0, 10.0, 30.0, 0.0, 0.0, 1.0)
    see(learner, *both(*(10.0,) * 10))
    assert learner.value is None


def test_after_a_loss_of_the_voltage_nothing_is_compared_with_before() -> None:
    learner = see(new(), *both(0.0, 0.0))
    learner.forget_samples()
    for _ in range(10):
        learner.sample(OPEN_V - 2.0, 10.0, 0.1, 0.0, 0.0, 1.0)
    assert learner.value is None


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(0.0, 10.5), st.floats(-25.0, 25.0), st.floats(1e-3, 5.0)), max_size=60))
def test_whatever_it_sees_the_resistance_is_that_of_some_stack(samples: list[tuple[float, float, float]]) -> None:
    learner = new()
    for volts, amperes, elapsed in samples:
        learner.sample(volts, amperes, elapsed, 0.001, 0.001, 1.0)
        assert learner.value is None or 0.2 * 0.025 <= learner.value <= 10.0 * 0.025


def test_the_swing_is_that_of_the_last_second() -> None:
    swing = CurrentSwing(1.0)
    for amperes in (0.0, 10.0, 2.0):
        swing.see(amperes, 0.1)
    assert (swing.span_a, swing.peak_a) == (10.0, 10.0)
    for _ in range(12):
        swing.see(2.0, 0.1)
    assert (swing.span_a, swing.peak_a) == (0.0, 2.0)


def test_pulses_make_it_restless_and_a_single_step_does_not() -> None:
    swing = CurrentSwing(1.0)
    for amperes in (0.0, 0.0, 5.0, 5.0, 5.0):
        swing.see(amperes, 0.1)
    assert not swing.restless
    for amperes in (0.0, 5.0, 0.0):
        swing.see(amperes, 0.1)
    assert swing.restless
    swing.forget()
    assert not swing.restless
