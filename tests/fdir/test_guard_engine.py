"""The guard over time: one alert an edge, anti-flap on event time, lost and forgotten tracks, bounds, figures."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code, Severity
from fdir.guard_alerts import GuardAlert
from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_engine import MAX_TRACKS, GuardEngine
from fdir.guard_rules import GuardRule, Iff, Trigger, load_guard_rules

MS = 1_000_000
S = 1000 * MS
COASTING, TRACKED = TrackStatus.COASTING, TrackStatus.TRACKED


def rule(**keys: object) -> GuardRule:
    return GuardRule(**{"id": "NEAR", "title": "Near", "severity": Severity.WARNING, "max_range_m": 70.0, **keys})


def lost(**keys: object) -> GuardRule:
    return rule(**{"id": "GONE", "title": "Gone", "trigger": Trigger.LOST, "min_duration_s": 2.0, "cooldown_s": 10.0,
                   **keys})


def at(t_ns: int, range_m: float | None = 50.0, track_id: int = 1, status: TrackStatus = TRACKED, **keys) -> Contact:
    return Contact(track_id, status, t_ns, range_m, **keys)


def times(engine: GuardEngine, *contacts: Contact) -> list[int]:
    """Event times of the alerts, each contact in a frame of its own."""
    return [alert.event_ns for contact in contacts for alert in engine.step([contact])]


# -- one alert an edge


def test_an_alert_says_which_rule_and_track_when_and_how_bad() -> None:
    engine = GuardEngine([rule(severity=Severity.CRITICAL, fsm_event=Code.RADAR_ALERT_FOE_APPROACH)])
    assert engine.step([at(5 * S, 49.96, 7, radial_velocity_m_s=-3.0)]) == (
        GuardAlert("NEAR", 7, Code.RADAR_ALERT_FOE_APPROACH, Severity.CRITICAL, Trigger.PRESENT, 5 * S,
                   "Near: track 7 at 50.0 m, closing 3.0 m/s"),
    )


def test_what_goes_on_is_told_once_however_long() -> None:
    engine = GuardEngine([rule(cooldown_s=1.0)])
    assert times(engine, *(at(n * S) for n in range(400))) == [0]


def test_each_track_and_each_rule_has_an_edge_of_its_own_in_order_of_time_track_and_rule() -> None:
    engine = GuardEngine([rule(id="A"), rule(id="B", max_range_m=60.0)])
    alerts = engine.step([at(3, track_id=2), at(3, 65.0, track_id=1), at(2, track_id=9)])
    assert [(a.event_ns, a.track_id, a.rule_id) for a in alerts] == [
        (2, 9, "A"), (2, 9, "B"), (3, 1, "A"), (3, 2, "A"), (3, 2, "B"),
    ]


@pytest.mark.parametrize(("status", "counts"), [
    (TrackStatus.TENTATIVE, False), (TRACKED, True), (COASTING, True), (TrackStatus.LOST, False),
])
def test_only_tracked_and_coasting_contacts_count(status, counts) -> None:
    engine = GuardEngine([rule()])
    assert len(engine.step([at(0, status=status)])) == counts
    assert engine.metrics().tracks == counts


def test_while_active_the_range_is_wider_at_both_ends() -> None:
    engine = GuardEngine([rule(min_range_m=10.0, hysteresis_m=5.0, cooldown_s=0.0)])
    edges = (75.0, 70.0, 75.0, 5.0, 75.1, 75.0, 70.0, 4.9, 5.0, 10.0)
    # Told at 70 m; 75.1 and 4.9 m end it, and to be told again it takes the narrow range.
    assert times(engine, *(at(n, r) for n, r in enumerate(edges))) == [1, 6, 9]


# -- durations and rows


def test_a_duration_is_over_at_its_very_end() -> None:
    engine = GuardEngine([rule(min_duration_s=1.0)])
    assert times(engine, at(0), at(S - 1)) == []
    assert times(engine, at(S)) == [S]


def test_a_contact_that_leaves_begins_its_duration_anew() -> None:
    engine = GuardEngine([rule(min_duration_s=1.0)])
    assert times(engine, at(0), at(S // 2, 71.0), at(S), at(2 * S - 1), at(2 * S)) == [2 * S]


def test_before_a_rule_is_active_its_range_is_not_widened() -> None:
    engine = GuardEngine([rule(min_duration_s=1.0, hysteresis_m=5.0)])
    assert times(engine, at(0), at(S, 71.0), at(2 * S)) == []


def test_frames_are_counted_in_a_row() -> None:
    engine = GuardEngine([rule(min_frames=3)])
    assert times(engine, at(0), at(1), at(2, 71.0), at(3), at(4), at(5), at(6)) == [5]


def test_duration_and_frames_are_both_needed() -> None:
    engine = GuardEngine([rule(min_frames=3, min_duration_s=1.0)])
    assert times(engine, at(0), at(S)) == []
    assert times(engine, at(S + 1)) == [S + 1]


def test_a_row_lasts_over_2_s_without_a_contact_and_no_longer() -> None:
    for gap_ns, told in ((2 * S, True), (2 * S + 1, False)):
        engine = GuardEngine([rule(min_frames=2)])
        assert bool(times(engine, at(0), at(gap_ns))) is told
        assert times(engine, at(gap_ns + 1)) == ([] if told else [gap_ns + 1])


def test_after_a_gap_it_is_told_again_when_the_mute_is_over() -> None:
    for gap_ns, told in ((2 * S, []), (2 * S + 1, [2 * S + 1])):
        assert times(GuardEngine([rule(cooldown_s=0.0)]), at(0), at(gap_ns)) == [0, *told]
    engine = GuardEngine([rule(cooldown_s=60.0)])
    # Perception was started anew, and number 1 is somebody else.
    assert times(engine, at(0), *(at(n * S) for n in range(10, 70))) == [0, 60 * S]


def test_after_a_gap_it_has_to_come_within_the_narrow_range_and_in_a_row() -> None:
    engine = GuardEngine([rule(cooldown_s=0.0, hysteresis_m=5.0, min_frames=2)])
    assert times(engine, at(0), at(1), at(2, 72.0)) == [1]
    assert engine.metrics().active[Severity.WARNING] == 1
    assert times(engine, at(9 * S, 72.0)) == []
    assert engine.metrics().active[Severity.WARNING] == 0
    assert times(engine, at(9 * S + 1), at(9 * S + 2)) == [9 * S + 2]


@pytest.mark.parametrize("missing", [None, nan])
def test_after_a_gap_what_is_missing_does_not_carry_on_what_was_active(missing) -> None:
    engine = GuardEngine([rule(cooldown_s=0.0)])
    engine.step([at(0)])
    engine.step([at(9 * S, missing)])
    assert engine.metrics().active[Severity.WARNING] == 0


# -- what is missing


@pytest.mark.parametrize("missing", [None, nan, inf])
def test_a_missing_value_ends_nothing_that_is_active(missing) -> None:
    engine = GuardEngine([rule(cooldown_s=0.0)])
    assert times(engine, at(0), at(1, missing), at(2), at(3, 71.0), at(4)) == [0, 4]
    assert engine.metrics().undecided == 1


def test_a_missing_value_breaks_a_row_that_is_not_complete() -> None:
    engine = GuardEngine([rule(min_frames=2)])
    assert times(engine, at(0), at(1, None), at(2), at(3)) == [3]


def test_a_missing_value_alone_is_no_alert_and_counted_by_rule() -> None:
    engine = GuardEngine([rule(id="A"), rule(id="B")])
    assert engine.step([at(0, None)]) == ()
    assert engine.metrics().undecided == 2


# -- anti-flap


def test_coming_back_is_muted_until_the_cooldown_is_over_to_the_nanosecond() -> None:
    engine = GuardEngine([rule(cooldown_s=5.0)])
    assert times(engine, at(0), at(1, 71.0), at(2), at(3, 71.0), at(5 * S - 1)) == [0]
    assert times(engine, at(5 * S)) == [5 * S]


def test_who_stays_through_the_mute_is_told_when_it_is_over() -> None:
    engine = GuardEngine([rule(cooldown_s=5.0)])
    assert times(engine, at(0), at(1, 71.0), *(at(n * S) for n in range(1, 20))) == [0, 5 * S]


def test_the_mute_counts_from_the_last_alert_not_from_the_last_visit() -> None:
    engine = GuardEngine([rule(cooldown_s=5.0)])
    flaps = [at(n * S, 71.0 if n % 2 else 50.0) for n in range(20)]
    assert times(engine, *flaps) == [0, 6 * S, 12 * S, 18 * S]


def test_the_mute_is_that_of_one_rule_and_track() -> None:
    engine = GuardEngine([rule(cooldown_s=300.0)])
    assert times(engine, at(0), at(1, track_id=2), at(2, 71.0), at(3)) == [0, 1]


def test_the_cooldown_without_a_word_is_2_s() -> None:
    engine = GuardEngine([rule()])
    assert times(engine, at(0), at(1, 71.0), at(2 * S - 1), at(2 * S)) == [0, 2 * S]


def test_arrival_does_not_count_only_event_time() -> None:
    # The same contacts, once each in a frame when it happens and once all in one frame a minute later.
    contacts = [at(n * 100 * MS, 71.0 if n % 3 == 2 else 50.0) for n in range(100)]
    live, late = GuardEngine([rule(cooldown_s=1.0)]), GuardEngine([rule(cooldown_s=1.0)])
    told = [alert for contact in contacts for alert in live.step([contact])]
    assert list(late.step(reversed(contacts))) == told
    assert len(told) == 10


# -- out of order


def test_a_late_contact_of_the_same_track_is_left_out_and_counted() -> None:
    engine = GuardEngine([rule(cooldown_s=0.0)])
    engine.step([at(10 * S, 71.0)])
    assert times(engine, at(10 * S), at(10 * S - 1), at(8 * S)) == []
    assert (engine.metrics().late, engine.metrics().clock_steps) == (3, 0)
    assert times(engine, at(8 * S - 1)) == [8 * S - 1]
    assert (engine.metrics().late, engine.metrics().clock_steps) == (3, 1)


def test_of_two_contacts_of_one_track_and_time_the_first_counts() -> None:
    engine = GuardEngine([rule()])
    assert engine.step([at(0, 71.0), at(0, 50.0)]) == ()
    assert engine.metrics().late == 1


def test_a_late_contact_of_another_track_counts() -> None:
    engine = GuardEngine([rule()])
    assert times(engine, at(10 * S), at(9 * S, track_id=2)) == [10 * S, 9 * S]


def test_a_clock_set_back_breaks_rows() -> None:
    engine = GuardEngine([rule(min_frames=2)])
    assert times(engine, at(10 * S), at(S), at(S + 1)) == [S + 1]


def test_a_clock_set_back_ends_what_goes_on_as_a_gap_does() -> None:
    engine = GuardEngine([rule(cooldown_s=5.0)])
    assert times(engine, at(1000 * S), at(997 * S), at(998 * S)) == [1000 * S]
    assert times(engine, at(900 * S), at(901 * S)) == [900 * S]


def test_a_clock_set_back_does_not_end_the_mute_before_or_after_the_alert() -> None:
    engine = GuardEngine([rule(cooldown_s=60.0)])
    away, there = 71.0, 50.0
    assert times(engine, at(100 * S), at(101 * S, away), at(41 * S, there)) == [100 * S]
    assert times(engine, at(42 * S, away), at(39 * S, away), at(40 * S, there)) == [40 * S]


def test_a_stray_time_far_ahead_does_not_make_the_others_forgotten() -> None:
    engine = GuardEngine([rule(cooldown_s=60.0)])
    engine.step([at(0), at(0, 71.0, track_id=2)])
    engine.step([at(10**6 * S, 71.0, track_id=2)])
    assert times(engine, at(1, 71.0), at(S)) == []


# -- lost


def test_what_is_not_measured_for_its_time_is_lost_and_told_once() -> None:
    engine = GuardEngine([lost(fsm_event=Code.RADAR_SIGNAL_LOSS)])
    engine.step([at(0, 42.0, 3)])
    assert engine.step([], 2 * S - 1) == ()
    assert engine.step([], 2 * S) == ()  # the frame of this time may not be complete yet
    assert engine.step([], 2 * S + 100 * MS) == (
        GuardAlert("GONE", 3, Code.RADAR_SIGNAL_LOSS, Severity.WARNING, Trigger.LOST, 2 * S,
                   "Gone: track 3 last measured 2.0 s ago at 42.0 m"),
    )
    assert [engine.step([], n * S) for n in range(3, 300)] == [()] * 297


def test_a_loss_is_not_looked_for_more_often_than_every_tenth_of_a_second() -> None:
    engine = GuardEngine([lost()])
    engine.step([at(0)])
    for t_ns in (2 * S - 1, 2 * S, 2 * S + 99 * MS, 2 * S + 100 * MS - 1):
        assert engine.step([], t_ns) == ()
    assert [alert.event_ns for alert in engine.step([], 2 * S + 100 * MS)] == [2 * S + 100 * MS - 1]


def test_a_coasting_contact_is_not_measured() -> None:
    engine = GuardEngine([lost()])
    found = times(engine, at(0), *(at(n * 500 * MS, status=COASTING) for n in range(1, 8)))
    assert found == [2 * S]


def test_what_was_only_foreseen_is_not_lost() -> None:
    engine = GuardEngine([lost()])
    assert times(engine, at(0, status=COASTING), at(1, 50.0, 2, COASTING), at(9 * S, 71.0, 2)) == []


def test_what_was_last_measured_elsewhere_is_not_lost() -> None:
    engine = GuardEngine([lost()])
    engine.step([at(0)])
    engine.step([at(S, 71.0)])
    assert [engine.step([], n * S) for n in range(2, 20)] == [()] * 18


def test_measured_without_a_range_is_measured_but_does_not_begin_a_loss() -> None:
    engine = GuardEngine([lost()])
    assert times(engine, at(0, 42.0), at(S, None), at(2 * S, None), at(3 * S, None)) == []
    engine.step([], 5 * S)
    assert [alert.text for alert in engine.step([], 6 * S)] == ["Gone: track 1 last measured 2.0 s ago at 42.0 m"]
    never = GuardEngine([lost()])
    never.step([at(0, None)])
    assert [never.step([], n * S) for n in range(1, 9)] == [()] * 8
    assert never.metrics().undecided == 1


def test_measured_elsewhere_and_then_without_a_range_is_not_lost() -> None:
    engine = GuardEngine([lost()])
    assert times(engine, at(0), at(S, 71.0), at(2 * S, None)) == []
    assert [engine.step([], n * S) for n in range(3, 12)] == [()] * 9


def test_a_loss_that_is_not_due_yet_does_not_hide_another() -> None:
    engine = GuardEngine([lost(id="SLOW", min_duration_s=9.0), lost(id="FAST")])
    engine.step([at(0)])
    engine.step([], 2 * S)
    assert [alert.rule_id for alert in engine.step([], 3 * S)] == ["FAST"]


def test_a_range_of_nothing_is_a_range() -> None:
    engine = GuardEngine([lost()])
    engine.step([at(0, 0.0)])
    engine.step([], 2 * S)
    assert [alert.text for alert in engine.step([], 3 * S)] == ["Gone: track 1 last measured 2.0 s ago at 0.0 m"]


def test_a_second_loss_is_muted_until_the_cooldown_is_over() -> None:
    engine = GuardEngine([lost()])
    engine.step([at(0)])
    found = []
    for tick in range(1, 200):
        t_ns = tick * 100 * MS
        found += engine.step([at(t_ns)] if t_ns in (3 * S, 5 * S) else [], t_ns)
    assert [alert.event_ns for alert in found] == [2 * S, 12 * S]
    assert found[1].text == "Gone: track 1 last measured 7.0 s ago at 50.0 m"


def test_a_loss_that_perception_slept_through_is_told_and_then_remembered_for_300_s() -> None:
    engine = GuardEngine([lost()])
    engine.step([at(0)])
    engine.step([], 400 * S)
    assert [alert.event_ns for alert in engine.step([], 401 * S)] == [400 * S]
    engine.step([at(402 * S)])
    for t_ns in (403 * S, 404 * S, 405 * S, 410 * S - 1):
        assert engine.step([], t_ns) == ()
    engine.step([], 410 * S)
    assert [alert.event_ns for alert in engine.step([], 411 * S)] == [410 * S]


def test_a_track_of_a_loss_is_kept_for_the_mute_of_its_alert() -> None:
    engine = GuardEngine([lost(cooldown_s=60.0)])
    engine.step([at(0)])
    engine.step([], 299 * S)
    assert [alert.event_ns for alert in engine.step([], 299 * S + 200 * MS)] == [299 * S]
    for t_ns in (301 * S, 302 * S):
        engine.step([], t_ns)
    engine.step([at(303 * S)])
    engine.step([], 306 * S)
    assert engine.step([], 307 * S) == ()


def test_a_contact_that_comes_back_is_not_lost_any_more() -> None:
    engine = GuardEngine([lost()])
    engine.step([at(0)])
    engine.step([], 2 * S)
    engine.step([], 3 * S)
    assert engine.metrics().active[Severity.WARNING] == 1
    engine.step([at(4 * S)])
    assert engine.metrics().active[Severity.WARNING] == 0


# -- forgotten, and bounds


def test_a_track_is_forgotten_after_300_s_and_not_at_300_s() -> None:
    for gap_ns, kept in ((300 * S, True), (300 * S + 1, False)):
        engine = GuardEngine([lost()])
        engine.step([at(0)])
        # Measured somewhere: of a known one the loss is waited for anew.
        engine.step([at(gap_ns, None)])
        engine.step([], gap_ns + 2 * S)
        assert bool(engine.step([], gap_ns + 3 * S)) is kept


def test_time_alone_forgets_a_track() -> None:
    for end_ns, active in ((300 * S, 1), (300 * S + 1, 0)):
        engine = GuardEngine([rule()])
        engine.step([at(0)])
        engine.step([], end_ns)
        assert engine.metrics().active[Severity.WARNING] == 1
        engine.step([], end_ns + S)
        assert engine.metrics().active[Severity.WARNING] == active


def test_a_frame_whose_time_went_back_a_little_changes_nothing_and_further_back_is_the_new_time() -> None:
    engine = GuardEngine([lost()])
    engine.step([at(10 * S)])
    engine.step([], 12 * S)
    engine.step([], 10 * S)
    assert len(engine.step([], 12 * S + 100 * MS)) == 1
    engine = GuardEngine([lost()])
    engine.step([at(10 * S)])
    engine.step([], 12 * S)
    engine.step([], 10 * S - 1)
    assert engine.step([], 12 * S + 100 * MS) == ()


def full(*, severity: Severity = Severity.WARNING, t_ns: int = 0) -> GuardEngine:
    """An engine that remembers as many tracks as it may, all near."""
    engine = GuardEngine([rule(id="NEAR", severity=severity), rule(id="ALL", severity=Severity.CRITICAL,
                                                                  max_range_m=20.0)])
    engine.step([at(t_ns + n, 50.0, n) for n in range(MAX_TRACKS)])
    assert engine.metrics().overflow == 0
    return engine


def test_256_tracks_are_remembered() -> None:
    assert MAX_TRACKS == 256
    assert full().metrics().active[Severity.WARNING] == 256


def test_one_as_severe_as_those_that_are_still_seen_is_not_remembered_and_not_told() -> None:
    engine = full()
    assert engine.step([at(2 * S, 50.0, 999)]) == ()
    assert engine.metrics().overflow == 1
    assert engine.metrics().total_by_rule == {"NEAR": 256, "ALL": 0}


@pytest.mark.parametrize("severity", list(Severity))
def test_it_takes_the_place_of_the_one_unseen_for_longest_once_that_is_not_seen_any_more(severity) -> None:
    engine = full(severity=severity)
    assert len(engine.step([at(2 * S + 1, 50.0, 999)])) == 1
    assert engine.metrics().active[severity] == 256
    assert engine.metrics().overflow == 1
    # Track 0 gave way; track 1 did not, and goes on without a second alert.
    assert times(engine, at(2 * S + 1, 50.0, 1)) == []
    assert times(engine, at(5 * S, 50.0, 0)) == [5 * S]


def test_the_most_severe_finds_room_at_once() -> None:
    engine = full()
    assert [alert.rule_id for alert in engine.step([at(300, 10.0, 999)])] == ["NEAR", "ALL"]
    assert (engine.metrics().active[Severity.CRITICAL], engine.metrics().active[Severity.WARNING]) == (1, 256)


def test_the_less_severe_never_takes_the_place_of_the_more_severe() -> None:
    engine = full(severity=Severity.CRITICAL)
    weak = GuardEngine([rule(id="NEAR", severity=Severity.CRITICAL), rule(id="FAR", max_range_m=200.0)])
    weak.step([at(n, 50.0, n) for n in range(MAX_TRACKS)])
    assert weak.step([at(100 * S, 100.0, 999)]) == ()
    assert weak.metrics().overflow == 1
    assert len(engine.step([at(100 * S, 50.0, 999)])) == 1


@pytest.mark.parametrize("severity", [Severity.INFO, Severity.WARNING])
def test_one_that_no_rule_is_about_takes_no_place(severity) -> None:
    engine = full(severity=severity)
    assert engine.step([at(100 * S, 500.0, 999)]) == ()
    assert engine.metrics().overflow == 1
    assert engine.metrics().active[severity] == 256
    # It is not remembered either: the same contact again is not late.
    assert engine.step([at(100 * S, 500.0, 999)]) == ()
    assert (engine.metrics().overflow, engine.metrics().late) == (2, 0)
    # Those that were remembered still are.
    assert times(engine, at(0, 50.0, 0)) == []
    assert engine.metrics().late == 1


def test_one_that_no_rule_is_about_gives_way_first_and_is_let_go_when_its_mute_is_over() -> None:
    engine = full()
    engine.step([at(S, 71.0, 7)])
    # Its alert is a second old and mutes for two: something is still remembered of it.
    assert engine.step([at(S + 1, 50.0, 998)]) == ()
    engine.step([at(2 * S + 7, 71.0, 7)])
    assert len(engine.step([at(2 * S + 8, 50.0, 999)])) == 1


def test_a_known_track_needs_no_new_room() -> None:
    engine = full()
    engine.step([at(400 * S, 50.0, 3)])
    assert engine.metrics().overflow == 0


# -- figures


def test_figures_are_by_rule_and_by_severity() -> None:
    engine = GuardEngine([
        rule(id="A", severity=Severity.INFO), rule(id="B", max_range_m=60.0),
        rule(id="C", severity=Severity.CRITICAL, max_range_m=60.0), rule(id="D", max_range_m=10.0),
    ])
    engine.step([at(0, 50.0, 1, quality=0.5), at(0, 65.0, 2, quality=1.0), at(0, 65.0, 3)])
    figures = engine.metrics()
    assert figures.total_by_rule == {"A": 3, "B": 1, "C": 1, "D": 0}
    assert figures.total_by_severity == {Severity.INFO: 3, Severity.WARNING: 1, Severity.CRITICAL: 1}
    assert figures.active == {Severity.INFO: 3, Severity.WARNING: 1, Severity.CRITICAL: 1}
    assert (figures.tracks, figures.mean_quality) == (3, 0.75)
    assert (figures.late, figures.clock_steps, figures.undecided, figures.overflow) == (0, 0, 0, 0)


def test_totals_stay_and_what_is_active_goes() -> None:
    engine = GuardEngine([rule()])
    engine.step([at(0)])
    engine.step([at(1, 71.0)])
    assert engine.metrics().active[Severity.WARNING] == 0
    assert engine.metrics().total_by_severity[Severity.WARNING] == 1


def test_a_reset_begins_totals_at_nothing_and_forgets_nothing() -> None:
    engine = GuardEngine([rule(cooldown_s=60.0)])
    engine.step([at(10 * S), at(10 * S), at(10 * S, None, 2)])
    engine.step([at(0, 50.0)])
    engine.step([at(n, 500.0, n) for n in range(10, 11 + MAX_TRACKS)])
    before = engine.metrics()
    assert (before.late, before.clock_steps, before.undecided) == (1, 1, 1)
    assert before.overflow > 0
    engine.reset_totals()
    after = engine.metrics()
    assert after.total_by_rule == {"NEAR": 0}
    assert after.total_by_severity == dict.fromkeys(Severity, 0)
    assert (after.late, after.clock_steps, after.undecided, after.overflow) == (0, 0, 0, 0)
    assert after.active[Severity.WARNING] == 1
    assert times(engine, at(S), at(2 * S)) == []


def test_quality_is_that_of_the_last_frame_and_missing_is_not_counted_as_nothing() -> None:
    engine = GuardEngine([rule()])
    assert (engine.metrics().tracks, engine.metrics().mean_quality) == (0, None)
    engine.step([at(0, quality=0.2), at(0, track_id=2, quality=nan), at(0, track_id=3, quality=0.4)])
    assert engine.metrics().mean_quality == pytest.approx(0.3)
    engine.step([at(1, quality=None)])
    assert (engine.metrics().tracks, engine.metrics().mean_quality) == (1, None)
    engine.step([])
    assert (engine.metrics().tracks, engine.metrics().mean_quality) == (0, None)


def test_a_track_of_several_frames_in_one_call_is_one_track_with_its_last_quality() -> None:
    engine = GuardEngine([rule()])
    engine.step([at(1, quality=0.9), at(0, quality=0.1)])
    assert (engine.metrics().tracks, engine.metrics().mean_quality) == (1, 0.9)


# -- the brake


@pytest.mark.parametrize("brake", [0.0, -1.0, inf, nan])
def test_a_brake_that_does_not_brake_is_refused(brake) -> None:
    with pytest.raises(ValueError, match=r"brake_m_s2 is .*; above 0 is allowed"):
        GuardEngine([rule()], brake)


@pytest.mark.parametrize(("brake", "told"), [(None, 0), (1.44, 0), (0.5, 1)])
def test_what_the_craft_brakes_with_decides_about_a_threat(brake, told) -> None:
    engine = GuardEngine([rule(trigger=Trigger.THREAT)], brake)
    # 10 s away; braking takes 1.2 * 5 / 1.44 + 0.5 = 4.7 s, or 12.5 s.
    assert len(engine.step([at(0, 50.0, radial_velocity_m_s=-5.0)])) == told


def test_a_brake_that_has_become_weaker_counts_from_the_next_contact_on() -> None:
    engine = GuardEngine([rule(trigger=Trigger.THREAT)], 1.44)
    coming = (at(n, 50.0, radial_velocity_m_s=-5.0) for n in range(3))
    assert times(engine, next(coming)) == []
    with pytest.raises(ValueError, match="above 0 is allowed"):
        engine.set_brake(0.0)
    assert times(engine, next(coming)) == []
    engine.set_brake(0.5)
    assert times(engine, next(coming)) == [2]


@pytest.mark.parametrize(("advised", "told"), [
    ((0.0, 1.5, 0.0), (0.0, 1.5, 0.0)), (None, None), ((0.0, nan, 0.0), None), ((9.0, 0.0, 0.0), None),
])
def test_an_alert_carries_the_evasion_that_its_contact_advises_if_it_can_be_flown(advised, told) -> None:
    engine = GuardEngine([rule(trigger=Trigger.THREAT)], 1.44)
    alerts = engine.step([at(0, 20.0, radial_velocity_m_s=-5.0, evade_m_s=advised)])
    assert [alert.evade_m_s for alert in alerts] == [told]


SIDE = (0.0, 1.5, 0.0)


def threat(**keys: object) -> GuardRule:
    return rule(**{"trigger": Trigger.THREAT, "cooldown_s": 5.0, **keys})


def coming(t_ns: int, advised: object = None, range_m: float = 20.0) -> Contact:
    return at(t_ns, range_m, radial_velocity_m_s=-5.0, evade_m_s=advised)


def test_a_threat_that_goes_on_is_told_again_after_each_cooldown_while_something_is_advised() -> None:
    engine = GuardEngine([threat()], 1.44)
    frames = [coming(n * 100 * MS, SIDE) for n in range(125)]
    assert times(engine, *frames) == [0, 5 * S, 10 * S]


def test_a_threat_that_goes_on_without_advice_is_told_once() -> None:
    engine = GuardEngine([threat()], 1.44)
    assert times(engine, *(coming(n * 100 * MS, (9.0, 0.0, 0.0)) for n in range(125))) == [0]


def test_advice_that_comes_after_the_alert_is_told_at_once_and_one_time() -> None:
    engine = GuardEngine([threat()], 1.44)
    frames = [coming(n * 100 * MS, None if n < 3 else SIDE) for n in range(120)]
    alerts = [alert for frame in frames for alert in engine.step([frame])]
    assert [(alert.event_ns, alert.evade_m_s) for alert in alerts] == [
        (0, None), (300 * MS, SIDE), (300 * MS + 5 * S, SIDE), (300 * MS + 10 * S, SIDE),
    ]


def test_advice_that_comes_and_goes_is_told_no_oftener_than_the_cooldown_allows() -> None:
    engine = GuardEngine([threat()], 1.44)
    assert times(engine, *(coming(n * 100 * MS, SIDE if n % 2 else None) for n in range(120))) == [
        0, 100 * MS, 5100 * MS, 10_100 * MS,
    ]


def test_a_threat_that_comes_and_goes_is_told_twice_a_cooldown_at_most() -> None:
    engine = GuardEngine([threat()], 1.44)
    frames = [coming(n * 100 * MS, SIDE if n % 4 > 1 else None, 90.0 if n % 4 == 1 else 20.0) for n in range(110)]
    # Told without advice it still is told at once with the first, in the next stay too.
    assert times(engine, *frames) == [n * 100 * MS for n in (0, 2, 52, 54, 104, 106)]


@pytest.mark.parametrize("trigger", [Trigger.THREAT, Trigger.PRESENT])
def test_advice_makes_no_alert_of_a_rule_that_waits_for_no_threat(trigger) -> None:
    engine = GuardEngine([rule(trigger=trigger, cooldown_s=1.0)], 1.44)
    told = times(engine, *(coming(n * 100 * MS, SIDE if n else None) for n in range(40)))
    assert told == {Trigger.THREAT: [0, 100 * MS, 2100 * MS], Trigger.PRESENT: [0]}[trigger]


def test_without_a_cooldown_a_threat_that_goes_on_is_told_every_2_s() -> None:
    engine = GuardEngine([threat(cooldown_s=0.0)], 1.44)
    assert times(engine, *(coming(n * 100 * MS, SIDE) for n in range(45))) == [0, 2 * S, 4 * S]
    # Its next stay is told at once all the same.
    assert times(engine, coming(4500 * MS, SIDE, 90.0), coming(4600 * MS, SIDE)) == [4600 * MS]


def test_a_threat_that_passes_by_is_told_when_it_no_longer_does() -> None:
    engine = GuardEngine([rule(trigger=Trigger.THREAT, spare_passing=True, min_frames=2, cooldown_s=0.0)], 1.44)
    courses = (False, False, True, True, True, False, True, None)
    seen = [at(n * 100 * MS, 20.0, radial_velocity_m_s=-5.0, collision_course=c) for n, c in enumerate(courses)]
    assert times(engine, *seen) == [300 * MS, 700 * MS]


# -- the rules that ship


@pytest.mark.parametrize(("course", "told"), [(True, ["COLLISION_THREAT"]), (None, ["COLLISION_THREAT"]), (False, [])])
def test_the_rules_that_ship_spare_what_passes_by(course, told) -> None:
    engine = GuardEngine(load_guard_rules().rules, 1.44)
    seen = [at(n * 100 * MS, 80.0 - n, radial_velocity_m_s=-10.0, quality=0.8, collision_course=course)
            for n in range(5)]
    assert [alert.rule_id for alert in engine.step(seen)] == told


def test_the_rules_that_ship_over_one_meeting() -> None:
    engine = GuardEngine(load_guard_rules().rules, 1.44)
    told = []
    for tick in range(150):
        t_ns, range_m = tick * 125 * MS, 200.0 - 1.25 * tick
        seen = [at(t_ns, range_m, 4, radial_velocity_m_s=-10.0, quality=0.8, iff=Iff.UNKNOWN)] if tick < 120 else []
        told += [(alert.event_ns / S, alert.rule_id) for alert in engine.step(seen, t_ns)]
    # Braking takes 1.2 * 10 / 1.44 + 0.5 = 8.8 s: nearer than 88 m from 11.25 s on, three frames. 70 m at 13 s. Last
    # measured at 14.875 s.
    assert told == [
        (11.5, "COLLISION_THREAT"), (13.0, "UNKNOWN_CONTACT_CLOSE"), (16.875, "RADAR_SIGNAL_LOSS"),
    ]


# -- properties

RULES = [
    rule(id="A", cooldown_s=5.0), rule(id="B", cooldown_s=60.0, min_duration_s=1.0, hysteresis_m=5.0),
    rule(id="C", cooldown_s=300.0, min_frames=2), rule(id="D", cooldown_s=0.0), lost(id="E"),
    lost(id="F", min_duration_s=0.5, cooldown_s=30.0),
]
COOLDOWN_NS = {rule.id: round(rule.cooldown_s * S) for rule in RULES}
CONTACTS = st.builds(
    at, st.integers(0, 3000).map(lambda tick: tick * 100 * MS), st.sampled_from([50.0, 69.0, 72.0, 90.0, None]),
    st.integers(1, 3), st.sampled_from([TRACKED, TRACKED, COASTING, TrackStatus.LOST]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(CONTACTS, st.integers(0, 3000)), max_size=80))
def test_no_flap_is_faster_than_its_rule_allows_whatever_the_order_of_contacts(events) -> None:
    # All within the 300 s for which a track is remembered. A number is a frame without contacts, in tenths of a second.
    engine = GuardEngine(RULES)
    told = defaultdict(list)
    for event in events:
        frame = ([], event * 100 * MS) if isinstance(event, int) else ([event], None)
        for alert in engine.step(*frame):
            told[alert.rule_id, alert.track_id].append(alert.event_ns)
    for (rule_id, _), alerts in told.items():
        for before, after in pairwise(alerts):
            assert abs(after - before) >= COOLDOWN_NS[rule_id]
    totals = engine.metrics().total_by_rule
    assert totals == {r.id: sum(len(v) for (i, _), v in told.items() if i == r.id) for r in RULES}


@settings(max_examples=200, deadline=None)
@given(st.lists(CONTACTS, max_size=60), st.lists(st.integers(0, 60), max_size=10))
def test_however_contacts_are_cut_into_frames_the_alerts_are_the_same(contacts, cuts) -> None:
    contacts = sorted(contacts, key=lambda contact: (contact.event_ns, contact.track_id))
    whole = GuardEngine(RULES).step(contacts)
    engine, pieces = GuardEngine(RULES), []
    edges = [0, *sorted(min(cut, len(contacts)) for cut in cuts), len(contacts)]
    for start, end in pairwise(edges):
        pieces += engine.step(contacts[start:end])
    assert tuple(pieces) == whole


@settings(max_examples=100, deadline=None)
@given(st.lists(st.booleans(), max_size=120), st.floats(0.0, 20.0))
def test_in_order_alerts_are_those_of_a_model_of_one_line(inside, cooldown_s) -> None:
    engine = GuardEngine([rule(cooldown_s=cooldown_s)])
    found = times(engine, *(at(n * S, 50.0 if near else 90.0) for n, near in enumerate(inside)))
    expected, told = [], False
    for n, near in enumerate(inside):
        told = told and near
        if near and not told and (not expected or n * S - expected[-1] >= round(cooldown_s * S)):
            expected.append(n * S)
            told = True
    assert found == expected


def test_every_clock_that_goes_back_is_counted() -> None:
    engine = GuardEngine([rule()])
    times(engine, at(30 * S), at(20 * S), at(10 * S))
    assert (engine.metrics().late, engine.metrics().clock_steps) == (0, 2)


@pytest.mark.parametrize("inside_m", [75.0, 5.0])
def test_what_leaves_the_narrow_range_but_not_the_wide_one_goes_on_and_is_not_told_again(inside_m: float) -> None:
    engine = GuardEngine([rule(min_range_m=10.0, hysteresis_m=5.0, cooldown_s=0.0)])
    assert times(engine, at(0, 50.0), at(1, inside_m)) == [0]
    assert engine.metrics().active[Severity.WARNING] == 1
    assert times(engine, at(2, 50.0)) == []


def test_no_room_is_made_late_in_a_flight_either_while_all_are_still_seen() -> None:
    engine = full(t_ns=100 * S)
    assert engine.step([at(102 * S, 50.0, 999)]) == ()
    assert len(engine.step([at(102 * S + 1, 50.0, 999)])) == 1


def test_the_grid_of_time_is_exact_however_late_it_is() -> None:
    late_ns = 1_700_000_000 * S
    engine = GuardEngine([lost()])
    engine.step([at(late_ns - 2 * S - 1)])
    engine.step([], late_ns - 1)
    assert [alert.event_ns for alert in engine.step([], late_ns)] == [late_ns - 1]
