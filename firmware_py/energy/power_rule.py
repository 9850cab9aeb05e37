"""Who pays what: the one rule by which sources, battery and supercapacitor share the loads and the peaks.

A pure function of powers and charges, so that supervisor, ledger and forecast reckon alike (CANON section 5):

1. sources feed the loads, the array before the dock;
2. the battery covers what the loads lack, up to its discharge limit;
3. peaks draw from the supercapacitor, up to its discharge limit;
4. the battery helps a peak only once the supercapacitor is down to ``hold_soc``; it then pays first, so that the rest
   of the reserve lasts;
5. what the sources have left charges the battery while it is below ``charge_first_soc``, otherwise the supercapacitor
   until ``boost_soc``, then both in equal shares;
6. only what really flows through the distribution unit counts against its limit: the supercapacitor pays directly.

Beside CANON: a stack below ``boost_soc`` is charged with ``top_up_w`` at least; the battery pays what the surplus lacks
of that, as long as it is above ``unshed_soc``, not charged itself and not at its limit. A store never charges while it
pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from hal.profile.body import BatteryConfig, PowerConfig, SupercapConfig

__all__ = ["Flows", "share"]


@dataclass(frozen=True, slots=True)
class Flows:
    """Powers of one instant, W, none below zero: what is really delivered, fed and stored.

    ``array_w + dock_w + battery_out_w + supercap_out_w = loads_w + peaks_w + battery_in_w + supercap_in_w``.
    ``spilled_w`` is array power that nothing took, ``unserved_w`` what was asked and not given: both stand outside this
    balance. What is left of a dock's offer is not spilled, it just isn't drawn. Losses inside a store are not in here.
    """

    array_w: float
    """Delivered by the array; ``array_w + spilled_w`` is what it could have given."""
    dock_w: float
    loads_w: float
    peaks_w: float
    battery_out_w: float
    battery_in_w: float
    supercap_out_w: float
    supercap_in_w: float
    spilled_w: float
    unserved_w: float
    pdu_w: float
    """Through the distribution unit: loads and the battery's help to peaks; the stack's charger hangs before it."""
    battery_limited: bool
    """Something is unserved because the battery, not empty, is at its discharge limit."""
    charge_limited: bool
    """Something is spilled because the battery, allowed to charge and not full, is at its charge limit."""
    top_up_w: float = 0.0
    """What the stack's charger takes of the battery; it is in ``battery_out_w`` and ``supercap_in_w`` too."""

    @property
    def help_w(self) -> float:
        """What the battery gives to peaks."""
        return max(0.0, self.peaks_w - self.supercap_out_w)


def share(
    power: PowerConfig, *, array_w: float, dock_w: float, loads_w: float, peaks_w: float, soc_battery: float,
    soc_supercap: float, charge_battery: bool = True, charge_supercap: bool = True,
) -> Flows:
    """Share out what is there (``array_w``, ``dock_w``: offered) to what is asked (``loads_w``, ``peaks_w``), W.

    ``charge_battery`` and ``charge_supercap`` say whether a store may be charged now. A battery at or below ``cut_soc``
    and an empty stack give nothing; full stores take nothing. Raises ValueError, with the name, for a power that is
    negative or not finite and a charge outside 0..1.
    """
    _check(array_w, dock_w, loads_w, peaks_w, soc_battery, soc_supercap)
    battery, cap = power.battery, power.supercap
    sources = array_w + dock_w
    # 1, 2
    from_sources = min(sources, loads_w)
    most = battery.discharge_max_w if soc_battery > battery.cut_soc else 0.0
    lacking = loads_w - from_sources
    cover = min(lacking, most)
    # 3, 4
    helped = min(peaks_w, most - cover) if soc_supercap <= cap.hold_soc else 0.0
    asked_of_cap = peaks_w - helped
    cap_out = min(asked_of_cap, cap.discharge_max_w) if soc_supercap > 0.0 else 0.0
    unserved_peak = asked_of_cap - cap_out
    # 5
    surplus = sources - from_sources
    out = cover + helped
    battery_room = battery.charge_max_w if charge_battery and soc_battery < 1.0 and out == 0.0 else 0.0
    cap_room = cap.charge_max_w if charge_supercap and soc_supercap < 1.0 and cap_out == 0.0 else 0.0
    battery_in, cap_in, left = _charge(surplus, battery_room, cap_room, soc_battery, soc_supercap, battery, cap)
    top_up = 0.0
    if battery_in == 0.0 and soc_supercap < cap.boost_soc and soc_battery > battery.unshed_soc:
        top_up = max(0.0, min(min(cap.top_up_w, cap_room) - cap_in, most - out))
    # Of what nobody takes, the dock's part is not drawn; the array's is spilled.
    dock_spared = min(dock_w, left)
    spilled = min(array_w, left - dock_spared)
    unserved_load = lacking - cover
    return Flows(
        array_w - spilled, dock_w - dock_spared, from_sources + cover, helped + cap_out,
        out + top_up, battery_in, cap_out, cap_in + top_up, spilled, unserved_load + unserved_peak,
        from_sources + out,
        most > 0.0 and (unserved_load > 0.0 or (unserved_peak > 0.0 and soc_supercap <= cap.hold_soc)),
        spilled > 0.0 and battery_in > 0.0 and battery_in >= battery_room,
        top_up,
    )


def _charge(
    surplus: float, battery_room: float, cap_room: float, soc_battery: float, soc_supercap: float,
    battery: BatteryConfig, cap: SupercapConfig,
) -> tuple[float, float, float]:
    """Battery, supercapacitor, and what is left: rule 5. ``left`` is exactly 0 when everything is taken."""
    if soc_battery < battery.charge_first_soc:
        battery_in = min(surplus, battery_room)
    elif soc_supercap < cap.boost_soc:
        battery_in = min(surplus - min(surplus, cap_room), battery_room)
    else:
        battery_in = min(surplus - min(0.5 * surplus, cap_room), battery_room)
    left = surplus - battery_in
    cap_in = min(left, cap_room)
    return battery_in, cap_in, left - cap_in


def _check(
    array_w: float, dock_w: float, loads_w: float, peaks_w: float, soc_battery: float, soc_supercap: float
) -> None:
    # One comparison each on the good path: NaN fails every one.
    if (
        0.0 <= array_w < inf and 0.0 <= dock_w < inf and 0.0 <= loads_w < inf and 0.0 <= peaks_w < inf
        and 0.0 <= soc_battery <= 1.0 and 0.0 <= soc_supercap <= 1.0
    ):
        return
    powers = {"array_w": array_w, "dock_w": dock_w, "loads_w": loads_w, "peaks_w": peaks_w}
    for name, value in powers.items():
        if not 0.0 <= value < inf:
            raise ValueError(f"{name} is {value}; a finite power of at least 0 W is needed")
    for name, value in {"soc_battery": soc_battery, "soc_supercap": soc_supercap}.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} is {value}; 0..1 is needed")
