"""A craft in a closed loop: the world's rigid body, sensors with noise, and the guidance room above them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import degrees

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.control import Controller
from firmware_py.gnc.estimator import Estimator
from firmware_py.gnc.guidance import GuidanceLaw, GuidanceLimits, Target
from firmware_py.gnc.modulation import PulseModulator
from firmware_py.gnc.modulator import Carry
from firmware_py.gnc.pulse_book import Impulse
from firmware_py.gnc.thrust_modes import ThrustMode, ThrustPolicy
from firmware_py.gnc.thruster_fault import ThrusterFaultDetector, ThrusterVerdict
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    multiply,
    norm,
    quaternion_from_rotation_vector,
    rotate_inverse,
    rotation_angle,
    scale,
    subtract,
    unit,
)
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan
from hil.plant.sensors import InertialUnit, Magnetometer, StarTracker
from hil.plant.world import Edge, InitialState, World

TICK_NS = 5_000_000
TICK_S = 0.005
IMU_PLACE: Vec3 = (0.20, 0.0, 0.05)
FIELD: Vec3 = (0.0, 20e-6, -44e-6)


class PulseAuditor:
    """Checks every pulse rule of a body on plans laid end to end, to the millisecond."""

    def __init__(self, body: BodyConfig) -> None:
        self.prop = body.propulsion
        count = len(body.propulsion.nozzles)
        self.opened: list[int | None] = [None] * count
        self.closed: list[int | None] = [None] * count
        self.barred_until = [0] * count
        self.now = 0
        self.pulses = 0

    def window(self, plan: PulsePlan) -> None:
        """Take the next window's plan."""
        assert plan.window_ms == self.prop.window_ms
        for n, (open_ms, close_ms) in enumerate(zip(plan.open_ms, plan.close_ms, strict=True)):
            assert 0 <= open_ms <= close_ms <= plan.window_ms
            if self.opened[n] is not None and (open_ms == close_ms or open_ms > 0):
                self._close(n, self.now)
            if open_ms < close_ms:
                if self.opened[n] is None:
                    start = self.now + open_ms
                    closed = self.closed[n]
                    assert closed is None or start - closed >= self.prop.min_off_ms, (n, start - (closed or 0))
                    assert start >= self.barred_until[n], f"nozzle {n} fires in cooldown"
                    self.opened[n] = start
                if close_ms < plan.window_ms:
                    self._close(n, self.now + close_ms)
        self.now += plan.window_ms

    def _close(self, n: int, when: int) -> None:
        opened = self.opened[n]
        assert opened is not None
        length = when - opened
        assert self.prop.min_on_ms <= length <= self.prop.max_burn_ms, (n, length)
        if length > self.prop.max_burn_ms - self.prop.window_ms:
            self.barred_until[n] = when + self.prop.cooldown_ms
        self.opened[n], self.closed[n] = None, when
        self.pulses += 1


@dataclass
class Sample:
    """What one window looked like."""

    t_s: float
    angle_deg: float
    rate_deg_s: float
    position: Vec3
    velocity: Vec3
    phase: str
    done: bool


@dataclass
class Flight:
    """One craft that flies. ``thrust_spread`` is the sigma of each nozzle's thrust error."""

    body: BodyConfig
    seed: int = 1
    rate: Vec3 = (0.0, 0.0, 0.0)
    quaternion: Quaternion = IDENTITY
    velocity: Vec3 = (0.0, 0.0, 0.0)
    thrust_spread: float = 0.02
    star_tracker: bool = True
    react: bool = True
    samples: list[Sample] = field(default_factory=list)
    verdicts: list[ThrusterVerdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        body = self.body
        self.world = World(
            body,
            InitialState(
                datetime(2026, 11, 21, tzinfo=UTC), quaternion=self.quaternion, rate=self.rate, velocity=self.velocity
            ),
            self.rng,
        )
        for n in range(len(body.propulsion.nozzles)):
            error = float(np.clip(self.rng.standard_normal(), -2.5, 2.5))
            self.world.set_nozzle_thrust(n, 1.0 + self.thrust_spread * error)
        self.imu = InertialUnit(self.world.stream("imu"))
        self.star = StarTracker(self.world.stream("star"), IDENTITY)
        self.compass = Magnetometer(self.world.stream("compass"))
        self.allocator = Allocator(body)
        self.modulator = PulseModulator(body, self.allocator)
        self.policy = ThrustPolicy(body, self.allocator, force_ceiling_n(body))
        self.controller = Controller(body, self.allocator)
        self.estimator = Estimator(body, IMU_PLACE, magnetic_reference=FIELD)
        self.detector = ThrusterFaultDetector(body, IMU_PLACE)
        self.bias = self.estimator.filter.bias
        self.limits = GuidanceLimits.from_body(body, self.allocator)
        self.auditor = PulseAuditor(body)
        self.tick = 0
        self.plan = PulsePlan.shut(len(body.propulsion.nozzles), body.propulsion.window_ms)
        self.edges: list[Edge] = []
        self.failed = 0
        self.target: Target | None = None

    @property
    def t_s(self) -> float:
        return self.tick * TICK_S

    @property
    def used_kg(self) -> float:
        return self.body.mass.propellant_kg - self.world.truth().propellant_kg

    def fly(self, law: GuidanceLaw, seconds: float, until_done: bool = False) -> float:
        """Fly a law; returns the seconds until it was first done (or the whole time)."""
        start = self.t_s
        done_at: float | None = None
        for _ in range(round(seconds / TICK_S)):
            self.step(law)
            if done_at is None and self.target is not None and self.target.done:
                done_at = self.t_s - start
                if until_done:
                    break
        return seconds if done_at is None else done_at

    def step(self, law: GuidanceLaw) -> None:
        ticks = self.body.propulsion.window_ms // 5
        k = self.tick % ticks
        now = self.tick * TICK_NS
        estimator = self.estimator
        if self.tick:
            due = [e for e in self.edges if e[0] <= now]
            self.edges = [e for e in self.edges if e[0] > now]
            self.world.advance(now, due)
            rate, force = self.imu.sample(*self.world.imu(IMU_PLACE))
            rate = tuple(round(degrees(x) / 0.1) * 0.1 * np.pi / 180.0 for x in rate)
            force = tuple(round(x / 0.01225) * 0.01225 for x in force)
            expected = self.modulator.expected((self.tick - 1) % ticks)
            estimator.on_imu(now, TICK_S, rate, force, expected)
            bias, accel_bias = estimator.filter.bias, estimator.navigation.bias
            if bias != self.bias:
                self.detector.rebias(subtract(self.bias, bias))
                self.bias = bias
            verdict = self.detector.on_tick(
                now, TICK_S, subtract(rate, bias), force if estimator.gravity else subtract(force, accel_bias), expected
            )
            if verdict is not None:
                self.verdicts.append(verdict)
                self.isolate(verdict)
        rigid = self.world.rigid
        if self.star_tracker:
            fix = self.star.step(now, rigid.quaternion, rigid.rate, None)
            if fix is not None and fix.quaternion is not None:
                estimator.on_attitude(now, fix.quaternion, fix.sigma_rad, now - fix.exposure_ns)
        if self.tick % 20 == 0 and estimator.gravity:
            estimator.on_magnetic(now, self.compass.sample(rotate_inverse(rigid.quaternion, FIELD)))
        if self.tick % 10 == 0:
            estimator.medium(now)
        if k == 0:
            self.window(law, now)
        self.tick += 1

    def window(self, law: GuidanceLaw, now: int) -> None:
        nav = self.estimator.nav
        target = self.target = law.update(now, nav)
        demand = self.controller.update(now, nav, target, self.failed)
        impulse = self.allowed(target.mode, demand.impulse, self.failed | self.modulator.blocked(now))
        plan, emitted = self.modulator.plan(
            impulse, now, self.failed, rate_tolerance=demand.rate_tolerance,
            velocity_tolerance=demand.velocity_tolerance,
            carry=Carry.FORCE if target.carries_push else Carry.NONE, mean=demand.mean,
        )
        self.controller.flown(emitted)
        for verdict in self.detector.start_window(now, plan):
            self.verdicts.append(verdict)
            self.isolate(verdict)
        self.auditor.window(plan)
        for n, (open_ms, close_ms) in enumerate(zip(plan.open_ms, plan.close_ms, strict=True)):
            was_on = self.plan.close_ms[n] == plan.window_ms and self.plan.on_ms[n] > 0
            if was_on and not (open_ms == 0 and close_ms > 0):
                self.edges.append((now, n, False))
            if open_ms < close_ms:
                self.edges.append((now + open_ms * 1_000_000, n, True))
                if close_ms < plan.window_ms:
                    self.edges.append((now + close_ms * 1_000_000, n, False))
        self.plan = plan
        self.record(target)

    def allowed(self, mode: ThrustMode, impulse: Impulse, failed: int) -> Impulse:
        """What of a window's demand the thrust mode lets through, as firmware_py/tick.py asks it."""
        window_s = self.body.propulsion.window_ms * 1e-3
        a, b, c, d, e, f = impulse
        wanted = (a / window_s, b / window_s, c / window_s, d / window_s, e / window_s, f / window_s)
        shaped = self.policy.shape(mode, wanted, failed)
        if shaped.wrench == wanted:
            return impulse
        a, b, c, d, e, f = shaped.wrench
        return (a * window_s, b * window_s, c * window_s, d * window_s, e * window_s, f * window_s)

    def isolate(self, verdict: ThrusterVerdict) -> None:
        if not self.react:
            return
        self.failed |= 1 << verdict.nozzle
        if verdict.fault.value == "stuck_on":
            # What the isolation valve of its cluster would do to that nozzle alone.
            self.world.stick_nozzle_on(verdict.nozzle, False)

    def record(self, target: Target) -> None:
        rigid = self.world.rigid
        wanted = target.attitude
        angle = 0.0 if wanted is None else degrees(rotation_angle(rigid.quaternion, wanted))
        self.samples.append(
            Sample(
                self.t_s, angle, degrees(norm(rigid.rate)), rigid.position, rigid.velocity, target.phase.value,
                target.done,
            )
        )

    def attitude_error_deg(self) -> float:
        return degrees(rotation_angle(self.estimator.nav.quaternion, self.world.rigid.quaternion))

    def velocity_error(self) -> float:
        return norm(subtract(self.estimator.nav.velocity, self.world.rigid.velocity))

    def position_error(self) -> float:
        return norm(subtract(self.estimator.nav.position, self.world.rigid.position))


def turned(axis: Vec3, angle_rad: float, start: Quaternion = IDENTITY) -> Quaternion:
    """The attitude a turn about a body axis away from ``start``."""
    return multiply(start, quaternion_from_rotation_vector(scale(unit(axis), angle_rad)))


