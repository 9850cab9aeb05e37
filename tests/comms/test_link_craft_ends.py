"""Sessions of a craft: who is live where, what replaces what, what is bounded, and who is never answered."""

from __future__ import annotations

import numpy as np
import pytest

from comms.channel_plan import Direction, channel_named
from comms.dictionary import Authority
from comms.emcon import EmconGate, EmconLevel, Transmitter
from comms.keys.initiator import Initiator, RetryPlan
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.link.craft_ends import IDLE_NS, MOST_ANSWERS, MOST_AT_ONE, CraftEnds, Frame
from comms.link.end import FULL_POWER, Line, LinkEnd
from comms.records.record import Opened
from comms.transports.port import Datagram
from fdir.modes import Emission
from hil.disk import SimDisk
from tests.comms.link_pair import CRAFT, LOCK, MS, NS, Air

SERVICE = channel_named("service").id


class Side:
    """One operator: makes messages and records as a station does, one at a time."""

    def __init__(self, bench: Ends, name: str) -> None:
        self.bench = bench
        self.keys = KeyStore(SimDisk(bench.rng), LOCK, bench.random, new_operator(name, Authority.SAFETY, bench.random))
        pair(bench.keys, self.keys, bench.random)
        self.initiator = Initiator(self.keys, CRAFT, bench.random, RetryPlan(tries=1))

    def hello(self) -> bytes:
        """Message 1."""
        self.initiator.start(self.bench.now)
        message = self.initiator.step(self.bench.now)
        assert message is not None
        return message

    def end(self, answer: bytes) -> LinkEnd:
        """This side of the session that message 2 gives."""
        secrets = self.initiator.receive(answer, self.bench.now)
        assert not isinstance(secrets, str)
        line = Line(Air().ground("x"), Transmitter.CABLE)
        gate = EmconGate()
        gate.follow(Emission.OPEN, 0)
        end = LinkEnd(secrets.peer, line, "", secrets, Direction.UP, gate, self.bench.now)
        end.judge(FULL_POWER, False, self.bench.now)
        return end


class Ends:
    """A craft's ends over two lines with many addresses each."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(7)
        self.random = self.rng.bytes
        self.keys = KeyStore(SimDisk(self.rng), LOCK, self.random, new_craft(CRAFT, self.random))
        self.airs = {"uhf": Air(), "lora": Air()}
        self.emcon = EmconGate()
        self.emcon.follow(Emission.OPEN, 0)
        self.frames: list[Frame] = []
        lines = {name: Line(air.craft(name), Transmitter.RADIO) for name, air in self.airs.items()}
        self.ends = CraftEnds(self.keys, lines, self.emcon, self.random, self.frames.append, 1)
        self.now = 0

    def step(self, seconds: float = 0.02) -> None:
        self.now += round(seconds * NS)
        self.ends.step(self.now)

    def take(self, line: str, source: str, payload: bytes) -> Opened | None:
        taken = self.ends.take(line, Datagram(payload, source), self.now)
        return None if taken is None else taken[1]

    def answer(self, line: str, source: str, hello: bytes) -> bytes:
        """Message 2 to a message 1."""
        air = self.airs[line]
        before = len(air.down)
        assert self.take(line, source, hello) is None
        for _ in range(100):
            self.step()
            if len(air.down) > before:
                break
        to, answer = air.down[-1]
        assert (len(air.down), to) == (before + 1, source)
        return answer

    def half(self, side: Side, line: str, source: str) -> LinkEnd:
        return side.end(self.answer(line, source, side.hello()))

    def live(self, side: Side, line: str, source: str) -> LinkEnd:
        end = self.half(side, line, source)
        assert self.take(line, source, record(end, self.now)) is not None
        return end


def record(end: LinkEnd, now: int, payload: bytes = b"ping") -> bytes:
    sealed = end.session.seal(SERVICE, payload, now)
    assert isinstance(sealed, bytes)
    return sealed


def test_a_session_is_live_with_its_first_good_record_only() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    end = bench.half(side, "uhf", "a")
    assert bench.ends.ends == []
    assert bench.ends.came == []
    assert bench.take("uhf", "a", record(end, bench.now)) is not None
    assert [known.peer.name for known in bench.ends.came] == ["ada"]
    assert bench.ends.counts.sessions == 1


def test_the_session_before_goes_on_until_the_new_one_has_proved_itself() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    old = bench.live(side, "uhf", "a")
    new = bench.half(side, "uhf", "a")
    assert bench.take("uhf", "a", record(old, bench.now)) is not None
    assert bench.take("uhf", "a", bytes((0x21, *bytes(40)))) is None
    assert bench.take("uhf", "a", record(old, bench.now)) is not None
    assert bench.ends.gone == []
    first = record(new, bench.now)
    assert bench.take("uhf", "a", first) is not None
    assert [(end.peer.name, why) for end, why in bench.ends.gone] == [("ada", "replaced")]
    assert len(bench.ends.ends) == 1
    assert bench.take("uhf", "a", record(old, bench.now)) is None
    assert bench.take("uhf", "a", first) is None, "its first record counts once"


def test_a_peer_has_two_lines_at_once_and_nothing_of_one_is_taken_on_the_other() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    uhf = bench.live(side, "uhf", "a")
    lora = bench.live(side, "lora", "a")
    assert len(bench.ends.of_peer("ada")) == 2
    assert bench.ends.gone == []
    for end, here, there in ((uhf, "uhf", "lora"), (lora, "lora", "uhf")):
        for _ in range(20):
            sealed = record(end, bench.now)
            assert bench.take(there, "a", sealed) is None, "before its own line"
            assert bench.take(here, "a", sealed) is not None
            assert bench.take(there, "a", sealed) is None, "after its own line"
            assert bench.take(here, "a", sealed) is None, "again"
    assert bench.ends.counts.by_outcome["good"] == 2 + 40


def test_a_record_from_another_address_is_nobody_s() -> None:
    bench = Ends()
    end = bench.live(Side(bench, "ada"), "uhf", "a")
    sealed = record(end, bench.now)
    assert bench.take("uhf", "b", sealed) is None
    assert bench.ends.counts.by_outcome["no session"] == 1
    assert bench.take("uhf", "a", sealed) is not None


def test_a_replayed_handshake_gets_no_answer_and_changes_nothing() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    hello = side.hello()
    end = side.end(bench.answer("uhf", "a", hello))
    assert bench.take("uhf", "a", record(end, bench.now)) is not None
    sent = len(bench.airs["uhf"].down), len(bench.airs["lora"].down)
    for line in ("uhf", "lora"):
        for source in ("a", "b"):
            assert bench.take(line, source, hello) is None
    for _ in range(50):
        bench.step()
    assert (len(bench.airs["uhf"].down), len(bench.airs["lora"].down)) == sent
    assert bench.take("uhf", "a", record(end, bench.now)) is not None


def test_strangers_get_no_answer_whatever_they_send() -> None:
    bench = Ends()
    Side(bench, "ada")
    for size in range(0, 200, 7):
        for first in (0x00, 0x01, 0x21, 0xFF):
            bench.take("uhf", "x", bytes((first,)) + bench.random(size))
            bench.take("uhf", "x", b"\x00\x01" + bench.random(size))
    bench.take("uhf", "x", b"")
    for _ in range(100):
        bench.step()
    assert bench.airs["uhf"].down == []
    assert sum(bench.ends.counts.by_outcome.values()) == len(bench.frames) == 29 * 8 + 1


def test_stations_that_share_an_address_each_have_their_session() -> None:
    bench = Ends()
    ends = [bench.live(Side(bench, f"op-{n}"), "uhf", "air") for n in range(MOST_AT_ONE)]
    assert len(bench.ends.ends) == MOST_AT_ONE
    for end in ends:
        assert bench.take("uhf", "air", record(end, bench.now)) is not None
    bench.live(Side(bench, "late"), "uhf", "air")
    assert len(bench.ends.ends) == MOST_AT_ONE
    assert [why for _, why in bench.ends.gone] == ["too many at one address"]
    assert bench.ends.counts.displaced == 1


def test_a_silent_peer_is_let_go() -> None:
    bench = Ends()
    end = bench.live(Side(bench, "ada"), "uhf", "a")
    bench.now += IDLE_NS - 40 * MS
    bench.step()
    assert bench.take("uhf", "a", record(end, bench.now)) is not None
    bench.now += IDLE_NS - 40 * MS
    bench.step()
    assert len(bench.ends.ends) == 1
    bench.step(0.04)
    assert bench.ends.ends == []
    assert [why for _, why in bench.ends.gone] == ["silent"]


def test_a_session_that_nobody_confirms_lapses() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    end = bench.half(side, "uhf", "a")
    assert bench.ends.half_open == 1
    bench.step(31.0)
    bench.step()
    assert bench.ends.half_open == 0
    assert bench.take("uhf", "a", record(end, bench.now)) is None
    assert bench.ends.ends == []


def test_half_open_sessions_are_one_a_peer_whatever_address_they_come_from() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    for n in range(60):
        bench.half(side, ("uhf", "lora")[n % 2], f"port-{n}")
        assert bench.ends.half_open == 1
    # The newest is the one that counts.
    end = bench.half(side, "uhf", "last")
    assert bench.take("uhf", "last", record(end, bench.now)) is not None
    assert bench.ends.half_open == 0


def test_an_answer_waits_for_its_line_only_so_long_and_a_newer_one_takes_its_place() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    air = bench.airs["uhf"]
    air.room = 0
    for n in range(MOST_ANSWERS * 3):
        bench.take("uhf", f"port-{n}", side.hello())
        bench.step(0.2)
    assert air.down == []
    assert bench.ends.half_open == 0
    air.room = None
    bench.step()
    assert len(air.down) == 1
    assert air.down[0][0] == f"port-{MOST_ANSWERS * 3 - 1}"
    air.room = 0
    bench.take("uhf", "a", side.hello())
    for _ in range(10):
        bench.step(0.5)
    air.room = None
    bench.step()
    assert len(air.down) == 1, "an answer that is too late is not sent"


@pytest.mark.parametrize("level", [EmconLevel.RECEIVE, EmconLevel.SILENT])
def test_a_handshake_gets_no_answer_in_a_silence_and_that_is_counted(level: EmconLevel) -> None:
    bench = Ends()
    side = Side(bench, "ada")
    bench.emcon.set_level(level, 0)
    for _ in range(5):
        bench.take("uhf", "a", side.hello())
        bench.step(1.0)
    assert bench.airs["uhf"].down == []
    assert bench.emcon.blocked[Transmitter.RADIO] == 5
    bench.emcon.set_level(EmconLevel.OPEN, bench.now)
    bench.step(1.0)
    assert bench.airs["uhf"].down == [], "what was not answered in time is not answered late"
    assert bench.live(side, "uhf", "a") is not None


def test_a_silence_that_begins_while_an_answer_waits_holds_it_back() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    bench.airs["uhf"].room = 0
    bench.take("uhf", "a", side.hello())
    bench.step()
    bench.emcon.set_level(EmconLevel.RECEIVE, bench.now)
    bench.airs["uhf"].room = None
    for _ in range(20):
        bench.step()
    assert bench.airs["uhf"].down == []


def test_a_revoked_key_ends_a_live_session_and_opens_no_other() -> None:
    bench = Ends()
    side = Side(bench, "ada")
    end = bench.live(side, "uhf", "a")
    half = bench.half(side, "lora", "a")
    bench.keys.revoke("ada")
    assert bench.take("lora", "a", record(half, bench.now)) is None
    bench.step()
    assert bench.ends.ends == []
    assert [why for _, why in bench.ends.gone] == ["its key is not valid any more"]
    assert bench.take("uhf", "a", record(end, bench.now)) is None
    bench.take("uhf", "a", side.hello())
    bench.step()
    assert len(bench.airs["uhf"].down) == 1


def test_a_key_revoked_by_another_program_ends_its_session_within_seconds() -> None:
    bench = Ends()
    disk = SimDisk(bench.rng)
    bench.keys = KeyStore(disk, LOCK, bench.random, new_craft(CRAFT, bench.random))
    lines = {name: Line(air.craft(name), Transmitter.RADIO) for name, air in bench.airs.items()}
    bench.ends = CraftEnds(bench.keys, lines, bench.emcon, bench.random, bench.frames.append, 1)
    bench.live(Side(bench, "ada"), "uhf", "a")
    KeyStore(disk, LOCK, bench.random).revoke("ada")
    for _ in range(60):
        bench.step(0.1)
    assert bench.ends.ends == []


def test_dropping_a_peer_ends_all_its_sessions_and_no_other() -> None:
    bench = Ends()
    ada, ben = Side(bench, "ada"), Side(bench, "ben")
    bench.live(ada, "uhf", "a")
    bench.live(ada, "lora", "a")
    bench.live(ben, "uhf", "b")
    assert bench.ends.drop("ada", "by order") == 2
    assert [end.peer.name for end in bench.ends.ends] == ["ben"]
    assert bench.ends.drop("ada", "by order") == 0
    assert bench.live(ada, "uhf", "a") is not None


def test_closing_forgets_all_keys() -> None:
    bench = Ends()
    ada, ben = Side(bench, "ada"), Side(bench, "ben")
    live, half = bench.live(ada, "uhf", "a"), bench.half(ben, "uhf", "b")
    bench.ends.close()
    assert bench.ends.ends == []
    assert bench.ends.half_open == 0
    assert bench.take("uhf", "a", record(live, bench.now)) is None
    assert bench.take("uhf", "b", record(half, bench.now)) is None


def test_every_datagram_is_seen_by_the_watch_without_its_content() -> None:
    bench = Ends()
    end = bench.live(Side(bench, "ada"), "uhf", "a")
    bench.take("uhf", "a", record(end, bench.now, b"the secret words"))
    assert [frame.outcome for frame in bench.frames] == ["handshake", "good", "good"]
    assert bench.frames[-1].channel == SERVICE
    assert "secret" not in repr(bench.frames)
    assert bench.frames[-1].size == len(b"the secret words") + 19 - 1
