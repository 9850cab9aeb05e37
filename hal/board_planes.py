"""The planes of a board, over its devices: which device of which role serves what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.bus.protocol import CanBus
from drivers.cia401_valves import ValveBus
from hal.board_devices import BoardDevices
from hal.imu_pair import ImuPair
from hal.isolation import ClusterIsolation
from hal.parts import load_part
from hal.power_board import BoardPowerPlane, PowerParts
from hal.profile import BoardConfig, BodyConfig, ConfigError
from hal.propulsion import BoardPropulsionPlane
from hal.sensors import BoardSensorPlane, SunFace

__all__ = ["cluster_isolation", "power_plane", "propulsion_plane", "sensor_plane", "valve_bus"]

DOCK_CURRENT = "dock_current"
"""Name of the power channel behind the dock's diode."""
LOAD_CHANNEL = "ch_"
"""Begins the name of a power channel that has one load, whose name follows."""
NODE_RTD = "rtd_"
"""Begins the name of a resistance thermometer at a thermal node, whose name follows."""


def sensor_plane(board: BoardDevices, imu: ImuPair | None) -> BoardSensorPlane:
    """Inertial unit, star tracker, Sun sensors, magnetometer and thermometers."""
    faces = [
        SunFace(board.devices[d.name], d.mount.normal or (0.0, 0.0, 1.0), board.settings[d.name].full_sun_lux)
        for d in board.of_role("sun_sensor")
    ]
    magnetometers = board.of_role("magnetometer")
    magnetometer = (
        (board.devices[magnetometers[0].name], magnetometers[0].mount.orientation) if magnetometers else None
    )
    thermal = [(board.devices[d.name], tuple(board.settings[d.name].nodes)) for d in board.of_role("thermal")]
    rtds = [
        (board.devices[d.name], d.name.removeprefix(NODE_RTD)) for d in board.of_role("rtd")
        if d.name.startswith(NODE_RTD)
    ]
    return BoardSensorPlane(imu, board.star, faces, magnetometer, thermal, rtds)


def power_plane(board: BoardDevices, body: BodyConfig) -> BoardPowerPlane:
    """Monitors, stores, sources, rails and dock."""
    channels = {d.name: board.devices[d.name] for d in board.of_role("power_channel")}
    supercaps = board.of_role("supercap")
    parts = PowerParts(
        bus=board.first("bus_monitor"), battery=board.first("battery_monitor"),
        supercap=(board.devices[supercaps[0].name], float(board.settings[supercaps[0].name].full_voltage_v))
        if supercaps else None,
        solar=board.first("solar"), gauge=board.first("battery_gauge"), bms=board.first("bms"),
        dock=board.devices.get(next((d.name for d in board.of_role("hot_swap")), "")),
        dock_current=channels.get(DOCK_CURRENT), pdu=board.pdu(),
        channels={
            name.removeprefix(LOAD_CHANNEL): device for name, device in channels.items()
            if name.startswith(LOAD_CHANNEL)
        },
    )
    loads = (*(load.name for load in body.power.loads), *(heater.load for heater in body.thermal.heaters))
    return BoardPowerPlane(body.power, parts, loads)


def valve_bus(board: BoardConfig, buses: Mapping[str, Any], body: BodyConfig) -> ValveBus:
    """Driver of all valve nodes.

    Raises:
        ConfigError: there is none, they are not one part on one bus, or nodes, nozzles or rules can't be.
    """
    rules = body.propulsion
    nodes = [(index, d) for index, d in enumerate(board.devices) if d.role == "valve_node"]
    if not nodes:
        raise ConfigError(board.board, None, "devices", "no device with role valve_node")
    first = nodes[0][1]
    parsed: list[tuple[int, Any]] = []
    for index, node in nodes:
        if (node.bus, node.part) != (first.bus, first.part):
            why = f"{node.name}: all valve nodes are one part on one bus, as {first.name} is"
            raise ConfigError(board.board, None, f"devices[{index}]", why)
        parsed.append((node.address or 0, load_part(board, node)[1]))
    bus: CanBus = buses[first.bus]
    try:
        return ValveBus(
            bus, parsed, window_ms=rules.window_ms, min_on_ms=rules.min_on_ms, min_off_ms=rules.min_off_ms,
            max_burn_ms=rules.max_burn_ms, cooldown_ms=rules.cooldown_ms,
        )
    except ValueError as error:
        raise ConfigError(board.board, None, "devices", f"valve nodes: {error}") from None


def propulsion_plane(valves: ValveBus, body: BodyConfig) -> BoardPropulsionPlane:
    """The valve nodes as the craft fires them."""
    nodes = [(node_id, node.nozzles) for node_id, node in valves.nodes.items()]
    return BoardPropulsionPlane(valves, nodes, len(body.propulsion.nozzles))


def cluster_isolation(board: BoardDevices) -> ClusterIsolation | None:
    """The isolation valves of the clusters, if the board has them. Raises ConfigError: the part drives no outputs."""
    config = board.board.isolation
    if config is None:
        return None
    try:
        return ClusterIsolation(board.devices[config.device], config.pins)
    except ValueError as error:
        raise ConfigError(board.board.board, None, "isolation.device", str(error)) from None
