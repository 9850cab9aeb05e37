"""The simulated AS7341 connects diodes as told, integrates on the clock, scales with gain and time, and saturates."""

from __future__ import annotations

import pytest

from hil.chips.as7341 import CHANNELS, As7341
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000
LOW = bytes.fromhex("30 01 00 00 00 42 00 00 50 00 00 00 20 04 00 30 01 50 00 06")
"""ams AN000666: F1..F4, CLEAR, NIR on converters 1..6."""
HIGH = bytes.fromhex("00 00 00 40 02 00 10 03 50 10 03 00 00 00 24 00 00 50 00 06")
"""F5..F8, CLEAR, NIR."""
MIDDLE = bytes.fromhex("20 00 00 00 05 31 40 06 00 40 06 00 10 03 50 20 00 00 00 00")
"""F2..F7."""


class Bench(ChipBench):
    def __init__(self) -> None:
        super().__init__(As7341)
        for index, channel in enumerate(CHANNELS):
            self.chip.set_counts_s(channel, 1000.0 * (index + 1))

    def connect(self, chain: bytes) -> None:
        self.write(0x80, 0x01)
        self.write(0xAF, 0x10)
        self.write(0x00, *chain)
        self.write(0x80, 0x11)
        self.now += MS
        assert self.read(0x80) == b"\x01"

    def measure(self, atime: int = 29, astep: int = 599, gain: int = 1) -> list[int]:
        self.write(0x81, atime)
        self.write(0xCA, astep & 0xFF, astep >> 8)
        self.write(0xAA, gain)
        self.write(0x80, 0x03)
        self.now += (atime + 1) * (astep + 1) * 2780
        block = self.read(0x94, 13)
        self.write(0x80, 0x01)
        return [block[1 + i] | block[2 + i] << 8 for i in range(0, 12, 2)]


def test_identity_and_reset_values() -> None:
    bench = Bench()
    expected = {0x80: 0, 0x81: 0, 0x92: 0x24, 0x93: 0, 0x94: 0, 0xA3: 0, 0xA9: 0, 0xAA: 9, 0xCA: 0xE7, 0xCB: 3}
    assert {register: bench.read(register)[0] for register in expected} == expected
    for register in expected:
        if register not in (0x80, 0xA9):
            bench.write(register, 0x55)
    assert (bench.read(0x92), bench.read(0x94), bench.read(0x95, 2)) == (b"\x24", b"\x00", b"\x00\x00")
    assert bench.read(0x81) == b"\x55"
    bench.chip.reset()
    assert {register: bench.read(register)[0] for register in expected} == expected


@pytest.mark.parametrize(
    ("chain", "channels"),
    [
        (LOW, ("F1", "F2", "F3", "F4", "CLEAR", "NIR")), (HIGH, ("F5", "F6", "F7", "F8", "CLEAR", "NIR")),
        (MIDDLE, ("F2", "F3", "F4", "F5", "F6", "F7")),
    ],
)
def test_the_makers_multiplexer_tables_connect_the_channels_they_name(chain: bytes, channels: tuple[str, ...]) -> None:
    bench = Bench()
    bench.connect(chain)
    # 50.04 ms at a gain of 1: counts_s x 0.05004 s.
    assert bench.measure() == [round(1000.0 * (CHANNELS.index(name) + 1) * 0.05004) for name in channels]


def test_without_a_connection_nothing_is_counted() -> None:
    assert Bench().measure() == [0] * 6


def test_one_of_two_diodes_counts_half() -> None:
    bench = Bench()
    bench.connect(bytes((0, 1, *bytes(18))))
    assert bench.measure()[0] == round(500.0 * 0.05004)


def test_a_multiplexer_command_needs_power_and_its_time() -> None:
    bench = Bench()
    bench.write(0x00, *LOW)
    bench.write(0x80, 0x10)
    bench.now += 5 * MS
    assert bench.read(0x80) == b"\x00"
    bench.write(0x80, 0x11)
    assert bench.read(0x80) == b"\x11"
    bench.now += MS
    assert bench.read(0x80) == b"\x01"
    assert bench.measure()[0] == 50
    bench.write(0x00, *bytes(20))
    bench.write(0xAF, 0x08)
    bench.write(0x80, 0x11)
    bench.now += MS
    assert bench.read(0x00, 20) == LOW, "the read command brings back what is connected"
    bench.write(0xAF, 0x00)
    bench.write(0x80, 0x11)
    bench.now += MS
    assert bench.measure() == [0] * 6


def test_integration_takes_its_time_and_repeats() -> None:
    bench = Bench()
    bench.connect(LOW)
    bench.write(0x81, 29)
    bench.write(0xCA, 0x57, 0x02)
    bench.write(0xAA, 0x01)
    bench.write(0x80, 0x03)
    bench.now += 50_040_000 - 1
    assert (bench.read(0xA3), bench.read(0x95, 2)) == (b"\x00", b"\x00\x00")
    bench.now += 1
    assert (bench.read(0xA3), bench.read(0x95, 2)) == (b"\x40", b"\x32\x00")
    bench.chip.set_counts_s("F1", 2000.0)
    bench.now += 50_040_000 - 1
    assert bench.read(0x95, 2) == b"\x32\x00", "held until the next integration ends"
    bench.now += 1
    assert bench.read(0x95, 2) == b"\x64\x00"
    bench.write(0x80, 0x01)
    assert bench.read(0xA3) == b"\x00"
    bench.chip.set_counts_s("F1", 9.0)
    bench.now += 500 * MS
    assert bench.read(0x95, 2) == b"\x64\x00"


def test_wait_time_stretches_the_cycle() -> None:
    bench = Bench()
    bench.connect(LOW)
    bench.write(0x83, 35)  # 100.08 ms
    bench.write(0xCA, 0xE7, 0x03)
    bench.write(0x80, 0x0B)
    bench.now += 2_780_000
    first = bench.read(0x95, 2)
    bench.chip.set_counts_s("F1", 5000.0)
    bench.now += 100_080_000 - 1
    assert bench.read(0x95, 2) == first
    bench.now += 1
    assert bench.read(0x95, 2) != first


@pytest.mark.parametrize(("code", "gain"), [(0, 0.5), (1, 1.0), (5, 16.0), (9, 256.0), (10, 512.0)])
def test_gain_scales_and_is_told_with_the_data(code: int, gain: float) -> None:
    bench = Bench()
    bench.connect(LOW)
    bench.chip.set_counts_s("F1", 100.0)
    assert bench.measure(gain=code)[0] == round(100.0 * 0.05004 * gain)
    assert bench.read(0x94)[0] & 0x1F == code


@pytest.mark.parametrize(("atime", "astep", "full"), [(0, 999, 1000), (29, 599, 18000), (255, 65534, 65535)])
def test_full_scale_follows_the_integration_steps(atime: int, astep: int, full: int) -> None:
    bench = Bench()
    bench.connect(LOW)
    bench.chip.set_counts_s("F3", 1e9)
    assert bench.measure(atime, astep)[2] == full
    assert bench.read(0x94) == b"\x81"


def test_saturation_is_told_by_its_kind_and_cleared_by_the_next_good_result() -> None:
    bench = Bench()
    bench.connect(LOW)
    bench.write(0xF9, 0x80)
    bench.write(0xAA, 0x01)
    bench.write(0x81, 29)
    bench.chip.set_counts_s("F2", 1e9)
    bench.write(0x80, 0x03)
    bench.now += 100 * MS
    assert (bench.read(0xA3), bench.read(0x93)) == (b"\x50", b"\x80")
    bench.chip.set_counts_s("F2", 1.0)
    bench.chip.analog_saturation = True
    bench.now += 100 * MS
    assert bench.read(0xA3) == b"\x48"
    bench.chip.analog_saturation = False
    bench.now += 100 * MS
    assert (bench.read(0xA3), bench.read(0x94), bench.read(0x93)) == (b"\x40", b"\x01", b"\x80")
    bench.write(0x93, 0x80)
    assert bench.read(0x93) == b"\x00"


def test_the_second_bank_is_reached_through_cfg0() -> None:
    bench = Bench()
    bench.write(0x74, 0x84)
    assert bench.read(0x74) == b"\x00"
    bench.write(0xA9, 0x10)
    bench.write(0x74, 0x84)
    assert bench.read(0x74) == b"\x84"
    bench.write(0xA9, 0x00)
    assert bench.read(0x74) == b"\x00"


def test_power_off_stops_the_integration() -> None:
    bench = Bench()
    bench.connect(LOW)
    bench.write(0x80, 0x03)
    bench.write(0x80, 0x00)
    bench.now += 1000 * MS
    assert (bench.read(0x80), bench.read(0xA3)) == (b"\x00", b"\x00")
    with pytest.raises(ValueError, match="F9"):
        bench.chip.set_counts_s("F9", 1.0)
