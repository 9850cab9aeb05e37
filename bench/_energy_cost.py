"""What the energy side costs: a step of the supervisor at the medium rate and at the slow one, in a real flight.

Measured on the rig while first-flight is flown. Machines are shared, so the median counts; mean and tail are beside it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import numpy as np

from bench.harness import Report
from firmware_py.cli.session import RigFlight
from firmware_py.mission import load_mission
from hal.profile import load_profile

__all__ = ["run"]

def run(report: Report) -> None:
    """Add every figure to a report."""
    mission = load_mission("first-flight")
    profile = load_profile(mission.body, mission.board)
    taken: dict[str, list[int]] = {"medium": [], "slow": []}
    with tempfile.TemporaryDirectory() as folder:
        rig = RigFlight(mission, profile, Path(folder) / "flight", 1)
        energy = rig.program.software.energy
        for name in taken:
            setattr(energy, name, _timed(getattr(energy, name), taken[name]))
        rig.run()
    for name, rate in (("medium", "20 Hz"), ("slow", "2 Hz")):
        microseconds = np.array(taken[name]) * 1e-3
        mean, late = float(np.mean(microseconds)), float(np.percentile(microseconds, 99.0))
        limit = 300.0 if name == "medium" else 1000.0
        middle = float(np.median(microseconds))
        report.add(f"supervisor, one step at {rate}, median of {len(microseconds)}", middle, "us",
                   f"mean {mean:.0f}, 99th percentile {late:.0f}", f"< {limit:g}", middle < limit)


def _timed(call: Any, into: list[int]) -> Any:
    def timed(*arguments: Any) -> Any:
        start = perf_counter_ns()
        answer = call(*arguments)
        into.append(perf_counter_ns() - start)
        return answer

    return timed
