"""A box of cells that goes along with the craft without moving memory: each cell's place is its number modulo the box.

Cell ``i`` of an axis spans ``[i, i + 1) * cell_m``. When the box moves on, only the slabs that come in anew are
cleared; all others stay where they are in memory. All sizes are fixed at the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from hal.frames import Vec3

__all__ = ["MAX_CELLS", "REACH_M", "RollingBox", "within_reach"]

MAX_CELLS = 1 << 24
"""Cells of one box at most."""
REACH_M = 1.0e9
"""Positions beyond are refused: a cell's number and its fraction must both fit a double."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


def within_reach(points_m: Floats) -> Flags:
    """Which points, (n, 3), are finite and near enough for cells to be numbered."""
    reached: Flags = np.all(np.abs(points_m) <= REACH_M, axis=-1)
    return reached


class RollingBox:
    """Where the box is, and which cell is where in memory.

    Args:
        shape: cells of each axis, powers of two.
        cell_m: edge of a cell.
        slack: so many cells the craft may be off the middle before the box follows, so that hovering at the edge of a
            cell does not clear the box's far side again and again.

    Raises:
        ValueError: names the argument and what is allowed.
    """

    __slots__ = ("_mask", "_placed", "_slack", "_strides", "cell_m", "origin", "shape", "size")

    def __init__(self, shape: tuple[int, int, int], cell_m: float, slack: int = 2) -> None:
        if len(shape) != 3 or any(n < 4 or n & (n - 1) for n in shape) or int(np.prod(shape)) > MAX_CELLS:
            raise ValueError(f"shape is {shape}; three powers of two from 4 on, {MAX_CELLS} cells at most, are allowed")
        if not (isfinite(cell_m) and 1e-3 <= cell_m <= 1e6):
            raise ValueError(f"cell_m is {cell_m}; 0.001..1e6 is allowed")
        if not 0 <= slack < min(shape) // 2:
            raise ValueError(f"slack is {slack}; 0..{min(shape) // 2 - 1} is allowed")
        self.shape = shape
        self.size = int(np.prod(shape))
        self.cell_m = cell_m
        self.origin: Ints = -np.array(shape, np.int64) // 2
        """Number of the lowest cell on each axis."""
        self._mask = np.array(shape, np.int64) - 1
        self._strides = np.array((shape[1] * shape[2], shape[2], 1), np.int64)
        self._slack = slack
        self._placed = False

    @property
    def low_m(self) -> Floats:
        """Lowest corner of the box."""
        return self.origin.astype(np.float64) * self.cell_m

    @property
    def high_m(self) -> Floats:
        """Highest corner of the box."""
        return (self.origin + self.shape).astype(np.float64) * self.cell_m

    def follow(self, position_m: Floats) -> Iterator[tuple[slice | Ints, ...]]:
        """Move so that a position is near the middle.

        Yields index tuples into arrays of the box's shape: what is to be cleared there. All of them must be taken.
        A position that is not finite or beyond ``REACH_M`` moves nothing.
        """
        if not bool(within_reach(position_m)):
            return
        wanted = self.cell_of(position_m) - np.array(self.shape) // 2
        moves = np.abs(wanted - self.origin) > (self._slack if self._placed else 0)
        self._placed = True
        for axis in np.flatnonzero(moves):
            old, new = int(self.origin[axis]), int(wanted[axis])
            count = self.shape[axis]
            self.origin[axis] = new
            everything: list[slice | Ints] = [slice(None)] * 3
            if abs(new - old) < count:
                entered = np.arange(old + count, new + count) if new > old else np.arange(new, old)
                everything[axis] = entered & (count - 1)
            yield tuple(everything)

    def cell_of(self, points_m: Floats) -> Ints:
        """Cell numbers of points, same shape."""
        return np.floor(np.asarray(points_m) / self.cell_m).astype(np.int64)

    def inside(self, cells: Ints) -> Flags:
        """Which cells, (..., 3), are in the box."""
        offset = cells - self.origin
        inside: Flags = np.all((offset >= 0) & (offset < self.shape), axis=-1)
        return inside

    def place(self, cells: Ints) -> Ints:
        """Place in flat memory of cells, (..., 3), that are in the box."""
        wrapped: Ints = (cells & self._mask) @ self._strides
        return wrapped

    def cells_at(self, places: Ints) -> Ints:
        """Cell numbers, (n, 3), of places in flat memory."""
        buffer = np.stack(np.unravel_index(places, self.shape), axis=-1).astype(np.int64)
        return self.origin + ((buffer - self.origin) & self._mask)

    def centre_of(self, cells: Ints) -> Floats:
        """Middle of cells, m."""
        return (cells.astype(np.float64) + 0.5) * self.cell_m

    def span(self, flags: Flags) -> tuple[Vec3, Vec3]:
        """Lowest and highest corner, m, of all cells whose flag in flat memory is set; at least one is."""
        spans = []
        cube = flags.reshape(self.shape)
        for axis, (origin, count) in enumerate(zip(self.origin.tolist(), self.shape, strict=True)):
            there = np.flatnonzero(cube.any(axis=tuple({0, 1, 2} - {axis})))
            offset = (there - origin) & (count - 1)
            cells = origin + int(offset.min()), origin + int(offset.max()) + 1
            spans.append((cells[0] * self.cell_m, cells[1] * self.cell_m))
        (x0, x1), (y0, y1), (z0, z1) = spans
        return (x0, y0, z0), (x1, y1, z1)

    def within(self, low_m: Floats, high_m: Floats) -> tuple[Ints, Ints]:
        """Cells that a closed region touches, cut to the box: lowest, and one past the highest. Empty: equal.

        Raises:
            ValueError: a corner is not finite, or the low one is above the high one.
        """
        low, high = np.asarray(low_m, float), np.asarray(high_m, float)
        if not (np.all(np.isfinite(low)) and np.all(np.isfinite(high)) and np.all(low <= high)):
            raise ValueError(f"region {low.tolist()} to {high.tolist()}: finite corners, low below high, are needed")
        top = self.origin + self.shape
        first = np.clip(np.floor(low / self.cell_m), self.origin, top).astype(np.int64)
        last = np.clip(np.floor(high / self.cell_m) + 1.0, self.origin, top).astype(np.int64)
        return first, np.maximum(first, last)

    def places_within(self, low_m: Floats, high_m: Floats) -> Ints:
        """Places in flat memory of all cells that a region touches, in the order of their numbers."""
        first, last = self.within(low_m, high_m)
        x, y, z = (
            (np.arange(a, b) & m) * s for a, b, m, s in zip(first, last, self._mask, self._strides, strict=True)
        )
        places: Ints = (x[:, None, None] + y[None, :, None] + z[None, None, :]).ravel()
        return places
