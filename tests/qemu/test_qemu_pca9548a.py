"""PCA9548A driver against QEMU's model: channels apart, twins at one address, deselected ones silent."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers import tmp423
from drivers.errors import Cause
from drivers.pca9548a import CHANNELS, Device, Settings
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard
from tests.drivers.scripted import Run, cause_of, error_of

MUX = 0x70
TMP = 0x4C
EXPANDER = 0x18
MEMORY = 0x50


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    """A thermometer of the same address on channels 0 and 5, a memory of one on every channel, a chip before it all."""
    return start_board(
        f"pca9548,bus=i2c-bus.1,address={MUX:#x},id=mux",
        f"tmp423,bus=i2c.0,address={TMP:#x},id=t0",
        f"tmp423,bus=i2c.5,address={TMP:#x},id=t5",
        *(f"at24c-eeprom,bus=i2c.{n},address={MEMORY:#x},rom-size=32768,writable=on,id=m{n}" for n in range(CHANNELS)),
        f"max7310,bus=i2c-bus.1,address={EXPANDER:#x},id=g",
    )


@pytest.fixture
def mux(board: QemuBoard, finish: Run) -> Device:
    device = Device(board.i2c(1), MUX, Settings())
    finish(device.initialise())
    return device


def test_after_initialise_nothing_behind_the_switch_answers(board: QemuBoard, mux: Device, finish: Run) -> None:
    bus = board.i2c(1)
    assert finish(mux.acquire()) == 0
    for address in (TMP, MEMORY):
        assert cause_of(bus.read, address, 1) is Cause.NACK_ADDRESS
    assert bus.write_read(EXPANDER, b"\x03", 1) == b"\xff", "what stands before the switch does"


def test_asking_its_name_leaves_the_channels_as_they_are(mux: Device, finish: Run) -> None:
    mux.channel(4).select()
    assert "PCA9548A" in finish(mux.identify())
    assert finish(mux.acquire()) == 1 << 4


def test_channels_are_apart(board: QemuBoard, mux: Device, finish: Run) -> None:
    for number in range(CHANNELS):
        mux.channel(number).write(MEMORY, bytes((0, 7, 0xA0 | number)))
        assert finish(mux.acquire()) == 1 << number
    for number in (3, 0, 7, 6, 1, 2, 5, 4):
        assert mux.channel(number).write_read(MEMORY, b"\x00\x07", 1)[0] == 0xA0 | number


def test_two_chips_of_one_address_keep_their_own_values(board: QemuBoard, mux: Device, finish: Run) -> None:
    devices = {n: tmp423.Device(mux.channel(n), TMP, tmp423.Settings()) for n in (0, 5)}
    for number, device in devices.items():
        finish(device.initialise())
        for channel in range(tmp423.CHANNELS):
            board.qmp.set(f"t{number}", f"temperature{channel}", 1000 * (10 * number - 20 + channel))
    for number in (0, 5, 5, 0):
        expected = tuple(10.0 * number - 20.0 + channel for channel in range(tmp423.CHANNELS))
        # The tolerance is the thermometer model's own, see the TMP423's test.
        assert finish(devices[number].acquire()).celsius == pytest.approx(expected, abs=0.067)


def test_a_chip_that_its_channel_has_not_is_a_nack_named_by_the_channel(mux: Device) -> None:
    error = error_of(mux.channel(3).write_read, TMP, b"\xff", 1)
    assert (error.bus, error.address, error.cause) == ("i2c-bus.1.70.3", TMP, Cause.NACK_ADDRESS)
    assert mux.channel(5).write_read(TMP, b"\xff", 1) == b"\x23", "the next transfer selects anew"


def test_deselected_chips_are_silent_again(board: QemuBoard, mux: Device) -> None:
    assert mux.channel(0).write_read(TMP, b"\xff", 1) == b"\x23"
    mux.mux.deselect()
    assert cause_of(board.i2c(1).write_read, TMP, b"\xff", 1) is Cause.NACK_ADDRESS


def test_a_switch_changed_behind_the_driver_s_back_is_seen(board: QemuBoard, mux: Device, finish: Run) -> None:
    mux.channel(2).select()
    board.i2c(1).write(MUX, b"\x00")
    assert cause_of(finish, mux.acquire()) in (Cause.IMPLAUSIBLE, Cause.RESET)
    assert mux.channel(2).write_read(MEMORY, b"\x00\x07", 1)
    assert finish(mux.acquire()) == 1 << 2


def test_a_switch_that_did_not_hear_is_not_believed_to_be_set(board: QemuBoard, finish: Run) -> None:
    bus = FaultyI2cBus(board.i2c(1))
    mux = Device(bus, MUX, Settings())
    finish(mux.initialise())
    bus.inject(Fault(FaultKind.NACK_ADDRESS, address=MUX, count=1))
    assert error_of(mux.channel(5).write_read, TMP, b"\xff", 1).address == MUX
    assert mux.mux.control is None
    assert mux.channel(5).write_read(TMP, b"\xff", 1) == b"\x23"
