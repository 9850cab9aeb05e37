"""Corrections against the textbook, outright and shared."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.perception.observation import Pose
from firmware_py.perception.tracker.gating import compare
from firmware_py.perception.tracker.measurement import expect, view_of
from firmware_py.perception.tracker.update import correct, correct_shared
from hal.frames import normalise
from tests.firmware_py.perception.tracker import textbook

POSE = Pose((10.0, -5.0, 3.0), (2.0, 1.0, 0.5), normalise((1.0, 0.1, 0.2, -0.3)))
R = np.diag([1.0, 2.5e-5, 2.5e-5, 0.04])


def _numbers(count: int = 3) -> np.ndarray:
    rng = np.random.default_rng(5)
    numbers = np.zeros((46, count))
    root = rng.standard_normal((count, 6, 6))
    numbers[:3] = rng.uniform(200, 500, (3, count))
    numbers[3:6] = rng.uniform(-10, 10, (3, count))
    numbers[6:42] = (root @ root.transpose(0, 2, 1) + np.eye(6)).reshape(count, 36).T
    return numbers


def _detection(x: np.ndarray, seed: int) -> np.ndarray:
    return textbook.measured(x, POSE) + np.sqrt(np.diag(R)) * np.random.default_rng(seed).standard_normal(4)


def test_one_detection_each_moves_as_in_the_textbook_and_leaves_the_others_alone() -> None:
    numbers = _numbers()
    before = numbers.copy()
    z = np.stack([_detection(before[:6, n], n) for n in (0, 2)], axis=1)
    expected = expect(numbers, view_of(POSE), np.diag(R).copy())
    pairs = compare(z, expected, np.array([0, 2]), np.array([0, 1]), None)
    correct(numbers, expected, pairs.track, pairs.steps)
    assert (numbers[:, 1] == before[:, 1]).all()
    for n, k in ((0, 0), (2, 1)):
        x, p = textbook.correct(before[:6, n], before[6:42, n].reshape(6, 6), z[:, k], R, POSE)
        assert numbers[:6, n] == pytest.approx(x, rel=1e-6)
        assert numbers[6:42, n].reshape(6, 6) == pytest.approx(p, rel=1e-4, abs=1e-5)


def test_shares_mix_the_single_corrections_and_keep_their_spread() -> None:
    numbers = _numbers()
    before = numbers.copy()
    x0, p0 = before[:6, 1], before[6:42, 1].reshape(6, 6)
    z = np.stack([_detection(x0, 1), _detection(x0, 2)], axis=1)
    share = np.array([0.5, 0.3])
    expected = expect(numbers, view_of(POSE), np.diag(R).copy())
    pairs = compare(z, expected, np.array([1, 1]), np.array([0, 1]), None)
    assert correct_shared(numbers, expected, pairs.track, pairs.steps, share) == 1
    parts = [(0.2, x0, p0), *((s, *textbook.correct(x0, p0, z[:, k], R, POSE)) for k, s in enumerate(share))]
    mean = sum(s * x for s, x, _ in parts)
    spread = sum(s * (p + np.outer(x - mean, x - mean)) for s, x, p in parts)
    assert numbers[:6, 1] == pytest.approx(mean, rel=1e-6)
    assert numbers[6:42, 1].reshape(6, 6) == pytest.approx(spread, rel=1e-4, abs=1e-5)
    assert (numbers[:, [0, 2]] == before[:, [0, 2]]).all()


def test_a_number_that_is_not_measured_changes_nothing() -> None:
    numbers = _numbers()
    before = numbers.copy()
    z = _detection(before[:6, 0], 4)[:, None]
    z[2] = np.nan
    variances = np.diag(R).copy()
    variances[2] = 1e12
    expected = expect(numbers, view_of(POSE), variances)
    pairs = compare(z, expected, np.array([0]), np.array([0]), np.array([True, True, False, True]))
    correct(numbers, expected, pairs.track, pairs.steps)
    x, p = before[:6, 0], before[6:42, 0].reshape(6, 6)
    h = textbook.slopes(x, POSE)[[0, 1, 3]]
    y = (z[:, 0] - textbook.measured(x, POSE))[[0, 1, 3]]
    gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + R[np.ix_([0, 1, 3], [0, 1, 3])])
    assert numbers[:6, 0] == pytest.approx(x + gain @ y, rel=1e-6)
    assert numbers[6:42, 0].reshape(6, 6) == pytest.approx(p - gain @ h @ p, rel=1e-4, abs=1e-5)
