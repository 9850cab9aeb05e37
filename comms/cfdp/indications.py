"""What an entity tells its user: which transaction, what happened to it, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import NamedTuple

from comms.cfdp.pdu import Condition, Mode

__all__ = ["Counts", "EntityRefusal", "EntityStatus", "Indication", "IndicationKind", "PutRefusal", "State",
           "TransactionId", "TransactionView"]


class TransactionId(NamedTuple):
    """Names a transaction everywhere: the entity that sends the file, and its number there."""

    source: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.source}-{self.sequence}"


@unique
class State(StrEnum):
    """Where a transaction stands. Any of them may be suspended or without contact besides."""

    SENDING = "sending"
    AWAITING_ACK = "awaiting_ack"
    """The end of the file, or its cancellation, is out and not acknowledged."""
    AWAITING_FINISHED = "awaiting_finished"
    RECEIVING = "receiving"
    MISSING = "missing"
    """The end is known, and not all is there."""
    VERIFYING = "verifying"
    FINISHING = "finishing"
    """Over at the receiver, and its sender has not confirmed to know."""
    ENDED = "ended"


@unique
class IndicationKind(StrEnum):
    """Kinds of CCSDS 727.0-B-5 section 3.5."""

    STARTED = "started"
    METADATA = "metadata"
    EOF_SENT = "eof_sent"
    EOF_RECEIVED = "eof_received"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    FAULT = "fault"
    ABANDONED = "abandoned"
    FINISHED = "finished"


@unique
class PutRefusal(StrEnum):
    """Why a file is not sent."""

    UNKNOWN_PEER = "unknown_peer"
    TOO_MANY = "too_many"
    BAD_NAME = "bad_name"
    NO_FILE = "no_file"
    BAD_OPTION = "bad_option"
    STORE = "store"
    NO_SEQUENCE = "no_sequence"


@unique
class EntityRefusal(StrEnum):
    """Why a well-formed unit was not taken."""

    UNKNOWN_PEER = "unknown_peer"
    NOT_FOR_US = "not_for_us"
    NOT_ITS_OWN = "not_its_own"
    """In the name of another peer than the one that it came from."""
    NOT_ALLOWED = "not_allowed"
    """Of a file on its way in, from a peer that may send none."""
    UNKNOWN_TRANSACTION = "unknown_transaction"
    TOO_MANY = "too_many"
    MODE = "mode"
    UNEXPECTED = "unexpected"
    LATE = "late"
    DUPLICATE = "duplicate"
    TOO_MANY_GAPS = "too_many_gaps"
    CONFLICT = "conflict"
    BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class Indication:
    """Something happened.

    Attributes:
        condition: of a fault or an end; ``NO_ERROR`` for a good end.
        delivered: of an end: the file is whole at its receiver, as far as is known here. ``None`` otherwise.
        name: the file's name on this side; ``None`` while unknown or if no file goes with it.
        progress: bytes sent or received so far.
        messages: messages to the user, with ``METADATA`` only.
    """

    t_ns: int
    kind: IndicationKind
    transaction: TransactionId
    incoming: bool
    condition: Condition = Condition.NO_ERROR
    delivered: bool | None = None
    name: str | None = None
    progress: int = 0
    file_bytes: int | None = None
    messages: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class TransactionView:
    """One transaction as it stands."""

    id: TransactionId
    incoming: bool
    peer: int
    mode: Mode
    state: State
    suspended: bool
    contact: bool
    name: str | None
    progress: int
    file_bytes: int | None
    condition: Condition


@dataclass(slots=True)
class Counts:
    """What has passed since start. ``refused`` counts by reason; nothing is dropped without being in it."""

    received: int = 0
    received_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    retransmitted_bytes: int = 0
    resumed_after_restart: int = 0
    records_lost: int = 0
    oversize: int = 0
    """Times that a unit did not fit even into the link's longest."""
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, reason: str) -> None:
        """Count one refusal."""
        self.refused[reason] = self.refused.get(reason, 0) + 1


@dataclass(frozen=True, slots=True)
class EntityStatus:
    """The whole entity as it stands."""

    transactions: tuple[TransactionView, ...]
    used_bytes: int
    indications_dropped: int
    replies_dropped: int
