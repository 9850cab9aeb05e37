"""PCA9548A: transfers reach the channel they were meant for, and a lost selection is set anew."""

from __future__ import annotations

import pytest

from drivers.bus.protocol import I2cBus
from drivers.errors import Cause, DeviceError
from drivers.pca9548a import Device, Mux, Settings, control

SWITCH = 0x70
SENSOR = 0x44


class Tree:
    """A switch with a sensor at 0x44 behind each of channels 0 and 1; it answers its channel's number."""

    name = "i2c_b"

    def __init__(self) -> None:
        self.control = 0
        self.log: list[tuple[str, int]] = []

    def _target(self, address: int) -> int:
        for channel in (0, 1):
            if address == SENSOR and self.control & 1 << channel:
                return channel
        raise DeviceError(self.name, address, Cause.NACK_ADDRESS, "nobody")

    def write(self, address: int, data: bytes) -> None:
        self.log.append(("write", address))
        if address == SWITCH:
            self.control = data[-1]
        else:
            self._target(address)

    def read(self, address: int, count: int) -> bytes:
        self.log.append(("read", address))
        return bytes((self.control if address == SWITCH else self._target(address),)) * count

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        self.log.append(("write_read", address))
        return bytes((self._target(address),)) * count


def test_a_channel_is_an_i2c_bus_with_its_own_name() -> None:
    channel = Mux(Tree(), SWITCH).channel(1)
    assert isinstance(channel, I2cBus)
    assert channel.name == "i2c_b.70.1"


def test_select_is_one_transaction_and_then_transfers_pass() -> None:
    tree = Tree()
    channel = Mux(tree, SWITCH).channel(1)
    assert not channel.selected
    channel.select()
    assert channel.selected
    assert tree.log == [("write", SWITCH)]
    assert channel.write_read(SENSOR, b"\x00", 2) == b"\x01\x01"
    assert len(tree.log) == 2


def test_a_transfer_on_another_channel_selects_it_first() -> None:
    tree = Tree()
    mux = Mux(tree, SWITCH)
    zero, one = mux.channel(0), mux.channel(1)
    assert zero.read(SENSOR, 1) == b"\x00"
    one.write(SENSOR, b"\x01")
    assert (zero.selected, one.selected) == (False, True)
    assert zero.write_read(SENSOR, b"\x00", 1) == b"\x00"
    assert tree.control == 1


def test_a_switch_that_lost_its_supply_is_set_anew() -> None:
    tree = Tree()
    channel = Mux(tree, SWITCH).channel(0)
    channel.read(SENSOR, 1)
    tree.control = 0
    with pytest.raises(DeviceError) as caught:
        channel.read(SENSOR, 1)
    assert (caught.value.bus, caught.value.cause) == ("i2c_b.70.0", Cause.NACK_ADDRESS)
    assert not channel.selected
    assert channel.read(SENSOR, 1) == b"\x00"


def test_a_failed_selection_leaves_nothing_selected() -> None:
    class Deaf(Tree):
        def write(self, address: int, data: bytes) -> None:
            raise DeviceError(self.name, address, Cause.TIMEOUT)

    channel = Mux(Deaf(), SWITCH).channel(0)
    with pytest.raises(DeviceError):
        channel.select()
    assert not channel.selected


@pytest.mark.parametrize("number", [-1, 8])
def test_there_are_eight_channels(number: int) -> None:
    with pytest.raises(ValueError, match=r"channels 0\.\.7"):
        Mux(Tree(), SWITCH).channel(number)


def test_initialise_switches_all_off_and_reads_back_in_two_transactions() -> None:
    tree = Tree()
    tree.control = 0xFF
    device = Device(tree, SWITCH, Settings())
    steps = device.initialise()
    next(steps)
    assert len(tree.log) == 1
    with pytest.raises(StopIteration):
        next(steps)
    assert tree.log == [("write", SWITCH), ("read", SWITCH)]
    assert tree.control == 0


def test_something_else_at_the_address_is_refused() -> None:
    class Stubborn(Tree):
        def read(self, address: int, count: int) -> bytes:
            return b"\x55"

    with pytest.raises(DeviceError) as caught:
        list(Device(Stubborn(), SWITCH, Settings()).initialise())
    assert caught.value.cause is Cause.WRONG_ID


def test_identify_is_one_read_of_a_byte_that_repeats() -> None:
    tree = Tree()
    tree.control = 0x04
    with pytest.raises(StopIteration) as done:
        next(Device(tree, SWITCH, Settings()).identify())
    assert "PCA9548A" in done.value.value
    assert tree.log == [("read", SWITCH)]


def test_a_part_with_a_pointer_is_no_switch() -> None:
    class Counting(Tree):
        def read(self, address: int, count: int) -> bytes:
            return bytes(range(count))

    with pytest.raises(DeviceError) as caught:
        next(Device(Counting(), SWITCH, Settings()).identify())
    assert caught.value.cause is Cause.WRONG_ID


@pytest.mark.parametrize("data", [b"", b"\x01\x02"])
def test_only_repeated_bytes_are_a_control_register(data: bytes) -> None:
    with pytest.raises(DeviceError):
        control(data)
    assert control(b"\x08") == control(b"\x08\x08") == 8


def test_the_device_notices_a_register_that_changed_by_itself() -> None:
    tree = Tree()
    device = Device(tree, SWITCH, Settings())
    device.channel(1).select()
    with pytest.raises(StopIteration) as done:
        next(device.acquire())
    assert done.value.value == 2
    tree.control = 0
    with pytest.raises(DeviceError) as caught:
        next(device.acquire())
    assert caught.value.cause is Cause.RESET
    assert not device.channel(1).selected


def test_device_and_channels_can_share_one_switch() -> None:
    tree = Tree()
    mux = Mux(tree, SWITCH)
    mux.channel(0).select()
    list(Device(tree, SWITCH, Settings(), mux).initialise())
    assert not mux.channel(0).selected
