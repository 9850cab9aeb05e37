"""``qiki rig serve``: world and chips of a craft as a process of their own, for a flight program beside it.

Exit codes: 0 served to its end, 2 bad input or a bus that can't be played.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

__all__ = ["rig_app"]

BAD_INPUT = 2
NS = 1_000_000_000
SHOWN_NS = NS // 2

rig_app = typer.Typer(no_args_is_help=True, help="The rig as a process of its own, beside a flight program.")


def _refuse(message: str, next_step: str = "") -> NoReturn:
    typer.secho(f"qiki: {message}", fg=typer.colors.RED, err=True)
    if next_step:
        typer.echo(f"      {next_step}", err=True)
    raise typer.Exit(BAD_INPUT)


@rig_app.command(
    epilog="Examples:\n\n  qiki rig serve --board qiki-rpi --body qiki-t --folder /tmp/rig\n\n"
    "  qiki fly --board /tmp/rig/board.yaml\n\n"
    "  qiki rig serve --board my-board.yaml --bench bench.yaml --folder /tmp/rig --for 60 --json"
)
def serve(
    folder: Annotated[Path, typer.Option(help="Where sockets, ports, board file and truth log go.")],
    board: Annotated[str | None, typer.Option(help="Board file or name, instead of the mission's.")] = None,
    body: Annotated[str | None, typer.Option(help="Body file or name, instead of the mission's.")] = None,
    mission: Annotated[str, typer.Option(help="Mission: how the world begins, and its faults.")] = "first-flight",
    seed: Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="Seed, instead of the mission's.")] = None,
    bench: Annotated[Path | None, typer.Option(help="Bench file: which buses and devices are real.")] = None,
    only: Annotated[str | None, typer.Option(help="Play these buses only (can0,usb0); the others are real.")] = None,
    for_s: Annotated[float | None, typer.Option("--for", min=0.1, help="End after so many seconds.")] = None,
    faults_from: Annotated[str, typer.Option(
        help="From when a mission's faults count: contact (a program has come) or start.")] = "contact",
    patience_ms: Annotated[int, typer.Option(
        min=1, max=1000, help="How long a program waits for an answer over a socket.")] = 50,
    step_ms: Annotated[int, typer.Option(
        min=1, max=10, help="Step of the world; longer ones leave a slow computer time for the flight program.")] = 1,
    priority: Annotated[int, typer.Option(
        min=0, max=99, help="FIFO priority of the rig, below that of the flight; 0: ordinary scheduling.")] = 0,
    headless: Annotated[bool, typer.Option("--headless", help="No line that follows what happens.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object when ready, one at the end.")] = False,
) -> None:
    """Play the chips of a board for a flight program in another process, in real time."""
    from drivers.errors import DeviceError
    from firmware_py.mission import load_mission
    from firmware_py.program import fit_window
    from hal.profile import ConfigError, load_profile

    if faults_from not in ("contact", "start"):
        _refuse(f"--faults-from {faults_from}: contact or start")
    if bench is not None and only is not None:
        _refuse("--bench and --only both say what is played", "give one of them")
    try:
        chosen = load_mission(mission)
        profile = fit_window(load_profile(body or chosen.body, board or chosen.board))
        seed = chosen.seed if seed is None else seed
        served = _Served(profile, chosen, seed, folder.absolute(), patience_ms, step_ms)
        served.prepare(bench, only, faults_from == "start")
        served.run(for_s, priority, quiet=headless or as_json, as_json=as_json)
    except ConfigError as error:
        _refuse(str(error), "see docs/guide/bench-a-board.md for what is allowed")
    except DeviceError as error:
        _refuse(f"{error}", "the bus is to be played there; --bench may name another place")
    except BrokenPipeError:
        # Who read what it tells is gone, and with him the bench.
        raise typer.Exit(0) from None
    except (OSError, ValueError) as error:
        _refuse(str(error), "choose another place with --folder")


class _Served:
    """One run of the command."""

    def __init__(self, profile: Any, mission: Any, seed: int, folder: Path, patience_ms: int, step_ms: int) -> None:
        self._profile = profile
        self._mission = mission
        self._seed = seed
        self._folder = folder
        self._patience_ms = patience_ms
        self._step_ms = step_ms
        self.left_out: list[str] = []

    def prepare(self, bench: Path | None, only: str | None, faults_at_once: bool) -> None:
        """Build rig and sides. Raises ConfigError, ValueError, OSError."""
        from comms.transports.pty_line import PtyPort
        from firmware_py.cli.flight_start import initial_state
        from firmware_py.mission import parse_epoch
        from hal.profile import ConfigError
        from hil.bus.gpio import SimGpioBus
        from hil.rig import Rig
        from hil.serve.pace import MS, Pace
        from hil.serve.plan import BenchConfig, load_bench, plan
        from hil.serve.server import RigServer
        from hil.serve.sides import make_side
        from hil.serve.timeline import Timeline
        from hil.serve.truth_log import TruthLog

        profile, mission, folder = self._profile, self._mission, self._folder
        config, lines = load_bench(bench) if bench is not None else (None, None)
        if only is not None:
            config = BenchConfig(1, real_buses=_all_but(only, profile.board))
        self._plan = plan(profile, folder, _free_port(), self._patience_ms, config, lines)
        start = initial_state(mission, profile.body, parse_epoch(mission.epoch))
        try:
            rig = Rig(self._plan.profile, start, self._seed)
        except (TypeError, IndexError, ValueError) as error:
            raise ConfigError(profile.board.board, None, "devices", str(error)) from None
        self._switch_off(rig)
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(folder)
        self._truth = TruthLog(folder / "truth.jsonl", rig)
        tell = lambda text, begins: self._truth.note(time.monotonic_ns(), fault=text, begins=begins)  # noqa: E731
        self._timeline = Timeline(rig, self._faults(), tell)
        if faults_at_once:
            self._timeline.begin()
        for bus in rig.buses.values():
            if isinstance(bus, SimGpioBus):  # whatever a bus is played on, a flight moves its lines
                bus.on_change(lambda _line, _level, _t_ns: self._timeline.begin())
        sides = [
            make_side(play, profile.board.buses[play.bus], rig.buses[play.bus], PtyPort, time.monotonic_ns,
                      self._timeline.begin)
            for play in self._plan.plays
        ]
        pace = Pace(self._step_ms * MS, max(5, self._step_ms) * MS)
        self._server = RigServer(rig, sides, time.monotonic_ns, self._timeline, self._truth, pace)

    def run(self, for_s: float | None, priority: int, quiet: bool, as_json: bool) -> None:
        """Serve until a signal or the end of the time. Raises OSError, DeviceError before anything is served."""
        from hil.serve.plan import write_board

        stop: list[int] = []
        before = {number: signal.signal(number, lambda received, _frame: stop.append(received))
                  for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            with self._server as server:
                path = self._folder / "board.yaml"
                write_board(self._profile.board, self._plan.plays, path)
                self._quicken(priority)
                self._tell_ready(path, as_json)
                end_ns = None if for_s is None else time.monotonic_ns() + round(for_s * NS)
                with _Follower(self._server, quiet) as follower:
                    def over() -> bool:
                        now_ns = time.monotonic_ns()
                        follower.show(now_ns)
                        return bool(stop) or (end_ns is not None and now_ns >= end_ns)

                    server.run(over)
                self._tell_end(as_json)
        finally:
            self._truth.close()
            self._lock.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _quicken(self, priority: int) -> None:
        """No collection looks at what was built; and the processor first, if that was asked for and is granted."""
        from firmware_py.realtime import LinuxKernel

        gc.collect()
        gc.freeze()
        if priority:
            try:
                LinuxKernel().set_scheduler(os.SCHED_FIFO, priority)
            except OSError as error:
                typer.echo(f"qiki: no FIFO priority {priority}: {error.strerror}", err=True)

    def _faults(self) -> Sequence[Any]:
        """Faults of the mission that a rig without the program can play; the others are told."""
        from hal.profile import ConfigError
        from hil.rig import FAULTS, check_fault
        from hil.serve.timeline import TimedFault

        faults = []
        for index, fault in enumerate(self._mission.faults):
            if fault.kind not in FAULTS:
                self.left_out.append(f"{fault.kind}: not of the rig but of the computer or the ground")
            elif fault.at_s is None:
                self.left_out.append(f"{fault.kind} after step {fault.after_step}: the rig doesn't see the steps")
            else:
                try:
                    check_fault(fault.kind, fault.parameters, self._plan.profile)
                except ValueError as error:
                    raise ConfigError(self._mission.mission, None, f"faults[{index}]", str(error)) from None
                length = None if fault.for_s is None else round(fault.for_s * NS)
                faults.append(TimedFault(fault.kind, round(fault.at_s * NS), length, fault.parameters))
        return faults

    def _switch_off(self, rig: Any) -> None:
        """Loads that are off at the start and that no rail switches: by their own switch, as in an embedded flight."""
        rails = {
            str(rail["name"]) for device in self._profile.board.devices if device.role == "pdu"
            for rail in device.settings.get("rails", [])
        }
        for name in self._mission.initial.loads_off:
            if name not in rails:
                rig.world.set_load(name, False)

    def _tell_ready(self, path: Path, as_json: bool) -> None:
        plays = self._plan.plays
        if as_json:
            print(json.dumps({
                "ready": True, "board": str(path), "truth": str(self._folder / "truth.jsonl"),
                "buses": {play.bus: play.on for play in plays}, "real_buses": list(self._plan.real_buses),
                "real_devices": list(self._plan.real_devices), "left_out": self.left_out,
            }), flush=True)
            return
        for play in plays:
            print(f"{play.bus:8} {play.on}")
        for name in self._plan.real_buses:
            print(f"{name:8} real, as the board says")
        for text in self.left_out:
            print(f"left out: {text}")
        print(f"ready: qiki fly --board {path}", flush=True)

    def _tell_end(self, as_json: bool) -> None:
        server = self._server
        figures = {
            "served_s": server.rig.now_ns / NS, "slips": server.pace.slips, "lost_s": server.pace.lost_ns / NS,
            "pulse_rule_violations": server.rig.checker.total,
        }
        if as_json:
            print(json.dumps({"ready": False, **figures, "buses": server.counts()}), flush=True)
            return
        for bus, counts in server.counts().items():
            print(f"{bus:8} " + ", ".join(f"{name} {count}" for name, count in counts.items()))
        print(f"served {figures['served_s']:.1f} s, slips {figures['slips']} ({figures['lost_s']:.2f} s lost), "
              f"violated pulse rules {figures['pulse_rule_violations']}", flush=True)


class _Follower:
    """A line on a terminal that says how the craft is; nothing elsewhere."""

    def __init__(self, server: Any, quiet: bool) -> None:
        from rich.console import Console

        console = Console()
        self._server = server
        self._status = None if quiet or not console.is_terminal else console.status("")
        self._shown_ns = 0

    def __enter__(self) -> _Follower:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def show(self, now_ns: int) -> None:
        """Show it twice a second."""
        if self._status is None or now_ns - self._shown_ns < SHOWN_NS:
            return
        self._shown_ns = now_ns
        rig = self._server.rig
        served = sum(counts.get("served", 0) for counts in self._server.counts().values())
        self._status.update(
            f"{rig.now_ns / NS:.1f} s, watchdog {'passes' if rig.enabled else 'holds the valves shut'}, "
            f"valves {rig.world.rigid.propulsion.open_mask:016b}, {served} requests, slips {self._server.pace.slips}"
        )


def _locked(folder: Path) -> Any:
    """A folder serves one rig at a time; the lock goes with the process. Raises OSError."""
    lock = (folder / ".rig.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise FileExistsError(17, "another rig serves from this folder", str(folder)) from None
    return lock


def _all_but(only: str, board: Any) -> tuple[str, ...]:
    """Buses that are real when only these are played. Raises ConfigError."""
    from hal.profile import ConfigError

    wanted = [name.strip() for name in only.split(",") if name.strip()]
    for name in wanted:
        if name not in board.buses:
            raise ConfigError(board.board, None, "--only", f"no bus {name!r}; buses: {', '.join(board.buses)}")
    return tuple(name for name in board.buses if name not in wanted)


def _free_port() -> int:
    """A UDP port that nobody has, for the CAN buses of this rig: two rigs on one machine don't hear each other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
