"""Faults of the flight computer, for every kind that the rig knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from firmware_py.cli.campaign.entries import Entry, FaultClass, Shown
from firmware_py.cli.computer_faults import COMPUTER_FAULTS, check_computer_fault
from firmware_py.mission import FaultConfig

__all__ = ["VARIANTS", "Variant", "computer_entries"]

WHILE_S = 5.0
COMPUTER_GOAL_S = 2.0
"""What the computer itself notices is looked at at the slow rate."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which a kind of computer fault is flown: what it is called, how it is started, what must be seen."""

    word: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    for_s: float | None = None
    code: str = ""
    goal_s: float = COMPUTER_GOAL_S
    safe_within_s: float | None = None
    tag: str = ""


def _late(ticks: int, word: str = "", ms: float = 6.0) -> Variant:
    seen, locks = ticks >= 5, ticks >= 20
    return Variant(
        word or f"{ticks}_ticks", {"ms": ms, "ticks": ticks}, code="CPU_OVERRUN" if seen else "", goal_s=0.1,
        safe_within_s=0.3 if locks else None, tag="locked out" if locks else "",
    )


def _while_and_for_ever(
    parameters: Mapping[str, Any], code: str, goal_s: float = COMPUTER_GOAL_S
) -> tuple[Variant, ...]:
    return Variant("while", parameters, WHILE_S, code, goal_s), Variant("for_ever", parameters, None, code, goal_s)


VARIANTS: dict[str, tuple[Variant, ...]] = {
    "cpu_late": (
        _late(2), _late(5), _late(19), _late(25), _late(1, "stall", 60.0), _late(1, "long_stall", 900.0),
    ),
    "cpu_hang": (Variant("short", {"ms": 90.0}), Variant("long", {"ms": 2000.0})),
    "cpu_hot": _while_and_for_ever({"k": 90.0}, "SAFE_THERMAL_CRITICAL", 10.0),
    "memory_low": (
        *_while_and_for_ever({"mb": 50.0}, "MEMORY_LOW"),
        # The core ends its program, and another start finds room.
        Variant("exhausted", {"mb": 12.0}, 3.0, "MEMORY_LOW"),
    ),
    "disk_low": _while_and_for_ever({"mb": 100.0}, "DISK_LOW"),
    "disk_full": _while_and_for_ever({}, "RECORDER_DEGRADED"),
    "card_dead": _while_and_for_ever({}, "RECORDER_DEGRADED"),
    "throttled": _while_and_for_ever({}, "CPU_THROTTLED"),
    "clock_jump": (
        Variant("ahead", {"s": 3600.0}, code="CLOCK_JUMP"), Variant("back", {"s": -3600.0}, code="CLOCK_JUMP"),
        Variant("a_little", {"s": 0.5}),
    ),
    "process_kill": (Variant("back_in_2_s", for_s=2.0), Variant("for_good", tag="no program")),
    "power_cut": (Variant("back_in_5_s", for_s=5.0), Variant("for_good", tag="no program")),
}


def computer_entries() -> Iterator[Entry]:
    """Entries of class computer.

    Raises:
        ValueError: a kind of which the campaign knows no values, or values that the rig refuses.
    """
    for kind in COMPUTER_FAULTS:
        if kind not in VARIANTS:
            raise ValueError(f"the campaign knows no values for the parameters of {kind}")
        for variant in VARIANTS[kind]:
            check_computer_fault(FaultConfig(kind, at_s=0.0, for_s=variant.for_s, parameters=dict(variant.parameters)))
            due = bool(variant.code)
            yield Entry(
                f"{kind}.{variant.word}", f"{kind}_{variant.word}", FaultClass.COMPUTER, kind, variant.parameters,
                variant.for_s, Shown.AT_ONCE if due else Shown.NEVER, frozenset({variant.code} - {""}),
                variant.goal_s if due else None, safe_within_s=variant.safe_within_s,
                tags=frozenset({variant.tag} - {""}),
            )
