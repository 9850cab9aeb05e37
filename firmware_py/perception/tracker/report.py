"""What the tracker says of itself: of one frame, of all frames, of each sensor."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum, unique

from msgspec import Struct

__all__ = ["Counters", "FrameReport", "Outcome", "SensorHealth", "Tally"]


@unique
class Outcome(StrEnum):
    """What became of a frame."""

    USED = "used"
    REPLAYED = "late_replayed"
    """It came late; the tracks were rolled back, and what came after it was done again."""
    TOO_LATE = "refused_too_late"
    DUPLICATE = "refused_duplicate"
    UNKNOWN_SENSOR = "refused_unknown_sensor"


class FrameReport(Struct, frozen=True, gc=False):
    """Counts of one frame; all zero but the outcome if it was refused. A late frame counts for itself alone.

    Attributes:
        outcome: what became of it.
        detections: rows it had.
        unusable: rows without finite range or bearing.
        culled_detections: rows left out because there were too many.
        clipped: candidates in reach of a track in range that were not looked at.
        associated: detections that went to a track, wholly or for the most part.
        unassociated: those that did not.
        conflicts: tracks with more than one choice.
        clusters: groups of them that were assigned together.
        shared: tracks that got shares of detections.
        clashes: pairs forbidden because their identities differ.
        doubled: new tracks with an identity that another track has.
        born, confirmed, dropped: tracks; ``lost`` are the firm ones among the dropped.
        culled: tracks that were not begun, or were ended, for want of room.
        replayed: frames done again after this one.
    """

    outcome: Outcome
    detections: int = 0
    unusable: int = 0
    culled_detections: int = 0
    clipped: int = 0
    associated: int = 0
    unassociated: int = 0
    conflicts: int = 0
    clusters: int = 0
    shared: int = 0
    clashes: int = 0
    doubled: int = 0
    born: int = 0
    confirmed: int = 0
    dropped: int = 0
    lost: int = 0
    culled: int = 0
    replayed: int = 0


@dataclass(slots=True)
class Tally:
    """Counts while a frame is worked on; as in ``FrameReport``."""

    unusable: int = 0
    culled_detections: int = 0
    clipped: int = 0
    associated: int = 0
    unassociated: int = 0
    conflicts: int = 0
    clusters: int = 0
    shared: int = 0
    clashes: int = 0
    doubled: int = 0
    born: int = 0
    confirmed: int = 0
    dropped: int = 0
    lost: int = 0
    culled: int = 0


@dataclass(slots=True)
class Counters(Tally):
    """Sums of the reports since the start, by name."""

    frames: int = 0
    late_replayed: int = 0
    refused_too_late: int = 0
    refused_duplicate: int = 0
    refused_unknown_sensor: int = 0
    detections: int = 0
    replayed: int = 0

    def add(self, report: FrameReport) -> FrameReport:
        """Count a report; returns it."""
        self.frames += 1
        if report.outcome is not Outcome.USED:
            setattr(self, report.outcome.value, getattr(self, report.outcome.value) + 1)
        for name in _SUMMED:
            if amount := getattr(report, name):
                setattr(self, name, getattr(self, name) + amount)
        return report


_SUMMED = tuple(field.name for field in fields(Counters) if field.name in FrameReport.__struct_fields__)


@dataclass(frozen=True, slots=True)
class SensorHealth:
    """How well a sensor agrees with the tracks. Expectations are 1 for ``nis`` and 0 for each ``bias``.

    Attributes:
        nis: mean normalised innovation squared with the sensor's own sigmas, per measured number.
        bias: mean innovation of range, bearing, elevation, radial velocity in sigmas.
        hit_share: share of the firm tracks of other sensors in its view that it detected, NaN before there were any.
        samples: detections behind these, at most the memory.
        inflation: factor on its variances, 1 unless it contradicts the others.
        contradictions: times that it left its band while others stayed in theirs.
    """

    sensor_id: str
    nis: float
    bias: tuple[float, float, float, float]
    hit_share: float
    samples: float
    inflation: float
    contradictions: int

    @property
    def contradicts(self) -> bool:
        """It is down-weighted now."""
        return self.inflation > 1.0
