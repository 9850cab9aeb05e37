"""Controllability: the exact twelve signed axes, the firings that make them, and the axes that a geometry lacks."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from hal.profile import load_body
from hal.profile.body import BodyConfig, NozzleConfig
from hal.profile.controllability import (
    CHEAP_SLACK,
    SIGNED_AXES,
    axis_scale,
    axis_wrench,
    cheapest_firing,
    greatest_scale,
    missing_axes,
    strongest_firing,
    wrench_matrix,
)

SHIPPED = ("qiki-t", "qiki-g", "bench-12kg")


def with_nozzles(nozzles: list[tuple[tuple[float, ...], tuple[float, ...]]], thrust_n: float = 1.0) -> BodyConfig:
    """A body with nozzles at (position, direction), centre of mass in the origin."""
    body = load_body("bench-12kg")
    listed = tuple(
        NozzleConfig(id=n, cluster="rcs_c01", position_m=position, direction=direction, thrust_n=thrust_n)
        for n, (position, direction) in enumerate(nozzles)
    )
    return msgspec.structs.replace(body, propulsion=msgspec.structs.replace(body.propulsion, nozzles=listed))


def columns(seed: int, count: int) -> np.ndarray:
    """Random wrenches of nozzles at up to a metre, scaled as the module wants them."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(3, count))
    directions /= np.linalg.norm(directions, axis=0)
    return np.vstack([directions, np.cross(rng.uniform(-1, 1, (count, 3)), directions.T).T])


def best_scale(matrix: np.ndarray, wrench: np.ndarray) -> float:
    """The same programme by HiGHS."""
    count = matrix.shape[1]
    found = linprog(
        np.append(np.zeros(count), -1.0), A_eq=np.hstack([matrix, -wrench[:, None]]), b_eq=np.zeros(6),
        bounds=[(0, 1)] * count + [(0, None)],
    )
    return -float(found.fun)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_bodies_miss_nothing(name: str) -> None:
    assert missing_axes(load_body(name)) == ()


@given(st.integers(0, 10_000), st.integers(3, 20))
@settings(max_examples=60, deadline=None)
def test_the_greatest_scale_is_the_optimum_of_the_linear_programme(seed: int, count: int) -> None:
    matrix = columns(seed, count)
    wrench = np.random.default_rng(seed + 1).normal(size=6)
    assert greatest_scale(matrix, wrench) == pytest.approx(best_scale(matrix, wrench), rel=1e-7, abs=1e-8)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_a_firing_makes_the_wrench_and_nothing_else_within_its_bounds(seed: int) -> None:
    matrix, cost = columns(seed, 16), np.random.default_rng(seed + 2).uniform(0.5, 1.0, 16)
    wrench = matrix @ np.random.default_rng(seed + 1).uniform(0.0, 0.3, 16)
    for find in (strongest_firing, cheapest_firing):
        size, duty = find(matrix, wrench, None, cost)
        assert min(duty) >= 0.0
        assert max(duty) <= 1.0
        assert matrix @ np.array(duty) == pytest.approx(size * wrench, abs=1e-8)


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_the_cheapest_firing_costs_no_more_than_the_optimum_and_its_slack(seed: int) -> None:
    matrix, cost = columns(seed, 16), np.random.default_rng(seed + 2).uniform(0.5, 1.0, 16)
    wrench = matrix @ np.random.default_rng(seed + 1).uniform(0.0, 0.3, 16)
    found = cheapest_firing(matrix, wrench, None, cost)
    least = linprog(cost, A_eq=matrix, b_eq=wrench, bounds=(0, None)).fun
    assert 0.0 < found.size <= strongest_firing(matrix, wrench, None, cost).size * (1.0 + 1e-9)
    assert cost @ np.array(found.duty) / found.size <= least * (1.0 + 1.01 * CHEAP_SLACK)


def test_of_equally_cheap_firings_the_most_even_one_is_taken() -> None:
    # Two nozzles side by side push the same way; half the demand each, whatever their order.
    pairs = [((0.0, 0.0, 0.0), axis) for axis in ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))]
    matrix = wrench_matrix(with_nozzles([*pairs, *pairs]))
    duty = np.array(cheapest_firing(matrix, np.array([3.0, 0.0, 0.0, 0.0, 0.0, 0.0])).duty)
    assert duty == pytest.approx([1.0, 1.0, 0.0, 1.0, 1.0, 0.0])
    limited = strongest_firing(np.vstack([matrix[:5], [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]]), np.array([1, 0, 0, 0, 0, 1]))
    assert limited.duty == pytest.approx((1.0, 1.0, 1.0, 1.0, 1.0, 1.0))


def test_nozzles_in_a_plane_lack_what_leads_out_of_it() -> None:
    corners = [(x, y, 0.0) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    ways = [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)]
    body = with_nozzles([(corner, way) for corner in corners for way in ways])
    assert missing_axes(body) == ("force +Z", "force -Z", "torque +X", "torque -X", "torque +Y", "torque -Y")


def test_nozzles_that_all_push_forward_lack_the_way_back() -> None:
    body = load_body("qiki-t")
    nozzles = tuple(
        msgspec.structs.replace(n, direction=(abs(n.direction[0]), n.direction[1], n.direction[2]))
        for n in body.propulsion.nozzles
    )
    forward = msgspec.structs.replace(body, propulsion=msgspec.structs.replace(body.propulsion, nozzles=nozzles))
    assert "force -X" in missing_axes(forward)
    assert "force +X" not in missing_axes(forward)


def test_torque_that_only_rounded_coordinates_make_does_not_count() -> None:
    # All jets point at the centre of mass, but for the fourth digit of their coordinates.
    rng = np.random.default_rng(5)
    nozzles = []
    for _ in range(16):
        outward = rng.normal(size=3)
        outward /= np.linalg.norm(outward)
        nozzles.append((tuple(np.round(0.5 * outward, 4)), tuple(np.round(-outward, 4))))
    missing = missing_axes(with_nozzles(nozzles))
    assert set(missing) >= {axis for axis in SIGNED_AXES if axis.startswith("torque")}


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_the_verdict_does_not_depend_on_the_size_of_the_craft_or_its_thrust(scale: float) -> None:
    body = load_body("qiki-t")
    nozzles = tuple(
        msgspec.structs.replace(n, position_m=tuple(scale * x for x in n.position_m), thrust_n=n.thrust_n / scale)
        for n in body.propulsion.nozzles
    )
    mass = msgspec.structs.replace(body.mass, centre_of_mass_m=(0.0, 0.0, 0.1 * scale))
    resized = msgspec.structs.replace(
        body, mass=mass, propulsion=msgspec.structs.replace(body.propulsion, nozzles=nozzles)
    )
    assert missing_axes(resized) == ()
    assert missing_axes(resized, failed=(0, 1, 2, 3)) == missing_axes(body, failed=(0, 1, 2, 3))


def test_a_dead_cluster_of_variant_t_takes_the_axes_of_the_reference() -> None:
    body = load_body("qiki-t")
    sideways = ("force +Y", "force -Y", "torque +X", "torque -X")
    assert missing_axes(body, failed=(0, 1, 2, 3)) == ("force -X", *sideways)
    assert missing_axes(body, failed=(4, 5, 6, 7)) == ("force +X", *sideways)
    assert missing_axes(body, failed=(8, 9, 10, 11)) == ("force -Z",)
    assert missing_axes(body, failed=(12, 13, 14, 15)) == ("force +Z",)


def test_nozzles_that_may_not_be_used_stay_shut() -> None:
    body = load_body("qiki-g")
    usable = np.array([n % 5 != 0 for n in range(16)])
    matrix = wrench_matrix(body) / axis_scale(body)[:, None]
    for index in range(12):
        for find in (strongest_firing, cheapest_firing):
            duty = np.array(find(matrix, axis_wrench(index), usable).duty)
            assert not duty[~usable].any()


def test_a_wrench_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="zero"):
        greatest_scale(columns(1, 16), np.zeros(6))


def test_signed_axes_are_named_in_the_order_of_their_wrenches() -> None:
    assert SIGNED_AXES[0] == "force +X"
    assert SIGNED_AXES[11] == "torque -Z"
    assert list(axis_wrench(11)) == [0, 0, 0, 0, 0, -1]
    assert list(axis_wrench(2)) == [0, 1, 0, 0, 0, 0]
