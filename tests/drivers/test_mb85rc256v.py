"""FRAM: the newest whole copy wins, no cut of the power loses the one before, and silence is not emptiness."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import mb85rc256v as fram
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import I2cPart, refusal, run

ADDRESS = 0x50
SETTINGS = fram.Settings(slots=3, slot_bytes=100)
COPY = fram.HEADER_LENGTH + 100
OLD = bytes(range(80))
NEW = b"new " * 25


class PowerCut(Exception):
    """The supply went away in the middle of a write."""


class Registers(I2cPart):
    """32 KiB behind two address bytes that wrap (Fujitsu DS501-00017); may lose power after any byte."""

    address = ADDRESS

    def __init__(self, fill: int = 0x00) -> None:
        super().__init__()
        self.memory = bytearray((fill,)) * 0x8000
        self.bytes_left: int | None = None
        self.read_only = False
        self.level: int | None = None
        self.flips: list[int] = []

    def take(self, data: bytes) -> None:
        assert len(data) - 2 <= 32
        at = int.from_bytes(data[:2], "big")
        for offset, byte in enumerate(data[2:]):
            if self.bytes_left is not None:
                if self.bytes_left == 0:
                    raise PowerCut
                self.bytes_left -= 1
            if not self.read_only:
                self.memory[(at + offset) & 0x7FFF] = byte

    def answer(self, data: bytes, count: int) -> bytes:
        assert count <= 32
        at = int.from_bytes(data, "big")
        if self.level is not None:
            return bytes((self.level,)) * count
        answer = bytearray(self.memory[(at + offset) & 0x7FFF] for offset in range(count))
        if self.transactions in self.flips:
            answer[0] ^= 0x10
        return bytes(answer)


def ready(bus: Registers) -> fram.Device:
    device = fram.Device(bus, ADDRESS, SETTINGS)
    run(bus, device.initialise())
    return device


def test_what_was_stored_is_loaded_by_another_program() -> None:
    bus = Registers()
    device = ready(bus)
    assert run(bus, device.store(1, OLD)) == 1
    assert run(bus, device.store(1, NEW)) == 2
    assert run(bus, ready(bus).load(1)) == NEW


@pytest.mark.parametrize("length", [1, 31, 32, 33, 64, 100])
def test_any_length_that_fits(length: int) -> None:
    bus = Registers()
    device = ready(bus)
    payload = bytes(7 * n & 0xFF for n in range(length))
    run(bus, device.store(0, payload))
    assert run(bus, device.load(0)) == payload


@pytest.mark.parametrize("fill", [0x00, 0xFF])
def test_a_slot_that_was_never_written_is_empty(fill: int) -> None:
    bus = Registers(fill)
    device = ready(bus)
    assert run(bus, device.load(2)) is None
    run(bus, device.store(2, OLD))
    assert run(bus, device.load(2)) == OLD
    assert run(bus, device.load(1)) is None


def test_slots_and_copies_do_not_touch_each_other() -> None:
    bus = Registers()
    device = ready(bus)
    for round_ in range(4):
        for slot in range(3):
            run(bus, device.store(slot, bytes((slot, round_)) * 50))
    assert [run(bus, device.load(slot)) for slot in range(3)] == [bytes((slot, 3)) * 50 for slot in range(3)]
    assert fram.stored(bytes(bus.memory[:COPY])).sequence == 3
    assert fram.stored(bytes(bus.memory[COPY : 2 * COPY])).sequence == 4


def test_power_lost_after_any_byte_leaves_the_old_or_the_new() -> None:
    before = Registers()
    device = ready(before)
    run(before, device.store(0, b"oldest"))
    run(before, device.store(0, OLD))
    written = fram.HEADER_LENGTH + fram.HEADER_LENGTH + len(NEW)
    outcomes = []
    for left in range(written + 1):
        bus = Registers()
        bus.memory[:] = before.memory
        device = ready(bus)
        bus.bytes_left = left
        with suppress(PowerCut):
            run(bus, device.store(0, NEW))
        bus.bytes_left = None
        outcomes.append(run(bus, ready(bus).load(0)))
        run(bus, ready(bus).store(0, b"next"))
        assert run(bus, ready(bus).load(0)) == b"next"
    assert outcomes == [OLD] * written + [NEW]


@pytest.mark.parametrize("at", [0, 2, 4, 8, 12, 15, 16, 50, COPY - 21])
def test_one_upset_byte_costs_only_its_copy(at: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    run(bus, device.store(0, OLD))
    run(bus, device.store(0, OLD[::-1]))  # the newest is the first copy again
    bus.memory[at] ^= 0x40
    assert run(bus, device.load(0)) == OLD
    run(bus, device.store(0, NEW))  # and the broken one is what is overwritten
    assert run(bus, device.load(0)) == NEW
    assert fram.stored(bytes(bus.memory[COPY : COPY + fram.HEADER_LENGTH + len(OLD)])).payload == OLD


def test_two_broken_copies_are_an_error_and_can_be_stored_over() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    run(bus, device.store(0, NEW))
    bus.memory[20] ^= 0x01
    bus.memory[COPY + 20] ^= 0x01
    assert refusal(bus, device.load(0)) is Cause.CHECKSUM
    run(bus, device.store(0, OLD))
    assert run(bus, device.load(0)) == OLD


def test_a_byte_spoilt_on_the_bus_is_read_again() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    bus.flips = [bus.transactions + 2]
    assert run(bus, device.load(0)) == OLD


def test_a_copy_of_another_slot_is_not_believed() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    bus.memory[2 * COPY : 3 * COPY] = bus.memory[:COPY]
    assert refusal(bus, device.load(1)) is Cause.CHECKSUM


def test_the_sequence_number_may_wrap() -> None:
    bus = Registers()
    device = ready(bus)
    copy = fram.encode(0, 0xFFFFFFFF, OLD)
    bus.memory[: len(copy)] = copy
    assert run(bus, device.store(0, NEW)) == 0
    assert run(bus, device.load(0)) == NEW


@pytest.mark.parametrize("level", [0x00, 0xFF])
def test_a_dead_data_line_is_no_empty_memory(level: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    bus.level = level
    assert refusal(bus, device.load(0)) is Cause.RESET
    assert refusal(bus, device.acquire()) is Cause.RESET
    before = bytes(bus.memory)
    assert refusal(bus, device.store(0, NEW)) is Cause.RESET
    assert bytes(bus.memory) == before
    assert refusal(bus, fram.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.IMPLAUSIBLE


def test_a_protected_memory_is_found_by_reading_back_and_loses_nothing() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    bus.read_only = True
    assert refusal(bus, device.store(0, NEW)) is Cause.IMPLAUSIBLE
    assert run(bus, device.load(0)) == OLD


def test_health_tells_sound_broken_and_blank_copies_one_slot_a_call() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    run(bus, device.store(0, NEW))
    run(bus, device.store(2, NEW))
    bus.memory[COPY + 30] ^= 0x01
    device = ready(bus)
    seen = [run(bus, device.acquire()) for _ in range(4)]
    assert [health.checked for health in seen] == [0, 1, 2, 0]
    assert seen[0].copies == ((True, False), (None, None), (None, None))
    assert seen[2].copies == ((True, False), (None, None), (True, None))


def test_identify_knows_its_own_a_blank_and_a_foreign_memory_and_writes_nothing() -> None:
    bus = Registers()
    assert "blank" in run(bus, fram.Device(bus, ADDRESS, SETTINGS).identify())
    assert not any(bus.memory)
    ready(bus)
    before = bytes(bus.memory)
    assert "3 slots of 100 bytes" in run(bus, fram.Device(bus, ADDRESS, SETTINGS).identify())
    assert bytes(bus.memory) == before
    other = fram.Device(bus, ADDRESS, fram.Settings(slots=2, slot_bytes=100))
    assert refusal(bus, other.identify()) is Cause.WRONG_ID


@pytest.mark.parametrize("at", [0x0000, 0x7FF5])
def test_a_memory_with_somebodys_contents_is_left_alone_until_formatted(at: int) -> None:
    bus = Registers()
    bus.memory[at : at + 6] = b"R-Pi\x01\x00"
    before = bytes(bus.memory)
    assert refusal(bus, fram.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID
    assert bytes(bus.memory) == before
    run(bus, fram.Device(bus, ADDRESS, SETTINGS).format())
    assert run(bus, ready(bus).load(0)) is None


def test_a_lost_signature_is_written_anew_and_no_copy_is_lost() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.store(0, OLD))
    bus.memory[0x7FF0:] = bytes(16)
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    assert run(bus, device.load(0)) == OLD


@pytest.mark.parametrize(("slot", "payload"), [(3, b"x"), (-1, b"x"), (0, b""), (0, bytes(101))])
def test_what_does_not_fit_is_refused_before_anything_is_sent(slot: int, payload: bytes) -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    with pytest.raises(DeviceError) as caught:
        next(device.store(slot, payload))
    assert caught.value.cause is Cause.PROTOCOL
    assert bus.transactions == before


def test_a_layout_that_does_not_fit_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="do not fit"):
        msgspec.convert({"slots": 8, "slot_bytes": 2048}, type=fram.Settings, strict=True)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.binary(max_size=64))
def test_any_bytes_are_a_copy_or_a_refusal(data: bytes) -> None:
    for codec in fram.CODECS:
        with suppress(DeviceError):
            assert isinstance(codec.decode(data), int)  # no random bytes have a matching CRC


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(0, 63), st.integers(0, 0xFFFFFFFF), st.binary(min_size=1, max_size=200))
def test_every_copy_comes_back_and_no_flipped_bit_does(slot: int, sequence: int, payload: bytes) -> None:
    data = fram.encode(slot, sequence, payload)
    assert fram.stored(data) == (slot, sequence, payload)
    bit = sequence % (8 * len(data))
    spoilt = bytearray(data)
    spoilt[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DeviceError):
        fram.stored(bytes(spoilt))
