"""Risk of whole track lists: verdicts, answers, contacts, bad input, replay; and a slice of the closed loop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench._perception_risk import encounters, fly, judge_all, track_set
from fdir.guard_contacts import LARGEST_EVASION_M_S, TrackStatus
from fdir.guard_rules import Iff as GuardIff
from fdir.guard_rules import TransponderMode as GuardMode
from firmware_py.perception.observation import Band, Iff, Status, TransponderMode
from firmware_py.perception.risk import Level, OwnState, RiskConfig, RiskWatch, ThreatKind, contacts_of

NS = 1_000_000_000
CONFIG = RiskConfig()
OWN = OwnState((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), 0.1, 0.02, 1.44, 432.0, 16.6, 2.0)
MOVING = replace(OWN, velocity_m_s=(5.0, 0.0, 0.0))


def listed(t_s: float, *states: tuple[float, ...], sigmas=(0.3, 0.3, 0.3, 0.05, 0.05, 0.05), **columns):
    state = np.array(states, float).reshape(-1, 6)
    covariance = np.repeat(np.diag(np.square(sigmas))[None], len(state), axis=0)
    return replace(track_set(round(t_s * NS), state, covariance), **columns)


def watched(own: OwnState, *states: tuple[float, ...], frames: int = 5, config: RiskConfig = CONFIG, **columns):
    """The report after some frames of the same state."""
    watch = RiskWatch(config)
    for frame in range(frames):
        report = watch.step(listed(0.1 * frame, *states, **columns), own, round(0.1 * frame * NS))
    return report, watch


HIT = (40.0, 0.0, 0.0, -6.0, 0.0, 0.0)
PASS = (40.0, 15.0, 0.0, -6.0, 0.0, 0.0)


def test_a_contact_that_comes_at_a_craft_at_rest_is_evaded() -> None:
    report, _ = watched(OWN, HIT)
    threat = report.threats[0]
    assert (threat.track_id, threat.kind, threat.level) == (0, ThreatKind.EVADE, Level.CRIT)
    assert threat.delta_v_m_s is not None
    assert 0.0 < np.linalg.norm(threat.delta_v_m_s) <= LARGEST_EVASION_M_S
    assert (threat.t_cpa_s, threat.miss_m, threat.room_m) == (pytest.approx(40 / 6), pytest.approx(0.0), 37.0)
    assert threat.stop_m == pytest.approx(1.2 * 36 / 2.88 + 3.0)
    assert "track 0 passes 0.0 m" in threat.text
    assert report.course.tolist() == [True]
    assert report.probability[0] > 0.99


def test_a_craft_that_flies_at_something_brakes_when_a_stop_is_due_and_evades_before() -> None:
    for range_m, kind in ((18.0, ThreatKind.BRAKE), (39.0, ThreatKind.EVADE), (90.0, ThreatKind.NONE)):
        report, _ = watched(MOVING, (range_m, 0.0, 0.0, 0.0, 0.0, 0.0))
        kinds = [threat.kind for threat in report.threats]
        assert kinds == [kind]


def test_a_stop_that_is_under_way_is_not_left_for_an_evasion_while_it_helps() -> None:
    # Slower by now, so that a stop could wait again: it would be begun and left in turns.
    for own, kind in ((MOVING, ThreatKind.EVADE), (replace(MOVING, braking=True), ThreatKind.BRAKE)):
        assert watched(own, (39.0, 0.0, 0.0, 0.0, 0.0, 0.0))[0].threats[0].kind is kind
    assert watched(replace(OWN, braking=True), HIT)[0].threats[0].kind is ThreatKind.EVADE


def test_above_the_speed_in_the_tank_the_craft_evades() -> None:
    fast = replace(OWN, velocity_m_s=(10.0, 0.0, 0.0))
    near = (50.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    assert watched(fast, near)[0].threats[0].kind is ThreatKind.BRAKE
    assert watched(replace(fast, speed_in_tank_m_s=8.0), near)[0].threats[0].kind is ThreatKind.EVADE


def test_what_passes_beyond_three_radii_is_not_acted_on_but_has_its_level() -> None:
    report, _ = watched(OWN, PASS)
    assert report.course.tolist() == [False]
    assert report.level.tolist() == [Level.CRIT]
    assert [threat.kind for threat in report.threats] == [ThreatKind.NONE]


def test_doubt_waits_while_there_is_time_and_acts_when_there_is_none() -> None:
    wide = (3.0, 3.0, 3.0, 0.5, 0.5, 0.5)
    far, near = (60.0, 4.0, 0.0, -6.0, 0.0, 0.0), (18.0, 4.0, 0.0, -6.0, 0.0, 0.0)
    assert watched(OWN, far, sigmas=wide)[0].course.tolist() == [False]
    assert watched(OWN, near, sigmas=wide)[0].course.tolist() == [True]


def test_a_verdict_needs_three_frames() -> None:
    kinds = [[t.kind for t in watched(OWN, HIT, frames=n)[0].threats] for n in (1, 2, 3)]
    assert kinds == [[], [], [ThreatKind.EVADE]]


def test_what_is_approached_on_purpose_is_braked_for_and_never_evaded() -> None:
    own = replace(MOVING, approached_id=0)
    assert watched(own, (39.0, 0, 0, 0, 0, 0))[0].threats[0].kind is ThreatKind.NONE
    assert watched(own, (18.0, 0, 0, 0, 0, 0))[0].threats[0].kind is ThreatKind.BRAKE


def test_without_a_known_push_the_answer_is_to_brake() -> None:
    for push in (None, float("nan"), 0.0):
        report, _ = watched(replace(OWN, brake_m_s2=push), HIT)
        assert report.threats[0].kind is ThreatKind.BRAKE
        assert np.isnan(report.threats[0].stop_m)


def test_new_tracks_have_neither_level_nor_answer() -> None:
    report, _ = watched(OWN, HIT, status=np.array([Status.NEW], np.int8))
    assert (report.level.tolist(), report.course.tolist(), report.threats) == ([0], [False], ())


def test_events_tell_what_rose_and_what_is_over() -> None:
    watch = RiskWatch(CONFIG)
    events = []
    for frame in range(100):
        states = (HIT,) if frame < 5 else ()
        report = watch.step(listed(0.1 * frame, *states), OWN, round(0.1 * frame * NS))
        events += [(event.name, event.track_id, event.level, "not seen" in event.text) for event in report.events]
    assert events == [("threat_high", 0, Level.CRIT, False), ("threat_over", 0, Level.OK, True)]


@pytest.mark.parametrize("spoil", ["covariance", "state", "own"])
def test_what_is_no_number_is_counted_and_stops_nobody(spoil: str) -> None:
    watch, own = RiskWatch(CONFIG), OWN
    for frame in range(5):
        tracks = listed(0.1 * frame, HIT, PASS)
        if spoil == "covariance":
            tracks.covariance[1] = np.nan
        elif spoil == "state":
            tracks.state[1, 4] = np.nan
        else:
            own = replace(OWN, velocity_m_s=(0.0, float("nan"), 0.0))
        report = watch.step(tracks, own, tracks.t_ns)
    known = [spoil != "own", False]
    assert report.judged.tolist() == known
    assert watch.unjudged == 5 * known.count(False)
    assert [contact.collision_course for contact in contacts_of(tracks, report)] == [True if known[0] else None, None]
    assert np.isfinite(report.least_miss_m).tolist() == known


def test_tracks_are_carried_on_to_the_present_but_not_far() -> None:
    watch = RiskWatch(CONFIG)
    report = watch.step(listed(0.0, HIT), OWN, NS)
    assert report.range_m[0] == pytest.approx(34.0)
    assert report.t_ns == NS
    assert watch.step(listed(0.0, HIT), OWN, 9 * NS).range_m[0] == pytest.approx(28.0)
    assert watch.step(listed(20.0, HIT), OWN, 10 * NS).range_m[0] == pytest.approx(40.0)
    assert watch.stale == 2


def test_no_tracks_are_no_risk() -> None:
    report, _ = watched(OWN)
    assert (len(report), report.threats, report.events) == (0, (), ())
    assert set(report.columns()) >= {"track_id", "level", "tcpa_s", "least_miss_m", "in_sphere"}


def test_the_same_lists_give_the_same_reports() -> None:
    rng = np.random.default_rng(4)
    states = [np.hstack([rng.uniform(-150, 150, (60, 3)), rng.uniform(-15, 15, (60, 3))]) for _ in range(6)]

    def flown() -> list[bytes]:
        watch = RiskWatch(CONFIG)
        reports = [watch.step(listed(0.1 * n, *each), MOVING, round(0.1 * n * NS)) for n, each in enumerate(states)]
        return [b"".join(column.tobytes() for column in r.columns().values()) + repr(r.threats).encode()
                for r in reports]

    assert flown() == flown()


def test_contacts_say_what_is_known_and_no_more() -> None:
    columns = {
        "iff": np.array([Iff.UNKNOWN, Iff.UNSPECIFIED], np.int8), "band": np.array([Band.SR, Band.LR], np.int8),
        "transponder_mode": np.array([TransponderMode.SPOOF, TransponderMode.OFF], np.int8),
        "quality": np.array([0.5, np.nan]),
    }
    report, _ = watched(OWN, HIT, PASS, **columns)
    first, second = contacts_of(listed(0.4, HIT, PASS, **columns), report)
    assert (first.status, first.iff, first.transponder_on, first.transponder_mode, first.quality) == (
        TrackStatus.TRACKED, GuardIff.UNKNOWN, True, GuardMode.SPOOF, 0.5
    )
    assert (first.collision_course, first.evade_m_s) == (True, report.threats[0].delta_v_m_s)
    assert (second.iff, second.transponder_on, second.transponder_mode, second.quality) == (None,) * 4
    assert (second.collision_course, second.evade_m_s, second.event_ns) == (False, None, report.t_ns)
    assert first.radial_velocity_m_s == pytest.approx(-6.0)
    nobody = listed(0.4, HIT, PASS, status=np.zeros(2, np.int8))
    assert contacts_of(nobody, report) == ()


@pytest.mark.slow
def test_a_slice_of_noisy_encounters_is_answered_in_time_and_passes_are_let_by() -> None:
    rng = np.random.default_rng(77)
    hits = judge_all(rng, encounters(rng, 8, (0.0, 1.0), 5.0, (5.0, 9.0)), CONFIG)
    assert (hits.left_s > 2.0).all()
    passes = judge_all(rng, encounters(rng, 8, (3.0, 10.0), 5.0, (5.0, 9.0)), CONFIG)
    assert np.isnan(passes.answered_s).all()


@pytest.mark.slow
def test_what_is_advised_gets_the_craft_out_of_the_way() -> None:
    rng = np.random.default_rng(5)
    given = encounters(rng, 3, (0.0, 1.0), 5.0, (8.0, 9.0), (1.0, 8.0))
    flights = [fly(rng, given, row, CONFIG, (row % 3) / 2.0) for row in range(3)]
    assert all(flight.kind is not ThreatKind.NONE for flight in flights)
    assert sum(flight.nearest_m > 5.0 for flight in flights) >= 2
    assert all(flight.nearest_m > 2.5 for flight in flights)
