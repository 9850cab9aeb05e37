"""Contacts as the guard takes them, from tracks and their risk: nothing that is missing gets a value on the way."""

from __future__ import annotations

from math import isfinite

import numpy as np
from numpy.typing import NDArray

from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import Iff as GuardIff
from fdir.guard_rules import TransponderMode as GuardMode
from firmware_py.perception.observation import Band, Iff, Status, TransponderMode
from firmware_py.perception.risk.assess import RiskReport
from firmware_py.perception.risk.threat import Threat, ThreatKind
from firmware_py.perception.tracks import TrackSet

__all__ = ["contacts_of"]

STATUS: dict[int, TrackStatus] = {
    Status.NEW: TrackStatus.TENTATIVE, Status.TRACKED: TrackStatus.TRACKED, Status.COASTING: TrackStatus.COASTING,
    Status.LOST: TrackStatus.LOST,
}
IFF: dict[int, GuardIff] = {Iff.FRIEND: GuardIff.FRIEND, Iff.FOE: GuardIff.FOE, Iff.UNKNOWN: GuardIff.UNKNOWN}
MODES: dict[int, GuardMode] = {
    TransponderMode.OFF: GuardMode.OFF, TransponderMode.ON: GuardMode.ON, TransponderMode.SILENT: GuardMode.SILENT,
    TransponderMode.SPOOF: GuardMode.SPOOF,
}
TRANSMITS = frozenset({GuardMode.ON, GuardMode.SPOOF})


def contacts_of(
    tracks: TrackSet, report: RiskReport, rows: NDArray[np.int64] | slice = slice(None)
) -> tuple[Contact, ...]:
    """One contact a track of some rows, for the time of the report, which must be that of the same list.

    Beyond short range nothing is known of a transponder. A track whose status says nothing is left out.
    """
    threats = {threat.track_id: threat for threat in report.threats}
    short_range = Band.SR.value
    found = []
    # Columns as lists: a number taken out of an array by itself costs more than all else here.
    for track_id, number, band, moded, whose, quality, range_m, rate_m_s, judged, course in zip(
        *(column[rows].tolist() for column in (
            tracks.track_id, tracks.status, tracks.band, tracks.transponder_mode, tracks.iff, tracks.quality,
            report.range_m, report.range_rate_m_s, report.judged, report.course,
        )), strict=True,
    ):
        status = STATUS.get(number)
        if status is None:
            continue
        mode = MODES[moded] if band == short_range else None
        found.append(Contact(
            track_id, status, report.t_ns, _known(range_m), _known(rate_m_s), _known(quality), IFF.get(whose),
            None if mode is None else mode in TRANSMITS, mode,
            collision_course=course if judged else None, evade_m_s=_advised(threats.get(track_id)),
        ))
    return tuple(found)


def _known(value: float) -> float | None:
    return value if isfinite(value) else None


def _advised(threat: Threat | None) -> tuple[float, float, float] | None:
    return threat.delta_v_m_s if threat is not None and threat.kind is ThreatKind.EVADE else None
