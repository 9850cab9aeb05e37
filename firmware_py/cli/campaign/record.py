"""The whole record of one run: events and commands of every start of the program, in one row of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.ring import read_ring
from firmware_py.report.parts import later_parts

__all__ = ["RunRecord", "Told", "read_run"]

BLACKBOX = "flight.mcap"
RINGS = ("ring-fast.bin", "ring-medium.bin")


class Told(NamedTuple):
    """One row of the record: rig time in ns, number of its part from 1, and what it says."""

    t_ns: int
    part: int
    value: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run has left behind.

    Attributes:
        events: of program and rig, in the order of time.
        commands: stages of commands.
        stamps: times at which the state was recorded, ns.
        unfinished: parts that were never closed.
        damage: what could not be read, in words.
    """

    events: tuple[Told, ...]
    commands: tuple[Told, ...]
    stamps: tuple[int, ...]
    unfinished: tuple[int, ...]
    damage: tuple[str, ...]


def read_run(folder: Path, rings: bool = True) -> RunRecord:
    """Read every part of a run.

    Args:
        rings: the crash rings must be readable too.

    Raises:
        RecordError: a part cannot be read at all.
    """
    first = folder / BLACKBOX
    events: list[Told] = []
    commands: list[Told] = []
    stamps: list[int] = []
    unfinished: list[int] = []
    damage: list[str] = []
    zero_ns: int | None = None
    for part, path in enumerate((first, *later_parts(first)), start=1):
        flight = read_flight(path)
        zero_ns = flight.epoch_ns if zero_ns is None else zero_ns
        shift_ns = flight.epoch_ns - zero_ns
        if not flight.complete:
            unfinished.append(part)
        damage += [f"part {part}: {text}" for text in flight.damage]
        for record in flight.messages("/event", "/command", "/snapshot"):
            t_ns = record.t_ns + shift_ns
            if record.topic == "/snapshot":
                stamps.append(t_ns)
            else:
                (events if record.topic == "/event" else commands).append(Told(t_ns, part, record.value))
        if rings:
            for name in RINGS:
                read_ring(path.parent / name)
    events.sort(key=lambda told: told.t_ns)
    return RunRecord(tuple(events), tuple(commands), tuple(sorted(stamps)), tuple(unfinished), tuple(damage))
