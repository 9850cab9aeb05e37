"""An energy budget that holds in every hour, wherever the hour begins, with a bounded memory."""

from __future__ import annotations

from collections import deque

__all__ = ["BINS", "HourBudget"]

MINUTE_NS = 60_000_000_000
BINS = 61
"""Minutes that are summed: any 3600 s lie within 61 of them."""


class HourBudget:
    """Joules spent by minute; what is spent in any 3600 s stays within ``limit_j``.

    A token bucket of the same size would let twice the budget through in an hour: its contents and what flows in.
    """

    __slots__ = ("_bins", "limit_j", "total_j")

    def __init__(self, limit_j: float) -> None:
        self.limit_j = limit_j
        self.total_j = 0.0
        """Spent since start, J."""
        self._bins: deque[tuple[int, float]] = deque()

    def left_j(self, now_ns: int) -> float:
        """What may be spent now, J."""
        oldest = now_ns // MINUTE_NS - BINS + 1
        while self._bins and self._bins[0][0] < oldest:
            self._bins.popleft()
        return self.limit_j - sum(joules for _, joules in self._bins)

    def spend(self, joules: float, now_ns: int) -> bool:
        """Book an expense; ``False`` if it isn't within the budget, and nothing is booked."""
        if not 0.0 <= joules <= self.left_j(now_ns):
            return False
        minute = now_ns // MINUTE_NS
        if self._bins and self._bins[-1][0] >= minute:
            at, before = self._bins[-1]
            self._bins[-1] = (at, before + joules)
        else:
            self._bins.append((minute, joules))
        self.total_j += joules
        return True

    def refund(self, joules: float) -> None:
        """Something booked was not spent after all. No more comes back than the newest minutes hold."""
        self.total_j -= joules
        for index in range(len(self._bins) - 1, -1, -1):
            minute, booked = self._bins[index]
            back = min(joules, booked)
            self._bins[index] = (minute, booked - back)
            joules -= back
            if joules <= 0.0:
                return

    def kept(self, now_ns: int) -> list[list[float]]:
        """Expenses of the last hour, each with its age in minutes: to be stored."""
        self.left_j(now_ns)
        minute = now_ns // MINUTE_NS
        return [[float(minute - at), joules] for at, joules in self._bins]

    def resume(self, kept: list[tuple[float, float]], now_ns: int) -> None:
        """Take up stored expenses as if no time had passed: how long the power was off is not known."""
        minute = now_ns // MINUTE_NS
        booked: dict[int, float] = {}
        for age, joules in kept[-BINS:]:
            at = minute - max(0, min(BINS, round(age)))
            booked[at] = booked.get(at, 0.0) + max(0.0, joules)
        self._bins = deque(sorted(booked.items()))
