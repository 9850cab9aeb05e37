"""What waits to be written to one reader, bounded: lines that find no room are left out whole, counted, and told of."""

from __future__ import annotations

__all__ = ["Outbox"]

RESERVE = 256
"""Room beyond the limit for what ends an answer: a reader must never wait for an end that was dropped."""


class Outbox:
    """Bytes to be written.

    Args:
        limit: most bytes that wait.
        notice: words for what was left out, with a place for the count.

    Attributes:
        left_out: lines left out since start.
        peak: most bytes that have waited.
    """

    __slots__ = ("_bytes", "_notice", "_untold", "left_out", "limit", "peak")

    def __init__(self, limit: int, notice: str = "[{} lines left out: the reader is slow]\r\n") -> None:
        self.limit = limit
        self.left_out = 0
        self.peak = 0
        self._notice = notice
        self._untold = 0
        self._bytes = bytearray()

    def put(self, text: str, *, must: bool = False) -> bool:
        """Take one line in, its end included. ``must``: it may use the reserve."""
        data = text.encode("utf-8", "replace")
        self._tell()
        room = self.limit + (RESERVE if must else 0) - len(self._bytes)
        # After a loss nothing goes in until half has been read, so that a notice does not stand between single lines.
        if len(data) > room or (self._untold and not must):
            self.left_out += 1
            self._untold += 1
            return False
        self._bytes += data
        self.peak = max(self.peak, len(self._bytes))
        return True

    def take(self, most: int) -> bytes:
        """Up to ``most`` bytes, left in place until ``taken`` says how many have been written."""
        self._tell()
        return bytes(self._bytes[:most])

    def taken(self, count: int) -> None:
        """The first ``count`` bytes have been written."""
        del self._bytes[:count]

    def _tell(self) -> None:
        if self._untold and len(self._bytes) <= self.limit // 2:
            self._bytes += self._notice.format(self._untold).encode()
            self._untold = 0

    def __len__(self) -> int:
        return len(self._bytes)
