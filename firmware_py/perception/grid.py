"""Occupancy grid about the craft: every cell a ray passes is told free, every cell it ends in occupied, once a scan.

Which cells a ray passes is exact to a billionth of a cell: each plane between cells that it crosses brings one cell,
and all crossings of all rays are worked out at once (the cells are those of Amanatides and Woo, Eurographics 1987,
without walking). Memory is fixed; the box goes along with the craft; what is not seen again fades within minutes of
event time.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.rolling import RollingBox, within_reach

__all__ = ["GridConfig", "GridRegion", "MapUpdate", "OccupancyGrid"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int32]
NS = 1_000_000_000
_FREE, _UNKNOWN, _OCCUPIED = -1, 0, 1
_MISS, _HIT = np.uint8(1), np.uint8(2)
_TIE = 1e-9
"""Part of a cell by which a ray is looked at further on than where it crosses a plane: of two planes that are crossed
at once, or in an order that rounding hides, either leads to the cell behind both."""


@dataclass(frozen=True, slots=True)
class GridConfig:
    """Shape, evidence and limits.

    Attributes:
        shape, cell_m: cells and their edge; ``slack``: cells off the middle before the box follows.
        hit, miss, clamp: log-odds of one scan and their limit.
        decay_s: time in which log-odds fall to 1/e; it goes in steps of a second.
        occupied, free: log-odds from which a cell counts as such (P: two scans that agree; one may be noise).
        forgotten: log-odds below which a cell is unknown again.
        min_range_m: shorter rays hit the craft itself.
        max_rays: more are thinned evenly.
        report_s: least time between two reports of change.
    """

    shape: tuple[int, int, int] = (64, 64, 32)
    cell_m: float = 2.0
    slack: int = 4
    hit: float = 0.85
    miss: float = -0.4
    clamp: float = 3.5
    decay_s: float = 60.0
    occupied: float = 1.0
    free: float = -0.7
    forgotten: float = 0.01
    min_range_m: float = 0.05
    max_rays: int = 4096
    report_s: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        if not (self.miss < 0.0 < self.hit <= self.clamp and -self.clamp <= self.miss and isfinite(self.clamp)):
            raise ValueError("hit above 0, miss below 0, both within clamp, are allowed")
        if not (-self.clamp <= self.free < -self.forgotten < 0.0 < self.forgotten < self.occupied <= self.clamp):
            raise ValueError("free < -forgotten < 0 < forgotten < occupied, all within clamp, is allowed")
        if not (isfinite(self.decay_s) and self.decay_s > 0.0 and self.report_s >= 0.0 and self.min_range_m >= 0.0):
            raise ValueError("decay_s above 0, report_s and min_range_m from 0 on are allowed")
        if not 1 <= self.max_rays <= 65_536:
            raise ValueError(f"max_rays is {self.max_rays}; 1..65536 is allowed")


@dataclass(frozen=True, slots=True)
class GridRegion:
    """Occupied cells of a region: their middles (n, 3), m, and the probability that something is there."""

    centre_m: Floats
    probability: Floats

    def __len__(self) -> int:
        """Cells."""
        return len(self.probability)


@dataclass(frozen=True, slots=True)
class MapUpdate:
    """The event ``map_update``: the box around all cells that became or ceased to be occupied or free."""

    t_ns: int
    low_m: tuple[float, float, float]
    high_m: tuple[float, float, float]
    changed: int
    occupied: int


class OccupancyGrid:
    """The grid. Positions are in any frame in which the surroundings stand still.

    Attributes:
        log_odds: of all cells, in the order of memory; ``box`` knows where each is.
        scans, rays: taken since start.
        rejected: rays that were not finite, too far, too short, or began outside of the box.
        thinned: rays that were too many.
        late: scans that were older than the newest one; they are taken, time does not go back.
    """

    __slots__ = ("_changed", "_clock_ns", "_config", "_marks", "_report_ns", "_reported_ns", "_told", "box", "late",
                 "log_odds", "rays", "rejected", "scans", "thinned")

    def __init__(self, config: GridConfig | None = None) -> None:
        self._config = config = GridConfig() if config is None else config
        self.box = RollingBox(config.shape, config.cell_m, config.slack)
        self.log_odds = np.zeros(self.box.size, np.float32)
        self._changed = False
        """Cells may have changed since they were last compared with what was told."""
        self._marks = np.zeros(self.box.size, np.uint8)
        self._told = np.zeros(self.box.size, np.int8)
        self._clock_ns: int | None = None
        self._report_ns = round(config.report_s * NS)
        self._reported_ns: int | None = None
        self.scans = self.rays = self.rejected = self.thinned = self.late = 0

    @property
    def nbytes(self) -> int:
        """Memory of the grid."""
        return self.log_odds.nbytes + self._marks.nbytes + self._told.nbytes

    def follow(self, t_ns: int, position_m: Floats) -> None:
        """Go along with the craft, and let fade what time has passed over."""
        self._fade(t_ns)
        shape = self._config.shape
        for slab in self.box.follow(np.asarray(position_m, float)):
            self._changed = True
            self.log_odds.reshape(shape)[slab] = 0.0
            self._told.reshape(shape)[slab] = _UNKNOWN

    def _fade(self, t_ns: int) -> None:
        if self._clock_ns is None:
            self._clock_ns = t_ns
            return
        seconds = (t_ns - self._clock_ns) // NS
        if seconds <= 0:
            self.late += t_ns < self._clock_ns
            return
        self._clock_ns += seconds * NS
        self._changed = True
        self.log_odds *= np.float32(exp(-min(seconds / self._config.decay_s, 80.0)))
        # Numbers that are all but zero would be slow, and never end.
        self.log_odds[np.abs(self.log_odds) < self._config.forgotten] = 0.0

    def add(self, t_ns: int, origin_m: Floats, ends_m: Floats, returned: Flags | None = None) -> int:
        """Take one scan; returns how many cells it spoke of.

        The box follows the first origin. Each cell gets one update: occupied if any ray ends in it, else free.

        Args:
            t_ns: event time.
            origin_m: where the rays begin, (3,) or (n, 3).
            ends_m: where they end, (n, 3).
            returned: which came back; the others say only that nothing is on their way. None: all.

        Raises:
            ValueError: shapes do not fit.
        """
        ends = np.asarray(ends_m, np.float64)
        if ends.ndim != 2 or ends.shape[1] != 3:
            raise ValueError(f"ends have shape {ends.shape}; (n, 3) is needed")
        origins = np.broadcast_to(np.asarray(origin_m, np.float64), ends.shape)
        hits = np.ones(len(ends), np.bool_) if returned is None else np.asarray(returned, np.bool_)
        if hits.shape != (len(ends),):
            raise ValueError(f"returned has shape {hits.shape}; ({len(ends)},) is needed")
        if np.ndim(origin_m) == 1 or len(ends):
            self.follow(t_ns, np.asarray(origin_m, np.float64).reshape(-1, 3)[0])
        self.scans += 1
        if len(ends) > self._config.max_rays:
            self.thinned += len(ends) - self._config.max_rays
            rows = np.linspace(0, len(ends) - 1, self._config.max_rays).astype(np.int64)
            origins, ends, hits = origins[rows], ends[rows], hits[rows]
        starts, ways, hits = self._usable(origins, ends, hits)
        self.rays += len(starts)
        return self._update(*self._cells(starts, ways, hits)) if len(starts) else 0

    def _usable(self, origins: Floats, ends: Floats, hits: Flags) -> tuple[Floats, Floats, Flags]:
        """Rays in units of cells from the corner of the box, cut at its walls."""
        good = within_reach(ends) & within_reach(origins)
        corner, cell_m = self.box.low_m, self.box.cell_m
        start = (origins[good] - corner) / cell_m
        way = (ends[good] - origins[good]) / cell_m
        shape = np.array(self._config.shape, float)
        inside = ((start >= 0.0) & (start < shape)).all(axis=1)
        inside &= np.einsum("ij,ij->i", way, way) >= max(self._config.min_range_m / cell_m, 1e-9) ** 2
        self.rejected += len(good) - int(inside.sum())
        start, way, hits = start[inside], way[inside], hits[good][inside]
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            # 1e-9 of a cell short of the far walls, so that no end lies in a cell beyond them.
            room = np.where(way > 0.0, (shape - 1e-9 - start) / way, np.where(way < 0.0, -start / way, np.inf))
        share = np.clip(room.min(axis=1, initial=np.inf), 0.0, 1.0)
        return start, way * share[:, None], hits & (share >= 1.0)

    def _cells(self, start: Floats, way: Floats, hits: Flags) -> tuple[list[Places], Places]:
        """Flat places that are passed, and those that are hit; both with repetitions.

        The cell in which a ray ends may be among those that it passes: hits win.
        """
        shape = self._config.shape
        first = tuple(_cell(start[:, axis], shape[axis]) for axis in range(3))
        last = tuple(_cell(start[:, axis] + way[:, axis], shape[axis]) for axis in range(3))
        passed = [self._places(first)]
        for axis in range(3):
            passed.append(self._places(_crossed(axis, start, way, first[axis], last[axis], shape)))
        return passed, self._places(tuple(cells[hits] for cells in last))

    def _places(self, cells: tuple[Places, ...]) -> Places:
        """Flat places of cells that are numbered from the corner of the box."""
        (x, y, z), (nx, ny, nz) = cells, self._config.shape
        ox, oy, oz = (int(n) for n in self.box.origin & (np.array(self._config.shape) - 1))
        places: Places = (((x + ox) & (nx - 1)) * ny + ((y + oy) & (ny - 1))) * nz + ((z + oz) & (nz - 1))
        return places

    def _update(self, passed: list[Places], hit: Places) -> int:
        marks, config = self._marks, self._config
        for places in passed:
            marks[places] = _MISS
        marks[hit] = _HIT
        spoken = np.flatnonzero(marks != 0)
        step = np.where(marks[spoken] == _HIT, np.float32(config.hit), np.float32(config.miss))
        self.log_odds[spoken] = np.clip(self.log_odds[spoken] + step, -config.clamp, config.clamp)
        marks[spoken] = 0
        self._changed = True
        return len(spoken)

    def probability(self, points_m: Floats) -> Floats:
        """Probability that something is in the cells of points (n, 3); NaN outside of the box, 0.5 where unknown."""
        points = np.asarray(points_m, np.float64).reshape(-1, 3)
        answer = np.full(len(points), np.nan)
        known = within_reach(points)
        cells = self.box.cell_of(np.where(known[:, None], points, 0.0))
        known &= self.box.inside(cells)
        answer[known] = _probability(self.log_odds[self.box.place(cells[known])])
        return answer

    def region(self, low_m: Floats, high_m: Floats) -> GridRegion:
        """Occupied cells that a box touches, in the order of their numbers. Raises ValueError on a bad corner."""
        places = self.box.places_within(low_m, high_m)
        places = places[self.log_odds[places] >= self._config.occupied]
        return GridRegion(self.box.centre_of(self.box.cells_at(places)), _probability(self.log_odds[places]))

    def nearest_occupied(self, position_m: Floats) -> tuple[float, Floats] | None:
        """Distance to the nearest point of the nearest occupied cell, 0 inside of one, and its middle; None: none."""
        places = np.flatnonzero(self.log_odds >= self._config.occupied)
        if not len(places):
            return None
        centre = self.box.centre_of(self.box.cells_at(places))
        gap = np.maximum(np.abs(centre - np.asarray(position_m, float)) - 0.5 * self.box.cell_m, 0.0)
        distance = np.linalg.norm(gap, axis=1)
        # Of several that are equally near, the one of the lowest numbers, wherever it is in memory.
        row = int(np.lexsort((centre[:, 2], centre[:, 1], centre[:, 0], distance))[0])
        return float(distance[row]), centre[row]

    @property
    def occupied(self) -> int:
        """Occupied cells."""
        return int(np.count_nonzero(self.log_odds >= self._config.occupied))

    def take_update(self, t_ns: int) -> MapUpdate | None:
        """What has changed since the last report; None if nothing has or the last one is too young."""
        if not self._changed or (self._reported_ns is not None and t_ns - self._reported_ns < self._report_ns):
            return None
        self._changed = False
        config, log_odds = self._config, self.log_odds
        now = (log_odds >= config.occupied).view(np.int8) - (log_odds <= config.free).view(np.int8)
        changed = now != self._told
        count = int(np.count_nonzero(changed))
        if not count:
            return None
        self._reported_ns = t_ns
        self._told[:] = now
        low, high = self.box.span(changed)
        return MapUpdate(t_ns, low, high, count, self.occupied)


def _cell(along: Floats, count: int) -> Places:
    """Cells of coordinates that are in the box but for rounding."""
    return np.minimum(np.maximum(along, 0.0), count - 0.5).astype(np.int32)


def _crossed(
    axis: int, start: Floats, way: Floats, first: Places, last: Places, shape: tuple[int, int, int],
) -> tuple[Places, Places, Places]:
    """Cells that rays enter through the planes across one axis."""
    count = np.abs(last - first)
    rays = np.flatnonzero(count)
    count, first = count[rays], first[rays]
    ahead = way[rays, axis] > 0.0
    total = int(count.sum())
    step = np.arange(total, dtype=np.int32) - np.repeat((np.cumsum(count) - count).astype(np.int32), count)
    sign = np.where(ahead, 1, -1).astype(np.int32)
    entered = np.repeat(first + sign, count) + step * np.repeat(sign, count)
    # A plane ahead is the low side of the cell behind it, one astern the high side.
    gap = entered + np.repeat(~ahead - start[rays, axis], count)
    cells = [entered, entered, entered]
    for other in range(3):
        if other != axis:
            along = way[rays, other]
            begin = np.repeat(start[rays, other] + np.copysign(_TIE, along), count)
            cells[other] = _cell(begin + gap * np.repeat(along / way[rays, axis], count), shape[other])
    return cells[0], cells[1], cells[2]


def _probability(log_odds: NDArray[np.float32]) -> Floats:
    probability: Floats = 1.0 / (1.0 + np.exp(-log_odds.astype(np.float64)))
    return probability
