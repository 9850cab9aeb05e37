"""The power plane over the world: readings are the truth with its sensors' errors, and levers move the world."""

from __future__ import annotations

from dataclasses import fields
from math import inf, nan, sqrt
from typing import Any

import numpy as np
import pytest

from firmware_py.cli.world_plane import SensorErrors, WorldPowerPlane
from hal.power import PowerState
from hal.profile import load_body
from hal.profile.body import BodyConfig
from hal.reading import Quality, Reading
from hil.plant.world import InitialState, World
from tests.firmware_py.energy_craft import BODY, EXACT, SECOND

BENCH = load_body("bench-12kg")


def made(body: BodyConfig = BODY, errors: SensorErrors = EXACT, seed: int = 1, **initial: Any
         ) -> tuple[World, WorldPowerPlane]:
    world = World(body, InitialState(epoch=0, sun_direction=(1.0, 0.0, 0.0), **initial), np.random.default_rng(seed))
    return world, WorldPowerPlane(world, errors)


def read(reading: Reading[Any]) -> Any:
    assert reading.quality is Quality.OK
    return reading.value


# -- readings


def test_without_errors_every_reading_is_the_truth() -> None:
    world, plane = made(soc_battery=0.6, soc_supercap=0.5)
    world.advance_energy(2.0, sun_cosine=0.8, valve_j=100.0)
    state, power = plane.state(world.t_ns), world.power
    assert read(state.bus_voltage_v) == power.bus_voltage_v
    assert read(state.bus_current_a) == power.bus_current_a
    assert read(state.battery_voltage_v) == power.battery_voltage_v
    assert read(state.battery_current_a) == power.battery_current_a
    assert read(state.soc_battery) == pytest.approx(power.soc_battery)
    assert read(state.supercap_voltage_v) == power.supercap_voltage_v
    assert read(state.supercap_current_a) == power.supercap_current_a
    assert read(state.supercap_capacitance_f) == power.capacitance_f
    assert read(state.supercap_esr_ohm) == power.esr_ohm
    assert read(state.panel).power_w == pytest.approx(power.array_w)
    assert read(state.gauge).soc == pytest.approx(power.soc_battery, abs=0.006)
    assert read(state.gauge).temperature_c == world.temperatures_c["battery"]
    assert read(state.dock_current_a) == power.dock_current_a
    for name, reading in state.load_current_a.items():
        assert read(reading) * power.bus_voltage_v == pytest.approx(power.load_power_w(name))
    assert {reading.t_ns for reading in (state.bus_voltage_v, state.gauge, state.panel, state.rails)} == {world.t_ns}


def test_errors_are_a_gain_on_currents_and_noise_of_the_given_size() -> None:
    world, plane = made(errors=SensorErrors(0.05, 0.02, 0.0))
    world.advance_energy(1.0)
    rows = [plane.state(world.t_ns) for _ in range(2000)]
    assert read(rows[0].battery_current_a) == pytest.approx(1.05 * world.power.battery_current_a)
    assert read(rows[0].bus_current_a) == pytest.approx(1.05 * world.power.bus_current_a)
    volts = np.array([read(row.battery_voltage_v) for row in rows])
    assert volts.mean() == pytest.approx(world.power.battery_voltage_v, abs=0.002)
    assert volts.std() == pytest.approx(0.02, rel=0.1)


def test_the_same_seed_gives_the_same_readings_and_another_one_others() -> None:
    def rows(seed: int) -> list[PowerState]:
        _world, plane = made(errors=SensorErrors(), seed=seed)
        return [plane.state(n * SECOND) for n in range(5)]

    assert rows(3) == rows(3)
    assert rows(3) != rows(4)


def test_a_gauge_with_the_wrong_capacity_drifts_by_what_flows() -> None:
    """100 Wh out of 500 are 20 %; a gauge that believes in half of that counts 40 %."""
    world, plane = made(errors=SensorErrors(0.0, 0.0, 0.0, 0.5))
    used = 0.0
    while used < 0.2:
        world.advance_energy(10.0)
        plane.state(world.t_ns)
        used = 0.8 - world.power.soc_battery
    assert 0.8 - read(plane.state(world.t_ns).gauge).soc == pytest.approx(2.0 * used, rel=0.05)


def test_a_gauge_may_be_stuck() -> None:
    world, plane = made(errors=SensorErrors(gauge_fixed_soc=0.55))
    world.advance_energy(600.0)
    assert read(plane.state(world.t_ns).gauge).soc == 0.55


def test_a_flight_software_that_boots_late_asks_for_time_zero_first() -> None:
    world, _ = made(soc_battery=0.5)
    world.advance_energy(3600.0)
    plane = WorldPowerPlane(world, EXACT)
    plane.state(0)
    assert read(plane.state(world.t_ns).gauge).soc == pytest.approx(world.power.soc_battery, abs=0.006)


@pytest.mark.parametrize("soc", [0.0, 1.0])
def test_stores_at_their_ends_read_within_their_range(soc: float) -> None:
    world, plane = made(errors=SensorErrors(voltage_noise_v=0.5), soc_battery=soc, soc_supercap=soc)
    for _ in range(200):
        state = plane.state(world.t_ns)
        assert 0.0 <= read(state.soc_battery) <= 1.0
        assert 0.0 <= read(state.soc_supercap) <= 1.0
        assert read(state.supercap_voltage_v) >= 0.0


def test_what_a_body_lacks_is_absent_and_its_levers_answer_no() -> None:
    _, plane = made(BENCH)
    state = plane.state(0)
    assert {name for name in (field.name for field in fields(PowerState)) if name not in ("rails", "load_current_a")
            and getattr(state, name).quality is Quality.ABSENT} == {"panel", "bms", "dock", "dock_current_a"}
    assert not plane.set_dock(True)
    assert not plane.set_dock(False)
    assert not plane.set_panel_voltage(20.0)
    assert plane.set_charge_limit(1.0)
    assert plane.set_supercap_target(5.0)


# -- levers


def test_rails_switch_loads_and_show_what_they_were_told() -> None:
    world, plane = made()
    assert plane.switched == tuple(
        [load.name for load in BODY.power.loads if not load.base] + [heater.load for heater in BODY.thermal.heaters]
    )
    assert read(plane.state(0).rails)["radar"].on is True
    assert read(plane.state(0).rails)["lidar"].on is False
    assert plane.switch("radar", False)
    assert plane.switch("lidar", True)
    assert plane.switch("heater_core", True)
    assert not world.power.is_on("radar")
    assert world.power.is_on("lidar")
    assert world.power.is_on("heater_core")
    rails = read(plane.state(0).rails)
    assert (rails["radar"].on, rails["radar"].voltage_v) == (False, 0.0)
    assert rails["lidar"].on
    assert rails["lidar"].voltage_v == pytest.approx(world.power.bus_voltage_v)
    assert plane.orders == 3


@pytest.mark.parametrize("name", ["base", "warp_drive"])
def test_what_is_no_rail_raises_its_name(name: str) -> None:
    _, plane = made()
    with pytest.raises(KeyError, match=name):
        plane.switch(name, True)


@pytest.mark.parametrize(("volts", "held"), [
    (30.0, 29.953125), (30.09, 30.09375 - 0.140625), (0.0, 0.140625), (36.0, 36.0), (None, None),
])
def test_the_panel_is_held_in_the_charger_s_steps(volts: float | None, held: float | None) -> None:
    world, plane = made()
    assert plane.set_panel_voltage(volts)
    assert world.power.panel_setpoint_v == held


def test_charge_is_limited_in_steps_never_above_the_order() -> None:
    world, plane = made(soc_battery=0.5)
    for amperes, steps in ((0.0, 0.0), (0.09, 0.0), (0.1, 0.1), (2.19, 2.1), (4.0, 4.0)):
        assert plane.set_charge_limit(amperes)
        assert world.power.battery_charge_limit_w == pytest.approx(steps * 25.0)
    assert plane.set_charge_limit(1e9)
    assert world.power.battery_charge_limit_w == BODY.power.battery.charge_max_w


def test_the_stack_s_target_is_the_nearest_step_not_above_and_never_below_the_lowest() -> None:
    world, plane = made()
    full, targets = BODY.power.supercap.full_v, []
    for tenths in range(1001):
        volts = full * tenths / 1000.0
        assert plane.set_supercap_target(volts)
        held_v = full * sqrt(world.power.supercap_target_soc)
        assert held_v <= volts + 1e-9 or held_v == pytest.approx(full * 637.5 / 1200.0)
        assert volts - held_v < full * 0.0313 or volts == pytest.approx(full)
        targets.append(held_v)
    assert targets == sorted(targets)
    assert len(set(targets)) == 16
    assert targets[-1] == pytest.approx(full)


def test_the_dock_s_switch_is_closed_with_a_share() -> None:
    world, plane = made(soc_battery=0.5)
    world.power.dock_connect(28.0, 250.0)
    assert plane.set_dock(True, 0.25)
    world.advance_energy(4.0)
    state = plane.state(world.t_ns)
    assert read(state.dock_current_a) == pytest.approx(2.5, rel=0.01)
    assert read(state.dock).on
    assert read(state.dock).input_v == 28.0
    assert plane.set_dock(False)
    world.advance_energy(1.0)
    assert read(plane.state(world.t_ns).dock_current_a) == 0.0


@pytest.mark.parametrize("number", [nan, inf, -inf, -1.0])
def test_what_is_no_order_is_refused_and_changes_nothing(number: float) -> None:
    world, plane = made()
    plane.set_panel_voltage(30.0), plane.set_charge_limit(2.0), plane.set_supercap_target(8.0)
    power = world.power
    before = power.panel_setpoint_v, power.battery_charge_limit_w, power.supercap_target_soc
    assert not plane.set_panel_voltage(number)
    assert not plane.set_charge_limit(number)
    assert not plane.set_supercap_target(number)
    assert not plane.set_dock(True, number)
    assert not plane.set_dock(True, 0.0)
    assert (power.panel_setpoint_v, power.battery_charge_limit_w, power.supercap_target_soc) == before
    assert not power.dock.on
