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
EVENT_ROW_BYTES = 400
"""Longest text of an event in its ring slot; the MCAP file has the whole."""


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
            folder / "flight.mcap", header, epoch_ns, buses=taps.names if taps is not None else (), attachments=attachments
        )
        self.events = 0
        self._flushed_ns = 0
        self.last_events: list[tuple[float, str, str, str]] = []
        """The newest few, for a live view: (s, severity, code, text)."""

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """See Journal. A warning or worse also asks the rings to the medium."""
        self.events += 1
        self.blackbox.event(t_ns, str(code), str(severity), text)
        self.rings.event(self._encode((str(code), str(severity), text[:EVENT_ROW_BYTES])), t_ns)
        self.last_events.append((t_ns * 1e-9, str(severity), str(code), text))
        del self.last_events[:-12]
        if severity != Severity.INFO:
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

    def __enter__(self) -> FlightRecorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
