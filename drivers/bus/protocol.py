"""What a bus is to a driver. Real transports and simulated twins implement these and nothing else.

Every call is one transfer with a deadline that belongs to the bus (its board description gives the time-out);
it returns whole data or raises :class:`drivers.errors.DeviceError`. No call ever returns fewer bytes than were
asked for. Nothing here blocks longer than the bus's time-out; CAN and serial reception never block.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

__all__ = ["CanBus", "CanFrame", "ClearableBus", "GpioBus", "I2cBus", "ReopenableBus", "SerialBus", "SpiBus"]


@runtime_checkable
class I2cBus(Protocol):
    """One I2C segment. Addresses are 7-bit, 0x08..0x77."""

    name: str

    def write(self, address: int, data: bytes) -> None:
        """START, address+W, all of ``data``, STOP. Raises NACK_ADDRESS, NACK_DATA, TIMEOUT, STUCK_BUS, ARBITRATION."""

    def read(self, address: int, count: int) -> bytes:
        """START, address+R, exactly ``count`` bytes, STOP. Raises as ``write``, and SHORT_READ."""

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """Combined transfer: write ``data``, repeated START, read exactly ``count`` bytes, STOP."""


@runtime_checkable
class SpiBus(Protocol):
    """One SPI controller with numbered chip selects."""

    name: str

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        """Set clock mode 0..3 and the highest clock for one chip select. Called once, before the first transfer."""

    def transfer(self, select: int, data: bytes) -> bytes:
        """Full duplex under one chip select; returns as many bytes as were sent. Raises TIMEOUT, SHORT_READ."""


class CanFrame(NamedTuple):
    """A classic CAN data frame. ``can_id`` is 11-bit unless ``extended``; at most 8 data bytes."""

    can_id: int
    data: bytes
    extended: bool = False


@runtime_checkable
class CanBus(Protocol):
    """One CAN controller."""

    name: str

    def send(self, frame: CanFrame) -> None:
        """Queue one frame. Raises BUS_OFF, or TIMEOUT when the transmit queue is full."""

    def receive(self) -> CanFrame | None:
        """Oldest frame received, or ``None``. Never blocks. Raises BUS_OFF."""


@runtime_checkable
class SerialBus(Protocol):
    """One serial port."""

    name: str

    def write(self, data: bytes) -> None:
        """Queue all of ``data``. Raises TIMEOUT when the port does not take it."""

    def read(self, limit: int) -> bytes:
        """Up to ``limit`` bytes that have arrived, possibly none. Never blocks. Raises ABSENT if unplugged."""


@runtime_checkable
class GpioBus(Protocol):
    """Named digital lines of one GPIO chip."""

    name: str

    def set(self, line: str, level: bool) -> None:
        """Drive an output line. Raises ABSENT for a line the board does not have."""

    def get(self, line: str) -> bool:
        """Level of a line, input or output. Raises as ``set``."""


@runtime_checkable
class ClearableBus(Protocol):
    """An I2C segment whose lines can be clocked by hand."""

    def clear_bus(self) -> None:
        """Nine clocks and a STOP (UM10204, 3.1.16). Raises STUCK_BUS if SDA stays low, PROTOCOL if it can't."""


@runtime_checkable
class ReopenableBus(Protocol):
    """A bus whose adapter can be closed and opened anew."""

    def reopen(self) -> None:
        """Close and open. Raises ABSENT, PERMISSION as opening does."""
