"""Shares of detections among tracks that are too close to tell apart, by belief propagation.

Each pair of track and detection sends two messages round after round until they stand still; the shares that follow
are close to those of all joint hypotheses, at a cost that grows with the number of pairs only. Source: Williams, Lau,
Approximate evaluation of marginal association probabilities with belief propagation, IEEE Transactions on Aerospace and
Electronic Systems 50(4), 2014, algorithm 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["shares"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def shares(
    track: Ints, detection: Ints, weight: Floats, tracks: int, detections: int, rounds: int, tolerance: float,
) -> Floats:
    """Probability (p,) that each pair belongs together.

    ``weight`` is the likelihood of a pair over that of a miss and a false detection together; columns ``track`` and
    ``detection`` count up to ``tracks`` and ``detections``. Stops after ``rounds``, or when no message changes by more
    than the share ``tolerance``.
    """
    heard = np.ones(len(weight))
    for _ in range(rounds):
        wanted = weight * heard
        told = weight / (1.0 + np.maximum(np.bincount(track, wanted, tracks)[track] - wanted, 0.0))
        fresh = 1.0 / (1.0 + np.maximum(np.bincount(detection, told, detections)[detection] - told, 0.0))
        still = bool((np.abs(fresh - heard) <= tolerance * heard).all())
        heard = fresh
        if still:
            break
    wanted = weight * heard
    share: Floats = wanted / (1.0 + np.bincount(track, wanted, tracks)[track])
    return share / np.maximum(np.bincount(detection, share, detections), 1.0)[detection]
