"""OPT3001: published lux, darkness that must be proved, and one transaction a sample."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import opt3001
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import WordBank, causes, published, refusal, run

ADDRESS = 0x44


class Registers(WordBank):
    """An OPT3001 after power-up (TI SBOS681C, table 6); the ready flag clears when the configuration is read."""

    name = "i2c_b.70.0"
    address = ADDRESS

    def power_up(self) -> None:
        self.words = {0x00: b"\x00\x00", 0x01: b"\xc8\x10", 0x7E: b"\x54\x49", 0x7F: b"\x30\x01"}

    def convert(self, result: int, overflow: bool = False) -> None:
        self.words[0x00] = result.to_bytes(2, "big")
        flags = 0x80 | (0x100 if overflow else 0)
        self.words[0x01] = bytes((self.words[0x01][0] & 0xFE | flags >> 8, self.words[0x01][1] | flags & 0xFF))

    def answer(self, data: bytes, count: int) -> bytes:
        answer = self.words[data[0]]
        if data[0] == 0x01:
            self.words[0x01] = bytes((answer[0], answer[1] & 0x7F))
        return answer[:count]


def ready(bus: Registers, check_every: int = 25) -> opt3001.Device:
    device = opt3001.Device(bus, ADDRESS, opt3001.Settings(check_every=check_every))
    run(bus, device.initialise())
    bus.convert(0x789A)
    run(bus, device.acquire())
    return device


def test_every_published_and_kernel_value(shared_data: Path) -> None:
    rows = published(shared_data, "OPT3001*")
    assert len(rows) == 4
    for row in rows:
        result = dict(zip(row["registers"].split(), row["bytes"].split(), strict=True))["0x00"]
        assert opt3001.illuminance(bytes.fromhex(result)).lux == pytest.approx(float(row["expected"]), rel=1e-6)


def test_full_scale_is_saturated_and_one_step_less_is_not() -> None:
    assert opt3001.illuminance(b"\xbf\xff").saturated
    assert not opt3001.illuminance(b"\xbf\xfe").saturated


def test_initialise_starts_continuous_conversion_of_100_ms() -> None:
    bus = Registers()
    ready(bus)
    word = int.from_bytes(bus.words[0x01], "big")
    assert (word >> 12, word >> 11 & 1, word >> 9 & 3) == (0xC, 0, 3)


def test_a_sample_is_one_transaction() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    assert run(bus, device.acquire()).lux == pytest.approx(2818.56)
    assert bus.transactions - before == 1


def test_nothing_is_said_before_the_first_conversion() -> None:
    bus = Registers()
    device = opt3001.Device(bus, ADDRESS, opt3001.Settings())
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is None
    bus.convert(0x0001)
    assert run(bus, device.acquire()).lux == pytest.approx(0.01)


def test_darkness_is_believed_from_a_chip_that_converts() -> None:
    bus = Registers()
    device = ready(bus)
    for _ in range(3):
        bus.convert(0x0000)
        assert run(bus, device.acquire()).lux == 0.0


def test_a_sleeping_chip_is_not_darkness() -> None:
    bus = Registers()
    device = ready(bus)
    bus.power_up()
    assert refusal(bus, device.acquire()) is Cause.RESET
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    bus.convert(0x0001)
    assert run(bus, device.acquire()) is not None


def test_a_data_line_held_low_is_not_darkness() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words = dict.fromkeys(bus.words, b"\x00\x00")
    assert refusal(bus, device.acquire()) is Cause.RESET


@pytest.mark.parametrize("result", [0x0000, 0x789A])
def test_conversions_that_stop_are_noticed(result: int) -> None:
    bus = Registers()
    device = ready(bus, check_every=2)
    bus.convert(result)
    found = causes(bus, device, 6)
    assert found
    assert set(found) == {Cause.STALE_COUNTER}


def test_the_overflow_flag_marks_the_sample_it_was_read_with() -> None:
    bus = Registers()
    device = ready(bus, check_every=2)
    seen = []
    for _ in range(2):
        bus.convert(0x7FFF, overflow=True)
        seen.append(run(bus, device.acquire()).saturated)
    assert seen == [True, False] or seen == [False, True]


def test_identify_names_the_part_and_writes_nothing() -> None:
    bus = Registers()
    before = dict(bus.words)
    assert run(bus, opt3001.Device(bus, ADDRESS, opt3001.Settings()).identify()) == "TI OPT3001"
    assert bus.words == before


@pytest.mark.parametrize("register", [0x7E, 0x7F])
def test_another_chip_is_refused(register: int) -> None:
    bus = Registers()
    bus.words[register] = b"\x12\x34"
    assert refusal(bus, opt3001.Device(bus, ADDRESS, opt3001.Settings()).initialise()) is Cause.WRONG_ID


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=3))
def test_any_bytes_are_lux_or_a_refusal(data: bytes) -> None:
    try:
        sample = opt3001.illuminance(data)
    except DeviceError:
        return
    assert 0.0 <= sample.lux <= 83865.601


def test_all_ones_are_refused() -> None:
    with pytest.raises(DeviceError):
        opt3001.illuminance(b"\xff\xff")
