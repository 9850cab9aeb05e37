"""The queue of one channel: bounded in entries and bytes, and what it does when it is full belongs to its kind.

Control, service and bulk refuse the newest: for bulk that is what holds its producer back. Telemetry drops the oldest,
and after a gap sends the newest first. Every packet that is lost or refused is counted, by reason.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum, unique

from comms.channel_plan import ChannelKind, ChannelSpec
from comms.channels.waits import WaitHistogram

__all__ = ["GAP_NS", "ChannelCounts", "ChannelQueue", "Drop", "QueueRule", "rule_for"]

GAP_NS = 1_000_000_000
"""Once a packet has waited longer than this, there was a gap or there is too much: the newest goes first (P)."""


@unique
class Drop(StrEnum):
    """Why a packet was lost or not taken."""

    FULL = "full"
    """Not taken: the queue is full."""
    DISPLACED = "displaced"
    """Lost: a newer one has taken its place."""
    TOO_LONG = "too long"
    """Not taken: no packet of the link is that long."""
    EMPTY = "empty"
    """Not taken: there is nothing in it."""
    NO_CHANNEL = "no channel"
    """Not taken: there is no such channel, or it carries no such packets."""
    CLOSED = "closed"
    """Lost: its channel was closed."""


@dataclass(frozen=True, slots=True)
class QueueRule:
    """Bounds of a queue, and what it does when it is full. Raises ValueError for bounds that hold nothing."""

    entries: int
    size_bytes: int
    drops_oldest: bool = False
    newest_first: bool = False
    """After a gap."""

    def __post_init__(self) -> None:
        if self.entries < 1 or self.size_bytes < 1:
            raise ValueError(f"{self.entries} entries, {self.size_bytes} bytes: both must be at least 1")


_RULES = {
    ChannelKind.CONTROL: QueueRule(64, 16_384),
    ChannelKind.TELEMETRY: QueueRule(128, 65_536, drops_oldest=True, newest_first=True),
    ChannelKind.SCIENCE: QueueRule(128, 131_072),
    ChannelKind.BULK: QueueRule(64, 65_536),
    ChannelKind.SERVICE: QueueRule(64, 32_768),
}
_BY_NAME = {
    # Events tell a history: the oldest is the first to go, but what is left is told in its order.
    "events": QueueRule(256, 65_536, drops_oldest=True),
}


def rule_for(spec: ChannelSpec) -> QueueRule | None:
    """Rule of a channel; ``None`` for the emergency channel, whose packets have a queue of their own."""
    return _BY_NAME.get(spec.name) or _RULES.get(spec.kind)


@dataclass(slots=True)
class ChannelCounts:
    """What has passed a channel since start. ``queued`` = ``sent`` + waiting + displaced + closed."""

    queued: int = 0
    queued_bytes: int = 0
    sent: int = 0
    sent_bytes: int = 0
    dropped: dict[Drop, int] = field(default_factory=lambda: dict.fromkeys(Drop, 0))
    peak_entries: int = 0
    peak_bytes: int = 0


class ChannelQueue:
    """Packets of one channel that wait.

    Attributes:
        size_bytes: bytes that wait.
        counts: what has passed.
        waits: how long those that were sent had waited.
    """

    __slots__ = ("_entries", "counts", "rule", "size_bytes", "waits")

    def __init__(self, rule: QueueRule) -> None:
        self.rule = rule
        self.size_bytes = 0
        self.counts = ChannelCounts()
        self.waits = WaitHistogram()
        self._entries: deque[tuple[int, bytes]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, payload: bytes, now_ns: int) -> Drop | None:
        """Take a packet in; why not, if not."""
        rule, counts, size = self.rule, self.counts, len(payload)
        if not size or size > rule.size_bytes:
            return self.refuse(Drop.TOO_LONG if size else Drop.EMPTY)
        while len(self._entries) >= rule.entries or self.size_bytes + size > rule.size_bytes:
            if not rule.drops_oldest:
                return self.refuse(Drop.FULL)
            self.size_bytes -= len(self._entries.popleft()[1])
            counts.dropped[Drop.DISPLACED] += 1
        self._entries.append((now_ns, payload))
        self.size_bytes += size
        counts.queued += 1
        counts.queued_bytes += size
        counts.peak_entries = max(counts.peak_entries, len(self._entries))
        counts.peak_bytes = max(counts.peak_bytes, self.size_bytes)
        return None

    def refuse(self, why: Drop) -> Drop:
        """Count a packet that was not taken."""
        self.counts.dropped[why] += 1
        return why

    def head(self, now_ns: int) -> int | None:
        """Bytes of the packet that goes next; ``None`` if none waits."""
        entries = self._entries
        if not entries:
            return None
        return len(entries[-1 if self._newest_first(now_ns) else 0][1])

    def take(self, now_ns: int) -> tuple[int, bytes] | None:
        """The packet that goes next, taken out, and when it came in."""
        entries = self._entries
        if not entries:
            return None
        came_ns, payload = entries.pop() if self._newest_first(now_ns) else entries.popleft()
        size = len(payload)
        self.size_bytes -= size
        self.counts.sent += 1
        self.counts.sent_bytes += size
        self.waits.add(now_ns - came_ns)
        return came_ns, payload

    def restore(self, came_ns: int, payload: bytes) -> bool:
        """Put a packet back that could not be sent after all; ``False`` if its place is gone."""
        size = len(payload)
        self.counts.sent -= 1
        self.counts.sent_bytes -= size
        if len(self._entries) >= self.rule.entries or self.size_bytes + size > self.rule.size_bytes:
            self.counts.dropped[Drop.DISPLACED] += 1
            return False
        newest = bool(self._entries) and came_ns > self._entries[0][0]
        if newest and self.rule.newest_first:
            self._entries.append((came_ns, payload))
        else:
            self._entries.appendleft((came_ns, payload))
        self.size_bytes += size
        return True

    def clear(self, why: Drop = Drop.CLOSED) -> int:
        """Lose all that waits; how many."""
        count = len(self._entries)
        self._entries.clear()
        self.size_bytes = 0
        self.counts.dropped[why] += count
        return count

    def reset_peaks(self) -> None:
        """Begin high-water marks and waiting times anew."""
        self.counts.peak_entries, self.counts.peak_bytes = len(self._entries), self.size_bytes
        self.waits.reset()

    def _newest_first(self, now_ns: int) -> bool:
        return self.rule.newest_first and now_ns - self._entries[0][0] > GAP_NS
