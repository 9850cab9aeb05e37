"""Journal that also tells the link: events, stages of commands, snapshots. What finds no room there is counted."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from comms.flight_port import CommandStage, EventNote, Port, Snapshot
from firmware_py.commands import CommandRecord
from firmware_py.journal import Journal

__all__ = ["LinkTap"]

MOST_REQUESTS = 256


class LinkTap:
    """A journal before another one.

    Args:
        journal: where everything goes first, whatever becomes of the link.
        port: the flight loop's end.
        every: one snapshot in so many goes to the link.
    """

    def __init__(self, journal: Journal, port: Port, every: int = 1) -> None:
        self._journal = journal
        self._port = port
        self._every = max(1, every)
        self._turn = 0
        self._ids: OrderedDict[int, tuple[str, str]] = OrderedDict()
        """By number of a command: sender and id of the request that it came from."""
        self._held: list[CommandStage] | None = None

    def hold(self, number: int, sender: str, command_id: str) -> None:
        """A request is about to be taken under ``number``: stages are held back until ``release``."""
        self._ids[number] = (sender, command_id)
        while len(self._ids) > MOST_REQUESTS:
            self._ids.popitem(last=False)
        self._held = []

    def release(self, number: int, verdict: CommandRecord) -> None:
        """The request was taken. If its id had been used, its sender is told the first verdict and nothing else."""
        held, self._held = self._held or [], None
        if verdict.number == number:
            for stage in held:
                self._port.send(stage)
            return
        sender, command_id = self._ids.pop(number)
        for stage in held:
            if stage.number != number:
                self._port.send(stage)
        self._port.send(_stage(verdict, sender, command_id))

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """See Journal."""
        self._journal.event(t_ns, code, severity, text)
        self._port.send(EventNote(t_ns, str(code), str(severity), text))

    def command(self, record: CommandRecord) -> None:
        """See Journal."""
        self._journal.command(record)
        sender, command_id = self._ids.get(record.number, (record.source, ""))
        stage = _stage(record, sender, command_id)
        if self._held is not None:
            self._held.append(stage)
        else:
            self._port.send(stage)

    def snapshot(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """See Journal."""
        self._journal.snapshot(t_ns, row)
        self._turn = (self._turn + 1) % self._every
        if self._turn == 0:
            self._port.send(Snapshot(t_ns, row))

    def fast_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        self._journal.fast_row(t_ns, row)

    def medium_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        self._journal.medium_row(t_ns, row)

    def end_tick(self, t_ns: int) -> None:
        """See Journal."""
        self._journal.end_tick(t_ns)


def _stage(record: CommandRecord, sender: str, command_id: str) -> CommandStage:
    return CommandStage(
        record.t_ns, record.number, command_id, sender, record.name, record.state.value,
        tuple(code.value for code in record.codes), record.detail,
    )
