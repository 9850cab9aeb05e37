"""The scenarios through filterpy: one of its extended Kalman filters a track, paired by SciPy's assignment."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from bench._track_scenarios import Scenario, Tracks

__all__ = ["run_filterpy"]

Floats = NDArray[np.float64]
GATE2 = 4.5**2


def _expect(state: Floats) -> Floats:
    x, v = state[:3], state[3:]
    distance = float(np.linalg.norm(x))
    return np.array([distance, np.arctan2(x[1], x[0]), np.arcsin(x[2] / distance), float(x @ v) / distance])


def _jacobian(state: Floats) -> Floats:
    x, v = state[:3], state[3:]
    distance = float(np.linalg.norm(x))
    flat = float(np.hypot(x[0], x[1]))
    sight = x / distance
    rows = np.zeros((4, 6))
    rows[0, :3] = sight
    rows[1, :2] = -x[1] / flat**2, x[0] / flat**2
    rows[2, :3] = -x[0] * x[2] / (distance**2 * flat), -x[1] * x[2] / (distance**2 * flat), flat / distance**2
    rows[3, :3] = (v - sight * float(sight @ v)) / distance
    rows[3, 3:] = sight
    return rows


def _residual(measured: Floats, expected: Floats) -> Floats:
    difference = measured - expected
    difference[1] = (difference[1] + np.pi) % (2 * np.pi) - np.pi
    return difference


class _Track:
    def __init__(self, number: int, filter_: Any) -> None:
        self.number, self.filter, self.hits, self.misses = number, filter_, 1, 0


def run_filterpy(scenario: Scenario, frames: int | None = None) -> Tracks:
    """Track the first ``frames`` frames (all if not given). ImportError: filterpy is not here."""
    from filterpy.kalman import ExtendedKalmanFilter

    meta, dt = scenario.meta, scenario.dt_s
    sigma = np.array([meta["sigma_r_m"], meta["sigma_az_rad"], meta["sigma_el_rad"], meta["sigma_rr_mps"]])
    noise, eye = np.diag(sigma**2), np.eye(3)
    moving = np.block([[eye, dt * eye], [0 * eye, eye]])
    straying = meta["q_psd"] * np.block([[dt**3 / 3 * eye, dt**2 / 2 * eye], [dt**2 / 2 * eye, dt * eye]])

    def begin(row: Floats, number: int) -> _Track:
        distance, azimuth, elevation, rate = row
        ce, se, ca, sa = np.cos(elevation), np.sin(elevation), np.cos(azimuth), np.sin(azimuth)
        sight = np.array([ce * ca, ce * sa, se])
        spread = np.column_stack([
            sight, distance * np.array([-ce * sa, ce * ca, 0.0]), distance * np.array([-se * ca, -se * sa, ce]),
        ])
        filter_ = ExtendedKalmanFilter(6, 4)
        filter_.F, filter_.Q, filter_.R = moving, straying, noise
        filter_.x = np.concatenate([distance * sight, rate * sight])
        filter_.P = np.zeros((6, 6))
        filter_.P[:3, :3] = spread @ noise[:3, :3] @ spread.T
        along = np.outer(sight, sight)
        filter_.P[3:, 3:] = (eye - along) * 15.0**2 + along * sigma[3] ** 2
        return _Track(number, filter_)

    result, numbers, tracks = Tracks(), 0, []
    last = scenario.frames if frames is None else frames
    for frame, rows, _ in scenario.each():
        if frame >= last:
            break
        began = time.process_time()
        for track in tracks:
            track.filter.predict()
        left = np.ones(len(rows), bool)
        for firm in (True, False):
            group = [track for track in tracks if (track.hits >= 3) is firm]
            free = np.flatnonzero(left)
            cost = np.full((len(group), len(free)), GATE2 * 10)
            for index, track in enumerate(group):
                rate = _jacobian(track.filter.x)
                inverse = np.linalg.inv(rate @ track.filter.P @ rate.T + noise)
                away = rows[free] - _expect(track.filter.x)
                away[:, 1] = (away[:, 1] + np.pi) % (2 * np.pi) - np.pi
                cost[index] = np.minimum(np.einsum("ij,jk,ik->i", away, inverse, away), GATE2 * 10)
            paired = {
                row: free[column] for row, column in zip(*linear_sum_assignment(cost), strict=True)
                if cost[row, column] <= GATE2
            } if len(free) else {}
            for index, track in enumerate(group):
                if index in paired:
                    track.filter.update(rows[paired[index]], _jacobian, _expect, residual=_residual)
                    left[paired[index]] = False
                    track.hits += 1
                    track.misses = 0
                else:
                    track.misses += 1
        tracks = [track for track in tracks if track.misses < (6 if track.hits >= 3 else 3)]
        for row in rows[left]:
            numbers += 1
            tracks.append(begin(row, numbers))
        result.cpu_ms.append((time.process_time() - began) * 1e3)
        firm_ones = [track for track in tracks if track.hits >= 3]
        states = np.array([track.filter.x for track in firm_ones]).reshape(-1, 6)
        result.add(frame, np.array([track.number for track in firm_ones], np.int64), states)
    return result
