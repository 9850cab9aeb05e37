"""Hours of power and heat in seconds: the world's energy side, flown by the flight software's own energy manager.

No chips, no buses, no motion: a power plane straight over the world's power plant (world_plane.py), the Sun's cosine by
a law, burns as energy of the valves. While the battery's protection keeps the bus off nothing of the flight software
runs; when the power comes back it boots anew and knows nothing of before. Both books are in the result: the world's
ledger, which must close, and the one on board, which has the errors of its sensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

import numpy as np

from fdir.codes import Code, Severity
from fdir.modes import Motion
from firmware_py.cli.energy_faults import KINDS
from firmware_py.cli.energy_plan import (
    EnergyEvent,
    EnergyFlightResult,
    EnergyPlan,
    EnergyRow,
    SunLaw,
    SunPointed,
    SunTable,
    Tumbling,
    check_plan,
)
from firmware_py.cli.world_plane import WorldPowerPlane
from firmware_py.energy.forecast_books import ShedBook
from firmware_py.energy.forecast_demand import SafeLatch
from firmware_py.energy.forecast_plan import Burn
from firmware_py.energy.manager import EnergyManager
from hal.reading import Quality, Reading
from hil.plant.world import InitialState, World

__all__ = [
    "EnergyEvent", "EnergyFlight", "EnergyFlightResult", "EnergyPlan", "EnergyRow", "SunLaw", "SunPointed", "SunTable",
    "Tumbling",
]

NS = 1_000_000_000
HOUR_S = 3600.0
EVENTS = 20_000
LOCKOUT_STEP_S = 5.0
COMPUTER_LOAD = "processor"


class _Processor:
    """The flight computer of this flight: as warm as the core, and as fast as it is told."""

    def __init__(self, world: World, throttled: bool) -> None:
        self._world, self._throttled = world, throttled

    def temperature_c(self) -> float | None:
        """See ComputerPort."""
        return self._world.temperatures_c.get("core")

    def set_share(self, share: float) -> bool:
        """See ComputerPort."""
        if self._throttled:
            self._world.power.set_share(COMPUTER_LOAD, share)
        return self._throttled


class _Gather:
    """Sums between two rows."""

    def __init__(self, world: World) -> None:
        self.begin(world)

    def begin(self, world: World) -> None:
        power = world.power
        self.ledger = power.ledger_dict()
        self.stores = (power.battery_j, power.supercap_j)
        self.heaters_j = 0.0
        self.t_s = world.t_ns / NS


class EnergyFlight:
    """One energy flight. ``run`` flies it; ``world`` and ``manager`` (``None`` in lockout) are read freely."""

    def __init__(self, plan: EnergyPlan) -> None:
        """Raises ValueError, with what is allowed, before anything is flown."""
        check_plan(plan)
        self.plan = plan
        self.world = World(plan.body, InitialState(
            epoch=0, soc_battery=plan.soc_battery, soc_supercap=plan.soc_supercap, temperatures_c=plan.temperatures_c,
            ambient_c=plan.ambient_c, orbit=plan.orbit, lighting=plan.lighting, sun_direction=(1.0, 0.0, 0.0),
        ), np.random.default_rng(plan.seed))
        self._heaters = tuple(heater.load for heater in plan.body.thermal.heaters)
        self._faults = sorted(
            [(fault.at_h * HOUR_S, fault, True) for fault in plan.faults]
            + [((fault.at_h + fault.for_h) * HOUR_S, fault, False) for fault in plan.faults if fault.for_h is not None],
            key=lambda due: due[0],
        )
        self._sheds, self._rows, self._events = ShedBook(), list[EnergyRow](), list[EnergyEvent]()
        self._dropped = 0
        self._dock_wanted = self._dock_asked = False
        power = self.world.power
        self._lowest = [(power.soc_battery, 0.0), (power.soc_supercap, 0.0)]
        self._start_j = power.stored_j
        self._heaters_j = self._under_s = self._dark_s = self._boost_s = 0.0
        self._wakes: list[float] = []
        self._worst: float | None = None
        self.manager: EnergyManager | None = None
        self._safe = SafeLatch(plan.body.power)
        self._motion = Motion.IDLE
        self._begin_faults(0.0)
        if power.bus_on:
            self._boot()
        self._gather = _Gather(self.world)

    @property
    def t_s(self) -> float:
        """Flight time."""
        return self.world.t_ns / NS

    def run(self, each: Callable[[EnergyFlight], None] | None = None) -> EnergyFlightResult:
        """Fly to the end; ``each`` is called at every row."""
        end_s = self.plan.hours * HOUR_S
        row_s = min(self.plan.row_s, end_s)
        while self.t_s < end_s - 1e-6:
            self.step(min(row_s, end_s) - self.t_s)
            if self.t_s >= row_s - 1e-6:
                row_s += self.plan.row_s
                self._row()
                if each is not None:
                    each(self)
        return self.result()

    def run_until(self, seconds: float) -> bool:
        """Fly on to this time or, if that comes first, to the end of a lockout; returns whether the bus is on."""
        while self.t_s < seconds - 1e-6:
            was_off = not self.world.power.bus_on
            self.step(seconds - self.t_s)
            if was_off and self.world.power.bus_on:
                break
        return self.world.power.bus_on

    def step(self, most_s: float = inf) -> None:
        """One period of the flight software, at most ``most_s``."""
        world, power, t = self.world, self.world.power, self.t_s
        self._begin_faults(t)
        seconds = min(self.plan.step_s if power.bus_on else LOCKOUT_STEP_S, most_s, self._next_fault() - t)
        burn_w = sum(burn.watts * _overlap(burn, t, t + seconds) / seconds for burn in self.plan.burns)
        share = 0.0 if self.manager is None else self.manager.rcs_share
        before_j = power.ledger.loads
        world.advance_energy(
            seconds, sun_cosine=self.plan.sun.cosine(t + 0.5 * seconds), valve_j=share * burn_w * seconds
        )
        self._watch(seconds, power.ledger.loads - before_j)
        if not power.bus_on:
            self.manager = None
            self._sheds.note(self.t_s, {})
        elif self.manager is None:
            self._boot()
        else:
            self._manage(self.manager, share * burn_w)

    def _boot(self) -> None:
        """Power is there: a flight software that knows nothing."""
        world = self.world
        self._plane = WorldPowerPlane(world, self.plan.errors)
        loads = {load.name for load in self.plan.body.power.loads}
        self.manager = EnergyManager(
            self.plan.body, self._plane, self._tell, _Processor(world, COMPUTER_LOAD in loads)
        )
        for load in sorted(self.plan.loads_off):
            self.manager.want_load(load, False)
        self._dock_asked = False
        self._safe = SafeLatch(self.plan.body.power)
        if world.t_ns:
            self._wakes.append(self.t_s)
        self._manage(self.manager, 0.0)

    def _manage(self, manager: EnergyManager, firing_w: float) -> None:
        now = self.world.t_ns
        battery, stack = manager.soc_battery, manager.soc_supercap
        safe = self._safe.on if battery is None or stack is None else self._safe.step(battery, stack)
        self._motion = Motion.SAFE if safe else Motion.BURN if firing_w > 0.0 else Motion.IDLE
        manager.medium(now, self._plane.state(now), self._motion, firing_w)
        readings = {name: Reading(celsius, now, Quality.OK) for name, celsius in self.world.temperatures_c.items()}
        manager.slow(now, readings, {}, self._motion)
        if self._dock_wanted and not self._dock_asked:
            # An operator asks until the port has seen what was plugged in.
            self._dock_asked = not manager.feed_from_dock(True)
        if manager.shedding is not None:
            self._sheds.note(self.t_s, manager.shedding.shed)
        if manager.soc_battery is not None:
            error = abs(manager.soc_battery - self.world.power.soc_battery)
            self._worst = error if self._worst is None else max(self._worst, error)

    def _tell(self, t_ns: int, code: Code, severity: Severity, text: str) -> None:
        if len(self._events) >= EVENTS:
            self._dropped += 1
            return
        self._events.append(EnergyEvent(t_ns / NS, code.value, severity, text))

    # -- faults

    def _next_fault(self) -> float:
        return self._faults[0][0] if self._faults else inf

    def _begin_faults(self, t: float) -> None:
        while self._faults and self._faults[0][0] <= t + 1e-6:
            _, fault, begins = self._faults.pop(0)
            kind = KINDS[fault.kind]
            lever = kind.begin if begins else kind.end
            if lever is not None:
                lever(self.world, fault.load, fault.value)
            if fault.kind == "dock":
                self._dock_wanted, self._dock_asked = begins, False
                if self.manager is not None and not begins:
                    self.manager.feed_from_dock(False)
            self._events.append(EnergyEvent(t, "RIG_FAULT", Severity.INFO, fault.text + ("" if begins else " ended")))

    # -- what is kept

    def _watch(self, seconds: float, loads_j: float) -> None:
        power, t = self.world.power, self.t_s
        for index, soc in enumerate((power.soc_battery, power.soc_supercap)):
            if soc < self._lowest[index][0]:
                self._lowest[index] = (soc, t)
        if power.bus_on:
            self._gather.heaters_j += seconds * sum(power.load_power_w(load) for load in self._heaters)
        else:
            # Nothing else draws then, and its thermostat goes to and fro within a step.
            self._gather.heaters_j += loads_j
            self._dark_s += seconds
        if power.bus_on and power.under_s > 0.0:
            self._under_s += min(seconds, power.under_s)
        if power.soc_supercap >= self.plan.body.power.supercap.boost_soc:
            self._boost_s += seconds

    def _row(self) -> None:
        world, power, before, manager = self.world, self.world.power, self._gather, self.manager
        seconds = self.t_s - before.t_s
        after = power.ledger_dict()
        mean = {name: (after[name] - before.ledger[name]) / seconds for name in after}
        heaters_w = before.heaters_j / seconds
        self._heaters_j += before.heaters_j
        losses_w = mean["battery_losses"] + mean["supercap_losses"]
        battery_w = (before.stores[0] - power.battery_j) / seconds
        stack_w = (before.stores[1] - power.supercap_j) / seconds
        shedding = None if manager is None else manager.shedding
        self._rows.append(EnergyRow(
            self.t_s, power.soc_battery, power.soc_supercap,
            None if manager is None else manager.soc_battery, None if manager is None else manager.soc_supercap,
            mean["harvested"], mean["dock"], mean["loads"] - heaters_w, heaters_w, mean["valves"] + mean["peaks"],
            losses_w, battery_w, stack_w, mean["spilled"], mean["unserved"], power.bus_voltage_v, self._motion,
            () if shedding is None else tuple(shedding.shed), tuple(world.temperatures_c.values()), power.bus_on,
            world.environment.illumination,
        ))
        before.begin(world)

    def result(self) -> EnergyFlightResult:
        """What was flown up to now."""
        power, manager = self.world.power, self.manager
        if self.t_s > self._gather.t_s + 1e-6:
            self._row()
        world_j = power.ledger_dict()
        (battery, battery_s), (stack, stack_s) = self._lowest
        growth = power.stored_j - self._start_j
        return EnergyFlightResult(
            tuple(self._rows), tuple(self.world.temperatures_c), self._sheds.spans(self.t_s), tuple(self._events),
            self._dropped, world_j, self._heaters_j, growth, _unexplained(world_j, growth),
            None if manager is None else manager.books.totals(), battery, battery_s, stack, stack_s, self._worst,
            self._under_s, power.longest_under_s, self._dark_s, tuple(self._wakes), power.cold_charge_j, self._boost_s,
        )


def _unexplained(world_j: Mapping[str, float], growth_j: float) -> float:
    """Sources less loads, losses and what is stored, as a share of what the sources and the stores gave."""
    given = world_j["harvested"] + world_j["dock"] + world_j["set"]
    taken = sum(world_j[name] for name in (
        "loads", "valves", "peaks", "backflow", "battery_losses", "supercap_losses",
    ))
    turned = max(given + max(0.0, -growth_j), taken + max(0.0, growth_j))
    return abs(given - taken - growth_j) / turned if turned > 0.0 else 0.0


def _overlap(burn: Burn, start_s: float, end_s: float) -> float:
    return max(0.0, min(burn.end_s, end_s) - max(burn.t_s, start_s))

