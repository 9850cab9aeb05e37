"""All files on their way in: which unit belongs to which, what begins a new one, and what comes too late."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from comms.cfdp.config import PeerConfig
from comms.cfdp.indications import EntityRefusal, TransactionId
from comms.cfdp.pdu import Ack, AckStatus, Body, Condition, Directive, Eof, FileData, Header, Metadata, Mode
from comms.cfdp.receiver import Receiver
from comms.cfdp.records import ReceiverRecord, receiver_key
from comms.cfdp.transaction import Desk

__all__ = ["Incoming"]


class Incoming:
    """Receivers by transaction, and those that have ended, so that late units are answered and begin nothing.

    Attributes:
        present: receivers that have not ended, oldest first.
    """

    def __init__(self, desk: Desk) -> None:
        self.present: OrderedDict[TransactionId, Receiver] = OrderedDict()
        self._past: OrderedDict[TransactionId, Receiver] = OrderedDict()
        self._desk = desk

    def receive(
        self, peer: PeerConfig, header: Header, body: Body, contact: bool, now_ns: int
    ) -> EntityRefusal | None:
        """Take a unit from a peer; returns why not."""
        transaction = TransactionId(header.source, header.sequence)
        receiver = self.present.get(transaction)
        if receiver is not None and isinstance(body, Metadata) and receiver.conflicts(body):
            # Its sender has lost count: what is half there belongs to nothing any more.
            self._desk.counts.refuse(EntityRefusal.CONFLICT)
            receiver.abandon(Condition.CANCEL_REQUEST, now_ns)
            self.bury()
            self._past.pop(transaction, None)
            receiver = None
        if receiver is None:
            past = self._past.get(transaction)
            if past is not None and not self._begins_anew(past, body):
                self._late(past, body)
                return EntityRefusal.LATE
            refusal = self._barred(header, body, peer)
            if refusal is not None:
                return refusal
            self._past.pop(transaction, None)
            back = replace(header, to_sender=True, crc=peer.crc, segmentation=False)
            receiver = self.present[transaction] = Receiver(self._desk, peer, back, contact, now_ns)
        if receiver.mode is not header.mode:
            return EntityRefusal.MODE
        refusal = receiver.receive(body, now_ns)
        if receiver.ended:
            self.bury()
        return refusal

    def take_up(self, peer: PeerConfig, key: str, record: ReceiverRecord, now_ns: int) -> bool:
        """Go on with one after a restart; ``False`` if the record is another's."""
        header = record.header
        if key != receiver_key(header.source, header.sequence):
            return False
        receiver = Receiver(self._desk, peer, header, True, now_ns)
        self.present[receiver.id] = receiver
        receiver.take_up(record, now_ns)
        return True

    def bury(self) -> None:
        """Put what has ended among the past."""
        for transaction in [transaction for transaction, receiver in self.present.items() if receiver.ended]:
            self._past[transaction] = self.present.pop(transaction)
            if len(self._past) > self._desk.config.remembered:
                self._past.popitem(last=False)

    @staticmethod
    def _begins_anew(past: Receiver, body: Body) -> bool:
        """Whether a unit with the number of something past is of another file."""
        if isinstance(body, Metadata):
            return past.metadata is not None and body != past.metadata
        if isinstance(body, Eof) and body.condition is Condition.NO_ERROR:
            return past.eof is not None and body != past.eof
        return False

    def _late(self, past: Receiver, body: Body) -> None:
        """An end of file is answered as before: its sender has not heard how it ended."""
        if isinstance(body, Eof):
            past.acknowledge(body)
            if past.acknowledged and past.outcome is not None and body.condition is Condition.NO_ERROR:
                self._desk.reply(past.peer.entity_id, past.header, past.outcome)

    def _barred(self, header: Header, body: Body, peer: PeerConfig) -> EntityRefusal | None:
        """Why a unit begins nothing."""
        if isinstance(body, Eof) and body.condition is not Condition.NO_ERROR:
            if header.mode is Mode.ACKNOWLEDGED:
                ack = Ack(Directive.EOF, body.condition, AckStatus.UNRECOGNIZED)
                self._desk.reply(header.source, replace(header, to_sender=True, crc=peer.crc), ack)
            return EntityRefusal.UNKNOWN_TRANSACTION
        if not isinstance(body, Metadata | FileData | Eof):
            return EntityRefusal.UNKNOWN_TRANSACTION
        return EntityRefusal.TOO_MANY if len(self.present) >= self._desk.config.transactions else None
