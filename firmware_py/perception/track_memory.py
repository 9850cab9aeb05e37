"""What is remembered of tracks between frames: columns of fixed length, found by key, forgotten by event time.

One table holds ``limit`` keys for ever: memory does not grow, whatever names come by. A key that is not seen for
``forget_s`` is forgotten; when the table is full the one that was seen longest ago makes room, and is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_TRACKS", "NOWHERE", "VERDICT", "TrackMemory", "settle"]

MAX_TRACKS = 2048
"""Most keys of one table: twice what the tracker is measured with."""
NOWHERE = -1
"""Slot of a key that has none: negative or given twice in one call, or there was no room."""

NEVER = -(1 << 62)
"""A time before all times (ns)."""
Ints = NDArray[np.int64]
Bytes = NDArray[np.int8]
VERDICT: Mapping[str, tuple[type, float | int | bool, int]] = {
    "wanted": (np.int8, 0, 0), "since_ns": (np.int64, 0, 0), "verdict": (np.int8, 0, 0),
}
"""Columns that ``settle`` needs."""


class TrackMemory:
    """Columns by key, ``limit`` rows.

    Args:
        columns: name to (dtype, value of a row that is new, width); width 0 gives a column of shape (limit,), others
            (limit, width).
        limit: rows, 1..``MAX_TRACKS``.
        forget_s: a key that was not seen for longer is forgotten.

    Attributes:
        columns: the columns; rows are found with ``slots``.
        evicted: keys that made room for others since start.
        refused: keys that found no room since start.

    Raises:
        ValueError: names the argument and what is allowed.
    """

    __slots__ = ("_fills", "_forget_ns", "_keys", "_now_ns", "_oldest_ns", "_order", "_ordered", "_seen_ns", "columns",
                 "evicted", "refused")

    def __init__(
        self, columns: Mapping[str, tuple[type, float | int | bool, int]], limit: int = MAX_TRACKS,
        forget_s: float = 60.0,
    ) -> None:
        if not 1 <= limit <= MAX_TRACKS:
            raise ValueError(f"limit is {limit}; 1..{MAX_TRACKS} is allowed")
        if not (isfinite(forget_s) and forget_s > 0.0):
            raise ValueError(f"forget_s is {forget_s}; above 0 is allowed")
        self._keys = np.full(limit, NOWHERE, np.int64)
        self._seen_ns = np.zeros(limit, np.int64)
        self._order = np.arange(limit)
        self._ordered = self._keys[self._order]
        """Keys, ascending."""
        self._forget_ns = round(forget_s * 1e9)
        self._oldest_ns = NEVER
        """No key was seen last before this; what was may be forgotten."""
        self._now_ns: int | None = None
        self._fills = {name: fill for name, (_, fill, _) in columns.items()}
        self.columns: dict[str, NDArray[Any]] = {
            name: np.full((limit, width) if width else limit, fill, kind)
            for name, (kind, fill, width) in columns.items()
        }
        self.evicted = 0
        self.refused = 0

    def __len__(self) -> int:
        """Keys that are remembered."""
        return int(np.count_nonzero(self._keys != NOWHERE))

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A column."""
        return self.columns[name]

    @property
    def nbytes(self) -> int:
        """Memory of all columns."""
        own = self._keys.nbytes + self._seen_ns.nbytes + self._order.nbytes + self._ordered.nbytes
        return own + sum(column.nbytes for column in self.columns.values())

    def slots(self, keys: Ints, t_ns: int) -> Ints:
        """Row of each key, ``NOWHERE`` where it has none; new keys get a row with the values of a new one.

        ``t_ns`` is event time. Time that goes back stands still, so nothing is forgotten by a late frame.
        """
        now_ns = self._now_ns = t_ns if self._now_ns is None else max(t_ns, self._now_ns)
        self._forget(now_ns)
        keys = np.asarray(keys, np.int64)
        found = self._find(keys)
        self._seen_ns[found[found >= 0]] = now_ns
        new = keys[(found < 0) & (keys >= 0)]
        if len(new):
            self._admit(np.unique(new), now_ns)
            found = self._find(keys)
        if not (keys[1:] > keys[:-1]).all():
            # Tracks come in the order of their numbers, identities do not.
            found[_twice(keys)] = NOWHERE
        return found

    def _find(self, keys: Ints) -> Ints:
        place = np.minimum(np.searchsorted(self._ordered, keys), len(self._ordered) - 1)
        return np.where((self._ordered[place] == keys) & (keys >= 0), self._order[place], NOWHERE)

    def _sort(self) -> None:
        self._order = np.argsort(self._keys, kind="stable")
        self._ordered = self._keys[self._order]

    def _admit(self, new: Ints, now_ns: int) -> None:
        """Rows for new keys, ascending; free ones first, then those that were seen longest ago."""
        free = np.flatnonzero(self._keys == NOWHERE)
        if len(free) < len(new):
            idle = np.flatnonzero((self._keys != NOWHERE) & (self._seen_ns < now_ns))
            idle = idle[np.lexsort((self._keys[idle], self._seen_ns[idle]))][: len(new) - len(free)]
            self.evicted += len(idle)
            free = np.concatenate((free, idle))
        self.refused += max(0, len(new) - len(free))
        rows = free[: len(new)]
        self._clear(rows)
        self._keys[rows] = new[: len(rows)]
        self._seen_ns[rows] = now_ns
        self._sort()

    def _forget(self, now_ns: int) -> None:
        if now_ns - self._oldest_ns <= self._forget_ns:
            return
        old = np.flatnonzero((self._keys != NOWHERE) & (now_ns - self._seen_ns > self._forget_ns))
        if len(old):
            self._keys[old] = NOWHERE
            self._clear(old)
            self._sort()
        self._oldest_ns = int(self._seen_ns[self._keys != NOWHERE].min(initial=now_ns))

    def _clear(self, rows: Ints) -> None:
        for name, column in self.columns.items():
            column[rows] = self._fills[name]


def _twice(keys: Ints) -> NDArray[np.bool_]:
    """Which keys stand earlier already."""
    twice = np.ones(len(keys), np.bool_)
    twice[np.unique(keys, return_index=True)[1]] = False
    return twice


def settle(memory: TrackMemory, slots: Ints, wanted: Bytes, t_ns: int, dwell_ns: Ints) -> Bytes:
    """Verdicts that do not flap: what is wanted must be so without a break for its dwell before it is the verdict.

    Args:
        memory: has the columns ``VERDICT``; a new row's verdict is 0.
        slots: row of each track; where there is none the answer is 0.
        wanted: what speaks for now.
        t_ns: event time.
        dwell_ns: of each track; 0 is at once.
    """
    verdicts = np.zeros(len(slots), np.int8)
    kept = np.flatnonzero(slots >= 0)
    rows, wish = slots[kept], wanted[kept]
    other = memory["wanted"][rows] != wish
    memory["since_ns"][rows[other]] = t_ns
    memory["wanted"][rows] = wish
    due = t_ns - memory["since_ns"][rows] >= dwell_ns[kept]
    memory["verdict"][rows[due]] = wish[due]
    verdicts[kept] = memory["verdict"][rows]
    return verdicts
