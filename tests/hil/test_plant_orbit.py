"""Sunlight along an orbit: published times, the cylinder's formula, penumbra, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.plant.orbit import EARTH_RADIUS_KM, Orbit

# Longest eclipse of circular orbits, minutes: Space Exploration Stack Exchange 30311 (cylinder, R = 6378.137 km, GM =
# 3.986e14 m3/s2), computed there by the point where the orbit leaves the cylinder.
PUBLISHED_MINUTES = ((200.0, 37.28), (400.0, 36.11), (1370.0, 34.82))


@pytest.mark.parametrize(("altitude_km", "minutes"), PUBLISHED_MINUTES)
def test_longest_eclipses_are_those_published(altitude_km: float, minutes: float) -> None:
    assert Orbit(altitude_km).eclipse_s / 60.0 == pytest.approx(minutes, abs=0.006)


def test_periods_are_those_published() -> None:
    # 400 km: 92.56 min; geostationary 35786 km: one sidereal day, 86164.1 s.
    assert Orbit(400.0).period_s / 60.0 == pytest.approx(92.56, abs=0.01)
    assert Orbit(35_786.0).period_s == pytest.approx(86_164.1, abs=0.5)


def test_geostationary_night_at_equinox_is_that_of_the_textbook() -> None:
    # 17.4 deg of the orbit (Wertz and Larson; commonly rounded to 70 minutes), 8.70 deg either side of midnight.
    assert Orbit(35_786.0).eclipse_share * 360.0 == pytest.approx(17.4, abs=0.05)


@settings(max_examples=30, deadline=None)
@given(altitude_km=st.floats(200.0, 36_000.0), beta_deg=st.floats(-85.0, 85.0))
def test_mean_shade_is_the_eclipse_share_of_the_published_formula(altitude_km: float, beta_deg: float) -> None:
    # Wertz and Larson, section 5.1: f = acos(sqrt(h^2 + 2 R h) / ((R + h) cos beta)) / pi.
    orbit = Orbit(altitude_km, beta_deg)
    cosine = math.sqrt(altitude_km**2 + 2.0 * EARTH_RADIUS_KM * altitude_km) / (EARTH_RADIUS_KM + altitude_km)
    ratio = cosine / math.cos(math.radians(beta_deg))
    expected = math.acos(ratio) / math.pi if ratio < 1.0 else 0.0
    assert orbit.eclipse_share == pytest.approx(expected, abs=1e-6)
    steps = 4000
    shade = sum(1.0 - orbit.sunlit(orbit.period_s * k / steps) for k in range(steps)) / steps
    # A grazing shadow is half penumbra, where the cylinder is only nearly right.
    assert shade == pytest.approx(expected, abs=0.001 if ratio < 0.97 else 0.02)


def test_noon_is_sunlit_midnight_is_dark_and_orbits_repeat() -> None:
    orbit = Orbit(500.0)
    assert orbit.sunlit(0.0) == 1.0
    assert orbit.sunlit(orbit.period_s / 2.0) == 0.0
    assert Orbit(500.0, phase=0.5).sunlit(0.0) == 0.0
    for t in (100.0, 1700.0, 2300.0):
        assert orbit.sunlit(t + 7.0 * orbit.period_s) == pytest.approx(orbit.sunlit(t), abs=1e-6)
        assert orbit.sunlit(-t) == pytest.approx(orbit.sunlit(t), abs=1e-9)


def test_the_penumbra_lasts_as_long_as_the_suns_disc_takes_to_set() -> None:
    # Half a degree of Sun (0.533 deg) at the orbit's rate, which carries it straight behind the Earth when beta is 0.
    orbit = Orbit(400.0)
    steps = [orbit.sunlit(t / 100.0) for t in range(int(orbit.period_s / 2.0) * 100)]
    partial = [share for share in steps if 0.0 < share < 1.0]
    assert len(partial) / 100.0 == pytest.approx(orbit.period_s * 0.533 / 360.0, rel=0.02)
    assert all(late <= early for early, late in pairwise(steps))
    # Half the light where the cylinder begins; the Earth's edge is nearly straight across so small a disc.
    edge = orbit.period_s / 2.0 * (1.0 - orbit.eclipse_share)
    assert orbit.sunlit(edge) == pytest.approx(0.5, abs=0.01)


def test_high_beta_has_no_night() -> None:
    # At 400 km the shadow's edge is at asin(R / r) = 70.2 deg.
    orbit = Orbit(400.0, beta_deg=75.0)
    assert orbit.eclipse_share == 0.0
    assert min(orbit.sunlit(orbit.period_s * k / 1000.0) for k in range(1000)) == 1.0
    assert Orbit(400.0, beta_deg=69.0).eclipse_share > 0.0
    assert Orbit(400.0, beta_deg=90.0).eclipse_share == 0.0


@given(t_s=st.floats(-1e7, 1e7), beta_deg=st.floats(-90.0, 90.0), altitude_km=st.floats(150.0, 40_000.0))
def test_sunlight_is_always_a_share(t_s: float, beta_deg: float, altitude_km: float) -> None:
    assert 0.0 <= Orbit(altitude_km, beta_deg, 0.3).sunlit(t_s) <= 1.0


@pytest.mark.parametrize(("altitude_km", "beta_deg", "phase"), [
    (99.0, 0.0, 0.0), (math.nan, 0.0, 0.0), (500_000.0, 0.0, 0.0), (400.0, 91.0, 0.0), (400.0, math.nan, 0.0),
    (400.0, 0.0, math.inf), (400.0, 0.0, math.nan),
])
def test_orbits_that_cannot_be_are_refused(altitude_km: float, beta_deg: float, phase: float) -> None:
    with pytest.raises(ValueError, match=r"altitude|beta|phase"):
        Orbit(altitude_km, beta_deg, phase)


def test_a_time_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="time"):
        Orbit(400.0).sunlit(math.nan)
