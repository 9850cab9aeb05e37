"""A CAN bus on UDP: nodes of the rig answer a program as real ones do, beside real ones too, and survive a lost bus."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.bus.can_open import open_can
from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError
from hil.can import SimCanBus
from hil.faults import Fault, FaultKind
from hil.serve.can_side import RESTART_NS, CanSide
from hil.serve.side import Poller


class Echo:
    """A node that answers frames of its id at once, with the id of its answers."""

    next_event_ns = 1 << 62

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.heard: list[CanFrame] = []
        self._send: Callable[[CanFrame, int], None] = lambda frame, t_ns: None

    def connect(self, transmit: Callable[[CanFrame, int], None]) -> None:
        self._send = transmit

    def receive(self, frame: CanFrame, t_ns: int) -> None:
        self.heard.append(frame)
        if frame.can_id == 0x600 + self.node_id:
            self._send(CanFrame(0x580 + self.node_id, frame.data[::-1]), t_ns)

    def advance(self, t_ns: int) -> None:
        pass


class Failing:
    """An end of a bus that fails while it is told to."""

    def __init__(self, bus: Any) -> None:
        self.fail = False
        self.reopened = 0
        self._bus = bus
        self.fileno, self.send, self.close = bus.fileno, bus.send, bus.close

    def drain(self, limit: int) -> list[CanFrame]:
        if self.fail:
            raise DeviceError("can0", None, Cause.ABSENT, "the network is down")
        frames: list[CanFrame] = self._bus.drain(limit)
        return frames

    def reopen(self) -> None:
        self.reopened += 1
        self._bus.reopen()


class Bench:
    """One side on a multicast group that nobody else has."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.device = f"udp://239.74.163.99:{probe.getsockname()[1]}"
        self.twin, self.node = SimCanBus("can0"), Echo(0x11)
        self.twin.attach(self.node)
        self.end: Any = None
        self.side = CanSide("can0", self.twin, self.open, self.device)
        self.poller = Poller()
        self.now_ns = 0

    def open(self) -> Any:
        self.end = Failing(open_can("can0", self.device, None, 10))
        return self.end

    def turn(self, times: int = 1, step_ns: int = 1_000_000) -> None:
        for _ in range(times):
            self.poller.wait(0.002)
            self.now_ns += step_ns
            self.side.step(self.now_ns)

    def hear(self, bus: Any) -> CanFrame | None:
        for _ in range(100):
            self.turn()
            frame: CanFrame | None = bus.receive()
            if frame is not None:
                return frame
        return None


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.side.start(bench.poller)
    yield bench
    bench.side.close()
    bench.poller.close()


@pytest.fixture
def program(bench: Bench) -> Iterator[Any]:
    bus: Any = open_can("can0", bench.device, None, 10)
    yield bus
    bus.close()


def test_a_node_of_the_rig_answers_a_program_over_the_wire(bench: Bench, program: Any) -> None:
    program.send(CanFrame(0x611, b"\x01\x02\x03"))
    assert bench.hear(program) == CanFrame(0x591, b"\x03\x02\x01")
    assert bench.side.counts() == {"to program": 1, "from program": 1, "dropped": 0}


def test_nodes_of_the_rig_hear_real_ones_and_only_they_answer(bench: Bench, program: Any) -> None:
    real: Any = open_can("can0", bench.device, None, 10)
    real.send(CanFrame(0x711, b"\x05"))
    bench.turn(5)
    assert bench.node.heard == [CanFrame(0x711, b"\x05")]
    program.send(CanFrame(0x612, b"\x09"))  # a node that is really there
    assert bench.hear(program) == CanFrame(0x711, b"\x05")
    assert program.receive() is None
    assert real.receive() == CanFrame(0x612, b"\x09")
    real.close()


def test_a_controller_off_the_bus_carries_nothing_and_comes_back_in_a_second(bench: Bench, program: Any) -> None:
    bench.twin.inject(Fault(FaultKind.BUS_OFF, count=1))
    program.send(CanFrame(0x611, b"\x01"))
    bench.turn(5)
    assert bench.twin.bus_off
    assert bench.side.dropped >= 1
    bench.turn(3, RESTART_NS)
    assert not bench.twin.bus_off
    program.send(CanFrame(0x611, b"\x07"))
    assert bench.hear(program) == CanFrame(0x591, b"\x07")


def test_a_wire_that_went_away_is_joined_again(bench: Bench, program: Any) -> None:
    bench.end.fail = True  # the interface went down
    program.send(CanFrame(0x611, b"\x01"))
    bench.turn(3)
    bench.end.fail = False
    assert bench.node.heard == []
    bench.turn(3, RESTART_NS)
    assert bench.end.reopened == 1
    program.send(CanFrame(0x611, b"\x08"))
    assert bench.hear(program) == CanFrame(0x591, b"\x08")


def test_an_end_that_can_not_be_opened_says_so_at_the_start() -> None:
    def refuse() -> Any:
        raise DeviceError("can0", None, Cause.ABSENT, "no interface can0")

    side = CanSide("can0", SimCanBus("can0"), refuse, None)
    poller = Poller()
    with pytest.raises(DeviceError, match="no interface"):
        side.start(poller)
    side.close()
    poller.close()


class Deaf:
    """An end without a descriptor that takes nothing."""

    def __init__(self) -> None:
        self.asked = 0

    def drain(self, limit: int) -> list[CanFrame]:
        self.asked += 1
        return []

    def send(self, frame: CanFrame) -> None:
        raise DeviceError("can0", None, Cause.TIMEOUT, "transmit queue full")

    def close(self) -> None:
        pass


def test_an_adapter_without_a_descriptor_is_asked_at_every_step_and_what_it_refuses_is_counted() -> None:
    twin, node, deaf = SimCanBus("can0"), Echo(0x11), Deaf()
    twin.attach(node)
    side, poller = CanSide("can0", twin, lambda: deaf, None), Poller()
    side.start(poller)
    node._send(CanFrame(0x591, b"\x01"), 0)
    side.step(1)
    side.step(2)
    assert (deaf.asked, side.dropped) == (2, 1)
    side.close()
    poller.close()
