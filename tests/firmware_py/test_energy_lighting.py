"""Light on board: exact means and edges of orbit, lamps and attitude, and agreement with the rig's orbit and cells."""

from __future__ import annotations

from itertools import pairwise
from math import inf, isfinite, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py.energy.lighting import (
    POINTED,
    TUMBLING,
    AlwaysLit,
    Facing,
    Illumination,
    Lamps,
    Lighting,
    OrbitLight,
    PanelModel,
    Schedule,
)
from hal.profile import load_body
from hil.plant.orbit import Orbit
from hil.plant.solar import SolarArray

T = load_body("qiki-t")
DAY_S = 86_400.0
ORBITS = [(400.0, 0.0, 0.0), (500.0, 40.0, 130.0), (700.0, -50.0, 350.0), (550.0, 90.0, 0.0), (35_786.0, 10.0, 180.0)]


def edges(light: Lighting, end_s: float) -> list[float]:
    found, t = [0.0], 0.0
    while (t := light.next_edge(t)) < end_s:
        found.append(t)
    return [*found, end_s]


@pytest.mark.parametrize(("altitude", "beta", "phase"), ORBITS)
def test_shadow_agrees_with_the_worlds_orbit_that_was_written_apart(altitude: float, beta: float, phase: float) -> None:
    ours, world = OrbitLight(altitude, beta, phase), Orbit(altitude, beta, phase / 360.0)
    assert ours.period_s == pytest.approx(world.period_s, rel=1e-9)
    assert ours.eclipse_s == pytest.approx(world.eclipse_s, abs=0.5)
    # The world has a penumbra, which is even about our edge.
    samples = [world.sunlit(t + 0.5) for t in range(int(DAY_S))]
    assert ours.mean(0.0, DAY_S) == pytest.approx(sum(samples) / len(samples), abs=5e-4)


@pytest.mark.parametrize(("altitude", "beta", "phase"), ORBITS[:3])
def test_between_two_edges_light_is_all_or_nothing_and_edges_lie_in_the_penumbra(
    altitude: float, beta: float, phase: float
) -> None:
    ours, world = OrbitLight(altitude, beta, phase), Orbit(altitude, beta, phase / 360.0)
    listed = edges(ours, DAY_S)
    assert len(listed) >= 2 * int(DAY_S / ours.period_s)
    means = [ours.mean(a, b) for a, b in pairwise(listed)]
    assert all(min(mean, 1.0 - mean) < 1e-6 for mean in means)
    assert all(abs(a - b) > 0.5 for a, b in pairwise(means))
    assert all(0.0 < world.sunlit(t) < 1.0 for t in listed[1:-1])


def test_an_orbit_that_never_enters_the_shadow_has_no_edge() -> None:
    light = OrbitLight(700.0, 85.0)
    assert light.eclipse_s == 0.0
    assert light.next_edge(12.0) == inf
    assert light.mean(0.0, DAY_S) == 1.0


@given(st.floats(-1e6, 1e6), st.floats(1.0, 1e5), st.floats(0.05, 0.95))
def test_means_of_an_orbit_add_up(start: float, span: float, cut: float) -> None:
    light, middle = OrbitLight(500.0, 20.0, 77.0), start + cut * span
    parts = light.mean(start, middle) * cut + light.mean(middle, start + span) * (1.0 - cut)
    assert light.mean(start, start + span) == pytest.approx(parts, abs=1e-6)
    assert 0.0 <= parts <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((50.0,), "altitude"), ((nan,), "altitude"), ((500.0, 91.0), "beta"), ((500.0, 0.0, inf), "phase")],
)
def test_an_orbit_that_cannot_be_is_refused_by_name(arguments: tuple[float, ...], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OrbitLight(*arguments)


def test_lamps_are_straight_between_their_points_and_held_outside() -> None:
    lamps = Lamps([(10.0, 0.0), (20.0, 1.0), (30.0, 1.0)])
    assert [lamps.at(t) for t in (-5.0, 10.0, 15.0, 20.0, 25.0, 99.0)] == [0.0, 0.0, 0.5, 1.0, 1.0, 1.0]
    assert edges(lamps, 100.0) == [0.0, 10.0, 20.0, 30.0, 100.0]
    assert lamps.mean(0.0, 40.0) == pytest.approx((0.0 + 5.0 + 10.0 + 10.0) / 40.0)
    assert lamps.mean(12.0, 14.0) == pytest.approx(0.3)


@given(st.lists(st.tuples(st.floats(0.1, 500.0), st.floats(0.0, 1.0)), min_size=1, max_size=6), st.floats(0.0, 900.0))
def test_the_mean_of_lamps_is_that_of_many_samples(steps: list[tuple[float, float]], start: float) -> None:
    t, points = 0.0, []
    for step, share in steps:
        t += step
        points.append((t, share))
    lamps = Lamps(points)
    samples = [lamps.at(start + (n + 0.5) * 0.1) for n in range(3000)]
    assert lamps.mean(start, start + 300.0) == pytest.approx(sum(samples) / 3000.0, abs=2e-3)


@pytest.mark.parametrize("points", [[], [(0.0, -0.1)], [(0.0, nan)], [(5.0, 1.0), (5.0, 0.0)], [(nan, 1.0)]])
def test_a_table_that_cannot_be_is_refused(points: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="light"):
        Lamps(points)


def test_cells_turned_away_get_nothing_and_a_schedule_bends_where_they_turn() -> None:
    turning = Schedule([(0.0, 1.0), (100.0, -1.0)])
    assert turning.next_edge(0.0) == pytest.approx(50.0)
    assert turning.mean(0.0, 50.0) == pytest.approx(0.5)
    assert turning.mean(50.0, 100.0) == 0.0
    assert Illumination(AlwaysLit(), Facing(-0.5)).mean(0.0, 10.0) == 0.0
    assert Illumination(AlwaysLit(), turning).next_edge(0.0) == pytest.approx(50.0)


def test_a_tumbling_craft_gets_a_quarter_of_the_light() -> None:
    assert Illumination(AlwaysLit(), TUMBLING).mean(0.0, 60.0) == pytest.approx(0.25)
    assert Illumination(AlwaysLit(), POINTED).mean(0.0, 60.0) == 1.0


@pytest.mark.parametrize("values", [(1.1, 1.0), (nan, 1.0), (0.5, 0.0)])
def test_a_facing_that_cannot_be_is_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="cosine"):
        Facing(*values)


@pytest.mark.parametrize("light", [1.0, 0.5, 0.25])
def test_settled_cells_give_what_the_worlds_array_gives_within_two_per_cent(light: float) -> None:
    panel = PanelModel(T.power.array)
    for _ in range(100):
        power = panel.step(60.0, light)
    assert panel.cell_c == pytest.approx(-10.0 + 55.0 * light, abs=0.01)
    curve = SolarArray(T.power.array).curve((1361.0 * light,) * 2, panel.cell_c)
    assert power == pytest.approx(curve.max_power()[1], rel=0.02)


def test_a_panel_out_of_the_shadow_is_cold_and_gives_more_until_it_is_warm() -> None:
    panel = PanelModel(T.power.array, -10.0)
    first, later = panel.step(10.0, 1.0), [panel.step(60.0, 1.0) for _ in range(40)]
    assert first > 1.05 * later[-1]
    assert all(a >= b for a, b in pairwise(later))
    assert panel.step(60.0, 0.0) == 0.0
    assert isfinite(panel.cell_c)


def test_a_body_without_cells_has_no_power() -> None:
    assert PanelModel(load_body("bench-12kg").power.array).step(60.0, 1.0) == 0.0
