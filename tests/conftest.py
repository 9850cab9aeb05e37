"""Shared fixtures: a nominal set of facts, saved pictures, the shared data folder, and YAML scenarios as tests."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from fdir.facts import CraftLimits, Facts

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The same examples in every run, so that a commit that passes once passes always.
# To look for new ones: --hypothesis-profile default.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

# A run of the tests in a shell's background ignores SIGINT, and so would each program that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"

NOMINAL = Facts(
    t_ns=0, hash_matches=True, self_test_passed=True, soc_battery=0.8, soc_supercap=0.7, boost_soc=0.6, hold_soc=0.3,
    bus_voltage_v=26.8, bus_current_a=2.2, battery_temperature_c=18.0, hottest_share=-2.0, imu_ok=True, imu_repeats=0,
    rate_rad_s=0.001, rate_disagreement_rad_s=0.0, attitude_known=True, speed_m_s=0.0, propellant_kg=10.0,
    propulsion_ready=True, settled=True, segment_done=True, target_range_m=None, bridge_allowed=False, detached=True,
    joint_locked_unrated=False, late_ticks=0,
    limits=CraftLimits(
        bus_low_v=22.0, bus_safe_v=20.0, bus_near_a=4.0, bus_limit_a=5.0, bus_trip_a=6.0, battery_safe_soc=0.10,
        supercap_safe_soc=0.10, runaway_rad_s=0.4363, battery_charge_c=0.0, battery_discharge_c=-20.0,
        dock_reverse_a=-0.5,
    ),
)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Pictures as they were when they were saved."""
    from matplotlib.figure import Figure

    pictures: list[Figure] = []
    save = Figure.savefig

    def keep(self: Figure, path: Path, **options: Any) -> None:
        pictures.append(self)
        save(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return pictures


@pytest.fixture
def facts() -> Callable[..., Facts]:
    """Nominal facts with some of them changed."""

    def make(**changes: object) -> Facts:
        return dataclasses.replace(NOMINAL, **changes)

    return make


@pytest.fixture
def shared_data() -> Path:
    """Folder of the shared reference data; skips where a plain clone has none."""
    if not SHARED_DATA.is_dir():
        pytest.skip("reference data not found at ../shared/data; a plain clone has none")
    return SHARED_DATA
