"""Values to units: what fits into no field is a ValueError, everything else is one unit of CCSDS 727.0-B-5."""

from __future__ import annotations

from binascii import crc_hqx
from functools import lru_cache
from struct import Struct

from comms.cfdp.pdu.values import (
    Ack,
    Body,
    Condition,
    Directive,
    Eof,
    FaultOverride,
    FileData,
    FilestoreRequest,
    Finished,
    FlowLabel,
    Header,
    KeepAlive,
    Metadata,
    Nak,
    Option,
    Prompt,
    UserMessage,
)

__all__ = ["FileDataEncoder", "encode", "header_bytes", "nak_requests"]

VERSION = 1
LONGEST_FIELD = 0xFFFF
FIXED_BYTES = 4
CRC_BYTES = 2
ENTITY_TLV = 6
NAK_FIXED = 1
SHORT, LONG = Struct(">I"), Struct(">Q")


def header_bytes(header: Header) -> int:
    """Length of a unit's header."""
    return FIXED_BYTES + 2 * header.entity_bytes + header.sequence_bytes


def nak_requests(header: Header, most_bytes: int) -> int:
    """Segment requests that fit into a unit of ``most_bytes``; negative if not even its scope does."""
    size = _offset(header).size
    fixed = header_bytes(header) + NAK_FIXED + 2 * size + CRC_BYTES * header.crc
    return (most_bytes - fixed) // (2 * size)


def encode(header: Header, body: Body) -> bytes:
    """One unit. ValueError for a value that its field cannot hold."""
    if isinstance(body, FileData):
        return _closed(header, _file_data(header, body), data=True, segment=body.segment is not None)
    return _closed(header, _directive(header, body))


class FileDataEncoder:
    """Encodes the file data units of one transaction, with everything prepared that they have alike."""

    __slots__ = ("_crc", "_first", "_large", "_tail", "overhead")

    def __init__(self, header: Header) -> None:
        self._first, self._tail = _ends(header)
        self._first |= 0x10
        self._large = header.large
        self._crc = header.crc
        self.overhead = header_bytes(header) + _offset(header).size + CRC_BYTES * header.crc
        """Bytes of a unit beside its data."""

    def encode(self, offset: int, data: bytes) -> bytes:
        """One unit of file data without segment metadata."""
        size = 8 if self._large else 4
        length = size + len(data) + CRC_BYTES * self._crc
        if length > LONGEST_FIELD:
            raise ValueError(f"{len(data)} bytes do not fit into one unit")
        unit = b"".join((
            (self._first << 16 | length).to_bytes(3, "big"), self._tail, offset.to_bytes(size, "big"), data,
        ))
        return unit + crc_hqx(unit, 0xFFFF).to_bytes(2, "big") if self._crc else unit


def _closed(header: Header, field: bytes, data: bool = False, segment: bool = False) -> bytes:
    length = len(field) + CRC_BYTES * header.crc
    if length > LONGEST_FIELD:
        raise ValueError(f"{length} bytes do not fit into one unit")
    first, tail = _ends(header)
    unit = bytearray((first | 0x10 * data, length >> 8, length & 0xFF))
    unit += tail
    unit[3] |= 0x08 * segment
    unit += field
    if header.crc:
        unit += crc_hqx(unit, 0xFFFF).to_bytes(2, "big")
    return bytes(unit)


@lru_cache(maxsize=64)
def _ends(header: Header) -> tuple[int, bytes]:
    """First byte, and the header from its fourth byte on, as directives have them."""
    for length in (header.entity_bytes, header.sequence_bytes):
        if not 1 <= length <= 8:
            raise ValueError(f"an id of {length} bytes; 1..8 are allowed")
    first = VERSION << 5 | header.to_sender << 3 | header.mode << 2 | header.crc << 1 | header.large
    lengths = header.segmentation << 7 | (header.entity_bytes - 1) << 4 | (header.sequence_bytes - 1)
    return first, b"".join((
        lengths.to_bytes(1, "big"),
        _field(header.source, header.entity_bytes),
        _field(header.sequence, header.sequence_bytes),
        _field(header.destination, header.entity_bytes),
    ))


def _field(value: int, size: int) -> bytes:
    try:
        return value.to_bytes(size, "big")
    except OverflowError:
        raise ValueError(f"{value} does not fit into {size} bytes") from None


def _offset(header: Header) -> Struct:
    return LONG if header.large else SHORT


def _size(header: Header, value: int) -> bytes:
    return _field(value, 8 if header.large else 4)


def _file_data(header: Header, body: FileData) -> bytes:
    segment = b""
    if body.segment is not None:
        if len(body.segment.metadata) > 63 or not 0 <= body.segment.continuation <= 3:
            raise ValueError("segment metadata has at most 63 bytes and a continuation state of 0..3")
        segment = bytes((body.segment.continuation << 6 | len(body.segment.metadata),)) + body.segment.metadata
    return segment + _size(header, body.offset) + body.data


def _directive(header: Header, body: Body) -> bytes:
    if isinstance(body, Nak):
        numbers = [body.start, body.end, *(edge for request in body.requests for edge in request)]
        return bytes((Directive.NAK,)) + b"".join(_size(header, number) for number in numbers)
    if isinstance(body, Ack):
        subtype = 1 if body.directive is Directive.FINISHED else 0
        return bytes((Directive.ACK, body.directive << 4 | subtype, body.condition << 4 | body.status))
    if isinstance(body, Eof):
        field = bytes((Directive.EOF, body.condition << 4)) + _field(body.checksum, 4) + _size(header, body.file_bytes)
        return field + _fault(body.condition, body.fault_location)
    if isinstance(body, Finished):
        field = bytes((Directive.FINISHED, body.condition << 4 | body.delivery << 2 | body.status))
        return field + _fault(body.condition, body.fault_location)
    if isinstance(body, Prompt):
        return bytes((Directive.PROMPT, body.response << 7))
    if isinstance(body, KeepAlive):
        return bytes((Directive.KEEP_ALIVE,)) + _size(header, body.progress)
    if isinstance(body, Metadata):
        return _metadata(header, body)
    raise ValueError("file data is no directive")


def _fault(condition: Condition, location: bytes | None) -> bytes:
    if location is None:
        return b""
    if condition is Condition.NO_ERROR:
        raise ValueError("nothing failed, so nowhere")
    if not 1 <= len(location) <= 8:
        raise ValueError(f"a fault location of {len(location)} bytes; 1..8 are allowed")
    return bytes((ENTITY_TLV, len(location))) + location


def _metadata(header: Header, body: Metadata) -> bytes:
    if not 0 <= body.checksum <= 15:
        raise ValueError(f"checksum type {body.checksum}; 0..15 are allowed")
    field = bytes((Directive.METADATA, body.closure << 6 | body.checksum)) + _size(header, body.file_bytes)
    field += _value(body.source_name.encode()) + _value(body.destination_name.encode())
    return field + b"".join(_option(option) for option in body.options)


def _option(option: Option) -> bytes:
    if isinstance(option, FaultOverride):
        return bytes((4, 1, option.condition << 4 | option.handler))
    if isinstance(option, UserMessage):
        return b"\x02" + _value(option.message)
    if isinstance(option, FlowLabel):
        return b"\x05" + _value(option.label)
    if isinstance(option, FilestoreRequest):
        return b"\x00" + _value(option.request)
    raise ValueError("no option of metadata")


def _value(content: bytes) -> bytes:
    if len(content) > 255:
        raise ValueError(f"{len(content)} bytes; at most 255 are allowed")
    return bytes((len(content),)) + content
