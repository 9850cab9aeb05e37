"""Keeper of the boot record: how often the craft has started, whether its starts last, and when it goes to SAFE for it.

At boot the record is read, counted up and stored, and only then is it ``settled``: nothing that can fail, above all no
valve, is armed before, or a craft that dies of it would not know the next time. It is stored again when a start has
become healthy, when a person acknowledges, and when the program is stopped cleanly. What the rules are is decided in
``fdir/boot.py``.
"""

from __future__ import annotations

import struct

from fdir.boot import BootPolicy, BootRecord, ResetReason
from fdir.codes import Code, Severity
from firmware_py.journal import Journal
from hal.nonvolatile import NonVolatile, Transfer

__all__ = ["BOOT_SLOT", "BootKeeper", "decode_boot", "encode_boot", "reset_reason"]

BOOT_SLOT = 0
"""Slot of the memory."""
VERSION = 1
_RECORD = struct.Struct(">BBBxIII")
"""Version, flags, reset reason, starts, failed, last good start; 0 is none."""
_CLEAN, _LATCHED = 1, 2
_REASONS = (None, *ResetReason)


def encode_boot(record: BootRecord) -> bytes:
    """A record as 16 bytes; the memory adds its own checksum."""
    flags = (_CLEAN if record.clean else 0) | (_LATCHED if record.latched else 0)
    reset = _REASONS.index(record.reset)
    return _RECORD.pack(VERSION, flags, reset, record.starts, record.failed, record.last_good or 0)


def decode_boot(payload: bytes) -> BootRecord | None:
    """A record from its bytes; ``None`` if they are none, or another version's."""
    if len(payload) != _RECORD.size:
        return None
    version, flags, reset, starts, failed, last_good = _RECORD.unpack(payload)
    if version != VERSION or flags & ~(_CLEAN | _LATCHED) or reset >= len(_REASONS):
        return None
    return BootRecord(starts, failed, bool(flags & _CLEAN), bool(flags & _LATCHED), last_good or None, _REASONS[reset])


def reset_reason(watchdog_caused_it: bool | None) -> ResetReason | None:
    """Why the computer started, of what the watchdog says (drivers.linux_watchdog); ``None``: not known."""
    return ResetReason.WATCHDOG if watchdog_caused_it else None


class BootKeeper:
    """Owner of the boot record.

    Args:
        memory: where it is kept; ``None`` if this craft has none: then there is no counting.
        journal: where events go.
        reset: why the computer last started, if that is known.

    Attributes:
        policy: the rules; may be set until the record has been read.
        record: of this start; ``None`` until it is known.
        settled: whether the start has been noted, or cannot be.
        safe: whether the craft must be in SAFE because it kept restarting (BOOT_LOOP), until it is acknowledged.
    """

    def __init__(self, memory: NonVolatile | None, journal: Journal, reset: ResetReason | None = None) -> None:
        self.policy = BootPolicy()
        self.record: BootRecord | None = None
        self.settled = memory is None
        self.safe = False
        self._memory = memory
        self._journal = journal
        self._reset = reset
        self._loading: Transfer | None = None
        self._storing: Transfer | None = None
        self._changed = False
        self._kept = True
        self._left_boot_ns: int | None = None
        self._stopped = False

    @property
    def busy(self) -> bool:
        """Whether something is still to be stored."""
        return self._storing is not None or self._changed

    def begin(self, now_ns: int) -> None:
        """Start to read the record. Call once, at boot."""
        if self._memory is not None:
            self._loading = self._memory.load(BOOT_SLOT, now_ns)

    def step(self, now_ns: int, out_of_boot: bool, acknowledged: bool, may_count: bool = True) -> None:
        """Go on. Never waits.

        Args:
            now_ns: flight time.
            out_of_boot: whether the craft has left Boot, for Idle or SAFE.
            acknowledged: whether a person has acknowledged a SAFE that BOOT_LOOP is a reason of.
            may_count: whether the rules are known; the record is read meanwhile, and waits.
        """
        if self._loading is not None and may_count and self._loading.poll(now_ns):
            self._start(self._loading, now_ns)
            self._loading = None
        if self._storing is not None and self._storing.poll(now_ns):
            if self._storing.error is not None:
                why = f"boot record not stored: {self._storing.error}"
                self._journal.event(now_ns, Code.PARAM_STORE_FAILED, Severity.WARNING, why)
            self._storing = None
            self.settled = self.settled or not self._changed
        if out_of_boot and self._left_boot_ns is None:
            self._left_boot_ns = now_ns
        self._follow(now_ns, acknowledged)
        self._store(now_ns)

    def stop(self, now_ns: int) -> None:
        """A clean stop: note it; ``busy`` until it is stored."""
        if self.record is not None and not self._stopped:
            self._stopped = True
            self._adopt(self.policy.stopped(self.record))
            self._store(now_ns)

    def _follow(self, now_ns: int, acknowledged: bool) -> None:
        record = self.record
        if record is None or self._stopped:
            return
        if acknowledged and record.latched:
            record = self._adopt(self.policy.acknowledged(record))
        since = None if self._left_boot_ns is None else now_ns - self._left_boot_ns
        verdict = self.policy.judge(record, since)
        self.safe = verdict.safe
        if verdict.healthy:
            self._adopt(self.policy.lasted(record))

    def _start(self, transfer: Transfer, now_ns: int) -> None:
        before = None if transfer.payload is None else decode_boot(transfer.payload)
        why = transfer.error
        if transfer.payload is not None and before is None:
            why = "it is none, or another version's"
        if why is not None:
            # A memory that does not answer may hold a record that says SAFE: nothing is written over that.
            self._kept = transfer.error is None or transfer.broken
            self._journal.event(now_ns, Code.PARAM_INVALID, Severity.WARNING, f"boot record not read: {why}")
        record = self._adopt(self.policy.started(before, self._reset))
        self.settled = not self._kept
        if record.latched:
            text = f"start {record.starts}: {record.failed - 1} starts in a row did not last"
            self._journal.event(now_ns, Code.BOOT_LOOP, Severity.CRITICAL, text)

    def _adopt(self, record: BootRecord) -> BootRecord:
        self.record = record
        self._changed = self._kept
        return record

    def _store(self, now_ns: int) -> None:
        if self._changed and self._storing is None and self._memory is not None and self.record is not None:
            self._changed = False
            self._storing = self._memory.store(BOOT_SLOT, encode_boot(self.record), now_ns)
