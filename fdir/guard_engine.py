"""Judges contacts by the guard rules: one alert when a rule begins to hold for a track, none while it goes on. A threat
alone is told again while it goes on and something is advised against it: it may steer, or the advice may come late.

Only event time counts: the time for which a contact's values hold, never that of its arrival. Contacts in the order of
event time give the same alerts however they are cut into frames. Out of order, an alert of the same rule and track is
still never nearer in event time to the one before than the rule's cooldown. A value that is missing never matches and
ends nothing, and is counted. Memory is bounded; when it is full the most severe is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from operator import attrgetter

from fdir.codes import Severity
from fdir.guard_alerts import RANK, GuardAlert, GuardMetrics
from fdir.guard_contacts import Contact, TrackStatus, advice, describe, known, matches
from fdir.guard_rules import FORGET_S, GuardRule, Trigger
from hal.frames import Vec3

__all__ = ["MAX_TRACKS", "GuardEngine"]

NS = 1_000_000_000
FORGET_NS = int(FORGET_S * NS)
GAP_NS = 2 * NS
"""Longest time between two contacts of one row (lost contact window, CANON section 12). A contact that is older than
its track by at most this came late; one that is older still has a clock that was set back. After a gap it is another
contact, for all that is known: who restarts perception gives the same numbers anew."""
AGAIN_NS = 2 * NS
"""Least time between two alerts of a threat that goes on, whatever its cooldown."""
SWEEP_NS = 100_000_000
"""Grid of event time on which lost and forgotten tracks are looked for."""
MAX_TRACKS = 256
"""Tracks remembered: four times what perception follows."""


class _Pair:
    """What is remembered of one rule and one track."""

    __slots__ = ("active", "advised", "alert_ns", "frames", "range_m", "since_ns", "told")
    advised: bool
    """The last alert carried an evasion."""
    frames: int
    """Matching frames in a row."""
    range_m: float
    """For a loss: where it was last measured."""
    told: bool
    """An alert was given since ``since_ns``."""

    def __init__(self) -> None:
        self.since_ns: int | None = None
        """When the rule began to hold; for a loss, when the contact was last measured. ``None``: it does not hold."""
        self.active = False
        self.alert_ns: int | None = None
        """Event time of the last alert, also of an earlier stay."""


class _Track:
    """What is remembered of one track."""

    __slots__ = ("kept_ns", "pairs", "rank", "seen_ns", "track_id")
    rank: int
    """That of the most severe rule that holds or is muted; 0 if none."""

    def __init__(self, track_id: int, rules: int, seen_ns: int) -> None:
        self.track_id = track_id
        self.seen_ns = seen_ns
        self.kept_ns = seen_ns
        """When it was last seen or its loss last told; forgotten 300 s later."""
        self.pairs: list[_Pair | None] = [None] * rules


class GuardEngine:
    """Judges frames of contacts. One instance owns the history of all tracks.

    Args:
        rules: checked rules.
        brake_m_s2: deceleration of a full brake, for rules that wait for a threat; ``None`` if not known.

    Raises:
        ValueError: ``brake_m_s2`` is not above 0.
    """

    __slots__ = (
        "_brake_m_s2", "_clock_steps", "_cooldown_ns", "_duration_ns", "_late", "_losses", "_mean_quality",
        "_newest_ns", "_overflow", "_present", "_rules", "_totals", "_tracks", "_undecided",
    )

    def __init__(self, rules: Iterable[GuardRule], brake_m_s2: float | None = None) -> None:
        self._rules = tuple(rules)
        self.set_brake(brake_m_s2)
        self._duration_ns = [round(rule.min_duration_s * NS) for rule in self._rules]
        self._cooldown_ns = [round(rule.cooldown_s * NS) for rule in self._rules]
        self._losses = [index for index, rule in enumerate(self._rules) if rule.trigger is Trigger.LOST]
        self._tracks: dict[int, _Track] = {}
        """In the order in which they were last seen."""
        self._newest_ns: int | None = None
        self._present = 0
        self._mean_quality: float | None = None
        self.reset_totals()

    def set_brake(self, brake_m_s2: float | None) -> None:
        """What a full brake decelerates with from now on; ``None`` if not known. Raises ValueError as the engine."""
        if brake_m_s2 is not None and not (isfinite(brake_m_s2) and brake_m_s2 > 0.0):
            raise ValueError(f"brake_m_s2 is {brake_m_s2}; above 0 is allowed")
        self._brake_m_s2 = brake_m_s2

    def reset_totals(self) -> None:
        """Count alerts and oddities from 0 again. What holds now is not forgotten."""
        self._totals = [0] * len(self._rules)
        self._late = self._clock_steps = self._undecided = self._overflow = 0

    def metrics(self) -> GuardMetrics:
        """Figures as of the last frame."""
        active = dict.fromkeys(Severity, 0)
        by_severity = dict.fromkeys(Severity, 0)
        for index, rule in enumerate(self._rules):
            pairs = (track.pairs[index] for track in self._tracks.values())
            active[rule.severity] += sum(pair is not None and pair.active for pair in pairs)
            by_severity[rule.severity] += self._totals[index]
        by_rule = {rule.id: total for rule, total in zip(self._rules, self._totals, strict=True)}
        return GuardMetrics(
            active, by_rule, by_severity, self._present, self._mean_quality, self._late, self._clock_steps,
            self._undecided, self._overflow,
        )

    def step(self, contacts: Iterable[Contact], frame_ns: int | None = None) -> tuple[GuardAlert, ...]:
        """Judge a frame, or several in one call; their tracks may come in any order.

        Args:
            contacts: one a track and time; of two the first counts.
            frame_ns: event time of the frame, so that time goes on when there is no contact.

        Returns:
            Alerts in order of event time, then track, then rule. What is lost or forgotten is found when time has gone
            on by a tenth of a second, so that the frame that tells it is complete.
        """
        alerts: list[GuardAlert] = []
        qualities: dict[int, float | None] = {}
        for contact in sorted(contacts, key=attrgetter("event_ns", "track_id")):
            self._advance(contact.event_ns, alerts)
            if contact.status is TrackStatus.TRACKED or contact.status is TrackStatus.COASTING:
                qualities[contact.track_id] = known(contact.quality)
                self._judge(contact, alerts)
        if frame_ns is not None:
            self._advance(frame_ns, alerts)
        self._present = len(qualities)
        usable = [quality for quality in qualities.values() if quality is not None]
        self._mean_quality = sum(usable) / len(usable) if usable else None
        return tuple(alerts)

    def _advance(self, t_ns: int, alerts: list[GuardAlert]) -> None:
        """Let event time go on; a little back is late, further back is a clock that was set."""
        newest = self._newest_ns
        if newest is None or t_ns < newest - GAP_NS:
            self._newest_ns = t_ns
        elif t_ns > newest:
            if t_ns // SWEEP_NS > newest // SWEEP_NS:
                self._sweep(newest, alerts)
            self._newest_ns = t_ns

    def _sweep(self, now_ns: int, alerts: list[GuardAlert]) -> None:
        """Tell of tracks that are lost; forget those of long ago."""
        for track_id in sorted(self._tracks):
            track = self._tracks[track_id]
            for index in self._losses:
                pair = track.pairs[index]
                if pair is None or pair.since_ns is None or now_ns - pair.since_ns < self._duration_ns[index]:
                    continue
                pair.active = True
                if self._may_tell(index, pair, now_ns, advised=False):
                    since_s = (now_ns - pair.since_ns) / NS
                    text = f"track {track_id} last measured {since_s:.1f} s ago at {pair.range_m:.1f} m"
                    alerts.append(self._tell(index, pair, track_id, now_ns, text))
                    track.kept_ns = now_ns
            if now_ns - track.kept_ns > FORGET_NS:
                del self._tracks[track_id]

    def _judge(self, contact: Contact, alerts: list[GuardAlert]) -> None:
        t_ns, track_id = contact.event_ns, contact.track_id
        track = self._tracks.get(track_id)
        if track is not None and t_ns <= track.seen_ns:
            if t_ns >= track.seen_ns - GAP_NS:
                self._late += 1
                return
            self._clock_steps += 1
        if track is None or t_ns - track.kept_ns > FORGET_NS:
            track = _Track(track_id, len(self._rules), t_ns)
        found = self._try_rules(contact, track, abs(t_ns - track.seen_ns) > GAP_NS)
        track.seen_ns = track.kept_ns = t_ns
        if self._tracks.pop(track_id, None) is None and not self._admit(track):
            return
        self._tracks[track_id] = track
        alerts += [self._tell(index, pair, track_id, t_ns, text, advice(contact)) for index, pair, text in found]

    def _try_rules(self, contact: Contact, track: _Track, broken: bool) -> list[tuple[int, _Pair, str]]:
        """Bring every pair of a track up to date; returns which are to be told, with the text."""
        found: list[tuple[int, _Pair, str]] = []
        t_ns, rank = contact.event_ns, 0
        measured = contact.status is TrackStatus.TRACKED
        for index, rule in enumerate(self._rules):
            pair = track.pairs[index]
            lost = rule.trigger is Trigger.LOST
            if broken and pair is not None and not lost:
                pair.since_ns, pair.active = None, False
            if measured or not lost:
                widen_m = rule.hysteresis_m if pair is not None and pair.active else 0.0
                match = matches(rule, contact, widen_m, self._brake_m_s2)
                if match is None:
                    self._undecided += 1
                if match and pair is None:
                    pair = track.pairs[index] = _Pair()
                if pair is not None:
                    if lost:
                        _measured(pair, contact, match)
                    elif self._holds(index, pair, match, contact):
                        found.append((index, pair, f"track {contact.track_id} {describe(contact)}"))
            if pair is not None and (pair.since_ns is not None or _told_within(self._cooldown_ns[index], pair, t_ns)):
                rank = max(rank, RANK[rule.severity])
        track.rank = rank
        return found

    def _holds(self, index: int, pair: _Pair, match: bool | None, contact: Contact) -> bool:
        """Take in what a contact says of a pair; True if it is to be told now."""
        if not match:
            if match is False or not pair.active:
                pair.since_ns, pair.active = None, False
            return False
        rule, t_ns = self._rules[index], contact.event_ns
        if pair.since_ns is None:
            pair.since_ns, pair.frames, pair.told = t_ns, 0, False
        pair.frames += 1
        if not pair.active:
            lasted = t_ns - pair.since_ns >= self._duration_ns[index]
            pair.active = lasted and pair.frames >= rule.min_frames
        advised = rule.trigger is Trigger.THREAT and advice(contact) is not None
        return pair.active and self._may_tell(index, pair, t_ns, advised)

    def _may_tell(self, index: int, pair: _Pair, t_ns: int, advised: bool) -> bool:
        """Not told yet in this stay, and not muted by the last alert. ``advised``: there is an evasion to be told; that
        waits for the mute alone, and not even for it where the last alert had none."""
        if advised and pair.alert_ns is not None and not pair.advised:
            return True
        if pair.told and not advised:
            return False
        pause_ns = self._cooldown_ns[index]
        return not _told_within(max(pause_ns, AGAIN_NS) if pair.told else pause_ns, pair, t_ns)

    def _tell(
        self, index: int, pair: _Pair, track_id: int, t_ns: int, text: str, evade_m_s: Vec3 | None = None
    ) -> GuardAlert:
        rule = self._rules[index]
        pair.told, pair.alert_ns, pair.advised = True, t_ns, evade_m_s is not None
        self._totals[index] += 1
        return GuardAlert(
            rule.id, track_id, rule.fsm_event, rule.severity, rule.trigger, t_ns, f"{rule.title}: {text}", evade_m_s
        )

    def _admit(self, track: _Track) -> bool:
        """Make room for a new track: the least severe gives way, of these the one unseen for longest.

        None gives way to a less severe track, nor to one as severe while it is still seen itself.
        """
        if len(self._tracks) < MAX_TRACKS:
            return True
        self._overflow += 1
        if track.rank == 0:
            return False
        weakest = min(self._tracks.values(), key=attrgetter("rank"))
        unseen = abs(track.seen_ns - weakest.seen_ns) > GAP_NS
        if weakest.rank > track.rank or (weakest.rank == track.rank and not unseen):
            return False
        del self._tracks[weakest.track_id]
        return True


def _told_within(pause_ns: int, pair: _Pair, t_ns: int) -> bool:
    """Whether the last alert is nearer than a pause, on either side: time may have been set back."""
    return pair.alert_ns is not None and abs(t_ns - pair.alert_ns) < pause_ns


def _measured(pair: _Pair, contact: Contact, match: bool | None) -> None:
    """A contact that a loss is waited for was measured: from now on time counts anew, and not if it is elsewhere."""
    pair.active = pair.told = False
    if match:
        pair.since_ns, pair.range_m = contact.event_ns, contact.range_m or 0.0
    elif match is False:
        pair.since_ns = None
    elif pair.since_ns is not None:
        pair.since_ns = contact.event_ns
