"""Small dense solvers for nozzle duties in 0..1: a bounded dual simplex and a bounded least-squares fit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["BoundedSimplex", "bounded_least_squares"]

Array = npt.NDArray[np.float64]
TOLERANCE = 1e-11
PIVOT = 1e-9
MOST_PIVOTS = 60
GRADIENT = 1e-11
"""Share of the product of wanted vector and longest column below which a gradient of the fit is rounding."""


class BoundedSimplex:
    """``min cost.x, W x = b, 0 <= x <= 1`` from a given basis, by the dual simplex with bounded variables.

    Chvatal, Linear Programming, 1983, chapters 8 and 10. W is (6, n); ``row_scale`` (6,) makes its rows comparable.
    """

    def __init__(self, wrenches: Array, row_scale: Array) -> None:
        self._a = wrenches * row_scale[:, None]
        self._row_scale = row_scale

    def solve(
        self, b: Array, cost: Array, alive: npt.NDArray[np.bool_], columns: npt.NDArray[np.intp],
        full: npt.NDArray[np.bool_],
    ) -> Array | None:
        """Optimal x (n,), or None if there is none (or after 60 pivots, or at a basis that is singular).

        ``columns`` (6,) is a basis whose other columns are at 1 where ``full`` and else at 0, dual feasible; columns
        that are not ``alive`` stay at 0.
        """
        a, target = self._a, b * self._row_scale
        basis, upper = columns.copy(), full.copy()
        for _ in range(MOST_PIVOTS):
            matrix = a[:, basis]
            try:
                inverse = np.linalg.inv(matrix)
            except np.linalg.LinAlgError:
                return None
            rest = target - a @ upper
            x = inverse @ rest
            x += inverse @ (rest - matrix @ x)
            beyond = np.maximum(-x, x - 1.0)
            leaving = int(beyond.argmax())
            if beyond[leaving] <= TOLERANCE:
                duty = upper.astype(np.float64)
                duty[basis] = x
                return np.clip(duty, 0.0, 1.0)
            low = x[leaving] < 0.0
            row = inverse[leaving] @ a
            reduced = cost - (cost[basis] @ inverse) @ a
            # A column may enter whose move brings the leaving one back to its bound.
            towards = np.where(upper, row, -row) if low else np.where(upper, -row, row)
            towards[basis] = 0.0
            towards[~alive] = 0.0
            ready = towards > PIVOT
            if not ready.any():
                return None
            ratio = np.where(ready, np.maximum(np.where(upper, -reduced, reduced), 0.0) / np.where(ready, towards, 1.0),
                             np.inf)
            entering = int(ratio.argmin())
            upper[basis[leaving]] = not low
            upper[entering] = False
            basis[leaving] = entering
        return None


def bounded_least_squares(a: Array, b: Array) -> Array:
    """``min |a x - b|`` with ``0 <= x <= 1``, by an active set (Stark and Parker, Computational Statistics 10, 1995).

    ``a`` is (m, n), ``b`` (m,); returns (n,). Stops after 10 n rounds at the best point so far.
    """
    n = a.shape[1]
    x = np.zeros(n)
    free = np.zeros(n, dtype=bool)
    barred = -1
    flat = GRADIENT * float(np.linalg.norm(b)) * float(np.sqrt((a * a).sum(axis=0).max(initial=0.0)))
    for _ in range(10 * n):
        gradient = a.T @ (b - a @ x)
        gain = np.where(x <= 0.0, gradient, np.where(x >= 1.0, -gradient, -np.inf))
        gain[free] = -np.inf
        if barred >= 0:
            gain[barred] = -np.inf
        candidate = int(gain.argmax())
        if gain[candidate] <= flat:
            break
        free[candidate] = True
        barred = -1
        while free.any():
            fixed = np.where(free, 0.0, x)
            trial = x.copy()
            trial[free] = np.linalg.lstsq(a[:, free], b - a @ fixed, rcond=1e-10)[0]
            outside = free & ((trial < 0.0) | (trial > 1.0))
            if not outside.any():
                x = trial
                break
            bound = np.where(trial < 0.0, 0.0, 1.0)
            steps = np.full(n, np.inf)
            steps[outside] = (bound[outside] - x[outside]) / (trial[outside] - x[outside])
            blocking = int(steps.argmin())
            step = max(0.0, float(steps[blocking]))
            x = x + step * (trial - x)
            x[blocking] = bound[blocking]
            free[blocking] = False
            if blocking == candidate and step == 0.0:
                barred = candidate
    return np.clip(x, 0.0, 1.0)
