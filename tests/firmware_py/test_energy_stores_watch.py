"""Readings to estimates of both stores: samples are told from repeats, times have an end, refused charge is seen."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import msgspec
import pytest

from fdir.codes import Code
from firmware_py.energy.power_rule import Flows
from firmware_py.energy.stores_watch import ChargeWatch, StoresWatch, usable
from firmware_py.energy.trust import Trust
from hal.power import GaugeState, PowerState
from hal.profile.body import PowerConfig
from hal.profile.loader import load_body
from hal.reading import Quality, Reading, absent

POWER = load_body("qiki-t").power
MS, SECOND = 1_000_000, 1_000_000_000
IDLE = Flows(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, False, False)


def gauge(soc: float, amperes: float, volts: float = 26.8) -> GaugeState:
    return GaugeState(soc, volts, amperes, 20.0, None, ())


def replace_cut(soc: float) -> PowerConfig:
    return msgspec.structs.replace(POWER, battery=msgspec.structs.replace(POWER.battery, cut_soc=soc))


class Craft:
    """Readings of a craft of constant charges, as its chips give them: battery at 4 Hz, stack at 10 Hz, gauges at 1."""

    def __init__(self, power: PowerConfig = POWER) -> None:
        self.watch = StoresWatch(power)
        self.now_ns = 0
        self.stack_v: float | None = 8.335
        self.stack_a: float | None = 0.0
        self.battery_a, self.soc = 3.8, 0.8
        self.gauge: GaugeState | None = None
        self.bms: GaugeState | None = None
        self.gauge_quality = self.stack_quality = Quality.OK
        self.flows: Flows | None = IDLE

    def fly(self, seconds: float) -> None:
        for _ in range(round(seconds * 20.0)):
            self.now_ns += 50 * MS
            stack_ns, gauge_ns = self.now_ns // (100 * MS) * 100 * MS, self.now_ns // SECOND * SECOND
            ns = self.now_ns // (250 * MS) * 250 * MS
            state = PowerState(
                absent(), absent(), Reading(self.battery_a, ns, Quality.OK), absent(), absent(),
                Reading(self.stack_v, stack_ns, self.stack_quality), Reading(22.0 + 6.0 * self.soc, ns, Quality.OK),
                Reading(self.stack_a, stack_ns, self.stack_quality),
                gauge=Reading(self.gauge, gauge_ns, self.gauge_quality) if self.gauge else absent(),
                bms=Reading(self.bms, gauge_ns, Quality.OK) if self.bms else absent(),
            )
            self.watch.step(self.now_ns, 0.05, state, 20.0, 20.0)
            self.watch.follow_charge(self.now_ns, self.flows)

    @property
    def codes(self) -> set[Code]:
        return {*self.watch.battery_estimate.codes, *self.watch.supercap_estimate.codes}


def test_only_what_may_be_used_for_control_is_a_value() -> None:
    assert usable(Reading(1.0, 0, Quality.OK)) == 1.0
    assert usable(Reading(1.0, 0, Quality.SUSPECT)) is None
    assert usable(Reading(1.0, 0, Quality.STALE)) is None
    assert usable(absent()) is None


def test_before_any_reading_nothing_is_known_and_nothing_in_conflict() -> None:
    craft = Craft()
    assert craft.watch.conflict is None
    assert craft.watch.supercap_estimate.soc is None
    assert craft.watch.time_to_boost_s(IDLE) is None
    assert craft.watch.time_to_empty_s(replace(IDLE, battery_out_w=50.0)) is None


def test_a_nominal_craft_under_load_starts_within_half_a_percent_and_without_a_verdict() -> None:
    craft = Craft()
    craft.gauge, craft.bms = gauge(0.80, 3.8), gauge(0.7999, 3.8)
    craft.fly(10.0)
    estimate = craft.watch.battery_estimate
    assert estimate.soc == pytest.approx(0.8, abs=0.005)
    assert estimate.trust is Trust.TRUSTED
    assert craft.codes == set()
    assert craft.watch.conflict is False


def test_one_sample_of_an_unseen_pulse_after_a_long_rest_is_no_conflict() -> None:
    craft = Craft()
    craft.fly(20.0)
    craft.stack_v, craft.stack_a = 8.07, 1.04
    craft.fly(0.1)
    craft.stack_v, craft.stack_a = 8.335, 0.0
    craft.fly(1.0)
    assert craft.codes == set()
    assert craft.watch.conflict is False
    assert craft.watch.supercap_estimate.soc == pytest.approx(0.8335**2, abs=0.002)


def test_a_sample_that_is_only_read_again_is_no_second_one() -> None:
    craft = Craft()
    craft.fly(5.0)
    before = craft.watch.supercap.esr_ohm
    # A voltage of one load and a current of another: as long as no new sample comes it stays a single pair.
    frozen_ns = craft.now_ns
    for _ in range(6):
        craft.now_ns += 50 * MS
        pair = (Reading(7.0, frozen_ns + 1, Quality.OK), Reading(3.0, frozen_ns + 1, Quality.OK))
        state = PowerState(absent(), absent(), absent(), absent(), absent(), pair[0], supercap_current_a=pair[1])
        craft.watch.step(craft.now_ns, 0.05, state, 20.0, 20.0)
    assert craft.watch.supercap.esr_ohm == before
    assert craft.watch.supercap_estimate.trust is not Trust.CONFLICTING


def test_a_gauge_that_says_twelve_percent_is_a_conflict_within_seconds() -> None:
    craft = Craft()
    craft.gauge, craft.bms = gauge(0.80, 3.8), gauge(0.7999, 3.8)
    craft.fly(10.0)
    craft.gauge = gauge(0.12, 3.8)
    craft.fly(3.0)
    assert Code.POWER_TELEM_CONFLICTING in craft.watch.battery_estimate.codes
    assert craft.watch.battery_estimate.rejected() == ("gauge",)
    assert craft.watch.conflict is True
    assert craft.watch.battery_estimate.soc == pytest.approx(0.8, abs=0.005)


def test_a_gauge_that_hangs_is_named_seconds_after_the_load_has_changed() -> None:
    craft = Craft()
    craft.gauge, craft.bms = gauge(0.80, 3.8), gauge(0.7999, 3.8)
    craft.fly(10.0)
    craft.battery_a, craft.bms = 2.4, gauge(0.7998, 2.4)
    craft.fly(10.0)
    assert craft.watch.battery_estimate.rejected() == ("gauge",)
    assert Code.POWER_TELEM_STALE in craft.watch.battery_estimate.codes


def test_two_gauges_that_stand_still_accuse_the_current_sensor_and_are_heard() -> None:
    craft = Craft()
    craft.gauge, craft.bms = gauge(0.80, 3.8), gauge(0.7999, 3.8)
    craft.fly(10.0)
    craft.battery_a = 2.4
    craft.fly(20.0)
    assert craft.watch.battery_estimate.rejected() == ()


@pytest.mark.parametrize("quality", [Quality.BAD, Quality.ABSENT])
def test_a_gauge_that_is_refused_is_not_read(quality: Quality) -> None:
    craft = Craft()
    craft.gauge = gauge(0.2, 3.8)
    craft.gauge_quality = quality
    craft.fly(5.0)
    assert craft.codes == set()


def test_a_stack_that_no_longer_answers_is_given_up() -> None:
    craft = Craft()
    craft.fly(5.0)
    craft.stack_quality = Quality.STALE
    craft.fly(30.0)
    assert craft.watch.supercap_estimate.soc is None
    assert Code.POWER_TELEM_MISSING in craft.watch.supercap_estimate.codes


def test_a_voltage_that_jumps_at_rest_is_a_conflict() -> None:
    craft = Craft()
    craft.fly(5.0)
    craft.stack_v = 6.0
    craft.fly(3.0)
    assert Code.POWER_TELEM_CONFLICTING in craft.watch.supercap_estimate.codes
    assert craft.watch.conflict is True


@pytest.mark.parametrize("soc", [0.8, 0.06, 0.05, 0.03, 0.0])
def test_an_empty_battery_is_empty_now(soc: float) -> None:
    craft = Craft(replace_cut(0.05))
    craft.soc, craft.battery_a = soc, 0.0
    craft.fly(5.0)
    estimate = craft.watch.battery_estimate
    assert estimate.soc == pytest.approx(soc, abs=0.001)
    left = craft.watch.time_to_empty_s(replace(IDLE, battery_out_w=50.0))
    assert left == pytest.approx(max(0.0, soc - 0.05) * estimate.capacity_j / 50.0, abs=1e-6)


def test_a_battery_that_is_not_drawn_on_is_never_empty() -> None:
    craft = Craft()
    craft.fly(5.0)
    assert craft.watch.time_to_empty_s(IDLE) is None
    assert craft.watch.time_to_empty_s(replace(IDLE, battery_in_w=20.0)) is None


def test_the_time_to_a_boost_counts_down_with_the_charge_and_is_none_while_it_falls() -> None:
    craft = Craft()
    craft.stack_v = 6.0
    craft.fly(2.0)
    rising = craft.watch.time_to_boost_s(replace(IDLE, supercap_in_w=20.0))
    stack = craft.watch.supercap_estimate
    assert stack.soc is not None
    assert rising == pytest.approx((POWER.supercap.boost_soc - stack.soc) * stack.capacity_j / 20.0)
    assert craft.watch.time_to_boost_s(replace(IDLE, supercap_out_w=20.0)) is None
    full = Craft()
    full.stack_v = 9.5
    full.fly(2.0)
    assert full.watch.time_to_boost_s(IDLE) == 0.0


def test_a_stack_that_does_not_take_its_charge_is_told_after_five_seconds() -> None:
    craft = Craft()
    craft.flows = replace(IDLE, supercap_in_w=40.0)
    craft.fly(4.0)
    assert craft.watch.refuses_charge is None
    craft.fly(2.0)
    assert craft.watch.refuses_charge is True
    craft.flows = None
    craft.fly(0.1)
    assert craft.watch.refuses_charge is None


def test_a_stack_that_takes_the_current_and_keeps_nothing_is_told_too() -> None:
    craft = Craft()
    craft.stack_v, craft.stack_a = 6.7, -6.0
    craft.flows = replace(IDLE, supercap_in_w=40.0)
    told = []
    for _ in range(400):
        craft.fly(0.1)
        told.append(craft.watch.refuses_charge)
    assert told[60:] == [True] * 340
    assert craft.watch.supercap_estimate.soc == pytest.approx(0.43, abs=0.03)


def test_a_stack_that_takes_it_is_not_accused() -> None:
    watch = ChargeWatch(18_000.0)
    answers = [watch.step(i * 50 * MS, 40.0, 0.5 + 40.0 * i * 0.05 / 18_000.0) for i in range(200)]
    assert True not in answers
    assert answers[-1] is False


@pytest.mark.parametrize("value", [nan, inf, -inf, None])
def test_what_is_no_number_is_never_usable(value: float | None) -> None:
    assert usable(Reading(value, 0, Quality.OK)) is None
