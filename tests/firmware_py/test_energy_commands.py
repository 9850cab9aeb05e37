"""Commands of the energy side, from the dictionary through the gate to rails, dock and profile, and their refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import Motion
from firmware_py.commands import CommandRecord, CommandState
from tests.firmware_py.energy_craft import WorldCraft
from tests.firmware_py.test_commander import Bridge


class Desk(Bridge):
    """A commander whose energy side flies on the world's power plant."""

    def __init__(self, facts: Callable[..., Facts]) -> None:
        super().__init__(facts)
        self.craft = WorldCraft(soc_battery=0.6)
        self.commander.energy = self.craft.manager
        self.craft.fly(2.0)

    def safe(self) -> None:
        self.order("safe")
        assert self.motion is Motion.SAFE


@pytest.fixture
def desk(facts: Callable[..., Facts]) -> Desk:
    return Desk(facts)


def give(bridge: Bridge, command: str, /, **arguments: Any) -> CommandRecord:
    """``Bridge.order`` for arguments that are called ``name``."""
    return bridge.commander.order(command, arguments, "test", bridge.t_ns, bridge.nav, bridge.facts)


def codes(record: CommandRecord) -> tuple[Code, ...]:
    assert (record.state is CommandState.REJECTED) is bool(record.codes)
    return record.codes


def test_a_load_is_switched_off_and_on(desk: Desk) -> None:
    assert codes(give(desk, "load", name="radar", enabled=False)) == ()
    desk.craft.fly(1.0)
    assert "radar" not in desk.craft.on()
    assert codes(give(desk, "load", name="radar", enabled=True)) == ()
    desk.craft.fly(1.0)
    assert "radar" in desk.craft.on()


@pytest.mark.parametrize("name", ["base", "warp_drive", "", "dock"])
def test_what_is_no_switched_load_is_refused(desk: Desk, name: str) -> None:
    assert codes(give(desk, "load", name=name, enabled=True)) == (Code.CMD_VALIDATION_FAILED,)


def test_a_load_that_is_shed_is_refused_with_the_reason(desk: Desk) -> None:
    give(desk, "sensor_profile", profile="fast")
    desk.craft.fly(2.0)
    assert codes(give(desk, "load", name="nbl", enabled=True)) == (Code.LOAD_SHED_ACTIVE, Code.PDU_OVERLOAD)
    assert codes(give(desk, "load", name="nbl", enabled=False)) == ()


def test_a_low_battery_does_not_keep_a_load_on(desk: Desk) -> None:
    desk.world = {"soc_battery": 0.05}
    assert codes(give(desk, "load", name="radar", enabled=False)) == ()
    desk.craft.fly(1.0)
    assert "radar" not in desk.craft.on()


def test_a_line_that_was_opened_for_good_is_cleared(desk: Desk) -> None:
    desk.craft.power.short_load("radar", 80.0)
    desk.craft.fly(40.0)
    desk.craft.power.short_load("radar", None)
    assert codes(give(desk, "load", name="radar", enabled=True)) == (Code.PDU_OVERCURRENT,)
    assert codes(give(desk, "load_clear", name="radar")) == ()
    desk.craft.fly(2.0)
    assert "radar" in desk.craft.on()
    assert codes(give(desk, "load_clear", name="warp_drive")) == (Code.CMD_VALIDATION_FAILED,)


def test_power_from_a_dock_needs_a_confirmation_and_a_dock(desk: Desk) -> None:
    assert Code.CMD_CONFIRMATION_REQUIRED in codes(give(desk, "dock_power", enabled=True))
    assert codes(give(desk, "dock_power", enabled=True, confirmed=True)) == (Code.SOURCE_UNAVAILABLE,)
    desk.craft.power.dock_connect(28.0, 250.0)
    desk.craft.fly(1.0)
    assert codes(give(desk, "dock_power", enabled=True, confirmed=True)) == ()
    desk.craft.fly(5.0)
    assert desk.craft.power.dock_w > 100.0
    assert codes(give(desk, "dock_power", enabled=False, confirmed=True)) == ()
    desk.craft.fly(1.0)
    assert desk.craft.power.dock_w == 0.0


def test_reverse_current_at_the_dock_is_cleared_by_name(desk: Desk) -> None:
    desk.craft.power.dock_connect(28.0, 250.0)
    desk.craft.fly(1.0)
    give(desk, "dock_power", enabled=True, confirmed=True)
    desk.craft.fly(5.0)
    desk.craft.power.dock_connect(28.0, 0.0, sink_w=60.0)
    desk.craft.fly(1.0)
    desk.craft.power.dock_connect(28.0, 250.0)
    desk.craft.fly(1.0)
    assert codes(give(desk, "dock_power", enabled=True, confirmed=True)) == (Code.BRIDGE_ELECTRICAL_UNSAFE,)
    assert codes(give(desk, "load_clear", name="dock")) == ()
    desk.craft.fly(1.0)
    assert codes(give(desk, "dock_power", enabled=True, confirmed=True)) == ()


def test_a_profile_is_chosen_by_its_name_alone(desk: Desk) -> None:
    speeds = {}
    for profile in ("eco", "balanced", "fast"):
        assert codes(give(desk, "sensor_profile", profile=profile)) == ()
        desk.craft.fly(1.0)
        speeds[profile] = desk.craft.manager.verdict.share
    assert speeds["eco"] < speeds["balanced"] < speeds["fast"]
    for wrong in ("off", "FAST", "turbo", 1, None):
        assert codes(give(desk, "sensor_profile", profile=wrong)) == (Code.CMD_VALIDATION_FAILED,)


@pytest.mark.parametrize("arguments", [{}, {"name": "radar"}, {"enabled": True}, {"name": 3, "enabled": True},
                                       {"name": "radar", "enabled": "yes"}])
def test_arguments_that_are_missing_or_of_another_kind_are_refused(desk: Desk, arguments: dict[str, Any]) -> None:
    assert codes(give(desk, "load", **arguments)) == (Code.CMD_VALIDATION_FAILED,)


def test_in_safe_a_dock_may_feed_and_loads_are_not_switched(desk: Desk) -> None:
    desk.safe()
    desk.craft.power.dock_connect(28.0, 250.0)
    desk.craft.fly(1.0)
    assert Code.SAFE_LOCKED in codes(give(desk, "load", name="lidar", enabled=True))
    assert codes(give(desk, "dock_power", enabled=True, confirmed=True)) == ()


@pytest.mark.parametrize(("name", "arguments"), [
    ("load", {"name": "radar", "enabled": True}), ("load_clear", {"name": "radar"}),
    ("dock_power", {"enabled": True, "confirmed": True}), ("sensor_profile", {"profile": "eco"}),
])
def test_a_craft_without_an_energy_side_refuses_them(
    facts: Callable[..., Facts], name: str, arguments: dict[str, Any]
) -> None:
    assert codes(give(Bridge(facts), name, **arguments)) == (Code.NOT_IMPLEMENTED,)


def test_every_order_is_recorded_with_its_answer(desk: Desk) -> None:
    record = give(desk, "load", name="radar", enabled=False)
    assert record in desk.journal.commands
    assert record.arguments == {"name": "radar", "enabled": False}
