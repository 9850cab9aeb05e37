"""Points to voxels: at most one centroid a cell, at a cost that a thousand-fold scan cannot raise.

More points than ``max_points`` are thinned evenly before anything else is done with them. What is not finite or out of
range is left out and counted. The nearest point of a voxel is kept beside its centroid, so that filtering never makes
an obstacle look further away than it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_POINTS", "Voxels", "voxel_filter"]

MAX_POINTS = 16_384
"""Points of one scan that are looked at; a spinning lidar has 450 to 4096 a turn."""
MAX_VOXELS = 4096
REACH_CELLS = 1 << 20
"""Cells from the sensor along one axis; three of them fit one key of 63 bits."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Voxels:
    """What is left of a scan, in the order of the cells.

    ``centroid_m`` (m, 3) is the mean of the points of a cell, ``count`` how many they were, ``nearest_m`` the distance
    of the nearest of them from the sensor. ``rejected``: points that were not finite or out of range; ``thinned``:
    points that were too many; ``dropped``: voxels that were too many, the furthest ones.
    """

    centroid_m: Floats
    count: Ints
    nearest_m: Floats
    rejected: int = 0
    thinned: int = 0
    dropped: int = 0

    def __len__(self) -> int:
        """Voxels."""
        return len(self.count)


def voxel_filter(
    points_m: Floats, size_m: float, *, max_range_m: float = 1000.0, min_range_m: float = 0.0,
    max_points: int = MAX_POINTS, max_voxels: int = MAX_VOXELS,
) -> Voxels:
    """Mean of the points in every cell of ``size_m``.

    Args:
        points_m: (n, 3), the sensor at the origin.
        size_m: edge of a cell.
        max_range_m, min_range_m: distances of a point that are taken; ``max_range_m`` / ``size_m`` below 2**20.
        max_points: more are thinned evenly.
        max_voxels: more are dropped, the furthest first.

    Raises:
        ValueError: the shape of the points or a setting cannot be.
    """
    points = np.asarray(points_m, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points have shape {points.shape}; (n, 3) is needed")
    if not (isfinite(size_m) and size_m > 0.0 and 0.0 <= min_range_m < max_range_m < size_m * REACH_CELLS):
        raise ValueError(f"size {size_m} m, range {min_range_m}..{max_range_m} m: above 0, in order, and at most "
                         f"{REACH_CELLS} cells are allowed")
    thinned = max(0, len(points) - max_points)
    if thinned:
        points = points[np.linspace(0, len(points) - 1, max_points).astype(np.int64)]
    near = np.abs(points).max(axis=1, initial=0.0) <= max_range_m
    bounded = points[near]
    distance = np.linalg.norm(bounded, axis=1)
    good = (distance <= max_range_m) & (distance >= min_range_m)
    kept, distance = bounded[good], distance[good]
    rejected = len(points) - len(kept)
    if not len(kept):
        return Voxels(np.empty((0, 3)), np.empty(0, np.int64), np.empty(0), rejected, thinned)
    return _nearest(_gather(kept, distance, size_m), max_voxels, rejected, thinned)


def _gather(points: Floats, distance: Floats, size_m: float) -> Voxels:
    cell = np.floor(points / size_m).astype(np.int64) + REACH_CELLS
    key = (cell[:, 0] << 42) | (cell[:, 1] << 21) | cell[:, 2]
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    count = np.diff(np.append(starts, len(key)))
    centroid = np.add.reduceat(points[order], starts, axis=0) / count[:, None]
    return Voxels(centroid, count, np.minimum.reduceat(distance[order], starts))


def _nearest(voxels: Voxels, most: int, rejected: int, thinned: int) -> Voxels:
    dropped = max(0, len(voxels) - most)
    if not dropped:
        return Voxels(voxels.centroid_m, voxels.count, voxels.nearest_m, rejected, thinned)
    rows = np.sort(np.argsort(voxels.nearest_m, kind="stable")[:most])
    return Voxels(voxels.centroid_m[rows], voxels.count[rows], voxels.nearest_m[rows], rejected, thinned, dropped)
