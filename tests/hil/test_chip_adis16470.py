"""The simulated ADIS16470 answers frames one frame later, bursts with a right sum, and resets to the data sheet."""

from __future__ import annotations

import struct
from math import radians

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.bus import SimSpiBus
from hil.chips.adis16470 import Adis16470

BURST = b"\x68\x00" + bytes(20)
ZERO = (0.0, 0.0, 0.0)
G = 9.80665


def read(chip: Adis16470, register: int) -> int:
    chip.transfer(bytes((register, 0)))
    return int.from_bytes(chip.transfer(b"\x00\x00"), "big")


def write(chip: Adis16470, register: int, value: int) -> None:
    chip.transfer(bytes((0x80 | register, value & 0xFF)))
    chip.transfer(bytes((0x80 | register + 1, value >> 8)))


def burst(chip: Adis16470) -> tuple[int, ...]:
    return struct.unpack(">HH6hhHH", chip.transfer(BURST))


def test_identity_and_reset_values() -> None:
    chip = Adis16470(serial_number=0x1234)
    assert read(chip, 0x72) == 0x4056
    assert read(chip, 0x74) == 0x1234
    expected = {0x02: 0, 0x5C: 0, 0x60: 0x00C1, 0x62: 0x07D0, 0x64: 0, 0x66: 0x070A, 0x68: 0, 0x7C: 0}
    assert {register: read(chip, register) for register in expected} == expected


def test_an_answer_comes_one_frame_later() -> None:
    chip = Adis16470()
    assert chip.transfer(b"\x72\x00") == b"\x00\x00"
    assert chip.transfer(b"\x60\x00") == b"\x40\x56"
    assert chip.transfer(b"\x00\x00") == b"\x00\xc1"


def test_only_the_first_frame_of_a_select_counts() -> None:
    chip = Adis16470()
    assert chip.transfer(b"\x72\x00\x60\x00") == bytes(4)
    assert chip.transfer(b"\x00\x00") == b"\x40\x56"


def test_bytes_of_a_register_are_written_one_by_one() -> None:
    chip = Adis16470()
    write(chip, 0x64, 0x0709)
    assert read(chip, 0x64) == 0x0709
    chip.transfer(b"\xe4\x13")
    assert read(chip, 0x64) == 0x0713


@pytest.mark.parametrize("register", [0x02, 0x06, 0x22, 0x72, 0x74, 0x7C])
def test_read_only_registers_keep_their_value(register: int) -> None:
    chip = Adis16470()
    before = read(chip, register)
    write(chip, register, 0x5A5A)
    assert read(chip, register) == before


def test_burst_holds_one_sample_with_its_counter_and_sum() -> None:
    chip = Adis16470()
    chip.latch((radians(1.0), radians(-2.0), radians(300.0)), (G, -2.0 * G, 0.5 * G), 31.5)
    data = chip.transfer(BURST)
    words = struct.unpack(">HH6hhHH", data)
    assert words[:2] == (0, 0)
    assert words[2:10] == (10, -20, 3000, 800, -1600, 400, 315, 1)
    assert words[10] == sum(data[2:20])
    assert burst(chip) == words, "without a new sample the counter stands"
    chip.latch(ZERO, ZERO, 0.0)
    assert burst(chip)[9] == 2


def test_counter_wraps() -> None:
    chip = Adis16470()
    for _ in range(0x10000):
        chip.latch(ZERO, ZERO, 20.0)
    assert chip.counter == 0


@pytest.mark.parametrize(("deg_s", "m_s2", "words"), [(2500.0, 50 * G, (20000, 32000)), (-1e6, -1e6, (-20000, -32000))])
def test_outputs_saturate_at_the_range(deg_s: float, m_s2: float, words: tuple[int, int]) -> None:
    chip = Adis16470()
    chip.latch((radians(deg_s), 0.0, 0.0), (m_s2, 0.0, 0.0), 25.0)
    assert (burst(chip)[2], burst(chip)[5]) == words


def test_low_words_carry_the_fraction_of_table_15() -> None:
    chip = Adis16470()
    chip.latch((radians(-0.1 / 65536), radians(0.15), 0.0), (0.0, 0.0, 0.0), 25.0)
    assert (read(chip, 0x06), read(chip, 0x04)) == (0xFFFF, 0xFFFF)
    assert (read(chip, 0x0A), read(chip, 0x08)) == (1, 0x8000)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.tuples(*[st.floats(-34.9, 34.9)] * 3), st.tuples(*[st.floats(-392.0, 392.0)] * 3))
def test_burst_equals_the_upper_words_of_the_registers(rate: tuple[float, ...], force: tuple[float, ...]) -> None:
    chip = Adis16470()
    chip.latch(rate, force, 25.0)  # type: ignore[arg-type]
    words = burst(chip)
    registers = [read(chip, register) for register in (0x06, 0x0A, 0x0E, 0x12, 0x16, 0x1A)]
    assert [word & 0xFFFF for word in words[2:8]] == registers
    lsbs = [radians(0.1)] * 3 + [1.25e-3 * G] * 3
    for word, value, lsb in zip(words[2:8], rate + force, lsbs, strict=True):
        assert -1e-5 <= value / lsb - word <= 1.0 + 1e-5


def test_user_bias_is_added_and_restored_by_command() -> None:
    chip = Adis16470()
    write(chip, 0x42, 5)
    chip.latch(ZERO, ZERO, 25.0)
    assert burst(chip)[2] == 5
    write(chip, 0x42, 0xFFFF)
    assert burst(chip)[2] == -1
    chip.transfer(b"\xe8\x02")
    assert burst(chip)[2] == 0


def test_delta_outputs_follow_the_decimation() -> None:
    chip = Adis16470()
    write(chip, 0x64, 9)  # 200 Hz
    chip.latch((radians(100.0), 0.0, 0.0), (10.0, 0.0, 0.0), 25.0)
    delta_deg = (read(chip, 0x26) << 16 | read(chip, 0x24)) * 2160.0 / 2**31
    delta_m_s = (read(chip, 0x32) << 16 | read(chip, 0x30)) * 400.0 / 2**31
    assert delta_deg == pytest.approx(0.5, abs=2e-6)
    assert delta_m_s == pytest.approx(0.05, abs=1e-6)


def test_software_reset_brings_back_what_flash_holds() -> None:
    chip = Adis16470()
    write(chip, 0x64, 9)
    chip.transfer(b"\xe8\x08")
    write(chip, 0x5C, 3)
    chip.latch((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 30.0)
    chip.transfer(b"\xe8\x80")
    assert read(chip, 0x64) == 9
    assert read(chip, 0x5C) == 0
    assert read(chip, 0x7C) == 1
    assert burst(chip)[2:10] == (0,) * 8


def test_brown_out_shows_the_reset_values() -> None:
    chip = Adis16470()
    write(chip, 0x64, 9)
    chip.reset()
    assert read(chip, 0x64) == 0


def test_odd_clock_count_raises_the_spi_flag_until_read() -> None:
    chip = Adis16470()
    chip.transfer(b"\x72\x00\x00")
    assert burst(chip)[1] == 0x0008
    assert burst(chip)[1] == 0
    chip.diag_stat = 0x0020
    assert burst(chip)[1] == 0x0020
    assert read(chip, 0x02) == 0x0020


def test_burst_of_another_length_is_cut_or_padded() -> None:
    chip = Adis16470()
    chip.latch((0.5, 0.0, 0.0), ZERO, 25.0)
    whole = chip.transfer(BURST)
    assert chip.transfer(BURST[:10]) == whole[:10]
    assert chip.transfer(BURST + bytes(4)) == whole + bytes(4)


def test_speaks_mode_3_on_the_bus_and_no_other() -> None:
    bus = SimSpiBus("spi0")
    bus.attach(0, Adis16470())
    bus.configure(0, 3, 1_000_000)
    bus.transfer(0, b"\x72\x00")
    assert bus.transfer(0, b"\x00\x00") == b"\x40\x56"
    bus.configure(0, 0, 1_000_000)
    assert bus.transfer(0, b"\x00\x00") == b"\xff\xff"
