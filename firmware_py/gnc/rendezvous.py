"""Rendezvous hold: the craft keeps a place and, if wanted, an attitude relative to a target, never closer than allowed.

The way there goes round a keep-out sphere, along tangents, no faster than what can be braked and than a tenth of the
distance left a second: an approach that goes blind has then not reached its stand-off when it starts to brake. Without
a fresh relative state the craft coasts; without one for longer it breaks off, matches the target's last velocity and
backs away. It does not resume by itself.
"""

from __future__ import annotations

from math import acos, asin, cos, inf, isfinite, radians, sin, sqrt

from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.guidance import REST_SPEED_M_S, SETTLE_NS, GuidanceLimits, Phase, Target
from firmware_py.gnc.relative_navigation import RelativeState
from hal.frames import (
    Quaternion,
    Vec3,
    add,
    angle_between,
    cross,
    dot,
    multiply,
    norm,
    quaternion_between,
    rotate,
    rotate_inverse,
    rotation_angle,
    scale,
    subtract,
    unit,
)

__all__ = ["Rendezvous", "way_round"]

ZERO: Vec3 = (0.0, 0.0, 0.0)
ENGAGED_M = 20.0
"""Range within which docking limits hold (CANON section 9)."""
ENGAGED_M_S = 0.9 * 0.5
"""Nine tenths of the relative speed allowed there (CANON section 9): the rest is the controller's dead-band."""
FRESH_ENGAGED_NS = 2_000_000_000
FRESH_NS = 5_000_000_000
"""Oldest measurement to act on, docking and in general (CANON section 7)."""
COAST_NS = 4_000_000_000
"""Time without a fresh state before the approach is broken off: with the 2 s of a docking frame 6 s, in which an
approach at APPROACH_RATE covers at most 0.6 of what is left."""
APPROACH_RATE = 0.1
"""Speed per metre left, 1/s: 0.10 m/s at 1 m, the greatest closing speed of CANON section 9."""
BACK_OFF_M_S = 0.10
BACK_OFF_MARGIN_M = 2.0
LEAST_AWAY_M = 1e-6
"""Distance from the target below which no direction leads away from it."""
BRAKE_SHARE = 0.4
"""Share of the cheapest acceleration that the profile and the arc round the sphere rely on."""
UNLIMITED_M_S = 1e3
"""Speed limit of a target whose velocity includes that of what it follows."""
NEAR_BANDS = 4.0
"""Position dead-bands within which the place itself is held; beyond, a velocity towards it."""
LINE_RATE_SHARE = 0.7
"""Share of the rate limit that following the target with an axis may take."""
STILL_LINE_RAD_S = radians(0.2)
"""Rate of the direction to the target below which its attitude is kept and followed in steps."""
LEAST_LINE_M = 0.3
LINE_SIGMAS = 5.0
"""Distance to the target, in sigmas of it, under which its direction is not followed any more."""
LEAST_SPEED_BAND_M_S = 0.02
MOST_SPEED_BAND_M_S = 0.04
SPEED_BAND_SHARE = 0.1
"""Dead-band of the speed on the way, as a share of it; wider than 4 cm/s it would be cheaper never to start."""


class Rendezvous:
    """Goes to and keeps a place relative to a target.

    Args:
        limits: of the craft.
        offset_m: from the target's reference point to the craft's centre of mass, at the place to keep: inertial axes,
            or the target's own axes if ``target_attitude`` is given.
        keep_out_m: radius about the target's reference point that is never entered.
        speed_m_s: greatest speed relative to the target, at most the craft's cap.
        axis: body axis to keep on the target (that of a docking port); the turn about it is only kept still.
        attitude: to keep, in place of an axis: body to inertial, or body to target if ``target_attitude`` is given.
            With neither the attitude at the first update is kept.
        target_attitude: of the target, to inertial. It and ``target_rate`` may be set anew at any time.
        position_deadband_m, attitude_deadband_rad: half widths; by default those of the craft.

    Raises ValueError for an offset within two dead-bands of the keep-out sphere, for both an axis and an attitude, and
    for numbers that are not finite.
    """

    def __init__(
        self, limits: GuidanceLimits, offset_m: Vec3, *, keep_out_m: float = 0.0, speed_m_s: float | None = None,
        axis: Vec3 | None = None, attitude: Quaternion | None = None, target_attitude: Quaternion | None = None,
        position_deadband_m: float | None = None, attitude_deadband_rad: float | None = None,
    ) -> None:
        if not all(map(isfinite, (*offset_m, keep_out_m))) or keep_out_m < 0.0:
            raise ValueError("offset and keep-out radius must be finite, the radius not negative")
        if axis is not None and attitude is not None:
            raise ValueError("give an axis or an attitude, not both")
        self._limits = limits
        self._offset = offset_m
        self._keep_out = keep_out_m
        self._band = limits.position_deadband_m if position_deadband_m is None else position_deadband_m
        self._turn_band = limits.attitude_deadband_rad if attitude_deadband_rad is None else attitude_deadband_rad
        if keep_out_m > 0.0 and norm(offset_m) < keep_out_m + 2.0 * self._band:
            raise ValueError(f"offset of {norm(offset_m):.2f} m is within two dead-bands of {keep_out_m:.2f} m")
        self._speed = limits.speed_m_s if speed_m_s is None else min(speed_m_s, limits.speed_m_s)
        self._push = BRAKE_SHARE * limits.cruise_m_s2
        self._axis = None if axis is None else unit(axis)
        self._wanted = attitude
        self._kept: Quaternion | None = None
        self.target_attitude = target_attitude
        self.target_rate: Vec3 = ZERO
        """Rate of the target's frame, rad/s, inertial axes."""
        self.aborted = False
        """Whether the approach was broken off because the relative state was lost."""
        self.stale = 0
        """Windows without a state fresh enough to act on."""
        self._fresh_ns: int | None = None
        self._target_position: Vec3 | None = None
        self._target_velocity: Vec3 = ZERO
        self._inside_ns: int | None = None

    def update(self, now_ns: int, nav: NavState) -> Target:
        """See GuidanceLaw. Done when place and attitude are within twice their dead-bands for two seconds. Until the
        attitude is known only rates are nulled."""
        if self._fresh_ns is None or self._fresh_ns > now_ns:
            # At start, and on a clock that went back.
            self._fresh_ns, self._inside_ns = now_ns, None
        if not nav.attitude_known:
            return Target(Phase.RENDEZVOUS, False, rate=ZERO, rate_limit_rad_s=self._limits.docking_rate_rad_s)
        state = _fresh(nav)
        if state is not None:
            self._fresh_ns = now_ns
            self._target_position = add(nav.position, state.position)
            self._target_velocity = add(nav.velocity, state.velocity)
            if not self.aborted:
                return self._approach(now_ns, nav, state)
        else:
            self.stale += 1
        self._inside_ns = None
        self.aborted = self.aborted or now_ns - self._fresh_ns > COAST_NS
        if self.aborted:
            return self._break_off(now_ns, nav)
        return self._still(Phase.COAST)

    def _approach(self, now_ns: int, nav: NavState, state: RelativeState) -> Target:
        goal = self._offset if self.target_attitude is None else rotate(self.target_attitude, self._offset)
        place = scale(state.position, -1.0)
        error = subtract(goal, place)
        distance = norm(error)
        attitude, rate = self._pointing(nav, state, goal)
        ahead = add(self._target_velocity, cross(self.target_rate, goal))
        turned = rotation_angle(nav.quaternion, attitude) < 2.0 * self._turn_band
        inside = distance < 2.0 * self._band and turned
        if not inside:
            self._inside_ns = None
        elif self._inside_ns is None:
            self._inside_ns = now_ns
        done = self._inside_ns is not None and now_ns - self._inside_ns >= SETTLE_NS
        radius = 0.0
        if self._keep_out > 0.0:
            radius = min(self._keep_out + max(2.0 * self._band, 0.1 * self._keep_out), norm(goal))
        direction, length, straight = way_round(place, goal, radius, self._keep_out)
        speed = self._speed_for(length, norm(place), radius if not straight else inf)
        engaged = norm(place) < ENGAGED_M
        rate_limit = self._limits.docking_rate_rad_s if engaged else self._limits.slew_rate_rad_s
        target = Target(
            Phase.HOLD if done else Phase.RENDEZVOUS, done, attitude=attitude, rate=rate,
            attitude_deadband_rad=self._turn_band, rate_limit_rad_s=rate_limit,
            velocity=add(ahead, scale(direction, speed)),
            velocity_deadband_m_s=min(max(LEAST_SPEED_BAND_M_S, SPEED_BAND_SHARE * speed), MOST_SPEED_BAND_M_S),
            speed_limit_m_s=UNLIMITED_M_S,
        )
        if not straight or distance > NEAR_BANDS * self._band:
            return target
        return _held(target, add(nav.position, error), ahead, self._band, speed)

    def _speed_for(self, length: float, distance: float, radius: float) -> float:
        """Greatest speed with ``length`` to go, ``distance`` from the target, on an arc of ``radius``."""
        speed = min(self._speed, APPROACH_RATE * length, sqrt(2.0 * self._push * length))
        # Down to the docking speed by the time that range is reached.
        speed = min(speed, sqrt(ENGAGED_M_S**2 + 2.0 * self._push * max(0.0, distance - ENGAGED_M)))
        if radius < inf:
            speed = min(speed, sqrt(self._push * radius))
        if self._axis is not None:
            speed = min(speed, LINE_RATE_SHARE * self._limits.docking_rate_rad_s * max(distance, LEAST_LINE_M))
        return speed

    def _pointing(self, nav: NavState, state: RelativeState, goal: Vec3) -> tuple[Quaternion, Vec3]:
        """Attitude to have, and the body rate with which it turns."""
        if self._wanted is not None:
            if self.target_attitude is None:
                return self._wanted, ZERO
            self._kept = multiply(self.target_attitude, self._wanted)
            return self._kept, rotate_inverse(nav.quaternion, self.target_rate)
        if self._kept is None:
            self._kept = nav.quaternion
        # In the dead-band of the place the line from the place itself: following the drift would cost a turn for each.
        line, drift = state.position, state.velocity
        sigma_m, sigma_m_s = state.sigma_position_m, state.sigma_velocity_m_s
        if norm(add(goal, line)) < NEAR_BANDS * self._band:
            line, drift, sigma_m, sigma_m_s = scale(goal, -1.0), cross(goal, self.target_rate), 0.0, 0.0
        distance = norm(line)
        if self._axis is None or distance < max(LEAST_LINE_M, LINE_SIGMAS * state.sigma_position_m):
            return self._kept, ZERO
        turn = scale(cross(line, drift), 1.0 / distance**2)
        follows = norm(turn) > max(STILL_LINE_RAD_S, 3.0 * sigma_m_s / distance)
        astray = angle_between(rotate(self._kept, self._axis), line)
        if follows or astray > max(self._turn_band, 3.0 * sigma_m / distance):
            # Kept as long as it is near enough: an attitude that follows every measurement costs a pulse for each.
            self._kept = multiply(nav.quaternion, quaternion_between(self._axis, rotate_inverse(nav.quaternion, line)))
        return self._kept, rotate_inverse(nav.quaternion, turn) if follows else ZERO

    def _still(self, phase: Phase) -> Target:
        """No push; the attitude is kept, or where none was chosen yet, no rate."""
        limits = self._limits
        kept = self._wanted if self._kept is None and self.target_attitude is None else self._kept
        if kept is None:
            return Target(phase, False, rate=ZERO, rate_limit_rad_s=limits.docking_rate_rad_s)
        return Target(
            phase, False, attitude=kept, attitude_deadband_rad=self._turn_band,
            rate_limit_rad_s=limits.docking_rate_rad_s,
        )

    def _break_off(self, now_ns: int, nav: NavState) -> Target:
        """At rest relative to where the target was last seen, after backing off from it by dead reckoning."""
        velocity = self._target_velocity
        if self._target_position is not None and self._keep_out > 0.0:
            assert self._fresh_ns is not None
            since = (now_ns - self._fresh_ns) * 1e-9
            place = subtract(nav.position, add(self._target_position, scale(velocity, since)))
            distance = norm(place)
            if LEAST_AWAY_M < distance < max(1.5 * self._keep_out, self._keep_out + BACK_OFF_MARGIN_M):
                velocity = add(velocity, scale(place, BACK_OFF_M_S / distance))
        still = self._still(Phase.BRAKE)
        resting = norm(subtract(velocity, nav.velocity)) <= REST_SPEED_M_S
        return Target(
            still.phase, False, attitude=still.attitude, rate=still.rate, velocity=velocity,
            attitude_deadband_rad=still.attitude_deadband_rad,
            velocity_deadband_m_s=REST_SPEED_M_S if resting else LEAST_SPEED_BAND_M_S,
            rate_limit_rad_s=still.rate_limit_rad_s, speed_limit_m_s=UNLIMITED_M_S,
        )


def way_round(place: Vec3, goal: Vec3, radius: float, core: float) -> tuple[Vec3, float, bool]:
    """First direction (unit) of the shortest way from ``place`` to ``goal`` round a sphere at the origin, the length of
    the way, and whether it is straight.

    Within ``core`` the way leads straight out; between ``core`` and ``radius`` it goes round and out. At the goal the
    direction is zero. The side of a way past a goal exactly opposite is arbitrary.
    """
    error = subtract(goal, place)
    length = norm(error)
    if length < 1e-9:
        return ZERO, 0.0, True
    distance, far = norm(place), norm(goal)
    out = unit(place) if distance > 1e-9 else unit(goal)
    if distance < core:
        return out, radius - distance + length, False
    along = min(1.0, max(0.0, -dot(place, error) / length**2))
    if norm(add(place, scale(error, along))) >= radius * (1.0 - 1e-6):
        return scale(error, 1.0 / length), length, True
    side = subtract(goal, scale(out, dot(goal, out)))
    if norm(side) < 1e-6 * far:
        side = cross(out, (1.0, 0.0, 0.0) if abs(out[0]) < 0.9 else (0.0, 1.0, 0.0))
    side = unit(side)
    arc = angle_between(out, goal) - acos(min(1.0, radius / far))
    if distance <= radius:
        outward = (radius - distance) / max(1e-9, radius - core)
        return unit(add(side, scale(out, outward))), max(length, radius * arc), False
    dip = asin(radius / distance)
    tangent = sqrt(distance**2 - radius**2)
    whole = tangent + radius * max(0.0, arc - acos(radius / distance)) + sqrt(max(0.0, far**2 - radius**2))
    return add(scale(out, -cos(dip)), scale(side, sin(dip))), whole, False


def _fresh(nav: NavState) -> RelativeState | None:
    """The relative state if it is there, finite and fresh enough for its distance."""
    state = nav.relative
    if state is None or state.measurement_age_ns is None:
        return None
    numbers = (*state.position, *state.velocity, state.sigma_position_m, state.sigma_velocity_m_s)
    if not all(map(isfinite, numbers)):
        return None
    limit = FRESH_ENGAGED_NS if norm(state.position) < ENGAGED_M else FRESH_NS
    return state if state.measurement_age_ns <= limit else None


def _held(target: Target, place: Vec3, velocity: Vec3, band: float, speed: float) -> Target:
    """The same with a place to hold in place of a velocity to go there."""
    return Target(
        target.phase, target.done, attitude=target.attitude, rate=target.rate, position=place, velocity=velocity,
        attitude_deadband_rad=target.attitude_deadband_rad, position_deadband_m=band,
        rate_limit_rad_s=target.rate_limit_rad_s, speed_limit_m_s=norm(velocity) + max(speed, band / 25.0),
    )
