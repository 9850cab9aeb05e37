"""Loads body and board files; every refusal names file, line, key and what is allowed.

Schema errors come from msgspec with a path such as ``$.devices[3].address``; the line is looked up in the YAML
node tree. What a schema cannot say (unit vectors, a physical inertia, two devices on one address, harmonic rates,
controllability) is checked here too, so that a profile that loads can fly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib import resources
from math import isfinite, sqrt
from pathlib import Path
from types import UnionType
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin

import msgspec
import yaml

from drivers.bus.remote_end import endpoint_of, is_remote
from drivers.bus.remote_frames import KINDS
from hal.profile.board import ROLE_BUSES, BoardConfig, DeviceConfig
from hal.profile.body import BodyConfig
from hal.profile.digest import hardware_profile_hash

__all__ = [
    "ConfigError", "Lines", "Profile", "check_finite", "fitting_window_ms", "load_board", "load_body", "load_profile",
    "load_yaml",
]

T = TypeVar("T")
_PATH_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_SOME_KEY = "..."
"""Step of a path that names no key: msgspec's word for some entry of a mapping."""
_SUFFIXES = (".yaml", ".yml")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where it is there: ten times as fast, which a restarted craft waits for."""
_DEEPEST = 64
"""Levels of nesting; no file of ours has ten."""
_SHORTEST_WINDOW_MS = 50


class ConfigError(Exception):
    """A configuration file was refused: ``file``, ``line`` (from 1, or None), ``key`` path, and why."""

    def __init__(self, file: str, line: int | None, key: str, why: str) -> None:
        super().__init__(file, line, key, why)
        self.file, self.line, self.key, self.why = file, line, key, why

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.key}: {self.why}" if self.key else f"{where}: {self.why}"


class Profile(NamedTuple):
    """A body, a board, and the digest of both."""

    body: BodyConfig
    board: BoardConfig
    digest: str


class Lines:
    """Line numbers of a YAML document by key path."""

    def __init__(self, file: str, root: yaml.Node) -> None:
        self.file = file
        self._root = root

    def at(self, path: Iterable[str | int]) -> int:
        """Line (from 1) of the deepest node that exists along ``path``."""
        node = self._root
        line = node.start_mark.line + 1
        for step in path:
            child: yaml.Node | None = None
            if isinstance(node, yaml.MappingNode):
                for key_node, value_node in node.value:
                    if key_node.value == step:
                        child, line = value_node, key_node.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
                child = node.value[step]
                line = child.start_mark.line + 1
            if child is None:
                break
            node = child
        return line

    def error(self, path: Iterable[str | int], why: str) -> ConfigError:
        """An error that points at ``path``."""
        steps = list(path)
        key = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".")
        return ConfigError(self.file, self.at(steps), key, why)


def _refuse_odd_nodes(file: str, node: yaml.Node, known: set[int]) -> None:
    """Refuse keys given twice or that are no text, and aliases, with which ten lines can mean a billion nodes."""
    if id(node) in known:
        raise ConfigError(file, node.start_mark.line + 1, "", "anchors and aliases are not allowed; write it out")
    known.add(id(node))
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(file, line, "", "a key must be plain text")
            if key_node.value in seen:
                raise ConfigError(file, line, str(key_node.value), f"given twice, first in line {seen[key_node.value]}")
            seen[key_node.value] = line
            _refuse_odd_nodes(file, value_node, known)
    elif isinstance(node, yaml.SequenceNode):
        for child in node.value:
            _refuse_odd_nodes(file, child, known)


def _refuse_deep(file: str, text: str) -> None:
    """Refuse what is nested so deeply that composing it would end the program. Raises as parsing does."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _DEEPEST:
                line = None if event.start_mark is None else event.start_mark.line + 1
                raise ConfigError(file, line, "", "nested too deeply")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def load_yaml(path: Path, kind: type[T]) -> tuple[T, Lines]:
    """Read one YAML file as ``kind``. Returns the object and the line index for further checks."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(str(path), None, "", "no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), None, "", f"cannot be read: {error}") from None
    try:
        _refuse_deep(str(path), text)
        node = yaml.compose(text, Loader=_LOADER)
        if node is None:
            raise ConfigError(str(path), None, "", "the file is empty")
        _refuse_odd_nodes(str(path), node, set())
        data = yaml.constructor.SafeConstructor().construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        raise ConfigError(str(path), line, "", f"not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(str(path), None, "", f"not YAML: {error}") from None
    lines = Lines(str(path), node)
    try:
        return msgspec.convert(data, type=kind, strict=True), lines
    except msgspec.ValidationError as error:
        why, _, where = str(error).partition(" - at `")
        steps = _path_steps(where.rstrip("`"))
        inside = _kind_at(kind, steps)
        steps = _pinned(data, kind, steps)
        unknown = re.search(r"unknown field `([^`]+)`", why)
        if unknown:
            steps.append(unknown.group(1))
            why = f"unknown key; allowed here: {_allowed_keys(inside)}"
        raise lines.error(steps, why) from None


def _path_steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    for name, index in _PATH_STEP.findall(path):
        if name:
            steps.append(name)
        else:
            steps.append(int(index) if index.isdigit() else _SOME_KEY)
    return steps


def _kind_at(kind: Any, steps: list[str | int]) -> Any:
    """Type of what is at ``steps`` of a ``kind``, as far as it is told; ``None`` where it isn't."""
    for step in steps:
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kind = next((f.type for f in msgspec.structs.fields(kind) if f.encode_name == step), None)
        else:
            arguments = get_args(kind)
            kind = (arguments[-1] if isinstance(step, str) else arguments[0]) if arguments else None
        while hasattr(kind, "__metadata__"):
            kind = kind.__origin__
        if isinstance(kind, UnionType) or get_origin(kind) is Union:
            kind = next(k for k in get_args(kind) if k is not type(None))
    return kind


def _pinned(data: Any, kind: Any, steps: list[str | int]) -> list[str | int]:
    """The path with the names of those entries whose values are the ones that are refused."""
    pinned: list[str | int] = []
    for index, step in enumerate(steps):
        if step == _SOME_KEY:
            value_kind = _kind_at(kind, steps[: index + 1])
            found = next((name for name, value in data.items() if not _converts(value, value_kind)), None)
            if found is None:
                break
            step = str(found)
        pinned.append(step)
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            data = {}
    return pinned


def _converts(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, type=kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def _allowed_keys(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return ", ".join(f.encode_name for f in msgspec.structs.fields(kind))
    return "see docs/guide"


def find_config(folder: str, name: str) -> Path:
    """Path of a body or board: a file path, or the bare name of one that ships with the project."""
    path = Path(name)
    if path.suffix in _SUFFIXES or path.exists():
        return path
    shipped = Path(str(resources.files("board_configs") / folder))
    candidate = shipped / f"{name}.yaml"
    if not candidate.exists():
        known = ", ".join(sorted(p.stem for p in shipped.glob("*.yaml")))
        raise ConfigError(name, None, "", f"no such file, and no shipped {folder} of that name (shipped: {known})")
    return candidate


def load_body(name: str) -> BodyConfig:
    """Load and check a body by file path or shipped name."""
    body, lines = load_yaml(find_config("bodies", name), BodyConfig)
    check_finite(body, lines)
    _check_mass(body, lines)
    _check_nozzles(body, lines)
    _check_power(body, lines)
    _check_thermal(body, lines)
    return body


def load_board(name: str) -> BoardConfig:
    """Load and check a board by file path or shipped name."""
    return _load_board(name)[0]


def _load_board(name: str) -> tuple[BoardConfig, Lines]:
    board, lines = load_yaml(find_config("boards", name), BoardConfig)
    check_finite(board, lines)
    _check_rates(board, lines)
    _check_sockets(board, lines)
    _check_devices(board, lines)
    _check_isolation(board, lines)
    return board, lines


def load_profile(body: str, board: str) -> Profile:
    """Load a body and a board, check that they fit each other, and hash them."""
    body_config = load_body(body)
    board_config, lines = _load_board(board)
    _check_fit(body_config, board_config, lines)
    return Profile(body_config, board_config, hardware_profile_hash(body_config, board_config))


def fitting_window_ms(longest_ms: int, fast_hz: int) -> int | None:
    """The longest pulse window of 50..``longest_ms`` that is a whole number of fast ticks; ``None``: there is none."""
    windows = range(longest_ms, _SHORTEST_WINDOW_MS - 1, -1)
    return next((window_ms for window_ms in windows if window_ms * fast_hz % 1000 == 0), None)


def check_finite(config: Any, lines: Lines) -> None:
    """Refuse numbers that are not finite. Raises ConfigError."""

    def walk(value: Any, path: list[str | int]) -> None:
        if isinstance(value, dict):
            for key, child in value.items():
                walk(child, [*path, key])
        elif isinstance(value, list | tuple):
            for index, child in enumerate(value):
                walk(child, [*path, index])
        elif isinstance(value, float) and not isfinite(value):
            raise lines.error(path, f"{value} is not a finite number")

    walk(msgspec.to_builtins(config), [])


def _length(vector: tuple[float, ...]) -> float:
    return sqrt(sum(x * x for x in vector))


def _check_mass(body: BodyConfig, lines: Lines) -> None:
    # Here, not above: whoever reads other files than a body with this module is spared 20 MiB.
    import numpy as np

    path = ["mass", "inertia_kg_m2"]
    inertia = np.array(body.mass.inertia_kg_m2)
    if not np.allclose(inertia, inertia.T, rtol=1e-9, atol=1e-12):
        raise lines.error(path, "not symmetric: row i, column j must equal row j, column i")
    principal = np.linalg.eigvalsh(inertia)
    if principal[0] <= 0.0:
        raise lines.error(path, f"not physical: principal moment {principal[0]:.6g} kg m2, all must be above 0")
    if principal[2] > principal[0] + principal[1] + 1e-9 * principal[2]:
        raise lines.error(
            path,
            f"not physical: the largest principal moment {principal[2]:.6g} exceeds the sum of the other two "
            f"({principal[0] + principal[1]:.6g} kg m2)",
        )


def _check_nozzles(body: BodyConfig, lines: Lines) -> None:
    prop = body.propulsion
    for index, nozzle in enumerate(prop.nozzles):
        path: list[str | int] = ["propulsion", "nozzles", index]
        if nozzle.id != index:
            raise lines.error([*path, "id"], f"is {nozzle.id}; nozzles are numbered in order: {index} is allowed")
        length = _length(nozzle.direction)
        if abs(length - 1.0) > 0.01:
            raise lines.error([*path, "direction"], f"has length {length:.4f}; a unit vector within 1 % is needed")
    limits = body.limits
    if not (limits.slew_rate_deg_s <= limits.rate_deg_s and limits.docking_rate_deg_s <= limits.rate_deg_s):
        raise lines.error(["limits"], "slew_rate_deg_s and docking_rate_deg_s must not be above rate_deg_s")
    if limits.runaway_rate_deg_s <= limits.rate_deg_s:
        raise lines.error(["limits", "runaway_rate_deg_s"], f"must be above rate_deg_s ({limits.rate_deg_s})")
    if prop.max_burn_ms < prop.window_ms:
        raise lines.error(["propulsion", "max_burn_ms"], f"must not be below window_ms ({prop.window_ms})")
    if prop.min_on_ms + prop.min_off_ms > prop.window_ms:
        raise lines.error(["propulsion", "min_on_ms"], "shortest pulse and pause together exceed window_ms")
    from hal.profile.controllability import missing_axes

    missing = missing_axes(body)
    if missing:
        raise lines.error(
            ["propulsion", "nozzles"],
            "this geometry cannot push and turn in all six degrees of freedom: nothing makes "
            f"{', '.join(missing)} (about the centre of mass); qiki body show says more",
        )


def _check_power(body: BodyConfig, lines: Lines) -> None:
    power = body.power
    if power.bus.full_v <= power.bus.empty_v:
        raise lines.error(["power", "bus", "full_v"], f"must be above empty_v ({power.bus.empty_v})")
    if power.supercap.boost_soc <= power.supercap.hold_soc:
        raise lines.error(["power", "supercap", "boost_soc"], f"must be above hold_soc ({power.supercap.hold_soc})")
    if abs(_length(power.array.normal) - 1.0) > 0.01:
        raise lines.error(["power", "array", "normal"], "must be a unit vector within 1 %")
    if power.array.open_circuit_v <= power.array.max_power_v:
        why = f"must be above max_power_v ({power.array.max_power_v})"
        raise lines.error(["power", "array", "open_circuit_v"], why)
    _check_unique([load.name for load in power.loads], ["power", "loads"], lines)
    _check_charges(body, lines)
    base_w = sum(load.power_w for load in power.loads if load.base)
    if base_w > power.bus.current_limit_a * power.bus.empty_v:
        why = f"base loads of {base_w:g} W are above the bus's current limit at its lowest voltage"
        raise lines.error(["power", "bus", "current_limit_a"], why)
    dock = power.dock
    if dock is not None and not dock.lowest_v < dock.voltage_v < dock.highest_v:
        raise lines.error(["power", "dock", "voltage_v"], f"must be between {dock.lowest_v:g} and {dock.highest_v:g} V")


def _check_charges(body: BodyConfig, lines: Lines) -> None:
    """Levels of charge that contradict each other: a craft with them would shed and unshed, or never wake."""
    battery, supercap = body.power.battery, body.power.supercap
    for store, low, high in (
        ("battery", "cut_soc", "safe_soc"), ("battery", "safe_soc", "shed_soc"), ("battery", "shed_soc", "unshed_soc"),
        ("battery", "safe_soc", "wake_soc"), ("supercap", "safe_soc", "hold_soc"), ("supercap", "hold_soc", "nbl_soc"),
    ):
        config = battery if store == "battery" else supercap
        least = getattr(config, low)
        if getattr(config, high) <= least:
            raise lines.error(["power", store, high], f"must be above {low} ({least})")
    if supercap.top_up_w > supercap.charge_max_w:
        raise lines.error(["power", "supercap", "top_up_w"], f"must not be above charge_max_w {supercap.charge_max_w}")


def _check_thermal(body: BodyConfig, lines: Lines) -> None:
    thermal = body.thermal
    names = [node.name for node in thermal.nodes]
    _check_unique(names, ["thermal", "nodes"], lines)
    for index, node in enumerate(thermal.nodes):
        if not node.clear_c <= node.trip_c or not node.warn_c <= node.trip_c:
            raise lines.error(["thermal", "nodes", index], "warn_c and clear_c must not be above trip_c")
        if node.clear_c == node.trip_c:
            raise lines.error(["thermal", "nodes", index, "clear_c"], "must be below trip_c, or the trip would chatter")
        for key in ("no_charge_below_c", "no_discharge_below_c", "no_fire_below_c"):
            limit = getattr(node, key)
            if limit is not None and limit >= node.warn_c:
                raise lines.error(["thermal", "nodes", index, key], f"must be below warn_c ({node.warn_c:g})")
    for index, coupling in enumerate(thermal.couplings):
        if coupling.between[0] == coupling.between[1]:
            raise lines.error(["thermal", "couplings", index, "between"], "a node cannot be coupled to itself")
        for end in coupling.between:
            if end not in names:
                why = f"no node {end}; nodes: {', '.join(names)}"
                raise lines.error(["thermal", "couplings", index, "between"], why)
    for index, node in enumerate(thermal.nodes):
        couplings = sum(c.conductance_w_k for c in thermal.couplings if node.name in c.between)
        if node.capacity_j_k < 0.1 * (couplings + node.cooling_w_k + thermal.ambient_exchange_w_k):
            why = "time constant below 0.1 s: capacity_j_k over the sum of its conductances"
            raise lines.error(["thermal", "nodes", index], why)
    for index, heater in enumerate(thermal.heaters):
        path: list[str | int] = ["thermal", "heaters", index]
        if heater.node not in names:
            raise lines.error([*path, "node"], f"no node {heater.node}; nodes: {', '.join(names)}")
        if heater.off_c <= heater.on_c:
            raise lines.error([*path, "off_c"], f"must be above on_c ({heater.on_c:g})")
        if heater.off_c >= thermal.nodes[names.index(heater.node)].warn_c:
            raise lines.error([*path, "off_c"], "must be below the node's warn_c")
        if heater.load in {load.name for load in body.power.loads}:
            raise lines.error([*path, "node"], f"the name {heater.load} is already taken by a load")
    _check_unique([heater.node for heater in thermal.heaters], ["thermal", "heaters"], lines)
    known = set(names)
    for cluster in {nozzle.cluster for nozzle in body.propulsion.nozzles}:
        if cluster not in known:
            raise lines.error(["thermal", "nodes"], f"no node for nozzle cluster {cluster}")


def _check_unique(names: list[str], path: list[str | int], lines: Lines) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise lines.error([*path, index], f"the name {name} is already taken")


def _check_rates(board: BoardConfig, lines: Lines) -> None:
    rates = board.rates
    for fast, slow, key in ((rates.fast_hz, rates.medium_hz, "medium_hz"), (rates.medium_hz, rates.slow_hz, "slow_hz")):
        ratio = fast / slow
        if ratio < 1.0 or abs(ratio - round(ratio)) > 1e-9:
            raise lines.error(["rates", key], f"is {slow}; it must divide the next faster rate {fast} evenly")
    # The member table spreads its members over the first ticks of a period.
    if rates.fast_hz / rates.medium_hz < 3.0 - 1e-9:
        raise lines.error(["rates", "medium_hz"], f"is {rates.medium_hz}; at most a third of fast_hz is allowed")
    if not 4.0 - 1e-9 <= rates.fast_hz / rates.slow_hz <= 100_000.0:
        raise lines.error(["rates", "slow_hz"], f"is {rates.slow_hz}; fast_hz / 100000 to fast_hz / 4 is allowed")


def _check_sockets(board: BoardConfig, lines: Lines) -> None:
    """Buses that a rig plays in another process: of a kind that goes over a socket, by a device string that is one."""
    for name, bus in board.buses.items():
        if not is_remote(bus.device):
            continue
        path: list[str | int] = ["buses", name, "device"]
        if bus.kind not in KINDS:
            raise lines.error(path, f"{name} is {bus.kind}; over a socket go {', '.join(KINDS)}")
        try:
            endpoint_of(bus.device, bus.timeout_ms)
        except ValueError as error:
            raise lines.error(path, str(error)) from None


def _check_devices(board: BoardConfig, lines: Lines) -> None:
    names = [device.name for device in board.devices]
    _check_unique(names, ["devices"], lines)
    interlock = (board.lines.valve_arm, board.lines.valve_enable, board.lines.watchdog_kick)
    if len(set(interlock)) < len(interlock) or not all(line.strip() for line in interlock):
        raise lines.error(["lines"], "valve_arm, valve_enable and watchdog_kick must be three different lines")
    if sum(bus.kind == "gpio" for bus in board.buses.values()) != 1:
        raise lines.error(["buses"], "exactly one gpio bus is needed, for the valve interlock lines")
    _check_recovery(board, interlock, lines)
    muxes = {device.name: device for device in board.devices if device.role == "mux"}
    taken: dict[tuple[str, str | None, int | None, int | None], str] = {}
    upstream: dict[tuple[str, int | None], str] = {}
    behind: dict[tuple[str, int | None], DeviceConfig] = {}
    ports: dict[str, str] = {}
    for index, device in enumerate(board.devices):
        path: list[str | int] = ["devices", index]
        bus = board.buses.get(device.bus)
        if bus is None:
            raise lines.error([*path, "bus"], f"no bus {device.bus}; buses: {', '.join(board.buses)}")
        kinds = ROLE_BUSES[device.role]
        if bus.kind not in kinds:
            why = f"{device.bus} is {bus.kind}; a device with role {device.role} is on {' or '.join(kinds)}"
            raise lines.error([*path, "bus"], why)
        if bus.kind in ("i2c", "spi", "can") and device.address is None:
            raise lines.error([*path, "address"], f"missing; a device on {bus.kind} needs one")
        if bus.kind == "i2c" and not 0x08 <= (device.address or 0) <= 0x77:
            raise lines.error([*path, "address"], f"0x{device.address or 0:02x} is reserved; 0x08..0x77 is allowed")
        if device.role == "valve_node" and device.address == 0:
            raise lines.error([*path, "address"], "0 is no node id; 1..127 is allowed for a CANopen node")
        if device.role == "mux" and device.mux is not None:
            raise lines.error([*path, "mux"], "a multiplexer behind a multiplexer is not supported")
        if (device.mux is None) != (device.channel is None):
            raise lines.error([*path, "mux"], "mux and channel go together")
        if bus.kind == "serial":
            if device.address is not None:
                raise lines.error([*path, "address"], "a serial port has no addresses")
            if device.bus in ports:
                why = f"{device.name} and {ports[device.bus]} share the port {device.bus}; one device is allowed"
                raise lines.error([*path, "bus"], why)
            ports[device.bus] = device.name
        if device.mux is not None:
            mux = muxes.get(device.mux)
            if mux is None:
                raise lines.error([*path, "mux"], f"no device {device.mux} with role mux")
            if mux.bus != device.bus:
                raise lines.error([*path, "mux"], f"{device.mux} is on {mux.bus}, not on {device.bus}")
            other = behind.setdefault((device.bus, device.address), device)
            if other.mux != device.mux:
                # Each multiplexer has a channel through of its own, so both would answer at once.
                why = f"{device.name} behind {device.mux} and {other.name} behind {other.mux} share one address"
                raise lines.error([*path, "address"], f"{why} on {device.bus}")
        elif bus.kind == "i2c":
            upstream[(device.bus, device.address)] = device.name
        place = (device.bus, device.mux, device.channel, device.address)
        if place in taken:
            raise lines.error([*path, "address"], f"{device.name} and {taken[place]} share one address on {device.bus}")
        taken[place] = device.name
        if abs(_length(device.mount.orientation) - 1.0) > 1e-3:
            raise lines.error([*path, "mount", "orientation"], "must be a unit quaternion (w, x, y, z)")
        if device.role == "sun_sensor" and device.mount.normal is None:
            raise lines.error([*path, "mount", "normal"], "missing; a sun sensor needs the normal of its face")
        if device.mount.normal is not None and abs(_length(device.mount.normal) - 1.0) > 0.01:
            raise lines.error([*path, "mount", "normal"], "must be a unit vector within 1 %")
        if device.rate_hz > board.rates.fast_hz:
            raise lines.error([*path, "rate_hz"], f"is above the board's fast rate {board.rates.fast_hz}")
        if device.rate_hz > 0.0 and device.timeout_ms < 1000.0 / device.rate_hz:
            why = f"is {device.timeout_ms}; stale before the next sample at {device.rate_hz:g} Hz"
            raise lines.error([*path, "timeout_ms"], f"{why}: at least {1000.0 / device.rate_hz:.0f} is needed")
    canopen = {device.bus for device in board.devices if device.role == "valve_node"}
    for index, device in enumerate(board.devices):
        if device.role in ("bms", "radar") and device.bus in canopen:
            # Object lists of a radar use the identifiers of SDO and heartbeat (CiA 301, 7.3.5).
            why = f"{device.name}: valve nodes are on {device.bus}; their CANopen identifiers must not be shared"
            raise lines.error(["devices", index, "bus"], why)
        if device.mux is not None and (device.bus, device.address) in upstream:
            before = upstream[(device.bus, device.address)]
            raise lines.error(
                ["devices", index, "address"],
                f"{device.name} behind {device.mux} and {before} before it share one address on {device.bus}",
            )


def _check_recovery(board: BoardConfig, interlock: tuple[str, ...], lines: Lines) -> None:
    """The ladder of a hung bus: lines of its own, and a rail that another bus switches."""
    used: dict[str, str] = dict.fromkeys(interlock, "the valve interlock")
    units = [device for device in board.devices if device.role == "pdu"]
    for name, bus in board.buses.items():
        recovery = bus.recovery
        if recovery is None:
            continue
        path: list[str | int] = ["buses", name, "recovery"]
        if bus.kind != "i2c":
            raise lines.error(path, f"{name} is {bus.kind}; only an i2c bus has a recovery")
        if (recovery.scl_line is None) != (recovery.sda_line is None):
            raise lines.error([*path, "scl_line"], "scl_line and sda_line go together")
        for key in ("scl_line", "sda_line", "mux_reset_line"):
            line = getattr(recovery, key)
            if line is not None and line in used:
                raise lines.error([*path, key], f"line {line} belongs to {used[line]} already")
            if line is not None:
                used[line] = f"{name}.{key}"
        if recovery.rail is not None:
            if not units:
                raise lines.error([*path, "rail"], "no device with role pdu switches rails")
            if units[0].bus == name:
                why = f"{units[0].name} is on {name} itself and can't be reached when it hangs"
                raise lines.error([*path, "rail"], why)


def _check_isolation(board: BoardConfig, lines: Lines) -> None:
    """Every valve on an output of its own, which leaves it open when the chip is set up."""
    isolation = board.isolation
    if isolation is None:
        return
    expanders = [d for d in board.devices if d.role == "discretes"]
    device = next((d for d in expanders if d.name == isolation.device), None)
    if device is None:
        names = ", ".join(d.name for d in expanders) or "none"
        why = f"no device {isolation.device} with role discretes; there are: {names}"
        raise lines.error(["isolation", "device"], why)
    outputs, levels = (device.settings.get(key, 0) for key in ("outputs", "levels"))
    if not isinstance(outputs, int) or not isinstance(levels, int) or not outputs:
        raise lines.error(["isolation", "device"], f"{device.name} has no outputs; its settings name them as a mask")
    allowed = ", ".join(str(pin) for pin in range(8) if outputs >> pin & 1)
    driven: dict[int, str] = {}
    for cluster, pin in isolation.pins.items():
        path = ["isolation", "pins", cluster]
        if not outputs >> pin & 1:
            raise lines.error(path, f"pin {pin} of {device.name} is no output; outputs: {allowed}")
        if levels >> pin & 1:
            raise lines.error(path, f"pin {pin} of {device.name} is high at set-up; low leaves the valve open")
        if pin in driven:
            raise lines.error(path, f"pin {pin} already shuts the valve of {driven[pin]}")
        driven[pin] = cluster


def _check_fit(body: BodyConfig, board: BoardConfig, lines: Lines) -> None:
    fast_hz, longest_ms = board.rates.fast_hz, body.propulsion.window_ms
    if fitting_window_ms(longest_ms, fast_hz) is None:
        raise lines.error(
            ["rates", "fast_hz"],
            f"is {fast_hz}; no pulse window of {_SHORTEST_WINDOW_MS}..{longest_ms} ms (propulsion.window_ms of body "
            f"{body.body}) is a whole number of its ticks; 50, 100, 200, 250, 400, 500 and 1000 are among the allowed",
        )
    units = [device.name for device in board.devices if device.role == "imu"]
    if len(units) != 1:
        raise lines.error(["devices"], f"exactly one device with role imu is flown; found {len(units)}")
    driven: dict[int, str] = {}
    count = len(body.propulsion.nozzles)
    for index, device in enumerate(board.devices):
        if device.role != "valve_node":
            continue
        path: list[str | int] = ["devices", index, "settings", "nozzles"]
        nozzles = device.settings.get("nozzles", [])
        if not isinstance(nozzles, list) or not 1 <= len(nozzles) <= 8:
            raise lines.error(path, "a valve node drives 1 to 8 nozzles, listed by number")
        for nozzle in nozzles:
            if not isinstance(nozzle, int) or not 0 <= nozzle < count:
                raise lines.error(path, f"{nozzle!r} is no nozzle of body {body.body}; 0..{count - 1} are allowed")
            if nozzle in driven:
                raise lines.error(path, f"nozzle {nozzle} is already driven by {driven[nozzle]}")
            driven[nozzle] = device.name
    missing = [n for n in range(count) if n not in driven]
    if missing:
        listed = ", ".join(map(str, missing))
        raise lines.error(["devices"], f"no valve node drives nozzle {listed} of body {body.body}")
    clusters = dict.fromkeys(nozzle.cluster for nozzle in body.propulsion.nozzles)
    for cluster in board.isolation.pins if board.isolation is not None else ():
        if cluster not in clusters:
            why = f"body {body.body} has no cluster {cluster}; clusters: {', '.join(clusters)}"
            raise lines.error(["isolation", "pins", cluster], why)
    known = {node.name for node in body.thermal.nodes}
    for index, device in enumerate(board.devices):
        if device.role == "thermal":
            for name in device.settings.get("nodes", []):
                if name not in known:
                    why = f"body {body.body} has no thermal node {name}"
                    raise lines.error(["devices", index, "settings", "nodes"], why)
