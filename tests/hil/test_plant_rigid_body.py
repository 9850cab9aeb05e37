"""The rigid body: closed forms, conservation, exact pulses, frames, and what an accelerometer feels."""

from __future__ import annotations

from math import cos, exp, log, log2, pi, sin
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from bench._torque_free import Axisymmetric, Triaxial, attitude_error_rad
from hal.frames import norm, quaternion_from_euler, rotate, subtract
from hal.profile import BodyConfig, load_body
from hil.plant.propulsion import STANDARD_GRAVITY
from hil.plant.rigid_body import FreeBody, Motion, RigidBody, TableBody, rigid_body

BODIES = Path(__file__).parents[2] / "board_configs" / "bodies"
TICK = 5_000_000
SECOND = 1_000_000_000
MOMENTS = (200.0, 300.0, 400.0)


@pytest.fixture(scope="module")
def qiki() -> BodyConfig:
    return load_body(BODIES / "qiki-t.yaml")


@pytest.fixture(scope="module")
def bench_craft() -> BodyConfig:
    return load_body(BODIES / "bench-12kg.yaml")


def with_mass(body: BodyConfig, **changes: object) -> BodyConfig:
    return msgspec.structs.replace(body, mass=msgspec.structs.replace(body.mass, **changes))


def diagonal(x: float, y: float, z: float) -> tuple[tuple[float, float, float], ...]:
    return ((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, z))


def wxyz(rotation: Rotation) -> tuple[float, float, float, float]:
    x, y, z, w = rotation.as_quat().tolist()
    return (w, x, y, z)


def tumble_errors(body: BodyConfig, step_ns: int) -> tuple[float, float]:
    reference = Triaxial(MOMENTS, 0.5, 0.8)
    start = Motion(quaternion=wxyz(reference.attitude(0.0)), rate=(0.5, 0.0, 0.8))
    rigid = rigid_body(with_mass(body, inertia_kg_m2=diagonal(*MOMENTS)), start, max_step_ns=step_ns)
    rigid.advance(8 * SECOND)
    rate_error = float(np.linalg.norm(np.array(rigid.rate) - reference.rate(8.0)))
    return rate_error, attitude_error_rad(rigid.quaternion, reference.attitude(8.0))


def test_triaxial_tumble_follows_the_elliptic_functions(qiki: BodyConfig) -> None:
    rate_error, attitude_error = tumble_errors(qiki, TICK)
    assert rate_error < 1e-11
    assert attitude_error < 1e-10


def test_error_falls_with_the_fourth_power_of_the_step(qiki: BodyConfig) -> None:
    coarse, fine = tumble_errors(qiki, 200_000_000), tumble_errors(qiki, 100_000_000)
    assert log2(coarse[0] / fine[0]) == pytest.approx(4.0, abs=0.25)
    assert log2(coarse[1] / fine[1]) == pytest.approx(4.0, abs=0.25)


def test_axisymmetric_tumble_follows_the_closed_form(qiki: BodyConfig) -> None:
    attitude = Rotation.from_euler("ZYX", [0.4, -0.3, 0.2])
    reference = Axisymmetric(350.0, 305.0, (0.2, -0.1, 0.35), attitude)
    rigid = rigid_body(qiki, Motion(quaternion=wxyz(attitude), rate=reference.rate0))
    rigid.advance(30 * SECOND)
    assert np.allclose(rigid.rate, reference.rate(30.0), atol=1e-12)
    assert attitude_error_rad(rigid.quaternion, reference.attitude(30.0)) < 1e-11


def test_energy_and_momentum_hold_for_a_thousand_seconds(qiki: BodyConfig) -> None:
    inertia = ((350.0, 12.0, -7.0), (12.0, 300.0, 9.0), (-7.0, 9.0, 405.0))
    start = Motion(velocity=(0.3, -0.2, 0.1), rate=(0.3, -0.2, 0.25))
    rigid = rigid_body(with_mass(qiki, inertia_kg_m2=inertia), start)
    energy, momentum = rigid.kinetic_energy_j, rigid.angular_momentum
    rigid.advance(1000 * SECOND)
    assert rigid.kinetic_energy_j == pytest.approx(energy, rel=1e-12)
    assert norm(subtract(rigid.angular_momentum, momentum)) < 1e-11 * norm(momentum)
    assert sum(x * x for x in rigid.quaternion) == pytest.approx(1.0, abs=1e-14)
    assert rigid.position == pytest.approx((300.0, -200.0, 100.0), rel=1e-10)


def test_full_tensor_equals_the_diagonal_one_in_turned_axes(qiki: BodyConfig) -> None:
    turn = Rotation.from_euler("ZYX", [0.7, -0.4, 1.1])
    inertia = tuple(map(tuple, (turn.as_matrix() @ np.diag(MOMENTS) @ turn.as_matrix().T).tolist()))
    rate = np.array([0.3, 0.2, -0.4])
    plain = rigid_body(with_mass(qiki, inertia_kg_m2=diagonal(*MOMENTS)), Motion(rate=tuple(rate.tolist())))
    turned = rigid_body(with_mass(qiki, inertia_kg_m2=inertia), Motion(rate=tuple(turn.apply(rate).tolist())))
    plain.advance(5 * SECOND)
    turned.advance(5 * SECOND)
    assert np.allclose(turn.apply(plain.rate), turned.rate, atol=1e-12)


def test_attitude_turns_body_axes_into_inertial_ones_as_scipy_does(qiki: BodyConfig) -> None:
    sphere = with_mass(qiki, inertia_kg_m2=diagonal(300.0, 300.0, 300.0))
    start = Rotation.from_euler("ZYX", [1.0, 0.5, -0.3])
    rate = np.array([0.1, -0.2, 0.3])
    rigid = rigid_body(sphere, Motion(quaternion=wxyz(start), rate=tuple(rate.tolist())))
    rigid.advance(2 * SECOND)
    expected = start * Rotation.from_rotvec(rate * 2.0)
    assert attitude_error_rad(rigid.quaternion, expected) < 1e-13
    assert np.allclose(rotate(rigid.quaternion, (1.0, 2.0, 3.0)), expected.apply([1.0, 2.0, 3.0]), atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(start=st.integers(0, 20_000_000), length=st.integers(1_000, 40_000_000), nozzle=st.integers(0, 15))
def test_impulse_of_a_pulse_is_exact_wherever_its_edges_lie(start: int, length: int, nozzle: int) -> None:
    body = load_body_once()
    rigid = rigid_body(body)
    rigid.propulsion.drive(start, nozzle, True)
    rigid.propulsion.drive(start + length, nozzle, False)
    for k in range(1, 14):
        rigid.advance(k * TICK)
    thrust = body.propulsion.nozzles[nozzle].thrust_n
    impulse = thrust * length * 1e-9
    assert rigid.propulsion.total_impulse_n_s == pytest.approx(impulse, rel=1e-9)
    burned = body.mass.propellant_kg - rigid.propulsion.propellant_kg
    assert burned == pytest.approx(impulse / (60.0 * STANDARD_GRAVITY), rel=1e-9, abs=1e-14)


_CACHE: list[BodyConfig] = []


def load_body_once() -> BodyConfig:
    if not _CACHE:
        _CACHE.append(load_body(BODIES / "qiki-t.yaml"))
    return _CACHE[0]


def test_motion_does_not_depend_on_how_time_is_cut(qiki: BodyConfig) -> None:
    ends = []
    for cut in (TICK, 2_000_000, 1_234_567):
        rigid = rigid_body(qiki, Motion(rate=(0.1, 0.05, -0.2)))
        rigid.propulsion.drive(1_000_000, 0, True)
        rigid.propulsion.drive(7_300_001, 5, True)
        rigid.propulsion.drive(20_000_000, 12, True)
        rigid.propulsion.drive(32_100_000, 0, False)
        rigid.propulsion.drive(51_000_000, 12, False)
        rigid.propulsion.drive(55_000_003, 5, False)
        t = 0
        while t < 100_000_000:
            t = min(t + cut, 100_000_000)
            rigid.advance(t)
        ends.append(np.array([*rigid.position, *rigid.velocity, *rigid.quaternion, *rigid.rate]))
    assert np.allclose(ends[0], ends[1], rtol=0.0, atol=1e-11)
    assert np.allclose(ends[0], ends[2], rtol=0.0, atol=1e-11)


def test_powered_flight_agrees_with_an_independent_solver(qiki: BodyConfig) -> None:
    body = msgspec.structs.replace(qiki, propulsion=msgspec.structs.replace(qiki.propulsion, valve_latency_ms=0))
    inertia = np.array([[350.0, 12.0, -7.0], [12.0, 300.0, 9.0], [-7.0, 9.0, 405.0]])
    body = with_mass(body, inertia_kg_m2=tuple(map(tuple, inertia.tolist())))
    nozzles = (2, 5, 11)
    rigid = rigid_body(body, Motion(velocity=(0.1, 0.0, 0.0), rate=(0.2, -0.1, 0.3)))
    for nozzle in nozzles:
        rigid.propulsion.drive(0, nozzle, True)
    rigid.advance(3 * SECOND)

    com = np.array(body.mass.centre_of_mass_m)
    force, torque, flow = np.zeros(3), np.zeros(3), 0.0
    for nozzle in nozzles:
        config = body.propulsion.nozzles[nozzle]
        push = np.array(config.direction) / np.linalg.norm(config.direction) * config.thrust_n
        force += push
        torque += np.cross(np.array(config.position_m) - com, push)
        flow += config.thrust_n / (60.0 * 9.80665)
    wet = 432.0

    def slope(t: float, s: np.ndarray) -> np.ndarray:
        mass = wet - flow * t
        tensor = inertia * mass / wet
        rate = s[10:13]
        attitude = Rotation.from_quat(s[6:10])
        x, y, z, w = s[6:10]
        turning = 0.5 * np.array([
            w * rate[0] + y * rate[2] - z * rate[1], w * rate[1] + z * rate[0] - x * rate[2],
            w * rate[2] + x * rate[1] - y * rate[0], -x * rate[0] - y * rate[1] - z * rate[2],
        ])
        spin = np.linalg.solve(tensor, torque - np.cross(rate, tensor @ rate))
        return np.concatenate([s[3:6], attitude.apply(force) / mass, turning, spin])

    start = np.array([0, 0, 0, 0.1, 0, 0, 0, 0, 0, 1, 0.2, -0.1, 0.3], dtype=float)
    end = solve_ivp(slope, (0.0, 3.0), start, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    assert np.allclose(rigid.position, end[0:3], atol=1e-9)
    assert np.allclose(rigid.velocity, end[3:6], atol=1e-9)
    assert attitude_error_rad(rigid.quaternion, Rotation.from_quat(end[6:10])) < 1e-9
    assert np.allclose(rigid.rate, end[10:13], atol=1e-9)
    assert rigid.mass_kg == pytest.approx(wet - 3.0 * flow, rel=1e-12)


def test_delta_v_of_the_whole_tank_is_the_rocket_equations(qiki: BodyConfig) -> None:
    rigid = rigid_body(with_mass(qiki, centre_of_mass_m=(0.0, 0.0, 0.0)))
    for nozzle in (4, 5, 6, 7):
        rigid.propulsion.drive(0, nozzle, True)
    rigid.advance(10 * SECOND)
    expected = 60.0 * STANDARD_GRAVITY * log(432.0 / 420.0) / 2**0.5
    assert rigid.velocity[0] == pytest.approx(expected, rel=1e-9)
    assert rigid.velocity[1:] == pytest.approx((0.0, 0.0), abs=1e-9)
    assert rigid.propulsion.propellant_kg == 0.0
    assert rigid.propulsion.total_impulse_n_s == pytest.approx(12.0 * 60.0 * STANDARD_GRAVITY, rel=1e-9)


def test_constant_torque_turns_the_craft_by_the_textbook(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki)
    rigid.set_disturbance((0.0, 0.0, 0.0), (0.0, 0.0, 3.05))
    rigid.advance(10 * SECOND)
    assert rigid.rate == pytest.approx((0.0, 0.0, 0.1), abs=1e-12)
    assert attitude_error_rad(rigid.quaternion, Rotation.from_rotvec([0.0, 0.0, 0.5])) < 1e-12
    rigid.set_disturbance((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    rigid.advance(11 * SECOND)
    assert rigid.rate[2] == pytest.approx(0.1, abs=1e-12)


def test_inertia_shrinks_with_the_mass(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki)
    rigid.propulsion.propellant_kg = 0.0
    assert rigid.mass_kg == 420.0
    assert rigid.inertia[2][2] == pytest.approx(305.0 * 420.0 / 432.0)


# What the IMU feels.


def velocity_of(rigid: RigidBody, point: tuple[float, float, float]) -> np.ndarray:
    arm = np.array(point) - np.array(rigid.centre_of_mass_m)
    attitude = Rotation.from_quat([*rigid.quaternion[1:], rigid.quaternion[0]])
    return np.array(rigid.velocity) + attitude.apply(np.cross(rigid.rate, arm))


def test_imu_mean_force_is_the_velocity_change_of_its_place(qiki: BodyConfig) -> None:
    point = (0.2, -0.3, 0.05)
    coarse, fine = (rigid_body(qiki, Motion(rate=(0.1, -0.2, 0.15))) for _ in range(2))
    for rigid in (coarse, fine):
        rigid.propulsion.drive(1_700_000, 0, True)
        rigid.propulsion.drive(3_100_000, 9, True)
    cut = TICK // 100
    for k in range(1, 5):
        coarse.advance(k * TICK)
        total = np.zeros(3)
        for i in range(1, 101):
            before, attitude = velocity_of(fine, point), Rotation.from_quat([*fine.quaternion[1:], fine.quaternion[0]])
            fine.advance((k - 1) * TICK + i * cut)
            middle = attitude * Rotation.from_rotvec(np.array(fine.rate) * 0.5e-9 * cut)
            total += middle.inv().apply(velocity_of(fine, point) - before)
        assert np.allclose(coarse.imu(point)[1], total / 0.005, rtol=0.0, atol=1e-8)


def test_imu_mean_rate_composes_back_to_the_attitude(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki, Motion(rate=(0.3, 0.2, -0.1)))
    rigid.propulsion.drive(0, 2, True)
    attitude = Rotation.identity()
    for k in range(1, 41):
        rigid.advance(k * TICK)
        attitude = attitude * Rotation.from_rotvec(np.array(rigid.imu((0.0, 0.0, 0.0))[0]) * 0.005)
    assert attitude_error_rad(rigid.quaternion, attitude) < 1e-13


def test_imu_averages_over_continued_advances(qiki: BodyConfig) -> None:
    whole, parts = (rigid_body(qiki, Motion(rate=(0.3, 0.2, -0.1))) for _ in range(2))
    for rigid in (whole, parts):
        rigid.propulsion.drive(1_000_000, 2, True)
    whole.advance(TICK)
    parts.advance(2_000_000)
    parts.advance(4_500_000, continued=True)
    parts.advance(TICK, continued=True)
    for a, b in zip(whole.imu((0.2, 0.1, 0.0)), parts.imu((0.2, 0.1, 0.0)), strict=True):
        assert a == pytest.approx(b, abs=1e-10)


def test_spinning_imu_feels_the_centripetal_force(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki, Motion(rate=(0.0, 0.0, 0.5)))
    assert rigid.imu((0.4, 0.0, 0.1))[1] == (0.0, 0.0, 0.0)
    rigid.advance(TICK)
    assert rigid.imu((0.4, 0.0, 0.1))[1] == pytest.approx((-0.1, 0.0, 0.0), abs=1e-12)


def test_free_fall_is_not_felt(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki, Motion(velocity=(1.0, 2.0, 3.0)))
    rigid.advance(TICK)
    assert rigid.imu((0.2, 0.0, 0.05)) == ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))


# The air-bearing table.


def test_environment_chooses_the_kind_of_body(qiki: BodyConfig, bench_craft: BodyConfig) -> None:
    assert isinstance(rigid_body(qiki), FreeBody)
    assert isinstance(rigid_body(bench_craft), TableBody)


def test_table_holds_height_roll_and_pitch_whatever_fires(bench_craft: BodyConfig) -> None:
    rigid = rigid_body(bench_craft)
    for nozzle in (0, 9, 12):
        rigid.propulsion.drive(0, nozzle, True)
    rigid.advance(2 * SECOND)
    assert rigid.position[2] == 0.0
    assert rigid.velocity[2] == 0.0
    assert rigid.rate[:2] == (0.0, 0.0)
    assert rigid.quaternion[1:3] == (0.0, 0.0)
    assert rigid.velocity[0] != 0.0


def test_table_craft_at_rest_feels_its_weight_upwards(bench_craft: BodyConfig) -> None:
    rigid = rigid_body(bench_craft, Motion(quaternion=quaternion_from_euler(0.0, 0.0, 0.7)))
    assert rigid.imu((0.1, 0.0, 0.0))[1] == pytest.approx((0.0, 0.0, STANDARD_GRAVITY))
    rigid.advance(TICK)
    assert rigid.imu((0.1, 0.0, 0.0))[1] == pytest.approx((0.0, 0.0, STANDARD_GRAVITY))


def test_table_drag_slows_exponentially(bench_craft: BodyConfig) -> None:
    start = Motion(velocity=(0.2, -0.1, 0.0), rate=(0.0, 0.0, 0.3))
    rigid = TableBody(bench_craft, start, drag_n_s_m=0.5, drag_n_m_s=0.02)
    rigid.advance(10 * SECOND)
    decay, turn_decay = exp(-0.5 / 12.0 * 10.0), exp(-0.02 / 0.32 * 10.0)
    assert rigid.velocity == pytest.approx((0.2 * decay, -0.1 * decay, 0.0), rel=1e-12)
    assert rigid.position[0] == pytest.approx(0.2 * (1 - decay) * 12.0 / 0.5, rel=1e-12)
    assert rigid.rate[2] == pytest.approx(0.3 * turn_decay, rel=1e-12)
    yaw = 0.3 * (1 - turn_decay) * 0.32 / 0.02
    assert attitude_error_rad(rigid.quaternion, Rotation.from_rotvec([0.0, 0.0, yaw])) < 1e-12


def test_table_without_drag_coasts_for_ever(bench_craft: BodyConfig) -> None:
    start = Motion(velocity=(0.2, 0.0, 0.0), rate=(0.0, 0.0, 0.1))
    rigid = TableBody(bench_craft, start, drag_n_s_m=0.0, drag_n_m_s=0.0)
    rigid.advance(100 * SECOND)
    assert rigid.velocity == pytest.approx((0.2, 0.0, 0.0), rel=1e-12)
    assert rigid.position[0] == pytest.approx(20.0, rel=1e-12)


def test_table_thrust_turns_with_the_craft(bench_craft: BodyConfig) -> None:
    spin = 2.0 * pi / 4.0
    body = with_mass(bench_craft, inertia_kg_m2=diagonal(0.32, 0.32, 0.32))
    rigid = TableBody(body, Motion(rate=(0.0, 0.0, spin)), drag_n_s_m=0.0, drag_n_m_s=0.0)
    rigid.set_disturbance((1.2, 0.0, 0.0), (0.0, 0.0, 0.0))
    rigid.advance(SECOND)
    # v = (F/m) (sin wt, 1 - cos wt) / w for a force that turns with the body.
    a = 1.2 / 12.0 / spin
    assert rigid.velocity == pytest.approx((a * sin(spin), a * (1.0 - cos(spin)), 0.0), abs=1e-10)


def test_table_refuses_a_tilted_start(bench_craft: BodyConfig) -> None:
    with pytest.raises(ValueError, match="level"):
        rigid_body(bench_craft, Motion(quaternion=quaternion_from_euler(0.1, 0.0, 0.0)))
    with pytest.raises(ValueError, match="vertical"):
        rigid_body(bench_craft, Motion(velocity=(0.0, 0.0, 0.1)))


def test_time_never_runs_backwards(qiki: BodyConfig) -> None:
    rigid = rigid_body(qiki)
    rigid.advance(TICK)
    with pytest.raises(ValueError, match="go back"):
        rigid.advance(TICK - 1)
    with pytest.raises(ValueError, match="positive"):
        rigid_body(qiki, max_step_ns=0)
