"""How a check went: held or not by its own limit, in one line each, with the limit beside what was measured."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hil.kernel.inside_table import Check, limit_of

__all__ = ["Outcome", "judged", "table"]

SEEN = 90


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: whether it held, its limit on this rig and what was measured (``None``: nothing to measure)."""

    check: Check
    held: bool
    limit: float | None
    measured: float | None
    seen: str
    cached: bool = False

    def record(self) -> dict[str, object]:
        """As plain values."""
        return {
            "check": self.check.name, "what": self.check.what, "held": self.held, "limit": self.limit,
            "board": self.check.board, "measured": self.measured, "unit": self.check.unit, "seen": self.seen,
            "cached": self.cached,
        }

    def __str__(self) -> str:
        verdict = "held" if self.held else "FAILED"
        figures = f"{_figure(self.measured)} of {_figure(self.limit)} {self.check.unit}"
        return f"{verdict:7}{self.check.name:16} {figures if self.limit is not None else '':24} {self.seen[:200]}"


def judged(check: Check, arch: str, record: Mapping[str, object], cached: bool = False) -> Outcome:
    """A check by what the guest or the host said of it; a limit without a measurement does not hold."""
    limit = limit_of(check, arch)
    found = record.get("measured")
    measured = float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
    held = record.get("ok") is True
    if held and limit is not None:
        held = measured is not None and measured <= limit
    return Outcome(check, held, limit, measured, str(record.get("seen", "")), cached)


def table(outcomes: Collection[Outcome], wanted: Collection[Check]) -> str:
    """All checks as text: what must happen, limit, measured, verdict; those that were not run are named."""
    rows = [("check", "limit", "of a board", "measured", "", "what must happen")]
    for outcome in outcomes:
        verdict = ("held" if outcome.held else "FAILED") + (" (kept)" if outcome.cached else "")
        limit = "" if outcome.limit is None else f"{_figure(outcome.limit)} {outcome.check.unit}"
        measured = "" if outcome.measured is None else f"{_figure(outcome.measured)} {outcome.check.unit}"
        board = "" if outcome.check.board is None else f"{_figure(outcome.check.board)} {outcome.check.unit}"
        rows.append((outcome.check.name, limit, board, measured, verdict, outcome.check.what))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = ["  ".join([*(row[i].ljust(widths[i]) for i in range(5)), row[5]]).rstrip() for row in rows]
    ran = {outcome.check.name for outcome in outcomes}
    missing = [check.name for check in wanted if check.name not in ran]
    lines += [f"not run: {', '.join(missing)}"] if missing else []
    lines += [f"  {outcome.check.name}: {outcome.seen[:600]}" for outcome in outcomes if not outcome.held]
    return "\n".join(lines) + "\n"


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3g}" if abs(value) < 100.0 else f"{value:.0f}"
