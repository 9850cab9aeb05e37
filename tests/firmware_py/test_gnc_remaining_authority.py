"""What is left of the nozzles, against a linear-programming solver, and the push that is chosen from it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits
from firmware_py.gnc.remaining_authority import Remaining, Survey, choose_push, survey
from hal.frames import IDENTITY, Vec3, angle_between, norm
from hal.profile.loader import load_body

STEP = 250_000_000
T, G = load_body("qiki-t"), load_body("qiki-g")
ALLOCATORS = {"qiki-t": Allocator(T), "qiki-g": Allocator(G)}
LIMITS = GuidanceLimits.from_body(T, ALLOCATORS["qiki-t"])
CLUSTERS = {"A": 0x000F, "B": 0x00F0, "C": 0x0F00, "D": 0xF000}
AXES: dict[str, Vec3] = {
    "+X": (1.0, 0.0, 0.0), "-X": (-1.0, 0.0, 0.0), "+Y": (0.0, 1.0, 0.0), "-Y": (0.0, -1.0, 0.0),
    "+Z": (0.0, 0.0, 1.0), "-Z": (0.0, 0.0, -1.0),
}
NAV = NavState(
    0, IDENTITY, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1e-3, 1e-4,
    0.01, 0.001, True, None, 0, 0, False,
)


def left(cluster: str, name: str = "qiki-t") -> Remaining:
    return survey(T if name == "qiki-t" else G, ALLOCATORS[name], CLUSTERS[cluster])


def reach(name: str, failed: int, wrench: tuple[float, ...]) -> float:
    """Greatest multiple of a wrench that the nozzles left can make, by HiGHS."""
    working = [n for n in range(16) if not failed >> n & 1]
    columns = ALLOCATORS[name].wrenches[:, working]
    found = linprog(
        [0.0] * len(working) + [-1.0], A_eq=np.c_[columns, -np.array(wrench)], b_eq=np.zeros(6),
        bounds=[(0.0, 1.0)] * len(working) + [(0.0, None)],
    )
    return float(-found.fun)


@pytest.mark.parametrize(
    ("cluster", "lost"), [("A", {"-X", "+Y", "-Y"}), ("B", {"+X", "+Y", "-Y"}), ("C", {"-Z"}), ("D", {"+Z"})]
)
def test_each_cluster_of_variant_t_takes_the_pushes_that_the_canon_names(cluster: str, lost: set[str]) -> None:
    remaining = left(cluster)
    assert {name for name, axis in AXES.items() if remaining.push_along(axis) is None} == lost
    # No roll without a push after A or B; pitch and yaw stay pure, as does everything after C or D.
    assert [axis.pure for axis in remaining.axes] == [cluster in "CD", True, True]


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_variant_g_keeps_every_axis(cluster: str) -> None:
    remaining = left(cluster, "qiki-g")
    assert all(remaining.push_along(axis) is not None for axis in AXES.values())
    assert all(axis.pure for axis in remaining.axes)
    assert all(push.firm for push in remaining.pushes)


@pytest.mark.parametrize("first", [0, 4, 8, 12])
def test_two_nozzles_of_a_cluster_lost_leave_a_firm_push_in_half_of_space(first: int) -> None:
    for a, b in combinations(range(first, first + 4), 2):
        remaining = survey(T, ALLOCATORS["qiki-t"], 1 << a | 1 << b)
        firm = np.array([push.direction for push in remaining.pushes if push.firm])
        assert len(firm) >= 20
        assert all(axis.torque_n_m > 0.0 for axis in remaining.axes)


@settings(deadline=None, max_examples=25)
@given(failed=st.sets(st.integers(0, 15), min_size=1, max_size=5), name=st.sampled_from(["qiki-t", "qiki-g"]))
def test_what_is_called_live_is_what_a_linear_program_finds_live(failed: set[int], name: str) -> None:
    mask = sum(1 << n for n in failed)
    remaining = survey(T if name == "qiki-t" else G, ALLOCATORS[name], mask)
    for axis in AXES.values():
        push = remaining.push_along(axis)
        most = reach(name, mask, (*axis, 0.0, 0.0, 0.0))
        assert (push is not None) == (most > 1e-3)
        if push is not None:
            assert push.force_n <= most * (1.0 + 1e-6)
            assert push.gross >= 1.0 - 1e-9
    for k, torque in enumerate(remaining.axes):
        weakest = min(reach(name, mask, (0.0,) * (3 + k) + (s,) + (0.0,) * (2 - k)) for s in (1.0, -1.0))
        if weakest > 0.5 * T.limits.torque_max_n_m:
            assert torque.pure
        if weakest < 1e-3 and torque.pure:
            # What the body file's rounded coordinates alone keep from being exact may be called pure.
            for sign in (1.0, -1.0):
                wanted = np.zeros(6)
                wanted[3 + k] = sign * torque.torque_n_m
                duty, _ = ALLOCATORS[name].allocate(wanted, mask)
                assert np.linalg.norm(ALLOCATORS[name].wrenches @ duty - wanted) < 1e-3 * torque.torque_n_m


def test_a_survey_in_steps_is_the_survey_at_once() -> None:
    work = Survey(T, ALLOCATORS["qiki-t"], CLUSTERS["C"])
    steps = 0
    while work.advance(6) is None:
        steps += 1
    assert steps == 8
    assert work.authority == left("C")


@given(wanted=st.tuples(*[st.floats(-1.0, 1.0)] * 3).filter(lambda v: norm(v) > 0.05),
       cluster=st.sampled_from(sorted(CLUSTERS)))
@settings(deadline=None)
def test_the_push_chosen_is_firm_and_nothing_live_is_turned_away_for_a_worse_one(wanted: Vec3, cluster: str) -> None:
    remaining = left(cluster)
    choice = choose_push(remaining, wanted, T, LIMITS.docking_rate_rad_s)
    assert choice is not None
    assert choice.push.firm
    assert choice.turn_rad == pytest.approx(angle_between(choice.push.direction, wanted), abs=1e-4)
    for push in remaining.pushes:
        if push.firm and angle_between(push.direction, wanted) < 1e-9:
            seconds = 432.0 * norm(wanted) / push.force_n
            assert choice.gross_n_s <= 432.0 * norm(wanted) * push.gross * (1.0 + 1e-9) + 5.0 * seconds


def test_a_craft_that_spins_pushes_along_its_spin() -> None:
    choice = choose_push(left("A"), (0.0, 1.0, 0.0), T, LIMITS.docking_rate_rad_s, spinning=(0,))
    assert choice is not None
    assert choice.push.direction == pytest.approx((1.0, 0.0, 0.0))
    assert choose_push(left("A"), (0.0, 1.0, 0.0), T, LIMITS.docking_rate_rad_s, spinning=(1,)) is None


def test_a_pure_torque_weaker_than_half_the_limit_counts() -> None:
    body = load_body("gref")
    allocator = Allocator(body)
    for failed in CLUSTERS.values():
        for k, axis in enumerate(survey(body, allocator, failed).axes):
            assert axis.pure
            both = [allocator.largest_scale((0.0,) * (3 + k) + (s,) + (0.0,) * (2 - k), failed) for s in (1.0, -1.0)]
            assert axis.torque_n_m == pytest.approx(min(0.5 * body.limits.torque_max_n_m, *both), rel=1e-6)
