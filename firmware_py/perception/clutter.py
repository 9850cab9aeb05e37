"""Holds back the lists of a sensor that is full of false echoes: only what continues a firm track is used meanwhile.

Echoes that belong to no track are few, list after list, however many targets there are: a swarm that comes into view
is new in one list and known in the next. A sensor most of whose last lists were full of what is new each time is
cluttered; so many false echoes make tracks of chance, and a craft that evades those is no safer. What was believed
before goes on.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Frame
from firmware_py.perception.tracks import TrackSet
from hal.frames import to_matrix

__all__ = ["ClutterGuard"]

LISTS, MOST_FULL = 5, 3
"""A sensor is cluttered when so many of its last lists were full; a track of chance needs more detections than that."""
LEAST_NEW = 15
"""New echoes that make a list full, whatever the sensor is used to (P: a hundred is all that a radar's list holds)."""
TIMES = 10.0
"""And so many times what the sensor's model expects."""
NEAR_M, NEAR_RAD = 4.0, 0.06
"""How near to a firm track an echo continues it (P: ten sigmas of range, three of bearing of the radar)."""
DRIFT_M_S = 20.0
"""And so much more for each second since the track was told."""

Flags = NDArray[np.bool_]


class ClutterGuard:
    """Watches one sensor.

    Args:
        expected: false echoes of one list, by the sensor's model.

    Attributes:
        cluttered: it is so now.
        held: rows held back since start.
    """

    def __init__(self, expected: float) -> None:
        self._limit = max(LEAST_NEW, TIMES * expected)
        self._new: deque[int] = deque(maxlen=LISTS)
        self.cluttered = False
        self.held = 0

    def note(self, new: int) -> None:
        """So many echoes of the last list belonged to no track."""
        self._new.append(new)
        # Two thresholds, so that a list more or less turns nothing on and off.
        limit = 0.5 * self._limit if self.cluttered else self._limit
        self.cluttered = sum(count > limit for count in self._new) >= MOST_FULL

    def hold(self, frame: Frame, tracks: TrackSet | None) -> Frame:
        """The frame with the rows that continue a firm track; the others are counted, and noted as new."""
        near = _near(frame, tracks)
        self.note(int(np.count_nonzero(~near)))
        self.held += int(np.count_nonzero(~near))
        return frame.take(near)


def _near(frame: Frame, tracks: TrackSet | None) -> Flags:
    """Which rows are where a firm track should be, by range and bearing."""
    near: Flags = np.zeros(len(frame), np.bool_)
    if tracks is None or not tracks.firm.any() or not len(frame):
        return near
    since_s = (frame.event_ns - tracks.t_ns) * 1e-9
    state = tracks.state[tracks.firm]
    there = state[:, :3] + state[:, 3:] * since_s - np.array(frame.pose.position_m)
    x, y, _ = (there @ np.array(to_matrix(frame.pose.quaternion))).T
    away = np.abs(frame.range_m[:, None] - np.linalg.norm(there, axis=1))
    turn = np.abs((frame.bearing_rad[:, None] - np.arctan2(y, x) + np.pi) % (2.0 * np.pi) - np.pi)
    return np.asarray(np.any((away <= NEAR_M + DRIFT_M_S * abs(since_s)) & (turn <= NEAR_RAD), axis=1))
