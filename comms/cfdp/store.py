"""Where transferred files live: names and room are checked first, and a file appears whole or not at all.

Everything lies flat in one folder. Names that begin with a dot are the store's own: ``.KEY.part`` is a file on its way
in, ``.KEY.state`` what must outlive a restart, ``.KEY.new`` one of these being written. A file's bytes are brought to
the medium before its name is, so a cut of the power leaves the old file, the new one, or none.
"""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path

from comms.cfdp.medium import FolderMedium, Medium, MemoryMedium

__all__ = ["FileStore", "FolderStore", "MemoryStore", "Partial", "Source", "StoreLimits", "StoreRefusal", "good_name"]

LONGEST_NAME = 64
NAME = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._+=@-]{{0,{LONGEST_NAME - 1}}}")
STEP_BYTES = 65_536
"""A file of unknown length takes its room in steps of this."""
LONGEST_RECORD = 1_048_576
CHECK_BYTES = 4


@unique
class StoreRefusal(StrEnum):
    """Why the store did not take or give a file."""

    BAD_NAME = "bad_name"
    NO_FILE = "no_file"
    EXISTS = "exists"
    TOO_LONG = "too_long"
    FULL = "full"
    TOO_MANY = "too_many"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class StoreLimits:
    """What the store may take: bytes and files in all, bytes of one file; whether a file may replace another."""

    total_bytes: int = 67_108_864
    files: int = 256
    file_bytes: int = 16_777_216
    replace: bool = True


def good_name(name: str) -> bool:
    """Whether a file may have this name: letters, digits and ``. _ + = @ -``, no dot in front, 64 at most."""
    return NAME.fullmatch(name) is not None


class Source:
    """A file that is being read. Replacing or removing it does not change what is read."""

    __slots__ = ("_handle", "_medium", "length")

    def __init__(self, medium: Medium, handle: int, length: int) -> None:
        self._medium = medium
        self._handle: int | None = handle
        self.length = length

    def read(self, offset: int, length: int) -> bytes | None:
        """Exactly ``length`` bytes; ``None`` if the medium fails or the file has become shorter."""
        if self._handle is None:
            return None
        try:
            data = self._medium.read(self._handle, offset, length)
        except OSError:
            return None
        return data if len(data) == length else None

    def close(self) -> None:
        """Let it go."""
        if self._handle is not None:
            with suppress(OSError):
                self._medium.close(self._handle)
            self._handle = None


class Partial:
    """A file on its way in, under a name that nobody else sees."""

    __slots__ = ("_handle", "_medium", "_store", "claimed", "key", "wrong")

    def __init__(self, store: FileStore, medium: Medium, key: str) -> None:
        self._store = store
        self._medium = medium
        self._handle: int | None = None
        self.key = key
        self.claimed = 0
        """Bytes of room that are held for it."""
        self.wrong: StoreRefusal | None = None
        """Why the last call failed."""

    @property
    def name(self) -> str:
        """Its hidden name."""
        return f".{self.key}.part"

    def write(self, offset: int, data: bytes) -> bool:
        """Write a piece; ``False`` and ``wrong`` if there is no room or the medium fails."""
        end = offset + len(data)
        if end > self.claimed:
            self.wrong = self._store.claim(self, end)
            if self.wrong is not None:
                return False
        try:
            handle = self._opened()
            taken = self._medium.write(handle, offset, data)
            while taken < len(data):
                more = self._medium.write(handle, offset + taken, data[taken:])
                if more <= 0:
                    raise OSError("nothing was taken")
                taken += more
        except OSError:
            self.wrong = StoreRefusal.FAILED
            return False
        return True

    def read(self, offset: int, length: int) -> bytes | None:
        """Exactly ``length`` bytes; ``None`` if the medium fails."""
        try:
            data = self._medium.read(self._opened(), offset, length)
        except OSError:
            return None
        return data if len(data) == length else None

    def sync(self) -> bool:
        """Bring what was written to the medium; an empty file is made."""
        try:
            self._medium.sync(self._opened())
        except OSError:
            return False
        return True

    def commit(self, name: str, length: int) -> StoreRefusal | None:
        """Let the file appear under its name, whole. Its checksum must have been compared before."""
        if not good_name(name):
            return StoreRefusal.BAD_NAME
        try:
            handle = self._opened()
            self._medium.truncate(handle, length)
            self._medium.sync(handle)
            self._medium.close(handle)
            self._handle = None
            self._medium.rename(self.name, name)
            self._medium.sync_folder()
        except OSError:
            return StoreRefusal.FAILED
        self._store.release(self)
        return None

    def exists(self) -> bool | None:
        """Whether anything of it is on the medium; ``None`` if that cannot be told."""
        try:
            return self.name in self._medium.names()
        except OSError:
            return None

    def discard(self) -> None:
        """Take it away."""
        with suppress(OSError):
            if self._handle is not None:
                self._medium.close(self._handle)
        self._handle = None
        with suppress(OSError):
            self._medium.remove(self.name)
        self._store.release(self)

    def _opened(self) -> int:
        if self._handle is None:
            self._handle = self._medium.open(self.name, create=True)
            if self._handle is None:
                raise OSError("it cannot be made")
        return self._handle


class FileStore:
    """Files of one folder, within limits.

    Raises OSError only when it is made and its folder cannot be read; later failures are answers.
    """

    def __init__(self, medium: Medium, limits: StoreLimits | None = None) -> None:
        self.limits = StoreLimits() if limits is None else limits
        self._medium = medium
        self._claims: dict[str, int] = {}
        for name in medium.names():
            if name.startswith(".") and name.endswith(".new"):
                medium.remove(name)

    def names(self) -> dict[str, int]:
        """Files by name with their length in bytes; nothing if the medium fails."""
        return {name: size for name, size in self._all().items() if not name.startswith(".")}

    def open(self, name: str) -> Source | StoreRefusal:
        """A file to be read."""
        if not good_name(name):
            return StoreRefusal.BAD_NAME
        try:
            length = self._medium.names().get(name)
            handle = None if length is None else self._medium.open(name, create=False)
        except OSError:
            return StoreRefusal.FAILED
        return StoreRefusal.NO_FILE if length is None or handle is None else Source(self._medium, handle, length)

    def read(self, name: str) -> bytes | StoreRefusal:
        """A whole file."""
        source = self.open(name)
        if isinstance(source, StoreRefusal):
            return source
        data = source.read(0, source.length)
        source.close()
        return StoreRefusal.FAILED if data is None else data

    def save(self, name: str, data: bytes) -> StoreRefusal | None:
        """Put a whole file in, made on board."""
        partial = self.partial(f"save-{zlib.crc32(name.encode()):08x}")
        wrong = self.admit(partial, name, len(data))
        if wrong is None and data and not partial.write(0, data):
            wrong = partial.wrong
        if wrong is None:
            wrong = partial.commit(name, len(data))
        if wrong is not None:
            partial.discard()
        return wrong

    def remove(self, name: str) -> StoreRefusal | None:
        """Take a file away."""
        if not good_name(name):
            return StoreRefusal.BAD_NAME
        try:
            self._medium.remove(name)
            self._medium.sync_folder()
        except OSError:
            return StoreRefusal.FAILED
        return None

    def partial(self, key: str) -> Partial:
        """A file on its way in, new or left from before a restart."""
        return Partial(self, self._medium, key)

    def admit(self, partial: Partial, name: str, length: int) -> StoreRefusal | None:
        """Whether a file may come in under this name with this length; if so, its room is held."""
        if not good_name(name):
            return StoreRefusal.BAD_NAME
        if not self.limits.replace and name in self.names():
            return StoreRefusal.EXISTS
        return self.claim(partial, length)

    def claim(self, partial: Partial, length: int) -> StoreRefusal | None:
        """Hold room for ``length`` bytes in all; a file of unknown length gets it in steps."""
        most = self.limits.file_bytes
        if length > most:
            return StoreRefusal.TOO_LONG
        if partial.claimed:
            length = min(-(-length // STEP_BYTES) * STEP_BYTES, most)
        present = self.names()
        others = sum(size for key, size in self._claims.items() if key != partial.key)
        if sum(present.values()) + others + length > self.limits.total_bytes:
            return StoreRefusal.FULL
        if partial.key not in self._claims and len(present) + len(self._claims) >= self.limits.files:
            return StoreRefusal.TOO_MANY
        partial.claimed = max(length, partial.claimed)
        self._claims[partial.key] = partial.claimed
        return None

    def release(self, partial: Partial) -> None:
        """The partial is a file or gone: its room is no longer held."""
        partial.claimed = 0
        self._claims.pop(partial.key, None)

    @property
    def used_bytes(self) -> int:
        """Bytes of all files, and those that are held for files on their way in."""
        return sum(self.names().values()) + sum(self._claims.values())

    def keep(self, key: str, record: bytes) -> bool:
        """Let a record outlive a restart: it is there whole, or the one before it is."""
        temporary = f".{key}.new"
        data = zlib.crc32(record).to_bytes(CHECK_BYTES, "big") + record
        try:
            handle = self._medium.open(temporary, create=True)
            if handle is None:
                return False
            try:
                self._medium.truncate(handle, 0)
                at = 0
                while at < len(data):
                    taken = self._medium.write(handle, at, data[at:])
                    if taken <= 0:
                        return False
                    at += taken
                self._medium.sync(handle)
            finally:
                self._medium.close(handle)
            self._medium.rename(temporary, f".{key}.state")
            self._medium.sync_folder()
        except OSError:
            return False
        return True

    def forget(self, key: str) -> None:
        """Take a record away."""
        with suppress(OSError):
            self._medium.remove(f".{key}.state")

    def kept(self, key: str) -> bytes | None:
        """A record; ``None`` if there is none that is whole."""
        try:
            handle = self._medium.open(f".{key}.state", create=False)
            if handle is None:
                return None
            try:
                data = self._medium.read(handle, 0, LONGEST_RECORD)
            finally:
                self._medium.close(handle)
        except OSError:
            return None
        record = data[CHECK_BYTES:]
        return record if zlib.crc32(record).to_bytes(CHECK_BYTES, "big") == data[:CHECK_BYTES] else None

    def kept_keys(self) -> list[str]:
        """Keys of all records, sorted."""
        return sorted(name[1:-6] for name in self._all() if name.startswith(".") and name.endswith(".state"))

    def sweep(self, keys: set[str]) -> int:
        """Take away parts that nobody goes on with; returns how many."""
        parts = [name for name in self._all() if name.startswith(".") and name.endswith(".part")]
        left = [name for name in parts if name[1:-5] not in keys]
        for name in left:
            with suppress(OSError):
                self._medium.remove(name)
        return len(left)

    def _all(self) -> dict[str, int]:
        try:
            return self._medium.names()
        except OSError:
            return {}


class FolderStore(FileStore):
    """Store on a folder of the operating system, made if need be."""

    def __init__(self, folder: Path | str, limits: StoreLimits | None = None) -> None:
        super().__init__(FolderMedium(folder), limits)


class MemoryStore(FileStore):
    """Store in memory."""

    def __init__(self, limits: StoreLimits | None = None) -> None:
        super().__init__(MemoryMedium(), limits)
