"""The spine: what a whole flight costs and keeps, from register bytes to valve pulses, beside its references."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter_ns
from typing import Any

import msgspec

from bench.harness import Report
from bench.recorder import _cuts
from firmware_py import realtime
from firmware_py.cli.session import FlightResult, RigFlight, texts_of
from firmware_py.clock import RealClock, RealMeter
from firmware_py.journal import NoJournal
from firmware_py.mission import MissionConfig, load_mission
from firmware_py.program import Program
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.replay import ReplayBuses
from firmware_py.replay_flight import replay_flight
from firmware_py.report.figures import FIGURES, judge, summary
from firmware_py.report.load import flight_data
from firmware_py.scheduler import TimingSummary
from hal.profile import Profile, load_profile
from hal.profile.board import RealtimeConfig

MISSION = "first-flight"
ROUNDS = 3
TICK_ROUND_S = 40.0
REAL_TIME_S = 10.0
ROOT = Path(__file__).resolve().parent.parent


def run(report: Report) -> None:
    """Measure every figure of the spine."""
    with tempfile.TemporaryDirectory(prefix="qiki-bench-") as name:
        folder = Path(name)
        mission = load_mission(MISSION)
        profile = load_profile(mission.body, mission.board)
        _flights(report, folder, mission, profile)
        _fast_tick(report, folder, mission, profile)
        _real_time(report, folder, mission, profile, 200)
        _real_time(report, folder, mission, profile, 500)
        _cuts(report, folder)
        _processes(report, folder)
        _clone(report, folder)


def _fly(folder: Path, name: str, mission: MissionConfig, profile: Profile, seed: int) -> tuple[FlightResult, str]:
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    texts = texts_of(mission.mission, mission.body, mission.board)
    result = RigFlight(mission, profile, place, seed, texts=texts).run()
    return result, sha256((place / "flight.mcap").read_bytes()).hexdigest()


def _flights(report: Report, folder: Path, mission: MissionConfig, profile: Profile) -> None:
    """Speed, determinism and what the mission keeps, from the same flights."""
    speeds, digests, walls = [], [], []
    for number, seed in enumerate((1, 1, 2)):
        result, digest = _fly(folder, f"flight{number}", mission, profile, seed)
        speeds.append(result.times_real)
        walls.append(result.wall_s)
        digests.append(digest)
    report.add("simulated over real time, whole stack at register level, one core", round(median(speeds), 1), "x",
               "real time = 1", ">= 5 (goal 20)", median(speeds) >= 5.0)
    report.add("the mission itself, wall time", round(median(walls), 2), "s", f"{result.flight_s:.0f} s flown", "< 60",
               median(walls) < 60.0)
    report.add("black boxes of two runs of one seed", "equal" if digests[0] == digests[1] else "different", "sha256",
               digests[0][:12], "equal", digests[0] == digests[1])
    report.add("black box of another seed", "equal" if digests[0] == digests[2] else "different", "sha256",
               digests[2][:12], "different", digests[0] != digests[2])
    data = flight_data(read_flight(folder / "flight0" / "flight.mcap"))
    for verdict in judge(data, mission.expect):
        unit = FIGURES[verdict.expect.figure].unit
        name = f"mission: {verdict.expect.figure} ({verdict.where or 'whole flight'})"
        report.add(name, verdict.value, unit, "truth of the rig", verdict.allowed, verdict.holds)
    report.add("mission: dead reckoning off at the end", summary(data)["position_knowledge_m"], "m", "truth of the rig",
               None)
    replayed = replay_flight(folder / "flight0" / "flight.mcap")
    report.add("replay of the recorded bytes: commands that differ", replayed.divergence_count, "1",
               f"{replayed.commands_compared} compared", 0, replayed.identical)
    _where_time_goes(report, folder, mission, profile)


def _timed(owner: Any, method: str) -> list[int]:
    """Wrap a method of one object; the list's one entry is the time spent in it so far, ns."""
    inner, spent = getattr(owner, method), [0]

    def timed(*arguments: Any) -> None:
        before = perf_counter_ns()
        inner(*arguments)
        spent[0] += perf_counter_ns() - before

    setattr(owner, method, timed)
    return spent


def _where_time_goes(report: Report, folder: Path, mission: MissionConfig, profile: Profile) -> None:
    """Mean cost a tick of each part; world, rig and recorder are timed around their calls."""
    place = folder / "parts"
    shutil.rmtree(place, ignore_errors=True)
    flight = RigFlight(mission, profile, place, 1)
    rig, world = _timed(flight.rig, "advance"), _timed(flight.rig.world, "advance")
    kept = (_timed(flight.recorder, "end_tick"), _timed(flight.recorder, "truth"))
    result = flight.run()
    ticks = result.timing.ticks
    total = result.wall_s * 1e6 / ticks
    report.add("a tick of the whole stack", round(total, 1), "us", "5000 us of real time", None)
    parts = {"world": world[0] / 1e3 / ticks, "chips behind their buses": (rig[0] - world[0]) / 1e3 / ticks}
    parts["recorder: bus bytes and truth"] = sum(spent[0] for spent in kept) / 1e3 / ticks
    for member in result.timing.members:
        parts[member.name] = (member.wall_mean_us or 0.0) * member.runs / ticks
    for name, cost in parts.items():
        report.add(f"of it {name}", round(cost, 1), "us", f"{100 * cost / total:.0f} %", None)
    report.add("of it clock, scheduler and the rest", round(total - sum(parts.values()), 1), "us",
               f"{100 * (total - sum(parts.values())) / total:.0f} %", None)


class _Fed:
    """A real clock that loads the recorded answers of a tick before it waits for it."""

    def __init__(self, clock: RealClock, recorded: ReplayBuses) -> None:
        self._clock = clock
        self._recorded = recorded

    def now_ns(self) -> int:
        """See Clock."""
        return self._clock.now_ns()

    def sleep_until_ns(self, t_ns: int) -> int:
        """See Clock."""
        self._recorded.advance(t_ns)
        return self._clock.sleep_until_ns(t_ns)

    def utc_ns(self) -> int:
        """See Clock."""
        return self._clock.utc_ns()


def _replayed(profile: Profile, mission: MissionConfig, path: Path, clock: Any = None) -> tuple[Program, ReplayBuses]:
    """The program over recorded answers: every driver, plane and decision, without world and chips."""
    flight = read_flight(path)
    recorded = ReplayBuses.of(flight)
    buses = {name: getattr(recorded, bus.kind)(name) for name, bus in profile.board.buses.items()}
    used = _Fed(RealClock(0, 100), recorded) if clock is None else clock(recorded)
    return Program(profile, mission, buses, used, RealMeter(), NoJournal(), mission.hardware_profile_hash), recorded


def _at_rate(profile: Profile, mission: MissionConfig, fast_hz: int, seconds: float) -> tuple[Profile, MissionConfig]:
    rates = msgspec.structs.replace(profile.board.rates, fast_hz=fast_hz)
    board = msgspec.structs.replace(profile.board, rates=rates)
    return profile._replace(board=board), msgspec.structs.replace(mission, duration_s=seconds, faults=(), expect=())


def _fast_tick(report: Report, folder: Path, mission: MissionConfig, profile: Profile) -> None:
    """Sense to valves without world and chips, as fast as the machine goes, in rounds; median of the rounds."""
    from firmware_py.clock import SimClock

    profile, short = _at_rate(profile, mission, 200, TICK_ROUND_S)
    _fly(folder, "ticks", short, profile, 1)
    medians, tails = [], []
    for _ in range(ROUNDS):
        program, recorded = _replayed(
            profile, short, folder / "ticks" / "flight.mcap", lambda r: SimClock(0, r.advance)
        )
        gc.collect()
        gc.freeze()
        while recorded.next_t_ns is not None:
            program.run_tick()
        gc.unfreeze()
        duration = program.timing().duration
        medians.append(duration.p50_us or 0.0)
        tails.append(duration.p99_us or 0.0)
    report.add("fast tick, sense to valves, median", round(median(medians), 1), "us", "5000 us at 200 Hz", "< 600",
               median(medians) < 600.0)
    report.add("fast tick, sense to valves, p99", round(median(tails), 1), "us", "5000 us at 200 Hz", "< 1500",
               median(tails) < 1500.0)


def _real_time(report: Report, folder: Path, mission: MissionConfig, profile: Profile, fast_hz: int) -> None:
    """The same on the real clock: do the ticks come on time?"""
    profile, short = _at_rate(profile, mission, fast_hz, REAL_TIME_S)
    _fly(folder, f"rate{fast_hz}", short, profile, 1)
    program, _ = _replayed(profile, short, folder / f"rate{fast_hz}" / "flight.mcap")
    status = realtime.enter(RealtimeConfig(priority=50, cpu=None, spin_us=100, lock_memory=True), lambda *_: None)
    try:
        program.scheduler.align()
        program.run(program.scheduler.next_deadline_ns + round((REAL_TIME_S - 1.0) * 1e9))
    finally:
        realtime.leave(status)
    timing: TimingSummary = program.timing()
    rights = "FIFO" if status.priority is not None else "no FIFO"
    period = 1e6 / fast_hz
    report.add(f"{fast_hz} Hz in real time: work of a tick, p99", round(timing.duration.p99_us or 0.0, 1), "us",
               f"{period:.0f} us period", f"< {period:.0f}", (timing.duration.p99_us or 0.0) < period)
    report.add(f"{fast_hz} Hz in real time: wake-up lateness, p99", round(timing.lateness.p99_us or 0.0, 1), "us",
               rights, None)
    share = (timing.lost_ticks + timing.late_ticks) / max(1, timing.ticks)
    report.add(f"{fast_hz} Hz in real time: ticks lost or late", timing.lost_ticks + timing.late_ticks, "1",
               f"of {timing.ticks}", "< 0.1 %", share < 0.001)


def _processes(report: Report, folder: Path) -> None:
    """Start-up and memory, in processes of their own, beside a bare interpreter."""
    environment = {**os.environ, "COLUMNS": "80"}

    def wall(*arguments: str) -> float:
        best = []
        for _ in range(ROUNDS):
            before = perf_counter_ns()
            subprocess.run([sys.executable, *arguments], check=True, capture_output=True, env=environment, cwd=folder)
            best.append((perf_counter_ns() - before) * 1e-9)
        return median(best)

    bare = wall("-c", "pass")
    shown = wall("-m", "firmware_py.cli.main", "--help")
    report.add("qiki --help", round(shown, 3), "s", f"{bare:.3f} s bare interpreter", "< 0.5", shown < 0.5)
    first = wall("-c", _FIRST_TICK)
    report.add("qiki run to the first tick", round(first, 3), "s", f"{bare:.3f} s bare interpreter", "< 2", first < 2.0)
    flown = subprocess.run(
        [sys.executable, "-m", "firmware_py.cli.main", "run", "--json", "--no-report"], check=True,
        capture_output=True, text=True, env=environment, cwd=folder,
    )
    resident = json.loads(flown.stdout)["resident_mb"]
    report.add("resident memory of a flight, largest", round(resident, 1), "MB", None, "< 150", resident < 150.0)


_FIRST_TICK = """
import tempfile
from pathlib import Path
import firmware_py.cli.main
from firmware_py.cli.live import display
from firmware_py.cli.session import RigFlight, texts_of
from firmware_py.mission import load_mission
from hal.profile import load_profile
mission = load_mission("first-flight")
profile = load_profile(mission.body, mission.board)
with tempfile.TemporaryDirectory() as folder:
    texts = texts_of(mission.mission, mission.body, mission.board)
    flight = RigFlight(mission, profile, Path(folder) / "flight", 1, texts=texts)
    flight.program.run_tick()
    flight.recorder.close()
"""


def _clone(report: Report, folder: Path) -> None:
    """From a clone in an empty folder to the end of the first flight, by the README's first command."""
    place = folder / "clone"
    before = perf_counter_ns()
    cloned = subprocess.run(["git", "clone", "--quiet", str(ROOT), str(place)], capture_output=True, check=False)
    if cloned.returncode != 0:
        report.add("clone to flown (make run)", None, "s", "no git checkout here", "< 120", True)
        return
    ours = ("VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    python = Path(sys.base_prefix) / "bin" / "python3"
    made = subprocess.run(
        ["make", "run", f"PYTHON={python}", "ARGS=--headless"], cwd=place, env=environment, capture_output=True,
        check=False,
    )
    seconds = (perf_counter_ns() - before) * 1e-9
    report.add("clone to flown (make run, plots and page included)", round(seconds, 1), "s", "committed state", "< 120",
               made.returncode == 0 and seconds < 120.0)
