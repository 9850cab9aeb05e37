"""TrackMemory: rows by key, bounded, forgotten by event time; verdicts that wait."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.track_memory import MAX_TRACKS, NOWHERE, VERDICT, TrackMemory, settle
from tests.firmware_py.perception.track_columns import SECOND


def memory(limit: int = 4, forget_s: float = 10.0) -> TrackMemory:
    return TrackMemory({"value": (np.float64, -1.0, 0), "three": (np.int64, 0, 3)}, limit, forget_s)


def keys(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def test_a_key_keeps_its_row() -> None:
    table = memory()
    first = table.slots(keys(7, 3), 0)
    table["value"][first] = (70.0, 30.0)
    again = table.slots(keys(3, 9, 7), SECOND)
    assert table["value"][again].tolist() == [30.0, -1.0, 70.0]
    assert len(table) == 3


def test_a_forgotten_key_starts_anew() -> None:
    table = memory()
    table["value"][table.slots(keys(7), 0)] = 70.0
    assert table["value"][table.slots(keys(7), 10 * SECOND)].tolist() == [70.0]
    assert table["value"][table.slots(keys(7), 20 * SECOND + 1)].tolist() == [-1.0]


def test_time_that_goes_back_forgets_nothing() -> None:
    table = memory()
    table["value"][table.slots(keys(7), 100 * SECOND)] = 70.0
    table.slots(keys(8), 0)
    assert table["value"][table.slots(keys(7), 105 * SECOND)].tolist() == [70.0]


def test_who_was_seen_longest_ago_makes_room() -> None:
    table = memory(limit=2)
    table["value"][table.slots(keys(1), 0)] = 10.0
    table["value"][table.slots(keys(2), SECOND)] = 20.0
    table.slots(keys(3), 2 * SECOND)
    assert table.evicted == 1
    assert table["value"][table.slots(keys(2), 3 * SECOND)].tolist() == [20.0]


def test_more_keys_than_rows_are_refused_and_counted() -> None:
    table = memory(limit=2)
    found = table.slots(keys(5, 6, 7, 8), 0)
    assert np.count_nonzero(found == NOWHERE) == 2
    assert table.refused == 2
    assert len(table) == 2


def test_negative_keys_and_repeated_ones_have_no_row() -> None:
    assert memory().slots(keys(-1, 4, 4), 0).tolist()[0] == NOWHERE
    assert memory().slots(keys(4, 4), 0).tolist()[1] == NOWHERE


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 12), max_size=8), max_size=12))
def test_rows_are_never_shared_and_memory_never_grows(calls: list[list[int]]) -> None:
    table = memory(limit=5, forget_s=3.0)
    size = table.nbytes
    for index, call in enumerate(calls):
        found = table.slots(keys(*call), index * SECOND)
        used = found[found >= 0]
        assert len(np.unique(used)) == len(used)
        assert len(table) <= 5
    assert table.nbytes == size


@pytest.mark.parametrize(("limit", "forget_s"), [(0, 1.0), (MAX_TRACKS + 1, 1.0), (1, 0.0), (1, float("nan"))])
def test_limits_that_cannot_be_are_refused_by_name(limit: int, forget_s: float) -> None:
    with pytest.raises(ValueError, match="allowed"):
        memory(limit, forget_s)


def test_a_verdict_waits_for_its_dwell_without_a_break() -> None:
    table = TrackMemory(VERDICT, 4)
    dwell = np.array([2 * SECOND])
    seen = []
    for second, wish in enumerate((1, 1, 2, 1, 1, 1, 1)):
        row = table.slots(keys(1), second * SECOND)
        seen.append(int(settle(table, row, np.array([wish], np.int8), second * SECOND, dwell)[0]))
    assert seen == [0, 0, 0, 0, 0, 1, 1]


def test_who_has_no_row_has_no_verdict() -> None:
    table = TrackMemory(VERDICT, 1)
    row = table.slots(keys(1, 2), 0)
    assert settle(table, row, np.array([3, 3], np.int8), 0, np.zeros(2, np.int64)).tolist() == [3, 0]
