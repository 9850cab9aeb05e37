"""The emergency channel over the port: an order, energy asked for and taken away, a release out of silence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import COMMANDS, Authority
from comms.dictionary.commands_link import NBL_PAYLOADS
from comms.emcon import EmconLevel
from comms.flight_port import CommandStage, CraftState, EnergyAsk, EnergyVerdict, LocalPort, Snapshot
from comms.link.emergency import PortEnergy, packet_values
from comms.link.ground_orders import Ordered
from comms.nbl.layouts import LAYOUTS, Unpacked, unpack
from comms.nbl.packet import PayloadClass
from comms.nbl.ports import EnergyOutcome
from comms.records.faults import RecordFault
from fdir.codes import Code
from fdir.modes import Emission
from tests.comms.link_pair import MS, NS, Bench, Nbl


def bench() -> tuple[Bench, Nbl]:
    nbl = Nbl()
    made = Bench(nbl=nbl, step_ns=50 * MS).connected()
    return made, nbl


def ask(bench: Bench, kind: str = "minimal_state", criticality: str = "critical") -> Ordered:
    arguments = {"payload_class": kind, "criticality": criticality, "confirmed": True}
    return bench.ground.order("nbl_send", arguments, bench.now, confirmed=True, life_s=600.0)


@pytest.mark.parametrize("kind", NBL_PAYLOADS)
def test_an_ordered_packet_goes_out_once_it_has_its_energy_and_the_order_ends_well(kind: str) -> None:
    made, nbl = bench()
    order = ask(made, kind)
    assert made.run(60.0, lambda: bool(order.end))
    assert order.end == "effect_confirmed", "with the end of the first packet that was whole"
    assert len(nbl.frames) == 1
    found = unpack(nbl.frames[0][11:])
    assert isinstance(found, Unpacked)
    (first, *_) = [entry for entry in made.flight.asks if entry.watts > 0.0]
    assert (first.consumer, first.watts) == ("nbl", 150.0)
    assert first.joules == pytest.approx(150.0 * first.seconds)
    assert len(nbl.frames[0]) <= 128


def test_nothing_is_sent_before_the_budget_has_said_yes() -> None:
    made, nbl = bench()
    made.flight.energy = lambda _: None
    ask(made)
    made.run(20.0)
    assert nbl.frames == []
    assert [entry.watts > 0.0 for entry in made.flight.asks] == [True]
    # After half a minute the question is taken back and put again.
    made.run(15.0)
    assert [entry.watts > 0.0 for entry in made.flight.asks][:3] == [True, False, True]
    made.flight.energy = lambda entry: EnergyVerdict(entry.consumer, True)
    made.run(40.0)
    assert len(nbl.frames) == 1


def test_a_refused_packet_waits_as_long_as_the_budget_says_and_tells_why() -> None:
    made, nbl = bench()
    until = made.now + 40 * NS

    def verdict(entry: EnergyAsk) -> EnergyVerdict:
        if made.now < until:
            return EnergyVerdict(entry.consumer, False, ("NBL_CAP_LOW",), until)
        return EnergyVerdict(entry.consumer, True)

    made.flight.energy = verdict
    order = ask(made)
    made.run(30.0)
    assert nbl.frames == []
    assert sum(entry.watts > 0.0 for entry in made.flight.asks) == 1, "asked once, and not again before its time"
    assert made.link.emergency is not None
    (packet, *_) = made.link.emergency.sender.packets()
    assert Code.NBL_CAP_LOW in packet.reason_codes
    made.run(40.0)
    assert len(nbl.frames) == 1
    assert not order.codes


def test_energy_that_is_taken_away_on_the_air_ends_the_packet_at_once() -> None:
    made, nbl = bench()
    ask(made)
    assert made.run(5.0, lambda: len(nbl.frames) == 1)
    made.run(2.0)
    assert nbl.stopped == []
    cut = made.now
    made.port.flight.send(EnergyVerdict("nbl", False, ("PDU_PEAK_DENIED",)))
    made.run(0.2)
    assert len(nbl.stopped) == 1
    assert nbl.stopped[0] - cut <= 100 * MS
    (given_back,) = [entry for entry in made.flight.asks if entry.watts == 0.0]
    assert 200.0 < given_back.used_j < 500.0, "what was used is told: some 2 s of 150 W"
    made.run(1.0)
    assert "NBL_PACKET_FAILED" in made.flight.codes_told


def test_facts_of_the_craft_stop_a_packet_too() -> None:
    made, nbl = bench()
    made.flight.state = {"core_tripped": True}
    ask(made)
    made.run(10.0)
    assert nbl.frames == []
    made.flight.state = {}
    made.run(10.0)
    assert len(nbl.frames) == 1
    made.flight.state = {"pdu_tripped": True}
    made.run(0.2)
    assert len(nbl.stopped) == 1


def test_a_packet_that_can_never_go_ends_its_order_with_its_codes() -> None:
    made, nbl = bench()
    order = ask(made, criticality="non-critical")
    assert made.run(5.0, lambda: bool(order.end))
    assert order.end == "aborted"
    assert "NBL_NOT_CRITICAL" in order.detail
    assert nbl.frames == []


def test_a_channel_that_is_switched_off_sends_nothing() -> None:
    made, nbl = bench()
    off = made.ground.order("nbl_set", {"enabled": False}, made.now)
    assert made.run(5.0, lambda: bool(off.end))
    order = ask(made)
    made.run(30.0, lambda: bool(order.end))
    assert nbl.frames == []


def test_a_craft_without_the_transmitter_says_so() -> None:
    made = Bench().connected()
    for name, arguments in (("nbl_send", {"payload_class": "beacon", "criticality": "critical"}),
                            ("nbl_set", {"enabled": True})):
        order = made.ground.order(name, arguments, made.now)
        assert made.run(5.0, lambda order=order: bool(order.end))
        assert (order.end, order.detail) == ("aborted", "NBL_NOT_IMPLEMENTED")


@pytest.mark.parametrize("level", [EmconLevel.RECEIVE, EmconLevel.SILENT])
def test_one_critical_packet_leaves_a_silence_when_it_is_released_and_nothing_else_does(level: EmconLevel) -> None:
    made, nbl = bench()
    radio = made.lines.a.counts
    made.link.emcon.set_level(level, made.now)
    if level is EmconLevel.SILENT:
        made.flight.emission = Emission.SILENT
    made.run(0.2)
    sent = radio.sent
    emergency = made.link.emergency
    assert emergency is not None
    state = made.link.state
    assert state is not None
    for criticality in ("critical", "emergency"):
        emergency.submit("beacon", criticality, state, None, None, made.now)
    made.run(30.0)
    assert nbl.frames == []
    # The order comes up, and is heard; no answer goes down.
    made.ground.order("emcon_release", {"confirmed": True}, made.now, confirmed=True, life_s=300.0)
    made.run(200.0)
    assert [order.name for order in made.flight.orders] == ["emcon_release"]
    assert len(nbl.frames) == 1, "once, and only the critical one"
    assert radio.sent == sent


def test_a_release_that_is_not_used_runs_out() -> None:
    made, nbl = bench()
    made.link.emcon.set_level(EmconLevel.SILENT, made.now)
    made.link.emcon.release(made.now)
    made.stations.clear()
    made.step_ns = 200 * MS
    made.run(601.0)
    emergency, state = made.link.emergency, made.link.state
    assert emergency is not None
    assert state is not None
    emergency.submit("beacon", "critical", state, None, None, made.now)
    made.run(30.0)
    assert nbl.frames == []


def test_a_silence_that_begins_on_the_air_cuts_the_carrier() -> None:
    made, nbl = bench()
    ask(made)
    assert made.run(5.0, lambda: len(nbl.frames) == 1)
    made.link.emcon.set_level(EmconLevel.SILENT, made.now)
    made.run(0.1)
    assert len(nbl.stopped) == 1


def test_a_seal_that_fails_costs_neither_energy_nor_an_attempt() -> None:
    made, nbl = bench()
    good = made.seal
    made.seal = lambda _: RecordFault.NOT_USABLE  # type: ignore[assignment,return-value]
    ask(made)
    made.run(5.0)
    assert nbl.frames == []
    assert all(entry.used_j == 0.0 for entry in made.flight.asks)
    made.seal = good
    made.run(10.0)
    assert len(nbl.frames) == 1


def test_the_rate_of_an_hour_holds_for_orders_too() -> None:
    made, nbl = bench()
    made.stations.clear()
    emergency = made.link.emergency
    assert emergency is not None
    made.step_ns = 200 * MS
    for _ in range(60):
        state = made.link.state
        assert state is not None
        packet = emergency.submit("beacon", "critical", state, None, None, made.now)
        emergency.sender.confirm(packet.packet_id, made.now)
        made.run(60.0)
    assert len(nbl.frames) <= 7
    assert len(emergency.sender.packets()) < 100


# -- the port's energy


def port_energy() -> tuple[PortEnergy, LocalPort]:
    port = LocalPort(2)
    return PortEnergy(port.link), port


def test_an_answer_stands_until_the_next_question() -> None:
    energy, port = port_energy()
    assert energy.standing(0).outcome is EnergyOutcome.GONE
    assert energy.ask(150.0, 2400.0, 16.0, 0).outcome is EnergyOutcome.WAITING
    assert port.flight.receive(5) == [EnergyAsk("nbl", 150.0, 2400.0, 16.0)]
    energy.hear(EnergyVerdict("nbl", True))
    assert energy.standing(1).outcome is EnergyOutcome.GRANTED
    energy.hear(EnergyVerdict("nbl", False, ("PDU_DENIED", "no code of ours"), 77))
    gone = energy.standing(2)
    assert (gone.outcome, gone.codes, gone.when_ns) == (EnergyOutcome.GONE, (Code.PDU_DENIED,), 77)
    energy.give_back(5.0, 3)
    assert port.flight.receive(5) == [EnergyAsk("nbl", 0.0, 0.0, 0.0, 5.0)]
    assert energy.standing(4).outcome is EnergyOutcome.GONE


def test_a_verdict_that_comes_after_the_question_was_taken_back_grants_nothing() -> None:
    energy, _ = port_energy()
    energy.ask(150.0, 2400.0, 16.0, 0)
    energy.give_back(0.0, 1)
    energy.hear(EnergyVerdict("nbl", True))
    assert energy.standing(2).outcome is not EnergyOutcome.GRANTED


def test_a_verdict_for_somebody_else_grants_nothing() -> None:
    energy, _ = port_energy()
    energy.ask(150.0, 2400.0, 16.0, 0)
    energy.hear(EnergyVerdict("laser", True))
    assert energy.standing(2).outcome is EnergyOutcome.WAITING


def test_a_port_without_room_is_a_refusal() -> None:
    energy, _ = port_energy()
    for _ in range(2):
        energy.ask(150.0, 2400.0, 16.0, 0)
    answer = energy.ask(150.0, 2400.0, 16.0, 0)
    assert (answer.outcome, answer.codes, answer.when_ns) == (EnergyOutcome.REFUSED, (Code.COMMS_UNAVAILABLE,), NS)


# -- what a packet says


STATE = CraftState(5 * NS, 3, "SAFE", Emission.OPEN, ("SAFE_POWER_LOW", "no reason of ours"), 0.5, 0.25, 12.0)
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-10, 10), st.floats(), st.text(max_size=4),
    st.dictionaries(st.sampled_from(["battery", "core", "given", "x"]), st.floats(-50, 50), max_size=3),
)


@pytest.mark.parametrize("kind", list(PayloadClass))
def test_a_packet_without_telemetry_has_what_the_state_knows_and_nothing_invented(kind: PayloadClass) -> None:
    values = packet_values(kind, STATE, None, None, 6 * NS)
    assert values["soc_battery"] == 0.25
    assert values["in_safe"] == "yes"
    for name in ("position_x", "time_to_empty_s", "rate_deg_s", "faults", "uplink_age_s", "propellant_kg", "loads_on"):
        assert values[name] is None
    layout = LAYOUTS[kind]
    packed = layout.pack({name: value for name, value in values.items() if name in layout.names})
    assert len(packed.payload) <= 117


@pytest.mark.parametrize("kind", list(PayloadClass))
def test_a_packet_says_what_the_snapshot_says(kind: PayloadClass) -> None:
    snapshot = Snapshot(6 * NS, {
        "temperature_c": {"battery": 21.0}, "faults": {"a": 1}, "masked_nozzles": [0, 15],
        "rate_rad_s": [0.1, 0.0, 0.0],
        "position_m": [1.0, 2.0, 3.0], "quaternion": [1.0, 0.0, 0.0, 0.0], "commands": {"given": 7}, "emcon_level": 2,
        "heaters": ["battery"], "loads": {}, "armed": True, "devices": {}, "time_to_empty_s": float("inf"),
    })
    stage = CommandStage(1, 2, "ada:77", "ada", "hold", "rejected", ("CMD_REJECTED", "EMCON_BLOCK", "CMD_EXPIRED"))
    values = packet_values(kind, STATE, snapshot, 4 * NS, 6 * NS, stage)
    assert values["uplink_age_s"] == 2.0
    assert values["time_to_empty_s"] is None
    assert values["position_z"] == 3.0
    assert values["masked_nozzles"] == ["01", "16"]
    assert "other" in values["safe_reasons"]
    if kind is PayloadClass.COMMAND_ACK:
        assert (values["sequence"], values["command"], values["stage"]) == (77, COMMANDS["hold"].id, "rejected")
        assert (values["code_1"], values["code_2"]) == (Code.CMD_REJECTED, Code.EMCON_BLOCK)
    layout = LAYOUTS[kind]
    layout.pack({name: value for name, value in values.items() if name in layout.names})


@given(st.dictionaries(st.sampled_from(["soc_battery", "time_to_empty_s", "bus_voltage_v", "computer_c", "peak_level"]),
                       st.one_of(st.none(), st.floats(), st.integers(-(2**40), 2**40)), max_size=5))
@settings(max_examples=50, deadline=None)
def test_numbers_out_of_every_range_still_make_a_packet(given_values: dict[str, Any]) -> None:
    for kind in PayloadClass:
        values = packet_values(kind, STATE, Snapshot(0, given_values), None, 0)
        layout = LAYOUTS[kind]
        assert layout.pack({name: value for name, value in values.items() if name in layout.names}).payload


def test_the_roles_that_may_order_a_packet_are_those_of_the_dictionary() -> None:
    assert COMMANDS["nbl_send"].authority is Authority.CONTROLLER
