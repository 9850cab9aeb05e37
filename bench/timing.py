"""Timing of the flight loop: wake-up jitter beside a C twin, cost of the scheduler, repeatability on simulated time.

The C twin waits the same way (sleep to 100 us before the deadline by clock_nanosleep with an absolute time, then poll)
under the same real-time set-up. Python and C take turns in short rounds, so that both see the same machine in the same
seconds. Figures are those of the scheduler's own histogram for both.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random
from time import perf_counter_ns

from bench.harness import Report
from firmware_py.clock import Meter, NullMeter, RealClock, RealMeter, SimClock
from firmware_py.doctor.jitter import compile_twin, twin_round
from firmware_py.realtime import enter, leave
from firmware_py.scheduler import Histogram, Member, RateGroup, Scheduler
from hal.profile.board import RateConfig, RealtimeConfig

ROUNDS = 5
ROUND_TICKS = {200: 300, 500: 750}
"""Base rate, Hz, and ticks of one round: 1.5 s each."""
SPIN_US = 100
MEMBERS = 15
JITTER_LIMIT_US = 1000.0
"""CANON 8: 99.9th percentile of the jitter under 1 ms."""
OVERHEAD_LIMIT_US = 25.0
"""A tenth of the 250 us that everything may cost in one simulated 5 ms tick."""


def run(report: Report) -> None:
    """Add the figures of this subject; about 35 s."""
    _overhead(report)
    _determinism(report)
    _jitter(report)


def _nothing(now_ns: int) -> None:
    pass


def _ignore(code: str, *detail: str | int) -> None:
    pass


def _table() -> list[Member]:
    groups = [RateGroup.FAST] * 9 + [RateGroup.MEDIUM] * 4 + [RateGroup.SLOW] * 2
    return [
        Member(f"member_{i}", _nothing, group, 0 if group is RateGroup.FAST else i % 10, 1000, i < 6)
        for i, group in enumerate(groups)
    ]


def _overhead(report: Report) -> None:
    """Time of a tick with 15 empty fast members beside the bare calls; the best of five, as other load only adds."""
    table = [Member(f"member_{i}", _nothing, RateGroup.FAST, 0, 1000, i < 6) for i in range(MEMBERS)]
    ticks = 20_000

    def tick_us(meter: Meter) -> float:
        scheduler = Scheduler(RateConfig(200, 20.0, 2.0), table, SimClock(), _ignore, _nothing, _nothing, meter)
        scheduler.run(until_ns=1_000_000_000)
        start = perf_counter_ns()
        for _ in range(ticks):
            scheduler.run_tick()
        return (perf_counter_ns() - start) / ticks / 1000.0

    def calls_us() -> float:
        steps = [member.step for member in table]
        start = perf_counter_ns()
        for tick in range(ticks):
            for step in steps:
                step(tick)
        return (perf_counter_ns() - start) / ticks / 1000.0

    bare = min(calls_us() for _ in range(5))
    plain = min(tick_us(NullMeter()) for _ in range(5))
    measured = min(tick_us(RealMeter()) for _ in range(5))
    limit = f"< {OVERHEAD_LIMIT_US:g}"
    report.add(f"tick of {MEMBERS} empty members, no profile", plain, "us", bare, limit, plain < OVERHEAD_LIMIT_US)
    report.add(f"tick of {MEMBERS} empty members, profiled", measured, "us", bare, limit, measured < OVERHEAD_LIMIT_US)


def _determinism(report: Report) -> None:
    """Two runs of 20 s of flight in which members take random time: how many entries of their histories differ."""

    def history(seed: int) -> list[tuple[object, ...]]:
        clock = SimClock()
        random = Random(seed)
        entries: list[tuple[object, ...]] = []

        def load(now_ns: int) -> None:
            clock.charge(int(random.expovariate(1.0 / 2_500_000)))
            entries.append((now_ns, clock.now_ns()))

        def tell(code: str, *detail: str | int) -> None:
            entries.append((code, *detail))

        table = [Member("load", load, RateGroup.FAST, 0, 2500, True), *_table()]
        scheduler = Scheduler(RateConfig(200, 20.0, 2.0), table, clock, tell, _nothing, _nothing)
        scheduler.run(until_ns=20_000_000_000)
        entries.append((str(scheduler.summary().as_dict()),))
        return entries

    first, second, other = history(1), history(1), history(2)
    differing = sum(a != b for a, b in zip(first, second, strict=False)) + abs(len(first) - len(second))
    holds = differing == 0 and first != other
    figure = "differing entries, same seed twice on the simulated clock"
    report.add(figure, differing, f"of {len(first)}", None, 0, holds)


def _jitter(report: Report) -> None:
    ours = {hz: Histogram() for hz in ROUND_TICKS}
    twin = {hz: Histogram() for hz in ROUND_TICKS}
    late = dict.fromkeys(ROUND_TICKS, 0)
    degraded: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        program = compile_twin(Path(folder))
        status = enter(RealtimeConfig(priority=50, cpu=None), lambda *event: degraded.append(event[1]))
        try:
            for _ in range(ROUNDS):
                for hz, ticks in ROUND_TICKS.items():
                    late[hz] += _python_round(hz, ticks, ours[hz])
                    if program is not None:
                        twin_round(program, hz, ticks, SPIN_US, twin[hz])
        finally:
            leave(status)
    report.add("real-time rights", "degraded: " + ", ".join(degraded) if degraded else "granted", "", None, None, True)
    if program is None:
        report.add("C twin", "left out: no gcc", "", None, None, True)
    for hz in ROUND_TICKS:
        for percent in (50.0, 99.0, 99.9, 100.0):
            value, reference = _us(ours[hz], percent), _us(twin[hz], percent)
            bounded = percent == 99.9
            holds = not bounded or (value is not None and value < JITTER_LIMIT_US)
            name = "worst" if percent == 100.0 else f"p{percent:g}"
            target = f"< {JITTER_LIMIT_US:g}" if bounded else None
            report.add(f"wake-up lateness {hz} Hz {name}, C beside it", value, "us", reference, target, holds)
        report.add(f"late ticks {hz} Hz", late[hz], f"of {ours[hz].count}", None, None, True)


def _us(histogram: Histogram, percent: float) -> float | None:
    value = histogram.percentile_ns(percent)
    return None if value is None else value / 1000.0


class _Recorder:
    """Real clock that also keeps the lateness of each wait in a histogram that outlives a round."""

    def __init__(self, into: Histogram) -> None:
        self._clock = RealClock(epoch_ns=0, spin_us=SPIN_US)
        self._into = into
        self.now_ns = self._clock.now_ns
        self.utc_ns = self._clock.utc_ns

    def sleep_until_ns(self, t_ns: int) -> int:
        lateness = self._clock.sleep_until_ns(t_ns)
        self._into.add(lateness)
        return lateness


def _python_round(hz: int, ticks: int, into: Histogram) -> int:
    """One round of the real scheduler with its profile on; returns the late ticks."""
    rates = RateConfig(hz, hz / 10, hz / 100)
    scheduler = Scheduler(rates, _table(), _Recorder(into), _ignore, _nothing, _nothing, RealMeter())
    scheduler.run(stop=lambda: scheduler.ticks >= ticks)
    return scheduler.late_ticks
