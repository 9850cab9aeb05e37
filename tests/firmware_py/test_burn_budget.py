"""Every store and limit stands against a burn by its own code, and what is not known or no number does too."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import nan
from typing import Any

import pytest

from fdir.codes import Code
from fdir.facts import Facts
from firmware_py.burn_budget import BurnBudget, codes_of
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.burn_needs import AllocatorCeiling, SegmentNeeds
from firmware_py.gnc.thrust_profile import Level, Segment, ThrustProfile
from hal.frames import IDENTITY, quaternion_from_rotation_vector
from hal.profile import load_body
from hal.reading import Quality, Reading
from tests.firmware_py.energy_craft import WorldCraft

BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
CEILING = AllocatorCeiling(BODY, ALLOCATOR)
REST = (0.0, 0.0, 0.0)
LITTLE = SegmentNeeds(
    energy_j=40.0, propellant_kg=0.2, cluster_heat_j={"rcs_c01": 100.0}, residual_torque_n_m=0.0, residual_force_n=0.0,
    peak_duty=0.3, longest_burn_s=0.2, early_s=0.0, impulse_n_s=(100.0, 0.0, 0.0),
)


@pytest.fixture
def budget(facts: Callable[..., Facts]) -> BurnBudget:
    made = BurnBudget(BODY, ALLOCATOR)
    made.facts = facts(hottest_share=-5.0)
    return made


def told(budget: BurnBudget, facts: Callable[..., Facts], **world: Any) -> BurnBudget:
    budget.facts = facts(**{"hottest_share": -5.0, **world})
    return budget


def test_a_little_burn_is_let_through(budget: BurnBudget) -> None:
    assert [budget.answer(level, LITTLE) for level in (*Level, None)] == [[], [], [], []]


@pytest.mark.parametrize(("changed", "code"), [
    ({"energy_j": 1e6}, Code.CAP_LOW),
    ({"propellant_kg": 13.0}, Code.WORKING_MASS_LOW),
    ({"cluster_heat_j": {"rcs_c01": 1e6}}, Code.THERMAL_BLOCK),
    ({"residual_torque_n_m": 26.0}, Code.TORQUE_LIMIT),
    ({"residual_force_n": 1.0}, Code.RCS_UNAVAILABLE),
    ({"longest_burn_s": 3.1}, Code.BURN_LIMIT),
    ({"early_s": 0.1}, Code.COOLDOWN_ACTIVE),
])
def test_each_need_that_is_not_met_is_said_by_its_code(
    budget: BurnBudget, changed: dict[str, Any], code: Code
) -> None:
    answer = budget.answer(Level.ZTT, dataclasses.replace(LITTLE, **changed))
    assert codes_of(answer) == (code,)
    assert all(why for _, why in answer)


@pytest.mark.parametrize(("changed", "code"), [
    ({"energy_j": nan}, Code.CAP_LOW),
    ({"propellant_kg": nan}, Code.WORKING_MASS_LOW),
    ({"cluster_heat_j": {"rcs_c01": nan}}, Code.THERMAL_BLOCK),
    ({"residual_torque_n_m": nan}, Code.TORQUE_LIMIT),
    ({"residual_force_n": nan}, Code.RCS_UNAVAILABLE),
])
def test_a_need_that_is_no_number_is_not_met(budget: BurnBudget, changed: dict[str, Any], code: Code) -> None:
    assert codes_of(budget.answer(Level.ZTT, dataclasses.replace(LITTLE, **changed))) == (code,)


def test_every_reason_is_given_at_once_and_each_code_once(budget: BurnBudget, facts: Callable[..., Facts]) -> None:
    told(budget, facts, soc_supercap=0.2, propellant_kg=0.1)
    many = dataclasses.replace(LITTLE, energy_j=1e6, residual_torque_n_m=30.0, longest_burn_s=9.0)
    answer = budget.answer(Level.ZTT, many)
    assert codes_of(answer) == (Code.CAP_LOW, Code.WORKING_MASS_LOW, Code.TORQUE_LIMIT, Code.BURN_LIMIT)
    assert [code for code, _ in answer].count(Code.CAP_LOW) == 2


@pytest.mark.parametrize(("soc", "level", "duty", "codes"), [
    (0.29, Level.ZTT, 0.1, (Code.CAP_LOW,)),
    (0.30, Level.ZTT, 0.50, ()),
    (0.59, Level.ZTT, 0.51, (Code.DUTY_LIMIT,)),
    (0.60, Level.ZTT, 1.0, ()),
    (0.59, Level.FTG, 0.1, (Code.CAP_LOW,)),
    (0.59, None, 0.1, (Code.CAP_LOW,)),
    (0.60, None, 1.0, ()),
    (None, Level.ZTT, 0.1, (Code.POWER_TELEM_MISSING,)),
])
def test_charge_bounds_level_and_duty(
    budget: BurnBudget, facts: Callable[..., Facts], soc: float | None, level: Level | None, duty: float,
    codes: tuple[Code, ...],
) -> None:
    """CANON section 5: boost from T_boost 0.60 on, at most half duty from T_hold 0.30 on."""
    told(budget, facts, soc_supercap=soc)
    assert codes_of(budget.answer(level, dataclasses.replace(LITTLE, peak_duty=duty))) == codes


# -- what the stack delivers at once

MOST_W = BODY.power.supercap.discharge_max_w


@pytest.mark.parametrize(("peak_w", "codes"), [(MOST_W, ()), (MOST_W + 0.1, (Code.PDU_PEAK_DENIED,))])
def test_more_power_than_the_stack_gives_is_denied(budget: BurnBudget, peak_w: float, codes: tuple[Code, ...]) -> None:
    answer = budget.answer(Level.ZTT, dataclasses.replace(LITTLE, peak_w=peak_w))
    assert codes_of(answer) == codes
    assert all(f"{MOST_W:g} W" in why for _, why in answer)


def test_the_stack_is_asked_for_the_burn_s_own_power_and_energy_down_to_the_safe_mark(budget: BurnBudget) -> None:
    asked: list[tuple[float, float, float]] = []

    def can_give(watts: float, joules: float, floor_soc: float) -> bool:
        asked.append((watts, joules, floor_soc))
        return False

    budget.can_give = can_give
    answer = budget.answer(Level.ZTT, dataclasses.replace(LITTLE, peak_w=80.0))
    assert asked == [(80.0, LITTLE.energy_j, BODY.power.supercap.safe_soc)]
    assert answer == [(Code.CAP_LOW, "the stack cannot deliver 40 J at 80 W")]


def test_a_stack_that_delivers_it_lets_it_through_and_one_that_is_empty_is_not_asked(
    budget: BurnBudget, facts: Callable[..., Facts]
) -> None:
    asked: list[float] = []
    budget.can_give = lambda watts, joules, floor: asked.append(watts) is None
    assert budget.answer(Level.ZTT, dataclasses.replace(LITTLE, peak_w=80.0)) == []
    told(budget, facts, soc_supercap=0.301)
    assert codes_of(budget.answer(Level.ZTT, dataclasses.replace(LITTLE, peak_w=80.0, energy_j=1e5))) == (Code.CAP_LOW,)
    assert asked == [80.0]


def test_a_burn_of_no_energy_asks_nothing_of_the_stack(budget: BurnBudget) -> None:
    budget.can_give = lambda watts, joules, floor: False
    assert budget.answer(Level.ZTT, dataclasses.replace(LITTLE, energy_j=0.0, peak_w=0.0)) == []


@pytest.mark.parametrize(("left", "codes"), [(-1.0, (Code.CAP_LOW,)), (1.0, ())])
def test_no_burn_ends_where_safe_begins(
    budget: BurnBudget, facts: Callable[..., Facts], left: float, codes: tuple[Code, ...]
) -> None:
    """The limit is the body's own."""
    supercap = BODY.power.supercap
    told(budget, facts, soc_supercap=0.7)
    usable = (0.7 - supercap.safe_soc) * supercap.capacity_wh * 3600.0
    assert codes_of(budget.answer(Level.ZTT, dataclasses.replace(LITTLE, energy_j=usable - left))) == codes


def test_an_old_stack_refuses_what_a_new_one_gives(facts: Callable[..., Facts]) -> None:
    """By the estimator of the energy side: its resistance takes the voltage that the power would need."""
    push = dataclasses.replace(LITTLE, peak_w=200.0, energy_j=400.0)
    answers = []
    for factor in (1.0, 6.0):
        craft = WorldCraft(soc_supercap=0.65)
        craft.power.set_supercap_esr_factor(factor)
        craft.fly(20.0)
        made = BurnBudget(BODY, ALLOCATOR)
        made.can_give = craft.manager.can_give
        answers.append(codes_of(told(made, facts, soc_supercap=craft.manager.soc_supercap).answer(Level.ZTT, push)))
    assert answers == [(), (Code.CAP_LOW,)]


def test_a_profile_is_costed_by_its_fullest_segment(budget: BurnBudget) -> None:
    push = ThrustProfile((Segment(0.5, 20.0, (1.0, 0.0, 0.0)), Segment(0.5, 50.0, (1.0, 0.0, 0.0))))
    asked: list[tuple[float, float]] = []
    budget.can_give = lambda watts, joules, floor: asked.append((watts, joules)) is None
    assert budget.accept(push, CEILING, IDENTITY, REST) == []
    assert len(asked) == 3
    assert asked[-1][0] == max(watts for watts, _ in asked)
    assert asked[-1][1] == pytest.approx(asked[0][1] + asked[1][1])


def test_without_facts_nothing_is_let_through() -> None:
    assert codes_of(BurnBudget(BODY, ALLOCATOR).answer(Level.ZTT, LITTLE)) == (Code.POWER_TELEM_MISSING,)


def test_a_silent_cluster_is_as_hot_as_the_hottest_node_and_unknown_without_any(
    budget: BurnBudget, facts: Callable[..., Facts]
) -> None:
    node = next(node for node in BODY.thermal.nodes if node.name == "rcs_c01")
    told(budget, facts, hottest_share=0.0)
    room = (node.trip_c - node.warn_c) * node.capacity_j_k
    assert budget.answer(Level.ZTT, dataclasses.replace(LITTLE, cluster_heat_j={"rcs_c01": 0.99 * room})) == []
    hot = dataclasses.replace(LITTLE, cluster_heat_j={"rcs_c01": room})
    assert codes_of(budget.answer(Level.ZTT, hot)) == (Code.THERMAL_BLOCK,)
    budget.temperatures = lambda: {"rcs_c01": Reading(node.warn_c - 10.0, 0, Quality.OK)}
    assert budget.answer(Level.ZTT, hot) == []
    budget.temperatures = lambda: {"rcs_c01": Reading(None, 0, Quality.STALE)}
    told(budget, facts, hottest_share=None)
    assert codes_of(budget.answer(Level.ZTT, hot)) == (Code.THERMAL_TELEM_MISSING,)


def test_a_profile_ends_no_faster_than_a_full_tank_stops(budget: BurnBudget) -> None:
    push = ThrustProfile((Segment(2.0, 50.0, (1.0, 0.0, 0.0)),))
    gained = 0.5 * 2.0 * CEILING.force_n((1.0, 0.0, 0.0), False) / 432.0
    fast = (budget.stoppable_m_s - gained - 0.01, 0.0, 0.0)
    faster = (budget.stoppable_m_s - gained + 0.05, 0.0, 0.0)
    assert budget.accept(push, CEILING, IDENTITY, fast) == []
    assert codes_of(budget.accept(push, CEILING, IDENTITY, faster)) == (Code.SPEED_LIMIT,)
    half_turn = quaternion_from_rotation_vector((0.0, 0.0, 3.141592653589793))
    assert budget.accept(push, CEILING, half_turn, faster) == []
