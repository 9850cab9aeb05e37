"""Plays a W25Q256JV serial NOR flash: bits only go from 1 to 0 until erased, busy by the clock, torn by a power cut.

Facts: Winbond W25Q256JV data sheet (revision I): 7.1 status registers and the memory protection table (BP3..0 protect
64 KiB x 2^(BP-1) from the top, or from the bottom with TB; CMP turns it round), 8.1.2 to 8.1.4 instructions in 3 and
4-byte address mode, 8.2.x each instruction, 9.6 times (typical: page 0.7 ms, 4 KiB 50 ms, 32 KiB 120 ms, 64 KiB 150 ms,
chip 80 s, status register 10 ms). JEDEC identity EFh 40h 19h, device identity 18h.

While BUSY only status reads and the reset pair are heard. A program or erase that is protected, has no write enable, or
does not end right after its last byte is not begun; the data sheet gives no sign for that, so neither does this.

What a power cut leaves is a model, the data sheet promises nothing. With a generator every bit that was on its way has
arrived with the chance of the time that had passed. Without one the first part of the bytes has arrived, the byte at
the edge half. An erase drives its cells to 0 before it sets them to 1, so an interrupted one leaves zeros where it had
not been.

Not played: dual and quad transfers, SFDP, security registers, suspend and resume, individual block locks (with WPS set
every block stays locked, as after power-up), and the lower clock limit of 03h and 13h (50 MHz): a chip cannot see it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["BLOCK_BYTES", "PAGE_BYTES", "SECTOR_BYTES", "SIZE_BYTES", "W25q256"]

PAGE_BYTES = 256
SECTOR_BYTES = 4096
BLOCK_BYTES = 65536
SIZE_BYTES = 32 * 1024 * 1024

_HALF_BLOCK_BYTES = 32768
_ADDRESS_MASK = SIZE_BYTES - 1
_BLANK = b"\xff" * SECTOR_BYTES

_JEDEC = b"\xef\x40\x19"
_MANUFACTURER = 0xEF
_DEVICE = 0x18

_BUSY = 1 << 0
_WEL = 1 << 1
_BP = 0xF << 2
_TB = 1 << 6
_SRL = 1 << 0
_QE = 1 << 1
_LB = 7 << 3
_CMP = 1 << 6
_ADS = 1 << 0
_ADP = 1 << 1
_WPS = 1 << 2
_DRV = 3 << 5

_NEVER_STORED = 1 << 0  # BUSY, the temporary lock SRL and ADS, each bit 0 of its register

_WRITABLE = (_BP | _TB, _SRL | _QE | _LB | _CMP, _ADP | _WPS | _DRV)
_FACTORY = (0x00, _QE, _DRV)  # ordering option IQ: quad enabled, weakest driver
_ONE_WAY = (0x00, _LB, 0x00)  # one-time programmable

_STATUS_READS = {0x05: 0, 0x35: 1, 0x15: 2}
_STATUS_WRITES = {0x01: 0, 0x31: 1, 0x11: 2}
_READS = {0x03: (None, 0), 0x0B: (None, 1), 0x13: (4, 0), 0x0C: (4, 1)}
"""Instruction: bytes of address (None: by the mode), dummy bytes."""
_PROGRAMS = {0x02: None, 0x12: 4}
_ERASES = {
    0x20: (None, SECTOR_BYTES), 0x21: (4, SECTOR_BYTES), 0x52: (None, _HALF_BLOCK_BYTES),
    0xD8: (None, BLOCK_BYTES), 0xDC: (4, BLOCK_BYTES),
}
_CHIP_ERASE = (0x60, 0xC7)
_WHEN_BUSY = frozenset({*_STATUS_READS, 0x66, 0x99})


class _Operation:
    """A program, erase or register write under way."""

    __slots__ = ("address", "data", "end_ns", "length", "register", "start_ns")

    def __init__(
        self, start_ns: int, end_ns: int, address: int, length: int, data: bytes | None, register: int
    ) -> None:
        self.start_ns = start_ns
        self.end_ns = end_ns
        self.address = address
        self.length = length
        self.data = data
        """What is programmed from ``address`` on; ``None`` for an erase."""
        self.register = register
        """Status register that ``data[0]`` goes to, or -1."""


class W25q256:
    """A W25Q256JV on SPI. Memory is kept by the 4 KiB sector; sectors that are erased take none.

    Attributes:
        cut_at: fraction 0..1; the next program or erase of memory loses the supply when that part of its time has
            passed. The chip is then dead (``powered`` is False, its output floats) until :meth:`reset`.
        powered: whether it has its supply.
        program_ns, sector_erase_ns, half_block_erase_ns, block_erase_ns, chip_erase_ns, write_status_ns: how long
            things take; typical values, a worn chip takes up to 3, 400, 1600, 2000, 400 000 and 15 ms.
        programs, erases: operations on memory begun since the chip was made.
    """

    spi_modes = frozenset({0, 3})
    max_hz = 133_000_000

    def __init__(
        self, now_ns: Callable[[], int], unique_id: int = 0xD1A5_0000_0000_0001, rng: np.random.Generator | None = None
    ) -> None:
        """A chip as delivered, all memory erased, powered. ``now_ns`` is the rig's clock."""
        self.cut_at: float | None = None
        self.powered = True
        self.program_ns = 700_000
        self.sector_erase_ns = 50_000_000
        self.half_block_erase_ns = 120_000_000
        self.block_erase_ns = 150_000_000
        self.chip_erase_ns = 80_000_000_000
        self.write_status_ns = 10_000_000
        self.programs = 0
        self.erases = 0
        self._now_ns = now_ns
        self._rng = rng
        self._unique_id = unique_id.to_bytes(8, "big")
        self._sectors: dict[int, bytearray] = {}
        self._stored = list(_FACTORY)
        """Non-volatile halves of the three status registers."""
        self._operation: _Operation | None = None
        self._dead_at_ns: int | None = None
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: what was under way is torn; volatile registers at their defaults, memory kept."""
        self.power_off()
        self._default()
        self._dead_at_ns = None
        self.powered = True

    def _default(self) -> None:
        """Volatile registers and states as after power-up."""
        self._status = list(self._stored)
        if self._stored[2] & _ADP:
            self._status[2] |= _ADS
        self._wel = False
        self._volatile_write = False
        self._asleep = False
        self._reset_enabled = False
        self._extended_address = 0

    def power_off(self) -> None:
        """Take the supply away now; what is under way is torn."""
        self._settle()
        self._tear(self._now_ns())
        self.powered = False

    @property
    def busy(self) -> bool:
        """Whether a program, erase or register write is under way."""
        self._settle()
        return self._operation is not None

    @property
    def sectors_in_use(self) -> int:
        """Sectors of 4 KiB that are kept because they are not blank."""
        self._settle()
        return len(self._sectors)

    def load(self, address: int, data: bytes) -> None:
        """Put bytes into memory as a production programmer does. ValueError when they don't fit."""
        if not 0 <= address <= SIZE_BYTES - len(data):
            raise ValueError(f"{len(data)} bytes at {address:#x} are outside the chip")
        self._settle()
        done = 0
        while done < len(data):
            sector, offset = divmod(address + done, SECTOR_BYTES)
            part = data[done : done + SECTOR_BYTES - offset]
            self._sector(sector)[offset : offset + len(part)] = part
            done += len(part)

    def dump(self, address: int, count: int) -> bytes:
        """``count`` bytes of memory, as they are; past the end it goes on at 0."""
        self._settle()
        address &= _ADDRESS_MASK
        parts = []
        while count > 0:
            sector, offset = divmod(address, SECTOR_BYTES)
            part = bytes(self._sectors.get(sector, _BLANK)[offset : offset + count])
            parts.append(part)
            count -= len(part)
            address = (address + len(part)) & _ADDRESS_MASK
        return b"".join(parts)

    def transfer(self, data: bytes) -> bytes:
        """One chip select: an instruction. Bytes in which the chip does not drive its output read as ones."""
        size = len(data)
        self._settle()
        if size == 0:
            return b""
        if not self.powered:
            return b"\xff" * size
        opcode = data[0]
        if self._operation is not None and opcode not in _WHEN_BUSY:
            return b"\xff" * size
        if self._asleep and opcode != 0xAB:
            return b"\xff" * size
        armed, self._reset_enabled = self._reset_enabled, opcode == 0x66 and size == 1
        if opcode in _STATUS_READS:
            answer = bytes((self._read_status(_STATUS_READS[opcode]),)) * (size - 1)
        elif opcode in _READS:
            answer = self._read(data)
        elif opcode == 0x99:
            if armed and size == 1:
                self._tear(self._now_ns())
                self._default()
            answer = b""
        else:
            answer = self._identify(opcode, data) or b""
            if not answer:
                self._command(opcode, data)
        return (b"\xff" * (size - len(answer)) + answer) if len(answer) < size else answer[:size]

    # -- instructions

    def _read_status(self, index: int) -> int:
        value = self._status[index]
        if index == 0:
            value |= (_BUSY if self._operation is not None else 0) | (_WEL if self._wel else 0)
        return value

    def _address(self, data: bytes, width: int | None) -> tuple[int, int] | None:
        """Address and the index of the byte after it; None when the instruction ends before."""
        count = width or (4 if self._status[2] & _ADS else 3)
        if len(data) < 1 + count:
            return None
        address = int.from_bytes(data[1 : 1 + count], "big")
        if count == 3:
            address |= self._extended_address << 24
        return address & _ADDRESS_MASK, 1 + count

    def _read(self, data: bytes) -> bytes:
        width, dummies = _READS[data[0]]
        found = self._address(data, width)
        if found is None:
            return b""
        address, start = found
        return self.dump(address, len(data) - start - dummies)

    def _identify(self, opcode: int, data: bytes) -> bytes | None:
        """Answer of an instruction that reads an identity; None for any other."""
        size = len(data)
        if opcode == 0x9F:
            return (_JEDEC + b"\xff" * size)[: size - 1]
        if opcode == 0xAB:
            self._asleep = False
            return bytes((_DEVICE,)) * max(0, size - 4)
        if opcode == 0x90:
            pair = (_MANUFACTURER, _DEVICE) if size < 4 or not data[3] & 1 else (_DEVICE, _MANUFACTURER)
            return (bytes(pair) * size)[: max(0, size - 4)]
        if opcode == 0x4B:
            start = 6 if self._status[2] & _ADS else 5
            return (self._unique_id + b"\xff" * size)[: max(0, size - start)]
        if opcode == 0xC8:
            return bytes((self._extended_address,)) * (size - 1)
        return None

    def _command(self, opcode: int, data: bytes) -> None:
        size = len(data)
        if opcode in _PROGRAMS:
            self._program(data, _PROGRAMS[opcode])
        elif opcode in _ERASES:
            self._erase(data, *_ERASES[opcode])
        elif opcode in _STATUS_WRITES:
            self._write_status(_STATUS_WRITES[opcode], data)
        elif opcode == 0xC5:
            if self._wel and size == 2:
                self._extended_address = data[1] & 1
                self._wel = False
        elif size != 1:
            return
        elif opcode in _CHIP_ERASE:
            if self._wel and self._protected() == (0, 0):
                self._begin(self.chip_erase_ns, 0, SIZE_BYTES, None)
        elif opcode == 0x06:
            self._wel = True
        elif opcode == 0x04:
            self._wel = False
        elif opcode == 0x50:
            self._volatile_write = True
        elif opcode == 0xB7:
            self._status[2] |= _ADS
        elif opcode == 0xE9:
            self._status[2] &= ~_ADS
        elif opcode == 0xB9:
            self._asleep = True

    def _program(self, data: bytes, width: int | None) -> None:
        found = self._address(data, width)
        if not self._wel or found is None or len(data) == found[1]:
            return
        address, start = found
        if self._locked(address, 1):
            return
        sent = data[start:]
        offset = address % PAGE_BYTES
        # Past the end of the page it goes on at its start; of more than a page the last 256 bytes count.
        first = (offset + max(0, len(sent) - PAGE_BYTES)) % PAGE_BYTES
        body = sent[-PAGE_BYTES:].ljust(PAGE_BYTES, b"\xff")
        page = body[PAGE_BYTES - first :] + body[: PAGE_BYTES - first]
        self._begin(self.program_ns, address - offset, PAGE_BYTES, page)

    def _erase(self, data: bytes, width: int | None, length: int) -> None:
        found = self._address(data, width)
        if not self._wel or found is None or len(data) != found[1]:
            return
        address = found[0] & ~(length - 1)
        if self._locked(address, length):
            return
        durations = {SECTOR_BYTES: self.sector_erase_ns, _HALF_BLOCK_BYTES: self.half_block_erase_ns}
        self._begin(durations.get(length, self.block_erase_ns), address, length, None)

    def _write_status(self, index: int, data: bytes) -> None:
        volatile, self._volatile_write = self._volatile_write, False
        # 01h may carry the second register too, for programs written for older parts (8.2.5).
        if len(data) not in ((2, 3) if index == 0 else (2,)) or self._status[1] & _SRL:
            return
        values = data[1:]
        if self._wel:
            now = self._now_ns()
            self._operation = _Operation(now, now + self.write_status_ns, 0, 0, values, index)
        elif volatile:
            for turn, value in enumerate(values):
                self._set_status(index + turn, value)

    def _set_status(self, index: int, value: int) -> None:
        mask = _WRITABLE[index]
        kept = self._status[index] & ~mask
        self._status[index] = kept | value & mask | self._status[index] & _ONE_WAY[index]

    # -- protection

    def _protected(self) -> tuple[int, int]:
        """Addresses first..last+1 that are read-only; (0, 0) for none."""
        if self._status[2] & _WPS:
            return 0, SIZE_BYTES
        level = (self._status[0] & _BP) >> 2
        size = 0 if level == 0 else min(SIZE_BYTES, BLOCK_BYTES << level - 1)
        bottom = bool(self._status[0] & _TB)
        if self._status[1] & _CMP:
            size = SIZE_BYTES - size
            bottom = not bottom
        if size == 0:
            return 0, 0
        return (0, size) if bottom else (SIZE_BYTES - size, SIZE_BYTES)

    def _locked(self, address: int, length: int) -> bool:
        first, end = self._protected()
        return address < end and address + length > first

    # -- operations

    def _begin(self, duration_ns: int, address: int, length: int, data: bytes | None) -> None:
        if data is None:
            self.erases += 1
        else:
            self.programs += 1
        now = self._now_ns()
        self._operation = _Operation(now, now + duration_ns, address, length, data, -1)
        if self.cut_at is not None:
            self._dead_at_ns = now + int(duration_ns * self.cut_at)
            self.cut_at = None
            self._settle()

    def _settle(self) -> None:
        """Finish what has ended by now, or tear it where the supply went away."""
        if self._operation is None and self._dead_at_ns is None:
            return
        now = self._now_ns()
        dead_at = self._dead_at_ns
        if dead_at is not None and now >= dead_at:
            self._tear(dead_at)
            self._dead_at_ns = None
            self.powered = False
            return
        operation = self._operation
        if operation is not None and now >= operation.end_ns:
            self._finish(operation)

    def _finish(self, operation: _Operation) -> None:
        self._operation = None
        self._wel = False
        if operation.register >= 0:
            for turn, value in enumerate(operation.data or b""):
                self._set_status(operation.register + turn, value)
                self._stored[operation.register + turn] = self._status[operation.register + turn] & ~_NEVER_STORED
        elif operation.data is not None:
            self._and(operation.address, operation.data)
        else:
            first = operation.address // SECTOR_BYTES
            count = operation.length // SECTOR_BYTES
            if count >= len(self._sectors):
                for sector in [s for s in self._sectors if first <= s < first + count]:
                    del self._sectors[sector]
            else:
                for sector in range(first, first + count):
                    self._sectors.pop(sector, None)

    def _tear(self, at_ns: int) -> None:
        """End the operation at an instant: whole when its time had passed, else in part."""
        operation, self._operation = self._operation, None
        if operation is None:
            return
        if at_ns >= operation.end_ns:
            self._finish(operation)
            return
        self._wel = False
        if operation.register >= 0:
            return  # a status register keeps its old value
        share = (at_ns - operation.start_ns) / (operation.end_ns - operation.start_ns)
        if operation.data is not None:
            self._and(operation.address, self._part_of(operation.data, share))
            return
        for index in range(operation.length // SECTOR_BYTES):
            # Sectors of a block are erased one after the other here; the one at the edge is torn.
            local = min(1.0, max(0.0, share * operation.length / SECTOR_BYTES - index))
            self._tear_sector(operation.address // SECTOR_BYTES + index, local)

    def _part_of(self, data: bytes, share: float) -> bytes:
        """What has arrived of a page: ones where nothing has changed yet."""
        if self._rng is not None:
            late = np.packbits(self._rng.random(8 * len(data)) >= share).tobytes()
            return bytes(value | mask for value, mask in zip(data, late, strict=True))
        edge = int(len(data) * share)
        return data[:edge] + bytes((data[edge] | 0x0F,)) + b"\xff" * (len(data) - edge - 1)

    def _tear_sector(self, sector: int, local: float) -> None:
        if local >= 1.0:
            self._sectors.pop(sector, None)
        elif local > 0.0 and self._rng is not None:
            self._sectors[sector] = bytearray(np.packbits(self._rng.random(8 * SECTOR_BYTES) < local).tobytes())
        elif local > 0.0:
            edge = int(SECTOR_BYTES * local)
            self._sectors[sector] = bytearray(b"\xff" * edge + b"\xf0" + bytes(SECTOR_BYTES - edge - 1))

    def _sector(self, index: int) -> bytearray:
        found = self._sectors.get(index)
        if found is None:
            found = self._sectors[index] = bytearray(_BLANK)
        return found

    def _and(self, address: int, data: bytes) -> None:
        sector, offset = divmod(address, SECTOR_BYTES)
        memory = self._sector(sector)
        end = offset + len(data)
        old = int.from_bytes(memory[offset:end], "big")
        memory[offset:end] = (old & int.from_bytes(data, "big")).to_bytes(len(data), "big")
