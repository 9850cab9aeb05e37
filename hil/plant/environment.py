"""Where the Sun and the magnetic field are, in the inertial frame (J2000 equator and equinox), and how bright it is.

Brightness follows time by itself where an orbit (shadow with its penumbra) or a lighting profile (a lamp over a bench)
is given; with both, one multiplies the other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import cos, inf, radians, sin

from hal.frames import Vec3, unit
from hil.plant.orbit import Orbit
from hil.plant.power import SOLAR_CONSTANT_W_M2

__all__ = ["Environment", "Lighting", "julian_date", "sun_direction_j2000", "sun_distance_au", "unix_ns"]

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_REFRESH_NS = 60_000_000_000
"""The Sun moves 2.5 arc seconds in a minute."""


def unix_ns(epoch: datetime | int) -> int:
    """Nanoseconds since 1970-01-01 UTC of a datetime with a time zone, or the number itself. Raises ValueError."""
    if isinstance(epoch, datetime):
        if epoch.tzinfo is None:
            raise ValueError("epoch has no time zone; give UTC")
        return (epoch - _UNIX_EPOCH) // timedelta(microseconds=1) * 1000
    return epoch


def julian_date(unix_s: float) -> float:
    """Julian date of a UTC time given as seconds since 1970-01-01."""
    return unix_s / 86400.0 + 2440587.5


def _solar_elements(jd: float) -> tuple[float, float]:
    """Days from J2000.0 and the Sun's mean anomaly, rad."""
    n = jd - 2451545.0
    return n, radians((357.528 + 0.9856003 * n) % 360.0)


def sun_distance_au(jd: float) -> float:
    """Distance of the Sun, au, within 0.0003 au. Astronomical Almanac, section C, low-precision formulas."""
    _, g = _solar_elements(jd)
    return 1.00014 - 0.01671 * cos(g) - 0.00014 * cos(2.0 * g)


def sun_direction_j2000(jd: float) -> Vec3:
    """Unit vector to the Sun in the mean equator and equinox of J2000, within about 0.01 deg from 1950 to 2050.

    Ecliptic longitude by the Astronomical Almanac's low-precision formulas (section C), referred to the equinox of
    date; 0.01397 deg a year of general precession takes it to J2000 (Meeus, Astronomical Algorithms, chapter 25). UTC
    stands for terrestrial time: a minute's difference is 0.0007 deg.
    """
    n, g = _solar_elements(jd)
    mean_longitude = 280.460 + 0.9856474 * n
    longitude = radians((mean_longitude + 1.915 * sin(g) + 0.020 * sin(2.0 * g) - 0.01397 * n / 365.25) % 360.0)
    obliquity = radians(23.4393)
    return (cos(longitude), cos(obliquity) * sin(longitude), sin(obliquity) * sin(longitude))


class Lighting:
    """Brightness over time as a table: linear between its points, held before the first and after the last."""

    def __init__(self, points: Sequence[tuple[float, float]]) -> None:
        """``points``: time (s) and brightness as a share of the Sun at 1 au. Raises ValueError.

        Times rise strictly; a brightness lies in 0..10.
        """
        self._times = [t for t, _ in points]
        self._factors = [factor for _, factor in points]
        if not points:
            raise ValueError("a lighting profile needs at least one point")
        if not all(a < b for a, b in zip(self._times, [*self._times[1:], inf], strict=True)) or self._times[0] == -inf:
            raise ValueError(f"times of a lighting profile must be finite and rise: {self._times}")
        if not all(0.0 <= factor <= 10.0 for factor in self._factors):
            raise ValueError(f"brightness in a lighting profile: 0..10 is allowed: {self._factors}")

    def factor(self, t_s: float) -> float:
        """Brightness at ``t_s``."""
        index = bisect_right(self._times, t_s)
        if index == 0:
            return self._factors[0]
        if index == len(self._times):
            return self._factors[-1]
        t0, t1 = self._times[index - 1], self._times[index]
        before, after = self._factors[index - 1], self._factors[index]
        return before + (after - before) * (t_s - t0) / (t1 - t0)


class Environment:
    """Surroundings of the craft. ``magnetic_field_t`` and ``sun_direction`` are inertial; fields are read freely.

    A Sun direction that is given stands still at 1 au; otherwise it follows the date. ``shaded`` puts the craft into
    shadow whatever orbit and lighting say. ``sunlit`` is the share of the Sun that these two leave, and ``dimmed``
    (0..1) what is left of that.
    """

    def __init__(
        self, epoch_unix_ns: int, sun_direction: Vec3 | None, magnetic_field_t: Vec3, *, orbit: Orbit | None = None,
        lighting: Lighting | None = None,
    ) -> None:
        self.shaded = False
        self.sunlit = self.dimmed = 1.0
        self.magnetic_field_t = magnetic_field_t
        self.sun_direction: Vec3 = (1.0, 0.0, 0.0) if sun_direction is None else unit(sun_direction)
        self._orbit, self._lighting = orbit, lighting
        self._epoch = epoch_unix_ns
        self._fixed = sun_direction is not None
        self._distance = 1.0
        self._due_ns = 0
        self.update(0)

    @property
    def eclipse(self) -> bool:
        """Whether no light reaches the craft. Setting it shades the craft, or takes that shade away."""
        return self.shaded or self.sunlit * self.dimmed <= 0.0

    @eclipse.setter
    def eclipse(self, shaded: bool) -> None:
        self.shaded = shaded

    @property
    def solar_flux_w_m2(self) -> float:
        """Solar irradiance on a surface square to the Sun; zero in eclipse."""
        return SOLAR_CONSTANT_W_M2 * self.illumination

    @property
    def illumination(self) -> float:
        """Sunlight as a share of that at 1 au; zero in eclipse."""
        return 0.0 if self.shaded else self.dimmed * self.sunlit / (self._distance * self._distance)

    def update(self, elapsed_ns: int) -> None:
        """Follow orbit, lighting and date, ``elapsed_ns`` after the epoch; the date's Sun is computed once a minute."""
        if self._orbit is not None or self._lighting is not None:
            t_s = elapsed_ns * 1e-9
            self.sunlit = 1.0 if self._orbit is None else self._orbit.sunlit(t_s)
            if self._lighting is not None:
                self.sunlit *= self._lighting.factor(t_s)
        if self._fixed or elapsed_ns < self._due_ns:
            return
        jd = julian_date((self._epoch + elapsed_ns) * 1e-9)
        self.sun_direction = sun_direction_j2000(jd)
        self._distance = sun_distance_au(jd)
        self._due_ns = elapsed_ns + _REFRESH_NS
