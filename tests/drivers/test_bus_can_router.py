"""CAN router: every driver hears its frames whatever the others, the bus and unknown nodes do."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

import pytest

from drivers.bus.can_router import CanRouter, wanted_ids
from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError

SECOND = 1_000_000_000


class Bus:
    """A bus that hands out what it was given; an error stays until it is taken away."""

    name = "can_b"

    def __init__(self) -> None:
        self.queue: deque[CanFrame] = deque()
        self.error: Cause | None = None
        self.sent: list[CanFrame] = []

    def send(self, frame: CanFrame) -> None:
        if self.error is not None:
            raise DeviceError(self.name, None, self.error)
        self.sent.append(frame)

    def receive(self) -> CanFrame | None:
        if self.queue:
            return self.queue.popleft()
        if self.error is not None:
            raise DeviceError(self.name, None, self.error)
        return None


class ServicedBus(Bus):
    """The same with filters and an adapter that can be opened anew."""

    def __init__(self) -> None:
        super().__init__()
        self.filters: Collection[int] | None = None
        self.reopens = 0
        self.comes_back = True

    def set_filters(self, can_ids: Collection[int] | None) -> None:
        self.filters = can_ids

    def reopen(self) -> None:
        self.reopens += 1
        if not self.comes_back:
            raise DeviceError(self.name, None, Cause.ABSENT)
        self.error = None


class Driver:
    """Gives the data of its frames; refuses those that begin with FFh; says nothing to empty ones."""

    def __init__(self, *ids: int) -> None:
        self.can_ids = ids

    def take(self, frame: CanFrame, now_ns: int) -> tuple[int, bytes, int] | None:
        if frame.data[:1] == b"\xff":
            raise DeviceError("can_b", None, Cause.IMPLAUSIBLE)
        return (frame.can_id, frame.data, now_ns) if frame.data else None


class Heard:
    """A listener that remembers."""

    def __init__(self) -> None:
        self.samples: list[object] = []
        self.refusals: list[Cause] = []

    def hear(self, sample: object, now_ns: int) -> None:
        self.samples.append(sample)

    def refuse(self, cause: Cause, now_ns: int) -> None:
        self.refusals.append(cause)


def joined(bus: Bus, *drivers: Driver) -> tuple[CanRouter, list[Heard]]:
    heard = [Heard() for _ in drivers]
    return CanRouter(bus, drivers, heard), heard


def test_each_driver_hears_its_own_frames_with_their_time() -> None:
    bus = Bus()
    router, (one, two) = joined(bus, Driver(0x351, 0x356), Driver(0x60A))
    bus.queue.extend([CanFrame(0x351, b"a"), CanFrame(0x60A, b"b"), CanFrame(0x356, b"c"), CanFrame(0x356, b"")])
    assert router.service(7, 10) == 4
    assert one.samples == [(0x351, b"a", 7), (0x356, b"c", 7)]
    assert two.samples == [(0x60A, b"b", 7)]
    assert (router.counters.frames, router.counters.samples, router.counters.unknown) == (4, 3, 0)


def test_a_refusal_is_told_to_its_own_listener_and_loses_nobody_else_s_frame() -> None:
    bus = Bus()
    router, (one, two) = joined(bus, Driver(0x351), Driver(0x60A))
    bus.queue.extend([CanFrame(0x351, b"\xff"), CanFrame(0x60A, b"b"), CanFrame(0x351, b"a")])
    assert router.service(0, 10) == 3
    assert (one.samples, one.refusals) == ([(0x351, b"a", 0)], [Cause.IMPLAUSIBLE])
    assert (two.samples, two.refusals) == ([(0x60A, b"b", 0)], [])
    assert router.counters.refused == {Cause.IMPLAUSIBLE: 1}


def test_drivers_that_want_the_same_id_all_hear_it_though_the_first_refuses() -> None:
    bus = Bus()
    strict, lenient = Driver(0x100), Driver(0x100)
    lenient.take = lambda frame, now_ns: (frame.can_id, frame.data, now_ns)  # type: ignore[method-assign]
    router, (one, two) = joined(bus, strict, lenient)
    bus.queue.append(CanFrame(0x100, b"\xff"))
    router.service(3, 10)
    assert (one.samples, one.refusals) == ([], [Cause.IMPLAUSIBLE])
    assert two.samples == [(0x100, b"\xff", 3)]


def test_unknown_and_extended_frames_are_counted_and_reach_nobody() -> None:
    bus = Bus()
    router, (one,) = joined(bus, Driver(0x351))
    bus.queue.extend([CanFrame(0x352, b"x"), CanFrame(0x351, b"x", True), CanFrame(0x1FFFFFFF, b"x", True)])
    assert router.service(0, 10) == 3
    assert one.samples == []
    assert (router.counters.unknown, router.counters.extended) == (1, 2)


def test_a_service_takes_at_most_its_limit_and_the_rest_comes_next() -> None:
    bus = Bus()
    router, (one,) = joined(bus, Driver(1))
    bus.queue.extend(CanFrame(1, bytes((i,))) for i in range(10))
    assert router.service(0, 4) == 4
    assert router.counters.limit_hits == 1
    assert router.service(1, 20) == 6
    assert [sample[1][0] for sample in one.samples] == list(range(10))
    assert router.counters.limit_hits == 1
    assert router.service(2, 20) == 0


def test_an_id_that_a_driver_names_twice_is_heard_once() -> None:
    bus = Bus()
    router, (one,) = joined(bus, Driver(1, 1))
    bus.queue.append(CanFrame(1, b"x"))
    router.service(0, 10)
    assert len(one.samples) == 1


def test_bus_off_is_told_once_to_everybody_after_what_had_arrived_and_kept_until_it_ends() -> None:
    bus = Bus()
    router, listeners = joined(bus, Driver(1), Driver(2))
    bus.queue.append(CanFrame(1, b"x"))
    bus.error = Cause.BUS_OFF
    assert router.service(0, 10) == 1
    assert len(listeners[0].samples) == 1
    for now_ns in (1, 2):
        assert router.service(now_ns, 10) == 0
    assert [one.refusals for one in listeners] == [[Cause.BUS_OFF], [Cause.BUS_OFF]]
    assert router.bus_error is not None
    assert router.bus_error.cause is Cause.BUS_OFF
    assert router.counters.bus_errors == {Cause.BUS_OFF: 3}
    bus.error = None
    router.service(3, 10)
    assert router.bus_error is None


def test_a_lost_interface_is_opened_anew_at_most_once_a_second() -> None:
    bus = ServicedBus()
    bus.comes_back = False
    router, (one,) = joined(bus, Driver(1))
    bus.error = Cause.ABSENT
    for tick in range(200 * 3 + 1):
        router.service(tick * SECOND // 200, 10)
    assert bus.reopens == router.counters.reopens == 3
    assert one.refusals == [Cause.ABSENT]
    bus.comes_back = True
    router.service(5 * SECOND, 10)
    bus.queue.append(CanFrame(1, b"x"))
    router.service(6 * SECOND, 10)
    assert router.bus_error is None
    assert len(one.samples) == 1


def test_a_bus_that_is_off_is_not_reopened_and_one_that_cannot_be_is_left_alone() -> None:
    serviced, plain = ServicedBus(), Bus()
    serviced.error, plain.error = Cause.BUS_OFF, Cause.ABSENT
    for bus in (serviced, plain):
        router, _ = joined(bus, Driver(1))
        for second in range(5):
            router.service(second * SECOND, 10)
    assert serviced.reopens == 0


def test_a_bus_that_can_filter_is_set_to_the_ids_that_are_wanted() -> None:
    bus = ServicedBus()
    router, _ = joined(bus, Driver(0x351, 0x355), Driver(0x60A, 0x351))
    assert bus.filters == router.can_ids == {0x351, 0x355, 0x60A}


def test_what_is_sent_is_counted_and_what_the_bus_refuses_is_raised() -> None:
    bus = Bus()
    router, _ = joined(bus, Driver(1))
    router.send(CanFrame(0x200, b"x"))
    bus.error = Cause.TIMEOUT
    with pytest.raises(DeviceError):
        router.send(CanFrame(0x200, b"y"))
    assert bus.sent == [CanFrame(0x200, b"x")]
    assert (router.counters.sent, router.counters.bus_errors) == (1, {Cause.TIMEOUT: 1})


def test_an_id_beyond_eleven_bits_is_the_driver_s_error() -> None:
    with pytest.raises(ValueError, match="0x800"):
        wanted_ids([Driver(0x800)])


def test_drivers_and_listeners_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="argument"):
        CanRouter(Bus(), [Driver(1)], [])
