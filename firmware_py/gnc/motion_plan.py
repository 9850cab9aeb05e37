"""Plans of motion in whole pulse windows: what the nozzles can follow, ending exactly where and as slow as wanted.

A pulse acts about the middle of its window, so between two boundaries with the rates ``a`` and ``b`` the craft moves by
``(a + b) / 2`` windows, and ramps of whole windows are flown as planned, without a remainder at their corners.
"""

from __future__ import annotations

from math import ceil, hypot, inf, isfinite, sqrt
from typing import NamedTuple

import numpy as np

from firmware_py.gnc.allocation import Allocator
from hal.frames import Vec3, cross, scale
from hal.profile.body import BodyConfig

__all__ = ["Trapezoid", "TurnAuthority", "approach", "limited", "slowed", "stop_distance", "trapezoid"]

ZERO: Vec3 = (0.0, 0.0, 0.0)
TURN_SHARE = 0.5
"""Share of the torque authority that a planned turn uses: the rest is for errors, and for a nozzle less."""
GYRO_SHARE = 0.5
"""Share of that which the gyroscopic torque of the turn itself may take; a faster turn is not planned."""
MOST_RAMP = 2000
"""Windows of the longest ramp that is looked for."""
HAIR = 1e-9
"""Rounding left to comparisons of a plan with its limits, as a share."""


class TurnAuthority:
    """Angular acceleration that a craft can plan with about any body axis, at any rate about it."""

    def __init__(self, body: BodyConfig, allocator: Allocator) -> None:
        self._inertia = np.array(body.mass.inertia_kg_m2)
        self._allocator = allocator
        self._torque_max = body.limits.torque_max_n_m
        self._planar = body.environment == "air_bearing"

    def seen(self, turn: Vec3) -> Vec3:
        """The part of a rotation vector that the craft can turn by: on an air bearing only yaw."""
        return (0.0, 0.0, turn[2]) if self._planar else turn

    def about(self, axis: Vec3, rate: float) -> tuple[float, float]:
        """Acceleration (rad/s2) for a turn about a unit vector in body axes, in both senses, at rates up to ``rate``
        (rad/s); and that rate, less where the gyroscopic torque ``w x J w`` would take too much. Zeros without any
        authority."""
        x, y, z = (self._inertia @ np.array(axis)).tolist()
        along: Vec3 = (x / TURN_SHARE, y / TURN_SHARE, z / TURN_SHARE)
        gyro = ZERO if self._planar else cross(axis, along)
        reach = self._beside(ZERO, gyro)
        if reach * GYRO_SHARE < rate * rate:
            rate = sqrt(max(0.0, reach) * GYRO_SHARE)
        kept: Vec3 = (gyro[0] * rate * rate, gyro[1] * rate * rate, gyro[2] * rate * rate)
        acceleration = min(self._beside(kept, along), self._beside(kept, (-along[0], -along[1], -along[2])))
        return (acceleration, rate) if 0.0 < acceleration < inf else (0.0, 0.0)

    def _beside(self, kept: Vec3, torque: Vec3) -> float:
        """How often a torque can be made beside another, within the commanded limit of each axis."""
        reach = self._allocator.largest_scale_beside((0.0, 0.0, 0.0, *kept), (0.0, 0.0, 0.0, *torque))
        for k, t in zip(kept, torque, strict=True):
            if abs(t) > 0.0:
                reach = min(reach, (self._torque_max - abs(k)) / abs(t))
        return reach


class Trapezoid(NamedTuple):
    """A way in whole windows: a ramp from the rate at the start to the cruise rate, the cruise, a ramp to rest.

    Any unit of length; rates per second. ``cruise`` is signed.
    """

    start: float
    cruise: float
    ramp: int
    flat: int
    window_s: float

    @property
    def length_s(self) -> float:
        """Time from start to rest."""
        return (2 * self.ramp + self.flat) * self.window_s

    def at(self, t: float) -> tuple[float, float]:
        """Way and rate after ``t`` seconds."""
        up = self.ramp * self.window_s
        if t < up:
            t = max(0.0, t)
            slope = (self.cruise - self.start) / up
            return (self.start + 0.5 * slope * t) * t, self.start + slope * t
        way, t = 0.5 * (self.start + self.cruise) * up, t - up
        level = self.flat * self.window_s
        if t < level:
            return way + self.cruise * t, self.cruise
        way, t = way + self.cruise * level, t - level
        if t < up:
            return way + self.cruise * (1.0 - 0.5 * t / up) * t, self.cruise * (1.0 - t / up)
        return way + 0.5 * self.cruise * up, 0.0


def trapezoid(way: float, rate: float, most: float, acceleration: float, window_s: float) -> Trapezoid | None:
    """The quickest trapezoid from ``rate`` to rest after ``way``, at rates up to ``most`` and up to ``acceleration``.

    A start that is too fast to stop within ``way`` goes past it and back. None without authority, for a ramp of over
    MOST_RAMP windows, and for numbers that are none.
    """
    step = acceleration * window_s
    if not (step > 0.0 and most > 0.0 and isfinite(way + rate)):
        return None
    for ramp in range(max(1, ceil(abs(rate) / (step * MOST_RAMP))), MOST_RAMP):
        area = way / window_s - 0.5 * rate * ramp
        flat = max(0, ceil(abs(area) / most - ramp - HAIR))
        cruise = area / (ramp + flat)
        reach = step * ramp * (1.0 + HAIR)
        if abs(cruise) <= reach and abs(cruise - rate) <= reach:
            return Trapezoid(rate, cruise, ramp, flat, window_s)
    return None


def stop_distance(speed: float, deceleration: float, window_s: float) -> float:
    """Way to rest (m) from a speed (m/s) in whole windows, at up to a deceleration (m/s2); infinite if it never stops,
    or if the speed is no number."""
    if not (deceleration > 0.0 and isfinite(speed)):
        return inf
    return 0.5 * speed * ceil(speed / (deceleration * window_s) - HAIR) * window_s


def slowed(left: float, speed: float, deceleration: float, window_s: float) -> float:
    """Speed (m/s) to have at the end of the window, so that whole windows of constant deceleration (m/s2) end at rest
    after ``left`` (m): the quickest way within the deceleration, if it began in time. Zero for numbers that are
    none."""
    ahead = 2.0 * left / window_s - speed
    if not (0.0 < ahead < inf and deceleration > 0.0):
        return 0.0
    step = deceleration * window_s
    steps = ceil(0.5 * (sqrt(1.0 + 4.0 * ahead / step) - 1.0) - HAIR)
    after, least = min(speed, ahead / (steps + 1)), max(0.0, speed - step)
    if after < least and left - 0.5 * (speed + least) * window_s >= stop_distance(least, deceleration, window_s):
        return least
    return after


def limited(v: Vec3, most: float) -> Vec3:
    """A vector no longer than ``most``."""
    size = hypot(v[0], v[1], v[2])
    return v if size <= most else scale(v, most / size)


def approach(error: float, band: float, return_s: float, closing_s: float, brake: float, most: float) -> float:
    """Wanted speed towards zero error: slow in the band, then exponential, then constant deceleration, then the
    limit."""
    if error <= band:
        return min(most, error / return_s)
    beyond = error - band
    return min(most, band / return_s + min(beyond / closing_s, sqrt(2.0 * brake * beyond)))
