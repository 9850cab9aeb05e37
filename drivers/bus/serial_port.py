"""One serial port: reading never blocks, writing ends with its deadline, and a port that was unplugged says so.

pyserial opens the node raw (8 data bits, no parity, one stop bit), non-blocking and locked for one owner (flock). A
port that went away is closed at once, because an adapter that comes back gets its old name only when nobody holds the
old one; from then on every call is ABSENT until ``reopen``. Give adapters by ``/dev/serial/by-id/...``: those names
stay.

What the receiver lost (UART overrun, framing, full buffers) the kernel counts, where its driver can
(TIOCGICOUNT, ``struct serial_icounter_struct`` in include/uapi/linux/serial.h); ``losses`` tells.
"""

from __future__ import annotations

import struct
import termios
from collections.abc import Callable
from dataclasses import dataclass
from fcntl import ioctl
from typing import Any, Protocol

from drivers.bus.counted import TransferCounters, TransferPolicy, load_library, opening_error
from drivers.errors import Cause, DeviceError

__all__ = ["LineLosses", "SerialHandle", "SerialPort"]

TIOCGICOUNT = 0x545D
_ICOUNT = struct.Struct("=20i")
_FRAME, _OVERRUN, _PARITY, _BREAK, _BUFFER = 6, 7, 8, 9, 10


class SerialHandle(Protocol):
    """What is used of ``serial.Serial``."""

    def fileno(self) -> int:
        """Descriptor of the node."""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes that are there."""

    def write(self, data: bytes) -> int | None:
        """All of ``data``, or an exception."""

    def close(self) -> None:
        """Close the node."""


@dataclass(frozen=True, slots=True)
class LineLosses:
    """What the kernel counted on a port since it started: events, not bytes."""

    overruns: int
    """The UART's own buffer was full."""
    buffer_overruns: int
    """The kernel's buffer was full: nobody read."""
    framing: int
    parity: int
    breaks: int


class SerialPort:
    """One serial port; a ``SerialBus``.

    Args:
        name: of the bus in the board description.
        path: node, such as ``/dev/ttyAMA2``.
        baud: bit rate; one that isn't in the standard table is asked for exactly.
        timeout_ms: deadline of a write.
        now_ns: clock for deadline and latencies.
        opener: makes the port with pyserial's arguments; ``serial.Serial`` by default.

    Raises:
        DeviceError: ABSENT, PERMISSION, InUse (a second owner), MissingLibrary; PROTOCOL for a node that is no serial
            port or can't do the rate.
    """

    def __init__(
        self, name: str, path: str, baud: int, timeout_ms: int, now_ns: Callable[[], int], *,
        opener: Callable[..., SerialHandle] | None = None,
    ) -> None:
        self.name = name
        self.path = path
        self.baud = baud
        library = load_library(name, "serial", "pyserial")
        self._opener: Callable[..., Any] = opener or library.Serial
        self._late: type[Exception] = library.SerialTimeoutException
        self._policy = TransferPolicy(timeout_ms, now_ns)
        self._timeout_s = timeout_ms / 1000.0
        self._handle: SerialHandle | None = None
        self.received_bytes = 0
        self.sent_bytes = 0
        self._open()

    @property
    def counters(self) -> TransferCounters:
        """What this port did since start: transfers are writes and reads that brought bytes, latencies of writes."""
        return self._policy.counters

    @property
    def losses(self) -> LineLosses | None:
        """What the receiver lost, or ``None`` where the kernel's driver doesn't count (a pseudo-terminal)."""
        handle = self._handle
        if handle is None:
            return None
        counts = bytearray(_ICOUNT.size)
        try:
            ioctl(handle.fileno(), TIOCGICOUNT, counts)
        except OSError:
            return None
        numbers = _ICOUNT.unpack(counts)
        return LineLosses(numbers[_OVERRUN], numbers[_BUFFER], numbers[_FRAME], numbers[_PARITY], numbers[_BREAK])

    def write(self, data: bytes) -> None:
        """See SerialBus. After TIMEOUT part of ``data`` may be on its way; never repeated."""
        self._policy.once(self._write, data)

    def read(self, limit: int) -> bytes:
        """See SerialBus."""
        handle = self._handle
        if handle is None:
            raise self._gone()
        try:
            data = handle.read(limit)
        except OSError as error:
            counters = self._policy.counters
            counters.transfers += 1
            counters.failed += 1
            counters.fail(Cause.ABSENT)
            raise self._lost(error) from None
        if data:
            self._policy.counters.transfers += 1
            self.received_bytes += len(data)
        return data

    def reopen(self) -> None:
        """Open the port again, after it was unplugged above all. Raises as the constructor does."""
        self.close()
        self._policy.counters.reopens += 1
        self._open()

    def close(self) -> None:
        """Give the port back; every call is ABSENT from here on."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def _open(self) -> None:
        try:
            self._handle = self._opener(
                port=self.path, baudrate=self.baud, timeout=0, write_timeout=self._timeout_s, exclusive=True,
            )
        except OSError as error:
            raise opening_error(self.name, None, self.path, error) from None
        except (termios.error, ValueError, OverflowError) as error:
            why = f"{self.path} can't be set to {self.baud} Bd: {error}"
            raise DeviceError(self.name, None, Cause.PROTOCOL, why) from None

    def _write(self, data: bytes) -> None:
        handle = self._handle
        if handle is None:
            raise self._gone()
        try:
            handle.write(data)
        except self._late:
            why = f"{len(data)} bytes were not taken in {self._timeout_s * 1000.0:.0f} ms"
            raise DeviceError(self.name, None, Cause.TIMEOUT, why) from None
        except OSError as error:
            raise self._lost(error) from None
        self.sent_bytes += len(data)

    def _lost(self, error: OSError) -> DeviceError:
        """Close a port that fails: it went away."""
        self.close()
        return DeviceError(self.name, None, Cause.ABSENT, f"{self.path} has gone: {error}")

    def _gone(self) -> DeviceError:
        return DeviceError(self.name, None, Cause.ABSENT, f"{self.path} isn't open")
