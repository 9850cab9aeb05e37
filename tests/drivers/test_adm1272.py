"""ADM1272: kernel and datasheet values, ranges, faults in words, a switch that is read back, packet error codes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import adm1272, pmbus
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import SmbusBank, causes, published, refusal, run, word

ADDRESS = 0x10
SETTINGS = adm1272.Settings(shunt_ohm=0.001, warning_a=12.0, startup_limit_16=4)
PLAIN = adm1272.Settings(shunt_ohm=0.001, pec=False)


class Registers(SmbusBank):
    """An ADM1272 after reset: 28 V in and out, 2 A through 1 mOhm in the 100 V and 30 mV ranges, 25 deg C."""

    address = ADDRESS
    obey = True

    def power_up(self) -> None:
        self.words = {
            0x01: b"\x80", 0x19: b"\xb0", 0x4A: word(0x0FFF), 0x79: word(0), 0x7A: b"\x00", 0x7B: b"\x00",
            0x7C: b"\x00", 0x7D: b"\x00", 0x7E: b"\x00", 0x80: b"\x00",
            0x88: word(round(28.0 * 4062 / 100)), 0x8B: word(round(28.0 * 4062 / 100)),
            0x8C: word(round((2.0 * 663 + 20480) / 10)), 0x8D: word(round((25.0 * 42 + 31871) / 10)),
            0x97: word(round(56.0 * 10535 / 1000)), 0x99: b"\x03ADI", 0x9A: b"\x0aADM1272-A1", 0x9B: b"\x0225",
            0xD3: b"\x01", 0xD4: word(0x3F35), 0xD8: word(0x0008), 0xF6: word(0x000F),
        }

    def accept(self, command: int, value: bytes) -> None:
        if self.obey:
            if command == 0xD4:
                assert self.words[0xD3] == b"\x00"  # ranges change with conversions stopped only
            super().accept(command, value)


def ready(bus: Registers, with_settings: adm1272.Settings = SETTINGS) -> adm1272.Device:
    """Initialised, and past the sample that is not one."""
    device = adm1272.Device(bus, ADDRESS, with_settings)
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is None
    return device


def test_every_value_that_the_kernel_computed(shared_data: Path) -> None:
    rows = published(shared_data, "ADM1272 60V/15mV range")
    assert len(rows) == 5
    for row in rows:
        commands = [int(c, 16) for c in row["registers"].split()]
        data = dict(zip(commands, (bytes.fromhex(b) for b in row["bytes"].split()), strict=True))
        volts, amperes, watts = adm1272.voltage(60), adm1272.current(15, 1e-3), adm1272.power(60, 15, 1e-3)
        value = {
            "curr1_input mA": lambda d=data, s=amperes: 1e3 * adm1272.current_a(d[0x8C], s),
            "in1_input mV": lambda d=data, s=volts: 1e3 * adm1272.voltage_v(d[0x88], s),
            "in2_input mV": lambda d=data, s=volts: 1e3 * adm1272.voltage_v(d[0x8B], s),
            "power1_input uW": lambda d=data, s=watts: 1e6 * adm1272.power_w(d[0x97], s),
            "temp1_input mdegC": lambda d=data: 1e3 * adm1272.temperature_c(d[0x8D]),
        }[row["unit"]]()
        assert value == pytest.approx(float(row["expected"]), abs=1.0), row["unit"]


def test_both_examples_of_the_adm1275(shared_data: Path) -> None:
    rows = published(shared_data, "ADM1275")
    assert len(rows) == 2
    for row in rows:
        data = bytes.fromhex(row["bytes"])
        if "encode" in row["registers"]:
            scale = pmbus.Direct(807 * 2, 20475, -1)  # 2 mOhm
            assert word(scale.encode(float(row["expected"]))) == data
        else:
            value = adm1272.current_a(data, adm1272.ADM1275_CURRENT)
            assert value == pytest.approx(float(row["expected"]), abs=0.005)


@pytest.mark.parametrize(("range_v", "range_mv"), [(60, 15), (60, 30), (100, 15), (100, 30)])
def test_power_agrees_with_voltage_times_current_in_every_range(range_v: int, range_mv: int) -> None:
    # The chip multiplies its codes and keeps the upper 16 of 24 bits, so the coefficients of a range belong together.
    volts, amperes = adm1272.voltage(range_v), adm1272.current(range_mv, 1e-3)
    watts = adm1272.power(range_v, range_mv, 1e-3)
    code = volts.encode(28.0) * (amperes.encode(5.0) - 2048) // 256
    assert watts.decode(code) == pytest.approx(140.0, rel=0.005)


@pytest.mark.parametrize("fields", [
    {"shunt_ohm": 0.0}, {"shunt_ohm": 0.001, "voltage_range_v": 80}, {"shunt_ohm": 0.001, "warning_a": 31.0},
    {"shunt_ohm": 0.001, "startup_limit_16": 17}, {"shunt_ohm": 0.001, "soft_start": True},
])
def test_settings_that_the_chip_cannot_do_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, type=adm1272.Settings, strict=True)


@pytest.mark.parametrize("with_settings", [SETTINGS, PLAIN])
def test_identity_is_read_without_a_write(with_settings: adm1272.Settings) -> None:
    bus = Registers(with_settings.pec)
    before = dict(bus.words)
    assert run(bus, adm1272.Device(bus, ADDRESS, with_settings).identify()) == "ADM1272-A1 revision 25"
    assert bus.words == before
    assert bus.transactions == 3


@pytest.mark.parametrize(("command", "data", "cause"), [
    (0x99, b"\x03TIX", Cause.WRONG_ID), (0x9A, b"\x09ADM1275-1", Cause.WRONG_ID), (0x99, b"\x00", Cause.PROTOCOL),
    (0x99, b"\xff\xff\xff\xff", Cause.PROTOCOL),
])
def test_another_chip_is_refused(command: int, data: bytes, cause: Cause) -> None:
    bus = Registers(pec=False)
    bus.words[command] = data
    assert refusal(bus, adm1272.Device(bus, ADDRESS, PLAIN).initialise()) is cause


def test_initialise_configures_ranges_and_limits_and_leaves_the_switch_alone() -> None:
    bus = Registers()
    bus.words[0x01] = b"\x00"
    ready(bus)
    assert bus.words[0x01] == b"\x00"
    assert bus.words[0xD3] == b"\x01"
    assert bus.words[0xD4] == word(0xA43F)  # filter, 16 averages twice, 100 V, continuous, all channels, 30 mV
    assert bus.words[0x4A] == word(round((12.0 * 663 + 20480) / 10))
    assert bus.words[0xF6] == word(3)
    assert bus.words[0xD8] == word(0x0008)


def test_device_config_is_written_as_it_is_declared() -> None:
    bus = Registers()
    ready(bus, adm1272.Settings(shunt_ohm=0.001, device_config=0x000C))
    assert bus.words[0xD8] == word(0x000C)


def test_a_status_register_of_all_ones_refuses_the_sample() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words.update({0x79: word(0x4000), 0x7B: b"\xff"})
    assert refusal(bus, device.acquire()) is Cause.IMPLAUSIBLE


def test_a_sample_costs_four_transactions_and_slow_fields_show_when_they_were_read() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    sample = run(bus, device.acquire())
    assert bus.transactions - before == 4
    assert sample.input_v == pytest.approx(28.0, abs=0.025)
    assert sample.output_v == pytest.approx(28.0, abs=0.025)
    assert sample.current_a == pytest.approx(2.0, abs=0.02)
    assert (sample.power_w, sample.temperature_c) == (None, None)
    assert (sample.on, sample.power_good, sample.faults) == (True, True, ())
    samples = [run(bus, device.acquire()) for _ in range(12)]
    assert [s.power_w for s in samples if s.power_w is not None] == [pytest.approx(56.0, abs=0.1)]
    assert [s.temperature_c for s in samples if s.temperature_c is not None] == [pytest.approx(25.0, abs=0.3)]


def test_reverse_current_is_negative() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x8C] = word(2048 - 66)
    assert run(bus, device.acquire()).current_a == pytest.approx(-1.0, abs=0.01)


def test_a_sensor_that_is_not_there_has_no_temperature() -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[0x8D] = word(0)
    assert all(run(bus, device.acquire()).temperature_c is None for _ in range(12))


@pytest.mark.parametrize(("status", "details", "faults", "on", "good"), [
    (0x4010, {0x7B: 0x80}, ("output over-current fault",), True, True),
    (0x0840, {}, (), False, False),
    (0x3848, {0x7C: 0x10, 0x80: 0x44},
     ("input under-voltage fault", "input below the UV threshold", "shut down by input under-voltage"), False, False),
    (0x1000, {0x80: 0x80}, ("switch transistor fault",), True, True),
    (0x0004, {0x7D: 0x40}, ("over-temperature warning",), True, True),
    (0x0002, {0x7E: 0x20}, ("packet error",), True, True),
    (0x8000, {0x7A: 0x20}, ("output under-voltage warning",), True, True),
])
def test_faults_are_the_chip_s_own_words(
    status: int, details: dict[int, int], faults: tuple[str, ...], on: bool, good: bool,
) -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x79] = word(status)
    for command, value in details.items():
        bus.words[command] = bytes((value,))
    sample = run(bus, device.acquire())
    assert (sample.faults, sample.on, sample.power_good) == (faults, on, good)
    before = bus.transactions
    assert run(bus, device.acquire()).faults == faults
    assert bus.transactions - before == 4  # nothing new, so the details aren't read again
    bus.words[0x79] = word(0)
    assert run(bus, device.acquire()).faults == ()


def test_switch_writes_and_reads_back() -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.switch(False))
    assert bus.words[0x01] == b"\x00"
    run(bus, device.switch(True))
    assert bus.words[0x01] == b"\x80"
    assert bus.transactions - before == 4


def test_a_switch_that_does_not_follow_is_an_error_and_is_not_repeated() -> None:
    bus = Registers()
    device = ready(bus)
    bus.obey = False
    before = bus.transactions
    assert refusal(bus, device.switch(False)) is Cause.PROTOCOL
    assert bus.transactions - before == 2


@pytest.mark.parametrize("pec", [True, False])
def test_power_cycle_and_clear_faults_are_commands_without_data(pec: bool) -> None:
    bus = Registers(pec)
    device = ready(bus, adm1272.Settings(shunt_ohm=0.001, pec=pec))
    run(bus, device.power_cycle())
    run(bus, device.clear_faults())
    assert bus.sent == [0xD9, 0x03]


def test_a_wrong_packet_error_code_is_read_again_in_a_resume_of_its_own() -> None:
    bus = Registers()
    device = ready(bus)
    bus.spoil = 2
    assert run(bus, device.acquire()).input_v == pytest.approx(28.0, abs=0.025)
    assert device.pec_retries == 2
    bus.spoil = 3
    assert refusal(bus, device.acquire()) is Cause.CHECKSUM


def test_brown_out_is_found_and_stays_refused_until_initialised() -> None:
    bus = Registers()
    device = ready(bus)
    bus.power_up()
    found = causes(bus, device, 40)
    assert set(found) == {Cause.RESET}
    assert len(found) >= 24
    run(bus, device.initialise())
    run(bus, device.acquire())
    assert run(bus, device.acquire()) is not None


@pytest.mark.parametrize(("command", "code", "cause"), [
    (0x88, 0x0FFF, Cause.OVER_RANGE), (0x8B, 0x0FFF, Cause.OVER_RANGE), (0x8C, 0x0FFF, Cause.OVER_RANGE),
    (0x97, 0x7FFF, Cause.OVER_RANGE), (0x88, 0x1000, Cause.IMPLAUSIBLE), (0x8C, 0x1000, Cause.IMPLAUSIBLE),
    (0x8C, 0x0000, Cause.IMPLAUSIBLE), (0x97, 0x8000, Cause.IMPLAUSIBLE),
])
def test_full_scale_is_beyond_the_range_and_more_is_impossible(command: int, code: int, cause: Cause) -> None:
    bus = Registers()
    device = ready(bus)
    bus.words[command] = word(code)
    assert set(causes(bus, device, 24)) == {cause}


@pytest.mark.parametrize("fill", [b"\x00", b"\xff"])
def test_equal_bits_are_no_sample(fill: bytes) -> None:
    bus = Registers(pec=False)
    device = ready(bus, PLAIN)
    for command in (0x79, 0x88, 0x8B, 0x8C):
        bus.words[command] = fill * 2
    assert refusal(bus, device.acquire()) is Cause.IMPLAUSIBLE


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(adm1272.CODECS), st.binary(max_size=4))
def test_any_bytes_are_a_number_or_a_refusal(codec: adm1272.Codec, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(codec.decode(data), float | int | None)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.floats(0.5, 90.0), st.floats(-20.0, 20.0), st.sampled_from([1e-3, 0.3e-3]))
def test_encoded_values_come_back_within_one_step(volts: float, amperes: float, shunt: float) -> None:
    v, i = adm1272.voltage(100), adm1272.current(30, shunt)
    assert adm1272.voltage_v(word(v.encode(volts)), v) == pytest.approx(volts, abs=0.0125)
    assert adm1272.current_a(word(i.encode(amperes)), i) == pytest.approx(amperes, abs=5.01 / (663 * shunt * 1e3))


@pytest.mark.parametrize(("share", "code"), [(1.0, 15), (0.999, 14), (0.5, 7), (0.0625, 0), (0.01, 0), (0.3125, 4)])
def test_the_start_up_limit_is_the_highest_sixteenth_that_is_not_above_a_share(share: float, code: int) -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    run(bus, device.limit_startup(share))
    assert bus.transactions - before == 2
    assert bus.words[0xF6] == word(code)
    assert device.share_step(share) == (code + 1) / 16


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_what_is_no_share_is_refused_before_the_bus(share: float) -> None:
    bus = Registers()
    device = ready(bus)
    before = bus.transactions
    for order in (device.limit_startup, device.share_step, lambda s: device.feed(True, s)):
        with pytest.raises(ValueError, match="is no share"):
            order(share)
    assert bus.transactions == before


@pytest.mark.parametrize("with_settings", [SETTINGS, PLAIN])
def test_the_feed_is_limited_before_it_is_closed(with_settings: adm1272.Settings) -> None:
    bus = Registers(with_settings.pec)
    device = ready(bus, with_settings)
    run(bus, device.switch(False))
    bus.history.clear()
    before = bus.transactions
    run(bus, device.feed(True, 0.25))
    assert [write[0] for write in bus.history] == [0xF6, 0x01]
    assert (bus.words[0xF6], bus.words[0x01]) == (word(3), b"\x80")
    assert bus.transactions - before == 5


def test_a_closed_feed_gets_another_share_without_being_switched_and_opens_at_once() -> None:
    bus = Registers()
    device = ready(bus)
    bus.history.clear()
    run(bus, device.feed(True, 0.75))
    assert [write[0] for write in bus.history] == [0xF6]
    bus.history.clear()
    before = bus.transactions
    run(bus, device.feed(False))
    assert [write[0] for write in bus.history] == [0x01]
    assert bus.words[0x01] == b"\x00"
    assert bus.transactions - before == 2


def test_a_limit_that_does_not_take_leaves_the_feed_open() -> None:
    bus = Registers()
    device = ready(bus)
    run(bus, device.switch(False))
    bus.obey = False
    assert refusal(bus, device.feed(True, 0.5)) is Cause.IMPLAUSIBLE
    assert bus.words[0x01] == b"\x00"


@pytest.mark.parametrize("with_settings", [SETTINGS, PLAIN])
def test_an_ordered_limit_is_looked_for(with_settings: adm1272.Settings) -> None:
    bus = Registers(with_settings.pec)
    device = ready(bus, with_settings)
    run(bus, device.limit_startup(0.5))
    assert causes(bus, device, 60) == []
    bus.words[0xF6] = word(15)
    assert set(causes(bus, device, 60)) == {Cause.RESET}
    run(bus, device.initialise())
    run(bus, device.acquire())
    assert causes(bus, device, 60) == []
