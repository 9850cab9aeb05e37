"""Guidance laws: each turns the navigation state into a target and says by name what it is doing and when it is done.

All share one interface, ``update(now_ns, nav) -> Target``, called once a pulse window. A law has no effect of its
own: control follows the target, the mode machine reads ``phase`` and ``done``. An error counts as settled after two
seconds under its dead-band (CANON section 9).
"""

from __future__ import annotations

from collections.abc import Callable
from math import pi, radians

from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.manoeuvres import Brake, Hold, Slew, Translate
from firmware_py.gnc.target import (
    BRAKE_SHARE,
    DETUMBLED_RAD_S,
    REST_SPEED_M_S,
    SETTLE_NS,
    GuidanceLaw,
    GuidanceLimits,
    Phase,
    Settled,
    Target,
)
from hal.frames import (
    Quaternion,
    Vec3,
    angle_between,
    multiply,
    norm,
    quaternion_between,
    rotate_inverse,
    unit,
)

__all__ = [
    "BRAKE_SHARE",
    "LAWS",
    "REST_SPEED_M_S",
    "SETTLE_NS",
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
    "Translate",
]

ZERO: Vec3 = (0.0, 0.0, 0.0)
SEARCH_RATE_RAD_S = radians(0.5)
SUN_STOP_RAD = radians(5.0)
"""Turning to the Sun stops within 5 degrees (CANON section 10.1: cos 5 deg costs 0.4 %)."""
ECONOMY_INTERVAL_S = 5.0
"""Least time between pulses while energy is short (CANON section 10.1)."""


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
        self._settled = Settled()

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when every rate is under 0.2 deg/s for two seconds."""
        done = self._settled.update(now_ns, norm(nav.rate) < 2.0 * DETUMBLED_RAD_S)
        return Target(Phase.DETUMBLE, done, rate=ZERO, rate_limit_rad_s=self._limits.rate_rad_s)


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
        self._settled = Settled()
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


LAWS: dict[str, Callable[..., GuidanceLaw]] = {
    "drift": Drift, "detumble": Detumble, "hold": Hold, "slew": Slew, "sun_track": SunTrack, "translate": Translate,
    "brake": Brake,
}
"""Laws by the name that commands and modes use; each takes GuidanceLimits first, then its own parameters."""
