"""Keeps a line from being asked for more than it carries: what it takes follows from its rate, its rules and the time.

Nothing is queued here. The pacer knows when all that was handed over has left, and lets something new through if then
no more than a bounded time of work waits. A half-duplex modem also keeps quiet while its receiver turns round, and
after having talked for long it leaves the other side a pause. A duty limit (ETSI EN 300 220) counts air time over a
sliding hour; it is never passed in any hour, because whole minutes are counted.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DUTY_WINDOW_NS", "HalfDuplex", "Pacer"]

NS = 1_000_000_000
DUTY_WINDOW_NS = 3600 * NS
_SLOTS = 60
_SLOT_NS = DUTY_WINDOW_NS // _SLOTS
QUEUE_NS = 50_000_000
"""Work that may wait in a fast line: one turn of a loop at 20 Hz."""


@dataclass(frozen=True, slots=True)
class HalfDuplex:
    """Manners of a modem that can't hear while it talks.

    Attributes:
        turnaround_ns: quiet after the last thing heard.
        talk_ns: longest talk without a pause; 0 for no bound.
        listen_ns: the pause after it.
    """

    turnaround_ns: int = 0
    talk_ns: int = 0
    listen_ns: int = 0


class Pacer:
    """When a line takes how much.

    Args:
        bit_rate: bits a second on the line, framing included.
        longest_bytes: longest frame on the line; an idle line always takes one.
        queue_ns: work that may wait; never less than one longest frame.
        half_duplex: manners; ``None`` for a line with two ways.
        duty: share of air time in any hour, 0..1; ``None`` for no limit.

    Attributes:
        airtime_ns: all time on the air since start.

    Raises:
        ValueError: a rate or a share that is none, or a longest frame that takes more than the duty limit of an hour.
    """

    __slots__ = ("_depth_ns", "_duty_ns", "_free_ns", "_heard_ns", "_manners", "_ns_a_bit", "_slot", "_slots",
                 "_talk_from_ns", "airtime_ns", "bit_rate")

    def __init__(
        self, bit_rate: float, longest_bytes: int, *, queue_ns: int = QUEUE_NS, half_duplex: HalfDuplex | None = None,
        duty: float | None = None,
    ) -> None:
        if not 0.0 < bit_rate < 1e12:
            raise ValueError(f"bit_rate {bit_rate}: must be above 0")
        if duty is not None and not 0.0 < duty <= 1.0:
            raise ValueError(f"duty {duty}: must be above 0, and 1 at most")
        self.bit_rate = bit_rate
        self.airtime_ns = 0
        self._ns_a_bit = NS / bit_rate
        longest_ns = self.duration_ns(longest_bytes)
        self._depth_ns = max(queue_ns, longest_ns)
        self._manners = half_duplex
        self._free_ns: int | None = None
        """When all that was handed over has left."""
        self._heard_ns: int | None = None
        self._talk_from_ns = 0
        self._duty_ns = None if duty is None else int(duty * DUTY_WINDOW_NS)
        if self._duty_ns is not None and longest_ns > self._duty_ns:
            raise ValueError(f"duty {duty}: the longest frame takes {longest_ns / NS:.1f} s, an hour allows "
                             f"{self._duty_ns / NS:.1f} s")
        self._slots = [0] * (_SLOTS + 1)
        self._slot = 0

    def duration_ns(self, length: int) -> int:
        """Time that ``length`` bytes take on the line."""
        return int(length * 8 * self._ns_a_bit) + 1

    def room_bytes(self, now_ns: int) -> int:
        """Bytes on the line, framing included, that may be handed over now."""
        start = self._start(now_ns)
        if start is None:
            return 0
        left = self._depth_ns - (start - now_ns)
        manners = self._manners
        if manners is not None and manners.talk_ns and not self._fresh(start, manners):
            left = min(left, self._talk_from_ns + manners.talk_ns - start)
        if self._duty_ns is not None:
            left = min(left, self._duty_left_ns(now_ns))
        if left <= 0:
            return 0
        length = int(left / (8 * self._ns_a_bit)) + 1
        while length and self.duration_ns(length) > left:  # rounding costs two turns at most
            length -= 1
        return length

    def take(self, length: int, now_ns: int) -> bool:
        """Book ``length`` bytes on the line, framing included; ``False``, and nothing booked, without room."""
        if not self.takes(length, now_ns):
            return False
        start = self._start(now_ns)
        if start is None:
            return False
        duration = self.duration_ns(length)
        manners = self._manners
        if manners is None or self._fresh(start, manners):
            self._talk_from_ns = start
        self._free_ns = start + duration
        self.airtime_ns += duration
        if self._duty_ns is not None:
            self._turn_slots(now_ns)
            self._slots[self._slot % len(self._slots)] += duration
        return True

    def takes(self, length: int, now_ns: int) -> bool:
        """Whether ``take`` would."""
        start = self._start(now_ns)
        if start is None:
            return False
        duration = self.duration_ns(length)
        if start - now_ns + duration > self._depth_ns:
            return False
        manners = self._manners
        if (manners is not None and manners.talk_ns and not self._fresh(start, manners)
                and start + duration - self._talk_from_ns > manners.talk_ns):
            return False
        return self._duty_ns is None or duration <= self._duty_left_ns(now_ns)

    def heard(self, now_ns: int) -> None:
        """Something came in: a half-duplex modem has to turn round before it talks."""
        self._heard_ns = now_ns

    def busy(self, now_ns: int) -> bool:
        """Whether something that was handed over is still on its way out."""
        return self._free_ns is not None and now_ns < self._free_ns

    # -- inside

    def _start(self, now_ns: int) -> int | None:
        """When something new would begin to leave; ``None``: not yet to be said, because the modem turns round."""
        start = now_ns if self._free_ns is None else max(now_ns, self._free_ns)
        manners, heard = self._manners, self._heard_ns
        if manners is not None and heard is not None and heard <= now_ns < heard + manners.turnaround_ns:
            return None
        return start

    def _fresh(self, start: int, manners: HalfDuplex) -> bool:
        """Whether a talk would begin at ``start``: after a pause, or after the other side was heard."""
        free = self._free_ns
        if free is None or start >= free + manners.listen_ns:
            return True
        return self._heard_ns is not None and self._heard_ns >= free

    def _duty_left_ns(self, now_ns: int) -> int:
        self._turn_slots(now_ns)
        return (self._duty_ns or 0) - sum(self._slots)

    def _turn_slots(self, now_ns: int) -> None:
        slot = now_ns // _SLOT_NS
        size = len(self._slots)
        for passed in range(self._slot + 1, min(slot, self._slot + size) + 1):
            self._slots[passed % size] = 0
        self._slot = max(self._slot, slot)
