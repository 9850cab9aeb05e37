"""Solar wings with their charger: temperature of the cells, light on each wing, and where on its curve the panel works.

Temperature. Both wings are one small lump that goes to -10 C in the dark and to +45 C square to full Sun, in proportion
to the light between, with a time constant of five minutes (bare wings of 2 kg/m2 radiating from both sides: 1.8 kJ/m2 K
over 5.5 W/m2 K a side is about three, hinges and frame add to it). At -10 C the open circuit of a 35 V string stays
under the 38.6 V at which the charger locks out.

Charger. Without a voltage to hold it keeps the panel at its best point. With one it draws what is wanted, down to that
voltage and not below: a panel whose load takes less settles on the right branch, where its power is what is taken. It
is a step-down converter, so the panel is never below the battery's voltage.

A broken panel (``panel_factor``) loses strings: its current scales at every voltage. A wing in shadow loses light.
"""

from __future__ import annotations

from math import exp

from hal.profile.body import ArrayConfig
from hil.plant.power_stores import fraction
from hil.plant.solar import FULL_SUN_W_M2, REFERENCE_C, SolarArray

__all__ = ["ECLIPSE_C", "SUNLIT_C", "Wings"]

SUNLIT_C, ECLIPSE_C = 45.0, -10.0
HOTTEST_C = 120.0
"""Where more light warms no further, since radiation grows with the fourth power; no craft at 1 au comes near it."""
TIME_CONSTANT_S = 300.0
SAME_LIGHT, SAME_K = 1e-3, 0.1
"""Changes of light (relative) and temperature below which the curve in use is kept: 0.1 % and 0.02 % of the power."""


class Wings:
    """The panel. ``max_w`` is the most it could give, ``offered_w`` the most at the voltage held; the rest is drawn."""

    def __init__(self, config: ArrayConfig, cell_c: float = REFERENCE_C) -> None:
        self._array = SolarArray(config)
        self._halves = [1.0] * 4
        self.setpoint_v: float | None = None
        self.panel_factor = 1.0
        self.cell_c = cell_c
        self.voltage_v = self.current_a = self.power_w = self.max_w = self.offered_w = 0.0
        self._held_v = 0.0
        self._light: float | None = None
        self._light_c = cell_c
        self._curve = self._array.curve((0.0, 0.0), cell_c)

    def set_wing(self, wing: int, factor: float, half: int | None = None) -> None:
        """Light on wing 0 or 1, or on half 0 or 1 of its cells, times ``factor``, 0..1. Raises ValueError."""
        if wing not in (0, 1) or half not in (None, 0, 1):
            raise ValueError(f"no wing {wing}, half {half}; wings and halves are 0 and 1")
        fraction(f"factor of wing {wing}", factor)
        for index in (0, 1) if half is None else (half,):
            self._halves[2 * wing + index] = factor
        self._light = None

    def illuminate(self, dt: float, light_w_m2: float, battery_v: float) -> None:
        """Warm up for ``dt`` s in ``light_w_m2`` (irradiance times cosine), then see what the panel can give."""
        target = min(ECLIPSE_C + (SUNLIT_C - ECLIPSE_C) * light_w_m2 / FULL_SUN_W_M2, HOTTEST_C)
        self.cell_c += (target - self.cell_c) * (1.0 - exp(-dt / TIME_CONSTANT_S))
        used = self._light
        if (
            used is None or abs(light_w_m2 - used) > SAME_LIGHT * used
            or abs(self.cell_c - self._light_c) > SAME_K
        ):
            self._light, self._light_c = light_w_m2, self.cell_c
            self._curve = self._array.curve([light_w_m2 * share for share in self._halves], self.cell_c)
        self._hold(battery_v)

    def _hold(self, battery_v: float) -> None:
        best_v, best_w = self._curve.max_power()
        self.max_w = self.panel_factor * best_w
        if self.setpoint_v is None:
            self._held_v, self.offered_w = best_v, self.max_w
            return
        self._held_v = max(self.setpoint_v, battery_v)
        if self._held_v >= self._curve.open_circuit_v:
            self._held_v, self.offered_w = self._curve.open_circuit_v, 0.0
        else:
            self.offered_w = self.panel_factor * max(0.0, self._curve.power_w(self._held_v))

    @property
    def wanted(self) -> bool:
        """Whether all that is offered is drawn, but for rounding."""
        return self.power_w >= self.offered_w * (1.0 - 1e-12)

    def draw(self, power_w: float) -> None:
        """Take this much, at most ``offered_w``: gives the panel's voltage and current."""
        self.power_w = power_w
        if self.wanted:
            self.voltage_v = self._held_v if self.offered_w > 0.0 else self._curve.open_circuit_v
        else:
            self.voltage_v = self._curve.voltage_at(power_w / self.panel_factor)
        self.current_a = power_w / self.voltage_v if self.voltage_v > 0.0 else 0.0
