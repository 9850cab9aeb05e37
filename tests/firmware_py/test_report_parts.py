"""Parts of a flight joined into one row of time, counted from the first start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import BlackBox
from firmware_py.recorder.reader import read_flight
from firmware_py.report.parts import joined, later_parts, rows_of

SECOND = 1_000_000_000
EPOCH = 1_782_000_000 * SECOND


def part(folder: Path, number: int, start_s: float, times_s: list[float], **header: Any) -> Path:
    place = folder if number == 1 else folder / f"part-{number}"
    place.mkdir(parents=True, exist_ok=True)
    known = {
        "software_version": "1", "hardware_profile_hash": None, "body": "b", "board": "b", "mission": "m", "seed": 1,
        "rates": {}, **header,
    }
    with BlackBox(place / "flight.mcap", known, EPOCH + round(start_s * SECOND)) as box:
        for t_s in times_s:
            t_ns = round(t_s * SECOND)
            box.snapshot(t_ns, {"t_s": t_s})
            box.truth(t_ns, {"x": t_s})
            box.event(t_ns, "CODE", "info", f"part {number}")
            box.command(t_ns, 1, "hold", "ground", "accepted")
    return place / "flight.mcap"


def test_a_flight_in_one_part_is_that_part(tmp_path: Path) -> None:
    first = part(tmp_path, 1, 0.0, [1.0, 2.0], steps=3)
    data = joined(read_flight(first))
    assert later_parts(first) == []
    assert [t_ns / SECOND for t_ns, _ in data.snapshots] == [1.0, 2.0]
    assert data.metadata["steps"] == "3"
    assert data.metadata["mission"] == "m"


def test_later_parts_go_on_where_they_began_with_all_channels(tmp_path: Path) -> None:
    first = part(tmp_path, 1, 0.0, [1.0], steps=3)
    second = part(tmp_path, 2, 10.0, [-2.0, 1.5], steps=1, start=2)
    third = part(tmp_path, 3, 20.0, [0.5], steps=0, witness=True)
    assert later_parts(first) == [second, third]
    data = joined(read_flight(first))
    times = [1.0, 8.0, 11.5, 20.5]
    for rows in (data.snapshots, data.truth, data.events, data.commands):
        assert [t_ns / SECOND for t_ns, _ in rows] == times
    assert [row["text"] for _, row in data.events] == ["part 1", "part 2", "part 2", "part 3"]
    assert data.metadata["steps"] == "4"
    assert "witness" not in data.metadata


def test_a_part_by_itself_is_opened_by_naming_it(tmp_path: Path) -> None:
    part(tmp_path, 1, 0.0, [1.0])
    second = part(tmp_path, 2, 10.0, [1.5])
    assert [t_ns / SECOND for t_ns, _ in joined(read_flight(second)).snapshots] == [1.5]


def test_numbers_that_are_missing_end_the_row(tmp_path: Path) -> None:
    first = part(tmp_path, 1, 0.0, [1.0])
    part(tmp_path, 3, 10.0, [1.5])
    assert later_parts(first) == []


def test_without_steps_there_is_no_number_of_steps(tmp_path: Path) -> None:
    first = part(tmp_path, 1, 0.0, [1.0])
    part(tmp_path, 2, 10.0, [1.5], steps=1)
    assert "steps" not in joined(read_flight(first)).metadata


def test_a_part_that_began_before_the_first_is_of_another_flight(tmp_path: Path) -> None:
    first = part(tmp_path, 1, 10.0, [1.0])
    part(tmp_path, 2, 9.999, [1.5])
    with pytest.raises(RecordError, match="began before the first part"):
        joined(read_flight(first))


def test_a_part_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    first = part(tmp_path, 1, 0.0, [1.0])
    part(tmp_path, 2, 9.0, [1.5]).write_bytes(b"")
    with pytest.raises(RecordError):
        joined(read_flight(first))


def test_rows_can_be_moved_in_time(tmp_path: Path) -> None:
    rows = rows_of(read_flight(part(tmp_path, 1, 0.0, [1.0])), 5)
    assert rows["/event"] == [(SECOND + 5, {"code": "CODE", "severity": "info", "text": "part 1", "data": None})]
    assert set(rows) == {"/snapshot", "/truth", "/event", "/command"}
