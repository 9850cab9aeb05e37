"""Command gating: every class, every reason, all reasons at once."""

from __future__ import annotations

import pytest

from fdir.codes import Code
from fdir.facts import EnergyFacts
from fdir.gating import CLASS_CHECKS, CONFIRMED, SAFE_ALLOWED, CommandClass, confirmation, gate
from fdir.modes import Motion

C = CommandClass


def test_every_class_has_its_checks_and_passes_nominal_facts(facts) -> None:
    assert set(CLASS_CHECKS) == set(CommandClass)
    for command_class in CommandClass:
        assert gate(command_class, Motion.IDLE, facts()) == ()


@pytest.mark.parametrize(
    ("command_class", "change", "code"),
    [
        (C.HOLD, {"hottest_share": 1.0}, Code.THERMAL_BLOCK),
        (C.HOLD, {"propulsion_ready": False}, Code.RCS_UNAVAILABLE),
        (C.HOLD, {"propellant_kg": 0.0}, Code.WORKING_MASS_LOW),
        (C.HOLD, {"imu_ok": False}, Code.SENSOR_MISSING),
        (C.ZTT_BURN, {"soc_supercap": 0.299}, Code.CAP_LOW),
        (C.ZTT_BURN, {"soc_supercap": None}, Code.POWER_TELEM_MISSING),
        (C.ZTT_BURN, {"soc_battery": 0.10}, Code.BAT_LOW),
        (C.ZTT_BURN, {"soc_battery": None}, Code.POWER_TELEM_MISSING),
        (C.ZTT_BURN, {"attitude_known": False}, Code.ATTITUDE_UNKNOWN),
        (C.ZTT_BURN, {"joint_locked_unrated": True}, Code.BAYONET_UNSAFE),
        (C.FTG_BURN, {"soc_supercap": 0.599}, Code.CAP_LOW),
        (C.FTG_BURN, {"soc_supercap": None}, Code.POWER_TELEM_MISSING),
        (C.OVERRIDE, {"soc_supercap": 0.599}, Code.CAP_LOW),
        (C.OVERRIDE, {"hottest_share": 1.0}, Code.THERMAL_BLOCK),
        (C.BRAKE, {"propellant_kg": 0.0}, Code.WORKING_MASS_LOW),
        (C.BRAKE, {"joint_locked_unrated": True}, Code.BAYONET_UNSAFE),
        (C.TRANSMIT, {"hottest_share": 1.2}, Code.THERMAL_BLOCK),
        (C.ZTT_BURN, {"energy": EnergyFacts(heat_unknown=True)}, Code.THERMAL_TELEM_MISSING),
        (C.FTG_BURN, {"energy": EnergyFacts(heat_unknown=True)}, Code.THERMAL_TELEM_MISSING),
        (C.EXTERNAL_POWER, {"hottest_share": 1.0}, Code.THERMAL_BLOCK),
    ],
)
def test_a_failing_check_gives_its_code(command_class, change, code, facts) -> None:
    assert gate(command_class, Motion.IDLE, facts(**change)) == (code,)


def test_brake_does_not_ask_for_charge_heat_or_attitude(facts) -> None:
    bad = facts(soc_battery=0.0, soc_supercap=0.0, hottest_share=0.9, attitude_known=False)
    assert gate(C.BRAKE, Motion.SAFE, bad) == ()


def test_safe_lets_only_status_brake_and_mode_change_through(facts) -> None:
    for command_class in CommandClass:
        refused = Code.SAFE_LOCKED in gate(command_class, Motion.SAFE, facts())
        assert refused is (command_class not in SAFE_ALLOWED)


def test_boot_takes_only_status(facts) -> None:
    for command_class in CommandClass:
        refused = Code.SELF_TEST_PENDING in gate(command_class, Motion.BOOT, facts())
        assert refused is (command_class is not CommandClass.STATUS)


def test_all_reasons_are_listed(facts) -> None:
    codes = gate(C.ZTT_BURN, Motion.SAFE, facts(soc_supercap=0.1, propellant_kg=0.0, imu_ok=False))
    assert codes == (Code.SAFE_LOCKED, Code.CAP_LOW, Code.WORKING_MASS_LOW, Code.SENSOR_MISSING)


def test_a_load_can_be_switched_off_on_an_empty_battery(facts) -> None:
    assert gate(C.SWITCH, Motion.IDLE, facts(soc_battery=0.01, hottest_share=1.0)) == ()


def test_edges_of_charge_belong_to_the_higher_band(facts) -> None:
    assert gate(C.ZTT_BURN, Motion.IDLE, facts(soc_supercap=0.30)) == ()
    assert gate(C.FTG_BURN, Motion.IDLE, facts(soc_supercap=0.60)) == ()
    assert gate(C.ZTT_BURN, Motion.IDLE, facts(soc_supercap=0.599)) == ()


def test_boost_burns_and_power_from_a_dock_alone_need_confirmation() -> None:
    assert frozenset({C.FTG_BURN, C.EXTERNAL_POWER}) == CONFIRMED
    for command_class in CommandClass:
        missing = (Code.CMD_CONFIRMATION_REQUIRED,) if command_class in (C.FTG_BURN, C.EXTERNAL_POWER) else ()
        assert confirmation(command_class, False) == missing
        assert confirmation(command_class, True) == ()
