"""Temperatures of a day ahead: the node network solved exactly between two steps, with the heat that power flows leave.

C dT/dt = Q - G (T - T_ambient) - sum k (T - T_other) (CANON section 6) has one decaying exponential a mode; with heat
held over a step the end of it is exact, however long it is. Heaters appear by their mean power: what holds a node in
the middle of its thermostat's band, once it has become cold enough to need that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from firmware_py.energy.frost import FrostGuard
from firmware_py.energy.thermal_node import COLD_HYSTERESIS_K, COLD_SPAN_K
from hal.profile.body import BodyConfig, HeaterConfig, ThermalNode

__all__ = ["HeatForecast", "HeaterForecast", "Heats", "StoreCold"]

Array = npt.NDArray[np.float64]

PROCESSOR_SHARE, RADIO_SHARE, PDU_SHARE, PDU_OHM, DOCK_OHM = 0.8, 0.7, 0.02, 0.4, 0.25
"""Heat in the nodes, shares of power and ohms (CANON section 6)."""
SETTLE_S = 60.0
"""Time in which a heater's mean power brings its node to the middle of its band."""
SURVIVAL_ON_K, SURVIVAL_OFF_K = 3.0, 6.0
"""With little energy a node is held that far above its hard limit (firmware_py/energy/heaters.py)."""
RANKS = ("battery", "cluster", "supercap", "core")
STILL = 1e-9
LIMIT_PLAY_K = 0.5
"""How far about its limit a battery is both heated and charged in turns."""


class HeatForecast:
    """Temperatures of all nodes of one body, deg C; ``celsius`` is by node in body order."""

    def __init__(self, body: BodyConfig, temperatures_c: Mapping[str, float], ambient_c: float) -> None:
        """``temperatures_c``: where it is known, else as the body starts. Raises ValueError for an unknown node."""
        thermal = body.thermal
        self.names = tuple(node.name for node in thermal.nodes)
        self.index = {name: number for number, name in enumerate(self.names)}
        unknown = [name for name in temperatures_c if name not in self.index]
        if unknown:
            raise ValueError(f"no thermal node {', '.join(unknown)}; there are {', '.join(self.names)}")
        self.ambient_c = ambient_c
        start = np.array([temperatures_c.get(node.name, node.start_c) for node in thermal.nodes])
        self.exchange = _exchange(body, self.index)
        """Conductance matrix, W/K, against ambient."""
        root = np.sqrt(np.array([node.capacity_j_k for node in thermal.nodes]))
        rates, modes = np.linalg.eigh(self.exchange / np.outer(root, root))
        self._rates = np.maximum(rates, STILL)
        self._out: Array = modes / root[:, None]
        self._in: Array = np.ascontiguousarray(self._out.T)
        self._state: Array = (modes * root[:, None]).T @ (start - ambient_c)
        self._decays: dict[float, tuple[Array, Array]] = {}
        self.celsius: list[float] = start.tolist()

    def step(self, seconds: float, heat_w: Sequence[float]) -> None:
        """Move by ``seconds`` with constant heat in the nodes, W."""
        decay = self._decays.get(seconds)
        if decay is None:
            gone = np.exp(-self._rates * seconds)
            decay = (gone, (1.0 - gone) / self._rates)
            if len(self._decays) < 64:
                self._decays[seconds] = decay
        self._state = decay[0] * self._state + decay[1] * (self._in @ np.array(heat_w))
        self.celsius = (self._out @ self._state + self.ambient_c).tolist()

    def lost_w(self, node: int) -> float:
        """What a node loses now to everything around it, W."""
        row = self.exchange[node].tolist()
        ambient = self.ambient_c
        return float(sum(k * (celsius - ambient) for k, celsius in zip(row, self.celsius, strict=True)))


def _exchange(body: BodyConfig, index: Mapping[str, int]) -> Array:
    thermal = body.thermal
    matrix = np.diag([(n.cooling_w_k + thermal.ambient_exchange_w_k) / thermal.insulation for n in thermal.nodes])
    for coupling in thermal.couplings:
        a, b = (index[name] for name in coupling.between)
        matrix[a, a] += coupling.conductance_w_k
        matrix[b, b] += coupling.conductance_w_k
        matrix[a, b] -= coupling.conductance_w_k
        matrix[b, a] -= coupling.conductance_w_k
    return np.asarray(matrix, dtype=np.float64)


class Heats:
    """Heat of the flows of one step by node; a node that the body lacks takes none."""

    def __init__(self, body: BodyConfig, heat: HeatForecast) -> None:
        index = heat.index
        self._size = len(heat.names)
        self._core, self._pdu, self._cap, self._battery, self._hull, self._dock = (
            index.get(name) for name in ("core", "pdu", "supercap", "battery", "hull", "dock_bridge")
        )
        self._clusters = tuple(index[name] for name in {n.cluster for n in body.propulsion.nozzles} if name in index)
        self._hull_share = body.propulsion.hull_heat_share
        propulsion = body.propulsion
        self._per_valve_w = propulsion.cluster_heat_w / propulsion.valve_power_w if propulsion.valve_power_w else 0.0

    def of(
        self, *, processor_w: float, radio_w: float, pdu_w: float, pdu_a: float, battery_loss_w: float,
        stack_loss_w: float, dock_a: float, rcs_w: float,
    ) -> list[float]:
        """Heat by node, W; what the thrusters make is spread evenly over the clusters."""
        heat = [0.0] * (self._size + 1)
        # What a body lacks goes to the place behind the last node.
        nowhere = self._size
        heat[nowhere if self._core is None else self._core] += PROCESSOR_SHARE * processor_w + RADIO_SHARE * radio_w
        heat[nowhere if self._pdu is None else self._pdu] += PDU_SHARE * pdu_w + PDU_OHM * pdu_a * pdu_a
        heat[nowhere if self._cap is None else self._cap] += stack_loss_w
        heat[nowhere if self._battery is None else self._battery] += battery_loss_w
        heat[nowhere if self._dock is None else self._dock] += DOCK_OHM * dock_a * dock_a
        if rcs_w > 0.0:
            heat[nowhere if self._hull is None else self._hull] += self._hull_share * rcs_w
            for cluster in self._clusters:
                heat[cluster] += self._per_valve_w * rcs_w / len(self._clusters)
        heat.pop()
        return heat


class _Heater:
    """One heater: whether its thermostat wants heat, and its mean power."""

    __slots__ = ("capacity", "limit_c", "load", "low", "node", "normal", "on", "power_w", "rank", "watts")

    def __init__(self, config: HeaterConfig, node: ThermalNode, index: int, rank: int) -> None:
        self.load, self.node, self.power_w, self.rank = config.load, index, config.power_w, rank
        self.capacity = node.capacity_j_k
        self.normal = (config.on_c, config.off_c)
        limits = (node.no_charge_below_c, node.no_discharge_below_c, node.no_fire_below_c)
        hard = max((limit for limit in limits if limit is not None), default=None)
        self.limit_c = config.on_c if hard is None else hard
        self.low: tuple[float, float] | None = None
        if rank == 0:
            self.low = self.normal
        elif hard is not None:
            self.low = (min(config.on_c, hard + SURVIVAL_ON_K), min(config.off_c, hard + SURVIVAL_OFF_K))
        self.on = False
        self.watts = 0.0


class HeaterForecast:
    """Mean powers of all heaters: what the thermostats need, as far as the headroom goes, in their fixed order."""

    def __init__(self, body: BodyConfig, heat: HeatForecast) -> None:
        self._heat = heat
        nodes = {node.name: node for node in body.thermal.nodes}
        clusters = {nozzle.cluster for nozzle in body.propulsion.nozzles}
        self._heaters = [
            _Heater(config, nodes[config.node], heat.index[config.node],
                    RANKS.index("cluster") if config.node in clusters
                    else RANKS.index(config.node) if config.node in RANKS else len(RANKS))
            for config in body.thermal.heaters
        ]
        self.nodes = tuple((heater.load, heater.node) for heater in self._heaters)
        """Load and index of the node of each."""
        self.watts: dict[str, float] = {}
        """Mean power by load, of those that heat."""
        self.denied_w = 0.0
        """Mean power that is needed and not there."""

    def share(self, headroom_w: float, low_energy: bool, own_w: Sequence[float]) -> float:
        """Decide the mean powers for the next step; returns their sum, W. ``own_w``: heat that nodes make anyway."""
        celsius = self._heat.celsius
        wanting = []
        for heater in self._heaters:
            levels = heater.low if low_energy else heater.normal
            here = celsius[heater.node]
            if levels is None:
                heater.on = False
            elif here <= levels[0]:
                heater.on = True
            if not heater.on or levels is None:
                continue
            middle = 0.5 * (levels[0] + levels[1])
            need = (middle - here) * heater.capacity / SETTLE_S + self._heat.lost_w(heater.node) - own_w[heater.node]
            if need <= 0.0:
                heater.on = here < levels[1]
                continue
            heater.watts = min(need, heater.power_w)
            wanting.append(heater)
        self.watts.clear()
        self.denied_w = 0.0
        if not wanting:
            return 0.0
        wanting.sort(key=lambda heater: (heater.rank, celsius[heater.node] - heater.limit_c))
        return self._hand_out(wanting, headroom_w)

    def _hand_out(self, wanting: Sequence[_Heater], headroom_w: float) -> float:
        """A heater is on or off: one that does not fit into the headroom as a whole gets nothing."""
        left = headroom_w
        for heater in wanting:
            given = min(heater.watts, left) if heater.power_w <= headroom_w else 0.0
            self.denied_w += heater.watts - given
            if given > 0.0:
                self.watts[heater.load] = given
                left -= given
        return headroom_w - left


class StoreCold:
    """What cold leaves of the stores: the battery's shares of its powers, whether the stack may be charged, and how a
    battery without a bus is warmed up."""

    def __init__(self, body: BodyConfig, heat: HeatForecast) -> None:
        self._heat = heat
        self._battery, self._stack = heat.index.get("battery"), heat.index.get("supercap")
        nodes = {node.name: node for node in body.thermal.nodes}
        self._nodes = tuple(nodes.get(name) for name in ("battery", "supercap"))
        self._heater = next((heater for heater in body.thermal.heaters if heater.node == "battery"), None)
        self.cold = False
        """The battery may not be charged."""
        self._frost = FrostGuard(body)
        self.stack_may_charge = True
        self.discharge_share = 1.0
        """What of its power is reckoned with for heaters."""
        self._frozen = False

    @property
    def freezing(self) -> bool:
        """Other loads make room for the battery's heater."""
        return self._frost.freezing

    def step(self) -> float:
        """Share of its charge power that the battery may take now: the supervisor's ramps and bars."""
        battery, stack = self._nodes
        charge, frost = (None, None) if battery is None else (battery.no_charge_below_c, battery.no_discharge_below_c)
        share, self.cold = self._share(self._battery, charge, self.cold)
        self.discharge_share, self._frozen = self._share(self._battery, frost, self._frozen)
        self._frost.step(None if self._battery is None else float(self._heat.celsius[self._battery]), False)
        limit = None if stack is None else stack.no_charge_below_c
        self.stack_may_charge = self._share(self._stack, limit, not self.stack_may_charge)[0] > 0.0
        return share

    def _share(self, index: int | None, limit_c: float | None, barred: bool) -> tuple[float, bool]:
        if index is None or limit_c is None:
            return 1.0, False
        above_k = self._heat.celsius[index] - limit_c
        barred = above_k < (COLD_HYSTERESIS_K if barred else 0.0)
        return (0.0 if barred else min(max(above_k / COLD_SPAN_K, 0.0), 1.0)), barred

    def lockout_w(self, own_w: Sequence[float], most_w: float) -> tuple[float, bool]:
        """Without a bus: mean power of the battery's own heater, at most ``most_w``, and whether it may be charged.

        The charger's own input knows no ramp: it charges from the limit on, and below it the array heats.
        """
        node, heater, index = self._nodes[0], self._heater, self._battery
        if index is None or node is None or node.no_charge_below_c is None:
            return 0.0, True
        here, limit = self._heat.celsius[index], node.no_charge_below_c
        charges = here >= limit - LIMIT_PLAY_K
        if heater is None or here >= limit + LIMIT_PLAY_K:
            return 0.0, charges
        need = (limit - here) * node.capacity_j_k / SETTLE_S + self._heat.lost_w(index) - own_w[index]
        return min(max(need, 0.0), heater.power_w, most_w), charges
