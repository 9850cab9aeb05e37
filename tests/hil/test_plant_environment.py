"""Sun and field: worked examples of others, seasons, eclipse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import atan2, degrees, hypot

import pytest

from hal.frames import angle_between, norm
from hil.plant.environment import Environment, Lighting, julian_date, sun_direction_j2000, sun_distance_au, unix_ns
from hil.plant.orbit import Orbit

FIELD = (0.0, 20e-6, -44e-6)


def test_julian_date_of_known_epochs() -> None:
    # Meeus, Astronomical Algorithms, chapter 7: 2000 January 1.5 and 1987 January 27.0.
    assert julian_date(datetime(2000, 1, 1, 12, tzinfo=UTC).timestamp()) == 2451545.0
    assert julian_date(datetime(1987, 1, 27, tzinfo=UTC).timestamp()) == 2446822.5


def test_sun_of_the_worked_example() -> None:
    # Meeus, example 25.a: 1992 October 13.0 TD, true longitude 199.90988 deg, radius vector 0.99766; to J2000 by
    # -0.01397 (year - 2000) = +0.1009 deg.
    jd = 2448908.5
    x, y, z = sun_direction_j2000(jd)
    longitude = degrees(atan2(hypot(y, z) * (1 if y > 0 else -1), x)) % 360.0
    assert longitude == pytest.approx(199.90988 + 0.1009, abs=0.01)
    assert sun_distance_au(jd) == pytest.approx(0.99766, abs=3e-4)


def test_seasons_of_2026() -> None:
    # Equinox 2026-03-20 14:46 UTC, solstice 2026-06-21 08:24 UTC (USNO); declinations of date, so within precession.
    equinox = sun_direction_j2000(julian_date(datetime(2026, 3, 20, 14, 46, tzinfo=UTC).timestamp()))
    assert degrees(equinox[2]) == pytest.approx(0.0, abs=0.16)
    assert equinox[0] > 0.9999
    solstice = sun_direction_j2000(julian_date(datetime(2026, 6, 21, 8, 24, tzinfo=UTC).timestamp()))
    assert degrees(atan2(solstice[2], hypot(solstice[0], solstice[1]))) == pytest.approx(23.44, abs=0.01)
    assert solstice[1] > 0.9


def test_direction_is_a_unit_vector_and_moves_a_degree_a_day() -> None:
    jd = 2461000.5
    today, tomorrow = sun_direction_j2000(jd), sun_direction_j2000(jd + 1.0)
    assert norm(today) == pytest.approx(1.0, abs=1e-12)
    assert degrees(angle_between(today, tomorrow)) == pytest.approx(1.0, abs=0.05)


def test_a_given_sun_stands_still_at_one_au() -> None:
    around = Environment(0, (0.0, 3.0, 0.0), FIELD)
    around.update(10**18)
    assert around.sun_direction == (0.0, 1.0, 0.0)
    assert around.solar_flux_w_m2 == 1361.0


def test_the_suns_flux_follows_the_distance() -> None:
    perihelion = Environment(unix_ns(datetime(2026, 1, 3, tzinfo=UTC)), None, FIELD)
    aphelion = Environment(unix_ns(datetime(2026, 7, 6, tzinfo=UTC)), None, FIELD)
    assert perihelion.solar_flux_w_m2 == pytest.approx(1361.0 / 0.9833**2, rel=1e-3)
    assert aphelion.solar_flux_w_m2 == pytest.approx(1361.0 / 1.0167**2, rel=1e-3)


def test_the_sun_follows_the_date_as_time_passes() -> None:
    start = datetime(2026, 11, 21, tzinfo=UTC)
    moving = Environment(unix_ns(start), None, FIELD)
    later = Environment(unix_ns(start + timedelta(days=3)), None, FIELD)
    assert angle_between(moving.sun_direction, later.sun_direction) > 0.05
    moving.update(3 * 86_400 * 10**9)
    assert angle_between(moving.sun_direction, later.sun_direction) < 1e-9


def test_eclipse_takes_the_light_and_leaves_the_direction() -> None:
    around = Environment(0, (1.0, 0.0, 0.0), FIELD)
    around.eclipse = True
    assert around.solar_flux_w_m2 == 0.0
    assert around.illumination == 0.0
    assert around.sun_direction == (1.0, 0.0, 0.0)


def test_epoch_needs_a_time_zone() -> None:
    assert unix_ns(datetime(1970, 1, 1, 0, 0, 1, 250, tzinfo=UTC)) == 1_000_250_000
    assert unix_ns(17) == 17
    with pytest.raises(ValueError, match="time zone"):
        unix_ns(datetime(2026, 1, 1))


NS = 1_000_000_000


def test_orbit_takes_the_light_by_itself_and_gives_it_back() -> None:
    orbit = Orbit(500.0)
    around = Environment(0, (1.0, 0.0, 0.0), FIELD, orbit=orbit)
    assert (around.sunlit, around.eclipse) == (1.0, False)
    around.update(round(0.5 * orbit.period_s * NS))
    assert (around.solar_flux_w_m2, around.eclipse) == (0.0, True)
    around.update(round(orbit.period_s * NS))
    assert around.solar_flux_w_m2 == 1361.0


def test_penumbra_dims_in_between() -> None:
    orbit = Orbit(500.0)
    around = Environment(0, (1.0, 0.0, 0.0), FIELD, orbit=orbit)
    middle = 0.5 * (orbit.period_s - orbit.eclipse_s)
    seen = []
    for k in range(-100, 101):
        around.update(round((middle + 0.1 * k) * NS))
        seen.append(around.illumination)
    assert seen[0] == 1.0
    assert seen[-1] == 0.0
    assert seen == sorted(seen, reverse=True)
    assert len({round(value, 6) for value in seen if 0.0 < value < 1.0}) > 20


def test_shade_put_on_by_hand_wins_over_the_orbit() -> None:
    around = Environment(0, (1.0, 0.0, 0.0), FIELD, orbit=Orbit(500.0))
    around.eclipse = True
    around.update(NS)
    assert (around.eclipse, around.illumination) == (True, 0.0)
    around.eclipse = False
    assert (around.eclipse, around.illumination) == (False, 1.0)


def test_lighting_is_linear_between_its_points_and_holds_outside() -> None:
    lamp = Lighting([(10.0, 0.0), (20.0, 0.5), (30.0, 0.5), (40.0, 2.0)])
    assert [lamp.factor(t) for t in (-5.0, 10.0, 15.0, 20.0, 25.0, 35.0, 40.0, 1e9)] == [
        0.0, 0.0, 0.25, 0.5, 0.5, 1.25, 2.0, 2.0
    ]
    around = Environment(0, (1.0, 0.0, 0.0), FIELD, lighting=lamp)
    assert around.eclipse
    around.update(15 * NS)
    assert around.solar_flux_w_m2 == pytest.approx(0.25 * 1361.0)


def test_orbit_and_lighting_multiply() -> None:
    orbit = Orbit(500.0)
    around = Environment(0, (1.0, 0.0, 0.0), FIELD, orbit=orbit, lighting=Lighting([(0.0, 0.5)]))
    assert around.illumination == 0.5
    around.update(round(0.5 * orbit.period_s * NS))
    assert around.illumination == 0.0


@pytest.mark.parametrize(
    ("points", "match"),
    [
        ([], "at least one"), ([(1.0, 0.5), (1.0, 0.6)], "rise"), ([(2.0, 0.5), (1.0, 0.6)], "rise"),
        ([(float("nan"), 0.5)], "rise"), ([(0.0, 0.5), (float("inf"), 0.5)], "rise"), ([(0.0, -0.1)], "brightness"),
        ([(0.0, float("nan"))], "brightness"),
    ],
)
def test_impossible_lighting_is_refused(points: list[tuple[float, float]], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Lighting(points)
