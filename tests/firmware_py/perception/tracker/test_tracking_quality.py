"""Accuracy on the shared scenarios and on scenes of our own: GOSPA, exchanged identities, consistency."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Frame, Pose, SensorKind
from firmware_py.perception.tracker import Tracker, TrackerConfig
from tests.firmware_py.perception.tracker.tracking_scenes import RADAR, Scene, singles, swarms

COMMON = TrackerConfig(acceleration_psd=0.05, gate_sigma=4.5, initial_velocity_sigma_m_s=15.0, confirm_hits=3,
                       drop_tentative_s=0.3, drop_firm_s=0.6)
CUT_M = 20.0


class Score:
    """GOSPA (p 2, alpha 2, cut-off 20 m) from 2 s on, identities exchanged, and normalised errors squared."""

    def __init__(self) -> None:
        self.gospa: list[float] = []
        self.nees: list[float] = []
        self.switches = 0
        self._last: dict[int, int] = {}

    def add(self, k: int, tracker: Tracker, t_ns: int, ids: NDArray[np.int64], truth: NDArray[np.float64]) -> None:
        """One frame."""
        optimize = pytest.importorskip("scipy.optimize")
        got = tracker.tracks(t_ns)
        state, covariance, names = got.state[got.firm], got.covariance[got.firm], got.track_id[got.firm]
        apart = np.sqrt(((state[:, None, :3] - truth[None, :, :3]) ** 2).sum(axis=2))
        i, j = optimize.linear_sum_assignment(np.minimum(apart, CUT_M) ** 2 - CUT_M**2)
        near = apart[i, j] < CUT_M
        i, j = i[near], j[near]
        for track, target in zip(names[i].tolist(), ids[j].tolist(), strict=True):
            self.switches += self._last.get(target, track) != track
            self._last[target] = track
        if k >= 20:
            left = len(state) + len(truth) - 2 * len(i)
            self.gospa.append(float(np.sqrt((apart[i, j] ** 2).sum() + left * CUT_M**2 / 2)))
            e = state[i] - truth[j]
            self.nees += np.einsum("ni,ni->n", e, np.linalg.solve(covariance[i], e[:, :, None])[:, :, 0]).tolist()


def replace_belief(separation: float) -> TrackerConfig:
    """The common settings with another distance within which tracks share."""
    return structs.replace(COMMON, belief_separation=separation)


def _run(scene: Scene, identities_to_m: float = 0.0, config: TrackerConfig = COMMON) -> tuple[Score, Tracker]:
    tracker, score = Tracker(config, {"radar": RADAR}), Score()
    for k in range(len(scene.ids)):
        frame = scene.frame(k, identities_to_m)
        tracker.observe(frame)
        score.add(k, tracker, frame.event_ns, scene.ids[k], scene.states[k])
    return score, tracker


def _shared(path: Path, identities: bool) -> Scene:
    data = np.load(path)
    meta = json.loads(str(data["meta"]))
    assert (meta["dt"], meta["pd"], meta["sigma_r_m"], meta["q_psd"]) == (0.1, 0.9, 1.0, 0.05)
    truth = [data["truth_frame"] == k for k in range(meta["frames"])]
    found = [data["det_frame"] == k for k in range(meta["frames"])]
    origin = data["det_transponder"].astype(np.int64) if identities else np.full(len(data["det_z"]), NO_ID)
    return Scene([data["truth_id"][m].astype(np.int64) for m in truth],
                 [data["truth_state"][m].astype(float) for m in truth],
                 [data["det_z"][m].astype(float) for m in found], [origin[m] for m in found])


@pytest.mark.parametrize(
    ("name", "gospa", "switches"), [("n10_s0", 5.98, 0), ("n50_s0", 12.54, 0), ("swarm50_s0", 5.90, 17)])
def test_shared_scenarios_are_as_good_as_the_complete_tracker(
    shared_data: Path, name: str, gospa: float, switches: int,
) -> None:
    path = shared_data / "tracking" / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"scenario is not here: {name} belongs into ../shared/data/tracking")
    score, _ = _run(_shared(path, False))
    assert np.mean(score.gospa) <= gospa
    assert score.switches <= switches


def test_with_identities_no_track_of_a_swarm_ever_changes_its_target(shared_data: Path) -> None:
    path = shared_data / "tracking" / "swarm50_s0.npz"
    if not path.is_file():
        pytest.skip("scenario is not here: swarm50_s0 belongs into ../shared/data/tracking")
    scene, owner = _shared(path, True), {}
    tracker = Tracker(COMMON, {"radar": RADAR})
    for k in range(len(scene.ids)):
        frame = scene.frame(k, 1e9)
        tracker.observe(frame)
        got = tracker.tracks(frame.event_ns)
        for name, number in zip(got.transponder_id[got.firm].tolist(), got.track_id[got.firm].tolist(), strict=True):
            assert owner.setdefault(name, number) == number
    assert sorted(owner) == list(range(50))


@pytest.mark.parametrize("seed", [1, 2])
def test_errors_keep_their_covariance_and_nothing_is_exchanged(seed: int) -> None:
    score, _ = _run(singles(30, seed, 200))
    # 95 % of a mean of 6 with variance 12 over some 30 x 9 independent pieces of two seconds.
    assert np.mean(score.nees) == pytest.approx(6.0, abs=1.96 * np.sqrt(12.0 / (30 * 9)))
    assert score.switches <= 1


def test_tracks_of_a_swarm_neither_merge_nor_double_and_sharing_keeps_more_identities_than_choosing() -> None:
    shared = chosen = 0
    for seed in (1, 4):
        scene = swarms(4, seed)
        score, tracker = _run(scene)
        assert tracker.tracks(299 * 100_000_000).firm.sum() == 20
        assert np.mean(score.gospa) < 1.2 * np.sqrt(20) * 0.85
        assert np.mean(score.nees) == pytest.approx(6.0, abs=1.0)
        shared += score.switches
        chosen += _run(scene, config=replace_belief(0.0))[0].switches
    assert shared < 0.7 * chosen


def test_short_range_names_keep_a_swarm_apart() -> None:
    scene, owner = swarms(4, 3), {}
    tracker = Tracker(COMMON, {"radar": RADAR})
    for k in range(300):
        frame = scene.frame(k, 800.0)
        tracker.observe(frame)
        got = tracker.tracks(frame.event_ns)
        for name, number in zip(got.transponder_id[got.firm].tolist(), got.track_id[got.firm].tolist(), strict=True):
            assert owner.setdefault(name, number) == number
    assert len(owner) == 20


def test_own_motion_costs_no_accuracy() -> None:
    scene = singles(10, 6, 150)
    tracker, score = Tracker(COMMON, {"radar": RADAR}), Score()
    for k in range(150):
        turn = 0.05 * k
        pose = Pose((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (float(np.cos(turn)), 0.0, 0.0, float(np.sin(turn))))
        seen = scene.frame(k)
        bearing = (seen.bearing_rad - 2.0 * turn + np.pi) % (2.0 * np.pi) - np.pi
        tracker.observe(replace(seen, bearing_rad=bearing, pose=pose))
        score.add(k, tracker, seen.event_ns, scene.ids[k], scene.states[k])
    still, _ = _run(scene)
    assert np.mean(score.gospa) == pytest.approx(np.mean(still.gospa), rel=1e-3)


def test_a_lidar_frame_goes_the_same_way() -> None:
    lidar = replace(RADAR, sigma_radial_velocity_m_s=np.inf, clutter_per_frame=1.0)
    tracker, scene = Tracker(COMMON, {"lidar": lidar}), singles(5, 2, 60)
    for k in range(60):
        mine = scene.origins[k] >= 0
        z = scene.detections[k][mine]
        t_ns = k * 100_000_000
        tracker.observe(Frame("lidar", SensorKind.LIDAR, k, t_ns, t_ns, Pose(), z[:, 0].copy(), z[:, 1].copy(),
                              z[:, 2].copy(), extent_m=np.full(len(z), 0.7)))
    got = tracker.tracks(59 * 100_000_000)
    for x in scene.states[59]:
        assert np.linalg.norm(got.state[got.firm][:, :3] - x[:3], axis=1).min() < 15.0
    assert got.extent_m[got.firm] == pytest.approx(0.7)
