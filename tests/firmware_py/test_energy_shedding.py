"""CANON's shedding table, trigger by trigger and all together, against an interpreter of the table written apart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from dataclasses import replace as changed
from fractions import Fraction
from itertools import product
from math import inf, nan
from typing import Any

import pytest
from msgspec.structs import replace

from firmware_py.energy.power_faults import Fault, FaultWord
from firmware_py.energy.power_rule import share
from firmware_py.energy.shedding import Shedder, Shedding, ShedReason, Situation
from hal.profile import load_body
from hal.profile.body import BodyConfig, LoadConfig

BODY = load_body("qiki-t")
BENCH = load_body("bench-12kg")
WIDE = replace(BODY, power=replace(BODY.power, bus=replace(BODY.power.bus, current_limit_a=8.0)))
"""The same with 8 A: plausible voltages then make, without rounding, any limit that a test wants."""
HEATERS = {heater.load: heater.power_w for heater in BODY.thermal.heaters}
DECLARED = {load.name: load.power_w for load in BODY.power.loads} | HEATERS
ALL_BUT_HEATERS = {load.name: load.power_w for load in BODY.power.loads}
BUS_V = 26.8
"""Four fifths of charge: 134 W."""
ROOMY = 40.0
"""No over-current with any load."""


# --- the table, restated -----------------------------------------------------------------------------------------

TABLE: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("battery latch on", ("radar", "transponder"), "low_soc"),
    ("pdu node tripped", ("radar", "transponder"), "thermal_overheat"),
    ("core node tripped", ("nbl",), "thermal_overheat"),
    ("nbl wanted but not allowed", ("nbl",), "nbl_budget"),
    ("nbl wanted but not allowed for a trip", ("nbl",), "thermal_overheat"),
)
OVERCURRENT = (
    "lidar", "nbl", "heater_supercap", "heater_core", "heater_rcs_c01", "heater_rcs_c02", "heater_rcs_c03",
    "heater_rcs_c04", "heater_battery", "radar", "transponder",
)


@dataclass
class Reckoner:
    """Reads the table row by row, in exact numbers; remembers the latch, the trips of the last tick and the limit."""

    amperes: int = 5
    latch: bool = False
    trips: tuple[str, ...] = ()
    limit: Fraction | None = None
    shed: list[tuple[str, str]] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    motion: Fraction = Fraction(1)
    rcs: Fraction = Fraction(1)
    left: Fraction = Fraction(0)

    def read(self, now: Situation) -> Reckoner:
        self.shed, self.reasons, self.motion, self.rcs = [], [], Fraction(1), Fraction(1)
        triggers = self._triggers(now)
        self.trips = now.tripped
        for name, victims, reason in TABLE:
            if name in triggers:
                for load in victims:
                    if load in now.wanted:
                        self._note(reason)
                        if load not in [done for done, _ in self.shed]:
                            self.shed.append((load, reason))
        if now.bus_voltage_v is not None and 0.0 <= now.bus_voltage_v <= 42.0:
            self.limit = self.amperes * Fraction(now.bus_voltage_v)
        self._overcurrent(now)
        return self

    def _note(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)

    def _triggers(self, now: Situation) -> set[str]:
        battery, cap, core = now.soc_battery, now.soc_supercap, now.core_c
        if battery is not None and 0.0 <= battery <= 0.20:
            self.latch = True
        if battery is not None and 0.30 <= battery <= 1.0:
            self.latch = False
        allowed = now.nbl_allowed
        allowed &= core is not None and -120.0 <= core <= 90.0
        allowed &= cap is not None and (0.30 if now.nbl_under_way else 0.45) <= cap <= 1.0
        allowed &= battery is not None and (0.0 if now.nbl_under_way else 0.35) <= battery <= 1.0
        found = {name for name, on in (
            ("battery latch on", self.latch), ("pdu node tripped", "pdu" in self.trips),
            ("core node tripped", "core" in self.trips),
        ) if on}
        if "nbl" in now.wanted:
            if "pdu" in self.trips or "core" in self.trips:
                found.add("nbl wanted but not allowed for a trip")
            elif not allowed:
                found.add("nbl wanted but not allowed")
        return found

    def _overcurrent(self, now: Situation) -> None:
        loads = {name: Fraction(watts) for name, watts in now.wanted.items()} | {"base": Fraction(60)}
        cap = now.soc_supercap
        helps = cap is not None and 0.0 <= cap <= 0.30
        motion, rcs = Fraction(now.motion_w), Fraction(min(now.rcs_w, 140.0) if helps else 0)
        others = Fraction(now.other_w)

        gone = [load for load, _ in self.shed]
        carried = sum((watts for name, watts in loads.items() if name not in gone), Fraction(0))
        self.left = carried + motion + rcs + others + Fraction(now.top_up_w)
        if self.limit is None or self.left <= self.limit:
            return
        if now.top_up_w > 0.0:
            self.left -= Fraction(now.top_up_w)
            self._note("pdu_overcurrent")
        for name in OVERCURRENT:
            if name in loads and name not in gone and self.left > self.limit:
                self.left -= loads[name]
                self.shed.append((name, "pdu_overcurrent"))
                self._note("pdu_overcurrent")
        if self.left > self.limit and motion > 0:
            kept = max(Fraction(0), motion - (self.left - self.limit))
            self.motion, self.left = kept / motion, self.left - motion + kept
            self._note("pdu_overcurrent")
        if self.left > self.limit and rcs > 0:
            kept = max(Fraction(0), rcs - (self.left - self.limit))
            self.rcs, self.left = kept / Fraction(now.rcs_w), self.left - rcs + kept
            self._note("pdu_overcurrent")

    def agrees(self, told: Shedding) -> None:
        assert list(told.shed.items()) == self.shed
        assert list(told.reasons) == self.reasons
        assert told.motion_share == pytest.approx(float(self.motion), abs=1e-9)
        assert told.rcs_share == pytest.approx(float(self.rcs), abs=1e-9)
        assert told.demand_w == pytest.approx(float(self.left), abs=1e-9)
        assert told.low_soc is self.latch
        over = [fault for fault in told.faults if fault.word is FaultWord.PDU_OVERCURRENT]
        if self.limit is not None and self.left > self.limit:
            assert [fault.value for fault in over] == [pytest.approx(float(self.left - self.limit), abs=1e-9)]
        else:
            assert over == []


# --- helpers -----------------------------------------------------------------------------------------------------

def situation(**different: Any) -> Situation:
    calm = Situation(ALL_BUT_HEATERS, soc_battery=0.8, soc_supercap=0.7, bus_voltage_v=ROOMY, core_c=20.0)
    return changed(calm, **different)


def settled(body: BodyConfig = BODY, **different: Any) -> Shedding:
    """Answer of a fresh shedder to a situation that lasts: trips act from the second tick on."""
    shedder = Shedder(body)
    shedder.step(situation(**different))
    return shedder.step(situation(**different))


def words(told: Shedding) -> list[str]:
    return [fault.text for fault in told.faults]


# --- each trigger alone ------------------------------------------------------------------------------------------

def test_nothing_is_shed_and_nothing_is_reported_of_a_healthy_craft() -> None:
    told = settled()
    assert (told.shed, told.reasons, told.faults, told.motion_share, told.rcs_share) == ({}, (), (), 1.0, 1.0)
    assert told.top_up_allowed


@pytest.mark.parametrize(("different", "loads", "reasons"), [
    ({"soc_battery": 0.20, "wanted": {"base": 60.0, "radar": 18.0, "transponder": 6.0}},
     ("radar", "transponder"), ("low_soc",)),
    ({"tripped": ("pdu",), "wanted": {"radar": 18.0, "transponder": 6.0}},
     ("radar", "transponder"), ("thermal_overheat",)),
    ({"tripped": ("core",)}, ("nbl",), ("thermal_overheat",)),
    ({"nbl_allowed": False}, ("nbl",), ("nbl_budget",)),
    ({"soc_supercap": 0.44}, ("nbl",), ("nbl_budget",)),
    ({"soc_battery": 0.34}, ("nbl",), ("nbl_budget",)),
    ({"core_c": 90.1}, ("nbl",), ("nbl_budget",)),
    ({"soc_supercap": nan}, ("nbl",), ("nbl_budget",)),
    ({"tripped": ("pdu",)}, ("radar", "transponder", "nbl"), ("thermal_overheat",)),
    ({"tripped": ("battery", "hull")}, (), ()),
])
def test_each_trigger_alone_sheds_its_loads_for_its_reason(
    different: dict[str, Any], loads: tuple[str, ...], reasons: tuple[str, ...]
) -> None:
    told = settled(**different)
    assert (told.loads, told.reasons) == (loads, reasons)


@pytest.mark.parametrize(("limit_w", "loads", "motion", "rcs", "over"), [
    (267, (), 1.0, 1.0, None),
    (259, ("lidar",), 1.0, 1.0, None),
    (258, ("lidar", "nbl"), 1.0, 1.0, None),
    (239, ("lidar", "nbl"), 1.0, 1.0, None),
    (238, ("lidar", "nbl", "radar"), 1.0, 1.0, None),
    (215, ("lidar", "nbl", "radar", "transponder"), 1.0, 1.0, None),
    (195, ("lidar", "nbl", "radar", "transponder"), 0.5, 1.0, None),
    (175, ("lidar", "nbl", "radar", "transponder"), 0.0, 1.0, None),
    (155, ("lidar", "nbl", "radar", "transponder"), 0.0, 0.75, None),
    (95, ("lidar", "nbl", "radar", "transponder"), 0.0, 0.0, None),
    (90, ("lidar", "nbl", "radar", "transponder"), 0.0, 0.0, 5.0),
    (0, ("lidar", "nbl", "radar", "transponder"), 0.0, 0.0, 95.0),
])
def test_overcurrent_takes_load_by_load_then_motion_then_thrusters_then_gives_up(
    limit_w: float, loads: tuple[str, ...], motion: float, rcs: float, over: float | None
) -> None:
    # 147 W of loads, 40 of motion, 80 of the thrusters.
    told = settled(
        WIDE, bus_voltage_v=limit_w / 8.0, motion_w=40.0, rcs_w=80.0, soc_supercap=0.30, nbl_under_way=True)
    assert (told.loads, told.motion_share, told.rcs_share) == (loads, motion, rcs)
    assert told.reasons == ((ShedReason.PDU_OVERCURRENT,) if limit_w < 267 else ())
    assert [fault.value for fault in told.faults if fault.word is FaultWord.PDU_OVERCURRENT] == (
        [] if over is None else [over])


def test_the_stacks_top_up_yields_before_any_load() -> None:
    told = settled(bus_voltage_v=30.0, top_up_w=20.0)
    assert (told.loads, told.top_up_allowed, told.demand_w) == ((), False, 147.0)
    assert told.reasons == (ShedReason.PDU_OVERCURRENT,)


@pytest.mark.parametrize("soc_cap", [0.301, 1.0, None, nan, -0.1])
def test_thrusters_that_the_stack_pays_alone_are_no_bus_load(soc_cap: float | None) -> None:
    told = settled(wanted={}, soc_supercap=soc_cap, bus_voltage_v=12.0, rcs_w=200.0)
    assert (told.demand_w, told.rcs_share) == (60.0, 1.0)


def test_thrusters_count_for_no_more_than_the_battery_can_give() -> None:
    told = settled(wanted={}, soc_supercap=0.30, bus_voltage_v=ROOMY, rcs_w=500.0)
    assert (told.demand_w, told.rcs_share) == (200.0, 1.0)
    told = settled(wanted={}, soc_supercap=0.30, bus_voltage_v=22.0, rcs_w=500.0)
    assert (told.demand_w, told.rcs_share) == (110.0, 0.1)


def test_top_up_that_asks_nothing_of_the_unit_is_not_stopped() -> None:
    told = settled(bus_voltage_v=BUS_V, top_up_w=0.0)
    assert (told.loads, told.top_up_allowed) == (("lidar", "nbl"), True)


def test_heaters_yield_between_packet_and_radar_and_the_batterys_last_of_them() -> None:
    told = settled(wanted=DECLARED, bus_voltage_v=119.0 / 5.0)
    assert told.loads == OVERCURRENT[:-2]
    told = settled(wanted=DECLARED, bus_voltage_v=34.0)
    assert "heater_battery" not in told.shed
    assert told.loads == OVERCURRENT[:-3]


def test_a_low_battery_takes_no_heater_and_no_lidar() -> None:
    told = settled(wanted=DECLARED | {"nbl": 0.0}, soc_battery=0.05, bus_voltage_v=None)
    assert told.loads == ("radar", "transponder", "nbl")


def test_what_flows_beside_the_loads_counts_and_cannot_be_shed() -> None:
    told = settled(bus_voltage_v=BUS_V, other_w=500.0)
    assert told.demand_w == 595.0
    assert words(told) == ["PDU_OVERCURRENT"]


def test_loads_that_are_off_or_that_the_body_lacks_are_not_shed() -> None:
    told = settled(wanted={"processor": 35.0}, soc_battery=0.1, tripped=("pdu", "core"), bus_voltage_v=0.0)
    assert told.loads == ()
    told = settled(BENCH, wanted={"processor": 6.0}, soc_battery=0.1, tripped=("pdu", "core"), bus_voltage_v=0.0)
    assert (told.loads, told.low_soc) == ((), True)


def test_base_loads_are_never_shed_and_always_counted() -> None:
    power = replace(BODY.power, loads=(LoadConfig("radar", 70.0, base=True), LoadConfig("nbl", 20.0)))
    told = settled(replace(BODY, power=power), wanted={"nbl": 20.0}, soc_battery=0.05, tripped=("pdu",),
                   bus_voltage_v=10.0)
    assert told.loads == ("nbl",)
    assert told.demand_w == 70.0
    assert "PDU_OVERCURRENT" in words(told)


# --- every combination -------------------------------------------------------------------------------------------

def wishes() -> Iterator[dict[str, float]]:
    """The optional loads on and off, without and with heaters."""
    optional = ("radar", "transponder", "nbl", "lidar")
    for on in product((False, True), repeat=len(optional)):
        loads = {"base": 60.0, "processor": 35.0} | {
            name: ALL_BUT_HEATERS[name] for name, wanted in zip(optional, on, strict=True) if wanted}
        yield loads
        yield loads | HEATERS


def test_every_combination_of_triggers_agrees_with_the_table() -> None:
    cases = 0
    for wanted, soc, trips, nbl, limit in product(
        wishes(), (0.8, 0.34, 0.2), ((), ("pdu",), ("core",), ("core", "pdu")), ("may", "denied", "started"),
        (0, 40, 95, 120, 130, 147, 160, 175, 205, 300),
    ):
        peaks = {"motion_w": 40.0, "rcs_w": 80.0} if limit in (130, 160, 175) else {"top_up_w": 20.0}
        now = situation(
            wanted=wanted, soc_battery=soc, soc_supercap=0.3 if nbl == "started" else 0.7, tripped=trips,
            nbl_allowed=nbl != "denied", nbl_under_way=nbl == "started", bus_voltage_v=limit / 8.0, **peaks)
        shedder, reckoner = Shedder(WIDE), Reckoner(amperes=8)
        for _ in range(2):
            reckoner.read(now).agrees(shedder.step(now))
        cases += 1
    assert cases == 32 * 3 * 4 * 3 * 10


# --- histories ---------------------------------------------------------------------------------------------------

HISTORIES, TICKS = 10_000, 8


def history(seed: int) -> Iterator[Situation]:
    """Random demands, walks of charge, trips, wishes and bus voltages, with data going missing."""
    dice = random.Random(seed)
    soc, cap, volts = dice.random(), dice.random(), dice.uniform(20.0, 28.0)
    trips: tuple[str, ...] = ()
    for _ in range(TICKS):
        soc = min(1.0, max(0.0, soc + dice.uniform(-0.1, 0.1)))
        cap = min(1.0, max(0.0, cap + dice.uniform(-0.2, 0.2)))
        volts = min(30.0, max(0.0, volts + dice.uniform(-2.0, 2.0)))
        if dice.random() < 0.2:
            trips = tuple(name for name in ("core", "pdu", "battery") if dice.random() < 0.4)
        wanted = {name: dice.choice([watts, dice.uniform(0.0, 80.0)])
                  for name, watts in DECLARED.items() if name != "base" and dice.random() < 0.5}
        none = dice.choice([None, nan, inf, -1.0, 50.0])
        yield Situation(
            wanted, none if dice.random() < 0.15 else dice.choice([soc, soc, 0.2, 0.3, 0.35]),
            none if dice.random() < 0.1 else dice.choice([cap, 0.45, 0.3]),
            none if dice.random() < 0.15 else dice.choice([volts, volts, volts, 0.0]),
            dice.choice([20.0, 89.0, 90.0, 91.0, None, nan]), trips, dice.random() < 0.8, dice.random() < 0.3,
            motion_w=dice.choice([0.0, dice.uniform(0.0, 60.0)]), rcs_w=dice.choice([0.0, dice.uniform(0.0, 200.0)]),
            top_up_w=dice.choice([0.0, 20.0]), other_w=dice.choice([0.0, 0.0, dice.uniform(0.0, 60.0)]),
        )


def check_rules(now: Situation, told: Shedding, was: bool) -> None:
    """What must hold whatever the table says."""
    assert set(told.shed) <= set(now.wanted) - {"base", "processor"}
    assert len(set(told.reasons)) == len(told.reasons)
    assert set(told.shed.values()) <= set(told.reasons) <= set(ShedReason)
    assert len({fault.text for fault in told.faults}) == len(told.faults)
    assert 0.0 <= told.motion_share <= 1.0
    assert 0.0 <= told.rcs_share <= 1.0
    if now.motion_w > 0.0 and told.rcs_share < 1.0:
        assert told.motion_share == 0.0
    if told.limit_w is not None and told.demand_w > told.limit_w + 1e-9:
        assert "PDU_OVERCURRENT" in words(told)
        assert told.motion_share == 0.0 or now.motion_w == 0.0
        helped = now.soc_supercap is not None and 0.0 <= now.soc_supercap <= 0.30 and now.rcs_w > 0.0
        assert told.rcs_share == (0.0 if helped else 1.0)
        assert set(OVERCURRENT) & set(now.wanted) <= set(told.shed)
    if was and not told.low_soc:
        assert now.soc_battery is not None
        assert now.soc_battery >= 0.30
    if told.low_soc and not was:
        assert now.soc_battery is not None
        assert now.soc_battery <= 0.20
    assert ("BUS_V_ZERO" in words(told)) == (now.bus_voltage_v == 0.0)


@pytest.mark.parametrize("part", range(4))
def test_ten_thousand_random_histories_break_no_rule(part: int) -> None:
    for seed in range(part * HISTORIES // 4, (part + 1) * HISTORIES // 4):
        shedder, reckoner, was = Shedder(BODY), Reckoner(), False
        for now in history(seed):
            told = shedder.step(now)
            check_rules(now, told, was)
            reckoner.read(now).agrees(told)
            was = told.low_soc


def test_same_history_gives_the_same_answers_whatever_the_order_of_the_wishes() -> None:
    for seed in range(300):
        one, other = Shedder(BODY), Shedder(BODY)
        for now in history(seed):
            backwards = changed(now, wanted=dict(reversed(now.wanted.items())))
            told = one.step(now)
            again = other.step(backwards)
            assert told == again
            assert list(told.shed) == list(again.shed)


def test_same_situation_again_gives_the_same_answer() -> None:
    for seed in range(300):
        shedder = Shedder(BODY)
        for now in history(seed):
            shedder.step(now)
            told = shedder.step(now)
            assert shedder.step(now) == told


def test_obeyed_shedding_keeps_real_power_within_the_limit() -> None:
    """The sharing rule, with the loads that are left and the peak scaled by the share, stays under the limit."""
    dice = random.Random(5)
    throttled = 0
    for _ in range(3000):
        soc, soc_cap = dice.uniform(0.05, 1.0), dice.choice([0.1, 0.3, 0.31, 0.5])
        wanted = {name: watts for name, watts in DECLARED.items() if dice.random() < 0.6}
        peaks, array = dice.uniform(0.0, 200.0), dice.choice([0.0, 30.0, 120.0])
        top_up = 20.0 if soc > 0.30 and soc_cap < 0.60 else 0.0
        now = situation(
            wanted=wanted, soc_battery=soc, soc_supercap=soc_cap, bus_voltage_v=22.0 + 6.0 * soc,
            rcs_w=peaks, top_up_w=top_up)
        told = Shedder(BODY).step(now)
        left = sum(watts for name, watts in (wanted | {"base": 60.0}).items() if name not in told.shed)
        flows = share(
            BODY.power, array_w=array, dock_w=0.0, loads_w=left, peaks_w=peaks * told.rcs_share, soc_battery=soc,
            soc_supercap=soc_cap, charge_supercap=told.top_up_allowed)
        assert told.limit_w is not None
        throttled += told.rcs_share < 1.0
        assert flows.pdu_w <= told.limit_w + 1e-9
    assert throttled > 300


# --- memory ------------------------------------------------------------------------------------------------------

def test_a_trip_acts_on_the_tick_after_it_is_detected_and_is_reported_at_once() -> None:
    shedder = Shedder(BODY)
    ticks = [shedder.step(situation(tripped=trips)) for trips in ((), ("core",), ("core",), (), ())]
    assert [tick.loads for tick in ticks] == [(), (), ("nbl",), ("nbl",), ()]
    assert [words(tick) for tick in ticks] == [[], ["THERMAL_TRIP:core"], ["THERMAL_TRIP:core"], [], []]


def test_a_hot_core_before_its_trip_acts_is_a_matter_of_budget() -> None:
    shedder = Shedder(BODY)
    hot = situation(core_c=91.0, tripped=("core",))
    assert [shedder.step(hot).shed["nbl"] for _ in range(2)] == [ShedReason.NBL_BUDGET, ShedReason.THERMAL_OVERHEAT]


def test_missing_charge_keeps_the_latch_and_sheds_nothing_by_itself() -> None:
    shedder = Shedder(BODY)
    radar = {"radar": 18.0}
    told = [shedder.step(situation(wanted=radar, soc_battery=soc)) for soc in (nan, 0.19, None, 0.29, 2.0, 0.3, None)]
    assert [tick.loads for tick in told] == [(), ("radar",), ("radar",), ("radar",), ("radar",), (), ()]
    assert [words(tick) == ["POWER_TELEM_MISSING:soc_battery"] for tick in told] == [
        True, False, True, False, True, False, True]


@pytest.mark.parametrize("volts", [None, nan, inf, -0.1, 60.0])
def test_missing_bus_voltage_keeps_the_last_limit_and_judges_nothing_before_there_was_one(volts: float | None) -> None:
    shedder = Shedder(BODY)
    told = [shedder.step(situation(bus_voltage_v=v)) for v in (volts, BUS_V, volts, 30.0, volts)]
    assert [tick.loads for tick in told] == [(), ("lidar", "nbl"), ("lidar", "nbl"), (), ()]
    assert [tick.limit_w for tick in told] == [None, 134.0, 134.0, 150.0, 150.0]
    assert [words(tick) for tick in told] == [
        ["POWER_TELEM_MISSING:bus_voltage_v"], [], ["POWER_TELEM_MISSING:bus_voltage_v"], [],
        ["POWER_TELEM_MISSING:bus_voltage_v"]]


# --- faults and bad input ----------------------------------------------------------------------------------------

def test_faults_come_in_a_fixed_order_with_their_sizes() -> None:
    starved = share(BODY.power, array_w=0.0, dock_w=0.0, loads_w=200.0, peaks_w=0.0, soc_battery=0.5, soc_supercap=0.5)
    flooded = share(BODY.power, array_w=300.0, dock_w=0.0, loads_w=0.0, peaks_w=0.0, soc_battery=0.5, soc_supercap=0.9)
    told = settled(soc_battery=0.0, bus_voltage_v=0.0, tripped=("pdu", "core", "pdu"), flows=starved,
                   battery_capacity_j=0.0)
    assert [(fault.text, fault.value) for fault in told.faults] == [
        ("BUS_V_ZERO", None), ("PDU_OVERCURRENT", 95.0), ("BATTERY_DISCHARGE_LIMIT", 60.0), ("BATTERY_EMPTY", None),
        ("BATTERY_CAPACITY_ZERO", None), ("THERMAL_TRIP:pdu", None), ("THERMAL_TRIP:core", None)]
    assert settled(flows=flooded).faults == (Fault(FaultWord.BATTERY_CHARGE_LIMIT, value=60.0),)


@pytest.mark.parametrize(("volts", "found", "limit_w"), [
    (0.0, ["BUS_V_ZERO"], 0.0), (0.5, ["BUS_V_ZERO"], 2.5), (0.51, [], 2.55), (42.0, [], 210.0),
    (42.1, ["POWER_TELEM_MISSING:bus_voltage_v"], None),
])
def test_bus_voltage_is_zero_present_or_no_data(volts: float, found: list[str], limit_w: float | None) -> None:
    told = settled(bus_voltage_v=volts)
    assert [word for word in words(told) if word != "PDU_OVERCURRENT"] == found
    assert told.limit_w == limit_w


def test_load_that_draws_nothing_while_it_is_on_is_no_missing_data() -> None:
    told = settled(wanted={"radar": 0.0})
    assert (told.demand_w, told.faults) == (60.0, ())


@pytest.mark.parametrize("capacity", [None, nan, inf, -inf, 1.0])
def test_capacity_that_is_unknown_is_not_zero(capacity: float | None) -> None:
    assert settled(battery_capacity_j=capacity).faults == ()


def test_battery_is_empty_where_its_own_protection_cuts() -> None:
    power = replace(BODY.power, battery=replace(BODY.power.battery, cut_soc=0.05))
    body = replace(BODY, power=power)
    assert "BATTERY_EMPTY" in words(settled(body, soc_battery=0.05))
    assert "BATTERY_EMPTY" not in words(settled(body, soc_battery=0.06))


def test_impossible_parameters_are_reported_every_tick() -> None:
    power = replace(BODY.power, battery=replace(BODY.power.battery, charge_max_w=-1.0, capacity_wh=0.0))
    told = settled(replace(BODY, power=power), battery_capacity_j=0.0)
    assert words(told) == ["BATTERY_CAPACITY_ZERO", "POWER_PLANE_PARAM_INVALID:battery.charge_max_w"]


@pytest.mark.parametrize("bad", [nan, inf, -1.0, None])
def test_draw_that_is_no_power_is_replaced_by_the_declared_one_and_named(bad: Any) -> None:
    told = settled(wanted=ALL_BUT_HEATERS | {"radar": bad})
    assert told.demand_w == 147.0
    assert words(told) == ["POWER_TELEM_MISSING:radar"]


def test_wanted_load_that_the_body_lacks_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="no load laser"):
        settled(wanted={"laser": 5.0})


@pytest.mark.parametrize("name", ["motion_w", "rcs_w", "top_up_w", "other_w"])
@pytest.mark.parametrize("bad", [nan, inf, -0.1])
def test_power_that_is_none_is_refused_by_name(name: str, bad: float) -> None:
    with pytest.raises(ValueError, match=name):
        settled(**{name: bad})


def test_a_fault_of_the_bus_sheds_the_sensors_whatever_the_charge() -> None:
    assert not settled().shed
    told = settled(ordered=True)
    assert dict(told.shed) == dict.fromkeys(("radar", "transponder"), ShedReason.LOW_SOC)
    assert not told.low_soc
