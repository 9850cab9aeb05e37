"""Wake-up jitter of the loop that ``qiki fly`` runs, beside a C twin in the same seconds on the other processor.

Both sleep to 100 us before the deadline and then poll, with FIFO priority and locked memory where they may have them;
after each round they change places, so that no processor favours one of them. On a machine with one processor they take
turns. The loop is the flight program's: its clock, its scheduler with the profile on, and its collector in idle time.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tempfile
from pathlib import Path

from bench.harness import Report
from bench.timing import SPIN_US, _ignore, _nothing, _Recorder, _table
from firmware_py.clock import RealMeter
from firmware_py.doctor.jitter import compile_twin
from firmware_py.realtime import IdleCollector, enter, leave
from firmware_py.scheduler import Histogram, Scheduler
from hal.profile.board import RateConfig, RealtimeConfig

__all__ = ["measure"]

ROUNDS = 10
ROUND_S = 2.0
RATES = (200, 500)
PRIORITY = 50
MOST_RATIO = 1.5


def measure(report: Report, short: bool = False) -> None:
    """Add p99.9 of both at 200 and 500 Hz, and their ratio."""
    ours = {hz: Histogram() for hz in RATES}
    twin = {hz: Histogram() for hz in RATES}
    degraded: list[str] = []
    cpus = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        program = compile_twin(Path(folder))
        if program is None:
            report.add("C twin", "left out: no gcc", "", None, None, False)
            return
        for index in range(2 if short else ROUNDS):
            for hz in RATES:
                mine, other = cpus[index % len(cpus)], cpus[(index + 1) % len(cpus)]
                _round(program, hz, mine, other, ours[hz], twin[hz], degraded)
    report.add("real-time rights", "refused: " + ", ".join(sorted(set(degraded))) if degraded else "granted")
    for hz in RATES:
        mine_us, twin_us = _us(ours[hz]), _us(twin[hz])
        ratio = mine_us / twin_us
        report.add(f"wake-up lateness {hz} Hz p99.9", round(mine_us, 1), "us", f"C twin {twin_us:.1f}")
        report.add(f"ratio to the C twin {hz} Hz p99.9", round(ratio, 2), "1", f"{ours[hz].count} ticks",
                   f"<= {MOST_RATIO:g}", ratio <= MOST_RATIO)


def _round(
    program: Path, hz: int, mine: int, other: int, ours: Histogram, twin: Histogram, degraded: list[str]
) -> None:
    """One round of both; at the same time if there are two processors."""
    ticks = round(hz * ROUND_S)
    command = [str(program), str(hz), str(ticks), str(SPIN_US * 1000)]

    def place() -> None:
        os.sched_setaffinity(0, {other})
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
        except PermissionError:
            return

    child = subprocess.Popen(command, stdout=subprocess.PIPE, preexec_fn=place)
    if mine == other:
        child.wait()
    status = enter(
        RealtimeConfig(priority=PRIORITY, cpu=mine), lambda *event: degraded.append(f"{event[1]} {event[2]}")
    )
    try:
        rates = RateConfig(hz, hz / 10, hz / 100)
        scheduler = Scheduler(
            rates, _table(), _Recorder(ours), _ignore, _nothing, _nothing, RealMeter(), IdleCollector().step
        )
        scheduler.run(stop=lambda: scheduler.ticks >= ticks)
    finally:
        leave(status)
    answer, _ = child.communicate(timeout=60)
    for (lateness,) in struct.iter_unpack("q", answer):
        twin.add(lateness)


def _us(histogram: Histogram) -> float:
    value = histogram.percentile_ns(99.9)
    if value is None:
        raise ValueError("nothing was measured")
    return value / 1000.0
