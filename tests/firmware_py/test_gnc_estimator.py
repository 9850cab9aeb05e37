"""Estimator: a recorded flight is followed, states join, gaps and first fixes are survived."""

from __future__ import annotations

import csv
import gzip
from math import degrees, pi, radians, sqrt
from pathlib import Path

import numpy as np
import pytest

from firmware_py.gnc.estimator import Estimator
from firmware_py.gnc.modulation import TickImpulse
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    conjugate,
    euler_from_quaternion,
    multiply,
    norm,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    rotation_angle,
)
from hal.profile.loader import load_body

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
TICK_NS, TICK_S = 5_000_000, 0.005
NED_TO_NWU: Quaternion = (0.0, 1.0, 0.0, 0.0)
"""Half a turn about X: north stays, east becomes west, down becomes up. The same for the body's axes."""


def columns(name: str) -> dict[str, np.ndarray]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"recorded flight is not here: {path.name} belongs into ../shared/data")
    with gzip.open(path, "rt", newline="") as file:
        rows = list(csv.DictReader(file))
    return {key: np.array([float(row[key]) for row in rows]) for key in rows[0]}


def flu(data: dict[str, np.ndarray], pattern: str) -> list[Vec3]:
    x, y, z = (data[pattern.format(axis)] for axis in "xyz")
    return list(zip(x.tolist(), (-y).tolist(), (-z).tolist(), strict=True))


def test_a_recorded_multicopter_flight_agrees_with_its_own_filter() -> None:
    imu = columns("flight_log_a_imu.csv.gz")
    reference = columns("flight_log_a_reference_attitude.csv.gz")
    gyro, accel = flu(imu, "gyro_{}_rad_s"), flu(imu, "accel_{}_m_s2")
    field = flu(imu, "mag_{}_gauss")
    truth: list[Quaternion] = [
        multiply(multiply(NED_TO_NWU, (w, x, y, z)), conjugate(NED_TO_NWU))
        for w, x, y, z in zip(*(reference[f"q_{axis}"].tolist() for axis in "wxyz"), strict=True)
    ]
    t_ns = np.rint(imu["t_s"] * 1e9).astype(np.int64).tolist()
    reference_ns = np.rint(reference["t_s"] * 1e9).astype(np.int64).tolist()
    # The site's field direction: from the first sample and the first reference attitude, once.
    estimator = Estimator(load_body("bench-12kg"), gravity=True, magnetic_reference=rotate(truth[0], field[1]))
    errors: list[Vec3] = []
    k = 0
    for i, now in enumerate(t_ns):
        dt = (now - t_ns[i - 1]) * 1e-9 if i > 1 else 0.004
        estimator.on_imu(now, dt, gyro[i], accel[i])
        if i % 25 == 0:
            estimator.on_magnetic(now, field[i])
        if i % 12 == 0:
            estimator.medium(now)
        while k < len(reference_ns) and reference_ns[k] <= now:
            if now > 5_000_000_000:
                actual, wanted = euler_from_quaternion(estimator.nav.quaternion), euler_from_quaternion(truth[k])
                errors.append(tuple((a - b + pi) % (2.0 * pi) - pi for a, b in zip(actual, wanted, strict=True)))
            k += 1
    assert len(errors) > 3000
    roll, pitch, yaw = np.degrees(np.sqrt((np.array(errors) ** 2).mean(axis=0))).tolist()
    assert roll < 1.0
    assert pitch < 1.0
    assert yaw < 5.0


def test_what_was_pushed_before_the_first_fix_is_turned_into_inertial_axes() -> None:
    body = load_body("qiki-t")
    estimator = Estimator(body)
    truth = quaternion_from_rotation_vector((0.0, 0.0, pi / 2))
    acceleration = 735.0 / 432.0
    for tick in range(1, 401):
        pushing = 100 < tick <= 200
        expected = TickImpulse(735.0 * TICK_S, 0.0, 0.0, 0.0, 0.0, 0.0, 1040.0 * TICK_S) if pushing else None
        estimator.on_imu(
            tick * TICK_NS, TICK_S, (0.0, 0.0, 0.0), (acceleration if pushing else 0.0, 0.0, 0.0), expected
        )
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
    before = estimator.nav
    assert not before.attitude_known
    assert before.velocity == pytest.approx((0.5 * acceleration, 0.0, 0.0), abs=0.02)
    assert estimator.on_attitude(400 * TICK_NS, truth, radians(0.02))
    after = estimator.nav
    assert after.attitude_known
    assert after.velocity == pytest.approx((0.0, 0.5 * acceleration, 0.0), abs=0.02)
    assert after.position[1] == pytest.approx(before.position[0], abs=1e-3)
    assert after.fix_age_ns == 0


def test_a_state_is_frozen_and_carries_its_ages() -> None:
    estimator = Estimator(load_body("qiki-t"))
    assert estimator.nav.imu_age_ns is None
    assert estimator.nav.fix_age_ns is None
    estimator.on_imu(TICK_NS, TICK_S, (0.0, 0.0, 0.0), None)
    estimator.on_attitude(TICK_NS, IDENTITY, 3e-4, 0)
    estimator.on_imu(2 * TICK_NS, TICK_S, (0.0, 0.0, 0.0), None)
    nav = estimator.nav
    assert nav is estimator.nav
    assert nav.fix_age_ns == TICK_NS
    assert nav.imu_age_ns == 0
    with pytest.raises(AttributeError):
        nav.position = (1.0, 0.0, 0.0)  # type: ignore[misc]


def test_a_gap_of_the_gyro_is_bridged_by_the_model_with_growing_doubt() -> None:
    body = load_body("qiki-t")
    estimator = Estimator(body)
    rate = (0.0, 0.0, radians(2.0))
    q = IDENTITY
    for tick in range(1, 2001):
        q = multiply(q, quaternion_from_rotation_vector((0.0, 0.0, rate[2] * TICK_S)))
        estimator.on_imu(tick * TICK_NS, TICK_S, rate, (0.0, 0.0, 0.0))
        if tick % 100 == 0:
            estimator.on_attitude(tick * TICK_NS, q, 3e-4)
            estimator.medium(tick * TICK_NS)
    sigma = estimator.nav.sigma_rate_rad_s
    for tick in range(2001, 2201):
        q = multiply(q, quaternion_from_rotation_vector((0.0, 0.0, rate[2] * TICK_S)))
        estimator.coast(tick * TICK_NS, TICK_S)
    estimator.medium(2200 * TICK_NS)
    nav = estimator.nav
    assert degrees(rotation_angle(nav.quaternion, q)) < 0.1
    assert nav.imu_age_ns == 200 * TICK_NS
    assert nav.sigma_rate_rad_s > 2.0 * sigma
    assert estimator.coasted == 200


def test_a_sun_vector_is_offered_while_it_is_fresh() -> None:
    estimator = Estimator(load_body("qiki-t"))
    assert estimator.nav.sun_body is None
    estimator.on_imu(TICK_NS, TICK_S, (0.0, 0.0, 0.0), None)
    estimator.on_sun(TICK_NS, (0.0, 3.0, 4.0))
    assert estimator.nav.sun_body == pytest.approx((0.0, 0.6, 0.8))
    estimator.medium(TICK_NS + 2_500_000_000)
    assert estimator.nav.sun_body is None


def test_sun_and_field_set_the_attitude_without_a_star_tracker() -> None:
    field = (0.0, 20e-6, -44e-6)
    sun = (0.8, 0.6, 0.0)
    truth = quaternion_from_rotation_vector((0.4, -0.8, 1.1))
    estimator = Estimator(load_body("qiki-t"), magnetic_reference=field)
    estimator.on_imu(TICK_NS, TICK_S, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    estimator.on_sun(TICK_NS, rotate_inverse(truth, sun), inertial=sun)
    assert not estimator.nav.attitude_known
    assert estimator.on_magnetic(TICK_NS, rotate_inverse(truth, field))
    assert degrees(rotation_angle(estimator.nav.quaternion, truth)) < 0.01


def test_the_magnetometer_is_left_alone_without_a_reference() -> None:
    estimator = Estimator(load_body("qiki-t"))
    estimator.on_imu(TICK_NS, TICK_S, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    assert not estimator.on_magnetic(TICK_NS, (1e-6, 2e-6, 3e-6))


def test_a_bench_levels_itself_and_takes_its_first_field_for_heading() -> None:
    estimator = Estimator(load_body("bench-12kg"))
    tilt = quaternion_from_rotation_vector((0.1, -0.05, 0.0))
    up = rotate_inverse(tilt, (0.0, 0.0, 9.80665))
    field = rotate_inverse(tilt, (0.0, 20e-6, -44e-6))
    for tick in range(1, 401):
        estimator.on_imu(tick * TICK_NS, TICK_S, (0.0, 0.0, 0.0), up)
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
        if tick % 20 == 0:
            estimator.on_magnetic(tick * TICK_NS, field)
    nav = estimator.nav
    assert nav.attitude_known
    assert norm(rotate(nav.quaternion, up)[:2] + (0.0,)) < 9.81 * 1e-3
    assert estimator.gravity_used > 10
    assert estimator.filter.vector_updates.refused == 0


def test_free_fall_on_a_bench_is_no_gravity() -> None:
    estimator = Estimator(load_body("bench-12kg"))
    for tick in range(1, 201):
        estimator.on_imu(tick * TICK_NS, TICK_S, (0.0, 0.0, 0.0), (0.0, 0.0, 3.0))
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
    assert not estimator.nav.attitude_known
    assert estimator.gravity_refused > 0


def test_rate_sigma_contains_the_bias() -> None:
    estimator = Estimator(load_body("qiki-t"))
    for tick in range(1, 400):
        estimator.on_imu(tick * TICK_NS, TICK_S, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0))
    nav = estimator.nav
    assert nav.sigma_rate_rad_s >= estimator.filter.noise.bias_start_rad_s
    assert nav.sigma_rate_rad_s < 1.2 * sqrt(estimator.filter.noise.bias_start_rad_s**2 + estimator.observer.variance)
