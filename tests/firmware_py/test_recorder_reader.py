"""The reader: ours or a clear refusal; a cut or damaged file gives what is whole and says what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.writer import Writer

from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import BlackBox
from firmware_py.recorder.reader import flatten, read_flight
from firmware_py.recorder.ring import RingFile

HEADER = {
    "software_version": "0.1.0", "hardware_profile_hash": "sha256:00", "body": "b", "board": "c", "mission": "m",
    "seed": 1, "rates": {},
}


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Three chunks of noise, which does not compress, and a /truth channel."""
    rng = np.random.default_rng(5)
    with BlackBox(tmp_path / "flight.mcap", HEADER, 1000, buses=["x"], attachments={"body.yaml": "a: 1\n"}) as box:
        for tick in range(900):
            box.bus(tick * 5_000_000, [(0, 5, 0, b"", rng.bytes(60), None)])
            if tick == 450:
                box.truth(tick * 5_000_000, {"x": 1.0})
    return tmp_path / "flight.mcap"


def refusal(path: Path) -> str:
    with pytest.raises(RecordError) as caught:
        read_flight(path)
    assert str(path) in str(caught.value)
    assert caught.value.next_step
    return caught.value.problem


def test_missing_empty_folder_and_foreign_files_are_refused_by_name(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.mcap") == "does not exist"
    assert refusal(tmp_path) == "is a folder"
    (tmp_path / "empty.mcap").touch()
    assert refusal(tmp_path / "empty.mcap") == "is empty"
    (tmp_path / "log.csv").write_text("t_s,x\n0.0,1.0\n")
    assert refusal(tmp_path / "log.csv") == "looks like a text or CSV file"
    (tmp_path / "photo.png").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    assert refusal(tmp_path / "photo.png") == "is not an MCAP file"
    RingFile.create(tmp_path / "ring.bin", 64, 4).close()
    assert "crash ring" in refusal(tmp_path / "ring.bin")


def test_a_foreign_mcap_is_refused_with_its_profile(tmp_path: Path) -> None:
    with (tmp_path / "ros.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start("ros2", "somebody")
        channel = writer.register_channel("/x", "json", 0)
        writer.add_message(channel, 1, b"{}", 1)
        writer.finish()
    assert "MCAP of another program (profile 'ros2'" in refusal(tmp_path / "ros.mcap")


def test_a_later_format_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "new.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start("qiki", "x")
        writer.add_metadata("qiki.flight", {"format": "99", "epoch_ns": "0"})
        writer.finish()
    assert "format 99" in refusal(tmp_path / "new.mcap")


@pytest.mark.parametrize(("metadata", "problem"), [({"format": "{"}, "not JSON"), ({"format": "1"}, "without format")])
def test_metadata_of_another_make_is_refused(tmp_path: Path, metadata: dict[str, str], problem: str) -> None:
    with (tmp_path / "odd.mcap").open("wb") as file:
        writer = Writer(file)
        writer.start("qiki", "x")
        writer.add_metadata("qiki.flight", metadata)
        writer.finish()
    assert problem in refusal(tmp_path / "odd.mcap")


def test_a_file_cut_anywhere_is_read_or_refused_and_never_loses_what_was_whole(recording: Path, tmp_path: Path) -> None:
    data = recording.read_bytes()
    cut = tmp_path / "cut.mcap"
    readable = -1
    refused = []
    for length in [*range(1, 1200, 7), *range(1200, len(data), 997), len(data) - 1]:
        cut.write_bytes(data[:length])
        try:
            flight = read_flight(cut)
        except RecordError as error:
            refused.append((error.problem, readable))
            continue
        count = flight.counts.get("/bus", 0)
        assert count >= readable
        readable = count
        assert len(flight.rows("/bus")) == count
        assert flight.header["seed"] == 1
        # Only the magic after the footer may be gone without harm.
        assert not flight.complete or length > len(data) - 9
    assert readable == 900
    assert set(refused) == {("is cut before its metadata", -1)}


def test_a_damaged_chunk_is_skipped_counted_and_named(recording: Path) -> None:
    with recording.open("rb") as file:
        summary = make_reader(file).get_summary()
    assert summary is not None
    first = summary.chunk_indexes[0]
    data = bytearray(recording.read_bytes())
    data[first.chunk_start_offset + first.chunk_length // 2] ^= 0xFF
    recording.write_bytes(data)
    flight = read_flight(recording)
    assert flight.complete
    assert flight.damage == (f"1 of {len(summary.chunk_indexes)} chunks fail their check",)
    assert 0 < flight.counts["/bus"] < 900
    assert flight.counts["/truth"] == 1
    assert len(flight.rows("/bus")) == flight.counts["/bus"]


def test_random_damage_never_raises_anything_but_a_record_error(recording: Path) -> None:
    data = recording.read_bytes()
    rng = np.random.default_rng(11)
    for _ in range(150):
        broken = bytearray(data)
        for position in rng.integers(8, len(data), size=3):
            broken[position] ^= int(rng.integers(1, 256))
        recording.write_bytes(broken)
        try:
            flight = read_flight(recording)
            list(flight.messages())
        except RecordError:
            continue


def test_a_file_that_changes_after_opening_is_reported(recording: Path) -> None:
    flight = read_flight(recording)
    recording.write_bytes(recording.read_bytes()[:3000])
    with pytest.raises(RecordError, match="changed while it was read"):
        flight.rows("/bus")


def test_messages_are_lazy_and_can_be_chosen_by_channel(recording: Path) -> None:
    flight = read_flight(recording)
    assert next(flight.messages()).t_ns == 0
    assert [record.topic for record in flight.messages("/truth")] == ["/truth"]
    assert flight.rows("/none") == []


def test_flatten_names_columns_by_path() -> None:
    assert list(flatten({"a": {"b": [1, {"c": None}]}, "d": "x"})) == [("a.b[0]", 1), ("a.b[1].c", None), ("d", "x")]
