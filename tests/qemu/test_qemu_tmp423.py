"""TMP423 driver against QEMU's model of the chip: identity, reset, every channel, both signs and ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.errors import Cause, DeviceError
from drivers.samples import TemperatureSample
from drivers.tmp423 import Device, Settings
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard
from tests.drivers.scripted import Run, outcomes

ADDRESS = 0x4C
TOLERANCE_C = 1 / 16 + 1 / 256 + 1e-9
"""The model subtracts half a 1/256 deg C, truncates towards zero, then drops the four bits that the chip hasn't."""


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board(
        f"tmp423,bus=i2c-bus.0,address={ADDRESS:#x},id=t0", "tmp422,bus=i2c-bus.0,address=0x4d,id=t1",
        "tmp105,bus=i2c-bus.0,address=0x4e,id=t2",
    )


def set_all(board: QemuBoard, *celsius: float) -> None:
    for channel, value in enumerate(celsius):
        board.qmp.set("t0", f"temperature{channel}", round(value * 1000))


@pytest.fixture
def device(board: QemuBoard, finish: Run) -> Device:
    """Initialised, because the model keeps the range in which it was set, and no value set yet."""
    device = Device(board.i2c(0), ADDRESS, Settings())
    finish(device.initialise())
    return device


@pytest.mark.parametrize(
    "celsius",
    [
        (25.0, 0.0, -25.0, 100.0), (-55.0, -54.99, -0.0625, 0.0625), (149.99, 127.0, 127.9375, 128.0),
        (64.0, 63.9375, -1.0, 1.0), (20.25, -40.0, -39.5, 85.3), (0.0, -0.01, 0.01, 149.99),
    ],
)
def test_every_channel_in_place_with_its_sign(
    board: QemuBoard, device: Device, finish: Run, celsius: tuple[float, ...]
) -> None:
    set_all(board, *celsius)
    sample = finish(device.acquire())
    assert isinstance(sample, TemperatureSample)
    assert sample.celsius == pytest.approx(celsius, abs=TOLERANCE_C)


def test_the_whole_range_in_steps(board: QemuBoard, device: Device, finish: Run) -> None:
    for tenths in range(-550, 1500, 137):
        value = tenths / 10
        set_all(board, value, -value if value <= 55.0 else value, value, 25.0)
        assert finish(device.acquire()).celsius[0] == pytest.approx(value, abs=TOLERANCE_C)


def test_nothing_is_said_before_a_channel_has_a_value(board: QemuBoard, device: Device, finish: Run) -> None:
    """After the reset command the model's results are zero, as the chip's are until it has converted."""
    assert finish(device.acquire()) is None
    set_all(board, 20.0, 21.0, 22.0, 23.0)
    assert finish(device.acquire()).celsius == pytest.approx((20.0, 21.0, 22.0, 23.0), abs=TOLERANCE_C)


def test_the_part_names_itself_and_keeps_its_values(board: QemuBoard, device: Device, finish: Run) -> None:
    set_all(board, 20.0, 21.0, 22.0, 23.0)
    assert "TMP423" in finish(device.identify())
    assert finish(device.acquire()).celsius == pytest.approx((20.0, 21.0, 22.0, 23.0), abs=TOLERANCE_C)


def test_initialise_leaves_the_configuration_that_the_driver_wrote(board: QemuBoard, device: Device) -> None:
    bus = board.i2c(0)
    assert [bus.write_read(ADDRESS, bytes((register,)), 1)[0] for register in (0x09, 0x0A)] == [0x04, 0x7C]


def test_a_lost_range_is_refused_until_it_is_configured_again(board: QemuBoard, device: Device, finish: Run) -> None:
    set_all(board, 20.0, 21.0, 22.0, 23.0)
    assert finish(device.acquire()) is not None
    board.i2c(0).write(ADDRESS, b"\xfc\x00")
    set_all(board, 20.0, 21.0, 22.0, 23.0)  # now coded in the standard range
    for _ in range(3):
        with pytest.raises(DeviceError) as caught:
            finish(device.acquire())
        assert caught.value.cause is Cause.RESET
    finish(device.initialise())
    set_all(board, 20.0, 21.0, 22.0, 23.0)
    assert finish(device.acquire()).celsius == pytest.approx((20.0, 21.0, 22.0, 23.0), abs=TOLERANCE_C)


def test_a_channel_switched_off_behind_the_driver_s_back_is_found(board: QemuBoard, finish: Run) -> None:
    device = Device(board.i2c(0), ADDRESS, Settings(scrub_every=1))
    finish(device.initialise())
    set_all(board, 20.0, 21.0, 22.0, 23.0)
    board.i2c(0).write(ADDRESS, b"\x0a\x3c")
    found = outcomes(lambda: finish(device.acquire()), 3)
    assert {outcome for outcome in found if isinstance(outcome, Cause)} == {Cause.RESET}


@pytest.mark.parametrize("address", [0x4D, 0x4E])
def test_other_parts_of_the_maker_at_the_address_are_refused(board: QemuBoard, finish: Run, address: int) -> None:
    with pytest.raises(DeviceError) as caught:
        finish(Device(board.i2c(0), address, Settings()).initialise())
    assert caught.value.cause is Cause.WRONG_ID


def test_a_lost_acknowledge_in_the_middle_of_a_sample_is_named_and_the_next_is_whole(
    board: QemuBoard, finish: Run
) -> None:
    bus = FaultyI2cBus(board.i2c(0))
    device = Device(bus, ADDRESS, Settings())
    finish(device.initialise())
    set_all(board, -10.0, 21.0, 22.0, 23.0)
    steps = device.acquire()
    next(steps)
    bus.inject(Fault(FaultKind.NACK_ADDRESS, address=ADDRESS, count=1))
    with pytest.raises(DeviceError) as caught:
        finish(steps)
    assert (caught.value.bus, caught.value.cause) == ("i2c-bus.0", Cause.NACK_ADDRESS)
    assert finish(device.acquire()).celsius == pytest.approx((-10.0, 21.0, 22.0, 23.0), abs=TOLERANCE_C)


@pytest.mark.parametrize(("device", "channels"), [(421, 2), (422, 3)])
def test_the_smaller_parts_of_the_family(
    start_board: Callable[..., QemuBoard], finish: Run, device: int, channels: int
) -> None:
    board = start_board(f"tmp{device},bus=i2c-bus.0,address={ADDRESS:#x},id=t0")
    driver = Device(board.i2c(0), ADDRESS, Settings(device=device))  # type: ignore[arg-type]
    finish(driver.initialise())
    wanted = (-25.0, 100.0, 63.9375)[:channels]
    set_all(board, *wanted)
    assert finish(driver.acquire()).celsius == pytest.approx(wanted, abs=TOLERANCE_C)
    with pytest.raises(DeviceError) as refused:
        finish(Device(board.i2c(0), ADDRESS, Settings()).identify())
    assert refused.value.cause is Cause.WRONG_ID
