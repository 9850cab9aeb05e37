"""Thrust profiles at every level: how far the push of any second is from its level, counted in shortest pulses.

The law, the controller, the mode's policy and the modulator fly segments from rest on a rigid body with perfect
nozzles. Valve edges are laid out in ms and a second is slid over them in steps of 1 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from bench.harness import Report
from fdir.codes import Code
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.burn_needs import AllocatorCeiling, SegmentNeeds, burn_needs
from firmware_py.gnc.control import Controller
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits
from firmware_py.gnc.modulation import PulseModulator
from firmware_py.gnc.modulator import Carry
from firmware_py.gnc.thrust_modes import ThrustPolicy
from firmware_py.gnc.thrust_profile import FlyProfile, Segment, ThrustProfile
from hal.frames import IDENTITY, Vec3, multiply, quaternion_from_rotation_vector, rotation_angle, unit
from hal.profile import BodyConfig, load_body

__all__ = ["run"]

Array = npt.NDArray[np.float64]
BODIES = ("qiki-t", "qiki-g")
LEVELS = (1, 2, 3, 5, 8, 10, 12, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 88, 90, 93, 95, 97, 99,
          100)
DIRECTIONS: tuple[Vec3, ...] = (
    (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.0, -1.0),
    unit((1.0, 2.0, -0.5)), unit((-0.3, 0.4, 0.9)), unit((0.8, -0.9, 1.1)),
)
LONG_S, SHORT_S = 5.0, 3.0
"""Length of a segment; the short one where the long one would burn a nozzle for too long."""
SECOND_MS = 1000
REST = NavState(
    t_ns=0, quaternion=IDENTITY, rate=(0.0, 0.0, 0.0), gyro_bias=(0.0, 0.0, 0.0), accel_bias=(0.0, 0.0, 0.0),
    position=(0.0, 0.0, 0.0), velocity=(0.0, 0.0, 0.0), sigma_attitude_rad=1e-4, sigma_rate_rad_s=1e-5,
    sigma_position_m=0.01, sigma_velocity_m_s=0.001, attitude_known=True, sun_body=None, fix_age_ns=0, imu_age_ns=0,
    disagreement=False,
)


class _Unlimited:
    def refusals(self, segment: Segment, needed: SegmentNeeds) -> tuple[Code, ...]:  # noqa: ARG002
        return ()


@dataclass
class Flown:
    """One segment as flown. Errors of any second, worst: along the push, in units of one shortest pulse of each nozzle
    used; of one nozzle's on-time from its allocated share, in shortest pulses; and of the whole segment's impulse."""

    body: str
    direction: Vec3
    level: int
    push: float
    nozzle: float
    whole: float
    attitude_deg: float

    @property
    def where(self) -> str:
        return f"{self.body}, {self.level} % along ({', '.join(f'{x:.2f}' for x in self.direction)})"


class Craft:
    """One body with everything from law to valve edges."""

    def __init__(self, body: BodyConfig) -> None:
        self.body = body
        self.allocator = Allocator(body)
        self.ceiling = AllocatorCeiling(body, self.allocator)
        self.limits = GuidanceLimits.from_body(body, self.allocator)
        self.inverse = np.linalg.inv(np.array(body.mass.inertia_kg_m2))
        self.modulator = PulseModulator(body, self.allocator)
        self.now_ns = 0

    def needs(self, segment: Segment, force: Vec3) -> SegmentNeeds:
        return burn_needs(segment.slices(force), self.allocator, self.body)

    def fly(self, segment: Segment) -> tuple[npt.NDArray[np.bool_], float]:
        """Valve states (ms, nozzle) of a segment and the largest attitude error, deg."""
        law = FlyProfile(self.limits, ThrustProfile((segment,)), self.ceiling, self.needs, _Unlimited())
        controller, policy = Controller(self.body, self.allocator), ThrustPolicy(
            self.body, self.allocator, force_ceiling_n(self.body))
        modulator, nav, window = self.modulator, REST, self.limits.window_s
        modulator.drop_carry()
        # Ten quiet seconds let every cooldown pass.
        for _ in range(40):
            modulator.shut(self._next())
        rows, worst = [], 0.0
        for _ in range(round(segment.duration_s / window)):
            now = self._next()
            target = law.update(now, nav)
            demand = controller.update(now, nav, target)
            wrench = policy.shape(target.mode, tuple(x / window for x in demand.impulse)).wrench
            plan, made = modulator.plan(
                tuple(x * window for x in wrench), now, rate_tolerance=demand.rate_tolerance,
                velocity_tolerance=demand.velocity_tolerance, mean=demand.mean,
                carry=Carry.FORCE if target.carries_push else Carry.NONE,
            )
            controller.flown(made)
            ms = np.arange(plan.window_ms)[:, None]
            rows.append((ms >= np.array(plan.open_ms)) & (ms < np.array(plan.close_ms)))
            turn = self.inverse @ np.array(made[3:])
            rate = np.array(nav.rate)
            step = (rate + 0.5 * turn) * window
            quaternion = multiply(nav.quaternion, quaternion_from_rotation_vector(tuple(step.tolist())))
            nav = replace(nav, quaternion=quaternion, rate=tuple((rate + turn).tolist()))
            worst = max(worst, float(np.degrees(rotation_angle(quaternion, IDENTITY))))
        return np.vstack(rows), worst

    def _next(self) -> int:
        self.now_ns += self.body.propulsion.window_ms * 1_000_000
        return self.now_ns


def measure(craft: Craft, direction: Vec3, level: int) -> Flown:
    """Fly one segment and judge every second of it."""
    prop = craft.body.propulsion
    segment = Segment(LONG_S, float(level), direction)
    force = segment.force(craft.ceiling, IDENTITY)
    needed = craft.needs(segment, force)
    if needed.longest_burn_s > prop.max_burn_ms * 1e-3 or needed.early_s > 0.0:
        segment = replace(segment, duration_s=SHORT_S)
    states, attitude = craft.fly(segment)
    along = craft.allocator.wrenches[:3].T @ np.array(direction)
    wanted = 0.01 * level * float(np.linalg.norm(force))
    on = np.vstack([np.zeros(states.shape[1]), np.cumsum(states, axis=0)])
    slid = on[SECOND_MS:] - on[:-SECOND_MS]
    duty, _ = craft.allocator.allocate(np.array([0.01 * level * f for f in force] + [0.0, 0.0, 0.0]))
    used = states.any(axis=0) | (duty > 0.0)
    allowed = max(float(np.abs(along[used]).sum()) * prop.min_on_ms * 1e-3, 1e-9)
    push = float(np.abs(slid @ along * 1e-3 - wanted).max()) / allowed
    nozzle = float(np.abs(slid - duty * SECOND_MS).max()) / prop.min_on_ms
    whole = abs(float(on[-1] @ along) * 1e-3 - wanted * segment.duration_s) / allowed
    return Flown(craft.body.body, direction, level, push, nozzle, whole, attitude)


def run(report: Report) -> None:
    """The figures of thrust profiles."""
    flown: list[Flown] = []
    for name in BODIES:
        craft = Craft(load_body(name))
        flown += [measure(craft, direction, level) for direction, level in product(DIRECTIONS, LEVELS)]
    count = f"{len(flown)} segments, {len(BODIES)} bodies"
    worst = max(flown, key=lambda one: one.push)
    report.add(f"profile level over any 1 s, push ({count})", worst.push, "shortest pulses of each nozzle used",
               worst.where, "<= 1", worst.push <= 1.0)
    nozzle = max(flown, key=lambda one: one.nozzle)
    report.add("on-time of one nozzle over any 1 s from its allocated share", nozzle.nozzle, "shortest pulses",
               nozzle.where, "reported: another set may make the same push")
    whole = max(flown, key=lambda one: one.whole)
    report.add("impulse of a whole segment", whole.whole, "shortest pulses of each nozzle used", whole.where, "<= 1",
               whole.whole <= 1.0)
    tilted = max(flown, key=lambda one: one.attitude_deg)
    report.add("attitude while it is flown", tilted.attitude_deg, "deg", tilted.where, "< 2", tilted.attitude_deg < 2.0)
