"""What the debug shell costs: a step with four sessions that watch, the bytes of a step, and what noise makes of it.

Processor time, not wall time, so that other programs of the machine do not count. The peer of an idle server is a bare
``select`` over as many descriptors in the same run, which is the least that any server with so many clients does.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from time import thread_time_ns
from typing import Any

import numpy as np

from bench.harness import Report
from comms.dictionary import TELEMETRY, Kind
from comms.flight_port import EventNote, Snapshot
from comms.shell import CraftView, FdStream, Mode, ShellServer

__all__ = ["measure"]

NS = 1_000_000_000
PERIOD_NS = NS // 20
WATCHERS = 4
WATCHED = b"watch soc_battery rate_rad_s temperature_c.core bus_voltage_v propellant_kg 5\r"
SLICES = 10


def measure(report: Report, short: bool) -> None:
    """Add every figure to a report."""
    steps = 400 if short else 4000
    idle, bare, feeding = [], [], []
    server, ends = _server()
    now_ns = 0
    for _ in range(SLICES):
        idle.append(_each(lambda: server.step(now_ns), steps // SLICES))
        bare.append(_each(lambda: select.select(ends, [], [], 0.0), steps // SLICES))
    report.add("shell, idle step with 4 sessions", _middle(idle), "us", _middle(bare), "< 100", _middle(idle) < 100.0)

    for end in ends:
        os.write(end, WATCHED)
    rows = [_row(number) for number in range(50)]
    taken: list[int] = []
    bytes_out: list[int] = []
    worst_bytes = 0
    for step in range(steps):
        now_ns += PERIOD_NS
        begin = thread_time_ns()
        server.feed(Snapshot(now_ns, rows[step % len(rows)]), now_ns)
        feeding.append(thread_time_ns() - begin)
        if step % 5 == 0:
            server.feed(EventNote(now_ns, "DEVICE_STATE", "info", "mux: OK"), now_ns)
        begin = thread_time_ns()
        server.step(now_ns)
        taken.append(thread_time_ns() - begin)
        written = [_drain(end) for end in ends]
        bytes_out.append(sum(written))
        worst_bytes = max(worst_bytes, *written)
    late = float(np.percentile(np.array(taken) * 1e-3, 99.0))
    report.add("shell, step with 4 watching at 5 Hz, median", _us(taken), "us", None, "< 500", _us(taken) < 500.0)
    report.add("shell, the same, 99th percentile", late, "us", None, "< 2000", late < 2000.0)
    report.add("shell, a snapshot taken in, median", _us(feeding), "us", None, "< 300", _us(feeding) < 300.0)
    rate = float(np.mean(bytes_out)) * NS / PERIOD_NS / WATCHERS
    report.add("shell, bytes a second to one watcher", rate, "B/s", None, "< 5000", rate < 5000.0)
    most = max(worst_bytes, _answers(report, server, ends, now_ns, 40 if short else 400))
    limit = server.limits.out_bytes
    report.add("shell, most bytes to one session in a step", most, "B", None, f"<= {limit}", most <= limit)
    counts = server.counts
    report.add("shell, sessions that failed", counts.failed, "", None, "0", counts.failed == 0)


def _answers(report: Report, server: ShellServer, ends: list[int], now_ns: int, steps: int) -> int:
    """Steps in which the dearest answers are made, with a full past, and noise; most bytes to one session in a step."""
    for end in ends:
        os.write(end, b"q")
    for number in range(2000):
        now_ns += NS
        server.feed(Snapshot(now_ns, _row(number % 50)), now_ns)
    dear = (b"plot rate_rad_s 1800\r", b"plot quaternion 1800\r", b"commands\r", b"channels\r", b"help\r", b"status\r")
    most = 0
    taken = []
    for step in range(steps):
        os.write(ends[step % WATCHERS], dear[step % len(dear)])
        for _ in range(10):
            now_ns += PERIOD_NS
            begin = thread_time_ns()
            server.step(now_ns)
            taken.append(thread_time_ns() - begin)
            most = max(most, *(_drain(end) for end in ends))
    worst = max(taken) * 1e-6
    report.add("shell, dearest step of answers", worst, "ms", None, "< 20", worst < 20.0)
    noise = np.random.default_rng(1).bytes(64)
    taken = []
    for _ in range(steps):
        os.write(ends[0], noise)
        now_ns += PERIOD_NS
        begin = thread_time_ns()
        server.step(now_ns)
        taken.append(thread_time_ns() - begin)
        for end in ends:
            _drain(end)
    report.add("shell, step with 64 bytes of noise, median", _us(taken), "us", None, "< 1000", _us(taken) < 1000.0)
    return most


def _server() -> tuple[ShellServer, list[int]]:
    """A server with four terminals, and the far ends of them."""
    view = CraftView()
    server = ShellServer(view, None)
    server.feed(Snapshot(0, _row(0)), 0)
    ends = []
    for _ in range(WATCHERS):
        far, near = os.openpty()
        _raw(near)
        os.set_blocking(far, False)
        server.open(FdStream(near), 0, how="bench", mode=Mode.ECHO)
        ends.append(far)
    server.step(0)
    for end in ends:
        _drain(end)
    return server, ends


def _raw(descriptor: int) -> None:
    import tty

    tty.setraw(descriptor)


def _drain(descriptor: int) -> int:
    total = 0
    try:
        while data := os.read(descriptor, 65536):
            total += len(data)
    except BlockingIOError:
        pass
    return total


def _row(number: int) -> dict[str, Any]:
    """A snapshot with every channel, as full as in flight."""
    values: dict[Kind, Any] = {
        Kind.NUMBER: 0.5 + number * 1e-3, Kind.VECTOR3: (0.1, 0.2, number * 1e-2),
        Kind.QUATERNION: (1.0, 0.0, 0.0, 0.0), Kind.TEXT: "text", Kind.FLAG: True, Kind.LIST: [],
        Kind.TABLE: {f"key_{at}": number + at for at in range(6)},
    }
    row = {channel.name: values.get(channel.kind) for channel in TELEMETRY}
    nodes = {"core": 20.0 + number * 0.01, **{f"node_{at}": 1.0 for at in range(11)}}
    return {**row, "temperature_c": nodes, "start": 1}


def _each(work: Callable[[], object], count: int) -> float:
    """Mean processor time of a call, us."""
    begin = thread_time_ns()
    for _ in range(count):
        work()
    return (thread_time_ns() - begin) / count * 1e-3


def _middle(slices: list[float]) -> float:
    return float(np.median(slices))


def _us(taken: list[int]) -> float:
    return float(np.median(taken)) * 1e-3
