"""When each nozzle's gas flows by the plans sent, across window edges and cuts, and how far that is unsure.

A plan is electrical; gas follows by the valve's latency. Between any two moments this tells the seconds each nozzle is
open, whose pulses began and ended, and the variance of it: valves are late or early by a few milliseconds, and whether
a pulse cut short runs out its shortest time is the valve node's business.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hal.propulsion import PulsePlan

__all__ = ["PulseTimeline", "Span"]

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

EDGE_S = 0.0025
"""One sigma of a valve's opening or closing time."""
EDGE_NEAR_S = 0.004
"""How far outside a span an edge may lie and still fall into it."""
SAME_S = 1e-6
"""Times closer than this are one: plans are in whole milliseconds."""


class Span(NamedTuple):
    """Of each nozzle between two moments: seconds open; seconds of push in the mean over the span of the momentum
    gained in it; variance of the seconds open (s2); and (2, n) whether a pulse began, and ended."""

    on_s: Array
    mean_s: Array
    variance_s2: Array
    edges: Mask


class _Pulses(NamedTuple):
    """A window's pulses: times of the gas, and which begin and end rather than go on."""

    first: float
    last: float
    opens: Array
    closes: Array
    begins: Mask
    ends: Mask


class PulseTimeline:
    """Gas times of ``count`` nozzles. Times are in seconds from any one moment, and never go back."""

    def __init__(self, count: int, latency_s: float, min_on_s: float) -> None:
        self._count = count
        self._latency_s = latency_s
        self._min_on_s = min_on_s
        self._pulses: deque[_Pulses] = deque()
        self._opened = np.full(count, -1e9)
        self._run_out: tuple[Array, Array] | None = None

    def start(self, now: float, plan: PulsePlan) -> None:
        """A window begins now, whether the last one has ended or is cut short. Pulses of a cut window that have not
        begun never happen; those that run end now unless this plan goes on with them."""
        opens = np.array(plan.open_ms) * 1e-3 + now
        closes = np.array(plan.close_ms) * 1e-3 + now
        fires = closes > opens
        goes_on = self._end_last(now, fires & (opens <= now + SAME_S))
        self._opened = np.where(goes_on, self._opened, opens)
        if fires.any():
            opens, closes = opens + self._latency_s, closes + self._latency_s
            first, last = float(opens[fires].min()), float(closes[fires].max())
            self._pulses.append(_Pulses(first, last, opens, closes, fires & ~goes_on, fires))

    def _end_last(self, now: float, open_at_start: Mask) -> Mask:
        """Cut what the last plan had left; which of its pulses the new plan goes on with."""
        if not self._pulses:
            return np.zeros(self._count, dtype=bool)
        at = now + self._latency_s
        last = self._pulses[-1]
        runs = (last.closes > last.opens) & (last.opens < at) & (last.closes >= at - SAME_S)
        goes_on: Mask = runs & open_at_start
        if last.last > at + SAME_S:
            shortest = np.maximum(self._opened + self._min_on_s, now) + self._latency_s
            cut = runs & (last.closes > at + SAME_S) & ~goes_on
            starts, stops = np.full(self._count, at), np.where(cut, shortest, at)
            if self._run_out is not None:
                starts, stops = np.minimum(starts, self._run_out[0]), np.maximum(stops, self._run_out[1])
            self._run_out = (starts, stops)
            closes = np.minimum(last.closes, at)
            last = last._replace(last=at, opens=np.minimum(last.opens, closes), closes=closes)
        self._pulses[-1] = last._replace(ends=(last.closes > last.opens) & ~goes_on)
        return goes_on

    def between(self, start: float, end: float) -> Span:
        """The span from ``start`` to ``end``; spans are asked for in order of time."""
        count = self._count
        on, mean, variance = np.zeros(count), np.zeros(count), np.zeros(count)
        edges = np.zeros((2, count), dtype=bool)
        while self._pulses and self._pulses[0].last < start - 2.0 * EDGE_NEAR_S:
            self._pulses.popleft()
        low, high = start - EDGE_NEAR_S, end + EDGE_NEAR_S
        for first, last, opens, closes, begins, ends in self._pulses:
            if first > high or last < low:
                continue
            a, z = np.clip(opens, start, end), np.clip(closes, start, end)
            on += z - a
            mean += ((end - a) ** 2 - (end - z) ** 2) / (2.0 * (end - start))
            edges[0] |= begins & (opens >= start) & (opens < end)
            edges[1] |= ends & (closes > start) & (closes <= end)
            near = (begins & (opens > low) & (opens < high)).astype(float) + (ends & (closes > low) & (closes < high))
            variance += near * EDGE_S**2
        if self._run_out is not None:
            starts, stops = self._run_out
            variance += np.maximum(np.minimum(stops, end) - np.maximum(starts, start), 0.0) ** 2
            if float(stops.max()) < start:
                self._run_out = None
        return Span(on, mean, variance, edges)
