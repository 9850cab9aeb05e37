"""Charge and readiness of the stack: resistance is reckoned with, ageing is seen, what it promises it gives."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fdir.codes import Code
from firmware_py.energy.estimates import StoreEstimate
from firmware_py.energy.supercap import COAST_S, SupercapEstimator
from firmware_py.energy.trust import SourceVerdict, Trust
from hal.profile.loader import load_body

CONFIG = load_body("qiki-t").power.supercap
FULL_V = CONFIG.full_v
NEW_F, NEW_OHM = 360.0, 0.025
TICK_S, LOOK_S, SAMPLE_S = 0.01, 0.05, 0.1
CONVERTER = 1.03


@dataclass
class Stack:
    """A capacitance behind a resistance, apart from the world's and from the estimator's, and what its chip says."""

    open_v: float = 9.5
    farad: float = NEW_F
    ohm: float = NEW_OHM
    chip_f: float | None = None
    chip_ohm: float | None = None
    amperes: float = 0.0
    noise_v: float = 0.003
    celsius: float | None = 25.0
    offset_v: float = 0.0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    @property
    def soc(self) -> float:
        return (self.open_v / FULL_V) ** 2

    @property
    def volts(self) -> float:
        return self.open_v - self.ohm * self.amperes

    def step(self, load_w: float, dt: float) -> bool:
        """Move by dt with this power to (or, negative, from) the loads; whether it could give it."""
        terminal = load_w * CONVERTER if load_w > 0.0 else load_w / CONVERTER
        root = self.open_v**2 - 4.0 * self.ohm * terminal
        if root < 0.0:
            return False
        self.amperes = (self.open_v - math.sqrt(root)) / (2.0 * self.ohm)
        self.open_v -= self.amperes * dt / self.farad
        return self.open_v > 0.0


def new() -> SupercapEstimator:
    return SupercapEstimator(CONFIG)


def fly(estimator: SupercapEstimator, stack: Stack, watts: float, seconds: float) -> StoreEstimate:
    """Constant power for a while: the chip samples at 10 Hz, the estimator looks at 20 Hz."""
    for i in range(round(seconds / TICK_S)):
        stack.step(watts, TICK_S)
        if i % round(SAMPLE_S / TICK_S) == 0:
            volts = stack.volts + stack.offset_v + stack.noise_v * float(stack.rng.standard_normal())
            amperes = 1.01 * stack.amperes + 0.01 * float(stack.rng.standard_normal())
        if i % round(LOOK_S / TICK_S) == 0:
            new = i % round(SAMPLE_S / TICK_S) == 0
            estimator.update(LOOK_S, volts, amperes, stack.chip_f, stack.chip_ohm, stack.celsius, new)
    return estimator.estimate


def pulses(estimator: SupercapEstimator, stack: Stack, count: int, watts: float = 150.0) -> StoreEstimate:
    for _ in range(count):
        fly(estimator, stack, watts, 2.0)
        fly(estimator, stack, 0.0, 2.0)
        fly(estimator, stack, -60.0, 4.0)
    return fly(estimator, stack, 0.0, 1.0)


def told(estimate: StoreEstimate) -> dict[str, SourceVerdict]:
    return dict(estimate.sources)


def test_under_a_peak_the_charge_is_that_of_the_open_voltage() -> None:
    estimator, stack = new(), Stack()
    pulses(estimator, stack, 2)
    estimate = fly(estimator, stack, 180.0, 1.5)
    assert estimate.soc == pytest.approx(stack.soc, abs=0.01)
    assert (stack.volts / FULL_V) ** 2 < stack.soc - 0.05
    assert estimate.trust is Trust.TRUSTED
    assert estimate.codes == ()


def test_energy_is_of_the_present_capacity() -> None:
    estimator, stack = new(), Stack(farad=0.75 * NEW_F)
    estimate = pulses(estimator, stack, 8)
    assert estimate.energy_j == pytest.approx(0.5 * stack.farad * stack.open_v**2, rel=0.05)
    assert estimate.fade == pytest.approx(0.75, abs=0.04)
    assert Code.CAP_FADED in estimate.codes


def test_a_new_stack_is_measured_and_not_called_faded() -> None:
    estimator, stack = new(), Stack()
    estimate = pulses(estimator, stack, 8)
    assert estimate.fade == pytest.approx(1.0, abs=0.04)
    assert estimator.esr_ohm == pytest.approx(NEW_OHM, rel=0.1)
    assert estimate.codes == ()


def test_before_anything_was_measured_there_is_no_fade() -> None:
    assert fly(new(), Stack(), 0.0, 5.0).fade is None


def test_three_times_the_resistance_is_seen_within_one_pulse() -> None:
    estimator, stack = new(), Stack()
    pulses(estimator, stack, 4)
    stack.ohm = 3.0 * NEW_OHM
    estimate = pulses(estimator, stack, 1, 100.0)
    assert estimator.esr_ohm == pytest.approx(stack.ohm, rel=0.1)
    assert Code.CAP_FADED in estimate.codes
    assert estimate.soc == pytest.approx(stack.soc, abs=0.01)


def test_a_third_less_capacitance_is_seen_within_a_few_pulses() -> None:
    estimator, stack = new(), Stack()
    pulses(estimator, stack, 6)
    stack.farad, stack.ohm = 0.7 * NEW_F, 3.0 * NEW_OHM
    estimate = pulses(estimator, stack, 6, 100.0)
    assert estimator.capacitance_f == pytest.approx(stack.farad, rel=0.07)
    assert estimate.fade == pytest.approx(0.7, abs=0.06)


def test_short_pulses_that_fall_in_step_with_the_samples_do_not_spoil_the_capacitance() -> None:
    estimator, stack = new(), Stack()
    for _ in range(150):
        fly(estimator, stack, 160.0, 0.05)
        fly(estimator, stack, 0.0, 0.15)
    fly(estimator, stack, 0.0, 1.0)
    assert estimator.capacitance_f == pytest.approx(NEW_F, rel=0.1)
    assert estimator.estimate.soc == pytest.approx(stack.soc, abs=0.01)
    assert estimator.estimate.trust is Trust.TRUSTED


def burn(
    estimator: SupercapEstimator, stack: Stack, seconds: float, pulse_ms: tuple[int, int] = (30, 200),
    watts: tuple[float, float] = (20.0, 160.0), told: bool = True, late_ms: int = 10,
) -> tuple[float, set[Code]]:
    """Pulses in windows of 250 ms, sampled as on the bus: the current ``late_ms`` after the voltage, at 10 Hz with some
    jitter. Greatest error of the charge, and every code."""
    rng, worst, codes = stack.rng, 0.0, set[Code]()
    volts = amperes = level = mean_w = 0.0
    opens, closes, sample_ms = 0, 0, 0
    for ms in range(0, round(seconds * 1000.0), 5):
        if ms % 250 == 0:
            length = int(rng.integers(pulse_ms[0], pulse_ms[1] + 1))
            opens = int(rng.integers(0, 250 - length))
            closes, level = opens + length, float(rng.uniform(*watts))
            mean_w = level * length / 250.0
        stack.step(level if opens <= ms % 250 < closes else 0.0, 0.005)
        if ms == sample_ms:
            volts = stack.volts + 0.001 * float(rng.standard_normal())
        if ms == sample_ms + late_ms:
            amperes = 1.005 * stack.amperes + 0.005 * float(rng.standard_normal())
            sample_ms += 5 * int(rng.integers(18, 23))
            estimator.update(0.0001, volts, amperes, pulses_w=mean_w if told else 0.0)
        elif ms % 50 == 0:
            estimate = estimator.update(LOOK_S, volts, amperes, new=False, pulses_w=mean_w if told else 0.0)
            codes.update(estimate.codes)
            if estimate.soc is not None:
                worst = max(worst, abs(estimate.soc - stack.soc))
    return worst, codes


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("late_ms", [5, 10, 20])
def test_pulses_between_the_samples_of_a_new_stack_are_no_verdict(seed: int, late_ms: int) -> None:
    estimator, stack = new(), Stack(rng=np.random.default_rng(seed))
    fly(estimator, stack, 0.0, 2.0)
    worst, codes = burn(estimator, stack, 30.0, late_ms=late_ms, told=seed % 2 == 0)
    assert codes == set()
    assert worst <= 0.02
    assert estimator.esr_ohm == pytest.approx(NEW_OHM, rel=0.2)


@pytest.mark.parametrize("pulse_ms", [(30, 30), (50, 50), (125, 125), (240, 245)])
def test_pulses_of_one_length_and_power_that_beat_with_the_samples_are_no_verdict(pulse_ms: tuple[int, int]) -> None:
    estimator, stack = new(), Stack()
    fly(estimator, stack, 0.0, 2.0)
    worst, codes = burn(estimator, stack, 20.0, pulse_ms, (140.0, 140.0))
    assert codes == set()
    assert worst <= 0.02


@pytest.mark.parametrize("seed", range(4))
def test_an_aged_stack_is_found_by_its_pulses_alone(seed: int) -> None:
    estimator, stack = new(), Stack(ohm=5.0 * NEW_OHM, farad=0.5 * NEW_F, rng=np.random.default_rng(seed))
    fly(estimator, stack, 0.0, 2.0)
    worst, codes = burn(estimator, stack, 15.0, watts=(20.0, 80.0))
    assert codes == {Code.CAP_FADED}
    assert estimator.esr_ohm == pytest.approx(stack.ohm, rel=0.2)
    assert worst <= 0.05


def test_one_sample_of_a_pulse_that_nobody_announced_is_no_verdict() -> None:
    estimator = new()
    for i in range(200):
        volts = 8.07 if i == 100 else 8.335
        estimate = estimator.update(0.1, volts, 1.04 if i == 100 else 0.0)
        assert estimate.codes == ()
    assert estimate.soc == pytest.approx(0.8335**2, abs=0.005)


def test_a_voltage_that_jumps_while_pulses_flow_is_told_once_they_are_over() -> None:
    estimator, stack = new(), Stack(open_v=8.0)
    fly(estimator, stack, 0.0, 2.0)
    burn(estimator, stack, 5.0)
    stack.offset_v = -2.0
    estimate = fly(estimator, stack, 0.0, 4.0)
    assert told(estimate)["voltage"] is SourceVerdict.JUMPED
    assert estimate.trust is Trust.CONFLICTING


def test_voltage_and_current_of_different_moments_do_no_harm() -> None:
    estimator, stack = new(), Stack()
    amperes = 0.0
    for i in range(600):
        stack.step(120.0 if i // 30 % 2 else 0.0, LOOK_S)
        volts = stack.volts + 0.003 * float(stack.rng.standard_normal())
        estimate = estimator.update(LOOK_S, volts, amperes + 0.01 * float(stack.rng.standard_normal()))
        amperes = stack.amperes
        assert estimate.trust is not Trust.CONFLICTING
    assert estimator.esr_ohm == pytest.approx(NEW_OHM, rel=0.15)


def test_cold_raises_the_resistance_without_calling_it_age() -> None:
    estimator, stack = new(), Stack()
    pulses(estimator, stack, 3)
    warm_w, warm_ohm = estimator.max_power_w(), estimator.esr_ohm
    estimate = fly(estimator, Stack(open_v=stack.open_v, celsius=-40.0), 0.0, 1.0)
    assert estimator.esr_ohm == pytest.approx(1.65 * warm_ohm, rel=0.05)
    assert estimator.max_power_w() <= warm_w
    assert Code.CAP_FADED not in estimate.codes


def test_the_chips_measurement_serves_until_there_is_one_of_our_own() -> None:
    estimator = new()
    estimate = fly(estimator, Stack(chip_f=300.0, chip_ohm=0.03), 0.0, 1.0)
    assert (estimator.capacitance_f, estimator.esr_ohm) == (300.0, 0.03)
    assert estimate.fade == pytest.approx(300.0 / 360.0)
    assert estimate.trust is Trust.TRUSTED


def test_a_chip_that_contradicts_us_is_a_verdict_and_the_worse_value_counts() -> None:
    estimator, stack = new(), Stack(chip_f=500.0, chip_ohm=0.1)
    estimate = pulses(estimator, stack, 8)
    assert estimate.trust is Trust.CONFLICTING
    assert Code.POWER_TELEM_CONFLICTING in estimate.codes
    assert told(estimate)["chip_esr"] is SourceVerdict.CONFLICTING
    assert told(estimate)["chip_capacitance"] is SourceVerdict.CONFLICTING
    assert estimator.esr_ohm == 0.1
    assert estimator.capacitance_f == pytest.approx(NEW_F, rel=0.05)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -1.0, 0.0, 1e9])
def test_an_impossible_chip_value_is_not_used_and_is_named(nonsense: float) -> None:
    estimator = new()
    estimate = fly(estimator, Stack(chip_f=nonsense, chip_ohm=nonsense), 0.0, 1.0)
    assert estimator.capacitance_f == pytest.approx(NEW_F)
    assert estimator.esr_ohm == pytest.approx(NEW_OHM)
    assert estimate.fade is None
    assert estimate.rejected() == ("chip_capacitance", "chip_esr")
    assert estimate.trust is Trust.DEGRADED


@pytest.mark.parametrize("volts", [None, math.nan, math.inf, -0.5, 11.5, 1e9])
def test_an_impossible_voltage_is_no_data_and_never_empty_or_full(volts: float | None) -> None:
    estimator = new()
    for _ in range(100):
        estimate = estimator.update(0.05, volts, 0.0)
    assert estimate.soc is None
    assert estimate.energy_j is None
    assert estimate.trust is Trust.BLIND
    assert Code.POWER_TELEM_MISSING in estimate.codes
    assert estimator.max_power_w() == 0.0
    assert estimator.deliverable_j(10.0, 0.0) == 0.0
    assert not estimator.can_give(0.0, 0.0, 0.0)


@pytest.mark.parametrize("jump", [-2.0, 1.0])
def test_a_voltage_that_jumps_without_a_current_is_named_and_the_lower_charge_counts(jump: float) -> None:
    estimator, stack = new(), Stack(open_v=8.0)
    fly(estimator, stack, 0.0, 5.0)
    stack.offset_v = jump
    estimate = fly(estimator, stack, 0.0, 5.0)
    assert told(estimate)["voltage"] is SourceVerdict.JUMPED
    assert estimate.trust is Trust.CONFLICTING
    assert estimate.soc == pytest.approx(((8.0 + min(jump, 0.0)) / 10.0) ** 2, abs=0.01)


def test_a_voltage_that_moves_with_the_charge_after_a_jump_is_believed_again() -> None:
    estimator, stack = new(), Stack(open_v=8.0)
    fly(estimator, stack, 0.0, 5.0)
    stack.open_v = 9.0
    estimate = fly(estimator, stack, -20.0, 40.0)
    assert estimator.counters.reseated == 1
    assert estimate.soc == pytest.approx(stack.soc, abs=0.01)
    assert estimate.trust is Trust.DEGRADED
    assert fly(estimator, stack, 0.0, 80.0).trust is Trust.TRUSTED


def test_a_glitch_of_one_sample_is_no_verdict() -> None:
    estimator, stack = new(), Stack(open_v=8.0)
    fly(estimator, stack, 0.0, 5.0)
    estimate = estimator.update(0.05, 5.0, 0.0)
    assert estimate.trust is Trust.TRUSTED
    assert estimate.soc == pytest.approx(0.64, abs=0.01)


def test_a_voltage_that_stands_still_while_charge_flows_is_named_and_the_charge_counted_on() -> None:
    estimator, stack = new(), Stack(open_v=9.5)
    pulses(estimator, stack, 4)
    stuck = stack.volts
    for _ in range(400):
        stack.step(60.0, LOOK_S)
        estimate = estimator.update(LOOK_S, stuck, stack.amperes + 1e-3 * float(stack.rng.standard_normal()))
        if told(estimate)["voltage"] is SourceVerdict.FROZEN:
            break
    assert told(estimate)["voltage"] is SourceVerdict.FROZEN
    assert estimate.soc is not None
    assert estimate.trust in (Trust.DEGRADED, Trust.CONFLICTING)
    assert Code.POWER_TELEM_STALE in estimate.codes


@pytest.mark.parametrize("noise_v", [0.0, 0.003])
def test_a_stack_that_takes_a_current_and_keeps_nothing_is_not_said_to_be_charged(noise_v: float) -> None:
    estimator, stack = new(), Stack(open_v=6.7, noise_v=noise_v)
    fly(estimator, stack, 0.0, 5.0)
    highest = 0.0
    for i in range(800):
        new_sample = i % 2 == 0
        if new_sample:
            volts = 6.7 + NEW_OHM * 8.0 + noise_v * float(stack.rng.standard_normal())
        estimate = estimator.update(LOOK_S, volts, -8.0, None, None, 25.0, new_sample)
        assert estimate.soc is not None
        highest = max(highest, estimate.soc)
    assert highest < stack.soc + 0.035
    assert estimate.soc == pytest.approx(stack.soc, abs=0.035)
    assert estimator.measured_soc == pytest.approx(stack.soc, abs=0.02)


def test_a_hanging_voltage_bounds_the_charge_from_above_until_it_is_of_one_mind_with_the_count_again() -> None:
    estimator, stack = new(), Stack(open_v=6.7)
    pulses(estimator, stack, 2)
    start, stuck = stack.soc, stack.volts
    for _ in range(300):
        stack.step(-60.0, LOOK_S)
        estimate = estimator.update(LOOK_S, stuck, stack.amperes)
    assert told(estimate)["voltage"] is SourceVerdict.FROZEN
    assert estimate.soc == pytest.approx(start, abs=0.03)
    assert stack.soc > start + 0.03
    for _ in range(100):
        stack.step(120.0, LOOK_S)
        estimate = estimator.update(LOOK_S, stuck, stack.amperes)
    for _ in range(100):
        stack.step(150.0, LOOK_S)
        estimate = estimator.update(LOOK_S, stuck, stack.amperes)
    assert estimate.soc == pytest.approx(stack.soc, abs=0.02), "below what hangs the count is told"
    estimate = fly(estimator, stack, 0.0, 5.0)
    assert estimate.soc == pytest.approx(stack.soc, abs=0.02)
    estimate = fly(estimator, stack, -60.0, 20.0)
    assert estimate.soc == pytest.approx(stack.soc, abs=0.02), "it moves again, and bounds nothing"


def test_the_charge_by_voltage_alone_needs_voltage_and_current() -> None:
    estimator, stack = new(), Stack(open_v=8.0)
    assert estimator.measured_soc is None
    fly(estimator, stack, 100.0, 5.0)
    assert estimator.measured_soc == pytest.approx(stack.soc, abs=0.02)
    estimator.update(1.0, 8.0, None)
    assert estimator.measured_soc is None
    estimator.update(1.0, None, 0.0)
    assert estimator.measured_soc is None


def test_without_a_voltage_the_charge_is_counted_for_a_while_and_then_unknown() -> None:
    estimator, stack = new(), Stack()
    pulses(estimator, stack, 6)
    for i in range(round(2.0 * COAST_S / LOOK_S)):
        stack.step(30.0 if i < 200 else 0.0, LOOK_S)
        estimate = estimator.update(LOOK_S, None, stack.amperes)
        if i == 200:
            assert estimate.soc == pytest.approx(stack.soc, abs=0.02)
            assert estimate.trust is Trust.DEGRADED
        if estimate.soc is None:
            break
    assert estimate.soc is None
    assert i * LOOK_S <= COAST_S + 1.0


def test_without_voltage_and_current_it_is_unknown_before_a_peak_could_have_emptied_it() -> None:
    estimator, stack = new(), Stack()
    fly(estimator, stack, 0.0, 5.0)
    kept, last = 0, 0.0
    while estimator.update(LOOK_S, None, None).soc is not None:
        kept += 1
        sigma = estimator.estimate.sigma
        assert sigma is not None
        assert sigma >= last - 1e-6
        last = sigma
        if kept * LOOK_S > 0.5:
            assert estimator.estimate.trust is Trust.STALE
    assert 1.0 < kept * LOOK_S < 10.0
    assert estimator.estimate.trust is Trust.MISSING


def test_without_a_current_the_voltage_serves_with_a_greater_sigma() -> None:
    estimator, stack = new(), Stack(open_v=8.0)
    before = fly(estimator, stack, 0.0, 5.0).sigma
    for _ in range(100):
        estimate = estimator.update(LOOK_S, 8.0 + 0.003 * float(stack.rng.standard_normal()), None)
    assert estimate.trust is Trust.DEGRADED
    assert estimate.soc == pytest.approx(0.64, abs=0.02)
    assert before is not None
    assert estimate.sigma is not None
    assert estimate.sigma > before


@pytest.mark.parametrize("dt", [0.0, -1.0, math.nan, math.inf])
def test_a_step_of_no_time_changes_nothing_and_is_counted(dt: float) -> None:
    estimator = new()
    before = fly(estimator, Stack(), 0.0, 1.0)
    assert estimator.update(dt, 1.0, 50.0) == before
    assert estimator.counters.bad_steps == 1


@pytest.mark.parametrize("ohm", [0.025, 0.075])
@pytest.mark.parametrize("watts", [40.0, 120.0, 200.0])
@pytest.mark.parametrize("floor", [0.3, 0.0])
def test_what_it_promises_the_stack_gives(ohm: float, watts: float, floor: float) -> None:
    estimator, stack = new(), Stack(ohm=ohm)
    pulses(estimator, stack, 8, 80.0)
    promised = estimator.deliverable_j(watts, floor)
    twin, given_j = Stack(open_v=stack.open_v, ohm=ohm), 0.0
    while twin.soc > floor and twin.step(watts, 0.005):
        given_j += watts * 0.005
    assert promised <= given_j
    if floor > 0.0:
        assert promised >= 0.85 * given_j


def test_a_promise_holds_up_to_its_very_end_and_no_further() -> None:
    estimator = new()
    fly(estimator, Stack(), 0.0, 2.0)
    joules = estimator.deliverable_j(100.0, 0.3)
    assert estimator.can_give(100.0, joules / 100.0, 0.3)
    assert not estimator.can_give(100.0, 1.001 * joules / 100.0, 0.3)


def test_what_is_not_possible_is_not_promised() -> None:
    estimator = new()
    fly(estimator, Stack(open_v=7.0), 0.0, 2.0)
    assert not estimator.can_give(CONFIG.discharge_max_w + 1.0, 0.01, 0.0)
    assert not estimator.can_give(50.0, 1.0, 0.6)
    assert estimator.can_give(50.0, 1.0, 0.3)
    assert estimator.can_give(0.0, 10.0, 0.3)
    for bad in (math.nan, math.inf, -1.0):
        assert not estimator.can_give(bad, 1.0, 0.3)
        assert not estimator.can_give(10.0, bad, 0.3)
        assert not estimator.can_give(10.0, 1.0, bad)
        assert estimator.deliverable_j(bad, 0.3) == 0.0
    assert estimator.deliverable_j(0.0, 0.3) == 0.0


def test_power_now_is_bound_by_limit_when_full_and_by_resistance_when_low() -> None:
    estimator = new()
    fly(estimator, Stack(), 0.0, 2.0)
    assert estimator.max_power_w() == CONFIG.discharge_max_w
    worn = new()
    fly(worn, Stack(open_v=3.0, chip_ohm=0.075), 0.0, 2.0)
    assert worn.max_power_w() < 3.0**2 / (4.0 * 0.075) / 1.03


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.floats(1.0, 200.0), st.floats(1.0, 200.0), st.floats(0.0, 0.9), st.floats(0.0, 0.9), st.floats(3.0, 10.0))
def test_more_power_or_a_higher_floor_never_gives_longer(
    power: float, other: float, floor: float, higher: float, volts: float
) -> None:
    estimator = new()
    estimator.update(0.05, volts, 0.0)
    low, high = sorted((power, other))
    assert estimator.deliverable_j(high, floor) <= estimator.deliverable_j(low, floor) + 1e-6
    assert estimator.deliverable_j(low, max(floor, higher)) <= estimator.deliverable_j(low, min(floor, higher)) + 1e-6


numbers = st.one_of(st.none(), st.floats(), st.sampled_from([0.0, 0.025, 5.0, -5.0, 9.0, 10.0, 360.0, 1e308]))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.floats(-1.0, 10.0), numbers, numbers, numbers, numbers, numbers), max_size=60))
def test_whatever_it_is_fed_it_answers_a_charge_or_none(steps: list[tuple[object, ...]]) -> None:
    estimator = new()
    for step in steps:
        estimate = estimator.update(*step)  # type: ignore[arg-type]
        assert (estimate.soc is None) == (estimate.sigma is None)
        assert estimate.soc is None or 0.0 <= estimate.soc <= 1.0
        assert estimate.sigma is None or (math.isfinite(estimate.sigma) and estimate.sigma >= 0.0)
        assert (estimate.soc is None) == (estimate.trust in (Trust.MISSING, Trust.BLIND))
        assert 0.0 < estimate.capacity_j < 1e6
        assert 0.0 <= estimator.max_power_w() <= CONFIG.discharge_max_w
        assert math.isfinite(estimator.deliverable_j(50.0, 0.3))
