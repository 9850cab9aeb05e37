"""PWPF and bang-bang with hysteresis on the six wrench axes: whole nozzle sets switch, so no axis disturbs another.

Each body axis of force and torque has a modulator of its own, which runs through the window in fast ticks and says for
how long its axis is on. An axis pushes with a *pure* set of nozzle shares (its wrench has no other component), made by
the allocator; shares too small for a shortest pulse are raised by adding a balanced group of nozzles. The sets of all
axes are summed, so torque and force come out as the axes said them, to the rounding of 1 ms.

Both have a dead zone, by nature: a demand below it makes nothing, and PWPF also makes less than the demand above it.
That impulse is lost, for a closed loop to see, unless ``plan(..., carry=True)`` adds it to the next demand. What an
axis *has* said but no valve can make yet (a pulse that began at the window's end) waits, less than one shortest set.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from math import exp, isfinite
from typing import Any, NamedTuple

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulation import balanced_groups
from firmware_py.gnc.modulator import Carry, Modulator
from firmware_py.gnc.pulse_book import Array, Impulse, Times
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan

__all__ = ["AxisModulator", "PwpfLevels", "PwpfModulator", "RelayModulator", "Schmitt"]

AXES = 6
LEAST_SHARE = 0.24
"""Least firing share in a pure set: with the shortest pulse at 12 % of the window the set's shortest on-time is half a
window."""
GROUP_LIFTS = (0.24, 0.3, 0.4, 0.6, 0.8, 1.0)
NEGLIGIBLE = 0.005
"""Share below which a nozzle is left out of a set: it stems from the rounding of the body's directions, and makes under
a twentieth of the residual torque that CANON section 3 tolerates."""
MOST_TABLES = 64


@dataclass(frozen=True, slots=True)
class PwpfLevels:
    """Pulse-width pulse-frequency modulator of one axis; levels are shares of the axis' full wrench.

    The values are CANON section 4's: shortest on-time ``-T ln(1 - (on - off) / K)`` = 32 ms. Raises ValueError unless
    ``0 <= off < on``, and gain and time constant are positive.
    """

    gain: float = 1.8
    time_constant_s: float = 0.15
    on: float = 0.45
    off: float = 0.10

    def __post_init__(self) -> None:
        if not (0.0 <= self.off < self.on and self.gain > 0.0 and self.time_constant_s > 0.0):
            raise ValueError(f"levels {self}: need 0 <= off < on, positive gain and time constant")


class Schmitt:
    """Lag ``T f' = K (u - y) - f`` with a three-state Schmitt trigger ``y`` on it (Wie, Space Vehicle Dynamics and
    Control, 2008, section 7.5.4). ``y`` is -1, 0 or 1."""

    __slots__ = ("_decay", "_gain", "_off", "_on", "lag", "state")

    def __init__(self, levels: PwpfLevels, tick_s: float) -> None:
        self._gain, self._on, self._off = levels.gain, levels.on, levels.off
        self._decay = exp(-tick_s / levels.time_constant_s)
        self.lag = 0.0
        self.state = 0

    def reset(self) -> None:
        """Lag empty, off."""
        self.lag, self.state = 0.0, 0

    def run(self, demand: float, ticks: int) -> int:
        """Ticks that the axis is on, signed, for a constant demand; the lag is exact between ticks."""
        lag, state, total = self.lag, self.state, 0
        decay, on, off = self._decay, self._on, self._off
        for _ in range(ticks):
            aim = self._gain * (demand - state)
            lag = aim + (lag - aim) * decay
            if state and lag * state < off:
                state = 0
            if not state and abs(lag) > on:
                state = 1 if lag > 0.0 else -1
            total += state
        self.lag, self.state = lag, state
        return total


class _Set(NamedTuple):
    """Firing shares (n,) of one signed axis, size of its full wrench (N or N m), shortest on-time (ms)."""

    shares: Array
    strength: float
    shortest_ms: float


class AxisModulator(Modulator):
    """Turns on-times of the six wrench axes into pulses of pure nozzle sets (see Modulator).

    A subclass says in ``_axis_on`` how long an axis is on. Axes that the nozzles left cannot make purely stay off.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0) -> None:
        super().__init__(body, allocator, tick_ms)
        self._tick_ms = tick_ms
        self._ticks = round(self._book.window_ms / tick_ms)
        self._groups = balanced_groups(allocator.wrenches, allocator.thrust)
        self._sets: dict[tuple[int, bytes], tuple[tuple[_Set | None, _Set | None], ...]] = {}
        self._waiting = [0.0] * AXES
        self._now_ns = 0
        self._window_end_ns = -(10**15)

    def plan(
        self, impulse: Impulse, now_ns: int, failed: int = 0, *, carry: Carry | bool = Carry.NONE, **options: Any
    ) -> tuple[PulsePlan, Impulse]:
        """See Modulator (``options`` are its other keywords). A window without demand, or a gap between windows, sets
        the axes back to rest."""
        finite = all(map(isfinite, impulse))
        if now_ns - self._window_end_ns > self._book.window_ms * 500_000 or not (finite and (any(impulse) or carry)):
            self._waiting = [0.0] * AXES
            self._reset_axes()
        self._window_end_ns = now_ns + self._book.window_ms * 1_000_000
        return super().plan(impulse, now_ns, failed, carry=carry if finite else Carry.NONE, **options)

    @abstractmethod
    def _axis_on(self, axis: int, demand: float, shortest: float) -> float:
        """Signed on-time of an axis in this window, ms. ``demand`` is its share of the axis' full wrench over the
        window, ``shortest`` the shortest on-time of its set as a share of the window."""

    @abstractmethod
    def _reset_axes(self) -> None:
        """Every axis off."""

    def _choose(
        self, wanted: Array, barred: int, rate_tolerance: float, velocity_tolerance: float, carry: bool  # noqa: ARG002
    ) -> Times:
        window = self._book.window_ms
        sets = self._pure_sets(barred)
        on_ms = np.zeros(self._book.count)
        for axis, value in enumerate(wanted.tolist()):
            chosen = sets[axis][value < 0.0]
            if chosen is None:
                self._waiting[axis] = 0.0
                continue
            if value * self._waiting[axis] <= 0.0:
                self._waiting[axis] = 0.0
            demand = value / (chosen.strength * self._window_s)
            said = self._axis_on(axis, demand, chosen.shortest_ms / window)
            total = self._waiting[axis] + said
            made = sets[axis][total < 0.0]
            if made is None or abs(total) < made.shortest_ms:
                # With carry what was not emitted comes back with the next demand.
                self._waiting[axis] = 0.0 if carry or made is None else total
                continue
            self._waiting[axis] = 0.0
            on_ms += abs(total) * made.shares
        return self._legal(on_ms)

    def _legal(self, on_ms: Array) -> Times:
        """Whole ms; a sum beyond the longest pulse is shortened without turning, unless it is the whole window."""
        book = self._book
        top = float(on_ms.max())
        if top > book.window_ms + 0.5:
            self.counters.saturated += 1
            on_ms = on_ms * (book.window_ms / top)
        gap = (on_ms > book.max_pulse_ms) & (on_ms < book.window_ms - 0.5)
        if gap.any():
            on_ms = on_ms * (book.max_pulse_ms / float(on_ms.max()))
        whole = np.rint(on_ms)
        # Shortening may have put a small share below the shortest pulse.
        whole = np.where(whole < 0.5 * book.min_on_ms, 0.0, np.maximum(whole, book.min_on_ms))
        times: Times = whole.astype(np.int64)
        return times

    def _pure_sets(self, barred: int) -> tuple[tuple[_Set | None, _Set | None], ...]:
        """Per axis the sets of both signs; anew for each mask and each set of costs."""
        key = (barred, self._allocator.costs.tobytes())
        known = self._sets.get(key)
        if known is None:
            if len(self._sets) >= MOST_TABLES:
                self._sets.clear()
            shut = np.array([bool(barred >> n & 1) for n in range(self._book.count)])
            groups = self._groups[~(self._groups[:, shut] > 0.0).any(axis=1)]
            known = self._sets[key] = tuple(
                (self._pure_set(axis, 1.0, barred, groups), self._pure_set(axis, -1.0, barred, groups))
                for axis in range(AXES)
            )
        return known

    def _pure_set(self, axis: int, sign: float, barred: int, groups: Array) -> _Set | None:
        """Cheapest pure set whose shares all reach ``LEAST_SHARE``; without such the cheapest; None without any."""
        direction = np.zeros(AXES)
        direction[axis] = sign
        peak = self._allocator.peak(direction, barred)
        if not isfinite(peak) or peak <= 0.0:
            return None
        shares, reached = self._allocator.allocate(direction / peak, barred)
        if reached < 1.0 - 1e-6:
            return None
        shares = np.where(shares < NEGLIGIBLE, 0.0, shares)
        if float(shares[shares > 0.0].min()) < LEAST_SHARE and len(groups):
            shares = self._lifted(shares, groups)
        shares = shares / shares.max()
        strength = sign * float(self._allocator.wrenches[axis] @ shares)
        least = float(shares[shares > 0.0].min())
        return _Set(shares, strength, min(self._book.min_on_ms / least, float(self._book.window_ms)))

    def _lifted(self, shares: Array, groups: Array) -> Array:
        """Shares with the balanced group added that brings all up to the least one for the least thrust."""
        inside = groups > 0.0
        wanted = np.array(GROUP_LIFTS)[:, None, None]
        need = np.where(inside, (wanted - shares) / np.where(inside, groups, 1.0), 0.0).max(axis=2)
        trial = (shares + np.maximum(need, 0.0)[:, :, None] * groups).reshape(-1, len(shares))
        least = np.where(trial > 0.0, trial, np.inf).min(axis=1) / trial.max(axis=1)
        thrust = np.where(least >= LEAST_SHARE, trial @ self._allocator.thrust, np.inf)
        best = int(thrust.argmin())
        chosen: Array = trial[best] if np.isfinite(thrust[best]) else shares
        return chosen


class PwpfModulator(AxisModulator):
    """One PWPF a wrench axis. With the standard levels an axis is silent below a quarter of its full wrench
    (``on / gain``) and makes about 0.15 of it less than was demanded above that."""

    def __init__(
        self, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0, *, levels: PwpfLevels | None = None
    ) -> None:
        super().__init__(body, allocator, tick_ms)
        self._axes = [Schmitt(levels or PwpfLevels(), tick_ms * 1e-3) for _ in range(AXES)]

    def _axis_on(self, axis: int, demand: float, shortest: float) -> float:  # noqa: ARG002
        return self._axes[axis].run(demand, self._ticks) * self._tick_ms

    def _reset_axes(self) -> None:
        for axis in self._axes:
            axis.reset()


class RelayModulator(AxisModulator):
    """Bang-bang with hysteresis: an axis goes on at full wrench when its demand is worth ``on`` of a whole window, and
    off when what is left of the demand is down to ``off``.

    Args:
        on: at least the set's shortest on-time, whatever is given.
        off: by default half a tick, so that demands above ``on`` are made to the nearest tick.

    An axis that is still on at the window's end goes on in the next as long as its demand exceeds ``off``. Raises
    ValueError unless ``0 <= off < on``.
    """

    def __init__(
        self,
        body: BodyConfig,
        allocator: Allocator,
        tick_ms: float = 5.0,
        *,
        on: float = 0.12,
        off: float | None = None,
    ) -> None:
        super().__init__(body, allocator, tick_ms)
        self._on = on
        self._off = 0.5 / self._ticks if off is None else off
        if not 0.0 <= self._off < self._on:
            raise ValueError(f"levels on {self._on}, off {self._off}: need 0 <= off < on")
        self._states = [0] * AXES

    def _axis_on(self, axis: int, demand: float, shortest: float) -> float:
        state, left, total = self._states[axis], demand, 0
        on = max(self._on, shortest)
        step = 1.0 / self._ticks
        for _ in range(self._ticks):
            if state and left * state <= self._off:
                state = 0
            if not state and abs(left) >= on:
                state = 1 if left > 0.0 else -1
            if not state:
                break
            left -= state * step
            total += state
        self._states[axis] = state
        return total * self._tick_ms

    def _reset_axes(self) -> None:
        self._states = [0] * AXES
