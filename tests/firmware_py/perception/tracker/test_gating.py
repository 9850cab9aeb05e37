"""Candidates and distances against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.observation import Pose
from firmware_py.perception.tracker.gating import candidates, compare, window
from firmware_py.perception.tracker.measurement import expect, view_of
from tests.firmware_py.perception.tracker.textbook import measured, slopes

VARIANCES = np.array([1.0, 2.5e-5, 2.5e-5, 0.04])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.integers(0, 40), st.integers(1, 6))
def test_window_finds_what_brute_force_finds(seed: int, many: int, tracks: int) -> None:
    rng = np.random.default_rng(seed)
    ranges, centre, reach = np.sort(rng.uniform(0, 100, many)), rng.uniform(0, 100, tracks), rng.uniform(0, 20, tracks)
    track, detection, clipped = window(ranges, centre, reach, 1000)
    inside = (ranges >= (centre - reach)[:, None]) & (ranges <= (centre + reach)[:, None])
    found = sorted(zip(track.tolist(), detection.tolist(), strict=True))
    assert found == sorted(zip(*(k.tolist() for k in inside.nonzero()), strict=True))
    assert clipped == 0


def test_a_crowd_is_clipped_to_the_nearest_and_counted() -> None:
    ranges = np.arange(1000.0)
    track, detection, clipped = window(ranges, np.array([500.2, 3.0]), np.array([300.0, 1.0]), 10)
    assert detection[track == 0].tolist() == list(range(496, 506))
    assert detection[track == 1].tolist() == [2, 3, 4]
    assert clipped == 600 - 10


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 100_000))
def test_distances_are_mahalanobis_and_none_inside_the_gate_is_lost(seed: int) -> None:
    rng = np.random.default_rng(seed)
    numbers = np.zeros((46, 6))
    numbers[:3] = rng.uniform(100, 400, (3, 6)) * rng.choice([-1, 1], (3, 6))
    numbers[3:6] = rng.uniform(-10, 10, (3, 6))
    numbers[6:42] = (np.diag([4.0] * 3 + [9.0] * 3)).ravel()[:, None]
    near = np.array([measured(numbers[:6, k], Pose()) for k in rng.integers(0, 6, 90)])
    near += rng.standard_normal(near.shape) * np.array([3.0, 0.02, 0.02, 2.0])
    near[:, 1] = (near[:, 1] + np.pi) % (2 * np.pi) - np.pi
    z = near[near[:, 0].argsort()].T
    expected = expect(numbers, view_of(Pose()), VARIANCES)
    track, detection, _ = candidates(z, expected, 4.5, 1000)
    pairs = compare(z, expected, track, detection, None)
    found = {(i, j): d for i, j, d in zip(track.tolist(), detection.tolist(), pairs.distance.tolist(), strict=True)}
    for i in range(6):
        x = numbers[:6, i]
        h = slopes(x, Pose())
        s = h @ numbers[6:42, i].reshape(6, 6) @ h.T + np.diag(VARIANCES)
        for j in range(z.shape[1]):
            y = z[:, j] - measured(x, Pose())
            y[1] = (y[1] + np.pi) % (2 * np.pi) - np.pi
            distance = y @ np.linalg.solve(s, y)
            if distance <= 4.5**2:
                assert found[i, j] == pytest.approx(distance, rel=1e-3, abs=1e-6)
