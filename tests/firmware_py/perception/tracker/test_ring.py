"""The ring keeps event order, its reach and its bounds."""

from __future__ import annotations

import numpy as np

from firmware_py.perception.tracker.ring import BEGINNING_NS, Entry, Ring
from firmware_py.perception.tracker.store import Columns
from tests.firmware_py.perception.tracker.textbook import frame_of

EMPTY = Columns(np.empty((46, 0)), np.empty((14, 0), np.int64))


def _entry(t_ns: int, sensor: int = 0, number: int = 0) -> Entry:
    return Entry((t_ns, sensor, number), frame_of([], number, t_ns), None, t_ns, EMPTY, np.empty(0))


def _ring(most: int = 64) -> Ring:
    return Ring(_entry(BEGINNING_NS, -1), 1000, most)


def test_what_is_older_than_its_span_goes_and_one_state_to_start_from_stays() -> None:
    ring = _ring()
    for k in range(50):
        ring.push(_entry(100 * k, number=k))
    assert len(ring) == 10
    assert ring.reaches((3901, 0, 99))
    assert not ring.reaches((3899, 0, 99))
    assert ring.holds(0, 45)
    assert not ring.holds(0, 38)


def test_it_never_holds_more_than_it_may() -> None:
    ring = _ring(5)
    for k in range(50):
        ring.push(_entry(k, number=k))
    assert len(ring) == 5
    assert ring.reaches((45, 0, 0))
    assert not ring.reaches((44, 0, 0))


def test_cutting_gives_the_state_before_and_what_is_to_be_done_again() -> None:
    ring = _ring()
    for k in (0, 100, 200, 300):
        ring.push(_entry(k, number=k))
    before, after = ring.cut((150, 1, 7))
    assert before.key[0] == 100
    assert [entry.key[0] for entry in after] == [200, 300]
    assert ring.newest is before
    ring.push(_entry(150, 1, 7))
    for entry in after:
        ring.push(entry)
    assert [ring.holds(0, 200), ring.holds(1, 7), ring.holds(1, 8)] == [True, True, False]


def test_before_anything_came_everything_in_reach_is_welcome() -> None:
    ring = _ring()
    assert ring.reaches((-5, 0, 0))
    ring.push(_entry(500))
    assert ring.reaches((0, 0, 3))
    assert not ring.reaches((-501, 0, 3))
