"""A pseudo-terminal as a serial line: a program on the same machine opens its name as it would a serial port."""

from __future__ import annotations

import os
import tty

from drivers.bus.counted import opening_error
from drivers.errors import Cause, DeviceError

__all__ = ["PtyPort"]

HELD_BYTES = 4096
"""Bytes that wait here when the terminal is full; more are refused."""
_READ_BYTES = 4096


class PtyPort:
    """One end of a pseudo-terminal; a ``SerialBus`` (drivers.bus.protocol).

    The other end stays open here too, so that a program may come and go without the line breaking. What was written
    while nobody read waits in the terminal, up to its size; beyond that a write is refused.

    Args:
        name: for people and events.

    Attributes:
        path: what the other program opens, such as ``/dev/pts/3``.

    Raises:
        DeviceError: the system has no pseudo-terminal left.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._held = b""
        try:
            self._own, self._other = os.openpty()
        except OSError as error:
            raise opening_error(name, None, "a pseudo-terminal", error) from None
        tty.setraw(self._other)
        os.set_blocking(self._own, False)
        self.path = os.ttyname(self._other)

    def write(self, data: bytes) -> None:
        """See SerialBus: all of ``data`` or nothing; TIMEOUT when the terminal is full because nobody reads."""
        self._flush()
        if len(self._held) + len(data) > HELD_BYTES:
            raise DeviceError(self.name, None, Cause.TIMEOUT, f"nobody reads {self.path}")
        self._held += data
        self._flush()

    def read(self, limit: int) -> bytes:
        """See SerialBus."""
        if self._own < 0:
            raise DeviceError(self.name, None, Cause.ABSENT, f"{self.path} was closed")
        self._flush()
        try:
            return os.read(self._own, min(limit, _READ_BYTES))
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DeviceError(self.name, None, Cause.PROTOCOL, f"{self.path}: {error.strerror}") from None

    def fileno(self) -> int:
        """Descriptor that is readable when something has come."""
        return self._own

    def close(self) -> None:
        """Close both ends."""
        own, self._own = self._own, -1
        if own >= 0:
            os.close(own)
            os.close(self._other)

    def _flush(self) -> None:
        if self._own < 0:
            raise DeviceError(self.name, None, Cause.ABSENT, f"{self.path} was closed")
        while self._held:
            try:
                taken = os.write(self._own, self._held)
            except BlockingIOError:
                return
            except OSError as error:
                raise DeviceError(self.name, None, Cause.PROTOCOL, f"{self.path}: {error.strerror}") from None
            self._held = self._held[taken:]
