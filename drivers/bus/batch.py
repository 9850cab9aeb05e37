"""Takes many datagrams of a socket with one system call, into memory that is there already.

Python's ``socket`` receives one datagram a call; ``recvmmsg`` of Linux (recvmmsg(2)) takes as many as wait. Reading a
bus a few hundred times a second, each time a handful of frames, that is most of what reception costs. Where the C
library lacks it, ``available`` is False and whoever would use it reads one by one.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct

__all__ = ["DatagramBatch", "available"]

MSG_DONTWAIT = 0x40
_CONTROL = 64
_CMSG = struct.Struct("=QiiI")
"""Length, level, type and the 32 bits of a kernel's drop count (struct cmsghdr on 64-bit Linux)."""


class _Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class _Header(ctypes.Structure):
    """struct mmsghdr: a struct msghdr, and how many bytes came."""

    _fields_ = [
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint32), ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int), ("padding", ctypes.c_uint32), ("received", ctypes.c_uint32),
    ]


def _library() -> ctypes.CDLL | None:
    """The C library, if it has the call and lays its structures out as this module does."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        library.recvmmsg.argtypes = [
            ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p,
        ]
        library.recvmmsg.restype = ctypes.c_int
    except (AttributeError, OSError):
        return None
    # 56 bytes of msghdr with its padding, then the count, padded to 64: so on every 64-bit Linux.
    return library if ctypes.sizeof(_Header) == 64 and hasattr(socket, "AF_PACKET") else None


_LIBRARY = _library()


def available() -> bool:
    """Whether this computer can do it."""
    return _LIBRARY is not None


class DatagramBatch:
    """Room for ``count`` datagrams of at most ``size`` bytes; what is longer is cut to ``size``.

    Attributes:
        data: what the last ``receive`` brought; datagram n begins at n x ``size``.
        lengths: bytes of each of them.
        drops: the kernel's drop count as it came along (SO_RXQ_OVFL), ``None`` before the first.
    """

    __slots__ = (
        "_control", "_first", "_headers", "_lengths", "_memory", "_vectors", "data", "drops", "lengths", "size",
    )

    def __init__(self, size: int, count: int) -> None:
        self.size = size
        self.data = b""
        self.lengths: tuple[int, ...] = ()
        self.drops: int | None = None
        self._memory = bytearray(size * count)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._control = bytearray(_CONTROL)
        self._vectors = (_Vector * count)(*(_Vector(base + n * size, size) for n in range(count)))
        self._headers = (_Header * count)()
        step = ctypes.sizeof(_Vector)
        for n, header in enumerate(self._headers):
            header.vectors = ctypes.addressof(self._vectors) + n * step
            header.vector_count = 1
        self._first = self._headers[0]
        self._first.control = ctypes.addressof(ctypes.c_char.from_buffer(self._control))
        # Only the counts of all headers, in one go.
        self._lengths = tuple(struct.Struct("=" + "56xI4x" * n) for n in range(count + 1))

    def receive(self, descriptor: int, most: int) -> int:
        """Take at most ``most`` datagrams that wait; how many there were. Never blocks. Raises OSError."""
        if _LIBRARY is None:
            raise OSError(0, "no recvmmsg here")
        first = self._first
        first.control_length = _CONTROL
        wanted = min(most, len(self._headers))
        count: int = _LIBRARY.recvmmsg(descriptor, ctypes.addressof(self._headers), wanted, MSG_DONTWAIT, None)
        if count <= 0:
            self.lengths = ()
            code = ctypes.get_errno()
            if count < 0 and code not in (11, 4):  # EAGAIN, EINTR: nothing now
                raise OSError(code, os.strerror(code))
            return 0
        self.data = bytes(memoryview(self._memory)[: count * self.size])
        self.lengths = self._lengths[count].unpack_from(self._headers)
        if first.control_length >= _CMSG.size:
            _, level, kind, drops = _CMSG.unpack_from(self._control)
            if level == socket.SOL_SOCKET and kind == 40:  # SO_RXQ_OVFL
                self.drops = drops
        return count
