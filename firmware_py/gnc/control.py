"""Impulse that the next pulse window should give: silent inside the switching curves, a brakeable approach outside.

The attitude half is ``attitude_law``: a quaternion law with the disturbance and the gyroscopic torque fed forward and a
phase plane around it. Position and velocity are kept by a dead-band with a look-ahead and a profile like it.

Pulses act about the middle of their window, so errors are looked at half a window ahead. The demand is the momentum
that leads from the rate there to the wanted one. Force that pulses for an attitude leave behind is remembered and asked
back with later ones. Each demand carries the error it can live with; the modulator weighs that against propellant.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import hypot, inf, isfinite

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.attitude_law import (
    AUTHORITY_SHARE,
    FAR_EDGE_SHARE,
    FINEST_RATE_TOLERANCE,
    MOVING_SHARE,
    AttitudeLaw,
    ControlGains,
    WantedTurn,
)
from firmware_py.gnc.disturbance import DisturbanceObserver
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.motion_plan import approach
from firmware_py.gnc.pulse_book import NOTHING, Impulse
from firmware_py.gnc.target import Target
from firmware_py.gnc.thrust_modes import ThrustMode
from firmware_py.gnc.torque_authority import TorqueAuthority
from hal.frames import (
    Quaternion,
    Vec3,
    add,
    multiply,
    norm,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    scale,
    subtract,
)
from hal.profile.body import BodyConfig

__all__ = ["FAR_EDGE_SHARE", "ControlFault", "ControlGains", "Controller", "Demand"]

ZERO: Vec3 = (0.0, 0.0, 0.0)
POSITION_RETURN_TIME_S = 25.0
QUIET_PACE = 0.25
"""Share of the position's return while it is well inside its band."""
POSITION_CLOSING_TIME_S = 3.0
POSITION_LOOK_AHEAD_S = 4.0
FREE_VELOCITY_BITS = 1.5
"""Velocity error taken for one tolerance while the position is free, in what one shortest pulse gives."""
FREE_SPEED_M_S = 0.02
"""Speed left behind from which that tolerance shrinks, so that it stays under the speed of rest (0.05 m/s)."""
FREE_SHRINK = 2.5
"""Most of that: a craft that can only turn with a push beside it must still turn."""
PUSH_BITS = 0.3
"""Velocity error taken for one tolerance during an open-loop push, in what one shortest pulse gives."""
PUSH_RATE = 3.0
"""Factor on the tolerable rate error during an open-loop push."""
FINEST_VELOCITY_TOLERANCE = 0.003
PULSED_SHARE = 0.85
"""Share of the longest duty with pauses that a long stop uses: what trims the attitude comes on top."""
REACH_TOLERANCES = 4.0
"""What a window can take out of a large error counts as so many tolerances at least, if the error is as much."""
PUSHED_SPEED_M_S = 0.1
PUSHED_RATE_TOLERANCE = 4.0
"""While a speed error of PUSHED_SPEED_M_S is being taken out, rate errors up to five tolerances count as one."""


@unique
class ControlFault(StrEnum):
    """Why a window's demand was refused; nothing is asked then."""

    NAVIGATION_NOT_FINITE = "navigation_not_finite"
    TARGET_NOT_FINITE = "target_not_finite"


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
    mean: Impulse = NOTHING
    """What every window to come will ask for besides: the open-loop push, and the momentum that the disturbance takes.
    Whoever makes the pulses can plan for it: an error towards it will be made good by itself."""
    fault: ControlFault | None = None
    """Why nothing is asked, if the input was no good."""

    @property
    def active(self) -> bool:
        """Whether anything is wanted."""
        return self.impulse != NOTHING


class Controller:
    """Attitude and position control by pulses, one demand a window.

    Args:
        body: mass, inertia, limits and window.
        allocator: for authority in each direction.
        gains: of the attitude law; by default those of the body's window.

    On an air bearing only x, y and yaw are controlled: the table holds the rest. Call ``flown`` after each ``update``
    with what the window emits: the disturbance estimate and the account of unwanted force rest on it.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, gains: ControlGains | None = None) -> None:
        prop = body.propulsion
        window = self._window = prop.window_ms * 1e-3
        self._attitude = AttitudeLaw(body, allocator, gains if gains is not None else ControlGains.from_window(window))
        self._mass = body.mass.dry_kg + body.mass.propellant_kg
        self._allocator = allocator
        self._planar = body.environment == "air_bearing"
        forces = []
        for axis in ((0, 1) if self._planar else (0, 1, 2)):
            unit = np.eye(6)[axis]
            forces.append(min(allocator.largest_scale(unit), allocator.largest_scale(-unit)) / self._mass)
        self._brake = AUTHORITY_SHARE * min(forces)
        self._bit = prop.min_on_ms * 1e-3 * float(allocator.thrust.max())
        self._debt = ZERO
        self._frame: Quaternion | None = None
        self._last_pulse_ns: int | None = None
        self._authority = TorqueAuthority(allocator)
        self._pulsed = PULSED_SHARE * (prop.window_ms - prop.min_off_ms) / prop.window_ms
        self._pausing = False
        self._longest_push = (prop.max_burn_ms - 2 * prop.window_ms) * 1e-3
        self.faults: dict[ControlFault, int] = dict.fromkeys(ControlFault, 0)
        """Windows refused since start, by cause."""

    @property
    def gains(self) -> ControlGains:
        """Gains of the attitude law."""
        return self._attitude.gains

    @property
    def observer(self) -> DisturbanceObserver:
        """What estimates the disturbance torque."""
        return self._attitude.observer

    @property
    def disturbance_n_m(self) -> Vec3:
        """Estimated disturbance torque, N m, body axes."""
        return self.observer.torque

    @property
    def unwanted_momentum(self) -> Vec3:
        """Force impulse that pulses for the attitude have left behind (N s, inertial axes), to be asked back."""
        return self._debt

    def set_mass(self, mass_kg: float) -> None:
        """Follow the propellant that has been used."""
        self._mass = mass_kg

    def flown(self, impulse: Impulse) -> None:
        """Take the impulse (N s, N m s, body axes) that the window of the last ``update`` emits."""
        if not isfinite(sum(impulse)):
            return
        self._attitude.flown(impulse)
        if self._frame is not None:
            self._debt = add(self._debt, rotate(self._frame, (impulse[0], impulse[1], impulse[2])))

    def update(self, now_ns: int, nav: NavState, target: Target, failed: int = 0) -> Demand:
        """The demand of the window that starts now.

        ``failed`` masks nozzles that are not to be used: torque that the others cannot make without a force is left
        out of the demand, so that the rest of it is not shortened with it. A navigation state or target that is not
        finite gives an empty demand with its fault.
        """
        fault = _fault(nav, target)
        if fault is not None:
            self.faults[fault] += 1
            self._attitude.reset()
            self._frame = None
            return Demand(NOTHING, FINEST_RATE_TOLERANCE, FINEST_VELOCITY_TOLERANCE, fault=fault)
        self._attitude.begin(now_ns, nav, target)
        interval = target.pulse_interval_s
        held_back = (
            interval > 0.0 and self._last_pulse_ns is not None and (now_ns - self._last_pulse_ns) * 1e-9 < interval
        )
        turn = self._attitude.wanted(nav, target)
        rate_tolerance = turn.tolerance
        if target.push_n is None:
            velocity, push_acts, velocity_tolerance, distance = self._push(nav, target)
        else:
            velocity, push_acts, distance = None, True, None
            velocity_tolerance = PUSH_BITS * self._bit / self._mass
            rate_tolerance *= PUSH_RATE
        rate_error = None if turn.rate is None else norm(subtract(turn.rate, nav.rate))
        velocity_error = None if velocity is None else norm(subtract(velocity, nav.velocity))
        if push_acts and velocity_error is not None:
            pushed = min(velocity_error, PUSHED_SPEED_M_S)
            if target.mode is not ThrustMode.BRAKE:
                # While the craft is being pushed, errors of its rate wait for the windows after.
                rate_tolerance *= 1.0 + PUSHED_RATE_TOLERANCE * pushed / PUSHED_SPEED_M_S
            velocity_tolerance += MOVING_SHARE * pushed
        t = self._window
        middle = multiply(nav.quaternion, quaternion_from_rotation_vector(scale(nav.rate, 0.5 * t)))
        # ADAPTIVE takes a push as the price of a torque: asking it back would undo the torque.
        free = velocity is None and target.push_n is None and target.mode is not ThrustMode.ADAPTIVE
        self._frame = middle if free else None
        if not free:
            self._debt = ZERO
        impulse = NOTHING
        if (turn.acts or push_acts) and not held_back:
            impulse = self._impulse(nav, middle, turn, velocity, target, failed)
            self._last_pulse_ns = now_ns
            if turn.acts:
                gain, whole = self._turn_gain(impulse, failed)
                rate_tolerance = _within_reach(rate_tolerance, gain, whole)
            if push_acts and velocity_error is not None:
                gain = hypot(impulse[0], impulse[1], impulse[2]) / self._mass
                velocity_tolerance = _within_reach(velocity_tolerance, gain, velocity_error)
        push = ZERO if target.push_n is None else self._flat(scale(target.push_n, t))
        against = ZERO if turn.rate is None else self._attitude.disturbance_impulse()
        return Demand(
            impulse, rate_tolerance, velocity_tolerance, turn.angle, rate_error, distance, velocity_error,
            (*push, *against),
        )

    def _impulse(
        self, nav: NavState, middle: Quaternion, turn: WantedTurn, velocity: Vec3 | None, target: Target, failed: int
    ) -> Impulse:
        torque = self._attitude.torque_impulse(nav, turn)
        force = self._force_impulse(nav, middle, velocity, target, failed)
        if failed and target.mode is not ThrustMode.ADAPTIVE and self._allocator.peak((*force, *torque), failed) == inf:
            whole, torque = torque, self._authority.attainable(torque, failed)
            if torque != whole:
                self._attitude.settle_for(torque)
        if target.mode is ThrustMode.BRAKE:
            force = self._beside(force, torque, failed)
        else:
            self._pausing = False
        return (*force, *torque)

    def _turn_gain(self, impulse: Impulse, failed: int) -> tuple[float, float]:
        """Change of rate (rad/s) that the nozzles left can make of a torque impulse, and the one that it is part of."""
        gain, whole = self._attitude.share(impulse[3:])
        if failed and gain > 0.0:
            s = 1.0 / self._window
            torque = (0.0, 0.0, 0.0, s * impulse[3], s * impulse[4], s * impulse[5])
            gain *= min(1.0, self._allocator.largest_scale(torque, failed))
        return gain, whole

    def _beside(self, force: Vec3, torque: Vec3, failed: int) -> Vec3:
        """What of a force impulse fits beside a torque impulse. A stop that takes longer than the longest burn is flown
        in pulses with their pauses: nozzles that cool down together would leave nothing to keep the attitude with."""
        fx, fy, fz = force
        # As often as a second of the greatest push holds the momentum.
        reach = self._allocator.largest_scale((fx, fy, fz, 0.0, 0.0, 0.0), failed)
        if reach <= 0.0:
            return force
        if reach * self._longest_push < 1.0:
            self._pausing = True
        elif reach * self._window >= 1.0:
            self._pausing = False
        share = self._pulsed if self._pausing else 1.0
        s = 1.0 / (share * self._window)
        beside = self._allocator.largest_scale_beside(
            (0.0, 0.0, 0.0, s * torque[0], s * torque[1], s * torque[2]), (s * fx, s * fy, s * fz, 0.0, 0.0, 0.0),
            failed,
        )
        return force if beside >= 1.0 else scale(force, max(0.0, beside))

    def _free_velocity_tolerance(self) -> float:
        """The less, the more speed pulses have left behind already."""
        left = norm(self._debt) / self._mass
        return FREE_VELOCITY_BITS * self._bit / self._mass / min(FREE_SHRINK, max(1.0, left / FREE_SPEED_M_S))

    def _push(self, nav: NavState, target: Target) -> tuple[Vec3 | None, bool, float, float | None]:
        """Wanted velocity (inertial), whether to act for it, tolerable velocity error, position error."""
        ahead, change = target.velocity, target.acceleration
        if target.position is None:
            if ahead is None:
                return None, False, self._free_velocity_tolerance(), None
            wanted = ahead if change is None else add(ahead, scale(change, self._window))
            off = norm(subtract(wanted, nav.velocity))
            tolerance = max(FINEST_VELOCITY_TOLERANCE, 0.5 * target.velocity_deadband_m_s)
            return wanted, off > target.velocity_deadband_m_s, tolerance, None
        if ahead is None:
            ahead = ZERO
        error = subtract(target.position, nav.position)
        if self._planar:
            error = (error[0], error[1], 0.0)
        drift = subtract(nav.velocity, ahead)
        band = target.position_deadband_m
        middle = subtract(error, scale(drift, 0.5 * self._window))
        later = subtract(error, scale(drift, POSITION_LOOK_AHEAD_S))
        distance, size = norm(error), norm(middle)
        quiet = distance < band and norm(later) < band and change is None
        pace = approach(
            size, band, POSITION_RETURN_TIME_S, POSITION_CLOSING_TIME_S, self._brake, target.speed_limit_m_s
        )
        if quiet:
            # Nothing is pushed for the position; what pulses for the attitude leave should drift home, no faster.
            pace *= QUIET_PACE
        back = ZERO if size < 1e-9 else scale(middle, pace / size)
        tolerance = max(FINEST_VELOCITY_TOLERANCE, 0.02 * band)
        if quiet:
            # Pulses for the attitude should leave no more speed than they must, within what is known of it.
            tolerance = min(tolerance, max(self._free_velocity_tolerance(), nav.sigma_velocity_m_s))
        tolerance += MOVING_SHARE * norm(back)
        wanted = add(ahead, back)
        return wanted if change is None else add(wanted, scale(change, self._window)), not quiet, tolerance, distance

    def _force_impulse(
        self, nav: NavState, middle: Quaternion, velocity: Vec3 | None, target: Target, failed: int
    ) -> Vec3:
        t = self._window
        if target.push_n is not None:
            return self._flat(scale(target.push_n, t))
        if velocity is None:
            return self._flat(rotate_inverse(middle, scale(self._debt, -1.0)))
        push = self._flat(scale(subtract(velocity, nav.velocity), self._mass))
        px, py, pz = rotate_inverse(middle, push)
        if not target.full_push:
            peak = self._allocator.peak((px / t, py / t, pz / t, 0.0, 0.0, 0.0), failed)
            if 1.0 < peak < inf:
                px, py, pz = px / peak, py / peak, pz / peak
        return self._flat((px, py, pz))

    def _flat(self, v: Vec3) -> Vec3:
        """Only the part in the plane on a table."""
        return (v[0], v[1], 0.0) if self._planar else v


def _fault(nav: NavState, target: Target) -> ControlFault | None:
    q = nav.quaternion
    size = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]
    if not (0.5 < size < 2.0 and isfinite(sum(nav.rate) + sum(nav.position) + sum(nav.velocity))):
        return ControlFault.NAVIGATION_NOT_FINITE
    total = (
        target.attitude_deadband_rad + target.rate_deadband_rad_s + target.position_deadband_m
        + target.velocity_deadband_m_s + target.rate_limit_rad_s + target.speed_limit_m_s + target.pulse_interval_s
    )
    for vector in (
        target.rate, target.position, target.velocity, target.push_n, target.angular_acceleration, target.acceleration
    ):
        if vector is not None:
            total += sum(vector)
    if target.attitude is not None:
        w, x, y, z = target.attitude
        total += 0.0 if 0.5 < w * w + x * x + y * y + z * z < 2.0 else inf
    return None if isfinite(total) else ControlFault.TARGET_NOT_FINITE


def _within_reach(tolerance: float, gain: float, error: float) -> float:
    """The tolerance of an error of which one window takes out only ``gain``: in the same proportion to that, as far as
    it takes for a window to count."""
    if not 0.0 < gain < error:
        return tolerance
    return min(tolerance, max(tolerance * gain / error, gain / REACH_TOLERANCES))
