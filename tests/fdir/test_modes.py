"""The mode tables: what they allow, what they refuse, and with which words."""

from __future__ import annotations

import itertools

import pytest

from fdir.brake import NEVER_SKIPPED
from fdir.codes import Code
from fdir.facts import EnergyFacts
from fdir.modes import (
    ALSO_AGAINST,
    BURN_LIMIT_NS,
    EMISSION_TRANSITIONS,
    GUARD_TEXT,
    TRANSITIONS,
    Emission,
    ModeMachine,
    Motion,
    Refusal,
    Transition,
)

NAMED = {
    (Motion.BOOT, Motion.IDLE), (Motion.BOOT, Motion.SAFE),
    (Motion.IDLE, Motion.MANOEUVRE), (Motion.IDLE, Motion.BURN), (Motion.IDLE, Motion.DOCK),
    (Motion.IDLE, Motion.COAST),
    (Motion.MANOEUVRE, Motion.IDLE), (Motion.MANOEUVRE, Motion.BURN), (Motion.MANOEUVRE, Motion.DOCK),
    (Motion.BURN, Motion.COAST), (Motion.BURN, Motion.BRAKE), (Motion.BURN, Motion.IDLE),
    (Motion.COAST, Motion.BRAKE), (Motion.COAST, Motion.BURN), (Motion.COAST, Motion.MANOEUVRE),
    (Motion.COAST, Motion.IDLE), (Motion.BRAKE, Motion.COAST), (Motion.BRAKE, Motion.IDLE),
    (Motion.DOCK, Motion.BRIDGE), (Motion.DOCK, Motion.MANOEUVRE), (Motion.DOCK, Motion.BRAKE),
    (Motion.DOCK, Motion.IDLE),
    (Motion.BRIDGE, Motion.DOCK), (Motion.BRIDGE, Motion.SAFE), (Motion.SAFE, Motion.IDLE),
}
"""The rows of the mode table as the craft's reference lists them, apart from the two 'any' rows."""


def test_table_holds_every_named_row_and_only_the_any_rows_besides() -> None:
    extra = set(TRANSITIONS) - NAMED
    assert set(TRANSITIONS) >= NAMED
    assert extra == {(m, t) for t in (Motion.BRAKE, Motion.SAFE) for m in Motion if m is not t} - NAMED - {
        (Motion.BOOT, Motion.BRAKE)
    }
    assert all((t.source, t.target) == move for move, t in TRANSITIONS.items())


@pytest.mark.parametrize(("source", "target"), list(itertools.product(Motion, Motion)))
def test_what_the_table_does_not_list_is_refused_and_changes_nothing(source, target, facts) -> None:
    if (source, target) in TRANSITIONS:
        return
    machine = ModeMachine()
    machine.motion = source
    bridged = (Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,) if (source, target) == (Motion.BRIDGE, Motion.BURN) else ()
    assert machine.move(target, facts()) == Refusal(source, target, (Code.TRANSITION_NOT_ALLOWED, *bridged))
    assert machine.motion is source


def test_what_is_said_beside_a_missing_row_is_said_of_no_row_that_is_there() -> None:
    assert not set(ALSO_AGAINST) & set(TRANSITIONS)


def test_every_guard_has_a_text_for_the_document() -> None:
    asked = {t.guard for t in TRANSITIONS.values()} | {t.boost_guard for t in TRANSITIONS.values() if t.boost_guard}
    assert asked == set(GUARD_TEXT)


def in_mode(source: Motion, entered_ns: int = 0) -> ModeMachine:
    machine = ModeMachine()
    machine.motion = source
    machine.entered_ns = entered_ns
    return machine


@pytest.mark.parametrize(
    ("source", "target", "change", "code"),
    [
        (Motion.BOOT, Motion.IDLE, {"self_test_passed": None}, Code.SELF_TEST_PENDING),
        (Motion.BOOT, Motion.IDLE, {"self_test_passed": False}, Code.SELF_TEST_FAILED),
        (Motion.BOOT, Motion.IDLE, {"hash_matches": False}, Code.HASH_MISMATCH),
        (Motion.IDLE, Motion.MANOEUVRE, {"propulsion_ready": False}, Code.RCS_UNAVAILABLE),
        (Motion.IDLE, Motion.MANOEUVRE, {"propellant_kg": 0.0}, Code.WORKING_MASS_LOW),
        (Motion.IDLE, Motion.MANOEUVRE, {"imu_ok": False}, Code.SENSOR_MISSING),
        (Motion.IDLE, Motion.MANOEUVRE, {"hottest_share": 1.0}, Code.THERMAL_BLOCK),
        (Motion.IDLE, Motion.BURN, {"attitude_known": False}, Code.ATTITUDE_UNKNOWN),
        (Motion.IDLE, Motion.BURN, {"soc_supercap": None}, Code.POWER_TELEM_MISSING),
        (Motion.IDLE, Motion.BURN, {"soc_supercap": 0.2999}, Code.CAP_LOW),
        (Motion.IDLE, Motion.BURN, {"joint_locked_unrated": True}, Code.BAYONET_UNSAFE),
        (Motion.IDLE, Motion.COAST, {"speed_m_s": 0.05}, Code.NOT_MOVING),
        (Motion.IDLE, Motion.COAST, {"speed_m_s": None}, Code.NOT_MOVING),
        (Motion.BRAKE, Motion.IDLE, {"speed_m_s": 0.0501}, Code.STILL_MOVING),
        (Motion.BRAKE, Motion.IDLE, {"speed_m_s": None}, Code.STILL_MOVING),
        (Motion.MANOEUVRE, Motion.IDLE, {"settled": False}, Code.NOT_SETTLED),
        (Motion.BURN, Motion.COAST, {"segment_done": False}, Code.NOT_SETTLED),
        (Motion.IDLE, Motion.DOCK, {"target_range_m": 5000.1}, Code.TARGET_OUT_OF_RANGE),
        (Motion.DOCK, Motion.BRIDGE, {"bridge_allowed": False}, Code.BAYONET_UNSAFE),
        (Motion.DOCK, Motion.IDLE, {"detached": False}, Code.BAYONET_UNSAFE),
        (Motion.IDLE, Motion.DOCK, {"target_range_m": 10.0, "imu_ok": False}, Code.SENSOR_MISSING),
        (Motion.IDLE, Motion.DOCK, {"target_range_m": None}, Code.TARGET_OUT_OF_RANGE),
        (Motion.MANOEUVRE, Motion.DOCK, {"target_range_m": 5000.1, "imu_ok": False}, Code.TARGET_OUT_OF_RANGE),
        (Motion.MANOEUVRE, Motion.BURN, {"soc_supercap": 0.2999}, Code.CAP_LOW),
        (Motion.COAST, Motion.BURN, {"soc_supercap": 0.2999}, Code.CAP_LOW),
        (Motion.COAST, Motion.MANOEUVRE, {"hottest_share": 1.0}, Code.THERMAL_BLOCK),
        (Motion.BURN, Motion.IDLE, {"speed_m_s": 0.0501}, Code.STILL_MOVING),
        (Motion.BRAKE, Motion.COAST, {"speed_m_s": 0.05}, Code.NOT_MOVING),
        (Motion.BRIDGE, Motion.DOCK, {}, Code.POWER_TELEM_MISSING),
        (Motion.BRIDGE, Motion.DOCK, {"energy": EnergyFacts(dock_current_a=0.101)}, Code.BRIDGE_ELECTRICAL_UNSAFE),
        (Motion.BRIDGE, Motion.DOCK, {"energy": EnergyFacts(dock_current_a=-0.101)}, Code.BRIDGE_ELECTRICAL_UNSAFE),
        (Motion.COAST, Motion.BRAKE, {"propellant_kg": 0.0}, Code.WORKING_MASS_LOW),
        (Motion.COAST, Motion.BRAKE, {"propulsion_ready": False}, Code.RCS_UNAVAILABLE),
        (Motion.COAST, Motion.BRAKE, {"joint_locked_unrated": True}, Code.BRIDGE_ACTIVE_RESTRICTED_MOTION),
    ],
)
def test_guard_refuses_with_its_code(source, target, change, code, facts) -> None:
    machine = ModeMachine()
    machine.motion = source
    refusal = machine.move(target, facts(**change))
    assert refusal is not None
    assert refusal.codes == (code,)
    assert machine.motion is source


@pytest.mark.parametrize(
    ("source", "target", "change"),
    [
        (Motion.BOOT, Motion.IDLE, {}),
        (Motion.IDLE, Motion.BURN, {"soc_supercap": 0.30}),
        (Motion.IDLE, Motion.COAST, {"speed_m_s": 0.051}),
        (Motion.BRAKE, Motion.IDLE, {"speed_m_s": 0.05}),
        (Motion.IDLE, Motion.DOCK, {"target_range_m": 5000.0}),
        (Motion.DOCK, Motion.BRIDGE, {"bridge_allowed": True}),
        (Motion.MANOEUVRE, Motion.IDLE, {}),
        (Motion.BURN, Motion.COAST, {}),
        (Motion.DOCK, Motion.IDLE, {}),
        (Motion.DOCK, Motion.MANOEUVRE, {"target_range_m": None}),
        (Motion.IDLE, Motion.MANOEUVRE, {"hottest_share": 0.999}),
        (Motion.IDLE, Motion.MANOEUVRE, {"propellant_kg": 1e-3}),
        (Motion.IDLE, Motion.MANOEUVRE, {"hottest_share": None}),
        (Motion.IDLE, Motion.DOCK, {"target_range_m": 5000.0, "soc_supercap": 0.0}),
        (Motion.MANOEUVRE, Motion.DOCK, {"target_range_m": 5000.0, "imu_ok": False}),
        (Motion.BURN, Motion.IDLE, {"speed_m_s": 0.05}),
        (Motion.BRAKE, Motion.COAST, {"speed_m_s": 0.0501}),
        (Motion.BRAKE, Motion.COAST, {"speed_m_s": None}),
        (Motion.COAST, Motion.IDLE, {"speed_m_s": 1.0}),
        (Motion.BRIDGE, Motion.DOCK, {"energy": EnergyFacts(dock_current_a=0.1)}),
        (Motion.BRIDGE, Motion.DOCK, {"energy": EnergyFacts(dock_current_a=-0.1)}),
    ],
)
def test_guard_lets_pass_at_the_edge(source, target, change, facts) -> None:
    machine = ModeMachine()
    machine.motion = source
    assert machine.move(target, facts(t_ns=7, **change)) is None
    assert machine.motion is target
    assert machine.entered_ns == 7


def test_all_reasons_come_in_one_refusal(facts) -> None:
    machine = ModeMachine()
    machine.motion = Motion.IDLE
    refusal = machine.check(Motion.BURN, facts(soc_supercap=0.1, attitude_known=False, propellant_kg=0.0))
    assert refusal is not None
    assert set(refusal.codes) == {Code.WORKING_MASS_LOW, Code.ATTITUDE_UNKNOWN, Code.CAP_LOW}


@pytest.mark.parametrize(("charge", "code"), [(0.1, Code.CAP_LOW), (None, Code.POWER_TELEM_MISSING)])
@pytest.mark.parametrize("boost", [False, True])
def test_all_reasons_against_a_burn_come_at_once(charge: float | None, code: Code, boost: bool, facts) -> None:
    wrong = facts(
        propulsion_ready=False, propellant_kg=0.0, imu_ok=False, hottest_share=1.0, attitude_known=False,
        soc_supercap=charge, joint_locked_unrated=True,
    )
    assert in_mode(Motion.COAST).check(Motion.BURN, wrong, boost) == Refusal("Coast", "Burn", (
        Code.RCS_UNAVAILABLE, Code.WORKING_MASS_LOW, Code.SENSOR_MISSING, Code.THERMAL_BLOCK, Code.ATTITUDE_UNKNOWN,
        code, Code.BAYONET_UNSAFE,
    ))


def test_a_new_machine_is_in_boot_since_the_start_and_radiates() -> None:
    machine = ModeMachine()
    assert (machine.motion, machine.emission, machine.entered_ns) == (Motion.BOOT, Emission.OPEN, 0)


def test_without_a_word_a_burn_is_at_ztt_and_has_just_begun(facts) -> None:
    low = facts(soc_supercap=0.4, segment_done=False)
    assert in_mode(Motion.IDLE).check(Motion.BURN, low) is None
    assert TRANSITIONS[Motion.IDLE, Motion.BURN].refusals(low) == ()
    just = Transition(Motion.BURN, Motion.COAST, TRANSITIONS[Motion.BURN, Motion.COAST].guard, after_ns=1)
    assert just.refusals(low) == (Code.NOT_SETTLED,)
    assert just.refusals(low, 1) == ()


def test_all_reasons_against_an_approach_and_a_boot_come_at_once(facts) -> None:
    wrong = facts(
        propulsion_ready=False, propellant_kg=0.0, imu_ok=False, hottest_share=1.0, self_test_passed=False,
        hash_matches=False,
    )
    moving = (Code.RCS_UNAVAILABLE, Code.WORKING_MASS_LOW, Code.SENSOR_MISSING, Code.THERMAL_BLOCK)
    approach = in_mode(Motion.IDLE).check(Motion.DOCK, wrong)
    assert approach == Refusal("Idle", "Dock", (*moving, Code.TARGET_OUT_OF_RANGE))
    boot = in_mode(Motion.BOOT).check(Motion.IDLE, wrong)
    assert boot == Refusal("Boot", "Idle", (Code.SELF_TEST_FAILED, Code.HASH_MISMATCH))


@pytest.mark.parametrize("source", [Motion.IDLE, Motion.MANOEUVRE, Motion.COAST])
@pytest.mark.parametrize(
    ("charge", "ftg", "ztt"),
    [
        (0.60, (), ()), (0.5999, (Code.CAP_LOW,), ()), (0.30, (Code.CAP_LOW,), ()),
        (0.2999, (Code.CAP_LOW,), (Code.CAP_LOW,)),
        (None, (Code.POWER_TELEM_MISSING,), (Code.POWER_TELEM_MISSING,)),
    ],
)
def test_a_burn_at_ftg_asks_for_t_boost_and_one_at_ztt_for_t_hold(source, charge, ftg, ztt, facts) -> None:
    machine = in_mode(source)
    for boost, codes in ((True, ftg), (False, ztt)):
        refusal = machine.check(Motion.BURN, facts(soc_supercap=charge), boost=boost)
        assert (() if refusal is None else refusal.codes) == codes


def test_a_burn_at_ftg_is_moved_to_only_with_the_charge_for_it(facts) -> None:
    machine = in_mode(Motion.IDLE)
    assert machine.move(Motion.BURN, facts(soc_supercap=0.4), boost=True) == Refusal("Idle", "Burn", (Code.CAP_LOW,))
    assert machine.move(Motion.MANOEUVRE, facts(soc_supercap=0.4), boost=True) is None
    assert machine.move(Motion.BURN, facts(soc_supercap=0.6), boost=True) is None


def test_after_three_seconds_a_burn_may_end_in_coast_though_its_segment_has_not(facts) -> None:
    machine = in_mode(Motion.BURN, entered_ns=7)
    under_way = {"segment_done": False, "speed_m_s": 1.0}
    refusal = machine.move(Motion.COAST, facts(t_ns=7 + BURN_LIMIT_NS - 1, **under_way))
    assert refusal == Refusal("Burn", "Coast", (Code.NOT_SETTLED,))
    assert machine.move(Motion.COAST, facts(t_ns=7 + BURN_LIMIT_NS, **under_way)) is None
    assert BURN_LIMIT_NS == 3_000_000_000


def test_time_opens_no_other_way(facts) -> None:
    late = {"t_ns": 10**15}
    assert in_mode(Motion.MANOEUVRE).check(Motion.IDLE, facts(settled=False, **late)) is not None
    assert in_mode(Motion.BURN).check(Motion.IDLE, facts(speed_m_s=1.0, **late)) is not None
    assert [move for move, t in TRANSITIONS.items() if t.after_ns is not None] == [(Motion.BURN, Motion.COAST)]


@pytest.mark.parametrize("speed", [0.0, 0.05, 0.0501, 5.0, None])
def test_a_brake_ends_in_idle_at_rest_and_in_coast_above_it(speed, facts) -> None:
    open_to = [t for t in (Motion.IDLE, Motion.COAST) if in_mode(Motion.BRAKE).check(t, facts(speed_m_s=speed)) is None]
    assert open_to == [Motion.IDLE if speed is not None and speed <= 0.05 else Motion.COAST]


def test_what_refuses_a_brake_is_what_the_override_never_skips(facts) -> None:
    wrong = facts(propellant_kg=0.0, propulsion_ready=False, joint_locked_unrated=True)
    refusal = in_mode(Motion.SAFE).check(Motion.BRAKE, wrong)
    assert refusal is not None
    assert refusal.codes == tuple(rule.code for rule in NEVER_SKIPPED)


@pytest.mark.parametrize("source", [m for m in Motion if m is not Motion.SAFE])
def test_safe_is_open_from_every_mode_whatever_is_wrong(source, facts) -> None:
    wrong = facts(
        propellant_kg=0.0, propulsion_ready=False, joint_locked_unrated=True, imu_ok=False, attitude_known=False,
        soc_supercap=None, speed_m_s=None, self_test_passed=None, hash_matches=False,
    )
    assert in_mode(source).move(Motion.SAFE, wrong) is None


def test_emission_region_is_independent_of_motion(facts) -> None:
    machine = ModeMachine()
    assert machine.set_emission(Emission.SILENT) is None
    assert (machine.motion, machine.emission) == (Motion.BOOT, Emission.SILENT)
    assert machine.set_emission(Emission.SILENT) == Refusal("silent", "silent", (Code.TRANSITION_NOT_ALLOWED,))
    assert len(EMISSION_TRANSITIONS) == 6
