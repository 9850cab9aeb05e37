"""Rows as bytes are the same whoever keeps them."""

from __future__ import annotations

import math
from pathlib import Path

import cbor2
import msgspec
import numpy as np
import pytest

from firmware_py.recorder.blackbox import REQUIRED_HEADER, BlackBox
from firmware_py.recorder.rows import BUS, COMMAND, EVENT, SNAPSHOT, RowWriter


class Kept(RowWriter):
    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, int, bytes]] = []

    def _add(self, channel: int, t_ns: int, data: bytes) -> None:
        self.rows.append((channel, t_ns, data))


def told(writer: RowWriter) -> None:
    writer.snapshot(1, {"a": np.float64(1.5), "b": math.nan, "c": None})
    writer.event(2, "CODE", "warning", "text", {"n": 1})
    writer.command(3, 7, "hold", "operator", "done", ["OK"], "detail", {"x": 1})
    writer.bus(4, [(0, 6, 1, b"x", None, None)])


def test_every_kind_of_row_has_its_channel_and_its_bytes() -> None:
    kept = Kept()
    told(kept)
    assert [row[:2] for row in kept.rows] == [(SNAPSHOT, 1), (EVENT, 2), (COMMAND, 3), (BUS, 4)]
    snapshot, event, command, bus = (row[2] for row in kept.rows)
    assert msgspec.json.decode(snapshot) == {"a": 1.5, "b": None, "c": None}
    assert msgspec.json.decode(event) == {"code": "CODE", "severity": "warning", "text": "text", "data": {"n": 1}}
    assert msgspec.json.decode(command)["number"] == 7
    assert cbor2.loads(bus) == [[0, 6, 1, b"x", None, None]]


def test_a_file_written_from_rows_is_the_file_written_at_once(tmp_path: Path) -> None:
    header = dict.fromkeys(REQUIRED_HEADER)
    with BlackBox(tmp_path / "at-once.mcap", header) as box:
        told(box)
    kept = Kept()
    told(kept)
    with BlackBox(tmp_path / "from-rows.mcap", header) as box:
        for row in kept.rows:
            box.encoded(*row)
        with pytest.raises(ValueError, match="channel 5"):
            box.encoded(5, 0, b"{}")
    assert (tmp_path / "from-rows.mcap").read_bytes() == (tmp_path / "at-once.mcap").read_bytes()


def test_what_cannot_be_recorded_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="object cannot be recorded"):
        Kept().snapshot(0, {"a": object()})
