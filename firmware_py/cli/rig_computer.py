"""The flight computer of the rig: what of it a fault can reach, each as one small object.

Its processor's load, the values of ``RigHealth``, its calendar in ``ComputerClock``, its computing time in ``Load``,
the files of its recorder, and ``Away`` while the program does not run. ``Breaker`` starts a fault by its kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from firmware_py.clock import SimClock
from firmware_py.commands import CommandRecord
from firmware_py.computer_health import HealthSample
from firmware_py.recorder.flight import FlightRecorder
from hil.plant.world import World

__all__ = [
    "Away", "Breaker", "ComputerAway", "ComputerClock", "Load", "RigComputer", "RigHealth", "Tee", "refuse_writes",
]

NS = 1_000_000_000
PROCESSOR = "processor"
CORE = "core"
RISE_K = 10.0
"""P: processor over the node that it is mounted on."""
FULL = "/dev/full"
"""A file that takes no byte: the kernel itself answers that there is no room (full(4))."""


class Load:
    """Computing that takes too long: a member of the schedule whose run ends late, inside the tick."""

    def __init__(self, charge: Callable[[int], None]) -> None:
        self._charge = charge
        self._ns = self._ticks = 0

    def take(self, ms: float, ticks: int = 1) -> None:
        """From the next tick on, so many ticks take so much longer."""
        self._ns, self._ticks = round(ms * 1e6), ticks

    def step(self, _now_ns: int) -> None:
        """One tick's share."""
        if self._ticks:
            self._ticks -= 1
            self._charge(self._ns)


class RigComputer:
    """The processor of the rig: its load is as fast as it is told, and it is somewhat warmer than the core node.

    Args:
        world: where it stands.
        warmer_k: how much warmer than otherwise a fault makes it.
    """

    def __init__(self, world: World, warmer_k: Callable[[], float]) -> None:
        self._world = world
        self._warmer_k = warmer_k
        self._loads = world.power.load_names()

    def temperature_c(self) -> float | None:
        """Its own sensor; ``None`` for a body that has no node of its computer."""
        core_c = self._world.temperatures_c.get(CORE)
        return None if core_c is None else core_c + RISE_K + self._warmer_k()

    def set_share(self, share: float) -> bool:
        """Throttle the processor's load."""
        if PROCESSOR not in self._loads:
            return False
        self._world.power.set_share(PROCESSOR, share)
        return True


class RigHealth:
    """HealthPort of the rig's computer: a board with 4 GB of memory and a card with room, until a fault says else.

    Faults of one kind that overlap: the newest holds until it ends, then what was there before.
    """

    def __init__(self) -> None:
        self._values: dict[str, list[tuple[object, Any]]] = {
            "throttled": [(None, False)], "memory_free_mb": [(None, 3000.0)], "disk_free_mb": [(None, 8000.0)],
            "warmer_k": [(None, 0.0)],
        }

    def look(self) -> HealthSample:
        """See HealthPort."""
        return HealthSample(*(self._values[name][-1][1] for name in HealthSample._fields))

    def warmer_k(self) -> float:
        """How much warmer than otherwise the processor is."""
        warmer: float = self._values["warmer_k"][-1][1]
        return warmer

    def hold(self, name: str, value: Any) -> Callable[[], None]:
        """Give one field of the sample, or ``warmer_k``, a value; returns what ends that."""
        stack, key = self._values[name], object()
        stack.append((key, value))
        return lambda: stack.remove((key, value))


class ComputerClock:
    """Clock of one start of the program: flight time from 0 at its start, and a calendar that a fault can set.

    Args:
        base: the rig's clock.
        start_ns: rig time at which the program starts.
    """

    __slots__ = ("_base", "_start_ns", "_step_ns")

    def __init__(self, base: SimClock, start_ns: int = 0) -> None:
        self._base = base
        self._start_ns = start_ns
        self._step_ns = 0

    def now_ns(self) -> int:
        """See Clock."""
        return self._base.now_ns() - self._start_ns

    def sleep_until_ns(self, t_ns: int) -> int:
        """See Clock."""
        return self._base.sleep_until_ns(t_ns + self._start_ns)

    def utc_ns(self) -> int:
        """See Clock."""
        return self._base.utc_ns() + self._step_ns

    def step_utc(self, step_ns: int) -> None:
        """Set the calendar by so much; flight time stays."""
        self._step_ns += step_ns


class ComputerAway(Exception):
    """The program ended in the middle of its work. Raised out of the clock: no member and no hook may catch it."""


@dataclass(slots=True)
class Away:
    """The program does not run. ``until_ns``: rig time at which it is started again; ``None``: never.

    ``power_cut``: the supply of chips, nodes and lines is gone too, and comes back at the program's start.
    """

    until_ns: int | None
    power_cut: bool = False
    text: str = ""
    """What the rig notes of it."""

    def extend(self, until_ns: int | None, power_cut: bool) -> None:
        """Another such fault while this one lasts: the later end holds."""
        if until_ns is None or self.until_ns is None:
            self.until_ns = None
        else:
            self.until_ns = max(self.until_ns, until_ns)
        self.power_cut |= power_cut


class Tee:
    """Journal of the flight software that the rig can listen in to: what the black box gets, a second recorder gets."""

    def __init__(self, recorder: FlightRecorder) -> None:
        self._recorders: tuple[FlightRecorder, ...] = (recorder,)

    def add(self, recorder: FlightRecorder) -> None:
        """From now on this one too."""
        self._recorders += (recorder,)

    def event(self, t_ns: int, code: str, severity: str, text: str) -> None:
        """See Journal."""
        for recorder in self._recorders:
            recorder.event(t_ns, code, severity, text)

    def command(self, record: CommandRecord) -> None:
        """See Journal."""
        for recorder in self._recorders:
            recorder.command(record)

    def snapshot(self, t_ns: int, row: Mapping[str, Any]) -> None:
        """See Journal."""
        for recorder in self._recorders:
            recorder.snapshot(t_ns, row)

    def fast_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        for recorder in self._recorders:
            recorder.fast_row(t_ns, row)

    def medium_row(self, t_ns: int, row: bytes) -> None:
        """See Journal."""
        for recorder in self._recorders:
            recorder.medium_row(t_ns, row)

    def end_tick(self, t_ns: int) -> None:
        """See Journal."""
        for recorder in self._recorders:
            recorder.end_tick(t_ns)


def refuse_writes(recorder: FlightRecorder, rings: bool) -> None:
    """From now on the operating system refuses every byte of the black box, and of the crash rings if asked.

    The descriptors are put on a file that is always full: the recorder sees what it would see on a full medium. A ring
    has its room from the start, so that a full medium does not stop it; one that is broken does.
    """
    files: list[Any] = [recorder.blackbox]
    if rings:
        files += [recorder.rings.fast, recorder.rings.medium]
    full = os.open(FULL, os.O_WRONLY | os.O_CLOEXEC)
    try:
        for file in files:
            os.dup2(full, file.fileno(), inheritable=False)
    finally:
        os.close(full)


class Breaker:
    """Starts the faults of a computer that leave its program running.

    Args:
        load: its computing time.
        health: what it is asked.
        fail_medium: makes the medium of its recorder refuse, crash rings too if asked; returns what ends that.

    Attributes:
        clock: of the program's present start.
    """

    clock: ComputerClock

    def __init__(self, load: Load, health: RigHealth, fail_medium: Callable[[bool], Callable[[], None]]) -> None:
        self._load = load
        self._health = health
        self._fail_medium = fail_medium

    def start(self, kind: str, parameters: Mapping[str, Any]) -> Callable[[], None] | None:
        """Start a fault that was checked; returns what ends it, ``None`` if it has no end."""
        match kind:
            case "cpu_late":
                self._load.take(float(parameters["ms"]), int(parameters["ticks"]))
            case "cpu_hang":
                self._load.take(float(parameters["ms"]))
            case "clock_jump":
                self.clock.step_utc(round(float(parameters["s"]) * NS))
            case "throttled":
                return self._health.hold("throttled", True)
            case "cpu_hot":
                return self._health.hold("warmer_k", float(parameters["k"]))
            case "memory_low":
                return self._health.hold("memory_free_mb", float(parameters["mb"]))
            case "disk_low":
                return self._health.hold("disk_free_mb", float(parameters["mb"]))
            case "disk_full":
                return _both(self._fail_medium(False), self._health.hold("disk_free_mb", 0.0))
            case "card_dead":
                return self._fail_medium(True)
            case _:
                raise ValueError(f"no fault {kind!r} of a computer whose program goes on")
        return None


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def end() -> None:
        first()
        second()

    return end
