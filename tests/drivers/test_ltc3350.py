"""LTC3350: scales, the charge-current register, results that are kept, and a chip without identity."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ltc3350
from drivers.errors import Cause, DeviceError
from drivers.samples import SupercapSample
from tests.drivers.scripted import WordBank, causes, published, refusal, run, word

ADDRESS = 0x09
SETTINGS = ltc3350.Settings(cells=4, full_voltage_v=10.0, sense_ohm=0.006)


class Registers(WordBank):
    """An LTC3350 with four cells at 8 V from 28 V in, charging at 2 A, nothing measured yet."""

    address = ADDRESS

    def power_up(self) -> None:
        self.words = {
            0x04: word(0), 0x05: word(15), 0x17: word(0), 0x1A: word(3), 0x1B: word(0x0221), 0x1C: word(0x0200),
            0x1E: word(0), 0x1F: word(0), 0x25: word(round(28.0 / 2.21e-3)), 0x26: word(round(8.0 / 1.476e-3)),
            0x28: word(round(1.0 / (1.983e-6 / 0.006))), 0x29: word(round(2.0 / (1.983e-6 / 0.006))),
            0x2A: word(round((25.0 + 251.4) / 0.028)),
        }


def ready(bus: Registers) -> ltc3350.Device:
    device = ltc3350.Device(bus, ADDRESS, SETTINGS)
    run(bus, device.initialise())
    return device


def decode(what: str, data: bytes) -> object:
    return {
        "MEAS_VCAP1": lambda: ltc3350.cell_voltage_v(data),
        "MEAS_DTEMP": lambda: ltc3350.die_temperature_c(data),
        "MEAS_VIN": lambda: ltc3350.input_voltage_v(data),
        "MEAS_VCAP": lambda: ltc3350.stack_voltage_v(data),
        "MEAS_ICHG": lambda: ltc3350.charge_current_a(data, 0.006),
        "MEAS_CAP": lambda: ltc3350.capacitance_f(data, 107e3, 121.0),
        "MEAS_ESR": lambda: ltc3350.esr_ohm(data, 0.006),
        "CHRG_STATUS": lambda: ltc3350.charging(data),
    }[what]()


def test_every_reference_row(shared_data: Path) -> None:
    rows = published(shared_data, "LTC3350")
    assert len(rows) == 3
    for row in rows:
        value = decode(row["registers"].split()[1], bytes.fromhex(row["bytes"]))
        assert value == pytest.approx(float(row["expected"]))


def test_a_sample_reads_the_charge_current_and_not_the_input_current() -> None:
    bus = Registers()
    sample = run(bus, ready(bus).acquire())
    assert sample.stack_voltage_v == pytest.approx(8.0, abs=1e-3)
    assert sample.input_voltage_v == pytest.approx(28.0, abs=2e-3)
    assert sample.charge_current_a == pytest.approx(2.0, abs=4e-4)
    assert sample.charging


def test_backup_is_not_charging_and_discharge_is_negative() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x1B] = word(0x0022)
    bus.words[0x29] = word(-3026)
    sample = run(bus, device.acquire())
    assert not sample.charging
    assert sample.charge_current_a == pytest.approx(-1.0, abs=1e-3)


@pytest.mark.parametrize("raw", [0x7FFF, 0x8000])
def test_a_current_beyond_the_range_is_missing_and_the_stack_s_voltage_is_not(raw: int) -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x29] = word(raw)
    sample = run(bus, device.acquire())
    assert sample.charge_current_a is None
    assert sample.stack_voltage_v == pytest.approx(8.0, abs=1e-3)
    with pytest.raises(DeviceError) as caught:
        ltc3350.charge_current_a(word(raw), 0.01)
    assert caught.value.cause is Cause.OVER_RANGE


def test_a_sample_costs_four_transactions_and_every_fourth_one_more() -> None:
    bus = Registers()
    device = ready(bus)
    costs = []
    for _ in range(8):
        before = bus.transactions
        run(bus, device.acquire())
        costs.append(bus.transactions - before)
    assert costs == [4, 4, 4, 5, 4, 4, 4, 5]


def samples(bus: Registers, device: ltc3350.Device, count: int) -> list[SupercapSample]:
    return [run(bus, device.acquire()) for _ in range(count)]


def test_capacitance_and_esr_are_missing_until_the_chip_has_measured_them() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x1E], bus.words[0x1F] = word(84), word(200)
    assert all(s.capacitance_f is None and s.esr_ohm is None for s in samples(bus, device, 40))
    bus.words[0x1C] = word(0x0218)
    last = samples(bus, device, 40)[-1]
    assert last.capacitance_f == pytest.approx(84 * 336e-6 * 107e3 / 121.0)
    assert last.esr_ohm == pytest.approx(200 * 0.006 / 64.0)


def test_a_failed_measurement_takes_the_old_result_away() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x1C], bus.words[0x1E], bus.words[0x1F] = word(0x0218), word(84), word(200)
    assert samples(bus, device, 40)[-1].capacitance_f is not None
    bus.words[0x1C] = word(0x0230)
    last = samples(bus, device, 40)[-1]
    assert last.capacitance_f is None
    assert last.esr_ohm is not None


def test_initialise_sets_the_measurement_period_in_tens_of_seconds() -> None:
    bus = Registers()
    ready(bus)
    assert bus.words[0x04] == word(360)


@pytest.mark.parametrize(("volts", "code"), [
    (10.0, 15), (50.0, 15), (float("inf"), 15), (9.99, 14), (9.6875, 14), (9.68, 13), (5.3125, 0), (5.0, 0), (0.0, 0),
])
def test_the_target_is_the_highest_step_that_is_not_above_what_is_asked(volts: float, code: int) -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.set_target(volts))
    assert bus.transactions - before == 2
    assert bus.words[0x05] == word(code)
    assert device.target_step(volts) == pytest.approx(10.0 * (0.6375 + 0.0375 * code) / 1.2)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.floats(0.0, 30.0), st.floats(1.0, 22.0))
def test_the_target_is_never_above_what_is_asked_but_at_the_lowest_step(volts: float, full_v: float) -> None:
    held = full_v * (0.6375 + 0.0375 * ltc3350.target_code(volts, full_v)) / 1.2
    assert held <= max(volts, full_v * 0.6375 / 1.2) * (1.0 + 1e-9)
    assert volts < held + full_v * 0.0375 / 1.2 or held == pytest.approx(full_v)


@pytest.mark.parametrize("volts", [float("nan"), -0.1])
def test_what_is_no_target_is_refused_before_the_bus(volts: float) -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    with pytest.raises(ValueError, match="is not charged to"):
        device.set_target(volts)
    assert bus.transactions == before


def test_a_target_that_does_not_take_is_an_error() -> None:
    bus = Registers()
    device = ready(bus)
    steps = device.set_target(8.0)
    next(steps)
    bus.words[0x05] = word(15)
    assert refusal(bus, steps) is Cause.IMPLAUSIBLE


def test_an_ordered_target_is_looked_for_until_a_set_up_puts_the_full_one_back() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.set_target(8.0))
    assert causes(bus, device, 80) == []
    bus.words[0x05] = word(15)
    assert set(causes(bus, device, 80)) == {Cause.RESET}
    run(bus, device.initialise())
    assert bus.words[0x05] == word(15)
    assert causes(bus, device, 80) == []


def test_another_number_of_cells_is_not_our_chip() -> None:
    for answer in (word(2), word(0xFFFF), word(0)):
        bus = Registers()
        bus.words[0x1A] = answer
        assert refusal(bus, ltc3350.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID


def test_identify_goes_by_cells_and_die_and_writes_nothing() -> None:
    bus = Registers()
    before = dict(bus.words)
    said = run(bus, ltc3350.Device(bus, ADDRESS, SETTINGS).identify())
    assert said == "ADI LTC3350 by its 4 cells and die at 25 deg C (it has no identity)"
    assert bus.words == before


@pytest.mark.parametrize("answer", [0x0000, 0xFFFF])
def test_a_dead_bus_is_no_single_cell_charger(answer: int) -> None:
    bus = Registers()
    bus.words = dict.fromkeys(bus.words, word(answer))
    one = ltc3350.Settings(cells=1, full_voltage_v=2.5, sense_ohm=0.006)
    assert refusal(bus, ltc3350.Device(bus, ADDRESS, one).identify()) is Cause.WRONG_ID


def test_a_restarted_chip_is_found_and_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x04] = word(0)
    found = causes(bus, device, 40)
    assert len(found) > 20
    assert set(found) == {Cause.RESET}
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is not None


@pytest.mark.parametrize("level", [0x0000, 0xFFFF])
def test_a_dead_data_line_is_not_an_empty_stack(level: int) -> None:
    bus = Registers()
    device = ready(bus)
    bus.words = dict.fromkeys(bus.words, word(level))
    assert refusal(bus, device.acquire()) in (Cause.WRONG_ID, Cause.IMPLAUSIBLE)


def test_an_empty_stack_without_input_is_believed_from_a_chip_that_answers() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x25] = bus.words[0x26] = bus.words[0x29] = word(0)
    bus.words[0x1B] = word(0x0808)
    assert run(bus, device.acquire()).stack_voltage_v == 0.0


def test_settings_have_ranges() -> None:
    good = {"cells": 4, "full_voltage_v": 10.0, "sense_ohm": 0.006}
    assert msgspec.convert(good, type=ltc3350.Settings, strict=True) == SETTINGS
    for bad in ({"cells": 5}, {"sense_ohm": 0.0}, {"capacitance_period_s": 15}, {"input_ohm": 0.01}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(good | bad, type=ltc3350.Settings, strict=True)


@pytest.mark.parametrize(("what", "value"), [
    ("MEAS_VIN", 0x7FFF), ("MEAS_VCAP", 0x8000), ("MEAS_VCAP", 0x7FFF), ("MEAS_ICHG", 0x8000), ("MEAS_CAP", 0xFFFF),
    ("MEAS_DTEMP", 0), ("MEAS_DTEMP", 0xFFFF),
    ("MEAS_CAP", 0), ("MEAS_ESR", 0), ("CHRG_STATUS", 0xFFFF), ("CHRG_STATUS", 0x0003), ("CHRG_STATUS", 0x0400),
])
def test_impossible_answers_are_refused(what: str, value: int) -> None:
    with pytest.raises(DeviceError):
        decode(what, word(value))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from([
        "MEAS_VCAP1", "MEAS_VIN", "MEAS_VCAP", "MEAS_ICHG", "MEAS_CAP", "MEAS_ESR", "CHRG_STATUS", "MEAS_DTEMP",
    ]),
    st.binary(max_size=3),
)
def test_any_bytes_are_a_value_or_a_refusal(what: str, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(decode(what, data), float | bool)
