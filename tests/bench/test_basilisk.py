"""The comparison's instrument: body gref, the plain plant, the edge auditor, the LP floor, the judge, both plants."""

from __future__ import annotations

from dataclasses import replace
from math import cos, pi, radians, sin, sqrt
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench.basilisk as subject
from bench._basilisk_experiment import (
    AXES,
    Gains,
    Ours,
    Record,
    Replay,
    Setup,
    audit_edges,
    error_deg,
    floor_n_s,
    fly,
    judge,
    lp_floor_n_s,
    turned_by,
)
from bench._basilisk_plant import MISSING, fly_basilisk_chain, fly_on_basilisk, mrp_gains, quaternion_from_mrp
from bench._gref_plant import PlainPlant, fly_plain
from bench.harness import Report
from firmware_py.gnc.allocation import Allocator
from hal.frames import IDENTITY, norm, quaternion_from_rotation_vector, rotate, subtract
from hal.profile import load_body
from hal.profile.body import NozzleConfig
from hal.profile.controllability import wrench_matrix
from hal.propulsion import PulsePlan
from hil.pulse_rules import PulseRule, PulseRuleChecker

MATRIX = Path(__file__).resolve().parents[3] / "shared" / "data" / "allocation_matrix_gref.csv"
GREF = load_body("gref")
COUNT = len(GREF.propulsion.nozzles)
WINDOW = GREF.propulsion.window_ms
needs_basilisk = pytest.mark.skipif(MISSING is not None, reason="bsk is not installed (extra peers)")


def one_pulse(nozzle: int, open_ms: int, close_ms: int) -> PulsePlan:
    opens, closes = [0] * COUNT, [0] * COUNT
    opens[nozzle], closes[nozzle] = open_ms, close_ms
    return PulsePlan(WINDOW, tuple(opens), tuple(closes))


def states(*bursts: tuple[int, int], length: int = 20_000) -> np.ndarray:
    """One nozzle that is on in the given spans, ms."""
    on = np.zeros((length, 1), dtype=bool)
    for start, stop in bursts:
        on[start:stop] = True
    return on


def box_body():
    """Twelve 1 N nozzles in pure couples: an arm of 1 m about each axis, both ways."""
    layout = []
    for axis in range(3):
        arm, push = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3]
        for turn in (1.0, -1.0):
            layout += [(arm, turn * push), (-arm, -turn * push)]
    nozzles = tuple(
        NozzleConfig(n, "rcs_c01", tuple(place.tolist()), tuple(force.tolist()), 1.0)
        for n, (place, force) in enumerate(layout)
    )
    return msgspec.structs.replace(GREF, propulsion=msgspec.structs.replace(GREF.propulsion, nozzles=nozzles))


# -- body gref


def test_gref_has_the_wrenches_of_the_published_matrix() -> None:
    if not MATRIX.exists():
        pytest.skip("../shared/data/allocation_matrix_gref.csv is not here")
    assert np.abs(wrench_matrix(GREF) - np.loadtxt(MATRIX, delimiter=",")).max() < 1e-8


def test_gref_follows_from_its_geometry() -> None:
    golden = (1.0 + sqrt(5.0)) / 2.0
    columns = []
    for face in ((0, 1, golden), (0, -1, golden), (golden, 0, -1), (-golden, 0, -1)):
        normal = np.array(face) / np.linalg.norm(face)
        up = np.array([0.0, 0.0, 1.0]) - normal[2] * normal
        up /= np.linalg.norm(up)
        side = np.cross(normal, up)
        for azimuth in (45.0, 135.0, 225.0, 315.0):
            a, cant = radians(azimuth), radians(40.0)
            exhaust = cos(cant) * normal + sin(cant) * (cos(a) * up + sin(a) * side)
            columns.append(np.concatenate([-exhaust, np.cross(0.5 * normal, -exhaust)]))
    assert np.abs(wrench_matrix(GREF) - np.array(columns).T).max() < 1e-9
    assert GREF.mass.dry_kg + GREF.mass.propellant_kg == 60.0
    assert np.array_equal(np.array(GREF.mass.inertia_kg_m2), np.diag([6.0, 5.6, 5.2]))


# -- plain plant


def test_free_rotation_keeps_angular_momentum_and_energy() -> None:
    plant = PlainPlant(GREF, rate=(0.3, -0.2, 0.25))
    inertia = np.diag(GREF.mass.inertia_kg_m2)

    def momentum() -> np.ndarray:
        truth = plant.truth()
        return np.array(rotate(truth.quaternion, tuple((inertia * truth.rate).tolist())))

    before, energy = momentum(), float(inertia @ np.square(plant.truth().rate))
    for _ in range(240):
        plant.advance(PulsePlan.shut(COUNT, WINDOW))
    assert np.abs(momentum() - before).max() < 1e-9
    assert float(inertia @ np.square(plant.truth().rate)) == pytest.approx(energy, rel=1e-9)
    assert norm(subtract(plant.truth().rate, (0.3, -0.2, 0.25))) > 0.01, "a triaxial body does not spin steadily"


@pytest.mark.parametrize("nozzle", range(COUNT))
def test_a_pulse_gives_the_impulse_of_its_length(nozzle: int) -> None:
    plant = PlainPlant(GREF)
    plant.advance(one_pulse(nozzle, 110, 140))
    wrench = wrench_matrix(GREF)[:, nozzle] * 0.030
    assert np.array(plant.truth().velocity) == pytest.approx(wrench[:3] / 60.0, abs=1e-7)
    assert np.diag(GREF.mass.inertia_kg_m2) * plant.truth().rate == pytest.approx(wrench[3:], abs=1e-5)
    record = plant.record()
    assert record.impulse_n_s == pytest.approx(0.030)
    assert record.on.sum() == 30
    assert record.on[110:140, nozzle].all()
    assert record.t_s[-1] == pytest.approx(0.25)


def test_a_burn_over_two_windows_is_one_pulse_and_ends_unless_it_is_continued() -> None:
    plant = PlainPlant(GREF)
    for open_ms, close_ms in ((150, WINDOW), (0, 80), (200, WINDOW), (0, 0)):
        plant.advance(one_pulse(3, open_ms, close_ms))
    record = plant.record()
    edges = np.diff(record.on[:, 3].astype(int), prepend=0).nonzero()[0]
    assert edges.tolist() == [150, 330, 700, 750]
    assert record.impulse_n_s == pytest.approx(0.230)


# -- edge auditor


def test_legal_pulses_break_no_rule() -> None:
    prop = GREF.propulsion
    on = states(
        (0, prop.min_on_ms), (prop.min_on_ms + prop.min_off_ms, 200), (1000, 1000 + prop.max_burn_ms),
        (1000 + prop.max_burn_ms + prop.cooldown_ms, 1000 + prop.max_burn_ms + prop.cooldown_ms + 30),
    )
    audit = audit_edges(on, GREF)
    assert audit.violations == 0
    assert audit.pulses == 4


@pytest.mark.parametrize(
    ("rule", "bursts"),
    [
        ("min_on", [(100, 129)]),
        ("min_off", [(100, 200), (229, 300)]),
        ("max_burn", [(100, 3101)]),
        ("cooldown", [(100, 3100), (9099, 9200)]),
        ("cooldown", [(100, 2851), (8850, 8900)]),
    ],
)
def test_each_broken_rule_is_counted_as_itself(rule: str, bursts: list[tuple[int, int]]) -> None:
    audit = audit_edges(states(*bursts), GREF)
    assert getattr(audit, rule) == 1
    assert audit.violations == 1


def test_a_pulse_that_still_runs_at_the_end_may_be_short() -> None:
    assert audit_edges(states((19_990, 20_000)), GREF).violations == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(1, 3500), min_size=1, max_size=24))
def test_the_auditor_counts_as_the_checker_of_the_rig_does(lengths: list[int]) -> None:
    marks = np.cumsum([50, *lengths]).tolist()
    bursts = [(marks[k], marks[k + 1]) for k in range(0, len(marks) - 1, 2)]
    audit = audit_edges(states(*bursts, length=marks[-1] + 40), GREF)
    prop = GREF.propulsion
    checker = PulseRuleChecker(prop.min_on_ms, prop.min_off_ms, prop.max_burn_ms, prop.cooldown_ms, 1)
    for start, stop in bursts:
        checker.feed(start * 1_000_000, 0, True)
        checker.feed(stop * 1_000_000, 0, False)
    found = [violation.rule for violation in checker.violations]
    assert audit.min_on == found.count(PulseRule.MIN_ON)
    assert audit.min_off == found.count(PulseRule.MIN_OFF)
    assert audit.max_burn == found.count(PulseRule.MAX_BURN)
    # Ours begins a window before the longest burn, as the flight software does.
    assert audit.cooldown >= found.count(PulseRule.COOLDOWN)


# -- floor


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.floats(-50.0, 50.0)] * 3))
def test_with_pure_couples_of_one_metre_the_floor_is_the_sum_of_the_momenta(wanted: tuple[float, ...]) -> None:
    assert lp_floor_n_s(box_body(), wanted, 300.0) == pytest.approx(sum(map(abs, wanted)), abs=1e-6)


def test_a_momentum_beyond_what_the_time_allows_is_refused() -> None:
    # One couple is 2 N m.
    assert lp_floor_n_s(box_body(), (0.0, 0.0, 19.9), 10.0) == pytest.approx(19.9)
    with pytest.raises(ValueError, match="no firing makes"):
        lp_floor_n_s(box_body(), (0.0, 0.0, 20.1), 10.0)


def test_the_floor_of_a_hold_grows_with_time_and_is_above_the_best_lever() -> None:
    floor = floor_n_s(GREF, (0.0, 0.0, 0.03), 300.0)
    assert floor == pytest.approx(2.0 * floor_n_s(GREF, (0.0, 0.0, 0.03), 150.0))
    assert floor >= 9.0 / np.abs(wrench_matrix(GREF)[5]).max()


# -- judge


def test_figures_of_a_record_made_by_hand() -> None:
    t = np.arange(0.0, 10.001, 0.01)
    angle = np.radians(np.where(t < 4.0, 20.0 - 4.8 * t, 0.5))
    target = turned_by((0.0, 0.0, 1.0), 30.0)
    turn = radians(30.0) - angle
    quaternion = np.stack([np.cos(turn / 2), 0 * t, 0 * t, np.sin(turn / 2)], axis=1)
    velocity = np.outer(t, (0.0003, 0.0, 0.0004))
    record = Record(t, quaternion, np.zeros((len(t), 3)), velocity, states((0, 50), (100, 200), length=10_000), 0.15)
    assert error_deg(record, target) == pytest.approx(np.degrees(angle), abs=1e-9)
    figures = judge(record, target)
    assert figures.settled_s == pytest.approx(3.96, abs=0.011)
    assert figures.rms_deg == pytest.approx(0.5, abs=0.01)
    assert figures.late_rms_deg == pytest.approx(0.5)
    assert figures.drift_mm_s == pytest.approx(5.0)
    assert figures.pulses == 2
    assert judge(replace(record, quaternion=quaternion[::-1]), target).settled_s == float("inf")


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.floats(-1.0, 1.0)] * 3), st.floats(0.0, 0.99 * pi))
def test_modified_rodrigues_parameters_become_the_same_turn(axis: tuple[float, ...], angle: float) -> None:
    length = norm(axis)
    if length < 1e-3:
        return
    turn = np.array(axis) / length
    sigma = turn * np.tan(angle / 4.0)
    wanted = quaternion_from_rotation_vector(tuple((turn * angle).tolist()))
    assert quaternion_from_mrp(sigma) == pytest.approx(wanted, abs=1e-12)


def test_the_gains_of_both_chains_mean_one_frequency_and_damping() -> None:
    k, p, ki = mrp_gains(GREF, Gains(0.5, 0.7, 20.0))
    mean = (6.0 + 5.6 + 5.2) / 3.0
    assert sqrt(k / 4.0 / mean) == pytest.approx(0.5)
    assert p / mean / (2.0 * 0.5) == pytest.approx(0.7)
    # The integral adds up to the proportional part, K sigma, in integral_s: P Ki K sigma integral_s = K sigma.
    assert p * ki * 20.0 == pytest.approx(1.0)
    assert mrp_gains(GREF, Gains())[2] < 0.0


# -- flights


def test_the_chain_flies_the_same_slew_again_and_ends_on_target_within_the_rules() -> None:
    allocator, target = Allocator(GREF), turned_by(AXES["mixed"])
    kept = Replay(Ours.slew(GREF, allocator, target, Setup()))
    first = fly_plain(GREF, kept, 30.0)
    again = fly(PlainPlant(GREF), kept.again(), 30.0)
    assert np.array_equal(first.quaternion, again.quaternion)
    assert error_deg(first)[-1] == pytest.approx(90.0, abs=1.0)
    figures = judge(first, target)
    assert figures.settled_s < 30.0
    assert figures.pulses > 0
    assert audit_edges(first.on, GREF).violations == 0


def test_without_basilisk_the_subject_says_so_and_fails_nothing_it_cannot_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subject, "MISSING", "no module")
    report = Report("basilisk", tmp_path)
    subject.run(report, ("z",), ())
    assert {figure.reference for figure in report.figures} == {subject.NOT_INSTALLED}
    assert all(isinstance(figure.value, (int, float)) for figure in report.figures if figure.target is not None)
    assert not [figure for figure in report.figures if "Basilisk's" in figure.figure]


@needs_basilisk
def test_the_same_pulses_move_basilisks_craft_as_ours() -> None:
    allocator, torque = Allocator(GREF), (0.02, -0.01, 0.03)
    kept = Replay(Ours.slew(GREF, allocator, turned_by(AXES["mixed"]), Setup()))
    theirs = fly_on_basilisk(GREF, kept, 20.0, torque)
    ours = fly_plain(GREF, kept.again(), 20.0, torque)
    assert np.array_equal(theirs.on, ours.on)
    assert theirs.impulse_n_s == pytest.approx(ours.impulse_n_s)
    assert theirs.t_s == pytest.approx(ours.t_s)
    for name in ("quaternion", "rate", "velocity"):
        assert getattr(theirs, name) == pytest.approx(getattr(ours, name), abs=1e-6)


@needs_basilisk
def test_basilisks_chain_slews_and_its_pulses_account_for_its_drift() -> None:
    record = fly_basilisk_chain(GREF, turned_by(AXES["z"]), Gains(), 30.0)
    assert judge(record, turned_by(AXES["z"])).settled_s < 30.0
    assert judge(record, IDENTITY).settled_s == float("inf")
    assert record.impulse_n_s == pytest.approx(record.on.sum() * 1e-3, rel=0.05)
