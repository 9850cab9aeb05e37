"""Canonical blocks of a bundle: one layout for every kind, and what a node must do with a kind it does not know
(RFC 9171 sections 4.2.4, 4.3.2, 4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag, unique

from comms.bundles.cbor_items import bytes_item, list_head, uint_item
from comms.bundles.checks import CrcKind, crc_of
from comms.bundles.eid import Eid

__all__ = ["PAYLOAD_NUMBER", "Block", "BlockFlag", "BlockKind", "age_block", "hop_block", "previous_block",
           "urgency_block"]

PAYLOAD_NUMBER = 1


@unique
class BlockKind(IntEnum):
    """Kinds that a node knows. 192 to 255 are for private use: 193 carries the urgency that version 7 has no field
    for."""

    PAYLOAD = 1
    PREVIOUS_NODE = 6
    BUNDLE_AGE = 7
    HOP_COUNT = 10
    URGENCY = 193


class BlockFlag(IntFlag):
    """What to do with a block (RFC 9171 section 4.2.4). Other bits are kept and have no meaning."""

    REPLICATE = 0x01
    REPORT_UNKNOWN = 0x02
    DELETE_BUNDLE = 0x04
    DISCARD_BLOCK = 0x10


@dataclass(frozen=True, slots=True)
class Block:
    """One canonical block. ``kind`` is a plain number, since a relay carries kinds that it doesn't know."""

    kind: int
    number: int
    data: bytes
    flags: int = 0
    crc: CrcKind = CrcKind.NONE

    def encode(self) -> bytes:
        """CBOR of the block, checksum included."""
        crc = self.crc
        front = (
            list_head(5 if crc is CrcKind.NONE else 6) + uint_item(self.kind) + uint_item(self.number)
            + uint_item(self.flags) + uint_item(crc) + bytes_item(self.data)
        )
        if crc is CrcKind.NONE:
            return front
        # The checksum is over the block with zeros in its place (RFC 9171 section 4.3.2).
        return front + bytes_item(crc_of(crc, front + bytes_item(bytes(crc.size))))


def previous_block(number: int, node: Eid) -> Block:
    """Who sent this bundle on (RFC 9171 section 4.4.1)."""
    return Block(BlockKind.PREVIOUS_NODE, number, node.encode(), BlockFlag.DISCARD_BLOCK)


def age_block(number: int, age_ms: int) -> Block:
    """Time since the bundle was made, ms (RFC 9171 section 4.4.2)."""
    return Block(BlockKind.BUNDLE_AGE, number, uint_item(age_ms))


def hop_block(number: int, limit: int, count: int) -> Block:
    """Hops allowed and done (RFC 9171 section 4.4.3)."""
    return Block(BlockKind.HOP_COUNT, number, list_head(2) + uint_item(limit) + uint_item(count))


def urgency_block(number: int, urgency: int) -> Block:
    """Class of service, 0 most urgent; a node that doesn't know this kind leaves it in place."""
    return Block(BlockKind.URGENCY, number, uint_item(urgency))
