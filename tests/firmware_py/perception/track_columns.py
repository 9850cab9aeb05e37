"""Track lists for tests: columns with sound values, of which some are changed."""

from __future__ import annotations

from typing import Any

import numpy as np

from firmware_py.perception.observation import NO_ID, Band, Status
from firmware_py.perception.tracks import TrackSet

__all__ = ["SECOND", "make_tracks"]

SECOND = 1_000_000_000


def make_tracks(
    count: int, t_s: float = 0.0, *, position: Any = None, velocity: Any = None, sigma_m: float = 1.0,
    sigma_m_s: float = 0.1, **changes: Any,
) -> TrackSet:
    """Firm short-range tracks with ids 1.., just measured, at rest 100 m apart; columns by name, scalars are spread."""
    t_ns = round(t_s * SECOND)
    state = np.zeros((count, 6))
    state[:, 0] = 100.0 * np.arange(count)
    if position is not None:
        state[:, :3] = position
    if velocity is not None:
        state[:, 3:] = velocity
    covariance = np.zeros((count, 6, 6))
    covariance[:, range(6), range(6)] = np.repeat((sigma_m ** 2, sigma_m_s ** 2), 3)
    columns: dict[str, Any] = {
        "track_id": (np.arange(count) + 1, np.int64), "status": (Status.TRACKED, np.int8),
        "measured_ns": (t_ns, np.int64),
        "born_ns": (0, np.int64), "miss_count": (0, np.int64), "quality": (1.0, float), "trust": (1.0, float),
        "snr_db": (20.0, float), "rcs_dbsm": (np.nan, float), "extent_m": (np.nan, float),
        "transponder_mode": (0, np.int8), "transponder_id": (NO_ID, np.int64), "band": (Band.SR, np.int8),
        "sources": (1, np.int64), "object_type": (0, np.int8), "iff": (0, np.int8),
    }
    filled = {
        name: np.array(np.broadcast_to(changes.pop(name, value), (count,)), kind)
        for name, (value, kind) in columns.items()
    }
    assert not changes, changes
    return TrackSet(t_ns=t_ns, state=state, covariance=covariance, **filled)
