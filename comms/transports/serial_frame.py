"""Frames on a serial line: after whatever noise or loss, at most one whole frame is lost before the next is found.

A frame is COBS(payload, CRC-16 big endian) and one zero byte: 4 bytes more than the payload, and one for each 254 begun
behind the first. The CRC is CRC-16/IBM-3740, as CCSDS 132.0-B-3 section 4.1.6.2 has it for its frame error control. It
drops noise early and proves nothing: one in 65,536 broken frames passes it.
"""

from __future__ import annotations

from binascii import crc_hqx
from dataclasses import dataclass, field
from enum import StrEnum, unique

from comms.transports.cobs import decode as cobs_decode
from comms.transports.cobs import encode as cobs_encode
from comms.transports.cobs import longest_encoded

__all__ = ["DELIMITER", "Deframer", "FrameCounts", "FrameRefusal", "crc16", "decode_frame", "encode_frame",
           "framed_bytes"]

DELIMITER = b"\0"
CRC_BYTES = 2
_START = 0xFFFF


@unique
class FrameRefusal(StrEnum):
    """Why what stood between two delimiters is no frame."""

    STUFFING = "stuffing"
    """A COBS group is cut off."""
    SHORT = "short"
    """No room for a payload of one byte and its CRC."""
    CRC = "crc"
    LONG = "long"
    """Longer than any frame of this line."""


@dataclass(slots=True)
class FrameCounts:
    """What came down a line since start."""

    frames: int = 0
    noise_bytes: int = 0
    """Bytes that belong to no good frame, delimiters left out."""
    refused: dict[FrameRefusal, int] = field(default_factory=dict)

    @property
    def noise(self) -> int:
        """Pieces between delimiters that were no frame."""
        return sum(self.refused.values())


def crc16(data: bytes) -> int:
    """CRC-16/IBM-3740: polynomial 1021h, start FFFFh, nothing reflected or inverted."""
    return crc_hqx(data, _START)


def framed_bytes(length: int) -> int:
    """Most bytes on the line for a payload of ``length`` bytes."""
    return longest_encoded(length + CRC_BYTES) + len(DELIMITER)


def encode_frame(payload: bytes) -> bytes:
    """One frame, delimiter included. ValueError for an empty payload."""
    if not payload:
        raise ValueError("an empty payload makes no frame")
    return cobs_encode(payload + crc_hqx(payload, _START).to_bytes(CRC_BYTES, "big")) + DELIMITER


def decode_frame(piece: bytes) -> bytes | FrameRefusal:
    """Payload of what stood between two delimiters, or why there is none."""
    plain = cobs_decode(piece)
    if plain is None:
        return FrameRefusal.STUFFING
    if len(plain) <= CRC_BYTES:
        return FrameRefusal.SHORT
    # A CRC that is not inverted leaves zero behind its own value.
    if crc_hqx(plain, _START):
        return FrameRefusal.CRC
    return plain[:-CRC_BYTES]


class Deframer:
    """Cuts a stream into frames; holds at most one, whatever arrives.

    Args:
        longest: longest payload, bytes.
    """

    __slots__ = ("_buffer", "_longest", "_longest_payload", "_skipping", "counts")

    def __init__(self, longest: int) -> None:
        if longest < 1:
            raise ValueError(f"longest {longest}: must be at least 1 byte")
        self._longest_payload = longest
        self._longest = longest_encoded(longest + CRC_BYTES)
        self._buffer = b""
        self._skipping = False
        self.counts = FrameCounts()

    @property
    def held_bytes(self) -> int:
        """Bytes of a frame half received."""
        return len(self._buffer)

    def feed(self, arrived: bytes) -> list[bytes]:
        """Payloads of the frames that ``arrived`` completes, oldest first."""
        pieces = arrived.split(DELIMITER)
        rest = pieces.pop()
        payloads: list[bytes] = []
        for piece in pieces:
            self._close(piece, payloads)
        self._keep(rest)
        return payloads

    def clear(self) -> None:
        """Forget a frame half received: the line was opened anew."""
        self._buffer = b""
        self._skipping = False

    def _close(self, piece: bytes, payloads: list[bytes]) -> None:
        """A delimiter came: what is held and ``piece`` are a frame, or noise."""
        if self._skipping:
            self._skipping = False
            self.counts.noise_bytes += len(piece)
            return
        if self._buffer:
            piece = self._buffer + piece
            self._buffer = b""
        if not piece:
            return  # a line may idle with delimiters
        answer = FrameRefusal.LONG if len(piece) > self._longest else decode_frame(piece)
        if isinstance(answer, FrameRefusal):
            self._refuse(answer, len(piece))
        elif len(answer) > self._longest_payload:
            self._refuse(FrameRefusal.LONG, len(piece))
        else:
            self.counts.frames += 1
            payloads.append(answer)

    def _keep(self, rest: bytes) -> None:
        if self._skipping:
            self.counts.noise_bytes += len(rest)
        elif len(self._buffer) + len(rest) > self._longest:
            self._refuse(FrameRefusal.LONG, len(self._buffer) + len(rest))
            self._buffer = b""
            self._skipping = True
        elif rest:
            self._buffer += rest

    def _refuse(self, why: FrameRefusal, length: int) -> None:
        counts = self.counts
        counts.refused[why] = counts.refused.get(why, 0) + 1
        counts.noise_bytes += length
