"""The recorder of one flight: journal in, MCAP file and crash-proof rings out, at most a few tens of us a tick.

Folder of a flight: ``flight.mcap`` (everything), ``ring-fast.bin`` and ``ring-medium.bin`` (the last seconds and
minutes, readable after a cut at any byte).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from firmware_py.recorder.blackbox import BlackBox
from firmware_py.recorder.kept import RECORDING_STOPPED, KeptJournal
from firmware_py.recorder.ring import RingPair
from firmware_py.recorder.tap import TapLog

__all__ = ["RECORDING_STOPPED", "FlightRecorder"]


class FlightRecorder(KeptJournal):
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
        rings = RingPair.create(folder, fast_hz, medium_hz, epoch_ns, synchronise=synchronise)
        self.blackbox = BlackBox(
            folder / "flight.mcap", header, epoch_ns, buses=taps.names if taps is not None else (),
            attachments=attachments,
        )
        super().__init__(rings, self.blackbox, taps)

    def truth(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """What the rig knows."""
        self.blackbox.truth(t_ns, row)

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
