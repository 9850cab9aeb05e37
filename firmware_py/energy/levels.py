"""Marks of charge and what they mean: boost, hold, stab; SAFE and warning; load shedding; the gate of NBL packets.

All edges of CANON section 5. They are inclusive upward (0.60 is already boost, 0.30 ends load shedding), except where
it says "at or below": SAFE at 10 %, and by the same reading the beginning of load shedding at 20 %, which is the safe
side. A charge that is missing, NaN or outside 0..1 is no data: no level, and never "empty" or "full".
"""

from __future__ import annotations

from enum import StrEnum, unique

from fdir.codes import Code
from hal.profile.body import BatteryConfig, PowerConfig, SupercapConfig

__all__ = [
    "NBL_CORE_MAX_C", "PeakLevel", "ShedLatch", "StoreLevel", "battery_level", "known_charge", "nbl_blocks",
    "peak_level", "supercap_level",
]

WARN_BATTERY_SOC = 0.25
WARN_SUPERCAP_SOC = 0.15
"""Lower warning marks: what conflict 5 of CANON section 5 keeps of the older windows."""
NBL_CORE_MAX_C = 90.0
"""Hottest core with which an NBL packet may be sent (CANON section 5)."""
LOWEST_C, HIGHEST_C = -120.0, 160.0
"""Range of the thermal model (CANON section 6); a measurement beyond it is a broken sensor."""


@unique
class PeakLevel(StrEnum):
    """How much of a peak the supercapacitor allows."""

    BOOST = "boost"
    """Boost and FTG are allowed."""
    HOLD = "hold"
    """ZTT only, duty at most one half."""
    STAB = "stab"
    """Stabilise and charge."""


@unique
class StoreLevel(StrEnum):
    """How a store stands."""

    NORMAL = "normal"
    WARN = "warn"
    SAFE = "safe"
    """At or below the mark where SAFE begins."""


def known_charge(value: float | None) -> float | None:
    """The charge, 0..1; ``None`` where it is no data: missing, not a number, or outside."""
    return value if value is not None and 0.0 <= value <= 1.0 else None


def peak_level(soc_supercap: float | None, supercap: SupercapConfig) -> PeakLevel | None:
    """Level of the supercapacitor's charge; ``None`` when that is no data."""
    soc = known_charge(soc_supercap)
    if soc is None:
        return None
    if soc >= supercap.boost_soc:
        return PeakLevel.BOOST
    return PeakLevel.HOLD if soc >= supercap.hold_soc else PeakLevel.STAB


def battery_level(soc_battery: float | None, battery: BatteryConfig) -> StoreLevel | None:
    """SAFE at or below ``safe_soc``, warning below 25 %; ``None`` when the charge is no data."""
    return _store_level(soc_battery, battery.safe_soc, WARN_BATTERY_SOC)


def supercap_level(soc_supercap: float | None, supercap: SupercapConfig) -> StoreLevel | None:
    """SAFE at or below ``safe_soc``, warning below 15 %; ``None`` when the charge is no data."""
    return _store_level(soc_supercap, supercap.safe_soc, WARN_SUPERCAP_SOC)


def _store_level(charge: float | None, safe_soc: float, warn_soc: float) -> StoreLevel | None:
    soc = known_charge(charge)
    if soc is None:
        return None
    if soc <= safe_soc:
        return StoreLevel.SAFE
    return StoreLevel.WARN if soc < warn_soc else StoreLevel.NORMAL


def nbl_blocks(
    power: PowerConfig, *, soc_battery: float | None, soc_supercap: float | None, core_c: float | None,
    core_tripped: bool, pdu_tripped: bool, under_way: bool = False,
) -> tuple[Code, ...]:
    """Everything in stores and heat that stands against an NBL packet, each code once; empty when it may go.

    A packet starts with both charges at or above their ``nbl_soc``, the core (deg C) at 90 or cooler, and neither core
    nor distribution unit tripped. ``under_way``: what was started goes on without the starting charges, down to
    ``hold_soc`` of the supercapacitor, for what is below belongs to braking. Data that are missing stand against it.
    """
    battery, cap = known_charge(soc_battery), known_charge(soc_supercap)
    least_cap = power.supercap.hold_soc if under_way else power.supercap.nbl_soc
    found: list[Code] = []
    if cap is not None and cap < least_cap:
        found.append(Code.CAP_LOW)
    if battery is not None and battery < power.battery.nbl_soc and not under_way:
        found.append(Code.BAT_LOW)
    if battery is None or cap is None:
        found.append(Code.POWER_TELEM_MISSING)
    core_known = core_c is not None and LOWEST_C <= core_c <= HIGHEST_C
    if core_tripped or pdu_tripped or (core_known and core_c is not None and core_c > NBL_CORE_MAX_C):
        found.append(Code.THERMAL_BLOCK)
    if not core_known:
        found.append(Code.THERMAL_TELEM_MISSING)
    return tuple(found)


class ShedLatch:
    """Load shedding for a low battery: on at or below ``shed_soc``, off at or above ``unshed_soc``.

    Without data it stays as it is: what was shed stays shed, and nothing is shed of a battery that nobody has measured.
    """

    __slots__ = ("_high", "_low", "on")

    def __init__(self, battery: BatteryConfig) -> None:
        self._low, self._high = battery.shed_soc, battery.unshed_soc
        self.on = False

    def step(self, soc_battery: float | None) -> bool:
        """Take the present charge; returns whether loads are to be shed."""
        soc = known_charge(soc_battery)
        if soc is not None:
            # In this order: marks that contradict each other would shed rather than chatter.
            if soc <= self._low:
                self.on = True
            elif soc >= self._high:
                self.on = False
        return self.on
