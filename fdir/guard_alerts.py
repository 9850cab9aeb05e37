"""What the guard says: its alerts, what the craft does about each, and its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

from fdir.codes import Code, Severity
from fdir.guard_rules import Trigger
from hal.frames import Vec3

__all__ = ["RANK", "GuardAlert", "GuardMetrics", "Reaction", "reaction"]


@dataclass(frozen=True, slots=True)
class GuardAlert:
    """A rule began to hold for a track, or a threat goes on and there is an evasion against it."""

    rule_id: str
    track_id: int
    code: Code | None
    """``None``: the rule has no ``fsm_event``."""
    severity: Severity
    trigger: Trigger
    event_ns: int
    text: str
    evade_m_s: Vec3 | None = None
    """Change of velocity that is advised, inertial, checked; ``None``: none."""


@unique
class Reaction(StrEnum):
    """What the craft does about an alert."""

    NONE = "none"
    READINESS = "readiness"
    """From Idle to Manoeuvre."""
    SAFE = "safe"
    BRAKE = "brake"
    """The brake override of CANON section 10.3."""
    EVADE = "evade"
    """The change of velocity that the alert advises, and the brake where that is refused."""


REACTIONS = {Severity.INFO: Reaction.NONE, Severity.WARNING: Reaction.READINESS, Severity.CRITICAL: Reaction.SAFE}
RANK = {severity: rank for rank, severity in enumerate(REACTIONS, start=1)}


def reaction(alert: GuardAlert) -> Reaction:
    """What an alert leads to. It does not ask for a code: a critical one without leads to SAFE all the same."""
    if alert.trigger is Trigger.THREAT and alert.severity is Severity.CRITICAL:
        return Reaction.BRAKE if alert.evade_m_s is None else Reaction.EVADE
    return REACTIONS[alert.severity]


@dataclass(frozen=True, slots=True)
class GuardMetrics:
    """Figures of the guard. Totals are since the start or the last reset."""

    active: Mapping[Severity, int]
    """Pairs of rule and track that held when the track was last judged, told or muted."""
    total_by_rule: Mapping[str, int]
    total_by_severity: Mapping[Severity, int]
    tracks: int
    """Tracked and coasting tracks of the last frame."""
    mean_quality: float | None
    """Of those whose quality is known."""
    late: int
    """Contacts left out because their track had a newer one, or one of the same time."""
    clock_steps: int
    """Times a track's event time went back by more than 2 s."""
    undecided: int
    """Times a rule could not be decided for want of a value."""
    overflow: int
    """Tracks that were not remembered, or forgotten early, for want of room."""
