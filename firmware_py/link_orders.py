"""Commands that another process carries out: handed over its port, and done only when it says so."""

from __future__ import annotations

from collections import OrderedDict

from comms.dictionary import Authority
from comms.dictionary.commands_link import LINK_COMMANDS as DECLARED
from comms.dictionary.commands_perception import PERCEPTION_COMMANDS as PERCEIVED
from comms.emcon import RELEASE_NS
from comms.flight_port import LinkOrder, Port
from fdir.codes import Code
from firmware_py.commands import Order

__all__ = ["LINK_COMMANDS", "PERCEPTION_COMMANDS", "LinkOrders"]

MOST_OUTCOMES = 64
MOST_GIVEN = 256
LONGEST_WORDS = 200
LINK_COMMANDS = frozenset(command.name for command in DECLARED) - {"command_arm"}
"""Commands of the dictionary that the link carries out."""
PERCEPTION_COMMANDS = frozenset(command.name for command in PERCEIVED)
"""Those that the perception carries out."""


class LinkOrders:
    """Hands orders to the link, or to the perception, and keeps what came of the last of them.

    Args:
        port: this end of its port.
        away: code of the refusal while it is silent.
    """

    def __init__(self, port: Port, away: Code = Code.COMMS_UNAVAILABLE) -> None:
        self._port = port
        self._away = away
        self._outcomes: OrderedDict[int, tuple[bool, str]] = OrderedDict()
        self._given: OrderedDict[int, None] = OrderedDict()
        """Orders whose end is awaited: nothing is believed of any other."""
        self._released_until_ns: int | None = None
        self.answers = False
        """Whether the other process has been heard of lately."""

    def give(self, order: Order, authority: Authority, now_ns: int) -> tuple[Code, ...]:
        """Hand one order over; returns what speaks against it, and then the link knows nothing of it."""
        if not self.answers:
            return (self._away,)
        handed = self._port.send(LinkOrder(
            now_ns, order.number, order.name, dict(order.arguments), order.source, authority
        ))
        if handed and order.name == "emcon_release":
            self._released_until_ns = now_ns + RELEASE_NS
        if handed and order.name == "nbl_send":
            self._released_until_ns = None
        if handed:
            self._given[order.number] = None
            while len(self._given) > MOST_GIVEN:
                self._given.popitem(last=False)
        return () if handed else (self._away,)

    def released(self, now_ns: int) -> bool:
        """Whether one critical emergency packet may go out of a silence."""
        return self._released_until_ns is not None and now_ns <= self._released_until_ns

    def finished(self, number: int, well: bool, words: str) -> bool:
        """The other process says how an order ended; ``False`` for one that it was not given, or has told of before."""
        if number not in self._given:
            return False
        del self._given[number]
        self._outcomes[number] = (well, words[:LONGEST_WORDS])
        while len(self._outcomes) > MOST_OUTCOMES:
            self._outcomes.popitem(last=False)
        return True

    def outcome(self, number: int) -> bool | None:
        """Whether an order has ended well; ``None``: it has not ended."""
        found = self._outcomes.get(number)
        return None if found is None else found[0]

    def words(self, number: int) -> str:
        """What was said of the end of an order; nothing while it has not ended."""
        found = self._outcomes.get(number)
        return "" if found is None else found[1]
