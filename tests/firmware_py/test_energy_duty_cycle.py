"""DutyCycleManager: order, levels, dwell, modes; nothing flaps, and what is not known makes nobody generous."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.modes import Motion
from firmware_py.energy.duty_cycle import Duty, DutyCycleManager, DutyInputs, DutyReason
from firmware_py.energy.duty_table import (
    DEPTHS,
    LOWEST,
    ORDER,
    ORDER_DOCKING,
    RATES,
    STEPS,
    USES,
    Consumer,
    EnergyLevel,
    Profile,
    Use,
    ladder,
)
from hal.profile.loader import load_body

SECOND = 1_000_000_000
TICK = SECOND // 20
BODY = load_body("qiki-t")
LOADS = tuple(load.name for load in BODY.power.loads)
C = Consumer
RICH = DutyInputs(Motion.IDLE, soc_battery=0.9, generation_w=80.0, demand_w=80.0, forecast_min_soc=0.7)
SENSORS = frozenset(Consumer) - {C.COMPUTE}


class Craft:
    """A manager with its clock."""

    def __init__(self, inputs: DutyInputs = RICH) -> None:
        self.manager = DutyCycleManager(BODY.power.battery, LOADS)
        self.inputs = inputs
        self.now_ns = 0
        self.duty: Duty = self.tick()

    def tick(self, **changes: object) -> Duty:
        self.now_ns += TICK
        if changes:
            self.inputs = replace(self.inputs, **changes)  # type: ignore[arg-type]
        self.duty = self.manager.step(self.now_ns, self.inputs)
        return self.duty

    def run(self, seconds: float, **changes: object) -> list[Duty]:
        self.tick(**changes)
        return [self.tick() for _ in range(round(seconds * 20) - 1)]


def test_with_enough_of_everything_the_mode_alone_decides() -> None:
    craft = Craft()
    assert craft.duty.level is EnergyLevel.FULL
    assert craft.duty.profile is Profile.BALANCED
    assert craft.duty.rate_hz[C.RADAR] == 2.0
    assert craft.duty.compute_share == 0.7
    assert craft.duty.reasons == ()
    craft.tick(motion=Motion.MANOEUVRE)
    assert craft.duty.profile is Profile.FAST
    assert craft.duty.rate_hz[C.RADAR] == 4.0
    assert craft.duty.compute_share == 1.0
    assert set(craft.duty.rate_hz) == SENSORS
    assert set(craft.duty.wanted) == {"radar", "lidar"}


def test_the_lidar_runs_when_asked_for_and_is_a_load_that_is_switched() -> None:
    craft = Craft()
    assert craft.duty.wanted == {"radar": True, "lidar": False}
    craft.tick(asked=frozenset({C.LIDAR}))
    assert craft.duty.wanted == {"radar": True, "lidar": True}
    assert craft.duty.rate_hz[C.LIDAR] == 5.0
    craft.tick(motion=Motion.DOCK, asked=frozenset())
    assert craft.duty.wanted["lidar"]
    assert craft.duty.rate_hz[C.LIDAR] == 10.0
    assert craft.duty.rate_hz[C.PROXIMITY] == 10.0


@pytest.mark.parametrize("profile", list(Profile)[:3])
def test_an_operators_profile_overrides_the_modes(profile: Profile) -> None:
    craft = Craft(replace(RICH, profile=profile))
    assert craft.duty.profile is profile
    assert craft.duty.rate_hz[C.RADAR] == RATES[C.RADAR][profile]
    assert DutyReason.OPERATOR in craft.duty.reasons
    craft.tick(motion=Motion.SAFE)
    assert craft.duty.profile is Profile.ECO
    assert craft.duty.reasons == (DutyReason.SAFE,)


def test_safe_is_a_low_power_radar_and_the_inertial_unit() -> None:
    craft = Craft(replace(RICH, motion=Motion.SAFE, asked=frozenset(Consumer)))
    looking = {consumer for consumer, rate in craft.duty.rate_hz.items() if rate > 0.0}
    assert looking == {C.RADAR, C.MAGNETOMETER, C.TELEMETRY}
    assert craft.duty.rate_hz[C.RADAR] == 1.0
    assert craft.duty.wanted == {"radar": True, "lidar": False}


def test_every_mode_has_a_use_for_every_consumer_and_the_ladder_reaches_the_least() -> None:
    assert set(USES) == set(Motion)
    assert all(set(uses) == set(Consumer) for uses in USES.values())
    for order in (ORDER, ORDER_DOCKING):
        assert sorted(order) == sorted(Consumer)
        assert len(ladder(order)) == STEPS == DEPTHS[EnergyLevel.CRITICAL]
        assert {step.consumer: step.level for step in ladder(order)} == dict(LOWEST)
    assert (ORDER[0], ORDER[-1]) == (C.LIDAR, C.RADAR)
    assert [DEPTHS[level] for level in EnergyLevel] == sorted(DEPTHS.values())
    assert all(list(rates) == sorted(rates, reverse=True) for rates in RATES.values())


@pytest.mark.parametrize(
    ("soc", "level"),
    [(1.0, 0), (0.60, 0), (0.59, 1), (0.45, 1), (0.44, 2), (0.375, 2), (0.37, 3), (0.20, 3), (0.19, 4), (0.0, 4)],
)
def test_charge_sets_the_level_with_inclusive_edges(soc: float, level: int) -> None:
    assert Craft(replace(RICH, soc_battery=soc)).duty.level == level


def test_less_charge_takes_from_the_lidar_first_and_from_the_radar_last() -> None:
    craft = Craft(replace(RICH, motion=Motion.MANOEUVRE, asked=frozenset({C.LIDAR, C.PROXIMITY})))
    touched: list[Consumer] = []
    for duty in craft.run(60.0, soc_battery=0.15):
        for consumer, level in duty.levels.items():
            if level > Profile.FAST and consumer not in touched:
                touched.append(consumer)
    assert tuple(touched) == ORDER
    assert craft.duty.rate_hz[C.RADAR] == 1.0
    assert craft.duty.wanted == {"radar": True, "lidar": False}


def test_what_comes_back_comes_in_reverse_and_slowly() -> None:
    craft = Craft(replace(RICH, motion=Motion.MANOEUVRE, soc_battery=0.15))
    down = ladder(ORDER)
    assert craft.duty.steps == STEPS
    duties = craft.run(600.0, soc_battery=0.9)
    steps = [duty.steps for duty in duties]
    assert all(a - b in (0, 1) for a, b in pairwise(steps))
    for before, after in pairwise(duties):
        if after.steps < before.steps:
            step = down[before.steps - 1]
            assert after.levels[step.consumer] == before.levels[step.consumer] - 1
    first_full = next(i for i, duty in enumerate(duties) if duty.level is EnergyLevel.FULL) / 20
    assert first_full >= 4 * 60.0
    assert craft.duty.levels == dict.fromkeys(Consumer, Profile.FAST)


def test_docking_keeps_lidar_and_proximity_until_everything_else_is_at_its_least() -> None:
    craft = Craft(replace(RICH, motion=Motion.DOCK))
    for duty in craft.run(60.0, soc_battery=0.05):
        others = [c for c in Consumer if c not in (C.LIDAR, C.PROXIMITY)]
        if duty.rate_hz[C.PROXIMITY] < 10.0:
            assert all(duty.levels[c] == LOWEST[c] for c in others)
        assert duty.wanted["lidar"]
        assert duty.rate_hz[C.LIDAR] >= 1.0
        assert duty.rate_hz[C.PROXIMITY] >= 2.0
    assert craft.duty.steps == STEPS
    craft.tick(motion=Motion.SAFE)
    assert not craft.duty.wanted["lidar"]


def test_a_forecast_below_the_shed_mark_is_one_level_worse_and_clears_with_a_margin() -> None:
    craft = Craft()
    craft.run(10.0, forecast_min_soc=0.15)
    assert craft.duty.level is EnergyLevel.SAVING
    assert craft.duty.reasons == (DutyReason.FORECAST_SHORT,)
    craft.run(100.0, forecast_min_soc=0.22)
    assert craft.duty.level is EnergyLevel.SAVING
    craft.run(100.0, forecast_min_soc=0.26)
    assert craft.duty.level is EnergyLevel.FULL


def test_sources_that_carry_the_craft_are_one_level_better_but_never_out_of_critical() -> None:
    sunny = replace(RICH, generation_w=120.0, demand_w=80.0)
    assert Craft(replace(sunny, soc_battery=0.5)).duty.level is EnergyLevel.FULL
    assert Craft(replace(sunny, soc_battery=0.5)).duty.reasons == (DutyReason.SOC, DutyReason.SURPLUS)
    assert Craft(replace(sunny, soc_battery=0.1)).duty.level is EnergyLevel.CRITICAL
    assert Craft(replace(sunny, soc_battery=0.5, forecast_min_soc=0.1)).duty.level is EnergyLevel.LOW


@pytest.mark.parametrize("soc", [None, nan, inf, -0.01, 1.01])
def test_a_charge_that_is_not_known_is_short_and_never_full(soc: float | None) -> None:
    craft = Craft(replace(RICH, soc_battery=soc, generation_w=500.0))
    assert craft.duty.level is EnergyLevel.SHORT
    assert DutyReason.SOC_MISSING in craft.duty.reasons
    craft.run(300.0)
    assert craft.duty.level is EnergyLevel.SHORT
    craft.tick(soc_battery=0.9)
    assert craft.duty.level is EnergyLevel.FULL, "nothing had been decided before the first charge"


def test_a_charge_that_is_lost_in_flight_goes_to_the_eco_side_after_its_dwell() -> None:
    craft = Craft()
    craft.run(4.0, soc_battery=None)
    assert craft.duty.level is EnergyLevel.FULL
    craft.run(30.0)
    assert craft.duty.level is EnergyLevel.SHORT
    assert craft.duty.steps == DEPTHS[EnergyLevel.SHORT]
    low = Craft(replace(RICH, soc_battery=0.1))
    low.run(30.0, soc_battery=None)
    assert low.duty.level is EnergyLevel.CRITICAL


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"forecast_min_soc": None}, DutyReason.FORECAST_MISSING),
        ({"forecast_min_soc": nan}, DutyReason.FORECAST_MISSING),
        ({"generation_w": None}, DutyReason.GENERATION_MISSING),
        ({"generation_w": nan}, DutyReason.GENERATION_MISSING),
        ({"generation_w": -1.0}, DutyReason.GENERATION_MISSING),
        ({"demand_w": inf}, DutyReason.GENERATION_MISSING),
    ],
)
def test_without_forecast_or_generation_it_is_never_full(changes: dict[str, float | None], reason: DutyReason) -> None:
    craft = Craft(replace(RICH, soc_battery=1.0, **changes))  # type: ignore[arg-type]
    assert craft.duty.level is EnergyLevel.SAVING
    assert reason in craft.duty.reasons


def test_the_answer_is_the_same_object_while_nothing_changes() -> None:
    craft = Craft()
    first = craft.duty
    assert all(duty is first for duty in craft.run(5.0))


def test_a_clock_that_goes_back_stands_still() -> None:
    craft = Craft()
    craft.run(10.0)
    craft.now_ns = 0
    craft.run(5.0, soc_battery=0.1)
    assert craft.duty.level is EnergyLevel.FULL


# -- properties

levels = st.floats(0.0, 1.0)
histories = st.lists(
    st.tuples(
        st.sampled_from(list(Motion)), st.none() | levels, st.none() | st.floats(0.0, 200.0), st.none() | levels,
        st.none() | st.sampled_from(list(Profile)[:3]), st.frozensets(st.sampled_from(list(Consumer))),
        st.integers(1, 400),
    ),
    max_size=12,
)
History = list[tuple[Motion, float | None, float | None, float | None, Profile | None, frozenset[Consumer], int]]


def fly(history: History) -> list[Duty]:
    craft = Craft()
    duties: list[Duty] = []
    for motion, soc, generation, forecast, profile, asked, ticks in history:
        craft.inputs = DutyInputs(motion, soc, generation, 80.0, forecast, profile, asked)
        for _ in range(ticks):
            duties.append(craft.tick())
            order = ORDER_DOCKING if motion is Motion.DOCK else ORDER
            ordered_by_rule(craft.duty, order, motion)
    return duties


def ordered_by_rule(duty: Duty, order: tuple[Consumer, ...], motion: Motion) -> None:
    """A consumer is degraded beyond its profile only if all that come before it are at their least."""
    for earlier, later in pairwise(order):
        kept = USES[motion][earlier] is Use.KEPT
        least = min(LOWEST[earlier], Profile.ECO) if kept else LOWEST[earlier]
        if duty.levels[later] > min(duty.profile, LOWEST[later]):
            assert duty.levels[earlier] == least
    assert all(duty.levels[c] >= min(duty.profile, LOWEST[c]) for c in Consumer)
    assert 0.0 < duty.compute_share <= 1.0
    assert duty.rate_hz[C.RADAR] >= 1.0


@settings(max_examples=80, deadline=None)
@given(histories)
def test_the_order_holds_in_random_histories_and_they_repeat_exactly(history: History) -> None:
    first, again = fly(history), fly(history)
    assert first == again
    assert all(abs(a.steps - b.steps) <= 1 for a, b in pairwise(first))


@settings(max_examples=60, deadline=None)
@given(levels, st.lists(st.floats(-0.01, 0.01), min_size=50, max_size=50))
def test_a_noisy_charge_never_flaps(mean: float, noise: list[float]) -> None:
    craft = Craft(replace(RICH, soc_battery=mean))
    seen: list[EnergyLevel] = []
    for _ in range(80):
        for stray in noise:
            craft.tick(soc_battery=min(1.0, max(0.0, mean + stray)))
            seen.append(craft.duty.level)
    changes = [(a, b) for a, b in pairwise(seen) if a is not b]
    assert len(changes) <= 1
    assert all(b > a for a, b in changes)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(levels, st.floats(0.0, 200.0), levels), min_size=10, max_size=30))
def test_whatever_happens_a_level_that_was_left_downwards_is_not_entered_again_within_a_minute(
    inputs: list[tuple[float, float, float]]
) -> None:
    craft = Craft()
    fell_ns = None
    level = craft.duty.level
    for soc, generation, forecast in inputs:
        for _ in range(150):
            craft.tick(soc_battery=soc, generation_w=generation, forecast_min_soc=forecast)
            if craft.duty.level > level:
                fell_ns = craft.now_ns
            elif craft.duty.level < level and fell_ns is not None:
                assert craft.now_ns - fell_ns >= 60 * SECOND
            level = craft.duty.level
