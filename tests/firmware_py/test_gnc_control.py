"""Control: silent inside its bands, brakeable outside, never beyond torque, rate and speed limits."""

from __future__ import annotations

from dataclasses import replace
from math import radians

import numpy as np
import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.control import Controller
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import Phase, Target
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
