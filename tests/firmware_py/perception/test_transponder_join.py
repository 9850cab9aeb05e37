"""Replies and detections: nearest and one to one, within gates and age, short range only."""

from __future__ import annotations

from math import nan, pi, radians

import numpy as np
import pytest

from drivers.samples import TransponderReply, TransponderSample
from firmware_py.perception.mounts import CraftPose, Mount
from firmware_py.perception.observation import NO_ID, Frame, Pose, SensorKind, TransponderMode, split_bands
from firmware_py.perception.transponder_join import JoinGates, TransponderJoin, mode_of
from hal.frames import quaternion_from_euler

SECOND = 1_000_000_000
RESTING = CraftPose(0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


def reply(number: int, range_m: float | None, bearing_deg: float, authentic: bool | None = True) -> TransponderReply:
    return TransponderReply(number, "on", range_m, radians(bearing_deg), -60.0, authentic)


def heard(*replies: TransponderReply, at_ns: int = 0, mount: Mount = Mount()) -> TransponderJoin:  # noqa: B008
    join = TransponderJoin(mount)
    join.hear(TransponderSample(1, len(replies), 20_000_000, True, replies), at_ns + 20_000_000, RESTING)
    return join


def frame(*rows: tuple[float, float], at_ns: int = 0, threshold_m: float = 5000.0, rate: float = nan,
          pose: Pose | None = None) -> Frame:
    ranges, bearings = np.array([r for r, _ in rows], float), np.radians([b for _, b in rows])
    made = Frame("radar", SensorKind.RADAR, 1, at_ns, at_ns, Pose() if pose is None else pose, ranges, bearings,
                 np.full(len(rows), nan), radial_velocity_m_s=np.full(len(rows), rate))
    return split_bands(made, threshold_m)


def ids(made: Frame) -> list[int]:
    return made.transponder_id.tolist()


def test_each_reply_names_the_row_that_it_fits_best() -> None:
    join = heard(reply(5, 50.0, 0.0), reply(6, 53.0, 1.0))
    assert ids(join.join(frame((53.5, 1.0), (50.2, 0.0), (80.0, 0.0)))) == [6, 5, NO_ID]
    assert (join.joined, join.left) == (2, 0)


def test_two_replies_never_name_one_row_and_one_reply_never_two() -> None:
    assert ids(heard(reply(5, 50.0, 0.0), reply(6, 51.0, 0.0)).join(frame((50.0, 0.0)))) == [5]
    assert ids(heard(reply(5, 50.0, 0.0)).join(frame((50.0, 0.0), (50.5, 0.0)))) == [5, NO_ID]


def test_the_same_name_from_two_places_names_two_rows() -> None:
    join = heard(reply(5, 50.0, 0.0), reply(5, 50.0, 40.0))
    assert ids(join.join(frame((50.0, 40.0), (50.0, 0.0)))) == [5, 5]


@pytest.mark.parametrize(("row", "fits"), [((59.0, 0.0), True), ((61.0, 0.0), False), ((50.0, 4.8), True),
                                           ((50.0, 5.2), False), ((58.0, 4.0), False)])
def test_gates_are_ten_metres_and_five_degrees_together(row: tuple[float, float], fits: bool) -> None:
    assert (ids(heard(reply(5, 50.0, 0.0)).join(frame(row))) == [5]) is fits


def test_long_range_has_no_names() -> None:
    assert ids(heard(reply(5, 50.0, 0.0)).join(frame((50.0, 0.0), threshold_m=49.0))) == [NO_ID]


def test_what_was_heard_too_long_ago_names_nobody() -> None:
    join = heard(reply(5, 50.0, 0.0))
    assert ids(join.join(frame((50.0, 0.0), at_ns=round(1.5 * SECOND)))) == [5]
    assert ids(join.join(frame((50.0, 0.0), at_ns=round(1.51 * SECOND)))) == [NO_ID]


def test_a_reply_is_taken_along_by_the_row_s_own_speed() -> None:
    join = heard(reply(5, 80.0, 0.0))
    # One second later it is 30 m nearer, and its speed says so.
    assert ids(join.join(frame((50.0, 0.0), at_ns=SECOND, rate=-30.0))) == [5]
    assert ids(join.join(frame((50.0, 0.0), at_ns=SECOND))) == [NO_ID]


def test_a_turn_of_the_craft_between_both_is_taken_out() -> None:
    turned = Pose(quaternion=quaternion_from_euler(0.0, 0.0, radians(20.0)))
    join = heard(reply(5, 50.0, 10.0))
    assert ids(join.join(frame((50.0, -10.0), (50.0, 10.0), pose=turned))) == [5, NO_ID]


def test_antenna_and_radar_may_look_different_ways_from_different_places() -> None:
    backwards = Mount((0.0, -2.0, 0.0), quaternion_from_euler(0.0, 0.0, pi))
    # At 20 m ahead of the radar: 180 deg from the antenna's front, which is 2 m to the right.
    join = heard(reply(5, 20.1, 180.0 + 5.7), mount=backwards)
    assert ids(join.join(frame((20.0, 0.0), (20.0, 11.4)))) == [5, NO_ID]


def test_who_spoke_unasked_is_joined_only_where_one_row_lies_in_his_direction() -> None:
    join = heard(reply(5, None, 10.0, None))
    assert ids(join.join(frame((50.0, 10.0), (50.0, -30.0)))) == [5, NO_ID]
    assert ids(join.join(frame((50.0, 10.0), (90.0, 11.0)))) == [NO_ID, NO_ID]


def test_a_later_round_replaces_what_the_same_name_said() -> None:
    join = heard(reply(5, 50.0, 0.0), reply(6, 70.0, 0.0))
    join.hear(TransponderSample(2, 1, 0, True, (reply(5, 90.0, 0.0),)), SECOND // 10, RESTING)
    assert ids(join.join(frame((50.0, 0.0), (90.0, 0.0), (70.0, 0.0), at_ns=SECOND // 10))) == [NO_ID, 5, 6]


def test_memory_is_bounded() -> None:
    join = TransponderJoin(Mount(), JoinGates(age_s=1e6))
    for number in range(1, 1000):
        join.hear(TransponderSample(number, 1, 0, True, (reply(number, 50.0, 0.0),)), number, RESTING)
    join.join(frame((50.0, 0.0)))
    assert join.joined + join.left == 128


def test_modes_are_those_of_the_observation() -> None:
    assert mode_of(reply(5, 1.0, 0.0)) is TransponderMode.ON
    assert mode_of(reply(5, None, 0.0, None)) is TransponderMode.ON
    assert mode_of(reply(5, 1.0, 0.0, False)) is TransponderMode.SPOOF
    assert mode_of(TransponderReply(5, "silent", 1.0, 0.0, -60.0, True)) is TransponderMode.SILENT


def test_rows_that_are_no_numbers_get_no_name_and_break_nothing() -> None:
    made = heard(reply(5, 50.0, 0.0), reply(6, None, 0.0)).join(frame((nan, 0.0), (50.0, nan)))
    assert ids(made) == [NO_ID, NO_ID]
    assert ids(heard(reply(5, 50.0, 0.0)).join(frame())) == []
