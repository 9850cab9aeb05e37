"""Winbond W25Q256JV, 32 MiB flash: what was programmed has been read back, and no wait ever spins.

Instructions and status bits: Winbond W25Q256JV, revision I, sections 7 and 8: 9Fh JEDEC id, 05h/35h/15h status
registers 1 to 3, 01h/31h/11h their writing, 06h write enable, 04h write disable, and the instructions that carry four
address bytes by themselves: 13h read, 12h page program (256 bytes, wraps inside the page), 21h erase of a 4 KiB sector.
With those, no address mode (B7h) has to be kept: a brown-out can't shorten an address and put an erase elsewhere.
Program clears bits only. Typical and longest times: page 0.7 and 3 ms, sector 50 and 400 ms.

Every generator makes one transfer a resume, the polling of BUSY included, bounded by ``busy_polls``. Write enable is
seen in the status before a program or an erase is sent; each page is read back and compared, each erased sector is
read through; neither is ever repeated by the driver. Bytes that are all ones or all zeros may be an erased sector or a
dead line, so a read that holds such a stretch asks for the id as well. A generator that was dropped in the middle
leaves the chip busy at worst: the next one waits for it.

Accepted ids: EF4019h W25Q256JV-Q, EF7019h W25Q256JV-M, EF6019h W25Q256JW-Q, EF8019h W25Q256JW-M (1.8 V). The older
W25Q256FV shares EF4019h but lacks 12h and 21h: its first program is refused because the read-back differs.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct

from drivers.bus.protocol import SpiBus
from drivers.device import NOWHERE, Access, Codec, Oracle, OracleKind, Place, Register, whole
from drivers.errors import Cause, DeviceError
from drivers.spi_register import SpiRegisterDevice

__all__ = [
    "CAPACITY", "CODECS", "ORACLES", "PAGE", "REGISTERS", "SECTOR", "Counters", "Device", "FlashHealth", "Settings",
    "health", "part_of",
]

ORACLES = (
    Oracle(OracleKind.QEMU, "the w25q256 model: id, program, erase, addresses above 16 MiB (it has no page wrap)"),
)

JEDEC_ID = 0x9F
READ_STATUS = (0x05, 0x35, 0x15)
WRITE_STATUS = (0x01, 0x31, 0x11)
WRITE_ENABLE = b"\x06"
WRITE_DISABLE = b"\x04"
READ = b"\x13"
PAGE_PROGRAM = b"\x12"
SECTOR_ERASE = b"\x21"

REGISTERS = (
    Register("JEDEC id", JEDEC_ID, 3, Access.READ), Register("status 1", READ_STATUS[0], 1, Access.READ),
    Register("status 2", READ_STATUS[1], 1, Access.READ), Register("status 3", READ_STATUS[2], 1, Access.READ),
)

PARTS = {
    b"\xef\x40\x19": "Winbond W25Q256JV-Q", b"\xef\x70\x19": "Winbond W25Q256JV-M",
    b"\xef\x60\x19": "Winbond W25Q256JW-Q", b"\xef\x80\x19": "Winbond W25Q256JW-M",
}
CAPACITY = 1 << 25
PAGE = 256
SECTOR = 4096

BUSY = 1 << 0
WRITE_ENABLED = 1 << 1
BLOCK_PROTECT = 0b1111 << 2
COMPLEMENT = 1 << 6
"""Status 2: with no block protected, CMP protects them all."""
SUSPENDED = 1 << 7
"""Status 2: a program or an erase is suspended."""
FOUR_BYTE_MODE = 1 << 0
"""Status 3: ADS. These instructions don't depend on it."""
INDIVIDUAL_LOCKS = 1 << 2
"""Status 3: WPS; then every sector is locked after power-up."""
PROTECTION = (BLOCK_PROTECT, COMPLEMENT, INDIVIDUAL_LOCKS)
READ_ONLY = (BUSY | WRITE_ENABLED, SUSPENDED, FOUR_BYTE_MODE)
ALL_ONES = 0xFF

SPI_MODE = 0


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Clock, lengths and bounds. ``unprotect``: clear protection bits that are found set; else they are an error."""

    max_hz: Annotated[int, Meta(ge=100_000, le=50_000_000)] = 20_000_000
    """50 MHz is the limit of instruction 13h."""
    read_bytes: Annotated[int, Meta(ge=16, le=4091)] = 256
    """Data bytes of one read transfer; spidev takes 4096 in all."""
    busy_polls: Annotated[int, Meta(ge=10, le=10_000_000)] = 20_000
    """Looks at BUSY before an operation counts as hung: 400 ms at 20 us a transfer."""
    unprotect: bool = True
    verify_erase: bool = True


@dataclass(frozen=True, slots=True)
class FlashHealth:
    """What the flash says of itself. ``status`` are its three status registers."""

    part: str
    status: tuple[int, int, int]
    busy: bool
    write_enabled: bool
    protected: bool
    suspended: bool
    four_byte_mode: bool


@dataclass(slots=True)
class Counters:
    """What was done since start."""

    pages: int = 0
    sectors: int = 0
    refused: int = 0
    """Pages and sectors that were not as ordered when they were read back."""
    unprotected: int = 0
    """Status registers whose protection bits were cleared."""


def part_of(jedec_id: bytes, place: Place = NOWHERE) -> str:
    """Name of the part from the 3 bytes of its JEDEC id. Raises WRONG_ID, ABSENT for a line nobody drives."""
    whole(jedec_id, 3, place)
    part = PARTS.get(jedec_id)
    if part is None:
        dead = jedec_id in (b"\x00\x00\x00", b"\xff\xff\xff")
        raise place.error(Cause.ABSENT if dead else Cause.WRONG_ID, f"JEDEC id is {jedec_id.hex()}h")
    return part


def health(data: bytes, place: Place = NOWHERE) -> FlashHealth:
    """Health from 6 bytes: JEDEC id, status registers 1, 2, 3. Raises as ``part_of``."""
    whole(data, 6, place)
    one, two, three = data[3:]
    protected = bool(one & BLOCK_PROTECT or two & COMPLEMENT or three & INDIVIDUAL_LOCKS)
    return FlashHealth(
        part_of(data[:3], place), (one, two, three), bool(one & BUSY), bool(one & WRITE_ENABLED), protected,
        bool(two & SUSPENDED), bool(three & FOUR_BYTE_MODE),
    )


CODECS = (Codec("JEDEC id", part_of, 3), Codec("health", health, 6))


class Device(SpiRegisterDevice):
    """One W25Q256. Run one of its generators to the end before the next.

    Args:
        bus: the SPI controller.
        select: number of the chip select.
        settings: clock, lengths, bounds.
    """

    def __init__(self, bus: SpiBus, select: int, settings: Settings) -> None:
        super().__init__(bus, select, mode=SPI_MODE, max_hz=settings.max_hz, read_bits=0)
        self.settings = settings
        self.counters = Counters()
        self._maybe_busy = True

    def identify(self) -> Generator[None, None, str]:
        """The part by its JEDEC id: 1 transaction. Raises WRONG_ID, ABSENT."""
        yield from ()
        return part_of(self._read(JEDEC_ID, 3), self.place)

    def initialise(self) -> Generator[None, None, None]:
        """Identity, end of whatever was going on, protection: 5 transactions, 5 more a register that protects.

        A chip that still programs or erases says nothing but its status; its identity is asked again after that.

        Raises:
            DeviceError: WRONG_ID, ABSENT; TIMEOUT when the chip stays busy; IMPLAUSIBLE when it is protected and that
                is not to be, or can't be, cleared.
        """
        try:
            yield from self.identify()
        except DeviceError as error:
            if error.cause is not Cause.ABSENT:
                raise
            yield  # where nobody answers the status says so too
            yield from self._until_idle()
            yield
            yield from self.identify()
        yield
        yield from self._until_idle()
        for index in range(3):
            yield
            yield from self._unprotect(index)

    def acquire(self) -> Generator[None, None, FlashHealth]:
        """Its health: 4 transactions, after the end of what was left going on."""
        if self._maybe_busy:
            yield from self._until_idle()
            yield
        data = self._read(JEDEC_ID, 3)
        for opcode in READ_STATUS:
            yield
            data += self._read(opcode, 1)
        return health(data, self.place)

    def read(self, address: int, count: int) -> Generator[None, None, bytes]:
        """``count`` bytes from ``address``: a transaction for every ``read_bytes``, and one for a stretch all alike.

        Raises:
            DeviceError: PROTOCOL beyond the end; TIMEOUT; WRONG_ID or ABSENT where nothing real answered.
        """
        self._inside(address, count)
        if count and self._maybe_busy:
            yield from self._until_idle()
            yield
        parts: list[bytes] = []
        doubtful = False
        for at in range(address, address + count, self.settings.read_bytes):
            if parts:
                yield
            part = self._read_at(at, min(self.settings.read_bytes, address + count - at))
            parts.append(part)
            doubtful = doubtful or (part[0] in (0x00, 0xFF) and part.count(part[0]) == len(part))
        if doubtful:
            yield
            part_of(self._read(JEDEC_ID, 3), self.place)
        return b"".join(parts)

    def program(self, address: int, data: bytes) -> Generator[None, None, None]:
        """Write into erased bytes, page by page, each read back.

        Raises:
            DeviceError: PROTOCOL beyond the end; IMPLAUSIBLE when write enable doesn't hold or a page reads back
                otherwise (not erased before, protected, worn out), which is not tried again; TIMEOUT.
        """
        self._inside(address, len(data))
        at = 0
        while at < len(data):
            if at:
                yield
            page = data[at : at + PAGE - (address + at) % PAGE]
            yield from self._modify(PAGE_PROGRAM, address + at, page)
            yield
            held = yield from self.read(address + at, len(page))
            if held != page:
                wrong = next(i for i, (h, p) in enumerate(zip(held, page, strict=True)) if h != p)
                why = f"{held[wrong]:02x}h instead of {page[wrong]:02x}h at {address + at + wrong:07x}h"
                self._refuse(f"programmed page reads back {why}")
            self.counters.pages += 1
            at += len(page)

    def erase_sector(self, address: int) -> Generator[None, None, None]:
        """Erase the 4 KiB sector that begins at ``address``, and read it through.

        Raises:
            DeviceError: PROTOCOL for an address that begins no sector; else as ``program``.
        """
        self._inside(address, SECTOR)
        if address % SECTOR:
            raise self.place.error(Cause.PROTOCOL, f"{address:07x}h begins no sector")
        yield from self._modify(SECTOR_ERASE, address, b"")
        if self.settings.verify_erase:
            yield
            held = yield from self.read(address, SECTOR)
            if held.count(0xFF) != SECTOR:
                self._refuse(f"sector {address:07x}h is not blank after its erase")
        self.counters.sectors += 1

    def _inside(self, address: int, count: int) -> None:
        if address < 0 or count < 0 or address + count > CAPACITY:
            raise self.place.error(Cause.PROTOCOL, f"{count} bytes from {address:07x}h are not in the flash")

    def _refuse(self, why: str) -> None:
        self.counters.refused += 1
        raise self.place.error(Cause.IMPLAUSIBLE, why)

    def _read_at(self, address: int, count: int) -> bytes:
        return self._transfer(READ + address.to_bytes(4, "big") + bytes(count))[5:]

    def _status(self, index: int) -> int:
        """One status register. Raises ABSENT for all ones: no state of the chip has them all."""
        status = self._read(READ_STATUS[index], 1)[0]
        if status == ALL_ONES:
            raise self.place.error(Cause.ABSENT, f"status {index + 1} reads all ones")
        return status

    def _until_idle(self) -> Generator[None, None, None]:
        """Looks at BUSY until it is clear, one transaction each. Raises TIMEOUT after ``busy_polls``."""
        for look in range(self.settings.busy_polls):
            if look:
                yield
            status = self._status(0)
            if not status & BUSY:
                self._maybe_busy = False
                if status & WRITE_ENABLED:
                    # The instruction was ignored, or this chip leaves the latch set: no later accident may use it.
                    yield
                    self._transfer(WRITE_DISABLE)
                return
        raise self.place.error(Cause.TIMEOUT, f"still busy after {self.settings.busy_polls} looks")

    def _enable(self) -> Generator[None, None, None]:
        """Write enable, seen in the status."""
        if self._maybe_busy:
            yield from self._until_idle()
            yield
        self._transfer(WRITE_ENABLE)
        yield
        status = self._status(0)
        if status & (WRITE_ENABLED | BUSY) != WRITE_ENABLED:
            raise self.place.error(Cause.IMPLAUSIBLE, f"write enable doesn't hold: status 1 is {status:02x}h")

    def _modify(self, instruction: bytes, address: int, data: bytes) -> Generator[None, None, None]:
        """Write enable, one instruction, and its end."""
        yield from self._enable()
        yield
        self._maybe_busy = True
        self._transfer(instruction + address.to_bytes(4, "big") + data)
        yield
        yield from self._until_idle()

    def _unprotect(self, index: int) -> Generator[None, None, None]:
        """Look at one status register, and clear what protects. The other bits stay as they are."""
        status = self._status(index)
        if not status & PROTECTION[index]:
            return
        if not self.settings.unprotect:
            raise self.place.error(Cause.IMPLAUSIBLE, f"protected: status {index + 1} is {status:02x}h")
        yield
        yield from self._enable()
        yield
        self._maybe_busy = True
        self._write(WRITE_STATUS[index], bytes((status & ~PROTECTION[index] & ~READ_ONLY[index],)))
        yield
        yield from self._until_idle()
        yield
        status = self._status(index)
        if status & PROTECTION[index]:
            why = f"protection can't be cleared: status {index + 1} is {status:02x}h"
            raise self.place.error(Cause.IMPLAUSIBLE, why)
        self.counters.unprotected += 1
