"""Turns a wanted wrench into nozzle duties that make exactly its direction, for the least propellant possible.

The linear programme is ``min cost.x, W x = b, 0 <= x <= 1``. Its dual ``max y.b - sum max(0, W^T y - cost)`` is concave
and piecewise linear in ``y``, so it is greatest at a vertex of the arrangement of the planes ``w_i.y = cost_i``: at
``y = cost_B B^-1`` of some basis B of the 6 x n wrench matrix (Bertsimas and Tsitsiklis, Introduction to Linear
Optimization, 1997, sections 4.3 and 5.2). All bases are inverted once, at load, so the exact optimum of any wrench is
one product with a table and one search for its greatest entry. A first, small table holds the bases that are optimal
without the upper bound (no other column is worth its price); they serve while no duty passes 1.

What can be attained is the zonotope ``{W x, 0 <= x <= 1}``; its facets are spanned by five columns each (McMullen, "On
zonotopes", Trans. AMS 159, 1971), and beyond its boundary a wrench is shortened along its own direction. Failed
nozzles change the facets' distances and bar bases; the tables of every single failure and every pair are made at load.
A tiny spread of the costs gives each wrench one optimal basis; where rounding picks the neighbour of the right one, and
for bodies with more nozzles than all bases fit a table, a bounded dual simplex goes on from there.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain, combinations, islice
from math import comb, hypot, inf, isfinite, sin

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.simplex import BoundedSimplex, bounded_least_squares
from hal.profile.body import BodyConfig
from hal.profile.controllability import wrench_matrix

__all__ = ["Allocator"]

Array = npt.NDArray[np.float64]
Wrench = Array | tuple[float, ...]

COST_SPREAD = 1e-6
"""Relative spread of the costs against degeneracy; it bounds the fuel excess over the true optimum."""
REACH_SLACK = 1e-12
"""Outward shift of every facet, in greatest thrusts: a push along the edge of what a lost cluster leaves must not fall
victim to rounding."""
INSIDE = 1.0 - 1e-9
"""Share of the boundary at which a saturated wrench is made."""
LEAST_REACH = 1e-7
"""Reach along a direction, in greatest thrusts, below which it counts as out of reach."""
LEAST_LEANING = 1e-7
"""Force in a facet's normal of length 1, in greatest thrusts, below which it is rounding."""
LARGEST_WRENCH = 1e30
"""N or N m: a larger wrench is shortened to it first, as products with it might overflow."""
EXACT = 1e-11
"""Share of a wrench that a fit may miss and still be it."""
NOTHING = 1e-100
"""Wrench, in greatest thrusts, that is none: its square has no share."""
FAR = 1e4
"""Distance, in all nozzles' wrenches together, at which a wrench is as far off for the best-effort fit as any beyond:
the gradient of one much farther is rounding."""
FEASIBLE = 1e-11
"""Duty beyond 0..1 that is rounding."""
DUAL_TOLERANCE = 1e-10
REGULAR = 1e-9
"""Least determinant of a basis, columns in greatest thrusts and radii of gyration."""
DELICATE = 1e3
"""Largest entry of an inverse (in those units) above which its product is refined once."""
CHUNK = 20_000
MOST_TABLES = 256
"""Masks kept ready: every single and double failure of 16 nozzles, and as many again of the moment (cooldowns)."""
ALL_BASES_UP_TO = 18
"""Nozzle count up to which every basis is kept."""
MOST_VIOLATIONS = 4
"""Above that count only bases are kept that at most this many failed nozzles make optimal."""


@dataclass(frozen=True, slots=True)
class _Bases:
    """Every basis: its columns (k, 6), inverse (k, 6, 6), member mask, and whether rounding of its product counts."""

    columns: npt.NDArray[np.intp]
    inverses: Array
    members: npt.NDArray[np.int64]
    delicate: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Prices:
    """What follows from the costs: dual vertices (k, 6) and (6, k), gains of each column above its price (k, n), which
    those are (k, n) and as a mask (k,)."""

    cost: Array
    vertices: Array
    vertices_t: Array
    gains: Array
    dear: npt.NDArray[np.bool_]
    over: npt.NDArray[np.int64]


@dataclass(slots=True)
class _Table:
    """What one set of failed nozzles leaves: the bases that are cheapest without the upper bound, then (made when first
    needed) their solutions, the dual constants of all bases, and one over the distances of the facets."""

    failed: int
    alive: npt.NDArray[np.bool_]
    cheapest: npt.NDArray[np.intp]
    vertices_t: Array
    solutions: list[Array] | None = None
    delicate: npt.NDArray[np.bool_] | None = None
    constants: Array | None = None
    closeness: Array | None = None


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
        self._scaled = self.wrenches * self._row_scale[:, None]
        # Without linear structure: equal steps would cancel in sums over symmetric nozzles.
        spread = np.array([(43758.5453 * abs(sin(12.9898 * (n + 1)))) % 1.0 for n in range(self.count)])
        self._base_cost = self.thrust / self.thrust.max() * (1.0 + COST_SPREAD * spread)
        self._bits: npt.NDArray[np.int64] = np.int64(1) << np.arange(self.count, dtype=np.int64)
        self._bases, self._prices = self._enumerate_bases()
        self._normals_t = self._enumerate_normals()
        self._rising = np.maximum(self.wrenches.T @ self._normals_t, 0.0)
        leaning = np.linalg.norm(self._normals_t[:3], axis=0)
        # A facet that no force alone comes nearer to bounds none; its length would be rounding.
        self._pushing = (leaning * self.thrust.max() > LEAST_LEANING).nonzero()[0]
        self._leaning: Array = leaning[self._pushing]
        self._simplex = BoundedSimplex(self.wrenches, self._row_scale)
        self._tables: OrderedDict[int, _Table] = OrderedDict()
        self._reached: dict[int, Array | None] = {}
        self._failed = 0
        self._zero = np.zeros(self.count)
        self._pending: _Prices | None = None
        self.refused = 0
        """Wrenches that were not finite: all valves shut, share 0."""
        self._table = self._make_table(0)
        pairs = (1 << a | 1 << b for a, b in combinations(range(self.count), 2))
        for failed in islice(chain((0,), (1 << n for n in range(self.count)), pairs), MOST_TABLES // 2 + 16):
            self._make_table(failed)

    @property
    def failed(self) -> int:
        """Mask of the nozzles that are not used."""
        return self._failed

    @property
    def costs(self) -> Array:
        """Price of each nozzle's full duty (n,), 1 for the strongest nozzle at no extra cost."""
        return self._prices.cost

    def set_failed(self, mask: int) -> None:
        """Use only nozzles whose bit in ``mask`` is clear; any mask is switched to within a fast tick."""
        self._failed = mask
        self._table = self._make_table(mask)

    def set_costs(self, factors: Array) -> None:
        """Weigh each nozzle's propellant (n,), factors of 1 and above: heat of its cluster, burn time left, charge.

        All tables are made anew, some ms of work; in flight call it at the slow rate and only when factors have
        really changed. Raises ValueError for factors that are not finite and positive, or not one a nozzle.
        """
        factors = np.asarray(factors, dtype=np.float64)
        if factors.shape != (self.count,) or not np.isfinite(factors).all() or factors.min() <= 0.0:
            raise ValueError(f"costs must be {self.count} finite positive factors")
        self._prices = self._price(self._base_cost * factors)
        # What can be reached does not depend on what it costs.
        self._reached = {mask: table.closeness for mask, table in self._tables.items()}
        self._tables.clear()
        self._table = self._make_table(self._failed)

    def allocate(self, wrench: Wrench, failed: int | None = None) -> tuple[Array, float]:
        """Duties (n,) that make ``wrench`` (N, N m about the centre of mass), and the share of it that they reach.

        The share is 1 inside the attainable set. On its boundary the wrench is shortened without turning. If the
        nozzles left can't make the direction at all, the duties are the closest fit, torque before force, and the
        share is the part of the wanted wrench that the fit makes along it, less than 1 in any case. A wrench that is
        not finite is counted and leaves every valve shut.
        """
        table = self._table if failed is None or failed == self._failed else self._make_table(failed)
        b = wrench if isinstance(wrench, np.ndarray) else np.array(wrench)
        solutions = table.solutions
        if solutions is None:
            solutions = self._solve_cheapest(table)
        if solutions and hypot(*b.tolist()) < LARGEST_WRENCH:
            best = b.dot(table.vertices_t).argmax()
            duty: Array = solutions[best].dot(b)
            if table.delicate is not None and table.delicate[best]:
                duty += solutions[best].dot(b - self.wrenches.dot(duty))
            # The search for an index is the fastest way to an extreme of a short array.
            least = duty[duty.argmin()]
            if least >= -FEASIBLE and duty[duty.argmax()] <= 1.0:
                if least < 0.0:
                    np.maximum(duty, 0.0, out=duty)
                return duty, 1.0
        return self._bounded(table, b)

    def peak(self, wrench: Wrench, failed: int | None = None) -> float:
        """Greatest duty of the cheapest solution if duties could exceed 1; above 1 the wrench costs more than need be.

        Infinite for a direction that the nozzles left cannot make, and for a wrench that is not finite.
        """
        table = self._table if failed is None else self._make_table(failed)
        b = np.asarray(wrench, dtype=np.float64)
        if not len(table.cheapest) or not hypot(*b.tolist()) < LARGEST_WRENCH:
            return np.inf
        x = self._bases.inverses[table.cheapest[int((b @ table.vertices_t).argmax())]] @ b
        top = float(x.max())
        return np.inf if float(x.min()) < -1e-6 * top else top

    def largest_scale(self, wrench: Wrench, failed: int | None = None) -> float:
        """How often ``wrench`` fits into what the nozzles can make together (1 = just attainable).

        Zero for a direction that the nozzles left cannot make and for a wrench that is not finite, infinite for no
        wrench.
        """
        table = self._table if failed is None else self._make_table(failed)
        b = np.asarray(wrench, dtype=np.float64)
        if not hypot(*b.tolist()) < LARGEST_WRENCH:
            b, shrink = _shortened(b)
            return self._reach(table, b) * shrink if shrink else 0.0
        return self._reach(table, b)

    def ceiling_n(self, failed: int | None = None) -> float:
        """Force (N) that the nozzles left can make in every direction without a torque; 0 if there is a direction in
        which they can make none.

        The same as ``force_ceiling_n``, from the facets that are kept: tens of microseconds, some hundred for a mask
        that was not asked about yet.
        """
        table = self._table if failed is None else self._make_table(failed)
        near = self._closeness(table)[self._pushing] * self._leaning
        size = 1.0 / float(near.max())
        return size if size > LEAST_REACH * float(self.thrust.max()) else 0.0

    def largest_scale_beside(self, kept: Wrench, wrench: Wrench, failed: int | None = None) -> float:
        """How often ``wrench`` can be made beside ``kept``; below zero if ``kept`` alone is out of reach, or if one of
        them is not finite or larger than 1e30."""
        if not hypot(*kept, *wrench) < LARGEST_WRENCH:
            return -1.0
        table = self._table if failed is None else self._make_table(failed)
        closeness = self._closeness(table)
        # With 1/h of each facet: t = (h - n.kept) / n.wrench = (1 - c n.kept) / (c n.wrench).
        along = (np.asarray(wrench, dtype=np.float64) @ self._normals_t) * closeness
        room = 1.0 - (np.asarray(kept, dtype=np.float64) @ self._normals_t) * closeness
        if float(room.min()) < -FEASIBLE:
            return -1.0
        ahead = along > 1e-15
        return float((np.maximum(room[ahead], 0.0) / along[ahead]).min()) if ahead.any() else np.inf

    # -- tables

    def _make_table(self, failed: int) -> _Table:
        known = self._tables.get(failed)
        if known is not None:
            self._tables.move_to_end(failed)
            return known
        while len(self._tables) >= MOST_TABLES:
            self._tables.popitem(last=False)
        bases, prices = self._bases, self._prices
        mask = np.int64(failed)
        usable = (((bases.members & mask) == 0) & ((prices.over & ~mask) == 0)).nonzero()[0]
        table = self._tables[failed] = _Table(
            failed, (self._bits & mask) == 0, usable, np.ascontiguousarray(prices.vertices[usable].T),
            closeness=self._reached.get(failed),
        )
        return table

    def _solve_cheapest(self, table: _Table) -> list[Array]:
        """The duties (n, 6) of each cheapest basis, to be multiplied by the wrench."""
        bases, usable = self._bases, table.cheapest
        solutions = np.zeros((len(usable), self.count, 6))
        solutions[np.arange(len(usable))[:, None], bases.columns[usable]] = bases.inverses[usable]
        delicate = bases.delicate[usable]
        table.delicate = delicate if delicate.any() else None
        table.solutions = list(solutions)
        return table.solutions

    def _constants(self, table: _Table) -> Array:
        """Dual constants of all bases; minus infinity for those with a failed member."""
        if table.constants is None:
            constants = -(self._prices.gains @ table.alive)
            constants[(self._bases.members & np.int64(table.failed)) != 0] = -np.inf
            table.constants = constants
        return table.constants

    def _closeness(self, table: _Table) -> Array:
        """One over the distance of every facet's plane from the origin."""
        if table.closeness is None:
            table.closeness = 1.0 / (table.alive.astype(np.float64) @ self._rising + REACH_SLACK)
        return table.closeness

    def _enumerate_bases(self) -> tuple[_Bases, _Prices]:
        """Every basis with its inverse, and what the unweighted costs make of it."""
        found: list[tuple[npt.NDArray[np.intp], Array]] = []
        combos = combinations(range(self.count), 6)
        total = comb(self.count, 6)
        for start in range(0, total, CHUNK):
            size = min(CHUNK, total - start)
            flat = np.fromiter((n for c in islice(combos, size) for n in c), dtype=np.intp, count=6 * size)
            chosen = flat.reshape(size, 6)
            matrices = self._scaled[:, chosen].transpose(1, 0, 2)
            regular = np.abs(np.linalg.det(matrices)) > REGULAR
            chosen, inverse = chosen[regular], np.linalg.inv(matrices[regular])
            if self.count > ALL_BASES_UP_TO:
                dual = np.einsum("kc,kcr->kr", self._base_cost[chosen], inverse)
                slack = dual @ self._scaled - self._base_cost
                np.put_along_axis(slack, chosen, -1.0, axis=1)
                few = (slack > DUAL_TOLERANCE).sum(axis=1) <= MOST_VIOLATIONS
                chosen, inverse = chosen[few], inverse[few]
            found.append((chosen, inverse))
        columns = np.concatenate([chosen for chosen, _ in found])
        scaled = np.concatenate([inverse for _, inverse in found])
        bases = _Bases(
            columns, scaled * self._row_scale, self._bits[columns].sum(axis=1),
            np.abs(scaled).max(axis=(1, 2)) > DELICATE,
        )
        self._bases = bases
        return bases, self._price(self._base_cost)

    def _price(self, cost: Array) -> _Prices:
        columns, inverses = self._bases.columns, self._bases.inverses
        vertices = np.einsum("kc,kcr->kr", cost[columns], inverses)
        gains = vertices @ self.wrenches - cost
        np.put_along_axis(gains, columns, 0.0, axis=1)
        dear = gains > DUAL_TOLERANCE
        return _Prices(
            cost, vertices, np.ascontiguousarray(vertices.T), np.maximum(gains, 0.0), dear, dear @ self._bits
        )

    def _enumerate_normals(self) -> Array:
        """(6, k): normals of every five independent columns, both ways, each plane once, of length 1 when scaled."""
        chosen = np.array(list(combinations(range(self.count), 5)), dtype=np.intp)
        spans = self._scaled[:, chosen].transpose(1, 0, 2)
        normals = np.empty((len(chosen), 6))
        for row in range(6):
            normals[:, row] = (-1.0) ** row * np.linalg.det(np.delete(spans, row, axis=1))
        lengths = np.linalg.norm(normals, axis=1)
        normals = normals[lengths > 1e-10] / lengths[lengths > 1e-10, None]
        first = (np.abs(normals) > 1e-9).argmax(axis=1)
        normals *= np.sign(normals[np.arange(len(normals)), first])[:, None]
        _, index = np.unique(np.rint(normals * 1e9), axis=0, return_index=True)
        normals = normals[np.sort(index)] * self._row_scale
        return np.ascontiguousarray(np.concatenate([normals, -normals]).T)

    # -- beyond the small table

    def _reach(self, table: _Table, b: Array) -> float:
        closeness = self._closeness(table)
        near = b.dot(self._normals_t)
        near *= closeness
        nearest = float(near[near.argmax()])
        return 1.0 / nearest if nearest > 0.0 else np.inf

    def _bounded(self, table: _Table, b: Array) -> tuple[Array, float]:
        b, shrink = _shortened(b)
        if shrink == 0.0:
            self.refused += 1
            return self._zero.copy(), 0.0
        size = hypot(*(b * self._row_scale).tolist())
        scale = self._reach(table, b)
        if scale < 1.0 and scale * size < LEAST_REACH:
            duty, share = self._closest(table, b)
            return duty, share * shrink
        # On the boundary itself rounding decides; a hair inside it, nothing does.
        for part, share in ((1.0, 1.0), (INSIDE, INSIDE)) if scale >= 1.0 else ((scale * INSIDE, scale),):
            optimum = self._optimum(table, part * b)
            if optimum is not None:
                return optimum, share * shrink
        wanted = min(1.0, scale)
        duty, made = self._closest(table, wanted * b)
        return duty, made * wanted * shrink

    def _optimum(self, table: _Table, b: Array) -> Array | None:
        """The cheapest duties of an attainable wrench; None where rounding puts it just outside, and where the nozzles
        left have no basis at all."""
        bases, prices = self._bases, self._prices
        value = b.dot(prices.vertices_t)
        value += self._constants(table)
        best = int(value.argmax())
        if value[best] == -inf:
            return None
        columns, inverse = bases.columns[best], bases.inverses[best]
        full = prices.dear[best]
        if table.failed:
            full = full & table.alive
        duty: Array = full.astype(np.float64)
        rest = b - self.wrenches.dot(duty)
        x = inverse.dot(rest)
        if bases.delicate[best]:
            x += inverse.dot(rest - self.wrenches[:, columns] @ x)
        values = x.tolist()
        least, most = min(values), max(values)
        if least < -FEASIBLE or most > 1.0 + FEASIBLE:
            return self._simplex.solve(b, prices.cost, table.alive, columns, full)
        duty[columns] = x
        if least < 0.0 or most > 1.0:
            duty = np.minimum(np.maximum(duty, 0.0), 1.0)
        return duty

    def _closest(self, table: _Table, b: Array) -> tuple[Array, float]:
        """The best-effort fit, torque before force, and the part of ``b`` that it makes along it."""
        weight = self._row_scale * np.array([1.0, 1.0, 1.0, 10.0, 10.0, 10.0])
        alive = table.alive.nonzero()[0]
        duty = np.zeros(self.count)
        columns, wanted = self.wrenches[:, alive] * weight[:, None], b * weight
        size, far = hypot(*wanted.tolist()), FAR * float(np.abs(columns).sum())
        if size < NOTHING:
            return duty, 1.0
        nearer = min(1.0, far / size)
        duty[alive] = bounded_least_squares(columns, wanted * nearer)
        scaled = b * (self._row_scale / size)
        made = (self.wrenches @ duty) * (self._row_scale / size)
        share = float(np.clip(made @ scaled / (scaled @ scaled), 0.0, 1.0))
        missed = float(np.abs(made - scaled).max())
        return duty, 1.0 if missed < EXACT else min(share, INSIDE)


def _shortened(b: Array) -> tuple[Array, float]:
    """A wrench no larger than LARGEST_WRENCH, and how often it holds the given one: 0 for one that is not finite."""
    values = b.tolist()
    if not all(map(isfinite, values)):
        return b, 0.0
    most = max(map(abs, values))
    return (b, 1.0) if most < LARGEST_WRENCH else (b / most * LARGEST_WRENCH, LARGEST_WRENCH / most)
