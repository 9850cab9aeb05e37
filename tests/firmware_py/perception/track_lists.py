"""Track lists for tests from their states alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from firmware_py.perception.tracks import TrackSet
from tests.firmware_py.perception.track_columns import SECOND as NS
from tests.firmware_py.perception.track_columns import make_tracks

__all__ = ["NS", "track_list"]


def track_list(states: Any, t_ns: int = 10 * NS, **columns: Any) -> TrackSet:
    """Firm contacts with ids from 1 on, seen for five seconds and measured now, with nothing known of their echo."""
    state = np.asarray(states, float).reshape(-1, 6)
    plain = {"born_ns": t_ns - 5 * NS, "snr_db": np.nan, "quality": 0.9, "trust": 0.49}
    return make_tracks(
        len(state), t_ns / NS, position=state[:, :3], velocity=state[:, 3:], **{**plain, **columns}
    )
