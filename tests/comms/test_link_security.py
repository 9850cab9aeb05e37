"""What strangers, peers of a low role and a link process gone bad can't do."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from comms.cfdp.pdu import Condition, Eof, FileData, Header, Metadata, Mode, decode, encode
from comms.channel_plan import channel_named
from comms.dictionary import Authority
from comms.dictionary.messages import Notice, WireCommand
from comms.dictionary.wire import encode_command
from comms.flight_port import EnergyAsk, EnergyVerdict, EventNote, LinkOrder, LinkReport, LocalPort, UplinkRequest
from comms.keys.faults import KeyringError
from comms.keys.keyring import new_operator
from comms.link.craft_orders import carry_out
from comms.link.entity_ids import CRAFT_ENTITY, entity_of
from comms.link.fragments import pieces
from comms.link.sequence_file import SequenceError, compile_yaml, packed
from comms.link.sequences import SequenceRunner
from comms.link.socket_port import LARGEST, FlightSocket, LinkSocket, packed_message
from comms.nbl.packet import LONGEST_BYTES, PEAK_W, air_time_ns, energy_j
from firmware_py.cli.craft_side import link_files
from firmware_py.commands import Order
from firmware_py.journal import NoJournal
from firmware_py.link_exchange import LinkExchange
from firmware_py.link_guard import EventBudget
from firmware_py.link_tap import LinkTap
from tests.comms.link_pair import Air, Bench
from tests.firmware_py.rig_craft import Craft

NS = 1_000_000_000
CONTROL, FILES, SERVICE = (channel_named(name).id for name in ("control", "files", "service"))
SLEW = "sequence: s\nsteps:\n  - {after_s: 0, command: hold}\n"
SAFE = "sequence: s\nsteps:\n  - {after_s: 0, command: command_arm, arguments: {name: brake, confirmed: true}}\n"


# -- strangers on the line


def test_nothing_that_was_heard_or_made_up_is_answered_or_remembered() -> None:
    air = Air()
    bench = Bench(air=air)
    station = bench.station(bench.operator("bob", Authority.SAFETY), "10.0.0.1:5")
    station.connect(bench.now)
    assert bench.run(10.0, lambda: station.connected)
    order = station.order("ping", {"number": 1}, bench.now)
    assert bench.run(10.0, lambda: bool(order.end))
    heard = [payload for _, payload in (*air.up, *air.down)]
    done = list(bench.flight.done)
    rng = np.random.default_rng(1)
    for payload in heard:
        bent = bytearray(payload)
        bent[int(rng.integers(len(bent)))] ^= 1 << int(rng.integers(8))
        for address in ("10.0.0.1:5", "6.6.6.6:6"):
            air.inject(address, payload)
            air.inject(address, bytes(bent))
            air.inject(address, rng.bytes(int(rng.integers(1, 300))))
    bench.run(3.0)
    assert {address for address, _ in air.down} == {"10.0.0.1:5"}
    assert bench.flight.done == done
    assert [end.source for end in bench.link.ends.ends] == ["10.0.0.1:5"]
    assert bench.link.ends.half_open == 0
    assert bench.link.ends.responder.states == 0


# -- peers of a low role


def test_a_viewer_can_neither_send_nor_replace_a_file() -> None:
    bench = Bench(Authority.VIEWER).connected()
    bench.store.save("orbit.qseq", b"made by safety")
    bench.ground_store.save("orbit.qseq", b"made by a viewer")
    bench.ground.send_file("orbit.qseq", bench.now)
    bench.run(10.0)
    assert bench.store.read("orbit.qseq") == b"made by safety"
    assert sum(bench.files().values()) == len(b"made by safety")
    assert bench.link.files.entity.busy == 0
    notices = [a.what for a in bench.ground.arrivals.take_all() if isinstance(a.what, Notice)]
    assert [notice.reason for notice in notices] == ["CMD_UNAUTHORIZED"]


def test_a_controller_sends_a_file() -> None:
    bench = Bench(Authority.CONTROLLER).connected()
    bench.ground_store.save("orbit.qseq", b"made by a controller")
    bench.ground.send_file("orbit.qseq", bench.now)
    bench.run(10.0)
    assert bench.store.read("orbit.qseq") == b"made by a controller"


def test_a_peer_speaks_for_no_other_peer_in_a_file_transfer() -> None:
    bench = Bench(Authority.SAFETY).connected()
    other = entity_of(bench.operator("bob", Authority.SAFETY).identity.public)
    bench.link.files.entity.peers[other] = replace(
        bench.link.files.entity.peers[entity_of(bench.ground_keys.identity.public)], entity_id=other
    )
    header = Header(other, 7, CRAFT_ENTITY, False, Mode.ACKNOWLEDGED, False, False, 2, 4)
    end = bench.ground.end
    assert end is not None
    for body in (Metadata(4, "a", "a", 0), FileData(0, b"evil"), Eof(Condition.NO_ERROR, 0, 4)):
        unit = encode(header, body)
        assert decode(unit)
        end.put(FILES, unit, bench.now)
    back = replace(header, source=CRAFT_ENTITY, destination=other, to_sender=True)
    end.put(FILES, encode(back, Eof(Condition.CANCEL_REQUEST, 0, 4)), bench.now)
    bench.run(2.0)
    assert bench.files() == {}
    assert bench.link.files.entity.counts.refused["not_its_own"] >= 3


def test_a_viewer_keeps_the_flight_loop_no_busier_than_anybody_else() -> None:
    bench = Bench(Authority.VIEWER).connected()
    before = len(bench.flight.asked)
    end = bench.ground.end
    assert end is not None
    shell = bench.ground.shell()
    assert shell is not None
    for number in range(1000, 1400):
        end.put(CONTROL, encode_command(WireCommand(number, "ping", {"number": 1}, None, None, 1)), bench.now)
        shell.write(b"ping number=1\n")
        bench.step()
    assert len(bench.flight.asked) - before <= 16 + 20 * 400 * bench.step_ns / NS + 1
    assert bench.link.asks.delayed > 0
    bench.run(2.0)
    bench.ground.orders.begin_after(1400)
    order = bench.ground.order("ping", {"number": 2}, bench.now)
    assert bench.run(10.0, lambda: order.verdict == "allowed")


def test_a_peer_drowns_no_events_with_renewals_that_are_none() -> None:
    bench = Bench(Authority.VIEWER).connected()
    end = bench.ground.end
    assert end is not None
    before = len(bench.flight.events)
    for number in range(600):
        end.put(SERVICE, pieces(b"\x01" + number.to_bytes(4, "big"), 500, number)[0], bench.now)
        if number % 4 == 3:
            bench.step()
    bench.run(12.0)
    end.put(SERVICE, pieces(b"\x01again", 500, 1)[0], bench.now)
    bench.run(1.0)
    told = [event.text for event in bench.flight.events[before:] if event.code == "HANDSHAKE_REFUSED"]
    assert len(told) == 2
    assert told[1].endswith("599 more before")


def test_words_of_peers_reach_no_terminal_as_orders_to_it() -> None:
    bench = Bench(Authority.CONTROLLER).connected()
    bench.ground_store.save("a", b"a")
    bench.ground.send_file("a", bench.now, "\x1b]0;owned\x07")
    bench.run(10.0)
    assert any(event.code == "FILE_FAILED" for event in bench.flight.events)
    assert all(event.text.isprintable() for event in bench.flight.events)


def test_a_sequence_has_no_more_authority_than_whoever_loaded_it() -> None:
    asked: list[UplinkRequest] = []
    runner = SequenceRunner(lambda request: asked.append(request) is None)
    runner.load(packed(compile_yaml(SAFE)), Authority.CONTROLLER)
    assert "was loaded by controller" in runner.start("s", Authority.SAFETY, "ann", 1, 0)
    runner.load(packed(compile_yaml(SLEW)), Authority.CONTROLLER)
    assert runner.start("s", Authority.SAFETY, "ann", 1, 0) == ""
    runner.step(0)
    assert [request.authority for request in asked] == [Authority.CONTROLLER]


def test_a_lower_role_replaces_no_sequence_of_a_higher_one() -> None:
    runner = SequenceRunner(lambda _: True)
    runner.load(packed(compile_yaml(SAFE)), Authority.SAFETY)
    with pytest.raises(SequenceError, match="was loaded by safety"):
        runner.load(packed(compile_yaml(SLEW)), Authority.CONTROLLER)
    assert runner.start("s", Authority.SAFETY, "ann", 1, 0) == ""


def test_a_link_that_was_restarted_gives_no_id_of_a_sequence_again() -> None:
    asked: list[UplinkRequest] = []
    for now_ns in (5 * NS, 9 * NS):
        runner = SequenceRunner(lambda request: asked.append(request) is None)
        runner.load(packed(compile_yaml(SLEW)))
        assert runner.start("s", Authority.SAFETY, "ann", 1, now_ns) == ""
        runner.step(now_ns)
    assert len({request.command_id for request in asked}) == 2
    assert asked[1].sequence > asked[0].sequence


def test_leave_to_renew_a_secret_given_over_the_shell_is_its_peers() -> None:
    bench = Bench().connected()
    order = LinkOrder(0, 1, "key_renew", {"confirmed": True}, "ada/shell", Authority.SAFETY)
    assert carry_out(bench.link, order, bench.now) == (True, "ada may renew its secret for 10 min")
    assert set(bench.link.renewals) == {"ada"}


def test_no_peer_has_a_name_that_another_peers_shell_or_sequence_has() -> None:
    with pytest.raises(KeyringError):
        new_operator("ann/shell", Authority.VIEWER, np.random.default_rng(1).bytes)


# -- a link process gone bad


class Bad:
    """A flight program with its end of the port, and whatever a link process may send there."""

    def __init__(self) -> None:
        self.port = LocalPort(4096)
        self.craft = Craft()
        self.craft.ticks(40)
        self.software = self.craft.software
        assert self.software.facts is not None
        self.journal = NoJournal()
        tap = LinkTap(self.journal, self.port.flight)
        self.software.journal = tap
        self.exchange = LinkExchange(self.software, self.port.flight, tap)
        self.step(LinkReport(0))

    def step(self, *messages: Any) -> list[Any]:
        for message in messages:
            assert self.port.link.send(message)
        self.craft.ticks(5)
        now_ns = self.craft.clock.now_ns()
        self.exchange.step(now_ns)
        msgspec.json.encode(self.software.snapshot(now_ns))
        return self.port.link.receive(4096)


@pytest.fixture(scope="module")
def bad() -> Bad:
    return Bad()


def request(number: int, **changes: Any) -> UplinkRequest:
    return replace(UplinkRequest(f"ann:{number}", "hold", {}, "ann", Authority.SAFETY, number), **changes)


def nested(depth: int) -> Any:
    value: Any = None
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "map key that is no text": {"x": {None: 1}}, "extension": {"x": msgspec.msgpack.Ext(5, b"x")}, "deep": nested(500),
    "long": {"x": "a" * 50_000}, "many": {"x": [None] * 50_000}, "huge number": {"x": 1 << 70},
}


@pytest.mark.parametrize("value", HOSTILE.values(), ids=HOSTILE.keys())
def test_values_that_no_recorder_can_write_are_missing(bad: Bad, value: Any) -> None:
    refused = bad.exchange.refused
    bad.step(LinkReport(0, telemetry={"nbl": value, "emcon_level": 2, "link_used_j": "much", "sequences": ["a"]}))
    values = bad.software.link_values
    assert (values["nbl"], values["link_used_j"]) == (None, None)
    assert (values["emcon_level"], values["sequences"]) == (2, ["a"])
    assert bad.exchange.refused == refused + 2


@pytest.mark.parametrize("changes", [
    *({"arguments": {"x": value}} for value in HOSTILE.values()), {"sender": ""}, {"sender": "a" * 129},
    {"sender": "a\x1b"}, {"command_id": "a" * 65}, {"name": "a" * 65}, {"sequence": 1 << 80}, {"not_after_ns": 1 << 80},
], ids=[*HOSTILE, "no sender", "long sender", "escape in it", "long id", "long name", "huge sequence", "huge time"])
def test_requests_beyond_their_bounds_are_not_looked_at(bad: Bad, changes: dict[str, Any]) -> None:
    refused, taken = bad.exchange.refused, bad.exchange.taken
    bad.step(request(9000, **changes))
    assert (bad.exchange.refused, bad.exchange.taken) == (refused + 1, taken)


def test_a_plain_request_is_taken_behind_them(bad: Bad) -> None:
    taken = bad.exchange.taken
    given = bad.software.commander.desk.counts["given"]
    bad.step(request(10_000))
    assert bad.exchange.taken == taken + 1
    assert bad.software.commander.desk.counts["given"] == given + 1


def test_events_of_the_link_are_few_short_and_of_known_codes(bad: Bad) -> None:
    before, left_out = len(bad.journal.events), bad.exchange.events.left_out
    note = EventNote(0, "LINK_UP", "info", "\x1b]0;x" + "a" * 9000)
    strange = EventNote(0, "NOT_A_CODE", "critical", "")
    bad.step(LinkReport(0, events=(note, strange)))
    told = [text for _, code, _, text in bad.journal.events[before:] if code == "LINK_UP"]
    assert told == ["?]0;x" + "a" * 195]
    assert bad.exchange.events.left_out == left_out + 1
    bad.step(*(LinkReport(0, events=(note,) * 500) for _ in range(8)))
    assert sum(code == "LINK_UP" for _, code, _, _ in bad.journal.events[before:]) <= 130
    assert bad.exchange.events.left_out > left_out + 3800


def test_honest_events_are_never_left_out() -> None:
    budget = EventBudget()
    note = EventNote(0, "LINK_UP", "info", "")
    for step in range(100):
        assert budget.admit((note,), step * 50_000_000) == [note]
    assert budget.left_out == 0


def test_few_requests_are_taken_in_one_step_and_those_beyond_the_queue_are_left(bad: Bad) -> None:
    taken, refused = bad.exchange.taken, bad.exchange.refused
    bad.step(*(request(20_000 + index) for index in range(32)))
    assert bad.exchange.taken == taken + 4
    for begin in range(100, 400, 32):
        bad.step(*(request(20_000 + begin + index) for index in range(32)))
    assert bad.exchange.refused > refused
    for _ in range(20):
        bad.step()
    taken = bad.exchange.taken
    bad.step(request(30_000))
    assert bad.exchange.taken == taken + 1


def test_an_order_that_was_not_given_has_no_end(bad: Bad) -> None:
    bad.step(LinkReport(0, finished=((123_456, True, "done"), (123_456, True, "done"))))
    assert bad.exchange.orders.outcome(123_456) is None


def test_a_report_of_the_start_before_ends_no_order_of_this_one(bad: Bad) -> None:
    software, untimely = bad.software, bad.exchange.untimely
    software.commander.link.give(Order(77, "ping", {"number": 1}, "ann"), Authority.VIEWER, bad.craft.clock.now_ns())
    later_ns = bad.craft.clock.now_ns() + 3600 * NS
    bad.step(LinkReport(later_ns, later_ns, finished=((77, True, "of another start"),)))
    assert (bad.exchange.untimely, bad.exchange.orders.outcome(77)) == (untimely + 1, None)
    assert software.heard_ns < later_ns
    bad.step(LinkReport(bad.craft.clock.now_ns(), finished=((77, True, "done"), (77, False, "told twice"))))
    assert bad.exchange.orders.outcome(77) is True


@pytest.mark.parametrize("ask", [
    EnergyAsk("nbl", math.nan, math.nan, math.nan, math.nan), EnergyAsk("nbl", PEAK_W, 1.0, math.inf),
    EnergyAsk("nbl", PEAK_W * 1.01, 1.0, 1.0), EnergyAsk("nbl", 0.0, 0.0, 0.0, math.nan),
    EnergyAsk("brake", 1.0, 1.0, 1.0),
    EnergyAsk("nbl", PEAK_W, energy_j(LONGEST_BYTES) * 1.01, air_time_ns(LONGEST_BYTES) / NS),
], ids=str)
def test_energy_is_given_for_one_packet_and_to_nobody_else(bad: Bad, ask: EnergyAsk) -> None:
    books = replace(bad.software.energy.peaks.books)
    verdicts = [message for message in bad.step(ask) if isinstance(message, EnergyVerdict)]
    assert [verdict.granted for verdict in verdicts] == [False]
    assert bad.software.energy.peaks.books == books


def test_a_flood_over_the_socket_is_read_bit_by_bit(tmp_path: Path) -> None:
    flight, link = FlightSocket(tmp_path / "port"), LinkSocket(tmp_path / "port")
    assert not flight.receive(1)
    message = request(1, arguments={"x": "a" * 30_000})
    assert link.send(message)
    assert len(flight.receive(32)) == 1
    sent = sum(link.send(message) for _ in range(6))
    assert sent == 6
    assert len(flight.receive(32)) * len(packed_message(message)) <= 2 * LARGEST
    assert len(flight.receive(32)) > 0
    link.close()
    flight.close()


# -- what lies on the medium


def test_counters_are_begun_once_even_where_the_mark_is_lost(tmp_path: Path) -> None:
    files = link_files(tmp_path / "state")
    first = {p.name: p.read_bytes() for p in (tmp_path / "state" / "counters").iterdir()}
    assert first
    (tmp_path / "state" / "counters" / "used").write_bytes(b"")
    (tmp_path / "state" / "provisioned").unlink()
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "state" / "counters").iterdir()}
    link_files(tmp_path / "state")
    assert {p.name: p.stat().st_mtime_ns for p in (tmp_path / "state" / "counters").iterdir()} == before
    assert (tmp_path / "state").stat().st_mode & 0o077 == 0
    assert files.counters is not None
