"""Impulse that the next pulse window should give: nothing inside the dead-bands, a brakeable approach outside.

Pulses act about the middle of their window, so errors are looked at half a window ahead. Outside the band the wanted
rate grows with the error along a profile that can be braked with half the authority, inside it is a slow return, and
the demand is the momentum that leads from the present rate to the wanted one, gyroscopic torque included. Each demand
carries the error it can live with; the modulator weighs that against propellant.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import hypot, inf, radians, sqrt

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import Target
from firmware_py.gnc.modulation import NOTHING, Impulse
from hal.frames import (
    Quaternion,
    Vec3,
    conjugate,
    multiply,
    norm,
    quaternion_from_rotation_vector,
    rotate_inverse,
    rotation_vector,
    scale,
    subtract,
)
from hal.profile.body import BodyConfig

__all__ = ["Controller", "Demand"]

RETURN_TIME_S = 8.0
"""Time constant of the drift back from the band's edge: slow, since each correction costs propellant."""
CLOSING_TIME_S = 0.8
"""Time constant of the approach from outside the band, about three windows."""
LOOK_AHEAD_S = 1.0
"""Drift that leaves the band within this time is corrected now."""
POSITION_RETURN_TIME_S = 25.0
POSITION_CLOSING_TIME_S = 3.0
POSITION_LOOK_AHEAD_S = 4.0
AUTHORITY_SHARE = 0.5
RATE_TOLERANCE_PER_BAND = 0.1
"""Tolerable rate error, in dead-bands a second."""
FINEST_RATE_TOLERANCE = radians(0.02)
FREE_VELOCITY_TOLERANCE = 0.03
"""Velocity error (m/s) taken for one tolerance while the position is free."""
FINEST_VELOCITY_TOLERANCE = 0.003
MOVING_SHARE = 0.06
"""Tolerable error as a share of the wanted rate or speed."""

PUSHED_SPEED_M_S = 0.1
PUSHED_RATE_TOLERANCE = 4.0
"""While a speed error of PUSHED_SPEED_M_S is being taken out, rate errors up to five tolerances count as one."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Wanted impulse of the coming window (N s, N m s about the centre of mass, body frame), what error is worth a
    pulse, and the errors it came from (rad, rad/s, m, m/s; None where that quantity is free)."""

    impulse: Impulse
    rate_tolerance: float
    velocity_tolerance: float
    attitude_error_rad: float | None = None
    rate_error_rad_s: float | None = None
    position_error_m: float | None = None
    velocity_error_m_s: float | None = None

    @property
    def active(self) -> bool:
        """Whether anything is wanted."""
        return self.impulse != NOTHING


class Controller:
    """Attitude and position control by pulses, one demand a window.

    On an air bearing only x, y and yaw are controlled: the table holds the rest.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator) -> None:
        self._window = body.propulsion.window_ms * 1e-3
        inertia = np.array(body.mass.inertia_kg_m2)
        self._inertia: tuple[float, ...] = tuple(inertia.ravel().tolist())
        self._mass = body.mass.dry_kg + body.mass.propellant_kg
        self._torque_max = body.limits.torque_max_n_m
        self._allocator = allocator
        self._planar = body.environment == "air_bearing"
        torques, forces = [], []
        for axis in ((5,) if self._planar else (3, 4, 5)):
            unit = np.eye(6)[axis]
            reach = min(allocator.largest_scale(unit), allocator.largest_scale(-unit), self._torque_max)
            torques.append(reach / inertia[axis - 3, axis - 3])
        for axis in ((0, 1) if self._planar else (0, 1, 2)):
            unit = np.eye(6)[axis]
            forces.append(min(allocator.largest_scale(unit), allocator.largest_scale(-unit)) / self._mass)
        self._turn_brake = AUTHORITY_SHARE * min(torques)
        self._brake = AUTHORITY_SHARE * min(forces)
        self._last_pulse_ns: int | None = None

    def set_mass(self, mass_kg: float) -> None:
        """Follow the propellant that has been used."""
        self._mass = mass_kg

    def update(self, now_ns: int, nav: NavState, target: Target) -> Demand:
        """The demand of the window that starts now."""
        interval = target.pulse_interval_s
        held_back = (
            interval > 0.0 and self._last_pulse_ns is not None and (now_ns - self._last_pulse_ns) * 1e-9 < interval
        )
        rate, turn_acts, rate_tolerance, angle = self._turn(nav, target)
        velocity, push_acts, velocity_tolerance, distance = self._push(nav, target)
        rate_error = None if rate is None else norm(subtract(rate, nav.rate))
        velocity_error = None if velocity is None else norm(subtract(velocity, nav.velocity))
        if push_acts and velocity_error is not None:
            # While the craft is being pushed, errors of its rate wait for the windows after.
            rate_tolerance *= 1.0 + min(PUSHED_RATE_TOLERANCE, velocity_error / PUSHED_SPEED_M_S)
            velocity_tolerance += MOVING_SHARE * min(velocity_error, PUSHED_SPEED_M_S)
        impulse = NOTHING
        if (turn_acts or push_acts) and not held_back:
            impulse = self._impulse(nav, rate, velocity, target.full_push)
            self._last_pulse_ns = now_ns
        return Demand(impulse, rate_tolerance, velocity_tolerance, angle, rate_error, distance, velocity_error)

    def _turn(self, nav: NavState, target: Target) -> tuple[Vec3 | None, bool, float, float | None]:
        """Wanted rate, whether to act for it, tolerable rate error, attitude error."""
        if target.attitude is None:
            if target.rate is None:
                # Free attitude: a push should still not spin the craft up.
                return None, False, radians(0.3), None
            wanted = _limited(target.rate, target.rate_limit_rad_s)
            off = norm(self._seen(subtract(wanted, nav.rate)))
            return wanted, off > target.rate_deadband_rad_s, max(
                FINEST_RATE_TOLERANCE, 0.5 * target.rate_deadband_rad_s + MOVING_SHARE * off
            ), None
        ahead = target.rate if target.rate is not None else (0.0, 0.0, 0.0)
        error = self._seen(_error(nav.quaternion, target.attitude))
        drift = self._seen(subtract(nav.rate, ahead))
        band = target.attitude_deadband_rad
        middle = subtract(error, scale(drift, 0.5 * self._window))
        later = subtract(error, scale(drift, LOOK_AHEAD_S))
        angle, size = norm(error), norm(middle)
        quiet = angle < band and norm(later) < band
        pace = _profile(size, band, RETURN_TIME_S, CLOSING_TIME_S, self._turn_brake, target.rate_limit_rad_s)
        wanted = ahead
        if size > 1e-9:
            s = pace / size
            wanted = (ahead[0] + s * middle[0], ahead[1] + s * middle[1], ahead[2] + s * middle[2])
        tolerance = max(FINEST_RATE_TOLERANCE, RATE_TOLERANCE_PER_BAND * band) + MOVING_SHARE * norm(wanted)
        return _limited(wanted, target.rate_limit_rad_s), not quiet, tolerance, angle

    def _push(self, nav: NavState, target: Target) -> tuple[Vec3 | None, bool, float, float | None]:
        """Wanted velocity (inertial), whether to act for it, tolerable velocity error, position error."""
        ahead = target.velocity
        if target.position is None:
            if ahead is None:
                return None, False, FREE_VELOCITY_TOLERANCE, None
            wanted = _limited(ahead, target.speed_limit_m_s)
            off = norm(subtract(wanted, nav.velocity))
            tolerance = max(FINEST_VELOCITY_TOLERANCE, 0.5 * target.velocity_deadband_m_s)
            return wanted, off > target.velocity_deadband_m_s, tolerance, None
        if ahead is None:
            ahead = (0.0, 0.0, 0.0)
        error = subtract(target.position, nav.position)
        if self._planar:
            error = (error[0], error[1], 0.0)
        drift = subtract(nav.velocity, ahead)
        band = target.position_deadband_m
        middle = subtract(error, scale(drift, 0.5 * self._window))
        later = subtract(error, scale(drift, POSITION_LOOK_AHEAD_S))
        distance, size = norm(error), norm(middle)
        quiet = distance < band and norm(later) < band
        pace = _profile(
            size, band, POSITION_RETURN_TIME_S, POSITION_CLOSING_TIME_S, self._brake, target.speed_limit_m_s
        )
        wanted = ahead
        if size > 1e-9:
            s = pace / size
            wanted = (ahead[0] + s * middle[0], ahead[1] + s * middle[1], ahead[2] + s * middle[2])
        tolerance = max(FINEST_VELOCITY_TOLERANCE, 0.02 * band) + MOVING_SHARE * norm(wanted)
        return _limited(wanted, target.speed_limit_m_s), not quiet, tolerance, distance

    def _impulse(self, nav: NavState, rate: Vec3 | None, velocity: Vec3 | None, full_push: bool) -> Impulse:
        t = self._window
        wx, wy, wz = nav.rate
        jxx, jxy, jxz, _, jyy, jyz, _, _, jzz = self._inertia
        lx = ly = lz = 0.0
        if rate is not None:
            dx, dy, dz = rate[0] - wx, rate[1] - wy, rate[2] - wz
            hx, hy, hz = jxx * wx + jxy * wy + jxz * wz, jxy * wx + jyy * wy + jyz * wz, jxz * wx + jyz * wy + jzz * wz
            lx = jxx * dx + jxy * dy + jxz * dz + (wy * hz - wz * hy) * t
            ly = jxy * dx + jyy * dy + jyz * dz + (wz * hx - wx * hz) * t
            lz = jxz * dx + jyz * dy + jzz * dz + (wx * hy - wy * hx) * t
            most = max(abs(lx), abs(ly), abs(lz))
            if most > self._torque_max * t:
                s = self._torque_max * t / most
                lx, ly, lz = s * lx, s * ly, s * lz
        px = py = pz = 0.0
        if velocity is not None:
            middle = multiply(nav.quaternion, quaternion_from_rotation_vector(scale(nav.rate, 0.5 * t)))
            push = scale(subtract(velocity, nav.velocity), self._mass)
            if self._planar:
                push = (push[0], push[1], 0.0)
            px, py, pz = rotate_inverse(middle, push)
            if not full_push:
                peak = self._allocator.peak((px / t, py / t, pz / t, 0.0, 0.0, 0.0))
                if 1.0 < peak < inf:
                    px, py, pz = px / peak, py / peak, pz / peak
        if self._planar:
            lx = ly = pz = 0.0
        return (px, py, pz, lx, ly, lz)

    def _seen(self, v: Vec3) -> Vec3:
        """Only the yaw part on a table."""
        return (0.0, 0.0, v[2]) if self._planar else v


def _error(actual: Quaternion, wanted: Quaternion) -> Vec3:
    """Rotation vector in body axes that leads from the actual to the wanted attitude."""
    return rotation_vector(multiply(conjugate(actual), wanted))


def _limited(v: Vec3, most: float) -> Vec3:
    size = hypot(v[0], v[1], v[2])
    return v if size <= most else scale(v, most / size)


def _profile(error: float, band: float, return_s: float, closing_s: float, brake: float, most: float) -> float:
    """Wanted speed towards zero error: slow in the band, then exponential, then constant deceleration, then the
    limit."""
    if error <= band:
        return min(most, error / return_s)
    beyond = error - band
    return min(most, band / return_s + min(beyond / closing_s, sqrt(2.0 * brake * beyond)))
