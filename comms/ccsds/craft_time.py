"""The craft's own time on CCSDS packets: unsegmented, seconds and fractions since the craft's start, never a date.

CCSDS 301.0-B-4 section 3.2, CUC with an epoch of the agency's own: P-field 2Eh, 4 bytes of seconds, 2 of fractions of
1/65536 s.
"""

from __future__ import annotations

__all__ = ["P_FIELD", "TIME_BYTES", "craft_ns", "craft_time"]

P_FIELD = 0x2E
TIME_BYTES = 7
NS = 1_000_000_000
_FRACTIONS = 1 << 16


def craft_time(t_ns: int) -> bytes:
    """Seven bytes for a time of the craft, ns; it wraps after 136 years. A time before its start is its start."""
    seconds, rest = divmod(max(0, t_ns), NS)
    return bytes((P_FIELD,)) + (seconds & 0xFFFF_FFFF).to_bytes(4, "big") + (rest * _FRACTIONS // NS).to_bytes(2, "big")


def craft_ns(data: bytes) -> int | None:
    """Time of the craft, ns, or ``None`` for bytes that are no such time. It is at most one fraction too early."""
    if len(data) != TIME_BYTES or data[0] != P_FIELD:
        return None
    fraction = int.from_bytes(data[5:], "big")
    return int.from_bytes(data[1:5], "big") * NS + -(-fraction * NS // _FRACTIONS)
