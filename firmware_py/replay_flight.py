"""Flies a recorded flight again with today's software: what it commands is held against what was commanded then.

The buses answer what they answered (``firmware_py.recorder.replay``); body, board and mission are those attached to
the recording; time is simulated. What the recording does not hold is how long the computing took: ticks that were lost
are lost again, but ticks that were late are flown as if they had been on time, and may lead elsewhere. Nor does it hold
what came over a link: a flight that had one is replayed up to the first thing that it did for its link, and one that
was told to stop up to that moment.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fdir.boot import ResetReason
from fdir.codes import Code
from fdir.fault_table import FaultTable, load_fault_table
from firmware_py.clock import NullMeter, SimClock
from firmware_py.commands import ONBOARD
from firmware_py.journal import Journal, NoJournal
from firmware_py.link_orders import LINK_COMMANDS
from firmware_py.mission import MissionConfig, load_mission, parse_epoch
from firmware_py.program import Program
from firmware_py.recorder import RecordError
from firmware_py.recorder.kept import FLIGHT_ENDING
from firmware_py.recorder.reader import Flight, read_flight
from firmware_py.recorder.replay import ReplayBuses, ReplayResult
from hal.profile import Profile, load_profile

__all__ = ["ReplayResult", "attached", "followed_link_ns", "replay_flight"]

ATTACHMENTS = ("mission.yaml", "body.yaml", "board.yaml")
FAULTS = "faults.yaml"


def attached(flight: Flight) -> tuple[Profile, MissionConfig]:
    """Body and board, and the mission, as they were attached to a recording.

    Raises:
        RecordError: they were not attached.
        ConfigError: today's software refuses them; the text names the attachment.
    """
    missing = [name for name in ATTACHMENTS if name not in flight.attachments]
    if missing:
        problem = f"has no {', '.join(missing)} attached"
        raise RecordError(flight.path, problem, "a flight is replayed with the body, board and mission it flew with")
    with TemporaryDirectory(prefix="qiki-replay-") as folder:
        for name in ATTACHMENTS:
            (Path(folder) / name).write_text(flight.attachments[name], encoding="utf-8")
        profile = load_profile(f"{folder}/body.yaml", f"{folder}/board.yaml")
        return profile, load_mission(f"{folder}/mission.yaml")


def faults_attached(flight: Flight) -> FaultTable | None:
    """The fault table that was flown; ``None`` if none was attached: today's is taken. Raises ConfigError."""
    text = flight.attachments.get(FAULTS)
    if text is None:
        return None
    with TemporaryDirectory(prefix="qiki-replay-") as folder:
        path = Path(folder) / FAULTS
        path.write_text(text, encoding="utf-8")
        return load_fault_table(path)


def reset_told(flight: Flight) -> ResetReason | None:
    """Why the computer had started, as the recording has it; ``None`` where that was not known."""
    told = flight.header.get("reset")
    return ResetReason(told) if told in tuple(ResetReason) else None


def ending_ns(flight: Flight) -> int | None:
    """Flight time at which the program was told to stop, which is in no bus; ``None`` if it never was."""
    told = (row.t_ns for row in flight.messages("/event") if row.value["code"] == FLIGHT_ENDING)
    return next(told, None)


def followed_link_ns(flight: Flight) -> int | None:
    """Flight time at which a flight first did something for its link, or waited in vain for it; ``None`` if it never
    did, or had none."""
    if flight.header.get("link") is None:
        return None
    times = [
        record.t_ns for record in flight.messages("/command")
        if record.value["source"] not in ONBOARD or record.value["name"] in LINK_COMMANDS
    ]
    times += [record.t_ns for record in flight.messages("/event") if record.value["code"] == Code.SAFE_COMMS_LOSS]
    return min(times, default=None)


def replay_flight(path: Path | str, profile: Profile | None = None, journal: Journal | None = None) -> ReplayResult:
    """Replay a black box.

    What the flight computer knows of itself (memory, disk, clock) is in no bus, so a flight that went to SAFE for that
    goes another way here. What came over a link is in no bus either: see ``ReplayResult.until_ns``.

    Args:
        path: the file.
        profile: body and board in place of the attached ones, to see what a changed limit or gain would do.
        journal: where events and commands of the replay go; by default nowhere.

    Raises:
        RecordError: not a black box, or one without bus traffic or attachments.
        ConfigError: today's software refuses the attached body, board or mission.
    """
    flight = read_flight(path)
    if flight.header.get("first_row"):
        problem = f"begins in the middle of a flight, with its row {flight.header['first_row']}"
        raise RecordError(flight.path, problem, "replay the first file of that start")
    until_ns = followed_link_ns(flight)
    ends = [time_ns for time_ns in (until_ns, ending_ns(flight)) if time_ns is not None]
    buses = ReplayBuses.of(flight, until_ns=min(ends, default=None))
    flown, mission = attached(flight)
    if profile is None:
        profile = flown
    transports: dict[str, Any] = {}
    for name, config in profile.board.buses.items():
        if name not in flight.buses:
            raise RecordError(flight.path, f"holds nothing of bus {name}", "replay it with the board that flew")
        transports[name] = getattr(buses, config.kind)(name)
    clock = SimClock(parse_epoch(mission.epoch), buses.advance)
    # A program on a real clock has its first tick some time after its clock began.
    clock.sleep_until_ns(buses.t_ns)
    program = Program(
        profile, mission, transports, clock, NullMeter(), NoJournal() if journal is None else journal,
        mission.hardware_profile_hash, faults=faults_attached(flight), reset=reset_told(flight),
    )
    program.run_tick()
    while buses.next_t_ns is not None:
        if buses.next_t_ns > program.scheduler.next_deadline_ns:
            # Ticks that were lost then are lost again: computing took that long.
            clock.charge(max(0, buses.next_t_ns - clock.now_ns()))
        program.run_tick()
    return replace(buses.finish(), until_ns=until_ns)
