"""Puts the drivers that a board names behind the four planes, and takes what fdir orders of single units."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from drivers.bus.protocol import GpioBus
from hal.board_devices import INERTIAL, BoardDevices
from hal.board_planes import cluster_isolation, power_plane, propulsion_plane, sensor_plane, valve_bus
from hal.board_recovery import BoardRecovery
from hal.device_health import BUS, DeviceCounters, DeviceState
from hal.frames import Vec3
from hal.health import HealthLog, UnitHealth
from hal.imu_pair import ImuPair
from hal.isolation import ValveState
from hal.parts import load_part
from hal.profile import BoardConfig, ConfigError, Profile
from hal.reading import Reading
from hal.recovery import InlineWorker, Worker
from hal.safety import BoardSafetyPlane
from hal.valve_nodes import ValveNodeWatch

__all__ = ["Hardware", "load_part"]

SECOND = 1_000_000_000
EVENT_LIMIT = 256
FRAMES_A_TICK = 64
"""Frames taken from a shared CAN bus in one tick; 500 kbit/s bring 20 in 5 ms."""
RESTING_NS = 60 * SECOND
"""Time between two samples of a device that is not wanted."""


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
        board, body = profile.board, profile.body
        for name in board.buses:
            if name not in buses:
                raise ConfigError(board.board, None, f"buses.{name}", "no transport was given for this bus")
        self.board: BoardConfig = board
        """The board that all this is on."""
        self.health_events = HealthLog(EVENT_LIMIT, {d.name: f"{BUS}{d.bus}" for d in board.devices})
        parts = self._parts = BoardDevices(board, buses, self.health_events)
        self.devices = parts.devices
        self.heard = parts.heard
        self._streams = tuple(heard for name, heard in parts.heard.items() if parts.kind(name) == "serial")
        self._framed = tuple(heard for name, heard in parts.heard.items() if parts.kind(name) == "can")
        self._turn = 0
        self._imu = ImuPair(parts.inertial) if parts.inertial else None
        self._star = parts.star
        self.sensors = sensor_plane(parts, self._imu)
        self.power = power_plane(parts, body)
        valves = valve_bus(board, buses, body)
        self._nodes = ValveNodeWatch(
            valves, {d.address or 0: d.name for d in parts.of_role("valve_node")}, self.health_events
        )
        self.propulsion = propulsion_plane(valves, body)
        self._isolation = cluster_isolation(parts)
        gpio = next((n for n, b in board.buses.items() if b.kind == "gpio"), None)
        if gpio is None:
            raise ConfigError(board.board, None, "buses", "a gpio bus is needed for the valve interlock lines")
        lines: GpioBus = buses[gpio]
        self.safety = BoardSafetyPlane(lines, board.lines)
        self._recovery = BoardRecovery(
            parts, buses, self._imu, self.power, valves, self._nodes, lines, worker, self.health_events
        )
        self.slots = self._recovery.slots
        self.guards = self._recovery.guards
        self._slots = tuple(slots.step for slots in self.slots.values())
        self._routers = tuple(router.service for router in parts.routers)
        self._serve_valves = valves.service
        self._serve_sensors = self.sensors.sense

    def sense(self, now_ns: int) -> None:
        """Fast tick: valve nodes, inertial unit, star tracker, a slot of every slow bus, what has arrived elsewhere."""
        self._serve_valves(now_ns)
        self._serve_sensors(now_ns)
        for step in self._slots:
            step(now_ns)
        if self._isolation is not None:
            self._isolation.service(now_ns)
        for route in self._routers:
            route(now_ns, FRAMES_A_TICK)
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
        self._recovery.service(now_ns)
        self._nodes.survey(now_ns)

    def recover(self, step: str, unit: str, now_ns: int) -> bool:
        """Begin a step of the recovery ladder for one unit.

        Args:
            step: "retry", "re-init", "reset", "power-cycle" or "redundant" (``hal.unit_recovery.RecoveryStep``); to go
                on without a unit ("degrade") needs nothing done here, and is answered with False.
            unit: a device of the board, or a bus as "bus <name>".
            now_ns: time now.

        False: there is no such step or unit, the step does not apply to it, or it can't be done now. Nothing was done
        then.
        """
        return self._recovery.units.order(step, unit, now_ns)

    @property
    def isolation_valves(self) -> frozenset[str]:
        """Clusters whose isolation valve the board can shut."""
        return self._isolation.clusters if self._isolation is not None else frozenset()

    def isolate(self, cluster: str, now_ns: int) -> bool:
        """Shut the isolation valve of a cluster and hold it shut, until a restart. False: the board has none of it."""
        return self._isolation is not None and self._isolation.shut(cluster, now_ns)

    def isolation_states(self, now_ns: int) -> dict[str, ValveState]:
        """Every isolation valve as its pin was last read; empty for a board without."""
        return self._isolation.states(now_ns) if self._isolation is not None else {}

    def unit_facts(self) -> UnitHealth:
        """Which devices are lost or degraded and which buses are out of service; the same object until that changes.

        A device whose own rail is off by order, or whose bus is out of service, is in no set.
        """
        return self.health_events.health

    @property
    def imu_name(self) -> str | None:
        """The flown inertial unit; ``None`` for a board without."""
        return self._imu.flown.name if self._imu is not None else None

    @property
    def imu_position_m(self) -> Vec3:
        """Where the flown inertial unit sits in the body; the origin for a board without."""
        return self._imu.flown.position_m if self._imu is not None else (0.0, 0.0, 0.0)

    def spare_rate(self, now_ns: int) -> tuple[int, Vec3] | None:
        """Time (ns) and rate (rad/s, body) of the inertial unit that stands by; ``None``: no good one."""
        return self._imu.spare_rate(now_ns) if self._imu is not None else None

    @property
    def imu_switches(self) -> int:
        """How often another inertial unit was taken since start."""
        return self._imu.switches if self._imu is not None else 0

    @property
    def imu_units_left(self) -> int:
        """Inertial units that answer or may yet, the flown one included."""
        return self._imu.units_left if self._imu is not None else 0

    def states(self) -> dict[str, DeviceState]:
        """State of every device."""
        states = {name: device.state for name, device in self.devices.items()}
        states |= {name: device.state for name, device in self.heard.items()}
        if self._star is not None:
            states[self._star.name] = self._star.state
        return states | self._nodes.states

    def not_ok(self) -> dict[str, str]:
        """Devices that are not OK, by name; none that rests without power by order."""
        resting = self.health_events.resting
        return {
            name: state.name.lower() for name, state in self.states().items()
            if state is not DeviceState.OK and name not in resting
        }

    def self_test(self) -> tuple[bool, dict[str, str]]:
        """Whether every device has answered, and what each said: the boot's verdict.

        One that has no power by order is not waited for: it is "resting", whatever it said before.
        """
        resting = self.health_events.resting
        report = {
            name: "resting" if name in resting else state.name.lower() for name, state in self.states().items()
        }
        return all(said in ("ok", "resting") for said in report.values()), report

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
        if name == self.imu_name:
            return self.sensors.imu()
        return managed.reading(now_ns)

    def set_rate(self, role: str, hz: float, now_ns: int) -> None:
        """Ask the polled devices of a role no more often than this, and never more often than the board says.

        0: once a minute, so that what rests is still known to be there. Parts that speak by themselves go on speaking,
        and inertial units keep their rate, since one may have to take the other's place at any time.
        """
        for device in self._parts.of_role(role):
            managed = self.devices.get(device.name)
            if managed is not None and device.rate_hz and role not in INERTIAL:
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
