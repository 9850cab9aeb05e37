"""Who may call at the flight program's sockets: one user each where one is named, and strangers are told of once.

Link, recorder and perception share a group that reaches all three sockets. What comes over the link's socket commands
the craft, so that one of the others, taken over, must not be able to sit down there.
"""

from __future__ import annotations

import pwd
from collections.abc import Callable
from typing import Protocol

__all__ = ["CallerWatch", "Door", "user_ids"]


class Door(Protocol):
    """What of a socket is needed here (``comms.packet_socket.PacketServer``)."""

    @property
    def strangers(self) -> int:
        """Callers that were let go, since start."""

    @property
    def last_stranger(self) -> int:
        """User id of the last of them; -1 for nobody."""


def user_ids(name: str | None) -> frozenset[int] | None:
    """Ids of the one user that may call; ``None`` for no name: whoever may open the socket's file may.

    Raises:
        LookupError: this computer has no user of that name.
    """
    if name is None:
        return None
    try:
        return frozenset({pwd.getpwnam(name).pw_uid})
    except KeyError:
        raise LookupError(f"this computer has no user {name}") from None


class CallerWatch:
    """Tells once for each socket that a stranger called.

    Args:
        tell: takes flight time in ns and a text.
    """

    def __init__(self, tell: Callable[[int, str], None]) -> None:
        self._tell = tell
        self._doors: dict[str, Door] = {}

    def watch(self, name: str, door: Door | None) -> None:
        """One more socket; ``None``: there is none of that name."""
        if door is not None:
            self._doors[name] = door

    def step(self, now_ns: int) -> None:
        """Look at the sockets that nothing was told of yet."""
        for name, door in list(self._doors.items()):
            if door.strangers:
                del self._doors[name]
                self._tell(now_ns, f"user {door.last_stranger} called at the {name} socket, which is not theirs")
