"""Makes legal valve pulses of one window from a wanted impulse: never a pulse, pause or burn outside the body's limits.

On-off valves have a shortest pulse, so one nozzle's least impulse is far above what holding an attitude needs. Two ways
lead below it: nozzles that balance each other are opened together, each for at least the shortest pulse, and only the
differences of their on-times act (*fine pulses*); or an error is left alone until it is worth a pulse. Per window all
candidates (the allocator's duties with and without balanced groups added, projections on balanced groups, singles,
pairs, nothing) are scored at once by remaining error and propellant; the best few are polished in whole milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.allocation import Allocator
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan

__all__ = ["Impulse", "ModulatorCounters", "PulseModulator", "TickImpulse", "balanced_groups"]

Array = npt.NDArray[np.float64]
Impulse = tuple[float, float, float, float, float, float]
"""Force impulse (N s) over torque impulse about the centre of mass (N m s), body frame."""

STANDARD_GRAVITY = 9.80665
NOTHING: Impulse = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

FUEL_PRICE = 1000.0
"""Score of a whole tank, where 1 is an error of one tolerance: a pulse of 1/1000 of the tank is worth one tolerance."""
CARRY_FUEL_PRICE = 20.0
"""The same where the remainder is carried: open-loop demands want their impulse, not thrift."""
LARGEST_GROUP = 9
"""Nozzles in the largest balanced group; the smallest that reaches all six axes alone has seven."""
MOST_GROUPS = 192
GROUP_SPREAD = 4.0
"""Longest over shortest on-time in a balanced group; beyond that it costs more than it trims."""
POLISHED = 3
POLISH_STEPS = 16
TOLERANCE_RATIOS = (0.5, 5.0, 50.0)
"""Velocity over rate tolerance (m/rad) for which projections are ready; the nearest one is used."""


class TickImpulse(NamedTuple):
    """What one fast tick should see: impulse about the centre of mass (N s, N m s, body frame), and the sum of all
    nozzles' impulses (N s), which opposed nozzles don't cancel and which scales the model's uncertainty."""

    fx: float
    fy: float
    fz: float
    tx: float
    ty: float
    tz: float
    gross: float


@dataclass(slots=True)
class ModulatorCounters:
    """What the modulator did since start. ``propellant_kg`` is commanded, not measured."""

    windows: int = 0
    firing_windows: int = 0
    pulses: int = 0
    on_ms: int = 0
    propellant_kg: float = 0.0
    cooldowns: int = 0
    saturated: int = 0


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
    return sum(1 << int(n) for n in members.nonzero()[0])


class PulseModulator:
    """Plans the valve pulses of each window.

    Args:
        body: limits, geometry and mass of the craft.
        allocator: shared with whoever marks nozzles as failed.
        tick_ms: length of a fast tick, for the expected impulse per tick; must divide the window.

    One call of ``plan`` a window, in order of time; the plan is taken to start when it is made. Raises ValueError for a
    tick that doesn't divide the window.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0) -> None:
        prop = body.propulsion
        self._allocator = allocator
        self._window = prop.window_ms
        self._window_s = prop.window_ms * 1e-3
        self._min_on = prop.min_on_ms
        self._min_off = prop.min_off_ms
        self._max_burn = prop.max_burn_ms
        self._cooldown_ns = prop.cooldown_ms * 1_000_000
        self._latency = prop.valve_latency_ms
        # Half a shortest pause on either side lets any two centred pulses follow each other.
        self._max_pulse = prop.window_ms - 2 * ((prop.min_off_ms + 1) // 2)
        ticks = prop.window_ms / tick_ms
        if abs(ticks - round(ticks)) > 1e-9:
            raise ValueError(f"window of {prop.window_ms} ms is no whole number of {tick_ms} ms ticks")
        self._ticks = round(ticks)
        self._tick_ms = tick_ms
        count = self._count = allocator.count
        self._per_ms: Array = allocator.wrenches * 1e-3
        self._thrust = allocator.thrust
        mass = body.mass.dry_kg + body.mass.propellant_kg
        inverse = np.linalg.inv(np.array(body.mass.inertia_kg_m2))
        self._to_motion = np.zeros((6, 6))
        self._to_motion[:3, :3] = np.eye(3) / mass
        self._to_motion[3:, 3:] = inverse
        self._exhaust_speed = prop.specific_impulse_s * STANDARD_GRAVITY
        tank = max(body.mass.propellant_kg, 1e-9)
        self._tank_share = self._thrust * 1e-3 / self._exhaust_speed / tank
        self.groups = balanced_groups(allocator.wrenches, allocator.thrust)
        """Balanced firing shares (k, n)."""
        self._fine = [self._candidates(ratio) for ratio in TOLERANCE_RATIOS]
        self._raise = np.vstack([np.zeros((1, count)), self.groups])
        self._raise_open = self._raise > 0.0
        self._raise_inverse = np.where(self._raise_open, 1.0 / np.where(self._raise_open, self._raise, 1.0), 0.0)
        tick_edges = np.arange(self._ticks + self._latency_ticks + 1) * tick_ms
        self._tick_start, self._tick_end = tick_edges[:-1, None], tick_edges[1:, None]
        self._spill = np.zeros((self._latency_ticks, 7))
        self._expected: list[TickImpulse | None] = [None] * self._ticks
        self._open_at_end = np.zeros(count, dtype=bool)
        self._run_ms = np.zeros(count, dtype=np.int64)
        self._off_ms = np.full(count, self._min_off, dtype=np.int64)
        self._blocked_until = [0] * count
        self._carry = np.zeros(6)
        self.counters = ModulatorCounters()

    @property
    def window_ms(self) -> int:
        """Length of a window."""
        return self._window

    @property
    def carried(self) -> Impulse:
        """The un-emitted remainder that the next carrying window adds to its demand."""
        return _impulse(self._carry)

    def drop_carry(self) -> None:
        """Forget the remainder: at the end of a burn profile, or when closed-loop control takes over."""
        self._carry[:] = 0.0

    def blocked(self, now_ns: int) -> int:
        """Mask of the nozzles in cooldown after a longest burn."""
        mask = 0
        for nozzle, until in enumerate(self._blocked_until):
            if until > now_ns:
                mask |= 1 << nozzle
        return mask

    def plan(
        self,
        impulse: Impulse,
        now_ns: int,
        failed: int = 0,
        *,
        rate_tolerance: float = 1e-3,
        velocity_tolerance: float = 5e-3,
        carry: bool = False,
    ) -> tuple[PulsePlan, Impulse]:
        """Pulses for the window that starts now, and the impulse they make in it.

        ``impulse`` is wanted over the window, body frame, about the centre of mass. ``failed`` masks nozzles beyond
        those the allocator already leaves out. The tolerances (rad/s, m/s) say how much error is worth correcting. With
        ``carry`` (open-loop profiles) what this window doesn't emit is added to the next demand.
        """
        self.counters.windows += 1
        wanted = np.array(impulse)
        if carry:
            wanted += self._carry
        if wanted.any():
            on_ms = self._choose(wanted, now_ns, failed, rate_tolerance, velocity_tolerance, carry)
        else:
            on_ms = np.zeros(self._count, dtype=np.int64)
        opens, closes = self._place(on_ms, now_ns)
        emitted = self._per_ms @ (closes - opens)
        if carry:
            self._carry = self._bounded(wanted - emitted)
        self._expect(opens, closes)
        total = int((closes - opens).sum())
        if total:
            self.counters.firing_windows += 1
            self.counters.pulses += int(np.count_nonzero(closes - opens))
            self.counters.on_ms += total
            self.counters.propellant_kg += float(self._thrust @ (closes - opens)) * 1e-3 / self._exhaust_speed
        return PulsePlan(self._window, tuple(opens.tolist()), tuple(closes.tolist())), _impulse(emitted)

    def shut(self, now_ns: int) -> PulsePlan:
        """A window without pulses, in place of ``plan``: bookkeeping of pauses and burns goes on."""
        return self.plan(NOTHING, now_ns)[0]

    def expected(self, tick: int) -> TickImpulse | None:
        """Impulse between fast ticks ``tick`` and ``tick + 1`` of the present window, None if all valves are shut.

        Tick 0 is the one in which the plan was made. Valve latency shifts both edges; what it moves beyond the window
        is in the first ticks of the next.
        """
        return self._expected[tick]

    @property
    def _latency_ticks(self) -> int:
        return int(-(-self._latency // self._tick_ms))

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
        self, wanted: Array, now_ns: int, failed: int, rate_tolerance: float, velocity_tolerance: float, carry: bool,
    ) -> npt.NDArray[np.int64]:
        barred_mask = failed | self.blocked(now_ns) | self._overdue() | self._allocator.failed
        duty, share = self._allocator.allocate(wanted / self._window_s, barred_mask)
        if share < 1.0:
            self.counters.saturated += 1
        weight = self._to_motion * np.array([1.0 / velocity_tolerance] * 3 + [1.0 / rate_tolerance] * 3)[:, None]
        errors_per_ms = weight @ self._per_ms
        target = weight @ wanted
        price = self._tank_share * (CARRY_FUEL_PRICE if carry else FUEL_PRICE)

        ratio = velocity_tolerance / rate_tolerance
        fine = self._fine[min(range(len(self._fine)), key=lambda i: abs(np.log(TOLERANCE_RATIOS[i] / ratio)))]
        shortest, longest = float(self._min_on), float(self._max_pulse)
        base = (fine.projections @ wanted).reshape(-1, self._count)
        lift = ((shortest - base) * fine.inverse_raise).max(axis=1, where=fine.open, initial=-1e9)
        fine_ms = np.clip(np.rint(base + lift[:, None] * fine.raise_by), shortest, longest) * fine.open

        coarse = duty * self._window
        lift = ((shortest - coarse) * self._raise_inverse).max(axis=1, where=self._raise_open, initial=0.0)
        coarse_ms = np.rint(coarse + lift[:, None] * self._raise)
        full = coarse_ms > 0.5 * (longest + self._window)
        coarse_ms = np.where(coarse_ms < 0.5 * shortest, 0.0, np.clip(coarse_ms, shortest, longest))
        coarse_ms[full] = self._window

        # The allocator's basis with its smallest shares dropped one after the other.
        used = duty.nonzero()[0]
        order = used[duty[used].argsort()]
        nested = np.repeat(np.clip(np.rint(coarse), shortest, longest)[None, :], len(order), axis=0)
        nested[:, duty <= 0.0] = 0.0
        for index in range(len(order)):
            nested[index, order[: index + 1]] = 0.0

        on_ms = np.concatenate([np.zeros((1, self._count)), fine_ms, coarse_ms, nested])
        error = target - on_ms @ errors_per_ms.T
        score = np.einsum("ij,ij->i", error, error) + on_ms @ price
        if barred_mask:
            barred = np.array([bool(barred_mask >> n & 1) for n in range(self._count)])
            score[on_ms[:, barred].any(axis=1)] = np.inf
        best_score, best = np.inf, on_ms[0]
        size = min(POLISHED, len(score) - 1)
        for index in np.argpartition(score, size)[:size].tolist():
            if score[index] == np.inf:
                continue
            trial, trial_score = self._polish(on_ms[index], error[index], errors_per_ms, price, float(score[index]))
            if trial_score < best_score:
                best_score, best = trial_score, trial
        chosen: npt.NDArray[np.int64] = best.astype(np.int64)
        return chosen

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

    def _overdue(self) -> int:
        """Nozzles that have burned on and could not stay open for one more window."""
        late = self._open_at_end & (self._run_ms + self._window > self._max_burn)
        return _mask(late) if late.any() else 0

    def _place(
        self, on_ms: npt.NDArray[np.int64], now_ns: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Edges in ms: centred, or joined to a burn that runs; keeps the books of runs, pauses and cooldowns."""
        window = self._window
        opens = (window - on_ms) // 2
        closes = opens + on_ms
        fired = on_ms > 0
        joined = fired & self._open_at_end
        opens[joined] = 0
        closes[joined] = on_ms[joined]
        fresh = fired & ~self._open_at_end & (on_ms == window)
        opens[fresh] = np.maximum(0, self._min_off - self._off_ms[fresh])
        closes[fresh] = window
        opens[~fired] = 0
        closes[~fired] = 0

        # A run that comes within a window of the longest burn counts as one: it could not have gone on.
        length = self._run_ms + np.where(joined, closes, 0)
        long_burn = self._open_at_end & (closes < window) & (length + window > self._max_burn)
        for nozzle in long_burn.nonzero()[0].tolist():
            end_ms = int(closes[nozzle]) if joined[nozzle] else 0
            self._blocked_until[nozzle] = now_ns + end_ms * 1_000_000 + self._cooldown_ns
            self.counters.cooldowns += 1
        at_end = fired & (closes == window)
        self._run_ms = np.where(at_end, np.where(joined, self._run_ms + window, closes - opens), 0)
        self._off_ms = np.where(fired, window - closes, np.where(self._open_at_end, window, self._off_ms + window))
        self._open_at_end = at_end
        return opens, closes

    def _expect(self, opens: npt.NDArray[np.int64], closes: npt.NDArray[np.int64]) -> None:
        fired = closes > opens
        if not fired.any() and not self._spill.any():
            self._expected = [None] * self._ticks
            return
        start = opens[fired] + self._latency
        end = closes[fired] + self._latency
        share = np.minimum(self._tick_end, end) - np.maximum(self._tick_start, start)
        np.maximum(share, 0.0, out=share)
        table = np.empty((len(share), 7))
        table[:, :6] = share @ self._per_ms[:, fired].T
        table[:, 6] = share @ self._thrust[fired] * 1e-3
        table[: len(self._spill)] += self._spill
        self._spill = table[self._ticks :].copy()
        self._expected = [TickImpulse(*row) if row[6] else None for row in table[: self._ticks].tolist()]

    def _bounded(self, remainder: Array) -> Array:
        """At most four windows of full authority: a demand that can never be met must not pile up for ever."""
        reach = self._allocator.largest_scale(remainder / self._window_s) if remainder.any() else 1.0
        return remainder if reach >= 0.25 else remainder * (reach / 0.25)


def _impulse(values: Array) -> Impulse:
    fx, fy, fz, tx, ty, tz = values.tolist()
    return (fx, fy, fz, tx, ty, tz)
