"""Replay window: every counter is taken at most once, in any order, up to ``size`` behind the newest.

``check`` comes before the tag is verified and changes nothing; ``commit`` comes after, so that a forgery can neither
move the window nor use a counter up.

Which counters are taken is as in WireGuard: the newest and the ``size`` before it, each once; an equal counter is
refused. (RFC 6479 has the same decisions with another bitmap.) Kept are the counters that are still missing, not those
that came: records that come in order then cost nothing but one addition.
"""

from __future__ import annotations

from comms.records.faults import RecordFault

__all__ = ["WINDOW", "ReplayWindow"]

WINDOW = 1024
"""Frames behind the newest that are still taken (CANON section 11)."""
COUNTERS = 1 << 64


class ReplayWindow:
    """Which counters were taken.

    Args:
        size: counters behind the newest that are still taken, at least 1.
        floor: counters below it count as taken: what a receiver knows from before its restart.

    Attributes:
        next: one more than the newest counter taken; ``floor`` before any.
        limit: counters from here on are never taken, so that no sum leaves 64 bits.
    """

    __slots__ = ("_base", "_missing", "limit", "next", "size")

    def __init__(self, size: int = WINDOW, floor: int = 0) -> None:
        if size < 1:
            raise ValueError(f"size {size}: must be at least 1")
        self.size = size
        self.limit = COUNTERS - size - 1
        if not 0 <= floor <= self.limit:
            raise ValueError(f"floor {floor}: must be 0..{self.limit}")
        self.next = floor
        # Bit i stands for counter _base + i: set if it is below next and has not come yet.
        self._missing = 0
        self._base = floor

    def check(self, counter: int) -> RecordFault | None:
        """Whether a counter (0 or more) may be taken: ``None``, or TOO_OLD, REPLAYED, COUNTER_END."""
        if counter >= self.next:
            return None if counter < self.limit else RecordFault.COUNTER_END
        if counter + self.size + 1 < self.next:
            return RecordFault.TOO_OLD
        if counter >= self._base and self._missing >> (counter - self._base) & 1:
            return None
        return RecordFault.REPLAYED

    def commit(self, counter: int) -> None:
        """Take a counter that ``check`` has passed."""
        if counter < self.next:
            self._missing ^= 1 << (counter - self._base)
            return
        if counter > self.next:
            self._leave_out(counter)
        self.next = counter + 1

    def _leave_out(self, counter: int) -> None:
        """Note the counters from ``next`` to below this one as missing, as far as they may still come."""
        oldest = counter - self.size
        first = max(self.next, oldest)
        if oldest > self._base:
            self._missing >>= oldest - self._base
            self._base = oldest
        if not self._missing:
            self._base = first
        self._missing |= ((1 << (counter - first)) - 1) << (first - self._base)

    @property
    def missing(self) -> int:
        """How many counters up to the newest have not come and may still."""
        out_of_reach = self.next - 1 - self.size - self._base
        return (self._missing >> out_of_reach if out_of_reach > 0 else self._missing).bit_count()
