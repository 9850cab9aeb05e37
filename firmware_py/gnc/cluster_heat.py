"""Heat of the nozzle clusters: how warm they are and will be, what that costs, and which nozzles it forbids.

The node network of the body (CANON section 6: ``C dT/dt = Q - (cool + exchange) / insulation (T - Tamb) - sum k dT``)
is linear, so it is solved exactly for any step by its eigenvectors: a plan of minutes costs as much as a tick, and no
step is too long. Measured temperatures replace the model's wherever they are plausible; between and without them the
model goes on from what the valves were open. Heat other than of the valves is not known here: the temperatures of
nodes that make their own heat mean something only as long as they are measured, the clusters' always.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from hal.profile.body import BodyConfig, ThermalNode

__all__ = ["ClusterHeat", "ClusterHeatCounters"]

Array = npt.NDArray[np.float64]

LOWEST_C, HIGHEST_C = -120.0, 160.0
"""Range of the model (CANON section 6); a measurement beyond it is a broken sensor."""
COOLDOWN_MARGIN_K = 10.0
"""A cooldown lasts on while the cluster is above warn less this (CANON section 3)."""
HEAT_SPAN_K = 40.0
"""Distance below warn at which heat begins to cost: two longest burns of four nozzles on qiki-t, 8 K/s each."""
HEAT_PRICE = 3.0
"""Extra cost at warn: a nozzle of a cold cluster is taken unless it needs four times the propellant."""
BURN_SHARE = 1.0 / 3.0
"""Share of the longest burn below which what is left of it begins to cost."""
BURN_PRICE = 2.0
"""Extra cost of a nozzle with no burn time left."""


@dataclass(slots=True)
class ClusterHeatCounters:
    """Inputs that were not taken: temperatures not finite or beyond the model; times, duties or charges not finite."""

    bad_temperatures: int = 0
    bad_inputs: int = 0


class ClusterHeat:
    """Temperatures of one body's nodes (deg C), and what they mean for its nozzles (body order).

    Nozzles whose cluster is no thermal node of the body are never forbidden and cost no more.
    """

    def __init__(self, body: BodyConfig) -> None:
        thermal, prop = body.thermal, body.propulsion
        self.names = tuple(node.name for node in thermal.nodes)
        self.counters = ClusterHeatCounters()
        self._index = {name: i for i, name in enumerate(self.names)}
        self._nozzles = len(prop.nozzles)
        self._thrust = np.array([nozzle.thrust_n for nozzle in prop.nozzles])
        named = tuple(dict.fromkeys(nozzle.cluster for nozzle in prop.nozzles))
        self.clusters = tuple(name for name in named if name in self._index)
        """Clusters with a node, order of the nozzles."""
        nodes: list[ThermalNode] = [thermal.nodes[self._index[name]] for name in self.clusters]
        self._rows = np.array([self._index[name] for name in self.clusters], dtype=np.intp)
        self._warn = np.array([node.warn_c for node in nodes])
        self._trip = np.array([node.trip_c for node in nodes])
        self._clear = np.array([node.clear_c for node in nodes])
        self._members = np.array(
            [[nozzle.cluster == name for nozzle in prop.nozzles] for name in self.clusters], dtype=bool
        ).reshape(len(self.clusters), self._nozzles)
        self._masks = [sum(1 << int(n) for n in row.nonzero()[0]) for row in self._members]
        self._tripped = np.zeros(len(self.clusters), dtype=bool)
        self._held = 0
        self._max_burn_s = prop.max_burn_ms * 1e-3
        self._boost, self._hold = body.power.supercap.boost_soc, body.power.supercap.hold_soc
        self._temperatures: Array = np.array([node.start_c for node in thermal.nodes])
        self._heat = np.zeros((len(self.names), self._nozzles))
        self._heat[self._rows] = prop.cluster_heat_w * self._members
        if "hull" in self._index:
            self._heat[self._index["hull"]] += prop.hull_heat_share * prop.valve_power_w
        self._solve(body)

    def _solve(self, body: BodyConfig) -> None:
        """Rates and shapes of the network: with C^1/2 its matrix is symmetric, so both are real."""
        thermal = body.thermal
        size = len(self.names)
        conductance = np.zeros((size, size))
        for coupling in thermal.couplings:
            i, j = (self._index[name] for name in coupling.between)
            conductance[i, j] += coupling.conductance_w_k
            conductance[j, i] += coupling.conductance_w_k
        to_ambient = np.array(
            [(node.cooling_w_k + thermal.ambient_exchange_w_k) / thermal.insulation for node in thermal.nodes]
        )
        root = np.sqrt(np.array([node.capacity_j_k for node in thermal.nodes]))
        matrix = (np.diag(conductance.sum(axis=1) + to_ambient) - conductance) / np.outer(root, root)
        rates, shapes = np.linalg.eigh(matrix)
        self._rates: Array = np.maximum(rates, 0.0)
        self._to_modes: Array = shapes.T * root
        self._from_modes: Array = shapes / root[:, None]
        self._heat_to_modes: Array = shapes.T / root
        self._ambient_w: Array = to_ambient * thermal.ambient_c

    @property
    def temperatures_c(self) -> dict[str, float]:
        """Temperature of every node."""
        return dict(zip(self.names, self._temperatures.tolist(), strict=True))

    @property
    def clusters_c(self) -> Array:
        """Temperatures (k,) of ``clusters``."""
        return self._temperatures[self._rows]

    def step(
        self, dt_s: float, on_time_s: Sequence[float] | Array, measured: Mapping[str, float | None] | None = None
    ) -> None:
        """Go on by ``dt_s``, in which each nozzle was open for ``on_time_s``; then take what was ``measured`` (deg C by
        node name; None, names that are no node, and implausible values leave the model as it is)."""
        on = np.asarray(on_time_s, dtype=np.float64)
        if isfinite(dt_s) and dt_s > 0.0:
            if not np.isfinite(on).all():
                self.counters.bad_inputs += 1
                # Too hot is the safe side: a nozzle of which nothing is known was open all the time.
                on = np.where(np.isfinite(on), on, dt_s)
            self._temperatures = self._after(np.clip(on / dt_s, 0.0, 1.0), dt_s)
        elif dt_s != 0.0:
            self.counters.bad_inputs += 1
        for name, value in (measured or {}).items():
            index = self._index.get(name)
            if index is None or value is None:
                continue
            if not (LOWEST_C <= value <= HIGHEST_C):
                self.counters.bad_temperatures += 1
                continue
            self._temperatures[index] = value
        now = self.clusters_c
        self._tripped = (self._tripped | (now >= self._trip)) & ~(now <= self._clear)

    def predict(self, duty: Sequence[float] | Array, seconds: float) -> Array:
        """Temperatures (k,) of ``clusters`` after ``seconds`` with each nozzle open for the share ``duty`` (n,) of the
        time. A duty or time that is not finite is counted, and the answer is the trip temperature: never safe."""
        share = np.asarray(duty, dtype=np.float64)
        if not (isfinite(seconds) and seconds >= 0.0 and np.isfinite(share).all()):
            self.counters.bad_inputs += 1
            return self._trip.copy()
        return self._after(np.clip(share, 0.0, 1.0), seconds)[self._rows]

    def costs(self, burn_left_s: Sequence[float] | Array | None = None, soc_supercap: float | None = None) -> Array:
        """Factors (n,) >= 1 on each nozzle's propellant, for the allocator.

        Heat: rises from ``HEAT_SPAN_K`` under warn. ``burn_left_s`` (n,): rises as a burn nears its longest time, so
        that others take over before the cooldown. ``soc_supercap`` (0..1): every open valve draws the same power, so
        with less charge than a boost needs open time counts as well as thrust and the stronger nozzles are favoured;
        where all are equal it changes nothing. Inputs that are not finite are counted and left out.
        """
        near = np.maximum(1.0 - (self._warn - self.clusters_c) / HEAT_SPAN_K, 0.0)
        factors: Array = 1.0 + HEAT_PRICE * (near * near) @ self._members
        if burn_left_s is not None:
            left = np.asarray(burn_left_s, dtype=np.float64)
            if np.isfinite(left).all():
                gone = 1.0 - np.clip(left / (BURN_SHARE * self._max_burn_s), 0.0, 1.0)
                factors = factors * (1.0 + BURN_PRICE * gone * gone)
            else:
                self.counters.bad_inputs += 1
        if soc_supercap is not None:
            if isfinite(soc_supercap):
                span = max(self._boost - self._hold, 1e-3)
                short = min(max((self._boost - soc_supercap) / span, 0.0), 1.0)
                energy = 1.0 + short * self._thrust.mean() / self._thrust
                factors = factors * (energy / energy.min())
            else:
                self.counters.bad_inputs += 1
        return factors

    def barred(self, cooling: int = 0) -> int:
        """Mask of the nozzles that may not fire for heat: those of a cluster that reached trip and is not yet down to
        clear; and those that were in cooldown (mask ``cooling``, as ``Modulator.blocked`` says) as long as their
        cluster is above warn - 10. Call once a window."""
        warm = tripped = 0
        for index, celsius in enumerate(self.clusters_c.tolist()):
            if celsius > self._warn[index] - COOLDOWN_MARGIN_K:
                warm |= self._masks[index]
            if self._tripped[index]:
                tripped |= self._masks[index]
        self._held = (self._held | cooling) & warm
        return self._held | tripped

    def _after(self, duty: Array, seconds: float) -> Array:
        drive = self._heat_to_modes @ (self._heat @ duty + self._ambient_w)
        decay = self._rates * seconds
        # (1 - e^-rt) / r, which is t for a mode that loses nothing.
        gain = np.where(decay > 1e-12, -np.expm1(-decay) / np.where(decay > 1e-12, self._rates, 1.0), seconds)
        modes = np.exp(-decay) * (self._to_modes @ self._temperatures) + gain * drive
        after: Array = np.clip(self._from_modes @ modes, LOWEST_C, HIGHEST_C)
        return after
