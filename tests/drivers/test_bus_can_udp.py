"""UDP multicast bus: python-can's wire format both ways, and only frames or counted refusals from any datagram."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.can_udp import LOOPBACK, UdpCanBus
from drivers.bus.protocol import CanBus, CanFrame, ReopenableBus
from drivers.errors import Cause, DeviceError

GROUP = "239.74.163.2"
ALL_HOSTS = "224.0.0.1"
"""No membership of this group is ever announced on a network (RFC 3376, 5)."""

CAPTURED = bytes.fromhex(
    "8ba974696d657374616d70cb0000000000000000ae6172626974726174696f6e5f6964cd0123ae69735f657874656e6465645f6964c2"
    "af69735f72656d6f74655f6672616d65c2ae69735f6572726f725f6672616d65c2a76368616e6e656cc0a3646c6302a464617461c4020102"
    "a569735f6664c2ae626974726174655f737769746368c2b56572726f725f73746174655f696e64696361746f72c2"
)
"""What python-can 4.6.1 sent for id 123h with data 01 02."""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def port() -> int:
    return free_port()


class Network:
    """Two buses of one group, and a plain socket that sends what it likes; all on the loopback."""

    def __init__(self, port: int, filters: set[int] | None = None) -> None:
        self.one = UdpCanBus("one", GROUP, port, hop_limit=0, filters=filters)
        self.two = UdpCanBus("two", GROUP, port, hop_limit=0)
        self.raw = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
        self.raw.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 0)
        self.raw.connect((GROUP, port))

    def close(self) -> None:
        self.one.close()
        self.two.close()
        self.raw.close()


@pytest.fixture
def network(port: int) -> Iterator[Network]:
    made = Network(port)
    yield made
    made.close()


@pytest.fixture(scope="module")
def standing() -> Iterator[Network]:
    made = Network(free_port())
    yield made
    made.close()


def arrived(bus: UdpCanBus) -> CanFrame | None:
    """The next frame; a datagram on the loopback is there at once, a second is for a busy machine."""
    assert select.select([bus], [], [], 1.0)[0]
    return bus.receive()


def wire(**changes: object) -> bytes:
    message: dict[str, object] = {
        "timestamp": 1.5, "arbitration_id": 0x181, "is_extended_id": False, "is_remote_frame": False,
        "is_error_frame": False, "channel": None, "dlc": 2, "data": b"ab", "is_fd": False, "bitrate_switch": False,
        "error_state_indicator": False,
    }
    return msgspec.msgpack.encode(message | changes)


def test_it_is_a_can_bus_that_can_be_reopened(network: Network) -> None:
    assert isinstance(network.one, CanBus)
    assert isinstance(network.one, ReopenableBus)


@pytest.mark.parametrize("frame", [
    CanFrame(0, b""), CanFrame(0x7FF, bytes(8)), CanFrame(0x60A, b"\xff" * 8), CanFrame(0x7F, b"\x00"),
    CanFrame(0x80, b"12"), CanFrame(0x100, b"123"), CanFrame(0x1FFFFFFF, b"12345678", True), CanFrame(5, b"", True),
])
def test_a_frame_reaches_the_others_and_not_its_sender(network: Network, frame: CanFrame) -> None:
    network.one.send(frame)
    got = arrived(network.two)
    assert got == frame
    assert type(got) is CanFrame
    assert select.select([network.one], [], [], 1.0)[0]
    assert network.one.receive() is None
    assert (network.one.counters.own, network.one.counters.sent, network.two.counters.received) == (1, 1, 1)


def test_frames_stay_in_order_and_drain_takes_at_most_its_limit(network: Network) -> None:
    frames = [CanFrame(i, i.to_bytes(2, "little")) for i in range(50)]
    for frame in frames:
        network.one.send(frame)
    assert select.select([network.two], [], [], 1.0)[0]
    assert network.two.drain(30) == frames[:30]
    assert network.two.drain(30) == frames[30:]
    assert network.two.drain(30) == []


@pytest.mark.parametrize("frame", [CanFrame(0x800, b""), CanFrame(-1, b""), CanFrame(1, bytes(9))])
def test_what_classic_can_cannot_carry_is_the_caller_s_error(network: Network, frame: CanFrame) -> None:
    with pytest.raises(ValueError, match="no classic CAN frame"):
        network.one.send(frame)


def test_a_datagram_that_python_can_sent_is_understood(network: Network) -> None:
    network.raw.send(CAPTURED)
    assert arrived(network.one) == CanFrame(0x123, b"\x01\x02")


@pytest.mark.parametrize(("datagram", "counter"), [
    (b"", "malformed"), (b"\xff" * 40, "malformed"), (CAPTURED[:-1], "malformed"), (b"\x91" * 500, "malformed"),
    (bytes(2000), "malformed"), (wire(dlc=3), "malformed"), (wire(data=bytes(9), dlc=9), "malformed"),
    (wire(arbitration_id=0x800), "malformed"), (wire(arbitration_id=-1), "malformed"),
    (wire(arbitration_id="1"), "malformed"), (wire(data=None), "malformed"), (wire(channel=b"\xff"), "malformed"),
    (wire(is_remote_frame=True), "unsupported"), (wire(is_error_frame=True), "unsupported"),
    (wire(is_fd=True, data=bytes(64), dlc=64), "unsupported"),
])
def test_every_other_datagram_is_counted_and_passed_over(network: Network, datagram: bytes, counter: str) -> None:
    network.raw.send(datagram)
    network.raw.send(wire())
    assert arrived(network.one) == CanFrame(0x181, b"ab")
    assert getattr(network.one.counters, counter) == 1


@settings(max_examples=150, deadline=None, derandomize=True)
@given(datagram=st.one_of(
    st.binary(max_size=200),
    st.builds(
        wire, arbitration_id=st.integers(-(2**63), 2**64 - 1), data=st.binary(max_size=10), dlc=st.integers(-1, 10),
        is_extended_id=st.booleans(), channel=st.one_of(st.none(), st.text(max_size=5), st.integers(0, 9)),
    ),
))
def test_no_datagram_raises(standing: Network, datagram: bytes) -> None:
    standing.raw.send(datagram)
    frame = arrived(standing.one)
    assert frame is None or (len(frame.data) <= 8 and 0 <= frame.can_id <= 0x1FFFFFFF)


def test_filters_pass_standard_frames_of_their_ids_only(port: int) -> None:
    network = Network(port, filters={0x181})
    for frame in (CanFrame(0x182, b""), CanFrame(0x181, b"", True), CanFrame(0x181, b"x")):
        network.two.send(frame)
    assert arrived(network.one) == CanFrame(0x181, b"x")
    assert network.one.counters.filtered == 2
    network.one.set_filters(None)
    network.two.send(CanFrame(0x182, b"", True))
    assert arrived(network.one) == CanFrame(0x182, b"", True)
    network.close()


def test_what_the_kernel_lost_is_counted(network: Network) -> None:
    with socket.socket(fileno=os.dup(network.two.fileno())) as same:
        same.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    for index in range(500):
        network.one.send(CanFrame(1, index.to_bytes(4, "little")))
    assert select.select([network.two], [], [], 1.0)[0]
    got = len(network.two.drain(1000))
    assert got < 500
    for _ in range(64):  # the count comes along with a later frame
        network.one.send(CanFrame(2, b""))
        assert arrived(network.two) == CanFrame(2, b"")
    assert network.two.counters.dropped == 500 - got


def test_a_reopened_bus_hears_and_is_heard(network: Network) -> None:
    network.one.reopen()
    network.one.send(CanFrame(1, b"a"))
    assert arrived(network.two) == CanFrame(1, b"a")
    network.two.send(CanFrame(2, b"b"))
    assert arrived(network.one) == CanFrame(2, b"b")
    assert (network.one.counters.reopens, network.one.counters.own) == (1, 1)


def test_a_closed_bus_is_absent(network: Network) -> None:
    network.one.close()
    for call in (network.one.receive, lambda: network.one.drain(4), lambda: network.one.send(CanFrame(1, b""))):
        with pytest.raises(DeviceError) as refused:
            call()
        assert refused.value.cause is Cause.ABSENT


@pytest.mark.parametrize(("group", "port", "interface"), [
    ("192.168.1.1", 43113, LOOPBACK), ("ff15::1", 43113, LOOPBACK), ("somewhere", 43113, LOOPBACK),
    (GROUP, 0, LOOPBACK), (GROUP, 70_000, LOOPBACK), (GROUP, 43113, "eth0"),
])
def test_a_group_that_is_none_is_the_board_s_error(group: str, port: int, interface: str) -> None:
    with pytest.raises(ValueError, match="udp"):
        UdpCanBus("udp", group, port, interface=interface)


def test_an_interface_that_this_machine_lacks_is_absent(port: int) -> None:
    with pytest.raises(DeviceError) as refused:
        UdpCanBus("udp", GROUP, port, interface="198.51.100.77")
    assert refused.value.cause in (Cause.ABSENT, Cause.PROTOCOL)
    assert "198.51.100.77" in refused.value.detail


class Peer:
    """python-can's own bus in the group of all hosts, moved to the loopback; nothing of it leaves the machine."""

    def __init__(self, port: int) -> None:
        self.can = pytest.importorskip("can")
        pytest.importorskip("msgpack", reason="python-can's udp_multicast needs the package msgpack")
        self.bus = self.can.Bus(interface="udp_multicast", channel=ALL_HOSTS, port=port, hop_limit=0)
        with socket.socket(fileno=os.dup(self.bus.fileno())) as same:
            same.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(LOOPBACK))
            same.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(ALL_HOSTS) + socket.inet_aton(LOOPBACK)
            )


FRAMES = [
    CanFrame(0, b""), CanFrame(0x7FF, b"12345678"), CanFrame(0x181, bytes(3)), CanFrame(0x7F, b"\xff"),
    CanFrame(0x18DAF110, b"\x01\x02\x03", True), CanFrame(0x1FFFFFFF, b"", True),
]


def test_python_can_hears_every_frame_that_is_sent(port: int) -> None:
    peer = Peer(port)
    bus = UdpCanBus("udp", ALL_HOSTS, port, hop_limit=0)
    for frame in FRAMES:
        bus.send(frame)
        message = peer.bus.recv(timeout=1.0)
        assert message is not None
        assert (message.arbitration_id, bytes(message.data), message.is_extended_id) == frame
        assert (message.is_remote_frame, message.is_error_frame, message.is_fd) == (False, False, False)
        assert message.dlc == len(frame.data)
    bus.close()
    peer.bus.shutdown()


def test_every_frame_of_python_can_is_heard(port: int) -> None:
    peer = Peer(port)
    bus = UdpCanBus("udp", ALL_HOSTS, port, hop_limit=0)
    for frame in FRAMES:
        peer.bus.send(peer.can.Message(
            arbitration_id=frame.can_id, data=frame.data, is_extended_id=frame.extended, timestamp=1e9, channel="vcan0"
        ))
        assert arrived(bus) == frame
    peer.bus.send(peer.can.Message(arbitration_id=1, is_remote_frame=True, dlc=2))
    peer.bus.send(peer.can.Message(arbitration_id=1, is_fd=True, data=bytes(64)))
    peer.bus.send(peer.can.Message(arbitration_id=2, is_extended_id=False))
    assert arrived(bus) == CanFrame(2, b"")
    assert bus.counters.unsupported == 2
    bus.close()
    peer.bus.shutdown()


def written(can_id: int, data: bytes, **changes: object) -> bytes:
    """A datagram as python-can writes it."""
    fields = {
        "timestamp": 1.5, "arbitration_id": can_id, "is_extended_id": False, "is_remote_frame": False,
        "is_error_frame": False, "channel": None, "dlc": len(data), "data": data, "is_fd": False,
        "bitrate_switch": False, "error_state_indicator": False,
    }
    return msgspec.msgpack.encode({**fields, **changes})


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 0x7FF), st.binary(max_size=8), st.floats(0.0, 2e9)), max_size=30))
def test_a_shape_that_was_seen_before_means_the_same_as_decoding_it_again(frames) -> None:
    bus = UdpCanBus("can_a", "239.74.163.9", 43219)
    try:
        for can_id, data, stamp in frames * 2:
            got = bus._frame(written(can_id, data, timestamp=stamp))
            assert got == CanFrame(can_id, data, False)
    finally:
        bus.close()


def test_a_known_shape_with_another_end_or_start_is_looked_at_again() -> None:
    bus = UdpCanBus("can_a", "239.74.163.9", 43220)
    try:
        good = written(0x181, b"12345678")
        assert bus._frame(good) == CanFrame(0x181, b"12345678")
        assert bus._frame(written(0x181, b"12345678", is_fd=True)) is None
        assert bus._frame(b"\x8c" + good[1:]) is None
        assert bus._frame(good[:-1] + b"\xc3") == CanFrame(0x181, b"12345678")  # an error state of the sender
        bus.set_filters({0x200})
        assert bus._frame(good) is None
    finally:
        bus.close()
