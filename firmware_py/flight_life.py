"""How the last start of the flight program ended, and why the computer was started: from one small file and the kernel.

The file in the state folder says that a start is under way, or how it ended. A start that finds "running" there was not
ended by anybody: the program was killed, or the power went.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path

import msgspec

from drivers.bus.counted import small_file
from drivers.linux_watchdog import CARD_RESET
from fdir.boot import ResetReason
from hal.nonvolatile import Files, replace_file

__all__ = ["SERVICE_RESULT", "Ending", "LastLife", "LifeFile"]

NAME = "life.json"
SERVICE_RESULT = "service-result"
"""File in which the service manager's unit leaves $SERVICE_RESULT (systemd.exec(5)) when the program has ended."""
LONGEST = 4096


@unique
class Ending(StrEnum):
    """How a start ended."""

    RUNNING = "running"
    """It has not, or nobody could say so any more."""
    STOPPED = "stopped"
    ORDERED = "ordered"
    """By a restart that the craft ordered itself."""


class _Life(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    boot: str
    ending: Ending


@dataclass(frozen=True, slots=True)
class LastLife:
    """The start before this one.

    Attributes:
        ending: ``None``: there was none, or nothing is known of it.
        reset: why this start happened; ``None`` where that is not known.
        problem: why the file could not be read or written; empty if it could.
    """

    ending: Ending | None
    reset: ResetReason | None
    problem: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether the last start ended without an order from the ground."""
        return self.ending in (Ending.RUNNING, Ending.ORDERED)


class LifeFile:
    """Owner of the file.

    Args:
        files: the state folder.
        root: folder that holds ``proc`` and ``sys``.
    """

    def __init__(self, files: Files, root: Path = Path("/")) -> None:
        self._files = files
        self._boot = (small_file(root / "proc/sys/kernel/random/boot_id") or b"").decode("ascii", "replace").strip()
        self._watchdog = root / "sys/class/watchdog"

    def begin(self) -> LastLife:
        """Read how the last start ended, and note that one is under way. Waits for the medium."""
        problem = ""
        last: _Life | None = None
        result = ""
        try:
            data = self._files.read(NAME, LONGEST)
            last = None if data is None else msgspec.json.decode(data, type=_Life)
            result = (self._files.read(SERVICE_RESULT, LONGEST) or b"").decode("ascii", "replace").strip()
        except OSError as error:
            problem = error.strerror or str(error)
        except msgspec.DecodeError as error:
            problem = f"{NAME} is damaged: {error}"
        ending = None if last is None else last.ending
        told = self._note(Ending.RUNNING)
        return LastLife(ending, self._reason(last, result), problem or told)

    def end(self, ending: Ending) -> str:
        """Note how this start ends; returns why that could not be done. Waits for the medium."""
        return self._note(ending)

    def _note(self, ending: Ending) -> str:
        try:
            replace_file(self._files, NAME, msgspec.json.encode(_Life(self._boot, ending)))
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def _reason(self, last: _Life | None, result: str) -> ResetReason | None:
        if not self._boot:
            return None
        if last is None or last.boot != self._boot:
            return ResetReason.WATCHDOG if self._reset_by_watchdog() else ResetReason.POWER
        if last.ending is Ending.ORDERED:
            return ResetReason.ORDERED
        return ResetReason.WATCHDOG if result == "watchdog" else None

    def _reset_by_watchdog(self) -> bool:
        """Whether a driver of a hardware watchdog says that it was it (WDIOF_CARDRESET in its boot status)."""
        for path in sorted(self._watchdog.glob("watchdog*/bootstatus")):
            text = (small_file(path) or b"").strip()
            if text.isdigit() and int(text) & CARD_RESET:
                return True
        return False
