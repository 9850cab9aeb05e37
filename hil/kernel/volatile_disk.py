"""``python -m hil.kernel.volatile_disk IMAGE SOCKET SEED``: a network disk whose write cache forgets at a power cut.

What a guest writes stays in memory until it asks for a flush (or writes with FUA). SIGUSR1 is the power cut: of the
sectors never flushed a random half reaches the medium, in no order, so that a longer write may be torn; the rest is
lost, and the server ends. The same seed and the same writes leave the same medium.

Protocol: NBD, fixed newstyle handshake and simple replies (the NBD project's doc/proto.md).
"""

from __future__ import annotations

import os
import random
import signal
import socket
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

__all__ = ["SECTOR", "VolatileDisk", "main", "serve"]

SECTOR = 512
_REQUEST = struct.Struct(">IHHQQI")
_OPTION = struct.Struct(">8sII")
_REPLY_MAGIC, _OPTION_MAGIC = 0x67446698, 0x3E889045565A9
_ACKNOWLEDGE, _INFO, _UNKNOWN = 1, 3, 0x80000001
_EXPORT_NAME, _ABORT, _GO_INFO, _GO = 1, 2, 6, 7
_READ, _WRITE, _DISCONNECT, _FLUSH = 0, 1, 2, 3
_FORCE = 1
_INVALID = 22
_FLAGS = 0x1 | 0x4 | 0x8
"""Flags are there, FLUSH and FUA are understood."""


class VolatileDisk:
    """A file behind a write cache.

    Args:
        descriptor: of the file, for reading and writing.
        seed: of what survives a cut.
    """

    def __init__(self, descriptor: int, seed: int) -> None:
        self.size = os.fstat(descriptor).st_size
        self._file = descriptor
        self._cache: dict[int, bytes] = {}
        self._random = random.Random(seed)

    @property
    def unflushed(self) -> int:
        """Sectors that a cut may lose."""
        return len(self._cache)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes as the guest wrote them."""
        data = bytearray(os.pread(self._file, length, offset))
        for sector in range(offset // SECTOR, -(-(offset + length) // SECTOR)) if self._cache else ():
            kept = self._cache.get(sector)
            if kept is not None:
                data[sector * SECTOR - offset:(sector + 1) * SECTOR - offset] = kept
        return bytes(data)

    def write(self, offset: int, data: bytes, force: bool = False) -> None:
        """Write whole sectors; ``force``: to the medium. Raises ValueError for parts of sectors."""
        if offset % SECTOR or len(data) % SECTOR or offset + len(data) > self.size:
            raise ValueError(f"{len(data)} bytes at {offset} are no sectors of this disk")
        for start in range(0, len(data), SECTOR):
            sector = (offset + start) // SECTOR
            if force:
                self._cache.pop(sector, None)
                os.pwrite(self._file, data[start:start + SECTOR], sector * SECTOR)
            else:
                self._cache[sector] = data[start:start + SECTOR]

    def flush(self) -> None:
        """Everything to the medium."""
        for sector in sorted(self._cache):
            os.pwrite(self._file, self._cache[sector], sector * SECTOR)
        self._cache.clear()

    def cut(self) -> int:
        """The power is gone: how many sectors were lost."""
        sectors = sorted(self._cache)
        self._random.shuffle(sectors)
        kept = sectors[:len(sectors) // 2]
        for sector in kept:
            os.pwrite(self._file, self._cache[sector], sector * SECTOR)
        self._cache.clear()
        return len(sectors) - len(kept)


def serve(connection: socket.socket, disk: VolatileDisk) -> None:
    """Serve one client until it goes. Raises EOFError when it goes without a word, OSError."""
    connection.sendall(b"NBDMAGIC" + b"IHAVEOPT" + struct.pack(">H", 1))
    _receive(connection, 4)
    if not _negotiate(connection, disk.size):
        return
    while True:
        _, flags, kind, handle, offset, length = _REQUEST.unpack(_receive(connection, _REQUEST.size))
        error, data = 0, b""
        if kind == _DISCONNECT:
            return
        if kind == _READ:
            data = disk.read(offset, length)
        elif kind == _WRITE:
            try:
                disk.write(offset, _receive(connection, length), bool(flags & _FORCE))
            except ValueError:
                error = _INVALID
        elif kind == _FLUSH:
            disk.flush()
        else:
            error = _INVALID
        connection.sendall(struct.pack(">IIQ", _REPLY_MAGIC, error, handle) + data)


def _negotiate(connection: socket.socket, size: int) -> bool:
    """The handshake's options; whether transmission begins."""
    while True:
        _, option, length = _OPTION.unpack(_receive(connection, _OPTION.size))
        _receive(connection, length)
        if option == _EXPORT_NAME:
            connection.sendall(struct.pack(">QH", size, _FLAGS) + bytes(124))
            return True
        if option in (_GO_INFO, _GO):
            _reply(connection, option, _INFO, struct.pack(">HQH", 0, size, _FLAGS))
            _reply(connection, option, _ACKNOWLEDGE, b"")
            if option == _GO:
                return True
        elif option == _ABORT:
            _reply(connection, option, _ACKNOWLEDGE, b"")
            return False
        else:
            _reply(connection, option, _UNKNOWN, b"")


def _reply(connection: socket.socket, option: int, kind: int, data: bytes) -> None:
    connection.sendall(struct.pack(">QIII", _OPTION_MAGIC, option, kind, len(data)) + data)


def _receive(connection: socket.socket, length: int) -> bytes:
    data = bytearray()
    while len(data) < length:
        part = connection.recv(min(1 << 20, length - len(data)))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def main(arguments: Sequence[str]) -> int:
    """Serve until the power is cut."""
    image, path, seed = arguments
    disk = VolatileDisk(os.open(image, os.O_RDWR), int(seed))

    def cut(_number: int, _frame: FrameType | None) -> None:
        sys.stderr.write(f"unflushed {disk.unflushed}, lost {disk.cut()}\n")
        sys.stderr.flush()
        os._exit(0)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(4)
        signal.signal(signal.SIGUSR1, cut)
        sys.stdout.write(f"{Path(path).name}\n")
        sys.stdout.flush()
        while True:
            connection, _ = listener.accept()
            with connection:
                try:
                    serve(connection, disk)
                except (EOFError, OSError):
                    continue


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
