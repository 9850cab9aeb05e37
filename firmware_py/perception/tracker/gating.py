"""Which detections may belong to which track: a window in range over sorted detections, then the Mahalanobis gate.

Work and memory are bounded: a track looks at no more than ``max_candidates`` detections, those nearest in range.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.measurement import Expected, wrap

__all__ = ["Pairs", "candidates", "compare", "whiten", "window"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_FEW = 64
"""Pairs so few that a first look at the bearing costs more than it saves."""


@dataclass(slots=True)
class Pairs:
    """Track and detection of each pair inside the gate.

    Attributes:
        track, detection: (p,) columns.
        distance: (p,) Mahalanobis distance squared.
        steps: (4, p) innovation of each number given those before it.
        spread: (p,) logarithm of the determinant of the innovation's covariance; None while it is that of the track.
        extra: (p,) what speaks for a pair beside its numbers, None without any.
    """

    track: Ints
    detection: Ints
    distance: Floats
    steps: Floats
    spread: Floats | None = None
    extra: Floats | None = None

    def take(self, rows: NDArray[np.bool_] | Ints) -> Pairs:
        """These pairs alone."""
        return Pairs(
            self.track[rows], self.detection[rows], self.distance[rows], self.steps[:, rows],
            None if self.spread is None else self.spread[rows], None if self.extra is None else self.extra[rows])


def window(ranges: Floats, centre: Floats, reach: Floats, most: int) -> tuple[Ints, Ints, int]:
    """Pairs (track, detection) with sorted ``ranges`` within ``reach`` of ``centre``, and how many were left out."""
    first = ranges.searchsorted(centre - reach)
    counts = ranges.searchsorted(centre + reach, side="right")
    counts -= first
    clipped = 0
    if len(ranges) > most and (wide := counts > most).any():
        middle = ranges.searchsorted(centre[wide])
        low = np.clip(middle - most // 2, first[wide], first[wide] + counts[wide] - most)
        clipped = int((counts[wide] - most).sum())
        first[wide], counts[wide] = low, most
    ends = counts.cumsum()
    total = int(ends[-1])
    first -= ends
    first += counts
    track = np.arange(len(centre)).repeat(counts)
    detection = first.repeat(counts)
    detection += np.arange(total)
    return track, detection, clipped


def whiten(steps: Floats, lower: Floats, track: Ints) -> Floats:
    """Innovations (4, p) in place into steps: each number's given those before it."""
    unit = lower[:4].take(track, axis=2)
    steps[1:] -= unit[1:, 0] * steps[0]
    steps[2:] -= unit[2:, 1] * steps[1]
    steps[3] -= unit[3, 2] * steps[2]
    return steps


def candidates(
    detections: Floats, expected: Expected, gate_sigma: float, most: int, wide: Floats | None = None,
) -> tuple[Ints, Ints, int]:
    """Pairs (track, detection) to look at, and how many candidates were left out.

    ``detections`` is (4, m), sorted by range. ``wide`` (n,) is in m how far off in any direction a track may be, 0
    where its numbers tell.
    """
    reach = gate_sigma * np.sqrt(expected.spread[:2])
    if wide is not None:
        reach[0] += wide
        room = expected.across - wide
        reach[1] += np.where(room > 0.0, wide / np.maximum(room, 1e-9), np.inf)
    track, detection, clipped = window(detections[0], expected.values[0], reach[0], most)
    if len(track) > _FEW:
        off = wrap(detections[1].take(detection) - expected.values[1].take(track))
        near = (np.abs(off, out=off) <= reach[1].take(track)).nonzero()[0]
        track, detection = track.take(near), detection.take(near)
    return track, detection, clipped


def compare(
    detections: Floats, expected: Expected, track: Ints, detection: Ints, measured: NDArray[np.bool_] | None,
) -> Pairs:
    """Pairs with their distance; ``measured`` (4,) is None if all four are."""
    steps = detections.take(detection, axis=1)
    steps -= expected.values.take(track, axis=1)
    wrap(steps[1])
    if measured is not None:
        steps[~measured] = 0.0
    whiten(steps, expected.lower, track)
    distance = np.einsum("kp,kp->p", steps, steps / expected.variances.take(track, axis=1))
    return Pairs(track, detection, distance, steps)
