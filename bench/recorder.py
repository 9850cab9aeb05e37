"""Recorder: what a tick pays for tap, black box and ring, and that a ring cut at any byte is read."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Callable
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from time import perf_counter_ns, thread_time_ns

from bench.harness import Report
from drivers.bus.protocol import CanBus, CanFrame, I2cBus, SpiBus
from firmware_py.recorder import RecordError
from firmware_py.recorder.blackbox import REQUIRED_HEADER, BlackBox
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.replay import ReplayBuses
from firmware_py.recorder.ring import DATA_OFFSET, Flusher, RingFile, RingPair, read_ring
from firmware_py.recorder.tap import TapLog

TICKS = 20_000
SNAPSHOT_EVERY = 10
HEADER = dict.fromkeys(REQUIRED_HEADER)
ROW = {
    "t_s": 12.345, "motion": "Hold", "emission": "Open", "safe": "safe_inactive", "step": "slew", "phase": "settle",
    "quaternion": (0.7071067811865476, 0.1, -0.2, 0.67), "rate_rad_s": (0.00123, -0.00456, 0.00789),
    "position_m": (12.3456, -7.891, 0.123), "velocity_m_s": (0.0123, 0.0456, -0.0789), "sigma_attitude_rad": 1.2e-4,
    "sigma_position_m": 0.012, "attitude_error_rad": 0.0034, "position_error_m": None,
    "target_quaternion": (1.0, 0.0, 0.0, 0.0), "target_position_m": None, "soc_battery": 0.812, "soc_supercap": 0.734,
    "bus_voltage_v": 26.81, "bus_current_a": 2.213, "battery_current_a": 1.87,
    "temperature_c": {"core": 31.2, "pdu": 28.9, "supercap": 20.1, "battery": 18.4, "hull": -3.2, "comms": None},
    "sun_body": (0.57, 0.57, -0.59), "propellant_kg": 9.87,
    "on_ms": [0, 0, 40, 0, 0, 80, 0, 0, 0, 0, 0, 0, 30, 0, 0, 0],
    "masked_nozzles": [], "armed": True, "attitude_known": True, "gyro_bias_rad_s": (1e-5, -2e-5, 3e-5), "devices": {},
    "bus_failures": 3, "gate_vetoes": 0,
}


class _Spi:
    """Answers at once with noise, so that what is measured is the recorder, and compression has its true work."""

    name = "spi0"

    def __init__(self) -> None:
        self._answer = cycle(_NOISE)

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """See SpiBus."""

    def transfer(self, select: int, data: bytes) -> bytes:  # noqa: ARG002
        """See SpiBus."""
        return next(self._answer)


class _Can:
    """As _Spi."""

    name = "can0"

    def __init__(self) -> None:
        self._answer = cycle([CanFrame(0x190, noise[:8]) for noise in _NOISE])

    def send(self, frame: CanFrame) -> None:
        """See CanBus."""

    def receive(self) -> CanFrame | None:
        """See CanBus."""
        return next(self._answer)


class _I2c:
    """As _Spi."""

    name = "i2c_a"

    def __init__(self) -> None:
        self._answer = cycle([noise[:3] for noise in _NOISE])

    def write(self, address: int, data: bytes) -> None:
        """See I2cBus."""

    def read(self, address: int, count: int) -> bytes:  # noqa: ARG002
        """See I2cBus."""
        return next(self._answer)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:  # noqa: ARG002
        """See I2cBus."""
        return next(self._answer)


_NOISE = [sha256(number.to_bytes(2, "little")).digest()[:22] for number in range(997)]
_FRAME = CanFrame(0x310, bytes(8))
_BURST = bytes(22)


def run(report: Report) -> None:
    """Measure and report."""
    with tempfile.TemporaryDirectory() as folder:
        _cost(report, Path(folder))
        _determinism(report, Path(folder))
        _cuts(report, Path(folder))
        _flush(report, Path(folder))
        _replay(report, Path(folder))


def _transfers(spi: SpiBus, can: CanBus, i2c: I2cBus) -> None:
    """Six transfers: what a tick of the reference board carries, on average and a little more."""
    spi.transfer(0, _BURST)
    can.send(_FRAME)
    can.send(_FRAME)
    can.receive()
    i2c.write_read(0x40, b"\x05", 3)
    i2c.write(0x44, b"\x01\xc8\x10")


def _timed(work: Callable[[int], object], count: int) -> tuple[float, float]:
    """Mean and longest processor time of a call, us. Not wall time: other programs of the machine do not count."""
    gc.collect()
    gc.disable()
    worst = 0
    begin = before = thread_time_ns()
    for number in range(count):
        work(number)
        after = thread_time_ns()
        worst = max(worst, after - before)
        before = after
    gc.enable()
    return (before - begin) / count * 1e-3, worst * 1e-3


def _cost(report: Report, folder: Path) -> None:
    spi, can, i2c = _Spi(), _Can(), _I2c()
    plain, _ = _timed(lambda _: _transfers(spi, can, i2c), TICKS)
    log = TapLog()
    spi_tap, can_tap, i2c_tap = log.tap(spi), log.tap(can), log.tap(i2c)

    def tapped(_: int) -> None:
        _transfers(spi_tap, can_tap, i2c_tap)
        log.take()

    with_taps, _ = _timed(tapped, TICKS)
    report.add("tap, a transfer", (with_taps - plain) / 6, "us", None, "< 1", (with_taps - plain) / 6 < 1.0)

    (folder / "rings").mkdir()
    rings = RingPair.create(folder / "rings", synchronise=False)
    box = BlackBox(folder / "cost.mcap", HEADER, buses=log.names)
    fast_row = bytes(200)

    def recorded(number: int) -> None:
        t_ns = number * 5_000_000
        _transfers(spi_tap, can_tap, i2c_tap)
        box.bus(t_ns, log.take())
        rings.fast.write(fast_row, t_ns)
        if number % SNAPSHOT_EVERY == 0:
            box.snapshot(t_ns, ROW)
            rings.medium.write(fast_row, t_ns)

    whole, worst = _timed(recorded, TICKS)
    box.close()
    rings.close()
    size = (folder / "cost.mcap").stat().st_size
    share = bytes(size // TICKS + len(fast_row) * 11 // 10)
    descriptor = os.open(folder / "raw.bin", os.O_WRONLY | os.O_CREAT)
    raw, _ = _timed(lambda _: os.write(descriptor, share), TICKS)
    os.close(descriptor)
    cost = whole - plain
    report.add("tap + black box + ring, a tick of 6 transfers", cost, "us", f"{raw:.2g} us: write of as many bytes",
               "< 40", cost < 40.0)
    report.add("longest such tick (it closes a chunk), processor time", worst, "us", None, "< 1000", worst < 1000.0)
    report.add("black box, bytes a second of flight", size * 200 / TICKS, "B/s")

    ring = RingFile.create(folder / "write.bin", 512, 6000, synchronise=False)
    ring_us, _ = _timed(lambda number: ring.write(fast_row, number), TICKS)
    descriptor = os.open(folder / "pwrite.bin", os.O_WRONLY | os.O_CREAT)
    os.ftruncate(descriptor, 6000 * 512)
    slot = bytes(228)
    pwrite_us, _ = _timed(lambda number: os.pwrite(descriptor, slot, number % 6000 * 512), TICKS)
    os.close(descriptor)
    ring.close()
    report.add("ring, a record of 200 bytes", ring_us, "us", f"{pwrite_us:.2g} us: bare pwrite", "< 10", ring_us < 10.0)


def _determinism(report: Report, folder: Path) -> None:
    digests = []
    for name in ("a.mcap", "b.mcap"):
        with BlackBox(folder / name, HEADER, 1, buses=["x"]) as box:
            for number in range(2000):
                box.bus(number, [(0, 5, 0, _BURST, number.to_bytes(8, "little"), None)])
                box.snapshot(number, ROW)
        digests.append(sha256((folder / name).read_bytes()).hexdigest())
    report.add("files of equal messages with equal SHA-256", 1 + (digests[0] == digests[1]), "of 2", None, 2,
               digests[0] == digests[1])


def _cuts(report: Report, folder: Path) -> None:
    slots, size = 8, 256
    payloads = [bytes((number + index) & 0xFF for index in range(200)) for number in range(3 * slots)]

    def image(records: int) -> bytes:
        path = folder / f"ring-{records}.bin"
        ring = RingFile.create(path, size, slots, synchronise=False)
        for number in range(records):
            ring.write(payloads[number], number)
        ring.close()
        return path.read_bytes()

    torn = folder / "torn.bin"
    cuts = readable = 0
    for last in range(slots, 2 * slots):
        before, after = image(last), image(last + 1)
        start = DATA_OFFSET + last % slots * size
        needed = payloads[last - slots + 1 : last]
        for cut in range(size + 1):
            torn.write_bytes(before[:start] + after[start : start + cut] + before[start + cut :])
            kept = [record.payload for record in read_ring(torn).records]
            cuts += 1
            readable += [payload for payload in kept if payload in needed] == needed
        (folder / f"ring-{last}.bin").unlink()
        (folder / f"ring-{last + 1}.bin").unlink()
    report.add("ring, write cut at every byte: nothing older lost", readable, f"of {cuts}", None, cuts,
               readable == cuts)

    torn.write_bytes(image(slots))
    total = torn.stat().st_size
    known = 0
    for length in reversed(range(total)):
        os.truncate(torn, length)
        try:
            whole = max(0, length - DATA_OFFSET) // size
            known += [record.payload for record in read_ring(torn).records][:whole] == payloads[:whole]
        except RecordError:
            known += length < 100
    report.add("ring, file cut at every byte: read, or refused before its header", known, f"of {total}", None, total,
               known == total)


def _flush(report: Report, folder: Path) -> None:
    ring = RingFile.create(folder / "flush.bin", 512, 6000)
    flusher = Flusher([ring.fileno()])
    worst = asked = 0
    for number in range(20):
        for index in range(200):
            ring.write(bytes(200), number * 200 + index)
        before = flusher.completed
        start = perf_counter_ns()
        flusher.request()
        asked = max(asked, perf_counter_ns() - start)
        while flusher.completed == before:
            os.sched_yield()
        worst = max(worst, perf_counter_ns() - start)
    flusher.close()
    ring.close()
    report.add("trigger to medium, longest of 20", worst * 1e-6, "ms", None, "< 100", worst < 100e6)
    report.add("asking for it, longest of 20", asked * 1e-3, "us", None, "< 1000", asked < 1e6)


def _replay(report: Report, folder: Path) -> None:
    start = perf_counter_ns()
    flight = read_flight(folder / "cost.mcap")
    opened = (perf_counter_ns() - start) * 1e-9
    flown = TICKS * 0.005
    report.add("opening and checking, times real time", flown / opened, "x", None, "> 20", flown / opened > 20)
    buses = ReplayBuses.of(flight)
    spi, can, i2c = buses.spi("spi0"), buses.can("can0"), buses.i2c("i2c_a")
    start = perf_counter_ns()
    t_ns: int | None = buses.t_ns
    while t_ns is not None:
        buses.advance(t_ns)
        _transfers(spi, can, i2c)
        t_ns = buses.next_t_ns
    result = buses.finish()
    each = (perf_counter_ns() - start) * 1e-3 / result.ticks
    report.add("replay, a tick of 6 transfers", each, "us", None, "< 100", each < 100)
    report.add("replay of the same transfers, divergences", result.divergence_count, "", None, 0, result.identical)
