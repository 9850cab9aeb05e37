"""The rig joins world, chips and bus twins of one profile: the same seed gives the same bytes on every bus.

The flight software gets ``buses`` and nothing else. Whoever runs the flight calls ``advance(t_ns)`` before each tick:
valve nodes do what was due, the world moves, and the sensors' registers take their new values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hal.profile import ConfigError, DeviceConfig, Profile
from hil.bus.gpio import SimGpioBus
from hil.bus.twin import bus_twin
from hil.can import SimCanBus
from hil.chips.cia401_valve_node import Cia401ValveNode
from hil.chips.pca9548a import Pca9548a
from hil.parts import PARTS
from hil.plant.sensors import PowerMonitor
from hil.plant.world import InitialState, Truth, World
from hil.pulse_rules import PulseRuleChecker
from hil.rig_faults import FAULTS, check_fault, prepare

__all__ = ["FAULTS", "Rig", "check_fault"]

MS = 1_000_000
WATCHDOG_NS = 100 * MS
"""The external watchdog takes the enable line away this long after the last kick."""

Update = Callable[[int], None]


class Rig:
    """World, chips and buses of one craft.

    Args:
        profile: body and board; every part must have a simulated chip.
        initial: how the world begins.
        seed: of every random number on the rig.

    Attributes:
        monitors: models of the power monitors' errors, by device.
        gauge_faults: what a failed gauge reports as its charge, by device; ``None``: all that it last reported.
        stuck: rails whose switch no longer moves, by load: closed or open.
        shorted: rails with a short behind their switch, by load.
        held: which fault holds what, so that the end of an earlier one does not end a later one.
        ambient_c: temperature of the surroundings without a fault.

    Raises:
        ConfigError: a part that has no simulated chip.
    """

    def __init__(self, profile: Profile, initial: InitialState, seed: int) -> None:
        self.profile = profile
        self.now_ns = 0
        self.world = World(profile.body, initial, np.random.default_rng(seed))
        self.buses: dict[str, Any] = {
            name: bus_twin(name, bus, profile.board, self.clock, self.world.stream(f"bus {name}"))
            for name, bus in profile.board.buses.items()
        }
        self.nodes: dict[str, Cia401ValveNode] = {}
        self.chips: dict[str, Any] = {}
        rules = profile.body.propulsion
        self.checker = PulseRuleChecker(
            rules.min_on_ms, rules.min_off_ms, rules.max_burn_ms, rules.cooldown_ms, len(rules.nozzles)
        )
        self.nozzles: list[tuple[Cia401ValveNode, tuple[int, ...]]] = []
        self.fast: list[Update] = []
        self._periodic: list[list[Any]] = []
        self.muxes: dict[str, Pca9548a] = {}
        self.monitors: dict[str, PowerMonitor] = {}
        self.gauge_faults: dict[str, float | None] = {}
        self.stuck: dict[str, bool] = {}
        self.shorted: set[str] = set()
        self.held: dict[str, object] = {}
        self.ambient_c: float = self.world.thermal.ambient_c
        self._power_ups = self.world.power.power_ups
        self._last_kick_ns: int | None = None
        self._enabled = False
        for index, device in enumerate(profile.board.devices):
            if device.role == "mux":
                self._attach(device, index)
        for index, device in enumerate(profile.board.devices):
            if device.role != "mux":
                self._attach(device, index)
        self._can = [bus for bus in self.buses.values() if isinstance(bus, SimCanBus)]
        gpio = next((bus for bus in self.buses.values() if isinstance(bus, SimGpioBus)), None)
        if gpio is not None:
            gpio.on_change(self._line_changed)
        for node in self.nodes.values():
            node.power_on(0)

    # -- time

    def advance(self, t_ns: int) -> None:
        """Move everything to ``t_ns``."""
        if self._enabled and self._last_kick_ns is not None and t_ns > self._last_kick_ns + WATCHDOG_NS:
            self._set_enabled(False, max(self.now_ns, self._last_kick_ns + WATCHDOG_NS))
        for can in self._can:
            can.advance(t_ns)
        edges: list[tuple[int, int, bool]] = []
        for node, nozzles in self.nozzles:
            fresh = node.take_edges()
            if fresh:
                safety = set(node.take_safety_shuts())
                for when, output, is_on in fresh:
                    nozzle = nozzles[output]
                    edges.append((when, nozzle, is_on))
                    self.checker.feed(when, nozzle, is_on, safety=(when, output) in safety)
        self.world.advance(t_ns, edges)
        self.now_ns = t_ns
        if self.world.power.power_ups != self._power_ups:
            self._power_up()
        for update in self.fast:
            update(t_ns)
        for entry in self._periodic:
            if t_ns >= entry[0]:
                entry[0] += entry[1]
                entry[2](t_ns)

    @property
    def enabled(self) -> bool:
        """Whether the external watchdog passes the valves' enable line on."""
        return self._enabled

    def truth(self) -> Truth:
        """Everything true now."""
        return self.world.truth()

    # -- wiring

    def clock(self) -> int:
        """Time of the rig, ns: what its chips go by."""
        return self.now_ns

    def _attach(self, device: DeviceConfig, index: int) -> None:
        attach = PARTS.get(device.part)
        if attach is None:
            known = ", ".join(sorted(PARTS))
            raise ConfigError(
                self.profile.board.board, None, f"devices[{index}].part",
                f"{device.part} has no simulated chip; there are: {known}",
            )
        attach(self, device)

    def on_i2c(self, device: DeviceConfig, chip: Any) -> None:
        """Put a chip on its bus, or on its channel of a multiplexer."""
        self.chips[device.name] = chip
        if device.mux is not None and device.channel is not None:
            self.muxes[device.mux].attach(device.channel, device.address or 0, chip)
        else:
            self.buses[device.bus].attach(device.address, chip)

    def every(self, period_ms: int, update: Update) -> None:
        """Call ``update`` with the time now and then every ``period_ms``."""
        self._periodic.append([self.now_ns, period_ms * MS, update])
        update(self.now_ns)

    def temperature_of(self, node: str) -> Callable[[], float]:
        """Temperature of a thermal node, deg C; of the first one when the body has none of that name."""
        world = self.world
        name = node if node in world.temperatures_c else next(iter(world.temperatures_c))
        return lambda: world.temperatures_c[name]

    def _power_up(self) -> None:
        """The battery's protection has put the bus on again: all chips start anew."""
        self._power_ups = self.world.power.power_ups
        for name, chip in self.chips.items():
            if name in self.nodes:
                self.nodes[name].reset(self.now_ns)
            else:
                chip.reset()

    def _line_changed(self, line: str, level: bool, t_ns: int) -> None:
        lines = self.profile.board.lines
        if line == lines.watchdog_kick:
            self._last_kick_ns = t_ns
            gpio = next(b for b in self.buses.values() if isinstance(b, SimGpioBus))
            if not self._enabled and gpio.get(lines.valve_enable):
                self._set_enabled(True, t_ns)
        elif line == lines.valve_enable:
            alive = self._last_kick_ns is not None and t_ns - self._last_kick_ns <= WATCHDOG_NS
            self._set_enabled(level and alive, t_ns)
        elif line == lines.valve_arm:
            for node in self.nodes.values():
                node.set_arm_line(level, t_ns)
        elif not level:
            self._reset_muxes(line)

    def _reset_muxes(self, line: str) -> None:
        """The RESET pins of the multiplexers of a bus go low."""
        for device in self.profile.board.devices:
            recovery = self.profile.board.buses[device.bus].recovery
            if device.role == "mux" and recovery is not None and recovery.mux_reset_line == line:
                self.muxes[device.name].reset()

    def switch_rail(self, rail: str, on: bool) -> None:
        """The power distribution unit has switched a rail: the chips of the buses that it feeds lose or get power."""
        for name, bus in self.profile.board.buses.items():
            if bus.recovery is not None and bus.recovery.rail == rail:
                self.buses[name].set_power(on)

    def _set_enabled(self, level: bool, t_ns: int) -> None:
        self._enabled = level
        for node in self.nodes.values():
            node.set_enable(level, t_ns)

    # -- faults

    def inject(self, kind: str, parameters: Mapping[str, Any]) -> Callable[[], None]:
        """Start a fault of the world or of a bus; returns what ends it.

        Raises:
            ValueError: unknown kind or parameters; the text says what is allowed.
        """
        return prepare(kind, parameters, self.profile)(self)
