"""The radar's view: truth within its data sheet's errors, its beams, what hides, merges, fades and is false."""

from __future__ import annotations

from math import atan2, hypot, radians
from typing import Any

import numpy as np
import pytest

from hal.profile import load_profile
from hil.plant.radar_view import FALSE_ALARM, Echo, Ghost, RadarView, snr_db
from hil.plant.surroundings import Seat
from hil.plant.targets import Obstacle, Scene, Target
from hil.plant.world import InitialState, World

BODY = load_profile("qiki-t", "qiki-rpi").body
CENTRE = BODY.mass.centre_of_mass_m
CYCLE = 77_000_000


class Sky:
    """A radar at the centre of mass of a craft, looking along x."""

    def __init__(self, *targets: Target, rate: Any = (0.0, 0.0, 0.0), **scene: Any) -> None:
        self.world = World(
            BODY, InitialState(epoch=0, scene=Scene(targets=targets, **scene), rate=rate), np.random.default_rng(5)
        )
        self.draws = 0
        self.view = RadarView(self.world.surroundings, Seat(self.world.rigid, CENTRE), self.stream)

    def stream(self) -> np.random.Generator:
        self.draws += 1
        return self.world.stream("radar")

    def cycles(self, count: int, moving: bool = False) -> list[list[Echo]]:
        lists = []
        for index in range(count):
            if moving:
                self.world.advance(index * CYCLE)
            lists.append(self.view.cycle(index * CYCLE))
        return lists


def strong(name: str, *position: float, **more: Any) -> Target:
    return Target(name, position, rcs_dbsm=30.0, radius_m=0.3, **more)


def test_nothing_around_costs_no_number() -> None:
    sky = Sky()
    assert sky.cycles(3) == [[], [], []]
    assert sky.draws == 0


def test_a_target_is_told_where_it_is_within_the_data_sheet_s_errors() -> None:
    sky = Sky(strong("a", 150.0, 10.0, 5.0, velocity=(-8.0, 3.0, 0.0)))
    echoes = [echo for echoes in sky.cycles(400) for echo in echoes]
    assert 395 <= len(echoes) <= 400
    true_m = float(np.linalg.norm([150.0, 10.0, 5.0]))
    ranges = np.array([hypot(e.x_m, e.y_m) for e in echoes])
    angles = np.array([atan2(e.y_m, e.x_m) for e in echoes])
    # The whole distance is laid flat: height is not known to it.
    assert ranges.mean() == pytest.approx(true_m, abs=0.08)
    assert ranges.std() == pytest.approx(0.4, rel=0.15)
    assert angles.mean() == pytest.approx(atan2(10.0, 150.0), abs=radians(0.02))
    assert angles.std() == pytest.approx(radians(0.1), rel=0.15)
    rates = np.array([(e.x_m * e.vx_m_s + e.y_m * e.vy_m_s) / hypot(e.x_m, e.y_m) for e in echoes])
    assert rates.mean() == pytest.approx((-8.0 * 150.0 + 3.0 * 10.0) / true_m, abs=0.01)
    assert np.mean([e.rcs_dbsm for e in echoes]) == pytest.approx(30.0, abs=0.3)
    assert {e.number for e in echoes} == {0}


def test_a_turning_craft_sees_what_stands_still_go_round() -> None:
    [[echo]] = Sky(strong("a", 50.0, 0.0, 0.0), rate=(0.0, 0.0, 0.1)).cycles(1)
    assert echo.vx_m_s == pytest.approx(0.0, abs=0.3)
    assert echo.vy_m_s == pytest.approx(-5.0, abs=1.5)


@pytest.mark.parametrize(
    ("place", "seen"),
    [
        ((249.0, 0.0, 0.0), True), ((252.0, 0.0, 0.0), False), ((200.0, 38.0, 0.0), False), ((68.0, 12.0, 0.0), True),
        ((50.0, 45.0, 0.0), True), ((50.0, 52.0, 0.0), False), ((10.0, 15.0, 0.0), True), ((12.0, 17.0, 0.0), False),
        ((5.0, 9.0, 0.0), False), ((-50.0, 0.0, 0.0), False), ((100.0, 0.0, 12.0), True), ((100.0, 0.0, 13.0), False),
        ((20.0, 9.0, 3.5), True), ((20.0, 9.0, 4.2), False), ((0.1, 0.0, 0.0), False),
    ],
)
def test_it_sees_as_far_as_wide_and_as_high_as_its_beams(place: tuple[float, float, float], seen: bool) -> None:
    assert bool(Sky(strong("a", *place)).view.cycle(0)) is seen


def test_detection_falls_with_distance_and_cross_section_as_the_radar_equation_says() -> None:
    for rcs, distance in ((10.0, 240.0), (0.0, 120.0), (-10.0, 100.0), (0.0, 60.0)):
        sky = Sky(Target("a", (distance, 0.0, 0.0), rcs_dbsm=rcs))
        share = np.mean([len(echoes) for echoes in sky.cycles(1500)])
        ratio = 10.0 ** (0.1 * (12.0 - 10.0 + rcs - 40.0 * np.log10(distance / 250.0)))
        assert share == pytest.approx(FALSE_ALARM ** (1.0 / (1.0 + ratio)), abs=0.04)


def test_the_ratio_is_twelve_decibels_at_the_end_of_a_beam() -> None:
    assert snr_db(np.array([10.0]), np.array([250.0]), np.array([250.0]))[0] == pytest.approx(12.0)
    assert snr_db(np.array([10.0]), np.array([125.0]), np.array([250.0]))[0] == pytest.approx(24.04, abs=0.01)


def test_what_stands_behind_another_body_is_not_seen() -> None:
    wall = Obstacle("wall", (30.0, 0.0, 0.0), half_m=(0.5, 3.0, 3.0), rcs_dbsm=20.0)
    lists = Sky(strong("behind", 60.0, 0.0, 0.0), strong("beside", 60.0, 12.0, 0.0), obstacles=(wall,)).cycles(60)
    places = {(round(e.x_m, -1), round(e.y_m, -1)) for echoes in lists for e in echoes}
    assert (60.0, 0.0) not in places
    assert {(30.0, 0.0), (60.0, 10.0)} <= places
    nearest = [min(e.x_m for e in echoes) for echoes in lists if echoes]
    assert np.median(nearest) == pytest.approx(29.5, abs=0.1)


def test_two_in_one_cell_are_one() -> None:
    together = Sky(strong("a", 100.0, 0.0, 0.0), strong("b", 101.0, 0.5, 0.0))
    apart = Sky(strong("a", 100.0, 0.0, 0.0), strong("b", 103.0, 0.5, 0.0))
    assert {len(echoes) for echoes in together.cycles(20)} == {1}
    assert max(len(echoes) for echoes in apart.cycles(20)) == 2


def test_numbers_stay_with_bodies_and_are_free_again_after_a_while() -> None:
    sky = Sky(strong("a", 60.0, 20.0, 0.0, vanishes_s=1.0), strong("b", 60.0, -20.0, 0.0),
              strong("c", 30.0, 5.0, 0.0, appears_s=4.0))
    numbers: dict[str, set[int]] = {"a": set(), "b": set(), "c": set()}
    for echoes in sky.cycles(80, moving=True):
        for echo in echoes:
            numbers["c" if echo.x_m < 45.0 else "a" if echo.y_m > 0.0 else "b"].add(echo.number)
    assert numbers == {"a": {0}, "b": {1}, "c": {0}}


def test_clutter_has_its_mean_stays_in_the_beams_and_never_shares_a_number() -> None:
    sky = Sky(strong("a", 60.0, 0.0, 0.0), clutter_per_frame=6.0)
    lists = sky.cycles(400)
    assert np.mean([len(echoes) for echoes in lists]) == pytest.approx(7.0, abs=0.5)
    for echoes in lists:
        assert len({e.number for e in echoes}) == len(echoes)
        assert all(hypot(e.x_m, e.y_m) < 252.0 for e in echoes)


def test_a_thousandfold_clutter_leaves_a_bounded_list_with_the_true_target_in_it() -> None:
    sky = Sky(strong("a", 60.0, 0.0, 0.0), clutter_per_frame=3.0)
    sky.view.clutter_per_frame = 3000.0
    for echoes in sky.cycles(5):
        assert len(echoes) == 200
        assert any(abs(e.x_m - 60.0) < 2.0 and e.rcs_dbsm > 20.0 for e in echoes)
        assert len({e.number for e in echoes}) == 200


def test_a_ghost_is_seen_by_every_cycle_moves_and_ends_at_the_craft() -> None:
    sky = Sky()
    sky.view.ghosts["g"] = Ghost(50.0, radians(10.0), -10.0, 12.0, 0)
    first, later = sky.view.cycle(0), sky.view.cycle(2_000_000_000)
    assert hypot(first[0].x_m, first[0].y_m) == pytest.approx(50.0, abs=0.5)
    assert hypot(later[0].x_m, later[0].y_m) == pytest.approx(30.0, abs=0.5)
    assert atan2(first[0].y_m, first[0].x_m) == pytest.approx(radians(10.0), abs=radians(4.0))
    assert sky.view.cycle(5_000_000_000) == []


def test_a_bias_moves_all_that_is_said() -> None:
    sky = Sky(strong("a", 100.0, 0.0, 0.0))
    sky.view.bias_range_m, sky.view.bias_bearing_rad = 20.0, radians(30.0)
    [[echo]] = sky.cycles(1)
    assert hypot(echo.x_m, echo.y_m) == pytest.approx(120.0, abs=1.5)
    assert atan2(echo.y_m, echo.x_m) == pytest.approx(radians(30.0), abs=radians(0.5))


def test_more_bodies_than_numbers_are_told_with_numbers_of_their_own() -> None:
    many = [Target(str(i), (20.0 + 2.0 * (i // 20), 2.2 * (i % 20 - 10), 0.0), (0.0, -6.0, 0.0), radius_m=0.01,
                   rcs_dbsm=30.0) for i in range(400)]
    sky = Sky(*many)
    for echoes in sky.cycles(40, moving=True):
        assert 0 < len(echoes) <= 200
        assert len({e.number for e in echoes}) == len(echoes)
        assert all(0 <= e.number < 256 for e in echoes)
