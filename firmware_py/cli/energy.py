"""``qiki energy``: what the stores will do in the hours ahead, foreseen on board or flown in the world.

Exit codes: 0 all well, 1 something that was to hold does not (loads shed, SAFE, bus off, books open), 2 bad input.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from firmware_py.cli.energy_flight import EnergyPlan
    from firmware_py.cli.energy_setup import EnergySetup
    from hal.profile import BodyConfig

__all__ = ["energy_app"]

BAD_INPUT, FAILED = 2, 1

energy_app = typer.Typer(
    no_args_is_help=True, help="Power and heat for hours ahead: what is foreseen on board, and what is flown."
)

BodyOption = Annotated[str, typer.Option(help="Body file, or the name of one that ships.")]
HoursOption = Annotated[float, typer.Option(help="How far ahead, h.")]
SocOption = Annotated[float, typer.Option("--soc", help="Charge of the battery now, 0..1.")]
CapOption = Annotated[float, typer.Option("--soc-cap", help="Charge of the supercapacitor now, 0..1.")]
AltitudeOption = Annotated[float | None, typer.Option(help="Height of a circular orbit, km; without it no shadow.")]
BetaOption = Annotated[float, typer.Option(help="Angle of the Sun over the orbit's plane, deg.")]
PhaseOption = Annotated[float, typer.Option(help="Place at the start, deg from noon; 180 is the middle of the night.")]
LightingOption = Annotated[
    str | None, typer.Option(help="'always', or a CSV file of a bench: time in s, share of full Sun."),
]
CosineOption = Annotated[str, typer.Option(help="Cosine of the Sun on the cells, -1..1, or 'tumbling'.")]
OffOption = Annotated[list[str] | None, typer.Option(help="Load that an operator has switched off; may be repeated.")]
AmbientOption = Annotated[float | None, typer.Option(help="Surroundings, deg C; the body's own if not given.")]
TemperatureOption = Annotated[
    list[str] | None, typer.Option(help="Temperature of a node now, node=C, or all=C; may be repeated."),
]
OutOption = Annotated[Path, typer.Option(help="Folder of the picture; made if it is not there.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]

FORECAST_JSON = (
    "JSON: body, hours, nominal and pessimistic (each min_soc_battery and min_battery_h, end_soc_battery, "
    "min_soc_supercap, first_shed {load, reason, hours} or null, safe_from_h, bus_off_from_h, boost_h, cold_h, "
    "sources_wh, consumers_wh, spilled_wh, unserved_wh, margin_wh), holds, verdict, next_step, plot."
)
FLY_JSON = (
    "JSON: body, hours, seed, sources_wh, consumers_wh, losses_wh, stored_wh, unexplained_share, on_board_share, "
    "min_soc_battery and min_battery_h, min_soc_supercap, end_soc_battery, sheds [{load, reason, from_h, to_h}], "
    "under_voltage_s, bus_off_h, woke_h, cold_charge_j, worst_estimate, events, holds, verdict, next_step, plot."
)


@energy_app.command(
    epilog="Examples:\n\n  qiki energy forecast --altitude-km 500\n\n"
    "  qiki energy forecast --body gref --altitude-km 500 --beta-deg 60 --soc 0.6 --json\n\n"
    "  qiki energy forecast --lighting lamps.csv --off radar --off nbl --hours 8\n\n" + FORECAST_JSON
)
def forecast(
    body: BodyOption = "qiki-t", hours: HoursOption = 24.0, soc: SocOption = 0.8, soc_cap: CapOption = 0.7,
    altitude_km: AltitudeOption = None, beta_deg: BetaOption = 0.0, phase_deg: PhaseOption = 0.0,
    lighting: LightingOption = None, cosine: CosineOption = "1", off: OffOption = None, ambient: AmbientOption = None,
    temperature: TemperatureOption = None,
    sigma: Annotated[float, typer.Option(help="Uncertainty of both charges (one sigma), 0..0.5.")] = 0.01,
    out: OutOption = Path("flights/energy"), as_json: JsonOption = False,
) -> None:
    """A day ahead as the flight software reckons it: lowest charge, first shed, margins; planned and pessimistic."""
    from firmware_py.cli.energy_tables import forecast_json, forecast_page, forecast_verdict

    config, setup = _setup(
        body, hours, soc, soc_cap, altitude_km, beta_deg, phase_deg, lighting, cosine, off, ambient, temperature
    )
    if not 0.0 <= sigma <= 0.5:
        _refuse(f"--sigma is {sigma}; 0..0.5 is allowed", "qiki energy forecast --help says what may be given")
    _make(out)
    try:
        ahead = setup.forecast(sigma)
    except ValueError as error:
        _refuse(str(error), "qiki energy forecast --help says what may be given")
    plot = _draw(out, "forecast.png", lambda path: setup.draw_forecast(ahead, path))
    verdict = forecast_verdict(config, ahead)
    if as_json:
        typer.echo(json.dumps(forecast_json(config, ahead, verdict, plot), indent=1))
    else:
        from rich.console import Console

        Console().print(forecast_page(config, setup.words, ahead, verdict))
        typer.echo(f"plot  {plot}")
    raise typer.Exit(0 if verdict.holds else FAILED)


@energy_app.command(
    epilog="Examples:\n\n  qiki energy fly --altitude-km 500 --hours 6\n\n"
    "  qiki energy fly --fault panel=0@2+1 --fault short:radar=60@4 --hours 8\n\n"
    "  qiki energy fly --soc 0 --temperature all=-30 --ambient -30 --fault eclipse@0+1 --off nbl\n\n"
    "Faults are KIND[:LOAD][=VALUE]@HOURS[+HOURS]; qiki energy faults lists them.\n\n" + FLY_JSON
)
def fly(
    body: BodyOption = "qiki-t", hours: HoursOption = 24.0, soc: SocOption = 0.8, soc_cap: CapOption = 0.7,
    altitude_km: AltitudeOption = None, beta_deg: BetaOption = 0.0, phase_deg: PhaseOption = 0.0,
    lighting: LightingOption = None, cosine: CosineOption = "1", off: OffOption = None, ambient: AmbientOption = None,
    temperature: TemperatureOption = None,
    fault: Annotated[list[str] | None, typer.Option(help="KIND[:LOAD][=VALUE]@HOURS[+HOURS]; may be repeated.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the sensors' noise.")] = 1,
    step: Annotated[float, typer.Option(help="Period of the flight software, 0.5..2 s: shorter is slower.")] = 2.0,
    out: OutOption = Path("flights/energy"), as_json: JsonOption = False,
) -> None:
    """Fly hours of power and heat: the energy manager over the world's power plant; who gave, took, what is left."""
    from firmware_py.cli.energy_tables import fly_json, fly_page, fly_verdict

    config, setup = _setup(
        body, hours, soc, soc_cap, altitude_km, beta_deg, phase_deg, lighting, cosine, off, ambient, temperature
    )
    try:
        plan = setup.plan(tuple(fault or ()), seed, step)
        _make(out)
        result = _flown(plan, quiet=as_json)
    except ValueError as error:
        _refuse(str(error), "qiki energy fly --help says what may be given; qiki energy faults what can happen")
    except KeyboardInterrupt:
        _refuse("flight ended by the keyboard", "nothing was written; fewer --hours or a longer --step are faster")
    plot = _draw(out, "flows.png", lambda path: setup.draw_flight(result, path))
    verdict = fly_verdict(config, result)
    if as_json:
        typer.echo(json.dumps(fly_json(config, setup.hours, seed, result, verdict, plot), indent=1))
    else:
        from rich.console import Console

        Console().print(fly_page(config, setup.words, result, verdict))
        typer.echo(f"plot  {plot}")
    raise typer.Exit(0 if verdict.holds else FAILED)


@energy_app.command(epilog="Example:\n\n  qiki energy faults")
def faults() -> None:
    """What can happen in an energy flight, with the value that is taken when none is given."""
    from firmware_py.cli.energy_faults import KINDS

    for name, kind in KINDS.items():
        form = f"{name}{':LOAD' if kind.load else ''}={kind.value:g}"
        typer.echo(f"{form:20} {kind.text}{'' if kind.end is None else '; may end'}")


def _refuse(message: str, next_step: str) -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


def _setup(
    body: str, hours: float, soc: float, soc_cap: float, altitude_km: float | None, beta_deg: float, phase_deg: float,
    lighting: str | None, cosine: str, off: list[str] | None, ambient: float | None, temperature: list[str] | None,
) -> tuple[BodyConfig, EnergySetup]:
    """Body and what is set, checked. Exits with what is allowed."""
    from firmware_py.cli.energy_setup import EnergySetup
    from hal.profile import ConfigError, load_body

    try:
        config = load_body(body)
    except ConfigError as error:
        _refuse(str(error), "qiki body list says which ship; docs/guide/describe-a-body.md what a file holds")
    try:
        return config, EnergySetup.of(
            config, hours=hours, soc=soc, soc_cap=soc_cap, altitude_km=altitude_km, beta_deg=beta_deg,
            phase_deg=phase_deg, lighting=lighting, cosine=cosine, off=tuple(off or ()), ambient_c=ambient,
            temperatures=tuple(temperature or ()),
        )
    except ValueError as error:
        _refuse(str(error), "qiki energy --help lists the commands, qiki energy COMMAND --help what may be given")


def _make(folder: Path) -> None:
    """The folder of the picture, before hours are flown for it. Exits with what to do."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        _refuse(f"--out {folder}: {error.strerror}", "choose another place with --out")


def _draw(folder: Path, name: str, draw: Callable[[Path], Path]) -> Path:
    try:
        return draw(folder / name)
    except OSError as error:
        _refuse(f"{error.filename or folder}: {error.strerror}", "choose another place with --out")


def _flown(plan: EnergyPlan, quiet: bool) -> Any:
    """Fly, with a bar on a terminal and a line for every two hours elsewhere."""
    from firmware_py.cli.energy_flight import EnergyFlight

    flight = EnergyFlight(plan)
    if quiet:
        return flight.run()
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console()
    if not console.is_terminal or console.is_dumb_terminal:
        told = [0.0]

        def line(flown: EnergyFlight) -> None:
            if flown.t_s >= told[0]:
                told[0] += 7200.0
                typer.echo(_line(flown))

        return flight.run(line)
    share = TextColumn("{task.percentage:3.0f} %")
    columns = (TextColumn("{task.description}"), BarColumn(), share, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=plan.hours * 3600.0)
        return flight.run(lambda flown: progress.update(task, completed=flown.t_s, description=_line(flown)))


def _line(flight: Any) -> str:
    power = flight.world.power
    charges = f"battery {100 * power.soc_battery:3.0f} %  supercap {100 * power.soc_supercap:3.0f} %"
    return f"{flight.t_s / 3600.0:5.1f} h  {charges}{'' if power.bus_on else '  no power'}"
