"""The simulated MAX34451 switches rails by page, measures them, watches their limits and tells bad commands."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.max34451 import Max34451
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000


class Bench(ChipBench):
    order = "little"

    def __init__(self, **settings_: object) -> None:
        self.switched: list[tuple[int, bool]] = []
        super().__init__(
            lambda clock: Max34451(
                clock,
                on_switch=lambda page, on: self.switched.append((page, on)),
                **settings_,  # type: ignore[arg-type]
            )
        )

    def page(self, page: int) -> None:
        assert self.chip.write(bytes((0x00, page)))

    def operate(self, page: int, value: int) -> None:
        self.page(page)
        assert self.chip.write(bytes((0x01, value)))

    def good_rail(self, page: int, volts: float = 5.0) -> None:
        self.operate(page, 0x80)
        self.chip.voltages_v[page] = volts
        self.wait(1)


def test_identity_and_reset_values() -> None:
    bench = Bench()
    bytes_ = {0x00: 0, 0x01: 0, 0x02: 0x1A, 0x10: 0, 0x19: 0x20, 0x20: 0x40, 0x98: 0x11, 0x99: 0x4D, 0x9A: 0x59}
    words = {
        0x9B: 0x0012, 0x2A: 0x7FFF, 0x40: 0x7FFF, 0x42: 0x7FFF, 0x43: 0, 0x44: 0, 0x46: 0x7FFF, 0x4A: 0x7FFF,
        0x5E: 0, 0x5F: 0, 0x60: 0, 0x62: 0xFFFF, 0x64: 0, 0xE4: 0x10, 0xD7: 0x7FFF, 0xD4: 0, 0xD1: 0,
    }
    assert {code: bench.byte(code) for code in bytes_} == bytes_
    assert {code: bench.word(code) for code in words} == words
    assert bench.byte(0x7E) == 0, "nothing of this was refused"
    for code in (0x40, 0x43, 0x5E, 0x60, 0xE4, 0xD1):
        assert bench.put_word(code, 0x1234)
    bench.chip.reset()
    assert {code: bench.word(code) for code in words} == words


def test_every_page_has_its_own_rail() -> None:
    bench = Bench(channels=(0x20,) * 16)
    bench.chip.voltages_v = [0.5 + page for page in range(16)]
    for page in range(16):
        bench.page(page)
        assert bench.byte(0x00) == page
        assert bench.word(0x8B) == 500 + 1000 * page


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-1.0, 40.0), st.floats(-1.0, 400.0))
def test_voltages_in_millivolts_and_currents_in_hundredths(volts: float, amperes: float) -> None:
    bench = Bench(channels=(0x20, 0x22) + (0,) * 14)
    bench.chip.voltages_v[0] = volts
    bench.chip.currents_a[1] = amperes
    assert bench.word(0x8B) == max(0, min(32767, round(volts * 1000)))
    assert bench.word(0x8C) == 0, "a voltage channel"
    bench.page(1)
    assert bench.word(0x8C) == max(0, min(32767, round(amperes * 100)))
    assert bench.word(0x8B) == 0, "a current channel"


@pytest.mark.parametrize(("celsius", "word"), [(25.0, 2500), (-12.34, 0x10000 - 1234), (None, 0x7FFF)])
def test_temperatures_and_a_sensor_that_does_not_answer(celsius: float | None, word: int) -> None:
    bench = Bench()
    bench.chip.temperatures_c[1] = celsius
    bench.page(17)
    assert bench.word(0x8D) == word
    assert bench.put_word(0xF0, 0)
    assert bench.word(0x8D) == 0, "disabled"


@pytest.mark.parametrize(("select", "volts", "word"), [(0x30, 3.3, 0), (0x30, 0.0, 1), (0x34, 3.3, 1), (0x34, 0.0, 0)])
def test_general_purpose_inputs(select: int, volts: float, word: int) -> None:
    bench = Bench()
    bench.page(12)
    assert bench.put_word(0xE4, select)
    bench.chip.voltages_v[12] = volts
    assert bench.word(0x8B) == word


def test_operation_switches_one_rail_and_tells_the_rig() -> None:
    bench = Bench()
    bench.operate(3, 0x80)
    assert bench.switched == [(3, True)]
    assert bench.byte(0x01) == 0x80
    assert bench.chip.on == (False,) * 3 + (True,) + (False,) * 8
    bench.operate(3, 0x80)
    bench.operate(3, 0x00)
    assert bench.switched == [(3, True), (3, False)]


def test_page_255_switches_all_sequenced_rails() -> None:
    bench = Bench(channels=(0x10,) * 4 + (0x20,) * 12)
    bench.operate(0xFF, 0x80)
    assert bench.switched == [(page, True) for page in range(4)]
    assert bench.byte(0x01) == 0x80
    bench.operate(0xFF, 0x01)
    assert bench.switched[4:] == [(page, False) for page in range(4)]
    assert bench.byte(0x01) == 0x00
    bench.operate(0xFF, 0x82)
    assert len(bench.switched) == 8, "no rail is in SEQUENCE1"


def test_delays_hold_a_switch_and_immediate_off_does_not_wait() -> None:
    bench = Bench()
    bench.put_word(0x60, 50)  # 10 ms
    bench.put_word(0x64, 25)  # 5 ms
    bench.operate(0, 0x80)
    bench.wait(9.9)
    assert bench.switched == []
    bench.wait(0.1)
    assert bench.switched == [(0, True)]
    bench.operate(0, 0x40)
    bench.wait(4.9)
    assert bench.switched == [(0, True)]
    bench.wait(0.1)
    assert bench.switched == [(0, True), (0, False)]
    bench.operate(0, 0x80)
    bench.operate(0, 0x00)
    bench.wait(20)
    assert len(bench.switched) == 2, "the pending switch is called off"


def test_operation_values_that_do_not_exist_are_data_faults() -> None:
    bench = Bench()
    for page, value in ((0, 0x81), (0, 0x33), (255, 0x33)):
        bench.chip.write(b"\x03")
        bench.operate(page, value)
        assert bench.byte(0x7E) == 0x40
    assert bench.switched == []


def test_operation_can_be_disabled_and_flash_can_close_the_rails() -> None:
    bench = Bench()
    bench.chip.write(b"\x02\x12")
    bench.operate(0, 0x80)
    assert bench.switched == []
    bench = Bench(on_at_power_up=True)
    assert bench.chip.on == (True,) * 12
    assert bench.byte(0x01) == 0x80


def test_flash_can_close_some_rails_and_leave_others_to_operation() -> None:
    bench = Bench(on_at_power_up=(0, 2))
    assert bench.switched == [(0, True), (2, True)]
    states = []
    for page in range(4):
        bench.page(page)
        states.append(bench.byte(0x01))
    assert states == [0x80, 0x00, 0x80, 0x00]
    bench.operate(1, 0x80)
    bench.operate(2, 0x00)
    bench.chip.reset()
    assert bench.chip.on == (True, False, True) + (False,) * 9


def test_power_on_opens_what_was_closed() -> None:
    bench = Bench()
    bench.operate(5, 0x80)
    bench.chip.reset()
    assert bench.switched == [(5, True), (5, False)]
    bench.page(5)
    assert bench.byte(0x01) == 0x00


@pytest.mark.parametrize(
    ("limit", "level", "volts", "bit", "summary"),
    [
        (0x40, 5500, 5.6, 0x80, 0x8021), (0x42, 5300, 5.4, 0x40, 0x8001), (0x43, 4700, 4.6, 0x20, 0x8001),
        (0x44, 4500, 4.4, 0x10, 0x8001),
    ],
)
def test_voltage_limits_latch_until_cleared(limit: int, level: int, volts: float, bit: int, summary: int) -> None:
    bench = Bench()
    bench.good_rail(2)
    assert bench.put_word(limit, level)
    bench.wait(1)
    assert bench.byte(0x7A) == 0
    bench.chip.voltages_v[2] = volts
    bench.wait(1)
    assert bench.byte(0x7A) == bit
    expected = summary & 0xFFFE if summary & 0x20 else summary
    assert bench.word(0x79) == expected
    bench.chip.write(b"\x03")
    assert bench.byte(0x7A) == bit, "still wrong"
    bench.chip.voltages_v[2] = 5.0
    bench.wait(1)
    assert bench.byte(0x7A) == bit, "latched"
    bench.chip.write(b"\x03")
    assert bench.byte(0x7A) == 0
    assert bench.word(0x79) == 0


def test_limits_do_not_act_on_a_rail_that_is_off_or_read_only() -> None:
    bench = Bench()
    assert bench.put_word(0x44, 4500)
    bench.wait(10)
    assert bench.byte(0x7A) == 0
    bench.page(12)
    assert bench.put_word(0xE4, 0x21)
    assert bench.put_word(0x40, 1000)
    bench.chip.voltages_v[12] = 5.0
    bench.wait(1)
    assert bench.byte(0x7A) == 0


def test_a_rail_that_does_not_come_up_in_time_is_told() -> None:
    bench = Bench()
    assert bench.put_word(0x5E, 4800)
    bench.put_word(0x62, 100)  # 20 ms
    bench.operate(0, 0x80)
    bench.wait(19)
    assert bench.byte(0x7A) == 0
    assert bench.byte(0x80) == 0x04
    bench.wait(2)
    assert bench.byte(0x7A) == 0x04
    bench.chip.voltages_v[0] = 5.0
    bench.wait(1)
    assert bench.byte(0x80) == 0x00


def test_off_and_power_good_are_live() -> None:
    bench = Bench()
    assert bench.byte(0x80) == 0x80
    assert bench.put_word(0x5E, 4800)
    assert bench.put_word(0x5F, 4500)
    bench.good_rail(0)
    assert bench.byte(0x80) == 0
    bench.chip.voltages_v[0] = 4.4
    bench.wait(1)
    assert bench.byte(0x80) == 0x04
    assert bench.word(0x79) == 0x1801
    bench.chip.voltages_v[0] = 4.6
    bench.wait(1)
    assert bench.byte(0x80) == 0


@pytest.mark.parametrize(("revision", "fault", "warning"), [(0x0012, 0x46, 0x4A), (0x0011, 0x4A, 0x46)])
def test_over_current_limits_are_swapped_in_old_revisions(revision: int, fault: int, warning: int) -> None:
    bench = Bench(revision=revision)
    bench.page(13)
    assert bench.put_word(0xE4, 0x22)
    assert bench.put_word(fault, 1000)
    assert bench.put_word(warning, 800)
    bench.chip.currents_a[13] = 9.0
    bench.wait(1)
    assert bench.byte(0x80) == 0x01
    assert bench.word(0x79) == 0x5001
    bench.chip.currents_a[13] = 11.0
    bench.wait(1)
    assert bench.byte(0x80) == 0x03
    assert bench.word(0x79) == 0x5010


def test_temperature_limits() -> None:
    bench = Bench()
    bench.page(16)
    assert bench.put_word(0x51, 6000)
    assert bench.put_word(0x4F, 8000)
    bench.chip.temperatures_c[0] = 70.0
    bench.wait(1)
    assert bench.byte(0x80) == 0x40
    assert bench.word(0x79) == 0x1004
    bench.chip.temperatures_c[0] = 90.0
    bench.wait(1)
    assert bench.byte(0x80) == 0x60
    bench.chip.temperatures_c[0] = None
    bench.chip.write(b"\x03")
    assert bench.byte(0x80) == 0


def test_page_255_gathers_the_status_of_all() -> None:
    bench = Bench()
    for page in range(12):
        bench.good_rail(page)
    bench.page(9)
    assert bench.put_word(0x40, 4000)
    bench.wait(1)
    bench.page(3)
    assert bench.word(0x79) == 0
    bench.page(255)
    assert bench.word(0x79) == 0x8020


def test_page_255_writes_every_page_and_reads_none() -> None:
    bench = Bench()
    bench.page(255)
    assert bench.put_word(0x40, 0x1388)
    for page in range(16):
        bench.page(page)
        assert bench.word(0x40) == 0x1388
    bench.page(255)
    assert bench.word(0x8B) == 0xFFFF
    assert bench.byte(0x7E) == 0x80


def test_peaks_and_their_resets() -> None:
    bench = Bench()
    assert bench.put_word(0x5E, 4400)
    bench.good_rail(0, 5.0)
    for volts in (5.5, 4.5, 5.0):
        bench.chip.voltages_v[0] = volts
        bench.wait(1)
    assert (bench.word(0xD4), bench.word(0xD7)) == (5500, 4500)
    assert bench.put_word(0xD4, 0)
    assert bench.put_word(0xD7, 0)
    bench.wait(1)
    assert (bench.word(0xD4), bench.word(0xD7)) == (5000, 5000)
    bench.page(16)
    bench.chip.temperatures_c[0] = -20.0
    assert bench.put_word(0xD6, 0)
    bench.wait(1)
    assert bench.word(0xD6) == 0x10000 - 2000


def test_pages_and_commands_that_do_not_exist() -> None:
    bench = Bench()
    bench.page(21)
    assert bench.byte(0x00) == 0
    assert bench.byte(0x7E) == 0x40
    bench.chip.write(b"\x03")
    assert bench.chip.write(b"\x88")
    assert bench.byte(0x7E) == 0x80
    assert bench.word(0x79) & 0x02
    bench.chip.write(b"\x03")
    bench.page(16)
    bench.chip.write(b"\x8b")
    assert bench.chip.read(2) == b"\xff\xff"
    assert bench.byte(0x7E) == 0x80


def test_it_knows_no_packet_error_code() -> None:
    bench = Bench()
    bench.chip.write(b"\x99")
    assert bench.chip.read(2) == b"\x4d\xff"
    assert bench.byte(0x7E) == 0x40
    bench.chip.write(b"\x03")
    bench.chip.write(b"\x01\x80\x99")
    assert bench.switched == []
    assert bench.byte(0x7E) == 0x40


def test_write_protection_is_silent() -> None:
    bench = Bench()
    bench.chip.write(b"\x10\x40")
    assert bench.put_word(0x40, 1)
    assert bench.word(0x40) == 0x7FFF
    assert bench.byte(0x7E) == 0
    bench.operate(0, 0x80)
    assert bench.switched == [(0, True)]
    bench.chip.write(b"\x10\x80")
    bench.operate(0, 0x00)
    assert bench.switched == [(0, True)]
    bench.chip.write(b"\x10\x00")
    bench.operate(0, 0x00)
    assert bench.switched[-1] == (0, False)


def test_tables_of_the_wrong_length_are_refused() -> None:
    with pytest.raises(ValueError, match="16 channels"):
        Bench(channels=(0x10,))
