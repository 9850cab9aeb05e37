"""Attitude from two directions: exact for the first, none near one line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.triad import triad
from hal.frames import (
    angle_between,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    rotation_angle,
)


@settings(deadline=None)
@given(st.tuples(*[st.floats(-3.0, 3.0)] * 3))
def test_any_attitude_is_found_from_two_directions(vector: tuple[float, float, float]) -> None:
    truth = quaternion_from_rotation_vector(vector)
    sun, field = (1.0, 0.2, 0.1), (0.0, 0.4, -0.9)
    found = triad((rotate_inverse(truth, sun), sun), (rotate_inverse(truth, field), field))
    assert found is not None
    assert rotation_angle(found, truth) < 1e-7


def test_the_first_direction_is_met_exactly_when_the_two_disagree() -> None:
    found = triad(((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)), ((0.0, 1.0, 0.1), (0.1, 0.0, 1.0)))
    assert found is not None
    assert angle_between(rotate(found, (1.0, 0.0, 0.0)), (0.0, 1.0, 0.0)) == pytest.approx(0.0, abs=1e-12)


def test_vectors_near_one_line_set_nothing() -> None:
    assert triad(((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)), ((0.99, 0.1, 0.0), (0.99, 0.1, 0.0))) is None
    assert triad(((1.0, 0.0, 0.0), (1.0, 0.0, 0.0)), ((-0.99, 0.1, 0.0), (-0.99, 0.1, 0.0))) is None
