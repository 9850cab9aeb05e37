"""At most 20 exchanges in any second, whoever asks for them: handshakes never take the computer's time from flying."""

from __future__ import annotations

__all__ = ["BURST", "PER_SECOND", "ExchangeBudget"]

PER_SECOND, BURST = 12, 8
"""Twelve a second and eight at once: in no second, wherever it begins, more than twenty."""
NS = 1_000_000_000


class ExchangeBudget:
    """A token bucket on flight time, in whole nanoseconds of credit.

    Attributes:
        spent: exchanges since start.
    """

    __slots__ = ("_credit_ns", "_then_ns", "spent")

    def __init__(self) -> None:
        self._credit_ns = BURST * NS
        self._then_ns: int | None = None
        self.spent = 0

    def full(self, now_ns: int) -> bool:
        """Whether nothing was asked for lately."""
        self._earn(now_ns)
        return self._credit_ns == BURST * NS

    def take(self, count: int, now_ns: int) -> bool:
        """Take this many; ``False``, and none taken, if there are not as many."""
        self._earn(now_ns)
        if self._credit_ns < count * NS:
            return False
        self._credit_ns -= count * NS
        self.spent += count
        return True

    def _earn(self, now_ns: int) -> None:
        then_ns = now_ns if self._then_ns is None else self._then_ns
        self._then_ns = max(then_ns, now_ns)
        self._credit_ns = min(BURST * NS, self._credit_ns + (self._then_ns - then_ns) * PER_SECOND)
