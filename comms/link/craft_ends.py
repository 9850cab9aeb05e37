"""Sessions of a craft with its peers: who is connected over which line, and what of all that comes in is theirs.

A datagram is a handshake message, a record of a live session at that address, or nothing. A session whose handshake is
over is live with its first good record, and only then replaces the one before of the same peer on the same line. Nobody
is answered but a pinned peer's handshake.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique

from comms.bounded import BoundedQueue
from comms.channel_plan import Direction
from comms.emcon import EmconGate, Traffic
from comms.keys.handshake import is_handshake
from comms.keys.keyring import KeyStore
from comms.keys.responder import Answer, Responder
from comms.link.end import Line, LinkEnd
from comms.records.faults import RecordFault
from comms.records.record import Opened
from comms.transports.port import Datagram

__all__ = ["CraftEnds", "EndCounts", "Frame", "Outcome"]

NS = 1_000_000_000
IDLE_NS = 120 * NS
"""Silence of a peer after which its session is closed."""
MOST_AT_ONE = 4
"""Sessions at one address, for instance of several stations that share a radio."""
MOST_ENDS = 32
MOST_ANSWERS = 16
MOST_HANDSHAKES = 128
"""Handshake messages that are looked at in one step, of all lines together."""
REFRESH_NS = 5 * NS
ANSWER_NS = 2 * NS
"""How long an answer to a handshake waits for its line."""


@unique
class Outcome(StrEnum):
    """What became of a datagram, beside the faults of records and handshakes."""

    GOOD = "good"
    HANDSHAKE = "handshake"
    NO_SESSION = "no session"
    LEFT_OUT = "handshake left out"
    """More of them came in one step than are looked at."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A datagram without its content: for whoever watches the traffic."""

    t_ns: int
    line: str
    source: str
    size: int
    outcome: str
    channel: int | None = None


@dataclass(slots=True)
class EndCounts:
    """Datagrams since start, by outcome, and sessions."""

    by_outcome: dict[str, int] = field(default_factory=dict)
    sessions: int = 0
    displaced: int = 0
    """Sessions closed because another one took their place."""

    def add(self, outcome: str) -> None:
        """Count one."""
        self.by_outcome[outcome] = self.by_outcome.get(outcome, 0) + 1


class CraftEnds:
    """Owner of the sessions.

    Args:
        keys: the craft's.
        lines: ways to peers, by name.
        emcon: emission control, also over answers to handshakes.
        random_bytes: for ephemeral keys.
        watch: told of every datagram, without its content.
        start: number of this start of the craft; ``None`` if it is not known.
    """

    def __init__(
        self, keys: KeyStore, lines: Mapping[str, Line], emcon: EmconGate, random_bytes: Callable[[int], bytes],
        watch: Callable[[Frame], None], start: int | None = None,
    ) -> None:
        self._keys = keys
        self._lines = lines
        self._emcon = emcon
        self._watch = watch
        self.responder = Responder(keys, random_bytes, start)
        self.start = start
        self.live: dict[tuple[str, str], list[LinkEnd]] = {}
        self._half: dict[tuple[str, str], list[LinkEnd]] = {}
        self.counts = EndCounts()
        self._answers: BoundedQueue[tuple[Answer, int]] = BoundedQueue(MOST_ANSWERS)
        self._refreshed_ns = -REFRESH_NS
        self._handshakes_left = MOST_HANDSHAKES
        self.came: list[LinkEnd] = []
        """Sessions that have become live and were not told yet."""
        self.gone: list[tuple[LinkEnd, str]] = []
        """Sessions that have ended, and why."""

    @property
    def ends(self) -> list[LinkEnd]:
        """Live sessions, in the order of their beginning."""
        return [end for ends in self.live.values() for end in ends]

    @property
    def half_open(self) -> int:
        """Sessions whose handshake is over and that had no good record yet."""
        return sum(map(len, self._half.values()))

    def of_peer(self, name: str) -> list[LinkEnd]:
        """Live sessions of one peer."""
        return [end for end in self.ends if end.peer.name == name]

    def take(self, line: str, datagram: Datagram, now_ns: int) -> tuple[LinkEnd, Opened] | None:
        """One datagram: a record of a peer, or nothing that anybody else must do something about."""
        payload, source = datagram
        if is_handshake(payload):
            if self._handshakes_left <= 0:
                # Each costs a MAC for every pinned peer: a flood of them must not crowd out the sessions.
                self._saw(now_ns, line, source, len(payload), Outcome.LEFT_OUT.value)
                return None
            self._handshakes_left -= 1
            fault = self.responder.receive(payload, (line, source))
            # Records and handshakes have faults of the same name, and they mean different things to whoever watches.
            outcome = Outcome.HANDSHAKE.value if fault is None else f"{Outcome.HANDSHAKE} {fault}"
            self._saw(now_ns, line, source, len(payload), outcome)
            return None
        key = (line, source)
        why = Outcome.NO_SESSION.value
        for end in self.live.get(key, ()):
            found = end.open(payload, now_ns)
            if not isinstance(found, RecordFault):
                self._saw(now_ns, line, source, len(payload), Outcome.GOOD.value, found.channel)
                return end, found
            why = found.value
        for end in tuple(self._half.get(key, ())):
            found = end.open(payload, now_ns)
            if isinstance(found, RecordFault):
                why = found.value
            elif self._confirm(key, end, now_ns):
                self._saw(now_ns, line, source, len(payload), Outcome.GOOD.value, found.channel)
                return end, found
        self._saw(now_ns, line, source, len(payload), why)
        return None

    def step(self, now_ns: int) -> None:
        """Answer handshakes, end what has lapsed, is silent or is not allowed any more."""
        self._handshakes_left = MOST_HANDSHAKES
        for answer in self.responder.step(now_ns):
            # One handshake of a peer is half open at a time: one begun before can't become live any more.
            self._forget(answer.secrets.peer.name)
            if isinstance(answer.source, tuple) and not self._answers.put((answer, now_ns + ANSWER_NS)):
                self.counts.displaced += 1
        for _ in range(len(self._answers)):
            waiting = self._answers.take()
            if waiting is not None and not self._answered(waiting[0], now_ns) and now_ns < waiting[1]:
                self._answers.put(waiting)
        if now_ns - self._refreshed_ns >= REFRESH_NS:
            # Keys are pinned and revoked by other programs.
            self._refreshed_ns = now_ns
            self._keys.refresh()
        for session_id in self.responder.take_lapsed():
            self._lapse(session_id)
        for key, ends in tuple(self.live.items()):
            for end in tuple(ends):
                if now_ns - end.heard_ns >= IDLE_NS:
                    self._end(key, end, "silent")
                elif not self._keys.allows(end.peer, self.start):
                    self._end(key, end, "its key is not valid any more")

    def _answered(self, answer: Answer, now_ns: int) -> bool:
        """Send the second message of a handshake; ``False`` while the line has no room, as a radio that turns round."""
        name, source = answer.source if isinstance(answer.source, tuple) else ("", "")
        line = self._lines.get(name)
        size = len(answer.message)
        if line is None:
            return True
        if self._emcon.may(line.transmitter, Traffic.CONTROL, now_ns) is not None:
            # Held back for good, and counted.
            self._emcon.admit(line.transmitter, Traffic.CONTROL, size, now_ns)
            return True
        if line.transport.room(now_ns) < size or not line.transport.send(answer.message, source, now_ns):
            return False
        self._emcon.admit(line.transmitter, Traffic.CONTROL, size, now_ns)
        end = LinkEnd(answer.secrets.peer, line, source, answer.secrets, Direction.DOWN, self._emcon, now_ns)
        waiting = self._half.setdefault((name, source), [])
        waiting.append(end)
        for late in waiting[:-MOST_AT_ONE]:
            late.close()
        del waiting[:-MOST_AT_ONE]
        return True

    def drop(self, name: str, why: str) -> int:
        """End all sessions of a peer; how many there were."""
        count = 0
        for key, ends in tuple(self.live.items()):
            for end in tuple(ends):
                if end.peer.name == name:
                    self._end(key, end, why)
                    count += 1
        return count

    def close(self) -> None:
        """End everything."""
        for end in [*self.ends, *(end for ends in self._half.values() for end in ends)]:
            end.close()
        self.live.clear()
        self._half.clear()

    def _confirm(self, key: tuple[str, str], end: LinkEnd, now_ns: int) -> bool:
        """The first good record of a session: it is live, unless it isn't allowed any more."""
        self._half[key].remove(end)
        if not self._half[key]:
            del self._half[key]
        if not self.responder.confirm(end.secrets.id, now_ns):
            end.close()
            return False
        for other_key, ends in tuple(self.live.items()):
            for other in tuple(ends):
                if other.peer.name == end.peer.name and other_key[0] == key[0]:
                    self._end(other_key, other, "replaced")
        here = self.live.setdefault(key, [])
        if len(here) >= MOST_AT_ONE:
            self.counts.displaced += 1
            self._end(key, here[0], "too many at one address")
            here = self.live.setdefault(key, [])
        if len(self.ends) >= MOST_ENDS:
            self.counts.displaced += 1
            first_key = next(iter(self.live))
            self._end(first_key, self.live[first_key][0], "too many sessions")
            here = self.live.setdefault(key, [])
        here.append(end)
        self.counts.sessions += 1
        self.came.append(end)
        return True

    def _forget(self, name: str) -> None:
        """Let go of what a peer has begun and not confirmed: answers that wait, and sessions that are half open."""
        for _ in range(len(self._answers)):
            waiting = self._answers.take()
            if waiting is not None and waiting[0].secrets.peer.name != name:
                self._answers.put(waiting)
        for end in [end for ends in self._half.values() for end in ends if end.peer.name == name]:
            self._lapse(end.secrets.id)

    def _lapse(self, session_id: bytes) -> None:
        for key, waiting in tuple(self._half.items()):
            for end in tuple(waiting):
                if end.secrets.id == session_id:
                    waiting.remove(end)
                    end.close()
            if not waiting:
                del self._half[key]

    def _end(self, key: tuple[str, str], end: LinkEnd, why: str) -> None:
        ends = self.live[key]
        ends.remove(end)
        if not ends:
            del self.live[key]
        end.close()
        self.gone.append((end, why))

    def _saw(self, t_ns: int, line: str, source: str, size: int, outcome: str, channel: int | None = None) -> None:
        self.counts.add(outcome)
        self._watch(Frame(t_ns, line, source, size, outcome, channel))
