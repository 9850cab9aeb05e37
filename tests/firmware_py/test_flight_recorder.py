"""The recorder of a flight: what matters most survives a crash, and a recorder that fails says so once."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import REQUIRED_HEADER
from firmware_py.recorder.flight import RECORDING_STOPPED, FlightRecorder
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.ring import RingPair, read_ring

HEADER = dict.fromkeys(REQUIRED_HEADER)
MS = 1_000_000


def recorder(folder: Path) -> FlightRecorder:
    return FlightRecorder(folder, HEADER, 1_000, None, {})


def ring_events(folder: Path) -> list[list[str]]:
    return [
        msgspec.msgpack.decode(record.payload)
        for record in read_ring(folder / "ring-medium.bin").records if record.kind == RingPair.EVENT
    ]


@pytest.mark.parametrize("letter", ["a", "ö", "€", "🛰"])
def test_an_event_of_any_length_and_script_fits_its_slot(tmp_path: Path, letter: str) -> None:
    text, code = letter * 1000, "C" * 300
    with recorder(tmp_path) as journal:
        journal.event(5, code, "warning", text)
    [(kept_code, severity, kept)] = ring_events(tmp_path)
    assert severity == "warning"
    assert code.startswith(kept_code)
    assert text.startswith(kept)
    assert 396 < len(kept.encode()) <= 400
    [event] = read_flight(tmp_path / "flight.mcap").rows("/event")
    assert (event.value["code"], event.value["text"]) == (code, text)


def test_a_critical_event_is_on_the_medium_before_the_file_is_closed(tmp_path: Path) -> None:
    journal = recorder(tmp_path)
    journal.event(1, "FIRST", "info", "waits in its chunk")
    assert read_flight(tmp_path / "flight.mcap").counts.get("/event", 0) == 0
    journal.event(2, "SECOND", "critical", "does not")
    crashed = read_flight(tmp_path / "flight.mcap")
    assert [event.value["code"] for event in crashed.rows("/event")] == ["FIRST", "SECOND"]
    assert not crashed.complete
    journal.close()


def test_a_black_box_that_fails_is_told_once_and_the_rings_go_on(tmp_path: Path) -> None:
    journal = recorder(tmp_path)
    journal.blackbox._max_bytes = journal.blackbox.size_bytes + 1  # a medium that is full from now on
    for number in range(1, 8):
        journal.event(number, "NOTE", "critical", "again")
    told = [event for event in ring_events(tmp_path) if event[0] == RECORDING_STOPPED]
    assert len(told) == 1
    assert "limit" in told[0][2]
    assert journal.stopped == told[0][2]
    assert journal.dropped > 0
    assert [event[2] for event in journal.last_events].count(RECORDING_STOPPED) == 1
    assert len(ring_events(tmp_path)) == 8
    journal.close()


def test_a_failure_without_any_event_is_seen_within_a_second(tmp_path: Path) -> None:
    journal = recorder(tmp_path)
    journal.end_tick(1_000 * MS)
    journal.blackbox._max_bytes = 1
    journal.snapshot(1_100 * MS, {"t_s": 1.1})
    journal.end_tick(1_900 * MS)
    assert journal.stopped is None
    journal.end_tick(2_000 * MS)
    assert journal.stopped is not None
    journal.close()


def test_the_live_view_gets_the_newest_twelve_events(tmp_path: Path) -> None:
    with recorder(tmp_path) as journal:
        for number in range(20):
            journal.event(number, f"CODE{number}", "info", "")
    assert [event[2] for event in journal.last_events] == [f"CODE{number}" for number in range(8, 20)]
    assert journal.events == 20


def test_rows_go_to_their_rings(tmp_path: Path) -> None:
    with recorder(tmp_path) as journal:
        journal.fast_row(10, b"fast")
        journal.medium_row(20, b"medium")
    assert [(r.t_ns, r.payload) for r in read_ring(tmp_path / "ring-fast.bin").records] == [(10, b"fast")]
    assert [(r.t_ns, r.payload) for r in read_ring(tmp_path / "ring-medium.bin").records] == [(20, b"medium")]


def test_a_folder_that_holds_a_flight_is_not_flown_into(tmp_path: Path) -> None:
    recorder(tmp_path).close()
    before = (tmp_path / "flight.mcap").read_bytes()
    with pytest.raises(RecordError):
        recorder(tmp_path)
    assert (tmp_path / "flight.mcap").read_bytes() == before


def test_a_discarded_recording_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    recorder(tmp_path / "flight").discard()
    assert not (tmp_path / "flight").exists()
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    recorder(tmp_path / "kept").discard()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["notes.txt"]
