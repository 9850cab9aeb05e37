"""What SPI parts with registers share: a clock set before the first transfer, whole answers, a scrubbed table.

A register is read under one chip select: its pointer with the part's read bits, then as many bytes as are asked for,
while the part counts the pointer up; it is written as pointer with the part's write bits, then the bytes. That is what
a combined I2C transfer does too, so table, read-back and scrub are those of ``drivers/device.py``.
"""

from __future__ import annotations

from drivers.bus.protocol import SpiBus
from drivers.device import ConfiguredDevice, Place, whole
from drivers.errors import Cause

__all__ = ["READ_BIT", "SpiRegisterDevice"]

READ_BIT = 0x80


class _Selected:
    """One chip select as a bus of register transfers (the part of ``I2cBus`` that a register device uses)."""

    __slots__ = ("_bus", "_clocked", "_max_hz", "_mode", "_place", "_read_bits", "_select", "_write_bits", "name")

    def __init__(self, bus: SpiBus, select: int, mode: int, max_hz: int, read_bits: int, write_bits: int) -> None:
        self.name = bus.name
        self._bus = bus
        self._select = select
        self._mode = mode
        self._max_hz = max_hz
        self._read_bits = read_bits
        self._write_bits = write_bits
        self._place = Place(bus.name, select)
        self._clocked = False

    def transfer(self, data: bytes) -> bytes:
        if not self._clocked:
            self._bus.configure(self._select, self._mode, self._max_hz)
            self._clocked = True
        return whole(self._bus.transfer(self._select, data), len(data), self._place)

    def write(self, address: int, data: bytes) -> None:  # noqa: ARG002 - the select is the address
        self.transfer(bytes((data[0] | self._write_bits,)) + data[1:])

    def write_read(self, address: int, data: bytes, count: int) -> bytes:  # noqa: ARG002
        return self.transfer(bytes((data[0] | self._read_bits,)) + bytes(count))[1:]

    def read(self, address: int, count: int) -> bytes:  # noqa: ARG002
        raise self._place.error(Cause.PROTOCOL, "a register read names its register")


class SpiRegisterDevice(ConfiguredDevice):
    """An SPI part with an 8-bit register pointer. Every method that names a register is one bus transaction.

    Args:
        bus: the SPI controller.
        select: number of the chip select.
        mode: SPI clock mode 0..3.
        max_hz: highest clock.
        read_bits: set in the pointer of a read.
        write_bits: set in the pointer of a write.
        scrub_every: samples between two looks at the configuration, one register each; 0 for never.
    """

    def __init__(
        self, bus: SpiBus, select: int, *, mode: int, max_hz: int, read_bits: int = READ_BIT, write_bits: int = 0,
        scrub_every: int = 0,
    ) -> None:
        selected = _Selected(bus, select, mode, max_hz, read_bits, write_bits)
        super().__init__(selected, select, scrub_every)
        self._transfer = selected.transfer
        """Full duplex under one select: as many bytes come back as were sent."""
