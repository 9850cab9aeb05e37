"""Contacts as the guard takes them, from tracks and their risk: nothing that is missing gets a value on the way."""

from __future__ import annotations

from math import isfinite

from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import Iff as GuardIff
from fdir.guard_rules import TransponderMode as GuardMode
from firmware_py.perception.observation import Band, Iff, Status, TransponderMode
from firmware_py.perception.risk.assess import RiskReport
from firmware_py.perception.risk.threat import Threat, ThreatKind
from firmware_py.perception.tracks import TrackSet

__all__ = ["contacts_of"]

STATUS = {
    Status.NEW: TrackStatus.TENTATIVE, Status.TRACKED: TrackStatus.TRACKED, Status.COASTING: TrackStatus.COASTING,
    Status.LOST: TrackStatus.LOST,
}
IFF = {Iff.FRIEND: GuardIff.FRIEND, Iff.FOE: GuardIff.FOE, Iff.UNKNOWN: GuardIff.UNKNOWN}
MODES = {
    TransponderMode.OFF: GuardMode.OFF, TransponderMode.ON: GuardMode.ON, TransponderMode.SILENT: GuardMode.SILENT,
    TransponderMode.SPOOF: GuardMode.SPOOF,
}
TRANSMITS = frozenset({GuardMode.ON, GuardMode.SPOOF})


def contacts_of(tracks: TrackSet, report: RiskReport) -> tuple[Contact, ...]:
    """One contact a track, for the time of the report, which must be that of the same list.

    Beyond short range nothing is known of a transponder. A track whose status says nothing is left out.
    """
    threats = {threat.track_id: threat for threat in report.threats}
    found = []
    for row in range(len(tracks)):
        status = STATUS.get(Status(int(tracks.status[row])))
        if status is None:
            continue
        track_id = int(tracks.track_id[row])
        near = tracks.band[row] == Band.SR
        mode = MODES[TransponderMode(int(tracks.transponder_mode[row]))] if near else None
        judged = bool(report.judged[row])
        found.append(Contact(
            track_id, status, report.t_ns, _known(report.range_m[row]), _known(report.range_rate_m_s[row]),
            _known(tracks.quality[row]), IFF.get(Iff(int(tracks.iff[row]))),
            None if mode is None else mode in TRANSMITS, mode,
            collision_course=bool(report.course[row]) if judged else None,
            evade_m_s=_advised(threats.get(track_id)),
        ))
    return tuple(found)


def _known(value: float) -> float | None:
    return float(value) if isfinite(value) else None


def _advised(threat: Threat | None) -> tuple[float, float, float] | None:
    return threat.delta_v_m_s if threat is not None and threat.kind is ThreatKind.EVADE else None
