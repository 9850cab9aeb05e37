"""Scenes of many targets for the tracker's tests: truth, detections with noise and misses, and false ones.

Written from the published description of the shared scenarios: nearly constant velocity, a quarter of the targets aimed
near the own craft, some born late or ended early; or ten groups of five that shrink to nearly a point and cross.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Frame, Pose, SensorKind
from firmware_py.perception.tracks import SensorModel

RADAR = SensorModel(
    1.0, np.radians(0.3), np.radians(0.3), 0.2, detection_probability=0.9, clutter_per_frame=20.0, revisit_s=0.1,
    min_range_m=20.0, max_range_m=2000.0, half_height_rad=np.radians(60.0), max_radial_velocity_m_s=30.0,
)
DT_S = 0.1
PSD = 0.05
FRAMES = 300


@dataclass(frozen=True)
class Scene:
    """Truth by frame: ids and states (k, 6) of the living; detections by frame: (m, 4), and their hidden origins."""

    ids: list[NDArray[np.int64]]
    states: list[NDArray[np.float64]]
    detections: list[NDArray[np.float64]]
    origins: list[NDArray[np.int64]]

    def frame(self, k: int, identities_to_m: float = 0.0) -> Frame:
        """Frame ``k``; detections up to this range carry the number of their target."""
        z, origin = self.detections[k], self.origins[k]
        names = np.where((origin >= 0) & (z[:, 0] <= identities_to_m), origin, NO_ID)
        t_ns = round(k * DT_S * 1e9)
        return Frame("radar", SensorKind.RADAR, k, t_ns, t_ns, Pose(), z[:, 0].copy(), z[:, 1].copy(), z[:, 2].copy(),
                     z[:, 3].copy(), transponder_id=names)


def _moves(start: NDArray[np.float64], frames: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(frames, 6) of a start (6,) under white acceleration, exactly sampled."""
    factor = np.linalg.cholesky(PSD * np.array([[DT_S**3 / 3, DT_S**2 / 2], [DT_S**2 / 2, DT_S]]))
    states = np.empty((frames, 6))
    states[0] = start
    for k in range(1, frames):
        shake = factor @ rng.standard_normal((2, 3))
        states[k, :3] = states[k - 1, :3] + DT_S * states[k - 1, 3:] + shake[0]
        states[k, 3:] = states[k - 1, 3:] + shake[1]
    return states


def _seen(states: NDArray[np.float64]) -> bool:
    r = np.linalg.norm(states[:, :3], axis=1)
    return bool(((r > 22.0) & (r < 1990.0) & (np.abs(np.arcsin(states[:, 2] / r)) < np.radians(59.0))).all())


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    azimuth, elevation = rng.uniform(-np.pi, np.pi), rng.uniform(-np.radians(50.0), np.radians(50.0))
    return np.array([np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)])


def _single(aimed: bool, rng: np.random.Generator) -> NDArray[np.float64]:
    place = _direction(rng) * rng.uniform(100.0, 1800.0)
    if not aimed:
        way = rng.standard_normal(3)
        return np.concatenate((place, way / np.linalg.norm(way) * rng.uniform(0.0, 25.0)))
    miss = np.cross(place, rng.standard_normal(3))
    goal = miss / np.linalg.norm(miss) * rng.uniform(25.0, 80.0)
    return np.concatenate((place, (goal - place) / np.linalg.norm(goal - place) * rng.uniform(5.0, 25.0)))


def singles(targets: int, seed: int, frames: int = FRAMES) -> Scene:
    """``targets`` on their own ways."""
    rng = np.random.default_rng(seed)
    tracks: list[tuple[int, NDArray[np.float64]]] = []
    while len(tracks) < targets:
        first, last = 0, frames
        if rng.random() < 0.28:
            first, last = (int(rng.integers(1, frames // 2)), frames) if rng.random() < 0.5 else (
                0, int(rng.integers(frames // 2, frames)))
        states = _moves(_single(len(tracks) % 4 == 0, rng), last - first, rng)
        if _seen(states):
            tracks.append((first, states))
    return _observe(tracks, frames, rng)


def swarms(groups: int, seed: int, frames: int = FRAMES) -> Scene:
    """Groups of five, 8 to 14 m about their centre, that shrink to nearly a point in the middle and cross."""
    rng = np.random.default_rng(seed)
    tracks: list[tuple[int, NDArray[np.float64]]] = []
    half_s = frames * DT_S / 2.0
    while len(tracks) < 5 * groups:
        way = rng.standard_normal(3)
        centre = np.concatenate((_direction(rng) * rng.uniform(150.0, 550.0),
                                 way / np.linalg.norm(way) * rng.uniform(0.0, 8.0)))
        group = []
        for _ in range(5):
            side = rng.standard_normal(3)
            side *= rng.uniform(8.0, 14.0) / np.linalg.norm(side)
            group.append(_moves(centre + np.concatenate((side, -side / half_s)), frames, rng))
        if all(_seen(states) and np.linalg.norm(states[:, :3], axis=1).max() < 790.0 for states in group):
            tracks += [(0, states) for states in group]
    return _observe(tracks, frames, rng)


def measure(states: NDArray[np.float64]) -> NDArray[np.float64]:
    """(k, 4) exact range, bearing, elevation and radial velocity from the origin."""
    r = np.linalg.norm(states[:, :3], axis=1)
    return np.stack((r, np.arctan2(states[:, 1], states[:, 0]), np.arcsin(states[:, 2] / r),
                     (states[:, :3] * states[:, 3:]).sum(axis=1) / r), axis=1)


def _observe(tracks: list[tuple[int, NDArray[np.float64]]], frames: int, rng: np.random.Generator) -> Scene:
    sigma = np.array([RADAR.sigma_range_m, RADAR.sigma_bearing_rad, RADAR.sigma_elevation_rad,
                      RADAR.sigma_radial_velocity_m_s])
    scene = Scene([], [], [], [])
    for k in range(frames):
        alive = [n for n, (first, states) in enumerate(tracks) if first <= k < first + len(states)]
        now = np.array([tracks[n][1][k - tracks[n][0]] for n in alive]).reshape(-1, 6)
        seen = rng.random(len(alive)) < RADAR.detection_probability
        true = measure(now[seen])
        true += sigma * rng.standard_normal(true.shape)
        false = int(rng.poisson(RADAR.clutter_per_frame))
        low = np.array([RADAR.min_range_m, -np.pi, -RADAR.half_height_rad, -RADAR.max_radial_velocity_m_s])
        high = np.array([RADAR.max_range_m, np.pi, RADAR.half_height_rad, RADAR.max_radial_velocity_m_s])
        z = np.concatenate((true, rng.uniform(low, high, (false, 4))))
        z[:, 1] = (z[:, 1] + np.pi) % (2.0 * np.pi) - np.pi
        origin = np.concatenate((np.array(alive, np.int64)[seen], np.full(false, -1)))
        order = rng.permutation(len(z))
        scene.ids.append(np.array(alive, np.int64))
        scene.states.append(now)
        scene.detections.append(z[order])
        scene.origins.append(origin[order])
    return scene
