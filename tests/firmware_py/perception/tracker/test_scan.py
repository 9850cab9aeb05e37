"""Frames as rows: sorted, usable, with what they lack."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware_py.perception.observation import Frame, Pose, SensorKind
from firmware_py.perception.tracker import TrackerConfig
from firmware_py.perception.tracker.scan import scan
from firmware_py.perception.tracker.sensors import prepare
from tests.firmware_py.perception.tracker.textbook import ALL_ROUND, frame_of

RADAR = prepare(0, ALL_ROUND, TrackerConfig())


def test_rows_are_sorted_by_range_and_know_where_they_came_from() -> None:
    seen = scan(frame_of([[30.0, 0, 0, 0], [10.0, 1, 0, 0], [20.0, 2, 0, 0]], 0, 0, names=[5, -1, 7]), RADAR)
    assert seen.detections[0].tolist() == [10.0, 20.0, 30.0]
    assert seen.order.tolist() == [1, 2, 0]
    assert seen.marks.names is not None
    assert seen.marks.names.tolist() == [-1, 7, 5]
    assert seen.partial is None


def test_rows_without_a_place_are_left_out_and_counted_and_partial_ones_marked() -> None:
    rows = [[np.nan, 0, 0, 0], [10.0, np.inf, 0, 0], [0.0, 0, 0, 0], [20.0, 0, np.nan, 0], [30.0, 0, 0, 0]]
    seen = scan(frame_of(rows, 0, 0), RADAR)
    assert seen.unusable == 3
    assert seen.detections[0].tolist() == [20.0, 30.0]
    assert seen.partial is not None
    assert seen.partial.tolist() == [True, False]


def test_a_number_the_sensor_does_not_measure_is_not_lacking() -> None:
    flat = prepare(0, replace(ALL_ROUND, sigma_elevation_rad=np.inf), TrackerConfig())
    seen = scan(frame_of([[20.0, 0.0, 0.3, 1.0]], 0, 0), flat)
    assert seen.partial is None
    assert np.isnan(seen.detections[2, 0])


def test_marks_that_nobody_gave_are_none() -> None:
    bare = scan(frame_of([[20.0, 0, 0, 0]], 0, 0), RADAR).marks
    assert (bare.strength, bare.band, bare.names, bare.mode) == (None, None, None, None)
    z = np.array([20.0])
    full = Frame("radar", SensorKind.RADAR, 0, 0, 0, Pose(), z, z * 0, z * 0, snr_db=z,
                 transponder_mode=np.array([1], np.int8))
    marks = scan(full, RADAR).marks
    assert marks.strength is not None
    assert marks.strength[0].tolist() == [20.0]
    assert marks.mode is not None
