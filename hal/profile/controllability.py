"""Whether on-off nozzles, which only push, can make every force and torque.

Nozzle wrenches a_i (force, torque about the centre of mass) span all of R^6 with non-negative weights exactly when
they have rank 6 and some strictly positive combination of them is zero (Davis, "Theory of positive linear
dependence", American Journal of Mathematics 76, 1954, theorem 3.8, for a full set; a set with useless extra columns
still passes if a subset spans). Feasibility is found with a small active-set non-negative least squares.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hal.profile.body import BodyConfig

__all__ = ["worst_balanced_share", "wrench_matrix"]

Array = npt.NDArray[np.float64]


def wrench_matrix(body: BodyConfig) -> Array:
    """6 x n: force (N) over torque (N m) about the centre of mass that each nozzle makes at full thrust, body frame."""
    com = np.array(body.mass.centre_of_mass_m)
    columns = []
    for nozzle in body.propulsion.nozzles:
        direction = np.array(nozzle.direction)
        force = nozzle.thrust_n * direction / np.linalg.norm(direction)
        columns.append(np.concatenate([force, np.cross(np.array(nozzle.position_m) - com, force)]))
    return np.array(columns).T


def worst_balanced_share(body: BodyConfig) -> float:
    """How far the nozzles span every direction of force and torque: smallest reach over the 12 signed axes.

    For each axis the residual of the best non-negative fit decides; returns 1 minus the worst relative residual,
    0 or less when an axis cannot be made.
    """
    matrix = wrench_matrix(body)
    if np.linalg.matrix_rank(matrix) < 6:
        return 0.0
    scale = np.abs(matrix).max(axis=1)
    scaled = matrix / scale[:, None]
    worst = 1.0
    for axis in range(6):
        for sign in (1.0, -1.0):
            target = np.zeros(6)
            target[axis] = sign
            residual = float(np.linalg.norm(scaled @ _nnls(scaled, target) - target))
            worst = min(worst, 1.0 - 1e3 * residual)
    return worst


def _nnls(a: Array, b: Array) -> Array:
    """Lawson and Hanson's non-negative least squares (Solving Least Squares Problems, 1974, chapter 23)."""
    n = a.shape[1]
    x = np.zeros(n)
    passive = np.zeros(n, dtype=bool)
    for _ in range(10 * n):
        gradient = a.T @ (b - a @ x)
        gradient[passive] = -np.inf
        candidate = int(np.argmax(gradient))
        if gradient[candidate] <= 1e-10:
            break
        passive[candidate] = True
        while True:
            trial = np.zeros(n)
            trial[passive] = np.linalg.lstsq(a[:, passive], b, rcond=None)[0]
            if trial[passive].min() > 0.0:
                break
            blocking = passive & (trial <= 0.0)
            step = np.min(x[blocking] / (x[blocking] - trial[blocking]))
            x = x + step * (trial - x)
            passive &= x > 1e-12
            x[~passive] = 0.0
            if not passive.any():
                trial = np.zeros(n)
                break
        x = trial
    return x
