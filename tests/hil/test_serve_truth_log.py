"""The truth log: a line for every change of valves and watchdog, full ones by time, never more than its room."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hal.profile import load_profile
from hil.plant.world import InitialState
from hil.rig import Rig
from hil.serve.truth_log import TruthLog

MS = 1_000_000


@pytest.fixture
def rig() -> Rig:
    return Rig(load_profile("qiki-t", "qiki-rpi"), InitialState(epoch=0), 1)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def move(rig: Rig, log: TruthLog, to_ms: int) -> None:
    while rig.now_ns < to_ms * MS:
        rig.advance(rig.now_ns + MS)
        log.step(7 * 10**9 + rig.now_ns)


def test_full_lines_come_by_time_and_hold_the_state(rig: Rig, tmp_path: Path) -> None:
    log = TruthLog(tmp_path / "truth.jsonl", rig)
    move(rig, log, 200)
    log.close()
    written = rows(tmp_path / "truth.jsonl")
    assert [row["t"] for row in written] == [0.001, 0.051, 0.101, 0.151]
    assert all(row["machine_s"] == pytest.approx(7.0 + row["t"]) for row in written)
    assert written[0]["turned_deg"] == pytest.approx(0.0, abs=1e-6)
    assert written[0]["open_mask"] == 0
    assert len(written[0]["quaternion"]) == 4


def test_the_watchdogs_end_stands_at_its_own_step(rig: Rig, tmp_path: Path) -> None:
    log = TruthLog(tmp_path / "truth.jsonl", rig)
    gpio, lines = rig.buses["gpio"], rig.profile.board.lines
    move(rig, log, 10)
    gpio.set(lines.valve_enable, True)
    gpio.set(lines.watchdog_kick, True)
    move(rig, log, 200)
    log.close()
    changes = [row for row in rows(tmp_path / "truth.jsonl") if "quaternion" not in row]
    assert [(row["t"], row["enabled"]) for row in changes] == [(0.011, True), (pytest.approx(0.111), False)]


def test_an_open_valve_is_a_line_of_its_own(rig: Rig, tmp_path: Path) -> None:
    log = TruthLog(tmp_path / "truth.jsonl", rig)
    move(rig, log, 5)
    end = rig.inject("nozzle_stuck_on", {"nozzle": 3})
    move(rig, log, 40)
    end()
    log.note(8 * 10**9, fault="nozzle_stuck_on nozzle 3", begins=False)
    log.close()
    written = rows(tmp_path / "truth.jsonl")
    assert any(row.get("open_mask") == 1 << 3 for row in written)
    assert written[-1] == {"t": 0.04, "machine_s": 8.0, "fault": "nozzle_stuck_on nozzle 3", "begins": False}


def test_a_full_file_is_put_aside_and_the_room_of_two_is_all_that_is_taken(rig: Rig, tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    log = TruthLog(path, rig, period_ns=MS, largest_bytes=4000)
    move(rig, log, 100)
    log.close()
    assert log.lines == 100
    assert path.stat().st_size <= 4000
    assert (tmp_path / "truth.jsonl.1").stat().st_size <= 4000
    assert sorted(p.name for p in tmp_path.iterdir()) == ["truth.jsonl", "truth.jsonl.1"]
    assert rows(path)[-1]["t"] == 0.1


def test_a_folder_that_is_not_there_is_told(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        TruthLog(tmp_path / "none" / "truth.jsonl", rig)
