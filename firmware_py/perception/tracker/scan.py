"""A frame as the tracker works on it: numbers as rows, detections sorted by range, what is unusable left out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Frame
from firmware_py.perception.tracker.marks import Marks, marks
from firmware_py.perception.tracker.sensors import Sensor

__all__ = ["Scan", "scan"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(slots=True)
class Scan:
    """Detections (4, m) ascending in range, NaN where nothing was measured.

    ``order`` is each one's row in the frame, ``marks`` what else it says. ``partial`` marks those that lack a number
    which the sensor otherwise measures, None without any.
    """

    detections: Floats
    order: Ints
    marks: Marks
    partial: Bools | None
    unusable: int

    def take(self, rows: Ints) -> Scan:
        """These detections alone, in this order."""
        return Scan(self.detections[:, rows], self.order[rows], self.marks.take(rows),
                    None if self.partial is None else self.partial[rows], self.unusable)


def scan(frame: Frame, sensor: Sensor) -> Scan:
    """The frame's detections."""
    order = frame.range_m.argsort(kind="stable")
    numbers = np.array((frame.range_m, frame.bearing_rad, frame.elevation_rad, frame.radial_velocity_m_s), np.float64)
    detections = numbers.take(order, axis=1)
    found = Scan(detections, order, marks(frame, order), None, 0)
    fine = np.isfinite(detections)
    if np.count_nonzero(fine) < fine.size or (len(order) and detections[0, 0] <= 0.0):
        usable = fine[0] & fine[1] & (detections[0] > 0.0)
        partial: Bools = np.logical_not(fine[sensor.measured].all(axis=0))
        found.partial = partial if partial.any() else None
        detections[2:][~fine[2:]] = np.nan
        if not usable.all():
            found.unusable = int(len(usable) - usable.sum())
            found = found.take(usable.nonzero()[0])
    if not sensor.all_measured:
        found.detections[~sensor.measured] = np.nan
    return found
