"""The own craft as risk needs it: where it is, how it moves, how well that is known, and what it can do about it."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from firmware_py.perception.observation import NO_ID
from hal.frames import Vec3

__all__ = ["OwnState"]


@dataclass(frozen=True, slots=True)
class OwnState:
    """One moment of the own craft; inertial frame, SI.

    Attributes:
        position_m, velocity_m_s: of the centre of mass.
        sigma_position_m, sigma_velocity_m_s: one standard deviation, each axis.
        brake_m_s2: what it can push with in every direction; ``None``: not known.
        mass_kg: propellant included.
        speed_in_tank_m_s: change of velocity that the propellant is good for; ``None``: not known.
        keep_out_radius_m: sphere about the craft that nothing may enter, its hull included.
        approached_id: track that is being approached on purpose: it is braked for, never evaded.
        braking: a stop or an evasion is under way.
    """

    position_m: Vec3
    velocity_m_s: Vec3
    sigma_position_m: float
    sigma_velocity_m_s: float
    brake_m_s2: float | None
    mass_kg: float
    speed_in_tank_m_s: float | None
    keep_out_radius_m: float
    approached_id: int = NO_ID
    braking: bool = False

    @property
    def known(self) -> bool:
        """Whether place and motion are numbers; without them nothing can be said of any track."""
        return all(map(isfinite, (
            *self.position_m, *self.velocity_m_s, self.sigma_position_m, self.sigma_velocity_m_s,
            self.keep_out_radius_m,
        )))

    @property
    def push_m_s2(self) -> float:
        """What it can push with; 0 if not known."""
        push = self.brake_m_s2
        return push if push is not None and isfinite(push) and push > 0.0 else 0.0

    @property
    def reach_m_s(self) -> float:
        """Change of velocity that can be counted on; 0 if not known."""
        speed = self.speed_in_tank_m_s
        return speed if speed is not None and isfinite(speed) and speed > 0.0 else 0.0
