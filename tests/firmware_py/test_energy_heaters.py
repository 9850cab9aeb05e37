"""Heaters: thermostats, the order in which they share power, what is done without a sensor, and days in the cold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, nan
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fdir.codes import Code
from firmware_py.energy.heater_model import HeatedNode, HeaterFault, Surroundings
from firmware_py.energy.heaters import HeaterControl, HeaterPlan, HeaterReason
from firmware_py.energy.thermal import Function, ThermalGuard, ThermalVerdict
from firmware_py.energy.thermal_node import NodeVerdict, ThermalState
from firmware_py.energy.trust import Trust
from hal.profile.body import BodyConfig
from hal.profile.loader import load_body
from hal.reading import Quality, Reading
from hil.plant.thermal import ThermalNetwork

SHIPPED = load_body("qiki-t")
# Heaters of 60 W each, which compete for the bus: what the control is tried on.
QIKI = replace(SHIPPED, thermal=replace(SHIPPED.thermal, heaters=tuple(
    replace(heater, power_w=60.0) if heater.node.startswith("rcs") else heater for heater in SHIPPED.thermal.heaters
)))
HEATERS = {heater.node: heater for heater in QIKI.thermal.heaters}
CLUSTERS = ("rcs_c01", "rcs_c02", "rcs_c03", "rcs_c04")
SECOND = 1_000_000_000
HOUR_S = 3600.0
ALL_W = sum(heater.power_w for heater in HEATERS.values())
BATTERY_WARN_C = 60.0
WARM = {node.name: 15.0 for node in QIKI.thermal.nodes}
COLD = {node.name: -60.0 for node in QIKI.thermal.nodes}


def insulated(by: float) -> BodyConfig:
    return replace(QIKI, thermal=replace(QIKI.thermal, insulation=by))


def verdict(
    celsius: float | None, trust: Trust = Trust.TRUSTED, modelled: bool = False, hot: float | None = None
) -> NodeVerdict:
    state = ThermalState.UNKNOWN if celsius is None else ThermalState.NOMINAL
    hot = celsius if hot is None else hot
    return NodeVerdict("", state, trust, modelled, hot, celsius, False, 1.0, 1.0, 1.0, False, False, False, ())


class Panel:
    """A control that is stepped with temperatures as they are told."""

    def __init__(self) -> None:
        self.control = HeaterControl(QIKI)
        self.now_ns = 0
        self.events: list[tuple[Code, str, bool, HeaterFault]] = []

    def step(
        self, seconds: float, headroom_w: float = 1000.0, low_energy: bool = False, **celsius: float | None
    ) -> HeaterPlan:
        self.now_ns += int(seconds * SECOND)
        nodes = {
            name: verdict(value, Trust.MISSING if value is None else Trust.TRUSTED)
            for name, value in (WARM | celsius).items()
        }
        # The rails stay off here: what heaters do to their nodes is another matter.
        plan = self.control.step(self.now_ns, nodes, headroom_w, low_energy=low_energy, powered=())
        self.events += [(event.code, event.load, event.active, event.fault) for event in plan.events]
        return plan

    def on(
        self, seconds: float, headroom_w: float = 1000.0, low_energy: bool = False, **celsius: float | None
    ) -> set[str]:
        return {load.removeprefix("heater_") for load in self.step(seconds, headroom_w, low_energy, **celsius).on}


def reason(plan: HeaterPlan, node: str) -> HeaterReason:
    return next(heater.reason for heater in plan.heaters if heater.node == node)


def fault(plan: HeaterPlan, node: str) -> HeaterFault:
    return next(heater.fault for heater in plan.heaters if heater.node == node)


# -- thermostats


@pytest.mark.parametrize("node", HEATERS)
def test_a_heater_is_on_from_its_on_temperature_to_its_off_temperature(node: str) -> None:
    panel, on_c, off_c = Panel(), HEATERS[node].on_c, HEATERS[node].off_c
    middle = 0.5 * (on_c + off_c)
    path = [on_c + 0.1, on_c, middle, off_c - 0.1, off_c, middle, on_c + 0.1, on_c]
    seen = [panel.on(60.0, **{node: celsius}) for celsius in path]
    assert seen == [set(), {node}, {node}, {node}, set(), set(), set(), {node}]


def test_a_warm_craft_has_no_heater_on() -> None:
    plan = Panel().step(1.0)
    assert (plan.on, plan.watts, plan.denied_w) == (frozenset(), 0.0, 0.0)
    assert {heater.reason for heater in plan.heaters} == {HeaterReason.WARM}


def test_a_heater_stays_on_and_off_for_half_a_minute() -> None:
    panel = Panel()
    assert panel.on(1.0, battery=4.0) == {"battery"}
    plan = panel.step(29.0, battery=11.0)
    assert plan.on == {"heater_battery"}
    assert reason(plan, "battery") is HeaterReason.MIN_ON
    assert panel.on(1.0, battery=11.0) == set()
    plan = panel.step(29.0, battery=4.0)
    assert not plan.on
    assert reason(plan, "battery") is HeaterReason.MIN_OFF
    assert panel.on(1.0, battery=4.0) == {"battery"}


def test_less_headroom_switches_off_before_the_half_minute_is_over() -> None:
    panel = Panel()
    assert panel.on(1.0, 50.0, battery=4.0) == {"battery"}
    plan = panel.step(1.0, 49.9, battery=4.0)
    assert (plan.on, plan.watts, plan.denied_w) == (frozenset(), 0.0, 50.0)
    assert reason(plan, "battery") is HeaterReason.NO_HEADROOM


@pytest.mark.parametrize("headroom", [nan, inf, -inf, -1.0, 0.0])
def test_a_headroom_that_is_none_heats_nothing_and_says_so(headroom: float) -> None:
    panel = Panel()
    plan = panel.step(1.0, headroom, battery=4.0)
    assert not plan.on
    assert reason(plan, "battery") is HeaterReason.NO_HEADROOM
    assert panel.control.refused == (headroom != 0.0)


def test_a_body_without_heaters_has_an_empty_plan() -> None:
    plan = HeaterControl(load_body("bench-12kg")).step(0, {}, 100.0)
    assert (plan.on, plan.watts, plan.heaters) == (frozenset(), 0.0, ())


# -- order


COLD_ALL = {"battery": 4.0, "supercap": -31.0, "core": -21.0, "rcs_c01": -32.0, "rcs_c02": -35.0, "rcs_c03": -33.0,
            "rcs_c04": -31.0}


@pytest.mark.parametrize(("headroom", "expected"), [
    (49.0, {"supercap"}), (50.0, {"battery"}), (109.0, {"battery", "supercap"}), (110.0, {"battery", "rcs_c02"}),
    (140.0, {"battery", "rcs_c02", "supercap"}), (170.0, {"battery", "rcs_c02", "rcs_c03"}),
    (230.0, {"battery", "rcs_c02", "rcs_c03", "rcs_c01"}), (290.0, {"battery", *CLUSTERS}),
    (320.0, {"battery", "supercap", *CLUSTERS}), (ALL_W, set(HEATERS)),
])
def test_the_order_is_battery_then_the_coldest_cluster_then_supercap_then_core(
    headroom: float, expected: set[str]
) -> None:
    assert Panel().on(1.0, headroom, **COLD_ALL) == expected


def test_a_heater_that_waits_for_a_lesser_one_keeps_its_place() -> None:
    panel = Panel()
    assert panel.on(1.0, 95.0, rcs_c01=-31.0) == {"rcs_c01"}
    # 35 W are free, enough for the stack's heater, but the battery's comes first once the cluster's may be off.
    assert panel.on(10.0, 95.0, rcs_c01=-31.0, battery=4.0, supercap=-31.0) == {"rcs_c01"}
    assert panel.on(20.0, 95.0, rcs_c01=-31.0, battery=4.0, supercap=-31.0) == {"battery", "supercap"}


def test_clusters_that_share_one_place_take_turns() -> None:
    panel = Panel()
    cold = dict.fromkeys(CLUSTERS, -35.0)
    seconds = dict.fromkeys(CLUSTERS, 0)
    for _ in range(1200):
        on = panel.on(1.0, 60.0, **cold)
        assert len(on) <= 1
        for name in CLUSTERS:
            cold[name] += 0.2 if name in on else -0.05
            seconds[name] += name in on
    assert min(seconds.values()) > 200


def test_none_starves_though_one_of_higher_rank_always_wants_power() -> None:
    panel = Panel()
    seconds = dict.fromkeys(("battery", "core"), 0)
    for _ in range(3600):
        on = panel.on(1.0, 60.0, battery=4.0, core=-21.0)
        for name in seconds:
            seconds[name] += name in on
    assert seconds["core"] >= 4 * 30
    assert seconds["battery"] > 3000
    assert panel.events == [(Code.PDU_DENIED, "heater_core", True, HeaterFault.NONE)]
    panel.step(1.0, 60.0, battery=4.0, core=0.0)
    assert panel.events[1:] == [(Code.PDU_DENIED, "heater_core", False, HeaterFault.NONE)]


def test_a_battery_near_its_limit_waits_for_none() -> None:
    panel = Panel()
    for _ in range(3600):
        assert panel.on(1.0, 60.0, battery=3.0, core=-30.0) == {"battery"}


# -- little energy


def test_with_little_energy_only_what_protects_from_damage_runs() -> None:
    panel = Panel()
    low = panel.step(1.0, low_energy=True, **COLD_ALL)
    assert low.on == {"heater_battery"}
    assert reason(low, "core") is HeaterReason.LOW_ENERGY
    assert panel.on(60.0, low_energy=True, **(COLD_ALL | {"rcs_c02": -37.0, "supercap": -37.0})) == {
        "battery", "rcs_c02", "supercap",
    }
    # Not to their usual ends, but out of danger.
    assert panel.on(60.0, low_energy=True, **(COLD_ALL | {"rcs_c02": -34.0, "supercap": -34.0})) == {"battery"}
    assert panel.on(60.0, **COLD_ALL) == set(HEATERS)


def test_little_energy_switches_the_computers_heater_off_at_once() -> None:
    panel = Panel()
    assert panel.on(1.0, core=-21.0) == {"core"}
    assert panel.on(1.0, low_energy=True, core=-21.0) == set()


# -- the craft in the cold


@dataclass
class Day:
    """The node network of a body under its guard and heaters, with sensor noise, and what became of it."""

    body: BodyConfig = field(default_factory=lambda: QIKI)
    headroom_w: float = 130.0
    ambient_c: float = -60.0
    start: Mapping[str, float] | None = None
    noise_c: float = 0.3
    processor_w: float = 35.0
    radio_w: float = 0.0
    load_w: float = 120.0
    period_s: float = 5.0
    low_energy: bool = False
    lose: Callable[[float, str, float], Reading[float] | None] | None = None
    """What is read of a node instead of the truth: (seconds, node, its temperature)."""
    broken: tuple[str, ...] = ()
    stuck: tuple[str, ...] = ()
    derate: bool = False

    def __post_init__(self) -> None:
        self.plant = ThermalNetwork(self.body, self.start)
        self.plant.set_ambient(self.ambient_c)
        self.guard, self.control = ThermalGuard(self.body), HeaterControl(self.body)
        self.heaters = {heater.load: heater for heater in self.body.thermal.heaters}
        self.random = Random(1)
        self.seconds = 0.0
        self.joules = dict.fromkeys(self.heaters, 0.0)
        self.lowest: dict[str, float] = {}
        self.highest: dict[str, float] = {}
        self.events: list[tuple[Code, str, bool, HeaterFault]] = []
        self.plan = HeaterPlan(frozenset(), 0.0, 0.0, ())
        self.verdict: ThermalVerdict | None = None

    def run(self, seconds: float) -> Day:
        """Live on; ``lowest`` and ``highest`` are those of this run."""
        self.lowest, self.highest = self.plant.celsius(), self.plant.celsius()
        self.joules = dict.fromkeys(self.heaters, 0.0)
        for _ in range(int(seconds / self.period_s)):
            self._step()
        self.mean_w = sum(self.joules.values()) / seconds
        return self

    def _read(self, node: str, celsius: float) -> Reading[float]:
        now_ns = int(self.seconds * SECOND)
        told = None if self.lose is None else self.lose(self.seconds, node, celsius)
        return told or Reading(celsius + self.random.gauss(0.0, self.noise_c), now_ns, Quality.OK)

    def _own_heat(self) -> dict[str, float]:
        """CANON section 6, heat in."""
        share = 1.0 if self.verdict is None or not self.derate else self.verdict.compute_share
        radio = self.radio_w
        if self.derate and self.verdict is not None and Function.NBL in self.verdict.blocked:
            radio = 0.0
        watts = self.load_w - (1.0 - share) * self.processor_w - (self.radio_w - radio)
        amperes = watts / 26.0
        return {
            "core": 0.8 * self.processor_w * share + 0.7 * radio, "battery": 0.01 * watts,
            "pdu": 0.02 * watts + 0.4 * amperes * amperes,
        }

    def _step(self) -> None:
        self.seconds += self.period_s
        truth, now_ns = self.plant.celsius(), int(self.seconds * SECOND)
        readings = {node: self._read(node, celsius) for node, celsius in truth.items()}
        self.verdict = self.guard.step(now_ns, readings, modelled=self.control.modelled)
        own = self._own_heat()
        self.plan = self.control.step(
            now_ns, self.verdict.nodes, self.headroom_w, low_energy=self.low_energy, own_heat_w=own
        )
        assert self.plan.watts <= self.headroom_w
        self.events += [(event.code, event.load, event.active, event.fault) for event in self.plan.events]
        for load, heater in self.heaters.items():
            if load in self.stuck or (load in self.plan.on and load not in self.broken):
                own[heater.node] = own.get(heater.node, 0.0) + heater.power_w
                self.joules[load] += heater.power_w * self.period_s
        self.plant.step(self.period_s, self.plant.heat_vector(own))
        for node, celsius in self.plant.celsius().items():
            self.lowest[node] = min(self.lowest[node], celsius)
            self.highest[node] = max(self.highest[node], celsius)

    def faults(self) -> set[tuple[Code, str, HeaterFault]]:
        found = {(code, load, what) for code, load, active, what in self.events if active}
        return {event for event in found if event[2] is not HeaterFault.NONE}


def silent(*nodes: str, after_s: float = 0.0) -> Callable[[float, str, float], Reading[float] | None]:
    def read(seconds: float, node: str, celsius: float) -> Reading[float] | None:
        gone = node in nodes and seconds > after_s
        return Reading(None, int(seconds * SECOND), Quality.ABSENT) if gone else None
    return read


def frozen(node: str, at_c: float) -> Callable[[float, str, float], Reading[float] | None]:
    return lambda seconds, name, celsius: (
        Reading(at_c, int(seconds * SECOND), Quality.OK) if name == node else None
    )


def test_a_day_at_minus_sixty_keeps_battery_and_clusters_above_their_limits() -> None:
    day = Day(headroom_w=60.0)
    # It begins with clusters at -20 on a hull at -50: no heater that fits the bus holds four of them against that.
    day.run(HOUR_S)
    assert day.lowest["battery"] > 0.0
    day.run(23.0 * HOUR_S)
    assert day.lowest["battery"] > 4.0
    assert day.lowest["supercap"] > -33.0
    assert min(day.lowest[name] for name in CLUSTERS) > -36.0
    assert 40.0 < day.mean_w < 56.0
    assert not day.faults()


def test_with_the_whole_bus_no_cluster_ever_falls_below_its_limit() -> None:
    day = Day(headroom_w=180.0).run(6.0 * HOUR_S)
    assert min(day.lowest[name] for name in CLUSTERS) > -40.0
    assert day.lowest["battery"] > 4.0


def test_a_craft_soaked_at_minus_sixty_is_warm_in_two_hours_and_stays_so() -> None:
    day = Day(headroom_w=60.0, start=COLD).run(2.0 * HOUR_S)
    day.run(4.0 * HOUR_S)
    assert day.lowest["battery"] > 4.0
    assert min(day.lowest[name] for name in CLUSTERS) > -38.0
    assert not day.faults()


def test_a_bare_craft_keeps_its_battery_and_says_that_the_rest_waits() -> None:
    day = Day(insulated(1.0), headroom_w=60.0).run(12.0 * HOUR_S)
    assert day.lowest["battery"] > 0.0
    assert (Code.PDU_DENIED, "heater_rcs_c01", True, HeaterFault.NONE) in day.events
    assert not day.faults()
    assert day.verdict is not None
    assert set(day.verdict.barred_clusters.values()) == {Code.RCS_CLUSTER_COLD}


def test_a_bare_craft_needs_more_than_the_bus_can_give() -> None:
    day = Day(insulated(1.0), headroom_w=ALL_W).run(3.0 * HOUR_S)
    assert day.mean_w > 250.0
    assert min(day.lowest[name] for name in CLUSTERS) > -40.0
    assert not day.faults()


def test_little_energy_costs_less_and_still_protects() -> None:
    spare = Day(headroom_w=60.0, low_energy=True).run(2.0 * HOUR_S).run(6.0 * HOUR_S)
    usual = Day(headroom_w=60.0).run(2.0 * HOUR_S).run(6.0 * HOUR_S)
    assert spare.mean_w < 0.85 * usual.mean_w
    assert spare.lowest["battery"] > 4.0
    assert min(spare.lowest[name] for name in CLUSTERS) > -40.0


def test_the_same_day_gives_the_same_plans() -> None:
    first, second = (Day().run(HOUR_S) for _ in range(2))
    assert first.joules == second.joules
    assert first.plant.celsius() == second.plant.celsius()


def hot_day(insulation: float, derate: bool) -> Day:
    body = insulated(insulation)
    return Day(body, ambient_c=60.0, start=WARM, radio_w=20.0, load_w=147.0, derate=derate).run(12.0 * HOUR_S)


def test_a_hot_day_with_all_loads_on_leaves_a_bare_craft_below_every_trip() -> None:
    day = hot_day(1.0, True)
    assert day.mean_w == 0.0
    assert day.verdict is not None
    assert not day.verdict.tripped
    assert day.verdict.nodes["battery"].state is ThermalState.HOT
    assert day.verdict.charge_share == pytest.approx(0.48, abs=0.1)


def test_a_hot_day_with_all_loads_on_is_survived_by_a_wrapped_craft_that_derates() -> None:
    day, free = hot_day(5.0, True), hot_day(5.0, False)
    assert free.highest["core"] > 110.0
    assert day.highest["core"] < 90.0
    assert day.highest["pdu"] < 95.0
    assert day.mean_w == 0.0
    assert day.verdict is not None
    assert {Function.CHARGE, Function.PEAKS, Function.SCANS, Function.COMMS} == day.verdict.blocked
    assert day.verdict.charge_share == 0.0
    assert 0.0 < day.verdict.compute_share < 0.5


# -- without a sensor


@pytest.mark.parametrize("node", ["battery", "supercap", "rcs_c03"])
def test_a_lost_sensor_in_the_cold_leaves_the_node_neither_cold_nor_hot(node: str) -> None:
    day = Day(lose=silent(node, after_s=HOUR_S)).run(2.0 * HOUR_S)
    day.run(10.0 * HOUR_S)
    limits = {"battery": (-5.0, 25.0), "supercap": (-40.0, 0.0), "rcs_c03": (-40.0, -10.0)}[node]
    assert limits[0] < day.lowest[node]
    assert day.highest[node] < limits[1]
    assert day.verdict is not None
    assert day.verdict.nodes[node].modelled


def test_a_sensor_that_never_spoke_is_heated_by_the_model() -> None:
    day = Day(lose=silent("battery")).run(2.0 * HOUR_S)
    assert reason(day.plan, "battery") is HeaterReason.BLIND
    day.run(10.0 * HOUR_S)
    assert day.lowest["battery"] > -5.0
    assert day.highest["battery"] < 25.0


def test_a_lost_sensor_in_the_warm_does_not_overheat_the_battery() -> None:
    day = Day(insulated(1.0), ambient_c=0.0, start=WARM, lose=silent("battery")).run(12.0 * HOUR_S)
    assert day.lowest["battery"] > 4.0
    assert day.highest["battery"] < 22.0


@pytest.mark.parametrize("insulation", [1.0, 5.0])
def test_with_no_sensor_at_all_the_battery_survives_the_cold_and_a_room(insulation: float) -> None:
    everything = silent(*WARM)
    cold = Day(insulated(insulation), ambient_c=-60.0, lose=everything).run(12.0 * HOUR_S)
    assert cold.lowest["battery"] > -24.0
    room = Day(insulated(insulation), ambient_c=20.0, start=WARM, lose=everything, processor_w=0.0, load_w=20.0)
    room.run(12.0 * HOUR_S)
    assert room.highest["battery"] < BATTERY_WARN_C + 4.0


def test_contradicting_sensors_leave_the_heater_to_the_model_between_them() -> None:
    control = HeaterControl(QIKI)
    around = {name: verdict(-20.0) for name in WARM}
    control.step(0, around | {"battery": verdict(7.0)}, 1000.0)
    seconds = 0
    for second in range(1, 20_000):
        nodes = around | {"battery": verdict(-40.0, Trust.CONFLICTING, hot=80.0)}
        seconds += "heater_battery" in control.step(second * SECOND, nodes, 1000.0).on
    # 0.25 W/K over 27 K is 7 W of 50.
    assert 0.10 < seconds / 20_000 < 0.18
    warm = verdict(30.0, Trust.CONFLICTING, hot=80.0)
    seconds = 0
    for second in range(20_000, 26_000):
        seconds += "heater_battery" in control.step(second * SECOND, around | {"battery": warm}, 1000.0).on
    assert seconds <= 30


# -- heaters that do not obey


@pytest.mark.parametrize("node", ["battery", "rcs_c02"])
def test_a_broken_heater_is_reported_and_no_other(node: str) -> None:
    day = Day(broken=(f"heater_{node}",), headroom_w=180.0).run(4.0 * HOUR_S)
    assert day.faults() == {(Code.LOAD_DISOBEYS, f"heater_{node}", HeaterFault.FAILED)}


def test_a_broken_heater_gives_up_its_place_and_gets_it_back_when_it_works() -> None:
    day = Day(broken=("heater_battery",), headroom_w=180.0).run(4.0 * HOUR_S)
    assert fault(day.plan, "battery") is HeaterFault.FAILED
    day.broken = ()
    day.run(3.0 * HOUR_S)
    assert fault(day.plan, "battery") is HeaterFault.NONE
    assert (Code.LOAD_DISOBEYS, "heater_battery", False, HeaterFault.FAILED) in day.events
    day.run(2.0 * HOUR_S)
    assert day.lowest["battery"] > 0.0


@pytest.mark.parametrize("node", ["battery", "supercap", "core", "rcs_c02"])
def test_a_heater_that_is_stuck_on_is_reported_and_no_other(node: str) -> None:
    day = Day(stuck=(f"heater_{node}",), headroom_w=180.0).run(4.0 * HOUR_S)
    assert day.faults() == {(Code.LOAD_DISOBEYS, f"heater_{node}", HeaterFault.STUCK_ON)}


def test_a_heater_that_the_load_manager_did_not_feed_has_not_failed() -> None:
    control = HeaterControl(QIKI)
    nodes = {name: verdict(-40.0) for name in WARM}
    for second in range(0, 7200, 2):
        plan = control.step(second * SECOND, nodes, 1000.0, powered=())
        assert not plan.events
    assert {heater.fault for heater in plan.heaters} == {HeaterFault.NONE}


def test_a_frozen_sensor_does_not_keep_a_heater_on_for_ever() -> None:
    day = Day(start=WARM, lose=frozen("battery", 4.0)).run(12.0 * HOUR_S)
    assert day.highest["battery"] < BATTERY_WARN_C
    assert day.faults()
    day.run(6.0 * HOUR_S)
    assert day.joules["heater_battery"] < 0.6 * 50.0 * 6.0 * HOUR_S


def test_a_sensor_that_does_not_follow_is_doubted_and_believed_again() -> None:
    day = Day(insulated(1.0), ambient_c=-40.0, lose=frozen("battery", 4.0)).run(6.0 * HOUR_S)
    assert day.faults() == {(Code.SENSOR_DEGRADED, "heater_battery", HeaterFault.DOUBTED)}
    day.run(3.0 * HOUR_S)
    assert 0.5 < day.joules["heater_battery"] / (50.0 * 3.0 * HOUR_S) < 0.75
    assert 0.0 < day.lowest["battery"] < day.highest["battery"] < 15.0
    day.lose = None
    day.run(HOUR_S)
    assert fault(day.plan, "battery") is HeaterFault.NONE
    assert day.events[-1] == (Code.SENSOR_DEGRADED, "heater_battery", False, HeaterFault.DOUBTED)


def test_a_broken_heater_shows_though_electronics_warm_its_node() -> None:
    day = Day(insulated(1.0), headroom_w=ALL_W, broken=("heater_core",)).run(3.0 * HOUR_S)
    assert day.faults() == {(Code.LOAD_DISOBEYS, "heater_core", HeaterFault.FAILED)}


def test_jets_that_are_stronger_than_known_do_not_look_like_a_stuck_heater() -> None:
    control = HeaterControl(QIKI)
    # At 159 C the cluster loses 460 W; 400 W of that are known.
    nodes = {name: verdict(15.0) for name in WARM} | {"rcs_c01": verdict(159.0)}
    for second in range(0, 600, 2):
        assert not control.step(second * SECOND, nodes, 1000.0, own_heat_w={"rcs_c01": 400.0}).events


def test_no_heater_is_judged_by_neighbours_that_are_not_known() -> None:
    control = HeaterControl(QIKI)
    nodes = {name: verdict(-35.0) for name in WARM} | {"hull": verdict(None, Trust.MISSING)}
    for second in range(0, 3600, 2):
        plan = control.step(second * SECOND, nodes, 1000.0, powered={"heater_rcs_c01"})
    assert fault(plan, "rcs_c01") is HeaterFault.NONE
    nodes["hull"] = verdict(-35.0)
    for second in range(3600, 7200, 2):
        plan = control.step(second * SECOND, nodes, 1000.0, powered={"heater_rcs_c01"})
    assert fault(plan, "rcs_c01") is HeaterFault.FAILED


# -- the model


def test_the_model_agrees_with_the_plants_node() -> None:
    plant = ThermalNetwork(QIKI)
    model, around = HeatedNode(QIKI, HEATERS["battery"]), Surroundings(QIKI)
    celsius = plant.celsius()["battery"]
    for _ in range(1800):
        around.look({name: verdict(value) for name, value in plant.celsius().items()}, {}, {}, plant.ambient_c)
        model.surround(around)
        plant.step(2.0, plant.heat_vector({"battery": 50.0, "core": 28.0}))
        celsius = model.after(celsius, 2.0, 50.0)
    assert celsius == pytest.approx(plant.celsius()["battery"], abs=0.1)


@given(st.floats(-100.0, 100.0), st.floats(0.0, 1e6), st.floats(0.0, 200.0))
def test_a_long_step_of_the_model_equals_two_short_ones(celsius: float, seconds: float, watts: float) -> None:
    model = HeatedNode(QIKI, HEATERS["core"])
    around = Surroundings(QIKI)
    around.look({}, {}, {}, -60.0)
    model.surround(around)
    half = model.after(model.after(celsius, 0.5 * seconds, watts), 0.5 * seconds, watts)
    assert model.after(celsius, seconds, watts) == pytest.approx(half, abs=1e-6)


# -- properties

NODE_NAMES = st.sampled_from(sorted(HEATERS))
VALUES = st.one_of(st.none(), st.floats(-70.0, 30.0))
STEPS = st.lists(
    st.tuples(NODE_NAMES, VALUES, st.floats(0.0, 400.0), st.floats(0.05, 90.0), st.booleans()), min_size=1, max_size=60
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(STEPS)
def test_no_history_breaks_the_rules_of_sharing(
    history: list[tuple[str, float | None, float, float, bool]]
) -> None:
    panel, celsius = Panel(), dict[str, float | None](WARM)
    powers = {heater.load: heater.power_w for heater in HEATERS.values()}
    since: dict[str, int] = {}
    before: HeaterPlan | None = None
    for node, value, headroom, seconds, low in history:
        celsius[node] = value
        plan = panel.step(seconds, headroom, low, **celsius)
        assert plan.watts == sum(powers[load] for load in plan.on)
        assert plan.watts <= headroom
        assert {heater.load for heater in plan.heaters if heater.on} == plan.on
        for load in powers:
            was = before is not None and load in before.on
            if was is (load in plan.on):
                continue
            # On again only after half a minute; off before only for want of power.
            if load in since and panel.now_ns - since[load] < 30 * SECOND:
                assert was
                assert low or sum(powers[other] for other in plan.on | {load}) > headroom
            since[load] = panel.now_ns
        before = plan


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(NODE_NAMES, st.floats(-60.0, -31.0), min_size=1), st.floats(0.0, 400.0))
def test_none_of_lower_rank_runs_where_a_higher_one_of_its_power_waits(
    cold: dict[str, float], headroom: float
) -> None:
    rank = {"battery": 0, **dict.fromkeys(CLUSTERS, 1), "supercap": 2, "core": 3}
    on = Panel().on(1.0, headroom, **cold)
    for waiting in set(cold) - on:
        for running in on:
            higher = (rank[waiting], cold[waiting]) < (rank[running], cold[running])
            assert not higher or HEATERS[running].power_w < HEATERS[waiting].power_w


@pytest.mark.parametrize(("hidden", "found"), [((), HeaterFault.STUCK_ON), (CLUSTERS, HeaterFault.NONE)])
def test_heat_of_nozzles_that_fire_is_not_taken_for_a_heater_that_is_stuck_on(
    hidden: tuple[str, ...], found: HeaterFault
) -> None:
    control = HeaterControl(QIKI)
    node = next(node for node in QIKI.thermal.nodes if node.name == "rcs_c01")
    rise_k_s = 1.2 * HEATERS["rcs_c01"].power_w / node.capacity_j_k
    for second in range(400):
        warmed = {name: verdict(15.0) for name in WARM} | {"rcs_c01": verdict(15.0 + rise_k_s * second)}
        plan = control.step(second * SECOND, warmed, ALL_W, hidden=hidden)
    assert fault(plan, "rcs_c01") is found
