"""Assignment against brute force, and its bounds."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.tracker import clusters


def _best(table: np.ndarray) -> float:
    """Greatest sum over all assignments; an entry below 0 is as good as none."""
    n, m = table.shape
    wide = np.concatenate((np.maximum(table, 0.0), np.zeros((n, n))), axis=1)
    return max(sum(wide[i, j] for i, j in enumerate(order)) for order in permutations(range(m + n), n))


def _sparse(seed: int, n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    table = np.where(rng.random((n, m)) < 0.6, rng.uniform(-2.0, 20.0, (n, m)), -1.0)
    i, j = (table > -1.0).nonzero()
    return table, i, j, table[i, j]


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 4), st.integers(1, 3), st.sampled_from([1, 2, 64]))
def test_the_sum_is_that_of_brute_force_whole_or_by_clusters(seed: int, n: int, m: int, most: int) -> None:
    pytest.importorskip("scipy")
    table, i, j, score = _sparse(seed, n, m)
    picked, _ = clusters.assign(i, j, score, n, m, most)
    assert len(set(i[picked])) == len(picked) == len(set(j[picked]))
    assert (score[picked] > 0.0).all()
    if most == 64:
        assert score[picked].sum() == pytest.approx(_best(table))
    else:
        assert score[picked].sum() <= _best(table) + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000))
def test_clusters_solved_apart_are_the_same_as_one_matrix(seed: int) -> None:
    pytest.importorskip("scipy")
    rng = np.random.default_rng(seed)
    i = np.concatenate([3 * k + rng.integers(0, 3, 5) for k in range(30)])
    j = np.concatenate([3 * k + rng.integers(0, 3, 5) for k in range(30)])
    i, j = np.unique(np.stack((i, j)), axis=1)
    score = rng.uniform(0.1, 20.0, len(i))
    whole, one = clusters.assign(i, j, score, 90, 90, 512)
    apart, many = clusters.assign(i, j, score, 90, 90, 8)
    assert one == 1
    assert many >= 30
    assert score[apart].sum() == pytest.approx(score[whole].sum())
    assert set(apart) == set(whole)


def test_pairing_off_takes_the_best_first_and_half_the_best_sum_at_least() -> None:
    for seed in range(50):
        table, i, j, score = _sparse(seed, 4, 3)
        wanted = (score > 0.0).nonzero()[0]
        picked = wanted[clusters.pair_off(i[wanted], j[wanted], score[wanted], 4, 3)]
        assert len(set(i[picked])) == len(picked) == len(set(j[picked]))
        assert score[picked].sum() >= 0.5 * _best(table)
        if len(wanted):
            assert score.argmax() in picked


def test_without_scipy_clusters_pair_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "solver", lambda: None)
    picked, _ = clusters.assign(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5.0, 4.0, 3.0]), 2, 2, 64)
    assert picked.tolist() == [0]


def test_labels_follow_long_chains() -> None:
    n = 200
    i = np.concatenate((np.arange(n), np.arange(n - 1)))
    j = np.concatenate((np.arange(n), np.arange(1, n)))
    assert (clusters.labels(i, j, n + 1, n) == 0).all()
    assert clusters.labels(np.array([0, 1, 2]), np.array([0, 1, 1]), 3, 2).tolist() == [0, 1, 1]


def test_nothing_worth_choosing_is_nothing() -> None:
    picked, count = clusters.assign(np.array([0]), np.array([0]), np.array([-1.0]), 1, 1, 64)
    assert (len(picked), count) == (0, 0)
