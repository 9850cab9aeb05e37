"""Power plane: bus, stores, sources, loads and dock as readings in SI, and the levers that the board has on them.

A store that reads outside 0..1 beyond tolerance, or not at all, is "no data": never empty, never full. Currents are
positive out of a store, out of the panel, and into the craft.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from hal.reading import Reading, absent

__all__ = ["DockState", "GaugeState", "PanelState", "PowerPlane", "PowerState", "RailState"]


@dataclass(frozen=True, slots=True)
class PanelState:
    """The panel's charger. Currents out of the panel and into the battery; ``None`` for what it does not measure."""

    voltage_v: float | None
    current_a: float | None
    power_w: float | None
    charge_current_a: float | None
    charging: bool | None
    state: str
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GaugeState:
    """What a battery says of itself: charge 0..1, V, A positive out of it, deg C, whole capacity in C, its alarms."""

    soc: float | None
    voltage_v: float | None
    current_a: float | None
    temperature_c: float | None
    full_c: float | None
    alarms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DockState:
    """Both sides of the dock's switch; current into the craft, negative when it flows back into the dock."""

    input_v: float
    output_v: float
    current_a: float
    on: bool
    power_good: bool
    temperature_c: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RailState:
    """One rail of the distribution unit: as it was told (``None``: it does not switch), what it has, its faults."""

    on: bool | None
    voltage_v: float | None
    current_a: float | None
    faults: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PowerState:
    """Everything the energy side knows at one instant. Battery and stack currents are positive out of the store.

    ``soc_battery`` and ``soc_supercap`` are by voltage alone. ``load_current_a`` has the loads with a monitor of their
    own, ``rails`` those of the distribution unit, both by name. ``dock_current_a`` is of the monitor behind the dock's
    diode: below zero it flows back. A current beyond its monitor's range is OVER_RANGE, with a bound.
    """

    bus_voltage_v: Reading[float]
    bus_current_a: Reading[float]
    battery_current_a: Reading[float]
    soc_battery: Reading[float]
    soc_supercap: Reading[float]
    supercap_voltage_v: Reading[float]
    battery_voltage_v: Reading[float] = field(default_factory=absent)
    supercap_current_a: Reading[float] = field(default_factory=absent)
    supercap_capacitance_f: Reading[float] = field(default_factory=absent)
    supercap_esr_ohm: Reading[float] = field(default_factory=absent)
    panel: Reading[PanelState] = field(default_factory=absent)
    gauge: Reading[GaugeState] = field(default_factory=absent)
    bms: Reading[GaugeState] = field(default_factory=absent)
    dock: Reading[DockState] = field(default_factory=absent)
    dock_current_a: Reading[float] = field(default_factory=absent)
    rails: Reading[Mapping[str, RailState]] = field(default_factory=absent)
    load_current_a: Mapping[str, Reading[float]] = field(default_factory=dict)


class PowerPlane(Protocol):
    """What modes, budget and telemetry read, and the levers of the energy side.

    A lever takes the newest order, carries it out in the slots of its chip, and repeats it when it failed or the chip
    has restarted. It answers False when the board has no such lever, when the value can't be ordered (no number, out of
    range), or when its chip is not ready; in that last case the order is carried out once it is. What really happened
    shows in ``state``.
    """

    def state(self, now_ns: int) -> PowerState:
        """All readings as of now."""

    @property
    def switched(self) -> tuple[str, ...]:
        """Names of the loads that can be switched, in board order."""

    def switch(self, load: str, on: bool) -> bool:
        """Switch the rail of a load. Raises KeyError for a load that is not in ``switched``."""

    def set_panel_voltage(self, volts: float | None) -> bool:
        """Hold the panel at this voltage; ``None`` leaves it to the charger's own tracking."""

    def set_charge_limit(self, amperes: float) -> bool:
        """Most current into the battery; 0 suspends the charger."""

    def set_supercap_target(self, volts: float) -> bool:
        """Stack voltage up to which the supercapacitor is charged; the nearest that the charger can hold, not above."""

    def set_dock(self, on: bool, share: float = 1.0) -> bool:
        """Open or close the dock's switch, with this share (0..1] of its current limit."""
