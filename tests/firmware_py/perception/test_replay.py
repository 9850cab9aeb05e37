"""A record fed to the software again: the same to the last byte, and every difference is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.perception.config import load_perception
from firmware_py.perception.port import CODEC
from firmware_py.perception.record import PerceptionRecord, pack_tracks, read_header, read_perception
from firmware_py.perception.replay import header_of, replay_record
from firmware_py.recorder import RecordError
from tests.firmware_py.perception.port_craft import NS, PROFILE, PortCraft, motion
from tests.firmware_py.perception.track_lists import track_list


def flown(path: Path) -> Path:
    """A second of everything, with a first fix of the attitude in it."""
    craft = PortCraft(record=PerceptionRecord(path, header_of(load_perception(), PROFILE)))
    craft.move = {"attitude_known": False}
    craft.approach(70.0, 6.0, 10)
    craft.move = {"motion": "Brake"}
    for _ in range(20):
        craft.look([(50.0, 2.0, -3.0, 0.0)], craft.turn([6.0] * 200), craft.beam(5.0), craft.field((2e-5, 0.0, 1e-5)))
    craft.order("perception_query", what="tracks")
    craft.wait(2.0)
    craft.perception.close()
    return path


def changed(path: Path, to: Path, change: str) -> Path:
    """The same record with one thing otherwise."""
    record = PerceptionRecord(to, {k: v for k, v in read_header(path).items() if k not in ("format", "epoch_ns")})
    lists = 0
    for row in read_perception(path):
        lists += row.topic == "/tracks"
        if change == "another list" and row.topic == "/tracks" and lists == 7:
            record.add("/tracks", row.t_ns, pack_tracks(track_list([[1, 2, 3, 0, 0, 0]], row.t_ns)))
        elif (change, row.topic, lists) == ("a list less", "/tracks", 7) or (
            (change, row.topic, lists) == ("a scan less", "/in", 12) and b"radar" in row.data
        ):
            continue
        else:
            record.add(row.topic, row.t_ns, row.data)
        if change == "rubbish" and row.topic == "/in" and lists == 3:
            record.add("/in", row.t_ns, b"\xff rubbish")
    record.close()
    return to


def test_the_same_software_gives_the_same_lists_to_the_last_byte(tmp_path: Path) -> None:
    path = flown(tmp_path / "a.mcap")
    result = replay_record(path)
    assert result.lists > 30
    assert (result.differing, result.first_ns) == (0, None)
    assert path.read_bytes() == flown(tmp_path / "b.mcap").read_bytes()


@pytest.mark.parametrize("change", ["another list", "a list less", "a scan less"])
def test_a_difference_is_found_and_its_time_told(tmp_path: Path, change: str) -> None:
    result = replay_record(changed(flown(tmp_path / "a.mcap"), tmp_path / "b.mcap", change))
    assert result.differing >= 1
    assert result.first_ns is not None
    assert NS < result.first_ns < 4 * NS


def test_messages_that_cannot_be_read_are_fed_as_what_they_are(tmp_path: Path) -> None:
    result = replay_record(changed(flown(tmp_path / "a.mcap"), tmp_path / "b.mcap", "rubbish"))
    assert result.lists > 30


def test_a_torn_record_is_replayed_as_far_as_it_goes(tmp_path: Path) -> None:
    path = flown(tmp_path / "a.mcap")
    whole = path.read_bytes()
    lists = set()
    for share in (0.5, 0.7, 0.9, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        result = replay_record(path)
        assert result.differing == 0
        lists.add(result.lists)
    assert max(lists) > 0


@pytest.mark.parametrize("missing", ["perception", "profile_body", "profile_board", "profile_digest"])
def test_a_record_that_does_not_say_what_ran_is_refused(tmp_path: Path, missing: str) -> None:
    header = header_of(load_perception(), PROFILE)
    del header[missing]
    record = PerceptionRecord(tmp_path / "x.mcap", header)
    record.add("/in", 0, CODEC.pack(motion(0)))
    record.close()
    with pytest.raises(RecordError, match="does not say what ran"):
        replay_record(tmp_path / "x.mcap")
