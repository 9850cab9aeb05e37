"""What tracks are, whose they are, and how far each may be believed: the columns that the tracker leaves open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.classify import Classifier
from firmware_py.perception.config import PerceptionConfig
from firmware_py.perception.iff import Identifier, asked_in_short_range
from firmware_py.perception.observation import Frame, ObjectType
from firmware_py.perception.spoof import Declarations, Place, SpoofWatch
from firmware_py.perception.tracks import TrackSet
from firmware_py.perception.trust import TrustWatch, frame_reports
from hal.frames import Vec3

__all__ = ["Verdicts"]

Flags = NDArray[np.bool_]
LEAST_SIGMA_M, HEIGHT_SHARE = 5.0, 0.1
"""Doubt about a place: the receiver tells no height, which may be a tenth of the range and more."""
MOST_DECLARED = 64
"""Declarations that wait for the next track list; more of them are dropped and counted."""


class Verdicts:
    """Owner of the four judges. Spoofing is judged first, since nobody else believes a spoofed transponder.

    Args:
        config: whom transponders name.
        asks: somebody on board asks contacts who they are; without, nobody owes an answer.

    Attributes:
        spoofed: verdicts of spoofing since start, by reason.
        dropped: declarations that found no room.
    """

    def __init__(self, config: PerceptionConfig, asks: bool) -> None:
        self._asks = asks
        self._spoof = SpoofWatch(
            Place(place.transponder_id, place.centre_m, place.radius_m) for place in config.places
        )
        self._iff = Identifier(config.friends, config.foes)
        self._classify = Classifier({number: ObjectType[kind.upper()] for number, kind in config.types.items()})
        self._trust = TrustWatch()
        self._waiting: list[tuple[int, int, Vec3, float]] = []
        self._long_range: list[int] = []
        self.dropped = 0

    @property
    def spoofed(self) -> dict[str, int]:
        """Reasons that have begun to hold, by name; those that never did are left out."""
        return {str(reason.name).lower(): count for reason, count in self._spoof.totals.items() if count}

    def declare(self, transponder_id: int, event_ns: int, position_m: Vec3, range_m: float) -> None:
        """A transponder answered from about a place, inertial, so far away."""
        if len(self._waiting) >= MOST_DECLARED:
            self.dropped += 1
            return
        self._waiting.append((transponder_id, event_ns, position_m, range_m))

    def long_range(self, transponder_ids: Iterable[int]) -> None:
        """Identities that came with long-range detections, which carry none."""
        self._long_range = [*self._long_range, *transponder_ids][:MOST_DECLARED]

    def judge(self, tracks: TrackSet, frame: Frame, sensor: int, sigma_rad: float) -> TrackSet:
        """The track list with type, owner, transponder mode, quality and trust filled in.

        Args:
            tracks: after the frame.
            frame: the last one, whose identities are held against the tracks.
            sensor: its number, as ``TrackSet.sources`` counts them.
            sigma_rad: of its worst angle.
        """
        verdict = self._spoof.step(tracks, self._declared(), np.array(self._long_range, np.int64))
        self._long_range = []
        tracks = replace(tracks, transponder_mode=verdict.transponder_mode)
        trust = self._trust.step(tracks, frame_reports(frame, sensor, tracks, sigma_rad))
        tracks = replace(tracks, quality=trust.quality, trust=trust.trust)
        tracks = replace(tracks, object_type=self._classify.step(tracks))
        return replace(tracks, iff=self._iff.step(tracks, self._asked(tracks)))

    def _asked(self, tracks: TrackSet) -> Flags | None:
        """Who was asked and could answer: rocks and debris have no transponder to be silent with."""
        if not self._asks:
            return None
        mute = (tracks.object_type == ObjectType.ASTEROID) | (tracks.object_type == ObjectType.DEBRIS)
        asked: Flags = asked_in_short_range(tracks) & ~mute
        return asked

    @property
    def conflicts(self) -> int:
        """Conflicts between sensors that have begun since start."""
        return self._trust.conflicts

    def _declared(self) -> Declarations | None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return None
        ids, times, places, ranges = zip(*waiting, strict=True)
        return Declarations(
            np.array(ids, np.int64), np.array(times, np.int64), np.array(places, float).reshape(-1, 3),
            np.full((len(ids), 3), np.nan), sigma_m=LEAST_SIGMA_M + HEIGHT_SHARE * max(ranges),
        )
