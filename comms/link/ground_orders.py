"""Commands of a ground station: sent until somebody has heard them, one after the other, and followed to their end.

The next command goes out when the one before has its verdict, so that nothing overtakes; an urgent one doesn't wait.
Sending again is safe: the craft carries a number out once and answers a repeated one with what it knows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from comms.dictionary import validate
from comms.dictionary.messages import Notice, WireCommand
from comms.dictionary.wire import encode_command
from comms.flight_port import CommandStage

__all__ = ["ENDS", "GroundOrders", "Ordered"]

NS = 1_000_000_000
MS = 1_000_000
MOST_ORDERS = 256
MOST_STAGES = 24
REPEAT_NS = 2 * NS
ASK_EFFECT_NS = 10 * NS
REJECTED = frozenset({"rejected", "notice"})
ALLOWED = frozenset({
    "allowed", "publish_pending", "published", "publish_failed", "ACK_accepted", "ACK_rejected", "ACK_timeout",
    "effect_pending", "effect_confirmed", "effect_partial", "effect_timeout", "aborted",
})
ENDS = frozenset({
    "rejected", "publish_failed", "ACK_rejected", "ACK_timeout", "effect_confirmed", "effect_partial", "effect_timeout",
    "aborted", "audited", "notice", "expired",
})
"""Stages after which nothing more happens to a command; ``notice``: the link itself refused it; ``expired``: its time
is over and the craft has said nothing of it."""


@dataclass(slots=True)
class Ordered:
    """One command of this station."""

    number: int
    name: str
    arguments: Mapping[str, Any]
    wire: bytes
    not_after_ns: int
    """On this station's clock."""
    urgent: bool = False
    given_ns: int = 0
    sends: int = 0
    due_ns: int = 0
    unanswered: int = 0
    """Times that it was sent since something was last heard of it."""
    stages: list[CommandStage] = field(default_factory=list)
    end: str = ""
    """Stage of its end; empty before."""
    asked_end: bool = False
    """The craft has told that it is over, but not how."""

    @property
    def verdict(self) -> str:
        """``allowed`` or ``rejected``; empty while nothing was heard. A stage may be lost: a later one tells it too."""
        heard = {stage.stage for stage in self.stages}
        if heard & REJECTED:
            return "rejected"
        return "allowed" if heard & ALLOWED else ""

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of the last stage that has any."""
        return next((stage.codes for stage in reversed(self.stages) if stage.codes), ())

    @property
    def detail(self) -> str:
        """Words of the last stage that has any."""
        return next((stage.detail for stage in reversed(self.stages) if stage.detail), "")

    @property
    def held(self) -> bool:
        """Whether the craft keeps it until its time."""
        return bool(self.stages) and self.stages[-1].stage == "validation_pending" and self.stages[-1].number == 0

    @property
    def open(self) -> bool:
        """Whether a verdict is awaited."""
        return not self.end and not self.verdict


class GroundOrders:
    """Owner of this station's commands.

    Args:
        put: queues a payload on the control channel; ``False`` if it has no room.
    """

    def __init__(self, put: Callable[[bytes], bool]) -> None:
        self._put = put
        self._next = 1
        self.orders: OrderedDict[int, Ordered] = OrderedDict()

    def begin_after(self, number: int) -> None:
        """Numbers go on behind this one: the craft takes none twice, also not those of an earlier station."""
        self._next = max(self._next, number + 1)

    def give(
        self, name: str, arguments: Mapping[str, Any], now_ns: int, craft_ms: int, start: int | None, life_s: float,
        *, priority: str = "normal", confirmed: bool = False, not_before_ms: int | None = None,
    ) -> Ordered:
        """Take a command in. Raises CommandRefused for one that the dictionary doesn't have so, RuntimeError while 256
        wait for their verdict."""
        _, values = validate(name, arguments)
        if len(self.orders) >= MOST_ORDERS:
            # The oldest that has ended makes room, or the oldest that has its verdict; one without never does.
            ended = next((old for old, order in self.orders.items() if order.end), None)
            settled = next((old for old, order in self.orders.items() if not order.open), None)
            if settled is None:
                raise RuntimeError(f"{MOST_ORDERS} commands wait for their verdict already")
            del self.orders[settled if ended is None else ended]
        number = self._next
        after_ms = max(craft_ms, not_before_ms or 0) + round(life_s * 1000)
        wire = encode_command(WireCommand(
            number, name, values, not_before_ms, after_ms, start, priority, confirmed,
        ))
        self._next += 1
        ends_ns = now_ns + (after_ms - craft_ms) * MS
        order = Ordered(number, name, values, wire, ends_ns, priority != "normal", now_ns, due_ns=now_ns)
        self.orders[number] = order
        return order

    def hear(self, stage: CommandStage) -> None:
        """A stage that the craft tells; of commands of this station only, by the number in its id."""
        order = self.orders.get(_number(stage.command_id))
        if order is None or order.end or order.name != stage.name:
            return
        order.unanswered = 0
        if len(order.stages) < MOST_STAGES and (not order.stages or order.stages[-1].stage != stage.stage):
            order.stages.append(stage)
        if stage.stage == "audited" and not order.asked_end:
            # How it ended got lost on the way: the craft is asked once more, and tells from memory.
            order.asked_end = True
            order.due_ns = 0
        elif stage.stage in ENDS:
            order.end = stage.stage

    def refused(self, notice: Notice, now_ns: int) -> None:
        """The craft's link has not taken a command."""
        order = None if notice.number is None else self.orders.get(notice.number)
        if order is not None and not order.end:
            words = f"{notice.reason}: {notice.detail}" if notice.detail else notice.reason
            order.stages.append(CommandStage(now_ns, 0, "", "link", order.name, "notice", (), words))
            order.end = "notice"

    def step(self, now_ns: int, may_send: bool = True) -> None:
        """Send what is due, if there is a session; end what is too late, in any case."""
        waits = False
        for order in self.orders.values():
            if order.end:
                continue
            if order.open and now_ns > order.not_after_ns + REPEAT_NS:
                order.end = "expired"
                continue
            if may_send and (order.urgent or not waits) and now_ns >= order.due_ns:
                self._send(order, now_ns)
            waits = waits or (order.open and not order.held)

    def _send(self, order: Ordered, now_ns: int) -> None:
        if not self._put(order.wire):
            return
        order.sends += 1
        wait = ASK_EFFECT_NS if order.verdict and not order.asked_end else REPEAT_NS
        order.due_ns = now_ns + wait * (1 << min(3, order.unanswered))
        order.unanswered += 1


def _number(command_id: str) -> int:
    _, _, digits = command_id.rpartition(":")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 10 else -1
