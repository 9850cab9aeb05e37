"""The world against closed forms: convergence, conservation, exact impulses, energy balance, heat, speed."""

from __future__ import annotations

import gc
from math import log, log2
from pathlib import Path
from time import perf_counter

import msgspec
import numpy as np
from scipy.spatial.transform import Rotation

from bench._torque_free import Axisymmetric, Triaxial, attitude_error_rad
from bench.harness import Report
from hal.frames import Quaternion, norm, subtract
from hal.profile import BodyConfig, load_body
from hil.plant.propulsion import STANDARD_GRAVITY
from hil.plant.rigid_body import Motion, rigid_body
from hil.plant.world import InitialState, World

BODIES = Path(__file__).resolve().parent.parent / "board_configs" / "bodies"
TICK_NS = 5_000_000
EPOCH_NS = 1_800_000_000_000_000_000
MOMENTS = (200.0, 300.0, 400.0)


def run(report: Report) -> None:
    """Measure everything."""
    body = load_body(BODIES / "qiki-t.yaml")
    _tumble(report, body)
    _conservation(report, body)
    _impulse(report, body)
    _energy_and_heat(report, body)
    _speed(report, body)


def _with_inertia(body: BodyConfig, x: float, y: float, z: float) -> BodyConfig:
    inertia = ((x, 0.0, 0.0), (0.0, y, 0.0), (0.0, 0.0, z))
    return msgspec.structs.replace(body, mass=msgspec.structs.replace(body.mass, inertia_kg_m2=inertia))


def _wxyz(rotation: Rotation) -> Quaternion:
    x, y, z, w = rotation.as_quat().tolist()
    return (w, x, y, z)


def _tumble(report: Report, body: BodyConfig) -> None:
    """Error after 20 s of a fast tumble against the closed form, and its order in the step."""
    reference = Triaxial(MOMENTS, 0.5, 0.8)
    seconds = 20
    end, attitude = reference.rate(float(seconds)), reference.attitude(float(seconds))
    steps_ms = (400, 200, 100, 50)
    rate_errors, attitude_errors = [], []
    for step_ms in (*steps_ms, 5):
        rigid = rigid_body(
            _with_inertia(body, *MOMENTS), Motion(quaternion=_wxyz(reference.attitude(0.0)), rate=(0.5, 0.0, 0.8)),
            max_step_ns=step_ms * 1_000_000,
        )
        rigid.advance(seconds * 1_000_000_000)
        rate_errors.append(float(np.linalg.norm(np.array(rigid.rate) - end)))
        attitude_errors.append(attitude_error_rad(rigid.quaternion, attitude))
    jacobi = "Jacobi elliptic"
    for index, step_ms in enumerate(steps_ms):
        name = f"triaxial tumble, 20 s, step {step_ms} ms"
        report.add(f"{name}: rate error", rate_errors[index], "rad/s", jacobi)
        report.add(f"{name}: attitude error", attitude_errors[index], "rad", jacobi)
    for name, errors in (("rate", rate_errors), ("attitude", attitude_errors)):
        order = log2(errors[2] / errors[3])
        report.add(f"observed order, {name}", order, "", 4, "3.8 .. 4.5", 3.8 <= order <= 4.5)
    name = "triaxial tumble, 20 s, step 5 ms"
    report.add(f"{name}: rate error", rate_errors[-1], "rad/s", jacobi, "< 1e-10", rate_errors[-1] < 1e-10)
    report.add(f"{name}: attitude error", attitude_errors[-1], "rad", jacobi, "< 1e-10", attitude_errors[-1] < 1e-10)

    start = Rotation.from_euler("ZYX", [0.4, -0.3, 0.2])
    spin = Axisymmetric(350.0, 305.0, (0.1, 0.2, 0.3), start)
    rigid = rigid_body(body, Motion(quaternion=_wxyz(start), rate=spin.rate0))
    rigid.advance(100_000_000_000)
    error = attitude_error_rad(rigid.quaternion, spin.attitude(100.0))
    name = "axisymmetric tumble, 100 s, step 5 ms: attitude error"
    report.add(name, error, "rad", "closed form", "< 1e-10", error < 1e-10)


def _conservation(report: Report, body: BodyConfig) -> None:
    """Energy and angular momentum over 1000 s at 5 ms."""
    inertia = ((350.0, 12.0, -7.0), (12.0, 300.0, 9.0), (-7.0, 9.0, 405.0))
    full = msgspec.structs.replace(body, mass=msgspec.structs.replace(body.mass, inertia_kg_m2=inertia))
    rigid = rigid_body(full, Motion(velocity=(0.3, -0.2, 0.1), rate=(0.3, -0.2, 0.25)))
    energy, momentum = rigid.kinetic_energy_j, rigid.angular_momentum
    for k in range(1, 1001):
        rigid.advance(k * 1_000_000_000)
    drift = abs(rigid.kinetic_energy_j / energy - 1.0)
    report.add("energy drift over 1000 s, full inertia tensor", drift, "", "conserved", "< 1e-11", drift < 1e-11)
    drift = norm(subtract(rigid.angular_momentum, momentum)) / norm(momentum)
    report.add("angular momentum drift over 1000 s", drift, "", "conserved", "< 1e-10", drift < 1e-10)
    length = abs(sum(x * x for x in rigid.quaternion) - 1.0)
    report.add("quaternion length error after 1000 s", length, "", 0, "< 1e-14", length < 1e-14)


def _impulse(report: Report, body: BodyConfig) -> None:
    """A 30 ms pulse of one nozzle whose edges lie anywhere in the tick."""
    rng = np.random.default_rng(1)
    worst = 0.0
    pulse_ns = 30_000_000
    for start_ns in rng.integers(0, TICK_NS, 200).tolist():
        rigid = rigid_body(body)
        rigid.propulsion.drive(start_ns, 3, True)
        rigid.propulsion.drive(start_ns + pulse_ns, 3, False)
        for k in range(1, 11):
            rigid.advance(k * TICK_NS)
        worst = max(worst, abs(rigid.propulsion.total_impulse_n_s / (260.0 * pulse_ns * 1e-9) - 1.0))
    report.add("impulse of a 30 ms pulse, edges anywhere, worst error", worst, "", "7.8 N s", "< 1e-9", worst < 1e-9)

    # With the centre of mass at the geometric centre the four +X nozzles push without turning.
    straight = msgspec.structs.replace(body, mass=msgspec.structs.replace(body.mass, centre_of_mass_m=(0.0, 0.0, 0.0)))
    rigid = rigid_body(straight)
    for nozzle in (4, 5, 6, 7):
        rigid.propulsion.drive(0, nozzle, True)
    rigid.advance(20_000_000_000)
    # The whole tank, through nozzles 45 deg off the axis.
    expected = 60.0 * STANDARD_GRAVITY * log(432.0 / 420.0) / np.sqrt(2.0)
    error = abs(rigid.velocity[0] / expected - 1.0)
    report.add("delta-v of the whole tank", rigid.velocity[0], "m/s", float(expected), "within 1e-9", error < 1e-9)


def _energy_and_heat(report: Report, body: BodyConfig) -> None:
    """An hour of flight with pulses, eclipse, switched loads: books of power and heat; then the steady state."""
    rng = np.random.default_rng(2)
    world = World(body, InitialState(EPOCH_NS, sun_direction=(-1.0, 0.2, 0.1), soc_battery=0.3), rng)
    thermal = world.thermal
    start_heat = thermal.stored_j
    for second in range(1, 3601):
        t = second * 1_000_000_000
        nozzle = second % 16
        edges = [(t - 900_000_000, nozzle, True), (t - 870_000_000, nozzle, False)] if second % 9 == 0 else []
        if second == 900:
            world.set_load("processor", False)
            world.set_load("radar", False)
        if second % 600 == 0:
            world.set_eclipse(second % 1200 == 600)
        world.advance(t, edges)
    ledger = world.power.ledger
    error = abs(world.power.balance_error_j) / (ledger.harvested + ledger.loads)
    rule = "in = out + stored"
    report.add("power: energy balance error over 1 h", error, "", rule, "< 1e-9", error < 1e-9)
    lost = thermal.heat_j + thermal.clamped_j - thermal.lost_j - (thermal.stored_j - start_heat)
    error = abs(lost) / (abs(thermal.heat_j) + abs(thermal.lost_j))
    report.add("heat: energy balance error over 1 h", error, "", rule, "< 1e-9", error < 1e-9)

    heat = thermal.heat_vector({"core": 28.0, "pdu": 3.0})
    target = thermal.steady_state(heat)
    for _ in range(4000):
        thermal.step(60.0, heat)
    error = float(np.max(np.abs(thermal.temperatures - target)))
    report.add("heat: steady state against linear solve", error, "K", 0, "< 1e-6", error < 1e-6)


def _speed(report: Report, body: BodyConfig) -> None:
    """Wall time of one 5 ms tick with IMU read-out: the best of five rounds, since other programs share the machine."""
    cases = (("idle", 0, 25.0), ("four nozzles open", 4, 60.0), ("four pulses with edges inside ticks", -1, 60.0))
    for name, nozzles, limit in cases:
        best = min(_round(body, nozzles) for _ in range(5))
        title = f"World.advance and imu, 5 ms tick, {name}"
        report.add(title, best, "us", "5000 us of flight", f"< {limit:.0f}", best < limit)
    world = World(body, InitialState(EPOCH_NS), np.random.default_rng(3))
    began = perf_counter()
    for _ in range(10_000):
        world.truth()
    report.add("World.truth", (perf_counter() - began) * 100.0, "us")


def _round(body: BodyConfig, nozzles: int) -> float:
    """Microseconds a tick over 2,000 ticks (1,200 with nozzles open, so that the tank lasts)."""
    world = World(body, InitialState(EPOCH_NS, rate=(0.05, -0.03, 0.08)), np.random.default_rng(3))
    ticks = 2000 if nozzles == 0 else 1200
    edges: list[list[tuple[int, int, bool]]] = [[] for _ in range(ticks + 1)]
    if nozzles > 0:
        edges[1] = [(0, n, True) for n in (4, 5, 6, 7)]
    elif nozzles < 0:
        for window in range(0, ticks - 50, 50):
            for n in range(4):
                open_ns, close_ns = window * TICK_NS + 1_300_000 * n, window * TICK_NS + 31_000_000 + 1_700_000 * n
                edges[open_ns // TICK_NS + 1].append((open_ns, n, True))
                edges[close_ns // TICK_NS + 1].append((close_ns, n, False))
    gc.collect()
    began = perf_counter()
    for k in range(1, ticks + 1):
        world.advance(k * TICK_NS, edges[k])
        world.imu((0.2, 0.0, 0.05))
    return (perf_counter() - began) / ticks * 1e6
