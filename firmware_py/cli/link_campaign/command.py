"""``qiki link campaign``: fly the rows of the link's plan and show what came of each.

Exit codes: 0 every row held, 1 a row did not hold, 2 bad input.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from firmware_py.cli.link_campaign.plan import Flown
    from firmware_py.cli.link_campaign.row import Row

__all__ = ["EPILOG", "campaign"]

BAD_INPUT, NOT_HELD = 2, 1
EPILOG = (
    "Examples:\n\n  qiki link campaign\n\n  qiki link campaign --row 3 --row 5 --full\n\n"
    "  qiki link campaign --list\n\n  qiki link campaign --full --output link-campaign.json"
)


def _refuse(message: str, next_step: str) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


def campaign(
    rows: Annotated[list[int] | None, typer.Option("--row", help="Number of a row; several may be named.")] = None,
    full: Annotated[bool, typer.Option("--full", help="All cases of the plan (a night), not a slice.")] = False,
    share: Annotated[float, typer.Option("--share", help="With --full: this share of the cases, 0..1.")] = 1.0,
    seed: Annotated[int, typer.Option("--seed", help="Of all random numbers.")] = 1,
    workers: Annotated[int, typer.Option("--workers", help="Processes; 0 takes one a core.")] = 0,
    listed: Annotated[bool, typer.Option("--list", help="Show the rows and fly nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    output: Annotated[Path | None, typer.Option("--output", help="Also write the results to this JSON file.")] = None,
) -> None:
    """Attack the link and break its lines: forged and replayed frames, lost power, floods, bad keys, lossy lines."""
    from firmware_py.cli.link_campaign.plan import all_rows, fly_rows

    known = all_rows()
    wanted = [row for row in known if not rows or row.number in rows]
    strange = sorted(set(rows or ()) - {row.number for row in known})
    if strange:
        _refuse(f"no row {strange[0]}; rows: {', '.join(str(n) for n in sorted({r.number for r in known}))}",
                "qiki link campaign --list shows them")
    if not 0.0 < share <= 1.0:
        _refuse(f"--share is {share:g}; above 0 and up to 1 is allowed", "--share 0.1 flies a tenth of --full")
    if seed < 0 or workers < 0:
        _refuse("--seed and --workers can't be negative", "leave them out for 1 and one process a core")
    if output is not None and not output.parent.is_dir():
        _refuse(f"{output}: there is no folder {output.parent}", "make it, or write elsewhere")
    if listed:
        _show_rows(wanted, as_json)
        return

    def cases(row: Row) -> int:
        return max(1, round(row.full * share)) if full else row.slice

    count = workers or os.cpu_count() or 1
    flown = _fly(wanted, lambda: fly_rows(wanted, seed, cases, count), quiet=as_json)
    flown.sort(key=lambda row: (row.number, row.name))
    page = {"seed": seed, "full": full, "share": share, "rows": [asdict(row) for row in flown]}
    if output is not None:
        _write(output, json.dumps(page, indent=1, default=float))
    if as_json:
        typer.echo(json.dumps(page, indent=1, default=float))
    else:
        from rich.console import Console

        Console().print(_results(flown))
        _show_failures(flown, full, share)
    if not all(row.result.passed for row in flown):
        raise typer.Exit(NOT_HELD)


def _write(output: Path, text: str) -> None:
    try:
        output.write_text(f"{text}\n", encoding="utf-8")
    except OSError as error:
        _refuse(f"{output}: {error.strerror}", "the rows have flown; write elsewhere with --output, or use --json")


def _fly(wanted: list[Row], run, quiet: bool) -> list[Flown]:  # type: ignore[no-untyped-def]
    if quiet:
        return list(run())
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    flown: list[Flown] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("rows", total=len(wanted))
        for row in run():
            flown.append(row)
            bar.update(task, advance=1, description=f"{row.number} {row.name}")
    return flown


def _show_rows(rows: list[Row], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([
            {"number": r.number, "name": r.name, "promise": r.promise, "full": r.full, "slice": r.slice} for r in rows
        ], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("row", justify="right")
    table.add_column("name")
    table.add_column("what must hold", ratio=1)
    table.add_column("cases", justify="right")
    for row in rows:
        table.add_row(str(row.number), row.name, row.promise, f"{row.full:,}")
    Console().print(table)


def _results(flown: list[Flown]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name, justify in (("row", "right"), ("name", "left"), ("cases", "right"), ("s", "right"), ("held", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    table.add_column("counts", ratio=1)
    for row in flown:
        counts = ", ".join(f"{name} {value:g}" for name, value in row.result.counts.items())
        held = "[green]yes[/green]" if row.result.passed else "[bold red]NO[/bold red]"
        table.add_row(str(row.number), row.name, f"{row.result.cases:,}", f"{row.wall_s:.1f}", held, counts)
    return table


def _show_failures(flown: list[Flown], full: bool, share: float) -> None:
    for row in flown:
        if row.result.passed:
            continue
        typer.secho(f"\nrow {row.number} {row.name}: {row.promise}", fg=typer.colors.RED)
        for failure in row.result.failures:
            typer.echo(f"  {failure}")
        more = f" --full --share {share:g}" if full else ""
        typer.echo(f"  again: qiki link campaign --row {row.number} --seed {row.seed}{more}")
    failed = sum(not row.result.passed for row in flown)
    typer.echo(f"\n{len(flown) - failed} of {len(flown)} rows held")
