"""Plans in whole windows: within their limits, and ending exactly where they should, at rest."""

from __future__ import annotations

from math import inf, nan, radians

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.motion_plan import TurnAuthority, slowed, stop_distance, trapezoid
from hal.frames import unit
from hal.profile.loader import load_body

WINDOW = 0.25


@given(
    way=st.floats(1e-4, 3.2), rate=st.floats(-0.5, 0.5), most=st.floats(0.005, 0.4), acceleration=st.floats(0.005, 1.0)
)
def test_a_trapezoid_goes_its_way_within_rate_and_acceleration(
    way: float, rate: float, most: float, acceleration: float
) -> None:
    plan = trapezoid(way, rate, most, acceleration, WINDOW)
    assert plan is not None
    assert plan.at(0.0) == (0.0, rate)
    end, last = plan.at(plan.length_s + 1.0)
    assert end == pytest.approx(way, abs=1e-9)
    assert last == 0.0
    assert abs(plan.cruise) <= most * (1.0 + 1e-6)
    rates = [plan.at(k * WINDOW)[1] for k in range(round(plan.length_s / WINDOW) + 1)]
    assert np.abs(np.diff(rates)).max() <= acceleration * WINDOW * (1.0 + 1e-6) + 1e-12
    # Pulses in the middle of each window make the same way.
    ways = [plan.at(k * WINDOW)[0] for k in range(len(rates))]
    assert np.diff(ways) == pytest.approx((np.array(rates[:-1]) + rates[1:]) * 0.5 * WINDOW, abs=1e-9)


def test_without_authority_there_is_no_plan() -> None:
    assert trapezoid(1.0, 0.0, 0.1, 0.0, WINDOW) is None
    assert trapezoid(1.0, 0.0, 0.0, 0.1, WINDOW) is None
    assert trapezoid(1.0, 0.0, 0.1, 1e-9, WINDOW) is None


@given(speed=st.floats(0.02, 2.0), deceleration=st.floats(0.02, 1.5), more=st.floats(0.0, 0.2))
def test_a_stop_begun_in_time_ends_at_rest_where_it_should(speed: float, deceleration: float, more: float) -> None:
    left = stop_distance(speed, deceleration, WINDOW) * (1.0 + more)
    for _ in range(2000):
        after = slowed(left, speed, deceleration, WINDOW)
        assert speed - after <= deceleration * WINDOW * (1.0 + 1e-6) + 1e-12
        left -= 0.5 * (speed + after) * WINDOW
        speed = after
        if speed < 1e-9:
            break
    assert left == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", ["qiki-t", "gref"])
def test_a_turn_at_its_limits_leaves_torque_to_spare(name: str) -> None:
    body = load_body(name)
    allocator = Allocator(body)
    inertia = np.array(body.mass.inertia_kg_m2)
    rng = np.random.default_rng(3)
    for _ in range(20):
        axis = np.array(unit(tuple(rng.standard_normal(3).tolist())))
        acceleration, rate = TurnAuthority(body, allocator).about(tuple(axis.tolist()), radians(20.0))
        gyro = rate**2 * np.cross(axis, inertia @ axis)
        for sense in (1.0, -1.0):
            torque = 2.0 * (sense * acceleration * inertia @ axis + gyro)
            assert np.abs(torque).max() <= body.limits.torque_max_n_m * (1.0 + 1e-6)
            assert allocator.largest_scale((0.0, 0.0, 0.0, *torque.tolist())) >= 1.0 - 1e-6


@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_numbers_that_are_none_make_no_plan_and_no_exception(bad: float) -> None:
    assert trapezoid(bad, 0.0, 1.0, 1.0, 0.25) is None
    assert trapezoid(1.0, bad, 1.0, 1.0, 0.25) is None
    assert trapezoid(1.0, 0.0, 1.0, 0.0, 0.25) is None
    assert stop_distance(bad, 1.0, 0.25) == inf
    assert stop_distance(1.0, 0.0, 0.25) == inf
    assert slowed(bad, 1.0, 1.0, 0.25) == 0.0
    assert slowed(1.0, 1.0, 0.0, 0.25) == 0.0
