"""``qiki hil campaign``: faults alone, in pairs and by chance, judged by invariants at every tick.

Exit codes: 0 everything survived or is known to be open, 1 something else did not (or a flight without faults raised an
alarm), 2 bad input.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from firmware_py.cli.campaign.conduct import Conduct, Order
    from firmware_py.cli.campaign.pool import Workshop

__all__ = ["EPILOG", "campaign"]

BAD_INPUT, FAILED = 2, 1
EPILOG = (
    "Examples:\n\n  qiki hil campaign --singles --only nozzle --moments 2\n\n"
    "  qiki hil campaign --slice 10 --seed $(git rev-parse HEAD)\n\n"
    "  qiki hil campaign --pairs --jobs 2 --json\n\n  qiki hil campaign --nominal 1\n\n"
    "  qiki hil campaign --case 'nozzle_off.3@12.350:7'\n\n"
    "JSON: mode, seed, totals, failures [{case, smallest, again, known_open, breaches}], rows, paths; "
    "with --nominal: hours, flights, alarms."
)


def campaign(
    singles: Annotated[bool, typer.Option("--singles", help="Every fault alone, at --moments of the mission.")] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Every pair of faults, at random moments.")] = False,
    nominal: Annotated[float | None, typer.Option(help="Hours of flight without faults: count false alarms.")] = None,
    slice_: Annotated[
        float | None, typer.Option("--slice", help="Minutes: singles, pairs and threes by turns until time is up."),
    ] = None,
    case: Annotated[str | None, typer.Option(help="One run, as a failure names it: FAULT@SECONDS+...:SEED.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="Every fault that can be flown.")] = False,
    seed: Annotated[str, typer.Option(help="A number, or any text such as a commit.")] = "1",
    seeds: Annotated[int, typer.Option(min=1, help="Different seeds of --nominal.")] = 50,
    moments: Annotated[int, typer.Option(min=1, max=1000, help="Moments of the mission for --singles.")] = 20,
    only: Annotated[str | None, typer.Option(help="Only faults whose name begins with this.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many runs.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=256, help="Processes; one a core if not given.")] = None,
    mission: Annotated[str, typer.Option(help="Mission that is flown, name or file.")] = "campaign-mission",
    body: Annotated[str | None, typer.Option(help="Body, instead of the mission's.")] = None,
    board: Annotated[str | None, typer.Option(help="Board, instead of the mission's.")] = None,
    shrink: Annotated[bool, typer.Option("--shrink/--no-shrink", help="Look for the fewest faults that fail.")] = True,
    output: Annotated[Path, typer.Option(help="Where results and page go.")] = Path("flights/campaign"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """Fly every fault at every phase of a mission and look for a broken invariant."""
    from firmware_py.cli.campaign.conduct import Mode, Order
    from firmware_py.cli.campaign.pool import Setup

    wanted = {
        Mode.SINGLES: singles, Mode.PAIRS: pairs, Mode.NOMINAL: nominal is not None, Mode.SLICE: slice_ is not None,
        Mode.CASE: case is not None, Mode.LIST: list_,
    }
    chosen = [mode for mode, given in wanted.items() if given]
    if len(chosen) != 1:
        _refuse("give one of --singles, --pairs, --nominal, --slice, --case, --list", "qiki hil campaign --slice 1")
    for name, value, most in (("--nominal", nominal, 10_000.0), ("--slice", slice_, 100_000.0)):
        if value is not None and not 0.0 < value <= most:
            _refuse(f"{name} is {value:g}; above 0, up to {most:g} is allowed", f"qiki hil campaign {name} 1")
    order = Order(
        mode=chosen[0], setup=Setup(mission, body, board), seed=_seed(seed), jobs=jobs or os.cpu_count() or 1,
        moments=moments, hours=nominal or 0.0, seeds=seeds, minutes=slice_ or 0.0, case=case or "", only=only or "",
        limit=limit, shrink=shrink, output=output,
    )
    workshop = _workshop(order)
    if order.mode is Mode.LIST:
        _list(workshop, order.only, as_json)
        return
    conduct = _conduct(order, workshop)
    try:
        code = _nominal(conduct, as_json) if order.mode is Mode.NOMINAL else _fly(conduct, as_json)
    except KeyboardInterrupt:
        _refuse("campaign ended by the keyboard", f"what was flown is in {order.output}")
    except OSError as error:
        _refuse(f"{error.filename or order.output}: {error.strerror}", "choose another place with --output")
    raise typer.Exit(code)


def _refuse(message: str, next_step: str) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


def _seed(text: str) -> int:
    """A number as it is; any other text, such as a commit, as the number that follows from it."""
    from firmware_py.cli.campaign.plan import seed_of

    plain = text.strip()
    if not plain:
        _refuse("--seed is empty", "give a number, or a text such as a commit")
    return int(plain) if plain.isascii() and plain.isdigit() and len(plain) < 10 else seed_of(plain)


def _workshop(order: Order) -> Workshop:
    from firmware_py.cli.campaign.pool import Workshop
    from hal.profile import ConfigError

    try:
        return Workshop.load(order.setup)
    except ConfigError as error:
        _refuse(str(error), "see docs/guide for what these files hold")
    except ValueError as error:
        _refuse(str(error), "this craft has a fault that the campaign cannot start")


def _conduct(order: Order, workshop: Workshop) -> Conduct:
    from firmware_py.cli.campaign.cases import CaseError
    from firmware_py.cli.campaign.conduct import Conduct

    try:
        return Conduct(order, workshop)
    except CaseError as error:
        _refuse(str(error), "qiki hil campaign --list names every fault")


def _list(workshop: Workshop, only: str, as_json: bool) -> None:
    entries = [entry for entry in workshop.entries.values() if entry.id.startswith(only)]
    if as_json:
        typer.echo(json.dumps([
            {"fault": e.id, "class": e.fault_class.value, "kind": e.kind, "parameters": dict(e.parameters),
             "for_s": e.for_s, "goal_s": e.goal_s} for e in entries
        ], indent=1))
        return
    for entry in entries:
        details = ", ".join(f"{name} {value}" for name, value in entry.parameters.items())
        typer.echo(f"{entry.id:48} {entry.fault_class.value:9} {entry.kind} {details}".rstrip())


def _fly(conduct: Conduct, as_json: bool) -> int:
    from firmware_py.cli.campaign.conduct import Mode
    from firmware_py.cli.campaign.tables import Shown, outcome_page, summary_page

    with Shown(conduct, quiet=as_json) as shown:
        flown = conduct.fly(shown.update)
    if as_json:
        typer.echo(json.dumps(flown.as_dict(), indent=1))
    else:
        from rich.console import Console

        console = Console()
        if conduct.order.mode is Mode.CASE:
            console.print(outcome_page(flown.outcomes[0], conduct.workshop.entries))
        console.print(summary_page(flown))
        for failure in flown.new:
            typer.echo(failure.again)
    return FAILED if flown.new else 0


def _nominal(conduct: Conduct, as_json: bool) -> int:
    from firmware_py.cli.campaign.tables import Shown, nominal_page

    with Shown(conduct, quiet=as_json) as shown:
        flown = conduct.fly_nominal(shown.update)
    if as_json:
        typer.echo(json.dumps(flown.as_dict(), indent=1))
    else:
        from rich.console import Console

        Console().print(nominal_page(flown))
    return FAILED if flown.alarms else 0
