"""Lines keep their own time, which only goes on, while the flight program's begins anew with each of its starts.

A line books the time that it is busy ahead, and the air time of the last hour. With a clock that has gone back it would
take nothing for as long as the flight before had lasted.
"""

from __future__ import annotations

from dataclasses import replace

from comms.link.end import Line
from comms.transports.port import Datagram, Transport, TransportCounts

__all__ = ["LineTime", "on_line_time"]


class LineTime:
    """A ``Transport`` that is asked in flight time and asks another one in its own.

    Args:
        transport: the line.
        offset_ns: its time at flight time 0.
    """

    def __init__(self, transport: Transport, offset_ns: int) -> None:
        self._transport = transport
        self._offset_ns = offset_ns
        self.name = transport.name
        self.mtu = transport.mtu
        self.bit_rate = transport.bit_rate
        self.counts: TransportCounts = transport.counts

    def send(self, payload: bytes, to: str, now_ns: int) -> bool:
        """See Transport."""
        return self._transport.send(payload, to, now_ns + self._offset_ns)

    def receive(self, most: int, now_ns: int) -> list[Datagram]:
        """See Transport."""
        return self._transport.receive(most, now_ns + self._offset_ns)

    def room(self, now_ns: int) -> int:
        """See Transport."""
        return self._transport.room(now_ns + self._offset_ns)

    def close(self) -> None:
        """See Transport."""
        self._transport.close()


def on_line_time(line: Line, offset_ns: int) -> Line:
    """This line, asked in a flight time that began ``offset_ns`` after the line's own."""
    return replace(line, transport=LineTime(line.transport, offset_ns))
