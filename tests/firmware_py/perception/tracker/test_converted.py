"""Comparison as places: where the numbers bend, at the pole, and for detections that lack a number."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.perception.observation import Pose
from firmware_py.perception.tracker import Tracker, TrackerConfig
from firmware_py.perception.tracker.converted import as_places, bent, reachable, uncertainty
from firmware_py.perception.tracker.gating import compare
from firmware_py.perception.tracker.measurement import expect, view_of
from firmware_py.perception.tracker.sensors import prepare
from firmware_py.perception.tracks import SensorModel
from tests.firmware_py.perception.tracker.textbook import ALL_ROUND, frame_of, measured

VIEW = view_of(Pose())


def _numbers(place: tuple[float, float, float], sigma_m: float, sigma_m_s: float = 1.0) -> np.ndarray:
    numbers = np.zeros((46, 1))
    numbers[:3, 0] = place
    numbers[6:42, 0] = np.diag([sigma_m**2] * 3 + [sigma_m_s**2] * 3).ravel()
    return numbers


@pytest.mark.parametrize(("place", "sigma_m", "want"), [
    ((500.0, 0.0, 0.0), 2.0, False), ((500.0, 0.0, 0.0), 40.0, True), ((10.0, 0.0, 500.0), 3.0, True),
    ((10.0, 0.0, 500.0), 1.0, False), ((3.0, 0.0, 0.0), 1.5, True),
])
def test_it_bends_where_the_track_is_uncertain_across_or_near_the_pole(
    place: tuple[float, float, float], sigma_m: float, want: bool,
) -> None:
    numbers = _numbers(place, sigma_m)
    found = bent(uncertainty(numbers), expect(numbers, VIEW, np.array([1.0, 1e-5, 1e-5, 0.04])), 1.0)
    assert (found is not None) == want


def test_far_out_both_ways_agree() -> None:
    numbers, sensor = _numbers((400.0, 100.0, 50.0), 1.0), prepare(0, ALL_ROUND, TrackerConfig())
    z = (measured(numbers[:6, 0], Pose()) + np.array([0.8, 0.004, -0.003, 0.2]))[:, None]
    expected = expect(numbers, VIEW, sensor.variances)
    polar = compare(z, expected, np.array([0]), np.array([0]), None)
    places = as_places(numbers, z, np.array([0]), np.array([0]), expected, VIEW, sensor, sensor.variances)
    assert places.pairs.distance == pytest.approx(polar.distance, rel=0.02)
    assert places.pairs.spread == pytest.approx(np.log(expected.variances).sum(axis=0), abs=0.05)
    moved = expected.lower[4:, :, 0] @ polar.steps[:, 0]
    assert places.lower[4:, :, 0] @ places.pairs.steps[:, 0] == pytest.approx(moved, rel=0.05, abs=0.02)


def test_a_pair_beyond_all_uncertainty_is_not_looked_at_and_one_within_is() -> None:
    numbers = _numbers((5.0, 0.0, 0.0), 1.0)
    expected = expect(numbers, VIEW, np.array([0.01, 1e-4, 1e-4, 0.04]))
    z = np.array([[5.0, 0.3, 0.1, 0.0], [5.0, 2.5, 0.0, 0.0], [5.0, 2.5, np.nan, 0.0]]).T
    got = reachable(numbers, z, np.zeros(3, np.int64), np.arange(3), expected, np.array([0.01, 1e-4, 1e-4, 0.04]), 4.5,
                    VIEW)
    assert got.tolist() == [True, False, True]


def test_a_near_target_with_a_sharp_range_is_followed_consistently() -> None:
    """A lidar at a few metres: the first second of a track is uncertain by more than the range's sigma can bear."""
    lidar = SensorModel(0.02, 0.02, 0.02, detection_probability=0.95, clutter_per_frame=0.1, revisit_s=0.1)
    errors = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        tracker = Tracker(TrackerConfig(acceleration_psd=0.05, initial_velocity_sigma_m_s=3.0), {"lidar": lidar})
        x = np.concatenate((rng.uniform(2.0, 5.0, 3), rng.normal(0.0, 2.0, 3)))
        for k in range(12):
            z = measured(x, Pose()) + np.array([0.02, 0.02, 0.02, 0.0]) * rng.standard_normal(4)
            z[3] = np.nan
            tracker.observe(frame_of(z, k, k * 100_000_000, sensor="lidar"))
            if k >= 4:
                tracks = tracker.tracks(k * 100_000_000)
                assert len(tracks) == 1
                e = tracks.state[0] - x
                errors.append(float(e @ np.linalg.solve(tracks.covariance[0], e)))
            x[:3] += 0.1 * x[3:]
    assert 3.5 < np.mean(errors) < 7.5


def test_right_over_the_pole_a_track_goes_on() -> None:
    tracker = Tracker(TrackerConfig(), {"radar": ALL_ROUND})
    rng = np.random.default_rng(1)
    for k in range(80):
        x = np.array([-20.0 + 0.5 * k, 0.3, 200.0, 5.0, 0.0, 0.0])
        z = measured(x, Pose()) + np.array([1.0, 0.005, 0.005, 0.2]) * rng.standard_normal(4)
        if k % 3 == 0:
            z[1] = rng.uniform(-np.pi, np.pi) if np.hypot(x[0], x[1]) < 2.0 else z[1]
        tracker.observe(frame_of(z, k, k * 100_000_000))
    tracks = tracker.tracks(79 * 100_000_000)
    old = tracks.track_id == tracks.track_id.min()
    assert tracks.firm.sum() == 1
    assert tracks.born_ns[old][0] == 0
    assert tracks.state[old][0, :3] == pytest.approx(x[:3], abs=4.0)


def test_detections_that_lack_a_number_are_used_row_by_row() -> None:
    tracker = Tracker(TrackerConfig(), {"radar": ALL_ROUND})
    rng = np.random.default_rng(2)
    x = np.array([300.0, 100.0, 40.0, 3.0, -2.0, 1.0])
    for k in range(40):
        z = measured(x, Pose()) + np.array([1.0, 0.005, 0.005, 0.2]) * rng.standard_normal(4)
        if k > 5:
            z[2 if k % 2 else 3] = np.nan
        report = tracker.observe(frame_of(z, k, k * 100_000_000))
        assert k == 0 or report.associated == 1
        x[:3] += 0.1 * x[3:]
    tracks = tracker.tracks(3_900_000_000)
    assert len(tracks) == 1
    assert np.isfinite(tracks.covariance).all()
    assert tracks.state[0, :3] == pytest.approx(x[:3] - 0.1 * x[3:], abs=3.0)


def test_a_radar_that_tells_no_elevation_holds_range_and_bearing() -> None:
    flat = SensorModel(0.4, 0.01, np.inf, 0.1, half_height_rad=np.radians(10.0), half_width_rad=np.radians(60.0))
    tracker = Tracker(TrackerConfig(), {"ars": flat})
    x = np.array([120.0, 20.0, 5.0, -2.0, 1.0, 0.0])
    rng = np.random.default_rng(3)
    for k in range(50):
        z = measured(x, Pose()) + np.array([0.4, 0.01, 0.0, 0.1]) * rng.standard_normal(4)
        z[2] = np.nan
        tracker.observe(frame_of(z, k, k * 100_000_000, sensor="ars"))
        x[:3] += 0.1 * x[3:]
    tracks = tracker.tracks(4_900_000_000)
    e = tracks.state[0] - x + np.concatenate((0.1 * x[3:], np.zeros(3)))
    assert len(tracks) == 1
    assert np.abs(e[:2]).max() < 3.0
    assert tracks.covariance[0, 2, 2] > 2.0**2
    assert e @ np.linalg.solve(tracks.covariance[0], e) < 20.0
