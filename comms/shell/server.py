"""The debug shell on the craft's side: sessions over streams, a bounded piece of work a step, whatever is typed.

Safe on a live craft: what it knows came over the port, what it orders goes over the port, and all gates stand behind
it. In one step it takes in, answers and writes a bounded number of bytes and lines; a reader that is slow loses lines
and is told how many; a session that fails ends alone.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, fields
from typing import Protocol

from comms.dictionary import Authority
from comms.flight_port import CommandStage, Message
from comms.shell.orders import Granted, OrderDesk, Submit
from comms.shell.session import Mode, ShellSession
from comms.shell.view import CraftView
from hal.origin import origin

__all__ = ["ByteStream", "Limits", "ShellCounts", "ShellServer"]

NS = 1_000_000_000


class ByteStream(Protocol):
    """A way to one reader. Nothing waits, nothing raises."""

    def read(self, most: int) -> bytes | None:
        """Up to ``most`` bytes that have come in; ``None``: the other end is gone."""

    def write(self, data: bytes) -> int:
        """Write what fits now; how many bytes did."""

    def close(self) -> None:
        """Let it go."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server."""

    sessions: int = 6
    out_bytes: int = 1024
    """Bytes written to one session in one step."""
    turns: int = 2
    """Lines and completions worked off in one step, over all sessions."""
    idle_ns: int = 300 * NS
    """Time without a key after which a session makes room for a new one."""
    drain_ns: int = 2 * NS
    """Time that a session which has ended has to be read."""


@dataclass(slots=True)
class ShellCounts:
    """What has happened since start."""

    opened: int = 0
    refused_sessions: int = 0
    closed: int = 0
    displaced: int = 0
    """Idle sessions that made room."""
    failed: int = 0
    """Sessions that ended because of an error of ours."""
    answers: int = 0
    refused: int = 0
    orders: int = 0
    lines_left_out: int = 0
    pictures_left_out: int = 0
    noise: int = 0
    """Characters and sequences that were no text."""
    peak_out_bytes: int = 0
    """Most bytes that have waited for one reader."""


class _Open:
    __slots__ = ("end_ns", "keep", "session", "stream")

    def __init__(self, session: ShellSession, stream: ByteStream, keep: bool) -> None:
        self.session = session
        self.stream = stream
        self.keep = keep
        self.end_ns: int | None = None


class ShellServer:
    """All sessions of one craft.

    Args:
        view: the craft, fed by ``feed``.
        submit: hands a request to the craft, at once; ``False`` if it has no room. ``None`` for a recording.
        limits: bounds.
    """

    def __init__(self, view: CraftView, submit: Submit | None, limits: Limits | None = None) -> None:
        self.view = view
        self.limits = Limits() if limits is None else limits
        self.desk = OrderDesk(view, submit)
        self._open: list[_Open] = []
        self._past = ShellCounts()
        self._failures: deque[str] = deque(maxlen=8)
        self._turn = 0

    # -- from the craft

    def feed(self, message: Message, now_ns: int) -> None:
        """Take a message of the port in: snapshots, events, stages of commands, states; others are passed over."""
        self.view.feed(message, now_ns)
        if isinstance(message, CommandStage) and message.command_id:
            for entry in self._open:
                if entry.session.on_stage(message):
                    return

    # -- sessions

    def open(
        self, stream: ByteStream, now_ns: int, *, how: str, peer: str | None = None,
        authority: Authority = Authority.VIEWER, mode: Mode = Mode.LINES, keep: bool = False, plain: bool = False,
    ) -> ShellSession | None:
        """Begin a session; ``None`` if there is no room, even after one that was idle has been closed.

        Args:
            stream: the way to its reader; closed by the server.
            how: way in, in a word.
            peer: name of the key behind a sealed channel; ``None``: no key, a viewer whatever ``authority`` says.
            authority: role of that key.
            mode: how it writes.
            keep: it never makes room (a serial line).
            plain: ASCII only.
        """
        if len(self._open) >= self.limits.sessions and not self._make_room(now_ns):
            self._past.refused_sessions += 1
            return None
        session = ShellSession(
            self.view, self.desk, Granted(peer, authority), how, mode, now_ns, plain_text=plain,
        )
        self._open.append(_Open(session, stream, keep))
        self._past.opened += 1
        return session

    def close(self, session: ShellSession) -> None:
        """End a session at once: its key was revoked, its link has ended. Orders that were sent go on."""
        for entry in list(self._open):
            if entry.session is session:
                self._drop(entry)

    @property
    def sessions(self) -> int:
        """Sessions that are open."""
        return len(self._open)

    @property
    def counts(self) -> ShellCounts:
        """Counts since start, those of the open sessions included."""
        total = ShellCounts(**{field.name: getattr(self._past, field.name) for field in fields(ShellCounts)})
        for entry in self._open:
            _add(total, entry.session)
        total.orders = self.desk.sent
        return total

    # -- one step

    def step(self, now_ns: int) -> None:
        """A bounded piece of work for every session."""
        count = len(self._open)
        turns = self.limits.turns
        # Each step begins with another session, so that no one can use up all turns.
        self._turn = (self._turn + 1) % count if count else 0
        for entry in [*self._open[self._turn:], *self._open[:self._turn]]:
            try:
                turns -= self._serve(entry, turns, now_ns)
            except Exception as error:  # a shell may fail; the link that it lives in may not
                self._past.failed += 1
                self._failures.append(f"shell by {entry.session.how}: {type(error).__name__} in {origin(error)}")
                self._drop(entry)

    def take_failures(self) -> list[str]:
        """What failed since this was last asked, newest eight: way in, kind of error and its place, nothing typed."""
        failures = list(self._failures)
        self._failures.clear()
        return failures

    def _serve(self, entry: _Open, turns: int, now_ns: int) -> int:
        session, stream = entry.session, entry.stream
        room = session.hungry
        data = stream.read(room) if room else b""
        if data is None:
            self._drop(entry)
            return 0
        session.take(data, now_ns)
        used = session.work(turns, now_ns)
        if not session.ended:
            session.tick(now_ns)
        out = session.out
        if len(out):
            out.taken(stream.write(out.take(self.limits.out_bytes)))
        if session.ended:
            entry.end_ns = now_ns + self.limits.drain_ns if entry.end_ns is None else entry.end_ns
            if not len(out) or now_ns >= entry.end_ns:
                self._drop(entry)
        return used

    def _make_room(self, now_ns: int) -> bool:
        idle = [entry for entry in self._open
                if not entry.keep and now_ns - entry.session.typed_ns >= self.limits.idle_ns]
        if not idle:
            return False
        self._drop(min(idle, key=lambda entry: entry.session.typed_ns))
        self._past.displaced += 1
        return True

    def _drop(self, entry: _Open) -> None:
        if entry in self._open:
            self._open.remove(entry)
            _add(self._past, entry.session)
            self._past.closed += 1
            entry.stream.close()


def _add(total: ShellCounts, session: ShellSession) -> None:
    editor = session.editor.counts
    total.answers += session.counts.answers
    total.refused += session.counts.refused
    total.lines_left_out += session.out.left_out
    total.pictures_left_out += session.counts.skipped
    total.noise += editor.noise + editor.sequences
    total.peak_out_bytes = max(total.peak_out_bytes, session.out.peak)
