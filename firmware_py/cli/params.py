"""``qiki params``: what may be set in flight, and what a craft that is not flying keeps of it.

Exit codes: 0 all well, 1 the memory refuses or what it holds is damaged, 2 bad input.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

if TYPE_CHECKING:
    from comms.dictionary import Authority
    from comms.parameters import ParameterSets
    from firmware_py.cli.params_memory import KeptMemory

__all__ = ["params_app"]

BAD_INPUT, DAMAGED = 2, 1

params_app = typer.Typer(
    no_args_is_help=True,
    help="Parameters: what may be set in flight, and what a craft that is not flying keeps. "
    "In flight it is done by the commands param_set, param_activate and param_rollback.",
)

StateOption = Annotated[Path, typer.Option("--state", help="Folder in which a craft without a memory chip keeps them.")]
BoardOption = Annotated[str | None, typer.Option("--board", help="Board whose memory chip is asked, not a folder.")]
RoleOption = Annotated[str, typer.Option("--as", help="Role in which you act: controller, engineer or safety.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
DEFAULT_STATE = Path("state")
WIDE = 140
"""Columns from which on the table says what each parameter is."""


class _Kept(NamedTuple):
    """What a memory holds of the parameters; ``problem`` says why it is not all."""

    sets: ParameterSets
    problem: str


@params_app.command(
    "list",
    epilog="Examples:\n\n  qiki params list\n\n  qiki params list --state my-craft/state --json\n\n"
    "JSON: where, set, problems, parameters [{id, name, value, default, staged, unit, allowed, authority, effect, "
    "text}]."
)
def list_parameters(
    state: StateOption = DEFAULT_STATE, board: BoardOption = None, as_json: JsonOption = False,
) -> None:
    """Every parameter: its value now, default, range, who may set it, and from when a new value counts."""
    from comms.parameters import SCHEMA

    with _memory(state, board) as memory:
        kept, where = _load(memory), memory.where
    sets = kept.sets
    values, refused = SCHEMA.resolve(sets.active)
    problems = [*([kept.problem] if kept.problem else []), *refused]
    rows: list[dict[str, Any]] = [
        {"id": p.id, "name": p.name, "value": values[p.name], "default": p.default,
         "staged": (p.default if sets.staged[p.id] is None else sets.staged[p.id]) if p.id in sets.staged else None,
         "unit": p.unit, "allowed": p.allowed, "authority": p.authority.value, "effect": p.effect.value, "text": p.text}
        for p in SCHEMA.parameters
    ]
    if as_json:
        typer.echo(json.dumps({"where": where, "set": sets.number, "problems": problems, "parameters": rows}, indent=1))
    else:
        from rich import box
        from rich.console import Console
        from rich.table import Table

        console = Console()
        wide = console.width >= WIDE
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
        for column in ("parameter", "now", "default", "allowed", "who", "counts", *(("what",) if wide else ())):
            table.add_column(column, no_wrap=column in ("parameter", "who"))
        for row in rows:
            now = _word(row["value"]) + ("" if row["staged"] is None else f" (staged: {_word(row['staged'])})")
            cells = (row["name"], now, _word(row["default"]), row["allowed"], row["authority"], row["effect"])
            table.add_row(*cells, *((row["text"],) if wide else ()))
        console.print(table)
        typer.echo(f"set {sets.number}, {where}")
    _tell(problems)
    raise typer.Exit(DAMAGED if problems else 0)


@params_app.command(
    "set",
    epilog="Examples:\n\n  qiki params set hold_deadband_deg 1.5\n\n"
    "  qiki params set command_loss_s 1800 --as safety\n\n  qiki params set hold_deadband_deg default"
)
def set_parameter(
    name: Annotated[str, typer.Argument(help="Parameter; qiki params list has them.")],
    value: Annotated[str, typer.Argument(help="New value, or the word default.")],
    state: StateOption = DEFAULT_STATE, board: BoardOption = None, role: RoleOption = "engineer",
    as_json: JsonOption = False,
) -> None:
    """Stage a value. Nothing changes until it is activated."""
    from comms.parameters import SCHEMA, ParameterRefused, ParameterUnauthorised

    who = _role(role)
    try:
        SCHEMA.read(name, value)
        with _memory(state, board) as memory:
            kept = _load(memory)
            staged = kept.sets.stage(SCHEMA, name, value, who)
            _store(memory, staged)
    except ParameterUnauthorised as error:
        _refuse(str(error), f"say --as {SCHEMA.find(name).authority} if that is your role")
    except ParameterRefused as error:
        _refuse(str(error), "qiki params list has every parameter and its range")
    _done(as_json, {"staged": name, "value": value, "waiting": list(_named(staged.staged)), "where": memory.where},
          f"{name} {value} is staged; make it count: qiki params activate{_again(state, board, role)}", kept.problem)


@params_app.command(epilog="Example:\n\n  qiki params activate --as safety")
def activate(
    state: StateOption = DEFAULT_STATE, board: BoardOption = None, role: RoleOption = "engineer",
    as_json: JsonOption = False,
) -> None:
    """Make all that is staged active, whole. The set before is kept for a rollback."""
    _switch("activate", state, board, role, as_json)


@params_app.command(epilog="Example:\n\n  qiki params rollback")
def rollback(
    state: StateOption = DEFAULT_STATE, board: BoardOption = None, role: RoleOption = "engineer",
    as_json: JsonOption = False,
) -> None:
    """Go back to the set that was active before; a second time takes that back."""
    _switch("rollback", state, board, role, as_json)


@params_app.command(
    epilog="Examples:\n\n  qiki params show\n\n  qiki params show --board qiki-rpi --json\n\n"
    "JSON: where, parameters {copies, set, active, previous, staged, problem}, boot {copies, starts, failed, clean, "
    "latched, last_good, reset, problem}."
)
def show(state: StateOption = DEFAULT_STATE, board: BoardOption = None, as_json: JsonOption = False) -> None:
    """The slots as they are: both copies, the sets in them, and the record of the craft's starts."""
    from firmware_py.boot_record import BOOT_SLOT, decode_boot
    from firmware_py.cli.params_memory import NothingWholeError
    from firmware_py.parameters import PARAMETER_SLOT

    record, boot_problem = None, ""
    with _memory(state, board) as memory:
        kept = _load(memory)
        copies = memory.copies(PARAMETER_SLOT), memory.copies(BOOT_SLOT)
        try:
            payload = memory.load(BOOT_SLOT)
            record = None if payload is None else decode_boot(payload)
            if payload is not None and record is None:
                boot_problem = "the boot record is none, or another version's"
        except NothingWholeError as error:
            boot_problem = f"boot record: {error}"
    sets = kept.sets
    previous = None if sets.previous is None else _named(sets.previous)
    if as_json:
        boot = {} if record is None else {
            "starts": record.starts, "failed": record.failed, "clean": record.clean, "latched": record.latched,
            "last_good": record.last_good, "reset": record.reset,
        }
        typer.echo(json.dumps({
            "where": memory.where,
            "parameters": {"copies": copies[0], "set": sets.number, "active": _named(sets.active), "previous": previous,
                           "staged": _named(sets.staged), "problem": kept.problem},
            "boot": {"copies": copies[1], **boot, "problem": boot_problem},
        }, indent=1))
    else:
        lines = [f"parameters, {memory.where}", f"  copy a    {copies[0][0]}", f"  copy b    {copies[0][1]}",
                 f"  set {sets.number:<5} {_listed(_named(sets.active), 'defaults only')}",
                 f"  before    {'none' if previous is None else _listed(previous, 'defaults only')}",
                 f"  staged    {_listed(_named(sets.staged), 'nothing')}",
                 "starts", f"  copy a    {copies[1][0]}", f"  copy b    {copies[1][1]}"]
        if record is not None:
            lines.append(f"  starts    {record.starts}, the last {record.failed} in a row without a healthy time")
            lines.append(f"  last good {'none' if record.last_good is None else record.last_good}")
            lines.append(f"  next      {'SAFE, until acknowledged' if record.latched else 'as the mission says'}")
        typer.echo("\n".join(lines))
    problems = [problem for problem in (kept.problem, boot_problem) if problem]
    _tell(problems)
    raise typer.Exit(DAMAGED if problems else 0)


def _switch(what: str, state: Path, board: str | None, role: str, as_json: bool) -> None:
    from comms.parameters import SCHEMA, ParameterRefused, ParameterUnauthorised

    who = _role(role)
    try:
        with _memory(state, board) as memory:
            kept = _load(memory)
            sets = kept.sets.activate(SCHEMA, who) if what == "activate" else kept.sets.rollback(SCHEMA, who)
            _store(memory, sets)
    except ParameterUnauthorised as error:
        _refuse(str(error), "say --as with that role if it is yours")
    except ParameterRefused as error:
        _refuse(str(error), "qiki params show has what is kept and what is staged")
    before, now = SCHEMA.resolve(kept.sets.active).values, SCHEMA.resolve(sets.active).values
    changed = {name: value for name, value in now.items() if value != before[name]}
    words = ", ".join(f"{name} {_word(before[name])} -> {_word(value)}" for name, value in changed.items())
    _done(as_json, {"set": sets.number, "changed": changed, "where": memory.where},
          f"set {sets.number}: {words or 'no value differs'}; flown from the next start", kept.problem)


@contextmanager
def _memory(state: Path, board: str | None) -> Iterator[KeptMemory]:
    from firmware_py.cli.bench import BenchError
    from firmware_py.cli.params_memory import opened_memory
    from hal.profile import ConfigError

    try:
        with opened_memory(state, board) as memory:
            yield memory
    except ConfigError as error:
        _refuse(str(error), "see docs/guide/connect-a-board.md")
    except BenchError as error:
        _refuse(str(error), error.next_step, error.code)


def _load(memory: KeptMemory) -> _Kept:
    """What is kept. What can't be understood is told, and its defaults hold, as in flight."""
    from comms.parameters import ParameterRefused, ParameterSets, decode
    from firmware_py.cli.params_memory import NothingWholeError
    from firmware_py.parameters import PARAMETER_SLOT

    try:
        payload = memory.load(PARAMETER_SLOT)
        return _Kept(ParameterSets() if payload is None else decode(payload).sets, "")
    except (NothingWholeError, ParameterRefused) as error:
        return _Kept(ParameterSets(), f"defaults are flown: {error}")


def _store(memory: KeptMemory, sets: ParameterSets) -> None:
    from comms.parameters import SCHEMA, ParameterRefused, encode
    from firmware_py.parameters import PARAMETER_SLOT

    payload = encode(sets, SCHEMA)
    if len(payload) > memory.capacity:
        raise ParameterRefused(f"the sets take {len(payload)} bytes, {memory.where} has {memory.capacity}")
    memory.store(PARAMETER_SLOT, payload)


def _role(word: str) -> Authority:
    from comms.dictionary import Authority

    if word not in list(Authority):
        _refuse(f"--as is {word!r}", f"allowed: {', '.join(Authority)}")
    return Authority(word)


def _named(values: Any) -> dict[str, Any]:
    """Values by the parameters' names; what this software does not know by its number."""
    from comms.parameters import SCHEMA

    known = SCHEMA.by_id
    return {known[i].name if i in known else f"number {i}": value for i, value in sorted(values.items())}


def _word(value: Any) -> str:
    """A value as an operator writes it."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _listed(values: dict[str, Any], nothing: str) -> str:
    return ", ".join(f"{name} {_word(value)}" for name, value in values.items()) or nothing


def _again(state: Path, board: str | None, role: str) -> str:
    """The options that were given, for the command that comes next."""
    options = f" --board {board}" if board is not None else "" if state == DEFAULT_STATE else f" --state {state}"
    return options + ("" if role == "engineer" else f" --as {role}")


def _done(as_json: bool, row: dict[str, Any], words: str, problem: str) -> None:
    typer.echo(json.dumps(row, indent=1) if as_json else words)
    _tell([f"replaced: {problem}"] if problem else [])


def _tell(problems: list[str]) -> None:
    for problem in problems:
        typer.secho(f"qiki: {problem}", fg=typer.colors.YELLOW, err=True)
    if problems:
        typer.echo("      set and activate values anew; that mends the broken copy", err=True)


def _refuse(message: str, next_step: str, code: int = BAD_INPUT) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(code)
