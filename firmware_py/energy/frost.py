"""A battery that freezes is heated at the cost of what else the bus could carry.

Its heater of 50 W does not fit under the bus's limit beside a full computer and the radar. While the battery comes near
to where it may no longer be drawn on, or is too cold to take a charge that is there, those loads make room.
"""

from __future__ import annotations

from fdir.codes import Code
from hal.profile.body import BodyConfig

__all__ = ["FROST_LOADS", "FROST_SHARE", "FrostGuard"]

NEAR_K = 10.0
"""Distance above ``no_discharge_below_c`` at which it begins."""
THAWED_K = 5.0
"""How far above where it began it ends."""
FROST_LOADS = dict.fromkeys(("radar", "transponder", "nbl", "lidar"), (Code.BAT_COLD,))
"""Loads that are denied meanwhile, with the reason."""
FROST_SHARE = 0.25
"""Share of computing that is left meanwhile (the least, see computer.py): 60 W of base loads and 50 W of heat leave 9 W
of 119 W at 30 % charge."""


class FrostGuard:
    """Whether the battery is freezing. A body without cold limits never is."""

    __slots__ = ("_charge_c", "_limit_c", "_since_c", "freezing")

    def __init__(self, body: BodyConfig) -> None:
        battery = next((node for node in body.thermal.nodes if node.name == "battery"), None)
        low = None if battery is None else battery.no_discharge_below_c
        self._limit_c = None if low is None else low + NEAR_K
        self._charge_c = None if battery is None else battery.no_charge_below_c
        self._since_c: float | None = None
        self.freezing = False

    def step(self, celsius: float | None, charge_waits: bool) -> bool:
        """Take the coldest that the battery may be, deg C, and whether power waits to be charged into it.

        An unknown temperature leaves it as it was: nothing thaws by losing its sensor.
        """
        if celsius is None:
            return self.freezing
        if self.freezing:
            if self._since_c is not None and celsius >= self._since_c + THAWED_K:
                self.freezing, self._since_c = False, None
            return self.freezing
        for limit, counts in ((self._limit_c, True), (self._charge_c, charge_waits)):
            if limit is not None and counts and celsius < limit:
                self.freezing, self._since_c = True, limit
                break
        return self.freezing
