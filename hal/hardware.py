"""Puts the drivers that a board names behind the four planes. The only place that knows parts by name.

A device's ``part`` is the name of its driver module, so adding a chip is adding a file under ``drivers/`` and naming
it in the board description.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, get_args, get_type_hints

import msgspec

from drivers.bus.can_router import CanRouter
from drivers.bus.protocol import CanBus, ClearableBus, GpioBus, ReopenableBus
from drivers.cia401_valves import ValveBus
from drivers.errors import Cause, DeviceError
from drivers.samples import (
    AnalogSample,
    AttitudeFix,
    BatteryGaugeSample,
    BmsSample,
    DiscreteSample,
    FieldSample,
    HotSwapSample,
    IlluminanceSample,
    ImuSample,
    LidarScan,
    PowerSample,
    RadarScan,
    RadiationSample,
    RailSample,
    RangeSample,
    ResistanceSample,
    RtcSample,
    SolarSample,
    SpectrumSample,
    SupercapSample,
    TemperatureSample,
)
from hal.manager import (
    BACK_OFF_FIRST_NS,
    BusSlots,
    DeviceCounters,
    DeviceState,
    HealthEvent,
    HeardDevice,
    ManagedDevice,
)
from hal.power_board import BoardPowerPlane, PowerParts
from hal.power_levers import Pdu, Source
from hal.profile import BoardConfig, BusKind, ConfigError, DeviceConfig, Profile
from hal.propulsion import BoardPropulsionPlane
from hal.reading import Reading
from hal.recovery import HANGS, BusGuard, InlineWorker, PowerCycle, Rung, Step, Worker
from hal.safety import BoardSafetyPlane
from hal.sensors import BoardSensorPlane, ImuDevice, StarTrackerDevice, SunFace

__all__ = ["Hardware", "load_part"]

MS = 1_000_000
SECOND = 1_000_000_000
EVENT_LIMIT = 256
FRAMES_A_TICK = 64
"""Frames taken from a shared CAN bus in one tick; 500 kbit/s bring 20 in 5 ms."""
DOCK_CURRENT = "dock_current"
"""Name of the power channel behind the dock's diode."""
LOAD_CHANNEL = "ch_"
"""Begins the name of a power channel that has one load, whose name follows."""
NODE_RTD = "rtd_"
"""Begins the name of a resistance thermometer at a thermal node, whose name follows."""
RESTING_NS = 60 * SECOND
"""Time between two samples of a device that is not wanted."""
PROBED = 3
"""Chips asked before a bus counts as dead."""
ROLE_SAMPLES: dict[str, type] = {
    "imu": ImuSample, "imu_backup": ImuSample, "star_tracker": AttitudeFix, "sun_sensor": IlluminanceSample,
    "magnetometer": FieldSample, "thermal": TemperatureSample, "rtd": ResistanceSample, "bus_monitor": PowerSample,
    "battery_monitor": PowerSample, "power_channel": PowerSample, "supercap": SupercapSample, "solar": SolarSample,
    "battery_gauge": BatteryGaugeSample, "bms": BmsSample, "hot_swap": HotSwapSample, "pdu": RailSample,
    "radiation": RadiationSample, "analog": AnalogSample, "radar": RadarScan, "lidar": LidarScan,
    "range": RangeSample, "discretes": DiscreteSample, "spectrometer": SpectrumSample, "clock": RtcSample,
}
"""What a driver must return to serve a role."""
ROLE_NEEDS: dict[str, str] = {"mux": "Mux", "valve_node": "ValveBus"}
"""Class of the driver module that a role needs; ``Device`` for all others."""
ROLE_SETTINGS: dict[str, str] = {"sun_sensor": "full_sun_lux", "thermal": "nodes", "supercap": "full_voltage_v"}
"""Setting that a plane asks of a role's driver."""
WAYS: dict[BusKind, str] = {"i2c": "acquire", "spi": "acquire", "serial": "poll", "can": "take"}
"""How a driver is served on each kind of bus."""
REOPEN_FIRST_NS = SECOND
REOPEN_LONGEST_NS = 60 * SECOND
IMU_PAUSE_NS = 5 * MS
"""First pause before the inertial unit is set up anew: a short outage is to end within the 100 ms that SAFE waits."""


def _samples(method: Callable[..., Any]) -> tuple[Any, ...]:
    """Sample types that a driver's ``acquire``, ``poll`` or ``take`` says it returns."""
    returned = get_type_hints(method).get("return")
    if method.__name__ == "acquire":  # Generator[None, None, X | None]; X | None of a part that is heard
        arguments = get_args(returned)
        returned = arguments[-1] if arguments else None
    return (returned, *get_args(returned))


def load_part(board: BoardConfig, device: DeviceConfig) -> tuple[ModuleType, Any]:
    """Driver module and checked settings of one device of a board.

    Raises:
        ConfigError: there is no such driver, it doesn't serve the device's role on its kind of bus, or the settings
            are none of its own.
    """
    where = f"devices[{board.devices.index(device)}]"
    try:
        module = import_module(f"drivers.{device.part}")
    except ModuleNotFoundError as error:
        if error.name != f"drivers.{device.part}":
            raise
        raise ConfigError(board.board, None, f"{where}.part", f"there is no driver drivers/{device.part}.py") from None
    kind = board.buses[device.bus].kind
    reason = _mismatch(module, device.role, kind)
    if reason is not None:
        raise ConfigError(board.board, None, f"{where}.role", f"{device.part} {reason}")
    try:
        settings = msgspec.convert(device.settings, type=module.Settings, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(board.board, None, f"{where}.settings", f"{device.name}: {error}") from None
    setting = ROLE_SETTINGS.get(device.role)
    if setting is not None and not hasattr(settings, setting):
        why = f"{device.part} has no setting {setting}, which the role {device.role} needs"
        raise ConfigError(board.board, None, f"{where}.role", why)
    return module, settings


def _mismatch(module: ModuleType, role: str, kind: BusKind) -> str | None:
    """Why a driver does not serve a role on a kind of bus."""
    needed = ROLE_NEEDS.get(role, "Device")
    if not hasattr(module, needed):
        return f"is no part for the role {role}"
    if role == "valve_node":
        return None
    way = getattr(module.Device, WAYS[kind], None)
    if way is None:
        return f"is no part for a bus of kind {kind}"
    wanted = ROLE_SAMPLES.get(role)
    if (wanted is not None and wanted not in _samples(way)) or (role == "imu" and not hasattr(module.Device, "read")):
        return f"is no part for the role {role}"
    return None


class _Reopener:
    """Opens a bus anew that is gone, for those who use it outside the slots: after a second, then ever more rarely.

    Args:
        bus: the bus.
        absences: how many transfers have failed so far because it is not there.
        well: whether the user is served.
        again: told when it is open, so that the user asks at once.
        guard: whose recovery may have the bus in hand.
    """

    __slots__ = ("_absences", "_again", "_bus", "_due_ns", "_gone", "_guard", "_pause_ns", "_seen", "_well")

    def __init__(
        self, bus: ReopenableBus, absences: Callable[[], int], well: Callable[[], bool],
        again: Callable[[int], None] | None, guard: BusGuard | None,
    ) -> None:
        self._bus = bus
        self._absences = absences
        self._well = well
        self._again = again
        self._guard = guard
        self._gone = False
        self._seen = 0
        self._due_ns = 0
        self._pause_ns = 0

    def step(self, now_ns: int) -> None:
        """Look whether it is gone, and open it if that is due. Never raises DeviceError."""
        if self._well():
            self._gone, self._pause_ns = False, 0
        count = self._absences()
        if count > self._seen:
            self._gone, self._seen = True, count
        if not self._gone or now_ns < self._due_ns or (self._guard is not None and not self._guard.in_service):
            return
        first = not self._pause_ns
        self._pause_ns = REOPEN_FIRST_NS if first else min(2 * self._pause_ns, REOPEN_LONGEST_NS)
        self._due_ns = now_ns + self._pause_ns
        if first:  # an adapter that is being set up comes back by itself
            return
        with suppress(DeviceError):  # the next transfer says why
            self._bus.reopen()
            self._gone = False
            if self._again is not None:
                self._again(now_ns)


def _absences(by_cause: Mapping[Any, int]) -> int:
    """Failures because a bus is not there, of counters by cause or by its word."""
    causes = (Cause.ABSENT, Cause.PERMISSION)
    return sum(by_cause.get(cause, 0) + by_cause.get(cause.value, 0) for cause in causes)


def _probe(members: list[ManagedDevice[Any]]) -> None:
    """Whether the bus carries bytes: a chip that has answered before says its name, else any of the first few.

    Raises:
        DeviceError: the bus hangs, or none of them answers.
    """
    candidates = [m for m in members if m.counters.samples][:PROBED] or members[:PROBED]
    failure: DeviceError | None = None
    for member in candidates:
        try:
            for _ in member.device.identify():  # type: ignore[attr-defined]
                pass
        except DeviceError as error:
            if error.cause in HANGS:
                raise
            failure = error
        else:
            return
    if failure is not None:
        raise failure


class Hardware:
    """Planes, slots and health over the buses of one board.

    Args:
        profile: body and board.
        buses: bus name to bus object, real or simulated, for every bus of the board.
        worker: who does a hung bus's recovery: at once on simulated buses, a thread that waits on real ones.

    Raises:
        ConfigError: a part without a driver or not for its role, settings the driver does not know, a bus or a rail
            that is missing.
    """

    def __init__(
        self, profile: Profile, buses: Mapping[str, Any], worker: Callable[[], Worker] = InlineWorker
    ) -> None:
        self._profile = profile
        self._buses = buses
        self._worker = worker
        self.health_events: deque[HealthEvent] = deque(maxlen=EVENT_LIMIT)
        self.devices: dict[str, ManagedDevice[Any]] = {}
        self.heard: dict[str, HeardDevice[Any]] = {}
        self.guards: dict[str, BusGuard] = {}
        self._muxes: dict[str, Any] = {}
        self._settings: dict[str, Any] = {}
        board = profile.board
        for name in board.buses:
            if name not in buses:
                raise ConfigError(board.board, None, f"buses.{name}", "no transport was given for this bus")
        self._imu: ImuDevice | None = None
        self._star: StarTrackerDevice | None = None
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
        self._routers = self._shared_can()
        self._streams = tuple(heard for name, heard in self.heard.items() if self._kind(name) == "serial")
        self._framed = tuple(heard for name, heard in self.heard.items() if self._kind(name) == "can")
        self._turn = 0
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
        self._gpio: GpioBus = buses[gpio]
        self.safety = BoardSafetyPlane(self._gpio, board.lines)
        self.slots = {name: self._bus_slots(name) for name, bus in board.buses.items() if bus.kind in ("i2c", "spi")}
        self._slots = tuple(self.slots.values())
        self._reopeners = tuple(self._outside_the_slots())

    def sense(self, now_ns: int) -> None:
        """Fast tick: valve nodes, inertial unit, star tracker, a slot of every slow bus, what has arrived elsewhere."""
        self.propulsion.service(now_ns)
        self.sensors.sense(now_ns)
        for slots in self._slots:
            slots.step(now_ns)
        for router in self._routers:
            router.service(now_ns, FRAMES_A_TICK)
        streams = self._streams
        if streams:
            # One port a tick: the kernel's buffers hold far more than arrives in a round.
            self._turn = (self._turn + 1) % len(streams)
            streams[self._turn].service(now_ns)

    def survey(self, now_ns: int) -> None:
        """Medium tick: follow the valve nodes, which their driver sets up. A restart between two calls shows too.

        The power plane carries on with its levers. Devices on a shared CAN bus are asked whether they have fallen
        silent; a bus that is gone and that no slot or router would notice is opened anew.
        """
        for heard in self._framed:
            heard.service(now_ns)
        self.power.service(now_ns)
        for reopener in self._reopeners:
            reopener.step(now_ns)
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
        states |= {name: device.state for name, device in self.heard.items()}
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
        counters |= {name: device.counters for name, device in self.heard.items()}
        if self._star is not None:
            counters[self._star.name] = self._star.counters
        return counters

    def reading(self, name: str, now_ns: int) -> Reading[Any]:
        """Last sample of a device, as its driver gave it. KeyError: no such name, or a valve node.

        Of the flown inertial unit and star tracker it is the one that the sensor plane has, in the body frame.
        """
        if self._star is not None and name == self._star.name:
            return self.sensors.attitude(now_ns)
        managed = self.devices.get(name)
        if managed is None:
            return self.heard[name].reading(now_ns)
        if self._imu is not None and self._imu.owns(managed):
            return self.sensors.imu()
        return managed.reading(now_ns)

    def set_rate(self, role: str, hz: float, now_ns: int) -> None:
        """Ask the polled devices of a role no more often than this, and never more often than the board says.

        0: once a minute, so that what rests is still known to be there. Parts that speak by themselves go on speaking.
        """
        for device in self._of_role(role):
            managed = self.devices.get(device.name)
            if managed is not None and device.rate_hz:
                period = max(round(SECOND / device.rate_hz), round(SECOND / hz) if hz > 0.0 else RESTING_NS)
                if period < managed.period_ns and managed.state is DeviceState.OK:
                    managed.due_ns = min(managed.due_ns, now_ns)
                managed.period_ns = period

    def failures(self) -> int:
        """Failed transactions of all devices since start."""
        return sum(counters.failures for counters in self.counters().values())

    def failure_causes(self) -> dict[str, int]:
        """Failed transfers and refused answers of all devices since start, by cause in alphabetical order."""
        causes: dict[str, int] = {}
        for counters in self.counters().values():
            for cause, count in counters.by_cause.items():
                causes[cause] = causes.get(cause, 0) + count
        return dict(sorted(causes.items()))

    def recoveries(self) -> dict[str, int]:
        """Hung buses brought back since start, by the rung of the ladder that did it."""
        rungs: dict[str, int] = {}
        for guard in self.guards.values():
            for rung, count in guard.counters.cured_by.items():
                rungs[rung] = rungs.get(rung, 0) + count
        return dict(sorted(rungs.items()))

    def _config(self, name: str) -> DeviceConfig:
        return next(d for d in self._profile.board.devices if d.name == name)

    def _kind(self, name: str) -> str:
        return self._profile.board.buses[self._config(name).bus].kind

    def _of_role(self, role: str) -> list[DeviceConfig]:
        return [d for d in self._profile.board.devices if d.role == role]

    def _driver(self, device: DeviceConfig, bus: Any, **parts: Any) -> tuple[Any, Any]:
        """Driver object and its checked settings; ``parts`` are further arguments of the driver."""
        board = self._profile.board
        module, settings = load_part(board, device)
        try:
            return module.Device(bus, device.address, settings, **parts), settings
        except ValueError as error:
            raise ConfigError(board.board, None, f"devices[{board.devices.index(device)}]", str(error)) from None

    def _add_mux(self, device: DeviceConfig) -> None:
        bus = self._buses[device.bus]
        module, _ = load_part(self._profile.board, device)
        mux = self._muxes[device.name] = module.Mux(bus, device.address or 0)
        # One state for the device and for whoever is behind it, so that both agree on the channel that is through.
        driver, _ = self._driver(device, bus, mux=mux)
        self.devices[device.name] = ManagedDevice(
            device.name, driver, 0, device.timeout_ms * MS, self.health_events, phase_ns=0
        )

    def _add_polled(self, device: DeviceConfig, index: int) -> None:
        bus = self._buses[device.bus]
        channel = None
        if device.mux is not None and device.channel is not None:
            channel = self._muxes[device.mux].channel(device.channel)
            bus = channel
        driver, settings = self._driver(device, bus)
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

    def _add_stream(self, device: DeviceConfig) -> None:
        bus = self._buses[device.bus]
        driver, settings = self._driver(device, bus)
        reopen = bus.reopen if isinstance(bus, ReopenableBus) else None
        self.heard[device.name] = HeardDevice(
            device.name, driver, device.timeout_ms * MS, self.health_events, driver.poll, reopen
        )
        self._settings[device.name] = settings

    def _shared_can(self) -> tuple[CanRouter, ...]:
        """One router for every CAN bus without valve nodes."""
        board = self._profile.board
        routers = []
        for name, bus in board.buses.items():
            here = [d for d in board.devices if d.bus == name and d.role != "valve_node"]
            if bus.kind != "can" or not here:
                continue
            drivers = []
            for device in here:
                driver, settings = self._driver(device, self._buses[name])
                self._settings[device.name] = settings
                self.heard[device.name] = HeardDevice(
                    device.name, driver, device.timeout_ms * MS, self.health_events, None
                )
                drivers.append(driver)
            routers.append(CanRouter(self._buses[name], drivers, [self.heard[d.name] for d in here]))
        return tuple(routers)

    def _bus_slots(self, name: str) -> BusSlots:
        """The slots of one bus with its guard. The flown inertial unit has its transfers outside the slots."""
        members = [m for n, m in self.devices.items() if self._config(n).bus == name]
        polled = [m for m in members if self._imu is None or not self._imu.owns(m)]
        recovery = self._profile.board.buses[name].recovery
        bus = self._buses[name]
        actions: list[tuple[Rung, Step]] = []
        power: PowerCycle | None = None
        if isinstance(bus, ClearableBus):
            actions.append((Rung.CLEAR, bus.clear_bus))
        muxes = [mux for n, mux in self._muxes.items() if self._config(n).bus == name]
        if muxes:
            line = recovery.mux_reset_line if recovery is not None else None
            actions.append((Rung.DESELECT, partial(self._deselect, muxes, line)))
        if isinstance(bus, ReopenableBus):
            actions.append((Rung.REOPEN, bus.reopen))
        if recovery is not None and recovery.rail is not None:
            power = self._power_cycle(name, recovery.rail)
        direct_first = sorted(polled, key=lambda m: m.channel is not None)
        guard = BusGuard(
            name, actions, partial(_probe, direct_first), self._worker(), self.health_events, power, polled,
            selects=self._profile.board.buses[name].kind == "spi",
        )
        self.guards[name] = guard
        return BusSlots(polled, guard)

    def _power_cycle(self, bus: str, rail: str) -> PowerCycle:
        board = self._profile.board.board
        units = self._of_role("pdu")
        if not units:
            raise ConfigError(board, None, f"buses.{bus}.recovery.rail", "no device with role pdu switches rails")
        unit = self.devices[units[0].name]
        if not hasattr(unit.device, "switch"):
            raise ConfigError(board, None, f"buses.{bus}.recovery.rail", f"{units[0].part} switches no rails")
        rails = getattr(self._settings[units[0].name], "rails", None)
        switched = [r.name for r in rails or () if r.switched]
        if rails is not None and rail not in switched:
            why = f"{units[0].name} switches no rail {rail}; it switches: {', '.join(switched) or 'none'}"
            raise ConfigError(board, None, f"buses.{bus}.recovery.rail", why)
        return PowerCycle(unit, rail)

    def _outside_the_slots(self) -> Iterator[_Reopener]:
        """Who opens the buses of the flown inertial unit, the star tracker and the valves anew."""
        imu, star, valves = self._imu, self._star, self._valves
        if imu is not None:
            name, managed = next((n, m) for n, m in self.devices.items() if imu.owns(m))
            yield from self._reopener(
                self._config(name).bus, lambda: _absences(imu.counters.by_cause), lambda: imu.ready, managed.restart
            )
        if star is not None:
            yield from self._reopener(
                self._config(star.name).bus, lambda: _absences(star.counters.by_cause),
                lambda: star.state is DeviceState.OK,
            )
        yield from self._reopener(
            self._of_role("valve_node")[0].bus, lambda: _absences(valves.counters.errors),
            lambda: any(node.sample().operational for node in valves.nodes.values()),
        )

    def _reopener(
        self, bus: str, absences: Callable[[], int], well: Callable[[], bool],
        again: Callable[[int], None] | None = None,
    ) -> Iterator[_Reopener]:
        port = self._buses[bus]
        if isinstance(port, ReopenableBus):
            yield _Reopener(port, absences, well, again, self.guards.get(bus))

    def _deselect(self, muxes: list[Any], line: str | None) -> None:
        if line is not None:
            self._gpio.set(line, False)
            self._gpio.set(line, True)
        for mux in muxes:
            mux.deselect()

    def _star_tracker(self, device: DeviceConfig) -> StarTrackerDevice:
        driver, _ = self._driver(device, self._buses[device.bus])
        return StarTrackerDevice(
            driver, device.mount.orientation, device.timeout_ms * MS, device.name, lambda: driver.counters.frames,
            self.health_events,
        )

    def _sensor_plane(self) -> BoardSensorPlane:
        trackers = self._of_role("star_tracker")
        if len(trackers) > 1:
            index = self._profile.board.devices.index(trackers[1])
            why = f"one star tracker is flown, and {trackers[0].name} is it"
            raise ConfigError(self._profile.board.board, None, f"devices[{index}].role", why)
        if trackers:
            self._star = self._star_tracker(trackers[0])
        faces = [
            SunFace(self.devices[d.name], d.mount.normal or (0.0, 0.0, 1.0), self._settings[d.name].full_sun_lux)
            for d in self._of_role("sun_sensor")
        ]
        magnetometers = self._of_role("magnetometer")
        magnetometer = (
            (self.devices[magnetometers[0].name], magnetometers[0].mount.orientation) if magnetometers else None
        )
        thermal = [(self.devices[d.name], tuple(self._settings[d.name].nodes)) for d in self._of_role("thermal")]
        rtds = [
            (self.devices[d.name], d.name.removeprefix(NODE_RTD)) for d in self._of_role("rtd")
            if d.name.startswith(NODE_RTD)
        ]
        return BoardSensorPlane(self._imu, self._star, faces, magnetometer, thermal, rtds)

    def _power_plane(self) -> BoardPowerPlane:
        body = self._profile.body
        channels = {d.name: self.devices[d.name] for d in self._of_role("power_channel")}
        supercaps = self._of_role("supercap")
        parts = PowerParts(
            bus=self._first("bus_monitor"), battery=self._first("battery_monitor"),
            supercap=(self.devices[supercaps[0].name], float(self._settings[supercaps[0].name].full_voltage_v))
            if supercaps else None,
            solar=self._first("solar"), gauge=self._first("battery_gauge"), bms=self._first("bms"),
            dock=self.devices.get(next((d.name for d in self._of_role("hot_swap")), "")),
            dock_current=channels.get(DOCK_CURRENT), pdu=self._pdu(),
            channels={
                name.removeprefix(LOAD_CHANNEL): device for name, device in channels.items()
                if name.startswith(LOAD_CHANNEL)
            },
        )
        loads = (*(load.name for load in body.power.loads), *(heater.load for heater in body.thermal.heaters))
        return BoardPowerPlane(body.power, parts, loads)

    def _first(self, role: str) -> Source[Any] | None:
        """The first device of a role, asked or heard."""
        found = self._of_role(role)
        return None if not found else self.devices.get(found[0].name) or self.heard[found[0].name]

    def _pdu(self) -> Pdu | None:
        units = self._of_role("pdu")
        rails = getattr(self._settings[units[0].name], "rails", None) if units else None
        if rails is None:
            return None
        switched = frozenset(rail.name for rail in rails if rail.switched)
        return Pdu(self.devices[units[0].name], tuple(rail.name for rail in rails), switched)

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
            parsed.append((node.address or 0, load_part(board, node)[1]))
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
