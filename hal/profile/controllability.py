"""Whether on-off nozzles, which only push, can make every force and torque, and which they can't.

Non-negative weights of nozzle wrenches a_i (force, torque about the centre of mass) fill all of R^6 exactly when they
fill the twelve signed axes, since any wrench is a non-negative sum of those (Davis, "Theory of positive linear
dependence", American Journal of Mathematics 76, 1954). Each axis is one bounded linear programme: the greatest s with
``W u = s b, 0 <= u <= 1``, which ``strongest_firing`` solves to the exact vertex. An axis counts as made from a
thousandth of the strongest nozzle at the longest lever on, since coordinates that are written to three or four digits
seem to make that much of an axis that the drawing doesn't have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hal.profile.body import BodyConfig

__all__ = [
    "LEAST_SHARE", "SIGNED_AXES", "Firing", "axis_scale", "axis_wrench", "cheapest_firing", "greatest_scale",
    "missing_axes", "strongest_firing", "wrench_matrix",
]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

SIGNED_AXES = tuple(f"{kind} {sign}{axis}" for kind in ("force", "torque") for axis in "XYZ" for sign in "+-")
"""The twelve pure demands in the order of every table: force +X, force -X, force +Y ... torque -Z; body frame."""
LEAST_SHARE = 1e-3
"""Least authority of an axis that counts, in strongest nozzles (times the longest lever): see the module."""
CHEAP_SLACK = 1e-3
"""Firings that cost this share more than the least count as the cheapest: rounded coordinates part equal ones so."""
STALLS = 24
"""Pivots without progress after which Bland's rule takes over, which is slower but can't go round in circles."""
TINY = 1e-9
"""Of scaled wrenches, whose entries are at most one: below it a pivot or a reduced cost is rounding."""


class Firing(NamedTuple):
    """Nozzles that make a pure demand together."""

    size: float
    """How often the demand is made: N or N m for a unit demand."""
    duty: tuple[float, ...]
    """Share of full thrust, 0..1, one for each nozzle in body order."""


def wrench_matrix(body: BodyConfig) -> Array:
    """6 x n: force (N) over torque (N m) about the centre of mass that each nozzle makes at full thrust, body frame."""
    com = np.array(body.mass.centre_of_mass_m)
    columns = []
    for nozzle in body.propulsion.nozzles:
        direction = np.array(nozzle.direction)
        force = nozzle.thrust_n * direction / np.linalg.norm(direction)
        columns.append(np.concatenate([force, np.cross(np.array(nozzle.position_m) - com, force)]))
    return np.array(columns).T


def axis_wrench(index: int) -> Array:
    """Unit wrench (6,) of ``SIGNED_AXES[index]``."""
    wrench = np.zeros(6)
    wrench[index // 2] = -1.0 if index % 2 else 1.0
    return wrench


def axis_scale(body: BodyConfig) -> Array:
    """(6,) of the strongest nozzle: its thrust, N, and its torque at the longest lever, N m. Never zero."""
    com = np.array(body.mass.centre_of_mass_m)
    nozzles = body.propulsion.nozzles
    thrust = max(nozzle.thrust_n for nozzle in nozzles)
    lever = max(float(np.linalg.norm(np.array(nozzle.position_m) - com)) for nozzle in nozzles)
    return thrust * np.array([1.0, 1.0, 1.0, *3 * [lever or 1.0]])


def greatest_scale(matrix: Array, wrench: Array, usable: Mask | None = None) -> float:
    """How often the nozzles make ``wrench`` with duties 0..1; arguments as of ``strongest_firing``."""
    count = matrix.shape[1]
    programme = _Programme(matrix, wrench, np.ones(count) if usable is None else usable.astype(np.float64))
    programme.maximise(np.append(np.zeros(count), 1.0))
    return float(programme.x[count])


def missing_axes(body: BodyConfig, failed: Sequence[int] = ()) -> tuple[str, ...]:
    """Pure forces and torques of ``SIGNED_AXES`` that the nozzles can't make; none of a body that is controllable.

    ``failed``: nozzles that don't work.
    """
    scale = axis_scale(body)
    matrix = wrench_matrix(body) / scale[:, None]
    alive = np.array([nozzle.id not in failed for nozzle in body.propulsion.nozzles])
    return tuple(
        name for index, name in enumerate(SIGNED_AXES)
        if greatest_scale(matrix, axis_wrench(index), alive) < LEAST_SHARE
    )


def strongest_firing(
    matrix: Array, wrench: Array, usable: Mask | None = None, cost: Array | None = None
) -> Firing:
    """The largest multiple of ``wrench`` that nozzles make with duties 0..1; of several firings the cheapest.

    Args:
        matrix: 6 x n, what each nozzle makes; entries of about one (divide its rows by ``axis_scale``).
        wrench: (6,), in the same scale.
        usable: (n,), nozzles that may be used; all if not given.
        cost: (n,), of full thrust; the same for each nozzle if not given.

    Of equally cheap firings it is the most even one (least sum of squares).
    """
    count = matrix.shape[1]
    upper = np.ones(count) if usable is None else usable.astype(np.float64)
    price = np.ones(count) if cost is None else cost
    programme = _Programme(matrix, wrench, upper)
    programme.maximise(np.append(np.zeros(count), 1.0))
    programme.maximise(np.append(-price, 0.0))
    duty = _most_even(np.vstack([matrix, price]), programme.x[:count], upper, programme.open[:count])
    return Firing(float(programme.x[count]), tuple(float(x) for x in duty))


def cheapest_firing(
    matrix: Array, wrench: Array, usable: Mask | None = None, cost: Array | None = None
) -> Firing:
    """The largest multiple of ``wrench`` that is still made for the least cost a unit, within ``CHEAP_SLACK``.

    Beyond it the demand costs more: nozzles must help that push less along it. Arguments as of ``strongest_firing``,
    but every cost must be above zero.
    """
    count = matrix.shape[1]
    price = np.ones(count) if cost is None else cost
    alive = np.ones(count, dtype=bool) if usable is None else usable
    # Duties without bound, but for one unit of cost in all: the duals of that vertex tell which nozzles are worth it.
    programme = _Programme(matrix, wrench, np.where(alive, np.inf, 0.0), price)
    programme.maximise(np.append(np.zeros(count), 1.0))
    waste = -programme.reduced[:count] / (price * max(float(programme.x[count]), TINY))
    return strongest_firing(matrix, wrench, alive & (waste <= CHEAP_SLACK), price)


class _Programme:
    """Maximises over ``{x = (u, s): W u = s b, 0 <= u <= upper, s >= 0}``, one objective after the other.

    Bounded primal simplex on a dense tableau that turns to Bland's rule when it stalls (Chvatal, Linear Programming,
    1983, chapters 3 and 8).
    u = 0, s = 0 is feasible, so there is no first phase: the basis starts with one slack a row, held at zero. With
    ``budget`` (n,) a row ``budget.u <= 1`` is added.
    """

    def __init__(self, matrix: Array, wrench: Array, upper: Array, budget: Array | None = None) -> None:
        if not wrench.any():
            raise ValueError("a wrench of zero has no direction")
        rows: Array = np.hstack([matrix, -wrench[:, None]])
        room = [0.0] * len(rows)
        if budget is not None:
            rows = np.vstack([rows, np.append(budget, 0.0)])
            room.append(1.0)
        height, width = rows.shape
        self._table = np.hstack([rows, np.eye(height)])
        self._upper = np.concatenate([upper, [np.inf], room])
        self._x: Array = np.concatenate([np.zeros(width), room])
        self._basis = np.arange(width, width + height)
        self._basic = np.zeros(width + height, dtype=bool)
        self._basic[self._basis] = True
        self.open = self._upper > 0.0
        """Variables that may still change without loss to the objectives so far."""
        self.reduced = np.zeros(width + height)
        """What each variable would add to the last objective; never above zero where it may rise."""
        self._rounds = 50 * width

    @property
    def x(self) -> Array:
        """Duties and scale at the vertex that was reached."""
        return self._x

    def maximise(self, objective: Array) -> None:
        """Go to the best vertex among those that are as good as this one by the objectives before."""
        gain = np.append(objective, np.zeros(len(self._basis)))
        stalled = 0
        for _ in range(self._rounds):
            reduced = gain - gain[self._basis] @ self._table
            movable = self.open & ~self._basic
            rise = movable & (reduced > TINY) & (self._x < self._upper)
            fall = movable & (reduced < -TINY) & (self._x > 0.0)
            ways = (rise | fall).nonzero()[0]
            if not len(ways):
                self.reduced = reduced
                self.open &= self._basic | (np.abs(reduced) <= TINY)
                return
            bland = stalled > STALLS
            best = int(ways[0] if bland else ways[np.abs(reduced[ways]).argmax()])
            stalled = 0 if self._move(best, 1.0 if rise[best] else -1.0, bland) > 0.0 else stalled + 1

    def _move(self, entering: int, sign: float, bland: bool) -> float:
        """Change ``entering`` until it or one in the basis comes to its bound; returns by how much."""
        column = sign * self._table[:, entering]
        values, tops = self._x[self._basis], self._upper[self._basis]
        down, up = column > TINY, column < -TINY
        steps = np.full(len(column), np.inf)
        steps[down] = np.maximum(values[down], 0.0) / column[down]
        steps[up] = np.maximum(tops[up] - values[up], 0.0) / -column[up]
        own = self._upper[entering] - self._x[entering] if sign > 0.0 else self._x[entering]
        step = min(float(steps.min()), float(own))
        self._x[self._basis] = values - step * column
        self._x[entering] += sign * step
        if own <= step:
            self._x[entering] = self._upper[entering] if sign > 0.0 else 0.0
            return step
        blocking = (steps <= step).nonzero()[0]
        # Of ties the first by number (Bland), else the one that divides best.
        row = int(blocking[self._basis[blocking].argmin() if bland else np.abs(column[blocking]).argmax()])
        leaving = int(self._basis[row])
        self._x[leaving] = 0.0 if down[row] else self._upper[leaving]
        self._basic[leaving], self._basic[entering] = False, True
        self._basis[row] = entering
        self._table[row] /= self._table[row, entering]
        others = self._table[:, entering].copy()
        others[row] = 0.0
        self._table -= others[:, None] * self._table[row]
        return step


def _most_even(matrix: Array, start: Array, upper: Array, free: Mask) -> Array:
    """Of all ``u`` with the same ``matrix u`` as ``start`` and ``0 <= u <= upper`` the one of least squares.

    Only entries that are ``free`` change. Primal active set from a feasible point (Nocedal and Wright, Numerical
    Optimization, 2006, algorithm 16.3); each step keeps all conditions, so that it may stop at any time.
    """
    u: Array = np.clip(start, 0.0, upper)
    moving = free & (u > 0.0) & (u < upper)
    for _ in range(10 * len(u)):
        wanted: Array = u.copy()
        if moving.any():
            columns = matrix[:, moving]
            wanted[moving] = np.linalg.lstsq(columns, columns @ u[moving], rcond=TINY)[0]
        beyond = moving & ((wanted < -TINY) | (wanted > upper + TINY))
        if beyond.any():
            bound = np.where(wanted < 0.0, 0.0, upper)
            steps = np.full(len(u), np.inf)
            steps[beyond] = (bound[beyond] - u[beyond]) / (wanted[beyond] - u[beyond])
            blocking = int(steps.argmin())
            u = u + steps[blocking] * (wanted - u)
            u[blocking] = bound[blocking]
            moving[blocking] = False
            continue
        u = np.clip(wanted, 0.0, upper)
        # Slope of the squares along each held entry, once the moving ones make up for it.
        price: Array = np.zeros(len(matrix))
        if moving.any():
            price = np.asarray(np.linalg.lstsq(matrix[:, moving].T, u[moving], rcond=TINY)[0])
        slope = np.where(u <= 0.0, matrix.T @ price - u, u - matrix.T @ price)
        slope[moving | ~free] = -np.inf
        loosest = int(slope.argmax())
        if slope[loosest] <= TINY:
            break
        moving[loosest] = True
    return u
