"""A perception over a port in memory, and what the flight loop would send it: a craft at rest, a radar ahead."""

from __future__ import annotations

from collections.abc import Sequence
from math import cos, radians, sin
from typing import Any

from comms.flight_port import LinkOrder, LocalPort
from drivers.as7341 import CHANNELS
from drivers.samples import (
    FieldSample,
    LidarScan,
    RadarObject,
    RadarScan,
    RangeSample,
    SpectrumSample,
    TransponderReply,
    TransponderSample,
)
from firmware_py.perception.config import PerceptionConfig, load_perception
from firmware_py.perception.port import ContactFrame, CraftMotion, Scan
from firmware_py.perception.record import PerceptionRecord
from firmware_py.perception.service import Perception
from hal.profile import Profile, load_profile

__all__ = ["CYCLE_NS", "LEVEL", "NS", "PROFILE", "PortCraft", "motion", "radar_objects", "scan", "spectrum"]

NS = 1_000_000_000
LEVEL = (1.0, 0.0, 0.0, 0.0)
PROFILE = load_profile("qiki-t", "qiki-rpi")
RATES = {"radar": 4.0, "lidar": 10.0, "proximity": 10.0, "spectrometer": 0.2, "magnetometer": 10.0}
CYCLE_NS = 72_000_000
AHEAD = {"position_m": (0.0, 0.0, 0.0), "velocity_m_s": (0.0, 0.0, 0.0), "quaternion": LEVEL,
         "rate_rad_s": (0.0, 0.0, 0.0)}


def motion(t_ns: int, **changes: Any) -> CraftMotion:
    """The craft at rest in the origin, level, idle, with energy for everything."""
    plain: dict[str, Any] = {
        "now_ns": t_ns, "start": 1, "motion": "Idle", **AHEAD, "sigma_position_m": 0.1, "sigma_velocity_m_s": 0.01,
        "sigma_attitude_rad": 0.001, "rates_hz": RATES, "energy_level": "full", "brake_m_s2": 1.0, "mass_kg": 300.0,
        "tank_m_s": 15.0,
    }
    return CraftMotion(**{**plain, **changes})


def scan(device: str, t_ns: int, *, pose_ns: int | None = None, **values: Any) -> Scan:
    """What a device said at a time, from the craft in the origin."""
    return Scan(device, t_ns, t_ns if pose_ns is None else pose_ns, **{**AHEAD, **values})


def radar_objects(places: Sequence[Sequence[float]], rcs_dbsm: float = 10.0) -> tuple[RadarObject, ...]:
    """Objects of a list: x, y, vx, vy, from the radar."""
    return tuple(
        RadarObject(number, float(x), float(y), float(vx), float(vy), rcs_dbsm, "moving")
        for number, (x, y, vx, vy) in enumerate(places)
    )


def spectrum(value: float) -> SpectrumSample:
    """The same in all channels."""
    return SpectrumSample(CHANNELS, (value,) * len(CHANNELS), 16.0, 0.1)


class PortCraft:
    """Feeds a perception and keeps what it says. Time moves by ``look``, ``wait`` and ``step`` alone."""

    def __init__(
        self, config: PerceptionConfig | None = None, profile: Profile = PROFILE,
        record: PerceptionRecord | None = None,
    ) -> None:
        port = LocalPort(4096)
        self.flight: Any = port.flight
        self.perception = Perception(load_perception() if config is None else config, profile, port.link, record)
        self.frames: list[ContactFrame] = []
        self.t_ns = NS
        self.counter = 0
        self.move: dict[str, Any] = {}
        """Changes of every motion that is told."""

    def send(self, *messages: Any) -> None:
        for message in messages:
            assert self.flight.send(message)

    def step(self, t_ns: int | None = None) -> list[ContactFrame]:
        """One step; what was said in it."""
        self.perception.step(self.t_ns if t_ns is None else t_ns)
        said = self.flight.receive(4096)
        self.frames += said
        return said

    def look(self, places: Sequence[Sequence[float]], *more: Any, cycle_ns: int = CYCLE_NS) -> list[ContactFrame]:
        """One cycle of the radar with these objects, and whatever else came."""
        self.t_ns += cycle_ns
        self.counter += 1
        # Two lists of a radar are never the same: one that repeats itself is frozen.
        noise = 0.01 * (self.counter % 7)
        places = [(x + noise, y, vx, vy) for x, y, vx, vy in places]
        sample = RadarScan(self.counter % 65536, len(places), radar_objects(places))
        self.send(motion(self.t_ns, **self.move), scan("radar", self.t_ns, radar=sample), *more)
        return self.step()

    def approach(self, x_m: float, speed_m_s: float, cycles: int, y_m: float = 0.0) -> None:
        """Something comes along x for so many cycles; the radar tells where it was a cycle ago."""
        for cycle in range(cycles):
            self.look([(x_m - speed_m_s * cycle * CYCLE_NS * 1e-9, y_m, -speed_m_s, 0.0)])

    def wait(self, seconds: float, step_ns: int = NS // 20) -> None:
        """Nothing is seen, and time goes on."""
        for _ in range(round(seconds * NS / step_ns)):
            self.t_ns += step_ns
            self.send(motion(self.t_ns, **self.move))
            self.step()

    def order(self, name: str, number: int = 1, **arguments: Any) -> tuple[int, bool, str]:
        """Give an order; how it ended."""
        self.send(LinkOrder(self.t_ns, number, name, arguments))
        said = [end for frame in self.step() for end in frame.finished]
        assert len(said) == 1
        return said[0]

    def answers(self, round_number: int, replies: Sequence[TransponderReply], age_ns: int = 50_000_000) -> Scan:
        """A round of the transponder receiver, now."""
        sample = TransponderSample(round_number, len(replies), age_ns, True, tuple(replies))
        return scan("transponder", self.t_ns, transponder=sample)

    def turn(self, ranges: Sequence[float | None], t_ns: int | None = None) -> Scan:
        """A turn of the lidar with so many points evenly all round, clockwise."""
        count = len(ranges)
        angles = tuple(radians(360.0 * index / count) for index in range(count))
        sample = LidarScan(angles, tuple(ranges), (200,) * count, radians(3600.0), 0)
        return scan("lidar", self.t_ns if t_ns is None else t_ns, lidar=sample)

    def beam(self, range_m: float | None) -> Scan:
        return scan("approach", self.t_ns, beam=RangeSample(range_m, 1000.0, 20.0, "ok"))

    def field(self, tesla: tuple[float, float, float]) -> Scan:
        return scan("mag", self.t_ns, magnetic=FieldSample(tesla))

    # -- what was said

    @property
    def codes(self) -> list[str]:
        return [event.code for frame in self.frames for event in frame.events]

    def texts(self, code: str) -> list[str]:
        return [event.text for frame in self.frames for event in frame.events if event.code == code]

    @property
    def told(self) -> dict[str, Any]:
        """Telemetry as last told."""
        return dict(next(frame.telemetry for frame in reversed(self.frames) if frame.telemetry))

    def firm(self) -> list[Any]:
        """Contacts of the last frame that had any, tentative ones left out."""
        contacts = next((frame.contacts for frame in reversed(self.frames) if frame.contacts), ())
        return [contact for contact in contacts if contact.status.value == "tracked"]


def placed(range_m: float, bearing_deg: float) -> tuple[float, float, float, float]:
    """At rest at a range and bearing of the radar."""
    return range_m * cos(radians(bearing_deg)), range_m * sin(radians(bearing_deg)), 0.0, 0.0
