"""What there may be around the craft: bodies that move by a script, obstacles, magnets and patches of colour.

Plain descriptions, checked elsewhere; SI, inertial axes unless said otherwise, times in s of rig time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, unique
from math import inf

from hal.frames import IDENTITY, Quaternion, Vec3

__all__ = ["Field", "Manoeuvre", "Mode", "Obstacle", "Patch", "Scene", "Target", "Transponder"]

ZERO: Vec3 = (0.0, 0.0, 0.0)


@unique
class Mode(IntEnum):
    """What a target's transponder does."""

    OFF = 0
    """Nothing."""
    ON = 1
    """Answers who asks, and speaks unasked."""
    SILENT = 2
    """Answers who asks, and never speaks unasked."""
    SPOOF = 3
    """Says that it is somebody else; it can't prove it."""


@dataclass(frozen=True, slots=True)
class Transponder:
    """A target's transponder. ``number`` is the identity that it tells, its own or not."""

    mode: Mode = Mode.OFF
    number: int = 0
    power_dbm: float = 20.0


@dataclass(frozen=True, slots=True)
class Manoeuvre:
    """A constant acceleration (m/s2, inertial axes) from one time to another, s."""

    from_s: float
    to_s: float
    acceleration: Vec3


@dataclass(frozen=True, slots=True)
class Target:
    """A sphere that moves.

    ``position`` and ``velocity`` are those at ``at_s``: inertial, or with ``relative`` from the craft's centre of mass
    along its body axes at that moment, the velocity added to the craft's. A relative target does not exist before.
    ``object_type`` is truth for judging, no sensor sees it. ``spectrum`` names one of the scene's.
    """

    name: str
    position: Vec3
    velocity: Vec3 = ZERO
    relative: bool = False
    at_s: float = 0.0
    radius_m: float = 1.0
    rcs_dbsm: float = 0.0
    object_type: str = "unspecified"
    spectrum: str | None = None
    transponder: Transponder = Transponder()
    manoeuvres: tuple[Manoeuvre, ...] = ()
    appears_s: float = 0.0
    vanishes_s: float = inf


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A body that stands still in inertial axes: a sphere, or with ``half_m`` a box turned by ``quaternion``."""

    name: str
    position: Vec3
    radius_m: float = 0.0
    half_m: Vec3 | None = None
    quaternion: Quaternion = IDENTITY
    """Box to inertial."""
    rcs_dbsm: float = 10.0
    spectrum: str | None = None

    @property
    def reach_m(self) -> float:
        """Radius of the smallest sphere around it."""
        if self.half_m is None:
            return self.radius_m
        x, y, z = self.half_m
        return float((x * x + y * y + z * z) ** 0.5)


@dataclass(frozen=True, slots=True)
class Field:
    """A magnetic dipole: place and moment, A m2. Nearer than ``core_m`` its field is that at ``core_m``."""

    position: Vec3
    moment_a_m2: Vec3
    core_m: float = 0.5


@dataclass(frozen=True, slots=True)
class Patch:
    """A round patch that only the spectrometer sees, such as a cloud: place, radius, colour, share of its light."""

    position: Vec3
    radius_m: float
    spectrum: str
    strength: float = 1.0


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is around one craft. ``spectra`` gives a share of reflected light for each of ten channels by name."""

    targets: tuple[Target, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()
    fields: tuple[Field, ...] = ()
    patches: tuple[Patch, ...] = ()
    spectra: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    clutter_per_frame: float = 0.0
    """Echoes of nothing in one list of a radar, on average."""

    @property
    def empty(self) -> bool:
        """Whether nothing is there that any sensor could see."""
        return not (self.targets or self.obstacles or self.fields or self.patches or self.clutter_per_frame)
