"""Estimator: a recorded flight is followed, states join, gaps and first fixes are survived."""

from __future__ import annotations

import csv
import gzip
from math import degrees, inf, nan, pi, radians, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.gnc.consistency import Agreement, Refusal
from firmware_py.gnc.estimator import Estimator
from firmware_py.gnc.pulse_book import TickImpulse
from hal.frames import (
    IDENTITY,
    Quaternion,
    Vec3,
    add,
    conjugate,
    euler_from_quaternion,
    multiply,
    norm,
    quaternion_from_rotation_vector,
    rotate,
    rotate_inverse,
    rotation_angle,
    scale,
    subtract,
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


ZERO: Vec3 = (0.0, 0.0, 0.0)


def at_rest(estimator: Estimator, ticks: int, start: int = 0) -> int:
    """Ticks at rest with fixes and vectors; returns the last tick's number."""
    for tick in range(start + 1, start + ticks + 1):
        now = tick * TICK_NS
        estimator.on_imu(now, TICK_S, ZERO, ZERO)
        if tick % 100 == 0:
            estimator.on_attitude(now, IDENTITY, 3e-4)
        if tick % 10 == 0:
            estimator.medium(now)
    return start + ticks


@pytest.mark.parametrize("rate", [(nan, 0.0, 0.0), (0.0, inf, 0.0), (0.0, 0.0, 1e9), (0.0, 0.0)])
def test_a_gyro_sample_that_is_none_is_like_no_sample(rate: Vec3) -> None:
    estimator, beside = Estimator(load_body("qiki-t")), Estimator(load_body("qiki-t"))
    for flown in (estimator, beside):
        at_rest(flown, 400)
    for tick in range(401, 421):
        assert not estimator.on_imu(tick * TICK_NS, TICK_S, rate, ZERO)
        beside.coast(tick * TICK_NS, TICK_S)
    assert estimator.nav == beside.nav
    assert estimator.coasted == 20
    assert sum(estimator.refusals.values()) == 20
    assert estimator.nav.imu_age_ns == 20 * TICK_NS


@pytest.mark.parametrize(
    ("force", "reason"),
    [((nan, 0.0, 0.0), Refusal.NOT_FINITE), ((0.0, 1e9, 0.0), Refusal.OUT_OF_RANGE), ((0.0, 0.0), Refusal.LENGTH)],
)
def test_a_force_that_is_none_is_like_no_force(force: Vec3, reason: Refusal) -> None:
    estimator, beside = Estimator(load_body("qiki-t")), Estimator(load_body("qiki-t"))
    push = TickImpulse(735.0 * TICK_S, 0.0, 0.0, 0.0, 0.0, 0.0, 1040.0 * TICK_S)
    for tick in range(1, 41):
        estimator.on_imu(tick * TICK_NS, TICK_S, ZERO, force, push)
        beside.on_imu(tick * TICK_NS, TICK_S, ZERO, None, push)
    assert estimator.nav == beside.nav
    assert estimator.refusals[reason] == 40


@pytest.mark.parametrize("dt", [0.0, -0.005, nan, inf])
def test_a_time_step_that_is_none_is_counted_and_changes_nothing(dt: float) -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 400)
    before = estimator.nav
    estimator.on_imu(last * TICK_NS, dt, (1.0, 0.0, 0.0), (1.0, 0.0, 0.0))
    estimator.coast(last * TICK_NS, dt)
    assert estimator.refusals[Refusal.TIME_STEP] == 2
    assert estimator.nav.quaternion == before.quaternion
    assert estimator.nav.velocity == before.velocity
    assert estimator.coasted == 0


def test_an_expected_push_that_is_none_is_none() -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 400)
    estimator.on_imu((last + 1) * TICK_NS, TICK_S, ZERO, ZERO, TickImpulse(nan, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    estimator.coast((last + 2) * TICK_NS, TICK_S, TickImpulse(1e12, 0.0, 0.0, 0.0, 0.0, 0.0, 1e12))
    assert estimator.refusals[Refusal.NOT_FINITE] == 1
    assert estimator.refusals[Refusal.OUT_OF_RANGE] == 1
    assert norm(estimator.nav.velocity) < 1e-3


@pytest.mark.parametrize(
    ("vector", "age", "reason"),
    [
        (ZERO, 0, Refusal.NO_DIRECTION), ((nan, 0.0, 1.0), 0, Refusal.NOT_FINITE), ((0.0, 1.0), 0, Refusal.LENGTH),
        ((0.0, 0.0, 1.0), -1, Refusal.FUTURE), ((0.0, 0.0, 1.0), 10**11, Refusal.TOO_OLD),
    ],
)
def test_a_vector_that_is_none_is_named(vector: Vec3, age: int, reason: Refusal) -> None:
    estimator = Estimator(load_body("qiki-t"), magnetic_reference=(0.0, 0.0, 1.0))
    # Longer than the memory of attitudes, so that an age can be beyond it.
    last = at_rest(estimator, 600)
    assert not estimator.on_sun(last * TICK_NS, vector, inertial=(0.0, 0.0, 1.0), age_ns=age)
    assert not estimator.on_magnetic(last * TICK_NS, vector, age_ns=age)
    assert estimator.refusals[reason] == 2
    assert sum(estimator.refusals.values()) == 2


def test_consistency_says_which_sensor_does_not_fit() -> None:
    rng = np.random.default_rng(3)
    estimator = Estimator(load_body("qiki-t"))
    assert estimator.consistency.attitude.agreement is Agreement.TOO_FEW
    inertial = (0.0, 0.6, 0.8)
    for tick in range(1, 40 * 200 + 1):
        now = tick * TICK_NS
        noise = (estimator.filter.noise.random_walk_rad_rts / sqrt(TICK_S) * rng.standard_normal(3)).tolist()
        estimator.on_imu(now, TICK_S, (noise[0], noise[1], noise[2]), ZERO)
        if tick % 100 == 0:
            x, y, z = (3e-4 * rng.standard_normal(3)).tolist()
            estimator.on_attitude(now, quaternion_from_rotation_vector((x, y, z)), 3e-4)
        if tick % 40 == 0:
            x, y, z = (np.array(inertial) + radians(1.5) * rng.standard_normal(3)).tolist()
            estimator.on_sun(now, (x, y, z), radians(0.5), inertial)
        if tick % 10 == 0:
            estimator.medium(now)
    consistency = estimator.consistency
    assert consistency.attitude.agreement is Agreement.WITHIN
    assert consistency.sun.agreement is Agreement.OVERCONFIDENT
    assert consistency.relative.agreement is Agreement.TOO_FEW
    assert not consistency.within


def ranged(estimator: Estimator, place: Vec3, attitude: Quaternion, now: int, age_ns: int = 0) -> bool:
    """A range with bearing to a place (inertial, from the centre of mass) with the sensor at the centre of mass."""
    return estimator.on_range_bearing(
        now, norm(place), rotate_inverse(attitude, place), 0.02, radians(0.3), age_ns, mount_m=(0.0, 0.0, 0.1)
    )


def test_a_target_is_followed_through_the_crafts_own_push() -> None:
    body = load_body("qiki-t")
    estimator = Estimator(body)
    acceleration = 735.0 / 432.0
    place, speed = np.array([30.0, 2.0, -1.0]), np.zeros(3)
    assert estimator.nav.relative is None
    for tick in range(1, 2001):
        now = tick * TICK_NS
        pushing = 1000 < tick <= 1100
        change = np.array([acceleration * TICK_S, 0.0, 0.0]) if pushing else np.zeros(3)
        place, speed = place + speed * TICK_S - 0.5 * change * TICK_S, speed - change
        expected = TickImpulse(735.0 * TICK_S, 0.0, 0.0, 0.0, 0.0, 0.0, 1040.0 * TICK_S) if pushing else None
        estimator.on_imu(now, TICK_S, ZERO, (acceleration if pushing else 0.0, 0.0, 0.0), expected)
        if tick % 100 == 0:
            estimator.on_attitude(now, IDENTITY, 3e-4)
        if tick % 40 == 0:
            assert ranged(estimator, tuple(place.tolist()), IDENTITY, now)
        if tick % 10 == 0:
            estimator.medium(now)
    relative = estimator.nav.relative
    assert relative is not None
    assert relative.position == pytest.approx(tuple(place.tolist()), abs=0.05)
    assert relative.velocity == pytest.approx((-0.5 * acceleration, 0.0, 0.0), abs=0.03)
    assert relative.measurement_age_ns == 0
    assert estimator.consistency.relative.accepted > 30


def test_a_target_first_seen_long_after_boot_is_kept() -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 40 * 200)
    assert ranged(estimator, (10.0, 0.0, 0.0), IDENTITY, last * TICK_NS)
    for tick in range(last + 1, last + 21):
        estimator.on_imu(tick * TICK_NS, TICK_S, ZERO, ZERO)
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
    relative = estimator.nav.relative
    assert relative is not None
    assert relative.measurement_age_ns == 20 * TICK_NS
    assert estimator.relative.lost == 0


@pytest.mark.parametrize("sampled", [True, False])
def test_a_stop_of_seconds_passes_in_place_and_age_as_well(sampled: bool) -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 400)
    estimator.navigation.velocity = (0.5, 0.0, 0.0)
    assert ranged(estimator, (10.0, 0.0, 0.0), IDENTITY, last * TICK_NS)
    before = estimator.nav
    now = last * TICK_NS + 4_000_000_000
    if sampled:
        assert not estimator.on_imu(now, 4.0, ZERO, ZERO)
    else:
        estimator.coast(now, 4.0)
    estimator.medium(now)
    after = estimator.nav
    assert estimator.refusals[Refusal.TIME_STEP] == 1
    assert after.position[0] - before.position[0] == pytest.approx(2.0, abs=1e-6)
    assert after.sigma_position_m >= before.sigma_position_m
    assert after.sigma_attitude_rad > 2.0 * before.sigma_attitude_rad
    assert (after.t_ns, after.imu_age_ns) == (now, 4_000_000_000)
    assert after.relative is not None
    assert after.relative.measurement_age_ns == 4_000_000_000


def test_a_clock_that_goes_back_leaves_what_was_measured_as_old_as_it_was() -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 4000)
    fixed = estimator.nav.fix_age_ns
    assert fixed is not None
    estimator.on_sun(last * TICK_NS, (1.0, 0.0, 0.0))
    for tick in range(1, 601):
        estimator.on_imu(tick * TICK_NS, TICK_S, ZERO, ZERO)
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
    nav = estimator.nav
    # From the last tick to the first after it no time is known to have passed.
    assert nav.fix_age_ns == fixed + 599 * TICK_NS
    assert nav.imu_age_ns == 0
    assert nav.sun_body is None


def test_what_is_unsure_of_a_push_makes_the_way_to_the_target_unsure() -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 200)
    for tick in range(last + 1, last + 2001):
        estimator.on_imu(tick * TICK_NS, TICK_S, ZERO, ZERO)
        if tick % 20 == 0:
            ranged(estimator, (20.0, 0.0, 0.0), IDENTITY, tick * TICK_NS)
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
    before = estimator.nav.relative
    # No accelerometer: the expected push alone, wrong by its share.
    for tick in range(last + 2001, last + 2101):
        estimator.on_imu(tick * TICK_NS, TICK_S, ZERO, None, TickImpulse(3.675, 0.0, 0.0, 0.0, 0.0, 0.0, 5.2))
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
    after = estimator.nav.relative
    assert before is not None
    assert after is not None
    assert after.velocity[0] == pytest.approx(-0.85, abs=0.02)
    assert after.sigma_velocity_m_s > 2.0 * before.sigma_velocity_m_s


def test_a_target_seen_before_the_first_fix_is_turned_with_it() -> None:
    estimator = Estimator(load_body("qiki-t"))
    truth = quaternion_from_rotation_vector((0.0, 0.0, pi / 2))
    for tick in range(1, 401):
        estimator.on_imu(tick * TICK_NS, TICK_S, ZERO, ZERO)
        if tick % 10 == 0:
            estimator.medium(tick * TICK_NS)
            ranged(estimator, (10.0, 0.0, 0.0), IDENTITY, tick * TICK_NS)
    assert estimator.on_attitude(400 * TICK_NS, truth, 3e-4)
    relative = estimator.nav.relative
    assert relative is not None
    assert relative.position == pytest.approx((0.0, 10.0, 0.0), abs=0.05)
    assert ranged(estimator, (0.0, 10.0, 0.0), truth, 400 * TICK_NS)


def test_a_target_stays_where_the_body_saw_it_when_the_attitude_is_found_anew() -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 400)
    assert ranged(estimator, (10.0, 0.0, 0.0), IDENTITY, last * TICK_NS)
    truth = quaternion_from_rotation_vector((0.0, 0.0, 0.5))
    for tick in range(last + 1, last + 601):
        estimator.on_imu(tick * TICK_NS, TICK_S, ZERO, ZERO)
        if tick % 100 == 0:
            estimator.on_attitude(tick * TICK_NS, truth, 3e-4)
    assert estimator.filter.attitude_updates.reacquired == 1
    nav = estimator.nav
    assert nav.relative is not None
    assert rotate_inverse(nav.quaternion, nav.relative.position) == pytest.approx((10.0, 0.0, 0.0), abs=0.1)


@pytest.mark.parametrize(
    ("range_m", "direction", "sigma", "age", "reason"),
    [
        (nan, (1.0, 0.0, 0.0), 0.01, 0, Refusal.NOT_FINITE), (5.0, ZERO, 0.01, 0, Refusal.NO_DIRECTION),
        (5.0, (1.0, 0.0, 0.0), nan, 0, Refusal.BAD_SIGMA), (5.0, (1.0, 0.0, 0.0), 0.01, -5, Refusal.FUTURE),
        (5.0, (1.0, 0.0, 0.0), 0.01, 10**11, Refusal.TOO_OLD),
    ],
)
def test_a_range_that_is_none_is_named(
    range_m: float, direction: Vec3, sigma: float, age: int, reason: Refusal
) -> None:
    estimator = Estimator(load_body("qiki-t"))
    last = at_rest(estimator, 600)
    assert not estimator.on_range_bearing(last * TICK_NS, range_m, direction, 0.02, sigma, age)
    assert estimator.refusals[reason] == 1
    assert estimator.nav.relative is None


FLOATS = st.one_of(st.floats(width=32), st.sampled_from([0.0, 0.01, nan, inf, -inf, 1e300, 1e-300]))
VECTORS = st.one_of(
    st.lists(FLOATS, min_size=2, max_size=4).map(tuple), st.tuples(*[st.floats(-9.0, 9.0)] * 3)
)
QUATERNIONS = st.one_of(
    st.lists(FLOATS, min_size=3, max_size=5).map(tuple),
    st.tuples(*[st.floats(-3.0, 3.0)] * 3).map(quaternion_from_rotation_vector),
)
STEPS = st.one_of(FLOATS, st.floats(1e-3, 0.5))
AGES = st.integers(-(10**8), 3 * 10**9)
SIGMAS = st.one_of(FLOATS, st.floats(1e-5, 1.0))
PUSHES = st.one_of(st.none(), st.lists(FLOATS, min_size=7, max_size=7).map(lambda row: TickImpulse(*row)))
ACTIONS = st.one_of(
    st.tuples(st.just("imu"), STEPS, VECTORS, st.one_of(st.none(), VECTORS), PUSHES),
    st.tuples(st.just("coast"), STEPS, PUSHES),
    st.tuples(st.just("star"), QUATERNIONS, SIGMAS, AGES),
    st.tuples(st.just("sun"), VECTORS, SIGMAS, AGES),
    st.tuples(st.just("field"), VECTORS, SIGMAS, AGES),
    st.tuples(st.just("range"), FLOATS, VECTORS, SIGMAS, AGES),
    st.tuples(st.just("medium")),
)


BODIES = {name: load_body(name) for name in ("qiki-t", "bench-12kg")}


@pytest.mark.parametrize("body", list(BODIES))
@settings(max_examples=120, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=30), steps=st.lists(st.integers(-(10**7), 10**8), min_size=30, max_size=30))
def test_no_order_of_bad_inputs_raises_or_leaves_anything_but_finite(
    body: str, actions: list[tuple], steps: list[int]
) -> None:
    estimator = Estimator(BODIES[body], magnetic_reference=(0.0, 0.6, -0.8))
    now = 0
    for action, step in zip(actions, steps, strict=False):
        kind, *rest = action
        now += step
        if kind == "imu":
            estimator.on_imu(now, *rest)
        elif kind == "coast":
            estimator.coast(now, *rest)
        elif kind == "star":
            estimator.on_attitude(now, *rest)
        elif kind == "sun":
            estimator.on_sun(now, rest[0], rest[1], (0.0, 0.0, 1.0), rest[2])
        elif kind == "field":
            estimator.on_magnetic(now, *rest)
        elif kind == "range":
            estimator.on_range_bearing(now, rest[0], rest[1], rest[2], rest[2], rest[3])
        else:
            estimator.medium(now)
    estimator.medium(now)
    nav = estimator.nav
    numbers = [
        *nav.quaternion, *nav.rate, *nav.gyro_bias, *nav.accel_bias, *nav.position, *nav.velocity,
        nav.sigma_attitude_rad, nav.sigma_rate_rad_s, nav.sigma_position_m, nav.sigma_velocity_m_s,
    ]
    if nav.relative is not None:
        numbers += [*nav.relative.position, *nav.relative.velocity, nav.relative.sigma_position_m]
    assert np.isfinite(numbers).all()
    p = estimator.filter.covariance
    assert np.array_equal(p, p.T)
    assert np.linalg.eigvalsh(p)[0] > 0.0
    assert all(count >= 0 for count in estimator.refusals.values())
    assert isinstance(estimator.consistency.within, bool)


# -- another inertial unit

SPARE_PLACE: Vec3 = (0.2, 0.05, 0.05)
FLOWN_BIAS: Vec3 = (radians(0.2), radians(-0.1), radians(0.15))
TURNING: Vec3 = (0.0, 0.0, radians(2.0))


class TwoUnits:
    """A craft that turns steadily, flown by a unit that is exchanged."""

    def __init__(self) -> None:
        self.estimator = Estimator(load_body("qiki-t"))
        self.bias = FLOWN_BIAS
        self.q: Quaternion = IDENTITY
        self.tick = 0

    def sample(self) -> Vec3:
        return add(TURNING, self.bias)

    def fly(self, seconds: float, fixes: bool = True) -> None:
        for _ in range(round(seconds * 200)):
            self.tick += 1
            self.q = multiply(self.q, quaternion_from_rotation_vector(scale(TURNING, TICK_S)))
            self.estimator.on_imu(self.tick * TICK_NS, TICK_S, self.sample(), (0.0, 0.0, 0.0))
            if self.tick % 40 == 0 and fixes:
                self.estimator.on_attitude(self.tick * TICK_NS, self.q, 3e-4)
            if self.tick % 10 == 0:
                self.estimator.medium(self.tick * TICK_NS)

    def off(self) -> float:
        return rotation_angle(self.estimator.nav.quaternion, self.q)


@pytest.mark.parametrize(
    ("known", "sampled", "sigma_deg_s"), [(True, False, 0.25), (True, True, 0.25), (False, True, 0.25)],
    ids=["bias_learnt", "bias_learnt_and_sample", "sample_alone"],
)
def test_another_unit_whose_bias_is_known_or_seen_in_its_first_sample_flies_on_smoothly(
    known: bool, sampled: bool, sigma_deg_s: float
) -> None:
    craft = TwoUnits()
    craft.fly(60.0)
    before = craft.estimator.nav
    craft.bias = (radians(-1.2), radians(0.8), radians(2.0))
    craft.estimator.change_imu(
        SPARE_PLACE, craft.sample() if sampled else None, craft.bias if known else None, radians(0.1)
    )
    after = craft.estimator.nav
    assert (after.quaternion, after.position, after.velocity) == (before.quaternion, before.position, before.velocity)
    assert after.gyro_bias == pytest.approx(craft.bias, abs=radians(0.02))
    assert degrees(craft.estimator.filter.sigma_bias_rad_s) == pytest.approx(sigma_deg_s)
    assert after.sigma_attitude_rad >= radians(0.1)
    assert after.sigma_rate_rad_s > before.sigma_rate_rad_s
    worst = 0.0
    for _ in range(100):
        craft.fly(0.1)
        worst = max(worst, craft.off())
        assert craft.estimator.nav.rate == pytest.approx(TURNING, abs=radians(0.1))
    assert worst < radians(0.1)


@pytest.mark.parametrize("bias", [None, (radians(3.01), 0.0, 0.0), (0.0, 0.0, radians(-3.01))])
def test_of_another_unit_nothing_is_taken_for_bias_that_is_none(bias: Vec3 | None) -> None:
    craft = TwoUnits()
    craft.fly(30.0)
    sample = None if bias is None else add(TURNING, bias)
    for given_bias, given_sample in ((bias, None), (None, sample)):
        craft.estimator.change_imu(SPARE_PLACE, given_sample, given_bias)
        assert craft.estimator.nav.gyro_bias == (0.0, 0.0, 0.0)
        assert degrees(craft.estimator.filter.sigma_bias_rad_s) == pytest.approx(1.0)


def test_another_unit_of_unknown_bias_is_put_right_by_fixes() -> None:
    craft = TwoUnits()
    craft.fly(60.0)
    craft.bias = (radians(-1.2), radians(0.8), radians(1.0))
    craft.estimator.change_imu(SPARE_PLACE)
    craft.fly(30.0)
    assert craft.estimator.nav.gyro_bias == pytest.approx(craft.bias, abs=radians(0.02))
    assert craft.off() < radians(0.05)
    assert craft.estimator.filter.attitude_updates.refused == 0


@pytest.mark.parametrize(("doubt_deg", "fits"), [(2.0, True), (0.0, False)])
def test_with_the_doubt_about_the_last_unit_the_next_fix_puts_the_attitude_right(doubt_deg: float, fits: bool) -> None:
    craft = TwoUnits()
    craft.fly(60.0)
    # The last unit was wrong by 4 deg/s for half a second before it was found out.
    craft.bias = add(FLOWN_BIAS, (0.0, radians(4.0), 0.0))
    craft.fly(0.5, fixes=False)
    craft.bias = (radians(0.4), 0.0, 0.0)
    craft.estimator.change_imu(SPARE_PLACE, None, craft.bias, radians(doubt_deg))
    craft.fly(0.2)
    assert (craft.estimator.filter.attitude_updates.refused == 0) is fits
    assert (craft.off() < radians(0.1)) is fits
    assert norm(subtract(craft.estimator.nav.gyro_bias, craft.bias)) < radians(0.3)


def test_another_units_accelerometer_begins_anew_at_its_own_place() -> None:
    craft = TwoUnits()
    place: Vec3 = (0.0, 1.0, 0.0)
    craft.fly(10.0)
    craft.estimator.change_imu(place, None, FLOWN_BIAS)
    assert craft.estimator.nav.accel_bias == (0.0, 0.0, 0.0)
    body = load_body("qiki-t").mass.centre_of_mass_m
    arm = (place[0] - body[0], place[1] - body[1])
    w2 = TURNING[2] ** 2
    for _ in range(2000):
        craft.tick += 1
        craft.estimator.on_imu(craft.tick * TICK_NS, TICK_S, craft.sample(), (-w2 * arm[0], -w2 * arm[1], 0.0))
    assert craft.estimator.navigation.bias == pytest.approx((0.0, 0.0, 0.0), abs=2e-4)
