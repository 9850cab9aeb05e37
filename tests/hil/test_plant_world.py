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
    assert fly(world, 0.1).array_w == pytest.approx(19.054)
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
