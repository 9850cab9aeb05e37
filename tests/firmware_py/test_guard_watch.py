"""The guard of a flight: contacts wait in a bounded place, only timely ones count, a bad file never stops a boot."""

from __future__ import annotations

from pathlib import Path

import pytest

import fdir.guard_rules
from fdir.codes import Severity
from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import GuardRule, GuardTable, Trigger, load_guard_rules
from firmware_py.guard_watch import INBOX, OLDEST_NS, ChosenRules, GuardWatch, guard_rules_to_fly
from hal.profile import ConfigError

S = 1_000_000_000
NEAR = GuardRule(id="NEAR", title="Near", severity=Severity.WARNING, max_range_m=70.0)
GONE = GuardRule(id="GONE", title="Gone", severity=Severity.INFO, max_range_m=70.0, trigger=Trigger.LOST,
                 min_duration_s=2.0)
THREAT = GuardRule(id="HIT", title="Hit", severity=Severity.CRITICAL, max_range_m=70.0, trigger=Trigger.THREAT)
RULES = "schema_version: 1\nrules:\n  - {id: MINE, title: Mine, severity: info, max_range_m: 5}\n"


def at(t_ns: int, track_id: int = 1, **keys) -> Contact:
    return Contact(track_id, TrackStatus.TRACKED, t_ns, 50.0, **keys)


def watch(*rules: GuardRule, brake_m_s2: float | None = None) -> GuardWatch:
    return GuardWatch(GuardTable(rules, ""), brake_m_s2)


def test_what_is_handed_over_is_judged_once_at_the_next_step() -> None:
    guard = watch(NEAR)
    guard.take([at(1)])
    guard.take([at(2, 2)])
    assert [(a.track_id, a.event_ns) for a in guard.step(3)] == [(1, 1), (2, 2)]
    assert guard.step(4) == ()
    assert guard.snapshot()["guard_left_out"]["late"] == 0


def test_time_goes_on_without_contacts() -> None:
    guard = watch(GONE)
    guard.take([at(0)])
    guard.step(0)
    told = [alert.event_ns for n in range(1, 31) for alert in guard.step(n * S // 10)]
    assert told == [2 * S]


def test_only_times_between_2_s_ago_and_now_count() -> None:
    now_ns = 10 * S
    for t_ns, counts in ((now_ns, True), (now_ns + 1, False), (now_ns - OLDEST_NS, True),
                         (now_ns - OLDEST_NS - 1, False)):
        guard = watch(NEAR)
        guard.take([at(t_ns)])
        assert len(guard.step(now_ns)) == counts
        assert guard.snapshot()["guard_left_out"]["untimely"] == (not counts)
    assert OLDEST_NS == 2 * S


def test_what_waits_is_bounded_and_the_oldest_give_way() -> None:
    guard = watch(NEAR)
    guard.take(at(n, n) for n in range(INBOX))
    assert guard.snapshot()["guard_left_out"]["dropped"] == 0
    guard.take([at(INBOX, INBOX)])
    assert [alert.track_id for alert in guard.step(S)] == list(range(1, INBOX + 1))
    assert guard.snapshot()["guard_left_out"]["dropped"] == 1
    assert INBOX == 256


def test_a_brake_that_is_known_is_asked() -> None:
    for brake_m_s2, told in ((None, 0), (0.5, 1)):
        guard = watch(THREAT, brake_m_s2=brake_m_s2)
        guard.take([at(0, radial_velocity_m_s=-5.0)])
        assert len(guard.step(0)) == told


def test_telemetry_tells_alerts_what_is_active_and_what_was_left_out() -> None:
    guard = watch(NEAR, THREAT)
    guard.take([at(1, quality=0.5), at(1, quality=0.5), at(9)])
    guard.step(2)
    assert guard.snapshot() == {
        "guard_alerts": {"info": 0, "warning": 1, "critical": 0}, "guard_rules": {"NEAR": 1},
        "guard_active": {"info": 0, "warning": 1, "critical": 0}, "guard_tracks": 1, "guard_quality": 0.5,
        "guard_left_out": {
            "undecided": 1, "late": 1, "clock_steps": 0, "overflow": 0, "dropped": 0, "untimely": 1,
        },
    }


def test_before_the_first_frame_quality_is_missing() -> None:
    assert watch(NEAR).snapshot()["guard_quality"] is None


# -- which rules are flown


def test_without_a_file_the_rules_that_ship_are_flown() -> None:
    assert guard_rules_to_fly(None) == ChosenRules(load_guard_rules(), "")


def test_good_rules_are_flown(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RULES)
    chosen = guard_rules_to_fly(path)
    assert ([rule.id for rule in chosen.table.rules], chosen.refusal) == (["MINE"], "")


def test_bad_rules_leave_those_that_ship_and_the_refusal_names_the_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(RULES.replace("max_range_m: 5", "max_range_m: -5"))
    assert guard_rules_to_fly(path) == ChosenRules(
        load_guard_rules(),
        f"{path}:3: rules[0].max_range_m: MINE: is -5; above min_range_m (0) is allowed; the rules that ship are flown",
    )


def test_if_the_rules_that_ship_are_bad_nothing_is_flown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "shipped.yaml"
    path.write_text("schema_version: 1\nrules: []\n")
    monkeypatch.setattr(fdir.guard_rules, "find_guard_rules", lambda: path)
    for given in (None, tmp_path / "none.yaml"):
        with pytest.raises(ConfigError, match=r"shipped\.yaml:2: rules"):
            guard_rules_to_fly(given)
