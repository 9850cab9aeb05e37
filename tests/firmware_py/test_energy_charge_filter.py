"""The filter behind the battery's charge: what it counts, what it learns, and that its sigma stays honest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.energy.charge_filter import HIGHEST_SCALE, LOWEST_SCALE, ChargeFilter
from hal.profile.loader import load_body

POWER = load_body("qiki-t").power
FULL_J = 500.0 * 3600.0


def new(soc: float = 0.5, sigma: float = 0.01) -> ChargeFilter:
    charge = ChargeFilter(POWER.battery, POWER.bus)
    charge.start(soc, sigma)
    return charge


def test_energy_that_left_is_charge_that_left() -> None:
    charge = new()
    change = charge.predict(3600.0, 0.1 * FULL_J, 0.0)
    assert change == pytest.approx(-0.1)
    assert charge.soc == pytest.approx(0.4)


def test_what_it_would_count_is_what_it_counts() -> None:
    charge = new()
    foretold = charge.change(1e4, 50.0)
    assert charge.predict(2.0, 1e4, 50.0) == pytest.approx(foretold)


def test_unknown_flow_adds_to_the_deviation_itself() -> None:
    charge = new()
    for _ in range(10):
        charge.predict(1.0, 0.0, 0.0, unknown=0.01)
    assert charge.sigma == pytest.approx(0.11, abs=1e-3)


def test_counting_widens_the_sigma_by_what_the_capacity_may_be_wrong() -> None:
    charge = new()
    charge.predict(3600.0, 0.3 * FULL_J, 0.0)
    assert charge.sigma > 0.02


def test_a_voltage_at_rest_narrows_it_but_never_below_the_sensors_own_offset() -> None:
    charge = new(0.5, 0.2)
    for _ in range(5000):
        innovation, _ = charge.voltage_innovation(25.6, 0.0, 0.0, 1.0, 0.0)
        charge.see_voltage(innovation, 0.0, 0.0, 1.0, 2.0)
    assert charge.soc == pytest.approx(0.6, abs=0.003)
    assert 0.0045 < charge.sigma < 0.006


def test_a_voltage_under_current_counts_less_than_one_at_rest() -> None:
    at_rest, busy = new(0.5, 0.2), new(0.5, 0.2)
    for charge, amperes in ((at_rest, 0.0), (busy, 5.0)):
        innovation, _ = charge.voltage_innovation(25.6, amperes, amperes, 1.0, 0.0)
        charge.see_voltage(innovation, amperes, amperes, 1.0, 2.0)
    assert busy.sigma > at_rest.sigma


def test_cold_makes_the_voltage_under_current_less_certain() -> None:
    charge = new()
    assert charge.voltage_soc(25.0, 4.0, 4.0)[1] > charge.voltage_soc(25.0, 4.0, 1.0)[1]
    assert charge.voltage_soc(25.0, 0.0, 4.0) == pytest.approx(charge.voltage_soc(25.0, 0.0, 1.0))


def test_the_resistance_is_learned_from_steps_of_the_load() -> None:
    charge = new(0.5, 0.05)
    for i in range(20_000):
        amperes = 4.0 if i // 50 % 2 else 0.5
        innovation, _ = charge.voltage_innovation(25.0 - 0.1 * amperes, amperes, 2.0, 1.0, 0.0)
        charge.see_voltage(innovation, amperes, 2.0, 1.0, 2.0)
    assert charge.resistance_ohm == pytest.approx(0.1, abs=0.01)
    assert charge.soc == pytest.approx(0.5, abs=0.006)


def test_reset_forgets_what_was_learned() -> None:
    charge = new()
    charge.predict(3600.0, 0.3 * FULL_J, 25.0)
    charge.see_charge(0.1, 0.01)
    assert charge.scale != 1.0
    charge.reset()
    assert charge.scale == 1.0
    assert charge.current_offset_a == 0.0


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-12.0, 12.0), st.floats(21.0, 29.0), st.floats(0.0, 1.0)), max_size=60))
def test_learned_values_stay_possible_and_the_sigma_a_number(steps: list[tuple[float, float, float]]) -> None:
    charge = new(0.5, 1.0)
    for amperes, volts, soc in steps:
        charge.predict(60.0, amperes * volts * 60.0, volts * 60.0)
        innovation, deviation = charge.voltage_innovation(volts, amperes, abs(amperes), 1.0, 0.0)
        assert deviation > 0.0
        charge.see_voltage(innovation, amperes, abs(amperes), 1.0, 60.0)
        charge.see_charge(soc, 0.02)
        assert charge.sigma > 0.0
        assert charge.scale_sigma > 0.0
        assert LOWEST_SCALE <= charge.scale <= HIGHEST_SCALE
        assert charge.resistance_ohm >= 0.0
