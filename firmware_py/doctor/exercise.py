"""Polls a board's devices as in flight for some seconds and tells their rates, the buses' latencies and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from firmware_py.clock import Clock
from firmware_py.doctor.machine import Check, Status
from firmware_py.scheduler import Histogram
from hal.causes import CAUSES
from hal.device_health import DeviceState
from hal.hardware import Hardware
from hal.profile import BoardConfig, DeviceConfig

__all__ = ["Exercise", "check_rates", "check_tick", "check_transfers", "exercise"]

NS = 1_000_000_000
LONGEST_WARM_UP_NS = 4 * NS
LEAST_RATE = 0.9
"""Share of the asked rate that passes."""
WARN_FAILED = 0.01
"""Share of failed transfers from which a bus fails."""
ASKED_KINDS = ("i2c", "spi")
_BAD_COUNTS = (
    "dropped", "malformed", "tx_full", "bus_off", "late", "failed", "error_passive", "no_ack", "controller_overrun",
    "protocol_violations", "bus_errors", "tx_timeouts", "overruns", "buffer_overruns", "framing", "parity",
)
"""Counters of transports and of the kernel's serial drivers that stay 0 on a bus that is well."""


@dataclass(slots=True)
class Exercise:
    """What some seconds of polling showed.

    Attributes:
        seconds: how long was counted, after the warm-up.
        polled_s: the same in ticks: what a slow computer left out was not asked for.
        samples: by device; valve nodes have none of their own.
        states: of every device at the end.
        latency: of transfers, by bus; one a tick is looked at.
        counts: counters of every open bus over that time, by name.
        causes: failed attempts by cause, by bus.
        work: time that a tick's work took.
        streams: serial ports, of which one is served each tick.
    """

    seconds: float
    polled_s: float
    samples: dict[str, int]
    states: dict[str, DeviceState]
    latency: dict[str, Histogram]
    counts: dict[str, dict[str, int]]
    causes: dict[str, dict[str, int]]
    work: Histogram = field(default_factory=Histogram)
    streams: int = 0


def exercise(
    hardware: Hardware, buses: Mapping[str, Any], board: BoardConfig, clock: Clock, run_ns: int,
    each: Callable[[float], None] = lambda _share: None,
) -> Exercise:
    """Serve the hardware at the board's rate.

    Args:
        hardware: over all buses of the board.
        buses: those that are open.
        board: its description.
        clock: real or simulated.
        run_ns: how long is counted.
        each: called with the share that is done, about ten times a second.
    """
    loop = _Loop(hardware, board, clock)
    end_ns = clock.now_ns() + LONGEST_WARM_UP_NS
    while clock.now_ns() < end_ns and not hardware.self_test()[0]:
        loop.run(NS // 5, None)
        each(0.0)
    before_samples = {name: count.samples for name, count in hardware.counters().items()}
    before = {name: _numbers(bus) for name, bus in buses.items()}
    before_causes = {name: _causes(bus) for name, bus in buses.items()}
    latency = {name: Histogram() for name in buses if board.buses[name].kind in ASKED_KINDS}
    result = Exercise(0.0, 0.0, {}, {}, latency, {}, {})
    result.streams = sum(bus.kind == "serial" for name, bus in board.buses.items() if name in buses)
    watched = {name: buses[name].counters for name in result.latency if hasattr(buses[name], "counters")}
    begin_ns = clock.now_ns()
    steps = max(1, round(run_ns / (NS // 10)))
    for step in range(steps):
        loop.run(run_ns // steps, _Latencies(watched, result))
        each((step + 1) / steps)
    result.seconds = (clock.now_ns() - begin_ns) / NS
    result.polled_s = result.work.count / board.rates.fast_hz
    counters = hardware.counters()
    result.samples = {name: count.samples - before_samples.get(name, 0) for name, count in counters.items()}
    result.states = hardware.states()
    for name, bus in buses.items():
        now = _numbers(bus)
        result.counts[name] = {key: value - before[name].get(key, 0) for key, value in now.items()}
        causes = _causes(bus)
        result.causes[name] = {key: n - before_causes[name].get(key, 0) for key, n in causes.items()
                               if n > before_causes[name].get(key, 0)}
    return result


class _Loop:
    """The fast and the medium part of a tick, on time or as soon as it can be."""

    def __init__(self, hardware: Hardware, board: BoardConfig, clock: Clock) -> None:
        self._hardware = hardware
        self._clock = clock
        self._tick_ns = round(NS / board.rates.fast_hz)
        self._medium = max(1, round(board.rates.fast_hz / board.rates.medium_hz))
        self._due_ns = clock.now_ns()
        self._tick = 0

    def run(self, run_ns: int, watch: _Latencies | None) -> None:
        """Ticks for ``run_ns``; time that was lost before is not made up for."""
        clock, hardware = self._clock, self._hardware
        self._due_ns = max(self._due_ns, clock.now_ns() - self._tick_ns)
        for _ in range(max(1, run_ns // self._tick_ns)):
            self._due_ns += self._tick_ns
            clock.sleep_until_ns(self._due_ns)
            begin_ns = clock.now_ns()
            hardware.sense(begin_ns)
            self._tick += 1
            if self._tick % self._medium == 0:
                hardware.survey(begin_ns)
            if watch is not None:
                watch.look(clock.now_ns() - begin_ns)


class _Latencies:
    """Takes the latency of the last transfer of each bus that had one since the last look."""

    def __init__(self, watched: Mapping[str, Any], into: Exercise) -> None:
        self._watched = watched
        self._into = into
        self._seen = {name: counters.transfers for name, counters in watched.items()}

    def look(self, work_ns: int) -> None:
        """A tick has ended."""
        self._into.work.add(work_ns)
        for name, counters in self._watched.items():
            if counters.transfers != self._seen[name]:
                self._seen[name] = counters.transfers
                self._into.latency[name].add(counters.last_ns)


def _numbers(bus: Any) -> dict[str, int]:
    """Counters of a bus that are whole numbers, and what its receiver lost where the kernel tells."""
    numbers = {}
    for counters in (getattr(bus, "counters", None), getattr(bus, "losses", None)):
        if is_dataclass(counters) and not isinstance(counters, type):
            for f in fields(counters):
                value = getattr(counters, f.name)
                if isinstance(value, int):
                    numbers[f.name] = value
    return numbers


def _causes(bus: Any) -> dict[str, int]:
    by_cause = getattr(getattr(bus, "counters", None), "by_cause", {})
    return {cause.value: count for cause, count in by_cause.items()}


def check_rates(board: BoardConfig, result: Exercise) -> list[Check]:
    """Samples a second of every device that is asked for any, and that those without samples are well."""
    return [_check_rate(device, board, result) for device in board.devices]


def _check_rate(device: DeviceConfig, board: BoardConfig, result: Exercise) -> Check:
    state = result.states.get(device.name)
    title = f"{device.name} ({device.part})"
    kind = board.buses[device.bus].kind
    if device.bus not in result.counts:
        return Check(title, Status.SKIP, "its bus is not open")
    if state is None:
        return Check(title, Status.SKIP, "nothing polls it")
    if state not in (DeviceState.OK, DeviceState.DEGRADED):
        step = f"see {device.name} under chips; qiki probe --watch follows it"
        return Check(title, Status.FAIL, state.name.lower(), step, _asked(device))
    count = result.samples.get(device.name)
    if count is None or device.rate_hz == 0.0:
        return Check(title, Status.PASS, state.name.lower())
    asked_hz, seconds = device.rate_hz, result.polled_s
    if kind in ("serial", "can"):
        seconds = result.seconds
    if kind == "serial" and result.streams:
        # Ports take turns: what a part says between two turns counts once.
        asked_hz = min(asked_hz, board.rates.fast_hz / result.streams)
    # One less than was due may be a matter of where the window begins.
    least = LEAST_RATE * asked_hz * seconds - 1.0
    found = f"{count / seconds:.1f}/s, {count} in {seconds:.1f} s"
    if count >= least:
        return Check(title, Status.PASS, found, allowed=_asked(device, asked_hz))
    if device.role == "star_tracker" and count == 0:
        step = "it speaks and has no attitude: let it stand still and see stars"
        return Check(title, Status.WARN, found, step, _asked(device, asked_hz))
    step = f"{device.bus} has no slots left, or {device.name} fails now and then: see transfers"
    return Check(title, Status.FAIL, found, step, _asked(device, asked_hz))


def _asked(device: DeviceConfig, hz: float | None = None) -> str:
    return f"asked {device.rate_hz if hz is None else hz:g}/s" if device.rate_hz else ""


def check_transfers(board: BoardConfig, result: Exercise) -> list[Check]:
    """Latency and errors of every open bus."""
    checks = []
    for name, histogram in result.latency.items():
        if histogram.count:
            checks.append(_check_latency(name, histogram, board.buses[name].timeout_ms))
    for name, counts in result.counts.items():
        checks.append(_check_errors(name, counts, result.causes[name], board.buses[name].kind))
    return checks


def _check_latency(name: str, histogram: Histogram, timeout_ms: int) -> Check:
    p50, p99 = (histogram.percentile_ns(percent) or 0 for percent in (50.0, 99.0))
    found = f"p50 {p50 / 1000:.0f} us, p99 {p99 / 1000:.0f} us, longest {histogram.max_ns / 1000:.0f} us"
    allowed = f"p99 below {timeout_ms} ms"
    if p99 < timeout_ms * 1_000_000:
        return Check(f"latency of {name}", Status.PASS, found, allowed=allowed)
    step = "a slower clock than config.txt should set, a part that stretches it, or a processor that is busy elsewhere"
    return Check(f"latency of {name}", Status.FAIL, found, step, allowed)


def _check_errors(name: str, counts: Mapping[str, int], causes: Mapping[str, int], kind: str) -> Check:
    title = f"errors of {name}"
    total = counts.get("transfers", counts.get("sent", 0) + counts.get("received", 0))
    bad = {key: counts[key] for key in _BAD_COUNTS if counts.get(key)}
    told = ", ".join(f"{n} {word}" for word, n in {**bad, **causes}.items())
    what = "frames" if kind == "can" else "transfers"
    found = f"{total} {what}, {told or 'none bad'}"
    allowed = "none; at most 1 % failed"
    failed = counts.get("failed", sum(bad.values()))
    if not bad and not causes:
        return Check(title, Status.PASS, found, allowed=allowed)
    slow = "check whether the processor keeps up: what it does besides, and the priority of the program"
    step = next((text.advice for cause, text in CAUSES.items() if cause.value in causes), slow)
    status = Status.FAIL if failed > WARN_FAILED * max(total, 1) else Status.WARN
    return Check(title, status, found, step, allowed)


def check_tick(board: BoardConfig, result: Exercise) -> Check:
    """Work of a tick on these buses, without the flight software, against half a period."""
    p50, p99 = (result.work.percentile_ns(percent) or 0 for percent in (50.0, 99.0))
    half_us = 0.5e6 / board.rates.fast_hz
    found = f"p50 {p50 / 1000:.0f} us, p99 {p99 / 1000:.0f} us of {result.work.count} ticks"
    name, allowed = "bus work of a tick", f"p99 below {half_us:.0f} us"
    if p99 / 1000 < half_us:
        return Check(name, Status.PASS, found, allowed=allowed)
    step = "faster buses, or a lower fast_hz; first see the latencies, and what else this computer does"
    return Check(name, Status.WARN if p50 / 1000 < half_us else Status.FAIL, found, step, allowed)
