"""Sends one file: everything once, what is asked for again, and its end until somebody has confirmed it.

Every state can be suspended, resumed, cut off from contact or ended by a loss of power and taken up again. A file that
becomes shorter or cannot be read is cancelled; one whose content changes fails its checksum at the receiver.
"""

from __future__ import annotations

from comms.cfdp.checksum import Checksum, checksum_kind
from comms.cfdp.config import PeerConfig
from comms.cfdp.indications import EntityRefusal, IndicationKind, State
from comms.cfdp.pdu import (
    METADATA_REQUEST,
    Ack,
    AckStatus,
    Body,
    Condition,
    Delivery,
    Directive,
    Eof,
    FaultOverride,
    FileDataEncoder,
    Finished,
    Header,
    KeepAlive,
    Metadata,
    Nak,
    Prompt,
    Response,
)
from comms.cfdp.ranges import Ranges
from comms.cfdp.records import SenderRecord, sender_key, write_record
from comms.cfdp.store import Source
from comms.cfdp.transaction import Desk, Transaction

__all__ = ["Sender"]

READ_BYTES = 65_536
POLLS = 8
"""Times that a receiver is told the end of the file again before its silence is a fault."""


class Sender(Transaction):
    """One file on its way out. ``source`` is ``None`` if only metadata is sent.

    Raises ValueError for a checksum that cannot be worked out.
    """

    def __init__(
        self, desk: Desk, peer: PeerConfig, header: Header, metadata: Metadata, source: Source | None, contact: bool,
        now_ns: int,
    ) -> None:
        super().__init__(desk, peer, header, contact, now_ns)
        kind = checksum_kind(metadata.checksum)
        if kind is None:
            raise ValueError(f"checksum {metadata.checksum} cannot be worked out")
        self.overrides = {
            option.condition: option.handler for option in metadata.options if isinstance(option, FaultOverride)
        }
        self._metadata = metadata
        self._source = source
        self._checksum = Checksum(kind)
        self._encoder = FileDataEncoder(header)
        self._progress = 0
        self._requests = Ranges()
        self._metadata_due = True
        self._eof_due = True
        self._prompt: Response | None = None
        self._ack_at: int | None = None
        self._acks = 0
        self._poll_at = 0
        self._heard = 0

    @property
    def name(self) -> str | None:
        """See Transaction."""
        return self._metadata.source_name or None

    @property
    def progress(self) -> int:
        """See Transaction."""
        return self._progress

    @property
    def file_bytes(self) -> int | None:
        """See Transaction."""
        return self._metadata.file_bytes

    def start(self, now_ns: int) -> bool:
        """It begins; ``False`` if its record could not be kept."""
        self._tell(IndicationKind.STARTED, now_ns)
        return self._keep()

    def take_up(self, record: SenderRecord, now_ns: int) -> None:
        """Go on after a restart. A class 2 receiver is told the end at once and asks for what it lacks; class 1 begins
        anew, and its receiver drops what it has."""
        self.suspended = record.suspended
        self.condition = record.condition
        self._watch.run(not self.held, now_ns)
        if self.acknowledged:
            self._progress = self._metadata.file_bytes
            self._metadata_due = False
        if self._source is not None and self._source.length != self._metadata.file_bytes:
            self.fault(Condition.FILE_SIZE_ERROR, now_ns)

    def prompt(self, response: Response) -> bool:
        """Ask the receiver to say something; ``False`` in class 1 or when it is over."""
        if not self.acknowledged or self.ended:
            return False
        self._prompt = response
        return True

    def receive(self, body: Body, now_ns: int) -> EntityRefusal | None:
        """See Transaction."""
        self._heard = self._time(now_ns)
        if isinstance(body, Finished):
            self._finished(body, now_ns)
            return None
        if not self.acknowledged:
            return EntityRefusal.MODE
        if isinstance(body, Nak):
            return self._asked(body)
        if isinstance(body, Ack):
            self._acked(body, now_ns)
            return None
        if isinstance(body, KeepAlive):
            limit = self.peer.keep_alive_limit
            if limit is not None and self._progress - body.progress > limit and self.condition is Condition.NO_ERROR:
                self.fault(Condition.KEEP_ALIVE_LIMIT, now_ns)
            return None
        return EntityRefusal.UNEXPECTED

    def step(self, now_ns: int, work_bytes: int) -> int:
        """See Transaction."""
        if self.ended or self.held:
            return 0
        time = self._time(now_ns)
        if self.state is State.AWAITING_ACK:
            if self._ack_at is not None and time >= self._ack_at:
                self._ack_at = None
                self._acks += 1
                if self._acks >= self.peer.ack_limit:
                    self.fault(Condition.POSITIVE_ACK_LIMIT, now_ns)
                else:
                    self._eof_due = True
        elif self.state is State.AWAITING_FINISHED:
            if self.acknowledged and time - self._heard >= self.peer.inactivity_ns:
                self.fault(Condition.INACTIVITY, now_ns)
            elif self.acknowledged and time >= self._poll_at:
                # A receiver that has lost its memory, or its timer, learns the end again and asks.
                self._poll_at = time + self.peer.inactivity_ns // POLLS
                self._eof_due = True
            elif not self.acknowledged and time - self._heard >= self.peer.check_ns * self.peer.check_limit:
                self.fault(Condition.CHECK_LIMIT, now_ns)
        return self._catch_up(work_bytes, now_ns)

    def directive(self, most_bytes: int, longest_bytes: int, now_ns: int) -> bytes | None:
        """See Transaction."""
        if self.held or self.ended:
            return None
        if self.condition is Condition.NO_ERROR:
            if self._metadata_due:
                unit = self._unit(self._metadata, most_bytes, longest_bytes)
                self._metadata_due = unit is None
                return unit
            if self._prompt is not None:
                unit = self._unit(Prompt(self._prompt), most_bytes, longest_bytes)
                self._prompt = None if unit is not None else self._prompt
                return unit
            return None
        return self._end_of_file(most_bytes, longest_bytes, now_ns) if self._eof_due else None

    def data(self, most_bytes: int, longest_bytes: int, now_ns: int) -> bytes | None:
        """The next unit of the file itself: a piece of it, or its end."""
        if self.held or self.ended or self._metadata_due or self.condition is not Condition.NO_ERROR:
            return None
        request = self._requests.first() if self._requests else None
        if request is None:
            if self._progress < self._metadata.file_bytes:
                request = (self._progress, self._metadata.file_bytes)
            elif self._eof_due and self._checksum.length >= self._metadata.file_bytes:
                return self._end_of_file(most_bytes, longest_bytes, now_ns)
            else:
                return None
        offset, end = request
        longest = min(self.peer.segment_bytes, longest_bytes - self._encoder.overhead)
        if longest < 1:
            self.desk.counts.oversize += 1
            return None
        length = min(longest, end - offset)
        if length + self._encoder.overhead > most_bytes:
            return None
        piece = None if self._source is None else self._source.read(offset, length)
        if piece is None:
            self.fault(Condition.FILESTORE_REJECTION, now_ns)
            return None
        if offset < self._progress:
            self._requests.remove(offset, offset + length)
            self.desk.counts.retransmitted_bytes += length
        else:
            self._progress = offset + length
        if offset == self._checksum.length:
            self._checksum.update(piece)
        self._heard = self._time(now_ns)
        return self._encoder.encode(offset, piece)

    def _end_of_file(self, most_bytes: int, longest_bytes: int, now_ns: int) -> bytes | None:
        """The EOF: in class 2 it is repeated until it is acknowledged, in class 1 sent once."""
        location = None
        if self.condition not in (Condition.NO_ERROR, Condition.UNSUPPORTED_CHECKSUM):
            location = self.header.source.to_bytes(self.header.entity_bytes, "big")
        length = self._metadata.file_bytes if self.condition is Condition.NO_ERROR else self._checksum.length
        unit = self._unit(Eof(self.condition, self._checksum.value, length, location), most_bytes, longest_bytes)
        if unit is None:
            return None
        self._eof_due = False
        if self.state is State.AWAITING_FINISHED:
            return unit
        if self.state is State.SENDING:
            self._tell(IndicationKind.EOF_SENT, now_ns, self.condition)
        self._heard = self._time(now_ns)
        if self.acknowledged:
            self.state = State.AWAITING_ACK
            self._ack_at = self._heard + self.peer.ack_ns
        elif self._metadata.closure and self.condition is Condition.NO_ERROR:
            self.state = State.AWAITING_FINISHED
        else:
            self._over(now_ns, self.condition, None if self.condition is Condition.NO_ERROR else False)
        return unit

    def _asked(self, nak: Nak) -> EntityRefusal | None:
        """Put what is asked for on the list; what is on it already, or was never sent yet, is not sent twice."""
        refusal = None
        for request in nak.requests:
            start, end = request
            if request == METADATA_REQUEST:
                self._metadata_due = True
            elif end > self._metadata.file_bytes:
                refusal = EntityRefusal.BEYOND
            else:
                self._requests.add(start, min(end, self._progress))
        return refusal

    def _acked(self, ack: Ack, now_ns: int) -> None:
        if self.state is not State.AWAITING_ACK or ack.directive is not Directive.EOF:
            return
        if ack.condition is not self.condition:
            return
        self._ack_at = None
        if self.condition is Condition.NO_ERROR:
            self._eof_due = False
            self._poll_at = self._heard + self.peer.inactivity_ns // POLLS
            self.state = State.AWAITING_FINISHED
        else:
            self._over(now_ns, self.condition, False)

    def _finished(self, finished: Finished, now_ns: int) -> None:
        if self.acknowledged:
            self.desk.reply(
                self.peer.entity_id, self.header, Ack(Directive.FINISHED, finished.condition, AckStatus.ACTIVE)
            )
        if not self.ended:
            whole = finished.delivery is Delivery.COMPLETE and finished.condition is Condition.NO_ERROR
            self._over(now_ns, finished.condition, whole)

    def _over(self, now_ns: int, condition: Condition, delivered: bool | None) -> None:
        self.condition = condition
        self._tell(IndicationKind.FINISHED, now_ns, condition, delivered)
        self._end()

    def _catch_up(self, work_bytes: int, now_ns: int) -> int:
        """Work out the checksum of what was sent before a restart, a bounded part at a time."""
        done = 0
        while self._checksum.length < self._progress and done < work_bytes and self._source is not None:
            length = min(READ_BYTES, work_bytes - done, self._progress - self._checksum.length)
            piece = self._source.read(self._checksum.length, length)
            if piece is None:
                if self.condition is Condition.NO_ERROR:
                    self.fault(Condition.FILESTORE_REJECTION, now_ns)
                break
            self._checksum.update(piece)
            done += length
        return done

    def _kick(self, now_ns: int) -> None:
        """See Transaction: the end may have been lost."""
        self._heard = self._time(now_ns)
        if self.state is State.AWAITING_ACK:
            self._eof_due = True

    def _calm(self, now_ns: int) -> None:
        """See Transaction."""
        self._acks = 0
        self._heard = self._time(now_ns)
        if self.state is State.AWAITING_ACK and self._ack_at is None:
            self._eof_due = True

    def _cancelled(self, _now_ns: int) -> None:
        """See Transaction."""
        self._requests.clear()
        self._eof_due = True
        self._acks = 0
        self._ack_at = None
        self.state = State.SENDING
        self._keep()

    def _keep(self) -> bool:
        """See Transaction."""
        record = SenderRecord(self.header, self._metadata, self.suspended, self.condition)
        return self.desk.store.keep(sender_key(self.header.sequence), write_record(record))

    def _end(self) -> None:
        """See Transaction."""
        self.state = State.ENDED
        if self._source is not None:
            self._source.close()
        self.desk.store.forget(sender_key(self.header.sequence))
