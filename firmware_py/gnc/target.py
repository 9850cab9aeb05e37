"""What guidance says to control each pulse window, and what a craft may be asked for: targets, phases and limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from math import pi, radians
from typing import Protocol

import numpy as np

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.motion_plan import TurnAuthority
from firmware_py.gnc.thrust_modes import ThrustMode
from hal.frames import Quaternion, Vec3, add, multiply, quaternion_from_rotation_vector, scale
from hal.profile.body import BodyConfig

__all__ = [
    "BRAKE_SHARE", "DETUMBLED_RAD_S", "REST_SPEED_M_S", "SETTLE_NS", "GuidanceLaw", "GuidanceLimits", "Phase",
    "Settled", "Target",
]

ZERO: Vec3 = (0.0, 0.0, 0.0)
SETTLE_NS = 2_000_000_000
REST_SPEED_M_S = 0.05
"""Speed at which a brake has ended (CANON sections 9 and 10.3)."""
DETUMBLED_RAD_S = radians(0.1)
BRAKE_SHARE = 0.85
"""Share of the cheapest deceleration that a planned stop uses: room for a nozzle less and for thrust errors."""


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
    RENDEZVOUS = "rendezvous"
    TURN = "turn"


@dataclass(frozen=True, slots=True)
class Target:
    """What control shall reach. What is None is left free.

    ``attitude`` is body to inertial; ``rate`` the body rate to have there (rad/s, body) or, without attitude, to hold.
    ``position`` (m) and ``velocity`` (m/s) are inertial likewise. The accelerations are those of a planned motion
    through the window: by its end rate and velocity shall have changed by as much. Dead-bands are half widths. The
    speed limit is that of the way back to ``position``, relative to ``velocity``. ``pulse_interval_s`` is the least
    time between pulses.
    """

    phase: Phase
    done: bool
    attitude: Quaternion | None = None
    rate: Vec3 | None = None
    position: Vec3 | None = None
    velocity: Vec3 | None = None
    angular_acceleration: Vec3 | None = None
    """Planned, rad/s2, body axes."""
    acceleration: Vec3 | None = None
    """Planned, m/s2, inertial axes."""
    attitude_deadband_rad: float = radians(0.5)
    rate_deadband_rad_s: float = DETUMBLED_RAD_S
    position_deadband_m: float = 0.25
    velocity_deadband_m_s: float = 0.01
    rate_limit_rad_s: float = radians(5.0)
    speed_limit_m_s: float = 1.0
    pulse_interval_s: float = 0.0
    full_push: bool = False
    """Push with all there is, at whatever price in propellant."""
    push_n: Vec3 | None = None
    """Mean force of the window, N, body axes: in place of what position and velocity would ask for. What a window does
    not emit of it is carried to the next, unless ``push_fed_back``."""
    push_fed_back: bool = False
    """The push is worked out anew each window from what is left: what was not emitted is in it already."""
    mode: ThrustMode = ThrustMode.AUTO
    """How the wrench may be made (firmware_py.gnc.thrust_modes)."""

    def at(self, seconds: float) -> tuple[Quaternion | None, Vec3 | None]:
        """Attitude and position wanted so long after the window began: where the wanted motion has led by then."""
        attitude, position = self.attitude, self.position
        if attitude is not None and self.rate is not None:
            turned = add(self.rate, scale(self.angular_acceleration or ZERO, 0.5 * seconds))
            attitude = multiply(attitude, quaternion_from_rotation_vector(scale(turned, seconds)))
        if position is not None and self.velocity is not None:
            moved = add(self.velocity, scale(self.acceleration or ZERO, 0.5 * seconds))
            position = add(position, scale(moved, seconds))
        return attitude, position

    @property
    def carries_push(self) -> bool:
        """Whether the force that a window does not emit is owed to the next."""
        return self.push_n is not None and not self.push_fed_back


class GuidanceLaw(Protocol):
    """One law."""

    def update(self, now_ns: int, nav: NavState) -> Target:
        """The target for the pulse window that starts now."""


@dataclass(frozen=True, slots=True)
class GuidanceLimits:
    """What laws may ask of a craft: rates (rad/s), speed (m/s), acceleration (m/s2), window (s).

    ``brake_m_s2`` is reached in every direction with all the push there is, ``cruise_m_s2`` at the least propellant;
    ``turn`` knows the acceleration about any axis.
    """

    rate_rad_s: float
    slew_rate_rad_s: float
    docking_rate_rad_s: float
    speed_m_s: float
    brake_m_s2: float
    cruise_m_s2: float
    window_s: float
    turn: TurnAuthority
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
            TurnAuthority(body, allocator),
        )


class Settled:
    """True once a condition has held for two seconds without a break, and until a wider one is broken."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: int | None = None

    def update(self, now_ns: int, inside: bool, near: bool = False) -> bool:
        """``inside`` has to hold to become settled; ``near`` is enough to stay so."""
        settled = self._since is not None and now_ns - self._since >= SETTLE_NS
        if not (inside or (near and settled)):
            self._since = None
            return False
        if self._since is None:
            self._since = now_ns
        return now_ns - self._since >= SETTLE_NS
