"""Tracks corrected by what was assigned to them, outright or in shares, all at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.measurement import Expected
from firmware_py.perception.tracker.store import COVARIANCE, STATE

__all__ = ["correct", "correct_shared"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def correct(numbers: Floats, expected: Expected, track: Ints, steps: Floats) -> None:
    """One detection each for these tracks, in place; ``steps`` (4, k) are the innovations of their pairs.

    Works on all columns with a weight of 0 for the others, which costs less than taking some out and back.
    """
    count = numbers.shape[1]
    weight, moves = np.zeros(count), np.zeros((4, count))
    weight[track] = 1.0
    moves[:, track] = steps
    numbers[STATE] += np.einsum("ikn,kn->in", expected.lower[4:], moves)
    root = np.sqrt(weight / expected.variances)
    gains = expected.factors[4:] * root
    covariance = numbers[COVARIANCE].reshape(6, 6, -1)
    covariance -= np.einsum("ikn,jkn->ijn", gains, gains)


def correct_shared(numbers: Floats, expected: Expected, track: Ints, steps: Floats, share: Floats) -> int:
    """Detections shared among tracks, in place: ``share`` (p,) of each pair. Returns how many tracks were touched.

    The covariance grows by the spread of the innovations that were mixed. Source: Bar-Shalom, Willett, Tian, Tracking
    and Data Fusion, 2011, section 3.4.2.
    """
    rows, row = np.unique(track, return_inverse=True)
    count = len(rows)
    root = np.sqrt(expected.variances.take(rows, axis=1))
    gains = expected.factors[4:].take(rows, axis=2) / root
    scaled = steps / root[:, row]
    part = np.bincount(row, share, count)
    weighted = scaled * share
    mean = np.zeros((4, count))
    square = np.zeros((4, 4, count))
    for k in range(4):
        mean[k] = np.bincount(row, weighted[k], count)
        for m in range(k + 1):
            square[k, m] = square[m, k] = np.bincount(row, weighted[k] * scaled[m], count)
    square -= mean[:, None] * mean
    square[np.arange(4), np.arange(4)] -= part
    numbers[STATE, rows] += np.einsum("ikn,kn->in", gains, mean)
    change = np.einsum("ikn,kmn,jmn->ijn", gains, square, gains)
    change += change.transpose(1, 0, 2).copy()
    change *= 0.5
    numbers[COVARIANCE, rows] += change.reshape(36, count)
    return count
