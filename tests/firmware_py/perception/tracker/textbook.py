"""The extended Kalman filter as textbooks write it, with whole matrices and one target, to hold the tracker against."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Frame, Pose, SensorKind
from firmware_py.perception.tracks import SensorModel
from hal.frames import to_matrix

Floats = NDArray[np.float64]
ALL_ROUND = SensorModel(1.0, 0.005, 0.005, 0.2, detection_probability=0.9, clutter_per_frame=1.0, revisit_s=0.1)


def measured(x: Floats, pose: Pose) -> Floats:
    """(4,) range, bearing, elevation, radial velocity of one state (6,)."""
    turn = np.array(to_matrix(pose.quaternion)).reshape(3, 3)
    p, v = turn.T @ (x[:3] - pose.position_m), turn.T @ (x[3:] - pose.velocity_m_s)
    r = float(np.linalg.norm(p))
    return np.array([r, np.arctan2(p[1], p[0]), np.arcsin(p[2] / r), p @ v / r])


def slopes(x: Floats, pose: Pose) -> Floats:
    """(4, 6) derivatives by central differences."""
    result = np.empty((4, 6))
    for k in range(6):
        step = np.zeros(6)
        step[k] = 1e-4
        change = measured(x + step, pose) - measured(x - step, pose)
        change[1] = (change[1] + np.pi) % (2 * np.pi) - np.pi
        result[:, k] = change / 2e-4
    return result


def predict(x: Floats, p: Floats, dt: float, psd: float) -> tuple[Floats, Floats]:
    """Time update."""
    f = np.eye(6)
    f[:3, 3:] = dt * np.eye(3)
    q = psd * np.block([[dt**3 / 3 * np.eye(3), dt**2 / 2 * np.eye(3)], [dt**2 / 2 * np.eye(3), dt * np.eye(3)]])
    return f @ x, f @ p @ f.T + q


def correct(x: Floats, p: Floats, z: Floats, r: Floats, pose: Pose) -> tuple[Floats, Floats]:
    """Measurement update with covariance ``r`` (4, 4)."""
    h = slopes(x, pose)
    y = z - measured(x, pose)
    y[1] = (y[1] + np.pi) % (2 * np.pi) - np.pi
    gain = p @ h.T @ np.linalg.inv(h @ p @ h.T + r)
    return x + gain @ y, (np.eye(6) - gain @ h) @ p


def frame_of(
    rows: Floats, k: int, t_ns: int, pose: Pose | None = None, sensor: str = "radar", names: list[int] | None = None,
) -> Frame:
    """A frame of detections (m, 4)."""
    z = np.asarray(rows, np.float64).reshape(-1, 4)
    return Frame(sensor, SensorKind.RADAR, k, t_ns, t_ns, Pose() if pose is None else pose, z[:, 0].copy(),
                 z[:, 1].copy(), z[:, 2].copy(), z[:, 3].copy(),
                 transponder_id=np.empty(0, np.int64) if names is None else np.array(names, np.int64))
