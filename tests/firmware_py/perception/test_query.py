"""Questions about tracks: who is chosen, in which order, and how a row reads."""

from __future__ import annotations

import json

import numpy as np
import pytest

from comms.dictionary.commands_perception import RISK_LEVELS
from firmware_py.perception.query import LEVELS, TrackQuery, full_row, select, short_row
from tests.firmware_py.perception.track_lists import NS, track_list

OWN = (0.0, 0.0, 0.0)
TRACKS = track_list(
    [[10, 0, 0, -1, 0, 0], [200, 0, 0, 0, 0, 0], [30, 40, 0, 0, 0, 0], [-5, 0, 0, 1, 0, 0]],
    measured_ns=[10 * NS, 10 * NS, 4 * NS, 9 * NS],
)
RISK = np.array([0, 2, 1, 0], np.int8)


def chosen(query: TrackQuery) -> list[int]:
    return TRACKS.track_id[select(TRACKS, RISK, query, OWN)].tolist()


def test_the_levels_are_those_of_the_dictionary() -> None:
    assert LEVELS == RISK_LEVELS


def test_worst_risk_comes_first_then_the_nearest() -> None:
    assert chosen(TrackQuery()) == [2, 3, 4, 1]


def test_one_track_by_its_id_and_none_by_an_id_that_is_not_there() -> None:
    assert chosen(TrackQuery(track_id=3)) == [3]
    assert chosen(TrackQuery(track_id=99)) == []


def test_a_box_takes_what_lies_in_it_its_walls_included() -> None:
    assert chosen(TrackQuery(low_m=(-5.0, -1.0, -1.0), high_m=(10.0, 1.0, 1.0))) == [4, 1]


def test_risk_is_at_least_the_level() -> None:
    assert chosen(TrackQuery(risk="warn")) == [2, 3]
    assert chosen(TrackQuery(risk="crit")) == [2]


def test_age_counts_from_the_last_measurement() -> None:
    assert chosen(TrackQuery(newer_s=1.0)) == [2, 4, 1]
    assert chosen(TrackQuery(newer_s=0.5)) == [2, 1]


@pytest.mark.parametrize(("arguments", "words"), [
    ({"low_m": (0, 0, 0)}, "low_m and high_m"),
    ({"high_m": (0, 0, 0)}, "low_m and high_m"),
    ({"low_m": (1, 0, 0), "high_m": (0, 1, 1)}, "above"),
])
def test_a_box_with_one_corner_or_turned_over_is_refused(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrackQuery.of(arguments)


def test_a_row_has_every_field_and_says_what_is_missing() -> None:
    row = full_row(TRACKS, 0, 0, np.zeros(6))
    assert row["range_m"] == pytest.approx(10.0)
    assert row["vr_mps"] == pytest.approx(-1.0)
    assert row["transponder_id"] is None
    assert row["id_present"] is False
    assert row["snr_db"] is None
    assert len(row["position_covariance"]) == len(row["velocity_covariance"]) == 6
    assert row["age_s"] == pytest.approx(5.0)
    assert row["range_band"] == "sr"
    json.dumps(row, allow_nan=False)


def test_a_track_on_the_craft_itself_has_no_direction() -> None:
    row = full_row(track_list([[0, 0, 0, 0, 0, 0]]), 0, 0, np.zeros(6))
    assert row["range_m"] == 0.0
    assert row["elev_deg"] is None
    assert row["vr_mps"] is None


def test_a_short_row_is_short_and_plain() -> None:
    row = short_row(TRACKS, 2, 1, OWN)
    assert row == ["unspecified", "unspecified", "warn", 50.0, [30.0, 40.0, 0.0], [0.0, 0.0, 0.0]]
