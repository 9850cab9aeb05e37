"""What is checked after a run, from its black box: record, modes, commands, detection and isolation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comms.dictionary import COMMANDS
from fdir.gating import CommandClass
from fdir.lifecycle import Stage
from fdir.modes import Motion
from firmware_py.cli.campaign.cases import Case, Injection
from firmware_py.cli.campaign.entries import Entry, FaultClass, Invariant, Shown
from firmware_py.cli.campaign.record import RunRecord, Told, read_run
from firmware_py.cli.campaign.rows import RowTime, row_times, rows_of
from firmware_py.cli.campaign.watch import Limits, Watch, legal
from firmware_py.cli.session import RigFlight
from firmware_py.recorder import RecordError
from firmware_py.report.figures import RIG_FAULT

__all__ = ["Findings", "judge"]

NS = 1_000_000_000
FAILURES = frozenset({"MEMBER_FAILED", "HOOK_FAILED"})
BURNS = frozenset({CommandClass.ZTT_BURN, CommandClass.FTG_BURN, CommandClass.OVERRIDE})
NEVER_EXECUTED = frozenset({"CMD_EXPIRED", "CMD_UNAUTHORIZED", "CMD_SPOOF_MISMATCH", "DECISION_ALREADY_EXECUTED"})
"""Codes with which a command must not have been carried out."""
MODE_MOVE = re.compile(r"(\w+) -> (\w+)")
BOOT_NS = 9 * NS
"""While the craft boots, what is missing is the self-test's to judge, at its time limit."""
FIRED_PULSES = 5
"""CANON 10.2: a nozzle stuck off is known by 5 of 5 pulses."""
FIRED_GOAL_S = 1.0
"""From the end of the fifth pulse."""
CLUSTER_LOSS = 2
LEAVING = frozenset({"process_kill", "power_cut"})
"""Kinds that end the program: its files are never closed."""
UNWRITTEN = frozenset({"disk_full", "card_dead"})
"""Kinds with which the black box takes nothing any more."""
NO_RINGS = frozenset({"card_dead"})
ALLOWED, REJECTED = Stage.ALLOWED.value, Stage.REJECTED.value
CARRIED_OUT = frozenset(
    stage.value for stage in (
        Stage.PUBLISH_PENDING, Stage.PUBLISHED, Stage.ACK_ACCEPTED, Stage.EFFECT_PENDING, Stage.EFFECT_CONFIRMED,
        Stage.EFFECT_PARTIAL,
    )
)
"""Stages of a command that is being carried out, or was."""
TOLD_AS_INFO = frozenset({"DEVICE_STATE", "RECOVERY_STEP"})


@dataclass(frozen=True, slots=True)
class Findings:
    """Of each fault: time from when it could be seen to the first event that tells of it, s, ``None`` without one; and
    the rows of the fault table that a fault alone tripped."""

    detected_s: tuple[float | None, ...]
    rows: tuple[RowTime, ...] = ()


def judge(
    case: Case, entries: tuple[Entry, ...], watch: Watch, flight: RigFlight, folder: Path, limits: Limits,
) -> Findings:
    """Check a finished run; breaches go to the watch."""
    end_ns = flight.clock.now_ns()
    kinds = {entry.kind for entry in entries}
    try:
        record = read_run(folder, rings=not kinds & NO_RINGS)
    except RecordError as error:
        watch.breach(Invariant.RECORDER, end_ns, str(error))
        return Findings((None,) * len(entries))
    _look_at_record(record, kinds, watch, end_ns)
    if all(entry.fault_class is not FaultClass.COMPUTER for entry in entries):
        _look_for_gaps(record.stamps, end_ns, watch, limits)
    for event in record.events:
        if event.value["code"] in FAILURES:
            watch.breach(Invariant.EXCEPTION, event.t_ns, f"{event.value['code']} {event.value['text']}")
    if not kinds & UNWRITTEN:
        _look_at_modes(record.events, watch, end_ns)
    look_at_commands(record.commands, watch)
    _look_at_isolation(entries, record.events, watch, flight)
    dues = [_due_ns(n, case, entries, watch) for n in range(len(entries))]
    told = [_told_ns(n, case, entries, record.events) for n in range(len(entries))]
    found = tuple(_seconds(due_ns, told_ns) for due_ns, told_ns in zip(dues, told, strict=True))
    if len(entries) != 1:
        return Findings(found)
    entry, injection = entries[0], case.injections[0]
    _look_at_detection(entry, case, found[0], watch, end_ns)
    _look_at_safe(entry, case, watch, end_ns)
    end = None if entry.for_s is None else round((injection.at_s + entry.for_s) * NS)
    return Findings(found, row_times(rows_of(entry), _begin_ns(entry, injection, watch), end, record.events))


def _look_at_record(record: RunRecord, kinds: set[str], watch: Watch, end_ns: int) -> None:
    wrong = list(record.damage)
    if record.unfinished and not kinds & (LEAVING | UNWRITTEN):
        wrong.append("not closed")
    if wrong:
        watch.breach(Invariant.RECORDER, end_ns, "; ".join(wrong))


def _look_for_gaps(stamps: Sequence[int], end_ns: int, watch: Watch, limits: Limits) -> None:
    before = 0
    for stamp in (*stamps, end_ns):
        if stamp - before > limits.record_gap_s * NS:
            watch.breach(Invariant.RECORD_GAP, before, f"nothing recorded for {(stamp - before) / NS:.2f} s")
            return
        before = stamp


def _look_at_modes(events: Sequence[Told], watch: Watch, end_ns: int) -> None:
    """The moves that were told form one legal path, and it leads where the machine was seen to be."""
    path, start = [Motion.BOOT.value], 1
    for event in events:
        if event.value["code"] == RIG_FAULT:
            continue
        if event.part != start:
            # Another start of the program begins with its boot.
            wrong = legal(path)
            if wrong is not None:
                watch.breach(Invariant.TRANSITION, event.t_ns, wrong)
            path, start = [Motion.BOOT.value], event.part
        if event.value["code"] != "MODE_CHANGED":
            continue
        match = MODE_MOVE.search(event.value["text"])
        if match is None:
            continue
        if match[1] != path[-1]:
            watch.breach(Invariant.TRANSITION, event.t_ns, f"{match[0]} told, but the mode was {path[-1]}")
        path.append(match[2])
    wrong = legal(path)
    if wrong is not None:
        watch.breach(Invariant.TRANSITION, end_ns, wrong)
    # The last tick's move may be told after the last look.
    if watch.motions and watch.motions[-1][1].value not in path[-2:]:
        watch.breach(Invariant.TRANSITION, end_ns, f"told {path[-1]}, seen {watch.motions[-1][1]}")


def _motion_at(watch: Watch, t_ns: int) -> Motion:
    motion = Motion.BOOT
    for since_ns, seen in watch.motions:
        if since_ns > t_ns:
            break
        motion = seen
    return motion


def look_at_commands(commands: Sequence[Told], watch: Watch) -> None:
    """Every command's stages follow the table of its life, none comes twice, and none is carried out that must not."""
    lives: dict[tuple[int, Any], list[str]] = {}
    barred: set[tuple[int, Any]] = set()
    for told in commands:
        row = told.value
        key, state = (told.part, row["number"]), row["state"]
        path = lives.setdefault(key, [])
        name = f"{row['name']} (number {row['number']})"
        if state in path:
            watch.breach(Invariant.COMMAND_LIFE, told.t_ns, f"{name} {state} twice")
        if NEVER_EXECUTED & set(row["codes"]):
            barred.add(key)
        if state in CARRIED_OUT and (key in barred or REJECTED in path):
            codes = ", ".join(row["codes"])
            watch.breach(Invariant.COMMAND_LIFE, told.t_ns, f"{name} {state} though it was refused {codes}".rstrip())
        path.append(state)
        command = COMMANDS.get(row["name"])
        burns = command is not None and command.command_class in BURNS
        if burns and state == ALLOWED and _motion_at(watch, told.t_ns) is Motion.SAFE:
            watch.breach(Invariant.BURN_IN_SAFE, told.t_ns, f"{row['name']} allowed in SAFE")


def _look_at_isolation(
    entries: tuple[Entry, ...], events: Sequence[Told], watch: Watch, flight: RigFlight
) -> None:
    software = flight.program.software
    end_ns = flight.clock.now_ns()
    clusters = [nozzle.cluster for nozzle in flight.profile.body.propulsion.nozzles]
    guilty = frozenset(n for entry in entries for n in entry.nozzles)
    for cluster in set(clusters):
        members = frozenset(n for n, name in enumerate(clusters) if name == cluster)
        if len(guilty & members) >= CLUSTER_LOSS:
            guilty |= members
    innocent = sorted(set(software.supervisor.failed) - guilty)
    if innocent:
        when = next((e for e in events if e.value["code"] == "RCS_UNAVAILABLE"
                     and f"nozzle {innocent[0]} " in e.value["text"]), None)
        text = f"nozzles {', '.join(map(str, innocent))} masked without cause"
        watch.breach(Invariant.ISOLATION, when.t_ns if when else end_ns,
                     f"{text}: {when.value['text']}" if when else text)
    if watch.bus_was_off:
        return
    blamed = frozenset(unit for entry in entries for unit in entry.units)
    for event in events:
        if event.value["code"] != "DEVICE_STATE" or ": LOST" not in event.value["text"]:
            continue
        if _unit(event) not in blamed:
            watch.breach(Invariant.ISOLATION, event.t_ns, f"{event.value['text']} without cause")


def _due_ns(index: int, case: Case, entries: tuple[Entry, ...], watch: Watch) -> int | None:
    """From when on a fault can be seen, ns; ``None``: not in this run."""
    shown = entries[index].shown
    if shown is Shown.AT_ONCE:
        return round(case.injections[index].at_s * NS)
    pulses = watch.pulses[index]
    if shown is Shown.WHEN_FIRED and len(pulses) >= FIRED_PULSES:
        return pulses[FIRED_PULSES - 1]
    return None


def _begin_ns(entry: Entry, injection: Injection, watch: Watch) -> int:
    """From when on a row of the fault table can know: the fault's start, or the nozzle's first pulse after it."""
    if entry.shown is Shown.WHEN_FIRED and watch.pulses[0]:
        return watch.pulses[0][0]
    return round(injection.at_s * NS)


def _told_ns(index: int, case: Case, entries: tuple[Entry, ...], events: Sequence[Told]) -> int | None:
    """First event that tells of a fault, ns."""
    entry = entries[index]
    if entry.shown is Shown.NEVER:
        return None
    start_ns = round(case.injections[index].at_s * NS)
    return next((event.t_ns for event in events if event.t_ns >= start_ns and _tells(event, entry)), None)


def _seconds(due_ns: int | None, told_ns: int | None) -> float | None:
    """Time to detection; 0 if it was told before it had to be seen."""
    if told_ns is None:
        return None
    return 0.0 if due_ns is None else max(0, told_ns - due_ns) / NS


def _tells(event: Told, entry: Entry) -> bool:
    code, text = event.value["code"], event.value["text"]
    if code not in entry.codes or (event.value["severity"] == "info" and code not in TOLD_AS_INFO):
        return False
    if code == "DEVICE_STATE":
        return ": OK" not in text and _unit(event) in entry.units
    return not entry.named or any(word in text for word in entry.named)


def _unit(event: Told) -> str:
    """Device or bus that an event of the hardware is about."""
    return str(event.value["text"]).partition(":")[0].removeprefix("bus ")


def _look_at_detection(entry: Entry, case: Case, found_s: float | None, watch: Watch, end_ns: int) -> None:
    if entry.shown is Shown.NEVER or entry.goal_s is None:
        return
    start_ns = round(case.injections[0].at_s * NS)
    goal_s = entry.goal_s
    if _motion_at(watch, start_ns) is Motion.BOOT:
        goal_s = max(goal_s, (BOOT_NS - start_ns) / NS)
    due_ns = start_ns
    if entry.shown is Shown.WHEN_FIRED:
        pulses, goal_s = watch.pulses[0], max(goal_s, FIRED_GOAL_S)
        if len(pulses) < FIRED_PULSES:
            return
        due_ns = pulses[FIRED_PULSES - 1]
    if end_ns - due_ns < goal_s * NS:
        return
    if found_s is None:
        watch.breach(Invariant.DETECTED, end_ns, f"{entry.id} never told; goal {goal_s:g} s")
    elif found_s > goal_s:
        watch.breach(Invariant.DETECTED, due_ns + round(found_s * NS), f"{entry.id} told after {found_s:.3f} s; "
                                                                        f"goal {goal_s:g} s")


def _look_at_safe(entry: Entry, case: Case, watch: Watch, end_ns: int) -> None:
    if entry.safe_within_s is None:
        return
    start_ns = round(case.injections[0].at_s * NS)
    due_ns = start_ns + round(entry.safe_within_s * NS)
    if _motion_at(watch, start_ns) is Motion.BOOT:
        due_ns = max(due_ns, BOOT_NS)
    if due_ns > end_ns or _motion_at(watch, start_ns) is Motion.SAFE:
        return
    if not any(motion is Motion.SAFE and start_ns <= since_ns <= due_ns for since_ns, motion in watch.motions):
        watch.breach(Invariant.SAFE_IN_TIME, due_ns, f"not in SAFE {(due_ns - start_ns) / NS:g} s after {entry.id}")
