"""The tracks as columns of two arrays that are allocated once: numbers in one, times and names in the other.

A row is a property, a column a track, oldest first. One copy of the used columns is the whole state, so that a
roll-back is two copies. Component rows keep every formula a handful of array operations, whatever the number of tracks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Status

__all__ = ["COVARIANCE", "FIRM", "POSITION", "STATE", "VELOCITY", "Columns", "Number", "Store", "Word"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIRM = int(Status.TRACKED)
"""Status of a firm track as a plain number."""
POSITION, VELOCITY, STATE, COVARIANCE = slice(0, 3), slice(3, 6), slice(0, 6), slice(6, 42)


class Number:
    """Rows of numbers behind state and covariance; plain integers, for they are looked up all the time."""

    SNR = 42
    RCS = 43
    EXTENT = 44
    EXCESS = 45
    """Cumulated excess of the normalised innovation squared (Page, Continuous inspection schemes, Biometrika, 1954)."""


class Word:
    """Rows of whole numbers; the rows behind are times of the first hits and of each sensor's last."""

    ID = 0
    STATUS = 1
    BORN_NS = 2
    MEASURED_NS = 3
    LOOKED_NS = 4
    """Last time a sensor had it in view."""
    MISSED_NS = 5
    """Time in view since the last detection."""
    MISSES = 6
    HITS = 7
    PATIENCE_NS = 8
    """Time in view without a detection after which it ends."""
    ALARM_NS = 9
    """Until when the second motion model holds."""
    TRANSPONDER = 10
    MODE = 11
    BAND = 12


NUMBERS = 46
WORDS = 13
_LINE = 8
"""Numbers in a line of the cache."""


class Columns(NamedTuple):
    """A copy of all that a store holds."""

    numbers: Floats
    words: Ints


def _table(rows: int, capacity: int, kind: type) -> NDArray[np.float64] | NDArray[np.int64]:
    """Rows start an odd number of cache lines apart: with a power of two they would all fall on the same lines."""
    lines = (-(-capacity // _LINE)) | 1
    return np.zeros((rows, lines * _LINE), kind)


class Store:
    """Columns of up to ``capacity`` tracks. ``hits`` is how many hit times are kept, ``sensors`` how many sensors."""

    __slots__ = ("_numbers", "_words", "capacity", "count", "hit_rows", "sensor_row")

    def __init__(self, capacity: int, hits: int, sensors: int) -> None:
        self.capacity, self.count = capacity, 0
        self.hit_rows = slice(WORDS, WORDS + hits)
        self.sensor_row = WORDS + hits
        self._numbers = _table(NUMBERS, capacity, np.float64)
        self._words = _table(WORDS + hits + sensors, capacity, np.int64)

    @property
    def numbers(self) -> Floats:
        """View (46, n) of the numbers."""
        return self._numbers[:, : self.count]  # type: ignore[return-value]

    @property
    def words(self) -> Ints:
        """View (rows, n) of the whole numbers."""
        return self._words[:, : self.count]  # type: ignore[return-value]

    def copy(self) -> Columns:
        """All that is held."""
        return Columns(self.numbers.copy(), self.words.copy())

    def restore(self, columns: Columns) -> None:
        """Back to a copy."""
        self.count = columns.numbers.shape[1]
        self.numbers[:] = columns.numbers
        self.words[:] = columns.words

    def keep(self, wanted: NDArray[np.bool_]) -> None:
        """Drop the columns that are not wanted; the others keep their order."""
        rows = wanted.nonzero()[0]
        first = int(wanted.argmin())
        stay = rows[first:]
        numbers, words = self.numbers.take(stay, axis=1), self.words.take(stay, axis=1)
        end = len(rows)
        self._numbers[:, first:end] = numbers
        self._words[:, first:end] = words
        self.count = end

    def append(self, count: int) -> tuple[Floats, Ints]:
        """Room for ``count`` more, zeroed: views of their numbers and words. Raises OverflowError beyond capacity."""
        start, end = self.count, self.count + count
        if end > self.capacity:
            raise OverflowError(f"{end} tracks, room for {self.capacity}")
        self.count = end
        numbers, words = self._numbers[:, start:end], self._words[:, start:end]
        numbers.fill(0.0)
        words.fill(0)
        return numbers, words  # type: ignore[return-value]
