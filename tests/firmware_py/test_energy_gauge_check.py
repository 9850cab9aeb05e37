"""A gauge by itself: it must answer, be a charge, and move with the charge that flows."""

from __future__ import annotations

import math

import pytest

from firmware_py.energy.estimates import GaugeReading
from firmware_py.energy.gauge_check import STALE_S, GaugeCheck
from firmware_py.energy.trust import SourceVerdict


def discharge(check: GaugeCheck, start: float, stop: float, factor: float, first: float | None = None) -> None:
    """Count from start down to stop by 0.2 % a step; the gauge moves by ``factor`` times that, in steps of 1 %."""
    first = start if first is None else first
    for i in range(round((start - stop) / 0.002) + 1):
        moved = start - 0.002 * i
        check.update(GaugeReading(round(first + factor * (moved - start), 2)), moved - 1.0)


def test_a_gauge_that_follows_is_ok() -> None:
    check = GaugeCheck()
    discharge(check, 0.9, 0.2, 1.0)
    assert check.verdict is SourceVerdict.OK
    assert check.soc == pytest.approx(0.2, abs=0.005)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_a_gauge_on_a_battery_of_another_capacity_still_follows(factor: float) -> None:
    check = GaugeCheck()
    discharge(check, 0.9, 0.5, factor)
    assert check.verdict is SourceVerdict.OK


def test_one_that_stands_still_over_a_swing_is_frozen() -> None:
    check = GaugeCheck()
    discharge(check, 0.9, 0.84, 0.0)
    assert check.verdict is SourceVerdict.FROZEN
    assert check.soc is None


def test_one_that_stands_still_while_nothing_flows_is_not() -> None:
    check = GaugeCheck()
    for _ in range(10_000):
        check.update(GaugeReading(0.5), 0.0)
    assert check.verdict is SourceVerdict.OK


def test_a_jump_without_a_current_is_named_and_time_alone_does_not_heal_it() -> None:
    check = GaugeCheck()
    discharge(check, 0.9, 0.8, 1.0)
    for _ in range(1000):
        check.update(GaugeReading(0.5), -0.2)
    assert check.verdict is SourceVerdict.JUMPED


def test_following_a_swing_heals_it() -> None:
    check = GaugeCheck()
    discharge(check, 0.9, 0.8, 1.0)
    discharge(check, 0.8, 0.7, 1.0, first=0.5)
    assert check.verdict is SourceVerdict.OK


def test_no_answer_is_missing_before_it_ever_answered_and_stale_after() -> None:
    check = GaugeCheck()
    check.update(None, 0.0)
    assert check.verdict is SourceVerdict.MISSING
    check.update(GaugeReading(0.5), 0.0)
    check.update(GaugeReading(None), 0.0)
    assert check.verdict is SourceVerdict.STALE
    assert check.seen


@pytest.mark.parametrize("age", [STALE_S + 0.01, math.nan, math.inf, -10.0])
def test_an_old_answer_is_stale_and_the_edge_is_not(age: float) -> None:
    check = GaugeCheck()
    assert check.update(GaugeReading(0.5, STALE_S), 0.0)
    assert not check.update(GaugeReading(0.5, age), 0.0)
    assert (check.verdict, check.soc) == (SourceVerdict.STALE, None)


@pytest.mark.parametrize("soc", [-0.001, 1.001, math.nan, math.inf])
def test_what_is_no_charge_is_not_used_and_the_next_good_one_is(soc: float) -> None:
    check = GaugeCheck()
    check.update(GaugeReading(0.5), 0.0)
    check.update(GaugeReading(soc), 0.0)
    assert check.soc is None
    assert check.update(GaugeReading(0.5), 0.0)
    assert check.soc == 0.5


def test_an_answer_that_is_not_new_is_held_but_says_nothing() -> None:
    check = GaugeCheck()
    check.update(GaugeReading(0.5), 0.0)
    assert not check.update(GaugeReading(0.5, 1.0, new=False), -0.2)
    assert check.soc == 0.5


def told(check: GaugeCheck, soc: float, volts: float, amperes: float, measured_a: float | None, times: int) -> None:
    for _ in range(times):
        check.update(GaugeReading(soc, 0.2, True, (volts, amperes)), 0.0, measured_a)


def test_one_that_stands_still_under_another_current_hangs() -> None:
    check = GaugeCheck()
    check.hangs = True
    told(check, 0.8, 26.8, 3.8, 3.8, 5)
    assert not check.still
    told(check, 0.8, 26.8, 3.8, 2.4, 4)
    assert check.verdict is SourceVerdict.OK
    told(check, 0.8, 26.8, 3.8, 2.4, 1)
    told(check, 0.8, 26.8, 3.8, 2.4, 1)
    assert check.verdict is SourceVerdict.FROZEN
    assert check.soc is None
    told(check, 0.8, 26.8, 2.4, 2.4, 1)
    assert check.verdict is SourceVerdict.OK


def test_the_same_reading_seen_again_is_no_further_sign() -> None:
    check = GaugeCheck()
    check.hangs = True
    told(check, 0.8, 26.8, 3.8, 3.8, 1)
    for _ in range(100):
        check.update(GaugeReading(0.8, 0.2, False, (26.8, 3.8)), 0.0, 1.0)
    assert not check.still


@pytest.mark.parametrize(("amperes", "measured"), [(3.9, 2.4), (3.8, 3.5), (3.8, None)])
def test_it_does_not_hang_while_it_moves_or_the_current_does_not(amperes: float, measured: float | None) -> None:
    check = GaugeCheck()
    told(check, 0.8, 26.8, 3.8, 3.8, 1)
    for i in range(20):
        told(check, 0.8, 26.8, amperes + 0.1 * (i % 2) * (amperes > 3.8), measured, 1)
    assert not check.still
