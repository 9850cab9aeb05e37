"""``qiki faults``: the fault table of a craft as its monitors see it, and whether a table may be flown.

Exit codes: 0 the table is good, 2 it is refused, or other bad input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from fdir.fault_table import FaultTable
    from fdir.monitors import Monitor

__all__ = ["faults_app", "scenario_names"]

BAD_INPUT = 2

faults_app = typer.Typer(no_args_is_help=True, help="Faults: what a craft watches for, and what it does about it.")

TableArgument = Annotated[Path, typer.Argument(help="A fault table (YAML).")]
TableOption = Annotated[Path | None, typer.Option("--table", help="Fault table; the one that ships if not given.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def scenario_names(folder: Path | None = None) -> frozenset[str]:
    """Names of the scenarios that ship, and of those in a folder."""
    from importlib import resources

    shipped = Path(str(resources.files("hil") / "scenarios"))
    return frozenset(path.stem for place in (shipped, folder) if place is not None for path in place.glob("*.yaml"))


def _load(path: Path | None, scenarios: frozenset[str] | None = None) -> FaultTable:
    from fdir.fault_table import load_fault_table
    from hal.profile import ConfigError

    try:
        return load_fault_table(path, scenarios)
    except ConfigError as error:
        _refuse(str(error), "board_configs/faults.yaml is a table that is right; see docs/guide/survive-faults.md")


def _refuse(message: str, next_step: str) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


@faults_app.command("check", epilog="Example:\n\n  qiki faults check my-faults.yaml")
def check(table: TableArgument, as_json: JsonOption = False) -> None:
    """Check a fault table whole: the first row that is wrong is named with its line, its key and what is allowed.

    Its scenarios are looked for among those that ship and beside the table.
    """
    found = _load(table, scenario_names(table.parent))
    if as_json:
        typer.echo(json.dumps({"faults": len(found.rows), "digest": found.digest}))
    else:
        typer.echo(f"{table}: {len(found.rows)} faults, nothing wrong; {found.digest}")


@faults_app.command(
    "show", epilog="Examples:\n\n  qiki faults show\n\n  qiki faults show --body gref --board bench-rpi --json",
)
def show(
    body: Annotated[str, typer.Option(help="Body file, or the name of one that ships.")] = "qiki-t",
    board: Annotated[str, typer.Option(help="Board file, or the name of one that ships.")] = "qiki-rpi",
    table: TableOption = None,
    as_json: JsonOption = False,
) -> None:
    """The monitors that one craft has: limits in numbers, how long each must last, and the recovery ladder."""
    from fdir.facts import CraftLimits
    from fdir.monitors import monitors_of
    from firmware_py.units import devices_by_role
    from hal.profile import ConfigError, load_profile

    found = _load(table)
    try:
        profile = load_profile(body, board)
    except ConfigError as error:
        _refuse(str(error), "qiki body list says which bodies ship")
    monitors = monitors_of(
        found, CraftLimits.of(profile.body), devices_by_role(profile.board), tuple(profile.board.buses)
    )
    if as_json:
        typer.echo(json.dumps([
            {
                "fault": m.name, "monitor": m.row.monitor, "condition": m.row.condition, "limit": _limit(m),
                "persist_ms": m.row.persist_ms, "clear_ms": m.row.clear_ms, "latched": m.row.latched,
                "period": m.row.period, "code": m.code, "severity": m.severity, "isolation": list(m.row.isolation),
                "recovery": [{"step": r.step, "wait_s": r.wait_s} for r in m.row.recovery],
                "detect_within_ms": m.row.detect_within_ms, "scenario": m.row.scenario,
            }
            for m in monitors
        ], indent=1))
        return
    _print(monitors, f"{body} on {board}: {len(monitors)} monitors of {len(found.rows)} faults")


def _limit(monitor: Monitor) -> float | None:
    return None if monitor.row.limit is None else monitor.limit


def _print(monitors: tuple[Monitor, ...], title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from firmware_py.reference_faults import SIGNS

    styles = {"critical": "bold red", "warning": "yellow"}
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("fault, by severity", no_wrap=True)
    table.add_column("judged by", overflow="fold")
    table.add_column("ms", justify="right")
    table.add_column("goal, ms", justify="right")
    table.add_column("isolation; recovery")
    for m in monitors:
        limit = _limit(m)
        name = m.row.monitor.replace("_", " ")
        judged = name if limit is None else f"{name} {SIGNS[m.row.condition]} {limit:.4g}"
        done = [", ".join(m.row.isolation), " > ".join(r.step for r in m.row.recovery)]
        table.add_row(
            Text(m.name, styles.get(m.severity, "")), judged, str(m.row.persist_ms), str(m.row.detect_within_ms),
            "; ".join(part for part in done if part) or "-",
        )
    Console().print(table)
    Console().print("ms: how long it must last. Red: critical, yellow: warning. All of it: --json, docs/faults.md")
