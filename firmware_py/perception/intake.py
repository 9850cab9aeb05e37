"""The gate before the tracker: a frame that passes is finite, in bounds, in time, of a known sensor, and not too long.

What is refused is refused by name and counted, row by row where a row is at fault and as a whole where the frame is.
Nothing here raises for what a frame holds, and the work is bounded by its length.

Numbers of frames and their times must grow together. A frame that is older than the newest of its sensor is late, not
wrong: it passes if its number is lower too, and was not seen before. A sensor that has restarted counts anew; after
``RESTART_FRAMES`` refusals in a row its numbers are taken as they come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import (
    NO_ID,
    SCHEMA_VERSION,
    Band,
    Frame,
    Pose,
    SensorKind,
    TransponderMode,
)

__all__ = ["Admission", "Intake", "IntakeConfig", "Refusal", "SensorLimits"]

Rows = NDArray[np.bool_]

NS = 1_000_000_000
MAX_SENSORS = 32
REMEMBERED = 64
"""Numbers and times of frames kept for each sensor."""
RESTART_FRAMES = 5
UNIT_TOLERANCE = 1e-3
LARGEST_ID = 2**32 - 1
HALF_TURN = np.pi + 1e-9
_BANDS = int(min(Band)), int(max(Band))
_MODES = int(min(TransponderMode)), int(max(TransponderMode))
_LR, _OFF = int(Band.LR), int(TransponderMode.OFF)


@unique
class Refusal(StrEnum):
    """Why a frame, or a row of one, is not taken. The first group refuses frames, the second rows."""

    UNKNOWN_SENSOR = "unknown_sensor"
    WRONG_KIND = "wrong_kind"
    SCHEMA_VERSION = "schema_version"
    INGEST_BEFORE_EVENT = "ingest_before_event"
    FUTURE = "future"
    FAR_PAST = "far_past"
    POSE = "pose"
    DUPLICATE = "duplicate"
    """Its number, or its time, is that of a frame seen before."""
    COUNTER = "counter"
    """Numbers and times disagree on which frame is the newer one."""
    FROZEN = "frozen"
    """The same rows again and again."""

    NOT_FINITE = "not_finite"
    RANGE = "range"
    """Negative, or beyond what the sensor can see."""
    ANGLE = "angle"
    RADIAL_VELOCITY = "radial_velocity"
    ENUM = "enum"
    IDENTITY = "identity"
    """An identity that is no number of a transponder, or one without a transponder that is on."""
    LR_IDENTITY = "lr_identity"
    """Identity or transponder in long range."""
    TOO_MANY = "too_many"
    """Beyond the most rows of a frame; the strongest stay, of those without a strength the nearest."""


@dataclass(frozen=True, slots=True)
class SensorLimits:
    """What one sensor can say.

    ``frozen_frames``: so many frames in a row with the same rows are one too many; ``None`` for a sensor that may well
    repeat itself, such as a range finder before a wall.
    """

    kind: SensorKind
    max_range_m: float
    min_range_m: float = 0.0
    max_radial_velocity_m_s: float = 200.0
    frozen_frames: int | None = 8


@dataclass(frozen=True, slots=True)
class IntakeConfig:
    """Limits of the gate.

    ``future_s``: by how much an event may lie ahead of the clock. ``oldest_s``: age beyond which a frame is of no use;
    the tracker can't roll back further. ``max_detections``: rows of one frame at most.

    Raises:
        ValueError: more sensors than are kept apart, or a limit that lets nothing through.
    """

    sensors: Mapping[str, SensorLimits]
    sr_threshold_m: float = 5000.0
    future_s: float = 0.02
    oldest_s: float = 1.0
    max_detections: int = 1024

    def __post_init__(self) -> None:
        if len(self.sensors) > MAX_SENSORS:
            raise ValueError(f"{len(self.sensors)} sensors; at most {MAX_SENSORS} are allowed")
        if self.max_detections < 1 or self.oldest_s <= 0.0 or self.future_s < 0.0:
            raise ValueError("max_detections from 1 on, oldest_s above 0 and future_s from 0 on are allowed")


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a frame: the rows that passed, or ``None``; and what was refused, by reason."""

    frame: Frame | None
    refusals: Mapping[str, int]


@dataclass(slots=True)
class _Memory:
    """What is remembered of one sensor."""

    newest_id: int | None = None
    newest_ns: int = 0
    ids: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    times: deque[int] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    disagreed: int = 0
    rows: bytes = b""
    same: int = 0

    def take(self, frame: Frame) -> None:
        """Remember a frame that has passed."""
        self.ids.append(frame.frame_id)
        self.times.append(frame.event_ns)
        self.disagreed = 0
        if self.newest_id is None or frame.frame_id > self.newest_id:
            self.newest_id, self.newest_ns = frame.frame_id, frame.event_ns

    def forget(self) -> None:
        """Begin anew: its sensor has restarted."""
        self.newest_id = None
        self.ids.clear()
        self.times.clear()


class Intake:
    """Admits frames of known sensors, one at a time. ``counts`` is what was refused since start, by reason."""

    __slots__ = ("_config", "_memory", "admitted", "counts", "restarts")

    def __init__(self, config: IntakeConfig) -> None:
        self._config = config
        self._memory = {name: _Memory() for name in config.sensors}
        self.counts: dict[str, int] = {}
        self.admitted = 0
        """Frames that passed, whole or in part."""
        self.restarts = 0
        """Sensors that were found to count anew."""

    def admit(self, frame: Frame, now_ns: int) -> Admission:
        """What of a frame may be used at ``now_ns``, flight time. A frame without rows passes: it says what isn't."""
        limits = self._config.sensors.get(frame.sensor_id)
        why = Refusal.UNKNOWN_SENSOR if limits is None else self._judge(frame, limits, now_ns)
        if why is not None or limits is None:
            return self._done(None, {str(why): 1})
        refused: dict[str, int] = {}
        kept = _sound(frame, limits, self._config.sr_threshold_m, refused)
        rows = np.flatnonzero(kept)
        if len(rows) > self._config.max_detections:
            refused[Refusal.TOO_MANY.value] = len(rows) - self._config.max_detections
            rows = _strongest(frame, rows, self._config.max_detections)
        self.admitted += 1
        return self._done(frame if len(rows) == len(frame) else frame.take(rows), refused)

    def _done(self, frame: Frame | None, refused: dict[str, int]) -> Admission:
        for reason, count in refused.items():
            self.counts[reason] = self.counts.get(reason, 0) + count
        return Admission(frame, refused)

    def _judge(self, frame: Frame, limits: SensorLimits, now_ns: int) -> Refusal | None:
        """Why the frame as a whole is refused; otherwise it is remembered."""
        if frame.kind != limits.kind:
            return Refusal.WRONG_KIND
        if frame.schema_version != SCHEMA_VERSION:
            return Refusal.SCHEMA_VERSION
        if frame.ingest_ns < frame.event_ns:
            return Refusal.INGEST_BEFORE_EVENT
        if max(frame.event_ns, frame.ingest_ns) > now_ns + self._config.future_s * NS:
            return Refusal.FUTURE
        if frame.event_ns < now_ns - self._config.oldest_s * NS:
            return Refusal.FAR_PAST
        if not _sane(frame.pose):
            return Refusal.POSE
        memory = self._memory[frame.sensor_id]
        why = self._order(frame, memory)
        if why is None and _frozen(frame, limits, memory):
            why = Refusal.FROZEN
        if why is None or why is Refusal.FROZEN:
            memory.take(frame)
        return why

    def _order(self, frame: Frame, memory: _Memory) -> Refusal | None:
        if frame.frame_id in memory.ids or frame.event_ns in memory.times:
            return Refusal.DUPLICATE
        if memory.newest_id is None or (frame.frame_id > memory.newest_id) == (frame.event_ns > memory.newest_ns):
            return None
        memory.disagreed += 1
        if memory.disagreed < RESTART_FRAMES:
            return Refusal.COUNTER
        memory.forget()
        self.restarts += 1
        return None


def _sane(pose: Pose) -> bool:
    w, x, y, z = pose.quaternion
    return (
        all(isfinite(v) for v in (*pose.position_m, *pose.velocity_m_s, *pose.rate_rad_s))
        and abs(w * w + x * x + y * y + z * z - 1.0) <= UNIT_TOLERANCE
        and 0.0 <= pose.sigma_position_m < np.inf and 0.0 <= pose.sigma_attitude_rad < np.inf
    )


def _frozen(frame: Frame, limits: SensorLimits, memory: _Memory) -> bool:
    """Whether the rows are the same as so many times before. Nothing seen may be seen for ever."""
    if limits.frozen_frames is None:
        return False
    rows = frame.range_m.tobytes() + frame.bearing_rad.tobytes() + frame.radial_velocity_m_s.tobytes()
    if not len(frame) or rows != memory.rows:
        memory.rows, memory.same = rows, 1
        return False
    memory.same += 1
    return memory.same > limits.frozen_frames


def _sound(frame: Frame, limits: SensorLimits, sr_threshold_m: float, refused: dict[str, int]) -> Rows:
    """Rows without a fault; each of the others is counted under the first reason that it gives."""
    kept = np.ones(len(frame), bool)
    checks: tuple[tuple[Refusal, Callable[[], Rows]], ...] = (
        (Refusal.NOT_FINITE, lambda: _not_finite(frame)),
        (Refusal.RANGE, lambda: (frame.range_m < limits.min_range_m) | (frame.range_m > limits.max_range_m)),
        (Refusal.ANGLE, lambda: _beyond(frame.bearing_rad, HALF_TURN) | _beyond(frame.elevation_rad, 0.5 * HALF_TURN)),
        (Refusal.RADIAL_VELOCITY, lambda: _beyond(frame.radial_velocity_m_s, limits.max_radial_velocity_m_s)),
        (Refusal.ENUM, lambda: _unknown(frame.band, _BANDS) | _unknown(frame.transponder_mode, _MODES)),
        (Refusal.LR_IDENTITY, lambda: _named(frame) & ((frame.band == _LR) | (frame.range_m > sr_threshold_m))),
        (Refusal.IDENTITY, lambda: _odd_identity(frame)),
    )
    # What can't be compared is neither too large nor too small: missing numbers pass, and those that may not be missing
    # have been found out before.
    with np.errstate(invalid="ignore"):
        for reason, check in checks:
            wrong = kept & check()
            count = int(np.count_nonzero(wrong))
            if count:
                refused[reason.value] = count
                kept &= ~wrong
    return kept


def _not_finite(frame: Frame) -> Rows:
    wrong = ~np.isfinite(frame.range_m) | ~np.isfinite(frame.bearing_rad)
    for column in (frame.elevation_rad, frame.radial_velocity_m_s, frame.snr_db, frame.rcs_dbsm, frame.extent_m):
        wrong |= np.isinf(column)
    return wrong | (frame.extent_m < 0.0)


def _beyond(column: NDArray[np.float64], limit: float) -> Rows:
    return (column > limit) | (column < -limit)


def _unknown(column: NDArray[np.int8], bounds: tuple[int, int]) -> Rows:
    return np.asarray((column < bounds[0]) | (column > bounds[1]))


def _named(frame: Frame) -> Rows:
    return np.asarray((frame.transponder_id != NO_ID) | (frame.transponder_mode != _OFF))


def _odd_identity(frame: Frame) -> Rows:
    named = frame.transponder_id != NO_ID
    odd = (frame.transponder_id < 0) | (frame.transponder_id > LARGEST_ID)
    return np.asarray(named & (odd | (frame.transponder_mode == _OFF)))


def _strongest(frame: Frame, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """The rows that stay, in their order: by strength, then by nearness."""
    strength = frame.snr_db[rows]
    weakness = np.where(np.isnan(strength), np.inf, -strength)
    # Only what is as strong as the last one that stays has to be ordered by distance, and only up to the last place.
    last = np.partition(weakness, most - 1)[most - 1]
    sure, even = rows[weakness < last], rows[weakness == last]
    left = most - len(sure)
    nearest = even[np.argpartition(frame.range_m[even], left - 1)[:left]]
    return np.sort(np.concatenate((sure, nearest)))
