"""The CRCs agree with published values and find every single flipped bit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.checksum import crc8_ld06, crc16_ccitt_false
from tests.drivers.scripted import crc8_bitwise


def test_check_value_of_the_catalogue() -> None:
    assert crc16_ccitt_false(b"123456789") == 0x29B1


def test_nothing_at_all_is_the_initial_value() -> None:
    assert crc16_ccitt_false(b"") == 0xFFFF


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.binary(min_size=1, max_size=40), bit=st.integers(0, 319))
def test_one_flipped_bit_changes_it(data: bytes, bit: int) -> None:
    index, shift = divmod(bit % (8 * len(data)), 8)
    flipped = bytearray(data)
    flipped[index] ^= 1 << shift
    assert crc16_ccitt_false(flipped) != crc16_ccitt_false(data)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(data=st.binary(max_size=64))
def test_equals_the_bitwise_definition(data: bytes) -> None:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    assert crc16_ccitt_false(data) == crc


EXAMPLE = bytes.fromhex(
    "542c6808ab7ee000e4dc00e2d900e5d500e3d300e4d000e9cd00e4ca00e2c700e9c500e5c200e5c000e5be823a1a"
)
"""The LD06 manual's packet without its CRC, which is 50h."""


def test_crc8_of_the_lidar_s_manual() -> None:
    assert crc8_ld06(EXAMPLE) == 0x50
    assert crc8_ld06(b"") == 0


@settings(max_examples=50, deadline=None, derandomize=True)
@given(data=st.binary(max_size=64))
def test_crc8_equals_the_bitwise_definition(data: bytes) -> None:
    assert crc8_ld06(data) == crc8_bitwise(data, 0x4D)
