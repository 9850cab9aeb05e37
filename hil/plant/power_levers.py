"""What can be done to the power plant: the flight software's levers, and the world's switches, docks and faults.

Each lever checks what it is given; what it does to the flow of power is in :mod:`hil.plant.power`.
"""

from __future__ import annotations

from hal.profile import BodyConfig
from hil.plant.energy_ledger import EnergyLedger
from hil.plant.power_dock import DockPort
from hil.plant.power_loads import LoadBank
from hil.plant.power_stores import Battery, Stack, fraction
from hil.plant.solar import REFERENCE_C
from hil.plant.wings import Wings

__all__ = ["PowerLevers"]


class PowerLevers:
    """The parts of the power chain with their levers. The parts are read freely.

    ``battery_charge_blocked``: a charger's own input blocks charging. ``thermistor_works`` False: the charger no longer
    blocks by the battery's temperature. ``battery_c`` is that temperature as whoever owns the heat says it; ``None``:
    unknown, and nothing is held back for cold.
    """

    def __init__(
        self, body: BodyConfig, *, soc_battery: float = 0.8, soc_supercap: float = 0.7, esr_ohm: float | None = None,
        panel_c: float = REFERENCE_C,
    ) -> None:
        """``esr_ohm``: series resistance of the stack; by default 5 % of its full voltage drops at full power."""
        config = body.power
        self.battery = Battery(config.battery, soc_battery)
        self.stack = Stack(config.supercap, soc_supercap, esr_ohm)
        self.loads, self.dock, self.wings = LoadBank(body), DockPort(config.dock), Wings(config.array, panel_c)
        self.ledger = EnergyLedger()
        self.battery_c: float | None = None
        self.battery_charge_blocked = False
        self.thermistor_works = True
        self._target_soc = 1.0

    @property
    def stored_j(self) -> float:
        """Energy in both stores."""
        return self.battery.energy_j + self.stack.energy_j

    # -- what flight software sets, through chips

    @property
    def panel_setpoint_v(self) -> float | None:
        """Voltage at which the charger holds the panel; ``None``: it tracks the best one by itself."""
        return self.wings.setpoint_v

    @panel_setpoint_v.setter
    def panel_setpoint_v(self, volts: float | None) -> None:
        if volts is not None and not 0.0 <= volts <= 1000.0:
            raise ValueError(f"panel held at {volts} V; 0..1000 or None is allowed")
        self.wings.setpoint_v = volts

    @property
    def battery_charge_limit_w(self) -> float:
        """Most power that the charger puts into the battery; 0 suspends it."""
        return self.battery.charge_limit_w

    @battery_charge_limit_w.setter
    def battery_charge_limit_w(self, watts: float) -> None:
        if not 0.0 <= watts <= 1e6:
            raise ValueError(f"charge limit {watts} W; 0..1e6 is allowed")
        self.battery.charge_limit_w = watts

    @property
    def supercap_target_soc(self) -> float:
        """Charge up to which the supercapacitor's charger works, 0..1."""
        return self._target_soc

    @supercap_target_soc.setter
    def supercap_target_soc(self, soc: float) -> None:
        self._target_soc = fraction("supercap target", soc)

    def set_rail(self, name: str, on: bool) -> None:
        """Switch the rail of one load. Raises ValueError for an unknown load or a base load."""
        self.loads.set_rail(name, on)

    def set_share(self, name: str, share: float) -> None:
        """Throttle a load to this share of its power, 0..1. Raises ValueError."""
        self.loads.set_share(name, share)

    def start_peak(self, name: str, seconds: float) -> None:
        """Draw a load's peak power from the supercapacitor for ``seconds``, while it is on. Raises ValueError."""
        self.loads.start_peak(name, seconds)

    def set_dock(self, on: bool, share: float = 1.0) -> None:
        """Close or open the dock's switch, with this share of its current limit. Raises ValueError."""
        self.dock.set_switch(on, share)

    # -- what the world does: switches of loads, docks, faults, age

    def set_load(self, name: str, on: bool) -> None:
        """A load's own switch. Raises ValueError for an unknown load, or for switching off a base load."""
        self.loads.set_switch(name, on)

    def stick_load(self, name: str, on: bool | None) -> None:
        """Stuck on or off whatever its switch and rail do; ``None`` heals it. Raises ValueError."""
        self.loads.stick(name, on)

    def short_load(self, name: str, watts: float | None) -> None:
        """Shorted rail: draws this much more while on; ``None`` heals it. Raises ValueError."""
        self.loads.short(name, watts)

    def dock_connect(self, voltage_v: float, power_max_w: float, sink_w: float = 0.0) -> None:
        """Plug in a dock that gives up to ``power_max_w``, or draws ``sink_w`` itself. Raises ValueError."""
        self.dock.connect(voltage_v, power_max_w, sink_w)

    def dock_disconnect(self) -> None:
        """Unplug the dock."""
        self.dock.disconnect()

    @property
    def panel_factor(self) -> float:
        """Share of the panel's strings that still work, 0..1."""
        return self.wings.panel_factor

    @panel_factor.setter
    def panel_factor(self, factor: float) -> None:
        self.wings.panel_factor = fraction("panel factor", factor)

    def set_wing(self, wing: int, factor: float, half: int | None = None) -> None:
        """Light on wing 0 or 1, or on half 0 or 1 of its cells, times ``factor``, 0..1. Raises ValueError."""
        self.wings.set_wing(wing, factor, half)

    def set_battery_capacity_factor(self, factor: float) -> None:
        """Age the battery: capacity as a multiple of the new one, at the same charge. Raises ValueError."""
        before = self.stored_j
        self.battery.set_capacity_factor(factor)
        self.ledger.set += self.stored_j - before

    def set_supercap_capacity_factor(self, factor: float) -> None:
        """Age the stack: capacitance as a multiple of the new one, at the same voltage. Raises ValueError."""
        before = self.stored_j
        self.stack.set_capacity_factor(factor)
        self.ledger.set += self.stored_j - before

    def set_supercap_esr_factor(self, factor: float) -> None:
        """Age the stack: series resistance as a multiple of the new one. Raises ValueError."""
        self.stack.set_esr_factor(factor)

    def set_soc(self, *, battery: float | None = None, supercap: float | None = None) -> None:
        """Set the charge of a store by hand, 0..1; the ledger books it as ``set``. Raises ValueError."""
        before = self.stored_j
        if battery is not None:
            self.battery.set_soc(battery)
        if supercap is not None:
            self.stack.set_soc(supercap)
        self.ledger.set += self.stored_j - before
