"""Checksums of the serial protocols: by the standard library's C code where it has them, else by a table."""

from __future__ import annotations

from binascii import crc_hqx

__all__ = ["crc8_ld06", "crc16_ccitt_false"]


def _crc8_table(polynomial: int) -> tuple[int, ...]:
    """Remainders of every byte, most significant bit first."""
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1 ^ polynomial if crc & 0x80 else crc << 1) & 0xFF
        table.append(crc)
    return tuple(table)


_LD06 = _crc8_table(0x4D)


def crc8_ld06(data: bytes | bytearray | memoryview) -> int:
    """CRC-8 of the LD06 and LD19 lidars: polynomial 4Dh, initial value 0, not reflected, no final xor.

    Source: LDROBOT LD06 development manual v1.0, chapter 3, whose example packet has 50h.
    """
    crc = 0
    table = _LD06
    for byte in data:
        crc = table[crc ^ byte]
    return crc


def crc16_ccitt_false(data: bytes | bytearray | memoryview) -> int:
    """CRC-16/CCITT-FALSE: polynomial 1021h, initial value FFFFh, not reflected, no final xor.

    Check value over ``b"123456789"``: 29B1h (Koopman's and Cook's CRC catalogues). ``binascii.crc_hqx`` is that
    polynomial with the initial value left to the caller.
    """
    return crc_hqx(data, 0xFFFF)
