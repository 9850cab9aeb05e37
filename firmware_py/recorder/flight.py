"""The recorder of one flight: journal in, MCAP file and crash-proof rings out, at most a few tens of us a tick.

Folder of a flight: ``flight.mcap`` (everything), ``ring-fast.bin`` and ``ring-medium.bin`` (the last seconds and
minutes, readable after a cut at any byte).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

from fdir.codes import Severity
from firmware_py.commands import CommandRecord
from firmware_py.recorder.blackbox import BlackBox
from firmware_py.recorder.ring import RingPair
from firmware_py.recorder.tap import TapLog

__all__ = ["FlightRecorder"]

FLUSH_NS = 1_000_000_000
CODE_BYTES = 48
"""Longest code of an event in its ring slot."""
TEXT_BYTES = 400
"""Longest text there; the MCAP file has the whole. Code, severity, text and framing fit the slot's 484 bytes."""
NEWEST_EVENTS = 12
RECORDING_STOPPED = "RECORDING_STOPPED"
"""Code of the event that the black box can't hold any more: the rings and the live view have it."""


class FlightRecorder:
    """Journal over a black box, the rings and the bus taps. Owned by the flight program.

    Args:
        folder: the flight's folder; made if missing, must not hold a flight already.
        header: what flew (``blackbox.REQUIRED_HEADER``).
        epoch_ns: UTC at flight time 0.
        taps: log of the tapped buses, or ``None`` where bus bytes are not recorded.
        attachments: texts by file name.
        fast_hz, medium_hz: rates of the rings.
        synchronise: bring the rings to the medium (a real craft); a simulation needs no such thing.
    """

    def __init__(
        self, folder: Path, header: Mapping[str, Any], epoch_ns: int, taps: TapLog | None,
        attachments: Mapping[str, str], *, fast_hz: int = 200, medium_hz: int = 20, synchronise: bool = False,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._taps = taps
        self._encode = msgspec.msgpack.Encoder().encode
        self.rings = RingPair.create(folder, fast_hz, medium_hz, epoch_ns, synchronise=synchronise)
        self.blackbox = BlackBox(
            folder / "flight.mcap", header, epoch_ns, buses=taps.names if taps is not None else (),
            attachments=attachments,
        )
        self.events = 0
        self.stopped: str | None = None
        """Why the black box takes nothing any more; ``None`` while it does."""
        self._flushed_ns = 0
        self.last_events: list[tuple[float, str, str, str]] = []
        """The newest few, for a live view: (s, severity, code, text)."""

    @property
    def dropped(self) -> int:
        """Messages that the black box and the rings could not keep."""
        return self.blackbox.dropped + self.rings.fast.failures + self.rings.medium.failures

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """See Journal. A warning or worse asks the rings to the medium; a critical one also closes the open chunk."""
        self._note(t_ns, str(code), str(severity), text)
        if severity == Severity.CRITICAL:
            self.blackbox.flush()
        if severity != Severity.INFO:
            self.rings.flush()
        self._look_for_failure(t_ns)

    def _note(self, t_ns: int, code: str, severity: str, text: str) -> None:
        self.events += 1
        self.blackbox.event(t_ns, code, severity, text)
        self.rings.event(self._encode((_cut(code, CODE_BYTES), severity, _cut(text, TEXT_BYTES))), t_ns)
        self.last_events.append((t_ns * 1e-9, severity, code, text))
        del self.last_events[:-NEWEST_EVENTS]

    def _look_for_failure(self, t_ns: int) -> None:
        """Say once that the black box has failed."""
        if self.stopped is None and self.blackbox.failure is not None:
            self.stopped = self.blackbox.failure
            self._note(t_ns, RECORDING_STOPPED, Severity.CRITICAL.value, self.stopped)
            self.rings.flush()

    def command(self, record: CommandRecord) -> None:
        """See Journal."""
        self.blackbox.command(
            record.t_ns, record.number, record.name, record.source, str(record.state), [str(c) for c in record.codes],
            record.detail, record.arguments,
        )

    def snapshot(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """See Journal."""
        self.blackbox.snapshot(t_ns, row)

    def fast_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        self.rings.fast.write(row, t_ns)

    def medium_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        self.rings.medium.write(row, t_ns)

    def end_tick(self, t_ns: int) -> None:
        """See Journal."""
        if self._taps is not None:
            self.blackbox.bus(t_ns, self._taps.take())
        if t_ns - self._flushed_ns >= FLUSH_NS:
            self._flushed_ns = t_ns
            self.rings.flush()
            self._look_for_failure(t_ns)

    def truth(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """What the rig knows."""
        self.blackbox.truth(t_ns, row)

    def timing(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """The scheduler's profile, on real clocks only."""
        self.blackbox.timing(t_ns, row)

    def close(self) -> None:
        """Finish both files."""
        self.blackbox.close()
        self.rings.close()

    def discard(self) -> None:
        """Close and remove what was made, the folder too if nothing else is in it: nothing was flown."""
        self.close()
        for path in (self.blackbox.path, self.rings.fast.path, self.rings.medium.path):
            path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    def __enter__(self) -> FlightRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _cut(text: str, size: int) -> str:
    """The longest beginning that takes at most ``size`` bytes of UTF-8."""
    return text.encode(errors="replace")[:size].decode(errors="ignore")
