"""The simulated MB85RC256V keeps what it acknowledged, wraps at its end, and dies at exactly the byte it was told."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.errors import Cause, DeviceError
from hil.bus.i2c import SimI2cBus
from hil.chips.mb85rc256v import SIZE, Mb85rc256v


def at(address: int) -> bytes:
    return address.to_bytes(2, "big")


def read(chip: Mb85rc256v, address: int, count: int) -> bytes:
    assert chip.write(at(address))
    return chip.read(count)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, SIZE - 1), st.binary(min_size=1, max_size=300))
def test_every_byte_is_read_where_it_was_written(address: int, data: bytes) -> None:
    chip = Mb85rc256v()
    assert chip.write(at(address) + data)
    assert read(chip, address, len(data)) == data
    for offset, byte in enumerate(data):
        assert chip.memory[(address + offset) % SIZE] == byte
    assert sum(map(bool, chip.memory)) == sum(map(bool, data)), "nothing else changed"


def test_the_end_of_the_memory_wraps_to_its_beginning() -> None:
    chip = Mb85rc256v()
    chip.write(b"\x7f\xfe\x01\x02\x03\x04")
    assert bytes(chip.memory[:2]) == b"\x03\x04"
    assert bytes(chip.memory[-2:]) == b"\x01\x02"
    assert read(chip, 0x7FFE, 4) == b"\x01\x02\x03\x04"


def test_the_highest_address_bit_is_not_used() -> None:
    chip = Mb85rc256v()
    chip.write(b"\x80\x05\xaa")
    assert chip.memory[5] == 0xAA
    assert read(chip, 0x8005, 1) == read(chip, 5, 1) == b"\xaa"


def test_reads_go_on_where_the_last_access_ended() -> None:
    chip = Mb85rc256v()
    chip.memory[0x100:0x106] = b"abcdef"
    assert read(chip, 0x100, 2) == b"ab"
    assert chip.read(1) + chip.read(2) == b"cde"
    chip.write(b"\x00\x20Z")
    chip.memory[0x21] = 0x77
    assert chip.read(1) == b"\x77", "after a write, behind the last byte written"
    chip.write(b"\x01")
    assert chip.read(1) == b"\x00", "half an address changes nothing"


def test_write_protection_acknowledges_and_keeps_the_cells() -> None:
    chip = Mb85rc256v()
    chip.write_protected = True
    assert chip.write(b"\x00\x00\x55")
    assert (chip.memory[0], chip.written) == (0, 0)


@pytest.mark.parametrize("survives", range(6))
def test_a_power_cut_in_the_middle_keeps_the_bytes_before_it(survives: int) -> None:
    chip = Mb85rc256v()
    chip.memory[:5] = b"OLD!!"
    chip.dies_after = survives
    assert chip.write(b"\x00\x00" + b"new..") is (survives >= 5)
    assert bytes(chip.memory[:5]) == b"new.."[:survives] + b"OLD!!"[survives:]
    assert chip.powered is (survives >= 5)


def test_bytes_until_the_cut_are_counted_over_several_writes() -> None:
    chip = Mb85rc256v()
    chip.dies_after = 3
    assert chip.write(b"\x00\x00ab")
    assert read(chip, 0, 2) == b"ab", "reads and addresses don't count"
    assert not chip.write(b"\x00\x02cd")
    assert not chip.write(b"\x00\x00")
    assert chip.read(2) == b"\xff\xff"
    chip.reset()
    assert read(chip, 0, 4) == b"abc\x00"
    assert chip.write(b"\x00\x03d")


def test_a_bus_reports_the_dead_chip() -> None:
    chip = Mb85rc256v()
    bus = SimI2cBus("i2c_b")
    bus.attach(0x50, chip)
    chip.dies_after = 0
    with pytest.raises(DeviceError) as caught:
        bus.write(0x50, b"\x00\x00\x01")
    assert caught.value.cause is Cause.NACK_DATA


def test_an_upset_flips_one_bit_and_survives_a_reset() -> None:
    chip = Mb85rc256v()
    chip.write(b"\x12\x34\x0f")
    chip.upset(0x1234, 7)
    chip.reset()
    assert read(chip, 0x1233, 3) == b"\x00\x8f\x00"
    chip.upset(0x1234, 7)
    assert read(chip, 0x1234, 1) == b"\x0f"
