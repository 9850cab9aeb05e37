"""Answers questions about tracks: by id, box, risk and age; rows as plain data, bounded, nearest trouble first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import degrees
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Band, Iff, ObjectType, Status, TransponderMode
from firmware_py.perception.tracks import TrackSet
from hal.frames import Vec3

__all__ = ["LEVELS", "MOST_ROWS", "TrackQuery", "full_row", "select", "short_row"]

LEVELS = ("ok", "warn", "crit")
"""Risk by number."""
MOST_ROWS = 24
"""Rows of one answer: what fits one telemetry channel."""


@dataclass(frozen=True, slots=True)
class TrackQuery:
    """What is asked; ``None`` is not asked. Box corners inertial, m."""

    track_id: int | None = None
    low_m: Vec3 | None = None
    high_m: Vec3 | None = None
    risk: str | None = None
    newer_s: float | None = None

    @classmethod
    def of(cls, arguments: Mapping[str, Any]) -> TrackQuery:
        """From the arguments of a perception_query. Raises ValueError for a box with one corner or turned over."""
        low, high = arguments.get("low_m"), arguments.get("high_m")
        if (low is None) != (high is None):
            raise ValueError("a box needs low_m and high_m")
        if low is not None and high is not None and any(a > b for a, b in zip(low, high, strict=True)):
            raise ValueError("low_m must not be above high_m in any axis")
        return cls(
            arguments.get("track_id"), None if low is None else tuple(low), None if high is None else tuple(high),
            arguments.get("risk"), arguments.get("newer_s"),
        )


def select(tracks: TrackSet, levels: NDArray[np.int8], query: TrackQuery, own_m: Vec3) -> NDArray[np.int64]:
    """Rows of the tracks that are asked for, worst risk first, then nearest to ``own_m``, then oldest.

    Args:
        tracks: all of them.
        levels: (n,) risk by number, see LEVELS.
        query: what is asked.
        own_m: where the craft is, inertial.
    """
    wanted = np.ones(len(tracks), bool)
    if query.track_id is not None:
        wanted &= tracks.track_id == query.track_id
    position = tracks.state[:, :3]
    if query.low_m is not None and query.high_m is not None:
        wanted &= np.all((position >= query.low_m) & (position <= query.high_m), axis=1)
    if query.risk is not None:
        wanted &= levels >= LEVELS.index(query.risk)
    if query.newer_s is not None:
        wanted &= tracks.t_ns - tracks.measured_ns <= query.newer_s * 1e9
    rows = np.flatnonzero(wanted)
    distance = np.linalg.norm(position[rows] - np.asarray(own_m), axis=1)
    return rows[np.lexsort((tracks.track_id[rows], distance, -levels[rows].astype(np.int64)))]


def short_row(tracks: TrackSet, row: int, level: int, own_m: Vec3) -> list[Any]:
    """One track as the telemetry has it: type, iff, risk, range, position, velocity; three digits are enough there."""
    state = tracks.state[row]
    distance = float(np.linalg.norm(state[:3] - np.asarray(own_m)))
    return [
        ObjectType(int(tracks.object_type[row])).name.lower(), Iff(int(tracks.iff[row])).name.lower(), LEVELS[level],
        round(distance, 2), [round(float(x), 2) for x in state[:3]], [round(float(v), 3) for v in state[3:]],
    ]


def full_row(tracks: TrackSet, row: int, level: int, own: NDArray[np.float64]) -> dict[str, Any]:
    """One track whole, as recorded and exported; what is missing is ``None``.

    Args:
        tracks: all of them.
        row: which.
        level: its risk by number.
        own: (6,) position and velocity of the craft, inertial. Range, bearing, elevation and vr are seen from there,
            in inertial axes.
    """
    relative = tracks.state[row] - own
    x, y, z = (float(value) for value in relative[:3])
    distance = float(np.linalg.norm(relative[:3]))
    closing = float(relative[:3] @ relative[3:]) / distance if distance > 0.0 else None
    upper = np.triu_indices(3)
    covariance = tracks.covariance[row]
    identity = int(tracks.transponder_id[row])
    mode = TransponderMode(int(tracks.transponder_mode[row]))
    return {
        "track_id": int(tracks.track_id[row]),
        "object_type": ObjectType(int(tracks.object_type[row])).name.lower(),
        "iff": Iff(int(tracks.iff[row])).name.lower(),
        "transponder_on": mode in (TransponderMode.ON, TransponderMode.SPOOF),
        "transponder_mode": mode.name.lower(),
        "transponder_id": None if identity == NO_ID else identity,
        "id_present": identity != NO_ID,
        "quality": round(float(tracks.quality[row]), 4),
        "trust": round(float(tracks.trust[row]), 4),
        "risk": LEVELS[level],
        "range_m": distance,
        "bearing_deg": degrees(float(np.arctan2(y, x))),
        "elev_deg": degrees(float(np.arcsin(z / distance))) if distance > 0.0 else None,
        "vr_mps": closing,
        "snr_db": _number(tracks.snr_db[row]),
        "rcs_dbsm": _number(tracks.rcs_dbsm[row]),
        "extent_m": _number(tracks.extent_m[row]),
        "timestamp_ns": tracks.t_ns,
        "measured_ns": int(tracks.measured_ns[row]),
        "status": Status(int(tracks.status[row])).name.lower(),
        "position_m": tracks.state[row, :3].tolist(),
        "velocity_m_s": tracks.state[row, 3:].tolist(),
        "position_covariance": covariance[:3, :3][upper].tolist(),
        "velocity_covariance": covariance[3:, 3:][upper].tolist(),
        "age_s": float(tracks.age_s[row]),
        "miss_count": int(tracks.miss_count[row]),
        "range_band": Band(int(tracks.band[row])).name.lower(),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
