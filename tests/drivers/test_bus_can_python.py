"""Any python-can bus as a CanBus: frames through its virtual bus, its exceptions as typed errors."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest

can = pytest.importorskip("can")

from drivers.bus.can_python import PythonCanBus  # noqa: E402
from drivers.bus.protocol import CanBus, CanFrame  # noqa: E402
from drivers.errors import Cause, DeviceError  # noqa: E402


@pytest.fixture
def buses(request: pytest.FixtureRequest) -> Iterator[tuple[PythonCanBus, can.BusABC]]:
    channel = request.node.name
    bus = PythonCanBus("can_v", can.Bus(interface="virtual", channel=channel), timeout_ms=5)
    peer = can.Bus(interface="virtual", channel=channel)
    yield bus, peer
    bus.close()
    peer.shutdown()


class Failing(can.BusABC):
    """A bus whose calls raise what they are given."""

    def __init__(self) -> None:
        super().__init__(channel="none")
        self.error: Exception | None = None
        self.messages: list[can.Message] = []
        self.told: can.BusState | None = can.BusState.ACTIVE

    @property
    def state(self) -> can.BusState:
        if self.told is None:
            raise NotImplementedError
        return self.told

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        if self.error is not None:
            raise self.error

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        if self.error is not None:
            raise self.error
        return (self.messages.pop(0) if self.messages else None), False


@pytest.fixture
def failing() -> Iterator[Failing]:
    bus = Failing()
    yield bus
    bus.shutdown()


def cause(call: Callable[..., object], *arguments: object) -> Cause:
    with pytest.raises(DeviceError) as refused:
        call(*arguments)
    assert refused.value.bus == "can_v"
    return refused.value.cause


def test_it_is_a_can_bus(buses: tuple[PythonCanBus, can.BusABC]) -> None:
    assert isinstance(buses[0], CanBus)


@pytest.mark.parametrize("frame", [
    CanFrame(0, b""), CanFrame(0x7FF, bytes(8)), CanFrame(0x1FFFFFFF, b"123", True),
])
def test_a_frame_goes_both_ways(buses: tuple[PythonCanBus, can.BusABC], frame: CanFrame) -> None:
    bus, peer = buses
    bus.send(frame)
    message = peer.recv(0)
    assert (message.arbitration_id, bytes(message.data), message.is_extended_id) == frame
    peer.send(message)
    assert bus.receive() == frame
    assert bus.receive() is None
    assert (bus.counters.sent, bus.counters.received) == (1, 1)


def test_drain_takes_at_most_its_limit_in_order(buses: tuple[PythonCanBus, can.BusABC]) -> None:
    bus, peer = buses
    for index in range(7):
        peer.send(can.Message(arbitration_id=index, is_extended_id=False))
    assert [frame.can_id for frame in bus.drain(5)] == [0, 1, 2, 3, 4]
    assert [frame.can_id for frame in bus.drain(5)] == [5, 6]
    assert bus.drain(5) == []


def test_messages_that_are_no_classic_data_frames_are_counted(buses: tuple[PythonCanBus, can.BusABC]) -> None:
    bus, peer = buses
    peer.send(can.Message(is_remote_frame=True, dlc=3))
    peer.send(can.Message(is_fd=True, data=bytes(12)))
    peer.send(can.Message(is_error_frame=True))
    peer.send(can.Message(arbitration_id=3, is_extended_id=False, data=b"x"))
    assert bus.receive() == CanFrame(3, b"x")
    assert (bus.counters.unsupported, bus.counters.notices) == (2, 1)


@pytest.mark.parametrize("frame", [CanFrame(0x800, b""), CanFrame(1, bytes(9))])
def test_what_classic_can_cannot_carry_is_the_caller_s_error(
    buses: tuple[PythonCanBus, can.BusABC], frame: CanFrame
) -> None:
    with pytest.raises(ValueError, match="no classic CAN frame"):
        buses[0].send(frame)


@pytest.mark.parametrize(("error", "expected"), [
    (can.CanTimeoutError("late"), Cause.TIMEOUT), (can.CanOperationError("full", errno.ENOBUFS), Cause.TIMEOUT),
    (can.CanOperationError("down", errno.ENETDOWN), Cause.ABSENT), (can.CanOperationError("odd"), Cause.PROTOCOL),
    (OSError(errno.ENODEV, "unplugged"), Cause.ABSENT), (PermissionError(errno.EACCES, "no"), Cause.PERMISSION),
    (can.CanInitializationError("gone"), Cause.PROTOCOL),
])
def test_each_exception_has_its_cause(failing: Failing, error: Exception, expected: Cause) -> None:
    bus = PythonCanBus("can_v", failing)
    failing.error = error
    assert cause(bus.send, CanFrame(1, b"")) is expected
    assert cause(bus.receive) is expected
    assert bus.counters.sent == 0


def test_a_controller_that_left_the_bus_is_bus_off(failing: Failing) -> None:
    bus = PythonCanBus("can_v", failing)
    failing.messages = [can.Message(is_error_frame=True)]
    failing.told = can.BusState.ERROR
    assert cause(bus.receive) is Cause.BUS_OFF
    failing.error = can.CanOperationError("refused")
    assert cause(bus.send, CanFrame(1, b"")) is Cause.BUS_OFF
    assert bus.counters.bus_off == 2
    failing.told = None
    assert cause(bus.send, CanFrame(1, b"")) is Cause.PROTOCOL


def test_a_bus_that_was_shut_down_refuses(buses: tuple[PythonCanBus, can.BusABC]) -> None:
    bus, _ = buses
    bus.close()
    with pytest.raises(DeviceError):
        bus.receive()


def test_frames_before_a_fault_are_handed_out_first(failing: Failing) -> None:
    bus = PythonCanBus("can_v", failing)
    failing.told = can.BusState.ERROR
    failing.messages = [
        can.Message(arbitration_id=1, is_extended_id=False), can.Message(is_error_frame=True),
    ]
    assert bus.drain(9) == [CanFrame(1, b"")]
