"""``qiki guard``: check a file of guard rules, and see at a desk what it says of contacts.

Exit codes: 0 all well (rules are good; no alert), 1 at least one alert, 2 bad input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from fdir.guard_alerts import GuardAlert, GuardMetrics
    from fdir.guard_rules import GuardRule, GuardTable

__all__ = ["guard_app"]

BAD_INPUT, ALERTED = 2, 1
STYLES = {"info": "", "warning": "yellow", "critical": "bold red"}
GUIDE = "docs/guide/guard-rules.md says what a file holds"
ODDITIES = {
    "undecided": "times a rule could not be decided for want of a value",
    "late": "contacts left out: their track had one as new or newer",
    "clock_steps": "times a track's time went back by more than 2 s",
    "overflow": "tracks that found no room, or made it",
}
WIDE = 110
"""Columns of a terminal from which on rules and their events go side by side."""

guard_app = typer.Typer(no_args_is_help=True, help="Guard rules: check a file, and see what it says of contacts.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


@guard_app.command(
    epilog="Examples:\n\n  qiki guard check\n\n  qiki guard check my-rules.yaml --json",
)
def check(
    rules: Annotated[Path | None, typer.Argument(help="File of rules; the one that ships if none is given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file of rules as the craft does at its start, and show what it would fly with."""
    from fdir.guard_rules import find_guard_rules

    table = _load(rules)
    path = find_guard_rules() if rules is None else rules
    if as_json:
        typer.echo(json.dumps({
            "file": str(path), "digest": table.digest, "rules": [_rule_as_json(rule) for rule in table.rules],
        }, indent=1))
        return
    from rich.console import Console

    console = Console()
    console.print(_rules_table(table, console.width))
    typer.echo(f"\ngood: {_count(len(table.rules), 'rule')} in {path}\n{table.digest}")


@guard_app.command(
    epilog="Examples:\n\n  qiki guard evaluate contacts.csv\n\n"
    "  qiki guard evaluate contacts.jsonl --rules my-rules.yaml --brake 1.44 --json\n\n"
    "Columns, or keys of each line: time_s, track_id, status, range_m, radial_velocity_mps, quality, iff, "
    "transponder_on, transponder_mode. Empty is missing; a row with time_s alone lets time go on.",
)
def evaluate(
    contacts: Annotated[Path, typer.Argument(help="Contacts in the order of arrival: .csv, or .jsonl (.ndjson).")],
    rules: Annotated[Path | None, typer.Option(help="File of rules; the one that ships if none is given.")] = None,
    brake: Annotated[float | None, typer.Option(
        help="What the craft brakes with, m/s2. Without it a threat is told by time and range only.",
    )] = None,
    as_json: JsonOption = False,
) -> None:
    """Judge a file of contacts by the rules; exit code 1 if there is an alert."""
    from fdir.guard_engine import GuardEngine
    from firmware_py.cli.guard_file import read_frames
    from hal.profile import ConfigError

    table = _load(rules)
    try:
        engine = GuardEngine(table.rules, brake)
    except ValueError as error:
        _refuse(str(error), "a craft of 432 kg with 622 N: --brake 1.44")
    alerts: list[GuardAlert] = []
    rows = 0
    try:
        for t_ns, frame in read_frames(contacts):
            rows += len(frame)
            alerts += engine.step(frame, t_ns)
    except ConfigError as error:
        _refuse(str(error), "qiki guard evaluate --help says what a file of contacts holds")
    except OSError as error:
        _refuse(f"{contacts}: {error.strerror}", "give a .csv or .jsonl file of contacts")
    figures = engine.metrics()
    if as_json:
        typer.echo(json.dumps({
            "file": str(contacts), "digest": table.digest, "contacts": rows, "brake_m_s2": brake,
            "alerts": [_alert_as_json(alert) for alert in alerts], "metrics": _metrics_as_json(figures),
        }, indent=1))
    else:
        _print(alerts, figures, table, rows, brake)
    raise typer.Exit(ALERTED if alerts else 0)


def _refuse(message: str, next_step: str) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


def _load(path: Path | None) -> GuardTable:
    from fdir.guard_rules import load_guard_rules
    from hal.profile import ConfigError

    try:
        return load_guard_rules(path)
    except ConfigError as error:
        _refuse(str(error), GUIDE)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# -- as one object


def _rule_as_json(rule: GuardRule) -> dict[str, Any]:
    import msgspec

    found: dict[str, Any] = msgspec.to_builtins(rule)
    return found | {"leads_to": _leads_to(rule)}


def _alert_as_json(alert: GuardAlert) -> dict[str, Any]:
    from fdir.guard_alerts import reaction

    return {
        "time_s": alert.event_ns * 1e-9, "event_ns": alert.event_ns, "rule": alert.rule_id, "track_id": alert.track_id,
        "severity": alert.severity.value, "fsm_event": None if alert.code is None else alert.code.value,
        "trigger": alert.trigger.value, "leads_to": reaction(alert).value, "text": alert.text,
    }


def _metrics_as_json(figures: GuardMetrics) -> dict[str, Any]:
    return {
        "active": {severity.value: count for severity, count in figures.active.items()},
        "total_by_rule": dict(figures.total_by_rule),
        "total_by_severity": {severity.value: count for severity, count in figures.total_by_severity.items()},
        "tracks": figures.tracks, "mean_quality": figures.mean_quality,
        **{name: getattr(figures, name) for name in ODDITIES},
    }


# -- as tables


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, show_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _leads_to(rule: GuardRule) -> str:
    from fdir.guard_alerts import GuardAlert, reaction

    return reaction(GuardAlert(rule.id, 0, rule.fsm_event, rule.severity, rule.trigger, 0, "")).value


def _rules_table(table: GuardTable, width: int) -> Table:
    """Rules, a line each; a terminal too narrow for all of it has the events below, and the rest in ``--json`` only."""
    from rich.text import Text

    wide = width >= WIDE
    right = ("range m", "for s", "mute s")
    shown = (
        _table("rule", "severity", "leads to", "waits for", *right, "event", right=right) if wide
        else _table("rule", "severity", "leads to", "range m", "for s", right=right)
    )
    for rule in table.rules:
        event = Text("none", "dim") if rule.fsm_event is None else Text(rule.fsm_event.value)
        first = (rule.id, Text(rule.severity.value, STYLES[rule.severity.value]), _leads_to(rule))
        span, lasts = f"{rule.min_range_m:g}..{rule.max_range_m:g}", f"{rule.min_duration_s:g}"
        if wide:
            shown.add_row(*first, rule.trigger.value, span, lasts, f"{rule.cooldown_s:g}", event)
        else:
            shown.add_row(*first, span, lasts)
            shown.add_row(Text.assemble("  ", event))
    return shown


def _print(
    alerts: list[GuardAlert], figures: GuardMetrics, table: GuardTable, contacts: int, brake: float | None
) -> None:
    from rich.console import Console
    from rich.text import Text

    from fdir.guard_alerts import reaction
    from fdir.guard_rules import Trigger

    if alerts:
        shown = _table("time s", "severity", "rule", "leads to", "what", right=("time s",))
        for alert in alerts:
            severity = alert.severity.value
            shown.add_row(
                f"{alert.event_ns * 1e-9:.3f}", Text(severity, style=STYLES[severity]), alert.rule_id,
                reaction(alert).value, Text(alert.text),
            )
        Console().print(shown)
        typer.echo("")
    by_severity = ", ".join(f"{count} {severity}" for severity, count in figures.total_by_severity.items() if count)
    told = f"{_count(len(alerts), 'alert')} ({by_severity})" if alerts else "no alert"
    typer.echo(f"{told} from {_count(contacts, 'contact')} and {_count(len(table.rules), 'rule')}")
    for name, meaning in ODDITIES.items():
        if getattr(figures, name):
            typer.echo(f"{name} {getattr(figures, name)}: {meaning}")
    if brake is None and any(rule.trigger is Trigger.THREAT for rule in table.rules):
        typer.echo("--brake not given: threats are told by time and range only")
