"""Multiplicative extended Kalman filter of attitude and gyro bias; every refused observation is counted, none is
silent.

The state error is (delta-theta, delta-b): ``q_true = q exp(delta-theta)`` with the angle in body axes, and
``b_true = b + delta-b``. Sources: Lefferts, Markley and Shuster, "Kalman filtering for spacecraft attitude
estimation", JGCD 5(5), 1982; Markley, "Attitude error representations for Kalman filtering", JGCD 26(2), 2003.

The attitude is kept as ``q = c g``: ``g`` integrates the gyro from start and never jumps, ``c`` collects the
corrections. So a late observation is compared with the attitude at its own time, and motion before the first fix has a
frame of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, hypot, pi, radians, sin, sqrt

import numpy as np
import numpy.typing as npt

from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    add,
    angle_between,
    conjugate,
    cross,
    dot,
    multiply,
    normalise,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    rotation_vector,
    to_matrix,
    unit,
)

__all__ = ["GyroNoise", "Mekf", "UpdateCounters", "triad"]

Array = npt.NDArray[np.float64]

GATE_1 = 15.1
GATE_2 = 18.4
GATE_3 = 21.1
"""Chi-square quantiles at 0.9999 for one, two and three degrees of freedom."""
REFUSALS_TO_REACQUIRE = 6
"""Attitude fixes refused in a row, agreeing with each other, after which the filter and not the sensor is doubted."""
TRIAD_LEAST_ANGLE = radians(15.0)
RING = 512
"""Past attitudes kept: 2.5 s at 200 Hz, 1 s at 500 Hz."""


@dataclass(frozen=True, slots=True)
class GyroNoise:
    """One-sigma errors of the rate sensor, per axis.

    Defaults: CANON section 7 (0.01 deg/s/rtHz, one-sided, so 0.01 / sqrt 2 deg per root second), ADIS16470 data sheet
    (turn-on 0.2 deg/s; 8 deg/h in-run over about 300 s; scale and axes within 0.15 %).
    """

    random_walk_rad_rts: float = radians(0.01) / sqrt(2.0)
    bias_start_rad_s: float = radians(0.25)
    bias_walk_rad_s_rts: float = 4e-6
    scale: float = 1.5e-3


@dataclass(slots=True)
class UpdateCounters:
    """Observations by what became of them, and the last normalised innovation squared."""

    accepted: int = 0
    refused: int = 0
    too_old: int = 0
    reacquired: int = 0
    last_nis: float = 0.0
    nis_sum: float = 0.0


def triad(first: tuple[Vec3, Vec3], second: tuple[Vec3, Vec3]) -> Quaternion | None:
    """Rotation that takes the first vector of each pair to the second, exact for the first pair.

    Black, "A passive system for determining the attitude of a satellite", AIAA Journal 2(7), 1964. None if the two
    directions are closer than 15 degrees to a line.
    """
    (a1, a2), (b1, b2) = first, second
    for u, v in ((a1, b1), (a2, b2)):
        angle = angle_between(u, v)
        if not TRIAD_LEAST_ANGLE < angle < pi - TRIAD_LEAST_ANGLE:
            return None
    frames = []
    for u, v in ((a1, b1), (a2, b2)):
        x = unit(u)
        y = unit(cross(x, v))
        frames.append(np.array([x, y, cross(x, y)]).T)
    return _from_matrix(frames[1] @ frames[0].T)


def _from_matrix(m: Array) -> Quaternion:
    """Quaternion of a rotation matrix (Shepperd, J. Guidance and Control 1(3), 1978)."""
    trace = float(m[0, 0] + m[1, 1] + m[2, 2])
    squares = (trace, float(m[0, 0]), float(m[1, 1]), float(m[2, 2]))
    best = squares.index(max(squares))
    if best == 0:
        q = (1.0 + trace, float(m[2, 1] - m[1, 2]), float(m[0, 2] - m[2, 0]), float(m[1, 0] - m[0, 1]))
    else:
        i = best - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        parts = [0.0, 0.0, 0.0]
        parts[i] = 1.0 + float(m[i, i] - m[j, j] - m[k, k])
        parts[j] = float(m[j, i] + m[i, j])
        parts[k] = float(m[k, i] + m[i, k])
        q = (float(m[k, j] - m[j, k]), parts[0], parts[1], parts[2])
    return normalise(q)


class Mekf:
    """Attitude and gyro bias. ``propagate`` every fast tick; the covariance follows when it is needed.

    Until a fix or two vectors have set the attitude, ``known`` is False, ``quaternion`` is relative to the attitude at
    start and ``sigma_attitude_rad`` is pi.
    """

    def __init__(self, noise: GyroNoise | None = None) -> None:
        self.noise = noise if noise is not None else GyroNoise()
        self.known = False
        self.bias: Vec3 = (0.0, 0.0, 0.0)
        self.quaternion: Quaternion = IDENTITY
        """Body to inertial (to the attitude at start while not ``known``)."""
        self.attitude_updates = UpdateCounters()
        self.vector_updates = UpdateCounters()
        self._correction: Quaternion = IDENTITY
        self._integrated: Quaternion = IDENTITY
        self._p: Array = np.diag([pi**2] * 3 + [self.noise.bias_start_rad_s**2] * 3)
        self._p_integrated: Quaternion = IDENTITY
        self._p_elapsed = 0.0
        self._turned = 0.0
        self._turned_counted = 0.0
        self._ring_t = [0] * RING
        self._ring_g: list[Quaternion] = [IDENTITY] * RING
        self._head = 0
        self._count = 0
        self._seen: dict[str, tuple[Vec3, Vec3, float]] = {}
        self._doubts: list[Quaternion] = []

    def propagate(self, now_ns: int, dt_s: float, rate: Vec3) -> None:
        """Turn by the measured mean rate (rad/s, body) of the last ``dt_s`` seconds."""
        bx, by, bz = self.bias
        h = 0.5 * dt_s
        x, y, z = (rate[0] - bx) * h, (rate[1] - by) * h, (rate[2] - bz) * h
        half = hypot(x, y, z)
        s = sin(half) / half if half > 1e-9 else 1.0
        w = cos(half)
        x, y, z = x * s, y * s, z * s
        gw, gx, gy, gz = self._integrated
        nw = gw * w - gx * x - gy * y - gz * z
        nx = gw * x + gx * w + gy * z - gz * y
        ny = gw * y - gx * z + gy * w + gz * x
        nz = gw * z + gx * y - gy * x + gz * w
        # First-order renormalisation: exact to 1e-16 at the drift of one step.
        s = 1.5 - 0.5 * (nw * nw + nx * nx + ny * ny + nz * nz)
        g = self._integrated = (nw * s, nx * s, ny * s, nz * s)
        self.quaternion = multiply(self._correction, g)
        self._p_elapsed += dt_s
        self._turned += 2.0 * half
        head = self._head = (self._head + 1) % RING
        self._ring_t[head] = now_ns
        self._ring_g[head] = g
        self._count += 1

    def predict_covariance(self) -> None:
        """Bring the covariance to the time of the last ``propagate``; at the medium rate, and before each update."""
        dt = self._p_elapsed
        if dt <= 0.0:
            return
        turn = np.array(to_matrix(multiply(conjugate(self._p_integrated), self._integrated))).T
        phi = np.eye(6)
        phi[:3, :3] = turn
        phi[:3, 3:] = -0.5 * dt * (np.eye(3) + turn)
        p = phi @ self._p @ phi.T
        n = self.noise
        # A scale error is the same through a whole turn, so its angle grows with the turn, not with its root.
        scale = n.scale**2 * (self._turned**2 - self._turned_counted**2)
        angle = n.random_walk_rad_rts**2 * dt + scale
        walk = n.bias_walk_rad_s_rts**2 * dt
        p[range(3), range(3)] += angle
        p[range(3, 6), range(3, 6)] += walk
        if not self.known:
            p[:3, :3] = np.eye(3) * pi**2
            p[:3, 3:] = 0.0
            p[3:, :3] = 0.0
        self._p = p
        self._turned_counted = self._turned
        self._p_integrated = self._integrated
        self._p_elapsed = 0.0

    def inflate(self, angle_rad: float, bias_rad_s: float = 0.0) -> None:
        """Admit further error, one sigma per axis: after a gap in the gyro's samples, say."""
        self.predict_covariance()
        self._p[range(3), range(3)] += angle_rad**2
        self._p[range(3, 6), range(3, 6)] += bias_rad_s**2

    @property
    def integrated(self) -> Quaternion:
        """Body to the attitude at start by the gyro alone: turned by no correction."""
        return self._integrated

    @property
    def covariance(self) -> Array:
        """6 x 6, rad2 and rad2/s2, attitude error before bias, body axes; as of the last ``predict_covariance``."""
        return self._p

    @property
    def sigma_attitude_rad(self) -> float:
        """One sigma about the worst-known axis, rad; pi while the attitude is unknown."""
        if not self.known:
            return pi
        return float(np.sqrt(np.linalg.eigvalsh(self._p[:3, :3])[-1]))

    @property
    def sigma_bias_rad_s(self) -> float:
        """One sigma of the worst-known bias component, rad/s."""
        return float(np.sqrt(self._p[range(3, 6), range(3, 6)].max()))

    def nees(self, quaternion: Quaternion, bias: Vec3) -> float:
        """Normalised estimation error squared against the truth (six degrees of freedom)."""
        angle = rotation_vector(multiply(conjugate(self.quaternion), quaternion))
        error = np.array([*angle, *(bias[i] - self.bias[i] for i in range(3))])
        return float(error @ np.linalg.solve(self._p, error))

    def update_attitude(self, quaternion: Quaternion, sigma_rad: float, age_ns: int = 0) -> bool:
        """Compare with a measured attitude (body to inertial) that is ``age_ns`` old now. Returns whether it was taken.

        The first one sets the attitude. Later ones pass a gate; six refusals in a row that agree with each other set
        the attitude anew.
        """
        past = self._at(self._ring_t[self._head] - age_ns)
        if past is None:
            self.attitude_updates.too_old += 1
            return False
        age = age_ns * 1e-9
        if not self.known:
            self._set(multiply(quaternion, conjugate(past)), np.eye(3) * sigma_rad**2, age)
            self.attitude_updates.accepted += 1
            return True
        self.predict_covariance()
        then = rotation_vector(multiply(conjugate(multiply(self._correction, past)), quaternion))
        z = np.array(rotate_inverse(self._integrated, rotate(past, then)))
        h = np.zeros((3, 6))
        h[:, :3] = np.eye(3)
        h[:, 3:] = np.eye(3) * age
        r = np.eye(3) * (sigma_rad**2 + self.noise.random_walk_rad_rts**2 * age)
        if self._update(z, h, r, GATE_3, self.attitude_updates):
            self._doubts.clear()
            self._turned = self._turned_counted = 0.0
            return True
        # What the correction would have to be, free of the motion since: fixes that agree give the same.
        wanted = multiply(quaternion, conjugate(past))
        if self._doubts and 2.0 * hypot(*multiply(conjugate(self._doubts[0]), wanted)[1:]) > 10.0 * sigma_rad + 0.005:
            self._doubts.clear()
        self._doubts.append(wanted)
        if len(self._doubts) >= REFUSALS_TO_REACQUIRE:
            self._set(wanted, np.eye(3) * sigma_rad**2, age)
            # Whatever led astray, the bias may be part of it.
            self._p[range(3, 6), range(3, 6)] += self.noise.bias_start_rad_s**2
            self.attitude_updates.reacquired += 1
            return True
        return False

    def update_vector(self, body: Vec3, inertial: Vec3, sigma_rad: float, kind: str = "vector") -> bool:
        """Compare a measured direction (body) with where it is known to be (inertial). Returns whether it was taken.

        ``sigma_rad`` is per axis across the direction. While the attitude is unknown, the newest of each ``kind`` is
        kept, and two of different kinds and directions set it.
        """
        if not self.known:
            return self._start_from_vectors(body, inertial, sigma_rad, kind)
        self.predict_covariance()
        expected = rotate_inverse(self.quaternion, unit(inertial))
        measured = unit(body)
        side = (1.0, 0.0, 0.0) if abs(expected[0]) < 0.7 else (0.0, 1.0, 0.0)
        t1 = unit(cross(expected, side))
        t2 = cross(expected, t1)
        h = np.zeros((2, 6))
        h[0, :3] = cross(t1, expected)
        h[1, :3] = cross(t2, expected)
        z = np.array([dot(t1, measured), dot(t2, measured)])
        if dot(measured, expected) < 0.0:
            # Beyond a right angle the projections shrink again; such a direction can't belong to this attitude.
            z = z / max(1e-9, float(np.hypot(z[0], z[1]))) * 2.0
        return self._update(z, h, np.eye(2) * sigma_rad**2, GATE_2, self.vector_updates)

    def update_heading(self, body: Vec3, inertial: Vec3, sigma_rad: float) -> bool:
        """Compare only the azimuth of a direction about the inertial Z axis; its tilt is left to better sensors.

        Ignored while the attitude is unknown or the direction stands within 10 degrees of the vertical.
        """
        if not self.known:
            return False
        seen = rotate(self.quaternion, unit(body))
        flat = hypot(seen[0], seen[1]) * hypot(inertial[0], inertial[1])
        if hypot(seen[0], seen[1]) < 0.17 or flat == 0.0:
            return False
        self.predict_covariance()
        sine = (seen[0] * inertial[1] - seen[1] * inertial[0]) / flat
        cosine = (seen[0] * inertial[0] + seen[1] * inertial[1]) / flat
        h = np.zeros((1, 6))
        h[0, :3] = rotate_inverse(self.quaternion, (0.0, 0.0, 1.0))
        return self._update(
            np.array([np.arctan2(sine, cosine)]), h, np.array([[sigma_rad**2]]), GATE_1, self.vector_updates
        )

    def set_attitude(self, quaternion: Quaternion, sigma_rad: float) -> None:
        """Take this attitude as the present one, whatever was known before."""
        self._set(multiply(quaternion, conjugate(self._integrated)), np.eye(3) * sigma_rad**2, 0.0)

    def _start_from_vectors(self, body: Vec3, inertial: Vec3, sigma: float, kind: str) -> bool:
        # Kept in the integrated frame, so the two need not be measured at one moment.
        self._seen[kind] = (rotate(self._integrated, unit(body)), unit(inertial), sigma)
        if len(self._seen) < 2:
            return False
        (a, ai, sa), (b, bi, sb) = sorted(self._seen.values(), key=lambda seen: seen[2])[:2]
        correction = triad((a, ai), (b, bi))
        if correction is None:
            return False
        x, y = np.array(rotate_inverse(self._integrated, a)), np.array(rotate_inverse(self._integrated, b))
        information = (np.eye(3) - np.outer(x, x)) / sa**2 + (np.eye(3) - np.outer(y, y)) / sb**2
        self._set(correction, np.linalg.inv(information), 0.0)
        self._seen.clear()
        self.vector_updates.accepted += 1
        return True

    def _set(self, correction: Quaternion, covariance: npt.NDArray[np.floating], age_s: float) -> None:
        self.predict_covariance()
        self._correction = normalise(correction)
        self.quaternion = multiply(self._correction, self._integrated)
        bias = np.diag(self._p[range(3, 6), range(3, 6)])
        self._p = np.zeros((6, 6))
        self._p[:3, :3] = covariance + bias * age_s**2
        self._p[:3, 3:] = self._p[3:, :3] = -bias * age_s
        self._p[3:, 3:] = bias
        self._turned = self._turned_counted = 0.0
        self._doubts.clear()
        self.known = True

    def _update(self, z: Array, h: Array, r: Array, gate: float, counters: UpdateCounters) -> bool:
        p = self._p
        s = h @ p @ h.T + r
        gain = np.linalg.solve(s, h @ p).T
        nis = float(z @ np.linalg.solve(s, z))
        counters.last_nis = nis
        if nis > gate:
            counters.refused += 1
            return False
        counters.accepted += 1
        counters.nis_sum += nis
        x = (gain @ z).tolist()
        left = np.eye(6) - gain @ h
        p = left @ p @ left.T + gain @ r @ gain.T
        angle = (x[0], x[1], x[2])
        q = normalise(multiply(self.quaternion, quaternion_from_rotation_vector(angle)))
        # The error is now counted from the corrected attitude (Markley 2003, reset).
        half = quaternion_from_rotation_vector((0.5 * x[0], 0.5 * x[1], 0.5 * x[2]))
        reset = np.eye(6)
        reset[:3, :3] = np.array(to_matrix(half)).T
        p = reset @ p @ reset.T
        self._p = 0.5 * (p + p.T)
        self._correction = normalise(multiply(q, conjugate(self._integrated)))
        self.quaternion = q
        self.bias = add(self.bias, (x[3], x[4], x[5]))
        return True

    def _at(self, t_ns: int) -> Quaternion | None:
        """Integrated attitude at a past time, between two ticks by interpolation; None beyond the ring."""
        ring_t, ring_g, head = self._ring_t, self._ring_g, self._head
        if not self._count:
            return self._integrated
        if t_ns >= ring_t[head]:
            return ring_g[head]
        later = head
        for back in range(1, min(self._count, RING)):
            index = (head - back) % RING
            if ring_t[index] <= t_ns:
                span = ring_t[later] - ring_t[index]
                share = (t_ns - ring_t[index]) / span if span else 0.0
                a, b = ring_g[index], ring_g[later]
                return normalise((
                    a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2]),
                    a[3] + share * (b[3] - a[3]),
                ))
            later = index
        return None
