"""How far a track may be relied on: its quality, who supports it, and whether sensors contradict each other.

One supporter never gives more trust than 0.49, so nothing that needs trust rests on a single sensor. A conflict must
last three reports to be one and is over two seconds after the last; meanwhile the track has a fraction of its trust.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, unique

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Frame, Status
from firmware_py.perception.track_memory import TrackMemory
from firmware_py.perception.tracks import TrackSet
from hal.frames import to_matrix

__all__ = [
    "MAX_REPORTS", "MAX_SENSORS", "Reports", "TrustConfig", "TrustVerdict", "TrustWatch", "TrustWord", "frame_reports",
    "quality",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.int8]
MAX_SENSORS = 16
MAX_REPORTS = 8192
"""Reports of one call that are looked at; the first ones."""
FULL_SNR_DB = 20.0
_SUPPORT_SIGMAS, _CONFLICT_SIGMAS = 3.0, 5.0
MISSES = 3


@unique
class TrustWord(IntEnum):
    """Trust in a word; the worst that applies."""

    TRUSTED = 0
    DEGRADED = 1
    """One supporter only, or poor quality."""
    CONFLICTING = 2
    """Sensors put it in different places."""
    BLIND = 3
    """No sensor can see where it is."""
    STALE = 4
    """Not measured for longer than a supporter may be old."""
    MISSING = 5
    """Not measured for so long that it may be anywhere."""
    LOCAL_RECONSTRUCTION = 6
    """Carried on by prediction: its last look missed it."""
    HYPOTHESIS = 7
    """Not confirmed yet."""


def quality(miss_count: Ints, snr_db: Floats) -> Floats:
    """Quality 0..1: (1 - misses / 3) times snr / 20, each part within 0..1.

    A part that is not measured is not counted: without a signal-to-noise ratio, as of a lidar's clusters, misses alone
    decide.
    """
    kept = np.clip(1.0 - np.asarray(miss_count) / MISSES, 0.0, 1.0)
    strength = np.clip(np.asarray(snr_db, float) / FULL_SNR_DB, 0.0, 1.0)
    answer: Floats = kept * np.where(np.isnan(strength), 1.0, strength)
    return answer


@dataclass(frozen=True, slots=True)
class Reports:
    """What single sensors say of tracks, a row each: number of the sensor as in ``TrackSet.sources``, the track it is
    meant for, event time, position (n, 3), velocity (n, 3), NaN if not measured; inertial. ``sigma_m``: doubt about a
    position, one standard deviation of its length.
    """

    sensor: Ints
    track_id: Ints
    event_ns: Ints
    position_m: Floats
    velocity_m_s: Floats
    sigma_m: Floats = field(default_factory=lambda: np.zeros(1))
    """A row each, or one for all."""

    def __post_init__(self) -> None:
        """Raises ValueError on columns of unequal length."""
        count = len(self.sensor)
        if len(self.track_id) != count or len(self.event_ns) != count or len(self.sigma_m) not in (1, count) or any(
            a.shape != (count, 3) for a in (self.position_m, self.velocity_m_s)
        ):
            raise ValueError(f"{count} sensors; as many tracks, times, positions (n, 3) and velocities are needed")


_NONE = np.empty(0, np.int64)
_NOTHING = Reports(_NONE, _NONE, _NONE, np.empty((0, 3)), np.empty((0, 3)))
"""No reports."""


def frame_reports(frame: Frame, sensor: int, tracks: TrackSet, sigma_rad: float) -> Reports:
    """What a frame says of tracks by their identity: each detection that names one is about the oldest track of it.

    Without an identity a detection elsewhere is another object and contradicts nobody.

    Args:
        frame: of one sensor.
        sensor: its number, as in ``TrackSet.sources``.
        tracks: whose identities are meant.
        sigma_rad: of its worst angle.
    """
    named = frame.transponder_id != NO_ID
    if not named.any():
        return _NOTHING
    order = np.argsort(tracks.transponder_id, kind="stable")
    ids = tracks.transponder_id[order]
    place = np.searchsorted(ids, frame.transponder_id)
    named &= place < len(ids)
    named[named] = ids[place[named]] == frame.transponder_id[named]
    frame, row = frame.take(named), order[place[named]]
    flat = frame.range_m * np.cos(frame.elevation_rad)
    there = np.stack((
        flat * np.cos(frame.bearing_rad), flat * np.sin(frame.bearing_rad), frame.range_m * np.sin(frame.elevation_rad),
    ), axis=1)
    position = there @ np.array(to_matrix(frame.pose.quaternion)).T + np.array(frame.pose.position_m)
    count = len(frame)
    return Reports(
        np.full(count, sensor, np.int64), tracks.track_id[row], np.full(count, frame.event_ns, np.int64), position,
        np.full((count, 3), np.nan), frame.range_m * sigma_rad if count else np.zeros(1),
    )


@dataclass(frozen=True, slots=True)
class TrustConfig:
    """Limits. Gates, supporters, age, conflict, frames, cooldown and cap are given; the others are P.

    Attributes:
        gate_m, gate_m_s: a report within both supports; the velocity is asked where it is measured.
        conflict_m: a report further off contradicts.
        supporters: that make a track trusted; age_s: a supporter is one for so long.
        frames: contradictions of a sensor in a row that are a conflict; cooldown_s: it lasts so long after the last.
        single_cap: trust with fewer supporters at most; conflict_share: of trust that is left in a conflict.
        degraded: trust below which a track is degraded.
        missing_s: age of the last measurement from which a track is missing.
        forget_s: a track that is gone is forgotten after it; ``limit``: remembered at most.
    """

    gate_m: float = 50.0
    gate_m_s: float = 20.0
    conflict_m: float = 100.0
    supporters: int = 2
    age_s: float = 2.0
    frames: int = 3
    cooldown_s: float = 2.0
    single_cap: float = 0.49
    conflict_share: float = 0.25
    degraded: float = 0.5
    missing_s: float = 30.0
    forget_s: float = 60.0
    limit: int = 2048

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        if not (0.0 < self.gate_m <= self.conflict_m and self.gate_m_s > 0.0 and np.isfinite(self.conflict_m)):
            raise ValueError("0 < gate_m <= conflict_m and gate_m_s above 0 are allowed")
        if not (1 <= self.supporters <= MAX_SENSORS and 1 <= self.frames <= 100):
            raise ValueError(f"supporters 1..{MAX_SENSORS} and frames 1..100 are allowed")
        if not (0.0 < self.age_s < self.missing_s and self.cooldown_s >= 0.0):
            raise ValueError("0 < age_s < missing_s and cooldown_s from 0 on are allowed")
        if not all(0.0 <= share <= 1.0 for share in (self.single_cap, self.conflict_share, self.degraded)):
            raise ValueError("single_cap, conflict_share and degraded are 0..1")


@dataclass(frozen=True, slots=True)
class TrustVerdict:
    """Columns, a row each track: ``quality`` and ``trust`` 0..1, ``word`` as of ``TrustWord``, ``supporters``."""

    quality: Floats
    trust: Floats
    word: Bytes
    supporters: Ints

    def name(self, row: int) -> str:
        """Trust of one track, in a word."""
        return TrustWord(int(self.word[row])).name.lower()


class TrustWatch:
    """Trust in all tracks. One instance owns what is remembered of them.

    Attributes:
        conflicts: conflicts that have begun since start.
        unused: reports that were not looked at: not finite, too old or ahead of time, of no such track or sensor, or
            too many.
    """

    def __init__(self, config: TrustConfig | None = None) -> None:
        self._config = config = TrustConfig() if config is None else config
        self._memory = TrackMemory(
            {"support_ns": (np.int64, -1, MAX_SENSORS), "against": (np.int64, 0, MAX_SENSORS),
             "conflict_ns": (np.int64, -1, 0), "conflict": (np.bool_, False, 0)},
            config.limit, config.forget_s,
        )
        self._weighed = False
        """Some report was weighed; before, there is nothing to remember of any sensor."""
        self.conflicts = 0
        self.unused = 0

    @property
    def memory(self) -> TrackMemory:
        """What is remembered; for its counters."""
        return self._memory

    def step(self, tracks: TrackSet, reports: Reports | None = None, covered: Flags | None = None) -> TrustVerdict:
        """Judge all tracks.

        Args:
            tracks: ``sources`` are counted as supporters as long as the track itself is not too old; trust is never
                above the ``trust`` they come with.
            reports: what single sensors say; each is to be handed in once.
            covered: which tracks any sensor can see now; None: all.
        """
        slots = self._memory.slots(tracks.track_id, tracks.t_ns)
        if reports is not None and len(reports.sensor):
            self._weigh(tracks, slots, reports)
        supporters, conflict = self._standing(tracks, slots)
        good = quality(tracks.miss_count, tracks.snr_db)
        trust = np.where(supporters < self._config.supporters, np.minimum(good, self._config.single_cap), good)
        trust = np.where(conflict, trust * self._config.conflict_share, trust)
        old_s = (tracks.t_ns - tracks.measured_ns).astype(np.float64) * 1e-9
        # What is not measured any more is trusted less the longer it is so, and not at all when it is missing.
        fresh = np.clip((self._config.missing_s - old_s) / (self._config.missing_s - self._config.age_s), 0.0, 1.0)
        # What the tracker has weighed down stays down.
        trust = np.fmin(trust * fresh, tracks.trust)
        return TrustVerdict(good, trust, self._word(tracks, trust, supporters, conflict, old_s, covered), supporters)

    def _weigh(self, tracks: TrackSet, slots: Ints, reports: Reports) -> None:
        """Supports and contradictions, report by report of each sensor."""
        config = self._config
        order = np.argsort(tracks.track_id, kind="stable")
        ids = tracks.track_id[order]
        taken = slice(0, MAX_REPORTS)
        sensor, number, event_ns = reports.sensor[taken], reports.track_id[taken], reports.event_ns[taken]
        position, velocity = reports.position_m[taken], reports.velocity_m_s[taken]
        ago_s = (tracks.t_ns - event_ns) * 1e-9
        good = (sensor >= 0) & (sensor < MAX_SENSORS) & np.isfinite(position).all(axis=1)
        good &= np.abs(ago_s) < config.age_s
        if len(ids):
            row = order[np.minimum(np.searchsorted(ids, number), len(ids) - 1)]
            good &= (tracks.track_id[row] == number) & (slots[row] >= 0)
        else:
            good[:] = False
        used = np.flatnonzero(good)
        self.unused += len(reports.sensor) - len(used)
        if not len(used):
            return
        row = row[used]
        expected = tracks.state[row, :3] - tracks.state[row, 3:] * ago_s[used, None]
        away = np.linalg.norm(position[used] - expected, axis=1)
        faster = np.linalg.norm(velocity[used] - tracks.state[row, 3:], axis=1)
        # Nobody is contradicted by what is no better known than that, nor by a track that is.
        own = np.maximum(tracks.position_variance_m2[row], 0.0)
        doubt = np.sqrt(own + np.broadcast_to(reports.sigma_m, len(reports.sensor))[taken][used] ** 2)
        supports = (away <= np.maximum(config.gate_m, _SUPPORT_SIGMAS * doubt)) & ~(faster > config.gate_m_s)
        against = away > np.maximum(config.conflict_m, _CONFLICT_SIGMAS * doubt)
        self._remember(slots[row], sensor[used], event_ns[used], supports, against)

    def _remember(self, slots: Ints, sensor: Ints, event_ns: Ints, supports: Flags, against: Flags) -> None:
        """Of several reports of a sensor on one track the newest alone counts for the row of contradictions."""
        memory, self._weighed = self._memory, True
        np.maximum.at(memory["support_ns"], (slots[supports], sensor[supports]), event_ns[supports])
        order = np.lexsort((event_ns, sensor, slots))
        key = slots[order] * MAX_SENSORS + sensor[order]
        last = order[np.concatenate((key[1:] != key[:-1], [True]))]
        slot, which = slots[last], sensor[last]
        count = np.where(against[last], memory["against"][slot, which] + 1, 0)
        memory["against"][slot, which] = np.minimum(count, self._config.frames)
        due = count >= self._config.frames
        begun = np.unique(slot[due])
        self.conflicts += int((~memory["conflict"][begun]).sum())
        memory["conflict"][begun] = True
        np.maximum.at(memory["conflict_ns"], slot[due], event_ns[last][due])

    def _standing(self, tracks: TrackSet, slots: Ints) -> tuple[Ints, Flags]:
        """Supporters of each track, and whether it is in a conflict."""
        config, memory = self._config, self._memory
        supported = (tracks.sources[:, None] >> np.arange(MAX_SENSORS)) & 1 > 0
        supported &= (tracks.t_ns - tracks.measured_ns < config.age_s * 1e9)[:, None]
        if not self._weighed:
            return supported.sum(axis=1), np.zeros(len(tracks), np.bool_)
        kept = np.flatnonzero(slots >= 0)
        rows = slots[kept]
        last_ns = memory["support_ns"][rows]
        supported[kept] |= (last_ns >= 0) & (tracks.t_ns - last_ns < config.age_s * 1e9)
        # A sensor that contradicts supports nothing, whatever the tracker has made of it.
        supported[kept] &= memory["against"][rows] == 0
        over = tracks.t_ns - memory["conflict_ns"][rows] >= config.cooldown_s * 1e9
        memory["conflict"][rows] &= ~over
        conflict = np.zeros(len(tracks), np.bool_)
        conflict[kept] = memory["conflict"][rows]
        return supported.sum(axis=1), conflict

    def _word(
        self, tracks: TrackSet, trust: Floats, supporters: Ints, conflict: Flags, old_s: Floats, covered: Flags | None,
    ) -> Bytes:
        """Worst word that applies; later lines overrule earlier ones."""
        config = self._config
        word = np.full(len(tracks), TrustWord.TRUSTED, np.int8)
        word[(trust < config.degraded) | (supporters < config.supporters)] = TrustWord.DEGRADED
        word[tracks.status == Status.COASTING] = TrustWord.LOCAL_RECONSTRUCTION
        word[tracks.status == Status.NEW] = TrustWord.HYPOTHESIS
        word[conflict] = TrustWord.CONFLICTING
        word[old_s >= config.age_s] = TrustWord.STALE
        if covered is not None:
            word[~covered & (old_s >= config.age_s)] = TrustWord.BLIND
        word[(old_s >= config.missing_s) | (tracks.status == Status.LOST)] = TrustWord.MISSING
        return word
