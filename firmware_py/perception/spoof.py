"""Whether an identity can be believed: every way in which it contradicts itself, the radar, or what is known of it.

A verdict names its reasons. What can be an error of association must be seen in several frames; what cannot be true
counts at once. An identity that is not contradicted for a while is believed again. Of two tracks that bear one identity
neither is believed: which one lies is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntFlag, unique

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, TransponderMode
from firmware_py.perception.track_memory import TrackMemory
from firmware_py.perception.tracks import TrackSet
from hal.frames import Vec3

__all__ = ["MAX_DECLARATIONS", "Declarations", "Place", "SpoofConfig", "SpoofReason", "SpoofVerdict", "SpoofWatch"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.int8]
MAX_DECLARATIONS = 4096
"""Declarations of one call that are looked at; the first ones."""
MAX_PLACES = 256


@unique
class SpoofReason(IntFlag):
    """Why an identity is not believed."""

    TWO_PLACES = 1
    """One identity on two tracks that are far apart."""
    CONTRADICTS_RADAR = 2
    """It says it is where, or as fast as, the radar does not see it."""
    IMPOSSIBLE_JUMP = 4
    """From where it was last seen nothing gets here in that time."""
    OUT_OF_PLACE = 8
    """It is not where this one can be."""
    SAYS_SPOOF = 16
    """The transponder or the radar says so itself."""
    LONG_RANGE = 32
    """It was told by a band that carries no identity."""


_AT_ONCE = np.array([reason in (SpoofReason.IMPOSSIBLE_JUMP, SpoofReason.SAYS_SPOOF) for reason in SpoofReason])
_BITS = np.array([int(reason) for reason in SpoofReason])


@dataclass(frozen=True, slots=True)
class Place:
    """Where a known transponder can be: a ball, inertial, m."""

    transponder_id: int
    centre_m: Vec3
    radius_m: float

    def __post_init__(self) -> None:
        """Raises ValueError on a ball that cannot be."""
        if not (np.all(np.isfinite(self.centre_m)) and np.isfinite(self.radius_m) and self.radius_m > 0.0):
            raise ValueError(f"place of {self.transponder_id}: a finite centre and a radius above 0 are allowed")


@dataclass(frozen=True, slots=True)
class Declarations:
    """What transponders say of themselves, a row each: id, event time, position (n, 3), velocity (n, 3), NaN if not
    told; inertial. ``sigma_m`` and ``sigma_m_s``: one standard deviation of one axis.
    """

    transponder_id: Ints
    event_ns: Ints
    position_m: Floats
    velocity_m_s: Floats
    sigma_m: float = 5.0
    sigma_m_s: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError on columns of unequal length."""
        count = len(self.transponder_id)
        if len(self.event_ns) != count or any(a.shape != (count, 3) for a in (self.position_m, self.velocity_m_s)):
            raise ValueError(f"{count} ids; as many times, positions (n, 3) and velocities (n, 3) are needed")


@dataclass(frozen=True, slots=True)
class SpoofConfig:
    """Limits (P where nothing else is said; 50 m, 20 m/s and 100 m are the gates of merging sensors).

    Attributes:
        apart_m: two tracks of one identity may be so far apart along an axis: one object seen twice.
        gate_m, gate_m_s: by so much a declaration may be off, ...
        sigmas: ... and by so many standard deviations.
        acceleration_m_s2: what no craft exceeds; decides what a jump is.
        declared_s: a declaration that is older, or newer, than the tracks by more says nothing.
        frames: contradictions in a row that are needed; clean_s: time without one after which all is well.
        forget_s: a track or identity that is gone is forgotten after it; ``limit``: remembered at most.
    """

    apart_m: float = 100.0
    gate_m: float = 50.0
    gate_m_s: float = 20.0
    sigmas: float = 5.0
    acceleration_m_s2: float = 20.0
    declared_s: float = 2.0
    frames: int = 3
    clean_s: float = 10.0
    forget_s: float = 60.0
    limit: int = 2048

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        for name in ("apart_m", "gate_m", "gate_m_s", "sigmas", "acceleration_m_s2", "declared_s", "clean_s"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0.0):
                raise ValueError(f"{name} is {getattr(self, name)}; above 0 is allowed")
        if not 1 <= self.frames <= 100:
            raise ValueError(f"frames is {self.frames}; 1..100 is allowed")


@dataclass(frozen=True, slots=True)
class SpoofVerdict:
    """Columns, a row each track: ``transponder_mode`` with SPOOF where an identity is not believed, and ``reasons``."""

    transponder_mode: Bytes
    reasons: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def names(self, row: int) -> tuple[str, ...]:
        """Reasons of one track, in words."""
        found = int(self.reasons[row])
        return tuple(str(reason.name).lower() for reason in SpoofReason if found & reason)


class SpoofWatch:
    """Verdicts on all tracks. One instance owns what is remembered of tracks and identities.

    Attributes:
        totals: verdicts by reason since start, one each time a reason begins to hold.
        unused: declarations that were not looked at: not finite, too old, of nobody, or too many.

    Raises:
        ValueError: two places of one transponder, or too many.
    """

    def __init__(self, places: Iterable[Place] = (), config: SpoofConfig | None = None) -> None:
        self._config = config = SpoofConfig() if config is None else config
        known = sorted(places, key=lambda place: place.transponder_id)
        self._place_ids = np.array([place.transponder_id for place in known], np.int64)
        if len(np.unique(self._place_ids)) < len(known) or len(known) > MAX_PLACES:
            raise ValueError(f"one place a transponder and at most {MAX_PLACES} are allowed")
        self._centres = np.array([place.centre_m for place in known]).reshape(-1, 3)
        self._radii = np.array([place.radius_m for place in known])
        count = len(SpoofReason)
        self._tracks = TrackMemory(
            {"frames": (np.int64, 0, count), "seen_ns": (np.int64, 0, count), "held": (np.bool_, False, count)},
            config.limit, config.forget_s,
        )
        self._identities = TrackMemory(
            {"position": (np.float64, np.nan, 3), "velocity": (np.float64, np.nan, 3), "variance": (np.float64, 0.0, 0),
             "spread": (np.float64, 0.0, 0), "at_ns": (np.int64, 0, 0)},
            config.limit, config.forget_s,
        )
        self.totals = dict.fromkeys(SpoofReason, 0)
        self.unused = 0

    @property
    def memories(self) -> tuple[TrackMemory, TrackMemory]:
        """What is remembered of tracks and of identities; for their counters."""
        return self._tracks, self._identities

    def step(
        self, tracks: TrackSet, declarations: Declarations | None = None, long_range_ids: Ints | None = None,
    ) -> SpoofVerdict:
        """Judge all tracks.

        Args:
            tracks: with what transponders and radar say of themselves.
            declarations: what transponders said of late; each is to be handed in once.
            long_range_ids: identities that came with long-range detections, which carry none; the intake refuses them.
                Frames without any say nothing: only ``clean_s`` without one ends a row.
        """
        named = (tracks.transponder_id != NO_ID) & tracks.firm
        sigma = np.sqrt(np.maximum(tracks.position_variance_m2, 0.0))
        found = np.zeros((len(tracks), len(SpoofReason)), np.bool_)
        found[:, 0] = self._two_places(tracks, named, sigma)
        checked = np.ones_like(found)
        found[:, 1], checked[:, 1] = self._contradicted(tracks, named, sigma, declarations)
        found[:, 2] = self._jumped(tracks, named, sigma)
        found[:, 3] = self._out_of_place(tracks, named, sigma)
        found[:, 4] = tracks.transponder_mode == TransponderMode.SPOOF
        checked[:, 5] = False
        if long_range_ids is not None and len(long_range_ids):
            found[:, 5] = (tracks.transponder_id != NO_ID) & np.isin(tracks.transponder_id, long_range_ids)
        held = self._hold(tracks, found, checked)
        mode = np.where(held.any(axis=1), np.int8(TransponderMode.SPOOF), tracks.transponder_mode).astype(np.int8)
        return SpoofVerdict(mode, held @ _BITS)

    def _two_places(self, tracks: TrackSet, named: Flags, sigma: Floats) -> Flags:
        """Whether another track of the same identity is too far away, along any axis."""
        found = np.zeros(len(tracks), np.bool_)
        rows = np.flatnonzero(named)
        if len(rows) < 2:
            return found
        rows = rows[np.argsort(tracks.transponder_id[rows], kind="stable")]
        number = tracks.transponder_id[rows]
        starts = np.flatnonzero(np.concatenate(([True], number[1:] != number[:-1])))
        group = np.cumsum(np.concatenate(([0], number[1:] != number[:-1])))
        slack = self._config.sigmas * sigma[rows][:, None]
        low, high = tracks.state[rows, :3] - slack, tracks.state[rows, :3] + slack
        # Each track's own ball of uncertainty against the nearest face of the furthest other one's.
        furthest, nearest = np.maximum.reduceat(low, starts)[group], np.minimum.reduceat(high, starts)[group]
        gap = np.maximum(furthest - high, low - nearest).max(axis=1)
        found[rows] = gap > self._config.apart_m
        return found

    def _contradicted(
        self, tracks: TrackSet, named: Flags, sigma: Floats, said: Declarations | None,
    ) -> tuple[Flags, Flags]:
        """Tracks whose declaration is off, and tracks that have one."""
        off, checked = np.zeros(len(tracks), np.bool_), np.zeros(len(tracks), np.bool_)
        if said is None or not len(said.transponder_id):
            return off, checked
        config = self._config
        taken = slice(0, MAX_DECLARATIONS)
        number, position, velocity = said.transponder_id[taken], said.position_m[taken], said.velocity_m_s[taken]
        ago_s = (tracks.t_ns - said.event_ns[taken]) * 1e-9
        good = np.isfinite(position).all(axis=1) & (np.abs(ago_s) <= config.declared_s) & (number >= 0)
        rows = np.flatnonzero(named)
        order = rows[np.argsort(tracks.transponder_id[rows], kind="stable")]
        ids = tracks.transponder_id[order]
        first, last = np.searchsorted(ids, number, "left"), np.searchsorted(ids, number, "right")
        good &= last > first
        self.unused += len(said.transponder_id) - int(good.sum())
        which = np.flatnonzero(good)
        counts = (last - first)[which]
        which = np.repeat(which, counts)
        row = order[first[which] + np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)]
        expected = tracks.state[row, :3] - tracks.state[row, 3:] * ago_s[which, None]
        away = np.linalg.norm(position[which] - expected, axis=1)
        allowed = np.maximum(config.gate_m, config.sigmas * np.hypot(sigma[row], said.sigma_m * np.sqrt(3.0)))
        speed = np.sqrt(np.maximum(tracks.velocity_variance_m2_s2[row], 0.0))
        faster = np.linalg.norm(velocity[which] - tracks.state[row, 3:], axis=1)
        allowed_speed = np.maximum(config.gate_m_s, config.sigmas * np.hypot(speed, said.sigma_m_s * np.sqrt(3.0)))
        # A velocity that is not told is NaN and above nothing.
        bad = (away > allowed) | (faster > allowed_speed)
        checked[row] = True
        off[row[bad]] = True
        return off, checked

    def _jumped(self, tracks: TrackSet, named: Flags, sigma: Floats) -> Flags:
        """Identities that are where nothing gets from where they were last seen."""
        found = np.zeros(len(tracks), np.bool_)
        rows = np.flatnonzero(named)
        slots = self._identities.slots(tracks.transponder_id[rows], tracks.t_ns)
        if not len(rows):
            return found
        rows, slots = rows[slots >= 0], slots[slots >= 0]
        memory, config = self._identities, self._config
        gone_s = (tracks.t_ns - memory["at_ns"][slots]) * 1e-9
        fresh = (gone_s > 0.0) | ~np.isfinite(memory["position"][slots, 0])
        rows, slots, gone_s = rows[fresh], slots[fresh], gone_s[fresh]
        before, speed = memory["position"][slots], memory["velocity"][slots]
        away = np.linalg.norm(tracks.state[rows, :3] - before - speed * gone_s[:, None], axis=1)
        reach = 0.5 * config.acceleration_m_s2 * gone_s * gone_s
        slack = config.gate_m + config.sigmas * np.sqrt(
            sigma[rows] ** 2 + memory["variance"][slots] + memory["spread"][slots] * gone_s * gone_s
        )
        found[rows] = away > reach + slack
        memory["position"][slots] = tracks.state[rows, :3]
        memory["velocity"][slots] = tracks.state[rows, 3:]
        memory["variance"][slots] = sigma[rows] ** 2
        memory["spread"][slots] = np.maximum(tracks.velocity_variance_m2_s2[rows], 0.0)
        memory["at_ns"][slots] = tracks.t_ns
        return found

    def _out_of_place(self, tracks: TrackSet, named: Flags, sigma: Floats) -> Flags:
        found = np.zeros(len(tracks), np.bool_)
        if not len(self._place_ids):
            return found
        place = np.minimum(np.searchsorted(self._place_ids, tracks.transponder_id), len(self._place_ids) - 1)
        known = named & (self._place_ids[place] == tracks.transponder_id)
        away = np.linalg.norm(tracks.state[:, :3] - self._centres[place], axis=1)
        found[known] = (away > self._radii[place] + self._config.sigmas * sigma)[known]
        return found

    def _hold(self, tracks: TrackSet, found: Flags, checked: Flags) -> Flags:
        """Reasons that hold: seen often enough, and not gone for long enough."""
        held = np.zeros_like(found)
        slots = self._tracks.slots(tracks.track_id, tracks.t_ns)
        memory, config = self._tracks, self._config
        if not (found.any() or memory["held"].any() or memory["frames"].any()):
            # Nobody is under suspicion, which is how it mostly is: there is nothing to count on.
            return held
        kept = np.flatnonzero(slots >= 0)
        rows, seen = slots[kept], found[kept]
        clean = tracks.t_ns - memory["seen_ns"][rows] >= config.clean_s * 1e9
        # A frame in which nothing could be compared neither adds to a row nor ends it.
        before = np.where(clean, 0, memory["frames"][rows])
        frames = np.where(seen, before + 1, np.where(checked[kept], 0, before))
        memory["frames"][rows] = np.minimum(frames, config.frames)
        due = seen & (_AT_ONCE | (frames >= config.frames))
        last_ns = np.where(seen, tracks.t_ns, memory["seen_ns"][rows])
        memory["seen_ns"][rows] = last_ns
        was = memory["held"][rows]
        now = due | (was & (tracks.t_ns - last_ns < config.clean_s * 1e9))
        memory["held"][rows] = now
        begun = now & ~was
        if begun.any():
            for reason, count in zip(SpoofReason, begun.sum(axis=0).tolist(), strict=True):
                self.totals[reason] += count
        held[kept] = now
        return held
