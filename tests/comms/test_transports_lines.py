"""The transports: whole datagrams, no waiting, nothing raised for what a line does, everything counted."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import can
import numpy as np
import pytest

from comms.transports import Datagram, Transport, memory_pair
from comms.transports.can_line import CanTransport
from comms.transports.isotp import IsoTpFault
from comms.transports.memory import MemoryPipe, MemoryTransport
from comms.transports.pacer import Pacer
from comms.transports.pty_line import PtyPort
from comms.transports.serial_frame import encode_frame
from comms.transports.serial_line import SerialTransport
from comms.transports.udp import UdpTransport, parse_address
from drivers.bus.can_python import PythonCanBus
from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError
from hil.bus.serial import SimSerialBus
from hil.faults import Fault, FaultKind
from hil.link_line import GilbertElliott, LineRules, LinkLine

MS = 1_000_000
S = 1_000_000_000


def fast(mtu: int = 1200) -> Pacer:
    return Pacer(1e9, 20 * mtu)


# -- memory


def test_two_ends_in_memory_exchange_datagrams_in_order() -> None:
    a, b = memory_pair()
    assert a.send(b"one", "", 0)
    assert a.send(b"two", "peer", 0)
    assert b.receive(10, 0) == [Datagram(b"one", "peer"), Datagram(b"two", "peer")]
    assert b.receive(10, 0) == []
    assert (a.counts.sent, a.counts.sent_bytes, b.counts.received, b.counts.received_bytes) == (2, 6, 2, 6)


def test_more_than_asked_for_stays_for_the_next_time() -> None:
    a, b = memory_pair()
    for index in range(5):
        a.send(bytes((index + 1,)), "", 0)
    assert [d.payload for d in b.receive(2, 0)] == [b"\x01", b"\x02"]
    assert len(b.receive(10, 0)) == 3


@pytest.mark.parametrize("payload", [b"", b"x" * 1201])
def test_a_datagram_of_no_possible_length_is_a_mistake_of_the_caller(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"1\.\.1200"):
        memory_pair().a.send(payload, "", 0)


def test_an_unknown_peer_and_a_full_pipe_are_refused_and_counted() -> None:
    a, _ = memory_pair(limit=1)
    assert not a.send(b"x", "somebody", 0)
    assert a.send(b"x", "", 0)
    assert not a.send(b"x", "", 0)
    assert a.counts.refused == 2


def test_an_unplugged_end_sends_nothing_and_loses_what_comes() -> None:
    a, b = memory_pair()
    b.up = False
    a.send(b"x", "", 0)
    assert b.receive(10, 0) == []
    assert b.room(0) == 0
    assert not b.send(b"y", "", 0)
    b.up = True
    assert b.receive(10, 0) == []
    assert b.counts.overruns == 1


def test_room_is_the_longest_datagram_that_is_taken_now() -> None:
    a, _ = memory_pair(bit_rate=64_000.0, mtu=1000)
    assert a.room(0) == 1000
    a.send(bytes(600), "", 0)
    room = a.room(0)
    assert 390 <= room <= 400
    assert not a.send(bytes(room + 2), "", 0)
    assert a.send(bytes(room), "", 0)
    assert a.room(0) == 0
    assert a.room(S) == 1000


def test_a_simulated_line_stands_between_two_ends() -> None:
    between = LinkLine(LineRules(delay_ns=100 * MS, loss=GilbertElliott.from_mean(0.3, 2.0)), np.random.default_rng(3))
    a, b = memory_pair(pipe=between)
    for index in range(100):
        a.send(bytes((index,)) * 8, "", index * MS)
    arrived = b.receive(1000, S)
    assert 50 < len(arrived) < 90
    assert between.counts(0).lost == 100 - len(arrived)


def test_there_are_two_sides() -> None:
    with pytest.raises(ValueError, match="side 2"):
        MemoryTransport("x", MemoryPipe(), 2)


# -- UDP


@pytest.fixture
def udp() -> Iterator[tuple[UdpTransport, UdpTransport]]:
    craft = UdpTransport("craft", "127.0.0.1:0")
    ground = UdpTransport("ground", "127.0.0.1:0", peer=craft.address)
    yield craft, ground
    craft.close()
    ground.close()


def test_udp_answers_whoever_was_heard_last(udp: tuple[UdpTransport, UdpTransport]) -> None:
    craft, ground = udp
    assert not craft.send(b"nobody yet", "", 0)
    assert ground.send(b"hello", "", 0)
    (datagram,) = craft.receive(10, 0)
    assert datagram == Datagram(b"hello", ground.address)
    assert craft.send(b"to you", datagram.source, 0)
    assert craft.send(b"and again", "", 0)
    assert [d.payload for d in ground.receive(10, 0)] == [b"to you", b"and again"]
    assert craft.counts.refused == 1


def test_a_flood_over_udp_costs_what_was_asked_for(udp: tuple[UdpTransport, UdpTransport]) -> None:
    craft, ground = udp
    for _ in range(300):
        ground.send(b"x" * 64, "", 0)
        ground.receive(1, 0)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    host, port = parse_address(craft.address)
    for _ in range(200):
        sender.sendto(b"y" * 64, (host, port))
    sender.close()
    assert len(craft.receive(50, 0)) == 50
    assert len(craft.receive(0, 0)) == 0


def test_datagrams_that_are_too_long_or_empty_are_noise(udp: tuple[UdpTransport, UdpTransport]) -> None:
    craft = udp[0]
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    target = parse_address(craft.address)
    sender.sendto(b"", target)
    sender.sendto(bytes(1201), target)
    sender.sendto(bytes(1200), target)
    sender.close()
    assert [len(d.payload) for d in craft.receive(10, 0)] == [1200]
    assert craft.counts.noise == 2


def test_a_peer_that_is_gone_raises_nothing(udp: tuple[UdpTransport, UdpTransport]) -> None:
    craft, ground = udp
    craft.close()
    for turn in range(3):
        ground.send(b"anybody?", "", turn)
        assert ground.receive(10, turn) == []
    assert craft.receive(10, 0) == []
    assert not craft.send(b"x", ground.address, 0)
    assert craft.room(0) == 0


@pytest.mark.parametrize("to", ["example.org:5000", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "nonsense", ":1",
                                "127.0.0.1:٣"])
def test_an_address_that_is_none_is_refused_without_a_look_up(udp: tuple[UdpTransport, UdpTransport], to: str) -> None:
    assert not udp[0].send(b"x", to, 0)
    with pytest.raises(ValueError, match="names are not looked up"):
        parse_address(to)


def test_both_kinds_of_addresses_are_read() -> None:
    assert parse_address("192.0.2.1:5000") == ("192.0.2.1", 5000)
    assert parse_address("[2001:db8::1]:5000") == ("2001:db8::1", 5000)


def test_a_port_in_use_is_told_with_its_address(udp: tuple[UdpTransport, UdpTransport]) -> None:
    with pytest.raises(DeviceError) as error:
        UdpTransport("second", udp[0].address)
    assert "second" in str(error.value)


# -- serial


class Wire:
    """Two serial ports with a wire between them."""

    def __init__(self) -> None:
        self.a, self.b = SimSerialBus("a"), SimSerialBus("b")
        self.a.attach(_Far(self.b))
        self.b.attach(_Far(self.a))


class _Far:
    def __init__(self, other: SimSerialBus) -> None:
        self._other = other

    def connect(self, send: object) -> None:
        pass

    def receive(self, data: bytes) -> None:
        self._other.feed(data)


def serial_ends(mtu: int = 256) -> tuple[Wire, SerialTransport, SerialTransport]:
    wire = Wire()
    return wire, SerialTransport("a", wire.a, mtu=mtu, pacer=fast(mtu)), SerialTransport("b", wire.b, mtu=mtu,
                                                                                         pacer=fast(mtu))


def test_datagrams_cross_a_serial_line_whole() -> None:
    _, a, b = serial_ends()
    sent = [bytes((index,)) * (index + 1) for index in range(0, 250, 13)]
    for payload in sent:
        assert a.send(payload, "", 0)
    assert [d.payload for d in b.receive(100, 0)] == sent
    assert b.receive(100, 0) == []


def test_noise_between_frames_costs_at_most_the_next_one() -> None:
    wire, a, b = serial_ends()
    a.send(b"before", "", 0)
    wire.b.feed(b"\x13\x37 noise")
    a.send(b"lost with it", "", 0)
    a.send(b"after", "", 0)
    assert [d.payload for d in b.receive(100, 0)] == [b"before", b"after"]
    assert b.counts.noise == 1


def test_a_port_that_was_unplugged_is_opened_anew() -> None:
    class Port:
        name = "port"
        gone = False
        opened = 0

        def write(self, data: bytes) -> None:
            if self.gone:
                raise DeviceError("port", None, Cause.ABSENT, "gone")

        def read(self, limit: int) -> bytes:
            if self.gone:
                raise DeviceError("port", None, Cause.ABSENT, "gone")
            return b""

        def reopen(self) -> None:
            self.opened += 1
            if self.opened < 3:
                raise DeviceError("port", None, Cause.ABSENT, "still gone")
            self.gone = False

    port = Port()
    line = SerialTransport("line", port, mtu=64, pacer=fast(64))
    port.gone = True
    assert line.receive(10, 0) == []
    assert "gone" in line.fault
    assert line.room(0) == 0
    for now in range(0, 5 * S, 100 * MS):
        line.receive(10, now)
    assert port.opened == 3  # once a second, no more often
    assert line.fault == ""
    assert line.send(b"x", "", 5 * S)
    assert line.reopened == 1


def test_a_full_port_is_a_refusal() -> None:
    wire, a, _ = serial_ends()
    wire.a.inject(Fault(FaultKind.TIMEOUT))
    assert not a.send(b"x", "", 0)
    assert a.counts.refused == 1
    wire.a.clear()
    assert a.send(b"x", "", 0)


def test_a_modem_that_keeps_datagrams_apart_needs_no_frames() -> None:
    wire = Wire()
    a = SerialTransport("a", wire.a, mtu=64, pacer=fast(64), framed=False)
    a.send(b"as it is", "", 0)
    assert wire.b.read(100) == b"as it is"
    wire.a.feed(b"z" * 65)
    assert a.receive(10, 0) == []
    assert a.counts.noise == 1


def test_what_nobody_takes_is_dropped_oldest_first_and_counted() -> None:
    wire, _, b = serial_ends()
    for index in range(100):
        wire.b.feed(encode_frame(bytes((index + 1,))))
    assert b.receive(1, 0)[0].payload == bytes((37,))
    assert b.counts.overruns == 36


# -- pseudo-terminal


def test_a_program_opens_the_terminal_by_its_name() -> None:
    port = PtyPort("pty")
    line = SerialTransport("pty", port, mtu=256, pacer=fast(256))
    fd = os.open(port.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        every = bytes(range(256))  # nothing may be swallowed or translated on the way
        assert line.send(every, "", 0)
        assert os.read(fd, 1000) == encode_frame(every)
        os.write(fd, encode_frame(every))
        assert line.receive(10, 0) == [Datagram(every, "pty")]
    finally:
        os.close(fd)
        line.close()


def test_a_terminal_that_nobody_reads_refuses_at_its_bound() -> None:
    port = PtyPort("pty")
    line = SerialTransport("pty", port, mtu=256, pacer=fast(256))
    results = [line.send(b"x" * 256, "", 0) for _ in range(200)]
    assert results[0]
    assert not results[-1]
    assert sum(results) * 256 < 64 * 1024
    line.close()
    assert line.receive(10, 0) == []
    assert not line.send(b"x", "", 0)


# -- CAN


@pytest.fixture
def can_ends() -> Iterator[tuple[CanTransport, CanTransport, can.BusABC]]:
    buses = [can.Bus("can-transport-test", interface="virtual") for _ in range(3)]
    a = CanTransport("a", PythonCanBus("a", buses[0]), 0x6D0, 0x6D1, pacer=fast())
    b = CanTransport("b", PythonCanBus("b", buses[1]), 0x6D1, 0x6D0, pacer=fast())
    yield a, b, buses[2]
    a.close()
    b.close()
    buses[2].shutdown()


def test_datagrams_cross_a_can_bus(can_ends: tuple[CanTransport, CanTransport, can.BusABC]) -> None:
    a, b, _ = can_ends
    got: dict[str, list[bytes]] = {"a": [], "b": []}
    assert a.send(bytes(1200), "", 0)
    assert a.room(0) == 0
    assert not a.send(b"not yet", "", 0)
    assert b.send(b"the other way, several frames long", "6d0", 0)
    for turn in range(20):
        for end in (a, b):
            got[end.name] += [d.payload for d in end.receive(10, turn * MS)]
    assert got == {"a": [b"the other way, several frames long"], "b": [bytes(1200)]}
    assert a.room(20 * MS) == 1200


def test_frames_of_others_are_counted_and_dropped(can_ends: tuple[CanTransport, CanTransport, can.BusABC]) -> None:
    a, _, other = can_ends
    other.send(can.Message(arbitration_id=0x181, is_extended_id=False, data=b"\x03abc"))
    other.send(can.Message(arbitration_id=0x6D1, is_extended_id=True, data=b"\x03abc"))
    other.send(can.Message(arbitration_id=0x6D1, is_extended_id=False, data=b"\xff"))
    assert a.receive(10, 0) == []
    assert (a.foreign, a.counts.noise) == (2, 1)


def test_a_peer_that_is_silent_frees_the_line_in_time(can_ends: tuple[CanTransport, CanTransport, can.BusABC]) -> None:
    a, _, _ = can_ends
    a.send(bytes(100), "", 0)
    a.receive(10, S + 1)
    assert a.isotp.counts.faults == {IsoTpFault.TIMEOUT_BS: 1}
    assert a.counts.refused == 1
    assert a.room(S + 1) == 1200


def test_a_bus_that_is_off_is_opened_anew_once_a_second() -> None:
    class Bus:
        name = "can"
        reopened = 0
        off = True

        def send(self, frame: CanFrame) -> None:
            if self.off:
                raise DeviceError("can", None, Cause.BUS_OFF, "off")

        def receive(self) -> CanFrame | None:
            if self.off:
                raise DeviceError("can", None, Cause.BUS_OFF, "off")
            return None

        def reopen(self) -> None:
            self.reopened += 1
            self.off = self.reopened < 2

    bus = Bus()
    line = CanTransport("line", bus, 1, 2, pacer=fast())
    line.receive(1, 0)
    assert line.room(0) == 0
    for now in range(0, 3 * S, 100 * MS):
        line.receive(1, now)
    assert bus.reopened == 2
    assert line.fault == ""
    assert line.send(b"x", "", 3 * S)


@pytest.mark.parametrize(("tx_id", "rx_id"), [(1, 1), (0x800, 1), (-1, 2)])
def test_identifiers_that_cannot_be_are_refused(tx_id: int, rx_id: int) -> None:
    with pytest.raises(ValueError, match="identifiers"):
        CanTransport("x", None, tx_id, rx_id, pacer=fast())  # type: ignore[arg-type]


def test_all_of_them_are_transports() -> None:
    def needs(line: Transport) -> str:
        return line.name

    wire = Wire()
    assert needs(SerialTransport("s", wire.a, mtu=64, pacer=fast(64))) == "s"
    assert needs(memory_pair().a) == "memory-a"
