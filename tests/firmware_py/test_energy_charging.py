"""Levers of the chargers: where the panel is held, how much the battery takes, and up to where the stack is charged."""

from __future__ import annotations

from math import inf, nan, sqrt
from typing import Any

import pytest
from msgspec.structs import replace as changed

from firmware_py.energy.charging import Charging
from firmware_py.energy.mppt import TrackerState
from firmware_py.energy.power_rule import Flows
from hal.power import PanelState
from hal.profile import load_body
from hal.reading import Quality, Reading
from tests.firmware_py.energy_craft import BODY, EXACT, MS, SECOND, NotingPlane, WorldCraft

POWER = BODY.power
FULL_V = POWER.supercap.full_v
BOOST_V = FULL_V * sqrt(POWER.supercap.boost_soc)
MOST_W = POWER.battery.charge_max_w


def flows(**watts: Any) -> Flows:
    given = dict.fromkeys((
        "array_w", "dock_w", "loads_w", "peaks_w", "battery_out_w", "battery_in_w", "supercap_out_w", "supercap_in_w",
        "spilled_w", "unserved_w", "pdu_w",
    ), 0.0)
    top_up_w = watts.pop("top_up_w", 0.0)
    return Flows(**(given | watts), battery_limited=False, charge_limited=False, top_up_w=top_up_w)


class Charger:
    """Charging on a plane that notes its orders, a step every 50 ms."""

    def __init__(self, **plane: Any) -> None:
        self.plane = NotingPlane(**plane)
        self.charging = Charging(self.plane.body.power, self.plane)
        self.t_ns = 0

    def run(self, seconds: float, flow: Flows | None, *, soc: float | None = 0.8, share: float = 1.0,
            top_up: bool = True) -> None:
        for _ in range(round(seconds * 20)):
            self.t_ns += 50 * MS
            self.charging.step(
                self.t_ns, self.plane.state(self.t_ns), flow, soc_battery=soc, charge_share=share, top_up=top_up
            )


SURPLUS, NONE = flows(battery_in_w=40.0), flows(battery_out_w=90.0)


# -- the stack's target


def test_without_a_surplus_the_stack_is_held_at_least_at_the_boost_mark() -> None:
    charger = Charger()
    charger.run(20.0, NONE)
    assert BOOST_V < charger.plane.target_v < FULL_V
    craft = WorldCraft(soc_supercap=0.5)
    craft.fly(5.0)
    assert craft.power.supercap_target_soc >= POWER.supercap.boost_soc


def test_only_a_surplus_that_lasts_fills_the_stack_and_only_a_lasting_end_stops_it() -> None:
    charger = Charger()
    charger.run(1.0, NONE)
    for _ in range(20):
        charger.run(4.0, SURPLUS)
        charger.run(0.1, NONE)
        assert charger.plane.target_v < FULL_V
    charger.run(5.2, SURPLUS)
    assert charger.plane.target_v == FULL_V
    for _ in range(20):
        charger.run(4.0, NONE)
        charger.run(0.1, SURPLUS)
        assert charger.plane.target_v == FULL_V
    charger.run(5.2, NONE)
    assert charger.plane.target_v < FULL_V


@pytest.mark.parametrize("source", ["spilled_w", "battery_in_w", "supercap_in_w"])
def test_a_surplus_is_whatever_sources_leave(source: str) -> None:
    charger = Charger()
    charger.run(6.0, flows(**{source: 5.0}))
    assert charger.plane.target_v == FULL_V


def test_what_the_battery_gives_to_the_stack_is_no_surplus() -> None:
    charger = Charger()
    charger.run(20.0, flows(supercap_in_w=20.0, battery_out_w=110.0, top_up_w=20.0))
    assert charger.plane.target_v < FULL_V


@pytest.mark.parametrize(("soc", "top_up", "charged"), [
    (0.31, True, True), (0.30, True, False), (0.05, True, False), (None, True, False), (0.8, False, False),
])
def test_the_battery_tops_the_stack_up_only_above_thirty_percent(
    soc: float | None, top_up: bool, charged: bool
) -> None:
    charger = Charger()
    charger.run(2.0, NONE, soc=soc, top_up=top_up)
    assert (charger.plane.target_v >= BOOST_V) is charged
    assert charged or charger.plane.target_v == 0.0


def test_below_its_own_mark_the_battery_keeps_the_whole_surplus() -> None:
    charger = Charger()
    charger.run(20.0, SURPLUS, soc=0.19)
    assert charger.plane.target_v == 0.0
    charger.run(1.0, SURPLUS, soc=0.20)
    assert charger.plane.target_v == FULL_V


def test_stores_that_are_not_known_are_no_surplus() -> None:
    charger = Charger()
    charger.run(10.0, SURPLUS)
    charger.run(10.0, None, soc=None)
    assert charger.plane.target_v == 0.0


def test_the_world_s_stack_is_topped_up_to_the_boost_mark_and_not_from_a_low_battery() -> None:
    """20 W of 18 kJ are 0.1 % a second."""
    craft = WorldCraft(soc_supercap=0.55)
    craft.fly(90.0)
    assert craft.power.soc_supercap == pytest.approx(0.60, abs=0.012)
    low = WorldCraft(soc_supercap=0.55, soc_battery=0.25)
    low.fly(20.0)
    assert low.power.soc_supercap <= 0.5501
    assert low.power.supercap_target_soc < 0.30


# -- the battery's charge limit


@pytest.mark.parametrize("soc", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_charge_limit_is_a_power_at_the_battery_s_own_voltage(soc: float, share: float) -> None:
    charger = Charger()
    charger.plane.soc = soc
    charger.run(0.1, NONE, share=share)
    volts = POWER.bus.empty_v + (POWER.bus.full_v - POWER.bus.empty_v) * soc
    assert charger.plane.charge_a * volts == pytest.approx(share * MOST_W)


@pytest.mark.parametrize("volts", [None, nan, inf, -inf, 0.0, -5.0, 3.0, 21.0, 29.0, 1e9])
def test_a_voltage_that_is_none_of_this_battery_never_raises_the_limit(volts: float | None) -> None:
    charger = Charger()
    charger.plane.changes["battery_voltage_v"] = volts
    charger.run(0.5, NONE)
    assert charger.plane.charge_a == pytest.approx(MOST_W / POWER.bus.full_v)


# -- the panel


def test_the_panel_is_held_where_it_gives_most() -> None:
    craft = WorldCraft(errors=EXACT)
    craft.sun = 1.0
    craft.fly(20.0)
    got = most = 0.0
    for _ in range(200):
        craft.tick()
        got, most = got + craft.power.array_w, most + craft.power.array_max_w
    assert got / most > 0.98
    assert craft.manager.charging.tracker is not None
    assert craft.manager.charging.tracker.state is TrackerState.TRACK
    assert craft.manager.charging.setpoint_v == pytest.approx(craft.power.panel_v, abs=1.0)


def test_an_order_that_is_not_taken_is_not_said_to_stand() -> None:
    craft = Charger(takes=False)
    craft.plane.changes["panel"] = PanelState(30.0, 1.0, 30.0, 1.0, True, "", ())
    craft.run(5.0, NONE)
    assert craft.charging.setpoint_v is None


@pytest.mark.parametrize("quality", [Quality.STALE, Quality.BAD, Quality.ABSENT, Quality.SUSPECT])
def test_without_good_readings_the_charger_is_left_to_itself(quality: Quality) -> None:
    charger = Charger()
    charger.plane.changes["panel"] = PanelState(30.0, 1.0, 30.0, 1.0, True, "", ())
    charger.run(5.0, NONE)
    assert charger.plane.panel_v is not None
    charger.plane.changes["panel"] = Reading(PanelState(30.0, 1.0, 30.0, 1.0, True, "", ()), 0, quality)
    charger.run(2.0, NONE)
    assert charger.plane.panel_v is None
    assert charger.charging.setpoint_v is None


def test_no_order_is_beyond_what_a_charger_can_hold() -> None:
    high = changed(POWER.array, open_circuit_v=60.0, max_power_v=52.0)
    body = changed(BODY, power=changed(POWER, array=high))
    charger = Charger(body=body)
    orders: list[float] = []
    for index in range(400):
        volts = 34.0 + 0.01 * (index % 7)
        charger.plane.changes["panel"] = PanelState(volts, 2.0 + 0.01 * index, volts * 2.0, 1.0, True, "", ())
        charger.run(0.05, NONE)
        orders += [charger.plane.panel_v] if charger.plane.panel_v is not None else []
    assert orders
    assert max(orders) <= 36.0


def test_a_body_without_cells_orders_no_panel() -> None:
    charger = Charger(body=load_body("bench-12kg"))
    charger.run(3.0, NONE)
    assert charger.charging.tracker is None
    assert charger.plane.panel_v is None
    assert charger.charging.setpoint_v is None


def test_time_that_goes_back_only_delays_the_target() -> None:
    charger = Charger()
    charger.run(4.0, SURPLUS)
    charger.t_ns -= 60 * SECOND
    charger.run(1.0, SURPLUS)
    assert charger.plane.target_v < FULL_V
    charger.run(70.0, SURPLUS)
    assert charger.plane.target_v == FULL_V
