"""What the trusted core costs: every monitor on, in a real flight, and with every fault of the table standing.

Beside the core's step stands a plain loop of as many comparisons, which no monitor could be cheaper than. Machines are
shared, so the median counts; mean and tail are beside it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from bench.harness import Report
from fdir.facts import Facts
from fdir.monitors import MonitorBank
from fdir.supervisor import Supervisor
from firmware_py.cli.session import RigFlight
from firmware_py.mission import load_mission
from hal.profile import load_profile

__all__ = ["run"]

LIMIT_US = 100.0
TICKS = 20_000


def run(report: Report) -> None:
    """Add every figure to a report."""
    mission = load_mission("first-flight")
    profile = load_profile(mission.body, mission.board)
    member: list[int] = []
    core: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        rig = RigFlight(mission, profile, Path(folder) / "flight", 1)
        software = rig.program.software
        seen: list[Facts] = []
        software.supervisor = _Timed(software.supervisor, core, seen)  # type: ignore[assignment]
        gather = software._gather
        software._gather = _timed(gather, member)  # type: ignore[method-assign]
        rig.run()
    supervisor: Supervisor = software.supervisor.inner  # type: ignore[attr-defined]
    states = supervisor.bank.states
    report.add("monitors of the reference craft", len(states), "", None, None, True)
    report.add("of them switched on", sum(state.enabled for state in states), "", len(states), "all",
               all(state.enabled for state in states))
    _add(report, f"the core's step, median of {len(core)} ticks of first-flight", core)
    whole = [a + b for a, b in zip(core, member, strict=False)]
    _add(report, "the same with its facts gathered", whole)
    _add(report, "the core's step, facts of the flight, bank alone", _bank(supervisor, seen[len(seen) // 2]))
    values = list(range(len(states)))
    bare: list[int] = []
    for _ in range(2000):
        start = perf_counter_ns()
        found = [value for value in values if value > 1e9]
        bare.append(perf_counter_ns() - start)
        assert not found
    floor = float(np.median(bare)) * 1e-3
    report.add("reference: as many bare comparisons", floor, "us", None, None, True)


def _add(report: Report, name: str, taken_ns: list[int]) -> None:
    microseconds = np.array(taken_ns) * 1e-3
    middle, mean = float(np.median(microseconds)), float(np.mean(microseconds))
    late = float(np.percentile(microseconds, 99.0))
    report.add(name, middle, "us", f"mean {mean:.1f}, 99th percentile {late:.0f}", f"< {LIMIT_US:g}", middle < LIMIT_US)


def _bank(supervisor: Supervisor, facts: Facts) -> list[int]:
    """Every monitor judged, round by round of the rate groups."""
    bank = MonitorBank(tuple(state.monitor for state in supervisor.bank.states))
    taken = []
    for _ in range(TICKS):
        start = perf_counter_ns()
        bank.step(facts)
        taken.append(perf_counter_ns() - start)
    return taken


class _Timed:
    """A supervisor whose steps are timed; all else is its own."""

    def __init__(self, inner: Supervisor, into: list[int], seen: list[Facts]) -> None:
        self.inner = inner
        self._into = into
        self._seen = seen

    def step(self, facts: Facts) -> Any:
        start = perf_counter_ns()
        answer = self.inner.step(facts)
        self._into.append(perf_counter_ns() - start)
        if len(self._into) % 1000 == 0:
            self._seen.append(facts)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _timed(call: Any, into: list[int]) -> Any:
    def timed(*arguments: Any) -> Any:
        start = perf_counter_ns()
        answer = call(*arguments)
        into.append(perf_counter_ns() - start)
        return answer

    return timed
