"""Audit log: every record is chained to the one before it, every 64th is signed, and a torn end is found and told.

A record's digest is SHA-256 of its canonical bytes and stands in the next record; the last of each 64 carries an
Ed25519 signature (RFC 8032) of its digest, and ``head`` signs the newest on demand: whoever holds a head can tell later
that the log was cut or rewritten behind it. Fields and classes are those of CANON section 17.

On the medium a log is a ring of files. The first record of each says which file it is and which is the oldest that is
still kept. After a power cut, or when the medium refused, the newest file is written anew up to its last whole record,
with a record of what was torn off, under another name, and renamed: starts that follow each other quickly push nothing
out of the ring. Records are chained when they are written, so the chain never runs ahead of the medium; meanwhile they
wait in a bounded queue, and those that find no room in it are counted, and the count is written.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from math import isfinite
from typing import Protocol

from comms.watch.audit_files import MAGIC, Recovered, SegmentWriter, recover
from comms.watch.audit_record import (
    SIGN_EVERY,
    AuditClass,
    AuditEvent,
    AuditSeverity,
    Head,
    digest_of,
    entry_bytes,
    genesis,
    head_message,
    record_bytes,
    sign_message,
)
from hal.nonvolatile import Files

__all__ = ["AuditLog", "AuditSettings", "Signer"]

NS = 1_000_000_000


class Signer(Protocol):
    """Signs with a key that only it knows."""

    @property
    def public_key(self) -> bytes:
        """Ed25519 public key, 32 bytes."""

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """Bounds of a log. ValueError for what makes no sense.

    Attributes:
        files: files of the ring.
        file_bytes: bytes after which a file is full.
        waiting: most records that wait for the medium.
        outside_per_s: most records in any second of what strangers can cause, all such classes together, the counts
            of what was left out among them.
        inside_per_s: most records in any second of each other class, so that none can drown another.
        sync_s: longest time until a record is brought to the medium; critical ones are at once.
    """

    files: int = 8
    file_bytes: int = 262_144
    waiting: int = 256
    outside_per_s: int = 10
    inside_per_s: int = 20
    sync_s: float = 1.0

    def __post_init__(self) -> None:
        if not 2 <= self.files <= 1000:
            raise ValueError(f"files {self.files}: 2 to 1000 are allowed")
        if not 4096 <= self.file_bytes <= 1 << 24:
            raise ValueError(f"file_bytes {self.file_bytes}: 4096 to 2^24 are allowed")
        if min(self.waiting, self.inside_per_s) < 1 or self.outside_per_s < 2:
            raise ValueError("waiting and inside_per_s are at least 1, outside_per_s at least 2")
        if not (isfinite(self.sync_s) and self.sync_s >= 0.0):
            raise ValueError(f"sync_s {self.sync_s}: must be a time")


class AuditLog:
    """The log that a craft writes. It never raises for what the medium does.

    Args:
        files: folder of the log; ``None`` chains and signs in memory alone.
        signer: whose signature it carries.
        start: number of this start of the craft, ``None`` if it is not known.
        now_ns: flight time.
        settings: bounds.

    Attributes:
        left_out: records not written since start, by class.
        records: records of the whole log that are written, those of earlier starts included.
        recovered: what was found on the medium at start.
        newest: newest events of this start, oldest first.
    """

    def __init__(
        self, files: Files | None, signer: Signer, start: int | None, now_ns: int,
        settings: AuditSettings | None = None,
    ) -> None:
        self.settings = settings = AuditSettings() if settings is None else settings
        self.left_out = dict.fromkeys(AuditClass, 0)
        self.recovered = Recovered() if files is None else recover(files, settings.files, settings.file_bytes)
        self.records = self.recovered.records
        self.newest: deque[AuditEvent] = deque(maxlen=settings.waiting)
        self._digest = self.recovered.digest or genesis(signer.public_key)
        self._signer = signer
        self._start = start
        self._writer = None if files is None else SegmentWriter(files, settings.files, settings.file_bytes)
        self._waiting: deque[AuditEvent] = deque()
        self._outside: deque[int] = deque(maxlen=settings.outside_per_s)
        self._inside: dict[AuditClass, deque[int]] = {}
        self._untold: dict[str, int] = {}
        self._index = self.recovered.next_index
        self._found: Recovered | None = self.recovered
        self.recovered = replace(self.recovered, content=b"")
        self._files = files
        self._unsynced_ns: int | None = None
        self._failed_ns: int | None = None
        self._write(now_ns)

    def append(self, event: AuditEvent, now_ns: int) -> bool:
        """Take one event; ``False`` if it was left out, which is counted and will be told in the log."""
        window = self._window(event.kind)
        if _room(window, now_ns) and event.kind.from_outside:
            self._tell(now_ns)
        if not _room(window, now_ns) or len(self._waiting) >= self.settings.waiting:
            self.left_out[event.kind] += 1
            self._untold[event.kind.value] = self._untold.get(event.kind.value, 0) + 1
            return False
        window.append(now_ns)
        self._queue(event, now_ns)
        if event.severity is AuditSeverity.CRITICAL:
            self.flush(now_ns)
        return True

    def step(self, now_ns: int) -> None:
        """Tell what was left out, and bring to the medium what has waited long enough."""
        if _room(self._outside, now_ns):
            self._tell(now_ns)
        due = self._unsynced_ns is not None and now_ns - self._unsynced_ns >= self.settings.sync_s * NS
        if self._waiting or due:
            self.flush(now_ns)

    def flush(self, now_ns: int) -> bool:
        """Bring everything to the medium now; ``False`` if it refuses, or did within the last second."""
        if self._writer is None or not self._write(now_ns):
            return False
        if not self._writer.sync():
            # After a failed synchronisation nobody knows what is on the medium: a new file goes on behind it.
            self._writer.close()
            self._failed_ns = now_ns
            return False
        self._unsynced_ns = None
        return True

    def head(self) -> Head:
        """The newest written record's number and digest, signed. Number -1 stands for a log without records."""
        number = self.records - 1
        return Head(number, self._digest, self._signer.sign(head_message(number, self._digest)))

    def close(self, now_ns: int) -> Head:
        """Bring everything to the medium, close the file, sign the head."""
        self.flush(now_ns)
        if self._writer is not None:
            self._writer.close()
        return self.head()

    @property
    def writable(self) -> bool:
        """Whether records reach the medium: critical commands are refused without (AUDIT_UNAVAILABLE)."""
        return self._writer is not None and self._writer.is_open and self._failed_ns is None

    @property
    def waiting(self) -> int:
        """Records that wait for the medium."""
        return len(self._waiting)

    @property
    def failures(self) -> int:
        """Times that the medium refused."""
        return 0 if self._writer is None else self._writer.failures

    def _window(self, kind: AuditClass) -> deque[int]:
        if kind.from_outside:
            return self._outside
        window = self._inside.get(kind)
        if window is None:
            window = self._inside[kind] = deque(maxlen=self.settings.inside_per_s)
        return window

    def _tell(self, now_ns: int) -> None:
        """Write what was left out since it was last told; it takes a place among what comes from outside."""
        if not self._untold or len(self._waiting) >= self.settings.waiting:
            return
        more: dict[str, int | str] = dict(sorted(self._untold.items()))
        self._untold.clear()
        self._outside.append(now_ns)
        self._queue(AuditEvent(AuditClass.RECORDS_LEFT_OUT, now_ns, "audit", severity=AuditSeverity.WARNING,
                               more=more), now_ns)

    def _queue(self, event: AuditEvent, now_ns: int) -> None:
        self.newest.append(event)
        self._waiting.append(event)
        self._write(now_ns)

    def _write(self, now_ns: int) -> bool:
        """Write what waits, beginning a new file where one is needed; ``False`` if the medium refuses."""
        writer = self._writer
        if writer is None:
            while self._waiting:
                self._commit(self._chained(self._waiting.popleft())[1])
            return True
        if self._failed_ns is not None and now_ns - self._failed_ns < NS:
            return False
        if not writer.is_open and not self._begin(writer, now_ns):
            return False
        while self._waiting:
            if writer.full and not self._begin(writer, now_ns):
                return False
            entry, digest = self._chained(self._waiting[0])
            if not writer.write(entry):
                self._failed_ns = now_ns
                return False
            self._commit(digest)
            self._waiting.popleft()
            if self._unsynced_ns is None:
                self._unsynced_ns = now_ns
        self._failed_ns = None
        return True

    def _begin(self, writer: SegmentWriter, now_ns: int) -> bool:
        """Go on in the newest file if it has room and ends where the chain does, else begin the next one."""
        writer.sync()
        found, self._found = self._found, None
        if found is None and not writer.is_open and self._files is not None:
            found = recover(self._files, self.settings.files, self.settings.file_bytes)
        settings = self.settings
        more: dict[str, int | str] = {} if self._start is None else {"start": self._start}
        if found is not None:
            more |= {"torn_bytes": found.torn_bytes, "unreadable": found.unreadable}
        resumes = (found is not None and found.digest == self._digest and found.unreadable == 0
                   and 0 < len(found.content) < settings.file_bytes)
        if resumes:
            kind, index, content = AuditClass.LOG_RESUMED, self._index - 1, found.content if found else b""
        else:
            kind, index, content = AuditClass.FILE_BEGUN, self._index, MAGIC
            more |= {"file": index, "oldest": max(0, index - settings.files + 1)}
        entry, digest = self._chained(AuditEvent(kind, now_ns, "audit", more=more))
        if not writer.begin(index, content + entry):
            self._failed_ns = now_ns
            return False
        self._commit(digest)
        self._index = index + 1
        return True

    def _chained(self, event: AuditEvent) -> tuple[bytes, bytes]:
        """Entry and digest of an event as the next record."""
        record = record_bytes(self.records, self._digest, event.fields())
        digest = digest_of(record)
        last = self.records % SIGN_EVERY == SIGN_EVERY - 1
        return entry_bytes(record, self._signer.sign(sign_message(digest)) if last else b""), digest

    def _commit(self, digest: bytes) -> None:
        self._digest = digest
        self.records += 1


def _room(window: deque[int], now_ns: int) -> bool:
    """Whether another record fits into the second that ends now."""
    return len(window) != window.maxlen or now_ns - window[0] >= NS
