"""The simulated LTC3350 speaks little-endian words, derives its status from the stack, and measures it on the clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.ltc3350 import Ltc3350
from tests.hil.scripted_bench import ChipBench

S = 1_000_000_000


class Bench(ChipBench):
    order = "little"

    def __init__(self, **settings: float) -> None:
        super().__init__(lambda clock: Ltc3350(clock, **settings))  # type: ignore[arg-type]


def full() -> Bench:
    bench = Bench()
    bench.chip.input_voltage_v = 24.0
    bench.chip.stack_voltage_v = 10.0
    bench.chip.capacitance_f = 36.0
    bench.chip.esr_ohm = 0.012
    return bench


def test_reset_values() -> None:
    bench = Bench()
    expected = {0x01: 0, 0x02: 0, 0x04: 0, 0x05: 0x000F, 0x06: 0x3999, **dict.fromkeys(range(0x07, 0x18), 0), 0x1A: 3}
    assert {register: bench.word(register) for register in expected} == expected
    bench.put_word(0x06, 0x1234)
    bench.put_word(0x05, 0xFFF3)
    assert bench.word(0x06) == 0x1234
    assert bench.word(0x05) == 3
    bench.chip.reset()
    assert {register: bench.word(register) for register in expected} == expected


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(0.0, 12.0), st.floats(0.0, 35.0), st.floats(-8.0, 8.0), st.floats(-40.0, 125.0))
def test_measured_words(stack: float, vin: float, charge: float, die: float) -> None:
    bench = Bench(sense_ohm=0.006)
    chip = bench.chip
    chip.stack_voltage_v, chip.input_voltage_v, chip.output_voltage_v = stack, vin, vin
    chip.charge_current_a, chip.die_c = charge, die
    assert abs(bench.signed(0x26) * 1.476e-3 - stack) <= 1.476e-3
    assert abs(bench.signed(0x20) * 183.5e-6 - stack / 4) <= 183.5e-6
    assert abs(bench.signed(0x25) * 2.21e-3 - vin) <= 2.21e-3
    assert abs(bench.signed(0x27) * 2.21e-3 - vin) <= 2.21e-3
    assert abs(bench.signed(0x29) * 1.983e-6 / 0.006 - charge) <= 1.983e-6 / 0.006
    assert abs(bench.signed(0x2A) * 0.028 - 251.4 - die) <= 0.028


def test_charger_status_follows_the_stack() -> None:
    bench = full()
    chip = bench.chip
    chip.stack_voltage_v, chip.charge_current_a = 5.0, 2.0
    assert bench.word(0x1B) == 0x0201, "charging at constant current"
    chip.stack_voltage_v = 9.9
    assert bench.word(0x1B) == 0x0025, "charging at constant voltage, power good"
    chip.charge_current_a = -3.0
    assert bench.word(0x1B) == 0x0022, "feeding the output"
    chip.charge_current_a, chip.input_voltage_v = 0.0, 3.0
    assert bench.word(0x1B) == 0x0828, "input failed and locked out"
    chip.cell_voltages_v = (2.8, 2.4, 2.4, 2.3)
    assert bench.word(0x1B) & 0x00C0 == 0x00C0, "shunting and balancing"


def test_target_follows_the_feedback_reference() -> None:
    bench = full()
    assert bench.chip.target_v == pytest.approx(10.0)
    bench.put_word(0x05, 0)
    assert bench.chip.target_v == pytest.approx(10.0 * 637.5 / 1200.0)


def test_it_tells_of_every_setting_and_of_a_reset() -> None:
    bench, heard = full(), []
    bench.chip.on_change = lambda: heard.append(bench.chip.target_v)
    bench.put_word(0x05, 0)
    bench.put_word(0x26, 1)
    bench.word(0x05)
    assert heard == [pytest.approx(5.3125)], "neither a read nor a write to a measured word is one"
    bench.chip.reset()
    assert heard[1:] == [pytest.approx(10.0)]


def test_monitor_tells_power_failed_and_returned() -> None:
    bench = full()
    assert bench.word(0x1C) == 0x0200
    bench.chip.input_voltage_v = 2.0
    assert bench.word(0x1C) == 0x0100


def test_capacitance_and_esr_are_unknown_until_measured() -> None:
    bench = full()
    assert bench.word(0x1E) == 0
    assert bench.word(0x1F) == 0
    bench.put_word(0x17, 1)
    assert bench.word(0x17) == 0, "the start bit clears itself"
    assert bench.word(0x1C) & 0x1F == 1
    assert bench.word(0x1B) & 0x0100
    bench.now = 10 * S - 1
    assert bench.word(0x1E) == 0
    bench.now = 10 * S
    assert bench.word(0x1C) & 0x1F == 0x18
    assert bench.word(0x1E) * 336e-6 * 71_500 / 121 == pytest.approx(36.0, abs=0.1)
    assert bench.word(0x1F) * 0.006 / 64 == pytest.approx(0.012, abs=5e-5)


def test_small_scale_resolves_a_hundred_times_finer() -> None:
    bench = full()
    bench.chip.capacitance_f = 5.0
    bench.put_word(0x17, 9)
    bench.now = 10 * S
    assert bench.word(0x1E) * 3.36e-6 * 71_500 / 121 == pytest.approx(5.0, abs=1e-3)


def test_measurement_waits_for_a_charged_stack_and_fails_with_the_power() -> None:
    bench = full()
    bench.chip.stack_voltage_v = 5.0
    bench.put_word(0x17, 1)
    assert bench.word(0x1C) & 0x1F == 4
    bench.chip.stack_voltage_v = 10.0
    assert bench.word(0x1C) & 0x1F == 1
    bench.chip.input_voltage_v = 0.0
    assert bench.word(0x1C) & 0x7F == 0x60
    assert bench.word(0x1E) == 0


def test_measurement_can_be_stopped_and_repeats_on_its_period() -> None:
    bench = full()
    bench.put_word(0x17, 1)
    bench.put_word(0x17, 4)
    bench.now = 60 * S
    assert bench.word(0x1C) & 0x1F == 0
    bench.put_word(0x04, 6)
    assert bench.word(0x1C) & 0x1F == 2
    bench.now = 120 * S
    assert bench.word(0x1C) & 0x1F == 1
    bench.now = 130 * S
    assert bench.word(0x1C) & 0x1F == 0x1A
    assert bench.word(0x1E) > 0


def test_alarm_needs_its_mask_and_stays_until_cleared() -> None:
    bench = full()
    bench.put_word(0x0D, round(9.0 / 1.476e-3))
    bench.put_word(0x08, round(2.6 / 183.5e-6))
    bench.chip.stack_voltage_v = 8.0
    assert bench.word(0x1D) == 0
    bench.put_word(0x01, 1 << 6 | 1 << 1)
    assert bench.word(0x1D) == 1 << 6
    bench.chip.stack_voltage_v = 11.0
    assert bench.word(0x1D) == 1 << 6 | 1 << 1
    bench.chip.stack_voltage_v = 10.0
    bench.put_word(0x00, 1 << 6)
    assert bench.word(0x1D) == 1 << 1


@pytest.mark.parametrize("register", [0x1A, 0x1B, 0x1E, 0x26])
def test_read_only_words_keep_their_value(register: int) -> None:
    bench = full()
    before = bench.word(register)
    bench.put_word(register, 0x4321)
    assert bench.word(register) == before


@pytest.mark.parametrize("cells", [0, 5])
def test_impossible_stack_is_refused(cells: int) -> None:
    with pytest.raises(ValueError, match="cells"):
        Bench(cells=cells)
