"""Attitude filter: consistent with its own covariance, fair to late fixes, deaf to outliers, able to come back."""

from __future__ import annotations

from math import degrees, pi, radians

import numpy as np
import pytest

from firmware_py.gnc.mekf import Mekf, triad
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    multiply,
    normalise,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    rotation_angle,
    scale,
)

TICK_NS, TICK_S = 5_000_000, 0.005
SIGMA = radians(0.02)


class Turn:
    """True motion at a rate that varies, a gyro with bias and noise, and fixes that arrive late."""

    def __init__(self, seed: int, latency_ticks: int = 20, amplitude: float = 0.02) -> None:
        self.rng = np.random.default_rng(seed)
        self.filter = Mekf()
        self.q: Quaternion = normalise(tuple(self.rng.standard_normal(4)))  # type: ignore[arg-type]
        self.bias: Vec3 = tuple((radians(0.25) * self.rng.standard_normal(3)).tolist())  # type: ignore[assignment]
        self.latency = latency_ticks
        self.amplitude = amplitude
        self.past: list[Quaternion] = []
        self.tick = 0

    def step(self, fixes: bool = True) -> None:
        t = self.tick * TICK_S
        a = self.amplitude
        rate = (a * np.sin(0.3 * t), a * np.cos(0.2 * t), a * np.sin(0.5 * t + 1.0))
        self.q = normalise(multiply(self.q, quaternion_from_rotation_vector(scale(rate, TICK_S))))
        noise = self.filter.noise.random_walk_rad_rts / np.sqrt(TICK_S) * self.rng.standard_normal(3)
        walk = self.filter.noise.bias_walk_rad_s_rts * np.sqrt(TICK_S) * self.rng.standard_normal(3)
        self.bias = tuple(b + w for b, w in zip(self.bias, walk.tolist(), strict=True))  # type: ignore[assignment]
        gyro = tuple(rate[i] + self.bias[i] + float(noise[i]) for i in range(3))
        self.tick += 1
        self.filter.propagate(self.tick * TICK_NS, TICK_S, gyro)  # type: ignore[arg-type]
        self.past.append(self.q)
        if self.tick % 10 == 0:
            self.filter.predict_covariance()
        if fixes and self.tick % 100 == 0:
            self.fix()

    def fix(self, error: Vec3 = (0.0, 0.0, 0.0)) -> bool:
        exposed = self.past[-1 - self.latency]
        noise = tuple((SIGMA * self.rng.standard_normal(3)).tolist())
        off = tuple(n + e for n, e in zip(noise, error, strict=True))
        seen = multiply(exposed, quaternion_from_rotation_vector(off))
        return self.filter.update_attitude(seen, SIGMA, self.latency * TICK_NS)

    def error_deg(self) -> float:
        return degrees(rotation_angle(self.filter.quaternion, self.q))


def test_attitude_is_unknown_until_the_first_fix_sets_it() -> None:
    turn = Turn(1)
    for _ in range(99):
        turn.step()
    assert not turn.filter.known
    assert turn.filter.sigma_attitude_rad == pi
    turn.step()
    assert turn.filter.known
    assert turn.error_deg() < 0.2
    assert turn.filter.sigma_attitude_rad < radians(0.1)


def test_bias_and_attitude_converge_within_half_a_minute() -> None:
    turn = Turn(2)
    for _ in range(30 * 200):
        turn.step()
    assert turn.error_deg() < 0.05
    assert max(abs(degrees(turn.filter.bias[i] - turn.bias[i])) for i in range(3)) < 0.01


def test_errors_match_the_covariance_over_many_flights() -> None:
    # Mean of 20 x 5 chi-square values of 6 degrees of freedom: 6 +- 0.35; neighbours in time are correlated.
    values, nis = [], []
    for seed in range(20):
        turn = Turn(seed + 10)
        for second in range(10):
            for _ in range(200):
                turn.step()
            if second >= 5:
                values.append(turn.filter.nees(turn.q, turn.bias))
        counters = turn.filter.attitude_updates
        nis.append(counters.nis_sum / (counters.accepted - 1))
        assert counters.refused == 0
    assert 4.0 < np.mean(values) < 8.0
    assert 2.5 < np.mean(nis) < 3.5


def test_a_late_fix_is_compared_with_its_own_time() -> None:
    # At 5 deg/s, 300 ms are 1.5 degrees.
    turn = Turn(3, latency_ticks=60, amplitude=radians(5.0))
    for _ in range(20 * 200):
        turn.step()
    assert turn.error_deg() < 0.06
    assert turn.filter.attitude_updates.refused == 0


def test_a_fix_older_than_the_memory_is_counted_and_left() -> None:
    turn = Turn(4)
    for _ in range(800):
        turn.step()
    assert not turn.filter.update_attitude(turn.q, SIGMA, 4_000_000_000)
    assert turn.filter.attitude_updates.too_old == 1


def test_an_outlier_is_refused() -> None:
    turn = Turn(5)
    for _ in range(10 * 200):
        turn.step()
    assert not turn.fix(error=(radians(1.0), 0.0, 0.0))
    assert turn.filter.attitude_updates.refused == 1
    assert turn.error_deg() < 0.06


def test_outliers_that_disagree_never_set_the_attitude() -> None:
    turn = Turn(6)
    for _ in range(10 * 200):
        turn.step()
    for k in range(12):
        axis = [0.0, 0.0, 0.0]
        axis[k % 3] = radians(5.0 + 3.0 * k)
        turn.fix(error=(axis[0], axis[1], axis[2]))
        for _ in range(20):
            turn.step(fixes=False)
    assert turn.filter.attitude_updates.reacquired == 0
    assert turn.error_deg() < 0.1


def test_a_filter_led_astray_comes_back_after_six_agreeing_fixes() -> None:
    turn = Turn(7)
    for _ in range(5 * 200):
        turn.step()
    turn.filter.set_attitude(
        multiply(turn.filter.quaternion, quaternion_from_rotation_vector((0.3, 0.0, 0.0))), radians(0.01)
    )
    for _ in range(4 * 200):
        turn.step()
    assert turn.filter.attitude_updates.reacquired == 1
    assert turn.error_deg() < 0.2


def test_two_vectors_set_the_attitude_and_one_alone_does_not() -> None:
    truth = normalise((0.3, -0.5, 0.7, 0.2))
    sun, field = (1.0, 0.2, 0.1), (0.0, 0.4, -0.9)
    filter_ = Mekf()
    assert not filter_.update_vector(rotate_inverse(truth, sun), sun, radians(0.5), "sun")
    assert not filter_.update_vector(rotate_inverse(truth, sun), sun, radians(0.5), "sun")
    assert not filter_.known
    assert filter_.update_vector(rotate_inverse(truth, field), field, radians(3.0), "magnetic")
    assert rotation_angle(filter_.quaternion, truth) < 1e-6
    assert filter_.sigma_attitude_rad == pytest.approx(radians(3.0), rel=0.3)


def test_vectors_seen_at_different_times_of_a_turn_still_fit() -> None:
    truth = IDENTITY
    sun, field = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    filter_ = Mekf()
    filter_.update_vector(sun, sun, 0.01, "sun")
    for tick in range(200):
        filter_.propagate((tick + 1) * TICK_NS, TICK_S, (0.0, 0.5, 0.0))
        truth = multiply(truth, quaternion_from_rotation_vector((0.0, 0.5 * TICK_S, 0.0)))
    assert filter_.update_vector(rotate_inverse(truth, field), field, 0.02, "magnetic")
    assert rotation_angle(filter_.quaternion, truth) < 1e-6


def test_vectors_near_one_line_set_nothing() -> None:
    assert triad(((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)), ((0.99, 0.1, 0.0), (0.99, 0.1, 0.0))) is None


def test_vectors_alone_find_attitude_and_bias() -> None:
    rng = np.random.default_rng(11)
    truth = normalise((0.9, 0.1, -0.3, 0.2))
    filter_ = Mekf()
    bias = (radians(0.2), radians(-0.1), radians(0.15))
    references = {"sun": (1.0, 0.0, 0.3), "magnetic": (0.0, 0.5, -0.8)}
    for tick in range(60 * 200):
        filter_.propagate((tick + 1) * TICK_NS, TICK_S, bias)
        if tick % 20 == 0:
            for kind, inertial in references.items():
                seen = np.array(rotate_inverse(truth, inertial))
                seen = seen / np.linalg.norm(seen) + radians(0.5) * rng.standard_normal(3)
                filter_.update_vector(tuple(seen.tolist()), inertial, radians(0.5), kind)
    assert degrees(rotation_angle(filter_.quaternion, truth)) < 0.3
    assert max(abs(degrees(filter_.bias[i] - bias[i])) for i in range(3)) < 0.03


def test_a_vector_on_the_far_side_is_refused() -> None:
    filter_ = Mekf()
    filter_.set_attitude(IDENTITY, radians(1.0))
    assert not filter_.update_vector((-1.0, 0.001, 0.0), (1.0, 0.0, 0.0), radians(0.5))
    assert filter_.vector_updates.refused == 1


def test_heading_moves_heading_alone() -> None:
    filter_ = Mekf()
    filter_.set_attitude(IDENTITY, radians(5.0))
    turned = quaternion_from_rotation_vector((0.0, 0.0, radians(6.0)))
    field = (0.0, 0.5, -0.8)
    for _ in range(50):
        assert filter_.update_heading(rotate_inverse(turned, field), field, radians(3.0))
    x = rotate(filter_.quaternion, (0.0, 0.0, 1.0))
    assert x[2] == pytest.approx(1.0, abs=1e-9)
    assert degrees(rotation_angle(filter_.quaternion, turned)) < 0.5
    assert not filter_.update_heading((0.0, 0.0, 1.0), field, radians(3.0))
