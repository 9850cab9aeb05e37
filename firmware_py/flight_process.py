"""The flight program on a real board: buses, recorder, ports and program joined, flown by one real-time thread.

It never waits for another process: link, perception and recorder come and go at the sockets that it listens on. What a
computer does not have (a bus, a right, a clock) is told and flown without; only what makes no sense together is
refused, before anything flies.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from comms.flight_port import Port
from comms.link.socket_port import FlightSocket
from drivers.linux_watchdog import Device as LinuxWatchdog
from drivers.linux_watchdog import Settings as WatchdogSettings
from fdir.codes import Code, Severity
from fdir.fault_table import find_fault_table
from firmware_py import __version__, realtime
from firmware_py.clock import MACHINE_TIME, MachineTime, RealClock, RealMeter
from firmware_py.computer_health import ComputerHealth, LinuxHealth
from firmware_py.energy.computer import LinuxComputer
from firmware_py.flight_callers import CallerWatch, user_ids
from firmware_py.flight_epoch import choose_epoch, epoch_text
from firmware_py.flight_life import Ending, LastLife, LifeFile
from firmware_py.flight_mission import check_fits, mission_to_fly
from firmware_py.flight_recording import open_recording
from firmware_py.flight_status import StatusLine
from firmware_py.mission import MissionConfig, load_mission
from firmware_py.perception.port import CODEC as PERCEPTION_CODEC
from firmware_py.program import RESTART_EXIT, Program
from firmware_py.recorder.kept import FLIGHT_ENDING
from firmware_py.recorder.tap import TapLog
from firmware_py.retained_faults import ChosenTable, Taken, fault_table_to_fly
from firmware_py.scheduler import Member, RateGroup
from firmware_py.sd_notify import Notifier
from hal.nonvolatile import FolderFiles, StandingWorker
from hal.profile import ConfigError, Profile, load_profile
from hal.profile.board import BoardConfig, BusKind
from hal.transports import Opener, open_buses

__all__ = ["FlightOrder", "FlightProcess", "FlightRefused"]

FOREVER_NS = 1 << 62
STATUS_PHASE = 9


class FlightRefused(Exception):
    """Nothing was flown: what stands in the way, and what to do."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step


@dataclass(frozen=True, slots=True)
class FlightOrder:
    """What is to be flown, and where.

    Attributes:
        board, body: file or name.
        state: folder of what outlives a restart.
        mission: file or name; ``None``: to stand by.
        link_port, record_port, perception_port: sockets to listen on; ``None``: without. Without ``record_port`` the
            flight writes its black box itself.
        cpu, priority: instead of the board's.
        real_time: ask for a real-time thread.
        for_s: fly so long; ``None``: until told to stop.
        faults, guard_rules: files instead of those that ship.
        link_user, record_user, perception_user: the one user that may call at each socket; ``None``: whoever may open
            its file.
    """

    board: str
    body: str
    state: Path
    mission: str | None = None
    link_port: Path | None = None
    record_port: Path | None = None
    perception_port: Path | None = None
    cpu: int | None = None
    priority: int | None = None
    real_time: bool = True
    for_s: float | None = None
    faults: Path | None = None
    guard_rules: Path | None = None
    link_user: str | None = None
    record_user: str | None = None
    perception_user: str | None = None


class FlightProcess:
    """One start of the flight program. Build it, ``fly`` it once, ``close`` it.

    Args:
        order: see there.
        environment: ``os.environ``, for the service manager's words.
        machine: the calls that reach the operating system's clocks.
        openers: how each kind of bus is opened; the real transports by default.
        root: folder that holds ``proc`` and ``sys``.

    Attributes:
        program: the flight program.
        life: how the start before ended.
        epoch: UTC of flight time 0.
        folder: where this process writes, crash rings at least.

    Raises:
        ConfigError, RecordError, PortError, FlightRefused: nothing was flown, and nothing is held any more.
    """

    def __init__(
        self, order: FlightOrder, environment: Mapping[str, str], machine: MachineTime = MACHINE_TIME,
        openers: Mapping[BusKind, Opener] | None = None, root: Path = Path("/"),
    ) -> None:
        self._order = order
        profile = load_profile(order.body, order.board)
        given = None if order.mission is None else load_mission(order.mission)
        if given is not None:
            check_fits(given, profile)
        watchdog = watchdog_of(profile.board)
        manager = manager_of(environment)
        callers = callers_of(order)
        with ExitStack() as stack:
            files = FolderFiles(order.state)
            _lock(order.state, stack)
            link = None if order.link_port is None else FlightSocket(order.link_port, users=callers.link)
            if link is not None:
                stack.callback(link.close)
            eyes = None if order.perception_port is None else FlightSocket(
                order.perception_port, PERCEPTION_CODEC, callers.perception
            )
            if eyes is not None:
                stack.callback(eyes.close)
            clock = RealClock(0, profile.board.realtime.spin_us, machine)
            self._buses = open_buses(profile.board, clock.now_ns, openers=openers)
            stack.callback(self._buses.close)
            transports = self._buses.complete()
            self._life_file = LifeFile(files, root)
            self.life = self._life_file.begin()
            self.epoch = choose_epoch(machine.utc_ns, profile.board, transports, root)
            # UTC of flight time 0, not of now.
            epoch_ns = max(0, self.epoch.ns - clock.now_ns() // 1000 * 1000)
            clock.set_utc_ns(epoch_ns + clock.now_ns())
            self._table = fault_table_to_fly(order.faults, files)
            mission = mission_to_fly(given, profile, epoch_text(epoch_ns), self.life.unfinished)
            taps = TapLog()
            tapped = {name: taps.tap_as(profile.board.buses[name].kind, bus) for name, bus in transports.items()}
            self._recording = open_recording(
                order.state, order.record_port, header_of(profile, mission, self.life, link is not None), epoch_ns,
                taps, texts_of(profile, mission, self._table, order.faults), profile.board.rates, stack,
                callers.record,
            )
            self._strangers = CallerWatch(self._tell_stranger)
            for name, door in (("link", link), ("recorder", self._recording.port), ("perception", eyes)):
                self._strangers.watch(name, door)
            self.folder = self._recording.folder
            self.status = StatusLine(self._recording.journal)
            self._clock = clock
            self._collector = realtime.IdleCollector()
            self.program = Program(
                profile, mission, tapped, clock, RealMeter(), self._recording.journal, mission.hardware_profile_hash,
                on_idle=self._collector.step, more_members=(self._status_member(),), worker=StandingWorker,
                computer=LinuxComputer(root), health=ComputerHealth(
                    LinuxHealth(order.state, root), machine.utc_ns, machine.monotonic_ns, self._recording.journal,
                ),
                linux=watchdog, manager=manager, files=files, keeping=StandingWorker, reset=self.life.reset,
                guard_rules=order.guard_rules, faults=self._table.table, link=_port(link), perception=_port(eyes),
            )
            self.status.program = self.program
            self._stack = stack.pop_all()

    def fly(self, stop: Callable[[], bool]) -> int:
        """Fly until ``stop`` answers true, the time is over or a restart is ordered; returns the exit code.

        Valves are shut and lines low at the end, also when something breaks that nobody has foreseen.
        """
        order, program = self._order, self.program
        self._tell_start()
        self._take_rights()
        until_ns = FOREVER_NS if order.for_s is None else self._clock.now_ns() + round(order.for_s * 1e9)
        ending = Ending.RUNNING
        try:
            ordered = program.run(until_ns, stop)
            if ordered:
                program.end()
            else:
                self._recording.journal.event(
                    self._clock.now_ns(), FLIGHT_ENDING, Severity.INFO, "told to stop"
                )
                program.wind_down()
            ending = Ending.ORDERED if ordered else Ending.STOPPED
        except BaseException:
            program.end()
            raise
        finally:
            if ending is not Ending.RUNNING:
                self._life_file.end(ending)
        now_ns = self._clock.now_ns()
        self._recording.journal.timing(now_ns, program.timing().as_dict())
        self._recording.finish(self._clock)
        return RESTART_EXIT if ending is Ending.ORDERED else 0

    def close(self) -> None:
        """Let buses, sockets and files go. Call once."""
        self._stack.close()

    def _status_member(self) -> Member:
        return Member("status", self._look, RateGroup.SLOW, STATUS_PHASE, 500, False)

    def _look(self, now_ns: int) -> None:
        self.status.step(now_ns)
        self._strangers.step(now_ns)

    def _tell_stranger(self, now_ns: int, text: str) -> None:
        self.program.journal.event(now_ns, Code.INTRUSION_ALERT, Severity.WARNING, text)

    def _tell_start(self) -> None:
        """What was found before the flight, as events of it."""
        journal, now_ns = self.program.journal, self._clock.now_ns()
        advice = self._buses.advice()
        for name, error in sorted(self._buses.failures.items()):
            text = f"bus {name} cannot be opened: {error}; {advice[name]}"
            journal.event(now_ns, Code.BUS_DEGRADED, Severity.WARNING, text)
        for text in (self._table.refusal, self._table.not_kept):
            if text:
                journal.event(now_ns, Code.FAULT_TABLE_REFUSED, Severity.WARNING, text)
        if self.epoch.doubt:
            text = f"{self.epoch.doubt}; time is from {self.epoch.source}"
            journal.event(now_ns, Code.CLOCK_JUMP, Severity.WARNING, text)
        if self.life.problem:
            journal.event(now_ns, Code.PARAM_STORE_FAILED, Severity.WARNING, f"state folder: {self.life.problem}")
        if self.life.unfinished:
            text = f"the start before ended as {self.life.ending}; the mission's steps are not given again"
            journal.event(now_ns, Code.STEP_REFUSED, Severity.WARNING, text)

    def _take_rights(self) -> None:
        """Make this thread a real-time thread as far as it may be. Everything is built: what is alive is frozen."""
        order, config = self._order, self.program.profile.board.realtime
        if not order.real_time:
            realtime.freeze_collector()
            return
        config = msgspec.structs.replace(
            config, cpu=config.cpu if order.cpu is None else order.cpu,
            priority=config.priority if order.priority is None else order.priority,
        )

        def tell(_event: str, measure: str, why: str) -> None:
            self.program.journal.event(
                self._clock.now_ns(), Code.REALTIME_DEGRADED, Severity.WARNING, f"{measure} refused: {why}"
            )

        realtime.enter(config, tell)


def watchdog_of(board: BoardConfig) -> LinuxWatchdog | None:
    """The computer's watchdog, if the board names one; it is not opened here. Raises ConfigError."""
    if board.watchdog is None:
        return None
    try:
        settings = msgspec.convert(board.watchdog, type=WatchdogSettings, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(board.board, None, "watchdog", str(error)) from None
    return LinuxWatchdog(None, None, settings)


class Callers(NamedTuple):
    """Ids of the users that may call at each socket; ``None``: whoever may open its file."""

    link: frozenset[int] | None
    record: frozenset[int] | None
    perception: frozenset[int] | None


def callers_of(order: FlightOrder) -> Callers:
    """Users by their names. Raises FlightRefused for one that this computer does not have."""
    try:
        return Callers(user_ids(order.link_user), user_ids(order.record_user), user_ids(order.perception_user))
    except LookupError as error:
        raise FlightRefused(
            str(error.args[0]), "make the user (qiki install does), name another one, or leave the option out"
        ) from None


def manager_of(environment: Mapping[str, str]) -> Notifier | None:
    """The service manager that started this process. Raises FlightRefused for variables that mean nothing."""
    try:
        return Notifier.of(environment, os.getpid())
    except ValueError as error:
        raise FlightRefused(str(error), "start it from a service manager, or without these variables") from None


def header_of(profile: Profile, mission: MissionConfig, life: LastLife, linked: bool) -> dict[str, Any]:
    """What flies, for the black box."""
    header: dict[str, Any] = {
        "software_version": __version__, "hardware_profile_hash": profile.digest, "body": profile.body.body,
        "board": profile.board.board, "mission": mission.mission, "seed": None, "epoch": mission.epoch,
        "steps": len(mission.steps), "rates": msgspec.to_builtins(profile.board.rates), "clock": "real",
        "description": mission.description, "reset": None if life.reset is None else life.reset.value,
    }
    if linked:
        header["link"] = "outside"
    return header


def texts_of(
    profile: Profile, mission: MissionConfig, table: ChosenTable, given: Path | None
) -> dict[str, str]:
    """Body, board, mission and fault table as they are flown, for the black box; a table that was kept is no file."""
    files = {Taken.GIVEN: given, Taken.SHIPPED: find_fault_table(), Taken.KEPT: None}
    path = files[table.taken]
    faults = {} if path is None else {"faults.yaml": path.read_text(encoding="utf-8")}
    return faults | {
        "mission.yaml": msgspec.yaml.encode(mission).decode(),
        "body.yaml": msgspec.yaml.encode(profile.body).decode(),
        "board.yaml": msgspec.yaml.encode(profile.board).decode(),
    }


def _lock(state: Path, stack: ExitStack) -> None:
    """Make the state folder and hold it: two flight programs must not share what outlives them."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        held = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise FlightRefused(f"{state}: {error.strerror}", "choose another place with --state") from None
    stack.callback(os.close, held)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise FlightRefused(
            f"{state}: another flight program has this folder", "stop it, or give this one a folder of its own"
        ) from None


def _port(socket: FlightSocket | None) -> Port | None:
    return socket
