"""The simulated LTC4162-L charges as array, battery and settings allow, and has telemetry only while it is awake."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hil.chips.ltc4162 import DROPOUT_V, Ltc4162, thermistor_counts
from tests.hil.scripted_bench import ChipBench

MS = 1_000_000
SECOND = 1_000_000_000
DETECTION, SUSPENDED, PRECHARGE, CC_CV, NTC, TIMER, C_TERM, TIME_FAULT, MISSING, SHORTED = (
    2048, 256, 128, 64, 32, 16, 8, 4, 2, 1,
)


class Bench(ChipBench):
    """Eight cells, 10 mOhm: 3.2 A at most, 33.6 V at the end."""

    order = "little"

    def __init__(self) -> None:
        super().__init__(Ltc4162)
        self.chip.battery_v = 28.0

    def wait_s(self, seconds: float) -> None:
        self.wait(1000.0 * seconds)

    def sun(self, volts: float = 34.0) -> None:
        self.chip.input_v = volts
        self.wait_s(0.0)
        self.wait_s(0.02)
        self.wait_s(0.6)


def test_reset_values() -> None:
    bench = Bench()
    expected = {
        0x01: 0, 0x0D: 0, 0x14: 2, 0x15: 63, 0x16: 31, 0x1A: 31, 0x1B: 31, 0x1C: 2184, 0x1D: 14400, 0x1E: 0, 0x29: 1,
        0x43: 8, **dict(zip(range(0x1F, 0x25), (16117, 14113, 7970, 7112, 6325, 4970), strict=True)),
    }
    assert {register: bench.word(register) for register in expected} == expected
    for register in (0x14, 0x15, 0x1A, 0x1B, 0x29):
        bench.put_word(register, 5)
    bench.chip.reset()
    assert {register: bench.word(register) for register in expected} == expected


def test_variants_without_tracking_start_without_it() -> None:
    chip = Ltc4162(lambda: 0, mppt_by_default=False)
    chip.write(b"\x14")
    assert chip.read(2) == b"\x00\x00"


def test_in_the_dark_it_sleeps_and_measures_nothing() -> None:
    bench = Bench()
    bench.wait_s(10.0)
    assert bench.word(0x34) == SUSPENDED
    assert bench.word(0x35) == 0
    assert bench.word(0x4A) == 0
    assert bench.word(0x3A) == 0
    assert not bench.word(0x39) & 0x0106


def test_forced_telemetry_works_in_the_dark_after_its_warm_up() -> None:
    bench = Bench()
    bench.put_word(0x14, 0x04)
    assert bench.word(0x4A) == 0
    bench.wait_s(0.0119)
    assert bench.word(0x4A) == 0
    bench.wait_s(0.0002)
    assert bench.word(0x4A) == 1
    assert bench.word(0x3A) == round(28.0 / (8 * 192.4e-6))
    assert bench.word(0x34) == SUSPENDED
    bench.put_word(0x14, 0x00)
    bench.chip.battery_v = 20.0
    bench.wait_s(5.0)
    assert bench.word(0x4A) == 0
    assert bench.word(0x3A) == round(28.0 / (8 * 192.4e-6)), "the last value, kept"


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.floats(5.0, 36.0), st.floats(0.0, 33.0), st.floats(-3.0, 3.0), st.floats(0.0, 3.0), st.floats(-40.0, 125.0)
)
def test_scales_of_the_telemetry(vin: float, vbat: float, ibat: float, iin: float, die: float) -> None:
    bench = Bench()
    chip = bench.chip
    chip.input_v, chip.input_a, chip.output_v = vin, iin, vin
    chip.battery_v, chip.battery_a, chip.die_c = vbat, ibat, die
    bench.wait_s(0.0)
    bench.wait_s(0.02)
    assert bench.word(0x3A) * 8 * 192.4e-6 == pytest.approx(vbat, abs=0.8e-3)
    assert bench.word(0x3B) * 1.649e-3 == pytest.approx(vin, abs=0.83e-3)
    assert bench.word(0x3C) * 1.653e-3 == pytest.approx(vin, abs=0.83e-3)
    assert bench.signed(0x3D) * 1.466e-6 / 0.01 == pytest.approx(ibat, abs=0.8e-4)
    assert bench.signed(0x3E) * 1.466e-6 / 0.01 == pytest.approx(iin, abs=0.8e-4)
    assert bench.signed(0x3F) * 0.0215 - 264.4 == pytest.approx(die, abs=0.011)


def test_a_charge_begins_with_the_detection_of_the_battery() -> None:
    bench = Bench()
    bench.chip.input_v = 34.0
    bench.wait_s(0.0)
    assert bench.word(0x34) == SUSPENDED
    bench.wait_s(0.02)
    assert bench.word(0x34) == DETECTION
    assert not bench.chip.charging
    bench.wait_s(0.5)
    assert bench.word(0x34) == CC_CV
    assert bench.chip.charging
    assert bench.word(0x39) == 0x0107


@pytest.mark.parametrize(
    ("attributes", "status"),
    [
        ({"battery_a": 1.0, "input_a": 1.0}, 8), ({"battery_a": 3.2}, 2), ({"battery_v": 33.6}, 1),
        ({"battery_a": 1.0, "input_a": 3.2}, 4), ({"battery_a": 1.0, "die_c": 125.0}, 16),
        ({"battery_a": 1.0, "input_v": 28.25}, 32),
    ],
)
def test_what_regulates_the_charge(attributes: dict[str, float], status: int) -> None:
    bench = Bench()
    bench.sun()
    for name, value in attributes.items():
        setattr(bench.chip, name, value)
    bench.wait_s(0.1)
    assert bench.word(0x34) == CC_CV
    assert bench.word(0x35) == status


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("battery_missing", True, MISSING), ("battery_shorted", True, SHORTED), ("thermistor", 16_118, NTC),
        ("thermistor", 4_969, NTC), ("thermistor", 21_685, MISSING),
        ("battery_v", 20.0, PRECHARGE),
    ],
)
def test_states_by_battery(name: str, value: object, state: int) -> None:
    bench = Bench()
    setattr(bench.chip, name, value)
    bench.sun()
    assert bench.word(0x34) == state
    assert bench.chip.charging == (state == PRECHARGE)
    setattr(bench.chip, name, {"battery_v": 28.0, "thermistor": 11_000}.get(name, False))
    bench.wait_s(0.1)
    bench.wait_s(0.6)
    assert bench.word(0x34) == CC_CV


@pytest.mark.parametrize(
    ("name", "value", "bit"),
    [("input_v", 39.0, 0x08), ("die_c", 155.0, 0x10), ("no_rt", True, 0x20), ("cell_count_error", True, 0x80)],
)
def test_what_forbids_charging(name: str, value: object, bit: int) -> None:
    bench = Bench()
    bench.sun()
    setattr(bench.chip, name, value)
    bench.wait_s(0.1)
    assert bench.word(0x34) == SUSPENDED
    assert bench.word(0x39) & 0x01F8 == bit


def test_the_charger_can_be_suspended() -> None:
    bench = Bench()
    bench.sun()
    bench.put_word(0x14, 0x22)
    assert bench.word(0x34) == SUSPENDED
    assert bench.word(0x4A) == 1, "telemetry goes on"
    bench.put_word(0x14, 0x02)
    bench.wait_s(0.6)
    assert bench.word(0x34) == CC_CV


def test_the_charge_ends_by_time_by_current_and_by_fault() -> None:
    bench = Bench()
    bench.put_word(0x1D, 60)
    bench.chip.battery_v = 33.6
    bench.sun(36.0)
    bench.wait_s(30.0)
    assert bench.word(0x34) == CC_CV
    assert bench.word(0x31) == 30
    bench.wait_s(30.0)
    assert bench.word(0x34) == TIMER
    bench.chip.battery_v = 32.0
    bench.wait_s(0.1)
    bench.wait_s(0.6)
    assert bench.word(0x34) == CC_CV, "the battery has been used: a new cycle"
    bench.put_word(0x29, 0x05)
    bench.chip.battery_v, bench.chip.battery_a = 33.6, 0.5
    bench.wait_s(0.1)
    assert bench.word(0x34) == CC_CV
    bench.chip.battery_a = 0.3
    bench.wait_s(0.1)
    assert bench.word(0x34) == C_TERM
    bench = Bench()
    bench.put_word(0x1E, 60)
    bench.sun()
    bench.wait_s(3599.0)
    assert (bench.word(0x34), bench.word(0x30)) == (CC_CV, 59), "it counts minutes"
    bench.wait_s(1.0)
    assert bench.word(0x34) == TIME_FAULT
    bench.chip.battery_v = 25.0
    bench.wait_s(10.0)
    assert bench.word(0x34) == TIME_FAULT


def test_targets_follow_the_settings() -> None:
    bench = Bench()
    assert bench.chip.target_v == pytest.approx(33.6)
    assert bench.chip.target_a == pytest.approx(3.2)
    bench.put_word(0x1B, 0)
    bench.put_word(0x1A, 15)
    assert bench.chip.target_v == pytest.approx(30.5)
    assert bench.chip.target_a == pytest.approx(1.6)
    bench.sun()
    assert (bench.word(0x44), bench.word(0x45), bench.word(0x46)) == (15, 0, 63)


def test_the_input_is_held_at_the_setting_only_while_it_does_not_track() -> None:
    bench = Bench()
    assert bench.chip.input_regulation_v is None, "tracking is on by default"
    bench.put_word(0x16, 217)
    assert bench.chip.input_regulation_v is None
    bench.put_word(0x14, 0)
    assert bench.chip.input_regulation_v == pytest.approx(218 * 0.140625)
    bench.put_word(0x16, 31)
    assert bench.chip.input_regulation_v == pytest.approx(28.0 + DROPOUT_V), "a step-down converter at its end"


def test_the_charge_limit_is_the_setting_while_it_charges_and_nothing_while_it_must_not() -> None:
    bench = Bench()
    assert bench.chip.charge_limit_a == pytest.approx(3.2), "in the dark it holds nothing back"
    bench.chip.input_v = 34.0
    bench.wait_s(0.0)
    assert bench.chip.charge_limit_a == 0.0, "battery detection comes first"
    bench.sun()
    bench.put_word(0x1A, 9)
    assert bench.chip.charge_limit_a == pytest.approx(1.0)
    for name, bad, good in (("thermistor", 16_200, 11_000), ("battery_missing", True, False), ("no_rt", True, False)):
        setattr(bench.chip, name, bad)
        assert bench.chip.charge_limit_a == 0.0, name
        setattr(bench.chip, name, good)
        bench.wait_s(0.1)
        bench.wait_s(0.6)
        assert bench.chip.charge_limit_a == pytest.approx(1.0), name
    bench.put_word(0x14, 0x22)
    assert bench.chip.charge_limit_a == 0.0


def test_it_tells_of_every_setting_and_of_a_reset() -> None:
    bench, heard = Bench(), []
    bench.chip.on_change = lambda: heard.append(bench.chip.target_a)
    bench.put_word(0x1A, 0)
    assert heard == [pytest.approx(0.1)]
    bench.put_word(0x34, 1)
    bench.word(0x1A)
    assert len(heard) == 1, "neither a read nor a write to a read-only word is one"
    bench.chip.reset()
    assert heard[1:] == [pytest.approx(3.2)]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-80.0, 120.0), st.floats(0.01, 40.0), st.floats(-30.0, 20.0))
def test_a_thermistor_counts_less_the_warmer_it_is_and_meets_both_limits(
    celsius: float, warmer_k: float, cold_c: float
) -> None:
    assert thermistor_counts(celsius, cold_c) > thermistor_counts(celsius + warmer_k, cold_c) > 0.0
    assert thermistor_counts(cold_c, cold_c) == pytest.approx(16_117)
    assert thermistor_counts(60.0, cold_c) == pytest.approx(4_970)


def test_the_thermistor_s_limits_can_be_moved_and_hold_without_jeita() -> None:
    bench = Bench()
    bench.sun()
    bench.put_word(0x29, 0)
    bench.chip.thermistor = thermistor_counts(-1.0)
    bench.wait_s(1.0)
    assert bench.word(0x34) == NTC
    assert bench.signed(0x40) == round(thermistor_counts(-1.0))
    bench.put_word(0x1F, 18_000)
    bench.wait_s(0.1)
    assert bench.word(0x34) == CC_CV


def test_the_input_voltage_dac_follows_the_array_when_tracking() -> None:
    bench = Bench()
    bench.sun(30.0)
    assert bench.word(0x4B) == round(30.0 / 0.140625) - 1
    bench.put_word(0x14, 0)
    assert bench.word(0x4B) == 31


def test_telemetry_is_slow_at_rest_and_fast_when_told() -> None:
    bench = Bench()
    bench.put_word(0x14, 0x04)
    bench.wait_s(0.02)
    bench.chip.battery_v = 27.0
    bench.wait_s(0.5)
    assert bench.word(0x3A) == round(28.0 / (8 * 192.4e-6))
    bench.put_word(0x14, 0x0C)
    bench.wait_s(0.02)
    assert bench.word(0x3A) == round(27.0 / (8 * 192.4e-6))


def test_alerts_latch_when_enabled_and_clear_by_zero() -> None:
    bench = Bench()
    bench.put_word(0x0D, 0x8800)
    bench.put_word(0x01, round(26.0 / (8 * 192.4e-6)))
    bench.put_word(0x0E, 0x0040)
    bench.put_word(0x0F, 0x0001)
    bench.sun()
    assert bench.word(0x36) == 0x8000
    assert bench.word(0x37) == 0x0040
    bench.chip.battery_v = 25.0
    bench.wait_s(0.1)
    bench.chip.battery_v = 28.0
    bench.wait_s(0.1)
    assert bench.word(0x36) == 0x8800
    bench.put_word(0x36, 0x7FFF)
    assert bench.word(0x36) == 0x0800
    bench.chip.battery_v = 33.6
    bench.wait_s(0.1)
    assert bench.word(0x38) == 0x0001


def test_words_are_least_significant_byte_first_and_only_whole_ones_are_taken() -> None:
    bench = Bench()
    bench.chip.write(b"\x1d\x34\x12")
    assert bench.chip.read(3) == b"\x34\x12\xff"
    bench.chip.write(b"\x1d\x56")
    bench.chip.write(b"\x1d\x56\x78\x9a")
    assert bench.word(0x1D) == 0x1234


def test_read_only_and_missing_registers() -> None:
    bench = Bench()
    bench.put_word(0x34, 0xFFFF)
    bench.put_word(0x3B, 0x1234)
    bench.put_word(0x60, 0x1234)
    assert (bench.word(0x34), bench.word(0x3B), bench.word(0x60)) == (SUSPENDED, 0, 0)
    with pytest.raises(ValueError, match="cells"):
        Ltc4162(lambda: 0, cells=9)
