"""The rig joins world, chips and bus twins of one profile: the same seed gives the same bytes on every bus.

The flight software gets ``buses`` and nothing else. Whoever runs the flight calls ``advance(t_ns)`` before each tick:
valve nodes do what was due, the world moves, and the sensors' registers take their new values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, TypeVar

import msgspec
import numpy as np

from hal.frames import Vec3
from hal.profile import BoardConfig, BusConfig, ConfigError, DeviceConfig, Profile
from hil.bus.gpio import SimGpioBus
from hil.bus.i2c import SimI2cBus
from hil.bus.serial import SimSerialBus
from hil.bus.spi import SimSpiBus
from hil.can import SimCanBus
from hil.chips.cia401_valve_node import Cia401ValveNode
from hil.chips.pca9548a import Pca9548a
from hil.faults import Fault, FaultKind, Recovery
from hil.parts import PARTS
from hil.plant.world import InitialState, Truth, World
from hil.pulse_rules import PulseRuleChecker

__all__ = ["FAULTS", "Rig", "check_fault"]

T = TypeVar("T")

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

    Raises:
        ConfigError: a part that has no simulated chip.
    """

    def __init__(self, profile: Profile, initial: InitialState, seed: int) -> None:
        self.profile = profile
        self.now_ns = 0
        self.world = World(profile.body, initial, np.random.default_rng(seed))
        self.buses: dict[str, Any] = {
            name: _twin(name, bus, profile.board, self.clock, self.world.stream(f"bus {name}"))
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
        for update in self.fast:
            update(t_ns)
        for entry in self._periodic:
            if t_ns >= entry[0]:
                entry[0] += entry[1]
                entry[2](t_ns)

    def truth(self) -> Truth:
        """Everything true now."""
        return self.world.truth()

    # -- wiring

    def clock(self) -> int:
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
        self.chips[device.name] = chip
        if device.mux is not None and device.channel is not None:
            self.muxes[device.mux].attach(device.channel, device.address or 0, chip)
        else:
            self.buses[device.bus].attach(device.address, chip)

    def every(self, period_ms: int, update: Update) -> None:
        self._periodic.append([0, period_ms * MS, update])
        update(0)

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
        return _prepare(kind, parameters, self.profile)(self)


def _twin(name: str, config: BusConfig, board: BoardConfig, now_ns: Callable[[], int], rng: np.random.Generator) -> Any:
    """The twin of one bus of a board, with nothing on it yet."""
    if config.kind == "i2c":
        return SimI2cBus(name, rng, clearable=config.recovery is not None and config.recovery.scl_line is not None)
    if config.kind == "spi":
        return SimSpiBus(name, rng)
    if config.kind == "serial":
        return SimSerialBus(name, rng)
    if config.kind == "can":
        return SimCanBus(name, rng)
    lines = dict.fromkeys((board.lines.valve_arm, board.lines.valve_enable, board.lines.watchdog_kick), False)
    for other in board.buses.values():
        if other.recovery is not None and other.recovery.mux_reset_line is not None:
            lines[other.recovery.mux_reset_line] = True
    return SimGpioBus(name, lines, now_ns, rng)


# -- faults: each is checked against body and board before anything starts


Start = Callable[[Rig], Callable[[], None]]
"""Starts a checked fault on a rig; returns what ends it."""


def check_fault(kind: str, parameters: Mapping[str, Any], profile: Profile) -> None:
    """Refuse a fault that cannot be started on a rig of this profile.

    Raises:
        ValueError: unknown kind, parameter, nozzle, bus, device or node, or a value out of range; says what is allowed.
    """
    _prepare(kind, parameters, profile)


def _prepare(kind: str, parameters: Mapping[str, Any], profile: Profile) -> Start:
    fault = FAULTS.get(kind)
    if fault is None:
        raise ValueError(f"no fault {kind!r}; faults: {', '.join(FAULTS)}")
    prepare, allowed = fault
    for name in parameters:
        if name not in allowed:
            raise ValueError(f"{kind}: no parameter {name!r}; parameters: {', '.join(allowed) or 'none'}")
    missing = [name for name, required in allowed.items() if required and name not in parameters]
    if missing:
        raise ValueError(f"{kind}: parameter {', '.join(missing)} is missing")
    return prepare(profile, **parameters)


def _nothing() -> None:
    """The end of a fault that does not end."""


def _thrust(profile: Profile, nozzle: Any, factor: float) -> Start:
    number = _nozzle(profile, nozzle)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_nozzle_thrust(number, factor)
        return lambda: rig.world.set_nozzle_thrust(number, 1.0)

    return start


def _nozzle_off(profile: Profile, nozzle: Any) -> Start:
    return _thrust(profile, nozzle, 0.0)


def _nozzle_weak(profile: Profile, nozzle: Any, factor: Any) -> Start:
    return _thrust(profile, nozzle, _share("factor", factor))


def _nozzle_stuck_on(profile: Profile, nozzle: Any) -> Start:
    number = _nozzle(profile, nozzle)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.stick_nozzle_on(number, True)
        return lambda: rig.world.stick_nozzle_on(number, False)

    return start


def _bus_fault(profile: Profile, bus: Any, **details: Any) -> Start:
    board = profile.board
    config = board.buses[_member("bus", bus, board.buses)]
    details["kind"] = details.pop("fault")
    try:
        fault = msgspec.convert(details, type=Fault, strict=True)
    except msgspec.ValidationError as error:
        kinds = ", ".join(kind.value for kind in FaultKind)
        raise ValueError(f"bus_fault: {error}; faults: {kinds}") from None
    # A twin of its own says whether such a fault has a meaning on such a bus.
    _twin(bus, config, board, lambda: 0, np.random.default_rng(0)).inject(fault)
    if fault.until is Recovery.POWER and (config.recovery is None or config.recovery.rail is None):
        raise ValueError(f"bus_fault: until is power, but the board switches no rail of {bus}")
    here = [device for device in board.devices if device.bus == bus]
    if fault.address is not None:
        _member(f"address on {bus}", fault.address, [d.address for d in here if d.address is not None])
    if fault.channel is not None:
        _member(f"channel on {bus}", fault.channel, sorted({d.channel for d in here if d.channel is not None}))

    def start(rig: Rig) -> Callable[[], None]:
        twin = rig.buses[bus]
        handle = twin.inject(fault)
        return lambda: twin.clear(handle)

    return start


def _valve_node_reset(profile: Profile, node: Any) -> Start:
    name = _member("node", node, [d.name for d in profile.board.devices if d.role == "valve_node"])

    def start(rig: Rig) -> Callable[[], None]:
        rig.nodes[name].reset(rig.now_ns)
        return _nothing

    return start


def _device_reset(profile: Profile, device: Any) -> Start:
    roles = {d.name: d.role for d in profile.board.devices}
    name = _member("device", device, roles)
    if roles[name] == "valve_node":
        return _valve_node_reset(profile, name)

    def start(rig: Rig) -> Callable[[], None]:
        rig.chips[name].reset()
        return _nothing

    return start


def _panel(profile: Profile, factor: Any) -> Start:  # noqa: ARG001 - one form for all
    share = _share("factor", factor)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_panel(share)
        return lambda: rig.world.set_panel(1.0)

    return start


def _eclipse(profile: Profile) -> Start:  # noqa: ARG001
    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_eclipse(True)
        return lambda: rig.world.set_eclipse(False)

    return start


def _disturbance(profile: Profile, force_n: Any = (0, 0, 0), torque_n_m: Any = (0, 0, 0)) -> Start:  # noqa: ARG001
    force, torque = _vector("force_n", force_n), _vector("torque_n_m", torque_n_m)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_disturbance(force, torque)
        return lambda: rig.world.set_disturbance((0.0, 0.0, 0.0), (0.0, 0.0, 0.0))

    return start


def _soc_battery(profile: Profile, value: Any) -> Start:  # noqa: ARG001
    share = _share("value", value)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_battery_soc(share)
        return _nothing

    return start


def _soc_supercap(profile: Profile, value: Any) -> Start:  # noqa: ARG001
    share = _share("value", value)

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_supercap_soc(share)
        return _nothing

    return start


def _temperature(profile: Profile, node: Any, celsius: Any) -> Start:
    name = _member("node", node, [n.name for n in profile.body.thermal.nodes])
    value = _number("celsius", celsius)
    if not -120.0 <= value <= 160.0:
        raise ValueError(f"celsius is {value:g}; -120..160 is allowed")

    def start(rig: Rig) -> Callable[[], None]:
        rig.world.set_temperature(name, value)
        return _nothing

    return start


def _nozzle(profile: Profile, value: Any) -> int:
    count = len(profile.body.propulsion.nozzles)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise ValueError(f"nozzle is {value!r}; 0..{count - 1} are allowed")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name} is {value!r}; a finite number is needed")
    return float(value)


def _share(name: str, value: Any) -> float:
    share = _number(name, value)
    if not 0.0 <= share <= 1.0:
        raise ValueError(f"{name} is {value!r}; 0..1 is allowed")
    return share


def _vector(name: str, value: Any) -> Vec3:
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError(f"{name} must be three numbers, got {value!r}")
    return (_number(name, value[0]), _number(name, value[1]), _number(name, value[2]))


def _member(what: str, name: Any, known: Iterable[T]) -> T:
    """The one of ``known`` that equals ``name``."""
    listed = list(known)
    if name not in listed:
        raise ValueError(f"no {what} {name!r}; there are: {', '.join(str(k) for k in listed)}")
    return listed[listed.index(name)]


FAULTS: dict[str, tuple[Callable[..., Start], dict[str, bool]]] = {
    "nozzle_off": (_nozzle_off, {"nozzle": True}),
    "nozzle_weak": (_nozzle_weak, {"nozzle": True, "factor": True}),
    "nozzle_stuck_on": (_nozzle_stuck_on, {"nozzle": True}),
    "bus_fault": (
        _bus_fault,
        {"bus": True, "fault": True, "address": False, "channel": False, "line": False, "probability": False,
         "byte": False, "bit": False, "count": False, "until": False},
    ),
    "valve_node_reset": (_valve_node_reset, {"node": True}),
    "device_reset": (_device_reset, {"device": True}),
    "panel": (_panel, {"factor": True}),
    "eclipse": (_eclipse, {}),
    "disturbance": (_disturbance, {"force_n": False, "torque_n_m": False}),
    "soc_battery": (_soc_battery, {"value": True}),
    "soc_supercap": (_soc_supercap, {"value": True}),
    "temperature": (_temperature, {"node": True, "celsius": True}),
}
"""Kinds of faults: how each is checked and prepared, and its parameters (name: whether it must be given)."""
