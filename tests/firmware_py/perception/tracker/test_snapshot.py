"""Quality, trust and marks as others see them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_py.perception.observation import Band, Pose, TransponderMode
from firmware_py.perception.tracker import Tracker, TrackerConfig
from tests.firmware_py.perception.tracker.textbook import ALL_ROUND, frame_of, measured

X = np.array([300.0, 40.0, 10.0, 0.0, 0.0, 0.0])


def _frame(k: int, snr_db: float = 15.0, sensor: str = "a"):
    one = np.ones(1)
    return replace(frame_of(measured(X, Pose()), k, k * 100_000_000, sensor=sensor, names=[3]), snr_db=snr_db * one,
                   rcs_dbsm=-5.0 * one, extent_m=2.0 * one, band=np.array([Band.SR], np.int8),
                   transponder_mode=np.array([TransponderMode.ON], np.int8))


def test_quality_grows_with_hits_and_strength_and_falls_with_misses() -> None:
    tracker = Tracker(TrackerConfig(), {"a": ALL_ROUND})
    seen = []
    for k in range(3):
        tracker.observe(_frame(k))
        seen.append(tracker.tracks(k * 100_000_000).quality[0])
    assert seen == pytest.approx([0.25, 0.5, 0.75])
    tracker.observe(frame_of([], 3, 300_000_000, sensor="a"))
    assert tracker.tracks(300_000_000).quality[0] == pytest.approx(0.75 * (1.0 - 0.1 / 0.55))


def test_trust_needs_two_supporters() -> None:
    tracker = Tracker(TrackerConfig(), {"a": ALL_ROUND, "b": ALL_ROUND})
    tracker.observe(_frame(0))
    tracker.observe(_frame(1))
    assert tracker.tracks(100_000_000).trust.tolist() == [0.49]
    tracker.observe(_frame(2, sensor="b"))
    assert tracker.tracks(200_000_000).trust.tolist() == [1.0]
    assert tracker.tracks(3_000_000_000).trust.tolist() == [0.0]


def test_marks_are_carried_and_what_is_missing_later_changes_nothing() -> None:
    tracker = Tracker(TrackerConfig(), {"a": ALL_ROUND})
    tracker.observe(_frame(0, 10.0))
    tracker.observe(_frame(1, 20.0))
    tracker.observe(frame_of(measured(X, Pose()), 2, 200_000_000, sensor="a"))
    got = tracker.tracks(200_000_000)
    assert got.snr_db[0] == pytest.approx(13.0)
    assert (got.rcs_dbsm[0], got.extent_m[0], got.band[0]) == (-5.0, 2.0, Band.SR)
    assert (got.transponder_id[0], got.transponder_mode[0]) == (3, TransponderMode.ON)


def test_an_empty_tracker_gives_an_empty_list() -> None:
    got = Tracker(TrackerConfig(), {"a": ALL_ROUND}).tracks(5)
    assert len(got) == 0
    assert got.state.shape == (0, 6)
    assert got.covariance.shape == (0, 6, 6)
