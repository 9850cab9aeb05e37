"""What a sensor should measure of each track, how it depends on the state, and how certain that is.

The filter works in the sensor's own numbers: range, bearing, elevation, radial velocity, from the sensor's place,
motion and attitude at the event time, so that own motion is no motion of the target. The covariance of the four
expected numbers is triangularised together with its product with the state: afterwards each number is a scalar
measurement of its own, and gate, likelihood and gain all come from the same factors. Source of the factors: Golub, Van
Loan, Matrix Computations, 4th edition, section 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Pose
from firmware_py.perception.tracker.store import COVARIANCE, POSITION, VELOCITY
from hal.frames import IDENTITY, to_matrix

__all__ = [
    "UNSEEN_ELEVATION", "Expected", "Rise", "View", "diagonal", "directions", "eliminate", "expect", "geometry",
    "project", "rise_of", "view_of", "wrap",
]

Floats = NDArray[np.float64]

BEARING, ELEVATION, RADIAL = 1, 2, 3
_LEAST_M = 1e-3
"""Nearer than this a target has no direction."""
_TURN = 2.0 * pi


def wrap(angles: Floats) -> Floats:
    """Angles in place into -pi..pi."""
    turns = angles * (1.0 / _TURN)
    np.rint(turns, out=turns)
    turns *= _TURN
    angles -= turns
    return angles


@dataclass(frozen=True, slots=True)
class View:
    """A sensor's pose as arrays; ``turn`` is the (3, 3) matrix from sensor to inertial, None if they are aligned."""

    position: Floats
    velocity: Floats
    turn: Floats | None
    place_variance: float
    attitude_variance: float


def view_of(pose: Pose) -> View:
    """The arrays of a pose."""
    turn = None if pose.quaternion == IDENTITY else np.array(to_matrix(pose.quaternion), np.float64).reshape(3, 3)
    return View(np.array(pose.position_m)[:, None], np.array(pose.velocity_m_s)[:, None], turn,
                pose.sigma_position_m**2, pose.sigma_attitude_rad**2)


@dataclass(slots=True)
class Expected:
    """Expected detections of n tracks.

    Attributes:
        values: (4, n) range, bearing, elevation, radial velocity.
        across: (n,) distance from the sensor's pole, m.
        spread: (4, n) variance of each number.
        factors: (10, 4, n), columns in order of elimination. Row k of the upper four holds in column k the variance of
            number k given those before; the lower six rows hold its covariance with the state.
        lower: (10, 4, n) ``factors`` over those variances: below the diagonal the unit triangle, then the gains.
        variances: (4, n) of each number given those before it, a view of ``factors``.
    """

    values: Floats
    across: Floats
    spread: Floats
    factors: Floats
    lower: Floats
    variances: Floats

    def take(self, rows: NDArray[np.int64]) -> Expected:
        """Those of some tracks."""
        factors = self.factors.take(rows, axis=2)
        return Expected(self.values[:, rows], self.across[rows], self.spread[:, rows], factors,
                        self.lower.take(rows, axis=2), diagonal(factors))


def diagonal(stack: Floats) -> Floats:
    """View (4, n) of the diagonal of the upper four rows of (10, 4, n)."""
    return stack.reshape(40, -1)[:16:5]


def geometry(state: Floats, view: View) -> tuple[Floats, Floats, Floats]:
    """Expected values (4, n), their derivatives by position (4, 3, n), and distance from the pole (n,).

    The derivative of the radial velocity by velocity is that of the range by position.
    """
    offset, speed = state[POSITION] - view.position, state[VELOCITY] - view.velocity
    if view.turn is not None:
        offset, speed = view.turn.T @ offset, view.turn.T @ speed
    x, y, z = offset
    count = offset.shape[1]
    flat = x * x + y * y
    np.maximum(flat, _LEAST_M**2, out=flat)
    square = flat + z * z
    across, distance = np.sqrt(flat), np.sqrt(square)
    values, slopes = np.empty((4, count)), np.empty((4, 3, count))
    values[0] = distance
    np.arctan2(y, x, out=values[1])
    np.arctan2(z, across, out=values[2])
    line = slopes[0]
    np.divide(offset, distance, out=line)
    np.einsum("an,an->n", line, speed, out=values[3])
    np.divide(y, flat, out=slopes[1, 0])
    np.negative(slopes[1, 0], out=slopes[1, 0])
    np.divide(x, flat, out=slopes[1, 1])
    slopes[1, 2] = 0.0
    rise = across / square
    np.multiply(offset[:2], rise * (-z / flat), out=slopes[2, :2])
    slopes[2, 2] = rise
    np.multiply(line, values[3], out=slopes[3])
    np.subtract(speed, slopes[3], out=slopes[3])
    slopes[3] /= distance
    if view.turn is not None:
        slopes = view.turn @ slopes
    return values, slopes, across


def project(covariance: Floats, slopes: Floats) -> Floats:
    """(10, 4, n): covariance of the expected numbers over its product with the state. ``covariance`` is (6, 6, n)."""
    stack = np.empty((10, 4, slopes.shape[2]))
    upper, lower = stack[:4], stack[4:]
    line = slopes[0]
    np.einsum("ian,kan->ikn", covariance[:, :3], slopes, out=lower)
    lower[:, 3] += np.einsum("ian,an->in", covariance[:, 3:], line)
    np.einsum("kan,aln->kln", slopes, lower[:3], out=upper)
    upper[3] += np.einsum("an,aln->ln", line, lower[3:])
    return stack


def eliminate(stack: Floats) -> Floats:
    """Triangularise in place; returns the stack over its pivots."""
    lower = np.empty_like(stack)
    for k in range(3):
        below = lower[k + 1 :, k]
        np.divide(stack[k + 1 :, k], stack[k, k], out=below)
        stack[k + 1 :, k + 1 :] -= below[:, None] * stack[k, k + 1 :]
    np.divide(stack[4:, 3], stack[3, 3], out=lower[4:, 3])
    return lower


@dataclass(frozen=True, slots=True)
class Rise:
    """Variances (n,) of each track's height over a sensor's plane, m^2, and of its speed out of it, m^2/s^2."""

    place: Floats
    speed: Floats


def rise_of(numbers: Floats, view: View) -> Rise:
    """How far out of the sensor's plane each track may be."""
    up = np.array((0.0, 0.0, 1.0)) if view.turn is None else view.turn[:, 2]
    covariance = numbers[COVARIANCE].reshape(6, 6, -1)
    place = np.einsum("i,ijn,j->n", up, covariance[:3, :3], up)
    return Rise(place, np.einsum("i,ijn,j->n", up, covariance[3:, 3:], up))


def expect(numbers: Floats, view: View, variances: Floats, rise: Rise | None = None) -> Expected:
    """What a sensor with these (4,) variances should measure of each track.

    ``rise`` is given for a flat sensor: a height that is not known makes range and radial velocity uncertain to the
    second order, which no derivative at height 0 shows. Without it the filter would learn heights from its own error.
    """
    values, slopes, across = geometry(numbers, view)
    stack = project(numbers[COVARIANCE].reshape(6, 6, -1), slopes)
    own = diagonal(stack)
    own += noise(values, across, view, variances)
    if rise is not None:
        square = np.maximum(values[0] * values[0], _LEAST_M**2)
        own[0] += 0.5 * rise.place * rise.place / square
        own[3] += rise.place * rise.speed / square
    spread = own.copy()
    return Expected(values, across, spread, stack, eliminate(stack), own)


def noise(values: Floats, across: Floats, view: View, variances: Floats) -> Floats:
    """Variances (4, n) or (4, 1) of a detection: the sensor's, and what the own pose adds as seen at that place."""
    if view.place_variance == 0.0 and view.attitude_variance == 0.0:
        return variances[:, None]
    total = np.repeat(variances[:, None], values.shape[1], axis=1)
    total[0] += view.place_variance
    # A tilt of the sensor turns the bearing the more, the nearer to the pole.
    total[1] += view.place_variance / across**2 + view.attitude_variance * (values[0] / across) ** 2
    total[2] += view.place_variance / values[0] ** 2 + view.attitude_variance
    return total


UNSEEN_ELEVATION = pi / 3.0
"""Greatest elevation at which a target is to be expected by a sensor that tells none."""


def directions(bearing: Floats, elevation: Floats, view: View) -> tuple[Floats, Floats]:
    """Inertial unit vectors (3, 3, n) along, to the left of and above each direction, and the cosine of elevation."""
    level = np.cos(elevation)
    axes = np.empty((3, 3, len(level)))
    along, left, above = axes
    np.cos(bearing, out=left[1])
    np.negative(np.sin(bearing, out=left[0]), out=left[0])
    left[2] = 0.0
    np.sin(elevation, out=along[2])
    np.multiply(level, left[1], out=along[0])
    np.multiply(level, left[0], out=along[1])
    np.negative(along[1], out=along[1])
    np.multiply(along[2], left[1], out=above[0])
    np.negative(above[0], out=above[0])
    np.multiply(along[2], left[0], out=above[1])
    above[2] = level
    return (axes if view.turn is None else view.turn @ axes), level
