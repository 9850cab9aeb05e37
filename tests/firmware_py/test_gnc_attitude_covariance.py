"""Covariance of the attitude filter: its transition is the derivative of the gyro's integral, its growth does not
depend on the length of steps, its gain is that of the joint distribution."""

from __future__ import annotations

from math import radians

import numpy as np
import pytest

from firmware_py.gnc.attitude_covariance import STATES, AttitudeCovariance, GyroNoise, lag
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    conjugate,
    multiply,
    quaternion_from_rotation_vector,
    rotation_vector,
    scale,
)


def flown(rate: Vec3, seconds: float, start: Quaternion = IDENTITY) -> Quaternion:
    """A steady turn."""
    return multiply(start, quaternion_from_rotation_vector(scale(rate, seconds)))


def test_the_transition_is_the_derivative_of_what_the_gyro_integrates() -> None:
    rate, seconds, small = (0.05, -0.08, 0.12), 1.5, 1e-6
    turn, reach = lag(flown(rate, seconds), seconds)
    found = np.zeros((3, STATES))
    true = flown(rate, seconds)
    for k in range(STATES):
        off = np.zeros(STATES)
        off[k] = small
        start = quaternion_from_rotation_vector((-off[0], -off[1], -off[2]))
        # With errors (truth minus estimate) of that size the filter turns by the true rate and these.
        wrong = np.array(rate) + off[3:6] + off[6:].reshape(3, 3) @ np.array(rate)
        estimate = flown((wrong[0], wrong[1], wrong[2]), seconds, start)
        found[:, k] = np.array(rotation_vector(multiply(conjugate(estimate), true))) / small
    assert found[:, :3] == pytest.approx(turn, abs=1e-5)
    # Halfway between start and end: right to a twelfth of the square of the angle (0.23 rad).
    assert found[:, 3:] == pytest.approx(-reach, abs=0.008 * seconds)


@pytest.mark.parametrize("steps", [1, 2, 50])
def test_growth_is_that_of_the_gyros_noise_however_long_the_steps(steps: int) -> None:
    noise = GyroNoise(random_walk_rad_rts=1e-4, bias_start_rad_s=1e-3, bias_walk_rad_s_rts=1e-3)
    covariance = AttitudeCovariance(noise)
    covariance.restart(np.eye(3) * 1e-6)
    seconds = 2.0
    for _ in range(steps):
        covariance.predict(IDENTITY, seconds / steps)
    p = covariance.matrix
    walk = noise.bias_walk_rad_s_rts**2
    start = noise.bias_start_rad_s**2
    angle = 1e-6 + noise.random_walk_rad_rts**2 * seconds + start * seconds**2 + walk * seconds**3 / 3.0
    assert p[0, 3] == pytest.approx(-start * seconds - 0.5 * walk * seconds**2, rel=1e-6)
    assert p[3, 3] == pytest.approx(start + walk * seconds, rel=1e-6)
    # One step of trapezoids has half in place of a third of the cube.
    assert p[0, 0] == pytest.approx(angle, abs=walk * seconds**3 / 6.0 / steps**2 + 1e-12)


def test_gain_and_update_are_those_of_the_joint_distribution_with_the_shared_noise() -> None:
    rng = np.random.default_rng(1)
    covariance = AttitudeCovariance(GyroNoise())
    covariance.restart(np.eye(3) * 1e-6)
    covariance.predict(quaternion_from_rotation_vector((0.1, 0.2, -0.1)), 1.0)
    shared, sigma2 = 4e-8, 1e-7
    h = np.zeros((3, STATES))
    h[:, :3] = np.eye(3)
    h[:, 3:] = 0.1 * rng.standard_normal((3, 12))
    r = np.eye(3) * (sigma2 + shared)
    p = covariance.matrix
    joint = np.block([[p, np.zeros((STATES, 3))], [np.zeros((3, STATES)), r]])
    joint[:3, STATES:] = joint[STATES:, :3] = -shared * np.eye(3)
    to_observation = np.hstack([h, np.eye(3)])
    s = to_observation @ joint @ to_observation.T
    cross = joint @ to_observation.T
    gain, innovation = covariance.gain(h, r, shared)
    assert innovation == pytest.approx(s, rel=1e-9)
    assert gain == pytest.approx((cross @ np.linalg.inv(s))[:STATES], rel=1e-6, abs=1e-12)
    covariance.update(gain, h, r, shared)
    after = (joint - cross @ np.linalg.inv(s) @ cross.T)[:STATES, :STATES]
    assert covariance.matrix == pytest.approx(after, rel=1e-6, abs=1e-14)
    assert np.linalg.eigvalsh(covariance.matrix)[0] > 0.0


def test_a_late_start_knows_how_far_the_bias_may_have_led() -> None:
    covariance = AttitudeCovariance(GyroNoise())
    step = quaternion_from_rotation_vector((0.0, 0.0, radians(20.0)))
    covariance.restart(np.eye(3) * 1e-8, lag(step, 2.0)[1])
    # 0.25 deg/s over 2 s; about the axis of the turn with 20 deg of a scale of 0.15 %.
    assert covariance.matrix[2, 2] == pytest.approx(radians(0.5) ** 2 + (1.5e-3 * radians(20.0)) ** 2 + 1e-8, rel=1e-3)
    assert np.linalg.eigvalsh(covariance.matrix)[0] > 0.0


def learnt(seed: int) -> AttitudeCovariance:
    """A covariance whose states have all grown together: seconds of turning and observations of single axes."""
    rng = np.random.default_rng(seed)
    covariance = AttitudeCovariance(GyroNoise())
    covariance.restart(np.eye(3) * 1e-4)
    for _ in range(20):
        x, y, z = (0.2 * rng.standard_normal(3)).tolist()
        covariance.predict(quaternion_from_rotation_vector((x, y, z)), 1.0)
        h = np.zeros((1, STATES))
        h[0, :3] = rng.standard_normal(3)
        r = np.array([[1e-7]])
        gain, _ = covariance.gain(h, r, 0.0)
        covariance.update(gain, h, r, 0.0)
    return covariance


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sigma", [radians(0.25), radians(1.0)])
def test_of_another_gyro_only_the_start_is_known_and_the_attitude_is_kept(seed: int, sigma: float) -> None:
    covariance = learnt(seed)
    before = covariance.matrix.copy()
    assert np.abs(before[:3, 3:]).max() > 0.0
    start = AttitudeCovariance(GyroNoise()).matrix.diagonal()
    covariance.forget_gyro(sigma)
    after = covariance.matrix
    assert (after[:3, :3] == before[:3, :3]).all()
    assert not after[:3, 3:].any()
    assert not after[3:, :3].any()
    assert after[3:, 3:] == pytest.approx(np.diag(np.concatenate([[sigma**2] * 3, start[6:]])), rel=1e-12)
    assert np.linalg.eigvalsh(after)[0] > 0.0
    assert covariance.sigma_bias_rad_s == pytest.approx(sigma)


def test_no_more_of_another_gyros_bias_can_be_unknown_than_of_any() -> None:
    covariance = learnt(9)
    covariance.forget_gyro(1.0)
    assert covariance.sigma_bias_rad_s == pytest.approx(10.0 * GyroNoise().bias_start_rad_s)
    assert np.linalg.eigvalsh(covariance.matrix)[0] > 0.0


def test_what_another_gyros_bias_does_to_the_attitude_grows_from_its_change_on() -> None:
    covariance = learnt(3)
    sigma, seconds = radians(1.0), 2.0
    before = covariance.matrix[0, 0]
    covariance.forget_gyro(sigma)
    covariance.predict(IDENTITY, seconds)
    assert covariance.matrix[0, 0] - before == pytest.approx((sigma * seconds) ** 2, rel=1e-3)
    assert covariance.matrix[0, 3] == pytest.approx(-(sigma**2) * seconds, rel=1e-3)
