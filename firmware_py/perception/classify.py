"""What a track is, by echo, size, motion and what it declares; unspecified until two kinds of evidence agree.

A table says what each type looks like; each kind of evidence is weighed by it and no type is likelier than another
beforehand. What fits no type, or two alike, stays unspecified: an asteroid and a station of one size and echo are not
told apart without a declaration. A spoofed transponder declares nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import ObjectType, TransponderMode
from firmware_py.perception.track_memory import VERDICT, TrackMemory, settle
from firmware_py.perception.tracks import TrackSet

__all__ = ["LOOKS", "Classifier", "ClassifyConfig", "Look"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Look:
    """What one type looks like.

    Radar cross-section in dBm2 and decimal logarithm of the radius in m, each a mean and a sigma; ``moves``:
    probability that it is seen to change its speed within half a minute; ``top_speed_m_s``: it is never faster.
    """

    kind: ObjectType
    rcs_dbsm: tuple[float, float]
    log_radius: tuple[float, float]
    moves: float
    top_speed_m_s: float


LOOKS: tuple[Look, ...] = (
    # P throughout: cross-sections span what is published for small drones (-20..0), ships and satellites with panels
    # (5..25), stations (20..40) and fragments (-20..0 dBm2); natural bodies span almost everything.
    Look(ObjectType.DRONE, (-10.0, 6.0), (-0.3, 0.3), 0.80, 60.0),
    Look(ObjectType.SHIP, (15.0, 7.0), (0.8, 0.35), 0.60, 2000.0),
    Look(ObjectType.STATION, (30.0, 8.0), (1.6, 0.35), 0.02, 20.0),
    Look(ObjectType.ASTEROID, (25.0, 12.0), (1.5, 0.6), 0.01, 1e9),
    Look(ObjectType.DEBRIS, (-10.0, 8.0), (-0.4, 0.4), 0.01, 1e9),
)


@dataclass(frozen=True, slots=True)
class ClassifyConfig:
    """When evidence is enough (P).

    Attributes:
        kinds: kinds of evidence that are needed, of echo, size, motion and declaration.
        probability: the best type's, from which it counts.
        looks: measurements of echo or size before either is evidence.
        misfit_sigmas: an echo or size further from the best type is of no type.
        declared: probability that a declaration is true.
        window_s: time over which a change of speed is looked for; ``move_sigmas``: how large it must be;
            ``moves``: windows with one that make a mover; ``still``: windows without one that say
            once that it does not move.
        dwell_s: a type must be the best for so long; ``forget_s``: a track that is gone is forgotten after it.
        limit: tracks remembered.
    """

    kinds: int = 2
    probability: float = 0.8
    looks: int = 3
    misfit_sigmas: float = 4.0
    declared: float = 0.9
    window_s: float = 2.0
    move_sigmas: float = 4.0
    moves: int = 2
    still: int = 15
    dwell_s: float = 1.0
    forget_s: float = 60.0
    limit: int = 2048

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        if not (0.5 < self.probability < 1.0 and 1.0 / len(LOOKS) < self.declared < 1.0):
            raise ValueError("probability above 0.5 and below 1, declared above 0.2 and below 1 are allowed")
        if not 1 <= self.kinds <= 4 or min(self.looks, self.moves, self.still) < 1:
            raise ValueError("kinds 1..4, looks, moves and still from 1 on are allowed")
        if not (self.window_s > 0.0 and self.move_sigmas > 0.0 and self.misfit_sigmas > 0.0 and self.dwell_s >= 0.0):
            raise ValueError("window_s, move_sigmas and misfit_sigmas above 0, dwell_s from 0 on are allowed")


_CODES = np.array([look.kind for look in LOOKS], np.int8)
_RCS = np.array([look.rcs_dbsm for look in LOOKS])
_RADIUS = np.array([look.log_radius for look in LOOKS])
_MOVES = np.array([look.moves for look in LOOKS])
_TOP_SPEED = np.array([look.top_speed_m_s for look in LOOKS])
_LOG_SPREAD = {"rcs": np.log(_RCS[:, 1]), "radius": np.log(_RADIUS[:, 1])}
_LOG_MOVES, _LOG_STILL = np.log(_MOVES), np.log1p(-_MOVES)
_TOO_FAST = -8.0
"""Logarithm of the likelihood of a speed that a type does not reach."""
_STILL_SPANS = 4
_AVERAGED = 20
"""Measurements that an average goes back at most."""


_Term = tuple[Floats, Flags, Floats | None]
"""What one kind of evidence says of tracks: (n, types) logarithm of the likelihood, (n,) whether there is any, and
(n, types) how many sigmas off it is, where it can be off."""


class Classifier:
    """Types of all tracks. One instance owns what is remembered of them.

    Args:
        declared: type by transponder id, as known beforehand or as the transponder says.
        config: limits.
    """

    def __init__(self, declared: Mapping[int, ObjectType] | None = None, config: ClassifyConfig | None = None) -> None:
        self._config = config = ClassifyConfig() if config is None else config
        self._ids = np.empty(0, np.int64)
        self._kinds = np.empty(0, np.int8)
        self.declare({} if declared is None else declared)
        self._memory = TrackMemory({
            **VERDICT, "measured_ns": (np.int64, -1, 0), "rcs": (np.float64, 0.0, 0), "rcs_looks": (np.int64, 0, 0),
            "radius": (np.float64, 0.0, 0), "radius_looks": (np.int64, 0, 0), "velocity": (np.float64, np.nan, 3),
            "variance": (np.float64, np.inf, 0), "from_ns": (np.int64, 0, 0), "moved": (np.int64, 0, 0),
            "still": (np.int64, 0, 0),
        }, config.limit, config.forget_s)

    @property
    def memory(self) -> TrackMemory:
        """What is remembered; for its counters."""
        return self._memory

    def declare(self, declared: Mapping[int, ObjectType]) -> None:
        """Set types by transponder id; unspecified ones are left out."""
        known = sorted((number, kind) for number, kind in declared.items() if kind is not ObjectType.UNSPECIFIED)
        self._ids = np.array([number for number, _ in known], np.int64)
        self._kinds = np.array([kind for _, kind in known], np.int8)

    def step(self, tracks: TrackSet) -> Bytes:
        """Type of every track, for the column ``object_type``."""
        slots = self._memory.slots(tracks.track_id, tracks.t_ns)
        kept = np.flatnonzero(slots >= 0)
        rows = slots[kept]
        self._measure(tracks, kept, rows)
        self._watch(tracks, kept, rows)
        wanted = np.zeros(len(tracks), np.int8)
        wanted[kept] = self._best(tracks, kept, rows)
        return settle(self._memory, slots, wanted, tracks.t_ns, np.full(len(tracks), round(self._config.dwell_s * 1e9)))

    def _measure(self, tracks: TrackSet, kept: Ints, rows: Ints) -> None:
        """Average echo and size, once a measurement."""
        memory = self._memory
        fresh = tracks.measured_ns[kept] > memory["measured_ns"][rows]
        kept, rows = kept[fresh], rows[fresh]
        memory["measured_ns"][rows] = tracks.measured_ns[kept]
        extent = tracks.extent_m[kept]
        radius = np.full(len(kept), np.nan)
        np.log10(extent, out=radius, where=extent > 0.0)
        for name, value in (("rcs", tracks.rcs_dbsm[kept]), ("radius", radius)):
            there = np.isfinite(value)
            if not there.any():
                continue
            row, looks = rows[there], memory[f"{name}_looks"]
            looks[row] += 1
            memory[name][row] += (value[there] - memory[name][row]) / np.minimum(looks[row], _AVERAGED)

    def _watch(self, tracks: TrackSet, kept: Ints, rows: Ints) -> None:
        """Whether the speed has changed by more than both its estimates allow, window by window."""
        memory, config = self._memory, self._config
        velocity = tracks.state[kept, 3:]
        variance = tracks.velocity_variance_m2_s2[kept]
        usable = np.isfinite(velocity).all(axis=1) & np.isfinite(variance) & tracks.firm[kept]
        first = usable & ~np.isfinite(memory["variance"][rows])
        gone_s = (tracks.t_ns - memory["from_ns"][rows]) * 1e-9
        ended = usable & ~first & (gone_s >= config.window_s)
        change = velocity - memory["velocity"][rows]
        moved = np.zeros(len(rows), np.bool_)
        moved[ended] = (
            np.einsum("ij,ij->i", change[ended], change[ended])
            > config.move_sigmas ** 2 * (variance[ended] + memory["variance"][rows[ended]])
        )
        memory["moved"][rows] += moved
        memory["still"][rows] += ended & ~moved
        new = first | ended
        memory["velocity"][rows[new]] = velocity[new]
        memory["variance"][rows[new]] = variance[new]
        memory["from_ns"][rows[new]] = tracks.t_ns

    def _best(self, tracks: TrackSet, kept: Ints, rows: Ints) -> Bytes:
        """Best type of each, 0 where evidence is thin, contradictory, or fits none."""
        config = self._config
        terms = [*self._sized(rows), self._moving(rows), *self._declaring(tracks, kept)]
        likelihood = sum((term for term, _, _ in terms), self._speed(tracks, kept))
        kinds = sum((there.astype(np.int64) for _, there, _ in terms), np.zeros(len(rows), np.int64))
        best, each = np.argmax(likelihood, axis=1), np.arange(len(rows))
        share = np.exp(likelihood - likelihood.max(axis=1, keepdims=True, initial=-1e9))
        sure = share[each, best] / share.sum(axis=1) >= config.probability
        for _, there, misfit in terms:
            if misfit is not None:
                sure &= ~there | (misfit[each, best] <= config.misfit_sigmas)
        return np.where(sure & (kinds >= config.kinds), _CODES[best], np.int8(ObjectType.UNSPECIFIED)).astype(np.int8)

    def _sized(self, rows: Ints) -> list[_Term]:
        terms: list[_Term] = []
        for name, table in (("rcs", _RCS), ("radius", _RADIUS)):
            there = self._memory[f"{name}_looks"][rows] >= self._config.looks
            if not there.any():
                continue
            off = np.abs(self._memory[name][rows][:, None] - table[:, 0]) / table[:, 1]
            term = np.where(there[:, None], -0.5 * off * off - _LOG_SPREAD[name], 0.0)
            terms.append((term, there, off))
        return terms

    def _moving(self, rows: Ints) -> _Term:
        moved = self._memory["moved"][rows] >= self._config.moves
        # Each half minute without one says it anew, up to a point: who lies in wait does not move for hours either.
        spans = np.minimum(self._memory["still"][rows] // self._config.still, _STILL_SPANS)
        spans[self._memory["moved"][rows] > 0] = 0
        return np.where(moved[:, None], _LOG_MOVES, spans[:, None] * _LOG_STILL), moved | (spans > 0), None

    def _declaring(self, tracks: TrackSet, kept: Ints) -> list[_Term]:
        there = tracks.transponder_mode[kept] == TransponderMode.ON
        if not len(self._ids) or not there.any():
            return []
        number = tracks.transponder_id[kept]
        place = np.minimum(np.searchsorted(self._ids, number), len(self._ids) - 1)
        there &= self._ids[place] == number
        kind = self._kinds[place]
        others = (1.0 - self._config.declared) / (len(LOOKS) - 1)
        term = np.where(kind[:, None] == _CODES, np.log(self._config.declared), np.log(others))
        return [(np.where(there[:, None], term, 0.0), there, None)]

    def _speed(self, tracks: TrackSet, kept: Ints) -> Floats:
        """Speed is no evidence for a type, only against those that are never as fast."""
        velocity = tracks.state[kept, 3:]
        speed = np.linalg.norm(velocity, axis=1)
        slack = 3.0 * np.sqrt(tracks.velocity_variance_m2_s2[kept])
        return np.where(speed[:, None] - slack[:, None] > _TOP_SPEED, _TOO_FAST, 0.0)
