"""Dead reckoning: no drift with valves shut, blended pulses, honest sigma, no trust in a nozzle that lies."""

from __future__ import annotations

from math import inf, nan, radians

import numpy as np
import pytest

from firmware_py.gnc.consistency import Refusal
from firmware_py.gnc.navigation import Navigation
from firmware_py.gnc.pulse_book import TickImpulse
from hal.frames import IDENTITY, Vec3, norm, quaternion_from_rotation_vector, rotate
from hal.profile.loader import load_body

DT = 0.005
ZERO: Vec3 = (0.0, 0.0, 0.0)
MASS = 432.0


def sample(rng: np.random.Generator, force: Vec3, bias: Vec3) -> Vec3:
    """0.2 mg/rtHz at 200 Hz and steps of 1.25 mg."""
    return tuple(
        round((f + b + 0.0277 * rng.standard_normal()) / 0.01226) * 0.01226 for f, b in zip(force, bias, strict=True)
    )  # type: ignore[return-value]


def push(newtons: float, gross: float | None = None) -> TickImpulse:
    return TickImpulse(newtons * DT, 0.0, 0.0, 0.0, 0.0, 0.0, (newtons if gross is None else gross) * DT)


def quiet(nav: Navigation, rng: np.random.Generator, seconds: float, bias: Vec3 = ZERO) -> None:
    for _ in range(round(seconds / DT)):
        nav.update(DT, IDENTITY, ZERO, sample(rng, ZERO, bias), None, 1e-3)


def test_free_fall_does_not_drift_and_finds_the_bias() -> None:
    rng = np.random.default_rng(1)
    nav = Navigation(load_body("qiki-t"), (0.2, 0.0, 0.05), gravity=False)
    bias = (0.03, -0.02, 0.04)
    quiet(nav, rng, 60.0, bias)
    assert nav.velocity == ZERO
    assert nav.position == ZERO
    assert nav.bias == pytest.approx(bias, abs=2e-3)
    assert np.sqrt(nav.bias_variance) < 2e-3


def test_a_turning_craft_is_not_taken_for_a_pushed_one() -> None:
    rng = np.random.default_rng(2)
    nav = Navigation(load_body("qiki-t"), (0.2, 0.0, 0.05), gravity=False)
    w = radians(20.0)
    arm = (0.2, 0.0, -0.05)
    q = IDENTITY
    for _ in range(2000):
        q = quaternion_from_rotation_vector((0.0, 0.0, 0.0))
        nav.update(DT, q, (0.0, 0.0, w), sample(rng, (-w * w * arm[0], 0.0, 0.0), ZERO), None, 1e-3)
    assert nav.velocity == ZERO
    assert abs(nav.bias[0]) < 2e-3


@pytest.mark.parametrize("gain", [0.95, 1.0, 1.05])
def test_pulses_are_met_within_their_sigma(gain: float) -> None:
    rng = np.random.default_rng(3)
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    quiet(nav, rng, 20.0)
    true = 0.0
    for _ in range(10):
        for _ in range(10):
            true += 260.0 * gain / MASS * DT
            nav.update(DT, IDENTITY, ZERO, sample(rng, (260.0 * gain / MASS, 0.0, 0.0), ZERO), push(260.0), 1e-3)
        quiet(nav, rng, 0.2)
    assert abs(nav.velocity[0] - true) < 3.0 * nav.sigma_velocity_m_s + 0.01
    assert nav.sigma_velocity_m_s < 0.01
    assert abs(nav.velocity[0] - true) < 0.012


def test_small_fine_pulses_do_not_inherit_the_accelerometers_noise() -> None:
    rng = np.random.default_rng(4)
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    quiet(nav, rng, 20.0)
    for _ in range(40):
        for _ in range(6):
            nav.update(DT, IDENTITY, ZERO, sample(rng, ZERO, ZERO), push(0.0, gross=200.0), 1e-3)
        quiet(nav, rng, 0.22)
    # 40 bursts of the accelerometer alone would leave 40 ** 0.5 x 0.44 mm/s.
    assert norm(nav.velocity) < 3.5e-3
    assert nav.sigma_velocity_m_s < 4e-3


def test_a_nozzle_that_does_not_push_is_believed_to_the_accelerometer() -> None:
    rng = np.random.default_rng(5)
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    quiet(nav, rng, 20.0)
    for _ in range(20):
        nav.update(DT, IDENTITY, ZERO, sample(rng, ZERO, ZERO), push(260.0), 1e-3)
    quiet(nav, rng, 0.2)
    assert nav.disagreements == 1
    assert norm(nav.velocity) < 3e-3


def test_a_push_that_nobody_commanded_is_noticed() -> None:
    rng = np.random.default_rng(6)
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    quiet(nav, rng, 20.0)
    bias = nav.bias
    for _ in range(100):
        nav.update(DT, IDENTITY, ZERO, sample(rng, (220.0 / MASS, 0.0, 0.0), ZERO), None, 1e-3)
    assert nav.velocity[0] == pytest.approx(220.0 / MASS * 0.5, abs=0.02)
    assert nav.bias[0] == pytest.approx(bias[0], abs=5e-3)


def test_missing_samples_leave_the_model() -> None:
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    for _ in range(20):
        nav.update(DT, IDENTITY, ZERO, None, push(260.0), 1e-3)
    assert nav.velocity[0] == pytest.approx(260.0 / MASS * 0.1)
    assert nav.disagreements == 0


def test_the_first_fix_turns_what_was_travelled_before() -> None:
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    for _ in range(20):
        nav.update(DT, IDENTITY, ZERO, None, push(260.0), 1e-3)
    speed = nav.velocity[0]
    nav.turn_frame(quaternion_from_rotation_vector((0.0, 0.0, radians(90.0))))
    assert nav.velocity == pytest.approx((0.0, speed, 0.0), abs=1e-12)
    assert nav.position[0] == pytest.approx(0.0, abs=1e-12)


def test_position_sigma_grows_with_what_velocity_may_be_wrong() -> None:
    rng = np.random.default_rng(7)
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    quiet(nav, rng, 5.0)
    for _ in range(20):
        nav.update(DT, IDENTITY, ZERO, sample(rng, (0.6, 0.0, 0.0), ZERO), push(0.6 * MASS), 1e-3)
    quiet(nav, rng, 40.0)
    assert nav.sigma_position_m == pytest.approx(40.0 * nav.sigma_velocity_m_s, rel=0.05)


def test_on_a_table_position_is_soon_declared_unknown() -> None:
    rng = np.random.default_rng(8)
    nav = Navigation(load_body("bench-12kg"), ZERO, gravity=True)
    for _ in range(60 * 200):
        nav.update(DT, IDENTITY, ZERO, sample(rng, (0.02, 0.0, 9.80665), ZERO), None, 0.01)
    assert nav.sigma_position_m > 1.0
    assert nav.position == ZERO


@pytest.mark.parametrize("gravity", [False, True])
@pytest.mark.parametrize(
    ("dt", "force", "reason"),
    [
        (0.0, ZERO, Refusal.TIME_STEP), (-DT, ZERO, Refusal.TIME_STEP), (nan, ZERO, Refusal.TIME_STEP),
        (30.0, ZERO, Refusal.TIME_STEP), (DT, (nan, 0.0, 0.0), Refusal.NOT_FINITE),
        (DT, (0.0, inf, 0.0), Refusal.NOT_FINITE), (DT, (0.0, 0.0, 1e9), Refusal.OUT_OF_RANGE),
        (DT, (0.0, 0.0), Refusal.LENGTH),
    ],
)
def test_what_is_no_sample_is_named_and_moves_nothing(
    gravity: bool, dt: float, force: Vec3, reason: Refusal
) -> None:
    nav = Navigation(load_body("bench-12kg" if gravity else "qiki-t"), ZERO, gravity)
    for _ in range(100):
        nav.update(dt, IDENTITY, ZERO, force, None, 1e-3)
    assert nav.refusals[reason] == 100
    assert nav.velocity == ZERO
    assert nav.bias == ZERO
    assert np.isfinite([nav.sigma_position_m, nav.sigma_velocity_m_s, nav.bias_variance]).all()


@pytest.mark.parametrize(
    ("mass", "reason"), [(nan, Refusal.NOT_FINITE), (0.0, Refusal.OUT_OF_RANGE), (1e-300, Refusal.OUT_OF_RANGE)]
)
def test_a_mass_that_is_none_is_left(mass: float, reason: Refusal) -> None:
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    nav.set_mass(mass)
    assert nav.mass_kg == MASS
    assert nav.refusals[reason] == 1


def test_velocity_variance_holds_the_burst_under_way() -> None:
    nav = Navigation(load_body("qiki-t"), ZERO, gravity=False)
    before = nav.velocity_variance
    for _ in range(20):
        nav.update(DT, IDENTITY, ZERO, (260.0 / MASS, 0.0, 0.0), push(260.0), 1e-3)
    assert nav.sigma_velocity_m_s == 0.0
    assert nav.velocity_variance > before


def test_a_burst_that_nobody_measured_is_as_unsure_as_the_model() -> None:
    seen, blind = (Navigation(load_body("qiki-t"), ZERO, gravity=False) for _ in range(2))
    rng = np.random.default_rng(9)
    for nav in (seen, blind):
        quiet(nav, rng, 20.0)
    for _ in range(100):
        seen.update(DT, IDENTITY, ZERO, sample(rng, (0.6, 0.0, 0.0), ZERO), push(0.6 * MASS), 1e-4)
        blind.update(DT, IDENTITY, ZERO, None, push(0.6 * MASS), 1e-4)
    for nav in (seen, blind):
        quiet(nav, rng, 1.0)
    assert seen.sigma_velocity_m_s < 0.004
    # Half the gross impulse at 4 %: 0.3 m/s.
    assert blind.sigma_velocity_m_s == pytest.approx(0.006, rel=0.1)


PLACE: Vec3 = (0.2, 0.5, 0.05)
"""Where another unit sits."""


def felt(rate_z: float, place: Vec3, pushed: float) -> Vec3:
    """Specific force at a unit of a craft that turns about z and is pushed along x, m/s2."""
    com = load_body("qiki-t").mass.centre_of_mass_m
    return (pushed - rate_z**2 * (place[0] - com[0]), -(rate_z**2) * (place[1] - com[1]), 0.0)


def test_another_unit_begins_with_an_unknown_bias_and_position_and_velocity_are_kept() -> None:
    body = load_body("qiki-t")
    rng = np.random.default_rng(21)
    nav = Navigation(body, (0.2, 0.0, 0.05), gravity=False)
    quiet(nav, rng, 20.0, (0.03, -0.02, 0.04))
    for _ in range(100):
        nav.update(DT, IDENTITY, ZERO, sample(rng, (400.0 / MASS, 0.0, 0.0), nav.bias), push(400.0), 1e-3)
    quiet(nav, rng, 1.0, nav.bias)
    position, velocity, sigma = nav.position, nav.velocity, nav.sigma_velocity_m_s
    start = Navigation(body, PLACE, gravity=False).bias_variance
    nav.change_imu(body, PLACE)
    assert (nav.position, nav.velocity, nav.sigma_velocity_m_s) == (position, velocity, sigma)
    assert (nav.bias, nav.bias_variance) == (ZERO, start)
    bias = (-0.05, 0.01, 0.02)
    quiet(nav, rng, 20.0, bias)
    assert nav.bias == pytest.approx(bias, abs=3e-3)
    assert nav.velocity == velocity


def test_another_units_place_counts_in_the_next_sample_also_in_the_middle_of_a_push() -> None:
    body = load_body("qiki-t")
    turning = radians(20.0)
    rate = (0.0, 0.0, turning)
    here: Vec3 = (0.2, 0.0, 0.05)
    nav = Navigation(body, here, gravity=False)
    for _ in range(100):
        nav.update(DT, IDENTITY, rate, felt(turning, here, 0.0), None, 1e-3)
    q, place = IDENTITY, here
    truth = np.zeros(3)
    for tick in range(1, 401):
        before, q = q, quaternion_from_rotation_vector((0.0, 0.0, turning * tick * DT))
        if tick == 200:
            nav.change_imu(body, PLACE)
            place = PLACE
        truth += np.array(rotate(before, (400.0 / MASS * DT, 0.0, 0.0)))
        nav.update(DT, q, rate, felt(turning, place, 400.0 / MASS), push(400.0), 1e-3)
        # 0.35 rad/s on half a metre would be 0.17 m/s.
        assert nav.velocity == pytest.approx(tuple(truth), abs=0.02), tick
    assert not nav.disagreed
