"""Ways in beside the link: a local Unix socket and a serial line. Nothing waits, nothing raises, clients are bounded.

Whoever comes in here has no key, and so is a viewer: who may open the socket is a matter of its mode and group.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from comms.shell.server import ByteStream, ShellServer
from comms.shell.session import Mode, ShellSession

__all__ = ["FdStream", "SerialDoor", "SerialStream", "SocketDoor", "SocketStream", "serial_opener"]

NS = 1_000_000_000
REOPEN_NS = NS
"""How often a serial line that went away is looked for."""
FULL = b"QIKI debug shell: all sessions are taken; try again later\n"
_AGAIN = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR)


class SocketStream:
    """One connected client of a socket; a ``ByteStream``."""

    __slots__ = ("_socket",)

    def __init__(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self._socket = connected

    def read(self, most: int) -> bytes | None:
        """See ByteStream."""
        try:
            return self._socket.recv(most) or None
        except OSError as error:
            return b"" if error.errno in _AGAIN else None

    def write(self, data: bytes) -> int:
        """See ByteStream."""
        try:
            return self._socket.send(data, socket.MSG_NOSIGNAL)
        except OSError:
            return 0

    def close(self) -> None:
        """See ByteStream."""
        with suppress(OSError):
            self._socket.close()


class FdStream:
    """An open descriptor, such as one end of a pseudo-terminal; a ``ByteStream``."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor

    def read(self, most: int) -> bytes | None:
        """See ByteStream."""
        try:
            return os.read(self._descriptor, most) or None
        except OSError as error:
            return b"" if error.errno in _AGAIN else None

    def write(self, data: bytes) -> int:
        """See ByteStream."""
        try:
            return os.write(self._descriptor, data)
        except OSError:
            return 0

    def close(self) -> None:
        """See ByteStream."""
        with suppress(OSError):
            os.close(self._descriptor)


class SerialStream:
    """A port of pyserial, opened without waiting; a ``ByteStream``. ``None`` from ``read``: it was unplugged."""

    __slots__ = ("_port",)

    def __init__(self, port: Any) -> None:
        self._port = port

    def read(self, most: int) -> bytes | None:
        """See ByteStream."""
        try:
            return bytes(self._port.read(most))
        except (OSError, TypeError, ValueError):
            return None

    def write(self, data: bytes) -> int:
        """See ByteStream."""
        try:
            return int(self._port.write(data) or 0)
        except (OSError, TypeError, ValueError):
            return 0

    def close(self) -> None:
        """See ByteStream."""
        with suppress(OSError, TypeError, ValueError):
            self._port.close()


class SocketDoor:
    """A Unix socket at which sessions begin.

    Args:
        path: of the socket; a dead one of that name is taken over, anything else there is left alone.
        server: that serves them.
        group: id of the group that may open it; then the mode is 0660, otherwise 0600.

    Raises:
        OSError: it can't be made there: a living server, another file, no rights.
    """

    def __init__(self, path: Path | str, server: ShellServer, *, group: int | None = None) -> None:
        self.path = Path(path)
        self._server = server
        self.refused = 0
        """Clients that found no room."""
        _clear_dead(self.path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # Nobody may open it between its making and its mode.
            before = os.umask(0o177)
            try:
                self._socket.bind(str(self.path))
            finally:
                os.umask(before)
            if group is not None:
                os.chown(self.path, -1, group)
                self.path.chmod(0o660)
            self._socket.setblocking(False)
            self._socket.listen(4)
        except OSError:
            self._socket.close()
            raise

    def step(self, now_ns: int) -> None:
        """Let one client in, if one waits."""
        try:
            connected, _ = self._socket.accept()
        except OSError:
            return
        stream = SocketStream(connected)
        if self._server.open(stream, now_ns, how="socket") is None:
            self.refused += 1
            stream.write(FULL)
            stream.close()

    def close(self) -> None:
        """Shut the door and remove the socket. Sessions stay."""
        self._socket.close()
        self.path.unlink(missing_ok=True)


def _clear_dead(path: Path) -> None:
    """Remove a socket that nobody listens at."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError:
            return


class SerialDoor:
    """A serial line with a session that is always there: a terminal may be plugged in at any time.

    Args:
        server: that serves it.
        opener: opens the line; raises OSError while it is not there (``serial.SerialException`` is one).
        plain: ASCII only, for terminals without UTF-8.
    """

    def __init__(self, server: ShellServer, opener: Callable[[], ByteStream], *, plain: bool = False) -> None:
        self._server = server
        self._opener = opener
        self._plain = plain
        self._session: ShellSession | None = None
        self._stream: _Watched | None = None
        self._try_ns: int | None = None
        self.failures = 0
        """Attempts to open the line that failed."""

    def step(self, now_ns: int) -> None:
        """Begin a session if there is none; once a second."""
        if self._stream is not None and not self._stream.closed:
            return
        if self._try_ns is not None and now_ns < self._try_ns:
            return
        self._try_ns = now_ns + REOPEN_NS
        try:
            stream = _Watched(self._opener())
        except OSError:
            self.failures += 1
            return
        session = self._server.open(stream, now_ns, how="serial", mode=Mode.ECHO, keep=True, plain=self._plain)
        if session is None:
            stream.close()
            return
        self._session, self._stream = session, stream

    def close(self) -> None:
        """End the session and give the line back."""
        if self._session is not None:
            self._server.close(self._session)


class _Watched:
    """A stream that tells whether it was closed."""

    __slots__ = ("_stream", "closed")

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.closed = False

    def read(self, most: int) -> bytes | None:
        return self._stream.read(most)

    def write(self, data: bytes) -> int:
        return self._stream.write(data)

    def close(self) -> None:
        self.closed = True
        self._stream.close()


def serial_opener(path: str, baud: int) -> Callable[[], SerialStream]:
    """Opens a serial line with pyserial, for one owner, without ever waiting."""
    def open_it() -> SerialStream:
        # Only whoever has a serial line needs the library.
        library: Any = import_module("serial")
        return SerialStream(library.Serial(port=path, baudrate=baud, timeout=0, write_timeout=0, exclusive=True))

    return open_it
