"""What is left after a lost cluster, the push that is chosen from it, and flights home with it."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import inf, nan, radians

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits, Phase
from firmware_py.gnc.lost_cluster import LostCluster
from firmware_py.gnc.remaining_authority import Remaining, Survey, choose_push, survey
from hal.frames import IDENTITY, Vec3, angle_between, norm, rotate, scale
from hal.profile.loader import load_body
from tests.firmware_py.gnc_flight import Flight

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


def fly_by_hand(law: LostCluster, nav: NavState, windows: int, start: int = 0) -> list[Phase]:
    return [law.update((start + k) * STEP, nav).phase for k in range(windows)]


def test_phases_follow_each_other_by_name() -> None:
    law = LostCluster(LIMITS, T, ALLOCATORS["qiki-t"], CLUSTERS["A"])
    moving = replace(NAV, velocity=(0.0, 1.0, 0.0))
    assert set(fly_by_hand(law, replace(moving, rate=(0.0, 0.03, 0.0)), 12)) == {Phase.DETUMBLE}
    assert law.update(12 * STEP, moving).phase is Phase.TURN
    assert law.choice is not None
    assert law.choice.push.firm
    target = law.update(13 * STEP, moving)
    assert target.attitude is not None
    assert rotate(target.attitude, law.choice.push.direction) == pytest.approx((0.0, -1.0, 0.0), abs=1e-9)
    turned = replace(moving, quaternion=target.attitude)
    target = law.update(14 * STEP, turned)
    target = law.update(15 * STEP, turned)
    assert target.phase is Phase.BRAKE
    assert target.push_n is not None
    # Along the push only, and no more than it can give.
    assert 0.0 < norm(target.push_n) <= law.choice.push.force_n
    assert angle_between(target.push_n, law.choice.push.direction) < 1e-9
    nearly = law.update(16 * STEP, replace(turned, velocity=(0.0, 0.05, 0.0)))
    assert nearly.push_n is not None
    assert norm(nearly.push_n) == pytest.approx(0.05 * 432.0 / 0.25)
    stopped = replace(turned, velocity=(0.0, 0.01, 0.0))
    assert law.update(17 * STEP, stopped).phase is Phase.DETUMBLE
    done = [law.update((18 + k) * STEP, stopped).done for k in range(12)]
    assert done.index(True) == 8
    assert not law.exhausted


def test_another_velocity_than_rest_waits_for_the_attitude_and_is_a_burn() -> None:
    law = LostCluster(LIMITS, T, ALLOCATORS["qiki-t"], CLUSTERS["C"], velocity=(0.5, 0.0, 0.0))
    unknown = replace(NAV, attitude_known=False)
    assert set(fly_by_hand(law, unknown, 20)) == {Phase.DETUMBLE}
    assert Phase.BURN in fly_by_hand(law, NAV, 4, start=20)


def test_nothing_left_is_named_and_asks_for_no_push() -> None:
    law = LostCluster(LIMITS, T, ALLOCATORS["qiki-t"], 0xFFFF)
    moving = replace(NAV, velocity=(1.0, 0.0, 0.0), rate=(0.05, 0.0, 0.0))
    targets = [law.update(k * STEP, moving) for k in range(200)]
    assert law.exhausted
    assert not targets[-1].done
    assert targets[-1].rate == moving.rate
    assert targets[-1].velocity in (None, moving.velocity)


def test_a_tank_too_small_for_the_plan_is_kept() -> None:
    law = LostCluster(LIMITS, T, ALLOCATORS["qiki-t"], CLUSTERS["A"], propellant_kg=0.2)
    assert Phase.TURN not in fly_by_hand(law, replace(NAV, velocity=(1.0, 0.0, 0.0)), 40)
    assert law.exhausted


def test_a_turn_that_never_ends_and_a_velocity_that_never_comes_are_given_up() -> None:
    law = LostCluster(LIMITS, T, ALLOCATORS["qiki-t"], CLUSTERS["A"])
    phases = fly_by_hand(law, replace(NAV, velocity=(1.0, 0.0, 0.0)), 5000)
    assert law.exhausted
    assert law.rounds == 5
    assert law.overtime >= 5
    assert set(phases[-100:]) == {Phase.HOLD}


def test_a_pure_torque_weaker_than_half_the_limit_counts() -> None:
    body = load_body("gref")
    allocator = Allocator(body)
    for failed in CLUSTERS.values():
        for k, axis in enumerate(survey(body, allocator, failed).axes):
            assert axis.pure
            both = [allocator.largest_scale((0.0,) * (3 + k) + (s,) + (0.0,) * (2 - k), failed) for s in (1.0, -1.0)]
            assert axis.torque_n_m == pytest.approx(min(0.5 * body.limits.torque_max_n_m, *both), rel=1e-6)


def test_further_failures_start_a_new_survey() -> None:
    law = LostCluster(LIMITS, T, ALLOCATORS["qiki-t"], CLUSTERS["A"])
    moving = replace(NAV, velocity=(1.0, 0.0, 0.0))
    assert fly_by_hand(law, moving, 12)[-1] is Phase.TURN
    law.set_failed(CLUSTERS["A"] | 1 << 8)
    assert law.update(12 * STEP, moving).phase is Phase.DETUMBLE
    assert law.authority is None
    fly_by_hand(law, moving, 10, start=13)
    assert law.authority is not None
    assert law.authority.failed == CLUSTERS["A"] | 1 << 8


@pytest.mark.parametrize("bad", [nan, inf])
def test_a_state_that_is_no_number_asks_for_nothing_and_is_counted(bad: float) -> None:
    law = LostCluster(LIMITS, T, ALLOCATORS["qiki-t"], CLUSTERS["A"])
    for k in range(30):
        target = law.update(k * STEP, replace(NAV, velocity=(bad, 0.0, 0.0)))
        assert target.phase is Phase.DRIFT
        assert not target.done
        assert target.velocity is target.rate is target.attitude is None
    assert law.not_finite == 30
    assert not law.exhausted
    assert Phase.TURN in fly_by_hand(law, replace(NAV, velocity=(1.0, 0.0, 0.0)), 12, start=30)


@pytest.mark.parametrize(
    ("name", "cluster", "way", "rate"),
    [
        ("qiki-t", "A", (0.0, -1.0, 0.0), (1.5, 1.0, -0.9)), ("qiki-t", "D", (-1.0, 1.0, -1.0), (-1.0, 1.0, 1.4)),
        ("qiki-g", "B", (0.0, 0.0, 1.0), (0.4, -0.4, -1.9)),
        # A window of its push gives 4 mm/s; after C no torque reaches half of the limit.
        ("gref", "A", (0.35, 0.35, 0.35), (1.7, 0.9, -0.5)), ("gref", "C", (1.0, 0.0, 0.0), (1.7, 0.9, -0.5)),
    ],
)
def test_a_craft_with_a_dead_cluster_comes_to_rest(name: str, cluster: str, way: Vec3, rate: Vec3) -> None:
    body = load_body(name)
    velocity = scale(way, 1.0 / max(1.0, norm(way)))
    x, y, z = scale(rate, radians(1.0))
    flight = Flight(body, seed=3, rate=(x, y, z), velocity=velocity, react=False)
    flight.failed = CLUSTERS[cluster]
    for nozzle in range(16):
        if flight.failed >> nozzle & 1:
            flight.world.set_nozzle_thrust(nozzle, 0.0)
    # What the craft has known of its speed from before the failure.
    flight.estimator.navigation.velocity = velocity
    law = LostCluster(flight.limits, body, flight.allocator, flight.failed)
    assert flight.fly(law, 90.0, until_done=True) < 90.0
    assert norm(flight.world.rigid.velocity) <= 0.06
    assert max(sample.rate_deg_s for sample in flight.samples) < 12.0
    assert flight.used_kg < 4.0
    assert flight.auditor.pulses > 0
