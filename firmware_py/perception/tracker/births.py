"""New tracks from detections that belong to none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.measurement import UNSEEN_ELEVATION, View, directions
from firmware_py.perception.tracker.sensors import Sensor
from firmware_py.perception.tracker.store import COVARIANCE, POSITION, VELOCITY

__all__ = ["begin"]

Floats = NDArray[np.float64]

_OWN = slice(COVARIANCE.start, COVARIANCE.stop, 7)
"""Diagonal of the covariance."""


def begin(numbers: Floats, detections: Floats, view: View, sensor: Sensor, velocity_sigma: float) -> None:
    """Fill state and covariance of new columns (46, k) from ``detections`` (4, k); NaN is what was not measured.

    What is not seen of the elevation is taken level with the sensor and uncertain by its field of view; across the line
    of sight, or in all axes without radial velocity, the target moves as the sensor does, give or take
    ``velocity_sigma``.
    """
    distance, bearing, elevation, radial = detections
    unseen = np.isnan(detections[2:])
    some = bool(np.count_nonzero(unseen))
    if some:
        elevation, radial = np.where(unseen[0], 0.0, elevation), np.where(unseen[1], 0.0, radial)
    variances, wide = sensor.variances, velocity_sigma**2
    axes, level = directions(bearing, elevation, view)
    line = axes[0]
    numbers[POSITION] = distance * line + view.position
    numbers[VELOCITY] = radial * line + view.velocity
    tilt = view.attitude_variance
    # Variances along, across and above over the squared range, so that the last two are those of the angles.
    angles = np.empty((3, len(distance)))
    angles[0] = variances[0] / (distance * distance)
    angles[1] = (variances[1] + tilt) * (level * level)
    # No target is further up or down than the sensor sees, whatever its elevation is worth.
    most = min(sensor.model.half_height_rad, UNSEEN_ELEVATION) ** 2 / 3.0
    angles[2] = min(variances[2] + tilt, most)
    if some:
        angles[2, unseen[0]] = most
    covariance = numbers[COVARIANCE].reshape(6, 6, -1)
    scaled = axes * (np.sqrt(angles) * distance)[:, None]
    covariance[:3, :3] = np.einsum("kin,kjn->ijn", scaled, scaled)
    # A direction that is off by an angle mixes the unknown speed across into the one measured along.
    along = np.maximum((wide - variances[3]) - wide * (angles[1] + angles[2]), 0.0)
    if some:
        along[unseen[1]] = 0.0
    known = line * np.sqrt(along)
    covariance[3:, 3:] = -known[:, None] * known
    own = numbers[_OWN]
    own[:3] += view.place_variance
    own[3:] += wide
