"""Power plant: arrays, dock, battery, supercapacitor and loads, with every joule accounted for.

Rule of each step (rates and limits come from the body description):

1. the arrays feed the loads, then the dock does;
2. the battery covers what the loads lack, up to its discharge limit; what is still missing sags the bus in proportion;
3. valves and peaks draw from the supercapacitor, together up to its discharge limit;
4. the battery helps them only once the supercapacitor is down to ``hold_soc``; it then pays first, so that the rest of
   the reserve lasts;
5. what arrays and dock have left charges the battery while it is below ``charge_first_soc``, otherwise the
   supercapacitor until ``boost_soc``, then both in equal shares; what neither takes is spilled (the arrays move off
   their maximum);
6. with ``top_up_w`` in the body and nothing left over, a supercapacitor below ``boost_soc`` takes that much of the
   battery;
7. the supercapacitor and its charger hang on the main bus: only what flows through the distribution unit, loads and
   the battery's help, is bus current.

Levers limit this: the panel's voltage, the battery's charge limit, the supercapacitor's target, the dock's switch and
the rails. The distribution unit's current limit is not enforced here: keeping it is the flight software's business,
and a plant that shed loads by itself would hide a fault.

Lockout. When the battery is down to ``cut_soc`` and the sources can't carry the loads, the battery's own protection
takes all of them off (``bus_on`` False), and what flight software set goes back to power-up. Sources then charge by
themselves: while the battery is too cold for it they heat it, through the thermostat of its heater if it has one. At
``wake_soc`` the loads come on as at power-up.

A battery below its node's ``no_charge_below_c`` is not charged: the charger's thermistor input blocks that by itself
(unless ``thermistor_works`` is False: ``cold_charge_j`` then counts the harm).

Load figures are taken at the distribution unit's input, so its heat is a share of them.
"""

from __future__ import annotations

from math import inf

from hal.profile import BodyConfig
from hil.plant.energy_ledger import EnergyLedger
from hil.plant.power_readings import PowerReadings
from hil.plant.solar import REFERENCE_C

__all__ = ["SOLAR_CONSTANT_W_M2", "EnergyLedger", "PowerPlant"]

SOLAR_CONSTANT_W_M2 = 1361.0
"""Total solar irradiance at 1 au (Kopp and Lean, Geophys. Res. Lett. 38, 2011: 1360.8)."""

SERVED = 1.0 - 1e-12
"""Rounding leaves a bus that has all it asked for a hair below; that is no sag."""


class PowerPlant(PowerReadings):
    """The power chain of one body; ``step`` moves it."""

    def __init__(
        self, body: BodyConfig, *, soc_battery: float = 0.8, soc_supercap: float = 0.7, esr_ohm: float | None = None,
        panel_c: float = REFERENCE_C,
    ) -> None:
        """``esr_ohm``: series resistance of the stack; by default 5 % of its full voltage drops at full power."""
        super().__init__(body, soc_battery=soc_battery, soc_supercap=soc_supercap, esr_ohm=esr_ohm, panel_c=panel_c)
        limit = next((node.no_charge_below_c for node in body.thermal.nodes if node.name == "battery"), None)
        self._no_charge_c = -inf if limit is None else limit
        self._heating = False

    def step(self, dt: float, solar_flux_w_m2: float, sun_cosine: float, valve_j: float) -> None:
        """Move by ``dt`` s with constant flux (W/m2, 0 in eclipse), cosine of the Sun on the cells, and the energy that
        the valves ask for in that time (J)."""
        voltage = self.battery_voltage_v
        self.wings.illuminate(dt, solar_flux_w_m2 * max(0.0, sun_cosine), voltage)
        feed_w, sink_w = self.dock.take_limits(dt, voltage)
        celsius = self.battery_c
        cold = celsius is not None and celsius < self._no_charge_c
        self.battery.blocked = self.battery_charge_blocked or (cold and self.thermistor_works)
        if self.bus_on:
            self._fly(dt, feed_w, sink_w, valve_j / dt)
        else:
            self._recover(dt, feed_w, valve_j / dt)
        self._settle(dt, cold)
        if self.bus_on and self.served < 1.0 and self.battery.cut:
            self._shut_down()
        elif not self.bus_on and self.battery.soc >= self._config.battery.wake_soc:
            self._power_up()
        self._watch_bus(dt)

    def _fly(self, dt: float, feed_w: float, sink_w: float, valve_w: float) -> None:
        """The rule of a step with the bus on; flows are set here, and moved by ``_settle``."""
        asked_w, sources_w = self.loads.asked_w + sink_w, self.wings.offered_w + feed_w
        paid_w = min(sources_w, asked_w)
        most_w = self.battery.most_w(dt)
        out_w = min(asked_w - paid_w, most_w)
        served = (paid_w + out_w) / asked_w if asked_w > 0.0 else 1.0
        self.served = served = 1.0 if served > SERVED else served
        self.load_w, self.backflow_w = self.loads.asked_w * served, sink_w * served
        self._serve_peaks(dt, valve_w, most_w - out_w)
        self.unserved_w += self.loads.asked_w - self.load_w
        out_w += self.help_w

        # A store does not charge while it pays.
        into_battery_w, into_stack_w = self._share_surplus(
            sources_w - paid_w, 0.0 if out_w > 0.0 else self.battery.room_w(dt),
            0.0 if self.supercap_out_w > 0.0 else self.stack.room_w(dt, self._target_soc),
        )
        topped_w = 0.0
        if sources_w <= paid_w and self.supercap_out_w == 0.0:
            topped_w = max(0.0, min(self._top_up(dt), most_w - out_w))
        self._set_sources(paid_w + into_battery_w + into_stack_w)
        self.battery_out_w, self.battery_in_w = out_w + topped_w, into_battery_w
        self.supercap_in_w = into_stack_w + topped_w

    def _serve_peaks(self, dt: float, valve_w: float, spare_w: float) -> None:
        """Valves and peaks: from the stack, and of the battery's ``spare_w`` once the reserve begins."""
        peaks_w = self.loads.take_peaks(dt)
        burst_w = valve_w + peaks_w
        self.help_w = self.supercap_out_w = 0.0
        self.valve_served = 1.0
        if burst_w > 0.0:
            if self.stack.soc <= self._config.supercap.hold_soc:
                self.help_w = min(burst_w, spare_w)
            self.supercap_out_w = min(burst_w - self.help_w, self.stack.most_w(dt))
            self.valve_served = (self.supercap_out_w + self.help_w) / burst_w
        self.valve_w, self.peak_w = valve_w * self.valve_served, peaks_w * self.valve_served
        self.unserved_w = burst_w - self.supercap_out_w - self.help_w

    def _share_surplus(self, surplus_w: float, battery_room_w: float, stack_room_w: float) -> tuple[float, float]:
        """How the stores share a surplus, given what each has room for: power into battery and stack."""
        if self.battery.soc < self._config.battery.charge_first_soc:
            into_battery = min(surplus_w, battery_room_w)
            return into_battery, min(surplus_w - into_battery, stack_room_w)
        if self.stack.soc < self._config.supercap.boost_soc:
            into_stack = min(surplus_w, stack_room_w)
            return min(surplus_w - into_stack, battery_room_w), into_stack
        into_battery = min(surplus_w - min(0.5 * surplus_w, stack_room_w), battery_room_w)
        return into_battery, min(surplus_w - into_battery, stack_room_w)

    def _top_up(self, dt: float) -> float:
        """What the stack's charger takes of the battery when nothing is left over."""
        config = self._config.supercap
        if config.top_up_w <= 0.0:
            return 0.0
        return min(config.top_up_w, self.stack.room_w(dt, min(self._target_soc, config.boost_soc)))

    def _recover(self, dt: float, feed_w: float, valve_w: float) -> None:
        """A step of the lockout: heat what is too cold to be charged, then charge, then keep it warm."""
        sources_w = self.wings.offered_w + feed_w
        wanted_w = self._thermostat()
        heater_w = min(wanted_w, sources_w) if self.battery.blocked else 0.0
        stack_goal = min(self._target_soc, self._config.supercap.boost_soc)
        into_battery_w, into_stack_w = self._share_surplus(
            sources_w - heater_w, self.battery.room_w(dt), self.stack.room_w(dt, stack_goal)
        )
        used_w = heater_w + into_battery_w + into_stack_w
        if not self.battery.blocked:
            heater_w = min(wanted_w, sources_w - used_w)
            used_w += heater_w
        self._set_sources(used_w)
        self.served = self.valve_served = 0.0
        self.load_w = self.lockout_heater_w = heater_w
        self.backflow_w = self.help_w = self.valve_w = self.peak_w = 0.0
        self.unserved_w = self.loads.asked_w + valve_w
        self.battery_out_w, self.battery_in_w = 0.0, into_battery_w
        self.supercap_out_w, self.supercap_in_w = 0.0, into_stack_w

    def _thermostat(self) -> float:
        """Power that the battery's heater wants by its own thermostat during a lockout."""
        heater, celsius = self._heater, self.battery_c
        if heater is None or celsius is None:
            return 0.0
        if celsius <= heater.on_c:
            self._heating = True
        elif celsius >= heater.off_c:
            self._heating = False
        return heater.power_w if self._heating else 0.0

    def _set_sources(self, used_w: float) -> None:
        """Arrays first, the dock for the rest."""
        array_w = min(self.wings.offered_w, used_w)
        self.wings.draw(array_w)
        self.dock_w = used_w - array_w

    def _settle(self, dt: float, cold: bool) -> None:
        """Move energy by the flows of this step, and book it."""
        battery, stack, book, wings = self.battery, self.stack, self.ledger, self.wings
        # The limits leave a store empty or full within rounding; the ledger keeps even that.
        book.set += battery.move(dt, self.battery_out_w, self.battery_in_w)
        book.set += stack.move(dt, self.supercap_out_w, self.supercap_in_w)
        if cold:
            self.cold_charge_j += self.battery_in_w * dt
        missed_w = wings.max_w - wings.power_w
        # What is drawn is less than offered: nothing wanted the rest. Else the voltage held is to blame.
        self.spilled_w = 0.0 if wings.wanted else missed_w
        book.harvested += wings.power_w * dt
        book.dock += self.dock_w * dt
        book.loads += self.load_w * dt
        book.valves += self.valve_w * dt
        book.peaks += self.peak_w * dt
        book.backflow += self.backflow_w * dt
        book.battery_losses += battery.loss_w * dt
        book.supercap_losses += stack.loss_w * dt
        book.spilled += self.spilled_w * dt
        book.untracked += (missed_w - self.spilled_w) * dt
        book.unserved += self.unserved_w * dt
        self._set_currents()

    def _set_currents(self) -> None:
        """Currents of the flows: a sagging bus carries the current that its loads asked for."""
        voltage, bus_v = self.battery_voltage_v, self.bus_voltage_v
        self.bus_current_a = (self.load_w + self.help_w) / bus_v if bus_v > 0.0 else 0.0
        self.battery_current_a = (self.battery_out_w - self.battery_in_w) / voltage
        self.dock_current_a = (self.dock_w - self.backflow_w) / voltage

    def _shut_down(self) -> None:
        """The battery's protection opens: chips lose power, and with it what flight software set."""
        self.bus_on = False
        self.lockout_heater_w = 0.0
        self._heating = False
        self._reset()

    def _power_up(self) -> None:
        """The protection closes: loads come on as at power-up."""
        self.bus_on = True
        self.power_ups += 1
        self.served = self.valve_served = 1.0
        self.lockout_heater_w = 0.0
        self._reset()

    def _reset(self) -> None:
        self.loads.power_up()
        self.wings.setpoint_v = None
        self.battery.charge_limit_w = self._config.battery.charge_max_w
        self.battery_charge_blocked = False
        self._target_soc = 1.0

    def _watch_bus(self, dt: float) -> None:
        """For how long the bus has been under its least voltage without a break."""
        if self.bus_voltage_v < self._config.bus.empty_v * SERVED:
            self.under_s += dt
            self.longest_under_s = max(self.longest_under_s, self.under_s)
        else:
            self.under_s = 0.0
