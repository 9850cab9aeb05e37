"""Transaction numbers: none is given twice, over any number of restarts.

Numbers are reserved in the store in blocks before they are used. A store that has lost count begins anywhere, so that
numbers of transactions which a peer still knows are hardly met.
"""

from __future__ import annotations

from collections.abc import Callable

from comms.cfdp.store import FileStore

__all__ = ["SequenceNumbers"]

BLOCK = 64


class SequenceNumbers:
    """Gives out numbers of ``size`` bytes; after the last one it begins at 0 again."""

    KEY = "sequence"
    __slots__ = ("_limit", "_next", "_random", "_reserved", "_store")

    def __init__(self, store: FileStore, size: int, random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._limit = 1 << 8 * size
        self._random = random_bytes
        kept = store.kept(self.KEY)
        start = int.from_bytes(random_bytes(size) if kept is None else kept, "big")
        self._next = self._reserved = start % self._limit

    def take(self) -> int | None:
        """The next number; ``None`` if none could be reserved."""
        if self._next == self._reserved:
            end = (self._next + BLOCK) % self._limit
            if not self._store.keep(self.KEY, end.to_bytes(8, "big")):
                return None
            self._reserved = end
        number = self._next
        self._next = (number + 1) % self._limit
        return number
