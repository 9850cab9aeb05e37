"""The small solvers against scipy's."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import linprog, lsq_linear

from firmware_py.gnc.simplex import BoundedSimplex, bounded_least_squares


def dual_feasible_start(a: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Any regular basis, and the columns that are worth more than their price there."""
    for columns in combinations(range(a.shape[1]), 6):
        basis = a[:, columns]
        if abs(np.linalg.det(basis)) > 1e-2:
            gain = np.linalg.solve(basis.T, cost[list(columns)]) @ a - cost
            gain[list(columns)] = 0.0
            return np.array(columns), gain > 1e-10
    raise AssertionError("no regular basis")


@pytest.mark.parametrize("seed", range(30))
def test_from_any_basis_the_optimum_within_the_bounds_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, 20))
    a, cost = rng.standard_normal((6, n)), rng.uniform(0.5, 2.0, n)
    alive = np.ones(n, dtype=bool)
    b = a @ rng.uniform(0.0, 1.0, n)
    columns, full = dual_feasible_start(a, cost)
    duty = BoundedSimplex(a, np.ones(6)).solve(b, cost, alive, columns, full)
    theirs = linprog(cost, A_eq=a, b_eq=b, bounds=[(0, 1)] * n, method="highs")
    assert duty is not None
    assert np.abs(a @ duty - b).max() < 1e-9
    assert cost @ duty == pytest.approx(theirs.fun, rel=1e-8)


def test_what_cannot_be_made_has_no_solution() -> None:
    rng = np.random.default_rng(3)
    a, cost = np.abs(rng.standard_normal((6, 10))), np.ones(10)
    columns, full = dual_feasible_start(a, cost)
    assert BoundedSimplex(a, np.ones(6)).solve(-np.ones(6), cost, np.ones(10, dtype=bool), columns, full) is None


def test_bounded_least_squares_agrees_with_scipy() -> None:
    rng = np.random.default_rng(8)
    for _ in range(60):
        a, b = rng.standard_normal((6, 10)), 3.0 * rng.standard_normal(6)
        ours = bounded_least_squares(a, b)
        theirs = lsq_linear(a, b, (0.0, 1.0), method="bvls").x
        assert np.linalg.norm(a @ ours - b) == pytest.approx(np.linalg.norm(a @ theirs - b), abs=1e-6)


def test_a_singular_basis_is_no_solution_and_no_error() -> None:
    a = np.tile(np.eye(6), 2)
    columns = np.array([0, 1, 2, 3, 4, 10])
    solve = BoundedSimplex(a, np.ones(6)).solve
    assert solve(np.full(6, 0.5), np.ones(12), np.ones(12, dtype=bool), columns, np.zeros(12, dtype=bool)) is None


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_a_fit_does_not_depend_on_the_unit(size: float) -> None:
    rng = np.random.default_rng(9)
    for _ in range(20):
        a, b = rng.standard_normal((6, 10)), size * rng.standard_normal(6)
        assert a.T @ (b - a @ bounded_least_squares(a, b)) == pytest.approx(
            a.T @ (b - a @ lsq_linear(a, b, (0.0, 1.0), method="bvls", tol=1e-15).x), abs=1e-6 * size
        )
