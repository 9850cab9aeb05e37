"""Keeps the book of every valve: what is open, since when, what may follow; so no modulator can break a pulse rule.

A modulator says for how long each nozzle shall be open in a window; the book turns that into edges that keep the
shortest pulse, the shortest pause (also across windows, also after a window that was cut short), the longest burn and
the cooldown, and says which impulse each fast tick should see of it. Times are whole ms on the flight clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.allocation import Allocator
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan

__all__ = ["NOTHING", "Impulse", "ModulatorCounters", "PulseBook", "TickImpulse"]

Array = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]
Impulse = tuple[float, float, float, float, float, float]
"""Force impulse (N s) over torque impulse about the centre of mass (N m s), body frame."""

MS = 1_000_000
STANDARD_GRAVITY = 9.80665
NEVER = -(10**12)
JOIN_MS = 10
"""A window started within this time of the last one's end continues its pulses (docs/protocols/valve-node.md)."""
NOTHING: Impulse = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


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
    refused_demands: int = 0
    """Demands that were not finite; the window stayed shut."""
    dropped: int = 0
    """Pulses that another rule left no room for."""


class PulseBook:
    """Edges, pauses, burns and expected impulses of all nozzles of one craft.

    Args:
        body: limits and nozzles.
        allocator: for the wrench of each nozzle.
        tick_ms: length of a fast tick; must divide the window (else ValueError).

    For each window: ``begin``, then ``place``. ``amend`` if what was really commanded differs from what was placed.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, tick_ms: float) -> None:
        prop = body.propulsion
        ticks = prop.window_ms / tick_ms
        if abs(ticks - round(ticks)) > 1e-9:
            raise ValueError(f"window of {prop.window_ms} ms is no whole number of {tick_ms} ms ticks")
        self.window_ms = prop.window_ms
        self.min_on_ms = prop.min_on_ms
        self.min_off_ms = prop.min_off_ms
        self.max_burn_ms = prop.max_burn_ms
        self.cooldown_ms = prop.cooldown_ms
        # Half a shortest pause on either side lets any two centred pulses follow each other.
        self.max_pulse_ms = prop.window_ms - 2 * ((prop.min_off_ms + 1) // 2)
        """Longest pulse that leaves room for any other in the next window; beyond it there is only the whole window."""
        self.per_ms: Array = allocator.wrenches * 1e-3
        self.thrust = allocator.thrust
        self.counters = ModulatorCounters()
        count = self.count = allocator.count
        self._exhaust_speed = prop.specific_impulse_s * STANDARD_GRAVITY
        self._latency = prop.valve_latency_ms
        self._ticks = round(ticks)
        self._latency_ticks = int(-(-prop.valve_latency_ms // tick_ms))
        edges = np.arange(self._ticks + self._latency_ticks + 1) * tick_ms
        self._tick_start, self._tick_end = edges[:-1, None], edges[1:, None]
        self._expected: list[TickImpulse | None] = [None] * self._ticks
        self._now = NEVER
        self._opened: Times = np.full(count, NEVER, dtype=np.int64)
        self._closes: Times = np.full(count, NEVER, dtype=np.int64)
        self._cool_until: Times = np.full(count, NEVER, dtype=np.int64)
        self._before = (self._opened, self._closes, self._cool_until)
        self._opens = np.zeros(count, dtype=np.int64)
        self._shuts = np.zeros(count, dtype=np.int64)
        self._tail = np.zeros(count, dtype=np.int64)
        self._window_end = NEVER
        self._running = np.zeros(count, dtype=bool)
        self._start = self._before
        self._cooled = 0
        self._last_opens, self._last_shuts, self._last_tail = self._opens, self._shuts, self._tail
        self._last_length = self.window_ms

    def begin(self, now_ns: int) -> Array:
        """A window starts now, whether the last one had ended or is cut short; returns the impulse (6,) that a cut
        kept from being made.

        A pulse of a cut window that has not begun never happens; one that runs ends now unless this window prolongs
        it, but not before its shortest time.
        """
        now = now_ns // MS
        late = now - self._window_end
        cut = self._closes > now
        unborn = self._opened > now
        opened, closes, cool = self._before
        self._opened = np.where(unborn, opened, self._opened)
        self._closes = np.where(unborn, closes, self._closes)
        self._cool_until = np.where(unborn, cool, self._cool_until)
        open_at_end = (self._closes == self._window_end) & (0 <= late <= JOIN_MS)
        self._running = (cut & ~unborn) | open_at_end
        if late > JOIN_MS:
            # Nothing came in time to prolong what was open at the end; a run that long counts as a longest burn.
            lapsed = (self._closes == self._window_end) & self._long(self._closes - self._opened)
            self._cool_until[lapsed] = self._closes[lapsed] + self.cooldown_ms
            self.counters.cooldowns += int(np.count_nonzero(lapsed))
        # What the valve's latency carries over of the last window, which lasted until now.
        length = self._last_length = now - self._now
        self._last_opens, self._last_shuts = self._opens, np.minimum(self._shuts, length)
        self._last_tail = np.minimum(self._tail, length)
        # Up to what a pulse runs out in any case, and that is its own window's.
        run_out = np.where(self._running, self.min_on_ms - (now - self._opened), 0)
        kept = np.maximum(np.maximum(self._opens, length), np.minimum(length + run_out, self._shuts))
        missed: Array = self.per_ms @ np.maximum(self._shuts - kept, 0)
        self._now = now
        self._window_end = now + self.window_ms
        return missed

    def blocked(self, now_ns: int) -> int:
        """Mask of the nozzles in cooldown after a longest burn."""
        now = now_ns // MS
        return _mask(self._cool_until > now) if self._cool_until.max() > now else 0

    def overdue(self) -> int:
        """Mask of the nozzles that have burned on and could not stay open for one more whole window."""
        late = self._running & (self._window_end - self._opened > self.max_burn_ms)
        return _mask(late) if late.any() else 0

    def place(self, on_ms: Times) -> tuple[PulsePlan, Array]:
        """Edges for these open times (n,), centred, or joined to a burn that runs; and the impulse (6,) they make.

        A time that a rule leaves no room for is shortened, or dropped and counted.
        """
        window = self.window_ms
        fired = on_ms > 0
        opens = (window - on_ms) // 2
        shuts = opens + on_ms
        joined = fired & self._running
        opens[joined] = 0
        shuts[joined] = on_ms[joined]
        # A new pulse waits for the end of what runs out and for the pause. The longest ones start as early as they may:
        # between a centred one and a whole window there would be half a pause too much.
        earliest = np.maximum(np.where(self._running, self._run_out(), self._closes) + self.min_off_ms - self._now, 0)
        fresh = fired & ~joined
        late = fresh & ((opens < earliest) | (on_ms >= self.max_pulse_ms))
        opens[late] = earliest[late]
        shuts[late] = np.minimum(earliest[late] + on_ms[late], window)
        opens[~fired] = shuts[~fired] = 0
        # A burn may not pass its longest time; one cut there is at an end.
        since = np.where(joined, self._opened, self._now + opens)
        shuts = np.where(fired, np.minimum(shuts, since + self.max_burn_ms - self._now), 0)
        short = fired & ((self._now + shuts - since < self.min_on_ms) | (shuts <= opens))
        barred = fired & ~joined & (self._now + opens < self._cool_until)
        gone = short | barred
        if gone.any():
            self.counters.dropped += int(np.count_nonzero(gone))
            opens[gone] = shuts[gone] = 0
        self._commit(opens, shuts)
        emitted = self._count(opens, shuts, 1)
        return PulsePlan(window, tuple(opens.tolist()), tuple(shuts.tolist())), emitted

    def amend(self, plan: PulsePlan) -> Array:
        """What was really commanded in place of the last ``place``; returns its impulse (6,)."""
        self._count(self._opens, self._shuts, -1)
        self.counters.cooldowns -= self._cooled
        self._opened, self._closes, self._cool_until = self._start
        self._commit(np.array(plan.open_ms, dtype=np.int64), np.array(plan.close_ms, dtype=np.int64))
        return self._count(self._opens, self._shuts, 1)

    def expected(self, tick: int) -> TickImpulse | None:
        """Impulse between fast ticks ``tick`` and ``tick + 1`` of the present window, None if all valves are shut.

        Tick 0 is the one in which the plan was made. Valve latency shifts both edges; what it moves beyond the window
        is in the first ticks of the next, and so is the shortest time that pulses of a cut window run out.
        """
        return self._expected[tick]

    def _long(self, length_ms: Times) -> npt.NDArray[np.bool_]:
        """Whether a run counts as a longest burn: one that comes within a window of it could not have gone on."""
        long: npt.NDArray[np.bool_] = length_ms > self.max_burn_ms - self.window_ms
        return long

    def _run_out(self) -> Times:
        """When the pulses that run would end if nothing prolonged them, ms on the flight clock."""
        return np.where(self._closes > self._now, np.maximum(self._now, self._opened + self.min_on_ms), self._closes)

    def _commit(self, opens: Times, shuts: Times) -> None:
        now, window = self._now, self.window_ms
        fired = shuts > opens
        joined = fired & self._running & (opens == 0)
        self._start = (self._opened, self._closes, self._cool_until)
        ended = self._running & ~joined
        run_out = self._run_out()
        closes = np.where(ended, run_out, self._closes)
        self._tail = np.where(ended, np.maximum(run_out - now, 0), 0)
        cool = self._cool_until.copy()
        stopped = ended & self._long(closes - self._opened)
        cool[stopped] = closes[stopped] + self.cooldown_ms
        self._before = (self._opened.copy(), closes, cool)
        opened = np.where(fired & ~joined, now + opens, self._opened)
        shut = np.where(fired, now + shuts, closes)
        spent = fired & (shuts < window) & self._long(shut - opened)
        spent |= fired & (shut - opened >= self.max_burn_ms)
        cool = np.where(spent, shut + self.cooldown_ms, cool)
        self._cooled = int(np.count_nonzero(stopped) + np.count_nonzero(spent))
        self.counters.cooldowns += self._cooled
        self._opened, self._closes, self._cool_until = opened, shut, cool
        self._opens, self._shuts = opens, shuts
        self._expect(opens, shuts)

    def _expect(self, opens: Times, shuts: Times) -> None:
        """Per tick: this window's pulses, what a cut one runs out, and what latency carries over."""
        rows: list[tuple[Times, Times]] = []
        if (shuts > opens).any():
            rows.append((opens + self._latency, shuts + self._latency))
        if self._tail.any():
            rows.append((np.full(self.count, self._latency), self._tail + self._latency))
        if self._latency:
            over = self._last_shuts + self._latency - self._last_length
            past = self._last_tail + self._latency - self._last_length
            if (over > 0).any():
                rows.append((np.maximum(self._last_opens + self._latency - self._last_length, 0), np.maximum(over, 0)))
            if (past > 0).any():
                rows.append((np.zeros(self.count, dtype=np.int64), np.maximum(past, 0)))
        if not rows:
            self._expected = [None] * self._ticks
            return
        share = np.zeros((len(self._tick_start), self.count))
        for start, end in rows:
            share += np.maximum(np.minimum(self._tick_end, end) - np.maximum(self._tick_start, start), 0.0)
        table = np.empty((self._ticks, 7))
        share = share[: self._ticks]
        table[:, :6] = share @ self.per_ms.T
        table[:, 6] = share @ self.thrust * 1e-3
        self._expected = [TickImpulse(*row) if row[6] else None for row in table.tolist()]

    def _count(self, opens: Times, shuts: Times, sign: int) -> Array:
        on = shuts - opens
        counters = self.counters
        total = int(on.sum())
        if total:
            counters.firing_windows += sign
            counters.pulses += sign * int(np.count_nonzero(on))
            counters.on_ms += sign * total
            counters.propellant_kg += sign * float(self.thrust @ on) * 1e-3 / self._exhaust_speed
        emitted: Array = self.per_ms @ on
        return emitted


def _mask(members: npt.NDArray[np.bool_]) -> int:
    return sum(1 << int(n) for n in members.nonzero()[0])
