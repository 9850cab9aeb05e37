"""The world as a whole: determinism, slow parts at their own moments, faults, truth."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from hal.frames import norm, quaternion_from_euler
from hal.profile import BodyConfig, load_body
from hil.plant import Edge, InitialState, Truth, World
from hil.plant.orbit import Orbit

BODIES = Path(__file__).parents[2] / "board_configs" / "bodies"
BODY = load_body(BODIES / "qiki-t.yaml")
BENCH = load_body(BODIES / "bench-12kg.yaml")
EPOCH = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
MS = 1_000_000
TICK = 5 * MS
SECOND = 1000 * MS


def make(body: BodyConfig = BODY, seed: int = 5, t_ns: int = 0, **initial: object) -> World:
    initial.setdefault("sun_direction", (-1.0, 0.0, 0.0))
    return World(body, InitialState(EPOCH, **initial), np.random.default_rng(seed), t_ns=t_ns)


def fly(world: World, seconds: float, edges: list[Edge] | None = None, tick: int = TICK) -> Truth:
    left = sorted(edges or [])
    end = world.t_ns + round(seconds * SECOND)
    while world.t_ns < end:
        t = min(world.t_ns + tick, end)
        due = [e for e in left if e[0] <= t]
        left = [e for e in left if e[0] > t]
        world.advance(t, due)
    return world.truth()


PULSES: list[Edge] = [
    (3_100_000, 4, True), (3_200_000, 12, True), (40_000_001, 4, False), (77_777_777, 12, False),
    (300_000_000, 9, True), (420_500_000, 9, False),
]


def test_same_start_and_edges_give_the_same_world_to_the_last_bit() -> None:
    assert fly(make(rate=(0.1, 0.0, 0.05)), 3.0, PULSES) == fly(make(rate=(0.1, 0.0, 0.05)), 3.0, PULSES)


def test_the_spacing_of_calls_does_not_change_the_world() -> None:
    a = fly(make(rate=(0.1, 0.0, 0.05)), 3.0, PULSES)
    for tick in (2 * MS, 10 * MS, 73_210_001, 3 * SECOND):
        b = fly(make(rate=(0.1, 0.0, 0.05)), 3.0, PULSES, tick)
        for name in ("position", "velocity", "quaternion", "rate"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), abs=1e-10), (tick, name)
        for name in ("propellant_kg", "total_impulse_n_s", "soc_battery", "soc_supercap", "harvested_j"):
            assert getattr(a, name) == pytest.approx(getattr(b, name), rel=1e-12), (tick, name)
        assert dict(a.temperatures_c) == pytest.approx(dict(b.temperatures_c), rel=1e-12)


def test_truth_is_a_frozen_copy() -> None:
    world = make()
    truth = world.truth()
    fly(world, 1.0, [(0, 0, True)])
    assert truth.t_ns == 0
    assert truth.unix_ns == round(EPOCH.timestamp()) * SECOND
    assert truth.velocity == (0.0, 0.0, 0.0)
    assert world.truth().unix_ns == truth.unix_ns + SECOND
    with pytest.raises(dataclasses.FrozenInstanceError):
        truth.t_ns = 1  # type: ignore[misc]
    with pytest.raises(TypeError):
        truth.temperatures_c["core"] = 0.0  # type: ignore[index]


def test_initial_state_is_taken_over() -> None:
    attitude = quaternion_from_euler(0.1, 0.2, 0.3)
    truth = make(
        position=(1.0, 2.0, 3.0), velocity=(0.1, 0.0, 0.0), quaternion=attitude, rate=(0.01, 0.0, 0.0),
        soc_battery=0.55, soc_supercap=0.45, temperatures_c={"core": 33.0}, magnetic_field_t=(1e-5, 0.0, 0.0), t_ns=70,
    ).truth()
    assert (truth.t_ns, truth.position, truth.velocity) == (70, (1.0, 2.0, 3.0), (0.1, 0.0, 0.0))
    assert truth.quaternion == pytest.approx(attitude)
    assert truth.soc_battery == pytest.approx(0.55)
    assert truth.soc_supercap == pytest.approx(0.45)
    assert truth.temperatures_c["core"] == 33.0
    assert truth.magnetic_field_t == (1e-5, 0.0, 0.0)
    assert truth.mass_kg == 432.0


def test_a_pulse_moves_spends_and_warms() -> None:
    world = make(temperatures_c={"rcs_c02": -20.0})
    edges = [(10 * MS, n, on) for n, on in ((4, True), (5, True), (6, True), (7, True))]
    edges += [(1_010 * MS, n, False) for n in (4, 5, 6, 7)]
    quiet, truth = fly(make(), 2.0), fly(world, 2.0, edges)
    assert truth.velocity[0] == pytest.approx(735.4 / 431.0, rel=2e-3)
    assert truth.total_impulse_n_s == pytest.approx(1040.0, rel=1e-9)
    assert truth.soc_supercap < quiet.soc_supercap
    assert world.power.ledger.valves == pytest.approx(80.0, rel=1e-9)
    # 1,600 J into 200 J/K, less what went on to the hull.
    assert truth.temperatures_c["rcs_c02"] - quiet.temperatures_c["rcs_c02"] == pytest.approx(7.8, abs=0.3)
    assert truth.temperatures_c["rcs_c01"] == pytest.approx(quiet.temperatures_c["rcs_c01"], abs=0.05)


def test_masks_show_coil_and_gas() -> None:
    world = make()
    world.advance(TICK, [(TICK - MS, 3, True)])
    assert (world.truth().driven_mask, world.truth().open_mask) == (8, 0)
    world.advance(2 * TICK)
    assert (world.truth().driven_mask, world.truth().open_mask) == (8, 8)


def test_edges_of_one_call_may_come_in_any_order() -> None:
    a, b = make(), make()
    edges = [(MS, 0, True), (2 * MS, 1, True), (4 * MS, 0, False)]
    a.advance(TICK, edges)
    b.advance(TICK, reversed(edges))
    a.advance(2 * TICK)
    b.advance(2 * TICK)
    assert a.truth() == b.truth()


def test_impossible_calls_are_refused_and_change_nothing() -> None:
    world = make()
    world.advance(TICK)
    before = world.truth()
    for edges, match in (
        ([(TICK + 1, 0, True), (TICK - 1, 1, True)], "outside"), ([(3 * TICK, 0, True)], "outside"),
        ([(TICK + 1, 0, True), (TICK + 2, 16, True)], "no nozzle 16"),
    ):
        with pytest.raises(ValueError, match=match):
            world.advance(2 * TICK, edges)
    with pytest.raises(ValueError, match="go back"):
        world.advance(TICK - 1)
    assert world.truth() == before


def test_imu_sees_the_turn_of_the_tick_in_its_own_axes() -> None:
    world = make(rate=(0.0, 0.0, 0.2))
    world.advance(TICK)
    rate, force = world.imu((0.5, 0.0, 0.1))
    assert rate == pytest.approx((0.0, 0.0, 0.2))
    assert force == pytest.approx((-0.02, 0.0, 0.0), abs=1e-9)
    turned, felt = world.imu((0.5, 0.0, 0.1), quaternion_from_euler(0.0, 0.0, np.pi / 2))
    assert turned == pytest.approx((0.0, 0.0, 0.2))
    assert felt == pytest.approx((0.0, 0.02, 0.0), abs=1e-9)


def test_imu_averages_the_whole_call_across_power_steps() -> None:
    world = make(rate=(0.0, 0.0, 0.2))
    world.advance(130 * MS)
    assert world.imu((0.0, 0.0, 0.1))[0] == pytest.approx((0.0, 0.0, 0.2), rel=1e-12)


def test_sun_and_field_turn_with_the_body() -> None:
    world = make(quaternion=quaternion_from_euler(0.0, 0.0, np.pi / 2), magnetic_field_t=(3e-5, 0.0, 0.0))
    assert world.sun_body() == pytest.approx((0.0, 1.0, 0.0), abs=1e-12)
    assert world.field_body() == pytest.approx((0.0, -3e-5, 0.0), abs=1e-15)
    assert norm(make(sun_direction=None).sun_body()) == pytest.approx(1.0)


def test_streams_are_seeded_named_and_independent() -> None:
    a, b = make(seed=1), make(seed=1)
    b.stream("other").standard_normal(100)
    assert a.stream("imu").standard_normal(5).tolist() == b.stream("imu").standard_normal(5).tolist()
    assert a.stream("imu").random() != a.stream("mag").random()
    assert a.stream("imu").random() != make(seed=2).stream("imu").random()


def test_power_is_known_before_the_first_step() -> None:
    truth = make().truth()
    assert truth.load_w == pytest.approx(139.0)
    assert truth.array_w == pytest.approx(38.108)
    assert truth.bus_current_a == pytest.approx(139.0 / 26.8, rel=1e-6)


# Faults.


def test_eclipse_and_broken_panel_take_the_array_power() -> None:
    world = make()
    world.set_panel(0.5)
    assert fly(world, 0.1).array_w == pytest.approx(19.054, rel=1e-3)
    world.set_eclipse(True)
    assert fly(world, 0.1).array_w == 0.0
    assert world.truth().eclipse
    with pytest.raises(ValueError, match="panel"):
        world.set_panel(1.5)


def test_loads_switch() -> None:
    world = make()
    world.set_load("processor", False)
    assert fly(world, 0.1).load_w == pytest.approx(104.0)
    with pytest.raises(ValueError, match="no load"):
        world.set_load("toaster", True)


def test_stores_and_temperatures_can_be_set() -> None:
    world = make()
    world.set_battery_soc(0.15)
    world.set_supercap_soc(0.25)
    world.set_temperature("core", 92.0)
    truth = world.truth()
    assert (truth.soc_battery, truth.soc_supercap) == (pytest.approx(0.15), pytest.approx(0.25))
    assert truth.temperatures_c["core"] == 92.0
    assert world.temperatures_c is truth.temperatures_c


def test_stuck_nozzle_spins_the_craft_until_isolated() -> None:
    world = make()
    world.stick_nozzle_on(0)
    spun = fly(world, 0.5)
    assert norm(spun.rate) > 0.1
    world.set_isolation("rcs_c01", False)
    held = fly(world, 0.5)
    assert norm(held.velocity) == pytest.approx(norm(spun.velocity), rel=1e-12)
    assert held.propellant_kg == spun.propellant_kg


def test_dead_nozzle_gives_nothing() -> None:
    world = make()
    world.set_nozzle_thrust(0, 0.0)
    truth = fly(world, 0.1, [(0, 0, True)])
    assert truth.velocity == (0.0, 0.0, 0.0)
    assert truth.driven_mask == 1


def test_disturbance_pushes_and_turns() -> None:
    world = make()
    world.set_disturbance((4.32, 0.0, 0.0), (0.0, 0.0, 3.05))
    truth = fly(world, 1.0)
    assert truth.velocity[0] == pytest.approx(0.01, rel=1e-3)
    assert truth.rate[2] == pytest.approx(0.01, rel=1e-9)


def test_bench_craft_flies_on_its_table() -> None:
    world = make(BENCH)
    truth = fly(world, 2.0, [(0, 4, True), (0, 6, True), (500 * MS, 4, False), (500 * MS, 6, False)])
    assert truth.position[2] == 0.0
    assert truth.velocity[1] > 0.0
    assert world.imu((0.0, 0.0, 0.0))[1][2] == pytest.approx(9.80665)


def test_ambient_can_be_overridden() -> None:
    world = make(BENCH, ambient_c=35.0)
    before = world.truth().temperatures_c["hull"]
    assert fly(world, 60.0, tick=500 * MS).temperatures_c["hull"] > before


def test_power_and_heat_balance_over_a_flight() -> None:
    world = make(soc_battery=0.3)
    stored = world.thermal.stored_j
    fly(world, 60.0, PULSES, tick=50 * MS)
    ledger = world.power.ledger
    assert abs(world.power.balance_error_j) < 1e-6 * (ledger.loads + ledger.harvested)
    heat = world.thermal
    assert heat.stored_j - stored == pytest.approx(heat.heat_j - heat.lost_j + heat.clamped_j, rel=1e-9, abs=1e-3)
    # What the distribution unit, the computer and the stores turn into heat, none of it lost on the way.
    assert heat.heat_j > 60.0 * (0.8 * 35.0 + 0.7 * 20.0)


# Power and heat.


def quiet_loads(world: World) -> World:
    for name in ("radar", "nbl"):
        world.power.set_rail(name, False)
    return world


def test_heater_warms_its_node_by_its_power_alone() -> None:
    cold, warm = (quiet_loads(make(temperatures_c={"core": -30.0})) for _ in range(2))
    for world in (cold, warm):
        world.set_load("processor", False)
    warm.power.set_rail("heater_core", True)
    a, b = fly(cold, 20.0, tick=500 * MS), fly(warm, 20.0, tick=500 * MS)
    # 60 W into 800 J/K.
    assert b.temperatures_c["core"] - a.temperatures_c["core"] == pytest.approx(1.5, abs=0.05)
    assert b.load_w - a.load_w == pytest.approx(60.0)
    assert warm.power.ledger.loads - cold.power.ledger.loads == pytest.approx(1200.0, rel=1e-6)


def test_docks_current_warms_its_node() -> None:
    world, quiet = make(soc_battery=0.5), make(soc_battery=0.5)
    world.power.dock_connect(28.0, 250.0)
    world.power.set_dock(True)
    fed = fly(world, 30.0, tick=500 * MS)
    still = fly(quiet, 30.0, tick=500 * MS)
    # 0.25 ohm x (10 A)2 into 500 J/K, a little less over the soft start and at 250 W.
    rise = fed.temperatures_c["dock_bridge"] - still.temperatures_c["dock_bridge"]
    assert rise == pytest.approx(0.25 * fed.dock_current_a**2 * 29.0 / 500.0, rel=0.05)
    assert fed.dock_w > 200.0


def test_peak_of_the_radio_warms_the_core() -> None:
    world, quiet = make(), make()
    world.power.start_peak("nbl", 16.0)
    a, b = fly(quiet, 16.0, tick=500 * MS), fly(world, 16.0, tick=500 * MS)
    # 150 W for 16 s, 0.7 of it into 800 J/K.
    assert b.temperatures_c["core"] - a.temperatures_c["core"] == pytest.approx(2.1, abs=0.1)
    assert world.power.ledger.peaks == pytest.approx(2400.0, rel=1e-9)


def test_charger_knows_the_batterys_temperature() -> None:
    world = make(temperatures_c={"battery": -5.0}, soc_battery=0.1)
    world.power.dock_connect(28.0, 250.0)
    world.power.set_dock(True)
    assert fly(world, 5.0, tick=500 * MS).cold_charge_j == 0.0
    assert world.power.battery_in_w == 0.0
    world.set_temperature("battery", 5.0)
    fly(world, 0.1)
    assert world.power.battery_in_w > 50.0


def test_panel_warms_in_the_sun_and_cools_in_the_dark_within_the_chargers_window() -> None:
    world = make(soc_battery=1.0)
    world.advance_energy(3000.0)
    hot = world.truth()
    assert hot.panel_c == pytest.approx(45.0, abs=0.1)
    assert 36.0 < hot.array_w < 37.0
    world.set_eclipse(True)
    world.advance_energy(2100.0)
    assert world.truth().panel_c == pytest.approx(-10.0, abs=0.1)
    world.set_eclipse(False)
    world.power.panel_setpoint_v = 60.0
    dawn = fly(world, 0.1)
    assert 37.0 < dawn.panel_v < 38.6


def test_wing_in_shadow_halves_the_panel() -> None:
    world = make()
    whole = fly(world, 0.1).array_w
    world.set_wing(1, 0.0)
    assert fly(world, 0.1).array_w == pytest.approx(0.5 * whole, rel=1e-3)
    world.set_wing(1, 1.0)
    world.set_wing(0, 0.3, half=1)
    # A string carries what its darker half can: 0.3 of one wing and the whole other one.
    assert fly(world, 0.1).array_w == pytest.approx(0.65 * whole, rel=0.02)
    for wing, factor, half in ((2, 1.0, None), (0, 1.5, None), (0, 0.5, 2)):
        with pytest.raises(ValueError, match="wing"):
            world.set_wing(wing, factor, half)


def test_orbit_and_lighting_darken_the_craft_by_themselves() -> None:
    orbit = Orbit(500.0, phase=0.5 - 30.0 / 5677.0)
    world = make(orbit=orbit)
    assert fly(world, 1.0).array_w == 0.0
    assert world.truth().eclipse
    bench = make(lighting=((0.0, 0.0), (10.0, 1.0)))
    assert fly(bench, 5.0).illumination == pytest.approx(0.5, abs=0.01)


def test_light_can_be_dimmed_in_flight_over_whatever_orbit_and_lamp_leave() -> None:
    world = make(lighting=((0.0, 0.5),))
    half = fly(world, 1.0).array_max_w
    world.set_lighting(0.4)
    truth = fly(world, 1.0)
    assert truth.illumination == pytest.approx(0.2)
    assert truth.array_max_w == pytest.approx(0.4 * half, rel=0.05)
    assert not truth.eclipse
    world.set_lighting(0.0)
    truth = fly(world, 1.0)
    assert (truth.illumination, truth.eclipse, truth.array_max_w) == (0.0, True, 0.0)
    world.set_lighting(1.0)
    assert fly(world, 1.0).array_max_w == pytest.approx(half, rel=0.05)
    for bad in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="light"):
            world.set_lighting(bad)


def test_hot_case_can_be_set_in_flight() -> None:
    world = make()
    before = world.truth().temperatures_c["hull"]
    world.set_ambient(70.0)
    assert fly(world, 60.0, tick=500 * MS).temperatures_c["hull"] > before
    with pytest.raises(ValueError, match="ambient"):
        world.set_ambient(float("nan"))


# Energy alone.


def test_energy_alone_gives_what_the_whole_world_gives() -> None:
    start = {"soc_battery": 0.5, "soc_supercap": 0.4, "orbit": Orbit(500.0, phase=0.25)}
    whole, alone = quiet_loads(make(**start)), quiet_loads(make(**start))
    a = fly(whole, 600.0, tick=500 * MS)
    alone.advance_energy(600.0)
    b = alone.truth()
    assert b.t_ns == a.t_ns
    assert b.soc_battery == pytest.approx(a.soc_battery, abs=1e-5)
    assert b.soc_supercap == pytest.approx(a.soc_supercap, abs=1e-4)
    assert b.harvested_j == pytest.approx(a.harvested_j, rel=1e-3)
    assert dict(b.temperatures_c) == pytest.approx(dict(a.temperatures_c), abs=0.05)


def test_energy_alone_can_be_followed_by_flight_and_again() -> None:
    world = quiet_loads(make(rate=(0.0, 0.0, 0.1)))
    fly(world, 0.123)
    attitude = quaternion_from_euler(0.0, 0.0, 1.0)
    world.advance_energy(10.0, quaternion=attitude)
    assert world.truth().quaternion == pytest.approx(attitude)
    assert world.truth().array_w == pytest.approx(38.1 * np.cos(1.0), rel=0.03)
    assert world.t_ns == 10_123 * MS
    before = world.power.ledger.loads
    truth = fly(world, 1.0, [(world.t_ns + MS, 4, True), (world.t_ns + 101 * MS, 4, False)])
    assert truth.total_impulse_n_s == pytest.approx(26.0, rel=1e-9)
    assert world.power.ledger.valves == pytest.approx(2.0, rel=1e-9)
    assert world.power.ledger.loads - before == pytest.approx(101.0 * 1.0, rel=0.06)
    world.advance_energy(0.7, sun_cosine=-1.0, valve_j=3.0)
    assert world.power.ledger.valves == pytest.approx(5.0, rel=1e-9)
    assert world.truth().array_w == 0.0


def test_energy_alone_books_every_second_once() -> None:
    world = quiet_loads(make())
    for seconds in (0.01, 0.333, 0.05, 7.77, 0.5):
        world.advance_energy(seconds)
    fly(world, 0.25)
    # The first microsecond makes currents known before the first step.
    asked = 101.0 * (world.t_ns * 1e-9 + 1e-6)
    assert world.power.ledger.loads == pytest.approx(asked, abs=101.0 * 0.05)
    assert abs(world.power.balance_error_j) < 1e-6


def test_energy_alone_refuses_what_it_cannot_do() -> None:
    world = make()
    for arguments in (
        {"dt_s": 0.0}, {"dt_s": float("nan")}, {"dt_s": 1.0, "valve_j": -1.0}, {"dt_s": 1.0, "sun_cosine": 2.0},
        {"dt_s": 1.0, "sun_cosine": 0.0, "quaternion": (1.0, 0.0, 0.0, 0.0)},
    ):
        with pytest.raises(ValueError, match=r"cannot move|not both"):
            world.advance_energy(**arguments)
    world.advance(TICK, [(MS, 0, True)])
    with pytest.raises(ValueError, match="valve"):
        world.advance_energy(1.0)


def test_books_of_a_day_with_everything_at_once_balance() -> None:
    rng = np.random.default_rng(11)
    world = make(soc_battery=0.35, orbit=Orbit(500.0), ambient_c=-80.0)
    power, names, lockouts = world.power, world.power.load_names()[1:], 0
    heat_start = world.thermal.stored_j
    for quarter in range(96):
        power.set_rail(str(rng.choice(names)), bool(rng.integers(2)))
        if power.is_on("nbl"):
            power.start_peak("nbl", float(rng.uniform(0.0, 60.0)))
        if quarter % 7 == 3:
            world.set_wing(int(rng.integers(2)), float(rng.uniform(0.2, 1.0)))
            power.panel_setpoint_v = float(rng.uniform(25.0, 34.0))
        if quarter % 11 == 5:
            power.stick_load("radar", bool(rng.integers(2)))
            power.short_load("transponder", float(rng.uniform(0.0, 60.0)))
        if quarter == 40:
            power.set_battery_capacity_factor(0.8)
            power.set_supercap_esr_factor(4.0)
        if quarter in (60, 80):
            power.dock_connect(28.0, 250.0, sink_w=20.0 if quarter == 80 else 0.0)
            power.set_dock(True)
        if quarter in (64, 84):
            power.dock_disconnect()
        before = power.bus_on
        world.advance_energy(900.0, sun_cosine=float(rng.uniform(-0.3, 1.0)), valve_j=float(rng.uniform(0.0, 500.0)))
        lockouts += before and not power.bus_on
    truth = world.truth()
    assert abs(truth.balance_error_j) < 1e-6 * truth.flowed_j
    assert lockouts > 0
    assert power.ledger.dock > 0.0
    assert min(power.ledger.peaks, power.ledger.untracked, power.ledger.valves, power.ledger.unserved) > 0.0
    heat = world.thermal
    assert heat.stored_j - heat_start == pytest.approx(heat.heat_j - heat.lost_j + heat.clamped_j, rel=1e-9, abs=1e-2)


def test_dead_cold_craft_comes_back_by_itself_when_the_sun_returns() -> None:
    cold = {node.name: -30.0 for node in BODY.thermal.nodes}
    world = make(soc_battery=0.0, soc_supercap=0.0, temperatures_c=cold, ambient_c=-60.0)
    world.set_eclipse(True)
    world.advance_energy(600.0)
    assert not world.truth().bus_on
    assert world.truth().temperatures_c["battery"] < -30.0
    world.set_eclipse(False)
    hours = 0.0
    while not world.truth().bus_on and hours < 48.0:
        world.advance_energy(360.0)
        hours += 0.1
    truth = world.truth()
    assert truth.bus_on
    assert truth.soc_battery >= 0.28
    assert truth.cold_charge_j == 0.0
    assert truth.temperatures_c["battery"] >= -3.0
