"""A session: both ways, over rotations, losses and disorder, and what it refuses."""

from __future__ import annotations

import random

import pytest

from comms.channel_plan import PLAN, ChannelSpec, Direction
from comms.records.faults import RecordFault
from comms.records.receiving import DRAIN_RECORDS
from comms.records.record import Opened
from comms.records.sending import EPOCH_NS, LANE_RECORDS, LEAST_RECORDS
from comms.records.session import RecordSession

UP, DOWN, BINDING = bytes(range(32)), bytes(range(32, 64)), b"handshake hash"
CHANNELS = {spec.id: spec for spec in PLAN}


def known(channel: int) -> ChannelSpec | None:
    return CHANNELS.get(channel)


def ends() -> tuple[RecordSession, RecordSession]:
    """Ground and craft."""
    return tuple(  # type: ignore[return-value]
        RecordSession(UP, DOWN, BINDING, end, 0, known) for end in (Direction.UP, Direction.DOWN))


def sealed(end: RecordSession, channel: int = 1, plaintext: bytes = b"content", now_ns: int = 0) -> bytes:
    record = end.seal(channel, plaintext, now_ns)
    assert isinstance(record, bytes)
    return record


def opened(end: RecordSession, record: bytes, now_ns: int = 0) -> Opened:
    found = end.open(record, now_ns)
    assert isinstance(found, Opened)
    return found


@pytest.mark.parametrize("spec", PLAN, ids=lambda spec: spec.name)
def test_both_ways_of_every_channel_are_opened(spec: ChannelSpec) -> None:
    ground, craft = ends()
    for sender, receiver in ((ground, craft), (craft, ground)):
        for counter in range(3):
            record = sealed(sender, spec.id)
            assert len(record) - len(b"content") <= sender.overhead(spec.id)
            assert opened(receiver, record) == Opened(spec.id, b"content", 0, counter)
            assert receiver.open(record, 0) is RecordFault.REPLAYED
            assert isinstance(sender.open(record, 0), RecordFault)


def test_a_radio_record_takes_nineteen_bytes_more_at_most() -> None:
    ground, craft = ends()
    assert ground.overhead(0) == 19
    for _ in range(LANE_RECORDS + 5):
        record = sealed(ground)
        assert len(record) - len(b"content") <= 19
        opened(craft, record)
    assert craft.state().receive_epoch == 1


def test_a_rotation_comes_at_two_to_the_sixteen_records_of_a_channel() -> None:
    ground, craft = ends()
    for _ in range(LANE_RECORDS):
        record = sealed(ground)
    assert ground.state().send_epoch == 0
    assert opened(craft, record).counter == LANE_RECORDS - 1
    assert opened(craft, sealed(ground)) == Opened(1, b"content", 1, 0)


def test_a_rotation_comes_after_a_day() -> None:
    ground, craft = ends()
    assert opened(craft, sealed(ground, now_ns=EPOCH_NS - 1)).epoch == 0
    assert opened(craft, sealed(ground, now_ns=EPOCH_NS)).epoch == 1
    assert opened(craft, sealed(ground, now_ns=2 * EPOCH_NS - 1)).epoch == 1
    assert opened(craft, sealed(ground, now_ns=2 * EPOCH_NS)).epoch == 2


def test_a_rotation_that_is_asked_for_waits_until_the_peer_can_have_followed() -> None:
    ground, craft = ends()
    ground.rotate()
    assert ground.state().rotation_pending
    assert opened(craft, sealed(ground)).epoch == 1
    ground.rotate()
    for _ in range(LEAST_RECORDS - 1):
        assert opened(craft, sealed(ground)).epoch == 1
    assert opened(craft, sealed(ground)).epoch == 2
    assert ground.state().rotations == 2
    assert not ground.state().rotation_pending


def test_the_other_way_follows_a_rotation() -> None:
    ground, craft = ends()
    opened(ground, sealed(craft))
    ground.rotate()
    opened(craft, sealed(ground))
    assert opened(ground, sealed(craft)).epoch == 1
    assert opened(craft, sealed(ground)).epoch == 1
    assert (ground.state().rotations, craft.state().rotations) == (1, 1)


def test_the_epoch_before_is_shut_after_1024_records() -> None:
    ground, craft = ends()
    old = [sealed(ground) for _ in range(4)]
    ground.rotate()
    new = [sealed(ground) for _ in range(DRAIN_RECORDS + 1)]
    assert opened(craft, new[0]).epoch == 1
    assert opened(craft, old[0]).epoch == 0
    for record in new[1:DRAIN_RECORDS]:
        opened(craft, record)
    assert craft.state().draining == 1
    assert opened(craft, old[1]).epoch == 0
    opened(craft, new[DRAIN_RECORDS])
    assert craft.state().draining == 0
    assert craft.open(old[2], 0) is RecordFault.WRONG_EPOCH


def test_no_record_is_lost_to_rotations_in_disorder() -> None:
    chance = random.Random(5)
    ground, craft = ends()
    sent: list[tuple[float, bytes]] = []
    for index in range(4000):
        if chance.random() < 0.02:
            ground.rotate()
        record = sealed(ground, chance.choice((0, 1, 7)), index.to_bytes(2, "big"))
        sent.append((index + 32 * chance.random(), record))
    arrived = [record for _, record in sorted(sent)]
    seen = {opened(craft, record).plaintext for record in arrived}
    assert len(seen) == 4000
    assert craft.state().receive_epoch > 20
    assert not any(isinstance(craft.open(record, 0), Opened) for record in arrived)


def test_records_of_another_session_are_refused() -> None:
    ground, _ = ends()
    other = RecordSession(UP, DOWN, b"another hash", Direction.DOWN, 0, known)
    assert other.open(sealed(ground), 0) is RecordFault.FORGED
    assert other.counts[RecordFault.FORGED] == 1


def test_an_epoch_beyond_the_next_is_refused() -> None:
    ground, craft = ends()
    opened(craft, sealed(ground))
    sealed(ground, now_ns=EPOCH_NS)
    record = sealed(ground, now_ns=2 * EPOCH_NS)
    assert craft.open(record, 0) is RecordFault.WRONG_EPOCH


def test_false_tags_shut_a_key_alert_and_lead_both_ways_to_the_next_epoch() -> None:
    ground, craft = ends()
    genuine = sealed(ground, 31)
    forged = genuine[:-1] + bytes((genuine[-1] ^ 1,))
    for _ in range(2**14):
        assert craft.intrusions == 0
        assert craft.open(forged, 0) is RecordFault.FORGED
    assert craft.intrusions == 1
    assert craft.open(genuine, 0) is RecordFault.KEY_SHUT
    opened(craft, sealed(ground, 0))
    assert opened(ground, sealed(craft, 0)).epoch == 1
    assert opened(craft, sealed(ground, 31)).epoch == 1
    assert craft.intrusions == 1


def test_a_channel_that_there_is_not_is_refused() -> None:
    ground, craft = ends()
    assert ground.seal(20, b"", 0) is RecordFault.UNKNOWN_CHANNEL
    with pytest.raises(KeyError, match="20"):
        ground.overhead(20)
    assert craft.open(b"\x39\x14\x00" + bytes(16), 0) is RecordFault.UNKNOWN_CHANNEL
    assert craft.counts[RecordFault.UNKNOWN_CHANNEL] == 1


@pytest.mark.parametrize("raw", [b"", b"\0", b"\0\1" + bytes(96), b"\x06" + bytes(40), b"\x3f", b"\x09", bytes(70_000)])
def test_what_is_no_record_is_refused_and_counted(raw: bytes) -> None:
    _, craft = ends()
    fault = craft.open(raw, 0)
    assert isinstance(fault, RecordFault)
    assert craft.counts[fault] == 1
    assert craft.heard_ns is None


def test_lengths_have_a_bound_of_the_owner() -> None:
    ground, craft = (RecordSession(UP, DOWN, BINDING, end, 0, known, 100) for end in (Direction.UP, Direction.DOWN))
    assert ground.seal(0, bytes(83), 0) is RecordFault.TOO_LONG
    assert opened(craft, sealed(ground, 0, bytes(82))).counter == 0
    assert craft.open(b"\x01\x05" + bytes(99), 0) is RecordFault.TOO_LONG


def test_a_closed_session_does_nothing_more() -> None:
    ground, craft = ends()
    record = sealed(ground)
    for end in (ground, craft):
        end.close()
        end.rotate()
    assert ground.seal(1, b"content", 0) is RecordFault.CLOSED
    assert craft.open(record, 0) is RecordFault.CLOSED


@pytest.mark.parametrize(("up", "down", "binding"), [
    (UP, UP, BINDING), (bytes(32), DOWN, BINDING), (UP[:31], DOWN, BINDING), (UP, DOWN, b""), (b"", DOWN, BINDING),
])
def test_keys_that_cannot_be_make_no_session(up: bytes, down: bytes, binding: bytes) -> None:
    with pytest.raises(ValueError, match=r"chain|bound"):
        RecordSession(up, down, binding, Direction.UP, 0, known)


def test_the_state_is_metadata_only() -> None:
    ground, craft = ends()
    opened(craft, sealed(ground), 77)
    assert craft.state().heard_ns == 77
    assert ground.state().sealed == 1
    for shown in (repr(ground), repr(craft), repr(ground.state())):
        assert UP.hex()[:6] not in shown
        assert "bytearray" not in shown


def test_time_that_goes_back_changes_nothing() -> None:
    ground, craft = ends()
    for now_ns in (10, 5, -(10**18), 3):
        assert opened(craft, sealed(ground, now_ns=now_ns), now_ns).epoch == 0
