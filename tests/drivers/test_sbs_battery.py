"""Smart battery: the kernel driver's equations, both capacity units, scales, alarms, packet error codes, exchange."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import sbs_battery
from drivers.device import OracleKind
from drivers.errors import Cause, DeviceError
from tests.drivers.scripted import SmbusBank, refusal, run, word

ADDRESS = 0x0B
SETTINGS = sbs_battery.Settings()


class Pack(SmbusBank):
    """A 7-cell pack of 10 Ah at 60 %, 26.4 V, giving 1.5 A at 21.9 deg C."""

    address = ADDRESS

    def power_up(self) -> None:
        self.words = {
            0x03: word(0x0001), 0x08: word(2951), 0x09: word(26400), 0x0A: word(-1500), 0x0D: word(60),
            0x0F: word(6000), 0x10: word(10000), 0x16: word(0x00C0), 0x19: word(25200), 0x1A: word(0x0031),
            0x20: b"\x06QIKI 1", 0x21: b"\x08BP-10-7S",
        }

    def accept(self, command: int, value: bytes) -> None:
        assert command == 0x03
        super().accept(command, value)


def ready(bus: Pack, with_settings: sbs_battery.Settings = SETTINGS) -> sbs_battery.Device:
    device = sbs_battery.Device(bus, ADDRESS, with_settings)
    run(bus, device.initialise())
    return device


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 65534), st.integers(-32767, 32766), st.integers(2190, 3980))
def test_the_kernel_s_equations(volts: int, amperes: int, kelvin: int) -> None:
    assert 1e6 * sbs_battery.voltage_v(word(volts)) == pytest.approx(volts * 1000)
    assert 1e6 * sbs_battery.current_a(word(amperes)) == pytest.approx(amperes * 1000)
    # The kernel takes 273.1 K off, in tenths.
    assert 10 * sbs_battery.temperature_c(word(kelvin)) == pytest.approx(kelvin - 2731, abs=0.51)
    assert sbs_battery.charge_c(word(volts)) / 3600 * 1e6 == pytest.approx(volts * 1000)
    energy_j = 25.2 * sbs_battery.charge_c(word(volts), in_energy=True, design_voltage_v=25.2)
    assert energy_j / 3600 * 1e6 == pytest.approx(volts * 10_000)


def test_only_the_runs_of_linux_are_claimed() -> None:
    assert {oracle.kind for oracle in sbs_battery.ORACLES} == {OracleKind.LINUX}


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"cells": 7}, type=sbs_battery.Settings, strict=True)


@pytest.mark.parametrize("pec", [True, False])
def test_identity_is_read_without_a_write(pec: bool) -> None:
    bus = Pack(pec)
    before = dict(bus.words)
    device = sbs_battery.Device(bus, ADDRESS, sbs_battery.Settings(pec=pec))
    assert run(bus, device.identify()) == "QIKI 1 BP-10-7S, smart battery 1.1 with packet error codes"
    assert bus.words == before
    assert bus.transactions == 3


@pytest.mark.parametrize(("command", "data"), [
    (0x1A, word(0x0000)), (0x1A, word(0xFFFF)), (0x1A, word(0x0041)), (0x1A, word(0x4031)), (0x1A, word(0x0032)),
    (0x20, b"\x02\x01\x02"),
])
def test_another_chip_is_refused(command: int, data: bytes) -> None:
    bus = Pack()
    bus.words[command] = data
    assert refusal(bus, sbs_battery.Device(bus, ADDRESS, SETTINGS).initialise()) is Cause.WRONG_ID


def test_initialise_silences_the_pack_and_keeps_the_rest_of_its_mode() -> None:
    bus = Pack()
    bus.words[0x03] = word(0x8381)
    ready(bus)
    assert bus.words[0x03] == word(0xC300)  # the low byte is the pack's own
    bus = Pack()
    ready(bus, sbs_battery.Settings(silent=False))
    assert bus.words[0x03] == word(0x0001)


def test_a_sample_is_eight_transactions() -> None:
    bus = Pack()
    device = ready(bus)
    before = bus.transactions
    sample = run(bus, device.acquire())
    assert bus.transactions - before == 8
    assert sample.voltage_v == pytest.approx(26.4)
    assert sample.current_a == pytest.approx(-1.5)
    assert sample.temperature_c == pytest.approx(21.95)
    assert sample.state_of_charge == pytest.approx(0.60)
    assert sample.remaining_c == pytest.approx(21_600.0)
    assert sample.full_c == pytest.approx(36_000.0)
    assert sample.alarms == ()


def test_capacity_in_energy_becomes_the_same_charge() -> None:
    bus = Pack()
    device = ready(bus)
    bus.words[0x03] = word(0xC000)
    bus.words[0x0F] = word(15120)  # 151.2 Wh at 25.2 V is 6 Ah
    bus.words[0x10] = word(25200)
    sample = run(bus, device.acquire())
    assert sample.remaining_c == pytest.approx(21_600.0)
    assert sample.full_c == pytest.approx(36_000.0)


def test_scales_of_a_big_pack_multiply_voltages_currents_and_capacities() -> None:
    bus = Pack()
    bus.words[0x1A] = word(0x1131)
    device = ready(bus)
    sample = run(bus, device.acquire())
    assert sample.voltage_v == pytest.approx(264.0)
    assert sample.current_a == pytest.approx(-15.0)
    assert sample.full_c == pytest.approx(360_000.0)


@pytest.mark.parametrize(("status", "alarms"), [
    (0x00E0, ()), (0x8080, ("over-charged",)), (0x4080, ("terminate charge",)), (0x1080, ("over-temperature",)),
    (0x0880, ("terminate discharge",)), (0x0380, ("remaining capacity", "remaining time")),
    (0x00D0, ("fully discharged",)), (0x0040, ("gauge not initialised",)),
])
def test_alarms_in_words(status: int, alarms: tuple[str, ...]) -> None:
    bus = Pack()
    device = ready(bus)
    bus.words[0x16] = word(status)
    assert run(bus, device.acquire()).alarms == alarms


@pytest.mark.parametrize(("command", "value", "cause"), [
    (0x16, 0x00C7, Cause.PROTOCOL), (0x16, 0xFFFF, Cause.IMPLAUSIBLE), (0x16, 0x2080, Cause.IMPLAUSIBLE),
    (0x09, 0x0000, Cause.IMPLAUSIBLE), (0x09, 0xFFFF, Cause.IMPLAUSIBLE), (0x0A, 0x7FFF, Cause.OVER_RANGE),
    (0x0A, 0x8000, Cause.OVER_RANGE), (0x08, 0x0000, Cause.IMPLAUSIBLE), (0x08, 0xFFFF, Cause.IMPLAUSIBLE),
    (0x0D, 111, Cause.IMPLAUSIBLE), (0x0F, 0xFFFF, Cause.IMPLAUSIBLE), (0x10, 0xFFFF, Cause.IMPLAUSIBLE),
    (0x03, 0xFFFF, Cause.IMPLAUSIBLE),
])
def test_impossible_answers_and_the_gauge_s_own_errors_are_refused(command: int, value: int, cause: Cause) -> None:
    bus = Pack()
    device = ready(bus)
    bus.words[command] = word(value)
    assert refusal(bus, device.acquire()) is cause


def test_a_little_past_full_is_full() -> None:
    bus = Pack()
    device = ready(bus)
    bus.words[0x0D] = word(103)
    assert run(bus, device.acquire()).state_of_charge == 1.0


def test_an_exchanged_or_restarted_pack_is_refused_until_initialised() -> None:
    bus = Pack()
    device = ready(bus)
    run(bus, device.acquire())
    bus.words[0x03] = word(0x0001)
    assert refusal(bus, device.acquire()) is Cause.RESET
    assert refusal(bus, device.acquire()) is Cause.RESET
    run(bus, device.initialise())
    assert run(bus, device.acquire()) is not None


def test_a_pack_that_was_never_set_up_gives_no_sample() -> None:
    bus = Pack()
    assert refusal(bus, sbs_battery.Device(bus, ADDRESS, SETTINGS).acquire()) is Cause.RESET


def test_wrong_packet_error_codes_are_read_again_twice() -> None:
    bus = Pack()
    device = ready(bus)
    bus.spoil = 2
    assert run(bus, device.acquire()).voltage_v == pytest.approx(26.4)
    bus.spoil = 3
    assert refusal(bus, device.acquire()) is Cause.CHECKSUM


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.sampled_from(sbs_battery.CODECS), st.binary(max_size=4))
def test_any_bytes_are_a_value_or_a_refusal(codec: sbs_battery.Codec, data: bytes) -> None:
    with suppress(DeviceError):
        assert isinstance(codec.decode(data), float | tuple | str)
