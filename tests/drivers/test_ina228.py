"""INA228: datasheet values, calibration, overflow, brown-out, and one transaction a resume."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ina228
from drivers.errors import Cause, DeviceError
from drivers.samples import PowerSample
from tests.drivers.scripted import WordBank, causes, published, refusal, run

ADDRESS = 0x40
SETTINGS = ina228.Settings(shunt_ohm=0.004, max_current_a=10.0)
EXAMPLE = ina228.Settings(shunt_ohm=0.0162, max_current_a=10.0)
"""Example of TI's table 8-4: 10 A full scale, 16.2 mOhm."""


class Registers(WordBank):
    """Registers of an INA228 after power-up (TI SLYS021A, table 7-3), with a 28 V rail at 2 A."""

    address = ADDRESS

    def power_up(self) -> None:
        self.words = {
            0x00: b"\x00\x00", 0x01: b"\xfb\x68", 0x02: b"\x10\x00", 0x03: b"\x00\x00",
            0x05: (round(28.0 / 195.3125e-6) << 4).to_bytes(3, "big"), 0x06: b"\x0c\x80",
            0x07: (round(2.0 / 10.0 * 2**19) << 4).to_bytes(3, "big"),
            0x09: bytes.fromhex("0000001000"), 0x0A: bytes.fromhex("ffffff0000"),
            0x0B: b"\x00\x03", 0x3E: b"\x54\x49", 0x3F: b"\x22\x81",
        }


def ready(bus: Registers, with_settings: ina228.Settings = SETTINGS) -> ina228.Device:
    device = ina228.Device(bus, ADDRESS, with_settings)
    run(bus, device.initialise())
    return device


def decode(register: str, data: bytes) -> float:
    lsb = EXAMPLE.max_current_a / 2**19
    return {
        "VSHUNT": lambda: ina228.shunt_voltage_v(data, 0),
        "VBUS": lambda: ina228.bus_voltage_v(data),
        "CURRENT": lambda: ina228.current_a(data, lsb),
        "DIETEMP": lambda: ina228.die_temperature_c(data),
        "ENERGY": lambda: ina228.energy_j(data, lsb),
        "CHARGE": lambda: ina228.charge_c(data, lsb),
    }[register]()


def test_every_datasheet_example(shared_data: Path) -> None:
    rows = published(shared_data, "INA228/229")
    assert len(rows) == 7
    for row in rows:
        value = decode(row["registers"].split()[1], bytes.fromhex(row["bytes"]))
        assert value == pytest.approx(float(row["expected"]), rel=1e-4), row["registers"]


def test_every_value_that_the_kernel_computed_for_the_16_bit_sibling(shared_data: Path) -> None:
    # The INA238's registers are the upper 16 of the INA228's 20 bits; temperature is alike.
    rows = published(shared_data, "INA238", "INA238 neg")
    compared = 0
    for row in rows:
        registers = dict(zip(row["registers"].split(), row["bytes"].split(), strict=False))
        values = {
            "in0_input mV": lambda r=registers: 1e3 * ina228.shunt_voltage_v(bytes.fromhex(r["0x04"] + "00"), 0),
            "in1_input mV": lambda r=registers: 1e3 * ina228.bus_voltage_v(bytes.fromhex(r["0x05"] + "00")),
            "temp1_input mdegC": lambda r=registers: 1e3 * ina228.die_temperature_c(bytes.fromhex(r["0x06"])),
        }
        if row["unit"] in values:
            assert values[row["unit"]]() == pytest.approx(float(row["expected"]))
            compared += 1
    assert compared == 6


def test_calibration_of_the_datasheet_example() -> None:
    assert EXAMPLE.adc_range == 0
    assert EXAMPLE.shunt_cal == 4050  # 13107.2e6 x 19.0735 uA x 16.2 mOhm
    assert EXAMPLE.current_lsb_a == pytest.approx(19.073486e-6, rel=1e-4)


def test_the_finer_range_is_taken_where_it_suffices() -> None:
    assert (SETTINGS.adc_range, SETTINGS.shunt_cal) == (1, 4000)


@pytest.mark.parametrize("fields", [
    {"shunt_ohm": 0.1, "max_current_a": 10.0}, {"shunt_ohm": 0.0, "max_current_a": 1.0},
    {"shunt_ohm": 1e-6, "max_current_a": 0.01}, {"shunt_ohm": 0.004, "max_current_a": 10.0, "shunt": 1},
])
def test_settings_that_cannot_be_calibrated_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, type=ina228.Settings, strict=True)


def test_initialise_writes_calibration_range_and_conversion() -> None:
    bus = Registers()
    ready(bus)
    assert bus.words[0x00] == b"\x00\x10"
    assert bus.words[0x02] == (4000).to_bytes(2, "big")
    assert bus.words[0x01] == b"\xf9\x22"


def test_a_sample_costs_two_transactions() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())  # looks at the flags first, once
    before = bus.transactions
    sample = run(bus, device.acquire())
    assert bus.transactions - before == 2
    assert sample.voltage_v == pytest.approx(28.0, abs=2e-4)
    assert sample.current_a == pytest.approx(2.0, abs=2e-5)


def test_slow_fields_appear_only_in_the_sample_that_read_them() -> None:
    bus = Registers()
    device = ready(bus)
    samples: list[PowerSample] = [run(bus, device.acquire()) for _ in range(48)]
    for field in ("charge_c", "energy_j", "temperature_c"):
        present = [i for i, s in enumerate(samples) if getattr(s, field) is not None]
        assert len(present) == 2
        assert present[1] - present[0] == 24
    temperature = next(s.temperature_c for s in samples if s.temperature_c is not None)
    assert temperature == 25.0
    charge = next(s.charge_c for s in samples if s.charge_c is not None)
    assert charge == pytest.approx(-65536 * 10.0 / 2**19)


def test_nothing_is_said_before_the_first_conversion() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x0B] = b"\x00\x01"
    assert run(bus, device.acquire()) is None
    bus.words[0x0B] = b"\x00\x03"
    assert run(bus, device.acquire()) is not None


def test_a_converter_that_never_starts_becomes_stale() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x0B] = b"\x00\x01"
    for _ in range(8):
        run(bus, device.acquire())
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER


@pytest.mark.parametrize(("register", "word"), [(0x3E, b"\x00\x00"), (0x3F, b"\x23\x81"), (0x3F, b"\xff\xff")])
def test_another_chip_is_refused(register: int, word: bytes) -> None:
    bus = Registers()
    bus.words[register] = word
    assert refusal(bus, ina228.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID


def test_brown_out_is_found_and_stays_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.power_up()
    found = causes(bus, device, 30)
    assert len(found) >= 6  # and every sample after the first discovery
    assert set(found) == {Cause.RESET}
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is not None


def test_a_configuration_once_misread_is_believed_when_seen_right() -> None:
    bus = Registers()
    device = ready(bus)
    for _ in range(3):
        run(bus, device.acquire())
    right, bus.words[0x01] = bus.words[0x01], b"\xff\xff"
    assert refusal(bus, device.acquire()) is Cause.RESET
    bus.words[0x01] = right
    assert run(bus, device.acquire()) is not None


@pytest.mark.parametrize("register", [0x00, 0x01, 0x02])
def test_an_upset_bit_in_any_configuration_register_is_found(register: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    word = bus.words[register]
    bus.words[register] = bytes((word[0], word[1] ^ 0x10))
    found = causes(bus, device, 48)
    assert set(found) == {Cause.RESET}


def test_identify_names_the_die_and_writes_nothing() -> None:
    bus = Registers()
    before = dict(bus.words)
    assert run(bus, ina228.Device(bus, ADDRESS, SETTINGS).identify()) == "TI INA228 revision 1"
    assert bus.words == before


def test_a_dead_rail_is_believed_only_from_a_chip_that_knows_its_name() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x05] = bus.words[0x07] = bytes(3)
    assert run(bus, device.acquire()).voltage_v == 0.0
    bus.words[0x3F] = b"\x00\x00"  # the data line is held low
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID


@pytest.mark.parametrize(("flags", "cause"), [
    (0x0000, Cause.CHECKSUM), (0x0002, Cause.CHECKSUM), (0x0203, Cause.IMPLAUSIBLE), (0x0103, Cause.IMPLAUSIBLE),
    (0x0001, Cause.STALE_COUNTER), (0xFFFF, Cause.IMPLAUSIBLE),
])
def test_flags_of_the_chip_refuse_the_sample(flags: int, cause: Cause) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x0B] = flags.to_bytes(2, "big")
    found = causes(bus, device, 24)
    assert found == [cause]


def test_a_wrapped_accumulator_gives_no_total() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x0B] = (0x0003 | 1 << 10).to_bytes(2, "big")
    samples = [run(bus, device.acquire()) for _ in range(48)]
    assert all(s.charge_c is None for s in samples)
    assert any(s.energy_j is not None for s in samples)


@pytest.mark.parametrize(("register", "data"), [
    ("VBUS", "ffffff"), ("VBUS", "3c0001"), ("VBUS", "800000"), ("VBUS", "7ffff0"), ("CURRENT", "7ffff0"),
    ("CURRENT", "800000"), ("DIETEMP", "7fff"), ("ENERGY", "ffffffffff"), ("CHARGE", "7fffffffff"), ("VBUS", "3c00"),
])
def test_impossible_answers_are_refused(register: str, data: str) -> None:
    with pytest.raises(DeviceError):
        decode(register, bytes.fromhex(data))


@pytest.mark.parametrize(("data", "amperes"), [("7ffff0", 2**19 - 1), ("800000", -(2**19))])
def test_at_full_scale_a_sample_says_what_the_truth_is_beyond(data: str, amperes: int) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    good = bus.words[0x07]
    bus.words[0x07] = bytes.fromhex(data)
    bus.words[0x0B] = (0x0003 | 1 << 9).to_bytes(2, "big")  # the chip may call it an overflow, and that is none
    for _ in range(48):
        sample = run(bus, device.acquire())
        assert (sample.voltage_over, sample.current_over, sample.over_range) == (False, True, True)
        assert sample.current_a == pytest.approx(amperes * SETTINGS.current_lsb_a)
        assert sample.voltage_v == pytest.approx(28.0, abs=1e-3)
    bus.words[0x07] = good
    assert Cause.IMPLAUSIBLE in causes(bus, device, 24), "an overflow within the range is one"


def test_full_scale_is_believed_only_from_a_chip_that_knows_its_name_and_its_settings() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x07], bus.words[0x3F] = bytes.fromhex("7ffff0"), bytes.fromhex("7fff")
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID
    bus.words[0x3F], bus.words[0x02] = b"\x22\x81", b"\x10\x00"
    assert Cause.RESET in causes(bus, device, 60)


def test_full_scale_is_beyond_the_range_and_reserved_bits_are_impossible() -> None:
    for data, cause in (("7ffff0", Cause.OVER_RANGE), ("800000", Cause.OVER_RANGE), ("7fffff", Cause.IMPLAUSIBLE)):
        with pytest.raises(DeviceError) as caught:
            decode("CURRENT", bytes.fromhex(data))
        assert caught.value.cause is cause


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(["VSHUNT", "VBUS", "CURRENT", "DIETEMP", "ENERGY", "CHARGE"]), st.binary(max_size=6))
def test_any_bytes_are_a_number_or_a_refusal(register: str, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(decode(register, data), float)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-9.99, 9.99), st.floats(0.0, 85.0))
def test_encoded_values_come_back_within_one_step(current: float, voltage: float) -> None:
    lsb = SETTINGS.current_lsb_a
    data = (round(current / lsb) << 4).to_bytes(3, "big", signed=True)
    assert ina228.current_a(data, lsb) == pytest.approx(current, abs=lsb)
    data = (round(voltage / 195.3125e-6) << 4).to_bytes(3, "big")
    assert ina228.bus_voltage_v(data) == pytest.approx(voltage, abs=195.3125e-6)
