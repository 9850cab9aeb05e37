"""Battery and stack alone: what they give and take, exactly to their limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hal.profile.body import BatteryConfig, SupercapConfig
from hil.plant.power_stores import Battery, Stack, fraction

BATTERY = BatteryConfig(500.0, 120.0, 140.0, cut_soc=0.05)
STACK = SupercapConfig(5.0, 10.0, 120.0, 200.0, 0.6, 0.3)


def test_battery_gives_down_to_its_cut_and_not_below() -> None:
    battery = Battery(BATTERY, 0.06)
    while (power := battery.most_w(60.0)) > 0.0:
        assert battery.move(60.0, power, 0.0) == 0.0
    assert battery.soc == pytest.approx(0.05, abs=1e-9)
    assert battery.cut


def test_battery_loses_one_percent_each_way() -> None:
    battery = Battery(BATTERY, 0.5)
    start = battery.energy_j
    battery.move(10.0, 0.0, 100.0)
    battery.move(10.0, 99.0 / 1.01, 0.0)
    assert battery.energy_j == pytest.approx(start)


def test_battery_takes_exactly_what_fills_it() -> None:
    battery = Battery(BATTERY, 0.9999)
    for _ in range(10):
        assert battery.move(1.0, 0.0, battery.room_w(1.0)) == pytest.approx(0.0, abs=1e-6)
    assert battery.soc == pytest.approx(1.0)
    assert battery.room_w(1.0) == pytest.approx(0.0, abs=1e-6)


def test_store_says_by_how_much_it_was_overrun() -> None:
    battery = Battery(BATTERY, 0.0)
    assert battery.move(1.0, 100.0, 0.0) == pytest.approx(101.0)
    assert battery.energy_j == 0.0
    stack = Stack(STACK, 1.0)
    assert stack.move(1.0, 0.0, 100.0) == pytest.approx(-(100.0 - stack.loss_w))
    assert stack.soc == 1.0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    soc=st.floats(0.0, 1.0), goal=st.floats(0.0, 1.0), dt=st.sampled_from([0.05, 0.5, 30.0]), esr=st.floats(0.01, 1.0)
)
def test_stack_room_ends_at_its_goal(soc: float, goal: float, dt: float, esr: float) -> None:
    stack = Stack(STACK, soc, esr)
    power = stack.room_w(dt, goal)
    stack.move(dt, 0.0, power)
    assert stack.soc <= max(soc, goal) + 1e-9
    if 0.0 < power < STACK.charge_max_w:
        assert stack.soc == pytest.approx(goal, abs=1e-9)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(soc=st.floats(0.0, 1.0), dt=st.sampled_from([0.05, 0.5, 30.0]), esr=st.floats(0.01, 1.0))
def test_stack_can_always_give_what_it_says(soc: float, dt: float, esr: float) -> None:
    stack = Stack(STACK, soc, esr)
    before = stack.energy_j
    power = stack.most_w(dt)
    assert 0.0 <= power <= STACK.discharge_max_w
    # Nothing is made of nothing: what left is what was given and what was lost.
    assert stack.move(dt, power, 0.0) == pytest.approx(0.0, abs=1e-6)
    assert before - stack.energy_j == pytest.approx((power + stack.loss_w) * dt, abs=1e-6)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_a_charge_outside_zero_to_one_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match=r"0\.\.1"):
        fraction("charge", bad)
    with pytest.raises(ValueError, match="soc_battery"):
        Battery(BATTERY, bad)
    with pytest.raises(ValueError, match="soc_supercap"):
        Stack(STACK, bad)
