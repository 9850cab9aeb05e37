"""A record to look at: any moment of it, the whole of it, and one that is damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firmware_py.perception.config import load_perception
from firmware_py.perception.playback import load_playback, record_in
from firmware_py.perception.record import PerceptionRecord
from firmware_py.perception.replay import header_of
from firmware_py.recorder import RecordError
from tests.firmware_py.perception.port_craft import NS, PROFILE, PortCraft


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something comes along x for three seconds, then the lidar maps for two."""
    path = tmp_path_factory.mktemp("seen") / "perception.mcap"
    craft = PortCraft(record=PerceptionRecord(path, header_of(load_perception(), PROFILE), 1_000_000 * NS))
    craft.approach(70.0, 6.0, 42)
    craft.order("perception_mode", mode="cartography")
    for _ in range(20):
        craft.t_ns += NS // 10
        craft.send(craft.turn([6.0] * 300))
        craft.step()
    craft.wait(1.5)
    craft.perception.close()
    return path


def test_any_moment_has_the_list_that_was_known_then(path: Path) -> None:
    seen = load_playback(path)
    assert seen.scans == {"lidar": 20, "radar": 42}
    tracks = seen.tracks_at(3 * NS)
    assert tracks is not None
    assert tracks.t_ns <= 3 * NS
    assert tracks.state[0, 0] == pytest.approx(1.1 + 70.0 - 6.0 * 2.0, abs=1.0)
    risk = seen.risk_at(3 * NS)
    assert risk is not None
    assert risk["track_id"].tolist() == tracks.track_id.tolist()
    assert seen.tracks_at(0) is None
    assert seen.risk_at(0) is None


def test_the_times_of_lists_rise_so_that_they_can_be_searched(path: Path) -> None:
    seen = load_playback(path)
    assert list(seen.track_ns) == sorted(seen.track_ns)
    assert list(seen.risk_ns) == sorted(seen.risk_ns)
    assert seen.end_ns >= seen.track_ns[-1]


def test_the_grid_is_that_of_its_time(path: Path) -> None:
    seen = load_playback(path)
    early, late = seen.grid_at(2 * NS), seen.grid_at(seen.end_ns)
    assert early is None or not len(early["centre_m"])
    assert late is not None
    assert len(late["centre_m"]) == len(late["probability"]) > 10


def test_a_history_is_bounded_and_ends_at_its_time(path: Path) -> None:
    seen = load_playback(path)
    whole = seen.history(3 * NS)
    assert 20 <= len(whole[1]) <= 42
    few = seen.history(3 * NS, most=5)
    assert len(few[1]) <= 5
    assert np.array_equal(few[1][-1], whole[1][-1])


def test_events_are_in_the_order_of_their_times(path: Path) -> None:
    events = load_playback(path).events
    assert {"PERCEPTION_MODE", "MAP_UPDATE"} <= {event.code for event in events}
    assert [event.t_ns for event in events] == sorted(event.t_ns for event in events)


def test_a_record_of_nothing_can_be_looked_at(tmp_path: Path) -> None:
    PerceptionRecord(tmp_path / "perception.mcap", {"mission": "x"}).close()
    seen = load_playback(record_in(tmp_path))
    assert seen.track_ns == seen.risk_ns == seen.grid_ns == seen.events == ()
    assert seen.end_ns == 0
    assert np.isnan(seen.own_at(5)).all()
    assert seen.history(9 * NS) == {}


def test_damage_anywhere_is_a_refusal_or_a_shorter_record_and_nothing_else(path: Path, tmp_path: Path) -> None:
    whole = path.read_bytes()
    hurt = tmp_path / "perception.mcap"
    refused = 0
    for place in range(0, len(whole), max(1, len(whole) // 60)):
        data = bytearray(whole)
        data[place] ^= 0xFF
        hurt.write_bytes(data)
        try:
            seen = load_playback(hurt)
        except RecordError:
            refused += 1
            continue
        for t_ns in (0, 2 * NS, 9 * NS):
            seen.tracks_at(t_ns)
            seen.risk_at(t_ns)
            seen.grid_at(t_ns)
    for length in range(0, len(whole), max(1, len(whole) // 30)):
        hurt.write_bytes(whole[:length])
        try:
            read = len(load_playback(hurt).track_ns)
        except RecordError:
            refused += 1
            continue
        assert read <= 62
    # Some of it is the header, without which it is no record; by far not all of it.
    assert 0 < refused < 60


def test_a_list_that_is_none_is_found_when_the_record_is_read(tmp_path: Path) -> None:
    record = PerceptionRecord(tmp_path / "perception.mcap", {"mission": "x"})
    record.add("/tracks", 5, b"rubbish")
    record.close()
    with pytest.raises(RecordError, match="damaged"):
        load_playback(tmp_path / "perception.mcap")
