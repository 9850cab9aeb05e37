"""The journal that keeps nothing on a medium: bounded, and interchangeable with the recorder."""

from __future__ import annotations

import inspect

from firmware_py.commands import CommandRecord, CommandState
from firmware_py.journal import Journal, NoJournal
from firmware_py.recorder.flight import FlightRecorder


def _methods(kind: type) -> dict[str, inspect.Signature]:
    return {name: inspect.signature(method) for name, method in inspect.getmembers(kind, inspect.isfunction)
            if not name.startswith("_")}


def test_recorder_and_bare_journal_offer_what_the_protocol_asks_for() -> None:
    wanted = _methods(Journal)
    assert wanted
    for kind in (NoJournal, FlightRecorder):
        offered = _methods(kind)
        assert {name: offered[name] for name in wanted} == wanted


def test_memory_is_bounded() -> None:
    journal = NoJournal(limit=3)
    record = CommandRecord(0, 1, "hold", "test", CommandState.ALLOWED, (), "", {})
    for number in range(10):
        journal.event(number, "CODE", "info", "")
        journal.command(record)
        journal.snapshot(number, {})
        journal.fast_row(number, b"")
        journal.medium_row(number, b"")
        journal.end_tick(number)
    assert [event[0] for event in journal.events] == [0, 1, 2]
    assert len(journal.commands) == 3
