"""A set of byte ranges: which bytes of a file are there, which are missing."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

__all__ = ["Ranges"]


class Ranges:
    """Ranges (first byte, byte after the last), kept apart, in order and joined where they touch."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in ranges:
            self.add(start, end)

    def add(self, start: int, end: int) -> None:
        """Put a range in; an empty one changes nothing."""
        if start >= end:
            return
        starts, ends = self._starts, self._ends
        if ends and start == ends[-1]:
            ends[-1] = end
            return
        first = bisect_left(ends, start)
        last = bisect_right(starts, end)
        if first < last:
            start = min(start, starts[first])
            end = max(end, ends[last - 1])
        starts[first:last] = (start,)
        ends[first:last] = (end,)

    def remove(self, start: int, end: int) -> None:
        """Take a range out."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        kept = [(self._starts[first], start), (end, self._ends[last - 1])]
        kept = [(low, high) for low, high in kept if low < high]
        self._starts[first:last] = [low for low, _ in kept]
        self._ends[first:last] = [high for _, high in kept]

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """What is missing between two bytes."""
        missing = []
        at = bisect_right(self._ends, start)
        while start < end:
            low = self._starts[at] if at < len(self._starts) else end
            if low >= end:
                missing.append((start, end))
                break
            if start < low:
                missing.append((start, low))
            start = self._ends[at]
            at += 1
        return missing

    @property
    def head(self) -> int:
        """Bytes that are there from the file's beginning on without a gap."""
        return self._ends[0] if self._starts and self._starts[0] == 0 else 0

    @property
    def end(self) -> int:
        """The byte after the last one that is there."""
        return self._ends[-1] if self._ends else 0

    @property
    def total(self) -> int:
        """Bytes that are there."""
        return sum(self._ends) - sum(self._starts)

    def first(self) -> tuple[int, int] | None:
        """The lowest range."""
        return (self._starts[0], self._ends[0]) if self._starts else None

    def clear(self) -> None:
        """Nothing is there."""
        self._starts.clear()
        self._ends.clear()

    def pairs(self) -> list[tuple[int, int]]:
        """All ranges, lowest first."""
        return list(zip(self._starts, self._ends, strict=True))

    def __len__(self) -> int:
        return len(self._starts)
