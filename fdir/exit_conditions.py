"""Exit conditions of SAFE, as a table: what has to hold before the craft may leave, and which reasons ask for it.

Source: CANON section 10.1; those from ``exit_orientation_held`` on are of this craft's other reasons.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fdir.codes import Code
from fdir.facts import Facts

__all__ = [
    "CONFLICT", "CONFLICT_LEAVE_RAD_S", "EXIT_CONDITIONS", "RATE_LEAVE_RAD_S", "SOC_BATTERY_LEAVE", "ExitCondition",
]

SOC_BATTERY_LEAVE = 0.15
RATE_LEAVE_RAD_S = 0.0873
"""5 deg/s, the docking rate limit: a craft that turns slower has its attitude in hand. Both are what the craft starts
with; what is set in flight stands in ``Facts.limits``."""
CONFLICT_LEAVE_RAD_S = 0.00873
"""0.5 deg/s between gyro and star tracker: half of what counts as a conflict."""
CONFLICT = frozenset({Code.SAFE_SENSOR_CONFLICT, Code.SENSOR_CONFLICTING})
"""Reasons that say two sensors differ."""


def _power_recovered(facts: Facts) -> bool | None:
    battery, supercap = facts.soc_battery, facts.soc_supercap
    if battery is None or supercap is None:
        return None
    return battery > facts.limits.leave_soc and supercap > facts.hold_soc


def _thermal_nominal(facts: Facts) -> bool | None:
    if facts.energy.computer_too_hot:
        return False
    return None if facts.hottest_share is None else facts.hottest_share < 0.0


def _conflict_resolved(facts: Facts) -> bool | None:
    differ = facts.rate_disagreement_rad_s
    return None if differ is None else differ < CONFLICT_LEAVE_RAD_S


def _pdu_cleared(facts: Facts) -> bool | None:
    return not facts.energy.overcurrent_unsolved


def _by_a_person(_facts: Facts) -> bool | None:
    # Neither damage nor what a black box has lost can be measured on board.
    return None


def _orientation_held(facts: Facts) -> bool | None:
    return facts.imu_ok and facts.rate_rad_s is not None and facts.rate_rad_s < facts.limits.leave_rate_rad_s


def _profile_matches(facts: Facts) -> bool | None:
    return facts.hash_matches and facts.self_test_passed is True


def _on_time(facts: Facts) -> bool | None:
    return facts.late_ticks == 0


def _bayonet_safe(facts: Facts) -> bool | None:
    return facts.detached or (facts.bridge_allowed and not facts.joint_locked_unrated)


def _link_returned(facts: Facts) -> bool | None:
    age = facts.link.uplink_age_s
    return None if age is None else age < facts.limits.command_loss_s


def _actuators_ready(facts: Facts) -> bool | None:
    return facts.propulsion_ready


@dataclass(frozen=True, slots=True)
class ExitCondition:
    """One condition of the way out.

    ``test`` answers True (holds), False, or None (cannot tell). ``reasons`` are those that it is about: with one of
    them, what cannot be told needs an operator's acknowledgement; without, it is let pass. ``always``: False keeps the
    craft in SAFE whatever the reason was; otherwise the condition counts only with its own reasons. ``text``: for the
    printed page.
    """

    test: Callable[[Facts], bool | None]
    reasons: frozenset[Code]
    text: str
    always: bool = True


_C = ExitCondition
EXIT_CONDITIONS: dict[str, ExitCondition] = {
    "exit_power_recovered": _C(
        _power_recovered, frozenset({Code.SAFE_POWER_LOW, Code.SAFE_CAP_LOW}),
        f"SoC_bat above {100 * SOC_BATTERY_LEAVE:.0f} %, or what is set, and SoC_cap above T_hold",
    ),
    "exit_thermal_nominal": _C(
        _thermal_nominal, frozenset({Code.SAFE_THERMAL_CRITICAL}),
        "every thermal node below its warning, and the computer below its trip",
    ),
    "exit_sensor_conflict_resolved": _C(
        _conflict_resolved, CONFLICT, "gyro and star tracker differ by less than 0.5 deg/s"
    ),
    "exit_pdu_fault_cleared": _C(
        _pdu_cleared, frozenset({Code.SAFE_PDU_FAULT}), "the main bus carries no more than its limit"
    ),
    "exit_damage_assessed": _C(
        _by_a_person, frozenset({Code.SAFE_DAMAGE_CRITICAL}), "an operator has assessed the damage", always=False
    ),
    "exit_blackbox_reviewed": _C(
        _by_a_person, frozenset({Code.SAFE_BLACKBOX_CRITICAL}), "an operator has reviewed the black box", always=False
    ),
    "exit_orientation_held": _C(
        _orientation_held,
        frozenset({
            Code.SAFE_ORIENTATION_LOST, Code.SENSOR_MISSING, Code.SENSOR_DEGRADED, Code.SENSORS_UNAVAILABLE,
            Code.SENSORS_STALE,
        }),
        f"inertial unit good, and body rate below {RATE_LEAVE_RAD_S * 57.29578:.0f} deg/s, or what is set",
    ),
    "exit_profile_matches": _C(
        _profile_matches, frozenset({Code.HASH_MISMATCH, Code.SELF_TEST_FAILED}),
        "hardware profile hash matches and the self-test has passed",
    ),
    "exit_on_time": _C(_on_time, frozenset({Code.CPU_OVERRUN}), "no late tick"),
    "exit_bayonet_safe": _C(
        _bayonet_safe, frozenset({Code.SAFE_BAYONET_UNSAFE, Code.BRIDGE_ELECTRICAL_UNSAFE}),
        "detached, or bridge allowed and no unrated locked joint", always=False,
    ),
    "exit_link_returned": _C(
        _link_returned, frozenset({Code.SAFE_COMMS_LOSS}), "last valid uplink younger than the command-loss time",
        always=False,
    ),
    "exit_actuators_ready": _C(
        _actuators_ready, frozenset({Code.ACTUATOR_UNAVAILABLE}), "propulsion ready", always=False
    ),
}
"""By name, in the order in which they are told."""
