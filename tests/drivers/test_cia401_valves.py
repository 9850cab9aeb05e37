"""Valve nodes: set-up before start, arming by command only, plans and shuts on the wire, faults of wire and bus."""

from __future__ import annotations

import itertools
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.protocol import CanFrame
from drivers.canopen import NmtState, Rejection
from drivers.cia401_valves import (
    CODECS,
    TRANSITIONS,
    Event,
    NodeState,
    PulseRules,
    Settings,
    SetupState,
    ValveBus,
    decode_on_times,
    decode_state,
)
from drivers.errors import Cause, DeviceError

MS = 1_000_000
TICK = 5 * MS
A, B = 0x10, 0x11
NOZZLES_A = [0, 1, 6, 7, 8, 10, 13, 15]
NOZZLES_B = [2, 3, 4, 5, 9, 11, 12, 14]
RULES = {"window_ms": 250, "min_on_ms": 30, "min_off_ms": 31, "max_burn_ms": 3000, "cooldown_ms": 6000}

WRITTEN = {
    (0x2101, 0): b"\xfa", (0x2102, 0): b"\x1e", (0x2103, 0): b"\x1f", (0x2104, 0): b"\xb8\x0b",
    (0x2105, 0): b"\x70\x17", (0x6206, 1): b"\xff", (0x6207, 1): b"\x00", (0x1017, 0): b"\x64\x00",
    (0x1016, 1): b"\x64\x00\x01\x00", (0x2100, 0): b"\x00",
}


class Wire:
    """A CAN bus in memory: what was sent, what arrives (answers one step later), and errors on demand."""

    def __init__(self) -> None:
        self.name = "can0"
        self.sent: list[CanFrame] = []
        self.arriving: deque[CanFrame] = deque()
        self.answers: list[CanFrame] = []
        self.peers: list[Callable[[CanFrame], None]] = []
        self.send_error: Callable[[CanFrame], Cause | None] = lambda frame: None
        self.receive_error: Cause | None = None

    def send(self, frame: CanFrame) -> None:
        cause = self.send_error(frame)
        if cause is not None:
            raise DeviceError(self.name, None, cause)
        self.sent.append(frame)
        for peer in self.peers:
            peer(frame)

    def receive(self) -> CanFrame | None:
        if self.receive_error is not None:
            raise DeviceError(self.name, None, self.receive_error)
        return self.arriving.popleft() if self.arriving else None

    def deliver(self) -> None:
        self.arriving += self.answers
        self.answers.clear()

    def take_sent(self) -> list[CanFrame]:
        sent, self.sent = self.sent, []
        return sent


class ScriptedNode:
    """As much of a node as the unit tests need, with faults that a script switches on."""

    def __init__(self, wire: Wire, node_id: int) -> None:
        self.wire = wire
        self.id = node_id
        self.nmt = 0x7F
        self.present = True
        self.beating = True
        self.boots = True
        self.starts_to_ignore = 0
        self.requests_to_ignore = 0
        self.mute_objects: set[tuple[int, int]] = set()
        self.aborts: dict[tuple[int, int], int] = {}
        self.stuck: dict[tuple[int, int], bytes] = {}
        self.writes: list[tuple[int, int]] = []
        self.store: dict[tuple[int, int], bytes] = {}
        self.windows = 0
        self._reset_store()
        wire.peers.append(self.take)

    def _reset_store(self) -> None:
        self.store = {
            (0x1000, 0): struct.pack("<I", 0x00020191), (0x1018, 1): bytes(4),
            (0x1018, 2): struct.pack("<I", 0x51494B56), (0x1018, 3): struct.pack("<I", 1),
            (0x1018, 4): struct.pack("<I", 4711), (0x2100, 0): b"\x00",
        }

    def say(self, base: int, data: bytes) -> None:
        if self.present:
            self.wire.answers.append(CanFrame(base + self.id, data))

    def beat(self) -> None:
        if self.beating:
            self.say(0x700, bytes((self.nmt,)))

    def state(self, outputs: int = 0, flags: int = 0x03, rejected: int = 0, register: int = 0) -> None:
        self.say(0x180, struct.pack("<BBBBHxx", outputs, flags, rejected, register, self.windows))

    def boot(self) -> None:
        self._reset_store()
        self.nmt = 0x7F
        self.say(0x700, b"\x00")

    def take(self, frame: CanFrame) -> None:
        if not self.present:
            return
        if frame.can_id == 0 and frame.data[1] in (0, self.id):
            self._obey(frame.data[0])
        elif frame.can_id == 0x600 + self.id:
            self._serve(frame.data)

    def _obey(self, command: int) -> None:
        if command == 0x81 and self.boots:
            self.boot()
        elif command == 0x01:
            if self.starts_to_ignore:
                self.starts_to_ignore -= 1
                return
            self.nmt = 0x05

    def _serve(self, data: bytes) -> None:
        head, index, subindex = struct.unpack_from("<BHB", data)
        key = (index, subindex)
        if self.requests_to_ignore:
            self.requests_to_ignore -= 1
            return
        if key in self.mute_objects:
            return
        if key in self.aborts:
            self.say(0x580, struct.pack("<BHBI", 0x80, index, subindex, self.aborts[key]))
        elif head == 0x40:
            value = self.stuck.get(key, self.store[key])
            answer = 0x43 | (4 - len(value)) << 2
            self.say(0x580, struct.pack("<BHB", answer, index, subindex) + value.ljust(4, b"\x00"))
        else:
            size = 4 - (head >> 2 & 3)
            self.store[key] = data[4 : 4 + size]
            self.writes.append(key)
            self.say(0x580, struct.pack("<BHB", 0x60, index, subindex) + bytes(4))


class Bench:
    """A valve bus with scripted nodes, stepped every 5 ms of virtual time; nodes beat every 100 ms."""

    def __init__(self, ids: tuple[int, ...] = (A, B)) -> None:
        self.wire = Wire()
        self.peers = {node_id: ScriptedNode(self.wire, node_id) for node_id in ids}
        nozzles = {A: NOZZLES_A, B: NOZZLES_B}
        self.valves = ValveBus(self.wire, [(i, Settings(nozzles[i])) for i in ids], **RULES)
        self.now = 0

    @property
    def peer(self) -> ScriptedNode:
        return self.peers[A]

    def step(self) -> None:
        self.now += TICK
        if self.now % (100 * MS) == 0:
            for peer in self.peers.values():
                peer.beat()
        self.wire.deliver()
        self.valves.service(self.now)

    def run(self, ms: int) -> list[SetupState]:
        """States of node A, in order, each once."""
        states = [self.valves.nodes[A].state]
        for _ in range(ms // 5):
            self.step()
            if self.valves.nodes[A].state is not states[-1]:
                states.append(self.valves.nodes[A].state)
        return states

    def until(self, state: SetupState, limit_ms: int = 3000) -> None:
        for _ in range(limit_ms // 5):
            if all(node.state is state for node in self.valves.nodes.values()):
                return
            self.step()
        pytest.fail(f"{state} was not reached in {limit_ms} ms")


def ready(ids: tuple[int, ...] = (A, B), *, fed: bool = True) -> Bench:
    bench = Bench(ids)
    bench.valves.heartbeat = fed
    bench.until(SetupState.OPERATIONAL)
    bench.wire.take_sent()
    return bench


# --- codecs and settings --------------------------------------------------------------------------------------------


def test_state_frame_is_decoded() -> None:
    assert decode_state(bytes.fromhex("810f07110201 0000")) == NodeState(0x81, 0x0F, 7, 0x11, 0x0102)
    assert decode_state(bytes(7)) is Rejection.WRONG_LENGTH


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=9))
def test_any_bytes_of_a_frame_are_a_value_or_a_refusal(data: bytes) -> None:
    for codec in CODECS:
        if len(data) == codec.length and codec.length > 1:
            assert codec.decode(data) is not None
        elif len(data) != codec.length:
            with pytest.raises(DeviceError) as caught:
                codec.decode(data)
            assert caught.value.cause is Cause.SHORT_READ


def test_an_unknown_heartbeat_is_refused() -> None:
    heartbeat = next(codec for codec in CODECS if codec.name == "heartbeat")
    assert heartbeat.decode(b"\x05") is NmtState.OPERATIONAL
    with pytest.raises(DeviceError) as caught:
        heartbeat.decode(b"\x2a")
    assert caught.value.cause is Cause.PROTOCOL


def test_on_times_are_eight_bytes() -> None:
    assert decode_on_times(bytes(range(8))) == tuple(range(8))
    assert decode_on_times(bytes(6)) is Rejection.WRONG_LENGTH


@pytest.mark.parametrize("bad", [{"nozzles": []}, {"nozzles": list(range(9))}, {}, {"nozzles": [1], "spare": 2}])
def test_settings_refuse_a_wrong_board(bad: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(bad, Settings)


@pytest.mark.parametrize(
    "nodes",
    [
        [], [(A, Settings([0])), (A, Settings([1]))], [(0x01, Settings([0]))], [(0, Settings([0]))],
        [(128, Settings([0]))], [(A, Settings([0])), (B, Settings([0]))], [(A, Settings([-1]))], [(A, Settings([]))],
    ],
)
def test_impossible_nodes_are_refused(nodes: list[tuple[int, Settings]]) -> None:
    with pytest.raises(ValueError, match="no"):
        ValveBus(Wire(), nodes, **RULES)


@pytest.mark.parametrize(
    "change",
    [
        {"window_ms": 49}, {"window_ms": 251}, {"min_on_ms": 256}, {"min_off_ms": -1}, {"max_burn_ms": 65536},
        {"cooldown_ms": 65536}, {"consumer_heartbeat_ms": 79}, {"producer_heartbeat_ms": 0},
    ],
)
def test_rules_that_a_node_cannot_hold_are_refused(change: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="of"):
        PulseRules(**{**RULES, **change})


# --- set-up ---------------------------------------------------------------------------------------------------------


def test_a_node_is_reset_checked_written_read_back_and_started() -> None:
    bench = Bench((A,))
    states = bench.run(600)
    assert states == [
        SetupState.BACKOFF, SetupState.BOOT, SetupState.IDENTITY, SetupState.CONFIGURE, SetupState.START,
        SetupState.OPERATIONAL,
    ]
    assert {key: bench.peer.store[key] for key in WRITTEN} == WRITTEN
    assert bench.peer.writes[0] == (0x2100, 0)
    assert bench.peer.writes[-1] == (0x1016, 1)
    nmt = [frame.data for frame in bench.wire.sent if frame.can_id == 0]
    assert nmt == [b"\x81\x10", b"\x01\x10"]
    requests = [frame.data[1:4] for frame in bench.wire.sent if frame.can_id == 0x610 and frame.data[0] == 0x40]
    for index, subindex in WRITTEN:
        assert struct.pack("<HB", index, subindex) in requests
    assert bench.valves.nodes[A].serial == 4711
    sample = bench.valves.node(A)
    assert (sample.node_id, sample.operational, sample.armed, sample.heartbeat_ok) == (A, True, False, True)
    assert (sample.on_time_ms, sample.window_counter, sample.last_emergency) == (None, 0, None)


def test_nothing_is_written_before_the_identity_is_known() -> None:
    bench = Bench((A,))
    bench.peer.stuck[0x1018, 2] = b"\x01\x02\x03\x04"
    bench.run(1500)
    assert bench.peer.writes == []
    failure = bench.valves.nodes[A].failure
    assert failure is not None
    assert (failure.state, failure.cause, failure.index) == (SetupState.IDENTITY, Cause.WRONG_ID, 0x1018)


def test_a_setting_that_reads_back_differently_stops_the_set_up() -> None:
    bench = Bench((A,))
    bench.peer.stuck[0x2104, 0] = b"\xff\xff"
    states = bench.run(1000)
    assert SetupState.START not in states
    assert bench.valves.nodes[A].counters.sdo_mismatches >= 1
    failure = bench.valves.nodes[A].failure
    assert failure is not None
    assert (failure.state, failure.cause, failure.index) == (SetupState.CONFIGURE, Cause.PROTOCOL, 0x2104)


def test_an_abort_is_named_and_the_set_up_backs_off() -> None:
    bench = Bench((A,))
    bench.peer.aborts[0x2105, 0] = 0x06020000
    bench.run(400)
    node = bench.valves.nodes[A]
    assert node.counters.aborts["no_object"] >= 1
    assert node.failure is not None
    assert (node.failure.cause, node.failure.abort_code) == (Cause.PROTOCOL, 0x06020000)
    assert not bench.valves.node(A).operational
    del bench.peer.aborts[0x2105, 0]
    bench.until(SetupState.OPERATIONAL, 6000)


def test_attempts_become_rarer_up_to_five_seconds() -> None:
    bench = Bench((A,))
    bench.peer.present = False
    resets = []
    for _ in range(40_000 // 5):
        bench.step()
        resets += [bench.now] * sum(frame.data[:1] == b"\x81" for frame in bench.wire.take_sent())
    gaps = [round((b - a) / MS) for a, b in itertools.pairwise(resets)]
    assert gaps[:7] == [1100, 1200, 1400, 1800, 2600, 4200, 6000]
    assert set(gaps[6:]) == {6000}
    assert bench.valves.nodes[A].failure.cause is Cause.SILENT


def test_lost_requests_are_repeated_a_bounded_number_of_times() -> None:
    bench = Bench((A,))
    bench.peer.requests_to_ignore = 3
    bench.run(800)
    assert bench.valves.node(A).operational
    assert bench.valves.nodes[A].counters.sdo_repeats == 3
    bench = Bench((A,))
    bench.peer.mute_objects.add((0x1000, 0))
    bench.run(250)
    assert bench.valves.nodes[A].counters.sdo_timeouts == 1
    assert sum(frame.can_id == 0x610 for frame in bench.wire.sent) == 4
    assert bench.valves.nodes[A].failure.cause is Cause.TIMEOUT


def test_a_node_that_does_not_reset_is_taken_by_its_heartbeat() -> None:
    bench = Bench((A,))
    bench.peer.boots = False
    bench.peer.nmt = 0x05
    bench.until(SetupState.OPERATIONAL)
    assert bench.peer.store[0x2100, 0] == b"\x00"


def test_a_heartbeat_sent_just_before_the_reset_proves_nothing() -> None:
    bench = Bench((A,))
    bench.peer.boots = False
    bench.step()
    bench.peer.beat()
    bench.step()
    assert bench.valves.nodes[A].state is SetupState.BOOT


def test_start_is_repeated_and_then_given_up() -> None:
    bench = Bench((A,))
    bench.peer.starts_to_ignore = 2
    bench.until(SetupState.OPERATIONAL)
    bench = Bench((A,))
    bench.peer.starts_to_ignore = 100
    bench.run(1200)
    assert sum(frame.data[:1] == b"\x01" for frame in bench.wire.sent if frame.can_id == 0) == 4
    assert bench.valves.nodes[A].failure.state is SetupState.START


def test_a_state_frame_shows_that_the_start_was_obeyed() -> None:
    bench = Bench((A,))
    bench.peer.beating = False
    bench.until(SetupState.START)
    bench.peer.state(flags=0x02)
    bench.step()
    assert bench.valves.node(A).operational
    assert bench.valves.node(A).enabled


def test_one_dead_node_does_not_hold_up_the_other() -> None:
    bench = Bench()
    bench.peers[B].present = False
    bench.run(600)
    assert bench.valves.node(A).operational
    assert not bench.valves.node(B).operational


def test_the_table_leads_nowhere_but_to_states_with_a_way_on() -> None:
    sources = {state for state, _ in TRANSITIONS}
    assert set(TRANSITIONS.values()) <= sources == set(SetupState)
    assert all(TRANSITIONS[state, Event.BUS_LOST] is SetupState.BACKOFF for state in SetupState)
    into_operational = {key for key, target in TRANSITIONS.items() if target is SetupState.OPERATIONAL}
    assert into_operational == {(SetupState.START, Event.RUNNING)}


# --- heartbeats -----------------------------------------------------------------------------------------------------


def test_the_flight_computer_beats_every_40_ms_only_while_told() -> None:
    bench = ready((A,), fed=False)
    bench.run(200)
    assert [f for f in bench.wire.take_sent() if f.can_id == 0x701] == []
    bench.valves.heartbeat = True
    times = []
    for _ in range(80):
        bench.step()
        times += [bench.now] * bench.wire.take_sent().count(CanFrame(0x701, b"\x05"))
    assert {b - a for a, b in itertools.pairwise(times)} == {40 * MS}
    assert len(times) == 10
    bench.valves.heartbeat = False
    bench.run(200)
    assert bench.wire.take_sent() == []


def test_a_late_service_sends_one_heartbeat_not_a_burst() -> None:
    bench = ready((A,))
    bench.now += 1000 * MS
    bench.peer.beat()
    bench.step()
    bench.step()
    assert bench.wire.take_sent().count(CanFrame(0x701, b"\x05")) == 1


def test_three_missed_heartbeats_take_the_node_out_and_it_is_set_up_again() -> None:
    bench = ready((A,))
    bench.valves.arm(bench.now)
    bench.run(50)
    assert bench.valves.node(A).armed
    last = bench.valves.nodes[A].heartbeat_ns
    assert last is not None
    bench.peer.beating = False
    while bench.valves.node(A).heartbeat_ok:
        bench.step()
    assert bench.now - last == 305 * MS
    assert not bench.valves.node(A).operational
    assert bench.valves.nodes[A].counters.heartbeat_losses == 1
    bench.peer.beating = True
    bench.until(SetupState.OPERATIONAL)
    assert not bench.valves.node(A).armed


def test_a_brown_out_sets_the_node_up_again_and_leaves_it_disarmed() -> None:
    bench = ready((A,))
    bench.valves.arm(bench.now)
    bench.run(50)
    assert bench.valves.nodes[A].counters.resets_seen == 0
    bench.peer.boot()
    bench.step()
    assert bench.valves.nodes[A].state is SetupState.IDENTITY
    assert (bench.valves.node(A).operational, bench.valves.node(A).armed) == (False, False)
    bench.until(SetupState.OPERATIONAL)
    bench.run(300)
    assert bench.valves.nodes[A].counters.resets_seen == 1
    assert {key: bench.peer.store[key] for key in WRITTEN} == WRITTEN
    assert not bench.valves.node(A).armed
    bench.valves.arm(bench.now)
    bench.run(50)
    assert bench.valves.node(A).armed


def test_a_node_that_missed_our_heartbeat_waits_until_it_is_fed_again() -> None:
    bench = ready((A,))
    bench.valves.arm(bench.now)
    bench.peer.state(outputs=0x81, flags=0x0F)
    bench.run(50)
    bench.valves.heartbeat = False
    bench.peer.nmt = 0x7F
    bench.run(500)
    assert bench.valves.nodes[A].state is SetupState.HELD
    sample = bench.valves.node(A)
    assert (sample.operational, sample.armed, sample.outputs, sample.heartbeat_ok) == (False, False, 0, True)
    bench.wire.take_sent()
    bench.valves.heartbeat = True
    assert bench.run(600) == [
        SetupState.HELD, SetupState.CONFIGURE, SetupState.START, SetupState.OPERATIONAL
    ]
    assert not bench.valves.node(A).armed
    assert b"\x81\x10" not in [frame.data for frame in bench.wire.sent]


def test_a_heartbeat_that_ends_during_set_up_shows_but_the_set_up_judges_itself() -> None:
    bench = Bench((A,))
    bench.peer.mute_objects.add((0x1000, 0))
    bench.peer.beating = False
    bench.run(150)
    assert bench.valves.node(A).heartbeat_ok
    bench.peer.boots = False
    bench.run(300)
    assert not bench.valves.node(A).heartbeat_ok
    assert bench.valves.nodes[A].counters.heartbeat_losses == 0


# --- arming ---------------------------------------------------------------------------------------------------------


def test_arm_and_disarm_are_written_and_read_back() -> None:
    bench = ready()
    bench.valves.arm(bench.now)
    assert not bench.valves.node(A).armed
    bench.run(20)
    assert [bench.valves.node(i).armed for i in (A, B)] == [True, True]
    assert [bench.peers[i].store[0x2100, 0] for i in (A, B)] == [b"\x01", b"\x01"]
    bench.valves.disarm(bench.now)
    bench.run(20)
    assert [bench.valves.node(i).armed for i in (A, B)] == [False, False]
    assert [bench.peers[i].store[0x2100, 0] for i in (A, B)] == [b"\x00", b"\x00"]


def test_arming_is_refused_before_the_node_is_operational_and_not_remembered() -> None:
    bench = Bench((A,))
    bench.run(20)
    bench.valves.arm(bench.now)
    bench.valves.disarm(bench.now)
    bench.run(600)
    assert bench.valves.nodes[A].counters.arm_refused == 1
    assert bench.valves.node(A).operational
    assert not bench.valves.node(A).armed


def test_an_arm_whose_answer_is_lost_is_read_back_not_repeated() -> None:
    bench = ready((A,))
    bench.peer.requests_to_ignore = 1
    bench.valves.arm(bench.now)
    bench.run(200)
    writes = [f for f in bench.wire.sent if f.can_id == 0x610 and f.data[:3] == b"\x2f\x00\x21"]
    assert len(writes) == 1
    assert not bench.valves.node(A).armed
    assert bench.valves.nodes[A].counters.arm_failures == 1
    assert bench.valves.node(A).operational


def test_an_abort_of_arming_leaves_the_node_disarmed() -> None:
    bench = ready((A,))
    bench.peer.aborts[0x2100, 0] = 0x08000022
    bench.valves.arm(bench.now)
    bench.run(50)
    assert bench.valves.nodes[A].counters.aborts == {"wrong_state": 1}
    assert bench.valves.nodes[A].counters.arm_failures == 1
    assert not bench.valves.node(A).armed


def test_a_lost_disarm_is_repeated_until_it_is_confirmed() -> None:
    bench = ready((A,))
    bench.valves.arm(bench.now)
    bench.run(20)
    bench.peer.requests_to_ignore = 2
    bench.valves.disarm(bench.now)
    for _ in range(10):
        bench.step()
        bench.valves.disarm(bench.now)
    bench.run(200)
    assert bench.peer.store[0x2100, 0] == b"\x00"
    assert not bench.valves.node(A).armed
    assert bench.valves.node(A).operational


def test_a_disarm_that_is_not_confirmed_resets_the_node() -> None:
    bench = ready((A,))
    bench.valves.arm(bench.now)
    bench.run(20)
    bench.wire.take_sent()
    bench.peer.mute_objects.add((0x2100, 0))
    bench.valves.disarm(bench.now)
    bench.run(230)
    assert b"\x81\x10" in [f.data for f in bench.wire.sent if f.can_id == 0]
    assert bench.valves.nodes[A].counters.disarm_failures == 1
    assert (bench.valves.node(A).armed, bench.valves.node(A).operational) == (False, False)


def test_a_disarm_overtakes_an_arm_under_way() -> None:
    bench = ready((A,))
    bench.peer.mute_objects.add((0x2100, 0))
    bench.valves.arm(bench.now)
    bench.step()
    bench.valves.disarm(bench.now)
    bench.peer.mute_objects.clear()
    bench.run(100)
    assert bench.peer.store[0x2100, 0] == b"\x00"
    assert not bench.valves.node(A).armed
    assert bench.valves.nodes[A].counters.disarm_failures == 0


# --- plans and shuts ------------------------------------------------------------------------------------------------


def test_a_plan_is_two_frames_a_node_and_one_sync_in_output_order() -> None:
    bench = ready()
    opens = tuple(range(16))
    closes = tuple(range(100, 116))
    bench.valves.send_plan(opens, closes)
    assert bench.wire.take_sent() == [
        CanFrame(0x310, bytes(NOZZLES_A)),
        CanFrame(0x410, bytes(100 + n for n in NOZZLES_A)),
        CanFrame(0x311, bytes(NOZZLES_B)),
        CanFrame(0x411, bytes(100 + n for n in NOZZLES_B)),
        CanFrame(0x080, b""),
    ]


def test_outputs_without_a_nozzle_get_no_pulse() -> None:
    wire = Wire()
    valves = ValveBus(wire, [(A, Settings([1])), (B, Settings([0, 2]))], **RULES)
    valves.send_plan([10, 20, 30], [110, 120, 130])
    assert [frame.data.hex() for frame in wire.sent] == [
        "14" + "00" * 7, "78" + "00" * 7, "0a1e" + "00" * 6, "6e82" + "00" * 6, "",
    ]


@pytest.mark.parametrize(
    ("open_ms", "close_ms"),
    [
        ([0] * 16, [0] * 15 + [251]), ([-1] + [0] * 15, [0] * 16), ([0] * 16, [-1] + [0] * 15),
        ([251] + [0] * 15, [0] * 16), ([0] * 15, [0] * 15), ([0] * 16, [0] * 15), ([], []),
    ],
)
def test_a_plan_outside_the_window_is_refused_whole(open_ms: list[int], close_ms: list[int]) -> None:
    bench = ready()
    with pytest.raises(DeviceError) as refused:
        bench.valves.send_plan(open_ms, close_ms)
    assert refused.value.cause is Cause.PROTOCOL
    assert bench.wire.sent == []


def test_the_whole_window_is_allowed() -> None:
    bench = ready()
    bench.valves.send_plan([0] * 16, [250] * 16)
    assert bench.wire.sent[1].data == b"\xfa" * 8


def test_a_plan_that_the_bus_refuses_gets_no_sync() -> None:
    bench = ready()
    bench.wire.send_error = lambda frame: Cause.TIMEOUT if frame.can_id == 0x411 else None
    with pytest.raises(DeviceError) as refused:
        bench.valves.send_plan([0] * 16, [0] * 16)
    assert refused.value.cause is Cause.TIMEOUT
    assert CanFrame(0x080, b"") not in bench.wire.sent
    assert bench.valves.counters.errors == {Cause.TIMEOUT: 1}
    with pytest.raises(DeviceError, match="sits out"):
        bench.valves.send_plan([0] * 16, [0] * 16)


def test_shut_reaches_every_node_in_any_state() -> None:
    bench = Bench()
    bench.valves.shut(0)
    assert bench.wire.take_sent() == [CanFrame(0x210, b"\x00"), CanFrame(0x211, b"\x00")]


def test_shut_tries_every_node_before_it_raises() -> None:
    bench = ready()
    bench.wire.send_error = lambda frame: Cause.TIMEOUT if frame.can_id == 0x210 else None
    with pytest.raises(DeviceError) as refused:
        bench.valves.shut(bench.now)
    assert (refused.value.address, refused.value.cause) == (A, Cause.TIMEOUT)
    assert bench.wire.sent == [CanFrame(0x211, b"\x00")]
    assert bench.valves.counters.errors == {Cause.TIMEOUT: 1}
    # While the bus sits out a shut is still tried.
    bench.wire.send_error = lambda frame: None
    bench.valves.shut(bench.now)
    assert bench.wire.sent[1:] == [CanFrame(0x210, b"\x00"), CanFrame(0x211, b"\x00")]


def test_a_shut_that_reaches_nobody_names_the_first_node_and_does_not_prolong_the_pause() -> None:
    bench = ready()
    bench.wire.send_error = lambda frame: Cause.BUS_OFF
    for _ in range(3):
        with pytest.raises(DeviceError) as refused:
            bench.valves.shut(bench.now)
        assert refused.value.address == A
    assert bench.valves.counters.errors == {Cause.BUS_OFF: 6}
    assert bench.valves.counters.losses == 1
    bench.wire.send_error = lambda frame: None
    bench.wire.take_sent()
    bench.run(100)
    assert CanFrame(0x000, b"\x81\x10") in bench.wire.sent


# --- samples --------------------------------------------------------------------------------------------------------


def test_a_sample_is_what_the_node_last_said_with_its_times() -> None:
    bench = ready((A,))
    bench.peer.windows = 0x0102
    bench.peer.state(outputs=0x21, flags=0x0F, rejected=9, register=0x80)
    bench.step()
    node = bench.valves.nodes[A]
    sample = bench.valves.node(A)
    assert (sample.outputs, sample.armed, sample.enabled, sample.rejected_pulses) == (0x21, True, True, 9)
    assert node.state_ns == bench.now
    assert node.said is not None
    assert (node.said.windows_started, node.said.error_register) == (0x0102, 0x80)
    assert (node.sees_flight_computer, node.schedule_running) == (True, True)
    assert bench.valves.node(A) is sample
    with pytest.raises(KeyError):
        bench.valves.node(0x22)


def test_every_window_that_ends_counts_even_if_its_times_are_the_same() -> None:
    bench = ready()
    for count in (1, 2):
        bench.peers[B].say(0x280, bytes((30, 0, 250, 0, 0, 0, 0, 40)))
        bench.step()
        sample = bench.valves.node(B)
        assert sample.window_counter == count
        assert sample.on_time_ms == (30, 0, 250, 0, 0, 0, 0, 40)
        assert bench.valves.nodes[B].on_time_ns == bench.now
    assert bench.valves.node(A).on_time_ms is None


def test_on_times_have_one_entry_a_nozzle() -> None:
    wire = Wire()
    valves = ValveBus(wire, [(A, Settings([0, 1, 2]))], **RULES)
    valves.service(TICK)
    wire.arriving.append(CanFrame(0x290, bytes((1, 2, 3, 0, 0, 0, 0, 0))))
    valves.service(2 * TICK)
    assert valves.node(A).on_time_ms == (1, 2, 3)


def test_emergencies_are_kept_newest_last_and_bounded() -> None:
    bench = ready((A,))
    for code in range(0xFF00, 0xFF14):
        bench.peer.say(0x080, struct.pack("<HB5s", code, 0x81, b"\x02\x03"))
    bench.step()
    node = bench.valves.nodes[A]
    assert node.counters.emergencies == 20
    assert [e.code for e in node.emergencies] == list(range(0xFF04, 0xFF14))
    assert node.emergencies[-1].detail == b"\x02\x03\x00\x00\x00"
    assert bench.valves.node(A).last_emergency == 0xFF13
    assert bench.valves.node(A).operational


# --- faults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("can_id", "data", "reason"),
    [
        (0x190, bytes(7), Rejection.WRONG_LENGTH),
        (0x290, bytes(9 - 2), Rejection.WRONG_LENGTH),
        (0x090, bytes(1), Rejection.WRONG_LENGTH),
        (0x590, bytes(4), Rejection.WRONG_LENGTH),
        (0x590, bytes.fromhex("4f01210001000000"), Rejection.SDO_NOT_AWAITED),
        (0x710, b"\x42", Rejection.UNKNOWN_STATE),
        (0x710, b"", Rejection.WRONG_LENGTH),
    ],
)
def test_malformed_frames_are_counted_by_name_and_change_nothing(can_id: int, data: bytes, reason: Rejection) -> None:
    bench = ready((A,))
    before = bench.valves.node(A)
    bench.wire.arriving.append(CanFrame(can_id, data))
    bench.step()
    assert bench.valves.nodes[A].counters.rejected[reason] == 1
    assert sum(bench.valves.nodes[A].counters.rejected.values()) == 1
    assert bench.valves.node(A) == before


def test_frames_of_nobody_are_counted_by_the_bus() -> None:
    bench = ready((A,))
    bench.wire.arriving += [CanFrame(0x123, b""), CanFrame(0x190, bytes(8), extended=True), CanFrame(0x701, b"\x05")]
    bench.step()
    rejected = bench.valves.counters.rejected
    assert [rejected[r] for r in (Rejection.UNKNOWN_ID, Rejection.EXTENDED_ID, Rejection.OWN_ID)] == [1, 1, 1]


def test_a_flood_is_taken_in_bounded_bites() -> None:
    bench = ready((A,))
    bench.wire.arriving += [CanFrame(0x123, b"")] * 70
    left = []
    for _ in range(3):
        bench.step()
        left.append(len(bench.wire.arriving))
    assert left == [38, 6, 0]
    assert bench.valves.counters.rx_limit_hits == 2


@pytest.mark.parametrize("cause", [Cause.BUS_OFF, Cause.TIMEOUT])
def test_a_bus_error_is_counted_and_followed_by_a_fresh_set_up(cause: Cause) -> None:
    bench = ready()
    bench.valves.arm(bench.now)
    bench.run(50)
    bench.wire.take_sent()
    if cause is Cause.BUS_OFF:
        bench.wire.receive_error = cause
    else:
        bench.wire.send_error = lambda frame: cause
    bench.run(40)
    assert bench.valves.counters.errors == {cause: 1}
    assert [bench.valves.node(i).operational for i in (A, B)] == [False, False]
    assert [bench.valves.node(i).heartbeat_ok for i in (A, B)] == [False, False]
    bench.wire.receive_error = None
    bench.wire.send_error = lambda frame: None
    bench.until(SetupState.OPERATIONAL)
    nmt = [frame.data for frame in bench.wire.sent if frame.can_id == 0]
    assert nmt == [b"\x81\x10", b"\x81\x11", b"\x01\x10", b"\x01\x11"]
    assert not bench.valves.node(A).armed


def test_a_dead_bus_is_tried_ever_more_rarely() -> None:
    bench = Bench()
    bench.wire.receive_error = Cause.BUS_OFF
    tries = []
    for _ in range(40_000 // 5):
        before = bench.valves.counters.errors.get(Cause.BUS_OFF, 0)
        bench.step()
        if bench.valves.counters.errors.get(Cause.BUS_OFF, 0) > before:
            tries.append(bench.now)
    gaps = [(b - a) // MS for a, b in itertools.pairwise(tries)]
    assert gaps[:7] == [100, 200, 400, 800, 1600, 3200, 5000]
    assert set(gaps[6:]) == {5000}


NODE_IDS = [base + node for base in (0x080, 0x180, 0x280, 0x580, 0x700) for node in (A, B)]
FRAMES = st.builds(
    CanFrame,
    st.one_of(st.sampled_from(NODE_IDS), st.integers(0, 0x7FF)),
    st.one_of(
        st.binary(max_size=8),
        st.sampled_from([b"\x00", b"\x04", b"\x05", b"\x7f"]),
        st.builds(
            lambda head, key, value: struct.pack("<BHBI", head, *key, value),
            st.sampled_from([0x43, 0x4B, 0x4F, 0x60, 0x80, 0x41]),
            st.sampled_from([*WRITTEN, (0x1000, 0), (0x1018, 2)]),
            st.sampled_from([0, 1, 250, 0x51494B56, 0x06020000]),
        ),
    ),
    st.sampled_from([False] * 9 + [True]),
)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.lists(FRAMES, max_size=12), st.sampled_from(["arm", "disarm", "feed", ""])),
        max_size=12,
    )
)
def test_nothing_from_the_wire_raises(script: list[tuple[int, list[CanFrame], str]]) -> None:
    bench = Bench()
    for ticks, frames, order in script:
        bench.run(5 * ticks)
        bench.wire.arriving += frames
        if order == "arm":
            bench.valves.arm(bench.now)
        elif order == "disarm":
            bench.valves.disarm(bench.now)
        elif order == "feed":
            bench.valves.heartbeat = not bench.valves.heartbeat
    # Whatever was said, the nodes come back to taking plans.
    bench.valves.heartbeat = True
    bench.run(12_000)
    assert [bench.valves.node(i).operational for i in (A, B)] == [True, True]


# --- a peer of another maker ----------------------------------------------------------------------------------------

U8, U16, U32 = 0x05, 0x06, 0x07
DICTIONARY = [  # docs/protocols/valve-node.md: index, sub-index (None: no sub-indices), type, access, default
    (0x1000, None, U32, "ro", 0x00020191), (0x1001, None, U8, "ro", 0),
    (0x1016, 1, U32, "rw", 0), (0x1017, None, U16, "rw", 100),
    (0x1018, 1, U32, "ro", 0), (0x1018, 2, U32, "ro", 0x51494B56), (0x1018, 3, U32, "ro", 1), (0x1018, 4, U32, "ro", 9),
    (0x6200, 1, U8, "rw", 0), (0x6206, 1, U8, "rw", 0xFF), (0x6207, 1, U8, "rw", 0),
    (0x2100, None, U8, "rw", 0), (0x2101, None, U8, "rw", 250), (0x2102, None, U8, "rw", 30),
    (0x2103, None, U8, "rw", 30), (0x2104, None, U16, "rw", 3000), (0x2105, None, U16, "rw", 6000),
]


class VirtualCan:
    """A python-can bus as the drivers see a bus."""

    def __init__(self, can: Any, bus: Any) -> None:
        self.name = "can0"
        self._can = can
        self._bus = bus

    def send(self, frame: CanFrame) -> None:
        self._bus.send(self._can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=frame.extended))

    def receive(self) -> CanFrame | None:
        message = self._bus.recv(0)
        if message is None:
            return None
        return CanFrame(message.arbitration_id, bytes(message.data), message.is_extended_id)


class ForeignNode:
    """canopen.LocalNode with the valve node's dictionary; the reset, which the package leaves to its user, is here."""

    def __init__(self, canopen: Any, channel: str, without: int | None = None) -> None:
        self.network = canopen.Network()
        self.network.NOTIFIER_CYCLE = 0.05
        self.network.connect(interface="virtual", channel=channel)
        self.local = canopen.LocalNode(A, self._dictionary(canopen.objectdictionary, without))
        self.network.add_node(self.local)
        self.resets = 0
        self.network.subscribe(0, self._on_nmt)

    @staticmethod
    def _dictionary(od: Any, without: int | None) -> Any:
        dictionary = od.ObjectDictionary()
        for index, subindex, kind, access, default in DICTIONARY:
            if index == without:
                continue
            variable = od.ODVariable(f"x{index:04x}_{subindex or 0}", index, subindex or 0)
            variable.data_type, variable.access_type, variable.default = kind, access, default
            if subindex is None:
                dictionary.add_object(variable)
                continue
            if index not in dictionary:
                dictionary.add_object(od.ODRecord(f"x{index:04x}", index))
            dictionary[index].add_member(variable)
        return dictionary

    def _on_nmt(self, can_id: int, data: bytearray, timestamp: float) -> None:
        if data[0] == 0x81 and data[1] in (0, A):
            self.resets += 1
            self.local.nmt.stop_heartbeat()
            self.local.data_store.clear()
            self.local.nmt.state = "INITIALISING"
            self.local.nmt.state = "PRE-OPERATIONAL"

    def stored(self) -> dict[tuple[int, int], bytes]:
        return {(i, s): data for i, subs in self.local.data_store.items() for s, data in subs.items()}

    def close(self) -> None:
        self.local.nmt.stop_heartbeat()
        self.network.disconnect()


class ForeignBench:
    """Our bus against the foreign node, in real time because that node has threads of its own."""

    def __init__(self, canopen: Any, can: Any, channel: str, without: int | None = None) -> None:
        self.peer = ForeignNode(canopen, channel, without)
        self._bus = can.Bus(interface="virtual", channel=channel)
        self.valves = ValveBus(VirtualCan(can, self._bus), [(A, Settings(NOZZLES_A))], **RULES)

    def until(self, condition: Callable[[], bool], limit_s: float = 2.0) -> bool:
        """Serve until ``condition`` holds; whether it did in time."""
        end = time.monotonic() + limit_s
        while not condition():
            if time.monotonic() > end:
                return False
            self.valves.service(time.monotonic_ns())
            time.sleep(0.002)
        return True

    def close(self) -> None:
        self.peer.close()
        self._bus.shutdown()


@pytest.fixture
def foreign(request: pytest.FixtureRequest) -> Iterator[Callable[..., ForeignBench]]:
    canopen = pytest.importorskip("canopen")
    can = pytest.importorskip("can")
    made: list[ForeignBench] = []

    def make(without: int | None = None) -> ForeignBench:
        made.append(ForeignBench(canopen, can, f"{request.node.name}-{len(made)}", without))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def test_a_foreign_node_is_set_up_started_and_armed(foreign: Callable[..., ForeignBench]) -> None:
    bench = foreign()
    assert bench.until(lambda: bench.valves.node(A).operational)
    assert bench.peer.resets == 1
    assert bench.peer.stored() == WRITTEN
    assert bench.peer.local.nmt.state == "OPERATIONAL"
    assert bench.valves.node(A).heartbeat_ok
    assert bench.valves.nodes[A].serial == 9
    # On a busy machine a request may be repeated, and then be answered twice.
    counters = bench.valves.nodes[A].counters
    assert sum(counters.rejected.values()) <= counters.sdo_repeats
    bench.valves.arm(time.monotonic_ns())
    assert bench.until(lambda: bench.valves.node(A).armed)
    assert bench.peer.stored()[0x2100, 0] == b"\x01"
    bench.valves.disarm(time.monotonic_ns())
    assert bench.until(lambda: not bench.valves.node(A).armed)
    assert bench.peer.stored()[0x2100, 0] == b"\x00"


def test_a_foreign_node_gets_heartbeat_plan_and_shut(foreign: Callable[..., ForeignBench]) -> None:
    bench = foreign()
    heard: list[tuple[int, bytes]] = []
    for can_id in (0x701, 0x310, 0x410, 0x080, 0x210):
        bench.peer.network.subscribe(can_id, lambda i, data, t: heard.append((i, bytes(data))))
    bench.valves.heartbeat = True
    assert bench.until(lambda: (0x701, b"\x05") in heard)
    heard.clear()
    bench.valves.heartbeat = False
    bench.valves.send_plan([0] * 16, [40] * 16)
    bench.valves.shut(time.monotonic_ns())
    assert bench.until(lambda: len(heard) >= 4)
    assert heard == [(0x310, bytes(8)), (0x410, b"\x28" * 8), (0x080, b""), (0x210, b"\x00")]


def test_an_abort_of_a_foreign_node_is_named(foreign: Callable[..., ForeignBench]) -> None:
    bench = foreign(without=0x2105)
    assert bench.until(lambda: "no_object" in bench.valves.nodes[A].counters.aborts)
    failure = bench.valves.nodes[A].failure
    assert failure is not None
    assert (failure.state, failure.index, failure.abort_code) == (SetupState.CONFIGURE, 0x2105, 0x06020000)
    assert not bench.valves.node(A).operational


def test_a_foreign_emergency_and_a_foreign_reset_are_seen(foreign: Callable[..., ForeignBench]) -> None:
    bench = foreign()
    assert bench.until(lambda: bench.valves.node(A).operational)
    bench.peer.local.emcy.send(0x8130, 0x11, b"\x01")
    assert bench.until(lambda: bench.valves.node(A).last_emergency == 0x8130)
    bench.peer.local.nmt.stop_heartbeat()
    bench.peer.local.nmt.state = "INITIALISING"
    bench.peer.local.nmt.state = "PRE-OPERATIONAL"
    assert bench.until(lambda: bench.valves.nodes[A].counters.resets_seen == 1)
    assert bench.until(lambda: bench.valves.node(A).operational)
    assert bench.valves.nodes[A].counters.setups == 2
