"""The CAN twin delivers every frame in order, keeps its queue bounded and shows exactly the faults injected."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from drivers.bus.protocol import CanBus, CanFrame
from drivers.errors import Cause, DeviceError
from hil.can import SimCanBus
from hil.faults import Fault, FaultKind

FAR = 1 << 62


class Echo:
    """A node that keeps what it hears and sends what it is told, when it is told."""

    def __init__(self, node_id: int) -> None:
        self.node_id = node_id
        self.next_event_ns = FAR
        self.heard: list[tuple[int, CanFrame]] = []
        self.plan: list[tuple[int, CanFrame]] = []
        self.reply: CanFrame | None = None
        self.transmit: Callable[[CanFrame, int], None] = lambda frame, t_ns: None

    def connect(self, transmit: Callable[[CanFrame, int], None]) -> None:
        self.transmit = transmit

    def receive(self, frame: CanFrame, t_ns: int) -> None:
        self.heard.append((t_ns, frame))
        if self.reply is not None:
            reply, self.reply = self.reply, None
            self.transmit(reply, t_ns)

    def schedule(self, t_ns: int, frame: CanFrame) -> None:
        self.plan = sorted([*self.plan, (t_ns, frame)])
        self.next_event_ns = self.plan[0][0]

    def advance(self, t_ns: int) -> None:
        while self.plan and self.plan[0][0] <= t_ns:
            at, frame = self.plan.pop(0)
            self.next_event_ns = self.plan[0][0] if self.plan else FAR
            self.transmit(frame, at)

    @property
    def frames(self) -> list[CanFrame]:
        return [frame for _, frame in self.heard]


def pair(**options: object) -> tuple[SimCanBus, Echo, Echo]:
    bus = SimCanBus("can0", **options)  # type: ignore[arg-type]
    a, b = Echo(0x10), Echo(0x11)
    bus.attach(a)
    bus.attach(b)
    return bus, a, b


def drain(bus: SimCanBus) -> list[CanFrame]:
    frames = []
    while (frame := bus.receive()) is not None:
        frames.append(frame)
    return frames


def frame(can_id: int, *data: int) -> CanFrame:
    return CanFrame(can_id, bytes(data))


def test_it_is_a_can_bus() -> None:
    assert isinstance(SimCanBus("can0"), CanBus)


def test_a_frame_reaches_every_node_at_the_time_of_the_bus() -> None:
    bus, a, b = pair()
    bus.advance(7_000_000)
    bus.send(frame(0x80))
    bus.now_ns = 9_000_000
    bus.send(frame(0x210, 1))
    expected = [(7_000_000, frame(0x80)), (9_000_000, frame(0x210, 1))]
    assert a.heard == b.heard == expected
    assert bus.receive() is None
    assert bus.sent == 2


def test_frames_of_all_nodes_arrive_in_time_order() -> None:
    bus, a, b = pair()
    a.schedule(3, frame(0x190, 3))
    b.schedule(1, frame(0x191, 1))
    b.schedule(4, frame(0x191, 4))
    a.schedule(2, frame(0x190, 2))
    bus.advance(3)
    assert [f.data[0] for f in drain(bus)] == [1, 2, 3]
    bus.advance(10)
    assert [f.data[0] for f in drain(bus)] == [4]


def test_nodes_hear_each_other_but_not_themselves() -> None:
    bus, a, b = pair()
    a.schedule(5, frame(0x710, 5))
    bus.advance(6)
    assert b.heard == [(5, frame(0x710, 5))]
    assert a.heard == []


def test_an_answer_is_heard_after_the_frame_that_caused_it() -> None:
    bus, a, b = pair()
    a.reply = frame(0x590, 0x60)
    bus.send(frame(0x610, 0x2F))
    assert b.frames == [frame(0x610, 0x2F), frame(0x590, 0x60)]
    assert drain(bus) == [frame(0x590, 0x60)]


def test_the_receive_queue_is_bounded_and_counts_what_it_drops() -> None:
    bus, a, _ = pair(queue_limit=3)
    for n in range(5):
        a.transmit(frame(0x190, n), n)
    assert [f.data[0] for f in drain(bus)] == [0, 1, 2]
    assert (bus.received, bus.dropped, bus.queue_high) == (3, 2, 3)


def test_the_queue_holds_256_frames_unless_told_otherwise() -> None:
    bus, a, _ = pair()
    for n in range(300):
        a.transmit(frame(0x190, n & 0xFF), n)
    assert len(drain(bus)) == 256
    assert bus.dropped == 44


def test_time_does_not_run_backwards() -> None:
    bus, _, _ = pair()
    bus.advance(10)
    with pytest.raises(ValueError, match="back"):
        bus.advance(9)


@pytest.mark.parametrize("bad", [CanFrame(0x800, b""), CanFrame(1, bytes(9)), CanFrame(1 << 29, b"", True)])
def test_what_classic_can_cannot_carry_is_refused(bad: CanFrame) -> None:
    bus, a, _ = pair()
    with pytest.raises(ValueError, match="classic"):
        bus.send(bad)
    assert a.heard == []


def test_a_node_id_can_be_taken_once() -> None:
    bus, _, _ = pair()
    with pytest.raises(ValueError, match="taken"):
        bus.attach(Echo(0x10))


def test_a_silent_node_neither_speaks_nor_hears() -> None:
    bus, a, b = pair()
    handle = bus.inject(Fault(FaultKind.SILENCE, address=0x10))
    bus.send(frame(0x80))
    a.transmit(frame(0x710, 5), 0)
    b.transmit(frame(0x711, 5), 0)
    assert drain(bus) == [frame(0x711, 5)]
    bus.clear(handle)
    bus.send(frame(0x81))
    assert a.frames == [frame(0x81)]
    assert b.frames[-1] == frame(0x81)


def test_a_silent_bus_carries_nothing_and_says_nothing() -> None:
    bus, a, b = pair()
    bus.inject(Fault(FaultKind.SILENCE))
    bus.send(frame(0x80))
    a.transmit(frame(0x710, 5), 0)
    bus.advance(5)
    assert a.heard == b.heard == []
    assert bus.receive() is None


def test_a_bit_flip_changes_the_given_bit_of_the_nodes_frames_only() -> None:
    bus, a, b = pair()
    handle = bus.inject(Fault(FaultKind.BIT_FLIP, address=0x10, byte=1, bit=3, count=2))
    bus.send(frame(0x80))
    bus.send(frame(0x211, 0, 0))
    bus.send(frame(0x210, 0, 0))
    a.transmit(frame(0x190, 0xFF, 0xFF), 0)
    bus.send(frame(0x210, 0, 0))
    assert [f.data for f in a.frames] == [b"", b"\0\0", b"\0\x08", b"\0\0"]
    assert [f.data for f in b.frames[:4]] == [b"", b"\0\0", b"\0\0", b"\xff\xf7"]
    assert drain(bus) == [frame(0x190, 0xFF, 0xF7)]
    assert handle.hits == 2


def test_a_random_bit_flip_changes_one_bit_and_repeats_with_its_seed() -> None:
    def run(seed: int) -> list[bytes]:
        bus, a, _ = pair(rng=np.random.default_rng(seed))
        bus.inject(Fault(FaultKind.BIT_FLIP))
        for _ in range(20):
            bus.send(CanFrame(0x210, bytes(8)))
        return [f.data for f in a.frames]

    first = run(4)
    assert all(sum(byte.bit_count() for byte in data) == 1 for data in first)
    assert len(set(first)) > 5
    assert run(4) == first
    assert run(5) != first


def test_single_frames_are_lost_with_the_given_probability() -> None:
    bus, a, _ = pair(rng=np.random.default_rng(1))
    handle = bus.inject(Fault(FaultKind.SILENCE, probability=0.25))
    for _ in range(1000):
        bus.send(frame(0x210, 0))
    assert len(a.heard) + handle.hits == 1000
    assert 200 < handle.hits < 300


def test_chance_needs_a_generator() -> None:
    bus, _, _ = pair()
    with pytest.raises(ValueError, match="generator"):
        bus.inject(Fault(FaultKind.SILENCE, probability=0.5))


def test_faults_of_other_buses_are_refused() -> None:
    bus, _, _ = pair()
    with pytest.raises(ValueError, match="no meaning"):
        bus.inject(Fault(FaultKind.NACK_ADDRESS))


def test_bus_off_lasts_until_it_is_cleared() -> None:
    bus, a, _ = pair()
    handle = bus.inject(Fault(FaultKind.BUS_OFF))
    for call in (bus.receive, lambda: bus.send(frame(0x80))):
        with pytest.raises(DeviceError) as caught:
            call()
        assert caught.value.cause is Cause.BUS_OFF
    bus.reopen()
    with pytest.raises(DeviceError):
        bus.receive()
    a.transmit(frame(0x710, 5), 0)
    bus.clear(handle)
    assert bus.receive() is None
    bus.send(frame(0x80))
    assert a.frames == [frame(0x80)]


def test_a_single_bus_off_is_healed_by_reinitialising() -> None:
    bus, a, _ = pair()
    bus.inject(Fault(FaultKind.BUS_OFF, count=1))
    for _ in range(3):
        with pytest.raises(DeviceError):
            bus.send(frame(0x80))
    assert bus.bus_off
    bus.reopen()
    assert not bus.bus_off
    bus.send(frame(0x81))
    assert a.frames == [frame(0x81)]


def test_nodes_go_on_talking_while_the_flight_computer_is_bus_off() -> None:
    bus, a, b = pair()
    bus.inject(Fault(FaultKind.BUS_OFF, count=1))
    with pytest.raises(DeviceError):
        bus.receive()
    a.schedule(1, frame(0x710, 5))
    bus.advance(2)
    assert b.frames == [frame(0x710, 5)]


def test_a_full_transmit_queue_is_a_timeout_and_the_frame_is_not_sent() -> None:
    bus, a, _ = pair()
    bus.inject(Fault(FaultKind.TIMEOUT, address=0x10, count=1))
    bus.send(frame(0x211, 1))
    with pytest.raises(DeviceError) as caught:
        bus.send(frame(0x210, 1))
    assert (caught.value.cause, caught.value.address, caught.value.bus) == (Cause.TIMEOUT, 0x10, "can0")
    bus.send(frame(0x210, 2))
    assert a.frames == [frame(0x211, 1), frame(0x210, 2)]
    assert bus.sent == 2
