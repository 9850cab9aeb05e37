"""What the nozzles that are left can do: torque-free pushes, torque about each axis, and the best push for a manoeuvre.

Nothing is assumed about the layout: the allocator is asked with the mask of failed nozzles, for every direction of a
grid and for each body axis. A push is *firm* if torque about every axis can be made both ways meanwhile: one on the
edge of the attainable set cannot be trimmed. A torque is *pure* if it comes without a push.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import cos, inf, isfinite, pi, radians, sin, sqrt

import numpy as np

from firmware_py.gnc.allocation import Allocator
from hal.frames import Vec3, angle_between, norm, quaternion_between, rotation_vector, unit
from hal.profile.body import BodyConfig

__all__ = [
    "AXIS_OF_PUSH", "POINTED_RAD", "LivePush", "PushChoice", "Remaining", "Survey", "TurnAxis", "choose_push", "survey",
]

TRIM_SHARE = 0.05
"""Torque (share of the body's limit) that must be left about every axis while half of a firm push is made."""
PURE_SHARE = 0.02
"""Push for one N m of torque, in radii of gyration, below which a torque counts as pure."""
TORQUE_FIT = 0.5
"""Least share of a wanted torque that its closest fit must make for the axis to count as controllable."""
SECOND_PRICE_N_S = 5.0
"""Gross impulse that a second less is worth: 8 g of propellant, a tank of 12 kg in 24 minutes. A craft at 1 m/s drifts
1 m in it, and a turn of 90 deg at 5 deg/s weighs 90 N s, a tenth of what braking then takes."""
POINTED_RAD = radians(2.0)
"""Angle to the wanted direction at which a push may start."""
AXIS_OF_PUSH = 0.98
"""Cosine between a spinning axis and the push that it does not disturb."""
PER_STEP = 6
"""Directions surveyed in one window: about 0.5 ms."""


@dataclass(frozen=True, slots=True)
class LivePush:
    """A torque-free push that the nozzles left can make.

    ``direction`` is a unit vector of the body frame, ``force_n`` what is made of it at the least propellant, ``gross``
    the sum of all nozzles' thrusts per newton of it. ``firm``: torque about every axis, both ways, is there meanwhile.
    """

    direction: Vec3
    force_n: float
    gross: float
    firm: bool


@dataclass(frozen=True, slots=True)
class TurnAxis:
    """What torque is left about one body axis, in its weaker sense.

    ``torque_n_m`` is 0 where even the closest fit misses the axis. ``parasite`` is the push (N) that comes with one
    N m, 0 for a pure torque; ``gross`` the sum of all nozzles' thrusts per N m.
    """

    torque_n_m: float
    parasite: float
    gross: float

    @property
    def pure(self) -> bool:
        """Whether the axis can be controlled without a push."""
        return self.torque_n_m > 0.0 and self.parasite == 0.0


@dataclass(frozen=True, slots=True)
class Remaining:
    """What the nozzles left can do: live pushes of the grid, and the three body axes of torque."""

    failed: int
    pushes: tuple[LivePush, ...]
    axes: tuple[TurnAxis, TurnAxis, TurnAxis]

    def push_along(self, direction: Vec3) -> LivePush | None:
        """The push of the grid along ``direction`` (body), None if it is not live."""
        return next((p for p in self.pushes if angle_between(p.direction, direction) < 1e-6), None)


@dataclass(frozen=True, slots=True)
class PushChoice:
    """A push, the turn that brings it into the wanted direction, and what both take."""

    push: LivePush
    turn_rad: float
    seconds: float
    gross_n_s: float


class Survey:
    """Asks an allocator, a few directions at a time, what is left with the nozzles of a mask failed.

    ``advance`` takes a bounded number of directions, so that a fast loop may call it; ``authority`` is None until all
    have been asked. On an air bearing only the plane and yaw count.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, failed: int) -> None:
        self._allocator = allocator
        self._thrust = allocator.thrust
        self.failed = failed
        self.authority: Remaining | None = None
        self.planar = body.environment == "air_bearing"
        self._trim = TRIM_SHARE * body.limits.torque_max_n_m
        self._torque = 0.5 * body.limits.torque_max_n_m
        mass = body.mass.dry_kg + body.mass.propellant_kg
        inertia = body.mass.inertia_kg_m2
        self._gyration = sqrt((inertia[0][0] + inertia[1][1] + inertia[2][2]) / (3.0 * mass))
        self.axes = (self._axis(0), self._axis(1), self._axis(2))
        """Torque left about the body axes, known at once."""
        self._left = _grid(self.planar)
        self._pushes: list[LivePush] = []

    def advance(self, count: int = PER_STEP) -> Remaining | None:
        """Ask the next ``count`` directions; the result when all are known."""
        if self.authority is not None:
            return self.authority
        for direction in self._left[:count]:
            push = self.push(direction)
            if push is not None:
                self._pushes.append(push)
        self._left = self._left[count:]
        if not self._left:
            self.authority = Remaining(self.failed, tuple(self._pushes), self.axes)
        return self.authority

    def push(self, direction: Vec3) -> LivePush | None:
        """The torque-free push along a unit vector (body), None if the nozzles left cannot make it."""
        x, y, z = direction
        peak = self._allocator.peak((x, y, z, 0.0, 0.0, 0.0), self.failed)
        if not 0.0 < peak < inf:
            return None
        force = 1.0 / peak
        duty, _ = self._allocator.allocate((force * x, force * y, force * z, 0.0, 0.0, 0.0), self.failed)
        gross = float(self._thrust @ duty) / force
        half = (0.5 * force * x, 0.5 * force * y, 0.5 * force * z)
        firm = True
        for axis in (2,) if self.planar else (0, 1, 2):
            for torque in (self._trim, -self._trim):
                trim = [0.0, 0.0, 0.0]
                trim[axis] = torque
                firm = firm and self._allocator.peak((*half, *trim), self.failed) < inf
        return LivePush(direction, force, gross, firm)

    def _axis(self, axis: int) -> TurnAxis:
        if self.planar and axis != 2:
            # The table holds it.
            return TurnAxis(inf, 0.0, 0.0)
        weakest, parasite, gross = inf, 0.0, 0.0
        for torque in (self._torque, -self._torque):
            wrench = [0.0] * 6
            wrench[3 + axis] = torque
            reach = self._allocator.largest_scale(tuple(wrench), self.failed)
            if reach * self._torque >= self._trim:
                # A pure torque that is weaker than half the limit is one all the same.
                wrench[3 + axis] = torque * min(1.0, reach)
            duty, _ = self._allocator.allocate(tuple(wrench), self.failed)
            made = self._allocator.wrenches @ duty
            along = float(made[3 + axis]) * (1.0 if torque > 0.0 else -1.0)
            aside = float(np.linalg.norm(np.delete(made[3:], axis)))
            if along < TORQUE_FIT * abs(wrench[3 + axis]) or aside > 0.5 * along:
                return TurnAxis(0.0, inf, inf)
            push = float(np.linalg.norm(made[:3])) / along
            weakest = min(weakest, along)
            parasite = max(parasite, push if push * self._gyration > PURE_SHARE else 0.0)
            gross = max(gross, float(self._thrust @ duty) / along)
        return TurnAxis(weakest, parasite, gross)


def survey(body: BodyConfig, allocator: Allocator, failed: int) -> Remaining:
    """The whole survey at once: some ms."""
    work = Survey(body, allocator, failed)
    authority = work.advance(len(_grid(work.planar)))
    assert authority is not None
    return authority


def choose_push(
    authority: Remaining, wanted: Vec3, body: BodyConfig, rate_limit_rad_s: float, *, spinning: tuple[int, ...] = (),
    direct: LivePush | None = None,
) -> PushChoice | None:
    """The push that brings a velocity change (m/s, body axes, not zero) at the least propellant and time.

    ``spinning`` are body axes that are left to spin: only a push along them stays put. ``direct`` is a push along
    ``wanted`` itself that competes with those of the grid. A firm push goes before every other. None if no push is
    left.
    """
    mass = body.mass.dry_kg + body.mass.propellant_kg
    direction = unit(wanted)
    best: PushChoice | None = None
    best_score = (True, inf)
    for push in authority.pushes if direct is None else (*authority.pushes, direct):
        if any(abs(push.direction[k]) < AXIS_OF_PUSH for k in spinning):
            continue
        choice = _priced(push, direction, norm(wanted), mass, authority, body, rate_limit_rad_s)
        score = (not push.firm, choice.gross_n_s + SECOND_PRICE_N_S * choice.seconds)
        if score < best_score and isfinite(score[1]):
            best, best_score = choice, score
    return best


def _priced(
    push: LivePush, direction: Vec3, speed: float, mass: float, authority: Remaining, body: BodyConfig, limit: float
) -> PushChoice:
    turn = rotation_vector(quaternion_between(push.direction, direction))
    angle = norm(turn)
    gross = astray = seconds = 0.0
    if angle > POINTED_RAD:
        seconds = angle / limit + 2.0
        for k, part in enumerate(turn):
            axis = authority.axes[k]
            if abs(part) > 1e-3 * angle:
                # Started and stopped.
                momentum = 2.0 * body.mass.inertia_kg_m2[k][k] * limit * abs(part) / angle
                gross += axis.gross * momentum
                astray += axis.parasite * momentum
    impulse = mass * speed + astray
    return PushChoice(push, angle, seconds + impulse / push.force_n, gross + push.gross * impulse)


def _grid(planar: bool) -> list[Vec3]:
    """Unit vectors to look along: 16 of the plane, else the 26 to faces, edges and corners of a cube and the 24 halfway
    from a face to its edges."""
    if planar:
        return [(cos(a), sin(a), 0.0) for a in (2.0 * pi * k / 16 for k in range(16))]
    whole = [(x, y, z) for x, y, z in product((-1.0, 0.0, 1.0), repeat=3) if x or y or z]
    halfway = [
        (x, y, z) for x, y, z in product((-1.0, -0.4, 0.0, 0.4, 1.0), repeat=3)
        if sorted((abs(x), abs(y), abs(z))) == [0.0, 0.4, 1.0]
    ]
    return [unit(v) for v in whole + halfway]
