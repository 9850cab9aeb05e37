"""Commands that fly nothing reach who carries them out, with their authority, and are refused where nobody does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from comms.dictionary import COMMANDS, Authority
from fdir.codes import Code
from fdir.facts import Facts
from fdir.gating import CommandClass
from fdir.supervisor import Supervisor
from firmware_py.command_upkeep import UPKEEP, Housekeeper
from firmware_py.commands import Order
from tests.fdir.rows import monitors, row

MakeFacts = Callable[..., Facts]


class Notes:
    """Energy side or parameters: notes every call and answers as it is told."""

    def __init__(self, *codes: Code) -> None:
        self.codes = codes
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., tuple[Code, ...]]:
        def note(*arguments: Any) -> tuple[Code, ...]:
            self.calls.append((name, *arguments))
            return self.codes

        return note


def keeper() -> Housekeeper:
    rows = (row(latched=True, persist_ms=0, clear_ms=0), row(id="other", number=901))
    return Housekeeper(Supervisor(("rcs_c01",), monitors(*rows)))


def order(command: str, /, **arguments: Any) -> Order:
    return Order(3, command, arguments, "ground")


ENERGY: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("load", {"name": "radar", "enabled": False}, ("want_load", "radar", False)),
    ("load_clear", {"name": "dock"}, ("clear", "dock")),
    ("dock_power", {"enabled": True}, ("feed_from_dock", True)),
]
PARAMETERS: list[tuple[str, dict[str, Any], tuple[Any, ...]]] = [
    ("param_set", {"name": "speed_share", "value": "0.5"}, ("set", "speed_share", "0.5", Authority.ENGINEER)),
    ("param_activate", {}, ("activate", Authority.ENGINEER)),
    ("param_rollback", {}, ("rollback", Authority.ENGINEER)),
]


@pytest.mark.parametrize("codes", [(), (Code.PARAM_INVALID, Code.PDU_DENIED)])
@pytest.mark.parametrize(("name", "arguments", "call"), ENERGY + PARAMETERS)
def test_a_command_reaches_who_carries_it_out_and_the_answer_comes_back(
    facts: MakeFacts, name: str, arguments: dict[str, Any], call: tuple[Any, ...], codes: tuple[Code, ...]
) -> None:
    house, notes = keeper(), Notes(*codes)
    house.energy = house.parameters = notes  # type: ignore[assignment]
    assert house.carry_out(order(name, **arguments), Authority.ENGINEER, facts()) == codes
    assert notes.calls == [call]


def test_a_sensor_profile_is_set_and_never_refused(facts: MakeFacts) -> None:
    house, notes = keeper(), Notes(Code.PDU_DENIED)
    house.energy = notes  # type: ignore[assignment]
    assert house.carry_out(order("sensor_profile", profile="eco"), Authority.CONTROLLER, facts()) == ()
    assert notes.calls == [("set_profile", "eco")]


@pytest.mark.parametrize(("name", "arguments"), [
    *((name, arguments) for name, arguments, _ in ENERGY + PARAMETERS), ("sensor_profile", {"profile": "eco"}),
])
def test_where_nobody_carries_it_out_it_is_refused(facts: MakeFacts, name: str, arguments: dict[str, Any]) -> None:
    assert keeper().carry_out(order(name, **arguments), Authority.SAFETY, facts()) == (Code.NOT_IMPLEMENTED,)


def test_a_monitor_is_switched_by_name(facts: MakeFacts) -> None:
    house = keeper()
    bank = house.supervisor.bank
    assert house.carry_out(order("monitor_enable", name="low", enabled=False), Authority.SAFETY, facts()) == ()
    house.supervisor.step(facts(t_ns=0, bus_voltage_v=21.0))
    assert bank.active() == ()
    assert house.carry_out(order("monitor_enable", name="low", enabled=True), Authority.SAFETY, facts()) == ()
    house.supervisor.step(facts(t_ns=5, bus_voltage_v=21.0))
    assert bank.active() == ("low",)
    unknown = order("monitor_enable", name="nobody", enabled=True)
    assert house.carry_out(unknown, Authority.SAFETY, facts()) == (Code.CMD_VALIDATION_FAILED,)


def test_counters_are_set_to_zero_and_a_latched_fault_is_let_go(facts: MakeFacts) -> None:
    house = keeper()
    bank = house.supervisor.bank
    house.supervisor.step(facts(t_ns=0, bus_voltage_v=21.0))
    house.supervisor.step(facts(t_ns=5))
    assert (bank.active(), bank.states[0].counters.trips) == (("low",), 1)
    assert house.carry_out(order("monitor_reset_counters"), Authority.ENGINEER, facts()) == ()
    assert bank.states[0].counters.trips == 0
    assert house.carry_out(order("fault_clear", name="low"), Authority.SAFETY, facts()) == ()
    house.supervisor.step(facts(t_ns=9))
    assert bank.active() == ()
    for name in ("low", "nobody"):
        again = house.carry_out(order("fault_clear", name=name), Authority.SAFETY, facts())
        assert again == (Code.CMD_VALIDATION_FAILED,)


def test_what_changes_how_the_craft_watches_itself_is_confirmed_and_has_its_authority() -> None:
    told = {name: (COMMANDS[name].command_class, COMMANDS[name].authority) for name in UPKEEP}
    assert told == {
        "load": (CommandClass.SWITCH, Authority.CONTROLLER),
        "load_clear": (CommandClass.STATUS, Authority.ENGINEER),
        "dock_power": (CommandClass.EXTERNAL_POWER, Authority.CONTROLLER),
        "sensor_profile": (CommandClass.STATUS, Authority.CONTROLLER),
        "monitor_enable": (CommandClass.MODE_CHANGE, Authority.SAFETY),
        "monitor_reset_counters": (CommandClass.STATUS, Authority.ENGINEER),
        "fault_clear": (CommandClass.MODE_CHANGE, Authority.SAFETY),
        "param_set": (CommandClass.STATUS, Authority.CONTROLLER),
        "param_activate": (CommandClass.MODE_CHANGE, Authority.CONTROLLER),
        "param_rollback": (CommandClass.MODE_CHANGE, Authority.CONTROLLER),
    }
