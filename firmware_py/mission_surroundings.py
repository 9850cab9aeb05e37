"""What a scenario puts around the craft, checked whole: a file is flown as it says or refused with line and key.

Only the rig makes use of it; a real craft has its own surroundings.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from hal.profile.loader import Lines

__all__ = [
    "CHANNELS", "FieldConfig", "ManoeuvreConfig", "ObstacleConfig", "PatchConfig", "SurroundingsConfig", "TargetConfig",
    "TransponderConfig", "check_surroundings",
]

Coordinate = Annotated[float, Meta(ge=-1e6, le=1e6)]
Vec3 = tuple[Coordinate, Coordinate, Coordinate]
Speed = Annotated[float, Meta(ge=-10_000.0, le=10_000.0)]
Acceleration = Annotated[float, Meta(ge=-100.0, le=100.0)]
Angle = Annotated[float, Meta(ge=-360.0, le=360.0)]
Time = Annotated[float, Meta(ge=0.0, le=604_800.0)]
Name = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]*$", max_length=48)]
Radius = Annotated[float, Meta(gt=0.0, le=10_000.0)]
CrossSection = Annotated[float, Meta(ge=-60.0, le=80.0)]
Reflected = Annotated[float, Meta(ge=0.0, le=1.0)]
CHANNELS = 10
"""Of a spectrum: 415, 445, 480, 515, 555, 590, 630, 680 nm, clear, near infrared."""
Spectrum = Annotated[tuple[Reflected, ...], Meta(min_length=CHANNELS, max_length=CHANNELS)]


Number = Annotated[int, Meta(ge=1, le=2**32 - 2)]
"""Of a transponder."""


class TransponderConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What a target answers. ``number`` is what it calls itself; with the mode ``spoof`` that is somebody else's."""

    number: Number
    mode: Literal["off", "on", "silent", "spoof"] | bool = "on"
    """A bare on or off is a truth value in YAML, and taken as such."""
    power_dbm: Annotated[float, Meta(ge=-50.0, le=70.0)] = 20.0


class ManoeuvreConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A constant acceleration, inertial axes, from one time to another."""

    from_s: Time
    to_s: Time
    acceleration_m_s2: tuple[Acceleration, Acceleration, Acceleration]


class TargetConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A body that flies by its script: where it is and how it moves at ``at_s``.

    ``frame`` inertial, or craft: from the craft's centre of mass, along the body axes that the craft has at that time,
    and with its velocity added; such a target does not exist before.
    """

    name: Name
    position_m: Vec3
    velocity_m_s: tuple[Speed, Speed, Speed] = (0.0, 0.0, 0.0)
    frame: Literal["inertial", "craft"] = "inertial"
    at_s: Time = 0.0
    radius_m: Annotated[float, Meta(gt=0.0, le=1000.0)] = 1.0
    rcs_dbsm: CrossSection = 0.0
    type: Literal["unspecified", "drone", "ship", "station", "asteroid", "debris"] = "unspecified"
    """What it is in truth, to judge by; no sensor sees it."""
    spectrum: Name | None = None
    transponder: TransponderConfig | None = None
    manoeuvres: Annotated[tuple[ManoeuvreConfig, ...], Meta(max_length=32)] = ()
    appears_s: Time = 0.0
    vanishes_s: Time | None = None


class ObstacleConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A body that stands still in inertial axes: a ball by ``radius_m`` or a box by ``size_m`` and ``attitude_deg``."""

    name: Name
    position_m: Vec3
    radius_m: Radius | None = None
    size_m: tuple[Radius, Radius, Radius] | None = None
    attitude_deg: tuple[Angle, Angle, Angle] = (0.0, 0.0, 0.0)
    """Roll, pitch, yaw of a box."""
    rcs_dbsm: CrossSection = 10.0
    spectrum: Name | None = None


class FieldConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A magnetic dipole. Nearer than ``core_m`` its field grows no more."""

    position_m: Vec3
    moment_a_m2: Vec3
    core_m: Annotated[float, Meta(ge=0.01, le=1000.0)] = 0.5


class PatchConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A round patch of colour that only the spectrometer sees."""

    position_m: Vec3
    radius_m: Radius
    spectrum: Name
    strength: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0


class SurroundingsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """All that is around the craft; nothing if left out."""

    targets: Annotated[tuple[TargetConfig, ...], Meta(max_length=400)] = ()
    obstacles: Annotated[tuple[ObstacleConfig, ...], Meta(max_length=200)] = ()
    clutter_per_frame: Annotated[float, Meta(ge=0.0, le=10_000.0)] = 0.0
    """False echoes in one list of a radar, on average."""
    fields: Annotated[tuple[FieldConfig, ...], Meta(max_length=50)] = ()
    patches: Annotated[tuple[PatchConfig, ...], Meta(max_length=100)] = ()
    spectra: Annotated[dict[Name, Spectrum], Meta(max_length=64)] = field(default_factory=dict)
    """Share of light that is given back on each channel, by name."""
    friends: Annotated[tuple[Number, ...], Meta(max_length=64)] = ()
    foes: Annotated[tuple[Number, ...], Meta(max_length=64)] = ()
    """Whom the craft was told of before the flight, by the number of their transponders."""


def check_surroundings(config: SurroundingsConfig, lines: Lines) -> None:
    """What a schema can't say. Raises ConfigError with the key below ``surroundings``."""
    names: list[str] = []
    both = sorted(set(config.friends) & set(config.foes))
    if both:
        raise lines.error(["surroundings", "foes"], f"{both[0]} is a friend too; a transponder is one or the other")

    def named(name: str, spectrum: str | None, path: list[Any]) -> None:
        if name in names:
            raise lines.error([*path, "name"], f"the name {name!r} is given twice")
        names.append(name)
        _known(spectrum, config, lines, path)

    for index, target in enumerate(config.targets):
        path: list[Any] = ["surroundings", "targets", index]
        named(target.name, target.spectrum, path)
        _check_target(target, lines, path)
    for index, obstacle in enumerate(config.obstacles):
        path = ["surroundings", "obstacles", index]
        named(obstacle.name, obstacle.spectrum, path)
        if (obstacle.radius_m is None) == (obstacle.size_m is None):
            raise lines.error(path, "give either radius_m or size_m")
    for index, patch in enumerate(config.patches):
        _known(patch.spectrum, config, lines, ["surroundings", "patches", index])


def _known(spectrum: str | None, config: SurroundingsConfig, lines: Lines, path: list[Any]) -> None:
    if spectrum is not None and spectrum not in config.spectra:
        known = ", ".join(sorted(config.spectra)) or "none"
        raise lines.error([*path, "spectrum"], f"no spectrum {spectrum!r}; spectra: {known}")


def _check_target(target: TargetConfig, lines: Lines, path: list[Any]) -> None:
    if target.vanishes_s is not None and target.vanishes_s <= target.appears_s:
        raise lines.error([*path, "vanishes_s"], f"is {target.vanishes_s:g}; after appears_s is allowed")
    for index, push in enumerate(target.manoeuvres):
        where = [*path, "manoeuvres", index]
        if push.to_s <= push.from_s:
            raise lines.error([*where, "to_s"], f"is {push.to_s:g}; after from_s is allowed")
        if push.from_s < target.at_s:
            why = f"is {push.from_s:g}; from at_s ({target.at_s:g}) on is allowed, where the script begins"
            raise lines.error([*where, "from_s"], why)
