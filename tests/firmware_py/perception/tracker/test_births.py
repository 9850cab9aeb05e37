"""New tracks: where they are, how fast, and how honest that is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_py.perception.observation import Pose
from firmware_py.perception.tracker import TrackerConfig
from firmware_py.perception.tracker.births import begin
from firmware_py.perception.tracker.measurement import view_of
from firmware_py.perception.tracker.sensors import prepare
from hal.frames import normalise
from tests.firmware_py.perception.tracker.textbook import ALL_ROUND, measured

POSE = Pose((50.0, -20.0, 5.0), (7.0, 1.0, -2.0), normalise((1.0, 0.3, -0.1, 0.5)))


def _begin(z: np.ndarray, pose: Pose = POSE, model=ALL_ROUND) -> np.ndarray:
    numbers = np.zeros((46, z.shape[1]))
    begin(numbers, z, view_of(pose), prepare(0, model, TrackerConfig()), 15.0)
    return numbers


def test_a_new_track_would_measure_what_began_it() -> None:
    z = np.array([[300.0, 1.2, 0.4, -6.0], [80.0, -2.9, -1.1, 3.0]]).T
    numbers = _begin(z)
    for n in range(2):
        assert measured(numbers[:6, n], POSE) == pytest.approx(z[:, n])


def test_errors_of_new_tracks_keep_their_covariance() -> None:
    rng, errors = np.random.default_rng(0), []
    for _ in range(400):
        x = np.concatenate((rng.uniform(100, 600, 3) * rng.choice([-1, 1], 3), np.array(POSE.velocity_m_s)))
        x[3:] += 15.0 * rng.standard_normal(3)
        z = measured(x, POSE) + np.array([1.0, 0.005, 0.005, 0.2]) * rng.standard_normal(4)
        numbers = _begin(z[:, None])
        e, p = numbers[:6, 0] - x, numbers[6:42, 0].reshape(6, 6)
        assert (p == p.T).all()
        errors.append(e @ np.linalg.solve(p, e))
    assert np.mean(errors) == pytest.approx(6.0, abs=0.6)


def test_what_is_not_measured_is_wide_and_not_zero() -> None:
    z = np.array([[200.0, 0.0, np.nan, np.nan]]).T
    flat = replace(ALL_ROUND, half_height_rad=0.2)
    numbers = _begin(z, Pose(), flat)
    p = numbers[6:42, 0].reshape(6, 6)
    assert numbers[:3, 0] == pytest.approx([200.0, 0.0, 0.0])
    assert p[2, 2] == pytest.approx((200.0 * 0.2) ** 2 / 3.0)
    assert np.diag(p)[3:] == pytest.approx([225.0] * 3)
