"""What the core knows when it decides: one frozen record a fast tick, ``None`` where nothing is known."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Facts"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Inputs of guards, monitors and gating. States of charge are fractions, rates rad/s, speeds m/s."""

    t_ns: int
    hash_matches: bool
    self_test_passed: bool | None
    soc_battery: float | None
    soc_supercap: float | None
    boost_soc: float
    hold_soc: float
    bus_voltage_v: float | None
    bus_current_a: float | None
    battery_temperature_c: float | None
    hottest_share: float | None
    """Largest (T - warn) / (trip - warn) over the measured thermal nodes: 0 is warn, 1 is trip."""
    imu_ok: bool
    imu_repeats: int
    """How many bursts in a row carried exactly the same rates."""
    rate_rad_s: float | None
    rate_disagreement_rad_s: float | None
    """Gyro against star tracker, when both are there."""
    attitude_known: bool
    speed_m_s: float | None
    propellant_kg: float
    propulsion_ready: bool
    settled: bool
    segment_done: bool
    target_range_m: float | None
    bridge_allowed: bool
    detached: bool
    joint_locked_unrated: bool
    late_ticks: int
