"""The bus in every scenario about power: how long it was ever below its lowest voltage, and above its current limit.

The whole suite is held to the same bound by its tests; here the worst of each is a figure.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.harness import Report
from firmware_py.cli.session import RigFlight
from firmware_py.mission import load_mission
from firmware_py.report.figures import FIGURES, judge
from firmware_py.report.load import open_flight
from firmware_py.report.scope import Scope
from hal.profile import load_profile

__all__ = ["SCENARIOS", "run"]

SCENARIOS = (
    "eclipse", "sunrise", "panel-broken", "wing-broken", "load-stuck", "rail-short", "cap-ageing", "cold-soak",
    "hot-case", "dock-feed", "dock-reverse", "gauge-wrong", "battery-low", "supercap-low",
)


def run(report: Report) -> None:
    """Add every figure to a report."""
    failed = 0
    for name in SCENARIOS:
        mission = load_mission(name)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "flight"
            RigFlight(mission, load_profile(mission.body, mission.board), place, mission.seed).run()
            data, _ = open_flight(place / "flight.mcap")
        under, over = (FIGURES[key].compute(Scope(data)) for key in ("bus_under_ms", "overload_s"))
        holds = isinstance(under, float) and under <= 50.0
        failed += sum(not verdict.holds for verdict in judge(data, mission.expect))
        report.add(f"{name}: longest time under 22 V", under, "ms", f"above 5 A for {over} s at most", "<= 50", holds)
    report.add(f"expectations of these {len(SCENARIOS)} scenarios that do not hold", failed, "", None, 0, failed == 0)


if __name__ == "__main__":
    report = Report("energy-bus", Path("build") / "bench")
    run(report)
    raise SystemExit(report.finish())
