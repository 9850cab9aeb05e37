"""The bus twins carry real bytes, implement the protocols, and show each fault at the seam and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.bus.protocol import GpioBus, I2cBus, SerialBus, SpiBus
from drivers.errors import Cause, DeviceError
from hil.bus import SimGpioBus, SimI2cBus, SimSerialBus, SimSpiBus
from hil.chips.pca9548a import Pca9548a
from hil.faults import Fault, FaultKind, FaultSet, Recovery


class Memory:
    """256 registers behind a pointer, on I2C; acknowledges nothing while ``deaf``."""

    def __init__(self, fill: int = 0) -> None:
        self.cells = bytearray([fill]) * 256
        self.pointer = 0
        self.deaf = False

    def write(self, data: bytes) -> bool:
        if self.deaf:
            return False
        if data:
            self.pointer = data[0]
            self.cells[data[0] : data[0] + len(data) - 1] = data[1:]
        return True

    def read(self, count: int) -> bytes:
        return bytes(self.cells[self.pointer : self.pointer + count])


class Echo:
    """An SPI chip that answers every byte with its complement and counts."""

    spi_modes = frozenset({0, 3})
    max_hz = 1_000_000

    def __init__(self) -> None:
        self.calls = 0

    def transfer(self, data: bytes) -> bytes:
        self.calls += 1
        return bytes(byte ^ 0xFF ^ (self.calls << 4 & 0xF0) for byte in data)


class Talker:
    """A serial device that remembers what it heard."""

    def __init__(self) -> None:
        self.heard = b""

    def connect(self, send) -> None:
        self.send = send

    def receive(self, data: bytes) -> None:
        self.heard += data


def i2c(seed: int = 1) -> tuple[SimI2cBus, Memory, Memory]:
    bus = SimI2cBus("i2c_a", np.random.default_rng(seed))
    first, second = Memory(0x11), Memory(0x22)
    bus.attach(0x40, first)
    bus.attach(0x41, second)
    return bus, first, second


def cause_of(call) -> Cause:
    with pytest.raises(DeviceError) as caught:
        call()
    assert caught.value.bus in ("i2c_a", "spi0", "uart2", "gpio")
    return caught.value.cause


def test_twins_implement_the_protocols() -> None:
    assert isinstance(SimI2cBus("i2c_a"), I2cBus)
    assert isinstance(SimSpiBus("spi0"), SpiBus)
    assert isinstance(SimSerialBus("uart2"), SerialBus)
    assert isinstance(SimGpioBus("gpio", ["GPIO17"], lambda: 0), GpioBus)


def test_i2c_carries_bytes_to_the_addressed_chip_only() -> None:
    bus, first, second = i2c()
    bus.write(0x40, b"\x05\xaa\xbb")
    assert bus.write_read(0x40, b"\x05", 2) == b"\xaa\xbb"
    assert bus.read(0x40, 1) == b"\xaa"
    assert second.cells == bytearray([0x22]) * 256
    assert first.pointer == 5


def test_i2c_unknown_address_is_not_acknowledged() -> None:
    bus, _, _ = i2c()
    for call in (lambda: bus.write(0x50, b""), lambda: bus.read(0x50, 1), lambda: bus.write_read(0x50, b"\0", 1)):
        assert cause_of(call) is Cause.NACK_ADDRESS


def test_i2c_chip_that_refuses_a_byte_is_nack_data() -> None:
    bus, first, _ = i2c()
    first.deaf = True
    assert cause_of(lambda: bus.write(0x40, b"\x01\x02")) is Cause.NACK_DATA
    assert cause_of(lambda: bus.write_read(0x40, b"\x01", 2)) is Cause.NACK_DATA


@pytest.mark.parametrize("address", [0x07, 0x78, 0x40])
def test_i2c_refuses_reserved_and_taken_addresses(address: int) -> None:
    bus, _, _ = i2c()
    with pytest.raises(ValueError, match="0x"):
        bus.attach(address, Memory())


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (FaultKind.NACK_ADDRESS, Cause.NACK_ADDRESS), (FaultKind.NACK_DATA, Cause.NACK_DATA),
        (FaultKind.TIMEOUT, Cause.TIMEOUT), (FaultKind.ARBITRATION, Cause.ARBITRATION),
        (FaultKind.SHORT_READ, Cause.SHORT_READ),
    ],
)
def test_i2c_error_fault_hits_its_address_and_clears(kind: FaultKind, cause: Cause) -> None:
    bus, _, _ = i2c()
    handle = bus.inject(Fault(kind, address=0x40))
    assert cause_of(lambda: bus.write_read(0x40, b"\0", 1)) is cause
    assert bus.write_read(0x41, b"\0", 1) == b"\x22"
    assert handle.hits == 1
    bus.clear(handle)
    assert bus.write_read(0x40, b"\0", 1) == b"\x11"


def test_i2c_refused_write_does_not_reach_the_chip_and_short_read_spares_writes() -> None:
    bus, first, _ = i2c()
    bus.inject(Fault(FaultKind.SHORT_READ))
    bus.write(0x40, b"\x09\x77")
    assert first.cells[9] == 0x77
    bus.clear()
    bus.inject(Fault(FaultKind.NACK_DATA))
    assert cause_of(lambda: bus.write(0x40, b"\x09\x00")) is Cause.NACK_DATA
    assert first.cells[9] == 0x77


def test_i2c_stuck_bus_takes_every_address_until_cleared() -> None:
    bus, _, _ = i2c()
    handle = bus.inject(Fault(FaultKind.STUCK_BUS, address=0x40))
    for address in (0x40, 0x41, 0x55):
        assert cause_of(lambda a=address: bus.read(a, 1)) is Cause.STUCK_BUS
        assert cause_of(lambda a=address: bus.write(a, b"\0")) is Cause.STUCK_BUS
    bus.clear(handle)
    assert bus.read(0x41, 1) == b"\x22"


def test_i2c_byte_faults_change_the_answer_only() -> None:
    bus, first, _ = i2c()
    ones = bus.inject(Fault(FaultKind.ALL_ONES, address=0x40))
    assert bus.write_read(0x40, b"\0", 3) == b"\xff\xff\xff"
    bus.clear(ones)
    bus.inject(Fault(FaultKind.ALL_ZEROS, address=0x40))
    assert bus.read(0x40, 2) == b"\0\0"
    bus.clear()
    bus.inject(Fault(FaultKind.BIT_FLIP, byte=1, bit=7))
    assert bus.write_read(0x40, b"\0", 3) == b"\x11\x91\x11"
    assert first.cells == bytearray([0x11]) * 256
    bus.write(0x40, b"\x03\x01")
    assert first.cells[3] == 0x81, "a plain write is flipped on its way to the chip"


def test_i2c_random_bit_flip_changes_one_bit_and_repeats_with_the_seed() -> None:
    def fly(seed: int) -> list[bytes]:
        bus, _, _ = i2c(seed)
        bus.inject(Fault(FaultKind.BIT_FLIP, probability=0.5))
        return [bus.write_read(0x40, b"\0", 4) for _ in range(200)]

    answers = fly(7)
    flipped = [sum((byte ^ 0x11).bit_count() for byte in answer) for answer in answers]
    assert set(flipped) == {0, 1}
    assert 70 < sum(flipped) < 130
    assert fly(7) == answers
    assert fly(8) != answers


def test_i2c_frozen_chip_repeats_its_answer_to_each_question() -> None:
    bus, first, _ = i2c()
    first.cells[1] = 0x33
    handle = bus.inject(Fault(FaultKind.FROZEN, address=0x40))
    assert bus.write_read(0x40, b"\0", 1) == b"\x11"
    assert bus.write_read(0x40, b"\1", 1) == b"\x33"
    first.cells[:2] = b"\xaa\xbb"
    assert bus.write_read(0x40, b"\0", 1) == b"\x11"
    bus.write(0x40, b"\1")
    assert bus.read(0x40, 1) == b"\x33", "the same question in two transfers"
    assert bus.read(0x40, 2) == b"\xbb\x11", "first asked after the freeze"
    first.cells[1] = 0
    assert bus.read(0x40, 2) == b"\xbb\x11"
    bus.clear(handle)
    assert bus.write_read(0x40, b"\0", 1) == b"\xaa"


def test_fault_with_a_count_ends_by_itself() -> None:
    bus, _, _ = i2c()
    handle = bus.inject(Fault(FaultKind.TIMEOUT, count=2))
    for _ in range(2):
        assert cause_of(lambda: bus.read(0x40, 1)) is Cause.TIMEOUT
    assert bus.read(0x40, 1) == b"\x11"
    assert handle.hits == 2
    bus.clear(handle)


def test_two_faults_on_one_transfer_both_count() -> None:
    bus, _, _ = i2c()
    bus.inject(Fault(FaultKind.ALL_ZEROS))
    bus.inject(Fault(FaultKind.BIT_FLIP, byte=0, bit=0))
    assert bus.read(0x40, 2) == b"\x01\x00"


@pytest.mark.parametrize(
    "arguments",
    [{"probability": 1.5}, {"probability": -0.1}, {"bit": 8}, {"byte": -1}, {"count": 0}],
)
def test_fault_refuses_nonsense(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is"):
        Fault(FaultKind.BIT_FLIP, **arguments)


def test_bus_refuses_foreign_kinds_and_chance_without_a_generator() -> None:
    bus = SimI2cBus("i2c_a")
    with pytest.raises(ValueError, match="no meaning"):
        bus.inject(Fault(FaultKind.BUS_OFF))
    with pytest.raises(ValueError, match="no generator"):
        bus.inject(Fault(FaultKind.TIMEOUT, probability=0.5))
    with pytest.raises(ValueError, match="no generator"):
        bus.inject(Fault(FaultKind.BIT_FLIP, byte=0))


def test_fault_set_serves_a_bus_with_node_ids() -> None:
    faults = FaultSet("can0", {FaultKind.SILENCE, FaultKind.BUS_OFF}, None)
    handle = faults.inject(Fault(FaultKind.SILENCE, address=0x10))
    assert faults.struck(0x10) == [handle]
    assert faults.struck(0x11) == []
    faults.clear(handle)
    assert not faults.active


# SPI


def spi() -> tuple[SimSpiBus, Echo]:
    bus, chip = SimSpiBus("spi0", np.random.default_rng(1)), Echo()
    bus.attach(0, chip)
    bus.configure(0, 3, 1_000_000)
    return bus, chip


def test_spi_needs_configuring_first_and_a_free_select_reads_ones() -> None:
    bus = SimSpiBus("spi0")
    assert cause_of(lambda: bus.transfer(0, b"\0")) is Cause.PROTOCOL
    bus.configure(1, 0, 1000)
    assert bus.transfer(1, b"\0\0") == b"\xff\xff"
    assert cause_of(lambda: bus.configure(1, 4, 1000)) is Cause.PROTOCOL


@pytest.mark.parametrize(("mode", "hz"), [(1, 1_000_000), (3, 1_000_001)])
def test_spi_chip_clocked_wrongly_is_not_understood(mode: int, hz: int) -> None:
    bus, chip = spi()
    bus.configure(0, mode, hz)
    assert bus.transfer(0, b"\0\0") == b"\xff\xff"
    assert chip.calls == 0


def test_spi_select_is_taken_once() -> None:
    bus, _ = spi()
    with pytest.raises(ValueError, match="taken"):
        bus.attach(0, Echo())


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (FaultKind.TIMEOUT, Cause.TIMEOUT), (FaultKind.SHORT_READ, Cause.SHORT_READ),
        (FaultKind.STUCK_BUS, Cause.STUCK_BUS),
    ],
)
def test_spi_error_faults(kind: FaultKind, cause: Cause) -> None:
    bus, chip = spi()
    bus.inject(Fault(kind, address=0, count=1))
    assert cause_of(lambda: bus.transfer(0, b"\0\0")) is cause
    assert chip.calls == 0
    assert bus.transfer(0, b"\0\0") == b"\xef\xef"
    assert chip.calls == 1


def test_spi_byte_faults() -> None:
    bus, _ = spi()
    bus.inject(Fault(FaultKind.FROZEN))
    first = bus.transfer(0, b"\0\0\0\0")
    assert bus.transfer(0, b"\0\0\0\0") == first
    bus.clear()
    assert bus.transfer(0, b"\0\0\0\0") != first
    bus.inject(Fault(FaultKind.ALL_ONES))
    assert bus.transfer(0, b"\0\0") == b"\xff\xff"
    bus.clear()
    bus.inject(Fault(FaultKind.ALL_ZEROS, address=1))
    assert bus.transfer(0, b"\0\0") != b"\0\0", "another select"
    bus.clear()
    bus.inject(Fault(FaultKind.ALL_ZEROS, address=0))
    assert bus.transfer(0, b"\0\0") == b"\0\0"


# Serial


def serial(limit: int = 4096) -> tuple[SimSerialBus, Talker]:
    bus, chip = SimSerialBus("uart2", np.random.default_rng(1), limit), Talker()
    bus.attach(chip)
    return bus, chip


def test_serial_keeps_order_and_never_gives_more_than_asked() -> None:
    bus, chip = serial()
    chip.send(b"abc")
    chip.send(b"def")
    assert bus.read(4) == b"abcd"
    assert bus.read(4) == b"ef"
    assert bus.read(4) == b""
    bus.write(b"hello")
    assert chip.heard == b"hello"


def test_serial_buffer_is_bounded_and_counts_losses() -> None:
    bus, chip = serial(limit=4)
    chip.send(b"abcdef")
    assert bus.dropped == 2
    assert bus.read(10) == b"abcd"


@pytest.mark.parametrize(
    ("fault", "arrives"),
    [
        (Fault(FaultKind.SILENCE), b""),
        (Fault(FaultKind.SHORT_READ), b"ab"),
        (Fault(FaultKind.SHORT_READ, byte=3), b"abc"),
        (Fault(FaultKind.ALL_ONES), b"\xff" * 4),
        (Fault(FaultKind.ALL_ZEROS), b"\0" * 4),
        (Fault(FaultKind.BIT_FLIP, byte=0, bit=0), b"`bcd"),
    ],
)
def test_serial_faults_on_the_line(fault: Fault, arrives: bytes) -> None:
    bus, chip = serial()
    handle = bus.inject(fault)
    chip.send(b"abcd")
    assert bus.read(100) == arrives
    bus.clear(handle)
    chip.send(b"abcd")
    assert bus.read(100) == b"abcd"


def test_serial_frozen_device_repeats_itself() -> None:
    bus, chip = serial()
    bus.inject(Fault(FaultKind.FROZEN))
    chip.send(b"one")
    chip.send(b"two")
    assert bus.read(100) == b"oneone"


def test_serial_port_faults() -> None:
    bus, chip = serial()
    bus.inject(Fault(FaultKind.TIMEOUT, count=1))
    assert cause_of(lambda: bus.write(b"x")) is Cause.TIMEOUT
    bus.write(b"y")
    assert chip.heard == b"y"
    bus.inject(Fault(FaultKind.ABSENT))
    chip.send(b"lost")
    assert cause_of(lambda: bus.read(1)) is Cause.ABSENT
    assert cause_of(lambda: bus.write(b"z")) is Cause.ABSENT
    bus.clear()
    assert bus.read(10) == b""


def test_serial_takes_one_device() -> None:
    bus, _ = serial()
    with pytest.raises(ValueError, match="already"):
        bus.attach(Talker())


# GPIO


def gpio() -> tuple[SimGpioBus, list[tuple[str, bool, int]], list[int]]:
    clock = [0]
    bus = SimGpioBus("gpio", {"GPIO17": False, "GPIO27": True}, lambda: clock[0])
    seen: list[tuple[str, bool, int]] = []
    bus.on_change(lambda line, level, now: seen.append((line, level, now)))
    return bus, seen, clock


def test_gpio_tells_changes_with_their_instant_and_nothing_else() -> None:
    bus, seen, clock = gpio()
    clock[0] = 5
    bus.set("GPIO17", True)
    bus.set("GPIO17", True)
    clock[0] = 9
    bus.drive("GPIO27", False)
    assert seen == [("GPIO17", True, 5), ("GPIO27", False, 9)]
    assert bus.get("GPIO17")
    assert not bus.get("GPIO27")


def test_gpio_unknown_line_is_absent() -> None:
    bus, _, _ = gpio()
    assert cause_of(lambda: bus.set("GPIO99", True)) is Cause.ABSENT
    assert cause_of(lambda: bus.get("GPIO99")) is Cause.ABSENT
    with pytest.raises(KeyError):
        bus.drive("GPIO99", True)


def test_gpio_stuck_line_holds_and_follows_its_driver_when_cleared() -> None:
    bus, seen, _ = gpio()
    handle = bus.inject(Fault(FaultKind.ALL_ONES, line="GPIO17"))
    assert seen == [("GPIO17", True, 0)]
    bus.set("GPIO17", False)
    assert bus.get("GPIO17")
    bus.clear(handle)
    assert not bus.get("GPIO17")
    bus.inject(Fault(FaultKind.FROZEN, line="GPIO17"))
    bus.set("GPIO17", True)
    assert not bus.get("GPIO17")
    bus.clear()
    assert bus.get("GPIO17")
    bus.inject(Fault(FaultKind.ALL_ZEROS))
    assert not bus.get("GPIO17")
    assert not bus.get("GPIO27")


def test_gpio_absent_line_and_refused_faults() -> None:
    bus, _, _ = gpio()
    bus.inject(Fault(FaultKind.ABSENT, line="GPIO17"))
    assert cause_of(lambda: bus.set("GPIO17", True)) is Cause.ABSENT
    bus.set("GPIO27", False)
    with pytest.raises(ValueError, match="until it is cleared"):
        bus.inject(Fault(FaultKind.ALL_ONES, count=3))
    with pytest.raises(ValueError, match="no line"):
        bus.inject(Fault(FaultKind.ALL_ONES, line="GPIO99"))


# Faults behind a switch


def switched() -> tuple[SimI2cBus, Pca9548a]:
    bus, mux = SimI2cBus("i2c_a"), Pca9548a()
    bus.attach(0x70, mux)
    bus.attach(0x20, Memory(0x20))
    mux.attach(0, 0x44, Memory(0xA0))
    mux.attach(1, 0x44, Memory(0xA1))
    return bus, mux


def test_fault_limited_to_a_channel_spares_the_same_address_on_another() -> None:
    bus, _ = switched()
    bus.inject(Fault(FaultKind.NACK_ADDRESS, address=0x44, channel=0))
    bus.write(0x70, b"\x02")
    assert bus.read(0x44, 1) == b"\xa1"
    bus.write(0x70, b"\x01")
    assert cause_of(lambda: bus.read(0x44, 1)) is Cause.NACK_ADDRESS


def test_data_line_held_behind_a_switch_takes_the_bus_while_that_channel_is_open() -> None:
    bus, mux = switched()
    bus.inject(Fault(FaultKind.STUCK_BUS, channel=0))
    assert bus.read(0x20, 1) == b"\x20"
    bus.write(0x70, b"\x01")
    assert cause_of(lambda: bus.read(0x20, 1)) is Cause.STUCK_BUS
    assert cause_of(lambda: bus.write(0x70, b"\x00")) is Cause.STUCK_BUS
    mux.reset()
    assert bus.read(0x20, 1) == b"\x20"


# Recovery and power


@pytest.mark.parametrize(("until", "action", "ended"), [
    (Recovery.CLEAR, "clear_bus", True), (Recovery.CLEAR, "reopen", True), (Recovery.CLEAR, "power", True),
    (Recovery.REOPEN, "clear_bus", False), (Recovery.REOPEN, "reopen", True), (Recovery.REOPEN, "power", True),
    (Recovery.POWER, "clear_bus", False), (Recovery.POWER, "reopen", False), (Recovery.POWER, "power", True),
    (None, "clear_bus", False), (None, "reopen", False), (None, "power", False),
])
def test_a_fault_ends_by_its_recovery_and_by_every_stronger_one(
    until: Recovery | None, action: str, ended: bool
) -> None:
    bus, _, _ = i2c()
    bus.inject(Fault(FaultKind.STUCK_BUS, until=until))
    if action == "power":
        bus.set_power(False)
        bus.set_power(True)
    else:
        getattr(bus, action)()
    if ended:
        assert bus.read(0x40, 1) == b"\x11"
    else:
        assert cause_of(lambda: bus.read(0x40, 1)) is Cause.STUCK_BUS


def test_recoveries_are_counted_and_a_fault_without_until_outlives_them() -> None:
    bus, _, _ = i2c()
    handle = bus.inject(Fault(FaultKind.TIMEOUT))
    bus.clear_bus()
    bus.clear_bus()
    bus.reopen()
    assert (bus.cleared, bus.reopened) == (2, 1)
    assert cause_of(lambda: bus.read(0x40, 1)) is Cause.TIMEOUT
    bus.clear(handle)
    assert bus.read(0x40, 1) == b"\x11"


def test_a_bus_whose_lines_nobody_can_clock_refuses_the_clocks() -> None:
    bus = SimI2cBus("i2c_a", clearable=False)
    bus.inject(Fault(FaultKind.STUCK_BUS, until=Recovery.CLEAR))
    assert cause_of(bus.clear_bus) is Cause.PROTOCOL
    assert cause_of(lambda: bus.read(0x40, 1)) is Cause.STUCK_BUS
    assert bus.cleared == 0
    bus.reopen()
    assert cause_of(lambda: bus.read(0x40, 1)) is Cause.NACK_ADDRESS


@pytest.mark.parametrize("bus", [SimSpiBus("spi0"), SimSerialBus("uart2"), SimGpioBus("gpio", ["a"], lambda: 0)])
def test_a_bus_without_a_recovery_refuses_a_fault_that_waits_for_one(bus) -> None:
    with pytest.raises(ValueError, match="only an I2C bus has a recovery"):
        bus.inject(Fault(FaultKind.ALL_ONES, until=Recovery.REOPEN))


def test_without_power_nobody_answers_and_with_it_every_chip_starts_anew() -> None:
    class Counted(Memory):
        resets = 0

        def reset(self) -> None:
            self.resets += 1
            self.cells = bytearray(256)

    bus, mux = SimI2cBus("i2c_a"), Pca9548a()
    direct, behind = Counted(0x11), Counted(0x22)
    bus.attach(0x70, mux)
    bus.attach(0x20, direct)
    bus.attach(0x21, Memory(0x33))
    mux.attach(0, 0x44, behind)
    bus.write(0x70, b"\x01")
    bus.set_power(False)
    for address in (0x20, 0x21, 0x44, 0x70):
        assert cause_of(lambda a=address: bus.read(a, 1)) is Cause.NACK_ADDRESS
    bus.set_power(False)
    bus.set_power(True)
    bus.set_power(True)
    assert (direct.resets, behind.resets) == (1, 1)
    assert bus.read(0x20, 1) == b"\x00"
    assert bus.read(0x21, 1) == b"\x33", "a chip without a reset keeps what it has"
    assert bus.read(0x70, 1) == b"\x00", "all channels of the switch are off"
    assert cause_of(lambda: bus.read(0x44, 1)) is Cause.NACK_ADDRESS
    bus.write(0x70, b"\x01")
    assert bus.read(0x44, 1) == b"\x00"


def test_two_open_channels_contend_with_power_and_are_silent_without() -> None:
    bus, _ = switched()
    bus.write(0x70, b"\x03")
    assert cause_of(lambda: bus.read(0x44, 1)) is Cause.ARBITRATION
    bus.set_power(False)
    assert cause_of(lambda: bus.read(0x44, 1)) is Cause.NACK_ADDRESS
