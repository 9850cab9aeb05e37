"""The simulated ICM-42688-P measures in the range and at the rate it is told, and says 8000h when it has no data."""

from __future__ import annotations

import struct
from math import radians

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.icm42688p import Icm42688p

MS = 1_000_000
G = 9.80665
LOW_NOISE = 0x0F


class Bench:
    def __init__(self) -> None:
        self.now = 0
        self.chip = Icm42688p(lambda: self.now)

    def read(self, register: int, count: int = 1) -> bytes:
        return self.chip.transfer(bytes((register | 0x80,)) + bytes(count))[1:]

    def write(self, register: int, value: int) -> None:
        self.chip.transfer(bytes((register, value)))

    def start(self, gyro: int = 0x07, accel: int = 0x07) -> None:
        self.write(0x4F, gyro)
        self.write(0x50, accel)
        self.write(0x4E, LOW_NOISE)
        self.now += 100 * MS

    def sample(self) -> tuple[int, ...]:
        return struct.unpack(">7h", self.read(0x1D, 14))


def test_identity_and_reset_values() -> None:
    bench = Bench()
    expected = {
        0x75: 0x47, 0x76: 0x00, 0x11: 0x00, 0x4C: 0x30, 0x4D: 0x91, 0x4E: 0x00, 0x4F: 0x06, 0x50: 0x06, 0x51: 0x16,
        0x52: 0x11, 0x53: 0x0D, 0x54: 0x23, 0x64: 0x10, 0x65: 0x10,
    }
    assert {register: bench.read(register)[0] for register in expected} == expected
    for register in (0x4C, 0x4E, 0x4F, 0x50, 0x54):
        bench.write(register, 0x29)
    bench.chip.reset()
    assert {register: bench.read(register)[0] for register in expected} == expected


def test_a_reset_is_told_once() -> None:
    bench = Bench()
    assert bench.read(0x2D) == b"\x10"
    assert bench.read(0x2D) == b"\x00"


def test_while_off_data_are_marked_invalid() -> None:
    bench = Bench()
    bench.chip.rate_rad_s = (1.0, 1.0, 1.0)
    bench.now = 1000 * MS
    assert bench.read(0x1D, 14) == b"\x80\x00" * 7


def test_sensors_need_their_time_to_start() -> None:
    bench = Bench()
    bench.chip.specific_force_m_s2 = (0.0, 0.0, G)
    bench.now = 1000 * MS
    bench.write(0x4E, LOW_NOISE)
    bench.now += 15 * MS
    values = bench.sample()
    assert values[1:] == (0, 0, 2048, -32768, -32768, -32768)
    bench.now += 15 * MS
    assert bench.sample()[4:] == (0, 0, 0)


@pytest.mark.parametrize(
    ("step", "deg_s"), list(enumerate((2000.0, 1000.0, 500.0, 250.0, 125.0, 62.5, 31.25, 15.625)))
)
def test_gyroscope_ranges(step: int, deg_s: float) -> None:
    bench = Bench()
    bench.chip.rate_rad_s = (radians(deg_s / 2), radians(-deg_s / 4), radians(2 * deg_s))
    bench.start(gyro=step << 5 | 0x07)
    assert bench.sample()[4:] == (16384, -8192, 32767)


@pytest.mark.parametrize(("step", "g"), list(enumerate((16.0, 8.0, 4.0, 2.0))))
def test_accelerometer_ranges(step: int, g: float) -> None:
    bench = Bench()
    bench.chip.specific_force_m_s2 = (g / 2 * G, -g / 4 * G, -2 * g * G)
    bench.start(accel=step << 5 | 0x07)
    assert bench.sample()[1:4] == (16384, -8192, -32767), "-32768 is never measured"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-40.0, 85.0))
def test_temperature_scale(celsius: float) -> None:
    bench = Bench()
    bench.chip.celsius = celsius
    bench.start()
    assert bench.sample()[0] / 132.48 + 25.0 == pytest.approx(celsius, abs=0.0038)


def test_temperature_sensor_can_be_off() -> None:
    bench = Bench()
    bench.start()
    bench.write(0x4E, 0x2F)
    bench.now += 10 * MS
    assert bench.sample()[0] == -32768


def test_data_ready_comes_at_the_rate_and_reading_clears_it() -> None:
    bench = Bench()
    bench.start()
    bench.read(0x2D)
    bench.now += 4 * MS
    assert bench.read(0x2D) == b"\x00"
    bench.now += 1 * MS
    assert bench.read(0x2D) == b"\x08"
    assert bench.read(0x2D) == b"\x00"


def test_data_ready_can_be_cleared_by_the_data() -> None:
    bench = Bench()
    bench.write(0x63, 0x20)
    bench.start()
    assert bench.read(0x2D)[0] & 0x08
    assert bench.read(0x2D)[0] & 0x08, "the status read leaves it"
    bench.sample()
    assert not bench.read(0x2D)[0] & 0x08


def test_a_sample_is_held_between_its_instants() -> None:
    bench = Bench()
    bench.start()
    bench.sample()
    bench.chip.rate_rad_s = (radians(100.0), 0.0, 0.0)
    bench.now += 4 * MS
    assert bench.sample()[4] == 0
    bench.now += 1 * MS
    assert bench.sample()[4] == 1638


def test_a_stopped_oscillator_repeats_the_last_sample() -> None:
    bench = Bench()
    bench.start()
    bench.sample()
    bench.read(0x2D)
    bench.chip.stopped = True
    bench.chip.rate_rad_s = (1.0, 1.0, 1.0)
    bench.now += 500 * MS
    assert bench.read(0x2D) == b"\x00"
    assert bench.sample()[4:] == (0, 0, 0)
    assert bench.read(0x75) == b"\x47"


def test_soft_reset_takes_a_millisecond() -> None:
    bench = Bench()
    bench.start()
    bench.write(0x11, 0x01)
    assert bench.read(0x75) == b"\x00"
    bench.now += 1 * MS
    assert bench.read(0x75) == b"\x47"
    assert bench.read(0x4E) == b"\x00"
    assert bench.read(0x2D) == b"\x10"


def test_sensor_data_can_be_little_endian() -> None:
    bench = Bench()
    bench.chip.specific_force_m_s2 = (0.0, 0.0, G)
    bench.start()
    bench.write(0x4C, 0x20)
    assert bench.read(0x23, 2) == b"\x00\x08"
    assert bench.read(0x24) == b"\x08"
    bench.write(0x4C, 0x30)
    assert bench.read(0x23, 2) == b"\x08\x00"


def test_banks_are_apart_and_each_has_the_selector() -> None:
    bench = Bench()
    bench.write(0x76, 0x01)
    assert bench.read(0x76) == b"\x01"
    assert bench.read(0x0B) == b"\xa0"
    assert bench.read(0x75) == b"\x00"
    bench.write(0x4E, LOW_NOISE)
    bench.write(0x76, 0x00)
    assert bench.read(0x4E) == b"\x00"
    bench.write(0x76, 0x04)
    bench.write(0x77, 0x12)
    assert bench.read(0x77) == b"\x12"
    bench.write(0x76, 0x07)
    assert bench.read(0x10) == b"\x00"


def test_the_time_stamp_is_latched_by_its_strobe() -> None:
    bench = Bench()
    bench.now = 5 * MS
    bench.write(0x4B, 0x04)
    bench.now = 9 * MS
    bench.write(0x76, 0x01)
    assert int.from_bytes(bench.read(0x62, 3), "little") == 5000
    bench.write(0x76, 0x00)
    bench.write(0x54, 0x2B)
    bench.write(0x4B, 0x04)
    bench.write(0x76, 0x01)
    assert int.from_bytes(bench.read(0x62, 3), "little") == 562


def test_read_only_registers_and_bursts_across_the_end_of_data() -> None:
    bench = Bench()
    bench.write(0x75, 0x12)
    bench.write(0x1F, 0x12)
    assert bench.read(0x75) == b"\x47"
    burst = bench.read(0x29, 9)
    assert burst == b"\x80\x00" + b"\x00\x00" + b"\x10" + b"\x00\x00" + b"\xff\xff", "FIFO_DATA does not count up"
    assert bench.chip.transfer(b"") == b""
    assert bench.chip.spi_modes == frozenset({0, 3})
