"""INA226: datasheet and kernel values, sign of current, calibration, overflow, brown-out, one transaction a resume."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ina226
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import WordBank, causes, published, refusal, run

ADDRESS = 0x44
SETTINGS = ina226.Settings(shunt_ohm=0.010, max_current_a=8.0)


class Registers(WordBank):
    """Registers of an INA226 after power-up (TI SBOS547B, table 7-1), with a 28 V rail at 2 A through 10 mOhm."""

    address = ADDRESS

    def power_up(self) -> None:
        self.words = {
            0x00: b"\x41\x27", 0x01: (8000).to_bytes(2, "big"), 0x02: (22400).to_bytes(2, "big"), 0x03: bytes(2),
            0x04: bytes(2), 0x05: bytes(2), 0x06: b"\x00\x08", 0x07: bytes(2), 0xFE: b"\x54\x49", 0xFF: b"\x22\x60",
        }


def ready(bus: Registers) -> ina226.Device:
    device = ina226.Device(bus, ADDRESS, SETTINGS)
    run(bus, device.initialise())
    return device


def test_every_value_of_the_datasheet_and_of_the_kernel_s_two_drivers(shared_data: Path) -> None:
    rows = published(shared_data, "INA226*")
    assert len(rows) == 22
    time_s = {ina226.CONVERSION_1100_US: 1.1e-3}
    for row in rows:
        pairs = zip(row["registers"].split(), row["bytes"].split(), strict=True)
        data = {int(pointer, 16): bytes.fromhex(text) for pointer, text in pairs}
        if "datasheet" in row["kind"]:
            shunt, lsb = 0.002, 1e-3  # I_LSB of the example
        else:
            shunt = 0.002 if "2mOhm" in row["part"] else 0.010
            lsb = ina226.Settings(shunt_ohm=shunt, max_current_a=1.0).current_lsb_a
        values = {
            "V": lambda d=data: ina226.bus_voltage_v(d[0x02]),
            "cal": lambda s=shunt, i=lsb: ina226.calibration(i, s),
            "W": lambda d=data, i=lsb: ina226.power_w(d[0x03], i),
            "curr1_input mA": lambda d=data, i=lsb: 1e3 * ina226.current_a(d[0x04], i),
            "in0_input mV": lambda d=data: 1e3 * ina226.shunt_voltage_v(d[0x01]),
            "in1_input mV": lambda d=data: 1e3 * ina226.bus_voltage_v(d[0x02]),
            "power1_input uW": lambda d=data, i=lsb: 1e6 * ina226.power_w(d[0x03], i),
            "in_current3_raw raw": lambda d=data: ina226.current_a(d[0x04], 1.0),
            "in_current3_scale per LSB (IIO unit)": lambda i=lsb: 1e3 * i,
            "in_power2_raw raw": lambda d=data: ina226.power_w(d[0x03], 1.0 / 25.0),
            "in_power2_scale per LSB (IIO unit)": lambda i=lsb: 25e3 * i,
            "in_shunt_resistor": lambda s=shunt: s,
            "in_voltage0_integration_time": lambda d=data: time_s[int.from_bytes(d[0x00], "big") >> 3 & 7],
            "in_voltage0_raw raw": lambda d=data: ina226.shunt_voltage_v(d[0x01]) / 2.5e-6,
            "in_voltage0_scale per LSB (IIO unit)": lambda: 1e3 * ina226.SHUNT_LSB_V,
            "in_voltage1_integration_time": lambda d=data: time_s[int.from_bytes(d[0x00], "big") >> 6 & 7],
            "in_voltage1_raw raw": lambda d=data: ina226.bus_voltage_v(d[0x02]) / 1.25e-3,
            "in_voltage1_scale per LSB (IIO unit)": lambda: 1e3 * ina226.BUS_LSB_V,
        }
        # The kernel gives whole millivolts; the datasheet prints 119.82 W where its own equation gives 119.80.
        tolerance = 0.5 if row["unit"] == "in0_input mV" else 1e-9
        assert values[row["unit"]]() == pytest.approx(float(row["expected"]), rel=2e-4, abs=tolerance), row


def test_the_shunt_register_shows_a_negative_current_too(shared_data: Path) -> None:
    (row,) = (r for r in published(shared_data, "INA226 2mOhm") if r["unit"] == "in0_input mV")
    shunt = bytes.fromhex(row["bytes"].split()[1])
    assert ina226.current_a(shunt, 2.5e-6 / 0.002) == pytest.approx(float(row["expected"]) * 1e-3 / 0.002)


def test_the_oracles_name_what_this_file_holds_it_against() -> None:
    assert {oracle.kind for oracle in ina226.ORACLES} == {OracleKind.DATASHEET, OracleKind.LINUX}


@pytest.mark.parametrize("fields", [
    {"shunt_ohm": 0.010, "max_current_a": 8.2}, {"shunt_ohm": 0.0, "max_current_a": 1.0},
    {"shunt_ohm": 0.01, "max_current_a": 1.0, "averages": 5}, {"shunt_ohm": 0.01, "max_current_a": 1.0, "cal": 1},
])
def test_settings_that_saturate_or_are_unknown_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, type=ina226.Settings, strict=True)


@pytest.mark.parametrize(("lsb", "shunt"), [(1.0, 1.0), (1e-6, 0.01)])
def test_a_calibration_that_does_not_fit_is_refused(lsb: float, shunt: float) -> None:
    with pytest.raises(ValueError, match="15 bits"):
        ina226.calibration(lsb, shunt)


def test_identity_is_read_without_a_write() -> None:
    bus = Registers()
    before = dict(bus.words)
    assert run(bus, ina226.Device(bus, ADDRESS, SETTINGS).identify()) == "INA226 revision 0"
    assert bus.words == before
    assert bus.transactions == 2


@pytest.mark.parametrize(("register", "word"), [(0xFE, b"\x00\x00"), (0xFF, b"\x22\x70"), (0xFF, b"\xff\xff")])
def test_another_chip_is_refused(register: int, word: bytes) -> None:
    bus = Registers()
    bus.words[register] = word
    assert refusal(bus, ina226.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID


def test_initialise_writes_calibration_then_conversion() -> None:
    bus = Registers()
    ready(bus)
    assert bus.words[0x05] == (2048).to_bytes(2, "big")
    assert bus.words[0x00] == bytes.fromhex("4327")  # 4 averages, 1.1 ms each, continuously


def test_a_sample_costs_two_transactions_and_carries_the_sign() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())  # looks at the flags first, once
    bus.words[0x01] = (-200).to_bytes(2, "big", signed=True)
    before = bus.transactions
    sample = run(bus, device.acquire())
    assert bus.transactions - before == 2
    assert sample.voltage_v == pytest.approx(28.0)
    assert sample.current_a == pytest.approx(-0.050)
    assert (sample.charge_c, sample.energy_j, sample.temperature_c) == (None, None, None)


def test_nothing_is_said_before_the_first_conversion_and_never_is_stale() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x06] = b"\x00\x00"
    for _ in range(8):
        assert run(bus, device.acquire()) is None
    assert refusal(bus, device.acquire()) is Cause.STALE_COUNTER
    bus.words[0x06] = b"\x00\x08"
    assert run(bus, device.acquire()) is not None


@pytest.mark.parametrize(("flags", "cause"), [
    (0x0000, Cause.STALE_COUNTER), (0x000C, Cause.IMPLAUSIBLE), (0xFFFF, Cause.IMPLAUSIBLE),
    (0x0408, Cause.IMPLAUSIBLE),
])
def test_flags_of_the_chip_refuse_the_sample(flags: int, cause: Cause) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x06] = flags.to_bytes(2, "big")
    assert causes(bus, device, 8) == [cause]


def test_brown_out_is_found_and_stays_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.power_up()
    found = causes(bus, device, 30)
    assert set(found) == {Cause.RESET}
    assert len(found) >= 22
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is not None


def test_a_dead_rail_is_believed_only_from_a_chip_that_knows_its_name() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x01] = bus.words[0x02] = bytes(2)
    assert run(bus, device.acquire()).voltage_v == 0.0
    bus.words[0xFF] = b"\x00\x00"  # the data line is held low
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID


@pytest.mark.parametrize(("register", "data"), [
    (0x02, b"\x80\x00"), (0x02, b"\xff\xff"),
])
def test_impossible_answers_are_refused(register: int, data: bytes) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[register] = data
    assert refusal(bus, device.acquire()) is Cause.IMPLAUSIBLE


@pytest.mark.parametrize(("register", "data", "over", "volts", "amperes"), [
    (0x02, b"\x7f\xff", (True, False), 40.95875, 2.0), (0x01, b"\x7f\xff", (False, True), 28.0, 8.19175),
    (0x01, b"\x80\x00", (False, True), 28.0, -8.192),
])
def test_at_full_scale_a_sample_says_what_the_truth_is_beyond(
    register: int, data: bytes, over: tuple[bool, bool], volts: float, amperes: float
) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    good = bus.words[register]
    bus.words[register] = data
    before = bus.transactions
    for _ in range(20):
        sample = run(bus, device.acquire())
        assert (sample.voltage_over, sample.current_over, sample.over_range) == (*over, True)
        assert (sample.voltage_v, sample.current_a) == (pytest.approx(volts), pytest.approx(amperes))
    assert bus.transactions - before == 20 * 3 + 5, "the identity in every one, a slow register in every fourth"
    bus.words[register] = good
    assert not run(bus, device.acquire()).over_range


def test_full_scale_is_believed_only_from_a_chip_that_knows_its_name_and_its_settings() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x01] = b"\x7f\xff"
    bus.words[0xFF] = b"\x7f\xff"
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID
    bus.words[0xFF], bus.words[0x05] = b"\x22\x60", bytes(2)
    assert Cause.RESET in causes(bus, device, 24)


def test_an_overflow_in_the_chip_is_no_fault_of_it_at_full_scale() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x01], bus.words[0x06] = b"\x7f\xff", b"\x00\x0c"
    assert causes(bus, device, 8) == []


def test_full_scale_of_shunt_and_bus_alone_is_beyond_the_range() -> None:
    for codec in (ina226.bus_voltage_v, ina226.shunt_voltage_v):
        with pytest.raises(DeviceError) as caught:
            codec(b"\x7f\xff")
        assert caught.value.cause is Cause.OVER_RANGE


def test_a_power_register_of_all_ones_is_refused() -> None:
    with pytest.raises(DeviceError):
        ina226.power_w(b"\xff\xff", 1e-3)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(ina226.CODECS), st.binary(max_size=4))
def test_any_bytes_are_a_number_or_a_refusal(codec: ina226.Codec, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(codec.decode(data), float)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(-8.19, 8.19), st.floats(0.0, 36.0))
def test_encoded_values_come_back_within_one_step(current: float, voltage: float) -> None:
    lsb = SETTINGS.current_lsb_a
    data = round(current / lsb).to_bytes(2, "big", signed=True)
    assert ina226.current_a(data, lsb) == pytest.approx(current, abs=lsb)
    assert ina226.bus_voltage_v(round(voltage / 1.25e-3).to_bytes(2, "big")) == pytest.approx(voltage, abs=1.25e-3)


def often(bus: Registers, every: int = 5) -> ina226.Device:
    """Initialised, and reading the bus voltage seldom."""
    device = ina226.Device(
        bus, ADDRESS, ina226.Settings(shunt_ohm=0.010, max_current_a=8.0, slow_every=1000, voltage_every=every),
    )
    run(bus, device.initialise())
    run(bus, device.acquire())
    return device


def test_where_the_current_matters_the_voltage_is_read_once_in_so_many_samples() -> None:
    bus = Registers()
    device = often(bus)
    costs, seen = [], []
    for sample in range(10):
        bus.words[0x02] = (22400 + sample).to_bytes(2, "big")
        before = bus.transactions
        seen.append(run(bus, device.acquire()).voltage_v)
        costs.append(bus.transactions - before)
    assert costs == [1, 1, 1, 1, 2] * 2
    assert seen[:4] == [pytest.approx(28.0)] * 4
    assert seen[4:9] == [pytest.approx(22404 * 1.25e-3)] * 5


def test_no_current_of_zero_is_believed_of_a_line_held_low_in_between() -> None:
    bus = Registers()
    device = often(bus)
    bus.words[0x01] = bytes(2)
    assert run(bus, device.acquire()).current_a == 0.0
    bus.words = dict.fromkeys(bus.words, bytes(2))
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID


def test_a_voltage_is_not_carried_over_a_sample_that_failed() -> None:
    bus = Registers()
    device = often(bus)
    bus.words[0x01], bus.words[0xFF] = bytes(2), bytes(2)
    assert refusal(bus, device.acquire()) is Cause.WRONG_ID
    bus.words[0xFF] = b"\x22\x60"
    bus.words[0x01], bus.words[0x02] = (8000).to_bytes(2, "big"), (20000).to_bytes(2, "big")
    assert run(bus, device.acquire()).voltage_v == pytest.approx(25.0)
