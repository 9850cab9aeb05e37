"""A reading may be used for control only while it is good; a bound serves limits alone."""

from __future__ import annotations

import pytest

from hal.reading import Quality, Reading, absent


def test_only_a_good_reading_is_ok() -> None:
    assert [quality for quality in Quality if Reading(1.0, 0, quality).ok] == [Quality.OK]


@pytest.mark.parametrize("quality", list(Quality))
def test_a_bound_is_what_is_measured_or_the_end_of_the_range_and_nothing_older(quality: Quality) -> None:
    expected = 10.0 if quality in (Quality.OK, Quality.OVER_RANGE) else None
    assert Reading(10.0, 0, quality).bound == expected


def test_nothing_bounds_nothing() -> None:
    assert absent().bound is None


def test_qualities_are_best_first() -> None:
    assert sorted(Quality) == [
        Quality.OK, Quality.SUSPECT, Quality.OVER_RANGE, Quality.STALE, Quality.BAD, Quality.ABSENT,
    ]
