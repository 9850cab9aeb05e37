"""Power plane: bus, stores, sources, loads and dock as readings in SI, and the levers that the board has on them.

A store that reads outside 0..1 beyond tolerance, or not at all, is "no data": never empty, never full. Currents are
positive out of a store, out of the panel, and into the craft.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from drivers.samples import PowerSample, SupercapSample
from hal.manager import ManagedDevice
from hal.profile.body import PowerConfig
from hal.reading import Quality, Reading, absent

__all__ = ["BoardPowerPlane", "DockState", "GaugeState", "PanelState", "PowerPlane", "PowerState", "RailState"]

SOC_TOLERANCE = 0.02
"""How far a computed charge may stray beyond 0..1 (sensor error) before it is no data."""


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
    diode: below zero it flows back.
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

    A lever takes the newest order and carries it out in the slots of its chip; it answers whether the order was taken:
    False when the board has no such lever, or its chip is not ready. What really happened shows in ``state``.
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


class BoardPowerPlane:
    """Power plane over two INA228-class monitors and a supercapacitor charger."""

    def __init__(
        self,
        config: PowerConfig,
        bus: ManagedDevice[PowerSample] | None,
        battery: ManagedDevice[PowerSample] | None,
        supercap: tuple[ManagedDevice[SupercapSample], float] | None,
    ) -> None:
        self._config = config
        self._bus = bus
        self._battery = battery
        self._supercap = supercap

    def state(self, now_ns: int) -> PowerState:
        """See PowerPlane."""
        bus = self._bus.reading(now_ns) if self._bus is not None else absent()
        battery = self._battery.reading(now_ns) if self._battery is not None else absent()
        voltage: Reading[float] = absent()
        stack: Reading[float] = absent()
        soc_cap: Reading[float] = absent()
        bus_current = _map(bus, None if bus.value is None else bus.value.current_a)
        bus_voltage = _map(bus, None if bus.value is None else bus.value.voltage_v)
        voltage = _map(battery, None if battery.value is None else battery.value.voltage_v)
        battery_current = _map(battery, None if battery.value is None else battery.value.current_a)
        levels = self._config.bus
        span = levels.full_v - levels.empty_v
        soc = None if voltage.value is None else (voltage.value - levels.empty_v) / span
        if self._supercap is not None:
            device, full_v = self._supercap
            reading = device.reading(now_ns)
            stack = _map(reading, None if reading.value is None else reading.value.stack_voltage_v)
            # Energy goes with the square of the voltage.
            soc_cap = _fraction(stack, None if stack.value is None else (stack.value / full_v) ** 2)
        return PowerState(bus_voltage, bus_current, battery_current, _fraction(voltage, soc), soc_cap, stack)


def _map(
    source: Reading[PowerSample] | Reading[SupercapSample] | Reading[float], value: float | None
) -> Reading[float]:
    return Reading(value, source.t_ns, source.quality if value is not None else Quality.ABSENT)


def _fraction(source: Reading[float], value: float | None) -> Reading[float]:
    if value is None:
        return Reading(None, source.t_ns, Quality.ABSENT)
    if not -SOC_TOLERANCE <= value <= 1.0 + SOC_TOLERANCE:
        return Reading(None, source.t_ns, Quality.BAD)
    return Reading(min(max(value, 0.0), 1.0), source.t_ns, source.quality)
