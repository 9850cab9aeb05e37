"""From orders to guidance laws: which law flies a command, with which limits, on the nozzles that are left."""

from __future__ import annotations

import dataclasses
from math import inf, radians

from comms.dictionary import CommandRefused
from fdir.guard_contacts import LARGEST_EVASION_M_S
from firmware_py.commands import Order
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.estimator import NavState
from firmware_py.gnc.evasion import Evade
from firmware_py.gnc.guidance import (
    Brake,
    Detumble,
    GuidanceLaw,
    GuidanceLimits,
    Hold,
    Slew,
    SunTrack,
    Translate,
)
from firmware_py.gnc.lost_cluster import LostCluster
from firmware_py.gnc.rendezvous import Rendezvous
from hal.frames import Vec3, multiply, norm, quaternion_from_rotation_vector, rotate, scale, unit
from hal.profile import BodyConfig

__all__ = ["IDLE_DEADBAND_DEG", "Laws"]

IDLE_DEADBAND_DEG = 2.0
HOLD_DEADBAND_M = 0.12
"""Half the room of 0.5 m goes to what dead reckoning does not know; the rest to this band and its overshoot."""
SAFE_TURN_RAD_S = 0.0349
"""2 deg/s: how fast SAFE turns, slow enough for a star tracker and far from where it nulls the rates."""
REST: Vec3 = (0.0, 0.0, 0.0)
LEAST_REACH = 1e-3
"""N or N m about an axis below which nozzles count as not reaching it."""


class Laws:
    """Maker of the laws of one craft.

    Args:
        body: craft description.
        allocator: for the braking authority.
        sun_inertial: direction to the Sun, inertial frame.

    ``limits`` are those of the laws made from now on, ``idle_deadband_rad`` the attitude dead-band of Idle.
    """

    def __init__(self, body: BodyConfig, allocator: Allocator, sun_inertial: Vec3) -> None:
        self.limits = dataclasses.replace(
            GuidanceLimits.from_body(body, allocator), position_deadband_m=HOLD_DEADBAND_M
        )
        self.idle_deadband_rad = radians(IDLE_DEADBAND_DEG)
        self._body = body
        self._allocator = allocator
        self._cells = body.power.array.normal
        self._sun_inertial = sun_inertial
        self._wholes: dict[int, bool] = {}

    def of(self, order: Order, nav: NavState, failed: int) -> GuidanceLaw:
        """The law of a command; ``failed`` masks nozzles out of use. Raises CommandRefused when its arguments do not
        name one target."""
        limits, arguments = self.limits, order.arguments
        if order.name == "detumble":
            return Detumble(limits)
        if order.name == "hold":
            return Hold(limits)
        if order.name == "sun_track":
            return SunTrack(limits, self._cells, self._sun_inertial)
        if order.name == "translate":
            vector = arguments["vector_m"]
            if arguments.get("frame", "inertial") == "body":
                vector = rotate(nav.quaternion, vector)
            return Translate(limits, vector, speed_m_s=arguments.get("speed_m_s"))
        if order.name == "recover":
            return LostCluster(
                limits, self._body, self._allocator, failed, velocity=arguments.get("velocity_m_s", REST),
                propellant_kg=arguments.get("propellant_kg", inf),
            )
        if order.name == "rendezvous":
            try:
                return Rendezvous(
                    limits, arguments["offset_m"], keep_out_m=arguments.get("keep_out_m", 0.0),
                    speed_m_s=arguments.get("speed_m_s"), axis=arguments.get("axis"),
                )
            except ValueError as error:
                raise CommandRefused(f"rendezvous: {error}") from None
        given = set(arguments)
        if given == {"attitude"}:
            return Slew(limits, arguments["attitude"])
        if given == {"axis", "angle_deg"} and norm(arguments["axis"]) > 1e-6:
            turn = scale(unit(arguments["axis"]), radians(arguments["angle_deg"]))
            return Slew(limits, multiply(nav.quaternion, quaternion_from_rotation_vector(turn)))
        raise CommandRefused("slew: give attitude, or axis (with a length) and angle_deg")

    def brake(self, failed: int) -> GuidanceLaw:
        """Against the velocity with all there is; with what is left, turning, where some direction can't be pushed."""
        if self.whole(failed):
            return Brake(self.limits)
        return LostCluster(self.limits, self._body, self._allocator, failed)

    def evade(self, change: Vec3, failed: int) -> GuidanceLaw | None:
        """Adds a change of velocity with all there is; ``None`` if some direction can't be pushed any more. Raises
        CommandRefused for a change that is none, or too large."""
        size = norm(change)
        if not 0.0 < size <= LARGEST_EVASION_M_S:
            raise CommandRefused(
                f"evade: delta_v_m_s is {size:.4g} m/s long; above 0 and at most {LARGEST_EVASION_M_S:g} is allowed"
            )
        return Evade(self.limits, change) if self.whole(failed) else None

    def idle(self) -> GuidanceLaw:
        """The attitude as it is, with a wide dead-band."""
        limits = dataclasses.replace(self.limits, attitude_deadband_rad=self.idle_deadband_rad)
        return Hold(limits, keep_position=False)

    def detumble(self) -> GuidanceLaw:
        """SAFE, while the craft turns too fast."""
        return Detumble(self.limits)

    def sun_track(self) -> SunTrack:
        """SAFE, once it does not: slowly."""
        slow = min(SAFE_TURN_RAD_S, self.limits.slew_rate_rad_s)
        return SunTrack(dataclasses.replace(self.limits, slew_rate_rad_s=slow), self._cells, self._sun_inertial)

    def whole(self, failed: int) -> bool:
        """Whether the nozzles that are left still push and turn in every direction."""
        known = self._wholes.get(failed)
        if known is None:
            reach = (
                self._allocator.largest_scale(_axis(index, sign), failed) for index in range(6) for sign in (1.0, -1.0)
            )
            known = self._wholes[failed] = min(reach) > LEAST_REACH
        return known


def _axis(index: int, sign: float) -> tuple[float, ...]:
    return tuple(sign if i == index else 0.0 for i in range(6))
