"""Takes one file in: what arrives is kept, what is missing is asked for, and the file appears only when it is right.

Units may come in any order and more than once, the metadata last. Every state can be suspended, resumed, cut off from
contact, or ended by a loss of power and taken up again: an end of file that comes while suspended is remembered, and
resuming asks for what is missing at once.
"""

from __future__ import annotations

from comms.cfdp.assembly import Assembly
from comms.cfdp.checksum import checksum_kind
from comms.cfdp.config import PeerConfig
from comms.cfdp.indications import EntityRefusal, IndicationKind, State
from comms.cfdp.nak import NakList
from comms.cfdp.pdu import (
    Ack,
    AckStatus,
    Body,
    Condition,
    Delivery,
    Directive,
    Eof,
    FaultOverride,
    FileData,
    FileStatus,
    FilestoreRequest,
    Finished,
    Handler,
    Header,
    KeepAlive,
    Metadata,
    Prompt,
    Response,
    UserMessage,
)
from comms.cfdp.records import Phase, ReceiverRecord, receiver_key, write_record
from comms.cfdp.transaction import Desk, Transaction

__all__ = ["Receiver"]


class Receiver(Transaction):
    """One file on its way in.

    Attributes:
        outcome: how it ended, once it has; what the sender is told.
        eof, metadata: as they came in.
    """

    incoming = True

    def __init__(self, desk: Desk, peer: PeerConfig, header: Header, contact: bool, now_ns: int) -> None:
        super().__init__(desk, peer, header, contact, now_ns)
        self.state = State.RECEIVING
        self.metadata: Metadata | None = None
        self.eof: Eof | None = None
        self.outcome: Finished | None = None
        self._file = Assembly(desk.store.partial(receiver_key(header.source, header.sequence)))
        self._nak = NakList(header)
        self._phase = Phase.OPEN
        self._welcome = False
        """The store has taken the file in."""
        self._finished_due = False
        self._keep_alive_due = False
        self._keep_alive_at = 0
        self._deadline: int | None = None
        """Of the timer that belongs to the state: NAK, check or ACK timer."""
        self._tries = 0
        self._heard = 0
        if peer.keep_alive_ns is not None:
            self._keep_alive_at = peer.keep_alive_ns

    @property
    def name(self) -> str | None:
        """See Transaction."""
        return None if self.metadata is None else self.metadata.destination_name or None

    @property
    def progress(self) -> int:
        """See Transaction."""
        return self._file.there.total

    @property
    def file_bytes(self) -> int | None:
        """See Transaction. Metadata that says 0 leaves it to the end of the file."""
        if self.eof is not None:
            return self.eof.file_bytes
        return (self.metadata.file_bytes or None) if self.metadata is not None else None

    def take_up(self, record: ReceiverRecord, now_ns: int) -> None:
        """Go on after a restart."""
        self.suspended = record.suspended
        self._watch.run(not self.held, now_ns)
        self.condition, self._phase = record.condition, record.phase
        self.metadata, self.eof = record.metadata, record.eof
        if record.phase is Phase.CANCELLED:
            self._file.part.discard()
            self._over(Delivery.INCOMPLETE, FileStatus.DISCARDED, now_ns)
            return
        for start, end in record.ranges:
            self._file.there.add(start, end)
        if record.phase is Phase.VERIFIED and self._named_before(now_ns):
            return
        if self.eof is not None:
            self.state = State.MISSING
        if not self.held:
            self._kick(now_ns)

    def receive(self, body: Body, now_ns: int) -> EntityRefusal | None:
        """See Transaction."""
        self._heard = self._time(now_ns)
        if isinstance(body, FileData):
            return self._file_data(body, now_ns)
        if isinstance(body, Metadata):
            return self._begun(body, now_ns)
        if isinstance(body, Eof):
            return self._end_of_file(body, now_ns)
        if not self.acknowledged:
            return EntityRefusal.MODE
        if isinstance(body, Ack):
            if self.state is not State.FINISHING:
                return EntityRefusal.UNEXPECTED
            self._end()
            return None
        if isinstance(body, Prompt):
            if body.response is Response.NAK:
                self._nak.all_anew(empty=True)
            else:
                self._keep_alive_due = True
            return None
        return EntityRefusal.UNEXPECTED

    def conflicts(self, metadata: Metadata) -> bool:
        """Whether this metadata belongs to another file: its sender has begun to count anew."""
        return self.metadata is not None and metadata != self.metadata

    def step(self, now_ns: int, work_bytes: int) -> int:
        """See Transaction."""
        if self.ended or self.held:
            return 0
        time = self._time(now_ns)
        due = self._deadline is not None and time >= self._deadline
        if self.state is State.RECEIVING:
            if time - self._heard >= self.peer.inactivity_ns:
                self.fault(Condition.INACTIVITY, now_ns)
        elif self.state is State.MISSING and due:
            self._again(now_ns)
        elif self.state is State.FINISHING and due:
            self._deadline = None
            self._tries += 1
            self._finished_due = True
            if self._tries >= self.peer.ack_limit:
                self.fault(Condition.POSITIVE_ACK_LIMIT, now_ns)
        every = self.peer.keep_alive_ns
        if every is not None and self.acknowledged and time >= self._keep_alive_at and not self.ended:
            self._keep_alive_at = time + every
            self._keep_alive_due = self.state in (State.RECEIVING, State.MISSING)
        return self._advance(now_ns, work_bytes)

    def directive(self, most_bytes: int, longest_bytes: int, now_ns: int) -> bytes | None:
        """See Transaction."""
        if self.held or self.ended:
            return None
        unit = None
        if self._finished_due and self.outcome is not None:
            unit = self._unit(self.outcome, most_bytes, longest_bytes)
            if unit is not None:
                self._finished_due = False
                self._deadline = self._time(now_ns) + self.peer.ack_ns
                if not self.acknowledged:
                    self._end()
            return unit
        if self.state not in (State.RECEIVING, State.MISSING) or not self.acknowledged:
            return None
        if self._nak.due:
            limit = self._file.there.end if self.eof is None else self.eof.file_bytes
            unit = self._nak.unit(self._file.there, limit, self.metadata is None, most_bytes)
            if unit is None:
                self.desk.counts.oversize += most_bytes >= longest_bytes and self._nak.due
            elif self.eof is not None:
                self._deadline = self._time(now_ns) + self.peer.nak_ns
        if unit is None and self._keep_alive_due:
            unit = self._unit(KeepAlive(self.progress), most_bytes, longest_bytes)
            self._keep_alive_due = unit is None
        return unit

    # -- what comes in

    def _file_data(self, body: FileData, now_ns: int) -> EntityRefusal | None:
        if self.state in (State.VERIFYING, State.FINISHING):
            return EntityRefusal.LATE
        start, end = body.offset, body.offset + len(body.data)
        known = self.file_bytes
        if known is not None and end > known:
            self.fault(Condition.FILE_SIZE_ERROR, now_ns)
            return EntityRefusal.BEYOND
        if start >= end:
            return None
        there = self._file.there
        new = there.gaps(start, end)
        if not new:
            return EntityRefusal.DUPLICATE
        last = there.end
        if len(there) >= self.desk.config.gaps and start > last:
            return EntityRefusal.TOO_MANY_GAPS
        if not self._file.put(start, body.data, new):
            self._rejected(now_ns)
            return None
        if start > last and self.peer.immediate_nak and self.acknowledged and self.eof is None:
            self._nak.more()
        if self.state is State.MISSING:
            self._tries = 0
            if self.acknowledged:
                self._deadline = self._heard + self.peer.nak_ns
            self._advance(now_ns, self.desk.config.work_bytes)
        if self._file.unsynced >= self.desk.config.checkpoint_bytes and self.outcome is None:
            self._keep()
        return None

    def _begun(self, metadata: Metadata, now_ns: int) -> EntityRefusal | None:
        if self.metadata is not None or self.outcome is not None:
            return EntityRefusal.DUPLICATE
        self.metadata = metadata
        messages = tuple(option.message for option in metadata.options if isinstance(option, UserMessage))
        self._tell(IndicationKind.METADATA, now_ns, messages=messages)
        if self._admitted(metadata, now_ns):
            self._advance(now_ns, self.desk.config.work_bytes)
        return None

    def _admitted(self, metadata: Metadata, now_ns: int) -> bool:
        """Whether this file may come in; if not, the fault has been declared."""
        self.overrides = {
            option.condition: option.handler for option in metadata.options if isinstance(option, FaultOverride)
        }
        kind = checksum_kind(metadata.checksum)
        if kind is None:
            self.fault(Condition.UNSUPPORTED_CHECKSUM, now_ns)
            self._never(Condition.UNSUPPORTED_CHECKSUM, now_ns)
            return False
        self._file.expect(kind)
        wrong = any(isinstance(option, FilestoreRequest) for option in metadata.options)
        if self.name is not None and self.desk.store.admit(self._file.part, self.name, metadata.file_bytes) is not None:
            wrong = True
        if wrong:
            self._rejected(now_ns)
            return False
        known = self.file_bytes
        if (known is not None and self._file.there.end > known) or self._sizes_differ():
            self.fault(Condition.FILE_SIZE_ERROR, now_ns)
        self._welcome = self.outcome is None and not self.ended
        return self._welcome

    def _end_of_file(self, eof: Eof, now_ns: int) -> EntityRefusal | None:
        if eof.condition is not Condition.NO_ERROR:
            if self.outcome is None:
                self._tell(IndicationKind.EOF_RECEIVED, now_ns, eof.condition)
                self.suspended = False
                self._watch.run(not self.held, now_ns)
                self.condition = eof.condition
                self._cancelled(now_ns)
            self.acknowledge(eof)
            return None
        if self.eof is not None or self.outcome is not None:
            self.acknowledge(eof)
            if self.state is State.FINISHING:
                self._finished_due = True
            return EntityRefusal.DUPLICATE if eof == self.eof or self.eof is None else EntityRefusal.CONFLICT
        self.eof = eof
        self._tell(IndicationKind.EOF_RECEIVED, now_ns)
        self.state = State.MISSING
        if self._file.there.end > eof.file_bytes or self._sizes_differ():
            self.fault(Condition.FILE_SIZE_ERROR, now_ns)
            if self.outcome is not None or self.ended:
                self.acknowledge(eof)
                return EntityRefusal.BEYOND
        # What is acknowledged must outlive a restart: the sender says it only once.
        if self.acknowledged and not self._keep():
            self._rejected(now_ns)
            self.acknowledge(eof)
            return None
        self.acknowledge(eof)
        if self.acknowledged:
            self._nak.more()
            self._deadline = self._heard + self.peer.nak_ns
        else:
            self._deadline = self._heard + self.peer.check_ns
        self._advance(now_ns, self.desk.config.work_bytes)
        return None

    def acknowledge(self, eof: Eof) -> None:
        """Let the sender know that its EOF was heard."""
        if self.acknowledged:
            status = AckStatus.TERMINATED if self.ended else AckStatus.ACTIVE
            self.desk.reply(self.peer.entity_id, self.header, Ack(Directive.EOF, eof.condition, status))

    def _sizes_differ(self) -> bool:
        """Metadata and end of file give different lengths; 0 in the metadata gives none."""
        return (
            self.metadata is not None and self.eof is not None
            and self.metadata.file_bytes not in (0, self.eof.file_bytes)
        )

    # -- how it goes on

    def _advance(self, now_ns: int, work_bytes: int) -> int:
        """Work the checksum out as far as the file is there; with all of it, compare and let the file appear."""
        if self.held or self.outcome is not None or not self._welcome:
            return 0
        done = self._file.catch_up(work_bytes)
        if done is None:
            self._rejected(now_ns)
            return 0
        eof = self.eof
        if eof is None or self.state is State.RECEIVING or self._file.there.head < eof.file_bytes:
            return done
        self.state = State.VERIFYING
        self._deadline = None
        right = self._file.right(eof)
        if right:
            self._verified(now_ns)
        elif right is not None:
            self.fault(Condition.CHECKSUM_FAILURE, now_ns)
            self._never(Condition.CHECKSUM_FAILURE, now_ns)
        return done

    def _verified(self, now_ns: int) -> None:
        """The checksum is right: first the record that says so, then the name, then the news."""
        if self.name is not None:
            self._phase = Phase.VERIFIED
            length = self.eof.file_bytes if self.eof is not None else 0
            if (self.acknowledged and not self._keep()) or self._file.commit(self.name, length) is not None:
                self._phase = Phase.OPEN
                self._rejected(now_ns)
                return
        self._over(Delivery.COMPLETE, FileStatus.UNREPORTED if self.name is None else FileStatus.RETAINED, now_ns)

    def _named_before(self, now_ns: int) -> bool:
        """The power went while the file got its name: without the part, it has it; with it, all is looked at again."""
        there = self._file.part.exists()
        if there:
            self._phase = Phase.OPEN
            self._file.there.add(0, self.eof.file_bytes if self.eof is not None else 0)
            return False
        if there is None:
            self.condition = Condition.FILESTORE_REJECTION
            self._over(Delivery.INCOMPLETE, FileStatus.REJECTED, now_ns)
        else:
            self._over(Delivery.COMPLETE, FileStatus.RETAINED, now_ns)
        return True

    def _over(self, delivery: Delivery, status: FileStatus, now_ns: int) -> None:
        """It has ended here; in class 2 the sender is told until it confirms."""
        location = None
        if self.condition not in (Condition.NO_ERROR, Condition.UNSUPPORTED_CHECKSUM):
            location = self.header.destination.to_bytes(self.header.entity_bytes, "big")
        self.outcome = Finished(self.condition, delivery, status, location)
        self._tell(IndicationKind.FINISHED, now_ns, self.condition, delivery is Delivery.COMPLETE)
        self.state = State.FINISHING
        self._deadline, self._tries = None, 0
        closure = self.metadata is not None and self.metadata.closure
        self._finished_due = self.acknowledged or closure
        if not self._finished_due:
            self._end()

    def _again(self, now_ns: int) -> None:
        """The state's timer has run out with something missing."""
        self._tries += 1
        limit = self.peer.nak_limit if self.acknowledged else self.peer.check_limit
        time = self._time(now_ns)
        self._deadline = time + (self.peer.nak_ns if self.acknowledged else self.peer.check_ns)
        if self._tries >= limit:
            self.fault(Condition.NAK_LIMIT if self.acknowledged else Condition.CHECK_LIMIT, now_ns)
        elif self.acknowledged:
            self._nak.all_anew()

    def _rejected(self, now_ns: int) -> None:
        """The store does not take the file. Ignoring that would promise what cannot be kept."""
        self.fault(Condition.FILESTORE_REJECTION, now_ns)
        self._never(Condition.FILESTORE_REJECTION, now_ns)

    def _never(self, condition: Condition, now_ns: int) -> None:
        """A fault was ignored that no file can come of: it ends without one. A suspension may stand."""
        if not self.ended and self.outcome is None and not self.suspended:
            self.condition = condition
            self._cancelled(now_ns)

    def fault(self, condition: Condition, now_ns: int) -> Handler:
        """See Transaction. What is over stays as it ended, only that the sender is no longer told."""
        if self.state is not State.FINISHING:
            return super().fault(condition, now_ns)
        self._tell(IndicationKind.FAULT, now_ns, condition)
        handler = self.overrides.get(condition) or self.peer.handlers.get(condition, Handler.CANCEL)
        if handler is Handler.SUSPEND:
            self.suspend(now_ns, condition)
        elif handler is Handler.IGNORE:
            self._calm(now_ns)
        else:
            self._end()
        return handler

    def _kick(self, now_ns: int) -> None:
        """See Transaction: what was asked for may have been lost, and so may the answer to it."""
        time = self._heard = self._time(now_ns)
        if self.state is State.FINISHING:
            self._finished_due = self._finished_due or self.outcome is not None
        elif self.acknowledged:
            self._nak.all_anew()
            if self.state is State.MISSING:
                self._deadline = time + self.peer.nak_ns
        elif self.state is State.MISSING:
            self._deadline = time + self.peer.check_ns
        if self.metadata is not None and not self._welcome and self.outcome is None:
            self._admitted(self.metadata, now_ns)
        self._advance(now_ns, self.desk.config.work_bytes)

    def _calm(self, now_ns: int) -> None:
        """See Transaction."""
        self._tries = 0
        self._heard = self._time(now_ns)

    def _cancelled(self, now_ns: int) -> None:
        """See Transaction."""
        self._phase = Phase.CANCELLED
        if self.acknowledged:
            self._keep()
        self._file.part.discard()
        rejected = self.condition is Condition.FILESTORE_REJECTION
        self._over(Delivery.INCOMPLETE, FileStatus.REJECTED if rejected else FileStatus.DISCARDED, now_ns)

    def _keep(self) -> bool:
        """See Transaction: the bytes first, then the record that counts on them."""
        # What is over has no part any more, and must not make one.
        if self._phase is not Phase.CANCELLED and self.outcome is None and not self._file.sync():
            return False
        ranges = tuple(self._file.there.pairs()) if self._phase is Phase.OPEN else ()
        record = ReceiverRecord(
            self.header, self.metadata, self.eof, ranges, self.suspended, self._phase, self.condition
        )
        return self.desk.store.keep(self._file.part.key, write_record(record))

    def _end(self) -> None:
        """See Transaction."""
        if self.outcome is None:
            self._file.part.discard()
        self.state = State.ENDED
        self.desk.store.forget(self._file.part.key)
