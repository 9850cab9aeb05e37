"""What a forecast is told and what it answers: start, activity, doubts; charges, sheds and energies ahead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf, isfinite

from fdir.modes import Motion
from hal.profile.body import BatteryConfig

__all__ = [
    "NOMINAL", "PESSIMISTIC", "Activity", "Burn", "DayAhead", "Doubt", "Forecast", "ForecastRow", "Phase", "ShedSpan",
    "Start",
]

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Start:
    """Stores and heat at the beginning. Charges 0..1 with their sigmas, capacities J (``None``: as designed), deg C.

    ``temperatures_c`` is by node, as far as it is known. Raises ValueError for what is no charge, no capacity or no
    temperature.
    """

    soc_battery: float
    soc_supercap: float
    sigma_battery: float = 0.0
    sigma_supercap: float = 0.0
    temperatures_c: Mapping[str, float] = field(default_factory=dict)
    battery_j: float | None = None
    supercap_j: float | None = None

    def __post_init__(self) -> None:
        """Check all of them."""
        for name in ("soc_battery", "soc_supercap", "sigma_battery", "sigma_supercap"):
            value = getattr(self, name)
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}; 0..1 is needed")
        for name in ("battery_j", "supercap_j"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < inf:
                raise ValueError(f"{name} is {value}; a finite energy above 0 J is needed")
        for node, celsius in self.temperatures_c.items():
            if not -273.15 <= celsius <= 1000.0:
                raise ValueError(f"temperature of {node} is {celsius}; -273.15..1000 deg C is possible")


@dataclass(frozen=True, slots=True)
class Phase:
    """From ``t_s`` on: motion mode, and loads that an operator wants on or off whatever the duty says."""

    t_s: float = 0.0
    motion: Motion = Motion.IDLE
    on: frozenset[str] = NOTHING
    off: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Burn:
    """A peak that the stack pays: W, and J altogether. Raises ValueError for one that has no end."""

    t_s: float
    watts: float
    joules: float

    def __post_init__(self) -> None:
        """Check all of them."""
        if not (isfinite(self.t_s) and 0.0 < self.watts < inf and 0.0 < self.joules < inf):
            raise ValueError(f"a burn of {self.watts} W and {self.joules} J at {self.t_s} s; finite, above 0 is needed")

    @property
    def end_s(self) -> float:
        """When it is over."""
        return self.t_s + self.joules / self.watts


@dataclass(frozen=True, slots=True)
class Activity:
    """What the craft is to do. Phases by rising time, the first holds before too; by default it idles."""

    phases: tuple[Phase, ...] = (Phase(),)
    burns: tuple[Burn, ...] = ()
    dock_w: float = 0.0
    """What a dock offers all the time."""

    def __post_init__(self) -> None:
        """Raises ValueError for phases out of order, no phase, or an offer that is no power."""
        times = [phase.t_s for phase in self.phases]
        if not times or not all(map(isfinite, times)) or any(a >= b for a, b in pairwise(times)):
            raise ValueError(f"times of phases must be finite and rise, at least one: {times}")
        if not 0.0 <= self.dock_w < inf:
            raise ValueError(f"dock_w is {self.dock_w}; a finite power of at least 0 W is needed")


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is held against the plan: sigmas taken off both charges, shares of array and loads."""

    sigmas: float = 0.0
    array_share: float = 1.0
    loads_share: float = 1.0


NOMINAL = Doubt()
PESSIMISTIC = Doubt(2.0, 0.95, 1.05)


@dataclass(frozen=True, slots=True)
class ShedSpan:
    """A load that yields from ``start_s`` to ``end_s``, and why."""

    load: str
    reason: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One step: powers are those of the step that begins at ``t_s``, all else as it is then."""

    t_s: float
    soc_battery: float
    soc_supercap: float
    array_w: float
    dock_w: float
    loads_w: float
    heaters_w: float
    peaks_w: float
    battery_w: float
    """Out of the battery, negative into it."""
    supercap_w: float
    spilled_w: float
    unserved_w: float
    motion: Motion
    shed: tuple[str, ...]
    temperatures_c: tuple[float, ...]
    bus_on: bool


@dataclass(frozen=True, slots=True)
class Forecast:
    """One run. Times in s from its start, energies in J.

    ``sources_j``: array, dock, and what the stores lost of their charge (negative: gained). ``consumers_j``: loads and
    heaters by name, peaks, losses of both stores. Both sum up to the same.
    """

    hours: float
    min_soc_battery: float
    min_battery_s: float
    min_soc_supercap: float
    min_supercap_s: float
    end_soc_battery: float
    end_soc_supercap: float
    sheds: tuple[ShedSpan, ...]
    boost_s: float
    """Time with the stack at or above T_boost."""
    safe_from_s: float | None
    """When a charge falls to where SAFE begins; ``None``: never."""
    dark_from_s: float | None
    """When the battery's protection takes the loads off; ``None``: never."""
    dark_s: float
    cold_s: float
    """Time in which the battery is too cold to be charged."""
    heat_denied_j: float
    """What heaters needed and had no power for."""
    spilled_j: float
    unserved_j: float
    sources_j: Mapping[str, float]
    consumers_j: Mapping[str, float]
    rows: tuple[ForecastRow, ...] = ()

    def first_shed(self, reason: str | None = None) -> ShedSpan | None:
        """The first load that yields, for this reason or for any; ``None``: none does."""
        return next((span for span in self.sheds if reason is None or span.reason == reason), None)

    def margin_j(self, battery: BatteryConfig, battery_j: float) -> float:
        """Energy between the lowest charge and where load shedding begins; below 0 when it falls short."""
        return (self.min_soc_battery - battery.shed_soc) * battery_j


@dataclass(frozen=True, slots=True)
class DayAhead:
    """The forecast as planned and as it may turn out."""

    nominal: Forecast
    pessimistic: Forecast
    node_names: tuple[str, ...] = field(default=())
