"""What all transports share: longest datagram, pace, counters. A transport adds only how bytes get out and in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from comms.transports.pacer import Pacer
from comms.transports.port import Datagram, TransportCounts

__all__ = ["PacedTransport", "plain_bytes"]


def plain_bytes(length: int) -> int:
    """Bytes on a line without framing."""
    return length


class PacedTransport:
    """Base of the transports: implements ``Transport``; what differs is in ``_put``, ``_take`` and ``_ready``.

    Args:
        name: for people and events.
        mtu: longest datagram, bytes.
        pacer: of the line.
        line_bytes: most bytes on the line for a datagram of so many bytes.
    """

    def __init__(self, name: str, mtu: int, pacer: Pacer, line_bytes: Callable[[int], int] = plain_bytes) -> None:
        if mtu < 1:
            raise ValueError(f"{name}: mtu {mtu}: must be at least 1 byte")
        self.name = name
        self.mtu = mtu
        self.counts = TransportCounts()
        self.fault = ""
        """Why the line is down, for people; empty while it isn't."""
        self.line_bytes = line_bytes
        """Most bytes on the line for a datagram of so many bytes; a profile may know better than the transport."""
        self._pacer = pacer

    @property
    def bit_rate(self) -> float:
        """Bits a second on the line, framing included."""
        return self._pacer.bit_rate

    @property
    def airtime_ns(self) -> int:
        """Time on the air since start; what a transmitter's energy follows from."""
        return self._pacer.airtime_ns

    def sending(self, now_ns: int) -> bool:
        """Whether something that was handed over is still on its way out."""
        return self._pacer.busy(now_ns)

    def send(self, payload: bytes, to: str, now_ns: int) -> bool:
        """See Transport. ValueError for an empty datagram too."""
        length = len(payload)
        if not 0 < length <= self.mtu:
            raise ValueError(f"{self.name}: a datagram of {length} bytes; 1..{self.mtu} are allowed")
        counts = self.counts
        on_line = self.line_bytes(length)
        if not (self._ready(now_ns) and self._pacer.takes(on_line, now_ns) and self._put(payload, to, now_ns)):
            counts.refused += 1
            return False
        self._pacer.take(on_line, now_ns)
        counts.sent += 1
        counts.sent_bytes += length
        return True

    def receive(self, most: int, now_ns: int) -> list[Datagram]:
        """See Transport."""
        datagrams = self._take(most, now_ns)
        if datagrams:
            self._pacer.heard(now_ns)
            counts = self.counts
            counts.received += len(datagrams)
            counts.received_bytes += sum([len(datagram.payload) for datagram in datagrams])
        return datagrams

    def room(self, now_ns: int) -> int:
        """See Transport: longest datagram that ``send`` takes now, 0 for none."""
        if not self._ready(now_ns):
            return 0
        on_line = self._pacer.room_bytes(now_ns)
        if on_line >= self.line_bytes(self.mtu):
            return self.mtu
        return bisect_right(range(1, self.mtu), on_line, key=self.line_bytes)

    def close(self) -> None:
        """See Transport."""

    # -- what a transport adds

    def _put(self, payload: bytes, to: str, now_ns: int) -> bool:
        """Hand one datagram to the line; ``False`` if it doesn't take it."""
        raise NotImplementedError

    def _take(self, most: int, now_ns: int) -> list[Datagram]:
        """Up to ``most`` datagrams that have come in."""
        raise NotImplementedError

    def _ready(self, now_ns: int) -> bool:
        """Whether the line is up and takes something at all."""
        raise NotImplementedError
