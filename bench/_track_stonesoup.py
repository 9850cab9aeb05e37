"""The scenarios through Stone Soup: extended Kalman filter and global nearest neighbours, as fast as it will go.

Confirmed tracks are paired first, then tentative ones. Candidates come from its kd-tree, transition matrices are built
once. Settings are those that all trackers of this comparison have.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from bench._track_scenarios import Scenario, Tracks

__all__ = ["run_stone_soup"]

ORDER = (0, 2, 4, 1, 3, 5)
"""Its state x, vx, y, vy, z, vz in the order of ours."""
WINDOW = 20.0
"""Of the kd-tree, in units of its mixed space, where the range in m outweighs all else."""


def _models(scenario: Scenario) -> tuple[Any, Any]:
    from stonesoup.models.measurement.nonlinear import CartesianToElevationBearingRangeRate
    from stonesoup.models.transition.linear import CombinedLinearGaussianTransitionModel, ConstantVelocity

    class Once(CombinedLinearGaussianTransitionModel):
        """Matrices of one time step, built once."""

        def matrix(self, **kwargs: Any) -> Any:
            if "_matrix" not in self.__dict__:
                self.__dict__["_matrix"] = super().matrix(**kwargs)
            return self.__dict__["_matrix"]

        def covar(self, **kwargs: Any) -> Any:
            if "_covar" not in self.__dict__:
                self.__dict__["_covar"] = super().covar(**kwargs)
            return self.__dict__["_covar"]

    meta = scenario.meta
    moving = Once([ConstantVelocity(meta["q_psd"])] * 3)
    noise = np.diag([meta["sigma_el_rad"], meta["sigma_az_rad"], meta["sigma_r_m"], meta["sigma_rr_mps"]]) ** 2
    measuring = CartesianToElevationBearingRangeRate(
        ndim_state=6, mapping=(0, 2, 4), velocity_mapping=(1, 3, 5), noise_covar=noise
    )
    return moving, measuring


def run_stone_soup(scenario: Scenario, frames: int | None = None) -> Tracks:
    """Track the first ``frames`` frames (all if not given). ImportError: Stone Soup is not here."""
    from stonesoup.dataassociator.tree import DetectionKDTreeGNN2D
    from stonesoup.hypothesiser.distance import DistanceHypothesiser
    from stonesoup.measures import Mahalanobis
    from stonesoup.predictor.kalman import ExtendedKalmanPredictor
    from stonesoup.types.array import CovarianceMatrix, StateVector
    from stonesoup.types.detection import Detection
    from stonesoup.types.state import GaussianState
    from stonesoup.types.track import Track
    from stonesoup.updater.kalman import ExtendedKalmanUpdater

    moving, measuring = _models(scenario)
    predictor, updater = ExtendedKalmanPredictor(moving), ExtendedKalmanUpdater(measuring)
    hypothesiser = DistanceHypothesiser(predictor, updater, Mahalanobis(), missed_distance=4.5)
    associator = DetectionKDTreeGNN2D(hypothesiser, predictor, updater, max_distance=WINDOW)
    start = datetime(2026, 1, 1)
    result, numbers = Tracks(), 0
    firm: list[Any] = []
    tentative: list[Any] = []
    book: dict[Any, list[int]] = {}  # track -> number, hits, misses in a row
    last = scenario.frames if frames is None else frames
    for frame, rows, _ in scenario.each():
        if frame >= last:
            break
        began = time.process_time()
        now = start + timedelta(seconds=frame * scenario.dt_s)
        left = {
            Detection(StateVector([elevation, azimuth, distance, rate]), timestamp=now, measurement_model=measuring)
            for distance, azimuth, elevation, rate in rows
        }
        for group in (firm, tentative):
            for track, hypothesis in associator.associate(set(group), left, now).items():
                entry = book[track]
                if hypothesis:
                    track.append(updater.update(hypothesis))
                    left.discard(hypothesis.measurement)
                    entry[1] += 1
                    entry[2] = 0
                else:
                    track.append(hypothesis.prediction)
                    entry[2] += 1
        firm += [track for track in tentative if book[track][1] >= 3]
        tentative = [track for track in tentative if book[track][1] < 3 and book[track][2] < 3]
        firm = [track for track in firm if book[track][2] < 6]
        for detection in left:
            track = Track([_begin(detection, measuring, now, StateVector, CovarianceMatrix, GaussianState)])
            numbers += 1
            book[track] = [numbers, 1, 0]
            tentative.append(track)
        result.cpu_ms.append((time.process_time() - began) * 1e3)
        states = np.array([np.asarray(track.state_vector, float).ravel()[list(ORDER)] for track in firm])
        result.add(frame, np.array([book[track][0] for track in firm], np.int64), states.reshape(-1, 6))
    return result


def _begin(detection: Any, model: Any, now: datetime, vector: Any, matrix: Any, state: Any) -> Any:
    """A track of one detection: its place and range rate, 15 m/s of doubt about the rest."""
    elevation, azimuth, distance, rate = (float(x) for x in detection.state_vector.ravel())
    ce, se, ca, sa = np.cos(elevation), np.sin(elevation), np.cos(azimuth), np.sin(azimuth)
    sight = np.array([ce * ca, ce * sa, se])
    jacobian = np.column_stack([
        distance * np.array([-se * ca, -se * sa, ce]), distance * np.array([-ce * sa, ce * ca, 0.0]), sight,
    ])
    noise = np.asarray(model.noise_covar, float)
    place = jacobian @ noise[:3, :3] @ jacobian.T
    across = np.eye(3) - np.outer(sight, sight)
    speed = across * 15.0**2 + np.outer(sight, sight) * noise[3, 3]
    covariance = np.zeros((6, 6))
    covariance[np.ix_([0, 2, 4], [0, 2, 4])] = place
    covariance[np.ix_([1, 3, 5], [1, 3, 5])] = speed
    mean = np.zeros(6)
    mean[[0, 2, 4]], mean[[1, 3, 5]] = distance * sight, rate * sight
    return state(vector(mean), matrix(covariance), timestamp=now)
