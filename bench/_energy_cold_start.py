"""Cold start: everything at -30 C, both stores empty, the Sun comes back; nobody helps.

First in hours (EnergyFlight: lockout, heater, charge, wake-up), then the whole flight software on the rig, from the
state that was reached, until Idle.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.harness import Report
from firmware_py.cli.energy_flight import EnergyFlight, EnergyPlan
from firmware_py.cli.session import RigFlight
from firmware_py.mission import InitialConfig, MissionConfig, StepConfig
from hal.profile import load_profile

__all__ = ["run"]

START_C = -30.0


def run(report: Report) -> None:
    """Add every figure to a report."""
    profile = load_profile("qiki-t", "qiki-rpi")
    cold = {node.name: START_C for node in profile.body.thermal.nodes}
    flight = EnergyFlight(EnergyPlan(profile.body, soc_battery=0.0, soc_supercap=0.0, temperatures_c=cold))
    awake = flight.run_until(24.0 * 3600.0)
    power = flight.world.power
    report.add("from empty stores at -30 C to a bus that is on", flight.t_s / 3600.0, "h", None, "< 24", awake)
    report.add("  charged below freezing meanwhile", power.cold_charge_j, "J", None, 0, power.cold_charge_j == 0.0)
    report.add("  charge of battery and stack then", f"{power.soc_battery:.2f}, {power.soc_supercap:.2f}")
    mission = MissionConfig(
        schema_version=1, mission="cold-start", description="after the lockout", body="qiki-t", board="qiki-rpi",
        epoch="2026-06-21T12:00:00Z", steps=(StepConfig("boot", wait_for="Idle", timeout_s=30.0),), duration_s=60.0,
        initial=InitialConfig(
            soc_battery=power.soc_battery, soc_supercap=power.soc_supercap, cold_start=True,
            temperatures_c=dict(flight.world.temperatures_c),
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        rig = RigFlight(mission, profile, Path(folder) / "flight", 1)
        result = rig.run()
    reached = [step for step in result.steps if step.outcome == "done"]
    report.add("  from power-up to Idle, the whole flight software", reached[0].end_ns * 1e-9 if reached else None, "s",
               None, "reached", bool(reached))


if __name__ == "__main__":
    report = Report("energy-cold", Path("build") / "bench")
    run(report)
    raise SystemExit(report.finish())
