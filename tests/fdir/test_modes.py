"""The mode tables: what they allow, what they refuse, and with which words."""

from __future__ import annotations

import itertools

import pytest

from fdir.codes import Code
from fdir.modes import EMISSION_TRANSITIONS, GUARD_TEXT, TRANSITIONS, Emission, ModeMachine, Motion, Refusal

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
    assert all(target in (Motion.BRAKE, Motion.SAFE) for _, target in extra)
    assert (Motion.BOOT, Motion.BRAKE) not in TRANSITIONS


@pytest.mark.parametrize(("source", "target"), list(itertools.product(Motion, Motion)))
def test_what_the_table_does_not_list_is_refused_and_changes_nothing(source, target, facts) -> None:
    if (source, target) in TRANSITIONS:
        return
    machine = ModeMachine()
    machine.motion = source
    assert machine.move(target, facts()) == Refusal(source, target, (Code.TRANSITION_NOT_ALLOWED,))
    assert machine.motion is source


def test_every_guard_has_a_text_for_the_document() -> None:
    assert {t.guard for t in TRANSITIONS.values()} <= set(GUARD_TEXT)


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
        (Motion.COAST, Motion.BRAKE, {"propellant_kg": 0.0}, Code.WORKING_MASS_LOW),
        (Motion.COAST, Motion.BRAKE, {"propulsion_ready": False}, Code.RCS_UNAVAILABLE),
        (Motion.COAST, Motion.BRAKE, {"joint_locked_unrated": True}, Code.BAYONET_UNSAFE),
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


def test_emission_region_is_independent_of_motion(facts) -> None:
    machine = ModeMachine()
    assert machine.set_emission(Emission.SILENT) is None
    assert (machine.motion, machine.emission) == (Motion.BOOT, Emission.SILENT)
    assert machine.set_emission(Emission.SILENT) == Refusal("silent", "silent", (Code.TRANSITION_NOT_ALLOWED,))
    assert len(EMISSION_TRANSITIONS) == 6
