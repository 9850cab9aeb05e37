"""Closed forms of torque-free rotation, written with scipy alone, so that they share nothing with the integrator."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.spatial.transform import Rotation
from scipy.special import ellipj

__all__ = ["Axisymmetric", "Triaxial", "attitude_error_rad"]

Array = npt.NDArray[np.float64]


def attitude_error_rad(quaternion_wxyz: tuple[float, ...], reference: Rotation) -> float:
    """Angle between an attitude (w, x, y, z) and a reference, rad."""
    w, x, y, z = quaternion_wxyz
    return float((reference.inv() * Rotation.from_quat([x, y, z, w])).magnitude())


@dataclass(frozen=True)
class Axisymmetric:
    """Moments A, A, C: the rate's transverse part turns at (C - A) w3 / A in the body; the body precesses about L.

    Goldstein, Classical Mechanics, section 5.6.
    """

    a: float
    c: float
    rate0: tuple[float, float, float]
    attitude0: Rotation

    def rate(self, t: float) -> Array:
        """Body rate at ``t`` s, rad/s."""
        x, y, z = self.rate0
        turn = (self.c - self.a) / self.a * z * t
        cos, sin = np.cos(turn), np.sin(turn)
        return np.array([x * cos - y * sin, x * sin + y * cos, z])

    def attitude(self, t: float) -> Rotation:
        """Body-to-inertial rotation at ``t`` s."""
        x, y, z = self.rate0
        momentum = self.attitude0.apply([self.a * x, self.a * y, self.c * z])
        precession = Rotation.from_rotvec(momentum / self.a * t)
        return precession * self.attitude0 * Rotation.from_rotvec([0.0, 0.0, (self.a - self.c) / self.a * z * t])


@dataclass(frozen=True)
class Triaxial:
    """Moments I1 < I2 < I3, started with w2 = 0 and M2 > 2 E I2; angular momentum along inertial Z.

    Landau and Lifshitz, Mechanics, section 37: rates in Jacobi's elliptic functions; the precession angle by adaptive
    quadrature of its rate.
    """

    moments: tuple[float, float, float]
    rate1: float
    rate3: float

    @property
    def momentum(self) -> float:
        """Length of the angular momentum, N m s."""
        return float(np.hypot(self.moments[0] * self.rate1, self.moments[2] * self.rate3))

    def rate(self, t: float) -> Array:
        """Body rate at ``t`` s, rad/s."""
        i1, i2, i3 = self.moments
        double_energy = i1 * self.rate1**2 + i3 * self.rate3**2
        m2 = self.momentum**2
        if m2 <= double_energy * i2:
            raise ValueError("this closed form needs M2 > 2 E I2")
        frequency = np.sqrt((i3 - i2) * (m2 - double_energy * i1) / (i1 * i2 * i3))
        k2 = (i2 - i1) * (double_energy * i3 - m2) / ((i3 - i2) * (m2 - double_energy * i1))
        sn, cn, dn, _ = ellipj(frequency * t, k2)
        return np.array([
            np.sqrt((double_energy * i3 - m2) / (i1 * (i3 - i1))) * cn,
            np.sqrt((double_energy * i3 - m2) / (i2 * (i3 - i2))) * sn,
            np.sqrt((m2 - double_energy * i1) / (i3 * (i3 - i1))) * dn,
        ])

    def attitude(self, t: float) -> Rotation:
        """Body-to-inertial rotation at ``t`` s."""
        i1, i2, i3 = self.moments

        def precession_rate(s: float) -> float:
            w = self.rate(s)
            top = i1 * w[0] ** 2 + i2 * w[1] ** 2
            return float(self.momentum * top / ((i1 * w[0]) ** 2 + (i2 * w[1]) ** 2))

        marks = np.linspace(0.0, t, max(2, int(t) + 1))
        phi = sum(quad(precession_rate, a, b, epsabs=1e-13, epsrel=1e-13)[0] for a, b in pairwise(marks))
        w = self.rate(t)
        theta = np.arccos(i3 * w[2] / self.momentum)
        psi = np.arctan2(i1 * w[0], i2 * w[1])
        return Rotation.from_euler("ZXZ", [phi, theta, psi])
