"""Error models: noise levels as the data sheet says, biases fixed or slow, blindness, same seed same numbers."""

from __future__ import annotations

from math import cos, radians, sqrt

import numpy as np
import pytest

from hal.frames import IDENTITY, multiply, quaternion_from_euler, rotation_angle
from hil.plant.sensors import (
    ADIS16470,
    InertialUnit,
    Magnetometer,
    PowerMonitor,
    StarTracker,
    SunSensor,
    TemperatureSensor,
    normals,
)

MS = 1_000_000
ZERO = (0.0, 0.0, 0.0)


def rng(seed: int = 7) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_normals_are_the_generators_own_in_order() -> None:
    draw = normals(rng(), block=8)
    assert [draw() for _ in range(16)] == rng().standard_normal(16).tolist()


def test_gyro_noise_gives_the_angular_random_walk_of_the_data_sheet() -> None:
    unit = InertialUnit(rng(), 200.0)
    rates = np.array([unit.sample(ZERO, ZERO)[0] for _ in range(20_000)])
    noise = rates - rates.mean(axis=0)
    # Allan deviation at 1 s is the angular random walk: 0.34 deg / sqrt h = 0.34 / 60 deg / sqrt s.
    seconds = noise.reshape(100, 200, 3).mean(axis=1)
    allan = np.sqrt(0.5 * np.mean(np.diff(seconds, axis=0) ** 2))
    assert np.degrees(allan) == pytest.approx(0.34 / 60.0, rel=0.15)


def test_accelerometer_noise_has_its_density() -> None:
    unit = InertialUnit(rng(), 200.0)
    forces = np.array([unit.sample(ZERO, (0.0, 0.0, 9.8))[1] for _ in range(5_000)])
    assert forces.std(axis=0) == pytest.approx(np.full(3, 100e-6 * 9.80665 * sqrt(100.0)), rel=0.05)


def test_turn_on_bias_differs_between_units_and_holds_within_one() -> None:
    biases = np.degrees([InertialUnit(rng(seed)).gyro_bias for seed in range(200)])
    assert biases.std() == pytest.approx(0.2, rel=0.15)
    unit = InertialUnit(rng())
    first = np.array(unit.gyro_bias)
    mean = np.mean([unit.sample(ZERO, ZERO)[0] for _ in range(4_000)], axis=0)
    assert np.allclose(mean, first, atol=radians(0.006))


def test_in_run_drift_is_slow_and_as_large_as_stated() -> None:
    quiet = InertialUnit(rng(), 1.0)
    track = []
    for _ in range(30_000):
        quiet.sample(ZERO, ZERO)
        track.append(quiet.gyro_bias[0])
    wander = np.array(track) - np.mean(track)
    assert np.std(wander) == pytest.approx(ADIS16470.gyro_in_run_rad_s, rel=0.5)
    assert np.std(np.diff(wander)) < 0.15 * np.std(wander)


def test_scale_and_misalignment_are_small_and_constant() -> None:
    unit = InertialUnit(rng())
    still = np.mean([unit.sample(ZERO, ZERO)[0] for _ in range(2_000)], axis=0)
    turning = np.mean([unit.sample((1.0, 0.0, 0.0), ZERO)[0] for _ in range(2_000)], axis=0)
    gain = turning - still
    assert gain[0] == pytest.approx(1.0, abs=5e-3)
    assert np.abs(gain[1:]).max() < 4e-3
    assert gain[0] != 1.0


def test_same_seed_gives_the_same_samples() -> None:
    a, b, other = InertialUnit(rng(1)), InertialUnit(rng(1)), InertialUnit(rng(2))
    first = [a.sample((0.1, 0.0, 0.0), ZERO) for _ in range(5000)]
    assert first == [b.sample((0.1, 0.0, 0.0), ZERO) for _ in range(5000)]
    assert first[0] != other.sample((0.1, 0.0, 0.0), ZERO)


def run_tracker(tracker: StarTracker, seconds: float, **truth: object) -> list:
    state = {"quaternion": IDENTITY, "rate": ZERO, "sun_direction": None, **truth}
    ticks = range(round(seconds * 200) + 1)
    return [s for k in ticks if (s := tracker.step(k * 5 * MS, **state)) is not None]


def test_star_tracker_delivers_the_exposures_attitude_late() -> None:
    tracker = StarTracker(rng(), IDENTITY, sigma_deg=0.0)
    turn = quaternion_from_euler(0.3, -0.2, 0.1)
    assert tracker.step(0, turn, ZERO, None) is None
    assert tracker.step(95 * MS, IDENTITY, ZERO, None) is None
    solution = tracker.step(100 * MS, IDENTITY, ZERO, None)
    assert solution is not None
    assert solution.exposure_ns == 0
    assert solution.quaternion is not None
    assert rotation_angle(solution.quaternion, turn) < 1e-9


def test_star_tracker_speaks_twice_a_second_and_counts() -> None:
    solutions = run_tracker(StarTracker(rng(), IDENTITY), 10.0)
    assert [s.exposure_ns for s in solutions] == [k * 500 * MS for k in range(20)]
    assert [s.counter for s in solutions] == list(range(1, 21))


def test_star_tracker_turns_from_its_own_axes() -> None:
    mount = quaternion_from_euler(-1.5707963, 0.0, 0.0)
    attitude = quaternion_from_euler(0.1, 0.2, 0.3)
    solution = run_tracker(StarTracker(rng(), mount, sigma_deg=0.0), 0.2, quaternion=attitude)[0]
    assert rotation_angle(solution.quaternion, multiply(attitude, mount)) < 1e-7


def test_star_tracker_error_is_as_stated() -> None:
    solutions = run_tracker(StarTracker(rng(), IDENTITY), 500.0)
    angles = np.degrees([rotation_angle(IDENTITY, s.quaternion) for s in solutions])
    assert np.sqrt(np.mean(angles**2) / 3.0) == pytest.approx(0.02, rel=0.05)
    assert np.degrees(solutions[0].sigma_rad) == pytest.approx(0.02)
    assert all(8 <= s.stars < 25 for s in solutions)


def test_star_tracker_is_blind_when_turning_fast() -> None:
    fast = run_tracker(StarTracker(rng(), IDENTITY), 0.2, rate=(0.0, radians(2.1), 0.0))[0]
    slow = run_tracker(StarTracker(rng(), IDENTITY), 0.2, rate=(0.0, radians(1.9), 0.0))[0]
    assert (fast.too_fast, fast.quaternion, fast.stars) == (True, None, 0)
    assert slow.quaternion is not None


@pytest.mark.parametrize(("angle_deg", "blinded"), [(29.0, True), (31.0, False)])
def test_star_tracker_is_blinded_near_the_sun(angle_deg: float, blinded: bool) -> None:
    attitude = quaternion_from_euler(0.0, radians(90.0 - angle_deg), 0.0)
    # The boresight, body Z, points angle_deg away from inertial X.
    sun = (1.0, 0.0, 0.0)
    solution = run_tracker(StarTracker(rng(), IDENTITY), 0.2, quaternion=attitude, sun_direction=sun)[0]
    assert solution.blinded is blinded
    assert (solution.quaternion is None) is blinded
    dark = run_tracker(StarTracker(rng(), IDENTITY), 0.2, quaternion=attitude, sun_direction=None)[0]
    assert not dark.blinded


def test_sun_sensor_follows_the_cosine_and_sees_nothing_behind() -> None:
    sensor = SunSensor(rng(), (1.0, 0.0, 0.0), 60_000.0)
    at_60_deg = [sensor.sample((0.5, cos(radians(30.0)), 0.0)) for _ in range(4_000)]
    assert np.mean(at_60_deg) == pytest.approx(30_000.0, rel=1e-3)
    assert np.std(at_60_deg) == pytest.approx(60_000.0 * radians(0.5), rel=0.05)
    assert sensor.sample((-0.1, 0.99, 0.0)) == 0.0
    assert sensor.sample((1.0, 0.0, 0.0), 0.0) == 0.0
    assert min(sensor.sample((0.001, 1.0, 0.0)) for _ in range(100)) >= 0.0


def test_magnetometer_has_noise_and_a_fixed_hard_iron_bias() -> None:
    sensor = Magnetometer(rng(), scale=0.0)
    fields = np.array([sensor.sample((0.0, 20e-6, -44e-6)) for _ in range(4_000)])
    assert fields.std(axis=0) == pytest.approx(np.full(3, 15e-9), rel=0.05)
    assert np.allclose(fields.mean(axis=0) - (0.0, 20e-6, -44e-6), sensor.bias, atol=2e-9)
    assert 0.0 < np.abs(sensor.bias).max() < 1e-6


def test_temperatures_are_within_a_degree() -> None:
    sensor = TemperatureSensor(rng(), 4)
    readings = np.array([sensor.sample((20.0, -40.0, 0.0, 85.0)) for _ in range(500)])
    assert np.allclose(readings.mean(axis=0) - (20.0, -40.0, 0.0, 85.0), sensor.bias_c, atol=0.01)
    assert np.abs(sensor.bias_c).max() <= 1.0
    with pytest.raises(ValueError, match="argument"):
        sensor.sample((20.0,))


def test_power_monitor_stays_within_its_data_sheet() -> None:
    for seed in range(20):
        monitor = PowerMonitor(rng(seed), 0.004)
        readings = np.array([monitor.sample(26.8, 5.0) for _ in range(300)])
        voltage, current = readings.mean(axis=0)
        assert abs(voltage - 26.8) < 26.8 * 5e-4 + 2.5e-3 + 1e-4
        assert abs(current - 5.0) < 5.0 * 5e-4 + 1e-6 / 0.004 + 1e-4
    with pytest.raises(ValueError, match="shunt"):
        PowerMonitor(rng(), 0.0)
