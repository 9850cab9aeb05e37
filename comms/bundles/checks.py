"""The two checksums of bundle blocks (RFC 9171 section 4.2.1), each as its published check value says."""

from __future__ import annotations

from binascii import crc_hqx
from enum import IntEnum, unique

__all__ = ["CrcKind", "crc16_x25", "crc32c", "crc_of"]


@unique
class CrcKind(IntEnum):
    """CRC type of a block (RFC 9171 section 4.2.1); the value is its code, ``size`` its bytes."""

    NONE = 0
    X25 = 1
    CRC32C = 2

    @property
    def size(self) -> int:
        """Bytes of the checksum."""
        return (0, 2, 4)[self]


_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
"""Every byte with its bits in the other order."""


def crc16_x25(data: bytes) -> int:
    """CRC-16/X-25 (ITU-T X.25): reflected 1021h, initial value and final xor FFFFh. Check value 906Eh.

    The standard library's CRC takes the highest bit first; with the bits of every byte turned round it is the same one,
    so that a long block costs no loop.
    """
    crc = crc_hqx(data.translate(_REVERSED), 0xFFFF)
    return (_REVERSED[crc & 0xFF] << 8 | _REVERSED[crc >> 8]) ^ 0xFFFF


def _crc32c_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x82F63B78 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC32C = _crc32c_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli, RFC 4960 appendix B): reflected 1EDC6F41h, initial value and final xor FFFFFFFFh. Check
    value E3069283h."""
    crc = 0xFFFFFFFF
    table = _CRC32C
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def crc_of(kind: CrcKind, data: bytes) -> bytes:
    """Checksum in network byte order; empty for NONE."""
    if kind is CrcKind.NONE:
        return b""
    if kind is CrcKind.X25:
        return crc16_x25(data).to_bytes(2, "big")
    return crc32c(data).to_bytes(4, "big")
