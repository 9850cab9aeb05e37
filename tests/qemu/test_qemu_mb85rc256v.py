"""MB85RC256V driver against QEMU's AT24C model, a memory of the same kind: copies, and a cut at every write."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from drivers.errors import Cause, DeviceError
from drivers.mb85rc256v import HEADER_LENGTH, SIZE, Device, Settings
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard, QemuI2cBus
from tests.drivers.scripted import Run

ADDRESS = 0x50
SETTINGS = Settings(slots=4, slot_bytes=128)


class Memory:
    """The model as plain memory, beside the driver."""

    def __init__(self, board: QemuBoard) -> None:
        self.bus: QemuI2cBus = board.i2c(1)

    def read(self, at: int, count: int) -> bytes:
        return self.bus.write_read(ADDRESS, at.to_bytes(2, "big"), count)

    def write(self, at: int, data: bytes) -> None:
        self.bus.write(ADDRESS, at.to_bytes(2, "big") + data)

    def clear(self) -> None:
        for at in range(0, SIZE, 256):
            self.write(at, bytes(256))


class Cut:
    """A bus whose supply fails after so many writes: those after it are lost and refused."""

    def __init__(self, bus: QemuI2cBus, writes: int) -> None:
        self.name = bus.name
        self.read = bus.read
        self._bus = bus
        self._left = writes

    def write(self, address: int, data: bytes) -> None:
        if not self._left:
            raise DeviceError(self.name, address, Cause.NACK_ADDRESS)
        self._left -= 1
        if not self._left:
            # The last one is torn: half of its bytes arrive.
            self._bus.write(address, data[: 2 + (len(data) - 2) // 2])
            raise DeviceError(self.name, address, Cause.NACK_DATA)
        self._bus.write(address, data)

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        if not self._left:
            raise DeviceError(self.name, address, Cause.NACK_ADDRESS)
        return self._bus.write_read(address, data, count)


class Spoilt:
    """A bus that flips a bit in the last byte of one write."""

    def __init__(self, bus: QemuI2cBus, which: int) -> None:
        self.name = bus.name
        self.read = bus.read
        self.write_read = bus.write_read
        self._bus = bus
        self._left = which

    def write(self, address: int, data: bytes) -> None:
        self._left -= 1
        self._bus.write(address, data[:-1] + bytes((data[-1] ^ 0x04,)) if self._left == 0 else data)


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board(f"at24c-eeprom,bus=i2c-bus.1,address={ADDRESS:#x},rom-size={SIZE},writable=on")


@pytest.fixture
def memory(board: QemuBoard) -> Memory:
    memory = Memory(board)
    for at in (0, *range(0, 8 * (HEADER_LENGTH + SETTINGS.slot_bytes), 256), SIZE - 256):
        memory.write(at, bytes(256))
    return memory


@pytest.fixture
def device(memory: Memory, finish: Run) -> Device:
    device = Device(memory.bus, ADDRESS, SETTINGS)
    finish(device.initialise())
    return device


def again(memory: Memory, finish: Run, settings: Settings = SETTINGS) -> Device:
    """The software starts anew on the same memory."""
    device = Device(memory.bus, ADDRESS, settings)
    finish(device.initialise())
    return device


def test_the_model_is_such_a_memory(memory: Memory) -> None:
    """No page, a wrap at the end, and a pointer that goes on, as in the data sheet."""
    memory.write(0x00F0, bytes(range(100)))
    assert memory.read(0x00F0, 100) == bytes(range(100))
    memory.write(SIZE - 2, b"\x01\x02\x03\x04")
    assert (memory.read(SIZE - 2, 2), memory.read(0, 2)) == (b"\x01\x02", b"\x03\x04")
    assert memory.bus.read(ADDRESS, 1) == memory.read(2, 1)


def test_a_blank_memory_is_signed_at_its_end_and_known_again(memory: Memory, finish: Run) -> None:
    device = Device(memory.bus, ADDRESS, SETTINGS)
    blank = finish(device.identify())
    finish(device.initialise())
    assert any(memory.read(SIZE - 16, 16))
    assert finish(device.identify()) != blank
    assert [finish(device.load(slot)) for slot in range(4)] == [None] * 4


def test_every_slot_keeps_its_own_through_a_restart(memory: Memory, device: Device, finish: Run) -> None:
    random_bytes = random.Random(1)
    payloads = [random_bytes.randbytes(length) for length in (1, 31, 33, 128)]
    for slot, payload in enumerate(payloads):
        finish(device.store(slot, payload))
    restarted = again(memory, finish)
    assert [finish(restarted.load(slot)) for slot in range(4)] == payloads
    for _ in range(4):
        health = finish(restarted.acquire())
    assert all(True in copies and False not in copies for copies in health.copies)


def test_bytes_lie_in_the_memory_where_the_address_says(memory: Memory, device: Device, finish: Run) -> None:
    payload = bytes(range(0x80, 0x80 + 100))
    finish(device.store(3, payload))
    whole = memory.read(0, 8 * (HEADER_LENGTH + SETTINGS.slot_bytes))
    assert whole.count(payload) == 1
    assert whole.index(payload) == 6 * (HEADER_LENGTH + SETTINGS.slot_bytes) + HEADER_LENGTH


def test_the_last_of_many_stores_wins(memory: Memory, device: Device, finish: Run) -> None:
    numbers = [finish(device.store(2, f"value {n}".encode())) for n in range(7)]
    assert numbers == sorted(set(numbers))
    assert finish(again(memory, finish).load(2)) == b"value 6"


def test_power_may_fail_in_any_write_of_a_store(memory: Memory, device: Device, finish: Run) -> None:
    finish(device.store(1, b"first" * 20))
    before = b"second" * 20
    finish(device.store(1, before))
    survived, causes, writes, done = set(), set(), 0, False
    while not done:
        writes += 1
        after = f"new {writes:3d} ".encode() * 15
        interrupted = Device(Cut(memory.bus, writes), ADDRESS, SETTINGS)
        try:
            finish(interrupted.store(1, after))
            done = True
        except DeviceError as error:
            causes.add(error.cause)
        held = finish(again(memory, finish).load(1))
        assert held in (before, after), f"cut in write {writes}"
        survived.add(held == after)
        before = held
        assert writes < 50
    assert (writes, survived) == (7, {False, True}), "header, four chunks, header; the seventh was never needed"
    assert causes <= {Cause.NACK_ADDRESS, Cause.NACK_DATA}


def test_an_upset_bit_costs_one_copy_and_not_the_value(memory: Memory, device: Device, finish: Run) -> None:
    finish(device.store(0, b"older"))
    finish(device.store(0, b"newer"))
    area = memory.read(0, 2 * (HEADER_LENGTH + SETTINGS.slot_bytes))
    at = area.index(b"newer") + 2
    memory.write(at, bytes((area[at] ^ 0x10,)))
    restarted = again(memory, finish)
    assert finish(restarted.load(0)) == b"older"
    assert False in finish(restarted.acquire()).copies[0]
    finish(restarted.store(0, b"mended"))
    assert finish(again(memory, finish).load(0)) == b"mended"


def test_two_broken_copies_are_no_value(memory: Memory, device: Device, finish: Run) -> None:
    finish(device.store(0, b"older"))
    finish(device.store(0, b"newer"))
    area = memory.read(0, 2 * (HEADER_LENGTH + SETTINGS.slot_bytes))
    for payload in (b"older", b"newer"):
        memory.write(area.index(payload), b"X")
    with pytest.raises(DeviceError) as caught:
        finish(again(memory, finish).load(0))
    assert caught.value.cause is Cause.CHECKSUM


def test_somebody_elses_memory_is_refused_and_left_alone(memory: Memory, finish: Run) -> None:
    memory.write(SIZE - 16, b"calibration 1234")
    with pytest.raises(DeviceError) as caught:
        finish(Device(memory.bus, ADDRESS, SETTINGS).initialise())
    assert caught.value.cause is Cause.WRONG_ID
    assert memory.read(SIZE - 16, 16) == b"calibration 1234"
    with pytest.raises(DeviceError) as caught:
        finish(Device(memory.bus, ADDRESS, SETTINGS).identify())
    assert caught.value.cause is Cause.WRONG_ID


def test_another_layout_is_refused_until_it_is_formatted(memory: Memory, device: Device, finish: Run) -> None:
    finish(device.store(0, b"old layout"))
    wider = Device(memory.bus, ADDRESS, Settings(slots=2, slot_bytes=256))
    with pytest.raises(DeviceError) as caught:
        finish(wider.initialise())
    assert caught.value.cause is Cause.WRONG_ID
    finish(wider.format())
    finish(wider.initialise())
    assert finish(wider.load(0)) is None


@pytest.mark.parametrize("write", [1, 2, 5, 6], ids=["old header", "first chunk", "last chunk", "new header"])
def test_a_bit_spoilt_in_any_write_is_found_by_reading_back(
    memory: Memory, device: Device, finish: Run, write: int
) -> None:
    finish(device.store(0, b"good"))
    finish(device.store(0, b"good too"))
    spoilt = Device(Spoilt(memory.bus, write), ADDRESS, SETTINGS)
    if write == 1:
        finish(spoilt.store(0, b"x" * 120))  # what it spoils is written over
        assert finish(again(memory, finish).load(0)) == b"x" * 120
        return
    with pytest.raises(DeviceError) as caught:
        finish(spoilt.store(0, b"x" * 120))
    assert caught.value.cause is Cause.IMPLAUSIBLE
    assert finish(again(memory, finish).load(0)) == b"good too"


@pytest.mark.parametrize("kind", [FaultKind.ALL_ZEROS, FaultKind.ALL_ONES])
def test_a_dead_line_is_not_an_empty_memory(memory: Memory, finish: Run, kind: FaultKind) -> None:
    bus = FaultyI2cBus(memory.bus)
    device = Device(bus, ADDRESS, SETTINGS)
    finish(device.initialise())
    finish(device.store(0, b"good"))
    fault = bus.inject(Fault(kind))
    for steps in (device.load(0), device.store(0, b"lost")):
        with pytest.raises(DeviceError):
            finish(steps)
    bus.clear(fault)
    assert finish(device.load(0)) == b"good"
