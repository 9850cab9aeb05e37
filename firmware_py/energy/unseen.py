"""What flows through the distribution unit beyond the loads that are known: base loads that draw more than declared,
and monitors that disagree by their gain.

The bus's own monitor is what over-current is judged by. A demand summed up from other monitors can be a per cent
lower, and then a load that fits on paper trips the bus again and again.
"""

from __future__ import annotations

from math import exp, isfinite

__all__ = ["UnseenShare"]

SMOOTH_S = 10.0
"""Time over which it is averaged: a switched load is seen by its own monitor half a second later than by the bus's."""
MOST = 0.05
"""Share beyond which a difference is no error of monitors: a load that was just switched, or a fault."""


class UnseenShare:
    """Running mean of what is measured on the bus and in no load, as a share of what is known; never below zero."""

    __slots__ = ("_mean",)

    def __init__(self) -> None:
        self._mean: float | None = None

    def beyond(self, demand_w: float) -> float:
        """What to add to a demand, W; nothing to one that is no number."""
        return max(0.0, self._mean or 0.0) * demand_w if isfinite(demand_w) else 0.0

    def step(self, dt_s: float, bus_w: float | None, known_w: float) -> None:
        """Take what is measured on the bus and what is known of it, W; what cannot be compared leaves all as it was."""
        if bus_w is None or not known_w > 0.0:
            return
        seen = bus_w / known_w - 1.0
        if not isfinite(seen) or abs(seen) > MOST:
            return
        before = self._mean
        self._mean = seen if before is None else before + (1.0 - exp(-dt_s / SMOOTH_S)) * (seen - before)
