"""The flight program: hardware, flight software, recorder and scheduler of one craft, joined and ready to run.

The same object flies on the rig and on a board; what differs are the buses and the clock that are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import radians
from pathlib import Path
from typing import Any

import msgspec

from comms.flight_port import Port
from drivers.linux_watchdog import Device as LinuxWatchdog
from fdir.boot import ResetReason
from fdir.codes import Code, Severity
from fdir.facts import ComputerFacts
from fdir.fault_table import FaultTable
from fdir.modes import Motion
from firmware_py.clock import Clock, Meter
from firmware_py.commander import IDLE_DEADBAND_DEG
from firmware_py.computer_health import ComputerHealth
from firmware_py.energy.computer import ComputerPort
from firmware_py.event_pace import EventPace
from firmware_py.guard_watch import guard_rules_to_fly
from firmware_py.journal import Journal
from firmware_py.link_exchange import LinkExchange
from firmware_py.link_tap import LinkTap
from firmware_py.mission import MissionConfig, Sequencer, parse_epoch
from firmware_py.parameters_apply import applier
from firmware_py.perception_exchange import PerceptionExchange
from firmware_py.retained import Retained, memory_of
from firmware_py.retained_faults import ChosenTable, Taken, fault_table_to_fly
from firmware_py.scheduler import EventCode, Member, RateGroup, Scheduler, TimingSummary, in_phase
from firmware_py.sd_notify import Notifier
from firmware_py.tick import FlightSoftware
from firmware_py.watchdogs import Watchdogs
from hal.hardware import Hardware
from hal.nonvolatile import Files
from hal.profile import ConfigError, Profile, fitting_window_ms
from hal.recovery import InlineWorker, Worker

__all__ = ["RESTART_EXIT", "WIND_DOWN_NS", "Program", "fit_window"]

RESTART_EXIT = 75
"""Exit code of a program that its own core ended (EX_TEMPFAIL, sysexits.h): the service manager starts it again."""
HEALTH_PHASE = 6
LINK_PHASE = 7
WIND_DOWN_NS = 1_000_000_000
STUCK_NS = 1_000_000_000
SEVERITY = {
    EventCode.CPU_OVERRUN: Severity.WARNING, EventCode.CPU_OVERRUN_STOP: Severity.CRITICAL,
    EventCode.MEMBER_FAILED: Severity.WARNING, EventCode.WATCHDOG_STARVED: Severity.CRITICAL,
    EventCode.HOOK_FAILED: Severity.WARNING, EventCode.TICKS_LOST: Severity.WARNING,
}


def fit_window(profile: Profile) -> Profile:
    """The profile with its pulse window shortened to the longest that is a whole number of fast ticks and of ms.

    At 200 Hz and 250 ms nothing changes; at 250 Hz the window becomes 248 ms. The digest stays that of the files.

    Raises:
        ConfigError: no such window of at least 50 ms exists at this base rate.
    """
    rate = profile.board.rates.fast_hz
    window_ms = fitting_window_ms(profile.body.propulsion.window_ms, rate)
    if window_ms is None:
        raise ConfigError(
            profile.board.board, None, "rates.fast_hz",
            f"is {rate}; no pulse window of 50..{profile.body.propulsion.window_ms} ms is a whole number of its ticks",
        )
    propulsion = msgspec.structs.replace(profile.body.propulsion, window_ms=window_ms)
    return profile._replace(body=msgspec.structs.replace(profile.body, propulsion=propulsion))


class Program:
    """One flight.

    Args:
        profile: body and board.
        mission: its steps and epoch.
        buses: bus name to bus, for every bus of the board.
        clock: flight time.
        meter: stop-watch of the profile.
        journal: the recorder.
        expected_digest: hardware profile hash that must match; ``None`` takes any.
        on_idle: what to do with the time left before the next tick.
        more_members: further members of the scheduler's table, after the software's own (a rig's computing load).
        worker: who brings a hung bus back: at once on simulated buses, a thread that only waits on real ones.
        computer: the flight computer's own temperature and speed.
        faults: the fault table, checked. If none is given that of ``fault_file`` (by default the one that ships), or
            the last good one of ``files`` where that cannot be flown.
        health: the flight computer's health, looked at in the slow group.
        linux, manager: watchdogs of the computer beside those of the board (``firmware_py.watchdogs``).
        files: folder for what outlives a restart, on boards without a memory of their own.
        keeping: who waits for that folder's medium: ``hal.nonvolatile.StandingWorker`` on a real board.
        reset: why the computer started, if that is known.
        link: the flight loop's end of the port to the link; ``None``: this craft has no link.
        guard_rules: guard rules; those that ship if none are given, or if these cannot be flown.
        perception: the flight loop's end of the port to the perception; ``None``: this craft does not look around.

    Loads that the mission has off are not wanted from the start on.

    Raises:
        ConfigError: the board, the body or the mission cannot be flown together.
    """

    def __init__(
        self, profile: Profile, mission: MissionConfig, buses: Mapping[str, Any], clock: Clock, meter: Meter,
        journal: Journal, expected_digest: str | None = None, on_idle: Callable[[int], None] | None = None,
        more_members: Sequence[Member] = (), worker: Callable[[], Worker] = InlineWorker,
        computer: ComputerPort | None = None, faults: FaultTable | None = None, health: ComputerHealth | None = None,
        linux: LinuxWatchdog | None = None, manager: Notifier | None = None, files: Files | None = None,
        keeping: Callable[[], Worker] = InlineWorker, reset: ResetReason | None = None, guard_rules: Path | None = None,
        fault_file: Path | None = None, link: Port | None = None, perception: Port | None = None,
    ) -> None:
        profile = fit_window(profile)
        tap = None if link is None else LinkTap(journal, link)
        journal = journal if tap is None else tap
        self.profile = profile
        self.mission = mission
        self.clock = clock
        self.journal = journal
        self.hardware = Hardware(profile, buses, worker)
        chosen = fault_table_to_fly(fault_file, files) if faults is None else ChosenTable(faults, Taken.GIVEN)
        for text in (chosen.refusal, chosen.not_kept):
            if text:
                journal.event(0, Code.FAULT_TABLE_REFUSED, Severity.WARNING, text)
        self.software = FlightSoftware(
            profile, self.hardware, Sequencer(mission.steps), parse_epoch(mission.epoch), expected_digest, journal,
            chosen.table, guard_rules_to_fly(guard_rules), computer,
        )
        for name in mission.initial.loads_off:
            self.software.energy.unwanted(name)
        memory = memory_of(profile.board, self.hardware.devices, files, keeping)
        self.retained = self.software.retained = Retained(
            memory, journal, applier(self.software, radians(IDLE_DEADBAND_DEG)), reset
        )
        self.software.commander.parameters = self.retained.parameters
        self.watchdogs = Watchdogs(
            self.hardware.safety, self.hardware.propulsion, journal.event, linux=linux, manager=manager
        )
        self._health = health
        self._excused = False
        """The overrun stop that stands tripped in Boot."""
        self._starving_ns: int | None = None
        self._stuck = False
        members = [*self.software.members()]
        if link is not None and tap is not None:
            self.exchange = LinkExchange(self.software, link, tap)
            members.append(Member("link", self.exchange.step, RateGroup.MEDIUM, LINK_PHASE, 500, False))
        if perception is not None:
            self.eyes = PerceptionExchange(self.software, perception)
            members.append(Member("perception", self.eyes.step, RateGroup.FAST, 0, 1500, False))
        if health is not None:
            members.append(Member("computer health", self._look, RateGroup.SLOW, HEALTH_PHASE, 1000, False))
        self._pace = EventPace(self._tell)
        try:
            table = in_phase((*members, *more_members), profile.board.rates)
        except ValueError as error:
            raise ConfigError(profile.board.board, None, "rates", str(error)) from None
        self.scheduler = Scheduler(
            profile.board.rates, table, clock, self._on_event, self._overrun_stop, self.watchdogs.feed, meter, on_idle,
        )

    @property
    def restart_ordered(self) -> bool:
        """Whether a restart is ordered, by the core or for a critical member that is stuck: whoever runs the ticks
        stops, and calls ``end``."""
        return self._stuck or self.software.restart_ordered

    def run_tick(self) -> None:
        """Wait for the next deadline and run its tick.

        The bus transfers of a tick are recorded behind all of it, the slow members and the watchdog's kick included,
        and also while members are dropped: what happened when time ran short must be in the record.
        """
        self.scheduler.run_tick()
        self.watchdogs.hold(self.software.now_ns)
        self.software.late_ticks = self.scheduler.late_in_row
        self._mind_boot(self.software.now_ns)
        self._pace.step(self.software.now_ns)
        self._watch_members(self.software.now_ns)
        self.journal.end_tick(self.software.now_ns)

    def run(self, until_ns: int, stop: Callable[[], bool] | None = None) -> bool:
        """Fly until ``until_ns`` of flight time, until ``stop`` answers true, or until a restart is ordered.

        Returns whether one was: whoever owns the process then calls ``end`` and exits with RESTART_EXIT.
        """
        scheduler = self.scheduler
        self.watchdogs.start(self.clock.now_ns())
        while scheduler.next_deadline_ns < until_ns and not self.restart_ordered and (stop is None or not stop()):
            self.run_tick()
        return self.restart_ordered

    def wind_down(self) -> None:
        """A clean stop: it is noted that this start needs no excuse, for which the loop flies on a second at most; then
        the program ends."""
        self.retained.stop(self.clock.now_ns())
        until_ns = self.clock.now_ns() + WIND_DOWN_NS
        while self.retained.busy and self.scheduler.next_deadline_ns < until_ns:
            self.run_tick()
        self.end()

    def end(self) -> None:
        """The program ends by itself: valves shut, lines low, no heartbeat, and the service manager knows.

        An ordered restart is no clean stop: the boot record keeps it as a start that did not last.
        """
        now_ns = self.clock.now_ns()
        self.software.shut_valves(now_ns)
        self._pace.flush()
        self.watchdogs.close(now_ns)

    def timing(self) -> TimingSummary:
        """Profile of members and ticks."""
        return self.scheduler.summary()

    def _look(self, now_ns: int) -> None:
        if self._health is not None:
            # Should the look fail, what was true before is not known any more.
            self.software.computer = ComputerFacts()
            self.software.computer = self._health.step(now_ns)

    def _overrun_stop(self, now_ns: int) -> None:
        """20 late ticks in a row. In Boot nothing is armed yet and a slow computer has most to do: there the stop lasts
        as long as the ticks are late, for to be started anew would only bring the same again."""
        self._excused = self.software.supervisor.modes.motion is Motion.BOOT
        if self._excused:
            self.software.shut_valves(now_ns)
        else:
            self.software.on_overrun_stop(now_ns)

    def _mind_boot(self, now_ns: int) -> None:
        """Release a stop of Boot, or take it seriously when Boot ends with it."""
        booting = self.software.supervisor.modes.motion is Motion.BOOT
        if not booting:
            self.watchdogs.boot_over(now_ns)
        if not self._excused:
            return
        if self.scheduler.late_in_row == 0:
            self._excused = False
            self.scheduler.reset_overrun()
        elif not booting:
            self._excused = False
            self.software.on_overrun_stop(now_ns)

    def _watch_members(self, now_ns: int) -> None:
        """A critical member that is stuck for a second ends the program: a new start may cure it, and where there is no
        watchdog nobody else would. A craft that kept restarting stays as it is, in SAFE."""
        if not self.scheduler.members_stuck:
            self._starving_ns = None
            return
        if self._starving_ns is None:
            self._starving_ns = now_ns
        looping = Code.BOOT_LOOP in self.software.supervisor.keeper.reasons
        if not self._stuck and not looping and now_ns - self._starving_ns >= STUCK_NS:
            self._stuck = True
            self.journal.event(now_ns, Code.RESTART_ORDERED, Severity.CRITICAL, "a critical member is stuck")

    def _on_event(self, code: str, *detail: str | int) -> None:
        # By deadlines, which a replay has too, and not by when in the tick it came.
        self._pace.take(EventCode(code), detail, self.software.now_ns)

    def _tell(self, code: EventCode, text: str) -> None:
        self.journal.event(self.clock.now_ns(), code, SEVERITY.get(code, Severity.INFO), text)
