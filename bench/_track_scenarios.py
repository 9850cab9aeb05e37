"""Radar scenarios for trackers: those that are stored, or new ones of the same kind; and how well a tracker did.

The score is GOSPA with p = 2, alpha = 2, c = 20 m on position (Rahmathullah, Garcia-Fernandez, Svensson, "Generalized
optimal sub-pattern assignment metric", Fusion 2017), the mean over all frames from 2 s on; beside it switches of
identity: a truth whose matched track number changes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["DATA", "Scenario", "Score", "Tracks", "gospa", "load", "make", "score"]

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "tracking"
CUT_M = 20.0
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scenario:
    """Detections and truth of one scenario, 10 frames a second.

    ``detections`` has a row (range m, azimuth rad, elevation rad, range rate m/s) for each, ``transponder`` a target's
    number or -1.
    """

    name: str
    meta: dict[str, float]
    det_frame: NDArray[np.int64]
    detections: Floats
    transponder: NDArray[np.int64]
    truth_frame: NDArray[np.int64]
    truth_id: NDArray[np.int64]
    truth_state: Floats
    frames: int = 300
    dt_s: float = 0.1

    def each(self) -> Iterator[tuple[int, Floats, NDArray[np.int64]]]:
        """Number of the frame, its detections, their transponders."""
        starts = np.searchsorted(self.det_frame, np.arange(self.frames + 1))
        for frame in range(self.frames):
            rows = slice(starts[frame], starts[frame + 1])
            yield frame, self.detections[rows], self.transponder[rows]


def load(name: str) -> Scenario:
    """A stored scenario. FileNotFoundError: it is not here."""
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as data:
        meta = json.loads(str(data["meta"]))
        numbers = {key: float(value) for key, value in meta.items() if isinstance(value, int | float)}
        return Scenario(
            name, numbers, data["det_frame"].astype(np.int64), data["det_z"].astype(float),
            data["det_transponder"].astype(np.int64), data["truth_frame"].astype(np.int64),
            data["truth_id"].astype(np.int64), data["truth_state"].astype(float), int(meta["frames"]),
            float(meta["dt"]),
        )


def make(targets: int, seed: int, clutter: float = 20.0, frames: int = 300) -> Scenario:
    """A scenario like n10, n50, n200: three quarters anywhere, a quarter aimed to pass near, some come late or go."""
    rng = np.random.default_rng([seed, targets])
    dt, psd, pd = 0.1, 0.05, 0.9
    sigma = np.array([1.0, np.radians(0.3), np.radians(0.3), 0.2])
    state = np.zeros((targets, 6))
    direction = rng.normal(size=(targets, 3))
    direction[:, 2] *= 0.4
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    state[:, :3] = direction * rng.uniform(100.0, 1800.0, (targets, 1))
    heading = rng.normal(size=(targets, 3))
    heading[:, 2] *= 0.3
    heading /= np.linalg.norm(heading, axis=1, keepdims=True)
    speed = rng.uniform(0.0, 25.0, (targets, 1))
    state[:, 3:] = heading * speed
    aimed = np.arange(targets) < targets // 4
    miss = rng.normal(size=(targets, 3))
    miss -= np.sum(miss * direction, axis=1, keepdims=True) * direction
    miss *= rng.uniform(25.0, 80.0, (targets, 1)) / np.linalg.norm(miss, axis=1, keepdims=True)
    way = miss - state[:, :3]
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    state[aimed, 3:] = (way * np.maximum(speed, 8.0))[aimed]
    born = np.where(rng.uniform(size=targets) < 0.15, rng.integers(0, frames // 2, targets), 0)
    gone = np.where(rng.uniform(size=targets) < 0.15, rng.integers(frames // 2, frames, targets), frames)
    det_frame, det, transponder, truth_frame, truth_id, truth = [], [], [], [], [], []
    unit = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]]) * psd
    root = np.linalg.cholesky(unit)
    for frame in range(frames):
        if frame:
            state[:, :3] += dt * state[:, 3:]
            push = rng.normal(size=(targets, 3, 2)) @ root.T
            state[:, :3] += push[..., 0]
            state[:, 3:] += push[..., 1]
        seen = _polar(state)
        inside = (
            (seen[:, 0] > 20.0) & (seen[:, 0] < 2000.0) & (np.abs(seen[:, 2]) < np.radians(60.0))
            & (frame >= born) & (frame < gone)
        )
        living = np.flatnonzero(inside)
        truth_frame += [frame] * len(living)
        truth_id += living.tolist()
        truth.append(state[living].copy())
        found = living[rng.uniform(size=len(living)) < pd]
        noisy = seen[found] + rng.normal(size=(len(found), 4)) * sigma
        false = int(rng.poisson(clutter))
        rubbish = np.column_stack([
            rng.uniform(20.0, 2000.0, false), rng.uniform(-np.pi, np.pi, false),
            rng.uniform(-np.radians(60.0), np.radians(60.0), false), rng.uniform(-30.0, 30.0, false),
        ])
        names = np.concatenate([np.where(seen[found, 0] <= 300.0, found, -1), np.full(false, -1)])
        order = rng.permutation(len(found) + false)
        rows = np.vstack([noisy, rubbish])[order]
        rows[:, 1] = (rows[:, 1] + np.pi) % (2 * np.pi) - np.pi
        det.append(rows)
        transponder.append(names[order])
        det_frame += [frame] * len(rows)
    meta = {
        "sigma_r_m": 1.0, "sigma_az_rad": float(sigma[1]), "sigma_el_rad": float(sigma[2]), "sigma_rr_mps": 0.2,
        "q_psd": psd, "pd": pd, "clutter_per_frame": clutter, "rmin": 20.0, "rmax": 2000.0,
        "el_max_rad": float(np.radians(60.0)), "rr_max": 30.0,
    }
    return Scenario(
        f"n{targets}_s{seed}", meta, np.array(det_frame), np.vstack(det), np.concatenate(transponder),
        np.array(truth_frame), np.array(truth_id), np.vstack(truth), frames, dt,
    )


def _polar(state: Floats) -> Floats:
    position, velocity = state[:, :3], state[:, 3:]
    distance = np.linalg.norm(position, axis=1)
    return np.column_stack([
        distance, np.arctan2(position[:, 1], position[:, 0]), np.arcsin(position[:, 2] / distance),
        np.sum(position * velocity, axis=1) / distance,
    ])


@dataclass
class Tracks:
    """What a tracker gave: confirmed tracks after each frame, and CPU milliseconds of each frame."""

    frame: list[int] = field(default_factory=list)
    track_id: list[int] = field(default_factory=list)
    state: list[Floats] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def add(self, frame: int, ids: NDArray[np.int64], states: Floats) -> None:
        """The tracks after one frame, (n,) and (n, 6)."""
        self.frame += [frame] * len(ids)
        self.track_id += ids.tolist()
        self.state += list(states)


@dataclass(frozen=True)
class Score:
    """GOSPA in m, its parts as numbers a frame, switches of identity, and CPU ms a frame (mean after 2 s)."""

    gospa: float
    missed: float
    false: float
    switches: int
    cpu_ms: float


def gospa(estimates: Floats, truths: Floats, cut: float = CUT_M) -> tuple[float, float, float, NDArray[np.int64]]:
    """GOSPA of two sets of points, missed and false targets, and the pairs (k, 2) of estimate and truth."""
    half = cut**2 / 2
    if not len(estimates) or not len(truths):
        total = (len(estimates) + len(truths)) * half
        return total**0.5, float(len(truths)), float(len(estimates)), np.empty((0, 2), np.int64)
    distance = np.linalg.norm(estimates[:, None] - truths[None], axis=-1)
    rows, columns = linear_sum_assignment(np.minimum(distance, cut) ** 2 - cut**2)
    paired = distance[rows, columns] < cut
    rows, columns = rows[paired], columns[paired]
    missed, false = len(truths) - len(columns), len(estimates) - len(rows)
    total = float((distance[rows, columns] ** 2).sum()) + half * (missed + false)
    return total**0.5, float(missed), float(false), np.column_stack([rows, columns])


def score(scenario: Scenario, tracks: Tracks, frames: int | None = None) -> Score:
    """How well the tracks follow the truth, over the first ``frames`` frames (all if not given)."""
    last = scenario.frames if frames is None else frames
    warm = min(round(2.0 / scenario.dt_s), last // 2)
    at, ids = np.array(tracks.frame, int), np.array(tracks.track_id, int)
    states = np.array(tracks.state).reshape(-1, 6)
    known: dict[int, int] = {}
    values, missed, false, switches = [], [], [], 0
    for frame in range(last):
        here, there = at == frame, scenario.truth_frame == frame
        value, lost, made, pairs = gospa(states[here, :3], scenario.truth_state[there, :3])
        track_ids, truth_ids = ids[here], scenario.truth_id[there]
        for row, column in pairs:
            truth, track = int(truth_ids[column]), int(track_ids[row])
            switches += known.get(truth, track) != track
            known[truth] = track
        if frame >= warm:
            values.append(value)
            missed.append(lost)
            false.append(made)
    return Score(
        float(np.mean(values)), float(np.mean(missed)), float(np.mean(false)), switches,
        float(np.mean(tracks.cpu_ms[warm:last])) if tracks.cpu_ms else float("nan"),
    )
