"""ADIS16470: burst codec against reference values, freshness, health flags, and register access one frame a resume."""

from __future__ import annotations

import math
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import adis16470
from drivers.errors import Cause, DeviceError
from drivers.samples import ImuSample
from tests.drivers.scripted import SpiPart, published, run

MS = 1_000_000
G0 = 9.80665


def frame(
    words: tuple[int, ...] = (1000, -1000, 0, 800, -800, 0, 250), counter: int = 7, status: int = 0, wrong: int = 0
) -> bytes:
    body = struct.pack(">H7hH", status, *words, counter & 0xFFFF)
    return b"\x00\x00" + body + struct.pack(">H", sum(body) + wrong & 0xFFFF)


class Unit(SpiPart):
    """An ADIS16470 after power-up: answers a register in the frame after the request, counts its outputs."""

    address = 0

    def __init__(self) -> None:
        super().__init__()
        self.registers = {0x02: 0x0000, 0x5C: 0x0000, 0x60: 0x00C1, 0x64: 0x0000, 0x72: 0x4056}
        self.counter = 100
        self._answer = 0

    def answer(self, data: bytes) -> bytes:
        if data[0] == 0x68:
            assert len(data) == 22
            return frame(counter=self.counter)
        assert len(data) == 2  # only the burst may be longer
        answer, self._answer = self._answer, 0
        address = data[0] & 0x7E
        if data[0] & 0x80:
            shift = 8 if data[0] & 1 else 0
            held = self.registers.get(address, 0)
            self.registers[address] = held & ~(0xFF << shift) | data[1] << shift
        else:
            self._answer = self.registers.get(address, 0)
            if address == 0x02:
                self.registers[0x02] = 0
        return answer.to_bytes(2, "big")


def ready(unit: Unit, **fields: int) -> adis16470.Device:
    device = adis16470.Device(unit, 0, adis16470.Settings(**fields))
    run(unit, device.initialise())
    return device


def test_every_reference_row(shared_data: Path) -> None:
    rows = published(shared_data, "ADIS16470")
    assert len(rows) == 5
    for row in rows:
        data = bytes.fromhex(row["bytes"])
        sample = adis16470.burst(data)  # raises if the checksum of the row did not match
        what = row["registers"].split()[-1]
        values = {
            "X_GYRO": math.degrees(sample.rate_rad_s[0]), "Y_GYRO": math.degrees(sample.rate_rad_s[1]),
            "Y_ACCL": sample.specific_force_m_s2[1] / G0, "TEMP": sample.temperature_c,
            "checksum": int.from_bytes(data[-2:], "big"),
        }
        assert values[what] == pytest.approx(float(int(row["expected"], 16) if what == "checksum" else row["expected"]))


def test_a_sample_is_in_si() -> None:
    sample = adis16470.burst(frame((10, 0, -20, 8, 0, -16, -55)))
    assert sample.rate_rad_s == pytest.approx((math.radians(1.0), 0.0, -math.radians(2.0)))
    assert sample.specific_force_m_s2 == pytest.approx((0.01 * G0, 0.0, -0.02 * G0))
    assert (sample.temperature_c, sample.counter) == (pytest.approx(-5.5), 7)


def test_initialise_sets_clock_filter_and_rate() -> None:
    unit = Unit()
    ready(unit, decimation=4, filter_size=3)
    assert unit.configured == [(0, 3, 1_000_000)]
    assert (unit.registers[0x64], unit.registers[0x5C]) == (4, 3)


def test_large_decimation_uses_both_bytes() -> None:
    unit = Unit()
    ready(unit, decimation=1999)
    assert unit.registers[0x64] == 1999


@pytest.mark.parametrize("product", [0x4057, 0x0000, 0xFFFF])
def test_another_product_is_refused(product: int) -> None:
    unit = Unit()
    unit.registers[0x72] = product
    with pytest.raises(DeviceError) as caught:
        run(unit, adis16470.Device(unit, 0, adis16470.Settings()).initialise())
    assert (caught.value.bus, caught.value.address, caught.value.cause) == ("spi0", 0, Cause.WRONG_ID)


def test_flags_from_before_are_forgiven_once_read() -> None:
    unit = Unit()
    unit.registers[0x02] = 0x0008
    ready(unit)


def test_identify_names_product_and_firmware_and_writes_nothing() -> None:
    unit = Unit()
    unit.registers[0x6C] = 0x0105
    before = dict(unit.registers)
    assert run(unit, adis16470.Device(unit, 0, adis16470.Settings()).identify()) == "ADI ADIS16470 firmware 1.05"
    assert unit.registers == before


def test_the_bench_reads_and_writes_whole_registers() -> None:
    unit = Unit()
    device = adis16470.Device(unit, 0, adis16470.Settings())
    named = {register.name: register for register in adis16470.REGISTERS}
    device.write_register(named["DEC_RATE"], b"\x01\xf3")
    assert unit.registers[0x64] == 499
    assert device.read_register(named["DEC_RATE"]) == b"\x01\xf3"
    for register, data in ((named["PROD_ID"], b"\x00\x00"), (named["DEC_RATE"], b"\x00")):
        with pytest.raises(DeviceError) as caught:
            device.write_register(register, data)
        assert caught.value.cause is Cause.PROTOCOL


def test_a_register_that_does_not_hold_is_refused() -> None:
    class Forgetful(Unit):
        def transfer(self, select: int, data: bytes) -> bytes:
            answer = super().transfer(select, data)
            self.registers[0x64] = 0
            return answer

    unit = Forgetful()
    with pytest.raises(DeviceError) as caught:
        run(unit, adis16470.Device(unit, 0, adis16470.Settings(decimation=4)).initialise())
    assert caught.value.cause is Cause.IMPLAUSIBLE


def test_a_read_is_one_transfer() -> None:
    unit = Unit()
    device = ready(unit)
    before = unit.transactions
    assert isinstance(device.read(0), ImuSample)
    assert unit.transactions == before + 1


def test_a_repeated_counter_is_stale_and_the_next_is_good() -> None:
    unit = Unit()
    device = ready(unit)
    device.read(0)
    with pytest.raises(DeviceError) as caught:
        device.read(5 * MS)
    assert caught.value.cause is Cause.STALE_COUNTER
    unit.counter += 10
    assert device.read(10 * MS).counter == 110


def test_the_counter_may_wrap() -> None:
    unit = Unit()
    unit.counter = 65_534
    device = ready(unit)
    device.read(0)
    unit.counter = 3
    assert device.read(5 * MS).counter == 3


def test_a_late_reader_is_no_restart() -> None:
    unit = Unit()
    device = ready(unit)
    device.read(0)
    unit.counter += 400
    assert device.read(400 * MS).counter == 500


def test_a_restarted_unit_is_refused_until_initialised() -> None:
    unit = Unit()
    unit.counter = 30_000
    device = ready(unit)
    device.read(0)
    for tick in range(1, 5):
        unit.counter = 10 * tick
        with pytest.raises(DeviceError) as caught:
            device.read(5 * MS * tick)
        assert caught.value.cause is Cause.RESET
    run(unit, device.initialise())
    assert device.read(100 * MS).counter == 40


def test_acquire_gives_a_sample_without_a_clock() -> None:
    unit = Unit()
    device = ready(unit)
    assert run(unit, device.acquire()).counter == 100


@pytest.mark.parametrize(("level", "cause"), [(b"\x00", Cause.IMPLAUSIBLE), (b"\xff", Cause.CHECKSUM)])
def test_a_dead_line_is_refused(level: bytes, cause: Cause) -> None:
    unit = Unit()
    device = ready(unit)
    unit.stuck = level
    with pytest.raises(DeviceError) as caught:
        device.read(0)
    assert caught.value.cause is cause


@pytest.mark.parametrize(("bit", "cause"), [
    (1, Cause.IMPLAUSIBLE), (2, Cause.IMPLAUSIBLE), (3, Cause.PROTOCOL), (4, Cause.IMPLAUSIBLE), (5, Cause.IMPLAUSIBLE),
    (6, Cause.IMPLAUSIBLE), (7, Cause.IMPLAUSIBLE), (9, Cause.IMPLAUSIBLE),
])
def test_every_health_flag_refuses_the_sample(bit: int, cause: Cause) -> None:
    with pytest.raises(DeviceError) as caught:
        adis16470.burst(frame(status=1 << bit))
    assert caught.value.cause is cause


@pytest.mark.parametrize("words", [
    (24_001, 0, 0, 0, 0, 800, 250), (0, 0, -24_001, 0, 0, 800, 250), (0, 0, 0, 32_701, 0, 0, 250),
    (0, 0, 0, 0, 0, -32_768, 250), (0, 0, 0, 0, 0, 800, 1301), (0, 0, 0, 0, 0, 800, -651),
])
def test_values_beyond_the_ranges_are_refused(words: tuple[int, ...]) -> None:
    with pytest.raises(DeviceError) as caught:
        adis16470.burst(frame(words))
    assert caught.value.cause is Cause.IMPLAUSIBLE


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 8 * 18 - 1))
def test_one_flipped_bit_is_always_caught(bit: int) -> None:
    data = bytearray(frame())
    data[2 + bit // 8] ^= 1 << bit % 8
    with pytest.raises(DeviceError) as caught:
        adis16470.burst(bytes(data))
    assert caught.value.cause is Cause.CHECKSUM


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.one_of(st.binary(max_size=30), st.binary(min_size=18, max_size=18)), st.booleans())
def test_any_bytes_are_a_sample_or_a_refusal(data: bytes, summed: bool) -> None:
    if summed and len(data) == 18:
        data = b"\x00\x00" + data + struct.pack(">H", sum(data))
    with suppress(DeviceError):
        assert isinstance(adis16470.burst(data), ImuSample)
