"""W25Q256 driver against QEMU's flash: identity, program, erase, every border, what is refused."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from drivers.errors import Cause, DeviceError
from drivers.w25q256 import CAPACITY, PAGE, SECTOR, Device, Settings
from hil.qemu import QemuBoard, QemuSpiBus
from tests.drivers.scripted import Run, Steps, error_of

PROGRAM, READ = b"\x12", b"\x13"
MIB_16 = 1 << 24


class Listener:
    """A bus that keeps what is sent on it."""

    def __init__(self, bus: QemuSpiBus) -> None:
        self.name = bus.name
        self.configure = bus.configure
        self.sent: list[bytes] = []
        self._bus = bus

    def transfer(self, select: int, data: bytes) -> bytes:
        self.sent.append(data)
        return self._bus.transfer(select, data)


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board("w25q256,bus=spi,id=recorder", "w25q32,bus=spi,id=smaller", "w25q256,bus=spi,id=twin")


@pytest.fixture(scope="module")
def spi(board: QemuBoard) -> QemuSpiBus:
    return board.spi(("recorder", "smaller", "twin"))


@pytest.fixture
def flash(spi: QemuSpiBus, finish: Run) -> Device:
    flash = Device(spi, 0, Settings())
    finish(flash.initialise())
    return flash


def refused(finish: Run, steps: Steps) -> Cause:
    error = error_of(finish, steps)
    assert (error.bus, error.address) == ("spi", 0)
    return error.cause


def pattern(count: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(count)


def test_identity_and_health(flash: Device, finish: Run) -> None:
    assert finish(flash.identify()) == "Winbond W25Q256JV-Q"
    health = finish(flash.acquire())
    assert (health.part, health.busy, health.write_enabled, health.protected) == (
        "Winbond W25Q256JV-Q", False, False, False,
    )


def test_a_flash_of_another_size_is_refused(spi: QemuSpiBus, finish: Run) -> None:
    with pytest.raises(DeviceError) as caught:
        finish(Device(spi, 1, Settings()).initialise())
    assert caught.value.cause is Cause.WRONG_ID


@pytest.mark.parametrize(
    "address", [0, PAGE - 1, SECTOR - 7, MIB_16 - 300, MIB_16 + 0x1234, CAPACITY - 700], ids=hex
)
def test_what_is_programmed_is_read_back_over_every_border(flash: Device, finish: Run, address: int) -> None:
    data = pattern(700, address)
    first = address - address % SECTOR
    for sector in range(first, address + len(data), SECTOR):
        finish(flash.erase_sector(sector))
    finish(flash.program(address, data))
    assert finish(flash.read(address, len(data))) == data
    if address > first:
        assert finish(flash.read(address - 1, 1)) == b"\xff"
    if address + len(data) < CAPACITY:
        assert finish(flash.read(address + len(data), 1)) == b"\xff"


def test_addresses_above_16_mib_are_their_own(flash: Device, finish: Run) -> None:
    """Three address bytes would fold both halves into one."""
    for address, data in ((0x4000, b"below"), (MIB_16 + 0x4000, b"above")):
        finish(flash.erase_sector(address))
        finish(flash.program(address, data))
    assert finish(flash.read(0x4000, 5)) == b"below"
    assert finish(flash.read(MIB_16 + 0x4000, 5)) == b"above"


def test_the_driver_s_order_of_bytes_is_the_chip_s(flash: Device, spi: QemuSpiBus, finish: Run) -> None:
    finish(flash.erase_sector(0x10000))
    finish(flash.program(0x10102, b"\xa5\x5a"))
    assert spi.transfer(0, READ + b"\x00\x01\x01\x00" + bytes(6))[5:] == b"\xff\xff\xa5\x5a\xff\xff"


def test_programming_over_data_is_refused_because_bits_only_fall(flash: Device, finish: Run) -> None:
    finish(flash.erase_sector(0x20000))
    finish(flash.program(0x20000, b"\xf0\xf0"))
    assert refused(finish, flash.program(0x20000, b"\x0f\xff")) is Cause.IMPLAUSIBLE
    assert finish(flash.read(0x20000, 2)) == b"\x00\xf0"
    assert flash.counters.refused == 1
    finish(flash.program(0x20001, b"\x30"))
    assert finish(flash.read(0x20000, 2)) == b"\x00\x30"


def test_an_erase_clears_its_own_sector_and_no_other(flash: Device, finish: Run) -> None:
    for sector in (0x30000, 0x31000, 0x32000):
        finish(flash.erase_sector(sector))
        finish(flash.program(sector, b"keep"))
        finish(flash.program(sector + SECTOR - 4, b"last"))
    finish(flash.erase_sector(0x31000))
    assert finish(flash.read(0x31000, SECTOR)) == b"\xff" * SECTOR
    assert finish(flash.read(0x30000 + SECTOR - 4, 4)) == b"last"
    assert finish(flash.read(0x32000, 4)) == b"keep"


def test_no_instruction_programs_beyond_its_page(spi: QemuSpiBus, finish: Run) -> None:
    """The chip would wrap to the page's beginning; the model goes on, so the instructions themselves count."""
    wire = Listener(spi)
    flash = Device(wire, 0, Settings())
    finish(flash.initialise())
    finish(flash.erase_sector(0x40000))
    data = pattern(600, 1)
    finish(flash.program(0x400FE, data))
    assert finish(flash.read(0x400FE, 600)) == data
    programs = [sent for sent in wire.sent if sent[:1] == PROGRAM]
    assert [len(sent) - 5 for sent in programs] == [2, PAGE, PAGE, 600 - 2 - 2 * PAGE]
    for sent in programs:
        first = int.from_bytes(sent[1:5], "big")
        assert first // PAGE == (first + len(sent) - 6) // PAGE


def test_nothing_is_left_enabled_for_an_accident(flash: Device, spi: QemuSpiBus, finish: Run) -> None:
    finish(flash.erase_sector(0x50000))
    finish(flash.program(0x50000, b"x"))
    assert not finish(flash.acquire()).write_enabled
    spi.transfer(0, PROGRAM + b"\x00\x05\x00\x10" + b"oops")
    assert finish(flash.read(0x50010, 4)) == b"\xff" * 4


def test_a_read_of_any_length_is_put_together_in_order(flash: Device, spi: QemuSpiBus, finish: Run) -> None:
    data = pattern(1000, 7)
    finish(flash.erase_sector(0x60000))
    finish(flash.program(0x60010, data))
    for length in (16, 17, 255, 4091):
        chunked = Device(spi, 0, Settings(read_bytes=length))
        assert finish(chunked.read(0x60010, 1000)) == data
    assert finish(flash.read(0x60010, 0)) == b""


def test_two_flashes_on_one_bus_keep_apart(flash: Device, spi: QemuSpiBus, finish: Run) -> None:
    other = Device(spi, 2, Settings())
    finish(other.initialise())
    for device, data in ((flash, b"first"), (other, b"other")):
        finish(device.erase_sector(0x70000))
        finish(device.program(0x70000, data))
    assert finish(flash.read(0x70000, 5)) == b"first"
    assert finish(other.read(0x70000, 5)) == b"other"


def test_the_end_of_the_flash_is_the_end(flash: Device, finish: Run) -> None:
    assert refused(finish, flash.read(CAPACITY - 1, 2)) is Cause.PROTOCOL
    assert refused(finish, flash.program(CAPACITY - 1, b"ab")) is Cause.PROTOCOL
    assert refused(finish, flash.erase_sector(CAPACITY)) is Cause.PROTOCOL
    assert refused(finish, flash.erase_sector(0x101)) is Cause.PROTOCOL
