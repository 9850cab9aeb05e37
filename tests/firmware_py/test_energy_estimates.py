"""Estimates of stores: unknown stays unknown, time to a charge has a direction, one bad sample is no lost sensor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py.energy.estimates import HeldInput, Learned, StoreEstimate, cold_factor, time_to
from firmware_py.energy.trust import SourceVerdict, Trust


def store(soc: float | None) -> StoreEstimate:
    return StoreEstimate(soc, None if soc is None else 0.01, Trust.TRUSTED, 18_000.0)


def test_energy_is_the_charge_of_the_present_capacity_and_unknown_with_it() -> None:
    assert store(0.5).energy_j == 9_000.0
    assert store(None).energy_j is None


def test_time_to_empty_and_time_to_a_higher_charge() -> None:
    assert time_to(store(0.5), 0.0, 100.0) == pytest.approx(90.0)
    assert time_to(store(0.5), 0.6, -20.0) == pytest.approx(90.0)


def test_losses_shorten_the_time_out_and_lengthen_the_time_in() -> None:
    assert time_to(store(0.5), 0.0, 100.0, 0.01) == pytest.approx(90.0 / 1.01)
    assert time_to(store(0.5), 0.6, -20.0, 0.01) == pytest.approx(90.0 / 0.99)


def test_power_that_leads_away_from_the_target_never_gets_there() -> None:
    assert time_to(store(0.5), 0.6, 20.0) is None
    assert time_to(store(0.5), 0.0, -20.0) is None
    assert time_to(store(0.5), 0.4, 0.0) is None


def test_at_the_target_no_time_is_needed() -> None:
    assert time_to(store(0.6), 0.6, -20.0) == 0.0
    assert time_to(store(0.6), 0.6, 0.0) == 0.0


@pytest.mark.parametrize("power", [math.nan, math.inf, -math.inf])
def test_unknown_charge_or_impossible_input_gives_no_time(power: float) -> None:
    assert time_to(store(0.5), 0.0, power) is None
    assert time_to(store(None), 0.0, 10.0) is None
    assert time_to(store(0.5), -0.1, 10.0) is None
    assert time_to(store(0.5), math.nan, 10.0) is None
    assert time_to(store(0.5), 0.0, 10.0, 1.0) is None


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.1, 200.0))
def test_after_that_time_the_charge_is_the_target(soc: float, target: float, watts: float) -> None:
    power = watts if soc > target else -watts
    seconds = time_to(store(soc), target, power)
    assert seconds is not None
    assert soc - power * seconds / 18_000.0 == pytest.approx(target, abs=1e-9)


def test_rejected_names_what_answers_but_is_not_listened_to() -> None:
    sources = (("voltage", SourceVerdict.OK), ("gauge", SourceVerdict.FROZEN), ("bms", SourceVerdict.MISSING))
    assert StoreEstimate(0.5, 0.01, Trust.DEGRADED, 1.0, sources=sources).rejected() == ("gauge",)


def test_a_held_input_bridges_a_gap_and_then_says_why_there_is_none() -> None:
    held = HeldInput(1.0)
    assert held.take(5.0, 0.0, 10.0, 0.5)
    assert not held.take(math.nan, 0.0, 10.0, 0.5)
    assert (held.value, held.verdict) == (5.0, SourceVerdict.OK)
    held.take(None, 0.0, 10.0, 0.6)
    assert (held.value, held.verdict) == (None, SourceVerdict.STALE)
    held.take(11.0, 0.0, 10.0, 0.1)
    assert (held.value, held.verdict) == (None, SourceVerdict.OUT_OF_RANGE)
    assert held.take(6.0, 0.0, 10.0, 0.1)
    assert (held.value, held.verdict) == (6.0, SourceVerdict.OK)


def test_a_held_input_that_never_had_a_value_has_none() -> None:
    held = HeldInput(1.0)
    held.take(math.inf, 0.0, 10.0, 0.1)
    assert (held.value, held.verdict) == (None, SourceVerdict.NOT_FINITE)


def test_a_battery_has_more_resistance_in_the_cold_and_an_unknown_temperature_changes_nothing() -> None:
    assert cold_factor(25.0) == cold_factor(60.0) == cold_factor(None) == cold_factor(math.nan) == 1.0
    assert cold_factor(0.0) == pytest.approx(2.0)
    assert cold_factor(-20.0) > cold_factor(-10.0) > 1.0


def test_one_measurement_is_none_two_that_agree_are() -> None:
    learned = Learned(0.1, 10.0)
    assert not learned.see(1.0, 1e-4)
    assert learned.value is None
    assert learned.see(1.02, 1e-4)
    assert learned.value == pytest.approx(1.01, abs=0.01)


def test_an_outlier_changes_nothing_and_its_confirmation_replaces_the_value() -> None:
    learned = Learned(0.1, 10.0)
    for _ in range(10):
        learned.see(1.0, 1e-4)
    assert not learned.see(3.0, 1e-4)
    assert learned.pending
    assert learned.value == pytest.approx(1.0)
    assert learned.see(3.05, 1e-4)
    assert learned.value == pytest.approx(3.02, abs=0.03)
    assert not learned.pending


@pytest.mark.parametrize("value", [0.05, 20.0, math.nan, math.inf, -1.0])
def test_what_is_no_stack_is_never_taken(value: float) -> None:
    learned = Learned(0.1, 10.0)
    assert not learned.see(value, 1e-4)
    assert not learned.see(value, 1e-4)
    assert learned.value is None


def test_a_slow_drift_is_followed() -> None:
    learned = Learned(0.1, 10.0)
    for i in range(100):
        learned.see(1.0 + 0.01 * i, 1e-3)
    assert learned.value == pytest.approx(1.99, abs=0.06)


def test_noise_is_averaged() -> None:
    rng, learned = np.random.default_rng(4), Learned(0.1, 10.0)
    for noise in rng.standard_normal(50).tolist():
        learned.see(1.0 + 0.1 * noise, 0.01)
    assert learned.value == pytest.approx(1.0, abs=0.1)
    assert learned.sigma < 0.07
