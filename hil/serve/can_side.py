"""Plays a CAN bus on another one (UDP on the loopback, SocketCAN, an adapter): its nodes speak there as real ones do.

Frames pass both ways in their order. On a shared wire only the nodes that the rig plays answer; what real nodes say is
heard by them too. A controller that a fault has thrown off the bus carries nothing and is started anew after a second,
as the kernel's ``restart-ms`` does it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from drivers.errors import Cause, DeviceError
from hil.serve.side import Poller

__all__ = ["CanSide"]

FRAMES_A_STEP = 256
RESTART_NS = 1_000_000_000


class CanSide:
    """One CAN bus; a ``Side``.

    Args:
        name: of the bus in the board description.
        twin: the bus with its nodes.
        open_end: joins the other bus.
        endpoint: what the board description must say; ``None``: what it says itself.

    Attributes:
        to_program, from_program: frames carried.
        dropped: frames that either side did not take.
    """

    def __init__(self, name: str, twin: Any, open_end: Callable[[], Any], endpoint: str | None) -> None:
        self.name = name
        self.endpoint = endpoint
        self.to_program = self.from_program = self.dropped = 0
        self._twin = twin
        self._open_end = open_end
        self._end: Any = None
        self._descriptor: int | None = None
        self._poller: Poller | None = None
        self._now_ns = 0
        self._off_ns: int | None = None
        self._away_ns: int | None = None

    # -- Side

    def start(self, poller: Poller) -> None:
        """See Side."""
        self._poller = poller
        self._end = self._open_end()
        self._watch()

    def step(self, now_ns: int) -> None:
        """See Side."""
        self._now_ns = now_ns
        if self._away_ns is not None and now_ns - self._away_ns >= RESTART_NS:
            self._join_again()
        if self._off_ns is not None and now_ns - self._off_ns >= RESTART_NS:
            self._off_ns = None
            self._twin.reopen()
        if self._descriptor is None:
            self._hear()
        if self._away_ns is None:
            self._speak()

    def counts(self) -> dict[str, int]:
        """See Side."""
        return {"to program": self.to_program, "from program": self.from_program, "dropped": self.dropped}

    def close(self) -> None:
        """See Side."""
        self._forget()
        end, self._end = self._end, None
        if end is not None:
            end.close()

    # -- inside

    def _watch(self) -> None:
        fileno = getattr(self._end, "fileno", None)
        if fileno is not None and self._poller is not None:
            self._descriptor = fileno()
            self._poller.add(self._descriptor, self._hear)

    def _forget(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if self._poller is not None and descriptor is not None:
            self._poller.remove(descriptor)

    def _join_again(self) -> None:
        """The wire was away: nobody heard anybody. Join it anew, or try once more in a second."""
        self._away_ns = None
        reopen = getattr(self._end, "reopen", None)
        if reopen is None:
            return
        try:
            reopen()
        except DeviceError:
            self._away_ns = self._now_ns
            return
        self._watch()

    def _hear(self) -> None:
        if self._end is None or self._away_ns is not None:
            return
        try:
            frames = self._end.drain(FRAMES_A_STEP)
        except DeviceError:
            self._forget()
            self._away_ns = self._now_ns
            return
        for frame in frames:
            try:
                self._twin.send(frame)
                self.from_program += 1
            except DeviceError as error:
                self._refused(error)
        self._speak()

    def _speak(self) -> None:
        for _ in range(FRAMES_A_STEP):
            try:
                frame = self._twin.receive()
            except DeviceError as error:
                self._refused(error)
                return
            if frame is None:
                return
            try:
                self._end.send(frame)
                self.to_program += 1
            except DeviceError:
                self.dropped += 1

    def _refused(self, error: DeviceError) -> None:
        self.dropped += 1
        if error.cause is Cause.BUS_OFF and self._off_ns is None:
            self._off_ns = self._now_ns
