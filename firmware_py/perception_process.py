"""The perception as a process of its own, beside the flight loop: joined by a local socket, started anew with it.

When the flight program is started anew, its time and its position begin anew, and so does all that was seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from comms.flight_port import Port
from firmware_py.flight_time import FlightTime
from firmware_py.perception.port import CraftMotion
from firmware_py.perception.service import Perception

__all__ = ["STEP_NS", "PerceptionProcess"]

STEP_NS = 2_000_000
"""Period of the process's steps: a frame waits no longer than this."""


class _Watched:
    """A port that notices restarts of the flight program before anybody else sees a message of it."""

    def __init__(self, port: Port, time: FlightTime) -> None:
        self._port: Any = port
        self._time = time
        self._held: list[Any] = []
        self.anew = False

    @property
    def dropped(self) -> int:
        return int(self._port.dropped)

    def send(self, message: Any) -> bool:
        return bool(self._port.send(message))

    def receive(self, most: int) -> list[Any]:
        messages, self._held = self._held or self._port.receive(most), []
        for index, message in enumerate(messages):
            if isinstance(message, CraftMotion) and self._time.see(message.now_ns, message.start):
                # What came before was said by a program that is gone; this and what follows is for who comes now.
                self.anew = True
                self._held = messages[index:]
                return []
        return messages


class PerceptionProcess:
    """Owner of the process's perception.

    Args:
        port: the perception's end, over the socket.
        make: builds a perception over a port.
        monotonic_ns: clock of this machine.

    Attributes:
        perception: of the present start.
        restarts: times that it was begun anew.
    """

    def __init__(self, port: Port, make: Callable[[Any], Perception], monotonic_ns: Callable[[], int]) -> None:
        self._time = FlightTime(monotonic_ns)
        self._port = _Watched(port, self._time)
        self._make = make
        self.perception: Perception | None = None
        self.restarts = 0

    def step(self) -> None:
        """One step; nothing is done before the craft's time is known."""
        if self.perception is None:
            self.perception = self._make(self._port)
        self._look_around(self.perception)
        if self._port.anew:
            self._port.anew = False
            self.perception.close()
            self.perception = self._make(self._port)
            self.restarts += 1
            self._look_around(self.perception)

    def _look_around(self, perception: Perception) -> None:
        now_ns = self._time.now_ns
        perception.step(0 if now_ns is None else now_ns)

    def close(self) -> None:
        """The process ends."""
        if self.perception is not None:
            self.perception.close()
