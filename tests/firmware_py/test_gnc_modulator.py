"""What every modulator shares: bad demands leave the valves shut, remainders are carried as they should be."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulation import PulseModulator
from firmware_py.gnc.modulator import Carry
from hal.profile.loader import load_body
from hal.propulsion import PulsePlan

BODY = load_body("qiki-t")
ALLOCATOR = Allocator(BODY)
WINDOW_NS = 250_000_000
PUSH = 622.0 * 0.25


@pytest.fixture(scope="module")
def made() -> PulseModulator:
    return PulseModulator(BODY, ALLOCATOR)


@pytest.fixture
def modulator(made: PulseModulator) -> PulseModulator:
    # Its tables take a tenth of a second: one for all, at rest long enough for every rule.
    made.drop_carry()
    return made


@pytest.fixture
def start(modulator: PulseModulator) -> int:
    return (modulator.counters.windows + 1) * 100 * WINDOW_NS


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_demand_that_is_not_finite_leaves_the_valves_shut_and_is_counted(
    modulator: PulseModulator, start: int, bad: float
) -> None:
    before = modulator.counters.refused_demands
    plan, made = modulator.plan((0.0, bad, 0.0, 0.0, 0.0, 0.0), start)
    assert not any(plan.on_ms)
    assert not any(made)
    assert modulator.counters.refused_demands == before + 1
    plan, _ = modulator.plan((0.0, 0.0, PUSH, 0.0, 0.0, 0.0), start + WINDOW_NS, mean=(bad,) * 6)
    assert any(plan.on_ms)


def test_an_open_loop_push_carries_its_force_but_not_the_torque_of_a_feedback(
    modulator: PulseModulator, start: int
) -> None:
    demand = (0.0, 0.0, 0.01 * PUSH, 0.3, 0.2, 0.0)
    plan, made = modulator.plan(demand, start, carry=Carry.FORCE)
    assert modulator.carried[:3] == pytest.approx(np.array(demand[:3]) - np.array(made[:3]))
    assert modulator.carried[3:] == (0.0, 0.0, 0.0)
    assert not any(plan.on_ms)
    modulator.plan(demand, start + WINDOW_NS, carry=Carry.FORCE)
    assert modulator.carried[2] == pytest.approx(2.0 * demand[2])


def test_a_wrench_is_carried_whole(modulator: PulseModulator, start: int) -> None:
    demand = (0.0, 0.0, 0.01 * PUSH, 0.3, 0.2, 0.0)
    _, made = modulator.plan(demand, start, carry=True)
    assert modulator.carried == pytest.approx(np.array(demand) - np.array(made))


def test_a_vetoed_pulse_is_carried_to_the_next_window(modulator: PulseModulator, start: int) -> None:
    demand = (0.0, 0.0, 0.5 * PUSH, 0.0, 0.0, 0.0)
    plan, made = modulator.plan(demand, start, carry=Carry.FORCE)
    assert any(plan.on_ms)
    assert made[2] == pytest.approx(demand[2], rel=0.05)
    assert modulator.flown(PulsePlan.shut(16, 250)) == (0.0,) * 6
    assert modulator.carried[2] == pytest.approx(demand[2])
    assert all(modulator.expected(tick) is None for tick in range(50))


def test_what_can_never_be_met_does_not_pile_up(modulator: PulseModulator, start: int) -> None:
    for window in range(40):
        modulator.plan((0.0, 0.0, 50.0 * PUSH, 0.0, 0.0, 0.0), start + window * WINDOW_NS, carry=Carry.FORCE)
    assert modulator.carried[2] <= 4.0 * PUSH * 1.01


@pytest.mark.parametrize("level", [1, 3, 7, 11, 20, 45, 70, 90, 93, 97, 100])
def test_a_push_keeps_its_level_within_one_shortest_pulse_over_any_second(
    modulator: PulseModulator, start: int, level: int
) -> None:
    share = PUSH * 0.01 * level
    push = (0.0, 0.0, share, 0.0, 0.0, 0.0)
    rows = []
    for window in range(12):
        plan, _ = modulator.plan(push, start + window * WINDOW_NS, carry=Carry.FORCE, mean=push)
        ms = np.arange(250)[:, None]
        rows.append((ms >= np.array(plan.open_ms)) & (ms < np.array(plan.close_ms)))
    on = np.vstack([np.zeros(16), np.cumsum(np.vstack(rows), axis=0)])
    slid = on[1000:] - on[:-1000]
    duty, _ = ALLOCATOR.allocate(np.array(push) / 0.25)
    assert np.abs(slid - 1000.0 * duty).max() <= 30.5


def test_a_demand_that_is_not_finite_does_not_fire_what_was_carried(modulator: PulseModulator, start: int) -> None:
    demand = (0.0, 0.0, 0.04 * PUSH, 0.0, 0.0, 0.0)
    modulator.plan(demand, start, carry=Carry.WRENCH)
    modulator.plan(demand, start + WINDOW_NS, carry=Carry.WRENCH)
    plan, _ = modulator.plan((float("nan"),) * 6, start + 2 * WINDOW_NS, carry=Carry.WRENCH)
    assert not any(plan.on_ms)


@pytest.mark.parametrize("after_ms", [0, 40, 125, 200, 249])
def test_what_a_cut_keeps_from_being_made_is_carried(modulator: PulseModulator, start: int, after_ms: int) -> None:
    """What flew, by the plan's own edges, and what is carried are together what was asked for."""
    demand = np.array((0.0, 0.0, 0.5 * PUSH, 0.0, 0.0, 0.0))
    plan, _ = modulator.plan(tuple(demand.tolist()), start, carry=Carry.WRENCH)
    modulator.plan((0.0,) * 6, start + after_ms * 1_000_000)
    flown = np.zeros(6)
    for column, open_ms, close_ms in zip(ALLOCATOR.wrenches.T, plan.open_ms, plan.close_ms, strict=True):
        end = close_ms if after_ms >= close_ms else max(after_ms, min(close_ms, open_ms + 30))
        flown += column * 1e-3 * (max(0, end - open_ms) if open_ms <= after_ms else 0)
    assert np.array(modulator.carried) == pytest.approx(demand - flown, abs=1e-6)


def test_what_is_left_of_a_push_does_not_come_back_with_another_one(modulator: PulseModulator, start: int) -> None:
    demand = (0.0, 0.0, 0.01 * PUSH, 0.0, 0.0, 0.0)
    modulator.plan(demand, start, carry=Carry.FORCE)
    assert modulator.carried[2] > 0.0
    modulator.plan((0.0,) * 6, start + WINDOW_NS)
    assert not any(modulator.carried)
