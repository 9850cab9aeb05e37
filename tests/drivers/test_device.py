"""Answers are whole or refused, and a "not yet" can't last for ever."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from drivers.device import FIRST_CONVERSION_POLLS, NOWHERE, Place, RegisterDevice, whole
from drivers.errors import Cause, DeviceError


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
