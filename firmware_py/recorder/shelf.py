"""Folders of recorded flights in one place: each new one gets the next number, and the oldest go when room runs short.

A folder is called ``000012-20261121T230312Z-stand-by``: the number orders, for a calendar may be wrong after a start.
What bears another name is never touched, and neither is the newest.
"""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from firmware_py.recorder import RecordError
from hal.nonvolatile import FolderFiles

__all__ = ["Shelf", "Shelved"]

_NAME = re.compile(r"^(\d{6,})-\d{8}T\d{6}Z-[a-z0-9-]+$")


class Shelved(NamedTuple):
    """One folder, its number and the bytes of its files."""

    number: int
    path: Path
    size: int


class Shelf:
    """Owner of the folders of one place.

    Args:
        place: made if missing.
        budget: bytes that all folders may take together; ``None``: no limit.

    Attributes:
        removed: folders that had to go since start.

    Raises:
        RecordError: the place cannot be made.
    """

    def __init__(self, place: Path, budget: int | None) -> None:
        self._place = place
        self._budget = budget
        self.removed = 0
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(place, f"cannot be made ({error.strerror})", "choose another place") from error

    def new(self, name: str, utc_ns: int) -> Path:
        """Make the next folder. ``name``: small letters, digits and dashes. Raises RecordError."""
        found = self.folders()
        stamp = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
        folder = self._place / f"{found[-1].number + 1 if found else 1:06d}-{stamp}-{name}"
        try:
            folder.mkdir()
            FolderFiles(self._place).sync_folder()
        except OSError as error:
            problem = f"cannot be made ({error.strerror})"
            raise RecordError(folder, problem, "make room or choose another place", error.errno) from error
        return folder

    def folders(self) -> list[Shelved]:
        """All of them, the oldest first."""
        found = []
        with suppress(OSError):
            for path in self._place.iterdir():
                match = _NAME.match(path.name)
                if match and path.is_dir() and not path.is_symlink():
                    found.append(Shelved(int(match[1]), path, _size(path)))
        return sorted(found)

    def thin(self, more: int = 0) -> Path | None:
        """Remove the oldest folder if all together, and ``more`` bytes to come, are beyond the budget; returns it."""
        if self._budget is None:
            return None
        found = self.folders()
        if len(found) > 1 and sum(one.size for one in found) + more > self._budget:
            return self._remove(found[0].path)
        return None

    def make_room(self) -> Path | None:
        """Remove the oldest folder, for a medium that is full; returns it, ``None`` if only the newest is left."""
        found = self.folders()
        return self._remove(found[0].path) if len(found) > 1 else None

    def discard(self, folder: Path) -> Path | None:
        """Remove a folder that holds nothing worth keeping, the newest too; returns it, ``None`` if it stays."""
        return self._remove(folder)

    def _remove(self, folder: Path) -> Path | None:
        try:
            shutil.rmtree(folder)
        except OSError:
            return None
        self.removed += 1
        return folder


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size
    return total
