"""Long messages in pieces: the offer of a renewal is longer than most records; it comes together whole or not at all.

A piece is ``4B, number, index, count`` and its part of the message. ``4B`` begins no message of the dictionary, which
is a CBOR array. Loss is healed by whoever sends the message again; nothing is asked for piece by piece.
"""

from __future__ import annotations

__all__ = ["MARK", "Pieces", "Reassembly", "is_fragment", "pieces"]

MARK = 0x4B
HEADER = 4
MOST_PIECES = 64
LONGEST = 8192


def is_fragment(payload: bytes) -> bool:
    """Whether this is a piece."""
    return payload[:1] == b"\x4b"


def pieces(message: bytes, longest: int, number: int) -> list[bytes]:
    """A message in pieces of at most ``longest`` bytes; ``number`` tells it from the one before.

    Raises:
        ValueError: pieces so short would be more than 64, or the message is longer than 8 KiB.
    """
    size = longest - HEADER
    count = -(-len(message) // size) if size > 0 else 0
    if not 1 <= count <= MOST_PIECES or len(message) > LONGEST:
        raise ValueError(f"{len(message)} bytes don't go into {MOST_PIECES} pieces of {longest}")
    return [
        bytes((MARK, number & 0xFF, index, count)) + message[index * size:(index + 1) * size] for index in range(count)
    ]


class Reassembly:
    """Puts one message together at a time; a piece of another begins anew.

    Pieces of a message that is sent again under its number add up. Once it is whole, its last piece stands for it: who
    sends it again has had no answer.

    Attributes:
        broken: pieces that fitted to nothing.
    """

    __slots__ = ("_count", "_number", "_parts", "_size", "_whole", "broken")

    def __init__(self) -> None:
        self.broken = 0
        self._number = -1
        self._count = 0
        self._size = 0
        self._parts: dict[int, bytes] = {}
        self._whole: bytes | None = None

    def take(self, piece: bytes) -> bytes | None:
        """The whole message once its last piece has come; ``None`` before."""
        if len(piece) <= HEADER or piece[0] != MARK:
            self.broken += 1
            return None
        number, index, count = piece[1], piece[2], piece[3]
        if not (1 <= count <= MOST_PIECES and index < count):
            self.broken += 1
            return None
        if number != self._number or count != self._count:
            self._forget()
            self._number, self._count = number, count
        if self._whole is not None:
            return self._whole if index == count - 1 else None
        if index not in self._parts:
            self._size += len(piece) - HEADER
            if self._size > LONGEST:
                self._forget()
                self.broken += 1
                return None
            self._parts[index] = piece[HEADER:]
        if len(self._parts) < count:
            return None
        self._whole = b"".join(self._parts[at] for at in range(count))
        self._parts = {}
        return self._whole

    def _forget(self) -> None:
        self._number, self._count, self._size, self._parts, self._whole = -1, 0, 0, {}, None


class Pieces:
    """Cuts messages into pieces; one that is sent again keeps its number, so that what has arrived of it counts."""

    __slots__ = ("_last", "_number")

    def __init__(self) -> None:
        self._last = b""
        self._number = 0

    def of(self, message: bytes, longest: int) -> list[bytes]:
        """Its pieces. ValueError as of ``pieces``."""
        if message != self._last:
            self._last, self._number = message, (self._number + 1) % 256
        return pieces(message, longest, self._number)
