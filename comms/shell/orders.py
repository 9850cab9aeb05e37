"""Orders of the shell: who may, what is sent, and the life of each as the craft tells it.

An order leaves as an ``UplinkRequest`` with the authority of its session, a rising sequence number and an expiry; all
gates stand on the craft. A session without a key gives none at all, whatever the dictionary says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum, unique

from comms.dictionary import Authority, Command
from comms.flight_port import CommandStage, UplinkRequest
from comms.shell.show import plain, seconds
from comms.shell.view import CraftView
from comms.shell.words import Asked
from fdir.codes import Code
from fdir.lifecycle import ENDS, Stage

__all__ = ["EXPIRES_S", "Granted", "Order", "OrderDesk", "Refusal", "Submit", "life_lines"]

EXPIRES_S = 10.0
"""How long an order may be under way if nothing else was said."""
SILENCE_NS = 5_000_000_000
"""Time without a word from the craft after which that is said."""
LOST_NS = 900_000_000_000
"""Time after which nothing more is expected of an order."""
MOST_ORDERS = 16
"""Orders of one session whose life is followed."""
MOST_UNTOLD = 16
NS = 1_000_000_000

Submit = Callable[[UplinkRequest], bool | tuple[Code, ...]]
"""Hands a request to the craft, at once: ``False`` if there is no room, codes if the link's own gate refuses it."""


@unique
class Refusal(StrEnum):
    """Why the shell itself sends nothing."""

    READ_ONLY = "read only"
    ROLE = "role"
    RECORDING = "recording"
    NO_ROOM = "no room"
    LINK = "link"


@dataclass(frozen=True, slots=True)
class Granted:
    """Who a session is. Without ``peer`` it has no key and is a viewer."""

    peer: str | None = None
    authority: Authority = Authority.VIEWER

    @property
    def role(self) -> Authority:
        """The authority that counts."""
        return self.authority if self.peer is not None else Authority.VIEWER

    @property
    def sender(self) -> str:
        """Name on the craft. Not the peer's own, whose control channel has a sequence of its own."""
        return f"{self.peer}/shell"


@dataclass(slots=True)
class Order:
    """One order of a session. ``untold``: stages that have not been written yet."""

    command_id: str
    name: str
    sent_ns: int
    number: int | None = None
    last: CommandStage | None = None
    untold: list[CommandStage] = field(default_factory=list)
    left_out: int = 0
    silence_told: bool = False

    @property
    def ended(self) -> bool:
        """Its life is over."""
        return self.last is not None and self.last.stage in ENDS

    @property
    def good(self) -> bool:
        """Its effect was seen whole."""
        return self.last is not None and self.last.stage == Stage.EFFECT_CONFIRMED

    def take(self, stage: CommandStage) -> None:
        """One stage more."""
        self.number = stage.number
        if stage.stage != Stage.AUDITED:
            self.last = stage
        if len(self.untold) >= MOST_UNTOLD:
            self.left_out += 1
        else:
            self.untold.append(stage)


class OrderDesk:
    """Sends orders of all sessions and follows them.

    Args:
        view: the craft.
        submit: the way to it; ``None`` for a recording.
    """

    def __init__(self, view: CraftView, submit: Submit | None) -> None:
        self._view = view
        self._submit = submit
        self._sequence = 0
        self.sent = 0
        self.refused = 0

    def objection(self, command: Command, who: Granted) -> tuple[Refusal, str] | None:
        """What speaks against this session giving this command; ``None`` if nothing does here."""
        if self._submit is None:
            return Refusal.RECORDING, "this is a recorded flight: it takes no orders"
        if who.peer is None:
            return Refusal.READ_ONLY, (
                f"read only: {command.name} takes {command.authority}, and this session has no key"
            )
        if not who.role.covers(command.authority):
            return Refusal.ROLE, f"{command.name} takes {command.authority}; your key is {who.role}"
        return None

    def send(self, asked: Asked, who: Granted, now_ns: int) -> Order | tuple[Refusal, str]:
        """Send an order, or say why not."""
        command = asked.command
        against = self.objection(command, who)
        if against is not None:
            self.refused += 1
            return against
        # The clock is the floor, so that the numbers of a link that was restarted go on where they stood.
        self._sequence = max(self._sequence + 1, now_ns // 1_000_000)
        arguments = dict(asked.arguments)
        if asked.confirmed and any(argument.name == "confirmed" for argument in command.arguments):
            arguments["confirmed"] = True
        flight_ns = self._view.flight_ns(now_ns)
        expires_s = EXPIRES_S if asked.expires_s is None else asked.expires_s
        request = UplinkRequest(
            f"sh-{self._sequence}", command.name, arguments, who.sender, who.role, self._sequence,
            not_after_ns=None if flight_ns is None else flight_ns + round(expires_s * NS),
            start=self._view.start, priority=asked.priority, confirmed=asked.confirmed,
        )
        taken = False if self._submit is None else self._submit(request)
        if taken is not True:
            self.refused += 1
            if not taken:
                return Refusal.NO_ROOM, f"{command.name} was not sent: the craft takes no more orders now; try again"
            codes = ", ".join(taken)
            texts = [text for code in taken if (text := self._view.craft.code_texts.get(code))]
            return Refusal.LINK, f"{command.name} was not sent: {codes}{': ' if texts else ''}{'; '.join(texts)}"
        self.sent += 1
        return Order(request.command_id, command.name, now_ns)


def life_lines(order: Order, codes: Callable[[str], str]) -> list[str]:
    """What has become of an order since it was last told; empties ``untold``."""
    if not order.untold:
        return []
    head = f"{order.name} #{order.number}: "
    last = next((stage for stage in reversed(order.untold) if stage.stage != Stage.AUDITED), None)
    chain = " > ".join(plain(stage.stage) for stage in order.untold)
    more = f" ({order.left_out} left out)" if order.left_out else ""
    lines = [head + chain + more]
    if last is not None:
        lines += _words(last, codes)
        if last.stage in ENDS and last.stage != Stage.REJECTED:
            lines.append(f"  at {seconds(last.t_ns)}")
    order.untold.clear()
    order.left_out = 0
    return lines


def _words(stage: CommandStage, codes: Callable[[str], str]) -> Iterable[str]:
    for code in stage.codes:
        text = codes(code)
        yield f"  {plain(code)}{': ' + plain(text) if text else ''}"
    if stage.detail:
        yield f"  {plain(stage.detail)}"
