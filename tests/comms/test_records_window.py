"""Replay window: WireGuard's published decisions, and a set model under random operations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.records.faults import RecordFault
from comms.records.window import ReplayWindow

SIZES = (64, 1024, 8128)


class SetModel:
    """What a window must do, with all counters ever taken in a set."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken: set[int] = set()

    def take(self, counter: int) -> bool:
        newest = max(self.taken, default=0)
        if counter in self.taken or newest - counter > self.size:
            return False
        self.taken.add(counter)
        return True


def take(window: ReplayWindow, counter: int) -> bool:
    if window.check(counter) is not None:
        return False
    window.commit(counter)
    return True


def decisions(size: int, reject: int) -> list[tuple[int, bool]]:
    """The first list of drivers/net/wireguard/selftest/counter.c; one more than the window is called ``limit``."""
    limit = size + 1
    return [
        (0, True), (1, True), (1, False), (9, True), (8, True), (7, True), (7, False), (limit, True),
        (limit - 1, True), (limit - 1, False), (limit - 2, True), (2, True), (2, False), (limit + 16, True),
        (3, False), (limit + 16, False), (limit * 4, True), (limit * 4 - (limit - 1), True), (10, False),
        (limit * 4 - limit, False), (limit * 4 - (limit + 1), False), (limit * 4 - (limit - 2), True),
        (limit * 4 + 1 - limit, False), (0, False), (reject, False), (reject - 1, True), (reject, False),
        (reject - 1, False), (reject - 2, True), (reject + 1, False), (reject + 2, False), (reject - 2, False),
        (reject - 3, True), (0, False),
    ]


@pytest.mark.parametrize("size", SIZES)
def test_the_decisions_of_wireguard_are_kept(size: int) -> None:
    window = ReplayWindow(size)
    for step, (counter, taken) in enumerate(decisions(size, window.limit), 1):
        assert take(window, counter) is taken, f"step {step}: {counter}"


@pytest.mark.parametrize("size", SIZES)
def test_the_runs_of_wireguard_are_kept(size: int) -> None:
    up = list(range(1, size + 1))
    for run, after in (
        (up, [(0, True), (0, False)]),
        ([counter + 1 for counter in up], [(1, True), (0, False)]),
        (list(range(size, -1, -1)), []),
        (list(range(size + 1, 0, -1)), [(0, False)]),
        (list(range(size, 0, -1)), [(size + 1, True), (0, False)]),
        (list(range(size, 0, -1)), [(0, True), (size + 1, True)]),
    ):
        window = ReplayWindow(size)
        assert all(take(window, counter) for counter in run)
        for counter, taken in after:
            assert take(window, counter) is taken


@pytest.mark.parametrize("size", SIZES)
@given(data=st.data())
def test_every_decision_is_that_of_a_set(size: int, data: st.DataObject) -> None:
    window, model = ReplayWindow(size), SetModel(size)
    steps = st.lists(st.tuples(st.integers(-2 * size - 3, 2 * size + 3), st.integers(0, 40)), max_size=40)
    at = 0
    for jump, run in data.draw(steps):
        for counter in range(max(0, at + jump), max(0, at + jump) + run + 1):
            assert take(window, counter) is model.take(counter)
        at = window.next
    newest = max(model.taken, default=0)
    if model.taken:
        assert window.missing == sum(
            counter not in model.taken for counter in range(max(0, newest - size), newest))


def test_a_check_changes_nothing() -> None:
    window = ReplayWindow()
    for counter in (5000, 7, 5000, 2**63):
        assert window.check(counter) is None
    assert window.next == 0
    assert take(window, 0)


def test_a_refusal_says_whether_it_is_a_replay_or_too_old() -> None:
    window = ReplayWindow(64)
    window.commit(100)
    assert window.check(100) is RecordFault.REPLAYED
    assert window.check(36) is None
    assert window.check(35) is RecordFault.TOO_OLD
    assert window.check(window.limit) is RecordFault.COUNTER_END


def test_what_is_below_the_floor_counts_as_taken() -> None:
    window = ReplayWindow(64, floor=100)
    assert not take(window, 99)
    assert not take(window, 50)
    assert take(window, 120)
    assert not take(window, 99)
    assert take(window, 100)
    assert not take(window, 100)


@pytest.mark.parametrize(("size", "floor"), [(0, 0), (64, -1), (64, 2**64)])
def test_a_window_that_cannot_be_is_refused(size: int, floor: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        ReplayWindow(size, floor)
