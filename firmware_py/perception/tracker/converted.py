"""Pairs whose numbers can't be compared as measured: they are compared as places instead.

Range, bearing and elevation bend with the track's uncertainty: where a track is uncertain across the line of sight by
more than its range sigma can bear, or near the sensor's pole, the linear filter in those numbers is wrong. There the
detection is turned into a place, with its covariance along its own line of sight. The same way takes detections that
lack a number: the place is completed by the track's, with a variance that leaves it as it was. Source: Lerro,
Bar-Shalom, Tracking with debiased consistent converted measurements versus EKF, IEEE Transactions on Aerospace and
Electronic Systems 29(3), 1993.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.gating import Pairs, whiten
from firmware_py.perception.tracker.measurement import (
    UNSEEN_ELEVATION,
    Expected,
    Rise,
    View,
    diagonal,
    directions,
    eliminate,
    project,
)
from firmware_py.perception.tracker.sensors import UNMEASURED, Sensor
from firmware_py.perception.tracker.store import COVARIANCE, POSITION, VELOCITY

__all__ = ["Places", "as_places", "bent", "reachable", "uncertainty"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BOW = 1.0
"""A track's variance over its range may be this part of the range sigma: the bow is then half of it."""
_LEAST_LEVEL = 1e-9
_POLE = 1.0 / 16.0
"""A track's variance may be this part of the squared distance from the pole: sigma a quarter of the distance."""


def bent(unsure_m2: Floats, expected: Expected, range_sigma_m: float) -> Bools | None:
    """(n,) tracks for which the measured numbers bend too much; None if there is none. ``unsure_m2``: as of
    ``uncertainty``."""
    across = expected.across
    limit = np.minimum(expected.values[0] * (_BOW * range_sigma_m), _POLE * across * across)
    much = unsure_m2 > limit
    return much if np.count_nonzero(much) else None


def uncertainty(numbers: Floats, rise: Rise | None = None) -> Floats:
    """(n,) variance of a track's place in all directions together, m^2; with ``rise`` in the sensor's plane alone:
    what is not known of the height is in the expectation already."""
    total: Floats = numbers[_PLACE[0]] + numbers[_PLACE[1]]
    total += numbers[_PLACE[2]]
    return total if rise is None else np.maximum(total - rise.place, 0.0)


_PLACE = (COVARIANCE.start, COVARIANCE.start + 7, COVARIANCE.start + 14)


def reachable(
    numbers: Floats, detections: Floats, track: Ints, detection: Ints, expected: Expected, variances: Floats,
    gate_sigma: float, view: View,
) -> Bools:
    """(p,) pairs whose places are not farther apart than all their uncertainties together allow.

    By the law of cosines, which costs a fraction of the comparison that most pairs would fail. A
    detection without elevation is reachable.
    """
    z, values = detections[:3, detection], expected.values[:3, track]
    level, angle = np.cos(z[2]) * np.cos(values[2]), np.cos(z[1] - values[1])
    cosine = np.sin(z[2]) * np.sin(values[2]) + level * angle
    apart = z[0] ** 2 + values[0] ** 2 - 2.0 * z[0] * values[0] * cosine
    angles = variances[1] + min(variances[2], UNSEEN_ELEVATION**2 / 3.0) + 2.0 * view.attitude_variance
    allowed = uncertainty(numbers)[track] + variances[0] + 3.0 * view.place_variance + z[0] ** 2 * angles
    near: Bools = ~(apart > gate_sigma**2 * allowed)
    return near


class Places:
    """Factors of the pairs that are compared as places: (10, 4, p) each, as in ``Expected``."""

    __slots__ = ("factors", "lower", "pairs")

    def __init__(self, pairs: Pairs, factors: Floats, lower: Floats) -> None:
        self.pairs, self.factors, self.lower = pairs, factors, lower

    def put(self, expected: Expected, rows: Ints) -> None:
        """Make the factors of these pairs those of their tracks."""
        track = self.pairs.track[rows]
        expected.factors[:, :, track] = self.factors[:, :, rows]
        expected.lower[:, :, track] = self.lower[:, :, rows]

    def take(self, rows: Ints) -> Places:
        """These pairs alone."""
        return Places(self.pairs.take(rows), self.factors[:, :, rows], self.lower[:, :, rows])


def as_places(
    numbers: Floats, detections: Floats, track: Ints, detection: Ints, expected: Expected, view: View, sensor: Sensor,
    variances: Floats,
) -> Places:
    """Compare these pairs as places. A detection's NaN is not measured; ``variances`` (4,) are the sensor's of now."""
    z, some = detections[:, detection], numbers[:, track]
    blind = np.isnan(z)
    bearing = z[1]
    elevation = np.where(blind[2], expected.values[2, track], z[2])
    axes, level = directions(bearing, elevation, view)
    level = np.maximum(np.abs(level), _LEAST_LEVEL)
    # The mean of a place known by noisy angles is nearer than the range says.
    tilt = view.attitude_variance
    noise = np.empty_like(z)
    noise[0] = variances[0] + view.place_variance
    noise[1] = (variances[1] + tilt) * (z[0] * level) ** 2 + view.place_variance
    noise[2] = (variances[2] + tilt) * z[0] ** 2 + view.place_variance
    noise[3] = variances[3]
    noise = np.where(blind, UNMEASURED, np.minimum(noise, UNMEASURED))
    # An elevation that is worth little is still no further up or down than the sensor sees.
    rise = min(variances[2] + tilt, min(sensor.model.half_height_rad, UNSEEN_ELEVATION) ** 2 / 3.0)
    bias = np.where(blind[2], 0.0, 0.5 * rise) + 0.5 * (variances[1] + tilt) * level**2
    offset = view.position + (z[0] * (1.0 - np.minimum(bias, 0.5))) * axes[0] - some[POSITION]
    speed = some[VELOCITY] - view.velocity
    radial = np.einsum("an,an->n", axes[0], speed)
    slopes = np.empty((4, 3, len(track)))
    slopes[:3] = axes
    slopes[3] = (speed - radial * axes[0]) / z[0]
    steps = np.empty_like(z)
    steps[:3] = np.einsum("kan,an->kn", axes, offset)
    steps[3] = z[3] - radial
    steps[blind] = 0.0
    factors = project(some[COVARIANCE].reshape(6, 6, -1), slopes)
    own = diagonal(factors)
    own += noise
    lower = eliminate(factors)
    whiten(steps, lower, np.arange(len(track)))
    distance = np.einsum("kp,kp->p", steps, steps / own)
    # In the sensor's own units, as the density of clutter is; a number that is missing brings neither.
    units = np.zeros_like(z)
    # Beyond the pole there is no level distance; a hair of one keeps the logarithm a number.
    units[1], units[2] = 2.0 * np.log(z[0] * np.maximum(level, 1e-9)), 2.0 * np.log(z[0])
    lacking = blind & sensor.measured[:, None]
    spread = np.where(blind, 0.0, np.log(own) - units) + np.where(lacking, 2.0 * sensor.breadth[:, None], 0.0)
    return Places(Pairs(track, detection, distance, steps, spread.sum(axis=0)), factors, lower)
