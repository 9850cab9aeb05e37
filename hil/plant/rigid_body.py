"""Rigid body under on-off thrust: integrated exactly between valve edges, fourth order in the step, unit attitude.

Frames and signs are those of hal/frames.py. Position and velocity are the centre of mass's, inertial; the rate is
the body's against the inertial frame, in body axes.

Variable mass. The inertia tensor scales with mass, J(m) = J_wet m / m_wet: propellant is taken from the body in
proportion everywhere, and what leaves takes its own angular momentum along. So m dv/dt = F and J dw/dt = T - w x J w
hold with the momentary m and J (Wertz, Spacecraft Attitude Determination and Control, 1978, section 17.4, without
jet damping), and because the gyroscopic term is linear in J, dw/dt = J_wet^-1 (T m_wet / m - w x J_wet w).

Integration. Euler's equation: classical Runge-Kutta of order 4 with its dense output for the middle of the step.
Attitude: one exponential of the order-4 Magnus series of the rate, so the quaternion stays on the unit sphere
(Iserles and Norsett, Phil. Trans. R. Soc. A 357, 1999). Velocity and position: Simpson's rule on the acceleration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import cos, exp, expm1, hypot, sin, sqrt
from typing import NamedTuple

import numpy as np

from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    add,
    conjugate,
    dot,
    multiply,
    normalise,
    quaternion_from_rotation_vector,
    rotate,
    rotation_vector,
    scale,
    subtract,
)
from hal.profile import BodyConfig
from hil.plant.propulsion import STANDARD_GRAVITY, Propulsion

__all__ = ["FreeBody", "Motion", "RigidBody", "TableBody", "rigid_body"]

ZERO: Vec3 = (0.0, 0.0, 0.0)

MAX_STEP_NS = 5_000_000
"""Longest integration step: one tick of 200 Hz."""

TABLE_DRAG_N_S_M = 0.01
TABLE_DRAG_N_M_S = 2e-4
"""Drag of an air-bearing craft. Air drag of a 0.4 m cube at 0.1 m/s, linearised: rho/2 Cd A v = 0.6 x 1.0 x 0.16 x 0.1
= 0.01 N s/m; about the vertical, the same on a mean arm of 0.14 m."""

_MANY_SEGMENTS = 256

_Acceleration = Callable[[float, float, float, float, float, float], Vec3]
_Segment = tuple[float, Vec3, Vec3, Vec3, Vec3]


class Motion(NamedTuple):
    """Position (m) and velocity (m/s) of the centre of mass, inertial; attitude body to inertial; rate (rad/s) body."""

    position: Vec3 = ZERO
    velocity: Vec3 = ZERO
    quaternion: Quaternion = IDENTITY
    rate: Vec3 = ZERO


class _Means:
    """Sums over one averaging interval: s, integrals of the products of rates (rad2/s), delta-v in body axes (m/s)."""

    __slots__ = ("seconds", "vx", "vy", "vz", "xx", "xy", "xz", "yy", "yz", "zz")

    def __init__(self) -> None:
        self.seconds = self.xx = self.yy = self.zz = self.xy = self.xz = self.yz = self.vx = self.vy = self.vz = 0.0


class RigidBody(ABC):
    """State of one craft and its motion. Public state is read freely; ``advance`` alone moves it.

    ``position`` m and ``velocity`` m/s inertial (centre of mass), ``quaternion`` body to inertial, ``rate`` rad/s body,
    ``t_ns`` time of this state, ``propulsion`` its valves and tank.
    """

    def __init__(
        self, body: BodyConfig, motion: Motion, *, t_ns: int = 0, max_step_ns: int = MAX_STEP_NS
    ) -> None:
        if max_step_ns <= 0:
            raise ValueError(f"max_step_ns is {max_step_ns}; a positive step is needed")
        self.propulsion = Propulsion(body, t_ns)
        self.centre_of_mass_m: Vec3 = body.mass.centre_of_mass_m
        self.inertia_wet: tuple[Vec3, Vec3, Vec3] = body.mass.inertia_kg_m2
        self.t_ns = t_ns
        self.position, self.velocity, self.rate = motion.position, motion.velocity, motion.rate
        self.quaternion: Quaternion = normalise(motion.quaternion)
        self._dry = body.mass.dry_kg
        self._wet = body.mass.dry_kg + body.mass.propellant_kg
        self._max_step_ns = max_step_ns
        self._extra_force: Vec3 = ZERO
        self._extra_torque: Vec3 = ZERO
        self._disturbed = False
        self._segments: list[_Segment] = []
        self._folded = _Means()
        self._start_quaternion = self.quaternion
        self._start_rate = self.rate

    @property
    def mass_kg(self) -> float:
        """Dry mass and propellant left."""
        return self._dry + self.propulsion.propellant_kg

    @property
    def inertia(self) -> tuple[Vec3, Vec3, Vec3]:
        """Inertia about the centre of mass with the propellant left, kg m2, row by row."""
        s = self.mass_kg / self._wet
        a, b, c = self.inertia_wet
        return (scale(a, s), scale(b, s), scale(c, s))

    @property
    def angular_momentum(self) -> Vec3:
        """About the centre of mass, N m s, inertial axes."""
        a, b, c = self.inertia
        return rotate(self.quaternion, (dot(a, self.rate), dot(b, self.rate), dot(c, self.rate)))

    @property
    def linear_momentum(self) -> Vec3:
        """N s, inertial axes."""
        return scale(self.velocity, self.mass_kg)

    @property
    def rotational_energy_j(self) -> float:
        """Kinetic energy of the rotation."""
        a, b, c = self.inertia
        return 0.5 * dot(self.rate, (dot(a, self.rate), dot(b, self.rate), dot(c, self.rate)))

    @property
    def kinetic_energy_j(self) -> float:
        """Kinetic energy of translation and rotation."""
        return 0.5 * self.mass_kg * dot(self.velocity, self.velocity) + self.rotational_energy_j

    def set_disturbance(self, force: Vec3, torque: Vec3) -> None:
        """Constant force (N) and torque about the centre of mass (N m), both fixed in the body; zero takes it away."""
        self._extra_force, self._extra_torque = force, torque
        self._disturbed = force != ZERO or torque != ZERO

    def advance(self, t_ns: int, *, continued: bool = False) -> None:
        """Move to ``t_ns``, with a step boundary at every moment a valve moves. Raises ValueError for going back.

        ``imu`` averages over one call, or over this and the calls before it when ``continued``.
        """
        t = self.t_ns
        if t_ns <= t:
            if t_ns < t:
                raise ValueError(f"cannot go back from {t} ns to {t_ns} ns")
            return
        if not continued:
            self._segments = []
            if self._folded.seconds:
                self._folded = _Means()
            self._start_quaternion, self._start_rate = self.quaternion, self.rate
        jets = self.propulsion
        longest = self._max_step_ns
        while t < t_ns:
            change = jets.next_change_ns
            stop = t + longest
            if stop > t_ns:
                stop = t_ns
            if stop > change:
                stop = change
            if stop > t:
                self._move((stop - t) * 1e-9)
                t = self.t_ns = stop
            if change <= t:
                jets.apply(t)
        if len(self._segments) > _MANY_SEGMENTS:
            self._fold()

    def imu(self, position: Vec3) -> tuple[Vec3, Vec3]:
        """Means over the last ``advance`` at a point of the body: rate (rad/s), specific force (m/s2), in body axes.

        The rate is the rotation vector of the whole interval over its length (so turn less than pi in it). The specific
        force is what an accelerometer at ``position`` (m, body frame) integrates in its own axes: contact forces over
        mass, the reaction to gravity, and dw/dt x r + w x (w x r) about the centre of mass; the first lever term is
        exact, the second Simpson's. Before any motion: rate and specific force of the state itself.
        """
        if not self._segments and not self._folded.seconds:
            return self.rate, self._rest_force()
        self._fold()
        m = self._folded
        rx, ry, rz = subtract(position, self.centre_of_mass_m)
        ax, ay, az = subtract(self.rate, self._start_rate)
        s = 1.0 / m.seconds
        force = (
            s * (m.vx + m.xy * ry + m.xz * rz - (m.yy + m.zz) * rx + ay * rz - az * ry),
            s * (m.vy + m.xy * rx + m.yz * rz - (m.xx + m.zz) * ry + az * rx - ax * rz),
            s * (m.vz + m.xz * rx + m.yz * ry - (m.xx + m.yy) * rz + ax * ry - ay * rx),
        )
        turn = rotation_vector(multiply(conjugate(self._start_quaternion), self.quaternion))
        return scale(turn, s), force

    def _fold(self) -> None:
        """Add the steps taken so far to the sums that ``imu`` reads."""
        m = self._folded
        for h, w0, wm, w1, dv in self._segments:
            x0, y0, z0 = w0
            x, y, z = wm
            x1, y1, z1 = w1
            s, r = h / 6.0, h * (4.0 / 6.0)
            m.seconds += h
            m.xx += s * (x0 * x0 + x1 * x1) + r * x * x
            m.yy += s * (y0 * y0 + y1 * y1) + r * y * y
            m.zz += s * (z0 * z0 + z1 * z1) + r * z * z
            m.xy += s * (x0 * y0 + x1 * y1) + r * x * y
            m.xz += s * (x0 * z0 + x1 * z1) + r * x * z
            m.yz += s * (y0 * z0 + y1 * z1) + r * y * z
            m.vx += dv[0]
            m.vy += dv[1]
            m.vz += dv[2]
        self._segments = []

    def _move(self, h: float) -> None:
        """Move by ``h`` seconds in which no valve moves; splits where the tank runs dry."""
        jets = self.propulsion
        firing = jets.firing
        if firing is not None:
            lasts = jets.propellant_kg / firing.flow_kg_s
            burn = h if lasts >= h else lasts
            self._push(
                burn, add(firing.force, self._extra_force), add(firing.torque, self._extra_torque), firing.flow_kg_s
            )
            jets.consume(burn)
            h -= burn
            if h <= 0.0:
                return
        if self._disturbed:
            self._push(h, self._extra_force, self._extra_torque, 0.0)
        else:
            self._coast(h)

    @abstractmethod
    def _coast(self, h: float) -> None:
        """Move by ``h`` seconds without thrust or disturbance."""

    @abstractmethod
    def _push(self, h: float, force: Vec3, torque: Vec3, flow: float) -> None:
        """Move by ``h`` seconds under a constant body-fixed wrench and mass flow (kg/s)."""

    @abstractmethod
    def _rest_force(self) -> Vec3:
        """Specific force at rest, body axes, m/s2."""


class FreeBody(RigidBody):
    """Six degrees of freedom in a local inertial frame in free fall: no gravity is felt."""

    def __init__(
        self, body: BodyConfig, motion: Motion, *, t_ns: int = 0, max_step_ns: int = MAX_STEP_NS
    ) -> None:
        super().__init__(body, motion, t_ns=t_ns, max_step_ns=max_step_ns)
        self._acceleration = _euler_equation(body.mass.inertia_kg_m2)

    def _coast(self, h: float) -> None:
        w0 = self.rate
        wm = self._turn(h, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0)
        x, y, z = self.position
        vx, vy, vz = self.velocity
        self.position = (x + h * vx, y + h * vy, z + h * vz)
        self._segments.append((h, w0, wm, self.rate, ZERO))

    def _push(self, h: float, force: Vec3, torque: Vec3, flow: float) -> None:
        wet = self._wet
        m0 = self._dry + self.propulsion.propellant_kg
        m1 = m0 - flow * h
        mm = 0.5 * (m0 + m1)
        q0, w0 = self.quaternion, self.rate
        wm = self._turn(h, torque[0], torque[1], torque[2], wet / m0, wet / mm, wet / m1)
        w1 = self.rate
        # Attitude in the middle of the step: the rate's quadratic through start, middle and end, integrated to h/2.
        s, c = h / 24.0, h * h / 48.0
        half_turn = (
            s * (5.0 * w0[0] + 8.0 * wm[0] - w1[0]) + c * (w0[1] * wm[2] - w0[2] * wm[1]),
            s * (5.0 * w0[1] + 8.0 * wm[1] - w1[1]) + c * (w0[2] * wm[0] - w0[0] * wm[2]),
            s * (5.0 * w0[2] + 8.0 * wm[2] - w1[2]) + c * (w0[0] * wm[1] - w0[1] * wm[0]),
        )
        ax, ay, az = rotate(q0, force)
        bx, by, bz = rotate(multiply(q0, quaternion_from_rotation_vector(half_turn)), force)
        cx, cy, cz = rotate(self.quaternion, force)
        i0, im, i1 = 1.0 / m0, 4.0 / mm, 1.0 / m1
        s = h / 6.0
        x, y, z = self.position
        vx, vy, vz = self.velocity
        # Double integral by Simpson's rule on (h - t) a(t): h/6 (h a0 + 2 h am).
        d, e = s * h * i0, s * h * 0.5 * im
        self.position = (x + h * vx + d * ax + e * bx, y + h * vy + d * ay + e * by, z + h * vz + d * az + e * bz)
        self.velocity = (
            vx + s * (i0 * ax + im * bx + i1 * cx),
            vy + s * (i0 * ay + im * by + i1 * cy),
            vz + s * (i0 * az + im * bz + i1 * cz),
        )
        k = s * (i0 + im + i1)
        self._segments.append((h, w0, wm, w1, (k * force[0], k * force[1], k * force[2])))

    def _turn(self, h: float, tx: float, ty: float, tz: float, s0: float, sm: float, s1: float) -> Vec3:
        """Advance rate and attitude under a torque times s0, sm, s1 (start, middle, end); returns the middle's rate."""
        acceleration = self._acceleration
        x, y, z = self.rate
        half = 0.5 * h
        ax, ay, az = acceleration(x, y, z, tx * s0, ty * s0, tz * s0)
        mx, my, mz = tx * sm, ty * sm, tz * sm
        bx, by, bz = acceleration(x + half * ax, y + half * ay, z + half * az, mx, my, mz)
        cx, cy, cz = acceleration(x + half * bx, y + half * by, z + half * bz, mx, my, mz)
        dx, dy, dz = acceleration(x + h * cx, y + h * cy, z + h * cz, tx * s1, ty * s1, tz * s1)
        bx, by, bz = bx + cx, by + cy, bz + cz
        s = h / 6.0
        ex, ey, ez = x + s * (ax + bx + bx + dx), y + s * (ay + by + by + dy), z + s * (az + bz + bz + dz)
        # Dense output at one half: weights 5/24, 1/6, 1/6, -1/24 (Hairer, Norsett, Wanner, Solving ODEs I, II.6).
        p, r = h * (5.0 / 24.0), h / 24.0
        mx, my, mz = x + p * ax + s * bx - r * dx, y + p * ay + s * by - r * dy, z + p * az + s * bz - r * dz
        c = h * h / 12.0
        rx = s * (x + 4.0 * mx + ex) + c * (y * ez - z * ey)
        ry = s * (y + 4.0 * my + ey) + c * (z * ex - x * ez)
        rz = s * (z + 4.0 * mz + ez) + c * (x * ey - y * ex)

        angle = sqrt(rx * rx + ry * ry + rz * rz)
        s = sin(0.5 * angle) / angle if angle > 1e-8 else 0.5
        bw, bx, by, bz = cos(0.5 * angle), s * rx, s * ry, s * rz
        aw, ax, ay, az = self.quaternion
        w = aw * bw - ax * bx - ay * by - az * bz
        i = aw * bx + ax * bw + ay * bz - az * by
        j = aw * by - ax * bz + ay * bw + az * bx
        k = aw * bz + ax * by - ay * bx + az * bw
        # One Newton step of 1/sqrt: rounding alone moves the length, by 1e-16 a step.
        n = 1.5 - 0.5 * (w * w + i * i + j * j + k * k)
        self.quaternion = (n * w, n * i, n * j, n * k)
        self.rate = (ex, ey, ez)
        return (mx, my, mz)

    def _rest_force(self) -> Vec3:
        return ZERO


class TableBody(RigidBody):
    """Three degrees of freedom on a level air-bearing table: x, y and yaw. The table holds height, roll and pitch.

    Its reaction carries the weight, so an accelerometer feels +9.80665 m/s2 along +Z. Drag is linear in speed and
    yaw rate. Raises ValueError for an initial state that is not level.
    """

    def __init__(
        self, body: BodyConfig, motion: Motion, *, t_ns: int = 0, max_step_ns: int = MAX_STEP_NS,
        drag_n_s_m: float = TABLE_DRAG_N_S_M, drag_n_m_s: float = TABLE_DRAG_N_M_S,
    ) -> None:
        super().__init__(body, motion, t_ns=t_ns, max_step_ns=max_step_ns)
        if hypot(self.quaternion[1], self.quaternion[2]) > 1e-6:
            raise ValueError("an air-bearing table holds roll and pitch level: only yaw may differ from zero")
        if abs(self.velocity[2]) > 1e-9 or hypot(self.rate[0], self.rate[1]) > 1e-9:
            raise ValueError("an air-bearing table allows no vertical speed, roll rate or pitch rate")
        self._drag, self._turn_drag = drag_n_s_m, drag_n_m_s
        self._yaw = rotation_vector((self.quaternion[0], 0.0, 0.0, self.quaternion[3]))[2]
        self._moment = self.inertia_wet[2][2]
        self._store(self._yaw, self.rate[2])

    def _coast(self, h: float) -> None:
        w0, yaw = self.rate, self._yaw
        m = self._dry + self.propulsion.propellant_kg
        vx, vy, _ = self.velocity
        decay = self._drag / m
        k = -expm1(-decay * h) / decay if decay > 0.0 else h
        stay = 1.0 - decay * k
        x, y, z = self.position
        self.position = (x + k * vx, y + k * vy, z)
        self.velocity = (stay * vx, stay * vy, 0.0)

        decay = self._turn_drag * self._wet / (self._moment * m)
        k = -expm1(-decay * h) / decay if decay > 0.0 else h
        wm = (0.0, 0.0, w0[2] * exp(-0.5 * decay * h))
        self._store(yaw + k * w0[2], (1.0 - decay * k) * w0[2])
        self._log(h, yaw, w0, wm, (stay - 1.0) * vx, (stay - 1.0) * vy)

    def _push(self, h: float, force: Vec3, torque: Vec3, flow: float) -> None:
        m0 = self._dry + self.propulsion.propellant_kg
        m1 = m0 - flow * h
        mm = 0.5 * (m0 + m1)
        yaw, w0 = self._yaw, self.rate
        w = w0[2]
        x, y, z = self.position
        vx, vy, _ = self.velocity
        half, s = 0.5 * h, h / 6.0
        fx, fy = force[0], force[1]
        drag, turn_drag, moment = self._drag, self._turn_drag, self._moment / self._wet

        def slope(turn: float, wz: float, ux: float, uy: float, m: float) -> Vec3:
            c, n = cos(turn), sin(turn)
            return (
                (c * fx - n * fy - drag * ux) / m, (n * fx + c * fy - drag * uy) / m,
                (torque[2] - turn_drag * wz) / (moment * m),
            )

        ax, ay, aw = slope(yaw, w, vx, vy, m0)
        w2, ux2, uy2 = w + half * aw, vx + half * ax, vy + half * ay
        bx, by, bw = slope(yaw + half * w, w2, ux2, uy2, mm)
        w3, ux3, uy3 = w + half * bw, vx + half * bx, vy + half * by
        cx, cy, cw = slope(yaw + half * w2, w3, ux3, uy3, mm)
        w4, ux4, uy4 = w + h * cw, vx + h * cx, vy + h * cy
        dx, dy, dw = slope(yaw + h * w3, w4, ux4, uy4, m1)
        gx, gy = s * (ax + 2.0 * (bx + cx) + dx), s * (ay + 2.0 * (by + cy) + dy)
        self.position = (x + s * (vx + 2.0 * (ux2 + ux3) + ux4), y + s * (vy + 2.0 * (uy2 + uy3) + uy4), z)
        self.velocity = (vx + gx, vy + gy, 0.0)
        wm = (0.0, 0.0, w + h * ((5.0 / 24.0) * aw + (bw + cw) / 6.0 - dw / 24.0))
        self._store(yaw + s * (w + 2.0 * (w2 + w3) + w4), w + s * (aw + 2.0 * (bw + cw) + dw))
        self._log(h, yaw, w0, wm, gx, gy)

    def _store(self, yaw: float, w: float) -> None:
        self._yaw = yaw
        self.quaternion = (cos(0.5 * yaw), 0.0, 0.0, sin(0.5 * yaw))
        self.rate = (0.0, 0.0, w)

    def _log(self, h: float, yaw: float, w0: Vec3, wm: Vec3, gx: float, gy: float) -> None:
        """Keep the step for ``imu``: velocity change in the axes of its middle, and the table's reaction to gravity."""
        turn = 0.5 * (yaw + self._yaw)
        c, n = cos(turn), sin(turn)
        self._segments.append((h, w0, wm, self.rate, (c * gx + n * gy, c * gy - n * gx, STANDARD_GRAVITY * h)))

    def _rest_force(self) -> Vec3:
        return (0.0, 0.0, STANDARD_GRAVITY)


def rigid_body(
    body: BodyConfig, motion: Motion | None = None, *, t_ns: int = 0, max_step_ns: int = MAX_STEP_NS
) -> RigidBody:
    """The rigid body that fits ``body.environment``; at rest at the origin unless ``motion`` says otherwise."""
    kind = TableBody if body.environment == "air_bearing" else FreeBody
    return kind(body, Motion() if motion is None else motion, t_ns=t_ns, max_step_ns=max_step_ns)


def _euler_equation(inertia: tuple[Vec3, Vec3, Vec3]) -> _Acceleration:
    """Angular acceleration J^-1 (T - w x J w) as a function of wx, wy, wz, Tx, Ty, Tz, unrolled for this J."""
    (a, d, e), (_, b, f), (_, _, c) = inertia
    if d == e == f == 0.0:
        ia, ib, ic = 1.0 / a, 1.0 / b, 1.0 / c
        bc, ca, ab = (b - c) * ia, (c - a) * ib, (a - b) * ic

        def diagonal(x: float, y: float, z: float, tx: float, ty: float, tz: float) -> Vec3:
            return (ia * tx + bc * y * z, ib * ty + ca * z * x, ic * tz + ab * x * y)

        return diagonal
    inverse = np.linalg.inv(np.array(inertia))
    ia, ib, ic = float(inverse[0, 0]), float(inverse[1, 1]), float(inverse[2, 2])
    id_, ie, if_ = float(inverse[0, 1]), float(inverse[0, 2]), float(inverse[1, 2])

    def full(x: float, y: float, z: float, tx: float, ty: float, tz: float) -> Vec3:
        hx, hy, hz = a * x + d * y + e * z, d * x + b * y + f * z, e * x + f * y + c * z
        tx += hy * z - hz * y
        ty += hz * x - hx * z
        tz += hx * y - hy * x
        return (ia * tx + id_ * ty + ie * tz, id_ * tx + ib * ty + if_ * tz, ie * tx + if_ * ty + ic * tz)

    return full
