"""Telemetry of one moment: a value for every channel of the dictionary, ``None`` where it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from comms.dictionary import TELEMETRY
from firmware_py.energy.snapshot import energy_snapshot
from hal.frames import norm, rotation_angle, subtract
from hal.reading import Reading

if TYPE_CHECKING:
    from firmware_py.tick import FlightSoftware

__all__ = ["LINK_CHANNELS", "PERCEPTION_CHANNELS", "snapshot_of"]

FIRST_LINK_CHANNEL, FIRST_PERCEPTION_CHANNEL = 89, 100
LINK_CHANNELS = tuple(
    channel.name for channel in TELEMETRY if FIRST_LINK_CHANNEL <= channel.id < FIRST_PERCEPTION_CHANNEL
)
"""Channels whose values the link tells; missing where no link runs."""
PERCEPTION_CHANNELS = tuple(channel.name for channel in TELEMETRY if channel.id >= FIRST_PERCEPTION_CHANNEL)
"""Channels whose values the perception tells; missing where none runs."""


def snapshot_of(software: FlightSoftware, now_ns: int) -> dict[str, Any]:
    """The channels of now."""
    nav, commander, power = software.estimator.nav, software.commander, software.power
    supervisor, hardware = software.supervisor, software.hardware
    target = commander.target
    attitude, position = (None, None) if target is None else target.at(software.window_age_s(now_ns))
    return {
        "t_s": now_ns * 1e-9,
        "motion": supervisor.modes.motion.value,
        "emission": supervisor.modes.emission.value,
        "safe": supervisor.keeper.state.value,
        "step": commander.step_name,
        "phase": commander.phase,
        "quaternion": nav.quaternion,
        "rate_rad_s": nav.rate,
        "position_m": nav.position,
        "velocity_m_s": nav.velocity,
        "sigma_attitude_rad": nav.sigma_attitude_rad,
        "sigma_position_m": nav.sigma_position_m,
        "attitude_error_rad": None if attitude is None else rotation_angle(nav.quaternion, attitude),
        "position_error_m": None if position is None else norm(subtract(nav.position, position)),
        "target_quaternion": attitude,
        "target_position_m": position,
        "soc_battery": software.energy.soc_battery,
        "soc_supercap": software.energy.soc_supercap,
        "bus_voltage_v": _usable(power.bus_voltage_v),
        "bus_current_a": _usable(power.bus_current_a),
        "battery_current_a": _usable(power.battery_current_a),
        "temperature_c": {name: _usable(reading) for name, reading in software.temperatures.items()},
        "sun_body": nav.sun_body,
        "propellant_kg": software.propellant_kg,
        "on_ms": software.plan.on_ms,
        "masked_nozzles": sorted(supervisor.masked),
        "armed": software.enabled,
        "attitude_known": nav.attitude_known,
        "gyro_bias_rad_s": nav.gyro_bias,
        "devices": hardware.not_ok(),
        "bus_failures": hardware.failures(),
        "gate_vetoes": software.gate.vetoes,
        "failure_causes": hardware.failure_causes(),
        "bus_recoveries": hardware.recoveries(),
        **_agreement(software),
        **energy_snapshot(software.energy),
        "faults": list(supervisor.bank.active()),
        "fault_trips": supervisor.bank.trips(),
        "fault_worst": supervisor.bank.worst(),
        "safe_reasons": [code.value for code in supervisor.keeper.reasons],
        "safe_open": _safe_open(software),
        "imu": hardware.imu_name,
        "commands": commander.desk.counts,
        **software.guard.snapshot(),
        "start": commander.desk.start,
        **dict.fromkeys(LINK_CHANNELS),
        **software.link_values,
        **dict.fromkeys(PERCEPTION_CHANNELS),
        **software.perception_values,
    }


def _safe_open(software: FlightSoftware) -> list[str]:
    keeper = software.supervisor.keeper
    return list(keeper.failing(software.facts)) if keeper.reasons and software.facts is not None else []


def _agreement(software: FlightSoftware) -> dict[str, Any]:
    """What the sensors say of the estimate, and the chain from demand to pulses of itself."""
    estimator, seen = software.estimator, software.estimator.consistency
    relative, modulator = estimator.nav.relative, software.modulator.counters
    return {
        "nis_attitude": seen.attitude.nis,
        "nis_sun": seen.sun.nis,
        "nis_magnetic": seen.magnetic.nis,
        "nis_gravity": seen.gravity.nis,
        "nis_relative": seen.relative.nis,
        "estimate_consistent": seen.within,
        "inputs_refused": {reason.value: count for reason, count in estimator.refusals.items() if count},
        "gyro_scale": estimator.filter.scale,
        "disturbance_n_m": software.controller.disturbance_n_m,
        "relative_position_m": None if relative is None else relative.position,
        "relative_velocity_m_s": None if relative is None else relative.velocity,
        "sigma_relative_m": None if relative is None else relative.sigma_position_m,
        "profile_progress": software.commander.progress,
        "demands": {verdict.name.lower(): count for verdict, count in software.policy.counts.items()},
        "demands_refused": {
            "not_finite": modulator.refused_demands,
            **{fault.value: count for fault, count in software.controller.faults.items() if count},
        },
    }


def _usable(reading: Reading[float]) -> float | None:
    return reading.value if reading.ok else None
