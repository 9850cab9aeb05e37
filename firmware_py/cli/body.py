"""``qiki body``: which bodies there are and what one can do, with the verdict whether it can be controlled.

Exit codes: 0 controllable, 1 not (or not with the nozzles said to have failed), 2 bad input.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

    from firmware_py.gnc.authority import AllocationEntry, Authority, Loss, Slice
    from hal.profile import BodyConfig

__all__ = ["body_app"]

BAD_INPUT, UNCONTROLLABLE = 2, 1
NOZZLES_KEY = "propulsion.nozzles"
"""Key of the refusal that the loader gives for a geometry, after all nozzles have been found valid by themselves."""
TURNS = {"torque X": "torque X (roll)", "torque Y": "torque Y (pitch)", "torque Z": "torque Z (yaw)"}

body_app = typer.Typer(no_args_is_help=True, help="The craft: which bodies there are, and what one can do.")


@body_app.command("list", epilog="Example:\n\n  qiki body list")
def list_bodies() -> None:
    """The bodies that ship, with what each is."""
    from importlib import resources

    from hal.profile import load_body

    folder = Path(str(resources.files("board_configs") / "bodies"))
    for path in sorted(folder.glob("*.yaml")):
        typer.echo(f"{path.stem:16} {load_body(path.stem).description}")


@body_app.command(
    epilog="Examples:\n\n  qiki body show qiki-t\n\n  qiki body show my-craft.yaml --plot body.png\n\n"
    "  qiki body show qiki-t --failed 0,5 --json"
)
def show(
    body: Annotated[str, typer.Argument(help="Body file, or the name of one that ships.")],
    failed: Annotated[str, typer.Option(help="Nozzles taken for dead, by number: 0,5.")] = "",
    plot: Annotated[Path | None, typer.Option(help="Draw attainable force and torque into this PNG.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
) -> None:
    """What a body can do: force and torque, who makes them, what a dead nozzle costs; can it be controlled at all?"""
    config, refusal = _load(body)
    dead = _numbers(failed, len(config.propulsion.nozzles))
    from firmware_py.gnc.authority import allocation_map, authority

    found, entries = authority(config, dead), allocation_map(config, dead)
    if plot is not None:
        _draw(config, found, plot)
    if as_json:
        typer.echo(json.dumps(_as_json(config, found, entries, refusal, plot), indent=1))
    else:
        from rich.console import Console

        Console().print(_page(config, found, entries))
        if plot is not None:
            typer.echo(f"plot  {plot}")
    if refusal:
        typer.secho(f"qiki: {refusal}", fg=typer.colors.RED, err=True)
        typer.echo("      add or turn nozzles until nothing is missing; see docs/guide/describe-a-body.md", err=True)
    raise typer.Exit(0 if found.controllable and not refusal else UNCONTROLLABLE)


def _refuse(message: str, next_step: str) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


def _load(name: str) -> tuple[BodyConfig, str]:
    """The body, and the loader's refusal if all that it holds against it is that it can't be controlled."""
    from hal.profile import BodyConfig, ConfigError, load_body, load_yaml
    from hal.profile.loader import find_config

    try:
        return load_body(name), ""
    except ConfigError as error:
        if error.key != NOZZLES_KEY:
            _refuse(str(error), "qiki body list says which ship; docs/guide/describe-a-body.md what a file holds")
        try:
            config, _ = load_yaml(find_config("bodies", name), BodyConfig)
        except ConfigError:  # too few nozzles, say: no body to show
            _refuse(str(error), "docs/guide/describe-a-body.md says what a file holds")
        return config, str(error)


def _numbers(text: str, count: int) -> tuple[int, ...]:
    listed = [part.strip() for part in text.split(",")] if text.strip() else []
    for part in listed:
        if not (part.isdecimal() and int(part) < count):
            _refuse(f"--failed: {part!r} is no nozzle of this body", f"give numbers of 0..{count - 1}: --failed 0,5")
    return tuple(sorted({int(part) for part in listed}))


def _draw(config: BodyConfig, found: Authority, path: Path) -> None:
    from firmware_py.report.body_plot import draw_body

    if path.suffix.lower() != ".png":
        _refuse(f"{path}: only PNG is drawn", f"--plot {path.with_suffix('.png')}")
    try:
        draw_body(config, path, found)
    except OSError as error:
        _refuse(f"{path}: {error.strerror}", "choose another place with --plot")


# -- as one object


def _as_json(
    config: BodyConfig, found: Authority, entries: tuple[AllocationEntry, ...], refusal: str, plot: Path | None
) -> dict[str, Any]:
    from hal.profile.controllability import SIGNED_AXES

    def axes(loss: Authority | Loss) -> dict[str, float]:
        return dict(zip(SIGNED_AXES, (*loss.force_n, *loss.torque_n_m), strict=True))

    def every_way(part: Slice) -> dict[str, Any]:
        return {
            "in_every_direction": part.inscribed, "weakest_direction": part.weakest, "greatest": part.greatest,
            "strongest_direction": part.strongest,
        }

    def losses(listed: tuple[Loss, ...]) -> list[dict[str, Any]]:
        return [{"name": o.name, "nozzles": o.nozzles, "lost": o.lost, "authority": axes(o)} for o in listed]

    return {
        "body": config.body, "description": config.description, "environment": config.environment,
        "controllable": found.controllable and not refusal, "missing": found.missing, "refusal": refusal or None,
        "failed": found.failed, "mass_kg": config.mass.dry_kg + config.mass.propellant_kg,
        "centre_of_mass_m": config.mass.centre_of_mass_m, "inertia_kg_m2": config.mass.inertia_kg_m2,
        "nozzles": [
            {"id": n.id, "cluster": n.cluster, "position_m": n.position_m, "direction": n.direction,
             "thrust_n": n.thrust_n}
            for n in config.propulsion.nozzles
        ],
        "authority": axes(found), "force_n": every_way(found.force), "torque_n_m": every_way(found.torque),
        "torque_max_suggested_n_m": found.torque_max_n_m, "torque_max_n_m": config.limits.torque_max_n_m,
        "rank": found.rank, "condition": found.condition if found.rank == 6 else None,
        "condition_gyration": found.condition_gyration if found.rank == 6 else None,
        "map": [
            {"axis": e.axis} | {
                kind: {"size": s.size, "nozzles": s.nozzles, "duty": s.duty, "thrust_n": s.thrust_n}
                for kind, s in (("cheapest", e.cheapest), ("strongest", e.strongest))
            }
            for e in entries
        ],
        "nozzle_losses": losses(found.nozzle_losses), "cluster_losses": losses(found.cluster_losses),
        "plot": None if plot is None else str(plot),
    }


# -- as tables


def _page(config: BodyConfig, found: Authority, entries: tuple[AllocationEntry, ...]) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    blank = Text("")
    parts: list[RenderableType] = [
        _head(config, found), blank, _nozzle_table(config, found), blank, _authority_table(config, found), blank,
        _every_way(config, found), blank, _map_table(entries), blank, _loss_table(found),
    ]
    parts += [blank, _verdict(found)]
    return Group(*parts)


def _table(title: str, *columns: str, right: tuple[str, ...] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", header_style="dim", pad_edge=False,
        show_edge=False,
    )
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def _number(value: float) -> str:
    """Three digits or more: 1086, 27.7, 0.106."""
    size = abs(value)
    return f"{value:.0f}" if size >= 100 or value == 0 else f"{value:.1f}" if size >= 10 else f"{value:.3g}"


def _vector(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


def _head(config: BodyConfig, found: Authority) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    mass, inertia = config.mass, config.mass.inertia_kg_m2
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("body", Text(f"{config.body}: {config.description}"))
    table.add_row("environment", config.environment.replace("_", " "))
    table.add_row("mass", f"{mass.dry_kg:g} kg dry, {mass.propellant_kg:g} kg propellant")
    table.add_row("centre of mass", f"{_vector(mass.centre_of_mass_m)} m; all below is about it, with a full tank")
    table.add_row("inertia", f"{_vector(tuple(inertia[n][n] for n in range(3)))} kg m2 about X, Y, Z")
    if found.failed:
        table.add_row("taken for dead", "nozzle " + ", ".join(map(str, found.failed)))
    return table


def _nozzle_table(config: BodyConfig, found: Authority) -> Table:
    table = _table("Nozzles", "", "cluster", "position m", "force along", "N", right=("", "N"))
    for nozzle in config.propulsion.nozzles:
        table.add_row(
            str(nozzle.id), nozzle.cluster, _vector(nozzle.position_m), _vector(nozzle.direction),
            _number(nozzle.thrust_n), style="dim strike" if nozzle.id in found.failed else "",
        )
    return table


def _authority_table(config: BodyConfig, found: Authority) -> Table:
    """Both ways of the six axes, the acceleration of the weaker way, and the worst that a dead nozzle leaves."""
    from math import degrees

    import numpy as np

    mass = config.mass.dry_kg + config.mass.propellant_kg
    inverse = np.linalg.inv(np.array(config.mass.inertia_kg_m2))
    columns = ("+", "-", "unit", "accelerates", "one nozzle dead")
    table = _table("Authority: each alone, every other force and torque zero", "", *columns,
                   right=("+", "-", "accelerates", "one nozzle dead"))
    for row in range(6):
        turn, axis = row >= 3, "XYZ"[row % 3]
        sizes = (found.torque_n_m if turn else found.force_n)[2 * (row % 3) : 2 * (row % 3) + 2]
        unit = "N m" if turn else "N"
        left = min(
            ((loss.torque_n_m if turn else loss.force_n)[2 * (row % 3) + way]
             for loss in found.nozzle_losses for way in (0, 1)), default=0.0,
        )
        gain = degrees(min(sizes) * inverse[row % 3, row % 3]) if turn else min(sizes) / mass
        table.add_row(
            TURNS[f"torque {axis}"] if turn else f"force {axis}", *(_size(size) for size in sizes), unit,
            f"{_number(gain)} {'deg/s2' if turn else 'm/s2'}", _size(left),
        )
    return table


def _size(value: float) -> str:
    return _number(value) if value else "[bold red]none[/]"


def _every_way(config: BodyConfig, found: Authority) -> RenderableType:
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, part, unit in (("force", found.force, "N"), ("torque", found.torque, "N m")):
        other = "torque" if name == "force" else "force"
        if part.inscribed:
            text = (
                f"{_number(part.inscribed)} {unit} in every direction (weakest {_vector(part.weakest)}), "
                f"at most {_number(part.greatest)} {unit} (along {_vector(part.strongest)})"
            )
        else:
            text = "not in every direction"
        table.add_row(f"{name} without {other}", text)
    if found.torque_max_n_m:
        table.add_row("limit of torque", f"torque_max_n_m is {config.limits.torque_max_n_m:g} N m; 80 % of the weakest "
                      f"torque axis would be {_number(found.torque_max_n_m)}")
    if found.rank == 6:
        condition = f"{found.condition:.2g} in N and N m, {found.condition_gyration:.2g} with torque over the radius"
        table.add_row("matrix", f"rank 6, condition number {condition} of gyration")
    else:
        table.add_row("matrix", f"rank {found.rank} of 6")
    return table


def _map_table(entries: tuple[AllocationEntry, ...]) -> Table:
    table = _table(
        "Thrust and torque map: nozzles, with % where it is not full thrust", "", "cheapest set", "size", "wider set",
        "size ", right=("size", "size "),
    )
    for entry in entries:
        unit = "N m" if entry.axis.startswith("torque") else "N"
        # Within the slack of what counts as cheapest the wider set would only be a longer list.
        wider = entry.strongest.size > 1.001 * entry.cheapest.size
        sets = (entry.cheapest, entry.strongest) if wider else (entry.cheapest,)
        cells = [cell for s in sets for cell in (_set(s.nozzles, s.duty), f"{_number(s.size)} {unit}")]
        table.add_row(entry.axis, *cells, *(["same", ""] if not wider else []))
    return table


def _set(nozzles: tuple[int, ...], duty: tuple[float, ...]) -> str:
    return " ".join(
        str(n) if duty[n] > 0.995 else f"{n}[dim]:{100.0 * duty[n]:.0f}%[/]" for n in nozzles
    )


def _loss_table(found: Authority) -> Table:
    """What each dead cluster leaves, then each dead nozzle."""
    columns = ("dead", "weakest force left, N", "weakest torque left, N m", "lost")
    table = _table("What a dead nozzle or cluster leaves", *columns, right=columns[1:3])
    for loss in (*found.cluster_losses, *found.nozzle_losses):
        kept = [tuple(size for size in sizes if size) for sizes in (loss.force_n, loss.torque_n_m)]
        cells = [_number(min(sizes)) if sizes else "[bold red]none[/]" for sizes in kept]
        lost = "[green]nothing[/]" if not loss.lost else f"[yellow]{_grouped(loss.lost)}[/]"
        table.add_row(loss.name, *cells, lost)
    return table


def _grouped(axes: tuple[str, ...]) -> str:
    """Force -X, force +Y, force -Y, torque +X as "force -X, +-Y; torque +X"."""
    words = []
    for kind in ("force", "torque"):
        ways = [axis.split()[1] for axis in axes if axis.startswith(kind)]
        marks = [f"+-{a}" if {f"+{a}", f"-{a}"} <= set(ways) else next((w for w in ways if w[1] == a), "")
                 for a in "XYZ"]
        if ways:
            words.append(f"{kind} {', '.join(filter(None, marks))}")
    return "; ".join(words)


def _verdict(found: Authority) -> RenderableType:
    from rich.text import Text

    if found.controllable:
        return Text("controllable: every force and every torque can be made", style="green")
    return Text(f"NOT controllable: it can't make {_grouped(found.missing)}", style="bold red")
