"""A ground station: connects, stays connected, shows what came over the session, and gives up only where it must."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comms.channel_plan import channel_named
from comms.dictionary import Authority, CommandRefused
from comms.dictionary.messages import Pong, TimeTold
from comms.dictionary.wire import encode_message
from comms.emcon import EmconLevel, Transmitter
from comms.flight_port import EventNote
from comms.keys.faults import KeyringError
from comms.keys.initiator import RetryPlan
from comms.keys.renewal import RenewalState
from comms.link.end import Line
from comms.link.ground import GroundStation, StationState
from comms.shell.channel import ChunkPipe
from comms.transports.port import Datagram
from fdir.modes import Emission
from hil.link_line import GilbertElliott, LineRules, LinkLine
from tests.comms.link_pair import CRAFT, MS, NS, OPERATOR, Air, Bench

SERVICE = channel_named("service").id
PATIENT = RetryPlan(first_ns=NS, longest_ns=2 * NS, tries=200)


def gone(bench: Bench, is_gone: bool) -> None:
    bench.lines.a.up = bench.lines.b.up = not is_gone


# -- coming and going


def test_a_station_connects_and_knows_the_craft_s_time_start_and_dictionary() -> None:
    bench = Bench()
    bench.run(7.0)
    assert bench.ground.state is StationState.IDLE
    assert bench.ground.craft_ms(bench.now) is None
    assert bench.ground.start is None
    bench.connected()
    bench.run(1.0)
    craft_ms = bench.ground.craft_ms(bench.now)
    assert craft_ms is not None
    assert abs(craft_ms - bench.now // MS) <= 40
    assert bench.ground.start == 1
    assert bench.ground.same_dictionary is True


@pytest.mark.parametrize("delay_s", [0.5, 3.0, 6.0])
def test_a_long_way_is_no_reason_not_to_connect(delay_s: float) -> None:
    line = LinkLine(LineRules(delay_ns=round(delay_s * NS)), np.random.default_rng(3))
    bench = Bench(pipe=line, retry=RetryPlan(first_ns=20 * NS, longest_ns=20 * NS)).connected(90.0)
    craft_ms = bench.ground.craft_ms(bench.now)
    assert craft_ms is not None
    assert abs(craft_ms - bench.now // MS) <= 100
    order = bench.ground.order("hold", {}, bench.now, life_s=120.0)
    assert bench.run(60.0, lambda: bool(order.end))
    assert len(bench.flight.done) == 1


@pytest.mark.parametrize("loss", [0.3, 0.5])
def test_a_bad_line_delays_the_connection_and_does_not_prevent_it(loss: float) -> None:
    for seed in range(5):
        rules = LineRules(delay_ns=10 * MS, loss=GilbertElliott.from_mean(loss, 2.2), duplicate=0.3, reorder=0.3,
                          reorder_ns=NS)
        Bench(pipe=LinkLine(rules, np.random.default_rng(seed)), seed=seed, retry=PATIENT).connected(120.0)


def test_without_an_answer_it_gives_up_and_can_be_asked_again() -> None:
    bench = Bench(step_ns=100 * MS)
    gone(bench, True)
    bench.ground.connect(bench.now)
    assert bench.run(200.0, lambda: bench.ground.state is StationState.GAVE_UP)
    gone(bench, False)
    bench.run(20.0)
    assert bench.ground.state is StationState.GAVE_UP, "nobody has asked it to go on"
    bench.connected()


@pytest.mark.parametrize("seconds", [60.0, 600.0, 1500.0])
def test_it_finds_a_craft_again_that_was_behind_the_horizon(seconds: float) -> None:
    bench = Bench(step_ns=100 * MS).connected()
    gone(bench, True)
    bench.run(seconds)
    assert not bench.ground.connected
    gone(bench, False)
    assert bench.run(40.0, lambda: bench.ground.connected)
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))


def test_a_short_gap_costs_no_new_session() -> None:
    bench = Bench(step_ns=100 * MS).connected()
    gone(bench, True)
    bench.run(40.0)
    gone(bench, False)
    bench.run(20.0)
    assert bench.ground.counts.sessions == 1
    assert bench.ground.connected


def test_revoked_keys_end_its_tries() -> None:
    bench = Bench(step_ns=100 * MS).connected()
    bench.ground_keys.revoke(CRAFT)
    bench.ground.connect(bench.now)
    bench.run(5.0)
    assert bench.ground.state is StationState.GAVE_UP


def test_a_craft_that_is_not_pinned_can_t_be_asked() -> None:
    bench = Bench()
    with pytest.raises(KeyringError):
        GroundStation(bench.ground_keys, "QIKI-9", Line(bench.lines.b, Transmitter.CABLE), bench.random)


def test_closing_ends_the_session_and_asks_nothing_more() -> None:
    bench = Bench().connected()
    bench.ground.close()
    sent = bench.lines.b.counts.sent
    bench.run(20.0)
    assert bench.lines.b.counts.sent == sent
    assert bench.ground.end is None
    assert bench.ground.shell() is None
    assert bench.ground.renew(bench.now) == "not connected"
    assert not bench.ground.ping(1)
    assert not bench.ground.ask_parameters()
    assert not bench.ground.send("camera", b"x")


def test_a_craft_that_keeps_silent_by_order_is_asked_until_it_speaks_again() -> None:
    bench = Bench(step_ns=100 * MS).connected()
    bench.flight.emission = Emission.SILENT
    bench.run(300.0)
    assert not bench.ground.connected
    bench.flight.emission = Emission.OPEN
    assert bench.run(60.0, lambda: bench.ground.connected)


# -- what it takes


def test_strangers_on_the_line_are_counted_and_change_nothing() -> None:
    air = Air()
    bench = Bench(air=air)
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    queue = air.to_ground["b"]
    rng = np.random.default_rng(3)
    old = [record for to, record in air.down if to == "b"]
    for n in range(400):
        for payload in (rng.bytes(int(rng.integers(1, 200))), b"\x00\x02" + rng.bytes(50), old[n % len(old)]):
            queue.put(Datagram(payload, "craft"))
        bench.run(0.02)
    assert station.connected
    assert station.counts.sessions == 1
    assert sum(station.counts.refused.values()) >= 1000
    assert len(station.counts.refused) < 24
    order = station.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))


def test_an_old_answer_to_a_handshake_gives_no_session() -> None:
    air = Air()
    bench = Bench(air=air)
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    answers = [record for to, record in air.down if to == "b" and record[:1] == b"\0"]
    assert answers
    air.pass_up = lambda _: False
    station.connect(bench.now)
    for _ in range(20):
        air.to_ground["b"].put(Datagram(answers[0], "craft"))
        bench.run(0.5)
    assert station.counts.sessions == 1
    assert station.state is not StationState.CONNECTED


def test_an_order_without_a_session_is_refused_at_once() -> None:
    bench = Bench()
    with pytest.raises(RuntimeError, match="not connected"):
        bench.ground.order("hold", {}, 0)
    bench.connected()
    with pytest.raises(CommandRefused):
        bench.ground.order("no_such_command", {}, bench.now)


def test_what_came_is_kept_to_a_bound_with_the_newest() -> None:
    bench = Bench(step_ns=50 * MS).connected()
    for n in range(3000):
        bench.port.flight.send(EventNote(bench.now, "PROFILE_DONE", "info", str(n)))
        if n % 20 == 0:
            bench.run(0.1)
    bench.run(5.0)
    assert len(bench.ground.arrivals) <= 2048
    events = [a.what.text for a in bench.ground.arrivals.take_all() if isinstance(a.what, EventNote)]
    assert events[-1] == "2999"


def test_time_that_nobody_asked_for_is_not_believed() -> None:
    bench = Bench().connected()
    (end,) = bench.link.ends.ends
    before = bench.ground.craft_ms(bench.now)
    for number in (0, 99, 4_000_000_000):
        end.put(SERVICE, encode_message(TimeTold(number, 99_999_999, 77)), bench.now)
    bench.run(0.2)
    after = bench.ground.craft_ms(bench.now)
    assert before is not None
    assert after is not None
    assert after - before < 1000
    assert bench.ground.start == 1


def test_a_ping_comes_back() -> None:
    bench = Bench().connected()
    assert bench.ground.ping(41)
    bench.run(0.5)
    assert [a.what.number for a in bench.ground.arrivals.take_all() if isinstance(a.what, Pong)] == [41]


def test_a_second_program_with_the_same_key_takes_the_session_over_and_no_number_is_used_twice() -> None:
    air = Air()
    bench = Bench(air=air)
    keys = bench.operator("ben", Authority.SAFETY)
    first = bench.station(keys, "b")
    bench.connected()
    one = first.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(one.end))
    bench.run(3.0)
    second = bench.station(keys, "c")
    second.connect(bench.now)
    assert bench.run(20.0, lambda: second.connected)
    two = second.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(two.end))
    assert two.number > one.number
    assert two.end == "effect_confirmed"
    assert len(bench.link.ends.of_peer("ben")) == 1


# -- the shell


def talk(bench: Bench, shell: ChunkPipe, line: str, seconds: float = 3.0) -> str:
    shell.write(line.encode() + b"\n")
    bench.run(seconds)
    found = shell.read(1 << 16)
    return "" if found is None else found.decode()


def test_the_shell_answers_over_the_sealed_channel() -> None:
    bench = Bench().connected()
    shell = bench.ground.shell()
    assert shell is not None
    assert shell is bench.ground.shell()
    assert "status" in talk(bench, shell, "help")
    assert "Idle" in talk(bench, shell, "status")
    assert bench.link.shell.sessions == 1


@pytest.mark.parametrize(("role", "gets_it"), [(Authority.SAFETY, True), (Authority.ENGINEER, True),
                                               (Authority.CONTROLLER, False), (Authority.VIEWER, False)])
def test_the_shell_has_the_role_of_the_key_and_no_more(role: Authority, gets_it: bool) -> None:
    bench = Bench(role).connected()
    shell = bench.ground.shell()
    assert shell is not None
    answer = talk(bench, shell, "key_rotate") + talk(bench, shell, "yes")
    assert (len(bench.flight.asked) == 1) is gets_it, answer
    if gets_it:
        (asked,) = bench.flight.asked
        assert (asked.sender, asked.authority) == (f"{OPERATOR}/shell", role)
        assert bench.flight.orders[0].name == "key_rotate"


def test_the_link_s_own_gate_stands_before_the_shell_too() -> None:
    bench = Bench(transmitter=Transmitter.CABLE).connected()
    bench.link.emcon.set_level(EmconLevel.RECEIVE, bench.now)
    bench.run(0.1)
    bench.store.save("a.bin", b"x")
    shell = bench.ground.shell()
    assert shell is not None
    answer = talk(bench, shell, "file_send a.bin") + talk(bench, shell, "yes")
    assert bench.flight.asked == [], answer
    assert "EMCON" in answer or "emission" in answer.lower()


def test_a_shell_ends_with_its_session_and_with_a_revoked_key() -> None:
    bench = Bench().connected()
    shell = bench.ground.shell()
    assert shell is not None
    talk(bench, shell, "watch soc_battery")
    assert bench.link.shell.sessions == 1
    bench.craft_keys.revoke(OPERATOR)
    bench.run(3.0)
    assert bench.link.shell.sessions == 0
    shell.write(b"hold\n")
    bench.run(3.0)
    assert bench.flight.asked == []


def test_a_part_of_a_line_is_never_a_command() -> None:
    for seed in range(4):
        rules = LineRules(delay_ns=5 * MS, loss=GilbertElliott.from_mean(0.3, 2.0), reorder=0.3, reorder_ns=100 * MS)
        bench = Bench(pipe=LinkLine(rules, np.random.default_rng(seed)), seed=seed, retry=PATIENT).connected(60.0)
        shell = bench.ground.shell()
        assert shell is not None
        for n in range(10):
            shell.write(f"ping number={n}".encode())
            bench.run(0.1)
            shell.write(b"7\n")
            bench.run(0.4)
        assert {request.name for request in bench.flight.asked} <= {"ping"}
        assert {request.arguments["number"] % 10 for request in bench.flight.asked} <= {7}


def test_many_shells_are_bounded_and_the_rest_is_told() -> None:
    air = Air()
    bench = Bench(air=air)
    stations = [bench.station(bench.operator(f"op-{n}", Authority.VIEWER), f"s{n}") for n in range(8)]
    bench.connected()
    told = []
    for station in stations:
        shell = station.shell()
        assert shell is not None
        told.append(talk(bench, shell, "help", 1.0))
    assert bench.link.shell.sessions <= 6
    assert sum("all sessions are taken" in answer for answer in told) == 2


# -- renewal


def test_a_renewal_ends_with_the_session_that_it_was_begun_in() -> None:
    bench = Bench().connected()
    assert bench.ground.renew(bench.now) == ""
    old: Any = bench.ground.renewal
    bench.ground.connect(bench.now)
    assert bench.run(20.0, lambda: bench.ground.counts.sessions == 2 and bench.ground.connected)
    assert bench.ground.renewal is None
    assert old.state is not RenewalState.DONE


def test_nothing_secret_is_shown_by_a_station() -> None:
    bench = Bench().connected()
    end = bench.ground.end
    assert end is not None
    shown = repr(bench.ground.__dict__) + repr(bench.ground_keys)
    slots = [slot.secret for slot in bench.ground_keys.peer(CRAFT).slots]
    for secret in (end.secrets.up_chain, end.secrets.down_chain, *slots):
        assert secret is not None
        assert secret.hex() not in shown
        assert repr(secret)[2:-1] not in shown
