"""Makes legal valve pulses of one window from a wanted impulse: never a pulse, pause or burn outside the body's limits.

On-off valves have a shortest pulse, so one nozzle's least impulse is far above what holding an attitude needs. Two ways
lead below it: nozzles that balance each other are opened together, each for at least the shortest pulse, and only the
differences of their on-times act (*fine pulses*); or an error is left alone until it is worth a pulse. Per window all
candidates (the allocator's duties with and without balanced groups added, projections on balanced groups, singles,
pairs, parts of the cheapest firing, nothing) are scored at once by remaining error and price; the best few are polished
in whole milliseconds.

The price is what decides over the fuel of many windows. While a demand is small, every pulse has its full price.
Momentum that is sure to be paid (a mean demand that lasts, or many pulses' worth) is worth the dual vertex ``y`` of the
allocation ``min c.x, W x = b, x >= 0``, so a nozzle costs only its reduced cost ``c - y.w`` (Bertsimas and Tsitsiklis,
Introduction to Linear Optimization, 1997, section 4.3): nothing for those of the cheapest firing. Whatever order such
nozzles fire in, their fuel is ``y.b`` for the momentum ``b`` that they have made together, which is the optimum.
"""

from __future__ import annotations

from itertools import combinations
from math import log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulator import Modulator
from firmware_py.gnc.pulse_book import Times
from hal.profile.body import BodyConfig

__all__ = ["PulseModulator", "balanced_groups"]

Array = npt.NDArray[np.float64]

SURE_FROM_BITS, SURE_OVER_BITS = 3.0, 10.0
"""A demand that takes at least so many shortest pulses begins to count as sure to be paid, and so many more make it
certain: a smaller one may be noise, or end before it is worth a pulse."""
HORIZON = 40.0
"""Windows of the mean demand that count as sure (10 s of 250 ms): what a feedback asks for around it is small beside
them."""
SURE_PRICE = 20.0
"""Price of waste while a demand is certain, where 1 is that of any pulse otherwise: a nozzle that wastes nothing will
be due soon."""
PUSH_PRICE = 5.0
"""The same during an open-loop push, which leaves the attitude no quiet windows to wait for."""
NEAR = 1e-3 * np.array([0.61, -0.83, 1.0, 0.71, -0.93, 0.53])
"""Step off a demand, in greatest effects of a nozzle, that makes its cheapest firing unique. No two elements alike."""
LEAST_DUTY = 1e-9
"""Duties below are rounding."""
LARGEST_GROUP = 9
"""Nozzles in the largest balanced group; the smallest that reaches all six axes alone has seven."""
MOST_GROUPS = 192
GROUP_SPREAD = 4.0
"""Longest over shortest on-time in a balanced group; beyond that it costs more than it trims."""
POLISHED = 3
POLISH_STEPS = 16
TOLERANCE_RATIOS = (0.5, 5.0, 50.0)
"""Velocity over rate tolerance (m/rad) for which projections are ready; the nearest one is used."""


class _Candidates(NamedTuple):
    """Open sets with the rows that turn an impulse into on-times (ms) and the null vector that raises them."""

    projections: Array
    raise_by: Array
    inverse_raise: Array
    open: npt.NDArray[np.bool_]


def balanced_groups(wrenches: Array, thrust: Array) -> Array:
    """Firing shares (k, n) whose wrenches cancel: every minimal one and sums of two, cheapest first.

    Each row is scaled so that its smallest share is 1. A minimal balanced group has the nozzles of a basis and one
    more: ``z_j = 1, z_B = -B^-1 w_j``, wherever that has no negative entry (an extreme ray of the cone of null
    vectors).
    """
    count = wrenches.shape[1]
    scale = np.abs(wrenches).max(axis=1)
    scaled = wrenches / scale[:, None]
    found: dict[int, Array] = {}
    for chunk_start in range(count - 5):
        # Bases whose first nozzle is chunk_start: bounds the memory for bodies of many nozzles.
        rest = list(combinations(range(chunk_start + 1, count), 5))
        bases = np.array([(chunk_start, *c) for c in rest], dtype=np.intp)
        matrices = scaled[:, bases].transpose(1, 0, 2)
        regular = np.abs(np.linalg.det(matrices)) > 1e-7
        bases, matrices = bases[regular], matrices[regular]
        if not len(bases):
            continue
        shares = -np.linalg.solve(matrices, np.broadcast_to(scaled, (len(bases), 6, count)))
        rows, extra = np.nonzero(shares.min(axis=1) > -1e-9)
        for row, column in zip(rows.tolist(), extra.tolist(), strict=True):
            if column in bases[row]:
                continue
            z = np.zeros(count)
            z[bases[row]] = shares[row, :, column]
            z[column] = 1.0
            z[z < 1e-7] = 0.0
            key = _mask(z > 0.0)
            if key not in found:
                found[key] = z / z[z > 0.0].min()
    minimal = [z for z in found.values() if z.max() <= GROUP_SPREAD]
    minimal.sort(key=lambda z: float(z @ thrust))
    groups = {_mask(z > 0.0): z for z in minimal}
    for a, b in combinations(minimal[:MOST_GROUPS], 2):
        union = a + b
        key = _mask(union > 0.0)
        if key not in groups and int((union > 0.0).sum()) <= LARGEST_GROUP:
            union = union / union[union > 0.0].min()
            if union.max() <= GROUP_SPREAD:
                groups[key] = union
    ordered = sorted(groups.values(), key=lambda z: float(z @ thrust))
    # Cheap ones first, but the cheapest few of every rank, so that each combination of axes can be trimmed.
    picked: list[Array] = []
    ranks: dict[int, int] = {}
    for z in ordered:
        rank = int(np.linalg.matrix_rank(scaled[:, z > 0.0], tol=1e-6))
        if ranks.get(rank, 0) < MOST_GROUPS // 4:
            ranks[rank] = ranks.get(rank, 0) + 1
            picked.append(z)
    return np.array(picked[:MOST_GROUPS]).reshape(-1, count)


def _mask(members: npt.NDArray[np.bool_]) -> int:
    # Asked ten thousand times at every start.
    return int.from_bytes(np.packbits(members, bitorder="little").tobytes(), "little")


class PulseModulator(Modulator):
    """Fine pulses: the candidate that leaves the least error for the least propellant (see Modulator)."""

    def __init__(self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0) -> None:
        super().__init__(body, allocator, tick_ms)
        book, prop = self._book, body.propulsion
        self._window, self._min_on, self._max_pulse = book.window_ms, book.min_on_ms, book.max_pulse_ms
        count = self._count = book.count
        self._per_ms: Array = book.per_ms
        mass = body.mass.dry_kg + body.mass.propellant_kg
        self._to_motion = np.zeros((6, 6))
        self._to_motion[:3, :3] = np.eye(3) / mass
        self._to_motion[3:, 3:] = np.linalg.inv(np.array(body.mass.inertia_kg_m2))
        self._bits = allocator.thrust / (allocator.thrust.max() * prop.min_on_ms)
        """Propellant of one ms of each nozzle, in shortest pulses of the strongest."""
        self._near: Array = NEAR * np.abs(self._per_ms).max(axis=1)
        self.groups = balanced_groups(allocator.wrenches, allocator.thrust)
        """Balanced firing shares (k, n)."""
        self._fine = [self._candidates(ratio) for ratio in TOLERANCE_RATIOS]
        self._raise = np.vstack([np.zeros((1, count)), self.groups])
        self._raise_open = self._raise > 0.0
        self._raise_inverse = np.where(self._raise_open, 1.0 / np.where(self._raise_open, self._raise, 1.0), 0.0)
        self._shut = np.zeros((1, count))

    def _candidates(self, ratio: float) -> _Candidates:
        """Open sets: one nozzle, two nozzles, balanced groups; with weighted pseudo-inverses in ms per N s."""
        members: list[npt.NDArray[np.bool_]] = []
        raise_by: list[Array] = []
        none = np.zeros(self._count)
        for size in (1, 2):
            for chosen in combinations(range(self._count), size):
                member = np.zeros(self._count, dtype=bool)
                member[list(chosen)] = True
                members.append(member)
                raise_by.append(none)
        for group in self.groups:
            members.append(group > 0.0)
            raise_by.append(group)
        weight = self._to_motion * np.array([1.0 / ratio] * 3 + [1.0] * 3)[:, None]
        weighted = weight @ self._per_ms
        projections = np.zeros((len(members), self._count, 6))
        for index, member in enumerate(members):
            projections[index, member] = np.linalg.pinv(weighted[:, member], rcond=1e-6) @ weight
        stacked = np.array(raise_by)
        positive = stacked > 0.0
        inverse = np.where(positive, 1.0 / np.where(positive, stacked, 1.0), 0.0)
        return _Candidates(projections.reshape(-1, 6), stacked, inverse, np.array(members))

    def _choose(
        self, wanted: Array, barred: int, rate_tolerance: float, velocity_tolerance: float, carry: bool
    ) -> Times:
        duty, share = self._allocator.allocate(wanted / self._window_s, barred)
        if share < 1.0:
            self.counters.saturated += 1
        weight = self._to_motion * np.array([1.0 / velocity_tolerance] * 3 + [1.0 / rate_tolerance] * 3)[:, None]
        errors_per_ms = weight @ self._per_ms
        target = weight @ wanted
        price, cheapest = self._price(wanted, barred, carry)
        ratio = velocity_tolerance / rate_tolerance
        sets = [self._shut, self._fine_sets(wanted, ratio), self._coarse_sets(duty), self._nested_sets(duty)]
        if len(cheapest):
            sets.append(self._lasting_sets(cheapest, errors_per_ms, target))
        on_ms = np.concatenate(sets)
        error = target - on_ms @ errors_per_ms.T
        score = np.einsum("ij,ij->i", error, error) + on_ms @ price
        if barred:
            shut = np.array([bool(barred >> n & 1) for n in range(self._count)])
            score[on_ms[:, shut].any(axis=1)] = np.inf
        best_score, best = np.inf, on_ms[0]
        size = min(POLISHED, len(score) - 1)
        for index in np.argpartition(score, size)[:size].tolist():
            if score[index] == np.inf:
                continue
            trial, trial_score = self._polish(on_ms[index], error[index], errors_per_ms, price, float(score[index]))
            if trial_score < best_score:
                best_score, best = trial_score, trial
        chosen: Times = best.astype(np.int64)
        return chosen

    def _price(self, wanted: Array, barred: int, carry: bool) -> tuple[Array, npt.NDArray[np.intp]]:
        """Price of one ms of each nozzle (n,), where 1 is an error of one tolerance; and, while a mean demand lasts,
        the nozzles of its cheapest firing.

        The dual vertex is the mean of two close by, since the demands that matter most (one axis of a symmetric craft)
        lie on an edge between several.
        """
        lasts = bool(self._mean.any())
        sure = wanted + HORIZON * self._mean if lasts else wanted
        size = float(np.abs(sure / self._near).max()) * float(np.abs(NEAR).max())
        worth = np.zeros(6)
        firing = np.zeros(self._count)
        for sign in (1.0, -1.0):
            # Far inside what can be made, where the price does not depend on the size.
            duty, _ = self._allocator.allocate(sure * (1.0 / size) + sign * self._near, barred)
            firing += duty
            basis = (duty > LEAST_DUTY).nonzero()[0]
            worth += 0.5 * np.linalg.lstsq(self._per_ms[:, basis].T, self._bits[basis], rcond=1e-9)[0]
        certain = 1.0 if carry else min(1.0, max(0.0, (float(worth @ sure) - SURE_FROM_BITS) / SURE_OVER_BITS))
        waste = np.maximum(self._bits - worth @ self._per_ms, 0.0)
        price = (1.0 - certain) * self._bits + certain * (PUSH_PRICE if carry else SURE_PRICE) * waste
        return price, (firing > LEAST_DUTY).nonzero()[0] if lasts else np.zeros(0, dtype=np.intp)

    def _fine_sets(self, wanted: Array, ratio: float) -> Array:
        """Each small open set, raised by its balanced group until every nozzle has a shortest pulse."""
        fine = self._fine[min(range(len(self._fine)), key=lambda i: abs(log(TOLERANCE_RATIOS[i] / ratio)))]
        base = (fine.projections @ wanted).reshape(-1, self._count)
        lift = ((self._min_on - base) * fine.inverse_raise).max(axis=1, where=fine.open, initial=-1e9)
        sets: Array = np.clip(np.rint(base + lift[:, None] * fine.raise_by), self._min_on, self._max_pulse) * fine.open
        return sets

    def _coarse_sets(self, duty: Array) -> Array:
        """The allocator's duties, bare and raised by each balanced group."""
        coarse = duty * self._window
        lift = ((self._min_on - coarse) * self._raise_inverse).max(axis=1, where=self._raise_open, initial=0.0)
        sets = np.rint(coarse + lift[:, None] * self._raise)
        full = sets > 0.5 * (self._max_pulse + self._window)
        sets = np.where(sets < 0.5 * self._min_on, 0.0, np.clip(sets, self._min_on, self._max_pulse))
        sets[full] = self._window
        return sets

    def _nested_sets(self, duty: Array) -> Array:
        """The allocator's basis with its smallest shares dropped one after the other."""
        used = (duty > LEAST_DUTY).nonzero()[0]
        order = used[duty[used].argsort()]
        row = np.where(duty > LEAST_DUTY, np.clip(np.rint(duty * self._window), self._min_on, self._max_pulse), 0.0)
        sets = np.repeat(row[None, :], len(order), axis=0)
        for index in range(len(order)):
            sets[index, order[: index + 1]] = 0.0
        return sets

    def _lasting_sets(self, cheapest: npt.NDArray[np.intp], errors_per_ms: Array, target: Array) -> Array:
        """What the nozzles of the mean demand's cheapest firing can do now: their best fit, and that with one of them
        more or less."""
        fit = np.linalg.lstsq(errors_per_ms[:, cheapest], target, rcond=1e-9)[0]
        row = np.zeros(self._count)
        row[cheapest] = np.where(
            fit < 0.5 * self._min_on, 0.0, np.clip(np.rint(fit), self._min_on, self._max_pulse)
        )
        sets = np.repeat(row[None, :], len(cheapest) + 1, axis=0)
        for index, nozzle in enumerate(cheapest.tolist()):
            sets[index, nozzle] = 0.0 if row[nozzle] else self._min_on
        return sets

    def _polish(
        self, on_ms: Array, error: Array, errors_per_ms: Array, price: Array, score: float
    ) -> tuple[Array, float]:
        """Coordinate descent on the open nozzles, whole steps, within the shortest and longest pulse."""
        movable = ((on_ms > 0.0) & (on_ms <= self._max_pulse)).nonzero()[0]
        if not len(movable):
            return on_ms, score
        columns = errors_per_ms[:, movable]
        hessian = columns.T @ columns
        rows = hessian.tolist()
        square = [row[i] for i, row in enumerate(rows)]
        slope = (price[movable] - 2.0 * (columns.T @ error)).tolist()
        current = on_ms[movable].tolist()
        members = range(len(current))
        shortest, longest = self._min_on, self._max_pulse
        # Plain floats: with at most a dozen nozzles they are faster than arrays.
        for _ in range(POLISH_STEPS):
            best, best_gain, best_step = -1, -1e-9, 0.0
            for n in members:
                step = round(-0.5 * slope[n] / square[n])
                value = current[n]
                if value + step < shortest:
                    step = shortest - value
                elif value + step > longest:
                    step = longest - value
                gain = step * (slope[n] + step * square[n])
                if gain < best_gain:
                    best, best_gain, best_step = n, gain, step
            if best < 0:
                break
            score += best_gain
            current[best] += best_step
            row = rows[best]
            for n in members:
                slope[n] += 2.0 * best_step * row[n]
        polished = on_ms.copy()
        polished[movable] = current
        return polished, score
