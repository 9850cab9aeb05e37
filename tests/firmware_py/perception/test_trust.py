"""Quality and trust: the formula, supporters and their cap, conflicts that last and pass, a word for each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py.perception.observation import NO_ID, Frame, Pose, SensorKind, Status
from firmware_py.perception.trust import (
    MAX_REPORTS,
    Reports,
    TrustConfig,
    TrustVerdict,
    TrustWatch,
    TrustWord,
    frame_reports,
    quality,
)
from hal.frames import quaternion_from_euler, rotate_inverse
from tests.firmware_py.perception.track_columns import SECOND, make_tracks

W = TrustWord
TICK_S = 0.25


def reports(t_s: float, *rows: tuple[int, int, float]) -> Reports:
    """Sensor, track, and by how many metres it is off; the tracks stand 100 m apart."""
    sensor, track, off = (np.array([row[k] for row in rows]) for k in range(3))
    position = np.stack((100.0 * (track - 1.0), off, np.zeros(len(rows))), axis=1)
    return Reports(
        sensor.astype(np.int64), track.astype(np.int64), np.full(len(rows), round(t_s * SECOND)), position,
        np.full((len(rows), 3), np.nan),
    )


class Look:
    """Some tracks, looked at four times a second."""

    def __init__(self) -> None:
        self.watch = TrustWatch()
        self.t_s = 100.0

    def see(self, frames: int, count: int = 1, *rows: tuple[int, int, float], **columns: Any) -> TrustVerdict:
        for _ in range(frames):
            said = reports(self.t_s, *rows) if rows else None
            verdict = self.watch.step(make_tracks(count, self.t_s, **{"sources": 0, **columns}), said)
            self.t_s += TICK_S
        return verdict


def test_quality_is_misses_times_strength() -> None:
    assert quality(np.array([0, 1, 3, 9]), np.array([20.0, 10.0, 20.0, 20.0])).tolist() == pytest.approx(
        [1.0, 2.0 / 3.0 * 0.5, 0.0, 0.0],
    )
    assert quality(np.array([0]), np.array([80.0])).tolist() == [1.0]
    assert quality(np.array([1]), np.array([np.nan])).tolist() == pytest.approx([2.0 / 3.0])


@given(st.integers(-3, 100), st.floats(allow_nan=True, allow_infinity=True))
def test_quality_is_a_share_whatever_comes(misses: int, snr_db: float) -> None:
    assert 0.0 <= quality(np.array([misses]), np.array([snr_db]))[0] <= 1.0


def test_one_supporter_is_never_more_than_the_cap_and_two_are_trusted() -> None:
    one = Look().see(3, 1, (0, 1, 1.0))
    assert (one.trust[0], one.name(0), one.supporters[0]) == (0.49, "degraded", 1)
    two = Look().see(3, 1, (0, 1, 1.0), (1, 1, -2.0))
    assert (two.trust[0], two.name(0), two.supporters[0]) == (1.0, "trusted", 2)
    assert Look().see(1, sources=0b101).name(0) == "trusted"
    assert Look().see(1, sources=0b100).trust[0] == 0.49


def test_poor_quality_is_degraded_with_any_number_of_supporters() -> None:
    verdict = Look().see(1, sources=0b11, snr_db=6.0)
    assert (verdict.name(0), verdict.trust[0]) == ("degraded", pytest.approx(0.3))


@pytest.mark.parametrize(("off", "supporters"), [(49.0, 2), (51.0, 1), (99.0, 1)])
def test_the_gate_of_support(off: float, supporters: int) -> None:
    verdict = Look().see(6, 1, (0, 1, 0.0), (1, 1, off))
    assert verdict.supporters[0] == supporters
    assert verdict.name(0) != "conflicting"


def test_a_speed_beyond_the_gate_supports_nothing() -> None:
    watch = TrustWatch()
    said = Reports(np.array([0, 1]), np.array([1, 1]), np.zeros(2, np.int64), np.zeros((2, 3)),
                   np.array([(0.0, 19.0, 0.0), (0.0, 21.0, 0.0)]))
    assert watch.step(make_tracks(1, sources=0), said).supporters[0] == 1


def test_support_is_old_after_two_seconds() -> None:
    look = Look()
    look.see(1, 1, (0, 1, 0.0), (1, 1, 0.0))
    assert look.see(7).supporters[0] == 2
    assert look.see(1).supporters[0] == 0


def test_three_contradictions_in_a_row_are_a_conflict_and_two_are_none() -> None:
    look = Look()
    assert look.see(2, 1, (0, 1, 0.0), (1, 1, 150.0)).name(0) == "degraded"
    assert look.see(1, 1, (0, 1, 0.0), (1, 1, 0.0)).name(0) == "trusted"
    assert look.see(2, 1, (0, 1, 0.0), (1, 1, 150.0)).name(0) != "conflicting"
    verdict = look.see(1, 1, (0, 1, 0.0), (1, 1, 150.0))
    assert verdict.name(0) == "conflicting"
    assert verdict.trust[0] < 0.2
    assert look.watch.conflicts == 1


def test_a_conflict_is_over_two_seconds_after_the_last_contradiction() -> None:
    look = Look()
    look.see(4, 1, (0, 1, 0.0), (1, 1, 150.0))
    agree = ((0, 1, 0.0), (1, 1, 1.0))
    assert look.see(7, 1, *agree).name(0) == "conflicting"
    assert look.see(1, 1, *agree).name(0) == "trusted"
    assert look.watch.conflicts == 1


def test_a_sensor_that_contradicts_supports_nothing_even_if_the_tracker_says_so() -> None:
    verdict = Look().see(1, 1, (0, 1, 0.0), (1, 1, 150.0), sources=0b11)
    assert verdict.supporters[0] == 1


def test_reports_are_compared_at_their_own_time() -> None:
    watch = TrustWatch()
    now = make_tracks(1, 10.0, position=[[1000.0, 0.0, 0.0]], velocity=[[100.0, 0.0, 0.0]], sources=0)
    said = Reports(np.array([0]), np.array([1]), np.array([9 * SECOND]), np.array([[900.0, 0.0, 0.0]]),
                   np.array([[100.0, 0.0, 0.0]]))
    assert watch.step(now, said).supporters[0] == 1


@pytest.mark.parametrize(("columns", "word"), [
    ({"status": Status.COASTING}, W.LOCAL_RECONSTRUCTION),
    ({"status": Status.NEW}, W.HYPOTHESIS),
    ({"status": Status.LOST}, W.MISSING),
    ({"measured_ns": 97 * SECOND}, W.STALE),
    ({"measured_ns": 60 * SECOND}, W.MISSING),
])
def test_every_other_word(columns: dict[str, Any], word: TrustWord) -> None:
    assert Look().see(1, sources=0b11, **columns).word[0] == word


def test_what_no_sensor_can_see_is_blind_and_not_stale() -> None:
    tracks = make_tracks(2, 100.0, measured_ns=95 * SECOND)
    assert TrustWatch().step(tracks, covered=np.array([True, False])).word.tolist() == [W.STALE, W.BLIND]


def test_trust_falls_with_age_to_nothing() -> None:
    trust = [float(Look().see(1, sources=0b11, measured_ns=round((100 - age) * SECOND)).trust[0])
             for age in (0, 1, 5, 15, 29, 31)]
    assert trust == sorted(trust, reverse=True)
    assert trust[-1] == 0.0


def test_doubt_about_a_position_is_no_contradiction() -> None:
    watch = TrustWatch()
    for call in range(5):
        said = replace(reports(call * TICK_S, (0, 1, 0.0), (1, 1, 150.0)), sigma_m=np.array([1.0, 60.0]))
        verdict = watch.step(make_tracks(1, call * TICK_S, sources=0), said)
    assert (watch.conflicts, verdict.supporters[0]) == (0, 2)
    vague = TrustWatch()
    for call in range(5):
        vague.step(make_tracks(1, call * TICK_S, sigma_m=60.0), reports(call * TICK_S, (1, 1, 150.0)))
    assert vague.conflicts == 0


def test_what_the_tracker_has_weighed_down_stays_down() -> None:
    assert Look().see(1, sources=0b11, trust=0.3).trust[0] == 0.3
    assert Look().see(1, sources=0b11, trust=np.nan).trust[0] == 1.0


def test_a_frame_reports_on_tracks_by_identity() -> None:
    turned = quaternion_from_euler(0.3, -0.2, 1.1)
    pose = Pose(position_m=(10.0, -20.0, 5.0), quaternion=turned)
    tracks = make_tracks(4, 3.0, transponder_id=[7, NO_ID, 7, 9])
    x, y, z = rotate_inverse(turned, (300.0 - 10.0, 0.0 + 20.0, 0.0 - 5.0))
    distance = float(np.sqrt(x * x + y * y + z * z))
    frame = Frame(
        "radar", SensorKind.RADAR, 1, 3 * SECOND, 3 * SECOND, pose, np.full(4, distance),
        np.full(4, np.arctan2(y, x)), np.full(4, np.arcsin(z / distance)), transponder_id=np.array([9, 7, NO_ID, 55]),
    )
    said = frame_reports(frame, 2, tracks, 0.02)
    assert said.track_id.tolist() == [4, 1]
    assert said.sensor.tolist() == [2, 2]
    assert np.allclose(said.position_m, (300.0, 0.0, 0.0))
    assert np.allclose(said.sigma_m, distance * 0.02)
    assert len(frame_reports(frame, 2, make_tracks(0), 0.02).sensor) == 0
    watch = TrustWatch()
    for _ in range(3):
        watch.step(tracks, said)
    assert watch.conflicts == 1


def test_reports_without_use_are_counted() -> None:
    watch = TrustWatch()
    tracks = make_tracks(1, 100.0)
    watch.step(tracks, reports(100.0, (0, 99, 0.0), (77, 1, 0.0), (-1, 1, 0.0), (0, 1, float("nan"))))
    watch.step(tracks, reports(50.0, (0, 1, 0.0)))
    watch.step(tracks, reports(500.0, (0, 1, 0.0)))
    assert watch.unused == 6
    watch.step(make_tracks(0, 100.0), reports(100.0, (0, 1, 0.0)))
    assert watch.unused == 7
    watch.step(tracks, reports(100.0, *[(0, 1, 0.0)] * (MAX_REPORTS + 5)))
    assert watch.unused == 12


def test_memory_is_bounded_and_the_same_input_gives_the_same_bytes() -> None:
    watches = [TrustWatch(TrustConfig(limit=64)) for _ in range(2)]
    size = watches[0].memory.nbytes
    answers = []
    for watch in watches:
        rng = np.random.default_rng(4)
        for call in range(40):
            ids = np.arange(100) + 90 * call
            tracks = make_tracks(100, call * TICK_S, track_id=ids)
            rows = [(int(rng.integers(0, 4)), int(rng.choice(ids)), float(rng.normal(0.0, 80.0))) for _ in range(50)]
            answers.append(watch.step(tracks, reports(call * TICK_S, *rows)).trust.tobytes())
    assert answers[:40] == answers[40:]
    assert watches[0].memory.nbytes == size


@pytest.mark.parametrize("changes", [{"gate_m": 200.0}, {"supporters": 0}, {"age_s": 40.0}, {"single_cap": 1.5},
                                     {"gate_m": float("nan")}])
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"allowed|0\.\.1"):
        TrustConfig(**changes)  # type: ignore[arg-type]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="needed"):
        Reports(np.zeros(2, np.int64), np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros((2, 3)), np.zeros((2, 3)))
