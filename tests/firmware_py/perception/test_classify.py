"""Classifier: two kinds of evidence that agree, or nothing; the same whoever is beside whom."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_py.perception.classify import LOOKS, Classifier, ClassifyConfig
from firmware_py.perception.observation import ObjectType, TransponderMode
from tests.firmware_py.perception.track_columns import make_tracks

T = ObjectType
DRONE, SHIP, STATION, ASTEROID, DEBRIS = (LOOKS[k] for k in range(5))


def watched(classifier: Classifier, seconds: float, count: int = 1, start_s: float = 0.0, **columns: Any) -> list[int]:
    """Types after so many seconds at 4 Hz; columns may be functions of time."""
    kinds = np.zeros(count, np.int8)
    for tick in range(round(seconds * 4) + 1):
        t_s = start_s + tick * 0.25
        now = {name: value(t_s) if callable(value) else value for name, value in columns.items()}
        kinds = classifier.step(make_tracks(count, t_s, **now))
    return kinds.tolist()


def jerky(t_s: float) -> list[list[float]]:
    return [[3.0 * ((t_s // 3.0) % 2.0), 0.0, 0.0]]


@pytest.mark.parametrize(("look", "moves"), [(DRONE, True), (SHIP, True), (DEBRIS, False)])
def test_echo_size_and_motion_together_tell(look: Any, moves: bool) -> None:
    columns: dict[str, Any] = {"rcs_dbsm": look.rcs_dbsm[0], "extent_m": 10.0 ** look.log_radius[0]}
    if moves:
        columns["velocity"] = jerky
    assert watched(Classifier(), 70.0, **columns) == [look.kind]


def test_one_kind_of_evidence_is_not_enough() -> None:
    assert watched(Classifier(), 5.0, rcs_dbsm=SHIP.rcs_dbsm[0]) == [T.UNSPECIFIED]
    assert watched(Classifier(), 5.0, extent_m=0.5) == [T.UNSPECIFIED]
    named = {"transponder_id": 9, "transponder_mode": TransponderMode.ON}
    assert watched(Classifier({9: T.SHIP}), 5.0, **named) == [T.UNSPECIFIED]


def test_nothing_measured_is_nothing_known() -> None:
    assert watched(Classifier(), 40.0) == [T.UNSPECIFIED]


def test_station_and_asteroid_of_one_size_need_a_declaration() -> None:
    look = {"rcs_dbsm": 28.0, "extent_m": 35.0}
    assert watched(Classifier(), 60.0, **look) == [T.UNSPECIFIED]
    named = {**look, "transponder_id": 9, "transponder_mode": TransponderMode.ON}
    assert watched(Classifier({9: T.STATION}), 60.0, **named) == [T.STATION]
    fast = {**look, "velocity": [[500.0, 0.0, 0.0]]}
    assert watched(Classifier(), 60.0, **fast) == [T.ASTEROID]


def test_a_declaration_that_size_and_echo_contradict_is_not_believed() -> None:
    look = {"rcs_dbsm": -10.0, "extent_m": 0.4, "transponder_id": 9, "transponder_mode": TransponderMode.ON}
    assert watched(Classifier({9: T.STATION}), 40.0, **look)[0] != T.STATION


def test_a_spoofed_transponder_declares_nothing() -> None:
    look = {"rcs_dbsm": 28.0, "transponder_id": 9, "transponder_mode": TransponderMode.SPOOF}
    assert watched(Classifier({9: T.STATION}), 10.0, **look) == [T.UNSPECIFIED]


def test_what_looks_like_no_type_stays_unspecified() -> None:
    assert watched(Classifier(), 40.0, rcs_dbsm=70.0, extent_m=0.02) == [T.UNSPECIFIED]


def test_single_outliers_move_no_verdict() -> None:
    classifier = Classifier()
    ship = {"rcs_dbsm": SHIP.rcs_dbsm[0], "extent_m": 6.0, "velocity": jerky}
    assert watched(classifier, 40.0, **ship) == [T.SHIP]
    assert watched(classifier, 0.25, start_s=40.25, **{**ship, "rcs_dbsm": -30.0}) == [T.SHIP]
    assert watched(classifier, 5.0, start_s=41.0, **ship) == [T.SHIP]


def test_noise_of_an_estimate_is_no_manoeuvre() -> None:
    rng = np.random.default_rng(3)
    debris = {"rcs_dbsm": -10.0, "extent_m": 0.4, "sigma_m_s": 0.5,
              "velocity": lambda _t: rng.normal(0.0, 0.5, (1, 3))}
    assert watched(Classifier(), 70.0, **debris) == [T.DEBRIS]


def test_the_same_look_twice_is_one_look() -> None:
    classifier = Classifier()
    one = make_tracks(1, 1.0, rcs_dbsm=15.0, extent_m=6.0)
    for _ in range(10):
        assert classifier.step(one).tolist() == [T.UNSPECIFIED]


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(5)))
def test_a_verdict_depends_on_no_other_track_and_no_order(order: list[int]) -> None:
    rcs = np.array([look.rcs_dbsm[0] for look in LOOKS])
    size = np.array([10.0 ** look.log_radius[0] for look in LOOKS])
    ids = np.arange(5) + 1
    straight, mixed = Classifier(), Classifier()
    for tick in range(24):
        first = straight.step(make_tracks(5, tick * 0.25, rcs_dbsm=rcs, extent_m=size))
        again = mixed.step(make_tracks(
            5, tick * 0.25, rcs_dbsm=rcs[order], extent_m=size[order], track_id=ids[order],
        ))
    assert first[order].tolist() == again.tolist()


def test_memory_is_bounded_whatever_comes_by() -> None:
    classifier = Classifier(config=ClassifyConfig(limit=64))
    size = classifier.memory.nbytes
    for call in range(50):
        kinds = classifier.step(make_tracks(100, call * 0.25, track_id=np.arange(100) + 90 * call))
        assert len(kinds) == 100
    assert classifier.memory.nbytes == size
    assert classifier.memory.refused > 0
    assert len(classifier.step(make_tracks(0))) == 0


def test_bad_numbers_are_no_evidence() -> None:
    classifier = Classifier()
    columns = {"rcs_dbsm": np.array([np.inf, np.nan, 15.0]), "extent_m": np.array([-1.0, 0.0, np.nan]),
               "velocity": np.full((3, 3), np.nan)}
    assert watched(classifier, 20.0, 3, **columns) == [T.UNSPECIFIED] * 3


@pytest.mark.parametrize("changes", [{"kinds": 0}, {"probability": 0.4}, {"declared": 1.0}, {"window_s": 0.0},
                                     {"looks": 0}])
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        ClassifyConfig(**changes)  # type: ignore[arg-type]
