"""Occupancy grid: exactly the cells that rays cross, hits win, it fades, it rolls, it never grows."""

from __future__ import annotations

from fractions import Fraction
from math import exp

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware_py.perception.grid import GridConfig, OccupancyGrid
from tests.firmware_py.perception.track_columns import SECOND

SMALL = GridConfig(shape=(16, 16, 8), cell_m=2.0, slack=1)
COORDINATE = st.floats(-12.0, 12.0)
POINT = st.tuples(COORDINATE, COORDINATE, st.floats(-6.0, 6.0))


def walk(start: np.ndarray, end: np.ndarray, cell_m: float) -> set[tuple[int, ...]]:
    """Cells of a ray by Amanatides and Woo, in exact fractions."""
    a, b = ([Fraction(float(x)) for x in point] for point in (start, end))
    d = [y - x for x, y in zip(a, b, strict=True)]
    side = Fraction(cell_m)
    cell = [x // side for x in a]
    times = [
        ((cell[k] + (d[k] > 0)) * side - a[k]) / d[k] if d[k] else Fraction(2) for k in range(3)
    ]
    cells = set()
    while True:
        cells.add(tuple(int(c) for c in cell))
        axis = min(range(3), key=lambda k: times[k])
        if times[axis] > 1:
            return cells
        cell[axis] += 1 if d[axis] > 0 else -1
        times[axis] += side / abs(d[axis])


def spoken(grid: OccupancyGrid) -> set[tuple[int, ...]]:
    return set(map(tuple, grid.box.cells_at(np.flatnonzero(grid.log_odds)).tolist()))


def log_odds(grid: OccupancyGrid, *point: float) -> float:
    return float(grid.log_odds[grid.box.place(grid.box.cell_of(np.array(point)))])


def crosses(cells: np.ndarray, start: np.ndarray, end: np.ndarray, grow_m: float) -> np.ndarray:
    """Which cells, each grown by so much, a segment meets: by slabs, for all cells at once."""
    low, high = cells * SMALL.cell_m - grow_m, (cells + 1) * SMALL.cell_m + grow_m
    way = end - start
    enter, leave = np.zeros(len(cells)), np.ones(len(cells))
    for axis in range(3):
        if abs(way[axis]) < 1e-12:
            leave[(start[axis] < low[:, axis]) | (start[axis] > high[:, axis])] = -1.0
            continue
        ends = np.sort((np.stack((low[:, axis], high[:, axis])) - start[axis]) / way[axis], axis=0)
        enter, leave = np.maximum(enter, ends[0]), np.minimum(leave, ends[1])
    return enter <= leave


@settings(max_examples=200, deadline=None)
@given(POINT, POINT, st.booleans())
@example((2.0, 0.0, 0.0), (0.0, 1.0, -1.0), False)
@example((0.0, 0.0, 0.0), (-9.0, -9.0, -5.0), True)
def test_a_ray_speaks_of_exactly_the_cells_it_crosses(
    start: tuple[float, ...], end: tuple[float, ...], hit: bool,
) -> None:
    """Of all cells of the box: those it enters by more than 10 nm, and none that it is further away from."""
    first, last = np.array(start), np.array(end)
    if np.linalg.norm(last - first) < 0.1:
        return
    grid = OccupancyGrid(SMALL)
    grid.add(0, first, last[None], np.array([hit]))
    cells = grid.box.cells_at(np.arange(grid.box.size))
    found = grid.log_odds != 0.0
    assert not np.any(crosses(cells, first, last, -1e-8) & ~found)
    assert not np.any(found & ~crosses(cells, first, last, 1e-8))


def test_many_random_rays_match_the_exact_walk_cell_by_cell() -> None:
    rng = np.random.default_rng(3)
    config = GridConfig()
    origin = rng.uniform(-1.0, 1.0, 3) + 1000.0
    way = rng.normal(size=(300, 3))
    ends = origin + way / np.linalg.norm(way, axis=1)[:, None] * rng.uniform(1.0, 30.0, (300, 1))
    grid = OccupancyGrid(config)
    grid.add(0, origin, ends)
    exact: set[tuple[int, ...]] = set()
    for end in ends:
        exact |= walk(origin, end, config.cell_m)
    assert spoken(grid) == exact
    hits = {tuple(np.floor(end / config.cell_m).astype(int).tolist()) for end in ends}
    occupied = set(map(tuple, grid.box.cells_at(np.flatnonzero(grid.log_odds > 0)).tolist()))
    assert occupied == hits


@pytest.mark.parametrize(
    "end", [(9.0, 1.0, 1.0), (-9.0, 1.0, 1.0), (1.0, 9.0, 1.0), (1.0, 1.0, -5.0), (9.0, 9.0, 1.0), (-5.0, -5.0, -5.0)],
)
def test_rays_along_axes_and_through_corners_reach_their_end(end: tuple[float, ...]) -> None:
    grid = OccupancyGrid(SMALL)
    grid.add(0, np.array((1.0, 1.0, 1.0)), np.array([end]))
    assert log_odds(grid, *end) == pytest.approx(0.85)
    assert log_odds(grid, 1.0, 1.0, 1.0) == pytest.approx(-0.4)


def test_a_cell_is_updated_once_a_scan_and_hits_win() -> None:
    grid = OccupancyGrid(SMALL)
    ends = np.array([(9.0, 0.5, 0.5), (9.1, 0.6, 0.6), (13.0, 0.5, 0.5), (15.0, 0.7, 0.5)])
    grid.add(0, np.array((0.5, 0.5, 0.5)), ends)
    assert log_odds(grid, 9.0, 0.5, 0.5) == pytest.approx(0.85)
    assert log_odds(grid, 5.0, 0.5, 0.5) == pytest.approx(-0.4)
    assert log_odds(grid, 11.0, 0.5, 0.5) == pytest.approx(-0.4)


def test_rays_that_do_not_come_back_say_free_to_their_end() -> None:
    grid = OccupancyGrid(SMALL)
    grid.add(0, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5)]), np.array([False]))
    assert log_odds(grid, 9.0, 0.5, 0.5) == pytest.approx(-0.4)


def test_evidence_is_clamped_at_both_ends() -> None:
    grid = OccupancyGrid(SMALL)
    for _ in range(20):
        grid.add(0, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5)]))
    assert log_odds(grid, 9.0, 0.5, 0.5) == pytest.approx(3.5)
    assert log_odds(grid, 5.0, 0.5, 0.5) == pytest.approx(-3.5)


def test_evidence_fades_with_event_time_alone() -> None:
    grids = [OccupancyGrid(SMALL), OccupancyGrid(SMALL)]
    for grid in grids:
        grid.add(0, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5)]))
    grids[0].follow(60 * SECOND, np.full(3, 0.5))
    for tenth in range(601):
        grids[1].follow(tenth * SECOND // 10, np.full(3, 0.5))
    assert log_odds(grids[0], 9.0, 0.5, 0.5) == pytest.approx(0.85 * exp(-1.0), rel=1e-6)
    assert log_odds(grids[1], 9.0, 0.5, 0.5) == pytest.approx(0.85 * exp(-1.0), rel=1e-4)
    grids[0].follow(3600 * SECOND, np.full(3, 0.5))
    assert not grids[0].log_odds.any()


def test_a_late_scan_is_taken_and_time_does_not_go_back() -> None:
    grid = OccupancyGrid(SMALL)
    grid.add(10 * SECOND, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5)]))
    grid.add(9 * SECOND, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5)]))
    assert grid.late == 1
    assert log_odds(grid, 9.0, 0.5, 0.5) == pytest.approx(1.7)


def test_what_is_behind_the_box_is_cut_and_no_hit() -> None:
    grid = OccupancyGrid(SMALL)
    grid.add(0, np.full(3, 0.5), np.array([(500.0, 0.5, 0.5), (0.5, -1e6, 0.5)]))
    assert (grid.log_odds <= 0.0).all()
    assert log_odds(grid, 15.9, 0.5, 0.5) == pytest.approx(-0.4)
    assert grid.rays == 2


def test_a_wall_stays_where_it_is_while_the_craft_passes() -> None:
    grid = OccupancyGrid(SMALL)
    wall = np.stack((np.linspace(-6.0, 30.0, 200), np.full(200, 7.0), np.zeros(200)), axis=1)
    for step in range(60):
        position = np.array((step * 0.4, 0.5, 0.5))
        near = wall[np.abs(wall[:, 0] - position[0]) < 8.0]
        grid.add(step * SECOND // 10, position, near)
    region = grid.region(np.array((-100.0, -100.0, -100.0)), np.array((100.0, 100.0, 100.0)))
    assert len(region) > 5
    assert np.allclose(region.centre_m[:, 1], 7.0)
    assert region.centre_m[:, 0].min() >= grid.box.low_m[0]
    assert (region.probability > 0.7).all()
    assert np.isnan(grid.probability(np.array([(-100.0, 0.0, 0.0), (np.nan, 0.0, 0.0)]))).all()


def test_the_nearest_occupied_cell_is_told_by_its_nearest_point() -> None:
    grid = OccupancyGrid(SMALL)
    assert grid.nearest_occupied(np.zeros(3)) is None
    for _ in range(3):
        grid.add(0, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5), (0.5, -11.5, 0.5)]))
    found = grid.nearest_occupied(np.full(3, 0.5))
    assert found is not None
    assert found[0] == pytest.approx(7.5)
    assert found[1].tolist() == [9.0, 1.0, 1.0]
    inside = grid.nearest_occupied(np.array((9.0, 0.5, 0.5)))
    assert inside is not None
    assert inside[0] == 0.0


def test_changes_are_reported_once_and_not_too_often() -> None:
    grid = OccupancyGrid(SMALL)
    assert grid.take_update(0) is None
    for _ in range(2):
        grid.add(0, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5)]))
    update = grid.take_update(0)
    assert update is not None
    assert (update.changed, update.occupied) == (5, 1)
    assert (update.low_m, update.high_m) == ((0.0, 0.0, 0.0), (10.0, 2.0, 2.0))
    grid.add(0, np.full(3, 0.5), np.array([(0.5, 9.0, 0.5)]))
    grid.add(0, np.full(3, 0.5), np.array([(0.5, 9.0, 0.5)]))
    assert grid.take_update(SECOND // 2) is None
    later = grid.take_update(SECOND)
    assert later is not None
    assert later.low_m == (0.0, 2.0, 0.0)
    assert grid.take_update(5 * SECOND) is None


def test_what_fades_away_is_a_change_too() -> None:
    grid = OccupancyGrid(SMALL)
    for _ in range(2):
        grid.add(0, np.full(3, 0.5), np.array([(9.0, 0.5, 0.5)]))
    assert grid.take_update(0) is not None
    grid.follow(300 * SECOND, np.full(3, 0.5))
    gone = grid.take_update(300 * SECOND)
    assert gone is not None
    assert (gone.changed, gone.occupied) == (5, 0)


def test_bad_rays_are_left_out_and_counted() -> None:
    grid = OccupancyGrid(SMALL)
    ends = np.array([(9.0, 0.5, 0.5), (np.nan, 0, 0), (np.inf, 0, 0), (1e300, 0, 0), (0.5, 0.5, 0.5)])
    grid.add(0, np.full(3, 0.5), ends)
    assert (grid.rays, grid.rejected) == (1, 4)
    grid.add(0, np.full(3, np.nan), ends[:1])
    assert grid.rejected == 5
    assert np.isfinite(grid.log_odds).all()


def test_rays_of_a_moving_sensor_begin_each_at_its_own_place() -> None:
    grid = OccupancyGrid(SMALL)
    origins = np.array([(0.5, 0.5, 0.5), (0.5, 4.5, 0.5), (400.0, 0.0, 0.0)])
    grid.add(0, origins, origins + (8.0, 0.0, 0.0))
    assert grid.rejected == 1
    assert log_odds(grid, 8.5, 4.5, 0.5) == pytest.approx(0.85)
    assert log_odds(grid, 4.5, 4.5, 0.5) == pytest.approx(-0.4)


def test_empty_and_huge_scans() -> None:
    grid = OccupancyGrid(SMALL)
    assert grid.add(0, np.zeros(3), np.empty((0, 3))) == 0
    assert grid.add(0, np.empty((0, 3)), np.empty((0, 3))) == 0
    ends = np.random.default_rng(1).uniform(-15.0, 15.0, (50_000, 3))
    assert grid.add(0, np.zeros(3), ends) <= grid.box.size
    assert grid.thinned == 50_000 - SMALL.max_rays
    with pytest.raises(ValueError, match="needed"):
        grid.add(0, np.zeros(3), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="needed"):
        grid.add(0, np.zeros(3), ends, np.ones(3, np.bool_))


def test_memory_is_fixed_and_the_same_scans_give_the_same_bytes() -> None:
    grids = [OccupancyGrid(SMALL), OccupancyGrid(SMALL)]
    size = grids[0].nbytes
    for grid in grids:
        rng = np.random.default_rng(9)
        for step in range(200):
            position = np.array((step * 1.5, step * -0.7, 0.0))
            grid.add(step * SECOND // 10, position, position + rng.normal(0.0, 8.0, (50, 3)), rng.random(50) < 0.6)
            grid.take_update(step * SECOND // 10)
    assert grids[0].nbytes == size
    assert grids[0].log_odds.tobytes() == grids[1].log_odds.tobytes()


@pytest.mark.parametrize("changes", [
    {"hit": 0.0}, {"miss": 0.1}, {"clamp": 0.5}, {"occupied": 4.0}, {"free": 0.0}, {"decay_s": 0.0}, {"max_rays": 0},
    {"report_s": -1.0}, {"decay_s": float("nan")},
])
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        GridConfig(**changes)  # type: ignore[arg-type]
