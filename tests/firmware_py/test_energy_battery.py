"""Charge of the battery: right after half a day, never empty or full by default, and open about what disagrees."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.energy.battery import COAST_S, SIGMA_LIMIT, BatteryEstimator
from firmware_py.energy.estimates import GaugeReading, StoreEstimate
from firmware_py.energy.trust import SourceVerdict, Trust
from hal.profile.loader import load_body

POWER = load_body("qiki-t").power
STEP_S = 2.0
HOUR_S = 3600.0


@dataclass
class Cell:
    """A battery of energy, apart from the world's and from the estimator's, with the sensors' errors."""

    soc: float = 0.8
    factor: float = 1.0
    resistance: float = 0.0
    gain: float = 1.0
    offset_a: float = 0.0
    offset_v: float = 0.0
    amperes: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(5))

    def step(self, watts: float, dt: float = STEP_S) -> None:
        self.amperes = watts / self.volts
        lost = watts * (1.01 if watts > 0.0 else 0.99)
        self.soc = min(1.0, max(0.0, self.soc - lost * dt / (POWER.battery.capacity_wh * 3600.0 * self.factor)))

    @property
    def volts(self) -> float:
        return 22.0 + 6.0 * self.soc

    @property
    def seen_a(self) -> float:
        return self.gain * self.amperes + self.offset_a + 0.003 * float(self.rng.standard_normal())

    @property
    def seen_v(self) -> float:
        noise = 0.01 * float(self.rng.standard_normal())
        return self.volts - self.resistance * self.amperes + self.offset_v + noise


Gauge = Callable[[float, float], float | None]


def new() -> BatteryEstimator:
    return BatteryEstimator(POWER.battery, POWER.bus)


def watts_at(t: float) -> float:
    """Discharge and charge by turns, never at rest, with steps of the load."""
    swing = 65.0 if math.floor(t / (3.0 * HOUR_S)) % 2 == 0 else -85.0
    return swing + (25.0 if math.floor(t / 420.0) % 3 == 0 else 0.0)


def fly(
    estimator: BatteryEstimator, cell: Cell, hours: float, gauge: Gauge | None = None, bms: Gauge | None = None,
    watts: Callable[[float], float] = watts_at, celsius: float | None = 20.0,
) -> StoreEstimate:
    """Fly with both gauges as functions of time and true charge (``None``: silent)."""
    for i in range(round(hours * HOUR_S / STEP_S)):
        t = i * STEP_S
        cell.step(watts(t))
        estimator.update(
            STEP_S, cell.seen_a, cell.seen_v, reading(gauge, t, cell.soc), reading(bms, t, cell.soc), celsius
        )
    return estimator.estimate


def reading(gauge: Gauge | None, t: float, soc: float) -> GaugeReading | None:
    if gauge is None:
        return None
    said = gauge(t, soc)
    return None if said is None else GaugeReading(min(1.0, max(0.0, round(said, 2))))


def honest(t: float, soc: float) -> float:
    return soc


def told(estimate: StoreEstimate) -> dict[str, SourceVerdict]:
    return dict(estimate.sources)


def error(estimate: StoreEstimate, cell: Cell) -> float:
    assert estimate.soc is not None
    return abs(estimate.soc - cell.soc)


@pytest.mark.parametrize("gain", [0.99, 1.01])
@pytest.mark.parametrize("factor", [0.95, 1.05])
@pytest.mark.parametrize("offset_v", [-0.03, 0.03])
def test_within_two_percent_after_half_a_day_without_rest(gain: float, factor: float, offset_v: float) -> None:
    cell = Cell(gain=gain, factor=factor, offset_v=offset_v)
    estimate = fly(new(), cell, 12.0)
    assert error(estimate, cell) <= 0.01
    assert estimate.trust is Trust.TRUSTED
    assert estimate.codes == ()


@pytest.mark.parametrize("offset_a", [-0.05, 0.05])
def test_an_offset_of_the_current_sensor_is_found_out(offset_a: float) -> None:
    cell, estimator = Cell(offset_a=offset_a), new()
    estimate = fly(estimator, cell, 12.0)
    assert error(estimate, cell) <= 0.01
    assert estimator.current_offset_a == pytest.approx(offset_a, abs=0.02)


def test_an_unknown_resistance_is_learned_and_allowed_for() -> None:
    cell, estimator = Cell(resistance=0.08), new()
    estimate = fly(estimator, cell, 12.0, celsius=25.0)
    assert error(estimate, cell) <= 0.015
    assert estimator.resistance_ohm == pytest.approx(0.08, abs=0.02)


def test_a_constant_load_that_hides_the_resistance_still_ends_within_two_percent() -> None:
    cell = Cell(soc=0.95, resistance=0.05, gain=1.01, factor=0.95, offset_v=0.03)
    assert error(fly(new(), cell, 12.0, watts=lambda t: 30.0), cell) <= 0.02


def test_the_wrong_one_percent_is_not_averaged_away_but_stays_in_the_sigma() -> None:
    cell = Cell(offset_v=0.03)
    estimate = fly(new(), cell, 12.0)
    assert estimate.sigma is not None
    assert 0.003 < estimate.sigma < 0.02
    assert error(estimate, cell) < 2.0 * estimate.sigma


def test_a_faded_battery_is_found_by_its_swings_and_named() -> None:
    cell, estimator = Cell(factor=0.7), new()
    assert fly(estimator, cell, 0.2).fade is None
    estimate = fly(estimator, cell, 6.0)
    assert estimate.fade == pytest.approx(0.7, abs=0.04)
    assert estimate.capacity_j == pytest.approx(0.7 * 1.8e6, rel=0.05)
    assert Code.BAT_FADED in estimate.codes


def test_a_good_battery_is_not_called_faded() -> None:
    estimate = fly(new(), Cell(factor=0.9), 6.0)
    assert estimate.fade == pytest.approx(0.9, abs=0.03)
    assert estimate.codes == ()


@pytest.mark.parametrize("wrong", [0.25, -0.2, 0.12])
def test_a_gauge_that_is_wrong_is_a_verdict_and_not_an_average(wrong: float) -> None:
    cell = Cell(soc=0.7, gain=1.01, factor=0.95)
    estimate = fly(new(), cell, 12.0, lambda t, soc: soc + wrong)
    assert error(estimate, cell) <= 0.01
    assert estimate.trust is Trust.CONFLICTING
    assert Code.POWER_TELEM_CONFLICTING in estimate.codes
    assert told(estimate)["gauge"] is SourceVerdict.CONFLICTING
    assert estimate.rejected() == ("gauge",)


def test_before_the_count_has_shown_anything_the_lower_of_two_sources_counts() -> None:
    cell, estimator = Cell(), new()
    estimate = fly(estimator, cell, 0.05, lambda t, soc: 0.4)
    assert estimate.soc == pytest.approx(0.4, abs=0.02)
    assert estimate.trust is Trust.CONFLICTING
    assert fly(new(), Cell(soc=0.4), 0.05, lambda t, soc: 0.8).soc == pytest.approx(0.4, abs=0.02)


@pytest.mark.parametrize("soc", [0.95, 0.8, 0.5, 0.2])
@pytest.mark.parametrize("watts", [40.0, 100.0, 130.0])
def test_gauge_and_bms_that_agree_settle_the_start_under_load(soc: float, watts: float) -> None:
    cell, estimator = Cell(soc=soc), new()
    estimate = fly(estimator, cell, 0.03, honest, honest, watts=lambda t: watts)
    assert error(estimate, cell) <= 0.01
    assert estimate.trust is Trust.TRUSTED
    voltage_alone = Cell(soc=soc)
    assert error(estimate, cell) < error(fly(new(), voltage_alone, 0.03, watts=lambda t: watts), voltage_alone)


def test_a_gauge_alone_does_not_settle_it() -> None:
    cell, twin = Cell(soc=0.8), Cell(soc=0.8)
    alone = fly(new(), cell, 0.03, honest, watts=lambda t: 100.0)
    assert error(alone, cell) == pytest.approx(error(fly(new(), twin, 0.03, watts=lambda t: 100.0), twin), abs=0.004)


def test_two_that_differ_from_each_other_do_not_settle_it() -> None:
    cell, twin = Cell(soc=0.8), Cell(soc=0.8)
    apart = fly(new(), cell, 0.03, honest, lambda t, soc: soc - 0.05, watts=lambda t: 100.0)
    assert error(apart, cell) == pytest.approx(error(fly(new(), twin, 0.03, watts=lambda t: 100.0), twin), abs=0.004)


def test_gauge_and_bms_that_are_wrong_by_the_same_do_not_last() -> None:
    cell = Cell(gain=1.01, factor=0.95)
    estimate = fly(new(), cell, 12.0, lambda t, soc: soc + 0.03, lambda t, soc: soc + 0.03)
    assert error(estimate, cell) <= 0.02


def test_a_frozen_gauge_is_named_and_not_followed() -> None:
    cell, estimator = Cell(), new()
    estimate = fly(estimator, cell, 6.0, lambda t, soc: 0.8)
    assert told(estimate)["gauge"] is SourceVerdict.FROZEN
    assert estimate.trust is Trust.DEGRADED
    assert error(estimate, cell) <= 0.01


def test_a_frozen_gauge_that_follows_again_is_heard_again() -> None:
    cell, estimator = Cell(), new()
    fly(estimator, cell, 2.0, lambda t, soc: 0.8)
    estimate = fly(estimator, cell, 2.0, honest)
    assert told(estimate)["gauge"] is SourceVerdict.OK
    assert estimate.trust is Trust.TRUSTED


def test_a_gauge_that_jumps_is_named() -> None:
    cell = Cell()
    estimate = fly(new(), cell, 0.6, lambda t, soc: soc if t < 1800.0 else soc - 0.3)
    assert told(estimate)["gauge"] is SourceVerdict.JUMPED
    assert Code.POWER_TELEM_CONFLICTING in estimate.codes
    assert error(estimate, cell) <= 0.015


def test_a_gauge_that_falls_silent_is_stale_and_one_that_never_was_is_no_loss() -> None:
    cell = Cell()
    estimate = fly(new(), cell, 1.0, lambda t, soc: soc if t < 600.0 else None)
    assert told(estimate)["gauge"] is SourceVerdict.STALE
    assert estimate.trust is Trust.DEGRADED
    assert Code.POWER_TELEM_STALE in estimate.codes
    assert error(estimate, cell) <= 0.015
    absent = fly(new(), Cell(), 0.1)
    assert told(absent)["gauge"] is SourceVerdict.MISSING
    assert absent.trust is Trust.TRUSTED


@pytest.mark.parametrize(
    ("soc", "age", "verdict"),
    [
        (1.01, 0.0, SourceVerdict.OUT_OF_RANGE), (-0.01, 0.0, SourceVerdict.OUT_OF_RANGE),
        (math.nan, 0.0, SourceVerdict.NOT_FINITE), (math.inf, 0.0, SourceVerdict.NOT_FINITE),
        (0.8, 60.0, SourceVerdict.STALE), (0.8, math.nan, SourceVerdict.STALE),
    ],
)
def test_an_impossible_gauge_alone_gives_no_charge(soc: float, age: float, verdict: SourceVerdict) -> None:
    estimator = new()
    for _ in range(100):
        estimate = estimator.update(0.05, None, None, GaugeReading(soc, age))
    assert estimate.soc is None
    assert estimate.energy_j is None
    assert estimate.trust is Trust.MISSING
    assert Code.POWER_TELEM_MISSING in estimate.codes
    assert told(estimate)["gauge"] is verdict


@pytest.mark.parametrize("volts", [None, math.nan, math.inf, 0.0, 12.0, 29.0, 60.0, -25.0])
def test_an_impossible_voltage_is_no_data_and_never_empty_or_full(volts: float | None) -> None:
    estimator = new()
    for _ in range(200):
        estimate = estimator.update(0.05, 0.0, volts)
    assert estimate.soc is None
    assert estimate.trust is Trust.BLIND
    assert Code.POWER_TELEM_MISSING in estimate.codes


def test_a_voltage_that_jumps_against_count_and_gauge_is_rejected() -> None:
    cell, estimator = Cell(), new()
    fly(estimator, cell, 2.0, honest)
    cell.offset_v = -1.5
    estimate = fly(estimator, cell, 1.0, honest)
    assert told(estimate)["voltage"] is SourceVerdict.CONFLICTING
    assert estimate.trust is Trust.CONFLICTING
    assert error(estimate, cell) <= 0.02


@pytest.mark.parametrize("offset_v", [-1.5, 1.5])
def test_voltage_against_count_with_no_third_source_means_the_lower_one(offset_v: float) -> None:
    cell, estimator = Cell(soc=0.7), new()
    fly(estimator, cell, 1.0)
    cell.offset_v = offset_v
    estimate = fly(estimator, cell, 0.2, watts=lambda t: 60.0)
    assert estimate.trust is Trust.CONFLICTING
    assert estimate.soc == pytest.approx(cell.soc + min(0.0, offset_v / 6.0), abs=0.02)


@pytest.mark.parametrize("way", [-1.0, 1.0])
def test_two_gauges_against_count_and_voltage_mean_the_lower_charge(way: float) -> None:
    def drifts(t: float, soc: float) -> float:
        return soc + way * min(0.15, t / 8000.0)

    cell, estimator = Cell(soc=0.7), new()
    fly(estimator, cell, 1.0, honest, honest)
    estimate = fly(estimator, cell, 0.5, drifts, drifts)
    assert estimate.trust is Trust.CONFLICTING
    assert {told(estimate)["gauge"], told(estimate)["bms"]} == {SourceVerdict.CONFLICTING}
    assert estimate.soc == pytest.approx(cell.soc + min(0.0, way * 0.15), abs=0.02)


def test_a_dead_current_sensor_is_overruled_by_voltage_and_gauge() -> None:
    cell, estimator = Cell(), new()
    fly(estimator, cell, 1.0, honest)
    cell.gain = 0.0
    estimate = fly(estimator, cell, 2.0, honest, watts=lambda t: 90.0)
    assert told(estimate)["current"] is SourceVerdict.CONFLICTING
    assert estimate.trust is Trust.CONFLICTING
    assert estimator.counters.overruled > 0
    assert estimate.fade is None
    assert error(estimate, cell) <= 0.06


def test_a_disagreement_of_seconds_is_no_verdict() -> None:
    cell, estimator = Cell(), new()
    fly(estimator, cell, 1.0)
    cell.offset_v = -1.5
    fly(estimator, cell, 10.0 / HOUR_S)
    cell.offset_v = 0.0
    estimate = fly(estimator, cell, 60.0 / HOUR_S)
    assert estimate.trust is Trust.TRUSTED
    assert error(estimate, cell) <= 0.015


def test_with_everything_lost_the_charge_is_carried_on_for_a_while_and_then_unknown() -> None:
    cell, estimator = Cell(), new()
    fly(estimator, cell, 1.0)
    sigmas, kept = [], 0.0
    for _ in range(round(2.0 * COAST_S)):
        cell.step(watts_at(0.0), 1.0)
        estimate = estimator.update(1.0, None, None)
        if estimate.soc is None:
            break
        kept += 1.0
        assert estimate.sigma is not None
        sigmas.append(estimate.sigma)
        if kept > 10.0:
            assert estimate.trust is Trust.STALE
            assert error(estimate, cell) <= 2.0 * estimate.sigma
    assert estimate.trust is Trust.MISSING
    assert Code.POWER_TELEM_MISSING in estimate.codes
    assert 0.5 * COAST_S < kept <= COAST_S + 10.0
    assert sigmas == sorted(sigmas)
    assert sigmas[-1] <= SIGMA_LIMIT + 0.01


def test_after_a_loss_the_first_source_starts_it_again() -> None:
    cell, estimator = Cell(soc=0.5), new()
    fly(estimator, cell, 0.5)
    for _ in range(2000):
        estimator.update(1.0, None, None)
    assert estimator.estimate.soc is None
    assert error(fly(estimator, cell, 0.1), cell) <= 0.03
    gauge_only = new()
    assert gauge_only.update(1.0, None, None, GaugeReading(0.42)).soc == pytest.approx(0.42)


def test_without_voltage_it_counts_on_and_says_so() -> None:
    cell, estimator = Cell(), new()
    fly(estimator, cell, 2.0)
    before = estimator.estimate.sigma
    for i in range(round(2.0 * HOUR_S / STEP_S)):
        cell.step(watts_at(i * STEP_S))
        estimate = estimator.update(STEP_S, cell.seen_a, None)
    assert error(estimate, cell) <= 0.02
    assert estimate.trust is Trust.DEGRADED
    assert told(estimate)["voltage"] is SourceVerdict.STALE
    assert before is not None
    assert estimate.sigma is not None
    assert estimate.sigma > before


def test_counting_alone_ends_when_it_no_longer_decides_anything() -> None:
    estimator = new()
    estimator.update(1.0, None, None, GaugeReading(0.6))
    for _ in range(round(200.0 * HOUR_S / STEP_S)):
        estimate = estimator.update(STEP_S, 0.0, None)
        if estimate.soc is None:
            break
    assert estimate.soc is None
    assert estimate.trust is Trust.BLIND


def test_without_current_it_follows_the_voltage_with_a_greater_sigma() -> None:
    cell, estimator = Cell(), new()
    fly(estimator, cell, 2.0)
    before = estimator.estimate.sigma
    for _ in range(round(2.0 * HOUR_S / STEP_S)):
        cell.step(70.0)
        estimate = estimator.update(STEP_S, None, cell.seen_v)
    assert estimate.trust is Trust.DEGRADED
    assert before is not None
    assert estimate.sigma is not None
    assert estimate.sigma > before
    assert error(estimate, cell) <= 2.0 * estimate.sigma


def test_the_voltage_of_an_overloaded_bus_is_not_taken_for_charge() -> None:
    cell, estimator = Cell(soc=0.5), new()
    fly(estimator, cell, 1.0)
    for _ in range(round(0.2 * HOUR_S / STEP_S)):
        cell.step(140.0)
        estimate = estimator.update(STEP_S, cell.amperes, cell.volts - 1.0)
    assert error(estimate, cell) <= 0.02
    assert estimate.trust is Trust.TRUSTED


@pytest.mark.parametrize("dt", [0.0, -1.0, math.nan, math.inf])
def test_a_step_of_no_time_changes_nothing_and_is_counted(dt: float) -> None:
    cell, estimator = Cell(), new()
    before = fly(estimator, cell, 0.1)
    assert estimator.update(dt, 5.0, 22.0) == before
    assert estimator.counters.bad_steps == 1


def test_the_charge_moves_between_corrections() -> None:
    estimator = new()
    socs = [estimator.update(0.05, 5.0, 25.0).soc for _ in range(60)]
    assert all(a is not None and b is not None and b != a for a, b in pairwise(socs))


numbers = st.one_of(
    st.none(), st.floats(), st.sampled_from([0.0, 1.0, 5.0, -5.0, 22.0, 25.0, 28.0, 140.0, 1e308, -1e308])
)
gauges = st.one_of(st.none(), st.builds(GaugeReading, numbers, st.floats(), st.booleans()))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-1.0, 100.0), numbers, numbers, gauges, gauges, numbers), max_size=60))
def test_whatever_it_is_fed_it_answers_a_charge_or_none(steps: list[tuple[object, ...]]) -> None:
    estimator = new()
    for step in steps:
        estimate = estimator.update(*step)  # type: ignore[arg-type]
        assert (estimate.soc is None) == (estimate.sigma is None)
        assert (estimate.soc is None) == (estimate.trust in (Trust.MISSING, Trust.BLIND))
        assert estimate.soc is None or 0.0 <= estimate.soc <= 1.0
        assert estimate.sigma is None or (math.isfinite(estimate.sigma) and estimate.sigma >= 0.0)
        assert math.isfinite(estimate.capacity_j)
        assert estimate.capacity_j > 0.0
