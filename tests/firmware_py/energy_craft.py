"""Craft for the tests of the energy side: one over the world's power plant, and a plane that only notes its orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fdir.codes import Code, Severity
from fdir.modes import Motion
from firmware_py.cli.world_plane import SensorErrors, WorldPowerPlane
from firmware_py.energy.computer import ComputerPort
from firmware_py.energy.manager import EnergyManager
from hal.power import DockState, GaugeState, PanelState, PowerState
from hal.profile import load_body
from hal.profile.body import BodyConfig
from hal.reading import Quality, Reading, absent
from hil.plant.world import InitialState, World

MS = 1_000_000
SECOND = 1_000_000_000
TICK_NS = 50 * MS
SLOW_EVERY = 10
BODY = load_body("qiki-t")
EXACT = SensorErrors(0.0, 0.0, 0.0, 1.0)
WARM = {node.name: 20.0 for node in BODY.thermal.nodes}


def ok(value: Any, t_ns: int) -> Reading[Any]:
    return Reading(value, t_ns, Quality.OK)


@dataclass(frozen=True, slots=True)
class Told:
    """One event."""

    t_ns: int
    code: Code
    severity: Severity
    text: str

    @property
    def t_s(self) -> float:
        return self.t_ns / SECOND

    @property
    def begins(self) -> bool:
        return self.severity is not Severity.INFO


class Events:
    """Events in their order."""

    def __init__(self) -> None:
        self.all: list[Told] = []

    def __call__(self, t_ns: int, code: Code, severity: Severity, text: str) -> None:
        self.all.append(Told(t_ns, code, severity, text))

    def of(self, code: Code, word: str = "") -> list[Told]:
        return [event for event in self.all if event.code is code and word in event.text]

    def codes(self) -> set[Code]:
        return {event.code for event in self.all}


class Computer:
    """A flight computer with a temperature, which notes the share it was given."""

    def __init__(self, celsius: float | None = None) -> None:
        self.celsius = celsius
        self.share = 1.0

    def temperature_c(self) -> float | None:
        return self.celsius

    def set_share(self, share: float) -> bool:
        self.share = share
        return True


class Flying:
    """A manager on some plane, stepped as the tick steps it: medium at 20 Hz, slow at 2 Hz."""

    def __init__(self, body: BodyConfig, plane: Any, computer: ComputerPort | None = None) -> None:
        self.body = body
        self.plane = plane
        self.told = Events()
        self.manager = EnergyManager(body, plane, self.told, computer)
        self.motion = Motion.IDLE
        self.firing_w = 0.0
        self.t_ns = 0
        self.ticks = 0
        self.seen: Callable[[PowerState], PowerState] = lambda state: state
        """What the flight software gets of what the plane says."""
        self.felt: Callable[[Mapping[str, float]], Mapping[str, float | None]] = dict
        """The same of the temperatures; ``None`` is a sensor that does not answer."""

    @property
    def t_s(self) -> float:
        return self.t_ns / SECOND

    @property
    def answers(self) -> Mapping[str, Any]:
        return self.manager.loads.answers

    @property
    def shed(self) -> Mapping[str, str]:
        shedding = self.manager.shedding
        return {} if shedding is None else {load: str(reason) for load, reason in shedding.shed.items()}

    def world_step(self) -> Mapping[str, float]:
        raise NotImplementedError

    def tick(self) -> None:
        self.t_ns += TICK_NS
        self.software(self.world_step())

    def software(self, celsius: Mapping[str, float]) -> None:
        self.manager.medium(self.t_ns, self.seen(self.plane.state(self.t_ns)), self.motion, self.firing_w)
        if self.ticks % SLOW_EVERY == 0:
            self.manager.slow(self.t_ns, self.readings(celsius), {}, self.motion)
        self.ticks += 1

    def readings(self, celsius: Mapping[str, float]) -> dict[str, Reading[float]]:
        return {
            name: absent() if value is None else Reading(value, self.t_ns, Quality.OK)
            for name, value in self.felt(celsius).items()
        }

    def fly(self, seconds: float, each: Callable[[], None] | None = None) -> None:
        for _ in range(round(seconds * SECOND / TICK_NS)):
            self.tick()
            if each is not None:
                each()

    def until(self, reached: Callable[[], bool], most_s: float) -> float:
        """Seconds until it is so; fails if it takes longer."""
        begin = self.t_ns
        while not reached():
            assert self.t_ns - begin < most_s * SECOND, f"not within {most_s} s"
            self.tick()
        return (self.t_ns - begin) / SECOND


class CoreComputer:
    """A flight computer as warm as the world's core, whose clock moves the world's processor load."""

    def __init__(self, world: World) -> None:
        self._world = world

    def temperature_c(self) -> float | None:
        return self._world.temperatures_c["core"]

    def set_share(self, share: float) -> bool:
        self._world.power.set_share("processor", share)
        return True


class WorldCraft(Flying):
    """One over the world's plant. ``sun`` is the cosine on the cells; it lies in the dark until that is set.

    While the battery's own protection has the bus off nothing of the flight software runs, and it boots anew after.
    """

    def __init__(
        self, body: BodyConfig = BODY, *, errors: SensorErrors = EXACT, seed: int = 1, **initial: Any,
    ) -> None:
        temperatures = {node.name: 20.0 for node in body.thermal.nodes} | initial.pop("temperatures_c", {})
        self.world = World(
            body, InitialState(epoch=0, temperatures_c=temperatures, sun_direction=(1.0, 0.0, 0.0), **initial),
            np.random.default_rng(seed),
        )
        self.sun = 0.0
        self._errors = errors
        self._dark = False
        super().__init__(body, WorldPowerPlane(self.world, errors), CoreComputer(self.world))

    @property
    def power(self) -> Any:
        return self.world.power

    def world_step(self) -> Mapping[str, float]:
        self.world.advance_energy(
            TICK_NS / SECOND, sun_cosine=self.sun, valve_j=self.manager.rcs_share * self.firing_w * TICK_NS / SECOND
        )
        return self.world.temperatures_c

    def software(self, celsius: Mapping[str, float]) -> None:
        if not self.power.bus_on:
            self._dark = True
            return
        if self._dark:
            self._dark = False
            self.plane = WorldPowerPlane(self.world, self._errors)
            self.manager = EnergyManager(self.body, self.plane, self.told, CoreComputer(self.world))
        super().software(celsius)

    def on(self) -> set[str]:
        """Loads that draw."""
        return {name for name in self.power.load_names() if self.power.is_on(name)}


class NotingPlane:
    """A plane without a world: it shows what it is told to show, and keeps the newest order of every lever."""

    def __init__(self, body: BodyConfig = BODY, *, takes: bool = True) -> None:
        self.body = body
        self.takes = takes
        """What every lever answers."""
        self.names = tuple(load.name for load in body.power.loads if not load.base) + tuple(
            heater.load for heater in body.thermal.heaters
        )
        starts = {load.name: load.starts_on for load in body.power.loads}
        self.on = {name: starts.get(name, False) for name in self.names}
        self.panel_v: float | None = None
        self.charge_a: float | None = None
        self.target_v: float | None = None
        self.dock: tuple[bool, float] = (False, 1.0)
        self.orders: list[tuple[str, Any]] = []
        self.changes: dict[str, Any] = {}
        """Fields of the state that are other than nominal, as values (``None``: absent) or as readings."""
        self.soc = 0.8
        self.soc_stack = 0.7

    @property
    def switched(self) -> tuple[str, ...]:
        return self.names

    def state(self, now_ns: int) -> PowerState:
        bus = self.body.power.bus
        volts = bus.empty_v + (bus.full_v - bus.empty_v) * self.soc
        powers = {load.name: load.power_w for load in self.body.power.loads}
        powers |= {heater.load: heater.power_w for heater in self.body.thermal.heaters}
        watts = sum(powers[name] for name, on in self.on.items() if on)
        watts += sum(load.power_w for load in self.body.power.loads if load.base)
        stack_v = self.body.power.supercap.full_v * self.soc_stack**0.5
        state = PowerState(
            ok(volts, now_ns), ok(watts / volts, now_ns), ok(watts / volts, now_ns), ok(self.soc, now_ns),
            ok(self.soc_stack, now_ns), ok(stack_v, now_ns), battery_voltage_v=ok(volts, now_ns),
            supercap_current_a=ok(0.0, now_ns), panel=ok(PanelState(20.0, 0.0, 0.0, 0.0, False, "off", ()), now_ns),
            gauge=ok(GaugeState(round(self.soc, 2), volts, watts / volts, None, None, ()), now_ns),
            dock=ok(DockState(0.0, 0.0, 0.0, False, False, 20.0, ()), now_ns), dock_current_a=ok(0.0, now_ns),
            load_current_a={name: ok(powers[name] / volts if on else 0.0, now_ns) for name, on in self.on.items()},
        )
        changes: dict[str, Any] = {
            name: value if isinstance(value, Reading | dict) else absent() if value is None else ok(value, now_ns)
            for name, value in self.changes.items()
        }
        return replace(state, **changes)

    def switch(self, load: str, on: bool) -> bool:
        if load not in self.on:
            raise KeyError(load)
        self.orders.append((load, on))
        if self.takes:
            self.on[load] = on
        return self.takes

    def set_panel_voltage(self, volts: float | None) -> bool:
        self.panel_v = volts
        return self.takes

    def set_charge_limit(self, amperes: float) -> bool:
        self.charge_a = amperes
        return self.takes

    def set_supercap_target(self, volts: float) -> bool:
        self.target_v = volts
        return self.takes

    def set_dock(self, on: bool, share: float = 1.0) -> bool:
        self.dock = (on, share)
        return self.takes


class BenchCraft(Flying):
    """One on a plane without a world. ``celsius`` is what its nodes have."""

    def __init__(self, body: BodyConfig = BODY, *, takes: bool = True, computer: ComputerPort | None = None) -> None:
        self.levers = NotingPlane(body, takes=takes)
        self.celsius = {node.name: 20.0 for node in body.thermal.nodes}
        super().__init__(body, self.levers, computer)

    def world_step(self) -> Mapping[str, float]:
        return self.celsius
