"""Authority: the reference's numbers for both variants, exact limits on any geometry, maps that make what they say.

HiGHS solves the same programmes for comparison.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from firmware_py.gnc.authority import Authority, Slice, allocation_map, authority, force_ceiling_n
from hal.profile import load_body
from hal.profile.body import BodyConfig
from hal.profile.controllability import SIGNED_AXES, axis_wrench, wrench_matrix

T, G, BENCH = (load_body(name) for name in ("qiki-t", "qiki-g", "bench-12kg"))
FOUND = {body.body: authority(body) for body in (T, G, BENCH)}


def random_body(seed: int, count: int = 12) -> BodyConfig:
    """Nozzles anywhere on a sphere of a metre, pushing anywhere; what comes of it may lack axes."""
    rng = np.random.default_rng(seed)
    template = T.propulsion.nozzles[0]
    nozzles = []
    for index in range(count):
        place, way = rng.normal(size=(2, 3))
        nozzles.append(msgspec.structs.replace(
            template, id=index, cluster=f"rcs_c0{index % 4 + 1}", thrust_n=float(rng.uniform(50.0, 300.0)),
            position_m=tuple(place / np.linalg.norm(place)), direction=tuple(way / np.linalg.norm(way)),
        ))
    return msgspec.structs.replace(T, propulsion=msgspec.structs.replace(T.propulsion, nozzles=tuple(nozzles)))


def reach(matrix: np.ndarray, wrench: np.ndarray) -> float:
    """How often HiGHS finds ``wrench`` in what the columns make."""
    count = matrix.shape[1]
    rows = np.hstack([matrix, -wrench[:, None]]) / 300.0
    bounds = [(0, 1)] * count + [(0, None)]
    found = linprog(np.append(np.zeros(count), -1.0), A_eq=rows, b_eq=np.zeros(6), bounds=bounds)
    return -float(found.fun)


def wrench_of(part: str, direction: np.ndarray) -> np.ndarray:
    zero = np.zeros(3)
    return np.concatenate([direction, zero] if part == "force" else [zero, direction])


def sphere(seed: int, count: int) -> np.ndarray:
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    return np.asarray(directions / np.linalg.norm(directions, axis=1)[:, None])


# -- the numbers of the reference


@pytest.mark.parametrize(
    ("body", "force", "torque"),
    [(T, (735, 1086, 622), (294, 543, 1499)), (G, (733, 1171, 832), (529, 409, 498))],
)
def test_axes_are_those_of_the_reference(body: BodyConfig, force, torque) -> None:
    found = FOUND[body.body]
    assert found.force_n == pytest.approx(np.repeat(force, 2), abs=0.6)
    assert found.torque_n_m == pytest.approx(np.repeat(torque, 2), abs=0.6)
    assert found.controllable


def test_weakest_direction_is_that_of_the_reference_and_the_strongest_is_a_corner_that_sampling_missed() -> None:
    # The reference has 622 to 1068 and 703 to 1148, from directions on a grid; its own Y axes are longer.
    assert FOUND["qiki-t"].force.inscribed == pytest.approx(622.25, abs=0.01)
    assert FOUND["qiki-t"].force.greatest == pytest.approx(1086.1, abs=0.1)
    assert FOUND["qiki-g"].force.inscribed == pytest.approx(703.2, abs=0.1)
    assert FOUND["qiki-g"].force.greatest == pytest.approx(1170.8, abs=0.1)


def test_rank_and_condition_are_those_of_the_reference_in_newton_and_newton_metre() -> None:
    assert [FOUND[name].rank for name in ("qiki-t", "qiki-g")] == [6, 6]
    assert FOUND["qiki-t"].condition == pytest.approx(4.4, abs=0.05)
    assert FOUND["qiki-g"].condition == pytest.approx(3.3, abs=0.05)


def test_condition_over_the_radius_of_gyration_does_not_change_with_the_size_of_the_craft() -> None:
    nozzles = tuple(
        msgspec.structs.replace(n, position_m=tuple(0.1 * x for x in n.position_m)) for n in T.propulsion.nozzles
    )
    inertia = tuple(tuple(0.01 * x for x in row) for row in T.mass.inertia_kg_m2)
    mass = msgspec.structs.replace(T.mass, centre_of_mass_m=(0.0, 0.0, 0.01), inertia_kg_m2=inertia)
    propulsion = msgspec.structs.replace(T.propulsion, nozzles=nozzles)
    small = authority(msgspec.structs.replace(T, mass=mass, propulsion=propulsion))
    assert small.condition_gyration == pytest.approx(FOUND["qiki-t"].condition_gyration)
    assert small.condition > 5.0 * FOUND["qiki-t"].condition


@pytest.mark.parametrize(("body", "force", "torque"), [(T, 368, 147), (G, 446, 252)])
def test_one_dead_nozzle_leaves_what_the_reference_says(body: BodyConfig, force: float, torque: float) -> None:
    assert FOUND[body.body].worst_with_a_nozzle_dead == pytest.approx((force, torque), abs=0.6)
    assert all(not loss.lost for loss in FOUND[body.body].nozzle_losses)


def test_a_dead_cluster_of_variant_t_loses_the_axes_of_the_reference() -> None:
    sideways = ("force +Y", "force -Y", "torque +X", "torque -X")
    lost = [loss.lost for loss in FOUND["qiki-t"].cluster_losses]
    assert lost == [("force -X", *sideways), ("force +X", *sideways), ("force -Z",), ("force +Z",)]


def test_a_dead_cluster_of_variant_g_keeps_every_axis() -> None:
    losses = FOUND["qiki-g"].cluster_losses
    assert [loss.lost for loss in losses] == [()] * 4
    assert min(min(loss.force_n) for loss in losses) == pytest.approx(277.8, abs=0.1)
    assert min(min(loss.torque_n_m) for loss in losses) == pytest.approx(140.0, abs=0.1)


def test_pitch_and_yaw_without_cluster_a_are_pure_to_the_last_newton() -> None:
    # Eight nozzles of clusters C and D; neither of B need fire.
    matrix = wrench_matrix(T)
    for entry in allocation_map(T, failed=(0, 1, 2, 3)):
        if entry.axis in ("torque +Y", "torque -Y", "torque +Z", "torque -Z"):
            assert entry.strongest.size == pytest.approx(248.9, abs=0.1)
            made = matrix @ np.array(entry.strongest.duty)
            assert made == pytest.approx(entry.strongest.size * axis_wrench(SIGNED_AXES.index(entry.axis)), abs=1e-8)


def test_suggested_torque_is_the_commanded_limit_of_the_reference() -> None:
    assert FOUND["qiki-t"].torque_max_n_m == pytest.approx(235.0, abs=0.5)


# -- exact on any geometry


@given(st.integers(0, 10_000))
@settings(max_examples=12, deadline=None)
def test_axes_and_reach_are_the_optima_of_the_linear_programmes(seed: int) -> None:
    body = random_body(seed)
    found, matrix = authority(body), wrench_matrix(body)
    for index, size in enumerate((*found.force_n, *found.torque_n_m)):
        best = reach(matrix, axis_wrench(index))
        assert size == pytest.approx(best, rel=1e-6) if size else best < 0.31
    for part, limits in (("force", found.force), ("torque", found.torque)):
        for direction, size in zip(sphere(seed, 5), limits.reach(sphere(seed, 5)), strict=True):
            assert size == pytest.approx(reach(matrix, wrench_of(part, direction)), rel=1e-6, abs=1e-4)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_inscribed_radius_touches_the_limit_and_no_direction_is_weaker_or_stronger(seed: int) -> None:
    body = random_body(seed, 14)
    found, matrix = authority(body), wrench_matrix(body)
    for part, limits in (("force", found.force), ("torque", found.torque)):
        sampled = limits.reach(sphere(seed, 2000))
        assert sampled.min() >= limits.inscribed * (1.0 - 1e-9)
        assert sampled.max() <= limits.greatest * (1.0 + 1e-9)
        for direction, size in ((limits.weakest, limits.inscribed), (limits.strongest, limits.greatest)):
            assert reach(matrix, wrench_of(part, np.array(direction))) == pytest.approx(size, rel=1e-6, abs=1e-4)
    assert force_ceiling_n(body) == pytest.approx(found.force.inscribed, rel=1e-9, abs=1e-7)


BODIES = [T, G, BENCH, *(random_body(seed, 16) for seed in (3, 4))]


@pytest.mark.parametrize("body", BODIES)
def test_corners_lie_inside_every_plane_and_on_three_or_more(body: BodyConfig) -> None:
    found = authority(body)
    for limits in (found.force, found.torque):
        beyond = limits.corners @ limits.normals.T - limits.distances
        assert beyond.max() <= 1e-6 * limits.greatest
        assert limits.on_plane.sum(axis=1).min() >= 3
        assert limits.on_plane.sum(axis=0).min() >= 3


@pytest.mark.parametrize("body", [body for body in BODIES if body is not G])
def test_faces_close_around_the_limits(body: BodyConfig) -> None:
    # Variant G is left out: rounded coordinates give it faces thinner than what counts as one plane.
    found = authority(body)
    for limits in (found.force, found.torque):
        # Euler's formula for a convex body: corners - edges + faces = 2, and each edge bounds two faces.
        assert len(limits.corners) - limits.on_plane.sum() // 2 + len(limits.normals) == 2


def turned(body: BodyConfig, turn: np.ndarray) -> BodyConfig:
    nozzles = tuple(
        msgspec.structs.replace(
            n, position_m=tuple(turn @ np.array(n.position_m)), direction=tuple(turn @ np.array(n.direction))
        )
        for n in body.propulsion.nozzles
    )
    mass = msgspec.structs.replace(body.mass, centre_of_mass_m=tuple(turn @ np.array(body.mass.centre_of_mass_m)))
    return msgspec.structs.replace(
        body, mass=mass, propulsion=msgspec.structs.replace(body.propulsion, nozzles=nozzles)
    )


@given(st.integers(0, 10_000))
@settings(max_examples=8, deadline=None)
def test_ceilings_do_not_depend_on_the_frame(seed: int) -> None:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    found = authority(turned(T, turn))
    for part in ("force", "torque"):
        ours, theirs = getattr(found, part), getattr(FOUND["qiki-t"], part)
        assert (ours.inscribed, ours.greatest) == pytest.approx((theirs.inscribed, theirs.greatest), rel=1e-7)


# -- maps


@pytest.mark.parametrize("body", [T, G, BENCH], ids=lambda body: body.body)
def test_every_set_of_the_maps_makes_its_axis_and_nothing_else(body: BodyConfig) -> None:
    matrix, found = wrench_matrix(body), FOUND[body.body]
    entries = allocation_map(body)
    assert tuple(entry.axis for entry in entries) == SIGNED_AXES
    for index, (entry, size) in enumerate(zip(entries, (*found.force_n, *found.torque_n_m), strict=True)):
        for chosen in (entry.cheapest, entry.strongest):
            assert matrix @ np.array(chosen.duty) == pytest.approx(chosen.size * axis_wrench(index), abs=1e-6)
            assert max(chosen.duty) == pytest.approx(1.0)
        assert entry.strongest.size == pytest.approx(size, rel=1e-9)
        cost = [chosen.thrust_n / chosen.size for chosen in (entry.cheapest, entry.strongest)]
        assert cost[0] <= cost[1] * 1.002


def test_cheapest_sets_cost_the_least_that_any_nozzles_need() -> None:
    matrix = wrench_matrix(G)
    thrust = np.array([n.thrust_n for n in G.propulsion.nozzles])
    for index, entry in enumerate(allocation_map(G)):
        least = linprog(thrust, A_eq=matrix, b_eq=axis_wrench(index), bounds=(0, None)).fun
        assert least * (1.0 - 1e-9) <= entry.cheapest.thrust_n / entry.cheapest.size <= least * 1.0011


def test_sets_of_variant_t_trim_for_the_true_centre_of_mass() -> None:
    entries = {entry.axis: entry for entry in allocation_map(T)}
    forward = entries["force +X"]
    # The reference's 4 5 6 7 at full thrust would turn the craft: the lower pair has the longer lever.
    assert forward.cheapest.nozzles == (4, 5, 6, 7)
    assert forward.cheapest.duty[4:8] == pytest.approx((1.0, 1.0, 0.6, 0.6))
    assert forward.cheapest.size == pytest.approx(588.3, abs=0.1)
    assert forward.strongest.nozzles == (4, 5, 6, 7, 8, 10, 13, 15)
    assert entries["force +Z"].strongest.nozzles == (12, 13, 14, 15)
    assert entries["torque +X"].strongest.nozzles == (1, 2, 5, 6)
    assert entries["torque +Z"].cheapest.nozzles == (0, 2, 5, 7)
    assert entries["torque +Z"].cheapest.size == pytest.approx(1250.2, abs=0.1)
    assert entries["torque +Z"].strongest.nozzles == (0, 2, 5, 7, 9, 10, 13, 14)


# -- what is flat, dead or wrong


def test_dead_nozzles_take_part_in_nothing() -> None:
    dead = (0, 9)
    found = authority(G, dead)
    assert found.failed == dead
    assert all(not set(loss.nozzles) & set(dead) for loss in found.nozzle_losses)
    assert all(entry.strongest.duty[n] == 0.0 for entry in allocation_map(G, dead) for n in dead)
    assert found.force.inscribed < FOUND["qiki-g"].force.inscribed
    left = msgspec.structs.replace(G.propulsion, nozzles=tuple(
        msgspec.structs.replace(n, thrust_n=1e-9) if n.id in dead else n for n in G.propulsion.nozzles
    ))
    assert found.force_n == pytest.approx(authority(msgspec.structs.replace(G, propulsion=left)).force_n, rel=1e-6)


def test_a_lost_cluster_leaves_a_flat_or_one_sided_set_without_any_ceiling() -> None:
    found = authority(T, (0, 1, 2, 3))
    assert not found.controllable
    assert found.force.inscribed == 0.0
    assert force_ceiling_n(T, (0, 1, 2, 3)) == 0.0
    axes = np.vstack([np.eye(3), -np.eye(3)])
    assert found.torque.reach(axes) == pytest.approx((0.0, 248.9, 248.9, 0.0, 248.9, 248.9), abs=0.1)


def planar() -> BodyConfig:
    places = [(x, y, 0.1) for x in (-1.0, 1.0) for y in (-1.0, 1.0)]
    ways = [(1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)]
    template = T.propulsion.nozzles[0]
    nozzles = tuple(
        msgspec.structs.replace(template, id=n, position_m=place, direction=way, thrust_n=1.0)
        for n, (place, way) in enumerate((place, way) for place in places for way in ways)
    )
    return msgspec.structs.replace(T, propulsion=msgspec.structs.replace(T.propulsion, nozzles=nozzles))


def test_a_craft_whose_nozzles_lie_in_one_plane_has_a_flat_slice_and_a_rank() -> None:
    found: Authority = authority(planar())
    assert found.rank == 3
    assert found.condition == float("inf")
    assert found.force_n == pytest.approx((4.0, 4.0, 4.0, 4.0, 0.0, 0.0))
    assert found.torque_n_m == pytest.approx((0.0, 0.0, 0.0, 0.0, 8.0, 8.0))
    force: Slice = found.force
    assert force.inscribed == 0.0
    assert force.greatest == pytest.approx(4.0 * np.sqrt(2.0))
    assert force.reach(np.array([[0.6, 0.8, 0.0], [0.0, 0.6, 0.8]])) == pytest.approx((5.0, 0.0), abs=1e-6)
    assert force_ceiling_n(planar()) == 0.0


def test_with_every_nozzle_dead_nothing_is_left() -> None:
    found = authority(T, range(16))
    assert found.missing == SIGNED_AXES
    assert found.rank == 0
    assert found.force.greatest == 0.0
    assert found.worst_with_a_nozzle_dead == (0.0, 0.0)
    assert allocation_map(T, range(16)) == ()


@pytest.mark.parametrize("nozzle", [-1, 16])
def test_a_nozzle_that_the_body_does_not_have_is_refused(nozzle: int) -> None:
    for compute in (authority, allocation_map, force_ceiling_n):
        with pytest.raises(ValueError, match=r"0\.\.15 are allowed"):
            compute(T, (nozzle,))
