"""AnomalyWatch: M of N, once an excursion, not again within the cooldown."""

from __future__ import annotations

import pytest

from firmware_py.perception.anomaly import AnomalyConfig, AnomalyWatch
from tests.firmware_py.perception.track_columns import SECOND


def told(watch: AnomalyWatch, values: list[float], start_s: int = 0) -> list[int]:
    return [start_s + k for k, value in enumerate(values) if watch.step((start_s + k) * SECOND, value)]


def test_three_of_five_above_the_limit_are_one_event() -> None:
    assert told(AnomalyWatch(AnomalyConfig()), [1, 6, 1, 6, 1, 6, 6, 6, 6]) == [5]


def test_noise_and_single_outliers_are_none() -> None:
    assert told(AnomalyWatch(AnomalyConfig()), [4.9, 50, 1, 1, 1, 1, 50, 1, 1] * 5) == []


def test_a_second_excursion_waits_for_the_cooldown() -> None:
    watch = AnomalyWatch(AnomalyConfig(cooldown_s=60.0))
    quiet, loud = [1.0] * 6, [9.0] * 5
    assert told(watch, [*loud, *quiet, *loud, *quiet]) == [2]
    assert watch.muted == 1
    assert told(watch, loud, 100) == [102]
    assert watch.events == 2


def test_what_has_no_value_decides_nothing() -> None:
    nan = float("nan")
    assert told(AnomalyWatch(AnomalyConfig()), [9, nan, 9, nan, 9]) == [4]


def test_a_gap_starts_the_count_anew() -> None:
    watch = AnomalyWatch(AnomalyConfig(gap_s=10.0))
    assert told(watch, [9, 9]) == []
    assert told(watch, [9, 9], 100) == []
    assert told(watch, [9], 102) == [102]


@pytest.mark.parametrize("changes", [{"needed": 0}, {"needed": 6}, {"window": 65}, {"limit_sigmas": float("nan")},
                                     {"cooldown_s": 0.0}, {"gap_s": float("inf")}])
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        AnomalyConfig(**changes)  # type: ignore[arg-type]
