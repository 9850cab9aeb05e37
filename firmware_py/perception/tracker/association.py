"""Which detection goes to which track: at once if uncontested, else at the least total cost, in shares if tight.

A pair that shares neither its track nor its detection is settled. What is contested is assigned so that the sum of
log-likelihood ratios is greatest; tracks closer together than the sensor can tell apart share their detections instead,
because a wrong choice between them would exchange their identities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.belief import shares
from firmware_py.perception.tracker.clusters import assign
from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.gating import Pairs

__all__ = ["Choice", "associate"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Solver = Callable[..., Any]

_GREATEST = 60.0
"""Log-likelihood ratio beyond which more does not matter, and its exponential still has digits to spare."""


@dataclass(slots=True)
class Choice:
    """Rows of the pairs by what becomes of them.

    Attributes:
        chosen: these move their track by the whole detection.
        owner: these move nothing: their track shares detections, and this one counts as its own.
        shared, share: these move their track by this share.
        conflicts: tracks with more than one choice.
        clusters: groups that were assigned together.
    """

    chosen: Ints
    owner: Ints
    shared: Ints
    share: Floats
    conflicts: int = 0
    clusters: int = 0


_NONE = np.empty(0, np.int64)
_NOTHING = np.empty(0)


def associate(
    pairs: Pairs, score: Callable[[Pairs], Floats], standing: Floats, detections: int, config: TrackerConfig,
    hard_only: Bools | None = None,
) -> Choice:
    """Choose among the pairs inside the gate. ``score`` gives their log-likelihood ratios, asked for only on conflict.

    ``standing`` (n,) is added to a track's scores when shared detections are counted, so that of two tracks of one
    target the lesser goes without and ends. Pairs of ``hard_only`` (p,) are never shared.
    """
    track, detection = pairs.track, pairs.detection
    alone = np.bincount(track, minlength=len(standing))[track] == 1
    alone &= np.bincount(detection, minlength=detections)[detection] == 1
    if np.count_nonzero(alone) == len(alone):
        return Choice(np.arange(len(track)), _NONE, _NONE, _NOTHING)
    contested = (~alone).nonzero()[0]
    some = pairs.take(contested)
    worth = np.minimum(score(some), _GREATEST)
    rows, row = np.unique(some.track, return_inverse=True)
    columns, column = np.unique(some.detection, return_inverse=True)
    tight = _tight(some, row, column, len(rows), len(columns), config)
    if hard_only is not None:
        tight &= np.bincount(row, hard_only[contested], len(rows)) == 0
    soft = tight[row]
    picked, clusters = assign(
        row, column, worth + np.where(soft, standing[some.track], 0.0), len(rows), len(columns), config.max_cluster)
    chosen = np.concatenate((alone.nonzero()[0], contested[picked[~soft[picked]]]))
    if not soft.any():
        return Choice(chosen, _NONE, _NONE, _NOTHING, len(rows), clusters)
    share = shares(row, column, np.exp(worth), len(rows), len(columns), config.belief_rounds, config.belief_tolerance)
    kept = (soft & (share >= config.belief_floor)).nonzero()[0]
    return Choice(chosen, contested[picked[soft[picked]]], contested[kept], share[kept], len(rows), clusters)


def _tight(some: Pairs, row: Ints, column: Ints, rows: int, columns: int, config: TrackerConfig) -> Bools:
    """(rows,) tracks that have a near detection which is near to another track too."""
    near = some.distance <= config.belief_separation**2
    many = np.bincount(column[near], minlength=columns) >= 2
    return np.bincount(row[near & many[column]], minlength=rows) > 0
