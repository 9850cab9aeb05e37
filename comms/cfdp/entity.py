"""A CFDP entity: files go out and come in, whatever the link does, and nothing that comes in can raise.

Class 1 and class 2 of CCSDS 727.0-B-5, many transactions at once. Time is handed in; what outlives a restart lies in
the store. A link asks for units when it has room: acknowledgements first, then directives, then the oldest file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace

from comms.bounded import BoundedQueue
from comms.cfdp.config import FAULTS, EntityConfig, PeerConfig
from comms.cfdp.incoming import Incoming
from comms.cfdp.indications import (
    Counts,
    EntityRefusal,
    EntityStatus,
    Indication,
    PutRefusal,
    TransactionId,
    TransactionView,
)
from comms.cfdp.pdu import (
    Ack,
    AckStatus,
    Body,
    Condition,
    Directive,
    FaultOverride,
    Finished,
    Header,
    Metadata,
    Mode,
    Option,
    PduRefusal,
    Response,
    UserMessage,
    decode,
)
from comms.cfdp.records import ReceiverRecord, SenderRecord, read_record, sender_key
from comms.cfdp.sender import Sender
from comms.cfdp.sequence import SequenceNumbers
from comms.cfdp.store import FileStore, Source, StoreRefusal
from comms.cfdp.transaction import Desk, Transaction

__all__ = ["CfdpEntity"]

REPLIES = 64
LONGEST_TEXT = 255
FIRST_LARGE = 1 << 32


class CfdpEntity:
    """One end of file transfers.

    Args:
        config: the entity itself.
        store: its files; what it kept is taken up again.
        peers: whom it talks to; units of anybody else are refused.
        random_bytes: where numbering begins if the store has lost count.
        now_ns: monotonic time.

    Attributes:
        indications: what happened, oldest first; a full queue drops the oldest and counts it.
        counts: what has passed.
    """

    def __init__(
        self, config: EntityConfig, store: FileStore, peers: Iterable[PeerConfig],
        random_bytes: Callable[[int], bytes], now_ns: int,
    ) -> None:
        self.config = config
        self.store = store
        self.peers = {peer.entity_id: peer for peer in peers}
        self.indications: BoundedQueue[Indication] = BoundedQueue(config.indications, keep_new=True)
        self.counts = Counts()
        self._replies: BoundedQueue[tuple[int, bytes]] = BoundedQueue(REPLIES, keep_new=True)
        self._desk = Desk(config, store, self.indications, self._replies, self.counts)
        self._sequence = SequenceNumbers(store, config.sequence_bytes, random_bytes)
        self._out: OrderedDict[int, Sender] = OrderedDict()
        self._incoming = Incoming(self._desk)
        self._down: set[int] = set()
        self._take_up(now_ns)

    # -- the user's side

    def put(
        self, name: str, destination: int, now_ns: int, *, mode: Mode = Mode.ACKNOWLEDGED,
        destination_name: str | None = None, closure: bool = False, messages: tuple[bytes, ...] = (),
        overrides: tuple[FaultOverride, ...] = (),
    ) -> TransactionId | PutRefusal:
        """Begin to send a file of the store.

        Args:
            name: its name here; empty to send only ``messages``.
            destination: a peer's entity id.
            mode: class 2 (acknowledged) or class 1.
            destination_name: its name there; as here if not given.
            closure: class 1 only: the receiver tells once how it ended.
            messages: to the receiver's user, at most 255 bytes each.
            overrides: what faults of this transaction lead to, at both ends.
        """
        peer = self.peers.get(destination)
        if peer is None:
            return PutRefusal.UNKNOWN_PEER
        if len(self._out) >= self.config.transactions:
            return PutRefusal.TOO_MANY
        there = name if destination_name is None else destination_name
        if bool(name) != bool(there) or len(there.encode(errors="replace")) > LONGEST_TEXT:
            return PutRefusal.BAD_NAME
        if any(len(message) > LONGEST_TEXT for message in messages):
            return PutRefusal.BAD_OPTION
        if any(override.condition not in FAULTS for override in overrides):
            return PutRefusal.BAD_OPTION
        source = self.store.open(name) if name else None
        if isinstance(source, StoreRefusal):
            return OPENING.get(source, PutRefusal.STORE)
        sequence = self._sequence.take()
        if sequence is None:
            _close(source)
            return PutRefusal.NO_SEQUENCE
        options: tuple[Option, ...] = (*overrides, *(UserMessage(message) for message in messages))
        length = 0 if source is None else source.length
        metadata = Metadata(length, name, there, peer.checksum, closure, options)
        header = self._header(peer, sequence, mode, length)
        sender = Sender(self._desk, peer, header, metadata, source, destination not in self._down, now_ns)
        if not sender.start(now_ns):
            sender.abandon(Condition.FILESTORE_REJECTION, now_ns)
            return PutRefusal.STORE
        self._out[sequence] = sender
        return sender.id

    def suspend(self, transaction: TransactionId, now_ns: int) -> bool:
        """Let a transaction stand still; ``False`` if it is unknown, over or suspended already."""
        found = self._find(transaction)
        return found is not None and found.suspend(now_ns)

    def resume(self, transaction: TransactionId, now_ns: int) -> bool:
        """Let a suspended transaction go on."""
        found = self._find(transaction)
        return found is not None and found.resume(now_ns)

    def cancel(self, transaction: TransactionId, now_ns: int) -> bool:
        """Give a transaction up and tell the peer."""
        found = self._find(transaction)
        return found is not None and found.cancel(now_ns)

    def abandon(self, transaction: TransactionId, now_ns: int) -> bool:
        """Drop a transaction; the peer hears nothing."""
        found = self._find(transaction)
        if found is None:
            return False
        found.abandon(Condition.CANCEL_REQUEST, now_ns)
        self._bury()
        return True

    def prompt(self, transaction: TransactionId, response: Response) -> bool:
        """Ask the receiver of a file that is being sent for its NAK or its progress."""
        found = self._out.get(transaction.sequence) if transaction.source == self.config.entity_id else None
        return found is not None and found.prompt(response)

    def transactions(self) -> tuple[TransactionView, ...]:
        """All transactions as they stand, outgoing first, each way in order of their beginning."""
        return tuple(transaction.view() for transaction in self._all())

    def status(self) -> EntityStatus:
        """Everything as it stands; looks into the store."""
        return EntityStatus(
            self.transactions(), self.store.used_bytes, self.indications.dropped, self._replies.dropped
        )

    @property
    def busy(self) -> int:
        """Transactions that have not ended."""
        return len(self._out) + len(self._incoming.present)

    # -- the link's side

    def contact(self, up: bool, now_ns: int, peer: int | None = None) -> None:
        """Peers can be heard or no longer: all timers of transactions with them go on or stand still."""
        for entity_id in self.peers if peer is None else (peer,):
            if up:
                self._down.discard(entity_id)
            else:
                self._down.add(entity_id)
        for transaction in self._all():
            if peer is None or transaction.peer.entity_id == peer:
                transaction.set_contact(up, now_ns)
        self._bury()

    def receive(
        self, unit: bytes, now_ns: int, peer: int | None = None, may_send: bool = True
    ) -> PduRefusal | EntityRefusal | None:
        """Take one unit; returns why it was refused, which is counted. Never raises for what is in it.

        Args:
            unit: as it came.
            now_ns: monotonic time.
            peer: whom it came from, where that is certain: it speaks for nobody else then.
            may_send: whether files of this peer are taken in; its answers to files that it is sent always are.
        """
        self.counts.received += 1
        self.counts.received_bytes += len(unit)
        pdu = decode(unit)
        refusal: PduRefusal | EntityRefusal | None
        if isinstance(pdu, PduRefusal):
            refusal = pdu
        elif peer is not None and peer != (pdu.header.destination if pdu.header.to_sender else pdu.header.source):
            refusal = EntityRefusal.NOT_ITS_OWN
        elif pdu.header.to_sender:
            refusal = self._to_sender(pdu.header, pdu.body, now_ns)
        elif not may_send:
            refusal = EntityRefusal.NOT_ALLOWED
        else:
            refusal = self._to_receiver(pdu.header, pdu.body, now_ns)
        if refusal is None:
            return None
        self.counts.refuse(refusal)
        return refusal

    def next_pdu(
        self, max_bytes: int, now_ns: int, peer: int | None = None, longest_bytes: int | None = None
    ) -> bytes | None:
        """The next unit to go out, of at most ``max_bytes``; ``None`` if there is none or no room for it.

        Args:
            peer: only units for this peer.
            longest_bytes: longest unit that the link takes at all, which pieces of files are cut to; ``max_bytes`` if
                not given.
        """
        longest = max_bytes if longest_bytes is None else longest_bytes
        unit = self._reply(max_bytes, peer)
        if unit is None:
            unit = self._of_transactions(max_bytes, longest, now_ns, peer)
        if unit is not None:
            self.counts.sent += 1
            self.counts.sent_bytes += len(unit)
        return unit

    def pdus(self, room_bytes: int, now_ns: int, budget_bytes: int, peer: int | None = None) -> list[bytes]:
        """What goes out in one slot: units of at most ``room_bytes`` each and ``budget_bytes`` in all."""
        units: list[bytes] = []
        while budget_bytes > 0:
            unit = self.next_pdu(min(room_bytes, budget_bytes), now_ns, peer, room_bytes)
            if unit is None:
                break
            units.append(unit)
            budget_bytes -= len(unit)
        return units

    def step(self, now_ns: int) -> None:
        """Let time pass: timers, and a bounded piece of work on checksums."""
        work = self.config.work_bytes
        for transaction in self._all():
            work -= transaction.step(now_ns, max(0, work))
        self._bury()

    # -- inside

    def _all(self) -> list[Transaction]:
        return [*self._out.values(), *self._incoming.present.values()]

    def _find(self, transaction: TransactionId) -> Transaction | None:
        if transaction.source == self.config.entity_id and transaction.sequence in self._out:
            return self._out[transaction.sequence]
        return self._incoming.present.get(transaction)

    def _reply(self, max_bytes: int, peer: int | None) -> bytes | None:
        for _ in range(len(self._replies)):
            entry = self._replies.peek()
            if entry is None:
                return None
            if entry[0] not in self._down and peer in (None, entry[0]):
                if len(entry[1]) > max_bytes:
                    return None
                self._replies.take()
                return entry[1]
            # It waits for its own peer, behind the others.
            self._replies.take()
            self._replies.put(entry)
        return None

    def _of_transactions(self, max_bytes: int, longest: int, now_ns: int, peer: int | None) -> bytes | None:
        unit = None
        for transaction in (*self._incoming.present.values(), *self._out.values()):
            if peer is None or transaction.peer.entity_id == peer:
                unit = transaction.directive(max_bytes, longest, now_ns)
                if unit is not None:
                    break
        else:
            for sender in self._out.values():
                if peer is None or sender.peer.entity_id == peer:
                    unit = sender.data(max_bytes, longest, now_ns)
                    if unit is not None:
                        break
        self._bury()
        return unit

    def _to_sender(self, header: Header, body: Body, now_ns: int) -> EntityRefusal | None:
        if header.source != self.config.entity_id:
            return EntityRefusal.NOT_FOR_US
        peer = self.peers.get(header.destination)
        if peer is None:
            return EntityRefusal.UNKNOWN_PEER
        sender = self._out.get(header.sequence)
        if sender is None or sender.peer is not peer:
            if isinstance(body, Finished) and header.mode is Mode.ACKNOWLEDGED:
                # Whoever says that it is over must hear that this is known (section 4.7.2).
                ack = Ack(Directive.FINISHED, body.condition, AckStatus.UNDEFINED)
                self._desk.reply(header.destination, replace(header, to_sender=False, crc=peer.crc), ack)
                return EntityRefusal.LATE
            return EntityRefusal.UNKNOWN_TRANSACTION
        if sender.mode is not header.mode:
            return EntityRefusal.MODE
        refusal = sender.receive(body, now_ns)
        self._bury()
        return refusal

    def _to_receiver(self, header: Header, body: Body, now_ns: int) -> EntityRefusal | None:
        if header.destination != self.config.entity_id:
            return EntityRefusal.NOT_FOR_US
        peer = self.peers.get(header.source)
        if peer is None:
            return EntityRefusal.UNKNOWN_PEER
        return self._incoming.receive(peer, header, body, header.source not in self._down, now_ns)

    def _header(self, peer: PeerConfig, sequence: int, mode: Mode, length: int) -> Header:
        return Header(
            self.config.entity_id, sequence, peer.entity_id, False, mode, peer.crc, length >= FIRST_LARGE,
            self.config.entity_bytes, self.config.sequence_bytes,
        )

    def _bury(self) -> None:
        """Let go of what has ended."""
        for sequence in [sequence for sequence, sender in self._out.items() if sender.ended]:
            del self._out[sequence]
        self._incoming.bury()

    def _take_up(self, now_ns: int) -> None:
        """Go on with what was kept; what cannot be read is gone, and counted."""
        keys = set()
        for key in self.store.kept_keys():
            if key == SequenceNumbers.KEY:
                continue
            data = self.store.kept(key)
            record = None if data is None else read_record(data)
            if self._take_one_up(key, record, now_ns):
                self.counts.resumed_after_restart += 1
                keys.add(key)
            else:
                self.counts.records_lost += 1
                self.store.forget(key)
        self.store.sweep(keys)
        self._bury()

    def _take_one_up(self, key: str, record: SenderRecord | ReceiverRecord | None, now_ns: int) -> bool:
        if isinstance(record, SenderRecord):
            return self._take_sender_up(key, record, now_ns)
        peer = None if record is None else self.peers.get(record.header.source)
        if record is None or peer is None:
            return False
        return self._incoming.take_up(peer, key, record, now_ns)

    def _take_sender_up(self, key: str, record: SenderRecord, now_ns: int) -> bool:
        header, name = record.header, record.metadata.source_name
        peer = self.peers.get(header.destination)
        if peer is None or key != sender_key(header.sequence) or header.source != self.config.entity_id:
            return False
        source = self.store.open(name) if name else None
        opened = None if isinstance(source, StoreRefusal) else source
        sender = Sender(self._desk, peer, header, record.metadata, opened, True, now_ns)
        self._out[header.sequence] = sender
        sender.take_up(record, now_ns)
        if isinstance(source, StoreRefusal) and record.condition is Condition.NO_ERROR:
            sender.fault(Condition.FILESTORE_REJECTION, now_ns)
        return True


def _close(source: Source | None) -> None:
    if source is not None:
        source.close()


OPENING = {StoreRefusal.BAD_NAME: PutRefusal.BAD_NAME, StoreRefusal.NO_FILE: PutRefusal.NO_FILE}
