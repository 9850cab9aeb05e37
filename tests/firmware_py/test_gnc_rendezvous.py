"""The rendezvous law: the way round a keep-out sphere, speeds, pointing, and what happens when the target is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, inf, nan, pi, radians, sin
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits, Phase, Target
from firmware_py.gnc.relative_navigation import RelativeState
from firmware_py.gnc.rendezvous import Rendezvous, way_round
from hal.frames import (
    IDENTITY,
    Vec3,
    add,
    angle_between,
    cross,
    dot,
    norm,
    quaternion_from_rotation_vector,
    rotate,
    scale,
    subtract,
    unit,
)
from hal.profile.loader import load_body
from tests.firmware_py.gnc_flight import Flight

STEP = 250_000_000
BODY = load_body("qiki-t")
LIMITS = GuidanceLimits.from_body(BODY, Allocator(BODY))
PORT: Vec3 = (0.0, 0.0, 1.0)
ZERO: Vec3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Nav:
    """A navigation state of the fields that the law reads."""

    relative: RelativeState | None
    quaternion: tuple[float, float, float, float] = IDENTITY
    rate: Vec3 = ZERO
    position: Vec3 = ZERO
    velocity: Vec3 = ZERO
    attitude_known: bool = True


def seen(position: Vec3, velocity: Vec3 = ZERO, age_ns: int | None = 0, sigma_m: float = 0.01) -> RelativeState:
    return RelativeState(0, position, velocity, sigma_m, 0.001, age_ns)


def update(law: Rendezvous, now_ns: int, nav: Nav) -> Target:
    return law.update(now_ns, nav)  # type: ignore[arg-type]


def closing(target: Target, nav: Nav) -> Vec3:
    """Wanted velocity of the craft relative to the target."""
    assert target.velocity is not None
    assert nav.relative is not None
    return subtract(target.velocity, add(nav.velocity, nav.relative.velocity))


places = st.tuples(*[st.floats(-60.0, 60.0)] * 3)


@settings(deadline=None, max_examples=40)
@given(place=places, goal=places, radius=st.floats(2.0, 20.0))
def test_the_way_reaches_the_goal_and_stays_out_of_the_sphere(place: Vec3, goal: Vec3, radius: float) -> None:
    assume(norm(place) > 1.05 * radius and norm(goal) > 1.0 * radius and norm(subtract(goal, place)) > 0.1)
    core = 0.8 * radius
    step = 0.03 * radius
    _, length, straight = way_round(place, goal, radius, core)
    assert length >= norm(subtract(goal, place)) * (1.0 - 1e-9)
    least, flown = norm(place), 0.0
    while norm(subtract(goal, place)) > step:
        direction, _, _ = way_round(place, goal, radius, core)
        assert norm(direction) == pytest.approx(1.0)
        place = add(place, scale(direction, step))
        flown += step
        least = min(least, norm(place))
        assert flown < 1.1 * length + 10.0 * step
    assert least > 0.97 * radius
    if straight:
        assert flown == pytest.approx(length, abs=2.0 * step)


@given(place=st.tuples(*[st.floats(-2.2, 2.2)] * 3))
def test_from_inside_the_sphere_the_way_leads_out(place: Vec3) -> None:
    assume(norm(place) > 0.1)
    direction, _, straight = way_round(place, (50.0, 0.0, 0.0), 5.0, 4.0)
    assert dot(direction, unit(place)) > 0.99
    assert not straight


def test_a_goal_exactly_behind_the_target_is_reached_round_it() -> None:
    direction, length, straight = way_round((10.0, 0.0, 0.0), (-10.0, 0.0, 0.0), 5.0, 4.0)
    assert not straight
    assert angle_between(direction, (-1.0, 0.0, 0.0)) == pytest.approx(radians(30.0))
    # Two tangents of sqrt(75) m and sixty degrees of arc.
    assert length == pytest.approx(2.0 * 75.0**0.5 + 5.0 * pi / 3.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"offset_m": (nan, 0.0, 0.0)}, {"offset_m": (3.0, 0.0, 0.0), "keep_out_m": 2.9}, {"keep_out_m": -1.0},
        {"axis": PORT, "attitude": IDENTITY},
    ],
)
def test_what_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    given_: dict[str, Any] = {"offset_m": (-5.0, 0.0, 0.0), **wrong}
    with pytest.raises(ValueError, match=r"finite|within|not both"):
        Rendezvous(LIMITS, **given_)


def test_rates_are_nulled_until_the_attitude_is_known() -> None:
    target = update(Rendezvous(LIMITS, (-5.0, 0.0, 0.0)), 0, Nav(seen((9.0, 0.0, 0.0)), attitude_known=False))
    assert target.rate == ZERO
    assert target.velocity is target.position is target.attitude is None


@pytest.mark.parametrize("metres", [0.8, 2.0, 6.0, 15.0, 19.9, 22.0, 60.0, 500.0])
def test_speed_is_limited_by_what_is_left_and_by_the_docking_limits(metres: float) -> None:
    nav = Nav(seen((metres + 5.0, 0.0, 0.0), (0.2, -0.1, 0.0)), velocity=(3.0, 1.0, 0.0))
    target = update(Rendezvous(LIMITS, (-5.0, 0.0, 0.0)), 0, nav)
    if target.position is not None:
        assert metres <= 1.0
        assert target.position == pytest.approx((metres, 0.0, 0.0))
        return
    speed = norm(closing(target, nav))
    assert speed <= 0.1 * metres + 1e-9
    assert speed <= (0.5 if metres + 5.0 < 20.0 else 1.0)
    assert speed**2 <= 2.0 * LIMITS.cruise_m_s2 * metres
    assert unit(closing(target, nav)) == pytest.approx((1.0, 0.0, 0.0))


def test_the_place_is_held_in_the_frame_of_a_target_that_turns() -> None:
    quarter = quaternion_from_rotation_vector((0.0, 0.0, pi / 2))
    law = Rendezvous(LIMITS, (5.0, 0.0, 0.0), attitude=IDENTITY, target_attitude=quarter)
    law.target_rate = (0.0, 0.0, 0.01)
    nav = Nav(seen((0.1, -5.0, 0.0), (0.02, 0.0, 0.0)), velocity=(0.5, 0.0, 0.0))
    target = update(law, 0, nav)
    assert target.position == pytest.approx((0.1, 0.0, 0.0))
    # Speed of the target, and of a place five metres from it along inertial +Y.
    assert target.velocity == pytest.approx((0.52 - 0.05, 0.0, 0.0))
    assert target.attitude == pytest.approx(quarter)
    assert target.rate == pytest.approx(law.target_rate)


@given(line=st.tuples(*[st.floats(-1.0, 1.0)] * 3), drift=st.tuples(*[st.floats(-0.3, 0.3)] * 3))
def test_the_axis_is_turned_to_the_target_and_follows_it(line: Vec3, drift: Vec3) -> None:
    assume(norm(line) > 0.1)
    position = scale(unit(line), 15.0)
    nav = Nav(seen(position, drift), quaternion=quaternion_from_rotation_vector((0.3, -0.2, 0.5)))
    target = update(Rendezvous(LIMITS, (-5.0, 0.0, 0.0), axis=PORT), 0, nav)
    assert target.attitude is not None
    assert angle_between(rotate(target.attitude, PORT), position) < radians(0.5) + 1e-6
    assert target.rate is not None
    turn = scale(cross(position, drift), 1.0 / 15.0**2)
    assert norm(target.rate) == pytest.approx(norm(turn) if norm(turn) > radians(0.2) else 0.0, abs=1e-12)


@pytest.mark.parametrize("metres", [10.0, 100.0])
def test_without_a_fresh_state_it_coasts_then_brakes_to_the_target_and_stays_aborted(metres: float) -> None:
    law = Rendezvous(LIMITS, (-5.0, 0.0, 0.0), keep_out_m=3.0, axis=PORT)
    good = Nav(seen((metres, 0.0, 0.0), (0.1, 0.0, 0.0)), velocity=(0.3, 0.0, 0.0))
    assert update(law, 0, good).phase is Phase.RENDEZVOUS
    limit_ns = 2_000_000_000 if metres < 20.0 else 5_000_000_000
    at_limit = Nav(seen((metres, 0.0, 0.0), age_ns=limit_ns), velocity=(0.3, 0.0, 0.0))
    assert update(law, STEP, at_limit).phase is Phase.RENDEZVOUS
    lost = [
        None, seen((metres, 0.0, 0.0), age_ns=limit_ns + 1), seen((metres, 0.0, 0.0), age_ns=None),
        seen((metres, nan, 0.0)), seen((metres, 0.0, 0.0), (inf, 0.0, 0.0)),
    ]
    for k, state in enumerate(lost):
        target = update(law, (2 + k) * STEP, Nav(state, velocity=(0.3, 0.0, 0.0)))
        assert target.phase is Phase.COAST
        assert target.velocity is target.position is None
        assert target.attitude is not None
        assert not target.done
    assert law.stale == len(lost)
    target = update(law, STEP + 4_000_000_001, Nav(None, velocity=(0.3, 0.0, 0.0)))
    assert target.phase is Phase.BRAKE
    assert law.aborted
    assert target.velocity == pytest.approx((0.3, 0.0, 0.0))
    for k in range(20):
        target = update(law, 5_000_000_000 + k * STEP, good)
        assert target.phase is Phase.BRAKE
        assert not target.done


def test_after_an_abort_near_the_target_it_backs_away_slowly() -> None:
    law = Rendezvous(LIMITS, (-4.0, 0.0, 0.0), keep_out_m=3.0)
    update(law, 0, Nav(seen((4.0, 0.0, 0.0))))
    # Blind for five seconds while drifting closer by 0.05 m/s.
    nav = Nav(None, position=(0.25, 0.0, 0.0), velocity=(0.05, 0.0, 0.0))
    target = update(law, 5_000_000_000, nav)
    assert target.velocity == pytest.approx((-0.1, 0.0, 0.0))
    away = Nav(None, position=(-1.1, 0.0, 0.0))
    assert update(law, 20_000_000_000, away).velocity == pytest.approx(ZERO)


def test_a_clock_that_goes_back_does_not_make_an_old_state_last() -> None:
    law = Rendezvous(LIMITS, (-4.0, 0.0, 0.0), keep_out_m=3.0)
    update(law, 1000 * STEP, Nav(seen((4.0, 0.0, 0.0))))
    phases = [update(law, k * STEP, Nav(None)).phase for k in range(20)]
    assert phases[0] is Phase.COAST
    assert phases[-1] is Phase.BRAKE


def test_at_the_target_itself_no_direction_leads_away() -> None:
    law = Rendezvous(LIMITS, (-4.0, 0.0, 0.0), keep_out_m=3.0)
    update(law, 0, Nav(seen((1e-310, 0.0, 0.0))))
    target = update(law, 5_000_000_000, Nav(None))
    assert target.phase is Phase.BRAKE
    assert target.velocity == ZERO


def test_a_target_never_seen_is_braked_for_at_rest() -> None:
    law = Rendezvous(LIMITS, (-5.0, 0.0, 0.0))
    phases = {update(law, k * STEP, Nav(None, velocity=(0.4, 0.0, 0.0))).phase for k in range(16)}
    assert phases == {Phase.COAST}
    target = update(law, 17 * STEP, Nav(None, velocity=(0.4, 0.0, 0.0)))
    assert target.phase is Phase.BRAKE
    assert target.velocity == ZERO


def test_done_after_two_seconds_at_the_place_and_not_before() -> None:
    law = Rendezvous(LIMITS, (-5.0, 0.0, 0.0))
    done = [update(law, k * STEP, Nav(seen((5.1, 0.0, 0.0)))).done for k in range(12)]
    assert done.index(True) == 8
    assert not update(law, 13 * STEP, Nav(seen((6.0, 0.0, 0.0)))).done


class Sighted:
    """Gives a law a relative state with correlated errors of 2 cm and 3 mm/s, as a filter would, until it goes
    blind."""

    def __init__(self, flight: Flight, law: Rendezvous, place: Vec3, velocity: Vec3, blind_s: float = inf) -> None:
        self.flight, self.law, self.place, self.velocity, self.blind_s = flight, law, place, velocity, blind_s
        self.rng = np.random.default_rng(5)
        self.error = self.rng.standard_normal(6)
        self.distances: list[float] = []
        self.speeds: list[float] = []

    def truth(self) -> tuple[Vec3, Vec3]:
        rigid = self.flight.world.rigid
        place = add(self.place, scale(self.velocity, self.flight.t_s))
        return subtract(place, rigid.position), subtract(self.velocity, rigid.velocity)

    def update(self, now_ns: int, nav: NavState) -> Target:
        position, velocity = self.truth()
        self.distances.append(norm(position))
        self.speeds.append(norm(velocity))
        self.error = 0.9 * self.error + 0.19**0.5 * self.rng.standard_normal(6)
        ex, ey, ez, evx, evy, evz = self.error.tolist()
        state = RelativeState(
            now_ns, add(position, (0.02 * ex, 0.02 * ey, 0.02 * ez)),
            add(velocity, (0.003 * evx, 0.003 * evy, 0.003 * evz)), 0.02, 0.003, 100_000_000,
        )
        return self.law.update(now_ns, replace(nav, relative=state if self.flight.t_s < self.blind_s else None))


def test_a_place_behind_a_moving_target_is_reached_round_it_and_held() -> None:
    flight = Flight(BODY, seed=3)
    law = Rendezvous(flight.limits, (6.0, 0.0, 0.0), keep_out_m=4.0, axis=PORT)
    sighted = Sighted(flight, law, (12.0, 0.0, 0.0), (0.0, 0.2, 0.1))
    flight.fly(sighted, 90.0)
    assert flight.target is not None
    assert flight.target.done
    assert min(sighted.distances) > 4.0
    # From 20 m on no faster than 0.5 m/s, and no faster than a closing of 0.1 m/s near the place.
    assert max(sighted.speeds) < 0.5
    assert max(sighted.speeds[-40:]) < 0.1
    position, _ = sighted.truth()
    assert norm(add(position, (6.0, 0.0, 0.0))) < 0.5
    assert angle_between(rotate(flight.world.rigid.quaternion, PORT), position) < radians(6.0)
    assert max(sample.rate_deg_s for sample in flight.samples) < 7.0


def test_an_approach_that_goes_blind_stops_before_its_place() -> None:
    flight = Flight(BODY, seed=3)
    law = Rendezvous(flight.limits, (-5.0, 0.0, 0.0), keep_out_m=3.0, axis=PORT)
    sighted = Sighted(flight, law, (14.0, 0.0, 0.0), (0.0, 0.1, 0.0), blind_s=12.0)
    flight.fly(sighted, 40.0)
    assert law.aborted
    assert sighted.distances[0] > sighted.distances[48] > min(sighted.distances) > 5.0
    assert sighted.speeds[-1] < 0.08
    phases = {sample.phase for sample in flight.samples}
    assert phases == {"rendezvous", "coast", "brake"}


def test_the_law_repeats_itself() -> None:
    ways = [
        update(Rendezvous(LIMITS, (0.0, 6.0, 0.0), keep_out_m=4.0, axis=PORT), 0,
               Nav(seen((8.0 * cos(a), 8.0 * sin(a), 1.0))))
        for a in (0.3, 0.3)
    ]
    assert ways[0] == ways[1]
