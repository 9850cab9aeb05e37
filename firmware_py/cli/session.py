"""One flight on the embedded rig: mission, world, program and recorder joined, faults started on time.

The only module that joins flight software and rig. On a simulated clock everything it writes depends on mission, body,
board and seed alone.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import radians
from pathlib import Path
from typing import Any

import msgspec

from fdir.codes import Severity
from firmware_py import __version__
from firmware_py.clock import Meter, PacedClock, RealMeter, SimClock
from firmware_py.mission import (
    FaultConfig,
    MissionConfig,
    OrbitConfig,
    StepOutcome,
    StepRecord,
    find_mission,
    parse_epoch,
)
from firmware_py.program import Program, fit_window
from firmware_py.recorder.flight import FlightRecorder
from firmware_py.recorder.tap import TapLog
from firmware_py.report.figures import check_expectations
from firmware_py.scheduler import Member, RateGroup, TimingSummary
from hal.frames import quaternion_from_euler
from hal.profile import BodyConfig, ConfigError, Profile
from hal.profile.loader import find_config
from hil.plant.orbit import Orbit
from hil.plant.world import InitialState, Truth, World
from hil.rig import FAULTS, Rig, check_fault

__all__ = ["FlightResult", "RigFlight", "check_mission", "new_folder", "tabled_truth"]

NS = 1_000_000_000
TRUTH_PERIOD_NS = 50_000_000
PROCESSOR = "processor"
SHARED_W_K = 1.0
"""Conductance from which two nodes are about as warm as each other."""
AFTER_LAST_STEP_NS = NS // 2
COMPUTER_FAULTS = {"cpu_late": ("ms", "ticks")}
"""Faults of the flight computer itself; all others are the rig's. cpu_late: so many ticks take so much longer."""


@dataclass(frozen=True, slots=True)
class FlightResult:
    """How a flight went, for the summary. Times in s; ``wall_s`` and ``resident_mb`` are of this machine."""

    folder: Path
    flight_s: float
    wall_s: float
    resident_mb: float
    steps: tuple[StepRecord, ...]
    timing: TimingSummary
    events: int
    pulse_rule_violations: int

    @property
    def times_real(self) -> float:
        """Simulated over wall time."""
        return self.flight_s / self.wall_s if self.wall_s > 0.0 else 0.0


def new_folder(base: Path, mission: str, seed: int) -> Path:
    """A folder for one flight that does not exist yet: ``<base>/<mission>-seed<seed>`` or with a number behind it."""
    first = base / f"{mission}-seed{seed}"
    number = 1
    folder = first
    while folder.exists():
        number += 1
        folder = first.with_name(f"{first.name}-{number}")
    return folder


def check_mission(mission: MissionConfig, profile: Profile) -> None:
    """Refuse what only body, board and rig can judge: faults, loads, nodes and expectations that make no sense.

    Raises:
        ConfigError: names the key and what is allowed.
    """

    def refuse(key: str, why: str) -> None:
        raise ConfigError(mission.mission, None, key, why)

    for index, fault in enumerate(mission.faults):
        try:
            _check_fault(fault, profile)
        except ValueError as error:
            refuse(f"faults[{index}]", str(error))
    for problem in check_expectations(mission.expect):
        key, _, why = problem.partition(": ")
        refuse(key, why)
    body = profile.body
    loads = [load.name for load in body.power.loads if not load.base]
    for name in mission.initial.loads_off:
        if name not in loads:
            refuse("initial.loads_off", f"body {body.body} can't switch off {name!r}; loads: {', '.join(loads)}")
    nodes = [node.name for node in body.thermal.nodes]
    for name in mission.initial.temperatures_c:
        if name not in nodes:
            refuse("initial.temperatures_c", f"body {body.body} has no node {name!r}; nodes: {', '.join(nodes)}")


def _check_fault(fault: FaultConfig, profile: Profile) -> None:
    """Raises ValueError for a fault that can't be started."""
    if fault.kind not in COMPUTER_FAULTS:
        if fault.kind not in FAULTS:
            known = ", ".join([*FAULTS, *COMPUTER_FAULTS])
            raise ValueError(f"no fault {fault.kind!r}; faults: {known}")
        check_fault(fault.kind, fault.parameters, profile)
        return
    if set(fault.parameters) != set(COMPUTER_FAULTS[fault.kind]):
        raise ValueError(f"{fault.kind} takes {', '.join(COMPUTER_FAULTS[fault.kind])}")
    ms, ticks = fault.parameters["ms"], fault.parameters["ticks"]
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0.0 < ms <= 10_000.0:
        raise ValueError(f"{fault.kind}: ms is {ms!r}; above 0, up to 10000 is allowed")
    if isinstance(ticks, bool) or not isinstance(ticks, int) or not 1 <= ticks <= 1_000_000:
        raise ValueError(f"{fault.kind}: ticks is {ticks!r}; a whole number from 1 to 1000000 is allowed")
    if fault.for_s is not None:
        raise ValueError(f"{fault.kind} lasts for its ticks; for_s has no meaning")


TRUTHS = (
    "array_max_w", "panel_wanted", "panel_v", "dock_w", "valve_w", "peak_w", "unserved_w", "spilled_w", "bus_on",
    "longest_under_s", "cold_charge_j", "balance_error_j", "flowed_j", "illumination", "battery_current_a",
    "supercap_current_a", "supercap_voltage_v",
)
"""Columns of the truth channel that are recorded as the rig has them."""


def tabled_truth(truth: Truth, violations: int, bus_limit_a: float) -> dict[str, Any]:
    """A row of the truth channel."""
    return {
        "position_m": truth.position, "velocity_m_s": truth.velocity, "quaternion": truth.quaternion,
        "rate_rad_s": truth.rate, "mass_kg": truth.mass_kg, "propellant_kg": truth.propellant_kg,
        "total_impulse_n_s": truth.total_impulse_n_s, "open_mask": truth.open_mask, "soc_battery": truth.soc_battery,
        "soc_supercap": truth.soc_supercap, "bus_voltage_v": truth.bus_voltage_v, "bus_current_a": truth.bus_current_a,
        "array_w": truth.array_w, "load_w": truth.load_w, "harvested_j": truth.harvested_j,
        "temperatures_c": dict(truth.temperatures_c), "pulse_rule_violations": violations, "bus_limit_a": bus_limit_a,
        **{name: getattr(truth, name) for name in TRUTHS},
    }


class RigComputer:
    """The flight computer of the rig: its load is as fast as it is told. Its warmth shows on the core node's sensor."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._loads = world.power.load_names()

    def temperature_c(self) -> float | None:
        """No sensor of its own."""
        return None

    def set_share(self, share: float) -> bool:
        """Throttle the processor's load."""
        if PROCESSOR not in self._loads:
            return False
        self._world.power.set_share(PROCESSOR, share)
        return True


class _Due:
    """One fault of the mission with its times."""

    __slots__ = ("config", "end", "end_ns", "start_ns")

    def __init__(self, config: FaultConfig) -> None:
        self.config = config
        self.start_ns: int | None = None if config.at_s is None else round(config.at_s * NS)
        self.end_ns: int | None = None
        self.end: Callable[[], None] | None = None


class RigFlight:
    """A mission on the embedded rig.

    Args:
        mission: what to fly.
        profile: body and board as loaded; the window is fitted here.
        folder: where the black box goes.
        seed: of the world.
        paced: hold the pace of real time.
        texts: attachments of the black box (body, board and mission as YAML).

    Raises:
        ConfigError, RecordError: before anything has flown.
    """

    def __init__(
        self, mission: MissionConfig, profile: Profile, folder: Path, seed: int, *, paced: bool = False,
        texts: Mapping[str, str] | None = None, meter: Meter | None = None,
    ) -> None:
        check_mission(mission, profile)
        self.mission = mission
        self.folder = folder
        self.seed = seed
        self.paced = paced
        self.profile = fit_window(profile)
        epoch_ns = parse_epoch(mission.epoch)
        try:
            self.rig = Rig(self.profile, _initial(mission, profile.body, epoch_ns), seed)
        except (ValueError, TypeError, IndexError) as error:
            # Settings that the simulated chip of a part cannot play.
            raise ConfigError(profile.board.board, None, "devices", str(error)) from None
        self._faults = [_Due(fault) for fault in mission.faults]
        self._pending = list(self._faults)
        self._late_ns = self._late_ticks = 0
        self._next_truth_ns = 0
        self._steps_seen = 0
        self._finished_ns: int | None = None
        self.clock = PacedClock(epoch_ns, self._advance) if paced else SimClock(epoch_ns, self._advance)
        self.meter: Meter = RealMeter() if meter is None else meter
        taps = TapLog()
        buses = {name: taps.tap(bus) for name, bus in self.rig.buses.items()}
        rates = profile.board.rates
        header = {
            "software_version": __version__, "hardware_profile_hash": profile.digest, "body": profile.body.body,
            "board": profile.board.board, "mission": mission.mission, "seed": seed,
            "rates": msgspec.to_builtins(rates), "steps": len(mission.steps), "epoch": mission.epoch,
            "description": mission.description, "clock": "paced" if paced else "simulated",
        }
        self.recorder = FlightRecorder(
            folder, header, epoch_ns, taps, texts or {}, fast_hz=rates.fast_hz,
            medium_hz=max(1, round(rates.medium_hz)),
        )
        load = Member("computing load", self._compute, RateGroup.FAST, 0, 1000, True)
        loaded = any(fault.kind in COMPUTER_FAULTS for fault in mission.faults)
        try:
            self.program = Program(
                self.profile, mission, buses, self.clock, self.meter, self.recorder, mission.hardware_profile_hash,
                more_members=(load,) if loaded else (), computer=RigComputer(self.rig.world),
            )
        except BaseException:
            self.recorder.discard()
            raise

        self._switch_off(mission.initial.loads_off)

    def _switch_off(self, loads: Iterable[str]) -> None:
        """Loads that nobody wants and that have no rail: by their own switch. The others are the flight software's."""
        for name in loads:
            if name not in self.program.hardware.power.switched:
                self.rig.world.set_load(name, False)

    def run(self, each: Callable[[RigFlight], None] | None = None) -> FlightResult:
        """Fly to the end of the mission or its duration; ``each`` is called every tenth of a second of flight."""
        end_ns = round(self.mission.duration_s * NS)
        start = self.meter.wall_ns()
        program, clock = self.program, self.clock
        next_call = 0
        with self.recorder:
            if self.paced:
                clock.sleep_until_ns(0)
            while program.scheduler.next_deadline_ns < end_ns:
                program.run_tick()
                now = clock.now_ns()
                self._follow_steps(now)
                if now >= next_call:
                    next_call = now + NS // 10
                    if each is not None:
                        each(self)
                    if self._finished_ns is not None and now - self._finished_ns >= AFTER_LAST_STEP_NS:
                        break
            self.rig.checker.finish(clock.now_ns())
            self.recorder.truth(clock.now_ns(), self._truth_row())
            timing = program.timing()
            if self.paced:
                self.recorder.timing(clock.now_ns(), timing.as_dict())
        commander = program.software.commander
        return FlightResult(
            folder=self.folder, flight_s=clock.now_ns() / NS, wall_s=(self.meter.wall_ns() - start) / NS,
            resident_mb=peak_resident_mb(), steps=tuple(commander.records),
            timing=timing, events=self.recorder.events, pulse_rule_violations=self.rig.checker.total,
        )

    def _advance(self, t_ns: int) -> None:
        """Idle time of the flight software: the world moves, faults start and end."""
        if self._pending:
            self._step_faults(t_ns)
        self.rig.advance(t_ns)
        if t_ns >= self._next_truth_ns:
            self._next_truth_ns += TRUTH_PERIOD_NS
            self.recorder.truth(t_ns, self._truth_row())

    def _truth_row(self) -> dict[str, Any]:
        limit_a = self.profile.body.power.bus.current_limit_a
        return tabled_truth(self.rig.truth(), self.rig.checker.total, limit_a)

    def _compute(self, _now_ns: int) -> None:
        """Stands in for computing that takes too long: it ends late, inside the tick."""
        if self._late_ticks:
            self._late_ticks -= 1
            self.clock.charge(self._late_ns)

    def _step_faults(self, t_ns: int) -> None:
        for due in tuple(self._pending):
            if due.end_ns is not None and t_ns >= due.end_ns:
                if due.end is not None:
                    due.end()
                self._note(t_ns, f"{due.config.kind} ended")
                self._pending.remove(due)
            elif due.end_ns is None and due.start_ns is not None and t_ns >= due.start_ns:
                self._start(due, t_ns)

    def _start(self, due: _Due, t_ns: int) -> None:
        config = due.config
        if config.kind == "cpu_late":
            self._late_ns = round(float(config.parameters["ms"]) * 1e6)
            self._late_ticks = int(config.parameters["ticks"])
        else:
            due.end = self.rig.inject(config.kind, config.parameters)
        details = ", ".join(f"{name} {value}" for name, value in config.parameters.items())
        self._note(t_ns, f"{config.kind} {details}".strip())
        if config.for_s is None:
            self._pending.remove(due)
        else:
            due.end_ns = t_ns + round(config.for_s * NS)

    def _note(self, t_ns: int, text: str) -> None:
        self.recorder.event(t_ns, "RIG_FAULT", Severity.INFO, text)

    def _follow_steps(self, now_ns: int) -> None:
        records = self.program.software.commander.records
        if len(records) > self._steps_seen:
            for record in records[self._steps_seen:]:
                for due in self._faults:
                    if due.config.after_step == record.name and due.start_ns is None:
                        due.start_ns = record.end_ns + round(due.config.delay_s * NS)
            self._steps_seen = len(records)
        if self._finished_ns is None and self.program.software.commander.finished:
            self._finished_ns = now_ns


def warmed(body: BodyConfig) -> dict[str, float]:
    """Start temperatures of a craft whose heaters have been on: heated nodes, and those coupled to them strongly, are
    no colder than where the heater goes off. By node, deg C; nodes that are warm enough are left out."""
    start = {node.name: node.start_c for node in body.thermal.nodes}
    warm: dict[str, float] = {}
    for heater in body.thermal.heaters:
        shared = {name for coupling in body.thermal.couplings for name in coupling.between
                  if heater.node in coupling.between and coupling.conductance_w_k >= SHARED_W_K}
        for name in {heater.node, *shared}:
            if start[name] < heater.off_c:
                warm[name] = max(warm.get(name, heater.off_c), heater.off_c)
    return warm


def _initial(mission: MissionConfig, body: BodyConfig, epoch_ns: int) -> InitialState:
    start = mission.initial
    before = {} if start.cold_start else warmed(body)
    roll, pitch, yaw = (radians(x) for x in start.attitude_deg)
    x, y, z = (radians(x) for x in start.rate_deg_s)
    return InitialState(
        epoch=epoch_ns, position=start.position_m, velocity=start.velocity_m_s,
        quaternion=quaternion_from_euler(roll, pitch, yaw), rate=(x, y, z), soc_battery=start.soc_battery,
        soc_supercap=start.soc_supercap, temperatures_c={**before, **start.temperatures_c}, ambient_c=start.ambient_c,
        orbit=orbit_of(start.orbit), lighting=start.lighting,
    )


def orbit_of(config: OrbitConfig | None) -> Orbit | None:
    """The rig's orbit of a scenario's."""
    return None if config is None else Orbit(config.altitude_km, config.beta_deg, config.phase_deg / 360.0)


def peak_resident_mb() -> float:
    """Largest resident memory of this process so far, MB.

    From /proc, since what getrusage reports survives exec and so tells of the parent too (proc(5), getrusage(2)).
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def texts_of(mission: str, body: str, board: str) -> dict[str, str]:
    """The three files of a flight as text, for the black box."""
    return {
        "mission.yaml": find_mission(mission).read_text(encoding="utf-8"),
        "body.yaml": find_config("bodies", body).read_text(encoding="utf-8"),
        "board.yaml": find_config("boards", board).read_text(encoding="utf-8"),
    }


def all_done(steps: tuple[StepRecord, ...], planned: int) -> bool:
    """Whether every planned step ended as done."""
    return len(steps) == planned and all(step.outcome is StepOutcome.DONE for step in steps)
