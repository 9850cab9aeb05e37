"""Counters of kept contexts are reserved on the medium before they are used: after any power cut none is used again.

A context is used with one key a start of the craft, so it is named by two numbers: the boot id, which the boot record
counts up in a memory of its own (FRAM), and a counter. Here is kept, for each context, the boot id of the last use and
the end of the counters that are reserved, in blocks of 256, synchronised before the first of a block goes out (the idea
of RFC 8613 appendix B.1). What is found at a start decides:

| found | then |
|---|---|
| a boot id below the present one | a new key: counters begin at 0 |
| the present boot id | the same key, after a restart of the program alone: counters begin at the reserved end |
| a boot id above the present one | BOOT_ROLLED_BACK: boot record or storage aren't what they were; not used |
| a broken copy, or a medium that refuses | UNREADABLE: not used |
| nothing | MISSING: lost, or never provisioned; not used |

So storage that is rolled back to an older state, at a restart with a new boot id, meets a key that was never used; and
a boot record that is rolled back meets storage that knows better. Storage that is exchanged while it is in use is found
at the next block (STORAGE_CHANGED). For a nonce to be used twice, both memories would have to go back at once, or
storage at a restart that got no boot id of its own: a program that sends should get one at each of its starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from struct import Struct

from hal.nonvolatile import FileMemory, Files, HeldCopy, wait_for

__all__ = ["BLOCK", "LONGEST_NAME", "MOST_CONTEXTS", "CounterStore", "Reason", "Reserved"]

BLOCK = 256
"""Counters of one reservation: at most so many are skipped by a restart."""
MOST_CONTEXTS = 16
LONGEST_NAME = 32
"""Bytes of a context's name."""
_SLOT = 0
_VERSION = 1
_HEAD = Struct(">BB")
_ENTRY = Struct(">IQB")
_CAPACITY = _HEAD.size + MOST_CONTEXTS * (_ENTRY.size + LONGEST_NAME)
_BOOT_IDS = 1 << 32


@unique
class Reason(StrEnum):
    """Why a context must not send."""

    NO_BOOT_ID = "no_boot_id"
    """The boot record isn't known."""
    MISSING = "missing"
    UNREADABLE = "unreadable"
    BOOT_ROLLED_BACK = "boot_rolled_back"
    STORAGE_CHANGED = "storage_changed"
    STORE_FAILED = "store_failed"
    """The medium refused a block; the next try may succeed."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """Counters that may be used now: from ``first`` to below ``end``."""

    first: int
    end: int


@dataclass(slots=True)
class _Entry:
    boot_id: int
    end: int


class CounterStore:
    """Reservations of all kept contexts of this end, in one folder: two copies with sequence number and checksum.

    Args:
        files: a folder of its own.
        boot_id: of this start, counted up and stored before; ``None`` if it isn't known: then nothing is usable.

    Attributes:
        reason: why nothing may be sent; ``None`` if contexts can be used.
        writes: blocks that were stored.
        failed: blocks that the medium refused.
    """

    __slots__ = ("_attempt", "_entries", "_memory", "_sequence", "boot_id", "failed", "reason", "writes")

    def __init__(self, files: Files, boot_id: int | None) -> None:
        if boot_id is not None and not 0 <= boot_id < _BOOT_IDS:
            raise ValueError(f"boot id {boot_id}: must fit into 32 bits")
        self._memory = FileMemory(files, capacity=_CAPACITY)
        self._entries: dict[str, _Entry] = {}
        self._sequence: int | None = None
        self._attempt: bytes | None = None
        """What was to be stored when the medium refused: it may be there all the same."""
        self.boot_id = boot_id
        self.writes = 0
        self.failed = 0
        self.reason = self._look()

    def usable(self, name: str) -> Reason | None:
        """Why a context must not send; ``None`` if it may. A refused block doesn't count, the next may be taken."""
        if self.reason is not None:
            return self.reason
        entry = self._entries.get(name)
        if entry is None or self.boot_id is None:
            return Reason.MISSING
        return Reason.BOOT_ROLLED_BACK if entry.boot_id > self.boot_id else None

    def provision(self, name: str) -> Reason | None:
        """Begin a context with a root key that was never used: what counted under this name is forgotten. It is the one
        way out of MISSING, UNREADABLE and the others. Waits for the medium.

        Returns why it failed, ``None`` if it did not. ValueError for a name that is empty, too long, or one too many.
        """
        raw = name.encode()
        if not 1 <= len(raw) <= LONGEST_NAME:
            raise ValueError(f"a context's name has 1 to {LONGEST_NAME} bytes")
        if self.boot_id is None:
            return Reason.NO_BOOT_ID
        if name not in self._entries and len(self._entries) >= MOST_CONTEXTS:
            raise ValueError(f"more than {MOST_CONTEXTS} contexts")
        self._entries[name] = _Entry(self.boot_id, 0)
        # Twice, so that neither of the two copies is an old or a broken one.
        if not (self._write() and self._store()):
            self._entries.pop(name)
            return Reason.STORE_FAILED
        self.reason = None
        return None

    def reserve(self, name: str) -> Reserved | Reason:
        """The next block of a context. When this returns, it is on the medium. Waits for the medium."""
        reason = self.usable(name)
        if reason is None and not self._unchanged():
            reason = self.reason = Reason.STORAGE_CHANGED
        if reason is not None:
            return reason
        assert self.boot_id is not None
        entry = self._entries[name]
        first = entry.end if entry.boot_id == self.boot_id else 0
        # Whatever becomes of the write, this block is never given out again.
        entry.boot_id, entry.end = self.boot_id, first + BLOCK
        return Reserved(first, entry.end) if self._store() else Reason.STORE_FAILED

    def _look(self) -> Reason | None:
        """Take what is stored, if it is certain."""
        found = self._survey()
        if isinstance(found, Reason):
            return found
        entries = _decode(found.payload)
        if entries is None:
            return Reason.UNREADABLE
        self._entries = entries
        self._sequence = found.sequence
        return Reason.NO_BOOT_ID if self.boot_id is None else None

    def _survey(self) -> HeldCopy | Reason:
        """The newer of two copies. One that is broken makes both uncertain: a power cut never leaves one (a copy gets
        its name after it was synchronised), so the medium has lost it, and it may have been the newer."""
        copies = self._memory.copies(_SLOT)
        if any(copy.problem for copy in copies):
            return Reason.UNREADABLE
        whole = [copy for copy in copies if copy.sequence is not None]
        if not whole:
            return Reason.MISSING
        return max(whole, key=lambda copy: copy.sequence or 0)

    def _unchanged(self) -> bool:
        """Whether the medium still holds what this start has found or stored there."""
        found = self._survey()
        if isinstance(found, Reason):
            return False
        return found.sequence == self._sequence or (self._attempt is not None and found.payload == self._attempt)

    def _write(self) -> bool:
        payload = _encode(self._entries)
        self._attempt = payload
        transfer = wait_for(self._memory.store(_SLOT, payload, 0))
        if transfer.error is not None:
            self.failed += 1
            return False
        self.writes += 1
        return True

    def _store(self) -> bool:
        """Store all reservations and read them back."""
        attempt_ok = self._write()
        found = self._survey() if attempt_ok else Reason.STORE_FAILED
        if isinstance(found, Reason) or found.payload != self._attempt:
            return False
        self._sequence = found.sequence
        self._attempt = None
        return True

    def __repr__(self) -> str:
        return f"<CounterStore, boot {self.boot_id}, {len(self._entries)} contexts, {self.reason or 'usable'}>"


def _encode(entries: dict[str, _Entry]) -> bytes:
    parts = [_HEAD.pack(_VERSION, len(entries))]
    for name in sorted(entries):
        raw = name.encode()
        parts.append(_ENTRY.pack(entries[name].boot_id, entries[name].end, len(raw)) + raw)
    return b"".join(parts)


def _decode(payload: bytes) -> dict[str, _Entry] | None:
    """Entries by name; ``None`` if these bytes are none, or of another version."""
    if len(payload) < _HEAD.size:
        return None
    version, count = _HEAD.unpack_from(payload)
    if version != _VERSION or count > MOST_CONTEXTS:
        return None
    entries: dict[str, _Entry] = {}
    at = _HEAD.size
    for _ in range(count):
        if len(payload) < at + _ENTRY.size:
            return None
        boot_id, end, length = _ENTRY.unpack_from(payload, at)
        at += _ENTRY.size
        raw = payload[at:at + length]
        at += length
        if not 1 <= length <= LONGEST_NAME or len(raw) < length:
            return None
        try:
            entries[raw.decode()] = _Entry(boot_id, end)
        except UnicodeDecodeError:
            return None
    return entries if at == len(payload) and len(entries) == count else None
