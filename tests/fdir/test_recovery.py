"""The recovery ladder: order, time, what does not apply, relapse, and the limit on how often it may be climbed."""

from __future__ import annotations

import pytest

from fdir.recovery import ACTIONS_AT_MOST, ACTIONS_WITHIN_NS, RELAPSE_NS, Climb, Ladder, Rung, Step, Verdict
from tests.fdir.rows import Port

SECOND = 1_000_000_000
REINIT, CYCLE, SAFE = Rung(Step.REINIT, SECOND), Rung(Step.POWER_CYCLE, 5 * SECOND), Rung(Step.SAFE, SECOND)


def climb(ladder: Ladder, port: Port, seconds: list[float], bad: bool = True) -> list[tuple[float, str, str | None]]:
    taken = []
    for t in seconds:
        found = ladder.step(round(t * SECOND), bad, port)
        if found is not None:
            taken.append((t, found.verdict.value, None if found.step is None else found.step.value))
    return taken


def test_one_rung_after_the_other_each_with_its_time() -> None:
    ladder, port = Ladder((REINIT, CYCLE, SAFE), "imu"), Port("re-init", "power-cycle")
    ladder.start(0)
    assert ladder.climbing
    assert climb(ladder, port, [0.0, 0.5, 0.999, 1.0, 5.999, 6.0, 6.5, 99.0]) == [
        (0.0, "taken", "re-init"), (1.0, "taken", "power-cycle"), (6.0, "taken", "safe"),
    ]
    assert port.asked == [("re-init", "imu", 0), ("power-cycle", "imu", SECOND)]
    assert ladder.safe
    assert not ladder.climbing


def test_a_ladder_without_rungs_is_never_climbed() -> None:
    ladder = Ladder(())
    ladder.start(0)
    assert not ladder.climbing
    assert ladder.last is None
    assert climb(ladder, Port(), [0.0, 1.0]) == []


def test_nothing_is_done_before_a_fault_trips_and_nothing_after_it_cleared() -> None:
    ladder, port = Ladder((REINIT, SAFE)), Port("re-init")
    assert climb(ladder, port, [0.0]) == []
    ladder.start(0)
    climb(ladder, port, [0.0])
    ladder.clear(SECOND)
    assert climb(ladder, port, [1.0, 2.0]) == []
    assert not ladder.safe


def test_a_rung_that_shows_an_effect_is_the_last_one() -> None:
    ladder, port = Ladder((REINIT, SAFE)), Port("re-init")
    ladder.start(0)
    climb(ladder, port, [0.0])
    assert climb(ladder, port, [1.0, 3.0], bad=False) == []
    assert climb(ladder, port, [3.5]) == [(3.5, "taken", "safe")]


def test_what_does_not_apply_makes_room_for_the_next_at_once() -> None:
    ladder, port = Ladder((REINIT, CYCLE)), Port("power-cycle")
    ladder.start(0)
    assert ladder.step(0, True, port) == Climb(Verdict.SKIPPED, Step.REINIT)
    assert ladder.step(0, True, port) == Climb(Verdict.TAKEN, Step.POWER_CYCLE)


def test_the_end_of_the_steps_is_told_once() -> None:
    ladder, port = Ladder((REINIT,)), Port("re-init")
    ladder.start(0)
    assert climb(ladder, port, [0.0, 0.5, 1.0, 2.0]) == [(0.0, "taken", "re-init"), (1.0, "exhausted", None)]
    assert not ladder.climbing


@pytest.mark.parametrize("step", [Step.DEGRADE, Step.SAFE, Step.RESTART])
def test_steps_of_the_core_itself_need_no_hardware_and_end_the_ladder(step) -> None:
    ladder, port = Ladder((Rung(step, SECOND),)), Port()
    ladder.start(0)
    assert climb(ladder, port, [0.0, 1.0, 2.0]) == [(0.0, "taken", step.value)]
    assert port.asked == []
    assert ladder.safe is (step is Step.SAFE)


def test_a_step_of_the_core_may_be_followed_by_another() -> None:
    ladder = Ladder((SAFE, Rung(Step.RESTART, SECOND)))
    ladder.start(0)
    assert climb(ladder, Port(), [0.0, 0.5, 1.0]) == [(0.0, "taken", "safe"), (1.0, "taken", "restart")]
    assert ladder.safe


def test_a_relapse_goes_on_where_the_cure_was_too_weak() -> None:
    ladder, port = Ladder((REINIT, CYCLE, SAFE)), Port("re-init", "power-cycle")
    ladder.start(0)
    climb(ladder, port, [0.0])
    ladder.clear(SECOND)
    ladder.start(SECOND + RELAPSE_NS - 1)
    assert ladder.step(SECOND + RELAPSE_NS - 1, True, port) == Climb(Verdict.TAKEN, Step.POWER_CYCLE)


def test_long_after_a_cure_it_begins_again() -> None:
    ladder, port = Ladder((REINIT, CYCLE)), Port("re-init", "power-cycle")
    ladder.start(0)
    climb(ladder, port, [0.0])
    ladder.clear(SECOND)
    ladder.start(SECOND + RELAPSE_NS)
    assert ladder.step(SECOND + RELAPSE_NS, True, port) == Climb(Verdict.TAKEN, Step.REINIT)


def test_two_units_never_take_turns() -> None:
    ladder, port = Ladder((Rung(Step.REDUNDANT, SECOND),)), Port("redundant")
    for start in (0, 10, 20, 30):
        ladder.start(start * SECOND)
        climb(ladder, port, [start, start + 1])
        ladder.clear((start + 5) * SECOND)
    assert len(port.asked) == 1


def test_whoever_leads_the_craft_out_of_safe_too_soon_is_led_back() -> None:
    ladder, port = Ladder((REINIT, SAFE)), Port("re-init")
    ladder.start(0)
    climb(ladder, port, [0.0, 1.0])
    assert ladder.last is Step.SAFE
    ladder.clear(5 * SECOND)
    ladder.start(10 * SECOND)
    assert climb(ladder, port, [10.0]) == [(10.0, "taken", "safe")]
    assert ladder.safe
    assert len(port.asked) == 1


def test_too_many_steps_lead_to_safe_where_the_ladder_has_it() -> None:
    period_s = RELAPSE_NS / SECOND + 1.0
    ladder, port = Ladder((REINIT, CYCLE, SAFE)), Port("re-init")
    for k in range(ACTIONS_AT_MOST):
        start = k * period_s
        ladder.start(round(start * SECOND))
        assert climb(ladder, port, [start]) == [(start, "taken", "re-init")]
        ladder.clear(round((start + 0.5) * SECOND))
    often = ACTIONS_AT_MOST * period_s
    ladder.start(round(often * SECOND))
    assert climb(ladder, port, [often, often + 1.0]) == [(often, "taken", "safe")]
    assert ladder.safe
    assert len(port.asked) == ACTIONS_AT_MOST


def test_too_many_steps_are_held_back_and_said_once_where_it_has_not() -> None:
    period_s = RELAPSE_NS / SECOND + 1.0
    ladder, port = Ladder((REINIT,)), Port("re-init")
    for k in range(ACTIONS_AT_MOST):
        start = k * period_s
        ladder.start(round(start * SECOND))
        climb(ladder, port, [start])
        ladder.clear(round((start + 0.5) * SECOND))
    held = ACTIONS_AT_MOST * period_s
    ladder.start(round(held * SECOND))
    assert climb(ladder, port, [held, held + 1.0]) == [(held, "held", "re-init")]
    allowed = ACTIONS_WITHIN_NS / SECOND
    assert climb(ladder, port, [allowed - 0.001, allowed]) == [(allowed, "taken", "re-init")]


def test_a_skipped_step_does_not_count_as_taken() -> None:
    ladder, port = Ladder((REINIT,)), Port()
    for k in range(3 * ACTIONS_AT_MOST):
        ladder.start(k * 2 * RELAPSE_NS)
        assert ladder.step(k * 2 * RELAPSE_NS, True, port) == Climb(Verdict.SKIPPED, Step.REINIT)
        ladder.clear(k * 2 * RELAPSE_NS + 1)


def test_a_ladder_of_no_unit_asks_for_none() -> None:
    ladder, port = Ladder((REINIT,)), Port("re-init")
    assert ladder.safe is False
    assert ladder.last is None
    ladder.start(0)
    climb(ladder, port, [0.0])
    assert port.asked == [("re-init", "", 0)]


def test_a_relapse_after_safe_repeats_only_safe_of_three_rungs() -> None:
    ladder, port = Ladder((REINIT, CYCLE, SAFE)), Port("re-init", "power-cycle")
    ladder.start(0)
    climb(ladder, port, [0.0, 1.0, 6.0])
    ladder.clear(10 * SECOND)
    ladder.start(20 * SECOND)
    assert climb(ladder, port, [20.0]) == [(20.0, "taken", "safe")]
    assert len(port.asked) == 2


def test_steps_are_counted_over_the_last_ten_minutes_wherever_these_begin() -> None:
    begin = 5 * ACTIONS_WITHIN_NS / SECOND
    period_s = RELAPSE_NS / SECOND + 1.0
    ladder, port = Ladder((REINIT,)), Port("re-init")
    for k in range(ACTIONS_AT_MOST):
        ladder.start(round((begin + k * period_s) * SECOND))
        climb(ladder, port, [begin + k * period_s])
        ladder.clear(round((begin + k * period_s + 0.5) * SECOND))
    late = begin + ACTIONS_AT_MOST * period_s
    ladder.start(round(late * SECOND))
    assert climb(ladder, port, [late]) == [(late, "held", "re-init")]


def test_what_was_held_back_is_told_again_after_another_trip() -> None:
    period_s = RELAPSE_NS / SECOND + 1.0
    ladder, port = Ladder((REINIT,)), Port("re-init")
    for k in range(ACTIONS_AT_MOST):
        ladder.start(round(k * period_s * SECOND))
        climb(ladder, port, [k * period_s])
        ladder.clear(round((k * period_s + 0.5) * SECOND))
    for k in (ACTIONS_AT_MOST, ACTIONS_AT_MOST + 1):
        t = k * period_s
        ladder.start(round(t * SECOND))
        assert climb(ladder, port, [t, t + 0.1]) == [(t, "held", "re-init")]
        ladder.clear(round((t + 0.5) * SECOND))


def test_safe_that_was_left_by_a_persons_word_is_due_again() -> None:
    ladder, port = Ladder((REINIT, SAFE, Rung(Step.RESTART, SECOND))), Port("re-init")
    ladder.start(0)
    climb(ladder, port, [0.0, 1.0])
    assert ladder.safe
    ladder.rearm(10 * SECOND)
    assert not ladder.safe
    assert climb(ladder, port, [9.9]) == []
    assert climb(ladder, port, [10.0], bad=False) == []
    assert climb(ladder, port, [30.0]) == [(30.0, "taken", "safe")]
    assert len(port.asked) == 1


def four_steps(*last: Rung) -> tuple[Ladder, Port]:
    """A ladder that has taken four steps, and has begun anew 70 s later and taken two more."""
    steps = (Step.RETRY, Step.REINIT, Step.RESET, Step.POWER_CYCLE)
    ladder, port = Ladder((*(Rung(step, SECOND) for step in steps), *last), "imu"), Port(*steps)
    ladder.start(0)
    assert len(climb(ladder, port, [0.0, 1.0, 2.0, 3.0])) == 4
    ladder.clear(4 * SECOND)
    ladder.start(70 * SECOND)
    assert [step for _, _, step in climb(ladder, port, [70.0, 71.0])] == ["retry", "re-init"]
    return ladder, port


def test_a_step_that_is_too_much_in_the_middle_of_a_climb_is_held_and_told() -> None:
    ladder, port = four_steps()
    assert climb(ladder, port, [72.0, 73.0, 599.9]) == [(72.0, "held", "reset")]
    assert climb(ladder, port, [600.0]) == [(600.0, "taken", "reset")]


def test_from_the_middle_of_a_climb_too_safe_is_next_where_it_is_ahead() -> None:
    ladder, port = four_steps(SAFE)
    asked = len(port.asked)
    assert climb(ladder, port, [72.0]) == [(72.0, "taken", "safe")]
    assert ladder.safe
    assert len(port.asked) == asked
