"""The energy side in one place: what is measured becomes estimates, decisions and levers, once a medium tick.

    readings -> stores -> heat -> who pays what -> shedding -> load manager -> chargers, panel, dock -> budget -> books

Heat, heaters, duty and the flight computer follow at the slow rate. What the rest of the craft needs to know is in
``facts``, the two charges, ``rcs_share`` and ``barred_clusters``; why, in the events and in ``firmware_py/energy/
snapshot.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite

from fdir.codes import Code, Severity
from fdir.facts import EnergyFacts
from fdir.modes import Motion
from firmware_py.energy.books import Books
from firmware_py.energy.charging import Charging
from firmware_py.energy.computer import ComputerPort, ComputerThrottle, ComputerVerdict
from firmware_py.energy.dock_power import BRIDGE, DockPower
from firmware_py.energy.duties import Duties
from firmware_py.energy.duty_table import Profile
from firmware_py.energy.frost import FROST_LOADS, FROST_SHARE, FrostGuard
from firmware_py.energy.heaters import HeaterControl, HeaterPlan
from firmware_py.energy.levels import PeakLevel, peak_level
from firmware_py.energy.notices import Notices, Tell
from firmware_py.energy.pdu import LoadManager, Wishes
from firmware_py.energy.pdu_line import load_rules
from firmware_py.energy.peaks import Peaks
from firmware_py.energy.power_rule import Flows, share
from firmware_py.energy.shedding import FaultWord, Shedder, Shedding, ShedReason, Situation
from firmware_py.energy.stores_watch import StoresWatch, bound, usable
from firmware_py.energy.thermal import Function, ThermalGuard, ThermalVerdict
from firmware_py.energy.token_types import Supply
from firmware_py.energy.unseen import UnseenShare
from hal.power import GaugeState, PowerPlane, PowerState
from hal.profile.body import BodyConfig
from hal.reading import Quality, Reading

__all__ = ["EnergyManager"]

SECOND = 1_000_000_000
LONGEST_STEP_S = 5.0
"""A longer pause between two steps is a restart: nothing is counted over it."""
BLOCKED_LOADS = {
    Function.NBL: ("nbl",), Function.RADAR: ("radar",), Function.TRANSPONDER: ("transponder",),
    Function.SCANS: ("lidar",), Function.COMMS: ("nbl", "transponder"),
}
"""Loads that a function blocked by heat takes with it."""
NO_CLUSTERS: Mapping[str, Code] = {}
YIELDING = ("lidar", "nbl")
"""Loads that are shed before any heater (shedding.py)."""
WAITING_W = 5.0
"""Power that nobody takes, or a dock gives, above which a battery too cold to be charged is worth a sacrifice."""
FIRST_READING_NS = 10 * SECOND
"""Time after boot in which heaters wait for thermometers; devices are to answer within 8 s."""
CORE_HEAT = {"processor": 0.8, "nbl": 0.7}
PDU_HEAT, BATTERY_HEAT = 0.02, 0.01
"""Shares of power that become heat of a node (CANON section 6)."""
RETURN_W = 2.5
"""Room beyond its own draw that a load shed for over-current needs to come back: 2 % of the bus's limit, above the
noise of its monitors and the sag of the bus under the load."""
SPARE_W = 1.0
"""Room that heaters leave on the bus, against the noise alone: they are wanted too much to wait for more."""

HELD_BACK_SHARE = 0.5
"""Share of computing asked for while the firmware holds the clock back."""


class EnergyManager:
    """Power, heat and energy of one craft.

    Args:
        body: craft description.
        plane: readings and levers.
        tell: where events go.
        computer: the flight computer's own temperature and speed; ``None``: neither is known here.
    """

    def __init__(
        self, body: BodyConfig, plane: PowerPlane, tell: Tell, computer: ComputerPort | None = None
    ) -> None:
        power = body.power
        self._power, self._plane, self._tell = power, plane, tell
        self._notices = Notices(tell)
        self.stores = StoresWatch(power)
        self.shedder = Shedder(body)
        rules = load_rules(body)
        self._base_w = sum(load.power_w for load in power.loads if load.base)
        self._names = tuple(rule.name for rule in rules if not rule.base)
        self.loads = LoadManager(rules, power.bus, plane.switched)
        self.charging = Charging(power, plane)
        self.peaks = Peaks(power, {heater.load: heater for heater in body.thermal.heaters})
        bridge = next((node for node in body.thermal.nodes if node.name == BRIDGE), None)
        self.dock = None if power.dock is None else DockPower(power.dock, bridge, plane)
        self.guard = ThermalGuard(body)
        self.heaters = HeaterControl(body)
        self.duties = Duties(body)
        self.throttle = ComputerThrottle()
        self.computer = computer
        self.ordered_to_shed = False
        """A fault stands whose isolation is to shed."""
        self.held_back = False
        """The computer's firmware holds its clock back: heat or a weak supply, and asking for less is what helps."""
        self.books = Books(power)
        self._operator: dict[str, bool] = {}
        self._last_ns: int | None = None
        self.state: PowerState = plane.state(0)
        self.flows: Flows | None = None
        self.shedding: Shedding | None = None
        self.heat: ThermalVerdict = self.guard.step(0, {})
        self.plan: HeaterPlan | None = None
        self.verdict: ComputerVerdict = self.throttle.step(None)
        self.facts = EnergyFacts()
        self.computer_c: float | None = None
        self.rcs_share = 1.0
        """Share of the wanted force that the power lets through."""
        self.barred_clusters: Mapping[str, Code] = NO_CLUSTERS
        self._firing_w = 0.0
        self._headroom_w = 0.0
        self._low_energy = False
        self._frost = FrostGuard(body)
        self._clusters = frozenset(nozzle.cluster for nozzle in body.propulsion.nozzles)
        """Nodes that get of the heat of their nozzles, as long as these fire."""
        self._heater_loads = frozenset(heater.load for heater in body.thermal.heaters)
        self._heated = tuple(heater.node for heater in body.thermal.heaters)
        self._begun_ns: int | None = None
        self._wants: dict[str, bool] = {}
        self._drawn_w = 0.0
        self._unseen = UnseenShare()

    # -- what the craft knows and asks

    @property
    def soc_battery(self) -> float | None:
        """Estimated charge of the battery, 0..1."""
        return self.stores.battery_estimate.soc

    @property
    def soc_supercap(self) -> float | None:
        """Estimated charge of the stack, 0..1."""
        return self.stores.supercap_estimate.soc

    @property
    def peak_level(self) -> PeakLevel | None:
        """What the stack allows."""
        return peak_level(self.soc_supercap, self._power.supercap)

    def can_give(self, watts: float, joules: float, floor_soc: float) -> bool:
        """Whether the stack delivers a peak without falling below a charge, its resistance considered."""
        seconds = joules / watts if watts > 0.0 else 0.0
        return self.stores.supercap.can_give(watts, seconds, floor_soc)

    def want_load(self, name: str, on: bool) -> tuple[Code, ...]:
        """Let an operator want a load on or off; returns what speaks against it."""
        if name not in self._names:
            return (Code.CMD_VALIDATION_FAILED,)
        if name not in self._plane.switched:
            return (Code.PDU_DENIED,)
        answer = self.loads.answers.get(name)
        if on and answer is not None and answer.codes:
            return answer.codes
        self._operator[name] = on
        return ()

    def unwanted(self, name: str) -> None:
        """A load that nobody wants from the start, whether it has a rail or only a switch of its own."""
        if name in self._names:
            self._operator[name] = False

    def clear(self, name: str) -> tuple[Code, ...]:
        """Let a line, or the dock, that was opened for good be tried again."""
        if name == "dock" and self.dock is not None:
            self.dock.clear()
            return ()
        try:
            self.loads.clear(name)
        except KeyError:
            return (Code.CMD_VALIDATION_FAILED,)
        return ()

    def set_profile(self, name: str) -> None:
        """Let an operator choose the profile of sensors and computing: fast, balanced or eco."""
        self.duties.profile = Profile[name.upper()]

    def feed_from_dock(self, on: bool) -> tuple[Code, ...]:
        """Take power from a dock, or stop; returns what speaks against it."""
        if self.dock is None:
            return (Code.NOT_IMPLEMENTED,)
        return self.dock.want(on)

    # -- medium rate

    def medium(self, now_ns: int, state: PowerState, motion: Motion, firing_w: float) -> None:
        """One step.

        Args:
            now_ns: flight clock.
            state: newest readings of the plane.
            motion: motion mode.
            firing_w: what the open valves draw now, W.
        """
        last, self._last_ns = self._last_ns, now_ns
        dt_s = 0.0 if last is None else (now_ns - last) * 1e-9
        self.state, self._firing_w = state, firing_w
        if not 0.0 < dt_s <= LONGEST_STEP_S:
            return
        self.stores.step(now_ns, dt_s, state, self._celsius("battery"), self._celsius("supercap"))
        self._wants = {name: self._wanted(name) for name in self._names}
        self._drawn_w = self._base_w + _power_w(sum(self.loads.drawn_w(name) for name in self._names))
        self._share_out(state)
        self._look_for_unseen(dt_s, state)
        self.stores.follow_charge(now_ns, self.flows)
        shedding = self._shed(state)
        self._switch(now_ns, shedding, state, motion)
        if self.dock is not None:
            self.dock.step(now_ns, state, self.heat)
        self.charging.step(
            now_ns, state, self.flows, soc_battery=self.soc_battery, charge_share=self._charge_share(),
            top_up=shedding.top_up_allowed,
        )
        self.peaks.step(now_ns, dt_s, self._supply(shedding), firing_w)
        self.books.step(dt_s, state, self.stores, self.flows)
        self._publish(now_ns, shedding)

    def _share_out(self, state: PowerState) -> None:
        """What the rule says of the present loads; nothing while a charge is not known, or before any load was seen."""
        battery, stack = self.soc_battery, self.soc_supercap
        if battery is None or stack is None or not self.loads.answers:
            self.flows = None
            return
        panel = state.panel.value if state.panel.quality is Quality.OK else None
        array_w = _power_w(None if panel is None else panel.power_w)
        dock_a, volts = usable(state.dock_current_a), usable(state.bus_voltage_v)
        dock_w = _power_w(None if dock_a is None or volts is None else dock_a * volts)
        self.flows = share(
            self._power, array_w=array_w, dock_w=dock_w, loads_w=self._drawn_w, peaks_w=self._firing_w,
            soc_battery=min(1.0, max(0.0, battery)), soc_supercap=min(1.0, max(0.0, stack)),
            charge_battery=self._charge_share() > 0.0, charge_supercap=self.heat.stack_charge_share > 0.0,
        )

    def _look_for_unseen(self, dt_s: float, state: PowerState) -> None:
        """Compare the bus with its loads; not while valves may be drawing on it too."""
        if self._firing_w > 0.0 or not self.loads.answers:
            return
        amperes, volts = usable(state.bus_current_a), usable(state.bus_voltage_v)
        bus_w = None if amperes is None or volts is None else amperes * volts
        self._unseen.step(dt_s, bus_w, self._drawn_w)

    def _shed(self, state: PowerState) -> Shedding:
        loads, stuck_on, freezing = self.loads, self.loads.stuck_on, FROST_LOADS if self._frost.freezing else ()
        # What is stuck on draws whether it is shed or not: shedding it makes no room.
        wanted = {
            name: 0.0 if name in stuck_on else loads.demand_w(name)
            for name, wish in self._wants.items() if wish and name not in freezing
        }
        for name, reason in self.shedding.shed.items() if self.shedding is not None else ():
            if reason is ShedReason.PDU_OVERCURRENT and name in wanted and name not in self._heater_loads:
                wanted[name] += RETURN_W
        stuck_w = sum(loads.drawn_w(name) for name in stuck_on)
        core = self._celsius("core")
        self.shedding = self.shedder.step(Situation(
            wanted, self.soc_battery, self.soc_supercap, usable(state.bus_voltage_v), core,
            tripped=tuple(name for name, verdict in self.heat.nodes.items() if verdict.tripped),
            nbl_under_way=self.peaks.nbl_under_way, rcs_w=self._firing_w,
            other_w=stuck_w + self._unseen_w(self._base_w + stuck_w + sum(wanted.values())),
            battery_capacity_j=self.stores.battery_estimate.capacity_j, flows=self.flows,
            ordered=self.ordered_to_shed,
        ))
        return self.shedding

    def _unseen_w(self, demand_w: float) -> float:
        """What the bus's monitor will show beyond a demand, W. A freezing battery is not left cold for it: its heater
        fits by a few watts, and stays if the bus bears it."""
        return 0.0 if self._frost.freezing else self._unseen.beyond(demand_w)

    def _wanted(self, name: str) -> bool:
        """What an operator said, else what duty and heaters want."""
        if self.plan is not None and name in self.plan.on:
            return True
        wish = self._operator.get(name)
        return self.duties.wants(name) if wish is None else wish

    def _switch(self, now_ns: int, shedding: Shedding, state: PowerState, motion: Motion) -> None:
        blocked = {load for function in self.heat.blocked for load in BLOCKED_LOADS.get(function, ())}
        loads = self.loads
        loads.step(now_ns, Wishes(
            self._wants, shedding.shed, blocked, self._denied(),
            self.duties.shares(self.verdict.share), motion is Motion.SAFE,
        ), state)
        for name, on in loads.orders():
            if not self._plane.switch(name, on):
                loads.not_taken(name)
        for event in loads.take_events():
            severity = Severity.WARNING if event.active else Severity.INFO
            latched = ", open until it is cleared" if event.latched else ""
            self._tell(event.t_ns, event.code, severity, f"{event.load}{latched}" if event.active else
                       f"{event.load}: over")

    def _denied(self) -> Mapping[str, tuple[Code, ...]]:
        """Loads that the budget refuses, and those that make room for a freezing battery."""
        return {**self.peaks.denied, **FROST_LOADS} if self._frost.freezing else self.peaks.denied

    def _charge_share(self) -> float:
        """Share of its charge power that heat, cold and doubt leave the battery."""
        if Function.CHARGE in self.heat.blocked or Function.CHARGE in self.heat.unsure:
            return 0.0
        battery = self.heat.nodes.get("battery")
        # A model keeps a heater going; it is no proof that the cells are warm enough to be charged.
        return 0.0 if battery is not None and battery.modelled else self.heat.charge_share

    def _supply(self, shedding: Shedding) -> Supply:
        """What all tokens may draw together, without what they draw already."""
        power, stack, battery = self._power, self.stores.supercap_estimate, self.stores.battery_estimate
        flows, heaters_w = self.flows, self._heaters_w(shedding)
        sources_w = 0.0 if flows is None else flows.array_w + flows.spilled_w + flows.dock_w
        others_w = max(0.0, shedding.demand_w - heaters_w)
        bus_w = None if shedding.limit_w is None else max(0.0, shedding.limit_w - others_w)
        # Held back for its cold a battery would stay cold.
        given = 1.0 if self._frost.freezing else self.heat.discharge_share
        battery_w = max(0.0, power.battery.discharge_max_w * given + sources_w - others_w)
        # What is shed first anyway makes room for heat.
        yielding_w = sum(self.loads.drawn_w(name) for name in YIELDING if name in self._names)
        spare_w = 0.0 if self._frost.freezing else SPARE_W
        self._headroom_w = 0.0 if bus_w is None else max(0.0, min(bus_w - spare_w, battery_w)) + yielding_w
        hold, safe = power.supercap.hold_soc, power.supercap.safe_soc
        stack_w = above_j = reserve_j = None
        if stack.soc is not None:
            stack_w = self.stores.supercap.max_power_w() * self.heat.stack_share
            above_j = max(0.0, stack.soc - hold) * stack.capacity_j
            reserve_j = max(0.0, min(stack.soc, hold) - safe) * stack.capacity_j
        stored_j = None
        if battery.soc is not None:
            stored_j = max(0.0, battery.soc - power.battery.cut_soc) * battery.capacity_j
        return Supply(stack_w, above_j, reserve_j, bus_w, battery_w, stored_j)

    def _heaters_w(self, shedding: Shedding) -> float:
        """What the demand has of the heaters that the plan wants: they share the headroom, so it is theirs."""
        if self.plan is None:
            return 0.0
        # One that is stuck on is no choice of the plan any more.
        return sum(
            self.loads.demand_w(name) for name in self.plan.on
            if name in self._names and name not in shedding.shed and name not in self.loads.stuck_on
        )

    def _publish(self, now_ns: int, shedding: Shedding) -> None:
        self.rcs_share = shedding.rcs_share
        unsolved = self.loads.overcurrent_unsolved or any(
            fault.word is FaultWord.PDU_OVERCURRENT for fault in shedding.faults
        )
        conflict = self.stores.conflict
        self.facts = replace(
            self.facts, stores_conflict=conflict, supercap_refuses_charge=self.stores.refuses_charge,
            loads_disobey=bool(self.loads.disobeying), overcurrent_unsolved=unsolved,
            dock_current_a=bound(self.state.dock_current_a),
            heat_unknown=Function.PEAKS in self.heat.unsure,
        )
        self._low_energy = shedding.low_soc
        notices = self._notices
        notices.update(now_ns, "shed", ((Code.LOAD_SHED_ACTIVE, f"{load} shed: {reason}")
                                        for load, reason in shedding.shed.items()), Severity.WARNING)
        notices.update(now_ns, "faults", ((_FAULT_CODES[fault.word], fault.text) for fault in shedding.faults
                                          if fault.word in _FAULT_CODES), Severity.WARNING)
        for store, estimate in (("battery", self.stores.battery_estimate), ("supercap", self.stores.supercap_estimate)):
            notices.update(now_ns, store, ((code, f"{store}: {', '.join(estimate.rejected()) or estimate.trust}")
                                           for code in estimate.codes), Severity.WARNING)
        for text in self.peaks.take_notes():
            self._tell(now_ns, text[0], Severity.INFO, text[1])
        if self.dock is not None:
            notices.update(now_ns, "dock", ((code, f"dock: {self.dock.word}") for code in self.dock.codes),
                           Severity.WARNING)

    # -- slow rate

    def slow(
        self, now_ns: int, readings: Mapping[str, Reading[float]], modelled: Mapping[str, float], motion: Motion
    ) -> None:
        """Heat, heaters, duty and the flight computer.

        Args:
            now_ns: flight clock.
            readings: temperatures by node, deg C.
            modelled: a model's temperatures of nodes that no sensor tells.
            motion: motion mode.
        """
        # Of a heated node the heaters' own model knows more than one that knows no heaters.
        missing = {**modelled, **self.heaters.modelled}
        self.heat = self.guard.step(now_ns, readings, self._other_sensors(), missing)
        for event in self.heat.events:
            celsius = "" if event.celsius is None else f" at {event.celsius:.0f} deg C"
            over = "" if event.active else ": over"
            self._tell(now_ns, event.code, Severity.WARNING if event.active else Severity.INFO,
                       f"{event.node}{celsius}{over}")
        if self.heat.core_alarm:
            self._tell(now_ns, Code.THERMAL_NODE_HOT, Severity.WARNING, "core above 70 deg C for 3 s")
        self.barred_clusters = self.heat.barred_clusters
        if self._may_heat(now_ns):
            self._heat_nodes(now_ns)
        self._guard_against_frost()
        change = self.duties.step(now_ns, motion, self.stores.battery_estimate, self.flows)
        if change:
            self._tell(now_ns, Code.DUTY_CHANGED, Severity.INFO, change)
        self._slow_computer(now_ns)

    def _may_heat(self, now_ns: int) -> bool:
        """Whether every heated node has been measured, or has had the time to be."""
        if self.plan is None and self._begun_ns is None:
            self._begun_ns = now_ns
        if self.plan is not None or now_ns - (self._begun_ns or 0) >= FIRST_READING_NS:
            return True
        return not any(name in self.heat.unknown or self.heat.nodes[name].modelled for name in self._heated)

    def _heat_nodes(self, now_ns: int) -> None:
        powered = [name for name in self._names if self.loads.drawn_w(name) > 0.0]
        self.plan = self.heaters.step(
            now_ns, self.heat.nodes, self._headroom_w, low_energy=self._low_energy, powered=powered,
            own_heat_w=self._own_heat(), hidden=self._clusters if self._firing_w > 0.0 else (),
        )
        for heater in self.plan.events:
            what = "no power for ten minutes" if heater.code is Code.PDU_DENIED else heater.fault
            self._tell(now_ns, heater.code, Severity.WARNING if heater.active else Severity.INFO,
                       f"{heater.load}: {what}" if heater.active else f"{heater.load}: {what}: over")
        self.peaks.heat(now_ns, self.plan)

    def _own_heat(self) -> Mapping[str, float]:
        """Heat that nodes make themselves, W (CANON section 6)."""
        drawn, flows = self.loads.drawn_w, self.flows
        heat = {"core": sum(share * drawn(name) for name, share in CORE_HEAT.items() if name in self._names)}
        if flows is not None:
            heat["pdu"] = PDU_HEAT * flows.pdu_w
            heat["battery"] = BATTERY_HEAT * (flows.battery_in_w + flows.battery_out_w)
        return heat

    def _guard_against_frost(self) -> None:
        battery, flows = self.heat.nodes.get("battery"), self.flows
        waits = self.charging.limited or (flows is not None and flows.spilled_w + flows.dock_w > WAITING_W)
        self._frost.step(None if battery is None else battery.cold_c, waits)

    def _slow_computer(self, now_ns: int) -> None:
        port = self.computer
        celsius = None if port is None else port.temperature_c()
        wanted = min(self.duties.compute_share, self.heat.compute_share)
        if self._frost.freezing:
            wanted = min(wanted, FROST_SHARE)
        if self.held_back:
            wanted = min(wanted, HELD_BACK_SHARE)
        self.verdict = self.throttle.step(celsius, wanted)
        if port is not None:
            port.set_share(self.verdict.share)
        self.computer_c = celsius
        hot_codes = () if celsius is None else self.verdict.codes
        self._notices.update(now_ns, "computer", ((code, "flight computer") for code in hot_codes), Severity.WARNING)
        cold = any(code is Code.RCS_CLUSTER_COLD for code in self.barred_clusters.values())
        hot = None if celsius is None else self.verdict.safe_request
        self.facts = replace(self.facts, computer_too_hot=hot, cold_clusters=cold)

    def _other_sensors(self) -> Mapping[str, Sequence[Reading[float]]]:
        """The battery's own thermometers."""
        found: list[Reading[float]] = []
        for gauge in (self.state.gauge, self.state.bms):
            value: GaugeState | None = gauge.value
            if value is not None and value.temperature_c is not None:
                found.append(Reading(value.temperature_c, gauge.t_ns, gauge.quality))
        return {"battery": found} if found else {}

    def _celsius(self, node: str) -> float | None:
        verdict = self.heat.nodes.get(node)
        return None if verdict is None else verdict.hot_c


def _power_w(watts: float | None) -> float:
    """Power of a source: what is not known, or no number, is nothing to count on."""
    return max(0.0, watts) if watts is not None and isfinite(watts) else 0.0


_FAULT_CODES = {
    FaultWord.BUS_V_ZERO: Code.BUS_V_ZERO, FaultWord.PDU_OVERCURRENT: Code.PDU_OVERCURRENT,
    FaultWord.BATTERY_CHARGE_LIMIT: Code.BATTERY_CHARGE_LIMIT,
    FaultWord.BATTERY_DISCHARGE_LIMIT: Code.BATTERY_DISCHARGE_LIMIT, FaultWord.BATTERY_EMPTY: Code.BATTERY_EMPTY,
    FaultWord.BATTERY_CAPACITY_ZERO: Code.BATTERY_CAPACITY_ZERO,
}
"""Fault words that are events; the others have events of their own."""
