"""Both ends of a recorder's port in one process, which a test can cut, fill and join again."""

from __future__ import annotations

from collections import deque


class PipeEnd:
    """One end; ``room`` packets fit on the way to the other."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self.inbox: deque[bytes] = deque()
        self.connections = 0
        self.room = 1_000_000

    @property
    def connected(self) -> bool:
        # As with a socket: what was sent before the other end hung up can still be read.
        return self._pipe.joined or bool(self.inbox)

    def meet(self) -> bool:
        return self.connected

    def send(self, packet: bytes | bytearray) -> bool:
        other = self._pipe.other(self)
        if not self._pipe.joined or len(other.inbox) >= self.room:
            return False
        other.inbox.append(bytes(packet))
        return True

    def receive(self) -> bytes | None:
        return self.inbox.popleft() if self.inbox else None

    def hang_up(self) -> None:
        self._pipe.joined = False
        self.inbox.clear()


class Pipe:
    """The two ends."""

    def __init__(self) -> None:
        self.joined = False
        self.flight, self.recorder = PipeEnd(self), PipeEnd(self)

    def other(self, end: PipeEnd) -> PipeEnd:
        return self.recorder if end is self.flight else self.flight

    def join(self) -> None:
        """Somebody new is there."""
        self.joined = True
        for end in (self.flight, self.recorder):
            end.connections += 1
            end.inbox.clear()

    def cut(self) -> None:
        """Nobody is there any more; what was on the way is gone."""
        self.joined = False
        for end in (self.flight, self.recorder):
            end.inbox.clear()
