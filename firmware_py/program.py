"""The flight program: hardware, flight software, recorder and scheduler of one craft, joined and ready to run.

The same object flies on the rig and on a board; what differs are the buses and the clock that are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from fdir.codes import Severity
from firmware_py.clock import Clock, Meter
from firmware_py.energy.computer import ComputerPort
from firmware_py.journal import Journal
from firmware_py.mission import MissionConfig, Sequencer, parse_epoch
from firmware_py.scheduler import EventCode, Member, Scheduler, TimingSummary
from firmware_py.tick import FlightSoftware
from hal.hardware import Hardware
from hal.profile import ConfigError, Profile
from hal.recovery import InlineWorker, Worker

__all__ = ["Program", "fit_window"]

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
    for window_ms in range(profile.body.propulsion.window_ms, 49, -1):
        if window_ms * rate % 1000 == 0:
            break
    else:
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

    Loads that the mission has off are not wanted from the start on.

    Raises:
        ConfigError: the board, the body or the mission cannot be flown together.
    """

    def __init__(
        self, profile: Profile, mission: MissionConfig, buses: Mapping[str, Any], clock: Clock, meter: Meter,
        journal: Journal, expected_digest: str | None = None, on_idle: Callable[[int], None] | None = None,
        more_members: Sequence[Member] = (), worker: Callable[[], Worker] = InlineWorker,
        computer: ComputerPort | None = None,
    ) -> None:
        profile = fit_window(profile)
        self.profile = profile
        self.mission = mission
        self.clock = clock
        self.journal = journal
        self.hardware = Hardware(profile, buses, worker)
        self.software = FlightSoftware(
            profile, self.hardware, Sequencer(mission.steps), parse_epoch(mission.epoch), expected_digest, journal,
            computer,
        )
        for name in mission.initial.loads_off:
            self.software.energy.unwanted(name)
        self.scheduler = Scheduler(
            profile.board.rates, (*self.software.members(), *more_members), clock, self._on_event,
            self.software.on_overrun_stop, self.software.feed_watchdog, meter, on_idle,
        )

    def run_tick(self) -> None:
        """Wait for the next deadline and run its tick.

        The bus transfers of a tick are recorded behind all of it, the slow members and the watchdog's kick included,
        and also while members are dropped: what happened when time ran short must be in the record.
        """
        self.scheduler.run_tick()
        self.software.late_ticks = self.scheduler.late_in_row
        self.journal.end_tick(self.software.now_ns)

    def run(self, until_ns: int, stop: Callable[[], bool] | None = None) -> None:
        """Fly until ``until_ns`` of flight time, or until ``stop`` answers true."""
        scheduler = self.scheduler
        while scheduler.next_deadline_ns < until_ns and (stop is None or not stop()):
            self.run_tick()

    def timing(self) -> TimingSummary:
        """Profile of members and ticks."""
        return self.scheduler.summary()

    def _on_event(self, code: str, *detail: str | int) -> None:
        severity = SEVERITY.get(EventCode(code), Severity.INFO)
        self.journal.event(self.clock.now_ns(), code, severity, " ".join(str(part) for part in detail))
