"""Identifier: who the lists say, unknown when asked in vain, and verdicts that don't flap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firmware_py.perception.iff import Identifier, IffConfig, asked_in_short_range
from firmware_py.perception.observation import NO_ID, Band, Iff, Status, TransponderMode
from tests.firmware_py.perception.track_columns import make_tracks

FRIEND_ID, FOE_ID, STRANGER = 10, 20, 30
ON = {"transponder_mode": TransponderMode.ON}
TICK_S = 0.25


class Look:
    """One track, looked at four times a second."""

    def __init__(self) -> None:
        self.identifier = Identifier([FRIEND_ID], [FOE_ID])
        self.t_s = 0.0

    def see(self, seconds: float, asked: bool = True, **columns: Any) -> Iff:
        verdict = Iff.UNSPECIFIED
        for _ in range(max(1, round(seconds / TICK_S))):
            tracks = make_tracks(1, self.t_s, **columns)
            verdict = Iff(int(self.identifier.step(tracks, np.array([asked]))[0]))
            self.t_s += TICK_S
        return verdict


@pytest.mark.parametrize(("number", "verdict"), [(FRIEND_ID, Iff.FRIEND), (FOE_ID, Iff.FOE), (STRANGER, Iff.UNKNOWN)])
def test_the_lists_decide(number: int, verdict: Iff) -> None:
    assert Look().see(3.0, transponder_id=number, **ON) is verdict


def test_who_is_asked_and_silent_is_unknown_and_who_is_not_asked_unspecified() -> None:
    assert Look().see(0.0) is Iff.UNKNOWN
    assert Look().see(5.0, asked=False) is Iff.UNSPECIFIED
    assert Identifier().step(make_tracks(2)).tolist() == [Iff.UNSPECIFIED] * 2


def test_caution_waits_for_nothing_and_friendship_does() -> None:
    assert Look().see(0.0, transponder_id=FOE_ID, **ON) is Iff.FOE
    assert Look().see(0.0, transponder_id=FRIEND_ID, **ON) is Iff.UNSPECIFIED
    assert Look().see(1.5, transponder_id=FRIEND_ID, **ON) is Iff.FRIEND


def test_a_friend_stays_one_through_short_silence_and_not_for_ever() -> None:
    look = Look()
    look.see(3.0, transponder_id=FRIEND_ID, **ON)
    assert look.see(9.0, transponder_id=FRIEND_ID) is Iff.FRIEND
    assert look.see(6.0, transponder_id=FRIEND_ID) is Iff.UNKNOWN


def test_a_foe_that_falls_silent_or_changes_its_name_is_still_a_foe() -> None:
    look = Look()
    look.see(1.0, transponder_id=FOE_ID, **ON)
    assert look.see(30.0) is Iff.FOE
    assert look.see(30.0, transponder_id=STRANGER, **ON) is Iff.FOE
    assert look.see(1.0, transponder_id=NO_ID, transponder_mode=TransponderMode.SPOOF) is Iff.FOE


def test_an_unknown_is_not_forgotten_because_nobody_asks() -> None:
    look = Look()
    look.see(1.0)
    assert look.see(20.0, asked=False) is Iff.UNKNOWN
    assert look.see(4.0, transponder_id=FRIEND_ID, **ON) is Iff.FRIEND


def test_a_spoofed_friend_is_unknown_at_once() -> None:
    look = Look()
    look.see(3.0, transponder_id=FRIEND_ID, **ON)
    assert look.see(0.0, transponder_id=FRIEND_ID, transponder_mode=TransponderMode.SPOOF) is Iff.UNKNOWN


def test_an_identity_that_comes_and_goes_does_not_flap() -> None:
    look = Look()
    look.see(3.0, transponder_id=FRIEND_ID, **ON)
    seen = set()
    for tick in range(80):
        seen.add(look.see(0.0, transponder_id=FRIEND_ID if tick % 3 else STRANGER, **ON))
    assert seen == {Iff.FRIEND}


def test_many_tracks_are_judged_each_by_itself() -> None:
    identifier = Identifier([FRIEND_ID], [FOE_ID])
    ids = np.array([FRIEND_ID, FOE_ID, STRANGER, NO_ID, NO_ID])
    asked = np.array([True, True, True, True, False])
    for tick in range(20):
        verdicts = identifier.step(make_tracks(5, tick * TICK_S, transponder_id=ids, **ON), asked)
    assert verdicts.tolist() == [Iff.FRIEND, Iff.FOE, Iff.UNKNOWN, Iff.UNKNOWN, Iff.UNSPECIFIED]


def test_the_short_range_radar_asks_what_it_follows() -> None:
    tracks = make_tracks(3, band=np.array([Band.SR, Band.LR, Band.SR]),
                         status=np.array([Status.TRACKED, Status.TRACKED, Status.NEW]))
    assert asked_in_short_range(tracks).tolist() == [True, False, False]


def test_memory_is_bounded() -> None:
    identifier = Identifier(config=IffConfig(limit=32))
    size = identifier.memory.nbytes
    for call in range(40):
        identifier.step(make_tracks(50, call * 1.0, track_id=np.arange(50) + 50 * call))
    assert identifier.memory.nbytes == size
    assert len(identifier.step(make_tracks(0))) == 0


@pytest.mark.parametrize(("friends", "foes"), [([1], [1]), ([-1], []), (range(2000), [])])
def test_lists_that_cannot_be_are_refused_by_name(friends: Any, foes: Any) -> None:
    with pytest.raises(ValueError, match=r"one or the other|allowed"):
        Identifier(friends, foes)


def test_settings_that_cannot_be_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="change_s"):
        IffConfig(change_s=float("nan"))
