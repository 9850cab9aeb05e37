"""Clusters of lidar points: what hangs together by distance, as detections with an extent; bounded, nearest first.

Two points belong together when they are no further apart than the link distance, which grows with range as the gaps
between beams do; a cluster is everything that is joined by such pairs (single linkage, exactly). What is larger than
the extent limit, such as a wall, is cut into pieces, so that its nearest point is never hidden in a far centre.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from drivers.samples import LidarScan
from firmware_py.perception.observation import Frame, Pose, SensorKind
from firmware_py.perception.voxels import Voxels, voxel_filter
from hal.frames import Vec3

__all__ = ["ClusterConfig", "Clusters", "cluster_frame", "find_clusters", "nearest_by_sector", "scan_points"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_HALF = np.array([(x, y, z) for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1) if (x, y, z) > (0, 0, 0)])
"""One of each two opposite neighbours of a cell."""
_SHIFT = 1 << 20
"""Added to cell numbers so that none is negative; 21 bits each in a key."""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """How points become clusters (P where nothing else is said).

    Attributes:
        voxel_m: edge of the filter before.
        link_m: link distance near by; with ``link_rad`` it becomes ``link_rad`` times range where that is more. Three
            beams of 0.8 deg (450 points a turn), so that one lost beam parts nothing.
        max_extent_m: radius above which a cluster is cut.
        min_points: returns below which a cluster is no more than noise.
        max_clusters: more are dropped, the furthest first.
        min_range_m, max_range_m: returns that are taken.
    """

    voxel_m: float = 0.1
    link_m: float = 0.4
    link_rad: float = 0.042
    max_extent_m: float = 3.0
    min_points: int = 2
    max_clusters: int = 256
    min_range_m: float = 0.02
    max_range_m: float = 200.0

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        if not (isfinite(self.max_range_m) and 0.0 <= self.min_range_m < self.max_range_m):
            raise ValueError(f"range {self.min_range_m}..{self.max_range_m} m: in order and finite is allowed")
        if not (0.0 < self.voxel_m <= self.link_m and isfinite(self.link_m)):
            raise ValueError(f"voxel_m is {self.voxel_m}; above 0 and at most link_m ({self.link_m}) is allowed")
        if not 0.0 <= self.link_rad <= 0.5:
            raise ValueError(f"link_rad is {self.link_rad}; 0..0.5 is allowed")
        if not (isfinite(self.max_extent_m) and self.max_extent_m >= self.link_m):
            raise ValueError(f"max_extent_m is {self.max_extent_m}; at least link_m ({self.link_m}) is allowed")
        if self.min_points < 1 or not 1 <= self.max_clusters <= 4096:
            raise ValueError("min_points from 1 on and max_clusters 1..4096 are allowed")


@dataclass(frozen=True, slots=True)
class Clusters:
    """Clusters, nearest first.

    ``centre_m`` (m, 3) is the middle of the voxels, ``extent_m`` the distance of the furthest voxel from it, to which
    returns may add the diagonal of a voxel; ``nearest_m`` is the distance of the nearest return from the sensor itself,
    ``points`` counts the returns. ``sparse`` clusters had
    too few returns, ``dropped`` ones were too many, ``cut`` is how many pieces come from clusters that were too large.
    ``rejected``, ``thinned``, ``dropped_voxels``: as of the filter.
    """

    centre_m: Floats
    extent_m: Floats
    nearest_m: Floats
    points: Ints
    sparse: int = 0
    dropped: int = 0
    cut: int = 0
    rejected: int = 0
    thinned: int = 0
    dropped_voxels: int = 0

    def __len__(self) -> int:
        """Clusters."""
        return len(self.points)


def scan_points(scan: LidarScan, velocity_m_s: Vec3 = (0.0, 0.0, 0.0), rate_rad_s: Vec3 = (0.0, 0.0, 0.0)) -> Floats:
    """Points (n, 3) of one turn in the sensor's frame at the end of the turn, x ahead, y left.

    A turn takes a tenth of a second, in which a craft that turns at 30 deg/s smears what it sees by 3 deg. With the
    sensor's own velocity and rate, both in its frame, every point is moved to where what stands still is seen at the
    end of the turn. What came back empty is left out.
    """
    if not scan.range_m:
        return np.empty((0, 3))
    distance = np.array([np.nan if r is None else r for r in scan.range_m])
    angle = np.asarray(scan.angle_rad)
    points: Floats = np.stack((distance * np.cos(angle), -distance * np.sin(angle), np.zeros(len(angle))), axis=1)
    seen = np.isfinite(points).all(axis=1)
    points = points[seen]
    if not (isfinite(scan.rate_rad_s) and scan.rate_rad_s > 0.0):
        return points
    before_s = (2.0 * pi - angle[seen]) / scan.rate_rad_s
    # In the frame of then the point was at p; since then the frame has moved by v t and turned by w t.
    rate = np.asarray(rate_rad_s, float)
    turn = -before_s[:, None] * rate
    return _turned(points - before_s[:, None] * np.asarray(velocity_m_s), turn)


def _turned(points: Floats, vectors: Floats) -> Floats:
    """Points turned by rotation vectors, a row each (Rodrigues)."""
    angle = np.linalg.norm(vectors, axis=1)
    if not angle.any():
        return points
    axis = vectors / np.where(angle > 0.0, angle, 1.0)[:, None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    along = np.einsum("ij,ij->i", axis, points)[:, None]
    turned: Floats = points * cos + np.cross(axis, points) * sin + axis * along * (1.0 - cos)
    return turned


def find_clusters(points_m: Floats, config: ClusterConfig) -> Clusters:
    """Clusters of points (n, 3), the sensor at the origin. Raises ValueError if the points have another shape."""
    voxels = voxel_filter(
        points_m, config.voxel_m, min_range_m=config.min_range_m, max_range_m=config.max_range_m,
    )
    if not len(voxels):
        none = np.empty(0)
        return Clusters(np.empty((0, 3)), none, none, np.empty(0, np.int64), rejected=voxels.rejected)
    labels = _linked(voxels.centroid_m, config)
    pieces, cut = _cut(voxels.centroid_m, labels, config.max_extent_m)
    return _summed(voxels, pieces, cut, config)


def _linked(points: Floats, config: ClusterConfig) -> Ints:
    """Label of each point's cluster.

    Done by octaves of the link distance: a pair's link distance is that of its nearer point, so points of one octave
    are compared with their own and those further out only, in cells that are just large enough.
    """
    distance = np.linalg.norm(points, axis=1)
    link = np.maximum(config.link_m, config.link_rad * distance)
    octave = np.floor(np.log2(link / config.link_m)).astype(np.int64)
    parent = np.arange(len(points))
    for level in range(int(octave.max()) + 1):
        rows = np.flatnonzero(octave >= level)
        first, second = _neighbours(points[rows], config.link_m * 2.0 ** (level + 1))
        first, second = rows[first], rows[second]
        wanted = np.minimum(octave[first], octave[second]) == level
        first, second = first[wanted], second[wanted]
        gap = points[first] - points[second]
        reach = np.minimum(link[first], link[second])
        close = np.einsum("ij,ij->i", gap, gap) <= reach * reach
        _join(parent, first[close], second[close])
    return parent


def _neighbours(points: Floats, side_m: float) -> tuple[Ints, Ints]:
    """All pairs of points in one cell or in cells that touch: every pair that is nearer than a cell is wide."""
    cell = np.floor(points / side_m).astype(np.int64) + _SHIFT
    key = (cell[:, 0] << 42) | (cell[:, 1] << 21) | cell[:, 2]
    order = np.argsort(key, kind="stable")
    sorted_key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], sorted_key[1:] != sorted_key[:-1]))) if len(key) else key
    cells = sorted_key[starts]
    counts = np.diff(np.append(starts, len(key)))
    firsts, seconds = [], []
    offsets = np.concatenate(([0], _HALF @ np.array((1 << 42, 1 << 21, 1))))
    for offset in offsets:
        place = np.minimum(np.searchsorted(cells, cells + offset), len(cells) - 1)
        here = np.flatnonzero(cells[place] == cells + offset) if len(cells) else place
        a, b = _pairs(starts[here], counts[here], starts[place[here]], counts[place[here]])
        if offset == 0:
            a, b = a[a < b], b[a < b]
        firsts.append(order[a])
        seconds.append(order[b])
    return np.concatenate(firsts), np.concatenate(seconds)


def _pairs(start_a: Ints, count_a: Ints, start_b: Ints, count_b: Ints) -> tuple[Ints, Ints]:
    """Every row of each range of ``a`` with every one of the range of ``b`` beside it."""
    total = count_a * count_b
    which = np.repeat(np.arange(len(total)), total)
    step = np.arange(int(total.sum())) - np.repeat(np.cumsum(total) - total, total)
    return start_a[which] + step // count_b[which], start_b[which] + step % count_b[which]


def _join(parent: Ints, first: Ints, second: Ints) -> None:
    """Join pairs in place; afterwards every row points at the lowest row of its cluster."""
    while True:
        while True:
            up = parent[parent]
            if np.array_equal(up, parent):
                break
            parent[:] = up
        low, high = np.minimum(parent[first], parent[second]), np.maximum(parent[first], parent[second])
        apart = low != high
        if not apart.any():
            return
        np.minimum.at(parent, high[apart], low[apart])


def _cut(points: Floats, labels: Ints, max_extent_m: float) -> tuple[Ints, int]:
    """Number of each point's piece, from 0 on without gaps, and how many pieces are parts of something larger."""
    _, labels = np.unique(labels, return_inverse=True)
    centre = _means(points, labels)
    radius = np.zeros(len(centre))
    np.maximum.at(radius, labels, np.linalg.norm(points - centre[labels], axis=1))
    large = radius > max_extent_m
    if not large.any():
        return labels, 0
    # The diagonal of such a cell is the limit, so no piece is larger wherever its middle is.
    cell = np.floor(points / (max_extent_m / sqrt(3.0))).astype(np.int64)
    cell[~large[labels]] = 0
    keys, pieces = np.unique(np.column_stack((labels, cell)), axis=0, return_inverse=True)
    return pieces.reshape(-1), int(large[keys[:, 0]].sum())


def _means(points: Floats, labels: Ints) -> Floats:
    count = np.bincount(labels)
    return np.stack([np.bincount(labels, points[:, axis]) / count for axis in range(3)], axis=1)


def _summed(voxels: Voxels, pieces: Ints, cut: int, config: ClusterConfig) -> Clusters:
    centre = _means(voxels.centroid_m, pieces)
    extent, nearest = np.zeros(len(centre)), np.full(len(centre), np.inf)
    np.maximum.at(extent, pieces, np.linalg.norm(voxels.centroid_m - centre[pieces], axis=1))
    np.minimum.at(nearest, pieces, voxels.nearest_m)
    points = np.bincount(pieces, voxels.count).astype(np.int64)
    dense = np.flatnonzero(points >= config.min_points)
    rows = dense[np.argsort(nearest[dense], kind="stable")][: config.max_clusters]
    return Clusters(
        centre[rows], extent[rows], nearest[rows], points[rows], len(points) - len(dense), len(dense) - len(rows), cut,
        voxels.rejected, voxels.thinned, voxels.dropped,
    )


def cluster_frame(
    clusters: Clusters, sensor_id: str, frame_id: int, event_ns: int, ingest_ns: int, pose: Pose,
) -> Frame:
    """Clusters as detections: range, bearing and elevation of the centre, and the extent.

    Nothing is said of speed, strength or identity. Of a wall's pieces each is a detection; what must not be touched is
    ``nearest_m`` of the clusters, a centre may lie up to its extent behind it.
    """
    x, y, z = clusters.centre_m.T
    distance = np.linalg.norm(clusters.centre_m, axis=1)
    # A centre in the sensor itself, between things all round it, has no direction: straight ahead does as well.
    elevation = np.arcsin(np.clip(z / np.where(distance > 0.0, distance, 1.0), -1.0, 1.0))
    return Frame(
        sensor_id, SensorKind.LIDAR, frame_id, event_ns, ingest_ns, pose, distance, np.arctan2(y, x), elevation,
        extent_m=clusters.extent_m,
    )


def nearest_by_sector(points_m: Floats, sectors: int = 72) -> Floats:
    """Distance of the nearest point in each sector of bearing, counted from straight astern to the left; NaN: nothing.

    Every finite point counts, single ones too: this is for who must not touch anything.
    """
    if sectors < 1:
        raise ValueError(f"sectors is {sectors}; from 1 on is allowed")
    points = np.asarray(points_m, float)
    points = points[np.isfinite(points).all(axis=1)]
    nearest = np.full(sectors, np.inf)
    turn = (np.arctan2(points[:, 1], points[:, 0]) + pi) / (2.0 * pi)
    sector = np.minimum((turn * sectors).astype(np.int64), sectors - 1)
    np.minimum.at(nearest, sector, np.linalg.norm(points, axis=1))
    return np.where(np.isfinite(nearest), nearest, np.nan)
