"""Guidance laws: each turns the navigation state into a target and says by name what it is doing and when it is done.

All share one interface, ``update(now_ns, nav) -> Target``, called once a pulse window. A law has no effect of its
own: control follows the target, the mode machine reads ``phase`` and ``done``. An error counts as settled after two
seconds under its dead-band (CANON section 9).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, unique
from math import pi, radians, sqrt
from typing import Protocol

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from hal.frames import (
    Quaternion,
    Vec3,
    add,
    angle_between,
    dot,
    multiply,
    norm,
    quaternion_between,
    rotate_inverse,
    rotation_angle,
    scale,
    subtract,
    unit,
)
from hal.profile.body import BodyConfig

__all__ = [
    "LAWS",
    "Brake",
    "Detumble",
    "Drift",
    "GuidanceLaw",
    "GuidanceLimits",
    "Hold",
    "Phase",
    "Slew",
    "SunTrack",
    "Target",
    "Translate", ]

ZERO: Vec3 = (0.0, 0.0, 0.0)
SETTLE_NS = 2_000_000_000
REST_SPEED_M_S = 0.05
"""Speed at which a brake has ended (CANON sections 9 and 10.3)."""
DETUMBLED_RAD_S = radians(0.1)
BRAKE_SHARE = 0.85
"""Share of the cheapest deceleration that a planned stop uses: room for a nozzle less and for thrust errors."""
SEARCH_RATE_RAD_S = radians(0.5)
SUN_STOP_RAD = radians(5.0)
"""Turning to the Sun stops within 5 degrees (CANON section 10.1: cos 5 deg costs 0.4 %)."""
ECONOMY_INTERVAL_S = 5.0
"""Least time between pulses while energy is short (CANON section 10.1)."""


@unique
class Phase(Enum):
    """What a law is doing; burn, coast and brake are modes of the same name."""

    DRIFT = "drift"
    DETUMBLE = "detumble"
    SLEW = "slew"
    HOLD = "hold"
    SEARCH_X = "search_x"
    SEARCH_Z = "search_z"
    POINT = "point"
    BURN = "burn"
    COAST = "coast"
    BRAKE = "brake"


@dataclass(frozen=True, slots=True)
class Target:
    """What control shall reach. What is None is left free.

    ``attitude`` is body to inertial; ``rate`` the body rate to have there (rad/s, body) or, without attitude, to hold.
    ``position`` (m) and ``velocity`` (m/s) are inertial likewise. Dead-bands are half widths. ``pulse_interval_s`` is
    the least time between pulses.
    """

    phase: Phase
    done: bool
    attitude: Quaternion | None = None
    rate: Vec3 | None = None
    position: Vec3 | None = None
    velocity: Vec3 | None = None
    attitude_deadband_rad: float = radians(0.5)
    rate_deadband_rad_s: float = DETUMBLED_RAD_S
    position_deadband_m: float = 0.25
    velocity_deadband_m_s: float = 0.01
    rate_limit_rad_s: float = radians(5.0)
    speed_limit_m_s: float = 1.0
    pulse_interval_s: float = 0.0
    full_push: bool = False
    """Push with all there is, at whatever price in propellant."""


class GuidanceLaw(Protocol):
    """One law."""

    def update(self, now_ns: int, nav: NavState) -> Target:
        """The target for the pulse window that starts now."""


@dataclass(frozen=True, slots=True)
class GuidanceLimits:
    """What laws may ask of a craft: rates (rad/s), speed (m/s), acceleration (m/s2), window (s).

    ``brake_m_s2`` is reached in every direction with all the push there is, ``cruise_m_s2`` at the least propellant.
    """

    rate_rad_s: float
    slew_rate_rad_s: float
    docking_rate_rad_s: float
    speed_m_s: float
    brake_m_s2: float
    cruise_m_s2: float
    window_s: float
    attitude_deadband_rad: float = radians(0.5)
    position_deadband_m: float = 0.25

    @staticmethod
    def from_body(body: BodyConfig, allocator: Allocator) -> GuidanceLimits:
        """Limits of a body; its accelerations are those in the weakest torque-free direction of push."""
        weakest = cheapest = np.inf
        planar = body.environment == "air_bearing"
        # 9 x 16 directions; the weakest of a box-like layout lies on an axis, which the grid contains.
        for elevation in np.linspace(-pi / 2, pi / 2, 9) if not planar else (0.0,):
            for azimuth in np.linspace(0.0, 2.0 * pi, 16, endpoint=False):
                c = np.cos(elevation)
                push = (c * np.cos(azimuth), c * np.sin(azimuth), np.sin(elevation), 0.0, 0.0, 0.0)
                weakest = min(weakest, allocator.largest_scale(push))
                cheapest = min(cheapest, 1.0 / allocator.peak(push))
        limits = body.limits
        mass = body.mass.dry_kg + body.mass.propellant_kg
        return GuidanceLimits(
            radians(limits.rate_deg_s), radians(limits.slew_rate_deg_s), radians(limits.docking_rate_deg_s),
            limits.speed_m_s, float(weakest) / mass, float(cheapest) / mass, body.propulsion.window_ms * 1e-3,
        )


class _Settled:
    """True once a condition has held for two seconds without a break."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: int | None = None

    def update(self, now_ns: int, inside: bool) -> bool:
        if not inside:
            self._since = None
            return False
        if self._since is None:
            self._since = now_ns
        return now_ns - self._since >= SETTLE_NS


class Drift:
    """No control at all: valves stay shut."""

    def __init__(self, limits: GuidanceLimits) -> None:
        self._limits = limits

    def update(self, now_ns: int, nav: NavState) -> Target:  # noqa: ARG002
        """See GuidanceLaw."""
        return Target(Phase.DRIFT, True)


class Detumble:
    """Nulls the body rate; attitude and position are free."""

    def __init__(self, limits: GuidanceLimits) -> None:
        self._limits = limits
        self._settled = _Settled()

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when every rate is under 0.2 deg/s for two seconds."""
        done = self._settled.update(now_ns, norm(nav.rate) < 2.0 * DETUMBLED_RAD_S)
        return Target(Phase.DETUMBLE, done, rate=ZERO, rate_limit_rad_s=self._limits.rate_rad_s)


class Hold:
    """Keeps an attitude and a position: given ones, or those at the first update. Until the attitude is known it only
    nulls rates, so that a frame that may yet turn is never captured."""

    def __init__(
        self, limits: GuidanceLimits, attitude: Quaternion | None = None, position: Vec3 | None = None, *,
        keep_position: bool = True,
    ) -> None:
        self._limits = limits
        self._attitude = attitude
        self._position = position
        self._keep_position = keep_position
        self._settled = _Settled()

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done while attitude and position are within their dead-bands."""
        limits = self._limits
        if not nav.attitude_known:
            return Target(Phase.HOLD, False, rate=ZERO, rate_limit_rad_s=limits.slew_rate_rad_s)
        if self._attitude is None:
            self._attitude = nav.quaternion
        if self._position is None and self._keep_position:
            self._position = nav.position
        inside = rotation_angle(nav.quaternion, self._attitude) < 2.0 * limits.attitude_deadband_rad
        if self._position is not None:
            inside = inside and norm(subtract(self._position, nav.position)) < 2.0 * limits.position_deadband_m
        return Target(
            Phase.HOLD, self._settled.update(now_ns, inside), attitude=self._attitude, position=self._position,
            attitude_deadband_rad=limits.attitude_deadband_rad, position_deadband_m=limits.position_deadband_m,
            rate_limit_rad_s=limits.slew_rate_rad_s, speed_limit_m_s=limits.speed_m_s,
        )


class Slew:
    """Turns about the eigen-axis to an attitude; the position is free unless it shall be kept."""

    def __init__(
        self, limits: GuidanceLimits, attitude: Quaternion, *, rate_limit_rad_s: float | None = None,
        keep_position: bool = False,
    ) -> None:
        self._limits = limits
        self._attitude = attitude
        self._rate = limits.slew_rate_rad_s if rate_limit_rad_s is None else min(rate_limit_rad_s, limits.rate_rad_s)
        self._keep_position = keep_position
        self._position: Vec3 | None = None
        self._settled = _Settled()

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when the attitude error is under twice the dead-band for two seconds. Until the
        attitude is known only rates are nulled."""
        if not nav.attitude_known:
            return Target(Phase.SLEW, False, rate=ZERO, rate_limit_rad_s=self._rate)
        if self._keep_position and self._position is None:
            self._position = nav.position
        error = rotation_angle(nav.quaternion, self._attitude)
        band = self._limits.attitude_deadband_rad
        done = self._settled.update(now_ns, error < 2.0 * band)
        return Target(
            Phase.HOLD if done else Phase.SLEW, done, attitude=self._attitude, position=self._position,
            attitude_deadband_rad=band, rate_limit_rad_s=self._rate, speed_limit_m_s=self._limits.speed_m_s,
        )


class SunTrack:
    """Points a body axis (the cells' normal) at the Sun; searches if the Sun is not seen (CANON section 10.1).

    The measured Sun vector is enough, and goes before ``sun_inertial``, which serves while the attitude is known. The
    turn about the Sun line is free. With ``economy`` set, pulses are at least five seconds apart.
    """

    def __init__(self, limits: GuidanceLimits, axis: Vec3, sun_inertial: Vec3 | None = None) -> None:
        self._limits = limits
        self._axis = unit(axis)
        self.sun_inertial = sun_inertial
        """Direction to the Sun, inertial axes, from the ephemeris; None if not to be relied on."""
        self.economy = False
        self._settled = _Settled()
        self._attitude: Quaternion | None = None
        self._known = False
        self._searched = 0.0
        self._last_ns: int | None = None

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when the axis is within 5 degrees of the Sun for two seconds."""
        interval = ECONOMY_INTERVAL_S if self.economy else 0.0
        elapsed = 0.0 if self._last_ns is None else (now_ns - self._last_ns) * 1e-9
        self._last_ns = now_ns
        sun = nav.sun_body
        if sun is None and self.sun_inertial is not None and nav.attitude_known:
            sun = rotate_inverse(nav.quaternion, self.sun_inertial)
        if sun is None:
            self._attitude = None
            self._settled.update(now_ns, False)
            return self._search(elapsed, interval)
        self._searched = 0.0
        error = angle_between(self._axis, sun)
        done = self._settled.update(now_ns, error < SUN_STOP_RAD)
        reframed = nav.attitude_known is not self._known
        self._known = nav.attitude_known
        if self._attitude is None or reframed or error > 0.8 * SUN_STOP_RAD or not done:
            # The shortest turn that brings the axis onto the Sun, in whatever frame the attitude is kept.
            self._attitude = multiply(nav.quaternion, quaternion_between(self._axis, sun))
        return Target(
            Phase.POINT, done, attitude=self._attitude, attitude_deadband_rad=0.3 * SUN_STOP_RAD,
            rate_limit_rad_s=self._limits.slew_rate_rad_s, pulse_interval_s=interval,
        )

    def _search(self, elapsed_s: float, interval_s: float) -> Target:
        self._searched += SEARCH_RATE_RAD_S * elapsed_s
        about_x = self._searched % (4.0 * pi) < 2.0 * pi
        rate = (SEARCH_RATE_RAD_S, 0.0, 0.0) if about_x else (0.0, 0.0, SEARCH_RATE_RAD_S)
        return Target(
            Phase.SEARCH_X if about_x else Phase.SEARCH_Z, False, rate=rate,
            rate_limit_rad_s=self._limits.slew_rate_rad_s, pulse_interval_s=interval_s, )


class Translate:
    """Goes a vector from where it starts (or to a point), by burn, coast and brake, and then holds there.

    Args:
        limits: of the craft.
        displacement: m, inertial axes, from the position at the first update.
        destination: m, inertial axes, in place of a displacement.
        speed_m_s: cruise speed, at most the craft's cap.
        attitude: kept on the way; by default that at the first update.
    """

    LATERAL_TIME_S = 8.0
    """Time in which an error across the line is taken out."""

    def __init__(
        self, limits: GuidanceLimits, displacement: Vec3 | None = None, *, destination: Vec3 | None = None,
        speed_m_s: float | None = None, attitude: Quaternion | None = None,
    ) -> None:
        if (displacement is None) == (destination is None):
            raise ValueError("give a displacement or a destination, one of them")
        self._limits = limits
        self._displacement = displacement
        self._destination = destination
        self._speed = limits.speed_m_s if speed_m_s is None else min(speed_m_s, limits.speed_m_s)
        self._attitude = attitude
        self._phase = Phase.BURN
        self._along: Vec3 = (1.0, 0.0, 0.0)
        self._cruise = 0.0
        self._hold: Hold | None = None
        self._started = False

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when the hold at the end has settled."""
        if not self._started:
            if not nav.attitude_known:
                # A vector in inertial axes means nothing yet.
                return Target(Phase.HOLD, False, rate=ZERO, rate_limit_rad_s=self._limits.slew_rate_rad_s)
            self._start(nav)
        if self._hold is not None:
            return self._hold.update(now_ns, nav)
        assert self._destination is not None
        limits = self._limits
        left = subtract(self._destination, nav.position)
        ahead = dot(left, self._along)
        across = subtract(left, scale(self._along, ahead))
        speed = dot(nav.velocity, self._along)
        slowing = BRAKE_SHARE * limits.cruise_m_s2
        # What is left when the coming window has passed at the present speed.
        later = ahead - speed * limits.window_s
        if self._phase is not Phase.BRAKE and later <= 0.5 * speed * speed / slowing:
            self._phase = Phase.BRAKE
        elif self._phase is Phase.BURN and speed >= self._cruise - 0.01:
            self._phase = Phase.COAST
        elif self._phase is Phase.COAST and speed < 0.8 * self._cruise:
            self._phase = Phase.BURN
        if self._phase is Phase.BRAKE:
            allowed = sqrt(2.0 * slowing * later) if later > 0.0 else 0.0
            if norm(nav.velocity) <= REST_SPEED_M_S:
                self._hold = Hold(limits, self._attitude, self._destination)
                return self._hold.update(now_ns, nav)
            # Below the speed of rest the hold takes over, so there is no point in creeping towards it.
            velocity = scale(self._along, min(speed, allowed)) if allowed > REST_SPEED_M_S else ZERO
            band = 0.01
        else:
            drift = scale(across, 1.0 / self.LATERAL_TIME_S)
            size = norm(drift)
            if size > 0.2 * self._cruise:
                drift = scale(drift, 0.2 * self._cruise / size)
            velocity = add(scale(self._along, self._cruise), drift)
            band = 0.01 if self._phase is Phase.BURN else max(0.02, 0.05 * self._cruise)
        return Target(
            self._phase, False, attitude=self._attitude, velocity=velocity, velocity_deadband_m_s=band,
            attitude_deadband_rad=limits.attitude_deadband_rad, rate_limit_rad_s=limits.slew_rate_rad_s,
            speed_limit_m_s=limits.speed_m_s,
        )

    def _start(self, nav: NavState) -> None:
        self._started = True
        if self._destination is None:
            assert self._displacement is not None
            self._destination = add(nav.position, self._displacement)
        if self._attitude is None:
            self._attitude = nav.quaternion
        left = subtract(self._destination, nav.position)
        distance = norm(left)
        if distance <= self._limits.position_deadband_m:
            self._hold = Hold(self._limits, self._attitude, self._destination)
            return
        self._along = scale(left, 1.0 / distance)
        # Never so fast that there is no coast: a third of the way at most is spent on each of burn and brake.
        self._cruise = min(self._speed, sqrt(2.0 * BRAKE_SHARE * self._limits.cruise_m_s2 * distance / 3.0))


class Brake:
    """Nulls the velocity with all the push there is; then holds where it came to rest.

    With the attitude unknown the rates are nulled first (CANON section 10.3): a push in a turning frame would go
    astray.
    """

    def __init__(self, limits: GuidanceLimits) -> None:
        self._limits = limits
        self._settled = _Settled()
        self._attitude: Quaternion | None = None
        self._known = False
        self._at_rest = False

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done at 0.05 m/s and below for two seconds."""
        limits = self._limits
        calm = norm(nav.rate) < 5.0 * DETUMBLED_RAD_S
        if not nav.attitude_known and not calm and not self._at_rest:
            return Target(Phase.DETUMBLE, False, rate=ZERO, rate_limit_rad_s=limits.rate_rad_s)
        resting = norm(nav.velocity) <= REST_SPEED_M_S
        self._at_rest = resting or (self._at_rest and norm(nav.velocity) < 2.0 * REST_SPEED_M_S)
        done = self._settled.update(now_ns, resting)
        if nav.attitude_known is not self._known:
            # The first fix turned the frame: what was captured before is no attitude any more.
            self._known = nav.attitude_known
            self._attitude = None
        if self._attitude is None and calm:
            self._attitude = nav.quaternion
        target = Target(
            Phase.HOLD if done else Phase.BRAKE, done, attitude=self._attitude, velocity=ZERO,
            velocity_deadband_m_s=0.01 if not self._at_rest else REST_SPEED_M_S,
            attitude_deadband_rad=2.0 * limits.attitude_deadband_rad, rate_limit_rad_s=limits.rate_rad_s,
            speed_limit_m_s=1e3, full_push=True,
        )
        return target if self._attitude is not None else replace(target, rate=ZERO)


LAWS: dict[str, Callable[..., GuidanceLaw]] = {
    "drift": Drift, "detumble": Detumble, "hold": Hold, "slew": Slew, "sun_track": SunTrack, "translate": Translate,
    "brake": Brake,
}
"""Laws by the name that commands and modes use; each takes GuidanceLimits first, then its own parameters."""
