"""Light beams meet what is there: walls and balls at their distances, nothing beyond reach, behind, or inwards."""

from __future__ import annotations

from math import cos, pi, radians, sqrt
from typing import Any

import numpy as np
import pytest

from hal.frames import IDENTITY, Vec3, add, quaternion_from_euler
from hal.profile import load_profile
from hil.plant.beams import TFMINI, VL53L0X, BeamView, LidarView
from hil.plant.surroundings import Seat
from hil.plant.targets import Obstacle, Scene, Target
from hil.plant.world import InitialState, World

BODY = load_profile("qiki-t", "qiki-rpi").body
CENTRE = BODY.mass.centre_of_mass_m
WALL = Obstacle("wall", (5.0, 0.0, 0.0), half_m=(0.5, 4.0, 4.0))


def world(*obstacles: Obstacle, targets: tuple[Target, ...] = (), **initial: Any) -> World:
    scene = Scene(targets=targets, obstacles=obstacles)
    return World(BODY, InitialState(epoch=0, scene=scene, **initial), np.random.default_rng(2))


def lidar(one: World, arm: Vec3 = (0.0, 0.0, 0.0), orientation: Any = IDENTITY) -> LidarView:
    return LidarView(
        one.surroundings, Seat(one.rigid, add(CENTRE, arm), orientation), lambda: one.stream("lidar")
    )


def beam(one: World, kind: Any = TFMINI, orientation: Any = IDENTITY) -> BeamView:
    return BeamView(one.surroundings, Seat(one.rigid, CENTRE, orientation), lambda: one.stream("beam"), kind)


def test_a_wall_is_where_it_is_at_every_angle_that_meets_it() -> None:
    view = lidar(world(WALL))
    angles = [radians(a) for a in range(-30, 31, 5)]
    many = np.array([view.sweep(angles) for _ in range(200)], float)
    assert many.mean(axis=0) == pytest.approx([4.5 / cos(a) for a in angles], abs=0.004)
    assert many.std() > 0.0
    assert (many - many.mean(axis=0)).std() == pytest.approx(0.010, rel=0.1)
    assert view.sweep([radians(60.0), pi]) == [None, None] or view.sweep([radians(60.0), pi]) == (None, None)


def test_angles_count_clockwise() -> None:
    view = lidar(world(Obstacle("left", (0.0, 5.0, 0.0), radius_m=1.0)))
    assert view.sweep([0.5 * pi])[0] is None
    assert view.sweep([1.5 * pi])[0] == pytest.approx(4.0, abs=0.05)


def test_the_nearer_body_hides_the_one_behind() -> None:
    view = lidar(world(WALL, targets=(Target("ball", (3.0, 0.0, 0.0), radius_m=0.5),)))
    ranges = view.sweep([0.0, radians(15.0)])
    assert ranges[0] == pytest.approx(2.5, abs=0.05)
    assert ranges[1] == pytest.approx(4.5 / cos(radians(15.0)), abs=0.05)


def test_nothing_is_seen_beyond_reach_nor_out_of_the_plane() -> None:
    far = Obstacle("far", (14.0, 0.0, 0.0), radius_m=1.0)
    above = Obstacle("above", (5.0, 0.0, 3.0), radius_m=1.0)
    assert lidar(world(far, above)).sweep([0.0])[0] is None
    assert lidar(world(above), orientation=quaternion_from_euler(0.5 * pi, 0.0, 0.0)).sweep(
        [-float(np.arctan2(3.0, 5.0))]
    )[0] == pytest.approx(sqrt(34.0) - 1.0, abs=0.05)


def test_the_craft_hides_what_lies_inwards_of_the_lidar() -> None:
    behind = Obstacle("behind", (-5.0, 0.0, 0.0), radius_m=1.0)
    assert lidar(world(behind)).sweep([pi])[0] is not None
    assert lidar(world(behind), (1.0, 0.0, 0.5)).sweep([pi])[0] is None


def test_a_blind_lidar_sees_nothing_and_a_biased_one_something_else() -> None:
    view = lidar(world(WALL))
    view.bias_range_m = 1.0
    assert view.sweep([0.0])[0] == pytest.approx(5.5, abs=0.05)
    view.bias_range_m, view.bias_bearing_rad = 0.0, radians(90.0)
    assert view.sweep([0.0])[0] is None
    # What is ahead is told 90 deg to the left: at 270 deg clockwise.
    assert view.sweep([1.5 * pi])[0] == pytest.approx(4.5, abs=0.05)
    view.bias_bearing_rad, view.blind = 0.0, True
    assert view.sweep([0.0])[0] is None


def test_what_moves_is_followed() -> None:
    one = world(targets=(Target("ball", (6.0, 0.0, 0.0), (-1.0, 0.0, 0.0), radius_m=1.0),))
    view = beam(one)
    ranges = []
    for second in range(4):
        one.advance(second * 1_000_000_000)
        ranges.append(view.range_m())
    assert ranges == pytest.approx([5.0, 4.0, 3.0, 2.0], abs=0.1)


def test_a_wide_beam_sees_what_its_rim_meets_and_its_error_grows_with_distance() -> None:
    # 1.8 deg at 11 m: 0.35 m beside the middle line.
    beside = Obstacle("beside", (11.0, 0.8, 0.0), radius_m=0.5)
    assert beam(world(beside)).range_m() == pytest.approx(10.9, abs=0.4)
    assert beam(world(Obstacle("too far beside", (11.0, 1.0, 0.0), radius_m=0.5))).range_m() is None
    near, far = beam(world(Obstacle("n", (2.0, 0.0, 0.0), radius_m=1.0))), beam(
        world(Obstacle("f", (12.0, 0.0, 0.0), radius_m=1.0)))
    spread = [np.std([view.range_m() for _ in range(400)]) for view in (near, far)]
    assert spread == pytest.approx([0.02, 0.044], rel=0.15)


def test_a_dock_sensor_reaches_two_metres_the_way_it_looks() -> None:
    up = quaternion_from_euler(0.0, -0.5 * pi, 0.0)
    assert beam(world(Obstacle("o", (0.0, 0.0, 2.0), radius_m=1.0)), VL53L0X, up).range_m() == pytest.approx(
        1.0, abs=0.15
    )
    assert beam(world(Obstacle("o", (0.0, 0.0, 4.0), radius_m=1.0)), VL53L0X, up).range_m() is None
    assert beam(world(Obstacle("o", (2.0, 0.0, 0.0), radius_m=1.0)), VL53L0X, up).range_m() is None


def test_a_blind_or_biased_beam_and_one_without_a_scene() -> None:
    view = beam(world(WALL))
    view.bias_range_m = -2.0
    assert view.range_m() == pytest.approx(2.5, abs=0.1)
    view.bias_range_m = -20.0
    assert view.range_m() == 0.0
    view.blind = True
    assert view.range_m() is None
    assert beam(world()).range_m() is None
    assert set(lidar(world()).sweep([0.0, 1.0])) == {None}
