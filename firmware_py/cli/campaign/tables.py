"""A campaign in a terminal: live progress, the summary, one run, flights without faults."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

import typer
from rich import box
from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from firmware_py.cli.campaign.conduct import Conduct, Flown, Mode, NominalFlown
from firmware_py.cli.campaign.entries import Entry
from firmware_py.cli.campaign.fly import Outcome
from firmware_py.cli.campaign.nominal import NominalOutcome

__all__ = ["Shown", "nominal_page", "outcome_page", "summary_page"]

LINE_EVERY = 25
"""Runs between two lines where there is no terminal."""
FAILURES_SHOWN = 12
ALARMS_SHOWN = 20


class Shown:
    """Live progress: a bar in a terminal, a line now and then elsewhere, nothing if ``quiet``."""

    def __init__(self, conduct: Conduct, quiet: bool, console: Console | None = None) -> None:
        self._console = Console() if console is None else console
        self._planned = None if conduct.order.mode is Mode.CASE else conduct.planned
        self._quiet = quiet or conduct.order.mode is Mode.CASE
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._flown = self._bad = 0
        self._flight_s = self._cpu_s = 0.0

    def __enter__(self) -> Shown:
        if not self._quiet and self._console.is_terminal and not self._console.is_dumb_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                console=self._console, transient=True,
            )
            self._task = self._bar.add_task("", total=self._planned)
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, outcome: Outcome | NominalOutcome) -> None:
        """One more run."""
        self._flown += 1
        bad = not outcome.survived if isinstance(outcome, Outcome) else bool(outcome.alarms)
        self._bad += bad
        self._flight_s += outcome.flight_s
        self._cpu_s += outcome.cpu_s
        if self._quiet:
            return
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._flown, description=self._text())
            if bad and isinstance(outcome, Outcome):
                self._bar.console.print(Text(f"{outcome.case}  {_broken(outcome)}", style="red"))
        elif bad or self._flown % LINE_EVERY == 0:
            name = outcome.case if isinstance(outcome, Outcome) else outcome.flight
            typer.echo(f"{name}  {_broken(outcome)}" if isinstance(outcome, Outcome) and bad else self._text())

    def _text(self) -> str:
        speed = self._flight_s / self._cpu_s if self._cpu_s > 0.0 else 0.0
        of = "" if self._planned is None else f" of {self._planned}"
        return f"{self._flown}{of} flown  {self._bad} failed  {speed:.1f} x real time a core"


def _broken(outcome: Outcome) -> str:
    return "; ".join(f"{b.invariant} at {b.t_s:.2f} s: {b.text}" for b in outcome.breaches)


def _figures(rows: list[tuple[str, str]]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in rows:
        table.add_row(name, value)
    return table


def summary_page(flown: Flown) -> RenderableType:
    """Totals, failures with the command that repeats each, what is hopeless, and where everything is."""
    counted = flown.totals
    rows = [("flown", f"{counted.flown} runs, {counted.flight_s / 3600.0:.2f} h of flight")]
    if counted.alone:
        rows.append(("faults alone", f"{counted.alone_survived} of {counted.alone} survived"))
    if counted.several:
        rows.append(("several faults", f"{counted.several_survived} of {counted.several} survived"))
    rows.append(("speed", f"{counted.times_real:.1f} x real time a core"))
    parts: list[RenderableType] = [_figures(rows)]
    if flown.new:
        table = Table(box=box.SIMPLE, title="did not survive", title_justify="left", pad_edge=False)
        for name in ("fewest faults", "broken", "at"):
            table.add_column(name, overflow="fold")
        for failure in flown.new[:FAILURES_SHOWN]:
            first = failure.outcome.breaches[0]
            table.add_row(failure.smallest, f"{first.invariant}: {first.text}", f"{first.t_s:.2f} s")
        parts.append(table)
        if len(flown.new) > FAILURES_SHOWN:
            parts.append(Text(f"and {len(flown.new) - FAILURES_SHOWN} more; see the page", style="dim"))
    if flown.known:
        table = Table(box=box.SIMPLE, title="known open", title_justify="left", pad_edge=False)
        table.add_column("reason", overflow="fold")
        table.add_column("lost", justify="right")
        table.add_column("one of them", overflow="fold")
        for reason in dict.fromkeys(reason for failure in flown.known for reason in failure.known):
            runs = [failure for failure in flown.known if reason in failure.known]
            table.add_row(reason, str(len(runs)), runs[0].smallest)
        parts.append(table)
    if counted.hopeless:
        table = Table(box=box.SIMPLE, title="what no software gives back", title_justify="left", pad_edge=False)
        for name in ("reason", "flown", "lost", "survived all the same"):
            table.add_column(name, justify="left" if name == "reason" else "right", overflow="fold")
        for row in counted.hopeless:
            table.add_row(row.reason, str(row.flown), str(row.broke), str(len(row.survived)))
        parts.append(table)
    parts.append(_figures(list(flown.paths.items())))
    if flown.new:
        last = f"{len(flown.new)} runs did not survive; repeat them:"
    elif flown.known:
        last = f"{len(flown.known)} runs were lost, all of them known to be open"
    else:
        last = "every run survived"
    parts.append(Text(last, style="bold red" if flown.new else "bold green"))
    return Group(*parts)


def outcome_page(outcome: Outcome, entries: Mapping[str, Entry]) -> RenderableType:
    """One run: its faults, when each was seen, and what broke."""
    table = Table(box=box.SIMPLE, title=outcome.case, title_justify="left", pad_edge=False)
    for name in ("fault", "began", "in", "seen after", "goal"):
        table.add_column(name)
    for name, at_s, phase, seen in zip(
        outcome.faults, outcome.moments_s, outcome.phases, outcome.detected_s, strict=True
    ):
        goal = entries[name].goal_s
        table.add_row(name, f"{at_s:.3f} s", phase or "after", "-" if seen is None else f"{seen:.3f} s",
                      "-" if goal is None else f"{goal:g} s")
    lines: list[RenderableType] = [table]
    rows = [(time.row, f"tripped after {time.detected_s * 1e3:.0f} ms"
             + (", stood to the end" if time.recovered_s is None else f", cleared {time.recovered_s:.2f} s later"))
            for time in outcome.rows]
    if rows:
        lines.append(_figures(rows))
    lines += [Text(f"broken: {b.invariant} at {b.t_s:.2f} s: {b.text}", style="bold red") for b in outcome.breaches]
    lines += [Text(f"given up: {b.invariant} at {b.t_s:.2f} s: {b.text}", style="yellow") for b in outcome.forgiven]
    lines += [Text(f"since {reason}", style="dim") for reason in outcome.waived]
    return Group(*lines)


def nominal_page(flown: NominalFlown) -> RenderableType:
    """Hours, flights, and every alarm that nothing had caused."""
    parts: list[RenderableType] = [_figures([
        ("flown", f"{len(flown.outcomes)} flights, {flown.hours:.2f} h, {flown.seeds} seeds"),
        ("speed", f"{flown.times_real:.1f} x real time a core"), ("false alarms", str(len(flown.alarms))),
        *flown.paths.items(),
    ])]
    if flown.alarms:
        table = Table(box=box.SIMPLE, pad_edge=False)
        for name in ("flight", "at", "code", "severity", "text"):
            table.add_column(name, overflow="fold")
        for flight, alarm in flown.alarms[:ALARMS_SHOWN]:
            table.add_row(flight, f"{alarm.t_s:.2f} s", alarm.code, alarm.severity, alarm.text)
        parts.append(table)
        if len(flown.alarms) > ALARMS_SHOWN:
            parts.append(Text(f"and {len(flown.alarms) - ALARMS_SHOWN} more in results.jsonl", style="dim"))
    return Group(*parts)
