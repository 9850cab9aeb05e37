"""SocketCAN transport: frames, notices, drops and every way in which a socket can refuse; over socket pairs."""

from __future__ import annotations

import errno
import select
import socket
import struct
from collections import deque
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus import can_socket
from drivers.bus.can_socket import SocketCanBus
from drivers.bus.protocol import CanBus, CanFrame, ReopenableBus
from drivers.errors import Cause, DeviceError

EFF, RTR, ERR = 0x8000_0000, 0x4000_0000, 0x2000_0000
BUS_OFF, RESTARTED = 0x40, 0x100


def raw(can_id: int, data: bytes = b"", length: int | None = None) -> bytes:
    """struct can_frame of linux/can.h."""
    return struct.pack("=IB3x8s", can_id, len(data) if length is None else length, data)


class Pair:
    """A bus on one end of a Unix datagram pair; the other end is the wire."""

    def __init__(self, timeout_ms: int = 1) -> None:
        ours, self.wire = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.wire.setblocking(False)
        self.bus = SocketCanBus("can_a", "can0", timeout_ms, sock=ours)

    def close(self) -> None:
        self.bus.close()
        self.wire.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


class Scripted:
    """A socket whose calls fail as ordered; what is received comes from a queue."""

    def __init__(self) -> None:
        self.queue: deque[bytes | OSError] = deque()
        self.refuse: deque[OSError] = deque()
        self.sent: list[bytes] = []
        self.options: list[tuple[int, int, bytes | int]] = []
        self.bound: object = None
        self.bind_error: OSError | None = None
        self.closed = False
        self.up = True

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def setsockopt(self, level: int, option: int, value: bytes | int) -> None:
        if option == can_socket.SO_RCVBUFFORCE:
            raise PermissionError(errno.EPERM, "not root")
        self.options.append((level, option, value))

    def getsockopt(self, level: int, option: int) -> int:
        return 425984

    def bind(self, address: object) -> None:
        if self.bind_error is not None:
            raise self.bind_error
        self.bound = address

    def send(self, data: bytes) -> int:
        if self.refuse:
            raise self.refuse.popleft()
        self.sent.append(data)
        return len(data)

    def recv_into(self, buffer: bytearray) -> int:
        if not self.queue:
            raise BlockingIOError(errno.EAGAIN, "nothing")
        first = self.queue.popleft()
        if isinstance(first, OSError):
            raise first
        buffer[: len(first)] = first
        return len(first)

    def recvmsg_into(self, buffers: tuple[bytearray], ancillary: int) -> tuple[int, list[object], int, None]:
        return self.recv_into(buffers[0]), [], 0, None

    def close(self) -> None:
        self.closed = True


def scripted(timeout_ms: int = 0) -> tuple[Scripted, SocketCanBus]:
    sock = Scripted()
    bus = SocketCanBus("can_a", "can0", timeout_ms, sock=sock, is_up=lambda own, _name: own.up)  # type: ignore
    return sock, bus


def refused(call: Callable[..., object], *arguments: object) -> DeviceError:
    with pytest.raises(DeviceError) as caught:
        call(*arguments)
    assert caught.value.bus == "can_a"
    return caught.value


def test_it_is_a_can_bus_that_can_be_reopened(pair: Pair) -> None:
    assert isinstance(pair.bus, CanBus)
    assert isinstance(pair.bus, ReopenableBus)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(can_id=st.integers(0, 0x1FFFFFFF), data=st.binary(max_size=8), extended=st.booleans())
def test_what_is_sent_is_what_the_kernel_gets_and_what_comes_is_what_is_received(
    can_id: int, data: bytes, extended: bool
) -> None:
    pair = Pair()
    frame = CanFrame(can_id if extended else can_id & 0x7FF, data, extended)
    pair.bus.send(frame)
    wire = pair.wire.recv(64)
    assert wire == raw(frame.can_id | (EFF if extended else 0), data)
    pair.wire.send(wire)
    got = pair.bus.receive()
    assert got == frame
    assert type(got) is CanFrame
    assert pair.bus.receive() is None
    pair.close()


@pytest.mark.parametrize("frame", [
    CanFrame(0x800, b""), CanFrame(-1, b""), CanFrame(0x2000_0000, b"", True), CanFrame(1, bytes(9)),
])
def test_what_classic_can_cannot_carry_is_the_caller_s_error(pair: Pair, frame: CanFrame) -> None:
    with pytest.raises(ValueError, match="no classic CAN frame"):
        pair.bus.send(frame)


def test_remote_frames_and_malformed_datagrams_are_counted_and_passed_over(pair: Pair) -> None:
    for datagram in (
        raw(0x123 | RTR), raw(0x123, b"123")[:15], b"", raw(0x123, length=9), raw(0x800, b"1"), raw(0x18, b"ok"),
    ):
        pair.wire.send(datagram)
    assert pair.bus.receive() == CanFrame(0x18, b"ok")
    assert (pair.bus.counters.remote, pair.bus.counters.malformed, pair.bus.counters.received) == (1, 4, 1)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(datagrams=st.lists(st.binary(max_size=16), max_size=8))
def test_no_datagram_raises_anything_but_a_device_error(datagrams: list[bytes]) -> None:
    pair = Pair()
    for datagram in datagrams:
        pair.wire.send(datagram)
    causes = set()
    for _ in range(len(datagrams) + 1):
        try:
            frame = pair.bus.receive()
        except DeviceError as error:
            causes.add(error.cause)
        else:
            assert frame is None or len(frame.data) <= 8
    assert causes <= {Cause.BUS_OFF}
    pair.close()


@pytest.mark.parametrize(("kind", "data", "counter"), [
    (0x001, b"", "tx_timeouts"), (0x002, b"\x05", "arbitration_lost"), (0x004, b"\x00\x01", "controller_overrun"),
    (0x004, b"\x00\x02", "controller_overrun"), (0x004, b"\x00\x08", "error_warning"),
    (0x004, b"\x00\x10", "error_passive"), (0x004, b"\x00\x20", "error_passive"),
    (0x008, b"\x00\x00\x80", "protocol_violations"), (0x010, b"", "transceiver"), (0x020, b"", "no_ack"),
    (0x080, b"", "bus_errors"), (0x040, b"", "bus_off"), (0x100, b"", "restarted"),
])
def test_each_notice_of_the_controller_has_its_counter(pair: Pair, kind: int, data: bytes, counter: str) -> None:
    pair.wire.send(raw(kind | ERR, data, 8))
    pair.wire.send(raw(0x11, b"x"))
    assert pair.bus.receive() == CanFrame(0x11, b"x")
    assert getattr(pair.bus.counters, counter) == 1
    assert pair.bus.counters.notices == 1


def test_the_controller_s_own_error_counters_are_kept(pair: Pair) -> None:
    assert pair.bus.counters.tx_errors is None
    pair.wire.send(raw(0x204 | ERR, b"\x00\x20\x00\x00\x00\x00\x88\x07", 8))
    assert pair.bus.receive() is None
    assert (pair.bus.counters.tx_errors, pair.bus.counters.rx_errors) == (136, 7)


def test_bus_off_refuses_until_the_controller_was_restarted_and_loses_no_frame(pair: Pair) -> None:
    pair.wire.send(raw(0x10, b"a"))
    pair.wire.send(raw(BUS_OFF | ERR))
    pair.wire.send(raw(0x10, b"b"))
    assert pair.bus.receive() == CanFrame(0x10, b"a")
    assert pair.bus.receive() == CanFrame(0x10, b"b")
    for _ in range(2):
        error = refused(pair.bus.receive)
        assert error.cause is Cause.BUS_OFF
        assert "restart-ms" in error.detail
    assert pair.bus.is_bus_off
    assert refused(pair.bus.send, CanFrame(1, b"")).cause is Cause.BUS_OFF
    assert refused(pair.bus.drain, 8).cause is Cause.BUS_OFF
    pair.wire.send(raw(RESTARTED | ERR))
    assert pair.bus.receive() is None
    pair.bus.send(CanFrame(1, b""))
    assert pair.wire.recv(64) == raw(1)


def test_drain_takes_at_most_its_limit_in_order_and_looks_past_notices(pair: Pair) -> None:
    for index in range(6):
        pair.wire.send(raw(0x20 | ERR))
        pair.wire.send(raw(index, bytes((index,))))
    assert pair.bus.drain(4) == [CanFrame(i, bytes((i,))) for i in range(4)]
    assert pair.bus.drain(4) == [CanFrame(i, bytes((i,))) for i in (4, 5)]
    assert pair.bus.drain(4) == []
    assert pair.bus.counters.no_ack == 6


def test_a_storm_of_notices_does_not_hold_a_call() -> None:
    sock, bus = scripted()
    sock.queue.extend(raw(0x20 | ERR) for _ in range(1000))
    assert bus.receive() is None
    assert bus.counters.notices == can_socket.NOTICES_A_CALL
    assert bus.drain(10) == []
    assert bus.counters.notices <= 2 * can_socket.NOTICES_A_CALL + 10


def test_the_kernel_s_drops_are_counted() -> None:
    ours, wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ours.bind(("127.0.0.1", 0))
    wire.connect(ours.getsockname())
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    bus = SocketCanBus("can_a", "can0", 1, sock=ours)
    for index in range(500):
        wire.send(raw(index & 0x7FF, struct.pack("<I", index)))
    assert select.select([bus], [], [], 1.0)[0]
    got = bus.drain(1000)
    wire.send(raw(1))
    assert select.select([bus], [], [], 1.0)[0]
    tail = [*bus.drain(64)]
    for _ in range(2 * can_socket.LOOK_EVERY):
        wire.send(raw(2))
        select.select([bus], [], [], 1.0)
        tail += bus.drain(1)
    assert len(got) < 500
    assert bus.counters.dropped == 500 - len(got)
    bus.close()
    wire.close()


def test_a_full_queue_is_a_timeout_and_the_next_frame_goes_when_there_is_room(pair: Pair) -> None:
    def fill() -> None:
        for index in range(100_000):
            pair.bus.send(CanFrame(1, index.to_bytes(4, "little")))

    assert refused(fill).cause is Cause.TIMEOUT
    sent = pair.bus.counters.sent
    assert pair.bus.counters.tx_full == 1
    for _ in range(sent):
        pair.wire.recv(64)
    pair.bus.send(CanFrame(2, b""))
    assert pair.wire.recv(64) == raw(2)


@pytest.mark.parametrize(("code", "cause", "advice"), [
    (errno.ENOBUFS, Cause.TIMEOUT, "queue full"), (errno.EAGAIN, Cause.TIMEOUT, "queue full"),
    (errno.ENETDOWN, Cause.ABSENT, "ip link set can0 up"), (errno.ENODEV, Cause.ABSENT, "no CAN interface can0"),
    (errno.ENXIO, Cause.ABSENT, "no CAN interface"), (errno.EPERM, Cause.PERMISSION, "can0"),
    (errno.EINVAL, Cause.PROTOCOL, "can0"),
])
def test_each_refusal_of_the_kernel_to_send_has_its_cause(code: int, cause: Cause, advice: str) -> None:
    sock, bus = scripted()
    sock.refuse.append(OSError(code, "refused"))
    error = refused(bus.send, CanFrame(1, b""))
    assert error.cause is cause
    assert advice in error.detail
    bus.send(CanFrame(1, b""))
    assert bus.counters.sent == 1


def test_a_lost_interface_stays_refused_until_it_is_up_whatever_had_arrived_before() -> None:
    sock, bus = scripted()
    sock.up = False
    sock.queue.extend([raw(1), OSError(errno.ENETDOWN, "down"), raw(2)])
    assert bus.receive() == CanFrame(1, b"")
    assert refused(bus.receive).cause is Cause.ABSENT
    assert bus.receive() == CanFrame(2, b"")  # it had arrived before
    assert refused(bus.receive).cause is Cause.ABSENT
    assert refused(bus.drain, 3).cause is Cause.ABSENT
    sock.up = True
    assert bus.receive() is None


def test_an_interface_that_a_send_finds_down_is_refused_to_the_receiver_too() -> None:
    sock, bus = scripted()
    sock.up = False
    sock.refuse.append(OSError(errno.ENETDOWN, "down"))
    assert refused(bus.send, CanFrame(1, b"")).cause is Cause.ABSENT
    assert refused(bus.receive).cause is Cause.ABSENT


def test_frames_before_a_lost_interface_are_handed_out_first() -> None:
    sock, bus = scripted()
    sock.up = False
    sock.queue.extend([raw(1), raw(2), OSError(errno.ENODEV, "unplugged")])
    assert bus.drain(10) == [CanFrame(1, b""), CanFrame(2, b"")]
    assert refused(bus.drain, 10).cause is Cause.ABSENT


def test_an_interface_that_went_down_is_no_longer_bus_off() -> None:
    sock, bus = scripted()
    sock.queue.append(raw(BUS_OFF | ERR))
    assert refused(bus.receive).cause is Cause.BUS_OFF
    sock.queue.append(OSError(errno.ENETDOWN, "down"))
    assert refused(bus.receive).cause is Cause.ABSENT
    sock.queue.append(raw(5))
    assert bus.receive() == CanFrame(5, b"")
    assert not bus.is_bus_off


def test_a_closed_bus_is_absent(pair: Pair) -> None:
    pair.bus.close()
    assert refused(pair.bus.receive).cause is Cause.ABSENT
    assert refused(pair.bus.send, CanFrame(1, b"")).cause is Cause.ABSENT


def test_a_socket_that_was_handed_in_is_not_reopened(pair: Pair) -> None:
    assert refused(pair.bus.reopen).cause is Cause.PROTOCOL


def opened(monkeypatch: pytest.MonkeyPatch, **arguments: set[int]) -> tuple[list[Scripted], SocketCanBus]:
    made: list[Scripted] = []

    def make(family: int, kind: int, protocol: int) -> Scripted:
        assert (family, kind, protocol) == (29, socket.SOCK_RAW, 1)
        made.append(Scripted())
        return made[-1]

    monkeypatch.setattr(can_socket.socket, "socket", make)
    return made, SocketCanBus("can_a", "can0", 10, **arguments)


def test_the_kernel_is_told_which_frames_and_which_notices_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    made, bus = opened(monkeypatch, filters={0x181, 0x701})
    options = {(level, option): value for level, option, value in made[0].options}
    mask = 0x7FF | EFF | RTR
    assert options[101, 1] == struct.pack("=4I", 0x181, mask, 0x701, mask)
    assert options[101, 2] == struct.pack("=I", 0x3FF)
    assert options[socket.SOL_SOCKET, 40] == 1
    assert options[socket.SOL_SOCKET, socket.SO_RCVBUF] == can_socket.RECEIVE_BUFFER_BYTES
    assert made[0].bound == ("can0",)
    assert bus.receive_buffer_bytes == 425984
    bus.set_filters({0x60A})
    assert made[0].options[-1] == (101, 1, struct.pack("=2I", 0x60A, mask))
    bus.set_filters(None)
    assert made[0].options[-1] == (101, 1, struct.pack("=2I", 0, 0))
    bus.set_filters(())
    assert made[0].options[-1] == (101, 1, b"")


def test_a_reopened_socket_filters_as_before_and_goes_on_counting(monkeypatch: pytest.MonkeyPatch) -> None:
    made, bus = opened(monkeypatch, filters={0x60A})
    bus.send(CanFrame(1, b""))
    made[0].queue.append(OSError(errno.ENODEV, "unplugged"))
    assert refused(bus.receive).cause is Cause.ABSENT
    bus.reopen()
    assert made[0].closed
    assert (101, 1, struct.pack("=2I", 0x60A, 0x7FF | EFF | RTR)) in made[1].options
    assert bus.receive() is None
    bus.send(CanFrame(1, b""))
    assert (bus.counters.sent, bus.counters.reopens) == (2, 1)


@pytest.mark.parametrize(("error", "cause", "advice"), [
    (OSError(errno.ENODEV, "No such device"), Cause.ABSENT, "no CAN interface can0"),
    (OSError("AF_CAN: interface name too long"), Cause.ABSENT, "no CAN interface can0"),
    (PermissionError(errno.EPERM, "no"), Cause.PERMISSION, "can0"),
])
def test_an_interface_that_cannot_be_opened_says_why(
    monkeypatch: pytest.MonkeyPatch, error: OSError, cause: Cause, advice: str
) -> None:
    sock = Scripted()
    sock.bind_error = error
    monkeypatch.setattr(can_socket.socket, "socket", lambda *_: sock)
    caught = refused(SocketCanBus, "can_a", "can0", 10)
    assert caught.cause is cause
    assert advice in caught.detail
    assert sock.closed


def test_a_kernel_without_socketcan_is_absent_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    def make(*_: int) -> None:
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(can_socket.socket, "socket", make)
    error = refused(SocketCanBus, "can_a", "can0", 10)
    assert error.cause is Cause.ABSENT
    assert "modprobe can_raw" in error.detail


def test_an_interface_that_is_not_there_is_absent_on_this_machine_too() -> None:
    assert refused(SocketCanBus, "can_a", "nosuchcan0", 10).cause is Cause.ABSENT
