"""The change of velocity with the least effort that leaves every contact's volume, of a fixed set that is tried.

Directions lie evenly on a sphere (Fibonacci lattice), magnitudes rise by half powers of two up to what the craft can
give. Of the least magnitude with which any direction leaves all volumes, the one with the most room is taken. The push
counts as one step in its middle: from its end on that is where a constant push leads. Same input, same answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import pi, sqrt

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.risk.config import RiskConfig
from firmware_py.perception.risk.encounter import disc_times, overlap, slab_times

__all__ = ["Evasion", "evade", "least_distances", "sphere_directions", "stop_distances"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
LIMIT_SHARE = 0.999
"""Of the largest change that may be asked for: beyond it by a rounding, the way out would be refused."""
TANK_SHARE = 0.98
"""Of what the propellant is good for: the tank of the moment in which it is flown is a bit emptier."""
BRAKE_POINTS = 16
"""Moments of a stop at which the way is looked at."""


@dataclass(frozen=True, slots=True)
class Evasion:
    """A change of velocity, inertial (m/s), and what it leaves.

    ``margin_m`` is the least room beyond the volumes wanted; ``clears``: none is entered.
    """

    delta_v_m_s: tuple[float, float, float]
    margin_m: float
    clears: bool


@lru_cache(maxsize=8)
def sphere_directions(count: int) -> Floats:
    """(count, 3) unit vectors spread evenly over the sphere."""
    index = np.arange(count) + 0.5
    z = 1.0 - 2.0 * index / count
    turn = pi * (1.0 + sqrt(5.0)) * index
    flat = np.sqrt(1.0 - z * z)
    directions: Floats = np.column_stack([flat * np.cos(turn), flat * np.sin(turn), z])
    directions.flags.writeable = False
    return directions


def least_distances(r: Floats, v: Floats, changes: Floats, horizon_s: float) -> Floats:
    """(samples, tracks) least distance ahead of tracks at ``r`` moving with ``v`` relative to the craft, after each of
    the (samples, 3) changes of the craft's velocity."""
    rv = np.einsum("ij,ij->i", r, v) - changes @ r.T
    vv = np.einsum("ij,ij->i", v, v) - 2.0 * (changes @ v.T) + np.einsum("ij,ij->i", changes, changes)[:, None]
    t = np.minimum(np.maximum(-rv / np.maximum(vv, 1e-12), 0.0), horizon_s)
    # In place: this is most of the work.
    vv *= t
    rv *= 2.0
    vv += rv
    vv *= t
    vv += np.einsum("ij,ij->i", r, r)
    found: Floats = np.sqrt(np.maximum(vv, 0.0, out=vv), out=vv)
    return found


def stop_distances(
    r: Floats, v: Floats, own_velocity: Floats, push_m_s2: float, reaction_s: float, horizon_s: float
) -> Floats:
    """(tracks,) least distance ahead if the craft takes out its own inertial velocity with a constant push."""
    speed = float(np.linalg.norm(own_velocity))
    burn_s = speed / push_m_s2
    t = np.linspace(0.0, reaction_s + burn_s, BRAKE_POINTS)
    burning = np.maximum(t - reaction_s, 0.0)
    slowed = -0.5 * push_m_s2 * np.square(burning)
    along = own_velocity / speed if speed > 0.0 else own_velocity
    place = r[None] + v[None] * t[:, None, None] - (slowed[:, None] * along)[:, None, :]
    under_way = np.sqrt(np.einsum("tij,tij->ti", place, place)).min(axis=0)
    found: Floats = np.minimum(under_way, least_distances(place[-1], v, -own_velocity[None], horizon_s)[0])
    return found


def evade(
    config: RiskConfig, r: Floats, v: Floats, radius_m: Floats, spread_m: Floats, course: Flags, *, push_m_s2: float,
    most_m_s: float,
) -> Evasion | None:
    """The best change of velocity, ``None`` if the craft can give none.

    Args:
        config: what is tried, and how much room is wanted.
        r, v: (n, 3) of all tracks relative to the craft.
        radius_m: (n,) combined radius of each, which must not be entered.
        spread_m: (n,) one sigma of its miss; up to the radius it is kept clear of too.
        course: (n,) those to be evaded. From the others it must not come nearer than it would anyway, where that is
            too near already.
        push_m_s2: what the craft pushes with.
        most_m_s: what its propellant is good for.
    """
    most = min(LIMIT_SHARE * config.most_evade_m_s, TANK_SHARE * most_m_s)
    if push_m_s2 <= 0.0 or most <= 0.0 or len(r) == 0:
        return None
    wanted = radius_m + config.margin_m + np.minimum(spread_m, radius_m)
    # Who is nearer already can only be left: beyond where he is now no room can be asked for.
    now = 0.999 * np.linalg.norm(r, axis=1)
    wanted, radius_m = np.minimum(wanted, now), np.minimum(radius_m, now)
    directions, best = sphere_directions(config.directions), None
    for step in range(config.magnitudes):
        size = most * 2.0 ** (0.5 * (step + 1 - config.magnitudes))
        start_s = config.reaction_s + 0.5 * size / push_m_s2
        found = _of_size(config, r + v * start_s, v, directions * size, wanted, radius_m, course)
        # What comes before the push no direction helps against.
        before = least_distances(r, v, np.zeros((1, 3)), start_s)[0][course]
        found = Evasion(
            found.delta_v_m_s, min(found.margin_m, float((before - wanted[course]).min(initial=np.inf))),
            found.clears and bool((before >= radius_m[course]).all()),
        )
        if best is None or found.margin_m > best.margin_m:
            best = found
        if found.margin_m >= 0.0 and found.clears:
            return found
    return best


def _of_size(
    config: RiskConfig, r: Floats, v: Floats, changes: Floats, wanted: Floats, radius_m: Floats, course: Flags
) -> Evasion:
    """The change among some of the same size that leaves the most room."""
    distance = least_distances(r, v, changes, config.horizon_s)
    anyway = least_distances(r, v, np.zeros((1, 3)), config.horizon_s)[0]
    limit = np.where(course, np.inf, 0.999 * anyway)
    margin = (distance - np.minimum(wanted, limit)).min(axis=1)
    inside: Flags = np.logical_or.reduce(distance < np.minimum(radius_m, limit), axis=1)
    if config.cylinder_radius_m > 0.0:
        entered = _enters_cylinder(config, r, v, changes)
        margin, inside = np.where(entered, margin - config.cylinder_radius_m, margin), inside | entered
    row = int(np.argmax(margin))
    x, y, z = (float(part) for part in changes[row])
    return Evasion((x, y, z), float(margin[row]), not bool(inside[row]))


def _enters_cylinder(config: RiskConfig, r: Floats, v: Floats, changes: Floats) -> Flags:
    """(samples,) whether any cylinder that the craft is not in yet is entered."""
    samples, tracks = len(changes), len(r)
    place = np.repeat(r[None], samples, axis=0).reshape(-1, 3)
    speed = (v[None] - changes[:, None]).reshape(-1, 3)
    beside = disc_times(place[:, :2], speed[:, :2], config.cylinder_radius_m)
    level = slab_times(place[:, 2], speed[:, 2], config.cylinder_height_m)
    entered = np.isfinite(overlap(beside, level, config.horizon_s)[0]).reshape(samples, tracks)
    already = (np.hypot(r[:, 0], r[:, 1]) <= config.cylinder_radius_m) & (np.abs(r[:, 2]) <= config.cylinder_height_m)
    found: Flags = np.logical_or.reduce(entered & ~already, axis=1)
    return found
