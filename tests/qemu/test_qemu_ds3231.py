"""DS3231 driver against QEMU's DS1338, whose time registers are the same: dates read and set, both forms of the hour.

QEMU's clock is told to begin at a date, so nothing here depends on today. Where it is only read, it stands there; set
it can be only while it runs with the machine's. The DS1338 has memory where the DS3231 has control, status and
temperature, which is enough for the driver's sequences; temperature and century it can't hold.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from drivers.ds3231 import Device, Settings, time_of_day
from drivers.errors import Cause, DeviceError
from drivers.samples import RtcSample
from hil.qemu import QemuBoard, QemuI2cBus
from tests.drivers.scripted import Run, outcomes

ADDRESS = 0x68
START = "2028-02-28T12:00:00"
PATIENCE_S = 60
"""How long the machine may take between two lines of a test."""


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


def clock_at(start_board: Callable[..., QemuBoard], start: str, runs: bool = False) -> QemuI2cBus:
    board = start_board(
        f"ds1338,bus=i2c-bus.0,address={ADDRESS:#x}", "at24c-eeprom,bus=i2c-bus.0,address=0x50,rom-size=32768",
        options=("-rtc", f"base={start},clock={'host' if runs else 'vm'}"),
    )
    return board.i2c(0)


@pytest.fixture(scope="module")
def bus(start_board: Callable[..., QemuBoard]) -> QemuI2cBus:
    return clock_at(start_board, START, runs=True)


@pytest.fixture
def device(bus: QemuI2cBus, finish: Run) -> Device:
    device = Device(bus, ADDRESS, Settings())
    finish(device.initialise())
    return device


def sample(finish: Run, device: Device) -> RtcSample:
    sample = finish(device.acquire())
    assert isinstance(sample, RtcSample)
    return sample


@pytest.mark.parametrize(
    "start",
    ["2000-01-01T00:00:00", "2024-02-29T23:59:59", "2026-11-21T07:30:36", "2038-01-19T03:14:08",
     "2069-12-31T12:00:00", "2099-12-31T23:59:59"],
)
def test_the_models_calendar_is_read_to_the_second(
    start_board: Callable[..., QemuBoard], finish: Run, start: str
) -> None:
    bus = clock_at(start_board, start)
    device = Device(bus, ADDRESS, Settings())
    finish(device.initialise())
    assert sample(finish, device) == RtcSample(unix(start), True, 0.0)


@pytest.mark.parametrize(
    "moment",
    ["2028-02-29T12:34:56", "2028-01-01T00:00:00", "2028-01-31T23:59:59", "2027-01-10T10:10:10", "2051-10-31T09:59:01"],
)
def test_a_time_that_was_set_is_read_back(device: Device, finish: Run, moment: str) -> None:
    """The model takes register by register and makes a date of each step, so it is led by the first of the month."""
    finish(device.set_time(unix(f"{moment[:8]}01T00:00:00")))
    finish(device.set_time(unix(moment)))
    assert 0 <= sample(finish, device).unix_s - unix(moment) <= PATIENCE_S


def test_a_clock_that_does_not_take_the_time_is_refused(device: Device, finish: Run) -> None:
    """From a February the model makes the 31st of March the 2nd, by the steps of its own."""
    finish(device.set_time(unix("2028-02-01T00:00:00")))
    with pytest.raises(DeviceError) as caught:
        finish(device.set_time(unix("2028-03-31T00:00:00")))
    assert caught.value.cause is Cause.IMPLAUSIBLE


@pytest.mark.parametrize("hour", range(24))
def test_driver_and_model_agree_on_the_12_hour_form(bus: QemuI2cBus, device: Device, finish: Run, hour: int) -> None:
    """The model takes it, and reads back the 24-hour form."""
    finish(device.set_time(unix("2028-02-10T00:05:06")))
    twelve = (hour - 1) % 12 + 1
    coded = 0x40 | (0x20 if hour >= 12 else 0) | twelve // 10 << 4 | twelve % 10
    bus.write(ADDRESS, bytes((0x02, coded)))
    shown = bus.write_read(ADDRESS, b"\x00", 7)
    assert shown[2] < 0x40
    by_the_model = time_of_day(shown).unix_s
    by_the_driver = time_of_day(bytes((*shown[:2], coded, *shown[3:]))).unix_s
    assert by_the_driver == by_the_model
    assert 0 <= by_the_model - unix(f"2028-02-10T{hour:02d}:05:06") <= PATIENCE_S


def test_a_clock_that_stands_is_found(start_board: Callable[..., QemuBoard], finish: Run) -> None:
    device = Device(clock_at(start_board, START), ADDRESS, Settings())
    finish(device.initialise())
    found = outcomes(lambda: finish(device.acquire()), 12)
    assert {outcome for outcome in found if isinstance(outcome, Cause)} == {Cause.STALE_COUNTER}


def test_a_lost_configuration_is_found_and_written_again(bus: QemuI2cBus, device: Device, finish: Run) -> None:
    bus.write(ADDRESS, b"\x0e\x00")
    with pytest.raises(DeviceError) as caught:
        finish(device.acquire())
    assert caught.value.cause is Cause.RESET
    finish(device.initialise())
    assert sample(finish, device).trusted


def test_a_clock_in_doubt_says_so_until_it_is_set(bus: QemuI2cBus, device: Device, finish: Run) -> None:
    bus.write(ADDRESS, b"\x0f\x88")
    assert not sample(finish, device).trusted
    finish(device.set_time(unix("2028-02-10T00:05:06")))
    assert sample(finish, device).trusted
    assert bus.write_read(ADDRESS, b"\x0f", 1) == b"\x08"


def test_what_is_no_clock_is_refused(bus: QemuI2cBus, finish: Run) -> None:
    """A memory of zeros: month 0, day 0."""
    with pytest.raises(DeviceError) as caught:
        finish(Device(bus, 0x50, Settings()).initialise())
    assert caught.value.cause is Cause.WRONG_ID
