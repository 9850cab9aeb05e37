"""SAFE: why the craft is in it, how deep, and when it may leave.

Entering needs one reason; leaving needs every exit condition to hold for three checks in a row, and an operator's
acknowledgement where a latched reason put the craft there. No fault reads as ``safe_inactive``, never as unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.codes import Code
from fdir.facts import Facts

__all__ = ["EXIT_CONDITIONS", "LATCHED", "SafeKeeper", "SafeState"]

CHECKS_TO_LEAVE = 3
SOC_BATTERY_LEAVE = 0.15
RATE_LEAVE_RAD_S = 0.0873
"""5 deg/s, the docking rate limit: a craft that turns slower has its attitude in hand."""
LATCHED = frozenset({Code.HASH_MISMATCH, Code.SELF_TEST_FAILED, Code.CPU_OVERRUN, Code.SAFE_ORIENTATION_LOST})
"""Reasons that a person has to acknowledge."""
LOCKDOWN = frozenset({Code.SAFE_THERMAL_CRITICAL})


@unique
class SafeState(StrEnum):
    """How SAFE stands."""

    INACTIVE = "safe_inactive"
    WARNING = "safe_warning"
    LIMITED = "safe_limited"
    LOCKDOWN = "safe_lockdown"
    RECOVERY = "safe_recovery"


def _power_recovered(facts: Facts) -> bool:
    return (
        facts.soc_battery is not None and facts.soc_battery > SOC_BATTERY_LEAVE
        and facts.soc_supercap is not None and facts.soc_supercap > facts.hold_soc
    )


def _thermal_nominal(facts: Facts) -> bool:
    return facts.hottest_share is None or facts.hottest_share < 0.0


def _orientation_held(facts: Facts) -> bool:
    return facts.imu_ok and facts.rate_rad_s is not None and facts.rate_rad_s < RATE_LEAVE_RAD_S


def _profile_matches(facts: Facts) -> bool:
    return facts.hash_matches and facts.self_test_passed is True


def _pdu_cleared(facts: Facts) -> bool:
    return not facts.energy.overcurrent_unsolved


def _on_time(facts: Facts) -> bool:
    return facts.late_ticks == 0


EXIT_CONDITIONS: dict[str, Callable[[Facts], bool]] = {
    "exit_power_recovered": _power_recovered,
    "exit_thermal_nominal": _thermal_nominal,
    "exit_pdu_fault_cleared": _pdu_cleared,
    "exit_orientation_held": _orientation_held,
    "exit_profile_matches": _profile_matches,
    "exit_on_time": _on_time,
}


@dataclass(slots=True)
class SafeKeeper:
    """Owner of SAFE's reasons and of the way out."""

    reasons: tuple[Code, ...] = ()
    acknowledged: bool = False
    passes: int = 0

    def enter(self, code: Code) -> bool:
        """Note a reason; returns whether it is new. Each starts the way out over and voids the acknowledgement."""
        self.passes = 0
        self.acknowledged = False
        if code in self.reasons:
            return False
        self.reasons += (code,)
        return True

    def check(self, facts: Facts, alarmed: bool = False) -> None:
        """One check of the exit conditions, at the slow rate while in SAFE.

        ``alarmed``: a monitor that leads to SAFE is still tripped, so that nothing holds.
        """
        holds = not alarmed and all(condition(facts) for condition in EXIT_CONDITIONS.values())
        self.passes = min(self.passes + 1, CHECKS_TO_LEAVE) if holds else 0

    def failing(self, facts: Facts) -> tuple[str, ...]:
        """Names of the exit conditions that do not hold."""
        return tuple(name for name, condition in EXIT_CONDITIONS.items() if not condition(facts))

    def refusals(self) -> tuple[Code, ...]:
        """What speaks against leaving now."""
        codes: tuple[Code, ...] = ()
        if self.passes < CHECKS_TO_LEAVE:
            codes += (Code.SAFE_EXIT_CONDITIONS,)
        if self.latched and not self.acknowledged:
            codes += (Code.OPERATOR_ACKNOWLEDGE,)
        return codes

    @property
    def latched(self) -> bool:
        """Whether a person has to acknowledge."""
        return any(code in LATCHED for code in self.reasons)

    def acknowledge(self) -> None:
        """The operator has seen the reasons."""
        self.acknowledged = True

    def leave(self) -> None:
        """SAFE was left; forget the reasons."""
        self.reasons = ()
        self.acknowledged = False
        self.passes = 0

    @property
    def state(self) -> SafeState:
        """How SAFE stands now."""
        if not self.reasons:
            return SafeState.INACTIVE
        if any(code in LOCKDOWN for code in self.reasons):
            return SafeState.LOCKDOWN
        if self.passes > 0:
            return SafeState.RECOVERY
        return SafeState.WARNING if self.reasons == (Code.SENSOR_CONFLICTING,) else SafeState.LIMITED
