"""``qiki install`` and ``qiki uninstall``: put the software on a board, change it, go back, take it away.

Exit codes: 0 installed, 1 it did not work out and what was changed was taken back, 2 refused before any change.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from firmware_py.doctor import Check
    from firmware_py.install.installer import Outcome
    from firmware_py.install.layout import Layout
    from firmware_py.install.system import System
    from firmware_py.install.wheelhouse import Wheelhouse

__all__ = ["INSTALL_EPILOG", "UNINSTALL_EPILOG", "install", "uninstall"]

REFUSED, NOT_WELL = 2, 1
UMASK = 0o022
"""Every user of the service has to read what root installs, whatever root's own habit is."""
LOCK = "/run/qiki-install.lock"
INSTALL_EPILOG = (
    "Examples:\n\n  sudo sh wheelhouse/arm64-py3.11/install.sh --board my-board.yaml --body my-body.yaml\n\n"
    "  sudo qiki install --wheelhouse wheelhouse/arm64-py3.11 --dry-run\n\n  sudo qiki install --back"
)
UNINSTALL_EPILOG = "Examples:\n\n  sudo qiki uninstall --dry-run\n\n  sudo qiki uninstall"

PrefixOption = Annotated[str, typer.Option("--prefix", help="Folder of both slots, on the root file system.")]
RootOption = Annotated[Path, typer.Option("--root", help="Tree of an image instead of this system; starts nothing.")]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only check, and say what would be done.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def _refuse(message: str, next_step: str = "", code: int = REFUSED) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(code)


def _tell(line: str) -> None:
    typer.echo(line, err=True)


def install(
    board: Annotated[str | None, typer.Option(help="Board file, or the name of one that ships.")] = None,
    body: Annotated[str | None, typer.Option(help="Body file, or the name of one that ships.")] = None,
    mission: Annotated[str | None, typer.Option(help="Mission file; by default stand by for orders.")] = None,
    wheelhouse: Annotated[Path | None, typer.Option(
        help="Folder of make wheelhouse; without it everything comes from the package index.")] = None,
    manifest_sha256: Annotated[str | None, typer.Option(help="Digest that the manifest must have.")] = None,
    python: Annotated[str | None, typer.Option(help="Python of the slots, e.g. /usr/bin/python3.11.")] = None,
    prefix: PrefixOption = "/opt/qiki",
    root: RootOption = Path("/"),
    start: Annotated[bool, typer.Option("--start/--no-start", help="Start everything and wait for Idle.")] = True,
    anyway: Annotated[bool, typer.Option("--anyway", help="Install although buses of the board are missing.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Go back to the version in the other slot.")] = False,
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Install or update the flight computer: two slots, one switch, and back by itself if Idle isn't reached."""
    from firmware_py.install.installer import Refused
    from firmware_py.install.request import Asked, RequestError
    from firmware_py.install.slots import SlotError
    from firmware_py.install.system import HostSystem, alone
    from firmware_py.install.wheelhouse import WheelhouseError
    from hal.profile import ConfigError

    os.umask(UMASK)
    system, layout = HostSystem(root), _layout(prefix)
    if not system.at("/").is_dir():
        _refuse(f"{root} is no folder", "give the tree of an image")
    try:
        if dry_run:
            raise typer.Exit(_install(
                system, layout, Asked(board, body, mission), wheelhouse, manifest_sha256, python, start, anyway, back,
                True, as_json,
            ))
        with alone(system, LOCK):
            raise typer.Exit(_install(
                system, layout, Asked(board, body, mission), wheelhouse, manifest_sha256, python, start, anyway, back,
                False, as_json,
            ))
    except Refused as refused:
        _show_refused(refused, as_json)
    except ConfigError as error:
        _refuse(str(error), "mend the file, or name another; nothing was changed")
    except (RequestError, WheelhouseError) as error:
        _refuse(str(error), error.next_step)
    except BlockingIOError as error:
        _refuse(str(error.strerror), "wait for it")
    except SlotError as error:
        _refuse(str(error), error.next_step, NOT_WELL)
    except PermissionError as error:
        _refuse(f"{error.filename}: {error.strerror}", "run it as root: sudo qiki install ...")
    except OSError as error:
        _refuse(
            f"{error.filename or ''}: {error.strerror or error}",
            "what was changed was taken back; mend it and run it again", NOT_WELL,
        )


def _layout(prefix: str) -> Layout:
    from firmware_py.install.layout import Layout

    try:
        return Layout(prefix)
    except ValueError as error:
        _refuse(str(error))


def _install(
    system: System, layout: Layout, asked: Any, folder: Path | None, pinned: str | None, python: str | None,
    start: bool, anyway: bool, back: bool, dry_run: bool, as_json: bool,
) -> int:
    from firmware_py.install.checks import Subject, all_checks, needs_of
    from firmware_py.install.installer import Installer, other_slot
    from firmware_py.install.request import chosen_files, effective_board, find_interpreter, units_of_board
    from firmware_py.install.slots import SlotPlan
    from firmware_py.install.trials import trial_of
    from firmware_py.install.wheelhouse import host_arch

    changes = chosen_files(system, layout, asked)
    board = effective_board(changes)
    trial = trial_of(system, layout)
    installer = Installer(system, layout, trial, _tell)
    with tempfile.TemporaryDirectory(prefix="qiki-wheels.", dir="/var/tmp") as work:
        interpreter = find_interpreter(system, python, True)
        house = _wheelhouse(folder, pinned, Path(work), interpreter.version, dry_run or back)
        if house is not None and house.arch != host_arch():
            interpreter = dataclasses.replace(interpreter, native=False)
        subject = Subject(system, layout, house, interpreter, board, trial, anyway=anyway, starts=start)
        checks = all_checks(subject)
        if back:
            return _show_outcome(installer.go_back(checks, start), as_json)
        assert house is not None or dry_run
        plan = None if house is None else SlotPlan(
            other_slot(trial.current()), house, interpreter, units_of_board(system, board, subject.machine),
            {Path(change.path).name: change.effective for change in changes}, needs_of(board),
        )
        if dry_run:
            steps = ["make a wheelhouse from the package index"] if plan is None else []
            return _show_plan(checks, steps + installer.plan(plan, changes, start), as_json)
        assert plan is not None
        _show_checks(checks, as_json)
        return _show_outcome(installer.install(plan, checks, changes, start), as_json)


def _wheelhouse(
    folder: Path | None, pinned: str | None, work: Path, python: str, only_look: bool,
) -> Wheelhouse | None:
    """The wheelhouse that was given, whole; else one that is made from the index, unless nothing may be done yet."""
    from firmware_py import __version__
    from firmware_py.install.wheelhouse import host_arch, make, open_wheelhouse

    if folder is not None:
        return open_wheelhouse(folder, pinned)
    if only_look:
        return None
    checkout = Path(__file__).resolve().parents[2]
    project = str(checkout) if (checkout / "pyproject.toml").is_file() else f"qiki-flight=={__version__}"
    _tell("getting what is needed from the package index ...")
    return make(project, work / "wheelhouse", host_arch(), python)


def _show_checks(checks: list[Check], as_json: bool) -> None:
    if not as_json:
        from rich.console import Console

        from firmware_py.cli.tables import checks_table

        Console(stderr=True).print(checks_table(checks))


def _as_objects(checks: list[Check]) -> list[dict[str, str]]:
    return [{**dataclasses.asdict(check), "status": str(check.status)} for check in checks]


def _show_plan(checks: list[Check], steps: list[str], as_json: bool) -> int:
    from firmware_py.install.checks import refusals

    bad = refusals(checks)
    if as_json:
        typer.echo(json.dumps({"dry_run": True, "checks": _as_objects(checks), "steps": steps}, indent=1))
    else:
        _show_checks(checks, as_json)
        for number, step in enumerate(steps, 1):
            typer.echo(f"{number:2}. {step}")
        typer.echo("nothing was changed" + ("; it would be refused" if bad else ""))
    return REFUSED if bad else 0


def _show_refused(refused: Any, as_json: bool) -> NoReturn:
    if as_json:
        typer.echo(json.dumps({
            "refused": str(refused), "next_step": refused.next_step, "checks": _as_objects(refused.checks),
        }, indent=1))
        raise typer.Exit(REFUSED)
    _refuse(f"refused, nothing was changed: {refused}", refused.next_step)


def _show_outcome(outcome: Outcome, as_json: bool) -> int:
    code = NOT_WELL if outcome.good is False else 0
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(outcome), indent=1))
        return code
    for note in outcome.notes:
        typer.echo(note)
    if code:
        typer.secho(f"qiki: version {outcome.version} is not good: {outcome.why}", fg=typer.colors.RED, err=True)
        typer.echo(f"      {outcome.next_step}", err=True)
        return code
    word = "was installed already" if outcome.already else "is installed"
    state = "and reached its mode" if outcome.good else "and is not started: sudo systemctl start qiki.target"
    typer.echo(f"version {outcome.version} {word} in slot {outcome.slot} {state} ({outcome.took_s:.1f} s)")
    return code


def uninstall(
    purge: Annotated[bool, typer.Option("--purge", help="Remove configuration, flights, keys and users too.")] = False,
    prefix: PrefixOption = "/opt/qiki",
    root: RootOption = Path("/"),
    dry_run: DryOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop and remove what was installed; configuration, flights and keys stay unless --purge is given."""
    from firmware_py.install.checks import AT_REST
    from firmware_py.install.system import HostSystem, alone
    from firmware_py.install.trials import trial_of
    from firmware_py.install.uninstaller import uninstall as take_away

    os.umask(UMASK)
    system, layout = HostSystem(root), _layout(prefix)
    trial = trial_of(system, layout)
    try:
        if dry_run:
            removed = take_away(system, layout, purge, _tell, dry_run=True)
        else:
            state = trial.state()
            if state.active == "active" and state.mode not in AT_REST:
                _refuse(f"the craft is in mode {state.mode}: the program that flies is not removed now",
                        "bring it to Idle first")
            with alone(system, LOCK):
                removed = take_away(system, layout, purge, _tell)
    except BlockingIOError as error:
        _refuse(str(error.strerror), "wait for it")
    except PermissionError as error:
        _refuse(f"{error.filename}: {error.strerror}", "run it as root: sudo qiki uninstall")
    except OSError as error:
        _refuse(f"{error.filename or ''}: {error.strerror or error}", "mend it and run it again", NOT_WELL)
    if as_json:
        typer.echo(json.dumps({"dry_run": dry_run, "removed": removed}, indent=1))
        return
    for path in removed:
        typer.echo(f"{'would remove' if dry_run else 'removed'} {path}")
    if not removed:
        typer.echo("nothing is installed")
