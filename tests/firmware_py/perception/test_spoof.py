"""SpoofWatch: every contradiction has its name, honest tracks have none, and all passes after a while."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firmware_py.perception.observation import NO_ID, Status, TransponderMode
from firmware_py.perception.spoof import (
    MAX_DECLARATIONS,
    Declarations,
    Place,
    SpoofConfig,
    SpoofReason,
    SpoofVerdict,
    SpoofWatch,
)
from firmware_py.perception.tracks import TrackSet
from tests.firmware_py.perception.track_columns import SECOND, make_tracks

R = SpoofReason
ON = {"transponder_mode": TransponderMode.ON}
TICK_S = 0.25


def declared(t_s: float, number: int, position: Any, velocity: Any = (np.nan,) * 3) -> Declarations:
    return Declarations(
        np.array([number]), np.array([round(t_s * SECOND)]), np.array([position], float), np.array([velocity], float),
    )


class Look:
    """Some tracks, looked at four times a second."""

    def __init__(self, *places: Place, **config: Any) -> None:
        self.watch = SpoofWatch(places, SpoofConfig(**config))
        self.t_s = 0.0

    def see(self, frames: int, count: int, says: Any = None, long_range: Any = None, **columns: Any) -> SpoofVerdict:
        for _ in range(frames):
            now = {name: value(self.t_s) if callable(value) else value for name, value in columns.items()}
            tracks: TrackSet = make_tracks(count, self.t_s, **now)
            said = None if says is None else says(self.t_s)
            verdict = self.watch.step(tracks, said, long_range)
            self.t_s += TICK_S
        return verdict


def test_honest_tracks_stay_what_they_are() -> None:
    look = Look(Place(7, (0.0, 0.0, 0.0), 500.0))
    rng = np.random.default_rng(1)
    verdict = look.see(
        200, 3, lambda t: declared(t, 7, (2.0 * t, 0.0, 0.0), (2.0, 0.0, 0.0)), transponder_id=[7, 8, NO_ID],
        transponder_mode=[1, 1, 0], velocity=[[2.0, 0.0, 0.0]] * 3,
        position=lambda t: np.array([(2.0 * t, 0, 0), (100 + 2 * t, 0, 0), (0, 300, 0)]) + rng.normal(0, 1, (3, 3)),
    )
    assert verdict.transponder_mode.tolist() == [TransponderMode.ON, TransponderMode.ON, TransponderMode.OFF]
    assert not verdict.reasons.any()
    assert sum(look.watch.totals.values()) == 0


def test_one_identity_at_two_places_is_believed_at_neither() -> None:
    look = Look()
    verdict = look.see(3, 3, transponder_id=[7, 8, 7], **ON)
    assert verdict.names(0) == verdict.names(2) == ("two_places",)
    assert verdict.names(1) == ()
    assert verdict.transponder_mode.tolist() == [TransponderMode.SPOOF, TransponderMode.ON, TransponderMode.SPOOF]
    assert look.watch.totals[R.TWO_PLACES] == 2


def test_one_object_seen_twice_is_no_spoof() -> None:
    verdict = Look().see(10, 2, transponder_id=7, position=[[0.0, 0, 0], [60.0, 0, 0]], **ON)
    assert not verdict.reasons.any()
    vague = Look().see(10, 2, transponder_id=7, position=[[0.0, 0, 0], [300.0, 0, 0]], sigma_m=40.0, **ON)
    assert not vague.reasons.any()


def test_a_single_frame_of_contradiction_is_none() -> None:
    look = Look()
    assert not look.see(2, 2, transponder_id=7, position=[[0.0, 0, 0], [500.0, 0, 0]], **ON).reasons.any()
    look.see(1, 2, transponder_id=[7, NO_ID], **ON)
    assert not look.see(2, 2, transponder_id=7, position=[[0.0, 0, 0], [500.0, 0, 0]], **ON).reasons.any()


@pytest.mark.parametrize(
    ("position", "velocity"), [((80.0, 0.0, 0.0), (np.nan,) * 3), ((0.0, 0.0, 0.0), (0.0, 30.0, 0.0))],
)
def test_what_the_radar_sees_otherwise_is_a_contradiction(position: Any, velocity: Any) -> None:
    verdict = Look().see(3, 1, lambda t: declared(t, 7, position, velocity), transponder_id=7, **ON)
    assert verdict.names(0) == ("contradicts_radar",)


def test_declarations_are_compared_at_their_own_time() -> None:
    look = Look()
    verdict = look.see(
        20, 1, lambda t: declared(t - 1.0, 7, (100.0 * (t - 1.0), 0.0, 0.0)), transponder_id=7,
        position=lambda t: [[100.0 * t, 0.0, 0.0]], velocity=[[100.0, 0.0, 0.0]], **ON,
    )
    assert not verdict.reasons.any()


def test_declarations_now_and_then_add_up_and_silence_between_them_does_not_clear() -> None:
    look = Look()
    verdict = look.see(
        40, 1, lambda t: declared(t, 7, (900.0, 0.0, 0.0)) if (t / TICK_S) % 10 == 0 else None, transponder_id=7, **ON,
    )
    assert verdict.names(0) == ("contradicts_radar",)


def test_declarations_without_use_are_counted() -> None:
    look = Look()
    for position, number, t_s in (((np.nan, 0, 0), 7, 0.0), ((0, 0, 0), 99, 0.0), ((0, 0, 0), 7, -60.0)):
        look.watch.step(make_tracks(1, transponder_id=7, **ON), declared(t_s, number, position))
    assert look.watch.unused == 3
    many = MAX_DECLARATIONS + 10
    flood = Declarations(np.full(many, 7), np.zeros(many, np.int64), np.zeros((many, 3)), np.zeros((many, 3)))
    assert not look.watch.step(make_tracks(1, transponder_id=7, **ON), flood).reasons.any()
    assert look.watch.unused == 13


def test_a_jump_that_nothing_can_make_counts_at_once() -> None:
    look = Look()
    look.see(4, 1, transponder_id=7, **ON)
    verdict = look.see(1, 1, transponder_id=7, track_id=55, position=[[5000.0, 0.0, 0.0]], **ON)
    assert verdict.names(0) == ("impossible_jump",)


def test_hard_flying_is_no_jump() -> None:
    verdict = Look().see(
        80, 1, transponder_id=7, position=lambda t: [[0.5 * 15.0 * t * t, 0.0, 0.0]],
        velocity=lambda t: [[15.0 * t, 0.0, 0.0]], **ON,
    )
    assert not verdict.reasons.any()


def test_a_friend_out_of_its_place_is_not_believed() -> None:
    station = Place(7, (1000.0, 0.0, 0.0), 200.0)
    assert Look(station).see(5, 1, transponder_id=7, **ON).names(0) == ("out_of_place",)
    assert not Look(station).see(5, 1, transponder_id=7, position=[[900.0, 0, 0]], **ON).reasons.any()
    assert not Look(station).see(5, 1, transponder_id=8, **ON).reasons.any()


def test_who_says_spoof_is_believed_at_once() -> None:
    assert Look().see(1, 1, transponder_id=7, transponder_mode=TransponderMode.SPOOF).names(0) == ("says_spoof",)


def test_an_identity_told_by_long_range_is_not_believed() -> None:
    look = Look()
    assert not look.see(2, 2, long_range=np.array([7]), transponder_id=[7, NO_ID], **ON).reasons.any()
    # Frames of other sensors between them clear nothing.
    look.see(2, 2, transponder_id=[7, NO_ID], **ON)
    verdict = look.see(1, 2, long_range=np.array([7, NO_ID]), transponder_id=[7, NO_ID], **ON)
    assert (verdict.names(0), verdict.names(1)) == (("long_range",), ())


def test_contradictions_that_are_far_between_do_not_add_up() -> None:
    look = Look(clean_s=5.0)
    for _ in range(6):
        verdict = look.see(1, 1, long_range=np.array([7]), transponder_id=7, **ON)
        look.see(30, 1, long_range=np.empty(0, np.int64), transponder_id=7, **ON)
    assert not verdict.reasons.any()


def test_an_identity_that_is_clean_for_long_enough_is_believed_again() -> None:
    look = Look(clean_s=5.0)
    look.see(4, 2, transponder_id=7, position=[[0.0, 0, 0], [500.0, 0, 0]], **ON)
    apart = {"transponder_id": [7, NO_ID], "position": [[0.0, 0, 0], [500.0, 0, 0]]}
    assert look.see(18, 2, **apart, **ON).transponder_mode[0] == TransponderMode.SPOOF
    assert look.see(4, 2, **apart, **ON).transponder_mode[0] == TransponderMode.ON


def test_tracks_that_are_not_firm_bear_no_witness() -> None:
    verdict = Look().see(5, 2, transponder_id=7, position=[[0.0, 0, 0], [900.0, 0, 0]],
                         status=[Status.TRACKED, Status.NEW], **ON)
    assert not verdict.reasons.any()


def test_a_thousand_tracks_of_one_identity_are_bounded_work_and_memory() -> None:
    look = Look(limit=64)
    sizes = [memory.nbytes for memory in look.watch.memories]
    for call in range(5):
        look.see(1, 1000, transponder_id=7, track_id=np.arange(1000) + call * 1000, **ON)
    look.see(1, 1000, transponder_id=np.arange(1000), **ON)
    assert [memory.nbytes for memory in look.watch.memories] == sizes
    assert look.watch.memories[0].refused > 0
    assert len(look.watch.step(make_tracks(0, 9.0)).reasons) == 0


@pytest.mark.parametrize("changes", [{"frames": 0}, {"gate_m": 0.0}, {"clean_s": float("nan")}])
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="allowed"):
        SpoofConfig(**changes)  # type: ignore[arg-type]


def test_places_and_columns_that_cannot_be_are_refused() -> None:
    ball = Place(7, (0.0, 0.0, 0.0), 1.0)
    with pytest.raises(ValueError, match="one place"):
        SpoofWatch([ball, ball])
    with pytest.raises(ValueError, match="radius"):
        Place(7, (0.0, 0.0, 0.0), 0.0)
    with pytest.raises(ValueError, match="needed"):
        Declarations(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros((1, 3)), np.zeros((2, 3)))
