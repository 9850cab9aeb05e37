"""The tracks as others see them: a copy carried on to one time, every covariance filled and positive definite."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Status
from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.engine import Engine
from firmware_py.perception.tracker.health import Column
from firmware_py.perception.tracker.motion import Motion
from firmware_py.perception.tracker.store import COVARIANCE, FIRM, STATE, Number, Word
from firmware_py.perception.tracks import TrackSet

__all__ = ["take_tracks"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_BRIGHT_DB = 20.0
"""Signal over noise from which quality is full (CANON section 12)."""
_ALONE = 0.49
"""Most trust in a track that one sensor alone supports (CANON section 12)."""


def take_tracks(engine: Engine, motion: Motion, config: TrackerConfig, t_ns: int) -> TrackSet:
    """All tracks of the engine as they should be at ``t_ns``, before or after its own time."""
    numbers, words = engine.store.copy()
    if len(words[0]) and t_ns != engine.now_ns:
        motion.predict(numbers, words, t_ns, (t_ns - engine.now_ns) * 1e-9)
    count = len(words[0])
    covariance = np.ascontiguousarray(numbers[COVARIANCE].T).reshape(count, 6, 6)
    first = engine.store.sensor_row
    recent = words[first:] > t_ns - engine.support_ns
    sources = (recent.astype(np.int64) << np.arange(len(recent))[:, None]).sum(axis=0)
    return TrackSet(
        t_ns=t_ns, track_id=words[Word.ID], status=_status(words, t_ns, config), state=numbers[STATE].T.copy(),
        covariance=covariance, measured_ns=words[Word.MEASURED_NS], born_ns=words[Word.BORN_NS],
        miss_count=words[Word.MISSES], quality=_quality(numbers, words, config),
        trust=_trust(recent, engine.health[:, Column.INFLATION]), snr_db=numbers[Number.SNR],
        rcs_dbsm=numbers[Number.RCS], extent_m=numbers[Number.EXTENT],
        transponder_mode=words[Word.MODE].astype(np.int8), transponder_id=words[Word.TRANSPONDER],
        band=words[Word.BAND].astype(np.int8), sources=sources,
        object_type=np.zeros(count, np.int8), iff=np.zeros(count, np.int8),
    )


def _status(words: Ints, t_ns: int, config: TrackerConfig) -> NDArray[np.int8]:
    """A firm track coasts while it is missed, or is in nobody's view; then it is lost, before it is dropped."""
    status = words[Word.STATUS].astype(np.int8)
    age_ns = t_ns - words[Word.MEASURED_NS]
    silent = age_ns > words[Word.PATIENCE_NS]
    firm = status == FIRM
    status[firm & (silent | (words[Word.MISSES] > 0))] = Status.COASTING
    if np.count_nonzero(silent):
        status[firm & silent & (age_ns > config.lost_s * 1e9)] = Status.LOST
    return status


def _quality(numbers: Floats, words: Ints, config: TrackerConfig) -> Floats:
    """Share of patience left, times brightness, full where it is unknown, times share of the hits that make it firm."""
    left = 1.0 - np.minimum(words[Word.MISSED_NS] / np.maximum(words[Word.PATIENCE_NS], 1), 1.0)
    bright = np.maximum(np.fmin(numbers[Number.SNR] / _BRIGHT_DB, 1.0), 0.0)
    quality: Floats = left * bright
    quality *= np.minimum(words[Word.HITS] / config.confirm_hits, 1.0)
    return quality


def _trust(recent: NDArray[np.bool_], inflation: Floats) -> Floats:
    """(n,) from which of the sensors support a track, and how much each of them is weighed down."""
    supporters = recent.sum(axis=0)
    weight = (recent / inflation[:, None]).sum(axis=0) / np.maximum(supporters, 1)
    trust: Floats = np.where(supporters >= 2, 1.0, np.where(supporters == 1, _ALONE, 0.0)) * weight
    return trust
