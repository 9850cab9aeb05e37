"""The few calls on one folder that a file transfer takes, on a real folder and in memory.

Unlike ``hal.nonvolatile.Files`` it writes at any place of a file, since segments come in any order, and removes files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

__all__ = ["FolderMedium", "Medium", "MemoryMedium"]


class Medium(Protocol):
    """One folder without folders in it; every call may raise OSError."""

    def names(self) -> dict[str, int]:
        """Files by name, with their length in bytes."""

    def open(self, name: str, create: bool) -> int | None:
        """Open for reading, or with ``create`` for both and made if need be; ``None`` if there is no such file."""

    def read(self, handle: int, offset: int, most: int) -> bytes:
        """Up to ``most`` bytes from ``offset`` on."""

    def write(self, handle: int, offset: int, data: bytes) -> int:
        """Write at a place; returns how many bytes were taken. What lies between end of file and offset is zeros."""

    def truncate(self, handle: int, length: int) -> None:
        """Cut or lengthen the file."""

    def sync(self, handle: int) -> None:
        """Bring a file's bytes to the medium."""

    def close(self, handle: int) -> None:
        """Close it."""

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, which may be taken."""

    def remove(self, name: str) -> None:
        """Take a file away; nothing if there is none."""

    def sync_folder(self) -> None:
        """Bring the folder's names to the medium."""


class FolderMedium:
    """A folder of the operating system. Links in it are not followed."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def names(self) -> dict[str, int]:
        """See Medium."""
        with os.scandir(self.folder) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file(follow_symlinks=False)}

    def open(self, name: str, create: bool) -> int | None:
        """See Medium."""
        flags = os.O_RDWR | os.O_CREAT if create else os.O_RDONLY
        try:
            return os.open(self.folder / name, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        except FileNotFoundError:
            return None

    def read(self, handle: int, offset: int, most: int) -> bytes:
        """See Medium."""
        return os.pread(handle, most, offset)

    def write(self, handle: int, offset: int, data: bytes) -> int:
        """See Medium."""
        return os.pwrite(handle, data, offset)

    def truncate(self, handle: int, length: int) -> None:
        """See Medium."""
        os.ftruncate(handle, length)

    def sync(self, handle: int) -> None:
        """See Medium."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """See Medium."""
        os.close(handle)

    def rename(self, old: str, new: str) -> None:
        """See Medium."""
        os.replace(self.folder / old, self.folder / new)

    def remove(self, name: str) -> None:
        """See Medium."""
        (self.folder / name).unlink(missing_ok=True)

    def sync_folder(self) -> None:
        """See Medium."""
        handle = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class MemoryMedium:
    """A folder in memory, for tests and for craft that keep nothing."""

    def __init__(self) -> None:
        self._files: dict[str, bytearray] = {}
        self._open: dict[int, bytearray] = {}
        self._next = 3

    def names(self) -> dict[str, int]:
        """See Medium."""
        return {name: len(data) for name, data in self._files.items()}

    def open(self, name: str, create: bool) -> int | None:
        """See Medium."""
        data = self._files.setdefault(name, bytearray()) if create else self._files.get(name)
        if data is None:
            return None
        handle, self._next = self._next, self._next + 1
        self._open[handle] = data
        return handle

    def read(self, handle: int, offset: int, most: int) -> bytes:
        """See Medium."""
        return bytes(self._open[handle][offset : offset + most])

    def write(self, handle: int, offset: int, data: bytes) -> int:
        """See Medium."""
        held = self._open[handle]
        if offset > len(held):
            held.extend(bytes(offset - len(held)))
        held[offset : offset + len(data)] = data
        return len(data)

    def truncate(self, handle: int, length: int) -> None:
        """See Medium."""
        held = self._open[handle]
        del held[length:]
        held.extend(bytes(length - len(held)))

    def sync(self, handle: int) -> None:
        """See Medium: nothing outlives this process anyway."""

    def close(self, handle: int) -> None:
        """See Medium."""
        del self._open[handle]

    def rename(self, old: str, new: str) -> None:
        """See Medium."""
        self._files[new] = self._files.pop(old)

    def remove(self, name: str) -> None:
        """See Medium."""
        self._files.pop(name, None)

    def sync_folder(self) -> None:
        """See Medium: nothing outlives this process anyway."""
