"""Checksums of the serial protocols, computed by the standard library's C code."""

from __future__ import annotations

from binascii import crc_hqx

__all__ = ["crc16_ccitt_false"]


def crc16_ccitt_false(data: bytes | bytearray | memoryview) -> int:
    """CRC-16/CCITT-FALSE: polynomial 1021h, initial value FFFFh, not reflected, no final xor.

    Check value over ``b"123456789"``: 29B1h (Koopman's and Cook's CRC catalogues). ``binascii.crc_hqx`` is that
    polynomial with the initial value left to the caller.
    """
    return crc_hqx(data, 0xFFFF)
