"""Verifier of audit logs: finds deletion, edit, reordering and truncation, names the first bad record and its class.

Independent of the writer: it takes bytes of files, a public key and heads that somebody has kept, and works the chain
out anew. What it cannot find without a head is a cut, or a rewrite, behind the last signed record: that is why heads
are handed out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from itertools import pairwise

from comms.watch.audit_files import MAGIC, first_entry
from comms.watch.audit_record import SIGN_EVERY, Entry, Head, genesis, head_message, read_entry, sign_message
from comms.watch.signing import is_signed

__all__ = ["Damage", "Finding", "Verdict", "verify"]

LEAD = re.compile(rb"\x83[\x58\x59]")
"""How every entry begins: three items, a byte string of at least 24 bytes."""


@unique
class Damage(StrEnum):
    """What was done to a log."""

    EDITED = "edited"
    DELETED = "deleted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"
    FORGED = "forged"
    """A signature is missing or is not that key's, or a head says otherwise."""
    UNREADABLE = "unreadable"
    """A file has no whole beginning."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first bad record: its number where one can be told, the file it stands in, and what is wrong."""

    damage: Damage
    number: int | None
    file: str
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier found.

    Attributes:
        finding: first damage, ``None`` for none.
        first: number of the first record there is, ``None`` for a log without records.
        records: records read before the damage.
        signed: number of the last record whose signature is good, ``None`` if none was checked.
        heads: heads that the log agrees with.
        notes: what is no damage and has to be known: files rotated out, torn ends, what could not be checked.
    """

    finding: Finding | None
    first: int | None
    records: int
    signed: int | None
    heads: int
    notes: tuple[str, ...]

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return self.finding is None


class _FoundError(Exception):
    def __init__(self, damage: Damage, number: int | None, file: str, text: str) -> None:
        super().__init__(text)
        self.finding = Finding(damage, number, file, text)


@dataclass(slots=True)
class _File:
    index: int
    name: str
    data: bytes
    first: Entry


def verify(files: Iterable[tuple[str, bytes]], public_key: bytes | None = None, heads: Iterable[Head] = ()) -> Verdict:
    """Judge a log. Never raises for what the files hold.

    Args:
        files: name and bytes of every file, in any order.
        public_key: Ed25519 key of the log, 32 bytes; ``None`` checks the chain alone.
        heads: signed heads that were handed out earlier.
    """
    return _Verifier(public_key).run(list(files), list(heads))


class _Verifier:
    def __init__(self, public_key: bytes | None) -> None:
        self.key = public_key
        self.digests: dict[int, bytes] = {}
        self.first: int | None = None
        self.last: Entry | None = None
        self.signed: int | None = None
        self.agreed = 0
        self.notes: list[str] = []

    def run(self, files: list[tuple[str, bytes]], heads: list[Head]) -> Verdict:
        finding = None
        try:
            self._files(files)
            self._heads(heads)
        except _FoundError as found:
            finding = found.finding
        if self.key is None:
            self.notes.append("no key was given: signatures were not checked")
        return Verdict(finding, self.first, len(self.digests), self.signed, self.agreed, tuple(self.notes))

    def _files(self, files: list[tuple[str, bytes]]) -> None:
        ordered: list[_File] = []
        for name, data in files:
            found = first_entry(data)
            if found is None:
                raise _FoundError(Damage.UNREADABLE, None, name, "the file has no whole beginning")
            ordered.append(_File(found[0], name, data, found[1]))
        ordered.sort(key=lambda file: file.index)
        if ordered:
            # The place of a file that could not be read is passed over: what still lies there is no part of the ring.
            oldest = _more(ordered[-1].first, "oldest")
            ordered = [file for file in ordered if file.index >= oldest]
        self._check_ring(ordered)
        for position, file in enumerate(ordered):
            following = ordered[position + 1] if position + 1 < len(ordered) else None
            self._walk(file, following)

    def _check_ring(self, files: list[_File]) -> None:
        """The newest file says which others are there; running numbers have no gap."""
        if not files:
            return
        for before, after in pairwise(files):
            unreadable = _more(after.first, "unreadable")
            if after.index == before.index:
                raise _FoundError(Damage.REORDERED, after.first.number, after.name,
                                  f"file {after.index} is there twice")
            if not 1 <= after.index - before.index <= 1 + unreadable:
                raise _FoundError(Damage.DELETED, None, after.name, f"the file after file {before.index} is missing")
        oldest = _more(files[-1].first, "oldest")
        if files[0].index > oldest and files[0].first.number != 0:
            raise _FoundError(Damage.DELETED, None, files[0].name,
                              f"file {oldest} is missing, which the newest one says is kept")
        if files[0].first.number != 0:
            self.notes.append(f"begins with record {files[0].first.number}: earlier files were rotated out")

    def _walk(self, file: _File, following: _File | None) -> None:
        at = len(MAGIC)
        data = file.data
        while at < len(data):
            entry = read_entry(data, at)
            if entry is None:
                self._broken(file, at, following)
                return
            self._take(entry, file, at)
            at += entry.size

    def _broken(self, file: _File, at: int, following: _File | None) -> None:
        """Bytes that are no entry: the torn end of a file that the next one tells of, or damage."""
        rest = len(file.data) - at
        number = 0 if self.last is None else self.last.number + 1
        behind = _later(file.data, at, number)
        if behind is not None:
            raise _FoundError(Damage.EDITED, number, file.name,
                              f"{rest} bytes from byte {at} on are no whole record, but record {behind} follows")
        if following is None:
            self.notes.append(f"{file.name} ends with {rest} bytes that are no whole record: torn, or cut off")
            return
        goes_on = self.last is not None and following.first.number == number
        if not goes_on or self.last is None or following.first.before != self.last.digest:
            raise _FoundError(Damage.EDITED, number, file.name, f"record {number} at byte {at} is not whole")
        self.notes.append(f"{file.name} ended torn after record {number - 1}; {following.name} goes on behind it")

    def _take(self, entry: Entry, file: _File, at: int) -> None:
        last = self.last
        if last is None:
            self._begin(entry, file)
        elif entry.number != last.number + 1:
            self._misplaced(entry, last.number + 1, file, at)
        elif entry.before != last.digest:
            raise _FoundError(Damage.EDITED, last.number, file.name,
                              f"record {entry.number} was not written behind this one: one of them was changed")
        if entry.event is None:
            raise _FoundError(Damage.EDITED, entry.number, file.name, "its fields are not those of a record")
        self._signature(entry, file)
        self.digests[entry.number] = entry.digest
        self.last = entry

    def _begin(self, entry: Entry, file: _File) -> None:
        self.first = entry.number
        if self.key is not None and entry.number == 0 and entry.before != genesis(self.key):
            raise _FoundError(Damage.FORGED, 0, file.name, "the log does not begin with this key")

    def _misplaced(self, entry: Entry, expected: int, file: _File, at: int) -> None:
        if entry.number < expected:
            raise _FoundError(Damage.REORDERED, entry.number, file.name,
                              f"record {entry.number} stands where {expected} belongs")
        if _later(file.data, at + entry.size, expected, exactly=True) is not None:
            raise _FoundError(Damage.REORDERED, expected, file.name, f"record {expected} stands behind {entry.number}")
        missing = entry.number - expected
        raise _FoundError(Damage.DELETED, expected, file.name,
                          f"{missing} record{'s' if missing > 1 else ''} before record {entry.number} missing")

    def _signature(self, entry: Entry, file: _File) -> None:
        due = entry.number % SIGN_EVERY == SIGN_EVERY - 1
        if due != bool(entry.signature):
            raise _FoundError(Damage.FORGED, entry.number, file.name,
                              "the signature is missing" if due else "a signature stands where none belongs")
        if not due or self.key is None:
            return
        if not is_signed(self.key, sign_message(entry.digest), entry.signature):
            raise _FoundError(Damage.FORGED, entry.number, file.name, "the signature is not this key's")
        self.signed = entry.number

    def _heads(self, heads: list[Head]) -> None:
        last = -1 if self.last is None else self.last.number
        for head in sorted(heads, key=lambda head: head.number):
            if self.key is not None and not is_signed(self.key, head_message(head.number, head.digest),
                                                      head.signature):
                raise _FoundError(Damage.FORGED, head.number, "", "the head that was given is not signed by this key")
            if head.number > last:
                raise _FoundError(Damage.TRUNCATED, last + 1, "",
                                  f"records {last + 1} to {head.number} are missing, which a head tells of")
            if self.first is not None and head.number >= self.first:
                if self.digests[head.number] != head.digest:
                    raise _FoundError(Damage.FORGED, head.number, "",
                                      f"record {head.number} is not the one that a head tells of: it was rewritten")
                self.agreed += 1
            elif head.number >= 0:
                self.notes.append(f"the head of record {head.number} could not be checked: it was rotated out")


def _more(entry: Entry, name: str) -> int:
    value = None if entry.event is None else entry.event.more.get(name)
    return value if isinstance(value, int) else 0


def _later(data: bytes, at: int, number: int, exactly: bool = False) -> int | None:
    """Number of the first whole entry behind an offset: any from ``number`` on, or exactly that one."""
    for found in LEAD.finditer(data, at + 1):
        entry = read_entry(data, found.start())
        if entry is not None and (entry.number == number if exactly else entry.number >= number):
            return entry.number
    return None
