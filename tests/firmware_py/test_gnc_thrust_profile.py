"""Segments are trapezoids, windows get their exact mean, needs follow from physics, and a refusal ends a profile."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from math import hypot, sqrt

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.gnc.burn_needs import AllocatorCeiling, BurnClock, SegmentNeeds, Slice, burn_needs
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import GuidanceLimits, Phase, Target
from firmware_py.gnc.thrust_modes import ThrustMode
from firmware_py.gnc.thrust_profile import (
    FlyOverride,
    FlyProfile,
    Level,
    ProfileError,
    Segment,
    ThrustProfile,
    needs,
    profile_of,
)
from hal.frames import IDENTITY, Vec3, quaternion_from_rotation_vector, rotate
from hal.profile import load_body

WINDOW_NS = 250_000_000
X: Vec3 = (1.0, 0.0, 0.0)
Z: Vec3 = (0.0, 0.0, 1.0)
BODY = load_body("qiki-t")
CENTRED = msgspec.structs.replace(BODY, mass=msgspec.structs.replace(BODY.mass, centre_of_mass_m=(0.0, 0.0, 0.0)))
"""The craft with its mass in the middle: the push sets of CANON section 3 need no trim there."""
ALLOCATOR = Allocator(BODY)
CENTRED_ALLOCATOR = Allocator(CENTRED)
LIMITS = GuidanceLimits.from_body(BODY, ALLOCATOR)
CEILING = AllocatorCeiling(BODY, ALLOCATOR)
NAV = NavState(
    t_ns=0, quaternion=IDENTITY, rate=(0.0, 0.0, 0.0), gyro_bias=(0.0, 0.0, 0.0), accel_bias=(0.0, 0.0, 0.0),
    position=(0.0, 0.0, 0.0), velocity=(0.0, 0.0, 0.0), sigma_attitude_rad=1e-3, sigma_rate_rad_s=1e-3,
    sigma_position_m=0.01, sigma_velocity_m_s=0.001, attitude_known=True, sun_body=None, fix_age_ns=0, imu_age_ns=0,
    disagreement=False,
)


class Purse:
    """A budget that refuses the segments it is told to, and keeps what it was asked."""

    def __init__(self, *codes: Code, at: int = 0) -> None:
        self.codes = codes
        self.at = at
        self.asked: list[tuple[Segment, SegmentNeeds]] = []

    def refusals(self, segment: Segment, needed: SegmentNeeds) -> tuple[Code, ...]:
        self.asked.append((segment, needed))
        return self.codes if len(self.asked) - 1 == self.at else ()


def law_of(*segments: Segment, budget: Purse | None = None) -> FlyProfile:
    return FlyProfile(
        LIMITS, ThrustProfile(segments), CEILING,
        lambda segment, force: burn_needs(segment.slices(force), ALLOCATOR, BODY), budget or Purse(),
    )


def windows(law: FlyProfile, count: int, nav: NavState = NAV) -> list[Target]:
    return [law.update(n * WINDOW_NS, nav) for n in range(count)]


def impulse(targets: list[Target]) -> Vec3:
    """N s, body axes, of windows laid end to end."""
    pushes = [target.push_n or (0.0, 0.0, 0.0) for target in targets]
    x, y, z = (0.25 * sum(push[axis] for push in pushes) for axis in range(3))
    return (x, y, z)


# -- segments


def test_a_ramp_is_straight_and_its_area_exact() -> None:
    segment = Segment(4.0, 50.0, X, ramp_in_s=1.0, ramp_out_s=2.0)
    assert segment.level_seconds(0.0, 1.0) == pytest.approx(0.25)
    assert segment.level_seconds(0.0, 0.5) == pytest.approx(0.5 * 0.125)
    assert segment.level_seconds(1.0, 2.0) == pytest.approx(0.5)
    assert segment.level_seconds(2.0, 4.0) == pytest.approx(0.5)
    assert segment.level_seconds(3.0, 4.0) == pytest.approx(0.125)
    assert segment.level_seconds(-5.0, 9.0) == pytest.approx(0.5 * (4.0 - 0.5 - 1.0))


@given(
    duration=st.floats(0.03, 60.0), rise=st.floats(0.0, 1.0), fall=st.floats(0.0, 1.0), level=st.floats(0.0, 100.0),
    offset=st.floats(0.0, 0.25),
)
def test_windows_of_any_phase_add_up_to_the_whole(
    duration: float, rise: float, fall: float, level: float, offset: float
) -> None:
    total = max(1.0, rise + fall)
    segment = Segment(duration, level, X, ramp_in_s=rise / total * duration * 0.999,
                      ramp_out_s=fall / total * duration * 0.999)
    area = 0.01 * level * (duration - 0.5 * segment.ramp_in_s - 0.5 * segment.ramp_out_s)
    edges = [-offset + 0.25 * n for n in range(int((duration + offset) / 0.25) + 3)]
    parts = [segment.level_seconds(a, b) for a, b in pairwise(edges)]
    assert sum(parts) == pytest.approx(area, abs=1e-9)
    assert min(parts) >= -1e-12
    assert max(parts) <= 0.01 * level * 0.25 + 1e-12


@pytest.mark.parametrize(("record", "words"), [
    ({"duration_s": 1.0, "level_pct": 50.0, "direction": X, "ramp_in_s": 0.8, "ramp_out_s": 0.4},
     "ramps of 0.8 and 0.4 s do not fit into duration_s 1"),
    ({"duration_s": 61.0, "level_pct": 50.0, "direction": X}, "duration_s is 61 s; 0.03..60 is allowed"),
    ({"duration_s": 1.0, "level_pct": 101.0, "direction": X}, "level_pct is 101 %; 0..100 is allowed"),
    ({"duration_s": float("nan"), "level_pct": 1.0, "direction": X}, "duration_s is nan s"),
    ({"duration_s": 1.0, "level_pct": 1.0, "direction": X, "frame": "moon"}, "allowed: body, inertial"),
])
def test_a_bad_segment_is_refused_with_its_number_and_what_is_allowed(
    record: dict[str, object], words: str
) -> None:
    good = {"duration_s": 1.0, "level_pct": 10.0, "direction": X}
    with pytest.raises(ProfileError) as caught:
        profile_of({"segments": [good, record]})
    assert str(caught.value).startswith("segments[1]: ")
    assert words in str(caught.value)


def test_a_profile_is_bounded_in_number_and_in_time() -> None:
    one = Segment(1.0, 10.0, X)
    with pytest.raises(ProfileError, match="17 segments; 1 to 16"):
        ThrustProfile((one,) * 17)
    with pytest.raises(ProfileError, match="0 segments"):
        ThrustProfile(())
    with pytest.raises(ProfileError, match="180 s in all; 120 s"):
        ThrustProfile((Segment(60.0, 1.0, X),) * 3)
    assert profile_of({"duration_s": 2.0, "level_pct": 10.0, "direction": (0.0, 0.0, -3.0)}).segments == (
        Segment(2.0, 10.0, (0.0, 0.0, -1.0)),
    )


# -- what windows get


def test_a_segment_that_begins_and_ends_inside_windows_gives_each_its_share() -> None:
    law = law_of(Segment(0.4, 0.0, X), Segment(0.7, 20.0, X))
    full = 0.2 * CEILING.force_n(X, False)
    pushes = [target.push_n for target in windows(law, 6)]
    assert pushes[0] is None
    assert pushes[5] is None
    assert [push[0] for push in pushes[1:5] if push] == pytest.approx([0.4 * full, full, full, 0.4 * full])


def test_ramps_over_windows_give_the_exact_impulse() -> None:
    segment = Segment(2.1, 40.0, X, ramp_in_s=0.7, ramp_out_s=0.3)
    wanted = 0.4 * CEILING.force_n(X, False) * (2.1 - 0.35 - 0.15)
    assert impulse(windows(law_of(segment), 12)) == pytest.approx((wanted, 0.0, 0.0))


def test_phases_follow_the_push_and_the_end_is_a_coast_that_holds_the_attitude() -> None:
    law = law_of(Segment(0.5, 20.0, X), Segment(0.5, 0.0, X), Segment(0.5, 20.0, X))
    turned = dataclasses.replace(NAV, quaternion=quaternion_from_rotation_vector((0.1, 0.2, 0.3)))
    targets = windows(law, 8, turned)
    assert [target.phase for target in targets] == [
        Phase.BURN, Phase.BURN, Phase.COAST, Phase.COAST, Phase.BURN, Phase.BURN, Phase.COAST, Phase.COAST,
    ]
    assert [target.done for target in targets] == [False] * 6 + [True] * 2
    assert {target.attitude for target in targets} == {turned.quaternion}
    assert all(target.position is None and target.velocity is None for target in targets)


def test_an_inertial_direction_stays_where_it_is_while_the_body_wobbles() -> None:
    law = law_of(Segment(1.0, 10.0, X, frame="inertial"))
    for n, angle in enumerate((0.0, 0.01, -0.02, 0.05)):
        nav = dataclasses.replace(NAV, quaternion=quaternion_from_rotation_vector((0.0, 0.0, angle)))
        push = law.update(n * WINDOW_NS, nav).push_n
        assert push is not None
        x, y, z = rotate(nav.quaternion, push)
        assert (y, z) == pytest.approx((0.0, 0.0), abs=1e-9)
        assert x == pytest.approx(0.1 * CEILING.force_n(X, False))


def test_a_level_is_a_share_of_its_own_ceiling() -> None:
    y: Vec3 = (0.0, 1.0, 0.0)
    for level, ceiling in ((Level.ZTT, ALLOCATOR.largest_scale((*y, 0.0, 0.0, 0.0))),
                           (Level.FTG, force_ceiling_n(BODY)),
                           (Level.ADAPTIVE, ALLOCATOR.largest_scale((*y, 0.0, 0.0, 0.0)))):
        target = windows(law_of(Segment(1.0, 30.0, y, level=level)), 1)[0]
        assert target.push_n == pytest.approx((0.0, 0.3 * ceiling, 0.0))
    assert ALLOCATOR.largest_scale((*y, 0.0, 0.0, 0.0)) > 1.5 * force_ceiling_n(BODY)


def test_a_push_above_the_common_ceiling_is_not_made_in_the_mode_that_caps_there() -> None:
    y: Vec3 = (0.0, 1.0, 0.0)
    modes = [
        windows(law_of(Segment(1.0, percent, y, level=level)), 1)[0].mode
        for percent, level in ((100.0, Level.ZTT), (30.0, Level.ZTT), (30.0, Level.ADAPTIVE))
    ]
    assert modes == [ThrustMode.ADAPTIVE, ThrustMode.AUTO, ThrustMode.ADAPTIVE]


# -- the budget


def test_each_segment_is_asked_for_in_the_window_in_which_it_starts() -> None:
    purse = Purse()
    law = law_of(Segment(0.6, 10.0, X), Segment(0.5, 0.0, X), Segment(0.5, 20.0, Z), budget=purse)
    asked = []
    for n in range(7):
        law.update(n * WINDOW_NS, NAV)
        asked.append(len(purse.asked))
    assert asked == [1, 1, 1, 1, 2, 2, 2]
    assert purse.asked[1][0].direction == Z
    assert purse.asked[1][1].impulse_n_s == pytest.approx((0.0, 0.0, 0.5 * 0.2 * CEILING.force_n(Z, False)), abs=1e-6)


def test_a_refusal_ends_the_profile_where_the_segment_would_have_begun() -> None:
    law = law_of(Segment(0.6, 20.0, X), Segment(1.0, 50.0, Z), budget=Purse(Code.CAP_LOW, Code.THERMAL_BLOCK, at=1))
    targets = windows(law, 10)
    assert impulse(targets) == pytest.approx((0.6 * 0.2 * CEILING.force_n(X, False), 0.0, 0.0))
    assert [target.push_n for target in targets[3:]] == [None] * 7
    assert targets[-1].phase is Phase.COAST
    assert not any(target.done for target in targets)
    assert law.aborted == (Code.CAP_LOW, Code.THERMAL_BLOCK)
    notes = [(note.code, note.text) for note in law.take_notes()]
    assert notes[-1] == (Code.PROFILE_ABORTED, "segment 1: CAP_LOW, THERMAL_BLOCK")
    assert [code for code, _ in notes] == [Code.PROFILE_SEGMENT, Code.PROFILE_ABORTED]
    assert law.take_notes() == []


def test_a_refused_first_segment_pushes_nothing() -> None:
    law = law_of(Segment(1.0, 20.0, X), budget=Purse(Code.WORKING_MASS_LOW))
    assert [target.push_n for target in windows(law, 6)] == [None] * 6


def test_segments_shorter_than_a_window_are_all_asked_for_before_any_of_them() -> None:
    purse = Purse(Code.CAP_LOW, at=2)
    law = law_of(*[Segment(0.05, 100.0, X)] * 5, budget=purse)
    first, second = windows(law, 2)
    assert len(purse.asked) == 3
    assert first.push_n == pytest.approx((2 * 0.05 / 0.25 * CEILING.force_n(X, False), 0.0, 0.0))
    assert second.push_n is None


def test_missed_windows_end_a_profile_because_its_push_is_lost() -> None:
    law = law_of(Segment(5.0, 20.0, X))
    windows(law, 4)
    assert law.update(6 * WINDOW_NS, NAV).push_n is None
    assert law.aborted == (Code.RCS_UNAVAILABLE,)


def test_a_lost_attitude_ends_a_profile_and_rates_are_nulled() -> None:
    law = law_of(Segment(5.0, 20.0, X))
    windows(law, 2)
    target = law.update(2 * WINDOW_NS, dataclasses.replace(NAV, attitude_known=False))
    assert (target.push_n, target.attitude, target.rate) == (None, None, (0.0, 0.0, 0.0))
    assert law.aborted == (Code.ATTITUDE_UNKNOWN,)


def test_a_stop_is_the_end_and_cannot_be_aborted_afterwards() -> None:
    law = law_of(Segment(5.0, 20.0, X))
    windows(law, 2)
    law.stop("enough")
    law.abort((Code.CAP_LOW,), "too late")
    target = law.update(2 * WINDOW_NS, NAV)
    assert (target.push_n, target.done, law.aborted) == (None, True, ())
    assert [note.code for note in law.take_notes()] == [Code.PROFILE_SEGMENT, Code.PROFILE_CUT]


def test_progress_counts_segments_and_time() -> None:
    law = law_of(Segment(1.0, 10.0, X), Segment(1.0, 10.0, X))
    assert law.progress == (0, 2, 0.0)
    windows(law, 3)
    assert law.progress == (1, 2, 0.25)
    windows(law, 20)
    assert law.progress == (2, 2, 1.0)


# -- what a segment needs


def test_needs_of_four_nozzles_are_those_worked_out_by_hand() -> None:
    """CANON section 3: +X is nozzles 4 to 7 of one cluster, 1040 N of thrust that push with cos 45 deg of it."""
    needed = needs(Segment(2.0, 100.0, X), CENTRED_ALLOCATOR, CENTRED)
    assert needed.propellant_kg == pytest.approx(2.0 * 1.7675, rel=1e-3)
    assert needed.energy_j == pytest.approx(2.0 * 80.0, rel=1e-4)
    assert needed.cluster_heat_j["rcs_c02"] == pytest.approx(2.0 * 4 * 400.0, rel=1e-4)
    assert sum(needed.cluster_heat_j.values()) == pytest.approx(3200.0, rel=1e-4)
    assert needed.impulse_n_s == pytest.approx((2.0 * 1040.0 / sqrt(2.0), 0.0, 0.0), rel=1e-4, abs=1e-3)
    assert (needed.peak_duty, needed.longest_burn_s) == pytest.approx((1.0, 2.0), rel=1e-4)
    assert needed.residual_torque_n_m < 0.01


def test_half_a_level_needs_half_and_a_trapezoid_its_area() -> None:
    full = needs(Segment(2.0, 100.0, X), CENTRED_ALLOCATOR, CENTRED)
    half = needs(Segment(2.0, 50.0, X), CENTRED_ALLOCATOR, CENTRED)
    ramped = needs(Segment(2.0, 100.0, X, ramp_in_s=1.0, ramp_out_s=0.5), CENTRED_ALLOCATOR, CENTRED)
    for share, other in ((0.5, half), (0.625, ramped)):
        assert other.propellant_kg == pytest.approx(share * full.propellant_kg, rel=1e-4)
        assert other.energy_j == pytest.approx(share * full.energy_j, rel=1e-4)
    assert half.longest_burn_s == pytest.approx(0.125, rel=1e-4)
    assert half.peak_duty == pytest.approx(0.5, rel=1e-4)


def test_the_trim_of_an_off_centre_mass_is_paid_for() -> None:
    centred = needs(Segment(1.0, 100.0, X), CENTRED_ALLOCATOR, CENTRED)
    real = needs(Segment(1.0, 100.0, X), ALLOCATOR, BODY)
    assert real.impulse_n_s[0] == pytest.approx(centred.impulse_n_s[0], rel=1e-3)
    assert real.propellant_kg > 1.1 * centred.propellant_kg
    assert real.residual_torque_n_m < 0.01


def test_a_lost_nozzle_shows_as_force_that_is_missing_or_torque_that_is_left() -> None:
    whole = needs(Segment(1.0, 100.0, X), ALLOCATOR, BODY, CEILING)
    lame = needs(Segment(1.0, 100.0, X), ALLOCATOR, BODY, CEILING, failed=1 << 4)
    assert max(whole.residual_force_n, whole.residual_torque_n_m) < 0.01
    assert lame.residual_force_n > 100.0
    small = needs(Segment(1.0, 20.0, X), ALLOCATOR, BODY, CEILING, failed=1 << 4)
    assert max(small.residual_force_n, small.residual_torque_n_m) < 1e-6


@pytest.mark.parametrize(("level", "burn_s"), [(100.0, 2.5), (90.0, 2.25), (88.0, 0.22), (60.0, 0.15)])
def test_a_nozzle_without_room_for_a_pause_in_each_window_counts_as_open(level: float, burn_s: float) -> None:
    clock = BurnClock(BODY)
    clock.add([0.01 * level] + [0.0] * 15, 2.5)
    assert clock.longest_s == pytest.approx(burn_s)


def test_burns_run_on_across_segments_and_a_longest_one_is_followed_by_its_cooldown() -> None:
    clock = BurnClock(BODY)
    full, shut = [1.0] + [0.0] * 15, [0.0] * 16
    clock.add(full, 2.0)
    clock.restart()
    clock.add(full, 1.0)
    assert clock.longest_s == pytest.approx(3.0)
    clock.add(shut, 4.0)
    assert clock.early_s == 0.0
    clock.add(full, 0.5)
    assert clock.early_s == pytest.approx(2.0)


def test_a_short_burn_needs_no_cooldown() -> None:
    clock = BurnClock(BODY)
    clock.add([1.0] + [0.0] * 15, 2.7)
    clock.add([0.0] * 16, 0.1)
    clock.add([1.0] + [0.0] * 15, 0.5)
    assert clock.early_s == 0.0
    assert clock.longest_s == pytest.approx(2.7)


# -- the override


def test_an_override_pushes_its_force_and_turns_by_its_torque() -> None:
    wrench = (50.0, 0.0, -20.0, 35.0, 0.0, 61.0)
    law = FlyOverride(LIMITS, BODY, wrench, 0.6)
    nav = dataclasses.replace(NAV, rate=(0.01, 0.0, 0.0))
    targets = [law.update(n * WINDOW_NS, nav) for n in range(4)]
    assert all(target.mode is ThrustMode.MANUAL_OVERRIDE for target in targets[:3])
    assert targets[0].push_n == pytest.approx((50.0, 0.0, -20.0))
    assert targets[2].push_n == pytest.approx((20.0, 0.0, -8.0))
    assert impulse(targets[:3]) == pytest.approx((30.0, 0.0, -12.0))
    assert targets[0].rate == pytest.approx((0.01 + 0.1 * 0.25, 0.0, 0.2 * 0.25))
    assert targets[2].rate == pytest.approx((0.01 + 0.1 * 0.6, 0.0, 0.2 * 0.6))
    last = targets[3]
    assert (last.phase, last.done, last.push_n, last.rate, last.attitude) == (Phase.COAST, True, None, None, None)


def test_slices_of_a_raw_wrench_are_costed_with_what_is_left_over() -> None:
    asked = Slice((0.0, 5000.0, 0.0, 0.0, 0.0, 0.0), 1.0)
    needed = burn_needs([asked], ALLOCATOR, BODY)
    made = hypot(*needed.impulse_n_s)
    assert needed.residual_force_n == pytest.approx(5000.0 - made, rel=1e-3)
