"""Who sends next: control's share and its end, weights, fair shares within a class, no idle line, no overtaking."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.channel_plan import ChannelSpec, QosClass
from comms.channels.manager import ChannelManager
from comms.channels.scheduler import OVERHEAD_BYTES, Picked, Scheduler
from comms.channels.states import ChannelCondition
from comms.channels.transmit_level import TransmitLevel, TransmitStep
from comms.emcon import EmconGate, EmconLevel, Transmitter
from fdir.modes import Emission

S = 1_000_000_000
FULL = TransmitStep(TransmitLevel.FULL, 1.0, 1.0, frozenset(), frozenset())
CONTROL, TELEMETRY, FILES, SCIENCE = 0, 1, 3, 4
LINE = 9600.0


class Line:
    """One line that sends a packet at a time, with every channel open."""

    def __init__(self, bit_rate: float = LINE, longest: int = 231) -> None:
        self.manager = ChannelManager(longest_bytes=longest)
        self.emcon = EmconGate()
        self.emcon.follow(Emission.OPEN, 0)
        self.scheduler = Scheduler(self.manager, bit_rate)
        self.bit_rate = bit_rate
        self.now_ns = 0
        self.sent: dict[int, int] = {}
        self.judge()

    def judge(self) -> None:
        good = ChannelCondition(Transmitter.RADIO, FULL, authorised=True, in_safe=False)
        self.manager.judge(lambda spec: good, self.emcon, self.now_ns)

    def put(self, number: int, size: int, count: int = 1) -> None:
        for _ in range(count):
            self.manager.put(number, bytes(size), self.now_ns)

    def keep_full(self, numbers: dict[int, int]) -> None:
        for number, size in numbers.items():
            lane = self.manager.lane(number)
            assert lane is not None
            while len(lane.queue) < 3:
                self.put(number, size)

    def next(self, room: int = 1 << 20) -> Picked | None:
        picked = self.scheduler.next_packet(room, self.now_ns)
        if picked is not None:
            size = len(picked.payload) + OVERHEAD_BYTES
            self.sent[picked.channel_id] = self.sent.get(picked.channel_id, 0) + size
            self.now_ns += round(8 * size * S / self.bit_rate)
        return picked

    def saturate(self, numbers: dict[int, int], seconds: int = 60) -> None:
        while self.now_ns < seconds * S:
            self.keep_full(numbers)
            assert self.next() is not None

    def share(self, number: int) -> float:
        return self.sent.get(number, 0) / sum(self.sent.values())


def test_an_empty_line_has_nothing_to_send() -> None:
    assert Line().next() is None


def test_control_overtakes_everything_that_waits() -> None:
    line = Line()
    line.put(FILES, 200, 3)
    line.put(TELEMETRY, 100)
    line.put(CONTROL, 40)
    assert (line.next() or Picked(99, b"", 0)).channel_id == CONTROL


@pytest.mark.parametrize("size", [20, 60, 231])
def test_control_that_never_ends_gets_a_fifth_and_the_others_their_weights(size: int) -> None:
    line = Line()
    line.saturate({CONTROL: size, TELEMETRY: 120, SCIENCE: 200, FILES: 231}, 120)
    assert line.share(CONTROL) == pytest.approx(0.20, abs=0.01)
    for number, weight in ((TELEMETRY, 5), (SCIENCE, 2), (FILES, 1)):
        assert line.share(number) == pytest.approx(0.8 * weight / 8, rel=0.03)


def test_what_control_leaves_belongs_to_the_others() -> None:
    line = Line()
    line.saturate({TELEMETRY: 120, SCIENCE: 50, FILES: 231})
    for number, weight in ((TELEMETRY, 5), (SCIENCE, 2), (FILES, 1)):
        assert line.share(number) == pytest.approx(weight / 8, rel=0.03)


def test_an_absent_class_leaves_its_share() -> None:
    line = Line()
    line.saturate({SCIENCE: 120, FILES: 120})
    assert line.share(SCIENCE) == pytest.approx(2 / 3, rel=0.03)


def test_control_has_the_whole_line_while_nobody_else_wants_it() -> None:
    line = Line()
    line.saturate({CONTROL: 100}, 10)
    assert line.share(CONTROL) == 1.0
    assert line.scheduler.served_bytes[QosClass.CONTROL] == line.sent[CONTROL]


def test_a_long_time_alone_is_not_held_against_control() -> None:
    line = Line()
    line.saturate({CONTROL: 60}, 30)
    credit = line.scheduler.credit_bytes
    assert -(60 + OVERHEAD_BYTES) <= credit <= 0
    line.put(CONTROL, 60)
    while (picked := line.next()) is not None and picked.channel_id != FILES:
        line.keep_full({FILES: 100})
        line.put(CONTROL, 60)
    line.now_ns += S
    assert (line.next() or Picked(99, b"", 0)).channel_id == CONTROL


def test_channels_of_a_class_share_by_bytes_whatever_their_packets() -> None:
    line = Line()
    specs = [line.manager.create_channel("bulk", True, 3, f"b{n}", f"o{n}") for n in range(4)]
    line.judge()
    ids = [spec.id for spec in specs if isinstance(spec, ChannelSpec)]
    sizes = dict(zip(ids, (20, 60, 150, 231), strict=True))
    line.saturate(sizes)
    for number in sizes:
        assert line.share(number) == pytest.approx(0.25, rel=0.03)


def test_control_channels_share_too() -> None:
    line = Line()
    other = line.manager.create_channel("control", True, 0, "second", "b")
    assert isinstance(other, ChannelSpec)
    line.judge()
    line.saturate({CONTROL: 20, other.id: 200, TELEMETRY: 231})
    assert line.share(CONTROL) == pytest.approx(0.10, abs=0.01)
    assert line.share(other.id) == pytest.approx(0.10, abs=0.01)


def test_who_was_silent_has_no_claim_on_what_it_did_not_use() -> None:
    line = Line()
    line.saturate({FILES: 200}, 30)
    line.sent.clear()
    end = line.now_ns + 30 * S
    while line.now_ns < end:
        line.keep_full({FILES: 200, TELEMETRY: 200})
        line.next()
    assert line.share(FILES) == pytest.approx(1 / 6, rel=0.05)


def test_a_packet_that_does_not_fit_is_waited_for_and_not_overtaken() -> None:
    line = Line()
    line.put(TELEMETRY, 100)
    line.put(FILES, 20)
    assert line.next(100 + OVERHEAD_BYTES - 1) is None
    assert (line.next(100 + OVERHEAD_BYTES) or Picked(99, b"", 0)).channel_id == TELEMETRY
    line.put(CONTROL, 60)
    assert line.next(40) is None


def test_what_the_way_cannot_carry_is_left_for_another() -> None:
    line = Line()
    line.put(FILES, 200)
    line.put(SCIENCE, 20)
    narrow = Scheduler(line.manager, LINE, mtu=100)
    assert (narrow.next_packet(1000, 0) or Picked(99, b"", 0)).channel_id == SCIENCE
    assert narrow.next_packet(1000, 0) is None
    assert (line.next() or Picked(99, b"", 0)).channel_id == FILES


def test_only_the_channels_of_this_way_are_served() -> None:
    line = Line()
    line.put(FILES, 10)
    line.scheduler.carries = frozenset({TELEMETRY})
    assert line.next() is None
    line.scheduler.carries = None
    assert line.next() is not None


def test_a_channel_that_is_cut_waits_and_holds_nobody_up() -> None:
    line = Line()
    line.put(FILES, 10)
    line.put(CONTROL, 10)
    line.emcon.set_level(EmconLevel.RESTRICTED, 0)
    line.judge()
    assert (line.next() or Picked(99, b"", 0)).channel_id == CONTROL
    assert line.next() is None
    line.emcon.set_level(EmconLevel.OPEN, 1)
    line.judge()
    assert (line.next() or Picked(99, b"", 0)).channel_id == FILES


def test_a_channel_that_nobody_has_judged_is_closed() -> None:
    manager = ChannelManager()
    manager.put(CONTROL, b"x", 0)
    assert Scheduler(manager, LINE).next_packet(1000, 0) is None


def test_a_packet_that_could_not_be_sent_comes_again() -> None:
    line = Line()
    line.put(CONTROL, 10)
    picked = line.next()
    assert picked is not None
    assert line.scheduler.restore(picked)
    assert line.next() == picked
    assert not line.scheduler.restore(Picked(29, b"x", 0))


def test_a_slower_line_gives_control_less() -> None:
    line = Line()
    line.scheduler.set_rate(LINE / 4)
    line.bit_rate = LINE / 4
    line.saturate({CONTROL: 60, TELEMETRY: 120})
    assert line.share(CONTROL) == pytest.approx(0.2, abs=0.05)
    with pytest.raises(ValueError, match="bit_rate"):
        line.scheduler.set_rate(0.0)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7]), st.integers(1, 231), st.booleans()), max_size=120))
def test_the_line_never_idles_and_nothing_is_lost_or_split(operations: list[tuple[int, int, bool]]) -> None:
    line, twin = Line(), Line()
    waiting: list[int] = []
    for number, size, send in operations:
        before = line.manager.waiting_bytes
        line.put(number, size)
        twin.put(number, size)
        if line.manager.waiting_bytes > before:
            waiting.append(size)
        if send:
            picked = line.next()
            assert picked == twin.next(), "the same inputs make the same decisions"
            assert picked is not None
            waiting.remove(len(picked.payload))
    while waiting:
        picked = line.next()
        assert picked is not None
        waiting.remove(len(picked.payload))
    assert line.next() is None
