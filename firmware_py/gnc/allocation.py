"""Turns a wanted wrench into nozzle duties that make exactly its direction, for the least propellant.

The linear program ``min cost.x, W x = b, x >= 0`` is solved by table: an optimal basis is one whose dual vertex
``y = c_B B^-1`` keeps ``W^T y <= c``, and for a given ``b`` the optimal vertex is the one with the greatest ``y.b``
(Bertsimas and Tsitsiklis, Introduction to Linear Optimization, 1997, sections 4.3 and 5.2). All bases of the 6 x n
wrench matrix are inverted once, at load. A tiny spread of the costs removes degeneracy, so that each vertex has one
basis.

The bound ``x <= 1`` needs a second table: the attainable wrenches are the zonotope ``{W x, 0 <= x <= 1}``, whose
facets are spanned by five columns each (McMullen, "On zonotopes", Trans. AMS 159, 1971). Where the cheapest solution
exceeds one, the nozzles above are set to full and the rest of the wrench is made by the others; where that fails, it
is blended with the zonotope's own, least saturated solution (exact wrench either way, up to a quarter above the least
propellant). Beyond the boundary the wrench is shortened along its direction.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb, sin

import numpy as np
import numpy.typing as npt

from hal.profile.body import BodyConfig
from hal.profile.controllability import wrench_matrix

__all__ = ["Allocator", "bounded_least_squares"]

Array = npt.NDArray[np.float64]

COST_SPREAD = 1e-6
"""Relative spread of the costs against degeneracy; it bounds the fuel excess over the true optimum."""
COLUMN_SPREAD = 1e-7
"""Relative spread of the columns that puts the zonotope in general position; it bounds the wrench error at
saturation."""
REACH_SLACK = 2e-6
"""Outward shift of every facet, in greatest thrusts: a push along the edge of what a lost cluster leaves must not fall
victim to the spread of the columns."""
DUAL_TOLERANCE = 1e-10
CHUNK = 20_000
MOST_TABLES = 256
ALL_BASES_UP_TO = 18
"""Nozzle count up to which every basis is kept, so that any failed set has its table."""
MOST_VIOLATIONS = 4
"""Above that count only bases are kept that at most this many failed nozzles make optimal."""


@dataclass(frozen=True, slots=True)
class _Table:
    """Optimal bases over the nozzles that still work."""

    failed: int
    alive: npt.NDArray[np.bool_]
    vertices: Array
    inverses: Array
    columns: npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Zonotope:
    """Facets of what the nozzles that still work can make: normal, reach along it both ways, the five columns in it."""

    normals: Array
    support: Array
    support_negative: Array
    facets: npt.NDArray[np.intp]


class Allocator:
    """Minimum-fuel control allocation for on-off nozzles.

    Args:
        body: craft description; wrenches are about its centre of mass, body frame.

    Duties are shares of full thrust in 0..1, one per nozzle in body order. ``failed`` masks have bit n set for
    nozzle n. Raises ValueError for a geometry without six independent nozzles.
    """

    def __init__(self, body: BodyConfig) -> None:
        self.wrenches: Array = wrench_matrix(body)
        self.thrust: Array = np.array([nozzle.thrust_n for nozzle in body.propulsion.nozzles])
        self.count = self.wrenches.shape[1]
        if np.linalg.matrix_rank(self.wrenches) < 6:
            raise ValueError("fewer than six independent nozzle wrenches")
        inertia = np.array(body.mass.inertia_kg_m2)
        mass = body.mass.dry_kg + body.mass.propellant_kg
        # Radius of gyration turns torque into force of like effect: only for conditioning and the best-effort fit.
        length = float(np.sqrt(np.trace(inertia) / (3.0 * mass)))
        self._row_scale = np.array([1.0, 1.0, 1.0, 1.0 / length, 1.0 / length, 1.0 / length]) / self.thrust.max()
        # Without linear structure: equal steps would cancel in sums over symmetric nozzles.
        spread = np.array([(43758.5453 * abs(sin(12.9898 * (n + 1)))) % 1.0 for n in range(self.count)])
        self._cost = self.thrust / self.thrust.max() * (1.0 + COST_SPREAD * spread)
        self._enumerate_bases()
        self._enumerate_facets()
        self._tables: dict[int, _Table] = {}
        self._zonotopes: dict[int, _Zonotope] = {}
        self._failed = 0
        self._table = self._make_table(0)
        for failed in (0, *(1 << nozzle for nozzle in range(self.count))):
            self._make_zonotope(self._make_table(failed))

    @property
    def failed(self) -> int:
        """Mask of the nozzles that are not used."""
        return self._failed

    def set_failed(self, mask: int) -> None:
        """Use only nozzles whose bit in ``mask`` is clear. Single failures are ready; others take some ms once."""
        self._failed = mask
        self._table = self._make_table(mask)

    def allocate(self, wrench: Array | tuple[float, ...], failed: int | None = None) -> tuple[Array, float]:
        """Duties (n,) that make ``wrench`` (N, N m about the centre of mass), and the share of it that they reach.

        The share is 1 inside the attainable set. On its boundary the wrench is shortened without turning. If the
        nozzles left can't make the direction at all, the duties are the closest fit, torque before force, and the
        share is the part of the wanted wrench that the fit makes along it.
        """
        table = self._table if failed is None else self._make_table(failed)
        b = np.asarray(wrench, dtype=np.float64)
        duty = np.zeros(self.count)
        if not len(table.vertices):
            return self._closest(table, b)
        best = int((table.vertices @ b).argmax())
        x = table.inverses[best] @ b
        top = float(x.max())
        if float(x.min()) < -1e-6 * top:
            return self._closest(table, b)
        duty[table.columns[best]] = x
        np.maximum(duty, 0.0, out=duty)
        if top <= 1.0:
            return duty, 1.0
        return self._saturated(table, b, duty)

    def peak(self, wrench: Array | tuple[float, ...], failed: int | None = None) -> float:
        """Greatest duty of the cheapest solution if duties could exceed 1; above 1 the wrench costs more than need be.

        Infinite for a direction that the nozzles left cannot make.
        """
        table = self._table if failed is None else self._make_table(failed)
        b = np.asarray(wrench, dtype=np.float64)
        if not len(table.vertices):
            return np.inf
        x = table.inverses[int((table.vertices @ b).argmax())] @ b
        top = float(x.max())
        return np.inf if float(x.min()) < -1e-6 * top else top

    def largest_scale(self, wrench: Array | tuple[float, ...]) -> float:
        """How often ``wrench`` fits into what the nozzles can make together (1 = just attainable).

        Zero for a direction that the nozzles left cannot make.
        """
        return self._reach(self._make_zonotope(self._table), np.asarray(wrench, dtype=np.float64))[0]

    def _make_table(self, failed: int) -> _Table:
        known = self._tables.get(failed)
        if known is not None:
            return known
        if len(self._tables) >= MOST_TABLES:
            # Masks of the moment (cooldowns) come and go; the singles are quickly made again.
            self._tables.clear()
        usable = ((self._basis_mask & failed) == 0) & ((self._violated & ~np.int64(failed)) == 0)
        table = self._tables[failed] = _Table(
            failed,
            np.array([not failed >> n & 1 for n in range(self.count)]),
            np.ascontiguousarray(self._vertices[usable]),
            np.ascontiguousarray(self._inverses[usable]),
            np.ascontiguousarray(self._columns[usable]),
        )
        return table

    def _make_zonotope(self, table: _Table) -> _Zonotope:
        known = self._zonotopes.get(table.failed)
        if known is not None:
            return known
        if len(self._zonotopes) >= MOST_TABLES:
            self._zonotopes.clear()
        keep = ((self._facet_mask & table.failed) == 0).nonzero()[0]
        normals = self._facet_normals[keep]
        projections = normals @ self._generic[:, table.alive]
        zonotope = self._zonotopes[table.failed] = _Zonotope(
            normals,
            np.maximum(projections, 0.0).sum(axis=1) + REACH_SLACK,
            np.maximum(-projections, 0.0).sum(axis=1) + REACH_SLACK,
            self._facet_columns[keep],
        )
        return zonotope

    def _enumerate_bases(self) -> None:
        """Every basis with its inverse, dual vertex and the columns that forbid it (bit mask)."""
        scaled = self.wrenches * self._row_scale[:, None]
        bits = np.int64(1) << np.arange(self.count, dtype=np.int64)
        vertices, inverses, columns, violated = [], [], [], []
        combos = combinations(range(self.count), 6)
        total = comb(self.count, 6)
        for start in range(0, total, CHUNK):
            size = min(CHUNK, total - start)
            flat = np.fromiter((n for c in _take(combos, size) for n in c), dtype=np.intp, count=6 * size)
            chosen = flat.reshape(size, 6)
            matrices = scaled[:, chosen].transpose(1, 0, 2)
            regular = np.abs(np.linalg.det(matrices)) > 1e-9
            chosen, inverse = chosen[regular], np.linalg.inv(matrices[regular])
            dual = np.einsum("kc,kcr->kr", self._cost[chosen], inverse)
            slack = dual @ scaled - self._cost
            np.put_along_axis(slack, chosen, -1.0, axis=1)
            over = slack > DUAL_TOLERANCE
            if self.count > ALL_BASES_UP_TO:
                few = over.sum(axis=1) <= MOST_VIOLATIONS
                chosen, inverse, dual, over = chosen[few], inverse[few], dual[few], over[few]
            vertices.append(dual * self._row_scale)
            inverses.append(inverse * self._row_scale)
            columns.append(chosen)
            violated.append(over @ bits)
        self._vertices = np.concatenate(vertices)
        self._inverses = np.concatenate(inverses)
        self._columns = np.concatenate(columns)
        self._violated = np.concatenate(violated)
        self._basis_mask = bits[self._columns].sum(axis=1)

    def _enumerate_facets(self) -> None:
        """Normals of every five columns, of a wrench matrix that is moved by 1e-7 into general position."""
        rows, columns = np.indices(self.wrenches.shape)
        noise = np.sin(12.9898 * (rows + 1) + 78.233 * (columns + 1) ** 1.5)
        size = np.abs(self.wrenches * self._row_scale[:, None]).max()
        self._generic = self.wrenches + COLUMN_SPREAD * size * noise / self._row_scale[:, None]
        scaled = self._generic * self._row_scale[:, None]
        chosen = np.array(list(combinations(range(self.count), 5)), dtype=np.intp)
        spans = scaled[:, chosen].transpose(1, 0, 2)
        normals = np.empty((len(chosen), 6))
        for row in range(6):
            minor = np.delete(spans, row, axis=1)
            normals[:, row] = (-1.0) ** row * np.linalg.det(minor)
        lengths = np.linalg.norm(normals, axis=1)
        keep = lengths > 1e-14
        self._facet_columns = chosen[keep]
        self._facet_normals = normals[keep] / lengths[keep, None] * self._row_scale
        self._facet_mask = (np.int64(1) << self._facet_columns.astype(np.int64)).sum(axis=1)

    @staticmethod
    def _reach(zonotope: _Zonotope, b: Array) -> tuple[float, int, bool]:
        """Scale at which the ray along ``b`` leaves the zonotope, the facet there and whether its normal points
        back."""
        if not len(zonotope.normals):
            return 0.0, -1, False
        along = zonotope.normals @ b
        support = np.where(along >= 0.0, zonotope.support, zonotope.support_negative)
        scale = support / np.maximum(np.abs(along), 1e-300)
        facet = int(scale.argmin())
        return float(scale[facet]), facet, bool(along[facet] < 0.0)

    def _saturated(self, table: _Table, b: Array, cheapest: Array) -> tuple[Array, float]:
        zonotope = self._make_zonotope(table)
        scale, facet, backward = self._reach(zonotope, b)
        wanted = scale * b
        normal = -zonotope.normals[facet] if backward else zonotope.normals[facet]
        free = zonotope.facets[facet]
        edge = ((normal @ self._generic > 0.0) & table.alive).astype(np.float64)
        edge[free] = 0.0
        rest = (wanted - self.wrenches @ edge) * self._row_scale
        spans = self.wrenches[:, free] * self._row_scale[:, None]
        edge[free] = np.linalg.lstsq(spans, rest, rcond=1e-9)[0]
        if edge.min() < -1e-3 or edge.max() > 1.0 + 1e-3:
            edge = self._fit(table, wanted)
        np.clip(edge, 0.0, 1.0, out=edge)
        if scale <= 1.0:
            return edge, scale
        filled = self._fill(table, b, cheapest)
        if filled is not None:
            return filled, 1.0
        # Both make b, so any blend does: the least share of the costlier one that brings every duty to 1 or below.
        even = edge / scale
        over = cheapest > 1.0
        share = float(((cheapest[over] - 1.0) / (cheapest[over] - even[over])).max())
        return np.minimum(cheapest + share * (even - cheapest), 1.0), 1.0

    def _fill(self, table: _Table, b: Array, cheapest: Array) -> Array | None:
        """Nozzles above full thrust set to full, the rest of ``b`` made by the others; None if that leads nowhere."""
        duty = cheapest
        full = np.zeros(self.count, dtype=bool)
        for _ in range(4):
            full |= duty > 1.0 + 1e-9
            barred = table.failed | self._mask(full)
            usable = (((self._basis_mask & barred) == 0) & ((self._violated & ~np.int64(barred)) == 0)).nonzero()[0]
            if not len(usable):
                return None
            rest = b - self.wrenches @ full
            best = usable[(self._vertices[usable] @ rest).argmax()]
            x = self._inverses[best] @ rest
            if float(x.min()) < -1e-6 * float(np.abs(x).max()):
                return None
            duty = full.astype(np.float64)
            duty[self._columns[best]] = np.maximum(x, 0.0)
            if float(x.max()) <= 1.0 + 1e-9:
                return np.minimum(duty, 1.0)
        return None

    @staticmethod
    def _mask(nozzles: npt.NDArray[np.bool_]) -> int:
        return sum(1 << int(n) for n in nozzles.nonzero()[0])

    def _fit(self, table: _Table, b: Array, torque_weight: float = 1.0) -> Array:
        weight = self._row_scale.copy()
        weight[3:] *= torque_weight
        alive = table.alive.nonzero()[0]
        duty = np.zeros(self.count)
        duty[alive] = bounded_least_squares(self.wrenches[:, alive] * weight[:, None], b * weight)
        return duty

    def _closest(self, table: _Table, b: Array) -> tuple[Array, float]:
        if not b.any():
            return np.zeros(self.count), 1.0
        duty = self._fit(table, b, torque_weight=10.0)
        scaled = b * self._row_scale
        made = (self.wrenches @ duty) * self._row_scale
        return duty, float(np.clip(made @ scaled / (scaled @ scaled), 0.0, 1.0))


def _take(source: combinations[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
    return [next(source) for _ in range(count)]


def bounded_least_squares(a: Array, b: Array) -> Array:
    """``min |a x - b|`` with ``0 <= x <= 1``, by an active set (Stark and Parker, Computational Statistics 10, 1995).

    ``a`` is (m, n), ``b`` (m,); returns (n,). Stops after 10 n rounds at the best point so far.
    """
    n = a.shape[1]
    x = np.zeros(n)
    free = np.zeros(n, dtype=bool)
    barred = -1
    for _ in range(10 * n):
        gradient = a.T @ (b - a @ x)
        gain = np.where(x <= 0.0, gradient, np.where(x >= 1.0, -gradient, -np.inf))
        gain[free] = -np.inf
        if barred >= 0:
            gain[barred] = -np.inf
        candidate = int(gain.argmax())
        if gain[candidate] <= 1e-11:
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
