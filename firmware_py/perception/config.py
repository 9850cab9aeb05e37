"""The perception's file: sensors by part, known transponders, and what each step may do; checked whole or refused."""

from __future__ import annotations

from importlib import resources
from math import radians
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from firmware_py.perception.observation import SensorKind
from firmware_py.perception.risk import RiskConfig, check_risk
from firmware_py.perception.tracker import Tracker, TrackerConfig
from firmware_py.perception.tracks import SensorModel
from hal.profile import load_yaml
from hal.profile.loader import Lines, check_finite

__all__ = ["PerceptionConfig", "PlaceConfig", "SensorConfig", "find_perception", "load_perception"]

Metres = Annotated[float, Meta(ge=0.0, le=100_000.0)]
Sigma = Annotated[float, Meta(gt=0.0, le=10_000.0)]
Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
MAX_KNOWN = 1024
"""Transponders of one list."""
TransponderId = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]


class SensorConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """One part that measures detections. A sigma that is left out: not measured."""

    kind: SensorKind
    sigma_range_m: Sigma
    sigma_bearing_deg: Sigma
    sigma_elevation_deg: Sigma
    max_range_m: Annotated[float, Meta(gt=0.0, le=100_000.0)]
    revisit_s: Annotated[float, Meta(gt=0.0, le=60.0)]
    sigma_radial_velocity_m_s: Sigma | None = None
    detection_probability: Share = 0.9
    clutter_per_frame: Annotated[float, Meta(gt=0.0, le=1000.0)] = 1.0
    min_range_m: Metres = 0.0
    half_width_deg: Annotated[float, Meta(gt=0.0, le=180.0)] = 180.0
    half_height_deg: Annotated[float, Meta(gt=0.0, le=90.0)] = 90.0
    max_radial_velocity_m_s: Annotated[float, Meta(gt=0.0, le=10_000.0)] = 64.0
    latency_s: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.0
    """From measurement to arrival at the bus."""

    def model(self) -> SensorModel:
        """As the tracker takes it."""
        return SensorModel(
            self.sigma_range_m, radians(self.sigma_bearing_deg), radians(self.sigma_elevation_deg),
            float("inf") if self.sigma_radial_velocity_m_s is None else self.sigma_radial_velocity_m_s,
            self.detection_probability, self.clutter_per_frame, self.revisit_s, self.min_range_m, self.max_range_m,
            radians(self.half_width_deg), radians(self.half_height_deg), self.max_radial_velocity_m_s,
        )


class PlaceConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a known transponder can be: a ball, inertial axes."""

    transponder_id: TransponderId
    centre_m: tuple[float, float, float]
    radius_m: Annotated[float, Meta(gt=0.0, le=1e6)]


class PerceptionConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. What is left out of ``tracker`` and ``risk`` has their own defaults."""

    schema_version: Literal[1]
    sensors: dict[str, SensorConfig]
    sr_threshold_m: Annotated[float, Meta(gt=0.0, le=100_000.0)] = 5000.0
    friends: Annotated[tuple[TransponderId, ...], Meta(max_length=MAX_KNOWN)] = ()
    foes: Annotated[tuple[TransponderId, ...], Meta(max_length=MAX_KNOWN)] = ()
    types: dict[int, Literal["drone", "ship", "station", "asteroid", "debris"]] = field(default_factory=dict)
    """What a transponder's bearer is known to be."""
    places: Annotated[tuple[PlaceConfig, ...], Meta(max_length=256)] = ()
    keep_out_radius_m: Annotated[float, Meta(gt=0.0, le=1000.0)] = 2.0
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    risk: RiskConfig = field(default_factory=RiskConfig)


def find_perception() -> Path:
    """The file that ships."""
    return Path(str(resources.files("board_configs") / "perception.yaml"))


def load_perception(path: Path | None = None) -> PerceptionConfig:
    """Read and check a perception file, by default the one that ships.

    Raises:
        ConfigError: file, line, key and what is allowed.
    """
    config, lines = load_yaml(find_perception() if path is None else path, PerceptionConfig)
    check_finite(config, lines)
    for name, sensor in config.sensors.items():
        if sensor.min_range_m >= sensor.max_range_m:
            why = f"is {sensor.min_range_m}; below max_range_m is allowed"
            raise lines.error(("sensors", name, "min_range_m"), why)
    _check_possible(config, lines)
    both = sorted(set(config.friends) & set(config.foes))
    if both:
        raise lines.error(("foes",), f"{both[0]} is a friend too; a transponder is one or the other")
    return config


def _check_possible(config: PerceptionConfig, lines: Lines) -> None:
    """Refuse what each value alone allows, and all together do not."""
    if not config.sensors:
        raise lines.error(("sensors",), "at least one part is needed")
    for name, sensor in config.sensors.items():
        try:
            Tracker(config.tracker, {name: sensor.model()})
        except ValueError as error:
            raise lines.error(("sensors", name), str(error)) from None
    try:
        check_risk(config.risk)
    except ValueError as error:
        raise lines.error(("risk",), str(error)) from None
