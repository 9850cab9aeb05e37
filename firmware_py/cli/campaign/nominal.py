"""Flights in which nothing fails, of different kinds, to count the alarms that should not have been."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from firmware_py.cli.campaign.fly import SHARED_MEMORY, in_words
from firmware_py.cli.campaign.pool import Workshop
from firmware_py.cli.session import RigFlight
from firmware_py.clock import NullMeter, RealMeter
from firmware_py.mission import MissionConfig, StepConfig
from firmware_py.recorder.reader import read_flight

__all__ = ["Alarm", "NominalFlight", "NominalOutcome", "fly_nominal", "nominal_flights", "nominal_mission"]

NS = 1_000_000_000
KINDS = ("campaign", "turns", "moves", "sun", "still")
EXPECTED = frozenset({"SAFE_ORDERED", "BRAKE_OVERRIDE"})
"""What the flights order themselves."""
BOOT_S = 10.0
LONG_S = 600.0
"""Every flight but the campaign's own mission goes on for so long."""
SHORT_S = 47.0


@dataclass(frozen=True, slots=True)
class NominalFlight:
    """One flight without faults: kind, seed and turn say all of it. Flights of one kind and seed differ by their turn
    in where they begin and what they are told to do."""

    kind: str
    seed: int
    turn: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.seed}:{self.turn}"


@dataclass(frozen=True, slots=True)
class Alarm:
    """A warning or worse that nothing had caused."""

    t_s: float
    code: str
    severity: str
    text: str


@dataclass(frozen=True, slots=True)
class NominalOutcome:
    """What one flight had to say. ``at_boot`` counts warnings before the craft was first Idle, which are no alarms:
    nothing has been measured yet."""

    flight: str
    flight_s: float
    cpu_s: float
    alarms: tuple[Alarm, ...]
    at_boot: int


def nominal_flights(hours: float, seeds: int, seed: int) -> Iterator[NominalFlight]:
    """Flights of all kinds, ``seeds`` different ones and none twice, until their time reaches ``hours``."""
    planned_s = 0.0
    number = 0
    while planned_s < hours * 3600.0 or number < seeds:
        turn = number // seeds
        kind = KINDS[(number + turn) % len(KINDS)]
        yield NominalFlight(kind, seed + number % seeds, turn)
        planned_s += LONG_S if kind != "campaign" else SHORT_S
        number += 1


def nominal_mission(flight: NominalFlight, base: MissionConfig) -> MissionConfig:
    """The mission of a flight: start and orders drawn by its seed, all within what the craft is made for."""
    rng = np.random.default_rng([flight.seed, KINDS.index(flight.kind), flight.turn])

    def drawn(low: float, high: float) -> float:
        return round(float(rng.uniform(low, high)), 3)

    def direction() -> list[float]:
        vector = rng.normal(size=3)
        return [round(float(x), 6) for x in vector / np.linalg.norm(vector)]

    rate = [drawn(-3.0, 3.0) for _ in range(3)]
    initial = msgspec.structs.replace(
        base.initial, rate_deg_s=(rate[0], rate[1], rate[2]),
        attitude_deg=(drawn(-180, 180), drawn(-80, 80), drawn(-180, 180)),
        soc_battery=drawn(0.5, 0.95), soc_supercap=drawn(0.65, 0.95),
    )
    if flight.kind == "campaign":
        return msgspec.structs.replace(base, initial=initial, seed=flight.seed)
    steps = [
        StepConfig("boot", wait_for="Idle", timeout_s=15.0), StepConfig("detumble", command="detumble", timeout_s=60.0),
        *_orders(flight.kind, drawn, direction),
    ]
    return msgspec.structs.replace(
        base, mission=f"nominal-{flight.kind}", initial=initial, seed=flight.seed, duration_s=LONG_S,
        steps=tuple(steps), expect=(),
    )


def _orders(
    kind: str, drawn: Callable[[float, float], float], direction: Callable[[], list[float]]
) -> Iterator[StepConfig]:
    if kind == "turns":
        for n in range(8):
            yield StepConfig(f"turn-{n}", "slew", {"axis": direction(), "angle_deg": drawn(10.0, 90.0)},
                             timeout_s=120.0, stay_s=drawn(0.0, 10.0))
    elif kind == "moves":
        for n in range(3):
            vector = [round(drawn(1.0, 8.0) * x, 3) for x in direction()]
            yield StepConfig(f"move-{n}", "translate", {"vector_m": vector, "frame": "inertial"}, timeout_s=90.0,
                             stay_s=2.0)
            yield StepConfig(f"hold-{n}", "hold", timeout_s=60.0, stay_s=drawn(5.0, 30.0))
    elif kind == "sun":
        yield StepConfig("sun", "sun_track", timeout_s=400.0, stay_s=60.0)
    else:
        yield StepConfig("hold", "hold", timeout_s=60.0, stay_s=120.0)
        yield StepConfig("idle", "idle", wait_for="nothing", stay_s=300.0)


def fly_nominal(workshop: Workshop, flight: NominalFlight) -> NominalOutcome:
    """Fly it and list every warning and worse after the boot."""
    mission = nominal_mission(flight, workshop.mission)
    meter = RealMeter()
    start_ns = meter.cpu_ns()
    scratch = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=scratch) as folder:
        rig_flight = RigFlight(mission, workshop.profile, Path(folder) / "f", flight.seed, meter=NullMeter())
        rig_flight.not_before_ns = 0 if flight.kind == "campaign" else round(LONG_S * NS)
        alarms, at_boot = [], 0
        try:
            result = rig_flight.run()
        except Exception as error:  # That anything has escaped is the worst alarm.
            flight_s = rig_flight.clock.now_ns() / NS
            alarm = Alarm(flight_s, "EXCEPTION", "critical", in_words(error))
            return NominalOutcome(str(flight), flight_s, (meter.cpu_ns() - start_ns) / NS, (alarm,), 0)
        booted = False
        for t_ns, _, row in read_flight(result.folder / "flight.mcap").messages("/event"):
            booted = booted or (row["code"] == "MODE_CHANGED" and row["text"].startswith("Boot"))
            if row["severity"] == "info" or row["code"] in EXPECTED:
                continue
            if booted or t_ns > BOOT_S * NS:
                alarms.append(Alarm(t_ns / NS, row["code"], row["severity"], row["text"]))
            else:
                at_boot += 1
    return NominalOutcome(str(flight), result.flight_s, (meter.cpu_ns() - start_ns) / NS, tuple(alarms), at_boot)
