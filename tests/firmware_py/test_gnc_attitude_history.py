"""Integrated attitude: exact for a steady rate, remembered between steps, forgotten when time goes back."""

from __future__ import annotations

import pytest

from firmware_py.gnc.attitude_history import AttitudeHistory
from hal.frames import IDENTITY, norm, quaternion_from_rotation_vector, rotation_angle, scale

TICK_NS, TICK_S = 5_000_000, 0.005
RATE = (0.3, -0.2, 0.5)


def turned(ticks: int) -> AttitudeHistory:
    history = AttitudeHistory()
    for tick in range(1, ticks + 1):
        assert history.turn(tick * TICK_NS, TICK_S, RATE) == pytest.approx(norm(RATE) * TICK_S)
    return history


def test_a_steady_rate_is_integrated_exactly() -> None:
    history = turned(20_000)
    assert rotation_angle(history.quaternion, quaternion_from_rotation_vector(scale(RATE, 100.0))) < 1e-9
    assert sum(part * part for part in history.quaternion) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("age_ns", [0, 5_000_000, 12_345_678, 2_500_000_000])
def test_the_past_is_remembered_between_steps_as_well(age_ns: int) -> None:
    past = turned(1000).at(age_ns)
    assert past is not None
    truth = quaternion_from_rotation_vector(scale(RATE, 5.0 - age_ns * 1e-9))
    assert rotation_angle(past, truth) < 1e-8


def test_what_is_beyond_the_memory_is_none() -> None:
    assert turned(1000).at(2_600_000_000) is None
    assert turned(10).at(50_000_000) is None
    assert AttitudeHistory().at(10**12) == IDENTITY


def test_time_that_goes_back_is_told_and_forgets() -> None:
    history = turned(100)
    assert not history.in_order(100 * TICK_NS)
    assert history.in_order(100 * TICK_NS + 1)
    history.turn(50 * TICK_NS, TICK_S, RATE)
    assert history.at(20_000_000) is None
    assert history.at(0) == history.quaternion
