"""The simulated ADM1272 starts softly, limits, latches off, measures in its ranges, and speaks with and without PEC."""

from __future__ import annotations

from pathlib import Path

import pytest

from hil.chips.adm1272 import Adm1272, Switch
from hil.chips.smbus import crc8
from tests.drivers.scripted import published
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000
ALL_ON = 0x3F3F  # 100 V, 30 mV, everything sampled


class Bench(ChipBench):
    """28 V, 1 mOhm, 30 A limit, 10 mF: a start takes 9.3 ms at the full limit."""

    order = "little"

    def __init__(self, **settings: object) -> None:
        super().__init__(lambda clock: Adm1272(clock, capacitance_f=10e-3, **settings))  # type: ignore[arg-type]
        self.chip.input_v = 28.0
        self.word(0x88)

    def clear(self) -> None:
        assert self.chip.write(b"\x03")


def test_identity_and_reset_values() -> None:
    bench = Bench()
    assert (bench.text(0x99), bench.text(0x9A), bench.text(0x9B)) == (b"ADI", b"ADM1272-A1", b"25")
    bytes_ = {0x01: 0x80, 0x19: 0xB0, 0x98: 0x22, 0xCC: 0x64, 0xD3: 0x01}
    words = {
        0x42: 0x0FFF, 0x43: 0, 0x4A: 0x0FFF, 0x4F: 0x0FFF, 0x51: 0x0FFF, 0x57: 0x0FFF, 0x58: 0, 0x6B: 0x7FFF,
        0xD4: 0x3F35, 0xD8: 0x0008, 0xF6: 0x000F,
    }
    assert {code: bench.byte(code) for code in bytes_} == bytes_
    assert {code: bench.word(code) for code in words} == words
    for code in words:
        bench.put_word(code, 0x0005)
    bench.chip.reset()
    assert {code: bench.word(code) for code in words} == words


def test_words_that_the_kernel_read(shared_data: Path) -> None:
    rows = published(shared_data, "ADM1272*")
    value = {row["unit"].split("_")[0]: float(row["expected"]) for row in rows}
    wanted = dict(zip(rows[0]["registers"].split(), rows[0]["bytes"].split(), strict=True))

    def word_of(code: str) -> int:
        return int.from_bytes(bytes.fromhex(wanted[code]), "little")

    config = word_of("0xd4")
    bench = Bench()
    chip = bench.chip
    # The row's readings are of no one circuit (power is not the product): each is set by itself.
    bench.put_word(0xD4, config | 0x0E)
    chip.input_v = value["in1"] / 1000.0
    chip.load_a = value["curr1"] / 1000.0
    chip.celsius = value["temp1"] / 1000.0
    bench.wait(50)
    assert (bench.word(0x88), bench.word(0x8C), bench.word(0x8D)) == tuple(map(word_of, ("0x88", "0x8c", "0x8d")))
    chip.input_v = value["in2"] / 1000.0
    bench.wait(50)
    assert bench.word(0x8B) == word_of("0x8b")
    chip.load_a = value["power1"] * 1e-6 / chip.input_v
    bench.wait(1)
    assert bench.word(0x97) == word_of("0x97")
    for code in ("0x99", "0x9a", "0x9b"):
        assert bench.text(int(code, 16)) == bytes.fromhex(wanted[code])
    assert bench.word(0xD8) == word_of("0xd8")


@pytest.mark.parametrize(
    ("config", "vin", "iout", "pin"),
    [
        (0x3F1E, round(28 * 67.7), round(5 * 132.6 + 2048), round(140 * 35.12)),
        (0x3F3E, round(28 * 40.62), round(5 * 132.6 + 2048), round(140 * 21.071)),
        (0x3F1F, round(28 * 67.7), round(5 * 66.3 + 2048), round(140 * 17.561)),
        (0x3F3F, round(28 * 40.62), round(5 * 66.3 + 2048), round(140 * 10.535)),
    ],
)
def test_range_bits_choose_the_coefficients(config: int, vin: int, iout: int, pin: int) -> None:
    bench = Bench()
    bench.put_word(0xD4, config)
    bench.chip.load_a = 5.0
    bench.wait(50)
    assert (bench.word(0x88), bench.word(0x8B), bench.word(0x8C), bench.word(0x97)) == (vin, vin, iout, pin)


def test_channels_that_are_not_sampled_read_zero_and_codes_end_at_12_bits() -> None:
    bench = Bench()
    bench.wait(50)
    assert bench.word(0x8B) == 0
    assert bench.word(0x8D) == 0
    assert bench.word(0x88) > 0
    bench.put_word(0xD4, 0x3F1E)
    bench.chip.input_v = 79.0
    bench.wait(50)
    assert bench.word(0x88) == 0x0FFF


def test_the_output_ramps_and_then_is_good() -> None:
    bench = Bench()
    assert bench.chip.switch is Switch.STARTING
    assert bench.word(0x79) & 0x0840 == 0x0800
    bench.wait(4)
    assert bench.chip.output_v == pytest.approx(30.0 / 10e-3 * 4e-3)
    assert not bench.chip.power_good
    bench.wait(4)
    assert bench.chip.output_v == pytest.approx(24.0)
    bench.wait(4)
    assert bench.chip.output_v == 28.0
    assert bench.chip.power_good
    assert bench.word(0x79) & 0x0840 == 0


def test_the_start_up_current_limit_slows_the_ramp() -> None:
    bench = Bench()
    bench.chip.write(b"\x01\x00")
    bench.wait(1)
    bench.chip.load_a = 100.0
    bench.wait(10)
    bench.chip.load_a = 0.0
    assert bench.chip.output_v == 0.0
    bench.put_word(0xF6, 0x0003)
    bench.chip.write(b"\x01\x80")
    bench.wait(10)
    assert bench.chip.current_a == pytest.approx(7.5)
    assert bench.chip.output_v == pytest.approx(7.5)


def test_it_says_whether_current_can_pass_and_what_share_of_the_limit_a_start_has() -> None:
    bench = Bench()
    heard: list[tuple[bool, float]] = []
    bench.chip.on_change = lambda: heard.append((bench.chip.conducting, bench.chip.start_share))
    bench.chip.write(b"\x01\x00")
    bench.put_word(0xF6, 0x0003)
    bench.chip.write(b"\x01\x80")
    assert heard == [(False, 1.0), (False, 0.25), (True, 0.25)]
    bench.word(0x88)
    assert len(heard) == 3, "a read changes nothing"
    bench.wait(100)
    bench.chip.load_a = 40.0
    bench.wait(10)
    assert not bench.chip.conducting, "latched off"
    bench.chip.fet_shorted = True
    assert bench.chip.conducting
    bench.chip.reset()
    assert heard[3:] == [(True, 1.0)]


def test_a_start_that_takes_too_long_latches_off() -> None:
    bench = Bench()
    bench.chip.load_a = 40.0
    bench.wait(300)
    assert bench.chip.switch is Switch.LATCHED
    assert bench.word(0x79) & 0x0050 == 0x0050


def test_seldom_looks_and_frequent_looks_agree() -> None:
    rare, often = Bench(), Bench()
    rare.wait(100)
    for _ in range(100):
        often.wait(1)
    assert rare.chip.output_v == often.chip.output_v == 28.0
    assert rare.chip.switch is often.chip.switch is Switch.ON


def test_operation_switches_off_and_on() -> None:
    bench = Bench()
    bench.chip.load_a = 2.0
    bench.wait(50)
    assert bench.chip.write(b"\x01\x00")
    assert bench.byte(0x01) == 0x00
    assert bench.chip.current_a == 0.0
    assert bench.byte(0x78) & 0x40
    bench.wait(50)
    assert bench.chip.output_v == pytest.approx(28.0 - 2.0 * 0.05 / 10e-3)
    assert bench.chip.write(b"\x01\x80")
    bench.wait(50)
    assert bench.chip.power_good


def test_over_current_is_limited_then_latched_until_off_and_on() -> None:
    bench = Bench()
    bench.wait(50)
    bench.clear()
    bench.chip.load_a = 40.0
    bench.wait(2)
    assert bench.chip.switch is Switch.LIMITING
    assert bench.chip.current_a == pytest.approx(30.0)
    assert bench.chip.output_v == pytest.approx(21.0)
    bench.wait(4)
    assert bench.chip.switch is Switch.LATCHED
    assert bench.chip.current_a == 0.0
    assert bench.byte(0x7B) == 0x80
    assert bench.byte(0x80) & 0x0F == 0x0A
    bench.chip.load_a = 1.0
    bench.wait(5000)
    assert bench.chip.switch is Switch.LATCHED
    bench.clear()
    assert bench.byte(0x7B) == 0, "the faults are told no longer"
    assert bench.word(0x79) & 0x0840 == 0x0840, "but the switch stays open"
    bench.chip.write(b"\x01\x00")
    bench.chip.write(b"\x01\x80")
    bench.wait(50)
    assert bench.chip.power_good


def test_a_short_over_current_is_ridden_through() -> None:
    bench = Bench()
    bench.wait(50)
    for _ in range(5):
        bench.chip.load_a = 40.0
        bench.wait(3)
        bench.chip.load_a = 5.0
        bench.wait(3)
    assert bench.chip.power_good


def test_with_retry_it_tries_again_by_itself() -> None:
    bench = Bench(retry=True, retry_s=0.5)
    bench.wait(50)
    bench.chip.load_a = 40.0
    bench.wait(10)
    assert bench.chip.switch is Switch.WAITING
    bench.chip.load_a = 1.0
    bench.wait(500)
    bench.wait(50)
    assert bench.chip.power_good


def test_severe_over_current_trips_at_once_when_told_so() -> None:
    bench = Bench()
    bench.put_word(0xD8, 0x000C)
    bench.wait(50)
    bench.chip.load_a = 44.0
    bench.wait(0.1)
    assert bench.chip.switch is Switch.LIMITING, "150 % of 30 A is 45 A"
    bench.chip.load_a = 46.0
    bench.wait(0.1)
    assert bench.chip.switch is Switch.LATCHED
    assert bench.byte(0x80) & 0x10


def test_power_cycle_opens_for_the_restart_time() -> None:
    bench = Bench()
    bench.wait(50)
    bench.chip.write(b"\xcc\x09")
    bench.chip.load_a = 1.0
    assert bench.chip.write(b"\xd9")
    bench.wait(999)
    assert bench.byte(0x78) & 0x40
    bench.wait(1)
    bench.wait(50)
    assert bench.chip.power_good


@pytest.mark.parametrize(("volts", "status", "now"), [(15.0, 0x10, 0x40), (81.0, 0x80, 0x20)])
def test_outside_its_window_the_switch_is_open_and_comes_back(volts: float, status: int, now: int) -> None:
    bench = Bench()
    bench.wait(50)
    bench.clear()
    bench.chip.input_v = volts
    bench.wait(1)
    assert bench.chip.switch is Switch.OFF
    assert bench.byte(0x7C) == status
    assert bench.byte(0x80) & 0xE0 == now
    bench.clear()
    assert bench.byte(0x7C) == status, "it is still true"
    bench.chip.input_v = 28.0
    bench.chip.load_a = 100.0
    bench.wait(0.1)
    bench.chip.load_a = 0.0
    bench.wait(100)
    assert bench.chip.power_good
    assert bench.byte(0x7C) == status
    bench.clear()
    assert bench.byte(0x7C) == 0


@pytest.mark.parametrize(
    ("limit", "code", "status", "bit", "summary"),
    [
        (0x42, 1000, 0x7A, 0x40, 0x8000), (0x43, 1200, 0x7A, 0x20, 0x8000), (0x4A, 2300, 0x7B, 0x20, 0x4000),
        (0x57, 1000, 0x7C, 0x40, 0x2000), (0x58, 1200, 0x7C, 0x20, 0x2000), (0x6B, 1000, 0x7C, 0x01, 0x2000),
        (0x51, 3200, 0x7D, 0x40, 0x0004),
    ],
)
def test_warning_limits_latch_and_clear(limit: int, code: int, status: int, bit: int, summary: int) -> None:
    bench = Bench()
    bench.put_word(0xD4, ALL_ON)
    bench.chip.load_a = 5.0
    bench.wait(50)
    bench.clear()
    assert bench.word(0x79) == 0
    before = bench.word(limit)
    bench.put_word(limit, code)
    bench.wait(1)
    assert bench.byte(status) == bit
    assert bench.word(0x79) & summary
    bench.put_word(limit, before)
    bench.wait(1)
    assert bench.byte(status) == bit, "latched"
    bench.clear()
    assert bench.word(0x79) == 0


def test_over_temperature_opens_the_switch() -> None:
    bench = Bench()
    bench.put_word(0xD4, ALL_ON)
    bench.put_word(0x4F, round((42 * 100 + 31871) / 10))
    bench.wait(50)
    bench.chip.celsius = 105.0
    bench.wait(1)
    assert bench.chip.switch is Switch.LATCHED
    assert bench.byte(0x7D) == 0x80
    assert bench.byte(0x78) & 0x44 == 0x44


def test_a_shorted_fet_is_found_when_it_should_be_open() -> None:
    bench = Bench()
    bench.wait(50)
    bench.chip.fet_shorted = True
    bench.wait(1)
    assert not bench.byte(0x80) & 0x80
    bench.chip.write(b"\x01\x00")
    bench.chip.load_a = 3.0
    bench.wait(1)
    assert bench.byte(0x80) & 0x80
    assert bench.chip.output_v == 28.0
    assert bench.chip.current_a == 3.0


def test_peaks_stay_until_they_are_written() -> None:
    bench = Bench()
    bench.put_word(0xD4, ALL_ON)
    bench.wait(50)
    bench.put_word(0xD0, 0)
    bench.chip.load_a = 9.0
    bench.wait(1)
    bench.chip.load_a = 1.0
    bench.wait(1)
    assert bench.word(0xD0) == round(9 * 66.3 + 2048)
    bench.put_word(0xD0, 0x1234)
    bench.wait(1)
    assert bench.word(0xD0) == round(1 * 66.3 + 2048)


def test_commands_with_a_wrong_code_are_refused_and_set_cml() -> None:
    bench = Bench()
    bench.wait(50)
    bench.clear()
    good = crc8(b"\x20\x01\x00")
    assert not bench.chip.write(b"\x01\x00" + bytes((good ^ 0x10,)))
    assert bench.byte(0x01) == 0x80
    assert bench.byte(0x78) == 0x02
    bench.clear()
    assert bench.byte(0x78) == 0
    assert bench.chip.write(b"\x01\x00" + bytes((good,)))
    assert bench.byte(0x01) == 0x00


def test_unknown_commands_and_writes_to_readings_set_cml() -> None:
    for message in (b"\x21", b"\x88\x00\x00", b"\x01"):
        bench = Bench()
        bench.wait(50)
        bench.clear()
        assert bench.chip.write(message) == (message == b"\x01")
        assert bool(bench.byte(0x78) & 0x02) == (message != b"\x01")


def test_answers_carry_their_code() -> None:
    bench = Bench()
    bench.chip.write(b"\x99")
    answer = bench.chip.read(5)
    assert answer[:4] == b"\x03ADI"
    assert answer[4] == crc8(b"\x20\x99\x21\x03ADI")


def test_a_resistor_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="sense_ohm"):
        Adm1272(lambda: 0, sense_ohm=0.0)
