"""Multiplicative extended Kalman filter of attitude, gyro bias and the gyro's scale and axes; what is refused is named
and counted, and no input makes its state anything but finite and its covariance anything but positive definite.

The gyro reports ``(1 + D) w + b``; the diagonal of ``D`` is scale, the rest axes out of square. The state error is
(delta-theta, delta-b, delta-D by rows): ``q_true = q exp(delta-theta)`` with the angle in body axes, ``b_true = b +
delta-b``, ``D_true = D + delta-D``. ``D`` shows itself only in turns; until then it is carried at its prior, so that
the attitude's sigma grows with a turn as it should and comes back with its end. Sources: Lefferts, Markley and Shuster,
"Kalman filtering for spacecraft attitude estimation", JGCD 5(5), 1982; Markley, "Attitude error representations for
Kalman filtering", JGCD 26(2), 2003; scale and axes as states: Pittelkau, "Kalman filtering for spacecraft system
alignment calibration", JGCD 24(6), 2001.

The attitude is kept as ``q = c g``: ``g`` integrates the gyro from start and never jumps, ``c`` collects the
corrections. So a late observation is compared with the attitude at its own time, and motion before the first fix has a
frame of its own. What has been learnt of the gyro since that time is taken back out of the way between: ``g`` has not
been told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from math import hypot, isfinite, pi, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.attitude_covariance import EYE3, STATES, Array, AttitudeCovariance, GyroNoise, lag
from firmware_py.gnc.attitude_history import RING, AttitudeHistory
from firmware_py.gnc.consistency import (
    GATE_1,
    GATE_2,
    GATE_3,
    InnovationWindow,
    Refusal,
    UpdateCounters,
    direction_refusal,
    no_refusals,
    quaternion_refusal,
    sigma_refusal,
)
from firmware_py.gnc.triad import triad
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    conjugate,
    cross,
    dot,
    multiply,
    normalise,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    rotation_angle,
    rotation_vector,
    unit,
)

__all__ = ["MAX_RATE_RAD_S", "MAX_STEP_S", "Mekf"]

REFUSALS_TO_REACQUIRE = 6
"""Attitude fixes refused in a row, agreeing with each other, after which the filter and not the sensor is doubted."""
AGREE_SIGMAS = 6.0
AGREE_RAD = 0.005
"""Two fixes agree within so many sigmas of both and of the bias at start, and what three axes and the mounting add."""
MOST_SWEPT_RAD = 0.5
"""Turn after which the covariance must follow: it takes a turn as one, which holds for small ones."""
MAX_STEP_S = 1.0
"""Longest step that one sample may stand for."""
MAX_RATE_RAD_S = 100.0
"""Component of a rate beyond which no gyro of such a craft measures (ADIS16470: 35 rad/s)."""
LEAST_SIGMA_RAD = 1e-6
"""Sigmas below are taken for this: 0.2 arc seconds, the best star trackers, and well above rounding."""
MATRIX_LIMIT = 3.0
"""Sigmas of their prior to which scale and axes are held."""


class _Learnt(NamedTuple):
    """A correction of what is known of the gyro: when, the integrated attitude then, of bias, and of ``D`` by rows."""

    t_ns: int
    integrated: Quaternion
    bias: Vec3
    matrix: tuple[float, ...]


class Mekf:
    """Attitude, gyro bias, gyro scale and axes. ``propagate`` every fast tick; the covariance follows at need.

    Until a fix or two vectors have set the attitude, ``known`` is False, ``quaternion`` is relative to the attitude at
    start and ``sigma_attitude_rad`` is pi.

    Args:
        noise: error figures of the gyro.
        refusals: counter by reason, shared with others if given.
    """

    def __init__(self, noise: GyroNoise | None = None, refusals: dict[Refusal, int] | None = None) -> None:
        n = self.noise = noise if noise is not None else GyroNoise()
        self.refusals = refusals if refusals is not None else no_refusals()
        self.known = False
        self.bias: Vec3 = (0.0, 0.0, 0.0)
        """rad/s."""
        self.distortion: tuple[float, ...] = (0.0,) * 9
        """``D`` by rows: diagonal scale (share by which the gyro reports too much), else rad."""
        self.rate: Vec3 = (0.0, 0.0, 0.0)
        """Mean rate of the last step without all of these errors, rad/s, body."""
        self.quaternion: Quaternion = IDENTITY
        """Body to inertial (to the attitude at start while not ``known``)."""
        self.attitude_updates = UpdateCounters()
        self.vector_updates = UpdateCounters()
        self.windows: dict[str, InnovationWindow] = {}
        """Recent innovations by kind of observation."""
        self._undistort: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        self._correction: Quaternion = IDENTITY
        matrix = np.where(EYE3 > 0.0, n.scale, n.misalignment_rad).ravel()
        self._matrix_limit: Array = MATRIX_LIMIT * matrix
        self._errors = AttitudeCovariance(n)
        self._p_integrated: Quaternion = IDENTITY
        self._p_elapsed = 0.0
        self._swept = 0.0
        self._since_exposure_s = 0.0
        self._history = AttitudeHistory()
        self._learnt: deque[_Learnt] = deque(maxlen=RING)
        self._seen: dict[str, tuple[Vec3, Vec3, float]] = {}
        self._doubts: list[tuple[int, Quaternion]] = []

    def propagate(self, now_ns: int, dt_s: float, rate: Vec3) -> bool:
        """Turn by the measured mean rate (rad/s, body) of the last ``dt_s`` seconds. Returns whether it was used: a
        step that is not above zero or too long, and a rate that is no rate, are counted and leave the state.
        """
        x, y, z = rate if len(rate) == 3 else (MAX_RATE_RAD_S,) * 3
        m = MAX_RATE_RAD_S
        if not (0.0 < dt_s <= MAX_STEP_S and -m < x < m and -m < y < m and -m < z < m):
            self._refuse_step(dt_s, rate)
            return False
        bx, by, bz = self.bias
        x, y, z = x - bx, y - by, z - bz
        xx, xy, xz, yx, yy, yz, zx, zy, zz = self._undistort
        self.rate = (xx * x + xy * y + xz * z, yx * x + yy * y + yz * z, zx * x + zy * y + zz * z)
        self._turn(now_ns, dt_s, self.rate)
        return True

    def coast(self, now_ns: int, dt_s: float, rate: Vec3) -> None:
        """Turn by a rate (rad/s, body) that comes from elsewhere than the gyro and is free of its errors. ``dt_s`` must
        be above 0; the doubt about that rate is told with ``inflate``.
        """
        self.rate = rate
        self._turn(now_ns, dt_s, rate)

    def _turn(self, now_ns: int, dt_s: float, rate: Vec3) -> None:
        history = self._history
        if not history.in_order(now_ns):
            # A clock that went back: what was before can no longer be looked up.
            self.refusals[Refusal.TIME_STEP] += 1
            self._learnt.clear()
        self._swept += history.turn(now_ns, dt_s, rate)
        self.quaternion = multiply(self._correction, history.quaternion)
        self._p_elapsed += dt_s
        if self._swept > MOST_SWEPT_RAD:
            self.predict_covariance()

    def _refuse_step(self, dt_s: float, rate: Sequence[float]) -> None:
        if not 0.0 < dt_s <= MAX_STEP_S:
            reason = Refusal.TIME_STEP
        elif len(rate) != 3:
            reason = Refusal.LENGTH
        elif not all(isfinite(part) for part in rate):
            reason = Refusal.NOT_FINITE
        else:
            reason = Refusal.OUT_OF_RANGE
        self.refusals[reason] += 1
        if isfinite(dt_s) and dt_s > MAX_STEP_S:
            # That time has passed all the same, at about the last rate.
            self.inflate(min(pi, hypot(*self.rate) * dt_s + self.sigma_bias_rad_s * dt_s))

    def predict_covariance(self) -> None:
        """Bring the covariance to the time of the last ``propagate``; at the medium rate, and before each update."""
        dt = self._p_elapsed
        if dt <= 0.0:
            return
        step = multiply(conjugate(self._p_integrated), self._history.quaternion) if self.known else None
        self._errors.predict(step, dt)
        self._since_exposure_s += dt
        self._p_integrated = self._history.quaternion
        self._p_elapsed = self._swept = 0.0

    def inflate(self, angle_rad: float, bias_rad_s: float = 0.0) -> None:
        """Admit further error, one sigma per axis: after a gap in the gyro's samples, say."""
        self.predict_covariance()
        self._errors.inflate(angle_rad, bias_rad_s)

    def change_gyro(self, bias: Vec3, bias_rad_s: float) -> None:
        """Another gyro from the next sample on, of a bias (rad/s) known to one sigma: what was learnt of the last is
        void, the attitude is not."""
        self.predict_covariance()
        self.bias = bias
        self.distortion = (0.0,) * 9
        self._undistort = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        self._learnt.clear()
        self._errors.forget_gyro(bias_rad_s)

    @property
    def integrated(self) -> Quaternion:
        """Body to the attitude at start by the gyro alone: turned by no correction."""
        return self._history.quaternion

    @property
    def covariance(self) -> Array:
        """15 x 15, rad2, rad2/s2 and 1: attitude error, bias, ``D`` by rows; as of the last ``predict_covariance``."""
        return self._errors.matrix

    @property
    def sigma_attitude_rad(self) -> float:
        """One sigma about the worst-known axis, rad; pi while the attitude is unknown."""
        if not self.known:
            return pi
        return self._errors.sigma_angle_rad

    @property
    def sigma_bias_rad_s(self) -> float:
        """One sigma of the worst-known bias component, rad/s."""
        return self._errors.sigma_bias_rad_s

    @property
    def scale(self) -> Vec3:
        """Share by which the gyro reports too much, by axis."""
        return (self.distortion[0], self.distortion[4], self.distortion[8])

    @property
    def sigma_scale(self) -> Vec3:
        """One sigma of ``scale``."""
        x, y, z = np.sqrt(self.covariance.diagonal()[6::4]).tolist()
        return (x, y, z)

    def attitude_at(self, age_ns: int) -> Quaternion | None:
        """Present best knowledge of the attitude ``age_ns`` before the last step; None beyond the memory (2.5 s)."""
        past = self._history.at(age_ns)
        return past if past is None else multiply(self._correction, self._mended(past, age_ns))

    def nees(self, quaternion: Quaternion, bias: Vec3, distortion: Sequence[float] | None = None) -> float:
        """Normalised estimation error squared against the truth: six degrees of freedom, 15 with ``distortion``
        (nine figures)."""
        self.predict_covariance()
        parts = [*rotation_vector(multiply(conjugate(self.quaternion), quaternion))]
        parts += [b - mine for b, mine in zip(bias, self.bias, strict=True)]
        if distortion is not None:
            parts += [d - mine for d, mine in zip(distortion, self.distortion, strict=True)]
        return self._errors.nees(parts)

    def update_attitude(self, quaternion: Quaternion, sigma_rad: float, age_ns: int = 0) -> bool:
        """Compare with a measured attitude (body to inertial) that is ``age_ns`` old now. Returns whether it was taken.

        The first one sets the attitude. Later ones pass a gate; six refusals in a row that agree with each other set
        the attitude anew.
        """
        past = self._past(quaternion_refusal(quaternion) or sigma_refusal(sigma_rad, pi), age_ns, self.attitude_updates)
        if past is None:
            return False
        sigma_rad = max(sigma_rad, LEAST_SIGMA_RAD)
        quaternion = normalise(quaternion)
        age = age_ns * 1e-9
        wanted = multiply(quaternion, conjugate(past))
        if not self.known:
            self._set(wanted, EYE3 * sigma_rad**2, past, age)
            self.attitude_updates.accepted += 1
            return True
        self.predict_covariance()
        then = rotation_vector(multiply(conjugate(multiply(self._correction, past)), quaternion))
        z = np.array(rotate_inverse(self._history.quaternion, rotate(past, then)))
        # The gyro's noise since the exposure is in the present attitude too: the two errors are not independent.
        noise = self.noise.random_walk_rad_rts**2
        r = EYE3 * (sigma_rad**2 + noise * age)
        shared = min(age, self._since_exposure_s)
        if self._update(z, self._seen_late(EYE3, past, age), r, GATE_3, self.attitude_updates, "attitude",
                        noise * shared):
            self._since_exposure_s = shared
            self._doubts.clear()
            return True
        return self._doubt(wanted, sigma_rad, past, age)

    def _doubt(self, wanted: Quaternion, sigma_rad: float, past: Quaternion, age_s: float) -> bool:
        """Collect refused fixes by what the correction would have to be, free of the motion since: fixes that agree
        give the same but for what the gyro's bias may have turned it by, since a wrong fix may have led that astray."""
        t_ns, doubts = self._history.t_ns - round(age_s * 1e9), self._doubts
        start = self.noise.bias_start_rad_s
        if doubts:
            before_ns, before = doubts[-1]
            reach = AGREE_SIGMAS * (sqrt(2.0) * sigma_rad + start * abs(t_ns - before_ns) * 1e-9)
            if rotation_angle(before, wanted) > reach + AGREE_RAD:
                doubts.clear()
        doubts.append((t_ns, wanted))
        if len(doubts) < REFUSALS_TO_REACQUIRE:
            return False
        first_ns, first = doubts[0]
        drift = rotation_angle(first, wanted) / max(abs(t_ns - first_ns) * 1e-9, MAX_STEP_S)
        self._set(wanted, EYE3 * sigma_rad**2, past, age_s)
        # Whatever led astray, the bias may be part of it: by as much as the fixes have drifted.
        self.inflate(0.0, hypot(start, drift))
        self.attitude_updates.reacquired += 1
        return True

    def update_vector(
        self, body: Vec3, inertial: Vec3, sigma_rad: float, kind: str = "vector", age_ns: int = 0
    ) -> bool:
        """Compare a direction measured ``age_ns`` ago (body) with where it is known to be (inertial). Returns whether
        it was taken.

        ``sigma_rad`` is per axis across the direction. While the attitude is unknown, the newest of each ``kind`` is
        kept, and two of different kinds and directions set it. Such sensors' errors are not white, so they never
        touch the gyro's scale and axes.
        """
        bad = direction_refusal(body) or direction_refusal(inertial) or sigma_refusal(sigma_rad, pi)
        past = self._past(bad, age_ns, self.vector_updates)
        if past is None:
            return False
        sigma_rad = max(sigma_rad, LEAST_SIGMA_RAD)
        # Kept in the integrated frame, so that what was measured at other times meets.
        seen = rotate(past, unit(body))
        if not self.known:
            return self._start_from_vectors(seen, unit(inertial), sigma_rad, kind)
        self.predict_covariance()
        expected = rotate_inverse(self.quaternion, unit(inertial))
        measured = rotate_inverse(self._history.quaternion, seen)
        side = (1.0, 0.0, 0.0) if abs(expected[0]) < 0.7 else (0.0, 1.0, 0.0)
        t1 = unit(cross(expected, side))
        t2 = cross(expected, t1)
        h = self._seen_late(np.array([cross(t1, expected), cross(t2, expected)]), past, age_ns * 1e-9)
        z = np.array([dot(t1, measured), dot(t2, measured)])
        if dot(measured, expected) < 0.0:
            # Beyond a right angle the projections shrink again; such a direction can't belong to this attitude.
            z = z / max(1e-9, float(np.hypot(z[0], z[1]))) * 2.0
        return self._update(z, h, np.eye(2) * sigma_rad**2, GATE_2, self.vector_updates, kind)

    def update_heading(
        self, body: Vec3, inertial: Vec3, sigma_rad: float, kind: str = "heading", age_ns: int = 0
    ) -> bool:
        """Compare only the azimuth of a direction about the inertial Z axis; its tilt is left to better sensors.

        Ignored while the attitude is unknown or the direction stands within 10 degrees of the vertical.
        """
        bad = direction_refusal(body) or direction_refusal(inertial) or sigma_refusal(sigma_rad, pi)
        past = self._past(bad, age_ns, self.vector_updates)
        if past is None or not self.known:
            return False
        seen = rotate(multiply(self._correction, past), unit(body))
        inertial = unit(inertial)
        flat = hypot(seen[0], seen[1]) * hypot(inertial[0], inertial[1])
        if hypot(seen[0], seen[1]) < 0.17 or flat == 0.0:
            return False
        self.predict_covariance()
        sine = (seen[0] * inertial[1] - seen[1] * inertial[0]) / flat
        cosine = (seen[0] * inertial[0] + seen[1] * inertial[1]) / flat
        h = self._seen_late(np.array([rotate_inverse(self.quaternion, (0.0, 0.0, 1.0))]), past, age_ns * 1e-9)
        z = np.array([np.arctan2(sine, cosine)])
        r = np.array([[max(sigma_rad, LEAST_SIGMA_RAD) ** 2]])
        return self._update(z, h, r, GATE_1, self.vector_updates, kind)

    def set_attitude(self, quaternion: Quaternion, sigma_rad: float) -> bool:
        """Take this attitude as the present one, whatever was known before. Returns whether it is one."""
        bad = quaternion_refusal(quaternion) or sigma_refusal(sigma_rad, pi)
        if bad is not None:
            self.refusals[bad] += 1
            return False
        sigma_rad = max(sigma_rad, LEAST_SIGMA_RAD)
        self._set(multiply(normalise(quaternion), conjugate(self._history.quaternion)), EYE3 * sigma_rad**2)
        return True

    def _past(self, bad: Refusal | None, age_ns: int, counters: UpdateCounters) -> Quaternion | None:
        """Integrated attitude at the time of an observation; None, and counted, if the observation can't be used."""
        past = None
        if bad is None:
            past = self._history.at(age_ns) if age_ns >= 0 else None
            if past is not None:
                return self._mended(past, age_ns)
            bad = Refusal.TOO_OLD if age_ns >= 0 else Refusal.FUTURE
        self.refusals[bad] += 1
        if bad is Refusal.TOO_OLD:
            counters.too_old += 1
        return None

    def _mended(self, past: Quaternion, age_ns: int) -> Quaternion:
        """A past integrated attitude such that the way from there is that of the gyro's errors as known now."""
        t_ns = self._history.t_ns - age_ns
        if not self._learnt or self._learnt[-1].t_ns <= t_ns:
            return past
        x = y = z = 0.0
        for learnt in reversed(self._learnt):
            if learnt.t_ns <= t_ns:
                break
            step = multiply(conjugate(past), learnt.integrated)
            dt = (learnt.t_ns - t_ns) * 1e-9
            ax, ay, az = rotation_vector(step)
            bx, by, bz = learnt.bias
            xx, xy, xz, yx, yy, yz, zx, zy, zz = learnt.matrix
            off = (
                bx * dt + xx * ax + xy * ay + xz * az, by * dt + yx * ax + yy * ay + yz * az,
                bz * dt + zx * ax + zy * ay + zz * az,
            )
            tx, ty, tz = rotate(step, off)
            x, y, z = x + 0.5 * (off[0] + tx), y + 0.5 * (off[1] + ty), z + 0.5 * (off[2] + tz)
        return multiply(past, quaternion_from_rotation_vector((x, y, z)))

    def _seen_late(self, rows: Array, past: Quaternion, age_s: float) -> Array:
        """Sensitivity (m x 15) of what depends on the angle error of ``age_s`` seconds ago, in present axes, by
        ``rows`` (m x 3)."""
        h = np.zeros((len(rows), STATES))
        h[:, :3] = rows
        if age_s > 0.0:
            h[:, 3:] = rows @ lag(multiply(conjugate(past), self._history.quaternion), age_s)[1]
        return h

    def _start_from_vectors(self, seen: Vec3, inertial: Vec3, sigma: float, kind: str) -> bool:
        self._seen[kind] = (seen, inertial, sigma)
        if len(self._seen) < 2:
            return False
        (a, ai, sa), (b, bi, sb) = sorted(self._seen.values(), key=lambda kept: kept[2])[:2]
        correction = triad((a, ai), (b, bi))
        if correction is None:
            return False
        x, y = (np.array(rotate_inverse(self._history.quaternion, v)) for v in (a, b))
        information = (EYE3 - np.outer(x, x)) / sa**2 + (EYE3 - np.outer(y, y)) / sb**2
        self._set(correction, np.linalg.inv(information))
        self._seen.clear()
        self.vector_updates.accepted += 1
        return True

    def _set(
        self, correction: Quaternion, covariance: npt.NDArray[np.floating], past: Quaternion | None = None,
        age_s: float = 0.0,
    ) -> None:
        """Take an attitude with its covariance (present axes), seen ``age_s`` ago at the integrated attitude
        ``past``."""
        self.predict_covariance()
        self._correction = normalise(correction)
        self.quaternion = multiply(self._correction, self._history.quaternion)
        if past is None or age_s <= 0.0:
            self._errors.restart(covariance)
        else:
            _, reach = lag(multiply(conjugate(past), self._history.quaternion), age_s)
            self._errors.restart(covariance + EYE3 * (self.noise.random_walk_rad_rts**2 * age_s), reach)
        self._since_exposure_s = age_s
        self._doubts.clear()
        self.known = True

    def _update(
        self, z: Array, h: Array, r: Array, gate: float, counters: UpdateCounters, kind: str,
        shared: float | None = None,
    ) -> bool:
        """``shared`` is the variance that noise of an attitude fix has in common with the state's error; None marks
        observations that leave ``D`` alone."""
        gain, s = self._errors.gain(h, r, shared or 0.0)
        nis = float(z @ np.linalg.solve(s, z))
        counters.last_nis = nis
        window = self.windows.setdefault(kind, InnovationWindow())
        # Written so that a figure that is no number is refused as well.
        if not nis <= gate:
            counters.refused += 1
            self.refusals[Refusal.GATE] += 1
            window.refuse()
            return False
        counters.accepted += 1
        counters.nis_sum += nis
        window.add(nis, len(z))
        if shared is None:
            gain[6:] = 0.0
            # What this one has taken of the gyro's latest noise is no longer shared with a later fix.
            self._since_exposure_s = 0.0
        self._errors.update(gain, h, r, shared or 0.0)
        self._correct((gain @ z).tolist())
        return True

    def _correct(self, x: list[float]) -> None:
        """Move the state by ``x`` and count its error from there."""
        angle = (x[0], x[1], x[2])
        self._errors.turn(angle)
        integrated, b = self._history.quaternion, self.bias
        self.quaternion = normalise(multiply(self.quaternion, quaternion_from_rotation_vector(angle)))
        self._correction = normalise(multiply(self.quaternion, conjugate(integrated)))
        self.bias = (b[0] + x[3], b[1] + x[4], b[2] + x[5])
        before = self.distortion
        if any(x[6:]):
            limit = self._matrix_limit
            matrix = np.clip(np.array(before) + x[6:], -limit, limit)
            self.distortion = tuple(matrix.tolist())
            self._undistort = tuple(np.linalg.inv(EYE3 + matrix.reshape(3, 3)).ravel().tolist())
        change = tuple(new - old for new, old in zip(self.distortion, before, strict=True))
        self._learnt.append(_Learnt(self._history.t_ns, integrated, (x[3], x[4], x[5]), change))
