"""Writes the tables of docs/gnc.md from bench/results/gnc.json, so that the page cannot say anything else.

``<!-- figures ROOM -->`` in the page begins a table and ``<!-- end -->`` ends it. A figure belongs to the first room
whose pattern its name has; what fits none is in the room ``other``. Figures that differ only by body or axis are one
line: the worst of them against the target, from which to which they go, and how many hold.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.harness import RESULTS

__all__ = ["NOT_MEASURED", "PAGE", "ROOMS", "figures", "renew", "renewed", "table"]

PAGE = RESULTS.parents[1] / "docs" / "gnc.md"
SOURCE = RESULTS / "gnc.json"
NOT_MEASURED = "Not measured yet: `make bench ONLY=gnc`."
NO_FIGURES = "No figures in the last run."
Row = Mapping[str, Any]

ROOMS: dict[str, str] = {
    "chain": r"whole chain|ticks in which|pulse rules at the valves",
    "estimation": r"attitude error|NEES|NIS|Riccati|blind half turn|scale and axes|relative (position|velocity)|"
                  r"\bestimate|\b(roll|pitch|yaw)\b|^log$|whole rotation|"
                  r"transactions refused|without an inertial|speed of chips",
    "lost-cluster": r"^qiki-\w without",
    "basilisk": r"^(plant$|slew|hold|broken pulse rules|Basilisk)",
    "allocation": r"allocation|over scipy|over daqp|over daqp's|residual on|propellant above HiGHS|saturated|"
                  r"failed off, all|failed off: switch|FTG",
    "modulation": r" (fine|pulse_width|slots|pwpf|relay): | PWPF ",
    "faults": r"failed off|stuck on|half thrust|false alarms|on_tick|wrong accusations",
    "profile": r"profile level|on-time of one nozzle|impulse of a whole|while it is flown",
    "other": r"",
}
MARK = re.compile(r"(<!-- figures ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
CASES = re.compile(
    r"^(?:qiki-t|qiki-g|gref|bench-12kg)(?:: | (?=(?:fine|pulse_width|slots|pwpf|relay|PWPF)\b))|"
    r"(?<= about )(?:x|y|z|diagonal|mixed)\b|(?<= floor of )[\d.]+(?= N s)|"
    r"(?<=, )(?:hold|slew|translate|brake)(?=, (?:failed off|stuck on))"
)
"""What makes two lines of one figure: body, axis, the size of a floor, the phase of a flight."""
FEW = 2
"""References that a line without a target lists."""
NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def figures(source: Path = SOURCE) -> list[Row] | None:
    """Figures of the last full run; None if there was none."""
    if not source.exists():
        return None
    rows: list[Row] = json.loads(source.read_text(encoding="utf-8"))
    return rows


def renew(page: Path = PAGE, source: Path = SOURCE) -> str:
    """Write the page's tables anew; says what was done."""
    before = page.read_text(encoding="utf-8")
    after = renewed(before, figures(source))
    if after == before:
        return "is up to date"
    page.write_text(after, encoding="utf-8")
    return "renewed"


def renewed(text: str, rows: Sequence[Row] | None) -> str:
    """The page with its tables made of ``rows``. Raises ValueError for a room that does not exist."""

    def write(match: re.Match[str]) -> str:
        if match[2] not in ROOMS:
            raise ValueError(f"no room {match[2]!r}; there are {', '.join(ROOMS)}")
        return f"{match[1]}{table(match[2], rows)}\n{match[3]}"

    return MARK.sub(write, text)


def table(room: str, rows: Sequence[Row] | None) -> str:
    """The Markdown table of one room, or the sentence that says why there is none."""
    if rows is None:
        return NOT_MEASURED
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if room_of(str(row["figure"])) == room:
            groups.setdefault(_alike(str(row["figure"])), []).append(row)
    if not groups:
        return NO_FIGURES
    lines = ["| figure | here | reference | target | holds |", "|---|---|---|---|---|"]
    return "\n".join(lines + [_line(name, group) for name, group in groups.items()])


def room_of(figure: str) -> str:
    """The first room whose pattern a figure's name has."""
    return next(room for room, pattern in ROOMS.items() if re.search(pattern, figure))


def _alike(figure: str) -> str:
    name = " ".join(CASES.sub("", figure).split())
    return re.sub(r" about ?(?=[:,]|$)| of N s|,(?= ,)", "", name).replace(" ,", ",")


def _line(name: str, group: Sequence[Row]) -> str:
    worst = max(group, key=_shortfall)
    judged = worst["target"] is not None
    missed = sum(not row["holds"] for row in group)
    holds = "**no**" if missed else "yes" if judged else "-"
    if missed and len(group) > 1:
        holds = f"**no**: {missed} of {len(group)} miss"
    cells = (name, _here(worst, group), _reference(worst, group), _text(worst["target"]), holds)
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def _here(worst: Row, group: Sequence[Row]) -> str:
    """What was measured: the worst and the span where there is a target, else the span alone."""
    unit = "" if worst["unit"] == "1" else worst["unit"]
    texts = list(dict.fromkeys(f"{_text(row['value'])} {unit}".strip() for row in group))
    values = [row["value"] for row in group if isinstance(row["value"], int | float)]
    if len(texts) == 1:
        return texts[0]
    if len(values) < len(group):
        return "; ".join(texts)
    span = f"{_text(min(values))} to {_text(max(values))}"
    if worst["target"] is None:
        return f"{span} {unit}".strip()
    return f"{_text(worst['value'])} {unit}".strip() + f" ({span})"


def _reference(worst: Row, group: Sequence[Row]) -> str:
    """The reference of the worst; of figures without a target those of all, if they are few."""
    texts = list(dict.fromkeys(_text(row["reference"]) for row in group))
    if worst["target"] is None and len(texts) <= FEW:
        return "; ".join(texts)
    return _text(worst["reference"])


def _shortfall(row: Row) -> tuple[bool, float]:
    """How far a figure is from its target, or beyond it: greatest for the worst."""
    value, target = row["value"], row["target"]
    if not isinstance(value, int | float):
        return (not row["holds"], 0.0)
    bound = NUMBER.search(str(target)) if target is not None else None
    if bound is not None and ">" in str(target):
        return (not row["holds"], -float(value))
    if bound is not None and str(target).startswith("within"):
        return (not row["holds"], abs(float(value) - 1.0))
    return (not row["holds"], float(value))


def _text(value: float | int | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.4g}" if isinstance(value, float) else str(value)
