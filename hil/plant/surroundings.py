"""The live surroundings of one craft: where every body is at the world's time, and where a sensor looks from.

Without a scene nothing is computed and no number is drawn. Bodies fly by their script alone: nothing that the craft
does moves them, and they do not collide.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    add,
    cross,
    dot,
    multiply,
    norm,
    rotate,
    rotate_inverse,
    scale,
    subtract,
    to_matrix,
)
from hil.plant.rays import blocked, to_boxes
from hil.plant.rigid_body import RigidBody
from hil.plant.targets import Scene, Target

__all__ = ["Bodies", "Boxes", "Look", "Seat", "Surroundings"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
S_TO_NS = 1e9
NEVER_NS = 1 << 62
MU0_4PI = 1e-7
"""Of the vacuum, T m/A."""


class Bodies(NamedTuple):
    """Spheres that are there now, a row each: targets first, in the scene's order, then round obstacles.

    ``target`` is the index in the scene's targets, -1 for an obstacle. ``key`` stays a body's own for the whole flight.
    """

    position: Floats
    velocity: Floats
    radius_m: Floats
    rcs_dbsm: Floats
    target: Ints
    key: Ints


class Boxes(NamedTuple):
    """Boxes, which stand still: centre, axes as rows (inertial), half lengths, radius around, RCS, key as above."""

    position: Floats
    axes: Floats
    half_m: Floats
    reach_m: Floats
    rcs_dbsm: Floats
    key: Ints


class Look(NamedTuple):
    """Where a sensor is and how it moves: inertial m and m/s, rows of ``axes`` are its own axes, rate in its axes."""

    position: Floats
    velocity: Floats
    axes: Floats
    rate: Floats


class Seat:
    """Place of a sensor on the craft.

    Args:
        rigid: the craft.
        position_m: body frame, from the body's origin.
        orientation: sensor to body.
    """

    __slots__ = ("_arm", "_orientation", "_rigid")

    def __init__(self, rigid: RigidBody, position_m: Vec3, orientation: Quaternion = IDENTITY) -> None:
        self._rigid = rigid
        self._orientation = orientation
        self._arm = subtract(position_m, rigid.centre_of_mass_m)

    @property
    def outward(self) -> Vec3:
        """From the craft's centre of mass to the sensor, in the sensor's axes, m."""
        return rotate_inverse(self._orientation, self._arm)

    def position(self) -> Vec3:
        """Of the sensor, inertial, m."""
        return add(self._rigid.position, rotate(self._rigid.quaternion, self._arm))

    def look(self) -> Look:
        """At the world's time."""
        rigid, arm = self._rigid, self._arm
        turning = rotate(rigid.quaternion, cross(rigid.rate, arm))
        axes = np.array(to_matrix(multiply(rigid.quaternion, self._orientation))).T
        return Look(
            np.array(self.position()), np.array(add(rigid.velocity, turning)), axes,
            np.array(rotate_inverse(self._orientation, rigid.rate)),
        )


class Surroundings:
    """What is around one craft.

    Args:
        scene: what there is.
        rigid: the craft; its time is the world's.

    Attributes:
        views: what each sensor makes of it, by device; faults change these.
    """

    def __init__(self, scene: Scene, rigid: RigidBody) -> None:
        self.scene = scene
        self.empty = scene.empty
        self.views: dict[str, Any] = {}
        self.boxes = _boxes(scene)
        self._rigid = rigid
        self._start_ns = rigid.t_ns
        targets = scene.targets
        count = len(targets)
        self._position = np.array([t.position for t in targets], float).reshape(count, 3)
        self._velocity = np.array([t.velocity for t in targets], float).reshape(count, 3)
        self._epoch_ns = np.array([self._at(t.at_s) for t in targets], np.int64)
        self._appears_ns = np.array([self._at(_appears(t)) for t in targets], np.int64)
        self._vanishes_ns = np.array([self._at(t.vanishes_s) for t in targets], np.int64)
        self._radius = np.array([t.radius_m for t in targets], float)
        self._rcs = np.array([t.rcs_dbsm for t in targets], float)
        self._pushes = [
            (index, self._at(m.from_s), self._at(m.to_s), np.array(m.acceleration, float))
            for index, target in enumerate(targets) for m in target.manoeuvres
        ]
        round_ = [o for o in scene.obstacles if o.half_m is None]
        self._still = Bodies(
            np.array([o.position for o in round_], float).reshape(len(round_), 3), np.zeros((len(round_), 3)),
            np.array([o.radius_m for o in round_], float), np.array([o.rcs_dbsm for o in round_], float),
            np.full(len(round_), -1, np.int64), count + np.arange(len(round_)),
        )
        self._waiting = [index for index, target in enumerate(targets) if target.relative]
        self._known: Bodies | None = None
        self._known_ns = -1
        self._place()

    @property
    def t_ns(self) -> int:
        """The world's time."""
        return self._rigid.t_ns

    def bodies(self) -> Bodies:
        """Spheres that are there now; the same object until time moves on."""
        now_ns = self._rigid.t_ns
        if self._known is not None and self._known_ns == now_ns:
            return self._known
        if self._waiting:
            self._place()
        self._known = self._moved(now_ns)
        self._known_ns = now_ns
        return self._known

    def hidden(self, look: Look, directions: Floats, ranges: Floats, own: Ints, own_box: Ints) -> NDArray[np.bool_]:
        """Which of some points, seen from a sensor, stand behind a body: the middle line of sight decides.

        Args:
            look: of the sensor.
            directions, ranges: (n, 3) unit, inertial, and (n,).
            own, own_box: (n,): the sphere and the box that a point belongs to, -1 for none.
        """
        bodies, boxes = self.bodies(), self.boxes
        hides = np.zeros(len(ranges), bool)
        if len(bodies.radius_m):
            hides |= blocked(directions, ranges, bodies.position - look.position, bodies.radius_m, own)
        if len(boxes.reach_m):
            met = to_boxes(look.position, directions, boxes.position, boxes.axes, boxes.half_m)
            rows = np.flatnonzero(own_box >= 0)
            met[rows, own_box[rows]] = np.inf
            hides |= ((met > 0.0) & (met < ranges[:, None])).any(axis=1)
        return hides

    def field_t(self, position: Vec3) -> Vec3:
        """Magnetic flux density that the scene's dipoles add at a place, inertial, T."""
        total = (0.0, 0.0, 0.0)
        for source in self.scene.fields:
            way = subtract(position, source.position)
            distance = max(norm(way), source.core_m)
            # Inside the core the direction still comes from the place itself.
            to = scale(way, 1.0 / max(norm(way), 1e-9))
            moment = source.moment_a_m2
            value = subtract(scale(to, 3.0 * dot(to, moment)), moment)
            total = add(total, scale(value, MU0_4PI / distance**3))
        return total

    def _at(self, seconds: float) -> int:
        return NEVER_NS if seconds > 1e9 else self._start_ns + round(seconds * S_TO_NS)

    def _place(self) -> None:
        """Put the relative targets whose time has come to where they are to the craft now."""
        rigid, now_ns = self._rigid, self._rigid.t_ns
        late = []
        for index in self._waiting:
            if now_ns < self._epoch_ns[index]:
                late.append(index)
                continue
            target = self.scene.targets[index]
            self._position[index] = add(rigid.position, rotate(rigid.quaternion, target.position))
            self._velocity[index] = add(rigid.velocity, rotate(rigid.quaternion, target.velocity))
            self._epoch_ns[index] = now_ns
        self._waiting = late

    def _moved(self, now_ns: int) -> Bodies:
        there = (now_ns >= self._appears_ns) & (now_ns < self._vanishes_ns)
        if self._waiting:
            there[self._waiting] = False
        elapsed = (now_ns - self._epoch_ns) / S_TO_NS
        position = self._position + self._velocity * elapsed[:, None]
        velocity = self._velocity.copy()
        for index, begin_ns, end_ns, acceleration in self._pushes:
            pushed = (min(now_ns, end_ns) - begin_ns) / S_TO_NS
            if pushed > 0.0:
                since = max(0.0, (now_ns - end_ns) / S_TO_NS)
                velocity[index] += acceleration * pushed
                position[index] += acceleration * (0.5 * pushed * pushed + pushed * since)
        still = self._still
        rows = np.flatnonzero(there)
        return Bodies(
            np.concatenate((position[rows], still.position)), np.concatenate((velocity[rows], still.velocity)),
            np.concatenate((self._radius[rows], still.radius_m)), np.concatenate((self._rcs[rows], still.rcs_dbsm)),
            np.concatenate((rows, still.target)), np.concatenate((rows, still.key)),
        )


def _appears(target: Target) -> float:
    return max(target.appears_s, target.at_s) if target.relative else target.appears_s


def _boxes(scene: Scene) -> Boxes:
    boxes = [(o, o.half_m) for o in scene.obstacles if o.half_m is not None]
    count = len(boxes)
    return Boxes(
        np.array([o.position for o, _ in boxes], float).reshape(count, 3),
        # Rows are the box's axes: the transpose of the matrix that turns box into inertial coordinates.
        np.array([np.array(to_matrix(o.quaternion)).T for o, _ in boxes], float).reshape(count, 3, 3),
        np.array([half for _, half in boxes], float).reshape(count, 3),
        np.array([o.reach_m for o, _ in boxes], float), np.array([o.rcs_dbsm for o, _ in boxes], float),
        len(scene.targets) + len(scene.obstacles) - count + np.arange(count),
    )
