"""The port between flight loop and link over a local socket: neither end ever waits, neither trusts the other's bytes.

A Unix socket of whole messages (SOCK_SEQPACKET). The flight loop listens; one process is connected at a time, and may
come back after it was gone. Other ports of the flight loop use the same two ends with a codec of their own. What does
not fit into the socket's buffer is dropped and counted; what cannot be read is refused and counted. The socket file is
for its owner and group alone.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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
from comms.packet_socket import LARGEST, PacketClient, PacketEnd, PacketServer, PortError

__all__ = ["FlightSocket", "LinkSocket", "MessageCodec", "PortError", "packed_message", "read_message"]

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


class _MessageEnd:
    """What both ends share."""

    def __init__(self, end: PacketEnd, codec: MessageCodec) -> None:
        self._end = end
        self._codec = codec
        self._dropped = 0
        self._unreadable = 0

    @property
    def dropped(self) -> int:
        """Messages of this end that found no room, or nobody at the other end."""
        return self._dropped

    @property
    def refused(self) -> int:
        """Messages that could not be read."""
        return self._unreadable + self._end.refused

    @property
    def connections(self) -> int:
        """How often somebody was at the other end."""
        return self._end.connections

    @property
    def connected(self) -> bool:
        """Whether somebody is at the other end."""
        return self._end.connected

    def send(self, message: Message) -> bool:
        """See Port."""
        taken = self._end.meet() and self._end.send(self._codec.pack(message))
        self._dropped += not taken
        return taken

    def receive(self, most: int) -> list[Message]:
        """See Port."""
        messages: list[Message] = []
        size = 0
        for _ in range(most):
            if size > LARGEST:
                # Reading them takes time: the rest comes with the next call.
                break
            data = self._end.receive()
            if data is None:
                break
            size += len(data)
            message = self._codec.read(data)
            if message is None:
                self._unreadable += 1
            else:
                messages.append(message)
        return messages

    def close(self) -> None:
        """Let the socket go."""
        self._end.close()


class FlightSocket(_MessageEnd):
    """The flight loop's end, which listens.

    Args:
        path: of the socket; a file that a dead program left is replaced.
        codec: of the port's messages.
        users: ids of those that may call; ``None``: whoever may open the socket's file (see PacketServer).

    Raises:
        PortError: the path is taken by something that lives, or can't be made.
    """

    def __init__(
        self, path: Path, codec: MessageCodec = LINK_CODEC, users: Collection[int] | None = None
    ) -> None:
        self._server = PacketServer(path, users)
        super().__init__(self._server, codec)

    @property
    def strangers(self) -> int:
        """See PacketServer."""
        return self._server.strangers

    @property
    def last_stranger(self) -> int:
        """See PacketServer."""
        return self._server.last_stranger


class LinkSocket(_MessageEnd):
    """The other process's end, which connects, and again when the flight program was started anew."""

    def __init__(self, path: Path, codec: MessageCodec = LINK_CODEC) -> None:
        super().__init__(PacketClient(path), codec)
