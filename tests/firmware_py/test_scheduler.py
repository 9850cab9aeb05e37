"""Scheduler: exact grid, exact overrun policy, no bursts, one guard, a watchdog that starves when it must."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.clock import ClockMeter, Meter, SimClock
from firmware_py.scheduler import (
    DROP_AFTER_LATE,
    RETURN_AFTER_GOOD,
    STARVE_AFTER_MISSES,
    STOP_AFTER_LATE,
    EventCode,
    Histogram,
    Member,
    MemberTiming,
    RateGroup,
    Scheduler,
    in_phase,
)
from hal.profile import RateConfig

FAST, MEDIUM, SLOW = RateGroup.FAST, RateGroup.MEDIUM, RateGroup.SLOW
MS = 1_000_000
PERIOD = 5 * MS
RATES = RateConfig(200, 20.0, 2.0)


class Bench:
    """A scheduler on a simulated clock; ``costs`` maps a tick's deadline to the time that the member ``load`` takes."""

    def __init__(self, *members: Member, rates: RateConfig = RATES, meter: str = "none", feed_ms: int = 0) -> None:
        self.clock = SimClock()
        self.costs: Callable[[int], int] = lambda now_ns: 0
        self.starts: list[tuple[int, int]] = []
        self.events: list[tuple[str | int, ...]] = []
        self.shut: list[int] = []
        self.fed: list[int] = []
        chosen: Meter | None = ClockMeter(self.clock) if meter == "clock" else None
        load = Member("load", self._load, FAST, 0, 2000, True)
        self.scheduler = Scheduler(
            rates, [load, *members], self.clock, self._event, self.shut.append, self.fed.append, chosen,
            watchdog_period_ms=feed_ms,
        )

    def _load(self, now_ns: int) -> None:
        self.starts.append((now_ns, self.clock.now_ns()))
        self.clock.charge(self.costs(now_ns))

    def _event(self, code: str, *detail: str | int) -> None:
        self.events.append((code, *detail))

    def late(self, count: int) -> None:
        """Run ``count`` ticks, each of which ends just after the next deadline, so that no tick is lost."""
        for _ in range(count):
            self.costs = lambda now_ns: now_ns + PERIOD - self.clock.now_ns()
            self.scheduler.run_tick()
        self.costs = lambda now_ns: 0

    def good(self, count: int) -> None:
        for _ in range(count):
            self.scheduler.run_tick()

    def codes(self) -> list[str | int]:
        return [event[0] for event in self.events]


def recorder(log: list[tuple[str, int]], name: str) -> Callable[[int], None]:
    return lambda now_ns: log.append((name, now_ns))


def nothing(now_ns: int) -> None:
    pass


def member(bench: Bench, name: str) -> MemberTiming:
    return next(m for m in bench.scheduler.summary().members if m.name == name)


# Table and order


def test_fast_members_run_in_table_order_then_medium_then_slow() -> None:
    log: list[tuple[str, int]] = []
    table = [
        Member("s", recorder(log, "s"), SLOW, 0, 100, False),
        Member("m", recorder(log, "m"), MEDIUM, 0, 100, False),
        Member("b", recorder(log, "b"), FAST, 0, 100, False),
        Member("a", recorder(log, "a"), FAST, 0, 100, False),
    ]
    bench = Bench(*table)
    bench.good(2)
    assert [name for name, _ in log] == ["b", "a", "m", "s", "b", "a"]


@pytest.mark.parametrize(("group", "divisor"), [(FAST, 1), (MEDIUM, 10), (SLOW, 100)])
def test_each_group_runs_at_its_rate_and_phase(group: RateGroup, divisor: int) -> None:
    log: list[tuple[str, int]] = []
    phase = divisor // 3
    bench = Bench(Member("x", recorder(log, "x"), group, phase, 100, False))
    bench.scheduler.run(until_ns=2_000 * MS)
    assert [now for _, now in log] == [PERIOD * tick for tick in range(phase, 400, divisor)]


def test_phases_spread_members_over_ticks() -> None:
    log: list[tuple[str, int]] = []
    bench = Bench(*(Member(f"m{p}", recorder(log, f"m{p}"), MEDIUM, p, 300, False) for p in range(10)))
    bench.good(20)
    assert [now for _, now in log] == [PERIOD * tick for tick in range(20)]
    assert bench.scheduler.planned_peak_us() == 2300


@pytest.mark.parametrize(
    ("group", "phase", "allowed"),
    [(FAST, 1, False), (MEDIUM, 9, True), (MEDIUM, 10, False), (SLOW, 99, True), (SLOW, 100, False), (SLOW, -1, False)],
)
def test_a_phase_outside_its_period_is_refused(group: RateGroup, phase: int, allowed: bool) -> None:
    if allowed:
        Bench(Member("x", nothing, group, phase, 100, False))
    else:
        with pytest.raises(ValueError, match="phase"):
            Bench(Member("x", nothing, group, phase, 100, False))


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="two members are called load"):
        Bench(Member("load", nothing, FAST, 0, 100, False))


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="budget"):
        Bench(Member("x", nothing, FAST, 0, 0, False))


@pytest.mark.parametrize(
    "rates",
    [RateConfig(200, 30.0, 2.0), RateConfig(200, 20.0, 3.0), RateConfig(200, 400.0, 2.0), RateConfig(40, 20.0, 2.0),
     RateConfig(1000, 1.0, 0.001), RateConfig(200, 20.0, 0.0)],
)
def test_rates_that_are_not_harmonic_or_out_of_range_are_refused(rates: RateConfig) -> None:
    with pytest.raises(ValueError, match=r"evenly|outside|too long"):
        Bench(rates=rates)


def test_the_grid_has_no_drift_at_any_base_rate() -> None:
    for hz in range(50, 1001):
        bench = Bench(rates=RateConfig(hz, float(hz), hz / 2))
        bench.clock.sleep_until_ns(999_000 * MS)
        bench.scheduler.align()
        bench.scheduler.run(until_ns=999_020 * MS)
        nominal = [k * 10**9 // hz for k in range(999 * hz, -(-999_020 * hz // 1000))]
        assert bench.starts == [(now, now) for now in nominal], f"at {hz} Hz"
        assert bench.scheduler.late_ticks == bench.scheduler.lost_ticks == 0, f"at {hz} Hz"


@pytest.mark.parametrize("meter", ["none", "clock"])
def test_step_gets_the_deadline_even_when_the_tick_starts_late(meter: str) -> None:
    bench = Bench(meter=meter)
    bench.late(1)
    bench.clock.charge(2 * MS)
    bench.good(1)
    assert bench.starts[1] == (PERIOD, PERIOD + 2 * MS)


def test_the_first_tick_is_the_next_one_of_the_grid() -> None:
    bench = Bench()
    bench.clock.sleep_until_ns(12 * MS)
    assert bench.scheduler.next_deadline_ns == 15 * MS
    bench.good(1)
    assert bench.starts == [(15 * MS, 15 * MS)]
    assert bench.scheduler.lost_ticks == 0


# Running


def test_run_ends_before_its_instant_and_goes_on_from_there() -> None:
    bench = Bench()
    bench.scheduler.run(until_ns=50 * MS)
    assert bench.scheduler.ticks == 10
    bench.scheduler.run(until_ns=100 * MS)
    assert [now for now, _ in bench.starts] == [PERIOD * k for k in range(20)]


def test_run_stops_when_asked_to() -> None:
    bench = Bench()
    bench.scheduler.run(stop=lambda: bench.scheduler.ticks >= 7)
    assert bench.scheduler.ticks == 7


def test_same_costs_give_the_same_history() -> None:
    def history() -> tuple[object, ...]:
        bench = Bench(Member("m", nothing, MEDIUM, 3, 100, False), meter="clock")
        bench.costs = lambda now_ns: (now_ns // PERIOD * 2_654_435_761) % 9_000_000
        bench.good(2000)
        return bench.starts, bench.events, bench.shut, bench.fed, bench.scheduler.summary().as_dict()

    assert history() == history()


# Late, lost, no bursts


def test_a_tick_is_late_when_its_work_reaches_the_next_deadline() -> None:
    bench = Bench()
    bench.costs = lambda now_ns: PERIOD - 1
    bench.good(1)
    assert bench.scheduler.late_ticks == 0
    bench.costs = lambda now_ns: PERIOD
    bench.good(1)
    assert bench.scheduler.late_ticks == 1
    assert bench.scheduler.lost_ticks == 0


def test_a_tick_is_late_when_it_starts_a_period_after_its_deadline() -> None:
    bench = Bench()
    bench.good(1)
    bench.clock.charge(2 * PERIOD)
    bench.good(1)
    assert bench.scheduler.late_ticks == 1
    assert bench.scheduler.lost_ticks == 1
    assert bench.starts[-1] == (2 * PERIOD, 2 * PERIOD)
    assert (EventCode.TICKS_LOST, 1) in bench.events


def test_one_stall_inside_a_member_is_one_late_tick_however_long() -> None:
    bench = Bench()
    bench.costs = lambda now_ns: 1_000 * MS + 1 if now_ns == 0 else 0
    bench.good(2)
    assert bench.scheduler.late_ticks == 1
    assert bench.scheduler.lost_ticks == 199
    assert bench.starts[1] == (1_000 * MS, 1_000 * MS + 1)


@pytest.mark.parametrize("hz", [50, 64, 100, 128, 200, 250, 333, 400, 500, 600, 777, 999, 1000])
@pytest.mark.parametrize("stall_ms", [0, 3, 21, 170, 5_000])
def test_every_deadline_is_run_or_counted_lost_at_all_base_rates(hz: int, stall_ms: int) -> None:
    bench = Bench(rates=RateConfig(hz, float(hz), hz / 2))
    bench.costs = lambda now_ns: stall_ms * MS if len(bench.starts) == 5 else 0
    bench.good(30)
    deadlines = [k * 10**9 // hz for k in range(bench.scheduler.ticks + bench.scheduler.lost_ticks)]
    ran = [now for now, _ in bench.starts]
    assert set(ran) <= set(deadlines)
    assert ran[-1] == deadlines[-1]
    assert len(deadlines) - len(ran) == bench.scheduler.lost_ticks
    assert bench.scheduler.lost_ticks == max(0, stall_ms * hz // 1000 - 1)


@given(
    hz=st.integers(50, 1000),
    costs=st.lists(st.integers(0, 60_000_000), min_size=5, max_size=40),
)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_no_tick_starts_before_or_a_period_after_its_deadline_so_there_are_no_bursts(hz: int, costs: list[int]) -> None:
    bench = Bench(rates=RateConfig(hz, float(hz), float(hz)))
    bench.costs = lambda now_ns: costs[len(bench.starts) % len(costs)]
    bench.good(2 * len(costs))
    for now, start in bench.starts:
        tick = -(-now * hz // 10**9)
        assert now <= start < (tick + 1) * 10**9 // hz
    nominal = [now for now, _ in bench.starts]
    assert nominal == sorted(set(nominal))


def test_members_due_in_lost_ticks_count_as_skipped_and_are_not_made_up() -> None:
    log: list[tuple[str, int]] = []
    bench = Bench(Member("m", recorder(log, "m"), MEDIUM, 4, 100, False))
    bench.costs = lambda now_ns: 16 * PERIOD if now_ns == 0 else 0
    bench.good(1)
    assert member(bench, "m").skipped == 2  # ticks 4 and 14 of the lost 1..15
    assert member(bench, "load").skipped == 15
    bench.good(10)
    assert [now for _, now in log] == [24 * PERIOD]


# Overrun policy


def test_the_limits_are_those_of_the_requirement() -> None:
    assert (DROP_AFTER_LATE, STOP_AFTER_LATE, RETURN_AFTER_GOOD, STARVE_AFTER_MISSES) == (3, 20, 100, 3)


def test_two_late_ticks_change_nothing_and_the_third_drops_non_critical_members() -> None:
    bench = Bench(Member("extra", nothing, FAST, 0, 100, False))
    bench.late(DROP_AFTER_LATE - 1)
    assert not bench.scheduler.dropping
    assert bench.events == []
    bench.late(1)
    assert bench.scheduler.dropping
    assert bench.codes() == [EventCode.CPU_OVERRUN]
    assert bench.events[0][1] == 3
    bench.good(2)
    assert member(bench, "extra").runs == 3
    assert member(bench, "extra").skipped == 2
    assert member(bench, "extra").dropped
    assert member(bench, "load").runs == 5


def test_a_good_tick_between_late_ones_starts_the_count_afresh() -> None:
    bench = Bench()
    for _ in range(10):
        bench.late(DROP_AFTER_LATE - 1)
        bench.good(1)
    assert bench.scheduler.late_ticks == 20
    assert bench.events == []
    assert bench.scheduler.summary().late_in_row_max == 2


def test_dropped_members_come_back_after_a_hundred_good_ticks_in_a_row() -> None:
    bench = Bench(Member("extra", nothing, FAST, 0, 100, False))
    bench.late(3)
    bench.good(RETURN_AFTER_GOOD - 1)
    bench.late(1)
    bench.good(RETURN_AFTER_GOOD - 1)
    assert bench.scheduler.dropping
    bench.good(1)
    assert not bench.scheduler.dropping
    assert bench.codes() == [EventCode.CPU_OVERRUN, EventCode.CPU_RECOVERED]
    bench.good(1)
    assert member(bench, "extra").runs == 4


def test_nineteen_late_ticks_leave_the_valves_and_the_twentieth_shuts_them_once() -> None:
    bench = Bench()
    bench.late(STOP_AFTER_LATE - 1)
    assert bench.shut == []
    assert len(bench.fed) == 19
    bench.late(1)
    assert bench.shut == [19 * PERIOD]
    assert bench.scheduler.stopped
    assert bench.codes() == [EventCode.CPU_OVERRUN, EventCode.CPU_OVERRUN_STOP]
    bench.late(30)
    assert len(bench.shut) == 1


def test_the_stop_is_latched_until_an_explicit_reset() -> None:
    bench = Bench()
    bench.late(STOP_AFTER_LATE)
    fed = len(bench.fed)
    bench.good(500)
    assert bench.scheduler.stopped
    assert bench.scheduler.watchdog_starving
    assert len(bench.fed) == fed
    bench.scheduler.reset_overrun()
    assert not bench.scheduler.stopped
    bench.good(1)
    assert len(bench.fed) == fed + 1
    assert bench.codes()[-1] == EventCode.CPU_OVERRUN_RESET


def test_after_a_reset_the_stop_needs_twenty_late_ticks_again() -> None:
    bench = Bench()
    bench.late(STOP_AFTER_LATE)
    bench.scheduler.reset_overrun()
    bench.late(STOP_AFTER_LATE - 1)
    assert len(bench.shut) == 1
    bench.late(1)
    assert len(bench.shut) == 2


def test_a_reset_without_a_stop_tells_nothing() -> None:
    bench = Bench()
    bench.scheduler.reset_overrun()
    assert bench.events == []


def test_sustained_overload_by_a_fifth_of_a_period_is_late_in_every_tick() -> None:
    bench = Bench()
    bench.costs = lambda now_ns: PERIOD * 6 // 5
    bench.good(STOP_AFTER_LATE)
    assert bench.scheduler.late_ticks == STOP_AFTER_LATE
    assert len(bench.shut) == 1
    assert bench.scheduler.lost_ticks == 4


def test_critical_members_are_never_dropped() -> None:
    bench = Bench(Member("vital", nothing, MEDIUM, 0, 100, True))
    bench.late(3)
    bench.good(97)
    assert member(bench, "vital").runs == 10
    assert member(bench, "vital").skipped == 0


# The guard


class Failing:
    def __init__(self) -> None:
        self.broken = True

    def step(self, now_ns: int) -> None:
        if self.broken:
            raise RuntimeError("no")


@pytest.mark.parametrize("meter", ["none", "clock"])
def test_a_member_that_raises_is_counted_told_and_the_next_member_runs(meter: str) -> None:
    log: list[tuple[str, int]] = []
    bench = Bench(
        Member("bad", Failing().step, FAST, 0, 100, False), Member("next", recorder(log, "next"), FAST, 0, 100, False),
        meter=meter,
    )
    bench.good(1)
    code, name, kind, origin = bench.events[0]
    assert (code, name, kind) == (EventCode.MEMBER_FAILED, "bad", "RuntimeError")
    assert str(origin).startswith("Failing.step:")
    assert log == [("next", 0)]
    assert member(bench, "bad").failures == member(bench, "bad").runs == 1


def test_an_interrupt_is_not_swallowed() -> None:
    def interrupted(now_ns: int) -> None:
        raise KeyboardInterrupt

    bench = Bench(Member("x", interrupted, FAST, 0, 100, False))
    with pytest.raises(KeyboardInterrupt):
        bench.good(1)


@pytest.mark.parametrize("meter", ["none", "clock"])
def test_a_critical_member_that_raises_three_times_in_a_row_starves_the_watchdog(meter: str) -> None:
    vital = Failing()
    bench = Bench(Member("vital", vital.step, FAST, 0, 100, True), meter=meter)
    bench.good(STARVE_AFTER_MISSES - 1)
    assert len(bench.fed) == 2
    bench.good(5)
    assert len(bench.fed) == 2
    assert bench.scheduler.summary().starved == ("vital",)
    assert bench.codes().count(EventCode.WATCHDOG_STARVED) == 1
    vital.broken = False
    bench.good(STARVE_AFTER_MISSES - 1)
    assert len(bench.fed) == 2
    bench.good(1)
    assert len(bench.fed) == 3
    assert bench.events[-1] == (EventCode.WATCHDOG_RESUMED, "vital")


def test_a_success_between_two_failures_is_no_progress() -> None:
    calls = [0]

    def shaky(now_ns: int) -> None:
        calls[0] += 1
        if calls[0] % 3:
            raise ValueError

    bench = Bench(Member("vital", shaky, FAST, 0, 100, True))
    bench.good(60)
    assert len(bench.fed) == 3
    assert bench.scheduler.members_stuck


def test_what_always_fails_does_not_fill_the_record() -> None:
    bench = Bench(Member("bad", Failing().step, FAST, 0, 100, False))
    bench.good(1000)
    told = bench.codes().count(EventCode.MEMBER_FAILED)
    assert told == 8 + 6  # 1 to 8, then 16, 32, 64, 128, 256, 512
    assert member(bench, "bad").failures == 1000


def test_a_non_critical_member_never_starves_the_watchdog() -> None:
    bench = Bench(Member("bad", Failing().step, FAST, 0, 100, False))
    bench.good(50)
    assert len(bench.fed) == 50


def test_the_watchdog_waits_for_every_stuck_member() -> None:
    first, second = Failing(), Failing()
    bench = Bench(Member("a", first.step, FAST, 0, 100, True), Member("b", second.step, FAST, 0, 100, True))
    bench.good(4)
    first.broken = False
    bench.good(4)
    assert len(bench.fed) == 2
    second.broken = False
    bench.good(STARVE_AFTER_MISSES)
    assert len(bench.fed) == 3


def test_a_critical_member_whose_slots_are_always_lost_starves_the_watchdog() -> None:
    bench = Bench(Member("vital", nothing, MEDIUM, 1, 100, True))
    bench.costs = lambda now_ns: PERIOD * 5 // 2 if now_ns // PERIOD % 10 == 0 else 0
    bench.good(1)
    assert bench.fed
    bench.good(30)
    assert member(bench, "vital").runs == 0
    assert bench.scheduler.summary().starved == ("vital",)
    assert bench.scheduler.watchdog_starving


def test_one_stall_does_not_starve_the_watchdog() -> None:
    bench = Bench(Member("vital", nothing, SLOW, 50, 100, True))
    bench.costs = lambda now_ns: 90 * MS if now_ns == 240 * MS else 0
    bench.good(100)
    assert len(bench.fed) == 100
    assert EventCode.WATCHDOG_STARVED not in bench.codes()


def test_a_dropped_member_never_starves_the_watchdog() -> None:
    bench = Bench(Member("extra", nothing, FAST, 0, 100, False))
    bench.late(3)
    bench.good(20)
    assert len(bench.fed) == 23


@pytest.mark.parametrize(("hz", "every"), [(50, 1), (200, 4), (500, 10), (1000, 20)])
def test_the_watchdog_is_fed_every_twenty_milliseconds(hz: int, every: int) -> None:
    bench = Bench(rates=RateConfig(hz, hz / 10, hz / 100), feed_ms=20)
    bench.good(200)
    assert bench.fed == [k * 10**9 // hz for k in range(0, 200, every)]


# Hooks


def hook_bench(**hooks: Callable[..., None]) -> tuple[Scheduler, list[tuple[str | int, ...]], SimClock]:
    events: list[tuple[str | int, ...]] = []
    clock = SimClock()
    names = {"on_event": lambda *e: events.append(e), "shut_valves": nothing, "feed_watchdog": nothing, **hooks}
    table = [Member("load", lambda now_ns: clock.charge(PERIOD), FAST, 0, 100, True)]
    return Scheduler(RATES, table, clock, watchdog_period_ms=0, **names), events, clock


def refuse(*arguments: object) -> None:
    raise OSError("refused")


@pytest.mark.parametrize("hook", ["shut_valves", "feed_watchdog"])
def test_a_hook_that_raises_is_counted_and_told(hook: str) -> None:
    scheduler, events, _ = hook_bench(**{hook: refuse})
    for _ in range(STOP_AFTER_LATE):
        scheduler.run_tick()
    assert scheduler.stopped
    assert any(event[:3] == (EventCode.HOOK_FAILED, hook, "OSError") for event in events)
    assert scheduler.summary().hook_failures >= 1


def test_an_event_sink_that_raises_does_not_end_the_loop() -> None:
    scheduler, _, _ = hook_bench(on_event=refuse)
    for _ in range(STOP_AFTER_LATE):
        scheduler.run_tick()
    assert scheduler.stopped
    assert scheduler.summary().hook_failures == 2  # drop and stop were told to nobody


def test_idle_time_is_handed_out_only_when_there_is_some() -> None:
    slack: list[int] = []
    cost = [2 * MS]
    clock = SimClock()
    table = [Member("load", lambda now_ns: clock.charge(cost[0]), FAST, 0, 100, True)]
    scheduler = Scheduler(RATES, table, clock, lambda *e: None, nothing, nothing, on_idle=slack.append)
    scheduler.run_tick()
    assert slack == [3 * MS]
    cost[0] = 7 * MS
    scheduler.run_tick()
    assert slack == [3 * MS]


# Profile


def test_slips_are_counted_by_wall_in_every_tick_and_by_cpu_in_the_sampled_ones() -> None:
    bench = Bench(meter="clock")
    bench.costs = lambda now_ns: 2_000_001
    bench.good(340)
    timing = member(bench, "load")
    assert timing.wall_slips == timing.runs == 340
    # Every 17th of the ticks 0..339; 17 is the first from 16 on that has no factor in common with 100.
    assert timing.cpu_samples == timing.cpu_slips == 20
    assert bench.scheduler.late_ticks == 0


def test_a_run_of_exactly_its_budget_is_no_slip() -> None:
    bench = Bench(meter="clock")
    bench.costs = lambda now_ns: 2_000_000
    bench.good(10)
    assert member(bench, "load").wall_slips == 0


class TwoMeters:
    """Wall time runs twice as fast as processor time, as when another process shares the core."""

    measures = True

    def __init__(self, clock: SimClock) -> None:
        self.cpu_ns = clock.now_ns

    def wall_ns(self) -> int:
        return 2 * self.cpu_ns()


def test_wall_and_cpu_slips_are_separate() -> None:
    clock = SimClock()
    table = [Member("x", lambda now_ns: clock.charge(60_000), FAST, 0, 100, True)]
    scheduler = Scheduler(RATES, table, clock, lambda *e: None, nothing, nothing, TwoMeters(clock))
    for _ in range(34):
        scheduler.run_tick()
    (timing,) = scheduler.summary().members
    assert (timing.wall_slips, timing.cpu_slips, timing.cpu_samples) == (34, 0, 2)
    assert (timing.wall_last_us, timing.cpu_last_us) == (120.0, 60.0)


class CostlyCpuMeter:
    """Reading the processor time takes 10 us of wall time."""

    measures = True

    def __init__(self, clock: SimClock) -> None:
        self.clock = clock
        self.wall_ns = clock.now_ns

    def cpu_ns(self) -> int:
        self.clock.charge(10_000)
        return self.clock.now_ns()


def test_the_cost_of_reading_the_processor_time_is_charged_to_no_member() -> None:
    clock = SimClock()
    table = [Member(name, lambda now_ns: clock.charge(1000), FAST, 0, 100, True) for name in "abc"]
    scheduler = Scheduler(RATES, table, clock, lambda *e: None, nothing, nothing, CostlyCpuMeter(clock))
    for _ in range(40):
        scheduler.run_tick()
    summary = scheduler.summary()
    assert [timing.wall_max_us for timing in summary.members] == [1.0, 1.0, 1.0]
    assert summary.duration.max_us == 3.0


def test_resetting_the_marks_in_a_row_of_late_ticks_keeps_the_row() -> None:
    bench = Bench()
    bench.late(5)
    bench.good(1)
    bench.late(2)
    bench.scheduler.reset_marks()
    summary = bench.scheduler.summary()
    assert (summary.late_in_row, summary.late_in_row_max, summary.late_ticks) == (2, 2, 7)


def test_every_slow_phase_gets_its_cpu_samples() -> None:
    bench = Bench(*(Member(f"s{p}", nothing, SLOW, p, 100, False) for p in range(100)), meter="clock")
    bench.good(1700)
    assert {m.cpu_samples for m in bench.scheduler.summary().members[1:]} == {1}


def test_mean_last_and_high_water_marks() -> None:
    bench = Bench(meter="clock")
    costs = [1000, 5000, 3000]
    bench.costs = lambda now_ns: costs[now_ns // PERIOD]
    bench.good(3)
    timing = member(bench, "load")
    assert (timing.wall_last_us, timing.wall_mean_us, timing.wall_max_us) == (3.0, 3.0, 5.0)
    bench.scheduler.reset_marks()
    bench.costs = lambda now_ns: 2000
    bench.good(1)
    assert member(bench, "load").wall_max_us == 2.0
    assert bench.scheduler.summary().duration.count == 1
    assert member(bench, "load").runs == 4


def test_without_a_meter_times_are_missing_not_zero() -> None:
    bench = Bench()
    bench.good(3)
    timing = member(bench, "load")
    assert timing.runs == 3
    assert timing.wall_last_us is None
    assert timing.wall_mean_us is None
    assert timing.cpu_max_us is None


def test_tick_duration_and_lateness_come_from_the_clock() -> None:
    bench = Bench()
    bench.costs = lambda now_ns: MS if now_ns % (10 * MS) else 6 * MS
    bench.good(100)
    summary = bench.scheduler.summary()
    assert summary.duration.max_us == 6000.0
    assert summary.duration.p50_us == pytest.approx(1000.0, rel=0.04)
    assert summary.lateness.max_us == 1000.0
    assert summary.lateness.count == 100


def test_a_summary_becomes_plain_values() -> None:
    bench = Bench()
    bench.good(1)
    plain = bench.scheduler.summary().as_dict()
    assert plain["members"][0]["name"] == "load"
    assert plain["lateness"]["count"] == 1
    assert plain["fast_hz"] == 200


# Histogram


def test_an_empty_histogram_has_no_percentile() -> None:
    assert Histogram().percentile_ns(50.0) is None


@given(
    st.lists(st.integers(0, (1 << 36) - 1), min_size=1, max_size=300),
    st.sampled_from([0.0, 50.0, 90.0, 99.0, 99.9, 100.0]),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_a_percentile_is_never_low_and_at_most_one_bin_high(values: list[int], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    rank = max(1, -(-round(percent * 10) * len(values) // 1000))
    exact = sorted(values)[rank - 1]
    found = histogram.percentile_ns(percent)
    assert found is not None
    assert exact <= found <= exact * (1 + 1 / 31)


def test_values_beyond_the_last_bin_keep_the_exact_maximum() -> None:
    histogram = Histogram()
    for value in (1 << 40, 1 << 38, -5):
        histogram.add(value)
    assert histogram.max_ns == 1 << 40
    assert histogram.count == 3
    assert histogram.percentile_ns(0.0) == 0


def test_a_percentile_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="percentile"):
        Histogram().percentile_ns(101.0)


# -- phases of a table at other rates


def test_phases_that_fit_stay_and_others_are_brought_into_their_period() -> None:
    table = (
        Member("a", nothing, FAST, 0, 100, True), Member("b", nothing, MEDIUM, 4, 100, True),
        Member("c", nothing, MEDIUM, 9, 100, False), Member("d", nothing, SLOW, 9, 100, False),
    )
    assert in_phase(table, RateConfig(fast_hz=200, medium_hz=20, slow_hz=2)) == table
    fitted = in_phase(table, RateConfig(fast_hz=100, medium_hz=20, slow_hz=5))
    assert [(member.name, member.phase) for member in fitted] == [("a", 0), ("b", 4), ("c", 4), ("d", 9)]
    assert fitted[0] is table[0]
    slow = in_phase(table, RateConfig(fast_hz=60, medium_hz=20, slow_hz=10))
    assert [member.phase for member in slow] == [0, 1, 0, 3]
    with pytest.raises(ValueError, match="does not divide"):
        in_phase(table, RateConfig(fast_hz=100, medium_hz=30, slow_hz=2))
