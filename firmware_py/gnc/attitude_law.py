"""The attitude half of control: a quaternion law with a phase plane around it, for thrusters that are on or off.

In the plane of angle and rate, where a disturbance ``a`` bends the coasting paths to parabolas
``phi = phi0 + w t + a t^2 / 2`` (Bryson, Control of Spacecraft and Aircraft, 1994, chapters 5 and 8; Wie, Space Vehicle
Dynamics and Control, 2008, section 7.6):

- nothing is asked while the coasting path stays inside the dead-band until the pulses of the window after next could
  act: the switching curve is the set of states whose path just reaches the edge by then;
- once it is crossed, the wanted rate leads back by the path whose apex touches the far edge,
  ``w = -sqrt(2 a (phi + band))``, so that the disturbance does the return and no pulse is ever needed against it: one
  impulse a cycle, the largest and rarest that the band allows;
- without a disturbance worth the name the wanted rate is a slow return, and far outside the band it grows with the
  error along a profile that half the authority can brake: linear (PD), then with constant deceleration, then the limit.

A target that moves by a plan brings its rate and the change of it through the window, and all this is relative to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import radians, sqrt
from typing import NamedTuple

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.disturbance import DisturbanceObserver
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.motion_plan import approach, limited
from firmware_py.gnc.target import Target
from hal.frames import Quaternion, Vec3, add, conjugate, dot, multiply, norm, rotation_vector, scale, subtract
from hal.profile.body import BodyConfig

__all__ = [
    "AUTHORITY_SHARE", "FAR_EDGE_SHARE", "FINEST_RATE_TOLERANCE", "MOVING_SHARE", "AttitudeLaw", "ControlGains",
    "WantedTurn",
]

ZERO: Vec3 = (0.0, 0.0, 0.0)
AUTHORITY_SHARE = 0.5
FAR_EDGE_SHARE = 0.8
"""The return's apex lies at this share of the far half of the band: room for errors of thrust and estimate."""
EDGE = 1.2
"""Within so many dead-bands a craft that is on its way back in is left to itself."""
NEAR_BANDS = 3.0
"""Within so many dead-bands the error counts as near: there it is integrated and the disturbance's paths are used."""
MOST_LEAN = 0.5
"""Bound of the integral, in dead-bands."""
DISTURBANCE_SHARE = 0.3
"""Greatest disturbance that is believed, as a share of the commanded torque limit: what is more is a fault."""
RATE_TOLERANCE_PER_BAND = 0.1
"""Tolerable rate error, in dead-bands a second."""
FINEST_RATE_TOLERANCE = radians(0.02)
FREE_RATE_TOLERANCE = radians(0.3)
RETURN_TOLERANCE = 0.25
"""Tolerable error of a return's rate as a share of it."""
MOVING_SHARE = 0.06
"""Tolerable error as a share of the wanted rate or speed."""


@dataclass(frozen=True, slots=True)
class ControlGains:
    """Gains of the attitude law.

    Attributes:
        natural_frequency_rad_s, damping: of the linear law near the target, torque ``K error - P rate`` with
            ``K = J w_n^2`` and ``P = 2 damping w_n J``. A window takes out at most the whole rate error, so from
            ``2 damping w_n window = 1`` on the rate loop is as fast as the window allows.
        integral_time_s: time in which the disturbance estimate follows and the integral of the attitude error acts.
        return_time_s: time constant of the drift back from the band's edge while there is no disturbance: slow, since
            each correction costs propellant.
    """

    natural_frequency_rad_s: float
    damping: float
    integral_time_s: float = 20.0
    return_time_s: float = 8.0

    @staticmethod
    def from_window(window_s: float) -> ControlGains:
        """The fastest rate loop of a pulse window, and an approach of about three windows."""
        damping = 0.9
        return ControlGains(1.0 / (2.0 * damping * window_s), damping)


class WantedTurn(NamedTuple):
    """What the coming window shall do about the attitude.

    ``rate`` is the body rate to have after it (rad/s; None: free), the planned ``change`` of it included; ``acts``
    whether that is worth pulses, ``tolerance`` the rate error that is not (rad/s); ``angle`` the attitude error (rad).
    """

    rate: Vec3 | None
    change: Vec3
    acts: bool
    tolerance: float
    angle: float | None


class AttitudeLaw:
    """Wanted rates and torques of one craft; on an air bearing only yaw.

    Args:
        body: mass, inertia, limits and window.
        allocator: for authority about each axis.
        gains: of the law.

    For each window: ``begin``, ``wanted``, ``torque_impulse`` if pulses are to be made, and ``flown``.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, gains: ControlGains) -> None:
        window = self._window = body.propulsion.window_ms * 1e-3
        self.gains = gains
        inertia = np.array(body.mass.inertia_kg_m2)
        self._inertia: tuple[float, ...] = tuple(inertia.ravel().tolist())
        self._inverse: tuple[float, ...] = tuple(np.linalg.inv(inertia).ravel().tolist())
        self._torque_max = body.limits.torque_max_n_m
        self._planar = body.environment == "air_bearing"
        torques = []
        for axis in ((5,) if self._planar else (3, 4, 5)):
            unit = np.eye(6)[axis]
            reach = min(allocator.largest_scale(unit), allocator.largest_scale(-unit), self._torque_max)
            torques.append(reach / inertia[axis - 3, axis - 3])
        self._turn_brake = AUTHORITY_SHARE * min(torques)
        self._closing_time = 2.0 * gains.damping / gains.natural_frequency_rad_s
        self._rate_share = min(1.0, 2.0 * gains.damping * gains.natural_frequency_rad_s * window)
        mass = body.mass.dry_kg + body.mass.propellant_kg
        self.observer = DisturbanceObserver(
            self._inertia, sqrt(float(np.trace(inertia)) / (3.0 * mass)), window,
            DISTURBANCE_SHARE * self._torque_max, gains.integral_time_s,
        )
        self._lean = ZERO
        self._asked: Vec3 | None = None
        self._owed = ZERO
        self._mode: tuple[object, ...] | None = None

    def reset(self) -> None:
        """Forget what was learnt from inputs that were no good."""
        self.observer.reset()
        self._lean = self._owed = ZERO
        self._asked = None

    def begin(self, now_ns: int, nav: NavState, target: Target) -> None:
        """A window begins: the disturbance is learnt from what the last one did."""
        self._follow_mode(target)
        self.observer.update(now_ns, nav.rate, nav.sigma_rate_rad_s)
        self._asked = None

    def flown(self, impulse: tuple[float, ...]) -> None:
        """Take the impulse (N s, N m s, body axes) that the window emits."""
        self.observer.flown(impulse)
        if self._asked is not None:
            self._owed = subtract(self._asked, (impulse[3], impulse[4], impulse[5]))

    def settle_for(self, torque: Vec3) -> None:
        """Only this part (N m s) of what ``torque_impulse`` found wanting can be made: the rest is neither owed nor a
        reason to fire for less."""
        self._asked = torque

    def share(self, torque: tuple[float, ...]) -> tuple[float, float]:
        """Change of rate (rad/s) by a torque impulse (N m s), and by all that ``torque_impulse`` found wanting before
        its limit."""
        x, y, z = torque
        asked = (x, y, z) if self._asked is None else self._asked
        return norm(self._acceleration((x, y, z))), norm(self._acceleration(asked))

    def disturbance_impulse(self) -> Vec3:
        """Torque impulse (N m s) that a window takes against the disturbance."""
        return self._seen(scale(self.observer.torque, -self._window))

    def wanted(self, nav: NavState, target: Target) -> WantedTurn:
        """What the window that begins shall do about attitude and rate."""
        change = ZERO if target.angular_acceleration is None else scale(target.angular_acceleration, self._window)
        wanted = self._free(nav, target) if target.attitude is None else self._kept(
            nav, target, target.attitude, change
        )
        if not wanted.acts:
            self._owed = ZERO
        return wanted

    def _free(self, nav: NavState, target: Target) -> WantedTurn:
        if target.rate is None:
            # Free attitude: a push should still not spin the craft up.
            return WantedTurn(None, ZERO, False, FREE_RATE_TOLERANCE, None)
        wanted = limited(target.rate, target.rate_limit_rad_s)
        off = norm(self._seen(subtract(wanted, nav.rate)))
        # Of a fast turn only what a window can take out counts: however fast, it has to be stopped.
        moved = MOVING_SHARE * min(off, self._turn_brake * self._window / AUTHORITY_SHARE)
        tolerance = max(FINEST_RATE_TOLERANCE, 0.5 * target.rate_deadband_rad_s + moved)
        return WantedTurn(wanted, ZERO, off > target.rate_deadband_rad_s, tolerance, None)

    def _kept(self, nav: NavState, target: Target, attitude: Quaternion, change: Vec3) -> WantedTurn:
        t, band = self._window, target.attitude_deadband_rad
        ahead = target.rate if target.rate is not None else ZERO
        error = self._seen(_error(nav.quaternion, attitude))
        angle = norm(error)
        drift = self._seen(subtract(nav.rate, ahead))
        pull = self._seen(self._acceleration(self.observer.torque))
        # The next pulses act 1.5 windows from now: the path until then decides.
        quiet = change == ZERO and (
            norm(_coast(error, drift, pull, 1.5 * t)) < band if angle < band
            # Just outside, on a path that leads back by itself.
            else angle < EDGE * band and norm(_coast(error, drift, pull, 0.25 * self.gains.return_time_s)) < band
        )
        size = norm(_coast(error, drift, pull, 0.5 * t))
        middle = _coast(self._leaning(error, angle, band), drift, pull, 0.5 * t)
        back = self._return_rate(middle, size, pull, band, target.rate_limit_rad_s)
        wanted = limited(add(add(ahead, change), back), target.rate_limit_rad_s)
        tolerance = max(FINEST_RATE_TOLERANCE, RATE_TOLERANCE_PER_BAND * band)
        if angle < band:
            # Outside the band an error must not become more tolerable by growing.
            tolerance = max(tolerance, RETURN_TOLERANCE * norm(back))
        return WantedTurn(wanted, change, not quiet, tolerance + MOVING_SHARE * (norm(back) + norm(change)), angle)

    def _return_rate(self, error: Vec3, size: float, pull: Vec3, band: float, most: float) -> Vec3:
        """Rate towards zero error: the profile, or along the disturbance the path whose apex is at the far edge.

        ``error`` is that with its integral, which hastens the slow return of the band but never beyond it; ``size`` is
        that of the error alone.
        """
        leaning = norm(error)
        if leaning < 1e-9:
            return ZERO
        size = max(size, min(leaning, band))
        pace = approach(size, band, self.gains.return_time_s, self._closing_time, self._turn_brake, most)
        back = scale(error, pace / leaning)
        strength = norm(pull)
        if strength < 1e-12 or size > NEAR_BANDS * band:
            return back
        along = scale(pull, 1.0 / strength)
        # How far the disturbance has still to carry the craft from the far edge to where it is.
        way = FAR_EDGE_SHARE * band - dot(error, along)
        apex = -sqrt(2.0 * strength * way) if way > 0.0 else 0.0
        present = dot(back, along)
        return add(back, scale(along, min(apex, present) - present))

    def _leaning(self, error: Vec3, angle: float, band: float) -> Vec3:
        """The error with its slow integral; integrated only near the target, and bounded."""
        if angle > NEAR_BANDS * band:
            self._lean = ZERO
            return error
        self._lean = limited(
            add(self._lean, scale(error, self._window / self.gains.integral_time_s)), MOST_LEAN * band
        )
        return add(error, self._lean)

    def torque_impulse(self, nav: NavState, wanted: WantedTurn) -> Vec3:
        """Momentum to the wanted rate at the middle of the window, what acts by itself until then included.

        Of a soft rate loop it is a share of that, and what too small a share did not get from the windows before: it
        adds up until it is worth a pulse, to the whole rate error at most. A planned change never waits.
        """
        rate = wanted.rate
        if rate is None:
            return ZERO
        whole = self._momentum(nav, rate, 0.5 * self._window)
        if self._rate_share < 1.0:
            share, rest = self._rate_share, 1.0 - self._rate_share
            soft = add(scale(rate, share), scale(add(nav.rate, wanted.change), rest))
            # With a soft rate loop the rest of the disturbance is fed forward too.
            part = self._momentum(nav, soft, (1.0 - 0.5 * share) * self._window)
            x, y, z = (_between(p + o, p, w) for p, o, w in zip(part, self._owed, whole, strict=True))
            whole = (x, y, z)
        self._asked = whole
        asked, most = max(abs(part) for part in whole), self._torque_max * self._window
        return whole if asked <= most else scale(whole, most / asked)

    def _momentum(self, nav: NavState, rate: Vec3, ahead: float) -> Vec3:
        """Angular momentum to a rate, less the gyroscopic torque of a window and the disturbance of ``ahead`` s."""
        t = self._window
        wx, wy, wz = nav.rate
        jxx, jxy, jxz, _, jyy, jyz, _, _, jzz = self._inertia
        dx, dy, dz = rate[0] - wx, rate[1] - wy, rate[2] - wz
        hx, hy, hz = jxx * wx + jxy * wy + jxz * wz, jxy * wx + jyy * wy + jyz * wz, jxz * wx + jyz * wy + jzz * wz
        ex, ey, ez = self.observer.torque
        return self._seen((
            jxx * dx + jxy * dy + jxz * dz + (wy * hz - wz * hy) * t - ex * ahead,
            jxy * dx + jyy * dy + jyz * dz + (wz * hx - wx * hz) * t - ey * ahead,
            jxz * dx + jyz * dy + jzz * dz + (wx * hy - wy * hx) * t - ez * ahead,
        ))

    def _follow_mode(self, target: Target) -> None:
        """Integral and estimate start anew when another quantity is controlled or another attitude is wanted."""
        mode = (target.attitude, target.attitude is None and target.rate is not None)
        if mode == self._mode:
            return
        if self._mode is None or self._mode[1] is not mode[1]:
            self.observer.reopen()
        self._mode = mode
        self._lean = ZERO

    def _acceleration(self, torque: Vec3) -> Vec3:
        x, y, z = torque
        a, b, c, d, e, f, g, h, i = self._inverse
        return (a * x + b * y + c * z, d * x + e * y + f * z, g * x + h * y + i * z)

    def _seen(self, v: Vec3) -> Vec3:
        """Only the yaw part on a table."""
        return (0.0, 0.0, v[2]) if self._planar else v


def _error(actual: Quaternion, wanted: Quaternion) -> Vec3:
    """Rotation vector in body axes that leads from the actual to the wanted attitude."""
    return rotation_vector(multiply(conjugate(actual), wanted))


def _coast(error: Vec3, drift: Vec3, pull: Vec3, t: float) -> Vec3:
    """Error after coasting for ``t`` seconds at a rate error ``drift`` under an acceleration ``pull``."""
    s = 0.5 * t * t
    return (
        error[0] - t * drift[0] - s * pull[0], error[1] - t * drift[1] - s * pull[1],
        error[2] - t * drift[2] - s * pull[2],
    )


def _between(value: float, part: float, whole: float) -> float:
    """``value``, but not beyond nothing, a part and the whole."""
    return min(max(value, min(0.0, part, whole)), max(0.0, part, whole))
