"""SMBus: packet error codes against the catalogue, retries of reads only, blocks in one transaction."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Setting
from drivers.errors import Cause, DeviceError
from drivers.smbus import READ_RETRIES, SmbusDevice, crc8

ADDRESS = 0x10


def crc(data: bytes) -> int:
    """CRC-8, polynomial 07h, bit by bit (SMBus 3.1, section 6.4)."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07 if value & 0x80 else value << 1) & 0xFF
    return value


class Part:
    """Answers commands with packet error codes; spoils as many of them as it is told."""

    name = "i2c_a"

    def __init__(self, answers: dict[int, bytes], pec: bool = True) -> None:
        self.answers = answers
        self.pec = pec
        self.spoil = 0
        self.written: list[bytes] = []
        self.lengths: list[int] = []

    @property
    def transactions(self) -> int:
        return len(self.written) + len(self.lengths)

    def write(self, address: int, data: bytes) -> None:
        assert address == ADDRESS
        self.written.append(bytes(data))
        if self.pec:
            assert crc(bytes((ADDRESS << 1,)) + data) == 0
            data = data[:-1]
        if len(data) > 1:
            self.answers[data[0]] = bytes(data[1:])

    def read(self, address: int, count: int) -> bytes:
        raise AssertionError("SMBus reads have a command")

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        assert address == ADDRESS
        self.lengths.append(count)
        answer = self.answers[data[0]]
        if self.pec:
            code = crc(bytes((ADDRESS << 1, data[0], ADDRESS << 1 | 1)) + answer)
            if self.spoil:
                self.spoil -= 1
                code ^= 0x10
            answer += bytes((code,))
        return answer[:count].ljust(count, b"\xff")


class Reader(SmbusDevice):
    """Opens the transactions to the test."""

    def byte(self, command: int) -> Generator[None, None, int]:
        return self._fetch_byte(command)

    def word(self, command: int) -> Generator[None, None, int]:
        return self._fetch_word(command)

    def block(self, command: int, longest: int) -> Generator[None, None, bytes]:
        return self._fetch_block(command, longest)

    def put(self, command: int, data: bytes) -> None:
        self._write(command, data)

    def send(self, command: int) -> None:
        self._send(command)

    def configure(self, setting: Setting) -> Generator[None, None, None]:
        return self._configure((setting,))

    def scrub(self) -> None:
        self._scrub()


def run(bus: Part, steps: Generator[None, None, Any]) -> Any:
    while True:
        before = bus.transactions
        try:
            next(steps)
        except StopIteration as done:
            assert bus.transactions == before + 1
            return done.value
        assert bus.transactions == before + 1


def refusal(steps: Generator[None, None, Any]) -> Cause:
    with pytest.raises(DeviceError) as caught:
        for _ in steps:
            pass
    assert (caught.value.bus, caught.value.address) == ("i2c_a", ADDRESS)
    return caught.value.cause


def test_the_catalogue_s_check_value() -> None:
    assert crc8(b"123456789") == 0xF4  # CRC-8/SMBUS


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=40), st.integers(0, 40))
def test_table_and_bitwise_code_agree_also_when_continued(data: bytes, cut: int) -> None:
    assert crc8(data) == crc(data)
    assert crc8(data[cut:], crc8(data[:cut])) == crc(data)
    assert crc8(data + bytes((crc8(data),))) == 0


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(min_size=1, max_size=16), st.integers(0, 127))
def test_a_single_flipped_bit_is_always_seen(data: bytes, bit: int) -> None:
    message = bytearray(data + bytes((crc8(data),)))
    message[bit // 8 % len(message)] ^= 1 << bit % 8
    assert crc8(message) != 0


@pytest.mark.parametrize("pec", [True, False])
def test_words_are_little_endian_and_bytes_are_bytes(pec: bool) -> None:
    bus = Part({0x88: b"\x65\x07", 0x20: b"\x40"}, pec)
    device = Reader(bus, ADDRESS, pec)
    assert run(bus, device.word(0x88)) == 0x0765
    assert run(bus, device.byte(0x20)) == 0x40
    assert bus.lengths == ([3, 2] if pec else [2, 1])


@pytest.mark.parametrize("pec", [True, False])
def test_a_block_is_one_transaction_of_the_longest_length(pec: bool) -> None:
    bus = Part({0x99: b"\x03ADI"}, pec)
    device = Reader(bus, ADDRESS, pec)
    assert run(bus, device.block(0x99, 16)) == b"ADI"
    assert bus.lengths == [18 if pec else 17]


@pytest.mark.parametrize("answer", [b"\x00", b"\x05ADMXX", b"\xff\xff\xff\xff"])
@pytest.mark.parametrize("pec", [True, False])
def test_an_impossible_byte_count_is_refused(answer: bytes, pec: bool) -> None:
    device = Reader(Part({0x99: answer}, pec), ADDRESS, pec)
    assert refusal(device.block(0x99, 4)) is Cause.PROTOCOL


@pytest.mark.parametrize("spoilt", range(READ_RETRIES + 1))
def test_a_read_is_repeated_until_its_code_is_right_one_transaction_a_resume(spoilt: int) -> None:
    bus = Part({0x88: b"\x34\x12", 0x99: b"\x02AB"})
    device = Reader(bus, ADDRESS, True)
    bus.spoil = spoilt
    assert run(bus, device.word(0x88)) == 0x1234
    bus.spoil = spoilt
    assert run(bus, device.block(0x99, 8)) == b"AB"
    assert device.pec_retries == 2 * spoilt


def test_after_two_retries_a_wrong_code_is_an_error() -> None:
    bus = Part({0x88: b"\x34\x12"})
    device = Reader(bus, ADDRESS, True)
    bus.spoil = 99
    assert refusal(device.word(0x88)) is Cause.CHECKSUM
    assert bus.transactions == READ_RETRIES + 1


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_equal_bits_have_no_right_code(fill: bytes) -> None:
    class Dead(Part):
        def write_read(self, address: int, data: bytes, count: int) -> bytes:
            return fill * count

    assert refusal(Reader(Dead({}), ADDRESS, True).word(0x88)) is Cause.CHECKSUM


def test_other_errors_are_not_repeated() -> None:
    class Absent(Part):
        def write_read(self, address: int, data: bytes, count: int) -> bytes:
            self.lengths.append(count)
            raise DeviceError("i2c_a", address, Cause.NACK_ADDRESS)

    bus = Absent({})
    assert refusal(Reader(bus, ADDRESS, True).word(0x88)) is Cause.NACK_ADDRESS
    assert bus.transactions == 1


def test_writes_carry_the_code_and_are_sent_once() -> None:
    bus = Part({})
    device = Reader(bus, ADDRESS, True)
    device.put(0x01, b"\x80")
    device.send(0x03)
    assert [message[:-1] for message in bus.written] == [b"\x01\x80", b"\x03"]


def test_a_refused_write_is_not_repeated() -> None:
    class Refusing(Part):
        def write(self, address: int, data: bytes) -> None:
            self.written.append(bytes(data))
            raise DeviceError("i2c_a", address, Cause.NACK_DATA)

    bus = Refusing({})
    with pytest.raises(DeviceError):
        Reader(bus, ADDRESS, True).put(0x01, b"\x80")
    assert len(bus.written) == 1


def test_configuration_and_scrub_carry_the_code_too() -> None:
    bus = Part({})
    device = Reader(bus, ADDRESS, True)
    run(bus, device.configure(Setting("limit", 0x4A, b"\x4e\x0e")))
    assert bus.answers[0x4A] == b"\x4e\x0e"
    bus.answers[0x4A] = b"\xff\x0f"
    with pytest.raises(DeviceError) as caught:
        device.scrub()
    assert caught.value.cause is Cause.RESET
