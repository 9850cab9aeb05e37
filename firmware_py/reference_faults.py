"""The page of faults: the fault table in words, and the times of the last campaign beside its goals."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fdir.fault_table import Condition, FaultRow, Isolation, load_fault_table
from fdir.quantities import QUANTITIES
from fdir.recovery import ACTIONS_AT_MOST, ACTIONS_WITHIN_NS, RELAPSE_NS, Step

__all__ = ["ISOLATION_TEXT", "STEP_TEXT", "fault_rows", "ladder_lines", "measured_times"]

SECOND = 1_000_000_000
RESULTS = Path(__file__).resolve().parents[1] / "bench" / "results" / "campaign.json"
"""Where the campaign's benchmark leaves its figures; an installed package has none."""
SIGNS = {
    Condition.ABOVE: ">", Condition.AT_LEAST: ">=", Condition.BELOW: "<", Condition.AT_MOST: "<=",
    Condition.RATE_ABOVE: "changes faster than",
}
ISOLATION_TEXT: dict[Isolation, str] = {
    Isolation.NONE: "nothing",
    Isolation.SHUT_VALVES: "the core shuts all valves for a second, then the rates are nulled",
    Isolation.BAR_BURNS: "the core bars burns; attitude is still held",
    Isolation.SHUT_CLUSTER: "the core has the isolation valve of the nozzle's cluster shut, where the board has one",
    Isolation.MASK_NOZZLE: "the core takes the nozzle out of use",
    Isolation.MASK_CLUSTER: "the cluster is not fired",
    Isolation.LEAVE_OUT: "the planes go on without it: its readings are missing",
    Isolation.SHED: "the distribution unit sheds loads in its fixed order",
    Isolation.OPEN_LINE: "the distribution unit opens the line of the load",
    Isolation.OPEN_DOCK: "the dock's switch opens",
    Isolation.NO_CHARGE: "the battery is not charged, and heated",
    Isolation.BLOCK_HEAT: "commands and loads that heat the node are refused",
    Isolation.SLOW_DOWN: "the computer is slowed down, rates of computing fall",
    Isolation.SILENCE: "the emission mode becomes restricted",
}
STEP_TEXT: dict[Step, str] = {
    Step.RETRY: "ask the unit again at once",
    Step.REINIT: "set the unit up anew, from its identity on",
    Step.RESET: "reset the unit, or what it hangs on",
    Step.POWER_CYCLE: "take the unit's rail away and give it back",
    Step.REDUNDANT: "fly on with the other unit",
    Step.DEGRADE: "go on without the unit",
    Step.SAFE: "go to SAFE",
    Step.RESTART: "end the program, to be started anew",
}


def measured_times(path: Path = RESULTS) -> Mapping[str, Mapping[str, Any]]:
    """Times by fault of the last campaign: ``detected_ms`` and ``recovered_s``, worst of ``flown``; empty: none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["faults"]
    except (OSError, KeyError, TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def fault_rows(measured: Mapping[str, Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Rows of the page's table: number, fault, what, judged by, times, code, severity, isolation, ladder, goal,
    detected, recovered, proof."""
    return [
        (
            row.number, f"`{row.id}`", row.text, _judged(row), _times(row), f"`{row.code}`", row.severity,
            ", ".join(row.isolation) or "-", " > ".join(f"{r.step} ({r.wait_s:g} s)" for r in row.recovery) or "-",
            f"{row.detect_within_ms:g} ms", *_measured(measured.get(row.id)), f"`{row.scenario}`",
        )
        for row in load_fault_table().rows
    ]


def ladder_lines() -> str:
    """How ladders are climbed, in words."""
    return (
        f"A ladder takes its first step when the fault trips and the next one when the fault still stands after the "
        f"step's time. A fault that comes back within {RELAPSE_NS // SECOND} s goes on with the step after the one "
        f"that seemed to cure it. One ladder takes at most {ACTIONS_AT_MOST} steps in "
        f"{ACTIONS_WITHIN_NS // SECOND // 60} minutes; SAFE is never held back. Every step is an event with its fault."
    )


def _judged(row: FaultRow) -> str:
    quantity = QUANTITIES[row.monitor]
    of = f" of each {', '.join(row.units)}" if row.units else ""
    if row.condition is Condition.REPORTED:
        return f"{quantity.text}{of}"
    sign = SIGNS.get(row.condition)
    if sign is None:
        return f"{quantity.kind}: {quantity.text}{of}" + (", unchanged" if row.condition is Condition.STUCK else "")
    limit = row.limit if isinstance(row.limit, str) else f"{row.limit:g} {quantity.unit}".removesuffix(" 1")
    back = f", back by {row.hysteresis:g}" if row.hysteresis else ""
    after = f"; not while {', '.join(row.after)} stands" if row.after else ""
    return f"{quantity.kind}: {quantity.text}{of} {sign} {limit}{back}{after}"


def _times(row: FaultRow) -> str:
    if row.condition is Condition.REPORTED:
        return "at once"
    persists = "at once" if row.persist_ms == 0 else f"{row.persist_ms} ms"
    latch = ", latched" if row.latched else ""
    return f"{persists} / {row.clear_ms} ms, {row.period}{latch}"


def _measured(times: Mapping[str, Any] | None) -> tuple[str, str]:
    if times is None:
        return "-", "-"
    detected, recovered = times.get("detected_ms"), times.get("recovered_s")
    flown = times.get("flown", 0)
    return (
        "-" if detected is None else f"{detected:g} ms (worst of {flown})",
        "-" if recovered is None else f"{recovered:g} s",
    )
