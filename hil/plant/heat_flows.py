"""Heat that the power chain and the jets leave in the nodes of a craft, J, gathered between two thermal steps.

The body description has loads by name, and the names used here mean heat. A node that a body lacks takes none. What a
short draws is left out: where it burns is not known.
"""

from __future__ import annotations

from collections.abc import Mapping

from hal.profile import BodyConfig
from hil.plant.power import PowerPlant
from hil.plant.propulsion import Propulsion

__all__ = ["HeatFlows"]

PROCESSOR_SHARE = 0.8
RADIO_SHARE = 0.7
PDU_SHARE = 0.02
PDU_OHM = 0.4
DOCK_OHM = 0.25
"""Resistance of the dock's joint; its heat is on the dock's side of the meter, so the power ledger has none of it."""


class HeatFlows:
    """Sums of heat by node."""

    def __init__(self, body: BodyConfig, jets: Propulsion) -> None:
        self._hull_share = body.propulsion.hull_heat_share
        self._heaters = tuple((heater.node, heater.load) for heater in body.thermal.heaters)
        names = ["core", "pdu", "supercap", "battery", "hull", "dock_bridge", *(node for node, _ in self._heaters)]
        self._joules = dict.fromkeys([*names, *jets.clusters], 0.0)
        self._cluster_j = [0.0] * len(jets.clusters)
        self._seconds_ns = 0

    @property
    def gathered_ns(self) -> int:
        """Time since the last ``take``, ns."""
        return self._seconds_ns

    def gather(self, dt_ns: int, power: PowerPlant) -> None:
        """Add the heat of one power step."""
        dt, heat, current = dt_ns * 1e-9, self._joules, power.bus_current_a
        radio_w = power.working_power_w("nbl") + power.peak_power_w("nbl")
        heat["core"] += dt * (PROCESSOR_SHARE * power.working_power_w("processor") + RADIO_SHARE * radio_w)
        heat["pdu"] += dt * (PDU_SHARE * current * power.bus_voltage_v + PDU_OHM * current * current)
        heat["supercap"] += dt * power.supercap_loss_w
        heat["battery"] += dt * power.battery_loss_w
        heat["hull"] += dt * self._hull_share * power.valve_w
        heat["dock_bridge"] += dt * DOCK_OHM * power.dock_current_a * power.dock_current_a
        for node, load in self._heaters:
            heat[node] += dt * power.working_power_w(load)
        self._seconds_ns += dt_ns

    def take(self, jets: Propulsion) -> tuple[float, Mapping[str, float]]:
        """Time since the last call, s, and the mean heat of that time by node, W; begins anew."""
        for index, name in enumerate(jets.clusters):
            total = jets.cluster_heat_j[index]
            self._joules[name] += total - self._cluster_j[index]
            self._cluster_j[index] = total
        dt = self._seconds_ns * 1e-9
        watts = {name: joules / dt for name, joules in self._joules.items()}
        self._joules = dict.fromkeys(self._joules, 0.0)
        self._seconds_ns = 0
        return dt, watts
