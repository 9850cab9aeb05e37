"""What plays one bus of the rig on another bus, and how it is told that something has come for it."""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Protocol

__all__ = ["Poller", "Side"]

EVENTS = 64
"""Descriptors looked at in one turn."""


class Poller:
    """Calls whoever watches a descriptor when that is readable or was hung up."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._calls: dict[int, Callable[[], None]] = {}

    def add(self, descriptor: int, call: Callable[[], None]) -> None:
        """Watch a descriptor. Raises OSError for one that can't be watched."""
        self._epoll.register(descriptor, select.EPOLLIN)
        self._calls[descriptor] = call

    def remove(self, descriptor: int) -> None:
        """Watch it no more; before it is closed."""
        if self._calls.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def wait(self, timeout_s: float) -> int:
        """Wait for at most so long (in steps of 1 ms) and call for what has come; returns how many were called."""
        called = 0
        for descriptor, _ in self._epoll.poll(timeout_s, EVENTS):
            call = self._calls.get(descriptor)
            if call is not None:  # one that was called before may have closed it
                call()
                called += 1
        return called

    def close(self) -> None:
        """Watch nothing more."""
        self._calls.clear()
        self._epoll.close()


class Side(Protocol):
    """One bus of the rig, played on another bus. Nothing here waits."""

    name: str
    """Of the bus in the board description."""

    @property
    def endpoint(self) -> str | None:
        """What the board description's ``device`` must say to reach it; ``None``: what the board says itself."""

    def start(self, poller: Poller) -> None:
        """Begin, and watch what it has to. Raises OSError or DeviceError when it can't be opened."""

    def step(self, now_ns: int) -> None:
        """The chips are at rig time ``now_ns``: carry what they have to say. Never raises DeviceError."""

    def counts(self) -> dict[str, int]:
        """What it carried and refused since start."""

    def close(self) -> None:
        """Give everything back; does no harm twice."""
