"""SAFE: reasons, depth, and the three checks in a row that lead out."""

from __future__ import annotations

import pytest

from fdir.codes import Code
from fdir.facts import EnergyFacts
from fdir.safe import EXIT_CONDITIONS, SafeKeeper, SafeState


def test_without_a_reason_safe_is_inactive() -> None:
    assert SafeKeeper().state is SafeState.INACTIVE


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        ((Code.SAFE_POWER_LOW,), SafeState.LIMITED),
        ((Code.SENSOR_CONFLICTING,), SafeState.WARNING),
        ((Code.SENSOR_CONFLICTING, Code.SAFE_CAP_LOW), SafeState.LIMITED),
        ((Code.SAFE_THERMAL_CRITICAL,), SafeState.LOCKDOWN),
    ],
)
def test_reasons_set_the_depth(codes, state) -> None:
    keeper = SafeKeeper()
    for code in codes:
        assert keeper.enter(code)
    assert keeper.state is state


def test_three_good_checks_in_a_row_open_the_way_out(facts) -> None:
    keeper = SafeKeeper()
    keeper.enter(Code.SAFE_POWER_LOW)
    keeper.check(facts())
    keeper.check(facts())
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    keeper.check(facts(soc_battery=0.15))
    assert keeper.passes == 0
    for _ in range(3):
        keeper.check(facts())
    assert keeper.refusals() == ()
    assert keeper.state is SafeState.RECOVERY
    keeper.leave()
    assert keeper.state is SafeState.INACTIVE


def test_a_latched_reason_needs_a_person_and_a_new_reason_voids_the_acknowledgement(facts) -> None:
    keeper = SafeKeeper()
    keeper.enter(Code.SAFE_ORIENTATION_LOST)
    for _ in range(3):
        keeper.check(facts())
    assert keeper.refusals() == (Code.OPERATOR_ACKNOWLEDGE,)
    keeper.acknowledge()
    assert keeper.refusals() == ()
    assert not keeper.enter(Code.SAFE_ORIENTATION_LOST)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS, Code.OPERATOR_ACKNOWLEDGE)
    keeper.enter(Code.SAFE_CAP_LOW)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS, Code.OPERATOR_ACKNOWLEDGE)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("exit_power_recovered", {"soc_battery": 0.15}),
        ("exit_power_recovered", {"soc_battery": None}),
        ("exit_power_recovered", {"soc_supercap": 0.30}),
        ("exit_power_recovered", {"soc_supercap": None}),
        ("exit_thermal_nominal", {"hottest_share": 0.0}),
        ("exit_pdu_fault_cleared", {"energy": EnergyFacts(overcurrent_unsolved=True)}),
        ("exit_orientation_held", {"imu_ok": False}),
        ("exit_orientation_held", {"rate_rad_s": None}),
        ("exit_orientation_held", {"rate_rad_s": 0.0873}),
        ("exit_profile_matches", {"hash_matches": False}),
        ("exit_profile_matches", {"self_test_passed": None}),
        ("exit_on_time", {"late_ticks": 1}),
    ],
)
def test_each_exit_condition_can_fail_alone(name, change, facts) -> None:
    assert SafeKeeper().failing(facts(**change)) == (name,)


def test_nominal_facts_meet_every_exit_condition(facts) -> None:
    assert SafeKeeper().failing(facts()) == ()
    assert SafeKeeper().failing(facts(hottest_share=None)) == ()
    assert len(EXIT_CONDITIONS) == 6
