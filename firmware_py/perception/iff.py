"""Whose a track is, by its transponder and two lists; verdicts wait long enough not to flap, and never guess.

Friend and foe are who the lists say. Who was asked and gave no answer, an answer that is in no list, or a spoofed one,
is unknown; who was never asked is unspecified. A foe that falls silent is still a foe; a friend that falls silent is
one for a while.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import NO_ID, Band, Iff, TransponderMode
from firmware_py.perception.track_memory import VERDICT, TrackMemory, settle
from firmware_py.perception.tracks import TrackSet

__all__ = ["MAX_KNOWN", "Identifier", "IffConfig", "asked_in_short_range"]

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.int8]
_UNSPECIFIED, _FRIEND, _FOE, _UNKNOWN = (
    np.int8(iff) for iff in (Iff.UNSPECIFIED, Iff.FRIEND, Iff.FOE, Iff.UNKNOWN)
)
_ON, _SPOOF, _SHORT_RANGE = np.int8(TransponderMode.ON), np.int8(TransponderMode.SPOOF), np.int8(Band.SR)
"""As numbers: a column is held against a number in a quarter of the time that an enum takes."""
MAX_KNOWN = 1024
"""Transponders of one list."""


@dataclass(frozen=True, slots=True)
class IffConfig:
    """How long a verdict waits (P).

    Attributes:
        friend_s: an identity must be a friend's for so long; two frames of the slowest radar.
        change_s: so long another verdict must be due before one is given up.
        silent_s: a friend that does not answer is one for so long.
        forget_s: a track that is gone is forgotten after it.
        limit: tracks remembered.
    """

    friend_s: float = 1.0
    change_s: float = 2.0
    silent_s: float = 10.0
    forget_s: float = 60.0
    limit: int = 2048

    def __post_init__(self) -> None:
        """Raises ValueError that names what is wrong."""
        for name in ("friend_s", "change_s", "silent_s"):
            if not 0.0 <= getattr(self, name) <= 3600.0:
                raise ValueError(f"{name} is {getattr(self, name)}; 0..3600 s is allowed")


def asked_in_short_range(tracks: TrackSet) -> Flags:
    """Tracks that the short-range radar has asked: it interrogates with every look, the long-range one never does."""
    asked: Flags = tracks.firm & (tracks.band == _SHORT_RANGE)
    return asked


class Identifier:
    """Verdicts on all tracks. One instance owns what is remembered of them.

    Args:
        friends, foes: transponder ids.
        config: limits.

    Raises:
        ValueError: an id is in both lists or none at all, or a list is too long.
    """

    def __init__(self, friends: Iterable[int] = (), foes: Iterable[int] = (), config: IffConfig | None = None) -> None:
        self._config = config = IffConfig() if config is None else config
        self._friends, self._foes = _listed("friends", friends), _listed("foes", foes)
        both = np.intersect1d(self._friends, self._foes)
        if len(both):
            raise ValueError(f"{int(both[0])} is a friend and a foe; a transponder is one or the other")
        self._memory = TrackMemory({**VERDICT, "named_ns": (np.int64, 0, 0)}, config.limit, config.forget_s)

    @property
    def memory(self) -> TrackMemory:
        """What is remembered; for its counters."""
        return self._memory

    def step(self, tracks: TrackSet, asked: Flags | None = None) -> Bytes:
        """Verdict on every track, for the column ``iff``.

        ``transponder_mode`` is best the one that ``spoof`` has been over. ``asked``: which tracks were asked who they
        are; None: nobody was.
        """
        slots = self._memory.slots(tracks.track_id, tracks.t_ns)
        held = np.zeros(len(tracks), np.int8)
        named_ns = np.zeros(len(tracks), np.int64)
        kept = slots >= 0
        held[kept] = self._memory["verdict"][slots[kept]]
        named = (tracks.transponder_id != NO_ID) & (tracks.transponder_mode == _ON)
        self._memory["named_ns"][slots[kept & named]] = tracks.t_ns
        named_ns[kept] = self._memory["named_ns"][slots[kept]]
        wanted = self._wanted(tracks, named, held, tracks.t_ns - named_ns, asked)
        return settle(self._memory, slots, wanted, tracks.t_ns, self._dwell(tracks, held, wanted))

    def _wanted(self, tracks: TrackSet, named: Flags, held: Bytes, silent_ns: Ints, asked: Flags | None) -> Bytes:
        """What speaks for now; later lines overrule earlier ones."""
        wanted = np.full(len(tracks), _UNSPECIFIED, np.int8)
        if asked is not None:
            wanted[asked] = _UNKNOWN
        keeps = (held == _FRIEND) & (silent_ns <= self._config.silent_s * 1e9)
        wanted[keeps] = _FRIEND
        # Asked once and without an answer: that does not change because nobody asks any more.
        wanted[(held == _UNKNOWN) & (wanted == _UNSPECIFIED)] = _UNKNOWN
        wanted[held == _FOE] = _FOE
        wanted[named & (held != _FOE)] = _UNKNOWN
        if named.any():
            wanted[named & np.isin(tracks.transponder_id, self._friends)] = _FRIEND
            wanted[named & np.isin(tracks.transponder_id, self._foes)] = _FOE
        wanted[(tracks.transponder_mode == _SPOOF) & (held != _FOE)] = _UNKNOWN
        return wanted

    def _dwell(self, tracks: TrackSet, held: Bytes, wanted: Bytes) -> Ints:
        """A foe, a spoof and the first that is not a friend count at once: caution waits for nothing."""
        friend, change = round(self._config.friend_s * 1e9), round(self._config.change_s * 1e9)
        new = held == _UNSPECIFIED
        dwell = np.where(new, 0, change)
        dwell[new & (wanted == _FRIEND)] = friend
        dwell[wanted == _FOE] = 0
        dwell[tracks.transponder_mode == _SPOOF] = 0
        return dwell.astype(np.int64)


def _listed(name: str, numbers: Iterable[int]) -> Ints:
    listed = np.unique(np.array(list(numbers), np.int64))
    if len(listed) > MAX_KNOWN:
        raise ValueError(f"{name} has {len(listed)} transponders; at most {MAX_KNOWN} are allowed")
    if len(listed) and listed[0] < 0:
        raise ValueError(f"{name} has {int(listed[0])}; ids from 0 on are allowed")
    return listed
