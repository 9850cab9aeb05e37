"""Twin of a serial port: bytes arrive in order and wait in a bounded buffer, which counts what it had to drop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np

from drivers.errors import Cause, DeviceError
from hil.faults import ActiveFault, Fault, FaultKind, FaultSet

__all__ = ["SerialChip", "SimSerialBus"]

_KINDS = frozenset({
    FaultKind.TIMEOUT, FaultKind.SILENCE, FaultKind.SHORT_READ, FaultKind.BIT_FLIP, FaultKind.FROZEN,
    FaultKind.ALL_ONES, FaultKind.ALL_ZEROS, FaultKind.ABSENT,
})
_OF_THE_PORT = (FaultKind.TIMEOUT, FaultKind.ABSENT)
BUFFER_BYTES = 4096
"""Receive buffer of a Linux tty in non-canonical mode (N_TTY_BUF_SIZE, drivers/tty/n_tty.c)."""


class SerialChip(Protocol):
    """A device at the other end of the line."""

    def connect(self, send: Callable[[bytes], None]) -> None:
        """Take the function that puts bytes on the line towards the flight computer."""

    def receive(self, data: bytes) -> None:
        """Bytes from the flight computer."""


class SimSerialBus:
    """One serial port with at most one device. Implements drivers.bus.protocol.SerialBus.

    Faults that touch bytes hit what the device sends, one call of its ``send`` at a time: SILENCE loses it,
    SHORT_READ loses its end from ``byte`` on (from the middle by default), FROZEN repeats the first thing sent since,
    the others change bytes. TIMEOUT hits ``write``; ABSENT hits ``write`` and ``read`` as an unplugged adapter does.
    """

    def __init__(self, name: str, rng: np.random.Generator | None = None, buffer_bytes: int = BUFFER_BYTES) -> None:
        """A port with nothing on it; ``rng`` is needed only for faults left to chance."""
        self.name = name
        self.dropped = 0
        """Bytes lost because the buffer was full."""
        self._limit = buffer_bytes
        self._buffer = bytearray()
        self._chip: SerialChip | None = None
        self._faults = FaultSet(name, _KINDS, rng)
        self._active = self._faults.active

    def attach(self, chip: SerialChip) -> None:
        """Connect the device. Raises ValueError when there is one already."""
        if self._chip is not None:
            raise ValueError(f"{self.name}: a device is already connected")
        self._chip = chip
        chip.connect(self.feed)

    def inject(self, fault: Fault) -> ActiveFault:
        """Start a fault and return its handle. Raises ValueError for a kind that has no meaning on a serial line."""
        return self._faults.inject(fault)

    def clear(self, handle: ActiveFault | None = None) -> None:
        """End one fault, or all of this port."""
        self._faults.clear(handle)

    def feed(self, data: bytes) -> None:
        """Put bytes on the line towards the flight computer."""
        if self._active:
            data = self._on_the_line(data)
        room = self._limit - len(self._buffer)
        if len(data) > room:
            self.dropped += len(data) - room
            data = data[:room]
        self._buffer += data

    def write(self, data: bytes) -> None:
        """See drivers.bus.protocol.SerialBus. What is written to nobody is lost."""
        if self._active:
            self._check(_OF_THE_PORT)
        if self._chip is not None:
            self._chip.receive(data)

    def read(self, limit: int) -> bytes:
        """See drivers.bus.protocol.SerialBus."""
        if self._active:
            self._check((FaultKind.ABSENT,))
        buffer = self._buffer
        if not buffer:
            return b""
        data = bytes(buffer[:limit])
        del buffer[:limit]
        return data

    def _check(self, kinds: tuple[FaultKind, ...]) -> None:
        for handle in tuple(self._active):
            kind = handle.fault.kind
            if kind in kinds and self._faults.strike(handle):
                cause = Cause.ABSENT if kind is FaultKind.ABSENT else Cause.TIMEOUT
                raise DeviceError(self.name, None, cause, "injected")

    def _on_the_line(self, data: bytes) -> bytes:
        for handle in tuple(self._active):
            fault = handle.fault
            if fault.kind in _OF_THE_PORT:
                if fault.kind is FaultKind.ABSENT:
                    return b""
                continue
            if not self._faults.strike(handle):
                continue
            if fault.kind is FaultKind.SILENCE:
                return b""
            if fault.kind is FaultKind.SHORT_READ:
                data = data[: len(data) // 2 if fault.byte is None else fault.byte]
            else:
                data = self._faults.corrupt([handle], data, ())
        return data
