"""DS3231: kernel dates and temperatures, both hour forms, doubt that is shown, and a time that is proven when set."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ds3231
from drivers.errors import Cause, DeviceError
from drivers.samples import RtcSample
from tests.drivers.scripted import MemoryBank, published, refusal, run

ADDRESS = 0x68
NOW = "07052307311299"
"""2099-12-31 23:05:07 as the kernel row has it."""
NOW_UNIX_S = 4_102_441_507


class Registers(MemoryBank):
    """A DS3231 (Maxim 19-5170) that runs on its battery since NOW; time moves when the test says so."""

    name = "i2c_b"
    address = ADDRESS

    def power_up(self) -> None:
        self.oscillates = True
        self.memory = bytearray(0x13)
        self.memory[0x00:0x07] = bytes.fromhex(NOW)
        self.memory[0x0E:0x10] = b"\x1c\x00"
        self.memory[0x11:0x13] = b"\x19\x40"

    def tick(self, seconds: int = 1) -> None:
        now = ds3231.time_of_day(bytes(self.memory[:7])).unix_s
        self.memory[:7] = ds3231.time_registers(now + seconds)

    def take(self, data: bytes) -> None:
        if data[0] == 0x0F:
            self.memory[0x0F] &= data[1] | 0x7C if self.oscillates else 0xFF
        else:
            super().take(data)



def ready(bus: Registers) -> ds3231.Device:
    device = ds3231.Device(bus, ADDRESS, ds3231.Settings())
    run(bus, device.initialise())
    return device


def rows_of(shared_data: Path, part: str) -> tuple[bytes, dict[str, str]]:
    """Registers of a part's rows as memory, and what each unit is expected to be."""
    rows = published(shared_data, part)
    memory = bytearray(0x13)
    for register, byte in zip(rows[0]["registers"].split(), rows[0]["bytes"].split(), strict=True):
        memory[int(register, 16)] = int(byte, 16)
    return bytes(memory), {row["unit"]: row["expected"] for row in rows}


def test_every_value_that_the_kernel_computed_for_the_part(shared_data: Path) -> None:
    memory, expected = rows_of(shared_data, "DS3231 neg T, century")
    assert len(expected) == 5
    sample = ds3231.clock(memory)
    assert sample.temperature_c == pytest.approx(float(expected["temp1_input mdegC"]) / 1000.0)
    assert sample.unix_s == int(expected["since_epoch"])
    moment = datetime.fromtimestamp(sample.unix_s, UTC)
    assert (f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}") == (expected["date"], expected["time"])
    assert sample.trusted


def test_the_time_registers_of_its_older_siblings(shared_data: Path) -> None:
    memory, expected = rows_of(shared_data, "DS1338/DS1307")
    assert len(expected) == 4
    found = ds3231.time_of_day(memory[:7])
    assert found == (int(expected["since_epoch"]), False)
    moment = datetime.fromtimestamp(found.unix_s, UTC)
    assert (f"{moment:%Y-%m-%d}", f"{moment:%H:%M:%S}") == (expected["date"], expected["time"])


@pytest.mark.parametrize(("hours", "expected"), [
    (0x52, 0), (0x41, 1), (0x51, 11), (0x72, 12), (0x61, 13), (0x71, 23), (0x00, 0), (0x23, 23), (0x12, 12),
])
def test_hours_of_either_form(hours: int, expected: int) -> None:
    data = bytes((0x00, 0x00, hours, 0x01, 0x01, 0x01, 0x26))
    assert datetime.fromtimestamp(ds3231.time_of_day(data).unix_s, UTC).hour == expected


def test_the_century_bit_is_a_hundred_years_and_a_halted_older_part_says_so() -> None:
    data = bytearray.fromhex("00000001018100")
    assert datetime.fromtimestamp(ds3231.time_of_day(bytes(data)).unix_s, UTC).year == 2100
    data[0] |= 0x80
    assert ds3231.time_of_day(bytes(data)).halted


@pytest.mark.parametrize("data", [
    "00000000000000", "ffffffffffffff", "60000001010126", "00600001010126", "00002401010126", "00000000010126",
    "00000001000126", "00000001320126", "00000001010026", "00000001011326", "00000001290226", "0a000001010126",
    "000000010101a6", "00005301010126", "00004001010126", "00000081010126", "000000010101", "0000000101012600",
])
def test_what_is_no_time_is_refused(data: str) -> None:
    with pytest.raises(DeviceError):
        ds3231.time_of_day(bytes.fromhex(data))


@pytest.mark.parametrize(("data", "value"), [
    ("1940", 25.25), ("0000", 0.0), ("ffc0", -0.25), ("e780", -24.5), ("d800", -40.0), ("5500", 85.0),
])
def test_temperatures_with_sign(data: str, value: float) -> None:
    assert ds3231.temperature_c(bytes.fromhex(data)) == value


@pytest.mark.parametrize("data", ["ffff", "7fc0", "8000", "1941", "19"])
def test_impossible_temperatures_are_refused(data: str) -> None:
    with pytest.raises(DeviceError):
        ds3231.temperature_c(bytes.fromhex(data))


def test_a_sample_is_one_transaction() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    assert run(bus, device.acquire()) == RtcSample(NOW_UNIX_S, True, 25.25)
    assert bus.transactions - before == 1


def test_a_clock_that_has_stood_still_is_not_trusted_until_it_is_set() -> None:
    bus = Registers()
    bus.memory[0x0F] = 0x88
    device = ready(bus)
    assert not run(bus, device.acquire()).trusted
    run(bus, device.set_time(1_795_000_000))
    assert run(bus, device.acquire()) == RtcSample(1_795_000_000, True, 25.25)
    assert bus.memory[0x0F] == 0x08  # the other bits are left alone


def test_setting_writes_the_time_in_one_piece_and_reads_it_back() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.set_time(1_835_440_496))
    assert bus.transactions - before == 4
    assert bytes(bus.memory[:7]) == bytes.fromhex("56341203290228")  # a Tuesday is day 3


def test_a_clock_that_does_not_take_the_time_is_refused() -> None:
    bus = Registers()
    device = ready(bus)
    steps = device.set_time(1_795_000_000)
    next(steps)
    bus.memory[:7] = bytes.fromhex(NOW)
    assert refusal(bus, steps) is Cause.IMPLAUSIBLE


def test_an_oscillator_that_does_not_run_cannot_be_trusted_by_setting() -> None:
    bus = Registers()
    bus.memory[0x0F] = 0x80
    bus.oscillates = False
    device = ready(bus)
    assert refusal(bus, device.set_time(1_795_000_000)) is Cause.IMPLAUSIBLE


@pytest.mark.parametrize("unix_s", [946_684_799, 7_258_118_400, -1])
def test_a_time_that_the_chip_cannot_hold_is_refused_before_anything_is_sent(unix_s: int) -> None:
    bus = Registers()
    device = ready(bus)
    before = bytes(bus.memory)
    with pytest.raises(DeviceError) as caught:
        next(device.set_time(unix_s))
    assert caught.value.cause is Cause.PROTOCOL
    assert bytes(bus.memory) == before


def test_a_clock_that_stands_becomes_stale_and_one_that_goes_does_not() -> None:
    bus = Registers()
    device = ready(bus)
    for _ in range(20):
        run(bus, device.acquire())
        bus.tick()
    for _ in range(9):
        run(bus, device.acquire())
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


def test_an_upset_control_register_is_found() -> None:
    bus = Registers()
    device = ready(bus)
    bus.memory[0x0E] = 0x3C  # a conversion begun by the chip is none
    assert run(bus, device.acquire()) is not None
    bus.memory[0x0E] = 0x9C
    assert refusal(bus, device.acquire()) is Cause.RESET


def test_identify_shows_doubt_and_writes_nothing() -> None:
    bus = Registers()
    before = bytes(bus.memory)
    assert "DS3231" in run(bus, ds3231.Device(bus, ADDRESS, ds3231.Settings()).identify())
    assert bytes(bus.memory) == before
    bus.memory[0x0F] = 0x80
    assert "not trusted" in run(bus, ds3231.Device(bus, ADDRESS, ds3231.Settings()).identify())
    bus.memory[:7] = bytes(7)
    assert "never set" in run(bus, ds3231.Device(bus, ADDRESS, ds3231.Settings()).identify())


@pytest.mark.parametrize("byte", [0x00, 0xFF, 0x5A])
def test_another_chip_or_a_dead_line_is_refused(byte: int) -> None:
    bus = Registers()
    bus.memory[:] = bytes((byte,)) * len(bus.memory)
    assert refusal(bus, ds3231.Device(bus, ADDRESS, ds3231.Settings()).initialise()) is Cause.WRONG_ID


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=20), st.binary(min_size=19, max_size=19), st.binary(min_size=7, max_size=7)))
def test_any_bytes_are_a_value_or_a_refusal(data: bytes) -> None:
    for codec in ds3231.CODECS:
        with suppress(DeviceError):
            assert codec.decode(data) is not None


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.integers(946_684_800, 7_258_118_399))
def test_every_time_comes_back(unix_s: int) -> None:
    assert ds3231.time_of_day(ds3231.time_registers(unix_s)) == (unix_s, False)
