"""A power plane straight over the world's power plant, for flights of hours without chips and buses.

It answers as the board's plane does, with the errors of its sensors: gain of the current monitors, noise, quantised
levers, a gauge that counts by its designed capacity. Everything above it is the flight software itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor, inf

from hal.power import DockState, GaugeState, PanelState, PowerState, RailState
from hal.profile import BodyConfig
from hal.reading import Quality, Reading, absent
from hil.plant.world import World

__all__ = ["SensorErrors", "WorldPowerPlane"]

PANEL_LSB_V = 0.140625
"""Step of the panel's voltage (LTC4162-L data sheet, input regulation)."""
HIGHEST_PANEL_V = 36.0
"""Highest voltage that the charger's input regulation can be told (the same data sheet)."""
CHARGE_LSB_A = 0.1
"""Step of the charge current with 10 mOhm."""
STACK_CODES = 16
LOWEST_STACK_SHARE = 637.5 / 1200.0
"""Lowest stack voltage that the charger can hold, as a share of the full one (LTC3350 data sheet)."""
TOLD_V = 1.0


@dataclass(frozen=True, slots=True)
class SensorErrors:
    """Errors of the monitors: shares of the reading, and one-sigma noises."""

    current_gain: float = 0.01
    voltage_noise_v: float = 0.01
    current_noise_a: float = 0.01
    gauge_capacity_share: float = 0.95
    """Capacity that the gauge believes in, against the real one."""
    gauge_fixed_soc: float | None = None
    """A gauge that always says this."""


class WorldPowerPlane:
    """See hal.power.PowerPlane. Readings are made at ``state``, orders take effect at once."""

    def __init__(self, world: World, errors: SensorErrors | None = None) -> None:
        self._world = world
        self._body: BodyConfig = world.config
        self._errors = SensorErrors() if errors is None else errors
        self._rng = world.stream("power plane")
        loads = [load.name for load in self._body.power.loads if not load.base]
        self._switched = tuple(loads + [heater.load for heater in self._body.thermal.heaters])
        starts = {load.name: load.starts_on for load in self._body.power.loads}
        self._rails = {name: starts.get(name, False) for name in self._switched}
        self._counted_c = 0.0
        self._gauge_soc = world.power.soc_battery
        self._t_ns = world.t_ns
        self.orders = 0

    @property
    def switched(self) -> tuple[str, ...]:
        """See PowerPlane."""
        return self._switched

    def state(self, now_ns: int) -> PowerState:
        """See PowerPlane."""
        power, errors = self._world.power, self._errors
        noise_v, noise_a = self._rng.normal(0.0, (errors.voltage_noise_v, errors.current_noise_a), (4, 2)).T.tolist()
        volts = power.bus_voltage_v
        battery_v = power.battery_voltage_v + noise_v[0]
        battery_a = power.battery_current_a * (1.0 + errors.current_gain) + noise_a[0]
        bus = self._body.power.bus
        soc = min(max((battery_v - bus.empty_v) / (bus.full_v - bus.empty_v), 0.0), 1.0)
        stack_v = max(0.0, power.supercap_voltage_v + 0.1 * noise_v[1])
        full_v = self._body.power.supercap.full_v

        def ok(value: float) -> Reading[float]:
            return Reading(value, now_ns, Quality.OK)

        return PowerState(
            ok(volts + noise_v[2]), ok(power.bus_current_a * (1.0 + errors.current_gain) + noise_a[1]), ok(battery_a),
            ok(soc), ok(min(1.0, (stack_v / full_v) ** 2)), ok(stack_v), battery_voltage_v=ok(battery_v),
            supercap_current_a=ok(power.supercap_current_a), supercap_capacitance_f=ok(power.capacitance_f),
            supercap_esr_ohm=ok(power.esr_ohm), panel=self._panel(now_ns, volts, noise_v[3]),
            gauge=self._gauge(now_ns, battery_v), bms=absent(), dock=self._dock(now_ns),
            dock_current_a=absent() if self._body.power.dock is None else ok(power.dock_current_a),
            rails=self._rail_states(now_ns, volts),
            load_current_a={
                name: ok(power.load_power_w(name) / volts if volts > TOLD_V else 0.0) for name in self._switched
            },
        )

    def _panel(self, now_ns: int, bus_v: float, noise_v: float) -> Reading[PanelState]:
        power = self._world.power
        if self._body.power.array.area_m2 <= 0.0:
            return absent()
        volts = power.panel_v + noise_v
        amperes = power.panel_a * (1.0 + 0.3 * noise_v)
        into = power.battery_in_w / bus_v if bus_v > TOLD_V else 0.0
        state = PanelState(volts, amperes, volts * amperes, into, into > 0.0, "tracking", ())
        return Reading(state, now_ns, Quality.OK)

    def _gauge(self, now_ns: int, battery_v: float) -> Reading[GaugeState]:
        """A coulomb counter with the wrong capacity: it drifts away from the truth with what flows."""
        power, errors = self._world.power, self._errors
        # A flight software that boots late asks for the state at its own time 0 first.
        dt_s, self._t_ns = max(0, now_ns - self._t_ns) * 1e-9, max(now_ns, self._t_ns)
        full_j = power.battery_capacity_j * errors.gauge_capacity_share
        self._gauge_soc = min(1.0, max(0.0, self._gauge_soc - power.battery_current_a * battery_v * dt_s / full_j))
        soc = self._gauge_soc if errors.gauge_fixed_soc is None else errors.gauge_fixed_soc
        celsius = self._world.temperatures_c.get("battery")
        state = GaugeState(round(soc, 2), battery_v, power.battery_current_a, celsius, None, ())
        return Reading(state, now_ns, Quality.OK)

    def _dock(self, now_ns: int) -> Reading[DockState]:
        power = self._world.power
        if self._body.power.dock is None:
            return absent()
        celsius = self._world.temperatures_c.get("dock_bridge")
        on = power.dock.on
        state = DockState(
            power.dock_input_v, power.dock_input_v if on else 0.0, max(0.0, power.dock_current_a), on, on, celsius, ()
        )
        return Reading(state, now_ns, Quality.OK)

    def _rail_states(self, now_ns: int, volts: float) -> Reading[Mapping[str, RailState]]:
        states = {name: RailState(on, volts if on else 0.0, None, ()) for name, on in self._rails.items()}
        return Reading(states, now_ns, Quality.OK)

    # -- levers

    def switch(self, load: str, on: bool) -> bool:
        """See PowerPlane."""
        if load not in self._rails:
            raise KeyError(load)
        self._rails[load] = on
        self._world.power.set_rail(load, on)
        self.orders += 1
        return True

    def set_panel_voltage(self, volts: float | None) -> bool:
        """See PowerPlane."""
        if self._body.power.array.area_m2 <= 0.0 or (volts is not None and not 0.0 <= volts <= HIGHEST_PANEL_V):
            return False
        self._world.power.panel_setpoint_v = None if volts is None else max(1, floor(volts / PANEL_LSB_V)) * PANEL_LSB_V
        return True

    def set_charge_limit(self, amperes: float) -> bool:
        """See PowerPlane."""
        power, most_w = self._world.power, self._body.power.battery.charge_max_w
        if not 0.0 <= amperes < inf:
            return False
        watts = floor(amperes / CHARGE_LSB_A + 1e-9) * CHARGE_LSB_A * power.battery_voltage_v
        power.battery_charge_limit_w = min(watts, most_w)
        return True

    def set_supercap_target(self, volts: float) -> bool:
        """See PowerPlane."""
        full = self._body.power.supercap.full_v
        if not 0.0 <= volts < inf:
            return False
        step = (1.0 - LOWEST_STACK_SHARE) / (STACK_CODES - 1)
        code = min(max(floor((volts / full - LOWEST_STACK_SHARE) / step + 1e-9), 0), STACK_CODES - 1)
        self._world.power.supercap_target_soc = (LOWEST_STACK_SHARE + code * step) ** 2
        return True

    def set_dock(self, on: bool, share: float = 1.0) -> bool:
        """See PowerPlane."""
        if self._body.power.dock is None or not 0.0 < share <= 1.0:
            return False
        self._world.power.set_dock(on, share)
        return True
