"""Lines keep their own time, and go on carrying when a flight program's time begins anew."""

from __future__ import annotations

from comms.emcon import Transmitter
from comms.link.end import Line
from comms.transports.memory import memory_pair
from firmware_py.line_time import on_line_time

NS = 1_000_000_000


def test_a_line_that_is_asked_in_a_time_that_went_back_carries_nothing_but_on_its_own_time_it_does() -> None:
    pair = memory_pair("radio", mtu=100, bit_rate=8000.0)
    line = Line(pair.a, Transmitter.RADIO, 0.5)
    begun = 3600 * NS
    while line.transport.room(begun) >= 100:
        assert line.transport.send(bytes(100), "", begun)
    # The flight program was started anew: its time is 1 s now, an hour before the line's.
    assert line.transport.room(NS) == 0
    anew = on_line_time(line, begun)
    assert anew.transport.room(NS) == 100
    assert anew.transport.send(b"hello", "", NS)
    assert [datagram.payload for datagram in pair.b.receive(99, begun + 2 * NS)][-1] == b"hello"


def test_everything_else_is_the_lines_own() -> None:
    pair = memory_pair("radio", mtu=100, bit_rate=8000.0)
    line = Line(pair.a, Transmitter.RADIO, 0.5)
    anew = on_line_time(line, 7)
    assert (anew.transmitter, anew.joules_per_byte) == (Transmitter.RADIO, 0.5)
    transport = anew.transport
    assert (transport.name, transport.mtu, transport.bit_rate) == (pair.a.name, 100, 8000.0)
    assert pair.b.send(b"up", "", 0)
    assert [datagram.payload for datagram in transport.receive(9, NS)] == [b"up"]
    assert transport.counts is pair.a.counts
    assert transport.counts.received == 1
    transport.close()
