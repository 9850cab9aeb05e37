"""The port between flight loop and perception: what the sensors said goes down, contacts and threats come up.

In a simulation ``LocalPort`` joins both in one process, in lockstep; beside a real flight loop the same messages go
over a local socket (``comms.link.socket_port`` with ``CODEC``). Neither end waits, neither trusts the other's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from comms.flight_port import EventNote, LinkOrder
from comms.link.socket_port import MessageCodec
from drivers.samples import FieldSample, LidarScan, RadarScan, RangeSample, SpectrumSample, TransponderSample
from fdir.guard_contacts import Contact
from hal.frames import Quaternion, Vec3

__all__ = ["AHEAD_NS", "CODEC", "FIELDS", "ContactFrame", "CraftMotion", "Scan"]

AHEAD_NS = 20_000_000
"""By how much a message may lie ahead of the reader's clock: a tick knows its deadline and not the moment in it, and
the clocks of two processes are not the same to the millisecond."""

FIELDS = {
    "radar": "radar", "lidar": "lidar", "range": "beam", "spectrometer": "spectrum", "magnetometer": "magnetic",
    "transponder": "transponder",
}
"""Field of a scan for the samples of a role."""


@dataclass(frozen=True, slots=True)
class CraftMotion:
    """How the craft moves and what it can do, twenty times a second; ``None`` is unknown.

    Position, velocity inertial (m, m/s), quaternion body to inertial, rate body (rad/s).
    """

    now_ns: int
    start: int | None
    motion: str
    position_m: Vec3
    velocity_m_s: Vec3
    quaternion: Quaternion
    rate_rad_s: Vec3
    sigma_position_m: float
    sigma_velocity_m_s: float
    sigma_attitude_rad: float
    attitude_known: bool = True
    """Inertial axes are those of the stars. Before, they are those of the start, and all that was seen turns with the
    first fix."""
    rates_hz: Mapping[str, float] = field(default_factory=dict)
    """Of sensors, as far as energy lets them."""
    energy_level: str = ""
    loads_off: tuple[str, ...] = ()
    brake_m_s2: float | None = None
    """What the nozzles that are left push with in every direction; ``None`` too when they lack one."""
    mass_kg: float | None = None
    tank_m_s: float | None = None
    """Speed that the tank can take out."""
    pulsing: bool = False
    """Valves or heaters draw pulses of current now."""


@dataclass(frozen=True, slots=True)
class Scan:
    """What one sensor said: exactly one of the samples, with the device's name and the times, flight ns."""

    device: str
    ingest_ns: int
    pose_ns: int
    """Time of the motion below, the craft's at the ingest."""
    position_m: Vec3
    velocity_m_s: Vec3
    quaternion: Quaternion
    rate_rad_s: Vec3
    radar: RadarScan | None = None
    lidar: LidarScan | None = None
    beam: RangeSample | None = None
    spectrum: SpectrumSample | None = None
    magnetic: FieldSample | None = None
    transponder: TransponderSample | None = None


@dataclass(frozen=True, slots=True)
class ContactFrame:
    """What perception says after a frame, or by itself at least once a second.

    ``telemetry`` holds values of its channels; ``finished`` orders that have ended: number, whether well, words.
    ``asked`` names consumers that are wanted on (duty table). ``urgent``: some contact is about to hit.
    """

    t_ns: int
    contacts: tuple[Contact, ...] = ()
    urgent: bool = False
    events: tuple[EventNote, ...] = ()
    telemetry: Mapping[str, Any] = field(default_factory=dict)
    finished: tuple[tuple[int, bool, str], ...] = ()
    asked: tuple[str, ...] = ()


PerceptionMessage = CraftMotion | Scan | LinkOrder | ContactFrame
CODEC = MessageCodec({1: CraftMotion, 2: Scan, 3: LinkOrder, 4: ContactFrame})
"""Messages of this port as bytes."""
