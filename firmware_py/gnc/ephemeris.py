"""Direction to the Sun from the date alone, within 0.01 degrees between 1950 and 2050.

Low-precision formulas of the Astronomical Almanac (section C, "Low precision formulas for the Sun"): mean longitude and
anomaly, two terms of the equation of centre, mean obliquity. The result refers to the mean equinox of date; general
precession in longitude brings it back to J2000.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import cos, fmod, radians, sin

from hal.frames import Vec3

__all__ = ["days_since_j2000", "sun_direction"]

J2000 = datetime(2000, 1, 1, 12, tzinfo=UTC)
TT_MINUS_UTC = timedelta(seconds=69.184)
"""37 leap seconds (since 2017, IERS Bulletin C) and 32.184 s; a second more or less moves the Sun by 1e-5 degrees."""
PRECESSION_DEG_PER_DAY = 50.290966 / 3600.0 / 365.25
"""General precession in longitude, J2000 (Lieske and others, A&A 58, 1977: 5029.0966 arcsec a century)."""


def days_since_j2000(utc: datetime) -> float:
    """Days of terrestrial time since J2000.0. Raises ValueError for a time without time zone."""
    if utc.tzinfo is None:
        raise ValueError("time without time zone; UTC is needed")
    return (utc - J2000 + TT_MINUS_UTC) / timedelta(days=1)


def sun_direction(utc: datetime) -> Vec3:
    """Unit vector from the Earth to the Sun, J2000 mean equator and equinox."""
    n = days_since_j2000(utc)
    mean_longitude = 280.460 + 0.9856474 * n
    anomaly = radians(fmod(357.528 + 0.9856003 * n, 360.0))
    longitude_deg = mean_longitude + 1.915 * sin(anomaly) + 0.020 * sin(2.0 * anomaly)
    longitude = radians(fmod(longitude_deg - PRECESSION_DEG_PER_DAY * n, 360.0))
    obliquity = radians(23.439)
    return (cos(longitude), cos(obliquity) * sin(longitude), sin(obliquity) * sin(longitude))
