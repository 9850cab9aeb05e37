"""SMBus: packet error codes against the catalogue, retries of reads only, blocks in one transaction."""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.device import Setting
from drivers.errors import Cause, DeviceError
from drivers.smbus import READ_RETRIES, SmbusDevice, crc8
from tests.drivers.scripted import SmbusBank, crc8_bitwise, refusal, run

ADDRESS = 0x10


class Part(SmbusBank):
    """Answers commands with packet error codes; remembers how many bytes were asked for."""

    address = ADDRESS

    def __init__(self, answers: dict[int, bytes], pec: bool = True) -> None:
        super().__init__(pec)
        self.words = answers
        self.lengths: list[int] = []

    def answer(self, data: bytes, count: int) -> bytes:
        self.lengths.append(count)
        return super().answer(data, count)


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


def test_the_catalogue_s_check_value() -> None:
    assert crc8(b"123456789") == 0xF4  # CRC-8/SMBUS


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=40), st.integers(0, 40))
def test_table_and_bitwise_code_agree_also_when_continued(data: bytes, cut: int) -> None:
    assert crc8(data) == crc8_bitwise(data)
    assert crc8(data[cut:], crc8(data[:cut])) == crc8_bitwise(data)
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
    bus = Part({0x99: answer}, pec)
    assert refusal(bus, Reader(bus, ADDRESS, pec).block(0x99, 4)) is Cause.PROTOCOL


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
    assert refusal(bus, device.word(0x88)) is Cause.CHECKSUM
    assert bus.transactions == READ_RETRIES + 1


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_equal_bits_have_no_right_code(fill: bytes) -> None:
    class Dead(Part):
        def answer(self, data: bytes, count: int) -> bytes:
            return fill * count

    bus = Dead({})
    assert refusal(bus, Reader(bus, ADDRESS, True).word(0x88)) is Cause.CHECKSUM


def test_other_errors_are_not_repeated() -> None:
    class Absent(Part):
        def answer(self, data: bytes, count: int) -> bytes:
            raise DeviceError(self.name, self.address, Cause.NACK_ADDRESS)

    bus = Absent({})
    assert refusal(bus, Reader(bus, ADDRESS, True).word(0x88)) is Cause.NACK_ADDRESS
    assert bus.transactions == 1


def test_writes_carry_the_code_and_are_sent_once() -> None:
    bus = Part({})
    device = Reader(bus, ADDRESS, True)
    device.put(0x01, b"\x80")
    device.send(0x03)
    assert [message[:-1] for message in bus.history] == [b"\x01\x80", b"\x03"]


def test_a_refused_write_is_not_repeated() -> None:
    class Refusing(Part):
        def take(self, data: bytes) -> None:
            raise DeviceError(self.name, self.address, Cause.NACK_DATA)

    bus = Refusing({})
    with pytest.raises(DeviceError):
        Reader(bus, ADDRESS, True).put(0x01, b"\x80")
    assert len(bus.history) == 1


def test_configuration_and_scrub_carry_the_code_too() -> None:
    bus = Part({})
    device = Reader(bus, ADDRESS, True)
    run(bus, device.configure(Setting("limit", 0x4A, b"\x4e\x0e")))
    assert bus.words[0x4A] == b"\x4e\x0e"
    bus.words[0x4A] = b"\xff\x0f"
    with pytest.raises(DeviceError) as caught:
        device.scrub()
    assert caught.value.cause is Cause.RESET
