"""A queue with a bound, a drop counter and a high-water mark: what joins two loops that never wait for each other."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

__all__ = ["BoundedQueue"]

T = TypeVar("T")


class BoundedQueue(Generic[T]):
    """First in, first out, ``limit`` entries at most.

    Args:
        limit: most entries, at least 1.
        keep_new: when it is full: ``True`` drops the oldest entry, ``False`` refuses the new one.

    Attributes:
        dropped: entries lost or refused since start.
        peak: most entries since the last ``reset_peak``.
    """

    __slots__ = ("_entries", "dropped", "keep_new", "limit", "peak")

    def __init__(self, limit: int, *, keep_new: bool = False) -> None:
        if limit < 1:
            raise ValueError(f"limit {limit}: must be at least 1")
        self.limit = limit
        self.keep_new = keep_new
        self.dropped = 0
        self.peak = 0
        self._entries: deque[T] = deque()

    def put(self, entry: T) -> bool:
        """Take an entry in; ``False`` if it was refused."""
        entries = self._entries
        if len(entries) >= self.limit:
            self.dropped += 1
            if not self.keep_new:
                return False
            entries.popleft()
        entries.append(entry)
        if len(entries) > self.peak:
            self.peak = len(entries)
        return True

    def take(self) -> T | None:
        """The oldest entry, taken out; ``None`` if there is none."""
        return self._entries.popleft() if self._entries else None

    def take_all(self, most: int | None = None) -> list[T]:
        """Up to ``most`` entries (all if not given), oldest first, taken out."""
        count = len(self._entries) if most is None else min(most, len(self._entries))
        return [self._entries.popleft() for _ in range(count)]

    def peek(self) -> T | None:
        """The oldest entry, left in place."""
        return self._entries[0] if self._entries else None

    def clear(self) -> None:
        """Forget all entries; they don't count as dropped."""
        self._entries.clear()

    def reset_peak(self) -> None:
        """Begin the high-water mark anew."""
        self.peak = len(self._entries)

    def __len__(self) -> int:
        return len(self._entries)
