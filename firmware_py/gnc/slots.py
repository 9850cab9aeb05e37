"""Vector delta-sigma modulation in slots of the shortest pulse: the mean wrench is exact, the error at any time small.

The window is divided into slots as long as the shortest pulse. Slot by slot the error that is left between wanted and
picked impulse, as a change of velocity and rate, decides which nozzles are open in it: of all sets of up to four
nozzles and of the allocator's own the one that reduces the error most for the propellant it takes. That is a quantiser;
the error that a window leaves is fed back into the next one's demand, as in a delta-sigma modulator (Norsworthy,
Schreier and Temes, Delta-Sigma Data Converters, 1997, chapter 1): it stays bounded, so the mean over many windows
becomes exact with their number.

A window has one pulse a nozzle, so the slots of each nozzle are moved together: a nozzle that was picked in k slots
opens once, for k slots, about the middle of the window. The impulse is the same; since the order of slots within a
window is thereby free, each slot may work on what the whole window still lacks, not only on what is due by then.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.pulse_book import Array, Times
from firmware_py.gnc.pulse_width import CarryingModulator
from hal.profile.body import BodyConfig

__all__ = ["SlotModulator", "slot_sets"]

QUIET_PRICE = 0.05
"""Price of one nozzle in one slot, in mean squares of the motion that one makes. Measured for constant small demands:
without a price the jitter is a fifth lower and costs ten to thirty times the least propellant, with this one 1.3 to 2
times; beyond four times it nothing more is saved."""
LARGEST_SET = 4
FEW_NOZZLES = 18
"""Nozzle count up to which sets of four are listed (3060); beyond it pairs are all."""
SAME_WRENCH = 1e-6
BALANCED = 1e-2
"""Sets whose wrench is below that share of the greatest one are balanced, but for the rounding of a body's directions.
"""


def slot_sets(wrenches: Array, thrust: Array, largest: int = LARGEST_SET) -> npt.NDArray[np.bool_]:
    """Sets (k, n) of at most ``largest`` nozzles, of sets with equal wrench (6, n) the cheapest; none is balanced."""
    count = wrenches.shape[1]
    members = [c for size in range(1, largest + 1) for c in combinations(range(count), size)]
    rows = np.zeros((len(members), count), dtype=bool)
    for row, chosen in zip(rows, members, strict=True):
        row[list(chosen)] = True
    made = rows @ (wrenches / np.abs(wrenches).max(axis=1)[:, None]).T
    cheapest_first = np.argsort(rows @ thrust, kind="stable")
    made, rows = np.rint(made[cheapest_first] / SAME_WRENCH), rows[cheapest_first]
    _, first = np.unique(made, axis=0, return_index=True)
    kept = np.sort(first)
    sets: npt.NDArray[np.bool_] = rows[kept[np.abs(made[kept]).max(axis=1) * SAME_WRENCH > BALANCED]]
    return sets


class SlotModulator(CarryingModulator):
    """Sets of nozzles slot by slot, for small and quiet forces.

    Args as CarryingModulator. Errors are weighed in what one slot of a mean nozzle makes of velocity and of rate, so
    the tolerances of ``plan`` do not matter. In those units the accumulated error of demands up to a third of the
    authority stays below one (measured on every body: 0.75).
    """

    def __init__(
        self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0, *, always_carry: bool = True
    ) -> None:
        super().__init__(body, allocator, tick_ms, always_carry=always_carry)
        book = self._book
        self._slot_ms = book.min_on_ms
        self._slots = book.window_ms // book.min_on_ms
        self._longest = book.max_pulse_ms // self._slot_ms
        mass = body.mass.dry_kg + body.mass.propellant_kg
        to_motion = np.zeros((6, 6))
        to_motion[:3, :3] = np.eye(3) / mass
        to_motion[3:, 3:] = np.linalg.inv(np.array(body.mass.inertia_kg_m2))
        self._sets = slot_sets(allocator.wrenches, allocator.thrust, LARGEST_SET if book.count <= FEW_NOZZLES else 2)
        self._slot_impulse: Array = book.per_ms * self._slot_ms
        # A slot of a mean nozzle is one unit of velocity and one of rate: nothing finer can be had of either.
        one = to_motion @ self._slot_impulse
        squares = np.square(one).mean(axis=1)
        units = np.sqrt([squares[:3].sum()] * 3 + [squares[3:].sum()] * 3)
        self._weight: Array = to_motion / units[:, None]
        self._slot_motion: Array = one / units[:, None]
        self._slot_price: Array = QUIET_PRICE * 2.0 * allocator.thrust / allocator.thrust.mean()

    def _choose(
        self, wanted: Array, barred: int, rate_tolerance: float, velocity_tolerance: float, carry: bool  # noqa: ARG002
    ) -> Times:
        duty, share = self._allocator.allocate(wanted / self._window_s, barred)
        if share < 1.0:
            self.counters.saturated += 1
            wanted = self._book.per_ms @ duty * self._book.window_ms
        sets = self._allowed(duty, barred)
        made = sets @ self._slot_motion.T
        cost = np.einsum("ij,ij->i", made, made) + sets @ self._slot_price
        # Beyond the longest pulse there is only the whole window, for those whose duty is that.
        most = np.where(duty * self._book.window_ms >= self._slots * self._slot_ms, self._slots, self._longest)
        error = self._weight @ wanted
        picked = np.zeros(self._book.count, dtype=np.int64)
        for _ in range(self._slots):
            score = cost - 2.0 * (made @ error)
            spent = picked >= most
            if spent.any():
                score[sets[:, spent].any(axis=1)] = np.inf
            best = int(score.argmin())
            if score[best] >= 0.0:
                break
            picked += sets[best]
            error = error - made[best]
        on_ms: Times = np.where(picked > self._longest, self._book.window_ms, picked * self._slot_ms)
        return on_ms

    def _allowed(self, duty: Array, barred: int) -> npt.NDArray[np.bool_]:
        """The listed sets and, for demands beyond them, the allocator's own nozzles, largest duties first."""
        used = duty.nonzero()[0]
        order = used[duty[used].argsort()[::-1]]
        nested = np.zeros((len(order), len(duty)), dtype=bool)
        for index in range(len(order)):
            nested[index, order[: index + 1]] = True
        sets = np.vstack([self._sets, nested])
        if barred:
            shut = np.array([bool(barred >> n & 1) for n in range(len(duty))])
            sets = sets[~sets[:, shut].any(axis=1)]
        return sets
