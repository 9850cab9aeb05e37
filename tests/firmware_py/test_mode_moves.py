"""Two steps of the mode table are made together or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import TRANSITIONS, Motion
from fdir.supervisor import Supervisor
from firmware_py.mode_moves import BY_WAY_OF, come_to_rest, reach


def supervisor_in(motion: Motion) -> Supervisor:
    made = Supervisor(("a",) * 4, ())
    made.modes.motion = motion
    return made


@pytest.mark.parametrize(("source", "target"), BY_WAY_OF)
def test_a_move_of_two_steps_is_one_that_the_table_has_not_and_both_steps_are_in_it(
    source: Motion, target: Motion
) -> None:
    between = BY_WAY_OF[source, target]
    assert (source, target) not in TRANSITIONS
    assert (source, between) in TRANSITIONS
    assert (between, target) in TRANSITIONS


@pytest.mark.parametrize(("source", "target"), BY_WAY_OF)
def test_nothing_against_it_the_target_is_reached(
    facts: Callable[..., Facts], source: Motion, target: Motion
) -> None:
    supervisor = supervisor_in(source)
    assert reach(supervisor, target, facts(speed_m_s=0.0, target_range_m=10.0)) is None
    assert supervisor.modes.motion is target


@pytest.mark.parametrize(("source", "target"), BY_WAY_OF)
def test_refused_at_the_second_step_it_stays_where_it_was(
    facts: Callable[..., Facts], source: Motion, target: Motion
) -> None:
    supervisor = supervisor_in(source)
    refusal = reach(supervisor, target, facts(speed_m_s=0.0, imu_ok=False, target_range_m=9000.0))
    assert refusal is not None
    far = (Code.TARGET_OUT_OF_RANGE,) if target is Motion.DOCK else ()
    assert refusal.codes == (Code.SENSOR_MISSING, *far)
    assert supervisor.modes.motion is source


def test_what_speaks_against_either_step_is_said_at_once(facts: Callable[..., Facts]) -> None:
    refusal = reach(supervisor_in(Motion.BURN), Motion.DOCK, facts(speed_m_s=1.0, target_range_m=None))
    assert refusal is not None
    assert refusal.codes == (Code.STILL_MOVING, Code.TARGET_OUT_OF_RANGE)


@pytest.mark.parametrize("source", [Motion.IDLE, Motion.MANOEUVRE, Motion.COAST, Motion.BRAKE, Motion.DOCK])
def test_a_burn_at_ftg_is_reached_with_the_charge_for_it_by_whatever_way(
    facts: Callable[..., Facts], source: Motion
) -> None:
    supervisor = supervisor_in(source)
    refusal = reach(supervisor, Motion.BURN, facts(speed_m_s=0.0, soc_supercap=0.59), boost=True)
    assert refusal is not None
    assert (refusal.source, refusal.target, refusal.codes) == (source, Motion.BURN, (Code.CAP_LOW,))
    assert supervisor.modes.motion is source
    assert reach(supervisor, Motion.BURN, facts(speed_m_s=0.0, soc_supercap=0.6), boost=True) is None
    assert supervisor.modes.motion is Motion.BURN


@pytest.mark.parametrize("target", [Motion.IDLE, Motion.COAST, Motion.MANOEUVRE, Motion.DOCK, Motion.BURN])
@pytest.mark.parametrize("speed", [0.0, 0.7])
def test_a_brake_out_of_safe_ends_in_safe_whatever_is_asked_for(
    facts: Callable[..., Facts], target: Motion, speed: float
) -> None:
    supervisor = supervisor_in(Motion.IDLE)
    supervisor.enter_safe(Code.SAFE_ORDERED, facts())
    assert reach(supervisor, Motion.BRAKE, facts(speed_m_s=speed)) is None
    assert supervisor.modes.motion is Motion.BRAKE
    assert reach(supervisor, target, facts(speed_m_s=speed)) is None
    assert supervisor.modes.motion is Motion.SAFE
    assert supervisor.keeper.reasons == (Code.SAFE_ORDERED,)


def test_a_burn_at_ftg_that_follows_on_a_burn_is_no_move(facts: Callable[..., Facts]) -> None:
    supervisor = supervisor_in(Motion.BURN)
    assert reach(supervisor, Motion.BURN, facts(soc_supercap=0.1), boost=True) is None
    assert supervisor.modes.motion is Motion.BURN


@pytest.mark.parametrize("source", [Motion.BRAKE, Motion.BURN, Motion.COAST, Motion.DOCK])
@pytest.mark.parametrize("speed", [0.0, 0.7])
def test_whatever_was_flown_moving_or_not_it_comes_to_idle(
    facts: Callable[..., Facts], source: Motion, speed: float
) -> None:
    supervisor = supervisor_in(source)
    come_to_rest(supervisor, facts(speed_m_s=speed, segment_done=True))
    assert supervisor.modes.motion is Motion.IDLE
    told = [event.text for event in supervisor.take_events()]
    assert len(told) == (2 if speed and source in (Motion.BRAKE, Motion.BURN) else 1)
