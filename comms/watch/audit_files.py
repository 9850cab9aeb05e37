"""Files of the audit log: a ring of bounded files that are only appended to, each begun whole or not at all."""

from __future__ import annotations

from dataclasses import dataclass

from comms.watch.audit_record import LONGEST_ENTRY, AuditClass, Entry, read_entry
from hal.nonvolatile import Files

__all__ = ["MAGIC", "Recovered", "SegmentWriter", "file_name", "first_entry", "recover"]

MAGIC = b"QAUDIT1\n"


def file_name(index: int, ring: int) -> str:
    """Name of the file with this running number in a ring of so many."""
    return f"audit{index % ring:03d}.log"


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the medium had at start.

    Attributes:
        records: number of the next record; 0 for a new log.
        digest: of the record before it, ``None`` for a new log.
        next_index: running number of the next new file.
        content: the newest file up to its last whole record, empty if there is none.
        torn_bytes: bytes behind the last whole record of the newest file: what was being written when the power went.
        unreadable: files that have no whole beginning, or that the medium refuses.
    """

    records: int = 0
    digest: bytes | None = None
    next_index: int = 0
    content: bytes = b""
    torn_bytes: int = 0
    unreadable: int = 0


def first_entry(data: bytes) -> tuple[int, Entry] | None:
    """Running number and first entry of a file; ``None`` if it has no whole beginning."""
    if data[: len(MAGIC)] != MAGIC:
        return None
    entry = read_entry(data, len(MAGIC))
    if entry is None or entry.event is None or entry.event.kind is not AuditClass.FILE_BEGUN:
        return None
    index = entry.event.more.get("file")
    return (index, entry) if isinstance(index, int) and index >= 0 else None


def recover(files: Files, ring: int, file_bytes: int) -> Recovered:
    """Find the end of the chain: the last whole record of the newest file that can be read. Never raises."""
    newest: tuple[int, bytes] | None = None
    unreadable = 0
    for slot in range(ring):
        try:
            data = files.read(file_name(slot, ring), file_bytes + 2 * LONGEST_ENTRY)
        except OSError:
            unreadable += 1
            continue
        if data is None:
            continue
        found = first_entry(data)
        if found is None or found[0] % ring != slot:
            unreadable += 1
        elif newest is None or found[0] > newest[0]:
            newest = (found[0], data)
    if newest is None:
        return Recovered(next_index=unreadable, unreadable=unreadable)
    index, data = newest
    last, at = _last_entry(data)
    # A file that can't be read may have been a newer one: its place is not taken next.
    return Recovered(last.number + 1, last.digest, index + 1 + unreadable, data[:at], len(data) - at, unreadable)


def _last_entry(data: bytes) -> tuple[Entry, int]:
    """The last entry of an unbroken chain from a file's beginning, and where it ends."""
    at = len(MAGIC)
    last = read_entry(data, at)
    if last is None:
        raise ValueError("the file has no whole beginning")
    at += last.size
    while (entry := read_entry(data, at)) is not None:
        if entry.number != last.number + 1 or entry.before != last.digest:
            break
        last = entry
        at += entry.size
    return last, at


class SegmentWriter:
    """Appends to one file of the ring at a time. Never raises OSError.

    Attributes:
        failures: times that the medium refused.
    """

    __slots__ = ("_file_bytes", "_files", "_handle", "_ring", "_size", "failures")

    def __init__(self, files: Files, ring: int, file_bytes: int) -> None:
        self.failures = 0
        self._files = files
        self._ring = ring
        self._file_bytes = file_bytes
        self._handle: int | None = None
        self._size = 0

    @property
    def is_open(self) -> bool:
        """Whether a file can be appended to."""
        return self._handle is not None

    @property
    def full(self) -> bool:
        """Whether the next record belongs into a new file."""
        return self._size >= self._file_bytes

    def begin(self, index: int, content: bytes) -> bool:
        """Begin a file with what it is to hold; it gets its name when that is on the medium, and takes the place of the
        one that had it. ``False`` if the medium refuses: then the same may be tried again."""
        self.close()
        try:
            self._handle = self._files.create("audit.new")
            if self.write(content):
                self._files.sync(self._handle)
                self._files.rename("audit.new", file_name(index, self._ring))
                self._files.sync_folder()
                self._size = len(content)
                return True
        except OSError:
            self.failures += 1
        self.close()
        return False

    def write(self, entry: bytes) -> bool:
        """Append; ``False`` if the medium took only a part, and the file is closed: it may end torn now."""
        if self._handle is None:
            return False
        self._size += len(entry)
        try:
            while entry:
                taken = self._files.write(self._handle, entry)
                if taken <= 0:
                    raise OSError("nothing was taken")
                entry = entry[taken:]
        except OSError:
            self.failures += 1
            self.close()
            return False
        return True

    def sync(self) -> bool:
        """Bring the file to the medium."""
        if self._handle is None:
            return False
        try:
            self._files.sync(self._handle)
        except OSError:
            self.failures += 1
            return False
        return True

    def close(self) -> None:
        """Close the file, if one is open."""
        handle, self._handle = self._handle, None
        if handle is None:
            return
        try:
            self._files.close(handle)
        except OSError:
            self.failures += 1
