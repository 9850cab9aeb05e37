"""Planned manoeuvres: turn, translation and stop as plans that the nozzles can follow, and the hold that ends them."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, isfinite, sqrt

from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.motion_plan import Trapezoid, slowed, stop_distance, trapezoid
from firmware_py.gnc.target import (
    BRAKE_SHARE,
    DETUMBLED_RAD_S,
    REST_SPEED_M_S,
    GuidanceLimits,
    Phase,
    Settled,
    Target,
)
from firmware_py.gnc.thrust_modes import ThrustMode
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    add,
    conjugate,
    dot,
    multiply,
    norm,
    quaternion_from_rotation_vector,
    rotation_angle,
    rotation_vector,
    scale,
    subtract,
)

__all__ = ["Brake", "Hold", "Slew", "Translate"]

ZERO: Vec3 = (0.0, 0.0, 0.0)
REST_SHARE = 0.5
"""Share of the speed of rest to which a stop brakes."""


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
        self._settled = Settled()

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done once attitude and position have been within their dead-bands for two seconds, and while
        they stay within twice as much."""
        limits = self._limits
        if not nav.attitude_known:
            return Target(Phase.HOLD, False, rate=ZERO, rate_limit_rad_s=limits.slew_rate_rad_s)
        if self._attitude is None:
            self._attitude = nav.quaternion
        if self._position is None and self._keep_position:
            self._position = nav.position
        off = rotation_angle(nav.quaternion, self._attitude) / limits.attitude_deadband_rad
        if self._position is not None:
            off = max(off, norm(subtract(self._position, nav.position)) / limits.position_deadband_m)
        return Target(
            Phase.HOLD, self._settled.update(now_ns, off < 1.0, off < 2.0), attitude=self._attitude,
            position=self._position, attitude_deadband_rad=limits.attitude_deadband_rad,
            position_deadband_m=limits.position_deadband_m, rate_limit_rad_s=limits.slew_rate_rad_s,
            speed_limit_m_s=limits.speed_m_s,
        )


class Slew:
    """Turns about the eigen-axis to an attitude by a planned trapezoid of the rate; the position is free unless it
    shall be kept.

    The plan starts with the present attitude and rate, gives attitude, rate and acceleration for each window, and is
    made anew when the craft is far from it. Where no plan can be made, control's own approach to the attitude serves.
    """

    PLAN_SHARE = 0.97
    """Share of the rate limit that is planned with: room for the errors of thrust."""
    FAR_BANDS = 2.0
    FAR_S = 0.5
    """The craft is far from its plan beyond so many dead-bands and so much time at the rate limit."""

    def __init__(
        self, limits: GuidanceLimits, attitude: Quaternion, *, rate_limit_rad_s: float | None = None,
        keep_position: bool = False,
    ) -> None:
        self._limits = limits
        self._attitude = attitude
        self._rate = limits.slew_rate_rad_s if rate_limit_rad_s is None else min(rate_limit_rad_s, limits.rate_rad_s)
        self._keep_position = keep_position
        self._position: Vec3 | None = None
        self._settled = Settled()
        self._far = self.FAR_BANDS * limits.attitude_deadband_rad + self.FAR_S * self._rate
        self._plan: Trapezoid | None = None
        self._start_ns = 0
        self._from = IDENTITY
        self._axis: Vec3 = (1.0, 0.0, 0.0)
        self.plans = 0
        """How often a plan was made."""

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when the attitude error has been within the dead-band for two seconds, and while it
        stays within twice as much. Until the attitude is known only rates are nulled."""
        limits = self._limits
        if not nav.attitude_known:
            self._plan = None
            return Target(Phase.SLEW, False, rate=ZERO, rate_limit_rad_s=self._rate)
        if self._keep_position and self._position is None:
            self._position = nav.position
        off = rotation_angle(nav.quaternion, self._attitude) / limits.attitude_deadband_rad
        done = self._settled.update(now_ns, off < 1.0, off < 2.0)
        target = Target(
            Phase.HOLD if done else Phase.SLEW, done, attitude=self._attitude, position=self._position,
            attitude_deadband_rad=limits.attitude_deadband_rad, rate_limit_rad_s=self._rate,
            speed_limit_m_s=limits.speed_m_s, position_deadband_m=limits.position_deadband_m,
        )
        t = (now_ns - self._start_ns) * 1e-9
        if self._plan is not None:
            wanted = self._attitude if t >= self._plan.length_s else self._planned(self._plan, t)
            if rotation_angle(nav.quaternion, wanted) > self._far:
                self._plan = None
        if self._plan is None and rotation_angle(nav.quaternion, self._attitude) > self._far:
            self._make_plan(now_ns, nav)
            t = 0.0
        plan = self._plan
        if plan is None or t >= plan.length_s:
            return target
        rate, window = plan.at(t)[1], limits.window_s
        change = (plan.at(t + window)[1] - rate) / window
        return replace(
            target, attitude=self._planned(plan, t), rate=scale(self._axis, rate),
            angular_acceleration=scale(self._axis, change) if change else None,
        )

    def _planned(self, plan: Trapezoid, t: float) -> Quaternion:
        return multiply(self._from, quaternion_from_rotation_vector(scale(self._axis, plan.at(t)[0])))

    def _make_plan(self, now_ns: int, nav: NavState) -> None:
        turn = self._limits.turn
        way = turn.seen(rotation_vector(multiply(conjugate(nav.quaternion), self._attitude)))
        angle = norm(way)
        if angle < 1e-6:
            return
        self._axis = scale(way, 1.0 / angle)
        acceleration, most = turn.about(self._axis, self.PLAN_SHARE * self._rate)
        plan = trapezoid(angle, dot(nav.rate, self._axis), most, acceleration, self._limits.window_s)
        self._plan, self._start_ns, self._from = plan, now_ns, nav.quaternion
        self.plans += plan is not None


class Translate:
    """Goes a vector from where it starts (or to a point), by burn, coast and brake, and then holds there.

    Burn and brake are ramps of whole windows, each a third of the way at most. Beside the line the craft is held within
    the position's dead-band.

    Args:
        limits: of the craft.
        displacement: m, inertial axes, from the position at the first update.
        destination: m, inertial axes, in place of a displacement.
        speed_m_s: cruise speed, at most the craft's cap.
        attitude: kept on the way; by default that at the first update.
    """

    SLOW = 0.8
    """Share of the cruise speed under which a coast is a burn again."""

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
        self._gain = 0.0
        """Speed gained in a window of the burn."""
        self._hold: Hold | None = None
        self._started = False

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when the hold at the end has settled."""
        limits = self._limits
        if not self._started:
            if not (nav.attitude_known and isfinite(sum(nav.position))):
                # A vector in inertial axes means nothing yet.
                return Target(Phase.HOLD, False, rate=ZERO, rate_limit_rad_s=limits.slew_rate_rad_s)
            self._start(nav)
        assert self._destination is not None
        left = dot(subtract(self._destination, nav.position), self._along)
        speed = dot(nav.velocity, self._along)
        if self._hold is None:
            self._next_phase(left, speed)
            if self._phase is Phase.BRAKE and speed <= REST_SPEED_M_S:
                self._hold = Hold(limits, self._attitude, self._destination)
        if self._hold is not None:
            return self._hold.update(now_ns, nav)
        change = 0.0
        if self._phase is Phase.BURN:
            change = min(self._cruise - speed, self._gain)
        elif self._phase is Phase.BRAKE:
            change = slowed(left, speed, BRAKE_SHARE * limits.cruise_m_s2, limits.window_s) - speed
        ahead = self._cruise if self._phase is Phase.COAST else speed
        return Target(
            self._phase, False, attitude=self._attitude, velocity=scale(self._along, ahead),
            acceleration=scale(self._along, change / limits.window_s) if change else None,
            # The place beside it on the line: along the line only the speed is controlled.
            position=subtract(self._destination, scale(self._along, left)),
            position_deadband_m=limits.position_deadband_m, attitude_deadband_rad=limits.attitude_deadband_rad,
            rate_limit_rad_s=limits.slew_rate_rad_s, speed_limit_m_s=limits.speed_m_s,
        )

    def _next_phase(self, left: float, speed: float) -> None:
        window = self._limits.window_s
        if self._phase is Phase.BRAKE:
            return
        # A brake that would come too late if it waited for one more window begins now.
        if left - speed * window < stop_distance(max(speed, 0.0), BRAKE_SHARE * self._limits.cruise_m_s2, window):
            self._phase = Phase.BRAKE
        elif self._phase is Phase.BURN and speed >= self._cruise - max(0.01, 0.1 * self._gain):
            self._phase = Phase.COAST
        elif self._phase is Phase.COAST and speed < self.SLOW * self._cruise:
            self._phase = Phase.BURN

    def _start(self, nav: NavState) -> None:
        self._started = True
        limits = self._limits
        if self._destination is None:
            assert self._displacement is not None
            self._destination = add(nav.position, self._displacement)
        if self._attitude is None:
            self._attitude = nav.quaternion
        left = subtract(self._destination, nav.position)
        distance = norm(left)
        if distance <= limits.position_deadband_m:
            self._hold = Hold(limits, self._attitude, self._destination)
            return
        self._along = scale(left, 1.0 / distance)
        step = BRAKE_SHARE * limits.cruise_m_s2 * limits.window_s
        # A third of the way each: n windows to a speed v, and v n / 2 windows of way.
        third = distance / (3.0 * limits.window_s)
        windows = ceil(sqrt(2.0 * third / step))
        self._cruise = min(self._speed, 2.0 * third / windows)
        self._gain = self._cruise / ceil(self._cruise / step)


class Brake:
    """Nulls the velocity with all the push that the attitude leaves; then holds where it came to rest.

    With the attitude unknown the rates are nulled first (CANON section 10.3): a push in a turning frame would go
    astray.
    """

    def __init__(self, limits: GuidanceLimits) -> None:
        self._limits = limits
        self._settled = Settled()
        self._attitude: Quaternion | None = None
        self._known = False
        self._at_rest = False

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done at 0.05 m/s and below for two seconds."""
        limits = self._limits
        calm = norm(nav.rate) < 5.0 * DETUMBLED_RAD_S
        if not nav.attitude_known and not calm and not self._at_rest:
            return Target(Phase.DETUMBLE, False, rate=ZERO, rate_limit_rad_s=limits.rate_rad_s)
        speed = norm(nav.velocity)
        # Braked to well below the speed of rest, so that noise does not begin it anew.
        self._at_rest = speed <= (REST_SPEED_M_S if self._at_rest else REST_SHARE * REST_SPEED_M_S)
        done = self._settled.update(now_ns, speed <= REST_SPEED_M_S, speed <= 2.0 * REST_SPEED_M_S)
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
            speed_limit_m_s=1e3, full_push=True, mode=ThrustMode.BRAKE,
        )
        return target if self._attitude is not None else replace(target, rate=ZERO)
