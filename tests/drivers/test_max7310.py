"""MAX7310: levels after the part's polarity, outputs that are proven, and safe levels after a restart."""

from __future__ import annotations

import msgspec
import pytest

from drivers import max7310
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import I2cPart, causes, refusal, run

ADDRESS = 0x18
AFTER_RESET = {0x01: 0x00, 0x02: 0xF0, 0x03: 0xFF, 0x04: 0x01}
OUTPUTS = {"outputs": 0x0F, "levels": 0x01, "inverted": 0x80}


class Registers(I2cPart):
    """A MAX7310 (Maxim 19-2698) after power-up, one byte a register, with levels at its pins."""

    name = "i2c_b"
    address = ADDRESS

    def __init__(self) -> None:
        self.pins = 0x50
        self.stuck_outputs = 0x00
        super().__init__()

    def power_up(self) -> None:
        self.memory = dict(AFTER_RESET)

    def take(self, data: bytes) -> None:
        assert len(data) == 2
        self.memory[data[0]] = data[1] & ~self.stuck_outputs if data[0] == 0x01 else data[1]

    def answer(self, data: bytes, count: int) -> bytes:
        assert count == 1
        if data[0] == 0x00:
            inputs = self.memory[0x03]
            return bytes(((self.pins & inputs | self.memory[0x01] & ~inputs) ^ self.memory[0x02],))
        return bytes((self.memory[data[0]],))


def ready(bus: Registers, **fields: int) -> max7310.Device:
    device = max7310.Device(bus, ADDRESS, msgspec.convert(fields, type=max7310.Settings, strict=True))
    run(bus, device.initialise())
    return device


def test_inputs_are_levels_lowest_pin_first_after_the_polarity() -> None:
    bus = Registers()
    sample = run(bus, ready(bus, inverted=0x30).acquire())
    assert sample.inputs == (False, False, False, False, False, True, True, False)
    assert sample.outputs == (None,) * 8


def test_outputs_are_the_safe_levels_at_start_and_are_set_before_and_after_the_direction() -> None:
    bus = Registers()
    sample = run(bus, ready(bus, **OUTPUTS).acquire())
    assert sample.outputs == (True, False, False, False, None, None, None, None)
    assert (bus.memory[0x03], bus.memory[0x01] & 0x0F) == (0xF0, 0x01)
    registers = [written[0] for written in bus.history]
    assert registers.index(0x01) < registers.index(0x03)


def test_driving_changes_only_the_pins_of_the_mask_and_shows_in_the_sample() -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    run(bus, device.drive(0x06, 0x04))
    assert bus.memory[0x01] & 0x0F == 0x05
    assert run(bus, device.acquire()).outputs[:4] == (True, False, True, False)


def test_an_order_is_written_once_and_costs_three_transactions() -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    bus.history.clear()
    before = bus.transactions
    run(bus, device.drive(0x08, 0x08))
    assert bus.transactions - before == 3
    assert bus.history == [b"\x01\x09"]


@pytest.mark.parametrize(("mask", "pins"), [(0x10, 0x10), (0x01, 0x101), (0x100, 0x00)])
def test_a_pin_that_is_no_output_is_refused_before_anything_is_sent(mask: int, pins: int) -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    bus.history.clear()
    with pytest.raises(DeviceError) as caught:
        next(device.drive(mask, pins))
    assert caught.value.cause is Cause.PROTOCOL
    assert not bus.history


def test_an_output_that_does_not_read_back_is_refused_and_not_tried_again() -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    bus.stuck_outputs = 0x04
    bus.history.clear()
    assert refusal(bus, device.drive(0x04, 0x04)) is Cause.IMPLAUSIBLE
    assert len(bus.history) == 1
    assert run(bus, device.acquire()).outputs[:4] == (True, False, False, False)  # the old levels hold


def test_an_order_of_unknown_outcome_leads_back_to_the_safe_levels() -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    steps = device.drive(0x08, 0x08)
    next(steps)
    steps.close()  # its read-back failed on the bus
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    assert bus.memory[0x01] & 0x0F == 0x01
    assert run(bus, device.acquire()).outputs[:4] == (True, False, False, False)


def test_an_order_to_pins_that_are_not_driven_is_refused() -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    bus.memory[0x03] = 0xFF
    assert refusal(bus, device.drive(0x01, 0x00)) is Cause.RESET


def test_a_restart_is_found_and_an_old_order_is_not_repeated() -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    run(bus, device.drive(0x0F, 0x0E))
    bus.power_up()
    found = causes(bus, device, 8)
    assert found
    assert set(found) == {Cause.RESET}
    run(bus, device.initialise())
    assert bus.memory[0x01] & 0x0F == 0x01


@pytest.mark.parametrize("register", [0x01, 0x02, 0x03, 0x04])
def test_an_upset_bit_in_any_register_is_found(register: int) -> None:
    bus = Registers()
    device = ready(bus, **OUTPUTS)
    bus.memory[register] ^= 0x01
    found = causes(bus, device, 8)
    assert set(found) == {Cause.RESET}


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_dead_data_line_gives_no_levels_and_real_ones_are_believed(level: int) -> None:
    bus = Registers()
    device = ready(bus)
    bus.pins = level
    assert run(bus, device.acquire()).inputs == (bool(level),) * 8
    bus.memory = dict.fromkeys(bus.memory, level)
    bus.pins = 0x00
    assert refusal(bus, device.acquire()) is Cause.RESET


def test_identify_goes_by_the_time_out_register_and_writes_nothing() -> None:
    bus = Registers()
    before = dict(bus.memory)
    assert "MAX7310" in run(bus, max7310.Device(bus, ADDRESS, max7310.Settings()).identify())
    assert bus.memory == before


def test_an_upset_of_the_time_out_bit_is_set_right_again() -> None:
    bus = Registers()
    device = max7310.Device(bus, ADDRESS, max7310.Settings())
    run(bus, device.initialise())
    bus.memory[0x04] = 0x00
    run(bus, device.initialise())
    assert bus.memory[0x04] == 0x01


@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x81])
def test_another_chip_is_refused(byte: int) -> None:
    bus = Registers()
    bus.memory[0x04] = byte
    bus.memory[0x03] = 0x00
    assert refusal(bus, max7310.Device(bus, ADDRESS, max7310.Settings()).initialise()) is Cause.WRONG_ID
    assert not bus.history


@pytest.mark.parametrize("fields", [
    {"outputs": 0x01, "levels": 0x02}, {"outputs": 0x01, "inverted": 0x01}, {"outputs": 0x100}, {"pins": 8},
])
def test_settings_that_contradict_themselves_are_refused(fields: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, type=max7310.Settings, strict=True)


@pytest.mark.parametrize("data", [b"", b"\x00\x01"])
def test_one_byte_is_a_register(data: bytes) -> None:
    with pytest.raises(DeviceError):
        max7310.levels(data)
    assert all(len(max7310.levels(bytes((byte,)))) == 8 for byte in range(256))
