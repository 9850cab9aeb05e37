"""Levers on the chargers: how much the battery takes, up to where the stack is charged, and where the panel is held.

What the rule says (``power_rule.py``) the hardware does by itself; here its limits are set: nothing into a battery that
is too cold or too hot, the stack to its full charge only from a surplus, and otherwise to T_boost.
"""

from __future__ import annotations

from math import sqrt

from firmware_py.energy.mppt import Tracker, TrackerConfig, TrackerState
from firmware_py.energy.power_rule import Flows
from hal.power import PowerPlane, PowerState
from hal.profile.body import PowerConfig
from hal.reading import Quality

__all__ = ["Charging"]

SECOND = 1_000_000_000
HEADROOM_V = 0.5
"""Least voltage of the panel above the battery's: a step-down charger needs 0.2 V (LTC4162-L data sheet), and the
tracker's step."""
HIGHEST_V = 36.0
"""Highest input voltage that the charger can hold (LTC4162-L data sheet: 256 steps of 140.625 mV)."""
LOWEST_SHARE = 0.4
"""Share of the panel's open circuit below which its maximum never is."""
TARGET_STEP_SHARE = 37.5 / 1200.0
"""Step of the charger's target, of the full stack voltage: asking for one more makes it hold at least T_boost."""
SURPLUS_NS = 5 * SECOND
"""A surplus must last that long before the stack's target is raised, and be gone as long before it is lowered."""
RISING_W = 1.0


class Charging:
    """Owner of the charge levers."""

    def __init__(self, power: PowerConfig, plane: PowerPlane) -> None:
        self._power = power
        self._plane = plane
        array = power.array
        highest = min(HIGHEST_V, 1.25 * array.open_circuit_v)
        config = TrackerConfig.of(array, LOWEST_SHARE * array.open_circuit_v, highest)
        self.tracker = Tracker(config) if array.area_m2 > 0.0 else None
        self._panel_ns = -1
        self._surplus = False
        self._since_ns: int | None = None
        self.setpoint_v: float | None = None
        """Voltage that is asked of the panel; ``None``: the charger's own tracking."""
        self.charge_share = 1.0
        self.target_v = power.supercap.full_v

    @property
    def limited(self) -> bool:
        """More sunlight is there than is wanted."""
        return self.tracker is not None and self.tracker.state is TrackerState.LIMITED

    def step(
        self, now_ns: int, state: PowerState, flows: Flows | None, *, soc_battery: float | None, charge_share: float,
        top_up: bool,
    ) -> None:
        """Set every lever for now.

        Args:
            now_ns: flight clock.
            state: newest readings.
            flows: what the rule says; ``None`` while a charge is not known.
            soc_battery: estimated charge.
            charge_share: share of its charge current that heat and cold leave the battery.
            top_up: the battery may charge the stack.
        """
        self._track(now_ns, state)
        self._limit_charge(state, charge_share)
        self._aim(now_ns, flows, soc_battery, top_up)

    def _track(self, now_ns: int, state: PowerState) -> None:
        tracker, panel = self.tracker, state.panel
        if tracker is None:
            return
        volts = amperes = None
        if panel.quality is Quality.OK and panel.value is not None and panel.t_ns != self._panel_ns:
            self._panel_ns = panel.t_ns
            volts, amperes = panel.value.voltage_v, panel.value.current_a
        battery = state.battery_voltage_v
        floor = battery.value + HEADROOM_V if battery.quality is Quality.OK and battery.value is not None else None
        wanted = tracker.update(now_ns, volts, amperes, True, floor_v=floor)
        if self._plane.set_panel_voltage(wanted):
            self.setpoint_v = wanted
        else:
            # No such lever, or its chip is being set up: it tracks by itself.
            self.setpoint_v = None

    def _limit_charge(self, state: PowerState, share: float) -> None:
        self.charge_share = share
        volts = state.battery_voltage_v.value if state.battery_voltage_v.quality is Quality.OK else None
        bus = self._power.bus
        # Without a voltage that can be one of this battery's the highest stands in, so that the power is never above
        # what is allowed.
        if volts is None or not bus.empty_v <= volts <= bus.full_v:
            volts = bus.full_v
        self._plane.set_charge_limit(share * self._power.battery.charge_max_w / volts)

    def _aim(self, now_ns: int, flows: Flows | None, soc_battery: float | None, top_up: bool) -> None:
        supercap, battery = self._power.supercap, self._power.battery
        # Sunlight that nobody wants does not show in the panel's power: its voltage is off the order then.
        surplus = self.limited or (flows is not None and flows.spilled_w + flows.battery_in_w + flows.supercap_in_w > (
            flows.top_up_w + RISING_W
        ))
        if surplus is self._surplus:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = now_ns
        elif now_ns - self._since_ns >= SURPLUS_NS:
            self._surplus, self._since_ns = surplus, None
        if self._surplus and soc_battery is not None and soc_battery >= battery.charge_first_soc:
            target = supercap.full_v
        elif top_up and soc_battery is not None and soc_battery > battery.unshed_soc:
            target = supercap.full_v * (sqrt(supercap.boost_soc) + TARGET_STEP_SHARE)
        else:
            target = 0.0
        self.target_v = target
        self._plane.set_supercap_target(target)
