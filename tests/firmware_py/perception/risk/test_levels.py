"""Levels: what a frame asks for, and confirmation, hysteresis, resolving, loss, pause and mute in time."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from firmware_py.perception.risk.config import LevelRules, RiskConfig, check_risk
from firmware_py.perception.risk.levels import Asked, Level, LevelBook, asked_levels

S = 1_000_000_000
RULES = LevelRules()
OK, WARN, CRIT = (np.int8(level) for level in Level)


@pytest.mark.parametrize(("range_m", "closing", "brake", "level"), [
    (100.0, 4.99, 0.0, OK), (100.0, 5.01, 0.0, WARN), (1000.0, 5.01, 0.0, WARN), (1000.0, -9.0, 0.0, OK),
    (39.0, 2.0, 0.0, WARN), (41.0, 2.0, 0.0, OK), (15.9, 2.0, 0.0, CRIT), (16.1, 2.0, 0.0, WARN),
    (149.0, 20.0, 0.0, CRIT), (151.0, 20.0, 0.0, WARN),
    # A stop takes 1.2 * 20 / 1.44 + 0.5 = 17.2 s.
    (340.0, 20.0, 1.44, CRIT), (346.0, 20.0, 1.44, WARN), (5.0, 0.0, 1.44, OK), (0.0, 0.1, 0.0, CRIT),
])
def test_levels_of_one_frame(range_m: float, closing: float, brake: float, level: np.int8) -> None:
    asked = asked_levels(RULES, np.array([range_m]), np.array([-closing]), np.array([False]), brake)
    assert asked.rise[0] == level


def test_what_is_missing_asks_for_nothing_and_ends_nothing() -> None:
    missing = np.array([np.nan, 10.0, np.inf])
    asked = asked_levels(RULES, missing, np.array([-5.0, np.nan, -5.0]), np.zeros(3, bool), 1.44)
    assert asked.rise.tolist() == [OK] * 3
    assert asked.hold.tolist() == [CRIT] * 3


class Watch:
    """A book and its history; ten frames a second."""

    def __init__(self, **changes) -> None:
        self.book = LevelBook(msgspec.structs.replace(RULES, **changes))
        self.t_ns = 0
        self.events: list[tuple[float, int, int]] = []

    def frame(self, level: int | None, *, hold: int | None = None, near: bool = False, course: bool = False,
              track: int = 7, dt_s: float = 0.1) -> int:
        """One frame with one track, or with none."""
        self.t_ns += round(dt_s * S)
        ids = np.array([] if level is None else [track], np.int64)
        rows = [level or 0] * len(ids)
        asked = Asked(np.array(rows, np.int8), np.array([hold if hold is not None else level or 0] * len(ids), np.int8),
                      np.full(len(ids), near))
        levels, self.course, events = self.book.step(self.t_ns, ids, asked, np.full(len(ids), course))
        self.events += [(event.t_ns / S, event.track_id, int(event.level)) for event in events]
        return int(levels[0]) if len(levels) else -1

    def frames(self, count: int, level: int | None, **keys) -> list[int]:
        return [self.frame(level, **keys) for _ in range(count)]


def test_a_level_rises_with_three_of_four_frames() -> None:
    assert Watch().frames(4, 2) == [0, 0, 2, 2]
    watch = Watch()
    assert [watch.frame(level) for level in (2, 0, 2, 2)] == [0, 0, 0, 2]
    watch = Watch()
    assert [watch.frame(level) for level in (2, 2, 0, 0, 2, 2)] == [0] * 6


def test_a_level_falls_two_seconds_after_nothing_asks_for_it_and_warn_goes_before_ok() -> None:
    watch = Watch()
    watch.frames(3, 2)
    history = watch.frames(40, 0)
    assert history[:19] == [2] * 19
    assert history[20:] == [0] * 20
    watch = Watch()
    watch.frames(3, 2)
    assert set(watch.frames(60, 1)[21:]) == {1}


def test_what_stands_is_held_by_the_wider_limits() -> None:
    watch = Watch()
    assert watch.frames(30, 0, hold=2) == [0] * 30
    watch.frames(3, 2)
    assert watch.frames(50, 0, hold=2) == [2] * 50
    wide = asked_levels(RULES, np.array([16.5]), np.array([-2.0]), np.array([False]), 0.0)
    assert (wide.rise[0], wide.hold[0]) == (WARN, CRIT)


def test_what_is_lost_keeps_its_level_for_the_window_and_the_resolving() -> None:
    watch = Watch()
    watch.frames(3, 2)
    for _ in range(39):
        watch.frame(None)
    assert watch.events == [(0.3, 7, 2)]
    watch.frames(2, None)
    assert [event[2] for event in watch.events] == [2, 0]
    assert watch.events[-1][0] == pytest.approx(4.3, abs=0.11)


def test_frames_before_a_gap_confirm_nothing() -> None:
    watch = Watch()
    watch.frames(2, 2)
    assert watch.frame(2, dt_s=2.5) == 0
    assert watch.frames(2, 2) == [0, 2]


def test_an_unknown_contact_that_stays_near_is_a_warning_after_eight_seconds() -> None:
    watch = Watch()
    history = watch.frames(90, 0, near=True)
    assert history.index(1) == 82
    assert Watch().frames(90, 0) == [0] * 90
    watch = Watch()
    watch.frames(70, 0, near=True)
    watch.frame(0)
    assert watch.frames(70, 0, near=True) == [0] * 70


def test_between_two_events_of_a_contact_are_five_seconds_unless_it_is_worse() -> None:
    watch = Watch(resolve_s=0.1)
    watch.frames(3, 1)
    watch.frames(5, 0)
    watch.frames(4, 1)
    assert [event[2] for event in watch.events] == [1, 0]
    assert watch.book.muted == 1
    watch.frames(3, 2)
    assert [event[2] for event in watch.events] == [1, 0, 2]
    watch.frames(60, 0)
    watch.frames(3, 1)
    assert [event[2] for event in watch.events] == [1, 0, 2, 0, 1]


def test_an_acknowledged_contact_is_silent_for_ten_seconds_unless_it_is_worse() -> None:
    watch = Watch(resolve_s=0.1, cooldown_s=0.0)
    assert not watch.book.acknowledge(7, 0)
    watch.frames(3, 1)
    assert watch.book.acknowledge(7, watch.t_ns)
    watch.frames(5, 0)
    watch.frames(4, 1)
    assert [event[2] for event in watch.events] == [1, 0]
    watch.frames(3, 2)
    assert [event[2] for event in watch.events] == [1, 0, 2]
    watch.frames(100, 0)
    watch.frames(3, 1)
    assert watch.events[-1][2] == 1


def test_a_course_is_confirmed_like_a_level() -> None:
    watch = Watch()
    history = []
    for course in (True, False, True, True, False):
        watch.frame(0, course=course)
        history.append(bool(watch.course[0]))
    assert history == [False, False, False, True, True]


def test_late_frames_change_nothing_and_a_clock_set_back_begins_anew() -> None:
    watch = Watch()
    watch.frames(3, 2)
    assert watch.frame(0, dt_s=-0.1) == 2
    assert watch.frame(0, dt_s=0.1) == 2
    assert (watch.book.late, watch.book.clock_steps) == (2, 0)
    watch.t_ns = 10 * S
    watch.frames(3, 2)
    assert watch.frame(0, dt_s=-5.0) == 0
    assert watch.book.clock_steps == 1


def test_memory_is_bounded_and_the_lowest_gives_way() -> None:
    book = LevelBook(msgspec.structs.replace(RULES, capacity=4, confirm_frames=1, of_frames=1))
    high = Asked(np.full(2, 2, np.int8), np.full(2, 2, np.int8), np.zeros(2, bool))
    book.step(S, np.array([1, 2]), high, np.zeros(2, bool))
    low = Asked(np.zeros(9, np.int8), np.zeros(9, np.int8), np.zeros(9, bool))
    book.step(2 * S, np.arange(10, 19), low, np.zeros(9, bool))
    assert (len(book), book.overflow) == (4, 7)
    levels, _, _ = book.step(3 * S, np.array([2, 1]), high, np.zeros(2, bool))
    assert levels.tolist() == [2, 2]
    for second in range(4, 60):
        book.step(second * S, np.empty(0, np.int64), asked_levels(RULES, *np.empty((2, 0)), np.empty(0, bool), 0.0),
                  np.empty(0, bool))
    assert len(book) == 0


@pytest.mark.parametrize("changes", [
    {"levels": LevelRules(confirm_frames=5, of_frames=4)}, {"levels": LevelRules(critical_time_s=30.0)},
    {"doubt_radii": 4.0}, {"cylinder_radius_m": 5.0}, {"cylinder_height_m": 5.0},
])
def test_values_that_contradict_each_other_are_refused(changes) -> None:
    with pytest.raises(ValueError, match=r"allowed|needs"):
        check_risk(RiskConfig(**changes))
    assert check_risk(RiskConfig()) == RiskConfig()
