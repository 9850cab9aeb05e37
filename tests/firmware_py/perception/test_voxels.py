"""Voxel filter: means and counts as by hand, bounded, and never nearer things lost for further ones."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.voxels import MAX_POINTS, MAX_VOXELS, voxel_filter


def by_hand(points: np.ndarray, size: float) -> dict[tuple[int, ...], list[np.ndarray]]:
    cells: dict[tuple[int, ...], list[np.ndarray]] = defaultdict(list)
    for point in points:
        cells[tuple(int(np.floor(x / size)) for x in point)].append(point)
    return cells


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.floats(0.05, 5.0))
def test_centroids_and_counts_are_those_of_a_dictionary(seed: int, count: int, size: float) -> None:
    points = np.random.default_rng(seed).normal(0.0, 5.0, (count, 3))
    cells = by_hand(points, size)
    voxels = voxel_filter(points, size)
    assert int(voxels.count.sum()) == count
    assert len(voxels) == len(cells)
    for key, centroid, number, nearest in zip(
        sorted(cells), voxels.centroid_m, voxels.count, voxels.nearest_m, strict=True,
    ):
        assert len(cells[key]) == number
        assert np.allclose(np.mean(cells[key], axis=0), centroid, atol=1e-12)
        assert nearest == pytest.approx(min(np.linalg.norm(p) for p in cells[key]))


def test_bad_points_are_left_out_and_counted() -> None:
    points = np.array([(1.0, 0, 0), (np.nan, 0, 0), (0, np.inf, 0), (1e300, 0, 0), (0, 0, 0.001), (0, 500.0, 0)])
    voxels = voxel_filter(points, 0.1, max_range_m=100.0, min_range_m=0.02)
    assert voxels.centroid_m.tolist() == [[1.0, 0.0, 0.0]]
    assert voxels.rejected == 5


@pytest.mark.parametrize("points", [np.empty((0, 3)), np.full((7, 3), np.nan)])
def test_nothing_in_nothing_out(points: np.ndarray) -> None:
    voxels = voxel_filter(points, 0.1)
    assert len(voxels) == 0
    assert voxels.rejected == len(points)


def test_a_huge_scan_is_thinned_evenly_and_its_nearest_voxels_are_kept() -> None:
    count = 10 * MAX_POINTS
    points = np.zeros((count, 3))
    points[:, 0] = np.linspace(1.0, 900.0, count)
    voxels = voxel_filter(points, 0.05)
    assert voxels.thinned == count - MAX_POINTS
    assert len(voxels) == MAX_VOXELS
    assert voxels.dropped > 0
    assert voxels.nearest_m.min() == 1.0
    assert voxels.nearest_m.max() < 300.0


def test_the_same_points_give_the_same_bytes() -> None:
    points = np.random.default_rng(1).normal(0.0, 3.0, (500, 3))
    first, again = voxel_filter(points, 0.3), voxel_filter(points.copy(), 0.3)
    assert first.centroid_m.tobytes() == again.centroid_m.tobytes()


@pytest.mark.parametrize(("shape", "size", "most"), [((3, 2), 0.1, 10.0), ((3,), 0.1, 10.0), ((3, 3), 0.0, 10.0),
                                                     ((3, 3), 1e-6, 10.0)])
def test_shapes_and_sizes_that_cannot_be_are_refused(shape: tuple[int, ...], size: float, most: float) -> None:
    with pytest.raises(ValueError, match=r"needed|allowed"):
        voxel_filter(np.zeros(shape), size, max_range_m=most)
