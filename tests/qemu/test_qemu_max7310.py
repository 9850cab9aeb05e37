"""MAX7310 driver against QEMU's model: inputs with polarity, outputs, safe levels, a restart."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.errors import Cause, DeviceError
from drivers.max7310 import Device, Settings
from drivers.samples import DiscreteSample
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard
from tests.drivers.scripted import Run, Steps, first_refusal

ADDRESS = 0x18
UNTOUCHED = 0x19
INPUT, OUTPUT, POLARITY, CONFIGURATION, TIMEOUT = range(5)


class Bench:
    def __init__(self, board: QemuBoard, finish: Run) -> None:
        self.bus = FaultyI2cBus(board.i2c(2))
        self._board = board
        self._finish = finish

    def device(self, settings: Settings) -> Device:
        device = Device(self.bus, ADDRESS, settings)
        self._finish(device.initialise())
        return device

    def pins(self, levels: int) -> None:
        """Drive all eight from outside."""
        for pin in range(8):
            self._board.qtest.set_irq_in("latch", "unnamed-gpio-in", pin, levels >> pin & 1)

    def register(self, pointer: int, address: int = ADDRESS) -> int:
        return self.bus.write_read(address, bytes((pointer,)), 1)[0]

    def sample(self, device: Device) -> DiscreteSample:
        sample = self._finish(device.acquire())
        assert isinstance(sample, DiscreteSample)
        return sample

    def refusal(self, steps: Callable[[], Steps], within: int = 1) -> Cause:
        return first_refusal(steps, within).cause


def as_mask(levels: tuple[bool, ...]) -> int:
    return sum(level << pin for pin, level in enumerate(levels))


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board(
        f"max7310,bus=i2c-bus.2,address={ADDRESS:#x},id=latch",
        f"max7310,bus=i2c-bus.2,address={UNTOUCHED:#x},id=untouched",
        "at24c-eeprom,bus=i2c-bus.2,address=0x50,rom-size=32768,id=other",
    )


@pytest.fixture
def bench(board: QemuBoard, finish: Run) -> Bench:
    bench = Bench(board, finish)
    bench.pins(0)
    return bench


def test_reset_values_are_those_that_the_driver_expects(bench: Bench, finish: Run) -> None:
    finish(Device(bench.bus, UNTOUCHED, Settings()).identify())
    assert [bench.register(pointer, UNTOUCHED) for pointer in (OUTPUT, POLARITY, CONFIGURATION, TIMEOUT)] == [
        0x00, 0xF0, 0xFF, 0x01,
    ]


def test_another_part_at_the_address_is_refused(bench: Bench, finish: Run) -> None:
    with pytest.raises(DeviceError) as caught:
        finish(Device(bench.bus, 0x50, Settings()).initialise())
    assert caught.value.cause is Cause.WRONG_ID


@pytest.mark.parametrize("inverted", [0x00, 0xFF, 0xF0, 0x81])
def test_every_input_is_read_with_its_polarity(bench: Bench, inverted: int) -> None:
    device = bench.device(Settings(inverted=inverted))
    for levels in (*(1 << pin for pin in range(8)), 0x00, 0xFF, 0xA5):
        bench.pins(levels)
        sample = bench.sample(device)
        assert as_mask(sample.inputs) == levels ^ inverted
        assert sample.outputs == (None,) * 8


def test_outputs_start_at_their_safe_levels_and_inputs_stay_inputs(bench: Bench) -> None:
    device = bench.device(Settings(outputs=0x0F, levels=0x05))
    assert (bench.register(CONFIGURATION), bench.register(OUTPUT) & 0x0F) == (0xF0, 0x05)
    bench.pins(0x60)
    sample = bench.sample(device)
    assert sample.outputs == (True, False, True, False, None, None, None, None)
    assert as_mask(sample.inputs) >> 4 == 0x6


def test_each_output_is_driven_alone(bench: Bench, finish: Run) -> None:
    device = bench.device(Settings(outputs=0x3F, levels=0x20))
    expected = 0x20
    for pin, level in ((0, 1), (5, 0), (3, 1), (0, 0), (5, 1)):
        finish(device.drive(1 << pin, level << pin))
        expected = expected & ~(1 << pin) | level << pin
        assert bench.register(OUTPUT) & 0x3F == expected
        assert bench.sample(device).outputs == (*(bool(expected >> p & 1) for p in range(6)), None, None)
    finish(device.drive(0x3F, 0x2A))
    assert bench.register(OUTPUT) & 0x3F == 0x2A


def test_a_pin_that_is_an_input_is_not_driven(bench: Bench) -> None:
    device = bench.device(Settings(outputs=0x01))
    before = bench.register(OUTPUT)
    assert bench.refusal(lambda: device.drive(0x02, 0x02)) is Cause.PROTOCOL
    assert bench.register(OUTPUT) == before


def test_an_order_spoilt_on_the_bus_is_not_believed_and_the_safe_levels_come_back(bench: Bench, finish: Run) -> None:
    device = bench.device(Settings(outputs=0x0F, levels=0x00, scrub_every=1))
    bench.bus.inject(Fault(FaultKind.BIT_FLIP, byte=1, bit=3, count=1))
    assert bench.refusal(lambda: device.drive(0x01, 0x01)) is Cause.IMPLAUSIBLE
    assert bench.register(OUTPUT) & 0x0F == 0x09, "a latch that nobody ordered is driven now"
    assert bench.refusal(device.acquire, within=5) is Cause.RESET
    finish(device.initialise())
    assert bench.register(OUTPUT) & 0x0F == 0x00
    assert bench.sample(device).outputs[:4] == (False,) * 4


@pytest.mark.parametrize(("pointer", "value"), [(CONFIGURATION, 0xFF), (OUTPUT, 0x00), (POLARITY, 0xF0)])
def test_a_restart_is_found_within_one_round(bench: Bench, finish: Run, pointer: int, value: int) -> None:
    device = bench.device(Settings(outputs=0x03, levels=0x02, scrub_every=1))
    bench.sample(device)
    bench.bus.write(ADDRESS, bytes((pointer, value)))
    assert bench.refusal(device.acquire, within=4) is Cause.RESET
    assert bench.refusal(device.acquire) is Cause.RESET, "and again, until it is configured"
    finish(device.initialise())
    assert bench.sample(device).outputs == (False, True, *(None,) * 6)


def test_an_upset_time_out_is_found_too(bench: Bench) -> None:
    device = bench.device(Settings(scrub_every=1))
    bench.sample(device)
    bench.bus.write(ADDRESS, bytes((TIMEOUT, 0x00)))
    try:
        assert bench.refusal(device.acquire, within=4) is Cause.RESET
    finally:
        bench.bus.write(ADDRESS, bytes((TIMEOUT, 0x01)))
