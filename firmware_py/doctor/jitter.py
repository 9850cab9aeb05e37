"""Free-running jitter at a board's rate beside a C twin that waits the same way in the same seconds.

The twin sleeps to shortly before the deadline (clock_nanosleep with an absolute time) and then polls, as RealClock
does, under the same real-time set-up. Python and C take turns in short rounds, so that both see the same machine.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firmware_py.clock import RealClock
from firmware_py.doctor.machine import Check, Status
from firmware_py.realtime import enter, leave
from firmware_py.scheduler import Histogram
from hal.profile.board import RealtimeConfig

__all__ = ["C_TWIN", "Jitter", "check_jitter", "compile_twin", "measure_jitter", "twin_round"]

ROUND_S = 0.5
SHARE_OF_PERIOD = 0.2
"""Lateness that is allowed: 1 ms at 200 Hz."""
RATIO = 1.5
"""Allowed beside the C twin."""
NS = 1_000_000_000
TIMEOUT_S = 60

C_TWIN = r"""
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
int main(int argc, char **argv) {
    if (argc != 4) return 2;
    int64_t hz = atoll(argv[1]), ticks = atoll(argv[2]), spin = atoll(argv[3]);
    int64_t *late = calloc((size_t)ticks, sizeof *late);
    if (!late || hz <= 0) return 2;
    mlockall(MCL_CURRENT | MCL_FUTURE);
    int64_t start = now_ns() + 10000000;
    for (int64_t k = 0; k < ticks; k++) {
        int64_t due = start + k * 1000000000 / hz, wake = due - spin, now;
        struct timespec t = {wake / 1000000000, wake % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
        while ((now = now_ns()) < due) {}
        late[k] = now - due;
    }
    return fwrite(late, sizeof *late, (size_t)ticks, stdout) == (size_t)ticks ? 0 : 1;
}
"""


@dataclass(frozen=True, slots=True)
class Jitter:
    """What was measured. ``twin`` is ``None`` where there is no C compiler; ``degraded`` names refused measures."""

    hz: int
    ours: Histogram
    twin: Histogram | None
    degraded: tuple[str, ...]


def compile_twin(folder: Path, find: Callable[[str], str | None] = shutil.which) -> Path | None:
    """The C twin, compiled into a folder; ``None`` without a compiler. Raises OSError, SubprocessError."""
    compiler = find("gcc")
    if compiler is None:
        return None
    source, program = folder / "twin.c", folder / "twin"
    source.write_text(C_TWIN)
    command = [compiler, "-O2", "-std=gnu11", "-Wall", "-Werror", "-o", str(program), str(source)]
    subprocess.run(command, check=True, timeout=TIMEOUT_S, capture_output=True)
    return program


def twin_round(program: Path, hz: int, ticks: int, spin_us: int, into: Histogram) -> None:
    """One round of the C twin, its lateness added. Raises OSError, SubprocessError.

    A child inherits FIFO scheduling and affinity from the thread that calls this.
    """
    command = [str(program), str(hz), str(ticks), str(spin_us * 1000)]
    answer = subprocess.run(command, capture_output=True, check=True, timeout=TIMEOUT_S)
    for (lateness,) in struct.iter_unpack("q", answer.stdout):
        into.add(lateness)


def measure_jitter(
    hz: int, seconds: float, realtime: RealtimeConfig, find: Callable[[str], str | None] = shutil.which
) -> Jitter:
    """Wait for ticks at ``hz`` for about ``seconds``, half of them in C if there is a compiler."""
    ours, twin = Histogram(), Histogram()
    degraded: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            program = compile_twin(Path(folder), find)
        except (OSError, subprocess.SubprocessError):
            program = None
        ticks = max(1, round(ROUND_S * hz))
        rounds = max(1, round(seconds / ROUND_S / (1 if program is None else 2)))
        status = enter(realtime, lambda _code, measure, why: degraded.append(f"{measure} {why}"))
        try:
            for _ in range(rounds):
                _round(hz, ticks, realtime.spin_us, ours)
                if program is not None:
                    twin_round(program, hz, ticks, realtime.spin_us, twin)
        finally:
            leave(status)
    return Jitter(hz, ours, twin if twin.count else None, tuple(degraded))


def _round(hz: int, ticks: int, spin_us: int, into: Histogram) -> None:
    clock = RealClock(epoch_ns=0, spin_us=spin_us)
    first = clock.now_ns() + NS // 100
    for number in range(ticks):
        into.add(clock.sleep_until_ns(first + number * NS // hz))


def check_jitter(jitter: Jitter) -> Check:
    """The 99.9th percentile against a fifth of a period, and against the C twin's."""
    name = f"free-running jitter, {jitter.hz} Hz"
    limit_us = SHARE_OF_PERIOD * 1e6 / jitter.hz
    allowed = f"p99.9 below {limit_us:.0f} us"
    ours_us = (jitter.ours.percentile_ns(99.9) or 0) / 1000.0
    median_us = (jitter.ours.percentile_ns(50.0) or 0) / 1000.0
    found = f"p50 {median_us:.0f} us, p99.9 {ours_us:.0f} us of {jitter.ours.count}"
    twin_us = None if jitter.twin is None else (jitter.twin.percentile_ns(99.9) or 0) / 1000.0
    if twin_us is None:
        found += "; no C compiler: not compared"
    else:
        found += f"; C twin {twin_us:.0f} us"
        allowed += f", at most {RATIO:g} times C"
    if jitter.degraded:
        found += f"; refused: {', '.join(jitter.degraded)}"
    if ours_us >= limit_us:
        blame = "the C twin is as late: " if twin_us is not None and RATIO * twin_us >= ours_us else ""
        step = f"{blame}free the processor of other work; then real-time rights, isolcpus, governor, PREEMPT_RT"
        return Check(name, Status.FAIL, found, step, allowed)
    if twin_us is not None and ours_us > RATIO * twin_us:
        step = "measure longer (--seconds 60): few ticks make a ratio of chance"
        return Check(name, Status.WARN, found, step, allowed)
    return Check(name, Status.PASS, found, allowed=allowed)
