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
SLACK_M = 1e-6
"""More than rounding can make of a distance: a bound is never below what it bounds."""
PROMISING = 6
"""Directions of a size that are looked at first."""


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


def least_distances(r: Floats, v: Floats, changes: Floats, horizon_s: float | Floats) -> Floats:
    """(samples, tracks) least distance ahead of tracks at ``r`` moving with ``v`` relative to the craft, after each of
    the (samples, 3) changes of the craft's velocity. The horizon is one, or (samples, 1). More axes may stand before
    those of ``r``, (..., tracks, 3), and ``changes`` alike."""
    rv = _inner(r, v)[..., None, :] - changes @ r.swapaxes(-1, -2)
    vv = _inner(v, v) - 2.0 * (changes @ v.T) + _inner(changes, changes)[..., None]
    t = np.minimum(np.maximum(-rv / np.maximum(vv, 1e-12), 0.0), horizon_s)
    # In place: this is most of the work.
    vv *= t
    rv *= 2.0
    vv += rv
    vv *= t
    vv += _inner(r, r)[..., None, :]
    found: Floats = np.sqrt(np.maximum(vv, 0.0, out=vv), out=vv)
    return found


def _inner(a: Floats, b: Floats) -> Floats:
    """Inner products along the last axis, whatever stands before it."""
    found: Floats = np.einsum("...j,...j->...", a, b)
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
    search = _Search(config, r, v, np.minimum(wanted, now), np.minimum(radius_m, now), course, push_m_s2, most)
    return search.first_clear() or search.best()


class _Search:
    """All sizes and directions of one evasion; which of them are looked at in full is decided by bounds.

    The tracks to be evaded bound the margin of every change from above. They are few, so this costs little, and spares
    most changes the look at all other tracks. What is found is the same as if all were looked at.
    """

    def __init__(
        self, config: RiskConfig, r: Floats, v: Floats, wanted: Floats, radius_m: Floats, course: Flags,
        push_m_s2: float, most_m_s: float,
    ) -> None:
        self._config, self._r, self._v = config, r, v
        self._wanted, self._radius_m, self._course = wanted, radius_m, course
        self._sizes = np.array([most_m_s * 2.0 ** (0.5 * step) for step in range(1 - config.magnitudes, 1)])
        self._start_s = config.reaction_s + 0.5 * self._sizes / push_m_s2
        self._directions = sphere_directions(config.directions)
        near, toward = r[course], v[course]
        # What comes before the push no direction helps against.
        before = least_distances(near, toward, np.zeros((config.magnitudes, 3)), self._start_s[:, None])
        self._before_m: Floats = (before - wanted[course]).min(axis=1, initial=np.inf)
        self._in_time: Flags = np.logical_and.reduce(before >= radius_m[course], axis=1)
        after = least_distances(
            near + toward * self._start_s[:, None, None], toward, self._directions * self._sizes[:, None, None],
            config.horizon_s,
        )
        self._bounds: Floats = (after - wanted[course]).min(axis=2, initial=np.inf) + SLACK_M
        """(sizes, directions) that the margin after the push cannot exceed."""
        self._most_m: Floats = np.minimum(self._bounds.max(axis=1), self._before_m)
        """(sizes,) that no margin of a size can exceed."""

    def first_clear(self) -> Evasion | None:
        """Of the least size that leaves all volumes, the best."""
        for step in np.flatnonzero(self._most_m >= 0.0).tolist():
            found = self._of_size(step, 0.0)
            if found is not None and found.margin_m >= 0.0 and found.clears:
                return found
        return None

    def best(self) -> Evasion | None:
        """The one with the most room, of several the smallest."""
        best, chosen = None, 0
        for step in np.argsort(-self._most_m, kind="stable").tolist():
            if best is not None and (
                self._most_m[step] < best.margin_m or (step > chosen and self._before_m[step] <= best.margin_m)
            ):
                continue
            found = self._of_size(step, -np.inf if best is None else best.margin_m)
            if found is not None and (
                best is None or found.margin_m > best.margin_m or (found.margin_m == best.margin_m and step < chosen)
            ):
                best, chosen = found, step
        return best

    def _of_size(self, step: int, floor_m: float) -> Evasion | None:
        """The change of one size that leaves the most room; ``None`` if no bound reaches the floor."""
        bounds = self._bounds[step]
        # The most promising ones tell how much room there is at least, which spares most of the others.
        _, margin, _ = self._look(step, np.argsort(-bounds, kind="stable")[:PROMISING])
        rows = np.flatnonzero(bounds >= max(floor_m, float(margin.max())))
        if not len(rows):
            return None
        changes, margin, inside = self._look(step, rows)
        row = int(np.argmax(margin))
        x, y, z = (float(part) for part in changes[row])
        room = min(float(margin[row]), float(self._before_m[step]))
        return Evasion((x, y, z), room, not bool(inside[row]) and bool(self._in_time[step]))

    def _look(self, step: int, rows: NDArray[np.int64]) -> tuple[Floats, Floats, Flags]:
        """Changes of one size in some directions: (n, 3) what they are, (n,) the least room to any track after the
        push, and whether any volume is entered."""
        r, v, changes = self._r + self._v * self._start_s[step], self._v, self._directions[rows] * self._sizes[step]
        distance = least_distances(r, v, changes, self._config.horizon_s)
        anyway = least_distances(r, v, np.zeros((1, 3)), self._config.horizon_s)[0]
        limit = np.where(self._course, np.inf, 0.999 * anyway)
        margin = (distance - np.minimum(self._wanted, limit)).min(axis=1)
        inside: Flags = np.logical_or.reduce(distance < np.minimum(self._radius_m, limit), axis=1)
        radius_m = self._config.cylinder_radius_m
        if radius_m > 0.0:
            entered = _enters_cylinder(self._config, r, v, changes)
            margin, inside = np.where(entered, margin - radius_m, margin), inside | entered
        return changes, margin, inside


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
