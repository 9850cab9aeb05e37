"""Slew and hold of the reference body on a rigid body with ideal valves: tight, at what the linear program costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import degrees, radians, sqrt

import numpy as np
import pytest
from scipy.optimize import linprog

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.control import ControlGains, Controller
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLaw, GuidanceLimits, Hold, Slew, Translate
from firmware_py.gnc.modulation import PulseModulator
from firmware_py.gnc.thrust_modes import ThrustPolicy
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    multiply,
    quaternion_from_rotation_vector,
    rotate,
    rotation_angle,
    scale,
    unit,
)
from hal.profile.loader import load_body
from tests.firmware_py.gnc_flight import PulseAuditor

BODY = load_body("gref")
ALLOCATOR = Allocator(BODY)
INERTIA = np.diag(np.array(BODY.mass.inertia_kg_m2))
MASS = BODY.mass.dry_kg + BODY.mass.propellant_kg
STEP_MS = 5
AXES: dict[str, Vec3] = {
    "x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, -1.0), "diagonal": (1.0, 1.0, 1.0),
    "mixed": (-0.5, 0.9, 0.3),
}


@dataclass
class Outcome:
    settled_s: float
    rms_deg: float
    impulse_n_s: float
    speed_mm_s: float
    track: list[tuple[Vec3, bool]]


def limits() -> GuidanceLimits:
    return replace(GuidanceLimits.from_body(BODY, ALLOCATOR), attitude_deadband_rad=radians(0.05))


def fly(
    law: GuidanceLaw, goal: Quaternion, seconds: float, torque: Vec3 = (0.0, 0.0, 0.0),
    gains: ControlGains | None = None,
) -> Outcome:
    controller, modulator = Controller(BODY, ALLOCATOR, gains), PulseModulator(BODY, ALLOCATOR)
    policy = ThrustPolicy(BODY, ALLOCATOR, force_ceiling_n(BODY))
    track: list[tuple[Vec3, bool]] = []
    auditor = PulseAuditor(BODY)
    q, rate, velocity, position = IDENTITY, np.zeros(3), np.zeros(3), np.zeros(3)
    errors, impulse, wrenches = [], 0.0, ALLOCATOR.wrenches
    for window in range(round(seconds * 4)):
        now = window * 250_000_000
        nav = NavState(
            now, q, tuple(rate.tolist()), (0.0,) * 3, (0.0,) * 3, tuple(position.tolist()), tuple(velocity.tolist()),
            1e-6, 1e-6, 1e-6, 1e-6, True, None, 0, 0, False,
        )
        target = law.update(now, nav)
        track.append((nav.position, target.done))
        demand = controller.update(now, nav, target)
        a, b, c, d, e, f = (4.0 * part for part in demand.impulse)
        a, b, c, d, e, f = policy.shape(target.mode, (a, b, c, d, e, f), modulator.blocked(now)).wrench
        plan, made = modulator.plan(
            (0.25 * a, 0.25 * b, 0.25 * c, 0.25 * d, 0.25 * e, 0.25 * f), now,
            rate_tolerance=demand.rate_tolerance, velocity_tolerance=demand.velocity_tolerance,
            mean=demand.mean,
        )
        controller.flown(made)
        auditor.window(plan)
        opens, shuts = np.array(plan.open_ms), np.array(plan.close_ms)
        impulse += float(ALLOCATOR.thrust @ (shuts - opens)) * 1e-3
        for start in range(0, 250, STEP_MS):
            open_s = np.maximum(np.minimum(shuts, start + STEP_MS) - np.maximum(opens, start), 0) * 1e-3
            push, turn = np.split(wrenches @ open_s, 2)
            step = STEP_MS * 1e-3
            gain = (turn + (np.array(torque) - np.cross(rate, INERTIA * rate)) * step) / INERTIA
            middle = rate + 0.5 * gain
            velocity = velocity + np.array(rotate(q, tuple(push.tolist()))) / MASS
            position = position + velocity * step
            q = multiply(q, quaternion_from_rotation_vector(tuple((middle * step).tolist())))
            rate = rate + gain
        errors.append(degrees(rotation_angle(q, goal)))
    error = np.array(errors)
    outside = np.flatnonzero(error >= 1.0)
    first = int(outside[-1]) + 1 if len(outside) else 0
    return Outcome(
        (first + 1) * 0.25 if len(outside) else 0.0, sqrt(float(np.mean(error[first:] ** 2))), impulse,
        float(np.linalg.norm(velocity)) * 1e3, track,
    )


def floor_n_s(momentum: np.ndarray) -> float:
    """Least impulse of all nozzles that makes an angular momentum without a force."""
    found = linprog(ALLOCATOR.thrust, A_eq=ALLOCATOR.wrenches, b_eq=np.concatenate([np.zeros(3), momentum]))
    assert found.success
    return float(found.fun)


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keep_position", [False, True])
def test_a_quarter_turn_is_quick_tight_and_cheap(axis: str, keep_position: bool) -> None:
    goal = quaternion_from_rotation_vector(scale(unit(AXES[axis]), radians(90.0)))
    seen = fly(Slew(limits(), goal, keep_position=keep_position), goal, 120.0)
    assert seen.settled_s <= 20.7
    assert seen.rms_deg <= 0.10
    assert seen.impulse_n_s <= 13.0
    assert seen.speed_mm_s <= 3.0


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keep_position", [False, True])
def test_a_constant_torque_is_held_for_little_more_than_the_optimum(axis: str, keep_position: bool) -> None:
    torque = scale(unit(AXES[axis]), 0.03)
    seen = fly(Hold(limits(), IDENTITY, keep_position=keep_position), IDENTITY, 300.0, torque)
    assert seen.impulse_n_s <= 1.08 * floor_n_s(-300.0 * np.array(torque))
    assert seen.rms_deg <= 0.05
    assert seen.speed_mm_s <= 3.0


@pytest.mark.parametrize("axis", ["x", "mixed"])
@pytest.mark.parametrize("angle_deg", [3.0, 90.0])
def test_soft_gains_come_home_too(axis: str, angle_deg: float) -> None:
    goal = quaternion_from_rotation_vector(scale(unit(AXES[axis]), radians(angle_deg)))
    law = Slew(limits(), goal) if angle_deg > 45.0 else Hold(limits(), goal)
    seen = fly(law, goal, 60.0, gains=ControlGains(0.34, 1.0))
    assert seen.settled_s <= 20.7
    assert seen.rms_deg <= 0.3


@pytest.mark.parametrize("way", [(24.0, 25.6, 19.2), (2.0, 0.0, 0.0)])
def test_a_translation_follows_its_line_and_is_done_where_it_should_end(way: Vec3) -> None:
    metres = float(np.linalg.norm(way))
    along = np.array(way) / metres
    seen = fly(Translate(limits(), way), IDENTITY, 130.0 if metres > 10.0 else 50.0)
    places = np.array([place for place, _ in seen.track])
    across = places - np.outer(places @ along, along)
    assert np.linalg.norm(across, axis=1).max() < 0.15
    ends = [float(np.linalg.norm(np.array(place) - way)) for place, done in seen.track if done]
    assert ends[0] < 0.25
    assert max(ends) < 0.5
    # What the top speed costs twice at the cheapest price, and a quarter of it for all the rest.
    cheapest = linprog(ALLOCATOR.thrust, A_eq=ALLOCATOR.wrenches, b_eq=np.concatenate([along, np.zeros(3)])).fun
    speeds = np.linalg.norm(np.diff(places, axis=0), axis=1) / 0.25
    assert seen.impulse_n_s < 1.25 * 2.0 * MASS * speeds.max() * cheapest
