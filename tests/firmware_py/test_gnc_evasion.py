"""The evasion law: one change of velocity, with an end whatever happens."""

from __future__ import annotations

import dataclasses
from math import radians

import pytest

from firmware_py.gnc.evasion import Evade
from firmware_py.gnc.guidance import GuidanceLimits, Phase
from firmware_py.gnc.thrust_modes import ThrustMode
from tests.firmware_py.test_commander import ALLOCATOR, BODY, RESTING

SECOND = 1_000_000_000
LIMITS = GuidanceLimits.from_body(BODY, ALLOCATOR)
MOVING = dataclasses.replace(RESTING, velocity=(2.0, 0.0, 0.0))
CHANGE = (0.0, 1.0, 0.0)


def test_it_pushes_to_the_velocity_of_the_start_plus_the_change_with_all_there_is() -> None:
    law = Evade(LIMITS, CHANGE)
    for velocity in ((2.0, 0.0, 0.0), (2.0, 0.4, 0.0)):
        target = law.update(0, dataclasses.replace(MOVING, velocity=velocity))
        assert (target.phase, target.done, target.velocity) == (Phase.BRAKE, False, (2.0, 1.0, 0.0))
        assert (target.full_push, target.mode, target.attitude) == (True, ThrustMode.BRAKE, MOVING.quaternion)


@pytest.mark.parametrize(("missing_m_s", "done"), [(0.02, True), (0.03, False)])
def test_it_is_made_to_a_fortieth_of_a_metre_a_second(missing_m_s: float, done: bool) -> None:
    law = Evade(LIMITS, CHANGE)
    law.update(0, MOVING)
    there = dataclasses.replace(MOVING, velocity=(2.0, 1.0 - missing_m_s, 0.0))
    assert law.update(SECOND, there).done is done


def test_once_made_it_coasts_whatever_comes_after() -> None:
    law = Evade(LIMITS, CHANGE)
    law.update(0, MOVING)
    for velocity in ((2.0, 1.0, 0.0), (2.0, 0.5, 0.0)):
        target = law.update(SECOND, dataclasses.replace(MOVING, velocity=velocity))
        assert (target.phase, target.done, target.velocity) == (Phase.COAST, True, None)
    assert law.update(2 * SECOND, RESTING).phase is Phase.HOLD


@pytest.mark.parametrize("lost", ["time", "attitude"])
def test_what_cannot_be_made_is_given_up_undone(lost: str) -> None:
    law = Evade(LIMITS, CHANGE)
    law.update(0, MOVING)
    late = round((3.0 / LIMITS.brake_m_s2 + 10.0) * SECOND)
    assert law.update(late - 1, MOVING).phase is Phase.BRAKE
    if lost == "time":
        target = law.update(late, MOVING)
    else:
        target = law.update(late - 1, dataclasses.replace(MOVING, attitude_known=False))
    assert (target.phase, target.done, target.velocity) == (Phase.COAST, False, None)
    assert not law.update(late, MOVING).done


def test_a_craft_that_turns_is_calmed_while_it_pushes_and_then_holds_its_attitude() -> None:
    law = Evade(LIMITS, CHANGE)
    turning = dataclasses.replace(MOVING, rate=(0.0, 0.0, radians(2.0)))
    target = law.update(0, turning)
    assert (target.attitude, target.rate, target.velocity) == (None, (0.0, 0.0, 0.0), (2.0, 1.0, 0.0))
    assert law.update(1, MOVING).attitude == MOVING.quaternion
    assert law.update(2, turning).attitude == MOVING.quaternion


@pytest.mark.parametrize(("made_m_s", "change", "covered"), [
    (0.0, CHANGE, True), (0.0, (0.0, 0.5, 0.2), True), (0.0, (0.0, 1.1, 0.0), False), (0.0, (0.0, -0.5, 0.0), False),
    (0.0, (0.0, 0.5, 0.3), False), (0.0, (0.0, 0.3, -0.5), False), (0.6, CHANGE, False), (0.6, (0.0, 0.4, 0.0), True),
])
def test_what_is_left_of_it_covers_a_change_that_leads_about_its_way_and_no_farther(
    made_m_s: float, change: tuple[float, float, float], covered: bool
) -> None:
    law = Evade(LIMITS, CHANGE)
    if made_m_s == 0.0:
        # Not begun yet, all of it is left.
        assert law.covers(MOVING.velocity, change) is covered
    law.update(0, MOVING)
    assert law.covers((2.0, made_m_s, 0.0), change) is covered


def test_once_it_is_over_it_covers_nothing() -> None:
    law = Evade(LIMITS, CHANGE)
    law.update(0, MOVING)
    law.update(SECOND, dataclasses.replace(MOVING, attitude_known=False))
    assert not law.covers(MOVING.velocity, CHANGE)
