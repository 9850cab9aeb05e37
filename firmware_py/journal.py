"""What the flight software tells the recorder, and nothing more: a protocol, so that a flight can do without one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from firmware_py.commands import CommandRecord

__all__ = ["Journal", "NoJournal"]


class Journal(Protocol):
    """Sink of events, commands, snapshots and the fast row. Calls return at once."""

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """Something happened."""

    def command(self, record: CommandRecord) -> None:
        """A command reached a stage."""

    def snapshot(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """The telemetry channels at the medium rate."""

    def fast_row(self, t_ns: int, row: bytes) -> None:
        """The packed row of one fast tick, for the crash-proof ring."""

    def medium_row(self, t_ns: int, row: bytes) -> None:
        """The packed row at the medium rate, for the longer ring."""

    def end_tick(self, t_ns: int) -> None:
        """A tick ended, with everything in it: store its bus transfers."""


class NoJournal:
    """Keeps events only in memory, bounded; for benchmarks and tests."""

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self.events: list[tuple[int, str, str, str]] = []
        self.commands: list[CommandRecord] = []

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """See Journal."""
        if len(self.events) < self._limit:
            self.events.append((t_ns, code, severity, text))

    def command(self, record: CommandRecord) -> None:
        """See Journal."""
        if len(self.commands) < self._limit:
            self.commands.append(record)

    def snapshot(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """See Journal."""

    def fast_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""

    def medium_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""

    def end_tick(self, t_ns: int) -> None:
        """See Journal."""
