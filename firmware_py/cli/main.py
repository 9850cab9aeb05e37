"""The command ``qiki``. Heavy modules are imported by the commands that need them, so that help is instant.

Exit codes: 0 all well, 1 flown but something expected did not hold (or a replay diverged), 2 bad input.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from firmware_py.cli.audit import audit_app
from firmware_py.cli.body import body_app
from firmware_py.cli.campaign.command import EPILOG as CAMPAIGN_EPILOG
from firmware_py.cli.campaign.command import campaign
from firmware_py.cli.dictionary import dictionary_app
from firmware_py.cli.energy import energy_app
from firmware_py.cli.faults import faults_app
from firmware_py.cli.fly import EPILOG as FLY_EPILOG
from firmware_py.cli.fly import fly
from firmware_py.cli.guard import guard_app
from firmware_py.cli.install import INSTALL_EPILOG, UNINSTALL_EPILOG, install, uninstall
from firmware_py.cli.keys import keys_app
from firmware_py.cli.link import link_app
from firmware_py.cli.params import params_app
from firmware_py.cli.perception import perception_app
from firmware_py.cli.record_serve import record_app
from firmware_py.cli.rig_serve import rig_app
from firmware_py.cli.shell import EPILOG as SHELL_EPILOG
from firmware_py.cli.shell import shell

__all__ = ["app", "main"]

BAD_INPUT = 2

app = typer.Typer(
    name="qiki", no_args_is_help=True, add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False,
    help="Onboard flight software for small free-flying craft, and the rig that plays their chips and their world.",
    epilog="First flight: [bold]qiki run[/bold].  What this computer offers: [bold]qiki doctor[/bold].",
)
hil = typer.Typer(no_args_is_help=True, help="Fly scenarios on the embedded rig.")
app.add_typer(hil, name="hil")
hil.command("campaign", epilog=CAMPAIGN_EPILOG)(campaign)
app.add_typer(body_app, name="body")
app.add_typer(energy_app, name="energy")
app.add_typer(faults_app, name="faults")
app.add_typer(guard_app, name="guard")
app.add_typer(params_app, name="params")
app.add_typer(perception_app, name="perception")
app.add_typer(dictionary_app, name="dictionary")
app.add_typer(keys_app, name="keys")
app.add_typer(link_app, name="link")
app.add_typer(audit_app, name="audit")
app.add_typer(rig_app, name="rig")
app.command(epilog=SHELL_EPILOG)(shell)
app.command(epilog=INSTALL_EPILOG)(install)
app.command(epilog=UNINSTALL_EPILOG)(uninstall)
app.add_typer(record_app, name="record")
app.command(epilog=FLY_EPILOG)(fly)

FileArgument = Annotated[Path, typer.Argument(help="A black box (.mcap) or the folder of a flight.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]
FaultsOption = Annotated[Path | None, typer.Option("--faults", help="Fault table, instead of the one that ships.")]


def _refuse(message: str, next_step: str = "", code: int = BAD_INPUT) -> NoReturn:
    """Bad input, or with another ``code`` what else stands in the way: say what and what to do, and exit."""
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(code)


def _flight_file(path: Path) -> Path:
    return path / "flight.mcap" if path.is_dir() else path


def _tell_damage(path: Path) -> None:
    """Say on standard error what of a black box could not be read. Raises RecordError if nothing can."""
    from firmware_py.recorder.reader import read_flight

    flight = read_flight(path)
    if flight.damage:
        typer.secho(f"qiki: {path}: damaged: {'; '.join(flight.damage)}", fg=typer.colors.YELLOW, err=True)
    elif not flight.complete:
        typer.secho(f"qiki: {path}: never closed; read to its last whole chunk", fg=typer.colors.YELLOW, err=True)


@app.command(
    epilog="Examples:\n\n  qiki run\n\n  qiki run --seed 7 --json\n\n"
    "  qiki run --mission my-mission.yaml --body my-body.yaml\n\n"
    "  qiki run --realtime\n\n"
    "  qiki run --link udp:127.0.0.1:7600 --keys craft --seal-key craft.seal\n\n"
    "  qiki run --link-port link.port"
)
def run(
    mission: Annotated[str, typer.Option(help="Mission file, or the name of one that ships.")] = "first-flight",
    body: Annotated[str | None, typer.Option(help="Body file or name, instead of the mission's.")] = None,
    board: Annotated[str | None, typer.Option(help="Board file or name, instead of the mission's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Seed, instead of the mission's.")] = None,
    realtime: Annotated[bool, typer.Option("--realtime/--fast", help="Hold the pace of real time.")] = False,
    headless: Annotated[bool, typer.Option("--headless", help="No live view; a line now and then.")] = False,
    as_json: JsonOption = False,
    output: Annotated[Path, typer.Option(help="Where flights are kept.")] = Path("flights"),
    report_: Annotated[bool, typer.Option("--report/--no-report", help="Draw plots and page at the end.")] = True,
    faults: FaultsOption = None,
    link: Annotated[list[str] | None, typer.Option(
        "--link", help="Serve the craft's link on this line, e.g. udp:127.0.0.1:7600; in real time.")] = None,
    keys: Annotated[Path, typer.Option("--keys", help="Folder of the craft's keys, with --link.")] = Path("craft"),
    passphrase_file: Annotated[Path | None, typer.Option(help="File of the passphrase of these keys.")] = None,
    seal_key: Annotated[Path | None, typer.Option(help="File of the sealing key of these keys.")] = None,
    modem: Annotated[list[str] | None, typer.Option(help="Profile of each line, in their order.")] = None,
    link_state: Annotated[Path, typer.Option(help="Folder of what the link keeps.")] = Path("link-state"),
    shell_socket: Annotated[Path | None, typer.Option("--shell", help="Socket of the shell, with --link.")] = None,
    link_port: Annotated[Path | None, typer.Option(
        help="Socket for a link process (qiki link serve --port), instead of --link; in real time.")] = None,
) -> None:
    """Fly a mission on the embedded rig: live view, summary, plots and a black box."""
    if link and link_port is not None:
        _refuse("--link serves the link here, --link-port has it served elsewhere", "give one of them")
    if shell_socket is not None and not link:
        _refuse("--shell needs --link", "with --link-port the link process has the shell: qiki link serve --shell")
    served = None
    if link_port is not None:
        served = lambda _name: _open_port(link_port)  # noqa: E731
    if link:
        served = lambda name: _serve_link(  # noqa: E731
            link, keys, passphrase_file, seal_key, modem or [], link_state, shell_socket, name
        )
    raise typer.Exit(_fly(
        mission, body, board, seed, realtime or served is not None, headless, as_json, output, report_, faults, served
    ))


def _open_port(path: Path) -> Any:
    """The flight program's end of the port to a link process, or say why not and exit."""
    from comms.link.socket_port import PortError
    from firmware_py.cli.craft_side import PortLink

    try:
        return PortLink(path)
    except PortError as error:
        _refuse(str(error), "choose another place with --link-port")


def _serve_link(
    words: list[str], keys: Path, passphrase_file: Path | None, seal_key: Path | None, modems: list[str], state: Path,
    shell_socket: Path | None, body: str,
) -> Any:
    """Open the craft's side of a real link, or say why not and exit."""
    from comms.transports.opening import ABOARD
    from firmware_py.cli.craft_side import OutsideLink
    from firmware_py.cli.keys_locks import open_keys
    from firmware_py.cli.link_lines import LineError, open_line

    store = open_keys(keys, passphrase_file, seal_key)
    try:
        opened = [
            open_line(word, ABOARD, modems[index] if index < len(modems) else None) for index, word in enumerate(words)
        ]
        for word, line in zip(words, opened, strict=True):
            if line.name != word:
                typer.echo(f"qiki: the other end of {word} is {line.name}", err=True)
        return OutsideLink(store, {line.name: line for line in opened}, state, body, shell_socket)
    except LineError as error:
        _refuse(str(error), error.next_step)
    except (OSError, ValueError) as error:
        _refuse(str(error))


@hil.command(
    "run",
    epilog="Examples:\n\n  qiki hil run nozzle-stuck-on\n\n  qiki hil run my-scenario.yaml --seed 3 --json",
)
def hil_run(
    scenario: Annotated[str, typer.Argument(help="Scenario file, or the name of one that ships.")],
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Seed, instead of the scenario's.")] = None,
    as_json: JsonOption = False,
    output: Annotated[Path, typer.Option(help="Where flights are kept.")] = Path("flights"),
    report_: Annotated[bool, typer.Option("--report/--no-report", help="Draw plots and page at the end.")] = False,
    faults: FaultsOption = None,
) -> None:
    """Fly one scenario as fast as the machine goes; exit code 1 if an expectation does not hold."""
    raise typer.Exit(_fly(scenario, None, None, seed, False, True, as_json, output, report_, faults))


@hil.command("list", epilog="Example:\n\n  qiki hil list")
def hil_list() -> None:
    """The scenarios that ship, with what each shows."""
    from importlib import resources

    from firmware_py.mission import load_mission

    folder = Path(str(resources.files("hil") / "scenarios"))
    for path in sorted(folder.glob("*.yaml")):
        typer.echo(f"{path.stem:28} {load_mission(path.stem).description}")


def _fly(
    name: str, body: str | None, board: str | None, seed: int | None, realtime: bool, headless: bool, as_json: bool,
    output: Path, report_: bool, faults: Path | None, serve: Callable[[str], Any] | None = None,
) -> int:
    from fdir.fault_table import load_fault_table
    from firmware_py.cli.link_lines import LineError
    from firmware_py.cli.session import RigFlight, new_folder, texts_of
    from firmware_py.mission import load_mission
    from firmware_py.recorder import RecordError
    from hal.profile import ConfigError, load_profile

    try:
        mission = load_mission(name)
        body_name, board_name = body or mission.body, board or mission.board
        profile = load_profile(body_name, board_name)
        used = mission.seed if seed is None else seed
        folder = new_folder(output, mission.mission, used)
        texts = texts_of(name, body_name, board_name, faults)
        table = None if faults is None else load_fault_table(faults)
        link = None if serve is None else serve(profile.body.body)
        flight = RigFlight(mission, profile, folder, used, paced=realtime, texts=texts, faults=table, link=link)
    except ConfigError as error:
        _refuse(str(error), "see docs/guide for what these files hold")
    except LineError as error:
        _refuse(str(error), error.next_step)
    except RecordError as error:
        _refuse(str(error))
    except OSError as error:
        _refuse(f"{output}: {error.strerror}", "choose another place with --output")
    try:
        result = _fly_with_display(flight, headless or as_json, quiet=as_json)
    except KeyboardInterrupt:
        _refuse("flight ended by the keyboard", f"what was flown is in {folder}")
    finally:
        if link is not None:
            link.close()
    return _conclude(result, as_json, report_)


def _fly_with_display(flight: Any, headless: bool, quiet: bool) -> Any:
    from rich.console import Console

    from firmware_py.cli.live import LiveState, PlainProgress, display

    if quiet:
        return flight.run()
    view = PlainProgress() if headless else display(Console())
    start_ns = flight.meter.wall_ns()
    shown_ns = 0

    def each(session: Any) -> None:
        nonlocal shown_ns
        wall_ns = session.meter.wall_ns()
        if wall_ns - shown_ns < 100_000_000:
            return
        shown_ns = wall_ns
        program = session.program
        software, timing, now_ns = program.software, program.timing(), program.clock.now_ns()
        index, count = software.commander.position
        elapsed = (wall_ns - start_ns) * 1e-9
        view.update(LiveState.from_row(
            software.snapshot(now_ns), mission=session.mission.mission, body=session.profile.body.body,
            board=session.profile.board.board, seed=session.seed, duration_s=session.mission.duration_s,
            step_index=index, step_count=count, window_ms=session.profile.body.propulsion.window_ms,
            propellant_full_kg=session.profile.body.mass.propellant_kg,
            speed=now_ns * 1e-9 / elapsed if elapsed > 0.0 else None, slips=sum(m.wall_slips for m in timing.members),
            lost_ticks=timing.lost_ticks, tick_p50_us=timing.duration.p50_us, tick_p99_us=timing.duration.p99_us,
            events=session.recorder.last_events,
        ))

    with view:
        return flight.run(each)


def _conclude(result: Any, as_json: bool, report_: bool) -> int:
    """Judge the flight, draw its report in a process of its own, and print the summary."""
    from firmware_py.report.figures import judge, summary
    from firmware_py.report.load import open_flight

    blackbox = result.folder / "flight.mcap"
    data, expectations = open_flight(blackbox)
    verdicts = judge(data, expectations)
    paths: dict[str, Path | str] = {"black box": blackbox}
    if report_:
        # Plotting needs more memory than flying; the flight's own process stays small.
        drawn = subprocess.run(
            [sys.executable, "-m", "firmware_py.cli.main", "report", str(blackbox), "--json"],
            capture_output=True, text=True, check=False,
        )
        if drawn.returncode in (0, 1):
            made = json.loads(drawn.stdout)
            paths |= {"report": made["page"], "plots": ", ".join(Path(p).name for p in made["plots"])}
        else:
            typer.secho(f"qiki: no report: {drawn.stderr.strip()[-500:]}", fg=typer.colors.YELLOW, err=True)
    good = all(verdict.holds for verdict in verdicts)
    if as_json:
        typer.echo(json.dumps({
            "holds": good, "folder": str(result.folder), "flight_s": result.flight_s, "wall_s": result.wall_s,
            "times_real": result.times_real, "resident_mb": result.resident_mb,
            "pulse_rule_violations": result.pulse_rule_violations, "figures": summary(data),
            "expectations": [
                {"figure": v.expect.figure, "value": v.value, "allowed": v.allowed, "where": v.where, "holds": v.holds,
                 "why": v.why}
                for v in verdicts
            ],
            "steps": [
                {"name": s.name, "outcome": str(s.outcome), "start_s": s.start_ns * 1e-9, "end_s": s.end_ns * 1e-9}
                for s in result.steps
            ],
            "paths": {name: str(path) for name, path in paths.items()},
        }, indent=1))
    else:
        from rich.console import Console

        from firmware_py.cli.tables import KeyFigures, flight_summary

        figures = KeyFigures.of(data, result.wall_s, result.timing)
        Console().print(flight_summary(verdicts, result.steps, figures, paths))
    return 0 if good else 1


@app.command(epilog="Example:\n\n  qiki report flights/first-flight-seed1")
def report(file: FileArgument, as_json: JsonOption = False) -> None:
    """Draw the plots and the page of a recorded flight beside its black box."""
    from firmware_py.recorder import RecordError
    from firmware_py.recorder.reader import read_flight
    from firmware_py.report.figures import judge
    from firmware_py.report.load import body_flown, expectations_of, flight_data

    path = _flight_file(file)
    try:
        _tell_damage(path)
        flight = read_flight(path)
        data, expectations = flight_data(flight), expectations_of(flight)
    except RecordError as error:
        _refuse(str(error))
    from firmware_py.report.page import write_page
    from firmware_py.report.plots import draw_all

    verdicts = judge(data, expectations)
    try:
        plots = draw_all(data, path.parent / "plots", expectations, body_flown(flight))
        page = write_page(data, verdicts, plots, path.parent / "report.html")
    except OSError as error:
        _refuse(f"{error.filename or path.parent}: {error.strerror}", "copy the black box to a free folder")
    if as_json:
        typer.echo(json.dumps({
            "page": str(page), "plots": [str(p) for p in plots], "holds": all(v.holds for v in verdicts),
        }))
    else:
        typer.echo(f"page  {page}")
        for plot in plots:
            typer.echo(f"plot  {plot}")
    raise typer.Exit(0 if all(v.holds for v in verdicts) else 1)


@app.command(epilog="Example:\n\n  qiki export flights/first-flight-seed1 --csv")
def export(
    file: FileArgument,
    csv: Annotated[bool, typer.Option("--csv", help="Comma-separated values, one file a channel.")] = False,
    output: Annotated[Path | None, typer.Option(help="Folder; beside the black box if not given.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write every channel of a recorded flight as tables."""
    from firmware_py.recorder import RecordError
    from firmware_py.recorder.export import export_csv
    from firmware_py.recorder.reader import read_flight

    if not csv:
        _refuse("say in which form: --csv", f"qiki export {file} --csv")
    path = _flight_file(file)
    try:
        _tell_damage(path)
        written = export_csv(read_flight(path), output or path.parent / "csv")
    except RecordError as error:
        _refuse(str(error))
    if as_json:
        typer.echo(json.dumps([str(p) for p in written]))
    else:
        for one in written:
            typer.echo(str(one))


@app.command(epilog="Example:\n\n  qiki replay flights/first-flight-seed1")
def replay(file: FileArgument, as_json: JsonOption = False) -> None:
    """Feed a flight's recorded bus bytes to today's software and compare what it commands."""
    from firmware_py.recorder import RecordError
    from firmware_py.replay_flight import replay_flight
    from hal.profile import ConfigError

    try:
        _tell_damage(_flight_file(file))
        result = replay_flight(_flight_file(file))
    except (RecordError, ConfigError) as error:
        _refuse(str(error))
    if as_json:
        typer.echo(json.dumps({
            "identical": result.identical, "ticks": result.ticks, "transfers": result.transfers,
            "commands_compared": result.commands_compared, "divergences": result.divergence_count,
            "first": None if result.first is None else str(result.first),
            "until_s": None if result.until_ns is None else result.until_ns * 1e-9,
        }))
    else:
        typer.echo(
            f"{result.ticks} ticks, {result.transfers} transfers, {result.commands_compared} commands compared: "
            + ("identical" if result.identical else f"{result.divergence_count} divergences, the first: {result.first}")
        )
        if result.until_ns is not None:
            typer.echo(f"replayed up to {result.until_ns * 1e-9:.2f} s: from there on the flight followed its link, "
                       "and what came over that is in no bus")
    raise typer.Exit(0 if result.identical else 1)


@app.command(
    "replay-log",
    epilog="Example:\n\n  qiki replay-log imu.csv.gz --reference attitude.csv.gz --frame frd --output flights/log",
)
def replay_log_command(
    imu: Annotated[Path, typer.Argument(help="Sensor log, CSV or CSV.gz: time, gyro, accelerometer, magnetometer.")],
    reference: Annotated[Path | None, typer.Option(help="Reference attitude, CSV or CSV.gz: time, quaternion.")] = None,
    frame: Annotated[str | None, typer.Option(help="Body frame, frd or flu, if the file does not say it.")] = None,
    board: Annotated[str, typer.Option(help="Board whose chips play the log.")] = "bench-rpi",
    body: Annotated[str, typer.Option(help="Body that carries them.")] = "bench-12kg",
    settle_s: Annotated[float, typer.Option(min=0.0, help="Time before the comparison counts.")] = 5.0,
    output: Annotated[Path, typer.Option(help="Where result, table and plot go.")] = Path("flights/replay-log"),
    as_json: JsonOption = False,
) -> None:
    """Play a recorded sensor log through the simulated chips into the unchanged drivers and estimator."""
    from firmware_py.cli.replay_log import replay_log_to_terminal

    raise typer.Exit(replay_log_to_terminal(imu, reference, output, frame, board, body, settle_s, as_json))


@app.command(epilog="Examples:\n\n  qiki doctor\n\n  qiki doctor --board my-board.yaml --json")
def doctor(
    board: Annotated[str | None, typer.Option(help="Board file or name: work through its bring-up checklist.")] = None,
    body: Annotated[str | None, typer.Option(help="Body file or name; by default one that fits the board.")] = None,
    seconds: Annotated[float, typer.Option(
        min=0.5, max=3600.0, help="How long rates are counted, and once more jitter, with --board.")] = 5.0,
    as_json: JsonOption = False,
) -> None:
    """What this computer offers a flight; with --board the bring-up checklist, from overlays to jitter."""
    from hal.profile import ConfigError

    if board is not None:
        from firmware_py.cli.doctor_board import doctor_board

        try:
            code = doctor_board(board, body, seconds, Path(), as_json)
        except ConfigError as error:
            _refuse(str(error))
        raise typer.Exit(code)
    from firmware_py.doctor import Status, inspect

    checks = inspect(None)
    if as_json:
        typer.echo(json.dumps(
            [{"name": c.name, "status": str(c.status), "found": c.found, "next_step": c.next_step} for c in checks],
            indent=1,
        ))
    else:
        from rich.console import Console

        from firmware_py.cli.tables import checks_table

        Console().print(checks_table(checks))
    raise typer.Exit(1 if any(c.status is Status.FAIL for c in checks) else 0)


BoardOption = Annotated[str, typer.Option(help="Board file, or the name of one that ships.")]
RigOption = Annotated[bool, typer.Option("--rig", help="Ask the simulated chips instead of this computer's buses.")]
BodyOption = Annotated[str | None, typer.Option(help="Body file or name; by default one that fits the board.")]


@app.command(
    epilog="Examples:\n\n  qiki probe --rig\n\n  qiki probe --board my-board.yaml --json\n\n  qiki probe --watch"
)
def probe(
    board: BoardOption = "qiki-rpi",
    rig: RigOption = False,
    body: BodyOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Set devices up, poll them as in flight, show them.")] = False,
    listen_s: Annotated[float, typer.Option(min=0.1, max=60.0, help="How long to listen for parts that speak.")] = 2.5,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="End of --watch; by default Ctrl-C.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Walk every bus of a board: what answers, what is missing, what is another part, and what to do."""
    from firmware_py.cli import bench

    def show() -> int:
        if watch:
            return bench.watch(board, rig, body, seconds, as_json)
        return bench.probe(board, rig, body, listen_s, as_json)

    raise typer.Exit(_at_the_bench(show))


@app.command(
    epilog="Examples:\n\n  qiki chip bus_monitor read --rig\n\n  qiki chip bus_monitor dump\n\n"
    "  qiki chip bus_monitor read vbus\n\n  qiki chip bus_monitor write adc_config fb68 --arm\n\n"
    "  qiki chip ina226 decode\n\n  qiki chip ina228 decode vbus 217eb0"
)
def chip(
    name: Annotated[str, typer.Argument(help="Device of the board; for decode the part.")],
    action: Annotated[str, typer.Argument(help="read, dump, write or decode.")],
    what: Annotated[str | None, typer.Argument(help="Register (read, write) or codec (decode).")] = None,
    value: Annotated[str | None, typer.Argument(help="Bytes in hexadecimal.")] = None,
    board: BoardOption = "qiki-rpi",
    rig: RigOption = False,
    body: BodyOption = None,
    arm: Annotated[bool, typer.Option("--arm", help="Allow writes: configure before a read; a register.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One chip on the bench: a sample, a register, all registers, a write; or bytes decoded without any chip."""
    from firmware_py.cli import chip as one

    def show() -> int:
        if action == "decode":
            return one.decode(name, what, value, as_json)
        return one.chip(name, action, what, value, board, rig, body, arm, as_json)

    raise typer.Exit(_at_the_bench(show))


def _at_the_bench(show: Callable[[], int]) -> int:
    from drivers.errors import DeviceError
    from firmware_py.cli.bench import BenchError
    from hal.profile import ConfigError

    try:
        return show()
    except ConfigError as error:
        _refuse(str(error))
    except BenchError as error:
        _refuse(str(error), error.next_step, error.code)
    except DeviceError as error:
        _refuse(str(error), code=1)


@app.command(epilog="Example:\n\n  qiki docs --check")
def docs(
    folder: Annotated[Path, typer.Option(help="Where the pages are.")] = Path("docs"),
    check: Annotated[bool, typer.Option("--check", help="Only say which pages are out of date.")] = False,
) -> None:
    """Print the generated pages (chips, commands, telemetry, faults, modes, codes) from the tables."""
    from firmware_py.reference import stale, write

    if check:
        old = stale(folder)
        for name in old:
            typer.echo(f"out of date: {name}")
        raise typer.Exit(1 if old else 0)
    try:
        written = write(folder)
    except OSError as error:
        _refuse(f"{folder}: {error.strerror}", "choose another place with --folder")
    for path in written:
        typer.echo(str(path))


@app.command(epilog="Example:\n\n  qiki version")
def version() -> None:
    """Version of the software."""
    from firmware_py import __version__

    typer.echo(__version__)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
