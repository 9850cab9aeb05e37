"""Sunlight along a circular orbit: period, the Earth's shadow with its penumbra, and the share of an orbit in it.

The Sun stands still against the orbit, ``beta_deg`` out of its plane; the Earth is a sphere without air. How much of
the Sun is seen comes from two discs, Sun and Earth, as the craft sees them (Montenbruck and Gill, Satellite Orbits,
section 3.4.2). Where the Earth's edge runs through the Sun's centre a cylinder of the Earth's radius begins, so that
:attr:`Orbit.eclipse_share` is the published formula of the cylinder (Wertz and Larson, Space Mission Analysis and
Design, section 5.1; Vallado, Fundamentals of Astrodynamics and Applications, section 5.3).
"""

from __future__ import annotations

from math import acos, asin, cos, isfinite, pi, radians, sqrt, tau

__all__ = ["EARTH_RADIUS_KM", "MU_KM3_S2", "Orbit"]

EARTH_RADIUS_KM = 6378.137
"""Equatorial radius of WGS 84."""
MU_KM3_S2 = 398600.4418
"""The Earth's gravitational parameter (EGM96, IERS)."""
SUN_RADIUS_KM = 695_700.0
"""Nominal solar radius, IAU 2015 resolution B3."""
AU_KM = 149_597_870.7


class Orbit:
    """A circular orbit and the Sun's place against it."""

    def __init__(self, altitude_km: float, beta_deg: float = 0.0, phase: float = 0.0) -> None:
        """``phase``: where the craft is at time 0, in orbits after its noon (0.5 is midnight). Raises ValueError."""
        if not 100.0 <= altitude_km <= 400_000.0:
            raise ValueError(f"altitude is {altitude_km} km; 100..400000 is allowed")
        if not -90.0 <= beta_deg <= 90.0:
            raise ValueError(f"beta is {beta_deg} deg; -90..90 is allowed")
        if not isfinite(phase):
            raise ValueError("phase is not a finite number")
        radius_km = EARTH_RADIUS_KM + altitude_km
        self.period_s = tau * sqrt(radius_km**3 / MU_KM3_S2)
        self._phase = phase
        self._cos_beta = cos(radians(beta_deg))
        self._earth = asin(EARTH_RADIUS_KM / radius_km)
        self._sun = asin(SUN_RADIUS_KM / AU_KM)
        # No part of the shadow where the nearest approach of the discs leaves a gap: most steps end there.
        self._clear = -cos(self._earth + self._sun)
        self._umbra = -cos(self._earth - self._sun)

    @property
    def eclipse_share(self) -> float:
        """Share of the orbit behind the Earth, 0..0.5, by the cylinder: acos(cos rho / cos beta) / pi."""
        ratio = cos(self._earth) / self._cos_beta if self._cos_beta > 0.0 else 1.0
        return acos(ratio) / pi if ratio < 1.0 else 0.0

    @property
    def eclipse_s(self) -> float:
        """Time of an orbit behind the Earth, by the cylinder."""
        return self.eclipse_share * self.period_s

    def sunlit(self, t_s: float) -> float:
        """Share of the Sun's disc that is seen at ``t_s``, 0 in the umbra to 1 in full Sun. Raises ValueError."""
        if not isfinite(t_s):
            raise ValueError("time is not a finite number")
        towards_sun = self._cos_beta * cos(tau * (t_s / self.period_s + self._phase))
        if towards_sun >= self._clear:
            return 1.0
        if towards_sun <= self._umbra:
            return 0.0
        return 1.0 - _covered(self._sun, self._earth, acos(-towards_sun))


def _covered(small: float, large: float, apart: float) -> float:
    """Share of the small disc's area under the large one; radii and distance of the centres in rad, partly covered."""
    x = (apart * apart + small * small - large * large) / (2.0 * apart)
    y = sqrt(max(0.0, small * small - x * x))
    angle_small = acos(min(1.0, max(-1.0, x / small)))
    angle_large = acos(min(1.0, max(-1.0, (apart - x) / large)))
    area = small * small * angle_small + large * large * angle_large - apart * y
    return min(1.0, max(0.0, area / (pi * small * small)))
