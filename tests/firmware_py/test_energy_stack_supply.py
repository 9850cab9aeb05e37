"""What a stack can give, against the same circuit integrated in small steps."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from firmware_py.energy.stack_supply import least_open_v, most_terminal_w, seconds_at


def integrated(terminal_w: float, farad: float, ohm: float, from_v: float, to_v: float) -> float:
    """Seconds by the midpoint rule over the open voltage."""
    steps, seconds = 4000, 0.0
    width = (from_v - to_v) / steps
    for i in range(steps):
        u = from_v - (i + 0.5) * width
        amperes = (u - math.sqrt(max(0.0, u * u - 4.0 * ohm * terminal_w))) / (2.0 * ohm)
        seconds += farad * width / amperes
    return seconds


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(1.0, 200.0), st.floats(10.0, 500.0), st.floats(0.005, 0.2), st.floats(3.0, 10.0), st.floats(0.1, 0.9))
def test_time_at_constant_power_is_that_of_the_circuit(
    watts: float, farad: float, ohm: float, from_v: float, share: float
) -> None:
    least = least_open_v(watts, ohm, 0.0)
    assume(least < 0.95 * from_v)
    to_v = least + share * (from_v - least)
    assert seconds_at(watts, farad, ohm, from_v, to_v) == pytest.approx(
        integrated(watts, farad, ohm, from_v, to_v), rel=1e-3
    )


def test_without_resistance_it_is_the_energy_between_the_voltages() -> None:
    assert seconds_at(100.0, 360.0, 1e-9, 10.0, 5.0) == pytest.approx(0.5 * 360.0 * 75.0 / 100.0, rel=1e-6)


def test_there_is_no_time_to_a_voltage_that_is_not_lower() -> None:
    assert seconds_at(100.0, 360.0, 0.025, 5.0, 5.0) == 0.0
    assert seconds_at(100.0, 360.0, 0.025, 5.0, 6.0) == 0.0


def test_most_power_is_a_quarter_of_the_square_over_the_resistance_or_what_the_floor_leaves() -> None:
    assert most_terminal_w(10.0, 0.025, 2.0) == pytest.approx(1000.0)
    assert most_terminal_w(3.0, 0.025, 2.0) == pytest.approx(2.0 * 1.0 / 0.025)
    assert most_terminal_w(1.5, 0.025, 2.0) == 0.0


@given(st.floats(1.0, 500.0), st.floats(0.001, 0.5), st.floats(0.0, 5.0))
def test_at_the_least_voltage_the_power_is_just_possible(watts: float, ohm: float, floor_v: float) -> None:
    assert most_terminal_w(least_open_v(watts, ohm, floor_v), ohm, floor_v) == pytest.approx(watts, rel=1e-6)
