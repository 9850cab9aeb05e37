"""The owner's files in /etc/qiki: made once, renewed while nobody has changed them, never written over after that."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum, unique

from firmware_py.install.layout import Layout
from firmware_py.install.system import System

__all__ = ["Change", "FileChange", "changes_of", "record", "shipped"]


@unique
class Change(StrEnum):
    """What becomes of one file."""

    MAKE = "make"
    RENEW = "renew"
    """It is as an installer left it."""
    KEEP = "keep"
    """It is what is wanted, or nothing else is."""
    BESIDE = "beside"
    """Its owner has changed it: what would have been written goes beside, as NAME.new."""


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file: what to do, and what it would hold. ``effective``: what the software will read afterwards."""

    path: str
    change: Change
    wanted: bytes
    effective: bytes

    @property
    def written_to(self) -> str | None:
        """Where ``wanted`` is written; ``None``: nowhere."""
        match self.change:
            case Change.KEEP:
                return None
            case Change.BESIDE:
                return f"{self.path}.new"
            case _:
                return self.path


def record(layout: Layout) -> str:
    """Path of the record of what installers wrote."""
    return f"{layout.keep}/conf.json"


def shipped(system: System, layout: Layout) -> dict[str, str]:
    """SHA-256 of each file as an installer last wrote it, by path. A record that cannot be read protects every file."""
    try:
        found = json.loads(system.read(record(layout)) or b"{}")
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def changes_of(system: System, layout: Layout, wanted: dict[str, tuple[bytes, bool]]) -> list[FileChange]:
    """What becomes of each file.

    Args:
        system: where they are.
        layout: where they belong.
        wanted: content by name, and whether it was asked for; what wasn't only fills a gap.
    """
    before = shipped(system, layout)
    made = []
    for name, (content, asked) in sorted(wanted.items()):
        path = f"{layout.config}/{name}"
        found = system.read(path)
        if found is None:
            made.append(FileChange(path, Change.MAKE, content, content))
        elif found == content or not asked:
            made.append(FileChange(path, Change.KEEP, content, found))
        elif before.get(path) == digest(found):
            made.append(FileChange(path, Change.RENEW, content, content))
        else:
            made.append(FileChange(path, Change.BESIDE, content, found))
    return made


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def new_record(system: System, layout: Layout, changes: list[FileChange]) -> bytes:
    """The record after these changes."""
    known = shipped(system, layout)
    known |= {change.path: digest(change.wanted) for change in changes if change.change in (Change.MAKE, Change.RENEW)}
    return json.dumps(known, sort_keys=True, indent=1).encode() + b"\n"
