"""Puts the drivers that a board names behind the four planes. The only place that knows parts by name.

A device's ``part`` is the name of its driver module, so adding a chip is adding a file under ``drivers/`` and naming
it in the board description.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import msgspec

from drivers.bus.protocol import CanBus, GpioBus
from drivers.cia401_valves import ValveBus
from hal.manager import BACK_OFF_FIRST_NS, BusSlots, DeviceCounters, DeviceState, HealthEvent, ManagedDevice
from hal.power import BoardPowerPlane
from hal.profile import ConfigError, DeviceConfig, Profile
from hal.propulsion import BoardPropulsionPlane
from hal.safety import BoardSafetyPlane
from hal.sensors import BoardSensorPlane, ImuDevice, StarTrackerDevice, SunFace

__all__ = ["Hardware"]

MS = 1_000_000
SECOND = 1_000_000_000
EVENT_LIMIT = 256
IMU_PAUSE_NS = 5 * MS
"""First pause before the inertial unit is set up anew: a short outage is to end within the 100 ms that SAFE waits."""


class Hardware:
    """Planes, slots and health over the buses of one board.

    Args:
        profile: body and board.
        buses: bus name to bus object, real or simulated, for every bus of the board.

    Raises:
        ConfigError: a part without a driver, settings the driver does not know, a bus that is missing.
    """

    def __init__(self, profile: Profile, buses: Mapping[str, Any]) -> None:
        self._profile = profile
        self._buses = buses
        self.health_events: deque[HealthEvent] = deque(maxlen=EVENT_LIMIT)
        self.devices: dict[str, ManagedDevice[Any]] = {}
        self._muxes: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        board = profile.board
        for name in board.buses:
            if name not in buses:
                raise ConfigError(board.board, None, f"buses.{name}", "no transport was given for this bus")
        self._imu: ImuDevice | None = None
        self._star: StarTrackerDevice | None = None
        for index, device in enumerate(board.devices):
            if device.role == "mux":
                self._add_mux(device, index)
        for index, device in enumerate(board.devices):
            if device.role not in ("mux", "valve_node", "star_tracker"):
                self._add_polled(device, index)
        self.sensors = self._sensor_plane()
        self.power = self._power_plane()
        self._valves = self._valve_bus()
        self._node_names = {d.address or 0: d.name for d in self._of_role("valve_node")}
        self._node_states = dict.fromkeys(self._node_names.values(), DeviceState.INIT)
        self._node_setups = dict.fromkeys(self._node_names.values(), 0)
        self.propulsion = self._propulsion_plane()
        gpio = next((n for n, b in board.buses.items() if b.kind == "gpio"), None)
        if gpio is None:
            raise ConfigError(board.board, None, "buses", "a gpio bus is needed for the valve interlock lines")
        gpio_bus: GpioBus = buses[gpio]
        self.safety = BoardSafetyPlane(gpio_bus, board.lines)
        polled = [d for name, d in self.devices.items() if self._role(name) != "imu"]
        self.slots = BusSlots(polled)

    def sense(self, now_ns: int) -> None:
        """Fast tick: valve nodes, inertial unit, star tracker, and one slot of the slow buses."""
        self.propulsion.service(now_ns)
        self.sensors.sense(now_ns)
        self.slots.step(now_ns)

    def survey(self, now_ns: int) -> None:
        """Medium tick: follow the valve nodes, which their driver sets up. A restart between two calls shows too."""
        for node_id, name in self._node_names.items():
            node = self._valves.nodes[node_id]
            setups = node.counters.setups
            up = node.sample().operational
            state = self._node_states[name]
            if state is DeviceState.OK and not (up and setups == self._node_setups[name]):
                state = self._note_node(name, DeviceState.DEGRADED, now_ns)
            if up and state is not DeviceState.OK:
                self._note_node(name, DeviceState.OK, now_ns)
            self._node_setups[name] = setups

    def _note_node(self, name: str, state: DeviceState, now_ns: int) -> DeviceState:
        self._node_states[name] = state
        self.health_events.append(HealthEvent(now_ns, name, state, None))
        return state

    def states(self) -> dict[str, DeviceState]:
        """State of every device."""
        states = {name: device.state for name, device in self.devices.items()}
        if self._star is not None:
            states[self._star.name] = self._star.state
        return states | self._node_states

    def not_ok(self) -> dict[str, str]:
        """Devices that are not OK, by name."""
        return {name: state.name.lower() for name, state in self.states().items() if state is not DeviceState.OK}

    def self_test(self) -> tuple[bool, dict[str, str]]:
        """Whether every device has answered, and what each said: the boot's verdict."""
        states = self.states()
        report = {name: state.name.lower() for name, state in states.items()}
        return all(state is DeviceState.OK for state in states.values()), report

    @property
    def imu_ready(self) -> bool:
        """Whether the inertial unit answers."""
        return self._imu is not None and self._imu.ready

    def counters(self) -> dict[str, DeviceCounters]:
        """Counters of every device; valve nodes count in their driver."""
        counters = {name: device.counters for name, device in self.devices.items()}
        if self._star is not None:
            counters[self._star.name] = self._star.counters
        return counters

    def failures(self) -> int:
        """Failed transactions of all devices since start."""
        return sum(counters.failures for counters in self.counters().values())

    def _role(self, name: str) -> str:
        return next(d.role for d in self._profile.board.devices if d.name == name)

    def _of_role(self, role: str) -> list[DeviceConfig]:
        return [d for d in self._profile.board.devices if d.role == role]

    def _driver(self, device: DeviceConfig, index: int, bus: Any, **parts: Any) -> tuple[Any, Any]:
        """Driver object and its checked settings; ``parts`` are further arguments of the driver."""
        module, settings = self._part(device, index, "Device")
        return module.Device(bus, device.address, settings, **parts), settings

    def _part(self, device: DeviceConfig, index: int, needed: str) -> tuple[Any, Any]:
        """Driver module, which must have the class that the device's role needs, and checked settings of a device."""
        where = f"devices[{index}]"
        board = self._profile.board.board
        try:
            module = import_module(f"drivers.{device.part}")
        except ModuleNotFoundError:
            raise ConfigError(board, None, f"{where}.part", f"there is no driver drivers/{device.part}.py") from None
        if not hasattr(module, needed):
            raise ConfigError(board, None, f"{where}.role", f"{device.part} is no part for the role {device.role}")
        try:
            settings = msgspec.convert(device.settings, type=module.Settings, strict=True)
        except msgspec.ValidationError as error:
            raise ConfigError(board, None, f"{where}.settings", f"{device.name}: {error}") from None
        return module, settings

    def _add_mux(self, device: DeviceConfig, index: int) -> None:
        bus = self._buses[device.bus]
        module, _ = self._part(device, index, "Mux")
        mux = self._muxes[device.name] = module.Mux(bus, device.address or 0)
        # One state for the device and for whoever is behind it, so that both agree on the channel that is through.
        driver, _ = self._driver(device, index, bus, mux=mux)
        self.devices[device.name] = ManagedDevice(
            device.name, driver, 0, device.timeout_ms * MS, self.health_events, phase_ns=0
        )

    def _add_polled(self, device: DeviceConfig, index: int) -> None:
        bus = self._buses[device.bus]
        channel = None
        if device.mux is not None and device.channel is not None:
            channel = self._muxes[device.mux].channel(device.channel)
            bus = channel
        driver, settings = self._driver(device, index, bus)
        period = round(SECOND / device.rate_hz) if device.rate_hz else 0
        # Spread the first samples over a period so that devices of one rate do not fall due together.
        managed: ManagedDevice[Any] = ManagedDevice(
            device.name, driver, period, device.timeout_ms * MS, self.health_events, channel, phase_ns=index * 5 * MS,
            pause_ns=IMU_PAUSE_NS if device.role == "imu" else BACK_OFF_FIRST_NS,
        )
        self.devices[device.name] = managed
        if device.role == "imu" and self._imu is None:
            self._imu = ImuDevice(driver, managed, device.mount.orientation)
        self._settings[device.name] = settings

    def _star_tracker(self, device: DeviceConfig, index: int) -> StarTrackerDevice:
        driver, _ = self._driver(device, index, self._buses[device.bus])
        return StarTrackerDevice(
            driver, device.mount.orientation, device.timeout_ms * MS, device.name, lambda: driver.counters.frames,
            self.health_events,
        )

    def _sensor_plane(self) -> BoardSensorPlane:
        for index, device in enumerate(self._profile.board.devices):
            if device.role == "star_tracker" and self._star is None:
                self._star = self._star_tracker(device, index)
        faces = [
            SunFace(self.devices[d.name], d.mount.normal or (0.0, 0.0, 1.0), self._settings[d.name].full_sun_lux)
            for d in self._of_role("sun_sensor")
        ]
        magnetometers = self._of_role("magnetometer")
        magnetometer = (
            (self.devices[magnetometers[0].name], magnetometers[0].mount.orientation) if magnetometers else None
        )
        thermal = [(self.devices[d.name], tuple(self._settings[d.name].nodes)) for d in self._of_role("thermal")]
        return BoardSensorPlane(self._imu, self._star, faces, magnetometer, thermal)

    def _power_plane(self) -> BoardPowerPlane:
        def first(role: str) -> ManagedDevice[Any] | None:
            found = self._of_role(role)
            return self.devices[found[0].name] if found else None

        supercaps = self._of_role("supercap")
        supercap = (
            (self.devices[supercaps[0].name], float(self._settings[supercaps[0].name].full_voltage_v))
            if supercaps else None
        )
        return BoardPowerPlane(self._profile.body.power, first("bus_monitor"), first("battery_monitor"), supercap)

    def _valve_bus(self) -> ValveBus:
        board, rules = self._profile.board, self._profile.body.propulsion
        nodes = [(index, d) for index, d in enumerate(board.devices) if d.role == "valve_node"]
        if not nodes:
            raise ConfigError(board.board, None, "devices", "no device with role valve_node")
        first = nodes[0][1]
        parsed: list[tuple[int, Any]] = []
        for index, node in nodes:
            if (node.bus, node.part) != (first.bus, first.part):
                why = f"{node.name}: all valve nodes are one part on one bus, as {first.name} is"
                raise ConfigError(board.board, None, f"devices[{index}]", why)
            parsed.append((node.address or 0, self._part(node, index, "ValveBus")[1]))
        bus: CanBus = self._buses[first.bus]
        try:
            return ValveBus(
                bus, parsed, window_ms=rules.window_ms, min_on_ms=rules.min_on_ms, min_off_ms=rules.min_off_ms,
                max_burn_ms=rules.max_burn_ms, cooldown_ms=rules.cooldown_ms,
            )
        except ValueError as error:
            raise ConfigError(board.board, None, "devices", f"valve nodes: {error}") from None

    def _propulsion_plane(self) -> BoardPropulsionPlane:
        nodes = [(node_id, node.nozzles) for node_id, node in self._valves.nodes.items()]
        return BoardPropulsionPlane(self._valves, nodes, len(self._profile.body.propulsion.nozzles))
