"""What passes between the energy budget and those who ask it: supply, tokens, answers, rules and books. W, J, s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum, unique
from math import isfinite

from fdir.codes import Code

__all__ = [
    "CONSUMERS", "LONGEST_S", "Answer", "Books", "ConsumerRule", "Outcome", "Priority", "Store", "Supply", "Token",
    "known", "refused_input",
]

LONGEST_S = 3600.0
"""Longest time of a token and of a wait; what runs on asks anew."""


@unique
class Priority(IntEnum):
    """Who is served first; least is most urgent."""

    BRAKE = 0
    """May use its reserve, and is granted whatever is missing (CANON section 15: no check of cap or PDU)."""
    RCS = 1
    SURVIVAL = 2
    """Heaters."""
    EMERGENCY = 3
    """NBL packets."""
    DOCK = 4
    SENSING = 5
    COMPUTE = 6


@unique
class Store(StrEnum):
    """Where the energy is drawn."""

    SUPERCAP = "supercap"
    BUS = "bus"


@unique
class Outcome(StrEnum):
    """What has become of a request."""

    GRANTED = "granted"
    QUEUED = "queued"
    REFUSED = "refused"
    EXPIRED = "expired"
    """Its time was over and nobody had given it back."""
    REVOKED = "revoked"
    """Taken away: the supply has shrunk, or a more urgent one needs it. The consumer stops at once."""


@dataclass(frozen=True, slots=True)
class Supply:
    """What there is for all tokens together, *without* what they themselves draw of the bus now; ``None``: not known.

    ``stack_power_w``: what the stack can deliver, its resistance and temperature considered; ``stack_energy_j``: what
    it holds above the reserve for braking; ``reserve_j``: that reserve, from ``hold_soc`` down to ``safe_soc``;
    ``bus_headroom_w``: what the distribution unit can still carry; ``battery_headroom_w``: what battery and sources can
    still give; ``battery_energy_j``: what the battery holds above its own reserve.
    """

    stack_power_w: float | None = None
    stack_energy_j: float | None = None
    reserve_j: float | None = None
    bus_headroom_w: float | None = None
    battery_headroom_w: float | None = None
    battery_energy_j: float | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request. ``token`` names it if it was granted or waits.

    ``when_ns``: the end of a grant, the end of a wait, or the time from which a refused request can succeed, if that is
    known. ``field`` names the argument that was wrong.
    """

    outcome: Outcome
    consumer: str
    codes: tuple[Code, ...]
    token: int | None = None
    when_ns: int | None = None
    field: str = ""


@dataclass(frozen=True, slots=True)
class ConsumerRule:
    """Limits of one consumer: ``most_urgent`` priority that it may claim, least time between grants, most in an hour.

    ``yields_s``: it never runs beside a token of priority RCS or BRAKE, nor within that time after one; ``None``: it
    may.
    """

    most_urgent: Priority = Priority.EMERGENCY
    min_interval_s: float = 0.0
    max_an_hour: int | None = None
    yields_s: float | None = None


CONSUMERS: Mapping[str, ConsumerRule] = {
    "brake": ConsumerRule(Priority.BRAKE),
    "rcs": ConsumerRule(Priority.RCS),
    "heater": ConsumerRule(Priority.SURVIVAL),
    # CANON section 11: one packet in 120 s, six an hour, never while thrusters fire. Two seconds (P): eight windows
    # without a pulse, so that attitude hold between its pulses doesn't count as silence.
    "nbl": ConsumerRule(Priority.EMERGENCY, min_interval_s=120.0, max_an_hour=6, yields_s=2.0),
    "dock": ConsumerRule(Priority.DOCK),
    "lidar": ConsumerRule(Priority.SENSING),
    "compute": ConsumerRule(Priority.COMPUTE),
}
"""Rules by consumer; ``heater`` is for every ``heater_<node>``."""


@dataclass(slots=True)
class Token:
    """One request: it waits, runs, or is being settled."""

    id: int
    consumer: str
    watts: float
    joules: float
    duration_ns: int
    store: Store
    priority: Priority
    asked_ns: int
    wait_until_ns: int
    granted_ns: int | None = None
    used_j: float = 0.0
    """Within its joules."""
    told_j: float | None = None
    """What the consumer has told of its use, beyond its joules too."""
    reserves: bool = True
    """While it waits: for room, and not for its own rate or for thrusters to fall silent."""

    @property
    def key(self) -> tuple[int, int, int]:
        """Order of service."""
        return self.priority, self.asked_ns, self.id

    @property
    def end_ns(self) -> int:
        """When a granted token ends."""
        return (self.granted_ns or 0) + self.duration_ns

    def remaining_j(self, now_ns: int) -> float:
        """What it may still draw: by what it told, else as if it drew steadily; all while it waits."""
        if self.granted_ns is None:
            return self.joules
        if self.told_j is not None:
            return self.joules - self.used_j
        return self.joules * (1.0 - min(1.0, (now_ns - self.granted_ns) / self.duration_ns))


@dataclass(slots=True)
class Books:
    """Energies since the start, J, and counts. ``granted_j`` = ``used_j`` + ``returned_j`` + ``held_j``.

    ``overrun_j`` is what was used beyond what was granted; ``overruns`` the same by consumer (with a rule) in J.
    """

    granted_j: float = 0.0
    used_j: float = 0.0
    returned_j: float = 0.0
    held_j: float = 0.0
    overrun_j: float = 0.0
    overruns: dict[str, float] = field(default_factory=dict)
    granted: int = 0
    queued: int = 0
    refused: int = 0
    dropped: int = 0
    """Requests that found the queue full or were pushed out of it, and changes that nobody fetched."""
    expired: int = 0
    revoked: int = 0
    late_returns: int = 0
    bad_inputs: int = 0


def known(value: float | None) -> float | None:
    """A supply figure that can be relied on, never below 0; what is no number is not known."""
    return max(0.0, value) if value is not None and isfinite(value) else None


def refused_input(watts: float, joules: float, duration_s: float, wait_s: float) -> str:
    """Name of the first argument that can't be: no number, not above 0, too long, or more J than W x s; "" if none."""
    if not (isfinite(watts) and watts > 0.0):
        return "watts"
    if not 1e-3 <= duration_s <= LONGEST_S:
        return "duration_s"
    if not (isfinite(joules) and 0.0 < joules <= watts * duration_s * (1.0 + 1e-9)):
        return "joules"
    return "" if 0.0 <= wait_s <= LONGEST_S else "wait_s"
