"""The evasion: one change of velocity, made with all the push there is and the attitude as it is, and then coasting.

It has an end whatever happens: the change is made, or three times the time that it should take and ten seconds are
over.
"""

from __future__ import annotations

from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.target import DETUMBLED_RAD_S, REST_SPEED_M_S, GuidanceLimits, Phase, Target
from firmware_py.gnc.thrust_modes import ThrustMode
from hal.frames import Quaternion, Vec3, add, dot, norm, subtract

__all__ = ["Evade"]

ZERO: Vec3 = (0.0, 0.0, 0.0)
MADE_M_S = 0.5 * REST_SPEED_M_S
"""What may be left of the change."""
SAME_WAY = 0.9
"""Cosine of the angle (26 deg) within which two changes lead the same way."""
TIME_FACTOR, TIME_MARGIN_NS = 3.0, 10_000_000_000


class Evade:
    """Adds ``delta_v`` (m/s, inertial axes) to the velocity at the first update; then the attitude is kept and the
    craft coasts. Other than a brake it is not begun anew: what disturbs the velocity later is let be.

    Where the attitude is lost on the way it ends, since a push would go astray.
    """

    def __init__(self, limits: GuidanceLimits, delta_v: Vec3) -> None:
        self._limits = limits
        self._delta_v = delta_v
        self._wanted: Vec3 | None = None
        self._attitude: Quaternion | None = None
        self._until_ns = 0
        self._over = False
        self._made = False

    def covers(self, velocity: Vec3, change: Vec3) -> bool:
        """Whether what is left to be pushed does what another change of a velocity would: it leads about that way, and
        as far along it."""
        if self._over:
            return False
        left = self._delta_v if self._wanted is None else subtract(self._wanted, velocity)
        along = dot(left, change)
        return along >= norm(change) * max(norm(change), SAME_WAY * norm(left))

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done once the change is made to 0.025 m/s; given up, it coasts without being done."""
        limits = self._limits
        if self._wanted is None:
            self._wanted = add(nav.velocity, self._delta_v)
            push_s = norm(self._delta_v) / limits.brake_m_s2
            self._until_ns = now_ns + round(TIME_FACTOR * push_s * 1e9) + TIME_MARGIN_NS
        calm = norm(nav.rate) < 5.0 * DETUMBLED_RAD_S
        if self._attitude is None and calm:
            self._attitude = nav.quaternion
        if not self._over:
            self._made = norm(subtract(self._wanted, nav.velocity)) <= MADE_M_S
            self._over = self._made or not nav.attitude_known or now_ns >= self._until_ns
        held = ZERO if self._attitude is None else None
        if self._over:
            # At rest there is nothing to coast with.
            phase = Phase.COAST if norm(nav.velocity) > REST_SPEED_M_S else Phase.HOLD
            return Target(
                phase, self._made, attitude=self._attitude, rate=held, rate_limit_rad_s=limits.slew_rate_rad_s,
                attitude_deadband_rad=limits.attitude_deadband_rad,
            )
        return Target(
            Phase.BRAKE, False, attitude=self._attitude, rate=held, velocity=self._wanted,
            attitude_deadband_rad=2.0 * limits.attitude_deadband_rad, rate_limit_rad_s=limits.rate_rad_s,
            speed_limit_m_s=1e3, full_push=True, mode=ThrustMode.BRAKE,
        )
