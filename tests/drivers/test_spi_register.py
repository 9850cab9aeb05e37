"""SPI registers: pointer bits, clock before the first transfer, whole answers, read-back and scrub of a table."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from drivers.device import Access, Register, Setting
from drivers.errors import Cause, DeviceError
from drivers.spi_register import SpiRegisterDevice

FIRST = Register("first", 0x10, 1, Access.WRITE)
PAIR = Register("pair", 0x20, 2)
TABLE = (Setting("first", 0x10, b"\x5a"), Setting("second", 0x11, b"\x81", b"\xf0"))


class Bank:
    """A part with auto-increment; reads carry bit 80h."""

    name = "spi1"

    def __init__(self) -> None:
        self.log: list[object] = []
        self.memory = bytearray(128)
        self.sticky: dict[int, int] = {}
        self.short = 0

    def configure(self, select: int, mode: int, max_hz: int) -> None:
        self.log.append((select, mode, max_hz))

    def transfer(self, select: int, data: bytes) -> bytes:
        self.log.append(data)
        pointer = data[0] & 0x7F
        if data[0] & 0x80:
            answer = b"\x00" + bytes(self.memory[pointer : pointer + len(data) - 1])
            return answer[: len(answer) - self.short]
        self.memory[pointer : pointer + len(data) - 1] = data[1:]
        for at, value in self.sticky.items():
            self.memory[at] = value
        return bytes(len(data))


class Part(SpiRegisterDevice):
    """Opens the helpers to the test."""

    def configure(self) -> Generator[None, None, None]:
        yield from self._configure(TABLE)

    def sample(self) -> bool:
        if self._scrub_due():
            self._scrub()
            return True
        return False


def part(bank: Bank, scrub_every: int = 0) -> Part:
    return Part(bank, 2, mode=3, max_hz=5_000_000, scrub_every=scrub_every)


def finish(steps: Generator[None, None, None]) -> int:
    return sum(1 for _ in steps) + 1


def test_the_clock_is_set_once_and_before_the_first_transfer() -> None:
    bank = Bank()
    device = part(bank)
    assert bank.log == []
    device.read_register(PAIR)
    device.read_register(PAIR)
    assert bank.log == [(2, 3, 5_000_000), b"\xa0\x00\x00", b"\xa0\x00\x00"]


def test_a_read_sets_the_read_bit_and_a_write_does_not() -> None:
    bank = Bank()
    device = part(bank)
    device.write_register(FIRST, b"\x42")
    assert device.read_register(FIRST) == b"\x42"
    assert bank.log[1:] == [b"\x10\x42", b"\x90\x00"]


def test_bits_of_read_and_write_are_the_part_s_own() -> None:
    bank = Bank()
    device = SpiRegisterDevice(bank, 0, mode=1, max_hz=1, read_bits=0x00, write_bits=0x80)
    device.write_register(FIRST, b"\x42")
    assert bank.log[1:] == [b"\x90\x42"]


def test_the_bench_cannot_write_what_is_read_only_or_of_another_length() -> None:
    for register, data in ((PAIR, b"\x00\x00"), (FIRST, b"\x00\x00")):
        with pytest.raises(DeviceError) as caught:
            part(Bank()).write_register(register, data)
        assert (caught.value.bus, caught.value.address, caught.value.cause) == ("spi1", 2, Cause.PROTOCOL)


def test_a_short_answer_is_refused() -> None:
    bank = Bank()
    bank.short = 1
    with pytest.raises(DeviceError) as caught:
        part(bank).read_register(PAIR)
    assert caught.value.cause is Cause.SHORT_READ


def test_a_table_is_written_with_read_back() -> None:
    bank = Bank()
    assert finish(part(bank).configure()) == 4
    assert (bank.memory[0x10], bank.memory[0x11]) == (0x5A, 0x81)


def test_a_register_that_does_not_hold_is_refused_but_masked_bits_may_differ() -> None:
    bank = Bank()
    bank.sticky = {0x11: 0x8F}
    finish(part(bank).configure())
    bank.sticky = {0x10: 0x00}
    with pytest.raises(DeviceError) as caught:
        finish(part(bank).configure())
    assert caught.value.cause is Cause.IMPLAUSIBLE


def test_scrub_looks_at_each_register_in_turn_and_reports_a_lost_one_until_it_is_right() -> None:
    bank = Bank()
    device = part(bank, scrub_every=3)
    finish(device.configure())
    assert [device.sample() for _ in range(6)] == [False, False, True] * 2
    bank.memory[0x10] = 0x00
    assert not device.sample()
    assert not device.sample()
    for _ in range(2):
        with pytest.raises(DeviceError) as caught:
            device.sample()
        assert caught.value.cause is Cause.RESET
    bank.memory[0x10] = 0x5A
    assert device.sample()
    assert not device.sample()
