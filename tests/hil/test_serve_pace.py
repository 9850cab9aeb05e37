"""The rig's time follows the machine's: small steps, bounded catching up, long lags written off and counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hil.serve.pace import MS, Pace


def test_steps_are_a_millisecond_while_the_machine_keeps_up() -> None:
    pace = Pace()
    assert pace.moves(1000 * MS, 0) == []
    assert pace.moves(1001 * MS, 0) == [MS]
    assert pace.moves(1003 * MS, MS) == [2 * MS, 3 * MS]
    assert pace.wait_s(1003 * MS + 400_000, 3 * MS) == pytest.approx(600e-6)
    assert pace.wait_s(1010 * MS, 3 * MS) == 0.0


def test_a_rig_that_is_late_takes_longer_steps_and_no_more_than_a_few_at_once() -> None:
    pace = Pace()
    pace.moves(0, 0)
    assert pace.moves(30 * MS, 0) == [5 * MS, 10 * MS, 15 * MS, 20 * MS, 25 * MS, 30 * MS]
    pace = Pace(steps=2)
    pace.moves(0, 0)
    assert pace.moves(30 * MS, 0) == [5 * MS, 10 * MS]
    assert pace.slips == 0


def test_a_lag_that_is_too_long_is_written_off_and_the_rig_goes_on_from_where_it_was() -> None:
    pace = Pace()
    pace.moves(0, 0)
    assert pace.moves(400 * MS, 0) == [MS]
    assert (pace.slips, pace.lost_ns) == (1, 399 * MS)
    assert pace.moves(401 * MS, MS) == [2 * MS]
    assert pace.slips == 1


@given(st.lists(st.integers(0, 120 * MS), max_size=60))
def test_time_never_runs_back_never_jumps_and_never_passes_the_machines(pauses: list[int]) -> None:
    pace = Pace()
    machine = rig = 0
    pace.moves(machine, rig)
    for pause in pauses:
        machine += pause
        moves = pace.moves(machine, rig)
        assert len(moves) <= 8
        for t_ns in moves:
            assert 0 < t_ns - rig <= 5 * MS
            rig = t_ns
        assert rig + pace.lost_ns <= machine


@pytest.mark.parametrize("arguments", [(0, 5, 50, 8), (6, 5, 50, 8), (1, 60, 50, 8), (1, 5, 50, 0)])
def test_steps_that_contradict_each_other_are_refused(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="steps of"):
        Pace(*arguments)
