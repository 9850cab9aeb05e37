"""Heater control: keeps stores, valves and computer above their cold limits with the power there is, and no more.

A thermostat for each heater says what it wants; the wanted ones share the headroom in a fixed order: battery, clusters
by how near they are to the limit below which they may not fire, supercapacitor, computer. A heater that has waited ten
minutes goes first once, so none starves; only a battery that is near its own limit does not wait for that. The sum
never exceeds the headroom.

Without a trusted temperature a heater goes on by the model of its node (heater_model.py), from the last temperature
that was known: it is neither left on for ever nor left off in the cold. The same holds for a heater whose node shows
nothing of its heat. Of contradicting sensors neither is believed beyond the model: it is kept between them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from math import inf, isfinite

from fdir.codes import Code
from firmware_py.energy.heater_model import SECOND, HeatedNode, HeaterFault, HeaterWatch, Surroundings
from firmware_py.energy.thermal_node import NodeVerdict
from firmware_py.energy.trust import Trust
from hal.profile.body import BodyConfig, HeaterConfig, ThermalNode

__all__ = ["HeaterControl", "HeaterEvent", "HeaterPlan", "HeaterReason", "HeaterState"]

MIN_ON_NS = MIN_OFF_NS = 30 * SECOND
STARVED_NS = 600 * SECOND
"""A heater that has waited that long goes first. The fastest node, a cluster, loses 3.2 W/K of 200 J/K: ten minutes
are its whole cooling, but hull and clusters together take over an hour."""
SURVIVAL_ON_K, SURVIVAL_OFF_K = 3.0, 6.0
"""With little energy a heater holds its node that far above its hard limit, and not more."""
BATTERY_RANK, CLUSTER_RANK, SUPERCAP_RANK, CORE_RANK, OTHER_RANK, FAILED_RANK = range(6)
_RANKS = {"battery": BATTERY_RANK, "supercap": SUPERCAP_RANK, "core": CORE_RANK}

NO_HEAT: Mapping[str, float] = {}


@unique
class HeaterReason(StrEnum):
    """Why a heater is on or off."""

    WARM = "warm enough"
    COLD = "cold"
    BLIND = "by the model"
    """On or off as the model of its node wants: its temperature is not known, its sensor or its heater not trusted."""
    MIN_ON = "least on-time"
    MIN_OFF = "least off-time"
    NO_HEADROOM = "no headroom"
    LOW_ENERGY = "low energy"


@dataclass(frozen=True, slots=True)
class HeaterState:
    """One heater as wanted now."""

    load: str
    node: str
    on: bool
    reason: HeaterReason
    fault: HeaterFault


@dataclass(frozen=True, slots=True)
class HeaterEvent:
    """An edge of one heater: it stopped obeying, or had to wait ten minutes for power; or that is over."""

    code: Code
    load: str
    active: bool
    fault: HeaterFault


@dataclass(frozen=True, slots=True)
class HeaterPlan:
    """Loads that should be on, their power, and the power of those that want to be on and may not, W."""

    on: frozenset[str]
    watts: float
    denied_w: float
    heaters: tuple[HeaterState, ...]
    events: tuple[HeaterEvent, ...] = ()


class _Thermostat:
    """One heater: what it goes by, what it wants, and since when."""

    __slots__ = (
        "_low", "_normal", "_state", "celsius", "config", "limit_c", "load", "modelled", "node", "on", "power_w",
        "rank", "reason", "since_ns", "told", "told_starved", "waiting_ns", "wants", "watch",
    )

    def __init__(self, body: BodyConfig, config: HeaterConfig, node: ThermalNode) -> None:
        self.config, self.load, self.power_w = config, config.load, config.power_w
        self.node = HeatedNode(body, config)
        self.watch = HeaterWatch(self.node, config)
        clusters = {nozzle.cluster for nozzle in body.propulsion.nozzles}
        self.rank = CLUSTER_RANK if node.name in clusters else _RANKS.get(node.name, OTHER_RANK)
        limits = (node.no_charge_below_c, node.no_discharge_below_c, node.no_fire_below_c)
        hard = max((limit for limit in limits if limit is not None), default=None)
        self.limit_c = config.on_c if hard is None else hard
        self._normal = (config.on_c, config.off_c)
        self._low: tuple[float, float] | None = None
        if self.rank == BATTERY_RANK:
            self._low = self._normal
        elif hard is not None:
            self._low = (min(config.on_c, hard + SURVIVAL_ON_K), min(config.off_c, hard + SURVIVAL_OFF_K))
        self.celsius = config.on_c
        """What it goes by; as if it were just due for heat until a temperature is known."""
        self.modelled = True
        self.wants = self.on = self.told_starved = False
        self.reason = HeaterReason.WARM
        self.since_ns: int | None = None
        self.waiting_ns: int | None = None
        self.told = HeaterFault.NONE
        self._state: HeaterState | None = None

    def look(
        self, now_ns: int, dt_s: float, powered: bool, own_w: float, verdict: NodeVerdict | None, hidden: bool
    ) -> None:
        """Predict, measure, and judge the heater, but for times in which other heat hides it."""
        hot = None if verdict is None or verdict.modelled else verdict.hot_c
        cold = None if verdict is None or verdict.modelled else verdict.cold_c
        trusted = hot if verdict is not None and verdict.trust is not Trust.CONFLICTING else None
        judged = trusted if self.node.certain else None
        self.watch.step(now_ns, dt_s, powered, inf if hidden else own_w, judged)
        fault = self.watch.fault
        self.modelled = trusted is None or fault is HeaterFault.FAILED or fault is HeaterFault.DOUBTED
        if trusted is not None and not self.modelled:
            self.celsius = trusted
            return
        heat_w = own_w + self.power_w if powered else own_w
        self.celsius = self.node.after(self.celsius, dt_s, heat_w)
        if trusted is None and hot is not None and cold is not None:
            self.celsius = min(max(self.celsius, cold), hot)

    def want(self, low_energy: bool) -> None:
        """On at or below one temperature, off at or above the other; neither with little energy and no hard limit."""
        levels = self._low if low_energy else self._normal
        if levels is None:
            self.wants, self.reason = False, HeaterReason.LOW_ENERGY
            return
        on_c, off_c = levels
        self.wants = self.celsius < off_c if self.wants else self.celsius <= on_c
        cold = HeaterReason.COLD if self.wants else HeaterReason.WARM
        self.reason = HeaterReason.BLIND if self.modelled else cold

    def order(self, now_ns: int) -> tuple[bool, bool, int, float]:
        """Key of its place in the row, the first lowest."""
        margin_k = self.celsius - self.limit_c
        rank = FAILED_RANK if self.watch.fault is HeaterFault.FAILED else self.rank
        urgent = rank == BATTERY_RANK and margin_k <= SURVIVAL_ON_K
        return not urgent, not self.starved(now_ns), rank, margin_k

    def starved(self, now_ns: int) -> bool:
        """Whether it has wanted power for ten minutes and had none."""
        return self.waiting_ns is not None and now_ns - self.waiting_ns >= STARVED_NS

    def bound(self, now_ns: int, least_ns: int) -> bool:
        """Whether it was switched less than ``least_ns`` ago."""
        return self.since_ns is not None and now_ns - self.since_ns < least_ns

    def settle(self, now_ns: int, on: bool, denied: bool) -> None:
        """Take the decision of this step."""
        if on != self.on:
            self.on, self.since_ns = on, now_ns
        if not denied:
            self.waiting_ns = None
        elif self.waiting_ns is None:
            self.waiting_ns = now_ns

    def state(self) -> HeaterState:
        """As it is now; a new one is made only when it changes."""
        old, fault = self._state, self.watch.fault
        if old is None or old.on is not self.on or old.reason is not self.reason or old.fault is not fault:
            self._state = old = HeaterState(self.load, self.config.node, self.on, self.reason, fault)
        return old

    def edges(self, now_ns: int) -> list[HeaterEvent]:
        """What is new to tell."""
        events: list[HeaterEvent] = []
        fault, starved = self.watch.fault, self.starved(now_ns)
        if fault is not self.told:
            for edge, active in ((self.told, False), (fault, True)):
                if edge is not HeaterFault.NONE:
                    doubted = edge is HeaterFault.DOUBTED
                    code = Code.SENSOR_DEGRADED if doubted else Code.LOAD_DISOBEYS
                    events.append(HeaterEvent(code, self.load, active, edge))
            self.told = fault
        if starved > self.told_starved or (self.told_starved and not self.wants):
            # A turn of half a minute does not end it.
            self.told_starved = starved
            events.append(HeaterEvent(Code.PDU_DENIED, self.load, starved, fault))
        return events


class HeaterControl:
    """All heaters of one body. Owns their thermostats; the load manager switches what is wanted."""

    def __init__(self, body: BodyConfig) -> None:
        nodes = {node.name: node for node in body.thermal.nodes}
        self._heaters = tuple(_Thermostat(body, heater, nodes[heater.node]) for heater in body.thermal.heaters)
        self._around = Surroundings(body)
        self._last_ns: int | None = None
        self._plan = HeaterPlan(frozenset(), 0.0, 0.0, tuple(heater.state() for heater in self._heaters))
        self.refused = 0
        """Headrooms and own heats that were not finite."""

    @property
    def modelled(self) -> dict[str, float]:
        """The model's temperatures of heated nodes that are not measured, deg C: for the thermal guard."""
        return {heater.config.node: heater.celsius for heater in self._heaters if heater.modelled}

    def step(
        self,
        now_ns: int,
        nodes: Mapping[str, NodeVerdict],
        headroom_w: float,
        *,
        low_energy: bool = False,
        powered: Collection[str] | None = None,
        own_heat_w: Mapping[str, float] = NO_HEAT,
        ambient_c: float | None = None,
        hidden: Collection[str] = (),
    ) -> HeaterPlan:
        """Decide which heaters should be on.

        Args:
            now_ns: flight clock.
            nodes: what the thermal guard says of each.
            headroom_w: power for all heaters together; not finite or negative: none.
            low_energy: the battery is below its shed level: only the battery's heater, and those of nodes with a hard
                limit close to it.
            powered: loads that were really fed since the last step; by default those of the last plan.
            own_heat_w: heat that nodes make themselves, as far as it is known (electronics, open nozzles), W.
            ambient_c: surroundings of the craft if they are known; otherwise see ``Surroundings``.
            hidden: nodes that make more heat than their heater and nobody knows how much: not judged meanwhile.
        """
        dt_s = 0.0 if self._last_ns is None else max(now_ns - self._last_ns, 0) * 1e-9
        self._last_ns = now_ns
        fed = self._plan.on if powered is None else powered
        own_heat_w = self._finite(own_heat_w)
        around = self._around
        around.look(nodes, self.modelled, own_heat_w, ambient_c)
        for heater in self._heaters:
            node = heater.config.node
            own_w = own_heat_w.get(node, 0.0)
            heater.node.surround(around)
            heater.look(now_ns, dt_s, heater.load in fed, own_w, nodes.get(node), node in hidden)
            heater.want(low_energy)
        if not (isfinite(headroom_w) and headroom_w >= 0.0):
            self.refused += 1
            headroom_w = 0.0
        self._plan = self._share(now_ns, headroom_w)
        return self._plan

    def _finite(self, heat_w: Mapping[str, float]) -> Mapping[str, float]:
        """Own heats without those that are no number."""
        good = {node: watts for node, watts in heat_w.items() if isfinite(watts)}
        self.refused += len(heat_w) - len(good)
        return good

    def _share(self, now_ns: int, headroom_w: float) -> HeaterPlan:
        """Hand the headroom out: first to those that may not be switched off yet, then in order."""
        row = [h for h in self._heaters if h.wants or (h.on and h.reason is not HeaterReason.LOW_ENERGY)]
        if len(row) > 1:
            row.sort(key=lambda heater: heater.order(now_ns))
        left_w, held = headroom_w, []
        for heater in row:
            if heater.on and heater.bound(now_ns, MIN_ON_NS) and heater.power_w <= left_w:
                held.append(heater)
                left_w -= heater.power_w
        chosen, denied = self._admit(now_ns, row, held, headroom_w, left_w)
        watts = denied_w = 0.0
        events: list[HeaterEvent] = []
        for heater in self._heaters:
            events += heater.edges(now_ns)
            heater.settle(now_ns, heater in chosen, heater in denied)
            watts += heater.power_w if heater.on else 0.0
            denied_w += heater.power_w if heater in denied else 0.0
        on = frozenset(heater.load for heater in chosen)
        states = tuple(heater.state() for heater in self._heaters)
        return HeaterPlan(on, watts, denied_w, states, tuple(events))

    def _admit(
        self, now_ns: int, row: list[_Thermostat], held: list[_Thermostat], headroom_w: float, left_w: float
    ) -> tuple[list[_Thermostat], list[_Thermostat]]:
        """Who is on, and who wants to be and may not. A heater that only waits for a lesser one's least on-time keeps
        its place: nobody after it takes the room."""
        chosen, denied, before_w, reserved = list(held), [], 0.0, False
        for heater in row:
            if heater in held:
                before_w += heater.power_w
                heater.reason = heater.reason if heater.wants else HeaterReason.MIN_ON
            elif not heater.wants:
                continue
            elif not heater.on and heater.bound(now_ns, MIN_OFF_NS):
                heater.reason = HeaterReason.MIN_OFF
            elif heater.power_w <= left_w and not reserved:
                chosen.append(heater)
                left_w -= heater.power_w
                before_w += heater.power_w
            else:
                heater.reason = HeaterReason.NO_HEADROOM
                denied.append(heater)
                reserved |= before_w + heater.power_w <= headroom_w
        return chosen, denied

