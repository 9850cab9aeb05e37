"""The port between flight loop and link over a local socket: neither end ever waits, neither trusts the other's bytes.

A Unix socket of whole messages (SOCK_SEQPACKET). The flight loop listens; one process is connected at a time, and may
come back after it was gone. Other ports of the flight loop use the same two ends with a codec of their own. What does
not fit into the socket's buffer is dropped and counted; what cannot be read is refused and counted. The socket file is
for its owner and group alone.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from comms.flight_port import (
    CommandStage,
    CraftState,
    EnergyAsk,
    EnergyVerdict,
    EventNote,
    LinkOrder,
    LinkReport,
    Message,
    ParameterValues,
    Snapshot,
    UplinkRequest,
)

__all__ = ["FlightSocket", "LinkSocket", "MessageCodec", "PortError", "packed_message", "read_message"]

LARGEST = 65_536
BUFFER = 1 << 20


class PortError(OSError):
    """The socket cannot be opened: which, and why."""


class MessageCodec:
    """Messages of one port as bytes: the number of their kind, then MessagePack of their fields.

    Args:
        kinds: dataclass by number 1..255.
    """

    def __init__(self, kinds: Mapping[int, type[Any]]) -> None:
        self._numbers = {kind: number for number, kind in kinds.items()}
        self._decoders = {number: msgspec.msgpack.Decoder(kind) for number, kind in kinds.items()}
        self._encode = msgspec.msgpack.Encoder(enc_hook=str).encode

    def pack(self, message: Any) -> bytes:
        """One message as bytes. KeyError: none of this port's."""
        return bytes((self._numbers[type(message)],)) + self._encode(message)

    def read(self, data: bytes) -> Any | None:
        """The message of these bytes; ``None`` if they are none."""
        decoder = self._decoders.get(data[0]) if data else None
        if decoder is None:
            return None
        try:
            return decoder.decode(memoryview(data)[1:])
        except (msgspec.DecodeError, RecursionError, ValueError, OverflowError):
            return None


LINK_CODEC = MessageCodec({
    1: CraftState, 2: Snapshot, 3: EventNote, 4: CommandStage, 5: LinkOrder, 6: UplinkRequest, 7: LinkReport,
    8: EnergyAsk, 9: EnergyVerdict, 10: ParameterValues,
})


def packed_message(message: Message) -> bytes:
    """One message of the link's port as bytes."""
    return LINK_CODEC.pack(message)


def read_message(data: bytes) -> Message | None:
    """The message of the link's port that these bytes are; ``None`` if they are none."""
    message: Message | None = LINK_CODEC.read(data)
    return message


class _SocketEnd:
    """What both ends share. ``refused`` counts messages that could not be read."""

    def __init__(self, codec: MessageCodec) -> None:
        self._codec = codec
        self._socket: socket.socket | None = None
        self._dropped = 0
        self.refused = 0
        self.connections = 0

    @property
    def dropped(self) -> int:
        """Messages of this end that found no room, or nobody at the other end."""
        return self._dropped

    @property
    def connected(self) -> bool:
        """Whether somebody is at the other end."""
        return self._socket is not None

    def send(self, message: Message) -> bool:
        """See Port."""
        if self._socket is None and not self._connect():
            self._dropped += 1
            return False
        assert self._socket is not None
        try:
            self._socket.send(self._codec.pack(message))
        except (BlockingIOError, InterruptedError):
            self._dropped += 1
            return False
        except OSError:
            self._dropped += 1
            self._hang_up()
            return False
        return True

    def receive(self, most: int) -> list[Message]:
        """See Port."""
        messages: list[Message] = []
        if self._socket is None and not self._connect():
            return messages
        size = 0
        for _ in range(most):
            if size > LARGEST:
                # Reading them takes time: the rest comes with the next call.
                break
            assert self._socket is not None
            try:
                data = self._socket.recv(LARGEST + 1)
            except (BlockingIOError, InterruptedError):
                break
            except OSError:
                self._hang_up()
                break
            if not data:
                self._hang_up()
                break
            size += len(data)
            message = self._codec.read(data) if len(data) <= LARGEST else None
            if message is None:
                self.refused += 1
            else:
                messages.append(message)
        return messages

    def _connect(self) -> bool:
        raise NotImplementedError

    def _adopt(self, connection: socket.socket) -> bool:
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self._socket = connection
        self.connections += 1
        return True

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        """Let the socket go."""
        self._hang_up()


class FlightSocket(_SocketEnd):
    """The flight loop's end, which listens.

    Args:
        path: of the socket; a file that a dead program left is replaced.
        codec: of the port's messages.

    Raises:
        PortError: the path is taken by something that lives, or can't be made.
    """

    def __init__(self, path: Path, codec: MessageCodec = LINK_CODEC) -> None:
        super().__init__(codec)
        self._path = path
        _clear(path)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
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

    def _connect(self) -> bool:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return False
        return self._adopt(connection)

    def close(self) -> None:
        """See _SocketEnd; the socket's file is removed."""
        super().close()
        self._listener.close()
        with suppress(OSError):
            self._path.unlink()


class LinkSocket(_SocketEnd):
    """The other process's end, which connects, and again when the flight program was started anew."""

    def __init__(self, path: Path, codec: MessageCodec = LINK_CODEC) -> None:
        super().__init__(codec)
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
    except OSError:
        path.unlink(missing_ok=True)
    else:
        raise PortError(f"{path}: another flight program listens there")
    finally:
        probe.close()
