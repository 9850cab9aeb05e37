"""Sensors that agree are left alone; one that contradicts the others is weighed down and counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_py.perception.observation import Pose
from firmware_py.perception.tracker import SensorHealth, Tracker, TrackerConfig
from tests.firmware_py.perception.tracker.textbook import ALL_ROUND, frame_of, measured

SIGMA = np.array([1.0, 0.005, 0.005, 0.2])


def _fly(
    noise: float, bias_m: float, seconds: float, sensors: tuple[str, ...] = ("a", "b", "c"),
) -> tuple[Tracker, float]:
    """Three like sensors on six targets; the last has more noise than it says, or a range that is off."""
    tracker = Tracker(TrackerConfig(acceleration_psd=0.05), dict.fromkeys(sensors, ALL_ROUND))
    rng = np.random.default_rng(4)
    place = rng.uniform(150.0, 500.0, (6, 3)) * rng.choice([-1.0, 1.0], (6, 3))
    x = np.concatenate((place, rng.normal(0, 3, (6, 3))), axis=1)
    errors = []
    for k in range(round(seconds * 10)):
        for n, sensor in enumerate(sensors):
            odd = n == len(sensors) - 1
            z = np.array([measured(row, Pose()) for row in x])
            z += SIGMA * rng.standard_normal(z.shape) * (noise if odd else 1.0)
            z[:, 0] += bias_m if odd else 0.0
            tracker.observe(frame_of(z[rng.random(6) < 0.9], k, k * 100_000_000 + n * 10_000_000, sensor=sensor))
        got = tracker.tracks(k * 100_000_000)
        if k > 100 and got.firm.any():
            errors += [np.linalg.norm(got.state[got.firm][:, :3] - row[:3], axis=1).min() for row in x]
        x[:, :3] += 0.1 * x[:, 3:]
    return tracker, float(np.mean(errors)) if errors else float("nan")


def _by_name(tracker: Tracker) -> dict[str, SensorHealth]:
    return {h.sensor_id: h for h in tracker.sensor_health()}


def test_honest_sensors_stay_in_their_band() -> None:
    health = _by_name(_fly(1.0, 0.0, 30.0)[0])
    for found in health.values():
        assert found.nis == pytest.approx(1.0, abs=0.25)
        assert np.abs(found.bias).max() < 0.3
        assert found.hit_share == pytest.approx(0.9, abs=0.06)
        assert (found.inflation, found.contradictions, found.contradicts) == (1.0, 0, False)


def test_a_sensor_noisier_than_it_says_is_weighed_down_and_the_others_are_not() -> None:
    health = _by_name(_fly(1.9, 0.0, 30.0)[0])
    assert health["c"].contradicts
    assert health["c"].contradictions >= 1
    assert health["c"].nis > 2.0
    assert not health["a"].contradicts
    assert not health["b"].contradicts


def test_a_sensor_with_an_offset_pulls_the_tracks_less_once_it_is_weighed_down() -> None:
    tracker, error = _fly(1.0, 3.0, 40.0)
    health = _by_name(tracker)
    assert health["c"].contradictions >= 1
    assert health["c"].bias[0] > 1.0
    assert health["a"].contradictions == health["b"].contradictions == 0
    assert error < 1.4


def test_alone_nothing_contradicts_a_sensor() -> None:
    health = _by_name(_fly(1.9, 0.0, 30.0, ("a",))[0])
    assert health["a"].inflation == 1.0


def test_a_sensor_that_sees_nothing_of_what_the_others_see_is_counted() -> None:
    tracker = Tracker(TrackerConfig(), {"a": ALL_ROUND, "b": replace(ALL_ROUND)})
    rng, x = np.random.default_rng(1), np.array([300.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    for k in range(200):
        z = measured(x, Pose()) + SIGMA * rng.standard_normal(4)
        tracker.observe(frame_of(z, k, k * 100_000_000, sensor="a"))
        tracker.observe(frame_of([], k, k * 100_000_000 + 10_000_000, sensor="b"))
    health = _by_name(tracker)
    assert health["b"].hit_share == 0.0
    assert health["b"].contradictions == 1
    assert health["a"].contradictions == 0
