"""What flight program and recorder process say to each other: whole packets, numbered rows, nothing to be waited for.

The flight program listens, the recorder connects (``comms.packet_socket``). At every meeting the flight says what flies
(HELLO, and a TEXT for each attachment), then come rows in packets of many; up comes what is on the medium (KEPT).

======  ====  ======================================================================================================
packet  way   after the byte of its kind
======  ====  ======================================================================================================
HELLO   down  MessagePack of :class:`Hello`
TEXT    down  MessagePack: file name, text
ROWS    down  u64 number of the first row, then each row: channel u8, flight time i64 ns, length u32, bytes
END     down  nothing: the flight has ended by itself
KEPT    up    u64 rows that are on the medium, u64 rows lost there, text of what is wrong
======  ====  ======================================================================================================

Rows count from 0 since the flight program's start, so that a gap is seen by whoever reads them. Little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import IntEnum, unique
from typing import Any, Final, NamedTuple

import msgspec

from firmware_py.recorder import rows

__all__ = [
    "LONGEST_ROW", "VERSION", "End", "Hello", "Kept", "Packet", "Row", "RowBatch", "Rows", "Text", "pack_end",
    "pack_hello", "pack_kept", "pack_text", "read_packet",
]

VERSION: Final = 1
LONGEST_ROW: Final = 60_000
"""Bytes of a row that are carried; a packet takes 65,536."""
CHANNELS: Final = frozenset({rows.SNAPSHOT, rows.EVENT, rows.COMMAND, rows.BUS, rows.TIMING})

_FIRST: Final = struct.Struct("<BQ")
_ROW: Final = struct.Struct("<BqI")
_KEPT: Final = struct.Struct("<BQQ")


@unique
class Kind(IntEnum):
    """First byte of a packet."""

    HELLO = 1
    TEXT = 2
    ROWS = 3
    END = 4
    KEPT = 5


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """What flies.

    ``session`` is of one start of the flight program and of no other; ``first`` is the number of the row that comes
    first after this packet; ``texts`` says how many TEXT packets follow.
    """

    session: str
    version: int
    epoch_ns: int
    header: dict[str, Any]
    buses: tuple[str, ...]
    texts: int
    first: int = 0


class Text(NamedTuple):
    """One attachment."""

    name: str
    text: str


class Row(NamedTuple):
    """One row."""

    channel: int
    t_ns: int
    data: bytes


class Rows(NamedTuple):
    """Rows in their order; ``first`` is the number of the first."""

    first: int
    rows: tuple[Row, ...]


class End(NamedTuple):
    """The flight program ended by itself."""


class Kept(NamedTuple):
    """How many rows from the first one on are on the medium, how many were lost, and what is wrong now."""

    rows: int
    lost: int
    failure: str


Packet = Hello | Text | Rows | End | Kept
_hello = msgspec.msgpack.Decoder(Hello)
_text = msgspec.msgpack.Decoder(tuple[str, str])


class RowBatch:
    """Rows that wait to become one packet.

    Attributes:
        first: number of its first row.
        count: rows in it.
    """

    __slots__ = ("_data", "count", "first")

    def __init__(self, first: int) -> None:
        self.first = first
        self.count = 0
        self._data = bytearray(_FIRST.pack(Kind.ROWS, first))

    def __len__(self) -> int:
        """Bytes of the packet so far."""
        return len(self._data)

    def add(self, channel: int, t_ns: int, data: bytes) -> None:
        """One more row."""
        self._data += _ROW.pack(channel, t_ns, len(data))
        self._data += data
        self.count += 1

    def packet(self) -> bytes:
        """The packet."""
        return bytes(self._data)


def pack_hello(hello: Hello) -> bytes:
    """HELLO. Values of its header are such as JSON can hold."""
    return bytes((Kind.HELLO,)) + msgspec.msgpack.encode(hello, enc_hook=rows.plain)


def pack_text(name: str, text: str) -> bytes:
    """TEXT."""
    return bytes((Kind.TEXT,)) + msgspec.msgpack.encode((name, text))


def pack_end() -> bytes:
    """END."""
    return bytes((Kind.END,))


def pack_kept(count: int, lost: int, failure: str) -> bytes:
    """KEPT; of the text 200 bytes."""
    return _KEPT.pack(Kind.KEPT, count, lost) + failure.encode(errors="replace")[:200]


def read_packet(data: bytes) -> Packet | None:
    """What a packet says; ``None`` if it is none."""
    reader = _READERS.get(data[0]) if data else None
    return None if reader is None else reader(data)


def _read_hello(data: bytes) -> Hello | None:
    try:
        hello = _hello.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError):
        return None
    sound = hello.epoch_ns >= 0 and 0 <= hello.texts <= 64 and hello.first >= 0
    return hello if sound else None


def _read_text(data: bytes) -> Text | None:
    try:
        return Text(*_text.decode(memoryview(data)[1:]))
    except (msgspec.DecodeError, RecursionError, ValueError):
        return None


def _read_rows(data: bytes) -> Rows | None:
    if len(data) < _FIRST.size:
        return None
    first = _FIRST.unpack_from(data)[1]
    found: list[Row] = []
    at = _FIRST.size
    while at < len(data):
        if at + _ROW.size > len(data):
            return None
        channel, t_ns, length = _ROW.unpack_from(data, at)
        at += _ROW.size + length
        if at > len(data) or channel not in CHANNELS:
            return None
        found.append(Row(channel, t_ns, data[at - length : at]))
    return Rows(first, tuple(found)) if found else None


def _read_end(data: bytes) -> End | None:
    return End() if len(data) == 1 else None


def _read_kept(data: bytes) -> Kept | None:
    if len(data) < _KEPT.size:
        return None
    _, count, lost = _KEPT.unpack_from(data)
    return Kept(count, lost, data[_KEPT.size :].decode(errors="replace"))


_READERS: Final[dict[int, Callable[[bytes], Packet | None]]] = {
    Kind.HELLO: _read_hello, Kind.TEXT: _read_text, Kind.ROWS: _read_rows, Kind.END: _read_end, Kind.KEPT: _read_kept,
}
