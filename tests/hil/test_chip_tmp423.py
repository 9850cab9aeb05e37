"""The simulated TMP423 codes both ranges, marks a broken diode, and comes back from a reset in standard range."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.tmp423 import Tmp423


def read(chip: Tmp423, register: int, count: int = 1) -> bytes:
    chip.write(bytes((register,)))
    return chip.read(count)


def word(chip: Tmp423, channel: int) -> int:
    return int.from_bytes(read(chip, channel, 2), "big", signed=True)


def test_identity_and_reset_values() -> None:
    chip = Tmp423()
    expected = {0x08: 0, 0x09: 0x00, 0x0A: 0x7C, 0x0B: 0x07, 0x21: 0, 0x22: 0, 0x23: 0, 0xFE: 0x55, 0xFF: 0x23}
    assert {register: read(chip, register)[0] for register in expected} == expected
    chip.write(b"\x09\x04")
    assert read(chip, 0x09) == b"\x04"
    chip.write(b"\xfc\x00")
    assert {register: read(chip, register)[0] for register in expected} == expected
    chip.write(b"\x0b\x03")
    chip.reset()
    assert read(chip, 0x0B) == b"\x07"


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(-55.0, 127.0), st.integers(0, 3))
def test_standard_range(celsius: float, channel: int) -> None:
    chip = Tmp423()
    chip.set_celsius(channel, celsius)
    assert abs(word(chip, channel) / 256.0 - celsius) <= 1 / 32
    assert read(chip, channel) + read(chip, 0x10 + channel) == read(chip, channel, 2)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(-55.0, 150.0))
def test_extended_range_adds_64_degrees(celsius: float) -> None:
    chip = Tmp423()
    chip.write(b"\x09\x04")
    chip.celsius[2] = celsius
    assert abs((word(chip, 2) & 0xFFFF) / 256.0 - 64.0 - celsius) <= 1 / 32


@pytest.mark.parametrize(
    ("config", "celsius", "code"),
    [(0, 200.0, b"\x7f\xf0"), (0, -100.0, b"\xc0\x00"), (4, 300.0, b"\xff\xf0"), (4, -100.0, b"\x00\x00")],
)
def test_temperatures_beyond_the_code_saturate(config: int, celsius: float, code: bytes) -> None:
    chip = Tmp423()
    chip.write(bytes((0x09, config)))
    chip.set_celsius(1, celsius)
    assert read(chip, 1, 2) == code


def test_open_diode_sets_its_bit_on_its_channel_only() -> None:
    chip = Tmp423()
    chip.open_diode[2] = True
    assert [read(chip, 0x10 + channel)[0] & 1 for channel in range(4)] == [0, 0, 1, 0]
    chip.open_diode[2] = False
    assert read(chip, 0x12)[0] & 1 == 0


@pytest.mark.parametrize(("config", "code"), [(0, b"\xc0\x00"), (4, b"\x00\x00")])
def test_shorted_diode_reads_the_lowest_code(config: int, code: bytes) -> None:
    chip = Tmp423()
    chip.write(bytes((0x09, config)))
    chip.shorted_diode[1] = True
    assert read(chip, 1, 2) == code


def test_shut_down_chip_keeps_its_values_until_a_one_shot() -> None:
    chip = Tmp423()
    chip.write(b"\x0f\x00")
    chip.write(b"\x09\x40")
    chip.set_celsius(0, 50.0)
    assert word(chip, 0) == 25 * 256
    chip.write(b"\x0f\x00")
    assert word(chip, 0) == 50 * 256


def test_switched_off_channel_keeps_its_value() -> None:
    chip = Tmp423()
    chip.write(b"\x0a\x6c")  # remote 1 off
    chip.celsius[:] = [40.0] * 4
    assert [word(chip, channel) // 256 for channel in range(4)] == [40, 25, 40, 40]


def test_read_only_registers_keep_their_value_and_the_line_idles_high() -> None:
    chip = Tmp423()
    for register in (0x00, 0x08, 0xFE, 0xFF):
        before = read(chip, register)
        chip.write(bytes((register, 0x12)))
        assert read(chip, register) == before
    assert read(chip, 0xFE, 3) == b"\x55\xff\xff"
