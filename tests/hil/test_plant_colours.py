"""The spectrometer sees the colours of what fills its view, in the order in which bodies stand before each other."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import pytest

from hal.profile import load_profile
from hil.plant.colours import SUNLIT_COUNTS_S, SpectrometerView, overlap
from hil.plant.surroundings import Seat
from hil.plant.targets import Obstacle, Patch, Scene, Target
from hil.plant.world import InitialState, World

BODY = load_profile("qiki-t", "qiki-rpi").body
CENTRE = BODY.mass.centre_of_mass_m
RED, GREEN = (0.1,) * 6 + (0.9,) * 4, (0.1, 0.1, 0.1, 0.8, 0.8, 0.1, 0.1, 0.1, 0.4, 0.2)


def seen(light: float = 1.0, **scene: Any) -> np.ndarray:
    made = Scene(spectra={"red": RED, "green": GREEN}, **scene)
    one = World(BODY, InitialState(epoch=0, scene=made), np.random.default_rng(1))
    view = SpectrometerView(one.surroundings, Seat(one.rigid, CENTRE), lambda: light)
    return np.array(view.counts_s()) / np.array(SUNLIT_COUNTS_S)


def test_what_fills_the_view_gives_its_own_spectrum_and_half_the_light_half_of_it() -> None:
    ball = (Obstacle("ball", (20.0, 0, 0), radius_m=10.0, spectrum="red"),)
    assert seen(obstacles=ball) == pytest.approx(RED)
    assert seen(0.5, obstacles=ball) == pytest.approx(0.5 * np.array(RED))


def test_in_the_dark_and_without_bodies_nothing_is_seen() -> None:
    assert not seen(0.0, obstacles=(Obstacle("b", (20.0, 0, 0), radius_m=10.0, spectrum="red"),)).any()
    assert not seen().any()
    assert not seen(targets=(Target("behind", (-20.0, 0, 0), radius_m=5.0, spectrum="red"),)).any()


def test_what_stands_in_front_covers_what_is_behind_whatever_its_order() -> None:
    front = Obstacle("front", (10.0, 0, 0), radius_m=5.0, spectrum="green")
    behind = Obstacle("behind", (60.0, 0, 0), radius_m=20.0, spectrum="red")
    assert seen(obstacles=(front, behind)) == pytest.approx(GREEN)
    assert seen(obstacles=(behind, front)) == pytest.approx(GREEN)


def test_a_body_without_a_colour_is_black_and_covers_too() -> None:
    assert seen(obstacles=(
        Obstacle("black", (10.0, 0, 0), radius_m=5.0), Obstacle("behind", (60.0, 0, 0), radius_m=20.0, spectrum="red"),
    )).max() == 0.0


def test_a_small_body_gives_its_share_of_the_view() -> None:
    share = seen(targets=(Target("t", (50.0, 0, 0), radius_m=2.0, spectrum="green"),))
    expected = (np.arcsin(2.0 / 50.0) / (pi / 18.0)) ** 2
    assert share == pytest.approx(expected * np.array(GREEN), rel=1e-9)


def test_a_patch_adds_its_light_and_covers_nothing_and_a_box_counts_as_a_ball() -> None:
    box = Obstacle("box", (20.0, 0, 0), half_m=(9.0, 9.0, 9.0), spectrum="red")
    patch = Patch((5.0, 0, 0), 3.0, "green", 0.5)
    assert seen(obstacles=(box,), patches=(patch,)) == pytest.approx(np.array(RED) + 0.5 * np.array(GREEN))


def test_overlap_of_discs_agrees_with_counting() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(-1.0, 1.0, (200_000, 2))
    points = points[np.hypot(*points.T) <= 1.0]
    for body, apart in ((0.5, 0.8), (2.0, 1.5), (1.0, 1.0), (0.3, 0.2), (0.3, 1.4), (3.0, 1.0)):
        counted = np.mean(np.hypot(points[:, 0] - apart, points[:, 1]) <= body)
        assert overlap(body, 1.0, apart) == pytest.approx(counted, abs=0.005)
