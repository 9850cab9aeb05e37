"""What CFDP units carry, as plain values: one header, eight kinds of body, and named refusals.

Numbers and field layouts: CCSDS 727.0-B-5, chapter 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique

__all__ = [
    "METADATA_REQUEST", "Ack", "AckStatus", "Body", "Condition", "Delivery", "Directive", "Eof", "FaultOverride",
    "FileData", "FileStatus", "FilestoreRequest", "Finished", "FlowLabel", "Handler", "Header", "KeepAlive", "Metadata",
    "Mode", "Nak", "Option", "Pdu", "PduRefusal", "Prompt", "Response", "SegmentMetadata", "UserMessage",
]

METADATA_REQUEST = (0, 0)
"""Segment request that asks for the metadata (section 5.2.6)."""


@unique
class Mode(IntEnum):
    """Transmission mode bit: class 2 answers and asks again, class 1 only sends."""

    ACKNOWLEDGED = 0
    UNACKNOWLEDGED = 1


@unique
class Directive(IntEnum):
    """Directive codes (table 5-4)."""

    EOF = 4
    FINISHED = 5
    ACK = 6
    METADATA = 7
    NAK = 8
    PROMPT = 9
    KEEP_ALIVE = 12


@unique
class Condition(IntEnum):
    """Condition codes (table 5-5)."""

    NO_ERROR = 0
    POSITIVE_ACK_LIMIT = 1
    KEEP_ALIVE_LIMIT = 2
    INVALID_MODE = 3
    FILESTORE_REJECTION = 4
    CHECKSUM_FAILURE = 5
    FILE_SIZE_ERROR = 6
    NAK_LIMIT = 7
    INACTIVITY = 8
    CHECK_LIMIT = 10
    UNSUPPORTED_CHECKSUM = 11
    SUSPEND_REQUEST = 14
    CANCEL_REQUEST = 15


@unique
class Handler(IntEnum):
    """What a fault leads to (table 5-19)."""

    CANCEL = 1
    SUSPEND = 2
    IGNORE = 3
    ABANDON = 4


@unique
class Delivery(IntEnum):
    """Whether the whole file is there."""

    COMPLETE = 0
    INCOMPLETE = 1


@unique
class FileStatus(IntEnum):
    """What became of the file at its receiver."""

    DISCARDED = 0
    REJECTED = 1
    RETAINED = 2
    UNREPORTED = 3


@unique
class AckStatus(IntEnum):
    """What the acknowledging entity knows of the transaction (table 5-8)."""

    UNDEFINED = 0
    ACTIVE = 1
    TERMINATED = 2
    UNRECOGNIZED = 3


@unique
class Response(IntEnum):
    """What a prompt asks for."""

    NAK = 0
    KEEP_ALIVE = 1


@unique
class PduRefusal(StrEnum):
    """Why a unit was not taken."""

    TOO_SHORT = "too_short"
    VERSION = "version"
    LENGTH = "length"
    CRC = "crc"
    DIRECTIVE = "directive"
    DIRECTION = "direction"
    RESERVED = "reserved"
    CONDITION = "condition"
    FIELD = "field"
    OPTION = "option"
    NAME = "name"
    EMPTY = "empty"
    BEYOND = "beyond"


@dataclass(frozen=True, slots=True)
class Header:
    """What all units of one transaction and direction have alike (section 5.1).

    Attributes:
        source: entity that sends the file, also in units on their way back to it.
        crc: a CRC-16 closes the unit.
        large: sizes and offsets take 8 bytes instead of 4.
        entity_bytes: length of both entity ids, 1..8; ``sequence_bytes`` likewise.
        segmentation: record boundaries are kept; always ``False`` in what is sent here.
    """

    source: int
    sequence: int
    destination: int
    to_sender: bool = False
    mode: Mode = Mode.ACKNOWLEDGED
    crc: bool = False
    large: bool = False
    entity_bytes: int = 1
    sequence_bytes: int = 4
    segmentation: bool = False


@dataclass(frozen=True, slots=True)
class FaultOverride:
    """Option: another handler for one fault of this transaction."""

    condition: Condition
    handler: Handler


@dataclass(frozen=True, slots=True)
class UserMessage:
    """Option: a message to the user of the receiving entity, kept as it is."""

    message: bytes


@dataclass(frozen=True, slots=True)
class FlowLabel:
    """Option: kept as it is, of no effect here."""

    label: bytes


@dataclass(frozen=True, slots=True)
class FilestoreRequest:
    """Option: an order to create, rename or remove files. None is carried out: the transaction is refused."""

    request: bytes


Option = FaultOverride | UserMessage | FlowLabel | FilestoreRequest


@dataclass(frozen=True, slots=True)
class Metadata:
    """Beginning of a transaction. Names are empty where no file goes with it; ``checksum`` is the registry's number."""

    file_bytes: int
    source_name: str
    destination_name: str
    checksum: int
    closure: bool = False
    options: tuple[Option, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentMetadata:
    """What a segment may tell of the record it belongs to."""

    continuation: int
    metadata: bytes


@dataclass(frozen=True, slots=True)
class FileData:
    """A piece of the file."""

    offset: int
    data: bytes
    segment: SegmentMetadata | None = None


@dataclass(frozen=True, slots=True)
class Eof:
    """All has been sent once, or the sender has cancelled: then ``condition`` says why and ``fault_location`` who."""

    condition: Condition
    checksum: int
    file_bytes: int
    fault_location: bytes | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """How it ended at the receiver."""

    condition: Condition
    delivery: Delivery
    status: FileStatus
    fault_location: bytes | None = None


@dataclass(frozen=True, slots=True)
class Ack:
    """An EOF or a Finished was heard."""

    directive: Directive
    condition: Condition
    status: AckStatus


@dataclass(frozen=True, slots=True)
class Nak:
    """What is missing within a scope: (first byte, byte after the last), ``METADATA_REQUEST`` for the metadata."""

    start: int
    end: int
    requests: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """The sender wants to hear something now."""

    response: Response


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """How far the receiver has got, bytes."""

    progress: int


Body = Metadata | FileData | Eof | Finished | Ack | Nak | Prompt | KeepAlive


@dataclass(frozen=True, slots=True)
class Pdu:
    """One unit."""

    header: Header
    body: Body
