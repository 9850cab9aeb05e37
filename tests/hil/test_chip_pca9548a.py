"""The PCA9548A joins exactly the segments its register names, and no address conflict stays silent."""

from __future__ import annotations

import pytest

from drivers.errors import Cause, DeviceError
from hil.bus import SimI2cBus
from hil.chips.pca9548a import Pca9548a
from hil.chips.tmp423 import Tmp423


def board() -> tuple[SimI2cBus, Pca9548a, dict[int, Tmp423]]:
    bus, mux = SimI2cBus("i2c_b"), Pca9548a()
    bus.attach(0x70, mux)
    chips = {channel: Tmp423() for channel in (0, 1, 7)}
    for channel, chip in chips.items():
        chip.set_celsius(0, 10.0 + channel)
        mux.attach(channel, 0x4C, chip)
    mux.attach(1, 0x4D, Tmp423())
    return bus, mux, chips


def test_control_register_is_zero_after_power_on_and_reads_back() -> None:
    bus, mux, _ = board()
    assert bus.read(0x70, 1) == b"\x00"
    bus.write(0x70, b"\x05")
    assert bus.read(0x70, 2) == b"\x05\x05"
    bus.write(0x70, b"\x05\x81")
    assert bus.write_read(0x70, b"\x82", 1) == b"\x82"
    mux.reset()
    assert bus.read(0x70, 1) == b"\x00"


def test_closed_channel_is_not_acknowledged() -> None:
    bus, mux, _ = board()
    with pytest.raises(DeviceError) as caught:
        bus.read(0x4C, 1)
    assert caught.value.cause is Cause.NACK_ADDRESS
    bus.write(0x70, b"\x01")
    bus.read(0x4C, 1)
    mux.reset()
    with pytest.raises(DeviceError):
        bus.read(0x4C, 1)


@pytest.mark.parametrize("channel", [0, 1, 7])
def test_open_channel_reaches_its_own_chip(channel: int) -> None:
    bus, _, _ = board()
    bus.write(0x70, bytes((1 << channel,)))
    assert bus.write_read(0x4C, b"\x00", 1)[0] == 10 + channel


def test_same_address_on_two_open_channels_is_refused_and_others_still_answer() -> None:
    bus, _, _ = board()
    bus.write(0x70, b"\x03")
    for call in (lambda: bus.read(0x4C, 1), lambda: bus.write(0x4C, b"\x00")):
        with pytest.raises(DeviceError) as caught:
            call()
        assert caught.value.cause is Cause.ARBITRATION
    assert bus.write_read(0x4D, b"\xfe", 1) == b"\x55"


def test_address_before_and_behind_the_switch_is_refused_whichever_comes_first() -> None:
    bus, mux, _ = board()
    with pytest.raises(ValueError, match="taken"):
        bus.attach(0x4C, Tmp423())
    bus.attach(0x20, Tmp423())
    with pytest.raises(ValueError, match="behind a switch"):
        mux.attach(3, 0x20, Tmp423())
    mux.attach(3, 0x21, Tmp423())
    late, alone = SimI2cBus("late"), Pca9548a()
    alone.attach(0, 0x20, Tmp423())
    late.attach(0x20, Tmp423())
    with pytest.raises(ValueError, match="before it"):
        late.attach(0x70, alone)


@pytest.mark.parametrize(("channel", "address"), [(8, 0x20), (-1, 0x20), (0, 0x4C), (0, 0x03)])
def test_attach_refuses_what_cannot_be_wired(channel: int, address: int) -> None:
    _, mux, _ = board()
    with pytest.raises(ValueError, match=r"channel|reserved"):
        mux.attach(channel, address, Tmp423())
