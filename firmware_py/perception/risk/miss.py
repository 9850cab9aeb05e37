"""How near a track will pass, and how far that is known: miss distance with its uncertainty from the covariance.

The state is relative (track minus own craft), its covariance that of the track with the own craft's sigmas added. The
covariance at the time of closest approach is cut down to the plane in which the craft is passed, across the relative
velocity; there the place of passing is a normal distribution (K. Chan, "Spacecraft Collision Probability", 2008, 1.3).

Vectorised over tracks. A row with anything that is no number is NaN in every column and ``known`` False.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Miss", "miss_of", "probability_within", "relative_covariance"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
ANGLES = 64
"""Points of an ellipse, and of the circle that a probability is summed along."""
_TURN = np.linspace(0.0, 2.0 * np.pi, ANGLES, endpoint=False)
_COS, _SIN = np.cos(_TURN), np.sin(_TURN)
LEAST_SPREAD = 1.0 / 40.0
"""Least sigma that a probability is reckoned with, as a share of the radius: what the points of the circle resolve."""
TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Miss:
    """One row a track; m, s."""

    known: Flags
    tcpa_s: Floats
    """Time of closest approach ahead, 0 if it is past, at most the look-ahead."""
    miss_m: Floats
    """Expected distance then."""
    sigma_m: Floats
    """One standard deviation of it along the line of passing; the largest one in the plane for a hit in the middle."""
    least_m: Floats
    most_m: Floats
    """Nearest and farthest point of the ellipse of so many sigmas."""
    factor: Floats
    """(n, 2, 2) lower triangle of the covariance in the plane of passing; its first axis is the line of passing."""


def relative_covariance(covariance: Floats, sigma_position_m: float, sigma_velocity_m_s: float) -> Floats:
    """(n, 6, 6) of a track relative to the own craft: the own craft's sigmas, one axis each, are added."""
    squares = np.repeat([sigma_position_m**2, sigma_velocity_m_s**2], 3)
    found: Floats = covariance + np.diag(squares)
    return found


def miss_of(r: Floats, v: Floats, covariance: Floats, *, sigmas: float, horizon_s: float) -> Miss:
    """Miss distance of tracks at (n, 3) ``r`` and ``v`` relative to the own craft, with (n, 6, 6) covariance.

    Least and most miss bound it with the given number of sigmas. A covariance that is not positive semidefinite counts
    as no number.
    """
    # Rows that hold no number go through as a craft at rest far away, so that they stop nobody, and come out as NaN.
    known: Flags = np.logical_and.reduce(np.isfinite(np.hstack([r, v, covariance.reshape(-1, 36)])), axis=1)
    if not known.all():
        r, v = np.where(known[:, None], r, 1.0), np.where(known[:, None], v, 0.0)
        covariance = np.where(known[:, None, None], covariance, np.eye(6))
    rv, vv = np.einsum("ij,ij->i", r, v), np.einsum("ij,ij->i", v, v)
    moves = vv > TINY
    tcpa = np.clip(np.where(moves, -rv / np.where(moves, vv, 1.0), 0.0), 0.0, horizon_s)
    closest = r + v * tcpa[:, None]
    miss = np.sqrt(np.einsum("ij,ij->i", closest, closest))
    along, across = _axes(closest, miss, v, moves)
    t = tcpa[:, None, None]
    mixed = covariance[:, :3, 3:]
    spread = covariance[:, :3, :3] + t * (mixed + mixed.transpose(0, 2, 1)) + np.square(t) * covariance[:, 3:, 3:]
    a = np.einsum("ij,ijk,ik->i", along, spread, along)
    b = np.einsum("ij,ijk,ik->i", along, spread, across)
    c = np.einsum("ij,ijk,ik->i", across, spread, across)
    known = known & (a >= 0.0) & (c >= 0.0) & (a * c - b * b >= -1e-9 * (1.0 + a * c))
    factor = _triangle(a, b, c)
    least, most = _bounds(miss, factor, sigmas)
    middle = miss <= np.sqrt(np.maximum(a, 0.0)) * 1e-3
    largest = 0.5 * (a + c) + np.sqrt(np.square(0.5 * (a - c)) + np.square(b))
    sigma = np.sqrt(np.maximum(np.where(middle, largest, a), 0.0))
    tcpa, miss, sigma, least, most = (np.where(known, each, np.nan) for each in (tcpa, miss, sigma, least, most))
    return Miss(known, tcpa, miss, sigma, least, most, np.where(known[:, None, None], factor, np.nan))


def _axes(closest: Floats, miss: Floats, v: Floats, moves: Flags) -> tuple[Floats, Floats]:
    """Unit vectors of the line of passing, and across it in the plane of passing."""
    off = miss > 1e-9
    along = closest / np.where(off, miss, 1.0)[:, None]
    if not off.all():
        # Through the middle any line across the velocity will do.
        along = np.where(off[:, None], along, _aside(np.where(moves[:, None], v, [1.0, 0.0, 0.0])))
    across = _cross(v, along)
    length = np.linalg.norm(across, axis=1)
    plain = length > 1e-9
    across /= np.where(plain, length, 1.0)[:, None]
    return along, across if plain.all() else np.where(plain[:, None], across, _aside(along))


def _cross(a: Floats, b: Floats) -> Floats:
    """(n, 3) vector products, at a fraction of what numpy's own spends on its arguments."""
    x, y, z = a.T
    u, v, w = b.T
    return np.stack((y * w - z * v, z * u - x * w, x * v - y * u), axis=1)


def _aside(vectors: Floats) -> Floats:
    """A unit vector across each vector: in the plane of it and the coordinate axis that it lies on least."""
    least = np.argmin(np.abs(vectors), axis=1)
    found = _cross(vectors, np.eye(3)[least])
    unit: Floats = found / np.linalg.norm(found, axis=1)[:, None]
    return unit


def _triangle(a: Floats, b: Floats, c: Floats) -> Floats:
    """(n, 2, 2) lower triangles of the matrices [[a, b], [b, c]], none of which need be regular."""
    first = np.sqrt(np.maximum(a, 0.0))
    low = np.where(first > TINY, b / np.where(first > TINY, first, 1.0), 0.0)
    factor = np.zeros((len(a), 2, 2))
    factor[:, 0, 0], factor[:, 1, 0] = first, low
    factor[:, 1, 1] = np.sqrt(np.maximum(c - np.square(low), 0.0))
    return factor


def _bounds(miss: Floats, factor: Floats, sigmas: float) -> tuple[Floats, Floats]:
    """Nearest and farthest distance on the ellipse of so many sigmas about the place of passing; 0 if it covers the
    craft."""
    x = sigmas * factor[:, 0, 0, None] * _COS
    x += miss[:, None]
    y = factor[:, 1, 0, None] * _COS
    y += factor[:, 1, 1, None] * _SIN
    y *= sigmas
    square = x * x
    square += y * y
    near, far, rows = square.argmin(axis=1), square.argmax(axis=1), np.arange(len(x))
    least, most = np.hypot(x[rows, near], y[rows, near]), np.hypot(x[rows, far], y[rows, far])
    first, second = factor[:, 0, 0], factor[:, 1, 1]
    regular = (first > TINY) & (second > TINY)
    u = -miss / np.where(first > TINY, first, 1.0)
    w = -factor[:, 1, 0] * u / np.where(second > TINY, second, 1.0)
    covered = (regular & (np.hypot(u, w) <= sigmas)) | (miss <= TINY)
    return np.where(covered, 0.0, least), most


def probability_within(miss: Miss, radius_m: Floats) -> Floats:
    """Probability (0..1) of passing within a radius, one a track.

    The normal density over the disc becomes a sum along its edge (Green's theorem), exact but for its 64 points. A
    spread below a fortieth of the radius counts as that much.
    """
    radius = np.where(radius_m > 0.0, radius_m, np.nan)
    first = np.fmax(miss.factor[:, 0, 0], LEAST_SPREAD * radius)
    second = np.fmax(miss.factor[:, 1, 1], LEAST_SPREAD * radius)
    # In place: this is most of the work of risk.
    u = radius[:, None] * _COS
    u -= miss.miss_m[:, None]
    u /= first[:, None]
    w = radius[:, None] * _SIN
    w -= miss.factor[:, 1, 0, None] * u
    w /= second[:, None]
    half = np.square(u, out=u)
    half += np.square(w, out=w)
    half *= 0.5
    # (1 - exp(-q)) / 2q is 1/2 in the middle.
    small = half < 1e-12
    weight = -np.expm1(-half)
    half *= 2.0
    half[small] = 1.0
    weight /= half
    weight[small] = 0.5
    swept = np.multiply((miss.miss_m * radius)[:, None], _COS, out=w)
    weight *= np.subtract(np.square(radius)[:, None], swept, out=swept)
    found = weight.mean(axis=1) / (first * second)
    within = np.clip(np.where(radius_m > 0.0, found, 0.0), 0.0, 1.0)
    return np.where(miss.known, within, np.nan)
