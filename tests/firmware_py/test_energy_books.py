"""Books of what was measured: nothing that is missing is made up, and what flowed in the world is found again."""

from __future__ import annotations

from dataclasses import replace
from math import nan

import pytest

from firmware_py.energy.books import Books
from firmware_py.energy.stores_watch import StoresWatch
from hal.profile import load_body
from hal.reading import absent
from tests.firmware_py.energy_craft import BODY, TICK_NS, NotingPlane, WorldCraft

DT_S = TICK_NS * 1e-9
BALANCE = ("bus_voltage_v", "bus_current_a", "battery_voltage_v", "battery_current_a", "supercap_voltage_v",
           "supercap_current_a", "panel", "dock_current_a")


def booked(missing: str | None = None, value: float | None = None, body: str = "qiki-t", steps: int = 40) -> Books:
    """The books over some steps, of which the later half lacks a reading."""
    config = load_body(body)
    plane, stores, books = NotingPlane(config), StoresWatch(config.power), Books(config.power)
    for step in range(steps):
        now = (step + 1) * TICK_NS
        state = plane.state(now)
        if missing is not None and step >= steps // 2:
            state = replace(state, **{missing: absent()}) if value is None else replace(
                state, **{missing: replace(getattr(state, missing), value=value)})
        stores.step(now, DT_S, state, 20.0, 20.0)
        books.step(DT_S, state, stores, None)
    return books


def test_with_everything_measured_every_step_but_the_first_is_booked() -> None:
    totals = booked().totals()
    assert totals.unknown_s == pytest.approx(DT_S)
    assert totals.known_s == pytest.approx(39 * DT_S)
    assert totals.spilled_unknown_s == pytest.approx(totals.known_s)


@pytest.mark.parametrize("missing", BALANCE)
def test_a_reading_that_is_missing_makes_its_steps_unknown(missing: str) -> None:
    totals, whole = booked(missing).totals(), booked(steps=20).totals()
    assert totals.unknown_s == pytest.approx(21 * DT_S)
    assert totals.known_s == pytest.approx(19 * DT_S)
    assert totals.loads_j == pytest.approx(whole.loads_j)


@pytest.mark.parametrize("missing", [name for name in BALANCE if name != "panel"])
def test_a_reading_that_is_no_number_is_missing(missing: str) -> None:
    assert booked(missing, nan).totals().unknown_s == pytest.approx(21 * DT_S)


def test_what_a_body_lacks_is_not_missed() -> None:
    for missing in ("panel", "dock_current_a"):
        assert booked(missing, body="bench-12kg").totals().unknown_s == pytest.approx(DT_S)


def test_the_books_on_board_agree_with_the_world_s_ledger() -> None:
    """Sun, a burn, a dock, and the dark again."""
    craft = WorldCraft(soc_battery=0.5)
    craft.sun = 0.9
    craft.fly(20.0)
    craft.firing_w = 80.0
    craft.fly(10.0)
    craft.firing_w = 0.0
    craft.power.dock_connect(28.0, 250.0)
    craft.fly(1.0)
    assert craft.manager.feed_from_dock(True) == ()
    craft.fly(30.0)
    craft.sun = 0.0
    craft.fly(10.0)
    totals, ledger = craft.manager.books.totals(), craft.power.ledger
    assert totals.known_s == pytest.approx(71.0, abs=0.2)
    for said, true in (
        (totals.harvested_j, ledger.harvested), (totals.dock_j, ledger.dock), (totals.loads_j, ledger.loads),
        (totals.peaks_j, ledger.valves), (totals.battery_loss_j, ledger.battery_losses),
        (totals.supercap_loss_j, ledger.supercap_losses),
    ):
        assert true > 0.0
        assert said == pytest.approx(true, rel=0.03)


def test_flow_back_into_a_dock_is_negative() -> None:
    craft = WorldCraft(soc_battery=0.5)
    craft.fly(2.0)
    craft.power.dock_connect(28.0, 0.0, sink_w=28.0)
    craft.plane.set_dock(True)
    craft.fly(0.2)
    assert craft.manager.books.totals().dock_j < 0.0
    assert BODY.power.dock is not None
