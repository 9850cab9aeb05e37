"""Plays an I2C, SPI or GPIO bus on a local socket: one owner at a time, every request answered or refused by name.

One packet asks for one transfer of the twin and gets one packet back (drivers/bus/remote_frames.py). What can't be read
is refused and counted; an owner who goes away in the middle of anything leaves the bus free for the next.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from drivers.bus.remote_end import SCHEME
from drivers.bus.remote_frames import (
    KINDS,
    LARGEST,
    SPI_SETTINGS,
    VERSION,
    Operation,
    Request,
    number_of,
    pack_answer,
    pack_refusal,
    read_request,
)
from drivers.errors import Cause, DeviceError
from hil.serve.side import Poller

__all__ = ["LONGEST_PATH", "SocketSide"]

LONGEST_PATH = 107
"""Bytes of a Unix socket's name (struct sockaddr_un, linux/un.h)."""
REFUSALS_KEPT_OPEN = 16
"""Bad requests in a row after which an owner is put out."""
WAITING = 4
_MODE = 0o660


class _Refusal(Exception):
    """A request that makes no sense on this bus."""


class SocketSide:
    """One bus on a socket; a ``Side``.

    Args:
        name: of the bus in the board description.
        kind: ``i2c``, ``spi`` or ``gpio``.
        twin: the bus with its chips.
        path: where the socket is made.
        patience_ms: how long a program may wait for an answer; told in ``endpoint``.
        on_contact: called when an owner has said hello.

    Attributes:
        served: requests that were done.
        failed: requests that the twin refused with a cause.
        refused: packets that were no request, or none of this kind of bus.
        owners: programs that had the bus, one after another.
        turned_away: programs that wanted it while it had an owner.
    """

    def __init__(
        self, name: str, kind: str, twin: Any, path: Path, patience_ms: int, on_contact: Callable[[], None]
    ) -> None:
        if len(os.fsencode(path)) > LONGEST_PATH:
            raise ValueError(f"{path} is too long for a socket ({LONGEST_PATH} bytes); choose a shorter folder")
        self.name = name
        self.endpoint: str | None = f"{SCHEME}{path}?patience_ms={patience_ms}"
        self.served = self.failed = self.refused = self.owners = self.turned_away = 0
        self._kind = kind
        self._path = path
        self._on_contact = on_contact
        self._twin = twin
        self._do = {"i2c": self._i2c, "spi": self._spi, "gpio": self._gpio}[kind]
        self._listener: socket.socket | None = None
        self._owner: socket.socket | None = None
        self._visitors: list[socket.socket] = []
        self._known = False
        self._bad = 0
        self._poller: Poller | None = None

    # -- Side

    def start(self, poller: Poller) -> None:
        """See Side. A socket that a rig left behind is replaced; one that is in use, or anything else, is not."""
        if self._path.is_socket():
            if not _deaf(self._path):
                raise FileExistsError(errno.EEXIST, "another rig serves there", str(self._path))
            self._path.unlink()
        elif os.path.lexists(self._path):
            raise FileExistsError(errno.EEXIST, "not a socket; choose another path or remove it", str(self._path))
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener = listener
        listener.bind(str(self._path))
        self._path.chmod(_MODE)
        listener.listen(WAITING)
        listener.setblocking(False)
        self._poller = poller
        poller.add(listener.fileno(), self._accept)

    def step(self, now_ns: int) -> None:
        """See Side: chips behind these buses speak only when asked."""

    def counts(self) -> dict[str, int]:
        """See Side."""
        return {
            "served": self.served, "failed": self.failed, "refused": self.refused, "owners": self.owners,
            "turned away": self.turned_away,
        }

    def close(self) -> None:
        """See Side."""
        self._drop()
        for visitor in tuple(self._visitors):
            self._turn_away(visitor)
        listener, self._listener = self._listener, None
        if listener is not None:
            if self._poller is not None:
                self._poller.remove(listener.fileno())
            listener.close()
            self._path.unlink(missing_ok=True)

    # -- the owner

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # it has gone already
        connection.setblocking(False)
        self._hear()  # an owner that ended has left its last word in the socket
        if self._owner is not None:
            self.turned_away += 1
            self._receive_visitor(connection)
            return
        self._owner, self._known, self._bad = connection, False, 0
        if self._poller is not None:
            self._poller.add(connection.fileno(), self._hear)

    def _hear(self) -> None:
        owner = self._owner
        if owner is None:
            return
        try:
            packet = owner.recv(LARGEST + 1)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            self._drop()
            return
        answer = self._answer(packet)
        try:
            owner.send(answer)
        except OSError:
            # Gone, or so many answers unread that it can't be waiting for this one.
            self._drop()
            return
        if self._bad >= REFUSALS_KEPT_OPEN:
            self._drop()

    def _receive_visitor(self, connection: socket.socket) -> None:
        """Somebody who comes while there is an owner: told so once they have said something, and shown out.

        Not before: closing a socket that holds unread bytes takes the answer away from the other end.
        """
        if len(self._visitors) == WAITING or self._poller is None:
            connection.close()
            return
        self._visitors.append(connection)
        self._poller.add(connection.fileno(), lambda: self._turn_away(connection))

    def _turn_away(self, connection: socket.socket) -> None:
        if connection not in self._visitors:
            return
        self._visitors.remove(connection)
        with suppress(OSError):
            connection.send(pack_refusal(number_of(connection.recv(LARGEST)), None, "the bus has another owner"))
        if self._poller is not None:
            self._poller.remove(connection.fileno())
        connection.close()

    def _drop(self) -> None:
        owner, self._owner = self._owner, None
        if owner is not None:
            if self._poller is not None:
                self._poller.remove(owner.fileno())
            owner.close()

    # -- requests

    def _answer(self, packet: bytes) -> bytes:
        request = read_request(packet)
        if isinstance(request, str):
            return self._refuse(number_of(packet), request)
        try:
            if not self._known:
                data = self._hello(request)
            elif request.operation is Operation.REOPEN:
                data = self._reopen()
            else:
                data = self._do(request)
        except _Refusal as refusal:
            return self._refuse(request.number, str(refusal))
        except DeviceError as error:
            self.failed += 1
            self._bad = 0
            return pack_refusal(request.number, error.cause, error.detail)
        self.served += 1
        self._bad = 0
        return pack_answer(request.number, data)

    def _refuse(self, number: int, why: str) -> bytes:
        self.refused += 1
        self._bad += 1
        return pack_refusal(number, Cause.PROTOCOL, why)

    def _hello(self, request: Request) -> bytes:
        if request.operation is not Operation.HELLO or request.data != VERSION:
            raise _Refusal(f"say hello first, as {VERSION.decode()}")
        if request.place != KINDS[self._kind]:
            raise _Refusal(f"{self.name} is {self._kind}")
        self._known = True
        self.owners += 1
        self._on_contact()
        return VERSION

    def _reopen(self) -> bytes:
        reopen = getattr(self._twin, "reopen", None)
        if reopen is not None:
            reopen()
        return b""

    def _i2c(self, request: Request) -> bytes:
        _, operation, address, count, data = request
        twin = self._twin
        if operation is Operation.WRITE_READ:
            answer: bytes = twin.write_read(address, data, count)
        elif operation is Operation.WRITE:
            twin.write(address, data)
            answer = b""
        elif operation is Operation.READ:
            answer = twin.read(address, count)
        elif operation is Operation.CLEAR:
            twin.clear_bus()
            answer = b""
        else:
            raise self._no_such(operation)
        return answer

    def _spi(self, request: Request) -> bytes:
        _, operation, select, count, data = request
        if operation is Operation.TRANSFER:
            if len(data) != count:
                raise _Refusal(f"{len(data)} bytes to send, {count} to read; a transfer has as many of both")
            answer: bytes = self._twin.transfer(select, data)
            return answer
        if operation is not Operation.CONFIGURE:
            raise self._no_such(operation)
        if len(data) != SPI_SETTINGS.size:
            raise _Refusal(f"settings have {SPI_SETTINGS.size} bytes: mode and clock")
        mode, hz = SPI_SETTINGS.unpack(data)
        self._twin.configure(select, mode, hz)
        return b""

    def _gpio(self, request: Request) -> bytes:
        _, operation, level, _, data = request
        try:
            line = data.decode("utf-8")
        except UnicodeDecodeError:
            raise _Refusal("a line's name is text") from None
        if operation is Operation.GET:
            return bytes((bool(self._twin.get(line)),))
        if operation is not Operation.SET or level > 1:
            raise self._no_such(operation)
        self._twin.set(line, bool(level))
        return b""

    def _no_such(self, operation: Operation) -> _Refusal:
        return _Refusal(f"{self._kind} has no operation {operation.name}")


def _deaf(path: Path) -> bool:
    """Whether nobody listens behind a socket that is there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except BlockingIOError:
            return False  # so many wait that it can't be deaf
        except OSError:
            return True
    return False
