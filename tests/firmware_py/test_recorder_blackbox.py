"""The black box: equal messages give equal bytes, a crash costs the last chunk, errors never reach the flight."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from mcap.reader import make_reader

from comms.dictionary import TELEMETRY
from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import CHUNK_BYTES, REQUIRED_HEADER, BlackBox, infer_schema, snapshot_schema
from firmware_py.recorder.reader import read_flight

HEADER = {
    "software_version": "0.1.0", "hardware_profile_hash": "sha256:" + "ab" * 32, "body": "qiki-t", "board": "qiki-rpi",
    "mission": None, "seed": 7, "rates": {"fast_hz": 200, "medium_hz": 20, "slow_hz": 2},
}
EPOCH_NS = 1_800_000_000_000_000_000
BUSES = ("spi0", "can0")
ATTACHMENTS = {"body.yaml": "schema_version: 1\n", "note.txt": "первый полёт"}


def fly(path: Path, ticks: int = 400, close: bool = True, seed: int = 1) -> BlackBox:
    """Two seconds at 200 Hz with every channel."""
    rng = np.random.default_rng(seed)
    box = BlackBox(path, HEADER, EPOCH_NS, buses=BUSES, attachments=ATTACHMENTS)
    for tick in range(ticks):
        t_ns = tick * 5_000_000
        box.bus(t_ns, [(0, 5, 0, bytes(20), rng.bytes(20), None), (1, 6, 0x310, rng.bytes(8), None, None)])
        if tick % 10 == 0:
            row = {"t_s": t_ns * 1e-9, "motion": "Idle", "rate_rad_s": tuple(rng.normal(size=3)), "sun_body": None,
                   "temperature_c": {"core": 20.5, "battery": None}, "armed": True}
            box.snapshot(t_ns, row)
            box.truth(t_ns, {"position_m": (1.0, 2.0, 3.0), "speed": np.float64(0.5)})
    box.event(ticks * 5_000_000, "BAT_LOW", "warning", "battery at 9 %", {"soc": 0.09})
    box.command(ticks * 5_000_000, 3, "slew", "operator", "rejected", ("SAFE_LOCKED",), "in SAFE", {"angle_deg": 30.0})
    if close:
        box.close()
    return box


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_equal_messages_give_equal_bytes(tmp_path: Path) -> None:
    fly(tmp_path / "a.mcap")
    fly(tmp_path / "b.mcap")
    fly(tmp_path / "c.mcap", seed=2)
    assert digest(tmp_path / "a.mcap") == digest(tmp_path / "b.mcap")
    assert digest(tmp_path / "a.mcap") != digest(tmp_path / "c.mcap")


def test_nothing_of_the_machine_or_its_libraries_is_in_the_file(tmp_path: Path) -> None:
    fly(tmp_path / "a.mcap")
    with (tmp_path / "a.mcap").open("rb") as file:
        header = make_reader(file).get_header()
    assert header.profile == "qiki"
    assert header.library == "qiki-flight format 1"


def test_the_container_librarys_own_reader_reads_it(tmp_path: Path) -> None:
    fly(tmp_path / "a.mcap")
    with (tmp_path / "a.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary is not None
        assert summary.statistics is not None
        topics = {channel.topic: channel.id for channel in summary.channels.values()}
        counts = {topic: summary.statistics.channel_message_counts.get(number, 0) for topic, number in topics.items()}
        assert counts == {"/snapshot": 40, "/event": 1, "/command": 1, "/bus": 400, "/truth": 40}
        stamps = [message.log_time for _, _, message in reader.iter_messages("/snapshot")]
        schemas = {channel.topic: summary.schemas.get(channel.schema_id) for channel in summary.channels.values()}
        assert {attachment.name for attachment in reader.iter_attachments()} == set(ATTACHMENTS)
    assert stamps == [EPOCH_NS + tick * 50_000_000 for tick in range(40)]
    assert schemas["/snapshot"] is not None
    assert schemas["/snapshot"].encoding == "jsonschema"
    assert schemas["/bus"] is None


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    fly(tmp_path / "a.mcap")
    flight = read_flight(tmp_path / "a.mcap")
    assert flight.complete
    assert flight.damage == ()
    assert {key: flight.header[key] for key in REQUIRED_HEADER} == HEADER
    assert flight.attachments == ATTACHMENTS
    assert flight.buses == BUSES
    assert (flight.start_ns, flight.end_ns) == (0, 2_000_000_000)
    event = flight.rows("/event")[0]
    assert event == (2_000_000_000, "/event", {
        "code": "BAT_LOW", "severity": "warning", "text": "battery at 9 %", "data": {"soc": 0.09},
    })
    assert flight.rows("/command")[0].value["codes"] == ["SAFE_LOCKED"]
    assert flight.rows("/truth")[0].value["speed"] == 0.5
    assert flight.rows("/bus")[0].value[0][:4] == [0, 5, 0, bytes(20)]
    times, values = flight.series("/snapshot", "temperature_c.core")
    assert times[1] == pytest.approx(0.05)
    assert set(values) == {20.5}
    assert set(flight.series("/snapshot", "temperature_c.battery")[1]) == {None}
    assert set(flight.series("/snapshot", "sun_body[0]")[1]) == {None}


def test_a_number_that_is_not_finite_is_stored_as_missing(tmp_path: Path) -> None:
    with BlackBox(tmp_path / "a.mcap", HEADER) as box:
        box.snapshot(0, {"x": float("nan"), "y": float("inf"), "z": np.array([1.0, np.nan])})
    assert read_flight(tmp_path / "a.mcap").rows("/snapshot")[0].value == {"x": None, "y": None, "z": [1.0, None]}


def test_what_cannot_be_recorded_is_refused_by_its_type(tmp_path: Path) -> None:
    with BlackBox(tmp_path / "a.mcap", HEADER) as box, pytest.raises(TypeError, match="Path"):
        box.snapshot(0, {"x": {1: tmp_path}})


def test_every_channel_of_the_telemetry_table_is_in_the_schema_with_its_unit() -> None:
    properties = snapshot_schema()["properties"]
    assert list(properties) == [channel.name for channel in TELEMETRY]
    assert properties["rate_rad_s"]["items"] == {"type": "number"}
    assert "[rad/s]" in properties["rate_rad_s"]["description"]


def test_a_schema_is_inferred_from_one_row() -> None:
    assert infer_schema({"a": 1, "b": {"c": [True], "d": "x"}, "e": [], "f": None}) == {
        "type": "object",
        "properties": {
            "a": {"type": "number"},
            "b": {"type": "object", "properties": {
                "c": {"type": "array", "items": {"type": "boolean"}}, "d": {"type": "string"},
            }},
            "e": {"type": "array", "items": {"type": "number"}},
        },
    }


def test_a_file_that_was_never_closed_is_read_to_its_last_whole_chunk(tmp_path: Path) -> None:
    box = fly(tmp_path / "a.mcap", ticks=4000, close=False)
    flight = read_flight(tmp_path / "a.mcap")
    box.close()
    assert not flight.complete
    assert flight.header["body"] == "qiki-t"
    assert flight.attachments == ATTACHMENTS
    # What is lost fits into one chunk: a tick takes more than 80 bytes of it.
    assert 4000 - CHUNK_BYTES // 80 < flight.counts["/bus"] < 4000


def test_flush_brings_out_everything_so_far(tmp_path: Path) -> None:
    box = fly(tmp_path / "a.mcap", close=False)
    box.flush()
    flight = read_flight(tmp_path / "a.mcap")
    box.close()
    assert flight.counts["/bus"] == 400
    assert not flight.complete
    assert flight.damage == ()


def test_a_flight_that_is_there_is_never_overwritten_unasked(tmp_path: Path) -> None:
    fly(tmp_path / "a.mcap")
    before = digest(tmp_path / "a.mcap")
    with pytest.raises(RecordError, match="exists"):
        BlackBox(tmp_path / "a.mcap", HEADER)
    assert digest(tmp_path / "a.mcap") == before
    BlackBox(tmp_path / "a.mcap", HEADER, overwrite=True).close()
    assert digest(tmp_path / "a.mcap") != before


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="folder does not exist"):
        BlackBox(tmp_path / "no" / "a.mcap", HEADER)


def test_an_incomplete_header_is_refused_with_the_keys_it_lacks(tmp_path: Path) -> None:
    header = {key: value for key, value in HEADER.items() if key not in ("seed", "body")}
    with pytest.raises(ValueError, match="body, seed"):
        BlackBox(tmp_path / "a.mcap", header)
    assert not (tmp_path / "a.mcap").exists()


def test_a_file_at_its_limit_is_finished_and_what_follows_is_counted(tmp_path: Path) -> None:
    box = BlackBox(tmp_path / "a.mcap", HEADER, max_bytes=100_000)
    rng = np.random.default_rng(3)
    for tick in range(5000):
        box.bus(tick, [(0, 5, 0, b"", rng.bytes(50), None)])
    assert box.failure is not None
    assert "limit of 100000 bytes" in box.failure
    assert box.size_bytes < 200_000
    box.close()
    flight = read_flight(tmp_path / "a.mcap")
    assert flight.complete
    assert flight.counts["/bus"] + box.dropped == 5000


def test_a_medium_that_fails_never_stops_the_flight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = fly(tmp_path / "a.mcap", close=False)
    box.flush()
    whole = box.size_bytes
    write = os.write
    left = 1000

    def full_disk(descriptor: int, data: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(28, "No space left on device")
        done = write(descriptor, data[:left])
        left -= done
        return done

    monkeypatch.setattr(os, "write", full_disk)
    for tick in range(2000):
        box.event(3_000_000_000 + tick, "CPU_OVERRUN", "info", f"tick {tick}")
    assert box.failure is not None or box.dropped == 0
    box.flush()
    assert box.failure == "No space left on device"
    box.event(4_000_000_000, "BAT_LOW", "info")
    assert box.dropped >= 1
    box.close()
    assert box.failure == "No space left on device"
    monkeypatch.undo()
    flight = read_flight(tmp_path / "a.mcap")
    assert flight.counts["/bus"] == 400
    assert not flight.complete
    assert flight.damage == (f"cut or unreadable from byte {whole} of {whole + 1000}",)


def test_messages_after_close_are_counted_as_dropped(tmp_path: Path) -> None:
    box = fly(tmp_path / "a.mcap")
    assert box.failure is None
    box.event(0, "BAT_LOW", "info")
    box.close()
    assert box.dropped == 1
