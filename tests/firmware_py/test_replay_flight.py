"""A recorded flight, flown again: the same software does the same, a changed one shows where it differs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firmware_py.cli.session import RigFlight
from firmware_py.journal import NoJournal
from firmware_py.mission import load_mission
from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import REQUIRED_HEADER, BlackBox
from firmware_py.recorder.kept import FLIGHT_ENDING
from firmware_py.recorder.reader import read_flight
from firmware_py.replay_flight import attached, replay_flight
from hal.profile import Profile, load_profile
from hal.profile.loader import find_config

MISSION = """
schema_version: 1
mission: replayed
description: A tumble, a turn, an inertial unit that is silent for a moment, and a valve node that restarts
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
duration_s: 14
initial: {rate_deg_s: [2, -1, 1], attitude_deg: [25, -10, 140], loads_off: [radar, nbl]}
steps:
  - {name: boot, wait_for: Idle}
  - {name: detumble, command: detumble}
  - {name: turn, command: slew, arguments: {axis: [0, 0, 1], angle_deg: 60}}
faults:
  - {kind: bus_fault, at_s: 3, for_s: 0.03, parameters: {bus: spi0, fault: timeout}}
  - {kind: bus_fault, at_s: 4, for_s: 1, parameters: {bus: i2c_a, fault: bit_flip, probability: 0.2}}
  - {kind: valve_node_reset, at_s: 8, parameters: {node: valves_b}}
"""


def fly(folder: Path, attach: bool) -> Path:
    file = folder / "mission.yaml"
    file.write_text(MISSION)
    texts = {
        "mission.yaml": MISSION, "body.yaml": find_config("bodies", "qiki-t").read_text(),
        "board.yaml": find_config("boards", "qiki-rpi").read_text(),
    }
    profile = load_profile("qiki-t", "qiki-rpi")
    flight = RigFlight(load_mission(str(file)), profile, folder / "flight", 1, texts=texts if attach else None)
    return flight.run().folder


@pytest.fixture(scope="module")
def flight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fly(tmp_path_factory.mktemp("replay"), attach=True) / "flight.mcap"


def test_the_software_that_flew_does_the_same_again(flight: Path) -> None:
    journal = NoJournal()
    result = replay_flight(flight, journal=journal)
    assert result.identical, result.first
    assert result.ticks == 2800
    assert result.commands_compared > 1000
    flown = [(r.t_ns, r.value["code"], r.value["text"]) for r in read_flight(flight).messages("/event")]
    events = [(t_ns, str(code), text) for t_ns, code, _, text in journal.events]
    assert events == [event for event in flown if event[1] != "RIG_FAULT"]


def _slower(profile: Profile) -> Profile:
    limits = msgspec.structs.replace(profile.body.limits, slew_rate_deg_s=1.5)
    return profile._replace(body=msgspec.structs.replace(profile.body, limits=limits))


def _fewer_samples(profile: Profile) -> Profile:
    devices = tuple(
        msgspec.structs.replace(d, rate_hz=5.0) if d.name == "bus_monitor" else d for d in profile.board.devices
    )
    return profile._replace(board=msgspec.structs.replace(profile.board, devices=devices))


def test_a_changed_limit_shows_as_changed_commands_from_the_turn_on(flight: Path) -> None:
    profile, _ = attached(read_flight(flight))
    result = replay_flight(flight, _slower(profile))
    assert result.first is not None
    assert result.first.bus == "can0"
    # Nothing before the turn depends on the slew rate.
    turn_ns = next(r.t_ns for r in read_flight(flight).messages("/command") if r.value["name"] == "slew")
    assert result.first.t_ns >= turn_ns


def test_a_device_that_is_asked_less_often_shows_as_reads_left_out(flight: Path) -> None:
    profile, _ = attached(read_flight(flight))
    result = replay_flight(flight, _fewer_samples(profile))
    assert result.first is not None
    assert result.first.bus.startswith("i2c")


def test_a_cut_recording_is_replayed_as_far_as_it_goes(flight: Path, tmp_path: Path) -> None:
    data = flight.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(data[: len(data) // 2])
    result = replay_flight(cut)
    assert result.identical, result.first
    assert 500 < result.ticks < 2800


def test_a_recording_without_its_texts_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    path = fly(tmp_path, attach=False) / "flight.mcap"
    with pytest.raises(RecordError, match=r"has no mission.yaml, body.yaml, board.yaml attached"):
        replay_flight(path)


def test_a_recording_without_bus_traffic_is_refused(tmp_path: Path) -> None:
    with BlackBox(tmp_path / "x.mcap", dict.fromkeys(REQUIRED_HEADER)) as box:
        box.event(0, "A", "info")
    with pytest.raises(RecordError, match="no bus traffic"):
        replay_flight(tmp_path / "x.mcap")


def test_ticks_that_were_lost_are_lost_again(tmp_path: Path) -> None:
    hangs = [f"  - {{kind: cpu_hang, at_s: {at_s}, parameters: {{ms: {ms}}}}}\n" for at_s, ms in ((6, 42), (9, 13))]
    text = MISSION[: MISSION.index("faults:")] + "faults:\n" + "".join(hangs)
    file = tmp_path / "mission.yaml"
    file.write_text(text)
    texts = {
        "mission.yaml": text, "body.yaml": find_config("bodies", "qiki-t").read_text(),
        "board.yaml": find_config("boards", "qiki-rpi").read_text(),
    }
    profile = load_profile("qiki-t", "qiki-rpi")
    flown = tmp_path / "flight" / "flight.mcap"
    RigFlight(load_mission(str(file)), profile, flown.parent, 1, texts=texts).run()
    recording = read_flight(flown)
    lost = [row.value["text"] for row in recording.rows("/event") if row.value["code"] == "TICKS_LOST"]
    journal = NoJournal()
    result = replay_flight(flown, journal=journal)
    assert result.ticks == recording.counts["/bus"]
    assert lost
    assert [text for _, code, _, text in journal.events if code == "TICKS_LOST"] == lost


def test_what_a_program_does_after_it_was_told_to_stop_is_not_replayed(tmp_path: Path, flight: Path) -> None:
    recording = read_flight(flight)
    stopped_ns = 5_000_000_000
    path = tmp_path / "stopped.mcap"
    with BlackBox(path, recording.header, recording.epoch_ns, buses=recording.buses,
                  attachments=recording.attachments) as box:
        for record in recording.messages("/bus"):
            box.bus(record.t_ns, record.value)
        box.event(stopped_ns, FLIGHT_ENDING, "info")
    result = replay_flight(path)
    assert result.identical
    assert result.ticks == stopped_ns // 5_000_000


def test_a_file_that_begins_in_the_middle_of_a_flight_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "middle.mcap"
    BlackBox(path, {**dict.fromkeys(REQUIRED_HEADER), "first_row": 12}).close()
    with pytest.raises(RecordError, match="middle of a flight, with its row 12"):
        replay_flight(path)
