"""Thermal guard: what heat and cold forbid, node by node, with hysteresis, latches and a reason for each.

One step takes the newest readings and answers what is blocked, which clusters may not fire, and how much of its power
each store and the computer may have. A trip acts on the step after it was detected, and its end likewise. What a
missing or contradicting temperature would have to guard is ``unsure``: it goes on, and dangerous commands wait.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, unique

from fdir.codes import Code
from firmware_py.energy.temperature import HIGHEST_C, LOWEST_C, NodeTemperature
from firmware_py.energy.thermal_node import NodeGuard, NodeVerdict, ThermalEvent
from firmware_py.energy.trust import Trust
from hal.profile.body import BodyConfig, ThermalNode
from hal.reading import Reading

__all__ = ["CoreAlarm", "Function", "ThermalGuard", "ThermalVerdict", "fastest_change_k_s"]

NONE: Sequence[Reading[float]] = ()
NO_OTHERS: Mapping[str, Sequence[Reading[float]]] = {}
NO_MODEL: Mapping[str, float] = {}


@unique
class Function(StrEnum):
    """What a node's trip can block, beside the clusters."""

    NBL = "nbl"
    RADAR = "radar"
    TRANSPONDER = "transponder"
    SCANS = "scans"
    COMMS = "comms"
    ATTACH = "attach"
    CHARGE = "charge"
    PEAKS = "peaks"


NO_FUNCTIONS: frozenset[Function] = frozenset()
NO_CLUSTERS: frozenset[str] = frozenset()
DANGEROUS = frozenset({Function.NBL, Function.ATTACH, Function.CHARGE, Function.PEAKS})
"""What must not begin on a temperature that is not known. The rest is harmless for a while, and losing the radio for
the sake of a sensor would not be."""
_BLOCKS: dict[str, frozenset[Function]] = {
    "core": frozenset({Function.NBL}),
    "pdu": frozenset({Function.RADAR, Function.TRANSPONDER, Function.NBL}),
    "sensor_head": frozenset({Function.SCANS}),
    "comms": frozenset({Function.COMMS}),
    "battery": frozenset({Function.CHARGE, Function.PEAKS}),
    "supercap": frozenset({Function.PEAKS}),
    "dock_bridge": frozenset({Function.ATTACH}),
}
"""CANON section 6, last paragraph; stores: what heats them. Bayonets and modules by the beginning of their names."""
_HOT_CODES = {
    "battery": Code.BAT_HOT, "supercap": Code.CAP_HOT, "sensor_head": Code.SENSOR_HEAD_HOT, "comms": Code.COMMS_HOT,
}
_ATTACHED = ("bayonet", "module")

CORE_ALARM_C = 70.0
CORE_ALARM_NS, CORE_QUIET_NS = 3_000_000_000, 30_000_000_000
"""Ground rule (CANON section 6): core above 70 C for 3 s, 30 s between alarms."""


@dataclass(frozen=True, slots=True)
class ThermalVerdict:
    """What heat and cold allow now, for a whole craft.

    ``tripped`` nodes are those whose trip acts now, ``blocked`` what they block; ``barred_clusters`` may not fire, for
    the reason given. ``unsure`` and ``unsure_clusters`` may go on but not begin, for want of a trusted temperature.
    Shares are 0..1 of full power: charging and discharging the battery, charging the stack, drawing on it, computing.
    Of a store that is not known nothing may be charged, and of the stack nothing drawn; an unknown battery is drawn on
    (the craft would die of a sensor), and base loads are fed whatever ``discharge_share`` says.
    """

    nodes: Mapping[str, NodeVerdict]
    tripped: frozenset[str]
    blocked: frozenset[Function]
    barred_clusters: Mapping[str, Code]
    unsure: frozenset[Function]
    unsure_clusters: frozenset[str]
    unknown: tuple[str, ...]
    charge_share: float
    discharge_share: float
    stack_charge_share: float
    stack_share: float
    compute_share: float
    hottest_share: float | None
    """Largest (T - warn) / (trip - warn); a node that falls silent keeps its last one. ``None``: never measured."""
    core_alarm: bool
    """Ground's alarm on a warm core begins with this step."""
    events: tuple[ThermalEvent, ...] = ()


def fastest_change_k_s(body: BodyConfig, node: ThermalNode) -> float:
    """How fast a node can change at most, K/s: all electrical power of the craft turned to heat in it, its jets and
    its heater, and exchange over the whole range of temperatures with everything it is coupled to."""
    thermal, power = body.thermal, body.power
    source_w = power.bus.full_v * power.bus.current_limit_a
    if power.dock is not None:
        source_w = max(source_w, power.dock.power_max_w)
    heat_w = source_w + power.supercap.discharge_max_w
    heat_w += sum(heater.power_w for heater in thermal.heaters if heater.node == node.name)
    heat_w += body.propulsion.cluster_heat_w * sum(n.cluster == node.name for n in body.propulsion.nozzles)
    exchange = (node.cooling_w_k + thermal.ambient_exchange_w_k) / thermal.insulation
    exchange += sum(c.conductance_w_k for c in thermal.couplings if node.name in c.between)
    return (heat_w + exchange * (HIGHEST_C - LOWEST_C)) / node.capacity_j_k


def _functions(name: str) -> frozenset[Function]:
    return _BLOCKS["dock_bridge"] if name.startswith(_ATTACHED) else _BLOCKS.get(name, frozenset())


class CoreAlarm:
    """Ground's alarm on the core: above 70 C for 3 s; once an excursion, and never twice within 30 s."""

    __slots__ = ("_above_ns", "_alarm_ns", "_told")

    def __init__(self) -> None:
        self._above_ns: int | None = None
        self._alarm_ns: int | None = None
        self._told = False

    def step(self, now_ns: int, celsius: float | None) -> bool:
        """Whether to alarm now. An unknown temperature neither counts nor ends anything."""
        if celsius is None:
            return False
        if not celsius > CORE_ALARM_C:
            self._above_ns, self._told = None, False
            return False
        if self._above_ns is None:
            self._above_ns = now_ns
        quiet = self._alarm_ns is not None and now_ns - self._alarm_ns < CORE_QUIET_NS
        if self._told or quiet or now_ns - self._above_ns < CORE_ALARM_NS:
            return False
        self._told, self._alarm_ns = True, now_ns
        return True


class ThermalGuard:
    """Guard of all nodes of one body. Call ``step`` at any rate: only new samples count towards persistence."""

    def __init__(self, body: BodyConfig) -> None:
        self._clusters = frozenset(nozzle.cluster for nozzle in body.propulsion.nozzles)
        self._guards = tuple(self._guard(body, node) for node in body.thermal.nodes)
        self._functions = {node.name: _functions(node.name) for node in body.thermal.nodes}
        self._core = next((guard for guard in self._guards if guard.config.name == "core"), None)
        self._latched = self._acting = NO_CLUSTERS
        self._blocked = NO_FUNCTIONS
        self._compute_share = 1.0
        self._alarm = CoreAlarm()
        self._verdict = self._join((), False)

    def _guard(self, body: BodyConfig, node: ThermalNode) -> NodeGuard:
        name, cluster = node.name, node.name in self._clusters
        hot = Code.RCS_CLUSTER_HOT if cluster else _HOT_CODES.get(name, Code.THERMAL_NODE_HOT)
        cold = Code.RCS_CLUSTER_COLD if cluster else Code.BAT_COLD if name == "battery" else Code.THERMAL_BLOCK
        block = Code.PDU_THERMAL_BLOCK if name == "pdu" else None
        if Function.ATTACH in _functions(name):
            block = Code.BAYONET_THERMAL_BLOCK
        return NodeGuard(node, NodeTemperature(fastest_change_k_s(body, node)), hot, cold, block)

    def step(
        self,
        now_ns: int,
        readings: Mapping[str, Reading[float]],
        others: Mapping[str, Sequence[Reading[float]]] = NO_OTHERS,
        modelled: Mapping[str, float] = NO_MODEL,
    ) -> ThermalVerdict:
        """Judge the newest temperatures, deg C by node.

        Args:
            now_ns: flight clock.
            readings: of each node's own sensor; a node that is left out has none.
            others: of further sensors that measure the same node (a battery gauge's, a charger's), always in the same
                order; they only ever narrow what is allowed, or stand in.
            modelled: a model's values for nodes that no sensor tells; they are marked, and never more than degraded.
        """
        acting, fresh = self._latched, False
        events: list[ThermalEvent] = []
        for guard in self._guards:
            name = guard.config.name
            new = guard.heat.step(readings.get(name), others.get(name, NONE), modelled.get(name))
            fresh |= guard.step(now_ns, new)
            if guard.events:
                events += guard.events
                guard.events.clear()
        if fresh:
            latched = frozenset(guard.config.name for guard in self._guards if guard.tripped)
            self._latched = self._latched if latched == self._latched else latched
        acts = acting is not self._acting
        if acts:
            self._act(acting, events)
        alarm = self._core is not None and self._alarm.step(now_ns, self._core.heat.hot_c)
        if fresh or acts:
            self._verdict = self._join(tuple(events), alarm)
        elif events or alarm or self._verdict.events or self._verdict.core_alarm:
            self._verdict = replace(self._verdict, events=tuple(events), core_alarm=alarm)
        return self._verdict

    def _act(self, acting: frozenset[str], events: list[ThermalEvent]) -> None:
        """Let trips that were detected in the step before act, or end."""
        for guard in self._guards:
            name, code = guard.config.name, guard.block_code
            if code is not None and (name in acting) != (name in self._acting):
                events.append(ThermalEvent(code, name, name in acting, guard.heat.hot_c))
        self._acting = acting
        self._blocked = NO_FUNCTIONS.union(*(self._functions[name] for name in acting))

    def _join(self, events: tuple[ThermalEvent, ...], alarm: bool) -> ThermalVerdict:
        verdicts = {guard.config.name: guard.verdict for guard in self._guards}
        barred: dict[str, Code] = {}
        doubted: list[str] = []
        unknown: list[str] = []
        shares: list[float] = []
        for guard in self._guards:
            verdict, name = guard.verdict, guard.config.name
            if name in self._clusters and (verdict.no_fire or name in self._acting):
                barred[name] = Code.RCS_CLUSTER_HOT if name in self._acting else Code.RCS_CLUSTER_COLD
            if verdict.trust is not Trust.TRUSTED and not verdict.trust.usable:
                doubted.append(name)
            if verdict.hot_c is None:
                unknown.append(name)
            if guard.hot_share is not None:
                shares.append(guard.hot_share)
        battery, stack = verdicts.get("battery"), verdicts.get("supercap")
        if self._core is not None and self._core.verdict.share is not None:
            # Kept while the core is unknown; the computer's own sensor guards it as well (computer.py).
            self._compute_share = self._core.verdict.share
        return ThermalVerdict(
            verdicts, self._acting, self._blocked, barred, *self._doubts(doubted), tuple(unknown),
            1.0 if battery is None else _known(battery.charge_share, 0.0),
            1.0 if battery is None else _known(battery.discharge_share, 1.0),
            1.0 if stack is None else _known(stack.charge_share, 0.0),
            1.0 if stack is None else _known(stack.discharge_share, 0.0),
            self._compute_share, max(shares, default=None), alarm, events,
        )

    def _doubts(self, nodes: list[str]) -> tuple[frozenset[Function], frozenset[str]]:
        """Dangerous functions and clusters that rest on these nodes."""
        if not nodes:
            return NO_FUNCTIONS, NO_CLUSTERS
        functions = NO_FUNCTIONS.union(*(self._functions[name] for name in nodes))
        return functions & DANGEROUS, self._clusters.intersection(nodes)


def _known(share: float | None, otherwise: float) -> float:
    return otherwise if share is None else share
