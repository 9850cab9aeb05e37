"""What a ground station shows while it waits: telemetry as a screen or as lines of JSON, and transfers as they go."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import typer

from comms.cfdp import IndicationKind, TransactionId
from comms.dictionary import CHANNELS
from comms.dictionary.frames import Frame
from comms.flight_port import CommandStage, EventNote, Snapshot
from comms.shell.overview import overview
from comms.shell.show import with_unit
from comms.shell.view import Craft, CraftView

if TYPE_CHECKING:
    from comms.link.ground import Arrival, GroundStation
    from comms.link.ground_orders import Ordered
    from firmware_py.cli.link_station import Station

__all__ = ["as_line", "follow_arrival", "follow_transfer", "screen", "watch_json", "watch_live"]

LAST_EVENTS = 8
OVER = (IndicationKind.FINISHED, IndicationKind.ABANDONED)
WITHOUT = frozenset({
    "aborted", "effect_timeout", "expired", "publish_failed", "ACK_rejected", "ACK_timeout",
})
"""Ends of an order to send a file after which none comes."""
REFRESH_S = 0.25
FOR_EVER_S = 1e9


def as_line(arrival: Arrival) -> dict[str, Any] | None:
    """One arrival for a program; ``None`` for what is no telemetry and no event."""
    what = arrival.what
    if isinstance(what, Frame):
        return {"frame": what.layout.name, "t_s": what.t_ns * 1e-9, "values": what.values}
    if isinstance(what, EventNote):
        return {"event": what.code, "t_s": what.t_ns * 1e-9, "severity": what.severity, "text": what.text}
    if isinstance(what, CommandStage):
        return {"command": what.name, "t_s": what.t_ns * 1e-9, "stage": str(what.stage), "codes": list(what.codes)}
    return None


def watch_json(station: Station, channels: list[str], for_s: float | None) -> None:
    """A line of JSON for every frame (its chosen channels), event and stage."""
    wanted = set(channels)

    def show() -> bool:
        for arrival in station.station.arrivals.take_all():
            line = as_line(arrival)
            if line is None:
                continue
            if wanted:
                line = {**line, "values": {k: v for k, v in line.get("values", {}).items() if k in wanted}}
                if not line["values"]:
                    continue
            typer.echo(json.dumps(line))
        return False

    station.wait(show, FOR_EVER_S if for_s is None else for_s)


def watch_live(station: Station, channels: list[str], for_s: float | None) -> None:
    """A screen that follows what comes, at a terminal; elsewhere how it looked at the end."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console()
    view = CraftView(Craft(station.station.craft))
    events: list[EventNote] = []
    shown_s = 0.0

    def lines() -> Text:
        rows = console.height - 1 if console.is_terminal else None
        return Text("\n".join(screen(station.station, view, channels, events, station.clock(), console.width, rows)))

    with ExitStack() as stack:
        live = None
        if console.is_terminal:
            live = stack.enter_context(Live(console=console, refresh_per_second=4))
        else:
            stack.callback(lambda: console.print(lines()))

        def show() -> bool:
            nonlocal shown_s
            for arrival in station.station.arrivals.take_all():
                if isinstance(arrival.what, EventNote):
                    events.append(arrival.what)
            del events[:-LAST_EVENTS]
            if live is not None and time.monotonic() - shown_s >= REFRESH_S:
                shown_s = time.monotonic()
                live.update(lines())
            return False

        station.wait(show, FOR_EVER_S if for_s is None else for_s)


def screen(
    ground: GroundStation, view: CraftView, channels: list[str], events: list[EventNote], now_ns: int, columns: int,
    rows: int | None = None,
) -> list[str]:
    """Lines of the screen; where it has so many rows, the newest events that still fit."""
    values = {name: value for name, (_, value) in ground.values.items()}
    newest = max((t_ns for t_ns, _ in ground.values.values()), default=None)
    lines = [_heading(ground, now_ns)]
    if newest is None:
        return [line[:columns] for line in (*lines, "no telemetry yet")]
    if channels:
        for name in channels:
            known = ground.values.get(name)
            value = "missing" if known is None else with_unit(known[1], CHANNELS[name].unit)
            age = "" if known is None else f"{(newest - known[0]) * 1e-9:6.1f} s old"
            lines.append(f"{name:24} {value:40} {age}"[:columns])
    else:
        view.feed(Snapshot(newest, values), now_ns)
        lines += overview(view, now_ns, columns)
    room = LAST_EVENTS if rows is None else max(0, rows - len(lines))
    lines += [
        f"{event.t_ns * 1e-9:9.2f} s  {event.severity:8} {event.code} {event.text}"[:columns]
        for event in (events[-room:] if room else ())
    ]
    return lines if rows is None else lines[:rows]


def _heading(ground: GroundStation, now_ns: int) -> str:
    end = ground.end
    craft_ms = ground.craft_ms(now_ns)
    time_s = "missing" if craft_ms is None else f"{craft_ms / 1000.0:.1f} s"
    heard = "never" if end is None else f"{(now_ns - end.heard_ns) * 1e-9:.1f} s ago"
    return f"{ground.craft}: {ground.state.value}, its time {time_s}, heard {heard}, {ground.counts.frames} frames"


def follow_transfer(station: Station, transaction: TransactionId, wait_s: float) -> tuple[bool, str]:
    """Show a transfer until it has ended; whether well, and words."""
    ended: list[tuple[bool, str]] = []

    def over() -> bool:
        for note in station.station.files.indications.take_all():
            if note.transaction == transaction and note.kind in OVER:
                good = note.condition.value == 0 and note.delivered is not False
                well = note.kind is IndicationKind.FINISHED and good
                size = "" if note.file_bytes is None else f", {note.file_bytes} bytes"
                words = "whole at the craft" if well else note.condition.name.lower().replace("_", " ")
                ended.append((well, f"{note.name}: {words}{size}"))
        return bool(ended)

    _with_progress(station, over, wait_s, lambda: _progress(station, transaction))
    return ended[0] if ended else (False, f"not over within {wait_s:g} s; the craft keeps what it has")


def follow_arrival(station: Station, order: Ordered, name: str, wait_s: float) -> tuple[bool, str]:
    """Show a file on its way down until it is here; whether well, and words."""
    ended: list[tuple[bool, str]] = []

    def over() -> bool:
        if order.verdict == "rejected":
            ended.append((False, f"refused: {', '.join(order.codes)} {order.detail}".strip()))
        for note in station.station.files.indications.take_all():
            if note.incoming and note.name in ("", name) and note.kind in OVER:
                well = note.kind is IndicationKind.FINISHED and note.condition.value == 0
                words = "whole" if well else note.condition.name.lower().replace("_", " ")
                ended.append((well, f"{note.name or name}: {words}"))
        if order.end in WITHOUT and not ended:
            ended.append((False, f"{name}: {order.end} {order.detail}".strip()))
        return bool(ended)

    _with_progress(station, over, wait_s, lambda: _progress(station, None))
    if ended:
        # The craft is to know that it is here: a moment for the last acknowledgement.
        station.wait(lambda: False, 0.5)
        return ended[0]
    return False, f"not here within {wait_s:g} s; what came is kept, and goes on when you ask again"


def _progress(station: Station, transaction: TransactionId | None) -> tuple[int, int] | None:
    for view in station.station.files.transactions():
        if (transaction is None and view.incoming) or view.id == transaction:
            return view.progress, view.file_bytes or 0
    return None


def _with_progress(station: Station, over: Any, wait_s: float, progress: Any) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)

        def step() -> bool:
            told = progress()
            if told is not None:
                bar.update(task, completed=told[0], total=told[1] or None)
            return bool(over())

        station.wait(step, wait_s)
