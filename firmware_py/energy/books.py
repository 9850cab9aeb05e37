"""Books of what was measured: the powers of one step from the newest readings, for the ledger.

What is not measured is missing in the books, and the step counts as unknown; nothing is taken from the rule. What the
stores have gained is counted at their terminals: an estimate corrected by 0.1 % would be two kilojoules of nothing.
"""

from __future__ import annotations

from firmware_py.energy.ledger import EnergyLedger, LedgerTotals, Powers
from firmware_py.energy.power_rule import Flows
from firmware_py.energy.stores_watch import StoresWatch, usable
from hal.power import PowerState
from hal.profile.body import PowerConfig
from hal.reading import Quality

__all__ = ["Books"]

BATTERY_LOSS = 0.01
"""Share of the power in or out that the battery turns to heat (CANON section 6)."""
CONVERTER_LOSS = 0.03
"""The same of the stack's converter."""


class Books:
    """Owner of the ledger."""

    def __init__(self, power: PowerConfig) -> None:
        self._has_panel = power.array.area_m2 > 0.0
        self._has_dock = power.dock is not None
        self._ledger = EnergyLedger()
        self._stored_j: dict[str, float] = {}

    def step(self, dt_s: float, state: PowerState, stores: StoresWatch, flows: Flows | None) -> None:
        """Book one step."""
        powers = self._powers(state, stores, flows)
        battery = self._gain(
            "battery", dt_s, usable(state.battery_voltage_v), usable(state.battery_current_a), powers.battery_loss_w,
            stores.battery_estimate.energy_j,
        )
        stack_v, stack_a = usable(state.supercap_voltage_v), usable(state.supercap_current_a)
        resistance_w = None if stack_a is None else stores.supercap.esr_ohm * stack_a * stack_a
        stack = self._gain("supercap", dt_s, stack_v, stack_a, resistance_w, stores.supercap_estimate.energy_j)
        self._ledger.add(dt_s, powers, battery, stack)

    def _gain(
        self, store: str, dt_s: float, volts: float | None, amperes: float | None, loss_w: float | None,
        estimate_j: float | None,
    ) -> float | None:
        """Energy of a store by what has passed its terminals, from its first estimate on; ``None`` for a gap."""
        before = self._stored_j.get(store)
        if volts is None or amperes is None or loss_w is None or estimate_j is None:
            self._stored_j.pop(store, None)
            return None
        now = estimate_j if before is None else max(0.0, before - (volts * amperes + loss_w) * dt_s)
        self._stored_j[store] = now
        return now

    def totals(self) -> LedgerTotals:
        """The books as they stand."""
        return self._ledger.totals()

    def _powers(self, state: PowerState, stores: StoresWatch, flows: Flows | None) -> Powers:
        volts, amperes = usable(state.bus_voltage_v), usable(state.bus_current_a)
        stack_v, stack_a = usable(state.supercap_voltage_v), usable(state.supercap_current_a)
        battery_v, battery_a = usable(state.battery_voltage_v), usable(state.battery_current_a)
        through = None if volts is None or amperes is None else volts * amperes
        peaks = loss = None
        if stack_v is not None and stack_a is not None:
            terminal = stack_v * stack_a
            given = terminal / (1.0 + CONVERTER_LOSS) if terminal > 0.0 else 0.0
            converted = abs(terminal) * CONVERTER_LOSS / (1.0 + CONVERTER_LOSS if terminal > 0.0 else 1.0)
            loss = converted + stores.supercap.esr_ohm * stack_a * stack_a
            # What the battery gives to a peak is in the bus current already.
            peaks = given
        battery_loss = None
        if battery_v is not None and battery_a is not None:
            battery_loss = abs(battery_v * battery_a) * BATTERY_LOSS
        return Powers(
            self._array(state), self._dock(state, volts), through, peaks, battery_loss, loss,
            None if flows is None else flows.spilled_w, None if flows is None else flows.unserved_w,
        )

    def _array(self, state: PowerState) -> float | None:
        if not self._has_panel:
            return 0.0
        panel = state.panel
        return panel.value.power_w if panel.quality is Quality.OK and panel.value is not None else None

    def _dock(self, state: PowerState, volts: float | None) -> float | None:
        if not self._has_dock:
            return 0.0
        amperes = usable(state.dock_current_a)
        return None if volts is None or amperes is None else volts * amperes
