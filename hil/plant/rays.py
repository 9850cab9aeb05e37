"""Where rays meet spheres and boxes: distances of many rays to many bodies in a few array operations.

Every body is closed: a ray that starts inside meets it at distance 0. ``inf`` where it meets nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["blocked", "to_boxes", "to_spheres"]

Floats = NDArray[np.float64]


def to_spheres(origin: Floats, directions: Floats, centres: Floats, radii: Floats) -> Floats:
    """Distance of each ray to each sphere, (rays, spheres).

    Args:
        origin: (3,), of all rays.
        directions: (rays, 3), unit length.
        centres: (spheres, 3).
        radii: (spheres,).
    """
    ways = centres - origin
    along = directions @ ways.T
    # Height over the ray from the ways themselves, so that far spheres lose no digits.
    beside = np.einsum("ij,ij->i", ways, ways)[None, :] - along * along
    room = radii * radii - beside
    hit = (room >= 0.0) & (along >= 0.0)
    inside = np.einsum("ij,ij->i", ways, ways) <= radii * radii
    near = np.where(hit, along - np.sqrt(np.where(hit, room, 0.0)), np.inf)
    return np.where(inside[None, :], 0.0, near)


def to_boxes(origin: Floats, directions: Floats, centres: Floats, axes: Floats, halves: Floats) -> Floats:
    """Distance of each ray to each box, (rays, boxes): slabs along each box's own axes.

    Args:
        origin: (3,), of all rays.
        directions: (rays, 3), unit length.
        centres: (boxes, 3).
        axes: (boxes, 3, 3), rows are a box's axes.
        halves: (boxes, 3), half its lengths.
    """
    start = np.einsum("bij,bj->bi", axes, origin - centres)
    slopes = np.einsum("bij,rj->rbi", axes, directions)
    # A ray along a slab: never leaves it, or never meets it.
    tiny = np.where(np.abs(slopes) < 1e-12, np.copysign(1e-12, slopes), slopes)
    first = (-halves - start)[None] / tiny
    second = (halves - start)[None] / tiny
    enter = np.minimum(first, second).max(axis=2)
    leave = np.maximum(first, second).min(axis=2)
    return np.where((leave >= enter) & (leave >= 0.0), np.maximum(enter, 0.0), np.inf)


def blocked(
    directions: Floats, ranges: Floats, ways: Floats, radii: Floats, own: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which points are hidden behind a sphere: its middle line of sight is cut before it arrives.

    Args:
        directions, ranges: (points, 3) unit and (points,): where the points are, seen from the eye.
        ways, radii: (spheres, 3) from the eye, (spheres,).
        own: (points,): index of the sphere that the point itself is the centre of; -1 for none.
    """
    along = directions @ ways.T
    squared = np.einsum("ij,ij->i", ways, ways)
    beside = squared[None, :] - along * along
    hides = (along > 0.0) & (beside < (radii * radii)[None, :]) & (along < ranges[:, None])
    # A body around the eye would hide everything; whoever touches another sees past it.
    hides &= (squared > radii * radii)[None, :]
    rows = np.flatnonzero(own >= 0)
    hides[rows, own[rows]] = False
    return np.asarray(hides.any(axis=1))
