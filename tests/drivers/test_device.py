"""Answers are whole or refused, and a "not yet" can't last for ever."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from drivers.device import (
    FIRST_CONVERSION_POLLS,
    NOWHERE,
    ConfiguredDevice,
    Place,
    RegisterDevice,
    Setting,
    whole,
)
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import WordBank, causes, refusal, run


class ShortBus:
    name = "i2c_x"

    def write(self, address: int, data: bytes) -> None:
        """Accept anything."""

    def read(self, address: int, count: int) -> bytes:
        return bytes(count)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        return bytes(count - 1)


class Probe(RegisterDevice):
    """Opens the helpers to the test."""

    def look(self) -> bytes:
        return self._read(0x10, 2)

    def wait(self) -> None:
        self._await_first_conversion()

    def not_yet(self) -> None:
        self._not_converted()

    def configure(self) -> Generator[None, None, None]:
        yield from self._write_verified(0x01, b"\x12\x34", "setting")


class Bank(WordBank):
    """Three registers of two bytes, of which one may keep what it has."""

    address = 0x44

    def __init__(self) -> None:
        super().__init__()
        self.words = {1: b"\x00\x00", 2: b"\x00\x00", 3: b"\x00\x00"}
        self.deaf: set[int] = set()

    def take(self, data: bytes) -> None:
        if data[0] not in self.deaf:
            super().take(data)


class Ordered(ConfiguredDevice):
    """Opens the helpers to the test; every sample is a look at the configuration."""

    def set_up(self) -> Generator[None, None, None]:
        yield from self._configure((Setting("one", 1, b"\x00\x11"), Setting("two", 2, b"\x00\x22", b"\x00\xff")))

    def order(self, pointer: int, value: bytes) -> Generator[None, None, None]:
        yield from self._order(Setting(f"register {pointer}", pointer, value))

    def acquire(self) -> Generator[None, None, None]:
        if self._scrub_due():
            self._scrub()
        yield from ()


def test_an_order_is_written_once_read_back_and_looked_for_from_then_on() -> None:
    bus = Bank()
    device = Ordered(bus, bus.address, scrub_every=1)
    run(bus, device.set_up())
    before = bus.transactions
    run(bus, device.order(1, b"\x00\x33"))
    run(bus, device.order(3, b"\x00\x44"))
    assert bus.transactions - before == 4
    assert causes(bus, device, 6) == []
    for pointer, ordered in ((1, b"\x00\x33"), (3, b"\x00\x44")):
        bus.words[pointer] = b"\x00\x11"
        assert set(causes(bus, device, 6)) == {Cause.RESET}
        run(bus, device.order(pointer, ordered))
        assert causes(bus, device, 6) == []


def test_an_order_that_does_not_take_is_an_error_and_stays_one_until_the_next_set_up() -> None:
    bus = Bank()
    device = Ordered(bus, bus.address, scrub_every=1)
    run(bus, device.set_up())
    bus.deaf.add(2)
    assert refusal(bus, device.order(2, b"\x00\x55")) is Cause.IMPLAUSIBLE
    assert set(causes(bus, device, 6)) == {Cause.RESET}
    bus.deaf.clear()
    run(bus, device.set_up())
    assert causes(bus, device, 6) == []


def test_a_short_answer_is_refused_with_bus_and_address() -> None:
    with pytest.raises(DeviceError) as caught:
        Probe(ShortBus(), 0x44).look()
    assert (caught.value.bus, caught.value.address, caught.value.cause) == ("i2c_x", 0x44, Cause.SHORT_READ)


def test_a_long_answer_is_refused_too() -> None:
    with pytest.raises(DeviceError):
        whole(b"\x00\x00\x00", 2, NOWHERE)


def test_a_place_names_itself_in_its_error() -> None:
    error = Place("spi0", 1).error(Cause.CHECKSUM, "sum")
    assert str(error) == "spi0@0x01: checksum (sum)"


def test_read_back_is_a_transaction_of_its_own_and_compares() -> None:
    steps = Probe(ShortBus(), 0x44).configure()
    next(steps)
    with pytest.raises(DeviceError) as caught:
        next(steps)
    assert caught.value.cause is Cause.SHORT_READ


def test_waiting_for_the_first_conversion_is_bounded() -> None:
    probe = Probe(ShortBus(), 0x44)
    probe.wait()
    for _ in range(FIRST_CONVERSION_POLLS):
        probe.not_yet()
    with pytest.raises(DeviceError) as caught:
        probe.not_yet()
    assert caught.value.cause is Cause.STALE_COUNTER
    probe.wait()
    probe.not_yet()
