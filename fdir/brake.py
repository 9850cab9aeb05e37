"""The brake override (CANON section 10.3): what it skips, what it never skips, how far a stop takes, when to evade.

One command class, ordered by one gesture or one trigger of fdir, still sealed and logged like every other. A craft that
is faster than its tank can take out must evade, not brake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite, log

from fdir.codes import Code
from fdir.facts import Facts

__all__ = [
    "END_SPEED_M_S", "FLOWN_TO_ITS_END", "NEVER_SKIPPED", "STRENGTH_N", "Answer", "NeverSkipped", "Skipped",
    "Stopping", "answer", "nulls_rates_first", "refusals", "speed_in_tank", "stopping",
]

STRENGTH_N = 622.0
"""Force that a brake has in every direction: the weakest of body variant T."""
END_SPEED_M_S = 0.05
"""Relative speed at which a brake has ended."""


@unique
class Skipped(StrEnum):
    """What is not asked before a brake, and does not end one."""

    OPERATOR_DIALOGUE = "operator dialogue"
    BOOST_CHARGE = "T_boost"
    HOLD_CHARGE = "T_hold"
    COOLDOWN = "cooldown timer"
    RATE_CAP = "rate cap"
    EMCON = "EMCON"
    MISSION_PROFILE = "mission profile"
    RUNNING_PROFILE = "running profile"


def _propellant(facts: Facts) -> bool:
    return facts.propellant_kg > 0.0


def _propulsion(facts: Facts) -> bool:
    return facts.propulsion_ready


def _joint(facts: Facts) -> bool:
    return not facts.joint_locked_unrated


@dataclass(frozen=True, slots=True)
class NeverSkipped:
    """One thing without which no brake is flown, and the code of its refusal."""

    holds: Callable[[Facts], bool]
    code: Code
    text: str


NEVER_SKIPPED: tuple[NeverSkipped, ...] = (
    NeverSkipped(_propellant, Code.WORKING_MASS_LOW, "propellant left"),
    NeverSkipped(_propulsion, Code.RCS_UNAVAILABLE, "propulsion ready"),
    NeverSkipped(_joint, Code.BRIDGE_ACTIVE_RESTRICTED_MOTION, "no unrated locked joint"),
)
"""What refuses a brake, of what the core knows. A missing thrust or torque map refuses it too, and so do clusters that
are all at their trip: the gate knows of those (fdir/gating.py). One cluster at its trip refuses nothing (the others are
used), nor does an attitude that is not known (rates are nulled first)."""

FLOWN_TO_ITS_END = frozenset({
    Code.SAFE_POWER_LOW, Code.SAFE_CAP_LOW, Code.SAFE_THERMAL_CRITICAL, Code.SAFE_COMMS_LOSS,
    Code.SAFE_BLACKBOX_CRITICAL,
    Code.RADAR_ALERT_UNKNOWN_CLOSE, Code.RADAR_ALERT_FOE_APPROACH, Code.RADAR_ALERT_SPOOF, Code.RADAR_SIGNAL_LOSS,
    Code.GUARD_ALERT,
})
"""Reasons of SAFE that a brake under way does not wait for and does not end for: SAFE allows braking (CANON section
10.1), charge and EMCON are skipped, a hot cluster leaves the others, and a contact that has come near is what the craft
brakes or evades for. SAFE follows once it has ended."""


def refusals(facts: Facts) -> tuple[Code, ...]:
    """Everything that speaks against a brake now; empty means it may be flown."""
    return tuple(rule.code for rule in NEVER_SKIPPED if not rule.holds(facts))


def nulls_rates_first(facts: Facts) -> bool:
    """Whether the rates have to be nulled before the first push: a push in a frame that turns goes astray."""
    return not facts.attitude_known


@dataclass(frozen=True, slots=True)
class Stopping:
    """How long and how far a stop takes."""

    time_s: float
    distance_m: float


def stopping(speed_m_s: float, mass_kg: float, force_n: float = STRENGTH_N) -> Stopping:
    """A stop at a constant force, the propellant's mass not taken off: v m / F and v^2 m / (2 F).

    Raises ValueError for a speed below 0, and for mass or force not above 0.
    """
    _at_least_zero(speed_m_s=speed_m_s)
    _above_zero(mass_kg=mass_kg, force_n=force_n)
    time_s = speed_m_s * mass_kg / force_n
    return Stopping(time_s, 0.5 * speed_m_s * time_s)


def speed_in_tank(mass_kg: float, propellant_kg: float, exhaust_m_s: float) -> float:
    """Speed (m/s) that the tank can take out, by the rocket equation.

    Args:
        mass_kg: of the craft, propellant included.
        propellant_kg: what of it can be used.
        exhaust_m_s: specific impulse times standard gravity.

    Raises ValueError for a mass or exhaust speed not above 0, and for propellant below 0 or not below the mass.
    """
    _above_zero(mass_kg=mass_kg, exhaust_m_s=exhaust_m_s)
    _at_least_zero(propellant_kg=propellant_kg)
    if propellant_kg >= mass_kg:
        raise ValueError(f"propellant_kg {propellant_kg}: must be below mass_kg {mass_kg}")
    return exhaust_m_s * log(mass_kg / (mass_kg - propellant_kg))


@unique
class Answer(StrEnum):
    """What helps against a speed."""

    BRAKE = "brake"
    EVADE = "evade"


def answer(speed_m_s: float, mass_kg: float, propellant_kg: float, exhaust_m_s: float) -> Answer:
    """Brake as long as the tank can stop the craft, evade above that. Raises ValueError as ``speed_in_tank``."""
    _at_least_zero(speed_m_s=speed_m_s)
    return Answer.BRAKE if speed_m_s <= speed_in_tank(mass_kg, propellant_kg, exhaust_m_s) else Answer.EVADE


def _above_zero(**values: float) -> None:
    for name, value in values.items():
        if not (isfinite(value) and value > 0.0):
            raise ValueError(f"{name} {value}: must be a number above 0")


def _at_least_zero(**values: float) -> None:
    for name, value in values.items():
        if not (isfinite(value) and value >= 0.0):
            raise ValueError(f"{name} {value}: must be a number at or above 0")
