"""Quaternion algebra against scipy's Rotation, which nobody here wrote."""

from __future__ import annotations

from math import pi

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hal import frames

component = st.floats(-1.0, 1.0, allow_nan=False)
vectors = st.tuples(component, component, component)
quaternions = (
    st.tuples(component, component, component, component)
    .filter(lambda q: sum(x * x for x in q) > 1e-3)
    .map(frames.normalise)
)
many = settings(max_examples=100, deadline=None, derandomize=True)


def scipy_of(q: frames.Quaternion) -> Rotation:
    return Rotation.from_quat([q[1], q[2], q[3], q[0]])


@many
@given(quaternions, vectors)
def test_rotate_and_its_inverse_agree_with_scipy(q, v) -> None:
    assert frames.rotate(q, v) == pytest.approx(scipy_of(q).apply(v), abs=1e-12)
    assert frames.rotate_inverse(q, v) == pytest.approx(scipy_of(q).inv().apply(v), abs=1e-12)
    assert np.array(frames.to_matrix(q)) == pytest.approx(scipy_of(q).as_matrix(), abs=1e-12)


@many
@given(quaternions, quaternions)
def test_product_angle_and_conjugate_agree_with_scipy(a, b) -> None:
    ours = frames.multiply(a, b)
    assert frames.rotation_angle(ours, frames.IDENTITY) == pytest.approx(
        (scipy_of(a) * scipy_of(b)).magnitude(), abs=1e-7
    )
    assert frames.rotation_angle(a, b) == pytest.approx((scipy_of(a).inv() * scipy_of(b)).magnitude(), abs=1e-7)


@many
@given(vectors)
def test_rotation_vector_round_trip(v) -> None:
    q = frames.quaternion_from_rotation_vector(v)
    assert frames.rotation_vector(q) == pytest.approx(v, abs=1e-12)
    assert np.array(frames.to_matrix(q)) == pytest.approx(Rotation.from_rotvec(v).as_matrix(), abs=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-13, 1e-9, 1e-4, pi - 1e-9])
def test_tiny_and_nearly_straight_rotations_keep_their_length(angle) -> None:
    q = frames.quaternion_from_rotation_vector((0.0, angle, 0.0))
    assert frames.norm(frames.rotation_vector(q)) == pytest.approx(angle, abs=1e-12)


@many
@given(st.floats(-3.1, 3.1), st.floats(-1.5, 1.5), st.floats(-3.1, 3.1))
def test_euler_angles_are_yaw_pitch_roll_as_scipy_has_them(roll, pitch, yaw) -> None:
    q = frames.quaternion_from_euler(roll, pitch, yaw)
    expected = Rotation.from_euler("ZYX", [yaw, pitch, roll])
    assert np.array(frames.to_matrix(q)) == pytest.approx(expected.as_matrix(), abs=1e-12)
    assert frames.euler_from_quaternion(q) == pytest.approx((roll, pitch, yaw), abs=1e-6)


def test_pitch_ninety_does_not_fail() -> None:
    assert frames.euler_from_quaternion(frames.quaternion_from_euler(0.0, pi / 2, 0.0))[1] == pytest.approx(pi / 2)


@many
@given(vectors.filter(lambda v: frames.norm(v) > 1e-2), vectors.filter(lambda v: frames.norm(v) > 1e-2))
def test_quaternion_between_turns_one_direction_into_the_other(a, b) -> None:
    assert frames.rotate(frames.quaternion_between(a, b), frames.unit(a)) == pytest.approx(frames.unit(b), abs=1e-6)


def test_opposite_directions_are_half_a_turn_apart() -> None:
    for axis in ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, -1.0)):
        back = frames.scale(axis, -1.0)
        assert frames.rotate(frames.quaternion_between(axis, back), axis) == pytest.approx(back)


def test_small_vector_helpers() -> None:
    a, b = (1.0, 2.0, 3.0), (-4.0, 0.5, 2.0)
    assert frames.cross(a, b) == pytest.approx(np.cross(a, b))
    assert frames.dot(a, b) == pytest.approx(np.dot(a, b))
    assert frames.add(a, b) == pytest.approx(np.add(a, b))
    assert frames.subtract(a, b) == pytest.approx(np.subtract(a, b))
    assert frames.angle_between(a, a) == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(ZeroDivisionError):
        frames.unit((0.0, 0.0, 0.0))
