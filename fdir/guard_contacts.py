"""Contacts as the guard judges them: what one is, whether a rule describes it, and whether it is about to hit.

Who passes by, and how to get out of the way, is perception's word; the core takes it only where it can be.

What is missing (``None``, or no finite number) never counts as a match, and never as "it is not so" either.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import hypot, isfinite

from fdir.guard_rules import GuardRule, Iff, TransponderMode, Trigger
from hal.frames import Vec3

__all__ = ["LARGEST_EVASION_M_S", "Contact", "TrackStatus", "advice", "describe", "is_threat", "known", "matches"]

NEAR_TIME_S, NEAR_RANGE_M = 8.0, 150.0
"""CANON section 12: critical under this time and nearer than this."""
STOP_FACTOR, STOP_MARGIN_S = 1.2, 0.5
"""And when there is less time than a full brake takes, with this to spare."""
LARGEST_EVASION_M_S = 5.0
"""Largest change of velocity that is taken as advice: 3.5 s of full push, a third of what the tank is good for."""


@unique
class TrackStatus(StrEnum):
    """How sure perception is that there is something."""

    TENTATIVE = "tentative"
    TRACKED = "tracked"
    COASTING = "coasting"
    """Not measured at present; its values are foreseen."""
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Contact:
    """One track in one frame, ``None`` where nothing is known."""

    track_id: int
    status: TrackStatus
    event_ns: int
    """Time for which the values hold, also for a coasting track."""
    range_m: float | None = None
    radial_velocity_m_s: float | None = None
    """Negative is closing."""
    quality: float | None = None
    """0..1."""
    iff: Iff | None = None
    transponder_on: bool | None = None
    transponder_mode: TransponderMode | None = None
    collision_course: bool | None = None
    """Whether it has to be taken for one that hits, by its miss distance and what is not known of that. ``None``:
    nobody has judged."""
    evade_m_s: Vec3 | None = None
    """Change of the craft's velocity that leaves every contact's volume, inertial; ``None``: none is advised."""


def is_threat(range_m: float, radial_velocity_m_s: float, brake_m_s2: float | None) -> bool:
    """Whether a contact is about to hit (critical by CANON section 12).

    It is less than 8 s and less than 150 m away, or there in less time than braking takes with a fifth and 0.5 s to
    spare. ``brake_m_s2``: what the craft can brake with; ``None``: not known, and the second is not asked.
    """
    closing_m_s = -radial_velocity_m_s
    if closing_m_s <= 0.0:
        return False
    time_s = range_m / closing_m_s
    if time_s < NEAR_TIME_S and range_m < NEAR_RANGE_M:
        return True
    return brake_m_s2 is not None and time_s < STOP_FACTOR * closing_m_s / brake_m_s2 + STOP_MARGIN_S


def known(value: float | None) -> float | None:
    """The value, ``None`` also for what is no finite number."""
    return value if value is not None and isfinite(value) else None


def advice(contact: Contact) -> Vec3 | None:
    """The evasion that is advised against a contact, if it can be flown at all: three numbers, not all nothing, and no
    larger than ``LARGEST_EVASION_M_S``."""
    change = contact.evade_m_s
    if change is None or len(change) != 3:
        return None
    return change if 0.0 < hypot(*change) <= LARGEST_EVASION_M_S else None


def matches(rule: GuardRule, contact: Contact, widen_m: float, brake_m_s2: float | None) -> bool | None:
    """Whether a contact is as a rule says, its range widened by ``widen_m`` at both ends.

    One thing that is not so decides: False. Otherwise one thing that is missing: ``None``.
    """
    if rule.spare_passing and contact.collision_course is False:
        return False
    missing = False
    range_m = contact.range_m
    if range_m is None or not isfinite(range_m):
        missing = True
    elif not rule.min_range_m - widen_m <= range_m <= rule.max_range_m + widen_m:
        return False
    if rule.iff is not None and contact.iff is not rule.iff:
        if contact.iff is not None:
            return False
        missing = True
    wanted = rule.require_transponder_on
    if wanted is not None and contact.transponder_on != wanted:
        if contact.transponder_on is not None:
            return False
        missing = True
    modes = rule.allowed_transponder_modes
    if modes and contact.transponder_mode not in modes:
        if contact.transponder_mode is not None:
            return False
        missing = True
    if rule.min_quality > 0.0:
        quality = contact.quality
        if quality is None or not isfinite(quality):
            missing = True
        elif quality < rule.min_quality:
            return False
    if rule.max_radial_velocity_mps is not None or rule.trigger is Trigger.THREAT:
        moves = _moves_so(rule, known(range_m), known(contact.radial_velocity_m_s), brake_m_s2)
        if moves is False:
            return False
        missing = missing or moves is None
    return None if missing else True


def _moves_so(
    rule: GuardRule, range_m: float | None, radial_velocity_m_s: float | None, brake_m_s2: float | None
) -> bool | None:
    limit = rule.max_radial_velocity_mps
    if radial_velocity_m_s is None:
        return None
    if limit is not None and radial_velocity_m_s > limit:
        return False
    if rule.trigger is not Trigger.THREAT:
        return True
    return None if range_m is None else is_threat(range_m, radial_velocity_m_s, brake_m_s2)


def describe(contact: Contact) -> str:
    """Range and radial velocity for an operator."""
    range_m, speed_m_s = known(contact.range_m), known(contact.radial_velocity_m_s)
    place = "range missing" if range_m is None else f"at {range_m:.1f} m"
    if speed_m_s is None:
        return f"{place}, radial velocity missing"
    return f"{place}, {'closing' if speed_m_s < 0.0 else 'opening'} {abs(speed_m_s):.1f} m/s"
