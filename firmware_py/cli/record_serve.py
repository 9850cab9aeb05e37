"""``qiki record serve``: the recorder as a process of its own, beside the flight program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["record_app"]

record_app = typer.Typer(no_args_is_help=True, help="The recorder beside a flight program.")

STEP_S = 0.02
"""Pause between two looks at the socket: it holds more than a second."""
MB = 1_000_000


@record_app.callback()
def _group() -> None:
    """Keeps ``serve`` a word of its own."""


@record_app.command(
    epilog="Example:\n\n  qiki record serve --port /run/qiki/record.sock --output /var/lib/qiki/flights --keep-mb 4000"
)
def serve(
    port: Annotated[Path, typer.Option(help="Socket of the flight program (qiki fly --record-port).")],
    output: Annotated[Path, typer.Option(help="Where flights are kept.")] = Path("flights"),
    keep_mb: Annotated[int | None, typer.Option(
        "--keep-mb", min=1, help="Room for all flights; the oldest go first, the newest never.")] = None,
    piece_mb: Annotated[int, typer.Option(min=1, help="Size at which a file is finished and the next begun.")] = 256,
    piece_minutes: Annotated[float, typer.Option(min=0.05, help="Age at which it is.")] = 60.0,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="End after so many seconds.")] = None,
) -> None:
    """Write what a flight program tells to black boxes, until a signal ends it; the flight may come and go."""
    from firmware_py.recorder import RecordError

    try:
        _serve(port, output, keep_mb, piece_mb, piece_minutes, for_s)
    except RecordError as error:
        typer.secho(f"qiki: {error}", fg=typer.colors.RED, err=True)
        raise typer.Exit(2) from None


def _serve(
    port: Path, output: Path, keep_mb: int | None, piece_mb: int, piece_minutes: float, for_s: float | None
) -> None:
    import os
    import signal
    import sys

    import structlog

    from comms.packet_socket import PacketClient
    from firmware_py.clock import RealClock
    from firmware_py.recorder.service import RecorderService, Rotation
    from firmware_py.recorder.shelf import Shelf
    from firmware_py.sd_notify import Notifier

    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.JSONRenderer()],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    log = structlog.get_logger("recorder")
    stopped: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: stopped.append(received))
    clock = RealClock(epoch_ns=0, spin_us=0)
    manager = Notifier.of(os.environ, os.getpid())
    shelf = Shelf(output, None if keep_mb is None else keep_mb * MB)
    rotation = Rotation(bytes=piece_mb * MB, age_ns=round(piece_minutes * 60e9))
    end = PacketClient(port)
    service = RecorderService(end, shelf, rotation, lambda text, values: log.info(text, **values))
    log.info("serving", port=str(port), output=str(output))
    signed_ns: int | None = None
    if manager is not None:
        manager.ready()
    end_ns = None if for_s is None else round(for_s * 1e9)
    while not stopped and (end_ns is None or clock.now_ns() < end_ns):
        now_ns = clock.now_ns()
        service.step(now_ns)
        if manager is not None and manager.period_ns is not None and (
            signed_ns is None or now_ns - signed_ns >= manager.period_ns
        ):
            signed_ns = now_ns
            manager.alive()
        clock.sleep_until_ns(now_ns + round(STEP_S * 1e9))
    service.close(clock.now_ns())
    end.close()
    if manager is not None:
        manager.stopping()
    log.info("ended", rows=service.rows, missing=service.missing, refused=service.refused, pieces=service.pieces)
