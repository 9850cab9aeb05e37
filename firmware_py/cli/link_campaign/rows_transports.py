"""Rows of the lines: a serial line finds its feet, no clock is read, and no noise takes long or grows."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

import comms
from comms.transports import cobs, memory_pair
from comms.transports.isotp import IsoTp, IsoTpConfig
from comms.transports.pacer import HalfDuplex, Pacer
from comms.transports.serial_frame import Deframer, encode_frame
from firmware_py.cli.link_campaign.clock_reads import reads_of_package
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from hil.link_line import GilbertElliott, LineRules, LinkLine

__all__ = ["CLOCK_STEPS", "ROWS"]

MOST_FAILURES = 20
LONGEST = 512
MS = 1_000_000
HOUR_S = 3600.0
SLOWEST_NS = 1_000_000
SUSPECT_NS = 100_000
"""From here on a time is taken again."""
MOST_GROWTH_BYTES = 10 << 20
_PAGE = 4096
_TELL_EVERY = 1000


# -- row 2: a serial line after a cut or garbage


def _damage(stream: bytes, starts: list[int], rng: np.random.Generator) -> tuple[bytes, int, int]:
    """A stream that is cut, spliced or has garbage in it, and from where to where its bytes are not the sent ones."""
    kind = int(rng.integers(4))
    begin = int(rng.integers(len(stream)))
    end = begin
    garbage = b""
    if kind == 0:  # a piece is missing
        end = min(len(stream), begin + int(rng.integers(1, 2 * LONGEST)))
    elif kind == 1:  # something is in between
        garbage = rng.bytes(int(rng.integers(1, 65)))
    elif kind == 2:  # the end of one frame and the beginning of another
        first, second = sorted(int(index) for index in rng.integers(0, len(starts), 2))
        begin = starts[first] + int(rng.integers(1, 20))
        end = max(begin, starts[second] + int(rng.integers(0, 20)))
    else:  # bytes turned into others, the delimiter perhaps too
        end = min(len(stream), begin + int(rng.integers(1, 33)))
        garbage = rng.bytes(end - begin)
    end = min(end, len(stream))
    return stream[:begin] + garbage + stream[end:], begin, end


def _resync(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    failures: list[str] = []
    worst = "worst loss beyond the damage"
    counts = {"frames": 0.0, "lost beyond the damage": 0.0, worst: 0.0, "broken that passed": 0.0}
    for case in range(cases):
        sent = [rng.bytes(int(rng.integers(24, 316))) for _ in range(6)]
        frames = [encode_frame(payload) for payload in sent]
        starts = [sum(map(len, frames[:index])) for index in range(len(frames))]
        stream, begin, end = _damage(b"".join(frames), starts, rng)
        try:
            arrived = _read(stream, int(rng.integers(1, 200)))
        except Exception as error:  # the row exists to find any
            failures.append(f"case {case}: {type(error).__name__}: {error}")
            continue
        counts["frames"] += len(frames)
        # The CRC lets one broken frame in 65,536 through; the record's tag does not.
        counts["broken that passed"] += sum(payload not in sent for payload in arrived)
        before = [p for p, f, at in zip(sent, frames, starts, strict=True) if at + len(f) <= begin]
        after = [p for p, at in zip(sent, starts, strict=True) if at >= end]
        lost = sum(payload not in arrived for payload in after)
        counts["lost beyond the damage"] += lost
        counts[worst] = max(counts[worst], lost)
        if arrived[: len(before)] != before or lost > 1:
            failures.append(f"case {case}: bytes {begin} to {end} damaged, {lost} whole frames behind them lost")
        if not case % _TELL_EVERY:
            progress(case, cases)
    progress(cases, cases)
    return RowResult(not failures, cases, counts, tuple(failures[:MOST_FAILURES]))


def _read(stream: bytes, step: int) -> list[bytes]:
    deframer = Deframer(LONGEST)
    return [payload for at in range(0, len(stream), step) for payload in deframer.feed(stream[at : at + step])]


# -- row 10: the machine's clock does what it likes


CLOCK_STEPS: dict[str, Callable[[float], float]] = {
    "an hour back": lambda t: t - HOUR_S,
    "two hours on": lambda t: t + 2 * HOUR_S,
    "to 1970": lambda t: t % 60.0,
    "to 2038": lambda t: 2.0**31 - 30.0 + t % 60.0,
    "to 2106": lambda t: 2.0**32 - 30.0 + t % 60.0,
    "a tenth too fast": lambda t: t * 1.1,
    "a tenth too slow": lambda t: t * 0.9,
}
"""What happens to the machine's clocks half-way through an exercise."""
_SECONDS = ("time", "monotonic", "perf_counter", "process_time", "thread_time")


@contextmanager
def _clocks(change: Callable[[float], float]) -> Iterator[Callable[[], int]]:
    """Every clock of the machine goes wrong; what is given tells how often the link's code asked one."""
    asked = 0
    kept = {name: getattr(time, name) for base in _SECONDS for name in (base, f"{base}_ns")}

    def wrong(real: Callable[[], Any], whole_ns: bool) -> Callable[[], Any]:
        def read() -> Any:
            nonlocal asked
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if caller.partition(".")[0] != "comms":
                return real()
            asked += 1
            return int(change(real() * 1e-9) * 1e9) if whole_ns else change(real())

        return read

    for name, real in kept.items():
        setattr(time, name, wrong(real, name.endswith("_ns")))
    try:
        yield lambda: asked
    finally:
        for name, real in kept.items():
            setattr(time, name, real)


def _exercise(seed: int) -> bytes:
    """Digest of everything that lines and timers did in half a minute of simulated time."""
    trace = sha256()
    rng = np.random.default_rng(seed)
    manners = HalfDuplex(60 * MS, 900 * MS, 300 * MS)
    pacer = Pacer(9600.0, 128, half_duplex=manners, duty=0.5)
    line = LinkLine(LineRules(delay_ns=40 * MS, loss=GilbertElliott.from_mean(0.2, 3.0)), rng)
    a, b = memory_pair(pipe=line, bit_rate=9600.0, mtu=128)
    left, right = IsoTp(IsoTpConfig(block_size=4, st_min=2)), IsoTp()
    for step in range(1500):
        now = step * 20 * MS
        length = int(rng.integers(1, 128))
        trace.update(bytes((pacer.take(length, now), a.send(bytes(length), "", now), len(b.receive(8, now)))))
        if step % 50 == 0:
            pacer.heard(now)
        left.begin(bytes(length), now)
        for one, other in ((left, right), (right, left)):
            while (frame := one.due(now)) is not None:
                one.passed(now)
                if rng.random() < 0.97:  # a lost frame lets a timer run out
                    other.hear(frame, now)
        trace.update(right.take() or b"-")
    trace.update(repr((left.counts, right.counts, a.counts, b.counts, pacer.airtime_ns)).encode())
    return trace.digest()


def _clock(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    found = reads_of_package(comms)
    failures = [f"reads a clock or makes chance: {place}" for place in found]
    counts = {"places that read": float(len(found)), "reads at run time": 0.0, "traces that changed": 0.0}
    for case in range(cases):
        seed = int(rng.integers(1 << 32))
        name = list(CLOCK_STEPS)[case % len(CLOCK_STEPS)]
        expected = _exercise(seed)
        with _clocks(CLOCK_STEPS[name]) as asked:
            same = _exercise(seed) == expected
            reads = asked()
        counts["reads at run time"] += reads
        counts["traces that changed"] += not same
        if reads or not same:
            failures.append(f"seed {seed}, clock {name}: {reads} reads, trace {'equal' if same else 'changed'}")
        progress(case + 1, cases)
    return RowResult(not failures, cases, counts, tuple(failures[:MOST_FAILURES]))


# -- row 12: noise into stuffing and frames


def _noise(rng: np.random.Generator, good: list[bytes]) -> bytes:
    """Something that may or may not look like frames."""
    kind = int(rng.integers(5))
    if kind == 0:
        return rng.bytes(int(rng.integers(0, 300)))
    if kind == 1:
        return bytes((int(rng.integers(256)),)) * int(rng.integers(0, 1500))
    frame = bytearray(good[int(rng.integers(len(good)))])
    if kind == 2:
        frame[int(rng.integers(len(frame)))] ^= 1 << int(rng.integers(8))
    elif kind == 3:
        del frame[int(rng.integers(len(frame))) :]
    else:
        frame += rng.bytes(int(rng.integers(1, 65)))
    return bytes(frame)


def _fuzz(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    good = [encode_frame(rng.bytes(int(rng.integers(1, LONGEST)))) for _ in range(64)]
    deframer = Deframer(LONGEST)
    failures: list[str] = []
    slowest = 0
    clock = time.perf_counter_ns
    # What was made once and is kept counts as no growth: the first thousandth warms up.
    begin_bytes, warm = _resident_bytes(), max(100, cases // 1000)
    for case in range(cases):
        data = _noise(rng, good)
        start = clock()
        try:
            cobs.decode(data)
            deframer.feed(data)
        except Exception as error:  # the row exists to find any
            failures.append(f"case {case}: {type(error).__name__} for {data[:32].hex()}")
        took = clock() - start
        if took > SUSPECT_NS:
            took = _again(data)  # the machine may have been busy with something else
        slowest = max(slowest, took)
        if took > SLOWEST_NS:
            failures.append(f"case {case}: {took / 1e6:.2f} ms for {len(data)} bytes, {data[:32].hex()}")
        if case == warm:
            begin_bytes = _resident_bytes()
        if not case % _TELL_EVERY:
            progress(case, cases)
    growth = _resident_bytes() - begin_bytes
    if growth > MOST_GROWTH_BYTES:
        failures.append(f"memory grew by {growth / 2**20:.1f} MiB")
    progress(cases, cases)
    counts = {"slowest, us": slowest / 1e3, "growth, MiB": growth / 2**20,
              "frames found": float(deframer.counts.frames), "pieces refused": float(deframer.counts.noise)}
    return RowResult(not failures, cases, counts, tuple(failures[:MOST_FAILURES]))


def _again(data: bytes) -> int:
    """Least time of five more runs."""
    times = []
    for _ in range(5):
        deframer = Deframer(LONGEST)
        start = time.perf_counter_ns()
        cobs.decode(data)
        deframer.feed(data)
        times.append(time.perf_counter_ns() - start)
    return min(times)


def _resident_bytes() -> int:
    """Memory of this process in use."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE


ROWS: tuple[Row, ...] = (
    Row(2, "serial line after damage",
        "of a stream that is cut, spliced or has 1 to 64 B of garbage in it, at most one whole frame behind the damage "
        "is lost, and nothing is raised", 100_000, 2_000, _resync),
    Row(10, "clock of the machine, lines and timers",
        "no place in the link's code reads a clock, sleeps or makes chance; steps of -1 h, +2 h, to 1970, 2038, 2106 "
        "and 10 % of drift change nothing that lines and ISO-TP do", 700, 7, _clock),
    Row(12, "noise into byte stuffing and frames",
        "no exception, at most 1 ms each, at most 10 MiB of growth", 10_000_000, 50_000, _fuzz),
)
