"""Damage to an audit log, as somebody would do it who can write its files and has no key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cbor2
import numpy as np

from comms.watch.audit import AuditLog, AuditSettings
from comms.watch.audit_files import MAGIC
from comms.watch.audit_record import AuditClass, AuditEvent, Head, digest_of, entry_bytes, read_entry
from comms.watch.signing import AuditSigner
from hil.disk import SimDisk

__all__ = ["DAMAGES", "WrittenLog", "written_log"]

LogFiles = list[tuple[str, list[bytes]]]
"""Name and entries of each file, oldest first."""


@dataclass(frozen=True, slots=True)
class WrittenLog:
    """A log that was written by the craft's own code, with the head that its owner holds."""

    files: tuple[tuple[str, tuple[bytes, ...]], ...]
    public_key: bytes
    head: Head

    @property
    def records(self) -> int:
        """Records in all."""
        return sum(len(entries) for _, entries in self.files)

    def places(self) -> list[tuple[int, int]]:
        """File and place of every record."""
        return [(file, at) for file, (_, entries) in enumerate(self.files) for at in range(len(entries))]


def written_log(rng: np.random.Generator, records: int) -> WrittenLog:
    """Write a log of so many records and read its files."""
    disk, signer = SimDisk(rng), AuditSigner(rng.bytes(32))
    log = AuditLog(disk, signer, 1, 0, AuditSettings(files=32, file_bytes=65_536))
    kinds = [kind for kind in AuditClass if not kind.from_outside]
    number = 0
    while log.records < records:
        t_ns = number * 1_000_000_000
        log.append(AuditEvent(kinds[number % len(kinds)], t_ns, "desk", command_id=f"c{number}", codes=("OK",),
                              operator="ground", new="done"), t_ns)
        number += 1
    head = log.close(number * 1_000_000_000)
    files = []
    for name in disk.names():
        data = disk.read(name, 1 << 30)
        if name.endswith(".log") and data is not None:
            files.append((name, tuple(_entries(data))))
    return WrittenLog(tuple(files), signer.public_key, head)


def _entries(data: bytes) -> list[bytes]:
    out, at = [], len(MAGIC)
    while (entry := read_entry(data, at)) is not None:
        out.append(data[at : at + entry.size])
        at += entry.size
    return out


def as_bytes(files: LogFiles) -> list[tuple[str, bytes]]:
    """Files as they stand on a medium; files without anything are gone."""
    return [(name, MAGIC + b"".join(entries)) for name, entries in files if entries]


def _delete(rng: np.random.Generator, files: LogFiles, file: int, at: int) -> None:
    del files[file][1][at]
    if rng.random() < 0.25:
        _rechain(files, file, at)


def _edit(rng: np.random.Generator, files: LogFiles, file: int, at: int) -> None:
    entries = files[file][1]
    kind = rng.random()
    if kind < 0.5:
        changed = bytearray(entries[at])
        changed[int(rng.integers(len(changed)))] ^= 1 << int(rng.integers(8))
        entries[at] = bytes(changed)
        return
    record, _, signature = cbor2.loads(entries[at])
    number, before, fields = cbor2.loads(record)
    fields[1] += 1
    entries[at] = entry_bytes(cbor2.dumps([number, before, fields], canonical=True), signature)
    if kind > 0.75:
        _rechain(files, file, at + 1)


def _reorder(rng: np.random.Generator, files: LogFiles, file: int, at: int) -> None:
    entries = files[file][1]
    other = int(rng.integers(len(entries) - 1))
    other += other >= at
    entries[at], entries[other] = entries[other], entries[at]
    if rng.random() < 0.25:
        _rechain(files, file, min(at, other))


def _truncate(rng: np.random.Generator, files: LogFiles, file: int, at: int) -> None:
    kind = rng.random()
    if kind < 0.5:
        # Everything from this record on is gone, whole files included; half of the time in the middle of the record.
        torn = files[file][1][at]
        del files[file][1][at:]
        del files[file + 1:]
        if kind < 0.25:
            files[file][1].append(torn[: int(rng.integers(1, len(torn)))])
    else:
        # One file is cut short, the others stay.
        del files[file][1][at:]


DAMAGES: dict[str, Callable[[np.random.Generator, LogFiles, int, int], None]] = {
    "delete": _delete, "edit": _edit, "reorder": _reorder, "truncate": _truncate,
}
"""By name: takes files that it changes, and the file and place of a record."""


def _rechain(files: LogFiles, file: int, at: int) -> None:
    """Number and chain everything from a place on anew: what somebody without the key can still make right."""
    before_entry = files[file][1][at - 1] if at > 0 else files[file - 1][1][-1] if file > 0 else None
    if before_entry is None:
        return
    record = cbor2.loads(before_entry)[0]
    number, digest = cbor2.loads(record)[0], digest_of(record)
    for index in range(file, len(files)):
        entries = files[index][1]
        for place in range(at if index == file else 0, len(entries)):
            old, _, signature = cbor2.loads(entries[place])
            number += 1
            record = cbor2.dumps([number, digest, cbor2.loads(old)[2]], canonical=True)
            digest = digest_of(record)
            entries[place] = entry_bytes(record, signature)
