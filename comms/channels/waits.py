"""Waiting times in buckets of a quarter octave: percentiles without keeping a sample, and never above by more than a
quarter."""

from __future__ import annotations

__all__ = ["WaitHistogram"]

OCTAVES = 36
"""From 1 us to 19 h."""
SUB = 4


class WaitHistogram:
    """Counts of waiting times.

    Attributes:
        count: times counted.
        longest_ns: longest of them.
    """

    __slots__ = ("_buckets", "count", "longest_ns")

    def __init__(self) -> None:
        self._buckets = [0] * (OCTAVES * SUB)
        self.count = 0
        self.longest_ns = 0

    def add(self, waited_ns: int) -> None:
        """Count one."""
        us = max(0, waited_ns) // 1000
        # The octave is the place of the highest bit, the quarter the two bits behind it.
        shift = us.bit_length() - 3
        index = us if shift < 0 else (shift + 1) * SUB + (us >> shift & 3)
        self._buckets[min(index, OCTAVES * SUB - 1)] += 1
        self.count += 1
        if waited_ns > self.longest_ns:
            self.longest_ns = waited_ns

    def percentile_ns(self, share: float) -> int | None:
        """Time that this share of all did not pass: the upper edge of its bucket, at most the longest; ``None``
        without any."""
        if not self.count:
            return None
        left = share * self.count
        for index, entries in enumerate(self._buckets):
            left -= entries
            if left <= 1e-9 and entries:
                return min(_upper_ns(index), self.longest_ns)
        return self.longest_ns

    def reset(self) -> None:
        """Begin anew."""
        self._buckets = [0] * (OCTAVES * SUB)
        self.count = 0
        self.longest_ns = 0


def _upper_ns(index: int) -> int:
    if index < SUB:
        return (index + 1) * 1000
    shift, quarter = index // SUB - 1, index % SUB
    return ((SUB + quarter + 1) << shift) * 1000
