"""What one fault of the campaign is: how it is started, what must be seen of it, and what nobody can ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any

__all__ = ["ALL_MOTION", "DETECTION_GOAL_S", "Entry", "FaultClass", "Invariant", "Shown", "hopeless"]


@unique
class FaultClass(StrEnum):
    """Where a fault sits."""

    BUS = "bus"
    WORLD = "world"
    POWER = "power"
    HEAT = "heat"
    COMPUTER = "computer"
    LINK = "link"


@unique
class Invariant(StrEnum):
    """What must hold in every run; the value is the word used in reports."""

    VALVE_UNARMED = "valve open without arm and enable"
    PULSE_RULE = "pulse rule broken"
    BURN_IN_SAFE = "burn begun in SAFE"
    PUSHED_IN_SAFE = "pushed in SAFE"
    RATE_LIMIT = "body rate out of bounds"
    RATE_RECOVERED = "body rate not brought down"
    RESERVE = "burn granted below the reserve"
    TRANSITION = "transition outside the table"
    COMMAND_LIFE = "command executed unauthenticated, expired or twice"
    QUEUE = "queue out of bounds"
    RECORDER = "recorder not readable"
    RECORD_GAP = "gap in the record"
    SAFE_IN_TIME = "SAFE not reached in time"
    DETECTED = "not detected in time"
    ISOLATION = "wrong unit isolated"
    EXCEPTION = "an exception escaped"
    PROPELLANT = "propellant wasted"


@unique
class Shown(StrEnum):
    """When a fault can be seen at all."""

    AT_ONCE = "at once"
    WHEN_FIRED = "when the nozzle is fired"
    NEVER = "need not be seen"


DETECTION_GOAL_S: dict[str, float] = {"attitude": 0.1, "power": 1.0, "thermal": 10.0}
"""CANON 10.2: from detection to isolation."""

ALL_MOTION = frozenset({Invariant.RATE_LIMIT, Invariant.RATE_RECOVERED, Invariant.PROPELLANT})


@dataclass(frozen=True, slots=True)
class Entry:
    """One fault that can be flown.

    Attributes:
        id: unique in the catalogue; letters, digits, ``_``, ``-`` and dots.
        group: entries of one group are equivalent; singles and pairs take one of them by seed.
        fault_class: where it sits.
        kind: fault of the rig or of the computer.
        parameters: as a scenario gives them.
        for_s: how long it lasts; ``None``: until the end, or over at once by its nature.
        shown: when it can be seen.
        codes: events of which any is its detection; empty if none is due.
        goal_s: time to the first of them, s; ``None`` without a goal.
        named: words of which one must be in the text of that event; empty: any text.
        nozzles: nozzles that may be masked for it.
        units: devices and buses that may be said to be lost for it.
        safe_within_s: SAFE is due within this time.
        tags: what it takes away, for the table of what is hopeless.
    """

    id: str
    group: str
    fault_class: FaultClass
    kind: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    for_s: float | None = None
    shown: Shown = Shown.NEVER
    codes: frozenset[str] = frozenset()
    goal_s: float | None = None
    named: tuple[str, ...] = ()
    nozzles: frozenset[int] = frozenset()
    units: frozenset[str] = frozenset()
    safe_within_s: float | None = None
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Hopeless:
    """A set of things taken away that no software gives back, the invariants that it waives, and why."""

    tags: frozenset[str]
    waives: frozenset[Invariant]
    reason: str


HOPELESS: tuple[Hopeless, ...] = (
    Hopeless(frozenset({"no valves"}), ALL_MOTION, "no valve can be driven: the rate stays what it was"),
    Hopeless(frozenset({"no valves a", "no valves b"}), ALL_MOTION,
             "both valve nodes are gone: no valve can be driven"),
    Hopeless(frozenset({"stuck on for ever", "no isolation"}), ALL_MOTION,
             "a nozzle burns on and its cluster can't be shut off: it burns until the tank is empty"),
    Hopeless(frozenset({"no inertial unit"}), frozenset({Invariant.RATE_RECOVERED}),
             "no unit measures the body rate: shut valves are all that is safe"),
    Hopeless(frozenset({"no imu", "no imu_b"}), frozenset({Invariant.RATE_RECOVERED}),
             "both inertial units are gone: shut valves are all that is safe"),
    Hopeless(frozenset({"locked out"}), frozenset({Invariant.RATE_RECOVERED}),
             "valves stay locked out until a restart after 20 late ticks in a row (CANON 8)"),
    Hopeless(frozenset({"no program"}), ALL_MOTION,
             "no program runs any more: the valve nodes shut by themselves, and the craft drifts as it was"),
    Hopeless(frozenset({"no battery", "no supercap"}), ALL_MOTION, "both stores are empty: nothing runs"),
    Hopeless(frozenset({"torque"}), frozenset({Invariant.PROPELLANT}),
             "a torque from outside is held against with propellant for as long as it lasts"),
)
"""What is hopeless by physics or by rule, with its reason; every other invariant holds in these runs as well."""


def hopeless(entries: tuple[Entry, ...]) -> tuple[frozenset[Invariant], tuple[str, ...]]:
    """Invariants that these faults waive together, and the reasons."""
    tags = frozenset(tag for entry in entries for tag in entry.tags)
    met = [row for row in HOPELESS if row.tags <= tags]
    waived = frozenset(invariant for row in met for invariant in row.waives)
    return waived, tuple(dict.fromkeys(row.reason for row in met))
