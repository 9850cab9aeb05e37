"""Answers per load: the weightiest word of CANON section 5, and every reason at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Any

from fdir.codes import Code
from firmware_py.energy.pdu_line import Line, Obedience

__all__ = ["REASON_CODES", "Held", "LoadAnswer", "LoadEvent", "Verdict", "Wishes", "answer"]

REASON_CODES: Mapping[str, Code] = {
    "low_soc": Code.BAT_LOW,
    "thermal_overheat": Code.THERMAL_BLOCK,
    "nbl_budget": Code.PDU_PEAK_DENIED,
    "pdu_overcurrent": Code.PDU_OVERLOAD,
}
"""The fixed words for shedding (CANON section 5), each with the code that goes with LOAD_SHED_ACTIVE."""

NOTHING: Mapping[str, Any] = MappingProxyType({})


@unique
class Verdict(StrEnum):
    """Answer per load (CANON section 5)."""

    ALLOWED = "load_allowed"
    LIMITED = "load_allowed_limited"
    REJECTED = "load_rejected"
    SHED = "load_shed"
    DEGRADED = "load_degraded"
    SAFE = "PDU_safe_mode"


@unique
class Held(StrEnum):
    """Why a load that may run is not closed yet."""

    NOT = ""
    TURN = "waits for its turn"
    BLIND = "the bus is not measured"
    FULL = "no room on the bus"


HELD_CODES: Mapping[Held, tuple[Code, ...]] = {
    Held.BLIND: (Code.PDU_DENIED, Code.POWER_TELEM_MISSING),
    Held.FULL: (Code.PDU_DENIED, Code.PDU_OVERLOAD),
}


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the rest of the craft says of the loads, by name; names that are no load are ignored.

    ``wanted``: on or off (a name left out stays as it was); ``shed``: the fixed word; ``blocked``: by heat; ``denied``:
    by the budget, with its codes; ``shares``: throttled to that share 0..1; ``safe``: the craft is in SAFE.
    """

    wanted: Mapping[str, bool] = field(default_factory=lambda: NOTHING)
    shed: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    blocked: Collection[str] = ()
    denied: Mapping[str, tuple[Code, ...]] = field(default_factory=lambda: NOTHING)
    shares: Mapping[str, float] = field(default_factory=lambda: NOTHING)
    safe: bool = False


@dataclass(frozen=True, slots=True)
class LoadAnswer:
    """Answer for one load. ``reason`` is the fixed word if it is shed; ``on`` what its rail was told last."""

    load: str
    verdict: Verdict
    codes: tuple[Code, ...]
    reason: str
    on: bool | None
    obedience: Obedience
    share: float


@dataclass(frozen=True, slots=True)
class LoadEvent:
    """Something began or ended on a line: LOAD_DISOBEYS, PDU_OVERCURRENT (its own fault), PDU_OVERLOAD (opened for the
    bus). ``latched``: it stays so until an operator clears it."""

    t_ns: int
    load: str
    code: Code
    active: bool
    latched: bool = False


def answer(line: Line, wishes: Wishes, safe: bool, open_: bool, held: Held) -> LoadAnswer:
    """The answer for one line. ``safe``: SAFE keeps it off; ``open_``: it was opened for cause and stays so now."""
    name = line.rule.name
    reason = wishes.shed.get(name, "")
    if open_ and not line.trips and not reason:
        reason = "pdu_overcurrent"
    found: list[tuple[Verdict, tuple[Code, ...]]] = []
    if safe:
        found.append((Verdict.SAFE, (Code.SAFE_LOCKED,)))
    if open_ and line.trips:
        found.append((Verdict.REJECTED, (Code.PDU_OVERCURRENT,)))
    if name in wishes.blocked:
        found.append((Verdict.REJECTED, (Code.THERMAL_BLOCK,)))
    if name in wishes.denied:
        found.append((Verdict.REJECTED, (Code.PDU_DENIED, *wishes.denied[name])))
    if reason:
        more = REASON_CODES.get(reason)
        found.append((Verdict.SHED, (Code.LOAD_SHED_ACTIVE, more) if more else (Code.LOAD_SHED_ACTIVE,)))
    if held in HELD_CODES:
        found.append((Verdict.REJECTED, HELD_CODES[held]))
    found += _seen(line, bool(found))
    codes = tuple(dict.fromkeys(code for _, group in found for code in group))
    verdict = found[0][0] if found else Verdict.ALLOWED
    return LoadAnswer(name, verdict, codes, reason, line.told, line.obedience, line.share)


def _seen(line: Line, refused: bool) -> list[tuple[Verdict, tuple[Code, ...]]]:
    """What the line itself adds."""
    found: list[tuple[Verdict, tuple[Code, ...]]] = []
    if refused and not line.switched and not line.rule.base:
        # Nobody can take off what has no switch.
        found.append((Verdict.DEGRADED, (Code.PDU_DENIED,)))
    if line.over:
        found.append((Verdict.DEGRADED, (Code.PDU_OVERCURRENT,)))
    if line.stuck:
        found.append((Verdict.DEGRADED, (Code.LOAD_DISOBEYS,)))
    if line.share < 1.0:
        found.append((Verdict.LIMITED, ()))
    return found
