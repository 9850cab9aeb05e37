"""Every device of a board with its driver: asked in slots, heard, or flown; found by name and by role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.bus.can_router import CanRouter
from drivers.bus.protocol import ReopenableBus
from hal.health import HealthLog
from hal.heard import HeardDevice
from hal.imu_pair import InertialUnit
from hal.manager import BACK_OFF_FIRST_NS, ManagedDevice
from hal.parts import load_part
from hal.power_levers import Pdu, Source
from hal.profile import BoardConfig, ConfigError, DeviceConfig
from hal.sensors import ImuDevice, StarTrackerDevice

__all__ = ["INERTIAL", "BoardDevices"]

MS = 1_000_000
SECOND = 1_000_000_000
IMU_PAUSE_NS = 5 * MS
"""First pause before an inertial unit is set up anew: a short outage is to end within the 100 ms that SAFE waits."""
INERTIAL = ("imu", "imu_backup")
"""Roles of inertial units: the first one of the first role is flown at start, the others can take its place."""


class BoardDevices:
    """The drivers of one board's devices, but for the valve nodes, each with whoever serves it.

    Args:
        board: the board.
        buses: bus name to bus object, for every bus of the board.
        log: where changes of state are told.

    Attributes:
        devices: polled devices by name.
        heard: devices that speak by themselves, by name.
        muxes: multiplexers by name, as those behind them use them.
        settings: checked settings of polled and heard devices, by name.
        inertial: inertial units; the first is flown at start.
        routers: one for every CAN bus without valve nodes.
        star: the star tracker.

    Raises:
        ConfigError: a part without a driver or not for its role, or settings the driver does not know.
    """

    def __init__(self, board: BoardConfig, buses: Mapping[str, Any], log: HealthLog) -> None:
        self.board = board
        self.devices: dict[str, ManagedDevice[Any]] = {}
        self.heard: dict[str, HeardDevice[Any]] = {}
        self.muxes: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}
        self.inertial: list[InertialUnit] = []
        self._buses = buses
        self._log = log
        for device in board.devices:
            if device.role == "mux":
                self._add_mux(device)
        for index, device in enumerate(board.devices):
            kind = board.buses[device.bus].kind
            if device.role not in ("mux", "valve_node", "star_tracker"):
                if kind in ("i2c", "spi"):
                    self._add_polled(device, index)
                elif kind == "serial":
                    self._add_stream(device)
        self.routers = self._shared_can()
        self.star = self._star_tracker()

    def config(self, name: str) -> DeviceConfig:
        """A device of the board by name."""
        return next(d for d in self.board.devices if d.name == name)

    def kind(self, name: str) -> str:
        """Kind of the bus that a device is on."""
        return self.board.buses[self.config(name).bus].kind

    def of_role(self, role: str) -> list[DeviceConfig]:
        """Devices of a role, in the board's order."""
        return [d for d in self.board.devices if d.role == role]

    def first(self, role: str) -> Source[Any] | None:
        """The first device of a role, asked or heard."""
        found = self.of_role(role)
        return None if not found else self.devices.get(found[0].name) or self.heard[found[0].name]

    def pdu(self) -> Pdu | None:
        """The distribution unit, if the board has one that tells its rails."""
        units = self.of_role("pdu")
        rails = getattr(self.settings[units[0].name], "rails", None) if units else None
        if rails is None:
            return None
        switched = frozenset(rail.name for rail in rails if rail.switched)
        return Pdu(self.devices[units[0].name], tuple(rail.name for rail in rails), switched)

    def _driver(self, device: DeviceConfig, bus: Any, **parts: Any) -> tuple[Any, Any]:
        """Driver object and its checked settings; ``parts`` are further arguments of the driver."""
        board = self.board
        module, settings = load_part(board, device)
        try:
            return module.Device(bus, device.address, settings, **parts), settings
        except ValueError as error:
            raise ConfigError(board.board, None, f"devices[{board.devices.index(device)}]", str(error)) from None

    def _add_mux(self, device: DeviceConfig) -> None:
        bus = self._buses[device.bus]
        module, _ = load_part(self.board, device)
        mux = self.muxes[device.name] = module.Mux(bus, device.address or 0)
        # One state for the device and for whoever is behind it, so that both agree on the channel that is through.
        driver, _ = self._driver(device, bus, mux=mux)
        self.devices[device.name] = ManagedDevice(
            device.name, driver, 0, device.timeout_ms * MS, self._log, phase_ns=0
        )

    def _add_polled(self, device: DeviceConfig, index: int) -> None:
        bus = self._buses[device.bus]
        channel = None
        if device.mux is not None and device.channel is not None:
            channel = self.muxes[device.mux].channel(device.channel)
            bus = channel
        driver, settings = self._driver(device, bus)
        period = round(SECOND / device.rate_hz) if device.rate_hz else 0
        # Spread the first samples over a period so that devices of one rate do not fall due together.
        managed: ManagedDevice[Any] = ManagedDevice(
            device.name, driver, period, device.timeout_ms * MS, self._log, channel, phase_ns=index * 5 * MS,
            pause_ns=IMU_PAUSE_NS if device.role in INERTIAL else BACK_OFF_FIRST_NS,
        )
        self.devices[device.name] = managed
        if device.role in INERTIAL and hasattr(driver, "read"):
            unit = InertialUnit(
                device.name, device.bus, device.mount.position_m,
                ImuDevice(driver, managed, device.mount.orientation),
            )
            if device.role == "imu" and not any(self.config(u.name).role == "imu" for u in self.inertial):
                self.inertial.insert(0, unit)
            else:
                self.inertial.append(unit)
        self.settings[device.name] = settings

    def _add_stream(self, device: DeviceConfig) -> None:
        bus = self._buses[device.bus]
        driver, settings = self._driver(device, bus)
        reopen = bus.reopen if isinstance(bus, ReopenableBus) else None
        self.heard[device.name] = HeardDevice(
            device.name, driver, device.timeout_ms * MS, self._log, driver.poll, reopen
        )
        self.settings[device.name] = settings

    def _shared_can(self) -> tuple[CanRouter, ...]:
        """One router for every CAN bus without valve nodes."""
        board = self.board
        routers = []
        for name, bus in board.buses.items():
            here = [d for d in board.devices if d.bus == name and d.role != "valve_node"]
            if bus.kind != "can" or not here:
                continue
            drivers = []
            for device in here:
                driver, settings = self._driver(device, self._buses[name])
                self.settings[device.name] = settings
                self.heard[device.name] = HeardDevice(
                    device.name, driver, device.timeout_ms * MS, self._log, None
                )
                drivers.append(driver)
            routers.append(CanRouter(self._buses[name], drivers, [self.heard[d.name] for d in here]))
        return tuple(routers)

    def _star_tracker(self) -> StarTrackerDevice | None:
        trackers = self.of_role("star_tracker")
        if len(trackers) > 1:
            why = f"one star tracker is flown, and {trackers[0].name} is it"
            raise ConfigError(self.board.board, None, f"devices[{self.board.devices.index(trackers[1])}].role", why)
        if not trackers:
            return None
        device = trackers[0]
        bus = self._buses[device.bus]
        driver, _ = self._driver(device, bus)
        return StarTrackerDevice(
            driver, device.mount.orientation, device.timeout_ms * MS, device.name, lambda: driver.counters.frames,
            self._log, bus.reopen if isinstance(bus, ReopenableBus) else None,
        )
