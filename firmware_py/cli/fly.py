"""``qiki fly``: the flight program on a real board, as a service manager starts it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

__all__ = ["EPILOG", "fly"]

REFUSED = 2
START_NICE = -10
"""Of the start, and of the threads that wait for buses and files; the flight thread has FIFO scheduling."""
EPILOG = (
    "Examples:\n\n  qiki fly --board qiki-rpi --body qiki-t --state /var/lib/qiki/flight\n\n"
    "  qiki fly --board rig/board.yaml --body qiki-t --state state --link-port run/link.sock "
    "--record-port run/record.sock --no-realtime\n\n"
    "Whoever connects to the link's socket commands the craft: name its user with --link-user.\n\n"
    "Exit codes: 0 stopped (valves shut, lines low), 2 refused before anything flew, 75 start me again."
)


def fly(
    board: Annotated[str, typer.Option(help="Board file or name.")],
    body: Annotated[str, typer.Option(help="Body file or name.")],
    mission: Annotated[str | None, typer.Option(help="Mission file or name; without one the craft stands by.")] = None,
    state: Annotated[Path, typer.Option(help="Folder of what outlives a restart.")] = Path("flight-state"),
    link_port: Annotated[Path | None, typer.Option(help="Socket for the link (qiki link serve --port).")] = None,
    record_port: Annotated[Path | None, typer.Option(
        help="Socket for the recorder (qiki record serve --port); without one the flight records itself.")] = None,
    perception_port: Annotated[Path | None, typer.Option(help="Socket for perception.")] = None,
    cpu: Annotated[int | None, typer.Option(min=0, max=1023, help="Processor, instead of the board's.")] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=99, help="FIFO priority, instead of the board's.")] = None,
    realtime: Annotated[bool, typer.Option("--realtime/--no-realtime", help="Ask for a real-time thread.")] = True,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="Stop after so many seconds.")] = None,
    faults: Annotated[Path | None, typer.Option(help="Fault table, instead of the one that ships.")] = None,
    guard_rules: Annotated[Path | None, typer.Option(help="Guard rules, instead of those that ship.")] = None,
    link_user: Annotated[str | None, typer.Option(
        help="The one user that may connect to the link's socket; otherwise whoever may open its file.")] = None,
    record_user: Annotated[str | None, typer.Option(help="The same for the recorder's socket.")] = None,
    perception_user: Annotated[str | None, typer.Option(help="The same for perception's socket.")] = None,
) -> None:
    """Fly a real board, or buses that a rig serves, until told to stop."""
    import gc
    import os
    import signal
    from contextlib import suppress

    # A craft whose program was killed waits for this start: as long as it lasts, others give way if that is allowed.
    with suppress(OSError):
        os.nice(START_NICE)

    # What a start makes is kept: to look for garbage in it would take a tenth of its time.
    gc.disable()
    # One thread computes here; pools of a numerics library would only take memory, which is locked.
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    # A terminal that goes is no reason to stop flying.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    import threading

    from comms.packet_socket import PortError
    from firmware_py.flight_process import FlightOrder, FlightProcess, FlightRefused
    from firmware_py.recorder import RecordError
    from hal.profile import ConfigError

    threading.stack_size(STACK_BYTES)
    order = FlightOrder(
        board, body, state, mission, link_port, record_port, perception_port, cpu, priority, realtime, for_s, faults,
        guard_rules, link_user, record_user, perception_user,
    )
    try:
        process = FlightProcess(order, os.environ)
    except ConfigError as error:
        _refuse(str(error), "see docs/guide for what these files hold")
    except FlightRefused as error:
        _refuse(str(error), error.next_step)
    except PortError as error:
        _refuse(str(error), "make its folder, or choose another place")
    except RecordError as error:
        _refuse(str(error))
    try:
        code = process.fly(lambda: bool(stopped))
    finally:
        process.close()
    raise typer.Exit(code)


STACK_BYTES = 256 * 1024
"""Of each thread that waits for buses and files: memory is locked, and the usual 8 MB would be too."""


def _refuse(message: str, next_step: str = "") -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(REFUSED)
