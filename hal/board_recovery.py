"""Who brings what back: guards of the buses, power cycles of rails, buses opened anew, and the units of all that."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from drivers.bus.protocol import ClearableBus, GpioBus, ReopenableBus
from drivers.cia401_valves import ValveBus
from drivers.errors import DeviceError
from hal.board_devices import BoardDevices
from hal.device_health import BUS, DeviceState
from hal.health import HealthLog, RailFed
from hal.heard import HeardDevice
from hal.imu_pair import ImuPair
from hal.levers import Lever
from hal.manager import BusSlots, ManagedDevice
from hal.power_board import BoardPowerPlane
from hal.power_cycle import PowerCycle
from hal.profile import ConfigError
from hal.recovery import HANGS, BusGuard, Rung, Step, Worker
from hal.reopening import Reopener, absences
from hal.unit_recovery import (
    Unit,
    UnitRecovery,
    guarded_bus,
    heard_unit,
    inertial_unit,
    open_port,
    polled_unit,
    star_unit,
    valve_node,
)
from hal.valve_nodes import ValveNodeWatch

__all__ = ["BoardRecovery"]

PROBED = 3
"""Chips asked before a bus counts as dead."""


def _probe(members: list[ManagedDevice[Any]]) -> None:
    """Whether the bus carries bytes: a chip that has answered before says its name, else any of the first few.

    Raises:
        DeviceError: the bus hangs, or none of them answers.
    """
    direct_first = sorted(members, key=lambda m: m.channel is not None)
    candidates = [m for m in direct_first if m.counters.samples][:PROBED] or direct_first[:PROBED]
    failure: DeviceError | None = None
    for member in candidates:
        try:
            for _ in member.device.identify():
                pass
        except DeviceError as error:
            if error.cause in HANGS:
                raise
            failure = error
        else:
            return
    if failure is not None:
        raise failure


def _wanted(lever: Lever[bool]) -> bool | None:
    return lever.wanted


class BoardRecovery:
    """Slots and guards of the buses, and what can be done for every device and bus of a board.

    Args:
        devices: the board's devices.
        buses: bus name to bus object.
        imu: the inertial units, if there are any.
        power: who switches the rails.
        valves: driver of the valve nodes; ``nodes`` follows their health.
        gpio: lines, for that which resets the multiplexers.
        worker: who does a hung bus's recovery.
        log: where changes of state are told.

    Attributes:
        slots: by bus that has them.
        guards: by the same.
        units: what can be ordered.

    Raises:
        ConfigError: a rail that is to be cycled and can't be.
    """

    def __init__(
        self, devices: BoardDevices, buses: Mapping[str, Any], imu: ImuPair | None, power: BoardPowerPlane,
        valves: ValveBus, nodes: ValveNodeWatch, gpio: GpioBus, worker: Callable[[], Worker], log: HealthLog,
    ) -> None:
        self._board = devices
        self._buses = buses
        self._imu = imu
        self._power = power
        self._valves = valves
        self._nodes = nodes
        self._gpio = gpio
        self._worker = worker
        self._log = log
        self._cycles: dict[str, PowerCycle] = {}
        self.guards: dict[str, BusGuard] = {}
        kinds = devices.board.buses
        self.slots = {name: self._bus_slots(name) for name, bus in kinds.items() if bus.kind in ("i2c", "spi")}
        if imu is not None:
            imu.attach(self.slots)
        self._reopeners = tuple(self._outside_the_slots())
        self._rail_fed = tuple(self._fed_alone())
        self.units = UnitRecovery(dict(self._units()))

    def service(self, now_ns: int) -> None:
        """Open anew what is gone, follow the rails, go on with what was ordered; once a medium tick."""
        for reopener in self._reopeners:
            reopener.step(now_ns)
        for fed in self._rail_fed:
            fed.step(now_ns)
        self.units.service(now_ns)

    def _bus_slots(self, name: str) -> BusSlots:
        """The slots of one bus with its guard. The flown inertial unit has its transfers outside the slots."""
        flown = self._imu.flown.name if self._imu is not None else None
        slots = BusSlots(m for n, m in self._board.devices.items() if self._board.config(n).bus == name and n != flown)
        recovery = self._board.board.buses[name].recovery
        bus = self._buses[name]
        actions: list[tuple[Rung, Step]] = []
        power: PowerCycle | None = None
        if isinstance(bus, ClearableBus):
            actions.append((Rung.CLEAR, bus.clear_bus))
        muxes = [mux for n, mux in self._board.muxes.items() if self._board.config(n).bus == name]
        if muxes:
            line = recovery.mux_reset_line if recovery is not None else None
            actions.append((Rung.DESELECT, partial(self._deselect, muxes, line)))
        if isinstance(bus, ReopenableBus):
            actions.append((Rung.REOPEN, bus.reopen))
        if recovery is not None and recovery.rail is not None:
            power = self._power_cycle(name, recovery.rail)
        guard = BusGuard(
            name, actions, partial(_probe, slots.devices), self._worker(), self._log, power, slots.devices,
            selects=self._board.board.buses[name].kind == "spi", through=partial(self._imu_gets_through, name),
        )
        self.guards[name] = slots.guard = guard
        return slots

    def _imu_gets_through(self, bus: str) -> bool:
        imu = self._imu
        return imu is not None and imu.flown.bus == bus and imu.flown.device.managed.state is DeviceState.OK

    def _power_cycle(self, bus: str, rail: str) -> PowerCycle:
        board = self._board.board.board
        units = self._board.of_role("pdu")
        if not units:
            raise ConfigError(board, None, f"buses.{bus}.recovery.rail", "no device with role pdu switches rails")
        unit = self._board.devices[units[0].name]
        if not hasattr(unit.device, "switch"):
            raise ConfigError(board, None, f"buses.{bus}.recovery.rail", f"{units[0].part} switches no rails")
        rails = getattr(self._board.settings[units[0].name], "rails", None)
        switched = [r.name for r in rails or () if r.switched]
        if rails is not None and rail not in switched:
            why = f"{units[0].name} switches no rail {rail}; it switches: {', '.join(switched) or 'none'}"
            raise ConfigError(board, None, f"buses.{bus}.recovery.rail", why)
        return self._cycle(unit, rail)

    def _cycle(self, unit: ManagedDevice[Any], rail: str) -> PowerCycle:
        """The one power cycle of a rail."""
        cycle = self._cycles.get(rail)
        if cycle is None:
            cycle = self._cycles[rail] = PowerCycle(unit, rail, self._power.rail_lever(rail))
        return cycle

    def _own_cycle(self, name: str) -> PowerCycle | None:
        """Power cycle of the rail that is named as the device, and so feeds nothing else."""
        pdu = self._board.pdu()
        if pdu is None or name not in pdu.switched or not hasattr(pdu.device.device, "switch"):
            return None
        return self._cycle(pdu.device, name)

    def _fed_alone(self) -> Iterator[RailFed]:
        """Devices that have a rail of their own, which is switched as a load."""
        own: dict[str, ManagedDevice[Any] | HeardDevice[Any]] = {**self._board.devices, **self._board.heard}
        for name, device in own.items():
            lever = self._power.rail_lever(name)
            if lever is not None:
                yield RailFed(name, partial(_wanted, lever), device.restart, self._log)

    def _powered(self, device: ManagedDevice[Any] | HeardDevice[Any], now_ns: int) -> None:
        """Set up a device whose own rail was cycled."""
        self._log.switching = device.name
        device.restart(now_ns)
        self._log.switching = None

    def _units(self) -> Iterator[tuple[str, Unit]]:
        """What can be ordered of every device and every bus."""
        board = self._board.board
        for name, device in self._board.devices.items():
            config = self._board.config(name)
            unit = polled_unit(
                device, self.guards[config.bus], switched=config.role == "mux" or config.mux is not None,
                cycle=self._own_cycle(name),
            )
            yield name, replace(unit, powered=partial(self._powered, device))
        for inertial in self._board.inertial:
            if self._imu is not None:
                yield inertial.name, inertial_unit(inertial, self._imu, self.guards[inertial.bus])
        for name, heard in self._board.heard.items():
            yield name, replace(heard_unit(heard, self._own_cycle(name)), powered=partial(self._powered, heard))
        if self._board.star is not None:
            yield self._board.star.name, star_unit(self._board.star)
        for name in self._nodes.states:
            yield name, valve_node(self._nodes, name)
        for name in board.buses:
            guard, port = self.guards.get(name), self._buses[name]
            if guard is not None:
                yield BUS + name, guarded_bus(guard)
            elif isinstance(port, ReopenableBus):
                yield BUS + name, open_port(port.reopen)

    def _outside_the_slots(self) -> Iterator[Reopener]:
        """Who opens the buses of the inertial units, the star tracker and the valves anew."""
        star, valves = self._board.star, self._valves
        for bus in dict.fromkeys(unit.bus for unit in self._board.inertial):
            yield from self._reopener_of_inertial_units(bus)
        if star is not None:
            yield from self._reopener(
                self._board.config(star.name).bus, lambda: absences(star.counters.by_cause),
                lambda: star.state is DeviceState.OK,
            )
        yield from self._reopener(
            self._board.of_role("valve_node")[0].bus, lambda: absences(valves.counters.errors),
            lambda: any(node.sample().operational for node in valves.nodes.values()),
        )

    def _reopener_of_inertial_units(self, bus: str) -> Iterator[Reopener]:
        """Units that stand by are the guard's: this is for the flown one, while it is on that bus."""
        imu = self._imu
        if imu is None:
            return
        here = [unit.device for unit in imu.units if unit.bus == bus]

        def again(now_ns: int) -> None:
            if imu.flown.bus == bus:
                imu.flown.device.managed.restart(now_ns)

        yield from self._reopener(
            bus, lambda: sum(absences(device.counters.by_cause) for device in here),
            lambda: imu.flown.bus != bus or imu.ready, again,
        )

    def _reopener(
        self, bus: str, gone: Callable[[], int], well: Callable[[], bool], again: Callable[[int], None] | None = None,
    ) -> Iterator[Reopener]:
        port = self._buses[bus]
        if isinstance(port, ReopenableBus):
            yield Reopener(port, gone, well, again, self.guards.get(bus))

    def _deselect(self, muxes: list[Any], line: str | None) -> None:
        if line is not None:
            self._gpio.set(line, False)
            self._gpio.set(line, True)
        for mux in muxes:
            mux.deselect()
