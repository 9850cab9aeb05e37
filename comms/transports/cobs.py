"""Consistent overhead byte stuffing: any bytes become bytes without a zero, at one byte more for each 254 begun.

S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on Networking 7(2), 1999. A full group
of 254 at the very end is not followed by an empty one, as the common implementations do it.
"""

from __future__ import annotations

__all__ = ["GROUP", "decode", "encode", "longest_encoded"]

GROUP = 254
"""Most bytes behind one code byte."""
_FULL = b"\xff"
_CODES = tuple(bytes((code,)) for code in range(256))


def longest_encoded(length: int) -> int:
    """Most bytes that ``length`` bytes can become."""
    return length + (length + GROUP - 1) // GROUP if length else 1


def encode(data: bytes) -> bytes:
    """The stuffed form of ``data``: no zero in it, ``longest_encoded(len(data))`` bytes at most."""
    blocks = data.split(b"\0")
    if len(data) < GROUP:
        return b"".join([_CODES[len(block) + 1] + block for block in blocks])
    parts: list[bytes] = []
    last = len(blocks) - 1
    for index, block in enumerate(blocks):
        while len(block) > GROUP:
            parts += (_FULL, block[:GROUP])
            block = block[GROUP:]
        if len(block) == GROUP:
            parts += (_FULL, block)
            if index != last:
                parts.append(b"\x01")
        else:
            parts += (_CODES[len(block) + 1], block)
    return b"".join(parts)


def decode(data: bytes) -> bytes | None:
    """What ``encode`` was given, or ``None`` for what no data become: a zero inside, or a group that is cut off.

    No bytes decode to no bytes, as in other implementations.
    """
    if 0 in data:
        return None
    parts: list[bytes] = []
    at, end = 0, len(data)
    while at < end:
        code = data[at]
        stop = at + code
        if stop > end:
            return None
        parts.append(data[at + 1 : stop])
        if code != 0xFF and stop != end:
            parts.append(b"\0")
        at = stop
    return b"".join(parts)
