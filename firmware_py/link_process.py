"""The link as a process of its own, beside the flight loop: joined to it by a local socket, started anew with it.

Its time is the flight loop's, as its messages tell it: the difference to the monotonic clock of this machine. When the
flight program is started anew its time begins anew, and so does the link: sessions end, and peers shake hands again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from comms.flight_port import CraftState, Message, Port
from comms.link.craft import CraftLink
from firmware_py.flight_time import FlightTime

__all__ = ["LinkProcess"]

STEP_NS = 10_000_000
"""Period of the link's steps: a hundred a second."""
MOST = 256


class _Seen(Protocol):
    """Whoever is told that the flight program was started anew."""

    def __call__(self, state: CraftState) -> None: ...


class _Watched:
    """A port that notices restarts of the flight program before anybody else sees a message of it."""

    def __init__(self, port: Port, seen: _Seen) -> None:
        self._port = port
        self._seen = seen

    @property
    def dropped(self) -> int:
        return self._port.dropped

    def send(self, message: Message) -> bool:
        return self._port.send(message)

    def receive(self, most: int) -> list[Message]:
        messages = self._port.receive(most)
        for message in messages:
            if isinstance(message, CraftState):
                self._seen(message)
        return messages


class LinkProcess:
    """Owner of the process's link.

    Args:
        port: the link's end, over the socket.
        make: builds a link over a port at a flight time.
        monotonic_ns: clock of this machine.

    Attributes:
        link: of the present start; ``None`` until the flight loop was heard.
        restarts: times that the link was begun anew.
    """

    def __init__(
        self, port: Port, make: Callable[[Port, int, int | None], CraftLink], monotonic_ns: Callable[[], int]
    ) -> None:
        self._port: Port = _Watched(port, self._see)
        self._make = make
        self._time = FlightTime(monotonic_ns)
        self._anew = False
        self.link: CraftLink | None = None
        self.restarts = 0

    @property
    def now_ns(self) -> int | None:
        """Flight time, as far as it is known here."""
        return self._time.now_ns

    def step(self) -> None:
        """One step."""
        if self.link is None:
            # Nothing is done before the craft's time is known; what it said before is of no use to anybody.
            self._port.receive(MOST)
        now_ns = self.now_ns
        if now_ns is None:
            return
        if self._anew and self.link is not None:
            self.link.abandon()
            self.link = None
            self.restarts += 1
        self._anew = False
        if self.link is None:
            self.link = self._make(self._port, now_ns, self._time.start)
        self.link.step(now_ns)

    def close(self) -> None:
        """End sessions and lines."""
        if self.link is not None:
            self.link.close()

    def _see(self, state: CraftState) -> None:
        self._anew = self._time.see(state.now_ns, state.start) or self._anew
