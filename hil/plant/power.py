"""Power plant: arrays, battery, supercapacitor and loads, with every joule accounted for.

Rule of each step (rates and limits come from the body description):

1. the arrays feed the loads;
2. the battery covers what the loads lack, up to its discharge limit;
3. valves draw from the supercapacitor, up to its discharge limit;
4. the battery helps the valves only once the supercapacitor is down to ``hold_soc``; it then pays first, so that the
   rest of the reserve lasts;
5. what the arrays have left charges the battery while it is below 20 %, otherwise the supercapacitor until
   ``boost_soc``, then both in equal shares; what neither takes is spilled (the arrays move off their maximum).
6. The supercapacitor pays the valves directly: only what flows through the distribution unit is bus current.

The distribution unit's current limit is not enforced here: keeping it is the flight software's business, and a plant
that shed loads by itself would hide a fault.

Losses. Battery: 1 % of the power in or out. Supercapacitor: 3 % of its power in its converter, and I2R in the stack.
Load figures are taken at the distribution unit's input, so its heat is a share of them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import sqrt

from hal.profile import BodyConfig

__all__ = ["SOLAR_CONSTANT_W_M2", "EnergyLedger", "PowerPlant"]

SOLAR_CONSTANT_W_M2 = 1361.0
"""Total solar irradiance at 1 au (Kopp and Lean, Geophys. Res. Lett. 38, 2011: 1360.8)."""

BATTERY_LOSS = 0.01
CONVERTER_LOSS = 0.03
BATTERY_FIRST_BELOW_SOC = 0.20
STACK_SAG = 0.05
"""Share of the stack's voltage lost on its own resistance at full discharge power: gives the default resistance."""

_J_PER_WH = 3600.0


@dataclass(slots=True)
class EnergyLedger:
    """Energies since the start, J: ``harvested`` = ``loads`` + ``valves`` + losses + growth of the stores - ``set``.

    ``spilled`` is array energy that nothing took and ``unserved`` what was asked and not given; neither is in the
    balance. ``set`` is what a test or scenario put into a store by hand.
    """

    harvested: float = 0.0
    loads: float = 0.0
    valves: float = 0.0
    battery_losses: float = 0.0
    supercap_losses: float = 0.0
    spilled: float = 0.0
    unserved: float = 0.0
    set: float = 0.0


class PowerPlant:
    """State of the power chain; ``step`` moves it. All fields are those of the last step, W, V, A, J unless named.

    ``battery_current_a`` is positive out of the battery. ``bus_current_a`` is what flows through the distribution unit.
    """

    def __init__(
        self, body: BodyConfig, *, soc_battery: float = 0.8, soc_supercap: float = 0.7, esr_ohm: float | None = None
    ) -> None:
        """``esr_ohm``: series resistance of the stack; by default 5 % of its full voltage drops at full power."""
        config = body.power
        self._bus, self._array = config.bus, config.array
        self._battery, self._cap = config.battery, config.supercap
        self.battery_capacity_j = config.battery.capacity_wh * _J_PER_WH
        self.supercap_capacity_j = config.supercap.capacity_wh * _J_PER_WH
        self.capacitance_f = 2.0 * self.supercap_capacity_j / config.supercap.full_v**2
        cap = config.supercap
        self.esr_ohm = STACK_SAG * cap.full_v**2 / cap.discharge_max_w if esr_ohm is None else esr_ohm
        if self.esr_ohm <= 0.0:
            raise ValueError(f"series resistance {self.esr_ohm} ohm; it must be above 0")
        self.battery_j = _fraction("soc_battery", soc_battery) * self.battery_capacity_j
        self.supercap_j = _fraction("soc_supercap", soc_supercap) * self.supercap_capacity_j
        self._start_j = self.stored_j
        self.panel_factor = 1.0
        self.ledger = EnergyLedger()

        self._power = {load.name: load.power_w for load in config.loads}
        self._base = frozenset(load.name for load in config.loads if load.base)
        self._on = dict.fromkeys(self._power, True)
        self._asked_w = sum(self._power.values())

        self.array_w = self.load_w = self.valve_w = self.unserved_w = self.spilled_w = 0.0
        self.battery_out_w = self.battery_in_w = self.supercap_out_w = self.supercap_in_w = 0.0
        self.battery_loss_w = self.supercap_loss_w = 0.0
        self.bus_current_a = self.battery_current_a = self.supercap_current_a = 0.0
        self.served = 1.0

    @property
    def soc_battery(self) -> float:
        """Charge of the battery, 0..1."""
        return self.battery_j / self.battery_capacity_j

    @property
    def soc_supercap(self) -> float:
        """Energy of the supercapacitor, 0..1."""
        return self.supercap_j / self.supercap_capacity_j

    @property
    def bus_voltage_v(self) -> float:
        """Modelled bus voltage, linear in the battery's charge."""
        return self._bus.empty_v + (self._bus.full_v - self._bus.empty_v) * self.soc_battery

    @property
    def supercap_open_voltage_v(self) -> float:
        """Stack voltage without current, from E = C V2 / 2."""
        return sqrt(2.0 * self.supercap_j / self.capacitance_f)

    @property
    def supercap_voltage_v(self) -> float:
        """Stack voltage at its terminals under the present current (positive out of the stack)."""
        return self.supercap_open_voltage_v - self.esr_ohm * self.supercap_current_a

    @property
    def stored_j(self) -> float:
        """Energy in both stores."""
        return self.battery_j + self.supercap_j

    @property
    def balance_error_j(self) -> float:
        """What the ledger cannot explain of the change since the start; zero but for rounding."""
        book = self.ledger
        spent = book.loads + book.valves + book.battery_losses + book.supercap_losses
        return book.harvested + book.set - spent - (self.stored_j - self._start_j)

    def load_names(self) -> tuple[str, ...]:
        """All loads in the order of the body description."""
        return tuple(self._power)

    def is_on(self, name: str) -> bool:
        """Whether a load is switched on. Raises KeyError for an unknown load."""
        return self._on[name]

    def load_power_w(self, name: str) -> float:
        """What a load really gets: its power when on, in proportion when power lacks; 0 for a name the body lacks."""
        return self._power[name] * self.served if self._on.get(name, False) else 0.0

    def set_load(self, name: str, on: bool) -> None:
        """Switch one load. Raises ValueError for an unknown load, or for switching off a base load."""
        if name not in self._power:
            raise ValueError(f"no load {name}; there are {', '.join(self._power)}")
        if name in self._base and not on:
            raise ValueError(f"{name} is a base load and cannot be switched off")
        self._on[name] = on
        self._asked_w = sum(w for load, w in self._power.items() if self._on[load])

    def set_soc(self, *, battery: float | None = None, supercap: float | None = None) -> None:
        """Set the charge of a store by hand, 0..1; the ledger books it as ``set``. Raises ValueError."""
        before = self.stored_j
        if battery is not None:
            self.battery_j = _fraction("battery", battery) * self.battery_capacity_j
        if supercap is not None:
            self.supercap_j = _fraction("supercap", supercap) * self.supercap_capacity_j
        self.ledger.set += self.stored_j - before

    def step(self, dt: float, solar_flux_w_m2: float, sun_cosine: float, valve_j: float) -> None:
        """Move by ``dt`` s with constant flux (W/m2, 0 in eclipse), cosine of the Sun on the cells, and the energy that
        the valves ask for in that time (J)."""
        array = self._array
        available = solar_flux_w_m2 * array.area_m2 * array.efficiency * self.panel_factor * max(0.0, sun_cosine)
        asked, valves = self._asked_w, valve_j / dt

        # 1, 2: arrays, then battery.
        from_array = min(available, asked)
        battery_most = min(self._battery.discharge_max_w, self.battery_j / (dt * (1.0 + BATTERY_LOSS)))
        battery_out = min(asked - from_array, battery_most)
        loads = from_array + battery_out

        # 3, 4: supercapacitor, and the battery's help once the reserve begins.
        help_w = 0.0
        if valves > 0.0 and self.soc_supercap <= self._cap.hold_soc:
            help_w = min(valves, battery_most - battery_out)
        cap_out = min(valves - help_w, self._cap.discharge_max_w, self._supercap_most_w(dt))
        battery_out += help_w

        # 5: what is left charges.
        surplus = available - from_array
        battery_room = min(
            self._battery.charge_max_w, (self.battery_capacity_j - self.battery_j) / (dt * (1.0 - BATTERY_LOSS))
        )
        cap_room = min(self._cap.charge_max_w, self._supercap_room_w(dt))
        # A store does not charge while it pays.
        battery_room = 0.0 if battery_out > 0.0 else max(0.0, battery_room)
        cap_room = 0.0 if cap_out > 0.0 else max(0.0, cap_room)
        if self.soc_battery < BATTERY_FIRST_BELOW_SOC:
            battery_in = min(surplus, battery_room)
            cap_in = min(surplus - battery_in, cap_room)
        elif self.soc_supercap < self._cap.boost_soc:
            cap_in = min(surplus, cap_room)
            battery_in = min(surplus - cap_in, battery_room)
        else:
            cap_in = min(0.5 * surplus, cap_room)
            battery_in = min(surplus - cap_in, battery_room)
            cap_in = min(surplus - battery_in, cap_room)

        self._book(dt, loads, cap_out + help_w, battery_out, battery_in, cap_out, cap_in)
        harvested = from_array + battery_in + cap_in
        self.array_w = available
        self.spilled_w = available - harvested
        self.unserved_w = (asked - loads) + (valves - cap_out - help_w)
        self.served = loads / asked if asked > 0.0 else 1.0
        voltage = self.bus_voltage_v
        self.bus_current_a = (loads + help_w) / voltage
        self.battery_current_a = (battery_out - battery_in) / voltage
        book = self.ledger
        book.harvested += harvested * dt
        book.spilled += self.spilled_w * dt
        book.unserved += self.unserved_w * dt

    def _book(
        self, dt: float, loads: float, valves: float, battery_out: float, battery_in: float, cap_out: float,
        cap_in: float,
    ) -> None:
        """Move energy between the stores and the ledger."""
        self.battery_loss_w = BATTERY_LOSS * (battery_out + battery_in)
        self.battery_j += (battery_in - battery_out - self.battery_loss_w) * dt
        voltage = self.supercap_open_voltage_v
        # Constant current I over the step moves the stack's voltage by I dt / C: half of that acts as a resistance.
        resistance = self.esr_ohm + 0.5 * dt / self.capacitance_f
        current = 0.0
        if cap_out > 0.0:
            # Terminal power P = V I - R I2, the smaller root.
            terminal = cap_out * (1.0 + CONVERTER_LOSS)
            root = max(0.0, voltage * voltage - 4.0 * resistance * terminal)
            current = 2.0 * terminal / (voltage + sqrt(root))
        elif cap_in > 0.0:
            # Terminal power P = V I + R I2 with I into the stack.
            terminal = cap_in * (1.0 - CONVERTER_LOSS)
            current = -2.0 * terminal / (voltage + sqrt(voltage * voltage + 4.0 * resistance * terminal))
        self.supercap_current_a = current
        self.supercap_loss_w = CONVERTER_LOSS * (cap_out + cap_in) + self.esr_ohm * current * current
        self.supercap_j += (cap_in - cap_out - self.supercap_loss_w) * dt
        # The limits leave a store empty or full within rounding; the ledger keeps even that.
        before = self.stored_j
        self.battery_j = min(max(self.battery_j, 0.0), self.battery_capacity_j)
        self.supercap_j = min(max(self.supercap_j, 0.0), self.supercap_capacity_j)
        self.ledger.set += self.stored_j - before
        self.load_w, self.valve_w = loads, valves
        self.battery_out_w, self.battery_in_w = battery_out, battery_in
        self.supercap_out_w, self.supercap_in_w = cap_out, cap_in
        book = self.ledger
        book.loads += loads * dt
        book.valves += valves * dt
        book.battery_losses += self.battery_loss_w * dt
        book.supercap_losses += self.supercap_loss_w * dt

    def _supercap_most_w(self, dt: float) -> float:
        """Most power that the supercapacitor can give for ``dt`` s: V2 / 4R, R with what the falling voltage adds."""
        resistance = self.esr_ohm + 0.5 * dt / self.capacitance_f
        return 0.5 * self.supercap_j / self.capacitance_f / resistance / (1.0 + CONVERTER_LOSS)

    def _supercap_room_w(self, dt: float) -> float:
        """Most power that fills the supercapacitor exactly in ``dt`` s."""
        voltage = self.supercap_open_voltage_v
        current = (self._cap.full_v - voltage) * self.capacitance_f / dt
        if current <= 0.0:
            return 0.0
        resistance = self.esr_ohm + 0.5 * dt / self.capacitance_f
        return (voltage * current + resistance * current * current) / (1.0 - CONVERTER_LOSS)

    def ledger_dict(self) -> dict[str, float]:
        """The ledger as name to J."""
        return {field.name: getattr(self.ledger, field.name) for field in fields(self.ledger)}


def _fraction(name: str, value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}; 0..1 is allowed")
    return value
