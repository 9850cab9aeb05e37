"""Frames of one length in a byte stream: whatever else comes down the line, the next good frame is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["FrameBuffer", "StreamCounters"]


@dataclass(slots=True)
class StreamCounters:
    """What came down a line since start."""

    frames: int = 0
    """Whole frames whose checksum is good."""
    skipped_bytes: int = 0
    """Bytes that belong to no frame."""
    refused: int = 0
    """Frames of no use: bad checksum, wrong order, impossible content."""


class FrameBuffer:
    """Cuts a stream into frames of ``length`` bytes that begin with ``sync``; holds less than one frame.

    Args:
        sync: the first bytes of every frame.
        length: bytes of a frame, ``sync`` and checksum included.
    """

    __slots__ = ("_buffer", "_length", "_sync")

    def __init__(self, sync: bytes, length: int) -> None:
        self._sync = sync
        self._length = length
        self._buffer = b""

    def clear(self) -> None:
        """Forget a frame half received."""
        self._buffer = b""

    def feed(self, arrived: bytes, accept: Callable[[bytes], bool], counters: StreamCounters) -> None:
        """Hand every candidate to ``accept``, oldest first.

        ``accept`` says whether the candidate was a frame. If not, its start was chance and the search goes on one byte
        later. Bytes that are passed over are counted; so are candidates that were none, as refused.
        """
        data = self._buffer + arrived if self._buffer else arrived
        sync, length = self._sync, self._length
        end = len(data)
        at = 0
        while True:
            start = data.find(sync, at)
            if start < 0:
                start = end - self._half_sync(data, at)
                counters.skipped_bytes += start - at
                at = start
                break
            counters.skipped_bytes += start - at
            at = start
            if end - at < length:
                break
            if accept(data[at : at + length]):
                counters.frames += 1
                at += length
            else:
                counters.refused += 1
                counters.skipped_bytes += 1
                at += 1
        self._buffer = data[at:]

    def _half_sync(self, data: bytes, at: int) -> int:
        """How many bytes at the end may be the beginning of a start."""
        for count in range(min(len(self._sync) - 1, len(data) - at), 0, -1):
            if data.endswith(self._sync[:count]):
                return count
        return 0
