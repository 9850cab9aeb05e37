"""One run of the campaign as data: which faults, when, which seed; and as one word that repeats it.

``nozzle_off.3@12.350+dead.imu@20.000:7`` starts two faults at 12.35 s and 20 s with seed 7; ``nominal:3`` starts none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from firmware_py.cli.campaign.entries import Entry
from firmware_py.mission import FaultConfig, MissionConfig

__all__ = ["Case", "CaseError", "Injection", "mission_of", "parse_case", "scenario_text"]

NOMINAL = "nominal"
MAX_SEED = 2**32 - 1
LAST_MOMENT_S = 10_000.0


class CaseError(ValueError):
    """A case that cannot be flown: what is wrong and what is allowed."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One fault at one moment, s; kept to the millisecond."""

    fault: str
    at_s: float

    def __str__(self) -> str:
        return f"{self.fault}@{self.at_s:.3f}"


@dataclass(frozen=True, slots=True)
class Case:
    """One run. ``str`` of it is what ``--case`` takes."""

    injections: tuple[Injection, ...]
    seed: int

    def __str__(self) -> str:
        faults = "+".join(str(injection) for injection in self.injections) or NOMINAL
        return f"{faults}:{self.seed}"

    def entries(self, entries: Mapping[str, Entry]) -> tuple[Entry, ...]:
        """What the catalogue has of its faults."""
        return tuple(entries[injection.fault] for injection in self.injections)


def parse_case(text: str, entries: Mapping[str, Entry]) -> Case:
    """The case that a word describes.

    Raises:
        CaseError: not of that form, an unknown fault, a moment or a seed that cannot be.
    """
    faults, colon, seed_text = text.strip().rpartition(":")
    if not colon or not seed_text.isascii() or not seed_text.isdigit() or int(seed_text) > MAX_SEED:
        raise CaseError(f"{text!r}: a case ends with a colon and a seed, 0 to {MAX_SEED}, as nozzle_off.3@12.350:7")
    if faults == NOMINAL:
        return Case((), int(seed_text))
    injections = []
    for part in faults.split("+"):
        name, at, moment = part.partition("@")
        if not at:
            raise CaseError(f"{part!r} in {text!r}: a fault is given as name@seconds")
        if name not in entries:
            near = ", ".join(sorted(e for e in entries if e.split(".")[0] == name.split(".")[0])[:8])
            raise CaseError(f"no fault {name!r}; {f'near: {near}' if near else 'see qiki hil campaign --list'}")
        try:
            at_s = float(moment)
        except ValueError:
            raise CaseError(f"{moment!r} in {text!r} is no number of seconds") from None
        if not 0.0 <= at_s <= LAST_MOMENT_S:
            raise CaseError(f"{moment} s in {text!r}: 0 to {LAST_MOMENT_S:g} s is allowed")
        injections.append(Injection(name, round(at_s, 3)))
    return Case(tuple(injections), int(seed_text))


def mission_of(case: Case, entries: Mapping[str, Entry], base: MissionConfig) -> MissionConfig:
    """The mission with the faults of a case."""
    faults = []
    for injection in case.injections:
        entry = entries[injection.fault]
        faults.append(
            FaultConfig(entry.kind, at_s=injection.at_s, for_s=entry.for_s, parameters=dict(entry.parameters))
        )
    return msgspec.structs.replace(base, faults=tuple(faults), seed=case.seed)


def scenario_text(
    case: Case, entries: Mapping[str, Entry], base: MissionConfig, name: str, why: str
) -> str:
    """A failing case as a scenario file of its own (``qiki hil run``)."""
    mission = mission_of(case, entries, base)
    plain = msgspec.to_builtins(msgspec.structs.replace(mission, mission=name, description=why[:200]))
    for key in ("hardware_profile_hash",):
        if plain.get(key) is None:
            plain.pop(key, None)
    for fault in plain["faults"]:
        for key in [key for key, value in fault.items() if value is None]:
            del fault[key]
    for expect in plain["expect"]:
        for key in [key for key, value in expect.items() if value is None]:
            del expect[key]
    if plain["initial"].get("ambient_c") is None:
        plain["initial"].pop("ambient_c", None)
    if plain["initial"].get("orbit") is None:
        plain["initial"].pop("orbit", None)
    for step in plain["steps"]:
        if step.get("command") is None:
            step.pop("command", None)
    body: str = msgspec.yaml.encode(plain).decode()
    return f"# Kept by the fault campaign. Repeat: qiki hil campaign --case '{case}'\n{body}"
