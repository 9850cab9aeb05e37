"""What a heated node should do: its predicted temperature, and how much heat its heater really gives.

One lumped node of CANON section 6, ``C dT/dt = P + Q - G_ambient (T - T_ambient) - sum k (T - T_other)``, with what is
known of its surroundings, solved exactly for any step. A node without a trusted temperature is heated by it, so that
a lost sensor leaves neither a heater on for ever nor a battery to freeze; and it tells a heater's real power from the
temperatures before and after.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum, unique
from math import exp, isfinite

from firmware_py.energy.temperature import HIGHEST_C, LOWEST_C
from firmware_py.energy.thermal_node import NodeVerdict
from firmware_py.energy.trust import Trust
from hal.profile.body import BodyConfig, HeaterConfig

__all__ = ["HeatedNode", "HeaterFault", "HeaterWatch", "Surroundings", "neighbours"]

SECOND = 1_000_000_000
ROOM_C = 20.0
"""When nothing tells how cold ambient is, heaters are held to what would not bring their nodes above the warning in a
room of that temperature: a mistaken heater must not be worse than the cold. On qiki-t the battery is then at -20 C
where it is -60 C outside and at 60 C in the room, give or take its thermostat's 2.5 K."""
WARMED = frozenset({"core", "pdu", "supercap", "battery"})
"""Nodes with electronics in them: never as cold as ambient."""
WINDOW_S = 60.0
WINDOW_RISE_K = 4.5
"""A window of judgement lasts 60 s, or until the heater alone warms its node by that much: a third of it, what a
failed heater must stay under, is above a sensor's error of 1 K."""
WINDOWS = 2
"""Windows in a row that must agree."""
FAILED_BELOW, WORKS_FROM = 1.0 / 3.0, 0.5
"""Share of its power below which a heater that is on has failed, and from which it works again."""
STUCK_ABOVE = 2.0 / 3.0
"""Share of its power above which a heater that is off must be on; it is believed off again below ``FAILED_BELOW``."""
SURELY_WARM_K = 10.0
SLOW_FACTOR, SLOW_NS = 2, 600 * SECOND
"""A sensor does not follow if the heater has not reached its end in twice the time, and ten minutes more, that should
have taken the node 10 K beyond it. A heater that is too weak for the cold is not mistaken for that: its prediction
never comes so far, even with surroundings believed 10 K too warm."""
FOLLOWS_K = 3.0
"""A doubted sensor is believed again once it has moved by that much."""


@unique
class HeaterFault(StrEnum):
    """What is wrong with a heater, or with what its thermostat goes by."""

    NONE = "none"
    FAILED = "failed"
    """On, and its node does not get the heat."""
    STUCK_ON = "stuck on"
    """Off, and its node gets its heat."""
    DOUBTED = "sensor does not follow"
    """On for much longer than its node needs to get warm, and the sensor shows nothing of it."""


class Surroundings:
    """Temperatures of all nodes and of ambient, deg C, as far as they are known; the rest is estimated.

    A node that is not measured is taken to be where its neighbours, ambient and its own heat would leave it. Ambient is
    as cold as the coldest measured node, if that is one which neither heater nor electronics warm: nothing is colder
    than what surrounds it for long. Otherwise it is the body's own, but not so cold that what the heaters do against it
    could bring a node to its warning in a warm room.
    """

    __slots__ = ("_dark_c", "_nodes", "_outer", "_to_ambient", "ambient_c", "celsius", "measured")

    def __init__(self, body: BodyConfig) -> None:
        thermal = body.thermal
        nodes = {node.name: node for node in thermal.nodes}
        self._to_ambient = {
            name: (node.cooling_w_k + thermal.ambient_exchange_w_k) / thermal.insulation for name, node in nodes.items()
        }
        self._nodes = {name: neighbours(body, name) for name in nodes}
        heated = {heater.node for heater in thermal.heaters}
        self._outer = frozenset(nodes) - heated - WARMED
        lowest = (0.5 * (h.on_c + h.off_c) - nodes[h.node].warn_c + ROOM_C for h in thermal.heaters)
        self._dark_c = max(thermal.ambient_c, max(lowest, default=thermal.ambient_c))
        self.ambient_c = self._dark_c
        self.celsius: dict[str, float] = dict.fromkeys(nodes, self._dark_c)
        self.measured: dict[str, float] = {}

    def look(
        self,
        nodes: Mapping[str, NodeVerdict],
        predicted: Mapping[str, float],
        own_heat_w: Mapping[str, float],
        ambient_c: float | None,
    ) -> None:
        """Take what the guard has of each node, what heated nodes are predicted to have, and ambient if it is known."""
        self.measured = measured = {
            name: verdict.hot_c for name, verdict in nodes.items()
            if verdict.hot_c is not None and not verdict.modelled and verdict.trust is not Trust.CONFLICTING
        }
        if ambient_c is None or not isfinite(ambient_c):
            coldest = min(measured.values(), default=self._dark_c)
            ambient_c = coldest if not self._outer.isdisjoint(measured) else min(self._dark_c, coldest)
        self.ambient_c = ambient_c
        self.celsius.update(measured)
        if len(measured) < len(self.celsius):
            self._estimate(predicted, own_heat_w)

    def _estimate(self, predicted: Mapping[str, float], own_heat_w: Mapping[str, float]) -> None:
        """One sweep over what is not measured; from step to step it settles by itself."""
        celsius, ambient_c = self.celsius, self.ambient_c
        for name, around in self._nodes.items():
            if name in self.measured:
                continue
            if name in predicted:
                celsius[name] = predicted[name]
                continue
            conductance = self._to_ambient[name]
            heat_w = conductance * ambient_c + own_heat_w.get(name, 0.0)
            for other, share in around:
                conductance += share
                heat_w += share * celsius[other]
            if conductance > 0.0:
                celsius[name] = min(max(heat_w / conductance, LOWEST_C), HIGHEST_C)


def neighbours(body: BodyConfig, name: str) -> tuple[tuple[str, float], ...]:
    """What a node is coupled to, with the conductance in W/K."""
    return tuple(
        (c.between[1] if c.between[0] == name else c.between[0], c.conductance_w_k)
        for c in body.thermal.couplings if name in c.between
    )


class HeatedNode:
    """Thermal model of one node with a heater."""

    __slots__ = ("_around", "_to_ambient", "capacity_j_k", "certain", "conductance", "pull_w")

    def __init__(self, body: BodyConfig, heater: HeaterConfig) -> None:
        thermal = body.thermal
        node = next(node for node in thermal.nodes if node.name == heater.node)
        self.capacity_j_k = node.capacity_j_k
        self._to_ambient = (node.cooling_w_k + thermal.ambient_exchange_w_k) / thermal.insulation
        self._around = neighbours(body, node.name)
        self.conductance = self._to_ambient + sum(share for _, share in self._around)
        """All of its exchange, W/K."""
        self.pull_w = 0.0
        """Exchange with the surroundings as they are now if the node were at 0 C, W into it."""
        self.certain = False
        """Whether everything it is coupled to is measured."""

    def surround(self, around: Surroundings) -> None:
        """Take the surroundings for the next step."""
        pull, certain = self._to_ambient * around.ambient_c, True
        for name, share in self._around:
            pull += share * around.celsius[name]
            certain = certain and name in around.measured
        self.pull_w, self.certain = pull, certain

    def after(self, celsius: float, dt_s: float, heat_w: float) -> float:
        """Temperature ``dt_s`` later with this heat in it."""
        conductance = self.conductance
        if conductance <= 0.0:
            return celsius + heat_w * dt_s / self.capacity_j_k
        rest = (heat_w + self.pull_w) / conductance
        return rest + (celsius - rest) * exp(-conductance * dt_s / self.capacity_j_k)


class HeaterWatch:
    """Judges a heater by the heat balance of its node, over windows of its on-time and of its off-time.

    A window may be made of several runs: a heater that shares its power with others is never on for long.
    """

    __slots__ = (
        "_agree", "_doubt_c", "_free_c", "_joules", "_last_c", "_model", "_off_c", "_on_ns", "_power_w", "_reached_ns",
        "_seconds", "_window_s", "fault", "measured_w",
    )

    def __init__(self, model: HeatedNode, heater: HeaterConfig) -> None:
        self._model, self._power_w, self._off_c = model, heater.power_w, heater.off_c
        self._window_s = max(WINDOW_S, WINDOW_RISE_K * model.capacity_j_k / heater.power_w)
        self._last_c: float | None = None
        self._joules, self._seconds, self._agree = [0.0, 0.0], [0.0, 0.0], [0, 0]
        self._on_ns: int | None = None
        self._reached_ns: int | None = None
        self._free_c = self._doubt_c = 0.0
        self.fault = HeaterFault.NONE
        self.measured_w: float | None = None
        """Heat that the node got beside what is known in the last full window, W; ``None`` until there was one."""

    def step(self, now_ns: int, dt_s: float, powered: bool, own_w: float, celsius: float | None) -> None:
        """Go on by ``dt_s`` in which the heater was ``powered`` and the node made ``own_w`` of heat itself.

        ``celsius`` is its measured temperature now, ``None`` if it is not trusted. Heat of its own above the heater's
        power hides the heater: such a time is not judged.
        """
        last, self._last_c = self._last_c, celsius
        if last is None or celsius is None or own_w > self._power_w:
            self._on_ns = None
            return
        model = self._model
        lost_w = model.conductance * 0.5 * (celsius + last) - model.pull_w - own_w
        self._joules[powered] += model.capacity_j_k * (celsius - last) + lost_w * dt_s
        self._seconds[powered] += dt_s
        if self._seconds[powered] >= self._window_s:
            self.measured_w = self._joules[powered] / self._seconds[powered]
            self._joules[powered] = self._seconds[powered] = 0.0
            self._judge(powered, self.measured_w / self._power_w)
        if celsius >= self._off_c:
            self._on_ns = None
            if self.fault is HeaterFault.DOUBTED:
                self.fault = HeaterFault.NONE
        elif powered or self._on_ns is not None:
            self._follow(now_ns, dt_s, own_w + self._power_w if powered else own_w, last, celsius)

    def _judge(self, powered: bool, share: float) -> None:
        """Two windows in a row make a fault, or end it; ``share`` is of the heater's power."""
        if powered:
            bad, good, found = share < FAILED_BELOW, share >= WORKS_FROM, HeaterFault.FAILED
        else:
            bad, good, found = share > STUCK_ABOVE, share < FAILED_BELOW, HeaterFault.STUCK_ON
        over = self.fault is found
        self._agree[powered] = self._agree[powered] + 1 if (good if over else bad) else 0
        if self._agree[powered] >= WINDOWS:
            self.fault = HeaterFault.NONE if over else found
            self._agree = [0, 0]

    def _follow(self, now_ns: int, dt_s: float, heat_w: float, last: float, celsius: float) -> None:
        """Hold the sensor against a prediction that runs free from when the heater came on until the node is warm."""
        if self._on_ns is None:
            self._on_ns, self._reached_ns, self._free_c = now_ns, None, last
        self._free_c = self._model.after(self._free_c, dt_s, heat_w)
        if self.fault is HeaterFault.DOUBTED:
            if abs(celsius - self._doubt_c) >= FOLLOWS_K:
                self.fault = HeaterFault.NONE
            return
        if self._reached_ns is None and self._free_c >= self._off_c + SURELY_WARM_K:
            self._reached_ns = now_ns
        if self._reached_ns is None or self.fault is not HeaterFault.NONE:
            return
        late_ns = now_ns - self._on_ns - SLOW_FACTOR * (self._reached_ns - self._on_ns)
        if late_ns > SLOW_NS:
            self.fault, self._doubt_c = HeaterFault.DOUBTED, celsius
