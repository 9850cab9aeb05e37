"""A computer that is too slow tells so at once and then four times a second, and no lost tick goes uncounted."""

from __future__ import annotations

from firmware_py.event_pace import GAP_NS, EventPace
from firmware_py.scheduler import EventCode, Member, RateGroup
from tests.firmware_py.rig_craft import Craft

MS = 1_000_000
TICK = 5 * MS


class Told:
    """What was told, and when."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.rows: list[tuple[int, str, str]] = []
        self.pace = EventPace(lambda code, text: self.rows.append((self.now_ns // MS, code.value, text)))

    def tick(self, *events: tuple[EventCode, tuple[str | int, ...]]) -> None:
        for code, detail in events:
            self.pace.take(code, detail, self.now_ns)
        self.pace.step(self.now_ns)
        self.now_ns += TICK


def test_one_is_told_at_once_as_it_came() -> None:
    told = Told()
    told.tick((EventCode.TICKS_LOST, (3,)), (EventCode.CPU_OVERRUN, (3, 812_000)))
    assert told.rows == [(0, "TICKS_LOST", "3"), (0, "CPU_OVERRUN", "3 812000")]


def test_of_a_burst_the_first_is_told_and_the_rest_in_one_with_its_count_and_sum() -> None:
    told = Told()
    for lost in range(1, 31):
        told.tick((EventCode.TICKS_LOST, (lost,)))
    for _ in range(100):
        told.tick()
    assert told.rows == [(0, "TICKS_LOST", "1"), (250, "TICKS_LOST", f"{sum(range(2, 31))} in 29 gaps")]


def test_what_lasts_is_told_four_times_a_second_and_every_tick_is_in_the_sum() -> None:
    told = Told()
    for _ in range(2000):
        told.tick((EventCode.TICKS_LOST, (2,)), (EventCode.CPU_OVERRUN, (3, 100)))
    told.pace.flush()
    lost = [text for _, code, text in told.rows if code == "TICKS_LOST"]
    assert sum(int(text.split()[0]) for text in lost) == 4000
    assert 40 <= len(lost) <= 42
    late = [text for _, code, text in told.rows if code == "CPU_OVERRUN"]
    assert late[:2] == ["3 100", "3 100, 50 times"]
    assert len(late) == len(lost)


def test_one_that_waited_alone_is_told_as_it_came_and_nothing_twice() -> None:
    told = Told()
    told.tick((EventCode.TICKS_LOST, (1,)))
    told.tick((EventCode.TICKS_LOST, (7,)))
    told.pace.flush()
    told.pace.flush()
    assert [text for _, _, text in told.rows] == ["1", "7"]
    told.now_ns += 2 * GAP_NS
    told.tick((EventCode.TICKS_LOST, (4,)))
    assert told.rows[-1][2] == "4"


def test_other_events_are_not_held_back() -> None:
    told = Told()
    for _ in range(20):
        told.tick((EventCode.MEMBER_FAILED, ("guard", "ValueError", "step:4")))
    assert len(told.rows) == 20
    assert told.rows[0][2] == "guard ValueError step:4"


def test_a_flight_on_a_computer_that_is_too_slow_tells_a_few_times_a_second_what_it_lost() -> None:
    load = 0
    craft = Craft(more_members=[Member("load", lambda _now: craft.clock.charge(load), RateGroup.FAST, 0, 9000, True)])
    craft.boot()
    began_s = craft.now_s
    load = 12 * MS
    craft.ticks(15)
    load = 0
    craft.run(1.0)
    lost = craft.texts("TICKS_LOST")
    assert 2 <= len(lost) <= 2 + 4 * (craft.now_s - began_s)
    assert sum(int(text.split()[0]) for text in lost) == craft.program.timing().lost_ticks > 15


def test_what_waits_is_told_when_the_program_ends() -> None:
    craft = Craft()
    craft.boot()
    for lost in (2, 3, 4):
        craft.program.scheduler._on_event(EventCode.TICKS_LOST, lost)
    craft.program.end()
    assert craft.texts("TICKS_LOST") == ["2", "7 in 2 gaps"]
