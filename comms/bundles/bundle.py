"""Codec of bundles: bytes to a whole bundle or to one named refusal, and every bundle to exactly one form of bytes.

Bundle Protocol version 7, RFC 9171 section 4; ids as in RFC 9758. Fragments are refused by name: a payload is sealed as
a whole, and its sender cuts it to what the link takes. Status reports are not made (RFC 9171 section 5.1 leaves that to
the node): they would tell a stranger what is carried.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntFlag, StrEnum, unique
from io import BytesIO
from typing import Any

from comms.bundles.block import PAYLOAD_NUMBER, Block, BlockKind
from comms.bundles.cbor_items import (
    LARGEST_UINT,
    NotCborError,
    bytes_item,
    item_of,
    list_head,
    take_item,
    uint_item,
)
from comms.bundles.checks import CrcKind, crc_of
from comms.bundles.eid import Eid

__all__ = ["LONGEST_BUNDLE", "MOST_BLOCKS", "Bundle", "BundleFlag", "Malformed", "Primary", "decode", "encode"]

VERSION = 7
LONGEST_BUNDLE = 65_536
MOST_BLOCKS = 16
"""Blocks of one bundle, the primary one left out."""
LARGEST_HOPS = 255
LEAST_URGENT = 3
FIRST, BREAK = b"\x9f", b"\xff"
SINGLE = (BlockKind.PREVIOUS_NODE, BlockKind.BUNDLE_AGE, BlockKind.HOP_COUNT, BlockKind.URGENCY)
"""Kinds that a bundle has at most once."""


@unique
class Malformed(StrEnum):
    """Why bytes are no bundle that is taken."""

    TOO_LARGE = "too_large"
    NOT_CBOR = "not_cbor"
    NOT_DETERMINISTIC = "not_deterministic"
    STRUCTURE = "structure"
    VERSION = "version"
    FLAGS = "flags"
    FRAGMENT = "fragment"
    ENDPOINT = "endpoint"
    CRC_KIND = "crc_kind"
    CRC = "crc"
    TOO_MANY_BLOCKS = "too_many_blocks"
    BLOCK_NUMBER = "block_number"
    NO_PAYLOAD = "no_payload"
    BLOCK_DATA = "block_data"


class BundleFlag(IntFlag):
    """Bundle processing control flags (RFC 9171 section 4.2.3). Other bits are kept and have no meaning."""

    FRAGMENT = 0x01
    ADMINISTRATIVE = 0x02
    DONT_FRAGMENT = 0x04
    ACKNOWLEDGE = 0x20
    STATUS_TIME = 0x40
    REPORT_RECEPTION = 0x4000
    REPORT_FORWARDING = 0x1_0000
    REPORT_DELIVERY = 0x2_0000
    REPORT_DELETION = 0x4_0000


REPORTS = (BundleFlag.REPORT_RECEPTION | BundleFlag.REPORT_FORWARDING | BundleFlag.REPORT_DELIVERY
           | BundleFlag.REPORT_DELETION)


@dataclass(frozen=True, slots=True)
class Primary:
    """Primary block: never changed on the way. Times in ms; ``created_ms`` counts from 2000-01-01 and is 0 without a
    clock (RFC 9171 section 4.2.6)."""

    destination: Eid
    source: Eid
    report_to: Eid
    created_ms: int
    sequence: int
    lifetime_ms: int
    flags: int = BundleFlag.DONT_FRAGMENT
    crc: CrcKind = CrcKind.CRC32C

    def encode(self) -> bytes:
        """CBOR of the block, checksum included."""
        crc = self.crc
        front = b"".join((
            list_head(8 if crc is CrcKind.NONE else 9), uint_item(VERSION), uint_item(self.flags), uint_item(crc),
            self.destination.encode(), self.source.encode(), self.report_to.encode(),
            list_head(2), uint_item(self.created_ms), uint_item(self.sequence), uint_item(self.lifetime_ms),
        ))
        if crc is CrcKind.NONE:
            return front
        return front + bytes_item(crc_of(crc, front + bytes_item(bytes(crc.size))))


@dataclass(frozen=True, slots=True)
class Bundle:
    """A whole bundle. ``blocks`` has the payload last. The values of known extension blocks are read once, when the
    bundle is made; ``None`` where there is no such block. ValueError for blocks that no bundle may have."""

    primary: Primary
    blocks: tuple[Block, ...]
    previous: Eid | None = field(init=False, compare=False)
    age_ms: int | None = field(init=False, compare=False)
    hop_limit: int | None = field(init=False, compare=False)
    hop_count: int | None = field(init=False, compare=False)
    urgency: int | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        problem = _wrong_blocks(self.blocks)
        if problem is not None:
            raise ValueError(f"no bundle has such blocks: {problem}")
        found = {block.kind: block.data for block in self.blocks if block.kind in SINGLE}
        hops = _hops(found.get(BlockKind.HOP_COUNT))
        values = {
            "previous": _eid(found.get(BlockKind.PREVIOUS_NODE)),
            "age_ms": _uint(found.get(BlockKind.BUNDLE_AGE), LARGEST_UINT),
            "hop_limit": None if hops is None else hops[0],
            "hop_count": None if hops is None else hops[1],
            "urgency": _uint(found.get(BlockKind.URGENCY), LEAST_URGENT),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def payload(self) -> bytes:
        """What is carried: opaque, sealed by its sender."""
        return self.blocks[-1].data

    def with_blocks(self, blocks: tuple[Block, ...]) -> Bundle:
        """The same bundle with other blocks."""
        return replace(self, blocks=blocks)


def encode(bundle: Bundle) -> bytes:
    """Bytes of a bundle: an array of indefinite length, as RFC 9171 section 4.1 wants it, all else deterministic."""
    return b"".join((FIRST, bundle.primary.encode(), *(block.encode() for block in bundle.blocks), BREAK))


def decode(data: bytes, longest: int = LONGEST_BUNDLE) -> Bundle | Malformed:
    """A bundle, or why these bytes are none. Never raises.

    Strict: definite lengths inside, shortest forms, known version, right checksums, numbers of blocks unique, one
    payload and it last, extension blocks with the data that their kind has.
    """
    if len(data) > longest:
        return Malformed.TOO_LARGE
    try:
        return _decode(data)
    except NotCborError as error:
        return Malformed.NOT_DETERMINISTIC if error.canonical else Malformed.NOT_CBOR
    except _RefusedError as refused:
        return refused.reason


class _RefusedError(Exception):
    def __init__(self, reason: Malformed) -> None:
        super().__init__(reason)
        self.reason = reason


def _decode(data: bytes) -> Bundle:
    if data[:1] != FIRST or data[-1:] != BREAK or len(data) < 3:
        raise _RefusedError(Malformed.STRUCTURE)
    end = len(data) - 1
    stream = BytesIO(data[:end])
    stream.seek(1)
    primary = _primary(take_item(stream), data, 1, stream.tell())
    blocks: list[Block] = []
    while stream.tell() < end:
        if len(blocks) >= MOST_BLOCKS:
            raise _RefusedError(Malformed.TOO_MANY_BLOCKS)
        start = stream.tell()
        blocks.append(_block(take_item(stream), data[start:stream.tell()]))
    problem = _wrong_blocks(blocks)
    if problem is not None:
        raise _RefusedError(problem)
    return Bundle(primary, tuple(blocks))


def _primary(items: Any, data: bytes, start: int, stop: int) -> Primary:
    if type(items) is not list or not 8 <= len(items) <= 11:
        raise _RefusedError(Malformed.STRUCTURE)
    version, flags, crc_kind = _number(items[0]), _number(items[1]), _number(items[2])
    if version != VERSION:
        raise _RefusedError(Malformed.VERSION)
    crc = _crc_kind(crc_kind)
    if len(items) != 8 + 2 * bool(flags & BundleFlag.FRAGMENT) + (crc is not CrcKind.NONE):
        raise _RefusedError(Malformed.STRUCTURE)
    if flags & BundleFlag.FRAGMENT:
        raise _RefusedError(Malformed.FRAGMENT)
    ids = [Eid.from_item(item) for item in items[3:6]]
    created = items[6]
    if type(created) is not list or len(created) != 2:
        raise _RefusedError(Malformed.STRUCTURE)
    destination, source, report_to = ids
    if destination is None or source is None or report_to is None:
        raise _RefusedError(Malformed.ENDPOINT)
    primary = Primary(destination, source, report_to, _number(created[0]), _number(created[1]), _number(items[7]),
                      flags, crc)
    _check_flags(primary)
    _check_bytes(primary.encode(), data[start:stop], crc)
    return primary


def _check_flags(primary: Primary) -> None:
    """RFC 9171 section 4.2.3: no reports on administrative records or of nobody's bundles."""
    flags = primary.flags
    silent = flags & BundleFlag.ADMINISTRATIVE or primary.source.is_null
    if silent and flags & REPORTS:
        raise _RefusedError(Malformed.FLAGS)
    if primary.source.is_null and not flags & BundleFlag.DONT_FRAGMENT:
        raise _RefusedError(Malformed.FLAGS)


def _block(items: Any, data: bytes) -> Block:
    if type(items) is not list or len(items) not in (5, 6):
        raise _RefusedError(Malformed.STRUCTURE)
    kind, number, flags = (_number(item) for item in items[:3])
    crc = _crc_kind(_number(items[3]))
    if len(items) != 5 + (crc is not CrcKind.NONE) or type(items[4]) is not bytes:
        raise _RefusedError(Malformed.STRUCTURE)
    block = Block(kind, number, items[4], flags, crc)
    _check_bytes(block.encode(), data, crc)
    return block


def _check_bytes(encoded: bytes, data: bytes, crc: CrcKind) -> None:
    """The one form of a block, or what is wrong: its checksum, or anything else that has another form."""
    if encoded == data:
        return
    if len(encoded) == len(data) and encoded[: -crc.size or None] == data[: -crc.size or None]:
        raise _RefusedError(Malformed.CRC)
    raise _RefusedError(Malformed.NOT_DETERMINISTIC)


def _wrong_blocks(blocks: list[Block] | tuple[Block, ...]) -> Malformed | None:
    if not blocks or blocks[-1].kind != BlockKind.PAYLOAD:
        return Malformed.NO_PAYLOAD
    numbers = [block.number for block in blocks]
    if len(set(numbers)) != len(numbers) or 0 in numbers or blocks[-1].number != PAYLOAD_NUMBER:
        return Malformed.BLOCK_NUMBER
    kinds = [block.kind for block in blocks]
    if any(kinds.count(kind) > 1 for kind in (BlockKind.PAYLOAD, *SINGLE)):
        return Malformed.STRUCTURE
    for block in blocks:
        if block.kind in SINGLE and not _known_data(block):
            return Malformed.BLOCK_DATA
    return None


def _known_data(block: Block) -> bool:
    if block.kind == BlockKind.PREVIOUS_NODE:
        return _eid(block.data) is not None
    if block.kind == BlockKind.HOP_COUNT:
        return _hops(block.data) is not None
    return _uint(block.data, LEAST_URGENT if block.kind == BlockKind.URGENCY else LARGEST_UINT) is not None


def _item(data: bytes | None) -> Any:
    if data is None:
        return None
    try:
        return item_of(data)
    except NotCborError:
        return None


def _uint(data: bytes | None, most: int) -> int | None:
    value = _item(data)
    return value if type(value) is int and 0 <= value <= most else None


def _hops(data: bytes | None) -> tuple[int, int] | None:
    value = _item(data)
    if type(value) is not list or len(value) != 2 or not all(type(number) is int for number in value):
        return None
    limit, count = value
    return (limit, count) if 1 <= limit <= LARGEST_HOPS and 0 <= count <= LARGEST_UINT else None


def _eid(data: bytes | None) -> Eid | None:
    return Eid.from_item(_item(data))


def _number(item: Any) -> int:
    if type(item) is not int or not 0 <= item <= LARGEST_UINT:
        raise _RefusedError(Malformed.STRUCTURE)
    return item


def _crc_kind(code: int) -> CrcKind:
    if code > CrcKind.CRC32C:
        raise _RefusedError(Malformed.CRC_KIND)
    return CrcKind(code)
