"""A file's checksum, taken while its bytes come by in order; a kind that isn't known is refused, never guessed.

Kinds and numbers: SANA registry "CFDP Checksum Identifiers"; the modular checksum: CCSDS 727.0-B-5 section 4.2.2.
"""

from __future__ import annotations

import zlib
from enum import IntEnum, unique
from struct import unpack

__all__ = ["Checksum", "ChecksumKind", "checksum_kind"]

WORD = 4
MASK = 0xFFFF_FFFF


@unique
class ChecksumKind(IntEnum):
    """Checksums that are worked out here; CRC-32 is that of IEEE 802.3, as in zlib."""

    MODULAR = 0
    CRC_32 = 3
    NULL = 15


def checksum_kind(number: int) -> ChecksumKind | None:
    """The kind with this number; ``None`` if it isn't worked out here."""
    return KINDS.get(number)


KINDS = {int(kind): kind for kind in ChecksumKind}


class Checksum:
    """Running checksum of a file's first ``length`` bytes."""

    __slots__ = ("_rest", "_value", "kind", "length")

    def __init__(self, kind: ChecksumKind) -> None:
        self.kind = kind
        self.length = 0
        self._value = 0
        self._rest = b""

    def update(self, data: bytes) -> None:
        """Take the bytes that follow."""
        self.length += len(data)
        if self.kind is ChecksumKind.CRC_32:
            self._value = zlib.crc32(data, self._value)
        elif self.kind is ChecksumKind.MODULAR:
            data = self._rest + data
            words = len(data) // WORD
            self._rest = data[words * WORD :]
            self._value = (self._value + sum(unpack(f">{words}I", data[: words * WORD]))) & MASK

    @property
    def value(self) -> int:
        """The checksum so far, 32 bits; an unfinished word counts as filled with zeros."""
        return (self._value + int.from_bytes(self._rest.ljust(WORD, b"\0"), "big")) & MASK
