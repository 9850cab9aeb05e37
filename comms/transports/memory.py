"""A way through memory: for lockstep, tests and simulated lines; in order, bounded, nothing lost but what is counted.

Two transports share a ``Pipe``. ``MemoryPipe`` delivers at once. A simulated line with delay and loss has the same two
methods and takes its place, so that a transport's pace and manners stay the same in a simulation.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from comms.bounded import BoundedQueue
from comms.transports.paced import PacedTransport
from comms.transports.pacer import Pacer
from comms.transports.port import Datagram

__all__ = ["MemoryPair", "MemoryPipe", "MemoryTransport", "Pipe", "memory_pair"]

FAST_BIT_S = 10e6


class Pipe(Protocol):
    """Something between two sides, 0 and 1, that carries datagrams."""

    def put(self, side: int, payload: bytes, now_ns: int) -> bool:
        """Take a datagram in from ``side``; ``False`` if it has no room."""

    def get(self, side: int, now_ns: int, most: int) -> list[bytes]:
        """Up to ``most`` datagrams that have come to ``side``, oldest first."""


class MemoryPipe:
    """Delivers at once.

    Args:
        limit: most datagrams that wait each way; what finds no room is refused.
    """

    def __init__(self, limit: int = 256) -> None:
        self._to: tuple[BoundedQueue[bytes], BoundedQueue[bytes]] = (BoundedQueue(limit), BoundedQueue(limit))

    def put(self, side: int, payload: bytes, now_ns: int) -> bool:  # noqa: ARG002 - a pipe with delays needs it
        """See Pipe."""
        return self._to[1 - side].put(payload)

    def get(self, side: int, now_ns: int, most: int) -> list[bytes]:  # noqa: ARG002
        """See Pipe."""
        return self._to[side].take_all(most)


class MemoryTransport(PacedTransport):
    """One end of a pipe; a ``Transport``.

    Args:
        name: for people and events.
        pipe: what is between the ends.
        side: 0 or 1.
        mtu: longest datagram, bytes.
        pacer: of the line; 10 Mbit/s if not given.
        source: what the other end is called.
    """

    def __init__(
        self, name: str, pipe: Pipe, side: int, *, mtu: int = 1200, pacer: Pacer | None = None, source: str = "peer"
    ) -> None:
        if side not in (0, 1):
            raise ValueError(f"{name}: side {side}; 0 or 1 is allowed")
        super().__init__(name, mtu, pacer or Pacer(FAST_BIT_S, mtu))
        self.up = True
        """Set ``False`` to unplug this end: it sends nothing, and what comes in is lost and counted."""
        self._pipe = pipe
        self._side = side
        self._source = source

    def close(self) -> None:
        """See Transport."""
        self.up = False

    def _put(self, payload: bytes, to: str, now_ns: int) -> bool:
        return to in ("", self._source) and self._pipe.put(self._side, payload, now_ns)

    def _take(self, most: int, now_ns: int) -> list[Datagram]:
        payloads = self._pipe.get(self._side, now_ns, most)
        if not self.up:
            self.counts.overruns += len(payloads)
            return []
        return [Datagram(payload, self._source) for payload in payloads]

    def _ready(self, now_ns: int) -> bool:  # noqa: ARG002
        return self.up


class MemoryPair(NamedTuple):
    """Both ends of one pipe; ``a`` is side 0."""

    a: MemoryTransport
    b: MemoryTransport


def memory_pair(
    name: str = "memory", *, mtu: int = 1200, bit_rate: float = FAST_BIT_S, limit: int = 256, pipe: Pipe | None = None
) -> MemoryPair:
    """Two ends of one pipe, alike. ``pipe``: one of your own, such as a simulated line; else it delivers at once."""
    between = pipe or MemoryPipe(limit)
    ends = [
        MemoryTransport(f"{name}-{letter}", between, side, mtu=mtu, pacer=Pacer(bit_rate, mtu))
        for side, letter in enumerate("ab")
    ]
    return MemoryPair(*ends)
