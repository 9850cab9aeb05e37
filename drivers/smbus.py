"""SMBus transactions over a raw I2C segment: words whole, packet error code right, or a named refusal.

Formats: System Management Bus specification 3.1, section 6.5 (read and write byte, word, block; send byte; words least
significant byte first) and section 6.4 (packet error code: CRC-8, polynomial 07h, initial value 0, over every byte of
the message with its addresses: address+W, command, address+R after the repeated START, data).

A read whose packet error code is wrong may be repeated, at most twice, each time in a resume of its own; a write never
is, because a part may have acted on it. A block is read in one transaction of the longest length that the part may
send, its byte count first: the I2C segment wants to know the length beforehand, and after the last byte a part leaves
the line high.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from drivers.bus.protocol import I2cBus
from drivers.device import ConfiguredDevice, whole
from drivers.errors import Cause, DeviceError

__all__ = ["BLOCK_LIMIT", "READ_RETRIES", "SmbusDevice", "crc8"]

READ_RETRIES = 2
"""How often a read is repeated for a wrong packet error code."""

BLOCK_LIMIT = 32
"""Most bytes of a block (SMBus 2.0, which the parts here speak; 3.0 allows 255)."""


def _step(value: int) -> int:
    for _ in range(8):
        value = value << 1 ^ 0x107 if value & 0x80 else value << 1
    return value


_TABLE = bytes(_step(value) for value in range(256))


def crc8(data: bytes, start: int = 0) -> int:
    """CRC-8/SMBUS of ``data``, continued from ``start``; F4h over ``b"123456789"``, 0 over a message and its code."""
    table = _TABLE
    for byte in data:
        start = table[start ^ byte]
    return start


class SmbusDevice(ConfiguredDevice):
    """A part that speaks SMBus or PMBus. Methods that yield may repeat a read; all others are one transaction.

    Args:
        bus: the segment, or a multiplexer's channel.
        address: 7-bit address.
        pec: whether every message carries a packet error code. A part that doesn't know it must not be asked for it.
        scrub_every: samples between two looks at the configuration; 0 for never.
    """

    def __init__(self, bus: I2cBus, address: int, pec: bool, scrub_every: int = 0) -> None:
        super().__init__(bus, address, scrub_every)
        self.pec_retries = 0
        """Reads repeated because of their packet error code."""
        self._pec = pec
        to, back = bytes((address << 1,)), bytes((address << 1 | 1,))
        self._write_heads = tuple(crc8(to + bytes((command,))) for command in range(256)) if pec else ()
        self._read_heads = tuple(crc8(to + bytes((command,)) + back) for command in range(256)) if pec else ()

    def _read(self, register: int, count: int) -> bytes:
        """``count`` bytes of a command: one transaction. Raises CHECKSUM for a wrong packet error code."""
        if not self._pec:
            return whole(self._bus.write_read(self._address, bytes((register,)), count), count, self.place)
        data = whole(self._bus.write_read(self._address, bytes((register,)), count + 1), count + 1, self.place)
        if crc8(data, self._read_heads[register]):
            raise self._wrong_code(register, data)
        return data[:-1]

    def _write(self, register: int, data: bytes) -> None:
        """Write byte, word, or any other bytes after a command (none: send byte): one transaction, never repeated."""
        message = bytes((register,)) + data
        if self._pec:
            message += bytes((crc8(data, self._write_heads[register]),))
        self._bus.write(self._address, message)

    def _send(self, command: int) -> None:
        """Send byte: a command without data. One transaction."""
        self._write(command, b"")

    def _fetch(self, command: int, count: int) -> Generator[None, None, bytes]:
        """As ``_read``, repeated for a wrong packet error code."""
        return self._repeated(self._read, command, count)

    def _fetch_byte(self, command: int) -> Generator[None, None, int]:
        """Read byte."""
        return (yield from self._fetch(command, 1))[0]

    def _fetch_word(self, command: int) -> Generator[None, None, int]:
        """Read word, unsigned."""
        data = yield from self._fetch(command, 2)
        return data[0] | data[1] << 8

    def _fetch_block(self, command: int, longest: int = BLOCK_LIMIT) -> Generator[None, None, bytes]:
        """Block read: the bytes after the byte count. Raises PROTOCOL for a count of 0 or above ``longest``."""
        return self._repeated(self._read_block, command, longest)

    def _repeated(self, read: Callable[[int, int], bytes], command: int, count: int) -> Generator[None, None, bytes]:
        retries = READ_RETRIES
        while True:
            try:
                return read(command, count)
            except DeviceError as error:
                if error.cause is not Cause.CHECKSUM or not retries:
                    raise
            retries -= 1
            self.pec_retries += 1
            yield

    def _read_block(self, command: int, longest: int) -> bytes:
        length = longest + 2 if self._pec else longest + 1
        data = whole(self._bus.write_read(self._address, bytes((command,)), length), length, self.place)
        count = data[0]
        if not 1 <= count <= longest:
            raise self.place.error(Cause.PROTOCOL, f"block {command:02x}h of {count} bytes instead of 1 to {longest}")
        if self._pec and crc8(data[: count + 2], self._read_heads[command]):
            raise self._wrong_code(command, data[: count + 2])
        return data[1 : count + 1]

    def _wrong_code(self, command: int, data: bytes) -> DeviceError:
        return self.place.error(Cause.CHECKSUM, f"packet error code of {command:02x}h is wrong in {data.hex()}h")
