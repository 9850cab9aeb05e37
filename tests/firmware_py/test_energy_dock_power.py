"""Power from a dock through the whole chain: asked for, raised softly, opened when it is not sound."""

from __future__ import annotations

from math import nan

import pytest

from fdir.codes import Code
from hal.power import DockState
from hal.profile.body import DockFeedConfig
from tests.firmware_py.energy_craft import BODY, BenchCraft, WorldCraft

DOCK = BODY.power.dock
assert isinstance(DOCK, DockFeedConfig)


def docked(soc: float = 0.5, volts: float = 28.0, watts: float = 250.0, sink_w: float = 0.0) -> WorldCraft:
    craft = WorldCraft(soc_battery=soc)
    craft.fly(1.5)
    craft.power.dock_connect(volts, watts, sink_w)
    craft.fly(0.5)
    return craft


def feeding() -> WorldCraft:
    craft = docked()
    assert craft.manager.feed_from_dock(True) == ()
    craft.fly(5.0)
    assert craft.manager.dock is not None
    assert craft.manager.dock.word == "on"
    return craft


def word(craft: WorldCraft | BenchCraft) -> str:
    assert craft.manager.dock is not None
    return craft.manager.dock.word


# -- closing


def test_without_a_dock_s_voltage_it_is_refused_by_code_and_stays_open() -> None:
    craft = WorldCraft()
    craft.fly(1.0)
    assert craft.manager.feed_from_dock(True) == (Code.SOURCE_UNAVAILABLE,)
    craft.fly(2.0)
    assert not craft.power.dock.on
    assert word(craft) == "off"
    craft.power.dock_connect(28.0, 250.0)
    craft.fly(5.0)
    assert not craft.power.dock.on


def test_before_anything_was_read_it_is_refused() -> None:
    craft = WorldCraft()
    assert Code.POWER_TELEM_MISSING in craft.manager.feed_from_dock(True)


@pytest.mark.parametrize("volts", [-28.0, 20.0, 33.0])
def test_a_voltage_that_is_not_a_dock_s_is_refused(volts: float) -> None:
    assert docked(volts=volts).manager.feed_from_dock(True) == (Code.EXTERNAL_POWER_UNSAFE,)


def test_it_is_raised_linearly_in_sixteenths_over_the_soft_start() -> None:
    craft = docked()
    assert craft.manager.feed_from_dock(True) == ()
    shares: list[tuple[float, float, float]] = []
    began = craft.until(lambda: word(craft) == "soft_start", 2.0)
    craft.fly(DOCK.soft_start_s, lambda: shares.append(
        (craft.t_s, craft.power.dock.share, craft.manager.dock.soft_start_pct if craft.manager.dock else -1.0)
    ))
    assert began >= 0.5
    steps = [share for _, share, _ in shares]
    assert steps == sorted(steps)
    assert all(16.0 * share == round(16.0 * share) for share in steps)
    start = shares[0][0]
    for t_s, share, pct in shares[:-1]:
        assert share <= max(1 / 16, (t_s - start + 0.1) / DOCK.soft_start_s)
        assert pct == pytest.approx(100.0 * (t_s - start + 0.05) / DOCK.soft_start_s, abs=3.0)
    craft.fly(1.0)
    assert word(craft) == "on"
    assert craft.manager.dock is not None
    assert craft.manager.dock.soft_start_pct == 100.0


def test_a_dock_feeds_a_craft_whose_bus_has_no_room_left() -> None:
    """Full loads near the limit: it is a source, and needs no room on the distribution unit."""
    craft = docked(soc=0.12)
    assert craft.manager.feed_from_dock(True) == ()
    craft.fly(4.0)
    assert craft.power.dock_w > 100.0
    assert craft.power.battery_in_w > 0.0


def test_it_charges_the_battery_and_never_beyond_its_limits() -> None:
    craft = feeding()
    craft.fly(10.0)
    assert craft.power.battery_in_w <= BODY.power.battery.charge_max_w + 1e-6
    assert craft.power.dock_w <= DOCK.power_max_w + 1e-6
    assert craft.power.dock_current_a <= DOCK.current_max_a + 1e-6


def test_it_is_opened_when_it_is_no_longer_wanted() -> None:
    craft = feeding()
    assert craft.manager.feed_from_dock(False) == ()
    craft.fly(0.2)
    assert not craft.power.dock.on
    assert word(craft) == "off"
    assert craft.power.dock_w == 0.0


def test_to_want_it_twice_is_no_fault() -> None:
    craft = feeding()
    assert craft.manager.feed_from_dock(True) == ()
    craft.fly(2.0)
    assert word(craft) == "on"


# -- opening


def test_current_that_flows_back_opens_it_and_only_an_operator_lets_it_close_again() -> None:
    craft = feeding()
    craft.power.dock_connect(28.0, 0.0, sink_w=60.0)
    craft.fly(0.15)
    assert not craft.power.dock.on
    assert word(craft) == "latched"
    assert craft.told.of(Code.BRIDGE_ELECTRICAL_UNSAFE)
    craft.power.dock_connect(28.0, 250.0)
    craft.fly(20.0)
    assert not craft.power.dock.on
    assert craft.manager.feed_from_dock(True) == (Code.BRIDGE_ELECTRICAL_UNSAFE,)
    assert craft.manager.clear("dock") == ()
    craft.fly(2.0)
    assert not craft.power.dock.on
    assert craft.manager.feed_from_dock(True) == ()
    craft.fly(5.0)
    assert word(craft) == "on"


def test_what_is_still_wrong_when_it_is_cleared_opens_it_again() -> None:
    craft = feeding()
    craft.power.dock_connect(28.0, 0.0, sink_w=60.0)
    craft.fly(1.0)
    craft.manager.clear("dock")
    craft.fly(1.0)
    assert craft.manager.feed_from_dock(True) == ()
    craft.fly(2.0)
    assert word(craft) == "latched"
    assert not craft.power.dock.on


def test_a_dock_that_is_pulled_is_waited_for() -> None:
    craft = feeding()
    craft.power.dock_disconnect()
    craft.fly(1.0)
    assert not craft.power.dock.on
    assert word(craft) == "wait"
    assert craft.manager.dock is not None
    assert Code.SOURCE_UNAVAILABLE in craft.manager.dock.codes
    craft.power.dock_connect(28.0, 250.0)
    craft.fly(4.0)
    assert word(craft) == "on"


def test_a_hot_bridge_opens_it_until_it_is_clear() -> None:
    craft = feeding()
    craft.felt = lambda celsius: {**celsius, "dock_bridge": 121.0}
    bridge = next(node for node in BODY.thermal.nodes if node.name == "dock_bridge")
    craft.until(lambda: not craft.power.dock.on, 400.0)
    craft.felt = lambda celsius: {**celsius, "dock_bridge": bridge.clear_c + 1.0}
    craft.fly(5.0)
    assert not craft.power.dock.on
    craft.felt = lambda celsius: {**celsius, "dock_bridge": bridge.clear_c - 1.0}
    craft.until(lambda: word(craft) == "on", 400.0)


@pytest.mark.parametrize("current", [None, nan])
def test_a_monitor_that_falls_silent_leaves_the_other_and_both_silent_open_it(current: float | None) -> None:
    craft = BenchCraft()
    craft.levers.changes["dock_current_a"] = 0.0
    craft.levers.changes["dock"] = DockState(28.0, 0.0, 0.0, False, True, 20.0, ())
    craft.fly(2.0)
    assert craft.manager.feed_from_dock(True) == ()
    craft.until(lambda: craft.levers.dock[0], 3.0)
    craft.levers.changes["dock"] = DockState(28.0, 28.0, 1.0, True, True, 20.0, ())
    craft.levers.changes["dock_current_a"] = 1.0
    craft.fly(3.0)
    assert word(craft) == "on"
    craft.levers.changes["dock_current_a"] = current
    craft.fly(2.0)
    assert word(craft) == "on"
    assert craft.manager.facts.dock_current_a is None
    craft.levers.changes["dock"] = None
    craft.fly(1.0)
    assert word(craft) == "wait"
    assert not craft.levers.dock[0]


def test_a_plane_that_has_no_such_switch_is_asked_in_vain() -> None:
    craft = BenchCraft(takes=False)
    craft.levers.changes["dock"] = DockState(28.0, 0.0, 0.0, False, True, 20.0, ())
    craft.fly(2.0)
    craft.manager.feed_from_dock(True)
    craft.fly(10.0)
    assert word(craft) != "latched"
