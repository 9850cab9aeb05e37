"""How many commands of one peer go to the flight loop: 16 at once and 20 a second, however it asks for them.

Harmless commands take the flight loop's time too, and places among the few commands that it follows to their end. What
a peer's control channel, its shell and its sequences ask for is counted together; what finds no room is asked again.
"""

from __future__ import annotations

from collections import OrderedDict

__all__ = ["BURST", "PER_SECOND", "AskBudget"]

NS = 1_000_000_000
BURST, PER_SECOND = 16, 20
MOST_PEERS = 64


class AskBudget:
    """A bucket of each peer, on flight time.

    Attributes:
        delayed: commands that found no room.
    """

    __slots__ = ("_buckets", "delayed")

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[int, int]] = OrderedDict()
        """By peer: credit in ns, and when it was counted."""
        self.delayed = 0

    def take(self, sender: str, now_ns: int) -> bool:
        """Whether one more command may go; ``sender`` is a peer, or something of it behind a slash."""
        peer = sender.partition("/")[0]
        credit_ns, then_ns = self._buckets.get(peer, (BURST * NS, now_ns))
        credit_ns = min(BURST * NS, credit_ns + max(0, now_ns - then_ns) * PER_SECOND)
        good = credit_ns >= NS
        self.delayed += not good
        self._buckets[peer] = (credit_ns - NS if good else credit_ns, now_ns)
        self._buckets.move_to_end(peer)
        while len(self._buckets) > MOST_PEERS:
            self._buckets.popitem(last=False)
        return good
