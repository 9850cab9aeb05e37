"""The record of one flight on the rig, in parts: one for each start of the program, and the rig's own where needed.

Part 1 lies in the flight's folder. A program that is started again writes part 2 to ``part-2``, and so on: what an
earlier start has written is never touched again. A part's time counts from its own start, and its epoch says when that
was. What the rig knows of the time between two starts stands at the beginning of the later part, at negative times.

When the computer's medium refuses (``fail``), the rig goes on listening: a part of its own, ``witness`` in its header,
holds what the black box would have held but for the bytes of the buses.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fdir.codes import Severity
from firmware_py.cli.rig_computer import Tee, refuse_writes
from firmware_py.recorder.flight import FlightRecorder
from firmware_py.recorder.tap import TapLog
from firmware_py.report.figures import RIG_FAULT
from firmware_py.report.parts import PART
from hal.profile.board import RateConfig

__all__ = ["FlightParts"]


class FlightParts:
    """Recorders of one flight.

    Args:
        folder: of the flight.
        header: what flew.
        epoch_ns: UTC at rig time 0.
        rates: of the board.

    Attributes:
        recorder: the program's, of its last start.
        journal: what the program writes to.
        events: of all parts that the program wrote.
    """

    recorder: FlightRecorder
    journal: Tee

    def __init__(self, folder: Path, header: Mapping[str, Any], epoch_ns: int, rates: RateConfig) -> None:
        self._folder = folder
        self._header = header
        self._epoch_ns = epoch_ns
        self._rates = rates
        self._count = self._starts = 0
        self._start_ns = 0
        self._running = False
        self._witness: FlightRecorder | None = None
        self._refusals: list[bool] = []
        """One entry a fault of the medium that lasts: whether it has the rings too."""
        self._waiting: list[Callable[[FlightRecorder], None]] = []
        self._events_before = 0

    @property
    def events(self) -> int:
        """Events that the program and the rig have told so far."""
        return self._events_before + (self.recorder.events if self._running else 0)

    def open(self, taps: TapLog, start_ns: int, texts: Mapping[str, str], steps: int) -> None:
        """Begin the part of a start of the program at rig time ``start_ns``. Raises RecordError."""
        self._starts += 1
        more = {"start": self._starts} if self._starts > 1 else {}
        self._start_ns = start_ns
        self.recorder = self._new({**self._header, "steps": steps, **more}, taps, texts)
        self.journal = Tee(self.recorder)
        self._running = True
        for rings in self._refusals:
            self._refuse(rings)
        waiting, self._waiting = self._waiting, []
        for tell in waiting:
            tell(self._rigs)

    def fail(self, rings: bool) -> Callable[[], None]:
        """The medium takes nothing any more, with ``rings`` the crash rings neither; returns what ends that.

        The recorder does not begin again then; the next start's does.
        """
        self._refusals.append(rings)
        if self._running:
            self._refuse(rings)
        return lambda: self._refusals.remove(rings)

    def abandon(self) -> None:
        """The program is gone: its files stay as they are, nothing is finished."""
        os.close(self.recorder.blackbox.fileno())
        self.recorder.rings.close()
        self._events_before += self.recorder.events
        self._running = False
        self._close_witness()

    def finish(self) -> None:
        """The program has ended by itself: its files are whole."""
        self._events_before += self.recorder.events
        self._running = False
        self.recorder.close()
        self._close_witness()

    def truth(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """What the rig knows at rig time ``t_ns``."""
        if self._running:
            self._rigs.truth(t_ns - self._start_ns, row)
        else:
            self._waiting.append(lambda recorder: recorder.truth(t_ns - self._start_ns, row))

    def note(self, t_ns: int, text: str) -> None:
        """A fault of the rig began or ended."""
        if self._running:
            self._rigs.event(t_ns - self._start_ns, RIG_FAULT, Severity.INFO, text)
        else:
            self._waiting.append(
                lambda recorder: recorder.event(t_ns - self._start_ns, RIG_FAULT, Severity.INFO, text)
            )

    def timing(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """The scheduler's profile, on real clocks only."""
        if self._running:
            self._rigs.timing(t_ns - self._start_ns, row)

    def close(self, now_ns: int) -> None:
        """Finish what is open. If the program never came back, what the rig knows of that gets a part of its own."""
        if not self._running and self._waiting:
            self._start_ns = now_ns
            last = self._new({**self._header, "steps": 0, "witness": True}, None, {})
            for tell in self._waiting:
                tell(last)
            last.close()
        self._waiting = []
        if self._running:
            self.finish()

    def discard(self) -> None:
        """Remove the first part: nothing was flown."""
        self.recorder.discard()
        self._running = False

    @property
    def _rigs(self) -> FlightRecorder:
        """Where the rig writes."""
        return self.recorder if self._witness is None else self._witness

    def _refuse(self, rings: bool) -> None:
        refuse_writes(self.recorder, rings)
        if self._witness is None:
            self._witness = self._new({**self._header, "steps": 0, "witness": True}, None, {})
            self.journal.add(self._witness)

    def _new(self, header: Mapping[str, Any], taps: TapLog | None, texts: Mapping[str, str]) -> FlightRecorder:
        self._count += 1
        folder = self._folder if self._count == 1 else self._folder / f"{PART}{self._count}"
        return FlightRecorder(
            folder, header, self._epoch_ns + self._start_ns, taps, texts, fast_hz=self._rates.fast_hz,
            medium_hz=max(1, round(self._rates.medium_hz)),
        )

    def _close_witness(self) -> None:
        if self._witness is not None:
            self._witness.close()
            self._witness = None
