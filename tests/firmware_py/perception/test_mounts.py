"""Poses of sensors: lever arm, mount and the time between the craft's pose and the sensor's are in them."""

from __future__ import annotations

from math import pi

import pytest

from firmware_py.perception.mounts import CraftPose, Mount, mount_pose, mounts_of
from hal.frames import multiply, quaternion_from_euler, quaternion_from_rotation_vector, rotate, rotation_angle
from hal.profile import load_profile

SECOND = 1_000_000_000
QUARTER = quaternion_from_euler(0.0, 0.0, 0.5 * pi)


def test_a_resting_craft_s_sensor_is_at_its_arm() -> None:
    craft = CraftPose(5, (10.0, 0.0, 0.0), (1.0, 2.0, 3.0), QUARTER, (0.0, 0.0, 0.0), 0.2, 0.01)
    pose = mount_pose(craft, Mount((2.0, 0.0, 0.0), QUARTER), 5)
    assert pose.position_m == pytest.approx((10.0, 2.0, 0.0))
    assert pose.velocity_m_s == pytest.approx((1.0, 2.0, 3.0))
    assert rotate(pose.quaternion, (1.0, 0.0, 0.0)) == pytest.approx((-1.0, 0.0, 0.0))
    assert (pose.sigma_position_m, pose.sigma_attitude_rad) == (0.2, 0.01)


def test_a_turning_craft_s_sensor_moves_by_its_arm() -> None:
    craft = CraftPose(0, (0.0, 0.0, 0.0), (1.0, 0.0, 0.0), QUARTER, (0.0, 0.0, 0.5))
    pose = mount_pose(craft, Mount((2.0, 0.0, 0.0)), 0)
    # The arm points to inertial y; turning to the left moves it to -x.
    assert pose.velocity_m_s == pytest.approx((0.0, 0.0, 0.0))
    assert pose.rate_rad_s == (0.0, 0.0, 0.5)


@pytest.mark.parametrize("seconds", [-0.1, 0.0, 0.25])
def test_the_pose_at_another_time_is_that_of_a_craft_that_flew_on(seconds: float) -> None:
    rate = (0.3, -0.2, 0.4)
    craft = CraftPose(SECOND, (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), QUARTER, rate)
    pose = mount_pose(craft, Mount(), SECOND + round(seconds * SECOND))
    assert pose.position_m == pytest.approx(tuple(p + v * seconds for p, v in zip(
        craft.position_m, craft.velocity_m_s, strict=True)))
    turned = multiply(QUARTER, quaternion_from_rotation_vector(tuple(w * seconds for w in rate)))  # type: ignore[arg-type]
    assert rotation_angle(pose.quaternion, turned) == pytest.approx(0.0, abs=1e-9)


def test_mounts_of_a_board_count_from_the_centre_of_mass() -> None:
    profile = load_profile("qiki-t", "qiki-rpi")
    mounts = mounts_of(profile)
    radar = next(d for d in profile.board.devices if d.name == "radar")
    centre = profile.body.mass.centre_of_mass_m
    assert mounts["radar"].arm_m == pytest.approx(tuple(
        p - c for p, c in zip(radar.mount.position_m, centre, strict=True)))
    assert set(mounts) == {d.name for d in profile.board.devices}
