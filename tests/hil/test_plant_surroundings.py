"""Bodies around the craft fly by their script, relative ones from where the craft is; seats see from where they sit."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import pytest

from hal.frames import quaternion_from_euler
from hal.profile import load_profile
from hil.plant.surroundings import Seat, Surroundings
from hil.plant.targets import Field, Manoeuvre, Obstacle, Scene, Target
from hil.plant.world import InitialState, World

BODY = load_profile("qiki-t", "qiki-rpi").body
SECOND = 1_000_000_000


def world(scene: Scene = Scene(), **initial: Any) -> World:  # noqa: B008 - frozen
    return World(BODY, InitialState(epoch=0, scene=scene, **initial), np.random.default_rng(1))


def test_without_a_scene_there_is_nothing_and_the_world_is_the_same_to_the_bit() -> None:
    bare, full = world(), world(Scene(targets=(Target("a", (5.0, 0.0, 0.0)),), clutter_per_frame=3.0))
    for one in (bare, full):
        one.advance(3 * SECOND)
    assert bare.surroundings.empty
    assert not full.surroundings.empty
    assert bare.truth() == full.truth()
    assert bare.stream("x").random() == full.stream("x").random()
    assert len(bare.surroundings.bodies().key) == 0


def test_a_target_flies_straight_from_its_epoch_before_and_after() -> None:
    one = world(Scene(targets=(Target("a", (10.0, 0.0, 0.0), (1.0, 0.0, -2.0), at_s=4.0),)))
    assert one.surroundings.bodies().position.tolist() == [[6.0, 0.0, 8.0]]
    one.advance(6 * SECOND)
    assert one.surroundings.bodies().position.tolist() == [[12.0, 0.0, -4.0]]


def test_a_push_changes_speed_and_place_while_it_lasts_and_after() -> None:
    push = Manoeuvre(1.0, 3.0, (0.0, 2.0, 0.0))
    one = world(Scene(targets=(Target("a", (0.0, 0.0, 9.0), manoeuvres=(push,)),)))
    for seconds, place, speed in ((1, 0.0, 0.0), (2, 1.0, 2.0), (3, 4.0, 4.0), (5, 12.0, 4.0)):
        one.advance(seconds * SECOND)
        bodies = one.surroundings.bodies()
        assert (bodies.position[0, 1], bodies.velocity[0, 1]) == (pytest.approx(place), pytest.approx(speed))


def test_who_has_not_appeared_or_has_vanished_is_not_there() -> None:
    one = world(Scene(targets=(Target("a", (1.0, 0, 0), appears_s=1.0, vanishes_s=2.0), Target("b", (2.0, 0, 0)))))
    counts = []
    for tenth in range(5, 30, 5):
        one.advance(tenth * SECOND // 10)
        counts.append(one.surroundings.bodies().target.tolist())
    assert counts == [[1], [0, 1], [0, 1], [1], [1]]


def test_a_relative_target_is_placed_by_the_craft_s_axes_and_motion_when_its_time_comes() -> None:
    scene = Scene(targets=(
        Target("now", (10.0, 0.0, 0.0), (0.0, 1.0, 0.0), relative=True),
        Target("later", (10.0, 0.0, 0.0), relative=True, at_s=2.0),
    ))
    one = world(scene, position=(100.0, 0.0, 0.0), velocity=(0.0, 0.0, 3.0),
                quaternion=quaternion_from_euler(0.0, 0.0, 0.5 * pi))
    bodies = one.surroundings.bodies()
    assert bodies.key.tolist() == [0]
    assert bodies.position[0] == pytest.approx([100.0, 10.0, 0.0])
    assert bodies.velocity[0] == pytest.approx([-1.0, 0.0, 3.0])
    one.advance(2 * SECOND)
    bodies = one.surroundings.bodies()
    assert bodies.position[1] == pytest.approx([100.0, 10.0, 6.0], abs=1e-6)


def test_obstacles_stand_still_and_keep_keys_of_their_own() -> None:
    scene = Scene(
        targets=(Target("a", (1.0, 0, 0), vanishes_s=1.0),),
        obstacles=(Obstacle("box", (5.0, 0, 0), half_m=(1.0, 2.0, 2.0)), Obstacle("ball", (0, 5.0, 0), radius_m=2.0)),
    )
    one = world(scene)
    assert one.surroundings.bodies().key.tolist() == [0, 1]
    assert one.surroundings.boxes.key.tolist() == [2]
    assert one.surroundings.boxes.reach_m.tolist() == [3.0]
    one.advance(2 * SECOND)
    assert one.surroundings.bodies().key.tolist() == [1]
    assert one.surroundings.bodies().position.tolist() == [[0.0, 5.0, 0.0]]


def test_a_seat_moves_with_the_turning_craft() -> None:
    one = world(rate=(0.0, 0.0, 0.5), velocity=(1.0, 0.0, 0.0))
    centre = BODY.mass.centre_of_mass_m
    look = Seat(one.rigid, (centre[0] + 2.0, centre[1], centre[2]), quaternion_from_euler(0.0, 0.0, 0.5 * pi)).look()
    assert look.position == pytest.approx([2.0, 0.0, 0.0])
    assert look.velocity == pytest.approx([1.0, 1.0, 0.0])
    # Its x axis is the craft's y axis.
    assert look.axes[0] == pytest.approx([0.0, 1.0, 0.0])
    assert look.rate == pytest.approx([0.0, 0.0, 0.5])


def test_a_dipole_adds_its_field_and_grows_no_more_inside_its_core() -> None:
    around = Surroundings(Scene(fields=(Field((0.0, 0.0, 0.0), (0.0, 0.0, 100.0), 1.0),)), world().rigid)
    # On the axis 2 m / r3, beside it half of that and against it.
    assert around.field_t((0.0, 0.0, 2.0)) == pytest.approx((0.0, 0.0, 2.5e-6))
    assert around.field_t((2.0, 0.0, 0.0)) == pytest.approx((0.0, 0.0, -1.25e-6))
    assert around.field_t((0.0, 0.0, 0.1)) == pytest.approx((0.0, 0.0, 2e-5))


def test_a_box_and_a_ball_hide_what_is_behind_them() -> None:
    scene = Scene(
        targets=(Target("behind box", (20.0, 0, 0)), Target("behind ball", (0, 20.0, 0)), Target("free", (0, 0, 20.0))),
        obstacles=(Obstacle("box", (5.0, 0, 0), half_m=(0.5, 1, 1)), Obstacle("ball", (0, 5.0, 0), radius_m=1.0)),
    )
    one = world(scene)
    around, look = one.surroundings, Seat(one.rigid, BODY.mass.centre_of_mass_m).look()
    ways = around.bodies().position - look.position
    ranges = np.linalg.norm(ways, axis=1)
    hidden = around.hidden(look, ways / ranges[:, None], ranges, np.arange(4), np.full(4, -1))
    assert hidden.tolist() == [True, True, False, False]
