"""Header of a record: one byte of epoch, channel and length, and the counter in its shortest form; one way to write it.

| byte | content |
|---|---|
| 0 | bits 7 and 6: epoch mod 4; bits 5 to 3: channel 0 to 6, or 7: in a byte of its own; bits 2 to 0: n |
| 1 | the channel, if byte 0 says so: 7 to 255 |
| then n | partial IV: the counter, big endian, n = 1 to 5, without leading zeros (0 itself is one byte) |

n = 0 is no record: handshake messages begin so. n = 6 and 7 are refused. On a line that has one channel only (NBL) the
channel is implied and its bits are 0.
"""

from __future__ import annotations

from typing import NamedTuple

from comms.records.faults import RecordFault
from comms.records.schedule import COUNTER_LAST

__all__ = ["EXTENDED", "LONGEST_COUNTER", "Header", "counter_bytes", "encode_header", "least_counter", "read_header"]

EXTENDED = 7
"""Channel bits of a record whose channel has a byte of its own."""
LONGEST_COUNTER = 5
"""Bytes of the longest partial IV (RFC 8613 section 6.1)."""


class Header(NamedTuple):
    """What stands in front of a record, in clear; ``length`` in bytes. Nothing of it is certain before the tag is."""

    epoch_bits: int
    channel: int
    counter: int
    length: int


def counter_bytes(counter: int) -> int:
    """Bytes of a counter's shortest form: 1 to 5."""
    return (counter.bit_length() + 7) // 8 or 1


def least_counter(length: int) -> int:
    """Smallest counter that takes so many bytes."""
    return 1 << 8 * (length - 1) if length > 1 else 0


def encode_header(epoch: int, channel: int, counter: int, implied: bool = False) -> bytes:
    """A header. Raises ValueError for a channel or counter that it has no room for."""
    if not (0 <= channel <= 255 and 0 <= counter <= COUNTER_LAST):
        raise ValueError(f"channel {channel}, counter {counter}: no room for them")
    size = counter_bytes(counter)
    code = 0 if implied else min(channel, EXTENDED)
    own = b"" if implied or channel < EXTENDED else bytes((channel,))
    return bytes(((epoch & 3) << 6 | code << 3 | size,)) + own + counter.to_bytes(size, "big")


def read_header(record: bytes) -> Header | RecordFault:
    """The header of a record that names its channel, for whoever looks at records without opening them."""
    if not record:
        return RecordFault.TOO_SHORT
    flag = record[0]
    size = flag & 7
    if not 1 <= size <= LONGEST_COUNTER:
        return RecordFault.RESERVED if size else RecordFault.NOT_A_RECORD
    channel = flag >> 3 & 7
    start = 1
    if channel == EXTENDED:
        if len(record) < 2:
            return RecordFault.TOO_SHORT
        channel, start = record[1], 2
        if channel < EXTENDED:
            return RecordFault.NOT_SHORTEST
    end = start + size
    if len(record) < end:
        return RecordFault.TOO_SHORT
    counter = int.from_bytes(record[start:end], "big")
    if counter < least_counter(size):
        return RecordFault.NOT_SHORTEST
    return Header(flag >> 6, channel, counter, end)
