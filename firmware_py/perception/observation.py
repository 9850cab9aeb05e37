"""What the perception works on: frames of detections with their times and the pose they were made from.

Frames. *Inertial* is the navigation frame of ``firmware_py.gnc``; *sensor* is x ahead, y left, z up of one mounted
sensor. Bearing is ``atan2(y, x)``, positive to the left; elevation is ``asin(z / range)``; radial velocity is positive
for what opens and relative to the sensor. Angles in rad, everything else SI. A number that is missing is NaN, an
identity that is missing is ``NO_ID``; neither ever stands for a value.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum, unique
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hal.frames import IDENTITY, Quaternion, Vec3

__all__ = [
    "NO_ID", "SCHEMA_VERSION", "Band", "Frame", "Iff", "ObjectType", "Pose", "SensorKind", "Status", "TransponderMode",
    "bands_of", "left_out", "split_bands",
]

SCHEMA_VERSION = 1
NO_ID = -1
"""No identity in a detection or track."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.int8]


@unique
class SensorKind(StrEnum):
    """What measures detections."""

    RADAR = "radar"
    LIDAR = "lidar"
    RANGE = "range"
    """One beam, such as a range finder of the approach."""


@unique
class ObjectType(IntEnum):
    """What a track is."""

    UNSPECIFIED = 0
    DRONE = 1
    SHIP = 2
    STATION = 3
    ASTEROID = 4
    DEBRIS = 5


@unique
class Iff(IntEnum):
    """Whose it is. UNKNOWN was asked and gave no good answer; UNSPECIFIED was never asked."""

    UNSPECIFIED = 0
    FRIEND = 1
    FOE = 2
    UNKNOWN = 3


@unique
class TransponderMode(IntEnum):
    """What its transponder does."""

    OFF = 0
    ON = 1
    SILENT = 2
    SPOOF = 3


@unique
class Band(IntEnum):
    """Long range, without identity, or short range, with it."""

    UNSPECIFIED = 0
    LR = 1
    SR = 2


@unique
class Status(IntEnum):
    """Life of a track."""

    UNSPECIFIED = 0
    NEW = 1
    TRACKED = 2
    LOST = 3
    COASTING = 4


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a sensor was, and how it moved, at one event time. Vectors are inertial but for ``rate_rad_s`` (body).

    ``velocity_m_s`` is that of the sensor itself, its lever arm in a turning body included. Sigmas are those of the
    navigation, one axis each.
    """

    position_m: Vec3 = (0.0, 0.0, 0.0)
    velocity_m_s: Vec3 = (0.0, 0.0, 0.0)
    quaternion: Quaternion = IDENTITY
    """Sensor to inertial."""
    rate_rad_s: Vec3 = (0.0, 0.0, 0.0)
    sigma_position_m: float = 0.0
    sigma_attitude_rad: float = 0.0


def _empty_floats() -> Floats:
    return np.empty(0)


@dataclass(frozen=True, slots=True)
class Frame:
    """One scan of one sensor: columns of equal length, a row each detection.

    ``event_ns`` is when it was measured, ``ingest_ns`` when it arrived here, both flight time. ``extent_m`` is the
    radius of a cluster of returns, NaN for what has none.
    """

    sensor_id: str
    kind: SensorKind
    frame_id: int
    event_ns: int
    ingest_ns: int
    pose: Pose
    range_m: Floats
    bearing_rad: Floats
    elevation_rad: Floats
    radial_velocity_m_s: Floats = field(default_factory=_empty_floats)
    snr_db: Floats = field(default_factory=_empty_floats)
    rcs_dbsm: Floats = field(default_factory=_empty_floats)
    extent_m: Floats = field(default_factory=_empty_floats)
    transponder_mode: Bytes = field(default_factory=lambda: np.empty(0, np.int8))
    transponder_id: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    band: Bytes = field(default_factory=lambda: np.empty(0, np.int8))
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        """Columns that were left out are filled with what stands for missing. Raises ValueError on unequal lengths."""
        count = len(self.range_m)
        for name, missing, kind in _OPTIONAL:
            column = getattr(self, name)
            if len(column) == 0 and count:
                absent = _ABSENT[name]
                object.__setattr__(
                    self, name, absent[:count] if count <= len(absent) else np.full(count, missing, kind)
                )
            elif len(column) != count:
                raise ValueError(f"{name} has {len(column)} rows, range_m {count}")
        for name in ("bearing_rad", "elevation_rad"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name} has {len(getattr(self, name))} rows, range_m {count}")

    def __len__(self) -> int:
        """Detections."""
        return len(self.range_m)

    def take(self, rows: NDArray[np.bool_] | Ints) -> Frame:
        """The frame with these rows alone."""
        return replace(self, **{name: getattr(self, name)[rows] for name in COLUMNS})


_MOST_SHARED = 4096
_OPTIONAL: tuple[tuple[str, float | int, type], ...] = (
    ("radial_velocity_m_s", np.nan, np.float64), ("snr_db", np.nan, np.float64), ("rcs_dbsm", np.nan, np.float64),
    ("extent_m", np.nan, np.float64), ("transponder_mode", 0, np.int8), ("transponder_id", NO_ID, np.int64),
    ("band", 0, np.int8),
)
_ABSENT: dict[str, NDArray[Any]] = {name: np.full(_MOST_SHARED, missing, kind) for name, missing, kind in _OPTIONAL}
"""Columns of what is missing, shared by all frames: a frame without them then costs no more than it has."""
for _column in _ABSENT.values():
    _column.setflags(write=False)
COLUMNS = ("range_m", "bearing_rad", "elevation_rad", *(name for name, _, _ in _OPTIONAL))


def left_out(frame: Frame, name: str) -> bool:
    """Whether an optional column was not given, known at no cost; one that was given may still hold nothing."""
    return getattr(frame, name).base is _ABSENT[name]


def split_bands(frame: Frame, sr_threshold_m: float) -> Frame:
    """The frame with its band column set: short range at or below the threshold, long range above.

    What a row said of its band before is not asked. Identity in long range is not taken away here: it is an error of
    the source, which the intake refuses by name.
    """
    return replace(frame, band=bands_of(frame.range_m, sr_threshold_m))


def bands_of(range_m: Floats, sr_threshold_m: float) -> Bytes:
    """(n,) bands of ranges: short range at or below the threshold, long range above."""
    return np.where(range_m <= sr_threshold_m, _SR, _LR)


_SR, _LR = np.int8(Band.SR), np.int8(Band.LR)
