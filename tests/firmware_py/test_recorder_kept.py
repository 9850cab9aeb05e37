"""The journal over rings and a box: what fails is told once, what is well again too, and the rings have it all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fdir.codes import Severity
from firmware_py.commands import CommandRecord
from firmware_py.recorder.kept import RECORDING_RESUMED, RECORDING_STOPPED, KeptJournal
from firmware_py.recorder.ring import RingPair, read_ring
from firmware_py.recorder.tap import TapLog

SECOND = 1_000_000_000


class Box:
    """Remembers the calls."""

    def __init__(self) -> None:
        self.dropped = 0
        self.failure: str | None = None
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self.calls.append((name, *arguments))

    def names(self) -> list[str]:
        return [call[0] for call in self.calls]


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def journal(tmp_path: Path, box: Box) -> Iterator[KeptJournal]:
    rings = RingPair.create(tmp_path, synchronise=False)
    yield KeptJournal(rings, box, TapLog())
    rings.close()


def test_a_critical_event_is_on_its_way_at_once_others_wait(journal: KeptJournal, box: Box) -> None:
    journal.event(1, "A", Severity.INFO, "x")
    journal.event(2, "B", Severity.WARNING, "x")
    assert "flush" not in box.names()
    journal.event(3, "C", Severity.CRITICAL, "x")
    assert box.names() == ["event", "event", "event", "flush"]
    assert journal.events == 3


def test_failure_and_recovery_are_told_once_each(journal: KeptJournal, box: Box, tmp_path: Path) -> None:
    box.failure = "no room"
    for number in range(1, 4):
        journal.end_tick(number * SECOND)
    assert journal.stopped == "no room"
    box.failure, box.dropped = None, 17
    for number in range(4, 7):
        journal.end_tick(number * SECOND)
    assert journal.stopped is None
    told = [call for call in box.calls if call[0] == "event"]
    assert [call[2] for call in told] == [RECORDING_STOPPED, RECORDING_RESUMED]
    assert "17 rows" in told[1][4]
    kept = [
        msgspec.msgpack.decode(record.payload)[0] for record in read_ring(tmp_path / "ring-medium.bin").records
        if record.kind == RingPair.EVENT
    ]
    assert kept == [RECORDING_STOPPED, RECORDING_RESUMED]
    assert journal.dropped == 17


def test_ticks_rows_and_commands_go_where_they_belong(journal: KeptJournal, box: Box, tmp_path: Path) -> None:
    journal.fast_row(1, b"fast")
    journal.medium_row(2, b"medium")
    journal.end_tick(3)
    journal.snapshot(4, {"a": 1})
    journal.timing(5, {"ticks": 1})
    fields = dict.fromkeys(CommandRecord.__dataclass_fields__)
    record = CommandRecord(**{**fields, "t_ns": 6, "number": 7, "name": "hold", "codes": ()})  # type: ignore[arg-type]
    journal.command(record)
    assert box.names() == ["bus", "snapshot", "timing", "command"]
    assert box.calls[-1][1:4] == (6, 7, "hold")
    assert [record.payload for record in read_ring(tmp_path / "ring-fast.bin").records] == [b"fast"]
    assert [record.payload for record in read_ring(tmp_path / "ring-medium.bin").records] == [b"medium"]
