"""One end of a session: what waits, what goes out, and that nothing does which emission control forbids."""

from __future__ import annotations

import pytest

from comms.channel_plan import PLAN, Direction, QosClass, channel_named
from comms.channels.channel_queue import Drop, rule_for
from comms.dictionary import Authority
from comms.emcon import EmconGate, EmconLevel, Transmitter
from comms.keys.handshake import PeerIdentity, SessionSecrets
from comms.link.end import FULL_POWER, MOST_PACKETS, OVERHEAD_BYTES, Line, LinkEnd
from comms.records.faults import RecordFault
from comms.records.record import Opened
from comms.transports.memory import memory_pair
from fdir.modes import Emission
from tests.comms.link_pair import NS, Air

PEER = PeerIdentity("ada", Authority.SAFETY, bytes(32))
SECRETS = SessionSecrets(b"\x01" * 32, b"\x02" * 32, b"\x03" * 32, PEER)
CHANNELS = [spec.id for spec in PLAN if rule_for(spec) is not None]
CONTROL, TELEMETRY, FILES = (channel_named(name).id for name in ("control", "telemetry", "files"))


def open_gate() -> EmconGate:
    gate = EmconGate()
    gate.follow(Emission.OPEN, 0)
    return gate


def both(mtu: int = 1200, transmitter: Transmitter = Transmitter.RADIO) -> tuple[LinkEnd, LinkEnd, EmconGate, Air]:
    air, gate = Air(mtu), open_gate()
    craft = LinkEnd(PEER, Line(air.craft(), transmitter, 0.5), "a", SECRETS, Direction.DOWN, gate, 0)
    ground = LinkEnd(PEER, Line(air.ground("a"), Transmitter.CABLE), "", SECRETS, Direction.UP, open_gate(), 0)
    for end in (craft, ground):
        end.judge(FULL_POWER, False, 0)
    return craft, ground, gate, air


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_packet_of_every_channel_opens_at_the_other_end(channel: int) -> None:
    craft, ground, _, air = both()
    assert craft.put(channel, b"something", 0) is None
    assert craft.pump(0) == 1
    opened = ground.open(air.down[0][1], 0)
    assert isinstance(opened, Opened)
    assert (opened.channel, opened.plaintext) == (channel, b"something")


@pytest.mark.parametrize("mtu", [64, 200, 223, 1200])
def test_the_longest_packet_fits_the_line_on_every_channel(mtu: int) -> None:
    craft, ground, _, air = both(mtu)
    for channel in CHANNELS:
        assert craft.put(channel, bytes(craft.longest), 0) is None
        assert craft.put(channel, bytes(craft.longest + 1), 0) is Drop.TOO_LONG
    assert craft.pump(0) == len(CHANNELS)
    assert all(len(record) <= mtu for _, record in air.down)
    assert all(isinstance(ground.open(record, 0), Opened) for _, record in air.down)


def test_what_was_sent_is_booked_with_its_energy() -> None:
    craft, _, _, air = both()
    for _ in range(5):
        craft.put(CONTROL, bytes(50), 0)
    craft.pump(0)
    size = sum(len(record) for _, record in air.down)
    assert (craft.sent, craft.sent_bytes, craft.used_j) == (5, size, pytest.approx(0.5 * size))
    assert size <= 5 * (50 + OVERHEAD_BYTES)


def test_one_step_sends_a_bounded_number_of_records() -> None:
    craft, _, _, _ = both()
    for _ in range(200):
        craft.put(TELEMETRY, b"frame", 0)
    assert craft.pump(0) == MOST_PACKETS
    assert craft.waiting(TELEMETRY) == 128 - MOST_PACKETS


@pytest.mark.parametrize("channel", CHANNELS)
def test_every_queue_has_a_bound_and_counts_what_it_loses(channel: int) -> None:
    craft, _, _, _ = both()
    refused = sum(craft.put(channel, b"x", 0) is not None for _ in range(1000))
    lane = craft.manager.lane(channel)
    assert lane is not None
    assert craft.waiting(channel) == lane.queue.rule.entries
    assert craft.room(channel) == 0
    assert refused + lane.queue.counts.dropped[Drop.DISPLACED] == 1000 - lane.queue.rule.entries


def test_a_channel_that_there_is_not_takes_nothing() -> None:
    craft, _, _, _ = both()
    assert craft.put(19, b"x", 0) is Drop.NO_CHANNEL
    assert (craft.room(19), craft.waiting(19)) == (0, 0)


@pytest.mark.parametrize("level", [EmconLevel.RECEIVE, EmconLevel.SILENT])
@pytest.mark.parametrize("transmitter", [Transmitter.RADIO, Transmitter.OPTICAL, Transmitter.TRANSPONDER])
def test_no_byte_goes_out_of_what_was_queued_before_a_level_became_stricter(
    level: EmconLevel, transmitter: Transmitter
) -> None:
    craft, _, gate, air = both(transmitter=transmitter)
    for channel in CHANNELS:
        craft.put(channel, b"queued while open", 0)
    gate.set_level(level, 1)
    # Judged or not: the gate stands at the moment of sending.
    assert craft.pump(1) == 0
    craft.judge(FULL_POWER, False, 2)
    assert craft.pump(2) == 0
    assert air.down == []
    gate.set_level(EmconLevel.OPEN, 3)
    craft.judge(FULL_POWER, False, 3)
    assert craft.pump(3) == len(CHANNELS)


def test_restricted_emission_lets_no_files_and_no_science_out() -> None:
    craft, ground, gate, air = both()
    gate.set_level(EmconLevel.RESTRICTED, 0)
    for channel in CHANNELS:
        craft.put(channel, b"x", 0)
    craft.judge(FULL_POWER, False, 0)
    craft.pump(0)
    opened = [ground.open(record, 0) for _, record in air.down]
    channels = {found.channel for found in opened if isinstance(found, Opened)}
    for number in channels:
        spec = craft.manager.spec(number)
        assert spec is not None
        assert spec.qos in (QosClass.CONTROL, QosClass.TELEMETRY)
    assert CONTROL in channels


def test_a_wire_is_free_at_every_level() -> None:
    craft, _, gate, air = both(transmitter=Transmitter.CABLE)
    gate.set_level(EmconLevel.SILENT, 0)
    craft.judge(FULL_POWER, False, 0)
    craft.put(CONTROL, b"x", 0)
    assert craft.pump(0) == 1
    assert len(air.down) == 1


def test_a_line_without_room_keeps_what_waits() -> None:
    craft, ground, _, air = both()
    craft.put(CONTROL, bytes(40), 0)
    for room in (0, OVERHEAD_BYTES, 40 + OVERHEAD_BYTES - 1):
        air.room = room
        assert craft.pump(0) == 0
    assert craft.waiting(CONTROL) == 1
    air.room = None
    assert craft.pump(0) == 1
    assert isinstance(ground.open(air.down[0][1], 0), Opened)


def test_an_unplugged_line_keeps_what_waits_and_says_so_by_no_exception() -> None:
    lines = memory_pair("radio")
    craft = LinkEnd(PEER, Line(lines.a, Transmitter.RADIO), "peer", SECRETS, Direction.DOWN, open_gate(), 0)
    craft.judge(FULL_POWER, False, 0)
    craft.put(CONTROL, b"x", 0)
    lines.a.up = False
    assert craft.pump(0) == 0
    assert craft.waiting(CONTROL) == 1
    lines.a.up = True
    assert craft.pump(0) == 1


def test_a_record_is_taken_once_and_only_from_the_other_direction() -> None:
    craft, ground, _, air = both()
    craft.put(CONTROL, b"x", 0)
    craft.pump(0)
    record = air.down[0][1]
    assert craft.open(record, 0) is RecordFault.FORGED
    assert isinstance(ground.open(record, 1), Opened)
    assert ground.open(record, 2) is RecordFault.REPLAYED
    assert (ground.opened, ground.heard_ns) == (1, 1)


def test_a_closed_end_sends_and_opens_nothing_more() -> None:
    craft, ground, _, air = both()
    craft.put(CONTROL, b"x", 0)
    craft.pump(0)
    for end in (craft, ground):
        end.close()
    craft.put(CONTROL, b"y", 0)
    craft.judge(FULL_POWER, False, 0)
    assert craft.pump(0) == 0
    assert len(air.down) == 1
    assert ground.open(air.down[0][1], 0) is RecordFault.CLOSED


def test_heard_is_the_beginning_of_the_session_until_something_comes() -> None:
    end = LinkEnd(PEER, Line(Air().craft(), Transmitter.RADIO), "a", SECRETS, Direction.DOWN, open_gate(), 7 * NS)
    assert end.heard_ns == 7 * NS


def test_nothing_secret_is_shown() -> None:
    craft, _, _, _ = both()
    shown = repr(craft) + repr(craft.secrets) + repr(craft.session) + repr(craft.line)
    for secret in (SECRETS.up_chain, SECRETS.down_chain, SECRETS.binding):
        assert secret.hex() not in shown
        assert repr(secret) not in shown
