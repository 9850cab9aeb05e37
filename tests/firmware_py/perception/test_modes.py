"""Modes of perception: tables that are whole, plans within the duty cycle's rates, choices that wait."""

from __future__ import annotations

from math import inf, isinf, nan

import pytest

from fdir.modes import Motion
from firmware_py.energy.duty_cycle import DutyCycleManager, DutyInputs
from firmware_py.energy.duty_table import RATES, USES, Consumer, EnergyLevel, Use
from firmware_py.perception.modes import (
    LEADS,
    MAPS,
    MOTIONS,
    SENSORS,
    WANTS,
    ModeSwitch,
    PerceptionMode,
    SensorPlan,
    model_for,
    plan,
)
from firmware_py.perception.tracks import SensorModel
from hal.profile.loader import load_body

P, C, M = PerceptionMode, Consumer, Motion
SECOND = 1_000_000_000
BATTERY = load_body("qiki-t").power.battery
CHARGES = {EnergyLevel.FULL: 0.9, EnergyLevel.SAVING: 0.5, EnergyLevel.SHORT: 0.2, EnergyLevel.CRITICAL: 0.02}
PAIRS = [(motion, mode) for motion, (_, allowed) in MOTIONS.items() for mode in sorted(allowed)]


def flown(motion: Motion, mode: PerceptionMode, charge: float) -> SensorPlan:
    """Plan and duty cycle together until nothing changes: what is asked for comes back as a rate."""
    manager = DutyCycleManager(BATTERY, ())
    asked: frozenset[Consumer] = frozenset()
    for second in range(200):
        duty = manager.step(second * SECOND, DutyInputs(motion, charge, 50.0, 50.0, charge, asked=asked))
        found = plan(mode, motion, duty.level, duty.rate_hz)
        asked = found.asked
        for sensor in SENSORS:
            assert found.rate_hz[sensor] <= duty.rate_hz[sensor]
    return found


def test_every_table_is_whole() -> None:
    assert set(WANTS) == set(LEADS) == set(MAPS) == set(P)
    assert set(MOTIONS) == set(M)
    for mode, wants in WANTS.items():
        assert set(wants) == set(SENSORS), mode
        for sensor, rates in wants.items():
            assert len(rates) == len(EnergyLevel)
            assert list(rates) == sorted(rates, reverse=True), (mode, sensor)
            assert rates[0] <= RATES[sensor][0], (mode, sensor)
        assert all(wants[sensor][0] > 0.0 for sensor in LEADS[mode])
    assert all(default in allowed for default, allowed in MOTIONS.values())


def test_no_choice_needs_a_sensor_that_the_duty_cycle_never_gives_in_that_motion() -> None:
    for motion, mode in PAIRS:
        for sensor in LEADS[mode]:
            assert USES[motion][sensor] is not Use.OFF, (motion, mode, sensor)


def test_radar_is_never_below_one_look_a_second() -> None:
    assert min(rate for wants in WANTS.values() for rate in wants[C.RADAR]) == 1.0


@pytest.mark.parametrize("mode", sorted(set(P) - {P.APPROACH, P.SAFE}))
def test_on_a_deficit_the_lidar_goes_first_and_the_radar_stays(mode: PerceptionMode) -> None:
    lidar, radar = WANTS[mode][C.LIDAR], WANTS[mode][C.RADAR]
    assert all(share <= kept for share, kept in zip(
        (rate / max(lidar[0], 1e-9) for rate in lidar), (rate / radar[0] for rate in radar), strict=True,
    ))
    assert lidar[EnergyLevel.CRITICAL] == 0.0


@pytest.mark.parametrize(("motion", "mode"), PAIRS)
@pytest.mark.parametrize("charge", sorted(CHARGES.values()))
def test_a_plan_never_exceeds_the_duty_cycle_and_leads_as_long_as_there_is_energy(
    motion: Motion, mode: PerceptionMode, charge: float,
) -> None:
    found = flown(motion, mode, charge)
    assert found.rate_hz[C.RADAR] >= 1.0
    assert found.wanted == {sensor: rate > 0.0 for sensor, rate in found.rate_hz.items()}
    if charge == CHARGES[EnergyLevel.FULL]:
        assert all(found.rate_hz[sensor] > 0.0 for sensor in LEADS[mode])


def test_cartography_asks_for_the_lidar_and_gets_it() -> None:
    found = flown(M.IDLE, P.CARTOGRAPHY, 0.9)
    assert found.asked == {C.LIDAR}
    assert found.rate_hz[C.LIDAR] == 5.0
    assert found.short == (C.RADAR, C.LIDAR)
    assert (found.grid, found.maps) == (True, True)
    assert flown(M.IDLE, P.CARTOGRAPHY, 0.02).rate_hz[C.LIDAR] == 0.0


def test_near_a_dock_the_lidar_stays_whatever_the_charge() -> None:
    assert flown(M.DOCK, P.APPROACH, 0.9).rate_hz[C.LIDAR] == 10.0
    assert flown(M.DOCK, P.APPROACH, 0.02).rate_hz[C.LIDAR] >= 1.0


def test_navigation_uses_the_lidar_on_request_and_while_braking() -> None:
    bounds = dict.fromkeys(Consumer, 10.0)
    assert plan(P.NAVIGATION, M.IDLE, EnergyLevel.FULL, bounds).rate_hz[C.LIDAR] == 0.0
    asked = plan(P.NAVIGATION, M.IDLE, EnergyLevel.FULL, bounds, lidar=True)
    assert (asked.rate_hz[C.LIDAR], asked.asked) == (5.0, {C.LIDAR})
    assert plan(P.NAVIGATION, M.BRAKE, EnergyLevel.FULL, bounds).rate_hz[C.LIDAR] == 5.0


@pytest.mark.parametrize("bound", [nan, inf, -1.0, 0.0, None])
def test_a_rate_that_is_none_or_no_number_is_off(bound: float | None) -> None:
    bounds = {} if bound is None else {C.RADAR: bound}
    found = plan(P.SAFE, M.SAFE, EnergyLevel.FULL, bounds)
    assert found.rate_hz[C.RADAR] == 0.0
    assert C.RADAR in found.short


def test_the_crafts_motion_overrules_a_choice_and_the_choice_waits() -> None:
    switch = ModeSwitch()
    assert switch.step(M.IDLE) is P.NAVIGATION
    assert switch.choose(P.SCIENCE) == ""
    seen = [switch.step(motion) for motion in (M.IDLE, M.MANOEUVRE, M.DOCK, M.BRAKE, M.SAFE, M.IDLE)]
    assert seen == [P.SCIENCE, P.NAVIGATION, P.APPROACH, P.NAVIGATION, P.SAFE, P.SCIENCE]
    assert switch.changes == 6
    assert switch.choose(None) == ""
    assert switch.step(M.IDLE) is P.NAVIGATION


def test_choices_that_are_not_allowed_now_or_ever_say_why() -> None:
    switch = ModeSwitch()
    switch.step(M.DOCK)
    assert "waits" in switch.choose(P.SCIENCE)
    assert "allowed" in switch.choose(P.SAFE)
    assert switch.choice is P.SCIENCE
    assert switch.refused == 2


@pytest.mark.parametrize(("rate_hz", "revisit_s"), [(2.0, 0.5), (100.0, 0.1), (10.0, 0.1)])
def test_the_tracker_is_told_the_true_time_between_looks(rate_hz: float, revisit_s: float) -> None:
    model = SensorModel(1.0, 0.01, 0.01, revisit_s=0.1, detection_probability=0.8)
    told = model_for(model, rate_hz)
    assert told.revisit_s == revisit_s
    assert told.detection_probability == 0.8
    assert model_for(model, rate_hz, 0.5).detection_probability == pytest.approx(0.4)


def test_a_sensor_that_is_off_misses_nothing() -> None:
    told = model_for(SensorModel(1.0, 0.01, 0.01), 0.0)
    assert isinf(told.revisit_s)
    assert told.detection_probability == 0.0


@pytest.mark.parametrize(("rate_hz", "delivered"), [(-1.0, 1.0), (nan, 1.0), (1.0, 1.1), (1.0, nan)])
def test_rates_and_shares_that_cannot_be_are_refused_by_name(rate_hz: float, delivered: float) -> None:
    with pytest.raises(ValueError, match="allowed"):
        model_for(SensorModel(1.0, 0.01, 0.01), rate_hz, delivered)
