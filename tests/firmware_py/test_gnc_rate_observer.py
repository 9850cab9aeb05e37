"""Rate observer: quieter than the gyro at rest, as quick as the pulses, honest when they lie."""

from __future__ import annotations

from math import degrees, inf, nan, radians

import numpy as np
import pytest

from firmware_py.gnc.consistency import Refusal
from firmware_py.gnc.pulse_book import TickImpulse
from firmware_py.gnc.rate_observer import RateObserver
from hal.profile.loader import load_body

DT = 0.005
ZERO = (0.0, 0.0, 0.0)


def gyro(rng: np.random.Generator, rate: tuple[float, float, float]) -> tuple[float, float, float]:
    """Noise of 0.1 deg/s a sample and steps of 0.1 deg/s."""
    return tuple(radians(round((degrees(w) + 0.1 * rng.standard_normal()) / 0.1) * 0.1) for w in rate)  # type: ignore[return-value]


def yaw_pulse(body_yaw_torque: float) -> TickImpulse:
    return TickImpulse(0.0, 0.0, 0.0, 0.0, 0.0, body_yaw_torque * DT, 520.0 * DT)


def test_it_is_ten_times_quieter_than_the_gyro() -> None:
    rng = np.random.default_rng(1)
    observer = RateObserver(load_body("qiki-t"))
    seen = []
    for tick in range(4000):
        observer.update(DT, gyro(rng, (0.001, -0.002, 0.003)), ZERO, 0.0, None)
        if tick > 1000:
            seen.append(observer.rate)
    error = np.degrees(np.array(seen) - (0.001, -0.002, 0.003))
    assert error.std() < 0.011
    assert abs(error.mean()) < 0.005
    assert degrees(np.sqrt(observer.variance)) < 0.02


def test_an_expected_pulse_moves_it_at_once() -> None:
    rng = np.random.default_rng(2)
    body = load_body("qiki-t")
    observer = RateObserver(body)
    rate = 0.0
    for _ in range(400):
        observer.update(DT, gyro(rng, (0.0, 0.0, rate)), ZERO, 0.0, None)
    for _ in range(8):
        start = rate
        rate += 600.0 * DT / 305.0
        observer.update(DT, gyro(rng, (0.0, 0.0, 0.5 * (start + rate))), ZERO, 0.0, yaw_pulse(600.0))
    assert degrees(abs(observer.rate[2] - rate)) < 0.1


def test_a_torque_that_nobody_commanded_is_followed_within_a_quarter_second() -> None:
    rng = np.random.default_rng(3)
    observer = RateObserver(load_body("qiki-t"))
    rate = 0.0
    for _ in range(600):
        observer.update(DT, gyro(rng, (0.0, 0.0, 0.0)), ZERO, 0.0, None)
    for _ in range(50):
        rate += 312.0 * DT / 305.0
        observer.update(DT, gyro(rng, (0.0, 0.0, rate)), ZERO, 0.0, None)
    for _ in range(50):
        observer.update(DT, gyro(rng, (0.0, 0.0, rate)), ZERO, 0.0, None)
    assert observer.opened > 0
    assert degrees(abs(observer.rate[2] - rate)) < 0.3


def test_bias_is_taken_off() -> None:
    observer = RateObserver(load_body("qiki-t"))
    for _ in range(100):
        observer.update(DT, (0.01, 0.0, 0.0), (0.01, 0.0, 0.0), 0.0, None)
    assert observer.rate == pytest.approx(ZERO, abs=1e-9)


def test_a_table_takes_up_roll_and_pitch() -> None:
    observer = RateObserver(load_body("bench-12kg"))
    observer.update(DT, ZERO, ZERO, 0.0, None)
    observer.predict(DT, TickImpulse(0.0, 0.0, 0.0, 0.01, 0.01, 0.001, 0.01))
    assert observer.rate[:2] == (0.0, 0.0)
    assert observer.rate[2] > 0.0


@pytest.mark.parametrize(
    ("dt", "sample", "reason"),
    [
        (0.0, ZERO, Refusal.TIME_STEP), (-DT, ZERO, Refusal.TIME_STEP), (nan, ZERO, Refusal.TIME_STEP),
        (DT, (nan, 0.0, 0.0), Refusal.NOT_FINITE), (DT, (0.0, -inf, 0.0), Refusal.NOT_FINITE),
        (DT, (0.0, 0.0, 1e6), Refusal.OUT_OF_RANGE), (DT, (0.0, 0.0), Refusal.LENGTH),
    ],
)
def test_what_is_no_sample_is_named_and_the_model_goes_on(
    dt: float, sample: tuple[float, float, float], reason: Refusal
) -> None:
    observer = RateObserver(load_body("qiki-t"))
    observer.update(DT, (0.0, 0.0, 0.02), ZERO, 0.0, None)
    observer.update(dt, sample, ZERO, 0.0, None)
    assert observer.refusals[reason] == 1
    assert sum(observer.refusals.values()) == 1
    assert observer.rate == pytest.approx((0.0, 0.0, 0.02), abs=1e-6)


def test_no_rate_and_no_step_make_the_model_run_away() -> None:
    observer = RateObserver(load_body("qiki-g"))
    observer.update(DT, (90.0, -80.0, 70.0), ZERO, 0.0, None)
    for _ in range(200):
        observer.coast(0.9, None, 100.0)
    assert np.isfinite(observer.rate).all()
    assert max(abs(w) for w in observer.rate) < 100.0
    assert np.sqrt(observer.variance) < 150.0


def test_coasting_admits_its_walk() -> None:
    observer = RateObserver(load_body("qiki-t"))
    observer.update(DT, ZERO, ZERO, 0.0, None)
    before = observer.variance
    for _ in range(200):
        observer.coast(DT, None, 0.1)
    assert observer.variance == pytest.approx(before + 0.01, rel=0.01)
    observer.coast(0.0, None, 0.1)
    assert observer.refusals[Refusal.TIME_STEP] == 1
