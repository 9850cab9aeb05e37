"""Who sends next on a line: control first up to 20 % of it, then telemetry, science and bulk by 5, 2, 1 in bytes.

Within a class every channel that has something gets the same. No packet is split, and the line never idles while an
open channel has a packet: control goes beyond its 20 % when nobody else waits, and when others do it waits until its
share has grown again. Decisions follow from bytes and time alone.

Shares are kept by start times (P. Goyal et al., "Start-time Fair Queueing", 1996): whoever has had the least, weighted,
is next, and who comes back from silence begins at the present, without a claim on what it did not use. Against a
deficit round robin it needs no quantum, so a class never lags by more than one packet of each other.
"""

from __future__ import annotations

from typing import NamedTuple

from comms.channel_plan import QosClass
from comms.channels.manager import ChannelManager, Lane

__all__ = ["CONTROL_SHARE", "OVERHEAD_BYTES", "WEIGHTS", "Picked", "Scheduler"]

SECOND = 1_000_000_000
CONTROL_SHARE = 0.20
WEIGHTS: dict[QosClass, int] = {QosClass.TELEMETRY: 5, QosClass.SCIENCE: 2, QosClass.BULK: 1}
_COST = {qos: 10 // weight for qos, weight in WEIGHTS.items()}
"""Steps of virtual time that a byte takes: whole numbers, so that nothing is ever rounded."""
OVERHEAD_BYTES = 19
"""Record around a packet on a radio: it is sent too, so it counts."""
CREDIT_S = 1.0
"""Control may save up what it has not used of its share for that long."""


class Picked(NamedTuple):
    """A packet that is to go out now, and when it came in."""

    channel_id: int
    payload: bytes
    came_ns: int


class Scheduler:
    """Order of service on one line.

    Args:
        manager: whose channels are served.
        bit_rate: of the line, bits a second.
        mtu: longest packet with its record; longer ones stay in their queue, for another way.
        overhead_bytes: of a record.

    Attributes:
        carries: ids of the channels that take this way; ``None``: all.
        served_bytes: bytes since start by class, records included.
    """

    def __init__(
        self, manager: ChannelManager, bit_rate: float, mtu: int = 1 << 16, overhead_bytes: int = OVERHEAD_BYTES
    ) -> None:
        self.carries: frozenset[int] | None = None
        self.served_bytes = dict.fromkeys(QosClass, 0)
        self._manager = manager
        self._most_bytes = min(manager.longest_bytes + overhead_bytes, mtu)
        self._longest = mtu - overhead_bytes if mtu < manager.longest_bytes + overhead_bytes else None
        """Longest packet that this way carries; ``None``: any."""
        self._overhead = overhead_bytes
        self._class_end = dict.fromkeys(WEIGHTS, 0)
        self._class_now = 0
        self._ends: dict[int, int] = {}
        """Virtual end of each channel's last packet, within its class."""
        self._nows = dict.fromkeys(QosClass, 0)
        self._rate = 0.0
        self._credit = 0.0
        self._refilled_ns: int | None = None
        self.set_rate(bit_rate)
        self._credit = self._most_credit

    def set_rate(self, bit_rate: float) -> None:
        """The line's bit rate has changed. ValueError for one that is not above 0."""
        if not bit_rate > 0.0:
            raise ValueError(f"bit_rate {bit_rate}: must be above 0")
        self._rate = CONTROL_SHARE * bit_rate / 8.0
        self._most_credit = max(self._rate * CREDIT_S, 2.0 * self._most_bytes)
        self._credit = min(self._credit, self._most_credit)

    def next_packet(self, room_bytes: int, now_ns: int) -> Picked | None:
        """The packet to send now; ``None`` if none waits or the next one, with its record, is longer than
        ``room_bytes``: nobody shorter overtakes it."""
        self._refill(now_ns)
        ready = self._ready(now_ns)
        control = ready[QosClass.CONTROL]
        if control and (self._credit > 0.0 or not (ready[1] or ready[2] or ready[3])):
            lane = self._first(QosClass.CONTROL, control)
        else:
            qos = self._next_class(ready)
            if qos is None:
                return None
            lane = self._first(qos, ready[qos])
        head = lane.queue.head(now_ns)
        if head is None or head + self._overhead > room_bytes:
            return None
        taken = lane.queue.take(now_ns)
        if taken is None:
            return None
        self._account(lane, head + self._overhead)
        return Picked(lane.spec.id, taken[1], taken[0])

    def restore(self, picked: Picked) -> bool:
        """Put a packet back that could not be sent after all; ``False``: its place is gone, and that is counted."""
        lane = self._manager.lane(picked.channel_id)
        return lane is not None and lane.queue.restore(picked.came_ns, picked.payload)

    @property
    def credit_bytes(self) -> float:
        """What control may send now before its share is used up; below 0 it waits."""
        return self._credit

    def _refill(self, now_ns: int) -> None:
        last = self._refilled_ns
        if last is None or now_ns > last:
            if last is not None:
                self._credit = min(self._most_credit, self._credit + self._rate * (now_ns - last) / SECOND)
            self._refilled_ns = now_ns

    def _ready(self, now_ns: int) -> tuple[list[Lane], ...]:
        """Open channels with something to send, by class."""
        ready: tuple[list[Lane], ...] = ([], [], [], [])
        carries, longest = self.carries, self._longest
        for lane in self._manager.lanes():
            if not lane.open or not lane.queue or (carries is not None and lane.spec.id not in carries):
                continue
            if longest is not None and (lane.queue.head(now_ns) or 0) > longest:
                continue
            ready[lane.spec.qos].append(lane)
        return ready

    def _next_class(self, ready: tuple[list[Lane], ...]) -> QosClass | None:
        """The class beside control that has had the least of its weight."""
        best, best_start = None, 0
        for qos, end in self._class_end.items():
            start = end if end > self._class_now else self._class_now
            if ready[qos] and (best is None or start < best_start):
                best, best_start = qos, start
        return best

    def _first(self, qos: QosClass, ready: list[Lane]) -> Lane:
        """The channel of a class that has had the least."""
        best = ready[0]
        if len(ready) > 1:
            now, ends = self._nows[qos], self._ends
            best_start = max(ends.get(best.spec.id, 0), now)
            for lane in ready[1:]:
                start = max(ends.get(lane.spec.id, 0), now)
                if start < best_start:
                    best, best_start = lane, start
        return best

    def _account(self, lane: Lane, size: int) -> None:
        qos, number = lane.spec.qos, lane.spec.id
        self.served_bytes[qos] += size
        start = self._nows[qos] = max(self._ends.get(number, 0), self._nows[qos])
        self._ends[number] = start + size
        if qos is QosClass.CONTROL:
            # What it used of an idle line beyond its share is not held against it, but for one packet.
            self._credit = max(self._credit, 0.0) - size
        else:
            begin = self._class_now = max(self._class_end[qos], self._class_now)
            self._class_end[qos] = begin + size * _COST[qos]
