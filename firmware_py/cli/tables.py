"""What a flight or a computer amounted to, as tables for a terminal of any width; every mark is also a word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from fdir.codes import Severity
from firmware_py.doctor import Check, Status
from firmware_py.mission import StepOutcome, StepRecord
from firmware_py.report.figures import (
    FIGURES,
    RIG_FAULT,
    FlightData,
    FlownStep,
    Value,
    Verdict,
    at_the_end,
    summary,
)
from firmware_py.report.page import format_value
from firmware_py.scheduler import TimingSummary

__all__ = [
    "KeyFigures", "checks_table", "expectations_table", "figures_table", "flight_summary", "key_figures_table",
    "paths_table", "steps_table",
]

NS = 1e9
MISSING = Text("missing", style="yellow")
GOOD, BAD, WARN = "green", "bold red", "yellow"
STATUS_STYLE = {Status.PASS: GOOD, Status.WARN: WARN, Status.FAIL: BAD, Status.MISSING: "dim", Status.SKIP: "dim"}


@dataclass(frozen=True, slots=True)
class KeyFigures:
    """A flight in a few numbers. ``None`` is missing: not recorded, or of no meaning for a real craft."""

    flight_s: float
    wall_s: float | None
    propellant_used_kg: float | None
    load_energy_wh: float | None
    array_energy_wh: float | None
    pointing_rms_deg: float | None
    """Over the last ten seconds: over a whole flight every turn counts as an error."""
    late_ticks: int | None
    lost_ticks: int | None
    tick_p50_us: float | None
    tick_p99_us: float | None
    warnings: int
    """Events of severity warning or critical."""
    faults_injected: int | None

    @classmethod
    def of(cls, data: FlightData, wall_s: float | None = None, timing: TimingSummary | None = None) -> KeyFigures:
        """From a flight's rows, and from what only the program that flew it can tell."""
        values = summary(data)
        codes = [row["code"] for _, row in data.events if not str(row["text"]).endswith(" ended")]
        serious = (Severity.WARNING, Severity.CRITICAL)
        return cls(
            flight_s=_number(values["duration_s"]) or 0.0, wall_s=wall_s,
            propellant_used_kg=_number(values["propellant_used_kg"]),
            load_energy_wh=_number(values["load_energy_wh"]), array_energy_wh=_number(values["array_energy_wh"]),
            pointing_rms_deg=_number(at_the_end(data, "attitude_error_rms_deg")),
            late_ticks=timing.late_ticks if timing is not None else None,
            lost_ticks=timing.lost_ticks if timing is not None else None,
            tick_p50_us=timing.duration.p50_us if timing is not None else None,
            tick_p99_us=timing.duration.p99_us if timing is not None else None,
            warnings=sum(row["severity"] in serious for _, row in data.events),
            faults_injected=codes.count(RIG_FAULT) if data.truth else None,
        )

    @property
    def times_real(self) -> float | None:
        """Flight time over wall time."""
        return self.flight_s / self.wall_s if self.wall_s else None


def _table(*columns: str, right: frozenset[str] = frozenset(), title: str = "") -> Table:
    table = Table(
        box=box.SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold", header_style="dim",
        pad_edge=False, show_edge=False,
    )
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _number(value: Value) -> float | None:
    return value if isinstance(value, int | float) else None


def _value(value: Value, unit: str = "") -> Text:
    if value is None:
        return MISSING
    return Text(f"{format_value(value)} {unit}".rstrip() if unit not in ("1", "-") else format_value(value))


def expectations_table(verdicts: Sequence[Verdict]) -> RenderableType:
    """What was expected, what was found, and whether it holds."""
    if not verdicts:
        return Text("Nothing was expected of this flight.", style="dim")
    failed = sum(not verdict.holds for verdict in verdicts)
    title = f"Expected and found: {failed} of {len(verdicts)} fail" if failed else "Expected and found: all hold"
    table = _table("", "figure", "where", "found", "expected", right=frozenset({"found"}), title=title)
    table.columns[1].no_wrap = True
    for verdict in verdicts:
        where = Text(verdict.where or "whole flight", style="dim")
        if verdict.why:
            where.append(f"\n{verdict.why}", style=WARN)
        table.add_row(
            Text("holds", style=GOOD) if verdict.holds else Text("FAILS", style=BAD),
            Text(verdict.expect.figure), where, _value(verdict.value, verdict.unit), Text(verdict.allowed),
        )
    return table


def steps_table(steps: Sequence[StepRecord | FlownStep]) -> RenderableType:
    """Steps with their times, s."""
    if not steps:
        return Text("No step was flown.", style="dim")
    times = ("start s", "end s", "took s")
    table = _table("", "step", *times, "", right=frozenset(times), title="Steps")
    for step in steps:
        took = (step.end_ns - step.start_ns) / NS
        table.add_row(
            Text(str(step.outcome), style=GOOD if step.outcome == StepOutcome.DONE else BAD), Text(step.name),
            f"{step.start_ns / NS:.2f}", f"{step.end_ns / NS:.2f}", f"{took:.2f}", Text(step.detail, style=WARN),
        )
    if not any(step.detail for step in steps):
        table.columns.pop()
    return table


def key_figures_table(figures: KeyFigures) -> Table:
    """Flight and wall time, propellant, energy, pointing, ticks, and what went wrong."""
    table = Table.grid(padding=(0, 2))
    for style in ("dim", "", "dim", ""):
        table.add_column(style=style, no_wrap=True)
    f = figures

    def count(number: int | None, bad: bool = True) -> Text:
        return MISSING if number is None else Text(str(number), style=WARN if number and bad else "")

    speed = MISSING if f.times_real is None else Text(f"{f.times_real:.1f} times real time", style="bold")
    times = None if f.tick_p50_us is None or f.tick_p99_us is None else f"{f.tick_p50_us:.0f} / {f.tick_p99_us:.0f} us"
    table.add_row("flight time", f"{f.flight_s:.2f} s", "wall time", _value(f.wall_s, "s"))
    table.add_row("speed", speed, "tick p50 / p99", _value(times))
    pointing = _value(f.pointing_rms_deg, "deg")
    table.add_row("propellant used", _value(f.propellant_used_kg, "kg"), "pointing rms, last 10 s", pointing)
    array = _value(f.array_energy_wh, "Wh")
    table.add_row("energy into loads", _value(f.load_energy_wh, "Wh"), "energy from array", array)
    table.add_row("late ticks", count(f.late_ticks), "lost ticks", count(f.lost_ticks))
    table.add_row("warnings", count(f.warnings), "faults injected", count(f.faults_injected, bad=False))
    return table


def paths_table(paths: Mapping[str, Path | str]) -> Table:
    """Where the flight's files are; a path is never cut or wrapped by a space."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, path in paths.items():
        table.add_row(name, Text(str(path), style="cyan"))
    return table


def figures_table(figures: Mapping[str, Value]) -> Table:
    """Every figure of ``firmware_py.report.figures.summary`` with its meaning."""
    table = _table("figure", "value", "unit", "meaning", right=frozenset({"value"}))
    for name, value in figures.items():
        figure = FIGURES[name]
        table.add_row(name, _value(value), figure.unit, Text(figure.text.replace("`", ""), style="dim"))
    return table


def flight_summary(
    verdicts: Sequence[Verdict], steps: Sequence[StepRecord | FlownStep], figures: KeyFigures,
    paths: Mapping[str, Path | str],
) -> Group:
    """The end of a flight: steps, verdicts, key figures, and where to look further."""
    blank = Text("")
    return Group(
        steps_table(steps), blank, expectations_table(verdicts), blank, key_figures_table(figures), blank,
        paths_table(paths),
    )


def checks_table(checks: Sequence[Check]) -> RenderableType:
    """What ``qiki doctor`` found, the next step under each line that needs one, and the sum in one line."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        found = Text(check.found)
        if check.next_step:
            found.append(f"\n-> {check.next_step}", style="bold" if check.status is Status.FAIL else "dim")
        table.add_row(Text(str(check.status), style=STATUS_STYLE[check.status]), Text(check.name), found)
    return Group(table, Text(""), _checks_sum(checks))


def _checks_sum(checks: Sequence[Check]) -> Text:
    counts = {status: sum(check.status is status for check in checks) for status in Status}
    words = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    if counts[Status.FAIL]:
        return Text(f"{words}: this computer would not fly this board", style=BAD)
    if counts[Status.WARN] or counts[Status.MISSING]:
        return Text(f"{words}: it flies, with less margin or without what is missing", style=WARN)
    return Text(f"{words or 'nothing was checked'}: ready", style=GOOD)
