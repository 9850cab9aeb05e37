"""Rays and bodies: distances against geometry worked out by hand and against marching along the ray."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
import pytest

from hil.plant.rays import blocked, to_boxes, to_spheres

ORIGIN = np.zeros(3)


def unit(*v: float) -> np.ndarray:
    a = np.array(v, float)
    return a / np.linalg.norm(a)


def test_a_ball_ahead_is_met_at_its_near_side() -> None:
    met = to_spheres(ORIGIN, np.array([unit(1, 0, 0), unit(-1, 0, 0), unit(0, 1, 0)]),
                     np.array([[10.0, 0, 0], [0, -5.0, 0]]), np.array([2.0, 1.0]))
    assert met.tolist() == [[8.0, inf], [inf, inf], [inf, inf]]


def test_a_ball_grazed_is_met_at_its_side_and_one_just_missed_is_not() -> None:
    ray = np.array([unit(1, 0, 0)])
    met = to_spheres(ORIGIN, ray, np.array([[10.0, 1.0, 0], [10.0, 1.0000001, 0]]), np.array([1.0, 1.0]))
    assert met[0, 0] == pytest.approx(10.0)
    assert met[0, 1] == inf


def test_a_ray_that_starts_inside_meets_at_once() -> None:
    ray = np.array([unit(0, 0, 1)])
    assert to_spheres(ORIGIN, ray, np.array([[0.5, 0, 0]]), np.array([1.0]))[0, 0] == 0.0
    box = to_boxes(ORIGIN, ray, np.zeros((1, 3)), np.eye(3)[None], np.ones((1, 3)))
    assert box[0, 0] == 0.0


def test_a_box_is_met_on_its_face_also_along_an_axis_and_when_turned() -> None:
    centre, half = np.array([[5.0, 0, 0]]), np.array([[1.0, 2.0, 3.0]])
    rays = np.array([unit(1, 0, 0), unit(-1, 0, 0), unit(5, 2.6, 0), unit(0, 0, 1)])
    met = to_boxes(ORIGIN, rays, centre, np.eye(3)[None], half)[:, 0]
    assert met.tolist() == [4.0, inf, inf, inf]
    c = sqrt(0.5)
    turned = np.array([[[c, c, 0], [-c, c, 0], [0, 0, 1.0]]])
    cube = to_boxes(ORIGIN, rays[:1], centre, turned, np.ones((1, 3)))[0, 0]
    assert cube == pytest.approx(5.0 - sqrt(2.0))


def test_distances_agree_with_steps_along_the_ray() -> None:
    rng = np.random.default_rng(4)
    centres, halves = rng.uniform(-6, 6, (20, 3)), rng.uniform(0.3, 2.0, (20, 3))
    axes = np.array([np.linalg.qr(rng.standard_normal((3, 3)))[0] for _ in range(20)])
    rays = rng.standard_normal((30, 3))
    rays /= np.linalg.norm(rays, axis=1)[:, None]
    balls, boxes = to_spheres(ORIGIN, rays, centres, halves[:, 0]), to_boxes(ORIGIN, rays, centres, axes, halves)
    steps = np.arange(0.0, 12.0, 0.002)
    for r in range(30):
        points = steps[:, None] * rays[r]
        for b in range(20):
            way = points - centres[b]
            for met, inside in (
                (balls[r, b], np.linalg.norm(way, axis=1) <= halves[b, 0]),
                (boxes[r, b], (np.abs(way @ axes[b].T) <= halves[b]).all(axis=1)),
            ):
                if inside.any():
                    assert met == pytest.approx(steps[int(inside.argmax())], abs=0.0025)
            for met, b_is_box in ((balls[r, b], False), (boxes[r, b], True)):
                if met < inf:
                    at = met * rays[r] - centres[b]
                    assert (np.abs(axes[b] @ at) <= halves[b] + 1e-9).all() or not b_is_box
                    assert np.linalg.norm(at) <= halves[b, 0] + 1e-6 or b_is_box


def test_the_middle_line_of_sight_decides_and_nobody_hides_himself() -> None:
    ways = np.array([[10.0, 0, 0], [5.0, 0.5, 0], [20.0, 0, 0]])
    ranges = np.linalg.norm(ways, axis=1)
    hidden = blocked(ways / ranges[:, None], ranges, ways, np.array([1.0, 1.0, 1.0]), np.arange(3))
    assert hidden.tolist() == [True, False, True]
    thin = blocked(ways / ranges[:, None], ranges, ways, np.array([1.0, 0.4, 1.0]), np.arange(3))
    assert thin.tolist() == [False, False, True]


def test_a_body_around_the_eye_hides_nothing() -> None:
    ways = np.array([[0.5, 0, 0], [10.0, 0, 0]])
    hidden = blocked(np.array([[1.0, 0, 0]]), np.array([10.0]), ways, np.array([1.0, 1.0]), np.array([1]))
    assert hidden.tolist() == [False]
