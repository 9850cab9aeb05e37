"""Miss distance and its uncertainty against plain sampling of the state's distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.risk.miss import miss_of, probability_within, relative_covariance

FAST = {"sigmas": 3.0, "horizon_s": 60.0}


def state(r=(100.0, 5.0, 0.0), v=(-10.0, 0.0, 0.0), sigmas=(0.5, 0.5, 1.0, 0.05, 0.05, 0.1)):
    return np.array([r]), np.array([v]), np.diag(np.square(sigmas))[None]


def test_a_straight_pass_has_its_distance_and_the_spread_of_then() -> None:
    found = miss_of(*state(), **FAST)
    assert (found.tcpa_s[0], found.miss_m[0]) == (pytest.approx(10.0), pytest.approx(5.0))
    # Ten seconds ahead: 0.5 m and 10 times 0.05 m/s.
    assert found.sigma_m[0] == pytest.approx(np.hypot(0.5, 0.5), rel=1e-6)
    assert found.least_m[0] == pytest.approx(5.0 - 3.0 * np.hypot(0.5, 0.5), rel=0.01)
    # Across the line of passing the spread is twice as large, so the farthest point lies aside.
    assert found.most_m[0] > 5.0 + 3.0 * np.hypot(0.5, 0.5) - 1e-9


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_spread_and_probability_are_those_of_samples(seed: int) -> None:
    rng = np.random.default_rng(seed)
    r, v = rng.uniform(-100.0, 100.0, 3), rng.uniform(-10.0, 10.0, 3)
    if r @ v > -50.0 or v @ v < 9.0:
        r = -v * 8.0 + rng.uniform(-10.0, 10.0, 3)
        v = v * max(1.0, 3.0 / np.linalg.norm(v))
    root = np.diag([1.0, 1.0, 1.0, 0.05, 0.05, 0.05]) @ rng.normal(size=(6, 6))
    found = miss_of(r[None], v[None], (root @ root.T)[None], **FAST)
    drawn = np.concatenate([r, v]) + rng.normal(size=(40_000, 6)) @ root.T
    t = found.tcpa_s[0]
    at = drawn[:, :3] + drawn[:, 3:] * t
    along = v / np.linalg.norm(v)
    across = at - np.outer(at @ along, along)
    distance = np.linalg.norm(across, axis=1)
    radius = max(0.5 * found.miss_m[0] + found.sigma_m[0], 0.5)
    expected = float((distance <= radius).mean())
    assert probability_within(found, np.array([radius]))[0] == pytest.approx(expected, abs=0.012)
    line = (r + v * t) / np.linalg.norm(r + v * t)
    assert found.sigma_m[0] == pytest.approx(float((across @ line).std()), rel=0.03)
    nearer = float((distance < found.least_m[0] - 1e-9).mean())
    assert nearer <= 0.0115, "so little of a normal distribution in the plane lies beyond three sigmas"
    assert float((distance > found.most_m[0]).mean()) <= 0.0115


def test_a_hit_in_the_middle_has_the_largest_spread_and_no_least_distance() -> None:
    found = miss_of(*state(r=(100.0, 0.0, 0.0)), **FAST)
    assert (found.miss_m[0], found.least_m[0]) == (0.0, 0.0)
    assert found.sigma_m[0] == pytest.approx(np.hypot(1.0, 1.0))


def test_without_spread_least_and_most_are_the_miss() -> None:
    r, v, covariance = state()
    found = miss_of(r, v, covariance * 0.0, **FAST)
    assert (found.sigma_m[0], found.least_m[0], found.most_m[0]) == (0.0, pytest.approx(5.0), pytest.approx(5.0))
    assert [probability_within(found, np.array([radius]))[0] for radius in (10.0, 4.0)] == [
        pytest.approx(1.0, abs=1e-3), pytest.approx(0.0, abs=1e-3),
    ]
    assert probability_within(found, np.array([0.0]))[0] == 0.0


@pytest.mark.parametrize(("v", "t", "miss"), [
    ((10.0, 0.0, 0.0), 0.0, np.hypot(100.0, 5.0)), ((0.0, 0.0, 0.0), 0.0, np.hypot(100.0, 5.0)),
    ((-1.0, 0.0, 0.0), 60.0, np.hypot(40.0, 5.0)), ((-1e-9, 0.0, 0.0), 0.0, np.hypot(100.0, 5.0)),
])
def test_what_opens_or_stands_still_is_nearest_now_and_what_is_far_at_the_look_ahead(v, t, miss) -> None:
    found = miss_of(*state(v=v), **FAST)
    assert (found.tcpa_s[0], found.miss_m[0]) == (pytest.approx(t), pytest.approx(miss))
    assert np.isfinite([found.sigma_m[0], found.least_m[0], found.most_m[0]]).all()


@pytest.mark.parametrize("spoil", ["r", "v", "covariance", "infinite", "negative", "not possible"])
def test_what_is_no_number_is_not_known_and_disturbs_nobody(spoil: str) -> None:
    r, v, covariance = (np.repeat(each, 3, axis=0) for each in state())
    if spoil == "r":
        r[1, 2] = np.nan
    elif spoil == "v":
        v[1, 0] = np.inf
    elif spoil == "negative":
        covariance[1] *= -1.0
    elif spoil == "not possible":
        covariance[1, 1, 2] = covariance[1, 2, 1] = 50.0
    else:
        covariance[1, 3, 3] = np.nan if spoil == "covariance" else np.inf
    found = miss_of(r, v, covariance, **FAST)
    assert found.known.tolist() == [True, False, True]
    columns = (found.tcpa_s, found.miss_m, found.sigma_m, found.least_m, found.most_m,
               probability_within(found, np.full(3, 3.0)))
    for column in columns:
        assert np.isnan(column[1])
        assert np.isfinite(column[[0, 2]]).all()


def test_the_own_crafts_sigmas_are_added() -> None:
    found = relative_covariance(np.eye(6)[None], 2.0, 0.5)
    assert np.diag(found[0]).tolist() == [5.0, 5.0, 5.0, 1.25, 1.25, 1.25]


def test_a_thousand_tracks_are_the_thousand_alone() -> None:
    rng = np.random.default_rng(3)
    r, v = rng.uniform(-200, 200, (1000, 3)), rng.uniform(-20, 20, (1000, 3))
    root = rng.normal(size=(1000, 6, 6))
    covariance = root @ root.transpose(0, 2, 1)
    whole = miss_of(r, v, covariance, **FAST)
    for row in (0, 500, 999):
        alone = miss_of(r[row:row + 1], v[row:row + 1], covariance[row:row + 1], **FAST)
        assert alone.least_m[0] == pytest.approx(whole.least_m[row], rel=1e-9, abs=1e-9)
