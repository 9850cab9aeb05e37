"""A flight recorded in parts: one a start, what the rig knows in between, a witness while the medium refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware_py.cli.flight_parts import FlightParts
from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import Flight, read_flight
from firmware_py.recorder.tap import TapLog
from hal.profile.board import RateConfig

SECOND = 1_000_000_000
EPOCH = 1_782_000_000 * SECOND
RATES = RateConfig(fast_hz=200, medium_hz=20, slow_hz=2)
HEADER = {
    "software_version": "1", "hardware_profile_hash": "sha256:0", "body": "b", "board": "b", "mission": "m", "seed": 1,
    "rates": {},
}


def parts(folder: Path) -> FlightParts:
    return FlightParts(folder, HEADER, EPOCH, RATES)


def flight(folder: Path, part: int = 1) -> Flight:
    return read_flight((folder if part == 1 else folder / f"part-{part}") / "flight.mcap")


def events(folder: Path, part: int = 1) -> list[tuple[float, str]]:
    return [(row.t_ns / SECOND, row.value["text"]) for row in flight(folder, part).rows("/event")]


def truths(folder: Path, part: int = 1) -> list[tuple[float, Any]]:
    return [(row.t_ns / SECOND, row.value["x"]) for row in flight(folder, part).rows("/truth")]


def tell(record: FlightParts, t_s: float, text: str) -> None:
    """The program tells something that is on the medium at once, at its own flight time."""
    record.journal.event(round(t_s * SECOND), "CODE", "critical", text)


def test_a_flight_without_a_restart_is_one_part(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {"mission.yaml": "text"}, 3)
    tell(record, 1.0, "one")
    record.truth(2 * SECOND, {"x": 1})
    record.note(3 * SECOND, "eclipse")
    record.close(4 * SECOND)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flight.mcap", "ring-fast.bin", "ring-medium.bin"]
    whole = flight(tmp_path)
    assert whole.complete
    assert (whole.header["steps"], whole.header.get("start"), whole.attachments) == (3, None, {"mission.yaml": "text"})
    assert events(tmp_path) == [(1.0, "one"), (3.0, "eclipse")]
    assert truths(tmp_path) == [(2.0, 1)]
    assert record.events == 2


def test_a_later_start_writes_a_part_of_its_own_and_touches_nothing_before(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {"mission.yaml": "whole"}, 3)
    tell(record, 1.0, "before")
    record.abandon()
    before = (tmp_path / "flight.mcap").read_bytes()
    record.open(TapLog(), 10 * SECOND, {"mission.yaml": "rest"}, 1)
    tell(record, 1.0, "after")
    record.close(12 * SECOND)
    assert (tmp_path / "flight.mcap").read_bytes() == before
    assert not flight(tmp_path).complete
    second = flight(tmp_path, 2)
    assert second.complete
    assert (second.header["start"], second.header["steps"]) == (2, 1)
    assert second.attachments["mission.yaml"] == "rest"
    assert second.epoch_ns == EPOCH + 10 * SECOND
    assert (events(tmp_path), events(tmp_path, 2)) == ([(1.0, "before")], [(1.0, "after")])
    assert record.events == 2


def test_what_happens_between_two_starts_stands_in_the_later_part_at_negative_times(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    record.abandon()
    record.note(4 * SECOND, "power_cut")
    record.truth(5 * SECOND, {"x": 5})
    record.truth(7 * SECOND, {"x": 7})
    record.open(TapLog(), 8 * SECOND, {}, 1)
    record.truth(9 * SECOND, {"x": 9})
    record.note(9 * SECOND, "program started again")
    record.close(9 * SECOND)
    assert truths(tmp_path, 2) == [(-3.0, 5), (-1.0, 7), (1.0, 9)]
    assert events(tmp_path, 2) == [(-4.0, "power_cut"), (1.0, "program started again")]


def test_if_the_program_never_comes_back_the_rig_keeps_a_part_of_its_own(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    record.abandon()
    record.note(4 * SECOND, "process_kill")
    record.truth(5 * SECOND, {"x": 5})
    record.close(6 * SECOND)
    last = flight(tmp_path, 2)
    assert (last.header["witness"], last.header["steps"], last.complete) == (True, 0, True)
    assert last.epoch_ns == EPOCH + 6 * SECOND
    assert (events(tmp_path, 2), truths(tmp_path, 2)) == ([(-2.0, "process_kill")], [(-1.0, 5)])


def test_a_program_that_ends_by_itself_leaves_whole_files(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    record.journal.event(SECOND, "CODE", "info", "last words")
    record.finish()
    record.open(TapLog(), 3 * SECOND, {}, 1)
    record.close(4 * SECOND)
    assert flight(tmp_path).complete
    assert events(tmp_path) == [(1.0, "last words")]
    assert record.events == 1


def test_a_program_that_is_killed_loses_no_more_than_its_open_chunk(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    tell(record, 1.0, "kept")
    record.journal.event(2 * SECOND, "CODE", "info", "in the open chunk")
    record.abandon()
    record.close(3 * SECOND)
    assert events(tmp_path) == [(1.0, "kept")]


# -- a medium that refuses


@pytest.mark.parametrize("rings", [False, True])
def test_while_the_medium_refuses_a_witness_hears_all(tmp_path: Path, rings: bool) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    tell(record, 1.0, "kept")
    end = record.fail(rings)
    record.note(2 * SECOND, "disk_full")
    tell(record, 2.5, "lost to the black box")
    record.truth(3 * SECOND, {"x": 3})
    end()
    tell(record, 4.0, "nor does it begin again")
    record.close(5 * SECOND)
    assert events(tmp_path) == [(1.0, "kept")]
    witness = flight(tmp_path, 2)
    assert (witness.header["witness"], witness.header["steps"], witness.complete) == (True, 0, True)
    assert events(tmp_path, 2) == [(2.0, "disk_full"), (2.5, "lost to the black box"), (4.0, "nor does it begin again")]
    assert truths(tmp_path, 2) == [(3.0, 3)]
    assert record.recorder.stopped == "No space left on device"
    assert (record.recorder.rings.medium.failures > 0) is rings


def test_two_faults_of_the_medium_have_one_witness(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    record.fail(False)
    record.fail(True)
    tell(record, 1.0, "once")
    record.close(2 * SECOND)
    assert events(tmp_path, 2) == [(1.0, "once")]
    assert not (tmp_path / "part-3").exists()


def test_a_start_on_a_medium_that_still_refuses_begins_with_its_witness(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    end = record.fail(False)
    record.abandon()
    record.note(2 * SECOND, "process_kill")
    record.open(TapLog(), 3 * SECOND, {}, 1)
    tell(record, 1.0, "second start")
    record.abandon()
    end()
    record.open(TapLog(), 8 * SECOND, {}, 1)
    tell(record, 1.0, "third start")
    record.close(10 * SECOND)
    # 1 the first start, 2 its witness, 3 the second start, 4 its witness, 5 the third start.
    assert [flight(tmp_path, n).header.get("witness", False) for n in (1, 2, 4, 5)] == [False, True, True, False]
    assert events(tmp_path, 4) == [(-1.0, "process_kill"), (1.0, "second start")]
    assert events(tmp_path, 5) == [(1.0, "third start")]


# -- nothing flown


def test_a_part_that_flew_nothing_can_be_taken_back(tmp_path: Path) -> None:
    record = parts(tmp_path / "f")
    record.open(TapLog(), 0, {}, 1)
    record.discard()
    assert not (tmp_path / "f").exists()
    record.close(0)


def test_a_folder_that_holds_a_flight_is_refused(tmp_path: Path) -> None:
    first = parts(tmp_path)
    first.open(TapLog(), 0, {}, 1)
    first.close(0)
    with pytest.raises(RecordError):
        parts(tmp_path).open(TapLog(), 0, {}, 1)


def test_a_profile_of_the_scheduler_goes_into_the_running_part(tmp_path: Path) -> None:
    record = parts(tmp_path)
    record.open(TapLog(), 0, {}, 1)
    record.timing(SECOND, {"ticks": 5})
    record.abandon()
    record.timing(2 * SECOND, {"ticks": 6})
    record.open(TapLog(), 3 * SECOND, {}, 1)
    record.timing(5 * SECOND, {"ticks": 7})
    record.close(6 * SECOND)
    rows = [(row.t_ns / SECOND, row.value["ticks"]) for row in flight(tmp_path, 2).rows("/timing")]
    assert rows == [(2.0, 7)]
