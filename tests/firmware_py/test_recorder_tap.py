"""Taps: every transfer is noted as it was, nothing is changed, the log is bounded."""

from __future__ import annotations

import threading

import pytest

from drivers.bus.can_router import FilteringBus
from drivers.bus.protocol import (
    CanBus,
    CanFrame,
    ClearableBus,
    GpioBus,
    I2cBus,
    ReopenableBus,
    SerialBus,
    SpiBus,
)
from drivers.errors import Cause, DeviceError
from firmware_py.recorder.tap import EXTENDED, CanTap, GpioTap, I2cTap, Op, SerialTap, SpiTap, TapLog


class I2c:
    """Answers with its address, fails at 0x7f."""

    name = "i2c_a"

    def write(self, address: int, data: bytes) -> None:
        if address == 0x7F:
            raise DeviceError(self.name, address, Cause.NACK_ADDRESS)

    def read(self, address: int, count: int) -> bytes:
        self.write(address, b"")
        return bytes([address] * count)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        return self.read(address, count)


class Spi:
    name = "spi0"

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        self.settings = (select, mode, max_hz)

    def transfer(self, select: int, data: bytes) -> bytes:
        if select:
            raise DeviceError(self.name, select, Cause.TIMEOUT)
        return data[::-1]


class Can:
    name = "can0"

    def __init__(self) -> None:
        self.inbox: list[CanFrame | DeviceError | None] = []
        self.sent: list[CanFrame] = []

    def send(self, frame: CanFrame) -> None:
        self.sent.append(frame)

    def receive(self) -> CanFrame | None:
        item = self.inbox.pop(0) if self.inbox else None
        if isinstance(item, DeviceError):
            raise item
        return item


class Serial:
    name = "uart2"

    def __init__(self) -> None:
        self.inbox: list[bytes] = []

    def write(self, data: bytes) -> None:
        raise DeviceError(self.name, None, Cause.TIMEOUT)

    def read(self, limit: int) -> bytes:
        return self.inbox.pop(0)[:limit] if self.inbox else b""


class Gpio:
    name = "gpio"

    def set(self, line: str, level: bool) -> None:
        if line == "none":
            raise DeviceError(self.name, None, Cause.ABSENT)

    def get(self, line: str) -> bool:
        self.set(line, False)
        return line == "high"


def test_each_bus_gets_the_tap_of_its_kind_and_stays_that_bus() -> None:
    log = TapLog()
    taps = [log.tap(bus) for bus in (I2c(), Spi(), Can(), Serial(), Gpio())]
    assert [type(tap) for tap in taps] == [I2cTap, SpiTap, CanTap, SerialTap, GpioTap]
    for tap, protocol in zip(taps, (I2cBus, SpiBus, CanBus, SerialBus, GpioBus), strict=True):
        assert isinstance(tap, protocol)
    assert log.names == ["i2c_a", "spi0", "can0", "uart2", "gpio"]


def test_a_name_twice_and_what_is_no_bus_are_refused() -> None:
    log = TapLog()
    log.tap(I2c())
    with pytest.raises(ValueError, match="i2c_a"):
        log.tap(I2c())
    with pytest.raises(TypeError, match="int"):
        log.tap(type("int", (), {"name": "x"})())  # type: ignore[call-overload]


def test_i2c_transfers_and_their_faults_are_noted() -> None:
    log = TapLog()
    bus = log.tap(I2c())
    bus.write(0x40, b"\x01\x02")
    assert bus.read(0x41, 2) == b"\x41\x41"
    assert bus.write_read(0x42, b"\x05", 1) == b"\x42"
    for call in (lambda: bus.write(0x7F, b"\x09"), lambda: bus.read(0x7F, 1), lambda: bus.write_read(0x7F, b"\x08", 1)):
        with pytest.raises(DeviceError):
            call()
    assert log.take() == [
        (0, Op.I2C_WRITE, 0x40, b"\x01\x02", None, None),
        (0, Op.I2C_READ, 0x41, b"", b"\x41\x41", None),
        (0, Op.I2C_WRITE_READ, 0x42, b"\x05", b"\x42", None),
        (0, Op.I2C_WRITE, 0x7F, b"\x09", None, "nack_address"),
        (0, Op.I2C_READ, 0x7F, b"", None, "nack_address"),
        (0, Op.I2C_WRITE_READ, 0x7F, b"\x08", None, "nack_address"),
    ]
    assert log.take() == []


def test_spi_and_gpio_are_noted() -> None:
    log = TapLog()
    spi, gpio = log.tap(Spi()), log.tap(Gpio())
    spi.configure(0, 3, 1_000_000)
    assert spi.transfer(0, b"\x01\x02") == b"\x02\x01"
    with pytest.raises(DeviceError):
        spi.transfer(1, b"\x01")
    gpio.set("arm", True)
    assert gpio.get("high")
    assert not gpio.get("low")
    for call in (lambda: gpio.set("none", True), lambda: gpio.get("none")):
        with pytest.raises(DeviceError):
            call()
    assert log.take() == [
        (0, Op.SPI_CONFIGURE, 0, b"\x03\x40\x42\x0f\x00", None, None),
        (0, Op.SPI_TRANSFER, 0, b"\x01\x02", b"\x02\x01", None),
        (0, Op.SPI_TRANSFER, 1, b"\x01", None, "timeout"),
        (1, Op.GPIO_SET, "arm", b"\x01", None, None),
        (1, Op.GPIO_GET, "high", b"", b"\x01", None),
        (1, Op.GPIO_GET, "low", b"", b"\x00", None),
        (1, Op.GPIO_SET, "none", b"\x01", None, "absent"),
        (1, Op.GPIO_GET, "none", b"", None, "absent"),
    ]


def test_empty_polls_are_not_stored_but_counted_on_the_next_reception() -> None:
    log = TapLog()
    inner = Can()
    bus = log.tap(inner)
    inner.inbox = [None, None, CanFrame(0x190, b"a"), None, CanFrame(0x1234, b"b", True), None,
                   DeviceError("can0", None, Cause.BUS_OFF)]
    for _ in range(6):
        bus.receive()
    with pytest.raises(DeviceError):
        bus.receive()
    bus.receive()
    bus.send(CanFrame(0x1234, b"c", True))
    inner.inbox = [CanFrame(0x191, b"d")]
    bus.receive()
    assert log.take() == [
        (0, Op.CAN_RECEIVE, 0x190, 2, b"a", None),
        (0, Op.CAN_RECEIVE, 0x1234 | EXTENDED, 1, b"b", None),
        (0, Op.CAN_RECEIVE, None, 1, None, "bus_off"),
        (0, Op.CAN_SEND, 0x1234 | EXTENDED, b"c", None, None),
        (0, Op.CAN_RECEIVE, 0x191, 0, b"d", None),
    ]


def test_empty_polls_do_not_reach_into_the_next_tick() -> None:
    log = TapLog()
    inner = Serial()
    bus = log.tap(inner)
    assert bus.read(64) == b""
    assert log.take() == []
    inner.inbox = [b"\xa5\x5a"]
    assert bus.read(64) == b"\xa5\x5a"
    with pytest.raises(DeviceError):
        bus.write(b"x")
    assert log.take() == [
        (0, Op.SERIAL_READ, None, 0, b"\xa5\x5a", None), (0, Op.SERIAL_WRITE, None, b"x", None, "timeout"),
    ]


def test_a_log_that_nobody_takes_stays_bounded_and_says_so() -> None:
    log = TapLog(capacity=10)
    bus = log.tap(I2c())
    for number in range(25):
        bus.write(0x40, bytes([number]))
    assert [row[3] for row in log.take()] == [bytes([number]) for number in range(15, 25)]
    assert log.overflows == 1
    with pytest.raises(ValueError, match="capacity"):
        TapLog(0)


# -- what is done to a bus as a whole


class Recoverable(I2c):
    """Can be cleared and opened anew; fails to with ``cause``."""

    name = "i2c_b"

    def __init__(self) -> None:
        self.cause: Cause | None = None
        self.done: list[str] = []

    def clear_bus(self) -> None:
        self.done.append("clear")
        if self.cause is not None:
            raise DeviceError(self.name, None, self.cause)

    def reopen(self) -> None:
        self.done.append("reopen")
        if self.cause is not None:
            raise DeviceError(self.name, None, self.cause)


def test_clearing_and_reopening_are_noted_with_how_they_ended() -> None:
    log = TapLog()
    inner = Recoverable()
    bus = log.tap(inner)
    assert isinstance(bus, ClearableBus)
    assert isinstance(bus, ReopenableBus)
    bus.clear_bus()
    bus.reopen()
    inner.cause = Cause.STUCK_BUS
    for action in (bus.clear_bus, bus.reopen):
        with pytest.raises(DeviceError) as refused:
            action()
        assert refused.value.cause is Cause.STUCK_BUS
    assert inner.done == ["clear", "reopen"] * 2
    assert log.take() == [
        (0, Op.BUS_CLEAR, None, b"", None, None), (0, Op.BUS_REOPEN, None, b"", None, None),
        (0, Op.BUS_CLEAR, None, b"", None, "stuck_bus"), (0, Op.BUS_REOPEN, None, b"", None, "stuck_bus"),
    ]


def test_what_a_bus_can_not_do_is_refused_as_protocol_and_noted() -> None:
    log = TapLog()
    i2c, serial = log.tap(I2c()), log.tap(Serial())
    for action in (i2c.clear_bus, i2c.reopen, serial.reopen):
        with pytest.raises(DeviceError) as refused:
            action()
        assert refused.value.cause is Cause.PROTOCOL
    assert [(row[0], row[1], row[5]) for row in log.take()] == [
        (0, Op.BUS_CLEAR, "protocol"), (0, Op.BUS_REOPEN, "protocol"), (1, Op.BUS_REOPEN, "protocol"),
    ]
    assert not isinstance(serial, ClearableBus)


def test_filters_go_through_to_a_bus_that_has_them_and_are_no_transfer() -> None:
    class Filtering(Can):
        name = "can1"
        ids: object = None

        def set_filters(self, can_ids: object) -> None:
            self.ids = can_ids

    log = TapLog()
    inner = Filtering()
    tap = log.tap(inner)
    assert isinstance(tap, FilteringBus)
    tap.set_filters({0x351})
    assert inner.ids == {0x351}
    log.tap(Can()).set_filters({0x351})
    assert log.take() == []


def test_what_another_thread_adds_during_a_take_is_in_the_next() -> None:
    log = TapLog()
    bus = log.tap(I2c())
    stop = threading.Event()
    written = 0

    def recover() -> None:
        nonlocal written
        while not stop.is_set():
            bus.write(0x40, b"\x01")
            written += 1

    thread = threading.Thread(target=recover)
    thread.start()
    taken = 0
    while taken < 2000:
        taken += len(log.take())
    stop.set()
    thread.join()
    assert taken + len(log.take()) == written
    assert log.overflows == 0
