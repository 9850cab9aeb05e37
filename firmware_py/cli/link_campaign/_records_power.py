"""Row 5: the supply goes away at any moment, storage goes back or is lost, and no nonce is used twice under one key."""

from __future__ import annotations

import os
import signal
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from comms.channel_plan import Direction, channel_named
from comms.records.faults import RecordFault
from comms.records.header import Header, read_header
from comms.records.kept import BOOT_ID_BYTES, KeptSender
from comms.records.reservation import BLOCK, CounterStore, Reason
from firmware_py.cli.link_campaign._records_kit import Failures
from firmware_py.cli.link_campaign.row import Progress, RowResult
from hal.nonvolatile import Files, FolderFiles
from hil.disk import PowerCut, SimDisk

__all__ = ["power_losses"]

NAME = "bundles"
SPEC = channel_named("bundles")
ROUND = 111
"""Of so many cases 100 are cuts, 10 are roll-backs and one is a loss of the storage."""
REAL = 50
"""One cut of so many is a process of its own that is killed."""
MOST_RECORDS = 700
MOST_CALLS = 60
_WIRE = 12
"""Bytes that a killed process tells of a record: boot id and counter."""


@dataclass(slots=True)
class _Craft:
    """A craft's memories over its lives, and everything that it ever sent."""

    rng: np.random.Generator
    failures: Failures
    disk: SimDisk = field(init=False)
    boot_id: int = 1
    root: int = 0
    sent: int = 0
    highest: dict[tuple[int, int], int] = field(default_factory=dict)
    """Greatest counter that went out under each key: root key and boot id. Counters of a key only rise."""
    last: tuple[int, int, int] | None = None
    starts: int = 0
    """Of the program, since the last record."""
    skipped: int = 0
    refused: int = 0
    snapshots: list[dict[str, bytes]] = field(default_factory=list)
    storage_true: bool = True
    """No older state was put back since the last reservation."""

    def __post_init__(self) -> None:
        self.disk = SimDisk(self.rng)
        self.provision()

    def provision(self) -> None:
        """A new root key, as after a loss."""
        self.root += 1
        reason = CounterStore(self.disk, self.boot_id).provision(NAME)
        self.failures.unless(reason is None, f"no new key: {reason}")

    def key(self) -> bytes:
        return self.root.to_bytes(32, "big")

    def note(self, boot_id: int, counter: int, case: int) -> None:
        """A record went out."""
        mark = (self.root, boot_id, counter)
        used = self.highest.get(mark[:2], -1)
        self.failures.unless(counter > used, f"case {case}: counter {counter} of start {boot_id} after {used}")
        self.highest[mark[:2]] = max(counter, used)
        self.sent += 1
        if self.last is not None and self.last[:2] == mark[:2]:
            gap = counter - self.last[2] - 1
            self.skipped = max(self.skipped, gap // max(1, self.starts))
            self.failures.unless(gap <= BLOCK * self.starts, f"case {case}: {gap} skipped, {self.starts} starts")
        self.last = mark
        self.starts = 0
        self.storage_true = True

    def live(self, case: int, boot_id: int, records: int) -> Reason | None:
        """One life until its records are sent or the supply is gone; why it sent nothing, if it was not allowed to."""
        self.starts += 1
        sender = _sender(self.key(), self.disk, boot_id)
        for _ in range(records):
            record = sender.seal(b"bundle")
            if isinstance(record, RecordFault):
                return sender.reason
            self.note(*_mark(record), case)
        return None


def _sender(key: bytes, files: Files, boot_id: int) -> KeptSender:
    return KeptSender(key, b"craft", Direction.DOWN, SPEC, CounterStore(files, boot_id), NAME)


def _mark(record: bytes) -> tuple[int, int]:
    header = read_header(record[BOOT_ID_BYTES:])
    assert isinstance(header, Header)
    return int.from_bytes(record[:BOOT_ID_BYTES], "big"), header.counter


def power_losses(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """Cuts (one in 50 a process that is killed), roll-backs and losses of the storage."""
    failures = Failures()
    craft = _Craft(rng, failures)
    kinds = {"cuts": 0, "kills": 0, "roll-backs": 0, "losses": 0}
    with tempfile.TemporaryDirectory() as folder:
        real = _RealCraft(Path(folder), failures)
        for case in range(cases):
            progress(case, cases)
            place = case % ROUND
            if place == ROUND // 2:
                kinds["losses"] += 1
                _lose(craft, case)
            elif place % 11 == 10:
                kinds["roll-backs"] += 1
                _roll_back(craft, case)
            elif place % REAL == 1:
                kinds["kills"] += 1
                real.live(rng, case)
            else:
                kinds["cuts"] += 1
                _cut(craft, case)
        kinds["sent by killed processes"] = real.sent
    counts = {
        **kinds, "sent": craft.sent, "most counters skipped by a start": craft.skipped, "refused": craft.refused,
    }
    return failures.result(cases, counts)


def _cut(craft: _Craft, case: int) -> None:
    """A life that ends in a cut: at a system call, or after a number of records."""
    rng = craft.rng
    craft.boot_id += int(rng.integers(0, 3) > 0) if craft.storage_true else 1
    craft.disk.dies_at = craft.disk.calls + int(rng.integers(0, MOST_CALLS))
    try:
        reason = craft.live(case, craft.boot_id, int(rng.integers(0, MOST_RECORDS)))
        craft.failures.unless(reason is None, f"case {case}: not usable after a mere cut: {reason}")
    except PowerCut:
        pass
    craft.disk.restart()
    if rng.random() < 0.2:
        craft.snapshots.append(_contents(craft.disk))
        del craft.snapshots[:-8]


def _roll_back(craft: _Craft, case: int) -> None:
    """An older state of one of the two memories is put back while the craft is off."""
    rng = craft.rng
    if craft.snapshots and rng.random() < 0.6:
        _put(craft.disk, craft.snapshots[int(rng.integers(len(craft.snapshots)))])
        craft.storage_true = False
        craft.boot_id += 1
        craft.refused += craft.live(case, craft.boot_id, int(rng.integers(1, MOST_RECORDS))) is not None
        return
    if not craft.storage_true:
        # Both memories at once is more than is promised.
        craft.boot_id += 1
        craft.live(case, craft.boot_id, 1)
    back = max(0, craft.boot_id - int(rng.integers(1, 30)))
    used = any(mark[:2] == (craft.root, craft.boot_id) for mark in (craft.last,) if mark is not None)
    reason = craft.live(case, back, int(rng.integers(1, MOST_RECORDS)))
    craft.refused += reason is not None
    if used:
        craft.failures.unless(reason is Reason.BOOT_ROLLED_BACK, f"case {case}: boot record rolled back: {reason}")


def _lose(craft: _Craft, case: int) -> None:
    """The storage is empty, or one of its copies is broken: nothing is sent before there is a new key."""
    rng = craft.rng
    craft.boot_id += 1
    if rng.random() < 0.5:
        craft.disk = SimDisk(rng)
    else:
        held = _contents(craft.disk)
        name = sorted(held)[int(rng.integers(len(held)))]
        raw = bytearray(held[name])
        raw[int(rng.integers(len(raw)))] ^= 1 << int(rng.integers(8))
        _put(craft.disk, {name: bytes(raw)})
    reason = craft.live(case, craft.boot_id, 1)
    lost = reason in (Reason.MISSING, Reason.UNREADABLE)
    craft.failures.unless(lost, f"case {case}: lost storage is {reason or 'used'}")
    craft.refused += 1
    craft.provision()


def _contents(disk: SimDisk) -> dict[str, bytes]:
    found = {name: disk.read(name, 1 << 20) for name in disk.names() if not name.endswith(".new")}
    return {name: raw for name, raw in found.items() if raw is not None}


def _put(disk: SimDisk, held: dict[str, bytes]) -> None:
    for name, raw in held.items():
        handle = disk.create(name)
        disk.write(handle, raw)
        disk.sync(handle)
        disk.close(handle)
    disk.sync_folder()


class _KillingFiles(FolderFiles):
    """A folder whose user is killed at a system call."""

    def __init__(self, folder: Path, calls: int) -> None:
        super().__init__(folder)
        self.left = calls

    def _step(self) -> None:
        self.left -= 1
        if self.left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def create(self, name: str) -> int:
        """See Files."""
        self._step()
        return super().create(name)

    def write(self, handle: int, data: bytes) -> int:
        """See Files; half of a killed write arrives."""
        if self.left == 0:
            super().write(handle, data[: len(data) // 2])
        self._step()
        return super().write(handle, data)

    def sync(self, handle: int) -> None:
        """See Files."""
        self._step()
        super().sync(handle)

    def rename(self, old: str, new: str) -> None:
        """See Files."""
        self._step()
        super().rename(old, new)
        self._step()


class _RealCraft:
    """Lives as processes of this machine, each killed with SIGKILL, over one folder."""

    def __init__(self, folder: Path, failures: Failures) -> None:
        self._folder = folder
        self._failures = failures
        self.sent = 0
        self._highest: dict[int, int] = {}
        self._boot_id = 1
        reason = CounterStore(FolderFiles(folder), 1).provision(NAME)
        failures.unless(reason is None, f"no new key: {reason}")

    def live(self, rng: np.random.Generator, case: int) -> None:
        """One life; the parent takes in what the child has sent until its end."""
        self._boot_id += int(rng.integers(0, 2))
        calls, records = int(rng.integers(0, 14)), int(rng.integers(0, MOST_RECORDS))
        there, here = os.pipe()
        child = os.fork()
        if child == 0:
            self._send(here, calls, records)
        os.close(here)
        told = bytearray()
        while part := os.read(there, 65_536):
            told += part
        os.close(there)
        os.waitpid(child, 0)
        for at in range(0, len(told) - _WIRE + 1, _WIRE):
            boot_id, counter = int.from_bytes(told[at:at + 4], "big"), int.from_bytes(told[at + 4:at + _WIRE], "big")
            used = self._highest.get(boot_id, -1)
            self._failures.unless(counter > used, f"case {case}: killed process, counter {counter} after {used}")
            self._highest[boot_id] = max(counter, used)
            self.sent += 1

    def _send(self, pipe: int, calls: int, records: int) -> None:
        """The child: never returns."""
        try:
            sender = _sender(b"r" * 32, _KillingFiles(self._folder, calls), self._boot_id)
            for _ in range(records):
                record = sender.seal(b"bundle")
                if isinstance(record, RecordFault):
                    break
                boot_id, counter = _mark(record)
                os.write(pipe, boot_id.to_bytes(4, "big") + counter.to_bytes(8, "big"))
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
