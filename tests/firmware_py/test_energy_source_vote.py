"""Sources that contradict each other: time before a verdict, the greater group, the lower of equals."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from firmware_py.energy.source_vote import PERSIST_S, Choice, Dissent, Vote, decide

VOLTAGE, GAUGE, BMS = Vote("voltage", 0.50, 0.01), Vote("gauge", 0.47, 0.02), Vote("bms", 0.49, 0.02)
FAR = Vote("bms", 0.90, 0.02)


def test_nobody_against_means_the_count() -> None:
    assert decide([], 1) == (Choice.COUNT, None)


def test_a_greater_group_overrules_by_its_most_physical_source() -> None:
    assert decide([VOLTAGE, GAUGE, BMS], 2) == (Choice.OVERRULED, VOLTAGE)


def test_equal_groups_mean_the_lower_of_the_group() -> None:
    assert decide([VOLTAGE, GAUGE], 2) == (Choice.LOWER, GAUGE)


def test_those_who_contradict_each_other_do_not_add_up() -> None:
    assert decide([VOLTAGE, FAR], 2) == (Choice.COUNT, None)
    assert decide([VOLTAGE, FAR], 1) == (Choice.LOWER, VOLTAGE)


def test_a_verdict_needs_time_and_so_does_its_end() -> None:
    dissent = Dissent()
    dissent.see(True, PERSIST_S - 1.0)
    assert dissent.now
    assert not dissent.conflict
    dissent.see(True, 1.0)
    assert dissent.conflict
    dissent.see(False, PERSIST_S - 1.0)
    assert dissent.conflict
    dissent.see(False, 1.0)
    assert not dissent.conflict


def test_where_there_is_nothing_to_wait_for_it_is_at_once() -> None:
    dissent = Dissent()
    dissent.see(True, 0.1, at_once=True)
    assert dissent.conflict
    dissent.forget()
    assert not dissent.conflict


votes = st.builds(Vote, st.just("x"), st.floats(0.0, 1.0), st.floats(0.001, 0.05))


@given(st.lists(votes, max_size=4), st.integers(0, 4))
def test_the_answer_is_always_one_of_the_votes_and_never_between_them(against: list[Vote], voices: int) -> None:
    choice, vote = decide(against, voices)
    assert (vote is None) == (choice is Choice.COUNT)
    assert vote is None or vote in against
    if voices > len(against):
        assert choice is Choice.COUNT
