"""Field map: drift and gradient are baseline, an object is not; affected samples are left out."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.perception.anomaly import ScienceHit
from firmware_py.perception.field_map import FieldConfig, FieldMap
from tests.firmware_py.perception.track_columns import SECOND

ALL = np.full(3, -1e6), np.full(3, 1e6)
EARTH = np.array((20e-6, -5e-6, 40e-6))
GRADIENT = np.array(((2e-9, 0.0, 1e-9), (0.0, -1e-9, 0.0), (1e-9, 0.0, -1e-9)))
TICK = SECOND // 10
Vec3 = tuple[float, float, float]


def vector(array: np.ndarray) -> Vec3:
    x, y, z = array.tolist()
    return (x, y, z)


class Flight:
    """A craft on a straight line at 1 m/s that measures ten times a second."""

    def __init__(self, config: FieldConfig | None = None, noise_t: float = 20e-9) -> None:
        self.chart = FieldMap(config)
        self.rng = np.random.default_rng(5)
        self.noise_t = noise_t
        self.ticks = 0
        self.hits: list[ScienceHit] = []

    def fly(self, seconds: float, extra: object = None, affected: bool = False) -> None:
        for _ in range(round(seconds * 10)):
            self.ticks += 1
            position = np.array((self.ticks * 0.1, 0.0, 0.0))
            field = EARTH + GRADIENT @ position + self.rng.normal(0.0, self.noise_t, 3)
            if extra is not None:
                field = field + extra(position)  # type: ignore[operator]
            self.chart.follow(position)
            hit = self.chart.add(self.ticks * TICK, vector(field), vector(position), affected=affected)
            if hit is not None:
                self.hits.append(hit)


def dipole(place: np.ndarray, moment: float) -> object:
    def field(position: np.ndarray) -> np.ndarray:
        away = position - place
        distance = float(np.linalg.norm(away))
        along = away / distance
        m = np.array((0.0, 0.0, moment))
        return np.asarray(1e-7 * (3.0 * along * (along @ m) - m) / distance ** 3)

    return field


def test_a_field_with_a_gradient_leaves_only_noise() -> None:
    flight = Flight()
    flight.fly(200.0)
    assert not flight.hits
    assert flight.chart.sigma_t == pytest.approx(20e-9, rel=0.3)
    region = flight.chart.region(*ALL)
    late = (region.centre_m[:, 0] > 60.0) & (region.count > 50)
    assert late.sum() > 10
    assert np.abs(region.mean_t[late]).max() < 15e-9
    assert flight.chart.samples == 1800


def test_an_object_is_an_event_where_it_is() -> None:
    flight = Flight()
    flight.fly(100.0, dipole(np.array((90.0, 4.0, 0.0)), 400.0))
    assert len(flight.hits) == 1
    assert 75.0 < flight.hits[0].position_m[0] < 95.0
    assert flight.hits[0].source == "field"
    region = flight.chart.region(*ALL)
    assert 80.0 <= region.centre_m[int(np.argmax(region.peak_t)), 0] <= 100.0
    # Passing it has not made it the baseline: far behind it residuals are noise again.
    flight.fly(60.0)
    assert len(flight.hits) == 1
    behind = flight.chart.region(np.array((130.0, -5.0, -5.0)), np.array((150.0, 5.0, 5.0)))
    assert np.abs(behind.mean_t).max() < 30e-9


def test_pulses_of_the_crafts_own_currents_are_left_out() -> None:
    flight = Flight()
    flight.fly(60.0)
    flight.fly(10.0, lambda _position: np.full(3, 5e-6), affected=True)
    flight.fly(20.0)
    assert not flight.hits
    assert flight.chart.affected == 100
    assert flight.chart.refused["affected"] == 100
    assert not flight.chart.region(*ALL).affected.any()


def test_affected_samples_may_be_mapped_but_never_learnt_nor_told() -> None:
    flight = Flight(FieldConfig(leave_out_affected=False))
    flight.fly(60.0)
    flight.fly(10.0, lambda _position: np.full(3, 5e-6), affected=True)
    region = flight.chart.region(*ALL)
    assert int(region.affected.sum()) == 100
    flight.fly(20.0)
    assert not flight.hits


def test_nothing_is_told_before_the_baseline_has_settled() -> None:
    flight = Flight()
    flight.fly(15.0, lambda position: np.full(3, 1e-6 * (position[0] > 7.0)))
    assert flight.chart.samples == 0
    assert len(flight.chart.region(*ALL)) == 0


def test_a_reference_model_is_taken_away_first() -> None:
    chart = FieldMap()
    rng = np.random.default_rng(2)
    hits = 0
    for tick in range(900):
        angle = tick * 0.02
        reference = 40e-6 * np.array((np.cos(angle), np.sin(angle), 0.0))
        field = reference + rng.normal(0.0, 20e-9, 3)
        hits += chart.add(tick * TICK, vector(field), (0.0, 0.0, 0.0), reference_t=vector(reference)) is not None
    assert hits == 0
    assert chart.sigma_t < 40e-9


def test_bad_samples_are_refused_by_name() -> None:
    chart = FieldMap()
    zero = (0.0, 0.0, 0.0)
    chart.add(SECOND, vector(EARTH), zero)
    chart.add(2 * SECOND, (float("nan"), 0.0, 0.0), zero)
    chart.add(2 * SECOND, (1.0, 0.0, 0.0), zero)
    chart.add(2 * SECOND, vector(EARTH), (float("inf"), 0.0, 0.0))
    chart.add(0, vector(EARTH), zero)
    chart.add(2 * SECOND, vector(EARTH), zero, reference_t=(float("nan"), 0.0, 0.0))
    assert chart.refused == {"value": 3, "position": 1, "late": 1, "outside": 0, "affected": 0}


def test_a_place_out_of_the_map_is_counted_and_not_mapped() -> None:
    chart = FieldMap()
    for tick in range(300):
        chart.add(tick * TICK, vector(EARTH), (1e5, 0.0, 0.0))
    assert chart.refused["outside"] == chart.samples == 100
    assert len(chart.region(*ALL)) == 0


def test_memory_is_fixed_and_the_same_flight_gives_the_same_map() -> None:
    flights = [Flight(FieldConfig(shape=(8, 8, 8))) for _ in range(2)]
    size = flights[0].chart.nbytes
    for flight in flights:
        flight.fly(120.0)
    regions = [flight.chart.region(*ALL) for flight in flights]
    assert flights[0].chart.nbytes == size
    assert regions[0].mean_t.tobytes() == regions[1].mean_t.tobytes()
    assert len(regions[0]) <= 8
