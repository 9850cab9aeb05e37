"""Covariance of attitude error, gyro bias, and the gyro's scale and axes: it grows with the gyro's errors and stays
positive definite under any update.

States (15): angle (rad, body axes), bias (rad/s), ``D`` by rows (1 and rad), where the gyro reports ``(1 + D) w + b``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, radians, sqrt

import numpy as np
import numpy.typing as npt

from hal.frames import Quaternion, Vec3, quaternion_from_rotation_vector, rotation_vector, to_matrix

__all__ = ["EYE3", "STATES", "Array", "AttitudeCovariance", "GyroNoise", "lag"]

Array = npt.NDArray[np.float64]

EYE3 = np.eye(3)
STATES = 15
EYE = np.eye(STATES)
DIAGONAL = slice(None, None, STATES + 1)
ANGLES = slice(None, 3 * (STATES + 1), STATES + 1)
BIASES = slice(3 * (STATES + 1), 6 * (STATES + 1), STATES + 1)
"""Of the flattened covariance."""


@dataclass(frozen=True, slots=True)
class GyroNoise:
    """One-sigma errors of the rate sensor, per axis.

    Defaults: CANON section 7 (0.01 deg/s/rtHz, one-sided, so 0.01 / sqrt 2 deg per root second), ADIS16470 data sheet
    (turn-on 0.2 deg/s; 8 deg/h in-run over about 300 s; scale within 0.15 %, axes within 0.05 deg of square). Their
    walk reopens a tenth of the scale's prior in an hour: temperature.
    """

    random_walk_rad_rts: float = radians(0.01) / sqrt(2.0)
    bias_start_rad_s: float = radians(0.25)
    bias_walk_rad_s_rts: float = 4e-6
    scale: float = 1.5e-3
    misalignment_rad: float = radians(0.05)
    matrix_walk_rts: float = 2.5e-6


def lag(step: Quaternion, dt_s: float) -> tuple[Array, Array]:
    """What ``dt_s`` seconds of the gyro add to the angle error: ``now = turn @ before - reach @ (bias, D by rows)``.

    ``step`` is the turn meanwhile. ``turn`` is 3 x 3; ``reach`` 3 x 12: the mean of start and end of the step, where
    the gyro's errors act.
    """
    turn = np.array(to_matrix(step)).T
    mid = 0.5 * (EYE3 + turn)
    rows = np.zeros((3, 9))
    rows[0, :3] = rows[1, 3:6] = rows[2, 6:] = rotation_vector(step)
    return turn, np.concatenate([mid * dt_s, mid @ rows], axis=1)


class AttitudeCovariance:
    """The covariance of an attitude filter's 15 errors. Nothing is known of the attitude at first."""

    __slots__ = ("_growth", "_most", "_phi", "_start", "matrix")

    def __init__(self, noise: GyroNoise) -> None:
        by_rows = np.where(EYE3 > 0.0, noise.scale, noise.misalignment_rad).ravel()
        self.matrix: Array = np.diag(np.concatenate([[pi] * 3, [noise.bias_start_rad_s] * 3, by_rows]) ** 2)
        """15 x 15, rad2, rad2/s2 and 1."""
        self._start: Array = self.matrix.diagonal().copy()
        # No angle is less known than pi; of the others no more can be unknown than at start.
        self._most: Array = self.matrix.diagonal() * np.repeat([1.0, 100.0, 1.0], [3, 3, 9])
        walks = [noise.random_walk_rad_rts, noise.bias_walk_rad_s_rts, noise.matrix_walk_rts]
        self._growth: Array = np.repeat(walks, [3, 3, 9]) ** 2
        self._phi: Array = np.eye(STATES)

    def predict(self, step: Quaternion | None, dt_s: float) -> None:
        """Let ``dt_s`` seconds pass in which the craft turned by ``step``; None while its attitude is unknown."""
        p = self.matrix
        half = 0.5 * dt_s * self._growth
        # Half of what the noise adds before the step and half after: on the mean it acts halfway.
        p.flat[DIAGONAL] += half
        if step is not None:
            phi = self._phi
            phi[:3, :3], reach = lag(step, dt_s)
            phi[:3, 3:] = -reach
            p = phi @ p @ phi.T
            p = 0.5 * (p + p.T)
        p.flat[DIAGONAL] += half
        self.matrix = p
        self._bound()

    def inflate(self, angle_rad: float, bias_rad_s: float) -> None:
        """Admit further error, one sigma per axis."""
        self.matrix.flat[ANGLES] += angle_rad**2
        self.matrix.flat[BIASES] += bias_rad_s**2
        self._bound()

    def forget_gyro(self, bias_rad_s: float) -> None:
        """Another gyro from now on: nothing of it is known but the spread of its bias, scale and axes at start."""
        p = self.matrix
        p[3:, :] = 0.0
        p[:, 3:] = 0.0
        variances = self._start[3:].copy()
        variances[:3] = bias_rad_s**2
        p[3:, 3:] = np.diag(variances)
        self._bound()

    def restart(self, angle: npt.NDArray[np.floating], reach: Array | None = None) -> None:
        """Take an attitude with covariance ``angle`` (3 x 3, rad2) that was carried on to now by the gyro: ``reach``
        (3 x 12) as ``lag`` gives it, None if it is of now."""
        rest = np.diag(self.matrix.diagonal()[3:])
        p = np.zeros((STATES, STATES))
        p[:3, :3] = angle
        p[3:, 3:] = rest
        if reach is not None:
            cross = reach @ rest
            p[:3, :3] += cross @ reach.T
            p[:3, 3:] = -cross
            p[3:, :3] = -cross.T
        self.matrix = 0.5 * (p + p.T)
        self._bound()

    def gain(self, h: Array, r: Array, shared: float) -> tuple[Array, Array]:
        """Optimal gain of an observation (m x 15, noise m x m) and the covariance of its innovation.

        ``shared`` is the variance that the noise of three angles has in common with the angle errors, with opposite
        sign; 0 if they are independent.
        """
        common = _common(len(h), shared)
        ph = self.matrix @ h.T + common
        s = h @ ph + (h @ common).T + r
        gain: Array = np.linalg.solve(s, ph.T).T
        return gain, s

    def update(self, gain: Array, h: Array, r: Array, shared: float) -> None:
        """Joseph's form, right for any gain; see ``gain``."""
        left = EYE - gain @ h
        mixed = left @ _common(len(h), shared) @ gain.T
        p = left @ self.matrix @ left.T + gain @ r @ gain.T - mixed - mixed.T
        self.matrix = 0.5 * (p + p.T)

    def turn(self, angle: Vec3) -> None:
        """Count the angle error from an attitude corrected by ``angle`` (rad): Markley 2003, reset."""
        p = self.matrix
        x, y, z = angle
        half = np.array(to_matrix(quaternion_from_rotation_vector((0.5 * x, 0.5 * y, 0.5 * z))))
        p[:3] = half.T @ p[:3]
        p[:, :3] = p[:, :3] @ half
        self.matrix = 0.5 * (p + p.T)

    @property
    def sigma_angle_rad(self) -> float:
        """About the worst-known axis."""
        return float(np.sqrt(np.linalg.eigvalsh(self.matrix[:3, :3])[-1]))

    @property
    def sigma_bias_rad_s(self) -> float:
        """Of the worst-known component."""
        return float(np.sqrt(self.matrix.flat[BIASES].max()))

    def nees(self, error: list[float]) -> float:
        """Normalised square of the first errors."""
        n, values = len(error), np.array(error)
        return float(values @ np.linalg.solve(self.matrix[:n, :n], values))

    def _bound(self) -> None:
        """Hold sigmas to what can be unknown at most, correlations kept: scaling both sides leaves it definite."""
        diagonal = self.matrix.diagonal()
        if (diagonal > self._most).any():
            share = np.sqrt(np.minimum(1.0, self._most / diagonal))
            self.matrix = self.matrix * np.outer(share, share)


def _common(rows: int, shared: float) -> Array:
    """Covariance of the errors with the noise of an observation."""
    common = np.zeros((STATES, rows))
    if shared > 0.0:
        common.flat[: 3 * rows : rows + 1] = -shared
    return common
