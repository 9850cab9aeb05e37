"""Levels of contacts over time: what a frame asks for, confirmed, held, resolved, and told no oftener than is useful.

A frame asks for a level; the level rises when enough of the last frames ask for it, and falls when none has for a
while. Only event time counts, so a replay gives the same levels and events. Memory is bounded: when it is full the
contact with the lowest level that was unseen for longest gives way. What came late is left out and counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, unique

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.risk.config import LevelRules

__all__ = ["Asked", "Level", "LevelBook", "LevelEvent", "asked_levels"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Bytes = NDArray[np.int8]
NS = 1_000_000_000
NEVER = -(1 << 62)
"""A time before all times (ns)."""
CLOCK_BACK_NS = 2 * NS
"""A time that is older than the last by more than this is a clock that was set back."""


@unique
class Level(IntEnum):
    """How much a contact asks of the craft."""

    OK = 0
    WARN = 1
    CRIT = 2


_OK, _WARN, _CRIT = np.int8(Level.OK), np.int8(Level.WARN), np.int8(Level.CRIT)
"""As numbers: a column is held against a number in a quarter of the time that an enum takes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one frame asks for, a row a track: a level to rise to, a level that what stands is held at by the wider
    limits, and whether it is an unknown contact that is near."""

    rise: Bytes
    hold: Bytes
    near_unknown: Flags


@dataclass(frozen=True, slots=True)
class LevelEvent:
    """A level of one track that is to be told."""

    t_ns: int
    track_id: int
    level: Level
    before: Level


def asked_levels(
    rules: LevelRules, range_m: Floats, radial_velocity_m_s: Floats, unknown: Flags, brake_m_s2: float
) -> Asked:
    """Levels that a frame asks for. ``brake_m_s2`` is 0 where it is not known: the stop is not asked for then.

    A range or speed that is no number asks for nothing and holds what stands: missing is never "it is not so".
    """
    missing = ~(np.isfinite(range_m) & np.isfinite(radial_velocity_m_s))
    closing = np.maximum(0.0, -np.where(missing, 0.0, radial_velocity_m_s))
    distance = np.where(missing, np.inf, range_m)
    rise = _level(rules, distance, closing, brake_m_s2, 1.0)
    hold = _level(rules, distance, closing, brake_m_s2, 1.0 + rules.hysteresis)
    hold = np.where(missing, _CRIT, hold)
    near = unknown & (distance <= rules.unknown_range_m)
    return Asked(rise, hold, near)


def _level(rules: LevelRules, range_m: Floats, closing: Floats, brake_m_s2: float, wider: float) -> Bytes:
    time = np.full(len(closing), np.inf)
    np.divide(range_m, closing, out=time, where=(closing > 0.0) & np.isfinite(range_m))
    warn = (time < rules.warn_time_s * wider) | (closing > rules.warn_closing_m_s / wider)
    crit = (time < rules.critical_time_s * wider) & (range_m < rules.critical_range_m * wider)
    if brake_m_s2 > 0.0:
        stop_s = rules.stop_factor * closing / brake_m_s2 + rules.stop_margin_s
        crit |= time < stop_s * wider
    return np.where(crit, _CRIT, np.where(warn, _WARN, _OK))


class LevelBook:
    """Owner of the levels of all contacts.

    Args:
        rules: thresholds and times.
    """

    _COLUMNS = ("warn_bits", "crit_bits", "course_bits", "level", "warn_ns", "crit_ns", "course_ns", "near_ns",
                "seen_ns", "told_ns", "told_level", "muted_ns", "muted_level")

    def __init__(self, rules: LevelRules) -> None:
        self._rules = rules
        self._ids: Ints = np.empty(0, np.int64)
        """Sorted."""
        self._s: dict[str, Ints] = {name: np.empty(0, np.int64) for name in self._COLUMNS}
        self._now_ns: int | None = None
        self.late = 0
        """Frames left out because they were no newer than the one before."""
        self.clock_steps = 0
        """Times the clock was set back; everything was forgotten."""
        self.overflow = 0
        """Contacts that were forgotten for want of room."""
        self.muted = 0
        """Events that were not told because of the pause or an acknowledgement."""

    def __len__(self) -> int:
        """Contacts remembered."""
        return len(self._ids)

    def acknowledge(self, track_id: int, now_ns: int) -> bool:
        """Mute a contact at its present level for a while; False if it is not known."""
        row = int(np.searchsorted(self._ids, track_id))
        if row >= len(self._ids) or self._ids[row] != track_id:
            return False
        self._s["muted_ns"][row] = now_ns + round(self._rules.mute_s * NS)
        self._s["muted_level"][row] = self._s["level"][row]
        return True

    def step(
        self, t_ns: int, track_ids: Ints, asked: Asked, course: Flags
    ) -> tuple[Bytes, Flags, tuple[LevelEvent, ...]]:
        """One frame: levels and confirmed collision courses of its tracks, and the events that are due, worst first.

        ``course`` says which tracks are on a collision course by this frame alone. A frame that is not newer than the
        last changes nothing: its tracks have the levels that stand.
        """
        last = self._now_ns
        if last is not None and t_ns < last - CLOCK_BACK_NS:
            self.clock_steps += 1
            self._keep(np.zeros(len(self._ids), bool))
        elif last is not None and t_ns <= last:
            self.late += 1
            return *self._standing(track_ids), ()
        gap = last is not None and t_ns - last > round(self._rules.lost_s * NS)
        self._now_ns = t_ns
        rows = self._rows(track_ids, t_ns)
        before = self._s["level"].copy()
        self._take(rows, t_ns, asked, course, gap)
        self._settle(t_ns)
        events = self._tell(t_ns, before)
        levels, courses = self._standing(track_ids)
        self._forget(t_ns)
        return levels, courses, events

    def _standing(self, track_ids: Ints) -> tuple[Bytes, Flags]:
        rows = np.searchsorted(self._ids, track_ids)
        levels, courses = np.zeros(len(track_ids), np.int8), np.zeros(len(track_ids), bool)
        if len(self._ids):
            rows = np.minimum(rows, len(self._ids) - 1)
            found = self._ids[rows] == track_ids
            levels = np.where(found, self._s["level"][rows], 0).astype(np.int8)
            courses = found & (self._s["course_ns"][rows] != NEVER)
        return levels, courses

    def _rows(self, track_ids: Ints, t_ns: int) -> Ints:
        """Rows of the tracks, new ones admitted; what was not seen for the longest gives way when there is no room."""
        rows = np.searchsorted(self._ids, track_ids)
        if len(self._ids) and (self._ids[np.minimum(rows, len(self._ids) - 1)] == track_ids).all():
            return rows
        fresh = np.setdiff1d(track_ids, self._ids)
        if len(fresh):
            ids = np.concatenate([self._ids, fresh])
            order = np.argsort(ids, kind="stable")
            self._ids = ids[order]
            for name, column in self._s.items():
                start = NEVER if name.endswith("_ns") else 0
                value = t_ns if name == "seen_ns" else start
                self._s[name] = np.concatenate([column, np.full(len(fresh), value, np.int64)])[order]
        return np.searchsorted(self._ids, track_ids)

    def _take(self, rows: Ints, t_ns: int, asked: Asked, course: Flags, gap: bool) -> None:
        """What this frame says of its tracks; a break longer than the time to a loss starts the count of frames
        anew."""
        s, rules = self._s, self._rules
        mask = (1 << rules.of_frames) - 1
        broken = (t_ns - s["seen_ns"][rows]) > round(rules.lost_s * NS)
        near_since = s["near_ns"][rows]
        near_since = np.where(asked.near_unknown, np.where((near_since == NEVER) | broken | gap, t_ns, near_since),
                              NEVER)
        s["near_ns"][rows] = near_since
        lingers = (near_since != NEVER) & (t_ns - near_since >= round(rules.unknown_time_s * NS))
        wants = (
            ("warn", (asked.rise >= _WARN) | lingers, (asked.hold >= _WARN) | lingers),
            ("crit", asked.rise >= _CRIT, asked.hold >= _CRIT),
            ("course", course, course),
        )
        anew = broken | gap
        for name, rises, holds in wants:
            bits = np.where(anew, 0, s[f"{name}_bits"][rows])
            bits = ((bits << 1) | rises) & mask
            s[f"{name}_bits"][rows] = bits
            enough, since = _ones(bits) >= rules.confirm_frames, s[f"{name}_ns"]
            again = enough | ((since[rows] != NEVER) & holds)
            since[rows[again]] = t_ns
        s["seen_ns"][rows] = t_ns

    def _settle(self, t_ns: int) -> None:
        """Levels fall when nothing has asked for them for a while, later by the time to a loss for what is not
        seen."""
        s, rules = self._s, self._rules
        resolve, lost = round(rules.resolve_s * NS), round(rules.lost_s * NS)
        unseen = s["seen_ns"] < t_ns
        wait = np.where(unseen, resolve + lost, resolve)
        for name in ("warn", "crit", "course"):
            column = s[f"{name}_ns"]
            s[f"{name}_ns"] = np.where((column != NEVER) & (t_ns - column >= wait), NEVER, column)
        crit, warn = s["crit_ns"] != NEVER, s["warn_ns"] != NEVER
        s["level"] = np.where(crit, int(Level.CRIT), np.where(warn, int(Level.WARN), int(Level.OK)))

    def _tell(self, t_ns: int, before: Ints) -> tuple[LevelEvent, ...]:
        """Edges upwards, and back to ok, that are neither within the pause after the last nor acknowledged."""
        s, rules = self._s, self._rules
        level = s["level"]
        rose = level > before
        pause = (s["told_ns"] != NEVER) & (t_ns - s["told_ns"] < round(rules.cooldown_s * NS))
        quiet = (pause & (level <= s["told_level"])) | ((t_ns < s["muted_ns"]) & (level <= s["muted_level"]))
        resolved = (level == _OK) & (before > _OK)
        self.muted += int(np.count_nonzero(rose & quiet))
        rows = np.flatnonzero((rose & ~quiet) | resolved)
        if not len(rows):
            return ()
        told = rows[level[rows] > _OK]
        s["told_ns"][told], s["told_level"][told] = t_ns, level[told]
        order = rows[np.lexsort((self._ids[rows], -level[rows]))]
        return tuple(
            LevelEvent(t_ns, int(self._ids[row]), Level(int(level[row])), Level(int(before[row]))) for row in order
        )

    def _forget(self, t_ns: int) -> None:
        """Contacts without a level that were not seen for longer than any mute, and beyond the capacity the lowest
        level unseen for longest."""
        s, rules = self._s, self._rules
        old = round((rules.lost_s + rules.resolve_s + rules.cooldown_s + rules.mute_s) * NS)
        kept = ~((s["level"] == _OK) & (t_ns - s["seen_ns"] > old))
        if not kept.all():
            self._keep(kept)
        surplus = len(self._ids) - rules.capacity
        if surplus > 0:
            order = np.lexsort((self._ids, s["seen_ns"], s["level"]))
            kept = np.ones(len(self._ids), bool)
            kept[order[:surplus]] = False
            self.overflow += surplus
            self._keep(kept)

    def _keep(self, kept: Flags) -> None:
        self._ids = self._ids[kept]
        self._s = {name: column[kept] for name, column in self._s.items()}


def _ones(bits: Ints) -> Ints:
    """Ones of each number of at most 32 bits."""
    bits = bits - ((bits >> 1) & 0x55555555)
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    return (((bits + (bits >> 4)) & 0x0F0F0F0F) * 0x01010101 & 0xFFFFFFFF) >> 24
