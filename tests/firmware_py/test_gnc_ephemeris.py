"""Direction of the Sun against published positions."""

from __future__ import annotations

from datetime import UTC, datetime
from math import asin, atan2, cos, degrees, radians, sin

import pytest

from firmware_py.gnc.ephemeris import days_since_j2000, sun_direction
from hal.frames import Vec3, angle_between, norm


def ecliptic(longitude_deg: float) -> Vec3:
    e, x = radians(23.4393), radians(longitude_deg)
    return (cos(x), cos(e) * sin(x), sin(e) * sin(x))


def test_a_worked_example_is_met() -> None:
    # Meeus, Astronomical Algorithms, example 25.a: 1992 October 13, 0 h TD, true longitude 199.90987 deg referred to
    # the mean equinox of date; 7.2154 years of precession before J2000 are 0.1008 deg. The formula leaves out nutation
    # and aberration (0.0057 deg).
    direction = sun_direction(datetime(1992, 10, 12, 23, 59, tzinfo=UTC))
    assert degrees(angle_between(direction, ecliptic(199.90987 + 0.1008))) < 0.012


@pytest.mark.parametrize(
    ("moment", "longitude_of_date_deg"),
    [
        # Equinoxes and solstices (USNO, "Earth's Seasons").
        (datetime(2024, 3, 20, 3, 6, tzinfo=UTC), 0.0),
        (datetime(2024, 6, 20, 20, 51, tzinfo=UTC), 90.0),
        (datetime(2024, 9, 22, 12, 44, tzinfo=UTC), 180.0),
        (datetime(2024, 12, 21, 9, 21, tzinfo=UTC), 270.0),
    ],
)
def test_the_seasons_begin_when_they_do(moment: datetime, longitude_of_date_deg: float) -> None:
    precession = 50.29 / 3600.0 * days_since_j2000(moment) / 365.25
    expected = ecliptic(longitude_of_date_deg - precession)
    assert degrees(angle_between(sun_direction(moment), expected)) < 0.015


def test_it_is_a_unit_vector_whose_declination_is_that_of_the_date() -> None:
    x, y, z = sun_direction(datetime(2026, 11, 21, 12, tzinfo=UTC))
    assert norm((x, y, z)) == pytest.approx(1.0)
    # Late November: declination near -20 deg, right ascension near 15 h 48 min.
    assert degrees(asin(z)) == pytest.approx(-19.9, abs=0.3)
    assert degrees(atan2(y, x)) % 360.0 == pytest.approx(237.0, abs=1.5)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        sun_direction(datetime(2026, 1, 1))
