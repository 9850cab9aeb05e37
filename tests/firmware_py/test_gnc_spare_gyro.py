"""The gyro that stands by: its bias is learnt while both agree, and what they differ by is known at once."""

from __future__ import annotations

from math import radians

import numpy as np
import pytest

from firmware_py.gnc.spare_gyro import AGREE_RAD_S, LEARNT_S, WINDOW_NS, SpareGyro
from hal.frames import Vec3, add, norm, subtract

TICK_NS = 5_000_000
SAMPLE_TICKS = 10
"""The spare is read at 20 Hz, the flown unit at 200 Hz."""
ZERO: Vec3 = (0.0, 0.0, 0.0)
BIAS: Vec3 = (radians(0.8), radians(-1.5), radians(0.3))


class Pair:
    """Two units on one craft; ``late_ns`` by how much the spare's samples are older than they say."""

    def __init__(self, bias: Vec3 = BIAS) -> None:
        self.spare = SpareGyro()
        self.bias = bias
        self.tick = 0
        self.rng = np.random.default_rng(1)
        self.noise_rad_s = 0.0

    @property
    def now_ns(self) -> int:
        return self.tick * TICK_NS

    def noise(self) -> Vec3:
        x, y, z = (self.noise_rad_s * self.rng.standard_normal(3)).tolist()
        return (x, y, z)

    def fly(self, seconds: float, rate: Vec3 = ZERO, wrong: Vec3 = ZERO, off: Vec3 = ZERO) -> None:
        """``wrong`` is added to the flown unit, ``off`` to the spare."""
        for _ in range(round(seconds * 200)):
            self.tick += 1
            self.spare.on_flown(self.now_ns, add(rate, wrong))
            if self.tick % SAMPLE_TICKS == 0:
                sample = add(add(add(rate, self.bias), off), self.noise())
                self.spare.on_sample(self.now_ns, sample)


def test_nothing_is_known_before_the_units_have_agreed_for_a_while() -> None:
    pair = Pair()
    assert (pair.spare.bias, pair.spare.difference) == (None, None)
    # The first sample begins the time.
    pair.fly(LEARNT_S)
    assert (pair.spare.bias, pair.spare.difference) == (None, None)
    pair.fly(0.1)
    assert pair.spare.bias == pytest.approx(BIAS, abs=1e-9)
    pair.fly(0.1)
    assert pair.spare.difference == pytest.approx(0.0, abs=1e-9)


def test_the_bias_is_the_mean_of_noisy_samples_while_the_craft_turns_slowly() -> None:
    pair = Pair()
    pair.noise_rad_s = radians(0.2)
    pair.fly(20.0, rate=(radians(2.0), radians(-1.0), radians(3.0)))
    assert pair.spare.bias is not None
    assert norm(subtract(pair.spare.bias, BIAS)) < radians(0.06)


@pytest.mark.parametrize("whose", ["flown", "spare"])
def test_a_step_of_either_unit_is_the_difference_at_once_and_is_not_learnt(whose: str) -> None:
    pair = Pair()
    pair.fly(10.0)
    step = (0.0, 2.0 * AGREE_RAD_S, 0.0)
    kept = pair.spare.bias
    error = {"wrong": step} if whose == "flown" else {"off": step}
    # A flown rate of before the step is still within the window of the first sample after it.
    pair.fly(SAMPLE_TICKS * 0.005 * 2, **error)
    assert pair.spare.difference == pytest.approx(2.0 * AGREE_RAD_S)
    pair.fly(30.0, **error)
    assert pair.spare.difference == pytest.approx(2.0 * AGREE_RAD_S)
    assert pair.spare.bias == kept
    pair.fly(0.1)
    assert pair.spare.difference == pytest.approx(0.0, abs=1e-9)


def test_what_both_still_call_agreement_is_learnt_and_what_is_more_is_not() -> None:
    within, beyond = Pair(), Pair()
    for pair, share in ((within, 0.9), (beyond, 1.1)):
        pair.fly(10.0)
        pair.fly(60.0, off=(share * AGREE_RAD_S, 0.0, 0.0))
    assert within.spare.bias == pytest.approx(add(BIAS, (0.9 * AGREE_RAD_S, 0.0, 0.0)), abs=1e-6)
    assert beyond.spare.bias == pytest.approx(BIAS, abs=1e-9)
    assert beyond.spare.difference == pytest.approx(1.1 * AGREE_RAD_S)


def test_in_a_fast_turn_nothing_is_learnt_but_the_difference_is_told() -> None:
    pair = Pair()
    pair.fly(10.0)
    kept = pair.spare.bias
    # A scale error of 1 % at 20 deg/s is no bias.
    pair.fly(20.0, rate=(radians(20.0), 0.0, 0.0), off=(radians(0.2), 0.0, 0.0))
    assert pair.spare.bias == kept
    assert pair.spare.difference == pytest.approx(radians(0.2))
    slow = Pair()
    slow.fly(20.0, rate=(radians(20.0), 0.0, 0.0))
    assert slow.spare.bias is None


def test_a_pulse_between_the_moments_of_two_samples_is_no_difference() -> None:
    spare = SpareGyro()
    pair = Pair()
    pair.spare = spare
    pair.fly(10.0)
    rate = 0.0
    worst = 0.0
    for _ in range(2000):
        pair.tick += 1
        rate += radians(0.3) if pair.tick % 60 < 30 else radians(-0.3)
        spare.on_flown(pair.now_ns, (rate, 0.0, 0.0))
        if pair.tick % SAMPLE_TICKS == 0:
            # The spare's filter is 10 ms behind.
            before = rate - 2.0 * (radians(0.3) if pair.tick % 60 < 30 else radians(-0.3))
            spare.on_sample(pair.now_ns, add((before, 0.0, 0.0), BIAS))
            assert spare.difference is not None
            worst = max(worst, spare.difference)
    assert worst < AGREE_RAD_S


@pytest.mark.parametrize(("apart_ns", "known"), [(WINDOW_NS, True), (WINDOW_NS + 1, False)])
def test_samples_too_far_apart_in_time_say_nothing(apart_ns: int, known: bool) -> None:
    pair = Pair()
    pair.fly(10.0)
    pair.spare.on_sample(pair.now_ns + apart_ns, BIAS)
    assert (pair.spare.difference is not None) is known


def test_the_same_sample_again_or_an_older_one_changes_nothing() -> None:
    pair = Pair()
    pair.fly(10.0)
    bias = pair.spare.bias
    for at_ns in (pair.now_ns, pair.now_ns - TICK_NS):
        pair.spare.on_sample(at_ns, (1.0, 1.0, 1.0))
        assert pair.spare.difference == pytest.approx(0.0, abs=1e-9)
        assert pair.spare.bias == bias


def test_without_samples_the_difference_is_unknown_and_the_bias_stays() -> None:
    pair = Pair()
    pair.fly(10.0)
    bias = pair.spare.bias
    pair.spare.silent()
    assert pair.spare.difference is None
    assert pair.spare.bias == bias is not None
    pair.fly(0.1)
    assert pair.spare.difference == pytest.approx(0.0, abs=1e-9)


def test_a_long_gap_counts_for_half_a_second_only() -> None:
    pair = Pair()
    pair.fly(2.0)
    pair.tick += 200 * 60
    pair.fly(0.1)
    assert pair.spare.bias is None
    pair.fly(LEARNT_S)
    assert pair.spare.bias is not None


def test_after_a_change_of_units_all_is_learnt_anew() -> None:
    pair = Pair()
    pair.fly(10.0)
    pair.spare.forget()
    assert (pair.spare.bias, pair.spare.difference) == (None, None)
    pair.bias = (0.0, radians(2.0), 0.0)
    pair.fly(LEARNT_S)
    assert pair.spare.bias is None
    pair.fly(1.0)
    assert pair.spare.bias == pytest.approx(pair.bias, abs=1e-9)
