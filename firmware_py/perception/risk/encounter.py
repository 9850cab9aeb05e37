"""Geometry of straight encounters in closed form: times, distances, and when a well-clear volume is violated.

Vectorised: every argument is an array with one row an encounter. ``s`` is own minus intruder position (m) and ``v`` own
minus intruder velocity (m/s), in two or three columns. What is not defined is NaN; so is all that follows from a NaN.

Formulas: C. Munoz, A. Narkawicz, J. Chamberlain, M. Consiglio, J. Upchurch, "A Family of Well-Clear Boundary Models for
the Integration of UAS in the NAS", AIAA 2014-2412; NASA/TM-2014-218155 (time to entry point).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CRAFT_SPHERE", "FOOT_M", "HORIZON_S", "NAUTICAL_MILE_M", "VOLUMES", "Approach", "Cylinder", "Kind", "Sphere",
    "Violation", "approach", "cylinder_now", "cylinder_violation", "disc_times", "inner", "modified_tau", "overlap",
    "slab_times", "sphere_now", "sphere_violation", "time_to_coaltitude",
]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
FOOT_M, NAUTICAL_MILE_M = 0.3048, 1852.0
HORIZON_S = 180.0
"""Look-ahead within which a violation is told."""


@unique
class Kind(StrEnum):
    """By which time a horizontal violation is foreseen."""

    TAUMOD = "taumod"
    """Modified tau."""
    TCPA = "tcpa"
    """Time to closest approach."""
    TEP = "tep"
    """Time to entry point."""


@dataclass(frozen=True, slots=True)
class Cylinder:
    """A well-clear volume split into horizontal and vertical: both must be violated.

    Horizontal: within ``distance_m``, or on the way there with the time of the kind at most ``time_s``. Vertical:
    within ``height_m``, or at the same height in at most ``coaltitude_s``.
    """

    distance_m: float
    height_m: float
    time_s: float
    coaltitude_s: float


@dataclass(frozen=True, slots=True)
class Sphere:
    """The modified-tau volume in three dimensions without a vertical split."""

    distance_m: float
    time_s: float


VOLUMES: dict[str, Cylinder] = {
    "do365_ph1": Cylinder(0.66 * NAUTICAL_MILE_M, 450.0 * FOOT_M, 35.0, 0.0),
    "do365_nc": Cylinder(2200.0 * FOOT_M, 450.0 * FOOT_M, 0.0, 0.0),
    "buffered": Cylinder(1.0 * NAUTICAL_MILE_M, 450.0 * FOOT_M, 35.0, 20.0),
    "craft": Cylinder(70.0, 30.0, 10.0, 3.0),
}
"""Volumes by name: RTCA DO-365 phase 1 en route and non-cooperative, the buffered one of NASA's DAIDALUS, and a small
one for a craft, which follows no standard."""
CRAFT_SPHERE = Sphere(20.0, 8.0)
"""For a free flyer; no standard."""


@dataclass(frozen=True, slots=True)
class Approach:
    """Columns of one or more encounters; NaN where not defined."""

    range_m: Floats
    range_rate_m_s: Floats
    """Negative is closing; not defined at the same place."""
    tcpa_s: Floats
    """Time of closest approach, in the past if negative; not defined without relative motion."""
    miss_m: Floats
    """Distance at the closest approach ahead, now if that is past."""
    tau_s: Floats
    """Range over closing speed; only while closing."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Whether a volume is violated now, and first and last time of violation within the look-ahead (NaN: none)."""

    now: Flags
    in_s: Floats
    out_s: Floats


def inner(a: Floats, b: Floats) -> Floats:
    """Row by row inner product."""
    found: Floats = np.einsum("ij,ij->i", a, b)
    return found


def _ratio(numerator: Floats, denominator: Floats, where: Flags) -> Floats:
    """Quotient where it is defined, else NaN."""
    out = np.full(len(numerator), np.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        np.divide(numerator, denominator, out=out, where=where)
    return out


def approach(s: Floats, v: Floats) -> Approach:
    """Range, closest approach and tau, in as many dimensions as there are columns."""
    ss, sv, vv = inner(s, s), inner(s, v), inner(v, v)
    range_m = np.sqrt(ss)
    tcpa = _ratio(-sv, vv, vv > 0.0)
    ahead = np.fmax(tcpa, 0.0)
    ahead = np.where(vv == 0.0, 0.0, ahead)
    closest = s + v * ahead[:, None]
    return Approach(
        range_m, _ratio(sv, range_m, ss > 0.0), tcpa, np.sqrt(inner(closest, closest)), _ratio(-ss, sv, sv < 0.0)
    )


def time_to_coaltitude(height: Floats, rate: Floats) -> Floats:
    """Time to the same height; 0 there, not defined while it does not come nearer."""
    found = _ratio(-height, rate, height * rate < 0.0)
    return np.where(height == 0.0, 0.0, found)


def modified_tau(s: Floats, v: Floats, distance_m: float | Floats) -> Floats:
    """(D^2 - s^2) / (s.v): time to a protected distance at the present closing; only while closing, and negative
    within the distance."""
    sv = inner(s, v)
    return _ratio(np.square(distance_m) - inner(s, s), sv, sv < 0.0)


# -- intervals: pairs of first and last time, first after last where there is none


def disc_times(s: Floats, v: Floats, distance_m: float | Floats) -> tuple[Floats, Floats]:
    """First and last time, past and future, within a distance; (inf, -inf) if never, (-inf, inf) if always."""
    ss, sv, vv = inner(s, s), inner(s, v), inner(v, v)
    square = np.square(distance_m)
    room = square * vv - _off_line(s, v)
    meets = (vv > 0.0) & (room >= 0.0)
    half = np.sqrt(np.where(meets, room, 0.0))
    always = (vv == 0.0) & (ss <= square)
    first = np.where(always, -np.inf, np.where(meets, _ratio(-sv - half, vv, meets), np.inf))
    last = np.where(always, np.inf, np.where(meets, _ratio(-sv + half, vv, meets), -np.inf))
    return first, last


def _off_line(s: Floats, v: Floats) -> Floats:
    """|s x v|^2: the square of miss times speed, without the loss of digits of s^2 v^2 - (s.v)^2."""
    x = s[:, 0] * v[:, 1] - s[:, 1] * v[:, 0]
    if s.shape[1] == 2:
        return np.square(x)
    y = s[:, 1] * v[:, 2] - s[:, 2] * v[:, 1]
    z = s[:, 2] * v[:, 0] - s[:, 0] * v[:, 2]
    return np.square(x) + np.square(y) + np.square(z)


def slab_times(height: Floats, rate: Floats, half_m: float | Floats, ahead_s: float = 0.0) -> tuple[Floats, Floats]:
    """First and last time within a height, or on the way there with at most ``ahead_s`` to go to the same height."""
    moves = rate != 0.0
    at = _ratio(-height, rate, moves)
    half = _ratio(np.broadcast_to(np.asarray(half_m, np.float64), rate.shape), np.abs(rate), moves)
    inside = np.abs(height) <= half_m
    first = np.where(moves, at - np.maximum(half, ahead_s), np.where(inside, -np.inf, np.inf))
    last = np.where(moves, at + half, np.where(inside, np.inf, -np.inf))
    return first, last


def overlap(
    one: tuple[Floats, Floats], other: tuple[Floats, Floats], horizon_s: float = HORIZON_S
) -> tuple[Floats, Floats]:
    """What two intervals share within the look-ahead; NaN where that is nothing."""
    first = np.maximum(np.maximum(one[0], other[0]), 0.0)
    last = np.minimum(np.minimum(one[1], other[1]), horizon_s)
    there = first <= last
    return np.where(there, first, np.nan), np.where(there, last, np.nan)


def _foreseen_times(s: Floats, v: Floats, distance_m: float, time_s: float, kind: Kind) -> tuple[Floats, Floats]:
    """First and last time of the violation that a time of some kind foresees, the stay within the distance included.

    The time falls while closing, so the violation goes on from the moment that it is short enough until the distance
    is left; without entering the distance there is none.
    """
    first, last = disc_times(s, v, distance_m)
    ss, sv, vv = inner(s, s), inner(s, v), inner(v, v)
    enters = (vv > 0.0) & (first <= last)
    if kind is Kind.TCPA:
        early = _ratio(-sv, vv, enters) - time_s
    elif kind is Kind.TEP:
        early = np.where(enters, first, 0.0) - time_s
    else:
        # D^2 - s^2 >= T s.v as a quadratic in time; within the distance's interval it has two roots.
        b, c = sv + 0.5 * time_s * vv, ss + time_s * sv - distance_m * distance_m
        inside = np.where(enters, b * b - vv * c, 0.0)
        early = _ratio(-b - np.sqrt(np.maximum(inside, 0.0)), vv, enters)
    return np.where(enters, np.minimum(first, early), first), last


def _near_now(s: Floats, v: Floats, distance_m: float, time_s: float, kind: Kind) -> Flags:
    """The horizontal condition (or that of a sphere) at this moment, by its definition."""
    ss, sv, vv = inner(s, s), inner(s, v), inner(v, v)
    closing = sv < 0.0
    if kind is Kind.TCPA:
        left = _ratio(-sv, vv, vv > 0.0)
    elif kind is Kind.TEP:
        first, last = disc_times(s, v, distance_m)
        left = np.where(first <= last, first, np.nan)
    else:
        left = _ratio(distance_m * distance_m - ss, sv, closing)
    # What is closing moves, so it enters if its line passes within the distance.
    enters = closing & (distance_m * distance_m * vv - _off_line(s, v) >= 0.0)
    near: Flags = (np.sqrt(ss) <= distance_m) | (enters & (left >= 0.0) & (left <= time_s))
    return near


def _violation(now: Flags, one: tuple[Floats, Floats], other: tuple[Floats, Floats], horizon_s: float) -> Violation:
    in_s, out_s = overlap(one, other, horizon_s)
    # On the very edge the definition decides, not the rounding of a root.
    return Violation(now, np.where(now, 0.0, in_s), np.where(now, np.fmax(out_s, 0.0), out_s))


def cylinder_now(volume: Cylinder, s: Floats, v: Floats, kind: Kind = Kind.TAUMOD) -> Flags:
    """Whether a cylinder is violated at this moment. ``s`` and ``v`` have three columns, the third is vertical."""
    sz, vz = s[:, 2], v[:, 2]
    soon = time_to_coaltitude(sz, vz)
    level = (np.abs(sz) <= volume.height_m) | ((vz != 0.0) & (soon <= volume.coaltitude_s))
    now: Flags = level & _near_now(s[:, :2], v[:, :2], volume.distance_m, volume.time_s, kind)
    return now


def cylinder_violation(
    volume: Cylinder, s: Floats, v: Floats, kind: Kind = Kind.TAUMOD, horizon_s: float = HORIZON_S
) -> Violation:
    """When a cylinder is violated. ``s`` and ``v`` have three columns, the third is vertical."""
    beside = _foreseen_times(s[:, :2], v[:, :2], volume.distance_m, volume.time_s, kind)
    level = slab_times(s[:, 2], v[:, 2], volume.height_m, volume.coaltitude_s)
    return _violation(cylinder_now(volume, s, v, kind), beside, level, horizon_s)


def sphere_now(volume: Sphere, s: Floats, v: Floats) -> Flags:
    """Whether a sphere is violated at this moment."""
    return _near_now(s, v, volume.distance_m, volume.time_s, Kind.TAUMOD)


def sphere_violation(volume: Sphere, s: Floats, v: Floats, horizon_s: float = HORIZON_S) -> Violation:
    """When a sphere is violated."""
    times = _foreseen_times(s, v, volume.distance_m, volume.time_s, Kind.TAUMOD)
    return _violation(sphere_now(volume, s, v), times, times, horizon_s)
