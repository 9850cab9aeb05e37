"""The made-up flight that the tests of the report share: plausible, deterministic, and complete by the dictionary."""

from __future__ import annotations

from math import cos, exp, radians, sin
from typing import Any

import numpy as np
import pytest

from comms.dictionary import TELEMETRY
from fdir.codes import Code, Severity
from fdir.modes import Motion
from firmware_py.cli.session import TRUTHS
from firmware_py.report.figures import FlightData
from firmware_py.telemetry_snapshot import LINK_CHANNELS, PERCEPTION_CHANNELS
from hal.frames import Quaternion, multiply, quaternion_from_euler, quaternion_from_rotation_vector

NS = 1_000_000_000
STEPS = (
    ("boot", 0.0, 4.0), ("detumble", 4.0, 28.0), ("sun-track", 28.0, 80.0), ("slew", 80.0, 118.0),
    ("translate", 118.0, 200.0), ("brake", 200.0, 214.0), ("hold", 214.0, 300.0),
)
NODES = ("core", "pdu", "supercap", "battery", "hull", "sensor_head", "comms", "dock_bridge")
TRUTH_KEYS = (
    "position_m", "velocity_m_s", "quaternion", "rate_rad_s", "mass_kg", "propellant_kg", "total_impulse_n_s",
    "open_mask", "soc_battery", "soc_supercap", "bus_voltage_v", "array_w", "load_w", "temperatures_c",
    "pulse_rule_violations", "bus_limit_a", *TRUTHS,
)


def _step(t: float) -> str:
    return next((name for name, start, end in STEPS if start <= t < end), "")


def _motion(t: float, step: str) -> Motion:
    if step == "boot":
        return Motion.BOOT
    if step == "translate":
        return Motion.BURN if t < 124 else Motion.COAST if t < 184 else Motion.BRAKE if t < 190 else Motion.MANOEUVRE
    if step == "brake":
        return Motion.BRAKE if t < 206 else Motion.IDLE
    return Motion.MANOEUVRE


def _place(t: float) -> tuple[float, float]:
    """Distance along X and speed of the move of 40 m."""
    if t < 118:
        return 0.0, 0.0
    if t < 124:
        return (t - 118) ** 2 / 18, (t - 118) / 9
    if t < 184:
        return 2.0 + (t - 124) * 0.6667, 0.6667
    if t < 190:
        return 42.0 - (190 - t) ** 2 / 18, (190 - t) / 9
    return 42.0 - 2.0 * (1 - exp(-(t - 190) / 5)), 0.0


def _asked(t: float, step: str) -> tuple[Quaternion | None, tuple[float, float, float] | None]:
    if step in ("boot", "detumble", "brake", ""):
        return None, None
    if step == "sun-track":
        return quaternion_from_euler(0.0, 0.0, 0.0), None
    turned = radians(90.0 * min(1.0, (t - 80.0) / 25.0))
    attitude = quaternion_from_euler(0.0, turned, 0.0)
    return attitude, None if step == "slew" else (40.0, 0.0, 0.0)


def make_flight(duration_s: float = 300.0, rate_hz: int = 20, truth: bool = True, seed: int = 7) -> FlightData:
    """A flight of the default mission's shape, as far as ``duration_s``."""
    rng = np.random.default_rng(seed)
    snapshots: list[tuple[int, dict[str, Any]]] = []
    truths: list[tuple[int, dict[str, Any]]] = []
    pulses = [0] * 16
    impulse = 0.0
    for index in range(round(duration_s * rate_hz) + 1):
        t = index / rate_hz
        t_ns = index * NS // rate_hz
        step = _step(t)
        motion = _motion(t, step)
        attitude, position = _asked(t, step)
        busy = 0.0 if step == "boot" else 0.9 if motion in (Motion.BURN, Motion.BRAKE) else 0.35 if t < 12 else 0.04
        if index % 5 == 0:
            pulses = [int(rng.integers(6, 51)) * 5 if rng.random() < busy else 0 for _ in range(16)]
            if t >= 92:
                pulses[5] = 0
            impulse += 12 * sum(pulses) * 1e-3
        decay = exp(-max(0.0, t - 4) / 5)
        rate = [radians(3.2) * decay, radians(-2.6) * decay, radians(2.8) * decay]
        if step == "slew" and t < 105:
            rate[1] = radians(3.6)
        x, speed = _place(t)
        start = quaternion_from_euler(radians(25 * decay), radians(-10 * decay), radians(140 * decay))
        off = quaternion_from_rotation_vector((2e-3 * sin(t / 3), 2e-3 * cos(t / 4), 1e-3))
        true_attitude = multiply(attitude if attitude is not None else start, off)
        known = t > 15
        estimated = multiply(true_attitude, quaternion_from_rotation_vector((3e-4 * sin(t), 2e-4, 0.0)))
        true_position = (x, 0.05 * sin(t / 20), -0.03 * cos(t / 15) + 0.03)
        drift = 0.0008 * t
        soc_b = 0.80 - 0.02 * min(t, 60) / 60 + 0.00002 * max(0.0, t - 60)
        boosted = 0.0 if t < 118 else (t - 118) / 6 if t < 124 else max(0.0, 1 - (t - 124) / 60)
        soc_c = 0.70 - 0.15 * boosted
        array = 34.5 if 45 < t < 80 else 12.0 + 10 * sin(t / 30)
        temperatures: dict[str, float | None] = {
            name: round(18 + 2 * k + (8 + k) * (1 - exp(-t / (60 + 20 * k))) + 0.1 * float(rng.random()), 2)
            for k, name in enumerate(NODES)
        }
        if 150 <= t < 170:
            temperatures["comms"] = None
        silent = 240 <= t < 252
        snapshots.append((t_ns, {
            "t_s": t, "motion": motion.value, "emission": "open", "safe": "safe_inactive", "step": step,
            "phase": motion.value.lower(), "quaternion": list(estimated), "rate_rad_s": rate,
            "position_m": [x + drift, true_position[1] - drift / 2, true_position[2]],
            "velocity_m_s": [speed, 0.0, 0.0], "sigma_attitude_rad": 1e-4 if known else 3.1,
            "sigma_position_m": 0.01 + 0.0005 * t,
            "attitude_error_rad": None if attitude is None else 0.002,
            "position_error_m": None if position is None else 0.05,
            "target_quaternion": None if attitude is None else list(attitude),
            "target_position_m": None if position is None else list(position),
            "soc_battery": soc_b, "soc_supercap": soc_c,
            "bus_voltage_v": None if silent else 22 + 6 * soc_b + 0.02 * float(rng.standard_normal()),
            "bus_current_a": None if silent else 5.0 + 2 * busy + 0.05 * float(rng.standard_normal()),
            "battery_current_a": 4.4 - array / 27, "temperature_c": temperatures, "sun_body": [-1.0, 0.0, 0.0],
            "propellant_kg": 12.0 - impulse / 588.4, "on_ms": list(pulses), "masked_nozzles": [5] if t >= 92 else [],
            "armed": t > 4, "attitude_known": known, "gyro_bias_rad_s": [1e-4, -2e-4, 3e-4],
            "devices": {"temps_b": "degraded"} if 150 <= t < 170 else {},
            "bus_failures": int(t > 150) * 3, "gate_vetoes": 0,
            "failure_causes": {"timeout": int(t > 150) * 3}, "bus_recoveries": {},
            "nis_attitude": 1.02 if known else None, "nis_sun": 0.97 if known else None, "nis_magnetic": None,
            "nis_gravity": None, "nis_relative": None, "estimate_consistent": True, "inputs_refused": {},
            "gyro_scale": [1e-4, 0.0, -1e-4], "disturbance_n_m": [0.0, 0.0, 0.0], "relative_position_m": None,
            "relative_velocity_m_s": None, "sigma_relative_m": None, "profile_progress": None,
            "demands": {"as_asked": int(4 * t)}, "demands_refused": {"not_finite": 0},
            **_energy(t, array, busy, soc_b, soc_c),
        }))
        truths.append((t_ns, {
            "position_m": list(true_position), "velocity_m_s": [speed, 0.0, 0.0], "quaternion": list(true_attitude),
            "rate_rad_s": rate, "mass_kg": 432.0 - impulse / 588.4, "propellant_kg": 12.0 - 0.98 * impulse / 588.4,
            "total_impulse_n_s": 0.98 * impulse, "open_mask": sum(1 << n for n, ms in enumerate(pulses) if ms),
            "soc_battery": soc_b, "soc_supercap": soc_c, "bus_voltage_v": 22 + 6 * soc_b, "array_w": array,
            "load_w": 139.0 + 60 * busy, "temperatures_c": {**temperatures, "comms": 30.0, "rcs_c01": 20.0 + t / 10},
            "pulse_rule_violations": 0, "bus_limit_a": 5.0, "array_max_w": array + 0.2, "panel_wanted": True,
            "panel_v": 30.8, "dock_w": 0.0, "valve_w": 60 * busy, "peak_w": 0.0, "unserved_w": 0.0, "spilled_w": 0.0,
            "bus_on": True, "longest_under_s": 0.0, "cold_charge_j": 0.0, "balance_error_j": 1e-9,
            "flowed_j": 1.0 + 139.0 * t, "illumination": 1.0, "battery_current_a": 4.4 - array / 27,
            "supercap_current_a": 6 * busy, "supercap_voltage_v": 10 * soc_c**0.5,
        }))
    end_ns = snapshots[-1][0]
    metadata = {
        "mission": "first-flight", "body": "qiki-t", "board": "qiki-rpi", "seed": "1", "steps": str(len(STEPS)),
        "software_version": "0.1.0", "hardware_profile_hash": "sha256:" + "3a" * 32,
    }
    return FlightData(metadata, snapshots, truths if truth else [], [e for e in _events() if e[0] <= end_ns], [])


def _energy(t: float, array: float, busy: float, soc_b: float, soc_c: float) -> dict[str, Any]:
    """Channels of power and heat: NBL is shed from 60 s to 90 s, a cluster's heater runs after 200 s."""
    shed = 60 <= t < 90
    loads = dict.fromkeys(("base", "processor", "radar", "transponder", "nbl", "lidar"), "load_allowed")
    loads["nbl"] = "load_shed" if shed else "load_allowed"
    return {
        "flows_w": {
            "array": array, "dock": 0.0, "loads": 119.0 + 20 * (not shed), "peaks": 60 * busy, "battery": 119.0 - array,
            "supercap": 60 * busy, "spilled": 0.0, "unserved": 0.0, "pdu": 119.0,
        },
        "loads": loads, "shed": ["nbl"] if shed else [], "shed_reasons": ["pdu_overcurrent"] if shed else [],
        "power_faults": [], "peak_level": "boost" if soc_c >= 0.6 else "hold", "duty_level": "full",
        "compute_share": 1.0, "rcs_share": 1.0, "soc_trust": {"battery": "trusted", "supercap": "trusted"},
        "soc_sigma": {"battery": 0.01, "supercap": 0.002}, "store_fade": {"battery": None, "supercap": 1.0},
        "supercap_esr_ohm": 0.025, "time_to_empty_s": 3600.0 * soc_b * 5,
        "time_to_boost_s": 0.0 if soc_c >= 0.6 else 90.0,
        "panel_voltage_v": 30.8, "panel_power_w": array, "panel_setpoint_v": 30.9375, "dock_feed": "off",
        "dock_soft_start_pct": 0.0, "heaters": ["heater_rcs_c01"] if t >= 200 else [], "heat_states": {},
        "budget": {"held_j": 0.0, "granted": int(t), "queued": 0, "refused": 0, "revoked": 0, "overrun_j": 0.0},
        "energy_j": {
            "harvested": array * t, "dock": 0.0, "loads": 119.0 * t, "peaks": 0.0, "battery_loss": t,
            "supercap_loss": 0.0, "growth": (array - 120.0) * t, "unexplained": 0.0, "unexplained_share": 0.0,
            "unknown_s": 0.8,
        },
        "computer_c": None,
        "faults": [], "fault_trips": {}, "fault_worst": {}, "safe_reasons": [], "safe_open": [], "imu": "imu",
        "commands": {}, "guard_alerts": {}, "guard_rules": {}, "guard_active": {}, "guard_tracks": 0,
        "guard_quality": None, "guard_left_out": {}, "start": 1,
        **dict.fromkeys((*LINK_CHANNELS, *PERCEPTION_CHANNELS)),
    }


def _events() -> list[tuple[int, dict[str, Any]]]:
    def row(t: float, code: Code, severity: Severity, text: str) -> tuple[int, dict[str, Any]]:
        return round(t * NS), {"code": code.value, "severity": severity.value, "text": text}

    events = [row(end, Code.STEP_DONE, Severity.INFO, name) for name, _, end in STEPS]
    events += [
        row(4.0, Code.MODE_CHANGED, Severity.INFO, "Boot -> Idle"),
        row(92.0, Code.RCS_UNAVAILABLE, Severity.WARNING, "nozzle 5 did not push: masked"),
        row(150.0, Code.DEVICE_STATE, Severity.WARNING, "temps_b degraded: timeout"),
        row(170.0, Code.DEVICE_STATE, Severity.INFO, "temps_b ok"),
        row(240.0, Code.BUS_UNSTABLE, Severity.CRITICAL, "bus under-voltage tripped: below 22 V"),
    ]
    return sorted(events, key=lambda event: event[0])


@pytest.fixture(scope="module")
def flight() -> FlightData:
    return make_flight()


def test_every_snapshot_has_exactly_the_channels_of_the_dictionary(flight: FlightData) -> None:
    assert len(flight.snapshots) == 6001
    for _, row in flight.snapshots[::500]:
        assert list(row) == [channel.name for channel in TELEMETRY]


def test_every_truth_row_has_the_keys_that_the_figures_use(flight: FlightData) -> None:
    assert set(flight.truth[0][1]) == set(TRUTH_KEYS)


def test_the_same_seed_makes_the_same_flight() -> None:
    assert make_flight(5.0) == make_flight(5.0)
