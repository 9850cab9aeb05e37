"""The way out: the evasion that is chosen leaves every volume, checked by moving everything in small steps."""

from __future__ import annotations

from math import hypot

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.guard_contacts import LARGEST_EVASION_M_S
from firmware_py.perception.risk.config import RiskConfig
from firmware_py.perception.risk.evasion import LIMIT_SHARE, evade, least_distances, sphere_directions, stop_distances

CONFIG = RiskConfig()
PUSH = 1.44


def flown(r: np.ndarray, v: np.ndarray, change: tuple[float, float, float], push: float = PUSH) -> np.ndarray:
    """(times, tracks) places relative to a craft that pushes to its change of velocity, in steps of 10 ms."""
    t = np.arange(0.0, 60.0, 0.01)
    size = float(np.linalg.norm(change))
    burning = np.clip(t - CONFIG.reaction_s, 0.0, size / push)
    after = np.maximum(t - CONFIG.reaction_s - size / push, 0.0)
    moved = (0.5 * push * burning**2 + size * after)[:, None] * (np.array(change) / size)
    return r[None] + v[None] * t[:, None, None] - moved[:, None, :]


def test_directions_are_of_length_one_even_and_always_the_same() -> None:
    directions = sphere_directions(96)
    assert np.linalg.norm(directions, axis=1) == pytest.approx(np.ones(96))
    assert np.abs(directions.mean(axis=0)).max() < 0.01
    nearest = np.sort(directions @ directions.T, axis=1)[:, -2]
    assert nearest.max() < np.cos(0.2)
    assert sphere_directions(96) is directions


def test_least_distances_are_those_of_small_steps() -> None:
    rng = np.random.default_rng(1)
    r, v, changes = rng.uniform(-50, 50, (20, 3)), rng.uniform(-5, 5, (20, 3)), rng.uniform(-2, 2, (7, 3))
    t = np.arange(0.0, 30.0, 0.01)
    for row, change in enumerate(changes):
        place = r[None] + (v - change)[None] * t[:, None, None]
        assert least_distances(r, v, changes, 30.0)[row] == pytest.approx(np.linalg.norm(place, axis=2).min(axis=0),
                                                                         abs=0.06)


def test_a_stop_is_watched_from_its_beginning_to_long_after() -> None:
    r, own = np.array([[50.0, 0.0, 0.0], [0.0, 30.0, 0.0]]), np.array([5.0, 0.0, 0.0])
    v = np.array([[-5.0, 0.0, 0.0], [-5.0, -1.0, 0.0]])
    found = stop_distances(r, v, own, PUSH, 0.5, 60.0)
    stop_m = 0.5 * 5.0 + 25.0 / (2.0 * PUSH)
    assert found[0] == pytest.approx(50.0 - stop_m, rel=1e-6)
    assert found[1] == pytest.approx(stop_m, rel=1e-6), "what comes by itself passes where the craft then is"
    still = stop_distances(r, v, np.zeros(3), PUSH, 0.5, 60.0)
    assert still[0] == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 100_000))
def test_an_evasion_that_is_said_to_clear_leaves_every_volume(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 30))
    r, v = rng.uniform(-150, 150, (count, 3)), rng.uniform(-4, 4, (count, 3))
    r[0] = rng.normal(size=3)
    r[0] *= rng.uniform(25, 120) / np.linalg.norm(r[0])
    v[0] = -r[0] / rng.uniform(6, 12)
    radius = rng.uniform(2.0, 5.0, count)
    r = np.where((np.linalg.norm(r, axis=1) < 8.0)[:, None], r * 10.0, r)
    course = np.arange(count) == 0
    spread = rng.uniform(0.0, 3.0, count)
    found = evade(CONFIG, r, v, radius, spread, course, push_m_s2=PUSH, most_m_s=16.0)
    assert found is not None
    assert found == evade(CONFIG, r, v, radius, spread, course, push_m_s2=PUSH, most_m_s=16.0)
    assert np.linalg.norm(found.delta_v_m_s) <= CONFIG.most_evade_m_s * (1.0 + 1e-9)
    if found.clears:
        nearest = np.linalg.norm(flown(r, v, found.delta_v_m_s), axis=2).min(axis=0)
        start_s = CONFIG.reaction_s + 0.5 * float(np.linalg.norm(found.delta_v_m_s)) / PUSH
        anyway = least_distances(r + v * start_s, v, np.zeros((1, 3)), CONFIG.horizon_s)[0]
        before = np.linalg.norm(r[None] + v[None] * np.linspace(0, start_s, 40)[:, None, None], axis=2).min(axis=0)
        # A bystander that is too near anyway is not made to come nearer; what is over before the push is not undone.
        wanted = np.minimum(radius, np.minimum(np.where(course, np.inf, anyway), before))
        assert (nearest >= wanted - 0.25).all()


def every_change_tried(
    r: np.ndarray, v: np.ndarray, radius: np.ndarray, spread: np.ndarray, course: np.ndarray
) -> tuple[np.ndarray, float, bool]:
    """Change, margin and whether it clears, with all tracks looked at for every size and direction."""
    now = 0.999 * np.linalg.norm(r, axis=1)
    wanted, radius = np.minimum(radius + CONFIG.margin_m + np.minimum(spread, radius), now), np.minimum(radius, now)
    best: tuple[np.ndarray, float, bool] | None = None
    for step in range(CONFIG.magnitudes):
        size = LIMIT_SHARE * CONFIG.most_evade_m_s * 2.0 ** (0.5 * (step + 1 - CONFIG.magnitudes))
        start_s, changes = CONFIG.reaction_s + 0.5 * size / PUSH, sphere_directions(CONFIG.directions) * size
        near = least_distances(r + v * start_s, v, changes, CONFIG.horizon_s)
        limit = np.where(course, np.inf, 0.999 * least_distances(r + v * start_s, v, np.zeros((1, 3)),
                                                                 CONFIG.horizon_s)[0])
        margin, clears = (near - np.minimum(wanted, limit)).min(axis=1), (near >= np.minimum(radius, limit)).all(axis=1)
        before = least_distances(r, v, np.zeros((1, 3)), start_s)[0][course]
        row = int(np.argmax(margin))
        room, free = min(margin[row], (before - wanted[course]).min()), clears[row] and (before >= radius[course]).all()
        if best is None or room > best[1]:
            best = changes[row], float(room), bool(free)
        if room >= 0.0 and free:
            return changes[row], float(room), True
    assert best is not None
    return best


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.sampled_from((1, 3, 30, 200)), st.sampled_from((40.0, 150.0, 400.0)))
def test_what_the_bounds_leave_out_would_not_have_been_chosen(seed: int, count: int, span_m: float) -> None:
    rng = np.random.default_rng(seed)
    r, v = rng.uniform(-span_m, span_m, (count, 3)), rng.uniform(-4, 4, (count, 3))
    course = np.arange(count) < 2
    v[course] = -r[course] / rng.uniform(2.0, 15.0)
    radius, spread = rng.uniform(1.0, 5.0, count), rng.uniform(0.0, 5.0, count)
    found = evade(CONFIG, r, v, radius, spread, course, push_m_s2=PUSH, most_m_s=16.0)
    change, margin, clears = every_change_tried(r, v, radius, spread, course)
    assert found is not None
    assert found.delta_v_m_s == tuple(change)
    assert found.margin_m == pytest.approx(margin, abs=1e-9)
    assert found.clears is clears


def test_the_least_effort_that_clears_is_taken() -> None:
    r, v = np.array([[60.0, 0.0, 0.0]]), np.array([[-6.0, 0.0, 0.0]])
    given_ = (r, v, np.array([3.0]), np.array([0.2]), np.array([True]))
    found = evade(CONFIG, *given_, push_m_s2=PUSH, most_m_s=16.0)
    assert found is not None
    assert found.clears
    # 4.2 m aside in ten seconds less the reaction and half the push.
    assert 0.4 < np.linalg.norm(found.delta_v_m_s) < 0.75
    lone = np.array(found.delta_v_m_s)
    wall = np.array([[20.0, y, z] for y in range(-40, 41, 8) for z in range(-40, 41, 8)], float)
    many = (np.vstack([r, wall]), np.vstack([v, np.zeros_like(wall)]), np.full(len(wall) + 1, 3.0),
            np.zeros(len(wall) + 1), np.arange(len(wall) + 1) == 0)
    walled = evade(CONFIG, *many, push_m_s2=PUSH, most_m_s=16.0)
    assert walled is not None
    assert walled.margin_m >= 0.0
    assert not np.allclose(walled.delta_v_m_s, lone) or walled.clears


@pytest.mark.parametrize(("push", "most"), [(0.0, 16.0), (PUSH, 0.0)])
def test_a_craft_that_cannot_push_has_no_way_out(push: float, most: float) -> None:
    r, v = np.array([[60.0, 0.0, 0.0]]), np.array([[-6.0, 0.0, 0.0]])
    given_ = (r, v, np.array([3.0]), np.zeros(1), np.ones(1, bool))
    assert evade(CONFIG, *given_, push_m_s2=push, most_m_s=most) is None


def test_what_cannot_be_cleared_gets_the_most_room_there_is() -> None:
    given_ = (np.array([[12.0, 0.0, 0.0]]), np.array([[-12.0, 0.0, 0.0]]), np.array([8.0]), np.zeros(1),
              np.ones(1, bool))
    found = evade(CONFIG, *given_, push_m_s2=PUSH, most_m_s=16.0)
    assert found is not None
    assert not found.clears
    assert found.margin_m < 0.0


def test_the_cylinders_of_all_contacts_are_left_where_some_are_asked_for() -> None:
    config = msgspec.structs.replace(CONFIG, cylinder_radius_m=15.0, cylinder_height_m=6.0)
    r, v = np.array([[100.0, 0.0, 0.0], [0.0, 0.0, 5.0]]), np.array([[-5.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    found = evade(config, r, v, np.full(2, 3.0), np.zeros(2), np.array([True, False]), push_m_s2=PUSH, most_m_s=16.0)
    assert found is not None
    assert found.clears
    place = flown(r, v, found.delta_v_m_s)[:, 0]
    inside = (np.hypot(place[:, 0], place[:, 1]) < 14.9) & (np.abs(place[:, 2]) < 5.9)
    assert not inside.any()


@pytest.mark.parametrize("tank_m_s", [16.0, 2.0])
def test_the_largest_evasion_is_within_what_the_core_takes_in_all_directions(tank_m_s: float) -> None:
    largest = msgspec.structs.replace(CONFIG, magnitudes=1)
    for line in sphere_directions(120):
        found = evade(
            largest, 60.0 * line[None], -8.0 * line[None], np.array([3.0]), np.zeros(1), np.ones(1, bool),
            push_m_s2=PUSH, most_m_s=tank_m_s,
        )
        assert found is not None
        size = hypot(*found.delta_v_m_s)
        assert 0.97 * min(LARGEST_EVASION_M_S, tank_m_s) < size < LARGEST_EVASION_M_S
        # Perception was told of the tank before the last pulses.
        assert size < 0.985 * tank_m_s
