"""Four judges over one list: a spoofed transponder convinces none of the others, and what is waited for is bounded."""

from __future__ import annotations

import msgspec
import numpy as np

from firmware_py.perception.config import PerceptionConfig, PlaceConfig, load_perception
from firmware_py.perception.observation import Band, Frame, Iff, ObjectType, Pose, SensorKind, TransponderMode
from firmware_py.perception.tracks import TrackSet
from firmware_py.perception.verdicts import MOST_DECLARED, Verdicts
from tests.firmware_py.perception.track_lists import NS, track_list

EMPTY = Frame("radar", SensorKind.RADAR, 1, 0, 0, Pose(), np.empty(0), np.empty(0), np.empty(0))


def config(**changes: object) -> PerceptionConfig:
    return msgspec.structs.replace(load_perception(), **changes)


def judged(verdicts: Verdicts, mode: TransponderMode, identity: int = 4711, seconds: float = 12.0) -> TrackSet:
    """One contact that answers, seen for so long ten times a second."""
    tracks = None
    for step in range(round(seconds * 10)):
        t_ns = 20 * NS + step * NS // 10
        tracks = verdicts.judge(track_list(
            [[60, 0, 0, 0, 0, 0]], t_ns, transponder_mode=mode, transponder_id=identity, band=Band.SR,
            rcs_dbsm=28.0,
        ), EMPTY, 0, 0.02)
    assert tracks is not None
    return tracks


def test_who_is_known_is_friend_or_foe_and_nobody_knows_the_others() -> None:
    known = config(friends=(4711,), foes=(666,))
    assert judged(Verdicts(known, True), TransponderMode.ON).iff.tolist() == [Iff.FRIEND]
    assert judged(Verdicts(known, True), TransponderMode.ON, 666).iff.tolist() == [Iff.FOE]
    assert judged(Verdicts(known, True), TransponderMode.ON, 5).iff.tolist() == [Iff.UNKNOWN]


def test_what_a_bearer_is_known_to_be_is_believed_if_its_echo_agrees() -> None:
    station = config(types={4711: "station"})
    assert judged(Verdicts(station, True), TransponderMode.ON).object_type.tolist() == [ObjectType.STATION]


def test_a_spoofed_transponder_makes_no_friend_and_no_station() -> None:
    verdicts = Verdicts(config(friends=(4711,), types={4711: "station"}), True)
    tracks = judged(verdicts, TransponderMode.SPOOF)
    assert tracks.transponder_mode.tolist() == [TransponderMode.SPOOF]
    assert tracks.iff.tolist() != [Iff.FRIEND]
    assert tracks.object_type.tolist() != [ObjectType.STATION]
    assert verdicts.spoofed


def test_one_that_is_heard_from_where_it_cannot_be_deceives() -> None:
    at_home = PlaceConfig(4711, (5000.0, 0.0, 0.0), 100.0)
    verdicts = Verdicts(config(friends=(4711,), places=(at_home,)), True)
    tracks = judged(verdicts, TransponderMode.ON)
    assert tracks.transponder_mode.tolist() == [TransponderMode.SPOOF]
    assert sum(verdicts.spoofed.values()) == 1


def test_without_anybody_who_asks_nobody_owes_an_answer() -> None:
    silent = [Verdicts(config(), asks) for asks in (True, False)]
    found = [judged(verdicts, TransponderMode.OFF, -1).iff.tolist() for verdicts in silent]
    assert found == [[Iff.UNKNOWN], [Iff.UNSPECIFIED]]


def test_declarations_that_wait_are_bounded_and_counted() -> None:
    verdicts = Verdicts(config(), True)
    for number in range(MOST_DECLARED + 10):
        verdicts.declare(number, 20 * NS, (60.0, 0.0, 0.0), 60.0)
    assert verdicts.dropped == 10
    judged(verdicts, TransponderMode.ON, seconds=0.2)
    verdicts.declare(1, 20 * NS, (60.0, 0.0, 0.0), 60.0)
    assert verdicts.dropped == 10


def test_identities_in_long_range_are_remembered_to_a_bound_and_judged() -> None:
    verdicts = Verdicts(config(), True)
    verdicts.long_range(range(10_000))
    judged(verdicts, TransponderMode.ON, seconds=0.1)
    assert sum(verdicts.spoofed.values()) <= MOST_DECLARED
