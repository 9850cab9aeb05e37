"""What sending and receiving have in common: own time, suspension, contact, and what a fault leads to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from comms.bounded import BoundedQueue
from comms.cfdp.config import EntityConfig, PeerConfig
from comms.cfdp.indications import (
    Counts,
    EntityRefusal,
    Indication,
    IndicationKind,
    State,
    TransactionId,
    TransactionView,
)
from comms.cfdp.pdu import Body, Condition, Handler, Header, Mode, encode
from comms.cfdp.stopwatch import Stopwatch
from comms.cfdp.store import FileStore

__all__ = ["Desk", "Transaction"]


@dataclass(slots=True)
class Desk:
    """What all transactions of an entity share."""

    config: EntityConfig
    store: FileStore
    indications: BoundedQueue[Indication]
    replies: BoundedQueue[tuple[int, bytes]]
    """Acknowledgements that are due: peer and unit. They go out whatever state a transaction is in."""
    counts: Counts

    def reply(self, peer: int, header: Header, body: Body) -> None:
        """Let an acknowledgement go out. If too many wait, the oldest is lost: its peer will ask again."""
        self.replies.put((peer, encode(header, body)))


class Transaction:
    """One transaction, either way; ``Sender`` and ``Receiver`` say what it does.

    Attributes:
        condition: why it was cancelled, ``NO_ERROR`` if it was not.
    """

    incoming = False

    def __init__(self, desk: Desk, peer: PeerConfig, header: Header, contact: bool, now_ns: int) -> None:
        self.desk = desk
        self.peer = peer
        self.header = header
        """Of the units that go from here to the peer."""
        self.id = TransactionId(header.source, header.sequence)
        self.mode = header.mode
        self.state = State.SENDING
        self.suspended = False
        self.contact = contact
        self.condition = Condition.NO_ERROR
        self.overrides: Mapping[Condition, Handler] = {}
        self._watch = Stopwatch(now_ns, contact)

    @property
    def acknowledged(self) -> bool:
        """Class 2."""
        return self.mode is Mode.ACKNOWLEDGED

    @property
    def ended(self) -> bool:
        """Nothing more will come of it."""
        return self.state is State.ENDED

    @property
    def held(self) -> bool:
        """Suspended or without contact: nothing goes out but acknowledgements, and its time stands still."""
        return self.suspended or not self.contact

    @property
    def name(self) -> str | None:
        """The file's name on this side."""
        raise NotImplementedError

    @property
    def progress(self) -> int:
        """Bytes sent or received."""
        raise NotImplementedError

    @property
    def file_bytes(self) -> int | None:
        """Length of the file, as far as it is known."""
        raise NotImplementedError

    def view(self) -> TransactionView:
        """It as it stands."""
        return TransactionView(
            self.id, self.incoming, self.peer.entity_id, self.mode, self.state, self.suspended, self.contact, self.name,
            self.progress, self.file_bytes, self.condition,
        )

    def set_contact(self, up: bool, now_ns: int) -> None:
        """The peer can be heard, or no longer."""
        if up == self.contact:
            return
        self.contact = up
        self._watch.run(not self.held, now_ns)
        if not self.held:
            self._kick(now_ns)

    def suspend(self, now_ns: int, condition: Condition = Condition.SUSPEND_REQUEST) -> bool:
        """Stand still until ``resume``; ``False`` if it does already or has ended."""
        if self.suspended or self.ended:
            return False
        self.suspended = True
        self._watch.run(False, now_ns)
        self._keep()
        self._tell(IndicationKind.SUSPENDED, now_ns, condition)
        return True

    def resume(self, now_ns: int) -> bool:
        """Go on where it stood, and say so to the peer at once; ``False`` if it was not suspended."""
        if not self.suspended or self.ended:
            return False
        self.suspended = False
        self._watch.run(not self.held, now_ns)
        self._keep()
        self._tell(IndicationKind.RESUMED, now_ns)
        self._calm(now_ns)
        if not self.held:
            self._kick(now_ns)
        return True

    def cancel(self, now_ns: int, condition: Condition = Condition.CANCEL_REQUEST) -> bool:
        """Give up, and tell the peer. Ends a suspension. ``False`` if it was given up or is over already."""
        if self.ended or self.condition is not Condition.NO_ERROR or self.state is State.FINISHING:
            return False
        if self.suspended:
            self.suspended = False
            self._watch.run(not self.held, now_ns)
        self.condition = condition
        self._cancelled(now_ns)
        return True

    def abandon(self, condition: Condition, now_ns: int) -> None:
        """Drop everything at once; the peer hears nothing."""
        if self.ended:
            return
        if self.condition is Condition.NO_ERROR:
            self.condition = condition
        self._tell(IndicationKind.ABANDONED, now_ns, condition)
        self._end()

    def fault(self, condition: Condition, now_ns: int) -> Handler:
        """Something is wrong: tell, and do what its handler says (section 4.8)."""
        self._tell(IndicationKind.FAULT, now_ns, condition)
        handler = self.overrides.get(condition) or self.peer.handlers.get(condition, Handler.CANCEL)
        if handler is Handler.SUSPEND:
            self.suspend(now_ns, condition)
        elif handler is Handler.IGNORE:
            self._calm(now_ns)
        elif handler is Handler.ABANDON or not self.cancel(now_ns, condition):
            self.abandon(condition, now_ns)
        return handler

    def _tell(
        self, kind: IndicationKind, now_ns: int, condition: Condition = Condition.NO_ERROR,
        delivered: bool | None = None, messages: tuple[bytes, ...] = (),
    ) -> None:
        self.desk.indications.put(Indication(
            now_ns, kind, self.id, self.incoming, condition, delivered, self.name, self.progress, self.file_bytes,
            messages,
        ))

    def _time(self, now_ns: int) -> int:
        """Its own time."""
        return self._watch.read(now_ns)

    def _unit(self, body: Body, most_bytes: int, longest_bytes: int) -> bytes | None:
        """A unit if there is room for it now."""
        unit = encode(self.header, body)
        if len(unit) <= most_bytes:
            return unit
        self.desk.counts.oversize += len(unit) > longest_bytes
        return None

    # -- what a kind of transaction adds

    def receive(self, body: Body, now_ns: int) -> EntityRefusal | None:
        """Take a unit of the peer; returns why not."""
        raise NotImplementedError

    def step(self, now_ns: int, work_bytes: int) -> int:
        """Let time pass; returns how many bytes of files were read for it."""
        raise NotImplementedError

    def directive(self, most_bytes: int, longest_bytes: int, now_ns: int) -> bytes | None:
        """The next unit that is no file data."""
        raise NotImplementedError

    def _kick(self, now_ns: int) -> None:
        """It may speak again: say at once what the peer is to know."""
        raise NotImplementedError

    def _calm(self, now_ns: int) -> None:
        """Begin all limits anew."""
        raise NotImplementedError

    def _cancelled(self, now_ns: int) -> None:
        """``condition`` was set: bring it to the peer."""
        raise NotImplementedError

    def _keep(self) -> bool:
        """Let what is needed outlive a restart."""
        raise NotImplementedError

    def _end(self) -> None:
        """Let everything go."""
        raise NotImplementedError
