"""A transaction's own time: it stands still while the transaction is suspended or nobody can hear it.

Deadlines are kept in this time, so that no timer runs out over a gap in contact, however long it lasts, and no step of
any other clock reaches them.
"""

from __future__ import annotations

__all__ = ["Stopwatch"]


class Stopwatch:
    """Time that has run since it was made, ns of the monotonic clock that ``now_ns`` comes from."""

    __slots__ = ("_elapsed_ns", "_since_ns")

    def __init__(self, now_ns: int, running: bool = True) -> None:
        self._elapsed_ns = 0
        self._since_ns: int | None = now_ns if running else None

    def read(self, now_ns: int) -> int:
        """Time that has run."""
        if self._since_ns is None:
            return self._elapsed_ns
        return self._elapsed_ns + max(0, now_ns - self._since_ns)

    def run(self, running: bool, now_ns: int) -> None:
        """Let it run or stand still from now on."""
        self._elapsed_ns = self.read(now_ns)
        self._since_ns = now_ns if running else None
