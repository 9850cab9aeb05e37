"""A simulated SMBus chip checks and makes packet error codes, keeps to its commands and says what it refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.smbus import Command, Refusal, SmbusTarget, block, crc8, direct

ADDRESS = 0x2C


class Target(SmbusTarget):
    """Byte 01h and word 02h read-write, block 03h, send byte 04h, read-only word 05h, write-only byte 06h."""

    def __init__(self, *, pec: bool = True, address: int = ADDRESS) -> None:
        super().__init__(address, pec=pec)
        self.kept = {1: b"\x11", 2: b"\x22\x23", 3: b"abc", 6: b"\0"}
        self.sent = 0
        self._commands = {
            1: Command(1, lambda: self.kept[1], lambda data: self._keep(1, data)),
            2: Command(2, lambda: self.kept[2], lambda data: self._keep(2, data)),
            3: Command(None, lambda: block(self.kept[3]), lambda data: self._keep(3, data)),
            4: Command(0, None, self._send),
            5: Command(2, lambda: b"\x34\x12"),
            6: Command(1, None, lambda data: self._keep(6, data)),
        }

    def _keep(self, code: int, data: bytes) -> bool:
        if data == b"\xee":
            return False
        self.kept[code] = data
        return True

    def _send(self, _: bytes) -> bool:
        self.sent += 1
        return True


def pec(*parts: bytes) -> bytes:
    return bytes((crc8(b"".join(parts)),))


WRITE = bytes((ADDRESS << 1,))
READ = bytes((ADDRESS << 1 | 1,))


def test_crc_has_the_published_check_value() -> None:
    assert crc8(b"123456789") == 0xF4  # CRC-8/SMBUS in the RevEng catalogue


def test_read_gives_data_and_the_code_of_the_whole_transfer() -> None:
    target = Target()
    assert target.write(b"\x02")
    assert target.read(3) == b"\x22\x23" + pec(WRITE, b"\x02", READ, b"\x22\x23")
    assert target.pec_reads == 1


def test_read_without_a_code_gives_the_bare_data() -> None:
    target = Target()
    target.write(b"\x05")
    assert target.read(2) == b"\x34\x12"
    assert target.pec_reads == 0


def test_block_read_is_count_data_code() -> None:
    target = Target()
    target.write(b"\x03")
    assert target.read(5) == b"\x03abc" + pec(WRITE, b"\x03", READ, b"\x03abc")


@pytest.mark.parametrize("coded", [False, True])
def test_byte_word_block_and_send_byte_are_taken_with_and_without_a_code(coded: bool) -> None:
    target = Target()
    for message in (b"\x01\x99", b"\x02\x01\x02", b"\x03\x02hi", b"\x04"):
        assert target.write(message + (pec(WRITE, message) if coded else b"")), message
    assert target.kept == {1: b"\x99", 2: b"\x01\x02", 3: b"hi", 6: b"\0"}
    assert target.sent == 1


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 255), st.integers(0, 7))
def test_any_flipped_bit_of_a_coded_write_is_refused_and_counted(value: int, bit: int) -> None:
    for position in range(3):
        target = Target()
        message = bytearray(b"\x01" + bytes((value,)) + pec(WRITE, b"\x01" + bytes((value,))))
        message[position] ^= 1 << bit
        if message[0] != 1:  # another command: another length
            continue
        assert not target.write(bytes(message))
        assert target.kept[1] == b"\x11"
        assert target.pec_errors == 1
        assert target.refused is Refusal.PACKET_ERROR


def test_the_address_is_part_of_the_code() -> None:
    target = Target(address=0x2D)
    assert not target.write(b"\x01\x99" + pec(WRITE, b"\x01\x99"))


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"\x7f", Refusal.UNSUPPORTED_COMMAND),
        (b"\x02\x01", Refusal.TOO_FEW_BYTES),
        (b"\x01\x01\x02\x03", Refusal.TOO_MANY_BYTES),
        (b"\x05\x01\x02", Refusal.READ_ONLY),
        (b"\x01\xee", Refusal.INVALID_DATA),
    ],
)
def test_refused_writes_are_not_acknowledged_and_change_nothing(message: bytes, why: Refusal) -> None:
    target = Target()
    before = dict(target.kept)
    assert not target.write(message)
    assert target.refused is why
    assert target.kept == before


def test_refused_reads_are_ones() -> None:
    target = Target()
    assert target.read(2) == b"\xff\xff"
    assert target.refused is Refusal.READ_WITHOUT_COMMAND
    target.write(b"\x06")
    assert target.read(2) == b"\xff\xff"
    assert target.refused is Refusal.WRITE_ONLY
    target.write(b"\x05")
    assert target.read(5)[3:] == b"\xff\xff"
    assert target.refused is Refusal.READ_PAST_END


def test_a_part_without_codes_takes_one_for_a_byte_too_many_and_gives_ones() -> None:
    target = Target(pec=False)
    assert not target.write(b"\x01\x99" + pec(WRITE, b"\x01\x99"))
    assert target.refused is Refusal.TOO_MANY_BYTES
    target.write(b"\x05")
    assert target.read(3) == b"\x34\x12\xff"


def test_wrong_codes_are_counted_down() -> None:
    target = Target()
    target.wrong_pecs = 1
    good = pec(WRITE, b"\x05", READ, b"\x34\x12")
    target.write(b"\x05")
    assert target.read(3)[2:] != good
    target.write(b"\x05")
    assert target.read(3)[2:] == good
    target.wrong_pecs = -1
    for _ in range(3):
        target.write(b"\x05")
        assert target.read(3)[2:] != good


def test_direct_format_of_the_standard_s_equation() -> None:
    assert direct(3.465, 1.0, 0.0, 3) == pytest.approx(3465.0)
    assert direct(16.0, 807.0, 20475.0, -1) == pytest.approx(3338.7)


def test_reserved_addresses_are_refused() -> None:
    with pytest.raises(ValueError, match="reserved"):
        Target(address=0x03)
