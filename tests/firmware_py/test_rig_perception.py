"""The perception of a rig flight: in lockstep, with a record of each start, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firmware_py.cli.rig_perception import RigPerception
from firmware_py.cli.session import RigFlight
from firmware_py.mission import FaultConfig, MissionConfig, StepConfig, load_mission
from firmware_py.perception.playback import load_playback
from firmware_py.perception.port import ContactFrame
from firmware_py.perception.replay import replay_record
from firmware_py.recorder import RecordError
from hal.profile import load_profile
from tests.firmware_py.perception.port_craft import NS, PROFILE, motion

BUSY = load_mission("collision-course")
SHORT = msgspec.structs.replace(
    BUSY, mission="busy", duration_s=5.0, expect=(), steps=(StepConfig("boot", wait_for="Idle", stay_s=4.0),),
)


def flown(mission: MissionConfig, folder: Path, seed: int = 1) -> Path:
    profile = load_profile(mission.body, mission.board)
    RigFlight(mission, profile, folder, seed).run()
    return folder


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flown(SHORT, tmp_path_factory.mktemp("flights") / "busy")


def test_the_flight_leaves_a_record_beside_the_black_box_that_replays_to_the_last_byte(busy: Path) -> None:
    seen = load_playback(busy / "perception.mcap")
    assert seen.header["mission"] == "busy"
    assert seen.header["seed"] == 1
    assert seen.scans["radar"] > 40
    assert len(seen.track_ns) > 40
    result = replay_record(busy / "perception.mcap")
    assert (result.lists, result.differing) == (len(seen.track_ns), 0)


def test_what_comes_is_where_it_truly_is(busy: Path) -> None:
    seen = load_playback(busy / "perception.mcap")
    tracks = seen.tracks_at(4 * NS)
    assert tracks is not None
    (row,) = [row for row in range(len(tracks)) if tracks.firm[row]]
    away = float(((tracks.state[row, :3] - seen.own_at(4 * NS)[:3]) ** 2).sum() ** 0.5)
    # It starts 230 m ahead, with 8 m/s, when the craft does.
    assert away == pytest.approx(230.0 - 8.0 * 4.0, abs=3.0)


def test_the_same_flight_twice_is_the_same_to_the_last_byte(busy: Path, tmp_path: Path) -> None:
    again = flown(SHORT, tmp_path / "again")
    for name in ("flight.mcap", "perception.mcap"):
        assert (busy / name).read_bytes() == (again / name).read_bytes(), name


def test_a_program_that_is_killed_begins_to_look_around_anew_with_a_record_of_its_own(tmp_path: Path) -> None:
    killed = msgspec.structs.replace(
        SHORT, mission="killed", duration_s=9.0, faults=(FaultConfig("process_kill", at_s=3.0, for_s=1.0),),
        steps=(StepConfig("boot", wait_for="Idle", stay_s=8.0),),
    )
    folder = flown(killed, tmp_path / "killed")
    first, second = load_playback(folder / "perception.mcap"), load_playback(folder / "perception-2.mcap")
    assert first.end_ns <= 3 * NS + NS // 10
    assert second.track_ns
    # Its time begins anew, and its ids do too.
    assert second.track_ns[0] < first.track_ns[-1]
    assert second.header["epoch_ns"] > first.header["epoch_ns"]
    for name in ("perception.mcap", "perception-2.mcap"):
        result = replay_record(folder / name)
        assert result.lists > 10
        assert result.differing == 0


def test_a_board_without_a_radar_flies_with_surroundings_and_sees_nothing(tmp_path: Path) -> None:
    bench = msgspec.structs.replace(SHORT, mission="bench", board="bench-rpi", duration_s=2.0, steps=(
        StepConfig("wait", wait_for="nothing", stay_s=1.5),
    ))
    assert bench.surroundings is not None
    bench = msgspec.structs.replace(bench, initial=msgspec.structs.replace(bench.initial, loads_off=()))
    folder = flown(bench, tmp_path / "bench")
    seen = load_playback(folder / "perception.mcap")
    assert seen.track_ns == ()
    assert set(seen.scans) <= {"mag"}
    assert replay_record(folder / "perception.mcap").differing == 0


def test_without_surroundings_there_is_no_record_and_no_perception(tmp_path: Path) -> None:
    alone = msgspec.structs.replace(SHORT, mission="alone", surroundings=None, duration_s=1.0)
    flight = RigFlight(alone, PROFILE, tmp_path / "alone", 1)
    assert flight.eyes is None
    flight.run()
    assert not (tmp_path / "alone" / "perception.mcap").exists()


def test_each_start_has_a_port_of_its_own_and_the_record_before_is_whole(tmp_path: Path) -> None:
    eyes = RigPerception(PROFILE, tmp_path, {"mission": "made up"}, 0)
    eyes.step(0)
    old = eyes.start(0)
    old.send(motion(NS))  # type: ignore[arg-type]
    eyes.step(NS)
    assert any(isinstance(message, ContactFrame) for message in old.receive(9))
    new = eyes.start(5 * NS)
    assert len(load_playback(tmp_path / "perception.mcap").path) == 1
    old.send(motion(2 * NS))  # type: ignore[arg-type]
    eyes.step(2 * NS)
    assert new.receive(9) == []
    eyes.close()
    eyes.close()
    assert len(load_playback(tmp_path / "perception-2.mcap").path) == 0


def test_a_record_that_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "perception.mcap").write_bytes(b"mine")
    with pytest.raises(RecordError, match="exists"):
        RigPerception(PROFILE, tmp_path, {}, 0).start(0)
    assert (tmp_path / "perception.mcap").read_bytes() == b"mine"
