"""Guidance laws on navigation states made by hand."""

from __future__ import annotations

from dataclasses import replace
from math import cos, pi, radians, sin

import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import (
    LAWS,
    Brake,
    Detumble,
    Drift,
    GuidanceLimits,
    Hold,
    Phase,
    Slew,
    SunTrack,
    Translate,
)
from firmware_py.gnc.motion_plan import TurnAuthority
from firmware_py.gnc.thrust_modes import ThrustMode
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    add,
    angle_between,
    multiply,
    norm,
    quaternion_from_rotation_vector,
    rotate,
    rotation_angle,
    scale,
    unit,
)
from hal.profile.loader import load_body

STEP = 250_000_000
BODY = load_body("qiki-t")
LIMITS = GuidanceLimits.from_body(BODY, Allocator(BODY))
NAV = NavState(
    0, IDENTITY, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 1e-3, 1e-4,
    0.01, 0.001, True, None, 0, 0, False,
)


def test_limits_follow_from_the_body() -> None:
    # CANON section 3: 622 N in the weakest direction, at 432 kg.
    assert LIMITS.brake_m_s2 == pytest.approx(622.0 / 432.0, rel=0.01)
    assert 0.3 * LIMITS.brake_m_s2 < LIMITS.cruise_m_s2 < LIMITS.brake_m_s2
    assert LIMITS.slew_rate_rad_s == pytest.approx(radians(BODY.limits.slew_rate_deg_s))


def test_every_law_has_a_name() -> None:
    assert set(LAWS) == {"drift", "detumble", "hold", "slew", "sun_track", "translate", "brake"}


def test_drift_asks_for_nothing() -> None:
    target = Drift(LIMITS).update(0, NAV)
    assert target.attitude is target.rate is target.position is target.velocity is None
    assert target.phase is Phase.DRIFT


def test_detumble_is_done_two_seconds_after_the_rate_is_gone() -> None:
    law = Detumble(LIMITS)
    assert not law.update(0, replace(NAV, rate=(0.1, 0.0, 0.0))).done
    done = [law.update(k * STEP, NAV).done for k in range(1, 12)]
    assert done.index(True) == 8
    assert not law.update(12 * STEP, replace(NAV, rate=(0.1, 0.0, 0.0))).done


def test_hold_captures_where_it_begins() -> None:
    start = replace(NAV, position=(1.0, 2.0, 3.0), quaternion=quaternion_from_rotation_vector((0.1, 0.2, 0.3)))
    law = Hold(LIMITS)
    law.update(0, start)
    target = law.update(STEP, NAV)
    assert target.position == start.position
    assert target.attitude == start.quaternion


def test_hold_captures_no_frame_that_may_yet_turn() -> None:
    law = Hold(LIMITS)
    early = law.update(0, replace(NAV, attitude_known=False))
    assert early.attitude is None
    assert early.rate == (0.0, 0.0, 0.0)
    turned = quaternion_from_rotation_vector((0.0, 0.0, 1.0))
    assert law.update(STEP, replace(NAV, quaternion=turned)).attitude == turned


def test_slew_needs_a_known_attitude_and_settles() -> None:
    goal = quaternion_from_rotation_vector((0.0, 0.0, 1.0))
    law = Slew(LIMITS, goal)
    assert law.update(0, replace(NAV, attitude_known=False)).attitude is None
    assert law.update(0, NAV).phase is Phase.SLEW
    done = [law.update(k * STEP, replace(NAV, quaternion=goal)).done for k in range(1, 12)]
    assert done.index(True) == 8


def follow(law: Slew, quaternion: Quaternion, rate: Vec3, windows: int) -> list[tuple[float, float, float]]:
    """Fly a plan as ideal pulses would in the middle of each window: rate, acceleration, error from the goal."""
    seen = []
    for k in range(windows):
        target = law.update(k * STEP, replace(NAV, quaternion=quaternion, rate=rate))
        assert target.attitude is not None
        change = target.angular_acceleration or (0.0, 0.0, 0.0)
        after = add(target.rate or (0.0, 0.0, 0.0), scale(change, 0.25))
        for part in (rate, after):
            quaternion = multiply(quaternion, quaternion_from_rotation_vector(scale(part, 0.125)))
        rate = after
        seen.append((norm(rate), norm(change), rotation_angle(quaternion, GOAL)))
    return seen


GOAL = quaternion_from_rotation_vector((0.6, -1.0, 0.9))


@pytest.mark.parametrize("start", [0.0, 0.01, -0.02])
def test_a_slew_is_planned_within_rate_and_acceleration_and_ends_at_rest_at_the_goal(start: float) -> None:
    axis = unit((0.6, -1.0, 0.9))
    law = Slew(LIMITS, GOAL)
    seen = follow(law, IDENTITY, scale(axis, start), 400)
    most, _ = LIMITS.turn.about(axis, LIMITS.slew_rate_rad_s)
    assert max(rate for rate, _, _ in seen) <= LIMITS.slew_rate_rad_s
    assert max(acceleration for _, acceleration, _ in seen) <= most * (1.0 + 1e-6)
    assert law.plans == 1
    assert seen[-1][0] == 0.0
    assert seen[-1][2] < 1e-6
    moving = 0.25 * sum(rate > 1e-9 for rate, _, _ in seen)
    assert moving < 1.06 * norm((0.6, -1.0, 0.9)) / LIMITS.slew_rate_rad_s + 2.0


def test_a_slew_is_planned_anew_from_where_the_craft_really_is() -> None:
    law = Slew(LIMITS, GOAL)
    law.update(0, NAV)
    struck = quaternion_from_rotation_vector((0.0, 0.3, 0.0))
    target = law.update(STEP, replace(NAV, quaternion=struck, rate=(0.01, 0.0, 0.0)))
    assert law.plans == 2
    assert target.attitude is not None
    assert rotation_angle(target.attitude, struck) < 1e-9


def test_a_turn_that_cannot_be_planned_is_left_to_the_approach() -> None:
    allocator = Allocator(BODY)
    allocator.set_failed(0xFFFF)
    law = Slew(replace(LIMITS, turn=TurnAuthority(BODY, allocator)), GOAL)
    target = law.update(0, NAV)
    assert law.plans == 0
    assert target.attitude == GOAL
    assert target.rate is None


def test_slew_keeps_the_rate_limit_of_the_craft() -> None:
    assert Slew(LIMITS, IDENTITY, rate_limit_rad_s=9.0).update(0, NAV).rate_limit_rad_s == LIMITS.rate_rad_s


def test_sun_track_turns_the_cells_to_the_measured_sun() -> None:
    sun = (0.0, 1.0, 0.0)
    target = SunTrack(LIMITS, (-1.0, 0.0, 0.0)).update(0, replace(NAV, sun_body=sun, attitude_known=False))
    assert target.attitude is not None
    # The Sun stands still in the frame of the attitude: the cells must point at it there.
    assert angle_between(rotate(target.attitude, (-1.0, 0.0, 0.0)), sun) < 1e-9
    assert rotation_angle(IDENTITY, target.attitude) == pytest.approx(pi / 2)


def test_sun_track_stops_within_five_degrees() -> None:
    law = SunTrack(LIMITS, (-1.0, 0.0, 0.0))
    off = radians(3.0)
    near = replace(NAV, sun_body=(-cos(off), sin(off), 0.0))
    done = [law.update(k * STEP, near).done for k in range(12)]
    assert done[-1]
    assert not law.update(13 * STEP, replace(NAV, sun_body=(0.0, 1.0, 0.0))).done


def test_sun_track_uses_the_ephemeris_only_with_a_known_attitude() -> None:
    law = SunTrack(LIMITS, (-1.0, 0.0, 0.0), sun_inertial=(1.0, 0.0, 0.0))
    assert law.update(0, NAV).phase is Phase.POINT
    assert law.update(STEP, replace(NAV, attitude_known=False)).phase is Phase.SEARCH_X


def test_the_search_turns_about_x_and_then_about_z() -> None:
    law = SunTrack(LIMITS, (-1.0, 0.0, 0.0))
    first = law.update(0, NAV)
    assert first.phase is Phase.SEARCH_X
    assert first.rate == pytest.approx((radians(0.5), 0.0, 0.0))
    second = law.update(int(721e9), NAV)
    assert second.phase is Phase.SEARCH_Z
    assert second.rate == pytest.approx((0.0, 0.0, radians(0.5)))


def test_the_search_is_over_when_the_sun_is_seen() -> None:
    law = SunTrack(LIMITS, (-1.0, 0.0, 0.0))
    law.update(0, NAV)
    assert law.update(STEP, replace(NAV, sun_body=(0.0, 0.0, 1.0))).phase is Phase.POINT


def test_short_of_energy_pulses_are_five_seconds_apart() -> None:
    law = SunTrack(LIMITS, (-1.0, 0.0, 0.0))
    law.economy = True
    assert law.update(0, NAV).pulse_interval_s == 5.0


@pytest.mark.parametrize("metres", [2.0, 10.0, 40.0])
def test_translate_burns_coasts_brakes_and_holds(metres: float) -> None:
    law = Translate(LIMITS, (metres, 0.0, 0.0))
    x, v, step = 0.0, 0.0, LIMITS.cruise_m_s2 * 0.25
    phases, ways = [], dict.fromkeys(Phase, 0.0)
    for k in range(240):
        target = law.update(k * STEP, replace(NAV, position=(x, 0.0, 0.0), velocity=(v, 0.0, 0.0)))
        phases.append(target.phase)
        wanted = 0.0 if target.velocity is None else target.velocity[0]
        wanted += 0.0 if target.acceleration is None else 0.25 * target.acceleration[0]
        # A craft that reaches what is asked within the acceleration the law may count on.
        change = max(-step, min(step, wanted - v))
        ways[target.phase] += (v + 0.5 * change) * 0.25
        x += (v + 0.5 * change) * 0.25
        v += change
    order = [phase for i, phase in enumerate(phases) if i == 0 or phases[i - 1] is not phase]
    assert order == [Phase.BURN, Phase.COAST, Phase.BRAKE, Phase.HOLD]
    assert x == pytest.approx(metres, abs=0.02)
    assert target.done
    # No more than a third on either ramp, but for one window of the cruise.
    for phase in (Phase.BURN, Phase.BRAKE):
        assert ways[phase] <= metres / 3.0 + 0.25 * BODY.limits.speed_m_s


def test_a_hold_is_done_only_within_its_bands_and_until_it_is_well_outside() -> None:
    law = Hold(LIMITS, IDENTITY, (0.0, 0.0, 0.0))
    band = LIMITS.position_deadband_m

    def done(metres: float, first: int, last: int) -> list[bool]:
        nav = replace(NAV, position=(metres, 0.0, 0.0))
        return [law.update(k * STEP, nav).done for k in range(first, last)]

    assert not any(done(1.2 * band, 0, 40))
    assert done(0.9 * band, 40, 60)[-1]
    assert all(done(1.2 * band, 60, 70))
    assert not any(done(2.1 * band, 70, 80))
    assert not done(1.2 * band, 80, 100)[-1]


def test_translate_never_exceeds_the_speed_cap() -> None:
    target = Translate(LIMITS, (100.0, 0.0, 0.0), speed_m_s=7.0).update(0, NAV)
    assert target.velocity is not None
    assert norm(target.velocity) <= BODY.limits.speed_m_s + 1e-12


def test_translate_takes_out_drift_across_the_line() -> None:
    law = Translate(LIMITS, (40.0, 0.0, 0.0))
    law.update(0, NAV)
    target = law.update(STEP, replace(NAV, position=(5.0, 0.4, 0.0)))
    # The place beside it on the line, so that only what is across is an error.
    assert target.position == pytest.approx((5.0, 0.0, 0.0))


def test_a_short_way_is_no_burn() -> None:
    assert Translate(LIMITS, (0.1, 0.0, 0.0)).update(0, NAV).phase is Phase.HOLD


def test_translate_wants_one_goal() -> None:
    with pytest.raises(ValueError, match="one of them"):
        Translate(LIMITS)
    with pytest.raises(ValueError, match="one of them"):
        Translate(LIMITS, (1.0, 0.0, 0.0), destination=(1.0, 0.0, 0.0))


def test_translate_waits_for_a_known_attitude() -> None:
    target = Translate(LIMITS, (10.0, 0.0, 0.0)).update(0, replace(NAV, attitude_known=False))
    assert target.velocity is None
    assert target.rate == (0.0, 0.0, 0.0)


def test_brake_pushes_with_all_there_is_until_rest() -> None:
    law = Brake(LIMITS)
    moving = law.update(0, replace(NAV, velocity=(0.6, 0.0, 0.0)))
    assert moving.phase is Phase.BRAKE
    assert moving.full_push
    assert moving.mode is ThrustMode.BRAKE
    assert moving.velocity == (0.0, 0.0, 0.0)
    done = [law.update(k * STEP, replace(NAV, velocity=(0.03, 0.0, 0.0))).done for k in range(1, 12)]
    assert done.index(True) == 8


def test_brake_with_unknown_attitude_nulls_rates_first() -> None:
    law = Brake(LIMITS)
    tumbling = replace(NAV, attitude_known=False, rate=(0.2, 0.0, 0.0), velocity=(0.5, 0.0, 0.0))
    first = law.update(0, tumbling)
    assert first.phase is Phase.DETUMBLE
    assert first.velocity is None
    assert law.update(STEP, replace(tumbling, rate=(0.0, 0.0, 0.0))).phase is Phase.BRAKE
