"""Ways from a terminal to a shell: bytes out, bytes in, nothing waits. A way that ends says so and never raises."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from comms.shell.server import ByteStream
from comms.shell.stream import SocketStream, serial_opener

if TYPE_CHECKING:
    from comms.keys.keyring import KeyStore
    from comms.shell.channel import ChunkPipe
    from firmware_py.cli.link_station import Station

__all__ = ["LinkPipe", "ShellPipe", "ShellUnavailableError", "StreamPipe", "link_pipe", "serial_pipe", "socket_pipe"]

READ_BYTES = 16384
MOST_WAITING = 65536


class ShellUnavailableError(Exception):
    """There is no shell at the other end: what is wrong, and what to do."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


class ShellPipe(Protocol):
    """A way to a shell."""

    @property
    def closed(self) -> bool:
        """The other end is gone, and everything has been read."""

    def send(self, data: bytes) -> None:
        """Hand bytes over; what finds no room waits."""

    def receive(self) -> bytes:
        """What has come in. Called often: whoever must be kept going is kept going here."""

    def close(self) -> None:
        """Let it go."""


class StreamPipe:
    """A ``ShellPipe`` over a stream."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._out = b""
        self.closed = False

    def send(self, data: bytes) -> None:
        """See ShellPipe."""
        self._out = (self._out + data)[:MOST_WAITING]
        self._flush()

    def receive(self) -> bytes:
        """See ShellPipe."""
        self._flush()
        data = b"" if self.closed else self._stream.read(READ_BYTES)
        if data is None:
            self.closed = True
            return b""
        return data

    def close(self) -> None:
        """See ShellPipe."""
        self.closed = True
        self._stream.close()

    def _flush(self) -> None:
        if self._out and not self.closed:
            self._out = self._out[self._stream.write(self._out):]


def socket_pipe(path: Path) -> StreamPipe:
    """To the socket of a craft on this computer. Raises ShellUnavailableError."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.connect(str(path))
    except OSError as error:
        connected.close()
        steps = {
            FileNotFoundError: "start the craft with its shell, or give the path of its socket",
            PermissionError: "only its owner and its group may open it: join the group, or use sudo",
        }
        next_step = steps.get(type(error), "the craft that made it is not running; start it anew")
        raise ShellUnavailableError(f"{path}: {error.strerror or error}", next_step) from None
    return StreamPipe(SocketStream(connected))


def serial_pipe(path: str, baud: int) -> StreamPipe:
    """To a craft at a serial line. Raises ShellUnavailableError."""
    try:
        return StreamPipe(serial_opener(path, baud)())
    except (OSError, ValueError, ImportError) as error:
        raise ShellUnavailableError(
            f"{path}: {error}", "see that it is plugged in, that no other program has it, and that you may open it"
        ) from None


class LinkPipe:
    """A ``ShellPipe`` over the sealed session of a ground station, which is kept going whenever something is read."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._pipe: ChunkPipe | None = None
        self._out = b""
        self.closed = False

    def send(self, data: bytes) -> None:
        """See ShellPipe."""
        self._out = (self._out + data)[:MOST_WAITING]
        self._turn()

    def receive(self) -> bytes:
        """See ShellPipe."""
        if self.closed:
            return b""
        told = self._turn()
        return told + ((self._pipe.read(READ_BYTES) or b"") if self._pipe is not None else b"")

    def close(self) -> None:
        """See ShellPipe."""
        if not self.closed:
            self.closed = True
            self._station.step()
            self._station.close()

    def _turn(self) -> bytes:
        """Keep the station going; what is to be told of a session that took the place of another."""
        if self.closed:
            return b""
        self._station.step()
        pipe, before = self._station.station.shell(), self._pipe
        self._pipe = pipe
        if pipe is not None and self._out:
            self._out = self._out[pipe.write(self._out):]
        return b"" if before is None or pipe is before else b"\r\n[connected anew: the shell has begun again]\r\n"


def link_pipe(
    keys: KeyStore, to: str, craft: str | None = None, modem: str | None = None, wait_s: float = 30.0
) -> LinkPipe:
    """To a craft over a sealed link, with the role of these keys. Raises ShellUnavailableError."""
    from firmware_py.cli.link_station import Station, StationError

    try:
        station = Station(keys, to, craft, modem)
        station.connect(wait_s)
    except StationError as error:
        raise ShellUnavailableError(str(error), error.next_step) from None
    return LinkPipe(station)
