"""Target's side of SMBus for simulated chips: commands by table, packet error code checked and made, refusals told.

Facts: System Management Bus specification 2.0, sections 5.4 (packet error checking: CRC-8 with polynomial x^8 + x^2 +
x + 1, start 0, over every byte of the transfer including both address bytes) and 5.5 (send byte, read and write byte,
word and block); PMBus Power System Management Protocol part II, revision 1.2, section 7.1 (direct format).

A chip behind ``hil.bus.i2c`` hears the bytes of a write and is asked for a count of bytes, not for START and STOP. A
packet error code is therefore told by length: a write one byte longer than its command takes, or a read of one byte
more than the command gives, carries one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, unique

__all__ = ["Command", "Refusal", "SmbusTarget", "block", "crc8", "direct"]


def _table() -> tuple[int, ...]:
    entries = []
    for value in range(256):
        crc = value
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
        entries.append(crc)
    return tuple(entries)


_CRC8 = _table()
_REFUSED = -1
"""Stands for a command that was refused already; a read that follows it is not refused a second time."""


def crc8(data: Iterable[int], start: int = 0) -> int:
    """CRC-8 of SMBus: polynomial 07h, most significant bit first, no reflection, no final inversion."""
    for byte in data:
        start = _CRC8[start ^ byte]
    return start


def block(data: bytes) -> bytes:
    """A block as it crosses the bus: its length, then its bytes. Raises ValueError above 255 bytes."""
    return bytes((len(data),)) + data


def direct(value: float, m: float, b: float, r: int) -> float:
    """A value in PMBus direct format, not yet rounded: (m x value + b) x 10^r (part II, 7.4.1)."""
    scaled = m * value + b
    return scaled * 10.0**r if r >= 0 else scaled / 10.0**-r


@unique
class Refusal(Enum):
    """Why a transfer was not carried out."""

    UNSUPPORTED_COMMAND = "unsupported command"
    PACKET_ERROR = "packet error code does not match"
    TOO_FEW_BYTES = "too few bytes written"
    TOO_MANY_BYTES = "too many bytes written"
    READ_PAST_END = "more bytes read than the command has"
    READ_WITHOUT_COMMAND = "read without a command"
    INVALID_DATA = "value not allowed"
    READ_ONLY = "written, but read-only"
    WRITE_ONLY = "read, but write-only"


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        size: data bytes it takes when written: 0 for a send-byte command, ``None`` for a block of any length.
        read: gives the data bytes, a block with its length in front; ``None`` where it cannot be read.
        write: takes the data bytes, a block without its length; returns False to refuse their value; ``None`` where
            it cannot be written.
    """

    size: int | None
    read: Callable[[], bytes] | None = None
    write: Callable[[bytes], bool] | None = None


class SmbusTarget:
    """What every SMBus chip does with the bytes on the wire. A chip fills ``_commands`` and overrides :meth:`_refuse`.

    Attributes:
        address: 7-bit address; it is part of every packet error code.
        wrong_pecs: how many of the next answers carry a wrong packet error code; -1 for all. Counts down.
        pec_errors: writes whose packet error code did not match.
        pec_reads: answers that were read with their packet error code.
        refused: why the last transfer that was not carried out was not; ``None`` if there was none.
    """

    def __init__(self, address: int, *, pec: bool) -> None:
        """A target that understands packet error codes if ``pec`` is set. ValueError for a reserved address."""
        if not 0x08 <= address <= 0x77:
            raise ValueError(f"0x{address:02x} is reserved; 0x08..0x77 is allowed")
        self.address = address
        self.wrong_pecs = 0
        self.pec_errors = 0
        self.pec_reads = 0
        self.refused: Refusal | None = None
        self._pec = pec
        self._commands: dict[int, Command] = {}
        self._pending: int | None = None
        self._writing = address << 1
        self._reading = address << 1 | 1

    def write(self, data: bytes) -> bool:
        """A command, its data and perhaps a packet error code. False when the chip does not acknowledge a byte."""
        if not data:
            return True
        code = data[0]
        command = self._lookup(code)
        if command is None:
            self._pending = _REFUSED
            return self._refuse(Refusal.UNSUPPORTED_COMMAND)
        if len(data) == 1 and command.size != 0:
            self._pending = code
            return True
        self._pending = None
        return self._take(command, data)

    def read(self, count: int) -> bytes:
        """Data of the command written last, its packet error code if one more byte is asked for, ones after that."""
        code, self._pending = self._pending, None
        if code is None:
            self._refuse(Refusal.READ_WITHOUT_COMMAND)
        if code is None or code == _REFUSED:
            return b"\xff" * count
        command = self._lookup(code)
        if command is None or command.read is None:
            self._refuse(Refusal.WRITE_ONLY)
            return b"\xff" * count
        answer = command.read()
        if count <= len(answer):
            return answer[:count]
        if self._pec:
            self.pec_reads += 1
            answer += bytes((self._answer_pec(code, answer),))
        if count > len(answer):
            self._refuse(Refusal.READ_PAST_END)
            answer = answer.ljust(count, b"\xff")
        return answer

    def _lookup(self, code: int) -> Command | None:
        """The command of a code; a chip with pages overrides this."""
        return self._commands.get(code)

    def _refuse(self, why: Refusal) -> bool:
        """Note a refusal; returns whether the chip acknowledges all the same. A chip extends this."""
        self.refused = why
        return False

    def _answer_pec(self, code: int, answer: bytes) -> int:
        pec = crc8(answer, crc8((self._writing, code, self._reading)))
        if self.wrong_pecs:
            if self.wrong_pecs > 0:
                self.wrong_pecs -= 1
            pec ^= 0x55
        return pec

    def _take(self, command: Command, data: bytes) -> bool:
        if command.write is None:
            return self._refuse(Refusal.READ_ONLY)
        size = command.size if command.size is not None else data[1] + 1
        given = len(data) - 1
        if given < size:
            return self._refuse(Refusal.TOO_FEW_BYTES)
        if given > size + self._pec:
            return self._refuse(Refusal.TOO_MANY_BYTES)
        if given > size and data[-1] != crc8(data[:-1], crc8((self._writing,))):
            self.pec_errors += 1
            return self._refuse(Refusal.PACKET_ERROR)
        start = 2 if command.size is None else 1
        if command.write(data[start : 1 + size]):
            return True
        return self._refuse(Refusal.INVALID_DATA)
