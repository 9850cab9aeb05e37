"""Whether the sensors agree: a sensor that leaves its band while the others stay in theirs is weighed down and counted.

Each sensor's normalised innovations are averaged over its last detections of firm tracks, and so is the share of other
sensors' firm tracks that it saw. Both are kept in one array, because they belong to the state that a late frame rolls
back. With one sensor alone nothing contradicts it, and nothing is done.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.report import SensorHealth

__all__ = ["Column", "judge", "note_hits", "note_innovations", "start", "tell"]

Floats = NDArray[np.float64]

_ENOUGH = 0.5
"""Share of its memory that a sensor must have filled to be judged, or to judge."""
_RISE, _FALL = 1.1, 0.98
"""Of the inflation with each frame: up in a second or two at 10 Hz, down in ten."""
_BLIND = 0.4
"""A sensor that sees less than this share of what it should see contradicts the others."""


class Column:
    """Columns of the state, one row a sensor; four biases follow."""

    SAMPLES = 0
    NIS = 1
    LOOKS = 2
    SEEN = 3
    INFLATION = 4
    CONTRADICTIONS = 5
    BIAS = 6


def start(sensors: int) -> Floats:
    """State of sensors that have measured nothing yet."""
    state = np.zeros((sensors, Column.BIAS + 4))
    state[:, Column.INFLATION] = 1.0
    return state


def note_innovations(state: Floats, sensor: int, nis: Floats, scaled: Floats, memory: float) -> None:
    """Detections of firm tracks: mean squares (k,) per number, and innovations (4, k) in sigmas.

    The squares were formed with inflated variances; they are kept as the sensor's own sigmas would have them.
    """
    row, count = state[sensor], len(nis)
    row[Column.SAMPLES] = samples = min(row[Column.SAMPLES] + count, memory)
    share = min(1.0, count / samples)
    inflation = row[Column.INFLATION]
    row[Column.NIS] += share * (float(nis.sum()) / count * inflation - row[Column.NIS])
    row[Column.BIAS :] += share * (scaled.sum(axis=1) / count * np.sqrt(inflation) - row[Column.BIAS :])


def note_hits(state: Floats, sensor: int, looked: int, seen: int, memory: float) -> None:
    """Of ``looked`` firm tracks of other sensors in view, ``seen`` were detected."""
    row = state[sensor]
    row[Column.LOOKS] = looks = min(row[Column.LOOKS] + looked, memory)
    row[Column.SEEN] += min(1.0, looked / looks) * (seen / looked - row[Column.SEEN])


def judge(state: Floats, sensor: int, probability: float, config: TrackerConfig) -> None:
    """Raise or lower the inflation of this sensor, which has just measured."""
    row = state[sensor]
    ready = state[:, Column.SAMPLES] >= _ENOUGH * config.health_memory
    own = ready[sensor] and _strays(row, config)
    blind = row[Column.LOOKS] >= _ENOUGH * config.health_memory and row[Column.SEEN] < _BLIND * probability
    others = ready.copy()
    others[sensor] = False
    fine = bool(others.any()) and not any(_strays(state[k], config) for k in others.nonzero()[0])
    if (own or blind) and fine:
        row[Column.CONTRADICTIONS] += row[Column.INFLATION] <= 1.0
        row[Column.INFLATION] = min(row[Column.INFLATION] * _RISE, config.health_inflation_max,
                                    np.inf if blind else max(row[Column.NIS], 1.0 + _RISE))
    else:
        row[Column.INFLATION] = max(1.0, row[Column.INFLATION] * _FALL)


def _strays(row: Floats, config: TrackerConfig) -> bool:
    """A sensor is out of its band."""
    return bool(row[Column.NIS] > config.health_nis or (np.abs(row[Column.BIAS :]) > config.health_bias_sigma).any())


def tell(names: tuple[str, ...], state: Floats) -> tuple[SensorHealth, ...]:
    """The state of each sensor by name."""
    return tuple(
        SensorHealth(
            name, float(row[Column.NIS]), tuple(row[Column.BIAS :].tolist()),
            float(row[Column.SEEN]) if row[Column.LOOKS] > 0.0 else float("nan"), float(row[Column.SAMPLES]),
            float(row[Column.INFLATION]), int(row[Column.CONTRADICTIONS]),
        )
        for name, row in zip(names, state, strict=True)
    )
