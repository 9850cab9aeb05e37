"""Contexts that outlive a restart: emergency packets (NBL) and sealed bundles, a key for each start, no handshake.

Key and nonce come from a root key and the 32-bit boot id of the sender's start, through the same schedule as those of
a session (the boot id stands where an epoch's number does). Counters are reserved on the medium before they are used
(``reservation``); where those aren't certain nothing is sent.

An NBL record has no room for a boot id: two bits of it stand in the first byte, and the receiver tries the boot ids
from the last one heard forward. A sealed bundle, which may come late and by detours, begins with the whole boot id.
"""

from __future__ import annotations

from comms.channel_plan import ChannelKind, ChannelSpec, Direction
from comms.records.faults import RecordFault
from comms.records.lane import EPOCHS, LaneKeys
from comms.records.record import LONGEST_RECORD, Opened, Opener, Sealer
from comms.records.reservation import CounterStore, Reason, Reserved
from comms.records.schedule import HASH_BYTES, forget
from comms.records.window import ReplayWindow

__all__ = ["BOOT_ID_BYTES", "MOST_STARTS", "NBL_LONGEST", "TRIES", "KeptReceiver", "KeptSender", "NblReceiver"]

NBL_LONGEST = 128
"""Bytes of the longest NBL packet, 1024 bit on the air (CANON section 11)."""
TRIES = 64
"""Boot ids that are tried for one NBL record."""
MOST_STARTS = 16
"""Starts of a sender whose bundles are still taken, the newest ones heard."""
BOOT_ID_BYTES = 4


def _is_nbl(spec: ChannelSpec) -> bool:
    return spec.kind is ChannelKind.NBL


def _longest(spec: ChannelSpec, longest: int) -> int:
    return min(longest, NBL_LONGEST) if _is_nbl(spec) else longest


class _Root:
    """Root key of a context, and what goes into its keys beside it."""

    __slots__ = ("_direction", "_key", "_label", "spec")

    def __init__(self, key: bytes | bytearray, label: bytes, direction: Direction, spec: ChannelSpec) -> None:
        if len(key) != HASH_BYTES or not any(key):
            raise ValueError(f"a root key has {HASH_BYTES} bytes that aren't all zero")
        if not label:
            raise ValueError("a context has a label")
        self._key = bytearray(key)
        self._label = label
        self._direction = direction
        self.spec = spec

    def lane(self, boot_id: int) -> LaneKeys:
        return LaneKeys(self._key, self._label, self._direction, self.spec, boot_id, implied=_is_nbl(self.spec))

    @property
    def forgotten(self) -> bool:
        return not any(self._key)

    def forget(self) -> None:
        forget(self._key)


class KeptSender:
    """Seals in one context. On an NBL channel what it makes is the record, else the boot id and the record.

    Args:
        root: root key, 32 bytes; copied.
        label: of the context, the same at both ends (which craft, what for).
        direction: way of the records.
        spec: channel of the context.
        store: its reservations; gives the boot id.
        name: under which they are kept there; one for each root key.
        longest: bytes of the longest record; on an NBL channel 128 at most.

    Attributes:
        reason: why the last attempt to send, or to get ready, was refused; ``None`` if it was not.

    Raises ValueError for a root key of another length, an unset one, or no label.
    """

    __slots__ = ("_lead", "_longest", "_name", "_root", "_sealer", "_store", "reason")

    def __init__(
        self, root: bytes | bytearray, label: bytes, direction: Direction, spec: ChannelSpec, store: CounterStore,
        name: str, longest: int = LONGEST_RECORD,
    ) -> None:
        self._root = _Root(root, label, direction, spec)
        self._store = store
        self._name = name
        self._lead = b"" if _is_nbl(spec) or store.boot_id is None else store.boot_id.to_bytes(BOOT_ID_BYTES, "big")
        self._longest = _longest(spec, longest) - len(self._lead)
        self._sealer: Sealer | None = None
        self.reason: Reason | None = store.usable(name)

    @property
    def usable(self) -> bool:
        """Whether it may send, as far as that is known without a write to the medium."""
        return not self._root.forgotten and self._store.usable(self._name) is None

    @property
    def overhead(self) -> int | None:
        """Bytes that the next record takes beside its plaintext; ``None`` before ``prepare``, or if not usable."""
        return None if self._sealer is None else len(self._lead) + self._sealer.overhead

    def prepare(self) -> Reason | None:
        """Reserve the first counters, so that the first record doesn't wait for the medium. Returns why it can't."""
        if self._sealer is None and not self._root.forgotten:
            self._take_block()
        return self.reason

    def seal(self, plaintext: bytes) -> bytes | RecordFault:
        """One record: NOT_USABLE (see ``reason``), TOO_LONG, CLOSED, or COUNTER_END. Waits for the medium once in 256
        records."""
        if self._root.forgotten:
            return RecordFault.CLOSED
        if self._sealer is None and not self._take_block():
            return RecordFault.NOT_USABLE
        sealer = self._sealer
        assert sealer is not None
        record = sealer.seal(plaintext)
        if record is RecordFault.COUNTER_END:
            if not self._take_block():
                return RecordFault.NOT_USABLE
            record = sealer.seal(plaintext)
        return record if isinstance(record, RecordFault) else self._lead + record

    def _take_block(self) -> bool:
        block = self._store.reserve(self._name)
        if not isinstance(block, Reserved):
            self.reason = block
            return False
        self.reason = None
        if self._sealer is None:
            assert self._store.boot_id is not None
            lane = self._root.lane(self._store.boot_id)
            self._sealer = Sealer(lane, block.first, block.end, self._longest)
        else:
            self._sealer.raise_limit(block.end, block.first)
        return True

    def close(self) -> None:
        """Forget the keys."""
        self._root.forget()
        self._sealer = None

    def __repr__(self) -> str:
        return f"<KeptSender {self._name}, boot {self._store.boot_id}>"


class NblReceiver:
    """Opens NBL records of one sender.

    Args:
        root, label, direction, spec: as the sender has them.
        boot_id: last one heard, kept over a restart of this end; or the one at provisioning.
        floor: counters of that start below it count as heard.

    Attributes:
        boot_id: newest start that a good record came from.

    Raises ValueError for a root key of another length, an unset one, or a channel of another kind.
    """

    __slots__ = ("_openers", "_root", "_window", "boot_id")

    def __init__(
        self, root: bytes | bytearray, label: bytes, direction: Direction, spec: ChannelSpec, boot_id: int = 0,
        floor: int = 0,
    ) -> None:
        if not _is_nbl(spec):
            raise ValueError(f"channel {spec.name} is no NBL channel")
        self._root = _Root(root, label, direction, spec)
        self.boot_id = boot_id
        self._window = ReplayWindow(floor=floor)
        self._openers = {boot_id: Opener(self._root.lane(boot_id), self._window, NBL_LONGEST)}

    @property
    def progress(self) -> tuple[int, int]:
        """Boot id and floor to begin with after a restart: to be stored before what was opened is acted upon."""
        return self.boot_id, self._window.next

    @property
    def intrusions(self) -> int:
        """Keys that have met their limit of false tags and are shut; ``expect`` gets past them."""
        return sum(opener.shut for opener in self._openers.values())

    def open(self, record: bytes) -> Opened | RecordFault:
        """What the sender has sealed; ``epoch`` is its boot id. Never raises."""
        if self._root.forgotten:
            return RecordFault.CLOSED
        present = self._openers[self.boot_id]
        fault: RecordFault = RecordFault.FORGED
        ahead = ((record[0] >> 6) - self.boot_id) & 3 if record else 0
        for boot_id in range(self.boot_id + ahead, min(self.boot_id + 4 * TRIES, EPOCHS), 4):
            opener = self._openers.get(boot_id)
            if opener is None:
                opener = self._openers[boot_id] = Opener(self._root.lane(boot_id), longest=NBL_LONGEST)
            found = opener.open(record)
            if isinstance(found, Opened):
                self._go_on(boot_id)
                return found
            if found is RecordFault.FORGED or found is RecordFault.KEY_SHUT:
                continue
            if opener is not present or found not in (RecordFault.REPLAYED, RecordFault.TOO_OLD):
                return found
            # A later start may have a record with the same bits and counter: go on, and say this if there is none.
            fault = found
        return fault

    def expect(self, boot_id: int) -> None:
        """The sender is known, from an authenticated session, to be in this start: earlier ones open nothing more."""
        if self.boot_id < boot_id < EPOCHS and not self._root.forgotten:
            self._go_on(boot_id)

    def _go_on(self, boot_id: int) -> None:
        if boot_id == self.boot_id:
            return
        self.boot_id = boot_id
        self._openers = {known: opener for known, opener in self._openers.items() if known >= boot_id}
        if boot_id not in self._openers:
            self._openers[boot_id] = Opener(self._root.lane(boot_id), longest=NBL_LONGEST)
        self._window = self._openers[boot_id].window

    def close(self) -> None:
        """Forget the keys."""
        self._root.forget()
        self._openers.clear()

    def __repr__(self) -> str:
        return f"<NblReceiver, boot {self.boot_id}>"


class KeptReceiver:
    """Opens what a KeptSender of another kind than NBL has sealed, in any order, over its last 16 starts.

    Args:
        root, label, direction, spec: as the sender has them.
        marks: ``marks`` of before a restart of this end.
        longest: bytes of the longest record.

    Raises ValueError for a root key of another length, an unset one, or an NBL channel.
    """

    __slots__ = ("_longest", "_openers", "_root", "oldest")

    def __init__(
        self, root: bytes | bytearray, label: bytes, direction: Direction, spec: ChannelSpec,
        marks: dict[int, int] | None = None, longest: int = LONGEST_RECORD,
    ) -> None:
        if _is_nbl(spec):
            raise ValueError("an NBL record has no boot id: NblReceiver opens it")
        self._root = _Root(root, label, direction, spec)
        self._longest = longest - BOOT_ID_BYTES
        self._openers: dict[int, Opener] = {}
        self.oldest = 0
        """Starts before this one open nothing more."""
        for boot_id, floor in sorted((marks or {}).items()):
            self._keep(boot_id, Opener(self._root.lane(boot_id), ReplayWindow(floor=floor), self._longest))

    @property
    def marks(self) -> dict[int, int]:
        """For each start heard, the counter below which all count as heard: to be stored before what was opened is
        acted upon. After a restart with it late records are refused, and none opens twice."""
        return {boot_id: opener.window.next for boot_id, opener in self._openers.items()}

    def open(self, record: bytes) -> Opened | RecordFault:
        """What the sender has sealed; ``epoch`` is its boot id. Never raises."""
        if self._root.forgotten:
            return RecordFault.CLOSED
        if len(record) < BOOT_ID_BYTES:
            return RecordFault.TOO_SHORT
        boot_id = int.from_bytes(record[:BOOT_ID_BYTES], "big")
        if boot_id < self.oldest:
            return RecordFault.WRONG_EPOCH
        opener = self._openers.get(boot_id)
        if opener is not None:
            return opener.open(record[BOOT_ID_BYTES:])
        if len(record) > self._longest + BOOT_ID_BYTES:
            return RecordFault.TOO_LONG
        # Nothing is kept of a start that no good record has come from: anybody can name one.
        opener = Opener(self._root.lane(boot_id), longest=self._longest)
        found = opener.open(record[BOOT_ID_BYTES:])
        if isinstance(found, Opened):
            self._keep(boot_id, opener)
        return found

    def _keep(self, boot_id: int, opener: Opener) -> None:
        self._openers[boot_id] = opener
        if len(self._openers) > MOST_STARTS:
            oldest = min(self._openers)
            del self._openers[oldest]
            self.oldest = oldest + 1

    def close(self) -> None:
        """Forget the keys."""
        self._root.forget()
        self._openers.clear()

    def __repr__(self) -> str:
        return f"<KeptReceiver, starts {sorted(self._openers)}>"
