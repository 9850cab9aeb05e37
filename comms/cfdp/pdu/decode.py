"""Units to values: a unit is taken whole and exactly, or refused by name; whatever comes in, nothing is raised.

What is taken encodes again to the very same bytes, so no two units mean the same.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Callable
from functools import lru_cache

from comms.cfdp.pdu.encode import CRC_BYTES, ENTITY_TLV, FIXED_BYTES, VERSION
from comms.cfdp.pdu.values import (
    METADATA_REQUEST,
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
    FlowLabel,
    Handler,
    Header,
    KeepAlive,
    Metadata,
    Mode,
    Nak,
    Option,
    Pdu,
    PduRefusal,
    Prompt,
    Response,
    SegmentMetadata,
    UserMessage,
)

__all__ = ["decode"]

CONDITIONS = {int(condition): condition for condition in Condition}
HANDLERS = {int(handler): handler for handler in Handler}
Decoded = Body | PduRefusal


def decode(unit: bytes) -> Pdu | PduRefusal:
    """One unit, which must be exactly as long as its header says."""
    if len(unit) < FIXED_BYTES:
        return PduRefusal.TOO_SHORT
    lengths = unit[3]
    end = FIXED_BYTES + 2 * ((lengths >> 4 & 7) + 1) + (lengths & 7) + 1
    if len(unit) < end:
        return PduRefusal.TOO_SHORT
    header = _header(bytes((unit[0] & 0xEF, lengths & 0xF7)) + unit[4:end])
    if isinstance(header, PduRefusal):
        return header
    if len(unit) != end + (unit[1] << 8 | unit[2]):
        return PduRefusal.LENGTH
    stop = len(unit)
    if header.crc:
        stop -= CRC_BYTES
        if stop < end or crc_hqx(unit, 0xFFFF):
            return PduRefusal.CRC
    if unit[0] & 0x10:
        body = _file_data(header, unit, end, stop, bool(lengths & 8))
    elif lengths & 8:
        return PduRefusal.RESERVED
    elif end == stop:
        return PduRefusal.TOO_SHORT
    else:
        body = _directive(header, unit[end], unit[end + 1 : stop])
    return body if isinstance(body, PduRefusal) else Pdu(header, body)


@lru_cache(maxsize=256)
def _header(fixed: bytes) -> Header | PduRefusal:
    """The header, from its first byte without the unit's kind, its fourth, and the ids."""
    first, lengths = fixed[0], fixed[1]
    if first >> 5 != VERSION:
        return PduRefusal.VERSION
    entity, sequence = (lengths >> 4 & 7) + 1, (lengths & 7) + 1
    return Header(
        source=int.from_bytes(fixed[2 : 2 + entity], "big"),
        sequence=int.from_bytes(fixed[2 + entity : 2 + entity + sequence], "big"),
        destination=int.from_bytes(fixed[2 + entity + sequence :], "big"),
        to_sender=bool(first & 8),
        mode=Mode(first >> 2 & 1),
        crc=bool(first & 2),
        large=bool(first & 1),
        entity_bytes=entity,
        sequence_bytes=sequence,
        segmentation=bool(lengths & 0x80),
    )


def _file_data(header: Header, unit: bytes, at: int, stop: int, has_segment: bool) -> Decoded:
    if header.to_sender:
        return PduRefusal.DIRECTION
    segment = None
    if has_segment:
        if at >= stop:
            return PduRefusal.TOO_SHORT
        first = unit[at]
        length = first & 0x3F
        if at + 1 + length > stop:
            return PduRefusal.TOO_SHORT
        segment = SegmentMetadata(first >> 6, unit[at + 1 : at + 1 + length])
        at += 1 + length
    size = 8 if header.large else 4
    if at + size > stop:
        return PduRefusal.TOO_SHORT
    if at + size == stop and segment is None:
        return PduRefusal.EMPTY
    offset = int.from_bytes(unit[at : at + size], "big")
    data = unit[at + size : stop]
    if offset + len(data) >= 1 << 8 * size:
        return PduRefusal.BEYOND
    return FileData(offset, data, segment)


def _directive(header: Header, code: int, field: bytes) -> Decoded:
    read = DIRECTIVES.get(code)
    if read is None:
        return PduRefusal.DIRECTIVE
    to_sender, decoder = read
    if to_sender is not None and to_sender != header.to_sender:
        return PduRefusal.DIRECTION
    return decoder(header, field)


def _eof(header: Header, field: bytes) -> Decoded:
    size = 8 if header.large else 4
    if len(field) < 5 + size:
        return PduRefusal.TOO_SHORT
    if field[0] & 0x0F:
        return PduRefusal.RESERVED
    condition = CONDITIONS.get(field[0] >> 4)
    if condition is None:
        return PduRefusal.CONDITION
    location = _fault(condition, field[5 + size :])
    if isinstance(location, PduRefusal):
        return location
    return Eof(condition, int.from_bytes(field[1:5], "big"), int.from_bytes(field[5 : 5 + size], "big"), location)


def _finished(_header: Header, field: bytes) -> Decoded:
    if not field:
        return PduRefusal.TOO_SHORT
    if field[0] & 0x08:
        return PduRefusal.RESERVED
    condition = CONDITIONS.get(field[0] >> 4)
    if condition is None:
        return PduRefusal.CONDITION
    location = _fault(condition, field[1:])
    if isinstance(location, PduRefusal):
        return location
    return Finished(condition, Delivery(field[0] >> 2 & 1), FileStatus(field[0] & 3), location)


def _fault(condition: Condition, field: bytes) -> bytes | PduRefusal | None:
    """The option that says who found the fault; nothing asks for filestore requests, so none are answered."""
    if not field:
        return None
    if field[0] != ENTITY_TLV or condition is Condition.NO_ERROR:
        return PduRefusal.OPTION
    if len(field) < 3 or len(field) != 2 + field[1] or field[1] > 8:
        return PduRefusal.LENGTH
    return field[2:]


def _ack(header: Header, field: bytes) -> Decoded:
    if len(field) != 2:
        return PduRefusal.LENGTH
    if field[1] & 0x0C:
        return PduRefusal.RESERVED
    condition = CONDITIONS.get(field[1] >> 4)
    if condition is None:
        return PduRefusal.CONDITION
    if field[0] not in (Directive.EOF << 4, Directive.FINISHED << 4 | 1):
        return PduRefusal.FIELD
    directive = Directive(field[0] >> 4)
    if header.to_sender != (directive is Directive.EOF):
        return PduRefusal.DIRECTION
    return Ack(directive, condition, AckStatus(field[1] & 3))


def _nak(header: Header, field: bytes) -> Decoded:
    size = 8 if header.large else 4
    if len(field) < 2 * size or len(field) % (2 * size):
        return PduRefusal.LENGTH
    numbers = [int.from_bytes(field[at : at + size], "big") for at in range(0, len(field), size)]
    pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
    start, end = pairs[0]
    if start > end or any(first >= last and (first, last) != METADATA_REQUEST for first, last in pairs[1:]):
        return PduRefusal.FIELD
    return Nak(start, end, tuple(pairs[1:]))


def _prompt(_header: Header, field: bytes) -> Decoded:
    if len(field) != 1:
        return PduRefusal.LENGTH
    return PduRefusal.RESERVED if field[0] & 0x7F else Prompt(Response(field[0] >> 7))


def _keep_alive(header: Header, field: bytes) -> Decoded:
    if len(field) != (8 if header.large else 4):
        return PduRefusal.LENGTH
    return KeepAlive(int.from_bytes(field, "big"))


def _metadata(header: Header, field: bytes) -> Decoded:
    size = 8 if header.large else 4
    if len(field) < 3 + size:
        return PduRefusal.TOO_SHORT
    if field[0] & 0xB0:
        return PduRefusal.RESERVED
    names: list[str] = []
    at = 1 + size
    for _ in range(2):
        if at >= len(field) or at + 1 + field[at] > len(field):
            return PduRefusal.TOO_SHORT
        try:
            names.append(field[at + 1 : at + 1 + field[at]].decode())
        except UnicodeDecodeError:
            return PduRefusal.NAME
        at += 1 + field[at]
    options: list[Option] = []
    while at < len(field):
        if at + 2 > len(field) or at + 2 + field[at + 1] > len(field):
            return PduRefusal.TOO_SHORT
        option = _option(field[at], field[at + 2 : at + 2 + field[at + 1]])
        if isinstance(option, PduRefusal):
            return option
        options.append(option)
        at += 2 + field[at + 1]
    return Metadata(
        int.from_bytes(field[1 : 1 + size], "big"), names[0], names[1], field[0] & 0x0F, bool(field[0] & 0x40),
        tuple(options),
    )


def _option(kind: int, value: bytes) -> Option | PduRefusal:
    if kind == 0:
        return FilestoreRequest(value)
    if kind == 2:
        return UserMessage(value)
    if kind == 5:
        return FlowLabel(value)
    if kind != 4 or len(value) != 1:
        return PduRefusal.OPTION
    condition, handler = CONDITIONS.get(value[0] >> 4), HANDLERS.get(value[0] & 0x0F)
    return PduRefusal.OPTION if condition is None or handler is None else FaultOverride(condition, handler)


DIRECTIVES: dict[int, tuple[bool | None, Callable[[Header, bytes], Decoded]]] = {
    Directive.EOF: (False, _eof),
    Directive.FINISHED: (True, _finished),
    Directive.ACK: (None, _ack),
    Directive.METADATA: (False, _metadata),
    Directive.NAK: (True, _nak),
    Directive.PROMPT: (False, _prompt),
    Directive.KEEP_ALIVE: (True, _keep_alive),
}
"""Which way a directive goes (``None``: both), and who reads it."""
