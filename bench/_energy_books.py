"""Books over 24 simulated hours: sources = loads + losses + what the stores gained, in the world and on board.

The world's ledger has every joule and is to close to rounding; the one on board has the gain errors of its monitors
(1 % on currents), which it cannot see, so its share unexplained is what they make.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.harness import Report
from firmware_py.cli.energy_faults import parse_fault
from firmware_py.cli.energy_flight import EnergyFlight, EnergyPlan, SunLaw, SunPointed, Tumbling
from firmware_py.cli.world_plane import SensorErrors
from hal.profile import load_body
from hil.plant.orbit import Orbit

__all__ = ["run"]

LIMIT = 1e-3


@dataclass(frozen=True)
class Day:
    """One day."""

    name: str
    body: str
    orbit: Orbit | None
    sun: SunLaw = field(default_factory=SunPointed)
    loads_off: frozenset[str] = frozenset()
    soc: float = 0.8
    errors: SensorErrors = field(default_factory=SensorErrors)
    dock: bool = False


DAYS = (
    Day("qiki-t, 500 km, fed from a dock", "qiki-t", Orbit(500.0), loads_off=frozenset({"nbl"}), soc=0.5, dock=True),
    Day("qiki-t, 500 km, all loads, until the lockout", "qiki-t", Orbit(500.0)),
    Day("qiki-t, 800 km, tumbling", "qiki-t", Orbit(800.0, 30.0), Tumbling(240.0)),
    Day("gref, 500 km", "gref", Orbit(500.0)),
    Day("qiki-t, fed from a dock, faultless monitors", "qiki-t", None, loads_off=frozenset({"nbl"}), soc=0.5, dock=True,
        errors=SensorErrors(0.0, 0.0, 0.0, 1.0)),
)


def run(report: Report) -> None:
    """Add every figure to a report."""
    for day in DAYS:
        result = EnergyFlight(EnergyPlan(
            load_body(day.body), orbit=day.orbit, sun=day.sun, loads_off=day.loads_off, soc_battery=day.soc,
            errors=day.errors, faults=(parse_fault("dock@0"),) if day.dock else (), step_s=1.0,
        )).run()
        share = result.unexplained_share
        report.add(f"24 h, {day.name}: unexplained in the world's books", share, "", None, "<= 0.001", share <= LIMIT)
        if result.on_board is not None and result.on_board.unexplained_share is not None:
            own = result.on_board.unexplained_share
            worst = 0.02 if day.errors.current_gain else LIMIT
            report.add("  the same on board, by its own monitors", own, "", "1 % gain of the current monitors",
                       f"<= {worst:g}", own <= worst)
        report.add("  lowest charge of the battery", result.min_soc_battery, "", None, None)
        report.add("  charged below freezing", result.cold_charge_j, "J", None, 0, result.cold_charge_j == 0.0)


if __name__ == "__main__":
    from pathlib import Path

    report = Report("energy-books", Path("build") / "bench")
    run(report)
    raise SystemExit(report.finish())
