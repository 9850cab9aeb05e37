"""The mode machine: two regions, motion and emission, each a table; what the table does not list is refused.

Guards are named functions of :class:`fdir.facts.Facts` that return the codes which speak against a move. The page
``docs/reference/modes.md`` is printed from these tables. Source: CANON section 9.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.brake import END_SPEED_M_S
from fdir.brake import refusals as brake_refusals
from fdir.codes import Code
from fdir.facts import Facts

__all__ = [
    "ALSO_AGAINST", "BURN_LIMIT_NS", "COAST_SPEED_M_S", "EMISSION_TRANSITIONS", "GUARD_TEXT", "TRANSITIONS", "Emission",
    "ModeMachine", "Motion", "Refusal", "Transition",
]

COAST_SPEED_M_S = END_SPEED_M_S
"""Relative speed up to which a craft counts as at rest."""
DOCK_TARGET_RANGE_M = 5000.0
BURN_LIMIT_NS = 3_000_000_000
"""Longest time in Burn before Coast is open even though the segment has not ended."""
DOCK_IDLE_A = 0.1
"""Current either way up to which the dock counts as carrying no power."""


@unique
class Motion(StrEnum):
    """Motion region."""

    BOOT = "Boot"
    IDLE = "Idle"
    MANOEUVRE = "Manoeuvre"
    BURN = "Burn"
    COAST = "Coast"
    BRAKE = "Brake"
    DOCK = "Dock"
    BRIDGE = "Bridge"
    SAFE = "SAFE"


@unique
class Emission(StrEnum):
    """Emission region: whether the body radiates."""

    OPEN = "open"
    RESTRICTED = "restricted"
    SILENT = "silent"


Guard = Callable[[Facts], tuple[Code, ...]]


def _always(_facts: Facts) -> tuple[Code, ...]:
    return ()


def _booted(facts: Facts) -> tuple[Code, ...]:
    codes: tuple[Code, ...] = ()
    if facts.self_test_passed is None:
        codes = (Code.SELF_TEST_PENDING,)
    elif not facts.self_test_passed:
        codes = (Code.SELF_TEST_FAILED,)
    if not facts.hash_matches:
        codes += (Code.HASH_MISMATCH,)
    return codes


def _can_move(facts: Facts) -> tuple[Code, ...]:
    codes: tuple[Code, ...] = () if facts.propulsion_ready else (Code.RCS_UNAVAILABLE,)
    if facts.propellant_kg <= 0.0:
        codes += (Code.WORKING_MASS_LOW,)
    if not facts.imu_ok:
        codes += (Code.SENSOR_MISSING,)
    if facts.hottest_share is not None and facts.hottest_share >= 1.0:
        codes += (Code.THERMAL_BLOCK,)
    return codes


def _can_burn(facts: Facts) -> tuple[Code, ...]:
    codes = _can_move(facts)
    if not facts.attitude_known:
        codes += (Code.ATTITUDE_UNKNOWN,)
    if facts.soc_supercap is None:
        codes += (Code.POWER_TELEM_MISSING,)
    elif facts.soc_supercap < facts.hold_soc:
        codes += (Code.CAP_LOW,)
    if facts.joint_locked_unrated:
        codes += (Code.BAYONET_UNSAFE,)
    return codes


def _can_boost(facts: Facts) -> tuple[Code, ...]:
    codes = _can_burn(facts)
    low = facts.soc_supercap is not None and facts.soc_supercap < facts.boost_soc
    return (*codes, Code.CAP_LOW) if low and Code.CAP_LOW not in codes else codes


def _moving(facts: Facts) -> tuple[Code, ...]:
    return () if facts.speed_m_s is not None and facts.speed_m_s > COAST_SPEED_M_S else (Code.NOT_MOVING,)


def _at_rest(facts: Facts) -> tuple[Code, ...]:
    return () if facts.speed_m_s is not None and facts.speed_m_s <= COAST_SPEED_M_S else (Code.STILL_MOVING,)


def _brake_spent(facts: Facts) -> tuple[Code, ...]:
    # At rest a brake ends in Idle, and nowhere else.
    at_rest = facts.speed_m_s is not None and facts.speed_m_s <= COAST_SPEED_M_S
    return (Code.NOT_MOVING,) if at_rest else ()


def _settled(facts: Facts) -> tuple[Code, ...]:
    return () if facts.settled else (Code.NOT_SETTLED,)


def _segment_done(facts: Facts) -> tuple[Code, ...]:
    return () if facts.segment_done else (Code.NOT_SETTLED,)


def _target_near(facts: Facts) -> tuple[Code, ...]:
    near = facts.target_range_m is not None and facts.target_range_m <= DOCK_TARGET_RANGE_M
    return () if near else (Code.TARGET_OUT_OF_RANGE,)


def _can_approach(facts: Facts) -> tuple[Code, ...]:
    return _can_move(facts) + _target_near(facts)


def _bridge_allowed(facts: Facts) -> tuple[Code, ...]:
    return () if facts.bridge_allowed else (Code.BAYONET_UNSAFE,)


def _detached(facts: Facts) -> tuple[Code, ...]:
    return () if facts.detached else (Code.BAYONET_UNSAFE,)


def _bridge_shut_down(facts: Facts) -> tuple[Code, ...]:
    current = facts.energy.dock_current_a
    if current is None:
        return (Code.POWER_TELEM_MISSING,)
    return () if abs(current) <= DOCK_IDLE_A else (Code.BRIDGE_ELECTRICAL_UNSAFE,)


def _brake_override(facts: Facts) -> tuple[Code, ...]:
    return brake_refusals(facts)


GUARD_TEXT: dict[Guard, str] = {
    _always: "always",
    _booted: "self-test passed and hardware profile hash matches",
    _can_move: "propulsion ready, propellant left, inertial unit good, no thermal trip",
    _can_burn: "as Manoeuvre, and attitude known, SoC_cap at or above T_hold (FTG: T_boost), no unrated joint",
    _can_boost: "as Burn, and SoC_cap at or above T_boost",
    _moving: "speed above 0.05 m/s",
    _at_rest: "speed at or below 0.05 m/s",
    _brake_spent: "still above 0.05 m/s with the budget spent",
    _settled: "error under the dead-band for 2 s",
    _segment_done: "segment done or 3 s limit",
    _target_near: "target within 5000 m",
    _can_approach: "as Manoeuvre, and target within 5000 m",
    _bridge_allowed: "bridge allowed by the whole docking chain",
    _detached: "detached",
    _bridge_shut_down: "no current at the dock",
    _brake_override: "propellant left, propulsion ready, no unrated locked joint",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One legal move of the motion region."""

    source: Motion
    target: Motion
    guard: Guard
    boost_guard: Guard | None = None
    """Asked in place of ``guard`` for a burn at FTG."""
    after_ns: int | None = None
    """Time in the source mode from which on the guard is not asked any more."""

    def refusals(self, facts: Facts, held_ns: int = 0, boost: bool = False) -> tuple[Code, ...]:
        """Every reason against the move, after ``held_ns`` in the source mode; ``boost``: for a burn at FTG."""
        if self.after_ns is not None and held_ns >= self.after_ns:
            return ()
        guard = self.boost_guard if boost and self.boost_guard is not None else self.guard
        return guard(facts)


_M = Motion
_LISTED = (
    Transition(_M.BOOT, _M.IDLE, _booted),
    Transition(_M.IDLE, _M.MANOEUVRE, _can_move),
    Transition(_M.IDLE, _M.BURN, _can_burn, _can_boost),
    Transition(_M.IDLE, _M.DOCK, _can_approach),
    Transition(_M.IDLE, _M.COAST, _moving),
    Transition(_M.MANOEUVRE, _M.IDLE, _settled),
    Transition(_M.MANOEUVRE, _M.BURN, _can_burn, _can_boost),
    Transition(_M.MANOEUVRE, _M.DOCK, _target_near),
    Transition(_M.BURN, _M.COAST, _segment_done, after_ns=BURN_LIMIT_NS),
    Transition(_M.BURN, _M.IDLE, _at_rest),
    Transition(_M.COAST, _M.BURN, _can_burn, _can_boost),
    Transition(_M.COAST, _M.MANOEUVRE, _can_move),
    Transition(_M.COAST, _M.IDLE, _always),
    Transition(_M.BRAKE, _M.COAST, _brake_spent),
    Transition(_M.BRAKE, _M.IDLE, _at_rest),
    Transition(_M.DOCK, _M.BRIDGE, _bridge_allowed),
    Transition(_M.DOCK, _M.MANOEUVRE, _always),
    Transition(_M.DOCK, _M.IDLE, _detached),
    Transition(_M.BRIDGE, _M.DOCK, _bridge_shut_down),
    Transition(_M.SAFE, _M.IDLE, _always),
)
TRANSITIONS: dict[tuple[Motion, Motion], Transition] = {
    **{(t.source, t.target): t for t in _LISTED},
    **{(m, _M.BRAKE): Transition(m, _M.BRAKE, _brake_override) for m in _M if m not in (_M.BOOT, _M.BRAKE)},
    **{(m, _M.SAFE): Transition(m, _M.SAFE, _always) for m in _M if m is not _M.SAFE},
}
"""Every legal move. SAFE to Idle has its own conditions in fdir/safe.py, which must hold first."""
ALSO_AGAINST: dict[tuple[Motion, Motion], tuple[Code, ...]] = {
    (_M.BRIDGE, _M.BURN): (Code.BRIDGE_ACTIVE_RESTRICTED_MOTION,),
}
"""What is said beside TRANSITION_NOT_ALLOWED. A burn under a bridge needs a joint that is rated for it, which no
measurement says today."""

EMISSION_TRANSITIONS: frozenset[tuple[Emission, Emission]] = frozenset(
    (a, b) for a in Emission for b in Emission if a is not b
)
"""Any change of emission is legal; who may order it is a matter of command authority."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A move that was refused, with every reason at once."""

    source: str
    target: str
    codes: tuple[Code, ...]


class ModeMachine:
    """Holds both regions; moves only along the tables."""

    __slots__ = ("emission", "entered_ns", "motion")

    def __init__(self) -> None:
        self.motion = Motion.BOOT
        self.emission = Emission.OPEN
        self.entered_ns = 0

    def check(self, target: Motion, facts: Facts, boost: bool = False) -> Refusal | None:
        """Whether the motion region may move to ``target`` now; ``None`` means yes. ``boost``: for a burn at FTG."""
        move = (self.motion, target)
        transition = TRANSITIONS.get(move)
        if transition is None:
            return Refusal(self.motion, target, (Code.TRANSITION_NOT_ALLOWED, *ALSO_AGAINST.get(move, ())))
        codes = transition.refusals(facts, facts.t_ns - self.entered_ns, boost)
        return Refusal(self.motion, target, codes) if codes else None

    def move(self, target: Motion, facts: Facts, boost: bool = False) -> Refusal | None:
        """Move the motion region if the table and its guard allow; otherwise nothing changes."""
        refusal = self.check(target, facts, boost)
        if refusal is None:
            self.motion = target
            self.entered_ns = facts.t_ns
        return refusal

    def set_emission(self, target: Emission) -> Refusal | None:
        """Move the emission region."""
        if (self.emission, target) not in EMISSION_TRANSITIONS:
            return Refusal(self.emission, target, (Code.TRANSITION_NOT_ALLOWED,))
        self.emission = target
        return None
