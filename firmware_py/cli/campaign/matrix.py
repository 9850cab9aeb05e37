"""The page of a campaign: a matrix of faults by phases of the mission, every cell with the commands that repeat it.

One self-contained file without scripts or network. A cell opens the list of its runs below the matrix; failures come
first there, with what broke. The same outcomes give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from firmware_py.cli.campaign.fly import Outcome
from firmware_py.cli.campaign.results import Totals, again, measured_rows

__all__ = ["Cell", "Grid", "fault_grid", "pair_grid", "write_matrix"]

AFTER = "after"
LISTED = 400
"""Runs that survived, listed in one cell; failures are all listed."""
STYLE = """
:root{color-scheme:light}
body{font:14px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:#1f2933;max-width:1400px;margin:1.6rem auto;
 padding:0 1.2rem}
h1{font-size:1.6rem;margin:0 0 .2rem}
h2{font-size:1.15rem;margin:2rem 0 .5rem;border-bottom:1px solid #dfe4e8;padding-bottom:.25rem}
p.sub{color:#5a6774;margin:.1rem 0 1rem}
.state{padding:.5rem .9rem;border-left:5px solid;border-radius:3px;font-weight:600;margin:1rem 0}
.state.ok{background:#e6f5f0;border-color:#009e73;color:#00614a}
.state.no{background:#fcece2;border-color:#d55e00;color:#9a4300}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:13px}
td,th{padding:.18rem .5rem;border:1px solid #eef1f4;text-align:left;white-space:nowrap}
th{color:#5a6774;font-weight:600;background:#fafbfc}
td.c{text-align:center;font-variant-numeric:tabular-nums;padding:0}
td.c a{display:block;padding:.18rem .5rem;color:inherit;text-decoration:none}
td.ok{background:#c9ebdf}td.lost{background:#dfe4e8}td.no{background:#f7c5a5;font-weight:700}
tr.group th{background:#eef1f4;color:#1f2933}
code{font:12px/1.4 ui-monospace,monospace}
.runs{display:none;border:1px solid #dfe4e8;border-radius:4px;padding:.2rem .9rem 1rem;margin:1rem 0}
.runs:target{display:block}
.runs td{white-space:normal}
b.no{color:#b34a00}
"""


@dataclass(frozen=True, slots=True)
class Cell:
    """Runs of one fault that began in one phase."""

    runs: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """Those in which something broke."""
        return tuple(run for run in self.runs if not run.survived)

    @property
    def kind(self) -> str:
        """``no``: something broke; ``lost``: only what is known to be hopeless; ``ok``; empty: nothing was flown."""
        if not self.runs:
            return ""
        if self.failed:
            return "no"
        return "lost" if any(run.forgiven for run in self.runs) else "ok"

    @property
    def text(self) -> str:
        """Survived of flown."""
        return f"{len(self.runs) - len(self.failed)}/{len(self.runs)}" if self.runs else ""


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of cells; ``rows`` are pairs of class and name."""

    rows: tuple[tuple[str, str], ...]
    columns: tuple[str, ...]
    cells: Mapping[tuple[str, str], Cell]

    def cell(self, row: str, column: str) -> Cell:
        """The cell, empty if nothing was flown."""
        return self.cells.get((row, column), Cell(()))


def fault_grid(outcomes: Iterable[Outcome], phases: Sequence[str]) -> Grid:
    """Kinds of faults by the phase in which they began; single faults only."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    classes: dict[str, str] = {}
    for outcome in outcomes:
        if len(outcome.faults) == 1:
            name = outcome.faults[0].partition(".")[0]
            classes[name] = outcome.classes[0]
            found.setdefault((name, outcome.phases[0] or AFTER), []).append(outcome)
    seen = {phase for _, phase in found}
    columns = (*(p for p in phases if p in seen), *sorted(seen - set(phases)))
    rows = tuple(sorted(((kind, name) for name, kind in classes.items())))
    return Grid(rows, columns, {key: Cell(tuple(runs)) for key, runs in found.items()})


def pair_grid(outcomes: Iterable[Outcome]) -> Grid:
    """Runs of several faults: class of the one by class of the other."""
    found: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        if len(outcome.faults) > 1:
            ends = sorted((outcome.classes[0], outcome.classes[-1]))
            found.setdefault((ends[0], ends[1]), []).append(outcome)
    names = tuple(sorted({name for pair in found for name in pair}))
    cells = {key: Cell(tuple(runs)) for key, runs in found.items()}
    return Grid(tuple(("first", name) for name in names), names, cells)


def write_matrix(
    path: Path, outcomes: Sequence[Outcome], totals: Totals, phases: Sequence[str], title: str, options: str = "",
) -> Path:
    """Write the page.

    Args:
        phases: steps of the mission, in their order.
        options: of the command, as needed to repeat a run.
    """
    singles, pairs = fault_grid(outcomes, phases), pair_grid(outcomes)
    good = totals.survived == totals.flown
    word = "every run survived" if good else f"{totals.flown - totals.survived} runs did not survive"
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{STYLE}</style>",
        f"<h1>{escape(title)}</h1><p class=sub>{totals.flown} runs, {totals.flight_s / 3600.0:.1f} h of flight</p>",
        f'<p class="state {"ok" if good else "no"}">{escape(word)}</p>',
    ]
    if singles.rows:
        parts += ["<h2>Faults alone, by the phase in which they began</h2>",
                  "<p class=sub>Survived of flown; a cell opens its runs. Grey: lost what no software gives back.</p>",
                  _table(singles, "s")]
    if pairs.rows:
        parts += ["<h2>Several faults, by class of the first and the last</h2>", _table(pairs, "p")]
    parts += [_failures(outcomes, options), _hopeless(totals), _rows(outcomes)]
    parts += [_runs(singles, "s", options), _runs(pairs, "p", options), "</html>\n"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(part for part in parts if part), encoding="utf-8")
    return path


def _anchor(prefix: str, row: str, column: str) -> str:
    return escape(f"{prefix}-{row}-{column}".replace(" ", "_"), quote=True)


def _table(grid: Grid, prefix: str) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in grid.columns)
    lines = [f"<div class=wide><table><tr><th>fault</th>{head}</tr>"]
    group = ""
    for kind, name in grid.rows:
        if kind != group and prefix == "s":
            lines.append(f'<tr class=group><th colspan={len(grid.columns) + 1}>{escape(kind)}</th></tr>')
        group = kind
        cells = []
        for column in grid.columns:
            cell = grid.cell(name, column)
            link = f'<a href="#{_anchor(prefix, name, column)}">{cell.text}</a>' if cell.runs else ""
            cells.append(f'<td class="c {cell.kind}">{link}</td>')
        lines.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    return "\n".join((*lines, "</table></div>"))


def _broken(outcome: Outcome) -> str:
    found = [f"<b class=no>{escape(b.invariant)}</b> at {b.t_s:.2f} s: {escape(b.text)}" for b in outcome.breaches]
    found += [f"given up: {escape(b.invariant)} at {b.t_s:.2f} s" for b in outcome.forgiven]
    return "<br>".join(found) or "survived"


def _line(outcome: Outcome, options: str) -> str:
    seen = ", ".join("-" if s is None else f"{s:.3f} s" for s in outcome.detected_s)
    phases = ", ".join(phase or AFTER for phase in outcome.phases)
    return (f"<tr><td><code>{escape(again(outcome.case, options))}</code></td><td>{escape(phases)}</td>"
            f"<td>{seen}</td><td>{_broken(outcome)}</td></tr>")


def _list(runs: Sequence[Outcome], options: str) -> str:
    rows = "\n".join(_line(run, options) for run in runs)
    return f"<table><tr><th>repeats it</th><th>began in</th><th>seen after</th><th>outcome</th></tr>\n{rows}</table>"


def _failures(outcomes: Sequence[Outcome], options: str) -> str:
    failed = [outcome for outcome in outcomes if not outcome.survived]
    return f"<h2>What did not survive</h2><div class=wide>{_list(failed, options)}</div>" if failed else ""


def _hopeless(totals: Totals) -> str:
    if not totals.hopeless:
        return ""
    rows = "".join(
        f"<tr><td>{escape(row.reason)}</td><td>{row.flown}</td><td>{row.broke}</td><td>{len(row.survived)}</td></tr>"
        for row in totals.hopeless
    )
    return ("<h2>What no software gives back</h2><div class=wide><table><tr><th>reason</th><th>flown</th>"
            f"<th>lost</th><th>survived all the same</th></tr>{rows}</table></div>")


def _rows(outcomes: Sequence[Outcome]) -> str:
    measured = measured_rows(outcomes)
    if not measured:
        return ""

    def seconds(value: float | None) -> str:
        return "-" if value is None else f"{value:g} s"

    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{row['flown']}</td><td>{row['detected_median_ms']:g} ms</td>"
        f"<td>{row['detected_ms']:g} ms</td><td>{seconds(row['recovered_s'])}</td></tr>"
        for name, row in measured.items()
    )
    return ("<h2>Rows of the fault table that tripped</h2><div class=wide><table><tr><th>row</th><th>flown</th>"
            "<th>detected, median</th><th>detected, longest</th><th>recovered, longest</th></tr>"
            f"{rows}</table></div>")


def _runs(grid: Grid, prefix: str, options: str) -> str:
    parts = []
    for (row, column), cell in grid.cells.items():
        kept = [run for run in cell.runs if run.survived]
        runs = (*cell.failed, *kept[:LISTED])
        left = len(cell.runs) - len(runs)
        more = f"<p class=sub>{left} more that survived are in results.jsonl</p>" if left else ""
        parts.append(f'<div class=runs id="{_anchor(prefix, row, column)}"><h2>{escape(row)} in {escape(column)}</h2>'
                     f"{_list(runs, options)}{more}</div>")
    return "\n".join(parts)
