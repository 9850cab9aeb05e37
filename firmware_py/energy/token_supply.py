"""Whether the stores carry a set of tokens together: watts, and joules above the reserve that only brakes may touch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fdir.codes import Code
from firmware_py.energy.token_types import Priority, Store, Supply, Token, known
from hal.profile.body import PowerConfig

__all__ = ["ENERGY_CODE", "POWER_CODE", "Capacity", "Stores"]

SUPPLY_LIFE_NS = 1_000_000_000
"""Age from which a supply no longer stands for the present: 20 medium ticks."""
ROUNDING = 1.0 + 1e-9
POWER_CODE: Mapping[Store, Code] = {Store.SUPERCAP: Code.PDU_PEAK_DENIED, Store.BUS: Code.PDU_DENIED}
ENERGY_CODE: Mapping[Store, Code] = {Store.SUPERCAP: Code.CAP_LOW, Store.BUS: Code.BAT_LOW}


@dataclass(frozen=True, slots=True)
class Capacity:
    """What one store carries now, ``None`` where that is not known; ``code`` says what its watts are short of."""

    watts: float | None
    joules: float | None
    reserve_j: float
    code: Code

    @property
    def known(self) -> bool:
        """Whether both are known."""
        return self.watts is not None and self.joules is not None


class Stores:
    """Stack and bus of one craft. ``most_w`` and ``most_j`` are what the body's stores can ever give."""

    def __init__(self, power: PowerConfig) -> None:
        cap, bus = power.supercap, power.bus
        self.most_w = {Store.SUPERCAP: cap.discharge_max_w, Store.BUS: bus.full_v * bus.current_limit_a}
        self.most_j = {Store.SUPERCAP: cap.capacity_wh * 3600.0, Store.BUS: power.battery.capacity_wh * 3600.0}
        self._taken_ns: int | None = None
        self._capacity = _capacities(Supply())
        self._unknown = self._capacity

    def take(self, supply: Supply, now_ns: int) -> None:
        """Take the supply of now."""
        self._taken_ns = now_ns
        self._capacity = _capacities(supply)

    def capacity(self, store: Store, now_ns: int) -> Capacity:
        """What a store carries; not known if the supply is older than a second."""
        fresh = self._taken_ns is not None and now_ns - self._taken_ns <= SUPPLY_LIFE_NS
        return (self._capacity if fresh else self._unknown)[store]

    def short(self, store: Store, tokens: Iterable[Token], now_ns: int) -> Code | None:
        """What these tokens lack together of a store; ``None`` if what is known of it carries them."""
        watts = joules = braking = 0.0
        for token in tokens:
            if token.store is store:
                watts += token.watts
                if token.priority is Priority.BRAKE:
                    braking += token.remaining_j(now_ns)
                else:
                    joules += token.remaining_j(now_ns)
        if watts == 0.0:
            return None
        capacity = self.capacity(store, now_ns)
        most_w = self.most_w[store]
        if watts > (most_w if capacity.watts is None else min(capacity.watts, most_w)) * ROUNDING:
            return capacity.code
        energy = capacity.joules
        if energy is None:
            return None
        # Beside the rule for the reserve everything must be there; braking draws above the reserve first.
        short = joules > energy * ROUNDING or joules + braking > (energy + capacity.reserve_j) * ROUNDING
        return ENERGY_CODE[store] if short else None

    def beyond(self, token: Token, now_ns: int) -> Code | None:
        """CANON section 5: a timed peak is refused when W x s is more than there is."""
        capacity = self.capacity(token.store, now_ns)
        if capacity.joules is None or token.watts * token.duration_ns * 1e-9 <= capacity.joules + capacity.reserve_j:
            return None
        return ENERGY_CODE[token.store]


def _capacities(supply: Supply) -> dict[Store, Capacity]:
    stack = Capacity(
        known(supply.stack_power_w), known(supply.stack_energy_j), known(supply.reserve_j) or 0.0, Code.PDU_PEAK_DENIED
    )
    bus, battery = known(supply.bus_headroom_w), known(supply.battery_headroom_w)
    watts = None if bus is None or battery is None else min(bus, battery)
    code = Code.BAT_LOW if bus is not None and battery is not None and battery < bus else Code.PDU_DENIED
    return {Store.SUPERCAP: stack, Store.BUS: Capacity(watts, known(supply.battery_energy_j), 0.0, code)}
