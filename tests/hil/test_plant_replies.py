"""Which transponders are heard, from where and how sure: modes, distance, what stands between, and deceit."""

from __future__ import annotations

from math import pi, radians
from typing import Any

import numpy as np
import pytest

from hal.frames import quaternion_from_euler
from hal.profile import load_profile
from hil.plant.replies import Heard, ReplyView, Spoof, level_dbm
from hil.plant.surroundings import Seat
from hil.plant.targets import Mode, Obstacle, Scene, Target, Transponder
from hil.plant.world import InitialState, World

BODY = load_profile("qiki-t", "qiki-rpi").body
CENTRE = BODY.mass.centre_of_mass_m


def view(*targets: Target, obstacles: tuple[Obstacle, ...] = (), **initial: Any) -> ReplyView:
    scene = Scene(targets=targets, obstacles=obstacles)
    one = World(BODY, InitialState(epoch=0, scene=scene, **initial), np.random.default_rng(7))
    return ReplyView(one.surroundings, Seat(one.rigid, CENTRE), lambda: one.stream("rx"))


def craft(mode: Mode, *position: float, number: int = 7, name: str = "t") -> Target:
    return Target(name, position, transponder=Transponder(mode, number))


def rounds(one: ReplyView, asking: bool = True, count: int = 400) -> list[Heard]:
    return [heard for _ in range(count) for heard in one.heard(asking)]


def test_an_answer_tells_distance_and_bearing_within_its_errors() -> None:
    all_heard = rounds(view(craft(Mode.ON, 30.0, 40.0, 0.0)))
    assert len(all_heard) / 400 == pytest.approx(0.95, abs=0.03)
    ranges = np.array([heard.range_m for heard in all_heard], float)
    bearings = np.array([heard.bearing_rad for heard in all_heard])
    assert (ranges.mean(), ranges.std()) == (pytest.approx(50.0, abs=0.3), pytest.approx(2.0, rel=0.12))
    assert bearings.mean() == pytest.approx(np.arctan2(40.0, 30.0), abs=radians(0.15))
    assert bearings.std() == pytest.approx(radians(1.0), rel=0.12)
    assert {(h.number, h.silent, h.authentic) for h in all_heard} == {(7, False, True)}


def test_bearings_are_those_of_the_turned_craft() -> None:
    turned = view(craft(Mode.ON, 0.0, 50.0, 0.0), quaternion=quaternion_from_euler(0.0, 0.0, 0.5 * pi))
    assert np.mean([h.bearing_rad for h in rounds(turned, count=50)]) == pytest.approx(0.0, abs=radians(1.0))


@pytest.mark.parametrize(
    ("mode", "asked", "unasked"), [(Mode.OFF, 0, 0), (Mode.ON, 1, 1), (Mode.SILENT, 1, 0), (Mode.SPOOF, 1, 1)]
)
def test_each_mode_answers_and_speaks_as_it_should(mode: Mode, asked: int, unasked: int) -> None:
    one = view(craft(mode, 50.0, 0.0, 0.0))
    assert bool(rounds(one, True, 20)) == bool(asked)
    heard = rounds(one, False, 20)
    assert bool(heard) == bool(unasked)
    assert all(h.range_m is None and h.authentic is None for h in heard)


def test_who_says_another_s_name_can_not_prove_it_and_a_silent_one_says_that_he_is() -> None:
    assert {h.authentic for h in rounds(view(craft(Mode.SPOOF, 50.0, 0.0, 0.0)), count=20)} == {False}
    assert {h.silent for h in rounds(view(craft(Mode.SILENT, 50.0, 0.0, 0.0)), count=20)} == {True}


def test_who_is_too_far_or_behind_a_body_is_not_heard() -> None:
    assert level_dbm(20.0, 5000.0) > -90.0 > level_dbm(20.0, 8000.0)
    assert rounds(view(craft(Mode.ON, 5000.0, 0.0, 0.0)), count=20)
    assert not rounds(view(craft(Mode.ON, 8000.0, 0.0, 0.0)), count=20)
    wall = Obstacle("wall", (20.0, 0.0, 0.0), half_m=(1.0, 5.0, 5.0))
    assert not rounds(view(craft(Mode.ON, 50.0, 0.0, 0.0), obstacles=(wall,)), count=20)


def test_hiding_one_changes_no_number_of_another() -> None:
    wall = Obstacle("wall", (20.0, 0.0, 0.0), half_m=(1.0, 5.0, 5.0))
    pair = (craft(Mode.ON, 50.0, 0.0, 0.0), craft(Mode.ON, 0.0, 50.0, 0.0, number=8, name="u"))
    free = [h for h in rounds(view(*pair), count=20) if h.number == 8]
    assert free == rounds(view(*pair, obstacles=(wall,)), count=20)


def test_a_spoof_takes_another_s_name_and_another_place() -> None:
    one = view(craft(Mode.ON, 50.0, 0.0, 0.0))
    one.spoofs["t"] = Spoof(99, 200.0, radians(90.0), True)
    heard = rounds(one, count=50)
    assert {(h.number, h.authentic) for h in heard} == {(99, True)}
    assert np.mean([h.range_m for h in heard]) == pytest.approx(250.0, abs=2.0)
    assert np.mean([h.bearing_rad for h in heard]) == pytest.approx(radians(90.0), abs=radians(1.0))


def test_a_bias_shifts_all_and_bearings_stay_within_a_half_turn() -> None:
    one = view(craft(Mode.ON, -50.0, 0.1, 0.0))
    one.bias_range_m, one.bias_bearing_rad = -500.0, radians(30.0)
    heard = rounds(one, count=50)
    assert {h.range_m for h in heard} == {0.0}
    assert all(-pi <= h.bearing_rad < pi for h in heard)
    assert np.mean([h.bearing_rad for h in heard]) == pytest.approx(radians(-150.0), abs=radians(1.0))


def test_without_transponders_nothing_is_drawn() -> None:
    one = World(BODY, InitialState(epoch=0, scene=Scene(targets=(Target("t", (9.0, 0, 0)),))), np.random.default_rng(7))
    drawn: list[str] = []
    quiet = ReplyView(
        one.surroundings, Seat(one.rigid, CENTRE), lambda: drawn.append("rx") or one.stream("rx")  # type: ignore[func-returns-value]
    )
    assert quiet.heard(True) == []
    assert drawn == []
