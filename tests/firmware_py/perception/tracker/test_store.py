"""The columns: order, bounds, copies."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.perception.tracker.store import Store, Word


def _filled(count: int) -> Store:
    store = Store(10, 3, 2)
    numbers, words = store.append(count)
    numbers[0], words[Word.ID] = np.arange(count), np.arange(count) + 100
    return store


@pytest.mark.parametrize("wanted", [[1, 1, 1, 0], [0, 1, 1, 1], [0, 0, 0, 0], [1, 0, 1, 0]])
def test_what_is_kept_keeps_its_order(wanted: list[int]) -> None:
    store, mask = _filled(4), np.array(wanted, np.bool_)
    store.keep(mask)
    assert store.numbers[0].tolist() == np.arange(4.0)[mask].tolist()
    assert store.words[Word.ID].tolist() == (np.arange(4) + 100)[mask].tolist()


def test_it_never_grows_beyond_its_capacity() -> None:
    store = _filled(8)
    with pytest.raises(OverflowError, match="room for 10"):
        store.append(3)
    assert store.count == 8
    store.append(2)
    assert store.count == 10


def test_a_copy_restores_all_and_is_not_touched_by_what_follows() -> None:
    store = _filled(5)
    copy = store.copy()
    store.keep(np.array([1, 0, 0, 1, 0], np.bool_))
    store.numbers[0] = -1.0
    store.restore(copy)
    assert store.numbers[0].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert store.count == 5


def test_new_columns_are_zero_whatever_stood_there() -> None:
    store = _filled(5)
    store.numbers[:] = 7.0
    store.keep(np.zeros(5, np.bool_))
    numbers, words = store.append(5)
    assert not numbers.any()
    assert not words.any()
