"""What a sighting should have shown, how that depends on the state, and how far from a straight line.

The state is the target's place and velocity (m, m/s) relative to the craft as if that had not pushed.
"""

from __future__ import annotations

from math import atan2, hypot

import numpy as np
import numpy.typing as npt

from firmware_py.gnc.sighting import Sighting
from hal.frames import Quaternion, Vec3, rotate, unit

__all__ = ["LEAST_SIGMA_M", "LEAST_SIGMA_RAD", "SightingModel"]

Array = npt.NDArray[np.float64]

LEAST_SIGMA_M = 1e-3
LEAST_SIGMA_M_S = 1e-4
LEAST_SIGMA_RAD = 1e-5
LEAST_RANGE_M = 1e-3
"""Predicted range below which the direction to the target is not defined well enough to linearise about."""


class SightingModel:
    """A sighting with what it is compared with: attitude ``q``, ``offset`` from centre of mass to sensor and marker
    (inertial), the craft's own way and velocity then, velocity of the sensor's arm."""

    __slots__ = ("_arm_velocity", "_offset", "_past", "_q", "_seen")

    def __init__(
        self, seen: Sighting, q: Quaternion, offset: Vec3, past: tuple[Vec3, Vec3], arm_velocity: Vec3
    ) -> None:
        self._seen, self._q, self._offset, self._past, self._arm_velocity = seen, q, offset, past, arm_velocity

    @property
    def has_direction(self) -> bool:
        """Whether a bearing was measured."""
        return self._seen.direction is not None

    def rows(self, x: Array, walk: float) -> tuple[Array, Array, Array, float] | None:
        """Residual, sensitivity and noise at the state ``x``, and the change of place (m) that need not be linearised
        again; None where nothing is seen or the target is too near to have a direction."""
        seen, age = self._seen, self._seen.age_ns * 1e-9
        d = x[:3] - x[3:] * age - self._past[0] + self._offset
        predicted = float(np.linalg.norm(d))
        if predicted < LEAST_RANGE_M:
            return None
        u = d / predicted
        late = walk**2 * age**3 / 3.0
        z: list[float] = []
        h: list[Array] = []
        r: list[float] = []
        near = 0.02 * predicted
        if seen.range_m is not None:
            sigma = max(seen.sigma_range_m, LEAST_SIGMA_M)
            z.append(seen.range_m - predicted)
            h.append(np.concatenate([u, -age * u]))
            r.append(sigma**2 + late)
            # Range bends by step2 / 2 range; a tenth of sigma of that is nothing.
            near = min(near, float(np.sqrt(0.2 * predicted * sigma)))
        if seen.direction is not None:
            angles, axes = _bearing(u, rotate(self._q, unit(seen.direction)))
            z += angles
            h += [np.concatenate([t, -age * t]) / predicted for t in axes]
            r += [max(seen.sigma_bearing_rad, LEAST_SIGMA_RAD) ** 2 + late / predicted**2] * 2
        if seen.range_rate_m_s is not None:
            v = x[3:] - self._past[1] - self._arm_velocity
            closing = float(u @ v)
            by_position = (v - closing * u) / predicted
            z.append(seen.range_rate_m_s - closing)
            h.append(np.concatenate([by_position, u - age * by_position]))
            r.append(max(seen.sigma_range_rate_m_s, LEAST_SIGMA_M_S) ** 2 + walk**2 * age)
        return (np.array(z), np.array(h), np.diag(r), near) if z else None

    def bend(self, x: Array, p: Array) -> tuple[Array, Array]:
        """Mean (2,) and covariance (2 x 2) of what range and range rate depart from their linearisation at ``x`` by,
        where the state's covariance is ``p``."""
        age = self._seen.age_ns * 1e-9
        d = x[:3] - x[3:] * age - self._past[0] + self._offset
        v = x[3:] - self._past[1] - self._arm_velocity
        length = max(float(np.linalg.norm(d)), LEAST_RANGE_M)
        u = d / length
        across = (np.eye(3) - np.outer(u, u)) / length
        swing = across @ v
        of_range, of_rate = np.zeros((6, 6)), np.zeros((6, 6))
        of_range[:3, :3] = across
        of_rate[:3, :3] = -(np.outer(u, swing) + np.outer(swing, u) + float(u @ v) * across) / length
        of_rate[:3, 3:] = of_rate[3:, :3] = across
        then = np.eye(6)
        then.flat[3:18:7] = -age
        p = then @ p @ then.T
        second = [of_range @ p, of_rate @ p]
        mean = np.array([0.5 * float(np.trace(a)) for a in second])
        return mean, np.array([[0.5 * float(np.sum(a * b.T)) for b in second] for a in second])

    @property
    def measured(self) -> list[int]:
        """Which of range (0) and range rate (1) were measured."""
        return [k for k, value in enumerate((self._seen.range_m, self._seen.range_rate_m_s)) if value is not None]


def _bearing(u: Array, measured: Vec3) -> tuple[list[float], list[Array]]:
    """Angles from a direction to a measured one about two axes across it, right up to a half turn; and those axes."""
    side = (1.0, 0.0, 0.0) if abs(u[0]) < 0.7 else (0.0, 1.0, 0.0)
    t1 = np.cross(u, side)
    t1 /= np.linalg.norm(t1)
    t2 = np.cross(u, t1)
    a, b, c = float(t1 @ measured), float(t2 @ measured), float(u @ measured)
    sine = hypot(a, b)
    stretch = atan2(sine, c) / sine if sine > 1e-9 else 1.0
    return [a * stretch, b * stretch], [t1, t2]
