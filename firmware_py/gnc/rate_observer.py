"""Body rate quieter than the gyro: what the pulses should do, corrected by what the gyro says.

A scalar Kalman filter an axis (one gain for all three, since sensor and model are alike): Euler's equation with the
torque expected of the commanded pulses predicts, the bias-corrected gyro corrects. Where residuals of one sign
persist (a nozzle that doesn't push, a thruster that sticks) the filter opens up until it follows the gyro again. What
is no rate or no time step is counted and left out, so the state stays finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, radians, sqrt

import numpy as np

from firmware_py.gnc.consistency import Refusal, no_refusals
from firmware_py.gnc.pulse_book import TickImpulse
from hal.frames import Vec3
from hal.profile.body import BodyConfig

__all__ = ["RateObserver"]

GYRO_SAMPLE_RAD_S = radians(0.11)
"""One sigma of one 200 Hz sample: 0.01 deg/s/rtHz over 100 Hz, and steps of 0.1 deg/s."""
MODEL_SHARE = 0.05
"""One sigma of a pulse's impulse, as a share of it."""
QUIET_RAD_S_RTS = radians(0.008)
"""Rate random walk admitted without pulses, per root second."""
PERSISTENCE = 0.1
"""Share of a new residual in the running mean that decides whether the model still holds."""
OPEN_ABOVE = 4.0
"""Running mean over its sigma beyond which the filter opens up."""
MAX_STEP_S = 1.0
"""Longest step that one sample may stand for."""
MAX_RATE_RAD_S = 100.0
"""Component beyond which no gyro of such a craft measures, and no rate is known to be (ADIS16470: 35 rad/s)."""


class RateObserver:
    """Body rate, rad/s. Call ``update`` once a fast tick, or ``predict`` alone when the gyro gave nothing."""

    __slots__ = (
        "_gross_arm", "_inertia", "_inverse", "_mean", "_planar", "_r", "_spread", "_started", "opened", "rate",
        "refusals", "variance",
    )

    def __init__(
        self, body: BodyConfig, gyro_sample_rad_s: float = GYRO_SAMPLE_RAD_S,
        refusals: dict[Refusal, int] | None = None,
    ) -> None:
        self.refusals = refusals if refusals is not None else no_refusals()
        inertia = np.array(body.mass.inertia_kg_m2)
        self._inertia: tuple[float, ...] = tuple(inertia.ravel().tolist())
        inverse = np.linalg.inv(inertia)
        self._inverse: tuple[float, ...] = tuple(inverse.ravel().tolist())
        # A table takes up what would roll or pitch the craft.
        self._planar = body.environment == "air_bearing"
        com = np.array(body.mass.centre_of_mass_m)
        arms = [
            np.linalg.norm(inverse @ np.cross(np.array(n.position_m) - com, np.array(n.direction)))
            for n in body.propulsion.nozzles
        ]
        # Rate change of one N s out of one nozzle, one axis of three; of several nozzles the errors are independent.
        self._gross_arm = float(np.mean(arms)) / sqrt(3.0)
        self._r = gyro_sample_rad_s**2
        self._spread = PERSISTENCE / (2.0 - PERSISTENCE) * OPEN_ABOVE**2
        self._mean: Vec3 = (0.0, 0.0, 0.0)
        self._started = False
        self.rate: Vec3 = (0.0, 0.0, 0.0)
        self.variance = 1.0
        """One axis, rad2/s2."""
        self.opened = 0
        """Ticks in which persistent residuals opened the filter."""

    def predict(self, dt_s: float, expected: TickImpulse | None) -> None:
        """Move the rate by one tick of free rotation and, if given, the expected torque impulse (N m s)."""
        if not 0.0 < dt_s <= MAX_STEP_S:
            self.refusals[Refusal.TIME_STEP] += 1
            return
        x, y, z = self.rate
        jxx, jxy, jxz, _, jyy, jyz, _, _, jzz = self._inertia
        hx, hy, hz = jxx * x + jxy * y + jxz * z, jxy * x + jyy * y + jyz * z, jxz * x + jyz * y + jzz * z
        tx, ty, tz = (hy * z - hz * y) * dt_s, (hz * x - hx * z) * dt_s, (hx * y - hy * x) * dt_s
        if expected is not None:
            if not self._planar:
                tx += expected.tx
                ty += expected.ty
            tz += expected.tz
            # Errors of one pulse are alike in all its ticks; a pulse is about nine ticks.
            s = MODEL_SHARE * 3.0 * expected.gross * self._gross_arm
            self.variance += s * s
        ixx, ixy, ixz, _, iyy, iyz, _, _, izz = self._inverse
        x += ixx * tx + ixy * ty + ixz * tz
        y += ixy * tx + iyy * ty + iyz * tz
        z += ixz * tx + iyz * ty + izz * tz
        m = MAX_RATE_RAD_S
        if -m < x < m and -m < y < m and -m < z < m:
            self.rate = (x, y, z)
        else:
            # Too fast for steps of this length: the model says nothing, so the rate stays and is doubted.
            self.refusals[Refusal.OUT_OF_RANGE] += 1
            self.variance = m * m
        self.variance += QUIET_RAD_S_RTS * QUIET_RAD_S_RTS * dt_s

    def update(self, dt_s: float, gyro: Vec3, bias: Vec3, bias_sigma: float, expected: TickImpulse | None) -> None:
        """One tick with the measured mean rate (rad/s, body) of the last ``dt_s`` seconds; without one if it is no
        rate."""
        m = MAX_RATE_RAD_S
        if not (
            0.0 < dt_s <= MAX_STEP_S and len(gyro) == 3
            and -m < gyro[0] < m and -m < gyro[1] < m and -m < gyro[2] < m
        ):
            self._refuse(dt_s, gyro, expected)
            return
        gx, gy, gz = gyro[0] - bias[0], gyro[1] - bias[1], gyro[2] - bias[2]
        if not self._started:
            self._started = True
            self.rate = (gx, gy, gz)
            self.variance = self._r + bias_sigma * bias_sigma
            return
        before = self.rate
        self.predict(dt_s, expected)
        x, y, z = self.rate
        # The gyro averages over the tick: the model's mean is halfway.
        ex = gx - 0.5 * (before[0] + x)
        ey = gy - 0.5 * (before[1] + y)
        ez = gz - 0.5 * (before[2] + z)
        mx, my, mz = self._mean
        mx += PERSISTENCE * (ex - mx)
        my += PERSISTENCE * (ey - my)
        mz += PERSISTENCE * (ez - mz)
        self._mean = (mx, my, mz)
        p, r = self.variance, self._r
        limit = self._spread * (p + r)
        if mx * mx > limit or my * my > limit or mz * mz > limit:
            p += 0.1 * r
            self.opened += 1
        k = p / (p + r)
        self.variance = (1.0 - k) * p
        self.rate = (x + k * ex, y + k * ey, z + k * ez)

    def coast(self, dt_s: float, expected: TickImpulse | None, walk_rad_s_rts: float) -> None:
        """One tick without a sample, in which the rate may have walked by that much (rad/s per root second)."""
        self.predict(dt_s, expected)
        if 0.0 < dt_s <= MAX_STEP_S:
            self.variance = min(self.variance + walk_rad_s_rts * walk_rad_s_rts * dt_s, MAX_RATE_RAD_S**2)

    def _refuse(self, dt_s: float, gyro: Sequence[float], expected: TickImpulse | None) -> None:
        """Count why, and go on by the model if time has passed."""
        if not 0.0 < dt_s <= MAX_STEP_S:
            self.refusals[Refusal.TIME_STEP] += 1
            return
        if len(gyro) != 3:
            reason = Refusal.LENGTH
        else:
            reason = Refusal.OUT_OF_RANGE if all(isfinite(part) for part in gyro) else Refusal.NOT_FINITE
        self.refusals[reason] += 1
        self.predict(dt_s, expected)
