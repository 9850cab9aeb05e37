"""The occupancy grid: 2,000 rays from a moving craft, beside two plain ways of doing it, and what its memory does.

Every figure is worked out in this run, on the same rays: a walk from cell to cell (Amanatides and Woo), which is the
reference for which cells a ray crosses, and samples along each ray at half a cell, which is what is mostly done with
numpy. Run alone: ``python -m bench._perception_grid``.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from math import floor, inf
from pathlib import Path
from time import perf_counter_ns

import numpy as np
from numpy.typing import NDArray

from bench.harness import Report
from firmware_py.perception.clusters import ClusterConfig, find_clusters
from firmware_py.perception.grid import OccupancyGrid

__all__ = ["run"]

Floats = NDArray[np.float64]
RAYS, REACH_M, SPEED_M_S = 2000, 60.0, 5.0
SCANS, GROWTH_SCANS, WARM_SCANS = 60, 10_000, 500
WALKED = 3
"""Scans that are also walked in plain Python."""
TICK_NS = 100_000_000
LIMIT_MS = 15.0


def run(report: Report) -> None:
    """Add every figure to a report."""
    _rays(report)
    _growth(report)
    _clusters(report)


def _scans(count: int, rays: int, seed: int) -> Iterator[tuple[int, Floats, Floats, NDArray[np.bool_]]]:
    """Random rays up to 60 m from a craft that moves at 5 m/s; three in ten don't come back."""
    rng = np.random.default_rng(seed)
    for scan in range(count):
        origin = np.array((scan * SPEED_M_S * 0.1, 0.3, -0.2))
        way = rng.normal(size=(rays, 3))
        way /= np.linalg.norm(way, axis=1)[:, None]
        ends = origin + way * rng.uniform(2.0, REACH_M, (rays, 1))
        yield scan * TICK_NS, origin, ends, rng.random(rays) < 0.7


def _rays(report: Report) -> None:
    grid = OccupancyGrid()
    ours, walked, sampled, missed, extra, skipped, crossed = [], [], [], 0, 0, 0, 0
    for scan, (t_ns, origin, ends, returned) in enumerate(_scans(SCANS, RAYS, 8)):
        start = perf_counter_ns()
        grid.add(t_ns, origin, ends, returned)
        ours.append(perf_counter_ns() - start)
        if scan >= WALKED:
            continue
        fresh = OccupancyGrid()
        fresh.add(t_ns, origin, ends, returned)
        found = _numbers(fresh.box.cells_at(np.flatnonzero(fresh.log_odds)))
        start = perf_counter_ns()
        exact = {cell for end in ends for cell in _walk(origin, end, fresh.box.cell_m)}
        walked.append(perf_counter_ns() - start)
        start = perf_counter_ns()
        rough = _sampled(origin, ends, fresh)
        sampled.append(perf_counter_ns() - start)
        low, high = fresh.box.origin, fresh.box.origin + fresh.box.shape
        exact = {cell for cell in exact if all(a <= c < b for a, b, c in zip(low, high, cell, strict=True))}
        crossed += len(exact)
        missed += len(exact - found)
        extra += len(found - exact)
        skipped += len(exact - _numbers(rough))
    middle = float(np.median(ours)) * 1e-6
    report.add(
        f"grid, {RAYS} rays up to {REACH_M:g} m, moving craft, median of {SCANS}", middle, "ms",
        f"{np.median(walked) * 1e-6:.0f} walked in Python, {np.median(sampled) * 1e-6:.1f} sampled in numpy",
        f"< {LIMIT_MS:g}", middle < LIMIT_MS,
    )
    report.add("same, 99th percentile", float(np.percentile(ours, 99.0)) * 1e-6, "ms")
    report.add(
        "cells that differ from the walk from cell to cell", missed + extra, f"of {crossed}",
        f"sampling at half a cell skips {skipped}", 0, missed + extra == 0,
    )


def _numbers(cells: NDArray[np.int64]) -> set[tuple[int, ...]]:
    return set(map(tuple, cells.tolist()))


def _walk(origin: Floats, end: Floats, side: float) -> Iterator[tuple[int, int, int]]:
    """Cells from one end of a ray to the other, one after the other."""
    cell = [floor(x / side) for x in origin]
    way = (end - origin).tolist()
    step = [1 if d > 0 else -1 for d in way]
    apart = [side / abs(d) if d else inf for d in way]
    times = [
        ((cell[k] + (way[k] > 0)) * side - float(origin[k])) / way[k] if way[k] else inf for k in range(3)
    ]
    while True:
        yield cell[0], cell[1], cell[2]
        axis = min((0, 1, 2), key=times.__getitem__)
        if times[axis] > 1.0:
            return
        cell[axis] += step[axis]
        times[axis] += apart[axis]


def _sampled(origin: Floats, ends: Floats, grid: OccupancyGrid) -> NDArray[np.int64]:
    """Cells of the grid's box in which points along each ray are, half a cell apart."""
    side = grid.box.cell_m
    count = int(REACH_M / (0.5 * side)) + 1
    way = ends - origin
    share = np.minimum(np.arange(count) * 0.5 * side / np.linalg.norm(way, axis=1)[:, None], 1.0)
    cells = np.floor((origin + share[:, :, None] * way[:, None, :]) / side).astype(np.int64).reshape(-1, 3)
    cells = cells[grid.box.inside(cells)]
    marks = np.zeros(grid.box.size, np.bool_)
    marks[grid.box.place(cells)] = True
    return grid.box.cells_at(np.flatnonzero(marks))


def _growth(report: Report) -> None:
    grid = OccupancyGrid()
    size = grid.nbytes
    report.add("memory of the grid, 64 x 64 x 32 cells", size / 1e6, "MB", None, "< 1", size < 1e6)
    before = 0
    for scan, (t_ns, origin, ends, returned) in enumerate(_scans(GROWTH_SCANS, 450, 9)):
        grid.add(t_ns, origin, ends, returned)
        grid.take_update(t_ns)
        if scan == WARM_SCANS:
            before = _resident()
    grown = (_resident() - before) / 1e6
    report.add(
        f"growth of the process over {GROWTH_SCANS} scans of 450 rays, after {WARM_SCANS}", grown, "MB",
        f"grid itself {grid.nbytes - size} bytes", "< 1", grown < 1.0 and grid.nbytes == size,
    )


def _resident() -> int:
    """Memory of this process now, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _clusters(report: Report) -> None:
    """Clusters of one turn in a plane, of a cloud, and of far too many points."""
    rng = np.random.default_rng(10)
    angle = np.arange(450) * (2.0 * np.pi / 450)
    wall = np.minimum(3.0 / np.maximum(np.abs(np.cos(angle)), 1e-9), 8.0)[:, None]
    turn = np.stack((np.cos(angle), np.sin(angle), np.zeros(450)), axis=1) * wall
    for name, points in (
        ("a turn of 450 points", turn), ("a cloud of 4,096 points", rng.normal(0.0, 10.0, (4096, 3))),
        ("450,000 random points", rng.uniform(-150.0, 150.0, (450_000, 3))),
    ):
        taken = []
        for _ in range(9):
            start = perf_counter_ns()
            found = find_clusters(points, ClusterConfig())
            taken.append(perf_counter_ns() - start)
        report.add(f"clusters of {name}, median", float(np.median(taken)) * 1e-6, "ms", f"{len(found)} clusters")


def main() -> int:
    """Run alone; the stored results are left be."""
    report = Report("perception_grid", Path("build") / "bench")
    run(report)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
