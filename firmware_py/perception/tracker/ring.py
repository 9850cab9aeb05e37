"""The last second as it was: what came, and the state after it, so that a late frame takes its place in event order.

Entries are kept in the order of (event time, sensor, frame number), whatever the order of arrival. The oldest is there
only as the state to start from.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Frame
from firmware_py.perception.tracker.sensors import Sensor
from firmware_py.perception.tracker.store import Columns

__all__ = ["BEGINNING_NS", "Begun", "Entry", "Key", "Ring"]

Key = tuple[int, int, int]
Begun = tuple[NDArray[np.int64], NDArray[np.int64]]
BEGINNING_NS = -(2**62)


@dataclass(slots=True)
class Entry:
    """What came and the state after it. Without a frame it is a moment at which tracks ended for want of any.

    ``state_ns`` is the time of the state, ``begun`` the rows of the frame that began tracks, and their ids.
    """

    key: Key
    frame: Frame | None
    sensor: Sensor | None
    state_ns: int
    columns: Columns
    health: NDArray[np.float64]
    begun: Begun | None = None


def _key(entry: Entry) -> Key:
    return entry.key


class Ring:
    """Up to ``most`` entries reaching ``span_ns`` back, on top of ``start``, the state before any."""

    __slots__ = ("_entries", "_most", "_names", "_span_ns")

    def __init__(self, start: Entry, span_ns: int, most: int) -> None:
        self._entries = [start]
        self._names: set[tuple[int, int]] = set()
        self._span_ns, self._most = span_ns, most

    def __len__(self) -> int:
        """Entries, the one to start from not counted."""
        return len(self._entries) - 1

    @property
    def newest(self) -> Entry:
        """The last in event order."""
        return self._entries[-1]

    def holds(self, sensor: int, frame_id: int) -> bool:
        """A frame of this sensor and number is in it."""
        return (sensor, frame_id) in self._names

    def reaches(self, key: Key) -> bool:
        """Something of this key can still take its place."""
        return key > self._entries[0].key and key[0] >= self.newest.key[0] - self._span_ns

    def cut(self, key: Key) -> tuple[Entry, list[Entry]]:
        """Take out all entries after ``key``: the one before them, and they in order. They are to be pushed again."""
        place = bisect_left(self._entries, key, key=_key)
        after = self._entries[place:]
        del self._entries[place:]
        return self._entries[-1], after

    def push(self, entry: Entry) -> None:
        """Add the newest; what is out of reach goes."""
        self._entries.append(entry)
        if entry.frame is not None:
            self._names.add(entry.key[1:])
        horizon = entry.key[0] - self._span_ns
        gone = 0
        while len(self._entries) - gone > 1 and (
            self._entries[gone + 1].key[0] <= horizon or len(self._entries) - gone - 1 > self._most
        ):
            gone += 1
        if gone:
            for old in self._entries[1 : gone + 1]:
                self._names.discard(old.key[1:])
            del self._entries[:gone]
            first = self._entries[0]
            first.frame = None
            first.begun = None
