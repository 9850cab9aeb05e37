"""What each thrust mode keeps and caps, and what it refuses by name."""

from __future__ import annotations

from math import hypot, inf, nan

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.thrust_modes import ThrustMode, ThrustPolicy, Verdict
from hal.profile.loader import load_body

BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
CEILING = force_ceiling_n(BODY)
CLUSTER_A = 0x000F


def policy() -> ThrustPolicy:
    return ThrustPolicy(BODY, ALLOCATOR, CEILING)


@pytest.mark.parametrize("mode", ThrustMode)
def test_a_small_demand_passes_as_it_is(mode: ThrustMode) -> None:
    wrench = (20.0, -10.0, 5.0, 3.0, -4.0, 5.0)
    shaped = policy().shape(mode, wrench)
    assert shaped.wrench == wrench
    assert shaped.verdict is Verdict.AS_ASKED
    assert not any(shaped.residual)


@given(st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda d: hypot(*d) > 0.1))
@settings(max_examples=60, deadline=None)
def test_auto_pushes_alike_in_every_direction_and_without_torque(direction: tuple[float, float, float]) -> None:
    size = hypot(*direction)
    push = tuple(5.0 * CEILING * d / size for d in direction)
    shaped = policy().shape(ThrustMode.AUTO, (*push, 0.0, 0.0, 0.0))
    duty, share = ALLOCATOR.allocate(shaped.wrench)
    made = ALLOCATOR.wrenches @ duty
    assert share == 1.0
    assert shaped.verdict is Verdict.CAPPED
    assert hypot(*made[:3]) == pytest.approx(CEILING, rel=1e-6)
    assert np.abs(made[3:]).max() < 1e-6


def test_adaptive_keeps_the_torque_and_gives_the_force_the_rest() -> None:
    wrench = (3000.0, 0.0, 0.0, 60.0, 0.0, 0.0)
    shaped = policy().shape(ThrustMode.ADAPTIVE, wrench)
    made = ALLOCATOR.wrenches @ ALLOCATOR.allocate(shaped.wrench)[0]
    assert made[3:] == pytest.approx([60.0, 0.0, 0.0], abs=1e-6)
    assert 0.0 < made[0] < 3000.0
    assert made[1:3] == pytest.approx([0.0, 0.0], abs=1e-6)
    assert shaped.residual[0] == pytest.approx(3000.0 - made[0], rel=1e-6)


def test_brake_pushes_beyond_the_common_ceiling_where_it_can() -> None:
    pushed = (0.0, 2000.0, 0.0, 0.0, 0.0, 0.0)
    assert policy().shape(ThrustMode.BRAKE, pushed).wrench[1] > 1.5 * CEILING
    assert policy().shape(ThrustMode.AUTO, pushed).wrench[1] == pytest.approx(CEILING)


@pytest.mark.parametrize("mode", [ThrustMode.AUTO, ThrustMode.ADAPTIVE, ThrustMode.BRAKE])
def test_with_a_dead_cluster_no_push_brings_more_torque_than_is_tolerated(mode: ThrustMode) -> None:
    limit = BODY.limits.residual_torque_n_m if mode is ThrustMode.AUTO else BODY.limits.torque_max_n_m
    for direction in (*np.eye(3), *-np.eye(3)):
        wrench = (*(300.0 * direction).tolist(), 0.0, 0.0, 0.0)
        shaped = policy().shape(mode, wrench, CLUSTER_A)
        duty, _ = ALLOCATOR.allocate(shaped.wrench, CLUSTER_A)
        made = ALLOCATOR.wrenches @ duty
        assert np.linalg.norm(made[3:]) <= limit * (1.0 + 1e-6)
        assert made[:3] @ direction >= -1e-6


def test_a_torque_axis_that_is_lost_does_not_take_the_others_along() -> None:
    shaped = policy().shape(ThrustMode.BRAKE, (0.0, 0.0, 0.0, 50.0, 20.0, 20.0), CLUSTER_A)
    made = ALLOCATOR.wrenches @ ALLOCATOR.allocate(shaped.wrench, CLUSTER_A)[0]
    assert shaped.verdict is Verdict.PARTLY
    assert made[4:] == pytest.approx([20.0, 20.0], abs=1e-6)
    assert abs(made[3]) < 1e-6


def test_an_override_is_refused_above_the_largest_torque_and_tells_its_residual() -> None:
    guard = policy()
    refused = guard.shape(ThrustMode.MANUAL_OVERRIDE, (0.0, 0.0, 0.0, 0.0, 0.0, BODY.limits.torque_max_n_m + 1.0))
    assert refused.refused
    assert refused.verdict is Verdict.TORQUE_ABOVE_LIMIT
    assert not any(refused.wrench)
    much = guard.shape(ThrustMode.MANUAL_OVERRIDE, (5000.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    assert much.verdict is Verdict.SATURATED
    assert much.residual[0] == pytest.approx(5000.0 - much.wrench[0])


def test_the_rounding_of_a_torque_at_the_limit_refuses_no_override() -> None:
    limit = BODY.limits.torque_max_n_m
    wrench = (0.0, 0.0, 0.0, 0.0, 0.0, limit * (1.0 + 1e-12))
    assert policy().shape(ThrustMode.MANUAL_OVERRIDE, wrench).verdict is Verdict.AS_ASKED
    assert policy().shape(ThrustMode.MANUAL_OVERRIDE, (0.0, 0.0, 0.0, 0.0, 0.0, limit * 1.0001)).refused


def test_what_an_override_falls_short_of_is_told_also_if_the_fit_makes_more_than_was_asked() -> None:
    wrench = (-0.212, -0.142, -0.674, -0.576, 0.163, -0.195)
    failed = 0xFFFF & ~(1 << 4 | 1 << 5 | 1 << 8 | 1 << 9)
    shaped = policy().shape(ThrustMode.MANUAL_OVERRIDE, wrench, failed)
    made = ALLOCATOR.wrenches @ ALLOCATOR.allocate(wrench, failed)[0]
    assert shaped.verdict is Verdict.SATURATED
    assert shaped.residual == pytest.approx(tuple(np.array(wrench) - made), abs=1e-9)


@given(wrench=st.tuples(*[st.floats(-1e6, 1e6)] * 3), failed=st.integers(0, 0xFFFF))
@settings(max_examples=100, deadline=None)
def test_the_closest_fit_of_an_override_keeps_the_limit_of_torque(
    wrench: tuple[float, float, float], failed: int
) -> None:
    shaped = policy().shape(ThrustMode.MANUAL_OVERRIDE, (*wrench, 0.0, 0.0, 0.0), failed)
    assert max(abs(t) for t in shaped.wrench[3:]) <= BODY.limits.torque_max_n_m * (1.0 + 1e-9)


@pytest.mark.parametrize("mode", [ThrustMode.AUTO, ThrustMode.ADAPTIVE, ThrustMode.BRAKE])
@pytest.mark.filterwarnings("error")
def test_a_demand_beyond_all_bounds_still_has_a_direction(mode: ThrustMode) -> None:
    for size in (1e12, 1e308):
        push = policy().shape(mode, (0.0, 0.0, size, 0.0, 0.0, 0.0)).wrench
        assert push[2] == pytest.approx(CEILING, rel=1e-6)
        turn = policy().shape(mode, (0.0, 0.0, 0.0, 0.0, 0.0, -size)).wrench
        assert turn[5] == pytest.approx(-ALLOCATOR.largest_scale((0.0, 0.0, 0.0, 0.0, 0.0, 1.0)), rel=1e-6)


@pytest.mark.parametrize("mode", [ThrustMode.AUTO, ThrustMode.ADAPTIVE, ThrustMode.BRAKE])
@given(
    push=st.tuples(*[st.floats(-1e5, 1e5)] * 3), turn=st.tuples(*[st.floats(-235.0, 235.0)] * 3),
    failed=st.sampled_from([0, 0x0001, 0x0005, 0x0800, 0x000F, 0x00F0, 0x0300, 0xC000]),
)
@example(push=(-592.0, -1.0, 98.0), turn=(-12.6, -90.0, 137.3), failed=0x0005)
@settings(max_examples=80, deadline=None)
def test_a_push_leaves_at_least_half_of_a_torque_that_can_be_made(
    mode: ThrustMode, push: tuple[float, float, float], turn: tuple[float, float, float], failed: int
) -> None:
    """But for the torque that the closest fit of a push brings along."""
    if ALLOCATOR.largest_scale((0.0, 0.0, 0.0, *turn), failed) < 1.0:
        return
    shaped = policy().shape(mode, (*push, *turn), failed)
    wanted, made = np.array(turn), np.array(shaped.wrench[3:])
    if shaped.verdict is Verdict.PARTLY:
        brought = BODY.limits.residual_torque_n_m if mode is ThrustMode.AUTO else BODY.limits.torque_max_n_m
        assert np.linalg.norm(made - wanted) <= brought + 1e-6
    else:
        least = 0.5 if mode is ThrustMode.AUTO else 1.0 - 1e-6
        assert (made >= least * wanted - 1e-9)[wanted > 0.0].all()
        assert (made <= least * wanted + 1e-9)[wanted < 0.0].all()


@pytest.mark.parametrize("mode", ThrustMode)
@pytest.mark.parametrize("bad", [nan, inf, -inf])
def test_a_demand_that_is_not_finite_shuts_the_valves_by_name(mode: ThrustMode, bad: float) -> None:
    guard = policy()
    for index in range(6):
        wrench = [1.0] * 6
        wrench[index] = bad
        a, b, c, d, e, f = wrench
        shaped = guard.shape(mode, (a, b, c, d, e, f))
        assert shaped.refused
        assert shaped.verdict is Verdict.NOT_FINITE
        assert not any(shaped.wrench)
    assert guard.counts[Verdict.NOT_FINITE] == 6


@given(
    wrench=st.tuples(*[st.floats(-3000.0, 3000.0)] * 6), failed=st.integers(0, 0xFFFF), mode=st.sampled_from(ThrustMode)
)
@settings(max_examples=150, deadline=None)
def test_whatever_passes_can_be_made(
    wrench: tuple[float, float, float, float, float, float], failed: int, mode: ThrustMode
) -> None:
    shaped = policy().shape(mode, wrench, failed)
    duty, _ = ALLOCATOR.allocate(shaped.wrench, failed)
    made = ALLOCATOR.wrenches @ duty
    assert np.isfinite(made).all()
    assert np.abs(made - shaped.wrench).max() <= 1e-3 + 1e-4 * np.abs(shaped.wrench).max()


@pytest.mark.parametrize("roll", [60.0, -60.0])
def test_adaptive_pays_with_a_push_for_a_torque_that_cannot_be_had_without(roll: float) -> None:
    """Without cluster A no roll is pure; 2.4 N for each N m is what it takes (remaining_authority finds the same)."""
    shaped = policy().shape(ThrustMode.ADAPTIVE, (0.0, 0.0, 0.0, roll, 0.0, 0.0), CLUSTER_A)
    made = ALLOCATOR.wrenches @ ALLOCATOR.allocate(shaped.wrench, CLUSTER_A)[0]
    assert shaped.verdict is Verdict.PARTLY
    assert made[3] == pytest.approx(roll, rel=0.1)
    assert np.abs(made[4:]).max() < 0.1 * abs(roll)
    assert 100.0 < np.linalg.norm(made[:3]) < 200.0


@pytest.mark.parametrize("mode", [ThrustMode.AUTO, ThrustMode.ADAPTIVE, ThrustMode.BRAKE])
@pytest.mark.parametrize("hair", [1e-9, 1e-7, 1e-5, 1e-3, -1e-5])
def test_a_hair_of_a_lost_torque_does_not_shorten_the_rest_to_nothing(mode: ThrustMode, hair: float) -> None:
    shaped = policy().shape(mode, (0.0, 0.0, 0.0, hair, 40.0, -90.0), CLUSTER_A)
    made = ALLOCATOR.wrenches @ ALLOCATOR.allocate(shaped.wrench, CLUSTER_A)[0]
    assert made[4:] == pytest.approx([40.0, -90.0], rel=1e-2)
