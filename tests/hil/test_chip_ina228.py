"""The simulated INA228 measures through SHUNT_CAL, accumulates, and shows a brown-out by its reset values."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.ina228 import Ina228

SHUNT = 0.004
CURRENT_LSB = 10.0 / 2**19
CALIBRATION = round(13107.2e6 * CURRENT_LSB * SHUNT)
WIDTH = {0x04: 3, 0x05: 3, 0x07: 3, 0x08: 3, 0x09: 5, 0x0A: 5}


def read(chip: Ina228, register: int, signed: bool = False) -> int:
    chip.write(bytes((register,)))
    return int.from_bytes(chip.read(WIDTH.get(register, 2)), "big", signed=signed)


def write(chip: Ina228, register: int, value: int) -> None:
    chip.write(bytes((register, value >> 8, value & 0xFF)))


def calibrated() -> Ina228:
    chip = Ina228(SHUNT)
    write(chip, 0x02, CALIBRATION)
    return chip


def amperes(chip: Ina228) -> float:
    return (read(chip, 0x07, signed=True) >> 4) * CURRENT_LSB


def test_identity_and_reset_values() -> None:
    chip = Ina228(SHUNT)
    expected = {
        0x00: 0, 0x01: 0xFB68, 0x02: 0x1000, 0x03: 0, 0x0C: 0x7FFF, 0x0D: 0x8000, 0x0E: 0x7FFF, 0x0F: 0, 0x10: 0x7FFF,
        0x11: 0xFFFF, 0x3E: 0x5449, 0x3F: 0x2281, 0x04: 0, 0x05: 0, 0x09: 0, 0x0A: 0,
    }
    assert {register: read(chip, register) for register in expected} == expected
    assert read(chip, 0x0B) & 1, "memory is sound"
    write(chip, 0x02, 1234)
    chip.reset()
    assert read(chip, 0x02) == 0x1000


def test_reset_bit_resets_and_clears_itself() -> None:
    chip = calibrated()
    write(chip, 0x00, 0x8000)
    assert read(chip, 0x00) == 0
    assert read(chip, 0x02) == 0x1000


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(-9.9, 9.9), st.floats(0.0, 85.0), st.floats(-40.0, 125.0))
def test_physical_values_come_back_within_an_lsb(current: float, bus: float, die: float) -> None:
    chip = calibrated()
    chip.set_current(current)
    chip.set_bus_voltage(bus)
    chip.set_die_temperature(die)
    assert abs((read(chip, 0x04, signed=True) >> 4) * 312.5e-9 - current * SHUNT) <= 312.5e-9
    assert abs((read(chip, 0x05) >> 4) * 195.3125e-6 - bus) <= 195.3125e-6
    assert abs(read(chip, 0x06, signed=True) * 7.8125e-3 - die) <= 7.8125e-3
    # One count of the shunt is 4 of the current here; SHUNT_CAL is rounded to 1 in 1000.
    assert amperes(chip) == pytest.approx(current, abs=312.5e-9 / SHUNT, rel=1e-3)
    power = read(chip, 0x08) * 3.2 * CURRENT_LSB
    assert power == pytest.approx(abs(current) * bus, rel=1e-3, abs=0.01)


def test_current_follows_the_calibration_register() -> None:
    chip = calibrated()
    chip.set_current(5.0)
    assert amperes(chip) == pytest.approx(5.0, rel=1e-3)
    write(chip, 0x02, CALIBRATION * 2)
    assert amperes(chip) == pytest.approx(2.5, rel=1e-3)
    chip.reset()
    assert abs(amperes(chip) - 5.0) > 0.5, "after a brown-out the calibration is lost, and it shows"


def test_small_adc_range_has_finer_counts_and_saturates_earlier() -> None:
    chip = calibrated()
    chip.set_shunt_voltage(0.010)
    write(chip, 0x00, 0x0010)
    assert read(chip, 0x04) >> 4 == 128000
    chip.set_shunt_voltage(0.1)
    assert read(chip, 0x04) >> 4 == 0x7FFFF
    chip.set_shunt_voltage(-0.1)
    assert read(chip, 0x04, signed=True) >> 4 == -0x80000


def test_inputs_beyond_the_range_saturate() -> None:
    chip = calibrated()
    chip.set_bus_voltage(200.0)
    assert (read(chip, 0x05) >> 4) * 195.3125e-6 == pytest.approx(85.0, abs=1e-3)
    chip.set_bus_voltage(-5.0)
    assert read(chip, 0x05) == 0
    chip.set_current(1000.0)
    assert read(chip, 0x07) >> 4 == 0x7FFFF
    assert read(chip, 0x0B) & 0x0200, "MATHOF"


def test_zero_calibration_measures_no_current_and_says_so() -> None:
    chip = calibrated()
    write(chip, 0x02, 0)
    chip.set_current(5.0)
    assert read(chip, 0x07) == 0
    assert read(chip, 0x0B) & 0x0200


def test_energy_and_charge_gather_and_reset() -> None:
    chip = calibrated()
    chip.set_bus_voltage(24.0)
    chip.set_current(-2.0)
    for _ in range(2000):
        chip.accumulate(0.005)
    assert read(chip, 0x09) * 16 * 3.2 * CURRENT_LSB == pytest.approx(480.0, rel=2e-3)
    assert read(chip, 0x0A, signed=True) * CURRENT_LSB == pytest.approx(-20.0, rel=2e-3)
    write(chip, 0x00, 0x4000)
    assert read(chip, 0x09) == 0
    assert read(chip, 0x0A) == 0
    assert read(chip, 0x00) == 0


def test_what_was_gathered_keeps_the_scale_it_was_gathered_under() -> None:
    chip = calibrated()
    chip.set_current(2.0)
    chip.set_bus_voltage(10.0)
    chip.accumulate(10.0)
    counts = read(chip, 0x0A)
    chip.accumulate(10.0)
    write(chip, 0x02, CALIBRATION * 2)
    assert read(chip, 0x0A) == pytest.approx(2 * counts, abs=2)


def test_accumulators_overflow_with_their_flags() -> None:
    chip = calibrated()
    chip.set_bus_voltage(80.0)
    chip.set_current(8.0)
    chip.accumulate(2**40 * CURRENT_LSB)
    assert read(chip, 0x0B) & 0x0C00
    read(chip, 0x09)
    read(chip, 0x0A)
    assert not read(chip, 0x0B) & 0x0C00


def test_switched_off_channels_keep_their_last_value() -> None:
    chip = calibrated()
    chip.set_bus_voltage(24.0)
    chip.set_current(1.0)
    write(chip, 0x01, 0x9B68)  # continuous, bus only
    chip.set_bus_voltage(12.0)
    chip.set_current(3.0)
    assert (read(chip, 0x05) >> 4) * 195.3125e-6 == pytest.approx(12.0, abs=2e-4)
    assert amperes(chip) == pytest.approx(1.0, rel=1e-3)
    write(chip, 0x01, 0x0B68)
    chip.set_bus_voltage(6.0)
    assert (read(chip, 0x05) >> 4) * 195.3125e-6 == pytest.approx(12.0, abs=2e-4)
    assert not read(chip, 0x0B) & 2
    write(chip, 0x01, 0x7B68)  # one conversion of everything
    chip.set_bus_voltage(1.0)
    assert (read(chip, 0x05) >> 4) * 195.3125e-6 == pytest.approx(6.0, abs=2e-4)
    assert read(chip, 0x0B) & 2
    assert not read(chip, 0x0B) & 2, "told of once"


def test_continuous_conversion_is_always_ready() -> None:
    chip = calibrated()
    assert read(chip, 0x0B) & 2
    assert read(chip, 0x0B) & 2


def test_limits_raise_their_flags() -> None:
    chip = calibrated()
    chip.set_bus_voltage(24.0)
    chip.set_current(5.0)  # 20 mV
    chip.set_die_temperature(60.0)
    assert read(chip, 0x0B) & 0x00FC == 0
    write(chip, 0x0C, round(0.019 / 5e-6))
    write(chip, 0x0E, round(23.0 / 3.125e-3))
    write(chip, 0x10, round(50.0 / 7.8125e-3))
    write(chip, 0x11, round(100.0 / (256 * 3.2 * CURRENT_LSB)))
    assert read(chip, 0x0B) & 0x00FC == 0x40 | 0x10 | 0x80 | 0x04
    chip.set_current(-5.0)
    chip.set_bus_voltage(20.0)
    write(chip, 0x0D, -round(0.019 / 5e-6) & 0xFFFF)
    write(chip, 0x0F, round(21.0 / 3.125e-3))
    assert read(chip, 0x0B) & 0x0078 == 0x20 | 0x08


def test_read_only_registers_keep_their_value() -> None:
    chip = calibrated()
    chip.set_bus_voltage(24.0)
    for register in (0x05, 0x09, 0x3E, 0x3F):
        before = read(chip, register)
        write(chip, register, 0x1234)
        assert read(chip, register) == before


def test_shunt_without_resistance_is_refused() -> None:
    with pytest.raises(ValueError, match="above 0"):
        Ina228(0.0)
