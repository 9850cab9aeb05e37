"""Records for other programs: a row for every track of every list, as columns that any program reads."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest

from firmware_py.perception.export import RerunMissing, write_csv, write_rerun
from firmware_py.perception.playback import load_playback
from tests.firmware_py.perception.test_record import written


def test_csv_has_every_column_of_a_track_and_empty_cells_for_what_is_missing(tmp_path: Path) -> None:
    seen = load_playback(written(tmp_path / "perception.mcap"))
    assert write_csv(seen, tmp_path / "tracks.csv") == 3
    with (tmp_path / "tracks.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["risk"] for row in rows] == ["ok", "warn", "crit"]
    # The craft is a metre further in each list, and the track a metre nearer.
    assert [float(row["range_m"]) for row in rows] == [10.0, 8.0, 6.0]
    assert rows[0]["transponder_id"] == rows[0]["snr_db"] == ""
    assert {f"position_covariance_{n}" for n in range(6)} <= set(rows[0])
    assert not any("nan" in value.lower() for row in rows for value in row.values())


def test_a_record_without_tracks_gives_no_rows(tmp_path: Path) -> None:
    from firmware_py.perception.record import PerceptionRecord

    PerceptionRecord(tmp_path / "perception.mcap", {}).close()
    assert write_csv(load_playback(tmp_path / "perception.mcap"), tmp_path / "x.csv") == 0


def test_a_place_that_is_none_is_an_os_error(tmp_path: Path) -> None:
    seen = load_playback(written(tmp_path / "perception.mcap"))
    with pytest.raises(OSError):  # noqa: PT011 - which one is the system's word
        write_csv(seen, tmp_path / "no" / "x.csv")


def test_without_the_viewers_library_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(RerunMissing, match="not installed"):
        write_rerun(load_playback(written(tmp_path / "perception.mcap")), tmp_path / "x.rrd")
    assert not (tmp_path / "x.rrd").exists()


def test_with_it_a_file_is_written(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="the extra rerun is not installed")
    assert write_rerun(load_playback(written(tmp_path / "perception.mcap")), tmp_path / "x.rrd") == 3
    assert (tmp_path / "x.rrd").stat().st_size > 100
