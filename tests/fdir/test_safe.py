"""SAFE: reasons, depth, the three checks in a row that lead out, and who has to acknowledge."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fdir.codes import Code
from fdir.exit_conditions import EXIT_CONDITIONS
from fdir.facts import Facts, LinkFacts
from fdir.safe import CHECKS_TO_LEAVE, LATCHED, LOCKDOWN, RELAPSE_NS, STATE_RULES, ExitCheck, SafeKeeper, SafeState

Make = Callable[..., Facts]
SECOND = 1_000_000_000


def keeper_for(*codes: Code) -> SafeKeeper:
    keeper = SafeKeeper()
    for code in codes:
        assert keeper.enter(code)
    return keeper


def check(keeper: SafeKeeper, facts: Facts, times: int = CHECKS_TO_LEAVE) -> None:
    for _ in range(times):
        keeper.check(facts)


def test_without_a_reason_safe_is_inactive_and_never_unknown() -> None:
    keeper = SafeKeeper()
    assert keeper.state is SafeState.INACTIVE
    assert (keeper.reasons, keeper.latched, keeper.passes) == ((), False, 0)


def test_states_are_those_of_the_reference_and_each_has_a_rule() -> None:
    assert [str(state) for state in SafeState] == [
        "safe_inactive", "safe_monitoring", "safe_warning", "safe_limited", "safe_lockdown", "safe_recovery",
        "safe_unknown",
    ]
    assert {rule.state for rule in STATE_RULES} == set(SafeState)
    assert all(rule.text and not rule.text.endswith(".") for rule in STATE_RULES)


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        ((Code.SAFE_POWER_LOW,), SafeState.LIMITED),
        ((Code.SENSOR_CONFLICTING,), SafeState.WARNING),
        ((Code.SAFE_SENSOR_CONFLICT,), SafeState.WARNING),
        ((Code.SAFE_SENSOR_CONFLICT, Code.SENSOR_CONFLICTING), SafeState.WARNING),
        ((Code.SENSOR_CONFLICTING, Code.SAFE_CAP_LOW), SafeState.LIMITED),
        ((Code.SAFE_THERMAL_CRITICAL,), SafeState.LOCKDOWN),
        ((Code.SAFE_POWER_LOW, Code.SAFE_DAMAGE_CRITICAL), SafeState.LOCKDOWN),
        ((Code.SENSOR_CONFLICTING, Code.SAFE_BLACKBOX_CRITICAL), SafeState.LOCKDOWN),
        ((Code.BOOT_LOOP,), SafeState.LIMITED),
    ],
)
def test_reasons_set_the_depth(codes: tuple[Code, ...], state: SafeState) -> None:
    assert keeper_for(*codes).state is state


def test_lockdown_and_latch_are_by_these_reasons() -> None:
    assert {Code.SAFE_THERMAL_CRITICAL, Code.SAFE_DAMAGE_CRITICAL, Code.SAFE_BLACKBOX_CRITICAL} == LOCKDOWN
    assert {code for code in Code if keeper_for(code).latched} == LATCHED == {
        Code.HASH_MISMATCH, Code.SELF_TEST_FAILED, Code.CPU_OVERRUN, Code.BOOT_LOOP, Code.SAFE_ORIENTATION_LOST,
        Code.SAFE_DAMAGE_CRITICAL, Code.SAFE_BLACKBOX_CRITICAL, Code.SAFE_BAYONET_UNSAFE,
        Code.BRIDGE_ELECTRICAL_UNSAFE,
    }


def test_states_on_the_way_out(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_POWER_LOW)
    seen = [keeper.state]
    for _ in range(4):
        keeper.check(facts())
        seen.append(keeper.state)
    assert seen == [
        SafeState.LIMITED, SafeState.MONITORING, SafeState.MONITORING, SafeState.RECOVERY, SafeState.RECOVERY,
    ]
    keeper.check(facts(soc_battery=0.1))
    assert keeper.state is SafeState.LIMITED


def test_lockdown_stands_until_the_way_out_is_open(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_THERMAL_CRITICAL)
    check(keeper, facts(), 2)
    assert keeper.state is SafeState.LOCKDOWN
    keeper.check(facts())
    assert keeper.state is SafeState.RECOVERY


def test_lockdown_goes_before_what_cannot_be_told(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_DAMAGE_CRITICAL)
    keeper.check(facts())
    assert keeper.undecided == ("exit_damage_assessed",)
    assert keeper.state is SafeState.LOCKDOWN


def test_what_a_reason_asks_for_and_nobody_can_tell_reads_unknown(facts: Make) -> None:
    keeper = keeper_for(Code.SENSOR_CONFLICTING)
    keeper.check(facts(rate_disagreement_rad_s=None))
    assert keeper.state is SafeState.UNKNOWN
    keeper.check(facts(rate_disagreement_rad_s=1.0))
    assert keeper.state is SafeState.WARNING


# -- the way out


def test_three_good_checks_in_a_row_open_the_way_out(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_POWER_LOW)
    check(keeper, facts(), 2)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    keeper.check(facts(soc_battery=0.15))
    assert keeper.passes == 0
    check(keeper, facts(), 2)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    keeper.check(facts())
    assert keeper.refusals() == ()
    assert CHECKS_TO_LEAVE == 3
    keeper.leave()
    assert keeper.state is SafeState.INACTIVE
    assert keeper.passes == 0


def test_passes_do_not_pile_up_and_one_failure_takes_them_all(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_POWER_LOW)
    check(keeper, facts(), 50)
    assert keeper.passes == 3
    keeper.check(facts(imu_ok=False))
    assert (keeper.passes, keeper.refusals()) == (0, (Code.SAFE_EXIT_CONDITIONS,))


def test_nothing_holds_while_a_monitor_that_led_there_is_tripped(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_POWER_LOW)
    check(keeper, facts(), 2)
    keeper.check(facts(), alarmed=True)
    assert keeper.passes == 0


def test_a_latched_reason_needs_a_person_and_a_new_reason_voids_the_acknowledgement(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_ORIENTATION_LOST)
    check(keeper, facts())
    assert keeper.refusals() == (Code.OPERATOR_ACKNOWLEDGE,)
    keeper.acknowledge()
    assert keeper.refusals() == ()
    assert not keeper.enter(Code.SAFE_ORIENTATION_LOST)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS, Code.OPERATOR_ACKNOWLEDGE)
    keeper.acknowledge()
    assert keeper.enter(Code.SAFE_CAP_LOW)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS, Code.OPERATOR_ACKNOWLEDGE)


def test_an_acknowledgement_opens_nothing_that_does_not_hold(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_ORIENTATION_LOST)
    keeper.acknowledge()
    check(keeper, facts(imu_ok=False))
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    check(keeper, facts())
    assert keeper.refusals() == ()


def test_a_brake_in_between_starts_the_checks_over_and_keeps_the_acknowledgement(facts: Make) -> None:
    keeper = keeper_for(Code.CPU_OVERRUN)
    check(keeper, facts())
    keeper.acknowledge()
    keeper.interrupt()
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    check(keeper, facts(), 2)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    keeper.check(facts())
    assert keeper.refusals() == ()


@pytest.mark.parametrize("code", [Code.SAFE_DAMAGE_CRITICAL, Code.SAFE_BLACKBOX_CRITICAL])
def test_what_only_a_person_can_tell_holds_by_an_acknowledgement_and_then_three_checks(code: Code, facts: Make) -> None:
    keeper = keeper_for(code)
    check(keeper, facts())
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS, Code.OPERATOR_ACKNOWLEDGE)
    keeper.acknowledge()
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    check(keeper, facts(), 2)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)
    keeper.check(facts())
    assert keeper.refusals() == ()


def test_what_cannot_be_told_asks_for_a_person_though_nothing_is_latched(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_THERMAL_CRITICAL)
    blind = facts(hottest_share=None)
    check(keeper, blind)
    assert not keeper.latched
    assert keeper.undecided == ("exit_thermal_nominal",)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS, Code.OPERATOR_ACKNOWLEDGE)
    keeper.acknowledge()
    check(keeper, blind)
    assert keeper.undecided == ()
    assert keeper.refusals() == ()


def test_what_is_seen_again_asks_for_nobody_any_more(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_THERMAL_CRITICAL)
    check(keeper, facts(hottest_share=None))
    check(keeper, facts())
    assert keeper.refusals() == ()


def test_an_acknowledgement_does_not_stand_for_a_condition_that_fails(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_THERMAL_CRITICAL)
    keeper.acknowledge()
    check(keeper, facts(hottest_share=0.5))
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS,)


def test_after_leaving_nothing_is_left_of_it(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_THERMAL_CRITICAL)
    assert keeper.acknowledged is False
    keeper.restore((), latched=True)
    keeper.check(facts(hottest_share=None))
    keeper.acknowledge()
    assert keeper.undecided != ()
    keeper.leave()
    assert (keeper.reasons, keeper.passes, keeper.undecided) == ((), 0, ())
    assert keeper.acknowledged is False
    assert keeper.held is False
    assert keeper.latched is False


# -- a relapse


def relapse_after(gap_ns: int, facts: Make, first: Code, then: Code) -> SafeKeeper:
    keeper = keeper_for(first)
    for k in range(3):
        keeper.check(facts(t_ns=k * SECOND))
    keeper.leave()
    keeper.enter(then)
    keeper.check(facts(t_ns=2 * SECOND + gap_ns))
    return keeper


def test_a_reason_that_comes_back_within_a_minute_needs_a_person(facts: Make) -> None:
    keeper = relapse_after(RELAPSE_NS - 1, facts, Code.SAFE_CAP_LOW, Code.SAFE_CAP_LOW)
    assert keeper.latched
    check(keeper, facts(t_ns=300 * SECOND))
    assert keeper.refusals() == (Code.OPERATOR_ACKNOWLEDGE,)
    keeper.acknowledge()
    keeper.leave()
    assert not keeper.latched
    assert RELAPSE_NS == 60 * SECOND


def test_after_a_minute_it_is_a_new_one(facts: Make) -> None:
    assert not relapse_after(RELAPSE_NS, facts, Code.SAFE_CAP_LOW, Code.SAFE_CAP_LOW).latched


def test_another_reason_is_no_relapse(facts: Make) -> None:
    assert not relapse_after(SECOND, facts, Code.SAFE_CAP_LOW, Code.SAFE_POWER_LOW).latched


def test_safe_ordered_twice_is_no_relapse(facts: Make) -> None:
    assert not relapse_after(SECOND, facts, Code.SAFE_ORDERED, Code.SAFE_ORDERED).latched


def test_one_of_several_reasons_that_comes_back_is_a_relapse(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_ORDERED, Code.SAFE_CAP_LOW)
    keeper.check(facts(t_ns=SECOND))
    keeper.leave()
    keeper.enter(Code.SAFE_POWER_LOW)
    keeper.check(facts(t_ns=2 * SECOND))
    assert not keeper.latched
    keeper.enter(Code.SAFE_CAP_LOW)
    keeper.check(facts(t_ns=3 * SECOND))
    assert keeper.latched


# -- over a restart


def test_reasons_from_before_a_restart_stand_first_and_once(facts: Make) -> None:
    keeper = keeper_for(Code.HASH_MISMATCH, Code.SAFE_CAP_LOW)
    check(keeper, facts())
    keeper.acknowledge()
    keeper.restore((Code.SAFE_ORDERED, Code.SAFE_CAP_LOW), latched=False)
    assert keeper.reasons == (Code.SAFE_ORDERED, Code.SAFE_CAP_LOW, Code.HASH_MISMATCH)
    assert keeper.refusals() == (Code.SAFE_EXIT_CONDITIONS, Code.OPERATOR_ACKNOWLEDGE)


@pytest.mark.parametrize("latched", [False, True])
def test_a_latch_from_before_a_restart_still_asks_for_a_person(latched: bool, facts: Make) -> None:
    keeper = SafeKeeper()
    keeper.restore((Code.SAFE_ORDERED,), latched)
    check(keeper, facts())
    assert keeper.refusals() == ((Code.OPERATOR_ACKNOWLEDGE,) if latched else ())
    keeper.restore((Code.SAFE_ORDERED,), latched=False)
    assert keeper.latched is latched


# -- how the conditions stand


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("exit_power_recovered", {"soc_battery": 0.15}),
        ("exit_thermal_nominal", {"hottest_share": 0.0}),
        ("exit_sensor_conflict_resolved", {"rate_disagreement_rad_s": 0.01}),
        ("exit_orientation_held", {"imu_ok": False}),
        ("exit_profile_matches", {"hash_matches": False}),
        ("exit_on_time", {"late_ticks": 1}),
    ],
)
def test_each_condition_that_always_counts_can_fail_alone(name: str, change: dict[str, object], facts: Make) -> None:
    assert SafeKeeper().failing(facts(**change)) == (name,)
    keeper = keeper_for(Code.SAFE_ORDERED)
    check(keeper, facts(**change))
    assert keeper.passes == 0


@pytest.mark.parametrize(
    ("name", "code", "change"),
    [
        ("exit_bayonet_safe", Code.SAFE_BAYONET_UNSAFE, {"detached": False}),
        ("exit_link_returned", Code.SAFE_COMMS_LOSS, {"link": LinkFacts(600.0)}),
        ("exit_actuators_ready", Code.ACTUATOR_UNAVAILABLE, {"propulsion_ready": False}),
    ],
)
def test_other_conditions_count_with_their_own_reasons_only(
    name: str, code: Code, change: dict[str, object], facts: Make
) -> None:
    assert keeper_for(Code.SAFE_ORDERED).failing(facts(**change)) == ()
    assert keeper_for(code).failing(facts(**change)) == (name,)


def test_nominal_facts_meet_every_exit_condition(facts: Make) -> None:
    keeper = keeper_for(Code.SAFE_ORDERED)
    assert keeper.checks(facts()) == tuple(ExitCheck(name, True) for name in EXIT_CONDITIONS)
    assert keeper.failing(facts(hottest_share=None, rate_disagreement_rad_s=None)) == ()


def test_how_each_stands_is_told_by_name_in_the_order_of_the_table(facts: Make) -> None:
    checks = keeper_for(Code.SAFE_DAMAGE_CRITICAL).checks(facts(late_ticks=1))
    assert [check.name for check in checks] == list(EXIT_CONDITIONS)
    assert {check.name: check.holds for check in checks if check.holds is not True} == {
        "exit_damage_assessed": None, "exit_on_time": False,
    }
