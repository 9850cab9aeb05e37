"""Contacts against a rule: limits are part of the range, what is missing decides nothing, one contradiction decides."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from math import inf, nan, nextafter

import pytest

from fdir.codes import Severity
from fdir.guard_contacts import (
    LARGEST_EVASION_M_S,
    Contact,
    TrackStatus,
    advice,
    describe,
    is_threat,
    known,
    matches,
)
from fdir.guard_rules import GuardRule, Iff, TransponderMode, Trigger

NEAR = Contact(
    track_id=1, status=TrackStatus.TRACKED, event_ns=0, range_m=50.0, radial_velocity_m_s=-2.0, quality=0.5,
    iff=Iff.UNKNOWN, transponder_on=False, transponder_mode=TransponderMode.SILENT,
)
BARE = Contact(1, TrackStatus.TRACKED, 0)
MISSING = (None, nan, inf, -inf)


def rule(**keys: object) -> GuardRule:
    return GuardRule(**{"id": "R", "title": "R", "severity": Severity.INFO, "max_range_m": 70.0, **keys})


def judged(keys: dict[str, object], widen_m: float = 0.0, brake_m_s2: float | None = None, **changes: object):
    return matches(rule(**keys), replace(NEAR, **changes), widen_m, brake_m_s2)


def test_statuses_are_those_of_the_canon() -> None:
    assert [str(status) for status in TrackStatus] == ["tentative", "tracked", "coasting", "lost"]


def test_a_contact_cannot_be_changed_nor_get_more_keys() -> None:
    with pytest.raises(FrozenInstanceError):
        NEAR.range_m = 1.0
    assert not hasattr(NEAR, "__dict__")


def test_a_bare_contact_knows_nothing() -> None:
    assert (BARE.range_m, BARE.radial_velocity_m_s, BARE.quality, BARE.iff, BARE.transponder_on,
            BARE.transponder_mode, BARE.collision_course, BARE.evade_m_s) == (None,) * 8


@pytest.mark.parametrize(("range_m", "widen_m", "match"), [
    (10.0, 0.0, True), (70.0, 0.0, True), (nextafter(10.0, 0.0), 0.0, False), (nextafter(70.0, 99.0), 0.0, False),
    (5.0, 5.0, True), (75.0, 5.0, True), (nextafter(5.0, 0.0), 5.0, False), (nextafter(75.0, 99.0), 5.0, False),
    (-1.0, 0.0, False),
])
def test_limits_are_part_of_the_range_and_widen_at_both_ends(range_m, widen_m, match) -> None:
    assert judged({"min_range_m": 10.0}, widen_m, range_m=range_m) is match


@pytest.mark.parametrize("value", MISSING)
def test_a_range_that_is_missing_decides_nothing(value) -> None:
    assert judged({}, range_m=value) is None
    assert judged({"iff": Iff.FOE}, range_m=value) is False


@pytest.mark.parametrize(("keys", "changes", "match"), [
    ({"iff": Iff.UNKNOWN}, {}, True),
    ({"iff": Iff.FOE}, {}, False),
    ({"iff": Iff.FOE}, {"iff": None}, None),
    ({}, {"iff": None}, True),
    ({"require_transponder_on": False}, {}, True),
    ({"require_transponder_on": True}, {}, False),
    ({"require_transponder_on": True}, {"transponder_on": True}, True),
    ({"require_transponder_on": False}, {"transponder_on": True}, False),
    ({"require_transponder_on": False}, {"transponder_on": None}, None),
    ({"require_transponder_on": True}, {"transponder_on": None}, None),
    ({}, {"transponder_on": None}, True),
    ({"allowed_transponder_modes": (TransponderMode.OFF, TransponderMode.SILENT)}, {}, True),
    ({"allowed_transponder_modes": (TransponderMode.SPOOF,)}, {}, False),
    ({"allowed_transponder_modes": (TransponderMode.SPOOF,)}, {"transponder_mode": None}, None),
    ({}, {"transponder_mode": None}, True),
    ({"min_quality": 0.5}, {}, True),
    ({"min_quality": 0.5}, {"quality": nextafter(0.5, 0.0)}, False),
    ({"min_quality": 0.5}, {"quality": None}, None),
    ({"min_quality": 0.5}, {"quality": nan}, None),
    ({"min_quality": 0.5}, {"quality": inf}, None),
    ({"min_quality": 0.0}, {"quality": None}, True),
    ({"min_quality": 0.001}, {"quality": None}, None),
    ({"max_radial_velocity_mps": -2.0}, {}, True),
    ({"max_radial_velocity_mps": -2.0}, {"radial_velocity_m_s": nextafter(-2.0, 0.0)}, False),
    ({"max_radial_velocity_mps": 0.0}, {"radial_velocity_m_s": 0.0}, True),
    ({"max_radial_velocity_mps": -2.0}, {"radial_velocity_m_s": None}, None),
    ({"max_radial_velocity_mps": -2.0}, {"radial_velocity_m_s": nan}, None),
    ({"max_radial_velocity_mps": -2.0}, {"radial_velocity_m_s": -inf}, None),
    ({}, {"radial_velocity_m_s": None}, True),
    # A range that is missing does not keep the speed from deciding.
    ({"max_radial_velocity_mps": -3.0}, {"range_m": None}, False),
    ({"max_radial_velocity_mps": -2.0}, {"range_m": None}, None),
])
def test_each_thing_that_is_asked_decides_alone(keys, changes, match) -> None:
    assert judged(keys, **changes) is match


@pytest.mark.parametrize("changes", [
    {"iff": Iff.FRIEND}, {"transponder_on": True}, {"transponder_mode": TransponderMode.ON}, {"quality": 0.1},
    {"radial_velocity_m_s": 0.0},
])
def test_one_contradiction_decides_even_if_all_else_is_missing(changes) -> None:
    asked = rule(
        iff=Iff.UNKNOWN, require_transponder_on=False, allowed_transponder_modes=(TransponderMode.SILENT,),
        min_quality=0.5, max_radial_velocity_mps=-2.0,
    )
    assert matches(asked, NEAR, 0.0, None) is True
    assert matches(asked, BARE, 0.0, None) is None
    assert matches(asked, replace(BARE, **changes), 0.0, None) is False


@pytest.mark.parametrize(("range_m", "speed_m_s", "brake_m_s2", "threat"), [
    # Less than 8 s and less than 150 m.
    (80.0, -10.0, None, False), (79.9, -10.0, None, True),
    (150.0, -20.0, None, False), (nextafter(150.0, 0.0), -20.0, None, True),
    (10.0, 0.0, None, False), (1.0, 5.0, None, False), (0.0, -0.001, None, True), (1.0, 5.0, 1e-9, False),
    # Nearer than a full brake needs: 1.2 * 12 / 2 + 0.5 = 7.7 s, farther away than 150 m so that only this decides.
    (12.0 * 20.0, -12.0, 2.0, False), (1.2 * 40.0 * 40.0 / 2.0 + 0.5 * 40.0, -40.0, 2.0, False),
    (1.2 * 40.0 * 40.0 / 2.0 + 0.5 * 40.0 - 0.01, -40.0, 2.0, True),
    (979.9, -40.0, None, False),
])
def test_a_threat_is_near_in_time_and_range_or_nearer_than_braking(range_m, speed_m_s, brake_m_s2, threat) -> None:
    assert is_threat(range_m, speed_m_s, brake_m_s2) is threat


@pytest.mark.parametrize(("changes", "brake_m_s2", "match"), [
    ({}, None, False),
    ({"radial_velocity_m_s": -7.0}, None, True),
    ({"radial_velocity_m_s": None}, None, None),
    ({"radial_velocity_m_s": -7.0, "range_m": None}, None, None),
    ({"radial_velocity_m_s": -7.0, "range_m": nan}, None, None),
    ({"radial_velocity_m_s": nan}, None, None),
    # 1.2 * 5 / 0.5 + 0.5 = 12.5 s against 10 s: only the brake makes it a threat.
    ({"radial_velocity_m_s": -5.0}, None, False),
    ({"radial_velocity_m_s": -5.0}, 0.5, True),
])
def test_a_rule_that_waits_for_a_threat_asks_range_and_speed(changes, brake_m_s2, match) -> None:
    if match is False:
        changes = {"range_m": 69.0, "radial_velocity_m_s": -2.0, **changes}
    assert judged({"trigger": Trigger.THREAT}, 0.0, brake_m_s2, **changes) is match


@pytest.mark.parametrize(("keys", "course", "match"), [
    ({"spare_passing": True}, True, True), ({"spare_passing": True}, False, False),
    # Missing is never "not so": range and speed decide as ever.
    ({"spare_passing": True}, None, True),
    ({}, True, True), ({}, False, True), ({}, None, True),
])
def test_a_threat_spares_what_is_known_to_pass_by_where_its_rule_says_so(keys, course, match) -> None:
    asked = {"trigger": Trigger.THREAT, **keys}
    assert judged(asked, radial_velocity_m_s=-7.0, collision_course=course) is match
    far = {"range_m": 69.0, "radial_velocity_m_s": -2.0}
    assert judged(asked, collision_course=course, **far) is False
    missing = judged(asked, collision_course=course, range_m=None, radial_velocity_m_s=None)
    assert missing is (False if match is False else None)


@pytest.mark.parametrize(("change", "taken"), [
    (None, False), ((1.0, 0.0, 0.0), True), ((0.0, 0.0, -LARGEST_EVASION_M_S), True),
    ((0.0, nextafter(LARGEST_EVASION_M_S, 9.0), 0.0), False), ((3.0, 3.0, 3.0), False), ((0.0, 0.0, 0.0), False),
    ((nan, 0.0, 0.0), False), ((inf, 0.0, 0.0), False), ((0.0, -inf, 0.0), False), ((1.0, 1.0), False),
    ((1.0, 1.0, 1.0, 1.0), False), ((1e-300, 0.0, 0.0), True),
])
def test_advice_is_taken_only_where_it_can_be_flown(change, taken) -> None:
    assert advice(replace(NEAR, evade_m_s=change)) == (change if taken else None)


def test_the_largest_evasion_is_what_the_command_takes() -> None:
    assert LARGEST_EVASION_M_S == 5.0


def test_a_threat_also_needs_the_speed_of_its_rule() -> None:
    keys = {"trigger": Trigger.THREAT, "max_radial_velocity_mps": -8.0}
    assert judged(keys, radial_velocity_m_s=-7.9) is False
    assert judged(keys, radial_velocity_m_s=-8.0) is True


@pytest.mark.parametrize(("value", "found"), [(None, None), (nan, None), (inf, None), (-inf, None), (0.0, 0.0),
                                              (-1.5, -1.5)])
def test_no_finite_number_is_missing(value, found) -> None:
    assert known(value) == found


@pytest.mark.parametrize(("changes", "text"), [
    ({}, "at 50.0 m, closing 2.0 m/s"),
    ({"radial_velocity_m_s": 2.04}, "at 50.0 m, opening 2.0 m/s"),
    ({"radial_velocity_m_s": 0.0}, "at 50.0 m, opening 0.0 m/s"),
    ({"radial_velocity_m_s": None}, "at 50.0 m, radial velocity missing"),
    ({"range_m": nan}, "range missing, closing 2.0 m/s"),
    ({"range_m": None, "radial_velocity_m_s": inf}, "range missing, radial velocity missing"),
])
def test_a_contact_in_words(changes, text) -> None:
    assert describe(replace(NEAR, **changes)) == text
