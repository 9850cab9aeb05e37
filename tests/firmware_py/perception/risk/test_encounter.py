"""Encounters: every column of the check set, and intervals against plain sampling in time."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.risk.columns import encounter_columns
from firmware_py.perception.risk.encounter import (
    HORIZON_S,
    VOLUMES,
    Cylinder,
    Kind,
    Sphere,
    approach,
    cylinder_violation,
    disc_times,
    modified_tau,
    overlap,
    slab_times,
    sphere_violation,
    time_to_coaltitude,
)

DATA = Path(__file__).resolve().parents[3] / "data" / "encounters_excerpt.csv"
WHOLE = Path(__file__).resolve().parents[4].parent / "shared" / "data" / "encounters.csv"
INPUTS = [[f"{who}_{q}{axis}_{unit}" for axis in "xyz"] for who, q, unit in (
    ("own", "", "m"), ("intr", "", "m"), ("own", "v", "mps"), ("intr", "v", "mps"),
)]


def compare(path: Path) -> int:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    found = encounter_columns(*(np.array([[float(row[key]) for key in keys] for row in rows]) for keys in INPUTS))
    given_keys = {"id", "name", *(key for keys in INPUTS for key in keys)}
    expected = [key for key in rows[0] if key not in given_keys]
    assert set(found) == set(expected)
    for name in expected:
        wanted = np.array([float(row[name]) if row[name] else np.nan for row in rows])
        np.testing.assert_allclose(found[name].astype(float), wanted, rtol=1e-6, atol=1e-6, err_msg=name)
    return len(rows)


def test_every_column_of_the_excerpt() -> None:
    assert compare(DATA) > 25


@pytest.mark.skipif(not WHOLE.exists(), reason="the whole check set is not beside the checkout")
def test_every_column_of_every_row() -> None:
    assert compare(WHOLE) >= 122


METRES = st.floats(-120.0, 120.0)
SPEEDS = st.one_of(st.just(0.0), st.floats(-20.0, 20.0).filter(lambda x: abs(x) > 1e-3))
STATES = st.tuples(METRES, METRES, METRES, SPEEDS, SPEEDS, SPEEDS)
TIMES = np.linspace(0.0, HORIZON_S, 18_001)


def columns(state: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([state[:3]]), np.array([state[3:]])


def sampled(violated: np.ndarray, found) -> None:
    """Times that were found hold what the samples say, to a sample at each end."""
    step = TIMES[1]
    hits = TIMES[violated]
    if not len(hits):
        assert np.isnan(found.in_s[0]) or found.out_s[0] - found.in_s[0] <= step
        return
    assert abs(hits[0] - found.in_s[0]) <= step + 1e-6
    assert abs(hits[-1] - found.out_s[0]) <= step + 1e-6
    assert bool(violated[0]) == bool(found.now[0])


@settings(max_examples=60, deadline=None)
@given(STATES, st.sampled_from(list(Kind)), st.sampled_from([
    VOLUMES["craft"], Cylinder(30.0, 10.0, 0.0, 0.0), Cylinder(50.0, 40.0, 4.0, 0.0), Cylinder(5.0, 5.0, 20.0, 12.0),
]))
def test_a_cylinder_is_violated_when_its_definition_says_so_at_that_time(state, kind, volume) -> None:
    s, v = columns(state)
    found = cylinder_violation(volume, s, v, kind)
    moved = s + v * TIMES[:, None]
    flat, level = moved[:, :2], moved[:, 2]
    speeds = np.repeat(v, len(TIMES), axis=0)
    sv, vv = np.einsum("ij,ij->i", flat, speeds[:, :2]), np.einsum("ij,ij->i", speeds[:, :2], speeds[:, :2])
    distance = np.linalg.norm(flat, axis=1)
    with np.errstate(all="ignore"):
        tcpa = -sv / vv
        miss = np.sqrt(np.maximum(distance**2 - sv**2 / vv, 0.0))
        room = np.sqrt(np.maximum(volume.distance_m**2 - miss**2, 0.0) * vv)
        left = {
            Kind.TAUMOD: (volume.distance_m**2 - distance**2) / sv, Kind.TCPA: tcpa, Kind.TEP: (-sv - room) / vv,
        }[kind]
        beside = (distance <= volume.distance_m) | (
            (sv < 0.0) & (miss <= volume.distance_m) & (left >= 0.0) & (left <= volume.time_s)
        )
        soon = -level / v[0, 2]
        at_height = (np.abs(level) <= volume.height_m) | ((soon >= 0.0) & (soon <= volume.coaltitude_s))
    sampled(beside & at_height, found)


@settings(max_examples=60, deadline=None)
@given(STATES)
def test_a_sphere_without_time_is_violated_within_its_distance(state) -> None:
    s, v = columns(state)
    distance = np.linalg.norm(s + v * TIMES[:, None], axis=1)
    sampled(distance <= 20.0, sphere_violation(Sphere(20.0, 0.0), s, v))


@settings(max_examples=60, deadline=None)
@given(STATES)
def test_nothing_ahead_is_nearer_than_the_miss_distance(state) -> None:
    s, v = columns(state)
    found = approach(s, v)
    distance = np.linalg.norm(s + v * TIMES[:, None], axis=1)
    assert distance.min() >= found.miss_m[0] - 1e-6
    if found.tcpa_s[0] >= 0.0:
        there = np.linalg.norm(s + v * found.tcpa_s[0])
        assert there == pytest.approx(found.miss_m[0], abs=1e-6)


def one(*numbers: float) -> np.ndarray:
    return np.array([numbers])


def test_what_is_not_defined_is_no_number() -> None:
    rest, place = one(0.0, 0.0, 0.0), one(3.0, 4.0, 0.0)
    still = approach(place, rest)
    assert (still.range_m[0], still.miss_m[0], still.range_rate_m_s[0]) == (5.0, 5.0, 0.0)
    assert np.isnan([still.tcpa_s[0], still.tau_s[0]]).all()
    met = approach(rest, place)
    assert np.isnan([met.range_rate_m_s[0], met.tau_s[0]]).all()
    assert (met.range_m[0], met.miss_m[0], met.tcpa_s[0]) == (0.0, 0.0, 0.0)
    assert np.isnan(modified_tau(place, place, 1.0)[0])
    for height, rate, time in ((0.0, 0.0, 0.0), (0.0, 2.0, 0.0), (4.0, -2.0, 2.0), (-4.0, 2.0, 2.0)):
        assert time_to_coaltitude(np.array([height]), np.array([rate]))[0] == time
    assert np.isnan(time_to_coaltitude(np.array([4.0, -4.0, 4.0]), np.array([2.0, -2.0, 0.0]))).all()


def test_a_line_that_touches_a_disc_is_within_it_for_a_moment() -> None:
    first, last = disc_times(one(-10.0, 20.0), one(2.0, 0.0), 20.0)
    assert (first[0], last[0]) == (5.0, 5.0)
    first, last = disc_times(one(-10.0, np.nextafter(20.0, 30.0)), one(2.0, 0.0), 20.0)
    assert (first[0], last[0]) == (np.inf, -np.inf)


def test_without_motion_a_volume_is_violated_for_ever_or_never() -> None:
    rest = one(0.0, 0.0)
    assert [t[0] for t in disc_times(one(3.0, 0.0), rest, 3.0)] == [-np.inf, np.inf]
    assert [t[0] for t in disc_times(one(3.1, 0.0), rest, 3.0)] == [np.inf, -np.inf]
    assert [t[0] for t in slab_times(np.array([3.0]), np.array([0.0]), 3.0)] == [-np.inf, np.inf]
    assert [t[0] for t in slab_times(np.array([3.1]), np.array([0.0]), 3.0)] == [np.inf, -np.inf]


def test_intervals_share_what_lies_in_both_and_in_the_look_ahead() -> None:
    def of(*pair: float) -> tuple[np.ndarray, np.ndarray]:
        return np.array([pair[0]]), np.array([pair[1]])

    assert [t[0] for t in overlap(of(-5.0, 7.0), of(2.0, 300.0))] == [2.0, 7.0]
    assert [t[0] for t in overlap(of(-5.0, np.inf), of(-np.inf, 300.0), 10.0)] == [0.0, 10.0]
    for other in ((8.0, 9.0), (-9.0, -6.0), (np.inf, -np.inf)):
        assert np.isnan([t[0] for t in overlap(of(-5.0, 7.0), of(*other))]).all()
    assert np.isnan(overlap(of(181.0, 190.0), of(0.0, 300.0))[0][0])


def test_numbers_that_are_none_stay_none_and_disturb_nobody() -> None:
    good = encounter_columns(one(0.0, 0.0, 0.0), one(60.0, 5.0, 1.0), one(3.0, 0.0, 0.0), one(-2.0, 0.0, 0.0))
    bad = np.array([[np.nan, 0.0, 0.0], [0.0, 0.0, 0.0], [np.inf, 0.0, 0.0]])
    three = [np.repeat(row, 3, axis=0) for row in (one(60.0, 5.0, 1.0), one(3.0, 0.0, 0.0), one(-2.0, 0.0, 0.0))]
    with np.errstate(invalid="ignore"):
        found = encounter_columns(bad, *three)
    for name, column in found.items():
        np.testing.assert_equal(column[1], good[name][0])
    assert np.isnan(found["miss3_m"][0])
    assert not found["sph_now"][[0, 2]].any()


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(n, 3\) is allowed, all the same"):
        encounter_columns(one(1.0, 2.0), one(1.0, 2.0), one(1.0, 2.0), one(1.0, 2.0))
    with pytest.raises(ValueError, match="all the same"):
        encounter_columns(one(1.0, 2.0, 3.0), np.zeros((2, 3)), one(1.0, 2.0, 3.0), one(1.0, 2.0, 3.0))
