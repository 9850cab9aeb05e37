"""The recent past of every number in telemetry, in fixed memory: what was missing stays missing.

Two depths: ten times a second for the last minute, once a second for the last half hour. A column is a channel, a
component (``rate_rad_s[0]``) or a key of a table (``temperature_c.battery``); columns beyond the bound are counted.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from math import nan
from typing import Any, NamedTuple

__all__ = ["DEPTHS", "Depth", "Trace", "numbers_in"]

MOST_COLUMNS = 384
NS = 1_000_000_000


class Depth(NamedTuple):
    """How often and how many rows."""

    period_ns: int
    rows: int


DEPTHS = (Depth(NS // 10, 600), Depth(NS, 1800))


class Trace:
    """Numbers of the past by column; float32, since they are for plots."""

    def __init__(self) -> None:
        self.left_out = 0
        """Values that found no column."""
        self._rings = tuple(_Ring(depth) for depth in DEPTHS)

    def add(self, t_ns: int, values: Mapping[str, Any]) -> None:
        """Take a snapshot in, where it is time for one. A clock that steps back begins anew."""
        for ring in self._rings:
            if ring.newest_ns is not None and t_ns < ring.newest_ns:
                ring.clear()
            if ring.newest_ns is None or t_ns - ring.newest_ns >= ring.depth.period_ns:
                self.left_out += ring.add(t_ns, values)

    def series(self, column: str, seconds: float) -> tuple[list[int], list[float | None], int]:
        """A column over the newest ``seconds``: times in ns, values (``None`` is missing), period of the rows in ns."""
        ring = self._rings[0]
        if seconds * NS > ring.depth.period_ns * ring.depth.rows:
            ring = self._rings[1]
        times, values = ring.series(column, round(seconds * NS))
        return times, values, ring.depth.period_ns


class _Ring:
    __slots__ = ("columns", "depth", "newest_ns", "rows", "times")

    def __init__(self, depth: Depth) -> None:
        self.depth = depth
        self.clear()

    def clear(self) -> None:
        self.newest_ns: int | None = None
        self.rows = 0
        self.times = array("q", bytes(8 * self.depth.rows))
        self.columns: dict[str, array[float]] = {}

    def add(self, t_ns: int, values: Mapping[str, Any]) -> int:
        """Write a row over the oldest; how many values had no room."""
        at = self.rows % self.depth.rows
        for column in self.columns.values():
            column[at] = nan
        left_out = 0
        for name, value in numbers_in(values):
            if name not in self.columns:
                if len(self.columns) >= MOST_COLUMNS:
                    left_out += 1
                    continue
                self.columns[name] = array("f", [nan]) * self.depth.rows
            self.columns[name][at] = value if abs(value) < 3e38 else nan
        self.times[at] = t_ns
        self.newest_ns = t_ns
        self.rows += 1
        return left_out

    def series(self, name: str, span_ns: int) -> tuple[list[int], list[float | None]]:
        times = self._ordered(self.times)
        first = bisect_left(times, times[-1] - span_ns) if times else 0
        column = self.columns.get(name)
        values = [nan] * len(times) if column is None else self._ordered(column)
        # What is not equal to itself is no number.
        return times[first:], [value if value == value else None for value in values[first:]]

    def _ordered(self, ring: array[Any]) -> list[Any]:
        """Rows of a ring, oldest first."""
        if self.rows <= self.depth.rows:
            return ring[:self.rows].tolist()
        at = self.rows % self.depth.rows
        return [*ring[at:], *ring[:at]]


def numbers_in(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a snapshot with its column's name. Flags count as 0 and 1; texts and what is missing do not."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, int | float):
            yield name, _plain(value)
        elif isinstance(value, list | tuple):
            for index, item in enumerate(value):
                if isinstance(item, int | float):
                    yield f"{name}[{index}]", _plain(item)
        elif isinstance(value, Mapping) and not prefix:
            yield from numbers_in(value, f"{name}.")


def _plain(value: float) -> float:
    """As float; what is beyond its range is no number."""
    return float(value) if abs(value) < 1e300 else nan
