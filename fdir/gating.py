"""Command gating: which checks each class of command must pass; all reasons are given in one refusal."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum, unique

from fdir.codes import Code
from fdir.facts import Facts
from fdir.modes import Motion

__all__ = ["CLASS_CHECKS", "CONFIRMED", "SAFE_ALLOWED", "CommandClass", "confirmation", "gate"]


@unique
class CommandClass(StrEnum):
    """Classes of the gating table."""

    STATUS = "status"
    HOLD = "attitude hold, fine pulse"
    ZTT_BURN = "ZTT burn"
    FTG_BURN = "FTG or boost burn"
    OVERRIDE = "manual override"
    BRAKE = "brake"
    MODE_CHANGE = "mode change"
    TRANSMIT = "transmit"
    SWITCH = "switch a load"
    EXTERNAL_POWER = "power from a dock"


Check = Callable[[Facts], tuple[Code, ...]]


def _supercap_at_hold(facts: Facts) -> tuple[Code, ...]:
    if facts.soc_supercap is None:
        return (Code.POWER_TELEM_MISSING,)
    return () if facts.soc_supercap >= facts.hold_soc else (Code.CAP_LOW,)


def _supercap_at_boost(facts: Facts) -> tuple[Code, ...]:
    if facts.soc_supercap is None:
        return (Code.POWER_TELEM_MISSING,)
    return () if facts.soc_supercap >= facts.boost_soc else (Code.CAP_LOW,)


def _cool(facts: Facts) -> tuple[Code, ...]:
    return (Code.THERMAL_BLOCK,) if facts.hottest_share is not None and facts.hottest_share >= 1.0 else ()


def _heat_known(facts: Facts) -> tuple[Code, ...]:
    return (Code.THERMAL_TELEM_MISSING,) if facts.energy.heat_unknown else ()


def _thrusters(facts: Facts) -> tuple[Code, ...]:
    codes: tuple[Code, ...] = () if facts.propulsion_ready else (Code.RCS_UNAVAILABLE,)
    return codes if facts.propellant_kg > 0.0 else (*codes, Code.WORKING_MASS_LOW)


def _rates_trusted(facts: Facts) -> tuple[Code, ...]:
    return () if facts.imu_ok else (Code.SENSOR_MISSING,)


def _attitude_trusted(facts: Facts) -> tuple[Code, ...]:
    return () if facts.attitude_known else (Code.ATTITUDE_UNKNOWN,)


def _joint(facts: Facts) -> tuple[Code, ...]:
    return (Code.BAYONET_UNSAFE,) if facts.joint_locked_unrated else ()


def _battery(facts: Facts) -> tuple[Code, ...]:
    if facts.soc_battery is None:
        return (Code.POWER_TELEM_MISSING,)
    return () if facts.soc_battery > facts.limits.battery_safe_soc else (Code.BAT_LOW,)


_BOOST: tuple[Check, ...] = (
    _battery, _supercap_at_boost, _cool, _heat_known, _thrusters, _rates_trusted, _attitude_trusted, _joint,
)
CLASS_CHECKS: dict[CommandClass, tuple[Check, ...]] = {
    CommandClass.STATUS: (),
    CommandClass.HOLD: (_cool, _thrusters, _rates_trusted),
    CommandClass.ZTT_BURN: (
        _battery, _supercap_at_hold, _cool, _heat_known, _thrusters, _rates_trusted, _attitude_trusted, _joint,
    ),
    CommandClass.FTG_BURN: _BOOST,
    CommandClass.OVERRIDE: _BOOST,
    CommandClass.BRAKE: (_thrusters, _joint),
    CommandClass.MODE_CHANGE: (),
    CommandClass.TRANSMIT: (_battery, _cool),
    CommandClass.SWITCH: (),
    CommandClass.EXTERNAL_POWER: (_cool,),
}
SAFE_ALLOWED = frozenset({
    CommandClass.STATUS, CommandClass.BRAKE, CommandClass.MODE_CHANGE, CommandClass.EXTERNAL_POWER,
})
"""Classes that SAFE lets through."""
CONFIRMED = frozenset({CommandClass.FTG_BURN, CommandClass.EXTERNAL_POWER})
"""Classes that do nothing without confirmation."""


def confirmation(command_class: CommandClass, confirmed: bool) -> tuple[Code, ...]:
    """What is missing of the confirmation that this class of command needs; empty means nothing."""
    missing = command_class in CONFIRMED and not confirmed
    return (Code.CMD_CONFIRMATION_REQUIRED,) if missing else ()


def gate(command_class: CommandClass, motion: Motion, facts: Facts) -> tuple[Code, ...]:
    """Every reason against a command of this class now; empty means allowed."""
    codes: tuple[Code, ...] = ()
    if motion is Motion.SAFE and command_class not in SAFE_ALLOWED:
        codes += (Code.SAFE_LOCKED,)
    if motion is Motion.BOOT and command_class is not CommandClass.STATUS:
        codes += (Code.SELF_TEST_PENDING,)
    for check in CLASS_CHECKS[command_class]:
        codes += check(facts)
    return codes
