"""The simulated MAX7310 shows real pin levels: the world's on inputs, its own on outputs, inverted where told."""

from __future__ import annotations

import pytest

from hil.chips.max7310 import Max7310


def read(chip: Max7310, register: int) -> int:
    chip.write(bytes((register,)))
    return chip.read(1)[0]


def test_reset_values() -> None:
    chip = Max7310(external=0x0F)
    assert [read(chip, register) for register in range(5)] == [0x0F ^ 0xF0, 0x00, 0xF0, 0xFF, 0x01]
    chip.write(b"\x03\x00")
    chip.write(b"\x01\xff")
    chip.reset()
    assert [read(chip, register) for register in range(5)] == [0x0F ^ 0xF0, 0x00, 0xF0, 0xFF, 0x01]


def test_the_first_read_after_power_on_is_the_input_port() -> None:
    assert Max7310(external=0x00).read(2) == b"\xf0\xf0"


def test_inputs_follow_the_world_and_polarity_inverts_them() -> None:
    chip = Max7310(external=0x00)
    chip.write(b"\x02\x00")
    chip.set_external(3, True)
    assert read(chip, 0) == 0x08
    chip.write(b"\x02\x08")
    assert read(chip, 0) == 0x00
    chip.set_external(3, False)
    assert read(chip, 0) == 0x08


def test_outputs_show_their_own_level_whatever_the_world_says() -> None:
    chip = Max7310(external=0xFF)
    chip.write(b"\x02\x00")
    chip.write(b"\x01\xa0")
    chip.write(b"\x03\x0f")
    assert chip.driven == 0xF0
    assert chip.levels == 0xAF
    assert read(chip, 0) == 0xAF


def test_pin_0_only_drives_low() -> None:
    chip = Max7310(external=0x00)
    chip.write(b"\x02\x00")
    chip.write(b"\x03\xfe")
    chip.write(b"\x01\x01")
    assert chip.driven == 0
    assert read(chip, 0) == 0x00
    chip.external = 0x01
    assert read(chip, 0) == 0x01
    chip.write(b"\x01\x00")
    assert read(chip, 0) == 0x00


def test_a_stuck_pin_does_not_follow_its_driver() -> None:
    chip = Max7310(external=0x00)
    chip.write(b"\x02\x00")
    chip.write(b"\x01\xff")
    chip.write(b"\x03\x00")
    chip.stuck = 0x40
    assert read(chip, 0) == 0xBE
    assert read(chip, 1) == 0xFF


def test_bytes_of_one_transfer_go_to_and_come_from_one_register() -> None:
    chip = Max7310()
    chip.write(b"\x01\x11\x22\x33")
    assert chip.read(3) == b"\x33\x33\x33"


def test_input_port_and_reserved_registers_are_not_written() -> None:
    chip = Max7310(external=0x55)
    chip.write(b"\x00\xff")
    chip.write(b"\x05\xff")
    assert read(chip, 0) == 0x55 ^ 0xF0
    assert read(chip, 5) == 0xFF
    chip.write(b"\x04\xfe")
    assert read(chip, 4) == 0x00


def test_pins_beyond_seven_do_not_exist() -> None:
    with pytest.raises(ValueError, match="pin"):
        Max7310().set_external(8, True)
