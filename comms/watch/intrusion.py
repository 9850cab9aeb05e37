"""Intrusion detection on metadata alone: it never sees a frame's bytes, holds no key, and is bounded in all it keeps.

It is told of every frame that came in: when, from where, how long, what became of it, on which channel. It learns what
is usual while it runs. A flood is told within a second; other signs when their sums say so. Alerts of one kind are at
least a minute apart, with a count of those between. Same input, same alerts.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from comms.bounded import BoundedQueue
from comms.watch.detectors import Bucket, Heartbeat, Metronome, RateWatch, ShareWatch, SizeWatch
from comms.watch.meta import Alert, AlertKind, AlertSeverity, FrameMeta, Outcome

__all__ = ["IntrusionDetector", "WatchSettings"]

NS = 1_000_000_000
SLOT_S = 10
NEAR_NS = 3 * NS
"""Within this time a repeated frame is one that its line has doubled."""
RECENT = 8
LONGEST_NAME = 64
AUTHENTIC = Outcome.DENIED
"""Outcomes up to this one are authentic."""
CRITICAL = frozenset({AlertKind.FLOOD, AlertKind.REPLAY, AlertKind.TIMING, AlertKind.UNKNOWN_COMMANDS})


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What is usual by design. ValueError for bounds that make no sense.

    Attributes:
        rate_floors_hz: frames a second, smoothed over 10 s, that are never too many, by channel id.
        other_floor_hz: the same for channels without an entry.
        usual_bytes: longest frame that is not odd before a channel has been learned, by channel id.
        by_hand: channels on which people send: frames by the clock are a sign there.
        heartbeats: channels that beat by themselves: frames held back are a sign there.
        peers: most peers that have authenticated and are remembered.
        channels: most channels that are watched.
        pause_s: shortest time between two alerts of one kind.
    """

    rate_floors_hz: Mapping[int, float] = field(default_factory=lambda: {0: 8.0, 6: 20.0})
    other_floor_hz: float = 500.0
    usual_bytes: Mapping[int, int] = field(default_factory=lambda: {0: 160, 6: 160})
    by_hand: frozenset[int] = frozenset({0})
    heartbeats: frozenset[int] = frozenset({5})
    peers: int = 32
    channels: int = 64
    pause_s: float = 60.0

    def __post_init__(self) -> None:
        if self.peers < 1 or self.channels < 1 or not self.pause_s >= 0.0:
            raise ValueError("peers and channels are at least 1, pause_s at least 0")


class _Peer:
    """What is remembered of one peer that has authenticated."""

    __slots__ = ("beats", "doubled", "failed", "frames", "noise", "recent")

    def __init__(self, settings: WatchSettings) -> None:
        self.beats = {channel: Heartbeat() for channel in sorted(settings.heartbeats)}
        self.frames = 0
        self.failed = ShareWatch(0.002)
        self.noise = ShareWatch(0.002)
        self.doubled = ShareWatch(0.01)
        self.recent: deque[tuple[int, int, int]] = deque(maxlen=RECENT)


class _Channel:
    """What is remembered of one channel."""

    __slots__ = ("hand", "rate", "size")

    def __init__(self, channel: int, settings: WatchSettings) -> None:
        self.rate = RateWatch(settings.rate_floors_hz.get(channel, settings.other_floor_hz))
        self.size = SizeWatch(settings.usual_bytes.get(channel))
        self.hand = Metronome() if channel in settings.by_hand else None


class IntrusionDetector:
    """Watches what comes in.

    Args:
        settings: see WatchSettings.
        known: endpoints that are peers by their wiring, such as a serial line: what fails there is not a stranger's.

    Attributes:
        frames: frames seen, by outcome.
        alerts: alerts since start, by kind, those held back included.
        told: alerts that wait to be taken.
    """

    __slots__ = ("_channels", "_flood", "_handshakes", "_held_back", "_last_ns", "_peers", "_replays", "_second",
                 "_settings", "_strangers", "_told_ns", "_unknown", "alerts", "frames", "told")

    def __init__(self, settings: WatchSettings | None = None, known: Iterable[str] = ()) -> None:
        self._settings = WatchSettings() if settings is None else settings
        self.frames = [0] * len(Outcome)
        self.alerts = dict.fromkeys(AlertKind, 0)
        self.told: BoundedQueue[Alert] = BoundedQueue(64)
        self._peers: OrderedDict[str, _Peer] = OrderedDict()
        for endpoint in known:
            self._peer(endpoint[:LONGEST_NAME])
        self._channels: dict[int, _Channel] = {}
        self._flood = Bucket(100.0, 0.01)
        self._strangers = Bucket(8.0, 120.0)
        self._replays = Bucket(5.0, 300.0)
        self._unknown = Bucket(6.0, 300.0)
        self._handshakes = Bucket(8.0, 240.0)
        self._told_ns: dict[AlertKind, int] = {}
        self._held_back = dict.fromkeys(AlertKind, 0)
        self._second: int | None = None
        self._last_ns = 0

    def observe(self, frame: FrameMeta) -> None:
        """One frame came in. Times that run backwards count as the latest one."""
        t_ns, endpoint, size, outcome, channel = frame
        if t_ns < self._last_ns:
            t_ns = self._last_ns
        self._last_ns = t_ns
        second = t_ns // NS
        if second != self._second:
            self._advance(second)
        self.frames[outcome] += 1
        if outcome <= AUTHENTIC:
            self._authentic(t_ns, endpoint, size, outcome, channel)
        elif outcome == Outcome.HANDSHAKE:
            peer = self._peer(endpoint[:LONGEST_NAME])
            peer.frames += 1
            for beat in peer.beats.values():
                beat.begin()
        else:
            self._refused(t_ns, endpoint, size, outcome, channel)

    def step(self, now_ns: int) -> list[Alert]:
        """Let time pass, and take the alerts that were raised."""
        self._last_ns = max(self._last_ns, now_ns)
        second = self._last_ns // NS
        if second != self._second:
            self._advance(second)
        return self.told.take_all()

    @property
    def peers(self) -> int:
        """Peers that are remembered."""
        return len(self._peers)

    def _authentic(self, t_ns: int, endpoint: str, size: int, outcome: Outcome, channel: int | None) -> None:
        peer = self._peer(endpoint[:LONGEST_NAME])
        peer.frames += 1
        if outcome != Outcome.ACCEPTED and self._unknown.add(t_ns):
            self._raise(AlertKind.UNKNOWN_COMMANDS, endpoint, t_ns, level=self._unknown.level)
        if channel is None:
            return
        peer.recent.append((t_ns, channel, size))
        watched = self._channel(channel)
        if watched is None:
            return
        watched.rate.count += 1
        if watched.size.see(size):
            self._raise(AlertKind.SIZE, endpoint, t_ns, channel=channel, size=size)
        if watched.hand is not None and watched.hand.see(t_ns):
            self._raise(AlertKind.TIMING, endpoint, t_ns, channel=channel, period_s=watched.hand.period_s)
        beat = peer.beats.get(channel)
        if beat is not None and beat.see(t_ns):
            self._raise(AlertKind.TIMING, endpoint, t_ns, channel=channel, held_s=beat.held_s)

    def _refused(self, t_ns: int, endpoint: str, size: int, outcome: Outcome, channel: int | None) -> None:
        if self._flood.add(t_ns):
            self._raise(AlertKind.FLOOD, endpoint, t_ns, over_hz=100.0)
        if outcome == Outcome.HANDSHAKE_FAILED:
            if self._handshakes.add(t_ns):
                self._raise(AlertKind.HANDSHAKE_FAILURES, endpoint, t_ns, level=self._handshakes.level)
            return
        peer = self._peers.get(endpoint[:LONGEST_NAME])
        if peer is None:
            if self._strangers.add(t_ns):
                self._raise(AlertKind.NEW_ENDPOINT, endpoint, t_ns, level=self._strangers.level)
        else:
            peer.frames += 1
            if outcome == Outcome.AUTH_FAILED:
                peer.failed.bad += 1
            elif outcome == Outcome.MALFORMED:
                peer.noise.bad += 1
        if outcome == Outcome.REPLAYED:
            self._replayed(t_ns, endpoint, size, channel, peer)

    def _replayed(self, t_ns: int, endpoint: str, size: int, channel: int | None, peer: _Peer | None) -> None:
        if peer is not None:
            for seen_ns, seen_channel, seen_size in peer.recent:
                if seen_channel == channel and seen_size == size and t_ns - seen_ns <= NEAR_NS:
                    peer.doubled.bad += 1
                    return
        if self._replays.add(t_ns):
            self._raise(AlertKind.REPLAY, endpoint, t_ns, level=self._replays.level)

    def _advance(self, second: int) -> None:
        """Close the seconds and slots that have ended."""
        before, self._second = self._second, second
        if before is None:
            return
        t_ns = second * NS
        for channel, watched in self._channels.items():
            if watched.rate.close(second - before):
                self._raise(AlertKind.RATE, "", t_ns, channel=channel, rate_hz=watched.rate.rate)
        slots = second // SLOT_S - before // SLOT_S
        if slots == 0:
            return
        for endpoint, peer in self._peers.items():
            frames, peer.frames = peer.frames, 0
            if peer.failed.close(frames):
                self._raise(AlertKind.AUTH_FAILURES, endpoint, t_ns, usual_share=peer.failed.share)
            # A line rustles when nobody sends, too.
            peer.noise.rest(slots - (frames > 0))
            if peer.noise.close(frames):
                self._raise(AlertKind.AUTH_FAILURES, endpoint, t_ns, usual_noise=peer.noise.share)
            if peer.doubled.close(frames):
                self._raise(AlertKind.REPLAY, endpoint, t_ns, usual_share=peer.doubled.share)

    def _raise(self, kind: AlertKind, endpoint: str, t_ns: int, **numbers: float) -> None:
        self.alerts[kind] += 1
        last_ns = self._told_ns.get(kind)
        if last_ns is not None and t_ns - last_ns < self._settings.pause_s * NS:
            self._held_back[kind] += 1
            return
        self._told_ns[kind] = t_ns
        held_back, self._held_back[kind] = self._held_back[kind], 0
        severity = AlertSeverity.CRITICAL if kind in CRITICAL else AlertSeverity.WARNING
        self.told.put(Alert(t_ns, kind, severity, endpoint[:LONGEST_NAME], tuple(sorted(numbers.items())), held_back))

    def _peer(self, endpoint: str) -> _Peer:
        """A peer that has authenticated, made if it is new; the one not heard for longest goes."""
        peers = self._peers
        peer = peers.get(endpoint)
        if peer is None:
            peer = peers[endpoint] = _Peer(self._settings)
            if len(peers) > self._settings.peers:
                peers.popitem(last=False)
        else:
            peers.move_to_end(endpoint)
        return peer

    def _channel(self, channel: int) -> _Channel | None:
        watched = self._channels.get(channel)
        if watched is None and len(self._channels) < self._settings.channels:
            watched = self._channels[channel] = _Channel(channel, self._settings)
        return watched
