"""What one peer says: carried out once, answered from memory, held until its time, and refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comms.channel_plan import PLAN, ChannelSpec, Direction, channel_named
from comms.channels.channel_queue import rule_for
from comms.dictionary import COMMANDS, Authority
from comms.dictionary.grants import grant
from comms.dictionary.messages import (
    Hello,
    Notice,
    ParameterListing,
    ParametersAsk,
    Ping,
    Pong,
    TimeAsk,
    TimeTold,
    WireCommand,
)
from comms.dictionary.strict_cbor import Refusal, encode
from comms.dictionary.wire import encode_command, encode_message, message_of
from comms.emcon import EmconGate, Transmitter
from comms.flight_port import CommandStage, UplinkRequest
from comms.keys.handshake import PeerIdentity, SessionSecrets
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.link.end import FULL_POWER, Line, LinkEnd
from comms.link.peer_desk import LATER, MOST_HELD, PeerDesk, StageMemory
from comms.shell.server import ShellServer
from comms.shell.view import CraftView
from fdir.codes import Code
from fdir.modes import Emission
from hil.disk import SimDisk
from tests.comms.link_pair import CRAFT, LOCK, MS, NS, Air

CONTROL, SERVICE, FILES, SHELL = (channel_named(name).id for name in ("control", "service", "files", "shell"))
SPOKEN = [spec.id for spec in PLAN if rule_for(spec) is not None]


class Craft:
    """A craft's link as far as a desk needs it."""

    def __init__(self) -> None:
        self.start: int | None = 3
        self.version = "test"
        self.digest = bytes(8)
        self.asked: list[UplinkRequest] = []
        self.room = True
        self.level = 0
        self.files: list[bytes] = []
        self.may_send_files = True
        self.told_channels: list[ChannelSpec] = []
        self.ended: list[tuple[bool, str]] = []
        self.may = False

    def ask(self, request: UplinkRequest) -> bool:
        if self.room:
            self.asked.append(request)
        return self.room

    def may_ask(self, end: LinkEnd, now_ns: int) -> bool:
        return True

    def emcon_level(self) -> int:
        return self.level

    def parameters(self, first: int, longest: int) -> bytes:
        data = encode_message(ParameterListing(1, bytes(8), 1, ((first, 1.5),)))
        assert len(data) <= longest
        return data

    def file_unit(self, payload: bytes, end: LinkEnd, now_ns: int) -> bool:
        self.files.append(payload)
        return self.may_send_files

    def bundle(self, payload: bytes, end: LinkEnd, now_ns: int) -> None:
        pass

    def may_renew(self, end: LinkEnd, now_ns: int) -> bool:
        return self.may

    def renewed(self, end: LinkEnd, done: bool, words: str, now_ns: int) -> None:
        self.ended.append((done, words))

    def tell_channel(self, end: LinkEnd, spec: ChannelSpec, is_open: bool, now_ns: int) -> None:
        self.told_channels.append(spec)

    def science(self, channel: int, payload: bytes, end: LinkEnd, now_ns: int) -> bool:
        return channel == 4


class Bench:
    """One desk and what it says."""

    def __init__(self, role: Authority = Authority.SAFETY, mtu: int = 1200) -> None:
        rng = np.random.default_rng(3)
        keys = KeyStore(SimDisk(rng), LOCK, rng.bytes, new_craft(CRAFT, rng.bytes))
        operator = KeyStore(SimDisk(rng), LOCK, rng.bytes, new_operator("ada", role, rng.bytes))
        pair(keys, operator, rng.bytes)
        peer = PeerIdentity("ada", role, operator.identity.public)
        slot = keys.peer("ada").slots[0]
        self.secrets = SessionSecrets(b"\x01" * 32, b"\x02" * 32, b"\x03" * 32, peer, slot.id)
        gate = EmconGate()
        gate.follow(Emission.OPEN, 0)
        self.craft = Craft()
        self.audits: list[tuple[str | None, tuple[Code, ...]]] = []
        self.memory = StageMemory()
        self.gate = gate
        self.keys = keys
        self.random = rng.bytes
        self.shell = ShellServer(CraftView(), self.craft.ask)
        self.mtu = mtu
        self.desk = self.open()

    def open(self) -> PeerDesk:
        """A further session's desk of the same peer."""
        line = Line(Air(self.mtu).craft(), Transmitter.RADIO)
        end = LinkEnd(self.secrets.peer, line, "a", self.secrets, Direction.DOWN, self.gate, 0)
        end.judge(FULL_POWER, False, 0)
        return PeerDesk(end, self.craft, self.keys, self.random, self.shell, self.memory, self._audit)

    def _audit(self, end: LinkEnd, command: WireCommand | None, codes: tuple[Code, ...]) -> None:
        assert end.peer.name == "ada"
        self.audits.append((None if command is None else command.name, codes))

    def said(self, channel: int = CONTROL, desk: PeerDesk | None = None) -> list[Any]:
        """Messages that wait for the peer on a channel, taken out."""
        lane = (desk or self.desk).end.manager.lane(channel)
        assert lane is not None
        found = []
        while len(lane.queue):
            taken = lane.queue.take(0)
            assert taken is not None
            found.append(message_of(taken[1]))
        assert not any(isinstance(message, Refusal) for message in found)
        return found


def command(
    number: int, name: str = "hold", arguments: dict[str, Any] | None = None, before: int | None = None,
    after: int | None = None, start: int | None = 3, confirmed: bool = False,
) -> bytes:
    return encode_command(WireCommand(number, name, arguments or {}, before, after, start, "normal", confirmed))


def stage(number: int, name: str, word: str, *codes: str) -> CommandStage:
    return CommandStage(0, 9, f"ada:{number}", "ada", name, word, codes)


def test_a_command_reaches_the_flight_loop_with_the_authority_of_its_key() -> None:
    bench = Bench(Authority.CONTROLLER)
    assert not bench.desk.take(CONTROL, command(7, after=5000), NS).denied
    asked = bench.craft.asked
    assert [(r.command_id, r.sender, r.authority, r.sequence, r.start, r.not_after_ns) for r in asked] == [
        ("ada:7", "ada", Authority.CONTROLLER, 7, 3, 5 * NS)
    ]
    assert bench.audits == [("hold", ())]
    assert bench.said() == []


@pytest.mark.parametrize("word", ["requested", "allowed", "rejected", "effect_confirmed", "effect_timeout"])
def test_a_repeated_number_is_answered_from_memory_and_asked_nobody(word: str) -> None:
    bench = Bench()
    bench.desk.take(CONTROL, command(7), 0)
    bench.memory.keep(7, stage(7, "hold", word, "CMD_REJECTED"))
    for _ in range(5):
        bench.desk.take(CONTROL, command(7), NS)
    told = bench.said()
    assert [(m.stage, m.codes) for m in told] == [(word, ("CMD_REJECTED",))] * 5
    assert len(bench.craft.asked) == 1


def test_memory_of_a_peer_outlives_its_session() -> None:
    bench = Bench()
    bench.desk.take(CONTROL, command(7), 0)
    bench.memory.keep(7, stage(7, "hold", "effect_confirmed"))
    bench.desk.close()
    later = bench.open()
    later.take(CONTROL, command(7), NS)
    assert [m.stage for m in bench.said(desk=later)] == ["effect_confirmed"]
    assert len(bench.craft.asked) == 1


def test_the_end_of_a_command_is_remembered_and_not_that_it_was_audited() -> None:
    memory = StageMemory()
    memory.keep(1, stage(1, "hold", "effect_timeout", "EFFECT_TIMEOUT"))
    memory.keep(1, stage(1, "hold", "audited"))
    known = memory.of(1)
    assert known is not None
    assert known.stage == "effect_timeout"


def test_another_command_under_a_used_number_is_refused_and_learns_nothing_of_the_first() -> None:
    bench = Bench()
    bench.desk.take(CONTROL, command(7), 0)
    bench.memory.keep(7, stage(7, "hold", "effect_confirmed"))
    for other in (command(7, "ping", {"number": 1}), command(7, before=1, after=2), command(7, confirmed=True)):
        assert bench.desk.take(CONTROL, other, NS).denied
    told = bench.said()
    assert [(type(m), m.number, m.reason) for m in told] == [(Notice, 7, "CMD_SPOOF_MISMATCH")] * 3
    assert len(bench.craft.asked) == 1
    assert bench.audits[1:] == [
        ("ping", (Code.CMD_SPOOF_MISMATCH,)), ("hold", (Code.CMD_SPOOF_MISMATCH,)), ("hold", (Code.CMD_SPOOF_MISMATCH,))
    ]


@given(st.lists(st.integers(0, 400), max_size=300))
@settings(max_examples=30, deadline=None)
def test_memories_are_bounded(numbers: list[int]) -> None:
    memory = StageMemory(64)
    for number in numbers:
        memory.same(number, bytes(number))
        memory.keep(number, stage(number, "hold", "allowed"))
    assert sum(memory.of(number) is not None for number in range(401)) <= 64
    if numbers:
        assert memory.of(numbers[-1]) is not None


# -- its time


def test_a_command_is_held_until_its_time_once_and_its_sender_knows() -> None:
    bench = Bench()
    for second in range(8):
        bench.desk.take(CONTROL, command(7, before=10_000, after=20_000), second * NS)
        bench.desk.step(second * NS)
    assert bench.desk.held == 1
    assert bench.craft.asked == []
    assert {(m.stage, m.command_id) for m in bench.said()} == {("validation_pending", "ada:7")}
    bench.desk.step(10 * NS - 1)
    assert bench.craft.asked == []
    bench.desk.step(10 * NS)
    bench.desk.step(11 * NS)
    asked = bench.craft.asked
    assert [(r.command_id, r.not_before_ns, r.not_after_ns) for r in asked] == [("ada:7", None, 20 * NS)]
    assert asked[0].sender == f"ada{LATER}", "others of this peer may have overtaken it: it has an order of its own"
    assert bench.desk.held == 0


def test_held_commands_come_when_they_are_due_and_not_in_the_order_they_came() -> None:
    bench = Bench()
    for number, at in ((1, 3000), (2, 1000), (3, 2000)):
        bench.desk.take(CONTROL, command(number, before=at, after=9000), 0)
    for ms in range(0, 4000, 100):
        bench.desk.step(ms * MS)
    assert [r.command_id for r in bench.craft.asked] == ["ada:2", "ada:3", "ada:1"]
    sequence = [r.sequence for r in bench.craft.asked]
    assert sequence == sorted(set(sequence))


def test_the_number_of_held_commands_is_bounded_and_the_next_is_told_so() -> None:
    bench = Bench()
    for number in range(MOST_HELD):
        bench.desk.take(CONTROL, command(number, before=10_000, after=20_000), 0)
        bench.said()
    bench.desk.take(CONTROL, command(99, before=10_000, after=20_000), 0)
    (told,) = bench.said()
    assert isinstance(told, Notice)
    assert (told.number, told.reason) == (99, "CMD_REJECTED")
    assert bench.desk.held == MOST_HELD
    # Repeating one that is held is none more.
    bench.desk.take(CONTROL, command(0, before=10_000, after=20_000), 0)
    assert [m.stage for m in bench.said()] == ["validation_pending"]
    bench.desk.step(10 * NS)
    assert len(bench.craft.asked) == MOST_HELD


def test_commands_that_are_due_at_once_have_rising_numbers_over_all_sessions_of_a_peer() -> None:
    bench = Bench()
    other = bench.open()
    number = 0
    for second in range(1, 8):
        for desk in (bench.desk, other):
            for _ in range(25):
                number += 1
                desk.take(CONTROL, command(number, before=second * 1000, after=90_000), 0)
        bench.desk.step(second * NS)
        other.step(second * NS)
    sequence = [r.sequence for r in bench.craft.asked]
    assert len(sequence) == 350
    assert sequence == sorted(set(sequence))
    bench.memory.clear()
    assert bench.memory.later(0) < sequence[0], "a new start begins anew"


def test_a_session_that_ends_lets_go_of_what_it_held_and_that_is_audited() -> None:
    bench = Bench()
    bench.desk.take(CONTROL, command(7, before=10_000, after=20_000), 0)
    bench.desk.close()
    bench.desk.step(11 * NS)
    assert bench.craft.asked == []
    assert bench.audits == [("hold", (Code.COMMS_UNAVAILABLE,))]
    # Its sender, which had no verdict, sends it again in the next session.
    later = bench.open()
    later.take(CONTROL, command(7, before=10_000, after=20_000), 9 * NS)
    later.step(10 * NS)
    assert [r.command_id for r in bench.craft.asked] == ["ada:7"]


def test_a_time_that_has_passed_is_no_reason_to_wait() -> None:
    bench = Bench()
    bench.desk.take(CONTROL, command(7, before=10, after=20), NS)
    assert len(bench.craft.asked) == 1, "whether it has expired the flight loop says"


# -- refusals


ALL = [(role, name) for role in Authority for name in COMMANDS]


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_every_role_gets_exactly_what_it_is_granted_on_the_control_channel(level: int) -> None:
    benches = {role: Bench(role) for role in Authority}
    for number, (role, name) in enumerate(ALL):
        arguments = SAMPLES.get(name)
        if arguments is None:
            continue
        bench = benches[role]
        bench.craft.level = level
        before = len(bench.craft.asked)
        codes = grant(role, name, channel_named("control").kind, level, arguments)
        said = bench.desk.take(CONTROL, command(number, name, arguments), 0)
        assert (len(bench.craft.asked) - before == 1) == (codes == ()), (role, name)
        told = bench.said()
        if codes:
            assert said.denied == (Code.CMD_UNAUTHORIZED in codes)
            assert [(m.number, m.reason) for m in told] == [(number, ", ".join(codes))]
            assert bench.audits[-1] == (name, codes)
        else:
            assert told == []


SAMPLES: dict[str, dict[str, Any]] = {
    "hold": {}, "ping": {"number": 1}, "emcon": {"level": 2}, "key_rotate": {}, "file_list": {},
    "file_send": {"name": "a"}, "file_delete": {"name": "a"}, "key_renew": {}, "emcon_release": {},
    "nbl_send": {"payload_class": "beacon", "criticality": "emergency"}, "sequence_stop": {},
    "telemetry_rate": {"group": "state", "rate_hz": 1.0}, "nbl_set": {"enabled": False},
}


def test_a_flight_loop_without_room_is_told() -> None:
    bench = Bench()
    bench.craft.room = False
    bench.desk.take(CONTROL, command(7), 0)
    (told,) = bench.said()
    assert (told.number, told.reason) == (7, "COMMS_UNAVAILABLE")
    bench.craft.room = True
    bench.desk.take(CONTROL, command(7), 1)
    assert [r.sequence for r in bench.craft.asked] == [7]


@pytest.mark.parametrize("payload", [
    b"\xff", b"\x00", b"hello", encode([1, 2]), encode([99]), encode({"a": 1}), bytes(1000), b"\x9f" * 200,
    encode_message(Ping(1)), encode_message(Hello(bytes(8), None, "x")), encode_message(Notice(None, "a", "b")),
    encode_message(stage(1, "hold", "allowed")),
])
def test_what_is_no_command_gets_a_notice_and_is_audited(payload: bytes) -> None:
    bench = Bench()
    assert bench.desk.take(CONTROL, payload, 0).unknown
    (told,) = bench.said()
    assert isinstance(told, Notice)
    assert told.number is None
    assert told.reason
    assert bench.audits == [(None, (Code.CMD_VALIDATION_FAILED,))]
    assert sum(bench.desk.unread.values()) == 1


@pytest.mark.parametrize("channel", [SERVICE, 1, 2, 8, 31])
def test_what_is_no_question_or_for_nobody_gets_a_notice_too(channel: int) -> None:
    bench = Bench()
    assert bench.desk.take(channel, b"\xff\xff", 0).unknown
    assert [type(m) for m in bench.said()] == [Notice]
    assert sum(bench.desk.unread.values()) == 1


@pytest.mark.parametrize("channel", [*SPOKEN, 8, 30, 31, 255])
@given(payload=st.one_of(
    st.binary(max_size=300), st.binary(max_size=80).map(lambda tail: b"\x4b" + tail),
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(-5, 2**32), st.text(max_size=10), st.binary(max_size=10)),
             max_size=11).map(encode),
))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_payload_of_any_channel_raises(channel: int, payload: bytes) -> None:
    bench = FUZZED.setdefault(channel, Bench())
    bench.desk.take(channel, payload, 0)
    bench.desk.step(0)
    bench.shell.step(0)
    for spoken in SPOKEN:
        lane = bench.desk.end.manager.lane(spoken)
        assert lane is not None
        assert len(lane.queue) <= lane.queue.rule.entries


FUZZED: dict[int, Bench] = {}


def test_the_book_of_unread_payloads_is_bounded() -> None:
    bench = FUZZED.get(CONTROL) or Bench()
    rng = np.random.default_rng(5)
    for _ in range(3000):
        bench.desk.take(CONTROL, rng.bytes(int(rng.integers(1, 60))), 0)
        bench.desk.take(SERVICE, rng.bytes(int(rng.integers(1, 60))), 0)
    assert len(bench.desk.unread) < 32


# -- service


@pytest.mark.parametrize(("ask", "answer"), [
    (TimeAsk(5), TimeTold(5, 2500, 3)), (Ping(8), Pong(8, 2500)),
    (Hello(bytes(8), None, ""), Hello(bytes(8), 3, "test")),
    (ParametersAsk(4), ParameterListing(1, bytes(8), 1, ((4, 1.5),))),
])
def test_questions_are_answered(ask: Any, answer: Any) -> None:
    bench = Bench(Authority.VIEWER)
    bench.desk.take(SERVICE, encode_message(ask), 2500 * MS)
    assert bench.said(SERVICE) == [answer]


def test_created_channels_are_told_again_with_the_time() -> None:
    bench = Bench()
    made = bench.desk.end.manager.create_channel("science", True, 2, "camera")
    bench.desk.take(SERVICE, encode_message(TimeAsk(1)), 0)
    assert bench.craft.told_channels == [made]


def test_a_flood_of_questions_fills_no_more_than_the_queue() -> None:
    bench = Bench()
    for number in range(5000):
        bench.desk.take(SERVICE, encode_message(Ping(number)), 0)
    assert len(bench.said(SERVICE)) == 64


# -- short lines


@pytest.mark.parametrize("mtu", [96, 200, 223])
def test_a_refusal_with_many_codes_and_words_fits_a_short_line(mtu: int) -> None:
    bench = Bench(mtu=mtu)
    codes = tuple(code.value for code in list(Code)[:8])
    bench.desk.tell(CommandStage(1, 2, "ada:7", "ada", "hold", "rejected", codes, "ö" * 180), 0)
    (told,) = bench.said()
    assert told.codes == codes
    assert told.stage == "rejected"
    bench.desk.take(CONTROL, command(1), 0)
    bench.craft.room = False
    bench.desk.take(CONTROL, command(2), 0)
    assert bench.said()[0].number == 2


def test_a_shell_opens_with_the_first_chunk_and_closes_with_the_session() -> None:
    bench = Bench(Authority.VIEWER)
    assert bench.shell.sessions == 0 if isinstance(bench.shell.sessions, int) else len(bench.shell.sessions) == 0
    bench.desk.take(SHELL, b"\0\0help\n", 0)
    for _ in range(10):
        bench.shell.step(0)
        bench.desk.step(0)
    assert bench.desk.end.waiting(SHELL) > 0
    assert bench.desk.end.waiting(SHELL) <= 64
    bench.desk.close()
    bench.shell.step(0)


