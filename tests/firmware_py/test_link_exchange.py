"""The flight loop's end of the link in a whole program on the rig: requests in, state out, a link that misbehaves."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from comms.dictionary import Authority
from comms.flight_port import (
    CommandStage,
    CraftState,
    EnergyAsk,
    EnergyVerdict,
    EventNote,
    LinkOrder,
    LinkReport,
    LocalPort,
    ParameterValues,
    Snapshot,
    UplinkRequest,
)
from fdir.modes import Emission
from tests.firmware_py.rig_craft import SECOND, Craft

PACKET = EnergyAsk("nbl", 150.0, 956.25, 6.375)


class Linked(Craft):
    """A craft with a port, and nobody at its other end but the test."""

    def __init__(self, limit: int = 4096) -> None:
        self.port = LocalPort(limit)
        super().__init__(link=self.port.flight)
        self.sequence = 0
        self.told: list[Any] = []

    @property
    def exchange(self) -> Any:
        return self.program.exchange

    def take(self, kind: type) -> list[Any]:
        """Messages of a kind since this was last asked; the others stay for later."""
        self.told += self.port.link.receive(10_000)
        found = [message for message in self.told if isinstance(message, kind)]
        self.told = [message for message in self.told if not isinstance(message, kind)]
        return found

    def ask(self, name: str, arguments: dict[str, Any] | None = None, **more: Any) -> str:
        self.sequence += 1
        given: dict[str, Any] = {
            "command_id": f"ann:{self.sequence}", "sender": "ann", "authority": Authority.SAFETY,
            "sequence": self.sequence, "not_after_ns": self.clock.now_ns() + 60 * SECOND,
            "start": self.software.commander.desk.start,
        } | more
        assert self.port.link.send(UplinkRequest(name=name, arguments=arguments or {}, **given))
        return str(given["command_id"])

    def report(self, **more: Any) -> None:
        assert self.port.link.send(LinkReport(self.clock.now_ns(), **more))

    def alive(self, seconds: float, **more: Any) -> None:
        """Fly on with a link that reports twenty times a second."""
        for _ in range(round(seconds * 20)):
            self.report(radio_ready=True, **more)
            self.run(0.05)

    def stages(self, command_id: str) -> list[str]:
        return [str(stage.stage) for stage in self.take(CommandStage) if stage.command_id == command_id]


@pytest.fixture
def craft() -> Linked:
    craft = Linked()
    craft.boot()
    return craft


def test_the_link_is_told_the_state_of_the_craft_twenty_times_a_second(craft: Linked) -> None:
    craft.take(CraftState)
    craft.run(1.0)
    states = craft.take(CraftState)
    assert len(states) == 20
    assert [b.now_ns - a.now_ns for a, b in pairwise(states)] == [50_000_000] * 19
    newest = states[-1]
    assert (newest.motion, newest.emission, newest.firing) == ("Idle", Emission.OPEN, False)
    assert 0.6 < newest.soc_supercap <= 1.0
    assert newest.core_c == pytest.approx(craft.software.temperatures["core"].value)
    assert (newest.core_tripped, newest.pdu_tripped) == (False, False)


def test_what_is_not_known_yet_is_told_as_missing() -> None:
    craft = Linked()
    craft.run(0.06)
    first = craft.take(CraftState)[0]
    assert (first.start, first.soc_supercap, first.soc_battery, first.core_c) == (None, None, None, None)


def test_snapshots_and_events_go_to_the_link(craft: Linked) -> None:
    assert [note.code for note in craft.take(EventNote)].count("MODE_CHANGED") == 1
    craft.take(Snapshot)
    craft.run(1.0)
    assert len(craft.take(Snapshot)) == 20


def test_a_request_goes_over_the_desk_and_its_sender_hears_every_stage(craft: Linked) -> None:
    wanted = craft.ask("hold")
    craft.run(0.1)
    assert craft.stages(wanted)[:3] == ["requested", "validation_pending", "allowed"]
    assert craft.motion == "Manoeuvre"
    assert craft.exchange.taken == 1


def test_a_request_that_comes_twice_is_carried_out_once_and_told_its_first_verdict(craft: Linked) -> None:
    wanted = craft.ask("emission", {"level": "restricted"})
    craft.run(0.2)
    assert "allowed" in craft.stages(wanted)
    craft.sequence -= 1
    assert craft.ask("emission", {"level": "restricted"}) == wanted
    craft.run(0.2)
    assert craft.stages(wanted) == ["allowed"]
    assert craft.texts("EMISSION_CHANGED") == ["restricted"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"authority": Authority.VIEWER}, "CMD_UNAUTHORIZED"), ({"start": 99}, "CMD_EXPIRED"),
        ({"not_after_ns": 1}, "CMD_EXPIRED"),
    ],
)
def test_what_the_desk_does_not_allow_is_told_with_its_reason(
    craft: Linked, more: dict[str, Any], code: str
) -> None:
    wanted = craft.ask("hold", **more)
    craft.run(0.1)
    stages = [stage for stage in craft.take(CommandStage) if stage.command_id == wanted]
    assert code in next(stage for stage in stages if stage.stage == "rejected").codes
    assert craft.motion == "Idle"


def test_a_command_that_needs_it_is_confirmed_by_the_request(craft: Linked) -> None:
    craft.report(radio_ready=True)
    wanted = craft.ask("emcon_release")
    craft.run(0.1)
    assert "rejected" in craft.stages(wanted)
    wanted = craft.ask("emcon_release", {"confirmed": True}, confirmed=True)
    craft.run(0.1)
    assert "allowed" in craft.stages(wanted)
    assert craft.exchange.orders.released(craft.clock.now_ns())


def test_orders_for_the_link_wait_for_what_the_link_says(craft: Linked) -> None:
    craft.alive(0.2)
    wanted, other = craft.ask("file_list"), craft.ask("file_send", {"name": "notes.bin"})
    craft.alive(0.2)
    orders = craft.take(LinkOrder)
    assert [(order.name, order.sender, order.authority) for order in orders] == [
        ("file_list", "ann", Authority.SAFETY), ("file_send", "ann", Authority.SAFETY),
    ]
    stages = [stage for stage in craft.take(CommandStage) if stage.stage == "effect_pending"]
    assert {stage.command_id for stage in stages} == {wanted, other}
    craft.report(finished=((orders[0].number, True, "3 files"), (orders[1].number, False, "no_file")))
    craft.run(0.2)
    ends = {(s.command_id, str(s.stage)): s.detail for s in craft.take(CommandStage)}
    assert ends[wanted, "effect_confirmed"] == "3 files"
    assert ends[other, "aborted"] == "no_file"


def test_without_a_link_its_orders_are_refused(craft: Linked) -> None:
    wanted = craft.ask("file_list")
    craft.run(0.1)
    verdict = next(stage for stage in craft.take(CommandStage) if stage.stage == "rejected")
    assert (verdict.command_id, verdict.codes[-1]) == (wanted, "COMMS_UNAVAILABLE")
    assert craft.take(LinkOrder) == []


def test_a_link_that_falls_silent_is_noted_once_and_its_values_go(craft: Linked) -> None:
    craft.alive(0.5, telemetry={"emcon_level": 1.0})
    assert craft.software.radio_ready
    assert craft.take(Snapshot)[-1].values["emcon_level"] == 1.0
    craft.run(3.0)
    assert craft.codes.count("COMMS_UNAVAILABLE") == 1
    assert craft.software.radio_ready is None
    assert craft.take(Snapshot)[-1].values["emcon_level"] is None
    craft.alive(0.2)
    assert craft.software.radio_ready


def test_an_uplink_counts_from_when_it_was_heard_and_never_from_the_future(craft: Linked) -> None:
    now = craft.clock.now_ns()
    craft.report(heard_ns=now - SECOND)
    craft.run(0.1)
    assert craft.software.heard_ns == now - SECOND
    craft.report(heard_ns=now - 2 * SECOND)
    craft.report(heard_ns=now + 100 * SECOND)
    craft.run(0.1)
    assert craft.software.heard_ns == now - SECOND
    assert craft.exchange.untimely == 1


def test_a_craft_with_a_link_waits_for_an_uplink_from_its_start_on() -> None:
    craft = Linked()
    assert craft.software.heard_ns is None
    craft.run(0.1)
    assert craft.software.heard_ns == 0 or craft.software.heard_ns < SECOND


def test_events_of_the_link_are_recorded_and_come_back_for_its_peers(craft: Linked) -> None:
    craft.take(EventNote)
    craft.report(events=(EventNote(0, "LINK_UP", "info", "ann over radio"), EventNote(0, "NO_SUCH", "info", "x")))
    craft.run(0.1)
    assert craft.texts("LINK_UP") == ["ann over radio"]
    assert [note.text for note in craft.take(EventNote) if note.code == "LINK_UP"] == ["ann over radio"]
    assert craft.exchange.events.left_out == 1


def test_energy_for_a_packet_is_granted_by_the_budget_and_given_back(craft: Linked) -> None:
    peaks = craft.software.energy.peaks
    assert craft.port.link.send(PACKET)
    craft.run(0.1)
    assert [verdict.granted for verdict in craft.take(EnergyVerdict)] == [True]
    assert peaks.live("nbl")
    assert craft.port.link.send(EnergyAsk("nbl", 0.0, 0.0, 0.0, 956.25))
    craft.run(0.1)
    assert not peaks.live("nbl")
    assert craft.take(EnergyVerdict) == []


def test_a_grant_that_runs_out_is_taken_away_in_words(craft: Linked) -> None:
    assert craft.port.link.send(PACKET)
    craft.run(60.0)
    assert [verdict.granted for verdict in craft.take(EnergyVerdict)] == [True, False]
    assert not craft.software.energy.peaks.live("nbl")


@pytest.mark.parametrize("asked", [
    EnergyAsk("rcs", 150.0, 900.0, 6.0), EnergyAsk("nbl", 1e6, 1e9, 1e3), EnergyAsk("nbl", float("nan"), 1.0, 1.0),
    EnergyAsk("nbl", 150.0, 900.0, 6.0, float("inf")),
])
def test_energy_for_anything_else_is_refused(craft: Linked, asked: EnergyAsk) -> None:
    assert craft.port.link.send(asked)
    craft.run(0.1)
    assert [verdict.granted for verdict in craft.take(EnergyVerdict)] == [False]
    assert craft.exchange.refused == 1


def test_parameters_are_told_when_they_change_and_every_ten_seconds(craft: Linked) -> None:
    first = craft.take(ParameterValues)
    assert len(first) == 1
    assert first[0].values == dict(craft.software.retained.parameters.values)
    craft.ask("param_set", {"name": "speed_share", "value": "0.5"})
    craft.run(0.1)
    craft.ask("param_activate", confirmed=True)
    craft.run(0.1)
    told = craft.take(ParameterValues)
    assert told[-1].values["speed_share"] == 0.5
    assert told[-1].set_number > first[0].set_number
    craft.run(20.5)
    assert len(craft.take(ParameterValues)) == 2


def test_no_step_looks_at_more_than_its_share(craft: Linked) -> None:
    for _ in range(100):
        craft.report()
    craft.run(0.05)
    # What is left waits for the next step; nothing of it is lost.
    assert len(craft.port.flight.receive(1000)) == 100 - 32


def test_a_full_port_does_not_stop_the_flight() -> None:
    craft = Linked(limit=8)
    craft.boot()
    craft.run(1.0)
    assert craft.port.flight.dropped > 0
    assert craft.motion == "Idle"
    assert "MEMBER_FAILED" not in craft.codes
