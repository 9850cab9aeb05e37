"""Watches all tracks for collision risk: columns, levels, threats and events, once a frame.

State is the levels' alone, bounded and by event time, so the same track lists give the same reports. Tracks that hold
something that is no number get NaN columns and ``judged`` False; they are counted, and stop nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Iff
from firmware_py.perception.risk.config import RiskConfig, check_risk
from firmware_py.perception.risk.encounter import (
    CRAFT_SPHERE,
    VOLUMES,
    approach,
    cylinder_now,
    modified_tau,
    sphere_now,
)
from firmware_py.perception.risk.levels import Asked, Level, LevelBook, asked_levels
from firmware_py.perception.risk.miss import Miss, miss_of, probability_within, relative_covariance
from firmware_py.perception.risk.own import OwnState
from firmware_py.perception.risk.threat import Answer, Judgement, Threat, ThreatKind, answer, judge
from firmware_py.perception.tracks import TrackSet

__all__ = ["MOST_THREATS", "RiskEvent", "RiskReport", "RiskWatch"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
MOST_THREATS = 32
"""Threats of one report, worst first."""
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RiskEvent:
    """Something that is to be told: ``threat_high`` for a level that has risen, ``threat_over`` for one that is ok."""

    name: str
    t_ns: int
    track_id: int
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class RiskReport:
    """Risk of the tracks of one list, a row each in its order; NaN where not defined or not known."""

    t_ns: int
    track_id: NDArray[np.int64]
    level: NDArray[np.int8]
    """See ``Level``."""
    judged: Flags
    """Whether place, motion and covariance are numbers, the own craft's included."""
    course: Flags
    """On a collision course, confirmed over several frames."""
    range_m: Floats
    range_rate_m_s: Floats
    """Negative is closing."""
    tcpa_s: Floats
    dcpa_m: Floats
    """Expected miss distance."""
    sigma_miss_m: Floats
    least_miss_m: Floats
    probability: Floats
    """Of passing within the combined radius."""
    tau_s: Floats
    taumod_s: Floats
    """Modified tau of the sphere."""
    in_sphere: Flags
    in_cylinder: Flags
    """Whether the well-clear volumes of a craft are violated now."""
    threats: tuple[Threat, ...]
    events: tuple[RiskEvent, ...]

    def __len__(self) -> int:
        """Tracks."""
        return len(self.track_id)

    def columns(self) -> dict[str, NDArray[Any]]:
        """The columns by name, for a recorder."""
        return {
            each.name: value for each in fields(self) if isinstance(value := getattr(self, each.name), np.ndarray)
        }


class RiskWatch:
    """Owner of risk.

    Args:
        config: checked here; raises ValueError with what is allowed.
    """

    def __init__(self, config: RiskConfig) -> None:
        self.config = check_risk(config)
        self.levels = LevelBook(config.levels)
        self.unjudged = 0
        """Tracks left out because they, or the own craft, held something that is no number; a count a frame each."""
        self.stale = 0
        """Track lists that were older than may be carried on, or newer than the present."""

    def acknowledge(self, track_id: int, now_ns: int) -> bool:
        """Mute the events of a track for a while at its present level; False if it is not known."""
        return self.levels.acknowledge(track_id, now_ns)

    def step(self, tracks: TrackSet, own: OwnState, now_ns: int) -> RiskReport:
        """Judge one track list against the own craft at the present, ``now_ns``; tracks are carried on to it.

        A list from the future, or one too old to be carried on, is judged as it stands and counted.
        """
        ahead_s = (now_ns - tracks.t_ns) / NS
        if not 0.0 <= ahead_s <= self.config.track_age_s:
            self.stale += 1
            ahead_s = min(max(ahead_s, 0.0), self.config.track_age_s)
        r, v, miss = self._relative(tracks, own, ahead_s)
        self.unjudged += int(np.count_nonzero(~miss.known))
        judged = judge(self.config, own, r, v, tracks.extent_m, miss)
        # The encounter's geometry is told from the other end: own minus intruder.
        s, c = -r, -v
        path = approach(s, c)
        firm = tracks.firm
        asked = asked_levels(
            self.config.levels, path.range_m, path.range_rate_m_s, firm & (tracks.iff == Iff.UNKNOWN), own.push_m_s2
        )
        asked = Asked(
            np.where(firm, asked.rise, np.int8(0)), np.where(firm, asked.hold, np.int8(0)), asked.near_unknown
        )
        level, course, edges = self.levels.step(now_ns, tracks.track_id, asked, judged.course & firm)
        # The levels of those that were told of are those of this frame; a text says how it stands.
        words = dict(zip(tracks.track_id.tolist(), range(len(tracks)), strict=True))
        acting = course & judged.course & (judged.urgent | judged.late | (level == Level.CRIT))
        threats = self._threats(tracks, own, r, v, miss, judged, level, course, acting)
        events = tuple(
            RiskEvent(
                "threat_high" if edge.level > edge.before else "threat_over", edge.t_ns, edge.track_id, edge.level,
                _words(edge.track_id, words.get(edge.track_id), miss, judged),
            )
            for edge in edges
        )
        return RiskReport(
            now_ns, tracks.track_id, level, miss.known, course, path.range_m, path.range_rate_m_s, miss.tcpa_s,
            miss.miss_m, miss.sigma_m, miss.least_m, probability_within(miss, judged.radius_m), path.tau_s,
            modified_tau(s, c, CRAFT_SPHERE.distance_m), sphere_now(CRAFT_SPHERE, s, c),
            cylinder_now(VOLUMES["craft"], s, c), threats, events,
        )

    def _relative(self, tracks: TrackSet, own: OwnState, ahead_s: float) -> tuple[Floats, Floats, Miss]:
        """Place and motion relative to the craft at the present, and the miss."""
        v = tracks.state[:, 3:] - own.velocity_m_s
        r = tracks.state[:, :3] + tracks.state[:, 3:] * ahead_s - own.position_m
        covariance = _carried(tracks.covariance, ahead_s)
        covariance = relative_covariance(covariance, own.sigma_position_m, own.sigma_velocity_m_s)
        if not own.known:
            r = np.full_like(r, np.nan)
        return r, v, miss_of(r, v, covariance, sigmas=self.config.sigmas, horizon_s=self.config.horizon_s)

    def _threats(
        self, tracks: TrackSet, own: OwnState, r: Floats, v: Floats, miss: Miss, judged: Judgement,
        level: NDArray[np.int8], course: Flags, acting: Flags,
    ) -> tuple[Threat, ...]:
        """Contacts on a collision course and critical ones, worst first: acted on, on course, then nearest in time."""
        rows = np.flatnonzero(miss.known & (course | (level == Level.CRIT)))
        if not len(rows):
            return ()
        approached = tracks.track_id == own.approached_id
        evaded = acting & ~approached
        known = miss.known
        found = answer(self.config, own, r[known], v[known], _of(judged, known), miss.sigma_m[known], evaded[known])
        stop_for = acting & approached & judged.urgent
        rank = np.where(acting, 0, np.where(course, 1, 2))
        order = rows[np.lexsort((tracks.track_id[rows], miss.tcpa_s[rows], rank[rows]))][:MOST_THREATS]
        threats = []
        for row in order:
            own_answer = found if evaded[row] else Answer(ThreatKind.BRAKE if stop_for[row] else ThreatKind.NONE)
            text = f"{_words(int(tracks.track_id[row]), int(row), miss, judged)}: {own_answer.kind}"
            threats.append(Threat(
                int(tracks.track_id[row]), own_answer.kind, float(miss.tcpa_s[row]), float(miss.miss_m[row]),
                float(miss.sigma_m[row]), float(judged.room_m[row]), float(judged.stop_m[row]),
                own_answer.delta_v_m_s, Level(int(level[row])), text,
            ))
        return tuple(threats)


def _carried(covariance: Floats, ahead_s: float) -> Floats:
    """(n, 6, 6) after so much straight flight. A list of the present, which is what comes every frame, stays as it
    is."""
    if ahead_s == 0.0:
        return covariance
    way = np.eye(6)
    way[:3, 3:] = np.eye(3) * ahead_s
    with np.errstate(invalid="ignore", over="ignore"):
        carried: Floats = way @ covariance @ way.T
    return carried


def _of(judged: Judgement, rows: Flags) -> Judgement:
    return Judgement(*(getattr(judged, each.name)[rows] for each in fields(judged)))


def _words(track_id: int, row: int | None, miss: Miss, judged: Judgement) -> str:
    """A track for an operator."""
    if row is None:
        return f"track {track_id}, not seen any more"
    if not miss.known[row]:
        return f"track {track_id}, state not known"
    passes = f"passes {miss.miss_m[row]:.1f} m (sigma {miss.sigma_m[row]:.1f} m) away in {miss.tcpa_s[row]:.1f} s"
    stop = judged.stop_m[row]
    needs = f", a stop takes {stop:.1f} m" if abs(stop) < inf else ""
    return f"track {track_id} {passes}; room {judged.room_m[row]:.1f} m{needs}"
