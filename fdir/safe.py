"""SAFE: why the craft is in it, how deep, and when it may leave.

Entering needs one reason; leaving needs every exit condition to hold for three checks in a row, and an operator's
acknowledgement where a latched reason put the craft there. What a reason asks for and nobody can measure holds by an
operator's word only. No fault reads as ``safe_inactive``, never as unknown. Source: CANON section 10.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.codes import Code
from fdir.exit_conditions import CONFLICT, EXIT_CONDITIONS, ExitCondition
from fdir.facts import Facts

__all__ = [
    "EXIT_CONDITIONS", "LATCHED", "LOCKDOWN", "STATE_RULES", "ExitCheck",
    "SafeKeeper", "SafeState", "StateRule",
]

CHECKS_TO_LEAVE = 3
RELAPSE_NS = 60_000_000_000
"""A reason that comes back this soon after SAFE was left needs a person. Monitors wait for half of it at most."""
LATCHED = frozenset({
    Code.HASH_MISMATCH, Code.SELF_TEST_FAILED, Code.CPU_OVERRUN, Code.BOOT_LOOP, Code.SAFE_ORIENTATION_LOST,
    Code.SAFE_DAMAGE_CRITICAL, Code.SAFE_BLACKBOX_CRITICAL, Code.SAFE_BAYONET_UNSAFE, Code.BRIDGE_ELECTRICAL_UNSAFE,
})
"""Reasons that a person has to acknowledge."""
LOCKDOWN = frozenset({Code.SAFE_THERMAL_CRITICAL, Code.SAFE_DAMAGE_CRITICAL, Code.SAFE_BLACKBOX_CRITICAL})


@unique
class SafeState(StrEnum):
    """How SAFE stands."""

    INACTIVE = "safe_inactive"
    MONITORING = "safe_monitoring"
    WARNING = "safe_warning"
    LIMITED = "safe_limited"
    LOCKDOWN = "safe_lockdown"
    RECOVERY = "safe_recovery"
    UNKNOWN = "safe_unknown"


@dataclass(frozen=True, slots=True)
class ExitCheck:
    """How one exit condition stands; ``holds`` None: it cannot be told, and an operator has to."""

    name: str
    holds: bool | None


@dataclass(slots=True)
class SafeKeeper:
    """Owner of SAFE's reasons and of the way out."""

    reasons: tuple[Code, ...] = ()
    acknowledged: bool = False
    passes: int = 0
    undecided: tuple[str, ...] = ()
    """Exit conditions that could not be told at the last check."""
    held: bool = False
    """A person has to acknowledge whatever the reasons are: one came back within a minute of leaving, or SAFE was
    latched before a restart."""
    _checked_ns: int = 0
    _left: tuple[Code, ...] = ()
    _left_ns: int | None = None

    def enter(self, code: Code) -> bool:
        """Note a reason; returns whether it is new. Each starts the way out over and voids the acknowledgement."""
        self.passes = 0
        self.acknowledged = False
        if code in self.reasons:
            return False
        self.reasons += (code,)
        return True

    def restore(self, reasons: tuple[Code, ...], latched: bool) -> None:
        """Take up the reasons from before a restart: they stand first, and the way out starts over."""
        self.reasons = tuple(dict.fromkeys((*reasons, *self.reasons)))
        self.held = self.held or latched
        self.passes = 0
        self.acknowledged = False

    def check(self, facts: Facts, alarmed: bool = False) -> None:
        """One check of the exit conditions, at the slow rate while in SAFE.

        ``alarmed``: a monitor that leads to SAFE is still tripped, so that nothing holds.
        """
        self._checked_ns = facts.t_ns
        soon = self._left_ns is not None and facts.t_ns - self._left_ns < RELAPSE_NS
        if soon and any(code in self._left for code in self.reasons):
            self.held = True
        checks = self.checks(facts)
        self.undecided = tuple(check.name for check in checks if check.holds is None)
        holds = not alarmed and all(check.holds for check in checks)
        self.passes = min(self.passes + 1, CHECKS_TO_LEAVE) if holds else 0

    def checks(self, facts: Facts) -> tuple[ExitCheck, ...]:
        """How every exit condition stands now, in the order of the table."""
        return tuple(ExitCheck(name, self._holds(row, facts)) for name, row in EXIT_CONDITIONS.items())

    def failing(self, facts: Facts) -> tuple[str, ...]:
        """Names of the exit conditions that do not hold."""
        return tuple(check.name for check in self.checks(facts) if not check.holds)

    def refusals(self) -> tuple[Code, ...]:
        """What speaks against leaving now."""
        codes: tuple[Code, ...] = (Code.SAFE_EXIT_CONDITIONS,) if self.passes < CHECKS_TO_LEAVE else ()
        if (self.latched or self.undecided) and not self.acknowledged:
            codes += (Code.OPERATOR_ACKNOWLEDGE,)
        return codes

    @property
    def latched(self) -> bool:
        """Whether a person has to acknowledge."""
        return self.held or any(code in LATCHED for code in self.reasons)

    def acknowledge(self) -> None:
        """The operator has seen the reasons."""
        self.acknowledged = True

    def interrupt(self) -> None:
        """SAFE is interrupted by a brake: the checks start over after it."""
        self.passes = 0

    def leave(self) -> None:
        """SAFE was left; forget the reasons, but for a relapse."""
        self._left = tuple(code for code in self.reasons if code is not Code.SAFE_ORDERED)
        self._left_ns = self._checked_ns
        self.reasons = ()
        self.acknowledged = False
        self.passes = 0
        self.undecided = ()
        self.held = False

    @property
    def state(self) -> SafeState:
        """How SAFE stands now: the first rule that holds."""
        return next(rule.state for rule in STATE_RULES if rule.holds(self))

    def _holds(self, row: ExitCondition, facts: Facts) -> bool | None:
        asked = any(code in row.reasons for code in self.reasons)
        if not (asked or row.always):
            return True
        verdict = row.test(facts)
        if verdict is None and (self.acknowledged or not asked):
            return True
        return verdict


@dataclass(frozen=True, slots=True)
class StateRule:
    """When SAFE reads as a state."""

    state: SafeState
    holds: Callable[[SafeKeeper], bool]
    text: str


def _without_reason(keeper: SafeKeeper) -> bool:
    return not keeper.reasons


def _open(keeper: SafeKeeper) -> bool:
    return keeper.passes >= CHECKS_TO_LEAVE


def _locked_down(keeper: SafeKeeper) -> bool:
    return any(code in LOCKDOWN for code in keeper.reasons)


def _undecided(keeper: SafeKeeper) -> bool:
    return bool(keeper.undecided)


def _counting(keeper: SafeKeeper) -> bool:
    return keeper.passes > 0


def _conflict_alone(keeper: SafeKeeper) -> bool:
    return all(code in CONFLICT for code in keeper.reasons)


def _otherwise(_keeper: SafeKeeper) -> bool:
    return True


STATE_RULES: tuple[StateRule, ...] = (
    StateRule(SafeState.INACTIVE, _without_reason, "no reason"),
    StateRule(SafeState.RECOVERY, _open, "every exit condition held three times in a row: the way out is open"),
    StateRule(SafeState.LOCKDOWN, _locked_down, "heat, damage or the black box is critical"),
    StateRule(SafeState.UNKNOWN, _undecided, "what a reason asks for cannot be told"),
    StateRule(SafeState.MONITORING, _counting, "every exit condition holds and is being counted"),
    StateRule(SafeState.WARNING, _conflict_alone, "a sensor conflict alone"),
    StateRule(SafeState.LIMITED, _otherwise, "otherwise"),
)
"""In this order; the first that holds."""
