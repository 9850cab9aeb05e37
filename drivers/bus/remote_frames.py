"""The framing of a bus behind a local socket: one packet asks for one transfer, one answers it, whole or refused.

Used between a program and a rig that is a process of its own (docs/guide/bench-a-board.md). The socket keeps packets
apart (Unix socket of type SOCK_SEQPACKET), so a packet needs no length and no marks. Numbers are little-endian.

======  ===============================================================  ==============================================
bytes   request                                                          answer
======  ===============================================================  ==============================================
0..3    number, one more for each request                                number of the request
4       :class:`Operation`                                               0, or a number of :data:`CAUSES_BY_NUMBER`
5       I2C address, SPI select, level of a line, kind of bus (HELLO)    0
6..7    bytes to read                                                    0
8..     bytes to write; name of a line; ``<BI`` mode and clock in Hz     bytes read; text of the error in UTF-8
======  ===============================================================  ==============================================

The number lets an answer that came after its deadline be told from the one that is waited for.
"""

from __future__ import annotations

import struct
from enum import IntEnum, unique
from typing import NamedTuple

from drivers.errors import Cause

__all__ = [
    "CAUSES_BY_NUMBER", "IN_USE", "KINDS", "LARGEST", "LONGEST_DATA", "LONGEST_TEXT", "SPI_SETTINGS", "VERSION",
    "Answer", "Operation", "Request", "number_of", "pack_answer", "pack_refusal", "pack_request", "read_answer",
    "read_request",
]

VERSION = b"qiki-bus 1"
"""What a HELLO carries and what answers it."""
_HEAD = struct.Struct("<IBBH")
SPI_SETTINGS = struct.Struct("<BI")
LONGEST_DATA = 8192
"""Longest message of an I2C transfer (include/uapi/linux/i2c-dev.h); an SPI transfer through spidev is half of it."""
LONGEST_TEXT = 256
LARGEST = _HEAD.size + LONGEST_DATA
"""Bytes of the longest packet."""
KINDS: dict[str, int] = {"i2c": 1, "spi": 2, "gpio": 3}
"""Kinds of bus that are reached this way."""
CAUSES_BY_NUMBER: dict[int, Cause] = {
    1: Cause.NACK_ADDRESS, 2: Cause.NACK_DATA, 3: Cause.TIMEOUT, 4: Cause.STUCK_BUS, 5: Cause.ARBITRATION,
    6: Cause.SHORT_READ, 7: Cause.ABSENT, 8: Cause.PROTOCOL, 9: Cause.PERMISSION, 10: Cause.BUS_OFF,
    11: Cause.IMPLAUSIBLE,
}
_NUMBERS = {cause: number for number, cause in CAUSES_BY_NUMBER.items()}
IN_USE = 255
"""Answer to a HELLO while the bus has another owner."""


@unique
class Operation(IntEnum):
    """What a request asks for."""

    HELLO = 0
    WRITE = 1
    READ = 2
    WRITE_READ = 3
    CLEAR = 4
    """Nine clocks and a STOP."""
    REOPEN = 5
    CONFIGURE = 6
    TRANSFER = 7
    SET = 8
    GET = 9


_OPERATIONS: dict[int, Operation] = {int(operation): operation for operation in Operation}


class Request(NamedTuple):
    """One request, as read."""

    number: int
    operation: Operation
    place: int
    wanted: int
    """Bytes to read."""
    data: bytes


class Answer(NamedTuple):
    """One answer, as read. ``status`` 0: it was done; otherwise why not, and ``data`` is the text."""

    number: int
    status: int
    data: bytes


def pack_request(number: int, operation: int, place: int, count: int, data: bytes) -> bytes:
    """A request as bytes; the numbers must fit into their fields."""
    return _HEAD.pack(number, operation, place, count) + data


def read_request(packet: bytes) -> Request | str:
    """The request of a packet, or in one clause why it is none."""
    size = len(packet)
    if size < _HEAD.size:
        return f"{size} bytes are no request; it has at least {_HEAD.size}"
    if size > LARGEST:
        return f"a request has at most {LARGEST} bytes"
    number, code, place, count = _HEAD.unpack_from(packet)
    operation = _OPERATIONS.get(code)
    if operation is None:
        return f"no operation {code}"
    if count > LONGEST_DATA:
        return f"{count} bytes to read; at most {LONGEST_DATA}"
    return Request(number, operation, place, count, packet[_HEAD.size :])


def number_of(packet: bytes) -> int:
    """Number of a packet that may be no request, for the refusal; 0 if it has none."""
    return int.from_bytes(packet[:4], "little") if len(packet) >= _HEAD.size else 0


def pack_answer(number: int, data: bytes) -> bytes:
    """The answer to a request that was done."""
    return _HEAD.pack(number, 0, 0, 0) + data


def pack_refusal(number: int, cause: Cause | None, text: str) -> bytes:
    """The answer to a request that was not done; ``None``: the bus has another owner. Causes of no bus are PROTOCOL."""
    status = IN_USE if cause is None else _NUMBERS.get(cause, _NUMBERS[Cause.PROTOCOL])
    return _HEAD.pack(number, status, 0, 0) + text.encode("utf-8", "replace")[:LONGEST_TEXT]


def read_answer(packet: bytes) -> Answer | None:
    """The answer of a packet; ``None`` if it is none."""
    if not _HEAD.size <= len(packet) <= LARGEST:
        return None
    number, status, spare, reserved = _HEAD.unpack_from(packet)
    if spare or reserved or (status and status != IN_USE and status not in CAUSES_BY_NUMBER):
        return None
    return Answer(number, status, packet[_HEAD.size :])
