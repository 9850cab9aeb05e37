"""Channels: creating and closing them, their queues and bounds, their states."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.channel_plan import PLAN, ChannelKind, ChannelSpec, QosClass
from comms.channels.channel_queue import GAP_NS, ChannelQueue, Drop, QueueRule, rule_for
from comms.channels.kept_record import KeptRecord
from comms.channels.manager import MOST_OF_ONE, ChannelManager, ChannelRefusal
from comms.channels.states import ChannelCondition, ChannelState, judge_channel, rate_class
from comms.channels.transmit_level import TransmitLevel, TransmitStep
from comms.channels.waits import WaitHistogram
from comms.emcon import EmconGate, EmconLevel, Transmitter
from fdir.codes import Code
from fdir.modes import Emission
from hil.disk import PowerCut, SimDisk

S = 1_000_000_000
FULL = TransmitStep(TransmitLevel.FULL, 1.0, 1.0, frozenset(), frozenset())
GOOD = ChannelCondition(Transmitter.RADIO, FULL, authorised=True, in_safe=False)


def open_emission() -> EmconGate:
    gate = EmconGate()
    gate.follow(Emission.OPEN, 0)
    return gate


def created(manager: ChannelManager, name: str, kind: str = "science", qos: int = 2, owner: str = "a") -> ChannelSpec:
    spec = manager.create_channel(kind, True, qos, name, owner)
    assert isinstance(spec, ChannelSpec), spec
    return spec


def refusal(answer: ChannelSpec | ChannelRefusal | None) -> ChannelRefusal:
    assert isinstance(answer, ChannelRefusal)
    return answer


def queue_of(manager: ChannelManager, number: int) -> ChannelQueue:
    lane = manager.lane(number)
    assert lane is not None
    return lane.queue


# -- creating and closing


def test_the_plans_channels_are_there() -> None:
    manager = ChannelManager()
    assert manager.specs() == PLAN
    assert all(manager.spec(spec.id) is spec for spec in PLAN)
    assert manager.named("telemetry") is PLAN[1]
    assert manager.lane(31) is None, "emergency packets have a queue of their own"


def test_more_than_eight_can_be_created_and_no_id_is_given_twice() -> None:
    manager = ChannelManager()
    ids = [created(manager, f"c{n}", owner=f"o{n // MOST_OF_ONE}").id for n in range(23)]
    assert ids == list(range(8, 31))
    assert "every id" in refusal(manager.create_channel("bulk", True, 3, "more", "z")).text
    assert manager.refused == 1


def test_a_created_channel_has_what_was_asked_for() -> None:
    manager = ChannelManager()
    spec = manager.create_channel("service", False, QosClass.BULK, "maps", "alice")
    assert isinstance(spec, ChannelSpec)
    assert (spec.id, spec.kind, spec.qos, spec.end_to_end) == (8, ChannelKind.SERVICE, QosClass.BULK, False)
    assert manager.spec(8) is spec


@pytest.mark.parametrize(
    ("kind", "qos", "code"),
    [
        ("control", QosClass.CONTROL, None), ("telemetry", QosClass.TELEMETRY, None), ("bulk", QosClass.BULK, None),
        ("service", QosClass.TELEMETRY, None), ("science", QosClass.BULK, None),
        ("bulk", QosClass.CONTROL, Code.CHANNEL_REFUSED), ("science", QosClass.TELEMETRY, Code.CHANNEL_REFUSED),
        ("service", QosClass.CONTROL, Code.CHANNEL_REFUSED), ("telemetry", QosClass.CONTROL, Code.CHANNEL_REFUSED),
        ("nbl", QosClass.CONTROL, Code.NBL_RULES_ONLY), ("video", QosClass.BULK, Code.COMMS_NOT_IMPLEMENTED),
        ("bulk", 9, Code.COMMS_NOT_IMPLEMENTED),
    ],
)
def test_no_kind_gets_a_class_above_its_own(kind: str, qos: int, code: Code | None) -> None:
    answer = ChannelManager().create_channel(kind, True, qos, "x")
    assert (answer.code if isinstance(answer, ChannelRefusal) else None) == code


@pytest.mark.parametrize("name", ["", "a" * 25, "Big", "with space", "naïve", "a/b"])
def test_a_name_is_short_and_plain(name: str) -> None:
    assert "name" in refusal(ChannelManager().create_channel("bulk", True, 3, name)).text


def test_names_are_unique() -> None:
    manager = ChannelManager()
    created(manager, "maps")
    assert "already" in refusal(manager.create_channel("bulk", True, 3, "maps", "b")).text
    assert "already" in refusal(manager.create_channel("bulk", True, 3, "telemetry", "b")).text


def test_one_creator_has_eight_at_most_and_leaves_the_rest_to_others() -> None:
    manager = ChannelManager()
    for number in range(MOST_OF_ONE):
        created(manager, f"c{number}")
    assert "8 channels" in refusal(manager.create_channel("bulk", True, 3, "more", "a")).text
    created(manager, "mine", owner="b")


def test_only_the_owner_or_the_craft_closes_a_channel() -> None:
    manager = ChannelManager()
    first, second = created(manager, "one"), created(manager, "two")
    assert refusal(manager.close_channel(first.id, "b")).code is Code.COMMS_UNAUTHORIZED
    assert manager.close_channel(first.id, "a") == first
    assert manager.close_channel(second.id) == second
    assert refusal(manager.close_channel(first.id, "a")).code is Code.CHANNEL_REFUSED
    assert refusal(manager.close_channel(0)).code is Code.CHANNEL_REFUSED
    assert manager.spec(first.id) is None


def test_an_id_is_not_used_again_before_new_keys() -> None:
    manager = ChannelManager()
    first = created(manager, "one")
    manager.close_channel(first.id)
    assert created(manager, "two").id == first.id + 1
    manager.forget_closed()
    assert created(manager, "three").id == first.id


def test_the_other_end_takes_a_channel_over_as_it_is_told() -> None:
    craft, ground = ChannelManager(), ChannelManager()
    spec = created(craft, "maps")
    assert ground.adopt(spec, "craft") is spec
    assert ground.spec(spec.id) == spec
    assert "not free" in refusal(ground.adopt(spec, "craft")).text
    assert "not free" in refusal(ground.adopt(PLAN[0], "craft")).text
    faulty = ChannelSpec(20, "x", ChannelKind.NBL, QosClass.CONTROL, "")
    assert refusal(ground.adopt(faulty, "craft")).code is Code.NBL_RULES_ONLY


# -- queues


def test_control_refuses_the_newest_and_keeps_its_order() -> None:
    manager = ChannelManager()
    answers = [manager.put(0, bytes([n]), n) for n in range(66)]
    assert answers == [None] * 64 + [Drop.FULL] * 2
    queue = queue_of(manager, 0)
    assert [queue.take(100 * S) for _ in range(2)] == [(0, b"\0"), (1, b"\1")]
    assert queue.counts.dropped[Drop.FULL] == 2


def test_telemetry_drops_the_oldest() -> None:
    manager = ChannelManager()
    assert [manager.put(1, bytes([n]), 0) for n in range(130)] == [None] * 130
    queue = queue_of(manager, 1)
    assert queue.take(0) == (0, b"\x02")
    assert queue.counts.dropped[Drop.DISPLACED] == 2


def test_after_a_gap_the_newest_telemetry_goes_first_and_then_the_backlog() -> None:
    queue = ChannelQueue(QueueRule(16, 1000, drops_oldest=True, newest_first=True))
    for at in range(4):
        queue.put(bytes([at + 1]), at * S // 2)
    assert queue.take(GAP_NS) == (0, b"\1"), "no gap: in order"
    late = 100 * S
    queue.put(b"\x09", late)
    order = [queue.take(late) for _ in range(4)]
    assert [taken[1] for taken in order if taken] == [b"\x09", b"\4", b"\3", b"\2"]


def test_events_keep_their_order_though_the_oldest_are_the_first_to_go() -> None:
    rule = rule_for(PLAN[2])
    assert rule is not None
    assert (rule.drops_oldest, rule.newest_first) == (True, False)
    queue = ChannelQueue(rule)
    for at in range(3):
        queue.put(bytes([at]), at * S)
    assert [queue.take(100 * S) for _ in range(3)] == [(0, b"\0"), (S, b"\1"), (2 * S, b"\2")]


def test_bulk_holds_its_producer_back() -> None:
    manager = ChannelManager()
    answers = [manager.put(3, bytes(1024), 0) for _ in range(70)]
    assert answers.count(None) == 64
    assert set(answers[64:]) == {Drop.FULL}


def test_what_no_packet_can_be_is_refused_and_counted() -> None:
    manager = ChannelManager(longest_bytes=100)
    assert manager.put(0, bytes(101), 0) is Drop.TOO_LONG
    assert manager.put(0, b"", 0) is Drop.EMPTY
    assert manager.put(22, b"x", 0) is Drop.NO_CHANNEL
    assert manager.put(31, b"x", 0) is Drop.NO_CHANNEL
    assert manager.unknown == 2
    with pytest.raises(ValueError, match="longest_bytes"):
        ChannelManager(longest_bytes=0)


def test_what_waits_in_a_closed_channel_is_lost_and_counted() -> None:
    manager = ChannelManager()
    spec = created(manager, "one")
    manager.put(spec.id, b"abc", 0)
    queue = queue_of(manager, spec.id)
    assert manager.waiting_bytes == 3
    manager.close_channel(spec.id)
    assert queue.counts.dropped[Drop.CLOSED] == 1
    assert manager.waiting_bytes == 0


def test_a_packet_that_could_not_be_sent_goes_back_to_its_place() -> None:
    queue = ChannelQueue(QueueRule(2, 100))
    for at in range(2):
        queue.put(bytes([at]), at)
    came_ns, payload = queue.take(5) or (0, b"")
    assert queue.restore(came_ns, payload)
    assert queue.counts.sent == 0
    assert queue.take(5) == (0, b"\0")
    queue.put(b"\7", 6)
    assert not queue.restore(0, b"\0")
    assert queue.counts.dropped[Drop.DISPLACED] == 1


@given(st.lists(st.one_of(st.integers(1, 60), st.just(None)), max_size=200), st.booleans(), st.booleans())
def test_every_packet_is_sent_waits_or_is_counted(
    operations: list[int | None], drops_oldest: bool, newest_first: bool
) -> None:
    queue = ChannelQueue(QueueRule(5, 120, drops_oldest, newest_first))
    offered = 0
    for now, operation in enumerate(operations):
        if operation is None:
            queue.take(now * S)
        else:
            offered += 1
            queue.put(bytes(operation), now * S)
        counts = queue.counts
        assert offered == counts.sent + len(queue) + sum(counts.dropped.values())
        assert len(queue) <= 5
        assert queue.size_bytes <= 120
    assert queue.counts.peak_entries <= 5
    assert queue.counts.peak_bytes <= 120


def test_peaks_and_waits_can_be_begun_anew() -> None:
    queue = ChannelQueue(QueueRule(5, 100))
    for at in range(3):
        queue.put(bytes(10), at * S)
    queue.take(10 * S)
    assert (queue.counts.peak_entries, queue.counts.peak_bytes, queue.waits.longest_ns) == (3, 30, 10 * S)
    queue.reset_peaks()
    assert (queue.counts.peak_entries, queue.counts.peak_bytes, queue.waits.count) == (2, 20, 0)


@pytest.mark.parametrize("bounds", [(0, 1), (1, 0)])
def test_a_queue_holds_something(bounds: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        QueueRule(*bounds)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_never_below_the_exact_one_and_at_most_a_quarter_above(waits: list[int], share: float) -> None:
    histogram = WaitHistogram()
    for wait in waits:
        histogram.add(wait)
    exact = float(np.sort(waits)[max(0, int(np.ceil(share * len(waits) - 1e-9)) - 1)])
    found = histogram.percentile_ns(share)
    assert found is not None
    assert exact <= found <= exact * 1.25 + 1000


def test_without_a_wait_there_is_no_percentile() -> None:
    assert WaitHistogram().percentile_ns(0.99) is None


# -- states


def state(
    number: int, condition: ChannelCondition, emcon: EmconGate | None = None
) -> tuple[ChannelState, tuple[Code, ...]]:
    standing = judge_channel(PLAN[number], condition, emcon or open_emission(), 0)
    return standing.state, standing.codes


def condition(**changed: object) -> ChannelCondition:
    return ChannelCondition(**{  # type: ignore[arg-type]
        "transmitter": Transmitter.RADIO, "transmit": FULL, "authorised": True, "in_safe": False, **changed})


def test_a_good_channel_is_online() -> None:
    assert state(0, GOOD) == (ChannelState.ONLINE, ())


def test_each_reason_has_its_state_and_all_are_listed() -> None:
    hot = TransmitStep(TransmitLevel.OFF, 0.0, 0.0, frozenset(QosClass), frozenset())
    poor = TransmitStep(TransmitLevel.NO_BULK, 0.25, 0.25, frozenset(), frozenset({QosClass.BULK}))
    silent = open_emission()
    silent.set_level(EmconLevel.SILENT, 0)
    assert state(0, condition(authorised=False))[0] is ChannelState.AUTHORIZATION_MISSING
    assert state(0, GOOD, silent) == (ChannelState.EMCON_BLOCK, (Code.EMCON_BLOCK,))
    assert state(3, condition(in_safe=True)) == (ChannelState.SAFE_BLOCK, (Code.SAFE_LOCKED,))
    assert state(3, condition(in_safe=None))[0] is ChannelState.SAFE_BLOCK
    assert state(0, condition(in_safe=True))[0] is ChannelState.ONLINE
    assert state(0, condition(transmit=hot)) == (
        ChannelState.THERMAL_BLOCK, (Code.COMMS_THERMAL_BLOCK, Code.COMMS_DEGRADED))
    assert state(3, condition(transmit=poor))[0] is ChannelState.POWER_BLOCK
    assert state(1, condition(transmit=poor)) == (ChannelState.DEGRADED, (Code.COMMS_DEGRADED,))
    assert state(1, condition(lossy=True))[0] is ChannelState.DEGRADED
    assert state(1, condition(line_up=False)) == (ChannelState.DEGRADED, (Code.COMMS_UNAVAILABLE,))
    everything = condition(authorised=False, in_safe=True, transmit=hot, line_up=False)
    assert state(3, everything, silent) == (ChannelState.AUTHORIZATION_MISSING, (
        Code.COMMS_UNAUTHORIZED, Code.EMCON_BLOCK, Code.SAFE_LOCKED, Code.COMMS_THERMAL_BLOCK, Code.COMMS_UNAVAILABLE,
        Code.COMMS_DEGRADED))


def test_only_online_and_degraded_channels_are_open() -> None:
    silent = open_emission()
    silent.set_level(EmconLevel.SILENT, 0)
    assert judge_channel(PLAN[0], GOOD, open_emission(), 0).open
    assert judge_channel(PLAN[0], condition(lossy=True), open_emission(), 0).open
    assert not judge_channel(PLAN[0], condition(line_up=False), open_emission(), 0).open
    assert not judge_channel(PLAN[0], GOOD, silent, 0).open


def test_changes_of_state_are_told_once() -> None:
    manager, emcon = ChannelManager(), open_emission()
    first = manager.judge(lambda spec: GOOD, emcon, 0)
    assert {change.before.state for change in first} == {ChannelState.AUTHORIZATION_MISSING}
    assert manager.judge(lambda spec: GOOD, emcon, 1) == ()
    emcon.set_level(EmconLevel.RESTRICTED, 2)
    changed = manager.judge(lambda spec: GOOD, emcon, 2)
    assert {change.spec.name for change in changed} == {"files", "science", "bundles"}


@pytest.mark.parametrize(
    ("rate", "name"),
    [(0.0, "none"), (float("nan"), "none"), (9600.0, "low"), (63_999.0, "low"), (64_000.0, "medium"),
     (256_000.0, "high"), (1e7, "high")],
)
def test_rate_classes(rate: float, name: str) -> None:
    assert rate_class(rate) == name


# -- kept record


@given(
    st.integers(0, 9), st.integers(0, 10_000), st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40)
)
def test_a_kept_record_is_old_or_new_after_a_cut(at: int, seed: int, old: bytes, new: bytes) -> None:
    disk = SimDisk(np.random.default_rng(seed))
    record = KeptRecord(disk, "x.bin")
    assert record.load() == (None, False)
    assert record.store(old)
    disk.dies_at = disk.calls + at
    with suppress(PowerCut):
        record.store(new)
    disk.restart()
    assert KeptRecord(disk, "x.bin").load() in ((old, False), (new, False))


def test_a_damaged_record_is_told_from_none() -> None:
    disk = SimDisk(np.random.default_rng(1))
    record = KeptRecord(disk, "x.bin")
    record.store(b"abc")
    disk.rename("x.bin", "y.bin")
    assert KeptRecord(disk, "y.bin").load() == (None, True)
    assert record.load() == (None, False)
    with pytest.raises(ValueError, match="bytes"):
        record.store(bytes(513))
