"""Missions and scenarios: one YAML file with a timeline of commands, faults of the rig, and what must come true.

The flight software reads ``steps`` and gives the commands; the rig reads ``initial``, ``surroundings`` and
``faults``; the report and the tests read ``expect``. A scenario is a mission with faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum, unique
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from comms.dictionary import CommandRefused
from fdir.modes import Motion
from firmware_py.commands import understand
from firmware_py.mission_surroundings import SurroundingsConfig, check_surroundings
from hal.profile import ConfigError, load_yaml
from hal.profile.loader import check_finite

__all__ = [
    "ATTACKS", "ExpectConfig", "FaultConfig", "GroundOrderConfig", "InitialConfig", "LinkConfig", "MissionConfig",
    "OrbitConfig", "Sequencer", "StepConfig", "StepOutcome", "StepRecord", "find_mission", "load_mission",
    "parse_epoch",
]

Vec3 = tuple[float, float, float]
NonNegative = Annotated[float, Meta(ge=0.0, le=1e7)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
NS = 1_000_000_000
ATTACKS = ("replay", "forge", "flood", "handshakes")
"""What somebody near the line may do: send again what was heard, bent copies of it, or rubbish; ask to connect."""


class OrbitConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Circular orbit about the Earth, for its shadow: altitude, angle of the Sun over its plane, place at the start.

    ``phase_deg`` counts from noon, so that 180 is the middle of the night.
    """

    altitude_km: Annotated[float, Meta(ge=150.0, le=50_000.0)]
    beta_deg: Annotated[float, Meta(ge=-90.0, le=90.0)] = 0.0
    phase_deg: Annotated[float, Meta(ge=-360.0, le=360.0)] = 0.0


class InitialConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where and how the craft starts on the rig. Rates in deg/s, body frame; attitude as roll, pitch, yaw in deg."""

    rate_deg_s: Vec3 = (0.0, 0.0, 0.0)
    attitude_deg: Vec3 = (0.0, 0.0, 0.0)
    position_m: Vec3 = (0.0, 0.0, 0.0)
    velocity_m_s: Vec3 = (0.0, 0.0, 0.0)
    soc_battery: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.8
    soc_supercap: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.7
    temperatures_c: dict[str, Annotated[float, Meta(ge=-120.0, le=160.0)]] = field(default_factory=dict)
    loads_off: tuple[str, ...] = ()
    """Electrical loads of the body that are switched off."""
    cold_start: bool = False
    """Nodes start as cold as the body says. Otherwise those with a heater, and what they share their heat with, start
    as warm as the heaters have kept them before."""
    ambient_c: Annotated[float, Meta(ge=-120.0, le=160.0)] | None = None
    """Temperature around the craft; the body's own if not given."""
    orbit: OrbitConfig | None = None
    """Whose shadow the craft flies through; always in sunlight if not given."""
    lighting: tuple[tuple[NonNegative, Fraction], ...] = ()
    """Lamps of a bench: seconds from the start and share of full Sun, straight between; the last holds on."""


class StepConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One step: a command (or none), what to wait for, how long to stay, and when to give up."""

    name: Annotated[str, Meta(min_length=1, max_length=64)]
    command: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    wait_for: str = "done"
    """``done`` (the guidance law settled), ``nothing``, or the name of a motion mode."""
    stay_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 0.0
    timeout_s: Annotated[float, Meta(gt=0.0, le=86_400.0)] = 120.0


class FaultConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One fault of the rig: when, what, and its parameters (docs/guide/write-a-scenario.md)."""

    kind: str
    at_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] | None = None
    after_step: str | None = None
    delay_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 0.0
    for_s: Annotated[float, Meta(gt=0.0, le=86_400.0)] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


class GroundOrderConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that the ground station of a flight does at a time: gives a command, sends a file of so many bytes, or
    somebody near the line attacks it (docs/guide/write-a-scenario.md)."""

    at_s: Annotated[float, Meta(ge=0.0, le=86_400.0)]
    command: str | None = None
    arguments: dict[str, Any] = field(default_factory=dict)
    confirmed: bool = False
    priority: Literal["normal", "urgent", "emergency"] = "normal"
    """What is urgent does not wait for the verdict on what was asked before."""
    upload: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$", max_length=48)] | None = None
    upload_bytes: Annotated[int, Meta(ge=0, le=1_000_000)] = 1000
    attack: str | None = None
    for_s: Annotated[float, Meta(gt=0.0, le=3600.0)] = 1.0


class LinkConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A ground station that talks to the craft over a simulated line. No contacts given: the line is always there."""

    modem: Annotated[str, Meta(min_length=1, max_length=48)] = "uhf_9k6"
    loss: Annotated[float, Meta(ge=0.0, le=0.9)] = 0.0
    """Share of datagrams that the line loses, in runs of ``burst`` on average."""
    burst: Annotated[float, Meta(ge=1.0, le=1000.0)] = 3.0
    delay_s: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.01
    contacts: tuple[tuple[NonNegative, NonNegative], ...] = ()
    role: Literal["viewer", "controller", "engineer", "safety"] = "safety"
    """Role of the station's key."""
    ground: tuple[GroundOrderConfig, ...] = ()


class ExpectConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that must come true.

    ``figure`` names a figure of the flight (docs/guide/write-a-scenario.md); ``below``, ``above`` or ``equals`` say
    what is allowed; ``last_s`` restricts it to the end of the flight, ``step`` to one step.
    """

    figure: str
    below: float | None = None
    above: float | None = None
    equals: float | str | bool | None = None
    last_s: Annotated[float, Meta(gt=0.0)] | None = None
    step: str | None = None
    code: str | None = None


class MissionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One mission or scenario file."""

    schema_version: Literal[1]
    mission: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$", max_length=48)]
    description: str
    body: str
    board: str
    epoch: str
    steps: Annotated[tuple[StepConfig, ...], Meta(min_length=1)]
    hardware_profile_hash: Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """Body and board that the mission was made for; another one boots into SAFE. Not given: any."""
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1
    duration_s: Annotated[float, Meta(gt=0.0, le=604_800.0)] = 600.0
    initial: InitialConfig = InitialConfig()
    faults: tuple[FaultConfig, ...] = ()
    expect: tuple[ExpectConfig, ...] = ()
    link: LinkConfig | None = None
    """Who talks to the craft; nobody if not given."""
    surroundings: SurroundingsConfig | None = None
    """What is around the craft on the rig; nothing if not given."""


def find_mission(name: str) -> Path:
    """Path of a mission: a file path, or the bare name of a scenario that ships with the project."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") or path.exists():
        return path
    shipped = Path(str(resources.files("hil") / "scenarios"))
    candidate = shipped / f"{name}.yaml"
    if not candidate.exists():
        known = ", ".join(sorted(p.stem for p in shipped.glob("*.yaml")))
        raise ConfigError(name, None, "", f"no such file, and no shipped mission of that name (shipped: {known})")
    return candidate


def parse_epoch(text: str) -> int:
    """UTC text (RFC 3339 with Z), 1970 to 2199, as ns since 1970. Raises ValueError."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; end it with Z")
    if not 1970 <= moment.year < 2200:
        raise ValueError("years 1970 to 2199 are allowed")
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1e6) * 1000


def load_mission(name: str) -> MissionConfig:
    """Load and check a mission by path or shipped name; every refusal names file, line and key."""
    mission, lines = load_yaml(find_mission(name), MissionConfig)
    check_finite(mission, lines)
    for key, values, limit, unit in (
        ("rate_deg_s", mission.initial.rate_deg_s, 720.0, "deg/s"),
        ("position_m", mission.initial.position_m, 1e6, "m"),
        ("velocity_m_s", mission.initial.velocity_m_s, 1e4, "m/s"),
    ):
        if max(abs(value) for value in values) > limit:
            raise lines.error(["initial", key], f"-{limit:g}..{limit:g} {unit} is allowed")
    if mission.surroundings is not None:
        check_surroundings(mission.surroundings, lines)
    times = [t for t, _ in mission.initial.lighting]
    if times != sorted(set(times)):
        raise lines.error(["initial", "lighting"], "times must rise")
    if mission.initial.lighting and mission.initial.orbit is not None:
        raise lines.error(["initial", "lighting"], "give either orbit or lighting")
    try:
        parse_epoch(mission.epoch)
    except ValueError as error:
        raise lines.error(["epoch"], f"not a UTC time like 2026-06-21T12:00:00Z: {error}") from None
    names: list[str] = []
    for index, step in enumerate(mission.steps):
        path: list[str | int] = ["steps", index]
        if step.name in names:
            raise lines.error([*path, "name"], f"the step {step.name!r} is given twice")
        names.append(step.name)
        if step.wait_for not in ("done", "nothing") and step.wait_for not in tuple(Motion):
            allowed = ", ".join(["done", "nothing", *Motion])
            raise lines.error([*path, "wait_for"], f"is {step.wait_for!r}; allowed: {allowed}")
        if step.command is not None:
            try:
                understand(step.command, step.arguments)
            except CommandRefused as error:
                raise lines.error([*path, "command"], str(error)) from None
        elif step.arguments:
            raise lines.error([*path, "arguments"], "given without a command")
    for index, fault in enumerate(mission.faults):
        path = ["faults", index]
        if (fault.at_s is None) == (fault.after_step is None):
            raise lines.error(path, "give either at_s or after_step")
        if fault.after_step is not None and fault.after_step not in names:
            raise lines.error([*path, "after_step"], f"no step {fault.after_step!r}; steps: {', '.join(names)}")
    for index, asked in enumerate(mission.link.ground if mission.link is not None else ()):
        path = ["link", "ground", index]
        if sum(part is not None for part in (asked.command, asked.upload, asked.attack)) != 1:
            raise lines.error(path, "give one of command, upload, attack")
        if asked.attack is not None and asked.attack not in ATTACKS:
            raise lines.error([*path, "attack"], f"is {asked.attack!r}; allowed: {', '.join(ATTACKS)}")
        if asked.command is not None:
            try:
                understand(asked.command, asked.arguments)
            except CommandRefused as error:
                raise lines.error([*path, "command"], str(error)) from None
    if mission.link is not None and any(begin >= end for begin, end in mission.link.contacts):
        raise lines.error(["link", "contacts"], "each must end after it begins")
    for index, expect in enumerate(mission.expect):
        path = ["expect", index]
        if expect.below is None and expect.above is None and expect.equals is None:
            raise lines.error(path, "give at least one of below, above, equals")
        if expect.step is not None and expect.step not in names:
            raise lines.error([*path, "step"], f"no step {expect.step!r}; steps: {', '.join(names)}")
    return mission


@unique
class StepOutcome(StrEnum):
    """How a step ended."""

    DONE = "done"
    TIMEOUT = "timeout"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One finished step."""

    name: str
    start_ns: int
    end_ns: int
    outcome: StepOutcome
    detail: str


class Sequencer:
    """Flies the steps one after another: gives the command, waits, stays, goes on. Owned by the medium rate group."""

    __slots__ = ("_given", "_index", "_reached_ns", "_start_ns", "_steps", "records")

    def __init__(self, steps: Sequence[StepConfig]) -> None:
        self._steps = tuple(steps)
        self._index = 0
        self._start_ns = 0
        self._given = False
        self._reached_ns: int | None = None
        self.records: list[StepRecord] = []

    @property
    def current(self) -> StepConfig | None:
        """The step being flown; ``None`` after the last."""
        return self._steps[self._index] if self._index < len(self._steps) else None

    @property
    def finished(self) -> bool:
        """Whether every step has ended."""
        return self._index >= len(self._steps)

    @property
    def position(self) -> tuple[int, int]:
        """Number of the step being flown, from 0, and how many there are."""
        return self._index, len(self._steps)

    def to_give(self, now_ns: int) -> StepConfig | None:
        """The step whose command is to be given now, at most once a step."""
        step = self.current
        if step is None or self._given:
            return None
        self._given = True
        self._start_ns = now_ns
        self._reached_ns = None
        return step

    def refused(self, now_ns: int, why: str) -> StepRecord:
        """The current step's command was refused; the step ends."""
        return self._end(now_ns, StepOutcome.REFUSED, why)

    def watch(self, now_ns: int, done: bool, motion: Motion) -> StepRecord | None:
        """Follow the current step; returns its record when it ends."""
        step = self.current
        if step is None or not self._given:
            return None
        if self._reached_ns is None and (step.wait_for == "nothing" or (step.wait_for == "done" and done)
                                         or step.wait_for == motion):
            self._reached_ns = now_ns
        if self._reached_ns is not None and now_ns - self._reached_ns >= step.stay_s * NS:
            return self._end(now_ns, StepOutcome.DONE, "")
        if self._reached_ns is None and now_ns - self._start_ns >= step.timeout_s * NS:
            return self._end(now_ns, StepOutcome.TIMEOUT, f"not {step.wait_for} after {step.timeout_s:g} s")
        return None

    def _end(self, now_ns: int, outcome: StepOutcome, detail: str) -> StepRecord:
        record = StepRecord(self._steps[self._index].name, self._start_ns, now_ns, outcome, detail)
        self.records.append(record)
        self._index += 1
        self._given = False
        return record
