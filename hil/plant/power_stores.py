"""Battery and supercapacitor stack: what each can give and take in a step, what that loses, and how they age.

Losses. Battery: 1 % of the power in or out. Stack: 3 % of the power in its converter, and I2R in its series resistance.
Ageing keeps the charge (and so the voltage) and changes the energy behind it.
"""

from __future__ import annotations

from math import sqrt

from hal.profile.body import BatteryConfig, SupercapConfig

__all__ = ["Battery", "Stack", "fraction"]

BATTERY_LOSS = 0.01
CONVERTER_LOSS = 0.03
STACK_SAG = 0.05
"""Share of the stack's voltage lost on its own resistance at full discharge power: gives the default resistance."""

_J_PER_WH = 3600.0


def fraction(name: str, value: float) -> float:
    """``value`` if it lies in 0..1. Raises ValueError."""
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name} is {value}; 0..1 is allowed")
    return value


def _factor(name: str, value: float) -> float:
    if not 0.0 < value <= 100.0:
        raise ValueError(f"{name} is {value}; above 0, up to 100 is allowed")
    return value


class Battery:
    """The endurance store. ``charge_limit_w`` is the flight software's; ``blocked`` holds all charging."""

    def __init__(self, config: BatteryConfig, soc: float) -> None:
        self._config = config
        self.capacity_j = config.capacity_wh * _J_PER_WH
        self.energy_j = fraction("soc_battery", soc) * self.capacity_j
        self.charge_limit_w = config.charge_max_w
        self.blocked = False
        self.loss_w = 0.0

    @property
    def soc(self) -> float:
        """Charge, 0..1."""
        return self.energy_j / self.capacity_j

    @property
    def cut(self) -> bool:
        """Whether it is down to where its own protection gives no more."""
        return self.energy_j <= (self._config.cut_soc + 1e-9) * self.capacity_j

    def set_soc(self, soc: float) -> None:
        """Set the charge by hand, 0..1. Raises ValueError."""
        self.energy_j = fraction("battery", soc) * self.capacity_j

    def set_capacity_factor(self, factor: float) -> None:
        """Capacity as a multiple of the new battery's. Raises ValueError."""
        soc = self.soc
        self.capacity_j = _factor("battery capacity factor", factor) * self._config.capacity_wh * _J_PER_WH
        self.energy_j = soc * self.capacity_j

    def most_w(self, dt: float) -> float:
        """Most power that it can give for ``dt`` s."""
        spare = self.energy_j - self._config.cut_soc * self.capacity_j
        return min(self._config.discharge_max_w, spare / (dt * (1.0 + BATTERY_LOSS))) if spare > 0.0 else 0.0

    def room_w(self, dt: float) -> float:
        """Most power that it takes for ``dt`` s."""
        if self.blocked:
            return 0.0
        room = (self.capacity_j - self.energy_j) / (dt * (1.0 - BATTERY_LOSS))
        return max(0.0, min(self._config.charge_max_w, self.charge_limit_w, room))

    def move(self, dt: float, out_w: float, in_w: float) -> float:
        """Give and take for ``dt`` s; returns the energy, J, that this would have overrun empty or full by."""
        self.loss_w = BATTERY_LOSS * (out_w + in_w)
        energy = self.energy_j + (in_w - out_w - self.loss_w) * dt
        self.energy_j = min(max(energy, 0.0), self.capacity_j)
        return self.energy_j - energy


class Stack:
    """The store for peaks: a capacitance with a series resistance behind a converter. Currents positive out of it."""

    def __init__(self, config: SupercapConfig, soc: float, esr_ohm: float | None = None) -> None:
        """``esr_ohm``: by default 5 % of the full voltage drops at full power. Raises ValueError."""
        self._config = config
        self.capacity_j = config.capacity_wh * _J_PER_WH
        self.capacitance_f = 2.0 * self.capacity_j / config.full_v**2
        self.esr_ohm = STACK_SAG * config.full_v**2 / config.discharge_max_w if esr_ohm is None else esr_ohm
        if self.esr_ohm <= 0.0:
            raise ValueError(f"series resistance {self.esr_ohm} ohm; it must be above 0")
        self._new_ohm = self.esr_ohm
        self.energy_j = fraction("soc_supercap", soc) * self.capacity_j
        self.current_a = 0.0
        self.loss_w = 0.0

    @property
    def soc(self) -> float:
        """Energy as a share of full, 0..1."""
        return self.energy_j / self.capacity_j

    @property
    def open_voltage_v(self) -> float:
        """Voltage without current, from E = C V2 / 2."""
        return sqrt(2.0 * self.energy_j / self.capacitance_f)

    @property
    def voltage_v(self) -> float:
        """Voltage at its terminals under the present current."""
        return self.open_voltage_v - self.esr_ohm * self.current_a

    def set_soc(self, soc: float) -> None:
        """Set the energy by hand, 0..1 of full. Raises ValueError."""
        self.energy_j = fraction("supercap", soc) * self.capacity_j

    def set_capacity_factor(self, factor: float) -> None:
        """Capacitance as a multiple of the new stack's. Raises ValueError."""
        soc = self.soc
        self.capacity_j = _factor("supercap capacity factor", factor) * self._config.capacity_wh * _J_PER_WH
        self.capacitance_f = 2.0 * self.capacity_j / self._config.full_v**2
        self.energy_j = soc * self.capacity_j

    def set_esr_factor(self, factor: float) -> None:
        """Series resistance as a multiple of the new stack's. Raises ValueError."""
        self.esr_ohm = _factor("series resistance factor", factor) * self._new_ohm

    def most_w(self, dt: float) -> float:
        """Most power that it can give for ``dt`` s: its limit, or V2 / 4R, R with what the falling voltage adds."""
        possible = 0.5 * self.energy_j / self.capacitance_f / self._resistance(dt) / (1.0 + CONVERTER_LOSS)
        return min(self._config.discharge_max_w, possible)

    def room_w(self, dt: float, soc: float = 1.0) -> float:
        """Most power that it takes for ``dt`` s without rising above ``soc``."""
        missing_v = sqrt(soc) * self._config.full_v - self.open_voltage_v
        if missing_v <= 0.0:
            return 0.0
        current = missing_v * self.capacitance_f / dt
        power = current * (self.open_voltage_v + self._resistance(dt) * current)
        return min(self._config.charge_max_w, power / (1.0 - CONVERTER_LOSS))

    def move(self, dt: float, out_w: float, in_w: float) -> float:
        """Give or take for ``dt`` s, not both; returns the energy, J, that this would have overrun empty or full by."""
        voltage, resistance = self.open_voltage_v, self._resistance(dt)
        current = 0.0
        if out_w > 0.0:
            # Terminal power P = V I - R I2, the smaller root.
            terminal = out_w * (1.0 + CONVERTER_LOSS)
            root = max(0.0, voltage * voltage - 4.0 * resistance * terminal)
            current = 2.0 * terminal / (voltage + sqrt(root))
        elif in_w > 0.0:
            # Terminal power P = V I + R I2 with I into the stack.
            terminal = in_w * (1.0 - CONVERTER_LOSS)
            current = -2.0 * terminal / (voltage + sqrt(voltage * voltage + 4.0 * resistance * terminal))
        self.current_a = current
        self.loss_w = CONVERTER_LOSS * (out_w + in_w) + self.esr_ohm * current * current
        energy = self.energy_j + (in_w - out_w - self.loss_w) * dt
        self.energy_j = min(max(energy, 0.0), self.capacity_j)
        return self.energy_j - energy

    def _resistance(self, dt: float) -> float:
        """Constant current I over a step moves the voltage by I dt / C: half of that acts as a resistance."""
        return self.esr_ohm + 0.5 * dt / self.capacitance_f
