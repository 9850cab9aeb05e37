"""Whole packets between two processes of one machine: neither end ever waits, and either may come and go.

A Unix socket of whole messages (SOCK_SEQPACKET). One end listens, one peer is connected at a time; the other connects,
and connects again after its peer was gone. What finds no room is refused, never split and never waited for. The
socket's file is for its owner and group alone; of those the end that listens may let in named users only.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

__all__ = ["BUFFER", "LARGEST", "PacketClient", "PacketEnd", "PacketServer", "PortError"]

LARGEST = 65_536
"""Bytes of the longest packet that is taken."""
BUFFER = 1 << 20
"""Room asked of the kernel for what the other end has not read yet."""
MOST_REFUSED = 8
"""Packets that are too long, in one call; the rest waits for the next."""
MOST_CALLERS = 4
"""Callers that are looked at in one call; the rest waits for the next."""
_CREDENTIALS = struct.Struct("iII")
"""struct ucred: process, user, group (unix(7), SO_PEERCRED)."""


class PortError(OSError):
    """The socket cannot be opened: which, and why."""


class PacketEnd:
    """What both ends share.

    Attributes:
        connections: how often somebody was at the other end.
        refused: packets that were longer than LARGEST.
    """

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.connections = 0
        self.refused = 0

    @property
    def connected(self) -> bool:
        """Whether somebody is at the other end, as far as is known."""
        return self._socket is not None

    def meet(self) -> bool:
        """Whether somebody is at the other end, after looking for one if there was nobody."""
        return self._socket is not None or self._connect()

    def send(self, packet: bytes | bytearray) -> bool:
        """Hand over one packet; ``False``: nobody is there, or there is no room."""
        if self._socket is None and not self._connect():
            return False
        assert self._socket is not None
        try:
            self._socket.send(packet)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            self.hang_up()
            return False
        return True

    def receive(self) -> bytes | None:
        """The oldest packet that has come; ``None`` if there is none."""
        if self._socket is None and not self._connect():
            return None
        assert self._socket is not None
        for _ in range(MOST_REFUSED):
            try:
                data = self._socket.recv(LARGEST + 1)
            except (BlockingIOError, InterruptedError):
                return None
            except OSError:
                self.hang_up()
                return None
            if not data:
                self.hang_up()
                return None
            if len(data) <= LARGEST:
                return data
            self.refused += 1
        return None

    def hang_up(self) -> None:
        """Let the peer go."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Let the socket go."""
        self.hang_up()

    def _connect(self) -> bool:
        """Find a peer; whether there is one."""
        return False

    def _adopt(self, connection: socket.socket) -> bool:
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._socket = connection
        self.connections += 1
        return True


class PacketServer(PacketEnd):
    """The end that listens.

    Args:
        path: of the socket; a file that a dead program left is replaced.
        users: ids of those that may call, as the kernel knows them at the call; nobody else may, root and this
            process's own user neither. ``None``: whoever may open the socket's file.

    Attributes:
        strangers: callers that were let go; they never take the seat.
        last_stranger: user id of the last of them, -1 for nobody.

    Raises:
        PortError: the path is taken by something that lives, or can't be made.
    """

    def __init__(self, path: Path, users: Collection[int] | None = None) -> None:
        super().__init__()
        self.strangers = 0
        self.last_stranger = -1
        self._path = path
        self._users = None if users is None else frozenset(users)
        try:
            _clear(path)
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except PortError:
            raise
        except OSError as error:
            raise PortError(f"{path}: {error.strerror or error}") from None
        self._listener.setblocking(False)
        before = os.umask(0o117)
        try:
            self._listener.bind(str(path))
        except OSError as error:
            self._listener.close()
            raise PortError(f"{path}: {error.strerror or error}") from None
        finally:
            os.umask(before)
        self._listener.listen(1)

    def close(self) -> None:
        """See PacketEnd; the socket's file is removed."""
        super().close()
        self._listener.close()
        with suppress(OSError):
            self._path.unlink()

    def _connect(self) -> bool:
        for _ in range(MOST_CALLERS):
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return False
            user = -1 if self._users is None else _user_of(connection)
            if self._users is None or user in self._users:
                return self._adopt(connection)
            connection.close()
            self.strangers += 1
            self.last_stranger = user
        return False


class PacketClient(PacketEnd):
    """The end that connects, and again when the one that listens was started anew."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _connect(self) -> bool:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.setblocking(False)
        try:
            connection.connect(str(self._path))
        except OSError:
            connection.close()
            return False
        return self._adopt(connection)


def _user_of(connection: socket.socket) -> int:
    """User id of who connected, at that time; -1 if the kernel does not say."""
    try:
        data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    except OSError:
        return -1
    return int(_CREDENTIALS.unpack(data)[1])


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on any more."""
    if not path.exists():
        return
    if not path.is_socket():
        raise PortError(f"{path}: there is a file of that name which is no socket")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    probe.setblocking(False)
    try:
        probe.connect(str(path))
    except BlockingIOError:
        # Somebody listens and has no time for another.
        raise PortError(f"{path}: another flight program listens there") from None
    except OSError:
        path.unlink(missing_ok=True)
    else:
        raise PortError(f"{path}: another flight program listens there")
    finally:
        probe.close()
