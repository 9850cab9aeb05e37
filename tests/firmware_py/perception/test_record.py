"""The record: what is written is read back to the last byte, and nothing that is wrong with a file stops a flight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firmware_py.perception.playback import load_playback, record_in
from firmware_py.perception.port import CODEC, CraftMotion
from firmware_py.perception.record import (
    PerceptionRecord,
    pack_columns,
    pack_tracks,
    read_columns,
    read_header,
    read_perception,
    read_tracks,
)
from firmware_py.recorder import RecordError
from tests.firmware_py.perception.track_lists import NS, track_list


def motion(t_ns: int, x: float = 0.0) -> CraftMotion:
    return CraftMotion(
        t_ns, 1, "Idle", (x, 0.0, 0.0), (1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.1, 0.01, 0.001
    )


def written(path: Path) -> Path:
    record = PerceptionRecord(path, {"mission": "test", "seed": 1}, 1_000_000_000 * NS)
    for second in range(3):
        t_ns = second * NS
        record.add("/in", t_ns, CODEC.pack(motion(t_ns, float(second))))
        tracks = track_list([[10.0 - second, 0, 0, -1, 0, 0]], t_ns)
        record.add("/tracks", t_ns, pack_tracks(tracks))
        risk = {"track_id": tracks.track_id, "level": np.array([second], np.int8)}
        record.add("/risk", t_ns, pack_columns(t_ns, risk))
    record.event(2 * NS, "THREAT_HIGH", "warning", "track 1")
    record.close()
    record.close()
    return path


def test_columns_come_back_as_they_were() -> None:
    tracks = track_list(np.arange(18.0).reshape(3, 6))
    again = read_tracks(pack_tracks(tracks))
    for name in ("state", "covariance", "track_id", "status", "snr_db"):
        left, right = getattr(tracks, name), getattr(again, name)
        assert left.dtype == right.dtype
        assert left.tobytes() == right.tobytes()
    assert read_tracks(pack_tracks(track_list([]))).track_id.tolist() == []


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xa0", b"\x01", pack_columns(0, {"x": np.zeros(2)})])
def test_bytes_that_are_no_track_list_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"no (track list|columns)"):
        read_tracks(data)


def test_equal_input_gives_equal_files(tmp_path: Path) -> None:
    assert written(tmp_path / "a.mcap").read_bytes() == written(tmp_path / "b.mcap").read_bytes()


def test_a_playback_answers_for_any_time(tmp_path: Path) -> None:
    seen = load_playback(written(tmp_path / "perception.mcap"))
    assert seen.header["mission"] == "test"
    assert seen.tracks_at(-1) is None
    tracks = seen.tracks_at(NS + NS // 2)
    assert tracks is not None
    assert tracks.state[0, 0] == 9.0
    risk = seen.risk_at(99 * NS)
    assert risk is not None
    assert risk["level"].tolist() == [2]
    assert seen.grid_at(99 * NS) is None
    assert seen.own_at(NS)[0] == 1.0
    assert np.isnan(seen.own_at(-1)).all()
    assert [event.code for event in seen.events] == ["THREAT_HIGH"]
    assert {key: value.shape for key, value in seen.history(99 * NS).items()} == {1: (3, 3)}
    assert seen.history(-1) == {}


def test_a_torn_record_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    path = written(tmp_path / "perception.mcap")
    whole = path.read_bytes()
    for length in range(len(whole) - 1, len(whole) // 3, -37):
        path.write_bytes(whole[:length])
        try:
            messages = list(read_perception(path))
        except RecordError:
            continue
        assert len(messages) in (0, 10)


@pytest.mark.parametrize("content", [b"", b"no container", b"\x89MCAP0\r\n"])
def test_a_file_that_is_no_record_is_refused_with_the_next_step(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "perception.mcap"
    path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_header(path)
    assert caught.value.next_step
    with pytest.raises(RecordError, match="no such file"):
        read_header(tmp_path / "nowhere")


def test_a_folder_stands_for_the_record_in_it(tmp_path: Path) -> None:
    assert record_in(tmp_path) == tmp_path / "perception.mcap"
    assert record_in(tmp_path / "x.mcap") == tmp_path / "x.mcap"


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    path = written(tmp_path / "perception.mcap")
    with pytest.raises(RecordError, match="exists"):
        PerceptionRecord(path, {})
    with pytest.raises(RecordError, match="cannot be made"):
        PerceptionRecord(tmp_path / "no" / "folder.mcap", {})


def test_a_full_record_counts_what_it_drops_and_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "perception.mcap"
    record = PerceptionRecord(path, {"mission": "test"}, 0, max_bytes=100)
    for number in range(5):
        record.add("/in", number, bytes(40))
    record.close()
    assert record.dropped == 3
    assert "limit of 100 bytes" in str(record.failure)
    assert len(list(read_perception(path))) == 2


def test_columns_of_any_shape() -> None:
    t_ns, columns = read_columns(pack_columns(7, {"cells": np.zeros((0, 3)), "one": np.ones(1, np.float32)}))
    assert t_ns == 7
    assert columns["cells"].shape == (0, 3)
    assert columns["one"].dtype == np.float32
