"""What every transport offers: whole datagrams both ways, without waiting, with counters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = ["Datagram", "Transport", "TransportCounts"]


class Datagram(NamedTuple):
    """One datagram as it came in, and from where: an address that only this transport understands."""

    payload: bytes
    source: str


@dataclass(slots=True)
class TransportCounts:
    """What has passed since start; ``refused``: could not be sent; ``noise``: came in broken and was dropped."""

    sent: int = 0
    sent_bytes: int = 0
    received: int = 0
    received_bytes: int = 0
    refused: int = 0
    noise: int = 0
    overruns: int = 0
    """Datagrams dropped because nobody took them in time."""


class Transport(Protocol):
    """One way to one or more peers."""

    name: str
    mtu: int
    """Longest datagram, bytes."""
    bit_rate: float
    """Bits a second on the line, framing included."""
    counts: TransportCounts

    def send(self, payload: bytes, to: str, now_ns: int) -> bool:
        """Hand one datagram to the line; ``False`` if it has no room or is down. ``to``: a source, or ``""`` for the
        only or last-heard peer. ValueError for more than ``mtu`` bytes."""

    def receive(self, most: int, now_ns: int) -> list[Datagram]:
        """Up to ``most`` datagrams that have come in. Never waits, never raises for what the line does."""

    def room(self, now_ns: int) -> int:
        """Bytes that the line takes now without queueing beyond its bound."""

    def close(self) -> None:
        """Let the line go."""
