"""Recovery with what a lost cluster leaves: its phases by name, its bounds, and flights home with it."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan, radians

import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits, Phase
from firmware_py.gnc.lost_cluster import LostCluster
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
