"""``qiki perception``: what a craft saw, from its record; and the perception itself as a process beside the flight.

Exit codes: 0 all well, 1 a replay diverged, 2 bad input.
"""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from firmware_py.perception.playback import Playback
    from firmware_py.perception.tracks import TrackSet

__all__ = ["perception_app"]

BAD_INPUT, DIVERGED = 2, 1
NS = 1e9
STYLES = {"ok": "", "warn": "yellow", "crit": "bold red"}

perception_app = typer.Typer(no_args_is_help=True, help="What is around the craft: look at a record, replay it, serve.")

FileArgument = Annotated[Path, typer.Argument(help="A perception.mcap, or the folder of a flight.")]
AtOption = Annotated[float | None, typer.Option(
    "--at", min=0.0, help="Flight time, s; without it that of the highest risk.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]


def _refuse(message: str, next_step: str = "") -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


def _load(file: Path) -> Playback:
    from firmware_py.perception.playback import load_playback, record_in
    from firmware_py.recorder import RecordError

    try:
        return load_playback(record_in(file))
    except RecordError as error:
        _refuse(f"{error.path}: {error.problem}", error.next_step)


def _moment(seen: Playback, at: float | None) -> int:
    """Flight time to look at."""
    from firmware_py.report.perception_plot import worst_time

    if at is None:
        return worst_time(seen)
    if at > seen.end_ns / NS:
        _refuse(f"--at is {at:g}", f"the record ends at {seen.end_ns / NS:.2f} s")
    return round(at * NS)


@perception_app.command(
    epilog="Examples:\n\n  qiki perception show flights/fly-by-seed1\n\n"
    "  qiki perception show flights/fly-by-seed1 --at 12.5 --half 80 --output view.png",
)
def show(
    file: FileArgument, at: AtOption = None,
    half: Annotated[float | None, typer.Option(min=1.0, help="Half the width of the picture, m.")] = None,
    output: Annotated[Path | None, typer.Option(help="Picture to draw; surroundings.png beside the record.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Draw one moment from above, and list its tracks: worst risk first, then nearest."""
    from firmware_py.perception.playback import record_in
    from firmware_py.perception.query import TrackQuery
    from firmware_py.report.perception_plot import draw_surroundings

    seen = _load(file)
    t_ns = _moment(seen, at)
    picture = record_in(file).with_name("surroundings.png") if output is None else output
    try:
        draw_surroundings(seen, t_ns, picture, half)
    except OSError as error:
        _refuse(f"{picture}: {error.strerror or error}", "choose another place with --output")
    rows = _rows(seen, t_ns, TrackQuery())
    if as_json:
        typer.echo(json.dumps({"t_s": t_ns / NS, "picture": str(picture), "tracks": rows, "scans": seen.scans,
                               "events": [_event(event) for event in seen.events]}, indent=1))
        return
    _print_tracks(rows, t_ns)
    _print_events(seen)
    typer.echo(f"picture: {picture}")


@perception_app.command(
    epilog="Examples:\n\n  qiki perception query flights/fly-by-seed1 --risk warn\n\n"
    "  qiki perception query flights/fly-by-seed1 --at 20 --box=-50,-50,-50,50,50,50 --newer 1 --json",
)
def query(
    file: FileArgument, at: AtOption = None,
    track: Annotated[int | None, typer.Option("--id", min=0, help="This track alone.")] = None,
    box: Annotated[str | None, typer.Option(help="x,y,z of the lowest and of the highest corner, m, inertial.")] = None,
    risk: Annotated[str | None, typer.Option(help="At least ok, warn or crit.")] = None,
    newer: Annotated[float | None, typer.Option(min=0.0, help="Measured within the last so many seconds.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a record for tracks by id, box, risk and age."""
    from firmware_py.perception.query import LEVELS, TrackQuery

    if risk is not None and risk not in LEVELS:
        _refuse(f"--risk is {risk!r}", f"allowed are {', '.join(LEVELS)}")
    corners = _box(box)
    try:
        asked = TrackQuery.of({
            "track_id": track, "risk": risk, "newer_s": newer,
            **({} if corners is None else {"low_m": corners[:3], "high_m": corners[3:]}),
        })
    except ValueError as error:
        _refuse(f"--box: {error}", "for example --box=-50,-50,-50,50,50,50")
    seen = _load(file)
    t_ns = _moment(seen, at)
    rows = _rows(seen, t_ns, asked)
    if as_json:
        typer.echo(json.dumps({"t_s": t_ns / NS, "tracks": rows}, indent=1))
        return
    _print_tracks(rows, t_ns)


@perception_app.command(epilog="Example:\n\n  qiki perception replay flights/fly-by-seed1")
def replay(file: FileArgument, as_json: JsonOption = False) -> None:
    """Feed the recorded input to the software of today, and compare every track list to the last byte."""
    from firmware_py.perception.playback import record_in
    from firmware_py.perception.replay import replay_record
    from firmware_py.recorder import RecordError
    from hal.profile import ConfigError

    try:
        result = replay_record(record_in(file))
    except RecordError as error:
        _refuse(f"{error.path}: {error.problem}", error.next_step)
    except ConfigError as error:
        _refuse(f"{file}: what flew cannot be read: {error}")
    if as_json:
        typer.echo(json.dumps({
            "steps": result.steps, "lists": result.lists, "differing": result.differing,
            "first_difference_s": None if result.first_ns is None else result.first_ns / NS,
        }, indent=1))
    elif result.first_ns is None:
        typer.echo(f"same: {result.lists} track lists of {result.steps} steps, byte for byte")
    else:
        typer.secho(f"{result.differing} of {result.lists} track lists differ, the first at "
                    f"{result.first_ns / NS:.3f} s", fg=typer.colors.RED)
    if result.first_ns is not None:
        raise typer.Exit(DIVERGED)


@perception_app.command(
    epilog="Examples:\n\n  qiki perception export flights/fly-by-seed1 --csv tracks.csv\n\n"
    "  qiki perception export flights/fly-by-seed1 --rerun view.rrd   (needs: pip install 'qiki-flight\\[rerun]')",
)
def export(
    file: FileArgument,
    csv: Annotated[Path | None, typer.Option(help="One row a track and list.")] = None,
    rerun: Annotated[Path | None, typer.Option(help="File for the Rerun viewer.")] = None,
) -> None:
    """Write the tracks of a record for other programs."""
    from firmware_py.perception.export import RerunMissing, write_csv, write_rerun

    if csv is None and rerun is None:
        _refuse("nothing to write", "give --csv FILE, --rerun FILE, or both")
    seen = _load(file)
    try:
        if csv is not None:
            typer.echo(f"{csv}: {write_csv(seen, csv)} rows")
        if rerun is not None:
            typer.echo(f"{rerun}: {write_rerun(seen, rerun)} track lists")
    except RerunMissing as error:
        _refuse(str(error), "pip install 'qiki-flight[rerun]'")
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror or error}", "choose another place")


@perception_app.command(
    epilog="Examples:\n\n  qiki perception check\n\n  qiki perception check my-perception.yaml --json"
)
def check(
    config: Annotated[Path | None, typer.Argument(help="Perception file; the one that ships if none is given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a perception file as the craft does at its start."""
    from firmware_py.perception.config import find_perception, load_perception
    from hal.profile import ConfigError

    try:
        loaded = load_perception(config)
    except ConfigError as error:
        _refuse(str(error), "docs/guide/see.md says what a file holds")
    path = find_perception() if config is None else config
    if as_json:
        import msgspec

        typer.echo(json.dumps({"file": str(path), **msgspec.to_builtins(loaded)}, indent=1))
        return
    typer.echo(f"good: {len(loaded.sensors)} sensors, {len(loaded.friends)} friends, {len(loaded.foes)} foes in {path}")


@perception_app.command(
    epilog="Example:\n\n  qiki perception serve --port /run/qiki/perception.sock --board qiki-rpi --record records",
)
def serve(
    port: Annotated[Path, typer.Option(help="Socket of the flight program.")],
    body: Annotated[str, typer.Option(help="Body file or name, for its centre of mass.")] = "qiki-t",
    board: Annotated[str, typer.Option(help="Board file or name, for the mounts of the sensors.")] = "qiki-rpi",
    config: Annotated[Path | None, typer.Option(help="Perception file, instead of the one that ships.")] = None,
    record: Annotated[Path | None, typer.Option(help="Folder for the record; none is kept without.")] = None,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="End after so many seconds.")] = None,
) -> None:
    """Look around for a flight program on this machine, until a signal ends it."""
    from firmware_py.cli.perception_serve import serve_perception
    from firmware_py.recorder import RecordError
    from hal.profile import ConfigError

    try:
        serve_perception(port, body, board, config, record, for_s)
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror or error}", "choose another folder with --record")
    except ConfigError as error:
        _refuse(str(error))
    except RecordError as error:
        _refuse(f"{error.path}: {error.problem}", error.next_step)


def _box(text: str | None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        corners = tuple(float(word) for word in text.split(","))
    except ValueError:
        corners = ()
    if len(corners) != 6 or not all(map(isfinite, corners)):
        _refuse(f"--box is {text!r}", "six numbers are needed, for example --box=-50,-50,-50,50,50,50")
    return corners


def _rows(seen: Playback, t_ns: int, asked: Any) -> list[dict[str, Any]]:
    import numpy as np

    from firmware_py.perception.query import full_row, select

    tracks: TrackSet | None = seen.tracks_at(t_ns)
    if tracks is None:
        return []
    columns = seen.risk_at(t_ns) or {"track_id": np.empty(0, int), "level": np.empty(0, int)}
    by_id = dict(zip(columns["track_id"].tolist(), columns["level"].tolist(), strict=True))
    levels = np.array([by_id.get(track_id, 0) for track_id in tracks.track_id.tolist()], np.int8)
    own = seen.own_at(t_ns)
    x, y, z = (float(value) for value in own[:3])
    return [full_row(tracks, int(row), int(levels[row]), own) for row in select(tracks, levels, asked, (x, y, z))]


def _print_tracks(rows: list[dict[str, Any]], t_ns: int) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=f"tracks at {t_ns / NS:.2f} s", title_justify="left", padding=(0, 1, 0, 0))
    for name, right in (("id", True), ("status", False), ("risk", False), ("type", False), ("iff", False),
                        ("transp.", False), ("range m", True), ("vr m/s", True), ("quality", True),
                        ("trust", True)):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        identity = "" if row["transponder_id"] is None else f" {row['transponder_id']}"
        vr = row["vr_mps"]
        table.add_row(
            str(row["track_id"]), row["status"], f"[{STYLES[row['risk']]}]{row['risk']}[/]" if STYLES[row["risk"]]
            else row["risk"], _short(row["object_type"]), _short(row["iff"]), f"{row['transponder_mode']}{identity}",
            f"{row['range_m']:.1f}", "-" if vr is None else f"{vr:+.2f}", f"{row['quality']:.2f}",
            f"{row['trust']:.2f}",
        )
    console = Console()
    console.print(table if rows else f"no track at {t_ns / NS:.2f} s")


def _short(word: str) -> str:
    """What is not known takes no room."""
    return "-" if word == "unspecified" else word


def _event(event: Any) -> dict[str, Any]:
    return {"t_s": event.t_ns / NS, "code": event.code, "severity": event.severity, "text": event.text}


def _print_events(seen: Playback) -> None:
    for event in seen.events[:20]:
        colour = {"critical": typer.colors.RED, "warning": typer.colors.YELLOW}.get(event.severity)
        typer.secho(f"{event.t_ns / NS:9.2f} s  {event.code:<22} {event.text}", fg=colour)
    if len(seen.events) > 20:
        typer.echo(f"and {len(seen.events) - 20} more events: --json shows all")
