"""Craft and station over bad lines: at most once, in order, the present first, silent when it must be."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from comms.bundles.eid import Eid
from comms.bundles.endpoint import BundleEndpoint
from comms.bundles.node import BundleNode
from comms.bundles.settings import NodeSettings
from comms.channel_plan import PLAN, channel_named
from comms.channels.channel_queue import rule_for
from comms.dictionary import Authority
from comms.dictionary.frames import Frame
from comms.dictionary.messages import Notice, ParameterListing
from comms.emcon import EmconLevel, Transmitter
from comms.flight_port import EventNote, ParameterValues
from comms.keys.initiator import RetryPlan
from comms.link.end import Line
from comms.parameters import SCHEMA
from fdir.codes import Code, Severity
from fdir.modes import Emission
from hil.link_line import GilbertElliott, LineRules, LinkLine
from tests.comms.link_pair import MS, NS, OPERATOR, Air, Bench
from tests.comms.shell_craft import Reader

CHANNELS = [spec.id for spec in PLAN if rule_for(spec) is not None]
CONTROL, EVENTS, FILES, SERVICE = (channel_named(name).id for name in ("control", "events", "files", "service"))
STUBBORN = RetryPlan(first_ns=NS // 2, longest_ns=2 * NS, tries=200)


def bad(loss: float, seed: int = 11, **more: Any) -> LinkLine:
    burst = max(1.5, loss / (1.0 - loss) + 0.1)
    rules = LineRules(
        delay_ns=20 * MS, jitter_ns=10 * MS, loss=GilbertElliott.from_mean(loss, burst) if loss else None,
        duplicate=0.2, reorder=0.2, reorder_ns=300 * MS, **more,
    )
    return LinkLine(rules, np.random.default_rng(seed))


# -- commands


@pytest.mark.parametrize("loss", [0.0, 0.1, 0.3, 0.5])
def test_commands_are_carried_out_at_most_once_and_in_order_whatever_the_line_does(loss: float) -> None:
    bench = Bench(pipe=bad(loss), retry=STUBBORN).connected(120.0)
    orders = [bench.ground.order("hold", {}, bench.now, life_s=300.0) for _ in range(12)]
    assert bench.run(400.0, lambda: all(order.end for order in orders))
    done = [number for _, number, _ in bench.flight.done]
    assert done == sorted(set(done)), "once each, none overtook another"
    for order in orders:
        assert (order.verdict == "allowed") <= (order.number in done)
    assert done == [order.number for order in orders]
    assert {order.end for order in orders} <= {"effect_confirmed", "audited"}


def test_a_blackout_delays_commands_and_doubles_none() -> None:
    line = LinkLine(LineRules(delay_ns=20 * MS, duplicate=0.3), np.random.default_rng(3))
    bench = Bench(pipe=line, retry=STUBBORN).connected()
    before = bench.ground.order("hold", {}, bench.now, life_s=2000.0)
    line.rules = LineRules(delay_ns=20 * MS, duplicate=0.3, blackouts=((bench.now, bench.now + 600 * NS),))
    during = [bench.ground.order("hold", {}, bench.now, life_s=2000.0) for _ in range(3)]
    short = bench.ground.order("hold", {}, bench.now, life_s=100.0)
    bench.step_ns = 100 * MS
    bench.run(600.0)
    assert bench.flight.done == []
    assert not bench.ground.connected
    assert short.end == "expired", "nobody keeps a user waiting for what can't happen any more"
    assert bench.run(200.0, lambda: all(order.end for order in (before, *during)))
    assert [number for _, number, _ in bench.flight.done] == [order.number for order in (before, *during)]
    assert bench.ground.counts.sessions >= 2


def test_every_stage_of_a_command_comes_back_in_its_order() -> None:
    bench = Bench().connected()
    bench.flight.stages = (
        "requested", "validation_pending", "allowed", "publish_pending", "published", "ACK_accepted", "effect_pending",
        "effect_partial", "effect_confirmed", "audited",
    )
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))
    assert tuple(stage.stage for stage in order.stages) == bench.flight.stages[:8]
    assert order.end == "effect_partial"


def test_a_refusal_reaches_the_station_with_all_its_codes_and_words() -> None:
    bench = Bench().connected()
    bench.flight.codes = ("CMD_REJECTED", "PROPULSION_UNAVAILABLE", "SAFE_POWER_LOW", "EMCON_BLOCK", "NBL_CAP_LOW")
    bench.flight.detail = "the battery is low, and more that a person wants to know"
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))
    assert (order.verdict, order.codes, order.detail) == ("rejected", bench.flight.codes, bench.flight.detail)
    assert bench.flight.done == []


def test_a_refusal_reaches_the_station_over_a_short_radio() -> None:
    bench = Bench(mtu=128, bit_rate=9600.0).connected()
    bench.flight.codes = ("CMD_REJECTED", "SAFE_POWER_LOW", "EMCON_BLOCK", "NBL_CAP_LOW")
    bench.flight.detail = "words " * 33
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(30.0, lambda: bool(order.end))
    assert order.codes == bench.flight.codes
    assert bench.flight.detail.startswith(order.detail[:10])


def test_a_lost_verdict_is_asked_for_again_and_answered_from_memory() -> None:
    bench = Bench(air=Air())
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    air = bench.air
    assert air is not None
    order = station.order("hold", {}, bench.now)
    air.pass_down = lambda _: False
    bench.run(1.0)
    assert len(bench.flight.asked) == 1
    air.pass_down = lambda _: True
    assert bench.run(10.0, lambda: bool(order.end))
    assert order.sends >= 2
    assert len(bench.flight.asked) == 1, "the second time nobody was asked"


def test_a_command_that_comes_too_late_is_refused_by_name() -> None:
    line = LinkLine(LineRules(delay_ns=3 * NS), np.random.default_rng(3))
    bench = Bench(pipe=line, retry=RetryPlan(first_ns=16 * NS)).connected(60.0)
    order = bench.ground.order("hold", {}, bench.now, life_s=1.0)
    assert bench.run(20.0, lambda: bool(order.end))
    assert bench.flight.done == []
    assert "CMD_EXPIRED" in order.codes or order.end == "expired"


def test_a_time_tagged_command_waits_on_board_and_is_given_once() -> None:
    bench = Bench(pipe=bad(0.2), retry=STUBBORN).connected(60.0)
    craft_ms = bench.ground.craft_ms(bench.now)
    assert craft_ms is not None
    order = bench.ground.order("hold", {}, bench.now, not_before_ms=craft_ms + 30_000, life_s=60.0)
    due = bench.now + 30 * NS
    bench.run(29.0)
    assert bench.flight.asked == []
    assert bench.run(30.0, lambda: bool(order.end))
    assert bench.now >= due - 500 * MS
    assert [number for _, number, _ in bench.flight.done] == [order.number]


def test_a_restart_of_the_flight_program_clears_what_was_remembered() -> None:
    bench = Bench().connected()
    old = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(old.end))
    bench.flight.restart()
    assert bench.run(15.0, lambda: bench.ground.start == 2)
    again = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(again.end))
    assert again.end == "effect_confirmed"
    # The first one, sent once more, belongs to another start: it is asked for, and refused.
    asked = len(bench.flight.asked)
    end = bench.ground.end
    assert end is not None
    end.put(CONTROL, old.wire, bench.now)
    bench.run(1.0)
    assert len(bench.flight.asked) == asked + 1
    assert len(bench.flight.done) == 2


def test_the_number_of_the_start_becoming_known_is_no_restart() -> None:
    bench = Bench()
    bench.flight.start = 1
    bench.link.start = None
    bench.connected()
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))
    asked = len(bench.flight.asked)
    end = bench.ground.end
    assert end is not None
    end.put(CONTROL, order.wire, bench.now)
    bench.run(1.0)
    assert len(bench.flight.asked) == asked


def test_two_stations_with_two_keys_have_sequences_of_their_own() -> None:
    bench = Bench(air=Air())
    keys = bench.operator("ben", Authority.CONTROLLER)
    station = bench.station(keys, "b")
    bench.connected()
    orders = []
    for _ in range(5):
        orders.append(bench.ground.order("hold", {}, bench.now))
        orders.append(station.order("hold", {}, bench.now))
    assert bench.run(30.0, lambda: all(order.end for order in orders))
    assert {order.end for order in orders} == {"effect_confirmed"}
    assert [sender for sender, _, _ in bench.flight.done].count("ben") == 5
    assert {request.authority for request in bench.flight.asked} == {Authority.SAFETY, Authority.CONTROLLER}


def test_one_key_over_two_lines_at_once_does_nothing_twice() -> None:
    bench = Bench(air=Air())
    second = bench.station(bench.ground_keys, "b")
    bench.ground.connect(bench.now)
    assert bench.run(20.0, lambda: bench.ground.connected)
    second.connect(bench.now)
    assert bench.run(20.0, lambda: second.connected)
    assert len(bench.link.ends.of_peer(OPERATOR)) == 2
    one = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(one.end))
    air = bench.air
    assert air is not None
    # The very bytes of the command in the other session: answered from the peer's memory, asked nobody.
    other = second.end
    assert other is not None
    asked = len(bench.flight.asked)
    other.put(CONTROL, one.wire, bench.now)
    bench.run(1.0)
    assert len(bench.flight.asked) == asked


def test_records_of_one_line_replayed_on_the_other_and_again_are_never_taken() -> None:
    overheard: list[bytes] = []

    def tap(side: int, data: bytes) -> bytes:
        if side == 1:
            overheard.append(data)
        return data

    air = Air()
    bench = Bench(pipe=LinkLine(LineRules(), np.random.default_rng(1), tamper=tap), air=air)
    second = bench.station(bench.ground_keys, "b")
    bench.ground.connect(bench.now)
    assert bench.run(20.0, lambda: bench.ground.connected)
    second.connect(bench.now)
    assert bench.run(20.0, lambda: second.connected)
    orders = [bench.ground.order("hold", {}, bench.now), second.order("hold", {}, bench.now)]
    assert bench.run(5.0, lambda: all(order.end for order in orders))
    assert len(bench.link.ends.of_peer(OPERATOR)) == 2
    asked, sessions = len(bench.flight.asked), bench.link.ends.counts.sessions
    old = [*overheard, *(record for _, record in air.up)]
    good, came = bench.link.ends.counts.by_outcome["good"], len(overheard) + len(air.up)
    for source in ("b", "peer", "x", ""):
        for record in old:
            air.inject(source, record)
    for record in old:
        bench.lines.b.send(record, "", bench.now)
        bench.run(0.04)
    bench.run(1.0)
    assert len(bench.flight.asked) == asked
    assert bench.link.ends.counts.sessions == sessions
    # What was good since is what the stations have said since, and nothing of what was played again.
    said = len(overheard) + len(air.up) - came - len(old)
    assert bench.link.ends.counts.by_outcome["good"] - good <= said
    assert bench.ground.connected
    assert second.connected


def test_a_peer_without_authority_sees_and_orders_nothing() -> None:
    bench = Bench(Authority.VIEWER).connected()
    order = bench.ground.order("emcon", {"level": 3}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))
    assert (order.verdict, bench.flight.asked) == ("rejected", [])
    assert "CMD_UNAUTHORIZED" in order.detail
    allowed = bench.ground.order("ping", {"number": 4}, bench.now)
    assert bench.run(5.0, lambda: bool(allowed.end))
    assert allowed.end == "effect_confirmed"


# -- garbage


@pytest.mark.parametrize("channel", CHANNELS)
def test_garbage_of_an_authentic_peer_never_raises_and_is_answered_by_name(channel: int) -> None:
    bench = Bench().connected()
    end = bench.ground.end
    assert end is not None
    rng = np.random.default_rng(channel)
    for _ in range(60):
        end.put(channel, rng.bytes(int(rng.integers(1, 200))), bench.now)
        end.put(channel, b"\x4b" + rng.bytes(int(rng.integers(1, 40))), bench.now)
        bench.run(0.1)
    assert bench.ground.connected
    notices = [a.what for a in bench.ground.arrivals.take_all() if isinstance(a.what, Notice)]
    if channel in (CONTROL, SERVICE):
        assert notices
        assert all(notice.reason for notice in notices)
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(20.0, lambda: bool(order.end))
    assert order.end == "effect_confirmed"


@pytest.mark.parametrize("channel", CHANNELS)
def test_garbage_of_the_craft_never_raises_at_the_station(channel: int) -> None:
    bench = Bench().connected()
    (end,) = bench.link.ends.ends
    rng = np.random.default_rng(channel)
    for _ in range(60):
        end.put(channel, rng.bytes(int(rng.integers(1, 200))), bench.now)
        end.put(channel, b"\x4b" + rng.bytes(int(rng.integers(1, 40))), bench.now)
        bench.run(0.1)
    assert bench.ground.connected


# -- telemetry and events


def gone_silent(bench: Bench, how: str) -> None:
    if how == "line":
        bench.lines.a.up = bench.lines.b.up = not bench.lines.a.up
    else:
        silent = bench.link.emcon.level is EmconLevel.OPEN
        bench.link.emcon.set_level(EmconLevel.RECEIVE if silent else EmconLevel.OPEN, bench.now)


@pytest.mark.parametrize("how", ["line", "silence"])
def test_after_a_gap_the_present_comes_first_and_no_history_follows(how: str) -> None:
    line = LinkLine(LineRules(delay_ns=10 * MS), np.random.default_rng(3))
    bench = Bench(pipe=line, bit_rate=9600.0, retry=STUBBORN)
    bench.flight.values = lambda now: {"t_s": now / NS, "motion": "Idle", "soc_battery": 0.5}
    bench.connected()
    bench.run(5.0)
    gone_silent(bench, how)
    bench.run(20.0)
    gone_silent(bench, how)
    back = bench.now
    bench.ground.arrivals.take_all()
    bench.run(6.0)
    times = [a.what.t_ns for a in bench.ground.arrivals.take_all() if isinstance(a.what, Frame)]
    assert times
    assert min(times) >= back - 2 * NS
    assert bench.ground.values["soc_battery"][0] >= back - 2 * NS, "what tells only changes is told anew"


def test_a_frame_that_was_overtaken_does_not_take_the_place_of_the_newer_one() -> None:
    bench = Bench(pipe=bad(0.0, seed=2), retry=STUBBORN)
    bench.flight.values = lambda now: {"t_s": now / NS, "motion": "Idle", "position_m": [now / NS, 0.0, 0.0]}
    bench.connected()
    last = 0
    for _ in range(600):
        bench.step()
        t_ns = bench.ground.values.get("position_m", (0, None))[0]
        assert t_ns >= last
        last = t_ns
    assert last > 8 * NS


def test_values_arrive_as_they_are_and_missing_ones_are_missing() -> None:
    bench = Bench()
    bench.flight.values = lambda now: {"t_s": now / NS, "motion": "Idle", "soc_battery": 0.5, "soc_supercap": None}
    bench.connected()
    assert bench.run(10.0, lambda: "soc_battery" in bench.ground.values)
    assert bench.ground.values["soc_battery"][1] == pytest.approx(0.5)
    assert bench.ground.values["soc_supercap"][1] is None


def test_events_of_the_craft_reach_every_peer() -> None:
    bench = Bench(air=Air())
    station = bench.station(bench.operator("ben", Authority.VIEWER), "b")
    bench.connected()
    bench.port.flight.send(EventNote(bench.now, "SAFE_POWER_LOW", "critical", "ä" * 300))
    bench.run(1.0)
    for ground in (bench.ground, station):
        codes = [a.what.code for a in ground.arrivals.take_all() if isinstance(a.what, EventNote)]
        assert "SAFE_POWER_LOW" in codes


def test_a_long_event_fits_a_short_radio() -> None:
    bench = Bench(mtu=128, bit_rate=9600.0).connected()
    bench.port.flight.send(EventNote(bench.now, "SAFE_POWER_LOW", "critical", "word " * 40))
    bench.run(5.0)
    found = [a.what for a in bench.ground.arrivals.take_all() if isinstance(a.what, EventNote)]
    assert any(event.code == "SAFE_POWER_LOW" and event.text.startswith("word") for event in found)


def test_events_that_the_port_has_no_room_for_are_told_later() -> None:
    bench = Bench(port_limit=4)
    bench.run(1.0)
    port = bench.port.link
    while port.send(ParameterValues(1, {})):
        pass
    bench.link.tell(bench.now, Code.LINK_LOST, Severity.WARNING, "told while there is no room")
    for _ in range(10):
        bench.link.step(bench.now)
        bench.now += 60 * MS
    assert bench.events("LINK_LOST") == []
    bench.run(1.0)
    assert [event.text for event in bench.events("LINK_LOST")] == ["told while there is no room"]


@pytest.mark.parametrize("mtu", [128, 200, 1200])
def test_all_parameters_can_be_asked_for_over_any_line(mtu: int) -> None:
    bench = Bench(mtu=mtu, bit_rate=100_000.0).connected()
    names = list(SCHEMA.by_name)
    bench.port.flight.send(ParameterValues(3, dict(SCHEMA.defaults)))
    bench.run(0.2)
    known: dict[int, Any] = {}
    for _ in range(200):
        bench.ground.arrivals.take_all()
        bench.ground.ask_parameters(max(known, default=-1) + 1)
        bench.run(0.3)
        rows = [row for a in bench.ground.arrivals.take_all() if isinstance(a.what, ParameterListing)
                for row in a.what.values]
        if not rows:
            break
        known.update(rows)
    assert len(known) == len(names)


# -- the session


def test_a_station_that_begins_anew_replaces_its_session_and_goes_on() -> None:
    bench = Bench(air=Air())
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    first = station.end
    for _ in range(3):
        station.connect(bench.now)
        assert bench.run(20.0, lambda: station.connected)
    assert station.end is not first
    assert len(bench.link.ends.of_peer("ben")) == 1
    assert len(bench.link.ends.of_peer(OPERATOR)) == 1
    order = station.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))
    assert [e.text for e in bench.events("LINK_DOWN")] == ["ben: replaced"] * 3


def test_a_station_that_is_gone_is_let_go_and_told() -> None:
    bench = Bench(step_ns=100 * MS).connected()
    bench.stations.clear()
    bench.run(125.0)
    assert bench.link.ends.ends == []
    assert [event.text for event in bench.events("LINK_DOWN")] == [f"{OPERATOR}: silent"]


def test_a_revoked_key_ends_its_session_at_once() -> None:
    bench = Bench().connected()
    bench.craft_keys.revoke(OPERATOR)
    bench.run(0.1)
    assert bench.link.ends.ends == []
    order = bench.ground.order("hold", {}, bench.now)
    bench.run(5.0)
    assert (order.verdict, bench.flight.asked) == ("", [])


def test_a_craft_s_link_that_was_started_anew_is_found_again() -> None:
    bench = Bench(air=Air())
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.stations.remove(bench.ground)
    station.connect(bench.now)
    bench.step_ns = 50 * MS
    assert bench.run(20.0, lambda: station.connected)
    bench.link.ends.close()
    assert bench.run(120.0, lambda: station.counts.sessions == 2 and station.connected)


def test_heard_is_told_to_the_flight_loop_for_good_records_only() -> None:
    bench = Bench(air=Air()).connected()
    air = bench.air
    assert air is not None
    bench.stations.clear()
    heard = bench.link.heard_ns
    assert heard is not None
    for _ in range(50):
        air.inject("x", bytes((0x21, *bench.random(40))))
        bench.run(0.02)
    bench.run(0.2)
    assert bench.flight.reports[-1].heard_ns == bench.link.heard_ns == heard


# -- silence


def busy(bench: Bench, air: Air) -> None:
    """Everything that could make the craft say something."""
    bench.store.save("a.bin", bytes(3000))
    (end, *_) = [end for end in bench.link.ends.ends if end.line.transport.name == "air"]
    bench.link.files.send("a.bin", end.peer, 999, bench.now)
    end.put(SERVICE, b"queued", bench.now)
    bench.port.flight.send(EventNote(bench.now, "SAFE_POWER_LOW", "critical", "x"))


class BrokenStream(Reader):
    def write(self, data: bytes) -> int:
        raise RuntimeError("a fault of ours")


def test_a_shell_that_fails_is_told_by_name_and_the_link_goes_on() -> None:
    bench = Bench()
    bench.connected()
    bench.link.shell.open(BrokenStream(), bench.now, how="socket")
    assert bench.run(5.0, lambda: bool(bench.events("MEMBER_FAILED")))
    (event,) = bench.events("MEMBER_FAILED")
    assert event.text.startswith("shell by socket: RuntimeError in BrokenStream.write:")
    assert bench.run(5.0, lambda: bench.link.snapshot is not None)


@pytest.mark.parametrize("level", [EmconLevel.RECEIVE, EmconLevel.SILENT])
@pytest.mark.parametrize("by_region", [False, True])
def test_not_a_byte_leaves_a_silent_craft_whatever_is_asked_of_it(level: EmconLevel, by_region: bool) -> None:
    air = Air()
    bench = Bench(air=air)
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    newcomer = bench.station(bench.operator("cleo", Authority.SAFETY), "c")
    bench.stations.remove(newcomer)
    bench.connected()
    station.files.store.save("up.bin", bytes(4000))
    shell = station.shell()
    assert shell is not None
    shell.write(b"watch soc_battery\n")
    bench.run(1.0)
    busy(bench, air)
    if by_region:
        bench.flight.emission = Emission.SILENT
    else:
        bench.link.emcon.set_level(level, bench.now)
    bench.run(0.1)
    sent, radio = len(air.down), bench.lines.a.counts.sent
    # Orders, questions, files, a shell, new handshakes, noise: nothing is answered.
    bench.stations.append(newcomer)
    newcomer.connect(bench.now)
    station.send_file("up.bin", bench.now)
    orders = [station.order(name, arguments, bench.now) for name, arguments in (("hold", {}), ("ping", {"number": 1}))]
    busy(bench, air)
    for second in range(20):
        shell.write(b"status\n")
        station.ping(second)
        for _ in range(10):
            air.inject("b", bytes((0x21, *bench.random(30))))
        bench.run(1.0)
    assert len(air.down) == sent
    assert bench.lines.a.counts.sent == radio
    assert bench.flight.done, "what came up was heard all the same"
    assert not newcomer.connected
    bench.flight.emission = Emission.OPEN
    bench.link.emcon.set_level(EmconLevel.OPEN, bench.now)
    assert bench.run(60.0, lambda: all(order.end for order in orders) and newcomer.connected)
    assert len(air.down) > sent


def test_restricted_emission_lets_control_through_and_no_file() -> None:
    air = Air()
    bench = Bench(air=air)
    station = bench.station(bench.operator("ben", Authority.SAFETY), "b")
    bench.connected()
    bench.link.emcon.set_level(EmconLevel.RESTRICTED, bench.now)
    bench.store.save("a.bin", bytes(3000))
    order = station.order("hold", {}, bench.now)
    refused = station.order("file_send", {"name": "a.bin"}, bench.now)
    assert bench.run(10.0, lambda: bool(order.end and refused.end))
    assert order.end == "effect_confirmed"
    assert "EMCON_BLOCK" in refused.detail


@pytest.mark.parametrize(("level", "leaves"), [(EmconLevel.OPEN, True), (EmconLevel.RECEIVE, True),
                                               (EmconLevel.SILENT, False)])
def test_bundles_for_a_docked_neighbour_keep_the_silence_too(level: EmconLevel, leaves: bool) -> None:
    dock = Air()
    neighbour = dock.ground("n")
    here, there = Eid.ipn(5, 1), Eid.ipn(6, 1)
    node = BundleNode(NodeSettings(Eid.ipn(5, 0), services=frozenset({1}), gateways=(Eid.ipn(6, 0).full_node,)), 1, 0)
    bench = Bench(
        neighbours={Eid.ipn(6, 0).full_node: Line(dock.craft("dock"), Transmitter.BRIDGE)}, node=node,
    )
    bench.run(0.2)
    bench.link.emcon.set_level(level, bench.now)
    assert send_bundle(node, here, there, bench.now)
    bench.run(5.0)
    assert (len(dock.down) > 0) is leaves
    assert neighbour.receive(10, 0) == []
    bench.link.emcon.set_level(EmconLevel.OPEN, bench.now)
    bench.run(5.0)
    assert len(dock.down) > 0, "it was kept for later"


def send_bundle(node: BundleNode, here: Eid, there: Eid, now: int) -> bool:
    endpoint = BundleEndpoint(node, here.service, lambda plain, _: plain, lambda sealed, _: sealed)
    return endpoint.send(there, b"for you", 3600, 1, now) is None


# -- bounds


def test_a_peer_that_floods_is_bounded_and_the_others_go_on() -> None:
    air = Air()
    bench = Bench(air=air)
    noisy = bench.station(bench.operator("ben", Authority.VIEWER), "b")
    bench.connected()
    end = noisy.end
    assert end is not None
    for number in range(40):
        for _ in range(60):
            end.put(SERVICE, b"\x82\x06" + bytes((0x18, 24 + number)), bench.now)
            end.put(CONTROL, b"\xff", bench.now)
        bench.run(0.1)
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(5.0, lambda: bool(order.end))
    for live in bench.link.ends.ends:
        for spec in live.manager.specs():
            lane = live.manager.lane(spec.id)
            if lane is not None:
                assert len(lane.queue) <= lane.queue.rule.entries
                assert lane.queue.size_bytes <= lane.queue.rule.size_bytes


def test_nothing_waits_without_bound_while_no_flight_loop_takes_it() -> None:
    bench = Bench(port_limit=16).connected()
    for _ in range(100):
        bench.ground.ping(1)
        end = bench.ground.end
        assert end is not None
        end.put(CONTROL, b"\xff", bench.now)
        for _ in range(5):
            bench.link.step(bench.now)
            bench.ground.step(bench.now)
            bench.now += 20 * MS
    assert bench.port.link.dropped > 0
    bench.run(1.0)
    order = bench.ground.order("hold", {}, bench.now)
    assert bench.run(10.0, lambda: bool(order.end))
    assert order.end == "effect_confirmed"


def test_two_runs_with_one_seed_send_the_same_bytes() -> None:
    def run() -> list[bytes]:
        seen: list[bytes] = []
        line = bad(0.2, seed=5)
        line.tamper = lambda _, data: (seen.append(data), data)[1]
        bench = Bench(pipe=line, seed=4, retry=STUBBORN).connected(120.0)
        bench.ground.order("hold", {}, bench.now)
        bench.run(10.0)
        return seen

    assert run() == run()


def test_what_the_link_tells_of_itself_is_known() -> None:
    bench = Bench().connected()
    bench.run(1.0)
    told = bench.flight.reports[-1].telemetry
    assert told["link_peers"] == {OPERATOR: "safety radio-a"}
    assert told["link_counts"]["good"] > 0
    assert told["emcon_level"] == 0
    assert bench.flight.reports[-1].radio_ready is True
    assert bench.ground.hello is not None
    assert bench.ground.hello.version == "test"
    assert bench.ground.same_dictionary is True
