"""One sensor's sight of a target, and why one can't be used: whatever is no measurement gets a named reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, pi

from firmware_py.gnc.consistency import Refusal, direction_refusal, quaternion_refusal, sigma_refusal
from hal.frames import Quaternion, Vec3

__all__ = ["LARGEST_M", "LARGEST_M_S", "Sighting", "sighting_refusal"]

LARGEST_M = 1e6
"""Range beyond which nothing is a target to fly to, and largest error that is still a measurement."""
LARGEST_M_S = 1e4
ZERO: Vec3 = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one sensor saw of the target's marker, ``age_ns`` ago; None is what it does not measure.

    Args:
        quaternion: the craft's attitude then, body to inertial.
        range_m: from the sensor to the marker; ``sigma_range_m`` one sigma.
        direction: from the sensor to the marker, body axes, any length; ``sigma_bearing_rad`` across it, one axis,
            with the attitude's own error.
        range_rate_m_s: negative is closing; needs ``rate``, the body rate then (rad/s), if the sensor has an arm.
        mount_m: place of the sensor, body frame.
        marker_m: marker minus the target's reference point, inertial axes.
    """

    quaternion: Quaternion
    age_ns: int = 0
    range_m: float | None = None
    sigma_range_m: float = 0.0
    direction: Vec3 | None = None
    sigma_bearing_rad: float = 0.0
    range_rate_m_s: float | None = None
    sigma_range_rate_m_s: float = 0.0
    rate: Vec3 = ZERO
    mount_m: Vec3 = ZERO
    marker_m: Vec3 = ZERO


def sighting_refusal(seen: Sighting) -> Refusal | None:
    """Why a sighting can't be used at all."""
    if seen.age_ns < 0:
        return Refusal.FUTURE
    bad = quaternion_refusal(seen.quaternion)
    for vector in (seen.mount_m, seen.marker_m, seen.rate):
        bad = bad or _place_refusal(vector)
    if seen.range_m is not None:
        bad = bad or _size_refusal(seen.range_m, 0.0, LARGEST_M) or sigma_refusal(seen.sigma_range_m, LARGEST_M)
    if seen.direction is not None:
        bad = bad or direction_refusal(seen.direction) or sigma_refusal(seen.sigma_bearing_rad, pi)
    if seen.range_rate_m_s is not None:
        bad = bad or _size_refusal(seen.range_rate_m_s, -LARGEST_M_S, LARGEST_M_S)
        bad = bad or sigma_refusal(seen.sigma_range_rate_m_s, LARGEST_M_S)
    return bad


def _size_refusal(value: float, least: float, largest: float) -> Refusal | None:
    if not isfinite(value):
        return Refusal.NOT_FINITE
    return None if least <= value <= largest else Refusal.OUT_OF_RANGE


def _place_refusal(v: Sequence[float]) -> Refusal | None:
    if len(v) != 3:
        return Refusal.LENGTH
    if not all(isfinite(part) for part in v):
        return Refusal.NOT_FINITE
    return None if max(abs(part) for part in v) <= LARGEST_M else Refusal.OUT_OF_RANGE
