"""The rig beside a flight: what a transfer over its sockets costs, whether 200 Hz holds, how soon valves shut."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from bench.harness import Report
from firmware_py.clock import RealClock
from firmware_py.doctor.exercise import exercise
from firmware_py.scheduler import Histogram
from hal.hardware import Hardware
from hal.profile import Profile, load_profile
from hal.recovery import ThreadWorker
from hal.transports import open_buses
from hil.plant.world import InitialState
from hil.rig import Rig

__all__ = ["measure"]

ROUND_TRIPS = 2000
MEDIAN_LIMIT_US = 1000.0
WATCHDOG_LIMIT_MS = 150.0
"""The watchdog's 100 ms, and what a shared machine keeps the rig waiting."""
RUN_S = 6.0
NS = 1_000_000_000
SMALL, BURST = b"\x05", bytes.fromhex("6800") + bytes(20)
"""A register pointer of a power monitor; the burst read of the inertial unit."""


def measure(report: Report, short: bool = False) -> None:
    """Add the figures; about 12 s, less if ``short``."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "firmware_py.cli.main", "rig", "serve", "--folder", folder, "--json",
                   "--for", "120", "--priority", "40"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as rig:
            try:
                assert rig.stdout is not None
                ready = json.loads(rig.stdout.readline())
                profile = load_profile("qiki-t", ready["board"])
                _round_trips(report, profile, ROUND_TRIPS // 4 if short else ROUND_TRIPS)
                _tick(report, profile, RUN_S / 2 if short else RUN_S)
                _watchdog(report, profile, Path(ready["truth"]), 3 if short else 10)
            finally:
                rig.terminate()


def _calls(buses: Any, profile: Profile) -> dict[str, Callable[[], object]]:
    """A typical transfer of each kind."""
    i2c, spi, gpio, line = buses["i2c_a"], buses["spi0"], buses["gpio"], profile.board.lines.watchdog_kick
    spi.configure(0, 3, 1_000_000)
    return {
        "I2C, 1 byte out and 3 in": lambda: i2c.write_read(0x40, SMALL, 3),
        "SPI, burst of 22 bytes": lambda: spi.transfer(0, BURST), "GPIO, a line read": lambda: gpio.get(line),
    }


def _timed(call: Callable[[], object], count: int) -> Histogram:
    values = Histogram()
    for _ in range(count):
        start_ns = perf_counter_ns()
        call()
        values.add(perf_counter_ns() - start_ns)
    return values


def _round_trips(report: Report, profile: Profile, count: int) -> None:
    """Over sockets, and beside it over twins in one process."""
    inside = Rig(load_profile("qiki-t", "qiki-rpi"), InitialState(epoch=0), 1)
    near = {name: _timed(call, count) for name, call in _calls(inside.buses, profile).items()}
    with open_buses(profile.board, time.monotonic_ns) as buses:
        for name, call in _calls(buses, profile).items():
            far = _timed(call, count)
            for percent in (50.0, 99.0):
                value, beside = (round((h.percentile_ns(percent) or 0) / 1000.0, 1) for h in (far, near[name]))
                limit = f"< {MEDIAN_LIMIT_US:g}" if percent == 50.0 else None
                report.add(f"{name}, p{percent:g}; in one process beside it", value, "us", beside, limit,
                           limit is None or value < MEDIAN_LIMIT_US)


def _tick(report: Report, profile: Profile, seconds: float) -> None:
    """All devices polled at 200 Hz as in flight."""
    clock = RealClock(epoch_ns=0, spin_us=0)
    with open_buses(profile.board, clock.now_ns) as opened:
        hardware = Hardware(profile, opened.complete(), ThreadWorker)
        result = exercise(hardware, opened.buses, profile.board, clock, round(seconds * NS))
        p50, p99 = ((result.work.percentile_ns(percent) or 0) / 1000.0 for percent in (50.0, 99.0))
        report.add("bus work of a tick at 200 Hz, p50", round(p50), "us", None, "< 2500", p50 < 2500.0)
        report.add("bus work of a tick at 200 Hz, p99", round(p99), "us")
        share = result.work.count / (profile.board.rates.fast_hz * result.seconds)
        report.add("ticks of those that fit into the time", round(share, 3), "1", None, "> 0.9", share > 0.9)
        missing = [name for name, state in result.states.items() if state.name != "OK"]
        report.add("devices that are not well", ", ".join(missing) or 0, "", None, 0, not missing)


def _watchdog(report: Report, profile: Profile, truth: Path, times: int) -> None:
    """From the last kick to the rig's enable line, by the machine's steady clock."""
    lines, worst_ms = profile.board.lines, 0.0
    with open_buses(profile.board, time.monotonic_ns) as buses:
        gpio = buses["gpio"]
        gpio.set(lines.valve_enable, True)
        for _ in range(times):
            for level in (True, False, True, False):
                gpio.set(lines.watchdog_kick, level)
                last = time.monotonic()
                time.sleep(0.01)
            time.sleep(0.3)
            rows = [json.loads(row) for row in truth.read_text().splitlines() if row.endswith("}")]
            shut = next(row for row in rows if row.get("enabled") is False and row["machine_s"] > last)
            worst_ms = max(worst_ms, (shut["machine_s"] - last) * 1000.0)
        gpio.set(lines.valve_enable, False)
    report.add(f"last kick to enable line shut, worst of {times}", round(worst_ms, 1), "ms", 100,
               f"< {WATCHDOG_LIMIT_MS:g}", worst_ms < WATCHDOG_LIMIT_MS)
