"""Results of a campaign: one line a run as they come, and the totals that the summary and the page show."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, TextIO

from firmware_py.cli.campaign.fly import Outcome
from firmware_py.cli.campaign.nominal import NominalOutcome

__all__ = ["RESULTS", "HopelessCount", "Results", "Totals", "again", "measured_rows", "save_failures", "totals"]

RESULTS = "results.jsonl"
BOOT = "boot"
"""Step in which the craft is still asking who is there: times to detection are then the self-test's."""


def again(case: str, options: str = "") -> str:
    """The one command that repeats a run."""
    return f"qiki hil campaign{f' {options}' if options else ''} --case '{case}'"


class Results:
    """Writes each outcome as one line of JSON at once, so that a campaign that is broken off keeps what it flew."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / RESULTS
        self._file: TextIO = self.path.open("w", encoding="utf-8")

    def add(self, outcome: Outcome | NominalOutcome) -> None:
        """Write one line."""
        row = outcome.row() if isinstance(outcome, Outcome) else asdict(outcome)
        self._file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class HopelessCount:
    """One row of the table of what is hopeless, as flown: runs it was met in, those that broke what it waives, and
    those that broke nothing, though they were given up for lost."""

    reason: str
    flown: int
    broke: int
    survived: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Totals:
    """Of a whole campaign. Times in s."""

    flown: int
    survived: int
    alone: int
    alone_survived: int
    several: int
    several_survived: int
    flight_s: float
    cpu_s: float
    times_real: float
    """Simulated time over processor time, so: for one core."""
    by_invariant: dict[str, int]
    hopeless: tuple[HopelessCount, ...]
    detection: dict[str, dict[str, Any]]
    """By kind of fault: how many were seen, and the median and longest time to detection."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def totals(outcomes: Sequence[Outcome]) -> Totals:
    """Count a campaign."""
    alone = [o for o in outcomes if len(o.faults) == 1]
    several = [o for o in outcomes if len(o.faults) > 1]
    flight_s, cpu_s = sum(o.flight_s for o in outcomes), sum(o.cpu_s for o in outcomes)
    seen: dict[str, list[float]] = {}
    for outcome in alone:
        if outcome.detected_s[0] is not None and outcome.phases[0] != BOOT:
            seen.setdefault(outcome.faults[0].partition(".")[0], []).append(outcome.detected_s[0])
    return Totals(
        flown=len(outcomes), survived=sum(o.survived for o in outcomes), alone=len(alone),
        alone_survived=sum(o.survived for o in alone), several=len(several),
        several_survived=sum(o.survived for o in several), flight_s=flight_s, cpu_s=cpu_s,
        times_real=flight_s / cpu_s if cpu_s > 0.0 else 0.0,
        by_invariant=dict(Counter(str(b.invariant) for o in outcomes for b in o.breaches).most_common()),
        hopeless=_hopeless(outcomes),
        detection={
            name: {"seen": len(times), "median_s": median(times), "longest_s": max(times)}
            for name, times in sorted(seen.items())
        },
    )


def _hopeless(outcomes: Sequence[Outcome]) -> tuple[HopelessCount, ...]:
    met: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for reason in outcome.waived:
            met.setdefault(reason, []).append(outcome)
    return tuple(
        HopelessCount(reason, len(runs), sum(bool(o.forgiven) for o in runs),
                      tuple(o.case for o in runs if not o.forgiven))
        for reason, runs in sorted(met.items())
    )


def measured_rows(outcomes: Sequence[Outcome]) -> dict[str, dict[str, Any]]:
    """Times of each row of the fault table, worst of the runs in which one fault alone tripped it, boot left out.

    Returns:
        By row: ``detected_ms``, ``detected_median_ms``, ``recovered_s`` (``None``: it never cleared within a run),
        ``recovered`` (how often it did) and ``flown``.
    """
    found: dict[str, list[tuple[float, float | None]]] = {}
    for outcome in outcomes:
        if len(outcome.faults) == 1 and outcome.phases[0] != BOOT:
            for time in outcome.rows:
                found.setdefault(time.row, []).append((time.detected_s, time.recovered_s))
    rows = {}
    for name, times in sorted(found.items()):
        detected = [seconds * 1e3 for seconds, _ in times]
        recovered = [seconds for _, seconds in times if seconds is not None]
        rows[name] = {
            "detected_ms": round(max(detected), 1), "detected_median_ms": round(median(detected), 1),
            "recovered_s": round(max(recovered), 3) if recovered else None, "recovered": len(recovered),
            "flown": len(times),
        }
    return rows


def save_failures(folder: Path, texts: Iterable[tuple[str, str]]) -> list[Path]:
    """Write failing cases as scenario files: pairs of mission name and text."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, text in texts:
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written
