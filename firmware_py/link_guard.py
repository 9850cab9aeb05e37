"""What the link process says is held against plain bounds before the flight loop looks at it, whatever it has become.

The link vouches for senders and roles; it is not trusted with the flight loop's time and memory, nor with types that
the recorder cannot write. What is beyond a bound is left out and counted, and never raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from comms.dictionary import TELEMETRY, Kind
from comms.flight_port import EnergyAsk, EventNote, LinkReport, UplinkRequest
from comms.nbl.packet import LONGEST_BYTES, PEAK_W, air_time_ns, energy_j
from fdir.codes import Code

__all__ = ["LONGEST_NAME", "MOST_FINISHED", "EventBudget", "channel_values", "is_bounded", "is_one_packet", "printable"]

NS = 1_000_000_000
LONGEST_ID, LONGEST_SENDER, LONGEST_NAME = 64, 128, 64
MOST_ARGUMENT_BYTES = 4096
"""As a message of the link has at most."""
MOST_VALUE_BYTES = 4096
"""Of one telemetry channel."""
DEPTH = 6
LONGEST_TEXT = 200
MOST_FINISHED = 64
"""Orders whose end one report tells."""
EVENT_BURST, EVENTS_PER_S = 128, 20
LEAST, MOST = -(1 << 63), (1 << 64) - 1
_CHANNELS = {channel.name: channel for channel in TELEMETRY}
_TYPES: dict[Kind, tuple[type, ...]] = {
    Kind.NUMBER: (int, float), Kind.TEXT: (str,), Kind.CHOICE: (str,), Kind.FLAG: (bool,), Kind.TABLE: (dict,),
}


def is_bounded(asked: UplinkRequest) -> bool:
    """Whether a request is short and plain enough for the desk to look at, and to remember."""
    return (
        len(asked.command_id) <= LONGEST_ID and len(asked.name) <= LONGEST_NAME
        and 1 <= len(asked.sender) <= LONGEST_SENDER and asked.sender.isprintable()
        and len(asked.priority) <= LONGEST_NAME
        and all(n is None or LEAST <= n <= MOST for n in (
            asked.sequence, asked.not_before_ns, asked.not_after_ns, asked.start
        ))
        and _size(asked.arguments, DEPTH, MOST_ARGUMENT_BYTES) <= MOST_ARGUMENT_BYTES
    )


def is_one_packet(ask: EnergyAsk) -> bool:
    """Whether an ask is for no more than the longest emergency packet takes, or gives back."""
    return (
        ask.watts <= PEAK_W and ask.joules <= energy_j(LONGEST_BYTES) and ask.seconds <= air_time_ns(LONGEST_BYTES) / NS
        and 0.0 <= ask.used_j <= energy_j(LONGEST_BYTES)
    )


def channel_values(report: LinkReport, names: tuple[str, ...]) -> tuple[dict[str, Any], int]:
    """Values of these channels, ``None`` for what is missing or none of its channel; and how many were none."""
    values: dict[str, Any] = {}
    wrong = 0
    for name in names:
        value = report.telemetry.get(name)
        allowed = _TYPES.get(_CHANNELS[name].kind, (list, tuple))
        is_flag = isinstance(value, bool) and bool not in allowed
        if value is not None and (
            is_flag or not isinstance(value, allowed) or _size(value, DEPTH, MOST_VALUE_BYTES) > MOST_VALUE_BYTES
        ):
            value = None
            wrong += 1
        values[name] = value
    return values, wrong


def printable(text: str) -> str:
    """A text of the link without what a terminal would obey, 200 characters at most."""
    text = text[:LONGEST_TEXT]
    return text if text.isprintable() else "".join(c if c.isprintable() else "?" for c in text)


class EventBudget:
    """Events of the link that are recorded: 128 at once, 20 a second, of known codes alone.

    Attributes:
        left_out: events that were not recorded.
    """

    __slots__ = ("_credit_ns", "_then_ns", "left_out")

    def __init__(self) -> None:
        self._credit_ns = EVENT_BURST * NS
        self._then_ns = 0
        self.left_out = 0

    def admit(self, events: tuple[EventNote, ...], now_ns: int) -> list[EventNote]:
        """Those that are recorded now."""
        self._credit_ns = min(EVENT_BURST * NS, self._credit_ns + (now_ns - self._then_ns) * EVENTS_PER_S)
        self._then_ns = now_ns
        looked_at = events[:self._credit_ns // NS]
        taken = [event for event in looked_at if event.code in Code.__members__]
        self._credit_ns -= len(looked_at) * NS
        self.left_out += len(events) - len(taken)
        return taken


def _size(value: Any, depth: int, most: int) -> int:
    """Bytes of a plain value, roughly; above ``most`` for one that is too long, too deep, or not plain."""
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int | float):
        return 8 if isinstance(value, float) or LEAST <= value <= MOST else most + 1
    if isinstance(value, str):
        return 1 + len(value)
    if depth == 0 or not isinstance(value, Mapping | list | tuple):
        return most + 1
    total = 1
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                return most + 1
            total += 1 + len(key) + _size(item, depth - 1, most)
            if total > most:
                return total
        return total
    for item in value:
        total += _size(item, depth - 1, most)
        if total > most:
            return total
    return total
