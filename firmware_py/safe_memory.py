"""Keeper of SAFE over restarts: what stands in the memory is taken up at boot, and follows whatever changes after.

The record is read at boot; until that is ``settled`` the craft does not leave Boot for Idle. A record that cannot be
read, and a memory that does not answer in time, mean SAFE until a person has acknowledged; a memory that never held
one, and a craft without a memory, mean nothing. A store that failed is tried again. Bytes: ``fdir/safe_record.py``.
"""

from __future__ import annotations

from fdir.codes import Code, Severity
from fdir.safe_record import UNREADABLE, KeptSafe, decode_safe, encode_safe
from firmware_py.journal import Journal
from hal.nonvolatile import NonVolatile, Transfer

__all__ = ["READ_NS", "RETRY_NS", "SAFE_SLOT", "SafeMemory"]

SAFE_SLOT = 2
"""Slot of the memory, after boot record and parameters."""
SECOND = 1_000_000_000
READ_NS = 10 * SECOND
"""Longest time that the boot waits for the record: less than it waits for the memory as a whole."""
RETRY_NS = 10 * SECOND
"""Time from a store that failed to the next attempt."""


class SafeMemory:
    """Owner of the record of SAFE.

    Args:
        memory: where it is kept; ``None`` if this craft has none: then a restart forgets SAFE.
        journal: where events go.

    Attributes:
        settled: whether it is known what the memory said, or there is none.
    """

    def __init__(self, memory: NonVolatile | None, journal: Journal) -> None:
        self.settled = memory is None
        self._memory = memory
        self._journal = journal
        self._loading: Transfer | None = None
        self._began_ns = 0
        self._storing: Transfer | None = None
        self._stored: bytes | None = None
        """What the memory holds or is being given; ``None``: not known."""
        self._not_before_ns = 0
        self._told = False

    @property
    def busy(self) -> bool:
        """Whether something is being stored."""
        return self._storing is not None

    def step(self, now_ns: int, present: KeptSafe) -> KeptSafe | None:
        """Go on, at the medium rate from the first tick on. Never waits.

        Args:
            now_ns: flight time.
            present: how SAFE stands now.

        Returns:
            What the craft was in SAFE for before it started: once, and only if it was.
        """
        if self._memory is None:
            return None
        if not self.settled:
            return self._read(self._memory, now_ns)
        self._store(self._memory, now_ns, encode_safe(present))
        return None

    def _read(self, memory: NonVolatile, now_ns: int) -> KeptSafe | None:
        if self._loading is None:
            self._began_ns = now_ns
            self._loading = memory.load(SAFE_SLOT, now_ns)
        transfer = self._loading
        if not transfer.poll(now_ns):
            if now_ns - self._began_ns < READ_NS:
                return None
            why = "the memory does not answer"
        elif transfer.error is not None:
            why = transfer.error
        elif transfer.payload is None:
            return self._found(KeptSafe(), transfer.payload)
        else:
            found = decode_safe(transfer.payload)
            if found is not UNREADABLE:
                return self._found(found, transfer.payload)
            why = "it is damaged, or another version's"
        text = f"record of SAFE not read: {why}"
        self._journal.event(now_ns, Code.SAFE_RECORD_INVALID, Severity.CRITICAL, text)
        return self._found(UNREADABLE, None)

    def _found(self, found: KeptSafe, payload: bytes | None) -> KeptSafe | None:
        self.settled = True
        self._stored = payload
        return found if found != KeptSafe() else None

    def _store(self, memory: NonVolatile, now_ns: int, wanted: bytes) -> None:
        storing = self._storing
        if storing is not None:
            if not storing.poll(now_ns):
                return
            self._storing = None
            if storing.error is not None:
                self._stored = None
                self._not_before_ns = now_ns + RETRY_NS
                self._tell(now_ns, storing.error)
            else:
                self._told = False
        if wanted != self._stored and now_ns >= self._not_before_ns:
            self._stored = wanted
            self._storing = memory.store(SAFE_SLOT, wanted, now_ns)

    def _tell(self, now_ns: int, why: str) -> None:
        """Say once that it is not stored."""
        if not self._told:
            self._told = True
            self._journal.event(now_ns, Code.PARAM_STORE_FAILED, Severity.WARNING, f"record of SAFE not stored: {why}")
