"""Where a sensor was and how it moved, from where the craft is: lever arm, mount and the time between are in it.

The craft is taken back or forth in time with the speed and rate that it has; over the tenth of a second that a sensor's
answer takes, thrust moves it by less than a millimetre.
"""

from __future__ import annotations

from dataclasses import dataclass

from firmware_py.perception.observation import Pose
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    add,
    cross,
    multiply,
    normalise,
    quaternion_from_rotation_vector,
    rotate,
    scale,
    subtract,
)
from hal.profile import Profile

__all__ = ["CraftPose", "Mount", "mount_pose", "mounts_of"]


@dataclass(frozen=True, slots=True)
class CraftPose:
    """The craft at ``t_ns``: centre of mass and its velocity inertial, quaternion body to inertial, rate in the body.

    Sigmas are those of the navigation, one axis each.
    """

    t_ns: int
    position_m: Vec3
    velocity_m_s: Vec3
    quaternion: Quaternion
    rate_rad_s: Vec3
    sigma_position_m: float = 0.0
    sigma_attitude_rad: float = 0.0


@dataclass(frozen=True, slots=True)
class Mount:
    """Where a sensor sits: from the centre of mass, body axes, and the rotation sensor to body."""

    arm_m: Vec3 = (0.0, 0.0, 0.0)
    orientation: Quaternion = IDENTITY


def mounts_of(profile: Profile) -> dict[str, Mount]:
    """Mounts of all devices of a board on a body, by device."""
    centre = profile.body.mass.centre_of_mass_m
    return {
        device.name: Mount(subtract(device.mount.position_m, centre), device.mount.orientation)
        for device in profile.board.devices
    }


def mount_pose(craft: CraftPose, mount: Mount, t_ns: int) -> Pose:
    """Pose of a sensor at ``t_ns``, from the craft at another time near it."""
    seconds = (t_ns - craft.t_ns) * 1e-9
    turned = quaternion_from_rotation_vector(scale(craft.rate_rad_s, seconds))
    quaternion = normalise(multiply(craft.quaternion, turned))
    position = add(craft.position_m, scale(craft.velocity_m_s, seconds))
    return Pose(
        position_m=add(position, rotate(quaternion, mount.arm_m)),
        velocity_m_s=add(craft.velocity_m_s, rotate(quaternion, cross(craft.rate_rad_s, mount.arm_m))),
        quaternion=normalise(multiply(quaternion, mount.orientation)), rate_rad_s=craft.rate_rad_s,
        sigma_position_m=craft.sigma_position_m, sigma_attitude_rad=craft.sigma_attitude_rad,
    )
