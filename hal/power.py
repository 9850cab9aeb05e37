"""Power plane: bus, battery and supercapacitor as readings in SI; state of charge as a fraction.

A store that reads outside 0..1 beyond tolerance, or not at all, is "no data": never empty, never full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from drivers.samples import PowerSample, SupercapSample
from hal.manager import ManagedDevice
from hal.profile.body import PowerConfig
from hal.reading import Quality, Reading, absent

__all__ = ["BoardPowerPlane", "PowerPlane", "PowerState"]

SOC_TOLERANCE = 0.02
"""How far a computed charge may stray beyond 0..1 (sensor error) before it is no data."""


@dataclass(frozen=True, slots=True)
class PowerState:
    """Everything the energy side knows at one instant. Battery current is positive out of the battery."""

    bus_voltage_v: Reading[float]
    bus_current_a: Reading[float]
    battery_current_a: Reading[float]
    soc_battery: Reading[float]
    soc_supercap: Reading[float]
    supercap_voltage_v: Reading[float]


class PowerPlane(Protocol):
    """What modes, budget and telemetry read."""

    def state(self, now_ns: int) -> PowerState:
        """All readings as of now."""


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
