"""What intrusion detection is told, and what it tells: metadata of frames, never their bytes, never a key."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique
from typing import NamedTuple

__all__ = ["Alert", "AlertKind", "AlertSeverity", "FrameMeta", "Outcome"]


@unique
class Outcome(IntEnum):
    """What became of a frame that came in. The first three are authentic."""

    ACCEPTED = 0
    UNKNOWN_COMMAND = 1
    """Authentic, but no command that the dictionary has."""
    DENIED = 2
    """Authentic, but not for this sender's role."""
    AUTH_FAILED = 3
    REPLAYED = 4
    """Its counter was seen before, or is too old to tell."""
    MALFORMED = 5
    HANDSHAKE = 6
    """A handshake that was answered."""
    HANDSHAKE_FAILED = 7
    """A handshake that was not answered."""


class FrameMeta(NamedTuple):
    """One frame: flight time, where it came from as its transport names it, bytes, what became of it, its channel if
    its header told one."""

    t_ns: int
    endpoint: str
    size: int
    outcome: Outcome
    channel: int | None = None


@unique
class AlertKind(StrEnum):
    """What is going on."""

    FLOOD = "flood"
    """Frames that don't authenticate, by the hundred."""
    AUTH_FAILURES = "auth_failures"
    REPLAY = "replay"
    RATE = "rate"
    """More authentic frames on a channel than it has ever had."""
    SIZE = "size"
    NEW_ENDPOINT = "new_endpoint"
    """Strangers that try and don't authenticate."""
    TIMING = "timing"
    """Frames by the clock where people send, or frames held back and let go together."""
    UNKNOWN_COMMANDS = "unknown_commands"
    HANDSHAKE_FAILURES = "handshake_failures"


@unique
class AlertSeverity(StrEnum):
    """How much an alert matters."""

    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. ``numbers`` is the evidence, by name; ``held_back`` counts alerts of this kind since the last one that
    was told."""

    t_ns: int
    kind: AlertKind
    severity: AlertSeverity
    endpoint: str
    numbers: tuple[tuple[str, float], ...]
    held_back: int = 0
