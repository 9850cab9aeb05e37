"""The whole chain from measurement to pulses as it flies: its cost a fast tick, and every edge that left the nodes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec
import numpy as np

from bench.harness import Report
from firmware_py.cli.session import RigFlight, texts_of
from firmware_py.mission import load_mission
from firmware_py.tick import FlightSoftware
from hal.profile import load_profile

TIMED_MISSION = "first-flight"
TIMED_S = 120.0
AUDITED = ("first-flight", "bench-move", "brake-override", "nozzle-off", "nozzle-stuck-on", "runaway", "burn-profile",
           "burn-cut")
MEMBERS = ("estimate", "steer")
"""Of the fast tick what is guidance, navigation and control: detector, estimator; guide, control, allocate, modulate,
gate and the command to the nodes."""


def run(report: Report) -> None:
    """Cost of the chain, then the audit of many flights."""
    with tempfile.TemporaryDirectory(prefix="qiki-bench-") as name:
        _cost(report, Path(name))
        _audit(report, Path(name))


class _Stopwatch:
    """Wraps methods of the flight software's class while in use; one entry a call, ns."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.spent: dict[str, list[int]] = {name: [] for name in names}
        self._plain: dict[str, Callable[..., Any]] = {}

    def __enter__(self) -> _Stopwatch:
        for name in self.spent:
            self._plain[name] = getattr(FlightSoftware, name)
            setattr(FlightSoftware, name, self._timed(self._plain[name], self.spent[name]))
        return self

    def __exit__(self, *_: object) -> None:
        for name, method in self._plain.items():
            setattr(FlightSoftware, name, method)

    @staticmethod
    def _timed(method: Callable[..., Any], spent: list[int]) -> Callable[..., Any]:
        def timed(self: FlightSoftware, now_ns: int) -> None:
            before = perf_counter_ns()
            method(self, now_ns)
            spent.append(perf_counter_ns() - before)

        return timed


def _cost(report: Report, folder: Path) -> None:
    mission = msgspec.structs.replace(load_mission(TIMED_MISSION), duration_s=TIMED_S, expect=())
    profile = load_profile(mission.body, mission.board)
    with _Stopwatch(MEMBERS) as watch:
        RigFlight(mission, profile, folder / "timed", 1, texts=texts_of(mission.mission, mission.body, mission.board)
                  ).run()
    ticks = np.sum([watch.spent[name] for name in MEMBERS], axis=0) / 1e3
    windows = ticks[np.array(watch.spent["steer"]) > 200_000]
    median = float(np.median(ticks))
    report.add("whole chain a fast tick, median", round(median, 1), "us", "5000 us at 200 Hz", "<= 250",
               median <= 250.0)
    report.add("whole chain a fast tick, p99", round(float(np.percentile(ticks, 99)), 1), "us", f"{len(ticks)} ticks",
               None)
    if len(windows):
        report.add("ticks in which a window of pulses is planned, median", round(float(np.median(windows)), 1), "us",
                   f"{len(windows)} windows", "< 2500", float(np.median(windows)) < 2500.0)


def _audit(report: Report, folder: Path) -> None:
    """What the rig saw at the valves, to the millisecond, in flights with and without faults."""
    violations = pulses = flown = 0
    for name in AUDITED:
        mission = msgspec.structs.replace(load_mission(name), expect=())
        profile = load_profile(mission.body, mission.board)
        flight = RigFlight(
            mission, profile, folder / name, 1, texts=texts_of(mission.mission, mission.body, mission.board)
        )
        violations += flight.run().pulse_rule_violations
        pulses += flight.program.software.modulator.counters.pulses
        flown += 1
    report.add("pulse rules at the valves, violations", violations, "1", f"{pulses} pulses of {flown} flights", "0",
               violations == 0)
