"""Control: silent inside its bands, brakeable outside, never beyond torque, rate and speed limits."""

from __future__ import annotations

from dataclasses import replace
from math import radians

import numpy as np
import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.control import ControlFault, ControlGains, Controller
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import Phase, Target
from firmware_py.gnc.thrust_modes import ThrustMode
from hal.frames import IDENTITY, quaternion_from_rotation_vector
from hal.profile.loader import load_body

BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
NAV = NavState(
    0, IDENTITY, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1e-3, 1e-4,
    0.01, 0.001, True, None, 0, 0, False,
)
HOLD = Target(Phase.HOLD, False, attitude=IDENTITY, position=(0.0, 0.0, 0.0))


@pytest.fixture
def control() -> Controller:
    return Controller(BODY, ALLOCATOR)


def off(x: float = 0.0, y: float = 0.0, z: float = 0.0) -> NavState:
    return replace(NAV, quaternion=quaternion_from_rotation_vector((x, y, z)))


def test_inside_the_bands_nothing_is_asked(control: Controller) -> None:
    nav = replace(off(radians(0.4)), rate=(radians(0.02), 0.0, 0.0), position=(0.2, 0.0, 0.0))
    assert not control.update(0, nav, HOLD).active


def test_drift_that_leaves_the_band_is_stopped_before(control: Controller) -> None:
    demand = control.update(0, replace(off(radians(0.3)), rate=(radians(0.6), 0.0, 0.0)), HOLD)
    assert demand.impulse[3] < 0.0


def test_an_error_is_turned_back_against_its_sign(control: Controller) -> None:
    demand = control.update(0, off(0.0, radians(3.0), 0.0), HOLD)
    assert demand.impulse[4] < 0.0
    assert abs(demand.impulse[3]) < 1e-9
    assert demand.attitude_error_rad == pytest.approx(radians(3.0))


def test_the_wanted_rate_keeps_the_limit_of_the_target(control: Controller) -> None:
    demand = control.update(0, off(0.0, 0.0, 2.5), replace(HOLD, rate_limit_rad_s=radians(2.0)))
    assert abs(demand.impulse[5]) == pytest.approx(305.0 * radians(2.0), rel=1e-6)


def test_torque_demand_keeps_the_bodys_limit(control: Controller) -> None:
    target = Target(Phase.DETUMBLE, False, rate=(0.0, 0.0, 0.0), rate_limit_rad_s=radians(20.0))
    demand = control.update(0, replace(NAV, rate=(1.0, 0.5, -0.5)), target)
    assert max(abs(x) for x in demand.impulse[3:]) == pytest.approx(BODY.limits.torque_max_n_m * 0.25)


def test_the_approach_can_be_braked(control: Controller) -> None:
    # Whatever the error, the profile's slope times its rate stays under the deceleration that it may use.
    rates = []
    for angle in np.radians(np.linspace(0.6, 60.0, 400)):
        demand = control.update(0, off(0.0, 0.0, float(angle)), replace(HOLD, rate_limit_rad_s=radians(20.0)))
        rates.append((angle, -demand.impulse[5] / 305.0))
    angle, rate = np.array(rates).T
    deceleration = np.gradient(rate, angle) * rate
    assert deceleration.max() < 235.0 / 350.0
    assert (np.diff(rate) >= -1e-9).all()


def test_a_free_attitude_is_left_free(control: Controller) -> None:
    target = Target(Phase.BURN, False, velocity=(0.0, 0.0, 0.0))
    assert not control.update(0, replace(NAV, rate=(0.1, 0.0, 0.0)), target).active


def test_velocity_error_becomes_impulse_in_body_axes(control: Controller) -> None:
    turned = quaternion_from_rotation_vector((0.0, 0.0, radians(90.0)))
    target = Target(Phase.BURN, False, velocity=(0.1, 0.0, 0.0))
    demand = control.update(0, replace(NAV, quaternion=turned), target)
    assert demand.impulse[:3] == pytest.approx((0.0, -43.2, 0.0), abs=1e-6)


def test_pushes_stay_thrifty_unless_all_is_asked(control: Controller) -> None:
    target = Target(Phase.BURN, False, velocity=(3.0, 2.0, 1.0), speed_limit_m_s=10.0)
    thrifty = np.array(control.update(0, NAV, target).impulse[:3])
    full = np.array(control.update(0, NAV, replace(target, full_push=True)).impulse[:3])
    assert ALLOCATOR.peak(np.r_[thrifty / 0.25, 0.0, 0.0, 0.0]) == pytest.approx(1.0)
    assert full == pytest.approx(432.0 * np.array([3.0, 2.0, 1.0]))


def test_the_speed_limit_caps_the_way_home(control: Controller) -> None:
    target = replace(HOLD, speed_limit_m_s=0.2)
    demand = control.update(0, replace(NAV, position=(-50.0, 0.0, 0.0), velocity=(0.15, 0.0, 0.0)), target)
    assert demand.impulse[0] == pytest.approx(432.0 * 0.05, rel=1e-6)


def test_pulses_keep_the_interval_that_thrift_asks(control: Controller) -> None:
    target = replace(HOLD, pulse_interval_s=5.0)
    nav = off(radians(3.0))
    active = [control.update(k * 250_000_000, nav, target).active for k in range(41)]
    assert [k for k, on in enumerate(active) if on] == [0, 20, 40]


def test_a_table_is_left_its_three_degrees_of_freedom() -> None:
    body = load_body("bench-12kg")
    control = Controller(body, Allocator(body))
    nav = replace(
        NAV, quaternion=quaternion_from_rotation_vector((0.2, 0.2, 0.2)), position=(1.0, 1.0, 1.0),
        velocity=(0.0, 0.0, 0.5),
    )
    impulse = control.update(0, nav, HOLD).impulse
    assert impulse[2] == impulse[3] == impulse[4] == 0.0
    assert impulse[5] < 0.0


def test_the_gyroscopic_torque_is_fed_forward(control: Controller) -> None:
    # Steady turn about a tilted axis: no rate error, but J is not isotropic.
    rate = (radians(10.0), 0.0, radians(10.0))
    target = Target(Phase.DETUMBLE, False, rate=(0.0, 0.0, 0.0))
    demand = control.update(0, replace(NAV, rate=rate), target)
    expected = np.cross(rate, np.diag([350.0, 350.0, 305.0]) @ rate) * 0.25
    scale = demand.impulse[3] / (-350.0 * rate[0])
    assert demand.impulse[4] == pytest.approx(expected[1] * scale, rel=1e-6)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named_counted_and_asks_for_nothing(control: Controller, bad: float) -> None:
    for number, nav in enumerate((
        replace(NAV, rate=(bad, 0.0, 0.0)), replace(NAV, quaternion=(bad, 0.0, 0.0, 0.0)),
        replace(NAV, velocity=(0.0, bad, 0.0)), replace(NAV, quaternion=(0.0, 0.0, 0.0, 0.0)),
    )):
        demand = control.update(number * 250_000_000, nav, HOLD)
        assert demand.fault is ControlFault.NAVIGATION_NOT_FINITE
        assert not demand.active
    for target in (
        replace(HOLD, attitude=(bad, 0.0, 0.0, 0.0)), replace(HOLD, push_n=(bad, 0.0, 0.0)),
        replace(HOLD, rate_limit_rad_s=float("nan")), replace(HOLD, position=(0.0, bad, 0.0)),
    ):
        assert control.update(10**9, off(0.1), target).fault is ControlFault.TARGET_NOT_FINITE
    assert control.faults == {ControlFault.NAVIGATION_NOT_FINITE: 4, ControlFault.TARGET_NOT_FINITE: 4}
    assert control.update(2 * 10**9, off(0.1), HOLD).active


def test_the_gains_are_those_of_a_linear_law() -> None:
    gains = ControlGains(0.33, 1.0)
    control = Controller(BODY, ALLOCATOR, gains)
    # Outside the band K theta - P w, and a window makes that torque's impulse.
    angle, rate, band = radians(2.0), radians(0.05), radians(0.5)
    nav = replace(off(0.0, 0.0, angle), rate=(0.0, 0.0, rate))
    impulse = control.update(0, nav, HOLD).impulse[5]
    middle = angle + 0.125 * rate
    stiffness, damping = 305.0 * 0.33**2, 2.0 * 305.0 * 0.33
    # Inside the band the pull is that of the slow return, so only what is beyond it counts with the gain.
    linear = -(stiffness * (middle - band) + damping * (rate + band / gains.return_time_s)) * 0.25
    assert impulse == pytest.approx(linear, rel=1e-6)


def test_a_disturbance_is_learnt_from_what_was_flown_and_fed_forward(control: Controller) -> None:
    torque, rate = 3.0, 0.0
    for window in range(40):
        control.update(window * 250_000_000, replace(NAV, rate=(rate, 0.0, 0.0)), HOLD)
        control.flown((0.0, 0.0, 0.0, -0.25 * torque if window % 2 else 0.0, 0.0, 0.0))
        rate += (torque * 0.25 - (0.25 * torque if window % 2 else 0.0)) / 350.0
        rate = min(rate, radians(0.5))
        if rate == radians(0.5):
            break
    assert control.disturbance_n_m[0] == pytest.approx(torque, rel=0.1)
    assert control.disturbance_n_m[1:] == pytest.approx((0.0, 0.0), abs=0.1)
    demand = control.update(10**11, off(radians(0.6)), HOLD)
    assert demand.mean[3] == pytest.approx(-control.disturbance_n_m[0] * 0.25)


def test_with_a_disturbance_no_pulse_goes_its_way(control: Controller) -> None:
    rate, way = 0.0, 0.0
    angle = 0.0
    for window in range(400):
        nav = replace(off(angle), rate=(rate, 0.0, 0.0))
        demand = control.update(window * 250_000_000, nav, replace(HOLD, position=None))
        turn = demand.impulse[3]
        control.flown((0.0, 0.0, 0.0, turn, 0.0, 0.0))
        if window > 20:
            assert turn <= 1e-9
            assert abs(angle) < radians(0.55)
        angle += (rate + 0.5 * turn / 350.0) * 0.25 + 0.5 * 5.0 / 350.0 * 0.0625
        rate += (turn + 5.0 * 0.25) / 350.0
        way += turn
    assert way == pytest.approx(-5.0 * 100.0, rel=0.02)


def test_force_that_pulses_leave_behind_is_asked_back_in_body_axes(control: Controller) -> None:
    target = replace(HOLD, position=None)
    control.update(0, off(radians(3.0)), target)
    control.flown((0.0, 0.0, 6.0, 0.0, 0.0, 0.0))
    assert control.unwanted_momentum[2] == pytest.approx(6.0, rel=0.01)
    turned = replace(NAV, quaternion=quaternion_from_rotation_vector((0.0, radians(90.0), 0.0)))
    demand = control.update(250_000_000, turned, target)
    # What was along body z points along body -x after a quarter turn about y.
    assert demand.impulse[:3] == pytest.approx((6.0, 0.0, 0.0), abs=0.5)


def test_an_open_loop_push_goes_in_place_of_position_and_velocity(control: Controller) -> None:
    target = replace(HOLD, push_n=(10.0, 0.0, -4.0), position=(5.0, 0.0, 0.0))
    demand = control.update(0, replace(NAV, velocity=(0.3, 0.0, 0.0)), target)
    assert demand.impulse[:3] == pytest.approx((2.5, 0.0, -1.0))
    assert demand.mean[:3] == pytest.approx((2.5, 0.0, -1.0))


def test_torque_that_a_lost_cluster_cannot_make_is_not_asked(control: Controller) -> None:
    nav = off(radians(5.0), radians(5.0), 0.0)
    whole, left = control.update(0, nav, HOLD), control.update(0, nav, HOLD, 0x000F)
    assert whole.impulse[3] < -1.0
    assert left.impulse[3] == pytest.approx(0.0, abs=1e-6)
    assert left.impulse[4] == pytest.approx(whole.impulse[4], rel=1e-4)


def test_a_wide_dead_band_is_no_leave_to_stand_still(control: Controller) -> None:
    # A window takes out a small part of the error; beside that part the tolerance must be small.
    body = load_body("gref")
    slow = Controller(body, Allocator(body))
    target = Target(Phase.BURN, False, velocity=(1.0, 0.0, 0.0), velocity_deadband_m_s=0.2)
    demand = slow.update(0, NAV, target)
    gain = demand.impulse[0] / 60.0
    assert 0.0 < gain < 0.05
    assert demand.velocity_tolerance <= 0.3 * gain
    whole = control.update(0, NAV, replace(target, velocity=(0.3, 0.0, 0.0)))
    assert whole.velocity_tolerance > 0.1


def test_the_speed_limit_is_relative_to_the_targets_velocity(control: Controller) -> None:
    target = replace(HOLD, velocity=(0.0, 3.0, 0.0), speed_limit_m_s=0.2)
    nav = replace(NAV, position=(-50.0, 0.0, 0.0), velocity=(0.0, 3.0, 0.0))
    demand = control.update(0, nav, target)
    assert demand.impulse[:3] == pytest.approx((432.0 * 0.2, 0.0, 0.0), abs=1e-6)


def test_a_planned_motion_is_fed_forward(control: Controller) -> None:
    rate = (0.0, 0.0, 0.02)
    target = replace(
        HOLD, rate=rate, velocity=(0.1, 0.0, 0.0), angular_acceleration=(0.0, 0.0, 0.04), acceleration=(0.2, 0.0, 0.0),
    )
    demand = control.update(0, replace(NAV, rate=rate, velocity=(0.1, 0.0, 0.0)), target)
    assert demand.impulse[5] == pytest.approx(305.0 * 0.01, rel=1e-3)
    assert demand.impulse[0] == pytest.approx(432.0 * 0.05, rel=1e-3)


def test_soft_gains_ask_for_what_was_too_small_until_it_is_worth_a_pulse() -> None:
    control = Controller(BODY, ALLOCATOR, ControlGains(0.34, 1.0))
    asked = []
    for window in range(40):
        asked.append(-control.update(window * 250_000_000, off(0.0, 0.0, radians(1.0)), HOLD).impulse[5])
        control.flown((0.0,) * 6)
    whole = -Controller(BODY, ALLOCATOR).update(0, off(0.0, 0.0, radians(1.0)), HOLD).impulse[5]
    assert asked[1] == pytest.approx(2.0 * asked[0], rel=0.05)
    assert 5.0 * asked[0] < asked[-1] < whole


def test_beside_a_brakes_push_there_is_always_room_for_the_attitude(control: Controller) -> None:
    target = Target(
        Phase.BRAKE, False, attitude=IDENTITY, velocity=(0.0, 0.0, 0.0), full_push=True, mode=ThrustMode.BRAKE,
    )
    nav = replace(off(0.0, radians(3.0), 0.0), velocity=(7.0, 2.0, 1.0))
    free = np.array(control.update(0, nav, replace(target, velocity=None)).impulse) / 0.25
    both = np.array(control.update(0, nav, target).impulse) / 0.25
    assert both[3:] == pytest.approx(free[3:])
    assert ALLOCATOR.largest_scale(both) > 1.1
    assert both[0] < -300.0


def test_torque_that_a_push_makes_possible_is_kept(control: Controller) -> None:
    # With cluster A gone no roll is possible without a force; ADAPTIVE takes it with one.
    nav = off(radians(5.0), 0.0, 0.0)
    kept = control.update(0, nav, replace(HOLD, mode=ThrustMode.ADAPTIVE), 0x000F)
    assert kept.impulse[3] < -1.0


def test_an_error_outside_the_band_never_becomes_more_tolerable_by_growing(control: Controller) -> None:
    shares = []
    for angle in np.radians(np.linspace(0.55, 1.4, 12)):
        demand = control.update(0, off(float(angle)), HOLD)
        shares.append(-demand.impulse[3] / 350.0 / demand.rate_tolerance)
    assert (np.diff(shares) > 0.0).all()


def test_a_weak_craft_is_not_left_turning_because_a_window_does_little() -> None:
    # Without cluster C gref keeps a tenth of its torque: beside what that does in a window the tolerance must be small.
    body = load_body("gref")
    control = Controller(body, Allocator(body))
    target = Target(Phase.DETUMBLE, False, rate=(0.0, 0.0, 0.0), rate_deadband_rad_s=radians(1.2))
    nav = replace(NAV, rate=(0.0, radians(-2.0), 0.0))
    assert control.update(0, nav, target).rate_tolerance > radians(0.5)
    assert control.update(250_000_000, nav, target, 0x0F00).rate_tolerance < radians(0.2)


def test_an_error_about_a_lost_axis_is_no_reason_to_fire_for_less() -> None:
    nav = off(radians(8.0), radians(0.05), 0.0)
    whole = Controller(BODY, ALLOCATOR).update(0, nav, HOLD)
    # Without cluster B nothing rolls the craft without a push (CANON section 3).
    left = Controller(BODY, ALLOCATOR).update(0, nav, HOLD, 0x00F0)
    assert whole.impulse[3] != 0.0
    assert left.impulse[3] == 0.0
    assert left.impulse[4] != 0.0
    # The little that is left of the demand is worth no pulses: it is judged by its own tolerance.
    rate = abs(left.impulse[4]) / 305.0
    assert left.rate_tolerance > 2.0 * rate
