"""What can be read of the power plant: flows of the last step, states of the stores, voltages and currents.

The fields are set by the rule in :mod:`hil.plant.power`.
"""

from __future__ import annotations

from hal.profile import BodyConfig
from hil.plant.power_levers import PowerLevers
from hil.plant.solar import REFERENCE_C

__all__ = ["PowerReadings"]


class PowerReadings(PowerLevers):
    """State of the power chain. All fields are those of the last step, W, V, A, J unless named.

    ``battery_current_a`` is positive out of the battery, ``supercap_current_a`` out of the stack, ``dock_current_a``
    into the craft. ``bus_current_a`` is what flows through the distribution unit. ``served`` is the share that loads
    got of what they asked, ``valve_served`` that of valves and peaks. ``under_s`` is for how long the bus has been
    under ``empty_v`` by now, ``longest_under_s`` the longest time so far. ``power_ups`` counts the ends of lockouts.
    """

    def __init__(
        self, body: BodyConfig, *, soc_battery: float = 0.8, soc_supercap: float = 0.7, esr_ohm: float | None = None,
        panel_c: float = REFERENCE_C,
    ) -> None:
        """``esr_ohm``: series resistance of the stack; by default 5 % of its full voltage drops at full power."""
        super().__init__(body, soc_battery=soc_battery, soc_supercap=soc_supercap, esr_ohm=esr_ohm, panel_c=panel_c)
        self._config = body.power
        self._start_j = self.stored_j
        self._heater = next((heater for heater in body.thermal.heaters if heater.node == "battery"), None)

        self.bus_on = True
        self.power_ups = 0
        self.served = self.valve_served = 1.0
        self.cold_charge_j = self.under_s = self.longest_under_s = 0.0
        self.load_w = self.valve_w = self.peak_w = self.lockout_heater_w = self.unserved_w = self.spilled_w = 0.0
        self.dock_w = self.backflow_w = self.help_w = 0.0
        self.battery_out_w = self.battery_in_w = self.supercap_out_w = self.supercap_in_w = 0.0
        self.bus_current_a = self.battery_current_a = self.dock_current_a = 0.0

    # -- readings

    @property
    def soc_battery(self) -> float:
        """Charge of the battery, 0..1."""
        return self.battery.soc

    @property
    def soc_supercap(self) -> float:
        """Energy of the supercapacitor, 0..1."""
        return self.stack.soc

    @property
    def battery_j(self) -> float:
        """Energy in the battery."""
        return self.battery.energy_j

    @property
    def supercap_j(self) -> float:
        """Energy in the supercapacitor."""
        return self.stack.energy_j

    @property
    def battery_capacity_j(self) -> float:
        """Energy of the full battery, at its present age."""
        return self.battery.capacity_j

    @property
    def supercap_capacity_j(self) -> float:
        """Energy of the full supercapacitor, at its present age."""
        return self.stack.capacity_j

    @property
    def capacitance_f(self) -> float:
        """Capacitance of the stack, at its present age."""
        return self.stack.capacitance_f

    @property
    def esr_ohm(self) -> float:
        """Series resistance of the stack, at its present age."""
        return self.stack.esr_ohm

    @property
    def battery_voltage_v(self) -> float:
        """Modelled voltage of the battery, linear in its charge; also while the bus is off."""
        bus = self._config.bus
        return bus.empty_v + (bus.full_v - bus.empty_v) * self.battery.soc

    @property
    def bus_voltage_v(self) -> float:
        """Voltage of the bus: the battery's, less in proportion while loads lack power, 0 while the bus is off."""
        return self.battery_voltage_v * self.served if self.bus_on else 0.0

    @property
    def supercap_open_voltage_v(self) -> float:
        """Stack voltage without current."""
        return self.stack.open_voltage_v

    @property
    def supercap_voltage_v(self) -> float:
        """Stack voltage at its terminals under the present current."""
        return self.stack.voltage_v

    @property
    def supercap_current_a(self) -> float:
        """Current out of the stack."""
        return self.stack.current_a

    @property
    def array_w(self) -> float:
        """What the panel delivers."""
        return self.wings.power_w

    @property
    def array_max_w(self) -> float:
        """What it could deliver at its best voltage."""
        return self.wings.max_w

    @property
    def panel_v(self) -> float:
        """Voltage of the panel; its open circuit when nothing is taken."""
        return self.wings.voltage_v

    @property
    def panel_a(self) -> float:
        """Current out of the panel."""
        return self.wings.current_a

    @property
    def panel_wanted(self) -> bool:
        """Whether all that the panel offers at its voltage was taken."""
        return self.wings.wanted

    @property
    def dock_input_v(self) -> float:
        """Voltage before the dock's switch; 0 when nothing is connected."""
        return self.dock.input_v

    @property
    def battery_loss_w(self) -> float:
        """Heat of the battery."""
        return self.battery.loss_w

    @property
    def supercap_loss_w(self) -> float:
        """Heat of the stack and its converter."""
        return self.stack.loss_w

    @property
    def balance_error_j(self) -> float:
        """What the ledger cannot explain of the change since the start; zero but for rounding."""
        return self.ledger.gained - (self.stored_j - self._start_j)

    def ledger_dict(self) -> dict[str, float]:
        """The ledger as name to J."""
        return self.ledger.as_dict()

    def load_names(self) -> tuple[str, ...]:
        """All loads in the order of the body description, then its heaters."""
        return self.loads.names

    def is_on(self, name: str) -> bool:
        """Whether a load is switched on and fed. Raises KeyError for an unknown load."""
        return self.loads.is_on(name)

    def load_power_w(self, name: str) -> float:
        """What a rail really carries: its load and its short, in proportion when power lacks; 0 for no such load."""
        if not self.bus_on:
            return self.working_power_w(name)
        return self.loads.all_w(name) * self.served

    def working_power_w(self, name: str) -> float:
        """The same without the short: what the load itself gets."""
        if not self.bus_on:
            heater = self._heater
            return self.lockout_heater_w if heater is not None and name == heater.load else 0.0
        return self.loads.working_w(name) * self.served

    def peak_power_w(self, name: str) -> float:
        """What a load really gets of its peak power."""
        return self.loads.peak_w(name) * self.valve_served if self.bus_on else 0.0
