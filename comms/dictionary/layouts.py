"""Groups of telemetry channels that travel together; the id of a group changes when anything in it does.

A frame on a link holds values by position alone, so both ends must mean the same positions. A layout's id is therefore
made from what it holds (name, and id, kind, unit and form of every channel in order): software with another layout of
that name has another id, and a frame is refused rather than misread.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256

from comms.dictionary.telemetry import CHANNELS
from comms.dictionary.types import Channel

__all__ = ["FIRST_LAYOUT_ID", "LAYOUTS", "LAYOUTS_BY_ID", "Layout", "layout_of"]

FIRST_LAYOUT_ID = 0x0100
"""Ids below are those of the messages that are no frames."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Channels in the order in which their values go out, and how often they do where the line has room."""

    name: str
    rate_hz: float
    text: str
    channels: tuple[Channel, ...]
    id: int
    """16 bits, from ``FIRST_LAYOUT_ID`` on."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels, in order."""
        return tuple(channel.name for channel in self.channels)


def _id(name: str, channels: tuple[Channel, ...]) -> int:
    rows = [[c.id, c.kind, c.unit, c.form] for c in channels]
    digest = sha256(json.dumps([name, rows], separators=(",", ":")).encode()).digest()
    return FIRST_LAYOUT_ID + int.from_bytes(digest[:4]) % (0x1_0000 - FIRST_LAYOUT_ID)


def layout_of(name: str, rate_hz: float, text: str, names: str) -> Layout:
    """A layout of these channels (names with spaces between), with its id. KeyError for a channel that there is not."""
    channels = tuple(CHANNELS[word] for word in names.split())
    return Layout(name, rate_hz, text, channels, _id(name, channels))


_LAYOUTS = (
    layout_of("motion", 10.0, "where the craft is and how it moves",
            "quaternion rate_rad_s position_m velocity_m_s attitude_error_rad position_error_m on_ms"),
    layout_of("state", 2.0, "modes, and what decides them",
            "t_s start motion emission safe step phase armed attitude_known imu soc_battery soc_supercap peak_level "
            "propellant_kg emcon_level safe_reasons faults"),
    layout_of("target", 2.0, "what is flown to",
            "target_quaternion target_position_m relative_position_m relative_velocity_m_s sigma_relative_m "
            "profile_progress"),
    layout_of("navigation", 1.0, "how far the estimate is to be trusted",
            "sigma_attitude_rad sigma_position_m gyro_bias_rad_s gyro_scale disturbance_n_m sun_body nis_attitude "
            "nis_sun nis_magnetic nis_gravity nis_relative estimate_consistent inputs_refused"),
    layout_of("power", 1.0, "bus, stores, panel, dock",
            "bus_voltage_v bus_current_a battery_current_a panel_voltage_v panel_power_w panel_setpoint_v "
            "supercap_esr_ohm time_to_empty_s time_to_boost_s dock_feed dock_soft_start_pct duty_level compute_share "
            "rcs_share flows_w"),
    layout_of("loads", 0.5, "who is served and who is not",
            "loads shed shed_reasons power_faults budget"),
    layout_of("stores", 0.2, "charge, its trust, and the books",
            "soc_trust soc_sigma store_fade energy_j"),
    layout_of("heat", 0.5, "thermal nodes", "computer_c temperature_c heat_states heaters"),
    layout_of("health", 0.5, "devices, buses, nozzles",
            "bus_failures gate_vetoes masked_nozzles devices failure_causes bus_recoveries demands demands_refused"),
    layout_of("faults", 0.5, "faults, and the way out of SAFE", "fault_trips fault_worst safe_open commands"),
    layout_of("guard", 1.0, "what is around",
            "guard_tracks guard_quality guard_alerts guard_rules guard_active guard_left_out"),
    layout_of("surroundings", 1.0, "tracks and the risk that comes from them",
            "risk_level closest_approach_s closest_approach_m perception_mode tracks nearest_tracks"),
    layout_of("perception", 0.5, "sensors, maps, answers",
            "perception_frames perception_refused perception_sensors grid science perception_answer"),
    layout_of("link", 1.0, "the link itself",
            "audit_records link_used_j link_peers link_channels link_counts nbl intrusion_alerts"),
    layout_of("transfers", 0.5, "files, sequences, bundles", "files sequences bundles"),
)
LAYOUTS: dict[str, Layout] = {layout.name: layout for layout in _LAYOUTS}
"""Every group by name. Each channel stands in exactly one."""
LAYOUTS_BY_ID: dict[int, Layout] = {layout.id: layout for layout in _LAYOUTS}
