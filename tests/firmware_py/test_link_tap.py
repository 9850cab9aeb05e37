"""The journal that also tells the link: everything is recorded first, and every stage finds its sender."""

from __future__ import annotations

from typing import Any

from comms.flight_port import CommandStage, EventNote, LocalPort, Snapshot
from firmware_py.commands import CommandRecord, CommandState
from firmware_py.journal import NoJournal
from firmware_py.link_tap import LinkTap


class Told(NoJournal):
    """A journal that keeps rows too."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[str, Any]] = []

    def snapshot(self, t_ns: int, row: Any) -> None:
        self.rows.append(("snapshot", t_ns))

    def fast_row(self, t_ns: int, row: bytes) -> None:
        self.rows.append(("fast", row))

    def medium_row(self, t_ns: int, row: bytes) -> None:
        self.rows.append(("medium", row))

    def end_tick(self, t_ns: int) -> None:
        self.rows.append(("end", t_ns))


def record(number: int, state: CommandState, name: str = "hold", source: str = "ann") -> CommandRecord:
    return CommandRecord(number, number, name, source, state, (), "", {})


def tapped(every: int = 1, limit: int = 64) -> tuple[LinkTap, Told, LocalPort]:
    journal, port = Told(), LocalPort(limit)
    return LinkTap(journal, port.flight, every), journal, port


def test_events_and_snapshots_are_recorded_and_told() -> None:
    tap, journal, port = tapped()
    tap.event(5, "MODE_CHANGED", "info", "Boot -> Idle")
    tap.snapshot(6, {"t_s": 6e-9})
    assert port.link.receive(9) == [EventNote(5, "MODE_CHANGED", "info", "Boot -> Idle"), Snapshot(6, {"t_s": 6e-9})]
    assert journal.events == [(5, "MODE_CHANGED", "info", "Boot -> Idle")]
    assert journal.rows == [("snapshot", 6)]


def test_rows_of_the_rings_and_ends_of_ticks_are_the_recorders_alone() -> None:
    tap, journal, port = tapped()
    tap.fast_row(1, b"f")
    tap.medium_row(2, b"m")
    tap.end_tick(3)
    assert journal.rows == [("fast", b"f"), ("medium", b"m"), ("end", 3)]
    assert port.link.receive(9) == []


def test_one_snapshot_in_so_many_is_told_and_every_one_recorded() -> None:
    tap, journal, port = tapped(every=4)
    for t_ns in range(1, 13):
        tap.snapshot(t_ns, {})
    assert [message.t_ns for message in port.link.receive(99)] == [4, 8, 12]
    assert len(journal.rows) == 12


def test_a_command_of_the_crafts_own_has_no_id() -> None:
    tap, journal, port = tapped()
    tap.command(record(3, CommandState.ALLOWED, source="script"))
    assert port.link.receive(9) == [CommandStage(3, 3, "", "script", "hold", "allowed")]
    assert len(journal.commands) == 1


def test_stages_of_a_request_carry_its_id_also_long_after_it_was_taken() -> None:
    tap, _, port = tapped()
    tap.hold(7, "ann", "ann:12")
    tap.command(record(7, CommandState.REQUESTED))
    assert port.link.receive(9) == []
    tap.release(7, record(7, CommandState.ALLOWED))
    tap.command(record(7, CommandState.EFFECT_CONFIRMED))
    told = port.link.receive(9)
    assert [(stage.sender, stage.command_id, str(stage.stage)) for stage in told] == [
        ("ann", "ann:12", "requested"), ("ann", "ann:12", "effect_confirmed"),
    ]


def test_a_repeated_request_is_answered_with_the_first_verdict_alone() -> None:
    tap, journal, port = tapped()
    tap.hold(8, "ann", "ann:12")
    tap.command(record(8, CommandState.REQUESTED))
    tap.command(record(8, CommandState.REJECTED))
    tap.command(record(2, CommandState.ABORTED, name="slew", source="script"))
    tap.release(8, record(7, CommandState.ALLOWED))
    told = port.link.receive(9)
    # What happens to another command meanwhile is told all the same.
    assert [(stage.number, stage.command_id, str(stage.stage)) for stage in told] == [
        (2, "", "aborted"), (7, "ann:12", "allowed"),
    ]
    assert len(journal.commands) == 3
    tap.command(record(8, CommandState.AUDITED))
    assert port.link.receive(9)[0].command_id == ""


def test_ids_of_the_oldest_requests_are_forgotten_at_a_bound() -> None:
    tap, _, port = tapped(limit=2000)
    for number in range(1, 301):
        tap.hold(number, "ann", f"ann:{number}")
        tap.release(number, record(number, CommandState.ALLOWED))
    for number in (1, 44, 45, 300):
        tap.command(record(number, CommandState.AUDITED))
    assert [stage.command_id for stage in port.link.receive(2000)] == ["", "", "ann:45", "ann:300"]


def test_a_full_port_costs_the_recorder_nothing() -> None:
    tap, journal, port = tapped(limit=2)
    for t_ns in range(10):
        tap.event(t_ns, "X", "info", "")
    assert len(journal.events) == 10
    assert port.flight.dropped == 8
