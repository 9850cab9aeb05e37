"""Faults of the flight computer are told within the time that the fault table gives, begun at the worst moment."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fdir.fault_table import load_fault_table
from firmware_py.cli.session import RigFlight
from firmware_py.clock import NullMeter
from firmware_py.mission import FaultConfig, InitialConfig, MissionConfig, StepConfig, load_mission
from firmware_py.recorder.reader import read_flight
from firmware_py.report.parts import joined
from hal.profile import load_profile

SECOND = 1_000_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")
TABLE = load_fault_table()
WORST_S = 2.535
"""The tick after a look at the computer: the next look is half a second away."""
WATCHED = MissionConfig(
    schema_version=1, mission="watched", description="Boots and waits while something of its computer fails",
    body="qiki-t", board="qiki-rpi", epoch="2026-06-21T12:00:00Z", initial=InitialConfig(loads_off=("radar", "nbl")),
    steps=(StepConfig("wait", wait_for="nothing", stay_s=3600.0),),
)
ROWS = ("computer-hot", "computer-throttled", "memory-low", "disk-low", "clock-jump", "recorder-failed")


def told(folder: Path, row: str) -> list[float]:
    """When the row was tripped, s."""
    rows = joined(read_flight(folder / "flight.mcap")).events
    return [t_ns / SECOND for t_ns, event in rows if event["text"].startswith(f"{row} tripped")]


@pytest.mark.parametrize("row", ROWS)
def test_the_scenario_of_a_row_trips_it_in_time(row: str, tmp_path: Path) -> None:
    config = TABLE.row(row)
    within_s = config.detect_within_ms * 1e-3
    [fault] = load_mission(config.scenario).faults
    begun = FaultConfig(fault.kind, at_s=WORST_S, parameters=fault.parameters)
    mission = msgspec.structs.replace(WATCHED, faults=(begun,), duration_s=WORST_S + within_s + 0.05)
    RigFlight(mission, PROFILE, tmp_path / "f", 1, meter=NullMeter()).run()
    [at_s] = told(tmp_path / "f", row)
    assert WORST_S < at_s <= WORST_S + within_s


def test_a_computer_that_is_well_trips_none_of_them(tmp_path: Path) -> None:
    RigFlight(msgspec.structs.replace(WATCHED, duration_s=6.0), PROFILE, tmp_path / "f", 1, meter=NullMeter()).run()
    assert [told(tmp_path / "f", row) for row in ROWS] == [[]] * len(ROWS)
