"""Plays I2C and SPI buses behind a kernel's real nodes: the module ``busim`` hands every transfer to the rig's twins.

One descriptor of ``/dev/busim`` carries all buses of one kernel, since the module takes one simulator; every side of it
joins the same :class:`BusimNode`. What a twin refuses comes back as the error number that an adapter's driver would
give (Documentation/i2c/fault-codes.rst), so the program beside sees nothing but its own kernel.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from weakref import WeakValueDictionary

from drivers.errors import Cause, DeviceError
from hil.serve.side import Poller

__all__ = ["NODE", "BusimNode", "BusimSide", "Segment", "read_segments", "shared_node"]

NODE = Path("/dev/busim")
I2C, SPI = 1, 2
"""Kinds of bus as the module numbers them."""
LONGEST = 1 << 18
MODES = 3
_READ = 1
_HAS_DATA, _WANTS_ANSWER = 1, 2
_REQUEST, _SEGMENT, _ANSWER = struct.Struct("<IBBHI"), struct.Struct("<HHIIBBH"), struct.Struct("<Ii")

NUMBERS = {
    Cause.NACK_ADDRESS: errno.ENXIO, Cause.NACK_DATA: errno.EIO, Cause.TIMEOUT: errno.ETIMEDOUT,
    Cause.STUCK_BUS: errno.EBUSY, Cause.ARBITRATION: errno.EAGAIN, Cause.CHECKSUM: errno.EBADMSG,
    Cause.SHORT_READ: errno.EPROTO, Cause.PROTOCOL: errno.EPROTO, Cause.ABSENT: errno.ENODEV,
}
"""What the kernel says for a cause; EIO for any other."""


class Segment(NamedTuple):
    """One message of a transfer: I2C address or SPI select, flags, length, clock and mode, and what is sent."""

    place: int
    flags: int
    length: int
    hz: int
    mode: int
    data: bytes


def read_segments(kind: int, count: int, request: bytes) -> list[Segment]:
    """The messages of one request.

    Args:
        kind: ``I2C`` or ``SPI``.
        count: messages, as the head of the request says.
        request: all of it.

    Raises:
        ValueError: it ends too early.
    """
    offset, segments = _REQUEST.size, []
    for _ in range(count):
        if offset + _SEGMENT.size > len(request):
            raise ValueError("a message is cut short")
        place, flags, length, hz, _, _, mode = _SEGMENT.unpack_from(request, offset)
        offset += _SEGMENT.size
        carries = not flags & _READ if kind == I2C else bool(flags & _HAS_DATA)
        data = request[offset:offset + length] if carries else b""
        if carries and len(data) != length:
            raise ValueError("a message's bytes are cut short")
        offset += len(data)
        segments.append(Segment(place, flags, length, hz, mode, data))
    return segments


class Player(Protocol):
    """What answers the transfers of one bus."""

    def transfer(self, segments: list[Segment]) -> bytes:
        """What is read, one message's after the other. Raises DeviceError."""


class BusimNode:
    """The module's node, opened with the first of its buses and closed with the last.

    Args:
        path: of the node.
        opener: opens it; ``os.open`` for reading and writing, without waiting.

    Attributes:
        stale: answers that came after the kernel had given up.
        refused: requests that made no sense.
    """

    def __init__(self, path: Path = NODE, opener: Callable[[str, int], int] = os.open) -> None:
        self.stale = self.refused = 0
        self._path = path
        self._opener = opener
        self._players: dict[tuple[int, int], Player] = {}
        self._descriptor: int | None = None
        self._poller: Poller | None = None

    def join(self, kind: int, number: int, player: Player, poller: Poller) -> None:
        """Answer a bus from now on. Raises OSError if the node can't be opened, ValueError if the bus has a player."""
        if (kind, number) in self._players:
            raise ValueError(f"{self._path}: bus {number} of kind {kind} is played already")
        if self._descriptor is None:
            self._descriptor = self._opener(str(self._path), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self._poller = poller
            poller.add(self._descriptor, self.answer)
        self._players[kind, number] = player

    def leave(self, kind: int, number: int) -> None:
        """Answer a bus no more."""
        self._players.pop((kind, number), None)
        descriptor = self._descriptor
        if not self._players and descriptor is not None:
            self._descriptor = None
            if self._poller is not None:
                self._poller.remove(descriptor)
            os.close(descriptor)

    def answer(self) -> None:
        """Answer the transfer that waits."""
        if self._descriptor is None:
            return
        try:
            request = os.read(self._descriptor, LONGEST)
        except BlockingIOError:
            return
        if len(request) < _REQUEST.size:
            self.refused += 1
            return
        number, kind, bus, count, _ = _REQUEST.unpack_from(request)
        result, data = self._transfer(kind, bus, count, request)
        try:
            os.write(self._descriptor, _ANSWER.pack(number, result) + data)
        except OSError as error:
            if error.errno != errno.ESTALE:
                raise
            self.stale += 1

    def _transfer(self, kind: int, bus: int, count: int, request: bytes) -> tuple[int, bytes]:
        player = self._players.get((kind, bus))
        if player is None:
            return -errno.ENXIO, b""
        try:
            return 0, player.transfer(read_segments(kind, count, request))
        except DeviceError as error:
            return -NUMBERS.get(error.cause, errno.EIO), b""
        except ValueError:
            self.refused += 1
            return -errno.EPROTO, b""


_nodes: WeakValueDictionary[Path, BusimNode] = WeakValueDictionary()


def shared_node(path: Path = NODE) -> BusimNode:
    """The one node of a path in this process."""
    node = _nodes.get(path)
    if node is None:
        node = _nodes[path] = BusimNode(path)
    return node


class BusimSide:
    """One I2C or SPI bus behind ``/dev/i2c-N`` or ``/dev/spidevB``; a ``Side``.

    Args:
        name: of the bus in the board description.
        kind: ``i2c`` or ``spi``.
        twin: the bus with its chips.
        number: of the bus among the module's of that kind, from 0.
        endpoint: what the board description says; ``None``: its own entry.
        node: the module's node.

    Attributes:
        served: transfers that were done.
        failed: transfers that the twin refused.
    """

    def __init__(
        self, name: str, kind: str, twin: Any, number: int, endpoint: str | None, node: BusimNode
    ) -> None:
        if kind not in ("i2c", "spi"):
            raise ValueError(f"{name} is {kind}; busim plays i2c and spi")
        self.name = name
        self.endpoint = endpoint
        self.served = self.failed = 0
        self._kind = I2C if kind == "i2c" else SPI
        self._twin = twin
        self._number = number
        self._node = node
        self._settings: dict[int, tuple[int, int]] = {}
        self._joined = False

    # -- Side

    def start(self, poller: Poller) -> None:
        """See Side."""
        self._node.join(self._kind, self._number, self, poller)
        self._joined = True

    def step(self, now_ns: int) -> None:
        """See Side: chips behind these buses speak only when asked."""

    def counts(self) -> dict[str, int]:
        """See Side."""
        return {"served": self.served, "failed": self.failed, "stale": self._node.stale, "refused": self._node.refused}

    def close(self) -> None:
        """See Side."""
        if self._joined:
            self._joined = False
            self._node.leave(self._kind, self._number)

    # -- Player

    def transfer(self, segments: list[Segment]) -> bytes:
        """See Player."""
        try:
            answer = self._i2c(segments) if self._kind == I2C else self._spi(segments)
        except DeviceError:
            self.failed += 1
            raise
        self.served += 1
        return answer

    def _i2c(self, segments: list[Segment]) -> bytes:
        """Runs of write and read at one address are one combined transfer, so that no twin sees them apart."""
        answer, index = b"", 0
        while index < len(segments):
            here = segments[index]
            after = segments[index + 1] if index + 1 < len(segments) else None
            if here.flags & _READ:
                answer += self._twin.read(here.place, here.length)
            elif after is not None and after.flags & _READ and after.place == here.place:
                answer += self._twin.write_read(here.place, here.data, after.length)
                index += 1
            else:
                self._twin.write(here.place, here.data)
            index += 1
        return answer

    def _spi(self, segments: list[Segment]) -> bytes:
        answer = b""
        for part in segments:
            settings = (part.mode & MODES, part.hz)
            if self._settings.get(part.place) != settings:
                self._twin.configure(part.place, *settings)
                self._settings[part.place] = settings
            received = self._twin.transfer(part.place, part.data if part.flags & _HAS_DATA else bytes(part.length))
            answer += received if part.flags & _WANTS_ANSWER else b""
        return answer
