"""One flight on the embedded rig: mission, world, program and recorder joined, faults started on time.

The only module that joins flight software and rig. On a simulated clock everything it writes depends on mission, body,
board and seed alone.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import numpy as np

from comms.flight_port import Port
from fdir.fault_table import FaultTable, find_fault_table, load_fault_table
from firmware_py import __version__
from firmware_py.cli.computer_faults import COMPUTER_FAULTS, LEAVING, LOADING
from firmware_py.cli.flight_parts import FlightParts
from firmware_py.cli.flight_start import check_mission, initial_state
from firmware_py.cli.rig_computer import Away, Breaker, ComputerAway, ComputerClock, Load, RigComputer, RigHealth
from firmware_py.cli.rig_ground import GROUND_FAULTS, RigGround, ground_of
from firmware_py.cli.rig_restart import START_NS, cut_power, give_power, open_anew, restarted
from firmware_py.clock import Meter, PacedClock, RealMeter, SimClock
from firmware_py.computer_health import ComputerHealth
from firmware_py.mission import (
    FaultConfig,
    MissionConfig,
    StepOutcome,
    StepRecord,
    find_mission,
    parse_epoch,
)
from firmware_py.program import Program, fit_window
from firmware_py.recorder.flight import FlightRecorder
from firmware_py.recorder.tap import TapLog
from firmware_py.scheduler import Member, RateGroup, TimingSummary
from hal.profile import ConfigError, Profile
from hal.profile.loader import find_config
from hil.disk import SimDisk
from hil.plant.world import Truth
from hil.rig import Rig

if TYPE_CHECKING:
    from firmware_py.cli.rig_link import RigLink
    from firmware_py.cli.rig_perception import RigPerception

__all__ = ["FlightLink", "FlightResult", "RigFlight", "check_mission", "new_folder", "tabled_truth"]

NS = 1_000_000_000
TRUTH_PERIOD_NS = 50_000_000
AFTER_LAST_STEP_NS = NS // 2
AWAY_FOR_GOOD_NS = 60 * NS
"""How long the craft is watched whose computer does not come back."""
DISK_STREAM = 6
"""Beside the seed: the disk's random numbers are no others'."""


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


class FlightLink(Protocol):
    """Who serves the link of a flight; a start of the program begins it anew."""

    def start(self, rig_ns: int, faults: tuple[str, ...]) -> Port:
        """The program starts; returns the flight loop's end of a new port."""

    def step(self, now_ns: int) -> None:
        """Member of the program's table, at the medium rate."""

    def ground_step(self, rig_ns: int) -> None:
        """The world goes on without the program."""


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
        faults: the fault table; the one that ships if none is given.
        link: a link to somebody outside, instead of the mission's own ground.

    Raises:
        ConfigError, RecordError: before anything has flown.
    """

    def __init__(
        self, mission: MissionConfig, profile: Profile, folder: Path, seed: int, *, paced: bool = False,
        texts: Mapping[str, str] | None = None, meter: Meter | None = None, faults: FaultTable | None = None,
        link: FlightLink | None = None,
    ) -> None:
        check_mission(mission, profile)
        if link is not None and any(fault.kind in GROUND_FAULTS for fault in mission.faults):
            raise ConfigError(mission.mission, None, "faults", "the ground of this flight is outside, out of reach of "
                              f"{', '.join(GROUND_FAULTS)}")
        self.mission = mission
        self.folder = folder
        self.seed = seed
        self.paced = paced
        self.profile = fit_window(profile)
        epoch_ns = parse_epoch(mission.epoch)
        try:
            self.rig = Rig(self.profile, initial_state(mission, profile.body, epoch_ns), seed)
        except (ValueError, TypeError, IndexError) as error:
            # Settings that the simulated chip of a part cannot play.
            raise ConfigError(profile.board.board, None, "devices", str(error)) from None
        self._faults = [_Due(fault) for fault in mission.faults]
        self._pending = list(self._faults)
        self._next_truth_ns = 0
        self._steps_seen = 0
        self._finished_ns: int | None = None
        self.observer: Callable[[RigFlight, int], None] | None = None
        """Called with every move of the world, once a fast tick, before the flight software's tick; changes nothing."""
        self.not_before_ns = 0
        """The flight does not end before this time, though all steps have ended."""
        self.clock = PacedClock(epoch_ns, self._advance) if paced else SimClock(epoch_ns, self._advance)
        self.meter: Meter = RealMeter() if meter is None else meter
        self._load = Load(self.clock.charge)
        self._health = RigHealth()
        simulated = _link_of(mission, self.rig, seed, self.profile) if link is None else None
        self.link: FlightLink | None = simulated if link is None else link
        # Where there is a link, the craft hears the ground over that alone.
        self._ground = ground_of(mission.faults) if self.link is None else None
        self._silenced: RigGround | RigLink | None = self._ground if simulated is None else simulated
        self._disk = SimDisk(np.random.default_rng([seed, DISK_STREAM]))
        self._table = shipped_faults() if faults is None else faults
        self._away: Away | None = None
        self._gone = False
        self._start_ns = 0
        self._records: list[StepRecord] = []
        rates = profile.board.rates
        header = {
            "software_version": __version__, "hardware_profile_hash": profile.digest, "body": profile.body.body,
            "board": profile.board.board, "mission": mission.mission, "seed": seed,
            "rates": msgspec.to_builtins(rates), "epoch": mission.epoch,
            "description": mission.description, "clock": "paced" if paced else "simulated",
        }
        if self.link is not None:
            header["link"] = "simulated" if link is None else "outside"
        self._texts = texts or {}
        self.eyes = _eyes_of(mission, self.profile, folder, header, epoch_ns)
        self.parts = FlightParts(folder, header, epoch_ns, rates)
        self._breaker = Breaker(self._load, self._health, self.parts.fail)
        self._start_program(mission, self._texts)
        self._switch_off(mission.initial.loads_off)

    @property
    def running(self) -> bool:
        """Whether the program runs; ``program`` is that of its last start."""
        return not self._gone

    @property
    def recorder(self) -> FlightRecorder:
        """The program's recorder, of its last start."""
        return self.parts.recorder

    def _start_program(self, mission: MissionConfig, texts: Mapping[str, str]) -> None:
        """Start the program now, on buses that it opens itself, with a record of its own."""
        start_ns = self._start_ns = self.clock.now_ns()
        taps = TapLog()
        buses = {name: taps.tap(bus) for name, bus in self.rig.buses.items()}
        self.parts.open(taps, start_ns, texts, len(mission.steps))
        self._breaker.clock = clock = ComputerClock(self.clock, start_ns)
        health = ComputerHealth(self._health, clock.utc_ns, clock.now_ns, self.recorder)
        members = []
        if any(fault.kind in LOADING for fault in self.mission.faults):
            members.append(Member("computing load", self._load.step, RateGroup.FAST, 0, 1000, True))
        if self._ground is not None:
            members.append(Member("ground", self._hear_ground, RateGroup.MEDIUM, 5, 100, False))
        port = None
        if self.link is not None:
            port = self.link.start(start_ns, tuple(row.id for row in self._table.rows))
            members.append(Member("link process", self.link.step, RateGroup.MEDIUM, 8, 2000, False))
        surroundings = None
        if self.eyes is not None:
            surroundings = self.eyes.start(start_ns)
            members.append(Member("perception process", self.eyes.step, RateGroup.FAST, 0, 20_000, False))
        try:
            self.program = Program(
                self.profile, mission, buses, clock, self.meter, self.parts.journal, mission.hardware_profile_hash,
                more_members=members, computer=RigComputer(self.rig.world, self._health.warmer_k), faults=self._table,
                health=health, files=self._disk, link=port, perception=surroundings,
            )
        except BaseException:
            if start_ns == 0:
                self.parts.discard()
            raise

    def _hear_ground(self, now_ns: int) -> None:
        if self._ground is not None:
            self.program.software.heard_ns = self._ground.heard_ns(now_ns + self._start_ns, self._start_ns)

    def _switch_off(self, loads: Iterable[str]) -> None:
        """Loads that nobody wants and that have no rail: by their own switch. The others are the flight software's."""
        for name in loads:
            if name not in self.program.hardware.power.switched:
                self.rig.world.set_load(name, False)

    def run(self, each: Callable[[RigFlight], None] | None = None) -> FlightResult:
        """Fly to the end of the mission or its duration; ``each`` is called every tenth of a second of flight."""
        end_ns = round(self.mission.duration_s * NS)
        start = self.meter.wall_ns()
        clock = self.clock
        next_call = 0
        try:
            if self.paced:
                clock.sleep_until_ns(0)
            while self.program.scheduler.next_deadline_ns + self._start_ns < end_ns:
                try:
                    self.program.run_tick()
                    if self.program.restart_ordered:
                        self._end_program()
                except ComputerAway:
                    self.parts.abandon()
                if self._away is not None and not self._come_back(self._away, end_ns):
                    break
                now = clock.now_ns()
                self._follow_steps(now)
                if now >= next_call:
                    next_call = now + NS // 10
                    if each is not None:
                        each(self)
                    if (self._finished_ns is not None and now - self._finished_ns >= AFTER_LAST_STEP_NS
                            and now >= self.not_before_ns):
                        break
            self.rig.checker.finish(clock.now_ns())
            self.parts.truth(clock.now_ns(), self._truth_row())
            timing = self.program.timing()
            if self.paced:
                self.parts.timing(clock.now_ns(), timing.as_dict())
        finally:
            self.parts.close(clock.now_ns())
            if self.eyes is not None:
                self.eyes.close()
        return FlightResult(
            folder=self.folder, flight_s=clock.now_ns() / NS, wall_s=(self.meter.wall_ns() - start) / NS,
            resident_mb=peak_resident_mb(), steps=tuple(self._records),
            timing=timing, events=self.parts.events, pulse_rule_violations=self.rig.checker.total,
        )

    def _end_program(self) -> None:
        """The core has ordered a restart: the program ends by itself, and its supervisor starts it again."""
        self.program.end()
        now_ns = self.clock.now_ns()
        self._away = Away(now_ns + START_NS, text="program ended by its own order")
        self.parts.finish()

    def _come_back(self, away: Away, end_ns: int) -> bool:
        """The program has ended: the world goes on without it until it is started again; whether it is."""
        clock = self.clock
        self._note(clock.now_ns(), away.text)
        self._gone = True
        end_ns = min(end_ns, clock.now_ns() + AWAY_FOR_GOOD_NS) if away.until_ns is None else end_ns
        while True:
            if away.power_cut:
                cut_power(self.rig)
            until_ns = end_ns if away.until_ns is None else min(end_ns, away.until_ns)
            if clock.now_ns() >= until_ns:
                break
            clock.sleep_until_ns(min(until_ns, clock.now_ns() + NS // self.profile.board.rates.fast_hz))
            if self.link is not None:
                self.link.ground_step(clock.now_ns())
        if away.until_ns is None or away.until_ns > until_ns or until_ns >= end_ns:
            return False
        if away.power_cut:
            give_power(self.rig)
            self._disk.restart()
        self._away, self._gone = None, False
        open_anew(self.rig)
        self._steps_seen, self._finished_ns = 0, None
        self._start_program(*restarted(self.mission, self._texts))
        self._note(clock.now_ns(), "program started again")
        return True

    def _advance(self, t_ns: int) -> None:
        """Idle time of the flight software: the world moves, faults start and end."""
        # Behind computing that hung the world has more to do than one step of it.
        while t_ns - self.rig.now_ns > TRUTH_PERIOD_NS:
            self._move(self.rig.now_ns + TRUTH_PERIOD_NS)
        self._move(t_ns)
        if self._away is not None and not self._gone:
            raise ComputerAway

    def _move(self, t_ns: int) -> None:
        if self._pending:
            self._step_faults(t_ns)
        self.rig.advance(t_ns)
        if self.observer is not None:
            self.observer(self, t_ns)
        if t_ns >= self._next_truth_ns:
            self._next_truth_ns += TRUTH_PERIOD_NS
            self.parts.truth(t_ns, self._truth_row())

    def _truth_row(self) -> dict[str, Any]:
        limit_a = self.profile.body.power.bus.current_limit_a
        return tabled_truth(self.rig.truth(), self.rig.checker.total, limit_a)

    def _step_faults(self, t_ns: int) -> None:
        for due in tuple(self._pending):
            if due.end_ns is not None and t_ns >= due.end_ns:
                if due.end is not None:
                    due.end()
                self._note(t_ns, f"{due.config.kind} ended")
                self._pending.remove(due)
            elif due.end_ns is None and due.start_ns is not None and t_ns >= due.start_ns:
                self._begin(due, t_ns)

    def _begin(self, due: _Due, t_ns: int) -> None:
        config = due.config
        details = ", ".join(f"{name} {value}" for name, value in config.parameters.items())
        text = f"{config.kind} {details}".strip()
        if config.kind in LEAVING:
            self._leave(config, t_ns, text)
            self._pending.remove(due)
            return
        if config.kind in GROUND_FAULTS and self._silenced is not None:
            due.end = self._silenced.silence()
        elif config.kind in COMPUTER_FAULTS:
            due.end = self._breaker.start(config.kind, config.parameters)
        else:
            due.end = self.rig.inject(config.kind, config.parameters)
        self._note(t_ns, text)
        if config.for_s is None:
            self._pending.remove(due)
        else:
            due.end_ns = t_ns + round(config.for_s * NS)

    def _leave(self, config: FaultConfig, t_ns: int, text: str) -> None:
        until_ns = None if config.for_s is None else t_ns + round(config.for_s * NS)
        if self._away is None:
            self._away = Away(until_ns, config.kind == "power_cut", text)
        else:
            self._away.extend(until_ns, config.kind == "power_cut")
            self._note(t_ns, text)

    def _note(self, t_ns: int, text: str) -> None:
        self.parts.note(t_ns, text)

    def _follow_steps(self, now_ns: int) -> None:
        records = self.program.software.commander.records
        if len(records) > self._steps_seen:
            for record in records[self._steps_seen:]:
                start_ns, end_ns = record.start_ns + self._start_ns, record.end_ns + self._start_ns
                self._records.append(replace(record, start_ns=start_ns, end_ns=end_ns))
                for due in self._faults:
                    if due.config.after_step == record.name and due.start_ns is None:
                        due.start_ns = end_ns + round(due.config.delay_s * NS)
            self._steps_seen = len(records)
        if self._finished_ns is None and self.program.software.commander.finished:
            self._finished_ns = now_ns


def _link_of(mission: MissionConfig, rig: Rig, seed: int, profile: Profile) -> RigLink | None:
    """Line and ground of a mission that has any; what they are made of is loaded only then."""
    if mission.link is None:
        return None
    from firmware_py.cli.rig_link import RigLink

    return RigLink(mission.link, rig, seed, profile.body.body)


def _eyes_of(
    mission: MissionConfig, profile: Profile, folder: Path, header: Mapping[str, Any], epoch_ns: int
) -> RigPerception | None:
    """The perception of a mission with surroundings; what it is made of is loaded only then."""
    if mission.surroundings is None:
        return None
    from firmware_py.cli.rig_perception import RigPerception
    from firmware_py.perception.config import load_perception

    told = mission.surroundings
    shipped = load_perception()
    config = msgspec.structs.replace(
        shipped, friends=(*shipped.friends, *told.friends), foes=(*shipped.foes, *told.foes)
    )
    return RigPerception(profile, folder, dict(header), epoch_ns, config)


@cache
def shipped_faults() -> FaultTable:
    """The fault table that ships, loaded once for all flights of this process."""
    return load_fault_table()


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


def texts_of(mission: str, body: str, board: str, faults: Path | None = None) -> dict[str, str]:
    """The files of a flight as text, for the black box. ``faults``: its fault table, the shipped one if not given."""
    return {
        "mission.yaml": find_mission(mission).read_text(encoding="utf-8"),
        "body.yaml": find_config("bodies", body).read_text(encoding="utf-8"),
        "board.yaml": find_config("boards", board).read_text(encoding="utf-8"),
        "faults.yaml": (find_fault_table() if faults is None else faults).read_text(encoding="utf-8"),
    }


def all_done(steps: tuple[StepRecord, ...], planned: int) -> bool:
    """Whether every planned step ended as done."""
    return len(steps) == planned and all(step.outcome is StepOutcome.DONE for step in steps)
