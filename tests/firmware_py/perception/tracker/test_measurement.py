"""Expected detections, their slopes and their factors against the textbook and numeric differentiation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.observation import Pose
from firmware_py.perception.tracker.measurement import directions, expect, geometry, view_of, wrap
from hal.frames import normalise
from tests.firmware_py.perception.tracker.textbook import measured, slopes

NUMBER = st.floats(-1.0, 1.0)
POSE = st.builds(
    lambda p, v, q: Pose(tuple(100.0 * k for k in p), tuple(10.0 * k for k in v), normalise((1.1, *q))),
    st.tuples(NUMBER, NUMBER, NUMBER), st.tuples(NUMBER, NUMBER, NUMBER), st.tuples(NUMBER, NUMBER, NUMBER))


def _states(seed: int, count: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate((rng.uniform(150.0, 900.0, (3, count)) * rng.choice([-1, 1], (3, count)),
                           rng.uniform(-20, 20, (3, count))))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), POSE)
def test_values_and_slopes_are_those_of_numeric_differentiation(seed: int, pose: Pose) -> None:
    states = _states(seed)
    values, place, _ = geometry(states, view_of(pose))
    for n, x in enumerate(states.T):
        want = slopes(x, pose)
        scale = np.linalg.norm(want, axis=1)
        assert values[:, n] == pytest.approx(measured(x, pose), abs=1e-9)
        assert np.abs(place[:, :, n] - want[:, :3]).max(axis=1) / scale == pytest.approx(np.zeros(4), abs=1e-5)
        assert place[0, :, n] == pytest.approx(want[3, 3:], abs=1e-6)


def test_factors_rebuild_the_covariance_of_the_expected_numbers() -> None:
    rng = np.random.default_rng(3)
    states, pose = _states(3), Pose((3.0, 2.0, 1.0), (1.0, 0.0, -2.0), normalise((1.0, 0.2, -0.3, 0.4)))
    root = rng.standard_normal((5, 6, 6))
    p = root @ root.transpose(0, 2, 1)
    numbers = np.zeros((46, 5))
    numbers[:6], numbers[6:42] = states, p.reshape(5, 36).T
    variances = np.array([1.0, 2.5e-5, 2.5e-5, 0.04])
    found = expect(numbers, view_of(pose), variances)
    for n, x in enumerate(states.T):
        h = slopes(x, pose)
        s = h @ p[n] @ h.T + np.diag(variances)
        unit = np.eye(4) + np.tril(found.lower[:4, :, n], -1)
        assert unit @ np.diag(found.variances[:, n]) @ unit.T == pytest.approx(s, rel=1e-4, abs=1e-9)
        assert found.spread[:, n] == pytest.approx(np.diag(s), rel=1e-4)
        gain = found.lower[4:, :, n] @ np.linalg.inv(unit)
        assert gain == pytest.approx(p[n] @ h.T @ np.linalg.inv(s), rel=1e-3, abs=1e-3)


def test_own_uncertainty_widens_what_is_expected() -> None:
    numbers = np.zeros((46, 1))
    numbers[:3, 0] = 300.0, 0.0, 400.0
    numbers[6:42, 0] = np.eye(6).ravel()
    variances = np.array([1.0, 1e-6, 1e-6, 0.04])
    sure = expect(numbers, view_of(Pose()), variances).spread
    unsure = expect(numbers, view_of(Pose(sigma_position_m=2.0, sigma_attitude_rad=0.01)), variances).spread
    # Bearing near the pole suffers more from a tilt than elevation: by range over distance from the pole, squared.
    assert (unsure - sure)[:, 0] == pytest.approx([4.0, 4.0 / 300**2 + 1e-4 * (5 / 3) ** 2, 4.0 / 500**2 + 1e-4, 0.0])


def test_a_target_at_the_sensor_stays_finite() -> None:
    numbers = np.zeros((46, 2))
    numbers[6:42] = np.eye(6).reshape(36, 1)
    numbers[2, 1] = 50.0
    found = expect(numbers, view_of(Pose()), np.array([1.0, 1e-4, 1e-4, 0.04]))
    assert np.isfinite(found.factors).all()
    assert np.isfinite(found.values).all()


def test_angles_wrap_to_half_a_turn() -> None:
    assert wrap(np.array([0.0, 3.0, 2 * np.pi - 0.1, -2 * np.pi + 0.2])) == pytest.approx([0.0, 3.0, -0.1, 0.2])


def test_directions_are_a_right_handed_frame_of_the_sensor() -> None:
    pose = Pose(quaternion=normalise((1.0, 0.5, -0.2, 0.1)))
    axes, level = directions(np.array([0.3, -2.0]), np.array([0.2, 1.1]), view_of(pose))
    assert level == pytest.approx(np.cos([0.2, 1.1]))
    for n in range(2):
        assert axes[:, :, n] @ axes[:, :, n].T == pytest.approx(np.eye(3), abs=1e-12)
        assert np.linalg.det(axes[:, :, n]) == pytest.approx(1.0)
        x = np.concatenate((100.0 * axes[0, :, n], np.zeros(3)))
        assert measured(x, pose)[1:3] == pytest.approx([[0.3, -2.0][n], [0.2, 1.1][n]])
