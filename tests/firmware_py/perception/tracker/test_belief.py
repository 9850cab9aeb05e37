"""Shares by belief propagation against the sum over all joint hypotheses."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.tracker.belief import shares


def _exact(weights: np.ndarray) -> np.ndarray:
    """(n, m) marginals: every track takes one detection or none, no detection twice."""
    n, m = weights.shape
    total, marginal = 0.0, np.zeros((n, m))
    for taken in product(range(-1, m), repeat=n):
        used = [j for j in taken if j >= 0]
        if len(used) != len(set(used)):
            continue
        worth = float(np.prod([weights[i, j] for i, j in enumerate(taken) if j >= 0]))
        total += worth
        for i, j in enumerate(taken):
            if j >= 0:
                marginal[i, j] += worth
    return marginal / total


def _shares(weights: np.ndarray) -> np.ndarray:
    i, j = (k.ravel() for k in np.indices(weights.shape))
    return shares(i, j, weights.ravel(), *weights.shape, 200, 1e-9).reshape(weights.shape)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 4), st.integers(1, 4))
def test_shares_are_close_to_those_of_all_hypotheses(seed: int, n: int, m: int) -> None:
    weights = np.exp(np.random.default_rng(seed).uniform(-3.0, 3.0, (n, m)))
    assert np.abs(_shares(weights) - _exact(weights)).max() < 0.12


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 100_000), st.floats(1.0, 60.0))
def test_no_track_and_no_detection_is_given_away_more_than_once(seed: int, scale: float) -> None:
    weights = np.exp(np.random.default_rng(seed).uniform(-scale, scale, (5, 6)))
    found = _shares(weights)
    assert np.isfinite(found).all()
    assert (found >= 0.0).all()
    assert found.sum(axis=1).max() <= 1.0 + 1e-9
    assert found.sum(axis=0).max() <= 1.0 + 1e-9


def test_messages_that_still_move_give_no_detection_away_twice() -> None:
    weights = np.exp(np.random.default_rng(1331).uniform(-25.0, 25.0, (5, 6)))
    i, j = (k.ravel() for k in np.indices(weights.shape))
    found = shares(i, j, weights.ravel(), *weights.shape, 2, 0.01).reshape(weights.shape)
    assert found.sum(axis=0).max() <= 1.0 + 1e-9
    assert found.sum(axis=1).max() <= 1.0 + 1e-9


def test_a_single_pair_is_exact() -> None:
    assert shares(np.array([0]), np.array([0]), np.array([9.0]), 1, 1, 20, 0.01) == pytest.approx([0.9])


def test_two_alike_share_evenly() -> None:
    assert _shares(np.full((2, 2), 1e6)) == pytest.approx(np.full((2, 2), 0.5), abs=1e-2)
