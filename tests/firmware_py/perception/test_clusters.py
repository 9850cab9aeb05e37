"""Clusters: exactly what single linkage joins, bounded, walls cut, nearest points kept, and as detections."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.samples import LidarScan
from firmware_py.perception.clusters import (
    ClusterConfig,
    Clusters,
    cluster_frame,
    find_clusters,
    nearest_by_sector,
    scan_points,
)
from firmware_py.perception.observation import NO_ID, Pose, SensorKind
from firmware_py.perception.voxels import voxel_filter

FINE = ClusterConfig(min_points=1, max_extent_m=1e6, max_clusters=4096)


def linked_by_hand(points: np.ndarray, config: ClusterConfig) -> set[frozenset[int]]:
    """Single linkage, pair by pair."""
    group = list(range(len(points)))
    reach = np.maximum(config.link_m, config.link_rad * np.linalg.norm(points, axis=1))
    for i in range(len(points)):
        for j in range(i):
            if np.linalg.norm(points[i] - points[j]) <= min(reach[i], reach[j]):
                old, new = group[i], group[j]
                group = [new if g == old else g for g in group]
    return {frozenset(k for k, g in enumerate(group) if g == wanted) for wanted in set(group)}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 90), st.floats(0.5, 40.0), st.sampled_from([0.0, 0.042, 0.3]))
def test_clusters_are_those_of_pairwise_linkage(seed: int, count: int, spread: float, link_rad: float) -> None:
    config = ClusterConfig(min_points=1, max_extent_m=1e6, max_clusters=4096, link_rad=link_rad, voxel_m=0.05)
    rng = np.random.default_rng(seed)
    points = rng.normal(0.0, spread, (count, 3)) * (1.0, 1.0, rng.choice([0.0, 1.0]))
    voxels = voxel_filter(points, config.voxel_m, min_range_m=config.min_range_m, max_range_m=config.max_range_m)
    expected = linked_by_hand(voxels.centroid_m, config)
    found = find_clusters(points, config)
    assert len(found) == len(expected)
    assert sorted(found.points.tolist()) == sorted(int(voxels.count[list(g)].sum()) for g in expected)
    means = sorted(tuple(np.round(voxels.centroid_m[list(g)].mean(axis=0), 9)) for g in expected)
    assert np.allclose(means, sorted(map(tuple, np.round(found.centre_m, 9))), atol=1e-8)


def test_two_balls_are_two_clusters_with_their_radii() -> None:
    rng = np.random.default_rng(2)
    shell = rng.normal(size=(600, 3))
    shell /= np.linalg.norm(shell, axis=1)[:, None]
    found = find_clusters(np.concatenate((shell * 0.5 + (6, 0, 0), shell * 1.0 + (0, 9, 1))), ClusterConfig())
    assert len(found) == 2
    assert np.allclose(found.centre_m, [(6, 0, 0), (0, 9, 1)], atol=0.06)
    assert np.allclose(found.extent_m, (0.5, 1.0), atol=0.08)
    assert np.allclose(found.nearest_m, (5.5, np.hypot(9, 1) - 1.0), atol=0.02)


def test_a_wall_is_cut_and_its_nearest_point_is_kept() -> None:
    y = np.linspace(-20.0, 20.0, 2000)
    wall = np.stack((np.full_like(y, 2.0), y, np.zeros_like(y)), axis=1)
    config = ClusterConfig(max_extent_m=1.0)
    found = find_clusters(wall, config)
    assert found.cut == len(found) > 20
    assert found.extent_m.max() <= config.max_extent_m
    assert found.nearest_m.min() == pytest.approx(2.0, abs=1e-3)
    # Nowhere is a centre so far behind the surface that extent and half a voxel do not reach back to it.
    reach = found.extent_m + config.voxel_m
    assert np.all(np.linalg.norm(found.centre_m, axis=1) - reach <= found.nearest_m)


def test_a_plane_of_an_ld06_turn_parts_two_objects_at_any_range() -> None:
    angle = np.arange(450) * (2.0 * pi / 450)
    for distance in (1.0, 4.0, 11.0):
        ranges: list[float | None] = [None] * 450
        for k in range(20):
            ranges[100 + k] = ranges[200 + k] = distance
        scan = LidarScan(tuple(angle), tuple(ranges), (0,) * 450, 62.8, 0)
        found = find_clusters(scan_points(scan), ClusterConfig())
        assert found.points.tolist() == [20, 20], distance


def test_too_many_and_too_sparse_clusters_are_counted_and_the_nearest_kept() -> None:
    x = np.arange(1, 41) * 2.0
    points = np.stack((x, np.zeros(40), np.zeros(40)), axis=1)
    lone = find_clusters(points, ClusterConfig(link_rad=0.0))
    assert (len(lone), lone.sparse) == (0, 40)
    found = find_clusters(points, ClusterConfig(link_rad=0.0, min_points=1, max_clusters=7))
    assert (len(found), found.dropped) == (7, 33)
    assert found.nearest_m.tolist() == x[:7].tolist()


@pytest.mark.parametrize("points", [np.empty((0, 3)), np.full((5, 3), np.nan)])
def test_nothing_gives_an_empty_frame(points: np.ndarray) -> None:
    found = find_clusters(points, ClusterConfig())
    assert found.rejected == len(points)
    assert len(cluster_frame(found, "lidar", 1, 2, 3, Pose())) == 0


def test_a_thousand_fold_scan_stays_bounded() -> None:
    points = np.random.default_rng(4).uniform(-150.0, 150.0, (450_000, 3))
    found = find_clusters(points, ClusterConfig())
    assert len(found) <= 256
    assert found.thinned + found.dropped_voxels + found.rejected > 0


def test_the_same_scan_gives_the_same_bytes() -> None:
    points = np.random.default_rng(5).normal(0.0, 8.0, (450, 3))
    first, again = find_clusters(points, FINE), find_clusters(points.copy(), FINE)
    assert first.centre_m.tobytes() == again.centre_m.tobytes()
    assert first.extent_m.tobytes() == again.extent_m.tobytes()


def test_detections_point_at_the_centres() -> None:
    rng = np.random.default_rng(6)
    found = find_clusters(rng.normal(0.0, 0.1, (50, 3)) + (3.0, 4.0, 2.0), ClusterConfig())
    pose = Pose(position_m=(1.0, 2.0, 3.0))
    frame = cluster_frame(found, "lidar", 7, 10, 20, pose)
    assert (frame.sensor_id, frame.kind, frame.frame_id, frame.event_ns, frame.ingest_ns) == (
        "lidar", SensorKind.LIDAR, 7, 10, 20,
    )
    assert frame.pose is pose
    flat = frame.range_m * np.cos(frame.elevation_rad)
    back = np.array((
        flat * np.cos(frame.bearing_rad), flat * np.sin(frame.bearing_rad), frame.range_m * np.sin(frame.elevation_rad),
    ))
    assert np.allclose(back.T, found.centre_m)
    assert frame.extent_m.tolist() == found.extent_m.tolist()
    assert np.isnan(frame.radial_velocity_m_s).all()
    assert (frame.transponder_id == NO_ID).all()


def test_a_centre_in_the_sensor_has_some_direction() -> None:
    one = np.ones(1)
    frame = cluster_frame(Clusters(np.zeros((1, 3)), one, one, np.ones(1, np.int64)), "lidar", 0, 0, 0, Pose())
    assert np.isfinite([frame.range_m[0], frame.bearing_rad[0], frame.elevation_rad[0]]).all()


def test_a_turning_scan_is_clockwise_and_leaves_out_what_came_back_empty() -> None:
    scan = LidarScan((0.0, pi / 2, pi), (1.0, 2.0, None), (0, 0, 0), 62.8, 0)
    assert np.allclose(scan_points(scan), [(1.0, 0.0, 0.0), (0.0, -2.0, 0.0)], atol=1e-12)
    assert scan_points(LidarScan((), (), (), 62.8, 0)).shape == (0, 3)


def test_own_motion_is_taken_out_of_a_turn() -> None:
    """What stands still is seen, all of it, from where the sensor is at the end of the turn."""
    spin, own, rate = 2.0 * pi * 10.0, np.array((3.0, -1.0, 0.0)), 0.5
    corners = np.array([(6.0, 1.0), (5.0, -4.0), (-3.0, 2.0), (-2.0, -7.0)])
    angle, seen = np.empty(4), np.empty(4)
    for row, corner in enumerate(corners):
        for _ in range(30):
            # Time before the end at which the beam meets the corner, by fixed point.
            before = 0.0 if _ == 0 else (2.0 * pi - angle[row]) / spin
            turned = rate * before
            point = corner + own[:2] * before
            back = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]]) @ point
            angle[row] = np.arctan2(-back[1], back[0]) % (2.0 * pi)
            seen[row] = np.hypot(*back)
    scan = LidarScan(tuple(angle), tuple(seen), (0,) * 4, spin, 0)
    raw = scan_points(scan)[:, :2]
    straight = scan_points(scan, tuple(own), (0.0, 0.0, rate))[:, :2]  # type: ignore[arg-type]
    assert np.abs(straight - corners).max() < 0.02
    assert np.abs(raw - corners).max() > 0.2


def test_nearest_by_sector_counts_every_point() -> None:
    points = np.array([(5.0, 0.0, 0.0), (3.0, 0.1, 0.0), (0.0, 2.0, 0.0), (np.nan, 0.0, 0.0), (-1.0, -0.1, 0.0)])
    nearest = nearest_by_sector(points, 4)
    assert nearest[0] == pytest.approx(np.hypot(1.0, 0.1))
    assert np.isnan(nearest[1])
    assert nearest[2] == pytest.approx(np.hypot(3.0, 0.1))
    assert nearest[3] == pytest.approx(2.0)
    assert np.isnan(nearest_by_sector(np.empty((0, 3)))).all()


def test_a_turn_of_unknown_rate_is_left_as_it_is() -> None:
    scan = LidarScan((0.0, pi / 2), (1.0, 2.0), (0, 0), 0.0, 0)
    assert np.allclose(scan_points(scan, (5.0, 0.0, 0.0), (0.0, 0.0, 1.0)), [(1.0, 0.0, 0.0), (0.0, -2.0, 0.0)])


def test_no_sectors_are_refused() -> None:
    with pytest.raises(ValueError, match="sectors"):
        nearest_by_sector(np.zeros((1, 3)), 0)


@pytest.mark.parametrize("changes", [
    {"voxel_m": 0.0}, {"voxel_m": 0.5}, {"link_rad": 0.6}, {"max_extent_m": 0.1}, {"min_points": 0},
    {"max_clusters": 0}, {"max_range_m": float("inf")}, {"min_range_m": 300.0}, {"max_extent_m": float("nan")},
])
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        ClusterConfig(**changes)  # type: ignore[arg-type]
