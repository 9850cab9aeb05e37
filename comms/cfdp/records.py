"""What a transaction keeps over a restart: read back as it was written, or not at all.

Metadata and end of file are kept as the units they came in or go out as, so that the codec is the only one to read
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Any

import cbor2

from comms.cfdp.pdu import Condition, Eof, Header, KeepAlive, Metadata, Pdu, decode, encode

__all__ = ["Phase", "ReceiverRecord", "SenderRecord", "read_record", "receiver_key", "sender_key", "write_record"]

VERSION = 1
SENDER, RECEIVER = "s", "r"
DEEPEST = 4


@unique
class Phase(IntEnum):
    """How far a receiver had got."""

    OPEN = 0
    VERIFIED = 1
    """The checksum was right: the file has its name, or is to get it."""
    CANCELLED = 2


@dataclass(frozen=True, slots=True)
class SenderRecord:
    """A file that is being sent."""

    header: Header
    metadata: Metadata
    suspended: bool
    condition: Condition


@dataclass(frozen=True, slots=True)
class ReceiverRecord:
    """A file that is coming in: ``ranges`` are on the medium. ``header`` is that of units back to the sender."""

    header: Header
    metadata: Metadata | None
    eof: Eof | None
    ranges: tuple[tuple[int, int], ...]
    suspended: bool
    phase: Phase
    condition: Condition


def sender_key(sequence: int) -> str:
    """Name of a sender's record."""
    return f"out-{sequence}"


def receiver_key(source: int, sequence: int) -> str:
    """Name of a receiver's record, and of its part of the file."""
    return f"in-{source}-{sequence}"


def write_record(record: SenderRecord | ReceiverRecord) -> bytes:
    """A record as bytes."""
    fields: list[Any]
    if isinstance(record, SenderRecord):
        fields = [VERSION, SENDER, encode(record.header, record.metadata), record.suspended, int(record.condition)]
    else:
        forth = _forth(record.header)
        units = [None if body is None else encode(forth, body) for body in (record.metadata, record.eof)]
        edges = [edge for pair in record.ranges for edge in pair]
        fields = [VERSION, RECEIVER, encode(record.header, KeepAlive(0)), *units, edges, record.suspended,
                  int(record.phase), int(record.condition)]
    return cbor2.dumps(fields)


def read_record(data: bytes) -> SenderRecord | ReceiverRecord | None:
    """The record; ``None`` if these bytes are none."""
    try:
        fields = cbor2.loads(data, max_depth=DEEPEST)
        if not isinstance(fields, list) or len(fields) < 2 or fields[0] != VERSION:
            return None
        return _sender(*fields[2:]) if fields[1] == SENDER else _receiver(*fields[2:])
    except (cbor2.CBORDecodeError, AttributeError, LookupError, TypeError, ValueError):
        return None


def _sender(unit: bytes, suspended: bool, condition: int) -> SenderRecord | None:
    metadata = decode(unit)
    if not isinstance(metadata, Pdu) or not isinstance(metadata.body, Metadata):
        return None
    return SenderRecord(metadata.header, metadata.body, bool(suspended), Condition(condition))


def _receiver(
    unit: bytes, metadata: bytes | None, eof: bytes | None, edges: list[int], suspended: bool, phase: int,
    condition: int,
) -> ReceiverRecord | None:
    back = decode(unit)
    held = [None if part is None else decode(part) for part in (metadata, eof)]
    if not isinstance(back, Pdu) or not all(part is None or isinstance(part, Pdu) for part in held):
        return None
    bodies = [part.body if isinstance(part, Pdu) else None for part in held]
    start, end = bodies
    if not (start is None or isinstance(start, Metadata)) or not (end is None or isinstance(end, Eof)):
        return None
    if any(not isinstance(edge, int) or edge < 0 for edge in edges) or sorted(edges) != edges or len(edges) % 2:
        return None
    ranges = tuple(zip(edges[::2], edges[1::2], strict=True))
    return ReceiverRecord(back.header, start, end, ranges, bool(suspended), Phase(phase), Condition(condition))


def _forth(header: Header) -> Header:
    """The header of units towards the receiver."""
    return Header(
        header.source, header.sequence, header.destination, False, header.mode, header.crc, header.large,
        header.entity_bytes, header.sequence_bytes, header.segmentation,
    )
