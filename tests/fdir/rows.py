"""Rows, monitors and a port for the tests of the core."""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from fdir.facts import CraftLimits
from fdir.fault_table import FaultRow, FaultTable, load_fault_table
from fdir.monitors import Monitor, monitors_of
from hal.profile import load_profile

DEVICES = {"imu": ("imu",), "star_tracker": ("star",), "sun_sensor": ("sun_px", "sun_nx")}
BUSES = ("i2c_a", "i2c_b")
LIMITS = CraftLimits(
    bus_low_v=22.0, bus_safe_v=20.0, bus_near_a=4.0, bus_limit_a=5.0, bus_trip_a=6.0, battery_safe_soc=0.10,
    supercap_safe_soc=0.10, runaway_rad_s=0.4363, battery_charge_c=0.0, battery_discharge_c=-20.0, dock_reverse_a=-0.5,
)


def row(**changes: Any) -> FaultRow:
    """A row: bus below 22 V for 100 ms, clear after 200 ms, judged in every tick."""
    given: dict[str, Any] = {
        "id": "low", "number": 900, "text": "below 22 V", "monitor": "bus_voltage", "condition": "below",
        "limit": 22.0, "persist_ms": 100, "clear_ms": 200, "code": "BUS_UNSTABLE", "severity": "warning",
        "detect_within_ms": 200, "scenario": "battery-low",
    }
    given.update(changes)
    return msgspec.convert({k: v for k, v in given.items() if v is not ...}, type=FaultRow, strict=True)


def yes(name: str, **changes: Any) -> FaultRow:
    """A row of a quantity that is true or false."""
    return row(**{"id": name, "condition": "true", "limit": ..., "text": name, **changes})


def monitors(*rows: FaultRow, limits: CraftLimits = LIMITS) -> tuple[Monitor, ...]:
    """Monitors of rows on a small board."""
    return monitors_of(FaultTable(rows, ""), limits, DEVICES, BUSES)


@cache
def shipped() -> tuple[Monitor, ...]:
    """Monitors of the shipped table on the reference craft."""
    profile = load_profile("qiki-t", "qiki-rpi")
    devices: dict[str, tuple[str, ...]] = {}
    for device in profile.board.devices:
        devices[device.role] = (*devices.get(device.role, ()), device.name)
    return monitors_of(load_fault_table(), CraftLimits.of(profile.body), devices, tuple(profile.board.buses))


class Port:
    """A port that notes what it is asked and answers as it is told."""

    def __init__(self, *able: str) -> None:
        self.able = set(able)
        self.asked: list[tuple[str, str, int]] = []

    def recover(self, step: str, unit: str, now_ns: int) -> bool:
        """See RecoveryPort."""
        self.asked.append((step, unit, now_ns))
        return step in self.able
