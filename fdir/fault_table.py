"""The fault table: every fault the craft knows, by what it is judged, and what is done about it.

``board_configs/faults.yaml`` is checked whole before any of it is used; a table with one bad row is refused with file,
line and row, and whoever flies keeps the table that he has. Nothing here judges: rows become monitors in
``fdir/monitors.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from enum import StrEnum, unique
from graphlib import CycleError, TopologicalSorter
from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from fdir.codes import Code, Severity
from fdir.quantities import QUANTITIES, REPORTED, Quantity
from fdir.recovery import Step
from hal.profile.board import ROLE_BUSES
from hal.profile.loader import ConfigError, Lines, load_yaml

__all__ = [
    "Condition", "FaultRow", "FaultTable", "Isolation", "Period", "RungConfig", "check_fault_table",
    "find_fault_table", "load_fault_table", "units_of",
]

BUSES = "buses"
"""Stands among a row's units for every bus of the board."""
LAST_STEPS = (Step.SAFE, Step.RESTART, Step.DEGRADE)
"""After these only one another may follow: they end the attempts at the unit itself."""
LAST_ROW = 1999
JUDGED_MS = {"fast": 5, "medium": 50, "slow": 500}
"""Time between two judgements at the reference board's rates (200, 20 and 2 Hz)."""


@unique
class Condition(StrEnum):
    """When a value is a fault."""

    ABOVE = "above"
    AT_LEAST = "at_least"
    BELOW = "below"
    AT_MOST = "at_most"
    TRUE = "true"
    RATE_ABOVE = "rate_above"
    """Changes faster than the limit, per second, up or down."""
    STUCK = "stuck"
    """Is exactly what it was when it was last judged."""
    REPORTED = "reported"


@unique
class Isolation(StrEnum):
    """What keeps the fault from doing harm at once; who does it stands in the reference."""

    NONE = "none"
    SHUT_VALVES = "shut-valves"
    BAR_BURNS = "bar-burns"
    SHUT_CLUSTER = "shut-cluster"
    MASK_NOZZLE = "mask-nozzle"
    MASK_CLUSTER = "mask-cluster"
    LEAVE_OUT = "leave-out"
    SHED = "shed"
    OPEN_LINE = "open-line"
    OPEN_DOCK = "open-dock"
    NO_CHARGE = "no-charge"
    BLOCK_HEAT = "block-heat"
    SLOW_DOWN = "slow-down"
    SILENCE = "silence"


@unique
class Period(StrEnum):
    """In which rate group a fault is judged."""

    FAST = "fast"
    MEDIUM = "medium"
    SLOW = "slow"


Milliseconds = Annotated[int, Meta(ge=0, le=86_400_000)]


class RungConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One rung: the step, and how long it has to show an effect before the next is taken."""

    step: Step
    wait_s: Annotated[float, Meta(ge=0.0, le=3600.0)] = 1.0


class FaultRow(Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table."""

    id: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]*$", max_length=40)]
    number: Annotated[int, Meta(ge=100, le=LAST_ROW)]
    """Number for the registrar: 1xx boot, 2xx sensor, 3xx actuator, 4xx comms, 5xx navigation, 6xx power, 7xx health,
    8xx security, 9xx critical. Never used again."""
    text: Annotated[str, Meta(min_length=1, max_length=160)]
    monitor: str
    code: Code
    severity: Severity
    detect_within_ms: Annotated[int, Meta(gt=0, le=86_400_000)]
    """From the first bad value to the event."""
    scenario: str
    """Flight that proves it."""
    condition: Condition = Condition.TRUE
    limit: float | str | None = None
    """A number in the quantity's unit, or ``body.<limit>``."""
    hysteresis: Annotated[float, Meta(ge=0.0)] = 0.0
    units: tuple[str, ...] = ()
    """Roles of devices, or ``buses``: one fault for each that the board has."""
    unit: str = ""
    """Role of the device whose fault it is, for a quantity of the whole craft: what the steps are for."""
    period: Period = Period.FAST
    persist_ms: Milliseconds = 0
    clear_ms: Milliseconds = 1000
    latched: bool = False
    """Stands until an operator clears it."""
    isolation: tuple[Isolation, ...] = ()
    recovery: tuple[RungConfig, ...] = ()
    after: tuple[str, ...] = ()
    """Faults that explain this one: while one of them stands, this one is not judged."""


class FaultFile(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    schema_version: Literal[1]
    faults: Annotated[tuple[FaultRow, ...], Meta(min_length=1, max_length=500)]


class FaultTable(NamedTuple):
    """A checked table."""

    rows: tuple[FaultRow, ...]
    digest: str
    """``sha256:`` and 64 hex digits of the file."""

    def row(self, fault: str) -> FaultRow:
        """The row of that id. Raises KeyError."""
        for row in self.rows:
            if row.id == fault:
                return row
        raise KeyError(fault)


def find_fault_table() -> Path:
    """The table that ships with the project."""
    return Path(str(resources.files("board_configs") / "faults.yaml"))


def load_fault_table(path: Path | None = None, scenarios: Collection[str] | None = None) -> FaultTable:
    """Load and check a table; the one that ships if no path is given.

    Args:
        path: file.
        scenarios: names of the flights there are; ``None``: they are not looked up.

    Raises:
        ConfigError: names file, line and row, and what is allowed.
    """
    path = find_fault_table() if path is None else path
    file, lines = load_yaml(path, FaultFile)
    check_fault_table(file.faults, lines, scenarios)
    return FaultTable(file.faults, "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())


def check_fault_table(rows: tuple[FaultRow, ...], lines: Lines, scenarios: Collection[str] | None) -> None:
    """Refuse what the schema alone cannot. Raises ConfigError at the first row that is wrong."""
    seen: dict[str, int] = {}
    numbers: dict[int, str] = {}
    for index, row in enumerate(rows):
        if row.id in seen:
            raise _refusal(lines, index, row, "id", f"given twice, first as row {seen[row.id]}")
        if row.number in numbers:
            raise _refusal(lines, index, row, "number", f"{row.number} is that of {numbers[row.number]}")
        seen[row.id] = index
        numbers[row.number] = row.id
        for key, why in _problems(row):
            raise _refusal(lines, index, row, key, why)
        if scenarios is not None and row.scenario not in scenarios:
            raise _refusal(lines, index, row, "scenario", f"there is no scenario {row.scenario!r}")
    for name in REQUIRED:
        if name not in seen or rows[seen[name]].monitor != REPORTED:
            raise lines.error(["faults"], f"fault {name} is missing, with monitor {REPORTED}: its detector tells of it")
        row = rows[seen[name]]
        if row.units or row.unit:
            key = "units" if row.units else "unit"
            raise _refusal(lines, seen[name], row, key, "its detector knows it by its id alone; no unit is allowed")
        steps = [rung.step for rung in row.recovery]
        if name in LEAD_TO_SAFE and steps[:1] != [Step.SAFE]:
            raise _refusal(lines, seen[name], row, "recovery", "must begin with safe")
    for index, row in enumerate(rows):
        for other in row.after:
            if other not in seen:
                raise _refusal(lines, index, row, "after", f"there is no fault {other!r}")
    try:
        TopologicalSorter({row.id: row.after for row in rows}).prepare()
    except CycleError as error:
        # Told the other way round: each before the next.
        circle = error.args[1][::-1]
        index = seen[circle[0]]
        raise _refusal(lines, index, rows[index], "after", "goes round: " + " after ".join(circle)) from None


def _refusal(lines: Lines, index: int, row: FaultRow, key: str, why: str) -> ConfigError:
    return lines.error(["faults", index, key], f"fault {row.id}: {why}")


def _problems(row: FaultRow) -> list[tuple[str, str]]:
    """Keys of a row that cannot be, and why."""
    quantity = QUANTITIES.get(row.monitor)
    if quantity is None:
        return [("monitor", f"there is no monitor {row.monitor!r}; monitors: {', '.join(QUANTITIES)}")]
    return [
        *_condition_problems(row, quantity), *_limit_problems(row, quantity), *_unit_problems(row, quantity),
        *_time_problems(row), *_ladder_problems(row),
    ]


def _condition_problems(row: FaultRow, quantity: Quantity) -> list[tuple[str, str]]:
    reported = quantity.name == REPORTED
    if reported != (row.condition is Condition.REPORTED):
        return [("condition", f"{REPORTED} goes with monitor {REPORTED}, and only with it")]
    if not reported and quantity.yes_or_no != (row.condition is Condition.TRUE):
        allowed = "true" if quantity.yes_or_no else "above, at_least, below, at_most, rate_above, stuck"
        return [("condition", f"{row.condition} has no meaning for {quantity.name}; allowed: {allowed}")]
    return []


REQUIRED = ("nozzle-stuck-off", "nozzle-stuck-on", "cluster-lost", "overrun-stop", "boot-loop", "command-loss")
"""Faults that detectors of other rooms report by name: every table has them."""
LEAD_TO_SAFE = ("overrun-stop", "boot-loop", "command-loss")
"""Of these, those against which nothing but SAFE helps."""
UNLIMITED = frozenset({Condition.TRUE, Condition.STUCK, Condition.REPORTED})


def _limit_problems(row: FaultRow, quantity: Quantity) -> list[tuple[str, str]]:
    limit = row.limit
    if row.condition in UNLIMITED:
        if limit is not None or row.hysteresis:
            return [("limit", f"{row.condition} takes neither limit nor hysteresis")]
        return []
    if limit is None:
        return [("limit", f"is missing; {quantity.low:g} .. {quantity.high:g} {quantity.unit} is allowed")]
    if not isfinite(row.hysteresis):
        return [("hysteresis", f"is {row.hysteresis:g}; a number is allowed")]
    if isinstance(limit, str):
        allowed = [f"body.{name}" for name in quantity.of_body]
        if limit not in allowed:
            return [("limit", f"is {limit!r}; allowed: a number{''.join(f', {name}' for name in allowed)}")]
        return []
    if not (isfinite(limit) and quantity.low <= limit <= quantity.high):
        return [("limit", f"is {limit:g}; {quantity.low:g} .. {quantity.high:g} {quantity.unit} is allowed")]
    return _reach_problems(row, quantity, limit)


def _reach_problems(row: FaultRow, quantity: Quantity, limit: float) -> list[tuple[str, str]]:
    """Limits that are never passed, or always, and a way back that there is not."""
    low, high = quantity.low, quantity.high
    falling = row.condition in (Condition.BELOW, Condition.AT_MOST)
    never = {
        Condition.ABOVE: limit >= high, Condition.BELOW: limit <= low,
        Condition.AT_LEAST: limit <= low < high, Condition.AT_MOST: limit >= high,
    }
    if never.get(row.condition, False):
        return [("limit", f"{row.condition} {limit:g} is never reached, or always, between {low:g} and {high:g}")]
    back = limit + row.hysteresis if falling else limit - row.hysteresis
    if not low <= back <= high:
        return [("hysteresis", f"is {row.hysteresis:g}; the quantity cannot come back as far as {back:g}")]
    return []


def _unit_problems(row: FaultRow, quantity: Quantity) -> list[tuple[str, str]]:
    may_have = quantity.per_unit or quantity.name == REPORTED
    if row.units and not may_have:
        return [("units", f"{quantity.name} is one for the whole craft")]
    if quantity.per_unit and not row.units:
        return [("units", f"{quantity.name} needs the roles of devices, or {BUSES}")]
    if row.unit and (row.units or row.unit not in ROLE_BUSES):
        return [("unit", f"is {row.unit!r}; a role, and no units beside it: {', '.join(ROLE_BUSES)}")]
    for unit in row.units:
        if unit != BUSES and unit not in ROLE_BUSES:
            return [("units", f"there is no role {unit!r}; roles: {', '.join(ROLE_BUSES)}, and {BUSES}")]
    return []


def _time_problems(row: FaultRow) -> list[tuple[str, str]]:
    least = row.persist_ms + JUDGED_MS[row.period]
    if row.condition is not Condition.REPORTED and row.detect_within_ms < least:
        why = f"is {row.detect_within_ms}; it persists {row.persist_ms} ms and is judged {row.period}: from {least} on"
        return [("detect_within_ms", why)]
    return []


def _ladder_problems(row: FaultRow) -> list[tuple[str, str]]:
    steps = [rung.step for rung in row.recovery]
    if len(set(steps)) != len(steps):
        return [("recovery", "a step is given twice: a ladder does not go round")]
    ended = False
    for step in steps:
        last = step in LAST_STEPS
        if ended and not last:
            return [("recovery", f"{step} cannot follow {', '.join(LAST_STEPS)}")]
        if not last and not row.units and not row.unit:
            return [("recovery", f"{step} needs a unit")]
        ended = ended or last
    return []


def units_of(row: FaultRow, devices: Mapping[str, tuple[str, ...]], buses: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the devices (by role) and buses (``bus <name>``) that a row is for, in the board's order."""
    names: list[str] = []
    for unit in row.units:
        names += [f"bus {bus}" for bus in buses] if unit == BUSES else devices.get(unit, ())
    return tuple(names)
