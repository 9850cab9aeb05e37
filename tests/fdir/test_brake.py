"""The brake override: what refuses it, what does not, how far a stop takes, and when it is no answer."""

from __future__ import annotations

from itertools import product
from math import inf, log, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fdir.brake import (
    END_SPEED_M_S,
    FLOWN_TO_ITS_END,
    NEVER_SKIPPED,
    Answer,
    Skipped,
    Stopping,
    answer,
    nulls_rates_first,
    refusals,
    speed_in_tank,
    stopping,
)
from fdir.codes import Code
from fdir.facts import EnergyFacts
from fdir.gating import CONFIRMED, CommandClass
from fdir.modes import Emission, ModeMachine, Motion
from fdir.safe import EXIT_CONDITIONS, LATCHED

EXHAUST_M_S = 60.0 * 9.80665
REFUSING = {
    "propellant_kg": (0.0, Code.WORKING_MASS_LOW),
    "propulsion_ready": (False, Code.RCS_UNAVAILABLE),
    "joint_locked_unrated": (True, Code.BRIDGE_ACTIVE_RESTRICTED_MOTION),
}
SKIPPED_FACTS = {
    Skipped.BOOST_CHARGE: {"soc_supercap": 0.5999},
    Skipped.HOLD_CHARGE: {"soc_supercap": 0.0},
    Skipped.RATE_CAP: {"rate_rad_s": 3.0},
    Skipped.MISSION_PROFILE: {"settled": False},
    Skipped.RUNNING_PROFILE: {"segment_done": False},
}


def test_what_is_skipped_is_the_list_of_the_reference() -> None:
    assert [str(skipped) for skipped in Skipped] == [
        "operator dialogue", "T_boost", "T_hold", "cooldown timer", "rate cap", "EMCON", "mission profile",
        "running profile",
    ]


def test_what_refuses_has_its_code_and_comes_in_order() -> None:
    assert [rule.code for rule in NEVER_SKIPPED] == [
        Code.WORKING_MASS_LOW, Code.RCS_UNAVAILABLE, Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,
    ]


@pytest.mark.parametrize("wrong", list(product([False, True], repeat=3)))
def test_every_reason_is_given_at_once(wrong: tuple[bool, ...], facts) -> None:
    asked = [(name, *REFUSING[name]) for name, is_wrong in zip(REFUSING, wrong, strict=True) if is_wrong]
    assert refusals(facts(**{name: value for name, value, _ in asked})) == tuple(code for _, _, code in asked)


def test_the_last_gram_is_enough(facts) -> None:
    assert refusals(facts(propellant_kg=1e-3)) == ()
    assert refusals(facts(propellant_kg=-1e-3)) == (Code.WORKING_MASS_LOW,)


@pytest.mark.parametrize("motion", [m for m in Motion if m not in (Motion.BOOT, Motion.BRAKE)])
@pytest.mark.parametrize("change", SKIPPED_FACTS.values(), ids=[str(s) for s in SKIPPED_FACTS])
def test_from_every_mode_what_is_skipped_refuses_nothing(motion: Motion, change: dict[str, object], facts) -> None:
    machine = ModeMachine()
    machine.motion = motion
    assert machine.move(Motion.BRAKE, facts(speed_m_s=1.0, **change)) is None
    assert machine.motion is Motion.BRAKE


@pytest.mark.parametrize("level", list(Emission))
def test_no_emission_level_keeps_a_brake_away(level: Emission, facts) -> None:
    machine = ModeMachine()
    machine.motion = Motion.COAST
    machine.emission = level
    assert machine.move(Motion.BRAKE, facts()) is None


def test_a_brake_waits_for_no_confirmation() -> None:
    assert CommandClass.BRAKE not in CONFIRMED


def test_a_hot_cluster_and_an_unknown_attitude_refuse_no_brake(facts) -> None:
    tripped = facts(hottest_share=1.5, attitude_known=False, imu_ok=False, energy=EnergyFacts(heat_unknown=True))
    assert refusals(tripped) == ()


@pytest.mark.parametrize("known", [True, False])
def test_rates_are_nulled_first_where_the_attitude_is_unknown(known: bool, facts) -> None:
    assert nulls_rates_first(facts(attitude_known=known)) is not known


def test_a_brake_under_way_goes_on_for_reasons_that_it_skips_and_for_no_other() -> None:
    assert {
        Code.SAFE_POWER_LOW, Code.SAFE_CAP_LOW, Code.SAFE_THERMAL_CRITICAL, Code.SAFE_COMMS_LOSS,
        Code.SAFE_BLACKBOX_CRITICAL,
        Code.RADAR_ALERT_UNKNOWN_CLOSE, Code.RADAR_ALERT_FOE_APPROACH, Code.RADAR_ALERT_SPOOF, Code.RADAR_SIGNAL_LOSS,
        Code.GUARD_ALERT,
    } == FLOWN_TO_ITS_END
    pushing_blind = EXIT_CONDITIONS["exit_orientation_held"].reasons | {Code.ACTUATOR_UNAVAILABLE, Code.SAFE_ORDERED}
    assert not FLOWN_TO_ITS_END & pushing_blind
    assert {Code.SAFE_BLACKBOX_CRITICAL} == FLOWN_TO_ITS_END & LATCHED


@pytest.mark.parametrize("speed", [0.05, 0.5, 1.0, 5.0, 16.6])
def test_a_stop_of_the_reference_craft_takes_v_by_1_44_seconds_and_v_squared_by_2_88_metres(speed: float) -> None:
    stop = stopping(speed, 432.0)
    assert stop.time_s == pytest.approx(speed / 1.44, rel=2e-4)
    assert stop.distance_m == pytest.approx(speed * speed / 2.88, rel=2e-4)


def test_a_stop_is_longer_with_more_mass_and_shorter_with_more_force() -> None:
    assert stopping(2.0, 100.0, 50.0) == Stopping(4.0, 4.0)
    assert stopping(0.0, 100.0) == Stopping(0.0, 0.0)
    assert END_SPEED_M_S == 0.05


def test_the_tank_of_the_reference_craft_stops_16_6_metres_a_second() -> None:
    assert speed_in_tank(432.0, 12.0, EXHAUST_M_S) == pytest.approx(16.6, abs=0.05)
    assert speed_in_tank(432.0, 12.0, EXHAUST_M_S) == EXHAUST_M_S * log(432.0 / 420.0)
    assert speed_in_tank(432.0, 0.0, EXHAUST_M_S) == 0.0


def test_at_the_limit_it_still_brakes_and_above_it_evades() -> None:
    most = speed_in_tank(432.0, 12.0, EXHAUST_M_S)
    assert answer(most, 432.0, 12.0, EXHAUST_M_S) is Answer.BRAKE
    assert answer(most * (1.0 + 1e-12), 432.0, 12.0, EXHAUST_M_S) is Answer.EVADE
    assert answer(0.0, 420.0, 0.0, EXHAUST_M_S) is Answer.BRAKE
    assert answer(16.0, 426.0, 6.0, EXHAUST_M_S) is Answer.EVADE


@given(st.floats(0.0, 50.0), st.floats(0.0, 12.0), st.floats(0.0, 12.0))
def test_more_propellant_never_turns_a_brake_into_an_evasion(speed: float, less: float, more: float) -> None:
    less, more = sorted((less, more))
    if answer(speed, 432.0, less, EXHAUST_M_S) is Answer.BRAKE:
        assert answer(speed, 432.0, more, EXHAUST_M_S) is Answer.BRAKE


@pytest.mark.parametrize("bad", [-0.1, nan, inf])
@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: stopping(x, 432.0), "speed_m_s"), (lambda x: stopping(1.0, x), "mass_kg"),
        (lambda x: stopping(1.0, 432.0, x), "force_n"), (lambda x: speed_in_tank(x, 1.0, 588.0), "mass_kg"),
        (lambda x: speed_in_tank(432.0, x, 588.0), "propellant_kg"),
        (lambda x: speed_in_tank(432.0, 12.0, x), "exhaust_m_s"),
        (lambda x: answer(x, 432.0, 12.0, 588.0), "speed_m_s"),
    ],
)
def test_a_figure_that_is_none_is_refused_by_name(call, name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=f"^{name} {bad}: must be a number (at or )?above 0$"):
        call(bad)


@pytest.mark.parametrize(
    "call", [lambda: stopping(1.0, 0.0), lambda: stopping(1.0, 1.0, 0.0), lambda: speed_in_tank(432.0, 12.0, 0.0)]
)
def test_mass_force_and_exhaust_speed_must_be_above_zero(call) -> None:
    with pytest.raises(ValueError, match=r"0\.0: must be a number above 0"):
        call()


@pytest.mark.parametrize("propellant", [432.0, 433.0])
def test_a_craft_is_more_than_its_propellant(propellant: float) -> None:
    with pytest.raises(ValueError, match=f"^propellant_kg {propellant}: must be below mass_kg 432.0$"):
        speed_in_tank(432.0, propellant, EXHAUST_M_S)
