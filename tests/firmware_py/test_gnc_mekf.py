"""Attitude filter: consistent with its own covariance, fair to late fixes, deaf to outliers, able to come back;
as good as the Riccati limit; nothing that is no measurement moves it."""

from __future__ import annotations

from math import degrees, inf, nan, pi, radians, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import solve_discrete_are
from scipy.stats import chi2

from firmware_py.gnc.consistency import Agreement, Refusal
from firmware_py.gnc.mekf import Mekf
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


@pytest.mark.parametrize("amplitude", [0.02, radians(5.0)])
def test_fixes_that_overlap_are_compared_with_what_is_known_of_the_gyro_now(amplitude: float) -> None:
    # Five a second, each a second old: the way since the exposure was integrated before the bias was known.
    values, nis = [], []
    for seed in range(8):
        turn = Turn(seed + 500, latency_ticks=200, amplitude=amplitude)
        for tick in range(1, 25 * 200 + 1):
            turn.step(fixes=False)
            if tick % 40 == 0 and tick > 200:
                turn.fix()
            if tick % 200 == 0 and tick > 10 * 200:
                values.append(turn.filter.nees(turn.q, turn.bias))
        counters = turn.filter.attitude_updates
        assert counters.refused == 0
        assert turn.error_deg() < 0.06
        nis.append(counters.nis_sum / (counters.accepted - 1))
    # 8 x 6 degrees of freedom in each second: 3.8 to 8.6, and seconds are not independent.
    assert 4.0 < np.mean(values) < 8.3
    assert 2.7 < np.mean(nis) < 3.3


@pytest.mark.parametrize(("off_deg", "every"), [(5.0, 100), (60.0, 100), (3.0, 400)])
def test_a_wrong_first_fix_is_put_right_before_the_bias_is_known(off_deg: float, every: int) -> None:
    turn = Turn(8)
    for tick in range(1, 60 * 200 + 1):
        turn.step(fixes=False)
        if tick % every == 0:
            turn.fix(error=(radians(off_deg) if tick == every else 0.0, 0.0, 0.0))
    assert turn.filter.attitude_updates.reacquired >= 1
    assert turn.error_deg() < 0.1
    assert max(abs(degrees(turn.filter.bias[i] - turn.bias[i])) for i in range(3)) < 0.02


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


def test_steady_error_is_at_the_riccati_limit_and_nees_in_its_band() -> None:
    # The limit: one axis of angle and bias, a fix every 0.5 s, each 0.1 to 0.6 s old when its result is used.
    noise = Mekf().noise
    q1, q2 = noise.random_walk_rad_rts**2, noise.bias_walk_rad_s_rts**2

    def grow(p: np.ndarray, t: float) -> np.ndarray:
        f = np.array([[1.0, -t], [0.0, 1.0]])
        return f @ p @ f.T + np.array([[q1 * t + q2 * t**3 / 3, -q2 * t**2 / 2], [-q2 * t**2 / 2, q2 * t]])

    f, h = np.array([[1.0, -0.5], [0.0, 1.0]]), np.array([[1.0], [0.0]])
    before = solve_discrete_are(f.T, h, grow(np.zeros((2, 2)), 0.5), np.array([[SIGMA**2]]))
    after = before - before @ h @ h.T @ before / (before[0, 0] + SIGMA**2)
    limit = sqrt(np.mean([grow(after, 0.1 + 0.005 * k)[0, 0] for k in range(100)]))
    squares, nees = [], []
    seeds, seconds = 12, 50
    for seed in range(seeds):
        turn = Turn(seed + 300, amplitude=0.005)
        row = []
        for tick in range(seconds * 200):
            turn.step()
            if tick > 30 * 200 and tick % 13 == 0:
                squares.append(radians(turn.error_deg()) ** 2 / 3.0)
            if tick % 200 == 199:
                row.append(turn.filter.nees(turn.q, turn.bias))
        nees.append(row)
    assert 0.9 < sqrt(np.mean(squares)) / limit < 1.2
    mean = np.array(nees).mean(axis=0)
    low, high = chi2.ppf([0.025, 0.975], seeds * 6) / seeds
    assert low < mean.mean() < high
    assert ((mean > low) & (mean < high)).mean() > 0.8


def half_turn(
    filter_: Mekf, distortion: np.ndarray, rate: Vec3, start: Quaternion, tick: int
) -> tuple[Quaternion, int]:
    """Half a turn with a gyro that is wrong by ``distortion``, no fix meanwhile."""
    q = start
    seen = tuple(((np.eye(3) + distortion) @ np.array(rate)).tolist())
    speed = float(np.linalg.norm(rate))
    for _ in range(round(pi / speed / TICK_S)):
        q = normalise(multiply(q, quaternion_from_rotation_vector(scale(rate, TICK_S))))
        tick += 1
        filter_.propagate(tick * TICK_NS, TICK_S, seen)  # type: ignore[arg-type]
        if tick % 10 == 0:
            filter_.predict_covariance()
    return q, tick


def rest(filter_: Mekf, q: Quaternion, tick: int, seconds: float, rng: np.random.Generator) -> int:
    """At rest with a fix every half second."""
    for _ in range(round(seconds * 200)):
        tick += 1
        filter_.propagate(tick * TICK_NS, TICK_S, (0.0, 0.0, 0.0))
        if tick % 10 == 0:
            filter_.predict_covariance()
        if tick % 100 == 0:
            noise = tuple((SIGMA * rng.standard_normal(3)).tolist())
            filter_.update_attitude(multiply(q, quaternion_from_rotation_vector(noise)), SIGMA)
    return tick


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slew_of_180_deg_teaches_the_gyros_scale(axis: int) -> None:
    rng = np.random.default_rng(20 + axis)
    filter_ = Mekf()
    distortion = np.zeros((3, 3))
    distortion[axis, axis] = 1.5e-3
    distortion[axis, (axis + 1) % 3] = 8e-4
    rate = [0.0, 0.0, 0.0]
    rate[axis] = radians(10.0)
    tick = rest(filter_, IDENTITY, 0, 30.0, rng)
    prior = filter_.sigma_scale[axis]
    q, tick = half_turn(filter_, distortion, (rate[0], rate[1], rate[2]), IDENTITY, tick)
    first = rotation_angle(filter_.quaternion, q)
    assert first == pytest.approx(1.5e-3 * pi, rel=0.2)
    assert filter_.sigma_attitude_rad > first / 3.0
    tick = rest(filter_, q, tick, 20.0, rng)
    assert filter_.scale[axis] == pytest.approx(1.5e-3, rel=0.3)
    assert filter_.sigma_scale[axis] < 0.3 * prior
    q, tick = half_turn(filter_, distortion, (-rate[0], -rate[1], -rate[2]), q, tick)
    assert rotation_angle(filter_.quaternion, q) < 0.35 * first


def test_a_scale_that_does_not_show_is_left_at_its_prior() -> None:
    rng = np.random.default_rng(30)
    filter_ = Mekf()
    rest(filter_, IDENTITY, 0, 60.0, rng)
    assert max(abs(d) for d in filter_.distortion) < 1e-5
    assert min(filter_.sigma_scale) == pytest.approx(filter_.noise.scale, rel=1e-3)


def test_scale_stays_within_three_sigma_of_its_prior_whatever_is_seen() -> None:
    rng = np.random.default_rng(31)
    filter_ = Mekf()
    tick = rest(filter_, IDENTITY, 0, 20.0, rng)
    q, tick = half_turn(filter_, np.diag([0.02, 0.0, 0.0]), (radians(10.0), 0.0, 0.0), IDENTITY, tick)
    rest(filter_, q, tick, 20.0, rng)
    assert max(abs(s) for s in filter_.scale) <= 3.0 * filter_.noise.scale + 1e-12
    assert degrees(rotation_angle(filter_.quaternion, q)) < 0.1


def test_another_gyro_keeps_the_attitude_and_learns_its_own_bias() -> None:
    turn = Turn(11, amplitude=0.2)
    for _ in range(200 * 60):
        turn.step()
    assert turn.filter.distortion != (0.0,) * 9
    attitude, sigma = turn.filter.quaternion, turn.filter.sigma_attitude_rad
    # The new unit's bias is known to half a degree a second, and off by one sigma about two axes.
    known, doubt = (radians(1.0), radians(-0.6), 0.0), radians(0.5)
    turn.bias = (known[0] + doubt, known[1] - doubt, known[2])
    turn.filter.change_gyro(known, doubt)
    assert turn.filter.quaternion == attitude
    assert turn.filter.known
    assert turn.filter.sigma_attitude_rad == pytest.approx(sigma, rel=0.01)
    assert (turn.filter.bias, turn.filter.distortion) == (known, (0.0,) * 9)
    assert turn.filter.sigma_bias_rad_s == pytest.approx(doubt)
    refused = turn.filter.attitude_updates.refused
    worst = 0.0
    for tick in range(200 * 60):
        turn.step()
        if tick % 50 == 0:
            worst = max(worst, rotation_angle(turn.filter.quaternion, turn.q))
    assert turn.filter.attitude_updates.refused == refused
    assert turn.filter.bias == pytest.approx(turn.bias, abs=radians(0.02))
    assert worst < radians(1.5)
    assert rotation_angle(turn.filter.quaternion, turn.q) < radians(0.05)


def test_the_first_sample_of_another_gyro_is_read_by_its_own_errors() -> None:
    filter_ = Mekf()
    filter_.distortion = (0.01,) * 9
    filter_.propagate(TICK_NS, TICK_S, (0.1, 0.2, 0.3))
    filter_.change_gyro((0.01, -0.02, 0.03), radians(0.25))
    filter_.propagate(2 * TICK_NS, TICK_S, (0.1, 0.2, 0.3))
    assert filter_.rate == pytest.approx((0.09, 0.22, 0.27))


def test_vectors_never_move_the_scale() -> None:
    filter_ = Mekf()
    filter_.set_attitude(IDENTITY, radians(1.0))
    q = IDENTITY
    for tick in range(1, 2001):
        q = multiply(q, quaternion_from_rotation_vector((0.2 * TICK_S, 0.0, 0.0)))
        filter_.propagate(tick * TICK_NS, TICK_S, (0.204, 0.0, 0.0))
        if tick % 20 == 0:
            for inertial in ((0.0, 1.0, 0.2), (0.1, 0.0, 1.0)):
                filter_.update_vector(rotate_inverse(q, inertial), inertial, radians(1.0), "sun")
    assert filter_.vector_updates.accepted > 100
    assert filter_.distortion == (0.0,) * 9


def test_a_late_vector_is_compared_with_its_own_time() -> None:
    filter_ = Mekf()
    filter_.set_attitude(IDENTITY, radians(0.5))
    for tick in range(1, 201):
        filter_.propagate(tick * TICK_NS, TICK_S, (0.0, 0.3, 0.0))
    then = quaternion_from_rotation_vector((0.0, 0.24, 0.0))
    for _ in range(20):
        assert filter_.update_vector(rotate_inverse(then, (1.0, 0.0, 0.0)), (1.0, 0.0, 0.0), 0.01, "sun", 200_000_000)
    now = quaternion_from_rotation_vector((0.0, 0.3, 0.0))
    assert degrees(rotation_angle(filter_.quaternion, now)) < 0.01


Q = IDENTITY
BAD_FIXES: list[tuple[tuple[float, ...], float, int, Refusal]] = [
    ((nan, 0.0, 0.0, 1.0), SIGMA, 0, Refusal.NOT_FINITE),
    ((inf, 0.0, 0.0, 0.0), SIGMA, 0, Refusal.NOT_FINITE),
    ((1.0, 0.0, 0.0), SIGMA, 0, Refusal.LENGTH),
    ((0.0, 0.0, 0.0, 0.0), SIGMA, 0, Refusal.NOT_UNIT),
    ((1.0, 1.0, 0.0, 0.0), SIGMA, 0, Refusal.NOT_UNIT),
    ((1e300, 0.0, 0.0, 0.0), SIGMA, 0, Refusal.NOT_UNIT),
    (Q, 0.0, 0, Refusal.BAD_SIGMA),
    (Q, nan, 0, Refusal.BAD_SIGMA),
    (Q, inf, 0, Refusal.BAD_SIGMA),
    (Q, SIGMA, -1, Refusal.FUTURE),
    (Q, SIGMA, 10**12, Refusal.TOO_OLD),
]


@pytest.mark.parametrize(("quaternion", "sigma", "age", "reason"), BAD_FIXES)
def test_a_fix_that_is_none_is_named_and_counted(
    quaternion: tuple[float, ...], sigma: float, age: int, reason: Refusal
) -> None:
    turn = Turn(40)
    for _ in range(1000):
        turn.step()
    before = turn.filter.quaternion, turn.filter.bias, turn.filter.covariance.copy()
    assert not turn.filter.update_attitude(quaternion, sigma, age)  # type: ignore[arg-type]
    assert turn.filter.refusals[reason] == 1
    assert sum(turn.filter.refusals.values()) == 1
    assert (turn.filter.quaternion, turn.filter.bias) == before[:2]
    assert np.array_equal(turn.filter.covariance, before[2])


@pytest.mark.parametrize(
    ("dt", "rate", "reason"),
    [
        (0.0, (0.0, 0.0, 0.0), Refusal.TIME_STEP),
        (-0.005, (0.0, 0.0, 0.0), Refusal.TIME_STEP),
        (nan, (0.0, 0.0, 0.0), Refusal.TIME_STEP),
        (inf, (0.0, 0.0, 0.0), Refusal.TIME_STEP),
        (0.005, (nan, 0.0, 0.0), Refusal.NOT_FINITE),
        (0.005, (0.0, -inf, 0.0), Refusal.NOT_FINITE),
        (0.005, (0.0, 0.0), Refusal.LENGTH),
        (0.005, (0.0, 0.0, 1e12), Refusal.OUT_OF_RANGE),
    ],
)
def test_a_step_that_is_none_is_named_and_leaves_the_attitude(
    dt: float, rate: tuple[float, ...], reason: Refusal
) -> None:
    filter_ = Mekf()
    filter_.propagate(TICK_NS, TICK_S, (0.1, 0.2, 0.3))
    before = filter_.quaternion
    assert not filter_.propagate(2 * TICK_NS, dt, rate)  # type: ignore[arg-type]
    assert filter_.refusals[reason] == 1
    assert filter_.quaternion == before


def test_a_stop_of_seconds_is_admitted_in_sigma() -> None:
    filter_ = Mekf()
    filter_.set_attitude(IDENTITY, 1e-3)
    filter_.propagate(TICK_NS, TICK_S, (0.0, 0.0, 0.1))
    assert not filter_.propagate(4_000_000_000, 3.995, (0.0, 0.0, 0.1))
    assert filter_.sigma_attitude_rad > 0.35


def test_a_clock_that_goes_back_is_counted_and_the_past_forgotten() -> None:
    filter_ = Mekf()
    for tick in range(1, 201):
        filter_.propagate(tick * TICK_NS, TICK_S, (0.1, 0.0, 0.0))
    filter_.propagate(TICK_NS, TICK_S, (0.1, 0.0, 0.0))
    assert filter_.refusals[Refusal.TIME_STEP] == 1
    assert not filter_.update_attitude(IDENTITY, SIGMA, 500_000_000)
    assert filter_.refusals[Refusal.TOO_OLD] == 1


def test_innovations_of_a_right_filter_are_within_and_of_a_wrong_sigma_not() -> None:
    turn = Turn(41)
    for _ in range(60 * 200):
        turn.step()
    assert turn.filter.windows["attitude"].figures.agreement is Agreement.WITHIN
    lying = Turn(42)
    for tick in range(60 * 200):
        lying.step(fixes=False)
        if tick % 100 == 99:
            off = tuple((1.6 * SIGMA * lying.rng.standard_normal(3)).tolist())
            lying.filter.update_attitude(multiply(lying.q, quaternion_from_rotation_vector(off)), SIGMA)
    figures = lying.filter.windows["attitude"].figures
    assert figures.nis is not None
    assert figures.nis > figures.high
    assert figures.agreement is Agreement.OVERCONFIDENT


FLOATS = st.one_of(st.floats(width=32), st.sampled_from([0.0, 1.0, nan, inf, -inf, 1e300, 1e-300, -1e150]))
VECTORS = st.lists(FLOATS, min_size=2, max_size=4).map(tuple)
AGES = st.integers(-(10**9), 4 * 10**9)
ACTIONS = st.one_of(
    st.tuples(st.just("step"), FLOATS, VECTORS, st.integers(-(10**8), 10**8)),
    st.tuples(st.just("good"), st.floats(1e-4, 0.9), st.tuples(*[st.floats(-30.0, 30.0)] * 3), st.just(0)),
    st.tuples(st.just("fix"), FLOATS, st.lists(FLOATS, min_size=3, max_size=5).map(tuple), AGES),
    st.tuples(st.just("true"), st.floats(1e-9, 3.0), st.tuples(*[st.floats(-3.0, 3.0)] * 3), st.integers(0, 10**9)),
    st.tuples(st.just("vector"), FLOATS, VECTORS, AGES),
    st.tuples(st.just("ray"), st.floats(1e-9, 3.0), st.tuples(*[st.floats(0.1, 3.0)] * 3), st.integers(0, 10**9)),
    st.tuples(st.just("heading"), FLOATS, VECTORS, AGES),
    st.tuples(st.just("inflate"), st.floats(0.0, 100.0), st.just(()), st.just(0)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_no_order_of_inputs_breaks_state_or_covariance(actions: list[tuple[str, float, tuple, int]]) -> None:
    filter_ = Mekf()
    now = 0
    for kind, size, vector, number in actions:
        if kind == "step":
            now += number
            filter_.propagate(now, size, vector)
        elif kind == "good":
            now += round(size * 1e9)
            filter_.propagate(now, size, vector)
        elif kind == "fix":
            filter_.update_attitude(vector, size, number)
        elif kind == "true":
            filter_.update_attitude(quaternion_from_rotation_vector(vector), size, number)
        elif kind in ("vector", "ray"):
            filter_.update_vector(vector, (0.0, 0.6, 0.8), size, kind, number)
        elif kind == "heading":
            filter_.update_heading(vector, (0.0, 0.6, 0.8), size, kind, number)
        else:
            filter_.inflate(size, size)
    filter_.predict_covariance()
    p = filter_.covariance
    assert np.isfinite([*filter_.quaternion, *filter_.bias, *filter_.distortion, *filter_.rate]).all()
    assert np.linalg.norm(filter_.quaternion) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(p, p.T)
    assert np.linalg.eigvalsh(p)[0] > 0.0
