"""``qiki shell``: a terminal at a craft's debug shell, over its socket, a serial line, a link, or at a recorded flight.

Exit codes: 0 all well, 1 a line was refused or not answered in time, 2 bad input or nobody there.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from firmware_py.cli.shell_pipe import ShellPipe

__all__ = ["EPILOG", "shell"]

EPILOG = (
    "Examples:\n\n  qiki shell --flight flights/first-flight-seed1 --at 138\n\n"
    "  qiki shell --flight flights/first-flight-seed1 --command status\n\n"
    "  qiki shell --socket /run/qiki/shell.sock\n\n  qiki shell --serial /dev/ttyUSB0 --baud 115200\n\n"
    "  qiki shell --to udp:192.168.4.1:7600 --keys ann --command 'get soc_battery' --json\n\n"
    "Ctrl-] leaves it."
)
BAD_INPUT = 2


def shell(
    socket: Annotated[Path | None, typer.Option(help="Socket of a craft on this computer; read only.")] = None,
    serial: Annotated[str | None, typer.Option(help="Serial line to a craft; read only.")] = None,
    baud: Annotated[int, typer.Option(min=300, max=4_000_000, help="Of the serial line, bit/s.")] = 115_200,
    to: Annotated[str | None, typer.Option(help="Link to a craft; with the role of your key.")] = None,
    keys: Annotated[Path, typer.Option(help="Folder of your keys, for --to.")] = Path("keys"),
    passphrase_file: Annotated[Path | None, typer.Option(help="File of the keys' passphrase.")] = None,
    seal_key: Annotated[Path | None, typer.Option(help="File of the keys' sealing key.")] = None,
    craft: Annotated[str | None, typer.Option(help="Name of the craft, where several are pinned.")] = None,
    modem: Annotated[str | None, typer.Option(help="Modem profile of the link, e.g. uhf_9k6.")] = None,
    flight: Annotated[Path | None, typer.Option(help="A recorded flight (.mcap or its folder) as a craft.")] = None,
    at: Annotated[float | None, typer.Option(min=0.0, help="Flight time, s, at which a recording begins.")] = None,
    speed: Annotated[float, typer.Option(min=0.0, max=1000.0, help="Of a recording; 0 stands still.")] = 1.0,
    command: Annotated[list[str] | None, typer.Option(help="Give this line and leave; may be repeated.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Answers as JSON, one line each.")] = False,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Longest wait for one answer.")] = 30.0,
) -> None:
    """Look at a live craft from a terminal: telemetry, events, plots; and order it about, if your key may."""
    from firmware_py.cli.keys_locks import open_keys
    from firmware_py.cli.shell_pipe import ShellUnavailableError, link_pipe, serial_pipe, socket_pipe
    from firmware_py.recorder import RecordError

    ways = [way for way in (socket, serial, to, flight) if way is not None]
    if len(ways) != 1:
        _refuse("say where the craft is: one of --socket, --serial, --to, --flight", "qiki shell --help has examples")
    scripted = bool(command) or not sys.stdin.isatty()
    pipe: ShellPipe
    try:
        if socket is not None:
            pipe = socket_pipe(socket)
        elif serial is not None:
            pipe = serial_pipe(serial, baud)
        elif to is not None:
            pipe = link_pipe(open_keys(keys, passphrase_file, seal_key), to, craft, modem)
        else:
            pipe = _recorded(flight or Path(), at, speed, scripted)
    except ShellUnavailableError as error:
        _refuse(str(error), error.next_step)
    except RecordError as error:
        _refuse(str(error))
    try:
        if scripted:
            lines = command if command else (line.rstrip("\r\n") for line in sys.stdin)
            raise typer.Exit(_give(pipe, lines, as_json, timeout_s))
        _at_the_terminal(pipe, local=to is not None)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        pipe.close()


def _recorded(flight: Path, at: float | None, speed: float, scripted: bool) -> ShellPipe:
    from firmware_py.cli.shell_flight import RecordedCraft, RecordedPipe

    path = flight / "flight.mcap" if flight.is_dir() else flight
    # At a terminal one wants to see it fly; a single question is about how it ended.
    begin_s = at if at is not None or scripted else 0.0
    return RecordedPipe(RecordedCraft(path, begin_s, 0.0 if scripted else speed, time.monotonic_ns))


def _at_the_terminal(pipe: ShellPipe, *, local: bool) -> None:
    from firmware_py.cli.shell_terminal import converse, raw_terminal

    source, target = sys.stdin.fileno(), sys.stdout.fileno()
    typer.echo("Ctrl-] leaves.")
    with raw_terminal(source):
        converse(pipe, source, target, local=local)
    typer.echo("")


def _give(pipe: ShellPipe, lines: Iterable[str], as_json: bool, timeout_s: float) -> int:
    from firmware_py.cli.shell_terminal import script

    given = (line for line in lines if line.strip() and not line.lstrip().startswith("#"))
    wanted = (f"json {line}" if as_json and not line.startswith("json ") else line for line in given)
    code = 0
    for verdict in script(pipe, wanted, timeout_s, time.monotonic, time.sleep, size=_size()):
        if verdict.text:
            typer.echo(verdict.text, err=not verdict.good and as_json)
        if verdict.late:
            typer.secho(f"qiki: no answer within {timeout_s:g} s", fg=typer.colors.RED, err=True)
        code = code if verdict.good else 1
    return code


def _size() -> str:
    """Size of what the answers are read on."""
    try:
        columns = int(os.environ.get("COLUMNS") or os.get_terminal_size(sys.stdout.fileno()).columns)
    except (OSError, ValueError):
        columns = 0
    return f"{min(max(columns, 20), 240)}x40" if columns else "100x40"


def _refuse(message: str, next_step: str = "") -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)
