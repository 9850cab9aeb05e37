"""Journal over crash rings and a box of rows: what must survive a crash is in the rings before anything else is tried.

The box is a file of this process (``firmware_py.recorder.flight``) or a recorder beside it
(``firmware_py.recorder.remote``). A box that fails is told once, and once more when it takes rows again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

from fdir.codes import Severity
from firmware_py.commands import CommandRecord
from firmware_py.recorder.ring import RingPair
from firmware_py.recorder.tap import TapLog, Transfer

__all__ = ["FLIGHT_ENDING", "RECORDING_RESUMED", "RECORDING_STOPPED", "Box", "KeptJournal"]

FLUSH_NS = 1_000_000_000
CODE_BYTES = 48
"""Longest code of an event in its ring slot."""
TEXT_BYTES = 400
"""Longest text there; the box has the whole. Code, severity, text and framing fit the slot's 484 bytes."""
NEWEST_EVENTS = 12
RECORDING_STOPPED = "RECORDING_STOPPED"
"""Code of the event that the black box can't hold any more: the rings and the live view have it."""
FLIGHT_ENDING = "FLIGHT_ENDING"
"""Code of the event that the program was told to stop: what it does from there on is of no use to a replay."""
RECORDING_RESUMED = "RECORDING_RESUMED"
"""Code of the event that it takes rows again."""


class Box(Protocol):
    """What rows are handed to. Nothing here raises or waits in flight."""

    @property
    def dropped(self) -> int:
        """Rows lost since start."""

    @property
    def failure(self) -> str | None:
        """Why nothing is kept at present; ``None`` while it is."""

    def snapshot(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """See RowWriter; so with the others."""

    def event(self, t_ns: int, code: str, severity: str, text: str = "") -> None: ...

    def command(
        self, t_ns: int, number: int, name: str, source: str, state: str, codes: Sequence[str] = (), detail: str = "",
        arguments: Mapping[str, Any] | None = None,
    ) -> None: ...

    def bus(self, t_ns: int, transfers: Sequence[Transfer]) -> None: ...

    def timing(self, t_ns: int, row: Mapping[str, Any]) -> None: ...

    def flush(self) -> None:
        """What was handed over is on its way now."""


class KeptJournal:
    """Journal over a box, the rings and the bus taps. Owned by the flight program.

    Args:
        rings: crash memory of this flight.
        box: where rows go.
        taps: log of the tapped buses, or ``None`` where bus bytes are not recorded.

    Attributes:
        events: told since start.
        stopped: why the box takes nothing at present; ``None`` while it does.
        last_events: the newest few, for a live view: (s, severity, code, text).
    """

    def __init__(self, rings: RingPair, box: Box, taps: TapLog | None) -> None:
        self.rings = rings
        self.events = 0
        self.stopped: str | None = None
        self.last_events: list[tuple[float, str, str, str]] = []
        self._box = box
        self._taps = taps
        self._encode = msgspec.msgpack.Encoder().encode
        self._flushed_ns = 0

    @property
    def dropped(self) -> int:
        """Messages that the box and the rings could not keep."""
        return self._box.dropped + self.rings.fast.failures + self.rings.medium.failures

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """See Journal. A warning or worse asks the rings to the medium; a critical one also sends the box on its way.
        """
        self._note(t_ns, str(code), str(severity), text)
        if severity == Severity.CRITICAL:
            self._box.flush()
        if severity != Severity.INFO:
            self.rings.flush()
        self._look_for_failure(t_ns)

    def _note(self, t_ns: int, code: str, severity: str, text: str) -> None:
        self.events += 1
        self._box.event(t_ns, code, severity, text)
        self.rings.event(self._encode((_cut(code, CODE_BYTES), severity, _cut(text, TEXT_BYTES))), t_ns)
        self.last_events.append((t_ns * 1e-9, severity, code, text))
        del self.last_events[:-NEWEST_EVENTS]

    def _look_for_failure(self, t_ns: int) -> None:
        """Say once that the box has failed, and once that it is well again."""
        failure = self._box.failure
        if self.stopped is None and failure is not None:
            self.stopped = failure
            self._note(t_ns, RECORDING_STOPPED, Severity.CRITICAL.value, failure)
            self.rings.flush()
        elif self.stopped is not None and failure is None:
            self.stopped = None
            self._note(t_ns, RECORDING_RESUMED, Severity.INFO.value, f"{self._box.dropped} rows were lost since start")

    def command(self, record: CommandRecord) -> None:
        """See Journal."""
        self._box.command(
            record.t_ns, record.number, record.name, record.source, str(record.state), [str(c) for c in record.codes],
            record.detail, record.arguments,
        )

    def snapshot(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """See Journal."""
        self._box.snapshot(t_ns, row)

    def fast_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        self.rings.fast.write(row, t_ns)

    def medium_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        self.rings.medium.write(row, t_ns)

    def end_tick(self, t_ns: int) -> None:
        """See Journal."""
        if self._taps is not None:
            self._box.bus(t_ns, self._taps.take())
        if t_ns - self._flushed_ns >= FLUSH_NS:
            self._flushed_ns = t_ns
            self.rings.flush()
            self._look_for_failure(t_ns)

    def timing(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """The scheduler's profile, on real clocks only."""
        self._box.timing(t_ns, row)


def _cut(text: str, size: int) -> str:
    """The longest beginning that takes at most ``size`` bytes of UTF-8."""
    return text.encode(errors="replace")[:size].decode(errors="ignore")
