"""The way to QEMU's chips is itself right: transactions, acknowledges, properties, pins, faults, an honest death."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from drivers.bus.protocol import I2cBus, SpiBus
from drivers.errors import Cause
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard, QemuError, QemuI2cBus, QemuMissing
from tests.drivers.scripted import cause_of, error_of

FRAM = 0x50
TMP = 0x4C
NOBODY = 0x33


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board(
        f"tmp423,bus=i2c-bus.0,address={TMP:#x},id=t0",
        f"at24c-eeprom,bus=i2c-bus.1,address={FRAM:#x},rom-size=32768,writable=on,id=e0",
        f"at24c-eeprom,bus=i2c-bus.2,address={FRAM:#x},rom-size=32768,writable=on,id=e1",
        "max7310,bus=i2c-bus.0,address=0x18,id=g0",
        "w25q256,bus=spi,id=f0",
        "w25q32,bus=spi,id=f1",
    )


@pytest.fixture
def memory(board: QemuBoard) -> QemuI2cBus:
    return board.i2c(1)


def test_twins_are_buses(board: QemuBoard) -> None:
    assert isinstance(board.i2c(0), I2cBus)
    assert isinstance(board.spi(["f0", "f1"]), SpiBus)
    assert isinstance(FaultyI2cBus(board.i2c(0)), I2cBus)
    assert board.i2c(2).name == "i2c-bus.2"
    assert board.i2c(2, "i2c_b").name == "i2c_b"


@pytest.mark.parametrize("count", [1, 2, 3, 31, 64, 65, 200])
def test_what_is_written_is_read_back_whole_and_in_order(memory: QemuI2cBus, count: int) -> None:
    data = bytes((7 * i + count) & 0xFF for i in range(count))
    memory.write(FRAM, b"\x12\x34" + data)
    assert memory.write_read(FRAM, b"\x12\x34", count) == data
    memory.write(FRAM, b"\x12\x34")
    assert memory.read(FRAM, count) == data


def test_a_read_takes_no_byte_too_many_from_the_chip(memory: QemuI2cBus) -> None:
    """The memory counts its reads by its own address pointer."""
    memory.write(FRAM, b"\x01\x00" + bytes(range(0x60, 0x6A)))
    assert memory.write_read(FRAM, b"\x01\x00", 1) == b"\x60"
    assert memory.read(FRAM, 1) == b"\x61"
    assert memory.read(FRAM, 2) == b"\x62\x63"
    assert memory.read(FRAM, 3) == b"\x64\x65\x66"
    assert memory.read(FRAM, 1) == b"\x67"


def test_controllers_are_apart(board: QemuBoard) -> None:
    one, two = board.i2c(1), board.i2c(2)
    one.write(FRAM, b"\x20\x00\xaa")
    two.write(FRAM, b"\x20\x00\x55")
    assert (one.write_read(FRAM, b"\x20\x00", 1), two.write_read(FRAM, b"\x20\x00", 1)) == (b"\xaa", b"\x55")


def test_an_address_nobody_has_is_a_nack_and_the_bus_goes_on(board: QemuBoard) -> None:
    bus = board.i2c(0)
    for call in (
        lambda: bus.write(NOBODY, b"\x00"), lambda: bus.read(NOBODY, 1), lambda: bus.write_read(NOBODY, b"\x00", 2),
    ):
        error = error_of(call)
        assert (error.bus, error.address, error.cause) == ("i2c-bus.0", NOBODY, Cause.NACK_ADDRESS)
        assert bus.write_read(TMP, b"\xff", 1) == b"\x23"


def test_nothing_to_read_is_a_mistake_of_the_caller_and_leaves_the_bus_free(board: QemuBoard) -> None:
    bus = board.i2c(0)
    with pytest.raises(ValueError, match="at least 1"):
        bus.read(TMP, 0)
    with pytest.raises(ValueError, match="at least 1"):
        bus.write_read(TMP, b"\xff", 0)
    assert bus.write_read(TMP, b"\xff", 1) == b"\x23"


def test_properties_reach_the_chip_and_come_back(board: QemuBoard) -> None:
    bus = board.i2c(0)
    board.qmp.set("t0", "temperature2", 100_000)
    assert board.qmp.get("/machine/peripheral/t0", "temperature2") == pytest.approx(100_000, abs=63)  # 1/16 deg C
    assert bus.write_read(TMP, b"\x02", 1) == b"\x63"  # the setter rounds down by one step: 99.9375
    with pytest.raises(QemuError, match="no-such"):
        board.qmp.get("t0", "no-such")


def test_pins_reach_the_chip(board: QemuBoard) -> None:
    bus = board.i2c(0)
    bus.write(0x18, b"\x02\x00")  # no inversion
    bus.write(0x18, b"\x03\xff")  # all inputs
    for pin in range(8):
        board.qtest.set_irq_in("g0", "unnamed-gpio-in", pin, pin & 1)
    assert bus.write_read(0x18, b"\x00", 1) == b"\xaa"


def test_registers_of_every_width(board: QemuBoard) -> None:
    """OCRAM of the i.MX6: plain memory at 900000h, little-endian."""
    qtest = board.qtest
    qtest.writel(0x0090_0000, 0x1122_3344)
    assert (qtest.readb(0x0090_0000), qtest.readw(0x0090_0002), qtest.readl(0x0090_0000)) == (0x44, 0x1122, 0x1122_3344)
    qtest.writeb(0x0090_0001, 0xFF)
    qtest.writew(0x0090_0002, 0xABCD)
    assert qtest.readl(0x0090_0000) == 0xABCD_FF44


def test_chip_selects_address_one_flash_at_a_time(board: QemuBoard) -> None:
    spi = board.spi(["f0", "f1"], "spi1")
    for select in (0, 1):
        spi.configure(select, 0, 50_000_000)
    assert spi.transfer(0, b"\x9f\x00\x00\x00") == b"\x00\xef\x40\x19"
    assert spi.transfer(1, b"\x9f\x00\x00\x00") == b"\x00\xef\x40\x16"


@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 7, 8, 63, 257])
def test_a_transfer_of_any_length_answers_as_many_bytes(board: QemuBoard, length: int) -> None:
    spi = board.spi(["f0", "f1"])
    spi.configure(0, 3, 1_000_000)
    answer = spi.transfer(0, b"\x9f" + bytes(length - 1))
    assert len(answer) == length
    assert answer[:4] == b"\x00\xef\x40\x19"[:length]


def test_spi_refuses_what_no_controller_does(board: QemuBoard) -> None:
    spi = board.spi(["f0", "f1"])
    assert cause_of(spi.transfer, 0, b"\x9f") is Cause.PROTOCOL
    assert cause_of(spi.configure, 0, 4, 1_000_000) is Cause.PROTOCOL
    assert cause_of(spi.configure, 2, 0, 1_000_000) is Cause.ABSENT


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (FaultKind.NACK_ADDRESS, Cause.NACK_ADDRESS), (FaultKind.NACK_DATA, Cause.NACK_DATA),
        (FaultKind.TIMEOUT, Cause.TIMEOUT), (FaultKind.STUCK_BUS, Cause.STUCK_BUS),
        (FaultKind.ARBITRATION, Cause.ARBITRATION), (FaultKind.SHORT_READ, Cause.SHORT_READ),
    ],
)
def test_faults_on_top_refuse_a_transfer_and_end(board: QemuBoard, kind: FaultKind, cause: Cause) -> None:
    bus = FaultyI2cBus(board.i2c(0))
    bus.inject(Fault(kind, address=TMP, count=1))
    error = error_of(bus.write_read, TMP, b"\xff", 1)
    assert (error.bus, error.address, error.cause) == ("i2c-bus.0", TMP, cause)
    assert bus.write_read(TMP, b"\xff", 1) == b"\x23"


def test_faults_on_top_change_bytes(board: QemuBoard) -> None:
    bus = FaultyI2cBus(board.i2c(1))
    bus.write(FRAM, b"\x30\x00\x0f\xf0")
    flip = bus.inject(Fault(FaultKind.BIT_FLIP, byte=1, bit=7))
    assert bus.write_read(FRAM, b"\x30\x00", 2) == b"\x0f\x70"
    bus.clear(flip)
    bus.inject(Fault(FaultKind.BIT_FLIP, byte=2, bit=0, count=1))
    bus.write(FRAM, b"\x30\x00\x0f\xf0")
    assert bus.write_read(FRAM, b"\x30\x00", 2) == b"\x0e\xf0"
    bus.inject(Fault(FaultKind.ALL_ONES))
    assert bus.read(FRAM, 2) == b"\xff\xff"
    bus.clear()
    bus.inject(Fault(FaultKind.SHORT_READ))
    bus.write(FRAM, b"\x30\x00")
    with pytest.raises(ValueError, match="switch"):
        bus.inject(Fault(FaultKind.NACK_ADDRESS, channel=1))
    with pytest.raises(ValueError, match="no meaning"):
        bus.inject(Fault(FaultKind.BUS_OFF))


def test_qemu_that_cannot_start_says_why(start_board: Callable[..., QemuBoard]) -> None:
    with pytest.raises(QemuError, match="not a valid device model name"):
        start_board("no-such-chip,bus=i2c-bus.0")


def test_qemu_that_dies_says_why_at_once(start_board: Callable[..., QemuBoard]) -> None:
    board = start_board("w25q256,bus=spi,id=f0")
    with pytest.raises(QemuError, match=r"signal 6(.|\n)*Assertion"):
        board.qtest.set_irq_in("f0", "no-such-pin", 0, 1)
    with pytest.raises(QemuError, match="signal 6"):
        board.qmp.get("f0", "type")
    board.close()
    with pytest.raises(QemuError, match="not running"):
        board.qtest.readl(0)


def test_a_program_that_is_not_there_is_named() -> None:
    with pytest.raises(QemuMissing, match="no-such-qemu is not installed"):
        QemuBoard(program="no-such-qemu").start()


def test_closing_leaves_no_process_and_can_be_done_twice(start_board: Callable[..., QemuBoard]) -> None:
    board = start_board()
    pid = board.pid
    assert pid is not None
    assert os.getsid(pid) == pid, "in a session of its own"
    with pytest.raises(QemuError, match="already running"):
        board.start()
    board.close()
    board.close()
    assert not Path(f"/proc/{pid}").exists()
    board.start()
    assert board.qmp.get("/machine", "type") == "sabrelite-machine"
    board.close()
