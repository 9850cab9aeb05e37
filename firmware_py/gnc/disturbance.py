"""Estimates the constant torque that nobody commanded, from what the pulses should have done and what the rate did.

A scalar Kalman filter per body axis on the momentum that one window leaves unexplained: ``J dw + w x J w dt`` less the
emitted impulse. Its measurement noise grows with the emitted impulse (thrust errors), so that burns teach it little
and quiet windows much. The bound on the estimate and the use of what was really emitted, not of what was asked, keep
it from winding up at saturation (disturbance accommodation: Johnson, "Accommodation of external disturbances in linear
regulator and servomechanism problems", IEEE Trans. Automatic Control 16(6), 1971).
"""

from __future__ import annotations

from math import isfinite

from hal.frames import Vec3

__all__ = ["DisturbanceObserver"]

RATE_SIGMA_RAD_S = 1e-4
"""Least error of one rate estimate: 0.01 deg/s/rtHz of gyro noise (CANON section 7) over some 3 s."""
THRUST_SIGMA = 0.05
"""Impulse error of a pulse as a share: thrust spread and valve timing (CANON section 3: 2 % and 1..2 ms of 30 ms)."""
SIGNIFICANT = 3.0
"""Estimates under this many sigmas count for nothing, those well above for all they are."""
GAP = 0.02
"""Windows that last more or less than planned by this share teach nothing: their pulses were cut."""

ZERO: Vec3 = (0.0, 0.0, 0.0)


class DisturbanceObserver:
    """Disturbance torque of one craft (N m, body axes).

    Args:
        inertia: nine elements of the inertia tensor, row by row, kg m2, about the centre of mass.
        gyration_m: radius of gyration; turns the force of a pulse into the torque error that it may bring.
        window_s: length of a pulse window.
        bound_n_m: greatest estimate on any axis; also the spread that is expected before anything was seen.
        time_s: time in which a changed torque is followed once the filter has settled.
    """

    def __init__(
        self, inertia: tuple[float, ...], gyration_m: float, window_s: float, bound_n_m: float, time_s: float
    ) -> None:
        self._inertia = inertia
        self._gyration = gyration_m
        self._window = window_s
        self._bound = bound_n_m
        self._drift = window_s / time_s
        self._estimate: list[float] = [0.0, 0.0, 0.0]
        self._variance: list[float] = [bound_n_m * bound_n_m] * 3
        self._torque = ZERO
        self._rate: Vec3 | None = None
        self._t_ns = 0
        self._emitted: tuple[float, ...] | None = None

    @property
    def torque(self) -> Vec3:
        """The torque that is surely there: the estimate shrunk by its own uncertainty, per axis."""
        return self._torque

    def reopen(self) -> None:
        """What was learnt may not hold any more (another mode): believe the next windows as if they were the first."""
        self._variance = [self._bound * self._bound] * 3

    def reset(self) -> None:
        """Forget everything."""
        self._estimate = [0.0, 0.0, 0.0]
        self._torque = ZERO
        self._rate = self._emitted = None
        self.reopen()

    def flown(self, impulse: tuple[float, ...]) -> None:
        """Impulse (N s, N m s about the centre of mass, body axes) that the window since the last update emits."""
        self._emitted = impulse

    def update(self, now_ns: int, rate: Vec3, sigma_rad_s: float) -> None:
        """Take the rate (rad/s, body) at the start of a window. Without word of what the last one emitted, or after a
        window of another length, it only becomes the new start."""
        before, emitted, window = self._rate, self._emitted, self._window
        elapsed = (now_ns - self._t_ns) * 1e-9
        self._rate, self._t_ns, self._emitted = rate, now_ns, None
        if before is None or emitted is None or abs(elapsed - window) > GAP * window:
            return
        jxx, jxy, jxz, _, jyy, jyz, _, _, jzz = self._inertia
        dx, dy, dz = rate[0] - before[0], rate[1] - before[1], rate[2] - before[2]
        wx, wy, wz = 0.5 * (rate[0] + before[0]), 0.5 * (rate[1] + before[1]), 0.5 * (rate[2] + before[2])
        hx, hy, hz = jxx * wx + jxy * wy + jxz * wz, jxy * wx + jyy * wy + jyz * wz, jxz * wx + jyz * wy + jzz * wz
        fx, fy, fz, tx, ty, tz = emitted
        unexplained = (
            jxx * dx + jxy * dy + jxz * dz + (wy * hz - wz * hy) * elapsed - tx,
            jxy * dx + jyy * dy + jyz * dz + (wz * hx - wx * hz) * elapsed - ty,
            jxz * dx + jyz * dy + jzz * dz + (wx * hy - wy * hx) * elapsed - tz,
        )
        if not isfinite(sum(unexplained)):
            return
        sigma = max(RATE_SIGMA_RAD_S, sigma_rad_s if isfinite(sigma_rad_s) else 0.0)
        push = self._gyration**2 * (fx * fx + fy * fy + fz * fz) + tx * tx + ty * ty + tz * tz
        known = []
        for axis, moment in enumerate((jxx, jyy, jzz)):
            quiet = 2.0 * (moment * sigma / elapsed) ** 2
            noise = quiet + THRUST_SIGMA**2 * push / (elapsed * elapsed)
            # A random walk of this size makes the settled gain window / time in quiet windows.
            variance = self._variance[axis] + self._drift**2 * quiet
            gain = variance / (variance + noise)
            value = self._estimate[axis] + gain * (unexplained[axis] / elapsed - self._estimate[axis])
            value = self._estimate[axis] = min(self._bound, max(-self._bound, value))
            variance = self._variance[axis] = (1.0 - gain) * variance
            sure = value * value - SIGNIFICANT**2 * variance
            known.append(sure / value if sure > 0.0 else 0.0)
        self._torque = (known[0], known[1], known[2])
