"""Disturbance observer: finds what nobody commanded, never what somebody did, and stays inside its bound."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.gnc.disturbance import DisturbanceObserver

INERTIA = np.diag([6.0, 5.6, 5.2])
WINDOW = 0.25
WINDOW_NS = 250_000_000


def observer(bound: float = 0.3) -> DisturbanceObserver:
    return DisturbanceObserver(tuple(INERTIA.ravel().tolist()), 0.3, WINDOW, bound, 20.0)


def spin(
    seen: DisturbanceObserver, torque: np.ndarray, windows: int, rate: np.ndarray, *, noise: float = 0.0,
    thrust_error: float = 0.0, seed: int = 1, start: int = 0,
) -> np.ndarray:
    """Rigid body under a torque and random pulses; returns the rate at the end."""
    rng = np.random.default_rng(seed)
    for k in range(windows):
        seen.update((start + k) * WINDOW_NS, tuple((rate + noise * rng.standard_normal(3)).tolist()), noise)
        pulse = 0.05 * rng.standard_normal(3) * (rng.random() < 0.3) - 0.1 * INERTIA @ rate
        seen.flown((0.0, 0.0, 0.0, *pulse.tolist()))
        for _ in range(50):
            total = torque + pulse * (1.0 + thrust_error) / WINDOW - np.cross(rate, INERTIA @ rate)
            rate = rate + np.linalg.solve(INERTIA, total) * WINDOW / 50
    return rate


def test_a_constant_torque_is_found_beside_pulses_and_gyroscopic_torque() -> None:
    seen, torque = observer(), np.array([0.03, -0.02, 0.01])
    spin(seen, torque, 40, np.array([0.05, 0.08, -0.06]))
    assert seen.torque == pytest.approx(torque, abs=1e-3)


def test_noise_and_thrust_errors_alone_are_no_disturbance() -> None:
    seen = observer()
    spin(seen, np.zeros(3), 400, np.zeros(3), noise=2e-4, thrust_error=0.03)
    assert np.abs(seen.torque).max() < 2e-3


def test_a_change_is_followed_and_a_reset_forgets() -> None:
    seen = observer()
    rate = spin(seen, np.array([0.03, 0.0, 0.0]), 100, np.zeros(3))
    spin(seen, np.array([-0.02, 0.0, 0.0]), 500, rate, start=100)
    assert seen.torque[0] == pytest.approx(-0.02, abs=2e-3)
    seen.reset()
    assert seen.torque == (0.0, 0.0, 0.0)


def test_the_estimate_keeps_its_bound() -> None:
    seen = observer(bound=0.05)
    spin(seen, np.array([0.4, 0.0, 0.0]), 20, np.zeros(3))
    # What is surely there is a little less than the estimate.
    assert 0.045 < seen.torque[0] <= 0.05


@pytest.mark.parametrize("step_ns", [WINDOW_NS // 2, 2 * WINDOW_NS])
def test_a_window_that_was_cut_or_missed_teaches_nothing(step_ns: int) -> None:
    seen = observer()
    for k in range(20):
        seen.update(k * step_ns, (0.01 * k, 0.0, 0.0), 0.0)
        seen.flown((0.0,) * 6)
    assert seen.torque == (0.0, 0.0, 0.0)


def test_without_word_of_the_pulses_nothing_is_learnt() -> None:
    seen = observer()
    for k in range(20):
        seen.update(k * WINDOW_NS, (0.01 * k, 0.0, 0.0), 0.0)
    assert seen.torque == (0.0, 0.0, 0.0)


def test_a_rate_that_is_not_finite_teaches_nothing() -> None:
    seen = observer()
    for rate in (0.0, float("nan"), 0.0, float("inf"), 0.0):
        seen.update(int(WINDOW_NS), (rate, 0.0, 0.0), float("nan"))
        seen.flown((0.0,) * 6)
    assert seen.torque == (0.0, 0.0, 0.0)
