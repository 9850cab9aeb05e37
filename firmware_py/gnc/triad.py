"""Attitude from two directions, and None where they do not give one."""

from __future__ import annotations

from math import pi, radians

import numpy as np
import numpy.typing as npt

from hal.frames import Quaternion, Vec3, angle_between, cross, normalise, unit

__all__ = ["triad"]

LEAST_ANGLE = radians(15.0)


def triad(first: tuple[Vec3, Vec3], second: tuple[Vec3, Vec3]) -> Quaternion | None:
    """Rotation that takes the first vector of each pair to the second, exact for the first pair.

    Black, "A passive system for determining the attitude of a satellite", AIAA Journal 2(7), 1964. None if the two
    directions are closer than 15 degrees to a line.
    """
    (a1, a2), (b1, b2) = first, second
    for u, v in ((a1, b1), (a2, b2)):
        angle = angle_between(u, v)
        if not LEAST_ANGLE < angle < pi - LEAST_ANGLE:
            return None
    frames = []
    for u, v in ((a1, b1), (a2, b2)):
        x = unit(u)
        y = unit(cross(x, v))
        frames.append(np.array([x, y, cross(x, y)]).T)
    return _from_matrix(frames[1] @ frames[0].T)


def _from_matrix(m: npt.NDArray[np.float64]) -> Quaternion:
    """Quaternion of a rotation matrix (Shepperd, J. Guidance and Control 1(3), 1978)."""
    trace = float(m[0, 0] + m[1, 1] + m[2, 2])
    squares = (trace, float(m[0, 0]), float(m[1, 1]), float(m[2, 2]))
    best = squares.index(max(squares))
    if best == 0:
        q = (1.0 + trace, float(m[2, 1] - m[1, 2]), float(m[0, 2] - m[2, 0]), float(m[1, 0] - m[0, 1]))
    else:
        i = best - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        parts = [0.0, 0.0, 0.0]
        parts[i] = 1.0 + float(m[i, i] - m[j, j] - m[k, k])
        parts[j] = float(m[j, i] + m[i, j])
        parts[k] = float(m[k, i] + m[i, k])
        q = (float(m[k, j] - m[j, k]), parts[0], parts[1], parts[2])
    return normalise(q)
