"""One line on how the flight program is, for the service manager: built twice a second, sent when it has changed."""

from __future__ import annotations

from typing import Protocol

from firmware_py.program import Program

__all__ = ["StatusLine", "status_text"]

NAMED = 3
"""Devices that are named; of more the number is told."""


class RecorderState(Protocol):
    """What of a recorder is needed here."""

    @property
    def stopped(self) -> str | None:
        """Why nothing is kept."""


def status_text(program: Program, recorder: RecorderState | None) -> str:
    """Motion mode, number of the start, and what is not as it should be."""
    software = program.software
    boot = software.retained.boot.record if software.retained is not None else None
    supervisor = software.supervisor
    parts = [f"motion {supervisor.modes.motion.value}", f"start {'unknown' if boot is None else boot.starts}"]
    reasons = [code.value for code in supervisor.keeper.reasons]
    if reasons:
        parts.append(f"reasons {' '.join(reasons)}")
    parts.append("valves armed" if software.enabled else "valves shut")
    wrong = program.hardware.not_ok()
    if wrong:
        named = ", ".join(list(wrong)[:NAMED])
        parts.append(f"{len(wrong)} devices not ok: {named}{', ...' if len(wrong) > NAMED else ''}")
    scheduler = program.scheduler
    if scheduler.late_ticks or scheduler.lost_ticks:
        # Rounded to powers of two, so that a busy computer does not send a line every time.
        parts.append(f"ticks late over {_floor(scheduler.late_ticks)}, lost over {_floor(scheduler.lost_ticks)}")
    if recorder is not None and recorder.stopped is not None:
        parts.append(f"not recording: {recorder.stopped}")
    return "; ".join(parts)


class StatusLine:
    """Member of the slow group."""

    def __init__(self, recorder: RecorderState | None) -> None:
        self._recorder = recorder
        self.program: Program | None = None
        """Told once it is built; the member is in its table."""

    def step(self, now_ns: int) -> None:
        """Say how things are."""
        program = self.program
        if program is not None:
            program.watchdogs.status(now_ns, status_text(program, self._recorder))


def _floor(count: int) -> int:
    """The largest power of two that is below ``count``; 0 for 0."""
    return 0 if count == 0 else 1 << ((count - 1).bit_length() - 1) if count > 1 else 0
