"""The port between flight loop and link over a local socket: neither end ever waits, neither trusts the other's bytes.

A Unix socket of whole messages (SOCK_SEQPACKET). The flight loop listens; one link process is connected at a time, and
may come back after it was gone. What does not fit into the socket's buffer is dropped and counted; what cannot be read
is refused and counted. The socket file is for its owner and group alone.
"""

from __future__ import annotations

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

__all__ = ["FlightSocket", "LinkSocket", "PortError", "packed_message", "read_message"]

KINDS: dict[int, type[Any]] = {
    1: CraftState, 2: Snapshot, 3: EventNote, 4: CommandStage, 5: LinkOrder, 6: UplinkRequest, 7: LinkReport,
    8: EnergyAsk, 9: EnergyVerdict, 10: ParameterValues,
}
NUMBERS = {kind: number for number, kind in KINDS.items()}

_encoder = msgspec.msgpack.Encoder(enc_hook=str)
_decoders = {number: msgspec.msgpack.Decoder(kind) for number, kind in KINDS.items()}


def packed_message(message: Message) -> bytes:
    """One message as bytes: its kind, then MessagePack of its fields."""
    return bytes((NUMBERS[type(message)],)) + _encoder.encode(message)


def read_message(data: bytes) -> Message | None:
    """The message of these bytes; ``None`` if they are none."""
    decoder = _decoders.get(data[0]) if data else None
    if decoder is None:
        return None
    try:
        message: Message = decoder.decode(memoryview(data)[1:])
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError):
        return None
    return message


class _MessageEnd:
    """What both ends share."""

    def __init__(self, end: PacketEnd) -> None:
        self._end = end
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
        taken = self._end.meet() and self._end.send(packed_message(message))
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
            message = read_message(data)
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

    Raises:
        PortError: the path is taken by something that lives, or can't be made.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(PacketServer(path))


class LinkSocket(_MessageEnd):
    """The link's end, which connects, and again when the flight program was started anew."""

    def __init__(self, path: Path) -> None:
        super().__init__(PacketClient(path))
