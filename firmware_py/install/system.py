"""The one seam to the computer: files below a root, and commands. Everything the installer changes goes through it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hal.nonvolatile import FolderFiles, replace_file

__all__ = ["HostSystem", "Ran", "System"]


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. ``code`` 127: it could not be run or did not end in time, and ``err`` says so."""

    code: int
    out: str = ""
    err: str = ""


class System(Protocol):
    """A computer, or the tree of one under a folder. Paths are absolute, as that computer names them.

    Every call that changes something may raise OSError.
    """

    live: bool
    """Whether this is the running system, and not a tree of one."""

    def at(self, path: str) -> Path:
        """A path as this process reaches it."""

    def read(self, path: str) -> bytes | None:
        """A whole file; ``None`` if there is none."""

    def names(self, path: str) -> list[str]:
        """What lies in a folder, sorted; nothing if there is none."""

    def target(self, path: str) -> str | None:
        """What a link points to; ``None`` if there is no link."""

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Put a file there, whole or not at all; its folder is made."""

    def link(self, path: str, target: str) -> None:
        """Put a link there by one rename; its folder is made."""

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Make a folder and those above it, unless it is there."""

    def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder with all that is in it, if it is there."""

    def sync(self) -> None:
        """Bring everything that was written to the medium."""

    def run(self, words: list[str], timeout_s: float = 60.0) -> Ran:
        """Run a command of this process's computer."""

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def clock(self) -> float:
        """Seconds since some moment; never goes back."""


class HostSystem:
    """This computer, or a tree below ``root``."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root.resolve()
        self.live = self.root == Path("/")

    def at(self, path: str) -> Path:
        """See System."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> bytes | None:
        """See System."""
        try:
            return self.at(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def names(self, path: str) -> list[str]:
        """See System."""
        try:
            return sorted(os.listdir(self.at(path)))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def target(self, path: str) -> str | None:
        """See System."""
        try:
            return os.readlink(self.at(path))
        except OSError:
            return None

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """See System."""
        target = self.at(path)
        self.folder(str(Path(path).parent))
        if target.is_symlink():
            # A link in the place of a file would carry the write out of its folder.
            target.unlink()
        replace_file(FolderFiles(target.parent), target.name, data)
        target.chmod(mode)

    def link(self, path: str, target: str) -> None:
        """See System."""
        self.folder(str(Path(path).parent))
        place = self.at(path)
        temporary = place.with_name(f".{place.name}.new")
        temporary.unlink(missing_ok=True)
        os.symlink(target, temporary)
        os.replace(temporary, place)

    def folder(self, path: str, mode: int = 0o755) -> None:
        """See System."""
        place = self.at(path)
        if not place.is_dir():
            place.mkdir(parents=True)
            place.chmod(mode)

    def remove(self, path: str) -> None:
        """See System."""
        place = self.at(path)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def sync(self) -> None:
        """See System."""
        os.sync()

    def run(self, words: list[str], timeout_s: float = 60.0) -> Ran:
        """See System."""
        try:
            done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)
        except (OSError, subprocess.SubprocessError) as error:
            return Ran(127, "", str(error))
        return Ran(done.returncode, done.stdout, done.stderr)

    def sleep(self, seconds: float) -> None:
        """See System."""
        time.sleep(seconds)

    def clock(self) -> float:
        """See System."""
        return time.monotonic()


@contextmanager
def alone(system: System, path: str) -> Iterator[None]:
    """Only one installation at a time. Raises BlockingIOError when another is under way, OSError."""
    system.folder(str(Path(path).parent))
    handle = os.open(system.at(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(errno.EAGAIN, "another installation is under way", path) from None
        yield
    finally:
        os.close(handle)
