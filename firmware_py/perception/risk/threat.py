"""Whether a contact really is on a collision course, and what helps: brake, evade, or nothing yet.

A contact is on a collision course when it may come within the combined radius, and it is either sure to pass nearer
than three radii, or there is no time left to wait for better knowledge. What passes beyond three radii so is not acted
on, and what hits is not missed for want of certainty.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import inf

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.risk.config import RiskConfig
from firmware_py.perception.risk.evasion import Evasion, evade, stop_distances
from firmware_py.perception.risk.levels import Level
from firmware_py.perception.risk.miss import Miss
from firmware_py.perception.risk.own import OwnState
from hal.frames import Vec3

__all__ = ["Answer", "Judgement", "Threat", "ThreatKind", "answer", "judge"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@unique
class ThreatKind(StrEnum):
    """What helps against a threat."""

    NONE = "none"
    """Nothing yet: there is time, or it is not a collision course."""
    BRAKE = "brake"
    EVADE = "evade"


@dataclass(frozen=True, slots=True)
class Threat:
    """One contact that is on a collision course, or critical."""

    track_id: int
    kind: ThreatKind
    t_cpa_s: float
    miss_m: float
    sigma_miss_m: float
    room_m: float
    """Distance to the combined radius."""
    stop_m: float
    """What taking out the relative velocity needs, with a fifth and 0.5 s to spare; NaN if not known."""
    delta_v_m_s: Vec3 | None
    """Change of the own velocity that leaves every contact's volume, inertial; ``None``: brake, or none is advised."""
    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Judgement:
    """One frame's verdict, a row a track."""

    course: Flags
    """On a collision course, as far as this frame tells."""
    urgent: Flags
    """A stop is due now, or about to be."""
    late: Flags
    """The combined radius is so near in time that nothing can wait."""
    room_m: Floats
    stop_m: Floats
    closing_m_s: Floats
    radius_m: Floats
    """Combined: keep-out of the craft and extent of the contact."""


def judge(config: RiskConfig, own: OwnState, r: Floats, v: Floats, extent_m: Floats, miss: Miss) -> Judgement:
    """Verdict of tracks at ``r`` moving with ``v`` relative to the craft, (n, 3) each. A row that is not known is on no
    course and not urgent; whoever acts on it has to ask ``miss.known`` too."""
    radius = own.keep_out_radius_m + np.where(np.isfinite(extent_m), np.fmax(extent_m, 0.0), config.extent_m)
    distance, speed = np.linalg.norm(r, axis=1), np.linalg.norm(v, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        closing = np.where(distance > 0.0, -np.einsum("ij,ij->i", r, v) / distance, 0.0)
        early = np.where(speed > 0.0, radius / speed, 0.0)
    room, push = distance - radius, own.push_m_s2
    rules = config.levels
    if push > 0.0:
        stop = rules.stop_factor * np.square(speed) / (2.0 * push) + rules.stop_margin_s * speed
        urgent = stop + config.lead_s * speed >= room
        last_chance = np.maximum(
            config.last_chance_s, config.reaction_s + np.sqrt(2.0 * (radius + config.margin_m) / push)
        )
    else:
        stop = np.full(len(r), np.nan)
        urgent = miss.tcpa_s - early < rules.critical_time_s
        last_chance = np.full(len(r), rules.critical_time_s)
    late = miss.tcpa_s - early <= last_chance
    doubtful = (miss.miss_m <= config.doubt_radii * radius) | (
        miss.miss_m - config.doubt_sigmas * miss.sigma_m <= radius
    )
    within = (miss.most_m <= config.pass_radii * radius) | (doubtful & late)
    course = miss.known & (closing > config.least_closing_m_s) & (miss.least_m <= radius) & within
    return Judgement(course, urgent & miss.known, late & miss.known, room, stop, closing, radius)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the craft does about all threats of a frame together."""

    kind: ThreatKind
    delta_v_m_s: Vec3 | None = None


def answer(
    config: RiskConfig, own: OwnState, r: Floats, v: Floats, judged: Judgement, spread_m: Floats, acting: Flags
) -> Answer:
    """What helps against the tracks ``acting``, of all tracks that are known.

    A stop that is due or under way is flown where it helps: the tank can take out the craft's speed, and the contact
    does not hit all the same. Otherwise the craft evades. Where neither keeps clear, what leaves more room is done.
    """
    if not acting.any():
        return Answer(ThreatKind.NONE)
    push, reach = own.push_m_s2, own.reach_m_s
    brake_room = _brake_room(config, own, r, v, judged, acting)
    way = evade(
        config, r, v, judged.radius_m, spread_m, acting, push_m_s2=push, most_m_s=reach,
    )
    due = own.braking or bool((judged.urgent & acting).any())
    stops, clears = brake_room >= 0.0, way is not None and way.clears
    if way is None or (due and stops) or (stops and not clears):
        return Answer(ThreatKind.BRAKE)
    if clears or _room(way, config) > brake_room:
        return Answer(ThreatKind.EVADE, way.delta_v_m_s)
    return Answer(ThreatKind.BRAKE)


def _room(way: Evasion, config: RiskConfig) -> float:
    return way.margin_m + config.margin_m


def _brake_room(
    config: RiskConfig, own: OwnState, r: Floats, v: Floats, judged: Judgement, acting: Flags
) -> float:
    """Least room to the radii of the tracks ``acting`` while and after stopping; -inf if the tank cannot stop the craft
    or it has no speed of its own to take out."""
    own_velocity = np.array(own.velocity_m_s)
    speed = float(np.linalg.norm(own_velocity))
    if own.push_m_s2 <= 0.0 or speed > own.reach_m_s or speed <= config.least_closing_m_s:
        return -inf
    near = stop_distances(r[acting], v[acting], own_velocity, own.push_m_s2, config.reaction_s, config.horizon_s)
    radius = np.minimum(judged.radius_m[acting], 0.999 * np.linalg.norm(r[acting], axis=1))
    return float((near - radius).min())
