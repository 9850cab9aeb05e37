"""What an energy flight is told and what it answers: craft, light, faults; rows, sheds, events and both books."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from fdir.codes import Severity
from fdir.modes import Motion
from firmware_py.cli.energy_faults import EnergyFault, check_fault
from firmware_py.cli.world_plane import SensorErrors
from firmware_py.energy.forecast_plan import Burn, ShedSpan
from firmware_py.energy.ledger import LedgerTotals
from hal.profile import BodyConfig
from hil.plant.orbit import Orbit

__all__ = [
    "EnergyEvent", "EnergyFlightResult", "EnergyPlan", "EnergyRow", "SunLaw", "SunPointed", "SunTable", "Tumbling",
    "check_plan",
]


class SunLaw(Protocol):
    """Cosine of the Sun on the cells over time."""

    def cosine(self, t_s: float) -> float:
        """-1..1."""


@dataclass(frozen=True, slots=True)
class SunPointed:
    """Always the same cosine."""

    value: float = 1.0

    def cosine(self, _t_s: float) -> float:
        """See SunLaw."""
        return self.value


@dataclass(frozen=True, slots=True)
class Tumbling:
    """All attitudes alike: the cosine runs evenly between -1 and 1, since equal bands of a sphere have equal areas."""

    period_s: float = 240.0

    def cosine(self, t_s: float) -> float:
        """See SunLaw."""
        return 1.0 - 4.0 * abs((t_s / self.period_s) % 1.0 - 0.5)


@dataclass(frozen=True, slots=True)
class SunTable:
    """A given cosine: time (s) and value, straight between."""

    points: tuple[tuple[float, float], ...]

    def cosine(self, t_s: float) -> float:
        """See SunLaw."""
        return float(np.interp(t_s, [t for t, _ in self.points], [value for _, value in self.points]))


@dataclass(frozen=True, slots=True)
class EnergyPlan:
    """What is flown. Hours as said, else SI; ``lighting`` as time (s) and share of full Sun, ``None`` as the body says.

    ``loads_off`` an operator has switched off before. ``step_s`` is the flight software's period, 0.5..2 s, and
    ``row_s`` that of the rows.
    """

    body: BodyConfig
    hours: float = 24.0
    soc_battery: float = 0.8
    soc_supercap: float = 0.7
    orbit: Orbit | None = None
    lighting: tuple[tuple[float, float], ...] = ()
    sun: SunLaw = field(default_factory=SunPointed)
    ambient_c: float | None = None
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    loads_off: frozenset[str] = frozenset()
    burns: tuple[Burn, ...] = ()
    faults: tuple[EnergyFault, ...] = ()
    errors: SensorErrors = field(default_factory=SensorErrors)
    seed: int = 1
    step_s: float = 0.5
    row_s: float = 60.0


@dataclass(frozen=True, slots=True)
class EnergyRow:
    """Means of the powers over the time before ``t_s``, all else as it is then. ``loads_w`` is without heaters.

    ``battery_w`` and ``supercap_w`` are what went out of the stores, negative into them. ``soc_*`` are true,
    ``estimate_*`` what is thought on board; ``None``: nothing is.
    """

    t_s: float
    soc_battery: float
    soc_supercap: float
    estimate_battery: float | None
    estimate_supercap: float | None
    array_w: float
    dock_w: float
    loads_w: float
    heaters_w: float
    peaks_w: float
    losses_w: float
    battery_w: float
    supercap_w: float
    spilled_w: float
    unserved_w: float
    bus_v: float
    motion: Motion
    shed: tuple[str, ...]
    temperatures_c: tuple[float, ...]
    bus_on: bool
    illumination: float


@dataclass(frozen=True, slots=True)
class EnergyEvent:
    """One event of the flight software or of the rig."""

    t_s: float
    code: str
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class EnergyFlightResult:
    """How it went. Energies J, times s. ``world_j`` is the world's ledger, ``growth_j`` what the true stores gained.

    ``on_board`` are the books since the last boot, ``None`` if the bus was off at the end. ``wake_s`` are the moments
    at which the bus came back.
    """

    rows: tuple[EnergyRow, ...]
    node_names: tuple[str, ...]
    sheds: tuple[ShedSpan, ...]
    events: tuple[EnergyEvent, ...]
    dropped_events: int
    world_j: Mapping[str, float]
    heaters_j: float
    growth_j: float
    unexplained_share: float
    on_board: LedgerTotals | None
    min_soc_battery: float
    min_battery_s: float
    min_soc_supercap: float
    min_supercap_s: float
    worst_estimate: float | None
    """Largest error of the battery's estimated charge."""
    under_voltage_s: float
    """Time with the bus on and under its least voltage."""
    longest_under_s: float
    dark_s: float
    wake_s: tuple[float, ...]
    cold_charge_j: float
    boost_s: float

    def first_safe_s(self) -> float | None:
        """Time of the first row in SAFE; ``None``: there is none."""
        return next((row.t_s for row in self.rows if row.motion is Motion.SAFE), None)

    def first_shed(self, reason: str | None = None) -> ShedSpan | None:
        """The first load that yields, for this reason or for any; ``None``: none does."""
        return next((span for span in self.sheds if reason is None or span.reason == reason), None)


def check_plan(plan: EnergyPlan) -> None:
    """Refuse what can't be flown. Raises ValueError, with what is allowed."""
    if not 0.0 < plan.hours <= 10_000.0:
        raise ValueError(f"{plan.hours} hours; above 0, up to 10000 is allowed")
    if not 0.5 <= plan.step_s <= 2.0 or not 1.0 <= plan.row_s <= 3600.0:
        raise ValueError(f"steps of {plan.step_s} s, rows of {plan.row_s} s; 0.5..2 s and 1..3600 s are allowed")
    loads = [load.name for load in plan.body.power.loads if not load.base]
    for load in sorted(plan.loads_off):
        if load not in loads:
            raise ValueError(f"{plan.body.body} can't switch off {load!r}; loads: {', '.join(loads) or 'none'}")
    for fault in plan.faults:
        check_fault(fault, plan.body)
