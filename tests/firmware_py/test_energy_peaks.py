"""Who draws a peak holds a token: fired valves by themselves, a burn for all of it, heaters while they are wanted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fdir.codes import Code
from firmware_py.energy.heaters import HeaterPlan
from firmware_py.energy.peaks import Peaks
from firmware_py.energy.token_types import Outcome, Priority, Store, Supply
from hal.reading import absent
from tests.firmware_py.energy_craft import BODY, SECOND, TICK_NS, WorldCraft

PLENTY = Supply(200.0, 10_000.0, 3_000.0, 60.0, 60.0, 1e6)
HEATERS = {heater.load: heater for heater in BODY.thermal.heaters}


class Ticks:
    """Peaks, a step every 50 ms."""

    def __init__(self) -> None:
        self.peaks = Peaks(BODY.power, HEATERS)
        self.t_ns = 0
        self.run(0.1)

    def run(self, seconds: float, firing_w: float = 0.0, supply: Supply = PLENTY) -> None:
        for _ in range(round(seconds * 20)):
            self.t_ns += TICK_NS
            self.peaks.step(self.t_ns, TICK_NS * 1e-9, supply, firing_w)

    @property
    def stack_w(self) -> float:
        return self.peaks.budget.granted_w(Store.SUPERCAP)

    def books_close(self) -> None:
        books = self.peaks.books
        assert books.granted_j == pytest.approx(books.used_j + books.returned_j + books.held_j)

    def nbl(self, wait_s: float = 0.0) -> tuple[Outcome, tuple[Code, ...]]:
        answer = self.peaks.ask("nbl", 150.0, 2400.0, 16.0, Store.SUPERCAP, Priority.EMERGENCY, wait_s)
        return answer.outcome, answer.codes


def plan(*loads: str) -> HeaterPlan:
    return HeaterPlan(frozenset(loads), sum(HEATERS[load].power_w for load in loads), 0.0, ())


def test_fired_valves_hold_a_token_with_room_for_the_next_window() -> None:
    ticks = Ticks()
    ticks.run(0.1, firing_w=80.0)
    assert ticks.stack_w == pytest.approx(100.0)
    ticks.run(5.0, firing_w=80.0)
    assert ticks.stack_w == pytest.approx(100.0)
    ticks.run(0.1)
    assert ticks.stack_w == 0.0
    assert ticks.peaks.books.held_j == pytest.approx(0.0)
    assert ticks.peaks.books.used_j == pytest.approx(80.0 * 5.05)
    ticks.books_close()


def test_a_firing_token_is_never_for_more_than_the_stack_gives() -> None:
    ticks = Ticks()
    ticks.run(0.2, firing_w=190.0)
    assert ticks.stack_w == BODY.power.supercap.discharge_max_w


def test_an_accepted_burn_holds_its_energy_and_gives_back_what_it_did_not_use() -> None:
    ticks = Ticks()
    assert ticks.peaks.burn(80.0, 240.0, 3.0) == ()
    assert ticks.stack_w == 80.0
    assert ticks.peaks.books.held_j == pytest.approx(240.0)
    ticks.run(1.0, firing_w=80.0)
    assert ticks.stack_w == 80.0
    assert ticks.peaks.books.held_j == pytest.approx(160.0)
    ticks.peaks.end_burn()
    assert ticks.stack_w == 0.0
    assert ticks.peaks.books.returned_j == pytest.approx(160.0)
    assert ticks.peaks.books.used_j == pytest.approx(80.0)
    ticks.books_close()
    ticks.peaks.end_burn()
    ticks.books_close()


def test_a_burn_that_the_stack_does_not_carry_is_refused_and_holds_nothing() -> None:
    ticks = Ticks()
    ticks.run(0.1, supply=Supply(200.0, 100.0, 3_000.0, 60.0, 60.0, 1e6))
    assert ticks.peaks.burn(80.0, 240.0, 3.0) == (Code.CAP_LOW,)
    assert ticks.peaks.burn(400.0, 240.0, 3.0) == (Code.PDU_PEAK_DENIED,)
    assert ticks.stack_w == 0.0
    ticks.run(0.1, supply=Supply())
    assert Code.POWER_TELEM_MISSING in ticks.peaks.burn(80.0, 100.0, 3.0)


def test_braking_is_let_through_whatever_is_missing() -> None:
    ticks = Ticks()
    ticks.run(0.1, supply=Supply())
    assert ticks.peaks.burn(80.0, 240.0, 3.0, brake=True) == ()
    assert ticks.stack_w == 80.0


def test_a_second_burn_takes_the_place_of_the_first() -> None:
    ticks = Ticks()
    assert ticks.peaks.burn(80.0, 240.0, 3.0) == ()
    assert ticks.peaks.burn(60.0, 60.0, 1.0) == ()
    assert ticks.stack_w == 60.0
    ticks.books_close()


def test_firing_that_outlasts_its_burn_goes_on_with_a_token_of_its_own() -> None:
    ticks = Ticks()
    ticks.peaks.burn(80.0, 80.0, 1.0)
    ticks.run(3.0, firing_w=80.0)
    assert ticks.stack_w == pytest.approx(100.0)


def test_a_packet_is_refused_beside_firing_and_two_seconds_after() -> None:
    ticks = Ticks()
    ticks.run(0.2, firing_w=80.0)
    assert ticks.nbl() == (Outcome.REFUSED, (Code.PDU_PEAK_DENIED,))
    ticks.run(1.5)
    assert ticks.nbl()[0] is Outcome.REFUSED
    ticks.run(1.0)
    assert ticks.nbl() == (Outcome.GRANTED, (Code.BUDGET_GRANTED,))
    assert ticks.peaks.nbl_under_way


def test_thrusters_take_the_packet_s_token_and_that_is_told() -> None:
    ticks = Ticks()
    ticks.run(3.0)
    assert ticks.nbl()[0] is Outcome.GRANTED
    ticks.run(0.1, firing_w=80.0)
    assert not ticks.peaks.nbl_under_way
    ticks.run(0.1, firing_w=80.0)
    assert ticks.peaks.take_notes() == [(Code.PDU_PEAK_DENIED, "nbl has lost its energy")]
    assert ticks.peaks.take_notes() == []


def test_a_packet_that_waits_is_told_when_it_may_start() -> None:
    ticks = Ticks()
    ticks.run(0.2, firing_w=80.0)
    assert ticks.nbl(wait_s=10.0)[0] is Outcome.QUEUED
    assert not ticks.peaks.live("nbl")
    ticks.run(3.0)
    assert ticks.peaks.take_notes() == [(Code.BUDGET_GRANTED, "nbl may start")]
    assert ticks.peaks.live("nbl")
    assert ticks.peaks.nbl_under_way
    ticks.peaks.give_back("nbl", 2000.0)
    assert not ticks.peaks.live("nbl")
    ticks.books_close()


def test_what_a_consumer_asked_before_ends_with_its_next_request() -> None:
    ticks = Ticks()
    for _ in range(3):
        assert ticks.peaks.ask("lidar", 20.0, 20.0, 1.0, Store.BUS, Priority.SENSING).outcome is Outcome.GRANTED
    assert ticks.peaks.budget.granted_w(Store.BUS) == 20.0
    ticks.peaks.give_back("lidar")
    ticks.peaks.give_back("lidar")
    assert ticks.peaks.budget.granted_w(Store.BUS) == 0.0


# -- heaters


def test_heaters_hold_tokens_while_they_are_wanted_and_those_without_room_are_denied() -> None:
    ticks = Ticks()
    ticks.peaks.heat(ticks.t_ns, plan("heater_battery", "heater_supercap"))
    assert ticks.peaks.budget.granted_w(Store.BUS) == 50.0
    assert ticks.peaks.denied == {"heater_supercap": (Code.PDU_DENIED,)}
    ticks.peaks.heat(ticks.t_ns, plan("heater_supercap"))
    assert ticks.peaks.denied == {}
    assert ticks.peaks.budget.granted_w(Store.BUS) == 30.0
    ticks.peaks.heat(ticks.t_ns, plan())
    assert ticks.peaks.budget.granted_w(Store.BUS) == 0.0
    ticks.books_close()


def test_a_heater_s_token_is_renewed_while_it_is_wanted() -> None:
    ticks = Ticks()
    for _ in range(400):
        ticks.peaks.heat(ticks.t_ns, plan("heater_battery"))
        assert ticks.peaks.denied == {}
        ticks.run(0.5)
    assert ticks.peaks.books.granted == 4
    ticks.books_close()


def test_a_heater_whose_token_was_taken_asks_anew_and_says_why_not() -> None:
    ticks = Ticks()
    ticks.peaks.heat(ticks.t_ns, plan("heater_battery"))
    ticks.run(0.5, supply=Supply(200.0, 10_000.0, 3_000.0, 10.0, 60.0, 1e6))
    assert ticks.peaks.budget.granted_w(Store.BUS) == 0.0
    ticks.peaks.heat(ticks.t_ns, plan("heater_battery"))
    assert ticks.peaks.denied == {"heater_battery": (Code.PDU_DENIED,)}
    ticks.run(0.5)
    ticks.peaks.heat(ticks.t_ns, plan("heater_battery"))
    assert ticks.peaks.denied == {}


# -- in the craft


def test_in_the_craft_what_is_fired_holds_a_token_as_long_as_it_is_fired() -> None:
    craft = WorldCraft(soc_supercap=0.9)
    craft.fly(3.0)
    craft.firing_w = 80.0
    held = []
    craft.fly(3.0, lambda: held.append(craft.manager.peaks.budget.granted_w(Store.SUPERCAP)))
    assert min(held) > 0.0
    answer = craft.manager.peaks.ask("nbl", 150.0, 2400.0, 16.0, Store.SUPERCAP, Priority.EMERGENCY)
    assert answer.outcome is Outcome.REFUSED
    assert Code.PDU_PEAK_DENIED in answer.codes
    craft.firing_w = 0.0
    craft.fly(2.5)
    assert craft.manager.peaks.budget.granted_w(Store.SUPERCAP) == 0.0
    answer = craft.manager.peaks.ask("nbl", 150.0, 2400.0, 16.0, Store.SUPERCAP, Priority.EMERGENCY)
    assert answer.outcome is Outcome.GRANTED


def test_in_the_craft_the_reserve_for_braking_is_nobody_else_s() -> None:
    craft = WorldCraft(soc_supercap=0.32, soc_battery=0.25)
    craft.fly(3.0)
    peaks = craft.manager.peaks
    assert peaks.burn(80.0, 480.0, 6.0) == (Code.CAP_LOW,)
    assert peaks.burn(80.0, 480.0, 6.0, brake=True) == ()
    assert craft.t_ns < 60 * SECOND


def test_a_stack_that_is_not_known_gives_to_brakes_alone() -> None:
    craft = WorldCraft()
    craft.seen = lambda state: replace(state, supercap_voltage_v=absent(), supercap_current_a=absent())
    craft.fly(3.0)
    peaks = craft.manager.peaks
    assert Code.POWER_TELEM_MISSING in peaks.burn(80.0, 80.0, 1.0)
    assert peaks.burn(80.0, 80.0, 1.0, brake=True) == ()


def test_a_heater_that_loses_its_token_is_told_by_what_the_bus_lacks() -> None:
    ticks = Ticks()
    ticks.peaks.heat(ticks.t_ns, plan("heater_battery"))
    ticks.run(0.1, supply=replace(PLENTY, bus_headroom_w=10.0))
    assert ticks.peaks.take_notes() == [(Code.PDU_DENIED, "heater_battery has lost its energy")]
