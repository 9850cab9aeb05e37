"""One end of a bus behind a local socket: every request is answered before its deadline, or is a typed error.

The other end is a rig that plays the chips in a process of its own. A device string ``unix:///run/rig/i2c_a.sock``
names it; ``?patience_ms=50`` is how long an answer may take if that is longer than the bus's time-out, because a
process that waits for a processor is no hung bus. An answer that comes later than that is dropped by its number.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from drivers.bus.counted import InUse, TransferCounters, TransferPolicy, opening_error
from drivers.bus.remote_frames import (
    CAUSES_BY_NUMBER,
    IN_USE,
    KINDS,
    LARGEST,
    VERSION,
    Operation,
    pack_request,
    read_answer,
)
from drivers.errors import Cause, DeviceError

__all__ = ["SCHEME", "Endpoint", "RemoteEnd", "endpoint_of", "is_remote"]

SCHEME = "unix://"
LONGEST_PATIENCE_MS = 1000
STALE_ANSWERS = 64
"""Late answers dropped in one wait before it is given up."""
_TIMEVAL = struct.Struct("@ll")


class Endpoint(NamedTuple):
    """Where the other end listens, and how long an answer may take, ms."""

    path: str
    patience_ms: int


def is_remote(device: str) -> bool:
    """Whether a device string of the board names a bus behind a socket."""
    return device.startswith(SCHEME)


def endpoint_of(device: str, timeout_ms: int) -> Endpoint:
    """Read a device string. Raises ValueError that says what is allowed."""
    parts = urlsplit(device)
    options = parse_qs(parts.query, strict_parsing=bool(parts.query))
    patience = options.pop("patience_ms", [str(timeout_ms)])
    wrong = parts.netloc or not parts.path.startswith("/") or options or len(patience) != 1
    if wrong or not patience[0].isdigit() or not 1 <= int(patience[0]) <= LONGEST_PATIENCE_MS:
        raise ValueError(f"{device} is no unix:///PATH[?patience_ms=1..{LONGEST_PATIENCE_MS}]")
    return Endpoint(parts.path, max(timeout_ms, int(patience[0])))


class RemoteEnd:
    """A connection to one bus.

    Args:
        name: of the bus in the board description.
        kind: ``i2c``, ``spi`` or ``gpio``.
        device: device string.
        timeout_ms: the board's time-out of the bus.
        now_ns: clock for latencies and deadline.

    Attributes:
        stale: answers that came after their deadline.
        strange: packets that were no answer.

    Raises:
        DeviceError: ABSENT when nobody listens there, PERMISSION, InUse; PROTOCOL for a wrong device string or another
            kind of bus at the other end.
    """

    def __init__(self, name: str, kind: str, device: str, timeout_ms: int, now_ns: Callable[[], int]) -> None:
        self.name = name
        self.stale = self.strange = 0
        self.policy = TransferPolicy(timeout_ms, now_ns)
        self._kind = kind
        self._now_ns = now_ns
        try:
            self.path, self._patience_ms = endpoint_of(device, timeout_ms)
        except ValueError as error:
            raise DeviceError(name, None, Cause.PROTOCOL, str(error)) from None
        self._number = 0
        self._socket: socket.socket | None = None
        self._connect()

    @property
    def counters(self) -> TransferCounters:
        """What this bus did since start."""
        return self.policy.counters

    def ask(self, operation: Operation, place: int, count: int, data: bytes, address: int | None = None) -> bytes:
        """One request and its answer; ``address`` is for the error. Raises DeviceError."""
        connection = self._socket
        if connection is None:
            raise DeviceError(self.name, address, Cause.ABSENT, f"{self.path} isn't open")
        self._number = number = (self._number + 1) & 0xFFFFFFFF
        try:
            connection.send(pack_request(number, operation, place, count, data))
            return self._answer(connection, number, address)
        except BlockingIOError:
            raise self._late(address) from None
        except OSError as error:
            self.close()
            why = f"{self.path}: {os.strerror(error.errno) if error.errno else error}"
            raise DeviceError(self.name, address, Cause.ABSENT, why) from None

    def reopen(self) -> None:
        """Connect anew, and tell the other end that its adapter was opened anew. Raises as the constructor does."""
        self.close()
        self.counters.reopens += 1
        self._connect()
        self.ask(Operation.REOPEN, 0, 0, b"")

    def close(self) -> None:
        """Give the bus back; every call is ABSENT from here on."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # The kernel's own time-outs spare a poll before every call.
            patience = _TIMEVAL.pack(self._patience_ms // 1000, self._patience_ms % 1000 * 1000)
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                connection.setsockopt(socket.SOL_SOCKET, option, patience)
            connection.connect(self.path)
        except OSError as error:
            connection.close()
            if error.errno == errno.ECONNREFUSED:
                why = f"{self.path}: nobody listens there"
                raise DeviceError(self.name, None, Cause.ABSENT, why) from None
            raise opening_error(self.name, None, self.path, error) from None
        self._socket = connection
        try:
            answer = self.ask(Operation.HELLO, KINDS[self._kind], 0, VERSION)
        except DeviceError:
            self.close()
            raise
        if answer != VERSION:
            self.close()
            raise DeviceError(self.name, None, Cause.PROTOCOL, f"{self.path}: {answer[:40]!r} answers, not {VERSION!r}")

    def _answer(self, connection: socket.socket, number: int, address: int | None) -> bytes:
        begin_ns = self._now_ns()
        for _ in range(STALE_ANSWERS):
            packet = connection.recv(LARGEST)
            if not packet:
                self.close()
                raise DeviceError(self.name, address, Cause.ABSENT, f"{self.path}: the other end has gone")
            answer = read_answer(packet)
            if answer is None:
                self.strange += 1
            elif answer.number != number:
                self.stale += 1
            elif answer.status == 0:
                return answer.data
            elif answer.status == IN_USE:
                raise InUse(self.name, address, self.path)
            else:
                text = answer.data.decode("utf-8", "replace")
                raise DeviceError(self.name, address, CAUSES_BY_NUMBER[answer.status], text)
            if self._now_ns() - begin_ns > self._patience_ms * 1_000_000:
                break
        raise self._late(address)

    def _late(self, address: int | None) -> DeviceError:
        why = f"{self.path}: no answer in {self._patience_ms} ms"
        return DeviceError(self.name, address, Cause.TIMEOUT, why)
